//! Records as the link carries them, and entries as the store keeps them.

use relevo_protocol::identity::{Epoch, Position};
use relevo_protocol::record::Record;
use relevo_store::entry::Entry;

pub(crate) fn to_entry(record: Record) -> Entry {
    let Record {
        position,
        epoch,
        chain,
        group,
        key,
        body,
    } = record;
    Entry {
        position: position.0,
        epoch: epoch.term,
        sub: epoch.sub,
        chain,
        group,
        key,
        body,
    }
}

pub(crate) fn to_record(entry: Entry) -> Record {
    let Entry {
        position,
        epoch,
        sub,
        chain,
        group,
        key,
        body,
    } = entry;
    Record {
        position: Position(position),
        epoch: Epoch { term: epoch, sub },
        chain,
        group,
        key,
        body,
    }
}
