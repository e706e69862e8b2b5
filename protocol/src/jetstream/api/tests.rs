use serde_json::{Value, json};

use super::super::endpoint::EndpointKind;
use super::super::stream::StreamState;
use super::*;

fn orders() -> StreamName {
    StreamName::parse("ORDERS").unwrap()
}

fn workers() -> ConsumerName {
    ConsumerName::parse("workers").unwrap()
}

fn stream_info() -> StreamInfo {
    StreamInfo {
        config: StreamConfig::new(orders()).with_defaults(),
        created: Timestamp::from_nanos(1_769_846_400_000_000_000),
        state: StreamState::default(),
        domain: String::new(),
        cluster: None,
        mirror: None,
        sources: Vec::new(),
        alternates: Vec::new(),
        ts: Timestamp::from_nanos(1_769_846_401_000_000_000),
    }
}

/// The answer as a client gets it, from `kind`'s response type.
fn answer<T: Serialize>(kind: EndpointKind, answer: T) -> Value {
    let body = Response::new(kind.response_type().unwrap(), Ok(answer)).encode();
    serde_json::from_slice(&body).unwrap()
}

fn members(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn a_refusal_has_a_type_and_an_error() {
    let body = encode_error(
        "io.nats.jetstream.api.v1.stream_delete_response",
        JetStreamError::StreamNotFound,
    );
    assert_eq!(
        String::from_utf8(body.clone()).unwrap(),
        r#"{"type":"io.nats.jetstream.api.v1.stream_delete_response","error":{"code":404,"err_code":10059,"description":"stream not found"}}"#
    );
    let refused = ResponseError::Refused(ApiError::from(JetStreamError::StreamNotFound));
    assert_eq!(decode_response::<StreamInfo>(&body), Err(refused));
}

#[test]
fn a_refused_list_still_tells_a_page() {
    let refused = |kind: EndpointKind| {
        let body = encode_error(kind.response_type().unwrap(), JetStreamError::PeerAway);
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    for kind in [
        EndpointKind::ConsumerList,
        EndpointKind::ConsumerNames,
        EndpointKind::StreamInfo,
        EndpointKind::StreamList,
        EndpointKind::StreamNames,
    ] {
        assert_eq!(
            members(&refused(kind)),
            ["error", "limit", "offset", "total", "type"],
            "{kind:?}"
        );
    }
    assert_eq!(
        members(&refused(EndpointKind::StreamCreate)),
        ["error", "type"]
    );
}

#[test]
fn an_answer_has_a_type_and_its_members_beside_it() {
    let body = Response::new(
        "io.nats.jetstream.api.v1.stream_delete_response",
        Ok(Success::DONE),
    )
    .encode();
    assert_eq!(
        String::from_utf8(body.clone()).unwrap(),
        r#"{"type":"io.nats.jetstream.api.v1.stream_delete_response","success":true}"#
    );
    assert_eq!(decode_response::<Success>(&body), Ok(Success::DONE));
}

#[test]
fn a_body_that_is_no_response_is_told_apart() {
    for body in ["", "hello", "[]", r#"{"error":"text"}"#] {
        assert!(
            matches!(
                decode_response::<StreamInfo>(body.as_bytes()),
                Err(ResponseError::Malformed { .. })
            ),
            "{body}"
        );
    }
}

#[test]
fn a_created_stream_says_whether_it_is_new() {
    let created = answer(
        EndpointKind::StreamCreate,
        StreamCreated {
            info: stream_info(),
            did_create: true,
        },
    );
    assert_eq!(
        members(&created),
        ["config", "created", "did_create", "state", "ts", "type"]
    );
    let same = answer(
        EndpointKind::StreamCreate,
        StreamCreated {
            info: stream_info(),
            did_create: false,
        },
    );
    assert_eq!(members(&same), ["config", "created", "state", "ts", "type"]);
    let body = same.to_string();
    assert_eq!(
        decode_response::<StreamCreated>(body.as_bytes())
            .unwrap()
            .info,
        stream_info()
    );
}

#[test]
fn a_stream_info_always_tells_its_page() {
    let info = answer(
        EndpointKind::StreamInfo,
        StreamInfoAnswer {
            page: Page::default(),
            info: stream_info(),
        },
    );
    assert_eq!(
        members(&info),
        [
            "config", "created", "limit", "offset", "state", "total", "ts", "type"
        ]
    );
    assert_eq!(
        decode_response::<StreamInfo>(info.to_string().as_bytes()),
        Ok(stream_info())
    );
}

#[test]
fn an_empty_list_is_a_list() {
    let page = Page {
        total: 0,
        offset: 0,
        limit: 1024,
    };
    let names = answer(
        EndpointKind::StreamNames,
        StreamNames {
            page,
            streams: Vec::new(),
        },
    );
    assert_eq!(
        names,
        json!({"type": "io.nats.jetstream.api.v1.stream_names_response", "total": 0, "offset": 0, "limit": 1024, "streams": []})
    );
    let list = answer(
        EndpointKind::ConsumerList,
        ConsumerList {
            page,
            ..ConsumerList::default()
        },
    );
    assert_eq!(list["consumers"], json!([]));
    assert_eq!(
        members(&list),
        ["consumers", "limit", "offset", "total", "type"]
    );
    let names =
        decode_response::<StreamNames>(br#"{"total":0,"offset":0,"limit":1024,"streams":null}"#);
    assert!(names.is_err(), "nats-server writes an empty list as []");
}

#[test]
fn account_info_has_every_member_that_clients_require() {
    let info = AccountInfo {
        api: ApiStats {
            level: API_LEVEL,
            ..ApiStats::default()
        },
        ..AccountInfo::default()
    };
    assert_eq!(
        answer(EndpointKind::AccountInfo, info),
        json!({
            "type": "io.nats.jetstream.api.v1.account_info_response",
            "memory": 0, "storage": 0, "reserved_memory": 0, "reserved_storage": 0, "streams": 0, "consumers": 0,
            "limits": {
                "max_memory": -1, "max_storage": -1, "max_streams": -1, "max_consumers": -1, "max_ack_pending": -1,
                "memory_max_stream_bytes": -1, "storage_max_stream_bytes": -1, "max_bytes_required": false
            },
            "api": {"level": 0, "total": 0, "errors": 0}
        })
    );
}

#[test]
fn a_stored_message_is_base64() {
    let message = StoredMessage {
        subject: "orders.new".to_owned(),
        seq: 7,
        hdrs: Bytes::from_static(b"NATS/1.0\r\nA: b\r\n\r\n"),
        data: Bytes::from_static(b"hi"),
        time: Timestamp::from_nanos(1_769_846_400_000_000_000),
    };
    let body = answer(
        EndpointKind::MsgGet,
        MsgGetAnswer {
            message: message.clone(),
        },
    );
    assert_eq!(
        body["message"],
        json!({"subject": "orders.new", "seq": 7, "hdrs": "TkFUUy8xLjANCkE6IGINCg0K", "data": "aGk=", "time": "2026-01-31T08:00:00Z"})
    );
    assert_eq!(
        decode_response::<MsgGetAnswer>(body.to_string().as_bytes())
            .unwrap()
            .message,
        message
    );
}

#[test]
fn a_stream_request_may_be_pedantic() {
    let request: StreamConfigRequest =
        json::decode(br#"{"name":"ORDERS","max_age":5,"pedantic":true}"#).unwrap();
    assert!(request.pedantic);
    assert_eq!(
        (request.config.name, request.config.max_age),
        (orders(), Duration::from_nanos(5))
    );
}

/// What async-nats 0.51, nats.go 1.53 and nats-py 2.16 send.
#[test]
fn consumer_requests_of_stock_clients_are_read() {
    let check = |body: &str, action: ConsumerAction, name: Option<ConsumerName>| {
        let request: ConsumerCreateRequest = json::decode(body.as_bytes()).unwrap();
        assert_eq!(request.stream_name, orders());
        assert_eq!(request.action, action);
        assert_eq!(request.config.durable_name, name);
    };
    check(
        r#"{"action":"","config":{"ack_policy":"explicit","deliver_policy":"all","durable_name":"workers","replay_policy":"instant"},"stream_name":"ORDERS"}"#,
        ConsumerAction::CreateOrUpdate,
        Some(workers()),
    );
    check(
        r#"{"config":{"ack_policy":"explicit","deliver_policy":"by_start_sequence","deliver_subject":"x","opt_start_seq":5,"replay_policy":"instant"},"stream_name":"ORDERS"}"#,
        ConsumerAction::CreateOrUpdate,
        None,
    );
    check(
        r#"{"stream_name":"ORDERS","config":{"durable_name":"workers","name":"workers","deliver_policy":"all","ack_policy":"explicit","replay_policy":"instant","num_replicas":0},"action":"create"}"#,
        ConsumerAction::Create,
        Some(workers()),
    );
    check(
        r#"{"stream_name": "ORDERS", "config": {"durable_name": "workers", "deliver_policy": "all", "ack_policy": "explicit", "replay_policy": "instant", "ack_wait": 0, "idle_heartbeat": 0, "inactive_threshold": 0}}"#,
        ConsumerAction::CreateOrUpdate,
        Some(workers()),
    );
}

fn next(body: &str) -> Result<NextRequest, Status> {
    NextRequest::decode(body.as_bytes())
}

#[test]
fn pull_requests_are_json_a_number_or_nothing() {
    let one = NextRequest {
        batch: 1,
        ..NextRequest::default()
    };
    assert_eq!(next(""), Ok(one.clone()));
    assert_eq!(next("1"), Ok(one.clone()));
    assert_eq!(next("0"), Ok(one.clone()));
    assert_eq!(next("-5"), Ok(one.clone()));
    assert_eq!(next("what?"), Ok(one.clone()));
    assert_eq!(next("{}"), Ok(one));
    assert_eq!(
        next(" 10 "),
        Ok(NextRequest {
            batch: 10,
            ..NextRequest::default()
        })
    );
    assert_eq!(
        next(
            r#"{"expires":30000000000,"batch":100,"max_bytes":1024,"no_wait":true,"idle_heartbeat":15000000000,"group":"A","min_pending":5,"min_ack_pending":6,"id":"pin","priority":1}"#
        ),
        Ok(NextRequest {
            expires: Duration::from_secs(30),
            batch: 100,
            max_bytes: 1024,
            no_wait: true,
            idle_heartbeat: Duration::from_secs(15),
            group: "A".to_owned(),
            min_pending: 5,
            min_ack_pending: 6,
            id: Some("pin".to_owned()),
            priority: 1,
        })
    );
}

#[test]
fn a_pull_request_that_makes_no_sense_is_answered_400() {
    let too_large = next(r#"{"batch":1,"expires":1000,"idle_heartbeat":501}"#).unwrap_err();
    assert_eq!(
        too_large.to_string(),
        "NATS/1.0 400 Bad Request - heartbeat value too large"
    );
    assert_eq!(
        next(r#"{"batch":1,"idle_heartbeat":1}"#).unwrap_err().code,
        400
    );
    assert_eq!(next(r#"{"batch":"1"}"#).unwrap_err().code, 400);
    assert_eq!(next("{").unwrap_err().code, 400);
    assert_eq!(next(r#"{"expires":-1}"#).unwrap_err().code, 400);
}

#[test]
fn message_requests_name_one_message() {
    for body in [
        r#"{"seq":7}"#,
        r#"{"last_by_subj":"a"}"#,
        r#"{"next_by_subj":"a.*"}"#,
        r#"{"seq":7,"next_by_subj":"a.*"}"#,
        r#"{"start_time":"2026-01-31T08:00:00Z"}"#,
        r#"{"start_time":"2026-01-31T08:00:00Z","next_by_subj":"a"}"#,
        r#"{"seq":7,"no_hdr":true}"#,
    ] {
        assert!(MsgGetRequest::decode(body.as_bytes()).is_ok(), "{body}");
        assert!(
            MsgGetRequest::decode_direct(body.as_bytes()).is_ok(),
            "{body}"
        );
    }
    for body in [
        "",
        "{}",
        r#"{"no_hdr":true}"#,
        r#"{"seq":7,"last_by_subj":"a"}"#,
        r#"{"seq":7,"start_time":"2026-01-31T08:00:00Z"}"#,
        r#"{"last_by_subj":"a","start_time":"2026-01-31T08:00:00Z"}"#,
        r#"{"last_by_subj":"a","next_by_subj":"b"}"#,
        r#"{"seq":7,"batch":2}"#,
        r#"{"seq":7,"max_bytes":2}"#,
        r#"{"multi_last":["a"]}"#,
    ] {
        assert_eq!(
            MsgGetRequest::decode(body.as_bytes()),
            Err(JetStreamError::BadRequest),
            "{body}"
        );
    }
    assert!(matches!(
        MsgGetRequest::decode(b"{"),
        Err(JetStreamError::InvalidJson { .. })
    ));
}

#[test]
fn direct_gets_may_ask_for_several_messages() {
    let check = |body: &str, expected: Result<(), Status>| {
        assert_eq!(
            MsgGetRequest::decode_direct(body.as_bytes()).map(drop),
            expected,
            "{body}"
        );
    };
    check(r#"{"seq":1,"batch":10,"max_bytes":1024}"#, Ok(()));
    check(r#"{"seq":1,"batch":10,"next_by_subj":"a.>"}"#, Ok(()));
    check(r#"{"multi_last":["a.>"],"batch":10,"up_to_seq":5}"#, Ok(()));
    check("", Err(Status::EMPTY_REQUEST));
    check("{}", Err(Status::EMPTY_REQUEST));
    check("{", Err(Status::MALFORMED_REQUEST));
    check(
        r#"{"last_by_subj":"a","batch":2}"#,
        Err(Status::BAD_REQUEST),
    );
    check(
        r#"{"last_by_subj":"a","multi_last":["b"]}"#,
        Err(Status::BAD_REQUEST),
    );
    check(
        r#"{"next_by_subj":"a","multi_last":["b"]}"#,
        Err(Status::BAD_REQUEST),
    );
    check(
        r#"{"multi_last":["b"],"up_to_seq":1,"up_to_time":"2026-01-31T08:00:00Z"}"#,
        Err(Status::BAD_REQUEST),
    );
}

#[test]
fn a_direct_get_by_subject_takes_no_other_message() {
    let last = MsgGetRequest::decode_direct_last(b"", "$KV.b.key").unwrap();
    assert_eq!(
        last,
        MsgGetRequest {
            last_by_subj: "$KV.b.key".to_owned(),
            ..MsgGetRequest::default()
        }
    );
    assert!(
        MsgGetRequest::decode_direct_last(br#"{"no_hdr":true}"#, "a")
            .unwrap()
            .no_hdr
    );
    assert_eq!(
        MsgGetRequest::decode_direct_last(br#"{"seq":1}"#, "a"),
        Err(Status::BAD_REQUEST)
    );
    assert_eq!(
        MsgGetRequest::decode_direct_last(b"{", "a"),
        Err(Status::MALFORMED_REQUEST)
    );
}
