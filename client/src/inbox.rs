//! Names that nobody else has.

/// What the subjects that answers come to begin with.
pub(crate) const INBOX_PREFIX: &str = "_INBOX.";

/// How many characters of 62 an inbox's own token has: 131 bits, as a NUID.
const TOKEN_LEN: usize = 22;

/// A subject that nobody else listens on, `_INBOX.<22 characters>`.
pub(crate) fn new_inbox() -> String {
    let mut inbox = String::with_capacity(INBOX_PREFIX.len() + TOKEN_LEN);
    inbox.push_str(INBOX_PREFIX);
    inbox.extend(std::iter::repeat_with(fastrand::alphanumeric).take(TOKEN_LEN));
    inbox
}
