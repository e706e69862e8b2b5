//! Fuzz bodies of relevo, replayed over their corpus by cargo test.
