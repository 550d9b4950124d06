//! Real peers: the unmodified `offhook` binary against SIPp, baresip and kamailio from Debian's
//! packages.
//!
//! ```text
//! espeak-ng ─▶ speech.wav ─▶ microphone of A ─▶ offhook ═SIP, RTP on loopback═ peer ─▶ what the peer heard (WAV)
//!                                  ear of A (WAV) ◀─┘                               └─◀ speech of the peer
//! each recording is compared with what was said: correlation and level, not just "packets arrived"
//! ```
//!
//! Run by `scripts/test peers`, in a network namespace of its own. Ports are fresh for each test,
//! so that no TIME_WAIT of one run meets the next.
//!
//! Wall clock: the peers are real programs, and their sound is in real time.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and reports by printing"
)]
#![expect(
    clippy::unnecessary_debug_formatting,
    reason = "configuration is written as text; names of programs and headers are prose"
)]

mod asterisk;
mod baresip;
mod baresip_calls;
mod cards;
mod conformance;
mod connections;
mod desk;
mod encrypted_baresip;
mod encrypted_calls;
mod event_packages;
mod failover;
mod first_hour;
mod first_hour_faults;
mod first_hour_hold;
mod first_hour_symptoms;
mod first_hour_variants;
mod fleet;
mod gnome;
mod hostile;
mod ice;
mod interop;
mod links;
mod linphone;
mod linphone_calls;
mod loss_of_peer;
mod mqtt;
mod nat;
mod real_time;
mod registrar;
mod roaming;
mod several_cards;
mod sipp;
mod strangers;
mod tls;
mod transfers;
