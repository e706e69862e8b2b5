//! The power goes at every single change of the disk, in every way, and the log comes back.

use std::collections::BTreeMap;

use super::*;
use crate::entry::EntryId;
use crate::sim_disk::Unsynced;

/// One call of the log.
#[derive(Clone, Debug)]
enum Step {
    Append(u64),
    Sync,
    Truncate(u64),
    Snapshot,
    /// Trims both groups up to the newest snapshot and reclaims.
    Reclaim,
    Prepare,
    Copy(u64),
}

/// What the log must hold: a row of entries, of which the first so many are durable.
#[derive(Clone, Debug, Default)]
struct Model {
    entries: BTreeMap<u64, Entry>,
    end: u64,
    durable: u64,
    epoch: u64,
    snapshot: u64,
    dead_below: u64,
}

impl Model {
    fn next(&self, count: u64) -> Vec<Entry> {
        (self.end + 1..=self.end + count)
            .map(|position| entry_of_epoch(position, self.epoch))
            .collect()
    }

    fn append(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.end = entry.position;
            self.entries.insert(entry.position, entry.clone());
        }
    }

    fn truncate(&mut self, position: u64) {
        self.entries.split_off(&(position + 1));
        self.end = self.end.min(position);
        self.durable = self.durable.min(position);
        self.epoch += 1;
    }

    fn copied(position: u64) -> (Self, EntryId) {
        let kept: BTreeMap<u64, Entry> = (3..position)
            .step_by(5)
            .map(|position| (position, entry(position)))
            .collect();
        let end = entry_of_epoch(position, 50).id();
        let model = Self {
            entries: kept,
            end: position,
            durable: position,
            epoch: 50,
            snapshot: position,
            dead_below: 0,
        };
        (model, end)
    }

    /// Whether a recovered log is this model cut somewhere at or above `lowest`.
    fn matches(&self, log: &mut Log<SimDisk>, lowest: u64) -> Result<(), String> {
        let end = log.end().map_or(0, |end| end.position);
        if end < lowest || end > self.end {
            return Err(format!(
                "the log ends at {end}, not from {lowest} to {}",
                self.end
            ));
        }
        if log.newest_snapshot != self.snapshot {
            return Err(format!(
                "the snapshot is at {}, not at {}",
                log.newest_snapshot, self.snapshot
            ));
        }
        let found = scan_all(log, 1);
        let mut retained = found
            .iter()
            .map(|entry| (entry.position, entry))
            .collect::<BTreeMap<_, _>>();
        for (position, expected) in self.entries.range(..=end) {
            match retained.remove(position) {
                Some(found) if found == expected => {}
                Some(found) => return Err(format!("found {found:?}, expected {expected:?}")),
                None if *position < self.dead_below => {}
                None => return Err(format!("position {position} is missing")),
            }
            let read = log
                .read(expected.group, expected.key)
                .map_err(|failed| failed.to_string())?;
            if read.as_ref() != Some(expected) && *position >= self.dead_below {
                return Err(format!("key {position} does not read back: {read:?}"));
            }
        }
        match retained.keys().next() {
            Some(phantom) => Err(format!("position {phantom} was never written")),
            None => Ok(()),
        }
    }
}

/// Runs a step; the model before it, and, where it changes what may be found, the model after it.
fn run(
    log: &mut Log<SimDisk>,
    model: &mut Model,
    step: &Step,
) -> Result<(), (Vec<(Model, u64)>, LogError)> {
    let before = model.clone();
    let fail = |others: Vec<(Model, u64)>, failed| {
        let mut possible = vec![(before.clone(), before.durable)];
        possible.extend(others);
        (possible, failed)
    };
    match step {
        Step::Append(count) => {
            let entries = model.next(*count);
            let mut after = before.clone();
            after.append(&entries);
            let possible = vec![(after.clone(), before.durable)];
            log.append(&entries, before.durable)
                .map_err(|failed| fail(possible, failed))?;
            *model = after;
        }
        Step::Sync => {
            log.sync().map_err(|failed| fail(Vec::new(), failed))?;
            model.durable = model.end;
        }
        Step::Truncate(back) => {
            let lowest = log.live.committed.max(model.snapshot);
            let position = model.end.saturating_sub(*back).max(lowest);
            let possible = vec![(before.clone(), before.durable.min(position))];
            log.truncate_after(position)
                .map_err(|failed| fail(possible, failed))?;
            model.truncate(position);
            model.durable = model.end;
        }
        Step::Snapshot => {
            let position = model.durable;
            let mut after = before.clone();
            after.snapshot = position;
            let possible = vec![(after, before.durable)];
            log.save_snapshot(position, b"the state")
                .map_err(|failed| fail(possible, failed))?;
            model.snapshot = position;
        }
        Step::Reclaim => {
            let dead_below = model.snapshot + 1;
            log.trim(1, dead_below);
            log.trim(2, dead_below);
            let mut after = before.clone();
            after.dead_below = dead_below;
            let possible = vec![(after, before.durable)];
            log.reclaim().map_err(|failed| fail(possible, failed))?;
            model.dead_below = dead_below;
        }
        Step::Prepare => {
            log.prepare().map_err(|failed| fail(Vec::new(), failed))?;
        }
        Step::Copy(position) => {
            let (after, end) = Model::copied(*position);
            let possible = vec![(after.clone(), after.durable)];
            let kept: Vec<Entry> = after.entries.values().cloned().collect();
            let mut copy = || {
                log.stage_begin(*position, b"the copy", end)?;
                for batch in kept.chunks(6) {
                    log.stage_append(batch)?;
                }
                log.stage_commit()
            };
            copy().map_err(|failed| fail(possible, failed))?;
            *model = after;
        }
    }
    Ok(())
}

fn scripts() -> Vec<Vec<Step>> {
    use Step::{Append, Copy, Prepare, Reclaim, Snapshot, Sync, Truncate};
    vec![
        vec![
            Append(1),
            Sync,
            Append(2),
            Append(3),
            Sync,
            Prepare,
            Append(1),
            Append(4),
            Sync,
            Append(2),
        ],
        vec![
            Append(9),
            Sync,
            Append(9),
            Sync,
            Append(9),
            Append(9),
            Sync,
            Prepare,
            Prepare,
            Append(9),
            Sync,
        ],
        vec![
            Append(7),
            Sync,
            Append(5),
            Sync,
            Truncate(3),
            Append(2),
            Sync,
            Append(4),
            Truncate(5),
            Append(6),
            Sync,
        ],
        vec![
            Append(9),
            Append(9),
            Append(9),
            Append(9),
            Append(9),
            Sync,
            Truncate(30),
            Append(3),
            Sync,
            Truncate(1),
            Append(9),
            Append(9),
            Sync,
        ],
        vec![
            Append(20),
            Sync,
            Append(20),
            Sync,
            Snapshot,
            Append(20),
            Sync,
            Reclaim,
            Snapshot,
            Append(9),
            Reclaim,
            Sync,
            Append(3),
        ],
        vec![
            Append(12),
            Sync,
            Append(2),
            Copy(80),
            Append(4),
            Sync,
            Truncate(2),
            Append(3),
            Sync,
            Copy(120),
            Append(1),
            Sync,
        ],
    ]
}

fn check_script(script: &[Step], keys: Option<&Keyring>, unsynced: Unsynced, seed: u64) -> u64 {
    let total = {
        let disk = SimDisk::new(seed);
        let (mut log, mut model) = (
            try_open(&disk, keys).unwrap().0,
            Model {
                epoch: 1,
                ..Model::default()
            },
        );
        for step in script {
            run(&mut log, &mut model, step)
                .map_err(|(_, failed)| failed)
                .unwrap();
        }
        model.matches(&mut log, model.end).unwrap();
        disk.changes()
    };
    for after in 0..total {
        let disk = SimDisk::new(seed ^ after);
        disk.cut_power(after);
        let mut model = Model {
            epoch: 1,
            ..Model::default()
        };
        let mut possible = vec![(model.clone(), 0)];
        if let Ok((mut log, _)) = try_open(&disk, keys) {
            for step in script {
                if let Err((outcomes, _)) = run(&mut log, &mut model, step) {
                    possible = outcomes;
                    break;
                }
                possible = vec![(model.clone(), model.durable)];
            }
        }
        disk.crash(unsynced);
        let context = format!("{script:?}, seed {seed}, {unsynced:?}, power cut after {after}");
        let (mut log, _) =
            try_open(&disk, keys).unwrap_or_else(|failed| panic!("{context}: {failed}"));
        let verdicts: Vec<Result<(), String>> = possible
            .iter()
            .map(|(model, lowest)| model.matches(&mut log, *lowest))
            .collect();
        assert!(
            verdicts.iter().any(Result::is_ok),
            "{context}: {verdicts:?}"
        );
        check_goes_on(&disk, log, keys, &context);
    }
    total
}

/// What was recovered takes entries, and they are durable when it says so.
fn check_goes_on(disk: &SimDisk, mut log: Log<SimDisk>, keys: Option<&Keyring>, context: &str) {
    let before = scan_all(&mut log, 1);
    let end = log.end().map_or(0, |end| end.position);
    let more: Vec<Entry> = (end + 1..=end + 8)
        .map(|position| entry_of_epoch(position, 90))
        .collect();
    log.append(&more, 0)
        .unwrap_or_else(|failed| panic!("{context}: {failed}"));
    log.sync().unwrap();
    disk.crash(Unsynced::Lost);
    let (mut log, recovery) =
        try_open(disk, keys).unwrap_or_else(|failed| panic!("{context}: {failed}"));
    assert_eq!(recovery.torn_bytes, 0, "{context}");
    assert_eq!(scan_all(&mut log, 1), [before, more].concat(), "{context}");
}

#[test]
fn power_cut_at_every_change_loses_nothing_durable_and_invents_nothing() {
    let mut points = 0;
    for script in scripts() {
        for unsynced in Unsynced::ALL {
            let chances = match unsynced {
                Unsynced::Lost | Unsynced::Kept => 1,
                Unsynced::Prefix | Unsynced::Subset => 2,
            };
            for seed in 0..chances {
                points += check_script(&script, None, unsynced, seed * 7919);
            }
        }
    }
    assert!(points > 1_000, "{points}");
}

#[test]
fn power_cut_at_every_change_of_a_sealed_log_loses_nothing() {
    let ring = keyring(&[1]);
    for script in scripts() {
        for unsynced in [Unsynced::Prefix, Unsynced::Subset] {
            check_script(&script, Some(&ring), unsynced, 31);
        }
    }
}

#[test]
fn power_cut_during_recovery_is_recovered_from() {
    for seed in 0..40 {
        for after in 0..12 {
            let disk = SimDisk::new(seed);
            let mut log = open(&disk);
            fill(&mut log, 1..=12);
            log.append(&entries(13..=18), 12).unwrap();
            drop(log);
            disk.crash(Unsynced::Subset);
            disk.cut_power(after);
            let first = try_open(&disk, None).map(|(log, _)| log.durable());
            disk.crash(Unsynced::Subset);
            let mut log = open(&disk);
            let end = log.durable();
            assert!(
                end >= first.unwrap_or(12) && end <= 18,
                "seed {seed}, after {after}"
            );
            assert_eq!(scan_all(&mut log, 1), entries(1..=end));
        }
    }
}
