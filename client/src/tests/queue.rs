use std::time::Duration;

use relevo_protocol::convention::queue::{self as convention, QueueOptions};
use relevo_protocol::jetstream::api::StreamCreated;
use relevo_protocol::jetstream::consumer::{ConsumerConfig, ConsumerInfo, SequenceInfo};
use relevo_protocol::jetstream::error::JetStreamError as Refusal;
use relevo_protocol::jetstream::stream::{StreamConfig, StreamInfo, StreamState};
use relevo_protocol::name::{NameError, NameKind, QueueName};
use relevo_protocol::time::Timestamp;
use relevo_protocol::verb::StartFrom;
use serde_json::{Value, json};

use super::mock::{Mock, Peer, Published};
use crate::client::Client;
use crate::error::{JetStreamError, Outcome, RequestError};
use crate::headers::Headers;
use crate::jetstream::Creation;
use crate::lease::LeaseError;
use crate::push::PushOptions;
use crate::queue::{PopOptions, Queue};

pub(super) fn stream_info(config: StreamConfig, state: StreamState) -> StreamInfo {
    StreamInfo {
        config,
        created: Timestamp::UNIX_EPOCH,
        state,
        domain: String::new(),
        cluster: None,
        mirror: None,
        sources: Vec::new(),
        alternates: Vec::new(),
        ts: Timestamp::UNIX_EPOCH,
    }
}

pub(super) fn consumer_info(
    config: ConsumerConfig,
    stream: &str,
    name: &str,
    num_ack_pending: u64,
) -> ConsumerInfo {
    ConsumerInfo {
        stream_name: stream.parse().unwrap(),
        name: name.parse().unwrap(),
        created: Timestamp::UNIX_EPOCH,
        config,
        delivered: SequenceInfo::default(),
        ack_floor: SequenceInfo::default(),
        num_ack_pending,
        num_redelivered: 0,
        num_waiting: 0,
        num_pending: 0,
        cluster: None,
        push_bound: false,
        paused: false,
        pause_remaining: Duration::ZERO,
        ts: Timestamp::UNIX_EPOCH,
        priority_groups: Vec::new(),
    }
}

fn jobs() -> QueueName {
    QueueName::parse("jobs").unwrap()
}

fn jobs_info(options: &QueueOptions) -> StreamInfo {
    let state = StreamState {
        messages: 5,
        bytes: 50,
        first_seq: 3,
        last_seq: 9,
        ..StreamState::default()
    };
    stream_info(convention::stream_config(&jobs(), options), state)
}

fn workers_info(options: &QueueOptions) -> ConsumerInfo {
    consumer_info(
        convention::consumer_config(&jobs(), options),
        "Q_jobs",
        "workers",
        2,
    )
}

async fn setup() -> (Mock, Client, Peer, Queue) {
    let mock = Mock::new().await;
    let (client, peer) = mock
        .client_with(mock.options().request_timeout(Duration::from_secs(10)))
        .await;
    let queue = client.queue("jobs").unwrap();
    (mock, client, peer, queue)
}

fn body(request: &Published) -> Value {
    serde_json::from_str(&request.payload).unwrap()
}

#[tokio::test]
async fn create_makes_the_stream_and_its_workers() {
    let (_mock, _client, mut peer, queue) = setup().await;
    let options = QueueOptions::default();
    let (created, ()) = tokio::join!(queue.create(&options), async {
        let request = peer.request("$JS.API.STREAM.CREATE.Q_jobs").await;
        assert_eq!(body(&request)["retention"], "workqueue");
        let created = StreamCreated {
            info: jobs_info(&options),
            did_create: true,
        };
        peer.answer_json(&request, &created).await;
        let request = peer.request("$JS.API.CONSUMER.CREATE.Q_jobs.workers").await;
        assert_eq!(
            (
                &body(&request)["action"],
                &body(&request)["config"]["ack_wait"]
            ),
            (&json!("create"), &json!(30_000_000_000_u64))
        );
        peer.answer_json(&request, &workers_info(&options)).await;
    });
    assert_eq!(created, Ok(Creation::Created));
}

#[tokio::test]
async fn create_compares_options_when_the_queue_is_there() {
    let (_mock, _client, mut peer, queue) = setup().await;
    let there = QueueOptions {
        max_messages: Some(7),
        ..QueueOptions::default()
    };
    let conflict = JetStreamError::Refused(Refusal::StreamNameExists.into());
    assert!(conflict.is_conflict() && !conflict.is_not_found());
    for (wanted, expected) in [
        (there.clone(), Ok(Creation::Exists)),
        (QueueOptions::default(), Err(conflict)),
    ] {
        let (created, ()) = tokio::join!(queue.create(&wanted), async {
            let request = peer.request("$JS.API.STREAM.CREATE.Q_jobs").await;
            peer.refuse(&request, Refusal::StreamNameExists).await;
            let request = peer.request("$JS.API.STREAM.INFO.Q_jobs").await;
            let mut info = jobs_info(&there);
            info.config.description = "somebody else's words".to_owned();
            peer.answer_json(&request, &info).await;
            let request = peer.request("$JS.API.CONSUMER.INFO.Q_jobs.workers").await;
            peer.answer_json(&request, &workers_info(&there)).await;
        });
        assert_eq!(created, expected);
    }
}

#[tokio::test]
async fn create_with_another_lease_is_a_conflict() {
    let (_mock, _client, mut peer, queue) = setup().await;
    let there = QueueOptions::default();
    let wanted = QueueOptions {
        lease: Duration::from_secs(1),
        ..QueueOptions::default()
    };
    let (created, ()) = tokio::join!(queue.create(&wanted), async {
        let request = peer.request("$JS.API.STREAM.CREATE.Q_jobs").await;
        peer.answer_json(&request, &jobs_info(&there)).await;
        let request = peer.request("$JS.API.CONSUMER.CREATE.Q_jobs.workers").await;
        peer.refuse(&request, Refusal::ConsumerAlreadyExists).await;
        let request = peer.request("$JS.API.STREAM.INFO.Q_jobs").await;
        peer.answer_json(&request, &jobs_info(&there)).await;
        let request = peer.request("$JS.API.CONSUMER.INFO.Q_jobs.workers").await;
        peer.answer_json(&request, &workers_info(&there)).await;
    });
    assert!(created.unwrap_err().is_conflict());
}

#[tokio::test]
async fn delete_purge_and_info_speak_of_the_stream() {
    let (_mock, _client, mut peer, queue) = setup().await;
    let (deleted, ()) = tokio::join!(queue.delete(), async {
        let request = peer.request("$JS.API.STREAM.DELETE.Q_jobs").await;
        peer.answer_json(&request, &json!({"success": true})).await;
    });
    assert_eq!(deleted, Ok(()));
    let (purged, ()) = tokio::join!(queue.purge(), async {
        let request = peer.request("$JS.API.STREAM.PURGE.Q_jobs").await;
        peer.answer_json(&request, &json!({"success": true, "purged": 7}))
            .await;
    });
    assert_eq!(purged, Ok(7));
    let (info, ()) = tokio::join!(queue.info(), async {
        let request = peer.request("$JS.API.STREAM.INFO.Q_jobs").await;
        peer.answer_json(&request, &jobs_info(&QueueOptions::default()))
            .await;
        let request = peer.request("$JS.API.CONSUMER.INFO.Q_jobs.workers").await;
        peer.answer_json(&request, &workers_info(&QueueOptions::default()))
            .await;
    });
    let info = info.unwrap();
    assert_eq!(
        (
            info.messages,
            info.ready,
            info.leased,
            info.first_seq,
            info.last_seq
        ),
        (5, 3, 2, 3, 9)
    );
    let (info, ()) = tokio::join!(queue.info(), async {
        let request = peer.request("$JS.API.STREAM.INFO.Q_jobs").await;
        peer.refuse(&request, Refusal::StreamNotFound).await;
    });
    assert!(info.unwrap_err().is_not_found());
}

#[tokio::test]
async fn lists_are_read_page_by_page() {
    let (_mock, client, mut peer, _queue) = setup().await;
    let info = |name: &str| {
        let name = QueueName::parse(name).unwrap();
        stream_info(
            convention::stream_config(&name, &QueueOptions::default()),
            StreamState::default(),
        )
    };
    let (queues, ()) = tokio::join!(client.queues(), async {
        let request = peer.request("$JS.API.STREAM.LIST").await;
        assert_eq!(body(&request), json!({"subject": "$Q.*"}));
        let page = json!({"total": 2, "offset": 0, "limit": 1, "streams": [info("b")]});
        peer.answer_json(&request, &page).await;
        let request = peer.request("$JS.API.STREAM.LIST").await;
        assert_eq!(body(&request), json!({"subject": "$Q.*", "offset": 1}));
        let page = json!({"total": 2, "offset": 1, "limit": 1, "streams": [info("a")]});
        peer.answer_json(&request, &page).await;
        for _ in 0..2 {
            let request = peer.published().await;
            assert!(request.subject.starts_with("$JS.API.CONSUMER.INFO.Q_"));
            peer.refuse(&request, Refusal::ConsumerNotFound).await;
        }
    });
    let names: Vec<_> = queues
        .unwrap()
        .iter()
        .map(|info| info.name.to_string())
        .collect();
    assert_eq!(names, ["a", "b"]);
}

#[tokio::test]
async fn push_says_its_options_in_headers() {
    let (_mock, _client, mut peer, queue) = setup().await;
    let mut headers = Headers::new();
    headers.append("Content-Type", "text/plain").unwrap();
    let options = PushOptions {
        id: Some("i1".into()),
        delay: Some(Duration::from_secs(90)),
        priority: Some(5),
        key: Some("k".into()),
        headers,
    };
    let (pushed, ()) = tokio::join!(queue.push("hello", &options), async {
        let request = peer.request("$Q.jobs").await;
        assert_eq!(
            request.headers,
            "NATS/1.0\r\nContent-Type: text/plain\r\nNats-Msg-Id: i1\r\nRelevo-Delay: 1m30s\r\n\
             Relevo-Priority: 5\r\nRelevo-Key: k\r\n\r\n"
        );
        peer.answer_json(
            &request,
            &json!({"stream": "Q_jobs", "seq": 7, "duplicate": true}),
        )
        .await;
    });
    let pushed = pushed.unwrap();
    assert_eq!(
        (pushed.stream.as_str(), pushed.seq, pushed.duplicate),
        ("Q_jobs", 7, true)
    );

    let bad = PushOptions {
        id: Some("a\r\nb".into()),
        ..PushOptions::default()
    };
    assert!(matches!(
        queue.push("", &bad).await,
        Err(JetStreamError::Header(_))
    ));
    let plain = PushOptions::default();
    let (missing, ()) = tokio::join!(queue.push("", &plain), async {
        let request = peer.request("$Q.jobs").await;
        assert_eq!(request.headers, "");
        peer.answer_no_responders(&request).await;
    });
    assert!(missing.unwrap_err().is_not_found());
}

#[tokio::test]
async fn pop_takes_what_is_there_and_gives_leases() {
    let (_mock, _client, mut peer, queue) = setup().await;
    let options = PopOptions {
        max: 3,
        wait: Duration::from_secs(5),
        lease: Some(Duration::from_secs(60)),
    };
    let (jobs, ()) = tokio::join!(queue.pop(&options), async {
        let (sid, request) = peer
            .request_with_inbox("$JS.API.CONSUMER.MSG.NEXT.Q_jobs.workers")
            .await;
        let asked = body(&request);
        assert_eq!(
            (&asked["batch"], &asked["expires"], &asked["no_wait"]),
            (&json!(3), &json!(5_000_000_000_u64), &json!(true))
        );
        assert_eq!(request.headers, "NATS/1.0\r\nRelevo-Lease: 1m\r\n\r\n");
        peer.deliver("$Q.jobs", &sid, "$JS.ACK.Q_jobs.workers.1.7.9.1000.1", "a")
            .await;
        // A publisher's headers may look like a status.
        let headers = "NATS/1.0 404 No Messages\r\nA: b\r\n\r\n";
        let line = format!(
            "HMSG $Q.jobs {sid} $JS.ACK.Q_jobs.workers.2.8.10.2000.0 {0} {0}\r\n{headers}\r\n",
            headers.len()
        );
        peer.say(&line).await;
        peer.deliver_with(&request.reply, &sid, "NATS/1.0 404 No Messages\r\n\r\n", "")
            .await;
        peer.expect(&format!("UNSUB {sid}")).await;
    });
    let jobs = jobs.unwrap();
    let [first, second] = jobs.as_slice() else {
        panic!("{jobs:?}")
    };
    assert_eq!(
        (first.seq, first.attempts, first.lease.to_string().as_str()),
        (7, 1, "jobs.7.1.9")
    );
    assert_eq!(
        (first.time, &*first.payload),
        (Timestamp::from_nanos(1000), b"a".as_slice())
    );
    assert_eq!(
        (second.seq, second.attempts, second.headers.get("A")),
        (8, 2, Some("b"))
    );

    let (acked, ()) = tokio::join!(first.ack(), async {
        let request = peer.request("$JS.ACK.Q_jobs.workers.1.7.9.1000.1").await;
        assert_eq!(request.payload, "+ACK");
        peer.answer(&request, "").await;
    });
    assert_eq!(acked, Ok(()));
}

#[tokio::test]
async fn pop_of_nothing_is_empty_and_pop_of_no_queue_is_an_error() {
    let (_mock, _client, mut peer, queue) = setup().await;
    let options = PopOptions::default();
    for status in ["404 No Messages", "408 Request Timeout"] {
        let (jobs, ()) = tokio::join!(queue.pop(&options), async {
            let (sid, request) = peer
                .request_with_inbox("$JS.API.CONSUMER.MSG.NEXT.Q_jobs.workers")
                .await;
            peer.deliver_with(
                &request.reply,
                &sid,
                &format!("NATS/1.0 {status}\r\n\r\n"),
                "",
            )
            .await;
            peer.expect(&format!("UNSUB {sid}")).await;
        });
        assert_eq!(jobs.unwrap().len(), 0);
    }
    let (jobs, ()) = tokio::join!(queue.pop(&options), async {
        let (sid, request) = peer
            .request_with_inbox("$JS.API.CONSUMER.MSG.NEXT.Q_jobs.workers")
            .await;
        peer.deliver_with(
            &request.reply,
            &sid,
            "NATS/1.0 409 Exceeded MaxWaiting\r\n\r\n",
            "",
        )
        .await;
        peer.expect(&format!("UNSUB {sid}")).await;
    });
    let too_many = JetStreamError::Status {
        code: 409,
        description: "Exceeded MaxWaiting".into(),
    };
    assert_eq!(jobs.unwrap_err(), too_many);
    let (jobs, ()) = tokio::join!(queue.pop(&options), async {
        let (sid, request) = peer
            .request_with_inbox("$JS.API.CONSUMER.MSG.NEXT.Q_jobs.workers")
            .await;
        peer.deliver_with(&request.reply, &sid, "NATS/1.0 503\r\n\r\n", "")
            .await;
        peer.expect(&format!("UNSUB {sid}")).await;
        let request = peer.request("$JS.API.STREAM.INFO.Q_jobs").await;
        peer.refuse(&request, Refusal::StreamNotFound).await;
    });
    assert!(jobs.unwrap_err().is_not_found());
}

#[tokio::test]
async fn pop_shows_what_came_before_the_connection_was_lost() {
    let (_mock, _client, mut peer, queue) = setup().await;
    let options = PopOptions {
        max: 2,
        ..PopOptions::default()
    };
    let (jobs, ()) = tokio::join!(queue.pop(&options), async {
        let (sid, _) = peer
            .request_with_inbox("$JS.API.CONSUMER.MSG.NEXT.Q_jobs.workers")
            .await;
        peer.deliver("$Q.jobs", &sid, "$JS.ACK.Q_jobs.workers.1.7.9.1000.1", "a")
            .await;
        drop(peer);
    });
    assert_eq!(jobs.unwrap().len(), 1);
}

#[tokio::test]
async fn pop_fails_when_the_connection_is_lost_and_does_not_hang() {
    let (mock, _client, mut peer, queue) = setup().await;
    let options = PopOptions {
        wait: Duration::from_secs(3600),
        ..PopOptions::default()
    };
    let (jobs, ()) = tokio::join!(queue.pop(&options), async {
        peer.request_with_inbox("$JS.API.CONSUMER.MSG.NEXT.Q_jobs.workers")
            .await;
        drop(peer);
    });
    let error = jobs.unwrap_err();
    assert_eq!(
        (error.outcome(), error),
        (Outcome::Unknown, RequestError::ConnectionLost.into())
    );
    // Its inbox is not made again.
    let mut peer = mock.welcome().await;
    peer.say("PING\r\n").await;
    peer.expect("PONG").await;
}

#[tokio::test]
async fn a_lease_is_answered_by_its_text() {
    let (_mock, client, mut peer, _queue) = setup().await;
    let lease = client.lease("jobs.7.1.9").unwrap();
    const SUBJECT: &str = "$JS.ACK.Q_jobs.workers.1.7.9.0.0";
    let (said, ()) = tokio::join!(lease.nack(Some(Duration::from_secs(1))), async {
        let request = peer.request(SUBJECT).await;
        assert_eq!(request.payload, "-NAK {\"delay\":1000000000}");
        peer.answer(&request, "").await;
    });
    assert_eq!(said, Ok(()));
    let (said, ()) = tokio::join!(lease.extend(Some(Duration::from_secs(1))), async {
        let request = peer.request(SUBJECT).await;
        assert_eq!(request.payload, "+WPI {\"for\":1000000000}");
        peer.answer(&request, "").await;
    });
    assert_eq!(said, Ok(()));
    let (said, ()) = tokio::join!(lease.term("broken"), async {
        let request = peer.request(SUBJECT).await;
        assert_eq!(request.payload, "+TERM broken");
        peer.answer(&request, "").await;
    });
    assert_eq!(said, Ok(()));
    assert!(matches!(
        client.lease("jobs.7"),
        Err(LeaseError::Malformed(_))
    ));
}

#[tokio::test]
async fn what_is_said_of_a_lease_that_is_gone_is_refused() {
    let (_mock, client, mut peer, _queue) = setup().await;
    let lease = client.lease("jobs.7.1.9").unwrap();
    let away = LeaseError::JetStream(JetStreamError::Status {
        code: 503,
        description: "peer away".into(),
    });
    let no_responders = LeaseError::JetStream(RequestError::NoResponders.into());
    for (status, expected) in [
        ("404 No such lease", LeaseError::Gone),
        ("409 Lease expired", LeaseError::Gone),
        ("410", LeaseError::Gone),
        ("503 peer away", away),
        ("503", no_responders),
    ] {
        let (said, ()) = tokio::join!(lease.ack(), async {
            let request = peer.published().await;
            peer.deliver_with(
                &request.reply,
                "1",
                &format!("NATS/1.0 {status}\r\n\r\n"),
                "",
            )
            .await;
        });
        assert_eq!(said, Err(expected.clone()));
        assert_eq!(expected.outcome(), Outcome::NotDone);
    }
    for (refusal, expected) in [
        (Refusal::ConsumerNotFound, LeaseError::Gone),
        (
            Refusal::PeerAway,
            LeaseError::JetStream(JetStreamError::Refused(Refusal::PeerAway.into())),
        ),
    ] {
        let (said, ()) = tokio::join!(lease.ack(), async {
            let request = peer.published().await;
            peer.refuse(&request, refusal).await;
        });
        assert_eq!(said, Err(expected));
    }
}

#[tokio::test]
async fn peek_reads_without_consuming() {
    let (_mock, _client, mut peer, queue) = setup().await;
    let stored = |seq: u64| {
        format!(
            "NATS/1.0\r\nA: b\r\nNats-Sequence: 999\r\nNats-Stream: Q_jobs\r\nNats-Subject: $Q.jobs\r\n\
             Nats-Sequence: {seq}\r\nNats-Time-Stamp: 1970-01-01T00:00:01Z\r\nNats-Num-Pending: 1\r\n\r\n"
        )
    };
    const END: &str = "NATS/1.0 204 EOB\r\nNats-Num-Pending: 1\r\nNats-Last-Sequence: 4\r\n\r\n";
    let (messages, ()) = tokio::join!(queue.peek(StartFrom::Sequence(3), 3), async {
        let (sid, request) = peer.request_with_inbox("$JS.API.DIRECT.GET.Q_jobs").await;
        assert_eq!(
            (&body(&request)["seq"], &body(&request)["batch"]),
            (&json!(3), &json!(3))
        );
        let reply = request.reply;
        peer.deliver_with(&reply, &sid, &stored(3), "three").await;
        peer.deliver_with(&reply, &sid, &stored(4), "four").await;
        peer.deliver_with(&reply, &sid, END, "").await;
        let request = peer.request("$JS.API.DIRECT.GET.Q_jobs").await;
        assert_eq!(
            (&body(&request)["seq"], &body(&request)["batch"]),
            (&json!(5), &json!(1))
        );
        peer.deliver_with(&reply, &sid, "NATS/1.0 404 Message Not Found\r\n\r\n", "")
            .await;
        peer.expect(&format!("UNSUB {sid}")).await;
    });
    let messages = messages.unwrap();
    let [three, four] = messages.as_slice() else {
        panic!("{messages:?}")
    };
    assert_eq!(
        (three.seq, &*three.payload, three.subject.as_str()),
        (3, b"three".as_slice(), "$Q.jobs")
    );
    assert_eq!(
        (four.seq, four.time),
        (4, Timestamp::from_nanos(1_000_000_000))
    );
    assert_eq!(three.headers.iter().collect::<Vec<_>>(), [("A", "b")]);
}

#[tokio::test]
async fn peek_of_the_newest_message_asks_for_it() {
    let (_mock, _client, mut peer, queue) = setup().await;
    let (messages, ()) = tokio::join!(queue.peek(StartFrom::Last, 20), async {
        let request = peer.request("$JS.API.STREAM.INFO.Q_jobs").await;
        peer.answer_json(&request, &jobs_info(&QueueOptions::default()))
            .await;
        let (sid, request) = peer.request_with_inbox("$JS.API.DIRECT.GET.Q_jobs").await;
        assert_eq!(body(&request), json!({"last_by_subj": "$Q.jobs"}));
        let headers = "NATS/1.0\r\nNats-Subject: $Q.jobs\r\nNats-Sequence: 9\r\nNats-Time-Stamp: 1970-01-01T00:00:01Z\r\n\r\n";
        peer.deliver_with(&request.reply, &sid, headers, "nine")
            .await;
        peer.expect(&format!("UNSUB {sid}")).await;
    });
    assert_eq!(messages.unwrap()[0].seq, 9);
}

#[tokio::test]
async fn a_name_is_checked_before_anything_is_asked() {
    let (_mock, client, _peer, _queue) = setup().await;
    let error = client.queue("a.b").unwrap_err();
    assert_eq!(error, NameError::InvalidCharacter(NameKind::Queue, '.'));
}
