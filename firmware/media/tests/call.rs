//! Calls between two engines: what is said is heard, soon and at the right level, with every codec
//! on every card.

mod pair;

use media::Codec;
use pair::{Pair, align, babble};

fn level(x: &[i16]) -> f64 {
    10.0 * (x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / x.len() as f64).log10()
}

/// Mouth to ear in ms, correlation, level difference in dB, once the delay is steady.
fn measure(codec: Codec, rate: u32, period_ms: u32) -> (f64, f64, f64) {
    let frames = (rate * period_ms / 1000) as usize;
    let speech = babble(rate, 12.0);
    let mut pair = Pair::call(codec, rate, frames, 1);
    let heard = pair.talk(&speech, 12.0);
    let (from, len) = (rate as usize * 9, rate as usize / 2);
    let (delay, correlation) = align(
        &speech[from..from + len],
        &heard[from..],
        rate as usize / 10,
    );
    let stats = pair.stats(1);
    assert_eq!(
        (stats.lost, stats.late, stats.rejected),
        (0, 0, 0),
        "{codec:?} at {rate}: {stats:?}"
    );
    // The microphone's period was spoken before `process` got it; what `process` gives is heard
    // from the next moment on.
    let mouth_to_ear = delay as f64 * 1000.0 / f64::from(rate) + f64::from(period_ms);
    (
        mouth_to_ear,
        correlation,
        level(&heard[from + delay..from + delay + len]) - level(&speech[from..from + len]),
    )
}

#[test]
fn every_codec_on_every_card_is_heard_within_45_ms_at_the_right_level() {
    // Opus looks 6.5 ms ahead, resampling costs up to 3 ms.
    for (codec, rate, period_ms) in [
        (Codec::Pcmu, 8000, 5),
        (Codec::Pcma, 8000, 5),
        (Codec::Pcma, 16_000, 5),
        (Codec::Pcmu, 44_100, 10),
        (Codec::Pcmu, 48_000, 5),
        (Codec::G722, 16_000, 5),
        (Codec::G722, 48_000, 5),
        (Codec::Opus, 8000, 5),
        (Codec::Opus, 16_000, 5),
        (Codec::Opus, 48_000, 5),
        (Codec::Opus, 48_000, 2),
    ] {
        let (mouth_to_ear, correlation, level_db) = measure(codec, rate, period_ms);
        eprintln!(
            "{codec:?} on a card of {rate} Hz, {period_ms} ms: {mouth_to_ear:.1} ms mouth to ear, \
             correlation {correlation:.4}, level {level_db:+.2} dB"
        );
        assert!(
            mouth_to_ear <= 40.0 + f64::from(period_ms),
            "{mouth_to_ear} ms"
        );
        // Opus at 16 kbit/s on a narrow-band card keeps the sound, not the wave.
        let least = if codec == Codec::Opus { 0.75 } else { 0.95 };
        assert!(correlation > least, "{correlation}");
        assert!(level_db.abs() < 1.0, "{level_db} dB");
    }
}
