//! The worker of the original system: takes jobs from a queue, writes each in capital letters, and puts the answer into
//! the mailbox of whoever asked.
//!
//! ```text
//! cargo run -p relevo-gateway --example microservice -- 127.0.0.1:4222 trabajos
//! curl http://127.0.0.1:8080/crearCola/trabajos
//! curl http://127.0.0.1:8080/agregarElementoCola/trabajos/hola
//! curl http://127.0.0.1:8080/consumir
//! ```
//!
//! A job is acknowledged only when its answer is durable, so a worker that dies in between leaves the job to the next
//! one. That one may answer a second time: the answer's id is made from the job and when it was pushed, so it is stored
//! once.

use std::env;
use std::error::Error;
use std::io::{Write, stdout};
use std::time::Duration;

use relevo_client::{Client, ConnectOptions, Job, PopOptions, PushOptions};
use relevo_protocol::jetstream::publish::REPLY_TO;

/// How long one POP waits for a job.
const WAIT: Duration = Duration::from_secs(30);

/// How long to pause when the brokers refuse, before asking again.
const PAUSE: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = env::args().skip(1);
    let server = words.next().unwrap_or_else(|| "127.0.0.1:4222".to_owned());
    let queue = words.next().unwrap_or_else(|| "trabajos".to_owned());

    let client = ConnectOptions::new()
        .name("microservice")
        .server(&server)
        .connect()
        .await?;
    let jobs = client.queue(&queue)?;
    say(&format!(
        "waiting for jobs in {queue} at {server}; Ctrl-C ends"
    ))?;
    let options = PopOptions {
        max: 1,
        wait: WAIT,
        lease: None,
    };
    loop {
        let popped = tokio::select! {
            popped = jobs.pop(&options) => popped,
            ended = tokio::signal::ctrl_c() => {
                ended?;
                client.close().await;
                return Ok(());
            }
        };
        match popped {
            Ok(popped) => {
                for job in popped {
                    if let Err(error) = carry_out(&client, &queue, &job).await {
                        say(&format!(
                            "job {}: {error}; it comes back when its lease expires",
                            job.seq
                        ))?;
                    }
                }
            }
            Err(error) => {
                say(&format!("no jobs: {error}"))?;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn carry_out(client: &Client, queue: &str, job: &Job) -> Result<(), Box<dyn Error>> {
    let question = String::from_utf8_lossy(&job.payload);
    let answer = question.to_uppercase();
    if let Some(mailbox) = job.headers.get(REPLY_TO) {
        let options = PushOptions {
            id: Some(format!("{queue}-{}-{}", job.seq, job.time)),
            ..PushOptions::default()
        };
        client.queue(mailbox)?.push(&answer, &options).await?;
    }
    job.ack().await?;
    say(&format!("job {}: {question} -> {answer}", job.seq))?;
    Ok(())
}

fn say(line: &str) -> std::io::Result<()> {
    writeln!(stdout(), "{line}")
}
