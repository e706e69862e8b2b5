//! A running `relevo up`, ended by process id whatever happens to the test.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The longest that a test waits for one thing.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The binary of this build.
pub(crate) fn relevo() -> Command {
    Command::new(env!("CARGO_BIN_EXE_relevo"))
}

/// `relevo up` on free ports.
pub(crate) struct Running {
    child: Child,
    dir: PathBuf,
    output: mpsc::Receiver<String>,
    errors: mpsc::Receiver<String>,
}

impl Running {
    /// Starts it.
    pub(crate) fn up(dir: &Path, flags: &[&str]) -> Self {
        let mut child = relevo()
            .args(["up", "--nats", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .args(["--broker-nats", "127.0.0.1:0,127.0.0.1:0", "--dir"])
            .arg(dir)
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let output = lines(child.stdout.take().expect("standard output is piped"));
        let errors = lines(child.stderr.take().expect("standard error is piped"));
        Self {
            child,
            dir: dir.to_owned(),
            output,
            errors,
        }
    }

    /// Starts one part as `up` does: it tells its addresses, and ends when its standard input does.
    pub(crate) fn part(arguments: &[&str]) -> Self {
        let mut child = relevo()
            .args(arguments)
            .arg("--supervised")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let output = lines(child.stdout.take().expect("standard output is piped"));
        let errors = lines(child.stderr.take().expect("standard error is piped"));
        Self {
            child,
            dir: PathBuf::new(),
            output,
            errors,
        }
    }

    /// What a part tells of itself once it listens.
    pub(crate) fn report(&mut self) -> Value {
        let line = self
            .output
            .recv_timeout(WAIT_MAX)
            .unwrap_or_else(|_| panic!("it does not start; it complained:\n{}", self.complaints()));
        serde_json::from_str(&line).expect("a report is JSON")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The pids of broker a, broker b and the gateway, as `up.json` tells them.
    pub(crate) fn children(&self) -> Vec<u32> {
        let summary = std::fs::read(self.dir.join("up.json")).expect("up.json is there");
        let summary: Value = serde_json::from_slice(&summary).expect("up.json is JSON");
        [
            &summary["brokers"][0],
            &summary["brokers"][1],
            &summary["gateway"],
        ]
        .map(|part| {
            part["pid"]
                .as_u64()
                .and_then(|pid| u32::try_from(pid).ok())
                .expect("a pid is a number")
        })
        .to_vec()
    }

    /// What it prints up to this line.
    pub(crate) fn printed_until(&mut self, last: &str) -> String {
        let mut printed = String::new();
        loop {
            let line = self.output.recv_timeout(WAIT_MAX).unwrap_or_else(|_| {
                panic!(
                    "it does not say {last:?}; it printed:\n{printed}\nand complained:\n{}",
                    self.complaints()
                )
            });
            if line == last {
                return printed;
            }
            printed.push_str(&line);
            printed.push('\n');
        }
    }

    /// The line on standard error that contains these words.
    pub(crate) fn complaint_until(&mut self, words: &str) -> String {
        loop {
            let line = self.errors.recv_timeout(WAIT_MAX);
            let line = line.unwrap_or_else(|_| panic!("it does not say {words:?}"));
            if line.contains(words) {
                return line;
            }
        }
    }

    /// What it has said on standard error and nobody has read.
    pub(crate) fn complaints(&mut self) -> String {
        // A process that has ended says no more; one that runs is not waited for.
        let wait = if is_alive(self.pid()) {
            Duration::ZERO
        } else {
            WAIT_MAX
        };
        std::iter::from_fn(|| self.errors.recv_timeout(wait).ok())
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Waits until it ends.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        until("relevo up has ended", || {
            self.child.try_wait().expect("a child can be waited for")
        })
    }

    /// Stops it as Ctrl-C would.
    pub(crate) fn stop(&mut self) {
        send_signal(self.pid(), "INT");
        let status = self.ended();
        assert!(status.success(), "relevo up ends with {status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            send_signal(self.pid(), "TERM");
            let _ = self.child.wait();
        }
    }
}

fn lines(from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (lines, arrived) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
    arrived
}

/// Looks until `look` finds something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            start.elapsed() < WAIT_MAX,
            "waited {WAIT_MAX:?} in vain until {what}"
        );
        std::thread::park_timeout(LOOK_AGAIN);
    }
}

/// Sends a signal by name to a process; one that is gone already is as good.
pub(crate) fn send_signal(pid: u32, signal: &str) {
    let _ = Command::new("kill")
        .arg(format!("-{signal}"))
        .arg(pid.to_string())
        .stderr(Stdio::null())
        .status();
}

/// Whether a process still runs; a zombie does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.trim_start().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}
