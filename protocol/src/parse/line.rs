//! What both directions are made of: lines, their words, lengths, payloads.

use memchr::memchr;
use nom::error::{ErrorKind, ParseError as NomError};
use nom::{Err, IResult};

use super::Parsed;
use crate::error::ParseError;
use crate::limits::Limits;

/// How many bytes a line may have beyond its arguments: the operation, and blanks around it.
const OP_AND_BLANKS_LEN_MAX: usize = 64;

/// A length has at most this many digits. Source: nats-server `util.go`, `parseSize`.
const LENGTH_DIGITS_MAX: usize = 9;

/// The line at the front of a buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// The line without its LF or CR LF.
    pub(super) text: &'a [u8],
    /// What follows the line.
    pub(super) rest: &'a [u8],
    /// How many bytes the line has with its end.
    pub(super) len: usize,
}

impl<'a> Line<'a> {
    /// Takes the first line off, or `None` when its end is not there yet.
    pub(super) fn split(buf: &'a [u8], limits: &Limits) -> Result<Option<Self>, ParseError> {
        let len_max = limits
            .control_line_max
            .saturating_add(OP_AND_BLANKS_LEN_MAX);
        let Some(end) = memchr(b'\n', buf.get(..len_max).unwrap_or(buf)) else {
            return if buf.len() < len_max {
                Ok(None)
            } else {
                Err(ParseError::ControlLineTooLong)
            };
        };
        let (line, rest) = buf.split_at(end + 1);
        let text = line
            .strip_suffix(b"\r\n")
            .or_else(|| line.strip_suffix(b"\n"))
            .unwrap_or(line);
        Ok(Some(Self {
            text,
            rest,
            len: line.len(),
        }))
    }
}

/// The arguments behind an operation and its blanks, when they are within the control line's limit.
#[inline]
pub(super) fn arguments<'a>(after_op: &'a [u8], limits: &Limits) -> Result<&'a [u8], ParseError> {
    let arguments = without_leading_blanks(after_op);
    if arguments.len() > limits.control_line_max {
        Err(ParseError::ControlLineTooLong)
    } else {
        Ok(arguments)
    }
}

/// The first word of a line and what follows it, blanks included.
pub(super) fn first_word(line: &[u8]) -> (&[u8], &[u8]) {
    let len = line
        .iter()
        .position(|byte| is_blank(*byte))
        .unwrap_or(line.len());
    line.split_at(len)
}

/// Bytes that are not what a leaf function looks for. The operation that looked makes it a [`ParseError`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Malformed;

impl<I> NomError<I> for Malformed {
    fn from_error_kind(_: I, _: ErrorKind) -> Self {
        Self
    }

    fn append(_: I, _: ErrorKind, other: Self) -> Self {
        other
    }
}

/// What a leaf function gives.
pub(super) type Leaf<'a, O> = IResult<&'a [u8], O, Malformed>;

/// One or more bytes up to a blank or the end, and the blanks after them.
#[inline]
pub(super) fn argument(input: &[u8]) -> Leaf<'_, &[u8]> {
    let len = input
        .iter()
        .position(|byte| is_blank(*byte))
        .unwrap_or(input.len());
    if len == 0 {
        return Err(Err::Error(Malformed));
    }
    let (word, rest) = input.split_at(len);
    Ok((without_leading_blanks(rest), word))
}

/// An [`argument`] that is a length: 1 to [`LENGTH_DIGITS_MAX`] digits.
#[inline]
pub(super) fn length(input: &[u8]) -> Leaf<'_, usize> {
    let (rest, word) = argument(input)?;
    number(word)
        .map(|length| (rest, length))
        .ok_or(Err::Error(Malformed))
}

/// The number that 1 to [`LENGTH_DIGITS_MAX`] digits are.
#[inline]
pub(super) fn number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > LENGTH_DIGITS_MAX {
        return None;
    }
    digits.iter().try_fold(0, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit <= 9).then(|| number * 10 + usize::from(digit))
    })
}

/// How many bytes end a payload: CR LF.
const PAYLOAD_END_LEN: usize = 2;

/// Takes the message that follows `line` off the buffer: `headers_len` bytes of headers, payload up to `len` bytes in
/// all, CR LF. That the end is wrong shows as soon as its first wrong byte is there.
#[inline]
pub(super) fn message<'a, T>(
    line: &Line<'a>,
    headers_len: usize,
    len: usize,
    limits: &Limits,
    op: impl FnOnce(&'a [u8], &'a [u8]) -> T,
) -> Result<Parsed<T>, ParseError> {
    if len > limits.payload_max {
        return Err(ParseError::PayloadTooLarge);
    }
    if headers_len > limits.header_max {
        return Err(ParseError::HeadersTooLarge);
    }
    let Some((message, end)) = line.rest.split_at_checked(len) else {
        return Ok(Parsed::Incomplete {
            need: (len - line.rest.len()).saturating_add(PAYLOAD_END_LEN),
        });
    };
    let Some((headers, payload)) = message.split_at_checked(headers_len) else {
        return Err(ParseError::HeadersLongerThanMessage);
    };
    match end {
        [b'\r', b'\n', ..] => Ok(Parsed::Op {
            op: op(headers, payload),
            consumed: line.len + len + PAYLOAD_END_LEN,
        }),
        [] => Ok(Parsed::Incomplete {
            need: PAYLOAD_END_LEN,
        }),
        [b'\r'] => Ok(Parsed::Incomplete { need: 1 }),
        [_, ..] => Err(ParseError::PayloadNotTerminated),
    }
}

/// An operation that is its line alone.
pub(super) fn whole<T>(line: &Line<'_>, op: T) -> Parsed<T> {
    Parsed::Op {
        op,
        consumed: line.len,
    }
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

pub(super) fn without_leading_blanks(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let [b' ' | b'\t', after @ ..] = rest {
        rest = after;
    }
    rest
}
