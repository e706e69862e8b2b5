//! A message as it arrived.

use std::fmt;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use relevo_protocol::headers::{HeaderBlock, HeaderError};

/// A message as it arrived. It shares the bytes that were read from the socket; a clone is cheap.
#[derive(Clone)]
pub struct Message {
    frame: Bytes,
    subject: Span,
    reply: Option<Span>,
    headers: Span,
    payload: Span,
}

/// The status of "nobody listens".
const NO_RESPONDERS: u16 = 503;

/// A part of a frame, which is never longer than [`u32::MAX`] bytes.
#[derive(Clone, Copy, Default)]
struct Span {
    start: u32,
    end: u32,
}

/// The parts of a message, as slices of one buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) subject: &'a [u8],
    pub(crate) reply: Option<&'a [u8]>,
    pub(crate) headers: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl Message {
    /// The message whose frame is `chunk[frame]` and whose parts are slices of it. `None` when the subject or the
    /// reply subject is not UTF-8.
    #[inline]
    pub(crate) fn new(chunk: &Bytes, frame: Range<usize>, parts: Parts<'_>) -> Option<Self> {
        str::from_utf8(parts.subject).ok()?;
        if let Some(reply) = parts.reply {
            str::from_utf8(reply).ok()?;
        }
        let base = chunk.as_ptr().addr() + frame.start;
        let span = |part: &[u8]| Span::new(part.as_ptr().addr().wrapping_sub(base), part.len());
        Some(Self {
            subject: span(parts.subject),
            reply: parts.reply.map(span),
            headers: if parts.headers.is_empty() {
                Span::default()
            } else {
                span(parts.headers)
            },
            payload: if parts.payload.is_empty() {
                Span::default()
            } else {
                span(parts.payload)
            },
            frame: chunk.slice(frame),
        })
    }

    /// Where it was published to.
    #[must_use]
    pub fn subject(&self) -> &str {
        str::from_utf8(self.part(self.subject)).unwrap_or_default()
    }

    /// Where an answer goes.
    #[must_use]
    pub fn reply(&self) -> Option<&str> {
        let reply = self.reply?;
        str::from_utf8(self.part(reply)).ok()
    }

    /// The payload. It keeps up to 64 KiB of neighbouring bytes alive; copy it if it is small and kept for long.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        self.frame.slice(self.payload.range())
    }

    /// The payload, borrowed.
    #[must_use]
    pub fn payload_slice(&self) -> &[u8] {
        self.part(self.payload)
    }

    /// The header block as it was sent; empty for a message without headers.
    #[must_use]
    pub fn header_bytes(&self) -> &[u8] {
        self.part(self.headers)
    }

    /// The headers; `None` for a message without any.
    ///
    /// # Errors
    /// A [`HeaderError`] when the block can not be read.
    pub fn headers(&self) -> Result<Option<HeaderBlock<'_>>, HeaderError> {
        match self.header_bytes() {
            [] => Ok(None),
            block => HeaderBlock::parse(block).map(Some),
        }
    }

    /// The status of a message that the server made, as 503 for "nobody listens".
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        let after = self.header_bytes().strip_prefix(b"NATS/1.0 ")?;
        let digits = str::from_utf8(after.get(..3)?).ok()?;
        digits.parse().ok()
    }

    /// Whether the server made it to say that nobody listens on the subject.
    #[must_use]
    pub(crate) fn is_no_responders(&self) -> bool {
        self.status() == Some(NO_RESPONDERS)
            && self.payload_slice().is_empty()
            && self.status_description().is_empty()
    }

    /// The words behind the status; empty for none.
    pub(crate) fn status_description(&self) -> &str {
        let block = self.headers().ok().flatten();
        block
            .and_then(|block| block.status())
            .map_or("", |status| status.description)
    }

    /// How many bytes it takes.
    #[must_use]
    pub fn frame_len(&self) -> usize {
        self.frame.len()
    }

    fn part(&self, span: Span) -> &[u8] {
        self.frame.get(span.range()).unwrap_or_default()
    }
}

/// Gives messages a buffer of their own, so that they keep no others' bytes alive.
pub(crate) fn unshare(messages: &mut [Message]) {
    let len = messages.iter().map(Message::frame_len).sum();
    let mut frames = BytesMut::with_capacity(len);
    for message in messages.iter() {
        frames.extend_from_slice(&message.frame);
    }
    let mut frames = frames.freeze();
    for message in messages {
        message.frame = frames.split_to(message.frame.len());
    }
}

impl Span {
    fn new(start: usize, len: usize) -> Self {
        let clamped = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        Self {
            start: clamped(start),
            end: clamped(start.saturating_add(len)),
        }
    }

    const fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("subject", &self.subject())
            .field("reply", &self.reply())
            .field("headers", &self.header_bytes().escape_ascii().to_string())
            .field("payload_len", &self.payload_slice().len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use relevo_protocol::limits::Limits;
    use relevo_protocol::op::ServerOp;
    use relevo_protocol::parse::{Parsed, parse_server};

    use super::*;

    /// The message whose frame stands behind a byte of something else.
    fn message(frame: &[u8]) -> Option<Message> {
        let chunk = Bytes::from([b"x", frame].concat());
        let parsed = parse_server(chunk.get(1..).unwrap(), &Limits::of_client()).unwrap();
        let Parsed::Op {
            op:
                ServerOp::Msg {
                    subject,
                    reply,
                    headers,
                    payload,
                    ..
                },
            consumed,
        } = parsed
        else {
            panic!("{parsed:?}");
        };
        Message::new(
            &chunk,
            1..1 + consumed,
            Parts {
                subject,
                reply,
                headers,
                payload,
            },
        )
    }

    #[test]
    fn parts_are_found_again_in_the_frame_and_in_a_copy_of_it() {
        let mut messages = [
            message(b"MSG a.b 1 r.s 3\r\nxyz\r\n").unwrap(),
            message(b"HMSG c 1 23 23\r\nNATS/1.0 404 Gone\r\n\r\n\r\n\r\n").unwrap(),
            message(b"MSG d 1 0\r\n\r\n").unwrap(),
        ];
        for _ in 0..2 {
            let [first, second, third] = &messages;
            assert_eq!(
                (first.subject(), first.reply(), &*first.payload()),
                ("a.b", Some("r.s"), b"xyz".as_slice())
            );
            assert_eq!((first.headers(), first.status()), (Ok(None), None));
            assert_eq!(
                (second.subject(), second.status(), second.payload_slice()),
                ("c", Some(404), b"".as_slice())
            );
            assert_eq!(
                (third.subject(), third.reply(), third.payload().len()),
                ("d", None, 0)
            );
            unshare(&mut messages);
        }
    }

    #[test]
    fn only_an_empty_503_without_words_says_that_nobody_listens() {
        let check = |frame: &[u8], expected| {
            assert_eq!(message(frame).unwrap().is_no_responders(), expected)
        };
        check(b"HMSG c 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", true);
        check(b"HMSG c 1 16 17\r\nNATS/1.0 503\r\n\r\nx\r\n", false);
        check(b"HMSG c 1 21 21\r\nNATS/1.0 503 away\r\n\r\n\r\n", false);
        check(b"MSG c 1 0\r\n\r\n", false);
    }

    #[test]
    fn a_subject_that_is_not_utf8_makes_no_message() {
        assert!(message(b"MSG a\xff 1 0\r\n\r\n").is_none());
        assert!(message(b"MSG a 1 \xff 0\r\n\r\n").is_none());
    }
}
