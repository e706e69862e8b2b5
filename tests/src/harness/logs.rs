//! What processes logged, for the eyes of whoever looks at a failed test.

use std::path::Path;

/// Lines from the end of each log.
const LINES_MAX: usize = 60;

/// Prints the end of every log in `dir` when the test is failing.
pub(super) fn show_on_panic(dir: &Path) {
    if !std::thread::panicking() {
        return;
    }
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut logs: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|name| name == "log"))
        .collect();
    logs.sort();
    for log in logs {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(LINES_MAX)..];
        eprintln!("{} ends with:\n{}", log.display(), tail.join("\n"));
    }
}
