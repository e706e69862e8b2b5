//! Where the binary under test is.

use std::path::PathBuf;
use std::process::Command;

/// The `relevo` of this build, ready for arguments.
///
/// # Panics
/// When it was not built: `cargo test --workspace` builds it, `cargo test -p relevo-tests` does not.
#[must_use]
pub fn relevo() -> Command {
    let path = path();
    assert!(
        path.exists(),
        "{} is missing: run `cargo build -p relevo`",
        path.display()
    );
    Command::new(path)
}

fn path() -> PathBuf {
    let test = std::env::current_exe().expect("a test runs from a file");
    let built = test
        .ancestors()
        .find(|dir| dir.ends_with("debug") || dir.ends_with("release"));
    built
        .expect("a test lies below target/<profile>")
        .join("relevo")
}
