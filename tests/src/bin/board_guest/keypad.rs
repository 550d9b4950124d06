//! A keypad: while a key is held, its column follows its row, as a closed contact
//! makes it.

use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use crate::chip::{COLUMNS, Chip, ROWS};

const LABELS: [&str; 4] = ["123", "456", "789", "*0#"];

/// The contacts of the matrix, moved while [`with_contacts`] runs.
pub(crate) struct KeypadContacts {
    /// Closed contacts, bit `row * 3 + column`.
    closed: AtomicU16,
    done: AtomicBool,
}

impl KeypadContacts {
    /// Closes a key's contact.
    pub(crate) fn down(&self, key: char) {
        self.closed.fetch_or(bit(key), Ordering::SeqCst);
    }

    /// Opens it.
    pub(crate) fn up(&self, key: char) {
        self.closed.fetch_and(!bit(key), Ordering::SeqCst);
    }

    /// Holds a key until `seen` has seen it go down, then lets go and waits as long as a person
    /// takes to the next.
    pub(crate) fn press<T>(&self, key: char, seen: impl FnOnce() -> T) -> T {
        self.down(key);
        let result = seen();
        self.up(key);
        std::thread::sleep(Duration::from_millis(300));
        result
    }
}

fn bit(key: char) -> u16 {
    let row = LABELS.iter().position(|row| row.contains(key)).unwrap();
    1 << (row * 3 + LABELS[row].find(key).unwrap())
}

/// Runs `body` with a thread that is the wires of the matrix.
pub(crate) fn with_contacts<T>(chip: &Chip, body: impl FnOnce(&KeypadContacts) -> T) -> T {
    let contacts = KeypadContacts {
        closed: AtomicU16::new(0),
        done: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        scope.spawn(|| wires(chip, &contacts));
        let done = Done(&contacts.done);
        let result = body(&contacts);
        drop(done);
        result
    })
}

/// Ends the wires even when the body panics.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn wires(chip: &Chip, contacts: &KeypadContacts) {
    let mut low = [false; 3];
    while !contacts.done.load(Ordering::SeqCst) {
        let closed = contacts.closed.load(Ordering::SeqCst);
        let mut now = [false; 3];
        for (r, &row) in ROWS.iter().enumerate() {
            let keys = closed >> (r * 3) & 7;
            if keys == 0 {
                continue;
            }
            if !chip.value(row) {
                for (c, low) in now.iter_mut().enumerate() {
                    *low |= keys & 1 << c != 0;
                }
            }
        }
        for (c, &column) in COLUMNS.iter().enumerate() {
            if now[c] != low[c] {
                chip.pull(column, !now[c]);
            }
        }
        low = now;
        std::thread::sleep(Duration::from_micros(500));
    }
    for &column in &COLUMNS {
        chip.pull(column, true);
    }
}
