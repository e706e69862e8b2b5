//! A server's end of a connection.

use bytes::{Buf, Bytes, BytesMut};
use relevo_protocol::encode;
use relevo_protocol::limits::Limits;
use relevo_protocol::op::{ClientOp, PubOp, ServerOp};
use relevo_protocol::parse::{Mode, Parsed, parse_client};
use tokio_util::codec::{Decoder, Encoder};

use crate::error::CodecError;
use crate::op::{OwnedClientOp, Publication};
use crate::slice::{make_room, range_in};

/// Decodes what clients send, encodes what a server sends. After a CONNECT it takes an unknown line for an error, as
/// [`Mode::Nats`] says.
#[derive(Clone, Debug)]
pub struct ClientCodec {
    limits: Limits,
    mode: Mode,
}

impl ClientCodec {
    /// A codec that takes operations within `limits`.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            mode: Mode::Either,
        }
    }
}

impl Default for ClientCodec {
    fn default() -> Self {
        Self::new(Limits::of_server())
    }
}

impl Decoder for ClientCodec {
    type Item = OwnedClientOp;
    type Error = CodecError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<OwnedClientOp>, CodecError> {
        let (op, consumed) = match parse_client(src, &self.limits, self.mode)? {
            Parsed::Op { op, consumed } => (op, consumed),
            Parsed::Incomplete { need } => {
                make_room(src, need);
                return Ok(None);
            }
        };
        let copy = Bytes::copy_from_slice;
        let op = match op {
            ClientOp::Pub(PubOp {
                subject,
                reply,
                headers,
                payload,
            }) => {
                let within = |part| range_in(src, part);
                let (subject, reply) = (within(subject), reply.map(within));
                let (headers, payload) = (within(headers), within(payload));
                let frame = src.split_to(consumed).freeze();
                return Ok(Some(OwnedClientOp::Pub(Publication {
                    subject: frame.slice(subject),
                    reply: reply.map(|reply| frame.slice(reply)),
                    headers: frame.slice(headers),
                    payload: frame.slice(payload),
                })));
            }
            ClientOp::Connect(json) => {
                self.mode = Mode::Nats;
                OwnedClientOp::Connect(copy(json))
            }
            ClientOp::Sub {
                subject,
                queue,
                sid,
            } => OwnedClientOp::Sub {
                subject: copy(subject),
                queue: queue.map(copy),
                sid: copy(sid),
            },
            ClientOp::Unsub { sid, max } => OwnedClientOp::Unsub {
                sid: copy(sid),
                max,
            },
            ClientOp::Ping => OwnedClientOp::Ping,
            ClientOp::Pong => OwnedClientOp::Pong,
            ClientOp::Info(json) => OwnedClientOp::Info(copy(json)),
            ClientOp::Verb(verb) => OwnedClientOp::Verb(verb),
            ClientOp::Unknown(line) => OwnedClientOp::Unknown(copy(line)),
            ClientOp::BadVerb(error) => OwnedClientOp::BadVerb(error),
        };
        src.advance(consumed);
        Ok(Some(op))
    }
}

impl Encoder<ServerOp<'_>> for ClientCodec {
    type Error = CodecError;

    fn encode(&mut self, op: ServerOp<'_>, dst: &mut BytesMut) -> Result<(), CodecError> {
        match op {
            ServerOp::Info(json) => encode::info(dst, json),
            ServerOp::Msg {
                subject,
                sid,
                reply,
                headers,
                payload,
            } => {
                encode::msg(dst, subject, sid, reply, headers, payload);
            }
            ServerOp::Ping => encode::ping(dst),
            ServerOp::Pong => encode::pong(dst),
            ServerOp::Ok => encode::ok(dst),
            ServerOp::Answer(text) => encode::answer(dst, text),
            ServerOp::Err(text) => encode::err(dst, text),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use relevo_protocol::error::ParseError;
    use relevo_protocol::verb::Verb;

    use super::*;

    fn decode_all(stream: &[u8], chunk_len: usize) -> (Vec<OwnedClientOp>, Option<ParseError>) {
        let mut codec = ClientCodec::default();
        let mut buf = BytesMut::new();
        let mut ops = Vec::new();
        for chunk in stream.chunks(chunk_len) {
            buf.extend_from_slice(chunk);
            loop {
                match codec.decode(&mut buf) {
                    Ok(Some(op)) => ops.push(op),
                    Ok(None) => break,
                    Err(CodecError::Protocol(error)) => return (ops, Some(error)),
                    Err(CodecError::Io(error)) => panic!("{error}"),
                }
            }
        }
        (ops, None)
    }

    #[test]
    fn what_a_client_sends_becomes_owned_whatever_the_reads_are() {
        let stream = b"quit\nhm\r\nCONNECT {}\r\nHPUB a r 12 13\r\nNATS/1.0\r\n\r\nx\r\nPUB a 0\r\n\r\nSUB a.> q 1\r\nUNSUB 1 2\r\nINFO {}\r\nPING\r\nPONG\r\nPUSH\r\nhm\r\n";
        let bytes = Bytes::from_static;
        for chunk_len in 1..=stream.len() {
            let (ops, error) = decode_all(stream, chunk_len);
            assert_eq!(error, Some(ParseError::UnknownOp), "{chunk_len}");
            let (last, ops) = ops.split_last().unwrap();
            assert!(matches!(last, OwnedClientOp::BadVerb(_)), "{last:?}");
            let expected = [
                OwnedClientOp::Verb(Verb::Quit),
                OwnedClientOp::Unknown(bytes(b"hm")),
                OwnedClientOp::Connect(bytes(b"{}")),
                OwnedClientOp::Pub(Publication {
                    subject: bytes(b"a"),
                    reply: Some(bytes(b"r")),
                    headers: bytes(b"NATS/1.0\r\n\r\n"),
                    payload: bytes(b"x"),
                }),
                OwnedClientOp::Pub(Publication {
                    subject: bytes(b"a"),
                    reply: None,
                    headers: Bytes::new(),
                    payload: Bytes::new(),
                }),
                OwnedClientOp::Sub {
                    subject: bytes(b"a.>"),
                    queue: Some(bytes(b"q")),
                    sid: bytes(b"1"),
                },
                OwnedClientOp::Unsub {
                    sid: bytes(b"1"),
                    max: Some(2),
                },
                OwnedClientOp::Info(bytes(b"{}")),
                OwnedClientOp::Ping,
                OwnedClientOp::Pong,
            ];
            assert_eq!(ops, expected, "{chunk_len}");
        }
    }

    #[test]
    fn answers_are_encoded_as_their_operations() {
        let (subject, sid, payload) = (b"a".as_slice(), b"1".as_slice(), b"hi".as_slice());
        let ops = [
            ServerOp::Info(b"{}"),
            ServerOp::Msg {
                subject,
                sid,
                reply: None,
                headers: b"",
                payload,
            },
            ServerOp::Ping,
            ServerOp::Pong,
            ServerOp::Ok,
            ServerOp::Answer("7"),
            ServerOp::Err("no"),
        ];
        let mut out = BytesMut::new();
        for op in ops {
            ClientCodec::default().encode(op, &mut out).unwrap();
        }
        let expected =
            b"INFO {}\r\nMSG a 1 2\r\nhi\r\nPING\r\nPONG\r\n+OK\r\n+OK 7\r\n-ERR 'no'\r\n";
        assert_eq!(
            out.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }
}
