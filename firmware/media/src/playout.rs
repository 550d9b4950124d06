//! From waiting packets to an unbroken run of sound: decides each time what comes next, and keeps the delay at its target.
//!
//! ```text
//!           ┌─ in turn ────────▶ decode ─▶ merge ─┐
//! Store ────┼─ lost, next here ▶ FEC / conceal ───┼─▶ Line ─▶ stretch: delay towards target ─▶ read ─▶ ear
//!           ├─ nothing here ───▶ conceal, fade ───┤
//!           └─ pause of talk ──▶ silence, re-align┘
//! ```
//!
//! When nothing is there, concealment does not move the far clock on: a late packet is still played, the delay has grown by the wait,
//! and is worked off by stretching. Only when a later packet shows that one is lost, the made-up sound counts as its.

use crate::codec::Decoder;
use crate::codec::g722::QMF_DELAY;
use crate::conceal::Concealer;
use crate::drift::Slip;
use crate::jitter::Delay;
use crate::jitter::store::{Head, Inserted, Kind, Store};
use crate::stretch::{Line, rms, samples};

/// Delay may be off its target by this much before sound is stretched; within it, single samples slip. In ms.
const HIGH_MS: f64 = 6.0;
const LOW_MS: f64 = 3.0;
/// Off by less than this nothing is done at all: sound passes bit by bit. In ms.
const SLACK_MS: f64 = 1.0;
/// Slips made for each ms off target, in ppm, and their most. A tenth of a per cent is far below what an ear notices.
const SLIP_PPM_PER_MS: f64 = 250.0;
const SLIP_MOST_PPM: f64 = 1000.0;
/// Weight of one packet in the memory of loss: about five seconds of 20 ms packets.
const LOSS_MEMORY: f64 = 0.004;
/// Loss from which on it pays to wait for copies, and below which it does not any more.
const COPIES_ON: f64 = 0.012;
const COPIES_OFF: f64 = 0.005;
/// Least time between two stretches, in ms, unless the delay is far too long.
const STRETCH_EVERY_MS: f64 = 60.0;
/// Excess from here on is worked off as fast as it goes, in ms.
const FAR_MS: f64 = 40.0;
/// Excess beyond this after a stall is dropped, in ms: old talk is worth less than talk now.
const DROP_MS: f64 = 200.0;
/// How alike two pitch periods must be for one of them to go.
const ALIKE: f32 = 0.85;
const ALIKE_IF_FAR: f32 = 0.5;
/// A gap of the far clock without a lost packet, longer than this, is a pause of talk, in ms.
const PAUSE_MS: f64 = 2.0;
/// Nothing came for this long: the next packet begins a new spurt, in ms.
const DRY_MS: f64 = 400.0;
/// Below this level (RMS of i16) anything may be cut or repeated.
const QUIET: f32 = 60.0;
/// Most of made-up silence at once.
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

/// The player of one stream.
pub(crate) struct Playout {
    store: Store,
    delay: Delay,
    line: Line,
    concealer: Concealer,
    slip: Slip,
    state: State,
    /// RTP timestamp of the sample after the line's end.
    next_timestamp: i64,
    /// Decoder of the last sound.
    decoder: u8,
    clock_hz: u32,
    /// Samples made up that the far clock was not yet moved on for.
    unaccounted: usize,
    /// Samples made up before it was clear that nothing came, and packets skipped until then.
    dry: Option<(usize, u64)>,
    /// Samples of silence since sound stopped on purpose (event, comfort noise).
    pausing: bool,
    fade_in: bool,
    last_stretch_ms: f64,
    /// Least sound at hand after a read, over two half windows.
    spare: [f64; 2],
    spare_end: f64,
    frame: Box<[i16]>,
    frame_ms: f64,
    delay_ms: f64,
    /// Share of packets lost lately, and whether the last sound carried a copy of the one before it.
    loss: f64,
    copies: bool,
    waits_for_copies: bool,
    noise: f32,
    noise_seed: u32,
    counts: Counts,
    played_first: bool,
    realign: bool,
}

impl Playout {
    /// A player whose sound is at `rate_hz` first, at most at `highest_hz`, read once each `period_ms`.
    pub(crate) fn new(rate_hz: u32, highest_hz: u32, clock_hz: u32, period_ms: f64) -> Self {
        Self {
            store: Store::new(),
            delay: Delay::new(period_ms),
            line: Line::new(rate_hz, highest_hz),
            concealer: Concealer::new(highest_hz),
            slip: Slip::new(),
            state: State::Waiting,
            next_timestamp: 0,
            decoder: 0,
            clock_hz,
            unaccounted: 0,
            dry: None,
            pausing: false,
            fade_in: false,
            last_stretch_ms: f64::NEG_INFINITY,
            spare: [f64::INFINITY; 2],
            spare_end: f64::NEG_INFINITY,
            frame: vec![0; crate::codec::MAX_SAMPLES].into_boxed_slice(),
            frame_ms: 20.0,
            delay_ms: 0.0,
            loss: 0.0,
            copies: false,
            waits_for_copies: false,
            noise: 0.0,
            noise_seed: 0x2545_F491,
            counts: Counts::default(),
            played_first: false,
            realign: false,
        }
    }

    /// The delay to steer to. Where packets get lost and their successors carry copies of them (Opus FEC), it pays to wait for one.
    fn target_ms(&self) -> f64 {
        self.delay.target_ms() + if self.waits_for_copies { self.frame_ms } else { 0.0 }
    }

    /// `lost` packets did not come before one that did.
    fn learn_loss(&mut self, lost: i64) {
        for _ in 0..lost.clamp(0, 10) {
            self.loss += (1.0 - self.loss) * LOSS_MEMORY;
        }
        self.loss -= self.loss * LOSS_MEMORY;
        self.waits_for_copies = self.copies && self.loss > if self.waits_for_copies { COPIES_OFF } else { COPIES_ON };
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

    /// Whether any packet was played yet.
    pub(crate) fn played_first(&self) -> bool {
        self.played_first
    }

    /// What the arrivals told.
    pub(crate) fn delay(&self) -> &Delay {
        &self.delay
    }

    /// How late a packet with this timestamp would be if it came now: for judging whether it belongs to this timeline.
    pub(crate) fn lateness(&self, timestamp: i64, arrival_ms: f64) -> Option<f64> {
        self.delay.lateness(self.media_ms(timestamp), arrival_ms)
    }

    /// Playout delay of what was heard last, counted from the fastest packet's arrival, in ms.
    pub(crate) fn delay_ms(&self) -> f64 {
        self.delay_ms
    }

    fn delay_at(&self, now_ms: f64) -> f64 {
        match self.state {
            State::Waiting => self.target_ms(),
            State::Playing => self
                .delay
                .of(self.media_ms(self.next_timestamp), now_ms + self.ms(self.line.unplayed())),
        }
    }

    /// A packet came. Only sound teaches the delay: an event's timestamp is its beginning.
    pub(crate) fn insert(&mut self, head: Head, payload: &[u8], arrival_ms: f64) -> Inserted {
        let inserted = self.store.insert(head, payload);
        if matches!(head.kind, Kind::Sound(_)) && matches!(inserted, Inserted::Stored | Inserted::Late) {
            self.delay.arrived(self.media_ms(head.timestamp), arrival_ms);
        }
        inserted
    }

    /// The far end asks for comfort noise of this level (RMS of i16) while it is silent.
    pub(crate) fn comfort_noise(&mut self, level: f32) {
        self.noise = level;
    }

    /// A new source, or the same one with a new timeline: what waited is dropped, what was learnt about the network stays.
    pub(crate) fn restart(&mut self) {
        self.store.clear();
        self.delay.restart();
        self.dry = None;
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
            && self.noise <= 0.0
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

    /// Nobody listens: lets packets go whose time has come, undecoded.
    pub(crate) fn drain(&mut self, now_ms: f64) {
        let target = self.target_ms();
        while let Some(head) = self.store.head() {
            if self.delay.of(self.media_ms(head.timestamp), now_ms) < target {
                break;
            }
            self.store.pop();
        }
        if self.state == State::Playing {
            self.wait();
            self.line.clear();
        }
    }

    /// Goes back to waiting for a spurt; sound made up for a pause counts for nothing.
    fn wait(&mut self) {
        self.state = State::Waiting;
        self.unaccounted = 0;
        self.slip.reset();
    }

    /// Fills `out` with the sound of `now_ms`. `card_ppm`: how much slower than `now` the card plays.
    pub(crate) fn pull(&mut self, decoders: &mut [Decoder], out: &mut [i16], now_ms: f64, card_ppm: f64) {
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
            self.produce(decoders, missing, now_ms, card_ppm);
        }
        self.delay_ms = self.delay_at(now_ms);
        self.line.read(out);
        self.watch_spare(now_ms);
    }

    /// How long sound would last if no further packet came, and the least of it lately: what the delay could do without.
    fn watch_spare(&mut self, now_ms: f64) {
        if self.state == State::Waiting {
            return;
        }
        let spare = self.at_hand_ms();
        if now_ms >= self.spare_end {
            self.spare = [self.spare[1], f64::INFINITY];
            self.spare_end = now_ms + 250.0;
        }
        self.spare[1] = self.spare[1].min(spare);
    }

    fn at_hand_ms(&self) -> f64 {
        let waiting = self
            .store
            .last()
            .map_or(0.0, |last| self.media_ms(last.timestamp - self.next_timestamp) + self.frame_ms);
        self.ms(self.line.unplayed()) + waiting.max(0.0)
    }

    fn produce(&mut self, decoders: &mut [Decoder], missing: usize, now_ms: f64, card_ppm: f64) {
        // Events and comfort noise take their turn without sound of their own.
        while let Some(head) = self.store.head() {
            if head.kind != Kind::Other {
                break;
            }
            if self.store.next().is_some_and(|next| head.sequence != next) && self.state == State::Playing {
                break;
            }
            self.store.pop();
            self.pausing = true;
        }
        match self.state {
            State::Waiting => self.begin_when_due(missing, now_ms),
            State::Playing => self.go_on(decoders, missing, now_ms, card_ppm),
        }
    }

    /// Silence until the first packet has waited for its target; more than one overdue: the old ones go.
    fn begin_when_due(&mut self, missing: usize, now_ms: f64) {
        let at_ms = now_ms + self.ms(self.line.unplayed());
        let target = self.target_ms();
        while let (Some(head), Some(second)) = (self.store.head(), self.store.second()) {
            let overdue = self.delay.of(self.media_ms(second.timestamp), at_ms) >= target;
            if head.kind != Kind::Other && (!overdue || second.kind == Kind::Other) {
                break;
            }
            self.store.pop();
            self.counts.skipped += u64::from(head.kind != Kind::Other);
        }
        let Some(head) = self.store.head() else {
            self.hush(missing);
            return;
        };
        let early = target - self.delay.of(self.media_ms(head.timestamp), at_ms);
        let wait = if early > 0.0 { samples(early, self.line.rate()) } else { 0 };
        if wait > 0 {
            self.hush(wait.min(missing));
            return;
        }
        if let Some((made_up, skipped)) = self.dry.take() {
            let gap = self.ticks_to_samples(head.timestamp - self.next_timestamp);
            let pause = self.counts.skipped == skipped && gap > made_up as i64 / 2;
            if !pause {
                self.unaccounted = made_up;
                self.account_late();
            }
        }
        self.state = State::Playing;
        self.next_timestamp = head.timestamp;
        self.unaccounted = 0;
        self.fade_in = true;
        self.spare = [f64::INFINITY; 2];
    }

    /// Silence, or the comfort noise asked for; a concealment under way fades out into it.
    fn hush(&mut self, len: usize) {
        let noise = self.noise;
        let mut seed = self.noise_seed;
        let out = self.line.extend(len);
        out.fill(0);
        if self.concealer.active() && !self.concealer.silent() {
            self.concealer.generate(out);
        } else if noise > 0.0 {
            // Uniform noise of RMS r spans ±r·√3.
            let span = noise * 1.732;
            for y in out.iter_mut() {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *y = ((seed >> 16) as f32 / 32_768.0 - 1.0).mul_add(span, 0.0) as i16;
            }
        }
        self.noise_seed = seed;
    }

    fn go_on(&mut self, decoders: &mut [Decoder], missing: usize, now_ms: f64, card_ppm: f64) {
        let at_ms = now_ms + self.ms(self.line.unplayed());
        let Some(head) = self.store.head() else {
            self.run_dry(decoders, missing);
            return;
        };
        let gap = self.ticks_to_samples(head.timestamp - self.next_timestamp);
        let lost = self.store.next().is_some_and(|next| head.sequence > next);
        let gap_ms = gap as f64 * 1000.0 / f64::from(self.line.rate());
        if gap_ms.abs() > 1000.0 || (!lost && gap_ms > PAUSE_MS) {
            // A pause of talk, or a new timeline: the next spurt may begin when it likes.
            self.pausing = true;
            self.enter_pause(decoders);
            return;
        }
        if lost && gap > self.unaccounted as i64 {
            self.bridge(decoders, head, gap as usize, missing, at_ms);
            return;
        }
        if lost {
            self.account_loss(gap.max(0) as usize);
            self.next_timestamp = head.timestamp;
        }
        self.play(decoders, head, now_ms, card_ppm);
    }

    fn enter_pause(&mut self, decoders: &mut [Decoder]) {
        if !self.concealer.active() {
            self.start_concealing(decoders);
        }
        self.wait();
    }

    fn start_concealing(&mut self, _decoders: &mut [Decoder]) {
        let rate = self.line.rate();
        self.concealer.begin(self.line.past(), rate);
    }

    /// Makes up sound without moving the far clock.
    fn make_up(&mut self, decoders: &mut [Decoder], len: usize) -> usize {
        let rate = self.line.rate();
        let own = decoders
            .get_mut(usize::from(self.decoder))
            .filter(|d| matches!(d, Decoder::Opus(_)));
        if let Some(decoder) = own {
            // Opus conceals in steps of 2.5 ms; 10 ms at a time keeps its pitch model steady.
            let step = rate as usize / 100;
            let len = len.div_ceil(step) * step;
            let len = len.min(self.frame.len() / step * step).min(step * 4);
            if decoder.conceal(&mut self.frame[..len]) {
                self.line.append(&self.frame[..len]);
                return len;
            }
        }
        if !self.concealer.active() {
            self.concealer.begin(self.line.past(), rate);
        }
        let out = self.line.extend(len);
        let len = out.len();
        self.concealer.generate(out);
        if let Some(decoder) = decoders.get_mut(usize::from(self.decoder)) {
            let mut ahead = [0; QMF_DELAY];
            self.concealer.peek(&mut ahead);
            decoder.follow_concealment(out, &ahead);
        }
        len
    }

    /// Nothing waits.
    fn run_dry(&mut self, decoders: &mut [Decoder], missing: usize) {
        if self.pausing {
            self.enter_pause(decoders);
            return;
        }
        self.unaccounted += self.make_up(decoders, missing);
        if self.ms(self.unaccounted) > DRY_MS {
            // Whether this was a pause of talk or the network's doing, the next packet will tell.
            self.dry = Some((self.unaccounted, self.counts.skipped));
            self.wait();
        }
    }

    /// Sound of `gap` samples is lost, and what comes after it is here.
    fn bridge(&mut self, decoders: &mut [Decoder], head: Head, gap: usize, missing: usize, at_ms: f64) {
        let left = gap - self.unaccounted;
        if self.unaccounted == 0 {
            // The packet before `head` may be inside it: conceal up to it, then rebuild it.
            let frame = samples(self.frame_ms, self.line.rate());
            let has_copy = match (head.kind, decoders.get(usize::from(self.decoder))) {
                (Kind::Sound(n), Some(decoder)) => n == self.decoder && decoder.has_fec(self.store.payload()),
                _ => false,
            };
            if has_copy && frame > 0 && left == frame && frame <= self.frame.len() {
                let payload = self.store.payload();
                if let Some(decoder) = decoders.get_mut(usize::from(self.decoder))
                    && decoder.decode_fec(payload, &mut self.frame[..frame])
                {
                    self.line.append(&self.frame[..frame]);
                    self.counts.recovered += 1;
                    self.next_timestamp = head.timestamp;
                    return;
                }
            }
            if has_copy && left > frame && frame > 0 {
                // Conceal whole lost packets before the one that can be rebuilt.
                let made = self.make_up(decoders, (left - frame).min(missing.max(1)));
                self.next_timestamp += self.samples_to_ticks(made.min(left));
                self.counts.concealed_ms += self.ms(made);
                return;
            }
        }
        // Too much delay is best worked off where sound is made up anyway.
        let excess = self.delay.of(self.media_ms(head.timestamp), at_ms + self.ms(left)) - self.target_ms();
        if excess > LOW_MS {
            let shorter = samples(excess, self.line.rate()).min(left);
            self.next_timestamp += self.samples_to_ticks(shorter);
            if shorter == left {
                self.account_loss(gap);
                self.next_timestamp = head.timestamp;
                return;
            }
        }
        let left = (self.ticks_to_samples(head.timestamp - self.next_timestamp) as usize)
            .saturating_sub(self.unaccounted)
            .max(1);
        self.unaccounted += self.make_up(decoders, left.min(missing));
    }

    /// Made-up sound of `gap` samples stood for lost packets; what is more is delay.
    fn account_loss(&mut self, gap: usize) {
        let frame = samples(self.frame_ms, self.line.rate()).max(1);
        self.counts.concealed_ms += self.ms(self.unaccounted);
        self.counts.concealed += (gap.max(1)).div_ceil(frame) as u64;
        self.unaccounted = 0;
    }

    /// Made-up sound stood for a packet that came after all.
    fn account_late(&mut self) {
        if self.unaccounted > 0 {
            let frame = samples(self.frame_ms, self.line.rate()).max(1);
            self.counts.concealed_ms += self.ms(self.unaccounted);
            self.counts.concealed += self.unaccounted.div_ceil(frame) as u64;
            self.unaccounted = 0;
        }
    }

    /// Decodes the head in turn.
    fn play(&mut self, decoders: &mut [Decoder], head: Head, now_ms: f64, card_ppm: f64) {
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
            let at_ms = now_ms + self.ms(self.line.unplayed());
            let excess = self.delay.of(self.media_ms(head.timestamp), at_ms) - self.target_ms();
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
        self.copies = decoder.has_fec(self.store.payload()) || (self.copies && self.waits_for_copies);
        let lost = self.store.next().map_or(0, |next| head.sequence - next);
        let decoded = decoder.decode(self.store.payload(), &mut self.frame);
        self.store.pop();
        self.learn_loss(lost);
        let Ok(n) = decoded else {
            // Undecodable is as good as lost: the next packet's timestamp shows the gap.
            let frame = samples(self.frame_ms, self.line.rate());
            let made = self.make_up(decoders, frame);
            self.next_timestamp = head.timestamp + self.samples_to_ticks(made);
            self.counts.concealed += 1;
            self.counts.concealed_ms += self.ms(made);
            return;
        };
        self.frame_ms = self.ms(n);
        self.next_timestamp = head.timestamp + self.samples_to_ticks(n);
        self.pausing = false;
        self.noise = 0.0;
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
        self.adapt(n, now_ms, card_ppm);
    }

    /// Brings the delay towards its target within the `n` samples just appended.
    fn adapt(&mut self, n: usize, now_ms: f64, card_ppm: f64) {
        let rate = self.line.rate();
        let excess = self.delay_at(now_ms) - self.target_ms();
        // Steady drift and small errors: slips of one sample.
        let off = excess - excess.clamp(-SLACK_MS, SLACK_MS);
        let ppm = card_ppm - self.delay.ppm() + (off * SLIP_PPM_PER_MS).clamp(-SLIP_MOST_PPM, SLIP_MOST_PPM);
        let owed = self.slip.owe(n, ppm);
        if owed != 0 && self.line.slip(&self.slip, n.min(self.line.unplayed()), owed) {
            self.slip.paid(owed);
        }
        let tail = self.line.unplayed().min(n + samples(20.0, rate));
        let fade = samples(2.5, rate);
        if excess > HIGH_MS {
            let far = excess > FAR_MS;
            let at_hand = self.at_hand_ms();
            let spare = if at_hand > self.target_ms() + self.frame_ms + 10.0 {
                at_hand - self.target_ms()
            } else {
                self.spare[0].min(self.spare[1]).min(at_hand)
            };
            let most = samples(excess.min(spare).max(0.0), rate);
            if most == 0 {
                return;
            }
            if rms(&self.line.past()[self.line.past().len() - tail..]) < QUIET && tail > fade {
                let count = most.min(tail - fade);
                if self.line.remove(tail, count, fade) {
                    self.counts.shortened += 1;
                }
                return;
            }
            if !far && now_ms - self.last_stretch_ms < STRETCH_EVERY_MS {
                return;
            }
            let lookahead = tail / 2;
            if let Some(p) = self.line.pitch_at(lookahead) {
                // The period found lies before the place; the sound from there on is one period further.
                let at = lookahead + p.lag;
                let alike = p.correlation >= if far { ALIKE_IF_FAR } else { ALIKE };
                if alike
                    && p.lag <= most.max(samples(HIGH_MS, rate))
                    && p.lag <= lookahead
                    && at <= tail
                    && self.line.remove(at, p.lag, p.lag)
                {
                    self.last_stretch_ms = now_ms;
                    self.counts.shortened += 1;
                }
            }
        } else if excess < -LOW_MS {
            let least = samples(-excess, rate);
            if rms(&self.line.past()[self.line.past().len() - tail..]) < QUIET {
                let count = least.min(tail).max(fade);
                if self.line.insert(tail, count, fade.min(count)) {
                    self.counts.lengthened += 1;
                }
                return;
            }
            if now_ms - self.last_stretch_ms < STRETCH_EVERY_MS / 2.0 {
                return;
            }
            if let Some(p) = self.line.pitch_at(tail)
                && p.correlation >= ALIKE_IF_FAR
                && p.lag <= tail
                && p.lag <= least + samples(HIGH_MS, rate)
                && self.line.insert(tail, p.lag, p.lag)
            {
                self.last_stretch_ms = now_ms;
                self.counts.lengthened += 1;
            }
        }
    }
}

#[cfg(test)]
mod rig;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod traces;
