//! The register: one small value that says which cluster this is, who its members are, and for each
//! shard who leads it, in which term, and whose copies are complete.
//!
//! Today two members agree on the value when they meet ([`meet`]) and change it together; leadership
//! does not move. The crate does no IO and knows no clock: its callers carry bytes, make them
//! durable in two slots, and show both members' seats to [`meet`], which is symmetric: both sides
//! reach the same answer from the same two seats.

mod meeting;
mod value;

pub use meeting::{Meeting, Refusal, Seat, meet};
pub use value::{
    InSync, Member, Members, SHARDS_MAX, ShardEntry, VALUE_LEN_MAX, Value, ValueError,
};
