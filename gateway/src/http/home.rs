//! `GET /`: what can be done here, with lines to try.

use std::net::SocketAddr;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, HOST, VARY};
use axum::http::uri::Authority;
use axum::response::{Html, IntoResponse, Response};

use super::Api;

/// The page: HTML for a browser, text for anyone else.
pub(super) async fn home(State(api): State<Api>, headers: HeaderMap) -> Response {
    let text = text(
        &authority(&headers, api.http_addr()),
        api.nats_addr(),
        api.serves_original(),
    );
    if accepts_html(&headers) {
        ([(VARY, "accept")], Html(html(&text))).into_response()
    } else {
        ([(VARY, "accept")], text).into_response()
    }
}

fn accepts_html(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|value| {
        value
            .to_str()
            .is_ok_and(|value| value.contains("text/html"))
    })
}

/// The host and port that the client knows us by.
fn authority(headers: &HeaderMap, http_addr: SocketAddr) -> Authority {
    let told = headers
        .get(HOST)
        .and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let plain = told.filter(|host| {
        host.as_str()
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
    });
    let bound = || Authority::try_from(http_addr.to_string());
    plain
        .or_else(|| bound().ok())
        .unwrap_or_else(|| Authority::from_static("127.0.0.1:8080"))
}

fn text(http: &Authority, nats: SocketAddr, original: bool) -> String {
    let host = http.host();
    let nats_port = nats.port();
    let mut text = format!(
        "relevo: queues and topics for two machines

A queue hands each message to one worker, until it is acknowledged.
  curl -X PUT http://{http}/v1/queues/jobs
  curl -d hello http://{http}/v1/queues/jobs/messages
  curl -X POST 'http://{http}/v1/queues/jobs/receive?wait=5s'
  curl -X DELETE http://{http}/v1/leases/LEASE             (the lease that receive showed)
  curl http://{http}/v1/queues

A topic keeps messages for everyone who reads it.
  curl -X PUT http://{http}/v1/topics/news
  curl -d first http://{http}/v1/topics/news/messages
  curl 'http://{http}/v1/topics/news/messages?from=first&limit=20'
  curl -N 'http://{http}/v1/topics/news/events?from=first'

A subject reaches whoever listens at the moment.
  curl -d hello http://{http}/v1/subjects/greetings
  curl -d 21 'http://{http}/v1/subjects/double?reply=5s'   (answered when a service listens there)

Health: curl http://{http}/healthz
The same by hand, a line at a time, and for any NATS client: telnet {host} {nats_port}, then HELP
"
    );
    if original {
        text.push_str(&format!(
            "
The original API is on:
  curl http://{http}/crearCola/trabajos
  curl http://{http}/agregarElementoCola/trabajos/hola
  curl http://{http}/verCola/trabajos
"
        ));
    }
    text
}

fn html(text: &str) -> String {
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>relevo</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <style>body {{ margin: 2rem; }} pre {{ font: 1rem/1.5 monospace; overflow-x: auto; }}</style>\n\
         </head>\n<body>\n<pre>{escaped}</pre>\n</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_lines_to_try_name_the_host_that_the_client_used() {
        let check = |host: Option<&'static [u8]>, expected: &str| {
            let mut headers = HeaderMap::new();
            if let Some(host) = host {
                headers.insert(HOST, HeaderValue::from_bytes(host).unwrap());
            }
            assert_eq!(authority(&headers, address("127.0.0.1:8080")), expected);
        };
        check(Some(b"bus.example:80"), "bus.example:80");
        check(Some(b"[::1]:8080"), "[::1]:8080");
        check(Some(b"a'b"), "127.0.0.1:8080");
        check(Some(b"a/b"), "127.0.0.1:8080");
        check(Some(b"\xff"), "127.0.0.1:8080");
        check(None, "127.0.0.1:8080");
    }

    #[test]
    fn every_door_is_named() {
        let text = text(
            &Authority::from_static("bus:8080"),
            address("127.0.0.1:4222"),
            false,
        );
        assert!(text.contains("curl -d hello http://bus:8080/v1/queues/jobs/messages"));
        assert!(text.contains("telnet bus 4222"));
        assert!(!text.contains("crearCola"));
    }

    #[test]
    fn a_browser_gets_html() {
        let check = |accept: &'static str, expected| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(accepts_html(&headers), expected, "{accept}");
        };
        check("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", true);
        check("*/*", false);
        assert!(html("a <b> & c").contains("<pre>a &lt;b&gt; &amp; c</pre>"));
    }
}
