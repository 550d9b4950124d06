//! `sound-work echo|noise NAME PERIODS HERTZ|SAMPLES`: runs one canceller or suppressor on noise
//! for so many periods and prints the microseconds each took. Callgrind counts its instructions.
//!
//! Wall clock: what is measured is time.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a program of the bench fails by panicking and reports by printing"
)]

use std::time::Instant;

use sound_work::{echo, hiss, noise};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [what, name, periods, size] = &words[..] else {
        panic!("sound-work echo NAME PERIODS SAMPLES, or sound-work noise NAME PERIODS HERTZ");
    };
    let (periods, size): (usize, usize) = (periods.parse().unwrap(), size.parse().unwrap());
    let took = match what.as_str() {
        "echo" => cancel(name, periods, size),
        "noise" => suppress(name, periods, size),
        _ => panic!("sound-work knows echo and noise"),
    };
    println!("{}", took * 1e6 / periods as f64);
}

/// Seconds that cancelling took.
fn cancel(name: &str, periods: usize, hop: usize) -> f64 {
    let mut kinds = echo::Kind::ALL.into_iter();
    let kind = kinds.find(|kind| kind.name() == name).unwrap();
    let mut canceller = echo::Canceller::new(kind, hop).unwrap();
    let (far, mut near) = (hiss(periods * hop, 3), hiss(periods * hop, 4));
    let began = Instant::now();
    for (far, near) in far.chunks_exact(hop).zip(near.chunks_exact_mut(hop)) {
        canceller.process(near, far);
    }
    let took = began.elapsed();
    std::hint::black_box(near);
    took.as_secs_f64()
}

/// Seconds that suppression took.
fn suppress(name: &str, periods: usize, rate_hz: usize) -> f64 {
    let mut kinds = noise::Kind::ALL.into_iter();
    let kind = kinds.find(|kind| kind.name() == name).unwrap();
    let mut suppressor = noise::Suppressor::new(kind, rate_hz as u32).unwrap();
    let hop = rate_hz / 100;
    let mut sound = hiss(periods * hop, 3);
    let began = Instant::now();
    for period in sound.chunks_exact_mut(hop) {
        suppressor.process(period);
    }
    let took = began.elapsed();
    std::hint::black_box(sound);
    took.as_secs_f64()
}
