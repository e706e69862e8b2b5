//! Runs simulations of a pair: `sim --seeds 200`, `sim --seed 42` for one again, `--first` for where to
//! begin, `--seconds` and `--fault-every` for how long and how rough. Exit code 1 at the first violation.

use std::process::ExitCode;

use relevo_tests::sim::{Coverage, Options, run};

fn main() -> ExitCode {
    let mut options = Options {
        seed: 1,
        seconds: 600,
        fault_every_seconds: 5,
        lie_about_durability: false,
    };
    let mut seeds = 1;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for pair in arguments.chunks(2) {
        let value = pair.get(1).and_then(|value| value.parse::<u64>().ok());
        match (pair.first().map(String::as_str), value) {
            (Some("--seed"), Some(seed)) => (options.seed, seeds) = (seed, 1),
            (Some("--first"), Some(first)) => options.seed = first,
            (Some("--seeds"), Some(count)) => seeds = count,
            (Some("--seconds"), Some(seconds)) => options.seconds = seconds,
            (Some("--fault-every"), Some(seconds)) => options.fault_every_seconds = seconds,
            (flag, _) => {
                let flag = flag.unwrap_or_default();
                eprintln!(
                    "sim: {flag} is no flag with a number; known: --seed --first --seeds --seconds --fault-every"
                );
                return ExitCode::FAILURE;
            }
        }
    }
    let first = options.seed;
    let (mut acked, mut confirmed, mut faults) = (0, 0, 0);
    let mut coverage = Coverage::default();
    for seed in first..first + seeds {
        let outcome = run(Options { seed, ..options });
        acked += outcome.acked;
        confirmed += outcome.confirmed;
        faults += outcome.faults;
        coverage += outcome.coverage;
        if let Some(violation) = outcome.violations.first() {
            eprintln!("seed {seed}: {violation}");
            return ExitCode::FAILURE;
        }
    }
    let hours = (seeds * options.seconds) as f64 / 3600.0;
    eprintln!(
        "{seeds} seeds from {first}, {hours:.1} simulated hours with {faults} faults: \
         {acked} messages acknowledged, {confirmed} consumer acknowledgements confirmed, 0 violations; \
         {coverage:?}"
    );
    ExitCode::SUCCESS
}
