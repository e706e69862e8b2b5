//! Reply mailboxes: the queue in which a caller of the original API finds answers.

use crate::name::{MAX_WORD_LEN, QueueName};

/// What every mailbox's name begins with.
pub const MAILBOX_PREFIX: &str = "reply_";

/// The mailbox of a caller: `reply_<caller>`, each character that a queue name can not hold written as `_`.
///
/// A caller too long for a queue name is cut and marked with its checksum, so that long callers with the same beginning do
/// not share a mailbox.
pub fn mailbox(caller: &str) -> QueueName {
    let word: String = caller
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect();
    if MAILBOX_PREFIX.len() + word.len() <= MAX_WORD_LEN {
        return QueueName::from_parts(MAILBOX_PREFIX, &word);
    }
    let kept: String = word
        .chars()
        .take(MAX_WORD_LEN - MAILBOX_PREFIX.len() - CHECKSUM_MARK_LEN)
        .collect();
    QueueName::from_parts(
        MAILBOX_PREFIX,
        &format!("{kept}-{:08x}", crc32c::crc32c(caller.as_bytes())),
    )
}

/// The length of `-` and a CRC32C in hexadecimal.
const CHECKSUM_MARK_LEN: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(caller: &str, expected: &str) {
        assert_eq!(mailbox(caller).as_str(), expected, "{caller}");
    }

    #[test]
    fn a_mailbox_is_named_after_its_caller() {
        check("ana", "reply_ana");
        check("10.0.0.7", "reply_10_0_0_7");
        check("::1", "reply___1");
        check("ana maría-2", "reply_ana_mar_a-2");
        check("", "reply_");
    }

    #[test]
    fn long_callers_with_the_same_beginning_have_mailboxes_of_their_own() {
        let fits = "c".repeat(122);
        assert_eq!(mailbox(&fits).as_str().len(), 128);
        let (one, other) = (format!("{fits}1"), format!("{fits}2"));
        assert_ne!(mailbox(&one), mailbox(&other));
        assert_eq!(mailbox(&one), mailbox(&one));
        assert_eq!(mailbox(&one).as_str().len(), 128);
    }
}
