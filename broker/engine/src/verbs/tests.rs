mod engine;
mod follow;
mod messages;
mod order;
mod queues_and_topics;
mod script;
