//! `relevo key`: files with the keys that stores are sealed with.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use relevo_store::seal::Keyring;

use crate::exit::Failure;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a new key and write it to FILE, readable by its owner only. An existing file is refused.
    New {
        /// Where the key goes.
        file: PathBuf,
    },
}

/// Runs `relevo key`.
pub(crate) fn run(command: &KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::New { file } => {
            make(file)?;
            println_to_user(&format!(
                "{} holds a new key. Keep a copy: without it a sealed store cannot be read.",
                file.display()
            ));
            Ok(())
        }
    }
}

/// Writes a new key file; an existing one is never touched.
pub(crate) fn make(file: &Path) -> Result<(), Failure> {
    let tried = || format!("make key file {}", file.display());
    let mut entropy = [0; 64];
    getrandom::fill(&mut entropy).map_err(|error| Failure::new(tried(), error))?;
    let text = Keyring::generate(entropy);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut open = options
        .open(file)
        .map_err(|error| Failure::new(tried(), error))?;
    open.write_all(text.as_bytes())
        .and_then(|()| open.sync_all())
        .map_err(|error| Failure::new(tried(), error))
}

/// Reads a key file.
pub(crate) fn read(file: &Path) -> Result<Keyring, Failure> {
    let tried = || format!("read key file {}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| Failure::new(tried(), error))?;
    Keyring::parse(&text).map_err(|error| Failure::new(tried(), error))
}

fn println_to_user(text: &str) {
    let mut out = std::io::stdout();
    // A reader that has gone away needs no answer.
    let _ = writeln!(out, "{text}");
}
