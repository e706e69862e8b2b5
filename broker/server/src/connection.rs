//! One client connection: its read task takes operations off the socket, lets the session judge
//! them, and publishes.

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use relevo_engine::route::Refusal;
use relevo_engine::session::{
    Action, CloseReason, Publish, Session, SessionConfig, Subscribe, SubscriptionId,
};
use relevo_protocol::encode;
use relevo_protocol::jetstream::publish;
use relevo_protocol::jetstream::status::Status;
use relevo_protocol::limits::Limits;
use relevo_protocol::op::ClientOp;
use relevo_protocol::parse::{Mode, Parsed, parse_client};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::counters;
use crate::outbound::{Outbound, Pushed, WriterEnd};
use crate::read_buffer::ReadBuffer;
use crate::router::publisher::{Exchange, Published, Publisher};
use crate::router::subscribed::Subscribed;
use crate::router::subscription::{Client, Receiver};
use crate::verb_desk::{Said, VerbDesk, VerbEvent};

/// How long a closed connection is still read, so that what the client sent does not make the
/// system throw away the last words to it.
const LINGER: Duration = Duration::from_secs(1);

/// Emptied answer buffers above this many bytes are given back to the allocator.
const KEPT_ANSWERS_MAX: usize = 64 * 1024;
/// Bytes of messages after which work is handed to its shards although more was read.
const HAND_OVER_BYTES: usize = 256 * 1024;

/// One client connection.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Arc<TcpStream>,
    buffer: ReadBuffer,
    limits: Limits,
    ping_interval: Duration,
    write_deadline: Duration,
    heard: Instant,
    front: Front,
    closer: Closer,
}

/// Closes the socket when the connection ends, however it ends.
#[derive(Debug)]
struct Closer(Arc<Client>);

/// What operations act on.
#[derive(Debug)]
struct Front {
    client: Arc<Client>,
    session: Session,
    publisher: Publisher,
    subscriptions: HashMap<SubscriptionId, Subscribed>,
    /// From the first verb on.
    verbs: Option<Box<VerbDesk>>,
    payload_max: usize,
    /// What the session has answered and the client's buffer has not taken yet.
    answers: Vec<u8>,
}

/// Why the read task ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client sends no more; it may still listen.
    InputOver,
    /// The socket broke: nobody listens.
    HungUp,
    /// All that the client is told was said.
    Told,
    /// Its buffer was over its bound, or it took nothing for too long.
    Cut,
    /// The broker stops.
    Shutdown,
}

impl Connection {
    pub(crate) fn new(
        socket: Arc<TcpStream>,
        client: Arc<Client>,
        publisher: Publisher,
        limits: &config::Limits,
    ) -> Self {
        let session = Session::new(SessionConfig {
            pings_out_max: limits.pings_out_max,
            ..SessionConfig::default()
        });
        Self {
            socket,
            buffer: ReadBuffer::new(),
            limits: Limits {
                control_line_max: limits.max_control_line_bytes,
                payload_max: limits.max_payload_bytes,
                ..Limits::of_server()
            },
            ping_interval: limits.ping_interval,
            write_deadline: limits.write_deadline,
            heard: Instant::now(),
            closer: Closer(Arc::clone(&client)),
            front: Front {
                client,
                session,
                publisher,
                subscriptions: HashMap::new(),
                verbs: None,
                payload_max: limits.max_payload_bytes,
                answers: Vec::new(),
            },
        }
    }

    /// Greets the client and serves it until it or the broker goes. `writer` is the task of its
    /// outbound buffer.
    pub(crate) async fn run(
        mut self,
        info: &[u8],
        shutdown: CancellationToken,
        writer: JoinHandle<WriterEnd>,
    ) {
        encode::info(&mut self.front.answers, info);
        self.front.push_answers();
        self.front.publisher.settle();
        let end = match self.serve(&shutdown).await {
            End::InputOver => self.answer_pending(&shutdown).await,
            end => end,
        };
        if end == End::Shutdown {
            encode::err(&mut self.front.answers, "Server Shutdown");
            self.front.push_answers();
        }
        let Self {
            socket,
            front,
            write_deadline,
            closer,
            ..
        } = self;
        let (client, exchange) = front.leave().await;
        let last_words = async {
            client.outbound.finish();
            let written = writer.await;
            if matches!(written, Ok(WriterEnd::DeadlineMissed)) {
                counters::count(&exchange.counters.slow_consumers);
            }
            if end == End::Told {
                linger(&socket).await;
            }
        };
        if end != End::HungUp {
            // Whoever does not take them is not waited for.
            let _ = timeout(write_deadline, last_words).await;
        }
        drop(closer);
    }

    async fn serve(&mut self, shutdown: &CancellationToken) -> End {
        let mut pings = interval_at(Instant::now() + self.ping_interval, self.ping_interval);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let Front { client, verbs, .. } = &mut self.front;
            let reads = verbs.as_ref().is_none_or(|verbs| !verbs.is_full());
            let news = tokio::select! {
                biased;
                () = shutdown.cancelled() => return End::Shutdown,
                () = client.outbound.closed().cancelled() => return End::Cut,
                event = next_verb_event(verbs, &client.outbound) => News::Verbs(event),
                ready = self.socket.readable(), if reads => match ready {
                    Ok(()) => News::Bytes,
                    Err(_) => return End::HungUp,
                },
                _ = pings.tick() => News::PingTime,
            };
            let act = async {
                match news {
                    News::Bytes => self.read_burst().await,
                    News::Verbs(event) => self.take_verb_event(event).await,
                    News::PingTime => self.ping(),
                }
            };
            // A shard that has enough to do must not hold up the broker's stop.
            let flow = tokio::select! {
                biased;
                flow = act => flow,
                () = shutdown.cancelled() => return End::Shutdown,
            };
            if let ControlFlow::Break(end) = flow {
                return end;
            }
        }
    }

    /// After the end of the input: answers the verbs that are pending, each within its own time, for
    /// a client that has closed its half only (`printf … | nc`). Whether it still listens shows when
    /// something is written to it, or when the system's probe finds nobody.
    async fn answer_pending(&mut self, shutdown: &CancellationToken) -> End {
        let mut flow = self.front.end_input();
        loop {
            self.front.push_answers();
            tokio::select! {
                biased;
                () = self.front.publisher.hand_over() => {}
                () = shutdown.cancelled() => return End::Shutdown,
            }
            if let ControlFlow::Break(end) = flow {
                return end;
            }
            let Front { client, verbs, .. } = &mut self.front;
            let event = tokio::select! {
                biased;
                () = shutdown.cancelled() => return End::Shutdown,
                () = client.outbound.closed().cancelled() => return End::Cut,
                event = next_verb_event(verbs, &client.outbound) => event,
                _ = self.socket.ready(Interest::ERROR) => return End::HungUp,
            };
            flow = self.front.take_verb_event(event);
        }
    }

    /// Takes what the socket has now, and does what it says.
    async fn read_burst(&mut self) -> ControlFlow<End> {
        match self.socket.try_read(self.buffer.spare()) {
            Ok(0) => return ControlFlow::Break(End::InputOver),
            Ok(count) => self.buffer.filled(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return ControlFlow::Continue(());
            }
            Err(_) => return ControlFlow::Break(End::HungUp),
        }
        self.heard = Instant::now();
        self.front.note_ended();
        self.take_all().await
    }

    async fn take_verb_event(&mut self, event: VerbEvent) -> ControlFlow<End> {
        let flow = self.front.take_verb_event(event);
        if flow.is_break() {
            self.front.push_answers();
            self.front.publisher.hand_over().await;
            return flow;
        }
        // What was left in the buffer while the verbs were full.
        self.take_all().await
    }

    /// Takes every whole operation out of the buffer, and settles what they brought about.
    async fn take_all(&mut self) -> ControlFlow<End> {
        loop {
            let taken = self.take_operations();
            self.front.push_answers();
            self.front.publisher.hand_over().await;
            self.front.publisher.hold_back().await;
            match taken {
                ControlFlow::Continue(Taken::Some) => {}
                ControlFlow::Continue(Taken::All) => return ControlFlow::Continue(()),
                ControlFlow::Break(end) => return ControlFlow::Break(end),
            }
        }
    }

    fn take_operations(&mut self) -> ControlFlow<End, Taken> {
        loop {
            let Front {
                verbs, publisher, ..
            } = &self.front;
            if verbs.as_ref().is_some_and(|verbs| verbs.is_full()) {
                return ControlFlow::Continue(Taken::All);
            }
            if publisher.collected_bytes() > HAND_OVER_BYTES {
                return ControlFlow::Continue(Taken::Some);
            }
            let mode = self.front.session.mode();
            match parse_client(self.buffer.unread(), &self.limits, mode) {
                Ok(Parsed::Op { op, consumed }) => {
                    let flow = self.front.take(op);
                    self.buffer.consume(consumed);
                    flow?;
                }
                Ok(Parsed::Incomplete { need }) => {
                    self.buffer.make_room(need);
                    return ControlFlow::Continue(Taken::All);
                }
                Err(error) => {
                    self.front.session.refuse(error, &mut self.front.answers);
                    return ControlFlow::Break(End::Told);
                }
            }
        }
    }

    /// A person at a terminal answers no PINGs: before CONNECT the system's own probes have to do.
    fn ping(&mut self) -> ControlFlow<End> {
        let is_client = self.front.session.mode() == Mode::Nats;
        if !is_client || self.heard.elapsed() < self.ping_interval {
            return ControlFlow::Continue(());
        }
        let action = self.front.session.ping(&mut self.front.answers);
        if action == Action::Close(CloseReason::Stale) {
            counters::count(&self.front.publisher.exchange().counters.stale_connections);
        }
        let flow = self.front.carry_out(action);
        self.front.push_answers();
        self.front.publisher.settle();
        flow
    }
}

impl Front {
    #[inline]
    fn take(&mut self, op: ClientOp<'_>) -> ControlFlow<End> {
        let is_connect = matches!(op, ClientOp::Connect(_));
        let action = self.session.handle(op, &mut self.answers);
        if is_connect {
            self.client
                .set_takes_headers(self.session.options().headers);
        }
        self.carry_out(action)
    }

    fn carry_out(&mut self, action: Action<'_>) -> ControlFlow<End> {
        match action {
            Action::Nothing => {}
            Action::Publish(publish) => self.publish(publish),
            Action::Subscribe(subscribe) => self.subscribe(subscribe),
            Action::Unsubscribe { id, after } => self.unsubscribe(id, after),
            Action::Verb(verb) => return self.verb(|desk, publisher| desk.begin(*verb, publisher)),
            Action::BadVerb(error) => {
                return self.verb(|desk, publisher| desk.refuse(&error, publisher));
            }
            Action::Close(_) => return ControlFlow::Break(End::Told),
        }
        ControlFlow::Continue(())
    }

    #[inline]
    fn publish(&mut self, publish: Publish<'_>) {
        // What was answered so far comes before what this message brings to the client itself.
        self.push_answers();
        let Publish {
            subject,
            reply,
            headers,
            payload,
        } = publish;
        let options = self.session.options();
        let except = (!options.echo).then_some(self.client.id);
        let message = Published::new(subject, reply, headers, payload);
        let taken = self.publisher.publish(&message, except);
        if let Some(reply) = reply
            && !taken
            && self.session.options().no_responders
        {
            let named = [(publish::SUBJECT, subject.as_str())];
            let headers = Status::NO_RESPONDERS.header_block(&named).into();
            self.publisher.answer(
                reply,
                Refusal {
                    headers,
                    payload: Bytes::new(),
                },
            );
        }
    }

    fn subscribe(&mut self, subscribe: Subscribe<'_>) {
        let Subscribe {
            id,
            sid,
            filter,
            queue,
        } = subscribe;
        let sid = Bytes::copy_from_slice(sid);
        let receiver = Receiver::Client {
            client: Arc::clone(&self.client),
            id,
            sid: sid.clone(),
        };
        let queue = queue.map(Bytes::copy_from_slice);
        match Subscribed::begin(self.publisher.exchange(), &filter, queue, receiver) {
            Ok(subscribed) => {
                self.subscriptions.insert(id, subscribed);
            }
            Err(full) => {
                self.session.ended(&sid, id);
                encode::err(&mut self.answers, &full.to_string());
            }
        }
    }

    fn unsubscribe(&mut self, id: SubscriptionId, after: Option<u64>) {
        if let Some(max) = after
            && let Some(subscribed) = self.subscriptions.get(&id)
            && subscribed.subscription().end_after(max)
        {
            return;
        }
        let Some(subscribed) = self.subscriptions.remove(&id) else {
            return;
        };
        if after.is_some()
            && let Receiver::Client { sid, .. } = &subscribed.subscription().receiver
        {
            self.session.ended(sid, id);
        }
    }

    fn verb(
        &mut self,
        act: impl FnOnce(&mut VerbDesk, &mut Publisher) -> Said,
    ) -> ControlFlow<End> {
        self.push_answers();
        let desk = match self.verbs.take() {
            Some(desk) => Ok(desk),
            None => VerbDesk::open(&self.publisher, self.payload_max).map(Box::new),
        };
        match desk {
            Ok(desk) => {
                let said = act(self.verbs.insert(desk), &mut self.publisher);
                self.say(said)
            }
            Err(full) => {
                encode::err(&mut self.answers, &full.to_string());
                ControlFlow::Continue(())
            }
        }
    }

    fn take_verb_event(&mut self, event: VerbEvent) -> ControlFlow<End> {
        match &mut self.verbs {
            Some(desk) => {
                let said = desk.take(event, &mut self.publisher);
                self.say(said)
            }
            None => ControlFlow::Continue(()),
        }
    }

    fn end_input(&mut self) -> ControlFlow<End> {
        match &mut self.verbs {
            Some(desk) => {
                let said = desk.end_of_input(&mut self.publisher);
                self.say(said)
            }
            None => ControlFlow::Break(End::Told),
        }
    }

    fn say(&mut self, said: Said) -> ControlFlow<End> {
        self.answers.extend_from_slice(&said.text);
        if said.close {
            ControlFlow::Break(End::Told)
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Subscriptions that have had their last message free their sids.
    fn note_ended(&mut self) {
        for ended in self.client.take_ended() {
            self.session.ended(&ended.sid, ended.id);
            self.subscriptions.remove(&ended.id);
        }
    }

    fn push_answers(&mut self) {
        if self.answers.is_empty() {
            return;
        }
        let answers = &self.answers;
        let push = |out: &mut Vec<u8>| out.extend_from_slice(answers);
        if self.client.outbound.push(answers.len(), push) == Pushed::FlushOwed {
            self.publisher.owe_flush(&self.client);
        }
        self.answers.clear();
        self.answers.shrink_to(KEPT_ANSWERS_MAX);
    }

    /// Ends everything that others know of this connection.
    async fn leave(mut self) -> (Arc<Client>, Arc<Exchange>) {
        self.push_answers();
        if let Some(desk) = self.verbs.take() {
            desk.hang_up(&mut self.publisher);
        }
        // A shard that has enough to do is not waited for any longer.
        let _ = timeout(LINGER, self.publisher.hand_over()).await;
        (
            Arc::clone(&self.client),
            Arc::clone(self.publisher.exchange()),
        )
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        self.0.outbound.abandon();
    }
}

/// How much of the buffer was taken.
enum Taken {
    /// There may be more, after what was collected is handed over.
    Some,
    /// All that can be taken now.
    All,
}

/// What a connection woke up for.
enum News {
    Bytes,
    Verbs(VerbEvent),
    PingTime,
}

async fn next_verb_event(verbs: &mut Option<Box<VerbDesk>>, outbound: &Outbound) -> VerbEvent {
    match verbs {
        Some(desk) => desk.next(outbound).await,
        None => std::future::pending().await,
    }
}

/// Reads on for a moment after the last words: a socket that is closed with unread bytes takes back
/// what was sent.
async fn linger(socket: &TcpStream) {
    let drain = async {
        let mut nowhere = vec![0; 64 * 1024];
        while socket.readable().await.is_ok() {
            match socket.try_read(&mut nowhere) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    };
    // Whoever sends on and on is not listened to for longer.
    let _ = timeout(LINGER, drain).await;
}
