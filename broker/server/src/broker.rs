//! A whole broker: opens its store, starts its tasks and threads, and ends them in order.
//!
//! ```text
//! start     store -> shards opened -> ports bound -> log threads -> shard tasks -> link -> monitor, clients
//! shutdown  clients -> link -> shard tasks -> log threads (everything queued is written) -> monitor
//! ```

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use relevo_engine::link::LinkEnd;
use relevo_engine::route::DirectoryView;
use relevo_engine::shard::{EngineConfig, SNAPSHOT_EVERY_BYTES};
use relevo_protocol::frame::Lane;
use relevo_protocol::identity::{ShardId, StoreId};
use relevo_protocol::name::MemberName;
use relevo_quorum::{Member, Members, Value};
use relevo_store::error::StoreError;
use relevo_store::log::{LogIdentity, LogOptions};
use relevo_store::real_disk::RealDisk;
use relevo_store::seal::Keyring;
use relevo_store::store_meta::StoreMeta;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::board::Board;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Listen, PeerAddress};
use crate::counters::Counters;
use crate::fatal;
use crate::info::Identity;
use crate::listen::{self, ClientPort};
use crate::monitor::{self, Monitor};
use crate::peer::contact::{GREETED_MAX, PeerPort};
use crate::peer::lane::LaneQueue;
use crate::peer::link::{ContactState, LinkOwner};
use crate::random;
use crate::register::{Register, RegisterError};
use crate::router::Router;
use crate::router::publisher::{Exchange, Publisher};
use crate::shard::log::start_thread;
use crate::shard::open::{OpenedShard, ShardError, open_shard};
use crate::shard::{COMPLETIONS_MAX, ShardTask};
use crate::shards::{Event, Inboxes, Shards, mailbox};

/// A running broker. Dropping it does not stop it: call [`Broker::shutdown`].
#[derive(Debug)]
pub struct Broker {
    addresses: Addresses,
    exchange: Arc<Exchange>,
    clients: Group,
    link: Group,
    shards: Group,
    log_threads: Vec<thread::JoinHandle<()>>,
    monitor: Group,
}

/// Where a broker listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// For clients.
    pub nats: SocketAddr,
    /// For the other broker.
    pub peer: Option<SocketAddr>,
    /// For `/healthz` and `/varz`.
    pub monitor: Option<SocketAddr>,
}

/// Why a broker cannot start. Nothing on disk is changed.
#[derive(Debug)]
pub enum StartError {
    /// The configuration.
    Config(ConfigError),
    /// A socket cannot be opened.
    Bind {
        /// What for.
        port: &'static str,
        /// Where.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The store directory.
    Store(StoreError),
    /// The register in it.
    Register(RegisterError),
    /// A shard in it.
    Shard(ShardId, ShardError),
    /// The store belongs to a pair and no other broker was given.
    PeerNeeded,
    /// The store belongs to a single broker and another broker was given.
    PeerNotKnown,
    /// The store belongs to a broker of another name.
    OtherName {
        /// The names that the store knows.
        known: String,
    },
    /// A thread cannot be started.
    Thread(io::Error),
}

/// Tasks that are stopped and waited for together.
#[derive(Debug, Default)]
struct Group {
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// The store as it was opened.
#[derive(Debug)]
struct Store {
    id: StoreId,
    register: Register,
    value: Option<Value>,
    shards: Vec<OpenedShard>,
}

impl Broker {
    /// Opens the store and the ports and starts to serve. A shard takes writes as soon as the other
    /// broker is there and has everything; [`Self::ready`] waits for that.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: Config) -> Result<Self, StartError> {
        config.check().map_err(StartError::Config)?;
        let Config {
            name,
            nats,
            peer,
            monitor,
            store,
            keyring,
            no_seal: _,
            limits,
            data_shards,
        } = config;
        let alone = peer.is_none();
        let opening = Opening {
            name: name.clone(),
            alone,
            keyring,
            data_shards,
        };
        let opened = tokio::task::spawn_blocking(move || opening.open(store));
        let Store {
            id,
            register,
            value,
            shards,
        } = match opened.await {
            Ok(opened) => opened?,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };

        let nats_listener = bind("clients", nats).await?;
        let (peer_listener, peer_address) = match peer {
            Some(peer) => (
                Some(bind("the other broker", peer.listen).await?),
                Some(peer.address),
            ),
            None => (None, None),
        };
        let monitor_listener = match monitor {
            Some(listen) => Some(bind("the monitor", listen).await?),
            None => None,
        };
        let addresses = Addresses {
            nats: local_address("clients", &nats_listener)?,
            peer: peer_listener
                .as_ref()
                .map(|listener| local_address("the other broker", listener))
                .transpose()?,
            monitor: monitor_listener
                .as_ref()
                .map(|listener| local_address("the monitor", listener))
                .transpose()?,
        };

        let clock = Clock::new();
        let (mailboxes, inboxes): (Vec<_>, Vec<_>) = shards.iter().map(|_| mailbox()).unzip();
        let exchange = Arc::new(Exchange {
            router: Router::new(random::seed(), DirectoryView::new(random::seed())),
            shards: Shards::new(mailboxes),
            client_lane: LaneQueue::default(),
            counters: Counters::default(),
            board: Board::new(name.clone(), clock, !alone, shards.len()),
        });
        let data_shards = shards.len().saturating_sub(1);
        let end = LinkEnd::new(name.clone(), id, random::seed(), data_shards, value);
        let mut broker = Self {
            addresses,
            exchange,
            clients: Group::default(),
            link: Group::default(),
            shards: Group::default(),
            log_threads: Vec::new(),
            monitor: Group::default(),
        };
        let replication_lane = Arc::new(LaneQueue::default());
        let (completed, completions) = mpsc::channel(COMPLETIONS_MAX);
        for (opened, inboxes) in shards.into_iter().zip(inboxes) {
            broker.start_shard(opened, inboxes, clock, &replication_lane, &completed)?;
        }
        for (shard, assignment) in end.assignments() {
            broker.exchange.shards.assign(shard, assignment);
            if let Some(mailbox) = broker.exchange.shards.mailbox(shard) {
                // The shard's task was just started.
                let _ = mailbox.events.send(Event::Assigned(assignment)).await;
            }
        }
        if let (Some(listener), Some(address)) = (peer_listener, peer_address) {
            broker.start_link(
                listener,
                address,
                end,
                register,
                replication_lane,
                completions,
            );
        }
        let identity = Arc::new(Identity {
            server_id: random::name(),
            nats: addresses.nats,
            max_payload_bytes: limits.max_payload_bytes,
        });
        if let Some(listener) = monitor_listener {
            let monitor = Monitor {
                exchange: Arc::clone(&broker.exchange),
                identity: Arc::clone(&identity),
            };
            let stop = broker.monitor.stop.clone();
            broker
                .monitor
                .tasks
                .spawn(monitor::run(listener, monitor, stop));
        }
        let port = ClientPort {
            listener: nats_listener,
            exchange: Arc::clone(&broker.exchange),
            info: identity.info(&name),
            limits,
            connections: broker.clients.tasks.clone(),
            shutdown: broker.clients.stop.clone(),
        };
        broker.clients.tasks.spawn(port.run());
        tracing::info!(
            broker = %name, nats = %addresses.nats, peer = ?addresses.peer,
            monitor = ?addresses.monitor, "broker serves"
        );
        Ok(broker)
    }

    /// Where it listens, with the ports that the system chose.
    #[must_use]
    pub const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Resolves when every shard takes writes, here or at the other broker.
    pub async fn ready(&self) {
        self.exchange.board.ready().await;
    }

    /// Stops serving, in order, and waits until everything that was accepted is written. Clients that
    /// do not read hold it up for no longer than the write deadline.
    pub async fn shutdown(self) {
        self.clients.end().await;
        self.link.end().await;
        self.shards.end().await;
        let threads = self.log_threads;
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                // A log thread that panicked has ended the process.
                let _ = thread.join();
            }
        });
        if joined.await.is_err() {
            tracing::error!("wait for log threads: the runtime is being stopped");
        }
        self.monitor.end().await;
        tracing::info!(broker = %self.exchange.board.name(), "broker stopped");
    }

    fn start_shard(
        &mut self,
        opened: OpenedShard,
        inboxes: Inboxes,
        clock: Clock,
        replication_lane: &Arc<LaneQueue>,
        completed: &mpsc::Sender<ShardId>,
    ) -> Result<(), StartError> {
        let OpenedShard { shard, log, engine } = opened;
        let (log, thread) =
            start_thread(shard, log, Arc::clone(&self.exchange)).map_err(StartError::Thread)?;
        self.log_threads.push(thread);
        let task = ShardTask {
            shard,
            engine,
            clock,
            inboxes,
            log,
            publisher: Publisher::new(Arc::clone(&self.exchange), random::seed()),
            replication_lane: Arc::clone(replication_lane),
            completions: completed.clone(),
            stop: self.shards.stop.clone(),
            link: None,
            held_event: None,
        };
        self.shards
            .tasks
            .spawn(fatal::guarded("shard task", task.run()));
        Ok(())
    }

    fn start_link(
        &self,
        listener: TcpListener,
        address: PeerAddress,
        end: LinkEnd,
        register: Register,
        replication_lane: Arc<LaneQueue>,
        completions: mpsc::Receiver<ShardId>,
    ) {
        let member = self.exchange.board.name().clone();
        let (hello, known_hello) = watch::channel(end.hello(Lane::Replication));
        let (arrived, arrivals) = mpsc::channel(GREETED_MAX);
        let port = PeerPort {
            listener,
            member: member.clone(),
            hello: known_hello,
            arrivals: arrived,
            greetings: self.link.tasks.clone(),
            shutdown: self.link.stop.clone(),
        };
        self.link.tasks.spawn(port.run());
        let owner = LinkOwner {
            member,
            end,
            register,
            address,
            exchange: Arc::clone(&self.exchange),
            replication_lane,
            hello,
            arrivals,
            completions,
            stop: self.link.stop.clone(),
            contact: ContactState::default(),
        };
        self.link
            .tasks
            .spawn(fatal::guarded("link task", owner.run()));
    }
}

impl Group {
    async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// What is needed to open a store.
struct Opening {
    name: MemberName,
    alone: bool,
    keyring: Option<Keyring>,
    data_shards: u16,
}

impl Opening {
    /// Reads the whole store; waits for the disk.
    fn open(self, root: std::path::PathBuf) -> Result<Store, StartError> {
        let disk = Arc::new(RealDisk::new(root).map_err(StartError::Store)?);
        let keyring = self.keyring.as_ref();
        let meta = StoreMeta::open_or_create(Arc::clone(&disk), keyring, random::bytes())
            .map_err(StartError::Store)?;
        let (mut register, value) =
            Register::open(Arc::clone(&disk), keyring).map_err(StartError::Register)?;
        let id = StoreId(meta.store_id);
        let value = match value {
            Some(value) => Some(self.check(value)?),
            None if self.alone => Some(self.form_alone(id, &mut register)?),
            None => None,
        };
        let data_shards = value.as_ref().map_or(self.data_shards, |value| {
            u16::try_from(value.shards.len().saturating_sub(1)).unwrap_or(u16::MAX)
        });
        let keys = self.keyring.map(Arc::new);
        let shards = (0..=data_shards)
            .map(|shard| {
                let config = EngineConfig {
                    shard: ShardId(shard),
                    member: self.name.clone(),
                    data_shards,
                    snapshot_every_bytes: SNAPSHOT_EVERY_BYTES,
                };
                // Files belong to the store that wrote them; the cluster may not be formed so far.
                let identity = LogIdentity {
                    cluster: id.0,
                    shard: u32::from(shard),
                };
                let options = LogOptions {
                    seal: keys.clone(),
                    ..LogOptions::new(identity)
                };
                open_shard(Arc::clone(&disk), options, config)
                    .map_err(|error| StartError::Shard(ShardId(shard), error))
            })
            .collect::<Result<_, _>>()?;
        Ok(Store {
            id,
            register,
            value,
            shards,
        })
    }

    /// Whether the store's cluster is the one that was configured.
    fn check(&self, value: Value) -> Result<Value, StartError> {
        match (&value.members, self.alone) {
            (Members::Two(_), true) => return Err(StartError::PeerNeeded),
            (Members::One(_), false) => return Err(StartError::PeerNotKnown),
            (Members::One(_), true) | (Members::Two(_), false) => {}
        }
        if value.members.index_of(self.name.as_str()).is_none() {
            let names: Vec<&str> = value
                .members
                .as_slice()
                .iter()
                .map(|member| member.name.as_str())
                .collect();
            return Err(StartError::OtherName {
                known: names.join(", "),
            });
        }
        Ok(value)
    }

    fn form_alone(&self, id: StoreId, register: &mut Register) -> Result<Value, StartError> {
        let member = Member {
            name: self.name.as_str().to_owned(),
            store: id.0,
        };
        let value = Value::first(id.0, Members::One(member), usize::from(self.data_shards));
        register
            .store_now(&value.encode())
            .map_err(|error| StartError::Register(RegisterError::Store(error)))?;
        Ok(value)
    }
}

async fn bind(port: &'static str, listen: Listen) -> Result<TcpListener, StartError> {
    let address = listen.to_string();
    listen::bind(listen)
        .await
        .map_err(|source| StartError::Bind {
            port,
            address,
            source,
        })
}

fn local_address(port: &'static str, listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|source| StartError::Bind {
        port,
        address: "a socket that listens".to_owned(),
        source,
    })
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Bind { port, address, source } => {
                write!(f, "listen for {port} at {address}: {source}")
            }
            Self::Store(error) => error.fmt(f),
            Self::Register(error) => write!(f, "open the register: {error}"),
            Self::Shard(shard, error) => write!(f, "open shard {shard}: {error}"),
            Self::PeerNeeded => f.write_str(
                "this store belongs to a pair; give --peer and --peer-listen, or another --store",
            ),
            Self::PeerNotKnown => f.write_str(
                "this store belongs to a single broker; leave --peer and --peer-listen out, or give another --store",
            ),
            Self::OtherName { known } => write!(
                f,
                "this store belongs to a broker of another name; give --name {known}, or another --store"
            ),
            Self::Thread(error) => write!(f, "start a log thread: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Bind { source, .. } | Self::Thread(source) => Some(source),
            Self::Store(error) => Some(error),
            Self::Register(error) => Some(error),
            Self::Shard(_, error) => Some(error),
            Self::PeerNeeded | Self::PeerNotKnown | Self::OtherName { .. } => None,
        }
    }
}
