//! PUSH and POST.

use bytes::Bytes;
use relevo_protocol::headers::HeaderBuilder;
use relevo_protocol::jetstream::pub_ack::{self, PubAckError};
use relevo_protocol::jetstream::publish::{DELAY, KEY, MSG_ID, PRIORITY};
use relevo_protocol::time::format_duration;
use relevo_protocol::verb::PushOptions;

use super::answer::{Answer, Failure};
use super::place::Place;
use super::plan::{Request, Step, outcome_unknown};

/// The plan of PUSH or POST.
#[derive(Debug)]
pub(super) struct Push {
    place: Place,
    headers: Bytes,
    payload: Bytes,
    has_id: bool,
}

impl Push {
    pub(super) fn new(place: Place, options: &PushOptions, payload: Bytes) -> Self {
        Self {
            place,
            headers: headers(options),
            payload,
            has_id: options.id.is_some(),
        }
    }

    pub(super) fn begin(&self) -> Request {
        Request::new(
            self.place.subject(),
            self.headers.clone(),
            self.payload.clone(),
        )
    }

    pub(super) fn answer(&self, answer: &Answer) -> Step {
        if let Some(status) = answer.status() {
            return Step::err(&self.place.sentence(&Failure::Status(status)));
        }
        match pub_ack::decode(&answer.payload) {
            Ok(ack) if ack.duplicate => Step::ok(&format!("{} duplicate", ack.seq)),
            Ok(ack) => Step::ok(&ack.seq.to_string()),
            Err(PubAckError::Refused(error)) => {
                Step::err(&self.place.sentence(&Failure::Api(error)))
            }
            // Anybody may subscribe to the subject and answer; the stream's own answer is still to come.
            Err(PubAckError::Malformed) => Step::Wait,
        }
    }

    pub(super) fn time_over(&self) -> String {
        let name = self.place.name();
        match (&self.place, self.has_id) {
            (Place::Queue(_), true) => {
                outcome_unknown("push again with the same id=, it is kept only once")
            }
            (Place::Queue(_), false) => outcome_unknown(&format!(
                "QUEUE PEEK {name} shows whether it is there; with id= a push can be repeated safely"
            )),
            (Place::Topic(_), _) => {
                outcome_unknown(&format!("VIEW {name} from=last shows whether it is there"))
            }
        }
    }
}

/// The header block for the options, empty when none was given. A value that a header can not hold was refused when the
/// verb was read: words have no blanks and no line ends.
fn headers(options: &PushOptions) -> Bytes {
    let given = [
        (MSG_ID, options.id.clone()),
        (DELAY, options.delay.map(format_duration)),
        (
            PRIORITY,
            options.priority.map(|priority| priority.to_string()),
        ),
        (KEY, options.key.clone()),
    ];
    let mut block = HeaderBuilder::new();
    for (name, value) in given {
        if let Some(value) = value {
            block
                .append(name, &value)
                .expect("a word of a line has no line end");
        }
    }
    if block.is_empty() {
        Bytes::new()
    } else {
        block.finish()
    }
}
