//! `offhook selftest --wiring`: a person lifts, presses and dials, and the phone says which line is
//! what.

use std::path::Path;
use std::time::{Duration, Instant};

use board::Profile;
use board::wiring::FreeLines;

use super::SelfTestError;
use crate::output::print;

/// Between two looks at the lines.
const LOOK: Duration = Duration::from_millis(5);
/// Between two scans for keys.
const SCAN: Duration = Duration::from_millis(50);
/// After an edge lines are not driven for so long: a dial may be running back.
const STILL: Duration = Duration::from_millis(400);
/// The file on the card.
const FILE: &str = "wiring.toml";

/// Asks, watches and prints what was found; whether something was.
pub(crate) fn run(config: &config::Config, card: Option<&Path>) -> Result<bool, SelfTestError> {
    let profile = Profile::load_over(
        &config.board.profile_dir,
        &config.board.profile,
        &crate::setup::overrides(config),
    )?;
    let chip = profile.gpio.chip;
    let mut lines = FreeLines::open(&chip)?;
    let mut finder = lines.finder(Instant::now())?;
    let (mut scanned, mut moved) = (Instant::now(), Instant::now());
    print(&format!("wiring of the GPIO chip {chip}"));
    while !finder.is_done() {
        if let Some(instruction) = finder.poll_instruction() {
            print(&format!("  {instruction}"));
        }
        std::thread::sleep(LOOK);
        if lines.report_edges(&mut finder)? {
            moved = Instant::now();
        }
        let now = Instant::now();
        finder.handle_timeout(now);
        let driven = finder.wants_scan();
        let still = now.saturating_duration_since(moved) >= STILL;
        if !driven.is_empty() && still && now.saturating_duration_since(scanned) >= SCAN {
            scanned = now;
            let joined = lines.scan(&driven)?;
            finder.handle_scan(&joined, Instant::now());
        }
    }
    let findings = finder.findings();
    for line in findings.report() {
        print(&format!("  {line}"));
    }
    let toml = findings.to_toml();
    if toml.is_empty() {
        return Ok(false);
    }
    print(&format!("\nto be written into offhook.toml:\n\n{toml}"));
    if let Some(card) = card {
        write(&card.join(FILE), &toml);
    }
    Ok(true)
}

fn write(path: &Path, toml: &str) {
    match std::fs::write(path, toml) {
        Ok(()) => print(&format!("written to {}", path.display())),
        Err(error) => print(&format!("{}: {error}", path.display())),
    }
}
