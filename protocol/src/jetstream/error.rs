//! The numbered errors of the JetStream API.
//!
//! Numbers, HTTP-like codes and texts are those of nats-server's `server/errors.json`: clients match on the number.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What an API response or a PubAck says when the request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ApiError {
    /// What kind of refusal it is, numbered as HTTP does: 400, 404, 409, 412, 429, 500 or 503.
    pub code: u16,
    /// The error's own number, see [`ErrorCode`]; 0 when the server gave none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub err_code: u16,
    /// A text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

impl ApiError {
    /// The error in our table, when its number is there.
    pub fn error_code(&self) -> Option<ErrorCode> {
        ErrorCode::from_number(self.err_code)
    }

    /// Whether this is the error `code`.
    pub fn is(&self, code: ErrorCode) -> bool {
        self.err_code == code.number()
    }

    /// Whether nothing was written and the same request may be sent again, now or a little later.
    pub fn is_try_again(&self) -> bool {
        self.is(ErrorCode::TemporarilyUnavailable)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.description, self.err_code)
    }
}

impl std::error::Error for ApiError {}

impl From<&JetStreamError> for ApiError {
    fn from(error: &JetStreamError) -> Self {
        Self {
            code: error.code(),
            err_code: error.err_code(),
            description: error.description().into_owned(),
        }
    }
}

impl From<JetStreamError> for ApiError {
    fn from(error: JetStreamError) -> Self {
        Self::from(&error)
    }
}

impl JetStreamError {
    /// The HTTP-like code, `code` in JSON.
    pub const fn code(&self) -> u16 {
        self.error_code().http_status()
    }

    /// The error's number, `err_code` in JSON.
    pub const fn err_code(&self) -> u16 {
        self.error_code().number()
    }
}

impl fmt::Display for JetStreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.description(), self.err_code())
    }
}

impl std::error::Error for JetStreamError {}

impl ErrorCode {
    /// The row with this number. 10008 has two rows, [`Self::TemporarilyUnavailable`] stands for both.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.number() == number)
    }
}

/// One row per error: number, HTTP-like code, variant with what its text names, text.
macro_rules! error_table {
    ($( $number:literal $http:literal $variant:ident $({ $($field:ident : $type:ty),+ })? $text:literal )+) => {
        /// Why a JetStream request was refused, with what the text has to name.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum JetStreamError {
            $(
                #[doc = concat!(stringify!($number), ": ", $text)]
                $variant $({ $(
                    #[doc = concat!("What the text names as `", stringify!($field), "`.")]
                    $field: $type
                ),+ })?,
            )+
        }

        impl JetStreamError {
            /// Which row of the table this is.
            pub const fn error_code(&self) -> ErrorCode {
                match self {
                    $( Self::$variant { .. } => ErrorCode::$variant, )+
                }
            }

            /// The text for people.
            pub fn description(&self) -> Cow<'static, str> {
                match self {
                    $( Self::$variant $({ $($field),+ })? => error_table!(@text $text $($($field)+)?), )+
                }
            }
        }

        /// The errors of the table without what their texts name; what a client compares with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ErrorCode {
            $(
                #[doc = concat!(stringify!($number), ": ", $text)]
                $variant,
            )+
        }

        impl ErrorCode {
            /// All rows of the table.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )+ ];

            /// The error's number, `err_code` in JSON.
            pub const fn number(self) -> u16 {
                match self {
                    $( Self::$variant => $number, )+
                }
            }

            /// The HTTP-like code, `code` in JSON.
            pub const fn http_status(self) -> u16 {
                match self {
                    $( Self::$variant => $http, )+
                }
            }

            /// The text before anything is filled in.
            pub const fn template(self) -> &'static str {
                match self {
                    $( Self::$variant => $text, )+
                }
            }
        }
    };
    (@text $text:literal) => { Cow::Borrowed($text) };
    (@text $text:literal $($field:ident)+) => { Cow::Owned(format!($text)) };
}

error_table! {
    10002 400 AccountResourcesExceeded "resource limits exceeded for account"
    10003 400 BadRequest "bad request"
    10008 503 TemporarilyUnavailable "JetStream system temporarily unavailable"
    10008 503 PeerAway "peer away, nothing was written; try again"
    10012 500 ConsumerCreate { err: Cow<'static, str> } "{err}"
    10013 400 ConsumerNameExists "consumer name already in use"
    10014 404 ConsumerNotFound "consumer not found"
    10016 400 DurableNameNotInSubject "consumer expected to be durable but no durable name set in subject"
    10017 400 DurableNameNotMatchSubject "consumer name in subject does not match durable name in request"
    10018 400 DurableNameNotSet "consumer expected to be durable but a durable name was not set"
    10019 400 EphemeralWithDurableInSubject "consumer expected to be ephemeral but detected a durable name set in subject"
    10020 400 EphemeralWithDurableName "consumer expected to be ephemeral but a durable name was set in request"
    10023 503 InsufficientResources "insufficient resources"
    10025 400 InvalidJson { err: Cow<'static, str> } "invalid JSON: {err}"
    10026 400 MaximumConsumers "maximum consumers limit reached"
    10027 400 MaximumStreams "maximum number of streams reached"
    10037 404 NoMessageFound "no message found"
    10038 400 NotEmptyRequest "expected an empty request payload"
    10039 503 NotEnabledForAccount "JetStream not enabled for account"
    10043 400 SequenceNotFound { seq: u64 } "sequence {seq} not found"
    10047 500 StorageResourcesExceeded "insufficient storage resources available"
    10049 500 StreamCreate { err: Cow<'static, str> } "{err}"
    10050 500 StreamDelete { err: Cow<'static, str> } "{err}"
    10052 500 StreamInvalidConfig { err: Cow<'static, str> } "{err}"
    10053 500 StreamLimits { err: Cow<'static, str> } "{err}"
    10054 400 MessageExceedsMaximum "message size exceeds maximum allowed"
    10055 400 MirrorNotUpdatable "stream mirror configuration can not be updated"
    10056 400 StreamMismatch "stream name in subject does not match request"
    10057 500 MessageDeleteFailed { err: Cow<'static, str> } "{err}"
    10058 400 StreamNameExists "stream name already in use with a different configuration"
    10059 404 StreamNotFound "stream not found"
    10060 400 StreamNotMatch "expected stream does not match"
    10061 400 ReplicasNotUpdatable "Replicas configuration can not be updated"
    10065 400 SubjectOverlap "subjects overlap with an existing stream"
    10069 500 StreamUpdate { err: Cow<'static, str> } "{err}"
    10070 400 WrongLastMsgId { id: String } "wrong last msg ID: {id}"
    10071 400 WrongLastSequence { seq: u64 } "wrong last sequence: {seq}"
    10074 500 ReplicasNotSupported "replicas > 1 not supported in non-clustered mode"
    10076 503 NotEnabled "JetStream not enabled"
    10077 503 StreamStoreFailed { err: Cow<'static, str> } "{err}"
    10078 400 ConsumerConfigRequired "consumer config required"
    10079 400 DeliverToWildcards "consumer deliver subject has wildcards"
    10080 400 PushMaxWaiting "consumer in push mode can not set max waiting"
    10081 400 DeliverCycle "consumer deliver subject forms a cycle"
    10082 400 MaxPendingRequiresAck "consumer requires ack policy for max ack pending"
    10083 400 SmallHeartbeat "consumer idle heartbeat needs to be >= 100ms"
    10084 400 PullRequiresAck "consumer in pull mode requires explicit ack policy on workqueue stream"
    10085 400 PullNotDurable "consumer in pull mode requires a durable name"
    10086 400 PullWithRateLimit "consumer in pull mode can not have rate limit set"
    10087 400 MaxWaitingNegative "consumer max waiting needs to be positive"
    10088 400 HeartbeatRequiresPush "consumer idle heartbeat requires a push based consumer"
    10089 400 FlowControlRequiresPush "consumer flow control requires a push based consumer"
    10093 400 FilterNotSubset "consumer filter subject is not a valid subset of the interest subjects"
    10094 400 InvalidPolicy { err: Cow<'static, str> } "{err}"
    10097 400 HeaderExceedsMaximum "header size exceeds maximum allowed of 64k"
    10098 400 WorkQueueRequiresExplicitAck "workqueue stream requires explicit ack"
    10099 400 WorkQueueMultipleUnfiltered "multiple non-filtered consumers not allowed on workqueue stream"
    10100 400 WorkQueueConsumerNotUnique "filtered consumer not unique on workqueue stream"
    10101 400 WorkQueueConsumerNotDeliverAll "consumer must be deliver all on workqueue stream"
    10102 400 ConsumerNameTooLong { max: usize } "consumer name is too long, maximum allowed is {max}"
    10103 400 BadDurableName "durable name can not contain '.', '*', '>'"
    10105 400 ConsumerExistingActive "consumer already exists and is still active"
    10107 400 ConsumerDescriptionTooLong { max: usize } "consumer description is too long, maximum allowed is {max}"
    10109 400 StreamSealed "invalid operation on sealed stream"
    10110 500 StreamPurgeFailed { err: Cow<'static, str> } "{err}"
    10112 400 InvalidDeliverSubject "invalid push consumer deliver subject"
    10114 400 MaxRequestBatchNegative "consumer max request batch needs to be > 0"
    10115 400 MaxRequestExpiresTooSmall "consumer max request expires needs to be >= 1ms"
    10116 400 MaxDeliverBackoff "max deliver is required to be > length of backoff values"
    10117 500 InfoMaxSubjects "subject details would exceed maximum allowed"
    10118 500 StreamOffline "stream is offline"
    10119 500 ConsumerOffline "consumer is offline"
    10121 400 MaxPendingAckExcess { limit: i64 } "consumer max ack pending exceeds system limit of {limit}"
    10127 400 ConsumerNameContainsPathSeparators "Consumer name can not contain path separators"
    10128 400 StreamNameContainsPathSeparators "Stream name can not contain path separators"
    10131 400 CreateFilterSubjectMismatch "Consumer create request did not match filtered subject from create subject"
    10132 400 CreateDurableAndNameMismatch "Consumer Durable and Name have to be equal if both are provided"
    10133 400 ReplicasCountNegative "replicas count cannot be negative"
    10135 400 ConsumerMetadataLength { limit: usize } "consumer metadata exceeds maximum size of {limit}"
    10136 400 DuplicateFilterSubjects "consumer cannot have both FilterSubject and FilterSubjects specified"
    10137 400 MultipleFiltersNotAllowed "consumer with multiple subject filters cannot use subject based API"
    10138 400 OverlappingSubjectFilters "consumer subject filters cannot overlap"
    10139 400 EmptyFilter "consumer filter in FilterSubjects cannot be empty"
    10148 400 ConsumerAlreadyExists "consumer already exists"
    10149 400 ConsumerDoesNotExist "consumer does not exist"
    10153 400 InactiveThresholdExcess { limit: String } "consumer inactive threshold exceeds system limit of {limit}"
    10157 400 Pedantic { err: Cow<'static, str> } "pedantic mode: {err}"
    10158 409 DuplicateMessageConflict "duplicate message id is in process"
    10160 400 InvalidPriorityGroup "Provided priority group does not exist for this consumer"
    10164 400 WrongLastSequenceConstant "wrong last sequence"
    10165 400 MessageTtlInvalid "invalid per-message TTL"
    10166 400 MessageTtlDisabled "per-message TTL is disabled"
    10167 429 TooManyRequests "too many requests"
    10168 400 CountersDisabled "message counters is disabled"
    10174 400 AtomicPublishDisabled "atomic publish is disabled"
    10181 400 AckPolicyInvalid "consumer ack policy invalid"
    10182 400 ReplayPolicyInvalid "consumer replay policy invalid"
    10183 400 AckWaitNegative "consumer ack wait needs to be positive"
    10184 400 BackOffNegative "consumer backoff needs to be positive"
    10185 412 RequiredApiLevel "JetStream minimum api level required"
    10188 400 SchedulesDisabled "message schedules is disabled"
    10193 400 ExpectedLastSubjectSequenceMissing "missing sequence for expected last sequence per subject"
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes a reference"
)]
const fn is_zero(number: &u16) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: JetStreamError, code: u16, err_code: u16, description: &str) {
        assert_eq!(
            ApiError::from(error),
            ApiError {
                code,
                err_code,
                description: description.to_owned()
            }
        );
    }

    #[test]
    fn errors_have_the_numbers_and_texts_of_nats_server() {
        use JetStreamError as E;
        check(E::BadRequest, 400, 10003, "bad request");
        check(
            E::TemporarilyUnavailable,
            503,
            10008,
            "JetStream system temporarily unavailable",
        );
        check(
            E::ConsumerNameExists,
            400,
            10013,
            "consumer name already in use",
        );
        check(E::ConsumerNotFound, 404, 10014, "consumer not found");
        check(
            E::InsufficientResources,
            503,
            10023,
            "insufficient resources",
        );
        check(
            E::InvalidJson { err: "EOF".into() },
            400,
            10025,
            "invalid JSON: EOF",
        );
        check(E::NoMessageFound, 404, 10037, "no message found");
        check(
            E::StorageResourcesExceeded,
            500,
            10047,
            "insufficient storage resources available",
        );
        check(
            E::StreamInvalidConfig { err: "no".into() },
            500,
            10052,
            "no",
        );
        check(
            E::MessageExceedsMaximum,
            400,
            10054,
            "message size exceeds maximum allowed",
        );
        check(
            E::StreamNameExists,
            400,
            10058,
            "stream name already in use with a different configuration",
        );
        check(E::StreamNotFound, 404, 10059, "stream not found");
        check(
            E::StreamNotMatch,
            400,
            10060,
            "expected stream does not match",
        );
        check(
            E::SubjectOverlap,
            400,
            10065,
            "subjects overlap with an existing stream",
        );
        check(
            E::WrongLastMsgId { id: "a".to_owned() },
            400,
            10070,
            "wrong last msg ID: a",
        );
        check(
            E::WrongLastSequence { seq: 7 },
            400,
            10071,
            "wrong last sequence: 7",
        );
        check(
            E::StreamStoreFailed {
                err: "maximum messages exceeded".into(),
            },
            503,
            10077,
            "maximum messages exceeded",
        );
        check(
            E::StreamSealed,
            400,
            10109,
            "invalid operation on sealed stream",
        );
        check(
            E::ConsumerAlreadyExists,
            400,
            10148,
            "consumer already exists",
        );
        check(E::TooManyRequests, 429, 10167, "too many requests");
        check(
            E::RequiredApiLevel,
            412,
            10185,
            "JetStream minimum api level required",
        );
    }

    #[test]
    fn a_peer_that_is_away_is_told_as_temporarily_unavailable() {
        check(
            JetStreamError::PeerAway,
            503,
            10008,
            "peer away, nothing was written; try again",
        );
        assert!(ApiError::from(JetStreamError::PeerAway).is_try_again());
        assert!(ApiError::from(JetStreamError::TemporarilyUnavailable).is_try_again());
        assert!(!ApiError::from(JetStreamError::StreamNotFound).is_try_again());
    }

    #[test]
    fn every_number_stands_once_and_in_order() {
        let rows: Vec<_> = ErrorCode::ALL
            .iter()
            .filter(|code| **code != ErrorCode::PeerAway)
            .collect();
        assert!(rows.is_sorted_by(|a, b| a.number() < b.number()));
        for code in rows {
            assert_eq!(ErrorCode::from_number(code.number()), Some(*code));
            assert!(!code.template().is_empty());
        }
        assert_eq!(ErrorCode::from_number(1), None);
    }

    #[test]
    fn an_error_without_a_number_is_still_read() {
        let error: ApiError = serde_json::from_str(r#"{"code":503}"#).unwrap();
        assert_eq!(
            error,
            ApiError {
                code: 503,
                err_code: 0,
                description: String::new()
            }
        );
        assert_eq!(serde_json::to_string(&error).unwrap(), r#"{"code":503}"#);
    }
}
