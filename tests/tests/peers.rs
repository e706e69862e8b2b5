//! Other people's clients against a running pair: the nats CLI, which checks every answer against JetStream's schemas,
//! nats-py and nats.js. `bash .ci/peers` installs them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use relevo_tests::harness::{Telnet, Up, until};
use serde_json::{Value, json};

/// How long the CLI waits for one answer.
const ANSWER_MAX: &str = "15s";

/// The nats CLI at one address, with settings of nobody's.
struct Cli {
    address: String,
    home: tempfile::TempDir,
}

impl Cli {
    fn new(address: &str) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        Self {
            address: address.to_owned(),
            home,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(tool("nats", "go/bin/nats"));
        command
            .args([
                "--server",
                &format!("nats://{}", self.address),
                "--timeout",
                ANSWER_MAX,
            ])
            .args(arguments)
            .env("HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.home.path())
            .env_remove("NOVALIDATE")
            .stdin(Stdio::null());
        command
    }

    /// What a command that succeeds prints.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("nats starts");
        let said = String::from_utf8_lossy(&output.stderr);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "nats {arguments:?}: {printed}{said}"
        );
        printed
    }

    /// What a command that succeeds tells a person, wherever it prints that.
    #[track_caller]
    fn told(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("nats starts");
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told).into_owned();
        assert!(output.status.success(), "nats {arguments:?}: {told}");
        told
    }

    /// What a command prints with `--json`, behind any line for people.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let printed = self.run(arguments);
        let start = printed.find(['{', '[']).unwrap_or_default();
        serde_json::from_str(&printed[start..])
            .unwrap_or_else(|_| panic!("nats {arguments:?}: no JSON: {printed}"))
    }

    /// What a command that is refused says.
    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("nats starts");
        assert!(!output.status.success(), "nats {arguments:?} is refused");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// A command that goes on until it has what it waits for.
    fn start(&self, arguments: &[&str]) -> Waiting {
        let mut command = self.command(arguments);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats starts");
        Waiting(child)
    }
}

/// A process that is ended when dropped.
struct Waiting(Child);

impl Waiting {
    /// What it has printed when it ends by itself.
    fn printed(mut self) -> String {
        until("nats has what it waits for", || {
            self.0.try_wait().expect("a child can be waited for")
        });
        let output = self.0.stdout.take().expect("standard output is piped");
        std::io::read_to_string(output).expect("nats prints UTF-8")
    }

    fn runs(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program by its name, or where its installer puts it.
fn tool(name: &str, below_home: &str) -> PathBuf {
    let home = std::env::var_os("HOME").unwrap_or_default();
    let installed = Path::new(&home).join(below_home);
    if installed.exists() {
        installed
    } else {
        PathBuf::from(name)
    }
}

/// Where `.ci/peers` puts what it installs.
fn peers() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests lie in the repository");
    root.join("target/peers")
}

#[test]
fn the_nats_cli_publishes_subscribes_and_asks() {
    let up = Up::start(&[]);
    let cli = Cli::new(&up.brokers[0]);
    let mut subscriber = cli.start(&["subscribe", "weather.>", "--count", "1", "--raw"]);
    until("the subscriber hears", || {
        cli.run(&["publish", "weather.north", "cold", "--header", "App:shop"]);
        (!subscriber.runs()).then_some(())
    });
    assert_eq!(subscriber.printed().trim(), "cold");

    let _service = cli.start(&["reply", "service", "answer"]);
    let answered = until("the service answers", || {
        let asked = cli
            .command(&["request", "service", "question", "--raw"])
            .output()
            .expect("nats starts");
        let answer = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
        (!answer.is_empty()).then_some(answer)
    });
    assert_eq!(answered, "answer");
    assert!(cli.told(&["rtt"]).contains(&up.brokers[0]));
    let account = cli.told(&["account", "info"]);
    assert!(
        account.contains("JetStream Account Information"),
        "{account}"
    );
}

#[test]
fn the_nats_cli_manages_streams_and_consumers() {
    let up = Up::start(&[]);
    let cli = Cli::new(&up.nats);
    let add = [
        "stream",
        "add",
        "ORDERS",
        "--subjects",
        "orders.>",
        "--defaults",
        "--json",
    ];
    assert_eq!(cli.json(&add)["config"]["subjects"], json!(["orders.>"]));
    assert_eq!(cli.json(&["stream", "ls", "--json"]), json!(["ORDERS"]));
    for (text, seq) in [("one", 1), ("two", 2), ("three", 3)] {
        let stored = cli.told(&["publish", &format!("orders.{seq}"), text, "--jetstream"]);
        assert!(stored.contains(&format!("Sequence: {seq}")), "{stored}");
    }
    let info = cli.json(&["stream", "info", "ORDERS", "--json"]);
    assert_eq!(
        (&info["state"]["messages"], &info["state"]["last_seq"]),
        (&json!(3), &json!(3))
    );
    assert!(
        cli.told(&["stream", "info", "ORDERS"])
            .contains("Messages: 3")
    );
    assert!(cli.told(&["stream", "report"]).contains("ORDERS"));
    let second = cli.json(&["stream", "get", "ORDERS", "2", "--json"]);
    assert_eq!(
        (&second["subject"], &second["data"]),
        (&json!("orders.2"), &json!("dHdv"))
    );
    let subjects = cli.json(&["stream", "subjects", "ORDERS", "--json"]);
    assert_eq!(
        subjects,
        json!({ "orders.1": 1, "orders.2": 1, "orders.3": 1 })
    );

    let consumer = [
        "consumer", "add", "ORDERS", "billing", "--pull", "--ack", "explicit",
    ];
    let policies = [
        "--deliver",
        "all",
        "--replay",
        "instant",
        "--filter",
        "orders.>",
        "--defaults",
    ];
    let added = cli.told(&[&consumer[..], &policies].concat());
    assert!(added.contains("billing"), "{added}");
    assert_eq!(
        cli.json(&["consumer", "ls", "ORDERS", "--json"]),
        json!(["billing"])
    );
    for text in ["one", "two"] {
        assert_eq!(
            cli.run(&["consumer", "next", "ORDERS", "billing", "--raw"])
                .trim(),
            text
        );
    }
    let info = cli.json(&["consumer", "info", "ORDERS", "billing", "--json"]);
    assert_eq!(
        (&info["ack_floor"]["stream_seq"], &info["num_pending"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(info["config"]["filter_subject"], "orders.>");
    assert!(
        cli.told(&["consumer", "info", "ORDERS", "billing"])
            .contains("Unprocessed Messages: 1")
    );
    assert!(
        cli.told(&["consumer", "report", "ORDERS"])
            .contains("billing")
    );

    cli.run(&["stream", "rmm", "ORDERS", "2", "--force"]);
    assert!(
        cli.refused(&["stream", "get", "ORDERS", "2"])
            .contains("no message found")
    );
    cli.run(&["consumer", "rm", "ORDERS", "billing", "--force"]);
    let purged = cli.told(&["stream", "purge", "ORDERS", "--force"]);
    assert!(purged.contains('2'), "{purged}");
    assert_eq!(
        cli.json(&["stream", "info", "ORDERS", "--json"])["state"]["messages"],
        0
    );
    cli.run(&["stream", "rm", "ORDERS", "--force"]);
    assert!(cli.told(&["stream", "ls"]).contains("No Streams defined"));
}

#[test]
fn the_nats_cli_works_on_a_queue() {
    let up = Up::start(&[]);
    Telnet::connect(&up.nats).expect("QUEUE CREATE jobs", "+OK created jobs");
    let cli = Cli::new(&up.brokers[1]);
    cli.run(&["publish", "$Q.jobs", "hello", "--jetstream"]);
    assert_eq!(
        cli.run(&["consumer", "next", "Q_jobs", "workers", "--raw"])
            .trim(),
        "hello"
    );
    until("the acknowledgement has arrived", || {
        let list = Telnet::connect(&up.nats).list("QUEUE LIST");
        (list == ["jobs 0"]).then_some(())
    });
}

/// Runs a client's script against the gateway of a pair that has the queue jobs.
fn script(command: &mut Command) {
    let up = Up::start(&[]);
    Telnet::connect(&up.nats).expect("QUEUE CREATE jobs", "+OK created jobs");
    let output = command
        .env("NATS_URL", format!("nats://{}", up.nats))
        .env("NODE_MODULES", peers().join("node/node_modules"))
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; `bash .ci/peers` installs it"));
    let printed = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?} ends with {}:\n{printed}{said}",
        output.status
    );
}

fn client(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(name)
}

#[test]
fn the_stock_python_client_finds_what_it_expects() {
    script(Command::new(peers().join("python/bin/python")).arg(client("stock.py")));
}

#[test]
fn the_stock_javascript_client_finds_what_it_expects() {
    script(Command::new("node").arg(client("stock.mjs")));
}
