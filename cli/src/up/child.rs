//! One process that `relevo up` runs.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};

use crate::exit::Failure;
use crate::supervised::Report;

/// How long a child may take to stop before it is killed.
const STOP_MAX: Duration = Duration::from_secs(15);
/// Bytes from the end of a log that an obituary looks at.
const LOG_TAIL_LEN: usize = 2048;

/// A child, before, while and after it lives.
pub(super) struct Child {
    pub(super) name: &'static str,
    pub(super) log: PathBuf,
    flags: Vec<OsString>,
    process: Option<tokio::process::Child>,
    /// Kept apart from the process: waiting for a process closes the input that it holds.
    input: Option<ChildStdin>,
    output: Option<BufReader<ChildStdout>>,
    pid: u32,
}

impl Child {
    /// A child that is to run this binary with `flags` and log into `dir`.
    pub(super) fn new(name: &'static str, dir: &Path, flags: Vec<OsString>) -> Self {
        let log = dir.join(format!("{name}.log"));
        Self {
            name,
            log,
            flags,
            process: None,
            input: None,
            output: None,
            pid: 0,
        }
    }

    /// Starts the process.
    pub(super) fn start(&mut self) -> Result<(), Failure> {
        let tried = || format!("start {}", self.name);
        let binary = std::env::current_exe().map_err(|error| Failure::new(tried(), error))?;
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(|error| Failure::new(format!("open {}", self.log.display()), error))?;
        let mut process = Command::new(binary)
            .args(&self.flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Failure::new(tried(), error))?;
        self.pid = process.id().unwrap_or(0);
        self.input = process.stdin.take();
        self.output = process.stdout.take().map(BufReader::new);
        self.process = Some(process);
        Ok(())
    }

    /// The process id.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// What it tells of itself once its listeners are bound.
    pub(super) async fn report(&mut self) -> Result<Report, Failure> {
        let mut line = String::new();
        if let Some(output) = &mut self.output {
            // A child that dies closes its output: the line stays empty.
            let _ = output.read_line(&mut line).await;
        }
        serde_json::from_str(&line).map_err(|_| self.obituary())
    }

    /// Returns when the process ends; never when it did already.
    pub(super) async fn death(&mut self) {
        match &mut self.process {
            Some(process) => {
                let _ = process.wait().await;
            }
            None => std::future::pending().await,
        }
    }

    /// As [`Self::death`], for a child that may not be there.
    pub(super) async fn death_of(child: Option<&mut Self>) {
        match child {
            Some(child) => child.death().await,
            None => std::future::pending().await,
        }
    }

    /// Whether the process was started and has not been mourned.
    pub(super) fn lives(&self) -> bool {
        self.process.is_some()
    }

    /// Tells the user of its death, once.
    pub(super) fn mourn(&mut self) {
        self.process = None;
        eprintln!("relevo: {}; the others go on", self.obituary());
    }

    /// What is known of its death.
    pub(super) fn obituary(&self) -> Failure {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let tail = text
            .get(text.len().saturating_sub(LOG_TAIL_LEN)..)
            .unwrap_or_default();
        let tail = String::from_utf8_lossy(tail);
        let last = tail
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("no word");
        Failure::new(
            format!(
                "{} (pid {}) ended, its log {} ends with",
                self.name,
                self.pid,
                self.log.display()
            ),
            last,
        )
    }

    /// Stops the process: its standard input ends; after a while it is killed.
    pub(super) async fn stop(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        drop(self.input.take());
        if tokio::time::timeout(STOP_MAX, process.wait())
            .await
            .is_err()
        {
            eprintln!(
                "relevo: {} did not stop within {} s, killing it",
                self.name,
                STOP_MAX.as_secs()
            );
            let _ = process.kill().await;
        }
    }
}
