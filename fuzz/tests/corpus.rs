//! Every fuzz body over its corpus, and over mutations of it from a seed.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use relevo_fuzz::TARGETS;

/// How many mutations of each file are tried.
const MUTATIONS_PER_FILE: u32 = 200;
/// Longest input after a mutation, in bytes.
const INPUT_LEN_MAX: usize = 8 * 1024;
/// Most changes in one mutation.
const CHANGES_MAX: u32 = 6;
/// Bytes that mean something to some parser.
const WORDS: [&[u8]; 14] = [
    b"\r\n",
    b"\r",
    b"\n",
    b" ",
    b"\t",
    b".",
    b"*",
    b">",
    b"#5",
    b"=",
    b"\0",
    b"\xff\xff\xff\xff",
    b"4294967296",
    b"NATS/1.0\r\n",
];

#[test]
fn every_body_holds_over_its_corpus_and_its_mutations() {
    let seed = match std::env::var("RELEVO_FUZZ_SEED") {
        Ok(seed) => seed.parse().expect("RELEVO_FUZZ_SEED is a number"),
        Err(_) => fastrand::u64(..),
    };
    eprintln!("RELEVO_FUZZ_SEED={seed} repeats this run");
    for (name, body) in TARGETS {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "corpus/{name} is empty");
        for (path, input) in &corpus {
            check(*body, input, &path.display().to_string());
            // Each file has its own sequence, so that a new one does not change those of the others.
            let mut random = fastrand::Rng::with_seed(seed ^ hash(path));
            for round in 0..MUTATIONS_PER_FILE {
                let input = mutated(input, &corpus, &mut random);
                check(
                    *body,
                    &input,
                    &format!("{}, mutation {round}, seed {seed}", path.display()),
                );
            }
        }
    }
}

#[test]
fn every_folder_of_the_corpus_has_a_body_and_a_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(root.join("corpus")).expect("the corpus is beside the tests") {
        let name = entry.expect("a directory can be read").file_name();
        assert!(
            TARGETS.iter().any(|(target, _)| name == **target),
            "{}",
            name.display()
        );
    }
    for (name, _) in TARGETS {
        let target = root.join(format!("targets/{name}.rs"));
        assert!(target.exists(), "{} is missing", target.display());
    }
}

fn check(body: relevo_fuzz::Body, input: &[u8], what: &str) {
    let outcome = catch_unwind(|| body(input));
    assert!(outcome.is_ok(), "{what}: {}", input.escape_ascii());
}

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let entries = std::fs::read_dir(&dir).expect("each target has a corpus");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("a directory can be read").path())
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let input = std::fs::read(&path).expect("a corpus file can be read");
        (path, input)
    };
    paths.into_iter().map(read).collect()
}

/// FNV-1a of a file's name.
fn hash(path: &Path) -> u64 {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn mutated(input: &[u8], corpus: &[(PathBuf, Vec<u8>)], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..random.u32(1..=CHANGES_MAX) {
        change(&mut bytes, corpus, random);
    }
    bytes.truncate(INPUT_LEN_MAX);
    bytes
}

fn change(bytes: &mut Vec<u8>, corpus: &[(PathBuf, Vec<u8>)], random: &mut fastrand::Rng) {
    let start = random.usize(..=bytes.len());
    let end = random.usize(start..=bytes.len().min(start + 64));
    match random.u8(..7) {
        0 => {
            if let Some(byte) = bytes.get_mut(start) {
                *byte ^= 1 << random.u8(..8);
            }
        }
        1 => {
            if let Some(byte) = bytes.get_mut(start) {
                *byte = random.u8(..);
            }
        }
        2 => drop(bytes.drain(start..end)),
        3 => bytes.truncate(start),
        4 => {
            let again = bytes[start..end].to_vec();
            bytes.splice(start..start, again);
        }
        5 => {
            let word = WORDS[random.usize(..WORDS.len())];
            bytes.splice(start..end.min(start + word.len()), word.iter().copied());
        }
        _ => {
            let (_, other) = &corpus[random.usize(..corpus.len())];
            let from = random.usize(..=other.len());
            let to = random.usize(from..=other.len().min(from + 256));
            bytes.splice(start..end, other[from..to].iter().copied());
        }
    }
}
