//! Names in paths, parsed into the protocol's types before a handler runs.

use std::str::FromStr;

use axum::RequestPartsExt;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use relevo_protocol::name::NameError;
use relevo_protocol::subject::{Subject, SubjectError};

use super::problem::{Problem, ProblemKind};

/// The one parameter of a path as a name of kind `T`.
#[derive(Clone, Debug)]
pub(crate) struct Named<T>(pub(crate) T);

impl<S, T> FromRequestParts<S> for Named<T>
where
    S: Send + Sync,
    T: FromStr<Err = NameError> + Send,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let text = path_text(parts).await?;
        text.parse()
            .map(Self)
            .map_err(|error| Problem::new(ProblemKind::BadName, error))
    }
}

/// The one parameter of a path as a subject to publish to.
#[derive(Clone, Debug)]
pub(crate) struct OnSubject(pub(crate) Subject);

impl<S: Send + Sync> FromRequestParts<S> for OnSubject {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let text = path_text(parts).await?;
        Subject::parse(&text)
            .map(Self)
            .map_err(|error: SubjectError| Problem::new(ProblemKind::BadName, error))
    }
}

/// The one parameter of a path as text.
#[derive(Clone, Debug)]
pub(crate) struct Text(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Text {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        path_text(parts).await.map(Self)
    }
}

async fn path_text(parts: &mut Parts) -> Result<String, Problem> {
    let Path(text) = parts
        .extract::<Path<String>>()
        .await
        .map_err(|error| Problem::new(ProblemKind::BadName, error.body_text()))?;
    Ok(text)
}
