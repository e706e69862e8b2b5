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
        return Err(ParseError::BadPub);
    }
    if is(b"HPUB") {
        return Err(ParseError::BadHpub);
    }
    verb_or_unknown(line, arguments(text, limits)?, limits, mode)
}

fn verb_or_unknown<'a>(
    line: &Line<'a>,
    text: &'a [u8],
    limits: &Limits,
    mode: Mode,
) -> Result<Parsed<ClientOp<'a>>, ParseError> {
    match (verb::read(text), mode) {
        (VerbLine::Whole(verb), Mode::Either | Mode::Nats) => Ok(whole(line, verb_op(verb))),
        (VerbLine::WithPayload { to, len }, Mode::Either | Mode::Nats) => {
            message(line, 0, len, limits, |_, payload| {
                verb_op(to.map(|to| to.carrying(Bytes::copy_from_slice(payload))))
            })
            .map_err(|error| match error {
                ParseError::PayloadNotTerminated => ParseError::VerbPayloadNotTerminated,
                other => other,
            })
        }
        (VerbLine::NotAVerb, Mode::Either) => Ok(whole(line, ClientOp::Unknown(text))),
        (VerbLine::NotAVerb, Mode::Nats) => Err(ParseError::UnknownOp),
    }
}

fn verb_op(verb: Result<verb::Verb, verb::VerbError>) -> ClientOp<'static> {
    match verb {
        Ok(verb) => ClientOp::Verb(verb),
        Err(error) => ClientOp::BadVerb(error),
    }
}

/// What follows `op` at the front of `text`; as in nats-server JSON may follow it without a blank.
fn before_json<'a>(text: &'a [u8], op: &[u8]) -> Option<&'a [u8]> {
    let (word, after) = text.split_at_checked(op.len())?;
    let apart = matches!(after, [] | [b' ' | b'\t' | b'{', ..]);
    (apart && word.eq_ignore_ascii_case(op)).then_some(after)
}

/// `<subject> [reply] <bytes>`
#[inline]
fn pub_arguments(input: &[u8]) -> Leaf<'_, (&[u8], Option<&[u8]>, usize)> {
    let (rest, (subject, second)) = (argument, argument).parse(input)?;
    if rest.is_empty() {
        let (rest, len) = length(second)?;
        return Ok((rest, (subject, None, len)));
    }
    let (rest, len) = all_consuming(length).parse(rest)?;
    Ok((rest, (subject, Some(second), len)))
}

/// `<subject> [reply] <header bytes> <bytes>`
#[inline]
fn hpub_arguments(input: &[u8]) -> Leaf<'_, (&[u8], Option<&[u8]>, usize, usize)> {
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
