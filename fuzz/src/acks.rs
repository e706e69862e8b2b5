//! Subjects and words that carry something: acks, leases, API endpoints, durations, sizes, times.

use relevo_protocol::convention::lease::Lease;
use relevo_protocol::jetstream::ack::{AckKind, AckSubject};
use relevo_protocol::jetstream::endpoint::Endpoint;
use relevo_protocol::size::{format_size, parse_size};
use relevo_protocol::time::{Timestamp, format_duration, parse_duration};

/// A subject, or an ack's body: what can be read is written as something that says the same.
pub fn fuzz_acks(data: &[u8]) {
    if let Ok(kind) = AckKind::parse(data) {
        assert_eq!(AckKind::parse(&kind.encode()), Ok(kind));
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(ack) = AckSubject::parse(text) {
        assert_eq!(AckSubject::parse(&ack.to_string()).as_ref(), Ok(&ack));
        if let Some(lease) = Lease::from_ack(&ack) {
            let subject = lease.ack_subject();
            assert_eq!(
                (&subject.stream, &subject.consumer),
                (&ack.stream, &ack.consumer)
            );
        }
    }
    if let Ok(lease) = Lease::parse(text) {
        assert_eq!(Lease::parse(&lease.to_string()).as_ref(), Ok(&lease));
        assert_eq!(Lease::from_ack(&lease.ack_subject()), Some(lease));
    }
    if let Ok(endpoint) = Endpoint::parse(text) {
        assert_eq!(Endpoint::parse(&endpoint.subject()).as_ref(), Ok(&endpoint));
    }
    if let Ok(duration) = parse_duration(text) {
        assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
    }
    if let Ok(size) = parse_size(text) {
        assert_eq!(parse_size(&format_size(size)), Ok(size));
    }
    if let Ok(time) = Timestamp::parse(text) {
        assert_eq!(Timestamp::parse(&time.to_string()), Ok(time));
    }
}
