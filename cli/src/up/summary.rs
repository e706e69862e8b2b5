//! `up.json`: what runs and where, for scripts; and the lines that a person can try.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::exit::Failure;

/// The contents of `up.json`.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) gateway: GatewayEntry,
    pub(super) brokers: Vec<BrokerEntry>,
}

/// The gateway.
#[derive(Debug, Serialize)]
pub(super) struct GatewayEntry {
    pub(super) nats: String,
    pub(super) http: String,
    pub(super) pid: u32,
    pub(super) log: PathBuf,
}

/// One broker.
#[derive(Debug, Serialize)]
pub(super) struct BrokerEntry {
    pub(super) name: String,
    pub(super) nats: String,
    pub(super) peer: String,
    pub(super) monitor: String,
    pub(super) pid: u32,
    pub(super) store: PathBuf,
    pub(super) log: PathBuf,
}

impl Summary {
    /// Where everything listens, and four lines to try.
    pub(super) fn tour(&self) -> String {
        let GatewayEntry {
            nats, http, pid, ..
        } = &self.gateway;
        let mut text = format!("gateway   nats {nats}   http {http}   pid {pid}\n");
        for broker in &self.brokers {
            text.push_str(&format!(
                "broker {}  nats {}   monitor {}   pid {}   log {}\n",
                broker.name,
                broker.nats,
                broker.monitor,
                broker.pid,
                broker.log.display()
            ));
        }
        let (host, port) = nats.rsplit_once(':').unwrap_or((nats, "4222"));
        text.push_str(&format!(
            "try:\n  \
             printf 'QUEUE CREATE jobs\\r\\nPUSH jobs hello\\r\\nPOP jobs\\r\\nQUIT\\r\\n' | nc {host} {port}\n  \
             curl -X POST --data 'hello by HTTP' http://{http}/v1/queues/jobs/messages\n  \
             curl -X POST 'http://{http}/v1/queues/jobs/receive?wait=5s'\n  \
             curl -N 'http://{http}/v1/topics/news/events'   (after: curl -X PUT http://{http}/v1/topics/news)"
        ));
        text
    }
}

/// Writes a file whole: to a temporary name beside it, then in its place.
pub(super) fn write(path: &Path, contents: &[u8]) -> Result<(), Failure> {
    let temporary = path.with_extension("new");
    let written = std::fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(contents).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|error| Failure::new(format!("write {}", path.display()), error))
}

/// Removes a file; one that is not there is as good.
pub(super) fn remove(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::new(format!("remove {}", path.display()), error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
