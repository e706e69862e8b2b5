//! The relevo wire protocol: bytes to values and back.
