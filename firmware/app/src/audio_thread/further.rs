//! Cards besides the handset's: the loudspeaker one talks to without the handset, and the ringer.
//!
//! ```text
//! handset's card ──────────────────▶ ┌─ fade ─┐ ─▶ engine ─▶ ┌─ fade ─┐ ─▶ handset's card      its clock paces the engine
//! speaker's card ─▶ CaptureAsrc ───▶ └────────┘              └────────┘ ─▶ PlaybackAsrc ─▶ speaker's card
//!                                                    bell ───────────────▶ PlaybackAsrc ─▶ ringer's card
//! ```
//!
//! Each has a clock of its own and is looked at once a period of the engine, so that it wakes no
//! one. It runs only while it is wanted. Where one talks moves without a gap: the card left behind
//! goes on until the other is heard, and its microphone until the other gives sound.

use std::time::{Duration, Instant};

use board::audio::{AudioDevice, AudioError, Period};
use heapless::Vec as Fixed;
use media::{CaptureAsrc, CardFormat, Engine, PlaybackAsrc};

use super::link::LossReason;

/// Cards besides the handset's.
pub(super) const MAX_FURTHER: usize = 2;
/// How long a card runs on after it was wanted.
const LINGER: Duration = Duration::from_secs(2);
/// How often a card that rests is asked whether it is still there.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Periods of one card done in one turn.
const PERIODS_A_TURN: usize = 16;

/// What a further card is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CardUse {
    /// One talks by it without the handset.
    pub speaks: bool,
    /// It has a microphone for that; else the handset's stays in use.
    pub listens: bool,
    /// It plays the bell.
    pub rings: bool,
}

impl CardUse {
    /// As status and log have it.
    pub(crate) fn as_str(self) -> &'static str {
        match (self.speaks, self.rings) {
            (true, true) => "speaker and ringer",
            (true, false) => "speaker",
            (false, _) => "ringer",
        }
    }
}

/// A further card with all it needs; built on the control thread, freed there.
pub struct FurtherCard {
    device: Box<dyn AudioDevice>,
    card_use: CardUse,
    capture: CaptureAsrc,
    playback: PlaybackAsrc,
    period: Box<[i16]>,
    /// From the engine's period until it is heard, in periods of the engine.
    overlap: u32,
    state: State,
    next_check: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It rests.
    Stopped,
    /// It runs; when it was wanted, and when it gave a period, the last time.
    Runs { wanted: Instant, gave: Instant },
}

impl FurtherCard {
    /// A card that runs, for an engine of this rate and period.
    ///
    /// # Errors
    /// Its rate is none that can be converted.
    pub fn new(
        device: Box<dyn AudioDevice>,
        card_use: CardUse,
        engine: media::EngineConfig,
        now: Instant,
    ) -> Result<Self, AudioError> {
        let format = device.format();
        let card = CardFormat {
            rate_hz: format.rate_hz,
            period_frames: format.period_frames,
        };
        let to = CardFormat {
            rate_hz: engine.rate_hz,
            period_frames: engine.period_frames,
        };
        let cannot = |error: media::resample::ResampleError| AudioError::Open {
            device: "further card".to_owned(),
            problem: error.to_string(),
            help: "set its rate to 8000, 16000 or 48000 Hz".to_owned(),
        };
        let capture = CaptureAsrc::new(card, to).map_err(cannot)?;
        let playback = PlaybackAsrc::new(card, to).map_err(cannot)?;
        let queued = format.playback_delay_frames + format.period_frames;
        let delay_ms =
            playback.delay_ms() + queued as f64 * 1000.0 / f64::from(format.rate_hz.max(1));
        let period_ms = engine.period_frames as f64 * 1000.0 / f64::from(engine.rate_hz.max(1));
        Ok(Self {
            period: vec![0; format.period_frames].into(),
            device,
            card_use,
            capture,
            playback,
            overlap: (delay_ms / period_ms.max(0.1)).ceil() as u32,
            state: State::Runs {
                wanted: now,
                gave: now,
            },
            next_check: now,
        })
    }

    /// The device alone.
    pub fn into_device(self) -> Box<dyn AudioDevice> {
        self.device
    }

    /// What it is for.
    pub fn card_use(&self) -> CardUse {
        self.card_use
    }

    fn runs(&self) -> bool {
        self.state != State::Stopped
    }

    /// Starts it where it is wanted, stops it where it was not for a while.
    fn want(&mut self, wanted: bool, now: Instant) -> Result<(), LossReason> {
        match (&mut self.state, wanted) {
            (State::Stopped, true) => {
                self.device.resume().map_err(LossReason::Failed)?;
                self.capture.reset();
                self.playback.reset();
                self.state = State::Runs {
                    wanted: now,
                    gave: now,
                };
            }
            (State::Runs { wanted: at, .. }, true) => *at = now,
            (State::Runs { wanted: at, .. }, false) => {
                if now.saturating_duration_since(*at) > LINGER {
                    self.stop();
                }
            }
            (State::Stopped, false) => {
                if now >= self.next_check {
                    self.next_check = now + CHECK_EVERY;
                    self.device.check().map_err(LossReason::Failed)?;
                }
            }
        }
        Ok(())
    }

    /// Stops it, if it can be stopped.
    fn stop(&mut self) {
        if self.runs() && self.device.pause() {
            self.state = State::Stopped;
        }
    }

    /// Does what the card has ready; over- and underruns seen. `periods` of the engine were done
    /// since the last time.
    fn serve(&mut self, periods: u32, now: Instant) -> Result<u32, LossReason> {
        let State::Runs { gave, .. } = &mut self.state else {
            return Ok(0);
        };
        let mut xruns = 0;
        for _ in 0..PERIODS_A_TURN {
            match self.device.read(&mut self.period) {
                Ok(Period::Ready) => {}
                Ok(Period::NotYet) => break,
                Ok(Period::Xrun { .. }) => {
                    xruns += 1;
                    self.capture.reset();
                    continue;
                }
                Err(error) => return Err(LossReason::Failed(error)),
            }
            *gave = now;
            if self.card_use.listens {
                self.capture.push(&self.period);
            }
            self.playback.pull(&mut self.period);
            match self.device.write(&self.period) {
                Ok(Period::Ready | Period::NotYet) => {}
                Ok(Period::Xrun { .. }) => xruns += 1,
                Err(error) => return Err(LossReason::Failed(error)),
            }
        }
        if now.saturating_duration_since(*gave) > self.device.stall_timeout() {
            return Err(LossReason::Silent);
        }
        self.capture.observe(periods);
        self.playback.observe(periods);
        Ok(xruns)
    }
}

/// A gain between 0 and 1 that moves within one period.
#[derive(Debug, Clone, Copy)]
struct Fade {
    now: f32,
    target: f32,
}

impl Fade {
    fn at(value: f32) -> Self {
        Self {
            now: value,
            target: value,
        }
    }

    /// One period.
    fn apply(&mut self, sound: &mut [i16]) {
        let (from, to) = (self.now, self.target);
        self.now = to;
        if from >= 1.0 && to >= 1.0 {
            return;
        }
        if from <= 0.0 && to <= 0.0 {
            sound.fill(0);
            return;
        }
        let step = (to - from) / sound.len().max(1) as f32;
        let mut gain = from;
        for sample in sound {
            gain += step;
            *sample = (f32::from(*sample) * gain) as i16;
        }
    }
}

/// Which card one talks by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Talk {
    Handset,
    Speaker,
}

/// The further cards, and where one talks.
pub(super) struct FurtherCards {
    cards: Fixed<Box<FurtherCard>, MAX_FURTHER>,
    talk: Talk,
    /// Periods for which the card left behind still plays.
    overlap: u32,
    handset_overlap: u32,
    handset_gain: Fade,
    speaker_gain: Fade,
    /// Whose microphone is heard.
    microphone: Talk,
    /// One period from the speaker's card, and one for it.
    heard: Box<[i16]>,
    played: Box<[i16]>,
}

impl FurtherCards {
    /// None, beside a card with periods of at most so many frames.
    pub(super) fn new(most_frames: usize) -> Self {
        Self {
            cards: Fixed::new(),
            talk: Talk::Handset,
            overlap: 0,
            handset_overlap: 4,
            handset_gain: Fade::at(1.0),
            speaker_gain: Fade::at(0.0),
            microphone: Talk::Handset,
            heard: vec![0; most_frames].into(),
            played: vec![0; most_frames].into(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cards.is_empty()
    }

    /// Takes one more.
    ///
    /// # Errors
    /// There is one for this already, or there are too many.
    pub(super) fn add(&mut self, card: Box<FurtherCard>) -> Result<(), Box<FurtherCard>> {
        let wanted = card.card_use;
        let shares = |own: CardUse| own.speaks && wanted.speaks || own.rings && wanted.rings;
        if self.cards.iter().any(|card| shares(card.card_use)) {
            return Err(card);
        }
        self.cards.push(card)
    }

    /// Takes out any.
    pub(super) fn take_any(&mut self) -> Option<Box<FurtherCard>> {
        self.cards.pop()
    }

    /// Whether a card plays the bell.
    fn has_ringer(&self) -> bool {
        self.cards.iter().any(|card| card.card_use.rings)
    }

    /// So many frames are queued in the handset's card, which has periods of so many.
    pub(super) fn set_handset(&mut self, queued: usize, period: usize) {
        self.handset_overlap = (queued / period.max(1)) as u32 + 1;
    }

    fn speaker(&mut self) -> Option<&mut Box<FurtherCard>> {
        self.cards.iter_mut().find(|card| card.card_use.speaks)
    }

    /// One period of the engine: `capture` is what the handset's card heard, `playback` becomes
    /// what it plays.
    pub(super) fn process(
        &mut self,
        engine: &mut Engine,
        capture: &mut [i16],
        playback: &mut [i16],
        now: Instant,
    ) {
        engine.set_bell_apart(self.has_ringer());
        // Also where the card one talked by was lost this moment: the way back is faded, too.
        let at_rest = self.microphone == Talk::Handset && self.handset_gain.now >= 1.0;
        if self.cards.is_empty() && at_rest {
            engine.process(capture, playback, now);
            return;
        }
        if self.capture(engine.is_hands_free(), capture) {
            engine.handle_card_change();
        }
        engine.process(capture, playback, now);
        self.playback(playback, engine.bell());
    }

    /// Before a period of the engine: `capture` is what the handset's card heard, and becomes what
    /// is to be heard. `true`: from now on it is another microphone.
    fn capture(&mut self, hands_free: bool, capture: &mut [i16]) -> bool {
        let talk = match self.speaker() {
            Some(_) if hands_free => Talk::Speaker,
            Some(_) | None => Talk::Handset,
        };
        if talk != self.talk {
            self.talk = talk;
            self.overlap = match talk {
                // It may have to be started first, at the end of this turn.
                Talk::Speaker => self.speaker().map_or(0, |card| card.overlap + 2),
                Talk::Handset => self.handset_overlap,
            };
        }
        let frames = capture.len();
        let mut heard = std::mem::take(&mut self.heard);
        let sound = &mut heard[..frames];
        let mut gives = false;
        let mut listens = false;
        if let Some(card) = self.speaker() {
            listens = card.card_use.listens && card.runs();
            gives = listens && card.capture.pull(sound);
        }
        let before = self.microphone;
        self.microphone = match (talk, before) {
            // Not before it gives sound.
            (Talk::Speaker, Talk::Handset) if gives => Talk::Speaker,
            // It has the word, though it may give nothing for a moment: the handset lies somewhere.
            (Talk::Speaker, Talk::Speaker) if listens => Talk::Speaker,
            (Talk::Speaker | Talk::Handset, _) => Talk::Handset,
        };
        match (before, self.microphone) {
            (Talk::Handset, Talk::Handset) => {}
            (Talk::Speaker, Talk::Speaker) => capture.copy_from_slice(sound),
            (from, _) => {
                if !gives {
                    sound.fill(0);
                }
                cross_fade(capture, sound, from == Talk::Handset);
            }
        }
        self.heard = heard;
        before != self.microphone
    }

    /// After a period of the engine: gives it to the card one talks by, and the bell to the
    /// ringer. `playback` becomes what the handset's card plays.
    fn playback(&mut self, playback: &mut [i16], bell: Option<&[i16]>) {
        let frames = playback.len();
        let left = self.overlap;
        self.overlap = left.saturating_sub(1);
        // The card left behind plays until the other one is heard.
        let (speaker, handset) = (self.talk == Talk::Speaker, self.talk == Talk::Handset);
        self.speaker_gain.target = if speaker || left > 0 && self.speaker_gain.now > 0.0 {
            1.0
        } else {
            0.0
        };
        self.handset_gain.target = if handset || left > 0 { 1.0 } else { 0.0 };
        let played = &mut self.played[..frames];
        for card in &mut self.cards {
            if !card.runs() {
                continue;
            }
            if card.card_use.speaks {
                played.copy_from_slice(playback);
                self.speaker_gain.apply(played);
            } else {
                played.fill(0);
            }
            if let Some(bell) = bell.filter(|_| card.card_use.rings) {
                for (sample, bell) in played.iter_mut().zip(bell) {
                    *sample = sample.saturating_add(*bell);
                }
            }
            card.playback.push(played);
        }
        self.handset_gain.apply(playback);
    }

    /// Once a turn: starts and stops the cards, does what they have ready. Over- and underruns,
    /// and the cards that were lost.
    pub(super) fn serve(
        &mut self,
        engine: &Engine,
        periods: u32,
        now: Instant,
        lost: &mut Fixed<(Box<FurtherCard>, LossReason), MAX_FURTHER>,
    ) -> u32 {
        let (speaks, rings) = (
            engine.is_hands_free() && !engine.is_idle() || self.overlap > 0,
            engine.bell().is_some(),
        );
        let mut xruns = 0;
        let mut index = 0;
        while let Some(card) = self.cards.get_mut(index) {
            let wanted = card.card_use.speaks && speaks || card.card_use.rings && rings;
            let done = card
                .want(wanted, now)
                .and_then(|()| card.serve(periods, now));
            match done {
                Ok(seen) => {
                    xruns += seen;
                    index += 1;
                }
                Err(reason) => {
                    // As many as there are cards have room.
                    let _ = lost.push((self.cards.swap_remove(index), reason));
                }
            }
        }
        xruns
    }

    /// Nothing is to be heard: all are stopped.
    pub(super) fn rest(&mut self) {
        for card in &mut self.cards {
            card.stop();
        }
    }
}

/// Goes over from the handset's sound in `capture` to the speaker's, or back, within a period.
fn cross_fade(capture: &mut [i16], speaker: &[i16], to_speaker: bool) {
    let step = 1.0 / capture.len().max(1) as f32;
    let mut share = 0.0;
    for (own, &other) in capture.iter_mut().zip(speaker) {
        share += step;
        let of_speaker = if to_speaker { share } else { 1.0 - share };
        let mixed = f32::from(*own) * (1.0 - of_speaker) + f32::from(other) * of_speaker;
        *own = mixed as i16;
    }
}

#[cfg(test)]
mod tests;
