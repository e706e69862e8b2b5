//! The pair under faults, from seeds. Many more run with `cargo run --release -p relevo-tests --bin sim`.

use relevo_tests::sim::{Options, Violation, run};

const CALM: Options = Options {
    seed: 1,
    seconds: 20,
    fault_every_seconds: 1_000_000,
    lie_about_durability: false,
};
const ROUGH: Options = Options {
    seconds: 60,
    fault_every_seconds: 4,
    ..CALM
};

#[test]
fn without_faults_messages_are_acknowledged_and_consumed() {
    let outcome = run(CALM);
    assert_eq!(outcome.violations, []);
    assert!(outcome.acked > 500, "{outcome:?}");
    assert!(outcome.confirmed > 100, "{outcome:?}");
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    let options = Options { seed: 7, ..ROUGH };
    let first = run(options);
    assert_eq!(first, run(options));
    assert_ne!(first.trace, run(Options { seed: 8, ..options }).trace);
}

#[test]
fn nothing_acknowledged_is_lost_whatever_crashes() {
    for seed in 100..130 {
        let outcome = run(Options { seed, ..ROUGH });
        assert_eq!(outcome.violations, [], "seed {seed}");
        assert!(outcome.faults > 2, "seed {seed}: {outcome:?}");
        assert!(outcome.acked > 50, "seed {seed}: {outcome:?}");
    }
}

#[test]
fn a_broker_that_acknowledges_before_its_disk_has_synced_is_caught() {
    let outcome = run(Options {
        lie_about_durability: true,
        ..CALM
    });
    let first = outcome.violations.first();
    assert!(
        matches!(first, Some(Violation::AckedBeforeDurable(_))),
        "{first:?}"
    );
}
