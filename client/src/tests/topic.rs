use std::time::Duration;

use futures_util::StreamExt;
use relevo_protocol::convention::topic::{self as convention, TopicOptions};
use relevo_protocol::jetstream::consumer::{ConsumerConfig, SequenceInfo};
use relevo_protocol::jetstream::error::JetStreamError as Refusal;
use relevo_protocol::jetstream::stream::{StreamInfo, StreamState};
use relevo_protocol::name::TopicName;
use relevo_protocol::verb::StartFrom;
use serde_json::{Value, json};

use super::mock::{Mock, Peer, Published};
use super::queue::{consumer_info, stream_info};
use crate::client::Client;
use crate::error::JetStreamError;
use crate::follower::Follower;
use crate::jetstream::Creation;
use crate::push::PostOptions;
use crate::topic::Topic;

fn news_info(options: &TopicOptions) -> StreamInfo {
    let state = StreamState {
        messages: 5,
        bytes: 50,
        first_seq: 3,
        last_seq: 9,
        ..StreamState::default()
    };
    stream_info(
        convention::stream_config(&TopicName::parse("news").unwrap(), options),
        state,
    )
}

async fn setup() -> (Mock, Client, Peer, Topic) {
    let mock = Mock::new().await;
    let (client, peer) = mock
        .client_with(mock.options().request_timeout(Duration::from_secs(10)))
        .await;
    let topic = client.topic("news").unwrap();
    (mock, client, peer, topic)
}

fn body(request: &Published) -> Value {
    serde_json::from_str(&request.payload).unwrap()
}

#[tokio::test]
async fn a_topic_is_created_told_of_published_to_and_deleted() {
    let (_mock, client, mut peer, topic) = setup().await;
    let options = TopicOptions::default();
    let (created, ()) = tokio::join!(topic.create(&options), async {
        let request = peer.request("$JS.API.STREAM.CREATE.T_news").await;
        assert_eq!(body(&request)["subjects"], json!(["$T.news", "$T.news.>"]));
        peer.answer_json(&request, &news_info(&options)).await;
    });
    assert_eq!(created, Ok(Creation::Exists));
    let wanted = TopicOptions {
        max_messages: Some(1),
        ..TopicOptions::default()
    };
    let (created, ()) = tokio::join!(topic.create(&wanted), async {
        let request = peer.request("$JS.API.STREAM.CREATE.T_news").await;
        peer.refuse(&request, Refusal::StreamNameExists).await;
        let request = peer.request("$JS.API.STREAM.INFO.T_news").await;
        peer.answer_json(&request, &news_info(&options)).await;
    });
    assert!(created.unwrap_err().is_conflict());
    let (info, ()) = tokio::join!(topic.info(), async {
        let request = peer.request("$JS.API.STREAM.INFO.T_news").await;
        peer.answer_json(&request, &news_info(&options)).await;
    });
    assert_eq!(info.unwrap().messages, 5);
    let post = PostOptions {
        id: Some("i".into()),
        ..PostOptions::default()
    };
    let (posted, ()) = tokio::join!(topic.publish("hello", &post), async {
        let request = peer.request("$T.news").await;
        assert_eq!(
            (request.headers.as_str(), request.payload.as_str()),
            ("NATS/1.0\r\nNats-Msg-Id: i\r\n\r\n", "hello")
        );
        peer.answer_json(&request, &json!({"stream": "T_news", "seq": 10}))
            .await;
    });
    assert_eq!(posted.unwrap().seq, 10);
    let (topics, ()) = tokio::join!(client.topics(), async {
        let request = peer.request("$JS.API.STREAM.LIST").await;
        let page = json!({"total": 1, "offset": 0, "limit": 256, "streams": [news_info(&options)]});
        peer.answer_json(&request, &page).await;
    });
    assert_eq!(topics.unwrap()[0].name.as_str(), "news");
    let (deleted, ()) = tokio::join!(topic.delete(), async {
        let request = peer.request("$JS.API.STREAM.DELETE.T_news").await;
        peer.answer_json(&request, &json!({"success": true})).await;
    });
    assert_eq!(deleted, Ok(()));
}

/// The follower makes its consumer; gives the configuration that it asked for.
async fn make_consumer(peer: &mut Peer, name: &str, delivered: u64) -> Value {
    let request = peer.request("$JS.API.CONSUMER.CREATE.T_news").await;
    let mut info = consumer_info(ConsumerConfig::default(), "T_news", name, 0);
    info.delivered = SequenceInfo {
        stream_seq: delivered,
        ..SequenceInfo::default()
    };
    peer.answer_json(&request, &info).await;
    body(&request)["config"].clone()
}

async fn pull(peer: &mut Peer, name: &str) -> (String, String) {
    let (sid, request) = peer
        .request_with_inbox(&format!("$JS.API.CONSUMER.MSG.NEXT.T_news.{name}"))
        .await;
    assert_eq!(body(&request)["batch"], 512);
    (sid, request.reply)
}

async fn deliver(peer: &mut Peer, sid: &str, name: &str, seq: u64, delivery: u64) {
    let reply = format!("$JS.ACK.T_news.{name}.1.{seq}.{delivery}.1000.0");
    peer.deliver("$T.news", sid, &reply, &format!("m{seq}"))
        .await;
}

async fn open(
    peer: &mut Peer,
    topic: &Topic,
    from: StartFrom,
    delivered: u64,
) -> (Follower, Value) {
    let (follower, config) =
        tokio::join!(topic.follow(from), make_consumer(peer, "one", delivered));
    (follower.unwrap(), config)
}

async fn next_seq(follower: &mut Follower) -> u64 {
    follower.next().await.unwrap().unwrap().seq
}

#[tokio::test]
async fn a_follower_goes_on_behind_its_last_message_on_the_next_connection() {
    let (mock, _client, mut peer, topic) = setup().await;
    let (mut follower, config) = open(&mut peer, &topic, StartFrom::First, 0).await;
    assert_eq!(
        (&config["deliver_policy"], &config["ack_policy"]),
        (&json!("all"), &json!("none"))
    );
    let ((), ()) = tokio::join!(
        async {
            assert_eq!(next_seq(&mut follower).await, 3);
            assert_eq!(next_seq(&mut follower).await, 5);
            assert_eq!(next_seq(&mut follower).await, 6);
        },
        async {
            let (sid, reply) = pull(&mut peer, "one").await;
            peer.deliver_with(&reply, &sid, "NATS/1.0 100 Idle Heartbeat\r\n\r\n", "")
                .await;
            deliver(&mut peer, &sid, "one", 3, 1).await;
            deliver(&mut peer, &sid, "one", 5, 2).await;
            drop(peer);
            let mut peer = mock.welcome().await;
            let config = make_consumer(&mut peer, "two", 5).await;
            assert_eq!(
                (&config["deliver_policy"], &config["opt_start_seq"]),
                (&json!("by_start_sequence"), &json!(6))
            );
            let (sid, _) = pull(&mut peer, "two").await;
            deliver(&mut peer, &sid, "two", 6, 1).await;
        }
    );
}

#[tokio::test]
async fn a_gap_in_the_deliveries_begins_anew_behind_the_last_message() {
    let (_mock, _client, mut peer, topic) = setup().await;
    let (mut follower, _) = open(&mut peer, &topic, StartFrom::Sequence(3), 2).await;
    let ((), ()) = tokio::join!(
        async {
            assert_eq!(next_seq(&mut follower).await, 3);
            assert_eq!(next_seq(&mut follower).await, 4);
        },
        async {
            let (sid, _) = pull(&mut peer, "one").await;
            deliver(&mut peer, &sid, "one", 3, 1).await;
            deliver(&mut peer, &sid, "one", 5, 3).await;
            peer.expect(&format!("UNSUB {sid}")).await;
            let config = make_consumer(&mut peer, "two", 3).await;
            assert_eq!(config["opt_start_seq"], 4);
            let (sid, _) = pull(&mut peer, "two").await;
            deliver(&mut peer, &sid, "two", 4, 1).await;
        }
    );
}

#[tokio::test]
async fn a_consumer_that_was_forgotten_is_made_again_and_a_topic_that_is_gone_ends_the_follower() {
    let (_mock, _client, mut peer, topic) = setup().await;
    let (follower, _) = open(&mut peer, &topic, StartFrom::Last, 8).await;
    let mut stream = Box::pin(follower.into_stream());
    let (end, ()) = tokio::join!(stream.next(), async {
        let (sid, reply) = pull(&mut peer, "one").await;
        peer.deliver_with(&reply, &sid, "NATS/1.0 409 Consumer Deleted\r\n\r\n", "")
            .await;
        peer.expect(&format!("UNSUB {sid}")).await;
        let config = make_consumer(&mut peer, "two", 8).await;
        // The message that was the last one, not the one that is now.
        assert_eq!(
            (&config["deliver_policy"], &config["opt_start_seq"]),
            (&json!("by_start_sequence"), &json!(9))
        );
        let (sid, reply) = pull(&mut peer, "two").await;
        peer.deliver_with(&reply, &sid, "NATS/1.0 503\r\n\r\n", "")
            .await;
        peer.expect(&format!("UNSUB {sid}")).await;
        let request = peer.request("$JS.API.CONSUMER.CREATE.T_news").await;
        peer.refuse(&request, Refusal::TemporarilyUnavailable).await;
        let request = peer.request("$JS.API.CONSUMER.CREATE.T_news").await;
        peer.refuse(&request, Refusal::StreamNotFound).await;
    });
    assert!(end.unwrap().unwrap_err().is_not_found());
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_pull_that_ended_is_asked_again() {
    let (_mock, _client, mut peer, topic) = setup().await;
    let (mut follower, _) = open(&mut peer, &topic, StartFrom::First, 0).await;
    let (seq, ()) = tokio::join!(next_seq(&mut follower), async {
        let (sid, reply) = pull(&mut peer, "one").await;
        let timeout = "NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 512\r\nNats-Pending-Bytes: 1\r\n\r\n";
        peer.deliver_with(&reply, &sid, timeout, "").await;
        let request = peer.request("$JS.API.CONSUMER.MSG.NEXT.T_news.one").await;
        assert_eq!(
            (request.reply.as_str(), &body(&request)["batch"]),
            (reply.as_str(), &json!(512))
        );
        let full = "NATS/1.0 409 Batch Completed\r\nNats-Pending-Messages: 512\r\n\r\n";
        peer.deliver_with(&reply, &sid, full, "").await;
        peer.request("$JS.API.CONSUMER.MSG.NEXT.T_news.one").await;
        deliver(&mut peer, &sid, "one", 1, 1).await;
    });
    assert_eq!(seq, 1);
}

#[tokio::test]
async fn following_only_what_is_new_begins_behind_the_last_message() {
    let (_mock, _client, mut peer, topic) = setup().await;
    let (follower, config) = tokio::join!(topic.follow_new(), async {
        let request = peer.request("$JS.API.STREAM.INFO.T_news").await;
        peer.answer_json(&request, &news_info(&TopicOptions::default()))
            .await;
        make_consumer(&mut peer, "one", 9).await
    });
    assert!(follower.is_ok());
    assert_eq!(config["opt_start_seq"], 10);
}

#[tokio::test]
async fn a_follower_of_no_topic_is_an_error_at_once() {
    let (_mock, _client, mut peer, topic) = setup().await;
    let (follower, ()) = tokio::join!(topic.follow(StartFrom::First), async {
        let request = peer.request("$JS.API.CONSUMER.CREATE.T_news").await;
        peer.refuse(&request, Refusal::StreamNotFound).await;
    });
    assert!(follower.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_subscription_is_made_once_and_remembers_where_it_is() {
    let (_mock, _client, mut peer, topic) = setup().await;
    const INFO: &str = "$JS.API.CONSUMER.INFO.T_news.mine";
    let info = consumer_info(ConsumerConfig::default(), "T_news", "mine", 0);
    let (subscription, ()) = tokio::join!(topic.subscribe("mine", StartFrom::First), async {
        let request = peer.request(INFO).await;
        peer.refuse(&request, Refusal::ConsumerNotFound).await;
        let request = peer.request("$JS.API.CONSUMER.CREATE.T_news.mine").await;
        assert_eq!(
            (
                &body(&request)["action"],
                &body(&request)["config"]["ack_policy"]
            ),
            (&json!("create"), &json!("explicit"))
        );
        peer.answer_json(&request, &info).await;
    });
    subscription.unwrap();
    let (subscription, ()) = tokio::join!(topic.subscribe("mine", StartFrom::Last), async {
        let request = peer.request(INFO).await;
        peer.answer_json(&request, &info).await;
    });
    let subscription = subscription.unwrap();

    let (delivery, ()) = tokio::join!(subscription.next(Duration::from_secs(1)), async {
        let (sid, _) = peer
            .request_with_inbox("$JS.API.CONSUMER.MSG.NEXT.T_news.mine")
            .await;
        peer.deliver("$T.news.eu", &sid, "$JS.ACK.T_news.mine.2.7.9.1000.0", "m")
            .await;
        peer.expect(&format!("UNSUB {sid}")).await;
    });
    let delivery = delivery.unwrap().unwrap();
    assert_eq!(
        (
            delivery.message.seq,
            delivery.attempts,
            delivery.message.subject.as_str()
        ),
        (7, 2, "$T.news.eu")
    );
    let (acked, ()) = tokio::join!(delivery.ack(), async {
        let request = peer.request("$JS.ACK.T_news.mine.2.7.9.1000.0").await;
        peer.answer(&request, "").await;
    });
    assert_eq!(acked, Ok(()));
    let (nothing, ()) = tokio::join!(subscription.next(Duration::ZERO), async {
        let (sid, request) = peer
            .request_with_inbox("$JS.API.CONSUMER.MSG.NEXT.T_news.mine")
            .await;
        peer.deliver_with(&request.reply, &sid, "NATS/1.0 404 No Messages\r\n\r\n", "")
            .await;
        peer.expect(&format!("UNSUB {sid}")).await;
    });
    assert!(nothing.unwrap().is_none());
    let (deleted, ()) = tokio::join!(subscription.delete(), async {
        let request = peer.request("$JS.API.CONSUMER.DELETE.T_news.mine").await;
        peer.answer_json(&request, &json!({"success": true})).await;
    });
    assert_eq!(deleted, Ok(()));
}

#[tokio::test]
async fn view_of_a_topic_with_nothing_in_it_is_empty_and_of_no_topic_an_error() {
    let (_mock, _client, mut peer, topic) = setup().await;
    const NOT_FOUND: &str = "NATS/1.0 404 Message Not Found\r\n\r\n";
    let (messages, ()) = tokio::join!(topic.view(StartFrom::First, 20), async {
        let (sid, request) = peer.request_with_inbox("$JS.API.DIRECT.GET.T_news").await;
        peer.deliver_with(&request.reply, &sid, NOT_FOUND, "").await;
        let request = peer.request("$JS.API.STREAM.INFO.T_news").await;
        peer.answer_json(&request, &news_info(&TopicOptions::default()))
            .await;
        peer.expect(&format!("UNSUB {sid}")).await;
    });
    assert_eq!(messages.unwrap().len(), 0);
    let (messages, ()) = tokio::join!(topic.view(StartFrom::First, 20), async {
        let (sid, request) = peer.request_with_inbox("$JS.API.DIRECT.GET.T_news").await;
        peer.deliver_with(&request.reply, &sid, "NATS/1.0 503\r\n\r\n", "")
            .await;
        let request = peer.request("$JS.API.STREAM.INFO.T_news").await;
        peer.refuse(&request, Refusal::StreamNotFound).await;
        peer.expect(&format!("UNSUB {sid}")).await;
    });
    assert_eq!(
        messages.unwrap_err(),
        JetStreamError::Refused(Refusal::StreamNotFound.into())
    );
}
