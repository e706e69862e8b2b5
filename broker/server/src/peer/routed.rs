//! Core messages on the client lane, both ways.

use bytes::{Bytes, BytesMut};
use relevo_protocol::frame::Message;

/// Between the two subjects of a delivery; no subject has a blank in it.
const BETWEEN: u8 = b' ';

/// The message with what its receivers see as subject behind what it is routed by, when the two
/// differ (deliveries of consumers): `<routed by> <shown>`.
pub(crate) fn join_subjects(mut message: Message, shown: &[u8]) -> Message {
    if message.subject != shown {
        let mut subjects = BytesMut::with_capacity(message.subject.len() + 1 + shown.len());
        subjects.extend_from_slice(&message.subject);
        subjects.extend_from_slice(&[BETWEEN]);
        subjects.extend_from_slice(shown);
        message.subject = subjects.freeze();
    }
    message
}

/// The message and what its receivers see as subject, when that differs.
pub(crate) fn split_subjects(mut message: Message) -> (Message, Option<Bytes>) {
    let Some(at) = message.subject.iter().position(|byte| *byte == BETWEEN) else {
        return (message, None);
    };
    let shown = message.subject.slice(at + 1..);
    message.subject.truncate(at);
    (message, Some(shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(subject: &'static str, shown: &'static str, expected: &str) {
        let message = Message {
            subject: Bytes::from_static(subject.as_bytes()),
            reply: None,
            headers: Bytes::new(),
            payload: Bytes::new(),
        };
        let joined = join_subjects(message.clone(), shown.as_bytes());
        assert_eq!(joined.subject, expected);
        let (split, found) = split_subjects(joined);
        assert_eq!(split, message);
        assert_eq!(found.unwrap_or(split.subject), shown);
    }

    #[test]
    fn a_delivery_keeps_both_its_subjects() {
        check("a.b", "a.b", "a.b");
        check("_INBOX.1", "$Q.jobs", "_INBOX.1 $Q.jobs");
    }
}
