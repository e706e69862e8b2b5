//! Patterns over subjects.

use std::fmt;
use std::str::Split;
use std::sync::Arc;

use super::{SubjectError, SubjectRef, Wildcards, check};

/// An owned pattern over subjects: a subject whose tokens may be `*` (any one token) and whose last may be `>` (one or
/// more tokens). Every subject is also a filter, which matches itself alone. A clone shares the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectFilter(Arc<str>);

impl SubjectFilter {
    /// Parses a pattern.
    ///
    /// # Errors
    /// Those of [`Subject::parse`](super::Subject::parse), where wildcards are allowed but `>` only at the end.
    pub fn parse(filter: impl AsRef<[u8]>) -> Result<Self, SubjectError> {
        let text = check(filter.as_ref(), Wildcards::Allowed)?;
        Ok(Self(Arc::from(text)))
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tokens in order; at least one.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.split()
    }

    /// Whether there is no wildcard in it.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.split().all(|token| token != "*" && token != ">")
    }

    /// Whether `subject` is one that the pattern asks for.
    #[must_use]
    pub fn matches(&self, subject: SubjectRef<'_>) -> bool {
        contains(self.split(), subject.as_str().split('.'))
    }

    /// Whether some subject exists that both patterns match.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let (mut left, mut right) = (self.split(), other.split());
        loop {
            match (left.next(), right.next()) {
                (None, None) | (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
                (None, Some(_)) | (Some(_), None) => return false,
                (Some("*"), Some(_)) | (Some(_), Some("*")) => {}
                (Some(a), Some(b)) if a == b => {}
                (Some(_), Some(_)) => return false,
            }
        }
    }

    /// Whether the pattern matches every subject that `other` matches.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        contains(self.split(), other.split())
    }

    fn split(&self) -> Split<'_, char> {
        self.0.split('.')
    }
}

impl From<SubjectRef<'_>> for SubjectFilter {
    fn from(subject: SubjectRef<'_>) -> Self {
        Self(Arc::from(subject.as_str()))
    }
}

impl fmt::Debug for SubjectFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for SubjectFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether everything that `inner` stands for, a subject or a pattern, is matched by `outer`.
fn contains<'a>(
    outer: impl Iterator<Item = &'a str>,
    inner: impl Iterator<Item = &'a str>,
) -> bool {
    let mut inner = inner;
    for pattern in outer {
        match (pattern, inner.next()) {
            (">", Some(_)) => return true,
            (_, None | Some(">")) => return false,
            ("*", Some(_)) => {}
            (pattern, Some(token)) if pattern == token => {}
            (_, Some(_)) => return false,
        }
    }
    inner.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> SubjectFilter {
        SubjectFilter::parse(text).unwrap()
    }

    #[track_caller]
    fn check_matches(pattern: &str, subject: &str, expected: bool) {
        let subject = SubjectRef::parse(subject.as_bytes()).unwrap();
        assert_eq!(
            filter(pattern).matches(subject),
            expected,
            "{pattern} matches {subject}"
        );
    }

    #[track_caller]
    fn check_pair(a: &str, b: &str, overlaps: bool, a_covers_b: bool, b_covers_a: bool) {
        let (a, b) = (filter(a), filter(b));
        assert_eq!(a.overlaps(&b), overlaps, "{a} overlaps {b}");
        assert_eq!(b.overlaps(&a), overlaps, "{b} overlaps {a}");
        assert_eq!(a.covers(&b), a_covers_b, "{a} covers {b}");
        assert_eq!(b.covers(&a), b_covers_a, "{b} covers {a}");
    }

    #[test]
    fn a_filter_may_have_wildcards_but_the_full_one_only_last() {
        for text in ["a", "*", ">", "a.*", "a.>", "*.*.>", "a*.b", "a.>b.c"] {
            assert_eq!(filter(text).as_str(), text);
        }
        for text in [">.a", "a.>.b", ">.>"] {
            assert_eq!(
                SubjectFilter::parse(text),
                Err(SubjectError::WildcardNotLast),
                "{text}"
            );
        }
        assert_eq!(SubjectFilter::parse("a..b"), Err(SubjectError::EmptyToken));
        assert_eq!(SubjectFilter::parse(""), Err(SubjectError::Empty));
        assert_eq!(
            SubjectFilter::parse("a b"),
            Err(SubjectError::ForbiddenCharacter)
        );
    }

    #[test]
    fn only_a_whole_token_makes_a_filter_not_literal() {
        assert!(filter("a.b").is_literal());
        assert!(filter("a*.>b").is_literal());
        assert!(!filter("a.*").is_literal());
        assert!(!filter(">").is_literal());
    }

    #[test]
    fn star_is_one_token_and_greater_than_is_one_or_more() {
        check_matches("a.b", "a.b", true);
        check_matches("a.b", "a.bc", false);
        check_matches("a.b", "a", false);
        check_matches("a.b", "a.b.c", false);
        check_matches("a.*", "a.b", true);
        check_matches("a.*", "a", false);
        check_matches("a.*", "a.b.c", false);
        check_matches("*.b", "a.b", true);
        check_matches("a.>", "a.b", true);
        check_matches("a.>", "a.b.c.d", true);
        check_matches("a.>", "a", false);
        check_matches(">", "a", true);
        check_matches("*.>", "a", false);
        check_matches("*.>", "a.b", true);
        check_matches("a*", "ab", false);
        check_matches("a*", "a*", true);
    }

    #[test]
    fn overlap_and_cover_follow_from_what_is_matched() {
        check_pair("a", "a", true, true, true);
        check_pair("a", "b", false, false, false);
        check_pair("a.*", "a.b", true, true, false);
        check_pair("a.*", "*.b", true, false, false);
        check_pair("a.>", "a.*.c", true, true, false);
        check_pair("a.>", "a", false, false, false);
        check_pair("a.>", "*.b", true, false, false);
        check_pair(">", "a.>", true, true, false);
        check_pair(">", "*", true, true, false);
        check_pair("*", "a.b", false, false, false);
        check_pair("*.>", "a.>", true, true, false);
        check_pair("*.*", ">", true, false, true);
        check_pair("*.*", "*.>", true, false, true);
        check_pair("a.*.c", "a.b.*", true, false, false);
        check_pair("a.*.c", "a.b.d", false, false, false);
    }
}
