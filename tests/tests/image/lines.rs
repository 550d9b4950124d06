//! The phone's wires: hook switch and keypad matrix, on the emulated PL061 of the `virt` machine, moved from outside by QEMU's qtest.
//!
//! ```text
//!   test: hook(), press() ─▶ Wires ─▶ "set_irq_in … LINE LEVEL"  ─▶ PL061 ─▶ gpiolib ─▶ phone
//!   phone scans rows      ─▶ PL061 ─▶ "IRQ lower ROW"  ─▶ Wires: a closed key joins its column to its row
//! ```

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// As `board/profiles/virt/hardware.toml` has them.
const HOOK: usize = 0;
const COLUMNS: [usize; 3] = [1, 2, 3];
const ROWS: [usize; 4] = [4, 5, 6, 7];
const KEYS: [&str; 4] = ["123", "456", "789", "*0#"];

struct Wires {
    to: UnixStream,
    chip: String,
    /// Level of each line as the phone drives it.
    driven: [bool; 8],
    /// The key held: row and column.
    held: Option<(usize, usize)>,
    /// What we last set.
    set: [Option<bool>; 8],
}

impl Wires {
    fn set(&mut self, line: usize, high: bool) {
        if self.set[line] != Some(high) {
            self.set[line] = Some(high);
            // A machine that is gone has no lines to move.
            writeln!(self.to, "set_irq_in {} unnamed-gpio-in {line} {}", self.chip, u8::from(high)).ok();
        }
    }

    fn columns(&mut self) {
        for (column, line) in COLUMNS.into_iter().enumerate() {
            let pulled = self.held.is_some_and(|(row, held)| held == column && !self.driven[ROWS[row]]);
            self.set(line, !pulled);
        }
    }
}

/// The wires of one running machine.
pub(crate) struct Lines {
    wires: Arc<Mutex<Wires>>,
}

impl Lines {
    /// Takes hold of the lines of a machine that has just been started: handset down, no key pressed.
    pub(crate) fn hold(qtest: &Path, qmp: &Path) -> Self {
        let chip = chip(qmp);
        let to = connect(qtest);
        let from = BufReader::new(to.try_clone().unwrap());
        let mut wires = Wires {
            to,
            chip,
            driven: [false; 8],
            held: None,
            set: [None; 8],
        };
        writeln!(wires.to, "irq_intercept_out {}", wires.chip).unwrap();
        wires.set(HOOK, true);
        wires.columns();
        let wires = Arc::new(Mutex::new(wires));
        let shared = Arc::clone(&wires);
        std::thread::spawn(move || {
            for line in from.lines().map_while(Result::ok) {
                let mut words = line.split_whitespace();
                if let (Some("IRQ"), Some(way), Some(Ok(number))) = (words.next(), words.next(), words.next().map(str::parse::<usize>))
                    && number < 8
                {
                    let mut wires = shared.lock().unwrap();
                    wires.driven[number] = way == "raise";
                    wires.columns();
                }
            }
        });
        Self { wires }
    }

    /// Moves the hook switch: the contact closes when the handset is lifted.
    pub(crate) fn hook(&self, lifted: bool) {
        self.wires.lock().unwrap().set(HOOK, !lifted);
    }

    /// Presses one key for a while and lets it go.
    pub(crate) fn press(&self, key: char) {
        let row = KEYS.iter().position(|row| row.contains(key)).expect("a key of this keypad");
        let column = KEYS[row].find(key).unwrap();
        for held in [Some((row, column)), None] {
            {
                let mut wires = self.wires.lock().unwrap();
                wires.held = held;
                wires.columns();
            }
            std::thread::sleep(Duration::from_millis(600));
        }
    }
}

fn connect(path: &Path) -> UnixStream {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < end, "{}: {error}", path.display()),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Where this QEMU keeps its PL061.
fn chip(qmp: &Path) -> String {
    let mut stream = connect(qmp);
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut from = BufReader::new(stream.try_clone().unwrap());
    let mut ask = |request: &str| -> Value {
        writeln!(stream, "{request}").unwrap();
        loop {
            let mut line = String::new();
            assert!(from.read_line(&mut line).unwrap() > 0, "QMP ended");
            let value: Value = serde_json::from_str(&line).unwrap();
            if value.get("return").is_some() || value.get("error").is_some() {
                return value;
            }
        }
    };
    ask(r#"{"execute": "qmp_capabilities"}"#);
    let devices = ask(r#"{"execute": "qom-list", "arguments": {"path": "/machine/unattached"}}"#);
    let name = devices["return"]
        .as_array()
        .and_then(|list| list.iter().find(|device| device["type"] == "child<pl061>"))
        .and_then(|device| device["name"].as_str())
        .unwrap_or_else(|| panic!("no PL061 among {devices}"));
    format!("/machine/unattached/{name}")
}
