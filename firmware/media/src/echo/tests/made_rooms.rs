//! Rooms, talkers and loudspeakers that no recording above has: decaying noise after a direct
//! sound, another delay, a loudspeaker that bends, two clocks.

use super::*;

/// One way from loudspeaker to microphone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub(super) seed: u64,
    /// Until a sound has died away by 60 dB.
    pub(super) rt60_s: f32,
    pub(super) delay_ms: f32,
    /// Sound at full scale is bent to this share of it; 1: not at all.
    pub(super) bent: f32,
}

impl Way {
    /// Response of energy 1.
    fn response(self) -> Vec<f32> {
        let mut random = Rng::new(self.seed);
        let length = (self.rt60_s * RATE as f32 * 0.7) as usize;
        let mut taps: Vec<f32> = (0..length)
            .map(|n| {
                let s = n as f32 / RATE as f32;
                0.12 * random.normal() as f32 * (-6.9 * s / self.rt60_s).exp()
            })
            .collect();
        taps[0] = 1.0;
        let energy: f32 = taps.iter().map(|x| x * x).sum();
        taps.iter().map(|x| x / energy.sqrt()).collect()
    }

    pub(super) fn echo(self, far: &[f32]) -> Vec<f32> {
        // A curve that is a straight line for soft sound.
        let bend = 1.0 / self.bent - 1.0;
        let played: Vec<f32> = far
            .iter()
            .map(|x| x / (1.0 + bend * x.abs() / 32_768.0))
            .collect();
        echo(&played, &self.response(), (self.delay_ms * 16.0) as usize)
    }
}

/// Three far ends that no recording above has, so many seconds long.
pub(super) fn far_ends(test: &str, seconds: usize) -> Option<[Vec<f32>; 3]> {
    let long = |file: &str| -> Option<Vec<f32>> {
        let sound = read_wav(test, file).map(floats)?;
        Some(sound.into_iter().cycle().take(seconds * SECOND).collect())
    };
    Some([
        long("speech/jfk/jfk.wav")?,
        long("speech/core/f1_16k.wav")?,
        long("speech/core/m1_16k.wav")?,
    ])
}

/// What a microphone hears whose clock is so many ppm faster than the loudspeaker's.
fn skewed(sound: &[f32], ppm: f64) -> Vec<f32> {
    const TAPS: i64 = 24;
    let sample = |n: usize| {
        let at = n as f64 * (1.0 + ppm * 1e-6);
        let taps = (-TAPS..=TAPS).filter_map(|tap| {
            let index = usize::try_from(at as i64 + tap).ok()?;
            let x = tap as f64 - at.fract();
            let turn = std::f64::consts::PI * x;
            let sinc = if turn.abs() < 1e-9 {
                1.0
            } else {
                turn.sin() / turn
            };
            let window = 0.5 + 0.5 * (turn / (TAPS + 1) as f64).cos();
            Some(f64::from(*sound.get(index)?) * sinc * window)
        });
        taps.sum::<f64>() as f32
    };
    (0..sound.len()).map(sample).collect()
}

#[test]
fn made_rooms_lose_their_echo_too() {
    let name = "made_rooms_lose_their_echo_too";
    let Some([he, she, other]) = far_ends(name, 8) else {
        return;
    };
    let way = |seed, rt60_s, delay_ms, bent| Way {
        seed,
        rt60_s,
        delay_ms,
        bent,
    };
    for (what, way, far) in [
        ("plain", way(1, 0.25, 20.0, 1.0), &he),
        ("another talker", way(2, 0.25, 20.0, 1.0), &she),
        ("a third one", way(3, 0.25, 20.0, 1.0), &other),
        ("dry", way(1, 0.12, 20.0, 1.0), &she),
        ("live", way(4, 0.4, 20.0, 1.0), &he),
        ("100 ms", way(5, 0.25, 100.0, 1.0), &she),
        ("190 ms", way(5, 0.25, 190.0, 1.0), &he),
        ("190 ms, another talker", way(5, 0.25, 190.0, 1.0), &she),
        ("200 ms, a third one", way(5, 0.25, 200.0, 1.0), &other),
        ("bent to 0.8", way(1, 0.25, 20.0, 0.8), &he),
        ("bent to 0.5", way(1, 0.25, 20.0, 0.5), &she),
    ] {
        let alone = way.echo(far);
        let out = run(&mut new(EchoMode::On), far, &alone);
        let (early, late) = (
            lowered(&alone, &out, 1.0, 3.0),
            lowered(&alone, &out, 5.0, 8.0),
        );
        println!("{what}: ERLE {early:.1} dB from 1 s on, {late:.1} dB from 5 s on");
        assert!(early >= 20.0, "{what}: {early} dB after a second");
        assert!(late >= 35.0, "{what}: {late} dB after five seconds");
    }
}

/// Loudspeaker and microphone on two cards whose clocks differ: the way of the echo grows or
/// shrinks by three samples a second, until that is known. Where the far end pauses often that
/// takes longer.
#[test]
fn clocks_200_ppm_apart_lose_their_echo() {
    let name = "clocks_200_ppm_apart_lose_their_echo";
    let Some([he, she, other]) = far_ends(name, 13) else {
        return;
    };
    for (what, seed, far, ppm, least_db) in [
        ("he", 1, &he, 200.0, 35.0),
        ("he", 1, &he, -200.0, 35.0),
        ("she", 2, &she, 200.0, 30.0),
        ("she", 2, &she, -200.0, 30.0),
        ("the other", 2, &other, 60.0, 18.0),
    ] {
        let way = Way {
            seed,
            rt60_s: 0.25,
            delay_ms: 20.0,
            bent: 1.0,
        };
        let alone = skewed(&way.echo(far), ppm);
        let out = run(&mut new(EchoMode::On), far, &alone);
        let (early, late, end) = (
            lowered(&alone, &out, 1.0, 3.0),
            lowered(&alone, &out, 5.0, 8.0),
            lowered(&alone, &out, 8.0, 12.5),
        );
        println!("{what}, {ppm:+} ppm: ERLE {early:.1} dB, {late:.1} dB from 5 s on, {end:.1} dB");
        assert!(
            late.max(end) >= least_db,
            "{what}, {ppm} ppm: {late}, {end} dB"
        );
    }
}

/// Talkers at this end that no recording above has, as loud as the echo.
#[test]
fn other_talkers_are_understood_in_double_talk() {
    let name = "other_talkers_are_understood_in_double_talk";
    let Some([he, she, other]) = far_ends(name, 13) else {
        return;
    };
    let (Some(fourth), Some(fifth)) = (
        speech(name, "nkf-syn-dt/test299_9.11dB__gt.wav"),
        near_end(name),
    ) else {
        return;
    };
    for (what, seed, delay_ms, far) in [
        ("he", 1, 20.0, &he),
        ("she", 2, 20.0, &she),
        ("the other", 3, 20.0, &other),
        ("he, 190 ms later", 5, 190.0, &he),
    ] {
        let way = Way {
            seed,
            rt60_s: 0.25,
            delay_ms,
            bent: 1.0,
        };
        let alone = way.echo(far);
        for (who, voice) in [("fourth", &fourth), ("fifth", &fifth)] {
            let near = talk_from(voice, 5 * SECOND, &alone);
            let both = mix(&alone, &near);
            let out = run(&mut new(EchoMode::On), far, &both);
            let part = 5 * SECOND..12 * SECOND;
            let heard = &out[part.start + HOP..part.end + HOP];
            let (before, after) = (
                stoi(&near[part.clone()], &both[part.clone()]),
                stoi(&near[part], heard),
            );
            println!("{what} at the far end, {who} talker: STOI {after:.3} ({before:.3} without)");
            assert!(after >= 0.92, "{what}, {who}: STOI {after}");
        }
    }
}
