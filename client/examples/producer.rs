//! Pushes jobs into a queue: `producer [server] [queue] [count]`.

use std::error::Error;
use std::io::{self, Write};

use relevo_client::{ConnectOptions, PushOptions};
use relevo_protocol::convention::queue::QueueOptions;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:4222".to_owned());
    let queue = arguments.next().unwrap_or_else(|| "jobs".to_owned());
    let count: u64 = arguments.next().map_or(Ok(10), |count| count.parse())?;

    let client = ConnectOptions::new()
        .server(server)
        .name("producer")
        .connect()
        .await?;
    let queue = client.queue(&queue)?;
    queue.create(&QueueOptions::default()).await?;
    for number in 1..=count {
        // With an id a push can be tried again when it is unknown whether it was stored.
        let options = PushOptions {
            id: Some(format!("producer-{number}")),
            ..PushOptions::default()
        };
        let pushed = queue.push(format!("job {number}"), &options).await?;
        let duplicate = if pushed.duplicate { " duplicate" } else { "" };
        writeln!(io::stdout(), "pushed {}{duplicate}", pushed.seq)?;
    }
    client.close().await;
    Ok(())
}
