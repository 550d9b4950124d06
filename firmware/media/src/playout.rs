//! From waiting packets to an unbroken run of sound: decides each time what comes next, and keeps
//! the delay at its target.
//!
//! ```text
//!           ┌─ in turn ────────▶ decode ─▶ merge ─┐
//! Store ────┼─ lost, next here ▶ FEC / conceal ───┼─▶ SampleFifo ─▶ stretch: delay towards target ─▶ read ─▶ ear
//!           ├─ nothing here ───▶ conceal, fade ───┤
//!           └─ pause of talk ──▶ silence, re-align┘
//! ```
//!
//! When nothing is there, concealment does not advance the position in the far end's timeline: a
//! late packet is still played; the delay has grown by the wait, and stretching reduces it again.
//! Only when a later packet shows that one is lost, the concealed sound counts as that packet's.

pub(crate) mod bursts;
mod gap;
mod loss;
mod noise;
mod slack;
mod steer;

use std::time::Instant;

use crate::codec::Decoder;
use crate::conceal::Concealer;
use crate::drift::Slip;
use crate::dtmf::detector::Detector;
use crate::jitter::Delay;
use crate::jitter::store::{Head, Inserted, Kind, Store};
use crate::stretch::{SampleFifo, samples};
use crate::time::after_ms;

use bursts::Bursts;
use loss::LossMemory;
use noise::ComfortNoise;
use slack::Slack;

/// When the delay exceeds its target by more than this, in ms, packets are dropped: after a stall
/// old talk is worth less than talk now.
const DROP_MS: f64 = 200.0;
/// A gap in the timestamps without a lost packet, longer than this, is a pause of talk, in ms.
const PAUSE_MS: f64 = 2.0;
/// How long sound fades in after silence, in ms.
const FADE_IN_MS: f64 = 3.0;

/// What playing did, in all.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Counts {
    /// Sound made up, in ms.
    pub(crate) concealed_ms: f64,
    /// Packets whose place was filled by concealment.
    pub(crate) concealed: u64,
    /// Packets rebuilt from their successor.
    pub(crate) recovered: u64,
    /// Packets thrown away unplayed because the delay had grown too long.
    pub(crate) skipped: u64,
    /// Stretches that shortened and lengthened sound.
    pub(crate) shortened: u64,
    pub(crate) lengthened: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits for the first packet of a spurt to be due.
    Waiting,
    /// Plays.
    Playing,
}

/// Where the player stood when sound was pulled last.
#[derive(Debug, Clone, Copy)]
enum LastPull {
    /// It waited.
    Waiting,
    /// It played.
    Playing {
        at: Instant,
        unplayed: usize,
        next_timestamp: i64,
    },
}

/// The player of one stream.
pub(crate) struct Playout {
    store: Store,
    delay: Delay,
    line: SampleFifo,
    concealer: Concealer,
    slip: Slip,
    state: State,
    /// RTP timestamp of the sample after the line's end.
    next_timestamp: i64,
    /// Decoder of the last sound.
    decoder: u8,
    clock_hz: u32,
    /// Samples concealed for which the position in the far end's timeline was not advanced yet.
    unaccounted: usize,
    /// Samples made up before it was clear that nothing came, and packets skipped until then.
    underrun_before: Option<(usize, u64)>,
    /// Samples of silence since sound stopped on purpose (event, comfort noise).
    pausing: bool,
    fade_in: bool,
    last_stretch: Option<Instant>,
    slack: Slack,
    frame: Box<[i16]>,
    frame_ms: f64,
    /// What was at hand when sound was pulled last; the delay is reckoned from it when it is asked
    /// for.
    last_pull: Option<LastPull>,
    loss: LossMemory,
    bursts: Bursts,
    /// Listens where digits come as tones.
    digits: Detector,
    listens: bool,
    digit: Option<u8>,
    noise: ComfortNoise,
    counts: Counts,
    played_first: bool,
    realign: bool,
}

impl Playout {
    /// A player whose sound is at `rate_hz` first, at most at `highest_hz`, read once each
    /// `period_ms`.
    pub(crate) fn new(rate_hz: u32, highest_hz: u32, clock_hz: u32, period_ms: f64) -> Self {
        Self {
            store: Store::new(),
            delay: Delay::new(period_ms),
            line: SampleFifo::new(rate_hz, highest_hz),
            concealer: Concealer::new(highest_hz),
            slip: Slip::new(),
            state: State::Waiting,
            next_timestamp: 0,
            decoder: 0,
            clock_hz,
            unaccounted: 0,
            underrun_before: None,
            pausing: false,
            fade_in: false,
            last_stretch: None,
            slack: Slack::new(),
            frame: vec![0; crate::codec::MAX_SAMPLES].into_boxed_slice(),
            frame_ms: 20.0,
            last_pull: None,
            loss: LossMemory::new(),
            bursts: Bursts::default(),
            digits: Detector::new(),
            listens: false,
            digit: None,
            noise: ComfortNoise::new(),
            counts: Counts::default(),
            played_first: false,
            realign: false,
        }
    }

    fn media_ms(&self, timestamp: i64) -> f64 {
        timestamp as f64 * 1000.0 / f64::from(self.clock_hz)
    }

    fn ticks_to_samples(&self, ticks: i64) -> i64 {
        ticks * i64::from(self.line.rate()) / i64::from(self.clock_hz)
    }

    fn samples_to_ticks(&self, samples: usize) -> i64 {
        samples as i64 * i64::from(self.clock_hz) / i64::from(self.line.rate())
    }

    fn ms(&self, samples: usize) -> f64 {
        samples as f64 * 1000.0 / f64::from(self.line.rate())
    }

    /// Sound rate now, in Hz.
    pub(crate) fn rate_hz(&self) -> u32 {
        self.line.rate()
    }

    /// What was counted.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether digits are to be heard in the sound.
    pub(crate) fn listen_for_digits(&mut self, listens: bool) {
        self.listens = listens;
    }

    /// The digit heard last, once.
    pub(crate) fn take_digit(&mut self) -> Option<u8> {
        self.digit.take()
    }

    /// Where packets were missing.
    pub(crate) fn bursts(&self) -> &Bursts {
        &self.bursts
    }

    /// Whether any packet was played yet.
    pub(crate) fn played_first(&self) -> bool {
        self.played_first
    }

    /// What was learnt from the arrivals.
    pub(crate) fn delay(&self) -> &Delay {
        &self.delay
    }

    /// Whether a packet with this timestamp, come at `arrival`, belongs to this timeline: at most
    /// so much earlier or later than the fastest, in ms.
    pub(crate) fn fits(&self, timestamp: i64, arrival: Instant, early: f64, late: f64) -> bool {
        let media_ms = self.media_ms(timestamp);
        let (now, before_step) = (
            self.delay.lateness(media_ms, arrival),
            self.delay.lateness_before_step(media_ms, arrival),
        );
        now.is_none_or(|ms| ms < late) && before_step.is_none_or(|ms| ms >= -early)
    }

    /// Playout delay of what was heard last, counted from the fastest packet's arrival, in ms.
    pub(crate) fn delay_ms(&self) -> f64 {
        match self.last_pull {
            None => 0.0,
            Some(LastPull::Waiting) => self.target_ms(),
            Some(LastPull::Playing {
                at,
                unplayed,
                next_timestamp,
            }) => {
                let heard = after_ms(at, self.ms(unplayed));
                self.delay.of(self.media_ms(next_timestamp), heard)
            }
        }
    }

    fn delay_at(&self, now: Instant) -> f64 {
        match self.state {
            State::Waiting => self.target_ms(),
            State::Playing => self
                .delay
                .of(self.media_ms(self.next_timestamp), self.line_end(now)),
        }
    }

    /// When the sample after the line's end is heard.
    fn line_end(&self, now: Instant) -> Instant {
        after_ms(now, self.ms(self.line.unplayed()))
    }

    /// A packet came. Only sound teaches the delay: an event's timestamp is its beginning.
    pub(crate) fn insert(&mut self, head: Head, payload: &[u8], arrival: Instant) -> Inserted {
        let inserted = self.store.insert(head, payload);
        if matches!(head.kind, Kind::Sound(_))
            && matches!(inserted, Inserted::Stored | Inserted::Late)
        {
            self.delay.arrived(self.media_ms(head.timestamp), arrival);
        }
        inserted
    }

    /// The far end asks for comfort noise of this level (RMS of i16) while it is silent.
    pub(crate) fn comfort_noise(&mut self, level: f32) {
        self.noise.set_level(level);
    }

    /// A new source, or the same one with a new timeline: what waited is dropped, what was learnt
    /// about the network stays.
    pub(crate) fn restart(&mut self) {
        self.store.clear();
        self.delay.restart();
        self.underrun_before = None;
        self.wait();
    }

    /// As [`Playout::restart`], with another RTP clock.
    pub(crate) fn restart_at(&mut self, clock_hz: u32) {
        self.clock_hz = clock_hz;
        self.restart();
    }

    /// Nothing to play, nothing fading, nothing waiting.
    pub(crate) fn is_idle(&self) -> bool {
        self.state == State::Waiting
            && self.store.len() == 0
            && self.line.unplayed() == 0
            && !self.noise.is_on()
            && (!self.concealer.active() || self.concealer.silent())
    }

    /// Length of the last packet in ms.
    pub(crate) fn frame_ms(&self) -> f64 {
        self.frame_ms
    }

    /// Sound of the card was lost or repeated: the delay may jump to its target at once.
    pub(crate) fn realign(&mut self) {
        self.realign = true;
    }

    /// No one listens: lets packets go whose time has come, undecoded.
    pub(crate) fn drain(&mut self, now: Instant) {
        let target = self.target_ms();
        while let Some(head) = self.store.head() {
            if self.delay.of(self.media_ms(head.timestamp), now) < target {
                break;
            }
            self.store.pop();
        }
        if self.state == State::Playing {
            self.wait();
            self.line.clear();
        }
    }

    /// Goes back to waiting for a talkspurt; sound concealed during a pause does not count as loss.
    fn wait(&mut self) {
        self.state = State::Waiting;
        self.unaccounted = 0;
        self.slip.reset();
    }

    /// Fills `out` with the sound of `now`. `card_ppm`: how much slower than `now` the card
    /// plays.
    pub(crate) fn pull(
        &mut self,
        decoders: &mut [Decoder],
        out: &mut [i16],
        now: Instant,
        card_ppm: f64,
    ) {
        if self.realign {
            self.realign = false;
            if self.state == State::Playing {
                self.line.cut();
                self.wait();
            }
        }
        // Each turn either adds sound or lets a packet go; a bound all the same.
        for _ in 0..4 * crate::jitter::store::SLOTS {
            if self.line.unplayed() >= out.len() {
                break;
            }
            let missing = out.len() - self.line.unplayed();
            self.produce(decoders, missing, now, card_ppm);
        }
        self.last_pull = Some(match self.state {
            State::Waiting => LastPull::Waiting,
            State::Playing => LastPull::Playing {
                at: now,
                unplayed: self.line.unplayed(),
                next_timestamp: self.next_timestamp,
            },
        });
        self.line.read(out);
        if self.state == State::Playing {
            self.slack.watch(self.at_hand_ms(), now);
        }
    }

    fn produce(&mut self, decoders: &mut [Decoder], missing: usize, now: Instant, card_ppm: f64) {
        // Events and comfort noise take their turn without sound of their own.
        while let Some(head) = self.store.head() {
            if head.kind != Kind::Other {
                break;
            }
            if self.store.next().is_some_and(|next| head.sequence != next)
                && self.state == State::Playing
            {
                break;
            }
            self.store.pop();
            self.pausing = true;
        }
        match self.state {
            State::Waiting => self.begin_when_due(missing, now),
            State::Playing => self.go_on(decoders, missing, now, card_ppm),
        }
    }

    /// Silence until the first packet has waited for its target; more than one overdue: the old
    /// ones go.
    fn begin_when_due(&mut self, missing: usize, now: Instant) {
        let at = self.line_end(now);
        let target = self.target_ms();
        while let (Some(head), Some(second)) = (self.store.head(), self.store.second()) {
            let overdue = self.delay.of(self.media_ms(second.timestamp), at) >= target;
            if head.kind != Kind::Other && (!overdue || second.kind == Kind::Other) {
                break;
            }
            self.store.pop();
            self.counts.skipped += u64::from(head.kind != Kind::Other);
        }
        let Some(head) = self.store.head() else {
            self.fill_silence(missing);
            return;
        };
        let early = target - self.delay.of(self.media_ms(head.timestamp), at);
        let wait = if early > 0.0 {
            samples(early, self.line.rate())
        } else {
            0
        };
        if wait > 0 {
            self.fill_silence(wait.min(missing));
            return;
        }
        if let Some((concealed, skipped)) = self.underrun_before.take() {
            let gap = self.ticks_to_samples(head.timestamp - self.next_timestamp);
            let pause = self.counts.skipped == skipped && gap > concealed as i64 / 2;
            if !pause {
                self.unaccounted = concealed;
                self.account_late();
            }
        }
        self.state = State::Playing;
        self.next_timestamp = head.timestamp;
        self.unaccounted = 0;
        self.fade_in = true;
        self.slack.begin();
    }

    /// Silence, or the comfort noise asked for; a concealment under way fades out into it.
    fn fill_silence(&mut self, len: usize) {
        let out = self.line.extend(len);
        if self.concealer.active() && !self.concealer.silent() {
            self.concealer.generate(out);
        } else {
            self.noise.fill(out);
        }
    }

    fn go_on(&mut self, decoders: &mut [Decoder], missing: usize, now: Instant, card_ppm: f64) {
        let at = self.line_end(now);
        let Some(head) = self.store.head() else {
            self.underrun(decoders, missing);
            return;
        };
        let gap = self.ticks_to_samples(head.timestamp - self.next_timestamp);
        let lost = self.store.next().is_some_and(|next| head.sequence > next);
        let gap_ms = gap as f64 * 1000.0 / f64::from(self.line.rate());
        if gap_ms.abs() > 1000.0 || (!lost && gap_ms > PAUSE_MS) {
            // A pause of talk, or a new timeline: the next spurt may begin when it likes.
            self.pausing = true;
            self.enter_pause();
            return;
        }
        if lost && gap > self.unaccounted as i64 {
            self.bridge(decoders, head, gap as usize, missing, at);
            return;
        }
        if lost {
            self.account_loss(gap.max(0) as usize);
            self.next_timestamp = head.timestamp;
        }
        self.play(decoders, head, now, card_ppm);
    }

    fn enter_pause(&mut self) {
        if !self.concealer.active() {
            self.concealer.begin(self.line.past(), self.line.rate());
        }
        self.wait();
    }

    /// Decodes the head in turn.
    fn play(&mut self, decoders: &mut [Decoder], head: Head, now: Instant, card_ppm: f64) {
        let Kind::Sound(number) = head.kind else {
            self.store.pop();
            self.pausing = true;
            return;
        };
        let Some(decoder) = decoders.get_mut(usize::from(number)) else {
            self.store.pop();
            return;
        };
        // A packet that was waited for too long by far: let it go.
        if self.unaccounted > 0 {
            self.account_late();
            let at = self.line_end(now);
            let excess = self.delay.of(self.media_ms(head.timestamp), at) - self.target_ms();
            if excess > DROP_MS
                && let Some(second) = self.store.second()
            {
                self.store.pop();
                self.counts.skipped += 1;
                if second.sequence == head.sequence + 1 {
                    self.next_timestamp = second.timestamp;
                }
                self.unaccounted = 1;
                return;
            }
        }
        if number != self.decoder || decoder.rate_hz() != self.line.rate() {
            decoder.reset();
            self.decoder = number;
            self.line.change_rate(decoder.rate_hz());
            if self.concealer.active() {
                self.concealer.stop();
                self.fade_in = true;
            }
        }
        self.loss.saw_copy(decoder.has_fec(self.store.payload()));
        let lost = self.store.next().map_or(0, |next| head.sequence - next);
        let decoded = decoder.decode(self.store.payload(), &mut self.frame);
        self.store.pop();
        self.loss.packet(lost);
        let missing = u64::try_from(lost).unwrap_or(0);
        self.bursts.packet(missing, self.frame_ms);
        let Ok(n) = decoded else {
            // Undecodable is as good as lost: the next packet's timestamp shows the gap.
            let frame = samples(self.frame_ms, self.line.rate());
            let made = self.conceal(decoders, frame);
            self.next_timestamp = head.timestamp + self.samples_to_ticks(made);
            self.counts.concealed += 1;
            self.counts.concealed_ms += self.ms(made);
            return;
        };
        if self.listens {
            // As it was sent: not yet stretched, nor made up.
            let digit = self.digits.push(&self.frame[..n], self.line.rate());
            self.digit = digit.or(self.digit);
        }
        self.frame_ms = self.ms(n);
        self.next_timestamp = head.timestamp + self.samples_to_ticks(n);
        self.pausing = false;
        self.noise.set_level(0.0);
        self.played_first = true;
        if self.concealer.active() && !self.concealer.silent() {
            self.concealer.merge(&mut self.frame[..n]);
        } else if self.fade_in || self.concealer.active() {
            let fade = samples(FADE_IN_MS, self.line.rate()).min(n);
            for (i, y) in self.frame[..fade].iter_mut().enumerate() {
                *y = (i32::from(*y) * (i as i32 + 1) / (fade as i32 + 1)) as i16;
            }
            self.concealer.stop();
        }
        self.fade_in = false;
        if self.line.room() < n {
            self.line.cut();
        }
        self.line.append(&self.frame[..n]);
        self.adapt(n, now, card_ppm);
    }
}

#[cfg(test)]
mod tests;
