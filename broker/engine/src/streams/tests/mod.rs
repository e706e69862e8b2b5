//! Streams and consumers driven from outside, by what clients send and see.

mod acking;
mod bench;
mod consumers;
mod format;
mod model;
mod publishing;
mod queues;
mod random;
mod reading;
mod unwritable;
