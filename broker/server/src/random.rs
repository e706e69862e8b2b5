//! Numbers that nobody can guess, from the operating system.

/// 64 random bits.
///
/// # Panics
/// When the operating system has no randomness to give; nothing can be identified then.
pub(crate) fn seed() -> u64 {
    u64::from_le_bytes(bytes())
}

/// Random bytes.
///
/// # Panics
/// As [`seed`].
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// A name that no other process has: 22 characters, as NUIDs are.
pub(crate) fn name() -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let spread = |byte: u8| char::from(ALPHABET[usize::from(byte) * ALPHABET.len() / 256]);
    bytes::<22>().into_iter().map(spread).collect()
}
