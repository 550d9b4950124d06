//! Asynchronous sample rate conversion: sound between the engine, which one card paces, and a
//! further card with a rate, a period and a clock of its own.
//!
//! ```text
//! card's period ─▶ Push (nominal rates) ─▶ Elastic ─▶ engine's period                       CaptureAsrc
//! engine's period ─▶ Elastic ─▶ Pull (nominal rates) ─▶ card's period                       PlaybackAsrc
//!                       └─ fill, against what it should be ─▶ ClockLock (PI) ─▶ ppm ─▶ step between two samples
//! ```
//!
//! No sample is dropped or repeated while both clocks run: the step by which the elastic buffer is
//! read follows its fill. Nothing allocates after `new`.

use crate::interpolate::{Interpolator, TAPS};
use crate::resample::{Pull, Push, ResampleError};

/// Sound kept besides a period of either side, in ms: a wake-up that is late.
const SPARE_MS: f64 = 5.0;
/// Sound beyond what is to be kept that is no drift but a stall: it is left out, in ms.
const STALL_MS: f64 = 25.0;

/// Holds the fill of a buffer, and so two clocks together.
#[derive(Debug, Clone)]
struct ClockLock {
    /// Surplus in ms, smoothed.
    surplus_ms: f64,
    integral_ppm: f64,
    ppm: f64,
    /// How long it has followed the clock.
    age_ms: f64,
}

impl ClockLock {
    /// Smoothing of the surplus: periods come and go in lumps.
    const SMOOTH_MS: f64 = 3000.0;
    /// ppm for each ms of surplus, at first and once the clock is known: what comes in lumps must
    /// not move the pitch, nor the way of an echo. The integral part makes it critically damped.
    const QUICK: f64 = 60.0;
    const SLOW: f64 = 15.0;
    /// So long it is quick; then it gets slower as time passes.
    const QUICK_MS: f64 = 60_000.0;
    /// Two clocks of 500 ppm each, and as much again to catch up with. 2000 ppm are 3.5 cents,
    /// which no one hears.
    const MAX_PPM: f64 = 2000.0;

    fn new() -> Self {
        Self {
            surplus_ms: 0.0,
            integral_ppm: 0.0,
            ppm: 0.0,
            age_ms: 0.0,
        }
    }

    fn observe(&mut self, surplus_ms: f64, elapsed_ms: f64) {
        let step = (elapsed_ms / Self::SMOOTH_MS).min(1.0);
        self.surplus_ms += (surplus_ms - self.surplus_ms) * step;
        let limit = |ppm: f64| ppm.clamp(-Self::MAX_PPM, Self::MAX_PPM);
        self.age_ms += elapsed_ms;
        let slower = (Self::QUICK_MS / self.age_ms).min(1.0);
        let proportional = (Self::QUICK * slower).max(Self::SLOW);
        let integral = proportional * proportional / 4000.0;
        let added = integral * self.surplus_ms * elapsed_ms / 1000.0;
        self.integral_ppm = limit(self.integral_ppm + added);
        self.ppm = limit(self.integral_ppm + proportional * self.surplus_ms);
    }

    /// The buffer begins again; the clocks stay as far apart as they are.
    fn restart(&mut self) {
        self.surplus_ms = 0.0;
        self.ppm = self.integral_ppm;
    }
}

/// A buffer at the engine's rate that one clock fills and another empties.
struct Elastic {
    samples: Box<[i16]>,
    filled: usize,
    /// Where the next sample lies after `samples[BEFORE]`, in samples.
    position: f64,
    between: Interpolator,
    clock: ClockLock,
    /// Samples to be kept, and for one millisecond.
    target: f64,
    per_ms: f64,
    /// It was full enough to begin, and has not run dry since.
    runs: bool,
    dry: u64,
}

impl Elastic {
    /// `periods_ms`: of both sides.
    fn new(rate_hz: u32, periods_ms: [f64; 2]) -> Self {
        let per_ms = f64::from(rate_hz) / 1000.0;
        let [a, b] = periods_ms;
        let target_ms = a + b + SPARE_MS;
        let room_ms = target_ms + STALL_MS + 8.0 * a.max(b);
        Self {
            samples: vec![0; (room_ms * per_ms) as usize + 2 * TAPS].into(),
            filled: 0,
            position: 0.0,
            between: Interpolator::new(),
            clock: ClockLock::new(),
            target: target_ms * per_ms,
            per_ms,
            runs: false,
            dry: 0,
        }
    }

    /// Forgets all sound.
    fn reset(&mut self) {
        (self.filled, self.position, self.runs) = (0, 0.0, false);
        self.clock.restart();
    }

    /// Samples that can be taken out.
    fn fill(&self) -> f64 {
        self.filled as f64 - (TAPS - 1) as f64 - self.position
    }

    fn is_ready(&self) -> bool {
        self.runs || self.fill() >= self.target
    }

    fn push(&mut self, sound: &[i16]) {
        let sound = &sound[sound.len().saturating_sub(self.samples.len())..];
        let over = (self.filled + sound.len()).saturating_sub(self.samples.len());
        self.drop_oldest(over);
        self.samples[self.filled..self.filled + sound.len()].copy_from_slice(sound);
        self.filled += sound.len();
    }

    fn push_silence(&mut self, samples: usize) {
        let end = (self.filled + samples).min(self.samples.len());
        self.samples[self.filled..end].fill(0);
        self.filled = end;
    }

    fn drop_oldest(&mut self, samples: usize) {
        let gone = samples.min(self.filled);
        self.samples.copy_within(gone..self.filled, 0);
        self.filled -= gone;
    }

    /// Fills `out`; `false`: silence, it is not full enough to begin, or ran dry.
    fn pull(&mut self, out: &mut [i16]) -> bool {
        let step = 1.0 + self.clock.ppm * 1e-6;
        let last = self.position + step * out.len() as f64;
        if !self.is_ready() || last as usize + TAPS > self.filled {
            if self.runs {
                self.dry += 1;
                self.runs = false;
                self.clock.restart();
                // It was not known well enough.
                self.clock.age_ms = 0.0;
            }
            out.fill(0);
            return false;
        }
        self.runs = true;
        for (n, sample) in out.iter_mut().enumerate() {
            let at = self.position + step * n as f64;
            let whole = at as usize;
            *sample = self
                .between
                .value(&self.samples[whole..whole + TAPS], at - whole as f64);
        }
        self.drop_oldest(last as usize);
        self.position = last - (last as usize) as f64;
        true
    }

    /// So much time passed; both sides have done what they had to.
    fn observe(&mut self, elapsed_ms: f64) {
        if !self.runs {
            return;
        }
        let surplus = self.fill() - self.target;
        if surplus > STALL_MS * self.per_ms {
            self.drop_oldest(surplus as usize);
            self.clock.restart();
            return;
        }
        self.clock.observe(surplus / self.per_ms, elapsed_ms);
    }
}

/// Rate and period of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CardFormat {
    /// Frames a second.
    pub rate_hz: u32,
    /// Frames in one period.
    pub period_frames: usize,
}

impl CardFormat {
    fn period_ms(self) -> f64 {
        self.period_frames as f64 * 1000.0 / f64::from(self.rate_hz.max(1))
    }
}

/// From a further card's microphone to the engine.
pub struct CaptureAsrc {
    convert: Push,
    converted: Box<[i16]>,
    elastic: Elastic,
    period_ms: f64,
}

impl CaptureAsrc {
    /// # Errors
    /// [`ResampleError`] on rates outside 8 to 192 kHz.
    pub fn new(card: CardFormat, engine: CardFormat) -> Result<Self, ResampleError> {
        let convert = Push::new(card.rate_hz, engine.rate_hz, card.period_frames)?;
        Ok(Self {
            converted: vec![0; convert.output_max(card.period_frames) + 8].into(),
            convert,
            elastic: Elastic::new(engine.rate_hz, [card.period_ms(), engine.period_ms()]),
            period_ms: engine.period_ms(),
        })
    }

    /// The card was stopped, or lost sound.
    pub fn reset(&mut self) {
        self.elastic.reset();
    }

    /// The card captured a period.
    pub fn push(&mut self, sound: &[i16]) {
        let made = self.convert.process(sound, &mut self.converted);
        self.elastic.push(&self.converted[..made]);
    }

    /// A period for the engine. `false`: silence, there is no sound yet or no more.
    pub fn pull(&mut self, out: &mut [i16]) -> bool {
        self.elastic.pull(out)
    }

    /// So many periods of the engine are over, and the card was looked at: follows its clock.
    pub fn observe(&mut self, periods: u32) {
        self.elastic.observe(f64::from(periods) * self.period_ms);
    }

    /// How much faster the card runs than the engine, in ppm, as far as is known.
    pub fn drift_ppm(&self) -> f64 {
        self.elastic.clock.integral_ppm
    }

    /// How often it ran dry.
    pub fn dry(&self) -> u64 {
        self.elastic.dry
    }
}

/// From the engine to a further card's loudspeaker.
pub struct PlaybackAsrc {
    convert: Pull,
    work: Box<[i16]>,
    elastic: Elastic,
    period_ms: f64,
    target_ms: f64,
}

impl PlaybackAsrc {
    /// # Errors
    /// [`ResampleError`] on rates outside 8 to 192 kHz.
    pub fn new(card: CardFormat, engine: CardFormat) -> Result<Self, ResampleError> {
        let convert = Pull::new(engine.rate_hz, card.rate_hz, card.period_frames)?;
        let elastic = Elastic::new(engine.rate_hz, [card.period_ms(), engine.period_ms()]);
        let mut asrc = Self {
            work: vec![0; convert.needed_max(card.period_frames) + 8].into(),
            convert,
            target_ms: elastic.target / elastic.per_ms,
            elastic,
            period_ms: engine.period_ms(),
        };
        asrc.reset();
        Ok(asrc)
    }

    /// Sound kept here, in ms: so much later it is with the card.
    pub fn delay_ms(&self) -> f64 {
        self.target_ms
    }

    /// The card was stopped: what waits is not played any more.
    pub fn reset(&mut self) {
        self.elastic.reset();
        self.elastic
            .push_silence(self.elastic.target.ceil() as usize + TAPS);
    }

    /// A period of the engine.
    pub fn push(&mut self, sound: &[i16]) {
        self.elastic.push(sound);
    }

    /// A period for the card.
    pub fn pull(&mut self, out: &mut [i16]) {
        let needed = self.convert.needed(out.len()).min(self.work.len());
        let work = &mut self.work[..needed];
        self.elastic.pull(work);
        self.convert.process(work, out);
    }

    /// As [`CaptureAsrc::observe`].
    pub fn observe(&mut self, periods: u32) {
        self.elastic.observe(f64::from(periods) * self.period_ms);
    }

    /// As [`CaptureAsrc::drift_ppm`], of the loudspeaker's clock: positive where the engine runs
    /// faster.
    pub fn drift_ppm(&self) -> f64 {
        self.elastic.clock.integral_ppm
    }

    /// How often it ran dry.
    pub fn dry(&self) -> u64 {
        self.elastic.dry
    }
}

#[cfg(test)]
mod tests;
