//! Measures the engine: `measure speed` prints µs a card period, `measure day` runs a day of ±200
//! ppm, `measure call CODEC RATE SECONDS` is a call and nothing else, to count instructions of,
//! `measure write DIR` writes what is heard over bad networks as WAV files, beside what was said,
//! for listening and for outside judges such as PESQ.
//!
//! Instructions by function, of two phones together:
//!
//! ```text
//! valgrind --tool=callgrind --toggle-collect='media::engine::Engine::process' \
//!     --toggle-collect='media::engine::Engine::handle_packet' …/examples/measure call pcmu 48000 20
//! ```
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool, run by hand, on the true clock"
)]

#[path = "../tests/pair/mod.rs"]
mod pair;

use media::Codec;
use testkit::network::{Link, Loss};

use pair::{Pair, babble, link, speech};

fn speed() {
    for (codec, rate) in [
        (Codec::Pcmu, 8000u32),
        (Codec::Pcmu, 48_000),
        (Codec::G722, 16_000),
        (Codec::G722, 48_000),
        (Codec::Opus, 16_000),
        (Codec::Opus, 48_000),
    ] {
        let frames = rate as usize / 200;
        let sound = babble(rate, 20.0);
        let mut pair = Pair::call(codec, rate, frames, 1);
        let begin = std::time::Instant::now();
        let heard = pair.talk(&sound, 20.0);
        let each = begin.elapsed().as_secs_f64() * 1e6 / (heard.len() / frames * 2) as f64;
        println!(
            "{codec:?} on a card of {rate} Hz: {each:.1} µs per 5 ms and phone, both directions, \
             harness included"
        );
    }
}

fn day() {
    let begin = std::time::Instant::now();
    let sound = babble(8000, 30.0);
    let mut pair = Pair::call(Codec::Pcmu, 8000, 40, 3);
    (pair.sides[0].ppm, pair.sides[1].ppm) = (200.0, -200.0);
    let (mut least, mut most) = (f32::INFINITY, 0f32);
    for minute in 0..24 * 60 {
        pair.talk(&sound, 60.0);
        for side in &mut pair.sides {
            side.events.clear();
        }
        if minute > 1 {
            for side in 0..2 {
                least = least.min(pair.stats(side).delay_ms);
                most = most.max(pair.stats(side).delay_ms);
            }
        }
    }
    println!(
        "a day in {:.0} s: delay {least:.2} to {most:.2} ms; {:?}",
        begin.elapsed().as_secs_f64(),
        pair.stats(1)
    );
}

fn call(codec: &str, rate: &str, seconds: &str) {
    let (codec, rate) = (Codec::from_name(codec).unwrap(), rate.parse().unwrap());
    let mut pair = Pair::call(codec, rate, rate as usize / 200, 1);
    pair.talk(&babble(rate, 20.0), seconds.parse().unwrap());
    println!("{:?}", pair.stats(1));
}

fn write(folder: &str) {
    let save = |name: &str, rate: u32, x: &[i16]| {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut file = hound::WavWriter::create(format!("{folder}/{name}.wav"), spec).unwrap();
        for &v in x {
            file.write_sample(v).unwrap();
        }
        file.finalize().unwrap();
    };
    for (codec, rate) in [
        (Codec::Pcmu, 8000u32),
        (Codec::G722, 16_000),
        (Codec::Opus, 16_000),
    ] {
        let tag = if rate == 8000 { "8k" } else { "16k" };
        let mut sound = Vec::new();
        for who in ["m1", "f1", "m1", "f1", "m1", "f1", "m1", "f1"] {
            let Some(said) = speech("measure", &format!("{who}_{tag}.wav")) else {
                return;
            };
            sound.extend(said);
        }
        save(&format!("{codec:?}_ref"), rate, &sound);
        for (name, loss, jitter_ms) in [
            ("0", 0.0, 0.2),
            ("1", 0.01, 0.2),
            ("3", 0.03, 0.2),
            ("5", 0.05, 0.2),
            ("10", 0.1, 0.2),
            ("j10", 0.0, 10.0),
            ("j30", 0.0, 30.0),
        ] {
            let mut pair = Pair::call(codec, rate, rate as usize / 200, 11);
            let lossy = Link {
                loss: Loss::Random(loss),
                ..link(10.0, jitter_ms)
            };
            pair.set_link(0, lossy);
            let heard = pair.talk(&sound, sound.len() as f64 / f64::from(rate));
            println!("{codec:?} {name}: {:?}", pair.stats(1));
            save(&format!("{codec:?}_{name}"), rate, &heard);
        }
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["speed"] => speed(),
        ["day"] => day(),
        ["call", codec, rate, seconds] => call(codec, rate, seconds),
        ["write", folder] => write(folder),
        _ => println!(
            "measure speed | measure day | measure call CODEC RATE SECONDS | measure write DIR"
        ),
    }
}
