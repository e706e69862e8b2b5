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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::Limits;
    use crate::op::{ClientOp, PubOp, ServerOp};
    use crate::parse::{Mode, Parsed, parse_client, parse_server};

    #[track_caller]
    fn check(encode: impl FnOnce(&mut Vec<u8>), expected: &str) {
        let mut out = b"before".to_vec();
        encode(&mut out);
        assert_eq!(
            out.escape_ascii().to_string(),
            ["before", expected]
                .concat()
                .as_bytes()
                .escape_ascii()
                .to_string()
        );
    }

    #[test]
    fn operations_of_a_client() {
        check(|out| connect(out, b"{\"a\":1}"), "CONNECT {\"a\":1}\r\n");
        check(
            |out| pub_(out, b"foo", None, b"hello"),
            "PUB foo 5\r\nhello\r\n",
        );
        check(
            |out| pub_(out, b"foo", Some(b"bar"), b""),
            "PUB foo bar 0\r\n\r\n",
        );
        let headers = b"NATS/1.0\r\n\r\n";
        check(
            |out| hpub(out, b"foo", None, headers, b"hi"),
            "HPUB foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
        );
        check(
            |out| hpub(out, b"foo", Some(b"bar"), headers, b""),
            "HPUB foo bar 12 12\r\nNATS/1.0\r\n\r\n\r\n",
        );
        check(|out| sub(out, b"foo.>", None, b"1"), "SUB foo.> 1\r\n");
        check(
            |out| sub(out, b"foo.>", Some(b"workers"), b"1"),
            "SUB foo.> workers 1\r\n",
        );
        check(|out| unsub(out, b"1", None), "UNSUB 1\r\n");
        check(
            |out| unsub(out, b"1", Some(u64::MAX)),
            "UNSUB 1 18446744073709551615\r\n",
        );
        check(ping, "PING\r\n");
        check(pong, "PONG\r\n");
    }

    #[test]
    fn operations_of_a_server() {
        check(|out| info(out, b"{}"), "INFO {}\r\n");
        check(
            |out| msg(out, b"foo", b"9", None, b"", b"hi"),
            "MSG foo 9 2\r\nhi\r\n",
        );
        check(
            |out| msg(out, b"foo", b"9", Some(b"bar"), b"", b"hi"),
            "MSG foo 9 bar 2\r\nhi\r\n",
        );
        let headers = b"NATS/1.0 503\r\n\r\n";
        check(
            |out| msg(out, b"foo", b"9", None, headers, b""),
            "HMSG foo 9 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
        );
        check(
            |out| verb_message(out, "jobs", "lease", b"hi"),
            "MSG jobs lease 2\r\nhi\r\n",
        );
        check(
            |out| verb_message_at(out, "news", 0, b"hi"),
            "MSG news 0 2\r\nhi\r\n",
        );
        check(
            |out| verb_message_at(out, "news", 1_234_567, b"hi"),
            "MSG news 1234567 2\r\nhi\r\n",
        );
        check(ok, "+OK\r\n");
    }

    #[test]
    fn an_answer_stays_on_its_line() {
        check(|out| answer(out, "created jobs"), "+OK created jobs\r\n");
        check(|out| answer(out, "a\r\n-ERR\u{0}b"), "+OK a  -ERR b\r\n");
        check(|out| answer_line(out, "it's\u{e9}\nb"), "it's\u{e9} b\r\n");
    }

    #[test]
    fn an_error_stays_between_its_quotes() {
        check(
            |out| err(out, "Unknown Protocol Operation"),
            "-ERR 'Unknown Protocol Operation'\r\n",
        );
        check(|out| err(out, "no 'x' here'"), "-ERR 'no \"x\" here\"'\r\n");
        check(|out| err(out, "a\r\n+OK\tb"), "-ERR 'a  +OK b'\r\n");
        check(|out| err(out, ""), "-ERR ''\r\n");
    }

    #[test]
    fn an_error_is_cut_between_characters() {
        let mut out = Vec::new();
        err(&mut out, &["a", &"\u{e9}".repeat(TEXT_LEN_MAX)].concat());
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("-ERR 'a\u{e9}") && text.ends_with("\u{e9}...'\r\n"));
        assert_eq!(text.len(), "-ERR '...'\r\n".len() + TEXT_LEN_MAX - 1);
    }

    #[test]
    fn numbers_have_their_digits() {
        for number in [0, 1, 9, 10, 99, 100, 12_345, u64::MAX / 10, u64::MAX] {
            assert_eq!(
                decimal(&mut [0; DIGITS_MAX], number),
                number.to_string().as_bytes()
            );
        }
    }

    fn word() -> impl Strategy<Value = Vec<u8>> {
        "[!-~]{1,40}".prop_map(String::into_bytes)
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..200)
    }

    proptest! {
        #[test]
        fn what_a_client_publishes_is_read_back(
            subject in word(), reply in prop::option::of(word()), headers in bytes(), payload in bytes(),
        ) {
            let reply = reply.as_deref();
            let mut out = Vec::new();
            if headers.is_empty() {
                pub_(&mut out, &subject, reply, &payload);
            } else {
                hpub(&mut out, &subject, reply, &headers, &payload);
            }
            let op = ClientOp::Pub(PubOp { subject: &subject, reply, headers: &headers, payload: &payload });
            let parsed = parse_client(&out, &Limits::default(), Mode::Nats);
            prop_assert_eq!(parsed, Ok(Parsed::Op { op, consumed: out.len() }));
        }

        #[test]
        fn what_a_server_delivers_is_read_back_and_fits_the_room_foretold(
            subject in word(), sid in word(), reply in prop::option::of(word()), headers in bytes(), payload in bytes(),
        ) {
            let reply = reply.as_deref();
            let mut out = Vec::new();
            msg(&mut out, &subject, &sid, reply, &headers, &payload);
            let reply_len = reply.map_or(0, <[u8]>::len);
            prop_assert!(out.len() <= msg_len_max(subject.len(), sid.len(), reply_len, headers.len(), payload.len()));
            let op = ServerOp::Msg { subject: &subject, sid: &sid, reply, headers: &headers, payload: &payload };
            let parsed = parse_server(&out, &Limits::of_client());
            prop_assert_eq!(parsed, Ok(Parsed::Op { op, consumed: out.len() }));
        }

        #[test]
        fn subscriptions_are_read_back(
            subject in word(), queue in prop::option::of(word()), sid in word(), max in prop::option::of(1_u32..1_000_000),
        ) {
            let mut out = Vec::new();
            sub(&mut out, &subject, queue.as_deref(), &sid);
            let op = ClientOp::Sub { subject: &subject, queue: queue.as_deref(), sid: &sid };
            let parsed = parse_client(&out, &Limits::default(), Mode::Nats);
            prop_assert_eq!(parsed, Ok(Parsed::Op { op, consumed: out.len() }));

            let max = max.map(u64::from);
            let mut out = Vec::new();
            unsub(&mut out, &sid, max);
            let parsed = parse_client(&out, &Limits::default(), Mode::Nats);
            prop_assert_eq!(parsed, Ok(Parsed::Op { op: ClientOp::Unsub { sid: &sid, max }, consumed: out.len() }));
        }

        #[test]
        fn any_error_text_is_one_operation(text in any::<String>()) {
            let mut out = Vec::new();
            err(&mut out, &text);
            let parsed = parse_server(&out, &Limits::of_client());
            let is_one = matches!(parsed, Ok(Parsed::Op { op: ServerOp::Err(_), consumed }) if consumed == out.len());
            prop_assert!(is_one, "{:?}", parsed);
        }
    }
}
