//! `relevo bench`: loads a server through the SDK and tells what it took. It works against relevo and
//! against nats-server alike, so that the two can be measured in turn (`tests/bench/`).

use std::io::Write;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use relevo_client::{Client, ConnectOptions, PubAckFuture, Subscriber};
use relevo_protocol::subject::Subject;
use serde_json::json;

use crate::exit::Failure;

/// Messages that a benchmark's subscriber may fall behind by: all of them.
const CAPACITY_BYTES: usize = 1024 * 1024 * 1024;
/// The longest wait for the last message or answer.
const FINISH_MAX: Duration = Duration::from_secs(120);
const SUBJECT: &str = "relevo.bench";
const STREAM: &str = "RELEVO_BENCH";

/// Flags of `relevo bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// The server, HOST:PORT.
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:4222",
        global = true
    )]
    server: String,
    /// Bytes of each payload.
    #[arg(long, value_name = "BYTES", default_value_t = 128, global = true)]
    size: usize,
    /// Tell the figures as one line of JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One publisher to some subscribers, at most once.
    Pubsub {
        /// Messages to publish.
        #[arg(long, value_name = "COUNT", default_value_t = 1_000_000)]
        messages: u64,
        /// Subscribers, each on a connection of its own.
        #[arg(long, value_name = "COUNT", default_value_t = 1)]
        subscribers: usize,
    },
    /// Requests one after the other, each answered by another connection.
    Request {
        /// Requests to make.
        #[arg(long, value_name = "COUNT", default_value_t = 20_000)]
        requests: u64,
    },
    /// Publishing into a file stream, each message acknowledged. The stream is made and deleted.
    Stream {
        /// Messages to publish.
        #[arg(long, value_name = "COUNT", default_value_t = 500_000)]
        messages: u64,
        /// How many acknowledgements may be waited for at once.
        #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
        window: usize,
        /// Copies to ask of a cluster of nats-servers.
        #[arg(long, value_name = "COUNT", default_value_t = 1)]
        replicas: u32,
    },
}

/// What was measured.
#[derive(Debug)]
struct Figures {
    name: String,
    count: u64,
    took: Duration,
    latencies: Vec<Duration>,
}

/// Runs `relevo bench`.
pub(crate) async fn run(arguments: BenchArguments) -> Result<(), Failure> {
    let load = Load {
        server: arguments.server,
        payload: vec![b'x'; arguments.size],
    };
    let mut figures = match arguments.what {
        What::Pubsub {
            messages,
            subscribers,
        } => load.pubsub(messages, subscribers).await?,
        What::Request { requests } => load.request(requests).await?,
        What::Stream {
            messages,
            window,
            replicas,
        } => load.stream(messages, window, replicas).await?,
    };
    figures.print(arguments.json, arguments.size);
    Ok(())
}

struct Load {
    server: String,
    payload: Vec<u8>,
}

impl Load {
    async fn connect(&self, messages: u64) -> Result<Client, Failure> {
        let messages = usize::try_from(messages).unwrap_or(usize::MAX);
        ConnectOptions::new()
            .server(&self.server)
            .without_discovery()
            .subscription_capacity(messages, CAPACITY_BYTES)
            .connect()
            .await
            .map_err(|error| Failure::new(format!("connect to {}", self.server), error))
    }

    async fn pubsub(&self, messages: u64, subscribers: usize) -> Result<Figures, Failure> {
        let mut counting = Vec::new();
        for _ in 0..subscribers.max(1) {
            let client = self.connect(messages + 1).await?;
            let mut subscriber = client
                .subscribe(SUBJECT)
                .await
                .map_err(|error| Failure::new("subscribe", error))?;
            client
                .flush()
                .await
                .map_err(|error| Failure::new("flush", error))?;
            counting.push(tokio::spawn(async move {
                let seen = count(&mut subscriber, messages).await;
                drop(client);
                seen
            }));
        }
        let publisher = self.connect(1).await?;
        let subject = subject(SUBJECT)?;
        let start = Instant::now();
        for _ in 0..messages {
            publisher
                .publish(&subject, &self.payload)
                .await
                .map_err(|error| Failure::new("publish", error))?;
        }
        for seen in counting {
            let seen = tokio::time::timeout(FINISH_MAX, seen)
                .await
                .map_err(|_| Failure::plain("a subscriber did not get all messages in time"))?
                .map_err(|error| Failure::new("count messages", error))?;
            if seen != messages {
                let text = format!("a subscriber got {seen} of {messages} messages");
                return Err(Failure::plain(text));
            }
        }
        let took = start.elapsed();
        Ok(Figures {
            name: format!("pubsub 1:{subscribers}"),
            count: messages,
            took,
            latencies: Vec::new(),
        })
    }

    async fn request(&self, requests: u64) -> Result<Figures, Failure> {
        let server = self.connect(requests).await?;
        let mut asked = server
            .subscribe(SUBJECT)
            .await
            .map_err(|error| Failure::new("subscribe", error))?;
        server
            .flush()
            .await
            .map_err(|error| Failure::new("flush", error))?;
        let answering = tokio::spawn(async move {
            while let Some(message) = asked.next().await {
                if let Some(reply) = message.reply()
                    && server
                        .publish(reply, message.payload_slice())
                        .await
                        .is_err()
                {
                    break;
                }
            }
        });
        let client = self.connect(1).await?;
        let subject = subject(SUBJECT)?;
        let mut latencies = Vec::with_capacity(usize::try_from(requests).unwrap_or(0));
        let start = Instant::now();
        for _ in 0..requests {
            let asked = Instant::now();
            client
                .request(&subject, &self.payload, FINISH_MAX)
                .await
                .map_err(|error| Failure::new("request", error))?;
            latencies.push(asked.elapsed());
        }
        let took = start.elapsed();
        answering.abort();
        Ok(Figures {
            name: "request 1:1".to_owned(),
            count: requests,
            took,
            latencies,
        })
    }

    async fn stream(
        &self,
        messages: u64,
        window: usize,
        replicas: u32,
    ) -> Result<Figures, Failure> {
        let client = self.connect(1).await?;
        let config = json!({
            "name": STREAM, "subjects": [SUBJECT], "storage": "file", "retention": "limits",
            "num_replicas": replicas, "max_msgs": -1, "max_bytes": -1, "discard": "old",
        });
        delete(&client).await;
        let api = format!("$JS.API.STREAM.CREATE.{STREAM}");
        let answer = client
            .request(&api, config.to_string(), Duration::from_secs(10))
            .await
            .map_err(|error| Failure::new("create stream", error))?;
        let text = String::from_utf8_lossy(answer.payload_slice()).into_owned();
        if text.contains("\"error\"") {
            return Err(Failure::new("create stream", text));
        }
        let outcome = self.fill(&client, messages, window).await;
        delete(&client).await;
        outcome
    }

    async fn fill(
        &self,
        client: &Client,
        messages: u64,
        window: usize,
    ) -> Result<Figures, Failure> {
        let publisher = client.publisher(window);
        let subject = subject(SUBJECT)?;
        let (answers, mut waiting) =
            tokio::sync::mpsc::channel::<(Instant, PubAckFuture)>(window.max(1));
        let collecting = tokio::spawn(async move {
            let mut latencies = Vec::new();
            while let Some((sent, answer)) = waiting.recv().await {
                answer
                    .await
                    .map_err(|error| Failure::new("publish into the stream", error))?;
                latencies.push(sent.elapsed());
            }
            Ok::<_, Failure>(latencies)
        });
        let start = Instant::now();
        for _ in 0..messages {
            let sent = Instant::now();
            let answer = publisher
                .publish(&subject, None, &self.payload)
                .await
                .map_err(|error| Failure::new("publish into the stream", error))?;
            if answers.send((sent, answer)).await.is_err() {
                break;
            }
        }
        drop(answers);
        let latencies = tokio::time::timeout(FINISH_MAX, collecting)
            .await
            .map_err(|_| Failure::plain("not all acknowledgements came in time"))?
            .map_err(|error| Failure::new("collect acknowledgements", error))??;
        let took = start.elapsed();
        let name = format!("stream window {window}");
        Ok(Figures {
            name,
            count: messages,
            took,
            latencies,
        })
    }
}

async fn delete(client: &Client) {
    let api = format!("$JS.API.STREAM.DELETE.{STREAM}");
    // A stream that is not there need not be deleted.
    let _ = client.request(&api, "", Duration::from_secs(10)).await;
}

async fn count(subscriber: &mut Subscriber, messages: u64) -> u64 {
    let mut seen = 0;
    while seen < messages && subscriber.next().await.is_some() {
        seen += 1;
    }
    seen
}

fn subject(text: &str) -> Result<Subject, Failure> {
    Subject::parse(text).map_err(|error| Failure::new("parse subject", error))
}

impl Figures {
    fn print(&mut self, as_json: bool, size: usize) {
        self.latencies.sort_unstable();
        let rate = self.count as f64 / self.took.as_secs_f64();
        let micros = |share: f64| self.percentile(share).map(|one| one.as_secs_f64() * 1e6);
        let (half, most) = (micros(0.5), micros(0.99));
        let text = if as_json {
            json!({
                "name": self.name, "size": size, "count": self.count,
                "seconds": self.took.as_secs_f64(), "rate": rate, "p50_us": half, "p99_us": most,
            })
            .to_string()
        } else {
            let latency = match (half, most) {
                (Some(half), Some(most)) => format!("   p50 {half:.0} us   p99 {most:.0} us"),
                (None, _) | (_, None) => String::new(),
            };
            format!("{}   {size} B   {rate:.0} msg/s{latency}", self.name)
        };
        // A reader that has gone away needs no answer.
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    fn percentile(&self, share: f64) -> Option<Duration> {
        let last = self.latencies.len().checked_sub(1)?;
        self.latencies
            .get((last as f64 * share).round() as usize)
            .copied()
    }
}
