//! The phone's wires: hook switch, keypad matrix, bell and lamps on the kernel's simulated GPIO
//! chip inside the machine, moved and read by its attributes through the machine's shell.
//!
//! ```text
//!   test: hook()  ─▶ sim_gpio0/pull ─▶ gpio-sim ─▶ edge ─▶ phone          phone ─▶ gpio-sim ─▶ sim_gpioN/value ─▶ lamp(), rings()
//!   test: press() ─▶ test-keypress (tests/image/build.sh): a closed key joins its column to its row, inside, since a scan is too quick
//!                    for a question from outside
//! ```

use std::time::{Duration, Instant};

use crate::machine::Machine;

/// As `board/profiles/virt/hardware.toml` has them.
const HOOK: u32 = 0;
const COLUMNS: [u32; 3] = [1, 2, 3];
const ROWS: [u32; 4] = [4, 5, 6, 7];
const KEYS: [&str; 4] = ["123", "456", "789", "*0#"];
const BELL: [u32; 2] = [8, 9];

/// A lamp by its line.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lamp {
    /// The line: lit while it can be used.
    Line = 10,
    /// Lit while the handset is in use.
    InUse = 11,
}

/// Lines of a key: its row's and its column's.
fn matrix(key: char) -> (u32, u32) {
    let row = KEYS
        .iter()
        .position(|row| row.contains(key))
        .expect("a key of this keypad");
    let column = KEYS[row].find(key).expect("it is in this row");
    (ROWS[row], COLUMNS[column])
}

impl Machine {
    /// Moves the hook switch: the contact closes when the handset is lifted. Done when the line has
    /// moved.
    pub(crate) fn hook(&mut self, lifted: bool) {
        let pull = if lifted { "pull-down" } else { "pull-up" };
        self.shell(&format!("echo {pull} >/run/lines/sim_gpio{HOOK}/pull"));
    }

    /// A action on this key while the power comes on, for as long as a factory reset could need.
    pub(crate) fn hold(&mut self, key: char) {
        let (row, column) = matrix(key);
        self.more_words = format!(" offhook.held={row}:{column}");
    }

    /// No action any more.
    pub(crate) fn let_go(&mut self) {
        self.more_words.clear();
    }

    /// Presses one key for half a second and lets it go.
    pub(crate) fn press(&mut self, key: char) {
        let (row, column) = matrix(key);
        self.shell(&format!(
            "/usr/lib/offhook/test-keypress {row} {column} 0.5; sleep 0.4"
        ));
    }

    fn lit(&mut self, lamp: Lamp) -> bool {
        self.shell(&format!("cat /run/lines/sim_gpio{}/value", lamp as u32))
            .trim()
            == "1"
    }

    /// Waits until a lamp is lit, or dark.
    pub(crate) fn wait_lamp(&mut self, lamp: Lamp, lit: bool, limit: Duration) {
        let end = Instant::now() + limit;
        while self.lit(lamp) != lit {
            assert!(
                Instant::now() < end,
                "the lamp {lamp:?} is not {} within {limit:?}",
                if lit { "lit" } else { "dark" }
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// How often either bell line was seen to change, and both high at once, in this many looks.
    /// The bell swings at 25 Hz and a look takes a few milliseconds: swings are missed, a bell is
    /// not.
    pub(crate) fn bell(&mut self, looks: u32) -> (u32, u32) {
        let [first, second] = BELL.map(|line| format!("/run/lines/sim_gpio{line}/value"));
        let seen = self.shell(&format!(
            "was=00 changes=0 both=0 looks=0; while [ $looks -lt {looks} ]; do read -r one \
             <{first}; read -r two <{second}; \
             [ $one$two = $was ] || {{ changes=$((changes + 1)); was=$one$two; }}; \
             if [ $one$two = 11 ]; then read -r one <{first}; read -r two <{second}; read -r three \
             <{first}; \
             [ $one$two$three != 111 ] || both=$((both + 1)); fi; looks=$((looks + 1)); done; echo \
             $changes $both"
        ));
        let mut words = seen.split_whitespace().map(|word| {
            word.parse()
                .unwrap_or_else(|error| panic!("{seen}: {error}"))
        });
        (words.next().expect("changes"), words.next().expect("both"))
    }
}
