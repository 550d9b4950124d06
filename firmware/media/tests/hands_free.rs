//! Two hands-free phones in two rooms: what is said in one comes out of the loudspeaker of the
//! other, back into its microphone, and round again.
//!
//! ```text
//! talker ─▶ + ─▶ Engine ─▶ Network ─▶ Engine ─▶ loudspeaker ─▶ room ─▶ + ◀─ talker
//!           └◀─ room ◀─ loudspeaker ◀─ Engine ◀─ Network ◀─ Engine ◀────┘
//! ```
//!
//! The rooms are made here by the method of images (Allen and Berkley 1979).

mod pair;

use media::{Codec, EchoCanceller, EchoMode, Engine, EngineConfig};
use pair::{Pair, Rng, config, speech};

const RATE: u32 = 16_000;
const PERIOD: usize = 80;
const SECOND: usize = RATE as usize;
/// From writing a sound to the card until it leaves the loudspeaker, in periods.
const CARD: usize = 3;

/// A box of air with walls that reflect.
struct Room {
    size_m: [f64; 3],
    loudspeaker_m: [f64; 3],
    microphone_m: [f64; 3],
    /// How much of a sound's amplitude a wall gives back.
    reflects: f64,
}

impl Room {
    /// The room's response, scaled to this gain in dB (energy of the response).
    fn response(&self, gain_db: f64) -> Vec<f32> {
        const REFLECTIONS: i32 = 8;
        let mut response = vec![0.0; SECOND / 4];
        let images = |axis: usize| -> Vec<(f64, i32)> {
            let (size, source, heard) = (
                self.size_m[axis],
                self.loudspeaker_m[axis],
                self.microphone_m[axis],
            );
            (-REFLECTIONS..=REFLECTIONS)
                .flat_map(|n| {
                    let twice = 2.0 * f64::from(n) * size;
                    [
                        (twice + source - heard, 2 * n.abs()),
                        (twice - source - heard, (2 * n - 1).abs()),
                    ]
                })
                .collect()
        };
        let axes = [images(0), images(1), images(2)];
        for &(x, nx) in &axes[0] {
            for &(y, ny) in &axes[1] {
                for &(z, nz) in &axes[2] {
                    let distance = (x * x + y * y + z * z).sqrt();
                    let at = distance / 343.0 * f64::from(RATE);
                    // Between two samples: a sinc of some taps.
                    for tap in (at as usize).saturating_sub(8)..=at as usize + 8 {
                        let t = tap as f64 - at;
                        let turn = std::f64::consts::PI * t;
                        let sinc = if turn.abs() < 1e-9 {
                            1.0
                        } else {
                            turn.sin() / turn
                        };
                        let window = 0.5 + 0.5 * (turn / 9.0).cos();
                        if let Some(place) = response.get_mut(tap) {
                            *place += self.reflects.powi(nx + ny + nz) / distance * sinc * window;
                        }
                    }
                }
            }
        }
        let energy: f64 = response.iter().map(|x| x * x).sum();
        let scale = (10f64.powf(gain_db / 10.0) / energy).sqrt();
        response.iter().map(|x| (x * scale) as f32).collect()
    }
}

fn rooms() -> [Room; 2] {
    [
        Room {
            size_m: [4.1, 3.2, 2.5],
            loudspeaker_m: [1.0, 1.2, 0.8],
            microphone_m: [1.12, 1.22, 0.78],
            reflects: 0.72,
        },
        Room {
            size_m: [6.3, 4.7, 2.9],
            loudspeaker_m: [2.0, 2.4, 0.9],
            microphone_m: [2.2, 2.35, 0.9],
            reflects: 0.65,
        },
    ]
}

/// The air of one room: what was played, and what the microphone hears of it.
struct Air {
    response: Vec<f32>,
    played: Vec<f32>,
    random: Rng,
}

impl Air {
    fn heard(&mut self) -> Vec<f32> {
        let (response, played) = (&self.response, &self.played);
        let now = played.len() - CARD * PERIOD;
        let random = &mut self.random;
        (now..now + PERIOD)
            .map(|at| {
                let from = at.saturating_sub(response.len() - 1);
                let echo: f32 = played[from..=at]
                    .iter()
                    .rev()
                    .zip(response)
                    .map(|(x, h)| x * h)
                    .sum();
                echo + random.normal() as f32
            })
            .collect()
    }
}

/// What was heard in one run.
struct Heard {
    /// By each loudspeaker, from the first period on.
    ears: [Vec<f32>; 2],
}

/// A call of so many seconds, in which `talk[side]` is said, at this gain of the whole loop.
fn call(canceller: bool, loop_gain_db: f64, talk: [&[i16]; 2], seconds: usize) -> Heard {
    let mut pair = Pair::new(RATE, PERIOD, 5);
    for side in 0..2 {
        let echo = EchoCanceller::new(EchoMode::On, RATE, PERIOD).filter(|_| canceller);
        let card = EngineConfig {
            rate_hz: RATE,
            period_frames: PERIOD,
            sidetone_db: None,
        };
        let engine = Engine::new(card, pair.instant()).with_echo_canceller(echo);
        pair.sides[side].engine = engine;
        let config = config(side, Codec::G722, RATE, PERIOD, pair.start);
        pair.start_stream(side, config);
    }
    let airs = rooms().map(|room| {
        std::cell::RefCell::new(Air {
            response: room.response(loop_gain_db / 2.0),
            played: vec![0.0; CARD * PERIOD],
            random: Rng::new(11),
        })
    });
    let mut at = [0; 2];
    let end = std::time::Duration::from_secs(seconds as u64);
    while pair.now < end {
        pair.step(
            |side, capture| {
                let echo = airs[side].borrow_mut().heard();
                let said = talk[side].iter().copied().chain(std::iter::repeat(0));
                for ((sample, echo), said) in capture.iter_mut().zip(echo).zip(said.skip(at[side]))
                {
                    *sample = (echo + f32::from(said)).clamp(-32_768.0, 32_767.0) as i16;
                }
                at[side] += PERIOD;
            },
            |side, playback| {
                let played = playback.iter().map(|&x| f32::from(x));
                airs[side].borrow_mut().played.extend(played);
            },
        );
    }
    let ears = airs.map(|air| air.into_inner().played.split_off(CARD * PERIOD));
    Heard { ears }
}

fn level_db(sound: &[f32]) -> f64 {
    let power = sound.iter().map(|&x| f64::from(x * x)).sum::<f64>() / sound.len() as f64;
    10.0 * power.max(1.0).log10()
}

fn floats(sound: &[i16]) -> Vec<f32> {
    sound.iter().map(|&x| f32::from(x)).collect()
}

/// Some talk of this length and level, in dB of full scale.
fn talk(test: &str, name: &str, dbfs: f64, seconds: usize) -> Option<Vec<i16>> {
    let said = speech(test, name)?;
    let gain = 10f64.powf((90.3 + dbfs - level_db(&floats(&said))) / 20.0);
    let scaled = said.iter().map(|&x| (f64::from(x) * gain) as i16);
    Some(scaled.cycle().take(seconds * SECOND).collect())
}

#[test]
fn two_hands_free_phones_do_not_howl_and_return_no_echo() {
    let name = "two_hands_free_phones_do_not_howl_and_return_no_echo";
    let (Some(left), Some(right)) = (
        talk(name, "m1_16k.wav", -30.0, 12),
        talk(name, "f1_16k.wav", -30.0, 12),
    ) else {
        return;
    };
    let seconds = 12;
    // One talks, the other listens: what comes back is echo.
    let heard = call(true, 6.0, [&left, &[]], seconds);
    let part = 4 * SECOND..seconds * SECOND;
    let returned = level_db(&heard.ears[0][part.clone()]) - level_db(&floats(&left[part.clone()]));
    println!("loop gain +6 dB: echo returned {returned:.1} dB");
    assert!(returned < -45.0, "echo returned at {returned:.1} dB");
    // Both talk: nothing howls, and each hears the other.
    let heard = call(true, 6.0, [&left, &right], seconds);
    for (ear, said) in heard.ears.iter().zip([&right, &left]) {
        let off = level_db(&ear[part.clone()]) - level_db(&floats(&said[part.clone()]));
        println!("both talk: heard at {off:+.1} dB");
        assert!(off.abs() < 3.0, "{off:+.1} dB off");
    }
    // Without a canceller this loop howls at full scale.
    let heard = call(false, 6.0, [&left, &[]], 6);
    let howls = level_db(&heard.ears[0][5 * SECOND..]);
    println!("without a canceller: {howls:.1} dB of 90");
    assert!(howls > 75.0, "{howls}");
}

/// From usual talk to that of somebody who leans over the phone: what comes back is 45 dB softer.
#[test]
fn loud_talk_returns_no_more_echo() {
    let name = "loud_talk_returns_no_more_echo";
    let seconds = 12;
    let mut all = Vec::new();
    for dbfs in [-30.0, -26.0, -20.0] {
        let Some(said) = talk(name, "m1_16k.wav", dbfs, seconds) else {
            return;
        };
        let heard = call(true, 6.0, [&said, &[]], seconds);
        let returned = |from: usize, to: usize| {
            let part = from * SECOND..to * SECOND;
            level_db(&heard.ears[0][part.clone()]) - level_db(&floats(&said[part]))
        };
        let each: Vec<f64> = (2..seconds).map(|n| returned(n, n + 1)).collect();
        println!("{dbfs} dBFS: each second {each:.0?}");
        all.push((dbfs, returned(4, seconds)));
    }
    println!("talk, echo returned: {all:.1?} dB");
    assert!(all.iter().all(|(_, returned)| *returned < -45.0), "{all:?}");
}
