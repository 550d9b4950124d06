//! Rooms, talkers and loudspeakers that no recording above has: decaying noise after a direct
//! sound, another delay, a loudspeaker that bends.

use super::*;

/// One way from loudspeaker to microphone.
#[derive(Debug, Clone, Copy)]
struct Way {
    seed: u64,
    /// Until a sound has died away by 60 dB.
    rt60_s: f32,
    delay_ms: f32,
    /// Sound at full scale is bent to this share of it; 1: not at all.
    bent: f32,
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

    fn echo(self, far: &[f32]) -> Vec<f32> {
        // A curve that is a straight line for soft sound.
        let bend = 1.0 / self.bent - 1.0;
        let played: Vec<f32> = far
            .iter()
            .map(|x| x / (1.0 + bend * x.abs() / 32_768.0))
            .collect();
        echo(&played, &self.response(), (self.delay_ms * 16.0) as usize)
    }
}

#[test]
fn made_rooms_lose_their_echo_too() {
    let name = "made_rooms_lose_their_echo_too";
    let read = |file: &str| read_wav(name, file).map(floats);
    let (Some(he), Some(she), Some(other)) = (
        read("speech/jfk/jfk.wav"),
        read("speech/core/f1_16k.wav"),
        read("speech/core/m1_16k.wav"),
    ) else {
        return;
    };
    let long =
        |sound: &[f32]| -> Vec<f32> { sound.iter().copied().cycle().take(8 * SECOND).collect() };
    let (he, she, other) = (long(&he), long(&she), long(&other));
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
