//! Calls between two engines: what is said is heard, soon and at the right level.

mod pair;

use media::Codec;
use pair::{Pair, align, babble};

#[test]
fn pcmu_on_a_lan_is_heard_whole_within_45_ms() {
    let speech = babble(8000, 20.0);
    let mut pair = Pair::call(Codec::Pcmu, 8000, 40, 1);
    let heard = pair.talk(&speech, 20.0);
    let (delay, correlation) = align(&speech[136_000..150_000], &heard[136_000..], 800);
    // What `process` returns is heard one period later at the earliest; the microphone's period has been counted by the mouth.
    let mouth_to_ear = delay as f64 / 8.0 + 5.0;
    println!(
        "PCMU: {mouth_to_ear} ms mouth to ear, correlation {correlation:.5}, {:?}",
        pair.stats(1)
    );
    assert!(correlation > 0.995, "{correlation}");
    assert!(mouth_to_ear <= 45.0, "{mouth_to_ear} ms");
    let stats = pair.stats(1);
    assert_eq!((stats.lost, stats.late, stats.concealed, stats.rejected), (0, 0, 0, 0));
}

#[test]
#[ignore = "speed"]
fn speed() {
    for (codec, rate, frames) in [
        (Codec::Pcmu, 8000, 40),
        (Codec::Pcmu, 48_000, 240),
        (Codec::G722, 16_000, 80),
        (Codec::G722, 48_000, 240),
        (Codec::Opus, 16_000, 80),
        (Codec::Opus, 48_000, 240),
    ] {
        let speech = babble(rate, 20.0);
        let mut pair = Pair::call(codec, rate, frames, 1);
        let t = std::time::Instant::now();
        let heard = pair.talk(&speech, 20.0);
        println!(
            "{codec:?} {rate}: {} us per period and phone",
            t.elapsed().as_secs_f64() * 1e6 / (heard.len() / frames * 2) as f64
        );
    }
}
