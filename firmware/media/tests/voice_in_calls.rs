//! What is done to the microphone's sound, as the far end of a call hears it.
//!
//! ```text
//! sound ─▶ Engine (VoiceProcessor) ─▶ G.722 ─▶ Network ─▶ Engine ─▶ ear: with a part on, and with none
//! ```

mod pair;

use media::level::dbm0;
use media::{Codec, Engine, VoiceOptions, VoiceProcessor};
use pair::{Pair, Rng, babble, config};

const RATE: u32 = 16_000;
const PERIOD: usize = 80;
const SECOND: usize = RATE as usize;

const NOTHING: VoiceOptions = VoiceOptions {
    high_pass: false,
    noise_suppression: false,
    gain_control: false,
    noise_gate: false,
};

/// What the right side hears of what is said at the left one.
fn heard(options: VoiceOptions, said: &[i16]) -> Vec<i16> {
    let mut pair = Pair::new(RATE, PERIOD, 5);
    let engine = Engine::new(pair.sides[0].engine.config(), pair.instant());
    let voice = VoiceProcessor::new(options, RATE, PERIOD);
    pair.sides[0].engine = engine.with_voice_processor(voice);
    for side in 0..2 {
        let config = config(side, Codec::G722, RATE, PERIOD, pair.start);
        pair.start_stream(side, config);
    }
    pair.talk(said, said.len() as f64 / f64::from(RATE))
}

/// Levels in dBm0 of the last `seconds` of what was said, of what is heard of it without
/// any part, and with these.
fn levels(options: VoiceOptions, said: &[i16], seconds: usize) -> [f32; 3] {
    let end = |sound: &[i16]| dbm0(&sound[sound.len() - seconds * SECOND..]);
    [
        end(said),
        end(&heard(NOTHING, said)),
        end(&heard(options, said)),
    ]
}

/// A steady noise that falls with frequency.
fn fan(rms: f64, seconds: usize) -> Vec<i16> {
    let mut random = Rng::new(4);
    let mut low = 0.0;
    // A low-pass of the first order with this step has a third of the power of its input.
    (0..seconds * SECOND)
        .map(|_| {
            low += (random.normal() - low) * 0.5;
            (low * rms * 3f64.sqrt()) as i16
        })
        .collect()
}

fn sine(hz: f64, amplitude: f64, seconds: usize) -> Vec<i16> {
    (0..seconds * SECOND)
        .map(|n| {
            let turns = hz * n as f64 / f64::from(RATE);
            (amplitude * (std::f64::consts::TAU * turns).sin()) as i16
        })
        .collect()
}

#[test]
fn the_far_end_hears_less_of_a_noise() {
    let options = VoiceOptions {
        noise_suppression: true,
        ..NOTHING
    };
    let [said, without, with] = levels(options, &fan(100.0, 6), 2);
    println!("noise of {said:.1} dBm0: {without:.1} without, {with:.1} with");
    assert!(
        (without - said).abs() < 1.0,
        "untouched: {without} of {said}"
    );
    assert!(with <= without - 10.0, "{without} dBm0, {with} with");
}

#[test]
fn the_far_end_hears_soft_talk_louder() {
    let options = VoiceOptions {
        gain_control: true,
        ..NOTHING
    };
    let soft: Vec<i16> = babble(RATE, 20.0).iter().map(|x| x / 12).collect();
    let [said, without, with] = levels(options, &soft, 5);
    println!("talk of {said:.1} dBm0: {without:.1} without, {with:.1} with");
    assert!(
        (without - said).abs() < 1.0,
        "untouched: {without} of {said}"
    );
    assert!(with >= without + 6.0, "{without} dBm0, {with} with");
}

#[test]
fn the_far_end_hears_no_rumble() {
    let options = VoiceOptions {
        high_pass: true,
        ..NOTHING
    };
    for (hz, least, most) in [(40.0, -20.0, -12.0), (1_000.0, -0.5, 0.5)] {
        let [said, without, with] = levels(options, &sine(hz, 4_000.0, 3), 2);
        println!("{hz} Hz of {said:.1} dBm0: {without:.1} without, {with:.1} with");
        assert!(
            (without - said).abs() < 1.0,
            "untouched: {without} of {said}"
        );
        let change = with - without;
        assert!((least..most).contains(&change), "{hz} Hz: {change:+.1} dB");
    }
}

#[test]
fn the_far_end_does_not_hear_the_room() {
    let options = VoiceOptions {
        noise_gate: true,
        ..NOTHING
    };
    let [said, without, with] = levels(options, &fan(30.0, 6), 2);
    println!("room of {said:.1} dBm0: {without:.1} without, {with:.1} with");
    assert!(
        (without - said).abs() < 1.0,
        "untouched: {without} of {said}"
    );
    // A soft noise, not silence.
    assert!(
        (-76.0..without - 8.0).contains(&with),
        "{without} dBm0, {with} with"
    );
}
