//! A line as words.

/// The rest of a line, read word by word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self {
            rest: line.trim_start_matches(BLANKS),
        }
    }

    /// What was not read yet, from its next word on.
    pub(super) fn rest(self) -> &'a str {
        self.rest
    }

    /// The next word and what is behind it, unread.
    pub(super) fn split_first(self) -> Option<(&'a str, Self)> {
        if self.rest.is_empty() {
            return None;
        }
        let (word, rest) = self.rest.split_once(BLANKS).unwrap_or((self.rest, ""));
        Some((word, Self::new(rest)))
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (word, rest) = self.split_first()?;
        *self = rest;
        Some(word)
    }
}

const BLANKS: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_apart_by_any_blanks() {
        assert_eq!(
            Words::new(" a\t b  c ").collect::<Vec<_>>(),
            ["a", "b", "c"]
        );
        assert_eq!(Words::new(" \t ").count(), 0);
    }

    #[test]
    fn the_rest_keeps_its_inner_and_last_blanks() {
        let mut words = Words::new("a   b  c ");
        words.next();
        assert_eq!(words.rest(), "b  c ");
    }
}
