//! The image, booted: the card as a person flashes it, in QEMU's `virt` machine, from its first
//! sector to a call.
//!
//! ```text
//!  card image (tests/image/build.sh) ─▶ firmware.sh (slot) ─▶ QEMU ─▶ init ─▶ phone
//!     ▲ mtools: offhook.toml, updates      │ lines (gpio-sim)   │ sound card (PulseAudio)   │ network (tap)
//!     └ status.txt                       hook, keypad, bell   ear, mouth              host: offhook, kamailio, DHCP
//! ```
//!
//! Run by `scripts/test image`, in a network namespace of its own. The kernel is Debian's and the
//! processor is emulated, so times are the machine's, not a board's; what is compared with what was
//! said is the sound.
//!
//! Wall clock: an emulated machine boots, and its sound card is in real time.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and reports by printing"
)]

mod boot;
mod bundle_and_reset;
mod card;
mod clock;
mod confined;
mod gpio;
mod machine;
mod network;
mod network_settings;
mod power_cuts;
mod update;
mod wifi;
