//! The answer to a publish into a stream.

use serde::{Deserialize, Serialize};

use super::error::{ApiError, JetStreamError};
use super::json::{self, is_default};
use crate::name::StreamName;

/// The message is stored, as durably as its stream promises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PubAck {
    /// The stream.
    pub stream: StreamName,
    /// The message's sequence.
    pub seq: u64,
    /// The JetStream domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The message's id was seen before within the dedup window: nothing was stored, `seq` is the earlier message's.
    #[serde(default, skip_serializing_if = "is_default")]
    pub duplicate: bool,
    /// On how many brokers' disks the message is, told when that is fewer than there are brokers. relevo's extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies: Option<u8>,
}

impl PubAck {
    /// A new message with this sequence, on every broker's disk.
    pub const fn stored(stream: StreamName, seq: u64) -> Self {
        Self {
            stream,
            seq,
            domain: None,
            duplicate: false,
            copies: None,
        }
    }

    /// The body as bytes.
    pub fn encode(&self) -> Vec<u8> {
        json::encode(self)
    }
}

/// Writes the answer to a publish that was refused: `{"error":{…},"stream":…,"seq":0}`, as nats-server does.
pub fn encode_refusal(stream: &StreamName, error: JetStreamError) -> Vec<u8> {
    json::encode(&Refusal {
        error: ApiError::from(error),
        stream,
        seq: 0,
    })
}

/// Reads the answer to a publish.
///
/// # Errors
/// [`PubAckError`]: the refusal, or that the body is neither.
pub fn decode(body: &[u8]) -> Result<PubAck, PubAckError> {
    match serde_json::from_slice(body) {
        Ok(Answer::Refused { error }) => Err(PubAckError::Refused(error)),
        Ok(Answer::Stored(ack)) => Ok(ack),
        Err(_) => Err(PubAckError::Malformed),
    }
}

/// Why the answer to a publish is no [`PubAck`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PubAckError {
    /// The stream refused the message.
    Refused(ApiError),
    /// The answer is not a PubAck; perhaps a service answers on the subject.
    Malformed,
}

impl std::fmt::Display for PubAckError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Malformed => {
                f.write_str("the answer is not a PubAck; no stream listens on this subject")
            }
        }
    }
}

impl std::error::Error for PubAckError {}

#[derive(Serialize)]
struct Refusal<'a> {
    error: ApiError,
    stream: &'a StreamName,
    seq: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Refused { error: ApiError },
    Stored(PubAck),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders() -> StreamName {
        StreamName::parse("ORDERS").unwrap()
    }

    fn check(ack: PubAck, json: &str) {
        assert_eq!(String::from_utf8(ack.encode()).unwrap(), json);
        assert_eq!(decode(json.as_bytes()), Ok(ack));
    }

    #[test]
    fn a_pub_ack_holds_only_what_is_out_of_the_ordinary() {
        check(
            PubAck::stored(orders(), 22),
            r#"{"stream":"ORDERS","seq":22}"#,
        );
        let duplicate = PubAck {
            duplicate: true,
            ..PubAck::stored(orders(), 22)
        };
        check(
            duplicate,
            r#"{"stream":"ORDERS","seq":22,"duplicate":true}"#,
        );
        let solo = PubAck {
            copies: Some(1),
            ..PubAck::stored(orders(), 22)
        };
        check(solo, r#"{"stream":"ORDERS","seq":22,"copies":1}"#);
    }

    #[test]
    fn a_refusal_is_read_as_one() {
        let refusal = encode_refusal(&orders(), JetStreamError::WrongLastSequence { seq: 5 });
        assert_eq!(
            String::from_utf8(refusal.clone()).unwrap(),
            r#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 5"},"stream":"ORDERS","seq":0}"#
        );
        let error = ApiError::from(JetStreamError::WrongLastSequence { seq: 5 });
        assert_eq!(decode(&refusal), Err(PubAckError::Refused(error)));
    }

    #[test]
    fn an_answer_that_is_no_pub_ack_is_told_apart() {
        for body in [
            "",
            "hello",
            "{}",
            r#"{"stream":"a.b","seq":1}"#,
            r#"{"seq":1}"#,
        ] {
            assert_eq!(
                decode(body.as_bytes()),
                Err(PubAckError::Malformed),
                "{body}"
            );
        }
    }
}
