//! What a part brought, on the terminal and in its log.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use crate::libtest::{Counts, Outcome, Timed};
use crate::parts::{Part, Running};

/// Lines of a failed test's output that are shown; its log has all.
const SHOWN: usize = 60;

/// A finished part.
pub(crate) struct Report {
    part: Part,
    seconds: u64,
    log: PathBuf,
    outcome: Outcome,
}

impl Report {
    /// Runs a part and writes its log.
    pub(crate) fn of(part: Part) -> Self {
        let began = Instant::now();
        let mut running = Running::default();
        part.run(&mut running);
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
        let directory = target.join("test-logs");
        let log = directory.join(format!("{}.log", part.name()));
        let written = std::fs::create_dir_all(&directory)
            .and_then(|()| std::fs::write(&log, running.log.as_bytes()));
        if let Err(error) = written {
            running
                .outcome
                .fail("the log", &format!("{}: {error}", log.display()));
        }
        Self {
            part,
            seconds: began.elapsed().as_secs(),
            log,
            outcome: running.outcome,
        }
    }

    /// Prints it.
    pub(crate) fn print(&self) {
        println!("== {}", self.part.name());
        let mut skips = BTreeMap::new();
        for skip in &self.outcome.skips {
            *skips.entry(skip).or_insert(0) += 1;
        }
        for (skip, times) in skips {
            println!("  {times}× {skip}");
        }
        println!(
            "  {}   ({}: {} s, {})",
            self.outcome.counts,
            self.part.name(),
            self.seconds,
            self.log.display()
        );
        for name in &self.outcome.at_second_try {
            println!("  passed at the second try only, alone (see the log): {name}");
        }
        for (name, output) in &self.outcome.failures {
            println!("  --- failed: {name}");
            let lines: Vec<&str> = without_backtrace(output);
            let first = lines.len().saturating_sub(SHOWN);
            for line in &lines[first..] {
                println!("  {line}");
            }
        }
    }
}

/// The lines of a test's output without those of a backtrace.
fn without_backtrace(output: &str) -> Vec<&str> {
    let mut in_trace = false;
    let is_shown = |line: &&str| {
        if *line == "stack backtrace:" {
            in_trace = true;
        } else if in_trace {
            let text = line.trim_start();
            let is_frame = text.starts_with("at ")
                || text
                    .split_once(':')
                    .is_some_and(|(n, _)| n.parse::<u32>().is_ok());
            in_trace = line.starts_with(' ') && is_frame;
        }
        !in_trace
    };
    output.lines().filter(is_shown).collect()
}

/// All parts together.
#[derive(Default)]
pub(crate) struct Total {
    counts: Counts,
    times: Vec<Timed>,
}

impl Total {
    pub(crate) fn add(&mut self, report: Report) {
        self.counts += report.outcome.counts;
        self.times.extend(report.outcome.times);
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Prints the tests that took longest.
    pub(crate) fn print_slowest(&self, count: usize) {
        let mut times: Vec<&Timed> = self.times.iter().collect();
        times.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        println!("slowest:");
        for timed in times.into_iter().take(count) {
            println!("{:8.1} s  {}", timed.seconds, timed.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backtrace_is_left_out_and_what_follows_is_not() {
        let output = "left: 1\nstack backtrace:\n   0: a::b\n             at src/x.rs:1\nseed 7";
        assert_eq!(without_backtrace(output), ["left: 1", "seed 7"]);
    }
}
