//! Echo cancellers and noise suppressors, each behind the same few calls.
//!
//! ```text
//!                  ┌─▶ tests/benches/budgets: how it sounds
//! echo::Canceller ─┤
//! noise::Suppressor┴─▶ the program `sound-work`, built in the release profile: what a period costs
//! ```

// This crate serves the bench only: it fails by panicking.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a helper of the bench fails by panicking"
)]

pub mod echo;
pub mod noise;

/// So many samples of noise, the same for the same seed.
pub fn hiss(samples: usize, seed: u64) -> Vec<i16> {
    let mut random = testkit::Rng::new(seed);
    (0..samples)
        .map(|_| (random.normal() * 1000.0) as i16)
        .collect()
}
