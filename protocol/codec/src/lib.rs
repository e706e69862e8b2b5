//! The tokio-util adapter of the relevo protocol.
