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
