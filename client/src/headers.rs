//! Headers to send, and headers that were kept.

use bytes::Bytes;
use relevo_protocol::headers::{HeaderBuilder, HeaderError};

/// Headers with their order, and more than one value for a name. Every one of them is valid on the wire.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    pairs: Vec<(String, String)>,
    block: HeaderBuilder,
}

impl Headers {
    /// No headers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a header after those that are there.
    ///
    /// # Errors
    /// [`HeaderError::BadName`], [`HeaderError::BadValue`] or [`HeaderError::TooMany`]; nothing was added then.
    pub fn append(&mut self, name: &str, value: &str) -> Result<&mut Self, HeaderError> {
        self.block.append(name, value)?;
        self.pairs.push((name.to_owned(), value.to_owned()));
        Ok(self)
    }

    /// Makes `value` the only one of `name`.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn insert(&mut self, name: &str, value: &str) -> Result<&mut Self, HeaderError> {
        if self.get(name).is_some() {
            self.remove(name)?;
        }
        self.append(name, value)
    }

    /// The first value of the header with exactly this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(own, _)| *own == name)
            .map(|(_, value)| value)
    }

    /// Every header's name and value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The headers of a block as it was sent, without its status. Lines that are no header are left out.
    #[must_use]
    pub fn from_bytes(block: &[u8]) -> Self {
        let mut headers = Self::new();
        for line in block.split(|byte| *byte == b'\n').skip(1) {
            let header = str::from_utf8(line)
                .ok()
                .and_then(|line| line.split_once(':'));
            if let Some((name, value)) = header {
                // Left out when it could not be sent on.
                let _ = headers.append(name, value.trim());
            }
        }
        headers
    }

    /// The header block to send; empty when there are no headers.
    pub(crate) fn encode(&self) -> Bytes {
        if self.is_empty() {
            Bytes::new()
        } else {
            self.block.clone().finish()
        }
    }

    fn remove(&mut self, name: &str) -> Result<(), HeaderError> {
        let mut rest = Self::new();
        for (own, value) in self.iter().filter(|(own, _)| *own != name) {
            rest.append(own, value)?;
        }
        *self = rest;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(block: &str, expected: &[(&str, &str)]) {
        let headers = Headers::from_bytes(block.as_bytes());
        assert_eq!(headers.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn headers_keep_their_order_and_insert_replaces() {
        let mut headers = Headers::new();
        headers
            .append("A", "1")
            .unwrap()
            .append("B", "2")
            .unwrap()
            .append("A", "3")
            .unwrap();
        assert_eq!(headers.get("A"), Some("1"));
        headers.insert("A", "4").unwrap();
        assert_eq!(headers.iter().collect::<Vec<_>>(), [("B", "2"), ("A", "4")]);
        assert_eq!(&*headers.encode(), b"NATS/1.0\r\nB: 2\r\nA: 4\r\n\r\n");
        assert_eq!((headers.get("a"), Headers::new().encode().len()), (None, 0));
    }

    #[test]
    fn what_can_not_be_sent_is_refused_and_changes_nothing() {
        let mut headers = Headers::new();
        assert_eq!(
            headers.append("A b", "1").unwrap_err(),
            HeaderError::BadName
        );
        assert_eq!(
            headers.append("A", "1\r\nB: 2").unwrap_err(),
            HeaderError::BadValue
        );
        assert!(headers.is_empty());
    }

    #[test]
    fn of_a_block_what_can_be_read_is_kept() {
        check("", &[]);
        check("NATS/1.0 503\r\n\r\n", &[]);
        check(
            "NATS/1.0\r\nA: b\r\nA:c:d \r\n\r\n",
            &[("A", "b"), ("A", "c:d")],
        );
        check(
            "NATS/1.0\r\nno colon\r\n: no name\r\nA: b\r\n\r\n",
            &[("A", "b")],
        );
        let block = Headers::from_bytes(b"NATS/1.0\r\nA: \xff\r\nB: c\r\n\r\n");
        assert_eq!(block.iter().collect::<Vec<_>>(), [("B", "c")]);
    }
}
