//! What a server sends.

use nom::Parser;
use nom::combinator::all_consuming;

use super::Parsed;
use super::line::{Leaf, Line, argument, arguments, first_word, length, message, whole};
use crate::error::ParseError;
use crate::limits::Limits;
use crate::op::ServerOp;

/// Reads the operation at the front of `buf`, which a server sent.
///
/// # Errors
/// A [`ParseError`] when no more bytes can make an operation within `limits` of it.
pub fn parse_server<'a>(
    buf: &'a [u8],
    limits: &Limits,
) -> Result<Parsed<ServerOp<'a>>, ParseError> {
    let Some(line) = Line::split(buf, limits)? else {
        return Ok(Parsed::Incomplete { need: 1 });
    };
    match line.text {
        [
            b'M' | b'm',
            b'S' | b's',
            b'G' | b'g',
            b' ' | b'\t',
            after @ ..,
        ] => {
            let arguments = arguments(after, limits)?;
            let (_, (subject, sid, reply, len)) =
                msg_arguments(arguments).map_err(|_| ParseError::BadMsg)?;
            message(&line, 0, len, limits, |headers, payload| ServerOp::Msg {
                subject,
                sid,
                reply,
                headers,
                payload,
            })
        }
        [
            b'H' | b'h',
            b'M' | b'm',
            b'S' | b's',
            b'G' | b'g',
            b' ' | b'\t',
            after @ ..,
        ] => {
            let arguments = arguments(after, limits)?;
            let (_, (subject, sid, reply, headers_len, len)) =
                hmsg_arguments(arguments).map_err(|_| ParseError::BadMsg)?;
            if headers_len > len {
                return Err(ParseError::HeadersLongerThanMessage);
            }
            message(&line, headers_len, len, limits, |headers, payload| {
                ServerOp::Msg {
                    subject,
                    sid,
                    reply,
                    headers,
                    payload,
                }
            })
        }
        text => without_payload(text, limits).map(|op| whole(&line, op)),
    }
}

/// Reads the line at the front of `buf`, whatever it says, without its end: the lines that follow a verb's `+OK <n>`.
///
/// # Errors
/// [`ParseError::ControlLineTooLong`].
pub fn parse_line<'a>(buf: &'a [u8], limits: &Limits) -> Result<Parsed<&'a [u8]>, ParseError> {
    match Line::split(buf, limits)? {
        Some(line) => arguments(line.text, limits).map(|_| whole(&line, line.text)),
        None => Ok(Parsed::Incomplete { need: 1 }),
    }
}

fn without_payload<'a>(text: &'a [u8], limits: &Limits) -> Result<ServerOp<'a>, ParseError> {
    let (word, after) = first_word(text);
    let arguments = arguments(after, limits)?;
    let is = |op: &[u8]| word.eq_ignore_ascii_case(op);
    if is(b"PING") {
        return Ok(ServerOp::Ping);
    }
    if is(b"PONG") {
        return Ok(ServerOp::Pong);
    }
    if is(b"+OK") {
        let text = str::from_utf8(arguments).map_err(|_| ParseError::NotUtf8)?;
        return Ok(if text.is_empty() {
            ServerOp::Ok
        } else {
            ServerOp::Answer(text)
        });
    }
    if is(b"-ERR") {
        let text = str::from_utf8(arguments).map_err(|_| ParseError::NotUtf8)?;
        return Ok(ServerOp::Err(unquoted(text)));
    }
    if is(b"INFO") {
        return if arguments.is_empty() {
            Err(ParseError::BadInfo)
        } else {
            Ok(ServerOp::Info(arguments))
        };
    }
    if is(b"MSG") || is(b"HMSG") {
        return Err(ParseError::BadMsg);
    }
    Err(ParseError::UnknownOp)
}

/// The text between single quotes, or all of it when there are none.
fn unquoted(text: &str) -> &str {
    let text = text.trim_end_matches([' ', '\t']);
    text.strip_prefix('\'')
        .and_then(|text| text.strip_suffix('\''))
        .unwrap_or(text)
}

type MsgArguments<'a> = (&'a [u8], &'a [u8], Option<&'a [u8]>, usize);

/// `<subject> <sid> [reply] <bytes>`
#[inline]
fn msg_arguments(input: &[u8]) -> Leaf<'_, MsgArguments<'_>> {
    let (rest, (subject, sid, third)) = (argument, argument, argument).parse(input)?;
    if rest.is_empty() {
        let (rest, len) = length(third)?;
        return Ok((rest, (subject, sid, None, len)));
    }
    let (rest, len) = all_consuming(length).parse(rest)?;
    Ok((rest, (subject, sid, Some(third), len)))
}

type HmsgArguments<'a> = (&'a [u8], &'a [u8], Option<&'a [u8]>, usize, usize);

/// `<subject> <sid> [reply] <header bytes> <bytes>`
#[inline]
fn hmsg_arguments(input: &[u8]) -> Leaf<'_, HmsgArguments<'_>> {
    let (rest, (subject, sid, third, fourth)) =
        (argument, argument, argument, argument).parse(input)?;
    if rest.is_empty() {
        let (_, headers_len) = length(third)?;
        let (rest, len) = length(fourth)?;
        return Ok((rest, (subject, sid, None, headers_len, len)));
    }
    let (_, headers_len) = length(fourth)?;
    let (rest, len) = all_consuming(length).parse(rest)?;
    Ok((rest, (subject, sid, Some(third), headers_len, len)))
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
    fn check_op(input: &[u8], expected: ServerOp<'_>) {
        let expected = Parsed::Op {
            op: expected,
            consumed: input.len(),
        };
        assert_eq!(
            parse_server(input, &LIMITS),
            Ok(expected),
            "{}",
            input.escape_ascii()
        );
    }

    #[track_caller]
    fn check_err(input: &[u8], expected: ParseError) {
        assert_eq!(
            parse_server(input, &LIMITS),
            Err(expected),
            "{}",
            input.escape_ascii()
        );
    }

    #[test]
    fn a_message_names_its_subscription() {
        let plain = |reply| ServerOp::Msg {
            subject: b"foo",
            sid: b"9",
            reply,
            headers: b"",
            payload: b"hi",
        };
        check_op(b"MSG foo 9 2\r\nhi\r\n", plain(None));
        check_op(b"msg\tfoo 9  bar 2\r\nhi\r\n", plain(Some(b"bar")));
        let headers = b"NATS/1.0 503\r\n\r\n".as_slice();
        let with_headers = |reply| ServerOp::Msg {
            subject: b"foo",
            sid: b"9",
            reply,
            headers,
            payload: b"",
        };
        check_op(
            b"HMSG foo 9 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
            with_headers(None),
        );
        check_op(
            b"HMSG foo 9 bar 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
            with_headers(Some(b"bar")),
        );
    }

    #[test]
    fn the_other_operations_are_their_line() {
        check_op(b"INFO {\"a\": 1} \r\n", ServerOp::Info(b"{\"a\": 1} "));
        check_op(b"PING\r\n", ServerOp::Ping);
        check_op(b"pong\n", ServerOp::Pong);
        check_op(b"+OK\r\n", ServerOp::Ok);
        check_op(b"+OK  created jobs\r\n", ServerOp::Answer("created jobs"));
        check_op(
            b"-ERR 'Unknown Protocol Operation'\r\n",
            ServerOp::Err("Unknown Protocol Operation"),
        );
        check_op(b"-ERR no quotes \r\n", ServerOp::Err("no quotes"));
        check_op(b"-ERR\r\n", ServerOp::Err(""));
        check_op(b"-ERR '\r\n", ServerOp::Err("'"));
    }

    #[test]
    fn what_is_none_of_these_is_refused() {
        for line in [
            "MSG",
            "MSG foo 9",
            "MSG foo 9 x",
            "MSG a b c d 1",
            "HMSG foo 9 1",
            "HMSG foo 9 x 1",
            "HMSG f 9 r x 1",
        ] {
            check_err(format!("{line}\r\n").as_bytes(), ParseError::BadMsg);
        }
        check_err(b"HMSG foo 9 3 2\r\n", ParseError::HeadersLongerThanMessage);
        check_err(b"MSG foo 9 1001\r\n", ParseError::PayloadTooLarge);
        check_err(b"HMSG foo 9 101 1000\r\n", ParseError::HeadersTooLarge);
        check_err(b"MSG foo 9 1\r\nxx\r\n", ParseError::PayloadNotTerminated);
        check_err(b"INFO\r\n", ParseError::BadInfo);
        check_err(b"+OK \xff\r\n", ParseError::NotUtf8);
        check_err(b"-ERR '\xff'\r\n", ParseError::NotUtf8);
        check_err(b"PUB foo 1\r\n", ParseError::UnknownOp);
        check_err(b"\r\n", ParseError::UnknownOp);
        check_err(&[b'I'; 128], ParseError::ControlLineTooLong);
    }

    #[test]
    fn a_line_is_read_whatever_it_says() {
        let line = Parsed::Op {
            op: b"jobs 7".as_slice(),
            consumed: 8,
        };
        assert_eq!(parse_line(b"jobs 7\r\nnext", &LIMITS), Ok(line));
        assert_eq!(
            parse_line(b"\nnext", &LIMITS),
            Ok(Parsed::Op {
                op: b"".as_slice(),
                consumed: 1
            })
        );
        assert_eq!(
            parse_line(b"jobs", &LIMITS),
            Ok(Parsed::Incomplete { need: 1 })
        );
        assert_eq!(
            parse_line(&[b'x'; 128], &LIMITS),
            Err(ParseError::ControlLineTooLong)
        );
    }
}
