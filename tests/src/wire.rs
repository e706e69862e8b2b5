//! Wire transcripts: dialogues over raw TCP, kept as text in `tests/wire/*.txt`.
//!
//! ```text
//! Prose: any line that begins with neither C nor S and a colon. It says why.
//! ! relevo            (the transcript holds for relevo alone, not for nats-server)
//! C: PUSH jobs hello  (sent, with CRLF)
//! C~ PUB a 5          (sent without CRLF; C~ alone sends nothing)
//! S: +OK 1            (the next line that comes; * stands for any text)
//! C2: PING            (a second connection; S2: is what it gets)
//! C: (end)            (the client sends no more, and goes on listening)
//! C: (close)          (the client hangs up)
//! S: (close)          (the server hangs up)
//! S: (nothing)        (a PING is answered at once: nothing else was under way)
//! ```
//!
//! `\r`, `\n`, `\t`, `\xHH` and `\\` stand for bytes; `%65600` repeats the character before it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long the next line may take.
const LINE_MAX: Duration = Duration::from_secs(10);

/// One transcript.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// The file it came from.
    pub name: String,
    /// Whether it holds for relevo alone.
    pub relevo_only: bool,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
struct Step {
    line_number: usize,
    connection: u32,
    act: Act,
}

#[derive(Clone, Debug)]
enum Act {
    Send(Vec<u8>),
    EndInput,
    HangUp,
    Expect(String),
    ExpectHangUp,
    ExpectNothing,
}

impl Transcript {
    /// Reads a transcript.
    ///
    /// # Errors
    /// The line that is none.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut transcript = Self {
            name: name.to_owned(),
            relevo_only: false,
            steps: Vec::new(),
        };
        for (index, line) in text.lines().enumerate() {
            if line.trim() == "! relevo" {
                transcript.relevo_only = true;
                continue;
            }
            let Some((side, connection, ends_line, content)) = split_step(line) else {
                continue;
            };
            let act = match (side, content) {
                ('C', "(end)") => Act::EndInput,
                ('C', "(close)") => Act::HangUp,
                ('S', "(close)") => Act::ExpectHangUp,
                ('S', "(nothing)") => Act::ExpectNothing,
                ('C', content) => {
                    let mut bytes = unescape(content)
                        .ok_or_else(|| format!("{name}:{}: bad escape", index + 1))?;
                    if ends_line {
                        bytes.extend_from_slice(b"\r\n");
                    }
                    Act::Send(bytes)
                }
                (_, content) => Act::Expect(content.to_owned()),
            };
            transcript.steps.push(Step {
                line_number: index + 1,
                connection,
                act,
            });
        }
        if transcript.steps.is_empty() {
            return Err(format!("{name}: no step"));
        }
        Ok(transcript)
    }

    /// Plays the client's side against a server and compares the server's.
    ///
    /// # Errors
    /// The first step that went otherwise.
    pub fn play(&self, address: &str) -> Result<(), String> {
        let mut connections: BTreeMap<u32, BufReader<TcpStream>> = BTreeMap::new();
        for step in &self.steps {
            let at = |what: String| format!("{}:{}: {what}", self.name, step.line_number);
            let connection = match connections.entry(step.connection) {
                Entry::Occupied(connection) => connection.into_mut(),
                Entry::Vacant(place) => {
                    place.insert(connect(address).map_err(|error| at(error.to_string()))?)
                }
            };
            step.act.play(connection).map_err(at)?;
        }
        Ok(())
    }
}

impl Act {
    fn play(&self, connection: &mut BufReader<TcpStream>) -> Result<(), String> {
        match self {
            Self::Send(bytes) => connection
                .get_mut()
                .write_all(bytes)
                .map_err(|error| format!("send: {error}")),
            Self::EndInput => connection
                .get_mut()
                .shutdown(std::net::Shutdown::Write)
                .map_err(|error| format!("end the input: {error}")),
            Self::HangUp => connection
                .get_mut()
                .shutdown(std::net::Shutdown::Both)
                .map_err(|error| format!("hang up: {error}")),
            Self::Expect(pattern) => {
                let line = read_line(connection)?;
                if matches(pattern, &line) {
                    Ok(())
                } else {
                    Err(format!("expected {pattern:?}, got {line:?}"))
                }
            }
            Self::ExpectHangUp => {
                let mut rest = Vec::new();
                match connection.read_to_end(&mut rest) {
                    Ok(0) => Ok(()),
                    Ok(_) => Err(format!(
                        "expected a hang-up, got {:?}",
                        String::from_utf8_lossy(&rest)
                    )),
                    // A server that closes with our bytes unread resets the connection.
                    Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(()),
                    Err(error) => Err(format!("expected a hang-up: {error}")),
                }
            }
            Self::ExpectNothing => {
                connection
                    .get_mut()
                    .write_all(b"PING\r\n")
                    .map_err(|error| format!("send: {error}"))?;
                match read_line(connection)?.as_str() {
                    "PONG" => Ok(()),
                    line => Err(format!("expected nothing, got {line:?}")),
                }
            }
        }
    }
}

/// Sends at once, so that what is sent in pieces arrives in pieces.
fn connect(address: &str) -> std::io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LINE_MAX))?;
    Ok(BufReader::new(stream))
}

fn split_step(line: &str) -> Option<(char, u32, bool, &str)> {
    let side = line
        .chars()
        .next()
        .filter(|side| matches!(side, 'C' | 'S'))?;
    let rest = line.get(1..)?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = rest.split_at(digits);
    let connection = if number.is_empty() {
        1
    } else {
        number.parse().ok()?
    };
    let (ends_line, content) = match (rest.strip_prefix(':'), rest.strip_prefix('~')) {
        (Some(content), _) => (true, content),
        (None, Some(content)) => (false, content),
        (None, None) => return None,
    };
    Some((
        side,
        connection,
        ends_line,
        content.strip_prefix(' ').unwrap_or(content),
    ))
}

fn read_line(connection: &mut BufReader<TcpStream>) -> Result<String, String> {
    let mut line = Vec::new();
    connection
        .read_until(b'\n', &mut line)
        .map_err(|error| format!("read: {error}"))?;
    if line.is_empty() {
        return Err("the server hung up".to_owned());
    }
    let text = String::from_utf8_lossy(&line);
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Whether `text` is `pattern`, where `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    true
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out: Vec<u8> = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next()? {
                'r' => out.push(b'\r'),
                'n' => out.push(b'\n'),
                't' => out.push(b'\t'),
                '\\' => out.push(b'\\'),
                'x' => {
                    let digits: String = chars.by_ref().take(2).collect();
                    out.push(u8::from_str_radix(&digits, 16).ok()?);
                }
                _ => return None,
            },
            '%' if chars.peek().is_some_and(char::is_ascii_digit) => {
                let mut count = 0_usize;
                while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                    count = count * 10 + usize::try_from(digit).ok()?;
                    chars.next();
                }
                let last = *out.last()?;
                out.extend(std::iter::repeat_n(last, count.saturating_sub(1)));
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("+OK", "+OK", true),
            ("+OK", "+OK 1", false),
            ("+OK *", "+OK 1", true),
            ("-ERR '*unknown*'", "-ERR 'an unknown thing'", true),
            ("-ERR '*unknown*'", "-ERR 'a known thing", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn escapes_and_repeats_are_bytes() {
        assert_eq!(unescape(r"a\x00\r\n"), Some(b"a\0\r\n".to_vec()));
        assert_eq!(unescape("a%4b"), Some(b"aaaab".to_vec()));
        assert_eq!(unescape(r"\q"), None);
    }

    #[test]
    fn steps_are_told_from_prose() {
        let transcript =
            Transcript::parse("t", "Clients send.\n! relevo\nC: PING\nS2: PONG\nC~ PI\n").unwrap();
        assert!(transcript.relevo_only);
        let connections: Vec<u32> = transcript
            .steps
            .iter()
            .map(|step| step.connection)
            .collect();
        assert_eq!(connections, [1, 2, 1]);
    }
}
