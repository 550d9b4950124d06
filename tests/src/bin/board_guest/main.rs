//! The driver inside the guest of `make test-board`: it is the hand on the hook and keys, the mouth
//! and ear at the sound card, and the phone that calls.
//!
//! ```text
//! configfs, sysfs ─▶ gpio-sim chip ═lines═ offhook (unmodified) ═SIP on lo═ offhook echo, a second offhook
//!                                          offhook ═snd-aloop═ Loopback (this driver)
//! ```
//!
//! First the board crate alone on the kernel's devices, then the whole phone. Prints `test … ok` as
//! cargo does. Runs as the only user process of the guest (see tests/board/), never on a real
//! machine: it makes chips and feeds watchdogs.
//!
//! Wall clock: lines and cards are the kernel's, and the phone is a process of its own.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and reports by printing"
)]

mod cards;
mod check;
mod chip;
mod desk;
mod devices;
mod entropy;
mod keypad;
mod loopback;
mod phone;
mod story;
mod wiring;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use chip::Chip;

/// A test's name and what it does with the chip.
type Test = (&'static str, fn(&Chip));

fn main() -> ExitCode {
    entropy::seed();
    let chip = Chip::create();
    let tests: [Test; 19] = [
        (
            "devices::the_hook_reports_its_level_and_its_moves",
            devices::hook,
        ),
        ("devices::every_key_of_the_matrix", devices::keypad),
        ("devices::the_dial_counts", devices::rotary),
        (
            "devices::bell_and_lamps_move_their_lines",
            devices::bell_and_lamps,
        ),
        (
            "devices::a_panic_silences_the_bell",
            devices::panic_silences,
        ),
        (
            "devices::lines_that_cannot_be_had_are_one_clear_error",
            devices::errors,
        ),
        (
            "devices::the_watchdog_is_fed_and_disarmed",
            devices::watchdog,
        ),
        ("devices::sound_crosses_the_loopback_card", devices::sound),
        ("check::devices_are_tried", check::devices),
        ("wiring::hook_and_dial_are_found", wiring::hook_and_dial),
        (
            "story::lift_dial_speak_hang_up",
            story::lift_dial_speak_hang_up,
        ),
        ("story::dialled_by_pulses", story::dialled_by_pulses),
        ("story::it_rings", story::it_rings),
        (
            "story::lamps_follow_the_watched_phones",
            story::lamps_follow_the_watched_phones,
        ),
        ("story::booted_off_hook", story::booted_off_hook),
        ("desk::stories_of_tests_desk", desk::stories),
        (
            "cards::a_call_moves_between_the_cards",
            cards::a_call_moves_between_the_cards,
        ),
        (
            "cards::half_a_minute_under_load",
            cards::half_a_minute_under_load,
        ),
        (
            "story::a_line_held_by_another_is_reported",
            story::busy_line,
        ),
    ];
    let only: Vec<String> = std::env::var("OFFHOOK_ONLY")
        .unwrap_or_default()
        .split(',')
        .filter(|n| !n.is_empty())
        .map(str::to_owned)
        .collect();
    let (mut passed, mut failed, mut left_out) = (0, 0, 0);
    for (name, test) in tests {
        if !only.is_empty() && !only.iter().any(|part| name.contains(part)) {
            left_out += 1;
            continue;
        }
        chip.rest();
        let began = Instant::now();
        let done = catch_unwind(AssertUnwindSafe(|| test(&chip)));
        let seconds = began.elapsed().as_secs_f64();
        if done.is_ok() {
            passed += 1;
            println!("test {name} ... ok ({seconds:.1} s)");
        } else {
            failed += 1;
            println!("test {name} ... FAILED ({seconds:.1} s)");
        }
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "test result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {left_out} \
         filtered out"
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
