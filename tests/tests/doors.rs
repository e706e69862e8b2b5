//! Each door of a running pair, end to end: text verbs, HTTP, the SDK, the original API.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use relevo_client::{
    Client, ConnectOptions, Creation, Headers, LeaseError, Message, PopOptions, PostOptions,
    PushOptions, RequestError, Subscriber,
};
use relevo_protocol::convention::queue::QueueOptions;
use relevo_protocol::convention::topic::TopicOptions;
use relevo_protocol::verb::StartFrom;
use relevo_tests::harness::{Brokers, Gateway, Http, Sealing, Telnet, Up, WAIT_MAX, until};
use serde_json::{Value, json};

/// How long to listen for one message before it is published again.
const LISTEN: Duration = Duration::from_millis(100);
/// Messages that a queue group shares.
const SHARED: u64 = 200;

/// Every verb that a person may type.
fn every_verb(address: &str) {
    let mut typed = Telnet::connect(address);
    queue_verbs(&mut typed);
    topic_verbs(&mut typed, address);
    let status = typed.list("STATUS");
    assert!(
        status.iter().any(|line| line.contains("in sync")),
        "{status:?}"
    );
    let help = typed.list("HELP").join("\n");
    for verb in [
        "QUEUE", "TOPIC", "PUSH", "POP", "ACK", "NACK", "EXTEND", "POST", "FOLLOW", "VIEW",
    ] {
        assert!(help.contains(verb), "HELP tells of {verb}:\n{help}");
    }
    assert!(!typed.list("HELP PUSH").is_empty());
    typed.expect_start("PUHS jobs x", "-ERR 'Unknown verb");
    typed.expect("PING", "PONG");
    typed.expect_start("QUIT", "+OK");
    assert_eq!(typed.hung_up(), "");
}

fn queue_verbs(typed: &mut Telnet) {
    typed.expect("QUEUE CREATE jobs", "+OK created jobs");
    typed.expect("QUEUE CREATE jobs", "+OK exists jobs");
    typed.expect_start("QUEUE CREATE jobs lease=1h", "-ERR '");
    typed.expect("PUSH jobs hello", "+OK 1");
    typed.expect("PUSH jobs a=b", "+OK 2");
    typed.expect("PUSH jobs id=once #5\r\nthird", "+OK 3");
    typed.expect("PUSH jobs id=once #5\r\nthird", "+OK 3 duplicate");
    let peeked = typed.messages("QUEUE PEEK jobs from=2 max=10");
    let seen: Vec<_> = peeked
        .iter()
        .map(|message| (message.id.as_str(), message.payload.as_str()))
        .collect();
    assert_eq!(seen, [("2", "a=b"), ("3", "third")]);

    let popped = typed.messages("POP jobs max=10 wait=5s lease=1m");
    let payloads: Vec<_> = popped
        .iter()
        .map(|message| message.payload.as_str())
        .collect();
    assert_eq!(payloads, ["hello", "a=b", "third"]);
    assert!(typed.messages("POP jobs").is_empty());
    let leases: Vec<_> = popped.iter().map(|message| message.id.clone()).collect();
    typed.expect_start(&format!("ACK {}", leases[0]), "+OK");
    typed.expect_start(&format!("ACK {}", leases[0]), "-ERR '");
    typed.expect_start(&format!("EXTEND {} for=2m", leases[1]), "+OK");
    typed.expect_start(&format!("NACK {}", leases[2]), "+OK");
    let again = typed.messages("POP jobs wait=5s");
    assert_eq!(again[0].payload, "third");
    assert_ne!(again[0].id, leases[2], "a lease is never given twice");

    let info = typed.expect_start("QUEUE INFO jobs", "+OK ");
    let info: Value = serde_json::from_str(&info).expect("INFO is JSON");
    let expected = json!({ "name": "jobs", "messages": 2, "bytes": info["bytes"], "ready": 0, "leased": 2,
        "first_seq": 2, "last_seq": 3, "leader": info["leader"] });
    assert_eq!(info, expected);
    assert!(info["bytes"].as_u64() > Some(0), "{info}");
    assert!(matches!(info["leader"].as_str(), Some("a" | "b")), "{info}");
    assert!(typed.list("QUEUE LIST").contains(&"jobs 2".to_owned()));
    typed.expect_start("QUEUE PURGE jobs", "+OK");
    assert!(typed.messages("QUEUE PEEK jobs").is_empty());
    typed.expect_start("QUEUE DELETE jobs", "+OK");
    typed.expect_start("PUSH jobs late", "-ERR '");
}

fn topic_verbs(typed: &mut Telnet, address: &str) {
    typed.expect("TOPIC CREATE news", "+OK created news");
    typed.expect("POST news first", "+OK 1");
    typed.expect("POST news #6\r\nsecond", "+OK 2");
    let seen: Vec<_> = typed
        .messages("VIEW news")
        .into_iter()
        .map(|message| message.payload)
        .collect();
    assert_eq!(seen, ["first", "second"]);
    assert_eq!(typed.messages("VIEW news from=last max=1")[0].id, "2");
    let info = typed.expect_start("TOPIC INFO news", "+OK ");
    assert!(info.contains(r#""messages":2"#), "{info}");
    assert!(typed.list("TOPIC LIST").contains(&"news 2".to_owned()));

    let mut follower = Telnet::connect(address);
    follower.expect("FOLLOW news as=alice from=first", "+OK following news");
    assert_eq!(
        (follower.message().payload, follower.message().payload),
        ("first".to_owned(), "second".to_owned())
    );
    typed.expect("POST news third", "+OK 3");
    let third = follower.message();
    assert_eq!(
        (
            third.name.as_str(),
            third.id.as_str(),
            third.payload.as_str()
        ),
        ("news", "3", "third")
    );
    follower.expect_start("UNFOLLOW news", "+OK");
    typed.expect_start("TOPIC DELETE news", "+OK");
    typed.expect_start("VIEW news", "-ERR '");
}

#[test]
fn a_person_types_every_verb_through_the_gateway_and_through_each_broker() {
    let up = Up::start(&[]);
    for address in [&up.nats, &up.brokers[0], &up.brokers[1]] {
        every_verb(address);
    }
}

#[test]
fn nats_lines_work_beside_the_verbs() {
    let up = Up::start(&[]);
    let mut typed = Telnet::connect(&up.nats);
    typed.expect("SUB told.* 7", "+OK");
    typed.expect("PUB told.x 2\r\nhi", "+OK");
    let heard = typed.message();
    assert_eq!(
        (
            heard.name.as_str(),
            heard.id.as_str(),
            heard.payload.as_str()
        ),
        ("told.x", "7", "hi")
    );
    typed.expect("QUEUE CREATE jobs", "+OK created jobs");
    typed.expect("UNSUB 7", "+OK");
    typed.expect("PING", "PONG");
}

#[test]
fn what_goes_in_through_one_broker_comes_out_through_the_other() {
    let up = Up::start(&[]);
    let [mut a, mut b] = up
        .brokers
        .each_ref()
        .map(|address| Telnet::connect(address));
    // Neighbouring queues live on different shards: both directions are seen.
    for queue in ["left", "right"] {
        a.expect(
            &format!("QUEUE CREATE {queue}"),
            &format!("+OK created {queue}"),
        );
        b.expect(&format!("PUSH {queue} from b"), "+OK 1");
        a.expect(&format!("PUSH {queue} from a"), "+OK 2");
        let popped = a.messages(&format!("POP {queue}"));
        assert_eq!(popped[0].payload, "from b");
        b.expect_start(&format!("ACK {}", popped[0].id), "+OK");
        let popped = b.messages(&format!("POP {queue}"));
        assert_eq!(popped[0].payload, "from a");

        // A lease is good at any door.
        let http = Http::new(&up.http);
        http.delete(&format!("/v1/leases/{}", popped[0].id))
            .expect(204);
        http.post(&format!("/v1/queues/{queue}/messages"), "by HTTP")
            .expect(201);
        let received = http
            .post(&format!("/v1/queues/{queue}/receive?wait=5s"), "")
            .expect_json(200);
        let lease = received[0]["lease"].as_str().expect("a lease is a text");
        b.expect_start(&format!("ACK {lease}"), "+OK");
        let _ = http.delete(&format!("/v1/leases/{lease}")).problem(410);
    }
    let leaders: BTreeSet<_> = ["left", "right"]
        .map(|queue| a.expect_start(&format!("QUEUE INFO {queue}"), "+OK "))
        .iter()
        .filter_map(|info| {
            serde_json::from_str::<Value>(info).ok()?["leader"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(leaders.len(), 2, "both brokers lead a queue: {leaders:?}");
}

#[test]
fn http_serves_queues() {
    let up = Up::start(&[]);
    let http = Http::new(&up.http);
    let created = http.put("/v1/queues/jobs", "").expect_json(201);
    assert_eq!(created["name"], "jobs");
    http.put("/v1/queues/jobs", "{}").expect(200);
    let _ = http
        .put("/v1/queues/jobs", r#"{"lease":"1h"}"#)
        .problem(409);
    http.put("/v1/queues/other", r#"{"lease":"10s","max_messages":100}"#)
        .expect(201);

    let stored = http
        .post("/v1/queues/jobs/messages", "one")
        .expect_json(201);
    assert_eq!(
        stored,
        json!({ "stream": "Q_jobs", "seq": 1, "duplicate": false })
    );
    let once = |body: &str| {
        let headers = [
            ("idempotency-key", "order-17"),
            ("content-type", "text/plain"),
            ("nats-app", "shop"),
        ];
        http.ask(
            "POST",
            "/v1/queues/jobs/messages?priority=0",
            &headers,
            body,
        )
        .expect_json(201)
    };
    assert_eq!(once("two")["duplicate"], false);
    assert_eq!(
        once("two"),
        json!({ "stream": "Q_jobs", "seq": 2, "duplicate": true })
    );
    http.post("/v1/queues/jobs/messages", b"\xff\xfe")
        .expect(201);

    let peeked = http
        .get("/v1/queues/jobs/messages?from=2&limit=2")
        .expect_json(200);
    assert_eq!(peeked[0]["id"], 2);
    assert_eq!(peeked[0]["body"], "two");
    assert_eq!(peeked[0]["headers"]["Content-Type"], json!(["text/plain"]));
    assert_eq!(peeked[1]["body_base64"], "//4=");
    assert_eq!(peeked[1].get("body"), None);
    assert_eq!(peeked[0].get("lease"), None);

    let info = http.get("/v1/queues/jobs").expect_json(200);
    assert_eq!(
        (&info["messages"], &info["ready"], &info["leased"]),
        (&json!(3), &json!(3), &json!(0))
    );
    let all = http.get("/v1/queues").expect_json(200);
    let names: Vec<_> = all["queues"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|queue| &queue["name"])
        .collect();
    assert_eq!(names, ["jobs", "other"]);

    let received = http
        .post("/v1/queues/jobs/receive?max=2&lease=1m", "")
        .expect_json(200);
    let leases: Vec<_> = [0, 1]
        .map(|at: usize| {
            received[at]["lease"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .into();
    assert_eq!(
        (&received[0]["attempts"], &received[1]["id"]),
        (&json!(1), &json!(2))
    );
    http.delete(&format!("/v1/leases/{}", leases[0]))
        .expect(204);
    let _ = http
        .delete(&format!("/v1/leases/{}", leases[0]))
        .problem(410);
    http.post(&format!("/v1/leases/{}/extend?for=2m", leases[1]), "")
        .expect(204);
    http.post(&format!("/v1/leases/{}/nack?delay=0s", leases[1]), "")
        .expect(204);
    let again = http
        .post("/v1/queues/jobs/receive?wait=5s", "")
        .expect_json(200);
    assert_eq!(
        (&again[0]["id"], &again[0]["attempts"]),
        (&json!(2), &json!(2))
    );

    assert_eq!(
        http.post("/v1/queues/jobs/purge", "").expect_json(200),
        json!({ "purged": 2 })
    );
    http.post("/v1/queues/jobs/receive", "").expect(204);
    http.delete("/v1/queues/jobs").expect(204);
    for answer in [
        http.delete("/v1/queues/jobs"),
        http.get("/v1/queues/jobs"),
        http.post("/v1/queues/jobs/purge", ""),
        http.post("/v1/queues/jobs/messages", "x"),
        http.post("/v1/queues/jobs/receive", ""),
        http.get("/v1/queues/jobs/messages"),
    ] {
        let detail = answer.problem(404);
        assert!(
            detail.contains("PUT /v1/queues/jobs"),
            "the remedy is named: {detail}"
        );
    }
}

#[test]
fn order_delay_and_keys_hold_at_both_doors() {
    let up = Up::start(&[]);
    let http = Http::new(&up.http);
    let mut typed = Telnet::connect(&up.brokers[1]);
    http.put("/v1/queues/jobs", "").expect(201);
    http.post("/v1/queues/jobs/messages?delay=1h", "later")
        .expect(201);
    typed.expect("PUSH jobs delay=1h later too", "+OK 2");
    http.post("/v1/queues/jobs/messages", "plain").expect(201);
    typed.expect("PUSH jobs priority=5 urgent", "+OK 4");
    http.post("/v1/queues/jobs/messages?priority=9&key=ana", "most urgent")
        .expect(201);
    typed.expect("PUSH jobs priority=9 key=ana ana again", "+OK 6");

    let first = http.post("/v1/queues/jobs/receive", "").expect_json(200);
    assert_eq!(first[0]["body"], "most urgent");
    let rest = typed.messages("POP jobs max=10");
    let texts: Vec<_> = rest
        .iter()
        .map(|message| message.payload.as_str())
        .collect();
    assert_eq!(
        texts,
        ["urgent", "plain"],
        "ana's first job is at work, the delayed ones are not due"
    );
    let lease = first[0]["lease"].as_str().expect("a lease is a text");
    http.delete(&format!("/v1/leases/{lease}")).expect(204);
    assert_eq!(typed.messages("POP jobs")[0].payload, "ana again");
    let info = http.get("/v1/queues/jobs").expect_json(200);
    assert_eq!((&info["messages"], &info["leased"]), (&json!(5), &json!(3)));
    for wrong in ["delay=soon", "priority=10", "key=", "dealy=1s"] {
        let _ = http
            .post(&format!("/v1/queues/jobs/messages?{wrong}"), "x")
            .problem(400);
    }
}

#[test]
fn a_long_poll_is_answered_when_a_message_comes() {
    let up = Up::start(&[]);
    let http = Http::new(&up.http);
    http.put("/v1/queues/jobs", "").expect(201);
    let asked = Instant::now();
    let poll = std::thread::spawn({
        let http = http.clone();
        move || http.post("/v1/queues/jobs/receive?wait=25s", "")
    });
    // The poll has arrived when the queue's consumer says that somebody waits.
    let mut typed = Telnet::connect(&up.nats);
    typed.expect("SUB answers 1", "+OK");
    until("the poll waits at the queue", || {
        typed.expect(
            "PUB $JS.API.CONSUMER.INFO.Q_jobs.workers answers 0\r\n",
            "+OK",
        );
        let info: Value = serde_json::from_str(&typed.message().payload).ok()?;
        (info["num_waiting"].as_u64()? > 0).then_some(())
    });
    http.post("/v1/queues/jobs/messages", "at last").expect(201);
    let received = poll.join().expect("the poll is answered").expect_json(200);
    assert_eq!(received[0]["body"], "at last");
    assert!(
        asked.elapsed() < Duration::from_secs(20),
        "answered by the message, not by the end of the wait"
    );
}

#[test]
fn http_serves_topics_and_events() {
    let up = Up::start(&[]);
    let http = Http::new(&up.http);
    http.put("/v1/topics/news", "").expect(201);
    http.put("/v1/topics/news", "").expect(200);
    let _ = http
        .put("/v1/topics/news", r#"{"max_messages":7}"#)
        .problem(409);
    let stored = http
        .post("/v1/topics/news/messages", "first")
        .expect_json(201);
    assert_eq!(
        stored,
        json!({ "stream": "T_news", "seq": 1, "duplicate": false })
    );
    http.post("/v1/topics/news/messages", "second").expect(201);
    let seen = http
        .get("/v1/topics/news/messages?from=first&limit=20")
        .expect_json(200);
    assert_eq!(
        (&seen[0]["body"], &seen[1]["id"]),
        (&json!("first"), &json!(2))
    );
    assert!(
        seen[0]["time"]
            .as_str()
            .is_some_and(|time| time.ends_with('Z')),
        "{seen}"
    );
    let all = http.get("/v1/topics").expect_json(200);
    assert_eq!(all["topics"][0]["name"], "news");
    assert_eq!(http.get("/v1/topics/news").expect_json(200)["messages"], 2);

    let mut events = http.events("/v1/topics/news/events?from=first", &[]);
    let first = events.event();
    assert_eq!((first.id.as_str(), first.event.as_str()), ("1", "message"));
    assert_eq!(
        (&first.data["body"], &first.data["id"]),
        (&json!("first"), &json!(1))
    );
    assert_eq!(events.event().data["body"], "second");
    http.post("/v1/topics/news/messages", "third").expect(201);
    assert_eq!(events.event().data["body"], "third");
    drop(events);

    let mut resumed = http.events("/v1/topics/news/events", &[("last-event-id", "2")]);
    assert_eq!(resumed.event().id, "3");
    http.delete("/v1/topics/news").expect(204);
    for answer in [
        http.get("/v1/topics/news"),
        http.delete("/v1/topics/news"),
        http.post("/v1/topics/news/messages", "late"),
        http.get("/v1/topics/news/messages"),
        http.get("/v1/topics/news/events"),
    ] {
        let detail = answer.problem(404);
        assert!(
            detail.contains("PUT /v1/topics/news"),
            "the remedy is named: {detail}"
        );
    }
}

#[test]
fn http_names_the_mistake() {
    let up = Up::start(&[]);
    let http = Http::new(&up.http);
    http.put("/v1/queues/jobs", "").expect(201);
    http.put("/v1/topics/news", "").expect(201);
    let _ = http
        .post("/v1/queues/jobs/messages", vec![b'x'; 2 * 1024 * 1024])
        .problem(413);
    let _ = http.put("/v1/queues/a.b", "").problem(400);
    let _ = http
        .put("/v1/queues/more", r#"{"leese":"1s"}"#)
        .problem(400);
    let _ = http
        .put("/v1/queues/more", r#"{"lease":"soon"}"#)
        .problem(400);
    let _ = http.put("/v1/queues/more", r#"{"lease":"#).problem(400);
    let _ = http.post("/v1/queues/jobs/receive?max=0", "").problem(400);
    let _ = http
        .ask(
            "GET",
            "/v1/topics/news/events",
            &[("last-event-id", "x")],
            "",
        )
        .problem(400);
    let _ = http.ask("PATCH", "/v1/queues/jobs", &[], "").problem(405);
    let _ = http.get("/v1/nothing").problem(404);
    let _ = http.delete("/v1/leases/jobs.1.1.1").problem(410);
    let _ = http.delete("/v1/leases/gone.1.1.1").problem(410);
    http.put(
        "/v1/queues/tiny",
        r#"{"max_messages":1,"discard":"reject"}"#,
    )
    .expect(201);
    http.post("/v1/queues/tiny/messages", "fits").expect(201);
    let full = http.post("/v1/queues/tiny/messages", "does not");
    let _ = full.problem(503);
    assert_ne!(
        full.json()["err_code"],
        Value::Null,
        "JetStream's own number is told: {}",
        full.text()
    );

    assert_eq!(http.get("/healthz").expect_json(200)["status"], "ok");
    let page = http.get("/");
    page.expect(200);
    assert!(page.text().contains("/v1/queues"), "{}", page.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn http_reaches_whoever_listens_on_a_subject() {
    let up = Up::start(&[]);
    let [a, b] = connect_to_both(&up).await;
    let mut service = b
        .subscribe("service.*")
        .await
        .expect("a subscription is made");
    let mut silent = b.subscribe("silent").await.expect("a subscription is made");
    hear(&a, "service.ping", &mut service).await;
    hear(&a, "silent", &mut silent).await;
    let ask = async |path: &'static str, body: &'static str| {
        let http = Http::new(&up.http);
        tokio::task::spawn_blocking(move || http.ask("POST", path, &[("nats-app", "shop")], body))
            .await
            .expect("a request does not panic")
    };
    ask("/v1/subjects/service.told", "hello").await.expect(202);
    let told = next(&mut service).await;
    assert_eq!(
        (told.subject(), told.payload_slice()),
        ("service.told", b"hello".as_slice())
    );

    let answering = async {
        let request = next(&mut service).await;
        let reply = request.reply().expect("a request has a reply subject");
        b.publish(reply, "answer").await.expect("an answer is sent");
    };
    // The gateway's broker may be the one that has not heard of the service yet: the first request tells.
    let (answer, ()) = tokio::join!(
        ask("/v1/subjects/service.asked?reply=5s", "question"),
        answering
    );
    answer.expect(200);
    assert_eq!(answer.text(), "answer");
    let _ = ask("/v1/subjects/nobody?reply=5s", "").await.problem(404);
    let _ = ask("/v1/subjects/silent?reply=50ms", "").await.problem(504);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_works_on_queues() {
    let up = Up::start(&[]);
    let client = connect(&up.nats).await;
    let queue = client.queue("jobs").expect("a name");
    let options = QueueOptions::default();
    assert_eq!(queue.create(&options).await, Ok(Creation::Created));
    assert_eq!(queue.create(&options).await, Ok(Creation::Exists));
    let mut headers = Headers::new();
    headers.append("App", "shop").expect("a header");
    let push = PushOptions {
        id: Some("order-17".to_owned()),
        headers,
        ..PushOptions::default()
    };
    let first = queue.push("one", &push).await.expect("pushed");
    assert_eq!(
        (first.stream.as_str(), first.seq, first.duplicate),
        ("Q_jobs", 1, false)
    );
    assert!(queue.push("one", &push).await.expect("pushed").duplicate);
    queue
        .push("two", &PushOptions::default())
        .await
        .expect("pushed");

    let jobs = queue
        .pop(&PopOptions {
            max: 10,
            wait: Duration::from_secs(5),
            lease: None,
        })
        .await
        .expect("popped");
    assert_eq!(jobs.len(), 2);
    assert_eq!(
        (jobs[0].payload.as_ref(), jobs[0].headers.get("App")),
        (b"one".as_slice(), Some("shop"))
    );
    assert_eq!(jobs[0].ack().await, Ok(()));
    assert_eq!(jobs[0].ack().await, Err(LeaseError::Gone));
    assert_eq!(jobs[1].extend(None).await, Ok(()));
    assert_eq!(jobs[1].nack(None).await, Ok(()));
    let again = queue
        .pop(&PopOptions {
            wait: Duration::from_secs(5),
            ..PopOptions::default()
        })
        .await
        .expect("popped");
    assert_eq!((again[0].seq, again[0].attempts), (2, 2));
    let elsewhere = connect(&up.brokers[1]).await;
    let lease = elsewhere
        .lease(&again[0].lease.to_string())
        .expect("a lease");
    assert_eq!(lease.ack().await, Ok(()));
    let info = queue.info().await.expect("told");
    assert_eq!((info.messages, info.last_seq), (0, 2));
    queue.delete().await.expect("deleted");
    assert!(queue.info().await.expect_err("gone").is_not_found());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_follows_topics_and_remembers_subscriptions() {
    let up = Up::start(&[]);
    let [a, b] = connect_to_both(&up).await;
    let topic = a.topic("news").expect("a name");
    topic
        .create(&TopicOptions::default())
        .await
        .expect("created");
    topic
        .publish("first", &PostOptions::default())
        .await
        .expect("published");
    let mut follower = b
        .topic("news")
        .expect("a name")
        .follow(StartFrom::First)
        .await
        .expect("follows");
    topic
        .publish("second", &PostOptions::default())
        .await
        .expect("published");
    for (seq, payload) in [(1, "first"), (2, "second")] {
        let message = in_time(follower.next())
            .await
            .expect("goes on")
            .expect("followed");
        assert_eq!(
            (message.seq, message.payload.as_ref()),
            (seq, payload.as_bytes())
        );
    }
    let viewed = topic.view(StartFrom::Last, 10).await.expect("viewed");
    assert_eq!(viewed.len(), 1);

    let mine = topic
        .subscribe("alice", StartFrom::First)
        .await
        .expect("subscribed");
    let first = mine
        .next(WAIT_MAX)
        .await
        .expect("given")
        .expect("a message");
    first.ack().await.expect("acknowledged");
    let resumed = b
        .topic("news")
        .expect("a name")
        .subscribe("alice", StartFrom::First)
        .await
        .expect("subscribed");
    let second = resumed
        .next(WAIT_MAX)
        .await
        .expect("given")
        .expect("a message");
    assert_eq!(second.message.payload.as_ref(), b"second");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_on_one_broker_hears_a_publisher_on_the_other() {
    let up = Up::start(&[]);
    let [a, b] = connect_to_both(&up).await;
    for (publisher, listener) in [(&a, &b), (&b, &a)] {
        let mut heard = listener
            .subscribe("weather.>")
            .await
            .expect("a subscription is made");
        let message = hear(publisher, "weather.north.sea", &mut heard).await;
        assert_eq!(
            (message.subject(), message.payload_slice()),
            ("weather.north.sea", b"probe".as_slice())
        );
    }
    let mut requests = b.subscribe("adder").await.expect("a subscription is made");
    hear(&a, "adder", &mut requests).await;
    let answering = tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            if let Some(reply) = request.reply() {
                b.publish(reply, "5").await.expect("an answer is sent");
                b.flush().await.expect("an answer is sent");
                break;
            }
        }
    });
    let answer = a.request("adder", "2 3", WAIT_MAX).await.expect("answered");
    assert_eq!(answer.payload_slice(), b"5");
    answering.await.expect("the service does not panic");
    let nobody = a.request("nobody.listens", "", WAIT_MAX).await;
    assert_eq!(nobody.err(), Some(RequestError::NoResponders));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_group_across_brokers_gets_each_message_once() {
    let up = Up::start(&[]);
    let [a, b] = connect_to_both(&up).await;
    let mut members = Vec::new();
    let mut witnesses = Vec::new();
    for client in [&a, &b, &b] {
        members.push(
            client
                .queue_subscribe("shared", "workers")
                .await
                .expect("a subscription is made"),
        );
        witnesses.push(
            client
                .subscribe("witness")
                .await
                .expect("a subscription is made"),
        );
    }
    // Who hears the witness's subject, subscribed to after the group, is known to be a member of the group.
    for publisher in [&a, &b] {
        for witness in &mut witnesses {
            hear(publisher, "witness", witness).await;
        }
    }
    for number in 0..SHARED {
        let publisher = if number % 2 == 0 { &a } else { &b };
        publisher
            .publish("shared", number.to_string())
            .await
            .expect("published");
    }
    // What follows on the same way says that everything before it has arrived.
    for publisher in [&a, &b] {
        publisher
            .publish("witness", "end")
            .await
            .expect("published");
    }
    for witness in &mut witnesses {
        for _ in 0..2 {
            while next(witness).await.payload_slice() != b"end" {}
        }
    }
    for client in [&a, &b] {
        client.flush().await.expect("flushed");
    }
    let mut got: Vec<u64> = Vec::new();
    for member in &mut members {
        while let Some(message) = member.try_next() {
            got.push(
                std::str::from_utf8(message.payload_slice())
                    .expect("a number")
                    .parse()
                    .expect("a number"),
            );
        }
    }
    got.sort_unstable();
    assert_eq!(got, (0..SHARED).collect::<Vec<_>>());
}

#[test]
fn the_original_api_does_its_thirteen_actions() {
    let up = Up::start(&["--original-api"]);
    let http = Http::new(&up.http);
    let check = |path: &str, expected: &str| {
        assert_eq!(
            http.get(path).expect_json(200),
            json!({ "Respuesta": expected }),
            "{path}"
        );
    };
    check("/crearCola/tareas", "Cola creada");
    check("/crearCola/otras", "Cola creada");
    check(
        "/agregarElementoCola/tareas/uno?cliente=ana",
        "Mensaje agregado",
    );
    check(
        "/agregarElementoCola/tareas/dos?cliente=ana",
        "Mensaje agregado",
    );
    check("/listarColas", "otras,tareas");
    check("/verCola/tareas", "uno,dos");
    check("/cCola/tareas", "uno");
    check("/verCola/tareas", "dos");
    check("/cCola/tareas", "dos");
    check("/cCola/tareas", "Cola vacia");
    check("/borrarCola/otras", "Cola eliminada");
    check("/borrarCola/otras", "Cola no existe");

    check("/crearTopico/avisos", "Topico creado");
    check("/suscribirTopico/avisos/ana", "Suscrito");
    check("/agregarMensajeTopico/avisos/primero", "Mensaje agregado");
    check("/agregarMensajeTopico/avisos/segundo", "Mensaje agregado");
    check("/verMensajesTopico/avisos", "primero,segundo");
    check("/conTopico/avisos/ana", "primero");
    check("/conTopico/avisos/ana", "segundo");
    check("/conTopico/avisos/ana", "Sin mensajes");
    check("/eliminarTopico/avisos", "Topico eliminado");
    check("/eliminarTopico/avisos", "Topico no existe");
    check("/consumir?cliente=eva", "Sin respuestas");
    let posted = http.post("/crearCola/tareas", "").expect_json(200);
    assert_eq!(posted, json!({ "Respuesta": "Cola creada" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_microservice_answers_into_the_mailbox_of_who_asked() {
    let up = Up::start(&["--original-api"]);
    let http = Http::new(&up.http);
    let get = async |path: &'static str| {
        let http = http.clone();
        let answer = tokio::task::spawn_blocking(move || http.get(path).expect_json(200));
        answer.await.expect("a request does not panic")["Respuesta"].clone()
    };
    assert_eq!(get("/crearCola/multiplicar").await, "Cola creada");
    assert_eq!(
        get("/agregarElementoCola/multiplicar/6x7?cliente=ana").await,
        "Mensaje agregado"
    );
    assert_eq!(
        get("/agregarElementoCola/multiplicar/2x3").await,
        "Mensaje agregado"
    );

    let worker = connect(&up.brokers[1]).await;
    let jobs = worker.queue("multiplicar").expect("a name");
    for _ in 0..2 {
        let popped = jobs
            .pop(&PopOptions {
                wait: WAIT_MAX,
                ..PopOptions::default()
            })
            .await
            .expect("popped");
        let job = popped.first().expect("a job");
        let text = std::str::from_utf8(&job.payload).expect("UTF-8");
        let (x, y) = text.split_once('x').expect("a product");
        let product = x.parse::<u32>().expect("a number") * y.parse::<u32>().expect("a number");
        let mailbox = job
            .headers
            .get("Relevo-Reply-To")
            .expect("who asked is named");
        let mailbox = worker.queue(mailbox).expect("a mailbox is a queue");
        mailbox
            .push(product.to_string(), &PushOptions::default())
            .await
            .expect("answered");
        job.ack().await.expect("acknowledged");
    }
    assert_eq!(get("/consumir?cliente=ana").await, "42");
    assert_eq!(get("/consumir?cliente=ana").await, "Sin respuestas");
    assert_eq!(
        get("/consumir").await,
        "6",
        "a caller without a name is known by its address"
    );
}

#[test]
fn the_original_api_says_that_all_servers_are_out_of_service() {
    let up = Up::start(&["--original-api"]);
    up.kill_broker(0);
    up.kill_broker(1);
    let http = Http::new(&up.http);
    for path in [
        "/listarColas",
        "/crearCola/tareas",
        "/consumir",
        "/conTopico/avisos/ana",
    ] {
        let answer = http.get(path).expect_json(200);
        assert_eq!(
            answer["Respuesta"], "Todos los servidores estan fuera de servicio!",
            "{path}"
        );
    }
}

#[test]
fn a_gateway_skips_a_dead_broker_within_the_same_connection() {
    for dead in [0, 1] {
        let mut brokers = Brokers::pair(Sealing::Plain);
        let gateway = Gateway::start(&[brokers.nats(0), brokers.nats(1)], &[]);
        brokers.kill(dead);
        for _ in 0..6 {
            Telnet::connect(&gateway.nats).expect("PING", "PONG");
        }
    }
}

async fn connect(address: &str) -> Client {
    let options = ConnectOptions::new().server(address).without_discovery();
    options.connect().await.expect("a client connects")
}

async fn connect_to_both(up: &Up) -> [Client; 2] {
    [connect(&up.brokers[0]).await, connect(&up.brokers[1]).await]
}

/// Publishes until the subscriber hears it: interest takes its time from one broker to the other.
async fn hear(publisher: &Client, subject: &str, subscriber: &mut Subscriber) -> Message {
    let start = Instant::now();
    let heard = loop {
        publisher
            .publish(subject, "probe")
            .await
            .expect("published");
        if let Ok(message) = tokio::time::timeout(LISTEN, subscriber.next()).await {
            break message.expect("the subscription goes on");
        }
        assert!(start.elapsed() < WAIT_MAX, "nobody hears {subject}");
    };
    // Probes that are still under way end at a mark.
    publisher.publish(subject, "mark").await.expect("published");
    while next(subscriber).await.payload_slice() != b"mark" {}
    heard
}

async fn next(subscriber: &mut Subscriber) -> Message {
    in_time(subscriber.next())
        .await
        .expect("the subscription goes on")
}

async fn in_time<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(WAIT_MAX, wait)
        .await
        .expect("it comes in time")
}
