//! What the server sends, to whom it is for.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use relevo_protocol::error::ParseError;
use relevo_protocol::info::ServerInfo;
use relevo_protocol::limits::Limits;
use relevo_protocol::op::ServerOp;
use relevo_protocol::parse::{Parsed, parse_server};
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tracing::debug;

use super::Loss;
use super::servers::Servers;
use crate::client::{ANSWERS_SID, Shared};
use crate::feed::Feed;
use crate::message::{Message, Parts, unshare};
use crate::status::Event;

/// How much is read at once, in bytes.
const READ_LEN: usize = 64 * 1024;

/// A run of messages that is a smaller part of what was read than one in this many is copied out of it: so what waits
/// for a slow subscriber keeps at most this many times its own bytes alive.
const SHARED_PART_MIN: usize = 4;

/// Reads one connection.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    shared: &'a Shared,
    servers: &'a mut Servers,
    server: &'a Arc<str>,
    socket: OwnedReadHalf,
    unread: BytesMut,
    run: Run,
}

/// Messages for one subscription, one behind the other.
#[derive(Debug, Default)]
struct Run {
    sid: u64,
    messages: Vec<Message>,
    bytes: usize,
    /// The feed of `sid`, when it was looked up.
    feed: Option<Arc<Feed>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        servers: &'a mut Servers,
        server: &'a Arc<str>,
        socket: OwnedReadHalf,
        unread: BytesMut,
    ) -> Self {
        Self {
            shared,
            servers,
            server,
            socket,
            unread,
            run: Run::default(),
        }
    }

    /// Reads until the connection ends.
    pub(super) async fn run(&mut self) -> Loss {
        loop {
            let need = match self.deliver() {
                Ok(need) => need,
                Err(loss) => return loss,
            };
            let have = self.unread.len();
            while self.unread.len() < have + need {
                let room = self.unread.capacity() - self.unread.len();
                if room < READ_LEN / 2 {
                    self.unread.reserve(READ_LEN.max(need));
                }
                match self.socket.read_buf(&mut self.unread).await {
                    Ok(0) => return Loss::HungUp,
                    Ok(_) => self.shared.heard(),
                    Err(error) => return Loss::Io(error),
                }
            }
        }
    }

    /// Delivers every whole operation that was read. Gives how many more bytes the next one needs, 1 or more.
    fn deliver(&mut self) -> Result<usize, Loss> {
        if self.unread.is_empty() {
            return Ok(1);
        }
        let limits = Limits::of_client();
        let chunk = self.unread.split().freeze();
        let mut at = 0;
        let need = loop {
            let rest = chunk.get(at..).unwrap_or_default();
            match parse_server(rest, &limits) {
                Ok(Parsed::Op { op, consumed }) => {
                    self.op(&chunk, at, consumed, op)?;
                    at += consumed;
                }
                Ok(Parsed::Incomplete { need }) => break need,
                Err(error) => {
                    self.flush_run();
                    return Err(Loss::Protocol(error));
                }
            }
        };
        self.flush_run();
        self.run.feed = None;
        self.unread
            .extend_from_slice(chunk.get(at..).unwrap_or_default());
        Ok(need)
    }

    #[inline]
    fn op(
        &mut self,
        chunk: &Bytes,
        at: usize,
        consumed: usize,
        op: ServerOp<'_>,
    ) -> Result<(), Loss> {
        match op {
            ServerOp::Msg {
                subject,
                sid,
                reply,
                headers,
                payload,
            } => {
                let sid = number(sid).ok_or(Loss::Protocol(ParseError::BadMsg))?;
                let parts = Parts {
                    subject,
                    reply,
                    headers,
                    payload,
                };
                match Message::new(chunk, at..at + consumed, parts) {
                    Some(message) => self.message(sid, message),
                    None => debug!(sid, "a message whose subject is not UTF-8 was left out"),
                }
            }
            ServerOp::Ping => self.shared.outgoing.pong(),
            ServerOp::Pong => {
                // Who flushes wants to have what came before.
                self.flush_run();
                self.shared.outgoing.ponged();
            }
            ServerOp::Info(json) => self.info(json),
            ServerOp::Ok | ServerOp::Answer(_) => {}
            ServerOp::Err(text) => return self.error(text),
        }
        Ok(())
    }

    #[inline]
    fn message(&mut self, sid: u64, message: Message) {
        if self.run.sid != sid {
            self.flush_run();
            self.run.sid = sid;
            self.run.feed = None;
        }
        self.run.bytes += message.frame_len();
        self.run.messages.push(message);
    }

    fn flush_run(&mut self) {
        let Run {
            sid,
            messages,
            bytes,
            feed,
        } = &mut self.run;
        if messages.is_empty() {
            return;
        }
        if std::mem::take(bytes) * SHARED_PART_MIN < READ_LEN {
            unshare(messages);
        }
        if *sid == ANSWERS_SID {
            self.shared.pending.answer(messages);
            return;
        }
        if feed.is_none() {
            *feed = self.shared.feed(*sid);
        }
        let Some(feed) = feed else {
            // It was unsubscribed a moment ago.
            messages.clear();
            return;
        };
        let pushed = feed.push(messages);
        if pushed.dropped > 0 {
            self.shared.tell(Event::Lagged {
                subscription: *sid,
                dropped: pushed.dropped,
            });
        }
        if pushed.complete {
            self.shared.forget(*sid);
        }
    }

    fn info(&mut self, json: &[u8]) {
        let info = match ServerInfo::parse(json) {
            Ok(info) => info,
            Err(error) => {
                debug!(%error, "an INFO that can not be read was left out");
                return;
            }
        };
        self.servers.learn(&info);
        if info.ldm {
            self.shared.tell(Event::LameDuck {
                server: Arc::clone(self.server),
            });
        }
        self.shared.set_info(info);
        self.shared.outgoing.relimit(self.shared.server_limits());
    }

    /// Permission errors leave the connection as it is; behind all others the server closes it.
    fn error(&mut self, text: &str) -> Result<(), Loss> {
        let lower = text.to_ascii_lowercase();
        let stays = lower.starts_with("permissions violation") || lower.starts_with("invalid");
        if !stays {
            return Err(Loss::Refused(text.to_owned()));
        }
        debug!(text, "the server refused a command");
        self.shared.tell(Event::ServerError {
            text: text.to_owned(),
        });
        Ok(())
    }
}

/// The number of a sid, which is one that we gave.
#[inline]
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        let number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
        (digit <= 9).then_some(number)
    })
}
