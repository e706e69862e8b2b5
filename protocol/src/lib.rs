//! The relevo wire protocol: bytes to values and back.

#![cfg_attr(
    not(test),
    deny(
        clippy::cast_possible_truncation,
        clippy::indexing_slicing,
        clippy::unwrap_used
    )
)]

pub mod connect;
pub mod convention;
pub mod encode;
pub mod error;
pub mod frame;
pub mod headers;
pub mod identity;
pub mod info;
pub mod jetstream;
pub mod limits;
pub mod mutation;
pub mod name;
pub mod op;
pub mod parse;
pub mod record;
pub mod size;
pub mod subject;
pub mod time;
pub mod verb;
pub mod wire;
