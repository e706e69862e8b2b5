//! What is wrong with a line that a person typed, and what to type instead.

use std::fmt;

use super::start::BadStart;
use super::table::{meant_by_word, meant_in_group};
use super::words::Words;
use crate::convention::OptionError;
use crate::convention::lease::LeaseError;
use crate::name::NameError;
use crate::time::DurationError;

/// The longest piece of a person's own words that an answer repeats, in characters.
const QUOTED_CHARS_MAX: usize = 40;

/// Why a line is not a verb with its arguments. `Display` is the text for `-ERR '…'`.
#[derive(Clone, Debug, PartialEq)]
pub enum VerbError {
    /// The duration of an option is none, or not within its bounds.
    BadDuration {
        /// The option.
        option: &'static str,
        /// What is wrong with it.
        source: DurationError,
    },
    /// The lease is none.
    BadLease(LeaseError),
    /// A name breaks the rules of names.
    BadName(NameError),
    /// The number of an option is none, or not within its bounds.
    BadNumber {
        /// The option.
        option: &'static str,
        /// What was written.
        value: String,
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// An option of QUEUE CREATE or TOPIC CREATE was refused.
    BadOption(OptionError),
    /// `from=` is no place to start from.
    BadStart {
        /// What was written.
        value: String,
    },
    /// The text of an option is empty or too long, or has a control character.
    BadWord {
        /// The option.
        option: &'static str,
        /// Its longest text, in bytes.
        max_len: usize,
    },
    /// A duration is shorter or longer than the option takes.
    DurationOutOfRange {
        /// The option.
        option: &'static str,
        /// The shortest, as a person writes it.
        min: String,
        /// The longest, as a person writes it.
        max: String,
    },
    /// An argument that must be there is not.
    Missing {
        /// What is not there.
        what: &'static str,
        /// The line to type.
        usage: String,
    },
    /// The line is not UTF-8.
    NotUtf8,
    /// An option was given twice.
    Repeated {
        /// The option.
        option: &'static str,
    },
    /// A word stands where none, or only an option, may stand.
    Unexpected {
        /// The word.
        word: String,
        /// The line to type.
        usage: String,
    },
    /// No verb begins so.
    Unknown {
        /// How the line begins.
        words: String,
        /// The verbs that may have been meant.
        meant: Vec<&'static str>,
    },
    /// The verb has no such option.
    UnknownOption {
        /// What was written before the `=`.
        option: String,
        /// The verb.
        verb: &'static str,
        /// The options that may have been meant; all of the verb's when it is like none of them.
        meant: Vec<&'static str>,
    },
}

impl VerbError {
    /// The answer to a line that begins with no operation and no verb.
    #[must_use]
    pub fn unknown(line: &[u8]) -> Self {
        Self::unknown_words(&String::from_utf8_lossy(line))
    }

    pub(super) fn unknown_words(line: &str) -> Self {
        let first = Words::new(line).next().unwrap_or_default();
        Self::Unknown {
            words: quoted(first),
            meant: meant_by_word(first),
        }
    }

    pub(super) fn unknown_in_group(group: &str, word: Option<&str>) -> Self {
        let words = format!(
            "{} {}",
            group.to_ascii_uppercase(),
            quoted(word.unwrap_or_default())
        );
        Self::Unknown {
            words: words.trim_end().to_owned(),
            meant: meant_in_group(group, word),
        }
    }
}

/// A person's own words, short enough to repeat to them.
pub(super) fn quoted(text: &str) -> String {
    if text.chars().count() <= QUOTED_CHARS_MAX {
        return text.to_owned();
    }
    text.chars()
        .take(QUOTED_CHARS_MAX)
        .chain("...".chars())
        .collect()
}

impl std::error::Error for VerbError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::BadDuration { source, .. } => Some(source),
            Self::BadLease(source) => Some(source),
            Self::BadName(source) => Some(source),
            Self::BadOption(source) => Some(source),
            Self::BadNumber { .. }
            | Self::BadStart { .. }
            | Self::BadWord { .. }
            | Self::DurationOutOfRange { .. }
            | Self::Missing { .. }
            | Self::NotUtf8
            | Self::Repeated { .. }
            | Self::Unexpected { .. }
            | Self::Unknown { .. }
            | Self::UnknownOption { .. } => None,
        }
    }
}

impl fmt::Display for VerbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadDuration { option, source } => write!(f, "bad {option}=: {source}"),
            Self::BadLease(source) => write!(f, "{source}"),
            Self::BadName(source) => write!(f, "{source}"),
            Self::BadNumber {
                option,
                value,
                min,
                max,
            } => {
                write!(
                    f,
                    "bad {option}=: \"{value}\" is not a whole number from {min} to {max}"
                )
            }
            Self::BadOption(source) => write!(f, "{source}"),
            Self::BadStart { value } => write!(f, "bad from=: \"{value}\"; {BadStart}"),
            Self::BadWord { option, max_len } => {
                write!(
                    f,
                    "bad {option}=: write 1 to {max_len} bytes, no blanks or control characters"
                )
            }
            Self::DurationOutOfRange { option, min, max } => {
                write!(f, "bad {option}=: write {min} to {max}")
            }
            Self::Missing { what, usage } => write!(f, "{what} is missing; write {usage}"),
            Self::NotUtf8 => f.write_str(
                "the line is not UTF-8; send other bytes as #<bytes> CR LF and then the bytes",
            ),
            Self::Repeated { option } => {
                write!(f, "option {option}= stands there twice; write it once")
            }
            Self::Unexpected { word, usage } => write!(f, "unexpected \"{word}\"; write {usage}"),
            Self::Unknown { words, meant } => {
                write!(f, "Unknown verb {words}")?;
                if !meant.is_empty() {
                    write!(f, ", did you mean {}", meant.join(" or "))?;
                }
                f.write_str("; HELP lists them")
            }
            Self::UnknownOption {
                option,
                verb,
                meant,
            } if meant.is_empty() => {
                write!(f, "unknown option \"{option}\" for {verb}, which has none")
            }
            Self::UnknownOption {
                option,
                verb,
                meant,
            } => {
                write!(
                    f,
                    "unknown option \"{option}\" for {verb}, did you mean {}=",
                    meant.join("= or ")
                )
            }
        }
    }
}
