//! What a test program says, as counts: libtest's JSON events where we start the program, its text
//! where another program does.
//!
//! libtest offers JSON only with `-Z unstable-options`; `RUSTC_BOOTSTRAP=1` in the environment of
//! the test program (not of the compiler) permits that with a stable toolchain.

use std::fmt;
use std::ops::AddAssign;

use serde::Deserialize;

/// How many tests ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// A test and how long it took, in seconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Timed {
    pub(crate) name: String,
    pub(crate) seconds: f64,
}

/// So many failures may be those of a busy machine.
const MOST_REPEATED: usize = 5;

/// What was learned from a run of tests.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) counts: Counts,
    pub(crate) times: Vec<Timed>,
    /// Failed tests with their output.
    pub(crate) failures: Vec<(String, String)>,
    /// Lines `SKIPPED: what: why`.
    pub(crate) skips: Vec<String>,
    /// Tests that failed and passed when they were run once more.
    pub(crate) at_second_try: Vec<String>,
}

impl Outcome {
    /// Adds what another run brought.
    pub(crate) fn add(&mut self, other: Self) {
        self.counts += other.counts;
        self.times.extend(other.times);
        self.failures.extend(other.failures);
        self.skips.extend(other.skips);
        self.at_second_try.extend(other.at_second_try);
    }

    /// Runs tests that failed once more, each by `run` with its name. Where more than
    /// [`MOST_REPEATED`] failed it is not the machine that was busy, and none is.
    pub(crate) fn repeat_failures(&mut self, run: impl Fn(&str) -> Option<Self>) {
        if self.failures.len() > MOST_REPEATED {
            return;
        }
        for (name, output) in std::mem::take(&mut self.failures) {
            let passes = run(&name).is_some_and(|again| {
                let Counts {
                    passed,
                    failed,
                    skipped: _,
                } = again.counts;
                (passed, failed) == (1, 0)
            });
            if passes {
                self.counts.failed -= 1;
                self.counts.passed += 1;
                self.at_second_try.push(name);
            } else {
                self.failures.push((name, output));
            }
        }
    }

    /// One check that is no Rust test.
    pub(crate) fn of_check(name: &str, passed: bool, seconds: f64, output: &str) -> Self {
        let mut outcome = Self::default();
        outcome.times.push(Timed {
            name: name.to_owned(),
            seconds,
        });
        if passed {
            outcome.counts.passed = 1;
        } else {
            outcome.fail(name, output);
        }
        outcome.take_skips(output);
        outcome
    }

    pub(crate) fn fail(&mut self, name: &str, output: &str) {
        self.counts.failed += 1;
        self.failures.push((name.to_owned(), output.to_owned()));
    }

    /// Counts the `SKIPPED:` lines in what was printed. A Rust test that skipped itself was counted
    /// as passed.
    pub(crate) fn take_skips(&mut self, output: &str) {
        for line in output.lines().filter(|line| line.starts_with("SKIPPED:")) {
            self.counts.skipped += 1;
            self.counts.passed = self.counts.passed.saturating_sub(1);
            self.skips.push(line.to_owned());
        }
    }

    /// A program that ended badly without a failed test is a failure.
    pub(crate) fn take_status(&mut self, name: &str, success: bool, output: &str) {
        if !success && self.counts.failed == 0 {
            self.fail(name, output);
        }
    }
}

/// One event of `--format json`.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Event {
    Test {
        event: TestEvent,
        name: String,
        exec_time: Option<f64>,
        #[serde(default)]
        stdout: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum TestEvent {
    Started,
    Ok,
    Failed,
    Ignored,
    Timeout,
}

/// Reads `--format json` of the test program `program`; returns the outcome and the same as text
/// for the log.
pub(crate) fn read_json(program: &str, output: &str) -> (Outcome, String) {
    let mut outcome = Outcome::default();
    let mut log = String::new();
    let mut skips = String::new();
    for line in output.lines() {
        let Ok(event) = serde_json::from_str(line) else {
            // What a test wrote past the harness.
            log.push_str(line);
            log.push('\n');
            skips.push_str(line);
            skips.push('\n');
            continue;
        };
        let Event::Test {
            event,
            name,
            exec_time,
            stdout,
        } = event
        else {
            continue;
        };
        let name = format!("{program} {name}");
        let seconds = exec_time.unwrap_or(0.0);
        let word = match event {
            TestEvent::Started | TestEvent::Timeout => continue,
            TestEvent::Ok => {
                outcome.counts.passed += 1;
                "ok"
            }
            TestEvent::Failed => {
                outcome.fail(&name, &stdout);
                "FAILED"
            }
            TestEvent::Ignored => {
                outcome.counts.skipped += 1;
                "ignored"
            }
        };
        for text in [
            "test ",
            &name,
            " ... ",
            word,
            " (",
            &format!("{seconds:.2}"),
            " s)\n",
            &stdout,
        ] {
            log.push_str(text);
        }
        skips.push_str(&stdout);
        skips.push('\n');
        outcome.times.push(Timed { name, seconds });
    }
    outcome.take_skips(&skips);
    (outcome, log)
}

/// Reads the text that libtest and programs like it print: `test NAME ... ok` with an optional time
/// in brackets, `test result:` with the counts, and what failed tests printed.
pub(crate) fn read_text(output: &str) -> Outcome {
    let mut outcome = Outcome::default();
    for line in output.lines() {
        if let Some(result) = line.strip_prefix("test result:") {
            let count = |word: &str| -> usize {
                let mut words = result.split([' ', ';', '.']).filter(|w| !w.is_empty());
                let mut last = 0;
                words
                    .find_map(|w| {
                        if w == word {
                            return Some(last);
                        }
                        last = w.parse().unwrap_or(0);
                        None
                    })
                    .unwrap_or(0)
            };
            outcome.counts += Counts {
                passed: count("passed"),
                failed: count("failed"),
                skipped: count("ignored"),
            };
        } else if let Some((name, rest)) = line
            .strip_prefix("test ")
            .and_then(|test| test.split_once(" ... "))
        {
            let seconds = rest
                .split_once('(')
                .and_then(|(_, time)| time.strip_suffix(" s)")?.parse().ok());
            if let Some(seconds) = seconds {
                outcome.times.push(Timed {
                    name: name.to_owned(),
                    seconds,
                });
            }
            if rest.starts_with("FAILED") {
                outcome.failures.push((name.to_owned(), said(output, name)));
            }
        }
    }
    outcome.take_skips(output);
    outcome
}

/// What a failed test printed: libtest's section of that name.
fn said(output: &str, name: &str) -> String {
    let head = format!("---- {name} stdout ----");
    output
        .split_once(&head)
        .map(|(_, rest)| rest.split("\n---- ").next().unwrap_or(rest))
        .map(|text| text.split("\nfailures:\n").next().unwrap_or(text))
        .unwrap_or_default()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{ "type": "suite", "event": "started", "test_count": 4 }
{ "type": "test", "event": "started", "name": "a::one" }
{ "type": "test", "name": "a::one", "event": "ok", "exec_time": 1.5 }
{ "type": "test", "name": "a::two", "event": "failed", "exec_time": 0.25, "stdout": "left: 1\n" }
SKIPPED: a::three: no sound card
{ "type": "test", "name": "a::three", "event": "ok", "stdout": "" }
{ "type": "test", "name": "a::four", "event": "ignored" }
{ "type": "suite", "event": "failed", "passed": 2, "failed": 1, "exec_time": 2.0 }
"#;

    #[test]
    fn json_is_counted_timed_and_a_skip_is_no_pass() {
        let (outcome, log) = read_json("media", JSON);
        let counts = Counts {
            passed: 1,
            failed: 1,
            skipped: 2,
        };
        assert_eq!(outcome.counts, counts);
        assert_eq!(outcome.times[0].name, "media a::one");
        assert!((outcome.times[0].seconds - 1.5).abs() < 1e-9);
        assert_eq!(
            outcome.failures,
            [("media a::two".to_owned(), "left: 1\n".to_owned())]
        );
        assert_eq!(outcome.skips, ["SKIPPED: a::three: no sound card"]);
        assert!(
            log.contains("test media a::two ... FAILED (0.25 s)\nleft: 1"),
            "{log}"
        );
    }

    #[test]
    fn text_is_counted_and_failures_keep_their_output() {
        let text = "\nrunning 3 tests\ntest x ... ok\ntest y ... FAILED\ntest z ... ok (2.5 s)\n\n\
                    failures:\n\n---- y stdout ----\nit broke\n\nfailures:\n    y\n\n\
                    test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered \
                    out\n\
                    test result: ok. 10 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out\n";
        let outcome = read_text(text);
        let counts = Counts {
            passed: 12,
            failed: 1,
            skipped: 1,
        };
        assert_eq!(outcome.counts, counts);
        assert_eq!(outcome.failures, [("y".to_owned(), "it broke".to_owned())]);
        assert_eq!(outcome.times.len(), 1);
    }

    #[test]
    fn what_failed_is_run_once_more_and_said() {
        let failed = |names: &[&str]| {
            let mut outcome = Outcome::default();
            for name in names {
                outcome.fail(name, "why");
            }
            outcome
        };
        let once = |test: &str| {
            let passed = test == "peers busy";
            (test != "netns").then(|| Outcome::of_check(test, passed, 0.1, ""))
        };
        let mut outcome = failed(&["peers busy", "peers broken", "netns"]);
        outcome.repeat_failures(once);
        assert_eq!((outcome.counts.passed, outcome.counts.failed), (1, 2));
        assert_eq!(outcome.at_second_try, ["peers busy"]);
        let still: Vec<&str> = outcome.failures.iter().map(|(name, _)| &name[..]).collect();
        assert_eq!(still, ["peers broken", "netns"]);
        let mut many = failed(&["peers busy"; MOST_REPEATED + 1]);
        many.repeat_failures(|_| panic!("too many to be chance"));
        assert_eq!(many.counts.failed, MOST_REPEATED + 1);
        // A program that runs no test of this name proves nothing.
        let mut none = failed(&["peers busy"]);
        none.repeat_failures(|_| Some(Outcome::default()));
        assert_eq!(none.counts.failed, 1);
    }

    #[test]
    fn a_program_that_crashes_is_one_failure() {
        let mut outcome = Outcome::default();
        outcome.take_status("media", false, "Segmentation fault");
        outcome.take_status("media", false, "once is enough");
        assert_eq!(outcome.counts.failed, 1);
    }

    #[test]
    fn a_check_that_skips_itself_is_not_passed() {
        let outcome = Outcome::of_check("deny", true, 0.1, "SKIPPED: deny: not installed\n");
        assert_eq!((outcome.counts.passed, outcome.counts.skipped), (0, 1));
    }
}
