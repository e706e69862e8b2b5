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
