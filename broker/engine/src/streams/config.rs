//! Which stream configurations this version serves, and how what was left open is filled in.
//!
//! An option that would change what a stream does and is not built is refused: nothing that a client
//! asks for is silently left out. Rules and texts follow nats-server 2.15, `checkStreamCfg`.

use std::borrow::Cow;
use std::time::Duration;

use relevo_protocol::convention::{KIND_KEY, KIND_QUEUE};
use relevo_protocol::jetstream::error::JetStreamError;
use relevo_protocol::jetstream::stream::{
    Compression, DiscardPolicy, MAX_DESCRIPTION_LEN, MAX_METADATA_LEN, MAX_REPLICAS, PersistMode,
    RetentionPolicy, StreamConfig,
};
use relevo_protocol::subject::SubjectFilter;

/// Most subjects of one stream.
pub const SUBJECTS_MAX: usize = 4096;
/// The highest sequence that a stream may begin with.
pub const FIRST_SEQUENCE_MAX: u64 = 1 << 53;
/// The shortest `max_age` and `duplicate_window` (nats-server `checkStreamCfg`).
pub const WINDOW_MIN: Duration = Duration::from_millis(100);

/// Subjects that belong to the system.
const RESERVED: [&str; 2] = ["$JS.>", "$SYS.>"];

/// The configuration as it is kept and shown.
///
/// # Errors
/// [`JetStreamError`] for values that make no sense, and for options that this version does not serve.
pub fn settle(config: StreamConfig) -> Result<StreamConfig, JetStreamError> {
    let config = config.with_defaults();
    check_served(&config)?;
    check_values(&config)?;
    check_subjects(&config)?;
    Ok(config)
}

/// Whether the stream is a queue: its messages may ask for a delay, a priority or an ordering key, and
/// its leases are strict.
pub(super) fn is_queue(config: &StreamConfig) -> bool {
    config
        .metadata
        .get(KIND_KEY)
        .is_some_and(|kind| kind == KIND_QUEUE)
}

fn check_served(config: &StreamConfig) -> Result<(), JetStreamError> {
    let not_served = [
        (
            config.retention == RetentionPolicy::Interest,
            "retention \"interest\"",
        ),
        (config.mirror.is_some(), "mirror"),
        (!config.sources.is_empty(), "sources"),
        (config.compression != Compression::None, "compression"),
        (config.subject_transform.is_some(), "subject_transform"),
        (config.republish.is_some(), "republish"),
        (config.mirror_direct, "mirror_direct"),
        (config.allow_rollup_hdrs, "allow_rollup_hdrs"),
        (config.allow_msg_ttl, "allow_msg_ttl"),
        (
            !config.subject_delete_marker_ttl.is_zero(),
            "subject_delete_marker_ttl",
        ),
        (config.allow_msg_counter, "allow_msg_counter"),
        (config.allow_atomic, "allow_atomic"),
        (config.allow_msg_schedules, "allow_msg_schedules"),
        (config.allow_batched, "allow_batched"),
        (
            config.persist_mode != PersistMode::Default,
            "persist_mode \"async\"",
        ),
        (config.placement.is_some(), "placement"),
    ];
    match not_served.into_iter().find(|(asked, _)| *asked) {
        Some((_, option)) => Err(invalid(format!(
            "{option} is not supported by this server; leave it out"
        ))),
        None => Ok(()),
    }
}

fn check_values(config: &StreamConfig) -> Result<(), JetStreamError> {
    let metadata_len: usize = config
        .metadata
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    let is_windowed = config.max_age > Duration::ZERO;
    let rules = [
        (
            config.description.len() > MAX_DESCRIPTION_LEN,
            "stream description is too long, maximum allowed is 4096",
        ),
        (
            metadata_len > MAX_METADATA_LEN,
            "stream metadata exceeds maximum size of 131072 bytes",
        ),
        (config.num_replicas > MAX_REPLICAS, "maximum replicas is 5"),
        (
            config.sealed,
            "stream configuration for create can not be sealed",
        ),
        (
            is_windowed && config.max_age < WINDOW_MIN,
            "max age needs to be >= 100ms",
        ),
        (
            config.duplicate_window < WINDOW_MIN,
            "duplicates window needs to be >= 100ms",
        ),
        (
            is_windowed && config.duplicate_window > config.max_age,
            "duplicates window can not be larger then max age",
        ),
        (
            config.discard_new_per_subject && config.discard != DiscardPolicy::New,
            "discard new per subject requires discard new policy to be set",
        ),
        (
            config.discard_new_per_subject && config.max_msgs_per_subject < 1,
            "discard new per subject requires max msgs per subject > 0",
        ),
        (
            config.first_seq > FIRST_SEQUENCE_MAX,
            "first_seq is too high, maximum allowed is 2^53",
        ),
        (
            is_queue(config) && config.retention != RetentionPolicy::WorkQueue,
            "a stream with relevo.kind \"queue\" needs retention \"workqueue\"",
        ),
    ];
    match rules.into_iter().find(|(is_broken, _)| *is_broken) {
        Some((_, text)) => Err(invalid(text)),
        None => Ok(()),
    }
}

fn check_subjects(config: &StreamConfig) -> Result<(), JetStreamError> {
    if config.subjects.len() > SUBJECTS_MAX {
        return Err(invalid(format!(
            "a stream can have at most {SUBJECTS_MAX} subjects"
        )));
    }
    let mut filters: Vec<SubjectFilter> = Vec::with_capacity(config.subjects.len());
    let reserved: Vec<SubjectFilter> = RESERVED.iter().flat_map(SubjectFilter::parse).collect();
    for subject in &config.subjects {
        let filter = SubjectFilter::parse(subject)
            .map_err(|error| invalid(format!("invalid subject {subject:?}: {error}")))?;
        if reserved.iter().any(|reserved| reserved.overlaps(&filter)) {
            return Err(invalid(format!(
                "subject {subject:?} overlaps with $JS.> or $SYS.>"
            )));
        }
        if let Some(other) = filters.iter().find(|other| other.overlaps(&filter)) {
            return Err(invalid(if *other == filter {
                format!("duplicate subjects detected: {subject:?}")
            } else {
                format!("subject {subject:?} overlaps with {:?}", other.as_str())
            }));
        }
        filters.push(filter);
    }
    Ok(())
}

fn invalid(text: impl Into<Cow<'static, str>>) -> JetStreamError {
    JetStreamError::StreamInvalidConfig { err: text.into() }
}

#[cfg(test)]
mod tests {
    use relevo_protocol::jetstream::stream::StreamSource;
    use relevo_protocol::name::StreamName;

    use super::*;

    #[track_caller]
    fn check(change: impl FnOnce(&mut StreamConfig), expected: Result<(), &str>) {
        let mut config = StreamConfig::new(StreamName::parse("ORDERS").unwrap());
        change(&mut config);
        let settled = settle(config);
        let outcome = settled
            .as_ref()
            .map(|_| ())
            .map_err(|error| error.description().into_owned());
        assert_eq!(outcome.as_ref().map_err(String::as_str).copied(), expected);
        if let Ok(settled) = settled {
            assert_eq!(settle(settled.clone()), Ok(settled));
        }
    }

    #[test]
    fn what_was_left_open_is_filled_in() {
        check(|_| {}, Ok(()));
        let settled = settle(StreamConfig::new(StreamName::parse("ORDERS").unwrap())).unwrap();
        assert_eq!(settled.subjects, ["ORDERS"]);
        assert_eq!((settled.max_msgs, settled.num_replicas), (-1, 1));
    }

    #[test]
    fn options_that_are_not_built_are_refused_by_name() {
        let source = StreamSource {
            name: "X".into(),
            opt_start_seq: 0,
            opt_start_time: None,
            filter_subject: String::new(),
            subject_transforms: Vec::new(),
            external: None,
            consumer: None,
        };
        check(
            |config| config.mirror = Some(source),
            Err("mirror is not supported by this server; leave it out"),
        );
        check(
            |config| config.compression = Compression::S2,
            Err("compression is not supported by this server; leave it out"),
        );
        check(
            |config| config.retention = RetentionPolicy::Interest,
            Err("retention \"interest\" is not supported by this server; leave it out"),
        );
        check(
            |config| config.allow_msg_ttl = true,
            Err("allow_msg_ttl is not supported by this server; leave it out"),
        );
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        let ms = Duration::from_millis;
        check(
            |config| config.max_age = ms(99),
            Err("max age needs to be >= 100ms"),
        );
        check(|config| config.max_age = ms(100), Ok(()));
        check(
            |config| (config.max_age, config.duplicate_window) = (ms(100), ms(101)),
            Err("duplicates window can not be larger then max age"),
        );
        check(|config| config.num_replicas = 5, Ok(()));
        check(
            |config| config.num_replicas = 6,
            Err("maximum replicas is 5"),
        );
        check(
            |config| config.sealed = true,
            Err("stream configuration for create can not be sealed"),
        );
        check(
            |config| config.discard_new_per_subject = true,
            Err("discard new per subject requires discard new policy to be set"),
        );
        check(
            |config| drop(config.metadata.insert("relevo.kind".into(), "queue".into())),
            Err("a stream with relevo.kind \"queue\" needs retention \"workqueue\""),
        );
    }

    #[test]
    fn subjects_are_valid_and_do_not_overlap() {
        let subjects = |subjects: &[&str]| {
            let subjects: Vec<String> = subjects.iter().map(|s| (*s).to_owned()).collect();
            move |config: &mut StreamConfig| config.subjects = subjects
        };
        check(subjects(&["a.*", "b.>"]), Ok(()));
        check(
            subjects(&["a", "a"]),
            Err("duplicate subjects detected: \"a\""),
        );
        check(
            subjects(&["a.*", "a.b"]),
            Err("subject \"a.b\" overlaps with \"a.*\""),
        );
        check(
            subjects(&["a..b"]),
            Err(
                "invalid subject \"a..b\": subject has an empty token; put exactly one dot between tokens",
            ),
        );
        check(
            subjects(&[">"]),
            Err("subject \">\" overlaps with $JS.> or $SYS.>"),
        );
        check(
            subjects(&["$JS.API.X"]),
            Err("subject \"$JS.API.X\" overlaps with $JS.> or $SYS.>"),
        );
    }
}
