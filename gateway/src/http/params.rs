//! Query parameters, read strictly: what is not known is refused with what there is.

use std::borrow::Cow;
use std::time::Duration;

use axum::extract::Query;
use axum::http::Uri;
use relevo_protocol::time::{format_duration, parse_duration};
use relevo_protocol::verb::StartFrom;

use super::problem::{Problem, ProblemKind};

/// The most of a refused text that an answer repeats, in characters.
const QUOTED_CHARS_MAX: usize = 60;

/// The query parameters of a request.
#[derive(Debug)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    /// Reads the parameters of `uri`, of which only those in `known` may be there, each once.
    pub(crate) fn read(uri: &Uri, known: &[&str]) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| bad(format_args!("the query cannot be read: {error}")))?;
        for (at, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let known = if known.is_empty() {
                    "there are none here".to_owned()
                } else {
                    known.join(", ")
                };
                return Err(bad(format_args!(
                    "unknown parameter '{}'; known: {known}",
                    quoted(name)
                )));
            }
            if pairs.iter().take(at).any(|(earlier, _)| earlier == name) {
                return Err(bad(format_args!(
                    "parameter {name} is there twice; give it once"
                )));
            }
        }
        Ok(Self { pairs })
    }

    /// The value of `name` as it was written.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// A text of 1 to `len_max` bytes without control characters, which a header can hold.
    pub(crate) fn word(&self, name: &str, len_max: usize) -> Result<Option<String>, Problem> {
        let Some(value) = self.text(name) else {
            return Ok(None);
        };
        if value.is_empty() || value.len() > len_max || value.chars().any(char::is_control) {
            return Err(bad(format_args!(
                "{name} cannot be '{}'; use 1 to {len_max} bytes without control characters",
                quoted(value)
            )));
        }
        Ok(Some(value.to_owned()))
    }

    /// A duration from `min` to `max`.
    pub(crate) fn duration(
        &self,
        name: &str,
        min: Duration,
        max: Duration,
    ) -> Result<Option<Duration>, Problem> {
        let Some(value) = self.text(name) else {
            return Ok(None);
        };
        let duration =
            parse_duration(value).map_err(|error| bad(format_args!("{name}: {error}")))?;
        if (min..=max).contains(&duration) {
            return Ok(Some(duration));
        }
        Err(bad(format_args!(
            "{name} cannot be '{}'; use {} to {}",
            quoted(value),
            format_duration(min),
            format_duration(max)
        )))
    }

    /// A whole number from `min` to `max`.
    pub(crate) fn count(&self, name: &str, min: u32, max: u32) -> Result<Option<u32>, Problem> {
        let Some(value) = self.text(name) else {
            return Ok(None);
        };
        match value.parse() {
            Ok(count) if (min..=max).contains(&count) => Ok(Some(count)),
            _ => Err(bad(format_args!(
                "{name} cannot be '{}'; use a whole number from {min} to {max}",
                quoted(value)
            ))),
        }
    }

    /// Where to begin to read: `first`, `last`, a sequence or an RFC 3339 time.
    pub(crate) fn start(&self, name: &str) -> Result<Option<StartFrom>, Problem> {
        let Some(value) = self.text(name) else {
            return Ok(None);
        };
        // A '+' in a query stands for a blank, and people do not escape the one of a time's offset.
        StartFrom::parse(&value.replace(' ', "+"))
            .map(Some)
            .map_err(|error| {
                bad(format_args!(
                    "{name} cannot be '{}'; {error}",
                    quoted(value)
                ))
            })
    }
}

/// The beginning of a text that somebody else wrote, fit to be repeated in an answer.
pub(crate) fn quoted(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        None => Cow::Borrowed(text),
        Some((at, _)) => Cow::Owned(format!("{}…", text.get(..at).unwrap_or_default())),
    }
}

fn bad(detail: std::fmt::Arguments<'_>) -> Problem {
    Problem::new(ProblemKind::BadParameter, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params::read(&query.parse().unwrap(), &["wait", "max", "from", "key"]).unwrap()
    }

    #[test]
    fn an_unknown_or_repeated_parameter_is_named() {
        let check = |query: &str, known: &[&str], expected: Option<&str>| {
            let read = Params::read(&query.parse().unwrap(), known);
            assert_eq!(
                read.err().map(|problem| problem.detail).as_deref(),
                expected,
                "{query}"
            );
        };
        check("/", &[], None);
        check("/?wait=5s", &["wait", "max"], None);
        check(
            "/?wiat=5s",
            &["wait", "max"],
            Some("unknown parameter 'wiat'; known: wait, max"),
        );
        check(
            "/?x",
            &[],
            Some("unknown parameter 'x'; known: there are none here"),
        );
        check(
            "/?max=1&max=2",
            &["max"],
            Some("parameter max is there twice; give it once"),
        );
    }

    #[test]
    fn a_duration_lies_within_its_bounds() {
        let check = |query: &str, expected: Result<Option<Duration>, &str>| {
            let minute = Duration::from_secs(60);
            let read = params(query).duration("wait", Duration::ZERO, minute);
            assert_eq!(
                read.as_ref().map(|d| *d).map_err(|p| p.detail.as_str()),
                expected,
                "{query}"
            );
        };
        check("/", Ok(None));
        check("/?wait=0", Ok(Some(Duration::ZERO)));
        check("/?wait=1m", Ok(Some(Duration::from_secs(60))));
        check("/?wait=61s", Err("wait cannot be '61s'; use 0s to 1m"));
        check(
            "/?wait=5",
            Err("wait: duration '5' has no unit; write 5ms, 5s, 5m, 5h or 5d"),
        );
    }

    #[test]
    fn a_count_lies_within_its_bounds() {
        let check = |query: &str, expected: Result<Option<u32>, &str>| {
            let read = params(query).count("max", 1, 10);
            assert_eq!(
                read.as_ref().map(|n| *n).map_err(|p| p.detail.as_str()),
                expected,
                "{query}"
            );
        };
        check("/", Ok(None));
        check("/?max=10", Ok(Some(10)));
        for wrong in ["0", "11", "-1", "ten", ""] {
            let detail = format!("max cannot be '{wrong}'; use a whole number from 1 to 10");
            check(&format!("/?max={wrong}"), Err(&detail));
        }
    }

    #[test]
    fn a_time_may_keep_the_plus_of_its_offset() {
        let escaped = params("/?from=2026-01-31T12:00:00%2B02:00")
            .start("from")
            .unwrap();
        let bare = params("/?from=2026-01-31T12:00:00+02:00")
            .start("from")
            .unwrap();
        assert!(escaped.is_some());
        assert_eq!(escaped, bare);
    }

    #[test]
    fn a_word_fits_into_a_header() {
        let check = |query: &str, expected: Result<Option<&str>, ()>| {
            let read = params(query).word("key", 4);
            assert_eq!(
                read.as_ref().map(Option::as_deref).map_err(|_| ()),
                expected,
                "{query}"
            );
        };
        check("/?key=abcd", Ok(Some("abcd")));
        check("/?key=%C3%A9", Ok(Some("é")));
        check("/?key=", Err(()));
        check("/?key=abcde", Err(()));
        check("/?key=a%0D%0Ab", Err(()));
    }

    #[test]
    fn a_long_text_is_repeated_only_in_part() {
        assert_eq!(quoted("short"), "short");
        assert_eq!(quoted(&"é".repeat(61)), format!("{}…", "é".repeat(60)));
    }
}
