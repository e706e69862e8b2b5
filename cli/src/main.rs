//! `relevo`: broker, gateway, both together, and the tools around them, in one binary.

mod bench;
mod broker;
mod exit;
mod gateway;
mod key;
mod logging;
mod settings;
mod supervised;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::exit::Failure;

/// Messages are allocated by connections and freed by log threads; glibc pays dearly for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A message bus for two machines: queues, topics and NATS, on both disks before it is acknowledged.
#[derive(Debug, Parser)]
#[command(
    name = "relevo",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start two brokers and a gateway on this machine and serve until Ctrl-C.
    Up(up::UpArguments),
    /// Run one broker.
    Broker(broker::BrokerArguments),
    /// Run one gateway.
    Gateway(gateway::GatewayArguments),
    /// Make and look at keys that stores are sealed with.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Measure a server: core publish and subscribe, request and reply, acknowledged publishing.
    Bench(bench::BenchArguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Up(arguments) => run(up::run(arguments)),
        Command::Broker(arguments) => run(broker::run(arguments)),
        Command::Gateway(arguments) => run(gateway::run(arguments)),
        Command::Key(command) => key::run(&command),
        Command::Bench(arguments) => run(bench::run(arguments)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("start the runtime", error))?
        .block_on(command)
}
