//! A gateway process in front of brokers that a test starts and stops one by one.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use serde_json::Value;

use super::relevo;

/// A running `relevo gateway`, ended when dropped.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    /// `host:port` of its NATS door.
    pub nats: String,
    /// `host:port` of its HTTP door.
    pub http: String,
}

impl Gateway {
    /// Starts one in front of these brokers' NATS addresses.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(brokers: &[String], flags: &[&str]) -> Self {
        let mut command = relevo();
        command
            .args(["gateway", "--supervised"])
            .args(["--nats", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        for broker in brokers {
            command.args(["--broker", broker]);
        }
        let mut child = command.spawn().expect("the binary starts");
        let output = child.stdout.take().expect("standard output is piped");
        let mut line = String::new();
        BufReader::new(output)
            .read_line(&mut line)
            .expect("a pipe can be read");
        let report: Value = serde_json::from_str(&line).expect("a gateway reports its addresses");
        let text = |name: &str| {
            let address = report["gateway"][name].as_str();
            address.expect("an address is a text").to_owned()
        };
        Self {
            nats: text("nats"),
            http: text("http"),
            child,
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
