//! A gateway from the outside, as far as it goes without a broker.

use std::net::SocketAddr;
use std::time::Instant;

use relevo_gateway::{Config, Door, Gateway, Limits, SHUTDOWN_MAX, StartError};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let of = |line: &'_ str| {
            line.split_once(": ")
                .filter(|(own, _)| own.eq_ignore_ascii_case(name))
                .is_some()
        };
        self.head
            .lines()
            .find(|line| of(line))
            .and_then(|line| line.split_once(": "))
            .map(|(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// An address that nothing listens on.
async fn nowhere() -> String {
    TcpListener::bind(any_port())
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}

async fn config(original_api: bool) -> Config {
    Config {
        nats: any_port(),
        http: any_port(),
        brokers: vec![nowhere().await],
        state: None,
        original_api,
        limits: Limits {
            body_len_max: 1000,
            ..Limits::default()
        },
    }
}

async fn gateway(original_api: bool) -> Gateway {
    Gateway::start(config(original_api).await).await.unwrap()
}

async fn exchange(gateway: &Gateway, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(gateway.http_addr()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

async fn ask(gateway: &Gateway, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let len = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: bus\r\nConnection: close\r\nContent-Length: {len}\r\n{headers}\r\n{body}"
    );
    exchange(gateway, request.as_bytes()).await
}

#[tokio::test]
async fn wrong_requests_are_told_what_is_wrong_before_any_broker_is_asked() {
    let gateway = gateway(false).await;
    let check = async |method: &str, path: &str, body: &str, status: u16, detail: &str| {
        let answer = ask(&gateway, method, path, "", body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(answer.json()["status"], status);
        assert_eq!(answer.json()["detail"], detail);
    };
    check(
        "GET",
        "/v2?x",
        "",
        404,
        "there is nothing at /v2; GET / shows what there is",
    )
    .await;
    check(
        "GET",
        "/crearCola/x",
        "",
        404,
        "there is nothing at /crearCola/x; GET / shows what there is",
    )
    .await;
    check(
        "PATCH",
        "/v1/queues/jobs",
        "",
        405,
        "/v1/queues/jobs does not take PATCH; the Allow header names what it takes",
    )
    .await;
    check(
        "PUT",
        "/v1/queues/a%20b",
        "",
        400,
        "queue name can not contain ' '; use letters, digits, '_' and '-'",
    )
    .await;
    check(
        "PUT",
        "/v1/topics/a.b",
        "",
        400,
        "topic name can not contain '.'; use letters, digits, '_' and '-'",
    )
    .await;
    check(
        "POST",
        "/v1/queues/jobs/receive?max=0",
        "",
        400,
        "max cannot be '0'; use a whole number from 1 to 1000",
    )
    .await;
    check(
        "POST",
        "/v1/queues/jobs/receive?wait=1h",
        "",
        400,
        "wait cannot be '1h'; use 0s to 1m",
    )
    .await;
    check(
        "POST",
        "/v1/queues/jobs/receive?wiat=1s",
        "",
        400,
        "unknown parameter 'wiat'; known: max, wait, lease",
    )
    .await;
    check(
        "POST",
        "/v1/queues/jobs/receive",
        "{}",
        400,
        "this request takes no body; say what you want in the query",
    )
    .await;
    check(
        "GET",
        "/v1/topics/news/messages?from=0",
        "",
        400,
        "from cannot be '0'; write first, last, a sequence from 1 on, or a time as 2026-01-31T12:00:00Z",
    )
    .await;
    check(
        "POST",
        "/v1/subjects/a.*",
        "",
        400,
        "subject has a wildcard; only a subscription may",
    )
    .await;
    check(
        "DELETE",
        "/v1/leases/nonsense",
        "",
        410,
        "this is not a lease; send it as receive gave it, for example jobs.7.1.9",
    )
    .await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_method_that_is_not_allowed_comes_with_those_that_are() {
    let gateway = gateway(false).await;
    let answer = ask(&gateway, "PATCH", "/v1/queues/jobs", "", "").await;
    assert_eq!(answer.header("allow"), Some("PUT,GET,HEAD,DELETE"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_unread_and_the_answer_arrives() {
    let gateway = gateway(false).await;
    let told =
        "POST /v1/queues/jobs/messages HTTP/1.1\r\nHost: bus\r\nContent-Length: 50000000\r\n\r\n";
    let answer = exchange(&gateway, told.as_bytes()).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.header("connection"), Some("close"));

    let chunk = format!("200\r\n{}\r\n", "x".repeat(0x200));
    let untold = format!(
        "POST /v1/queues/jobs/messages HTTP/1.1\r\nHost: bus\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        chunk.repeat(400)
    );
    assert_eq!(exchange(&gateway, untold.as_bytes()).await.status, 413);
    gateway.shutdown().await;
}

#[tokio::test]
async fn without_a_broker_nothing_was_done_and_the_client_is_told_when_to_try_again() {
    let gateway = gateway(false).await;
    let answer = ask(&gateway, "POST", "/v1/queues/jobs/messages", "", "hello").await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(
        answer.json(),
        json!({
            "type": "urn:relevo:problem:unavailable",
            "title": "Nothing was done; try again",
            "status": 503,
            "detail": "no broker answers; try again",
        })
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn health_names_the_brokers_that_do_not_answer() {
    let config = config(false).await;
    let broker = config.brokers[0].clone();
    let gateway = Gateway::start(config).await.unwrap();
    let answer = ask(&gateway, "GET", "/healthz", "", "").await;
    assert_eq!(answer.status, 503);
    let reason = answer.json()["reasons"][0].as_str().unwrap().to_owned();
    assert!(
        reason.starts_with(&format!("broker {broker} does not answer: ")),
        "{reason}"
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_first_page_is_html_for_a_browser_and_text_for_anyone_else() {
    let gateway = gateway(false).await;
    let text = ask(&gateway, "GET", "/", "Accept: */*\r\n", "").await;
    assert_eq!(
        text.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert!(text.body.contains("curl -X PUT http://bus/v1/queues/jobs"));
    let html = ask(&gateway, "GET", "/", "Accept: text/html\r\n", "").await;
    assert_eq!(
        html.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(html.body.starts_with("<!doctype html>"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_original_api_answers_in_its_own_words_when_asked_for() {
    let gateway = gateway(true).await;
    let check = async |method: &str, path: &str, expected: &str| {
        let answer = ask(&gateway, method, path, "", "").await;
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!({ "Respuesta": expected })),
            "{path}"
        );
    };
    check(
        "GET",
        "/crearCola/trabajos",
        "Todos los servidores estan fuera de servicio!",
    )
    .await;
    check(
        "POST",
        "/consumir?cliente=ana",
        "Todos los servidores estan fuera de servicio!",
    )
    .await;
    check(
        "GET",
        "/crearCola/a.b",
        "El nombre de la cola no puede contener '.'; usa letras, numeros, '_' y '-'",
    )
    .await;
    check(
        "GET",
        "/verCola/%FF",
        "La direccion no es UTF-8; escribe los nombres y mensajes en UTF-8",
    )
    .await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_nats_client_is_told_that_no_broker_answers() {
    let gateway = gateway(false).await;
    let mut stream = TcpStream::connect(gateway.nats_addr()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "-ERR 'no broker answers; try again'\r\n");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_gateway_that_cannot_start_says_why() {
    let taken = TcpListener::bind(any_port()).await.unwrap();
    let taken = taken.local_addr().unwrap();
    let check = async |change: fn(&mut Config, SocketAddr), expected: &str| {
        let mut config = config(false).await;
        change(&mut config, taken);
        let error = Gateway::start(config).await.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    };
    check(
        |config, _| config.brokers.clear(),
        "a gateway needs at least one broker",
    )
    .await;
    check(
        |config, _| config.brokers.push("b".to_owned()),
        "'b' is not the address of a broker: it has no port",
    )
    .await;
    check(
        |config, taken| config.state = Some(format!("/dev/null/{taken}").into()),
        "make the state directory",
    )
    .await;
}

#[tokio::test]
async fn a_door_that_is_taken_is_named() {
    let taken = TcpListener::bind(any_port()).await.unwrap();
    let address = taken.local_addr().unwrap();
    for door in [Door::Nats, Door::Http] {
        let mut config = config(false).await;
        match door {
            Door::Nats => config.nats = address,
            Door::Http => config.http = address,
        }
        match Gateway::start(config).await {
            Err(StartError::Bind {
                door: named,
                address: at,
                ..
            }) => assert_eq!((named, at), (door, address)),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn shutdown_closes_both_doors_within_its_bound() {
    let gateway = gateway(false).await;
    let doors = [gateway.nats_addr(), gateway.http_addr()];
    let mut quiet = TcpStream::connect(gateway.http_addr()).await.unwrap();
    let began = Instant::now();
    gateway.shutdown().await;
    assert!(began.elapsed() < SHUTDOWN_MAX);
    assert_eq!(quiet.read(&mut [0]).await.unwrap(), 0);
    for door in doors {
        assert!(TcpStream::connect(door).await.is_err());
    }
}
