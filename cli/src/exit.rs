//! How a command fails: one line on standard error and exit code 1.

use std::fmt;
use std::process::ExitCode;

/// What was tried, and what came of it.
#[derive(Debug)]
pub(crate) struct Failure {
    text: String,
}

impl Failure {
    /// `tried` is a verb and its object: "read store.toml".
    pub(crate) fn new(tried: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self {
            text: format!("{tried}: {cause}"),
        }
    }

    /// A sentence that stands by itself.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }

    /// Tells the user.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("relevo: {self}");
        ExitCode::FAILURE
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
