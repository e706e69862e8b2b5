use bytes::Bytes;
use relevo_protocol::frame::{Message, Order, ShardMessage, Work};
use relevo_protocol::identity::{Position, ShardId};
use relevo_protocol::name::MemberName;
use relevo_protocol::time::Timestamp;
use serde_json::{Value, json};

use crate::input::{Assignment, DirectoryChange, Duty, Effect, Input, Monotonic, Now};
use crate::shard::{Engine, EngineConfig, Recovered, SNAPSHOT_EVERY_BYTES};

const NOW: Now = Now {
    monotonic: Monotonic(1_000_000_000),
    wall: Timestamp::from_nanos(1_800_000_000_000_000_000),
};

/// The directory's leader, as its driver sees it.
struct Leader {
    engine: Engine,
}

impl Leader {
    fn new(duty: Duty) -> Self {
        let config = EngineConfig {
            shard: ShardId::DIRECTORY,
            member: MemberName::parse("a").unwrap(),
            data_shards: 2,
            snapshot_every_bytes: SNAPSHOT_EVERY_BYTES,
        };
        let recovered = Recovered {
            contiguous_from: Position(1),
            ..Recovered::default()
        };
        let mut leader = Self {
            engine: Engine::open(config, recovered).unwrap(),
        };
        leader.take(Input::Assigned(Assignment {
            term: 1,
            duty,
            peer_complete: true,
        }));
        leader
    }

    fn take(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.engine.handle(NOW, input, &mut effects);
        self.engine.finish_batch(&mut effects);
        effects
    }

    fn ask(&mut self, endpoint: &str, body: &Value) -> Vec<Effect> {
        self.take(Input::Work(Work::Api(Message {
            subject: format!("$JS.API.{endpoint}").into(),
            reply: Some(Bytes::from_static(b"_INBOX.1")),
            headers: Bytes::new(),
            payload: body.to_string().into(),
        })))
    }

    fn sync(&mut self) -> Vec<Effect> {
        let end = self.engine.status().end;
        self.take(Input::Durable(end))
    }
}

fn stream(name: &str, subject: &str) -> Value {
    json!({"name": name, "subjects": [subject]})
}

fn err_code(effects: &[Effect]) -> Option<u64> {
    effects.iter().find_map(|effect| match effect {
        Effect::Send { message, .. } => {
            let body: Value = serde_json::from_slice(&message.payload).ok()?;
            body["error"]["err_code"].as_u64()
        }
        _ => None,
    })
}

fn ordered_to(effects: &[Effect]) -> Option<ShardId> {
    effects.iter().find_map(|effect| match effect {
        Effect::ToShard {
            shard,
            work: Work::Order(Order::CreateStream { .. }),
        } => Some(*shard),
        _ => None,
    })
}

fn shows(effects: &[Effect]) -> bool {
    let added =
        |effect: &Effect| matches!(effect, Effect::Directory(DirectoryChange::Added { .. }));
    effects.iter().any(added)
}

#[test]
fn a_stream_is_ordered_when_its_assignment_is_durable_and_streams_spread_over_the_shards() {
    let mut leader = Leader::new(Duty::LeadAlone);
    leader.sync();
    for (name, shard) in [("one", 1), ("two", 2), ("three", 1)] {
        let effects = leader.ask(&format!("STREAM.CREATE.{name}"), &stream(name, name));
        assert_eq!(
            (ordered_to(&effects), shows(&effects)),
            (None, false),
            "{name}"
        );
        let effects = leader.sync();
        assert_eq!(ordered_to(&effects), Some(ShardId(shard)), "{name}");
        assert!(shows(&effects), "{name}");
    }
}

#[test]
fn a_pair_orders_a_stream_only_when_the_other_broker_shows_it_too() {
    let mut leader = Leader::new(Duty::Lead);
    leader.sync();
    leader.take(Input::PeerUp);
    let status = ShardMessage::Status {
        epochs: Vec::new(),
        end: Position::ZERO,
        chain: 0,
        contiguous_from: Position(1),
    };
    leader.take(Input::Peer(status));
    let progress = |durable, applied| {
        Input::Peer(ShardMessage::Progress {
            durable: Position(durable),
            applied: Position(applied),
            full: false,
        })
    };
    leader.take(progress(1, 0));
    assert!(leader.engine.status().writable);
    leader.ask("STREAM.CREATE.one", &stream("one", "one"));
    assert_eq!(ordered_to(&leader.sync()), None);
    let committed = leader.take(progress(2, 1));
    assert_eq!((ordered_to(&committed), shows(&committed)), (None, true));
    assert_eq!(ordered_to(&leader.take(progress(2, 2))), Some(ShardId(1)));
}

#[test]
fn names_subjects_and_lengths_that_cannot_be_are_refused_and_nothing_is_written() {
    let mut leader = Leader::new(Duty::LeadAlone);
    leader.ask("STREAM.CREATE.one", &stream("one", "a.>"));
    leader.sync();
    let end = leader.engine.status().end;
    let long: Vec<String> = (0..3000)
        .map(|n| format!("{n}.{}", "x".repeat(900)))
        .collect();
    for (name, body, expected) in [
        ("one", stream("one", "b"), 10058),
        ("two", stream("two", "a.b"), 10065),
        ("two", stream("three", "c"), 10056),
        ("two", json!({"name": "two", "subjects": long}), 10052),
    ] {
        let effects = leader.ask(&format!("STREAM.CREATE.{name}"), &body);
        assert_eq!(err_code(&effects), Some(expected), "{name}");
    }
    assert_eq!(leader.engine.status().end, end);
}

#[test]
fn while_the_peer_is_away_nothing_is_created_and_names_are_listed() {
    let mut leader = Leader::new(Duty::Lead);
    let effects = leader.ask("STREAM.CREATE.one", &stream("one", "one"));
    assert_eq!(err_code(&effects), Some(10008));
    let effects = leader.ask("STREAM.NAMES", &json!({}));
    assert_eq!((effects.len(), err_code(&effects)), (1, None));
}
