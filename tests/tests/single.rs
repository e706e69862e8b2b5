//! A broker without a peer: an acknowledgement means its one disk.

use relevo_tests::harness::{Brokers, Sealing, Telnet};

#[test]
fn a_single_broker_serves_queues_topics_and_subjects() {
    let broker = Brokers::single(Sealing::Plain);
    let mut typed = Telnet::connect(&broker.nats(0));
    typed.expect("QUEUE CREATE jobs", "+OK created jobs");
    typed.expect("PUSH jobs hello", "+OK 1");
    let popped = typed.messages("POP jobs");
    assert_eq!(popped[0].payload, "hello");
    typed.expect_start(&format!("ACK {}", popped[0].id), "+OK");
    assert!(typed.messages("POP jobs").is_empty());
    typed.expect("TOPIC CREATE news", "+OK created news");
    typed.expect("POST news first", "+OK 1");
    typed.expect("FOLLOW news", "+OK following news");
    assert_eq!(typed.message().payload, "first");
    typed.expect("SUB told 7", "+OK");
    typed.expect("PUB told 2\r\nhi", "+OK");
    assert_eq!(typed.message().payload, "hi");
}

#[test]
fn a_single_broker_keeps_what_it_acknowledged_when_it_is_killed() {
    for sealing in [Sealing::Plain, Sealing::Sealed] {
        let mut broker = Brokers::single(sealing);
        let mut typed = Telnet::connect(&broker.nats(0));
        typed.expect("QUEUE CREATE jobs lease=1h", "+OK created jobs");
        for number in 1..=200 {
            typed.expect(
                &format!("PUSH jobs id=i{number} message {number}"),
                &format!("+OK {number}"),
            );
        }
        for done in typed.messages("POP jobs max=50") {
            typed.expect_start(&format!("ACK {}", done.id), "+OK");
        }
        let leased = typed.messages("POP jobs");
        broker.kill(0);
        broker.start(0);
        broker.wait_healthy(0);

        let mut typed = Telnet::connect(&broker.nats(0));
        let texts: Vec<_> = typed
            .messages("QUEUE PEEK jobs max=1000")
            .into_iter()
            .map(|message| message.payload)
            .collect();
        let expected: Vec<_> = (51..=200)
            .map(|number| format!("message {number}"))
            .collect();
        assert_eq!(texts, expected);
        typed.expect("PUSH jobs id=i200 message 200", "+OK 200 duplicate");
        typed.expect("PUSH jobs after", "+OK 201");
        typed.expect_start(&format!("ACK {}", leased[0].id), "+OK");
        let next = typed.messages("POP jobs");
        assert_eq!(next[0].payload, "message 52");
        broker.stop(0);
        broker.start(0);
        broker.wait_healthy(0);
        let mut typed = Telnet::connect(&broker.nats(0));
        assert!(typed.list("QUEUE LIST").contains(&"jobs 150".to_owned()));
    }
}
