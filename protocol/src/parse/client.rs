//! What a client sends.

use bytes::Bytes;
use nom::Parser;
use nom::combinator::{all_consuming, opt};

use super::line::{
    Leaf, Line, argument, arguments, first_word, length, message, number, whole,
    without_leading_blanks,
};
use super::{Mode, Parsed};
use crate::error::ParseError;
use crate::limits::Limits;
use crate::op::{ClientOp, PubOp};
use crate::verb::{self, VerbLine};

/// Reads the operation or verb at the front of `buf`.
///
/// Operations are in any case, with blanks or tabs between their arguments; LF alone ends a line, but a payload ends
/// with CR LF, as in nats-server. Verbs are read in both modes.
///
/// # Errors
/// A [`ParseError`] when no more bytes can make an operation within `limits` of it. A payload that is too long is one
/// as soon as its line is there. After an error nothing more can be read from the stream.
pub fn parse_client<'a>(
    buf: &'a [u8],
    limits: &Limits,
    mode: Mode,
) -> Result<Parsed<ClientOp<'a>>, ParseError> {
    let Some(line) = Line::split(buf, limits)? else {
        return Ok(Parsed::Incomplete { need: 1 });
    };
    match line.text {
        [
            b'P' | b'p',
            b'U' | b'u',
            b'B' | b'b',
            b' ' | b'\t',
            after @ ..,
        ] => publish(&line, after, limits),
        [
            b'H' | b'h',
            b'P' | b'p',
            b'U' | b'u',
            b'B' | b'b',
            b' ' | b'\t',
            after @ ..,
        ] => publish_with_headers(&line, after, limits),
        _ => other(&line, limits, mode),
    }
}

fn publish<'a>(
    line: &Line<'a>,
    after: &'a [u8],
    limits: &Limits,
) -> Result<Parsed<ClientOp<'a>>, ParseError> {
    let arguments = arguments(after, limits)?;
    let (_, (subject, reply, len)) = pub_arguments(arguments).map_err(|_| ParseError::BadPub)?;
    message(line, 0, len, limits, |headers, payload| {
        ClientOp::Pub(PubOp {
            subject,
            reply,
            headers,
            payload,
        })
    })
}

fn publish_with_headers<'a>(
    line: &Line<'a>,
    after: &'a [u8],
    limits: &Limits,
) -> Result<Parsed<ClientOp<'a>>, ParseError> {
    let arguments = arguments(after, limits)?;
    let (_, (subject, reply, headers_len, len)) =
        hpub_arguments(arguments).map_err(|_| ParseError::BadHpub)?;
    if headers_len > len {
        return Err(ParseError::HeadersLongerThanMessage);
    }
    message(line, headers_len, len, limits, |headers, payload| {
        ClientOp::Pub(PubOp {
            subject,
            reply,
            headers,
            payload,
        })
    })
}

/// Everything that is not sent by the million.
fn other<'a>(
    line: &Line<'a>,
    limits: &Limits,
    mode: Mode,
) -> Result<Parsed<ClientOp<'a>>, ParseError> {
    let text = without_leading_blanks(line.text);
    let (word, after) = first_word(text);
    let is = |op: &[u8]| word.eq_ignore_ascii_case(op);
    if is(b"SUB") {
        let arguments = arguments(after, limits)?;
        let (_, op) = sub_arguments(arguments).map_err(|_| ParseError::BadSub)?;
        return Ok(whole(line, op));
    }
    if is(b"UNSUB") {
        let arguments = arguments(after, limits)?;
        let (_, op) = unsub_arguments(arguments).map_err(|_| ParseError::BadUnsub)?;
        return Ok(whole(line, op));
    }
    if is(b"PING") {
        return Ok(whole(line, ClientOp::Ping));
    }
    if is(b"PONG") {
        return Ok(whole(line, ClientOp::Pong));
    }
    if let Some(after) = before_json(text, b"CONNECT") {
        let json = arguments(after, limits)?;
        return if json.is_empty() {
            Err(ParseError::BadConnect)
        } else {
            Ok(whole(line, ClientOp::Connect(json)))
        };
    }
    if let Some(after) = before_json(text, b"INFO") {
        let json = arguments(after, limits)?;
        return if json.is_empty() {
            Err(ParseError::BadInfo)
        } else {
            Ok(whole(line, ClientOp::Info(json)))
        };
    }
    if is(b"PUB") {
        return publish(line, after, limits);
    }
    if is(b"HPUB") {
        return publish_with_headers(line, after, limits);
    }
    verb_or_unknown(line, arguments(text, limits)?, limits, mode)
}

fn verb_or_unknown<'a>(
    line: &Line<'a>,
    text: &'a [u8],
    limits: &Limits,
    mode: Mode,
) -> Result<Parsed<ClientOp<'a>>, ParseError> {
    match verb::read(text) {
        VerbLine::Whole(Ok(verb)) => Ok(whole(line, ClientOp::Verb(verb))),
        VerbLine::Whole(Err(error)) => Ok(whole(line, ClientOp::BadVerb(error))),
        VerbLine::WithPayload { to, len } => message(line, 0, len, limits, |_, payload| match to {
            Ok(to) => ClientOp::Verb(to.carrying(Bytes::copy_from_slice(payload))),
            Err(error) => ClientOp::BadVerb(error),
        })
        .map_err(ParseError::of_verb),
        VerbLine::NotAVerb => match mode {
            Mode::Either => Ok(whole(line, ClientOp::Unknown(text))),
            Mode::Nats => Err(ParseError::UnknownOp),
        },
    }
}

/// What follows `op` at the front of `text`; as in nats-server JSON may follow it without a blank.
fn before_json<'a>(text: &'a [u8], op: &[u8]) -> Option<&'a [u8]> {
    let (word, after) = text.split_at_checked(op.len())?;
    let apart = matches!(after, [] | [b' ' | b'\t' | b'{', ..]);
    (apart && word.eq_ignore_ascii_case(op)).then_some(after)
}

type PubArguments<'a> = (&'a [u8], Option<&'a [u8]>, usize);

/// `<subject> [reply] <bytes>`
#[inline]
fn pub_arguments(input: &[u8]) -> Leaf<'_, PubArguments<'_>> {
    let (rest, (subject, second)) = (argument, argument).parse(input)?;
    if rest.is_empty() {
        let (rest, len) = length(second)?;
        return Ok((rest, (subject, None, len)));
    }
    let (rest, len) = all_consuming(length).parse(rest)?;
    Ok((rest, (subject, Some(second), len)))
}

type HpubArguments<'a> = (&'a [u8], Option<&'a [u8]>, usize, usize);

/// `<subject> [reply] <header bytes> <bytes>`
#[inline]
fn hpub_arguments(input: &[u8]) -> Leaf<'_, HpubArguments<'_>> {
    let (rest, (subject, second, third)) = (argument, argument, argument).parse(input)?;
    if rest.is_empty() {
        let (_, headers_len) = length(second)?;
        let (rest, len) = length(third)?;
        return Ok((rest, (subject, None, headers_len, len)));
    }
    let (_, headers_len) = length(third)?;
    let (rest, len) = all_consuming(length).parse(rest)?;
    Ok((rest, (subject, Some(second), headers_len, len)))
}

/// `<subject> [queue group] <sid>`
fn sub_arguments(input: &[u8]) -> Leaf<'_, ClientOp<'_>> {
    let (rest, (subject, second, third)) =
        all_consuming((argument, argument, opt(argument))).parse(input)?;
    let op = match third {
        Some(sid) => ClientOp::Sub {
            subject,
            queue: Some(second),
            sid,
        },
        None => ClientOp::Sub {
            subject,
            queue: None,
            sid: second,
        },
    };
    Ok((rest, op))
}

/// `<sid> [max]`
fn unsub_arguments(input: &[u8]) -> Leaf<'_, ClientOp<'_>> {
    let (rest, (sid, max)) = all_consuming((argument, opt(argument))).parse(input)?;
    let max = max
        .and_then(number)
        .filter(|max| *max > 0)
        .and_then(|max| u64::try_from(max).ok());
    Ok((rest, ClientOp::Unsub { sid, max }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        control_line_max: 64,
        payload_max: 1000,
        header_max: 100,
    };

    #[track_caller]
    fn check_op(input: &[u8], expected: ClientOp<'_>) {
        for mode in [Mode::Either, Mode::Nats] {
            let expected = Parsed::Op {
                op: expected.clone(),
                consumed: input.len(),
            };
            assert_eq!(
                parse_client(input, &LIMITS, mode),
                Ok(expected),
                "{}",
                input.escape_ascii()
            );
        }
    }

    #[track_caller]
    fn check_err(input: &[u8], expected: ParseError) {
        for mode in [Mode::Either, Mode::Nats] {
            assert_eq!(
                parse_client(input, &LIMITS, mode),
                Err(expected),
                "{}",
                input.escape_ascii()
            );
        }
    }

    #[track_caller]
    fn check_needs(input: &[u8], need: usize) {
        let expected = Ok(Parsed::Incomplete { need });
        assert_eq!(
            parse_client(input, &LIMITS, Mode::Either),
            expected,
            "{}",
            input.escape_ascii()
        );
    }

    fn publish(
        subject: &'static str,
        reply: Option<&'static str>,
        payload: &'static str,
    ) -> ClientOp<'static> {
        publish_with_headers(subject, reply, "", payload)
    }

    fn publish_with_headers(
        subject: &'static str,
        reply: Option<&'static str>,
        headers: &'static str,
        payload: &'static str,
    ) -> ClientOp<'static> {
        ClientOp::Pub(PubOp {
            subject: subject.as_bytes(),
            reply: reply.map(str::as_bytes),
            headers: headers.as_bytes(),
            payload: payload.as_bytes(),
        })
    }

    fn sub(
        subject: &'static [u8],
        queue: Option<&'static [u8]>,
        sid: &'static [u8],
    ) -> ClientOp<'static> {
        ClientOp::Sub {
            subject,
            queue,
            sid,
        }
    }

    #[test]
    fn pub_has_a_subject_an_optional_reply_and_a_payload() {
        check_op(b"PUB foo 5\r\nhello\r\n", publish("foo", None, "hello"));
        check_op(
            b"PUB foo bar 5\r\nhello\r\n",
            publish("foo", Some("bar"), "hello"),
        );
        check_op(b"PUB foo 0\r\n\r\n", publish("foo", None, ""));
        check_op(
            b"PUB foo 5\r\n\r\n\r\nx\r\n",
            publish("foo", None, "\r\n\r\nx"),
        );
        check_op(b"PUB foo 000000003\r\nabc\r\n", publish("foo", None, "abc"));
    }

    #[test]
    fn operations_are_in_any_case_and_arguments_any_blanks_apart() {
        check_op(b"pub foo 1\r\nx\r\n", publish("foo", None, "x"));
        check_op(
            b"pUb\t foo \t bar\t\t1 \t\r\nx\r\n",
            publish("foo", Some("bar"), "x"),
        );
        check_op(
            b"hpub\tfoo  2 \t 3\r\nHHx\r\n",
            publish_with_headers("foo", None, "HH", "x"),
        );
        check_op(b"sub\tfoo\t 1 \r\n", sub(b"foo", None, b"1"));
        check_op(
            b"unSUB  1\t\r\n",
            ClientOp::Unsub {
                sid: b"1",
                max: None,
            },
        );
        check_op(b"ping\r\n", ClientOp::Ping);
        check_op(b"Pong  \r\n", ClientOp::Pong);
        check_op(b"connect\t{}\r\n", ClientOp::Connect(b"{}"));
        check_op(b"  \tPING\r\n", ClientOp::Ping);
        check_op(b" PUB foo 1\r\nx\r\n", publish("foo", None, "x"));
    }

    #[test]
    fn lf_alone_ends_a_line_but_not_a_payload() {
        check_op(b"PING\n", ClientOp::Ping);
        check_op(b"SUB foo 1\n", sub(b"foo", None, b"1"));
        check_op(b"PUB foo 1\nx\r\n", publish("foo", None, "x"));
        check_op(b"QUIT\n", ClientOp::Verb(verb::Verb::Quit));
        check_err(b"PUB foo 1\r\nx\n", ParseError::PayloadNotTerminated);
        check_err(b"PUB foo 1\r\nx\rx", ParseError::PayloadNotTerminated);
        check_err(b"PUSH jobs #1\nx\n", ParseError::VerbPayloadNotTerminated);
    }

    #[test]
    fn hpub_has_headers_before_its_payload() {
        let headers = "NATS/1.0\r\nA: b\r\n\r\n";
        check_op(
            b"HPUB foo 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n",
            publish_with_headers("foo", None, headers, "hi"),
        );
        check_op(
            b"HPUB foo bar 18 18\r\nNATS/1.0\r\nA: b\r\n\r\n\r\n",
            publish_with_headers("foo", Some("bar"), headers, ""),
        );
        check_op(b"HPUB foo 0 2\r\nhi\r\n", publish("foo", None, "hi"));
    }

    #[test]
    fn sub_and_unsub_name_a_subscription() {
        check_op(b"SUB foo.* 9\r\n", sub(b"foo.*", None, b"9"));
        check_op(
            b"SUB foo workers 9\r\n",
            sub(b"foo", Some(b"workers"), b"9"),
        );
        check_op(
            b"UNSUB 9\r\n",
            ClientOp::Unsub {
                sid: b"9",
                max: None,
            },
        );
        check_op(
            b"UNSUB 9 5\r\n",
            ClientOp::Unsub {
                sid: b"9",
                max: Some(5),
            },
        );
    }

    #[test]
    fn unsub_with_a_zero_or_no_number_is_at_once_as_in_nats_server() {
        check_op(
            b"UNSUB 9 0\r\n",
            ClientOp::Unsub {
                sid: b"9",
                max: None,
            },
        );
        check_op(
            b"UNSUB 9 x\r\n",
            ClientOp::Unsub {
                sid: b"9",
                max: None,
            },
        );
    }

    #[test]
    fn ping_and_pong_take_no_notice_of_what_follows() {
        check_op(b"PING foo\r\n", ClientOp::Ping);
        check_op(b"PONG 1 2\r\n", ClientOp::Pong);
    }

    #[test]
    fn connect_and_info_take_json_with_or_without_a_blank() {
        check_op(b"CONNECT {\"a\": 1}\r\n", ClientOp::Connect(b"{\"a\": 1}"));
        check_op(b"CONNECT{}\r\n", ClientOp::Connect(b"{}"));
        check_op(b"INFO {}\r\n", ClientOp::Info(b"{}"));
        check_op(b"info{}\n", ClientOp::Info(b"{}"));
        check_err(b"CONNECT\r\n", ParseError::BadConnect);
        check_err(b"CONNECT  \r\n", ParseError::BadConnect);
        check_err(b"INFO\r\n", ParseError::BadInfo);
    }

    #[test]
    fn wrong_arguments_are_refused_with_their_operation() {
        for line in [
            "PUB",
            "PUB ",
            "PUB foo",
            "PUB foo bar baz 3",
            "PUB foo x",
            "PUB foo -1",
            "PUB foo 1x",
            "PUB foo bar",
        ] {
            check_err(format!("{line}\r\n").as_bytes(), ParseError::BadPub);
        }
        check_err(b"PUB foo 0000000001\r\nx\r\n", ParseError::BadPub);
        check_err(b"PUB foo 3 \rx\r\n", ParseError::BadPub);
        for line in [
            "HPUB",
            "HPUB foo",
            "HPUB foo 12",
            "HPUB foo a b c 1",
            "HPUB foo 1 x",
            "HPUB foo x 1",
            "HPUB foo r x 1",
        ] {
            check_err(format!("{line}\r\n").as_bytes(), ParseError::BadHpub);
        }
        check_err(b"HPUB foo 12 10\r\n", ParseError::HeadersLongerThanMessage);
        for line in ["SUB", "SUB ", "SUB foo", "SUB foo a b c"] {
            check_err(format!("{line}\r\n").as_bytes(), ParseError::BadSub);
        }
        for line in ["UNSUB", "UNSUB ", "UNSUB 1 2 3"] {
            check_err(format!("{line}\r\n").as_bytes(), ParseError::BadUnsub);
        }
    }

    #[test]
    fn a_length_over_its_limit_is_refused_when_the_line_is_there() {
        check_needs(b"PUB foo 1000\r\n", 1002);
        check_err(b"PUB foo 1001\r\n", ParseError::PayloadTooLarge);
        check_err(b"PUB foo 999999999\r\n", ParseError::PayloadTooLarge);
        check_err(b"HPUB foo 10 1001\r\n", ParseError::PayloadTooLarge);
        check_needs(b"HPUB foo 100 1000\r\n", 1002);
        check_err(b"HPUB foo 101 1000\r\n", ParseError::HeadersTooLarge);
        check_needs(b"PUSH jobs #1000\r\n", 1002);
        check_err(b"PUSH jobs #1001\r\n", ParseError::PayloadTooLarge);
        check_err(
            b"POST news #99999999999999999999999\r\n",
            ParseError::PayloadTooLarge,
        );
    }

    #[test]
    fn the_limit_of_a_line_counts_its_arguments_alone() {
        let longest = "a".repeat(62);
        let op = format!("PUB   {longest} 0\r\n\r\n");
        assert!(matches!(
            parse_client(op.as_bytes(), &LIMITS, Mode::Nats),
            Ok(Parsed::Op { .. })
        ));
        check_err(
            format!("PUB {longest}a 0\r\n\r\n").as_bytes(),
            ParseError::ControlLineTooLong,
        );
        check_err(
            format!("HPUB {longest} 0 0\r\n\r\n").as_bytes(),
            ParseError::ControlLineTooLong,
        );
        check_err(
            format!("SUB {longest} 12\r\n").as_bytes(),
            ParseError::ControlLineTooLong,
        );
        check_err(
            format!("CONNECT {{{longest}12\r\n").as_bytes(),
            ParseError::ControlLineTooLong,
        );
        check_err(
            format!("PUSH jobs {longest}\r\n").as_bytes(),
            ParseError::ControlLineTooLong,
        );
    }

    #[test]
    fn a_line_without_an_end_is_refused_when_no_end_can_help() {
        check_needs(&[b'P'; 127], 1);
        check_err(&[b'P'; 128], ParseError::ControlLineTooLong);
        check_err(&[b' '; 4096], ParseError::ControlLineTooLong);
    }

    #[test]
    fn what_is_not_all_there_says_how_much_is_missing_at_least() {
        check_needs(b"", 1);
        check_needs(b"PUB foo 5", 1);
        check_needs(b"PUB foo 5\r", 1);
        check_needs(b"PUB foo 5\r\n", 7);
        check_needs(b"PUB foo 5\r\nhel", 4);
        check_needs(b"PUB foo 5\r\nhello", 2);
        check_needs(b"PUB foo 5\r\nhello\r", 1);
    }

    #[test]
    fn what_follows_an_operation_is_left() {
        let op = Parsed::Op {
            op: publish("foo", None, "x"),
            consumed: 14,
        };
        assert_eq!(
            parse_client(b"PUB foo 1\r\nx\r\nPING\r\n", &LIMITS, Mode::Nats),
            Ok(op)
        );
    }

    #[test]
    fn an_unknown_line_is_a_mistake_before_connect_and_an_error_after_it() {
        for line in ["POSH jobs x", "MSG a 1 1", "PINGG", "+OK", "PUBS a 1", ""] {
            let input = format!("{line}\r\n");
            let expected = Parsed::Op {
                op: ClientOp::Unknown(line.as_bytes()),
                consumed: input.len(),
            };
            assert_eq!(
                parse_client(input.as_bytes(), &LIMITS, Mode::Either),
                Ok(expected)
            );
            assert_eq!(
                parse_client(input.as_bytes(), &LIMITS, Mode::Nats),
                Err(ParseError::UnknownOp)
            );
        }
    }

    #[test]
    fn a_wrong_verb_takes_its_payload_with_it() {
        for line in [
            "PUSH no.dots #5",
            "PUSH #5",
            "PUSH jobs delay=x #5",
            "POST \u{e9} #5",
        ] {
            let input = format!("{line}\r\nhello\r\n");
            match parse_client(input.as_bytes(), &LIMITS, Mode::Nats) {
                Ok(Parsed::Op {
                    op: ClientOp::BadVerb(_),
                    consumed,
                }) => assert_eq!(consumed, input.len(), "{line}"),
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    #[test]
    fn every_error_is_told_in_nats_servers_words_where_it_has_any_and_closes() {
        assert_eq!(
            ParseError::ControlLineTooLong.wire_text(),
            "maximum control line exceeded"
        );
        assert_eq!(
            ParseError::PayloadTooLarge.wire_text(),
            "Maximum Payload Violation"
        );
        assert_eq!(
            ParseError::UnknownOp.wire_text(),
            "Unknown Protocol Operation"
        );
        assert_eq!(
            ParseError::PayloadNotTerminated.wire_text(),
            "Unknown Protocol Operation"
        );
        assert_eq!(
            ParseError::BadPub.to_string(),
            "Parser Error: PUB takes <subject> [reply] <bytes>"
        );
        assert!(ParseError::BadPub.closes() && ParseError::UnknownOp.closes());
    }
}
