//! JSON that comes from outside.

use std::fmt::Debug;

use relevo_protocol::connect::ConnectOptions;
use relevo_protocol::info::ServerInfo;
use relevo_protocol::jetstream::api::{
    ConsumerCreateRequest, MsgDeleteRequest, MsgGetRequest, NextRequest, PageRequest, PurgeRequest,
    StreamConfigRequest, StreamInfoAnswer, StreamInfoRequest, StreamList, StreamsRequest,
    decode_response,
};
use relevo_protocol::jetstream::consumer::{ConsumerConfig, ConsumerInfo};
use relevo_protocol::jetstream::json;
use relevo_protocol::jetstream::pub_ack;
use relevo_protocol::jetstream::stream::StreamConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Any JSON as each of the structures that come from outside: what can be read is written as something that says the
/// same.
pub fn fuzz_json(data: &[u8]) {
    if let Ok(options) = ConnectOptions::parse(data) {
        let again =
            ConnectOptions::parse(&options.to_json()).expect("what was written can be read");
        assert_eq!(again, options);
    }
    if let Ok(info) = ServerInfo::parse(data) {
        let again = ServerInfo::parse(&info.to_json()).expect("what was written can be read");
        assert_eq!(again, info);
    }
    check::<ConsumerConfig>(data);
    check::<ConsumerCreateRequest>(data);
    check::<MsgDeleteRequest>(data);
    check::<PageRequest>(data);
    check::<PurgeRequest>(data);
    check::<StreamConfig>(data);
    check::<StreamConfigRequest>(data);
    check::<StreamInfoRequest>(data);
    check::<StreamsRequest>(data);
    check_requests(data);
    check_answers(data);
}

fn check<T: Debug + DeserializeOwned + PartialEq + Serialize>(data: &[u8]) {
    if let Ok(value) = json::decode::<T>(data) {
        let written = json::encode(&value);
        let again = json::decode::<T>(&written).expect("what was written can be read");
        assert_eq!(again, value, "{}", written.escape_ascii());
    }
}

/// Requests with rules of their own.
fn check_requests(data: &[u8]) {
    if let Ok(request) = NextRequest::decode(data) {
        assert!(NextRequest::decode(&json::encode(&request)).is_ok());
    }
    if let Ok(request) = MsgGetRequest::decode(data) {
        assert!(MsgGetRequest::decode(&json::encode(&request)).is_ok());
    }
    if let Ok(request) = MsgGetRequest::decode_direct(data) {
        assert!(MsgGetRequest::decode_direct(&json::encode(&request)).is_ok());
    }
    let _ = MsgGetRequest::decode_direct_last(data, "a.b");
    if let Ok(config) = json::decode::<StreamConfig>(data) {
        let settled = config.with_defaults();
        assert_eq!(settled.clone().with_defaults(), settled);
        if let Ok(consumer) = json::decode::<ConsumerConfig>(data) {
            let consumer = consumer.with_defaults(&settled);
            assert_eq!(consumer.clone().with_defaults(&settled), consumer);
        }
    }
}

/// What a client reads; nobody has to write it again.
fn check_answers(data: &[u8]) {
    let _ = pub_ack::decode(data);
    let _ = decode_response::<ConsumerInfo>(data);
    let _ = decode_response::<StreamInfoAnswer>(data);
    let _ = decode_response::<StreamList>(data);
}
