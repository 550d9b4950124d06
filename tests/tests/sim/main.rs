//! Two whole phones, the network between them and a scripted third party, in one process under
//! virtual time.
//!
//! Each scenario ends with [`World::quiet`](offhook_tests::world::World::quiet): every table,
//! timer, port and stream of every phone is empty. A failing scenario prints its seed and its
//! signalling and leaves `target/sim/NAME.pcap`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and reports by printing"
)]

mod calls;
mod content_length;
mod drift;
mod dtls;
mod encryption;
mod encryption_change;
mod encryption_emergency;
mod encryption_lifetime;
mod encryption_middle;
mod event_packages;
mod failover;
mod fork;
mod fork_dtls;
mod gather_ahead;
mod hold;
mod hook_traces;
mod hostile;
mod ice;
mod media_timeout;
mod monkey;
mod quality;
mod races;
mod registration;
mod sound;
mod symmetric_rtp;

mod tones;
mod transfer;
mod user_agent;
