//! The client protocol to bytes: every function appends one whole frame, without an allocation of its own.
//!
//! Subjects, sids and queue groups are written as they are: the caller has parsed them, and they have no blanks and no
//! line ends. Free text, as in [`err`] and [`answer`], is made safe here.

use bytes::BufMut;

/// The longest text of an `-ERR` or `+OK` line that a person's words go into, in bytes; more is cut.
const TEXT_LEN_MAX: usize = 1024;

/// The most digits of a number: those of `u64::MAX`.
const DIGITS_MAX: usize = 20;

/// `CONNECT {json}`
pub fn connect(out: &mut impl BufMut, json: &[u8]) {
    line(out, &[b"CONNECT ", json]);
}

/// `INFO {json}`
pub fn info(out: &mut impl BufMut, json: &[u8]) {
    line(out, &[b"INFO ", json]);
}

/// `PUB <subject> [reply] <bytes>` and the payload.
pub fn pub_(out: &mut impl BufMut, subject: &[u8], reply: Option<&[u8]>, payload: &[u8]) {
    words(out, &[b"PUB ", subject]);
    optional(out, reply);
    length(out, payload.len());
    body(out, &[], payload);
}

/// `HPUB <subject> [reply] <header bytes> <bytes>`, the headers and the payload. `headers` is a whole block, as
/// [`HeaderBuilder`](crate::headers::HeaderBuilder) makes it.
pub fn hpub(
    out: &mut impl BufMut,
    subject: &[u8],
    reply: Option<&[u8]>,
    headers: &[u8],
    payload: &[u8],
) {
    words(out, &[b"HPUB ", subject]);
    optional(out, reply);
    length(out, headers.len());
    length(out, headers.len() + payload.len());
    body(out, headers, payload);
}

/// `MSG <subject> <sid> [reply] <bytes>` and the payload; with `headers` that are not empty
/// `HMSG <subject> <sid> [reply] <header bytes> <bytes>`, the headers and the payload.
#[inline]
pub fn msg(
    out: &mut impl BufMut,
    subject: &[u8],
    sid: &[u8],
    reply: Option<&[u8]>,
    headers: &[u8],
    payload: &[u8],
) {
    if headers.is_empty() {
        words(out, &[b"MSG ", subject, b" ", sid]);
        optional(out, reply);
    } else {
        words(out, &[b"HMSG ", subject, b" ", sid]);
        optional(out, reply);
        length(out, headers.len());
    }
    length(out, headers.len() + payload.len());
    body(out, headers, payload);
}

/// How many bytes [`msg`] appends at most for parts of these lengths.
#[must_use]
pub const fn msg_len_max(
    subject: usize,
    sid: usize,
    reply: usize,
    headers: usize,
    payload: usize,
) -> usize {
    const FIXED: usize = b"HMSG ".len() + 4 * b" ".len() + 2 * DIGITS_MAX + 2 * CRLF.len();
    FIXED + subject + sid + reply + headers + payload
}

/// A message of a queue or topic as verbs show it: `MSG <name> <lease or sequence> <bytes>` and the payload.
pub fn verb_message(out: &mut impl BufMut, name: &str, lease_or_seq: &str, payload: &[u8]) {
    msg(
        out,
        name.as_bytes(),
        lease_or_seq.as_bytes(),
        None,
        &[],
        payload,
    );
}

/// [`verb_message`] with a sequence.
pub fn verb_message_at(out: &mut impl BufMut, name: &str, seq: u64, payload: &[u8]) {
    let mut digits = [0; DIGITS_MAX];
    msg(
        out,
        name.as_bytes(),
        decimal(&mut digits, seq),
        None,
        &[],
        payload,
    );
}

/// `SUB <subject> [queue group] <sid>`
pub fn sub(out: &mut impl BufMut, subject: &[u8], queue: Option<&[u8]>, sid: &[u8]) {
    words(out, &[b"SUB ", subject]);
    optional(out, queue);
    line(out, &[b" ", sid]);
}

/// `UNSUB <sid> [max]`
pub fn unsub(out: &mut impl BufMut, sid: &[u8], max: Option<u64>) {
    words(out, &[b"UNSUB ", sid]);
    if let Some(max) = max {
        out.put_u8(b' ');
        out.put_slice(decimal(&mut [0; DIGITS_MAX], max));
    }
    out.put_slice(CRLF);
}

/// `PING`
pub fn ping(out: &mut impl BufMut) {
    out.put_slice(b"PING\r\n");
}

/// `PONG`
pub fn pong(out: &mut impl BufMut) {
    out.put_slice(b"PONG\r\n");
}

/// `+OK`
pub fn ok(out: &mut impl BufMut) {
    out.put_slice(b"+OK\r\n");
}

/// `+OK <text>`: a verb's answer. Line ends in the text become blanks; it is not cut.
pub fn answer(out: &mut impl BufMut, text: &str) {
    out.put_slice(b"+OK ");
    safe(out, text);
    out.put_slice(CRLF);
}

/// One line of an answer that has several. Line ends in the text become blanks; it is not cut.
pub fn answer_line(out: &mut impl BufMut, text: &str) {
    safe(out, text);
    out.put_slice(CRLF);
}

/// `-ERR '<text>'`. Control characters in the text become blanks and single quotes double ones, and a text of more than
/// 1024 bytes is cut: it may hold words of the other side.
pub fn err(out: &mut impl BufMut, text: &str) {
    out.put_slice(b"-ERR '");
    let cut = text.floor_char_boundary(TEXT_LEN_MAX);
    let (shown, left_out) = text.split_at(cut);
    for piece in shown.split_inclusive('\'') {
        match piece.strip_suffix('\'') {
            Some(piece) => {
                safe(out, piece);
                out.put_u8(b'"');
            }
            None => safe(out, piece),
        }
    }
    if !left_out.is_empty() {
        out.put_slice(b"...");
    }
    out.put_slice(b"'\r\n");
}

const CRLF: &[u8] = b"\r\n";

#[inline]
fn words(out: &mut impl BufMut, words: &[&[u8]]) {
    for word in words {
        out.put_slice(word);
    }
}

fn line(out: &mut impl BufMut, parts: &[&[u8]]) {
    words(out, parts);
    out.put_slice(CRLF);
}

#[inline]
fn optional(out: &mut impl BufMut, word: Option<&[u8]>) {
    if let Some(word) = word {
        words(out, &[b" ", word]);
    }
}

#[inline]
fn length(out: &mut impl BufMut, len: usize) {
    let mut digits = [0; DIGITS_MAX];
    words(out, &[b" ", decimal(&mut digits, len as u64)]);
}

#[inline]
fn body(out: &mut impl BufMut, headers: &[u8], payload: &[u8]) {
    words(out, &[CRLF, headers, payload, CRLF]);
}

/// Text on one line: each control character becomes a blank.
fn safe(out: &mut impl BufMut, text: &str) {
    for (index, piece) in text.split(|c: char| c.is_ascii_control()).enumerate() {
        if index > 0 {
            out.put_u8(b' ');
        }
        out.put_slice(piece.as_bytes());
    }
}

/// `number` in digits, at the end of the given room.
#[inline]
fn decimal(room: &mut [u8; DIGITS_MAX], number: u64) -> &[u8] {
    let mut left = number;
    let mut first = DIGITS_MAX;
    for (index, digit) in room.iter_mut().enumerate().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
        first = index;
        if left == 0 {
            break;
        }
    }
    room.split_at(first).1
}
