//! CREATE, DELETE, PURGE, INFO, LIST.

use relevo_protocol::convention::queue::{self, QueueOptions};
use relevo_protocol::convention::topic::{self, TopicOptions};
use relevo_protocol::jetstream::api::{
    ConsumerCreateRequest, Page, StreamConfigRequest, StreamCreated, StreamInfoAnswer, StreamList,
};
use relevo_protocol::jetstream::consumer::{ConsumerConfig, ConsumerInfo, SequenceInfo};
use relevo_protocol::jetstream::json;
use relevo_protocol::jetstream::stream::{ClusterInfo, StreamConfig, StreamInfo, StreamState};
use relevo_protocol::name::{QueueName, TopicName};
use relevo_protocol::time::Timestamp;
use serde::Serialize;

use super::script::{check, client_sends};
use crate::input::Monotonic;
use crate::verbs::{Output, Verbs};

fn text(value: &impl Serialize) -> String {
    String::from_utf8(json::encode(value)).unwrap()
}

fn jobs() -> QueueName {
    QueueName::parse("jobs").unwrap()
}

fn news() -> TopicName {
    TopicName::parse("news").unwrap()
}

fn info(config: StreamConfig, messages: u64) -> StreamInfo {
    StreamInfo {
        config,
        created: Timestamp::UNIX_EPOCH,
        state: StreamState {
            messages,
            bytes: 10 * messages,
            first_seq: 1,
            last_seq: messages,
            ..Default::default()
        },
        domain: String::new(),
        cluster: Some(ClusterInfo {
            leader: "a".to_owned(),
            ..Default::default()
        }),
        mirror: None,
        sources: Vec::new(),
        alternates: Vec::new(),
        ts: Timestamp::UNIX_EPOCH,
    }
}

fn created(config: StreamConfig, did_create: bool) -> String {
    text(&StreamCreated {
        info: info(config, 0),
        did_create,
    })
}

fn told(config: StreamConfig, messages: u64) -> String {
    text(&StreamInfoAnswer {
        page: Page::default(),
        info: info(config, messages),
    })
}

fn workers(config: ConsumerConfig, leased: u64) -> String {
    text(&ConsumerInfo {
        stream_name: queue::stream_name(&jobs()),
        name: queue::workers(),
        created: Timestamp::UNIX_EPOCH,
        config,
        delivered: SequenceInfo::default(),
        ack_floor: SequenceInfo::default(),
        num_ack_pending: leased,
        num_redelivered: 0,
        num_waiting: 0,
        num_pending: 0,
        cluster: None,
        push_bound: false,
        paused: false,
        pause_remaining: std::time::Duration::ZERO,
        ts: Timestamp::UNIX_EPOCH,
        priority_groups: Vec::new(),
    })
}

fn error(code: u16, err_code: u16, description: &str) -> String {
    format!(r#"{{"error":{{"code":{code},"err_code":{err_code},"description":"{description}"}}}}"#)
}

/// The queue as stream and consumer, with these options.
fn queue_of(options: &[(&str, &str)]) -> (StreamConfig, ConsumerConfig) {
    let mut set = QueueOptions::default();
    for (name, value) in options {
        set.set(name, value).unwrap();
    }
    (
        queue::stream_config(&jobs(), &set),
        queue::consumer_config(&jobs(), &set),
    )
}

#[test]
fn creating_a_queue_makes_its_stream_and_then_its_workers() {
    let (stream, consumer) = queue_of(&[]);
    check(&format!(
        "
        > QUEUE CREATE jobs
        ? 0 $JS.API.STREAM.CREATE.Q_jobs ...
        ! 0 {}
        ? 1 $JS.API.CONSUMER.DURABLE.CREATE.Q_jobs.workers ...
        ! 1 {}
        < +OK created jobs
        ",
        created(stream, true),
        workers(consumer, 0)
    ));
}

#[test]
fn the_bodies_of_a_creation_are_what_the_convention_says() {
    let (stream, consumer) = queue_of(&[("lease", "10s"), ("max_messages", "5")]);
    let mut verbs = Verbs::new(1024);
    let mut out = Output::default();
    let now = Monotonic(0);
    client_sends(
        &mut verbs,
        now,
        "QUEUE CREATE jobs lease=10s max_messages=5\r\n",
        &mut out,
    );
    let ask = out.asks.pop().unwrap();
    let request: StreamConfigRequest = json::decode(&ask.payload).unwrap();
    assert_eq!(request.config, stream);

    let answer = crate::verbs::Answer {
        payload: created(stream, true).into(),
        ..Default::default()
    };
    verbs.answer(now, ask.id.unwrap(), answer, &mut out);
    let request: ConsumerCreateRequest = json::decode(&out.asks.pop().unwrap().payload).unwrap();
    assert_eq!(request.config, consumer);
}

#[test]
fn creating_a_queue_again_heals_one_whose_workers_were_never_made() {
    let (stream, consumer) = queue_of(&[]);
    check(&format!(
        "
        > QUEUE CREATE jobs
        ? 0 $JS.API.STREAM.CREATE.Q_jobs ...
        ! 0 {}
        ? 1 $JS.API.CONSUMER.DURABLE.CREATE.Q_jobs.workers ...
        ! 1 {}
        < +OK exists jobs
        ",
        created(stream, false),
        workers(consumer, 0)
    ));
}

#[test]
fn a_queue_with_other_options_is_refused_with_what_differs() {
    let (stream, consumer) = queue_of(&[("lease", "10s"), ("max_messages", "5")]);
    check(&format!(
        "
        > QUEUE CREATE jobs max_bytes=1MiB
        ? 0 $JS.API.STREAM.CREATE.Q_jobs ...
        ! 0 {}
        ? 1 $JS.API.STREAM.INFO.Q_jobs
        ! 1 {}
        ? 2 $JS.API.CONSUMER.INFO.Q_jobs.workers
        ! 2 {}
        < -ERR 'queue jobs exists with lease=10s instead of lease=30s, max_bytes=none instead of max_bytes=1048576, max_messages=5 instead of max_messages=none; choose another name, or QUEUE DELETE jobs first'
        ",
        error(400, 10058, "stream name already in use with a different configuration"),
        told(stream, 0),
        workers(consumer, 0),
    ));
}

#[test]
fn another_lease_is_found_at_the_workers() {
    let (stream, consumer) = queue_of(&[("lease", "10s")]);
    check(&format!(
        "
        > QUEUE CREATE jobs
        ? 0 $JS.API.STREAM.CREATE.Q_jobs ...
        ! 0 {}
        ? 1 $JS.API.CONSUMER.DURABLE.CREATE.Q_jobs.workers ...
        ! 1 {}
        ? 2 $JS.API.STREAM.INFO.Q_jobs
        ! 2 {}
        ? 3 $JS.API.CONSUMER.INFO.Q_jobs.workers
        ! 3 {}
        < -ERR 'queue jobs exists with lease=10s instead of lease=30s; choose another name, or QUEUE DELETE jobs first'
        ",
        created(stream.clone(), false),
        error(400, 10148, "consumer already exists"),
        told(stream, 0),
        workers(consumer, 0),
    ));
}

#[test]
fn a_queue_that_differs_only_in_what_no_option_says_is_the_same() {
    let (mut stream, consumer) = queue_of(&[]);
    stream.description = "made by hand".to_owned();
    check(&format!(
        "
        > QUEUE CREATE jobs
        ? 0 $JS.API.STREAM.CREATE.Q_jobs ...
        ! 0 {}
        ? 1 $JS.API.STREAM.INFO.Q_jobs
        ! 1 {}
        ? 2 $JS.API.CONSUMER.INFO.Q_jobs.workers
        ! 2 {}
        ? 3 $JS.API.CONSUMER.DURABLE.CREATE.Q_jobs.workers ...
        ! 3 {}
        < +OK exists jobs
        ",
        error(
            400,
            10058,
            "stream name already in use with a different configuration"
        ),
        told(stream, 0),
        error(404, 10014, "consumer not found"),
        workers(consumer, 0),
    ));
}

#[test]
fn a_creation_that_is_refused_or_not_answered_says_what_to_do() {
    check(&format!(
        "
        > QUEUE CREATE jobs
        ? 0 $JS.API.STREAM.CREATE.Q_jobs ...
        ! 0 {}
        < -ERR 'peer away, nothing was written; try again'
        > TOPIC CREATE news
        ? 1 $JS.API.STREAM.CREATE.T_news ...
        @ 5s
        < -ERR 'no answer within 5s, the outcome is unknown; send TOPIC CREATE news again, that changes nothing when it is done'
        ",
        error(503, 10008, "peer away, nothing was written; try again"),
    ));
}

#[test]
fn creating_a_topic_makes_its_stream_alone() {
    let stream = topic::stream_config(&news(), &TopicOptions::default());
    let mut other = TopicOptions::default();
    other.set("max_age", "1h").unwrap();
    check(&format!(
        "
        > TOPIC CREATE news
        ? 0 $JS.API.STREAM.CREATE.T_news ...
        ! 0 {}
        < +OK created news
        > TOPIC CREATE news
        ? 1 $JS.API.STREAM.CREATE.T_news ...
        ! 1 {}
        < +OK exists news
        > TOPIC CREATE news
        ? 2 $JS.API.STREAM.CREATE.T_news ...
        ! 2 {}
        ? 3 $JS.API.STREAM.INFO.T_news
        ! 3 {}
        < -ERR 'topic news exists with max_age=1h instead of max_age=none; choose another name, or TOPIC DELETE news first'
        ",
        created(stream.clone(), true),
        created(stream, false),
        error(400, 10058, "stream name already in use with a different configuration"),
        told(topic::stream_config(&news(), &other), 0),
    ));
}

#[test]
fn deleting_and_purging_say_what_was_done() {
    check(&format!(
        r#"
        > QUEUE PURGE jobs
        ? 0 $JS.API.STREAM.PURGE.Q_jobs
        ! 0 {{"success":true,"purged":3}}
        < +OK purged 3
        > QUEUE DELETE jobs
        ? 1 $JS.API.STREAM.DELETE.Q_jobs
        ! 1 {{"success":true}}
        < +OK deleted jobs
        > QUEUE DELETE jobs
        ? 2 $JS.API.STREAM.DELETE.Q_jobs
        ! 2 {}
        < -ERR 'queue jobs does not exist; QUEUE CREATE jobs makes it'
        > TOPIC DELETE news
        ? 3 $JS.API.STREAM.DELETE.T_news
        @ 5s
        < -ERR 'no answer within 5s, the outcome is unknown; send TOPIC DELETE news again'
        "#,
        error(404, 10059, "stream not found"),
    ));
}

#[test]
fn info_is_one_line_of_json() {
    let (stream, consumer) = queue_of(&[]);
    check(&format!(
        r#"
        > QUEUE INFO jobs
        ? 0 $JS.API.STREAM.INFO.Q_jobs
        ! 0 {}
        ? 1 $JS.API.CONSUMER.INFO.Q_jobs.workers
        ! 1 {}
        < +OK {{"name":"jobs","messages":5,"bytes":50,"ready":3,"leased":2,"first_seq":1,"last_seq":5,"leader":"a"}}
        > TOPIC INFO news
        ? 2 $JS.API.STREAM.INFO.T_news
        ! 2 {}
        < +OK {{"name":"news","messages":5,"bytes":50,"ready":5,"leased":0,"first_seq":1,"last_seq":5,"leader":"a"}}
        > QUEUE INFO none
        ? 3 $JS.API.STREAM.INFO.Q_none
        ! 3 {}
        < -ERR 'queue none does not exist; QUEUE CREATE none makes it'
        "#,
        told(stream, 5),
        workers(consumer, 2),
        told(topic::stream_config(&news(), &TopicOptions::default()), 5),
        error(404, 10059, "stream not found"),
    ));
}

#[test]
fn a_list_is_read_page_by_page_and_shows_one_kind() {
    let (stream, _) = queue_of(&[]);
    let mut foreign = stream.clone();
    foreign.name = "orders".parse().unwrap();
    let mut more = stream.clone();
    more.name = "Q_more".parse().unwrap();
    let page = |offset, streams| {
        let page = Page {
            total: 3,
            offset,
            limit: 2,
        };
        text(&StreamList {
            page,
            streams,
            ..StreamList::default()
        })
    };
    check(&format!(
        r#"
        > QUEUE LIST
        ? 0 $JS.API.STREAM.LIST {{"subject":"$Q.*"}}
        ! 0 {}
        ? 1 $JS.API.STREAM.LIST {{"offset":2,"subject":"$Q.*"}}
        ! 1 {}
        < +OK 2
        < jobs 5
        < more 0
        > TOPIC LIST
        ? 2 $JS.API.STREAM.LIST {{"subject":"$T.>"}}
        ! 2 {}
        < +OK 0
        "#,
        page(0, vec![info(stream, 5), info(foreign, 1)]),
        page(2, vec![info(more, 0)]),
        text(&StreamList::default()),
    ));
}

#[test]
fn a_list_that_would_leave_something_out_is_refused() {
    let list = StreamList {
        missing: vec!["Q_jobs".parse().unwrap()],
        ..StreamList::default()
    };
    check(&format!(
        r#"
        > QUEUE LIST
        ? 0 $JS.API.STREAM.LIST {{"subject":"$Q.*"}}
        ! 0 {}
        < -ERR 'a broker is away and not all can be listed; try again'
        > QUEUE LIST
        ? 1 $JS.API.STREAM.LIST {{"subject":"$Q.*"}}
        ! 1 status 503
        < -ERR 'nobody answers for the directory; try again'
        "#,
        text(&list),
    ));
}
