//! A client's end of a connection.

use bytes::{Buf, Bytes, BytesMut};
use relevo_protocol::encode;
use relevo_protocol::limits::Limits;
use relevo_protocol::op::ServerOp;
use relevo_protocol::parse::{Parsed, parse_server};
use tokio_util::codec::{Decoder, Encoder};

use crate::error::CodecError;
use crate::op::{ClientCommand, Message, OwnedServerOp};
use crate::slice::{make_room, range_in};

/// Decodes what a server sends, encodes what a client sends.
#[derive(Clone, Debug)]
pub struct ServerCodec {
    limits: Limits,
}

impl ServerCodec {
    /// A codec that takes operations within `limits`; [`Limits::of_client`] are usual.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }
}

impl Default for ServerCodec {
    fn default() -> Self {
        Self::new(Limits::of_client())
    }
}

impl Decoder for ServerCodec {
    type Item = OwnedServerOp;
    type Error = CodecError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<OwnedServerOp>, CodecError> {
        let (op, consumed) = match parse_server(src, &self.limits)? {
            Parsed::Op { op, consumed } => (op, consumed),
            Parsed::Incomplete { need } => {
                make_room(src, need);
                return Ok(None);
            }
        };
        let op = match op {
            ServerOp::Msg {
                subject,
                sid,
                reply,
                headers,
                payload,
            } => {
                let within = |part| range_in(src, part);
                let (subject, sid, reply) = (within(subject), within(sid), reply.map(within));
                let (headers, payload) = (within(headers), within(payload));
                let frame = src.split_to(consumed).freeze();
                return Ok(Some(OwnedServerOp::Msg(Message {
                    subject: frame.slice(subject),
                    sid: frame.slice(sid),
                    reply: reply.map(|reply| frame.slice(reply)),
                    headers: frame.slice(headers),
                    payload: frame.slice(payload),
                })));
            }
            ServerOp::Info(json) => OwnedServerOp::Info(Bytes::copy_from_slice(json)),
            ServerOp::Ping => OwnedServerOp::Ping,
            ServerOp::Pong => OwnedServerOp::Pong,
            ServerOp::Ok => OwnedServerOp::Ok,
            ServerOp::Answer(text) => OwnedServerOp::Answer(text.to_owned()),
            ServerOp::Err(text) => OwnedServerOp::Err(text.to_owned()),
        };
        src.advance(consumed);
        Ok(Some(op))
    }
}

impl Encoder<ClientCommand<'_>> for ServerCodec {
    type Error = CodecError;

    fn encode(&mut self, command: ClientCommand<'_>, dst: &mut BytesMut) -> Result<(), CodecError> {
        match command {
            ClientCommand::Connect(json) => encode::connect(dst, json),
            ClientCommand::Pub {
                subject,
                reply,
                headers: [],
                payload,
            } => encode::pub_(dst, subject, reply, payload),
            ClientCommand::Pub {
                subject,
                reply,
                headers,
                payload,
            } => {
                encode::hpub(dst, subject, reply, headers, payload);
            }
            ClientCommand::Sub {
                subject,
                queue,
                sid,
            } => encode::sub(dst, subject, queue, sid),
            ClientCommand::Unsub { sid, max } => encode::unsub(dst, sid, max),
            ClientCommand::Ping => encode::ping(dst),
            ClientCommand::Pong => encode::pong(dst),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use relevo_protocol::error::ParseError;

    use super::*;

    fn decode_all(stream: &[u8], chunk_len: usize) -> Result<Vec<OwnedServerOp>, CodecError> {
        let mut codec = ServerCodec::default();
        let mut buf = BytesMut::new();
        let mut ops = Vec::new();
        for chunk in stream.chunks(chunk_len) {
            buf.extend_from_slice(chunk);
            while let Some(op) = codec.decode(&mut buf)? {
                ops.push(op);
            }
        }
        Ok(ops)
    }

    #[test]
    fn what_a_server_sends_becomes_owned_whatever_the_reads_are() {
        let stream = b"INFO {}\r\nMSG a.b 1 2\r\nhi\r\nHMSG a 1 r 12 13\r\nNATS/1.0\r\n\r\nx\r\nPING\r\nPONG\r\n+OK\r\n+OK 7\r\n-ERR 'no'\r\n";
        let bytes = Bytes::from_static;
        let expected = [
            OwnedServerOp::Info(bytes(b"{}")),
            OwnedServerOp::Msg(Message {
                subject: bytes(b"a.b"),
                sid: bytes(b"1"),
                reply: None,
                headers: Bytes::new(),
                payload: bytes(b"hi"),
            }),
            OwnedServerOp::Msg(Message {
                subject: bytes(b"a"),
                sid: bytes(b"1"),
                reply: Some(bytes(b"r")),
                headers: bytes(b"NATS/1.0\r\n\r\n"),
                payload: bytes(b"x"),
            }),
            OwnedServerOp::Ping,
            OwnedServerOp::Pong,
            OwnedServerOp::Ok,
            OwnedServerOp::Answer("7".to_owned()),
            OwnedServerOp::Err("no".to_owned()),
        ];
        for chunk_len in 1..=stream.len() {
            assert_eq!(
                decode_all(stream, chunk_len).unwrap(),
                expected,
                "{chunk_len}"
            );
        }
    }

    #[test]
    fn what_is_no_protocol_is_an_error() {
        let error = decode_all(b"HTTP/1.1 400 Bad Request\r\n", 100).unwrap_err();
        assert!(
            matches!(error, CodecError::Protocol(ParseError::UnknownOp)),
            "{error}"
        );
    }

    #[test]
    fn commands_are_encoded_as_their_operations() {
        let (subject, payload) = (b"a".as_slice(), b"hi".as_slice());
        let commands = [
            ClientCommand::Connect(b"{}"),
            ClientCommand::Pub {
                subject,
                reply: None,
                headers: b"",
                payload,
            },
            ClientCommand::Pub {
                subject,
                reply: Some(b"r"),
                headers: b"NATS/1.0\r\n\r\n",
                payload,
            },
            ClientCommand::Sub {
                subject,
                queue: None,
                sid: b"1",
            },
            ClientCommand::Unsub {
                sid: b"1",
                max: Some(2),
            },
            ClientCommand::Ping,
            ClientCommand::Pong,
        ];
        let mut out = BytesMut::new();
        for command in commands {
            ServerCodec::default().encode(command, &mut out).unwrap();
        }
        let expected = b"CONNECT {}\r\nPUB a 2\r\nhi\r\nHPUB a r 12 14\r\nNATS/1.0\r\n\r\nhi\r\nSUB a 1\r\nUNSUB 1 2\r\nPING\r\nPONG\r\n";
        assert_eq!(
            out.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }
}
