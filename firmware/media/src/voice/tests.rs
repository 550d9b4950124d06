//! Measured effect: how much rumble and noise goes, that talk stays, and which level it has.

use testkit::data::read_wav;

use super::*;
use crate::level::{amplitude_of, dbm0};
use crate::test_data::{Rng, amplitude_at, sine};
use crate::test_stoi::stoi;

const RATE: u32 = 16_000;
const HOP: usize = 80;
const SECOND: usize = RATE as usize;

fn run(options: VoiceOptions, rate: u32, sound: &[i16]) -> Vec<i16> {
    let hop = rate as usize / 200;
    let mut voice = VoiceProcessor::new(options, rate, hop).unwrap();
    let mut out = sound.to_vec();
    for block in out.chunks_exact_mut(hop) {
        voice.process(block);
    }
    out
}

const HIGH_PASS: VoiceOptions = VoiceOptions {
    high_pass: true,
    noise_suppression: false,
    gain_control: false,
    noise_gate: false,
};
const NOISE: VoiceOptions = VoiceOptions {
    high_pass: false,
    noise_suppression: true,
    gain_control: false,
    noise_gate: false,
};
const GAIN: VoiceOptions = VoiceOptions {
    high_pass: false,
    noise_suppression: false,
    gain_control: true,
    noise_gate: false,
};

const GATE: VoiceOptions = VoiceOptions {
    high_pass: false,
    noise_suppression: false,
    gain_control: false,
    noise_gate: true,
};

/// Speech of the test data at this level, with two seconds of silence before it.
fn talk(test: &str, name: &str, level_dbm0: f32) -> Option<Vec<i16>> {
    let said = read_wav(test, &format!("speech/core/{name}"))?;
    let gain = 10f32.powf((level_dbm0 - dbm0(&said)) / 20.0);
    let mut out = vec![0; 2 * SECOND];
    out.extend(said.iter().map(|&x| (f32::from(x) * gain) as i16));
    Some(out)
}

/// Noise that falls with frequency, as that of fans does, at this level.
fn fan(samples: usize, level_dbm0: f32) -> Vec<i16> {
    let mut random = Rng::new(4);
    let mut low = 0.0;
    let noise: Vec<f64> = (0..samples)
        .map(|_| {
            let white = random.normal();
            low += (white - low) * 0.2;
            low + 0.15 * white
        })
        .collect();
    let power = noise.iter().map(|x| x * x).sum::<f64>() / samples as f64;
    let rms = f64::from(amplitude_of(level_dbm0)) / 2f64.sqrt();
    let gain = rms / power.sqrt();
    noise.iter().map(|x| (x * gain) as i16).collect()
}

fn mix(a: &[i16], b: &[i16]) -> Vec<i16> {
    a.iter().zip(b).map(|(a, b)| a.saturating_add(*b)).collect()
}

fn floats(sound: &[i16]) -> Vec<f32> {
    sound.iter().map(|&x| f32::from(x)).collect()
}

#[test]
fn nothing_wanted_is_nothing_done() {
    assert!(VoiceProcessor::new(VoiceOptions::default(), RATE, HOP).is_none());
}

#[test]
fn rumble_goes_and_voices_stay() {
    for rate in [8_000, 16_000, 48_000] {
        let gain_db = |hz: f64| {
            let out = run(HIGH_PASS, rate, &sine(hz, rate, 8_000.0, rate as usize));
            let steady = &out[rate as usize / 2..];
            20.0 * (amplitude_at(steady, rate, hz) / 8_000.0).log10()
        };
        for (hz, least, most) in [
            (25.0, -40.0, -22.0),
            (50.0, -14.0, -11.0),
            (100.0, -3.3, -2.7),
            (200.0, -0.5, 0.1),
            (1_000.0, -0.1, 0.1),
            (3_400.0, -0.1, 0.1),
        ] {
            let gain = gain_db(hz);
            assert!(
                (least..=most).contains(&gain),
                "{rate}: {gain:.1} dB at {hz} Hz"
            );
        }
    }
}

#[test]
fn noise_is_lowered_by_ten_decibels_and_talk_is_kept() {
    let name = "noise_is_lowered_by_ten_decibels_and_talk_is_kept";
    let (Some(m), Some(f)) = (
        talk(name, "m1_16k.wav", -20.0),
        talk(name, "f1_16k.wav", -20.0),
    ) else {
        return;
    };
    for (who, clean) in [("m1", m), ("f1", f)] {
        for snr in [15.0, 10.0, 5.0] {
            let noise = fan(clean.len(), -20.0 - snr);
            let noisy = mix(&clean, &noise);
            let out = run(NOISE, RATE, &noisy);
            // The second second of silence: the estimate has settled.
            let quiet = SECOND..2 * SECOND;
            let removed = dbm0(&noisy[quiet.clone()]) - dbm0(&out[quiet]);
            let part = 2 * SECOND..clean.len() - HOP;
            // What comes out is a block late.
            let heard = &out[part.start + HOP..part.end + HOP];
            let said = floats(&clean[part.clone()]);
            let (before, after) = (
                stoi(&said, &floats(&noisy[part.clone()])),
                stoi(&said, &floats(heard)),
            );
            let kept = dbm0(heard) - dbm0(&clean[part]);
            println!(
                "{who}, {snr} dB: noise {removed:.1} dB lower, talk {kept:+.1} dB, STOI \
                 {before:.3} before, {after:.3} after"
            );
            assert!(removed >= 10.0, "{who}, {snr} dB: {removed:.1} dB");
            assert!(kept.abs() < 1.5, "{who}, {snr} dB: talk {kept:+.1} dB");
            assert!(
                after > before - 0.015,
                "{who}, {snr} dB: {before} to {after}"
            );
        }
        // Without noise talk passes as it is. The recording of f1 has a noise of its own.
        if who == "f1" {
            continue;
        }
        let out = run(NOISE, RATE, &clean);
        let part = 2 * SECOND..clean.len() - HOP;
        let heard = &out[part.start + HOP..part.end + HOP];
        let kept = stoi(&floats(&clean[part]), &floats(heard));
        println!("{who}, no noise: STOI {kept:.4}");
        assert!(kept > 0.985, "{who}: {kept}");
    }
}

#[test]
fn talk_from_near_and_far_gets_one_level_and_is_not_clipped() {
    let name = "talk_from_near_and_far_gets_one_level_and_is_not_clipped";
    for level in [-32.0, -26.0, -20.0, -12.0] {
        let Some(said) = talk(name, "f1_16k.wav", level) else {
            return;
        };
        let long: Vec<i16> = said.iter().copied().cycle().take(30 * SECOND).collect();
        let out = run(GAIN, RATE, &long);
        let late = 20 * SECOND..30 * SECOND;
        // The pauses of the recording count in the mean.
        let (before, after) = (dbm0(&long[late.clone()]), dbm0(&out[late]));
        let peak = out.iter().map(|x| x.unsigned_abs()).max().unwrap();
        println!("{level} dBm0: {before:.1} to {after:.1} dBm0, peak {peak}");
        assert!(
            (-25.0..-19.0).contains(&after),
            "{level} dBm0: {after:.1} dBm0"
        );
        assert!(peak < 32_767, "{level} dBm0 is clipped");
    }
}

#[test]
fn a_quiet_room_is_not_made_louder() {
    let noise = fan(20 * SECOND, -60.0);
    let out = run(GAIN, RATE, &noise);
    let rise = dbm0(&out[10 * SECOND..]) - dbm0(&noise[10 * SECOND..]);
    assert!(rise.abs() < 1.0, "{rise:+.1} dB");
}

/// Two seconds of a fan, then talk over it, then the fan alone.
#[test]
fn the_gate_takes_the_room_away_and_leaves_the_talk() {
    let name = "the_gate_takes_the_room_away_and_leaves_the_talk";
    let Some(said) = talk(name, "m1_16k.wav", -20.0) else {
        return;
    };
    for fan_dbm0 in [-60.0, -50.0] {
        let mut clean = said.clone();
        clean.extend(vec![0; 3 * SECOND]);
        let heard = mix(&clean, &fan(clean.len(), fan_dbm0));
        let out = run(GATE, RATE, &heard);
        let before = dbm0(&out[SECOND..2 * SECOND - SECOND / 10]);
        let after = dbm0(&out[clean.len() - SECOND..]);
        // A louder room takes some seconds to be known.
        let known = fan_dbm0 < -55.0;
        let levels = [("before", before, known), ("after", after, true)];
        for (what, level, _) in levels.into_iter().filter(|(.., known)| *known) {
            // The noise of the gate and what is left of the room: neither the fan nor silence.
            assert!(
                (-76.0..fan_dbm0 - 6.0).contains(&level),
                "{what} a fan of {fan_dbm0}: {level} dBm0"
            );
        }
        let talk = 2 * SECOND..said.len();
        let kept = dbm0(&out[talk.clone()]) - dbm0(&heard[talk.clone()]);
        assert!(kept.abs() < 0.3, "{kept} dB of the talk");
        let (with, without) = (
            stoi(&floats(&clean[talk.clone()]), &floats(&out[talk.clone()])),
            stoi(&floats(&clean[talk.clone()]), &floats(&heard[talk])),
        );
        assert!(
            with > without - 0.02,
            "STOI {with:.3}, {without:.3} without"
        );
    }
}

#[test]
fn a_muted_microphone_and_full_scale_do_no_harm_to_the_gate() {
    let silence = vec![0; 2 * SECOND];
    let out = run(GATE, RATE, &silence);
    assert!(
        (-78.0..-70.0).contains(&dbm0(&out[SECOND..])),
        "{}",
        dbm0(&out[SECOND..])
    );
    let loud: Vec<i16> = (0..SECOND)
        .map(|n| if n % 40 < 20 { i16::MAX } else { i16::MIN })
        .collect();
    let out = run(GATE, RATE, &loud);
    assert_eq!(out[SECOND / 2..], loud[SECOND / 2..], "open: bit by bit");
}
