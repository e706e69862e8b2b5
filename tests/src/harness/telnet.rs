//! A person at a NATS door: types verbs, reads answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The longest that one answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// A connection that verbs are typed into.
#[derive(Debug)]
pub struct Telnet {
    stream: BufReader<TcpStream>,
}

/// One `MSG` frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The queue or topic, or for a SUB the subject.
    pub name: String,
    /// The lease or the sequence, or for a SUB its sid.
    pub id: String,
    /// The payload.
    pub payload: String,
}

impl Telnet {
    /// Connects and reads the greeting.
    ///
    /// # Panics
    /// When nobody answers with `INFO`.
    #[must_use]
    pub fn connect(address: &str) -> Self {
        Self::try_connect(address).unwrap_or_else(|error| panic!("connect to {address}: {error}"))
    }

    /// As [`Self::connect`], for a server that may not be there.
    ///
    /// # Errors
    /// Why there is no greeting.
    pub fn try_connect(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        let mut telnet = Self {
            stream: BufReader::new(stream),
        };
        let greeting = telnet.try_line()?;
        if greeting.starts_with("INFO {") {
            Ok(telnet)
        } else {
            Err(std::io::Error::other(format!("greeted with {greeting:?}")))
        }
    }

    /// Sends a line.
    ///
    /// # Panics
    /// When the server hung up.
    pub fn say(&mut self, line: &str) {
        self.stream
            .get_mut()
            .write_all(format!("{line}\r\n").as_bytes())
            .unwrap_or_else(|error| panic!("send {line:?}: {error}"));
    }

    /// The next line.
    ///
    /// # Panics
    /// When none comes.
    pub fn line(&mut self) -> String {
        self.try_line()
            .unwrap_or_else(|error| panic!("read a line: {error}"))
    }

    fn try_line(&mut self) -> std::io::Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let line = String::from_utf8_lossy(&line);
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Sends a line and gives the one that answers.
    pub fn ask(&mut self, verb: &str) -> String {
        self.say(verb);
        self.line()
    }

    /// Sends a line and compares the one that answers.
    ///
    /// # Panics
    /// When it is another one.
    #[track_caller]
    pub fn expect(&mut self, verb: &str, answer: &str) {
        assert_eq!(self.ask(verb), answer, "{verb}");
    }

    /// Sends a line whose answer begins so, and gives the rest of it.
    ///
    /// # Panics
    /// When it begins otherwise.
    #[track_caller]
    pub fn expect_start(&mut self, verb: &str, start: &str) -> String {
        let answer = self.ask(verb);
        match answer.strip_prefix(start) {
            Some(rest) => rest.to_owned(),
            None => panic!("{verb}: expected {start:?} and more, got {answer:?}"),
        }
    }

    /// Sends a line that is answered with `+OK <n>` and n lines.
    ///
    /// # Panics
    /// When it is answered otherwise.
    #[track_caller]
    pub fn list(&mut self, verb: &str) -> Vec<String> {
        let count = self.count(verb);
        (0..count).map(|_| self.line()).collect()
    }

    /// Sends a line that is answered with `+OK <n>` and n message frames.
    ///
    /// # Panics
    /// When it is answered otherwise.
    #[track_caller]
    pub fn messages(&mut self, verb: &str) -> Vec<Shown> {
        let count = self.count(verb);
        (0..count).map(|_| self.message()).collect()
    }

    #[track_caller]
    fn count(&mut self, verb: &str) -> usize {
        let count = self.expect_start(verb, "+OK ");
        count
            .parse()
            .unwrap_or_else(|_| panic!("{verb}: expected a count, got {count:?}"))
    }

    /// The next message frame.
    ///
    /// # Panics
    /// When something else comes.
    #[track_caller]
    pub fn message(&mut self) -> Shown {
        let line = self.line();
        let words: Vec<&str> = line.split(' ').collect();
        let ["MSG", name, id, len] = words.as_slice() else {
            panic!("expected MSG <name> <id> <bytes>, got {line:?}");
        };
        let len: usize = len.parse().expect("the length is a bare number");
        let mut payload = vec![0; len + 2];
        self.stream
            .read_exact(&mut payload)
            .unwrap_or_else(|error| panic!("read the payload of {line:?}: {error}"));
        assert!(payload.ends_with(b"\r\n"), "a payload ends with CRLF");
        payload.truncate(len);
        Shown {
            name: (*name).to_owned(),
            id: (*id).to_owned(),
            payload: String::from_utf8(payload).expect("the test's payloads are UTF-8"),
        }
    }

    /// Waits until the server hangs up; what it still says comes back.
    ///
    /// # Panics
    /// When it does not.
    pub fn hung_up(mut self) -> String {
        let mut rest = String::new();
        match self.stream.read_to_string(&mut rest) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("expected a hang-up: {error}"),
        }
        rest
    }
}
