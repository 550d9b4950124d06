//! The way from the loudspeaker to the microphone changes with the card: after an xrun sound comes
//! back later, after a change of the card from another place.
//!
//! ```text
//! talker ─▶ left Engine ─▶ Network ─▶ right Engine ─▶ card, room ─┐
//! ear    ◀─ left Engine ◀─ Network ◀─ right Engine ◀──────────────┘
//! ```

mod pair;

use media::level::dbm0;
use media::{Codec, EchoCanceller, EchoMode, Engine};
use pair::{Pair, Rng, config};

const RATE: u32 = 16_000;
const PERIOD: usize = 80;
const SECOND: usize = RATE as usize;

/// A way back: after so many samples, a sound and its reflections.
#[derive(Clone)]
struct Way {
    delay: usize,
    reflections: Vec<(usize, f32)>,
}

impl Way {
    fn new(delay_ms: usize, seed: u64) -> Self {
        let mut random = Rng::new(seed);
        let late = (0..200).map(|_| {
            let after = (random.unit() * 1_200.0) as usize;
            (
                after,
                random.normal() as f32 * 0.08 * (-(after as f32) / 300.0).exp(),
            )
        });
        Self {
            delay: delay_ms * RATE as usize / 1000,
            reflections: std::iter::once((0, 0.6)).chain(late).collect(),
        }
    }

    /// The next period of the microphone after `played`, with a little noise.
    fn heard(&self, played: &[f32], random: &mut Rng, out: &mut [i16]) {
        let end = played.len();
        let frames = out.len();
        for (n, sample) in out.iter_mut().enumerate() {
            let echo: f32 = self
                .reflections
                .iter()
                .filter_map(|(after, gain)| {
                    let back = self.delay + after + frames - n;
                    Some(played[end.checked_sub(back)?] * gain)
                })
                .sum();
            *sample = (echo + random.normal() as f32 * 2.0) as i16;
        }
    }
}

/// What changes the way, and when.
#[derive(Clone, Copy)]
enum Change {
    Xrun,
    OtherCard,
}

/// What the left ear hears of itself: the way changes after 6 s.
fn returned(canceller: bool, change: Change, [first, second]: [Way; 2]) -> Option<Vec<i16>> {
    let mut said = pair::speech("echo_realigns", "m1_16k.wav")?;
    said.extend(pair::speech("echo_realigns", "f1_16k.wav")?);
    let mut pair = Pair::new(RATE, PERIOD, 5);
    let echo = EchoCanceller::new(EchoMode::On, RATE, PERIOD).filter(|_| canceller);
    let engine = Engine::new(pair.sides[1].engine.config(), pair.instant());
    pair.sides[1].engine = engine.with_echo_canceller(echo);
    for side in 0..2 {
        let config = config(side, Codec::G722, RATE, PERIOD, pair.start);
        pair.start_stream(side, config);
    }
    let played = std::cell::RefCell::new(vec![0.0; SECOND]);
    let (mut way, mut changed) = (first, false);
    let (mut random, mut at, mut heard) = (Rng::new(3), 0, Vec::new());
    while heard.len() < 10 * SECOND {
        if heard.len() >= 6 * SECOND && !changed {
            changed = true;
            way = second.clone();
            let engine = &mut pair.sides[1].engine;
            match change {
                Change::Xrun => engine.handle_discontinuity(0),
                Change::OtherCard => engine.handle_card_change(),
            }
        }
        pair.step(
            |side, capture| {
                if side == 1 {
                    way.heard(&played.borrow(), &mut random, capture);
                } else {
                    for sample in capture.iter_mut() {
                        *sample = said[at % said.len()];
                        at += 1;
                    }
                }
            },
            |side, ear| {
                if side == 1 {
                    played
                        .borrow_mut()
                        .extend(ear.iter().map(|&x| f32::from(x)));
                } else {
                    heard.extend_from_slice(ear);
                }
            },
        );
    }
    Some(heard)
}

/// A quarter of a second, in samples.
const PART: usize = SECOND / 4;
/// Softer echo than this says nothing of the canceller: a pause of the talk.
const AUDIBLE_DBM0: f32 = -40.0;

/// By how much the canceller lowers what comes back, in dB, in each quarter of a second with talk;
/// and which quarter it is.
fn lowered(change: Change, ways: [Way; 2]) -> Option<Vec<(usize, f32)>> {
    let without = returned(false, change, ways.clone())?;
    let with = returned(true, change, ways)?;
    let parts = without.chunks_exact(PART).zip(with.chunks_exact(PART));
    let levels = parts.map(|(without, with)| (dbm0(without), dbm0(with)));
    let talk = levels
        .enumerate()
        .filter(|(_, (without, _))| *without > AUDIBLE_DBM0);
    Some(
        talk.map(|(n, (without, with))| (n, without - with))
            .collect(),
    )
}

#[test]
fn after_a_discontinuity_echo_is_gone_again_within_a_second() {
    // A quarter that shows that the search began at once, and the least dB in it.
    for (name, change, ways, soon) in [
        (
            "xrun, later",
            Change::Xrun,
            [Way::new(20, 1), Way::new(80, 1)],
            (25, 28.0),
        ),
        (
            "xrun, sooner",
            Change::Xrun,
            [Way::new(80, 1), Way::new(25, 1)],
            (25, 28.0),
        ),
        (
            "card",
            Change::OtherCard,
            [Way::new(20, 1), Way::new(60, 2)],
            (24, 12.0),
        ),
    ] {
        let Some(parts) = lowered(change, ways) else {
            return;
        };
        println!("{name}: {parts:.0?} dB");
        let mut judged = 0;
        for (n, db) in parts {
            let least = match n {
                12..24 | 28.. => 20.0,
                n if n == soon.0 => soon.1,
                _ => continue,
            };
            assert!(db >= least, "{name}: {db} dB at {} s", n as f32 / 4.0);
            judged += 1;
        }
        assert!(judged > 12, "{name}: {judged} parts with talk");
    }
}
