//! The search for what is wired, on lines of the kernel: the hand does what the finder asks for. A
//! keypad cannot be made here: the finder looks at its columns microseconds after it has driven a
//! row, sooner than any program that plays the contacts could follow.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use board::wiring::{Findings, FreeLines, Instruction};

use crate::chip::{Chip, HOOK, OFF_NORMAL, PULSE};

/// Between two looks at the lines, and between two scans, as the program has them.
const LOOK: Duration = Duration::from_millis(5);
const SCAN: Duration = Duration::from_millis(50);
/// After an edge no line is driven for so long.
const STILL: Duration = Duration::from_millis(400);

/// Runs the finder; `hand` gets its instructions and moves contacts meanwhile, on a thread of its
/// own.
fn find(chip: &Chip, hand: impl FnOnce(&Receiver<Instruction>) + Send) -> Findings {
    chip.rest();
    let mut lines = FreeLines::open("offhook-test").unwrap_or_else(|e| panic!("{e}"));
    // Taking them has pulled up all; a dial at rest holds its contact closed.
    chip.pull(PULSE, false);
    let mut before = lines.finder(Instant::now()).unwrap();
    lines.report_edges(&mut before).unwrap();
    let mut finder = lines.finder(Instant::now()).unwrap();
    let (ask, asked) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || hand(&asked));
        let (mut scanned, mut moved) = (Instant::now(), Instant::now());
        while !finder.is_done() {
            if let Some(instruction) = finder.poll_instruction() {
                let _ = ask.send(instruction);
            }
            std::thread::sleep(LOOK);
            if lines.report_edges(&mut finder).unwrap() {
                moved = Instant::now();
            }
            finder.handle_timeout(Instant::now());
            let driven = finder.wants_scan();
            let (still, since) = (moved.elapsed() >= STILL, scanned.elapsed());
            if !driven.is_empty() && still && since >= SCAN {
                scanned = Instant::now();
                let joined = lines.scan(&driven).unwrap();
                finder.handle_scan(&joined, Instant::now());
            }
        }
        drop(ask);
    });
    finder.findings().clone()
}

/// Lifts and puts down, with a contact that bounces for 60 ms.
fn bounce(chip: &Chip, lifted: bool) {
    for _ in 0..3 {
        chip.pull(HOOK, !lifted);
        std::thread::sleep(Duration::from_millis(10));
        chip.pull(HOOK, lifted);
        std::thread::sleep(Duration::from_millis(10));
    }
    chip.pull(HOOK, !lifted);
}

pub(crate) fn hook_and_dial(chip: &Chip) {
    // Pulses that the machine stretched are no dial's: the person dials again, from the beginning.
    for attempt in 1.. {
        let mut in_time = true;
        let found = find(chip, |asked| {
            for instruction in asked {
                match instruction {
                    Instruction::Lift => bounce(chip, true),
                    Instruction::PutDown => bounce(chip, false),
                    Instruction::FirstKey(_) => in_time = chip.dial('5'),
                    Instruction::Rest | Instruction::Key(_) | Instruction::Done => {}
                }
            }
        });
        if !in_time && attempt < 5 {
            continue;
        }
        let hook = found.hook.as_ref().unwrap();
        assert_eq!(
            (hook.line, hook.normally_closed),
            (HOOK, false),
            "{found:?}"
        );
        let bounce = hook.bounce.as_millis();
        assert!((40..200).contains(&bounce), "bounces {bounce} ms");
        let dial = found.dial.as_ref().unwrap();
        assert_eq!(
            (dial.pulse, dial.off_normal, dial.pulses),
            (PULSE, Some(OFF_NORMAL), 5),
            "{found:?}"
        );
        assert!(
            !dial.pulse_closed_high && !dial.off_normal_away_high,
            "{found:?}"
        );
        assert!(found.restless.is_empty(), "{found:?}");
        // What it prints is what the profile of this board says.
        let toml = found.to_toml();
        for line in [
            "[hardware.hook]",
            "line = 0",
            "[hardware.rotary]",
            "pulse = 9",
        ] {
            assert!(toml.lines().any(|known| known == line), "{line}: {toml}");
        }
        break;
    }
    chip.rest();
}
