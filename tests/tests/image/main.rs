//! The image, booted: the card as a person flashes it, in QEMU's `virt` machine, from its first
//! sector to a call.
//!
//! ```text
//!  card image (tests/image/build.sh) ─▶ firmware.sh (slot) ─▶ QEMU ─▶ init ─▶ phone
//!     ▲ mtools: offhook.toml, updates      │ lines (gpio-sim)   │ sound card (PulseAudio)   │ wire (tap)
//!     └ status.txt                       hook, keypad, bell   ear, mouth              host: offhook, kamailio, DHCP
//! ```
//!
//! Run by `scripts/test image`, in a network namespace of its own. The kernel is Debian's and the
//! processor is emulated, so times are the machine's, not a board's; what is compared with what was
//! said is the sound.
//!
//! Wall clock: an emulated machine boots, and its sound card is in real time.

// A test fails by panicking and reports by printing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]
// Configuration files are written as text, paths in quotes.
#![allow(
    clippy::unnecessary_debug_formatting,
    clippy::format_push_string,
    clippy::needless_pass_by_value
)]

mod air;
mod card;
mod clock;
mod lines;
mod machine;
mod orders;
mod power;
mod room;
mod start;
mod update;
mod wire;
