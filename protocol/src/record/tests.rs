use proptest::prelude::*;

use super::*;
use crate::mutation::tests::any_mutation;
use crate::name::MemberName;
use crate::wire::golden;

const EPOCH: Epoch = Epoch { term: 3, sub: 2 };

fn encode(record: &Record) -> Bytes {
    let mut out = Writer::default();
    record.write(&mut out);
    out.finish()
}

fn decode(bytes: Bytes) -> Result<Record, DecodeError> {
    let mut reader = Reader::new(bytes);
    let record = Record::read(&mut reader)?;
    reader.end()?;
    Ok(record)
}

/// Two records that follow each other, the first of their log.
pub(crate) fn records() -> [Record; 2] {
    let leader = MemberName::parse("a").unwrap();
    let publish = Mutation::decode(golden::from_hex(
        "06 0700000000000000 0900000000000000 00002a36fe9c9717 07000000 24512e6a6f6273 0c000000 4e4154532f312e300d0a0d0a 05000000 68656c6c6f",
    ));
    let first = Record::new(Position(1), EPOCH, 0, &Mutation::EpochStart { leader });
    let second = Record::new(Position(2), EPOCH, first.chain, &publish.unwrap());
    [first, second]
}

#[test]
fn records_are_written_as_their_golden_bytes() {
    let goldens = [
        "0100000000000000 0300000000000000 02000000 4c4095cb 0000000000000000 0000000000000000 06000000 010100000061",
        "0200000000000000 0300000000000000 02000000 8f20e610 0700000000000000 0900000000000000 3d000000 060700000000000000090000000000000000002a36fe9c97170700000024512e6a6f62730c0000004e4154532f312e300d0a0d0a0500000068656c6c6f",
    ];
    for (record, bytes) in records().iter().zip(goldens) {
        golden::check(record, bytes, encode, decode);
        assert_eq!(record.encoded_len(), encode(record).len());
    }
}

#[test]
fn the_chain_is_another_when_anything_before_is() {
    let [first, second] = records();
    assert_eq!((first.chain, second.chain), (0xcb95_404c, 0x10e6_208f));
    assert_eq!(second.chain_after(first.chain), second.chain);
    assert_ne!(second.chain_after(first.chain ^ 1), second.chain);
    let changed: [fn(&mut Record); 6] = [
        |record| record.position = Position(3),
        |record| record.epoch.term += 1,
        |record| record.epoch.sub += 1,
        |record| record.group += 1,
        |record| record.key += 1,
        |record| record.body = record.body.slice(1..),
    ];
    for change in changed {
        let mut other = second.clone();
        change(&mut other);
        assert_ne!(other.chain_after(first.chain), second.chain, "{other:?}");
    }
}

#[test]
fn a_body_above_its_limit_is_refused_before_it_came() {
    let bytes = encode(&records()[0]);
    let len = u32::try_from(BODY_LEN_MAX + 1).unwrap();
    let mut refused = bytes.slice(..40).to_vec();
    refused.extend_from_slice(&len.to_le_bytes());
    let error = DecodeError::TooLong {
        what: "record body",
        len: BODY_LEN_MAX + 1,
        max: BODY_LEN_MAX,
    };
    assert_eq!(decode(refused.into()), Err(error));
}

/// Any record.
pub(crate) fn any_record() -> impl Strategy<Value = Record> {
    let fields = (
        any::<u64>(),
        any::<u64>(),
        any::<u32>(),
        any::<u32>(),
        any_mutation(),
    );
    fields.prop_map(|(position, term, sub, previous_chain, mutation)| {
        Record::new(
            Position(position),
            Epoch { term, sub },
            previous_chain,
            &mutation,
        )
    })
}

proptest! {
    #[test]
    fn every_record_is_read_as_it_was_written(record in any_record()) {
        prop_assert_eq!(decode(encode(&record)), Ok(record));
    }
}
