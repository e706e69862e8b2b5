//! What relevo's tests stand on: real processes on free ports ([`harness`]), a raw line client for
//! transcripts ([`wire`]), and a simulation of a whole pair on one thread from one seed ([`sim`]).

pub mod harness;
pub mod sim;
pub mod wire;
