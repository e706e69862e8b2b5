//! The status lines that answer pull requests and direct gets in place of a message.

use std::borrow::Cow;
use std::fmt;

use super::publish::{PENDING_BYTES, PENDING_MESSAGES};

/// A status: a message whose header block begins with `NATS/1.0 <code> <description>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The number, as HTTP numbers.
    pub code: u16,
    /// The text; may be empty.
    pub description: Cow<'static, str>,
}

impl Status {
    /// The consumer still serves the request.
    pub const IDLE_HEARTBEAT: Self = Self::fixed(100, "Idle Heartbeat");
    /// A push consumer waits for an answer before it goes on.
    pub const FLOW_CONTROL: Self = Self::fixed(100, "FlowControl Request");
    /// The end of a direct get batch.
    pub const END_OF_BATCH: Self = Self::fixed(204, "EOB");
    /// There is nothing, and the request does not wait.
    pub const NO_MESSAGES: Self = Self::fixed(404, "No Messages");
    /// There is no such message.
    pub const MESSAGE_NOT_FOUND: Self = Self::fixed(404, "Message Not Found");
    /// No message matches a direct get batch.
    pub const NO_RESULTS: Self = Self::fixed(404, "No Results");
    /// The request does not wait, and earlier requests take all there is.
    pub const REQUESTS_PENDING: Self = Self::fixed(408, "Requests Pending");
    /// The request waited as long as it asked for.
    pub const REQUEST_TIMEOUT: Self = Self::fixed(408, "Request Timeout");
    /// The request's reply subject has lost its subscriber.
    pub const INTEREST_EXPIRED: Self = Self::fixed(408, "Interest Expired");
    /// The request contradicts itself.
    pub const BAD_REQUEST: Self = Self::fixed(408, "Bad Request");
    /// A direct get without a body.
    pub const EMPTY_REQUEST: Self = Self::fixed(408, "Empty Request");
    /// A direct get whose body is not the JSON it should be.
    pub const MALFORMED_REQUEST: Self = Self::fixed(408, "Malformed Request");
    /// The request is done though bytes of its allowance remain.
    pub const BATCH_COMPLETED: Self = Self::fixed(409, "Batch Completed");
    /// The consumer was deleted.
    pub const CONSUMER_DELETED: Self = Self::fixed(409, "Consumer Deleted");
    /// Pull requests are not served by a push consumer.
    pub const CONSUMER_IS_PUSH_BASED: Self = Self::fixed(409, "Consumer is push based");
    /// Too many requests wait at this consumer.
    pub const EXCEEDED_MAX_WAITING: Self = Self::fixed(409, "Exceeded MaxWaiting");
    /// Another broker leads now; ask again.
    pub const LEADERSHIP_CHANGE: Self = Self::fixed(409, "Leadership Change");
    /// The next message is larger than the request allows.
    pub const MESSAGE_SIZE_EXCEEDS_MAX_BYTES: Self =
        Self::fixed(409, "Message Size Exceeds MaxBytes");
    /// The broker stops.
    pub const SERVER_SHUTDOWN: Self = Self::fixed(409, "Server Shutdown");
    /// The request asks for a newer API than this one.
    pub const REQUIRED_API_LEVEL: Self = Self::fixed(412, "Required Api Level");
    /// A direct get that matches too many subjects.
    pub const TOO_MANY_RESULTS: Self = Self::fixed(413, "Too Many Results");
    /// Too many requests at once.
    pub const TOO_MANY_REQUESTS: Self = Self::fixed(429, "Too Many Requests");
    /// Nobody listens on the subject.
    pub const NO_RESPONDERS: Self = Self::fixed(503, "");

    /// A pull request that can not be read or contradicts itself.
    pub fn bad_pull_request(detail: &str) -> Self {
        let detail: String = detail
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        Self {
            code: 400,
            description: Cow::Owned(format!("Bad Request - {detail}")),
        }
    }

    /// A pull request asks for a larger batch than the consumer allows.
    pub fn exceeded_max_request_batch(limit: i64) -> Self {
        Self {
            code: 409,
            description: Cow::Owned(format!("Exceeded MaxRequestBatch of {limit}")),
        }
    }

    /// A pull request asks to wait longer than the consumer allows.
    pub fn exceeded_max_request_expires(limit: std::time::Duration) -> Self {
        let limit = crate::time::format_duration(limit);
        Self {
            code: 409,
            description: Cow::Owned(format!("Exceeded MaxRequestExpires of {limit}")),
        }
    }

    /// A pull request asks for more bytes than the consumer allows.
    pub fn exceeded_max_request_max_bytes(limit: i64) -> Self {
        Self {
            code: 409,
            description: Cow::Owned(format!("Exceeded MaxRequestMaxBytes of {limit}")),
        }
    }

    /// The header block: the status line, `headers`, an empty line.
    pub fn header_block(&self, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut block = format!("{self}\r\n");
        for (name, value) in headers {
            block.push_str(name);
            block.push_str(": ");
            block.push_str(value);
            block.push_str("\r\n");
        }
        block.push_str("\r\n");
        block.into_bytes()
    }

    /// The header block that ends a pull request: with how many messages and bytes of its allowance were not used.
    pub fn header_block_with_pending(&self, messages: u64, bytes: u64) -> Vec<u8> {
        self.header_block(&[
            (PENDING_MESSAGES, &messages.to_string()),
            (PENDING_BYTES, &bytes.to_string()),
        ])
    }

    /// Reads the first line of a header block; `None` when it carries no status.
    pub fn parse(line: &str) -> Option<Self> {
        let rest = line.strip_prefix(HEADER_VERSION)?.trim();
        let (code, description) = rest.split_once(' ').unwrap_or((rest, ""));
        let code = code.parse().ok()?;
        Some(Self {
            code,
            description: Cow::Owned(description.trim().to_owned()),
        })
    }

    const fn fixed(code: u16, description: &'static str) -> Self {
        Self {
            code,
            description: Cow::Borrowed(description),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HEADER_VERSION} {}", self.code)?;
        if !self.description.is_empty() {
            write!(f, " {}", self.description)?;
        }
        Ok(())
    }
}

/// What every header block begins with.
const HEADER_VERSION: &str = "NATS/1.0";

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: Status, line: &str) {
        assert_eq!(status.to_string(), line);
        assert_eq!(Status::parse(line), Some(status));
    }

    #[test]
    fn status_lines_are_those_that_clients_compare_with() {
        check(Status::IDLE_HEARTBEAT, "NATS/1.0 100 Idle Heartbeat");
        check(Status::FLOW_CONTROL, "NATS/1.0 100 FlowControl Request");
        check(Status::END_OF_BATCH, "NATS/1.0 204 EOB");
        check(Status::NO_MESSAGES, "NATS/1.0 404 No Messages");
        check(Status::MESSAGE_NOT_FOUND, "NATS/1.0 404 Message Not Found");
        check(Status::REQUEST_TIMEOUT, "NATS/1.0 408 Request Timeout");
        check(Status::BATCH_COMPLETED, "NATS/1.0 409 Batch Completed");
        check(Status::CONSUMER_DELETED, "NATS/1.0 409 Consumer Deleted");
        check(
            Status::CONSUMER_IS_PUSH_BASED,
            "NATS/1.0 409 Consumer is push based",
        );
        check(
            Status::EXCEEDED_MAX_WAITING,
            "NATS/1.0 409 Exceeded MaxWaiting",
        );
        check(Status::LEADERSHIP_CHANGE, "NATS/1.0 409 Leadership Change");
        check(
            Status::MESSAGE_SIZE_EXCEEDS_MAX_BYTES,
            "NATS/1.0 409 Message Size Exceeds MaxBytes",
        );
        check(Status::SERVER_SHUTDOWN, "NATS/1.0 409 Server Shutdown");
        check(Status::NO_RESPONDERS, "NATS/1.0 503");
        check(
            Status::exceeded_max_request_batch(5),
            "NATS/1.0 409 Exceeded MaxRequestBatch of 5",
        );
        check(
            Status::exceeded_max_request_expires(std::time::Duration::from_secs(90)),
            "NATS/1.0 409 Exceeded MaxRequestExpires of 1m30s",
        );
        check(
            Status::exceeded_max_request_max_bytes(5),
            "NATS/1.0 409 Exceeded MaxRequestMaxBytes of 5",
        );
    }

    #[test]
    fn a_status_ends_a_pull_request_with_what_it_left_over() {
        assert_eq!(
            Status::REQUEST_TIMEOUT.header_block_with_pending(3, 0),
            b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 3\r\nNats-Pending-Bytes: 0\r\n\r\n"
        );
        assert_eq!(
            Status::NO_RESPONDERS.header_block(&[]),
            b"NATS/1.0 503\r\n\r\n"
        );
    }

    #[test]
    fn a_reason_can_not_break_out_of_the_status_line() {
        let status = Status::bad_pull_request("a\r\nNats-Msg-Id: b");
        assert_eq!(
            status.to_string(),
            "NATS/1.0 400 Bad Request - a  Nats-Msg-Id: b"
        );
    }

    #[test]
    fn a_header_block_without_a_status_has_none() {
        for line in ["NATS/1.0", "NATS/1.0 ", "HTTP/1.1 200 OK", "", "NATS/1.0 x"] {
            assert_eq!(Status::parse(line), None, "{line}");
        }
    }
}
