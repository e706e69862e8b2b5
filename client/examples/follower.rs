//! Prints what is in a topic and what comes: `follower [server] [topic]`. What is typed is published there.

use std::error::Error;
use std::io::{self, Write};

use relevo_client::{ConnectOptions, PostOptions};
use relevo_protocol::convention::topic::TopicOptions;
use relevo_protocol::verb::StartFrom;
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:4222".to_owned());
    let topic = arguments.next().unwrap_or_else(|| "news".to_owned());

    let client = ConnectOptions::new()
        .server(server)
        .name("follower")
        .connect()
        .await?;
    let topic = client.topic(&topic)?;
    topic.create(&TopicOptions::default()).await?;
    let mut follower = topic.follow(StartFrom::First).await?;
    let mut typed = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            message = follower.next() => {
                let Some(message) = message.transpose()? else { break };
                let text = String::from_utf8_lossy(&message.payload);
                writeln!(io::stdout(), "{} {} {text}", message.seq, message.time)?;
            }
            line = typed.next_line() => {
                let Some(line) = line? else { break };
                topic.publish(line, &PostOptions::default()).await?;
            }
        }
    }
    client.close().await;
    Ok(())
}
