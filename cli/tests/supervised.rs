//! A child of `relevo up`, without its parent: what ends it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Longer than the end of an idle process takes on a busy machine.
const END_MAX: Duration = Duration::from_secs(30);

/// A supervised process whose addresses are reported and whose standard input is open.
fn supervised(arguments: &[&str]) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_relevo"))
        .args(arguments)
        .arg("--supervised")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let output = child.stdout.as_mut().expect("standard output is piped");
    let mut report = String::new();
    BufReader::new(output)
        .read_line(&mut report)
        .expect("a pipe can be read");
    assert!(report.contains("nats"), "{arguments:?} reports {report:?}");
    child
}

fn send_signal(pid: u32, signal: &str) {
    let sent = Command::new("kill")
        .args([format!("-{signal}"), pid.to_string()])
        .status()
        .expect("kill can be run");
    assert!(sent.success(), "the process is there");
}

#[track_caller]
fn ends_in_order(mut child: Child) {
    let pid = child.id();
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || ended.send(child.wait()));
    match end.recv_timeout(END_MAX) {
        Ok(status) => {
            let status = status.expect("a child can be waited for");
            assert!(status.success(), "it ends with {status}");
        }
        Err(_) => {
            send_signal(pid, "KILL");
            panic!("it does not end within {END_MAX:?}");
        }
    }
}

#[track_caller]
fn check(arguments: &[&str]) {
    let mut child = supervised(arguments);
    let input = child.stdin.take();
    send_signal(child.id(), "TERM");
    ends_in_order(child);
    drop(input);

    let mut child = supervised(arguments);
    drop(child.stdin.take());
    ends_in_order(child);
}

#[test]
fn sigterm_with_open_input_and_the_end_of_input_each_end_a_supervised_broker() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let store = dir.path().join("a").display().to_string();
    check(&[
        "broker",
        "--name",
        "a",
        "--nats",
        "127.0.0.1:0",
        "--store",
        &store,
    ]);
}

#[test]
fn sigterm_with_open_input_and_the_end_of_input_each_end_a_supervised_gateway() {
    check(&[
        "gateway",
        "--nats",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--broker",
        "127.0.0.1:1",
    ]);
}
