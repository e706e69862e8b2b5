//! Broker processes without a gateway, started, killed and started again one by one.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::logs::show_on_panic;
use super::relevo;
use super::until::until;
use super::up::send_signal;

/// Whether stores are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealing {
    /// With a key of the test's own.
    Sealed,
    /// Not at all.
    Plain,
}

/// One or two brokers, `a` and `b`, in one temporary directory.
#[derive(Debug)]
pub struct Brokers {
    dir: TempDir,
    flags: Vec<Vec<String>>,
    running: [Option<Running>; 2],
}

#[derive(Debug)]
struct Running {
    child: Child,
    nats: String,
    monitor: String,
}

const NAMES: [&str; 2] = ["a", "b"];

impl Brokers {
    /// A pair, started and serving.
    #[must_use]
    pub fn pair(sealing: Sealing) -> Self {
        let mut brokers = Self::prepare(sealing, true);
        brokers.start(0);
        brokers.start(1);
        brokers.wait_healthy(0);
        brokers.wait_healthy(1);
        brokers
    }

    /// A single broker, started and serving.
    #[must_use]
    pub fn single(sealing: Sealing) -> Self {
        let mut brokers = Self::prepare(sealing, false);
        brokers.start(0);
        brokers.wait_healthy(0);
        brokers
    }

    fn prepare(sealing: Sealing, paired: bool) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let path = |name: String| dir.path().join(name).display().to_string();
        let key = path("test.key".to_owned());
        if sealing == Sealing::Sealed {
            let made = relevo()
                .args(["key", "new", &key])
                .stdout(Stdio::null())
                .status();
            assert!(
                made.expect("the binary starts").success(),
                "a key can be made"
            );
        }
        let flags = NAMES
            .iter()
            .map(|name| {
                let mut flags: Vec<String> = ["broker", "--supervised", "--name", name]
                    .iter()
                    .chain(&["--nats", "127.0.0.1:0", "--monitor", "127.0.0.1:0"])
                    .map(|flag| (*flag).to_owned())
                    .collect();
                flags.extend(["--store".to_owned(), path((*name).to_owned())]);
                if paired {
                    flags.extend(["--peer-listen".to_owned(), "127.0.0.1:0".to_owned()]);
                    flags.extend(["--peer-file".to_owned(), path(format!("{name}.peer"))]);
                }
                if sealing == Sealing::Sealed {
                    flags.extend(["--key".to_owned(), key.clone()]);
                }
                flags
            })
            .collect();
        Self {
            dir,
            flags,
            running: [None, None],
        }
    }

    /// The directory that holds stores, key and logs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The store of broker 0 or 1.
    #[must_use]
    pub fn store(&self, index: usize) -> PathBuf {
        self.dir.path().join(NAMES[index])
    }

    /// `host:port` for clients of broker 0 or 1.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn nats(&self, index: usize) -> String {
        self.running[index]
            .as_ref()
            .expect("the broker runs")
            .nats
            .clone()
    }

    /// The command line that broker 0 or 1 is started with.
    #[must_use]
    pub fn command(&self, index: usize) -> Command {
        let mut command = relevo();
        command
            .args(&self.flags[index])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        command
    }

    /// Starts broker 0 or 1 and returns when its listeners are bound.
    ///
    /// # Panics
    /// When it does not start; its log is shown.
    pub fn start(&mut self, index: usize) {
        let log_path = self.dir.path().join(format!("{}.log", NAMES[index]));
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log_path)
            .expect("a log can be made");
        let mut child = self
            .command(index)
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("standard output is piped");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("a pipe can be read");
        let report: Value = serde_json::from_str(&line).unwrap_or_else(|_| {
            let log = std::fs::read_to_string(&log_path).unwrap_or_default();
            panic!("broker {} did not start; its log:\n{log}", NAMES[index])
        });
        let text = |name: &str| report["broker"][name].as_str().map(str::to_owned);
        if let Some(peer) = text("peer") {
            let file = self.dir.path().join(format!("{}.peer", NAMES[1 - index]));
            let temporary = file.with_extension("new");
            std::fs::write(&temporary, peer).expect("a file can be written");
            std::fs::rename(&temporary, &file).expect("a file can be renamed");
        }
        self.running[index] = Some(Running {
            child,
            nats: text("nats").expect("a broker reports its NATS address"),
            monitor: text("monitor").expect("a broker reports its monitor address"),
        });
    }

    /// Waits until `/healthz` of broker 0 or 1 answers 200.
    pub fn wait_healthy(&self, index: usize) {
        until("a broker is healthy", || {
            self.is_healthy(index).then_some(())
        });
    }

    /// Waits until `/healthz` of broker 0 or 1 answers something else.
    pub fn wait_unhealthy(&self, index: usize) {
        until("a broker is not healthy", || {
            (!self.is_healthy(index)).then_some(())
        });
    }

    fn is_healthy(&self, index: usize) -> bool {
        let Some(running) = &self.running[index] else {
            return false;
        };
        let config = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(2)));
        let agent: ureq::Agent = config.build().into();
        agent
            .get(format!("http://{}/healthz", running.monitor))
            .call()
            .is_ok()
    }

    /// Ends broker 0 or 1 as a crash would (kill -9).
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self, index: usize) {
        let mut running = self.running[index].take().expect("the broker runs");
        running.child.kill().expect("a child can be killed");
        running.child.wait().expect("a child can be waited for");
    }

    /// Ends broker 0 or 1 in order.
    ///
    /// # Panics
    /// When it does not run, or does not stop.
    pub fn stop(&mut self, index: usize) {
        let mut running = self.running[index].take().expect("the broker runs");
        drop(running.child.stdin.take());
        let status = until("a broker has stopped", || {
            running.child.try_wait().expect("a child can be waited for")
        });
        assert!(
            status.success(),
            "a broker that is told to stop ends with {status}"
        );
    }

    /// Sends a signal by name (`STOP`, `CONT`) to broker 0 or 1.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal(&self, index: usize, signal: &str) {
        send_signal(
            self.running[index]
                .as_ref()
                .expect("the broker runs")
                .child
                .id(),
            signal,
        );
    }

    /// Empties the store of broker 0 or 1, which must not run.
    ///
    /// # Panics
    /// When it runs, or its store cannot be removed.
    pub fn wipe(&self, index: usize) {
        assert!(
            self.running[index].is_none(),
            "a running broker's store is not to be wiped"
        );
        std::fs::remove_dir_all(self.store(index)).expect("a store can be removed");
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        show_on_panic(self.dir.path());
        for running in self.running.iter_mut().flatten() {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }
}
