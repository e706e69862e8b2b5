use super::super::json;
use super::*;

fn orders() -> StreamConfig {
    StreamConfig::new(StreamName::parse("ORDERS").unwrap())
}

/// What the `nats` CLI and the Go clients send to create a stream with defaults.
const GO_REQUEST: &str = r#"{"name":"ORDERS","subjects":["orders.\u003e"],"retention":"limits","max_consumers":-1,
    "max_msgs":-1,"max_bytes":-1,"max_age":0,"max_msgs_per_subject":-1,"max_msg_size":-1,"discard":"old",
    "storage":"file","num_replicas":1,"duplicate_window":120000000000,"compression":"none","allow_direct":true,
    "mirror_direct":false,"sealed":false,"deny_delete":false,"deny_purge":false,"allow_rollup_hdrs":false,
    "consumer_limits":{},"allow_msg_ttl":false}"#;

#[test]
fn a_config_of_a_go_client_is_echoed_as_it_came() {
    let config: StreamConfig = json::decode(GO_REQUEST.as_bytes()).unwrap();
    assert_eq!(config, config.clone().with_defaults());
    let echoed: serde_json::Value = serde_json::to_value(&config).unwrap();
    let sent: serde_json::Value = serde_json::from_str(GO_REQUEST).unwrap();
    assert_eq!(echoed, sent);
}

#[test]
fn a_config_of_async_nats_is_read() {
    let body = r#"{"name":"ORDERS","max_bytes":0,"max_msgs":0,"max_msgs_per_subject":0,"discard":"old","subjects":["orders.>"],"retention":"limits","max_consumers":0,"max_age":0,"storage":"file","num_replicas":0,"consumer_limits":null}"#;
    let asked: StreamConfig = json::decode(body.as_bytes()).unwrap();
    let wanted = StreamConfig {
        subjects: vec!["orders.>".to_owned()],
        ..orders()
    };
    assert_eq!(asked.with_defaults(), wanted.with_defaults());
}

#[test]
fn a_config_of_nats_py_is_read() {
    let body = r#"{"name": "KV_x", "subjects": ["$KV.x.>"], "discard": "new", "discard_new_per_subject": false, "max_msgs_per_subject": 1, "max_msg_size": -1, "no_ack": false, "duplicate_window": 0, "placement": {"cluster": "c"}, "sealed": false, "deny_delete": true, "deny_purge": false, "allow_rollup_hdrs": true, "allow_direct": true, "max_age": 0}"#;
    let config: StreamConfig = json::decode(body.as_bytes()).unwrap();
    assert_eq!(config.discard, DiscardPolicy::New);
    assert_eq!((config.max_msgs, config.max_msgs_per_subject), (-1, 1));
    assert!(config.deny_delete && config.allow_rollup_hdrs && config.allow_direct);
}

#[test]
fn a_config_with_every_member_is_echoed_as_it_came() {
    let sent = serde_json::json!({
        "name": "ORDERS", "description": "all", "subjects": ["a", "b.*"], "retention": "workqueue",
        "max_consumers": 1, "max_msgs": 2, "max_bytes": 3, "max_age": 100_000_000, "max_msgs_per_subject": 4,
        "max_msg_size": 5, "discard": "new", "storage": "memory", "num_replicas": 3, "no_ack": true,
        "duplicate_window": 100_000_000,
        "placement": {"cluster": "c", "tags": ["t"], "preferred": "p"},
        "mirror": {
            "name": "M", "opt_start_seq": 1, "opt_start_time": "2026-01-31T08:00:00Z", "filter_subject": "f",
            "external": {"api": "$JS.hub.API", "deliver": "d"}, "consumer": {"name": "n", "deliver_subject": "x"}
        },
        "sources": [{"name": "S", "subject_transforms": [{"src": "a", "dest": "b"}]}],
        "compression": "s2", "first_seq": 9,
        "subject_transform": {"src": "a", "dest": "b"},
        "republish": {"src": "a", "dest": "b", "headers_only": true},
        "allow_direct": true, "mirror_direct": true, "discard_new_per_subject": true, "sealed": true,
        "deny_delete": true, "deny_purge": true, "allow_rollup_hdrs": true,
        "consumer_limits": {"inactive_threshold": 1, "max_ack_pending": 2},
        "allow_msg_ttl": true, "subject_delete_marker_ttl": 1, "allow_msg_counter": true, "allow_atomic": true,
        "allow_msg_schedules": true, "persist_mode": "async", "allow_batched": true,
        "metadata": {"owner": "me", "relevo.kind": "queue"}
    });
    let config: StreamConfig = json::decode(sent.to_string().as_bytes()).unwrap();
    assert_eq!(serde_json::to_value(&config).unwrap(), sent);
}

#[test]
fn what_is_left_open_is_filled_in_as_nats_server_does() {
    let asked: StreamConfig = json::decode(br#"{"name":"ORDERS"}"#).unwrap();
    assert_eq!(asked, orders());
    let config = asked.with_defaults();
    assert_eq!(config.subjects, ["ORDERS"]);
    assert_eq!(
        (config.max_msgs, config.max_bytes, config.max_consumers),
        (-1, -1, -1)
    );
    assert_eq!(
        (
            config.max_msgs_per_subject,
            config.max_msg_size,
            config.num_replicas
        ),
        (-1, -1, 1)
    );
    assert_eq!(config.duplicate_window, DEFAULT_DUPLICATE_WINDOW);
    assert_eq!(config.storage, StorageType::File);
    assert_eq!(config.clone().with_defaults(), config);
}

#[test]
fn the_dedup_window_never_outlasts_the_messages() {
    let check = |asked: StreamConfig, window: Duration| {
        assert_eq!(asked.with_defaults().duplicate_window, window);
    };
    check(
        StreamConfig {
            max_age: Duration::from_secs(60),
            ..orders()
        },
        Duration::from_secs(60),
    );
    check(
        StreamConfig {
            max_age: Duration::from_secs(600),
            ..orders()
        },
        DEFAULT_DUPLICATE_WINDOW,
    );
    let source = StreamSource {
        name: "S".to_owned(),
        opt_start_seq: 0,
        opt_start_time: None,
        filter_subject: String::new(),
        subject_transforms: Vec::new(),
        external: None,
        consumer: None,
    };
    check(
        StreamConfig {
            sources: vec![source],
            ..orders()
        },
        Duration::ZERO,
    );
}

#[test]
fn limits_below_one_are_none() {
    let asked = StreamConfig {
        max_msgs: 0,
        max_bytes: -7,
        max_msg_size: -2,
        ..orders()
    };
    let config = asked.with_defaults();
    assert_eq!(
        (config.max_msgs, config.max_bytes, config.max_msg_size),
        (-1, -1, -1)
    );
}

#[test]
fn a_config_that_makes_no_sense_is_refused() {
    for body in [
        r#"{}"#,
        r#"{"name":""}"#,
        r#"{"name":"a.b"}"#,
        r#"{"name":"A","retention":"forever"}"#,
        r#"{"name":"A","max_age":-1}"#,
        r#"{"name":"A","num_replicas":-1}"#,
        r#"{"name":"A","max_msgs":"10"}"#,
    ] {
        assert!(
            json::decode::<StreamConfig>(body.as_bytes()).is_err(),
            "{body}"
        );
    }
}

#[test]
fn an_empty_stream_has_gos_zero_times() {
    let state = serde_json::to_string(&StreamState::default()).unwrap();
    assert_eq!(
        state,
        r#"{"messages":0,"bytes":0,"first_seq":0,"first_ts":"0001-01-01T00:00:00Z","last_seq":0,"last_ts":"0001-01-01T00:00:00Z","consumer_count":0}"#
    );
    assert_eq!(
        serde_json::from_str::<StreamState>(&state).unwrap(),
        StreamState::default()
    );
}

/// Shape of what nats-server 2.15 answers in a cluster.
#[test]
fn the_info_of_a_nats_server_is_read() {
    let body = r#"{"config":{"name":"ORDERS","subjects":["orders"],"retention":"limits","max_consumers":-1,"max_msgs":-1,
        "max_bytes":-1,"max_age":0,"max_msgs_per_subject":-1,"max_msg_size":-1,"discard":"old","storage":"file",
        "num_replicas":3,"duplicate_window":120000000000,"compression":"none","allow_direct":false,"mirror_direct":false,
        "sealed":false,"deny_delete":false,"deny_purge":false,"allow_rollup_hdrs":false,"consumer_limits":{},
        "allow_msg_ttl":false,"metadata":{"_nats.level":"0","_nats.req.level":"0","_nats.ver":"2.15.0"}},
        "created":"2026-01-31T08:00:00.5Z",
        "state":{"messages":1,"bytes":40,"first_seq":1,"first_ts":"2026-01-31T08:00:01Z","last_seq":1,
        "last_ts":"2026-01-31T08:00:01Z","num_subjects":1,"consumer_count":0},
        "cluster":{"name":"C1","raft_group":"S-R3F-x","leader":"n1","leader_since":"2026-01-31T08:00:00Z",
        "replicas":[{"name":"n2","current":true,"active":1000,"peer":"abc"},{"name":"n3","current":false,
        "offline":true,"active":2000,"lag":4,"peer":"def"}]},"ts":"2026-01-31T09:00:00Z"}"#;
    let info: StreamInfo = json::decode(body.as_bytes()).unwrap();
    assert_eq!(
        serde_json::to_value(&info).unwrap(),
        serde_json::from_str::<serde_json::Value>(body).unwrap()
    );
}
