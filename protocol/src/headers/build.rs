//! Header blocks, made.

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    CRLF, HEADERS_COUNT_MAX, HeaderBlock, HeaderError, VERSION, check_name, check_status,
    check_value,
};

/// A header block in the making: headers keep the order in which they are added, and a name may come again.
#[derive(Clone, Debug)]
pub struct HeaderBuilder {
    block: BytesMut,
    count: usize,
}

impl HeaderBuilder {
    /// A block without a status.
    #[must_use]
    pub fn new() -> Self {
        let mut block = BytesMut::new();
        put(&mut block, &[VERSION, CRLF]);
        Self { block, count: 0 }
    }

    /// A block with a status, as of a message that a server made.
    ///
    /// # Errors
    /// [`HeaderError::BadStatus`] for a code outside of 100 to 999, [`HeaderError::BadValue`] for a description with a
    /// line end.
    pub fn with_status(code: u16, description: &str) -> Result<Self, HeaderError> {
        check_status(code)?;
        check_value(description)?;
        let mut block = BytesMut::new();
        let separator = if description.is_empty() { "" } else { " " };
        put(
            &mut block,
            &[
                VERSION,
                " ",
                &code.to_string(),
                separator,
                description,
                CRLF,
            ],
        );
        Ok(Self { block, count: 0 })
    }

    /// Adds a header.
    ///
    /// # Errors
    /// [`HeaderError::BadName`], [`HeaderError::BadValue`] or [`HeaderError::TooMany`]; nothing was added then.
    pub fn append(&mut self, name: &str, value: &str) -> Result<&mut Self, HeaderError> {
        check_name(name)?;
        check_value(value)?;
        if self.count >= HEADERS_COUNT_MAX {
            return Err(HeaderError::TooMany);
        }
        put(&mut self.block, &[name, ": ", value, CRLF]);
        self.count += 1;
        Ok(self)
    }

    /// Adds the headers of another block for whose names `keep` holds.
    ///
    /// # Errors
    /// [`HeaderError::TooMany`]; those before were added then.
    pub fn append_block(
        &mut self,
        block: &HeaderBlock<'_>,
        keep: impl Fn(&str) -> bool,
    ) -> Result<&mut Self, HeaderError> {
        for (name, value) in block.iter().filter(|(name, _)| keep(name)) {
            self.append(name, value)?;
        }
        Ok(self)
    }

    /// Whether no header was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The whole block.
    #[must_use]
    pub fn finish(self) -> Bytes {
        let mut block = self.block;
        put(&mut block, &[CRLF]);
        block.freeze()
    }
}

impl Default for HeaderBuilder {
    fn default() -> Self {
        Self::new()
    }
}

fn put(block: &mut BytesMut, parts: &[&str]) {
    block.reserve(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        block.put_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_block_has_its_version_its_headers_and_an_empty_line() {
        let mut builder = HeaderBuilder::new();
        assert!(builder.is_empty());
        builder.append("A", "b").unwrap().append("A", "").unwrap();
        assert!(!builder.is_empty());
        assert_eq!(builder.finish(), "NATS/1.0\r\nA: b\r\nA: \r\n\r\n");
        assert_eq!(HeaderBuilder::default().finish(), "NATS/1.0\r\n\r\n");
    }

    #[test]
    fn a_status_stands_on_the_version_line() {
        assert_eq!(
            HeaderBuilder::with_status(503, "").unwrap().finish(),
            "NATS/1.0 503\r\n\r\n"
        );
        let block = HeaderBuilder::with_status(404, "No Messages")
            .unwrap()
            .finish();
        assert_eq!(block, "NATS/1.0 404 No Messages\r\n\r\n");
        assert_eq!(
            HeaderBuilder::with_status(99, "").unwrap_err(),
            HeaderError::BadStatus
        );
        assert_eq!(
            HeaderBuilder::with_status(1000, "").unwrap_err(),
            HeaderError::BadStatus
        );
        assert_eq!(
            HeaderBuilder::with_status(503, "a\nb").unwrap_err(),
            HeaderError::BadValue
        );
    }

    #[test]
    fn what_could_not_be_read_back_is_refused_and_leaves_the_block_as_it_was() {
        let mut builder = HeaderBuilder::new();
        for name in ["", "a b", "a:", "a\r\n", "\u{e9}"] {
            assert_eq!(
                builder.append(name, "x").unwrap_err(),
                HeaderError::BadName,
                "{name:?}"
            );
        }
        for value in ["a\r\nB: c", "\n", "\r"] {
            assert_eq!(
                builder.append("A", value).unwrap_err(),
                HeaderError::BadValue,
                "{value:?}"
            );
        }
        for _ in 0..HEADERS_COUNT_MAX {
            builder.append("A", "b").unwrap();
        }
        assert_eq!(builder.append("A", "b").unwrap_err(), HeaderError::TooMany);
        assert!(HeaderBlock::parse(&builder.finish()).is_ok());
    }

    #[test]
    fn another_block_is_taken_over_without_what_is_not_wanted() {
        let block = HeaderBlock::parse(b"NATS/1.0 100\r\nA: 1\r\nB: 2\r\nA: 3\r\n\r\n").unwrap();
        let mut builder = HeaderBuilder::new();
        builder.append_block(&block, |name| name != "B").unwrap();
        assert_eq!(builder.finish(), "NATS/1.0\r\nA: 1\r\nA: 3\r\n\r\n");
    }

    proptest! {
        #[test]
        fn what_was_built_is_read_back(
            headers in prop::collection::vec(("[!-9;-~]{1,20}", "[!-~]([ -~\u{e9}]{0,20}[!-~])?"), 0..10),
        ) {
            let mut builder = HeaderBuilder::new();
            for (name, value) in &headers {
                builder.append(name, value).unwrap();
            }
            let built = builder.finish();
            let block = HeaderBlock::parse(&built).unwrap();
            let read: Vec<_> = block.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            prop_assert_eq!(read, headers);
        }
    }
}
