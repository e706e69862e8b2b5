//! Message headers: the block that HPUB and HMSG carry before the payload.
//!
//! ```text
//! NATS/1.0[ <status>[ <description>]] CR LF
//! <name>:[blanks]<value>[blanks] CR LF      any number of times
//! CR LF
//! ```
//! Names are looked up exactly as they were written. Source: ADR-4, and nats-server 2.15 `client.go`, `getHeader`.

mod build;

pub use build::HeaderBuilder;

use std::fmt;

/// The most headers in a block.
pub const HEADERS_COUNT_MAX: usize = 4096;

/// A header block that was found to be valid. It borrows the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderBlock<'a> {
    status: Option<Status<'a>>,
    lines: &'a str,
}

/// What the version line says about a message that a server made, as in `NATS/1.0 503`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status<'a> {
    /// Three digits, 100 to 999.
    pub code: u16,
    /// The words behind it; empty for none.
    pub description: &'a str,
}

/// Why bytes are not a header block, or a header can not stand in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// A status is not a number from 100 to 999.
    BadStatus,
    /// The block does not begin with `NATS/1.0`.
    BadVersion,
    /// A name is empty or has a blank, a colon, a control character or one beyond ASCII.
    BadName,
    /// A value has a CR or LF.
    BadValue,
    /// A line has no colon.
    NoColon,
    /// The block does not end with an empty line, or goes on after one.
    NotTerminated,
    /// The block is not UTF-8.
    NotUtf8,
    /// The block has more than [`HEADERS_COUNT_MAX`] headers.
    TooMany,
}

impl<'a> HeaderBlock<'a> {
    /// Reads a whole block, from its version line to its final empty line.
    ///
    /// # Errors
    /// A [`HeaderError`] with what is wrong first.
    pub fn parse(block: &'a [u8]) -> Result<Self, HeaderError> {
        let text = str::from_utf8(block).map_err(|_| HeaderError::NotUtf8)?;
        let after_version = text.strip_prefix(VERSION).ok_or(HeaderError::BadVersion)?;
        let (status, lines) = after_version
            .split_once(CRLF)
            .ok_or(HeaderError::NotTerminated)?;
        let status = parse_status(status)?;
        let lines = lines.strip_suffix(CRLF).ok_or(HeaderError::NotTerminated)?;
        if !lines.is_empty() && !lines.ends_with(CRLF) {
            return Err(HeaderError::NotTerminated);
        }
        let mut count = 0;
        for line in lines.split_terminator(CRLF) {
            check_line(line)?;
            count += 1;
        }
        if count > HEADERS_COUNT_MAX {
            return Err(HeaderError::TooMany);
        }
        Ok(Self { status, lines })
    }

    /// The status of a message that a server made.
    #[must_use]
    pub fn status(&self) -> Option<Status<'a>> {
        self.status
    }

    /// The first value of the header with exactly this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.get_all(name).next()
    }

    /// Every value of the header with exactly this name, in order.
    pub fn get_all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.iter()
            .filter(move |(own, _)| *own == name)
            .map(|(_, value)| value)
    }

    /// Every header's name and value, in order, without the blanks around the value.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.lines.split_terminator(CRLF).filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name, value.trim_matches(BLANKS)))
        })
    }

    /// Whether there is no header; there may be a status.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

impl std::error::Error for HeaderError {}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadStatus => {
                f.write_str("the status of a header block is a number from 100 to 999")
            }
            Self::BadVersion => f.write_str("a header block begins with NATS/1.0"),
            Self::BadName => {
                f.write_str("a header's name is visible ASCII characters without a colon")
            }
            Self::BadValue => f.write_str("a header's value has no line ends"),
            Self::NoColon => f.write_str("a header has a colon between its name and its value"),
            Self::NotTerminated => f.write_str("a header block ends with one empty line"),
            Self::NotUtf8 => f.write_str("a header block is UTF-8"),
            Self::TooMany => write!(f, "a header block has at most {HEADERS_COUNT_MAX} headers"),
        }
    }
}

const VERSION: &str = "NATS/1.0";
const CRLF: &str = "\r\n";
const BLANKS: [char; 2] = [' ', '\t'];

/// What stands behind the version on its line.
fn parse_status(text: &str) -> Result<Option<Status<'_>>, HeaderError> {
    let Some(words) = text.strip_prefix(BLANKS) else {
        return if text.is_empty() {
            Ok(None)
        } else {
            Err(HeaderError::BadVersion)
        };
    };
    check_value(words)?;
    let words = words.trim_matches(BLANKS);
    if words.is_empty() {
        return Ok(None);
    }
    let (code, description) = words.split_once(BLANKS).unwrap_or((words, ""));
    let code = code.parse().map_err(|_| HeaderError::BadStatus)?;
    check_status(code)?;
    Ok(Some(Status {
        code,
        description: description.trim_start_matches(BLANKS),
    }))
}

fn check_status(code: u16) -> Result<(), HeaderError> {
    if (100..=999).contains(&code) {
        Ok(())
    } else {
        Err(HeaderError::BadStatus)
    }
}

fn check_line(line: &str) -> Result<(), HeaderError> {
    if line.is_empty() {
        return Err(HeaderError::NotTerminated);
    }
    let (name, value) = line.split_once(':').ok_or(HeaderError::NoColon)?;
    check_name(name)?;
    check_value(value)
}

fn check_name(name: &str) -> Result<(), HeaderError> {
    let valid = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b':');
    if valid {
        Ok(())
    } else {
        Err(HeaderError::BadName)
    }
}

fn check_value(value: &str) -> Result<(), HeaderError> {
    if value.contains(['\r', '\n']) {
        Err(HeaderError::BadValue)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(block: &str, expected: &[(&str, &str)]) {
        let parsed = HeaderBlock::parse(block.as_bytes()).unwrap();
        assert_eq!(parsed.iter().collect::<Vec<_>>(), expected, "{block:?}");
        assert_eq!(parsed.is_empty(), expected.is_empty());
    }

    #[track_caller]
    fn check_status(line: &str, expected: Option<(u16, &str)>) {
        let block = format!("{line}\r\n\r\n");
        let status = HeaderBlock::parse(block.as_bytes()).unwrap().status();
        assert_eq!(
            status.map(|status| (status.code, status.description)),
            expected,
            "{line:?}"
        );
    }

    #[track_caller]
    fn check_err(block: &[u8], expected: HeaderError) {
        assert_eq!(
            HeaderBlock::parse(block),
            Err(expected),
            "{}",
            block.escape_ascii()
        );
    }

    #[test]
    fn headers_keep_their_order_and_lose_the_blanks_around_values() {
        check("NATS/1.0\r\n\r\n", &[]);
        check("NATS/1.0\r\nA: b\r\n\r\n", &[("A", "b")]);
        check(
            "NATS/1.0\r\nA:b\r\nC:\t d e \r\nA:\r\n\r\n",
            &[("A", "b"), ("C", "d e"), ("A", "")],
        );
        check(
            "NATS/1.0\r\nA: b:c\r\nE: \u{e9}\r\n\r\n",
            &[("A", "b:c"), ("E", "\u{e9}")],
        );
        check(
            "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 1\r\n\r\n",
            &[("Nats-Last-Consumer", "1")],
        );
    }

    #[test]
    fn names_are_looked_up_exactly() {
        let block = HeaderBlock::parse(b"NATS/1.0\r\nId: 1\r\nid: 2\r\nId: 3\r\n\r\n").unwrap();
        assert_eq!(block.get("Id"), Some("1"));
        assert_eq!(block.get("id"), Some("2"));
        assert_eq!(block.get("ID"), None);
        assert_eq!(block.get_all("Id").collect::<Vec<_>>(), ["1", "3"]);
    }

    #[test]
    fn the_version_line_may_have_a_status() {
        check_status("NATS/1.0", None);
        check_status("NATS/1.0 ", None);
        check_status("NATS/1.0 503", Some((503, "")));
        check_status("NATS/1.0 404 No Messages", Some((404, "No Messages")));
        check_status(
            "NATS/1.0  100\tFlowControl Request ",
            Some((100, "FlowControl Request")),
        );
    }

    #[test]
    fn a_block_that_is_none_is_refused() {
        check_err(b"", HeaderError::BadVersion);
        check_err(b"NATS/2.0\r\n\r\n", HeaderError::BadVersion);
        check_err(b"nats/1.0\r\n\r\n", HeaderError::BadVersion);
        check_err(b"NATS/1.01\r\n\r\n", HeaderError::BadVersion);
        check_err(b"NATS/1.0 1\r\n\r\n", HeaderError::BadStatus);
        check_err(b"NATS/1.0 1000\r\n\r\n", HeaderError::BadStatus);
        check_err(b"NATS/1.0 OK\r\n\r\n", HeaderError::BadStatus);
        check_err(b"NATS/1.0\r\n", HeaderError::NotTerminated);
        check_err(b"NATS/1.0\r\nA: b\r\n", HeaderError::NotTerminated);
        check_err(b"NATS/1.0\r\nA: b", HeaderError::NotTerminated);
        check_err(b"NATS/1.0\r\n\r\nA: b\r\n\r\n", HeaderError::NotTerminated);
        check_err(b"NATS/1.0\r\n\r\n\r\n", HeaderError::NotTerminated);
        check_err(b"NATS/1.0\r\nA b\r\n\r\n", HeaderError::NoColon);
        check_err(b"NATS/1.0\r\n: b\r\n\r\n", HeaderError::BadName);
        check_err(b"NATS/1.0\r\nA : b\r\n\r\n", HeaderError::BadName);
        check_err(b"NATS/1.0\r\n A: b\r\n\r\n", HeaderError::BadName);
        check_err(b"NATS/1.0\r\nA: b\nC: d\r\n\r\n", HeaderError::BadValue);
        check_err(b"NATS/1.0\r\nA: b\rc\r\n\r\n", HeaderError::BadValue);
        check_err(b"NATS/1.0\r\nA: \xff\r\n\r\n", HeaderError::NotUtf8);
    }

    #[test]
    fn the_number_of_headers_is_bounded() {
        let block = |count| ["NATS/1.0\r\n", &"A: b\r\n".repeat(count), "\r\n"].concat();
        assert!(HeaderBlock::parse(block(HEADERS_COUNT_MAX).as_bytes()).is_ok());
        check_err(
            block(HEADERS_COUNT_MAX + 1).as_bytes(),
            HeaderError::TooMany,
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_block_or_an_error(lines in "(NATS/1.0)?[ A-C0-9:\r\n]{0,40}") {
            if let Ok(block) = HeaderBlock::parse(lines.as_bytes()) {
                prop_assert!(block.iter().all(|(name, value)| check_name(name).is_ok() && check_value(value).is_ok()));
            }
        }
    }
}
