//! Tones: what a cadence is made of. Plain copyable data, so that it travels through a lock-free
//! queue.

/// Most frequencies in one segment.
pub const MAX_FREQUENCIES: usize = 4;
/// Most segments in one cadence (the Swedish special information tone has 30).
pub const MAX_SEGMENTS: usize = 32;

/// How the frequencies of a segment sound together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mix {
    /// All at once, each at the same level; together at the tone's level.
    #[default]
    Sum,
    /// The first, amplitude-modulated (90 %) by the second.
    AmplitudeModulated,
}

/// One step of a cadence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ToneSegment {
    /// Frequencies in Hz; zeros are unused, all zero is silence.
    pub frequencies_hz: [u16; MAX_FREQUENCIES],
    /// How they sound together.
    pub mix: Mix,
    /// Length in ms; 0 lasts until the tone is stopped.
    pub length_ms: u16,
    /// `false`: a lead-in, played once.
    pub repeat: bool,
}

/// A whole tone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ToneSpec {
    /// The steps; only the first `len` count.
    pub segments: [ToneSegment; MAX_SEGMENTS],
    /// How many steps.
    pub len: u8,
    /// Level in dBm0 (a full-scale sine is +3.14 dBm0, ITU-T G.711).
    pub level_dbm0: f32,
}

/// Rise and fall at the edges of a segment, counted inside its length: long enough not to click.
const RAMP_MS: u32 = 5;
/// Depth of amplitude modulation.
const DEPTH: f32 = 0.9;

/// One rotating phasor: a sine without a sine a sample.
#[derive(Debug, Clone, Copy)]
struct Oscillator {
    hz: u16,
    x: f64,
    y: f64,
    step_x: f64,
    step_y: f64,
}

impl Oscillator {
    const SILENT: Self = Self {
        hz: 0,
        x: 1.0,
        y: 0.0,
        step_x: 1.0,
        step_y: 0.0,
    };

    /// Keeps the phase, changes the speed.
    fn set_frequency(&mut self, hz: u16, rate_hz: u32) {
        if self.hz != hz {
            let angle = std::f64::consts::TAU * f64::from(hz) / f64::from(rate_hz);
            (self.step_y, self.step_x) = angle.sin_cos();
            self.hz = hz;
        }
        // Rounding moves the length by 1e-16 a sample; put it right at each segment.
        let length = self.x.hypot(self.y);
        self.x /= length;
        self.y /= length;
    }

    fn next(&mut self) -> f32 {
        let value = self.y;
        (self.x, self.y) = (
            self.x * self.step_x - self.y * self.step_y,
            self.x * self.step_y + self.y * self.step_x,
        );
        value as f32
    }
}

/// Renders tones. One per voice; allocates nothing, ever.
///
/// ```text
/// ToneSpec ─▶ cadence (segment, samples left) ─▶ oscillators ─▶ sum or AM ─▶ 5 ms ramps ─▶ samples
/// ```
#[derive(Debug, Clone)]
pub struct ToneGenerator {
    rate_hz: u32,
    ramp: u32,
    spec: Option<ToneSpec>,
    /// What follows once the present tone has faded.
    pending: Option<ToneSpec>,
    segment: usize,
    /// The segment itself, at hand for every sample.
    sound: ToneSegment,
    silent: bool,
    /// Samples of this segment rendered, and its length (`None`: endless).
    position: u64,
    length: Option<u64>,
    /// Thousandths of a sample left over from the last segment: keeps long cadences exact at 44.1
    /// kHz.
    remainder: u64,
    /// Whether the ramps at this segment's edges are needed: not between two equal segments.
    ramp_in: bool,
    ramp_out: bool,
    /// Samples left of the fade after a stop, counting down from `ramp`.
    fade: Option<u32>,
    gain: f32,
    oscillators: [Oscillator; MAX_FREQUENCIES],
}

impl ToneGenerator {
    /// A silent generator for a card of `rate_hz`.
    pub fn new(rate_hz: u32) -> Self {
        let rate_hz = rate_hz.max(1000);
        Self {
            rate_hz,
            ramp: rate_hz * RAMP_MS / 1000,
            spec: None,
            pending: None,
            segment: 0,
            sound: ToneSegment::default(),
            silent: true,
            position: 0,
            length: None,
            remainder: 0,
            ramp_in: true,
            ramp_out: true,
            fade: None,
            gain: 0.0,
            oscillators: [Oscillator::SILENT; MAX_FREQUENCIES],
        }
    }

    /// Plays a tone from its beginning. A tone that sounds now fades first, in 5 ms.
    pub fn start(&mut self, spec: ToneSpec) {
        if self.is_sounding() {
            self.pending = Some(spec);
            self.fade.get_or_insert(self.ramp);
        } else {
            self.begin(&spec);
        }
    }

    /// Ends the tone, fading in 5 ms.
    pub fn stop(&mut self) {
        self.pending = None;
        if self.is_sounding() {
            self.fade.get_or_insert(self.ramp);
        } else {
            self.spec = None;
        }
    }

    /// Whether a tone plays (its pauses included) or fades.
    pub fn is_active(&self) -> bool {
        self.spec.is_some()
    }

    /// Fills `out` with the tone, or silence.
    pub fn render(&mut self, out: &mut [i16]) {
        for sample in out {
            *sample = self.next_sample() as i16;
        }
    }

    /// Adds the tone to `out`, saturating.
    pub fn mix(&mut self, out: &mut [i16]) {
        if !self.is_active() {
            return;
        }
        for sample in out {
            *sample = sample.saturating_add(self.next_sample() as i16);
        }
    }

    fn is_sounding(&self) -> bool {
        self.spec.is_some() && !self.silent && self.position > 0
    }

    fn begin(&mut self, spec: &ToneSpec) {
        self.spec = None;
        self.pending = None;
        self.fade = None;
        self.remainder = 0;
        self.oscillators = [Oscillator::SILENT; MAX_FREQUENCIES];
        if spec.len > 0 && usize::from(spec.len) <= MAX_SEGMENTS {
            self.spec = Some(*spec);
            self.enter(spec, 0, None);
        }
    }

    /// Goes to a segment, coming from another.
    fn enter(&mut self, spec: &ToneSpec, index: usize, from: Option<usize>) {
        let segment = spec.segments[index];
        self.segment = index;
        self.sound = segment;
        self.silent = is_silent(&segment);
        self.position = 0;
        self.length = (segment.length_ms != 0).then(|| {
            let due = u64::from(segment.length_ms) * u64::from(self.rate_hz) + self.remainder;
            self.remainder = due % 1000;
            due / 1000
        });
        self.ramp_in = from.is_none_or(|from| !same_sound(&spec.segments[from], &segment));
        self.ramp_out =
            following(spec, index).is_none_or(|next| !same_sound(&spec.segments[next], &segment));
        self.gain = gain(&segment, spec.level_dbm0);
        for (oscillator, &hz) in self.oscillators.iter_mut().zip(&segment.frequencies_hz) {
            if hz != 0 {
                oscillator.set_frequency(hz, self.rate_hz);
            }
        }
    }

    fn next_sample(&mut self) -> f32 {
        if self.spec.is_none() || !self.advance_segment() {
            return 0.0;
        }
        let mut value = if self.silent {
            0.0
        } else {
            self.sound() * self.edge()
        };
        self.position += 1;
        if let Some(left) = self.fade {
            value *= raised_cosine(left, self.ramp);
            if left == 0 {
                self.end();
            } else {
                self.fade = Some(left - 1);
            }
        }
        value.round()
    }

    /// Goes to the next segment when this one is over. `false`: the tone is.
    fn advance_segment(&mut self) -> bool {
        if self.length.is_none_or(|length| self.position < length) {
            return true;
        }
        let Some(spec) = self.spec else { return false };
        let next = following(&spec, self.segment);
        // Silence for ever is an end.
        let next = next
            .filter(|&next| spec.segments[next].length_ms != 0 || !is_silent(&spec.segments[next]));
        match next {
            Some(next) => self.enter(&spec, next, Some(self.segment)),
            None => self.end(),
        }
        next.is_some()
    }

    /// This tone is over; one that waits for it begins.
    fn end(&mut self) {
        self.spec = None;
        self.fade = None;
        if let Some(pending) = self.pending.take() {
            self.begin(&pending);
        }
    }

    fn sound(&mut self) -> f32 {
        let mut voices = self
            .oscillators
            .iter_mut()
            .zip(self.sound.frequencies_hz)
            .filter(|(_, hz)| *hz != 0);
        let sum = match self.sound.mix {
            Mix::Sum => voices.map(|(oscillator, _)| oscillator.next()).sum::<f32>(),
            Mix::AmplitudeModulated => {
                let carrier = voices
                    .next()
                    .map_or(0.0, |(oscillator, _)| oscillator.next());
                let modulator = voices
                    .next()
                    .map_or(0.0, |(oscillator, _)| oscillator.next());
                carrier * (1.0 + DEPTH * modulator)
            }
        };
        sum * self.gain
    }

    /// The ramp at this place of the segment, 0 to 1.
    fn edge(&self) -> f32 {
        let ramp = u64::from(self.ramp).min(self.length.map_or(u64::MAX, |length| length / 2));
        let mut value = 1.0;
        if self.ramp_in && self.position < ramp {
            value *= raised_cosine(self.position as u32, ramp as u32);
        }
        if let Some(length) = self.length {
            let left = length - self.position;
            if self.ramp_out && left <= ramp {
                value *= raised_cosine(left as u32 - 1, ramp as u32);
            }
        }
        value
    }
}

/// 0 at 0, 1 at `full`, smooth at both ends.
fn raised_cosine(at: u32, full: u32) -> f32 {
    if full == 0 {
        return 1.0;
    }
    0.5 - 0.5 * (std::f32::consts::PI * (at as f32 / full as f32).min(1.0)).cos()
}

fn is_silent(segment: &ToneSegment) -> bool {
    segment.frequencies_hz.iter().all(|&hz| hz == 0)
}

fn same_sound(one: &ToneSegment, other: &ToneSegment) -> bool {
    one.frequencies_hz == other.frequencies_hz && one.mix == other.mix
}

/// The segment after one: the next, or at the end the first that repeats; `None` ends the tone.
fn following(spec: &ToneSpec, index: usize) -> Option<usize> {
    let len = usize::from(spec.len);
    let after_lead_in = index + 1..len;
    // Once round, lead-ins are left out.
    let mut next = after_lead_in.chain(0..len);
    if spec.segments[index].repeat {
        next.find(|&i| spec.segments[i].repeat)
    } else {
        next.find(|&i| i > index || spec.segments[i].repeat)
    }
}

/// Peak amplitude of each oscillator, so that the whole has the level asked for and never clips.
fn gain(segment: &ToneSegment, level_dbm0: f32) -> f32 {
    let voices = segment
        .frequencies_hz
        .iter()
        .filter(|&&hz| hz != 0)
        .count()
        .max(1) as f32;
    let amplitude = crate::level::amplitude_of(level_dbm0);
    // Powers add; peaks add too.
    let (gain, peak) = match segment.mix {
        Mix::Sum => (amplitude / voices.sqrt(), voices),
        Mix::AmplitudeModulated => (amplitude / (1.0 + DEPTH * DEPTH / 2.0).sqrt(), 1.0 + DEPTH),
    };
    gain.min(32_767.0 / peak)
}

#[cfg(test)]
mod tests;
