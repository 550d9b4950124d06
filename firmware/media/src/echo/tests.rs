//! Measured effect: echo return loss enhancement (ERLE), intelligibility in double talk (STOI),
//! what happens to a near end without echo, to a way that changes, and to a handset.

use testkit::data::read_wav;
use testkit::speexdsp::Canceller;

use super::*;
use crate::test_data::{Rng, read};
use crate::test_stoi::stoi;

mod made_rooms;
mod other_rates;

const RATE: u32 = 16_000;
/// A period of 5 ms.
const HOP: usize = 80;
const SECOND: usize = RATE as usize;

fn floats(sound: Vec<i16>) -> Vec<f32> {
    sound.into_iter().map(f32::from).collect()
}

fn speech(test: &str, name: &str) -> Option<Vec<f32>> {
    read_wav(test, &format!("echo/{name}")).map(floats)
}

/// Two talkers after each other: 16 s.
fn far_end(test: &str) -> Option<Vec<f32>> {
    let mut far = speech(test, "nkf-syn-dt/test99_0.55dB__ref.wav")?;
    far.extend(speech(test, "nkf-syn-dt/test299_9.11dB__ref.wav")?);
    Some(far)
}

fn near_end(test: &str) -> Option<Vec<f32>> {
    speech(test, "nkf-syn-dt/test99_0.55dB__gt.wav")
}

/// A room's response at 16 kHz, of energy 1: every second sample of one at 32 kHz, low-passed.
fn room(test: &str, name: &str) -> Option<Vec<f32>> {
    let bytes = read(test, &format!("echo/rir-stl-mono/{name}.IR"))?;
    let fine: Vec<f32> = bytes
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    let tap = |t: i64| {
        let x = std::f32::consts::PI * t as f32 / 2.0;
        let sinc = if t == 0 { 1.0 } else { x.sin() / x };
        sinc * (0.5 + 0.5 * (std::f32::consts::PI * t as f32 / 17.0).cos())
    };
    let mut coarse: Vec<f32> = (0..fine.len() as i64 / 2)
        .map(|n| {
            (-16..=16)
                .filter_map(|t| Some(fine.get(usize::try_from(2 * n + t).ok()?)? * tap(t)))
                .sum()
        })
        .collect();
    coarse.truncate(SECOND / 5);
    let energy: f32 = coarse.iter().map(|x| x * x).sum();
    for x in &mut coarse {
        *x /= energy.sqrt();
    }
    Some(coarse)
}

/// What the microphone hears of `far` so many samples after it was written, with a little noise.
fn echo(far: &[f32], room: &[f32], delay: usize) -> Vec<f32> {
    let mut random = Rng::new(9);
    let mut out: Vec<f32> = far.iter().map(|_| random.normal() as f32 * 2.0).collect();
    for (tap, &gain) in room
        .iter()
        .enumerate()
        .filter(|(_, gain)| gain.abs() > 1e-4)
    {
        let shift = tap + delay;
        for (y, x) in out[shift..].iter_mut().zip(far) {
            *y += gain * x;
        }
    }
    out
}

/// The engine's order: a period of the microphone, then one to the loudspeaker.
fn run(canceller: &mut EchoCanceller, far: &[f32], microphone: &[f32]) -> Vec<f32> {
    let whole = |block: &[f32]| -> Vec<i16> { block.iter().map(|x| x.round() as i16).collect() };
    let mut out = Vec::new();
    for (far, microphone) in far.chunks_exact(HOP).zip(microphone.chunks_exact(HOP)) {
        let mut sound = whole(microphone);
        canceller.process(&mut sound);
        canceller.written(&whole(far));
        out.extend(sound.into_iter().map(f32::from));
    }
    out
}

/// The same with the filter of speexdsp, which knows no delay: it is given the aligned reference.
fn run_speex(canceller: &mut Canceller, far: &[f32], microphone: &[f32]) -> Vec<f32> {
    let whole = |block: &[f32]| -> Vec<i16> { block.iter().map(|x| x.round() as i16).collect() };
    let mut out = Vec::new();
    for (far, microphone) in far.chunks_exact(HOP).zip(microphone.chunks_exact(HOP)) {
        let sound = canceller.process(&whole(microphone), &whole(far));
        out.extend(sound.into_iter().map(f32::from));
    }
    out
}

fn new(mode: EchoMode) -> EchoCanceller {
    EchoCanceller::new(mode, RATE, HOP).unwrap()
}

/// How much quieter `after` is than `before` between two moments, in dB.
fn lowered(before: &[f32], after: &[f32], from_s: f64, to_s: f64) -> f64 {
    let part = |s: f64| (s * f64::from(RATE)) as usize;
    let power = |x: &[f32]| {
        let x = &x[part(from_s)..part(to_s).min(x.len())];
        x.iter().map(|x| f64::from(x * x)).sum::<f64>() / x.len() as f64
    };
    10.0 * (power(before) / power(after).max(1.0)).log10()
}

fn mix(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// `voice` over again from a moment on, as loud as `beside` is there.
fn talk_from(voice: &[f32], from: usize, beside: &[f32]) -> Vec<f32> {
    let end = beside.len();
    let power = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>() / x.len() as f32;
    let said: Vec<f32> = voice.iter().copied().cycle().take(end - from).collect();
    let gain = (power(&beside[from..]) / power(&said)).sqrt();
    let mut talk = vec![0.0; from];
    talk.extend(said.iter().map(|x| x * gain));
    talk
}

#[test]
fn rooms_lose_their_echo_and_keep_double_talk() {
    let name = "rooms_lose_their_echo_and_keep_double_talk";
    let (Some(far), Some(voice)) = (far_end(name), near_end(name)) else {
        return;
    };
    for room_name in ["meeting50", "visio", "meeting100"] {
        let Some(room) = room(name, room_name) else {
            return;
        };
        let alone = echo(&far, &room, 3 * HOP);
        let out = run(&mut new(EchoMode::On), &far, &alone);
        let (early, late) = (
            lowered(&alone, &out, 1.0, 3.0),
            lowered(&alone, &out, 5.0, 8.0),
        );
        // Both talk from 5 s on, equally loud.
        let near = talk_from(&voice, 5 * SECOND, &alone);
        let both = mix(&alone, &near);
        let out = run(&mut new(EchoMode::On), &far, &both);
        let part = 5 * SECOND..13 * SECOND;
        // What comes out is a block late.
        let heard = &out[part.start + HOP..part.end + HOP];
        let (before, after) = (
            stoi(&near[part.clone()], &both[part.clone()]),
            stoi(&near[part.clone()], heard),
        );
        println!(
            "{room_name}: ERLE {early:.1} dB from 1 s on, {late:.1} dB from 5 s on; double talk at \
             0 dB: STOI {after:.3} ({before:.3} without)"
        );
        if let Some(mut speex) = Canceller::new(RATE, HOP, SECOND / 5) {
            let alone_out = run_speex(&mut speex, &far, &alone);
            let mut speex = Canceller::new(RATE, HOP, SECOND / 5).unwrap();
            let both_out = run_speex(&mut speex, &far, &both);
            let (speex_early, speex_late) = (
                lowered(&alone, &alone_out, 1.0, 3.0),
                lowered(&alone, &alone_out, 5.0, 8.0),
            );
            let speex_stoi = stoi(&near[part.clone()], &both_out[part.clone()]);
            println!(
                "{room_name}, speexdsp: ERLE {speex_early:.1} dB, {speex_late:.1} dB; STOI \
                 {speex_stoi:.3}"
            );
            assert!(
                early > speex_early + 6.0 && late > speex_late + 6.0,
                "{room_name}"
            );
        }
        assert!(early >= 20.0, "{room_name}: {early} dB after a second");
        assert!(late >= 35.0, "{room_name}: {late} dB after five seconds");
        assert!(after >= 0.95, "{room_name}: STOI {after} in double talk");
    }
}

#[test]
fn near_end_without_echo_is_left_alone() {
    let name = "near_end_without_echo_is_left_alone";
    let Some(voice) = near_end(name) else { return };
    let silence = vec![0.0; voice.len()];
    let out = run(&mut new(EchoMode::On), &silence, &voice);
    let loss = lowered(&voice[..voice.len() - HOP], &out[HOP..], 0.5, 7.5);
    assert!(loss.abs() < 0.1, "{loss} dB");
}

#[test]
fn echo_is_found_up_to_200_ms_later() {
    let name = "echo_is_found_up_to_200_ms_later";
    let (Some(far), Some(room)) = (far_end(name), room(name, "visio")) else {
        return;
    };
    for ms in [10, 60, 120, 200] {
        let alone = echo(&far, &room, ms * 16);
        let mut canceller = new(EchoMode::On);
        let out = run(&mut canceller, &far, &alone);
        let late = lowered(&alone, &out, 5.0, 8.0);
        println!(
            "{ms} ms: ERLE {late:.1} dB, delay {} ms",
            canceller.stats().delay_ms
        );
        assert!(late >= 25.0, "{ms} ms: {late} dB");
    }
}

#[test]
fn a_changed_way_is_learnt_again_within_two_seconds() {
    let name = "a_changed_way_is_learnt_again_within_two_seconds";
    let (Some(far), Some(first), Some(second)) =
        (far_end(name), room(name, "visio"), room(name, "meeting50"))
    else {
        return;
    };
    let mut alone = echo(&far, &first, 3 * HOP);
    let other = echo(&far, &second, 3 * HOP);
    alone[6 * SECOND..].copy_from_slice(&other[6 * SECOND..]);
    let out = run(&mut new(EchoMode::On), &far, &alone);
    let again = lowered(&alone, &out, 8.0, 11.0);
    println!("{again:.1} dB from 2 s after the change on");
    assert!(again >= 20.0, "{again} dB");
}

#[test]
fn a_handset_without_echo_is_passed_by_until_there_is_one() {
    let name = "a_handset_without_echo_is_passed_by_until_there_is_one";
    let (Some(far), Some(voice), Some(room)) = (far_end(name), near_end(name), room(name, "visio"))
    else {
        return;
    };
    let mut canceller = new(EchoMode::Auto);
    let mut random = Rng::new(3);
    let quiet: Vec<f32> = voice.iter().map(|x| x + random.normal() as f32).collect();
    let long: Vec<f32> = quiet.iter().copied().cycle().take(far.len()).collect();
    run(&mut canceller, &far, &long);
    assert!(!canceller.stats().active, "{:?}", canceller.stats());
    let rounded: Vec<f32> = quiet.iter().map(|x| x.round()).collect();
    let out = run(&mut canceller, &far[..quiet.len()], &quiet);
    assert_eq!(out, rounded[..out.len()], "it passes untouched");
    // The handset is laid beside the phone, and leaks.
    let alone = echo(&far, &room, 3 * HOP);
    for _ in 0..3 {
        run(&mut canceller, &far, &alone);
    }
    assert!(canceller.stats().active, "{:?}", canceller.stats());
    assert!(canceller.stats().erle_db > 15.0, "{:?}", canceller.stats());
}

#[test]
fn cards_of_any_rate_are_taken() {
    for (rate, frames, taken) in [
        (48_000, 240, true),
        (16_000, 80, true),
        (8_000, 80, true),
        (44_100, 441, true),
        (44_100, 220, true),
        (48_000, 241, true),
        (48_000, 1024, false),
        (4_000, 40, false),
        (0, 0, false),
    ] {
        let made = EchoCanceller::new(EchoMode::On, rate, frames).is_some();
        assert_eq!(made, taken, "{rate} {frames}");
    }
}
