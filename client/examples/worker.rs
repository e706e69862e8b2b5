//! Works on the jobs of a queue until there are none for a while: `worker [server] [queue]`.

use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;

use relevo_client::{ConnectOptions, PopOptions};

/// How long to wait for a job before going home.
const WAIT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:4222".to_owned());
    let queue = arguments.next().unwrap_or_else(|| "jobs".to_owned());

    let client = ConnectOptions::new()
        .server(server)
        .name("worker")
        .connect()
        .await?;
    let queue = client.queue(&queue)?;
    let options = PopOptions {
        max: 4,
        wait: WAIT,
        lease: None,
    };
    loop {
        let jobs = queue.pop(&options).await?;
        if jobs.is_empty() {
            break;
        }
        for job in jobs {
            let text = String::from_utf8_lossy(&job.payload);
            writeln!(
                io::stdout(),
                "{} (attempt {}): {text}",
                job.lease,
                job.attempts
            )?;
            // Durable when it returns: the job is not handed out again.
            job.ack().await?;
        }
    }
    client.close().await;
    Ok(())
}
