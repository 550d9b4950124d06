//! Speech over a network that loses packets: how much better it is than holes, and that level and
//! delay hold.

mod pair;

use media::Codec;
use testkit::network::{Link, Loss};

use pair::{Pair, Rng, align, babble, link, speech};

/// How far the loudness of each 10 ms is off, in dB, over frames in which something is said; and
/// the share of them that is a hole (15 dB or more too quiet). Short against a syllable, long
/// against a pitch period: shifts of a sample or two do not matter.
fn contour(clean: &[i16], heard: &[i16], rate: u32) -> (f64, f64) {
    let n = rate as usize / 100;
    let (mut off, mut holes, mut count) = (0.0, 0.0, 0.0);
    for (a, b) in clean.chunks_exact(n).zip(heard.chunks_exact(n)) {
        let (a, b) = (level(a), level(b));
        if a > 46.0 {
            off += (a - b).abs().min(40.0);
            holes += f64::from(u8::from(a - b > 15.0));
            count += 1.0;
        }
    }
    (off / f64::max(count, 1.0), holes / f64::max(count, 1.0))
}

fn level(x: &[i16]) -> f64 {
    10.0 * (x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / x.len() as f64)
        .max(1.0)
        .log10()
}

struct Result {
    off_db: f64,
    holes: f64,
    level_db: f64,
    correlation: f64,
    concealed_ms: u64,
    lost_ms: u64,
}

/// The same call with and without loss: the clean one is the reference, so that codec and delay are
/// the same.
fn lossy(
    codec: Codec,
    rate: u32,
    sound: &[i16],
    loss: f64,
    jitter_ms: f64,
    fec: bool,
) -> (Result, Result) {
    let frames = rate as usize / 200;
    let seconds = sound.len() as f64 / f64::from(rate);
    let run = |loss: f64| {
        let mut pair = Pair::new(rate, frames, 11);
        for side in 0..2 {
            let mut config = pair::config(side, codec, rate, frames, pair.start);
            config.opus_fec = fec;
            pair.start_stream(side, config);
        }
        let lossy = Link {
            loss: Loss::Random(loss),
            ..link(10.0, jitter_ms)
        };
        pair.set_link(0, lossy);
        let heard = pair.talk(sound, seconds);
        (heard, pair.stats(1))
    };
    let skip = rate as usize * 2;
    let (clean, _) = run(0.0);
    let (heard, stats) = run(loss);
    let end = clean.len().min(heard.len());
    let window = rate as usize * 4 / 10;
    // The delay may move by a few samples: aligned piece by piece.
    let (mut off_db, mut holes, mut correlations, mut pieces) = (0.0, 0.0, 0.0, 0.0);
    let mut at = skip;
    while at + window + rate as usize / 16 < end {
        let from = at.saturating_sub(rate as usize / 50);
        let (shift, correlation) = align(
            &clean[at..at + window],
            &heard[from..at + window + rate as usize * 6 / 100],
            rate as usize * 6 / 100,
        );
        if level(&clean[at..at + window]) > 40.0 {
            let (off, hole) = contour(
                &clean[at..at + window],
                &heard[from + shift..from + shift + window],
                rate,
            );
            off_db += off;
            holes += hole;
            correlations += correlation;
            pieces += 1.0;
        }
        at += window;
    }
    let ours = Result {
        off_db: off_db / pieces,
        holes: holes / pieces,
        level_db: level(&heard[skip..end]) - level(&clean[skip..end]),
        correlation: correlations / pieces,
        concealed_ms: stats.concealed_ms,
        lost_ms: stats.lost * 20,
    };
    // Silence insertion: the clean sound with holes of a packet, lost by the same odds.
    let mut random = Rng::new(11);
    let mut silenced = clean.clone();
    for packet in silenced.chunks_mut(rate as usize / 50) {
        if random.unit() < loss {
            packet.fill(0);
        }
    }
    let (off_db, holes) = contour(&clean[skip..end], &silenced[skip..end], rate);
    let silence = Result {
        off_db,
        holes,
        level_db: level(&silenced[skip..end]) - level(&clean[skip..end]),
        correlation: 0.0,
        concealed_ms: 0,
        lost_ms: 0,
    };
    (ours, silence)
}

fn judge(codec: Codec, rate: u32, sound: &[i16]) {
    eprintln!(
        "{codec:?} at {rate} Hz: loss | loudness off by, holes: ours, silence inserted | level, \
         correlation, concealed"
    );
    for loss in [0.01, 0.05, 0.10] {
        let (ours, silence) = lossy(codec, rate, sound, loss, 0.2, true);
        eprintln!(
            "  {:4.0} % | {:5.2} dB {:4.1} %, {:5.2} dB {:4.1} % | {:+.2} dB, {:.3}, {} ms",
            loss * 100.0,
            ours.off_db,
            ours.holes * 100.0,
            silence.off_db,
            silence.holes * 100.0,
            ours.level_db,
            ours.correlation,
            ours.concealed_ms
        );
        assert!(
            ours.holes <= silence.holes * 0.4,
            "holes: {} against {}",
            ours.holes,
            silence.holes
        );
        // Loudness is also off by a little where nothing is lost: time is stretched here and there.
        assert!(
            ours.off_db <= silence.off_db * 0.8 + 0.1,
            "loudness off by {} dB against {}",
            ours.off_db,
            silence.off_db
        );
        if codec == Codec::Opus && loss >= 0.05 {
            assert!(
                ours.concealed_ms * 10 < ours.lost_ms * 7,
                "of {} ms lost {} were made up, not rebuilt",
                ours.lost_ms,
                ours.concealed_ms
            );
        }
        assert!(ours.level_db.abs() < 1.0, "level {} dB", ours.level_db);
        assert!(
            ours.correlation > 0.9 - loss,
            "correlation {}",
            ours.correlation
        );
    }
}

#[test]
fn speech_with_losses_is_better_than_speech_with_holes() {
    for (name, rate, codec) in [
        ("m1_8k.wav", 8000, Codec::Pcmu),
        ("f1_8k.wav", 8000, Codec::Pcma),
        ("m1_16k.wav", 16_000, Codec::G722),
        ("f1_16k.wav", 16_000, Codec::Opus),
    ] {
        let Some(mut sound) = speech("speech_with_losses", name) else {
            return;
        };
        let twice = sound.clone();
        sound.extend(twice);
        judge(codec, rate, &sound);
    }
}

#[test]
fn synthetic_speech_with_losses_too() {
    judge(Codec::Pcmu, 8000, &babble(8000, 16.0));
    judge(Codec::G722, 16_000, &babble(16_000, 16.0));
}

/// What is estimated of a call that is all but gone says so, whether packets are missing one by
/// one or by the second.
#[test]
fn three_quarters_lost_is_a_bad_call() {
    for codec in [Codec::Pcmu, Codec::G722, Codec::Opus] {
        let rate = 16_000;
        let sound = babble(rate, 8.0);
        let mut pair = Pair::call(codec, rate, 80, 3);
        pair.talk(&sound, 4.0);
        let good = pair.stats(1).mos;
        assert!(good > 4.0, "{codec:?}: {good} with nothing lost");
        let lossy = Link {
            loss: Loss::Random(0.75),
            ..link(5.0, 0.2)
        };
        pair.set_link(0, lossy);
        pair.talk(&sound, 20.0);
        let scattered = pair.stats(1).mos;
        let mut pair = Pair::call(codec, rate, 80, 3);
        pair.talk(&sound, 2.0);
        for _ in 0..8 {
            for (loss, seconds) in [(1.0, 1.5), (0.0, 0.5)] {
                let cut = Link {
                    loss: Loss::Random(loss),
                    ..link(5.0, 0.2)
                };
                pair.set_link(0, cut);
                pair.talk(&sound, seconds);
            }
        }
        let (cut, stats) = (pair.stats(1).mos, pair.stats(1));
        println!("{codec:?}: MOS {good:.2}, {scattered:.2} scattered, {cut:.2} cut; {stats:?}");
        assert!(
            scattered < 2.0 && cut < 2.0,
            "{codec:?}: {scattered}, {cut}"
        );
    }
}
