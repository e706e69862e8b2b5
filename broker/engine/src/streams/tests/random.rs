//! Random days in the life of a shard, beside the model and with commits, restarts and failovers
//! anywhere.

use std::time::Duration;

use proptest::prelude::*;
use relevo_protocol::identity::Position;
use relevo_protocol::jetstream::stream::{RetentionPolicy, StreamConfig};
use relevo_protocol::mutation::Mutation;
use relevo_protocol::name::MemberName;
use serde_json::{Value, json};

use super::bench::{Bench, SHARD, Sent, durable, message};
use super::model::{Model, Rules, Wish};
use crate::streams::Streams;

const SUBJECTS: [&str; 3] = ["s.a", "s.b", "s.c"];
const CONSUMERS: [&str; 2] = ["C0", "C1"];

#[derive(Clone, Debug)]
enum Step {
    Publish {
        subject: usize,
        id: Option<u8>,
        delay_ms: u64,
        priority: u8,
        key: Option<u8>,
    },
    Pull {
        consumer: usize,
        batch: u64,
        wait_ms: Option<u64>,
    },
    Say {
        which: usize,
        what: What,
    },
    Pass {
        ms: u64,
    },
    Delete {
        back: u64,
    },
    Purge {
        keep: usize,
    },
    Restart,
    FailOver,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Ack,
    Term,
    Progress,
    Nak,
    NakLater(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let wish = (
        prop_oneof![4 => Just(0), 1 => 1..4000_u64],
        prop_oneof![3 => Just(0), 1 => 1..=9_u8],
    );
    prop_oneof![
        8 => (0..3_usize, proptest::option::weighted(0.3, 0..4_u8), wish, proptest::option::weighted(0.4, 0..2_u8))
            .prop_map(|(subject, id, (delay_ms, priority), key)| Step::Publish {
                subject, id, delay_ms, priority, key
            }),
        6 => (0..2_usize, 1..5_u64, proptest::option::of(1..5000_u64))
            .prop_map(|(consumer, batch, wait_ms)| Step::Pull { consumer, batch, wait_ms }),
        8 => (any::<prop::sample::Index>(), prop_oneof![
            4 => Just(What::Ack), 1 => Just(What::Term), 1 => Just(What::Progress),
            1 => Just(What::Nak), 1 => (1..3000_u64).prop_map(What::NakLater),
        ]).prop_map(|(which, what)| Step::Say { which: which.index(1000), what }),
        5 => (1..3000_u64).prop_map(|ms| Step::Pass { ms }),
        1 => (0..6_u64).prop_map(|back| Step::Delete { back }),
        1 => (0..4_usize).prop_map(|keep| Step::Purge { keep }),
        1 => Just(Step::Restart),
        1 => Just(Step::FailOver),
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    let limits = (
        proptest::option::weighted(0.3, 2..6_usize),
        proptest::option::weighted(0.3, 1..4_usize),
        proptest::option::weighted(0.3, 3000..8000_u64),
        proptest::option::weighted(0.4, 1..4_u32),
    );
    (any::<bool>(), limits, 1..5_usize).prop_map(
        |(is_queue, (max_msgs, max_per_subject, max_age, max_deliver), max_ack_pending)| Rules {
            is_queue,
            max_msgs,
            max_per_subject,
            max_age: max_age.map(Duration::from_millis),
            window: Duration::from_secs(2),
            lease: Duration::from_millis(1500),
            max_deliver,
            max_ack_pending,
        },
    )
}

/// A bench with the stream `S` and the consumers that the model has.
fn build(rules: &Rules) -> (Bench, Vec<Option<&'static str>>) {
    let mut bench = Bench::new();
    let limit = |limit: Option<usize>| limit.map_or(-1, |limit| i64::try_from(limit).unwrap());
    bench.stream("S", |config: &mut StreamConfig| {
        config.subjects = vec!["s.*".into()];
        config.max_msgs = limit(rules.max_msgs);
        config.max_msgs_per_subject = limit(rules.max_per_subject);
        config.max_age = rules.max_age.unwrap_or_default();
        config.duplicate_window = rules.window;
        if rules.is_queue {
            config.retention = RetentionPolicy::WorkQueue;
            config.metadata.insert("relevo.kind".into(), "queue".into());
        }
    });
    let filters = match rules.is_queue {
        true => vec![Some("s.a"), Some("s.b")],
        false => vec![None, Some("s.b")],
    };
    for (name, filter) in CONSUMERS.iter().zip(&filters) {
        let mut config = durable(name);
        config.filter_subject = filter.unwrap_or_default().to_owned();
        config.ack_wait = rules.lease;
        config.max_deliver = rules.max_deliver.map_or(-1, i64::from);
        config.max_ack_pending = i64::try_from(rules.max_ack_pending).unwrap();
        bench.consumer("S", config);
    }
    (bench, filters)
}

/// One delivery that was received: what is needed to speak about it.
#[derive(Clone, Debug)]
struct Received {
    consumer: usize,
    sequence: u64,
    count: u32,
    ack: String,
}

fn received(sent: &Sent) -> Option<Received> {
    let reply = sent.message.reply.as_ref()?;
    let ack = String::from_utf8(reply.to_vec()).unwrap();
    let parsed = relevo_protocol::jetstream::ack::AckSubject::parse(&ack).unwrap();
    Some(Received {
        consumer: CONSUMERS
            .iter()
            .position(|name| *name == parsed.consumer.as_str())
            .unwrap(),
        sequence: parsed.stream_seq,
        count: u32::try_from(parsed.delivered).unwrap(),
        ack,
    })
}

fn described(sent: &Sent) -> (String, String) {
    let text = match received(sent) {
        Some(received) => {
            assert_eq!(
                sent.text(),
                sent.shown.clone().unwrap(),
                "the payload is the subject"
            );
            format!("m{} #{}", received.sequence, received.count)
        }
        None => sent.short(),
    };
    (sent.to.clone(), text)
}

fn pairs(step: &Step, is_queue: bool) -> Vec<(&'static str, String)> {
    let Step::Publish {
        id,
        delay_ms,
        priority,
        key,
        ..
    } = step
    else {
        return Vec::new();
    };
    let mut pairs = Vec::new();
    pairs.extend(id.map(|id| ("Nats-Msg-Id", format!("id{id}"))));
    if is_queue {
        if *delay_ms > 0 {
            pairs.push(("Relevo-Delay", format!("{delay_ms}ms")));
        }
        pairs.push(("Relevo-Priority", priority.to_string()));
        pairs.extend(key.map(|key| ("Relevo-Key", format!("key{key}"))));
    }
    pairs
}

fn say(what: What) -> String {
    match what {
        What::Ack => "+ACK".to_owned(),
        What::Term => "+TERM".to_owned(),
        What::Progress => "+WPI".to_owned(),
        What::Nak => "-NAK".to_owned(),
        What::NakLater(ms) => format!("-NAK {{\"delay\": {}}}", ms * 1_000_000),
    }
}

fn pull_body(batch: u64, wait_ms: Option<u64>) -> Value {
    match wait_ms {
        Some(ms) => json!({"batch": batch, "expires": ms * 1_000_000}),
        None => json!({"batch": batch, "no_wait": true}),
    }
}

/// Does one step on both, and answers what the bench answered to a client.
fn both(bench: &mut Bench, model: &mut Model, rules: &Rules, known: &[Received], step: &Step) {
    match step {
        Step::Publish {
            subject,
            id,
            delay_ms,
            priority,
            key,
        } => {
            let pairs = pairs(step, rules.is_queue);
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            let subject = SUBJECTS[*subject];
            let inbox = bench.publish_with(subject, &pairs, subject);
            let wish = match rules.is_queue {
                true => Wish {
                    delay: Duration::from_millis(*delay_ms),
                    priority: *priority,
                    key: *key,
                },
                false => Wish::default(),
            };
            let (sequence, duplicate) = model.publish(subject, *id, wish);
            let mut expected = json!({"stream": "S", "seq": sequence});
            if duplicate {
                expected["duplicate"] = json!(true);
            }
            assert_eq!(bench.answer(&inbox).json(), expected);
        }
        Step::Pull {
            consumer,
            batch,
            wait_ms,
        } => {
            let inbox = bench.pull("S", CONSUMERS[*consumer], &pull_body(*batch, *wait_ms));
            model.pull(
                *consumer,
                &inbox,
                *batch,
                wait_ms.map(Duration::from_millis),
            );
        }
        Step::Say { which, what } => {
            let Some(about) = known.get(which % known.len().max(1)) else {
                return;
            };
            let answer = bench.ack(&about.ack, &say(*what));
            let Received {
                consumer,
                sequence,
                count,
                ..
            } = *about;
            let counted = match what {
                What::Ack | What::Term => model.acknowledge(consumer, sequence, count),
                What::Progress => model.extend(consumer, sequence, count),
                What::Nak => model.give_back(consumer, sequence, count, None),
                What::NakLater(ms) => {
                    model.give_back(consumer, sequence, count, Some(Duration::from_millis(*ms)))
                }
            };
            assert_eq!(
                answer,
                if counted { "" } else { "409 Lease Expired" },
                "{about:?}"
            );
        }
        Step::Pass { ms } => {
            bench.pass(Duration::from_millis(*ms));
            model.pass(Duration::from_millis(*ms));
        }
        Step::Delete { back } => {
            let last = model.sequences().last().copied().unwrap_or(1);
            let sequence = last.saturating_sub(*back).max(1);
            let answer = bench.ask("STREAM.MSG.DELETE.S", &json!({"seq": sequence}));
            assert_eq!(
                answer["success"] == json!(true),
                model.delete(sequence),
                "{answer}"
            );
        }
        Step::Purge { keep } => {
            let body = if *keep == 0 {
                Value::Null
            } else {
                json!({"keep": keep})
            };
            let answer = bench.ask("STREAM.PURGE.S", &body);
            assert_eq!(answer["purged"], json!(model.purge(*keep)));
        }
        Step::Restart => {
            bench.restart();
            model.restart();
        }
        Step::FailOver => {
            bench.fail_over();
            model.restart();
        }
    }
}

fn compare(bench: &mut Bench, model: &Model) {
    let live: Vec<u64> = (1..200)
        .filter(|sequence| bench.leader.is_live(1, *sequence))
        .collect();
    assert_eq!(live, model.sequences());
    for (index, name) in CONSUMERS.iter().enumerate() {
        let info = bench.ask(&format!("CONSUMER.INFO.S.{name}"), &Value::Null);
        let numbers = ["num_pending", "num_ack_pending", "num_redelivered"];
        let numbers = numbers.map(|number| info[number].as_u64().unwrap_or(0));
        assert_eq!(
            (numbers[0], numbers[1], numbers[2]),
            model.numbers(index),
            "{name}"
        );
    }
}

/// The state that a log leads to, from `snapshot` (after `position`) on.
fn replay(bench: &Bench, snapshot: Option<(Position, bytes::Bytes)>) -> bytes::Bytes {
    let member = MemberName::parse("c").unwrap();
    let (position, mut streams) = match snapshot {
        None => (Position::ZERO, Streams::new(SHARD, member)),
        Some((position, bytes)) => (position, Streams::restore(SHARD, member, bytes).unwrap()),
    };
    for record in bench.log.iter().filter(|record| record.position > position) {
        let mutation = Mutation::decode(record.body.clone()).unwrap();
        streams.apply(record.position, &mutation, None).unwrap();
    }
    streams.snapshot()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn streams_and_consumers_do_what_the_model_says(
        rules in rules(),
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let (mut bench, filters) = build(&rules);
        let mut model = Model::new(rules.clone(), &filters);
        let mut known = Vec::new();
        for step in &steps {
            both(&mut bench, &mut model, &rules, &known, step);
            bench.answer_reads();
            let sent = bench.sent();
            known.extend(sent.iter().filter_map(received));
            let mut real: Vec<_> = sent.iter().map(described).collect();
            let mut expected = std::mem::take(&mut model.out);
            // Between two inboxes no order is promised.
            real.sort_by(|(left, _), (right, _)| left.cmp(right));
            expected.sort_by(|(left, _), (right, _)| left.cmp(right));
            prop_assert_eq!(&real, &expected, "{:?}", step);
            compare(&mut bench, &model);
        }
    }

    #[test]
    fn any_prefix_of_the_log_leads_to_the_same_state_on_both_members(
        rules in rules(),
        steps in proptest::collection::vec((step(), 0..4_usize), 1..60),
        snapshot_at in any::<prop::sample::Index>(),
    ) {
        let (mut bench, _) = build(&rules);
        bench.commits = false;
        let mut known: Vec<Received> = Vec::new();
        let mut snapshots = vec![None];
        for (step, commit_count) in &steps {
            match step {
                Step::Publish { subject, .. } => {
                    let pairs = pairs(step, rules.is_queue);
                    let pairs: Vec<_> =
                        pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
                    bench.publish_with(SUBJECTS[*subject], &pairs, SUBJECTS[*subject]);
                }
                Step::Pull { consumer, batch, wait_ms } => {
                    bench.pull("S", CONSUMERS[*consumer], &pull_body(*batch, *wait_ms));
                }
                Step::Say { which, what } => {
                    if let Some(about) = known.get(which % known.len().max(1)) {
                        let request = message(&about.ack, "_INBOX.ack", &[], say(*what).as_bytes());
                        bench.act(|streams, desk| streams.on_ack(desk, request));
                    }
                }
                Step::Pass { ms } => bench.pass(Duration::from_millis(*ms)),
                Step::Delete { back } => {
                    let sequence = (1..200).rev().find(|s| bench.leader.is_live(1, *s)).unwrap_or(1);
                    let body = json!({"seq": sequence.saturating_sub(*back)});
                    bench.api("STREAM.MSG.DELETE.S", &body);
                }
                Step::Purge { keep } => {
                    bench.api("STREAM.PURGE.S", &json!({"keep": keep}));
                }
                Step::Restart => bench.restart(),
                Step::FailOver => bench.fail_over(),
            }
            for _ in 0..*commit_count {
                bench.commit_one();
            }
            bench.answer_reads();
            snapshots.push(Some((bench.committed, bench.follower.snapshot())));
            for sent in bench.sent() {
                if let Some(own) = received(&sent) {
                    prop_assert!(own.sequence <= 200);
                    known.push(own);
                }
            }
        }
        bench.commit_all();
        let state = bench.leader.snapshot();
        prop_assert_eq!(&bench.follower.snapshot(), &state);
        prop_assert_eq!(&replay(&bench, None), &state);
        let snapshot = snapshots.swap_remove(snapshot_at.index(snapshots.len()));
        prop_assert_eq!(&replay(&bench, snapshot), &state);
    }
}
