//! Headers between HTTP and messages.
//!
//! HTTP does not care about the case of a header's name and hands it over in lower case; NATS compares names exactly. So
//! the names that are kept are written as NATS spells them.

use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use relevo_client::Headers;
use relevo_protocol::headers::HeaderBlock;
use relevo_protocol::jetstream::publish::{MSG_ID, MSG_TTL, UP_TO_SEQUENCE};

use super::problem::{Problem, ProblemKind};

/// The longest id of a message, in bytes.
pub(crate) const ID_LEN_MAX: usize = 256;

/// Names that are not spelled with one capital letter a word.
const SPELLED_OTHERWISE: [&str; 3] = [MSG_TTL, UP_TO_SEQUENCE, "Nats-Schedule-TTL"];

/// What a request's headers say about the message in its body.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// `Idempotency-Key`, or else `Nats-Msg-Id`: a second message with it is not stored.
    pub(crate) id: Option<String>,
    /// `Content-Type` and the other `Nats-*` headers.
    pub(crate) headers: Headers,
}

/// Takes the headers that are kept with a message.
pub(crate) fn kept(request: &HeaderMap) -> Result<Kept, Problem> {
    let mut headers = Headers::new();
    let mut id = idempotency_key(request)?;
    for (name, value) in request {
        if name != CONTENT_TYPE && !name.as_str().starts_with("nats-") {
            continue;
        }
        let name = spelled(name.as_str());
        let value = std::str::from_utf8(value.as_bytes())
            .map_err(|_| bad(format_args!("header {name} is not UTF-8; send text")))?
            .trim();
        if name != MSG_ID {
            headers
                .append(&name, value)
                .map_err(|error| bad(format_args!("header {name}: {error}")))?;
        } else if id.as_deref().is_some_and(|id| id != value) {
            return Err(bad(format_args!(
                "Idempotency-Key and {MSG_ID} say different things; send one of them"
            )));
        } else {
            id = Some(checked_id(MSG_ID, value)?);
        }
    }
    Ok(Kept { id, headers })
}

/// Copies the headers of a reply into a response. What belongs to the connection, and what HTTP cannot hold, stays out.
pub(crate) fn copy_reply(reply: HeaderBlock<'_>, response: &mut HeaderMap) {
    for (name, value) in reply.iter() {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value))
        else {
            continue;
        };
        if !is_of_connection(&name) {
            if name == CONTENT_TYPE {
                response.insert(name, value);
            } else {
                response.append(name, value);
            }
        }
    }
}

fn idempotency_key(request: &HeaderMap) -> Result<Option<String>, Problem> {
    const NAME: &str = "Idempotency-Key";
    let Some(value) = request.get(NAME) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(value.as_bytes())
        .unwrap_or_default()
        .trim();
    // The draft has it in quotes, most people send it bare: both are the same key.
    let key = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    checked_id(NAME, key).map(Some)
}

fn checked_id(name: &str, id: &str) -> Result<String, Problem> {
    if id.is_empty() || id.len() > ID_LEN_MAX || id.chars().any(char::is_control) {
        return Err(bad(format_args!(
            "{name} takes 1 to {ID_LEN_MAX} bytes of text without control characters"
        )));
    }
    Ok(id.to_owned())
}

/// A header's name as NATS spells it.
fn spelled(name: &str) -> String {
    if let Some(known) = SPELLED_OTHERWISE
        .iter()
        .find(|known| known.eq_ignore_ascii_case(name))
    {
        return (*known).to_owned();
    }
    let mut begins_word = true;
    name.chars()
        .map(|c| {
            let c = if begins_word {
                c.to_ascii_uppercase()
            } else {
                c
            };
            begins_word = c == '-';
            c
        })
        .collect()
}

fn is_of_connection(name: &HeaderName) -> bool {
    [
        CONNECTION,
        CONTENT_LENGTH,
        DATE,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ]
    .contains(name)
        || name.as_str() == "keep-alive"
        || name.as_str().starts_with("proxy-")
}

fn bad(detail: std::fmt::Arguments<'_>) -> Problem {
    Problem::new(ProblemKind::BadHeader, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_bytes(value.as_bytes()).unwrap(),
                )
            })
            .collect()
    }

    fn check_kept(
        sent: &[(&'static str, &'static str)],
        id: Option<&str>,
        expected: &[(&str, &str)],
    ) {
        let kept = kept(&request(sent)).unwrap();
        assert_eq!(kept.id.as_deref(), id, "{sent:?}");
        assert_eq!(
            kept.headers.iter().collect::<Vec<_>>(),
            expected,
            "{sent:?}"
        );
    }

    #[test]
    fn content_type_and_nats_headers_are_kept_as_nats_spells_them() {
        check_kept(
            &[
                ("accept", "*/*"),
                ("content-type", "text/plain; charset=utf-8"),
                ("nats-ttl", "5s"),
                ("nats-expected-last-subject-sequence", "4"),
                ("x-other", "no"),
                ("relevo-delay", "1h"),
            ],
            None,
            &[
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Nats-TTL", "5s"),
                ("Nats-Expected-Last-Subject-Sequence", "4"),
            ],
        );
    }

    #[test]
    fn an_idempotency_key_is_the_id_of_the_message() {
        check_kept(&[("idempotency-key", "order-7")], Some("order-7"), &[]);
        check_kept(&[("idempotency-key", "\"order-7\"")], Some("order-7"), &[]);
        check_kept(&[("nats-msg-id", "order-7")], Some("order-7"), &[]);
        check_kept(
            &[
                ("nats-msg-id", "order-7"),
                ("idempotency-key", "\"order-7\""),
            ],
            Some("order-7"),
            &[],
        );
    }

    #[test]
    fn headers_that_make_no_sense_are_refused() {
        let check = |sent: &[(&'static str, &'static str)]| {
            assert_eq!(
                kept(&request(sent)).unwrap_err().kind,
                ProblemKind::BadHeader,
                "{sent:?}"
            );
        };
        check(&[("idempotency-key", "")]);
        check(&[("idempotency-key", "a"), ("nats-msg-id", "b")]);
        check(&[("nats-msg-id", "")]);
        let mut not_utf8 = HeaderMap::new();
        not_utf8.insert(CONTENT_TYPE, HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(kept(&not_utf8).unwrap_err().kind, ProblemKind::BadHeader);
    }

    #[test]
    fn a_reply_cannot_touch_the_connection() {
        let block = b"NATS/1.0\r\nContent-Type: text/plain\r\nX-Two: 1\r\nX-Two: 2\r\nTransfer-Encoding: chunked\r\n\
            Content-Length: 1\r\nConnection: close\r\nProxy-Authenticate: x\r\n\r\n";
        let mut response = request(&[("content-type", "application/octet-stream")]);
        copy_reply(HeaderBlock::parse(block).unwrap(), &mut response);
        let copied: Vec<_> = response
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        assert_eq!(
            copied,
            [
                ("content-type", "text/plain"),
                ("x-two", "1"),
                ("x-two", "2")
            ]
        );
    }
}
