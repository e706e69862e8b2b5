//! Request bodies, read up to a bound in size and time.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use relevo_protocol::size::format_size;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::problem::{Problem, ProblemKind};

/// How long a body may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(60);

/// The longest body of a request that only carries options, in bytes.
pub(crate) const OPTIONS_LEN_MAX: usize = 64 * 1024;

/// Reads a body of at most `len_max` bytes. Of a longer one no more is read than shows that it is longer.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    len_max: usize,
) -> Result<Bytes, Problem> {
    let told_len = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if told_len.is_some_and(|len| len > len_max as u64) {
        return Err(too_large(len_max));
    }
    timeout(BODY_TIME_MAX, collect(body, len_max))
        .await
        .map_err(|_| {
            let seconds = BODY_TIME_MAX.as_secs();
            Problem::new(
                ProblemKind::BodyTimeout,
                format_args!("a body has {seconds} seconds to arrive; send it again"),
            )
        })?
}

/// Reads a body of options: a JSON object, or nothing for the defaults.
pub(crate) async fn read_options<T: DeserializeOwned + Default>(
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Problem> {
    let bytes = read(headers, body, OPTIONS_LEN_MAX).await?;
    if bytes.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(&bytes).map_err(|error| {
        Problem::new(
            ProblemKind::BadOptions,
            format_args!("{error}; send a JSON object of options such as {{\"max_age\":\"1h\"}}, or nothing for the defaults"),
        )
    })
}

/// Reads the body of a request that has none.
pub(crate) async fn read_nothing(headers: &HeaderMap, body: Body) -> Result<(), Problem> {
    if read(headers, body, OPTIONS_LEN_MAX)
        .await?
        .trim_ascii()
        .is_empty()
    {
        return Ok(());
    }
    Err(Problem::new(
        ProblemKind::BadBody,
        "this request takes no body; say what you want in the query",
    ))
}

async fn collect(body: Body, len_max: usize) -> Result<Bytes, Problem> {
    let mut stream = body.into_data_stream();
    let Some(mut first) = next(&mut stream).await? else {
        return Ok(Bytes::new());
    };
    if first.len() > len_max {
        return Err(too_large(len_max));
    }
    let Some(second) = next(&mut stream).await? else {
        // Frees the rest of the read buffer that a small body is a slice of.
        first = Bytes::copy_from_slice(&first);
        return Ok(first);
    };
    let mut whole = BytesMut::from(first);
    let mut chunk = Some(second);
    while let Some(bytes) = chunk {
        if whole.len().saturating_add(bytes.len()) > len_max {
            return Err(too_large(len_max));
        }
        whole.extend_from_slice(&bytes);
        chunk = next(&mut stream).await?;
    }
    Ok(whole.freeze())
}

async fn next(stream: &mut axum::body::BodyDataStream) -> Result<Option<Bytes>, Problem> {
    stream.next().await.transpose().map_err(|error| {
        Problem::new(
            ProblemKind::BadBody,
            format_args!("the body broke off: {error}; send it again"),
        )
    })
}

fn too_large(len_max: usize) -> Problem {
    let size = format_size(len_max as u64);
    Problem::new(
        ProblemKind::TooLarge,
        format_args!(
            "a body here has at most {size}; send less, or store it elsewhere and send where it is"
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::http::HeaderValue;
    use futures_util::stream;
    use relevo_protocol::convention::queue::QueueOptions;

    use super::*;

    fn in_chunks(chunks: &[&'static str]) -> Body {
        let chunks: Vec<_> = chunks
            .iter()
            .map(|chunk| Ok::<_, Infallible>(Bytes::from_static(chunk.as_bytes())))
            .collect();
        Body::from_stream(stream::iter(chunks))
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_bound() {
        let check = async |chunks: &[&'static str], expected: Result<&str, ProblemKind>| {
            let read = read(&HeaderMap::new(), in_chunks(chunks), 6).await;
            let read = read.as_deref().map_err(|problem| problem.kind);
            assert_eq!(read, expected.map(str::as_bytes), "{chunks:?}");
        };
        check(&[], Ok("")).await;
        check(&["abcdef"], Ok("abcdef")).await;
        check(&["abc", "", "def"], Ok("abcdef")).await;
        check(&["abcdefg"], Err(ProblemKind::TooLarge)).await;
        check(&["abc", "defg"], Err(ProblemKind::TooLarge)).await;
    }

    #[tokio::test]
    async fn a_body_that_says_it_is_too_long_is_not_read_at_all() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("7"));
        let never = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        assert_eq!(
            read(&headers, never, 6).await.unwrap_err().kind,
            ProblemKind::TooLarge
        );
    }

    #[tokio::test]
    async fn options_are_a_json_object_or_nothing() {
        let check = async |text: &'static str, expected: Result<QueueOptions, &str>| {
            let read = read_options::<QueueOptions>(&HeaderMap::new(), Body::from(text)).await;
            match (&read, expected) {
                (Ok(options), Ok(expected)) => assert_eq!(*options, expected, "{text}"),
                (Err(problem), Err(part)) => {
                    assert_eq!(problem.kind, ProblemKind::BadOptions);
                    assert!(problem.detail.contains(part), "{}", problem.detail);
                }
                _ => panic!("{text}: {read:?}"),
            }
        };
        let lease = QueueOptions {
            lease: Duration::from_secs(5),
            ..QueueOptions::default()
        };
        check("", Ok(QueueOptions::default())).await;
        check(" \r\n", Ok(QueueOptions::default())).await;
        check("{}", Ok(QueueOptions::default())).await;
        check(r#"{"lease":"5s"}"#, Ok(lease)).await;
        check(r#"{"leese":"5s"}"#, Err("did you mean lease")).await;
        check(r#"{"lease":"5"}"#, Err("a duration from 100ms to 365d")).await;
        check("[]", Err("JSON object of options")).await;
        check("{", Err("JSON object of options")).await;
    }
}
