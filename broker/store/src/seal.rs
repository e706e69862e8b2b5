//! Encryption at rest: keys, and the one cipher that uses them.
//!
//! The cipher is AES-SIV (RFC 5297) with a 64-byte key, `AEAD_AES_SIV_CMAC_512`: two brokers share a key and cannot
//! share a nonce counter, and with SIV a repetition reveals equality and nothing else. Keys of the key file are never
//! used directly: each file has a key of its own, derived by HKDF-SHA-256 with a random salt.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes of a key.
pub const KEY_LEN: usize = 64;

/// Bytes that sealing adds: the synthetic initialization vector, which is the tag too.
pub const TAG_LEN: usize = 16;

/// Bytes of the value that tells keys apart without revealing them.
pub const CHECK_VALUE_LEN: usize = 16;

/// Bytes of the commitment to a derived key; AES-SIV alone does not commit to its key.
pub(crate) const COMMITMENT_LEN: usize = 32;

/// Most keys in one key file.
pub const MAX_KEYS: usize = 64;

const LINE_WORD: &str = "relevo-key";
const CHECK_VALUE_INFO: &[u8] = b"relevo/kcv/v1";

/// The keys of a key file, by id.
///
/// The file is text, one line a key: `relevo-key <id> <128 hexadecimal digits>`, the id a number from 1 to
/// 4,294,967,295. Empty lines and lines that start with `#` are skipped. New data is sealed with the highest id;
/// the others open what was sealed before.
#[derive(Clone)]
pub struct Keyring {
    keys: BTreeMap<u32, Zeroizing<[u8; KEY_LEN]>>,
}

impl Keyring {
    /// Reads the text of a key file.
    ///
    /// # Errors
    /// The first line that is not as described above; never shows key digits.
    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        let mut keys = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let line_number = index + 1;
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (id, key) = parse_line(line, line_number)?;
            if keys.insert(id, key).is_some() {
                return Err(KeyFileError::DuplicateId {
                    line: line_number,
                    key_id: id,
                });
            }
            if keys.len() > MAX_KEYS {
                return Err(KeyFileError::TooManyKeys);
            }
        }
        if keys.is_empty() {
            return Err(KeyFileError::NoKey);
        }
        Ok(Self { keys })
    }

    /// The text of a new key file with one key, id 1, made of `entropy`: 64 bytes that nobody can guess, from the
    /// system's generator.
    pub fn generate(entropy: [u8; KEY_LEN]) -> Zeroizing<String> {
        Self::key_line(1, entropy)
    }

    /// The line that adds a key to a key file; with an id above all others, it is what new data is sealed with.
    pub fn key_line(key_id: u32, entropy: [u8; KEY_LEN]) -> Zeroizing<String> {
        let entropy = Zeroizing::new(entropy);
        // The room is taken at once: a string that grows leaves copies of the key behind.
        let mut line = Zeroizing::new(String::with_capacity(2 * KEY_LEN + 32));
        line.push_str(LINE_WORD);
        line.push(' ');
        line.push_str(&key_id.to_string());
        line.push(' ');
        for byte in entropy.iter() {
            for nibble in [byte >> 4, byte & 0x0f] {
                line.extend(char::from_digit(u32::from(nibble), 16));
            }
        }
        line.push('\n');
        line
    }

    /// The id that new data is sealed with.
    pub fn newest(&self) -> u32 {
        self.keys.last_key_value().map_or(0, |(id, _)| *id)
    }

    /// All ids, ascending.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.keys.keys().copied()
    }

    /// A value that differs between keys and does not reveal them; `None` for an id that is not here.
    pub fn check_value(&self, key_id: u32) -> Option<[u8; CHECK_VALUE_LEN]> {
        let mut value = [0; CHECK_VALUE_LEN];
        self.expand(key_id, None, &[CHECK_VALUE_INFO], &mut value)?;
        Some(value)
    }

    /// The cipher of one file, and the commitment to its key; `None` for an id that is not here.
    pub(crate) fn derive(
        &self,
        key_id: u32,
        salt: &[u8],
        info: &[&[u8]],
    ) -> Option<(Cipher, [u8; COMMITMENT_LEN])> {
        let mut derived = Zeroizing::new([0; KEY_LEN + COMMITMENT_LEN]);
        self.expand(key_id, Some(salt), info, derived.as_mut_slice())?;
        let (key, commitment) = derived.split_first_chunk::<KEY_LEN>()?;
        let commitment = *commitment.first_chunk::<COMMITMENT_LEN>()?;
        Some((Cipher::new(key), commitment))
    }

    fn expand(
        &self,
        key_id: u32,
        salt: Option<&[u8]>,
        info: &[&[u8]],
        out: &mut [u8],
    ) -> Option<()> {
        let key = self.keys.get(&key_id)?;
        Hkdf::<Sha256>::new(salt, key.as_slice())
            .expand_multi_info(info, out)
            .ok()
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("ids", &self.keys.keys())
            .finish_non_exhaustive()
    }
}

fn parse_line(
    line: &str,
    line_number: usize,
) -> Result<(u32, Zeroizing<[u8; KEY_LEN]>), KeyFileError> {
    let malformed = KeyFileError::MalformedLine { line: line_number };
    let mut words = line.split_ascii_whitespace();
    let (Some(LINE_WORD), Some(id), Some(digits), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(malformed);
    };
    let id: u32 = id
        .parse()
        .map_err(|_| KeyFileError::MalformedLine { line: line_number })?;
    if id == 0 || digits.len() != 2 * KEY_LEN {
        return Err(malformed);
    }
    let mut key = Zeroizing::new([0; KEY_LEN]);
    for (byte, pair) in key.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = hex_byte(pair).ok_or(KeyFileError::MalformedLine { line: line_number })?;
    }
    Ok((id, key))
}

fn hex_byte(pair: &[u8]) -> Option<u8> {
    pair.iter().try_fold(0_u8, |byte, digit| {
        let nibble = u8::try_from(char::from(*digit).to_digit(16)?).ok()?;
        Some((byte << 4) | nibble)
    })
}

/// Why a key file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFileError {
    /// A line is neither a key, a comment nor empty.
    MalformedLine {
        /// The line, from 1.
        line: usize,
    },
    /// Two lines have the same id.
    DuplicateId {
        /// The second of them, from 1.
        line: usize,
        /// The id.
        key_id: u32,
    },
    /// More than [`MAX_KEYS`] keys.
    TooManyKeys,
    /// No key at all.
    NoKey,
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MalformedLine { line } => write!(
                f,
                "read the key file: line {line} is not `relevo-key <id> <{} hexadecimal digits>` with an id from 1 on",
                2 * KEY_LEN
            ),
            Self::DuplicateId { line, key_id } => write!(
                f,
                "read the key file: line {line} has id {key_id} again; give each key an id of its own"
            ),
            Self::TooManyKeys => write!(
                f,
                "read the key file: more than {MAX_KEYS} keys; remove old ones"
            ),
            Self::NoKey => {
                f.write_str("read the key file: it holds no key; `relevo key new FILE` makes one")
            }
        }
    }
}

impl Error for KeyFileError {}

/// What was opened is not what was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAuthentic;

/// AES-SIV under one derived key. One instance serves a whole file: making one costs as much as sealing a small block.
pub(crate) struct Cipher {
    siv: Aes256Siv,
}

impl Cipher {
    fn new(key: &[u8; KEY_LEN]) -> Self {
        Self {
            siv: Aes256Siv::new(key.into()),
        }
    }

    /// Encrypts in place and returns the tag. `headers` is the vector of associated data, at most 126.
    pub(crate) fn seal(&mut self, headers: &[&[u8]], plain: &mut [u8]) -> [u8; TAG_LEN] {
        self.siv
            .encrypt_inout_detached(headers, plain.into())
            .expect("the vector of associated data is short")
            .into()
    }

    /// Decrypts in place if the tag is right.
    pub(crate) fn open(
        &mut self,
        headers: &[&[u8]],
        tag: &[u8; TAG_LEN],
        sealed: &mut [u8],
    ) -> Result<(), NotAuthentic> {
        self.siv
            .decrypt_inout_detached(headers, sealed.into(), &(*tag).into())
            .map_err(|_| NotAuthentic)
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cipher").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aes_siv::siv::Aes128Siv;

    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| hex_byte(pair).unwrap())
            .collect()
    }

    /// The same calls as [`Cipher`], with the 32-byte key that the RFC's examples have.
    fn check_rfc5297(key: &str, headers: &[&str], plain: &str, expected: &str) {
        let key: [u8; 32] = unhex(key).try_into().unwrap();
        let headers: Vec<Vec<u8>> = headers.iter().map(|header| unhex(header)).collect();
        let headers: Vec<&[u8]> = headers.iter().map(Vec::as_slice).collect();
        let mut siv = Aes128Siv::new(&key.into());
        let mut text = unhex(plain);
        let tag = siv
            .encrypt_inout_detached(headers.as_slice(), text.as_mut_slice().into())
            .unwrap();
        let mut sealed = tag.to_vec();
        sealed.extend_from_slice(&text);
        assert_eq!(sealed, unhex(expected));
        siv.decrypt_inout_detached(headers.as_slice(), text.as_mut_slice().into(), &tag)
            .unwrap();
        assert_eq!(text, unhex(plain));
    }

    #[test]
    fn cipher_gives_the_examples_of_rfc_5297() {
        check_rfc5297(
            "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
            &["101112131415161718191a1b1c1d1e1f2021222324252627"],
            "112233445566778899aabbccddee",
            "85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c",
        );
        check_rfc5297(
            "7f7e7d7c7b7a79787776757473727170404142434445464748494a4b4c4d4e4f",
            &[
                "00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100",
                "102030405060708090a0",
                "09f911029d74e35bd84156c5635688c0",
            ],
            "7468697320697320736f6d6520706c61696e7465787420746f20656e6372797074207573696e67205349562d414553",
            "7bdb6e3b432667eb06f4d14bff2fbd0fcb900f2fddbe404326601965c889bf17dba77ceb094fa663b7a3f748ba8af829\
             ea64ad544a272e9c485b62a3fd5c0d",
        );
    }

    fn keyring(seed: u8) -> Keyring {
        Keyring::parse(&Keyring::generate([seed; KEY_LEN])).unwrap()
    }

    #[test]
    fn sealed_bytes_open_only_with_their_key_headers_and_tag() {
        let (mut cipher, _) = keyring(1).derive(1, b"salt", &[b"info"]).unwrap();
        let mut text = *b"the plain text";
        let tag = cipher.seal(&[b"a", b"b"], &mut text);
        let sealed = text;
        assert_ne!(&sealed, b"the plain text");

        let mut other_tag = tag;
        other_tag[3] ^= 1;
        assert_eq!(
            cipher.open(&[b"a", b"b"], &other_tag, &mut text),
            Err(NotAuthentic)
        );
        assert_eq!(text, sealed, "what does not open stays sealed");
        assert_eq!(cipher.open(&[b"ab"], &tag, &mut text), Err(NotAuthentic));
        let (mut other_cipher, _) = keyring(2).derive(1, b"salt", &[b"info"]).unwrap();
        assert_eq!(
            other_cipher.open(&[b"a", b"b"], &tag, &mut text),
            Err(NotAuthentic)
        );
        assert_eq!(cipher.open(&[b"a", b"b"], &tag, &mut text), Ok(()));
        assert_eq!(&text, b"the plain text");
    }

    #[test]
    fn derived_keys_differ_by_key_salt_and_info() {
        let commitment =
            |seed, salt: &[u8], info: &[u8]| keyring(seed).derive(1, salt, &[info]).unwrap().1;
        let first = commitment(1, b"salt", b"info");
        assert_eq!(first, commitment(1, b"salt", b"info"));
        assert_ne!(first, commitment(2, b"salt", b"info"));
        assert_ne!(first, commitment(1, b"tlas", b"info"));
        assert_ne!(first, commitment(1, b"salt", b"ofni"));
        assert!(keyring(1).derive(2, b"salt", &[b"info"]).is_none());
        assert_ne!(keyring(1).check_value(1), keyring(2).check_value(1));
        assert_eq!(keyring(1).check_value(2), None);
    }

    #[test]
    fn key_file_with_comments_and_several_keys_is_read() {
        let text = format!(
            "# the keys of cluster one\n\n{}  \n{}",
            Keyring::key_line(7, [7; KEY_LEN]).as_str(),
            Keyring::key_line(3, [3; KEY_LEN])
                .to_uppercase()
                .replace("RELEVO-KEY", "relevo-key"),
        );
        let keyring = Keyring::parse(&text).unwrap();
        assert_eq!(keyring.newest(), 7);
        assert_eq!(keyring.ids().collect::<Vec<u32>>(), [3, 7]);
    }

    #[test]
    fn key_file_that_is_malformed_names_the_line() {
        let good = Keyring::generate([1; KEY_LEN]).to_string();
        let check = |text: &str, expected: KeyFileError| {
            assert_eq!(
                Keyring::parse(text).map(|keyring| keyring.newest()),
                Err(expected),
                "{text}"
            );
        };
        check("", KeyFileError::NoKey);
        check("# nothing\n", KeyFileError::NoKey);
        check("hello", KeyFileError::MalformedLine { line: 1 });
        check(
            &format!("{good}relevo-key 2 abc"),
            KeyFileError::MalformedLine { line: 2 },
        );
        check(
            &good.replace(" 1 ", " 0 "),
            KeyFileError::MalformedLine { line: 1 },
        );
        check(
            &good.replace(" 1 ", " x "),
            KeyFileError::MalformedLine { line: 1 },
        );
        check(
            &good.replace("01", "0g"),
            KeyFileError::MalformedLine { line: 1 },
        );
        check(
            &good.trim_end().replace("01", "é1"),
            KeyFileError::MalformedLine { line: 1 },
        );
        check(
            &good.replace('\n', " more"),
            KeyFileError::MalformedLine { line: 1 },
        );
        check(
            &format!("{good}{good}"),
            KeyFileError::DuplicateId { line: 2, key_id: 1 },
        );
    }

    #[test]
    fn keys_never_show_in_debug_output() {
        let shown = format!("{:?}", keyring(0xab));
        assert!(!shown.contains("171") && !shown.contains("ab"), "{shown}");
    }
}
