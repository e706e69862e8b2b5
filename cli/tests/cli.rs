//! The binary from outside: what it says, what it refuses, and how its processes live and end.

mod process;

use std::path::Path;
use std::process::Output;

use process::{Running, is_alive, relevo, send_signal, until};
use serde_json::Value;

fn run(arguments: &[&str]) -> Output {
    relevo()
        .args(arguments)
        .output()
        .expect("the binary starts")
}

/// What a command that must fail says on standard error.
#[track_caller]
fn refused(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(!output.status.success(), "{arguments:?} is refused");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn help_documents_every_flag_of_every_command() {
    for (command, flags) in [
        (
            &["up"][..],
            &[
                "--dir",
                "--nats",
                "--http",
                "--broker-nats",
                "--key",
                "--no-seal",
                "--original-api",
            ][..],
        ),
        (
            &["broker"],
            &[
                "--config",
                "--name",
                "--nats",
                "--peer-listen",
                "--peer",
                "--monitor",
                "--store",
                "--key",
                "--no-seal",
            ],
        ),
        (
            &["gateway"],
            &[
                "--config",
                "--nats",
                "--http",
                "--broker",
                "--state",
                "--original-api",
            ],
        ),
        (&["key", "new"], &["<FILE>"]),
        (
            &["bench", "pubsub"],
            &["--server", "--size", "--messages", "--subscribers"],
        ),
    ] {
        let output = run(&[command, &["--help"]].concat());
        assert!(output.status.success(), "{command:?} --help");
        let help = String::from_utf8_lossy(&output.stdout);
        for flag in flags {
            assert!(
                help.contains(flag),
                "{command:?} --help tells of {flag}:\n{help}"
            );
        }
        for paragraph in paragraphs_of_flags(&help) {
            assert!(
                is_documented(&paragraph),
                "{command:?} --help leaves this without a word: {paragraph}"
            );
        }
    }
}

/// A flag's line and the lines that are indented deeper below it.
fn paragraphs_of_flags(help: &str) -> Vec<String> {
    let mut paragraphs: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in help.lines() {
        let text = line.trim();
        if text.starts_with('-') || text.starts_with('<') {
            paragraphs.push(text.to_owned());
            is_open = true;
        } else if text.is_empty() || !line.starts_with("      ") {
            is_open = false;
        } else if let (true, Some(last)) = (is_open, paragraphs.last_mut()) {
            last.push_str("  ");
            last.push_str(text);
        }
    }
    paragraphs
}

/// Whether something follows the flag and its value's name.
fn is_documented(paragraph: &str) -> bool {
    let words = paragraph.split_whitespace();
    words
        .filter(|word| !word.starts_with(['-', '<', '[', '.']))
        .count()
        >= 2
}

#[test]
fn a_mistake_in_a_settings_file_is_named_with_its_line_and_the_remedy() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let check = |command: &str, text: &str, expected: &[&str]| {
        let file = dir.path().join("settings.toml");
        std::fs::write(&file, text).expect("a file can be written");
        let said = refused(&[command, "--config", path(&file)]);
        for words in expected {
            assert!(
                said.contains(words),
                "{text:?}: expected {words:?} in {said:?}"
            );
        }
    };
    check(
        "broker",
        "name = 'a'\nmonitr = '127.0.0.1:0'\n",
        &["settings.toml", "line 2", "monitr", "did you mean monitor?"],
    );
    check(
        "broker",
        "\nname = 'a'\n\nstore_dir = 'x'\n",
        &["line 4", "store_dir"],
    );
    check("broker", "name = 'A B'\n", &["line 1", "name"]);
    check(
        "broker",
        "name = 'a'\nnats = '4222'\n",
        &["line 2", "'4222' has no port", "127.0.0.1:4222"],
    );
    check(
        "broker",
        "name = 'a'\nmax_payload = '1XB'\n",
        &["line 2", "'XB'", "MiB"],
    );
    check(
        "broker",
        "name = 'a'\nmax_connections = 'many'\n",
        &["line 2", "many"],
    );
    check(
        "broker",
        "name = 'a'\nname = 'b'\n",
        &["line 2", "duplicate"],
    );
    check("broker", "name 'a'\n", &["line 1"]);
    check(
        "gateway",
        "htpp = '127.0.0.1:0'\n",
        &["line 1", "htpp", "did you mean http?"],
    );
    check("gateway", "broker = '127.0.0.1:4222'\n", &["line 1"]);
    let missing = refused(&["broker", "--config", path(&dir.path().join("none.toml"))]);
    assert!(missing.contains("none.toml"), "{missing}");
}

#[test]
fn a_broker_and_a_gateway_start_from_settings_files_and_a_flag_wins() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let write = |name: &str, text: String| {
        let file = dir.path().join(name);
        std::fs::write(&file, text).expect("a file can be written");
        file
    };
    let store = dir.path().join("store");
    let file = write(
        "broker.toml",
        format!(
            "name = 'solo'\nnats = '127.0.0.1:0'\nmonitor = '127.0.0.1:0'\nstore = '{}'\nno_seal = true\nmax_payload = '2MiB'\n",
            store.display()
        ),
    );
    let mut broker = Running::part(&["broker", "--config", path(&file), "--max-payload", "3MiB"]);
    let report = broker.report();
    assert!(store.is_dir());
    let address = report["broker"]["nats"]
        .as_str()
        .expect("it reports where it listens");
    let mut greeting = String::new();
    let stream = std::net::TcpStream::connect(address).expect("the broker listens");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stream), &mut greeting)
        .expect("it greets");
    assert!(greeting.contains(r#""server_name":"solo""#), "{greeting}");
    assert!(greeting.contains(r#""max_payload":3145728"#), "{greeting}");

    let file = write(
        "gateway.toml",
        format!(
            "nats = '127.0.0.1:0'\nhttp = '127.0.0.1:0'\nbroker = ['{address}']\noriginal_api = true\n"
        ),
    );
    let mut gateway = Running::part(&["gateway", "--config", path(&file)]);
    let report = gateway.report();
    let http = report["gateway"]["http"]
        .as_str()
        .expect("it reports where it listens");
    let answer = ureq::get(format!("http://{http}/listarColas")).call();
    let answer = answer
        .expect("the original API is served")
        .into_body()
        .read_to_string()
        .expect("it answers");
    assert_eq!(answer, r#"{"Respuesta":""}"#);
}

#[test]
fn a_bad_flag_is_named_with_the_remedy() {
    let check = |arguments: &[&str], expected: &[&str]| {
        let said = refused(arguments);
        for words in expected {
            assert!(
                said.contains(words),
                "{arguments:?}: expected {words:?} in {said:?}"
            );
        }
    };
    check(
        &["up", "--brokr-nats", "x"],
        &["--brokr-nats", "--broker-nats"],
    );
    check(&["up", "--nats", "4222"], &["'4222' has no port"]);
    check(
        &["up", "--broker-nats", "127.0.0.1:0"],
        &["--broker-nats takes two addresses"],
    );
    check(&["up", "--key", "k", "--no-seal"], &["--key", "--no-seal"]);
    check(&["broker", "--name", "a"], &["--store is missing"]);
    check(&["broker", "--store", "x"], &["--name is missing"]);
    check(&["broker", "--name", "A", "--store", "x"], &["--name"]);
    check(
        &[
            "broker",
            "--name",
            "a",
            "--store",
            "x",
            "--peer",
            "127.0.0.1:1",
        ],
        &["--peer-listen is missing"],
    );
    check(
        &["gateway", "--nats", "127.0.0.1:0", "--http", "127.0.0.1:0"],
        &["broker"],
    );
    check(&["brokr"], &["brokr", "broker"]);
}

#[test]
fn key_new_writes_for_its_owner_only_and_never_over_a_file() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let file = dir.path().join("own.key");
    let made = run(&["key", "new", path(&file)]);
    assert!(made.status.success());
    assert!(String::from_utf8_lossy(&made.stdout).contains("Keep a copy"));
    let mode = std::fs::metadata(&file)
        .expect("the key is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let first = std::fs::read(&file).expect("a key can be read");
    assert!(first.starts_with(b"relevo-key "));

    let said = refused(&["key", "new", path(&file)]);
    assert!(said.contains("own.key"), "{said}");
    assert_eq!(
        std::fs::read(&file).expect("a key can be read"),
        first,
        "the first key is still there"
    );

    let other = dir.path().join("other.key");
    assert!(run(&["key", "new", path(&other)]).status.success());
    assert_ne!(
        std::fs::read(&other).expect("a key can be read"),
        first,
        "no two keys are the same"
    );
    let nowhere = refused(&["key", "new", path(&dir.path().join("no/dir.key"))]);
    assert!(nowhere.contains("no/dir.key"), "{nowhere}");
}

#[test]
fn up_says_where_it_listens_and_what_to_try() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let summary = dir.path().join("up.json");
    std::fs::write(&summary, "stale").expect("a file can be written");
    let mut up = Running::up(dir.path(), &[]);
    let printed = up.printed_until("ready");
    let told: Value = serde_json::from_slice(&std::fs::read(&summary).expect("up.json is there"))
        .expect("up.json is whole");
    assert!(
        !dir.path().join("up.new").exists(),
        "the temporary file is gone"
    );

    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let gateway = &told["gateway"];
    let mut listening = vec![(text(&gateway["nats"]), gateway["pid"].as_u64())];
    assert!(printed.contains(&text(&gateway["http"])), "{printed}");
    let brokers = told["brokers"].as_array().expect("brokers are a list");
    for (broker, name) in brokers.iter().zip(["a", "b"]) {
        assert_eq!(broker["name"], name);
        assert!(Path::new(&text(&broker["store"])).is_dir(), "{broker}");
        assert!(Path::new(&text(&broker["log"])).is_file(), "{broker}");
        assert!(text(&broker["peer"]).starts_with("127.0.0.1:"), "{broker}");
        let monitor = format!("http://{}/healthz", text(&broker["monitor"]));
        assert!(ureq::get(&monitor).call().is_ok(), "{monitor}");
        listening.push((text(&broker["nats"]), broker["pid"].as_u64()));
    }
    assert_eq!(brokers.len(), 2);
    for (address, pid) in listening {
        assert!(printed.contains(&address), "{address} is told:\n{printed}");
        assert!(
            std::net::TcpStream::connect(&address).is_ok(),
            "{address} listens"
        );
        let pid = u32::try_from(pid.expect("a pid is a number")).expect("a pid is small");
        assert!(is_alive(pid));
    }
    let try_lines = printed
        .lines()
        .skip_while(|line| !line.starts_with("try:"))
        .skip(1);
    assert_eq!(
        try_lines.filter(|line| line.starts_with("  ")).count(),
        4,
        "{printed}"
    );
    assert!(
        printed.contains("relevo.key") && printed.contains("--key FILE"),
        "{printed}"
    );

    send_signal(up.pid(), "INT");
    assert!(up.ended().success());
    assert!(!summary.exists(), "up.json goes when nothing runs any more");
}

#[test]
fn what_up_tells_to_try_works() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let mut up = Running::up(dir.path(), &[]);
    let printed = up.printed_until("ready");
    let first = printed
        .lines()
        .skip_while(|line| !line.starts_with("try:"))
        .nth(1)
        .expect("a line to try");
    let (_, typed) = first
        .split_once("printf '")
        .expect("the first line types verbs");
    let (typed, rest) = typed
        .split_once("' | nc ")
        .expect("the first line types verbs");
    let address = rest.trim().replace(' ', ":");
    let typed = typed.replace("\\r\\n", "\r\n");
    let mut stream = std::net::TcpStream::connect(address).expect("the gateway listens");
    std::io::Write::write_all(&mut stream, typed.as_bytes()).expect("verbs can be typed");
    let mut answers = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answers).expect("QUIT hangs up");
    assert!(answers.contains("+OK created jobs"), "{answers}");
    assert!(answers.contains("hello"), "{answers}");
}

#[test]
fn signals_stop_all_children_in_order() {
    for signal in ["INT", "TERM"] {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let mut up = Running::up(dir.path(), &[]);
        up.printed_until("ready");
        let children = up.children();
        assert_eq!(children.len(), 3);
        send_signal(up.pid(), signal);
        let status = up.ended();
        assert!(status.success(), "SIG{signal}: {status}");
        for child in children {
            assert!(!is_alive(child), "SIG{signal}: no child is left");
        }
        for log in ["a.log", "b.log", "gateway.log"] {
            let text = std::fs::read_to_string(dir.path().join(log)).expect("a log can be read");
            assert!(
                !text.contains("ERROR") && !text.contains("panicked"),
                "{log}:\n{text}"
            );
        }
    }
}

#[test]
fn children_end_when_their_parent_is_gone() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let mut up = Running::up(dir.path(), &[]);
    up.printed_until("ready");
    let children = up.children();
    send_signal(up.pid(), "KILL");
    up.ended();
    for child in children {
        until("a child has ended", || (!is_alive(child)).then_some(()));
    }
    // And what they stored is as it was: it starts again.
    Running::up(dir.path(), &[]).printed_until("ready");
}

#[test]
fn a_child_that_dies_is_reported_and_the_others_go_on() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let mut up = Running::up(dir.path(), &[]);
    up.printed_until("ready");
    let [a, b, gateway] = up.children()[..] else {
        panic!("three children")
    };
    send_signal(b, "KILL");
    let told = up.complaint_until("the others go on");
    assert!(told.contains(&format!("b (pid {b}) ended")), "{told}");
    assert!(told.contains("b.log"), "{told}");
    assert!(is_alive(a) && is_alive(gateway));
    send_signal(up.pid(), "TERM");
    assert!(up.ended().success());
    assert!(!is_alive(a) && !is_alive(gateway));
}

#[test]
fn no_seal_on_a_sealed_directory_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let mut sealed = Running::up(dir.path(), &[]);
    sealed.printed_until("ready");
    sealed.stop();
    let said = refused(&["up", "--dir", path(dir.path()), "--no-seal"]);
    assert!(
        said.contains("is sealed with") && said.contains("without --no-seal"),
        "{said}"
    );

    // Nor is it started over with another key, or with none.
    std::fs::rename(
        dir.path().join("relevo.key"),
        dir.path().join("elsewhere.key"),
    )
    .expect("a key can be moved");
    for flags in [&["--no-seal"][..], &[]] {
        let mut refused = Running::up(dir.path(), flags);
        let status = refused.ended();
        assert!(!status.success(), "{flags:?}");
        let said = refused.complaints();
        assert!(
            said.contains("--key FILE"),
            "{flags:?}: the remedy is named: {said}"
        );
    }
    assert!(
        !dir.path().join("relevo.key").exists(),
        "no new key is made for an old store"
    );
    let key = dir.path().join("elsewhere.key");
    let mut again = Running::up(dir.path(), &["--key", path(&key)]);
    again.printed_until("ready");
}

#[test]
fn an_unsealed_directory_stays_so() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let mut plain = Running::up(dir.path(), &["--no-seal"]);
    plain.printed_until("ready");
    plain.stop();
    assert!(!dir.path().join("relevo.key").exists());
    let mut again = Running::up(dir.path(), &[]);
    again.printed_until("ready");
    assert!(!dir.path().join("relevo.key").exists());
}

#[test]
fn a_directory_is_served_once() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let mut first = Running::up(dir.path(), &[]);
    first.printed_until("ready");
    let before = std::fs::read(dir.path().join("up.json")).expect("up.json is there");
    let mut second = Running::up(dir.path(), &[]);
    let status = second.ended();
    assert!(!status.success(), "the second one is refused");
    let said = second.complaints();
    assert!(said.contains("another relevo"), "it says why: {said}");
    let after =
        std::fs::read(dir.path().join("up.json")).expect("the first one's up.json is left alone");
    assert_eq!(after, before);
    for child in first.children() {
        assert!(is_alive(child));
    }
    first.stop();
}

fn path(path: &Path) -> &str {
    path.to_str().expect("the test's paths are UTF-8")
}
