//! Every transcript in `tests/wire` against a single broker, with and without a gateway before it, against both brokers
//! of a pair, and, with the feature `peers`, those that do not say `! relevo` against nats-server.

use std::path::Path;

use relevo_tests::harness::{Brokers, Gateway, Sealing};
use relevo_tests::wire::Transcript;

/// Transcripts leave nothing behind and name their queues and topics differently, so one server plays all of them, and a
/// pair plays them at each of its brokers.
fn play(addresses: &[String], plays: impl Fn(&Transcript) -> bool) {
    let transcripts = transcripts();
    let mut failures = Vec::new();
    for address in addresses {
        let played = transcripts.iter().filter(|transcript| plays(transcript));
        failures.extend(played.filter_map(|transcript| transcript.play(address).err()));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn transcripts() -> Vec<Transcript> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("wire");
    let entries = std::fs::read_dir(&dir).expect("transcripts are beside the tests");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("a directory can be read").path())
        .collect();
    paths.sort();
    let read = |path: &Path| {
        let name = path
            .file_name()
            .expect("an entry has a name")
            .to_string_lossy();
        let text = std::fs::read_to_string(path).expect("a transcript is UTF-8");
        Transcript::parse(&name, &text).unwrap_or_else(|error| panic!("{error}"))
    };
    paths.iter().map(|path| read(path)).collect()
}

#[test]
fn a_single_broker_answers_as_the_transcripts_say() {
    let broker = Brokers::single(Sealing::Plain);
    play(&[broker.nats(0)], |_| true);
}

#[test]
fn a_gateway_before_a_broker_changes_no_answer() {
    let broker = Brokers::single(Sealing::Plain);
    let gateway = Gateway::start(&[broker.nats(0)], &[]);
    play(std::slice::from_ref(&gateway.nats), |_| true);
}

#[test]
fn each_broker_of_a_pair_answers_as_the_transcripts_say() {
    let brokers = Brokers::pair(Sealing::Sealed);
    play(&[brokers.nats(0), brokers.nats(1)], |_| true);
}

/// The same transcripts against the original.
#[cfg(feature = "peers")]
mod nats_server {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    use tempfile::TempDir;

    use super::play;

    /// How many lines nats-server may log before it listens.
    const LOG_LINES_MAX: usize = 200;

    /// A nats-server with JetStream on a free port, ended when dropped.
    struct NatsServer {
        child: Child,
        address: String,
        _store: TempDir,
    }

    impl NatsServer {
        fn start() -> Self {
            let store = tempfile::tempdir().expect("a temporary directory can be made");
            let mut child = Command::new("nats-server")
                .args([
                    "--addr",
                    "127.0.0.1",
                    "--port",
                    "-1",
                    "--jetstream",
                    "--store_dir",
                ])
                .arg(store.path())
                .stdin(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("nats-server is in PATH: `bash .ci/peers` installs it");
            let log = child.stderr.take().expect("standard error is piped");
            let mut lines = BufReader::new(log)
                .lines()
                .map_while(Result::ok)
                .take(LOG_LINES_MAX);
            let address = lines.find_map(|line| {
                let (_, address) = line.split_once("Listening for client connections on ")?;
                Some(address.trim().to_owned())
            });
            // It goes on logging; a pipe that nobody reads would end it.
            std::thread::spawn(move || lines.for_each(drop));
            let address = address.expect("nats-server logs where it listens");
            Self {
                child,
                address,
                _store: store,
            }
        }
    }

    impl Drop for NatsServer {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    #[test]
    fn nats_server_answers_as_the_transcripts_say() {
        let server = NatsServer::start();
        play(std::slice::from_ref(&server.address), |transcript| {
            !transcript.relevo_only
        });
    }
}
