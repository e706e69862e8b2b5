//! Subjects: where a message goes, and the patterns that say what a subscriber wants.
//!
//! A subject is a list of tokens with dots between them, as in `orders.eu.new`. In a [`SubjectFilter`] a token `*`
//! stands for any one token and a last token `>` for one or more. As in nats-server, `*` and `>` mean that only as
//! whole tokens: `a*` is an ordinary token.
//!
//! Parsing proves validity once; nothing that takes these types checks again.

mod filter;

pub use filter::SubjectFilter;

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The longest subject or filter, in bytes.
pub const SUBJECT_LEN_MAX: usize = 1024;

/// The most tokens a subject or filter has.
pub const SUBJECT_TOKENS_MAX: usize = 64;

/// What requests begin with that may carry a filter in their subject.
const FILTER_CARRIER: &[u8] = b"$JS.API.";

/// An owned subject that can be published to: 1 to [`SUBJECT_LEN_MAX`] bytes of UTF-8, 1 to [`SUBJECT_TOKENS_MAX`]
/// tokens, none of them empty, no blanks or control characters. A clone shares the text.
///
/// No token is `*` or `>`, but below `$JS.API.`: clients since nats-server 2.9 name a consumer's filter in the subject of
/// the request (`$JS.API.CONSUMER.CREATE.<stream>.<consumer>.<filter>`), and nats-server lets everybody publish to
/// subjects with wildcards who did not ask for pedantic checks. There `*` and `>` are tokens like any other, wherever they
/// stand: they match themselves and wildcards of subscriptions. Whoever answers the request judges them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Arc<str>);

/// A borrowed [`Subject`], valid by the same rules.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectRef<'a>(&'a str);

/// Why bytes are not a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectError {
    /// There is nothing.
    Empty,
    /// Two dots stand side by side, or a dot begins or ends it.
    EmptyToken,
    /// It has a blank or a control character.
    ForbiddenCharacter,
    /// It is not UTF-8.
    NotUtf8,
    /// It is longer than [`SUBJECT_LEN_MAX`].
    TooLong,
    /// It has more than [`SUBJECT_TOKENS_MAX`] tokens.
    TooManyTokens,
    /// A token is `*` or `>`, and only a filter may have those.
    Wildcard,
    /// A token `>` is not the last one.
    WildcardNotLast,
}

impl Subject {
    /// Parses a subject that can be published to.
    ///
    /// # Errors
    /// A [`SubjectError`] with the first rule of [`Subject`] that does not hold.
    pub fn parse(subject: impl AsRef<[u8]>) -> Result<Self, SubjectError> {
        SubjectRef::parse(subject.as_ref()).map(SubjectRef::to_owned)
    }

    /// The subject as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The subject, borrowed.
    #[must_use]
    pub fn as_ref(&self) -> SubjectRef<'_> {
        SubjectRef(&self.0)
    }

    /// The tokens in order; at least one.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }
}

impl<'a> SubjectRef<'a> {
    /// Parses a subject that can be published to, without a copy.
    ///
    /// # Errors
    /// A [`SubjectError`] with the first rule of [`Subject`] that does not hold.
    pub fn parse(subject: &'a [u8]) -> Result<Self, SubjectError> {
        let wildcards = if subject.starts_with(FILTER_CARRIER) {
            Wildcards::Literal
        } else {
            Wildcards::Refused
        };
        let text = check(subject, wildcards)?;
        Ok(Self(text))
    }

    /// The subject as text.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// A copy that owns its text.
    #[must_use]
    pub fn to_owned(self) -> Subject {
        Subject(Arc::from(self.0))
    }

    /// The tokens in order; at least one.
    pub fn tokens(self) -> impl Iterator<Item = &'a str> {
        self.0.split('.')
    }
}

impl Borrow<str> for Subject {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SubjectRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

impl fmt::Display for SubjectRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for SubjectError {}

impl fmt::Display for SubjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("subject is empty"),
            Self::EmptyToken => {
                f.write_str("subject has an empty token; put exactly one dot between tokens")
            }
            Self::ForbiddenCharacter => f.write_str("subject has a blank or a control character"),
            Self::NotUtf8 => f.write_str("subject is not UTF-8"),
            Self::TooLong => write!(f, "subject is longer than {SUBJECT_LEN_MAX} bytes"),
            Self::TooManyTokens => write!(f, "subject has more than {SUBJECT_TOKENS_MAX} tokens"),
            Self::Wildcard => f.write_str("subject has a wildcard; only a subscription may"),
            Self::WildcardNotLast => f.write_str("'>' must be the last token of a subject"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wildcards {
    /// They stand for tokens, `>` at the end only.
    Allowed,
    /// They are tokens like any other.
    Literal,
    Refused,
}

fn check(subject: &[u8], wildcards: Wildcards) -> Result<&str, SubjectError> {
    if subject.is_empty() {
        return Err(SubjectError::Empty);
    }
    if subject.len() > SUBJECT_LEN_MAX {
        return Err(SubjectError::TooLong);
    }
    let text = str::from_utf8(subject).map_err(|_| SubjectError::NotUtf8)?;
    let mut tokens_count = 1;
    let mut token = Token::default();
    for byte in subject.iter().copied() {
        match byte {
            b'.' => {
                if token.end(wildcards)? == Some(Wildcard::Full) {
                    return Err(SubjectError::WildcardNotLast);
                }
                tokens_count += 1;
                token = Token::default();
            }
            0..=b' ' | 0x7f => return Err(SubjectError::ForbiddenCharacter),
            byte => {
                token = Token {
                    len: token.len + 1,
                    last: byte,
                }
            }
        }
    }
    token.end(wildcards)?;
    if tokens_count > SUBJECT_TOKENS_MAX {
        return Err(SubjectError::TooManyTokens);
    }
    Ok(text)
}

/// As much of a token as says whether it is a wildcard.
#[derive(Clone, Copy, Default)]
struct Token {
    len: usize,
    last: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wildcard {
    /// `*`
    One,
    /// `>`
    Full,
}

impl Token {
    #[inline]
    fn end(self, wildcards: Wildcards) -> Result<Option<Wildcard>, SubjectError> {
        let wildcard = match self {
            Self { len: 0, .. } => return Err(SubjectError::EmptyToken),
            Self { len: 1, last: b'*' } => Wildcard::One,
            Self { len: 1, last: b'>' } => Wildcard::Full,
            Self { .. } => return Ok(None),
        };
        match wildcards {
            Wildcards::Allowed => Ok(Some(wildcard)),
            Wildcards::Literal => Ok(None),
            Wildcards::Refused => Err(SubjectError::Wildcard),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &[u8], expected: Result<&str, SubjectError>) {
        assert_eq!(SubjectRef::parse(input).map(SubjectRef::as_str), expected);
        assert_eq!(
            Subject::parse(input).as_ref().map(Subject::as_str),
            expected.as_ref().copied()
        );
    }

    #[test]
    fn a_subject_is_tokens_with_single_dots_between() {
        check(b"a", Ok("a"));
        check(b"orders.eu.new", Ok("orders.eu.new"));
        check("caf\u{e9}.\u{1f600}".as_bytes(), Ok("caf\u{e9}.\u{1f600}"));
        check(b"$JS.API.INFO", Ok("$JS.API.INFO"));
        check(b"", Err(SubjectError::Empty));
        check(b".", Err(SubjectError::EmptyToken));
        check(b"a.", Err(SubjectError::EmptyToken));
        check(b".a", Err(SubjectError::EmptyToken));
        check(b"a..b", Err(SubjectError::EmptyToken));
    }

    #[test]
    fn a_wildcard_is_a_whole_token() {
        check(b"a*.b>.>c", Ok("a*.b>.>c"));
        check(b"*", Err(SubjectError::Wildcard));
        check(b"a.*.b", Err(SubjectError::Wildcard));
        check(b"a.>", Err(SubjectError::Wildcard));
    }

    #[test]
    fn below_the_api_wildcards_are_tokens_like_any_other() {
        for request in [
            "$JS.API.CONSUMER.CREATE.ORDERS.billing.orders.*",
            "$JS.API.CONSUMER.CREATE.ORDERS.billing.orders.*.>",
            "$JS.API.CONSUMER.CREATE.ORDERS.billing.>.x",
            "$JS.API.CONSUMER.INFO.ORDERS.*",
            "$JS.API.>",
        ] {
            check(request.as_bytes(), Ok(request));
        }
        check(b"$JS.API.", Err(SubjectError::EmptyToken));
        check(b"$JS.API.a..*", Err(SubjectError::EmptyToken));
        check(b"$JS.API", Ok("$JS.API"));
        check(b"$JS.ACK.*", Err(SubjectError::Wildcard));
        check(b"$JS.*", Err(SubjectError::Wildcard));
        check(b"$JS.APIS.*", Err(SubjectError::Wildcard));
        check(b"a.$JS.API.*", Err(SubjectError::Wildcard));
    }

    #[test]
    fn blanks_controls_and_broken_utf8_are_refused() {
        for byte in (0..=b' ').chain([0x7f]) {
            check(&[b'a', byte], Err(SubjectError::ForbiddenCharacter));
        }
        check(b"a\xff", Err(SubjectError::NotUtf8));
    }

    #[test]
    fn length_and_depth_are_bounded() {
        let longest = "a".repeat(SUBJECT_LEN_MAX);
        check(longest.as_bytes(), Ok(&longest));
        check(
            "a".repeat(SUBJECT_LEN_MAX + 1).as_bytes(),
            Err(SubjectError::TooLong),
        );
        let deepest = vec!["a"; SUBJECT_TOKENS_MAX].join(".");
        check(deepest.as_bytes(), Ok(&deepest));
        check(
            vec!["a"; SUBJECT_TOKENS_MAX + 1].join(".").as_bytes(),
            Err(SubjectError::TooManyTokens),
        );
    }

    #[test]
    fn tokens_come_in_order() {
        let subject = Subject::parse("a.b.c").unwrap();
        assert_eq!(subject.tokens().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(subject.as_ref().tokens().count(), 3);
    }
}
