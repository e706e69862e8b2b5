//! Queues: names, options, and the stream and consumer that they become.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::option::{
    MAX_OPTION_DURATION, MIN_WINDOW, OptionError, count, deserialize_each, duration,
    from_jetstream_age, from_jetstream_limit, is_none_word, serialize_duration,
    serialize_optional_duration, size, to_jetstream_limit,
};
use super::{KIND_KEY, KIND_QUEUE};
use crate::jetstream::consumer::{AckPolicy, ConsumerConfig, DEFAULT_ACK_WAIT};
use crate::jetstream::stream::{
    DEFAULT_DUPLICATE_WINDOW, DiscardPolicy, RetentionPolicy, StreamConfig,
};
use crate::name::{ConsumerName, QueueName, StreamName};

/// What every queue's stream name begins with.
pub const STREAM_PREFIX: &str = "Q_";

/// What every queue's subject begins with.
pub const SUBJECT_PREFIX: &str = "$Q.";

/// The name of the consumer that all workers of a queue share.
pub const WORKERS: &str = "workers";

/// How many messages of one queue may be leased at once. At the limit POP finds nothing until a lease ends.
pub const MAX_LEASED: i64 = 100_000;

/// How many POPs may wait at one queue. At the limit a further one is answered "Exceeded MaxWaiting".
pub const MAX_WAITING_POPS: i64 = 4_096;

/// The shortest lease.
pub const MIN_LEASE: Duration = Duration::from_millis(100);

/// The longest lease.
pub const MAX_LEASE: Duration = MAX_OPTION_DURATION;

/// The stream of a queue: `Q_<name>`.
pub fn stream_name(queue: &QueueName) -> StreamName {
    // A queue name's alphabet and length lie within a stream name's, so the prefix is all that is checked here.
    StreamName::from_parts(STREAM_PREFIX, queue.as_str())
}

/// The subject that messages of a queue are published on: `$Q.<name>`.
pub fn subject(queue: &QueueName) -> String {
    format!("{SUBJECT_PREFIX}{queue}")
}

/// The consumer that all workers of a queue share.
pub fn workers() -> ConsumerName {
    ConsumerName::from_parts(WORKERS, "")
}

/// The queue whose stream has this name, if it is one's.
pub fn is_queue_stream(stream: &StreamName) -> Option<QueueName> {
    QueueName::parse(stream.as_str().strip_prefix(STREAM_PREFIX)?).ok()
}

/// The queue that messages on this subject go to, if they go to one.
pub fn queue_of_subject(subject: &str) -> Option<QueueName> {
    QueueName::parse(subject.strip_prefix(SUBJECT_PREFIX)?).ok()
}

/// How a queue behaves. In JSON, durations are texts such as `"30s"`, and what is `None` is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueOptions {
    /// `lease`: how long a popped message is the worker's own, [`MIN_LEASE`] to [`MAX_LEASE`]; 30 s.
    #[serde(serialize_with = "serialize_duration")]
    pub lease: Duration,
    /// `max_messages`: how many messages are kept; no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_messages: Option<u64>,
    /// `max_bytes`: how many bytes of messages are kept; no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// `max_age`: how long a message waits before it is dropped; for ever.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "serialize_optional_duration"
    )]
    pub max_age: Option<Duration>,
    /// `max_deliveries`: how often a message is handed out before it is given up; no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_deliveries: Option<u64>,
    /// `dedup`: how long the id of a message is remembered; 2 min, never longer than `max_age`.
    #[serde(serialize_with = "serialize_duration")]
    pub dedup: Duration,
    /// `discard`: what happens to a push at a limit; it is refused.
    pub discard: QueueDiscard,
}

/// What happens to a push when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueDiscard {
    /// `reject`: the push is refused.
    #[default]
    Reject,
    /// `drop-oldest`: the oldest messages go.
    DropOldest,
}

impl QueueOptions {
    /// The names of all options.
    pub const NAMES: &'static [&'static str] = &[
        "lease",
        "max_messages",
        "max_bytes",
        "max_age",
        "max_deliveries",
        "dedup",
        "discard",
    ];

    /// Sets the option `name` to `value`, both as a person writes them. `none` takes a limit away.
    ///
    /// # Errors
    /// [`OptionError`] when there is no such option, or it does not take this value.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), OptionError> {
        match name {
            "lease" => {
                self.lease = duration(
                    "lease",
                    value,
                    MIN_LEASE..=MAX_LEASE,
                    "a duration from 100ms to 365d",
                )?;
            }
            "max_messages" => self.max_messages = count("max_messages", value)?,
            "max_bytes" => self.max_bytes = size("max_bytes", value)?,
            "max_age" if is_none_word(value) => self.max_age = None,
            "max_age" => {
                let range = MIN_WINDOW..=MAX_OPTION_DURATION;
                self.max_age = Some(duration(
                    "max_age",
                    value,
                    range,
                    "a duration from 100ms to 365d, or none",
                )?);
            }
            "max_deliveries" => self.max_deliveries = count("max_deliveries", value)?,
            "dedup" => {
                let range = MIN_WINDOW..=MAX_OPTION_DURATION;
                self.dedup = duration("dedup", value, range, "a duration from 100ms to 365d")?;
            }
            "discard" => {
                self.discard = match value {
                    "reject" => QueueDiscard::Reject,
                    "drop-oldest" => QueueDiscard::DropOldest,
                    _ => {
                        return Err(OptionError::bad_value(
                            "discard",
                            value,
                            "reject or drop-oldest",
                        ));
                    }
                };
            }
            _ => return Err(OptionError::unknown(name, Self::NAMES)),
        }
        Ok(())
    }
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            lease: DEFAULT_ACK_WAIT,
            max_messages: None,
            max_bytes: None,
            max_age: None,
            max_deliveries: None,
            dedup: DEFAULT_DUPLICATE_WINDOW,
            discard: QueueDiscard::default(),
        }
    }
}

impl<'de> Deserialize<'de> for QueueOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut options = Self::default();
        deserialize_each(deserializer, |name, value| options.set(name, value))?;
        Ok(options)
    }
}

/// The stream that a queue becomes.
pub fn stream_config(queue: &QueueName, options: &QueueOptions) -> StreamConfig {
    let mut config = StreamConfig::new(stream_name(queue));
    config.subjects = vec![subject(queue)];
    config.retention = RetentionPolicy::WorkQueue;
    config.max_msgs = to_jetstream_limit(options.max_messages);
    config.max_bytes = to_jetstream_limit(options.max_bytes);
    config.max_age = options.max_age.unwrap_or_default();
    // nats-server refuses a window that outlasts the messages.
    config.duplicate_window = options
        .max_age
        .map_or(options.dedup, |max_age| options.dedup.min(max_age));
    config.discard = match options.discard {
        QueueDiscard::Reject => DiscardPolicy::New,
        QueueDiscard::DropOldest => DiscardPolicy::Old,
    };
    config.allow_direct = true;
    config
        .metadata
        .insert(KIND_KEY.to_owned(), KIND_QUEUE.to_owned());
    config.with_defaults()
}

/// The consumer that all workers of a queue share.
pub fn consumer_config(queue: &QueueName, options: &QueueOptions) -> ConsumerConfig {
    let config = ConsumerConfig {
        durable_name: Some(workers()),
        name: Some(workers()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: options.lease,
        max_deliver: to_jetstream_limit(options.max_deliveries),
        max_ack_pending: MAX_LEASED,
        max_waiting: MAX_WAITING_POPS,
        ..ConsumerConfig::default()
    };
    config.with_defaults(&stream_config(queue, options))
}

/// The options of a queue as its stream and consumer have them.
pub fn options_from(stream: &StreamConfig, workers: &ConsumerConfig) -> QueueOptions {
    QueueOptions {
        lease: workers.ack_wait,
        max_messages: from_jetstream_limit(stream.max_msgs),
        max_bytes: from_jetstream_limit(stream.max_bytes),
        max_age: from_jetstream_age(stream.max_age),
        max_deliveries: from_jetstream_limit(workers.max_deliver),
        dedup: stream.duplicate_window,
        discard: match stream.discard {
            DiscardPolicy::New => QueueDiscard::Reject,
            DiscardPolicy::Old => QueueDiscard::DropOldest,
        },
    }
}

/// Whether an existing queue is what `options` ask for, so that creating it again changes nothing.
pub fn is_same(
    queue: &QueueName,
    options: &QueueOptions,
    stream: &StreamConfig,
    workers: &ConsumerConfig,
) -> bool {
    let wanted = options_from(
        &stream_config(queue, options),
        &consumer_config(queue, options),
    );
    wanted == options_from(stream, workers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs() -> QueueName {
        QueueName::parse("jobs").unwrap()
    }

    fn with(pairs: &[(&str, &str)]) -> Result<QueueOptions, OptionError> {
        let mut options = QueueOptions::default();
        for (name, value) in pairs {
            options.set(name, value)?;
        }
        Ok(options)
    }

    #[test]
    fn a_queue_is_a_stream_a_subject_and_a_consumer() {
        assert_eq!(stream_name(&jobs()).as_str(), "Q_jobs");
        assert_eq!(subject(&jobs()), "$Q.jobs");
        assert_eq!(workers().as_str(), "workers");
        assert_eq!(is_queue_stream(&stream_name(&jobs())), Some(jobs()));
        assert_eq!(queue_of_subject("$Q.jobs"), Some(jobs()));
        for stream in ["T_jobs", "jobs", "Q_", "Q_größe"] {
            assert_eq!(
                is_queue_stream(&StreamName::parse(stream).unwrap()),
                None,
                "{stream}"
            );
        }
        for subject in ["$T.jobs", "$Q.", "$Q.jobs.x", "jobs"] {
            assert_eq!(queue_of_subject(subject), None, "{subject}");
        }
        let longest = QueueName::parse(&"q".repeat(128)).unwrap();
        assert_eq!(is_queue_stream(&stream_name(&longest)), Some(longest));
    }

    #[test]
    fn every_option_is_set_by_its_name() {
        let values = ["1m", "10", "1MiB", "1h", "5", "30s", "drop-oldest"];
        let pairs: Vec<_> = QueueOptions::NAMES.iter().copied().zip(values).collect();
        let options = with(&pairs).unwrap();
        assert_eq!(
            options,
            QueueOptions {
                lease: Duration::from_secs(60),
                max_messages: Some(10),
                max_bytes: Some(1 << 20),
                max_age: Some(Duration::from_secs(3600)),
                max_deliveries: Some(5),
                dedup: Duration::from_secs(30),
                discard: QueueDiscard::DropOldest,
            }
        );
        assert_eq!(
            options_from(
                &stream_config(&jobs(), &options),
                &consumer_config(&jobs(), &options)
            ),
            options
        );
    }

    #[test]
    fn none_takes_a_limit_away() {
        for name in ["max_messages", "max_bytes", "max_age", "max_deliveries"] {
            let value = if name == "max_age" { "1h" } else { "7" };
            assert_ne!(with(&[(name, value)]), Ok(QueueOptions::default()));
            assert_eq!(
                with(&[(name, value), (name, "none")]),
                Ok(QueueOptions::default()),
                "{name}"
            );
        }
    }

    #[test]
    fn what_is_wrong_with_an_option_is_told() {
        let check = |name: &str, value: &str, text: &str| {
            assert_eq!(with(&[(name, value)]).unwrap_err().to_string(), text);
        };
        check(
            "laese",
            "30s",
            "unknown option 'laese', did you mean lease?",
        );
        check(
            "colour",
            "red",
            "unknown option 'colour'; the options are lease, max_messages, max_bytes, max_age, max_deliveries, dedup, discard",
        );
        check(
            "lease",
            "30",
            "option lease can not be '30'; use a duration from 100ms to 365d",
        );
        check(
            "lease",
            "0s",
            "option lease can not be '0s'; use a duration from 100ms to 365d",
        );
        check(
            "lease",
            "366d",
            "option lease can not be '366d'; use a duration from 100ms to 365d",
        );
        check(
            "lease",
            "none",
            "option lease can not be 'none'; use a duration from 100ms to 365d",
        );
        check(
            "max_messages",
            "0",
            "option max_messages can not be '0'; use a number from 1 on, or none",
        );
        check(
            "max_messages",
            "-1",
            "option max_messages can not be '-1'; use a number from 1 on, or none",
        );
        check(
            "max_messages",
            "9223372036854775808",
            "option max_messages can not be '9223372036854775808'; use a number from 1 on, or none",
        );
        check(
            "max_bytes",
            "big",
            "option max_bytes can not be 'big'; use a size such as 10MiB, or none",
        );
        check(
            "discard",
            "all",
            "option discard can not be 'all'; use reject or drop-oldest",
        );
        check(
            "discard",
            "a'\r\nb",
            "option discard can not be 'a???b'; use reject or drop-oldest",
        );
    }

    #[test]
    fn options_are_json_with_durations_as_texts() {
        let options = with(&[
            ("lease", "90s"),
            ("max_bytes", "1KiB"),
            ("discard", "drop-oldest"),
        ])
        .unwrap();
        let json = r#"{"lease":"1m30s","max_bytes":1024,"dedup":"2m","discard":"drop-oldest"}"#;
        assert_eq!(serde_json::to_string(&options).unwrap(), json);
        assert_eq!(serde_json::from_str::<QueueOptions>(json).unwrap(), options);
        let loose = r#"{"lease":"90s","max_bytes":"1KiB","max_age":null,"discard":"drop-oldest"}"#;
        assert_eq!(
            serde_json::from_str::<QueueOptions>(loose).unwrap(),
            options
        );
        assert_eq!(
            serde_json::from_str::<QueueOptions>("{}").unwrap(),
            QueueOptions::default()
        );
    }

    #[test]
    fn a_json_member_that_is_no_option_is_refused_with_the_nearest() {
        let check = |json: &str, text: &str| {
            let error = serde_json::from_str::<QueueOptions>(json)
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(text), "{error}");
        };
        check(
            r#"{"max_message":5}"#,
            "unknown option 'max_message', did you mean max_messages?",
        );
        check(
            r#"{"lease":30}"#,
            "option lease can not be '30'; use a duration",
        );
        check(r#"{"lease":true}"#, "an option is a text or a whole number");
        check(
            r#"{"max_messages":1.5}"#,
            "an option is a text or a whole number",
        );
        check(
            "[]",
            "invalid type: sequence, expected an object of options",
        );
    }

    #[test]
    fn the_stream_of_a_queue_is_what_a_stock_client_would_create() {
        let config = stream_config(&jobs(), &QueueOptions::default());
        assert_eq!(
            serde_json::to_value(&config).unwrap(),
            serde_json::json!({
                "name": "Q_jobs", "subjects": ["$Q.jobs"], "retention": "workqueue", "max_consumers": -1, "max_msgs": -1,
                "max_bytes": -1, "max_age": 0, "max_msgs_per_subject": -1, "max_msg_size": -1, "discard": "new",
                "storage": "file", "num_replicas": 1, "duplicate_window": 120_000_000_000_u64, "compression": "none",
                "allow_direct": true, "mirror_direct": false, "sealed": false, "deny_delete": false, "deny_purge": false,
                "allow_rollup_hdrs": false, "consumer_limits": {}, "allow_msg_ttl": false,
                "metadata": {"relevo.kind": "queue"}
            })
        );
        assert_eq!(
            serde_json::to_value(consumer_config(&jobs(), &QueueOptions::default())).unwrap(),
            serde_json::json!({
                "durable_name": "workers", "name": "workers", "deliver_policy": "all", "ack_policy": "explicit",
                "ack_wait": 30_000_000_000_u64, "max_deliver": -1, "replay_policy": "instant", "max_waiting": 4096,
                "max_ack_pending": 100_000, "num_replicas": 0
            })
        );
    }

    #[test]
    fn creating_a_queue_again_is_the_same_only_with_the_same_options() {
        let check = |first: &[(&str, &str)], again: &[(&str, &str)], expected: bool| {
            let first = with(first).unwrap();
            let stream = stream_config(&jobs(), &first);
            let workers = consumer_config(&jobs(), &first);
            assert_eq!(
                is_same(&jobs(), &with(again).unwrap(), &stream, &workers),
                expected
            );
        };
        check(&[], &[], true);
        check(&[], &[("lease", "30s")], true);
        check(&[("max_age", "1m")], &[("max_age", "60s")], true);
        check(
            &[("max_age", "1m")],
            &[("max_age", "60s"), ("dedup", "1m")],
            true,
        );
        check(&[], &[("lease", "31s")], false);
        check(&[("max_messages", "5")], &[], false);
        check(&[], &[("discard", "drop-oldest")], false);
        check(&[], &[("max_deliveries", "5")], false);
    }
}
