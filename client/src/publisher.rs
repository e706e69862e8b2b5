//! Publishing into streams, with many answers under way.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use relevo_protocol::jetstream::pub_ack::{self, PubAck, PubAckError};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::client::Client;
use crate::error::{BadAnswer, JetStreamError, PublishError, RequestError};
use crate::headers::Headers;
use crate::outgoing::Frame;
use crate::pending::{Answer, Unanswered, Waiter};
use crate::subject::AsSubject;

/// How many publishes of [`Client::stream_publish`] wait for answers at once.
pub const STREAM_PUBLISH_WINDOW: usize = 4096;

/// Publishes into streams with a bounded number of answers under way.
///
/// A place in the window is free again when the answer came, when the time for it
/// ([`ConnectOptions::request_timeout`](crate::ConnectOptions::request_timeout)) is over, or when the connection is lost.
#[derive(Clone, Debug)]
pub struct Publisher {
    client: Client,
    window: Arc<Semaphore>,
}

impl Publisher {
    pub(crate) fn with_window(client: Client, window: Arc<Semaphore>) -> Self {
        Self { client, window }
    }

    /// Publishes a message; waits for a place in the window first. The future is the stream's answer.
    ///
    /// # Errors
    /// A [`PublishError`]; the message was not sent then. [`PublishError::BufferFull`] when no place was free in time.
    pub async fn publish<S: AsSubject + ?Sized>(
        &self,
        subject: &S,
        headers: Option<&Headers>,
        payload: impl AsRef<[u8]> + Send,
    ) -> Result<PubAckFuture, PublishError> {
        let shared = self.client.shared();
        let subject = subject.as_subject()?.as_str().as_bytes();
        let headers = headers.map(Headers::encode).unwrap_or_default();
        let place = match Arc::clone(&self.window).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                // Each place is given back within the request timeout.
                let deadline =
                    Instant::now() + shared.options.request_timeout + shared.options.send_timeout;
                let acquired = timeout_at(deadline, Arc::clone(&self.window).acquire_owned()).await;
                acquired
                    .map_err(|_| PublishError::BufferFull)?
                    .map_err(|_| PublishError::Closed)?
            }
        };
        let now = Instant::now();
        let (answer, answered) = oneshot::channel();
        let waiter = Waiter {
            answer,
            deadline: now + shared.options.request_timeout,
            place: Some(place),
        };
        let token = shared
            .pending
            .insert(waiter)
            .ok_or(PublishError::BufferFull)?;
        let reply = shared.pending.reply_subject(token);
        let frame = Frame {
            subject,
            reply: Some(reply.as_bytes()),
            headers: &headers,
            payload: payload.as_ref(),
        };
        let sent = shared
            .outgoing
            .publish(frame, || now + shared.options.send_timeout)
            .await;
        if let Err(error) = sent {
            shared.pending.remove(token);
            return Err(error);
        }
        Ok(PubAckFuture { answered })
    }
}

/// The answer to a publish into a stream. Dropped, the message is stored or not all the same.
#[derive(Debug)]
pub struct PubAckFuture {
    answered: oneshot::Receiver<Answer>,
}

impl Future for PubAckFuture {
    type Output = Result<PubAck, JetStreamError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answered).poll(context));
        let message = match answer {
            Ok(Ok(message)) => message,
            Ok(Err(Unanswered::TimedOut)) => {
                return Poll::Ready(Err(RequestError::TimedOut.into()));
            }
            Ok(Err(Unanswered::ConnectionLost)) | Err(_) => {
                return Poll::Ready(Err(RequestError::ConnectionLost.into()));
            }
        };
        if message.is_no_responders() {
            return Poll::Ready(Err(JetStreamError::NoStream));
        }
        if let Some(code) = message.status() {
            return Poll::Ready(Err(JetStreamError::status(code, &message)));
        }
        Poll::Ready(
            pub_ack::decode(message.payload_slice()).map_err(|error| match error {
                PubAckError::Refused(error) => JetStreamError::Refused(error),
                PubAckError::Malformed => JetStreamError::BadAnswer(BadAnswer::Json),
            }),
        )
    }
}
