//! JetStream as NATS clients speak it: JSON bodies, API subjects, headers, ack subjects, status lines and error numbers.
//!
//! Names, JSON fields and numbers are those of nats-server 2.15 (`server/stream.go`, `consumer.go`, `jetstream_api.go`,
//! `errors.json`). Everything here is text in and values out; nothing here knows whether a stream exists. `docs/jetstream.md`
//! lists which part of it relevo serves.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation
    )
)]

pub mod ack;
pub mod api;
pub mod consumer;
pub mod endpoint;
pub mod error;
pub mod json;
pub mod pub_ack;
pub mod publish;
pub mod status;
pub mod stream;
