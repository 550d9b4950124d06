//! A sound card with a clock of its own, as ALSA shows one: capture fills a ring, playback drains a queue, both are linked, and
//! whoever comes too late finds them stopped (xrun).
//!
//! ```text
//! Source ─▶ [capture ring] ─▶ read ─▶ engine ─▶ write ─▶ [playback queue] ─▶ ear
//!              │ the card's own clock (rate × (1 + ppm)) moves both │
//!           said (record)                                     heard (record)
//! ```
//!
//! A sample written in period n is heard when the `periods` already queued are out: what a real duplex loop with prefill does.

use std::collections::VecDeque;
use std::time::Duration;

use crate::measure::Clip;
use crate::network::Time;
use crate::signal::Source;

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
        while self.blocks.front().is_some_and(|first| first.start_s < start_s - self.keep_s) {
            self.blocks.pop_front();
        }
        self.blocks.push_back(Block {
            start_s,
            samples: samples.into(),
        });
    }

    /// What sounded from `from` for `length`, on the world's time line at the card's nominal rate (linear between samples).
    pub fn clip(&self, from: Time, length: Duration) -> Clip {
        let (from_s, rate) = (from.as_secs_f64(), f64::from(self.rate_hz));
        let mut samples = vec![0i16; (length.as_secs_f64() * rate).round() as usize];
        let until_s = from_s + length.as_secs_f64();
        for (index, block) in self.blocks.iter().enumerate() {
            let end_s = block.start_s + block.samples.len() as f64 * self.step_s;
            if end_s <= from_s || block.start_s >= until_s {
                continue;
            }
            let next = self
                .blocks
                .get(index + 1)
                .filter(|next| (next.start_s - end_s).abs() < self.step_s / 2.0)
                .map(|next| next.samples[0]);
            let first = ((block.start_s - from_s) * rate).ceil().max(0.0) as usize;
            let mut n = first;
            while n < samples.len() {
                let place = (from_s + n as f64 / rate - block.start_s) / self.step_s;
                let whole = place.floor().max(0.0);
                let low = whole as usize;
                if low >= block.samples.len() {
                    break;
                }
                let a = f64::from(block.samples[low]);
                let b = f64::from(block.samples.get(low + 1).copied().or(next).unwrap_or(block.samples[low]));
                samples[n] = (a + (b - a) * (place - whole).clamp(0.0, 1.0)).round() as i16;
                n += 1;
            }
        }
        Clip {
            rate_hz: self.rate_hz,
            samples,
        }
    }
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
            setup,
        }
    }

    /// What it is like.
    pub fn setup(&self) -> &CardSetup {
        &self.setup
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
        (!self.lost).then(|| self.boundary(self.period + 1).max(self.asleep_until))
    }

    /// The loop does not run for this long, from now.
    pub fn stall(&mut self, now: Time, length: Duration) {
        self.asleep_until = self.asleep_until.max(now + length);
    }

    /// Whether the loop is not running now.
    pub fn is_stalled(&self, now: Time) -> bool {
        now < self.asleep_until
    }

    /// The card goes away (true) or comes back (false).
    pub fn set_lost(&mut self, lost: bool, now: Time) {
        self.lost = lost;
        if !lost {
            self.restart(now);
        }
    }

    fn restart(&mut self, now: Time) {
        self.started = now;
        self.period = 0;
    }

    /// Reads a period of capture, as the loop does on waking.
    pub fn read(&mut self, capture: &mut [i16], now: Time) -> Turn {
        if self.lost || self.next_turn().is_none_or(|turn| turn > now) {
            return Turn::NotYet;
        }
        let dry = self.boundary(self.period + self.setup.queue as u64);
        let over = self.boundary(self.period + self.setup.ring as u64);
        if now > dry.min(over) {
            let lost = now.saturating_sub(self.boundary(self.period)).as_secs_f64() / self.said.step_s;
            self.xruns += 1;
            self.spoken += lost as u64;
            self.restart(now);
            return Turn::Xrun(lost as usize);
        }
        self.microphone.read(self.spoken, capture);
        if self.recording {
            self.said.push(self.boundary(self.period).as_secs_f64(), capture);
        }
        self.spoken += capture.len() as u64;
        Turn::Period
    }

    /// Writes a period of playback after a period was read.
    pub fn write(&mut self, playback: &[i16]) {
        if self.recording {
            self.heard
                .push(self.boundary(self.period + self.setup.queue as u64).as_secs_f64(), playback);
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
    fn a_loop_back_card_delays_by_its_queue_whatever_its_clock() {
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
            let found = crate::measure::align(
                &card.said.clip(from, Duration::from_secs(3)),
                &card.heard.clip(from, Duration::from_secs(3)),
                0.1,
            );
            assert!((found.delay_s - 0.010).abs() < 0.0002 && found.correlation > 0.99, "{found:?}");
        }
    }

    #[test]
    fn a_short_stall_is_caught_up_and_a_long_one_is_an_xrun() {
        let mut card = Card::new(CardSetup::new(8_000, 5), Source::voice(1, 8_000));
        let mut buffer = [0; 40];
        for _ in 0..10 {
            let at = card.next_turn().unwrap();
            turn(&mut card, &mut buffer, at);
        }
        let now = Duration::from_millis(50);
        card.stall(now, Duration::from_millis(9));
        assert_eq!(turn(&mut card, &mut buffer, now + Duration::from_millis(8)), Turn::NotYet);
        let woken = card.next_turn().unwrap();
        assert_eq!(woken, Duration::from_millis(59));
        assert_eq!(turn(&mut card, &mut buffer, woken), Turn::Period);
        assert_eq!(turn(&mut card, &mut buffer, woken), Turn::NotYet, "only one period has passed");
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
