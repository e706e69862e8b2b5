//! Finding the subscriptions of a subject that no cache knows, among a million of which one in five has a wildcard.
//!
//! `cargo bench -p relevo-engine --bench subject_tree`

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use relevo_engine::subject_tree::SubjectTree;
use relevo_protocol::subject::{Subject, SubjectFilter};

const SUBSCRIPTIONS: u64 = 1_000_000;

/// How many different subjects are asked for in turn, so that none stays in the processor's cache.
const SUBJECTS: u64 = 200_003;

/// A number with its bits well mixed, so that neighbours do not lie beside each other (splitmix64).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn subject(number: u64) -> String {
    format!("region{}.device.{:08}.telemetry", number % 50, number)
}

fn filter(number: u64) -> SubjectFilter {
    let text = match number % 10 {
        0 => format!("region{}.device.{number:08}.*", number % 50),
        5 => format!("region{}.device.{number:08}.>", number % 50),
        _ => subject(number),
    };
    SubjectFilter::parse(text).expect("a generated filter is valid")
}

fn match_uncached(c: &mut Criterion) {
    let mut tree = SubjectTree::new(1);
    for number in 0..SUBSCRIPTIONS {
        tree.insert(&filter(number), number)
            .expect("a million is within the tree's bound");
    }
    let subjects: Vec<_> = (0..SUBJECTS)
        .map(|number| {
            Subject::parse(subject(mixed(number) % SUBSCRIPTIONS))
                .expect("a generated subject is valid")
        })
        .collect();
    let mut next = subjects.iter().cycle();
    let mut found = Vec::new();
    c.bench_function("match among 1 M, 20 % wildcard, uncached", |bencher| {
        bencher.iter(|| {
            found.clear();
            if let Some(subject) = next.next() {
                tree.matches(black_box(subject.as_ref()), &mut found);
            }
            found.len()
        });
    });
}

fn subscribe_and_unsubscribe(c: &mut Criterion) {
    let mut tree = SubjectTree::new(1);
    for number in 0..SUBSCRIPTIONS {
        tree.insert(&filter(number), number)
            .expect("a million is within the tree's bound");
    }
    let mut number = SUBSCRIPTIONS;
    c.bench_function("insert and remove among 1 M", |bencher| {
        bencher.iter(|| {
            number += 1;
            let key = tree
                .insert(&filter(mixed(number) % 100_000_000), number)
                .expect("there is room for one more");
            tree.remove(key)
        });
    });
}

criterion_group!(benches, match_uncached, subscribe_and_unsubscribe);
criterion_main!(benches);
