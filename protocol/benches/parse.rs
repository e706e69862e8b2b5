//! What one operation costs to read and to write: `cargo bench -p relevo-protocol`.
//!
//! PUB and HPUB are read from a buffer that holds many, as a busy connection's does; MSG is appended to a buffer that has
//! room, as a subscriber's outbound buffer has.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use relevo_protocol::encode;
use relevo_protocol::limits::Limits;
use relevo_protocol::parse::{Mode, Parsed, parse_client, parse_server};
use relevo_protocol::subject::SubjectRef;

const SUBJECT: &[u8] = b"bench.subject.1";
const HEADERS: &[u8] = b"NATS/1.0\r\nNats-Msg-Id: 0123456789\r\n\r\n";
const PAYLOAD_LENS: [usize; 3] = [16, 128, 1024];

/// How many operations a buffer holds.
const BATCH: usize = 64;

fn read_pub(c: &mut Criterion) {
    let mut group = c.benchmark_group("read_pub");
    group.throughput(Throughput::Elements(BATCH as u64));
    for len in PAYLOAD_LENS {
        let buf = batch(|out| encode::pub_(out, SUBJECT, None, &vec![b'x'; len]));
        group.bench_with_input(BenchmarkId::from_parameter(len), &buf, |b, buf| {
            b.iter(|| read_client(buf))
        });
    }
    group.finish();
}

fn read_hpub(c: &mut Criterion) {
    let mut group = c.benchmark_group("read_hpub");
    group.throughput(Throughput::Elements(BATCH as u64));
    for len in PAYLOAD_LENS {
        let buf =
            batch(|out| encode::hpub(out, SUBJECT, Some(b"_INBOX.x.1"), HEADERS, &vec![b'x'; len]));
        group.bench_with_input(BenchmarkId::from_parameter(len), &buf, |b, buf| {
            b.iter(|| read_client(buf))
        });
    }
    group.finish();
}

fn read_msg(c: &mut Criterion) {
    let mut group = c.benchmark_group("read_msg");
    group.throughput(Throughput::Elements(BATCH as u64));
    for len in PAYLOAD_LENS {
        let buf = batch(|out| encode::msg(out, SUBJECT, b"1", None, &[], &vec![b'x'; len]));
        group.bench_with_input(BenchmarkId::from_parameter(len), &buf, |b, buf| {
            b.iter(|| read_server(buf))
        });
    }
    group.finish();
}

fn write_msg(c: &mut Criterion) {
    let mut group = c.benchmark_group("write_msg");
    group.throughput(Throughput::Elements(BATCH as u64));
    for len in PAYLOAD_LENS {
        let payload = vec![b'x'; len];
        let mut out = Vec::with_capacity(BATCH * encode::msg_len_max(SUBJECT.len(), 1, 0, 0, len));
        group.bench_with_input(BenchmarkId::from_parameter(len), &payload, |b, payload| {
            b.iter(|| {
                out.clear();
                for _ in 0..BATCH {
                    encode::msg(&mut out, black_box(SUBJECT), b"1", None, &[], payload);
                }
                black_box(out.len())
            });
        });
    }
    group.finish();
}

fn read_subject(c: &mut Criterion) {
    c.bench_function("read_subject", |b| {
        b.iter(|| SubjectRef::parse(black_box(SUBJECT)).is_ok())
    });
}

fn batch(encode: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut buf = Vec::new();
    for _ in 0..BATCH {
        encode(&mut buf);
    }
    buf
}

fn read_client(buf: &[u8]) {
    let limits = Limits::of_server();
    let mut rest = buf;
    while let Ok(Parsed::Op { op, consumed }) = parse_client(rest, &limits, Mode::Nats) {
        black_box(op);
        rest = rest.split_at(consumed).1;
    }
    assert!(rest.is_empty(), "every operation is read");
}

fn read_server(buf: &[u8]) {
    let limits = Limits::of_client();
    let mut rest = buf;
    while let Ok(Parsed::Op { op, consumed }) = parse_server(rest, &limits) {
        black_box(op);
        rest = rest.split_at(consumed).1;
    }
    assert!(rest.is_empty(), "every operation is read");
}

criterion_group!(
    benches,
    read_pub,
    read_hpub,
    read_msg,
    write_msg,
    read_subject
);
criterion_main!(benches);
