//! The link to the other broker.

pub(crate) mod client_lane;
pub(crate) mod contact;
mod frames;
pub(crate) mod lane;
pub(crate) mod link;
pub(crate) mod routed;
mod writer;
