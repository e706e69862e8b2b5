//! What a server reads from a client.

use bytes::BytesMut;
use relevo_codec::ClientCodec;
use relevo_protocol::encode;
use relevo_protocol::limits::Limits;
use relevo_protocol::op::{ClientOp, PubOp};
use relevo_protocol::parse::{Mode, Parsed, parse_client};
use tokio_util::codec::Decoder;

use crate::{chunks, first_line};

/// Small, so that short inputs go over them.
const LIMITS: Limits = Limits {
    control_line_max: 80,
    payload_max: 200,
    header_max: 100,
};

/// A stream from a client: the first line is where to cut it. However it is cut, it says the same, through the parser and
/// through the codec.
pub fn fuzz_client(data: &[u8]) {
    let (lens, stream) = first_line(data);
    for mode in [Mode::Either, Mode::Nats] {
        assert_eq!(read(chunks(stream, lens), mode), read([stream], mode));
    }
    assert_eq!(decode(chunks(stream, lens)), decode([stream]));
}

/// Each operation as text, and the error that ended them.
fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, mode: Mode) -> Vec<String> {
    let mut buffer = Vec::new();
    let mut shown = Vec::new();
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        loop {
            match parse_client(&buffer, &LIMITS, mode) {
                Ok(Parsed::Op { op, consumed }) => {
                    assert!((1..=buffer.len()).contains(&consumed));
                    check_publish(&op);
                    shown.push(format!("{op:?}"));
                    buffer.drain(..consumed);
                }
                Ok(Parsed::Incomplete { need }) => {
                    assert!(need > 0);
                    break;
                }
                Err(error) => {
                    shown.push(error.wire_text().to_owned());
                    return shown;
                }
            }
        }
    }
    shown
}

fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let mut codec = ClientCodec::new(LIMITS);
    let mut buffer = BytesMut::new();
    let mut shown = Vec::new();
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(op)) => shown.push(format!("{op:?}")),
                Ok(None) => break,
                Err(error) => {
                    shown.push(error.to_string());
                    return shown;
                }
            }
        }
    }
    shown
}

/// A message that was read is written as one that is read the same.
fn check_publish(op: &ClientOp<'_>) {
    let ClientOp::Pub(publish) = op else { return };
    let PubOp {
        subject,
        reply,
        headers,
        payload,
    } = *publish;
    let mut written = Vec::new();
    if headers.is_empty() {
        encode::pub_(&mut written, subject, reply, payload);
    } else {
        encode::hpub(&mut written, subject, reply, headers, payload);
    }
    let consumed = written.len();
    let read = parse_client(&written, &LIMITS, Mode::Nats);
    assert_eq!(
        read,
        Ok(Parsed::Op {
            op: op.clone(),
            consumed
        })
    );
}
