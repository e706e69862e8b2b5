//! A script at the HTTP door.

use std::io::{BufRead, BufReader, Read};

use serde_json::Value;
use ureq::http::{Request, Response};
use ureq::{Agent, Body};

use super::WAIT_MAX;

/// The HTTP door of a gateway, or the monitor of a broker.
#[derive(Clone, Debug)]
pub struct Http {
    agent: Agent,
    address: String,
}

/// An answer that came whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    head: Response<()>,
    body: Vec<u8>,
}

/// Server-sent events as they come.
pub struct Events {
    lines: std::io::Lines<BufReader<Box<dyn Read + Send>>>,
}

/// One server-sent event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// `id:`.
    pub id: String,
    /// `event:`.
    pub event: String,
    /// `data:`, which is JSON.
    pub data: Value,
}

impl Http {
    /// Requests to `host:port`; none takes longer than [`WAIT_MAX`].
    #[must_use]
    pub fn new(address: &str) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(WAIT_MAX))
            .http_status_as_error(false);
        Self {
            agent: config.build().into(),
            address: address.to_owned(),
        }
    }

    /// Sends a request.
    ///
    /// # Panics
    /// When no answer comes.
    #[must_use]
    pub fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Answer {
        let response = self.send(method, path, headers, body.as_ref());
        let (parts, body) = response.into_parts();
        let mut bytes = Vec::new();
        body.into_reader()
            .read_to_end(&mut bytes)
            .unwrap_or_else(|error| panic!("{method} {path}: read the answer: {error}"));
        Answer {
            status: parts.status.as_u16(),
            head: Response::from_parts(parts, ()),
            body: bytes,
        }
    }

    /// `GET`.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    /// `PUT`.
    #[must_use]
    pub fn put(&self, path: &str, body: &str) -> Answer {
        self.ask("PUT", path, &[], body)
    }

    /// `POST`.
    #[must_use]
    pub fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.ask("POST", path, &[], body)
    }

    /// `DELETE`.
    #[must_use]
    pub fn delete(&self, path: &str) -> Answer {
        self.ask("DELETE", path, &[], "")
    }

    /// `GET` of an event stream.
    ///
    /// # Panics
    /// When it is answered with anything else.
    #[must_use]
    pub fn events(&self, path: &str, headers: &[(&str, &str)]) -> Events {
        let response = self.send("GET", path, headers, b"");
        assert_eq!(response.status(), 200, "{path}");
        let kind = response.headers().get("content-type");
        assert_eq!(
            kind.expect("an answer names its type"),
            "text/event-stream",
            "{path}"
        );
        let reader: Box<dyn Read + Send> = Box::new(response.into_body().into_reader());
        Events {
            lines: BufReader::new(reader).lines(),
        }
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response<Body> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = if body.is_empty() {
            self.agent
                .run(request.body(()).expect("the test's requests are sound"))
        } else {
            self.agent
                .run(request.body(body).expect("the test's requests are sound"))
        };
        sent.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }
}

impl Answer {
    /// The body as text.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("not JSON: {}", String::from_utf8_lossy(&self.body)))
    }

    /// A header's value; empty when there is no such header.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.head.headers().get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The JSON of an answer that has this status.
    ///
    /// # Panics
    /// When it has another one.
    #[must_use]
    #[track_caller]
    pub fn expect_json(&self, status: u16) -> Value {
        self.expect(status);
        self.json()
    }

    /// Compares the status.
    ///
    /// # Panics
    /// When it is another one.
    #[track_caller]
    pub fn expect(&self, status: u16) {
        assert_eq!(
            self.status,
            status,
            "{}",
            String::from_utf8_lossy(&self.body)
        );
    }

    /// The detail of an `application/problem+json` with this status.
    ///
    /// # Panics
    /// When it is none, or says another status.
    #[must_use]
    #[track_caller]
    pub fn problem(&self, status: u16) -> String {
        let problem = self.expect_json(status);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(problem["status"], status);
        for member in ["type", "title", "detail"] {
            let text = problem[member].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "a problem says its {member}: {problem}");
        }
        problem["detail"].as_str().unwrap_or_default().to_owned()
    }
}

impl Events {
    /// The next event; comments and hints about reconnecting are passed over.
    ///
    /// # Panics
    /// When the stream ends.
    #[must_use]
    pub fn event(&mut self) -> Event {
        let mut event = Event {
            id: String::new(),
            event: String::new(),
            data: Value::Null,
        };
        loop {
            let line = self
                .lines
                .next()
                .expect("the stream of events goes on")
                .expect("the stream of events can be read");
            match line.split_once(": ") {
                Some(("id", id)) => id.clone_into(&mut event.id),
                Some(("event", name)) => name.clone_into(&mut event.event),
                Some(("data", data)) => {
                    event.data = serde_json::from_str(data).expect("data is JSON");
                }
                None if line.is_empty() && !event.event.is_empty() => return event,
                Some(_) | None => {}
            }
        }
    }
}
