use relevo_protocol::subject::SubjectFilter;

use super::*;

const PEER_AWAY: &str = "peer away, nothing was written; try again";

fn name(text: &str) -> StreamName {
    StreamName::parse(text).unwrap()
}

fn subject(text: &str) -> SubjectRef<'_> {
    SubjectRef::parse(text.as_bytes()).unwrap()
}

fn added(stream: u64, text: &str, shard: u16, subjects: &[&str]) -> DirectoryChange {
    DirectoryChange::Added {
        stream: StreamId(stream),
        name: name(text),
        shard: ShardId(shard),
        subjects: subjects
            .iter()
            .map(|text| SubjectFilter::parse(text).unwrap())
            .collect(),
    }
}

fn removed(stream: u64, text: &str) -> DirectoryChange {
    DirectoryChange::Removed {
        stream: StreamId(stream),
        name: name(text),
    }
}

fn view() -> DirectoryView {
    let mut view = DirectoryView::new(3);
    view.apply(&added(1, "Q_jobs", 1, &["$Q.jobs"])).unwrap();
    view.apply(&added(2, "T_news", 2, &["$T.news", "$T.news.>"]))
        .unwrap();
    view
}

#[track_caller]
fn check(text: &str, expected: Target) {
    assert_eq!(view().target(subject(text)), expected, "{text}");
}

#[track_caller]
fn check_refused(text: &str, payload: &str) {
    let refusal = Refusal {
        headers: Bytes::new(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
    };
    check(text, Target::Refused(refusal));
}

#[track_caller]
fn check_unavailable(text: &str, headers: &str, payload: &str) {
    let refusal = view().unavailable(subject(text)).unwrap();
    assert_eq!(str::from_utf8(&refusal.headers).unwrap(), headers, "{text}");
    assert_eq!(str::from_utf8(&refusal.payload).unwrap(), payload, "{text}");
}

#[test]
fn a_publish_goes_to_the_shard_of_the_stream_that_keeps_its_subject() {
    check("$Q.jobs", Target::Stream(ShardId(1)));
    check("$T.news", Target::Stream(ShardId(2)));
    check("$T.news.sport.today", Target::Stream(ShardId(2)));
    check("$Q.other", Target::None);
    check("orders", Target::None);
    check("$JS.EVENT.ADVISORY.API", Target::None);
}

#[test]
fn requests_about_which_streams_there_are_go_to_the_directory() {
    for text in [
        "$JS.API.INFO",
        "$JS.API.STREAM.CREATE.new",
        "$JS.API.STREAM.UPDATE.new",
        "$JS.API.STREAM.DELETE.new",
        "$JS.API.STREAM.NAMES",
        "$JS.API.STREAM.LIST",
    ] {
        check(text, Target::Api(ShardId::DIRECTORY));
    }
}

#[test]
fn requests_about_one_stream_go_to_its_shard() {
    for text in [
        "$JS.API.STREAM.INFO.T_news",
        "$JS.API.STREAM.PURGE.T_news",
        "$JS.API.STREAM.MSG.GET.T_news",
        "$JS.API.STREAM.MSG.DELETE.T_news",
        "$JS.API.DIRECT.GET.T_news",
        "$JS.API.DIRECT.GET.T_news.$T.news.sport",
        "$JS.API.CONSUMER.CREATE.T_news",
        "$JS.API.CONSUMER.CREATE.T_news.me.$T.news",
        "$JS.API.CONSUMER.CREATE.T_news.me.$T.news.*",
        "$JS.API.CONSUMER.CREATE.T_news.me.$T.*.>",
        "$JS.API.CONSUMER.DURABLE.CREATE.T_news.me",
        "$JS.API.CONSUMER.INFO.T_news.me",
        "$JS.API.CONSUMER.DELETE.T_news.me",
        "$JS.API.CONSUMER.NAMES.T_news",
        "$JS.API.CONSUMER.LIST.T_news",
        "$JS.API.CONSUMER.MSG.NEXT.T_news.me",
    ] {
        check(text, Target::Api(ShardId(2)));
    }
}

#[test]
fn a_request_about_a_stream_that_is_not_there_is_refused_at_once() {
    check_refused(
        "$JS.API.STREAM.INFO.none",
        r#"{"type":"io.nats.jetstream.api.v1.stream_info_response","error":{"code":404,"err_code":10059,"description":"stream not found"},"total":0,"offset":0,"limit":0}"#,
    );
    check_refused(
        "$JS.API.CONSUMER.INFO.none.me",
        r#"{"type":"io.nats.jetstream.api.v1.consumer_info_response","error":{"code":404,"err_code":10059,"description":"stream not found"}}"#,
    );
}

#[test]
fn nobody_answers_what_no_endpoint_answers() {
    check("$JS.API.CONSUMER.MSG.NEXT.none.me", Target::None);
    check("$JS.API.DIRECT.GET.none", Target::None);
    check("$JS.API.NO.SUCH.THING", Target::None);
    check("$JS.API.STREAM.INFO", Target::None);
}

#[test]
fn an_ack_goes_to_the_shard_of_the_stream_it_names_in_either_form() {
    check("$JS.ACK.Q_jobs.workers.1.7.9.0.0", Target::Ack(ShardId(1)));
    check(
        "$JS.ACK._.hash.Q_jobs.workers.1.7.9.0.0",
        Target::Ack(ShardId(1)),
    );
    check(
        "$JS.ACK._.hash.Q_jobs.workers.1.7.9.0.0.tail",
        Target::Ack(ShardId(1)),
    );
    check("$JS.ACK.none.workers.1.7.9.0.0", Target::None);
    check("$JS.ACK.Q_jobs.workers", Target::None);
}

#[test]
fn an_unreachable_leader_is_answered_for_in_the_form_of_each_request() {
    check_unavailable(
        "$Q.jobs",
        "",
        &format!(
            r#"{{"error":{{"code":503,"err_code":10008,"description":"{PEER_AWAY}"}},"stream":"Q_jobs","seq":0}}"#
        ),
    );
    check_unavailable(
        "$JS.API.STREAM.CREATE.new",
        "",
        &format!(
            r#"{{"type":"io.nats.jetstream.api.v1.stream_create_response","error":{{"code":503,"err_code":10008,"description":"{PEER_AWAY}"}}}}"#
        ),
    );
    let status = format!("NATS/1.0 503 {PEER_AWAY}\r\n\r\n");
    check_unavailable("$JS.API.CONSUMER.MSG.NEXT.Q_jobs.workers", &status, "");
    check_unavailable("$JS.API.DIRECT.GET.T_news", &status, "");
    check_unavailable("$JS.ACK.Q_jobs.workers.1.7.9.0.0", &status, "");
    assert_eq!(view().unavailable(subject("orders")), None);
}

#[test]
fn every_change_raises_the_generation_and_shows() {
    let mut view = view();
    let before = view.generation();
    view.apply(&added(3, "more", 2, &["orders.>"])).unwrap();
    assert!(view.generation() > before);
    assert_eq!(
        view.target(subject("orders.eu")),
        Target::Stream(ShardId(2))
    );
    assert_eq!(view.shard_of(&name("more")), Some(ShardId(2)));

    view.apply(&removed(3, "more")).unwrap();
    assert_eq!(view.target(subject("orders.eu")), Target::None);
    assert_eq!(view.shard_of(&name("more")), None);
    assert_eq!(view.target(subject("$Q.jobs")), Target::Stream(ShardId(1)));

    view.apply(&DirectoryChange::Reset).unwrap();
    assert_eq!(view.target(subject("$Q.jobs")), Target::None);
}

#[test]
fn a_stream_shown_again_has_its_new_subjects_only() {
    let mut view = view();
    view.apply(&added(9, "Q_jobs", 2, &["new"])).unwrap();
    assert_eq!(view.target(subject("$Q.jobs")), Target::None);
    assert_eq!(view.target(subject("new")), Target::Stream(ShardId(2)));
    view.apply(&removed(1, "Q_jobs")).unwrap();
    assert_eq!(
        view.target(subject("new")),
        Target::Stream(ShardId(2)),
        "that was the stream before it"
    );
}
