//! What a client reads from a server.

use bytes::BytesMut;
use relevo_codec::ServerCodec;
use relevo_protocol::limits::Limits;
use relevo_protocol::parse::{Parsed, parse_line, parse_server};
use tokio_util::codec::Decoder;

use crate::{chunks, first_line};

/// Small, so that short inputs go over them.
const LIMITS: Limits = Limits {
    control_line_max: 80,
    payload_max: 200,
    header_max: 100,
};

/// A stream from a server: the first line is where to cut it. However it is cut, it says the same, through the parser and
/// through the codec.
pub fn fuzz_server(data: &[u8]) {
    let (lens, stream) = first_line(data);
    assert_eq!(read(chunks(stream, lens)), read([stream]));
    assert_eq!(decode(chunks(stream, lens)), decode([stream]));
    if let Ok(Parsed::Op { op, consumed }) = parse_line(stream, &LIMITS) {
        assert!(op.len() < consumed && consumed <= stream.len());
    }
}

fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let mut buffer = Vec::new();
    let mut shown = Vec::new();
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        loop {
            match parse_server(&buffer, &LIMITS) {
                Ok(Parsed::Op { op, consumed }) => {
                    assert!((1..=buffer.len()).contains(&consumed));
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
    let mut codec = ServerCodec::new(LIMITS);
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
