//! A sound card with a clock of its own, as ALSA shows one: capture fills a ring, playback drains a
//! queue, both are linked, and whoever comes too late finds them stopped (xrun).
//!
//! ```text
//! Source ─▶ [capture ring] ─▶ read ─▶ engine ─▶ write ─▶ [playback queue] ─▶ ear
//!              │ the card's own clock (rate × (1 + ppm)) moves both │
//!           said (record)                                     heard (record)
//! ```
//!
//! A sample written in period n is heard when the `periods` already queued are out: what a real
//! duplex loop with prefill does.

use std::collections::VecDeque;
use std::f64::consts::PI;
use std::sync::OnceLock;
use std::time::Duration;

use testkit::measure::Clip;
use testkit::network::Time;
use testkit::signal::Source;

/// What a card is like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CardSetup {
    /// Frames a second, nominally.
    pub rate_hz: u32,
    /// Frames in a period.
    pub period: usize,
    /// Periods of playback queued ahead.
    pub queue: usize,
    /// Periods of capture the ring holds before it runs over.
    pub ring: usize,
    /// How fast its clock is, in parts per million.
    pub ppm: f64,
    /// When it starts, so that two cards do not tick together.
    pub start: Duration,
    /// How much of what is said and heard is kept.
    pub keep: Duration,
}

impl CardSetup {
    /// A card with this rate and period in ms, two periods queued, a true clock.
    pub fn new(rate_hz: u32, period_ms: u32) -> Self {
        Self {
            rate_hz,
            period: (rate_hz * period_ms / 1_000) as usize,
            queue: 2,
            ring: 8,
            ppm: 0.0,
            start: Duration::ZERO,
            keep: Duration::from_secs(40),
        }
    }
}

/// What a turn of the loop found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// A period was captured; playback expects one.
    Period,
    /// Too late: the card was restarted, about this many frames of microphone sound are lost.
    Xrun(usize),
    /// Nothing yet.
    NotYet,
}

#[derive(Debug)]
struct Block {
    start_s: f64,
    samples: Box<[i16]>,
}

/// Sound with the true time of each sample, the oldest forgotten.
#[derive(Debug)]
pub struct Record {
    blocks: VecDeque<Block>,
    step_s: f64,
    keep_s: f64,
    rate_hz: u32,
}

impl Record {
    fn new(setup: &CardSetup) -> Self {
        let step_s = 1.0 / (f64::from(setup.rate_hz) * (1.0 + setup.ppm * 1e-6));
        Self {
            blocks: VecDeque::new(),
            step_s,
            keep_s: setup.keep.as_secs_f64(),
            rate_hz: setup.rate_hz,
        }
    }

    fn push(&mut self, start_s: f64, samples: &[i16]) {
        while self
            .blocks
            .front()
            .is_some_and(|first| first.start_s < start_s - self.keep_s)
        {
            self.blocks.pop_front();
        }
        self.blocks.push_back(Block {
            start_s,
            samples: samples.into(),
        });
    }

    /// What sounded from `from` for `length`, on the world's time line at the card's nominal rate.
    /// A card's samples lie between those of the time line, so they are brought there by a windowed
    /// sinc; silence where the card was stopped.
    pub fn clip(&self, from: Time, length: Duration) -> Clip {
        let (from_s, rate) = (from.as_secs_f64(), f64::from(self.rate_hz));
        let count = (length.as_secs_f64() * rate).round() as usize;
        let mut samples = vec![0i16; count];
        let margin_s = REACH as f64 * self.step_s;
        let mut run: Vec<i16> = Vec::new();
        let (mut run_s, mut end_s) = (0.0, f64::NEG_INFINITY);
        let near = self.blocks.iter().filter(|block| {
            block.start_s < from_s + length.as_secs_f64() + margin_s
                && block.start_s + block.samples.len() as f64 * self.step_s > from_s - margin_s
        });
        for block in near {
            if (block.start_s - end_s).abs() > self.step_s / 2.0 {
                lay(
                    &run,
                    (run_s - from_s) * rate,
                    self.step_s * rate,
                    &mut samples,
                );
                run.clear();
                run_s = block.start_s;
            }
            run.extend_from_slice(&block.samples);
            end_s = block.start_s + block.samples.len() as f64 * self.step_s;
        }
        lay(
            &run,
            (run_s - from_s) * rate,
            self.step_s * rate,
            &mut samples,
        );
        Clip {
            rate_hz: self.rate_hz,
            samples,
        }
    }
}

/// Samples on each side that an interpolated one is made of.
const REACH: usize = 16;
/// Places between two samples the interpolation knows.
const PHASES: usize = 512;

/// Puts an unbroken run, whose samples are `step` apart and begin at `start` (both in samples of
/// `out`), onto `out`.
fn lay(run: &[i16], start: f64, step: f64, out: &mut [i16]) {
    static KERNELS: OnceLock<Vec<[f32; 2 * REACH]>> = OnceLock::new();
    let kernels = KERNELS.get_or_init(|| {
        (0..=PHASES)
            .map(|phase| kernel(phase as f64 / PHASES as f64))
            .collect()
    });
    let first = start.ceil().max(0.0) as usize;
    for (n, sample) in out.iter_mut().enumerate().skip(first) {
        let at = (n as f64 - start) / step;
        let low = at.floor();
        if low as usize >= run.len() {
            break;
        }
        let kernel = &kernels[((at - low) * PHASES as f64).round() as usize];
        let base = low as isize - REACH as isize + 1;
        let sum: f32 = if base >= 0 && base as usize + 2 * REACH <= run.len() {
            run[base as usize..]
                .iter()
                .zip(kernel)
                .map(|(&s, k)| f32::from(s) * k)
                .sum()
        } else {
            (0..2 * REACH)
                .filter_map(|k| {
                    Some(f32::from(*run.get(usize::try_from(base + k as isize).ok()?)?) * kernel[k])
                })
                .sum()
        };
        *sample = sum.round().clamp(-32_768.0, 32_767.0) as i16;
    }
}

/// A sinc in a Hann window, shifted by a part of a sample.
fn kernel(fraction: f64) -> [f32; 2 * REACH] {
    std::array::from_fn(|k| {
        let x = k as f64 - (REACH as f64 - 1.0) - fraction;
        let sinc = if x.abs() < 1e-9 {
            1.0
        } else {
            (PI * x).sin() / (PI * x)
        };
        (sinc * (0.5 + 0.5 * (PI * x / (REACH as f64 + 0.5)).cos())) as f32
    })
}

/// A loudspeaker that the microphone hears.
#[derive(Debug)]
struct Coupling {
    /// Of its amplitude.
    gain: f64,
    /// What was played and is not back yet.
    played: VecDeque<i16>,
}

/// The card.
#[derive(Debug)]
pub struct Card {
    setup: CardSetup,
    /// What the microphone hears.
    pub microphone: Source,
    /// What the microphone heard.
    pub said: Record,
    /// What the ear heard.
    pub heard: Record,
    /// Recording can be switched off to save time.
    pub recording: bool,
    started: Time,
    period: u64,
    spoken: u64,
    asleep_until: Time,
    xruns: u64,
    lost: bool,
    coupling: Option<Coupling>,
}

impl Card {
    /// A card that starts at its own time.
    pub fn new(setup: CardSetup, microphone: Source) -> Self {
        Self {
            said: Record::new(&setup),
            heard: Record::new(&setup),
            microphone,
            recording: true,
            started: setup.start,
            period: 0,
            spoken: 0,
            asleep_until: Time::ZERO,
            xruns: 0,
            lost: false,
            coupling: None,
            setup,
        }
    }

    /// What it is like.
    pub fn setup(&self) -> &CardSetup {
        &self.setup
    }

    /// From now on the microphone hears the loudspeaker besides: with this gain, after the card's
    /// queue and 6 ms of air.
    pub fn couple(&mut self, gain: f64) {
        let air = self.setup.rate_hz as usize * 6 / 1000;
        let delay = self.setup.queue * self.setup.period + air;
        self.coupling = Some(Coupling {
            gain,
            played: vec![0; delay].into(),
        });
    }

    /// Times it ran dry or over.
    pub fn xruns(&self) -> u64 {
        self.xruns
    }

    /// The moment the given period since the last start is complete.
    fn boundary(&self, period: u64) -> Time {
        let frames = period as f64 * self.setup.period as f64;
        self.started + Duration::from_secs_f64(frames * self.said.step_s)
    }

    /// When the loop must look next.
    pub fn next_turn(&self) -> Option<Time> {
        Some(self.boundary(self.period + 1).max(self.asleep_until))
    }

    /// The loop does not run for this long, from now.
    pub fn stall(&mut self, now: Time, length: Duration) {
        self.asleep_until = self.asleep_until.max(now + length);
    }

    /// Whether the loop is not running now.
    pub fn is_stalled(&self, now: Time) -> bool {
        now < self.asleep_until
    }

    /// The card goes away (true) or comes back (false). While it is away the loop goes on by a
    /// timer, with silence, as the real one.
    pub fn set_lost(&mut self, lost: bool, now: Time) {
        self.lost = lost;
        self.restart(now);
    }

    fn restart(&mut self, now: Time) {
        self.started = now;
        self.period = 0;
    }

    /// Reads a period of capture, as the loop does on waking.
    pub fn read(&mut self, capture: &mut [i16], now: Time) -> Turn {
        if self.next_turn().is_none_or(|turn| turn > now) {
            return Turn::NotYet;
        }
        if self.lost {
            capture.fill(0);
            return Turn::Period;
        }
        let dry = self.boundary(self.period + self.setup.queue as u64);
        let over = self.boundary(self.period + self.setup.ring as u64);
        if now > dry.min(over) {
            let lost =
                now.saturating_sub(self.boundary(self.period)).as_secs_f64() / self.said.step_s;
            self.xruns += 1;
            self.spoken += lost.round() as u64;
            self.restart(now);
            return Turn::Xrun(lost.round() as usize);
        }
        self.microphone.read(self.spoken, capture);
        if self.recording {
            self.said
                .push(self.boundary(self.period).as_secs_f64(), capture);
        }
        self.spoken += capture.len() as u64;
        if let Some(coupling) = &mut self.coupling {
            for sample in capture {
                let back = coupling.played.pop_front().unwrap_or(0);
                let heard = f64::from(*sample) + f64::from(back) * coupling.gain;
                *sample = heard.clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16;
            }
        }
        Turn::Period
    }

    /// Writes a period of playback after a period was read.
    pub fn write(&mut self, playback: &[i16]) {
        if self.recording {
            self.heard.push(
                self.boundary(self.period + self.setup.queue as u64)
                    .as_secs_f64(),
                playback,
            );
        }
        if let Some(coupling) = &mut self.coupling {
            coupling.played.extend(playback);
        }
        self.period += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(card: &mut Card, buffer: &mut [i16], at: Time) -> Turn {
        let turn = card.read(buffer, at);
        if turn == Turn::Period {
            card.write(buffer);
        }
        turn
    }

    #[test]
    fn a_loopback_card_delays_by_its_queue_only() {
        for ppm in [-200.0, 0.0, 200.0] {
            let mut card = Card::new(
                CardSetup {
                    ppm,
                    ..CardSetup::new(8_000, 5)
                },
                Source::voice(1, 8_000),
            );
            let mut buffer = [0; 40];
            let mut turns = 0u32;
            while card.next_turn().unwrap() < Duration::from_secs(100) {
                let at = card.next_turn().unwrap();
                assert_eq!(turn(&mut card, &mut buffer, at), Turn::Period);
                turns += 1;
            }
            assert!(
                (f64::from(turns) - 20_000.0 * (1.0 + ppm * 1e-6)).abs() < 2.0,
                "{turns} turns at {ppm} ppm"
            );
            let from = Duration::from_secs(90);
            let found = testkit::measure::align(
                &card.said.clip(from, Duration::from_secs(3)),
                &card.heard.clip(from, Duration::from_secs(3)),
                0.1,
            );
            assert!(
                (found.delay_s - 0.010).abs() < 0.0002
                    && found.correlation > 0.999
                    && found.gain_db.abs() < 0.05,
                "{found:?}"
            );
        }
    }

    #[test]
    fn a_long_stall_is_an_xrun_a_short_one_is_not() {
        let mut card = Card::new(CardSetup::new(8_000, 5), Source::voice(1, 8_000));
        let mut buffer = [0; 40];
        for _ in 0..10 {
            let at = card.next_turn().unwrap();
            turn(&mut card, &mut buffer, at);
        }
        let now = Duration::from_millis(50);
        card.stall(now, Duration::from_millis(9));
        assert_eq!(
            turn(&mut card, &mut buffer, now + Duration::from_millis(8)),
            Turn::NotYet
        );
        let woken = card.next_turn().unwrap();
        assert_eq!(woken, Duration::from_millis(59));
        assert_eq!(turn(&mut card, &mut buffer, woken), Turn::Period);
        assert_eq!(
            turn(&mut card, &mut buffer, woken),
            Turn::NotYet,
            "only one period has passed"
        );
        card.stall(Duration::from_millis(59), Duration::from_millis(40));
        assert_eq!(
            turn(&mut card, &mut buffer, Duration::from_millis(99)),
            Turn::Xrun(352),
            "44 ms since period 11 ended at 55 ms"
        );
        assert_eq!(card.xruns(), 1);
        assert_eq!(card.next_turn(), Some(Duration::from_millis(104)));
    }
}
