//! What waits to be sent to a client: a bounded buffer that everybody appends whole frames to.
//!
//! Whoever appends the first frame after a flush owes the next one, and pays it at the end of its
//! read burst: many frames, one system call. What the socket does not take at once is left to the
//! connection's writer task. Bytes leave in the order in which they were appended, because only one
//! flush at a time writes.
//!
//! ```text
//! publisher: push, push, push … flush ── the socket took all ──> idle
//!                                 └── it did not ──> leftover ──> writer task, until all is out
//! over the bound, or nothing taken within the deadline ──> slow consumer: cut off, counted
//! ```

use std::io;
use std::mem;
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use relevo_protocol::encode;

/// How many times one flush writes what others appended meanwhile, before it leaves the rest to the
/// writer task.
const FLUSH_PASSES_MAX: usize = 2;
/// A client is behind when this part of its bound is full.
const BEHIND_SHARE: usize = 8;
/// Emptied buffers above this many bytes are given back to the allocator.
const KEPT_CAPACITY_MAX: usize = 256 * 1024;

/// The bounded buffer in front of one client's socket.
#[derive(Debug)]
pub(crate) struct Outbound {
    state: Mutex<State>,
    /// The writer task has something to do.
    work: Notify,
    /// What somebody waits for is out.
    drained: Notify,
    /// No longer behind: publishers that held back may go on.
    relief: Notify,
    /// Cancelled when the client was cut off or the socket broke: the read task ends then.
    closed: CancellationToken,
    max_pending_bytes: usize,
    write_deadline: Duration,
}

#[derive(Debug)]
struct State {
    /// Until the connection is closed; others may hold this `Outbound` for longer.
    socket: Option<Arc<TcpStream>>,
    /// Whole frames that nobody writes yet.
    pending: Vec<u8>,
    /// An empty buffer for reuse.
    spare: Vec<u8>,
    /// Bytes that the one writing flush has taken out of `pending`.
    in_write_bytes: usize,
    /// Someone writes, or `leftover` waits for the writer task.
    writing: bool,
    leftover: Option<Leftover>,
    /// Someone owes a flush.
    owed: bool,
    /// Bytes taken out of `pending` and handed to the socket, since the connection began.
    written_total: u64,
    /// Someone waits until so many have been.
    awaited_total: Option<u64>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Frames are taken.
    Open,
    /// No more frames are taken; what is there goes out, then the socket is closed.
    Ending,
    /// The socket is closed.
    Closed,
}

/// What the socket did not take.
#[derive(Debug)]
struct Leftover {
    bytes: Vec<u8>,
    written: usize,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It is in the buffer, and somebody else owes a flush.
    Queued,
    /// It is in the buffer, and the caller owes a flush.
    FlushOwed,
    /// The connection takes no more.
    Refused,
    /// The connection was over its bound and is being cut off, because of this frame.
    CutOff,
}

/// Why the writer task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriterEnd {
    /// All was sent, or the socket broke.
    Finished,
    /// The client took nothing within the deadline.
    DeadlineMissed,
}

impl Outbound {
    pub(crate) fn new(
        socket: Arc<TcpStream>,
        max_pending_bytes: usize,
        write_deadline: Duration,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                socket: Some(socket),
                pending: Vec::new(),
                spare: Vec::new(),
                in_write_bytes: 0,
                writing: false,
                leftover: None,
                owed: false,
                written_total: 0,
                awaited_total: None,
                phase: Phase::Open,
            }),
            work: Notify::new(),
            drained: Notify::new(),
            relief: Notify::new(),
            closed: CancellationToken::new(),
            max_pending_bytes,
            write_deadline,
        }
    }

    /// Appends a frame of about `len` bytes, which `write` writes.
    pub(crate) fn push(&self, len: usize, write: impl FnOnce(&mut Vec<u8>)) -> Pushed {
        let mut state = self.state();
        if state.phase != Phase::Open {
            return Pushed::Refused;
        }
        if state.pending_bytes().saturating_add(len) > self.max_pending_bytes {
            state.cut_off();
            drop(state);
            self.closed.cancel();
            self.work.notify_one();
            self.relief.notify_waiters();
            return Pushed::CutOff;
        }
        write(&mut state.pending);
        if mem::replace(&mut state.owed, true) {
            Pushed::Queued
        } else {
            Pushed::FlushOwed
        }
    }

    /// Writes as much as the socket takes now and leaves the rest to the writer task.
    pub(crate) fn flush(&self) {
        let Some((socket, mut bytes)) = self.state().begin_write() else {
            return;
        };
        for _ in 0..FLUSH_PASSES_MAX {
            let mut written = 0;
            match write_now(&socket, &bytes, &mut written) {
                Ok(()) if written == bytes.len() => {}
                Ok(()) => return self.leave(Leftover { bytes, written }),
                Err(_) => return self.abandon(),
            }
            match self.batch_done(bytes) {
                Some(next) => bytes = next,
                None => return,
            }
        }
        self.leave(Leftover { bytes, written: 0 });
    }

    /// Whether so much waits that whoever publishes should hold back for a moment, lest a client that
    /// is only not as fast be cut off.
    pub(crate) fn is_behind(&self) -> bool {
        let state = self.state();
        state.phase == Phase::Open && state.pending_bytes() > self.max_pending_bytes / BEHIND_SHARE
    }

    /// Resolves when the client is not behind any more. The caller bounds the wait.
    pub(crate) async fn caught_up(&self) {
        loop {
            let relief = self.relief.notified();
            if !self.is_behind() {
                return;
            }
            relief.await;
        }
    }

    /// How many bytes were pushed since the connection began; what [`Self::written`] takes.
    pub(crate) fn pushed_total(&self) -> u64 {
        let state = self.state();
        state.written_total + state.pending_bytes() as u64
    }

    /// Resolves when the first `total` bytes have been handed to the socket. One task may wait.
    pub(crate) async fn written(&self, total: u64) {
        loop {
            {
                let mut state = self.state();
                if state.written_total >= total || state.phase == Phase::Closed {
                    return;
                }
                state.awaited_total = Some(total);
            }
            self.drained.notified().await;
        }
    }

    /// Takes no more frames; what is there still goes out. The writer task ends when it has.
    pub(crate) fn finish(&self) {
        let mut state = self.state();
        if state.phase == Phase::Open {
            state.phase = Phase::Ending;
        }
        drop(state);
        self.work.notify_one();
    }

    /// Cancelled when the connection can send no more, or was cut off.
    pub(crate) fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    /// Bytes that wait.
    #[cfg(test)]
    pub(crate) fn pending_bytes(&self) -> usize {
        self.state().pending_bytes()
    }

    /// The writer task: sends what flushes left over; ends after [`Self::finish`] or a fault, when
    /// the socket's sending side is shut.
    pub(crate) async fn write_leftovers(&self) -> WriterEnd {
        loop {
            let step = self.state().next_step();
            match step {
                Step::Write(socket, leftover) => {
                    if let Err(end) = self.drain(&socket, leftover).await {
                        self.abandon();
                        return end;
                    }
                }
                Step::Shut(socket) => {
                    // The client may be gone already; there is nobody left to tell.
                    let _ = SockRef::from(socket.as_ref()).shutdown(Shutdown::Write);
                    return WriterEnd::Finished;
                }
                Step::Wait => self.work.notified().await,
                Step::Gone => return WriterEnd::Finished,
            }
        }
    }

    /// Closes the socket both ways at once; what waits is dropped.
    pub(crate) fn abandon(&self) {
        let socket = {
            let mut state = self.state();
            state.phase = Phase::Closed;
            state.pending = Vec::new();
            state.spare = Vec::new();
            state.leftover = None;
            state.in_write_bytes = 0;
            state.writing = false;
            state.socket.take()
        };
        if let Some(socket) = socket {
            // A socket that broke cannot be shut again; that is what was wanted.
            let _ = SockRef::from(socket.as_ref()).shutdown(Shutdown::Both);
        }
        self.closed.cancel();
        self.work.notify_one();
        self.drained.notify_one();
        self.relief.notify_waiters();
    }

    async fn drain(&self, socket: &TcpStream, leftover: Leftover) -> Result<(), WriterEnd> {
        let Leftover {
            mut bytes,
            mut written,
        } = leftover;
        loop {
            while written < bytes.len() {
                match timeout(self.write_deadline, socket.writable()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Err(WriterEnd::Finished),
                    Err(_) => return Err(self.deadline_missed()),
                }
                write_now(socket, &bytes, &mut written).map_err(|_| WriterEnd::Finished)?;
            }
            match self.batch_done(bytes) {
                Some(next) => (bytes, written) = (next, 0),
                None => return Ok(()),
            }
        }
    }

    /// A client that was cut off already is not slow a second time.
    fn deadline_missed(&self) -> WriterEnd {
        match self.state().phase {
            Phase::Open => WriterEnd::DeadlineMissed,
            Phase::Ending | Phase::Closed => WriterEnd::Finished,
        }
    }

    /// The next bytes to write after `done` is out, or nothing when this writer is to stop.
    fn batch_done(&self, done: Vec<u8>) -> Option<Vec<u8>> {
        let mut state = self.state();
        let next = state.next_batch(done);
        let shut_now = next.is_none() && state.phase == Phase::Ending;
        let is_relief = state.pending_bytes() <= self.max_pending_bytes / BEHIND_SHARE;
        let written_total = state.written_total;
        let drained = state
            .awaited_total
            .take_if(|total| *total <= written_total)
            .is_some();
        drop(state);
        if drained {
            self.drained.notify_one();
        }
        if is_relief {
            self.relief.notify_waiters();
        }
        if shut_now {
            self.work.notify_one();
        }
        next
    }

    fn leave(&self, leftover: Leftover) {
        let mut state = self.state();
        if state.phase == Phase::Closed {
            return;
        }
        state.leftover = Some(leftover);
        drop(state);
        self.work.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the writer task does next.
enum Step {
    Write(Arc<TcpStream>, Leftover),
    Shut(Arc<TcpStream>),
    Wait,
    Gone,
}

impl State {
    fn pending_bytes(&self) -> usize {
        self.pending.len() + self.in_write_bytes
    }

    /// Takes what is to be written, unless somebody writes already: that one goes on with it.
    fn begin_write(&mut self) -> Option<(Arc<TcpStream>, Vec<u8>)> {
        self.owed = false;
        if self.writing || self.pending.is_empty() {
            return None;
        }
        let socket = self.socket.clone()?;
        self.writing = true;
        let bytes = mem::replace(&mut self.pending, mem::take(&mut self.spare));
        self.in_write_bytes = bytes.len();
        Some((socket, bytes))
    }

    /// After `done` is out: the next bytes, or nothing when there are none or somebody owes a flush
    /// for them.
    fn next_batch(&mut self, mut done: Vec<u8>) -> Option<Vec<u8>> {
        self.written_total += done.len() as u64;
        done.clear();
        if done.capacity() > KEPT_CAPACITY_MAX {
            done = Vec::new();
        }
        if self.pending.is_empty() || (self.owed && self.phase == Phase::Open) {
            self.spare = done;
            self.in_write_bytes = 0;
            self.writing = false;
            return None;
        }
        let bytes = mem::replace(&mut self.pending, done);
        self.in_write_bytes = bytes.len();
        Some(bytes)
    }

    fn next_step(&mut self) -> Step {
        let Some(socket) = self.socket.clone() else {
            return Step::Gone;
        };
        if let Some(leftover) = self.leftover.take() {
            return Step::Write(socket, leftover);
        }
        match self.phase {
            Phase::Ending if self.writing => Step::Wait,
            Phase::Ending => match self.begin_write() {
                Some((socket, bytes)) => Step::Write(socket, Leftover { bytes, written: 0 }),
                None => Step::Shut(socket),
            },
            Phase::Open => Step::Wait,
            Phase::Closed => Step::Gone,
        }
    }

    /// Gives up whole frames that nobody began to write, so that the error stands at a frame's edge.
    fn cut_off(&mut self) {
        self.phase = Phase::Ending;
        self.pending = Vec::new();
        encode::err(&mut self.pending, "Slow Consumer");
    }
}

/// Writes until all is out or the socket takes no more.
fn write_now(socket: &TcpStream, bytes: &[u8], written: &mut usize) -> io::Result<()> {
    while let Some(rest @ [_, ..]) = bytes.get(*written..) {
        match socket.try_write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => *written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    async fn pair() -> (Arc<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (server, _) = listener.accept().await.unwrap();
        (Arc::new(server), client)
    }

    fn push(outbound: &Outbound, bytes: &[u8]) -> Pushed {
        outbound.push(bytes.len(), |out| out.extend_from_slice(bytes))
    }

    #[tokio::test]
    async fn the_first_to_push_owes_the_flush_and_one_flush_sends_all() {
        let (server, mut client) = pair().await;
        let outbound = Outbound::new(server, 1024, DEADLINE);
        assert_eq!(push(&outbound, b"PING\r\n"), Pushed::FlushOwed);
        assert_eq!(push(&outbound, b"PONG\r\n"), Pushed::Queued);
        outbound.flush();
        let mut found = [0; 12];
        client.read_exact(&mut found).await.unwrap();
        assert_eq!(&found, b"PING\r\nPONG\r\n");
        assert_eq!(outbound.pending_bytes(), 0);
        assert_eq!(push(&outbound, b"PING\r\n"), Pushed::FlushOwed);
    }

    #[tokio::test]
    async fn a_client_is_behind_until_it_has_taken_enough_and_then_whoever_waits_goes_on() {
        let (server, mut client) = pair().await;
        let outbound = Arc::new(Outbound::new(server, 64 * 1024 * 1024, DEADLINE));
        let writer = tokio::spawn({
            let outbound = Arc::clone(&outbound);
            async move { outbound.write_leftovers().await }
        });
        let chunk = vec![7; 1024 * 1024];
        while !outbound.is_behind() {
            if push(&outbound, &chunk) == Pushed::FlushOwed {
                outbound.flush();
            }
        }
        let waiting = tokio::spawn({
            let outbound = Arc::clone(&outbound);
            async move { outbound.caught_up().await }
        });
        outbound.finish();
        let mut found = Vec::new();
        client.read_to_end(&mut found).await.unwrap();
        timeout(DEADLINE, waiting).await.unwrap().unwrap();
        assert_eq!(writer.await.unwrap(), WriterEnd::Finished);
    }

    #[tokio::test]
    async fn what_the_socket_does_not_take_is_written_by_the_writer_task_in_order() {
        let (server, mut client) = pair().await;
        let outbound = Arc::new(Outbound::new(server, usize::MAX, DEADLINE));
        let writer = tokio::spawn({
            let outbound = Arc::clone(&outbound);
            async move { outbound.write_leftovers().await }
        });
        let mut expected = Vec::new();
        for byte in 0..200u8 {
            let chunk = vec![byte; 64 * 1024];
            expected.extend_from_slice(&chunk);
            if push(&outbound, &chunk) == Pushed::FlushOwed {
                outbound.flush();
            }
        }
        assert!(
            outbound.pending_bytes() > 0,
            "more than a socket buffer holds"
        );
        outbound.finish();
        let mut found = Vec::new();
        client.read_to_end(&mut found).await.unwrap();
        assert!(found == expected, "all bytes in order");
        assert_eq!(writer.await.unwrap(), WriterEnd::Finished);
    }

    #[tokio::test]
    async fn a_client_over_its_bound_is_told_at_a_frames_edge_and_cut_off() {
        let (server, mut client) = pair().await;
        let outbound = Outbound::new(server, 16, DEADLINE);
        assert_eq!(push(&outbound, b"0123456789"), Pushed::FlushOwed);
        assert_eq!(push(&outbound, b"0123456789"), Pushed::CutOff);
        assert_eq!(push(&outbound, b"0"), Pushed::Refused);
        assert!(outbound.closed().is_cancelled());
        assert_eq!(outbound.write_leftovers().await, WriterEnd::Finished);
        let mut found = Vec::new();
        client.read_to_end(&mut found).await.unwrap();
        assert_eq!(found, b"-ERR 'Slow Consumer'\r\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_within_the_deadline_is_cut_off() {
        let (server, _client) = pair().await;
        let outbound = Outbound::new(server, usize::MAX, DEADLINE);
        push(&outbound, &vec![0; 64 * 1024 * 1024]);
        outbound.flush();
        assert_eq!(outbound.write_leftovers().await, WriterEnd::DeadlineMissed);
        assert!(outbound.closed().is_cancelled());
        assert_eq!(push(&outbound, b"0"), Pushed::Refused);
    }
}
