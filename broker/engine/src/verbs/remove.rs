//! QUEUE DELETE, QUEUE PURGE and TOPIC DELETE.

use relevo_protocol::jetstream::api::{Purged, Success};
use relevo_protocol::jetstream::endpoint::Endpoint;

use super::answer::Answer;
use super::place::Place;
use super::plan::{Request, Step, outcome_unknown};

/// The plan of a verb that deletes.
#[derive(Debug)]
pub(super) struct Remove {
    place: Place,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Everything,
    Messages,
}

impl Remove {
    pub(super) const fn everything(place: Place) -> Self {
        Self {
            place,
            what: What::Everything,
        }
    }

    pub(super) const fn messages(place: Place) -> Self {
        Self {
            place,
            what: What::Messages,
        }
    }

    pub(super) fn begin(&self) -> Request {
        let stream = self.place.stream();
        Request::api_bare(&match self.what {
            What::Everything => Endpoint::StreamDelete(stream),
            What::Messages => Endpoint::StreamPurge(stream),
        })
    }

    pub(super) fn answer(&self, answer: &Answer) -> Step {
        let done = match self.what {
            What::Everything => answer
                .api::<Success>()
                .map(|_| format!("deleted {}", self.place.name())),
            What::Messages => answer
                .api::<Purged>()
                .map(|purged| format!("purged {}", purged.purged)),
        };
        match done {
            Ok(text) => Step::ok(&text),
            Err(failure) => Step::err(&self.place.sentence(&failure)),
        }
    }

    pub(super) fn time_over(&self) -> String {
        let verb = match self.what {
            What::Everything => "DELETE",
            What::Messages => "PURGE",
        };
        outcome_unknown(&format!(
            "send {} {verb} {} again",
            self.place.verb(),
            self.place.name()
        ))
    }
}
