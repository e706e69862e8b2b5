//! Which word was meant.

use std::cmp::min;

/// How many corrections a word may need to be taken for another.
const CORRECTIONS_MAX: usize = 2;

/// The longest word that is compared, in characters: no known word is as long.
const WORD_LEN_MAX: usize = 32;

/// The candidates that need the fewest corrections to be `word`, in any case, in their own order; none when all need
/// more than [`CORRECTIONS_MAX`] or as many as the word has characters.
pub(super) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Vec<&'c str> {
    let word: Vec<char> = word
        .chars()
        .take(WORD_LEN_MAX)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let mut best = min(CORRECTIONS_MAX, word.len().saturating_sub(1));
    let mut found = Vec::new();
    for candidate in candidates {
        let letters: Vec<char> = candidate.chars().map(|c| c.to_ascii_lowercase()).collect();
        let corrections = corrections_count(&word, &letters);
        if corrections < best {
            best = corrections;
            found.clear();
        }
        if corrections == best && !found.contains(&candidate) {
            found.push(candidate);
        }
    }
    found
}

/// How many characters must be put in, left out, replaced or swapped with their neighbour to turn `a` into `b`.
fn corrections_count(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut left_before = None;
    for (row, left) in a.iter().enumerate() {
        let mut current = vec![row + 1];
        let mut diagonal = row;
        let mut right_before = None;
        for (column, right) in b.iter().enumerate() {
            let above = cell(&last, column + 1);
            let mut cost = min(
                diagonal + usize::from(left != right),
                min(above, cell(&current, column)) + 1,
            );
            if left_before == Some(right) && right_before == Some(left) {
                cost = min(
                    cost,
                    cell(&before_last, column.wrapping_sub(1)).saturating_add(1),
                );
            }
            current.push(cost);
            diagonal = above;
            right_before = Some(right);
        }
        left_before = Some(left);
        before_last = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or(a.len())
}

fn cell(row: &[usize], column: usize) -> usize {
    row.get(column).copied().unwrap_or(usize::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 6] = ["PUSH", "POP", "POST", "QUEUE", "FOLLOW", "UNFOLLOW"];

    #[track_caller]
    fn check(word: &str, expected: &[&str]) {
        assert_eq!(nearest(word, WORDS), expected, "{word}");
    }

    #[test]
    fn the_fewest_corrections_win() {
        check("PUSH", &["PUSH"]);
        check("posh", &["PUSH", "POST"]);
        check("psuh", &["PUSH"]);
        check("POPP", &["POP"]);
        check("PP", &["POP"]);
        check("QEUE", &["QUEUE"]);
        check("folow", &["FOLLOW"]);
        check("unfolow", &["UNFOLLOW"]);
    }

    #[test]
    fn a_word_far_from_all_has_no_near_one() {
        check("", &[]);
        check("x", &[]);
        check("XY", &[]);
        check("SUBSCRIBE", &[]);
        check(&"P".repeat(4000), &[]);
    }

    #[test]
    fn neighbours_swapped_are_one_correction() {
        let count = |a: &str, b: &str| {
            corrections_count(
                &a.chars().collect::<Vec<_>>(),
                &b.chars().collect::<Vec<_>>(),
            )
        };
        assert_eq!(count("ab", "ba"), 1);
        assert_eq!(count("delya", "delay"), 1);
        assert_eq!(count("", "abc"), 3);
        assert_eq!(count("abc", ""), 3);
        assert_eq!(count("kitten", "sitting"), 3);
    }
}
