//! The echo canceller: takes the loudspeaker's sound out of the microphone's, for hands-free
//! talking and for handsets that leak.
//!
//! ```text
//! what was written to the card ─▶ 16 kHz ─▶ delay (found) ─▶ Filter ─▶ echo
//! microphone ─▶ 16 kHz ─────────────────────────────────────▶ − ─────▶ Suppressor ─▶ card rate ─▶ encoder
//! ```
//!
//! It works at 16 kHz (8 kHz with a card of less), in blocks of the card's period, and adds one
//! block and the two rate conversions of delay; two blocks where a period is no whole number of
//! samples ([`blocks`]). Where there is no echo it finds that out, lets the microphone pass
//! untouched, and only looks again now and then. Nothing allocates after `new`.

mod blocks;
mod delay;
mod filter;
mod skew;
mod suppressor;

use blocks::{Intake, Output};
use delay::DelaySearch;
use filter::Filter;
use skew::Skew;
use suppressor::Suppressor;

use crate::interpolate::{BEFORE, Interpolator, TAPS};

/// Highest rate it works at, in Hz.
const RATE_HZ: u32 = 16_000;
/// Length of the filter, in ms: a living room, from the direct sound on.
const LENGTH_MS: usize = 192;
/// Longest delay between writing a sound and its echo, in ms.
const LONGEST_DELAY_MS: usize = 260;
/// The filter begins this long before the delay that was found, in ms.
const BEFORE_MS: usize = 4;
/// It is moved only where the direct sound would lie outside of these first ms.
const ALIGNED_MS: usize = 12;
/// So much of the filter, from its begin on, shows how the echo wanders, in ms.
const WANDERS_MS: usize = 40;
/// Mean square of a block from which on the far end talks: 60 dB below full scale.
const ACTIVE: f32 = 1_000.0;
/// The error's power over the microphone's from which on the filter has diverged.
const DIVERGED: f32 = 1.2;
/// Smoothing of block powers.
const POWER_STEP: f32 = 0.2;
/// The least time between two divergences that are acted on, in ms.
const DIVERGENCE_EVERY_MS: usize = 200;
/// With less than this ratio of microphone to error over so much talk of the far end there is no
/// echo.
const NO_ECHO: f32 = 1.12;
const NO_ECHO_AFTER_MS: usize = 4_000;
/// So much talk of the far end is passed by before echo is looked for again, and for so long.
const LOOK_AFTER_MS: usize = 15_000;
const LOOK_FOR_MS: usize = 2_000;
/// Ratio of microphone to error that is an echo.
const ECHO: f32 = 2.0;

/// From here on a microphone is overdriven, and for so long what it gives is not believed, in ms:
/// the blocks its clipped samples are windowed in.
const OVERDRIVEN: i16 = 32_000;
const OVERDRIVEN_MS: usize = 20;

/// When it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EchoMode {
    /// While there is an echo.
    Auto,
    /// Always.
    On,
}

/// What it does and how well.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EchoStats {
    /// It works; else there is no echo, and the microphone passes untouched.
    pub active: bool,
    /// How much it lowers the microphone while the far end talks, in dB (echo return loss
    /// enhancement, ITU-T G.168).
    pub erle_db: f32,
    /// From writing a sound to the card until its echo, in ms.
    pub delay_ms: f32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Cancelling,
    /// No echo was found; what of the far end was passed by since, in samples.
    Bypassed {
        passed: usize,
    },
    /// Looks whether there is one by now; the microphone still passes untouched.
    Looking {
        looked: usize,
    },
}

/// The canceller of one card.
pub struct EchoCanceller {
    mode: EchoMode,
    state: State,
    rate_hz: u32,
    hop: usize,
    /// Of what was written to the card, and of the microphone.
    played: Intake,
    heard: Intake,
    output: Output,
    filter: Filter,
    suppressor: Suppressor,
    search: DelaySearch,
    skew: Skew,
    between: Interpolator,
    /// What was written to the card, newest last.
    written: Box<[f32]>,
    /// How long after it was written sound comes back, in samples.
    delay: f64,
    /// Parts of the filter that show how the echo wanders.
    first_parts: usize,
    reference: Box<[f32]>,
    microphone: Box<[f32]>,
    powers: Powers,
    /// Samples until a divergence is acted on again.
    divergence_in: usize,
    /// The microphone was overdriven so many samples ago at most.
    overdriven: usize,
}

/// Powers while the far end talks.
#[derive(Debug, Clone, Copy, Default)]
struct Powers {
    /// Of the last blocks: microphone, error.
    short: (f32, f32),
    /// Since the state began, of microphone and error, and in how many samples.
    sum: (f64, f64),
    samples: usize,
    /// Microphone and output over some seconds.
    long: (f32, f32),
}

impl EchoCanceller {
    /// For a card of this rate and period; `None` where the rate is below 8 kHz or the period not 1
    /// to 20 ms long.
    pub fn new(mode: EchoMode, card_rate_hz: u32, period_frames: usize) -> Option<Self> {
        let rate_hz = if card_rate_hz >= RATE_HZ {
            RATE_HZ
        } else {
            8_000
        };
        if card_rate_hz == 0 {
            return None;
        }
        let hop = blocks::block(card_rate_hz, rate_hz, period_frames)?;
        let ms = |ms: usize| ms * rate_hz as usize / 1000;
        let intake = || Intake::new(card_rate_hz, rate_hz, period_frames, hop);
        let parts = ms(LENGTH_MS).div_ceil(hop);
        let first_parts = ms(WANDERS_MS).div_ceil(hop).min(parts);
        Some(Self {
            mode,
            state: State::Cancelling,
            rate_hz,
            hop,
            played: intake()?,
            heard: intake()?,
            output: Output::new(card_rate_hz, rate_hz, period_frames, hop)?,
            filter: Filter::new(hop, parts, rate_hz),
            suppressor: Suppressor::new(hop),
            search: DelaySearch::new(rate_hz),
            skew: Skew::new(rate_hz, hop, first_parts * (hop + 1)),
            between: Interpolator::new(),
            written: vec![0.0; ms(LONGEST_DELAY_MS) + hop + TAPS].into(),
            delay: 0.0,
            first_parts,
            reference: vec![0.0; hop].into(),
            microphone: vec![0.0; hop].into(),
            powers: Powers::default(),
            divergence_in: 0,
            overdriven: 0,
        })
    }

    /// What it does.
    pub fn stats(&self) -> EchoStats {
        let (microphone, output) = self.powers.long;
        EchoStats {
            active: self.state == State::Cancelling,
            erle_db: if output > 0.0 {
                (10.0 * (microphone / output).log10()).max(0.0)
            } else {
                0.0
            },
            delay_ms: self.delay as f32 * 1000.0 / self.rate_hz as f32,
        }
    }

    /// One period was written to the card, after [`EchoCanceller::process`] of the same one.
    pub fn written(&mut self, playback: &[i16]) {
        let Some(block) = self.played.take(playback) else {
            return;
        };
        self.written.copy_within(self.hop.., 0);
        let end = self.written.len();
        self.written[end - self.hop..].copy_from_slice(block);
    }

    /// Sound was lost or repeated: what was learnt of the delay is no longer true.
    pub fn handle_discontinuity(&mut self) {
        self.search.reset();
        self.skew.restart();
        self.filter.raise_uncertainty();
    }

    /// One period of the microphone; the echo is taken out.
    pub fn process(&mut self, sound: &mut [i16]) {
        let talks = {
            let newest = &self.written[self.written.len() - self.hop..];
            power(newest) > ACTIVE
        };
        if self.passes_by(talks) {
            // Blocks that are not in step with periods go on, or the two sounds would no longer be
            // of the same time.
            if !self.output.is_in_step() {
                self.heard.take(sound);
            }
            return;
        }
        let clips = |sample: &i16| !(-OVERDRIVEN..OVERDRIVEN).contains(sample);
        self.overdriven = if sound.iter().any(clips) {
            OVERDRIVEN_MS * self.rate_hz as usize / 1000
        } else {
            self.overdriven.saturating_sub(self.hop)
        };
        if let Some(block) = self.heard.take(sound) {
            self.microphone.copy_from_slice(block);
            self.cancel(talks);
            if self.state == State::Cancelling {
                self.output.put(&self.microphone);
            }
        }
        if self.state == State::Cancelling {
            self.output.give(sound);
        }
    }

    /// There is no echo, and it is not yet time to look for one again.
    fn passes_by(&mut self, talks: bool) -> bool {
        let State::Bypassed { passed } = &mut self.state else {
            return false;
        };
        *passed += if talks { self.hop } else { 0 };
        if *passed < LOOK_AFTER_MS * self.rate_hz as usize / 1000 {
            return true;
        }
        self.enter(State::Looking { looked: 0 });
        false
    }

    /// One block of the microphone, in place.
    fn cancel(&mut self, talks: bool) {
        let overdriven = self.overdriven > 0;
        self.align();
        let before = power(&self.microphone);
        self.filter
            .process(&self.reference, &mut self.microphone, !overdriven);
        let error = power(&self.microphone);
        self.watch(before, error, talks);
        if self.state != State::Cancelling {
            return;
        }
        self.suppressor.process(
            &mut self.microphone,
            self.filter.echo(),
            self.filter.residual(),
            overdriven,
        );
        if talks {
            let (long, after) = (&mut self.powers.long, power(&self.microphone));
            let step = self.hop as f32 / self.rate_hz as f32;
            long.0 += (before - long.0) * step;
            long.1 += (after - long.1) * step;
        }
    }

    /// Puts the part of what was written that comes back now into `reference`.
    fn align(&mut self) {
        let ms = |ms: usize| ms * self.rate_hz as usize / 1000;
        let end = self.written.len();
        let newest = &self.written[end - self.hop..];
        if let Some(found) = self.search.push(newest, &self.microphone) {
            let now = self.delay as usize;
            if !(now..now + ms(ALIGNED_MS)).contains(&found) {
                let longest = ms(LONGEST_DELAY_MS);
                let delay = found.saturating_sub(ms(BEFORE_MS)).min(longest);
                self.delay = delay as f64;
                self.filter.reset();
                self.skew.restart();
                self.suppressor.renew();
            }
        }
        self.take_reference();
    }

    /// Takes the reference out of what was written, at the pace of the microphone's clock.
    fn take_reference(&mut self) {
        let end = self.written.len();
        let faster = self.skew.ppm() * 1e-6;
        let (shortest, longest) = (TAPS as f64, (end - 2 * self.hop - TAPS) as f64);
        let has_room = (shortest..longest).contains(&self.delay);
        if !has_room {
            self.delay = self.delay.trunc();
        }
        let steady = faster == 0.0 || !has_room;
        if steady && self.delay.fract() == 0.0 {
            let from = end - self.hop - self.delay as usize;
            let part = &self.written[from..from + self.hop];
            return self.reference.copy_from_slice(part);
        }
        let faster = if steady { 0.0 } else { faster };
        let from = (end - self.hop) as f64 - self.delay;
        for (n, sample) in self.reference.iter_mut().enumerate() {
            let at = from + n as f64 * (1.0 + faster);
            let whole = at as usize;
            let around = &self.written[whole - BEFORE..whole - BEFORE + TAPS];
            *sample = self.between.between(around, at.fract());
        }
        self.delay -= self.hop as f64 * faster;
    }

    /// Judges the filter by what it does while the far end talks.
    fn watch(&mut self, microphone: f32, error: f32, talks: bool) {
        let ms = |ms: usize| ms * self.rate_hz as usize / 1000;
        let powers = &mut self.powers;
        powers.short.0 += (microphone - powers.short.0) * POWER_STEP;
        powers.short.1 += (error - powers.short.1) * POWER_STEP;
        self.divergence_in = self.divergence_in.saturating_sub(self.hop);
        if powers.short.1 > DIVERGED * powers.short.0
            && microphone > 100.0
            && self.divergence_in == 0
            && self.overdriven == 0
        {
            self.filter.raise_uncertainty();
            self.divergence_in = ms(DIVERGENCE_EVERY_MS);
        }
        if self.overdriven == 0 {
            let weights = self.filter.first_weights(self.first_parts);
            self.skew.watch(talks, weights);
        }
        if !talks {
            return;
        }
        powers.sum.0 += f64::from(microphone);
        powers.sum.1 += f64::from(error);
        powers.samples += self.hop;
        let ratio = (powers.sum.0 / powers.sum.1.max(1.0)) as f32;
        match self.state {
            State::Cancelling if powers.samples >= ms(NO_ECHO_AFTER_MS) => {
                if self.mode == EchoMode::Auto && ratio < NO_ECHO {
                    self.enter(State::Bypassed { passed: 0 });
                } else {
                    self.enter(State::Cancelling);
                }
            }
            State::Looking { looked } => {
                let looked = looked + self.hop;
                if looked >= ms(LOOK_FOR_MS) / 4 && ratio > ECHO {
                    self.enter(State::Cancelling);
                    self.output.restart();
                } else if looked >= ms(LOOK_FOR_MS) {
                    self.enter(State::Bypassed { passed: 0 });
                } else {
                    self.state = State::Looking { looked };
                }
            }
            State::Cancelling | State::Bypassed { .. } => {}
        }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        (self.powers.sum, self.powers.samples) = ((0.0, 0.0), 0);
    }
}

fn power(sound: &[f32]) -> f32 {
    sound.iter().map(|x| x * x).sum::<f32>() / sound.len().max(1) as f32
}

#[cfg(test)]
mod tests;
