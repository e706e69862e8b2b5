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
