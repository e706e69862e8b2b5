//! The original API: the actions of the system that relevo grew from, under their own names and in their own words.
//!
//! Every action takes GET or POST and answers 200 with `{"Respuesta": "…"}`, whatever happened. The caller of an action is
//! known by the address that it connects from, or by `?cliente=name`.

mod answer;
mod input;
mod mailbox;
mod queues;
mod topics;

use axum::Router;
use axum::routing::get;

use crate::http::Api;

/// The actions.
pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route(
            "/crearCola/{cola}",
            get(queues::create).post(queues::create),
        )
        .route(
            "/borrarCola/{cola}",
            get(queues::delete).post(queues::delete),
        )
        .route("/listarColas", get(queues::list).post(queues::list))
        .route(
            "/agregarElementoCola/{cola}/{*mensaje}",
            get(queues::push).post(queues::push),
        )
        .route("/verCola/{cola}", get(queues::view).post(queues::view))
        .route("/cCola/{cola}", get(queues::take).post(queues::take))
        .route(
            "/crearTopico/{topico}",
            get(topics::create).post(topics::create),
        )
        .route(
            "/eliminarTopico/{topico}",
            get(topics::delete).post(topics::delete),
        )
        .route(
            "/agregarMensajeTopico/{topico}/{*mensaje}",
            get(topics::publish).post(topics::publish),
        )
        .route(
            "/verMensajesTopico/{topico}",
            get(topics::view).post(topics::view),
        )
        .route(
            "/suscribirTopico/{topico}/{suscriptor}",
            get(topics::subscribe).post(topics::subscribe),
        )
        .route(
            "/conTopico/{topico}/{suscriptor}",
            get(topics::take).post(topics::take),
        )
        .route("/consumir", get(mailbox::take).post(mailbox::take))
}
