//! Topics: names, options, and the stream and consumers that they become.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::option::{
    MAX_OPTION_DURATION, MIN_WINDOW, OptionError, count, deserialize_each, duration,
    from_jetstream_age, from_jetstream_limit, is_none_word, serialize_duration,
    serialize_optional_duration, size, to_jetstream_limit,
};
use super::{KIND_KEY, KIND_TOPIC};
use crate::jetstream::consumer::{AckPolicy, ConsumerConfig, DEFAULT_ACK_WAIT, DeliverPolicy};
use crate::jetstream::stream::{
    DEFAULT_DUPLICATE_WINDOW, DiscardPolicy, RetentionPolicy, StreamConfig,
};
use crate::name::{StreamName, SubscriptionName, TopicName};
use crate::verb::StartFrom;

/// What every topic's stream name begins with.
pub const STREAM_PREFIX: &str = "T_";

/// What every topic's subjects begin with.
pub const SUBJECT_PREFIX: &str = "$T.";

/// How many messages of one subscription may be under way to its readers at once.
pub const MAX_UNREAD: i64 = 10_000;

/// How long a follower without a name is remembered after its last request.
pub const FOLLOWER_INACTIVE_THRESHOLD: Duration = Duration::from_secs(60);

/// The stream of a topic: `T_<name>`.
pub fn stream_name(topic: &TopicName) -> StreamName {
    StreamName::from_parts(STREAM_PREFIX, topic.as_str())
}

/// The subject that messages of a topic are published on: `$T.<name>`.
pub fn subject(topic: &TopicName) -> String {
    format!("{SUBJECT_PREFIX}{topic}")
}

/// All subjects whose messages a topic keeps: `$T.<name>` and `$T.<name>.>`.
pub fn subjects(topic: &TopicName) -> [String; 2] {
    [subject(topic), format!("{SUBJECT_PREFIX}{topic}.>")]
}

/// The topic whose stream has this name, if it is one's.
pub fn is_topic_stream(stream: &StreamName) -> Option<TopicName> {
    TopicName::parse(stream.as_str().strip_prefix(STREAM_PREFIX)?).ok()
}

/// The topic that messages on this subject go to, if they go to one.
pub fn topic_of_subject(subject: &str) -> Option<TopicName> {
    let name = subject.strip_prefix(SUBJECT_PREFIX)?;
    TopicName::parse(name.split_once('.').map_or(name, |(name, _)| name)).ok()
}

/// How a topic behaves. In JSON, durations are texts such as `"30s"`, and what is `None` is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopicOptions {
    /// `max_messages`: how many messages are kept, the oldest go; no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_messages: Option<u64>,
    /// `max_bytes`: how many bytes of messages are kept, the oldest go; no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// `max_age`: how long a message is kept; for ever.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "serialize_optional_duration"
    )]
    pub max_age: Option<Duration>,
    /// `dedup`: how long the id of a message is remembered; 2 min, never longer than `max_age`.
    #[serde(serialize_with = "serialize_duration")]
    pub dedup: Duration,
}

impl TopicOptions {
    /// The names of all options.
    pub const NAMES: &'static [&'static str] = &["max_messages", "max_bytes", "max_age", "dedup"];

    /// Sets the option `name` to `value`, both as a person writes them. `none` takes a limit away.
    ///
    /// # Errors
    /// [`OptionError`] when there is no such option, or it does not take this value.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), OptionError> {
        let range = MIN_WINDOW..=MAX_OPTION_DURATION;
        match name {
            "max_messages" => self.max_messages = count("max_messages", value)?,
            "max_bytes" => self.max_bytes = size("max_bytes", value)?,
            "max_age" if is_none_word(value) => self.max_age = None,
            "max_age" => {
                self.max_age = Some(duration(
                    "max_age",
                    value,
                    range,
                    "a duration from 100ms to 365d, or none",
                )?);
            }
            "dedup" => {
                self.dedup = duration("dedup", value, range, "a duration from 100ms to 365d")?
            }
            _ => return Err(OptionError::unknown(name, Self::NAMES)),
        }
        Ok(())
    }
}

impl Default for TopicOptions {
    fn default() -> Self {
        Self {
            max_messages: None,
            max_bytes: None,
            max_age: None,
            dedup: DEFAULT_DUPLICATE_WINDOW,
        }
    }
}

impl<'de> Deserialize<'de> for TopicOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut options = Self::default();
        deserialize_each(deserializer, |name, value| options.set(name, value))?;
        Ok(options)
    }
}

/// The stream that a topic becomes.
pub fn stream_config(topic: &TopicName, options: &TopicOptions) -> StreamConfig {
    let mut config = StreamConfig::new(stream_name(topic));
    config.subjects = subjects(topic).into();
    config.retention = RetentionPolicy::Limits;
    config.max_msgs = to_jetstream_limit(options.max_messages);
    config.max_bytes = to_jetstream_limit(options.max_bytes);
    config.max_age = options.max_age.unwrap_or_default();
    // nats-server refuses a window that outlasts the messages.
    config.duplicate_window = options
        .max_age
        .map_or(options.dedup, |max_age| options.dedup.min(max_age));
    config.discard = DiscardPolicy::Old;
    config.allow_direct = true;
    config
        .metadata
        .insert(KIND_KEY.to_owned(), KIND_TOPIC.to_owned());
    config.with_defaults()
}

/// The options of a topic as its stream has them.
pub fn options_from(stream: &StreamConfig) -> TopicOptions {
    TopicOptions {
        max_messages: from_jetstream_limit(stream.max_msgs),
        max_bytes: from_jetstream_limit(stream.max_bytes),
        max_age: from_jetstream_age(stream.max_age),
        dedup: stream.duplicate_window,
    }
}

/// Whether an existing topic is what `options` ask for, so that creating it again changes nothing.
pub fn is_same(topic: &TopicName, options: &TopicOptions, stream: &StreamConfig) -> bool {
    options_from(&stream_config(topic, options)) == options_from(stream)
}

/// The consumer that a durable subscription becomes. Where it starts counts only when it is created.
///
/// Each message is acknowledged by itself: when two readers share a subscription, one that is done must not acknowledge
/// what the other has not shown yet.
pub fn subscription_config(
    topic: &TopicName,
    options: &TopicOptions,
    subscription: &SubscriptionName,
    from: StartFrom,
) -> ConsumerConfig {
    let config = ConsumerConfig {
        durable_name: Some(subscription.clone().into()),
        name: Some(subscription.clone().into()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: DEFAULT_ACK_WAIT,
        max_ack_pending: MAX_UNREAD,
        ..starting_at(from)
    };
    config.with_defaults(&stream_config(topic, options))
}

/// The consumer of a follower that nobody needs to remember: nothing is acknowledged, it goes when it is no longer used.
pub fn follower_config(
    topic: &TopicName,
    options: &TopicOptions,
    from: StartFrom,
) -> ConsumerConfig {
    let config = ConsumerConfig {
        ack_policy: AckPolicy::None,
        inactive_threshold: FOLLOWER_INACTIVE_THRESHOLD,
        mem_storage: true,
        ..starting_at(from)
    };
    config.with_defaults(&stream_config(topic, options))
}

fn starting_at(from: StartFrom) -> ConsumerConfig {
    let mut config = ConsumerConfig::default();
    match from {
        StartFrom::First => config.deliver_policy = DeliverPolicy::All,
        StartFrom::Last => config.deliver_policy = DeliverPolicy::Last,
        StartFrom::Sequence(sequence) => {
            config.deliver_policy = DeliverPolicy::ByStartSequence;
            config.opt_start_seq = sequence;
        }
        StartFrom::Time(time) => {
            config.deliver_policy = DeliverPolicy::ByStartTime;
            config.opt_start_time = Some(time);
        }
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn news() -> TopicName {
        TopicName::parse("news").unwrap()
    }

    fn with(pairs: &[(&str, &str)]) -> Result<TopicOptions, OptionError> {
        let mut options = TopicOptions::default();
        for (name, value) in pairs {
            options.set(name, value)?;
        }
        Ok(options)
    }

    #[test]
    fn a_topic_is_a_stream_and_two_subjects() {
        assert_eq!(stream_name(&news()).as_str(), "T_news");
        assert_eq!(subjects(&news()), ["$T.news", "$T.news.>"]);
        assert_eq!(is_topic_stream(&stream_name(&news())), Some(news()));
        assert_eq!(is_topic_stream(&StreamName::parse("Q_news").unwrap()), None);
        assert_eq!(topic_of_subject("$T.news"), Some(news()));
        assert_eq!(topic_of_subject("$T.news.sport.chess"), Some(news()));
        for subject in ["$Q.news", "$T.", "$T..a", "news"] {
            assert_eq!(topic_of_subject(subject), None, "{subject}");
        }
    }

    #[test]
    fn every_option_is_set_by_its_name() {
        let values = ["10", "1MiB", "1h", "30s"];
        let pairs: Vec<_> = TopicOptions::NAMES.iter().copied().zip(values).collect();
        let options = with(&pairs).unwrap();
        assert_eq!(
            options,
            TopicOptions {
                max_messages: Some(10),
                max_bytes: Some(1 << 20),
                max_age: Some(Duration::from_secs(3600)),
                dedup: Duration::from_secs(30),
            }
        );
        assert_eq!(options_from(&stream_config(&news(), &options)), options);
        let json = r#"{"max_messages":10,"max_bytes":1048576,"max_age":"1h","dedup":"30s"}"#;
        assert_eq!(serde_json::to_string(&options).unwrap(), json);
        assert_eq!(serde_json::from_str::<TopicOptions>(json).unwrap(), options);
        assert_eq!(
            with(&[("max_age", "1h"), ("max_age", "none")]),
            Ok(TopicOptions::default())
        );
    }

    #[test]
    fn an_option_of_queues_is_none_of_topics() {
        assert_eq!(
            with(&[("lease", "30s")]).unwrap_err().to_string(),
            "unknown option 'lease'; the options are max_messages, max_bytes, max_age, dedup"
        );
    }

    #[test]
    fn the_stream_of_a_topic_is_what_a_stock_client_would_create() {
        assert_eq!(
            serde_json::to_value(stream_config(&news(), &TopicOptions::default())).unwrap(),
            serde_json::json!({
                "name": "T_news", "subjects": ["$T.news", "$T.news.>"], "retention": "limits", "max_consumers": -1,
                "max_msgs": -1, "max_bytes": -1, "max_age": 0, "max_msgs_per_subject": -1, "max_msg_size": -1,
                "discard": "old", "storage": "file", "num_replicas": 1, "duplicate_window": 120_000_000_000_u64,
                "compression": "none", "allow_direct": true, "mirror_direct": false, "sealed": false,
                "deny_delete": false, "deny_purge": false, "allow_rollup_hdrs": false, "consumer_limits": {},
                "allow_msg_ttl": false, "metadata": {"relevo.kind": "topic"}
            })
        );
    }

    #[test]
    fn creating_a_topic_again_is_the_same_only_with_the_same_options() {
        let check = |first: &[(&str, &str)], again: &[(&str, &str)], expected: bool| {
            let stream = stream_config(&news(), &with(first).unwrap());
            assert_eq!(is_same(&news(), &with(again).unwrap(), &stream), expected);
        };
        check(&[], &[], true);
        check(&[("max_age", "60s")], &[("max_age", "1m")], true);
        check(&[("max_messages", "5")], &[("max_messages", "6")], false);
    }

    #[test]
    fn a_subscription_is_durable_and_a_follower_is_not() {
        let subscription = SubscriptionName::parse("office").unwrap();
        let options = TopicOptions::default();
        assert_eq!(
            serde_json::to_value(subscription_config(
                &news(),
                &options,
                &subscription,
                StartFrom::First
            ))
            .unwrap(),
            serde_json::json!({
                "durable_name": "office", "name": "office", "deliver_policy": "all", "ack_policy": "explicit",
                "ack_wait": 30_000_000_000_u64, "max_deliver": -1, "replay_policy": "instant", "max_waiting": 512,
                "max_ack_pending": 10_000, "num_replicas": 0
            })
        );
        assert_eq!(
            serde_json::to_value(follower_config(&news(), &options, StartFrom::Last)).unwrap(),
            serde_json::json!({
                "deliver_policy": "last", "ack_policy": "none", "max_deliver": -1, "replay_policy": "instant",
                "max_waiting": 512, "inactive_threshold": 60_000_000_000_u64, "num_replicas": 0, "mem_storage": true
            })
        );
    }

    #[test]
    fn reading_begins_where_it_is_asked_to() {
        let check = |from: StartFrom, policy: DeliverPolicy, seq: u64, time: Option<Timestamp>| {
            let config = follower_config(&news(), &TopicOptions::default(), from);
            assert_eq!(
                (
                    config.deliver_policy,
                    config.opt_start_seq,
                    config.opt_start_time
                ),
                (policy, seq, time)
            );
        };
        let time = Timestamp::from_nanos(5);
        check(StartFrom::First, DeliverPolicy::All, 0, None);
        check(StartFrom::Last, DeliverPolicy::Last, 0, None);
        check(
            StartFrom::Sequence(7),
            DeliverPolicy::ByStartSequence,
            7,
            None,
        );
        check(
            StartFrom::Time(time),
            DeliverPolicy::ByStartTime,
            0,
            Some(time),
        );
    }
}
