//! How a test reports that it cannot run here.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// Reports that `test` did not run and why, once per test: `make test` counts these lines as
/// skipped. Written to the process's standard error, which the test harness does not capture as it
/// does `eprintln!`.
pub fn skipped(test: &str, why: &str) {
    static REPORTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut reported = REPORTED.lock().unwrap_or_else(PoisonError::into_inner);
    if reported.insert(test.to_owned()) {
        // A line of its own: libtest may be in the middle of one.
        let _ = std::io::stderr().write_all(format!("SKIPPED: {test}: {why}\n").as_bytes());
    }
}
