//! The relevo wire protocol: bytes to values and back.

pub mod connect;
pub mod encode;
pub mod error;
pub mod headers;
pub mod info;
pub mod limits;
pub mod subject;
