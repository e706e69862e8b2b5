//! What was acknowledged is still there: after kill -9 of everything, while one broker is away, after a lost disk,
//! and nowhere in clear when the store is sealed.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use relevo_client::{
    Client, ConnectOptions, Headers, JetStreamError, PubAckFuture, PushOptions, StoredMessage,
};
use relevo_protocol::convention::queue::QueueOptions;
use relevo_protocol::verb::StartFrom;
use relevo_tests::harness::{Brokers, Gateway, Http, Sealing, Telnet, Up, WAIT_MAX, relevo, until};
use serde_json::Value;

/// Messages that are acknowledged before everything is killed.
const ACKNOWLEDGED: usize = 10_000;
/// Publishes whose acknowledgements are waited for at once.
const WINDOW: usize = 1_000;
/// How fast a refusal must come while a broker is away.
const REFUSE_MAX: Duration = Duration::from_secs(2);
/// What a busy machine may add to it.
const SLACK: Duration = Duration::from_secs(1);
/// Messages that are read at once.
const PAGE: u32 = 1_000;
/// The most queues that are made until each broker leads one.
const QUEUES_MAX: usize = 16;

/// What was published with an id, and what became of it.
struct Publishing {
    number: usize,
    ack: PubAckFuture,
}

/// Publishes numbers from `first` on, each with itself as its id, until `enough` are acknowledged or nobody answers any
/// more. Gives what was acknowledged, number by sequence, and the first number that was not sent.
async fn publish_numbers(
    client: &Client,
    first: usize,
    enough: usize,
) -> (BTreeMap<u64, usize>, usize) {
    let publisher = client.publisher(WINDOW);
    let mut acknowledged = BTreeMap::new();
    let mut under_way = std::collections::VecDeque::new();
    let mut number = first;
    while acknowledged.len() < enough {
        while under_way.len() < WINDOW {
            let Ok(ack) = publisher
                .publish("$Q.jobs", Some(&id(number)), number.to_string())
                .await
            else {
                return (acknowledged, number);
            };
            under_way.push_back(Publishing { number, ack });
            number += 1;
        }
        let Some(Publishing {
            number: answered,
            ack,
        }) = under_way.pop_front()
        else {
            break;
        };
        let Ok(ack) = ack.await else { break };
        assert!(!ack.duplicate, "number {answered} was never sent before");
        assert_eq!(
            acknowledged.insert(ack.seq, answered),
            None,
            "a sequence is given once"
        );
    }
    for Publishing { number, ack } in under_way {
        if let Ok(ack) = ack.await {
            acknowledged.insert(ack.seq, number);
        }
    }
    (acknowledged, number)
}

fn id(number: usize) -> Headers {
    let mut headers = Headers::new();
    headers
        .insert("Nats-Msg-Id", &number.to_string())
        .expect("a number is a header's value");
    headers
}

/// All that a queue stores, number by sequence.
async fn stored_numbers(client: &Client) -> BTreeMap<u64, usize> {
    let queue = client.queue("jobs").expect("a name");
    let mut stored = BTreeMap::new();
    let mut from = 1;
    loop {
        let page: Vec<StoredMessage> = queue
            .peek(StartFrom::Sequence(from), PAGE)
            .await
            .expect("read");
        let Some(last) = page.last() else {
            return stored;
        };
        from = last.seq + 1;
        for message in page {
            let text = std::str::from_utf8(&message.payload).expect("a number");
            stored.insert(message.seq, text.parse().expect("a number"));
        }
    }
}

fn assert_in_order_and_once(stored: &BTreeMap<u64, usize>) {
    let mut last = None;
    for (seq, number) in stored {
        assert!(
            Some(*number) > last,
            "number {number} at sequence {seq} follows {last:?}"
        );
        last = Some(*number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_acknowledged_messages_survive_kill_9_of_everything() {
    let up = Up::start(&[]);
    let client = connect(&up.nats).await;
    client
        .queue("jobs")
        .expect("a name")
        .create(&QueueOptions::default())
        .await
        .expect("created");
    let (mut acknowledged, next) = publish_numbers(&client, 0, ACKNOWLEDGED).await;
    assert!(
        acknowledged.len() >= ACKNOWLEDGED,
        "{} are acknowledged",
        acknowledged.len()
    );

    // It dies while more are under way.
    let dying = tokio::spawn({
        let client = client.clone();
        async move { publish_numbers(&client, next, usize::MAX).await }
    });
    let loaded = u64::try_from(next).expect("it fits");
    let watcher = connect(&up.brokers[0]).await;
    let start = Instant::now();
    while watcher
        .queue("jobs")
        .expect("a name")
        .info()
        .await
        .expect("told")
        .last_seq
        < loaded + 100
    {
        assert!(start.elapsed() < WAIT_MAX, "publishing goes on");
    }
    let dir = up.kill_all().expect("the directory is the test's own");
    client.close().await;
    let (more, end) = dying.await.expect("the publisher does not panic");
    acknowledged.extend(more);

    let up = Up::start_in(dir.path(), &[]);
    let client = connect(&up.nats).await;
    let stored = stored_numbers(&client).await;
    for (seq, number) in &acknowledged {
        assert_eq!(
            stored.get(seq),
            Some(number),
            "sequence {seq} was acknowledged"
        );
    }
    assert_in_order_and_once(&stored);

    // All is published once more with the same ids: what is stored is a duplicate, the rest is not.
    let publisher = client.publisher(WINDOW);
    let mut again = Vec::new();
    for number in 0..end {
        let ack = publisher
            .publish("$Q.jobs", Some(&id(number)), number.to_string())
            .await
            .expect("sent");
        again.push((number, ack));
    }
    let by_number: BTreeMap<usize, u64> =
        stored.iter().map(|(seq, number)| (*number, *seq)).collect();
    for (number, ack) in again {
        let ack = ack.await.expect("acknowledged");
        match by_number.get(&number) {
            Some(seq) => assert_eq!((ack.seq, ack.duplicate), (*seq, true), "number {number}"),
            None => assert!(!ack.duplicate, "number {number} was lost unacknowledged"),
        }
    }
    let stored = stored_numbers(&client).await;
    assert_eq!(stored.len(), end, "each is stored once");
    let mut numbers: Vec<_> = stored.into_values().collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..end).collect::<Vec<_>>());
}

/// Queues by the broker that leads them: `[a's, b's]`.
fn queue_of_each(typed: &mut Telnet) -> [String; 2] {
    let mut led: [Option<String>; 2] = [None, None];
    for number in 0..QUEUES_MAX {
        let queue = format!("q{number}");
        typed.expect(
            &format!("QUEUE CREATE {queue}"),
            &format!("+OK created {queue}"),
        );
        let info = typed.expect_start(&format!("QUEUE INFO {queue}"), "+OK ");
        let info: Value = serde_json::from_str(&info).expect("INFO is JSON");
        let at = usize::from(info["leader"] == "b");
        led[at].get_or_insert(queue);
        if let [Some(a), Some(b)] = &led {
            return [a.clone(), b.clone()];
        }
    }
    panic!("one broker leads all of {QUEUES_MAX} queues");
}

/// Asks for what cannot be done now and expects the refusal in time.
#[track_caller]
fn expect_refusal(typed: &mut Telnet, verb: &str) {
    let asked = Instant::now();
    typed.expect(verb, "-ERR 'peer away, nothing was written; try again'");
    assert!(
        asked.elapsed() <= REFUSE_MAX + SLACK,
        "{verb}: refused after {:?}",
        asked.elapsed()
    );
}

/// A publisher that goes on with the next number when the last one is acknowledged or refused, until told to stop.
async fn load(
    client: Client,
    queue: String,
    mut stop: tokio::sync::oneshot::Receiver<()>,
) -> Vec<(u64, String)> {
    let queue = client.queue(&queue).expect("a name");
    let mut acknowledged = Vec::new();
    for number in 0_u64.. {
        if stop.try_recv().is_ok() {
            break;
        }
        let text = format!("load {number}");
        let options = PushOptions {
            id: Some(text.clone()),
            ..PushOptions::default()
        };
        match queue.push(&text, &options).await {
            Ok(pushed) => acknowledged.push((pushed.seq, text)),
            Err(error) => assert!(may_fail(&error), "{error}"),
        }
    }
    acknowledged
}

/// What a publisher may hear while a broker is away: refused, or unknown for what was under way.
fn may_fail(error: &JetStreamError) -> bool {
    error.is_try_again() || matches!(error, JetStreamError::Request(_))
}

fn a_broker_is_killed_under_load_and_comes_back(away: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    let mut brokers = Brokers::pair(Sealing::Sealed);
    let here = 1 - away;
    let mut typed = Telnet::connect(&brokers.nats(here));
    let queues = queue_of_each(&mut typed);
    let [own, others] = [&queues[here], &queues[away]];
    typed.expect("TOPIC CREATE news", "+OK created news");
    for queue in &queues {
        typed.expect(&format!("PUSH {queue} before"), "+OK 1");
        typed.expect(&format!("PUSH {queue} second"), "+OK 2");
    }
    let leased = typed.messages(&format!("POP {own} lease=1h")).remove(0).id;
    let gateway = Gateway::start(&[brokers.nats(0), brokers.nats(1)], &[]);
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let client = runtime.block_on(connect(&brokers.nats(here)));
    let loading = runtime.spawn(load(client, own.clone(), stopped));
    until("the load is under way", || {
        let info = typed.expect_start(&format!("QUEUE INFO {own}"), "+OK ");
        let info: Value = serde_json::from_str(&info).ok()?;
        (info["last_seq"].as_u64()? > 50).then_some(())
    });

    brokers.kill(away);
    brokers.wait_unhealthy(here);
    for verb in [
        format!("PUSH {own} refused"),
        format!("POP {own}"),
        format!("ACK {leased}"),
        format!("QUEUE PURGE {own}"),
        "QUEUE CREATE refused".to_owned(),
        format!("PUSH {others} refused"),
        format!("POP {others}"),
        format!("QUEUE INFO {others}"),
        format!("QUEUE PEEK {others}"),
    ] {
        expect_refusal(&mut typed, &verb);
    }
    typed.expect_start(&format!("QUEUE INFO {own}"), "+OK {");
    let peeked = typed.messages(&format!("QUEUE PEEK {own} max=1"));
    assert_eq!(peeked[0].payload, "before");
    let http = Http::new(&gateway.http);
    let asked = Instant::now();
    let refused = http.post(&format!("/v1/queues/{own}/messages"), "refused");
    let detail = refused.problem(503);
    assert!(detail.contains("nothing was written"), "{detail}");
    assert_ne!(refused.header("retry-after"), "");
    assert!(
        asked.elapsed() <= REFUSE_MAX + SLACK,
        "refused after {:?}",
        asked.elapsed()
    );
    http.get(&format!("/v1/queues/{own}")).expect(200);
    let _ = http
        .post(&format!("/v1/queues/{others}/messages"), "refused")
        .problem(503);
    let _ = http.get("/healthz").expect_json(503);

    brokers.start(away);
    brokers.wait_healthy(here);
    brokers.wait_healthy(away);
    let back = until("publishing goes on", || {
        let answer = typed.ask(&format!("PUSH {own} after"));
        answer.strip_prefix("+OK ").map(str::to_owned)
    });
    let back: u64 = back.parse().expect("a sequence");
    until("the load goes on", || {
        let info = typed.expect_start(&format!("QUEUE INFO {own}"), "+OK ");
        let info: Value = serde_json::from_str(&info).ok()?;
        (info["last_seq"].as_u64()? > back + 10).then_some(())
    });
    stop.send(()).expect("the load is under way");
    let acknowledged = runtime.block_on(loading).expect("the load does not panic");
    assert_eq!(
        queue_texts(&mut typed, others),
        ["before", "second"],
        "what was refused was not written"
    );
    let stored = stored_texts(&mut Telnet::connect(&brokers.nats(away)), own);
    for (seq, text) in &acknowledged {
        assert_eq!(
            stored.get(seq),
            Some(text),
            "sequence {seq} was acknowledged"
        );
    }
    let mut once: Vec<_> = stored.values().collect();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), stored.len(), "nothing is stored twice");
    assert!(
        !once.iter().any(|text| *text == "refused"),
        "what was refused was not written"
    );
    typed.expect_start(&format!("ACK {leased}"), "+OK");
}

#[test]
fn while_broker_b_is_away_writes_are_refused_and_reads_go_on() {
    a_broker_is_killed_under_load_and_comes_back(1);
}

#[test]
fn while_broker_a_is_away_writes_are_refused_and_reads_go_on() {
    a_broker_is_killed_under_load_and_comes_back(0);
}

#[test]
fn lists_and_views_go_on_while_broker_b_is_away() {
    let mut brokers = Brokers::pair(Sealing::Plain);
    let mut typed = Telnet::connect(&brokers.nats(0));
    let topic = (0..QUEUES_MAX)
        .map(|number| format!("t{number}"))
        .find(|topic| {
            typed.expect(
                &format!("TOPIC CREATE {topic}"),
                &format!("+OK created {topic}"),
            );
            let led_here = typed
                .ask(&format!("TOPIC INFO {topic}"))
                .contains(r#""leader":"a""#);
            if !led_here {
                typed.expect_start(&format!("TOPIC DELETE {topic}"), "+OK");
            }
            led_here
        });
    let topic = topic.expect("broker a leads a topic");
    typed.expect(&format!("POST {topic} first"), "+OK 1");
    brokers.kill(1);
    brokers.wait_unhealthy(0);
    assert_eq!(typed.list("TOPIC LIST"), [format!("{topic} 1")]);
    assert_eq!(typed.list("QUEUE LIST"), [""; 0]);
    assert_eq!(typed.messages(&format!("VIEW {topic}"))[0].payload, "first");
    typed.expect_start(&format!("TOPIC INFO {topic}"), "+OK {");
    expect_refusal(&mut typed, &format!("POST {topic} second"));
}

#[test]
fn a_wiped_broker_is_refilled_with_all_that_was_acknowledged() {
    let mut brokers = Brokers::pair(Sealing::Plain);
    let mut typed = Telnet::connect(&brokers.nats(0));
    let queues = queue_of_each(&mut typed);
    typed.expect("TOPIC CREATE news", "+OK created news");
    for number in 0..300 {
        for queue in &queues {
            typed.expect_start(&format!("PUSH {queue} message {number}"), "+OK");
        }
        typed.expect_start(&format!("POST news message {number}"), "+OK");
    }
    for queue in &queues {
        for message in typed.messages(&format!("POP {queue} max=100")) {
            typed.expect_start(&format!("ACK {}", message.id), "+OK");
        }
    }
    let expected: Vec<_> = (100..300)
        .map(|number| format!("message {number}"))
        .collect();

    // First one disk is lost, then the other: in the end nothing is left of what was written first.
    for lost in [0, 1] {
        brokers.kill(lost);
        brokers.wipe(lost);
        brokers.start(lost);
        brokers.wait_healthy(lost);
        brokers.wait_healthy(1 - lost);
    }
    for index in [0, 1] {
        let mut typed = Telnet::connect(&brokers.nats(index));
        for queue in &queues {
            assert_eq!(
                queue_texts(&mut typed, queue),
                expected,
                "queue {queue} at broker {index}"
            );
        }
        let news: Vec<_> = typed
            .messages("VIEW news max=1000")
            .into_iter()
            .map(|message| message.payload)
            .collect();
        assert_eq!(news.len(), 300);
        assert_eq!(news.last().map(String::as_str), Some("message 299"));
    }
    for queue in &queues {
        let mut typed = Telnet::connect(&brokers.nats(1));
        typed.expect(&format!("PUSH {queue} after"), "+OK 301");
    }

    // What each leads it reads from its own disk.
    for (away, queue) in [(1, &queues[0]), (0, &queues[1])] {
        brokers.kill(away);
        brokers.wait_unhealthy(1 - away);
        let mut typed = Telnet::connect(&brokers.nats(1 - away));
        let texts = queue_texts(&mut typed, queue);
        assert_eq!(
            (texts.len(), texts.last().map(String::as_str)),
            (201, Some("after"))
        );
        brokers.start(away);
        brokers.wait_healthy(0);
        brokers.wait_healthy(1);
    }
}

#[test]
fn a_flipped_byte_is_found_and_healed_by_starting_empty() {
    for sealing in [Sealing::Plain, Sealing::Sealed] {
        let mut brokers = Brokers::pair(sealing);
        let mut typed = Telnet::connect(&brokers.nats(0));
        let queues = queue_of_each(&mut typed);
        for number in 0..50 {
            typed.expect_start(&format!("PUSH {} message {number}", queues[0]), "+OK");
        }
        brokers.stop(0);
        let segment = segment_with_most_bytes(&brokers.store(0));
        flip_a_byte(&segment);

        let refused = brokers
            .command(0)
            .stdin(Stdio::null())
            .output()
            .expect("the binary starts");
        let log = String::from_utf8_lossy(&refused.stderr);
        assert!(
            !refused.status.success(),
            "it refuses to start; its log:\n{log}"
        );
        let name = segment
            .file_name()
            .expect("a segment has a name")
            .to_string_lossy();
        for word in [
            name.as_ref(),
            "offset",
            "damaged",
            "nothing was changed",
            "copied from the peer",
        ] {
            assert!(log.contains(word), "the log says {word:?}:\n{log}");
        }

        // The remedy that it names works.
        brokers.wipe(0);
        brokers.start(0);
        brokers.wait_healthy(0);
        brokers.wait_healthy(1);
        let mut typed = Telnet::connect(&brokers.nats(0));
        assert_eq!(queue_texts(&mut typed, &queues[0]).len(), 50);
    }
}

const MARKER: &str = "unmistakable-secret-4711";

#[test]
fn a_sealed_store_holds_no_message_in_clear_and_opens_with_its_key_only() {
    let mut brokers = Brokers::pair(Sealing::Sealed);
    let mut typed = Telnet::connect(&brokers.nats(0));
    for queue in queue_of_each(&mut typed) {
        typed.expect(
            &format!("PUSH {queue} id={MARKER}-id key={MARKER}-key {MARKER}"),
            "+OK 1",
        );
    }
    typed.expect(
        &format!("QUEUE CREATE {MARKER}"),
        &format!("+OK created {MARKER}"),
    );
    brokers.stop(0);
    brokers.stop(1);
    assert_eq!(files_with_marker(brokers.dir()), Vec::<PathBuf>::new());

    let store = brokers.store(0);
    let own_key = brokers.dir().join("test.key");
    let other_key = brokers.dir().join("other.key");
    let made = relevo()
        .args(["key", "new"])
        .arg(&other_key)
        .stdout(Stdio::null())
        .status();
    assert!(made.expect("the binary starts").success());
    let broken_key = brokers.dir().join("broken.key");
    std::fs::write(&broken_key, "no key at all\n").expect("a file can be written");
    let start = |flags: &[&str]| {
        let mut command = relevo();
        command
            .args([
                "broker",
                "--supervised",
                "--name",
                "a",
                "--nats",
                "127.0.0.1:0",
                "--store",
            ])
            .arg(&store);
        let ended = command
            .args(flags)
            .stdin(Stdio::null())
            .output()
            .expect("the binary starts");
        assert!(
            !ended.status.success(),
            "{flags:?} does not open a sealed store"
        );
        String::from_utf8_lossy(&ended.stderr).into_owned()
    };
    let text = |path: &Path| path.display().to_string();
    let key_id = key_id(&own_key);
    for (flags, words) in [
        (
            vec!["--key".to_owned(), text(&other_key)],
            ["key", "give the key file"],
        ),
        (vec![], ["key", "--key FILE"]),
        (vec!["--no-seal".to_owned()], ["key", "--key FILE"]),
        (
            vec!["--key".to_owned(), text(&broken_key)],
            ["broken.key", "line 1"],
        ),
    ] {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let said = start(&flags);
        for word in words {
            assert!(said.contains(word), "{flags:?}: says {word:?}:\n{said}");
        }
        if !flags.iter().any(|flag| flag.ends_with("broken.key")) {
            assert!(
                said.contains(&format!("key {key_id}")),
                "{flags:?}: names the key:\n{said}"
            );
        }
    }
    brokers.start(0);
    brokers.start(1);
    brokers.wait_healthy(0);
    let mut typed = Telnet::connect(&brokers.nats(0));
    assert_eq!(queue_texts(&mut typed, "q0"), [MARKER]);
}

#[test]
fn a_plain_store_does_hold_messages_in_clear() {
    let mut brokers = Brokers::pair(Sealing::Plain);
    let mut typed = Telnet::connect(&brokers.nats(0));
    typed.expect("QUEUE CREATE jobs", "+OK created jobs");
    typed.expect(&format!("PUSH jobs {MARKER}"), "+OK 1");
    brokers.stop(0);
    brokers.stop(1);
    // So that the search that finds nothing in a sealed store is known to find something.
    assert!(!files_with_marker(brokers.dir()).is_empty());
}

#[test]
fn a_stop_and_a_start_keep_queues_leases_and_subscriptions() {
    let up = Up::start(&[]);
    let mut typed = Telnet::connect(&up.nats);
    typed.expect("QUEUE CREATE jobs lease=1h", "+OK created jobs");
    typed.expect("QUEUE CREATE short lease=1s", "+OK created short");
    typed.expect("TOPIC CREATE news", "+OK created news");
    for text in ["one", "two", "three"] {
        typed.expect_start(&format!("PUSH jobs {text}"), "+OK");
        typed.expect_start(&format!("POST news {text}"), "+OK");
    }
    typed.expect("PUSH short returns", "+OK 1");
    let leases = typed.messages("POP jobs max=2");
    typed.expect_start(&format!("ACK {}", leases[0].id), "+OK");
    assert_eq!(typed.messages("POP short")[0].payload, "returns");
    let mut follower = Telnet::connect(&up.nats);
    follower.expect("FOLLOW news as=alice from=first", "+OK following news");
    for text in ["one", "two", "three"] {
        assert_eq!(follower.message().payload, text);
    }
    follower.expect_start("UNFOLLOW news", "+OK");
    let (status, dir) = up.interrupt();
    assert!(status.success(), "relevo up ends with {status}");
    let dir = dir.expect("the directory is the test's own");

    let up = Up::start_in(dir.path(), &[]);
    let mut typed = Telnet::connect(&up.nats);
    typed.expect("QUEUE CREATE jobs lease=1h", "+OK exists jobs");
    let popped = typed.messages("POP jobs max=10");
    let texts: Vec<_> = popped
        .iter()
        .map(|message| message.payload.as_str())
        .collect();
    assert_eq!(texts, ["three"], "one is acknowledged, two is leased");
    typed.expect_start(&format!("ACK {}", leases[1].id), "+OK");
    let again = typed.messages("POP short wait=20s");
    assert_eq!(
        again[0].payload, "returns",
        "the lease of before has run out"
    );
    typed.expect("POST news four", "+OK 4");
    typed.expect("FOLLOW news as=alice", "+OK following news");
    assert_eq!(
        typed.message().payload,
        "four",
        "the cursor stayed where it was"
    );
}

async fn connect(address: &str) -> Client {
    let options = ConnectOptions::new().server(address).without_discovery();
    options.connect().await.expect("a client connects")
}

/// The payloads of the first messages of a queue.
#[track_caller]
fn queue_texts(typed: &mut Telnet, queue: &str) -> Vec<String> {
    let peeked = typed.messages(&format!("QUEUE PEEK {queue} max=1000"));
    peeked.into_iter().map(|message| message.payload).collect()
}

/// All payloads of a queue by sequence.
fn stored_texts(typed: &mut Telnet, queue: &str) -> BTreeMap<u64, String> {
    let mut stored = BTreeMap::new();
    let mut from = 1;
    loop {
        let page = typed.messages(&format!("QUEUE PEEK {queue} from={from} max=1000"));
        let Some(last) = page.last() else {
            return stored;
        };
        from = last.id.parse::<u64>().expect("a sequence") + 1;
        for message in page {
            stored.insert(message.id.parse().expect("a sequence"), message.payload);
        }
    }
}

/// Every file below `dir`.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).expect("a directory can be read") {
            let path = entry.expect("a directory can be read").path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

fn files_with_marker(dir: &Path) -> Vec<PathBuf> {
    let holds = |path: &PathBuf| {
        let mut bytes = Vec::new();
        let mut file = std::fs::File::open(path).expect("a file can be opened");
        file.read_to_end(&mut bytes).expect("a file can be read");
        bytes
            .windows(MARKER.len())
            .any(|window| window == MARKER.as_bytes())
    };
    files(dir).into_iter().filter(holds).collect()
}

fn segment_with_most_bytes(store: &Path) -> PathBuf {
    let segments = files(store)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|name| name == "seg"));
    let fullest =
        segments.max_by_key(|path| filled_len(&std::fs::read(path).expect("a file can be read")));
    fullest.expect("a store has segments")
}

/// Bytes up to the zeros at the end, which are room that was made ahead.
fn filled_len(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1)
}

/// Flips a bit in the middle of what is written, where it is no padding: what follows it is durable, so it is no torn
/// end.
fn flip_a_byte(path: &Path) {
    let mut bytes = std::fs::read(path).expect("a file can be read");
    let middle = filled_len(&bytes) / 2;
    let dense = bytes[middle..]
        .windows(8)
        .position(|window| !window.contains(&0));
    bytes[middle + dense.expect("a record has a text")] ^= 0x10;
    std::fs::write(path, bytes).expect("a file can be written");
}

/// The number of the key in a key file: the second word of its first line.
fn key_id(file: &Path) -> String {
    let text = std::fs::read_to_string(file).expect("a key file is text");
    let line = text
        .lines()
        .find(|line| line.starts_with("relevo-key "))
        .expect("a key file has a key");
    line.split(' ')
        .nth(1)
        .expect("a key has a number")
        .to_owned()
}
