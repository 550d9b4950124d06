//! User instructions, counted by callgrind.
//!
//! ```text
//! valgrind ─▶ phone with the preload instructions.c ─ a file is there ─▶ translates ─▶ counts ─▶ dump
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Counts the user instructions of a process for a time, by the preload `instructions.c`.
#[derive(Debug)]
pub(crate) struct Counting {
    pub(crate) library: PathBuf,
    /// The count begins once this file is there; callgrind's own files begin with its name.
    pub(crate) file: PathBuf,
    /// From then on callgrind has this long for its translations.
    pub(crate) translating: Duration,
    /// And this long it counts.
    pub(crate) window: Duration,
}

impl Counting {
    /// Instructions in a second, counted now.
    pub(crate) fn count(&self) -> Option<f64> {
        let done = self.beside(".done");
        std::fs::File::create(&self.file).ok()?;
        let end = Instant::now() + self.translating + self.window + Duration::from_secs(20);
        let took = loop {
            let text = std::fs::read_to_string(&done).unwrap_or_default();
            if let Some(nanoseconds) = text.strip_suffix('\n') {
                break nanoseconds.parse::<f64>().ok()? / 1e9;
            }
            if Instant::now() > end {
                return None;
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        // The first dump of a run is numbered so. Nothing counted is no figure.
        let counted = total(&self.beside(".out.1")).filter(|&counted| counted > 0.0)?;
        Some(counted / took)
    }

    /// Deletes what an earlier count left.
    pub(crate) fn clear(&self) {
        for end in ["", ".done", ".out.1"] {
            std::fs::remove_file(self.beside(end)).ok();
        }
    }

    fn beside(&self, end: &str) -> PathBuf {
        let mut name = self.file.clone().into_os_string();
        name.push(end);
        name.into()
    }

    /// The same command under callgrind.
    pub(crate) fn command(&self, command: &Command) -> Command {
        let mut counted = Command::new("valgrind");
        counted
            .args(["--tool=callgrind", "--instr-atstart=no", "--quiet"])
            .arg(format!(
                "--callgrind-out-file={}",
                self.beside(".out").display()
            ))
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                counted.env(name, value);
            }
        }
        counted
            .env("LD_PRELOAD", &self.library)
            .env("COUNTING", &self.file)
            .env("TRANSLATING", self.translating.as_secs().to_string())
            .env("WINDOW", self.window.as_secs().to_string());
        counted
    }
}

/// What callgrind counted in all, up to this dump from the one before or from the last time it
/// began at zero. (Its `summary` goes on from the beginning.)
pub(crate) fn total(file: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("totals:"))?;
    line.trim().split(' ').next()?.parse().ok()
}
