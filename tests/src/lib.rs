//! The phone seen from outside. This library is the simulator: whole phones, the network between
//! them, their sound cards and the people who use them, in one process under virtual time,
//! everything drawn from one seed.
//!
//! ```text
//!    board ─▶ phone (Control + Engine) ◀─▶ card (own clock, own microphone, own ear)
//!                     │  ▲
//!                     ▼  │ datagrams
//!                  network (delay, jitter, loss, order, outages) ─▶ wire (record, pcap)
//!                     │  ▲
//!                     ▼  │
//!             peer (scripted) · registrar (scripted)          measure: what was said against what was heard
//! ```
//!
//! `world` owns all of it and is the only thing a scenario talks to. Scenarios are in
//! `tests/tests/`.
//!
//! Wall clock: only what starts real programs (`desk_phone`, `kamailio`, `null_sink`, `speech`)
//! waits for them; the simulation runs under virtual time.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking and reports by printing"
)]
#![expect(
    clippy::return_self_not_must_use,
    clippy::must_use_candidate,
    clippy::needless_pass_by_value,
    reason = "builders of tests are used in one breath"
)]

pub mod asterisk;
pub mod card;
pub mod certificates;
pub mod desk_phone;
pub mod fleet;
pub mod kamailio;
pub mod null_sink;
pub mod pages;
pub mod phone;
pub mod plots;
pub mod recorder;
pub mod speech;
pub mod story;
pub mod tls_office;
pub mod tones;
pub mod vcard;
pub mod world;
