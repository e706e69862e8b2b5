//! One end of the link to the other broker, without its sockets: who is there, whether the two may work
//! together, and what they agree on before any shard speaks.
//!
//! ```text
//! Down ──Connected──> Greeting ──Hello──> Agreeing ──value durable on both──> Up
//!  ^                     │                   │                                 │
//!  └──── Disconnected ───┴───────────────────┴─────────────────────────────────┘
//! ```
//!
//! A value that a member adopts is durable on its disk before it says so; a shard is assigned by a
//! value only when it is durable here, and the member that proposes a change acts on it only when the
//! other one has confirmed it.

use bytes::Bytes;
use relevo_protocol::frame::{Frame, Hello, LINK_VERSION, Lane, ShardMessage};
use relevo_protocol::identity::{ShardId, StoreId};
use relevo_protocol::name::MemberName;
use relevo_quorum::{Meeting, Refusal, Seat, Value, meet};

use crate::input::Assignment;

/// Most shards waiting to be called complete: there are not more shards.
const COMPLETIONS_MAX: usize = relevo_quorum::SHARDS_MAX;

/// What happens to a link end.
#[derive(Clone, Debug)]
pub enum LinkInput {
    /// The replication lane is connected.
    Connected,
    /// It is not any more.
    Disconnected,
    /// A frame came on the replication lane.
    Frame(Box<Frame>),
    /// Answer to [`LinkEffect::StoreRegister`]: durable.
    RegisterStored,
    /// A shard says that the other member holds everything.
    PeerComplete(ShardId),
}

/// What a link end wants done, in this order.
#[derive(Clone, Debug)]
pub enum LinkEffect {
    /// Send this on the replication lane.
    Send(Frame),
    /// Make this register value durable, then say so.
    StoreRegister(Bytes),
    /// The register says what this member is to each shard.
    Assigned(Vec<(ShardId, Assignment)>),
    /// Both members hold the same value: every shard gets `Input::PeerUp`.
    PeerUp {
        /// The other member.
        peer: MemberName,
        /// Its process; the client lane must belong to the same one.
        boot: u64,
    },
    /// Every shard gets `Input::PeerDown`.
    PeerDown,
    /// The other member says something about a shard.
    Shard(ShardId, ShardMessage),
    /// The connection is to be closed; the reason is worth a line in the log.
    Close(CloseReason),
}

/// Why a link is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The two must not work together.
    Refused(Refusal),
    /// The other side speaks another version of the link.
    Version(u16),
    /// A frame that does not belong there.
    Unexpected,
    /// A register value that cannot be read.
    Register,
}

#[derive(Debug)]
enum State {
    Down,
    Greeting,
    Agreeing {
        value: Value,
        stored: bool,
        confirmed: bool,
        peer: MemberName,
        boot: u64,
    },
    Up {
        proposed: Option<Value>,
        adopting: Option<Value>,
        stored: bool,
    },
}

/// One end of the link.
#[derive(Debug)]
pub struct LinkEnd {
    member: MemberName,
    store: StoreId,
    boot: u64,
    data_shards: usize,
    value: Option<Value>,
    completions: Vec<ShardId>,
    state: State,
}

impl LinkEnd {
    /// An end that is not connected. `value` is what the register on disk holds.
    #[must_use]
    pub const fn new(
        member: MemberName,
        store: StoreId,
        boot: u64,
        data_shards: usize,
        value: Option<Value>,
    ) -> Self {
        let completions = Vec::new();
        Self {
            member,
            store,
            boot,
            data_shards,
            value,
            completions,
            state: State::Down,
        }
    }

    /// The value that is durable here.
    #[must_use]
    pub const fn value(&self) -> Option<&Value> {
        self.value.as_ref()
    }

    /// Whether shards may speak.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// What the value that is durable here makes this member to each shard: for the start, before any
    /// meeting.
    #[must_use]
    pub fn assignments(&self) -> Vec<(ShardId, Assignment)> {
        let Some(value) = &self.value else {
            return Vec::new();
        };
        let Some(me) = value.members.index_of(self.member.as_str()) else {
            return Vec::new();
        };
        (0..value.shards.len())
            .filter_map(|shard| u16::try_from(shard).ok().map(ShardId))
            .filter_map(|shard| Some((shard, Assignment::from_value(value, me, shard)?)))
            .collect()
    }

    /// Takes one input.
    pub fn handle(&mut self, input: LinkInput, effects: &mut Vec<LinkEffect>) {
        match input {
            LinkInput::Connected => {
                self.state = State::Greeting;
                effects.push(LinkEffect::Send(Frame::Hello(
                    self.hello(Lane::Replication),
                )));
            }
            LinkInput::Disconnected => {
                let was_up = self.is_up();
                self.state = State::Down;
                if was_up {
                    effects.push(LinkEffect::PeerDown);
                }
            }
            LinkInput::Frame(frame) => self.on_frame(*frame, effects),
            LinkInput::RegisterStored => self.on_stored(effects),
            LinkInput::PeerComplete(shard) => {
                if self.completions.len() < COMPLETIONS_MAX && !self.completions.contains(&shard) {
                    self.completions.push(shard);
                }
                self.propose(effects);
            }
        }
    }

    /// This end's first frame on a lane.
    #[must_use]
    pub fn hello(&self, lane: Lane) -> Hello {
        Hello {
            version: LINK_VERSION,
            lane,
            member: self.member.clone(),
            store: self.store,
            boot: self.boot,
            register: self
                .value
                .as_ref()
                .map(Value::encode)
                .unwrap_or_default()
                .into(),
        }
    }

    fn on_frame(&mut self, frame: Frame, effects: &mut Vec<LinkEffect>) {
        match (frame, &mut self.state) {
            (Frame::Heartbeat, _) => {}
            (Frame::Hello(hello), State::Greeting) => self.on_hello(hello, effects),
            (
                Frame::Register(bytes),
                State::Agreeing {
                    value, confirmed, ..
                },
            ) => {
                if bytes == value.encode() {
                    *confirmed = true;
                    self.agreed(effects);
                } else {
                    self.close(CloseReason::Unexpected, effects);
                }
            }
            (Frame::Register(bytes), State::Up { .. }) => self.on_register(&bytes, effects),
            (Frame::Shard { shard, message }, State::Up { .. }) => {
                effects.push(LinkEffect::Shard(shard, message));
            }
            (
                Frame::Hello(_)
                | Frame::Register(_)
                | Frame::Shard { .. }
                | Frame::Interest { .. }
                | Frame::InterestComplete
                | Frame::Routed(_)
                | Frame::Work { .. },
                State::Down | State::Greeting | State::Agreeing { .. } | State::Up { .. },
            ) => self.close(CloseReason::Unexpected, effects),
        }
    }

    fn on_hello(&mut self, hello: Hello, effects: &mut Vec<LinkEffect>) {
        if hello.version != LINK_VERSION {
            return self.close(CloseReason::Version(hello.version), effects);
        }
        let theirs = match hello.register.as_ref() {
            [] => None,
            bytes => match Value::decode(bytes) {
                Ok(value) => Some(value),
                Err(_) => return self.close(CloseReason::Register, effects),
            },
        };
        let seat = |name: &MemberName, store: StoreId, value| Seat {
            name: name.as_str().to_owned(),
            store: store.0,
            value,
        };
        let mine = seat(&self.member, self.store, self.value.clone());
        match meet(
            &mine,
            &seat(&hello.member, hello.store, theirs),
            self.data_shards,
        ) {
            Meeting::Refuse(why) => self.close(CloseReason::Refused(why), effects),
            Meeting::Agree(value) => {
                effects.push(LinkEffect::StoreRegister(value.encode().into()));
                let (peer, boot) = (hello.member, hello.boot);
                self.state = State::Agreeing {
                    value,
                    stored: false,
                    confirmed: false,
                    peer,
                    boot,
                };
            }
        }
    }

    fn on_stored(&mut self, effects: &mut Vec<LinkEffect>) {
        match &mut self.state {
            State::Agreeing { value, stored, .. } => {
                *stored = true;
                self.value = Some(value.clone());
                effects.push(LinkEffect::Send(Frame::Register(value.encode().into())));
                effects.push(LinkEffect::Assigned(self.assignments()));
                self.agreed(effects);
            }
            State::Up {
                proposed,
                adopting,
                stored,
            } => {
                if let Some(value) = adopting.take() {
                    let confirmation = Frame::Register(value.encode().into());
                    self.value = Some(value);
                    effects.push(LinkEffect::Assigned(self.assignments()));
                    effects.push(LinkEffect::Send(confirmation));
                } else if let Some(value) = proposed {
                    *stored = true;
                    self.value = Some(value.clone());
                    effects.push(LinkEffect::Send(Frame::Register(value.encode().into())));
                }
            }
            State::Down | State::Greeting => {}
        }
    }

    fn agreed(&mut self, effects: &mut Vec<LinkEffect>) {
        if let State::Agreeing {
            stored: true,
            confirmed: true,
            peer,
            boot,
            ..
        } = &self.state
        {
            effects.push(LinkEffect::PeerUp {
                peer: peer.clone(),
                boot: *boot,
            });
            self.state = State::Up {
                proposed: None,
                adopting: None,
                stored: false,
            };
            self.completions.clear();
        }
    }

    /// The other member proposes a value, or confirms mine.
    fn on_register(&mut self, bytes: &[u8], effects: &mut Vec<LinkEffect>) {
        let State::Up {
            proposed,
            adopting,
            stored,
        } = &mut self.state
        else {
            return;
        };
        if proposed
            .as_ref()
            .is_some_and(|value| *stored && value.encode() == bytes)
        {
            *proposed = None;
            *stored = false;
            effects.push(LinkEffect::Assigned(self.assignments()));
            return self.propose(effects);
        }
        let newer = Value::decode(bytes).ok().filter(|value| {
            let mine = self.value.as_ref();
            mine.is_some_and(|mine| {
                value.cluster == mine.cluster
                    && value.lineage == mine.lineage
                    && value.version > mine.version
            })
        });
        match newer {
            Some(value) if proposed.is_none() && adopting.is_none() => {
                *adopting = Some(value);
                effects.push(LinkEffect::StoreRegister(Bytes::copy_from_slice(bytes)));
            }
            Some(_) | None => self.close(CloseReason::Unexpected, effects),
        }
    }

    /// Proposes the next value, one at a time.
    fn propose(&mut self, effects: &mut Vec<LinkEffect>) {
        let State::Up {
            proposed: proposed @ None,
            adopting: None,
            stored,
        } = &mut self.state
        else {
            return;
        };
        let Some(mine) = &self.value else { return };
        while let Some(shard) = self.completions.pop() {
            let next = mine.with_complete(usize::from(shard.0));
            if next.shards != mine.shards {
                effects.push(LinkEffect::StoreRegister(next.encode().into()));
                *proposed = Some(next);
                *stored = false;
                return;
            }
        }
    }

    fn close(&mut self, why: CloseReason, effects: &mut Vec<LinkEffect>) {
        if self.is_up() {
            effects.push(LinkEffect::PeerDown);
        }
        self.state = State::Down;
        effects.push(LinkEffect::Close(why));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::input::Duty;

    /// Two ends, frames carried at once, registers stored at once.
    struct Pair {
        ends: [LinkEnd; 2],
        up: [bool; 2],
        closed: Vec<CloseReason>,
        duties: [Vec<Duty>; 2],
    }

    impl Pair {
        fn new(values: [Option<Value>; 2], stores: [u8; 2]) -> Self {
            let [one, two] = values;
            let end = |name: &str, store: u8, value| {
                let member = MemberName::parse(name).expect("a valid name");
                LinkEnd::new(member, StoreId([store; 16]), u64::from(store), 2, value)
            };
            Self {
                ends: [end("a", stores[0], one), end("b", stores[1], two)],
                up: [false; 2],
                closed: Vec::new(),
                duties: [Vec::new(), Vec::new()],
            }
        }

        fn run(&mut self, inputs: impl IntoIterator<Item = (usize, LinkInput)>) {
            let mut queue: VecDeque<_> = inputs.into_iter().collect();
            while let Some((at, input)) = queue.pop_front() {
                let mut effects = Vec::new();
                self.ends[at].handle(input, &mut effects);
                for effect in effects {
                    match effect {
                        LinkEffect::Send(frame) => {
                            queue.push_back((1 - at, LinkInput::Frame(Box::new(frame))));
                        }
                        LinkEffect::StoreRegister(_) => {
                            queue.push_back((at, LinkInput::RegisterStored));
                        }
                        LinkEffect::Assigned(assigned) => {
                            self.duties[at] = assigned.iter().map(|(_, one)| one.duty).collect();
                        }
                        LinkEffect::PeerUp { .. } => self.up[at] = true,
                        LinkEffect::PeerDown => self.up[at] = false,
                        LinkEffect::Close(why) => self.closed.push(why),
                        LinkEffect::Shard(..) => {}
                    }
                }
            }
        }

        fn connect(&mut self) {
            self.run([(0, LinkInput::Connected), (1, LinkInput::Connected)]);
        }
    }

    #[test]
    fn two_new_brokers_form_a_cluster_and_both_come_up() {
        let mut pair = Pair::new([None, None], [1, 2]);
        pair.connect();
        assert_eq!(pair.up, [true, true]);
        assert_eq!(pair.ends[0].value(), pair.ends[1].value());
        assert_eq!(pair.duties[0], [Duty::Lead, Duty::Lead, Duty::Follow]);
        assert_eq!(pair.duties[1], [Duty::Follow, Duty::Follow, Duty::Lead]);
    }

    #[test]
    fn a_wiped_broker_is_filled_and_then_leads_again() {
        let mut pair = Pair::new([None, None], [1, 2]);
        pair.connect();
        let value = pair.ends[0].value().cloned();
        let mut pair = Pair::new([value, None], [1, 9]);
        pair.connect();
        assert_eq!(pair.up, [true, true]);
        assert_eq!(pair.duties[0], [Duty::Lead, Duty::Lead, Duty::Give]);
        assert_eq!(pair.duties[1], [Duty::Follow, Duty::Follow, Duty::Take]);
        for shard in 0..3 {
            pair.run([(0, LinkInput::PeerComplete(ShardId(shard)))]);
        }
        assert_eq!(pair.duties[0], [Duty::Lead, Duty::Lead, Duty::Follow]);
        assert_eq!(pair.duties[1], [Duty::Follow, Duty::Follow, Duty::Lead]);
        assert_eq!(pair.ends[0].value(), pair.ends[1].value());
        assert_eq!(pair.ends[0].value().map(|value| value.version), Some(5));
    }

    #[test]
    fn brokers_of_different_clusters_do_not_come_up() {
        let formed = |stores| {
            let mut pair = Pair::new([None, None], stores);
            pair.connect();
            pair.ends[0].value().cloned()
        };
        let mut pair = Pair::new([formed([1, 2]), formed([3, 4])], [1, 4]);
        pair.connect();
        assert_eq!(pair.up, [false, false]);
        assert!(
            pair.closed
                .contains(&CloseReason::Refused(Refusal::OtherCluster))
        );
    }
}
