//! Which consumer configurations this version serves, and how what was left open is filled in.
//!
//! Rules and texts follow nats-server 2.15, `checkConsumerCfg`.

use std::borrow::Cow;
use std::time::Duration;

use relevo_protocol::jetstream::consumer::{
    AckPolicy, ConsumerConfig, DeliverPolicy, PriorityPolicy, ReplayPolicy,
};
use relevo_protocol::jetstream::error::JetStreamError;
use relevo_protocol::jetstream::stream::{MAX_DESCRIPTION_LEN, MAX_METADATA_LEN, StreamConfig};
use relevo_protocol::subject::SubjectFilter;

use super::consumer::{Consumer, filters};
use super::stream::Stream;
use super::subjects::Interest;

/// Most pull requests that wait at one consumer.
pub(super) const MAX_WAITING_LIMIT: i64 = 65_536;
/// Most subject filters of one consumer.
const FILTERS_MAX: usize = 1024;
/// The shortest `max_expires`.
const MAX_EXPIRES_MIN: Duration = Duration::from_millis(1);

/// The configuration of a new consumer of `stream` as it is kept and shown.
///
/// # Errors
/// [`JetStreamError`] for values that make no sense, and for options that this version does not serve.
pub(super) fn settle(
    config: ConsumerConfig,
    stream: &StreamConfig,
) -> Result<ConsumerConfig, JetStreamError> {
    check_served(&config)?;
    check_values(&config, stream)?;
    check_filters(&config, stream)?;
    let settled = config.with_defaults(stream);
    let bound = stream.consumer_limits.max_ack_pending;
    if bound > 0 && (settled.max_ack_pending < 0 || settled.max_ack_pending > bound) {
        return Err(JetStreamError::MaxPendingAckExcess { limit: bound });
    }
    let bound = stream.consumer_limits.inactive_threshold;
    if !bound.is_zero() && settled.inactive_threshold > bound {
        let limit = relevo_protocol::time::format_duration(bound);
        return Err(JetStreamError::InactiveThresholdExcess { limit });
    }
    Ok(settled)
}

/// Whether a work queue may have this consumer beside the others.
///
/// # Errors
/// [`JetStreamError`] when two consumers would want the same message.
pub(super) fn check_beside_others(
    config: &ConsumerConfig,
    stream: &Stream,
) -> Result<(), JetStreamError> {
    let others = || {
        let name = config.name.as_ref();
        stream
            .consumers
            .values()
            .filter(move |other| Some(&other.name) != name)
    };
    let limit = usize::try_from(stream.config.max_consumers)
        .ok()
        .filter(|limit| *limit > 0);
    if limit.is_some_and(|limit| others().count() >= limit) {
        return Err(JetStreamError::MaximumConsumers);
    }
    if !stream.is_work_queue() {
        return Ok(());
    }
    let interest = Interest::new(filters(config), &stream.subjects);
    if interest.is_unfiltered() && others().next().is_some() {
        return Err(JetStreamError::WorkQueueMultipleUnfiltered);
    }
    if others().any(|other| other.interest.overlaps(&interest)) {
        return Err(JetStreamError::WorkQueueConsumerNotUnique);
    }
    Ok(())
}

/// Whether a consumer that is there may become this one.
///
/// # Errors
/// [`JetStreamError`] naming what can not be changed (nats-server `checkNewConsumerConfig`).
pub(super) fn check_update(old: &Consumer, new: &ConsumerConfig) -> Result<(), JetStreamError> {
    let old = &old.config;
    let fixed = [
        (old.deliver_policy != new.deliver_policy, "deliver policy"),
        (old.opt_start_seq != new.opt_start_seq, "start sequence"),
        (old.opt_start_time != new.opt_start_time, "start time"),
        (old.ack_policy != new.ack_policy, "ack policy"),
        (old.replay_policy != new.replay_policy, "replay policy"),
        (old.durable_name != new.durable_name, "durable name"),
        (old.max_waiting != new.max_waiting, "max waiting"),
    ];
    match fixed.into_iter().find(|(differs, _)| *differs) {
        Some((_, what)) => Err(refused(format!("{what} can not be updated"))),
        None => Ok(()),
    }
}

fn check_served(config: &ConsumerConfig) -> Result<(), JetStreamError> {
    if !config.is_pull() {
        return Err(refused(
            "push consumers are not supported by this server; leave deliver_subject out and pull",
        ));
    }
    if config.flow_control {
        return Err(JetStreamError::FlowControlRequiresPush);
    }
    if !config.idle_heartbeat.is_zero() {
        return Err(JetStreamError::HeartbeatRequiresPush);
    }
    if config.rate_limit_bps > 0 {
        return Err(JetStreamError::PullWithRateLimit);
    }
    let not_served = [
        (!config.deliver_group.is_empty(), "deliver_group"),
        (
            config.ack_policy == AckPolicy::FlowControl,
            "ack_policy \"flow_control\"",
        ),
        (
            config.replay_policy == ReplayPolicy::Original,
            "replay_policy \"original\"",
        ),
        (!config.sample_freq.is_empty(), "sample_freq"),
        (config.direct, "direct"),
        (config.sourcing, "sourcing"),
        (config.pause_until.is_some(), "pause_until"),
        (!config.priority_groups.is_empty(), "priority_groups"),
        (
            config.priority_policy != PriorityPolicy::None,
            "priority_policy",
        ),
        (!config.priority_timeout.is_zero(), "priority_timeout"),
    ];
    match not_served.into_iter().find(|(asked, _)| *asked) {
        Some((_, option)) => Err(refused(format!(
            "{option} is not supported by this server; leave it out"
        ))),
        None => Ok(()),
    }
}

fn check_values(config: &ConsumerConfig, stream: &StreamConfig) -> Result<(), JetStreamError> {
    let is_work_queue =
        stream.retention == relevo_protocol::jetstream::stream::RetentionPolicy::WorkQueue;
    let metadata_len: usize = config
        .metadata
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if config.description.len() > MAX_DESCRIPTION_LEN {
        return Err(JetStreamError::ConsumerDescriptionTooLong {
            max: MAX_DESCRIPTION_LEN,
        });
    }
    if metadata_len > MAX_METADATA_LEN {
        return Err(JetStreamError::ConsumerMetadataLength {
            limit: MAX_METADATA_LEN,
        });
    }
    if config.num_replicas > relevo_protocol::jetstream::stream::MAX_REPLICAS {
        return Err(refused("maximum replicas is 5"));
    }
    if config.max_waiting > MAX_WAITING_LIMIT {
        return Err(refused(format!(
            "max waiting can be at most {MAX_WAITING_LIMIT}"
        )));
    }
    if config.max_batch < 0 {
        return Err(JetStreamError::MaxRequestBatchNegative);
    }
    if !config.max_expires.is_zero() && config.max_expires < MAX_EXPIRES_MIN {
        return Err(JetStreamError::MaxRequestExpiresTooSmall);
    }
    let backoff_count = i64::try_from(config.backoff.len()).unwrap_or(i64::MAX);
    if config.max_deliver > 0 && config.max_deliver <= backoff_count {
        return Err(JetStreamError::MaxDeliverBackoff);
    }
    if is_work_queue && config.ack_policy != AckPolicy::Explicit {
        return Err(JetStreamError::PullRequiresAck);
    }
    if is_work_queue && config.deliver_policy != DeliverPolicy::All {
        return Err(JetStreamError::WorkQueueConsumerNotDeliverAll);
    }
    if config.ack_policy == AckPolicy::None && config.max_ack_pending > 0 {
        return Err(JetStreamError::MaxPendingRequiresAck);
    }
    check_start(config)
}

fn check_start(config: &ConsumerConfig) -> Result<(), JetStreamError> {
    let policy = config.deliver_policy;
    let has_sequence = config.opt_start_seq > 0;
    let has_time = config.opt_start_time.is_some();
    let text = match policy {
        DeliverPolicy::ByStartSequence if !has_sequence => {
            "consumer delivery policy is deliver by start sequence, but optional start sequence is not set"
        }
        DeliverPolicy::ByStartSequence if has_time => {
            "consumer delivery policy is deliver by start sequence, but optional start time is also set"
        }
        DeliverPolicy::ByStartTime if !has_time => {
            "consumer delivery policy is deliver by start time, but optional start time is not set"
        }
        DeliverPolicy::ByStartTime if has_sequence => {
            "consumer delivery policy is deliver by start time, but optional start sequence is also set"
        }
        DeliverPolicy::LastPerSubject
            if config.filter_subject.is_empty() && config.filter_subjects.is_empty() =>
        {
            "consumer delivery policy is deliver last per subject, but filter subject is not set"
        }
        DeliverPolicy::ByStartSequence | DeliverPolicy::ByStartTime => return Ok(()),
        DeliverPolicy::All
        | DeliverPolicy::Last
        | DeliverPolicy::New
        | DeliverPolicy::LastPerSubject
            if has_sequence =>
        {
            "consumer delivery policy does not start at a sequence, but optional start sequence is set"
        }
        DeliverPolicy::All
        | DeliverPolicy::Last
        | DeliverPolicy::New
        | DeliverPolicy::LastPerSubject
            if has_time =>
        {
            "consumer delivery policy does not start at a time, but optional start time is set"
        }
        DeliverPolicy::All
        | DeliverPolicy::Last
        | DeliverPolicy::New
        | DeliverPolicy::LastPerSubject => return Ok(()),
    };
    Err(JetStreamError::InvalidPolicy {
        err: Cow::Borrowed(text),
    })
}

fn check_filters(config: &ConsumerConfig, stream: &StreamConfig) -> Result<(), JetStreamError> {
    if !config.filter_subject.is_empty() && !config.filter_subjects.is_empty() {
        return Err(JetStreamError::DuplicateFilterSubjects);
    }
    if config.filter_subjects.iter().any(String::is_empty) {
        return Err(JetStreamError::EmptyFilter);
    }
    if config.filter_subjects.len() > FILTERS_MAX {
        return Err(refused(format!(
            "a consumer can have at most {FILTERS_MAX} filter subjects"
        )));
    }
    let subjects: Vec<SubjectFilter> = stream
        .subjects
        .iter()
        .flat_map(SubjectFilter::parse)
        .collect();
    let mut seen: Vec<SubjectFilter> = Vec::new();
    let asked = std::iter::once(&config.filter_subject).filter(|filter| !filter.is_empty());
    for text in asked.chain(&config.filter_subjects) {
        let filter = SubjectFilter::parse(text).map_err(|_| JetStreamError::FilterNotSubset)?;
        if !subjects.iter().any(|subject| subject.overlaps(&filter)) {
            return Err(JetStreamError::FilterNotSubset);
        }
        if seen.iter().any(|other| other.overlaps(&filter)) {
            return Err(JetStreamError::OverlappingSubjectFilters);
        }
        seen.push(filter);
    }
    Ok(())
}

fn refused(text: impl Into<Cow<'static, str>>) -> JetStreamError {
    JetStreamError::ConsumerCreate { err: text.into() }
}
