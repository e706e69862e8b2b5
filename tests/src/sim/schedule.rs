//! What happens when: events in the order of their times, equal times in the order of their making.

use std::collections::BTreeMap;

use relevo_protocol::frame::Frame;

/// Something that is going to happen.
#[derive(Debug)]
pub(super) enum Event {
    /// A shard takes what lies in its mailbox.
    Shard {
        node: usize,
        boot: u64,
        shard: usize,
    },
    /// A shard's log takes the next step: writes what is queued, or syncs what was written.
    Log {
        node: usize,
        boot: u64,
        shard: usize,
    },
    /// The register of a node is durable.
    Register { node: usize, boot: u64 },
    /// A frame arrives; `link` says over which connection.
    Frame {
        to: usize,
        link: u64,
        lane: Lane,
        frame: Box<Frame>,
    },
    /// The two nodes are connected again.
    Connect,
    /// Something breaks.
    Fault,
    /// A node that is down comes back.
    Restart { node: usize },
    /// A client does something.
    Client { client: usize },
    /// Timers of a node are looked at.
    Timers { node: usize, boot: u64 },
    /// Faults stop; from here on everything must heal.
    Heal,
}

/// Which connection of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Replication,
    Client,
}

/// Events by time.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    events: BTreeMap<(u64, u64), Event>,
    made: u64,
}

impl Schedule {
    /// Puts an event at a time, in nanoseconds.
    pub(super) fn at(&mut self, time: u64, event: Event) {
        self.made += 1;
        self.events.insert((time, self.made), event);
    }

    /// Takes the next event.
    pub(super) fn next(&mut self) -> Option<(u64, Event)> {
        self.events
            .pop_first()
            .map(|((time, _), event)| (time, event))
    }
}
