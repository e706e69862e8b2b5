//! The relevo client SDK.
