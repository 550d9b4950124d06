//! `offhook selftest --wiring`: a person lifts, presses and dials, and the phone says which line is
//! what.
//!
//! ```text
//! lines ─▶ WiringFinder ─┬▶ instructions: terminal, display, beeps
//!                        └▶ findings: terminal, wiring.toml on the card, status.txt
//! ```

use std::path::Path;
use std::time::{Duration, Instant};

use board::Profile;
use board::audio::{AudioDevice, Period};
use board::display::{Light, Panel, Picture};
use board::wiring::{FreeLines, Instruction};
use display::{Body, Screen};

use super::SelfTestError;
use crate::output::print;
use crate::storage::{Disk, Files};

/// Between two looks at the lines.
const LOOK: Duration = Duration::from_millis(5);
/// Between two scans for keys.
const SCAN: Duration = Duration::from_millis(50);
/// After an edge lines are not driven for so long: a dial may be running back.
const STILL: Duration = Duration::from_millis(400);
/// The file on the card.
const FILE: &str = "wiring.toml";
/// In the state directory: what was found, for `status.txt`.
const FOUND: &str = "wiring.txt";
/// Most bytes of it.
const MAX_FOUND: u64 = 4096;
/// A beep, and the pause after it.
const BEEP: Duration = Duration::from_millis(120);
/// Level of a beep, about -16 dBm0, and its frequency in Hz.
const AMPLITUDE: f32 = 5000.0;
const FREQUENCY: f32 = 800.0;

/// What was found the last time somebody asked; nothing where no one did.
pub(crate) fn found(state_dir: &Path) -> String {
    let text = board::files::read_in_time(&state_dir.join(FOUND), MAX_FOUND);
    String::from_utf8_lossy(&text.unwrap_or_default()).into_owned()
}

/// Asks, watches and prints what was found; whether something was.
pub(crate) fn run(config: &config::Config, card: Option<&Path>) -> Result<bool, SelfTestError> {
    find(config, card, &mut |_| {})
}

/// The same for a person without a terminal: instructions are beeped (1 lies, 2 lift, 3 put down, 4
/// a key) and stand on the display, where there is one.
pub(crate) fn run_by_key(
    config: &config::Config,
    card: Option<&Path>,
) -> Result<bool, SelfTestError> {
    let profile = profile(config)?;
    let mut panel = profile
        .display
        .as_ref()
        .and_then(|display| board::display::open(display).ok());
    let request = crate::hardware::audio_request(config, &profile);
    let mut sound = board::audio::open(&request).ok();
    let found = find(config, card, &mut |instruction| {
        if let Some(panel) = panel.as_deref_mut() {
            show(panel, instruction);
        }
        if let Some(sound) = sound.as_deref_mut() {
            beep(sound, beeps(instruction));
        }
    })?;
    Ok(found)
}

/// How many beeps say this.
fn beeps(instruction: Instruction) -> u32 {
    match instruction {
        Instruction::Rest => 1,
        Instruction::Lift => 2,
        Instruction::PutDown => 3,
        Instruction::FirstKey(_) | Instruction::Key(_) => 4,
        Instruction::Done => 0,
    }
}

fn profile(config: &config::Config) -> Result<Profile, SelfTestError> {
    Ok(Profile::load_over(
        &config.board.profile_dir,
        &config.board.profile,
        &crate::hardware::overrides(config),
    )?)
}

fn find(
    config: &config::Config,
    card: Option<&Path>,
    say: &mut dyn FnMut(Instruction),
) -> Result<bool, SelfTestError> {
    let chip = profile(config)?.gpio.chip;
    let mut lines = FreeLines::open(&chip)?;
    let mut finder = lines.finder(Instant::now())?;
    let (mut scanned, mut moved) = (Instant::now(), Instant::now());
    print(&format!("wiring of the GPIO chip {chip}"));
    while !finder.is_done() {
        if let Some(instruction) = finder.poll_instruction() {
            print(&format!("  {instruction}"));
            say(instruction);
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
    say(Instruction::Done);
    let findings = finder.findings();
    let report = findings.report();
    for line in &report {
        print(&format!("  {line}"));
    }
    let toml = findings.to_toml();
    let text = format!("{}\n\n{toml}", report.join("\n"));
    keep(&config.control.state_dir.join(FOUND), text.trim());
    if toml.is_empty() {
        return Ok(false);
    }
    print(&format!("\nto be written into offhook.toml:\n\n{toml}"));
    if let Some(card) = card {
        match Disk.write_card(card, FILE, toml.as_bytes()) {
            Ok(()) => print(&format!("written to {}", card.join(FILE).display())),
            Err(error) => print(&format!("{}: {error}", card.join(FILE).display())),
        }
    }
    Ok(true)
}

fn keep(path: &Path, text: &str) {
    if let Err(error) = Disk.write_atomic(path, text.as_bytes()) {
        print(&format!("{}: {error}", path.display()));
    }
}

fn show(panel: &mut dyn Panel, instruction: Instruction) {
    let screen = Screen {
        title: "Wiring".to_owned(),
        icons: Vec::new(),
        body: Body::Page {
            lines: vec![instruction.to_string()],
            first: 0,
        },
    };
    let (width, height) = panel.size();
    let frame = display::render(&screen, width, height);
    let picture = Picture::new(width, height, frame.bits());
    if let Err(error) = panel.show(&picture, Light::Full) {
        print(&format!("  {error}"));
    }
}

/// Beeps so often. A card that gives nothing is not waited for.
fn beep(card: &mut dyn AudioDevice, count: u32) {
    let format = card.format();
    let mut period = vec![0; format.period_frames];
    let (length, began) = (BEEP * 2 * count, Instant::now());
    let mut frame = 0_usize;
    while began.elapsed() < length {
        if !matches!(card.read(&mut period), Ok(Period::Ready)) {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        for sample in &mut period {
            let at = frame as f32 / format.rate_hz as f32;
            let on = ((at / BEEP.as_secs_f32()) as u32).is_multiple_of(2);
            let tone = (at * FREQUENCY * std::f32::consts::TAU).sin() * AMPLITUDE;
            *sample = if on { tone as i16 } else { 0 };
            frame += 1;
        }
        if card.write(&period).is_err() {
            return;
        }
    }
}
