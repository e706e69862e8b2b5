//! `relevo up` as a process.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc;

use serde_json::Value;
use tempfile::TempDir;

use super::logs::show_on_panic;
use super::{WAIT_MAX, relevo, until};

/// A running `relevo up`. Dropped, it ends with its children.
#[derive(Debug)]
pub struct Up {
    child: Child,
    /// Where it stores.
    pub dir: PathBuf,
    /// `host:port` of the gateway's NATS door.
    pub nats: String,
    /// `host:port` of the gateway's HTTP door.
    pub http: String,
    /// `host:port` of the brokers' own NATS doors.
    pub brokers: [String; 2],
    /// Process ids of the brokers.
    pub pids: [u32; 2],
    /// Everything it printed up to `ready`.
    pub printed: String,
    own: Option<TempDir>,
}

impl Up {
    /// Starts on a new directory and returns when it says `ready`.
    ///
    /// # Panics
    /// When it does not within [`WAIT_MAX`].
    #[must_use]
    pub fn start(flags: &[&str]) -> Self {
        let own = tempfile::tempdir().expect("a temporary directory can be made");
        let mut up = Self::start_in(own.path(), flags);
        up.own = Some(own);
        up
    }

    /// Starts on `dir`.
    ///
    /// # Panics
    /// When it is not ready within [`WAIT_MAX`].
    #[must_use]
    pub fn start_in(dir: &Path, flags: &[&str]) -> Self {
        let mut child = relevo()
            .args(["up", "--nats", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .args(["--broker-nats", "127.0.0.1:0,127.0.0.1:0", "--dir"])
            .arg(dir)
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let printed = printed_until_ready(&mut child);
        let summary =
            std::fs::read(dir.join("up.json")).expect("up.json is there when it is ready");
        let summary: Value = serde_json::from_slice(&summary).expect("up.json is JSON");
        let text = |value: &Value| value.as_str().expect("an address is a text").to_owned();
        let broker = |index: usize| &summary["brokers"][index];
        let pid = |value: &Value| {
            value
                .as_u64()
                .and_then(|pid| u32::try_from(pid).ok())
                .expect("a pid is a number")
        };
        Self {
            child,
            dir: dir.to_owned(),
            nats: text(&summary["gateway"]["nats"]),
            http: text(&summary["gateway"]["http"]),
            brokers: [text(&broker(0)["nats"]), text(&broker(1)["nats"])],
            pids: [pid(&broker(0)["pid"]), pid(&broker(1)["pid"])],
            printed,
            own: None,
        }
    }

    /// Ends one broker as a crash would (kill -9); the rest goes on.
    ///
    /// # Panics
    /// When it does not end within [`WAIT_MAX`].
    pub fn kill_broker(&self, index: usize) {
        let pid = self.pids[index];
        send_signal(pid, "KILL");
        until("a killed broker is gone", || (!is_alive(pid)).then_some(()));
    }

    /// Stops it as Ctrl-C would; what it stored stays with the value returned.
    ///
    /// # Panics
    /// When it does not stop within [`WAIT_MAX`].
    pub fn interrupt(mut self) -> (ExitStatus, Option<TempDir>) {
        send_signal(self.child.id(), "INT");
        let status = until("relevo up has stopped", || {
            self.child.try_wait().expect("a child can be waited for")
        });
        (status, self.own.take())
    }

    /// Kills the brokers, the gateway and the parent at once, as a power cut would end them.
    ///
    /// # Panics
    /// When a process does not end within [`WAIT_MAX`].
    #[must_use]
    pub fn kill_all(mut self) -> Option<TempDir> {
        for pid in self.pids {
            send_signal(pid, "KILL");
        }
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
        for pid in self.pids {
            until("a killed broker is gone", || (!is_alive(pid)).then_some(()));
        }
        self.own.take()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        show_on_panic(&self.dir);
        if let Ok(None) = self.child.try_wait() {
            send_signal(self.child.id(), "TERM");
            let _ = self.child.wait();
        }
    }
}

fn printed_until_ready(child: &mut Child) -> String {
    let output = child.stdout.take().expect("standard output is piped");
    let (lines, arrived) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
    let mut printed = String::new();
    loop {
        let line = arrived.recv_timeout(WAIT_MAX).unwrap_or_else(|_| {
            let _ = child.kill();
            panic!("relevo up is not ready; it printed:\n{printed}")
        });
        if line == "ready" {
            return printed;
        }
        printed.push_str(&line);
        printed.push('\n');
    }
}

/// Sends a signal by name to a process.
pub(super) fn send_signal(pid: u32, signal: &str) {
    let status = std::process::Command::new("kill")
        .arg(format!("-{signal}"))
        .arg(pid.to_string())
        .stderr(Stdio::null())
        .status();
    // A process that is gone already is as good.
    let _ = status;
}

/// Whether a process still runs; a zombie does not.
pub(super) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.trim_start().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}
