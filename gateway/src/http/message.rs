//! Messages as JSON.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use relevo_client::{Headers, Job, StoredMessage};
use relevo_protocol::time::Timestamp;
use serde::Serialize;

/// A message as it is answered. Members that a kind of answer does not have are left out.
#[derive(Debug, Serialize)]
pub(crate) struct MessageJson<'a> {
    id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
    headers: BTreeMap<&'a str, Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

impl<'a> MessageJson<'a> {
    /// A message that was leased from a queue.
    pub(crate) fn leased(job: &'a Job) -> Self {
        Self {
            lease: Some(job.lease.to_string()),
            attempts: Some(job.attempts),
            ..Self::new(job.seq, &job.headers, &job.payload)
        }
    }

    /// A message of a queue that was only looked at.
    pub(crate) fn peeked(message: &'a StoredMessage) -> Self {
        Self::new(message.seq, &message.headers, &message.payload)
    }

    /// A message of a topic.
    pub(crate) fn published(message: &'a StoredMessage) -> Self {
        Self {
            time: Some(message.time),
            ..Self::peeked(message)
        }
    }

    fn new(id: u64, headers: &'a Headers, payload: &'a [u8]) -> Self {
        let mut by_name = BTreeMap::<_, Vec<_>>::new();
        for (name, value) in headers.iter() {
            by_name.entry(name).or_default().push(value);
        }
        let body = std::str::from_utf8(payload).ok();
        let body_base64 = body.is_none().then(|| STANDARD.encode(payload));
        Self {
            id,
            lease: None,
            attempts: None,
            time: None,
            headers: by_name,
            body,
            body_base64,
        }
    }

    /// The JSON text.
    pub(crate) fn encode(&self) -> Vec<u8> {
        // Texts and numbers always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Messages as a JSON array.
pub(crate) fn encode_array<'a>(messages: impl Iterator<Item = MessageJson<'a>>) -> Vec<u8> {
    let mut text = vec![b'['];
    for (at, message) in messages.enumerate() {
        if at > 0 {
            text.push(b',');
        }
        text.extend_from_slice(&message.encode());
    }
    text.push(b']');
    text
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn stored(payload: &'static [u8]) -> StoredMessage {
        let mut headers = Headers::new();
        headers
            .append("B", "2")
            .unwrap()
            .append("A", "1")
            .unwrap()
            .append("B", "3")
            .unwrap();
        StoredMessage {
            subject: "$T.news".to_owned(),
            seq: 7,
            time: Timestamp::parse("2026-01-31T08:00:00Z").unwrap(),
            headers,
            payload: Bytes::from_static(payload),
        }
    }

    #[track_caller]
    fn check(message: &MessageJson<'_>, expected: &str) {
        assert_eq!(String::from_utf8(message.encode()).unwrap(), expected);
    }

    #[test]
    fn a_message_of_a_topic_has_its_time_and_one_of_a_queue_has_not() {
        let message = stored("ol\u{e9}".as_bytes());
        check(
            &MessageJson::published(&message),
            r#"{"id":7,"time":"2026-01-31T08:00:00Z","headers":{"A":["1"],"B":["2","3"]},"body":"olé"}"#,
        );
        check(
            &MessageJson::peeked(&message),
            r#"{"id":7,"headers":{"A":["1"],"B":["2","3"]},"body":"olé"}"#,
        );
    }

    #[test]
    fn a_payload_that_is_not_utf8_is_told_in_base64() {
        let message = stored(b"\xff\xfe");
        check(
            &MessageJson::peeked(&message),
            r#"{"id":7,"headers":{"A":["1"],"B":["2","3"]},"body_base64":"//4="}"#,
        );
    }

    #[test]
    fn an_array_holds_any_number_of_messages() {
        let messages = [stored(b"a"), stored(b"b")];
        let check = |count: usize, expected: &str| {
            let text = encode_array(messages.iter().take(count).map(MessageJson::peeked));
            let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
            let bodies: Vec<_> = value
                .as_array()
                .unwrap()
                .iter()
                .map(|m| m["body"].as_str().unwrap())
                .collect();
            assert_eq!(bodies.concat(), expected);
        };
        check(0, "");
        check(1, "a");
        check(2, "ab");
    }
}
