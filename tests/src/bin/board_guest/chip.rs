//! The kernel's simulated GPIO chip, as the hand sees it: pull a line, read what the phone drives.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Lines, as board/profiles/gpio-sim/hardware.toml has them.
pub(crate) const HOOK: u32 = 0;
pub(crate) const FLASH: u32 = 1;
pub(crate) const ROWS: [u32; 4] = [2, 3, 4, 5];
pub(crate) const COLUMNS: [u32; 3] = [6, 7, 8];
pub(crate) const PULSE: u32 = 9;
pub(crate) const OFF_NORMAL: u32 = 10;
pub(crate) const BELL: [u32; 2] = [11, 12];
pub(crate) const LAMP_LINE: u32 = 13;
pub(crate) const LAMP_IN_USE: u32 = 14;
pub(crate) const LAMP_MESSAGE: u32 = 15;
pub(crate) const LAMP_ENCRYPTED: u32 = 16;
pub(crate) const LAMP_MUTED: u32 = 17;
pub(crate) const LAMP_HANDS_FREE: u32 = 18;
pub(crate) const LAMP_RINGING: u32 = 19;
/// Of the first phone that is watched, and of the second.
pub(crate) const LAMPS_WATCHED: [u32; 2] = [20, 21];
pub(crate) const LINES: u32 = 22;
/// No dial holds its contact so much longer than the time before, open or closed, while it runs
/// back.
const LATE: Duration = Duration::from_millis(16);

/// The chip `offhook-test`.
pub(crate) struct Chip {
    lines: PathBuf,
}

impl Chip {
    /// Makes it by configfs, all lines at rest.
    pub(crate) fn create() -> Self {
        let config = Path::new("/sys/kernel/config/gpio-sim/offhook");
        let bank = config.join("bank0");
        fs::create_dir_all(&bank).unwrap();
        fs::write(bank.join("num_lines"), LINES.to_string()).unwrap();
        fs::write(bank.join("label"), "offhook-test").unwrap();
        fs::write(config.join("live"), "1").unwrap();
        let device = fs::read_to_string(config.join("dev_name")).unwrap();
        let chip = fs::read_to_string(bank.join("chip_name")).unwrap();
        let lines = Path::new("/sys/devices/platform")
            .join(device.trim())
            .join(chip.trim());
        assert!(
            lines.join("sim_gpio0").is_dir(),
            "no lines in {}",
            lines.display()
        );
        let chip = Self { lines };
        chip.rest();
        chip
    }

    /// Handset down, no key pressed, dial at rest: every contact open, its line pulled up.
    pub(crate) fn rest(&self) {
        for line in 0..LINES {
            // Outputs have resistors to ground, for the time when no one drives them.
            self.pull(line, line < BELL[0]);
        }
        // The pulse contact of a dial at rest is closed.
        self.pull(PULSE, false);
    }

    /// Pulls an input up (contact open) or down (contact closed).
    pub(crate) fn pull(&self, line: u32, up: bool) {
        fs::write(
            self.line(line, "pull"),
            if up { "pull-up" } else { "pull-down" },
        )
        .unwrap();
    }

    /// What the line reads: what the phone drives, or the pull.
    pub(crate) fn value(&self, line: u32) -> bool {
        fs::read_to_string(self.line(line, "value")).unwrap().trim() == "1"
    }

    /// Waits until the line reads so.
    pub(crate) fn wait(&self, line: u32, value: bool, most: Duration) -> bool {
        let end = Instant::now() + most;
        while self.value(line) != value {
            if Instant::now() > end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// Lifts the handset: the contact closes.
    pub(crate) fn lift(&self) {
        self.pull(HOOK, false);
    }

    /// Puts it down.
    pub(crate) fn put_down(&self) {
        self.pull(HOOK, true);
    }

    /// Dials a digit: the dial leaves rest, the pulse contact opens once a pulse (10 a second, 60
    /// ms open), the dial comes back. Says whether the pulses were those of a dial: where the
    /// machine let this program stand still in the middle of one, no phone could count them.
    #[must_use]
    pub(crate) fn dial(&self, digit: char) -> bool {
        let pulses = match digit.to_digit(10).unwrap() {
            0 => 10,
            n => n,
        };
        self.pull(OFF_NORMAL, false);
        std::thread::sleep(Duration::from_millis(150));
        let mut latest = Duration::ZERO;
        let mut hold = |up, time| {
            let began = Instant::now();
            self.pull(PULSE, up);
            std::thread::sleep(time);
            latest = latest.max(began.elapsed().saturating_sub(time));
        };
        for _ in 0..pulses {
            hold(true, Duration::from_millis(60));
            hold(false, Duration::from_millis(40));
        }
        std::thread::sleep(Duration::from_millis(60));
        self.pull(OFF_NORMAL, true);
        std::thread::sleep(Duration::from_millis(300));
        let in_time = latest < LATE;
        if !in_time {
            println!(
                "dialled {digit} with a pulse {} ms too long",
                latest.as_millis()
            );
        }
        in_time
    }

    fn line(&self, line: u32, attribute: &str) -> PathBuf {
        self.lines.join(format!("sim_gpio{line}")).join(attribute)
    }
}
