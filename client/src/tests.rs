//! Dialogues with a scripted server over a real socket.

mod connect;
mod mock;
mod publish;
mod queue;
mod reconnect;
mod request;
mod subscribe;
mod topic;
