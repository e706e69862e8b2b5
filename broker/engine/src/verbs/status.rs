//! STATUS: what the server knows about itself, as lines for a person.

use std::time::Duration;

use relevo_protocol::identity::{Position, ShardId};
use relevo_protocol::name::MemberName;
use relevo_protocol::time::format_duration;

/// What the server fills in for STATUS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerStatus {
    /// This broker's name.
    pub name: MemberName,
    /// How long it has been up.
    pub uptime: Duration,
    /// How many clients are connected to it.
    pub connections: u64,
    /// The other broker.
    pub peer: PeerStatus,
    /// Each shard, in order.
    pub shards: Vec<ShardStatus>,
}

/// The other broker as this one sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerStatus {
    /// There is none: one broker alone.
    None,
    /// It can not be reached; what would write is refused.
    Away(Option<MemberName>),
    /// It is there, and lacks records of some shard.
    CatchingUp(MemberName),
    /// It is there and has everything.
    InSync(MemberName),
}

/// One shard as this broker sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardStatus {
    /// Which.
    pub shard: ShardId,
    /// Who leads it; `None` when nobody does.
    pub leader: Option<MemberName>,
    /// Whether both logs are equal, so that it takes writes.
    pub in_sync: bool,
    /// The last position of this broker's log.
    pub position: Position,
}

impl BrokerStatus {
    /// The answer's lines, without line ends.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let uptime = format_duration(Duration::from_secs(self.uptime.as_secs()));
        let mut lines = vec![
            format!(
                "broker {} up {uptime} connections {}",
                self.name, self.connections
            ),
            match &self.peer {
                PeerStatus::None => "peer none".to_owned(),
                PeerStatus::Away(None) => "peer away".to_owned(),
                PeerStatus::Away(Some(name)) => format!("peer {name} away"),
                PeerStatus::CatchingUp(name) => format!("peer {name} catching up"),
                PeerStatus::InSync(name) => format!("peer {name} in sync"),
            },
        ];
        lines.extend(self.shards.iter().map(|status| {
            let leader = status.leader.as_ref().map_or("nobody", MemberName::as_str);
            let state = if status.in_sync {
                "in sync"
            } else {
                "not in sync"
            };
            format!(
                "shard {} leader {leader} {state} position {}",
                status.shard, status.position
            )
        }));
        lines
    }
}
