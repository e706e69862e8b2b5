//! What the broker shows of itself: to STATUS, `/healthz` and `/varz`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use relevo_engine::input::Duty;
use relevo_engine::shard::ShardStatus;
use relevo_engine::verbs::{self, BrokerStatus, PeerStatus};
use relevo_protocol::name::MemberName;
use tokio::sync::Notify;

use crate::clock::Clock;

/// What the tasks last said about themselves.
#[derive(Debug)]
pub(crate) struct Board {
    name: MemberName,
    clock: Clock,
    has_peer: bool,
    shards: Vec<Mutex<Option<ShardStatus>>>,
    link: Mutex<LinkStatus>,
    /// What readiness depends on has changed.
    changed: Notify,
}

/// The link as its owner last saw it.
#[derive(Clone, Debug, Default)]
pub(crate) struct LinkStatus {
    /// The other broker, once it is known.
    pub(crate) peer: Option<MemberName>,
    /// Both lanes carry frames.
    pub(crate) is_up: bool,
    /// Why there is no link.
    pub(crate) trouble: Option<String>,
}

impl Board {
    pub(crate) fn new(name: MemberName, clock: Clock, has_peer: bool, shards_count: usize) -> Self {
        Self {
            name,
            clock,
            has_peer,
            shards: (0..shards_count).map(|_| Mutex::new(None)).collect(),
            link: Mutex::new(LinkStatus::default()),
            changed: Notify::new(),
        }
    }

    /// This broker's name.
    pub(crate) const fn name(&self) -> &MemberName {
        &self.name
    }

    /// The clocks.
    pub(crate) const fn clock(&self) -> Clock {
        self.clock
    }

    /// A shard tells how it stands.
    pub(crate) fn set_shard(&self, status: ShardStatus) {
        let Some(slot) = self.shards.get(usize::from(status.shard.0)) else {
            return;
        };
        let stands = |status: &ShardStatus| (status.duty, status.writable, status.halted);
        let now = stands(&status);
        let before = lock(slot).replace(status);
        if before.as_ref().map(stands) != Some(now) {
            self.changed.notify_waiters();
        }
    }

    /// The link's owner tells how it stands.
    pub(crate) fn set_link(&self, change: impl FnOnce(&mut LinkStatus)) {
        change(&mut lock(&self.link));
        self.changed.notify_waiters();
    }

    /// Resolves when there are no [`Self::troubles`].
    pub(crate) async fn ready(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.troubles().is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// The shards that have told, in order.
    pub(crate) fn shards(&self) -> Vec<ShardStatus> {
        self.shards
            .iter()
            .filter_map(|slot| lock(slot).clone())
            .collect()
    }

    /// The link; nothing for a single broker.
    pub(crate) fn link(&self) -> Option<LinkStatus> {
        self.has_peer.then(|| lock(&self.link).clone())
    }

    /// Why the broker is not ready to take writes for every shard; empty when it is.
    pub(crate) fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        if let Some(link) = self.link()
            && !link.is_up
        {
            let why = link.trouble.unwrap_or_else(|| "not tried yet".to_owned());
            troubles.push(format!("no link to the other broker: {why}"));
        }
        let told = self.shards();
        if told.len() < self.shards.len() {
            troubles.push("shards are being opened".to_owned());
        }
        troubles.extend(told.iter().filter_map(shard_trouble));
        troubles
    }

    /// For STATUS.
    pub(crate) fn status(&self, connections: u64) -> BrokerStatus {
        let link = self.link();
        let told = self.shards();
        let all_in_sync = told.iter().all(is_in_sync);
        let peer = match &link {
            None => PeerStatus::None,
            Some(LinkStatus {
                is_up: true,
                peer: Some(name),
                ..
            }) if all_in_sync => PeerStatus::InSync(name.clone()),
            Some(LinkStatus {
                is_up: true,
                peer: Some(name),
                ..
            }) => PeerStatus::CatchingUp(name.clone()),
            Some(link) => PeerStatus::Away(link.peer.clone()),
        };
        let peer_name = link.and_then(|link| link.peer);
        let shards = told
            .iter()
            .map(|status| verbs::ShardStatus {
                shard: status.shard,
                leader: match status.duty {
                    Some(Duty::LeadAlone | Duty::Lead | Duty::Take) => Some(self.name.clone()),
                    Some(Duty::Follow | Duty::Give) => peer_name.clone(),
                    None => None,
                },
                in_sync: is_in_sync(status),
                position: status.end,
            })
            .collect();
        BrokerStatus {
            name: self.name.clone(),
            uptime: self.clock.uptime(),
            connections,
            peer,
            shards,
        }
    }
}

/// Whether both copies hold everything, as far as this side knows.
fn is_in_sync(status: &ShardStatus) -> bool {
    match status.duty {
        Some(Duty::LeadAlone | Duty::Lead) => status.writable,
        Some(Duty::Follow) => status.halted.is_none() && status.committed == status.end,
        Some(Duty::Give | Duty::Take) | None => false,
    }
}

fn shard_trouble(status: &ShardStatus) -> Option<String> {
    let shard = status.shard;
    if let Some(why) = status.halted {
        return Some(format!(
            "shard {shard} is stopped: its two copies contradict each other ({why:?})"
        ));
    }
    match status.duty {
        None => Some(format!("shard {shard} waits for the brokers to meet")),
        Some(Duty::LeadAlone | Duty::Lead) if !status.writable => {
            Some(format!("shard {shard} takes no writes"))
        }
        Some(Duty::Give) => Some(format!("shard {shard} is being copied to the other broker")),
        Some(Duty::Take) => Some(format!(
            "shard {shard} is being copied from the other broker"
        )),
        Some(Duty::LeadAlone | Duty::Lead | Duty::Follow) => None,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
