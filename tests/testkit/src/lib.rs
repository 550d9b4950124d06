//! What the tests of every crate share, so that it is written once. It depends on no crate of the
//! firmware, so each of them can use it as a dev-dependency.
//!
//! ```text
//! data, skip        test data beside the repository, and how a test reports that it did not run
//! rng               random numbers that depend on a seed only
//! network, capture  a simulated network under virtual time, and the packets recorded on it
//! recorded          networks of the test data: which of a source's packets arrive, and when
//! peer, registrar   scripted SIP peers with a message parser of their own
//! measure, signal   comparison of recordings, and sound to make them from
//! http              a small server that answers well, or badly
//! heap              allocations of a thread, counted
//! speexdsp          libspeexdsp's echo canceller and noise suppression, where it is installed
//! pcap              payloads of a capture file
//! namespace         network namespaces with cables that a test pulls
//! process           temporary directories, free ports, child processes that end with their owner
//! ```
//!
//! Wall clock: `process` and `namespace` wait for programs they started, `http` serves real
//! sockets; nothing else here knows the time.

// This crate serves tests only: a failed assertion is its product.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::missing_panics_doc,
    reason = "a helper of tests fails by panicking and reports by printing"
)]
#![expect(
    clippy::doc_markdown,
    clippy::return_self_not_must_use,
    reason = "names of SIP headers are prose here; builders are consumed where they are made"
)]

pub mod capture;
pub mod data;
pub mod heap;
pub mod http;
pub mod measure;
pub mod namespace;
pub mod network;
pub mod pcap;
pub mod peer;
pub mod process;
pub mod recorded;
pub mod registrar;
pub mod rng;
pub mod signal;
pub mod skip;
pub mod speexdsp;
pub mod stun;

pub use rng::Rng;
pub use skip::skipped;

/// Some instant to count virtual time from.
pub fn start_instant() -> std::time::Instant {
    std::time::Instant::now()
}
