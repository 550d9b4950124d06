//! What a period of an echo canceller or a noise suppressor costs where it is compiled as the
//! product is: the program `sound-work` of the release profile.

use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::measure::median;

use crate::callgrind::total;
use crate::subject::released;

/// Periods of the two runs whose difference is counted.
const PERIODS: [usize; 2] = [500, 1500];
/// Periods of a run whose time is measured, and runs.
const TIMED: usize = 3000;
const RUNS: usize = 5;

fn program() -> PathBuf {
    released("sound-work")
}

/// Microseconds a period takes. `size`: what `sound-work` wants last.
pub(crate) fn microseconds(what: &str, name: &str, size: usize) -> Option<f64> {
    let once = || -> Option<f64> {
        let done = Command::new(program())
            .args([what, name, &TIMED.to_string(), &size.to_string()])
            .output();
        String::from_utf8_lossy(&done.ok()?.stdout)
            .trim()
            .parse()
            .ok()
    };
    let runs: Vec<f64> = (0..RUNS).filter_map(|_| once()).collect();
    (runs.len() == RUNS).then(|| median(runs))
}

/// Instructions a period takes, by callgrind, as the difference of a long run and a short one.
pub(crate) fn instructions(folder: &Path, what: &str, name: &str, size: usize) -> Option<f64> {
    let file = folder.join("instructions-a-period");
    let counts = PERIODS.map(|periods| {
        let done = Command::new("valgrind")
            .args(["--tool=callgrind", "--quiet"])
            .arg(format!("--callgrind-out-file={}", file.display()))
            .arg(program())
            .args([what, name, &periods.to_string(), &size.to_string()])
            .output();
        let counted = done.is_ok_and(|done| done.status.success());
        counted.then(|| total(&file)).flatten()
    });
    let [short, long] = counts;
    Some((long? - short?) / (PERIODS[1] - PERIODS[0]) as f64)
}
