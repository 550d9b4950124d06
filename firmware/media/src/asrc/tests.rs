//! Two clocks in virtual time: what comes out is whole, in tune, and no later after a day than
//! after a minute.

use std::f64::consts::TAU;

use super::*;

/// A card and an engine whose clocks run `ppm` apart, and a tone through both converters.
struct Run {
    card: CardFormat,
    engine: CardFormat,
    ppm: f64,
    /// What is before is not looked at: the clock is not known yet.
    steady_after_s: f64,
}

struct Outcome {
    /// What the engine heard and what the card played, once it is steady.
    heard: Vec<i16>,
    played: Vec<i16>,
    /// Least and most fill of each in ms, then.
    fills: [(f64, f64); 2],
    dry: u64,
    ppm: [f64; 2],
}

const HZ: f64 = 700.0;

impl Run {
    fn for_seconds(&self, seconds: f64) -> Outcome {
        let mut capture = CaptureAsrc::new(self.card, self.engine).unwrap();
        let mut playback = PlaybackAsrc::new(self.card, self.engine).unwrap();
        let card_ms = self.card.period_ms() / (1.0 + self.ppm * 1e-6);
        let engine_ms = self.engine.period_ms();
        let tone = |n: u64, rate: f64| ((n as f64 * HZ / rate * TAU).sin() * 10_000.0) as i16;
        let mut outcome = Outcome {
            heard: Vec::new(),
            played: Vec::new(),
            fills: [(f64::INFINITY, 0.0); 2],
            dry: 0,
            ppm: [0.0; 2],
        };
        // The card's rate by the engine's time.
        let card_hz = f64::from(self.card.rate_hz) * (1.0 + self.ppm * 1e-6);
        let (mut captured, mut spoken, mut card_periods) = (0u64, 0u64, 0u64);
        let mut early_dry = 0;
        for period in 1..=(seconds * 1000.0 / engine_ms) as u64 {
            let now_ms = period as f64 * engine_ms;
            let steady = now_ms > self.steady_after_s * 1000.0;
            // As the audio thread: the engine's period, then what the card has ready.
            let mut out = vec![0; self.engine.period_frames];
            capture.pull(&mut out);
            let said: Vec<i16> = (0..self.engine.period_frames as u64)
                .map(|n| tone(spoken + n, f64::from(self.engine.rate_hz)))
                .collect();
            spoken += self.engine.period_frames as u64;
            playback.push(&said);
            while (card_periods + 1) as f64 * card_ms <= now_ms {
                card_periods += 1;
                let sound: Vec<i16> = (0..self.card.period_frames as u64)
                    .map(|n| tone(captured + n, card_hz))
                    .collect();
                captured += self.card.period_frames as u64;
                capture.push(&sound);
                let mut to_card = vec![0; self.card.period_frames];
                playback.pull(&mut to_card);
                if steady {
                    outcome.played.extend(to_card);
                }
            }
            capture.observe(1);
            playback.observe(1);
            if steady {
                outcome.heard.extend(out);
                for (fills, elastic) in outcome
                    .fills
                    .iter_mut()
                    .zip([&capture.elastic, &playback.elastic])
                {
                    let fill = elastic.fill() / elastic.per_ms;
                    *fills = (fills.0.min(fill), fills.1.max(fill));
                }
            } else {
                early_dry = capture.dry() + playback.dry();
            }
        }
        outcome.dry = capture.dry() + playback.dry() - early_dry;
        outcome.ppm = [capture.drift_ppm(), playback.drift_ppm()];
        outcome
    }
}

/// Power of a tone near [`HZ`] over everything else, in dB, over windows of 100 ms: the worst.
/// (Over longer ones the tone itself moves: the step follows the fill.)
fn purity_db(sound: &[i16], rate_hz: u32) -> f64 {
    let mut worst = f64::INFINITY;
    for part in sound.chunks_exact(rate_hz as usize / 10) {
        // The step moves a little: the frequency is sought within 2000 ppm.
        let mut best = f64::NEG_INFINITY;
        for ppm in (-2400..=2400).step_by(25) {
            let turn = HZ * (1.0 + f64::from(ppm) * 1e-6) / f64::from(rate_hz) * TAU;
            // Least squares: the window is no whole number of cycles.
            let (mut re, mut im, mut power) = (0.0, 0.0, 0.0);
            let (mut cc, mut ss, mut cs) = (0.0, 0.0, 0.0);
            for (n, &x) in part.iter().enumerate() {
                let (sin, cos) = (n as f64 * turn).sin_cos();
                re += f64::from(x) * cos;
                im += f64::from(x) * sin;
                power += f64::from(x).powi(2);
                cc += cos * cos;
                ss += sin * sin;
                cs += cos * sin;
            }
            let of_tone = (re * re * ss + im * im * cc - 2.0 * re * im * cs) / (cc * ss - cs * cs);
            best = f64::max(best, 10.0 * (of_tone / (power - of_tone).max(1.0)).log10());
        }
        worst = worst.min(best);
    }
    worst
}

const ENGINE: CardFormat = CardFormat {
    rate_hz: 48_000,
    period_frames: 240,
};

#[test]
fn cards_of_every_rate_and_period_stay_in_tune() {
    for (rate_hz, period_frames, ppm) in [
        (48_000, 240, 120.0),
        (44_100, 441, -300.0),
        (16_000, 320, 80.0),
        (8_000, 80, -500.0),
        (96_000, 480, 500.0),
    ] {
        let card = CardFormat {
            rate_hz,
            period_frames,
        };
        let run = Run {
            card,
            engine: ENGINE,
            ppm,
            steady_after_s: 40.0,
        };
        let got = run.for_seconds(50.0);
        let (heard, played) = (
            purity_db(&got.heard, ENGINE.rate_hz),
            purity_db(&got.played, rate_hz),
        );
        println!("{rate_hz} Hz, {ppm} ppm: heard {heard:.1} dB, played {played:.1} dB");
        assert!(heard > 45.0 && played > 45.0, "{card:?}");
        assert_eq!(got.dry, 0, "{card:?}");
    }
}

#[test]
fn the_delay_is_flat_over_hours_of_drift() {
    for ppm in [-1000.0, 1000.0] {
        let run = Run {
            card: CardFormat {
                rate_hz: 8000,
                period_frames: 80,
            },
            engine: CardFormat {
                rate_hz: 8000,
                period_frames: 40,
            },
            ppm,
            steady_after_s: 300.0,
        };
        let got = run.for_seconds(3600.0);
        for (fill, sign) in got.fills.iter().zip([1.0, -1.0]) {
            println!("{ppm} ppm: {fill:?} ms, found {:?}", got.ppm);
            // 20 ms are to be kept; a period of 10 ms comes at once.
            assert!(fill.0 > 5.0 && fill.1 < 32.0, "{ppm} ppm: {fill:?}");
            assert!((got.ppm[usize::from(sign < 0.0)] - sign * ppm).abs() < 400.0);
        }
        assert_eq!(got.dry, 0);
    }
}

#[test]
fn a_stall_leaves_no_delay_and_a_stop_no_sound() {
    let mut capture = CaptureAsrc::new(ENGINE, ENGINE).unwrap();
    let mut out = [0; 240];
    assert!(!capture.pull(&mut out), "nothing was captured");
    for _ in 0..20 {
        capture.push(&[1000; 240]);
        capture.pull(&mut out);
        capture.observe(1);
    }
    assert!(capture.pull(&mut out) && out == [1000; 240]);
    // 100 ms in which the engine did not run.
    for _ in 0..20 {
        capture.push(&[1000; 240]);
    }
    capture.observe(1);
    let left = capture.elastic.fill() / capture.elastic.per_ms;
    assert!((left - 15.0).abs() < 1.0, "{left} ms wait");
    capture.reset();
    assert!(!capture.pull(&mut out) && out == [0; 240]);
}

#[test]
fn rates_out_of_range_are_refused() {
    let slow = CardFormat {
        rate_hz: 4000,
        period_frames: 20,
    };
    assert!(CaptureAsrc::new(slow, ENGINE).is_err());
    assert!(PlaybackAsrc::new(slow, ENGINE).is_err());
}
