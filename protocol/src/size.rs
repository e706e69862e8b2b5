//! Sizes as people type them.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation
    )
)]

use std::fmt;

/// Reads a size in bytes as people type it: `10`, `10KiB`, `1MiB`, `2GiB`; `KB`, `MB`, `GB`, `TB` count in thousands.
///
/// Units are accepted in any case. Decimals are not accepted.
///
/// # Errors
/// [`SizeError`] says what is wrong with the text.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let (digits, unit) = text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    );
    if digits.is_empty() {
        return Err(SizeError::Malformed {
            text: text.to_owned(),
        });
    }
    let unit_bytes = UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))
        .map(|(_, bytes)| *bytes)
        .ok_or_else(|| SizeError::UnknownUnit {
            unit: unit.to_owned(),
        })?;
    digits
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(unit_bytes))
        .ok_or(SizeError::TooLarge)
}

/// Writes a size so that [`parse_size`] reads it back: with the largest binary unit that divides it, else as plain bytes.
pub fn format_size(bytes: u64) -> String {
    BINARY_UNITS
        .iter()
        .find(|(_, unit_bytes)| bytes >= *unit_bytes && bytes.is_multiple_of(*unit_bytes))
        .map_or_else(
            || bytes.to_string(),
            |(unit, unit_bytes)| format!("{}{unit}", bytes / unit_bytes),
        )
}

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SizeError {
    /// Does not begin with a number.
    Malformed {
        /// The whole text.
        text: String,
    },
    /// A unit that does not exist.
    UnknownUnit {
        /// The unit as it was written.
        unit: String,
    },
    /// More than `u64::MAX` bytes.
    TooLarge,
}

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { text } => write!(
                f,
                "'{text}' is not a size; write it as 10, 10KiB, 1MiB or 2GiB"
            ),
            Self::UnknownUnit { unit } => {
                write!(f, "unknown size unit '{unit}'; use KiB, MiB, GiB or TiB")
            }
            Self::TooLarge => f.write_str("a size can be at most 18446744073709551615 bytes"),
        }
    }
}

impl std::error::Error for SizeError {}

const UNITS: [(&str, u64); 14] = [
    ("", 1),
    ("B", 1),
    ("K", 1 << 10),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("M", 1 << 20),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("G", 1 << 30),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("T", 1 << 40),
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
];

const BINARY_UNITS: [(&str, u64); 4] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<u64, SizeError>) {
        assert_eq!(parse_size(text), expected, "{text}");
    }

    #[test]
    fn sizes_are_numbers_with_units() {
        check("0", Ok(0));
        check("10", Ok(10));
        check("10B", Ok(10));
        check("10KiB", Ok(10_240));
        check("10K", Ok(10_240));
        check("10KB", Ok(10_000));
        check("1MiB", Ok(1_048_576));
        check("1mib", Ok(1_048_576));
        check("2GiB", Ok(2_147_483_648));
        check("1TB", Ok(1_000_000_000_000));
        check("18446744073709551615", Ok(u64::MAX));
    }

    #[test]
    fn what_is_wrong_with_a_size_is_told() {
        let malformed = |text: &str| SizeError::Malformed {
            text: text.to_owned(),
        };
        let unknown = |unit: &str| SizeError::UnknownUnit {
            unit: unit.to_owned(),
        };
        check("", Err(malformed("")));
        check("KiB", Err(malformed("KiB")));
        check("-1", Err(malformed("-1")));
        check("10 KiB", Err(unknown(" KiB")));
        check("1.5MiB", Err(unknown(".5MiB")));
        check("10XiB", Err(unknown("XiB")));
        check("18446744073709551616", Err(SizeError::TooLarge));
        check("17179869184GiB", Err(SizeError::TooLarge));
    }

    #[test]
    fn a_written_size_is_read_back() {
        for (bytes, expected) in [
            (0, "0"),
            (10, "10"),
            (1_000, "1000"),
            (1_024, "1KiB"),
            (1_536, "1536"),
            (3 << 30, "3GiB"),
        ] {
            assert_eq!(format_size(bytes), expected);
            assert_eq!(parse_size(expected), Ok(bytes));
        }
        assert_eq!(parse_size(&format_size(u64::MAX)), Ok(u64::MAX));
    }
}
