//! How the two brokers find each other.
//!
//! Each pair of connections is dialled by the broker whose name sorts first, so that two brokers that
//! dial at the same moment do not end with two links. Before they have met, neither knows which one it
//! is, and both dial; the second by name then learns from the other's greeting that it is to wait, and
//! has knocked: the first dials at once.
//!
//! ```text
//! first by name                                second by name
//!   connect ── Hello(replication) ──────────────> accept
//!           <────────────── Hello(replication) ──
//!   connect ── Hello(client) ───────────────────> accept
//!           <─────────────────── Hello(client) ──        both lanes carry the same boot on each side
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use relevo_protocol::frame::{Frame, Hello, Lane};
use relevo_protocol::name::MemberName;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::frames::{FrameReader, LaneError};
use crate::config::PeerAddress;
use crate::listen;

/// How long connecting or greeting may take.
const CONTACT_DEADLINE: Duration = Duration::from_secs(2);
/// Connections that may be greeting at a time; more are closed.
const GREETINGS_MAX: usize = 16;
/// Greeted connections that wait for the link's owner.
pub(crate) const GREETED_MAX: usize = 4;
/// Halves of links that wait for their other half; the oldest goes first.
const HALVES_MAX: usize = 4;
/// Longest file that holds an address, in bytes.
const ADDRESS_FILE_LEN_MAX: usize = 512;

/// A connection whose two ends have said Hello.
#[derive(Debug)]
pub(crate) struct Greeted {
    pub(crate) hello: Hello,
    pub(crate) reader: FrameReader,
    pub(crate) writer: OwnedWriteHalf,
}

/// The two connections of a link.
#[derive(Debug)]
pub(crate) struct Lanes {
    pub(crate) replication: Greeted,
    pub(crate) client: Greeted,
}

/// What the port for the other broker has to report.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// Half of a link.
    Half(Box<Greeted>),
    /// The other broker has dialled although this one is to.
    Knock,
}

/// Why there is no contact.
#[derive(Debug)]
pub(crate) enum ContactError {
    /// The file with the address cannot be read.
    AddressFile(PathBuf, io::Error),
    /// The other broker does not answer.
    Connect(String, io::Error),
    /// It took too long.
    Deadline(String),
    /// What it said is no greeting.
    Greeting(LaneError),
    /// It is not to be dialled: it dials this one.
    IsToDial(MemberName),
    /// It was started anew between the two connections.
    Restarted,
}

/// The port for the other broker.
#[derive(Debug)]
pub(crate) struct PeerPort {
    pub(crate) listener: TcpListener,
    pub(crate) member: MemberName,
    /// This broker's greeting, with the register value that is durable.
    pub(crate) hello: watch::Receiver<Hello>,
    pub(crate) arrivals: mpsc::Sender<Arrival>,
    pub(crate) greetings: TaskTracker,
    pub(crate) shutdown: CancellationToken,
}

/// Halves of links, by who sent them.
#[derive(Debug, Default)]
pub(crate) struct Halves {
    waiting: VecDeque<Greeted>,
}

impl PeerPort {
    /// Greets whoever connects, until the broker stops.
    pub(crate) async fn run(self) {
        let places = Arc::new(Semaphore::new(GREETINGS_MAX));
        while let Some((socket, address)) = listen::accept(&self.listener, &self.shutdown).await {
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tracing::warn!(%address, "accept broker: too many connections are greeting");
                continue;
            };
            let hello = self.hello.borrow().clone();
            let member = self.member.clone();
            let arrivals = self.arrivals.clone();
            self.greetings.spawn(async move {
                let _place = place;
                match timeout(CONTACT_DEADLINE, receive(socket, hello, &member)).await {
                    Ok(Ok(arrival)) => {
                        // The owner of the link may be gone with the broker.
                        let _ = arrivals.send(arrival).await;
                    }
                    Ok(Err(error)) => tracing::debug!(%address, "greet broker: {error}"),
                    Err(_) => tracing::debug!(%address, "greet broker: it did not say Hello"),
                }
            });
        }
    }
}

impl Halves {
    /// Adds a half; the link when its other half is there.
    pub(crate) fn add(&mut self, half: Greeted) -> Option<Lanes> {
        self.waiting.retain(|other| {
            other.hello.lane != half.hello.lane || other.hello.boot != half.hello.boot
        });
        let other = self.waiting.iter().position(|other| {
            other.hello.boot == half.hello.boot && other.hello.member == half.hello.member
        });
        match other.and_then(|index| self.waiting.remove(index)) {
            Some(other) => Some(match half.hello.lane {
                Lane::Replication => Lanes {
                    replication: half,
                    client: other,
                },
                Lane::Client => Lanes {
                    replication: other,
                    client: half,
                },
            }),
            None => {
                if self.waiting.len() >= HALVES_MAX {
                    self.waiting.pop_front();
                }
                self.waiting.push_back(half);
                None
            }
        }
    }
}

/// Dials both lanes.
pub(crate) async fn dial(address: &PeerAddress, hello: &Hello) -> Result<Lanes, ContactError> {
    let address = look_up(address).await?;
    let replication = greet(&address, with_lane(hello, Lane::Replication)).await?;
    if replication.hello.member < hello.member {
        return Err(ContactError::IsToDial(replication.hello.member));
    }
    let client = greet(&address, with_lane(hello, Lane::Client)).await?;
    if client.hello.boot != replication.hello.boot {
        return Err(ContactError::Restarted);
    }
    Ok(Lanes {
        replication,
        client,
    })
}

async fn look_up(address: &PeerAddress) -> Result<String, ContactError> {
    match address {
        PeerAddress::Fixed(address) => Ok(address.clone()),
        PeerAddress::File(path) => {
            let read = tokio::fs::read_to_string(path).await;
            let text = read.map_err(|error| ContactError::AddressFile(path.clone(), error))?;
            let end = text.floor_char_boundary(ADDRESS_FILE_LEN_MAX);
            Ok(text.get(..end).unwrap_or_default().trim().to_owned())
        }
    }
}

async fn greet(address: &str, hello: Hello) -> Result<Greeted, ContactError> {
    let contact = async {
        let socket = TcpStream::connect(address)
            .await
            .map_err(|error| ContactError::Connect(address.to_owned(), error))?;
        let lane = hello.lane;
        let (mut reader, mut writer) = split(socket);
        say(&mut writer, hello).await?;
        let hello = hear(&mut reader).await?;
        if hello.lane != lane {
            return Err(ContactError::Greeting(LaneError::OutOfPlace));
        }
        Ok(Greeted {
            hello,
            reader,
            writer,
        })
    };
    match timeout(CONTACT_DEADLINE, contact).await {
        Ok(greeted) => greeted,
        Err(_) => Err(ContactError::Deadline(address.to_owned())),
    }
}

async fn receive(
    socket: TcpStream,
    hello: Hello,
    member: &MemberName,
) -> Result<Arrival, ContactError> {
    let (mut reader, mut writer) = split(socket);
    let theirs = hear(&mut reader).await?;
    say(&mut writer, with_lane(&hello, theirs.lane)).await?;
    if theirs.member > *member {
        return Ok(Arrival::Knock);
    }
    Ok(Arrival::Half(Box::new(Greeted {
        hello: theirs,
        reader,
        writer,
    })))
}

fn split(socket: TcpStream) -> (FrameReader, OwnedWriteHalf) {
    // Lanes collect frames themselves: waiting for more would only add delay.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!("set TCP_NODELAY on link: {error}");
    }
    let (reader, writer) = socket.into_split();
    (FrameReader::new(reader), writer)
}

async fn say(writer: &mut OwnedWriteHalf, hello: Hello) -> Result<(), ContactError> {
    let mut bytes = Vec::new();
    Frame::Hello(hello).encode(&mut bytes);
    writer
        .write_all(&bytes)
        .await
        .map_err(|error| ContactError::Greeting(LaneError::Io(error)))
}

async fn hear(reader: &mut FrameReader) -> Result<Hello, ContactError> {
    match reader.next().await.map_err(ContactError::Greeting)? {
        Frame::Hello(hello) => {
            reader.set_greeted();
            Ok(hello)
        }
        Frame::Heartbeat
        | Frame::Register(_)
        | Frame::Shard { .. }
        | Frame::Interest { .. }
        | Frame::InterestComplete
        | Frame::Routed(_)
        | Frame::Work { .. } => Err(ContactError::Greeting(LaneError::OutOfPlace)),
    }
}

fn with_lane(hello: &Hello, lane: Lane) -> Hello {
    Hello {
        lane,
        ..hello.clone()
    }
}

impl fmt::Display for ContactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressFile(path, error) => {
                write!(
                    f,
                    "read the other broker's address from {}: {error}",
                    path.display()
                )
            }
            Self::Connect(address, error) => write!(f, "connect to {address}: {error}"),
            Self::Deadline(address) => {
                write!(
                    f,
                    "connect to {address}: no answer within {CONTACT_DEADLINE:?}"
                )
            }
            Self::Greeting(error) => write!(f, "greet the other broker: {error}"),
            Self::IsToDial(member) => write!(f, "broker {member} is the one that connects"),
            Self::Restarted => f.write_str("the other broker was restarted meanwhile"),
        }
    }
}

impl std::error::Error for ContactError {}
