//! Which known word a person probably meant.

/// The candidate that needs the fewest corrections to become `word`, in any case; the first of equals.
///
/// `None` when every candidate needs more than two corrections, or as many as `word` has letters. A correction adds, drops or
/// replaces a letter, or swaps two neighbours.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = letters(word);
    let most = MAX_CORRECTIONS.min(word.len().saturating_sub(1));
    candidates
        .into_iter()
        .map(|candidate| (correction_count(&word, &letters(candidate)), candidate))
        .filter(|(count, _)| *count <= most)
        .min_by_key(|(count, _)| *count)
        .map(|(_, candidate)| candidate)
}

/// Fewest corrections that turn `from` into `to` ("optimal string alignment": no letter is corrected twice).
fn correction_count(from: &[char], to: &[char]) -> usize {
    let width = to.len() + 1;
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..width).collect();
    for (row, from_char) in from.iter().enumerate() {
        let mut current = Vec::with_capacity(width);
        current.push(row + 1);
        for (column, to_char) in to.iter().enumerate() {
            let replaced = at(&last, column) + usize::from(from_char != to_char);
            let dropped = at(&last, column + 1) + 1;
            let added = at(&current, column) + 1;
            let mut best = replaced.min(dropped).min(added);
            if is_swap(from, row, to, column) {
                best = best.min(at(&before_last, column.saturating_sub(1)) + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or(0)
}

fn is_swap(from: &[char], row: usize, to: &[char], column: usize) -> bool {
    let (Some(row_before), Some(column_before)) = (row.checked_sub(1), column.checked_sub(1))
    else {
        return false;
    };
    from.get(row) == to.get(column_before) && from.get(row_before) == to.get(column)
}

fn at(row: &[usize], column: usize) -> usize {
    row.get(column).copied().unwrap_or(usize::MAX / 2)
}

fn letters(word: &str) -> Vec<char> {
    word.chars()
        .take(MAX_WORD_LEN)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// The most corrections that still count as a slip of the hand.
const MAX_CORRECTIONS: usize = 2;

/// Letters of a word that are compared; every known word is shorter.
const MAX_WORD_LEN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(word: &str, expected: Option<&str>) {
        let known = ["lease", "max_messages", "max_bytes", "max_age", "dedup"];
        assert_eq!(nearest(word, known), expected, "{word}");
    }

    #[test]
    fn a_slip_finds_the_known_word() {
        check("lease", Some("lease"));
        check("laese", Some("lease"));
        check("LEAS", Some("lease"));
        check("max-bytes", Some("max_bytes"));
        check("max_agee", Some("max_age"));
        check("dedupp", Some("dedup"));
    }

    #[test]
    fn a_different_word_finds_nothing() {
        for word in ["", "x", "priority", "retention", "a"] {
            check(word, None);
        }
    }

    #[test]
    fn corrections_are_counted_once_each() {
        let count = |from: &str, to: &str| correction_count(&letters(from), &letters(to));
        assert_eq!(count("", ""), 0);
        assert_eq!(count("", "abc"), 3);
        assert_eq!(count("abc", ""), 3);
        assert_eq!(count("abcd", "acbd"), 1);
        assert_eq!(count("kitten", "sitting"), 3);
        assert_eq!(count("ca", "abc"), 3);
    }
}
