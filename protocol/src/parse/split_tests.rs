//! A stream means the same wherever it is cut into reads.

use proptest::prelude::*;

use super::{Mode, Parsed, parse_client, parse_server};
use crate::error::ParseError;
use crate::limits::Limits;

const LIMITS: Limits = Limits {
    control_line_max: 64,
    payload_max: 200,
    header_max: 100,
};

const CLIENT_OPS: [&str; 22] = [
    "CONNECT {\"verbose\":false}\r\n",
    "PUB foo 5\r\nhello\r\n",
    "pub foo\tbar  0 \n\r\n",
    "HPUB foo 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n",
    "HPUB foo bar 0 0\r\n\r\n",
    "SUB foo.> queue 1\r\n",
    "UNSUB 1 7\n",
    "PING\r\n",
    "PONG\n",
    "INFO{}\r\n",
    "PUSH jobs hello\r\n",
    "PUSH jobs delay=5s #5\r\nhel\nl\r\n",
    "push jobs -- #5\n",
    "PUSH no.dots #3\r\nPUB\r\n",
    "POP jobs wait=1s\r\n",
    "POST news #0\r\n\r\n",
    "QUEUE CREATE jobs\n",
    "QUEUE\r\n",
    "FOLLOW news from=last\r\n",
    "HELP PUSH\r\n",
    "POSH jobs\r\n",
    "\r\n",
];

const SERVER_OPS: [&str; 8] = [
    "INFO {\"server_id\":\"x\"}\r\n",
    "MSG foo 1 5\r\nhello\r\n",
    "MSG foo 1 bar 0\n\r\n",
    "HMSG foo 1 bar 16 18\r\nNATS/1.0 503\r\n\r\nhi\r\n",
    "+OK\r\n",
    "+OK 7 duplicate\n",
    "-ERR 'Unknown Protocol Operation'\r\n",
    "PING\r\n",
];

/// What one side made of a stream: each operation as text, and the error that ended it.
type Reading = (Vec<String>, Option<ParseError>);

/// Parses the front of a buffer and shows the operation as text, which no longer borrows.
type Parse = fn(&[u8]) -> Result<Parsed<String>, ParseError>;

fn shown<T: std::fmt::Debug>(parsed: Parsed<T>) -> Parsed<String> {
    match parsed {
        Parsed::Op { op, consumed } => Parsed::Op {
            op: format!("{op:?}"),
            consumed,
        },
        Parsed::Incomplete { need } => Parsed::Incomplete { need },
    }
}

fn as_person(buf: &[u8]) -> Result<Parsed<String>, ParseError> {
    parse_client(buf, &LIMITS, Mode::Either).map(shown)
}

fn as_client(buf: &[u8]) -> Result<Parsed<String>, ParseError> {
    parse_client(buf, &LIMITS, Mode::Nats).map(shown)
}

fn as_server(buf: &[u8]) -> Result<Parsed<String>, ParseError> {
    parse_server(buf, &LIMITS).map(shown)
}

/// Reads a stream that comes in the given chunks.
fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, parse: Parse) -> Reading {
    let mut buf = Vec::new();
    let mut ops = Vec::new();
    for chunk in chunks {
        buf.extend_from_slice(chunk);
        loop {
            match parse(&buf) {
                Ok(Parsed::Op { op, consumed }) => {
                    ops.push(op);
                    buf.drain(..consumed);
                }
                Ok(Parsed::Incomplete { need }) => {
                    assert!(need > 0);
                    break;
                }
                Err(error) => return (ops, Some(error)),
            }
        }
    }
    (ops, None)
}

#[track_caller]
fn check_every_cut(stream: &[u8], parse: Parse) {
    let whole = read([stream], parse);
    assert_eq!(
        read(stream.chunks(1), parse),
        whole,
        "byte by byte: {}",
        stream.escape_ascii()
    );
    for cut in 0..=stream.len() {
        let (left, right) = stream.split_at(cut);
        assert_eq!(
            read([left, right], parse),
            whole,
            "cut at {cut}: {}",
            stream.escape_ascii()
        );
    }
}

#[track_caller]
fn check_every_prefix(op: &[u8], parse: Parse) {
    for len in 0..op.len() {
        match parse(&op[..len]) {
            Ok(Parsed::Incomplete { need }) => {
                assert!((1..=op.len() - len).contains(&need), "{len}: need {need}")
            }
            other => panic!("{len} bytes of {}: {other:?}", op.escape_ascii()),
        }
    }
    assert!(
        matches!(parse(op), Ok(Parsed::Op { consumed, .. }) if consumed == op.len()),
        "{}",
        op.escape_ascii()
    );
}

#[test]
fn a_piece_of_an_operation_is_incomplete_and_asks_for_no_more_than_is_missing() {
    for op in CLIENT_OPS {
        check_every_prefix(op.as_bytes(), as_person);
    }
    for op in SERVER_OPS {
        check_every_prefix(op.as_bytes(), as_server);
    }
}

#[test]
fn two_operations_in_a_row_mean_the_same_wherever_they_are_cut() {
    for first in CLIENT_OPS {
        for second in CLIENT_OPS {
            check_every_cut([first, second].concat().as_bytes(), as_person);
        }
    }
    for first in SERVER_OPS {
        for second in SERVER_OPS {
            check_every_cut([first, second].concat().as_bytes(), as_server);
        }
    }
}

/// Streams of operations with some bytes broken.
fn stream(ops: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let op = prop_oneof![
        8 => prop::sample::select(ops).prop_map(|op| op.as_bytes().to_vec()),
        1 => "[ \t\r\n#=0-9A-Za-z'{}.*>\u{e9}-]{0,90}(\r\n)?".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..150),
    ];
    let ops = prop::collection::vec(op, 0..6).prop_map(|ops| ops.concat());
    let broken = prop::option::weighted(0.4, (any::<prop::sample::Index>(), any::<u8>()));
    (ops, broken).prop_map(|(mut stream, broken)| {
        if let Some((at, byte)) = broken
            && !stream.is_empty()
        {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        stream
    })
}

fn chunks<'a>(stream: &'a [u8], lens: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = stream;
    let mut lens = lens.iter().copied().cycle();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (chunk, after) = rest.split_at(lens.next().unwrap_or(1).min(rest.len()));
        rest = after;
        Some(chunk)
    })
}

proptest! {
    #[test]
    fn any_stream_of_a_client_means_the_same_in_any_chunks(
        stream in stream(&CLIENT_OPS),
        lens in prop::collection::vec(1_usize..40, 1..20),
    ) {
        for parse in [as_person as Parse, as_client] {
            prop_assert_eq!(read(chunks(&stream, &lens), parse), read([stream.as_slice()], parse));
        }
    }

    #[test]
    fn any_stream_of_a_server_means_the_same_in_any_chunks(
        stream in stream(&SERVER_OPS),
        lens in prop::collection::vec(1_usize..40, 1..20),
    ) {
        prop_assert_eq!(read(chunks(&stream, &lens), as_server), read([stream.as_slice()], as_server));
    }
}
