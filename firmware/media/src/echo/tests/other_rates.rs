//! Cards whose periods are no whole number of the canceller's samples, as most at 44.1 kHz.

use super::made_rooms::{Way, far_ends};
use super::*;
use crate::resample::Push;
use crate::test_data::{amplitude_at, sine};

const RATE_HZ: u32 = 44_100;
/// 10 ms, which is whole; 5 ms, and what a card with buffers of a power of two has, which are not.
const PERIODS: [usize; 3] = [441, 220, 512];

/// A small room.
const WAY: Way = Way {
    seed: 1,
    rt60_s: 0.2,
    delay_ms: 20.0,
    bent: 1.0,
};

fn at_card_rate(sound: &[f32]) -> Vec<i16> {
    let mut push = Push::new(RATE, RATE_HZ, HOP).unwrap();
    let mut block = vec![0; push.output_max(HOP)];
    let mut out = Vec::new();
    for sound in sound.chunks_exact(HOP) {
        let sound: Vec<i16> = sound.iter().map(|x| x.round() as i16).collect();
        let made = push.process(&sound, &mut block);
        out.extend_from_slice(&block[..made]);
    }
    out
}

/// What is left of `near`, up to the last whole period.
fn run(canceller: &mut EchoCanceller, period: usize, far: &[i16], near: &[i16]) -> Vec<i16> {
    let mut out = near[..near.len() / period * period].to_vec();
    for (far, near) in far.chunks_exact(period).zip(out.chunks_exact_mut(period)) {
        canceller.process(near);
        canceller.written(far);
    }
    out
}

fn erle_db(before: &[i16], after: &[i16], seconds: std::ops::Range<usize>) -> f64 {
    let second = RATE_HZ as usize;
    let part = seconds.start * second..(seconds.end * second).min(after.len());
    let power = |sound: &[i16]| {
        let sound = &sound[part.clone()];
        sound.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>()
    };
    10.0 * (power(before) / power(after).max(1.0)).log10()
}

#[test]
fn a_card_at_44_1_khz_loses_its_echo_as_others_do() {
    let name = "a_card_at_44_1_khz_loses_its_echo_as_others_do";
    let Some(fars) = far_ends(name, 8) else {
        return;
    };
    for (talker, far) in fars.iter().enumerate() {
        let (played, heard) = (at_card_rate(far), at_card_rate(&WAY.echo(far)));
        for period in PERIODS {
            let mut canceller = EchoCanceller::new(EchoMode::On, RATE_HZ, period).unwrap();
            let out = run(&mut canceller, period, &played, &heard);
            let (early, late) = (erle_db(&heard, &out, 1..3), erle_db(&heard, &out, 5..8));
            println!("talker {talker}, {period} frames: {early:.1} dB, {late:.1} dB");
            assert!(
                early >= 20.0,
                "{talker}, {period}: {early} dB after a second"
            );
            assert!(late >= 35.0, "{talker}, {period}: {late} dB after five");
        }
    }
}

#[test]
fn a_tone_passes_a_canceller_at_44_1_khz_unbroken() {
    let second = RATE_HZ as usize;
    let tone = sine(700.0, RATE_HZ, 8_000.0, 4 * second);
    for period in PERIODS {
        let mut canceller = EchoCanceller::new(EchoMode::On, RATE_HZ, period).unwrap();
        let out = run(&mut canceller, period, &vec![0; tone.len()], &tone);
        // A gap or a repeated sample would be sound beside the tone.
        let part = &out[second..3 * second];
        let amplitude = amplitude_at(part, RATE_HZ, 700.0);
        let whole = part.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / part.len() as f64;
        let beside = (whole - amplitude * amplitude / 2.0).max(0.0).sqrt();
        assert!((amplitude - 8_000.0).abs() < 80.0, "{period}: {amplitude}");
        assert!(beside < 20.0, "{period}: {beside} beside the tone");
    }
}

/// Passed by, its blocks still go with those of what is played.
#[test]
fn an_echo_after_none_is_found_at_44_1_khz_too() {
    let name = "an_echo_after_none_is_found_at_44_1_khz_too";
    let (Some(fars), Some(voice)) = (far_ends(name, 16), near_end(name)) else {
        return;
    };
    let talk: Vec<f32> = voice.iter().copied().cycle().take(fars[0].len()).collect();
    let (played, near) = (at_card_rate(&fars[0]), at_card_rate(&talk));
    let echo = at_card_rate(&WAY.echo(&fars[0]));
    for period in [220, 512] {
        let mut canceller = EchoCanceller::new(EchoMode::Auto, RATE_HZ, period).unwrap();
        run(&mut canceller, period, &played, &near);
        assert!(!canceller.stats().active, "{:?}", canceller.stats());
        let out = run(&mut canceller, period, &played[..10 * period], &near);
        assert!(near.starts_with(&out), "{period}: it passes untouched");
        for _ in 0..2 {
            run(&mut canceller, period, &played, &echo);
        }
        assert!(canceller.stats().active, "{:?}", canceller.stats());
        let out = run(&mut canceller, period, &played, &echo);
        let lowered = erle_db(&echo, &out, 5..8);
        assert!(lowered >= 35.0, "{period}: {lowered} dB");
    }
}
