//! The examples in `docs/format/client.md` are what the parsers read.

use super::{Mode, Parsed, parse_client, parse_server};
use crate::limits::Limits;
use crate::op::{ClientOp, ServerOp};
use crate::verb::VERBS;

const DOCUMENT: &str = include_str!("../../../docs/format/client.md");

/// The code blocks of the document; every second piece between fences is one.
fn code_blocks() -> impl Iterator<Item = &'static str> {
    DOCUMENT.split("\n```").skip(1).step_by(2)
}

/// What one side sends in a block: the lines after its mark, where `␍␊` stands for their end.
fn sent(block: &str, mark: &str) -> Vec<u8> {
    let lines = block.lines().filter_map(|line| line.strip_prefix(mark));
    lines.collect::<String>().replace("␍␊", "\r\n").into_bytes()
}

#[test]
fn every_example_of_a_client_is_read_to_its_end() {
    let mut ops_count = 0;
    for block in code_blocks() {
        let stream = sent(block, "C: ");
        let mut rest = stream.as_slice();
        while !rest.is_empty() {
            match parse_client(rest, &Limits::of_server(), Mode::Either) {
                Ok(Parsed::Op {
                    op: ClientOp::Unknown(line),
                    consumed,
                }) => {
                    assert!(line.starts_with(b"POSH"), "{block}");
                    rest = &rest[consumed..];
                }
                Ok(Parsed::Op {
                    op: ClientOp::BadVerb(error),
                    ..
                }) => panic!("{error}: {block}"),
                Ok(Parsed::Op { consumed, .. }) => rest = &rest[consumed..],
                other => panic!("{other:?}: {block}"),
            }
            ops_count += 1;
        }
    }
    assert!(ops_count >= 10, "the examples are found");
}

#[test]
fn every_example_of_a_server_is_read_to_its_end() {
    let mut messages_count = 0;
    for block in code_blocks() {
        let stream = sent(block, "S: ");
        let mut rest = stream.as_slice();
        while !rest.is_empty() {
            match parse_server(rest, &Limits::of_client()) {
                Ok(Parsed::Op { op, consumed }) => {
                    messages_count += usize::from(matches!(op, ServerOp::Msg { .. }));
                    rest = &rest[consumed..];
                }
                other => panic!("{other:?}: {block}"),
            }
        }
    }
    assert!(messages_count >= 3, "the examples are found");
}

#[test]
fn every_row_of_bytes_says_what_stands_beside_it() {
    let rows = code_blocks()
        .flat_map(str::lines)
        .filter_map(|line| line.split_once("    "));
    let mut rows_count = 0;
    for (hex, text) in rows {
        let Ok(bytes) = hex
            .split(' ')
            .map(|byte| u8::from_str_radix(byte, 16))
            .collect::<Result<Vec<u8>, _>>()
        else {
            continue;
        };
        let first_word = text
            .trim_start()
            .split([' ', ','])
            .next()
            .unwrap_or_default();
        assert!(bytes.starts_with(first_word.as_bytes()), "{hex}: {text}");
        assert!(bytes.ends_with(b"\r\n"), "{hex}: {text}");
        rows_count += 1;
    }
    assert_eq!(rows_count, 4);
}

#[test]
fn every_verb_and_option_is_in_the_document() {
    for row in VERBS {
        assert!(DOCUMENT.contains(&format!("`{}", row.name)), "{}", row.name);
        for option in row.options {
            assert!(
                DOCUMENT.contains(&format!("`{option}`")),
                "{} {option}=",
                row.name
            );
        }
    }
}
