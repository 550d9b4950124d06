//! `make bench`: the budgets, measured, each beside its peer in the same run, written to
//! `docs/budgets.md`.
//!
//! ```text
//!  bench: plays and records at the far end of a virtual card ═cable═ card ─ phone under test (offhook | baresip)
//!     └─ scripted caller: SIP, and RTP echoed or played with losses ══════════════════════ SIP, RTP
//!  pjsua (null card: what needs no card)
//!  /proc, strace, a counting preload ─▶ figures ─▶ table
//! ```
//!
//! A phone and an echo that delays nothing are two phones: what leaves one mouth and comes back to
//! the same ear went through the sending half of one phone and the receiving half of another. So
//! one-way delay needs no second clock.
//!
//! What cannot be measured here is a line `SKIPPED: …`, and a dash in the table.
//!
//! `scripts/bench GROUP…` measures only these groups of rows and leaves the page alone, or adds a
//! section to it where `OFFHOOK_WRITE_PAGES` is set; the groups are in [`figures::Group`].
//!
//! Wall clock: what is measured is time.

// A bench fails by panicking and reports by printing.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and reports by printing"
)]

mod caller;
mod callgrind;
mod command;
mod echo;
mod encrypted;
mod far;
mod figures;
mod idle;
mod noise;
mod process;
mod quality;
mod released;
mod scores;
mod subject;
mod table;
mod work;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use offhook_tests::vcard::VirtualCard;

use figures::Group;

/// Shows the process that measures where its card and files are.
const PLACE: &str = "OFFHOOK_BENCH_PLACE";

/// Counts what an echo canceller or a noise suppressor asks of it.
#[global_allocator]
static HEAP: testkit::heap::CountingAllocator = testkit::heap::CountingAllocator;

fn main() -> ExitCode {
    // cargo adds options of its own.
    let named: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let Some(groups) = named
        .iter()
        .map(|name| Group::named(name))
        .collect::<Option<Vec<Group>>>()
    else {
        let known = Group::ALL.map(Group::name).join(", ");
        println!("bench: the groups of rows are {known}; none named: all");
        return ExitCode::FAILURE;
    };
    if let Some(folder) = std::env::var_os(PLACE) {
        figures::measure(&PathBuf::from(folder), &groups);
        return ExitCode::SUCCESS;
    }
    // In memory where there is such a place: what a file system makes of the virtual card's wire is
    // no phone's work.
    let memory = PathBuf::from("/dev/shm");
    let beside = if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    };
    let folder = beside.join(format!("offhook-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    // alsa-lib reads its configuration once: the process that measures begins with it.
    let done = match VirtualCard::new(
        &folder,
        &format!(
            "pcm.soft {{ type plug slave.pcm \"phone\" }}\n{}",
            work::cards()
        ),
    ) {
        Ok(card) => Command::new(std::env::current_exe().unwrap())
            .args(&named)
            .env("ALSA_CONFIG_PATH", card.alsa_config())
            .env(PLACE, &folder)
            .status()
            .unwrap()
            .success(),
        Err(why) => {
            println!("SKIPPED: all budgets: {why}");
            true
        }
    };
    if std::env::var_os("OFFHOOK_BENCH_KEEP").is_none() {
        std::fs::remove_dir_all(&folder).ok();
    }
    if done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
