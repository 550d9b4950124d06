//! Digits heard as tones (ITU-T Q.24), where the far end has no telephone-event.
//!
//! ```text
//! decoded sound ─▶ 8 kHz ─▶ every 5 ms: 20 ms under a Hann window ─▶ 8 Goertzel filters
//!                                                   │ power, twist, share of the whole, steadiness
//!                                                   └ phase against 5 ms before ─▶ frequency within 2.5 %
//! 4 such in a row ─▶ digit;   3 quiet ones ─▶ over
//! ```
//!
//! A filter over 20 ms cannot part 1.5 % from 3.5 % at 697 Hz; its phase over time can. Speech
//! rarely has nine tenths of its power in two steady partials at just these frequencies.

use std::f32::consts::TAU;

/// What the detector works at.
const RATE_HZ: u32 = 8_000;
const WINDOW: usize = 160;
const HOP: usize = 40;
/// Tones of a group, and of both.
const GROUP: usize = 4;
const FILTERS: usize = 2 * GROUP;
/// The low group, then the high one (ITU-T Q.23).
const TONES_HZ: [f32; FILTERS] = [697.0, 770.0, 852.0, 941.0, 1209.0, 1336.0, 1477.0, 1633.0];
/// Accepted deviation: Q.24 wants 1.5 % accepted and 3.5 % refused.
const DEVIATION: f32 = 0.025;
/// High group over low group, in dB: Q.24 wants +4 and −8 accepted.
const TWIST_DB: (f32, f32) = (-9.5, 5.5);
/// Share of the power that is in the two tones: at 15 dB above noise 97 %, in speech seldom this.
const SHARE: f32 = 0.88;
/// Weakest tone heard, as power of i16 samples: −39 dBm0.
const WEAKEST: f32 = 7_000.0;
/// A tone is steady if its power is within this factor of that of 5 ms before: 2 dB.
const STEADY: f32 = 1.6;
/// Steady hops that make a digit; with less than 40 ms there are not as many.
const HOPS: u8 = 4;
/// Hops in a row without the digit's power that end it.
const QUIET_HOPS: u8 = 3;
/// Power against the digit's that counts as quiet: −12 dB.
const QUIET: f32 = 0.063;
/// Event codes by row and column (RFC 4733 section 3.2).
const EVENTS: [[u8; 4]; 4] = [[1, 2, 3, 12], [4, 5, 6, 13], [7, 8, 9, 14], [10, 0, 11, 15]];

/// One filter: its frequency, coefficient, and what it gave last.
#[derive(Debug, Clone, Copy)]
struct Filter {
    hz: f32,
    coefficient: f32,
    /// Phase step of one hop at the filter's own frequency.
    step: f32,
    phase: f32,
    power: f32,
    /// Frequency measured against the filter's own, in Hz.
    off_hz: f32,
    /// Power 5 ms before.
    before: f32,
}

impl Filter {
    fn new(hz: f32) -> Self {
        let omega = TAU * hz / RATE_HZ as f32;
        Self {
            hz,
            coefficient: 2.0 * omega.cos(),
            step: omega * HOP as f32,
            phase: 0.0,
            power: 0.0,
            off_hz: 0.0,
            before: 0.0,
        }
    }

    /// Takes the last two values of its recurrence over a window, the newest first.
    fn take(&mut self, one: f32, two: f32) {
        let omega = TAU * self.hz / RATE_HZ as f32;
        let (real, imaginary) = (one - two * omega.cos(), two * omega.sin());
        let phase = imaginary.atan2(real);
        let turn = wrap(phase - self.phase - self.step);
        self.phase = phase;
        self.off_hz = turn * RATE_HZ as f32 / (TAU * HOP as f32);
        self.before = self.power;
        // Power of a sine: amplitude 2 |X| / sum of the window, squared, halved; less what the
        // window loses beside its middle.
        let sum = WINDOW as f32 / 2.0;
        let gain = gain_at(self.off_hz);
        self.power = 2.0 * (real * real + imaginary * imaginary) / (sum * sum * gain * gain);
    }

    fn is_steady(&self) -> bool {
        self.power < self.before * STEADY && self.before < self.power * STEADY
    }

    fn is_in_tune(&self) -> bool {
        self.off_hz.abs() < self.hz * DEVIATION
    }
}

/// The recurrences of all filters over a window, side by side so that they fill vector registers:
/// the last value of each, and the one before.
fn run(filters: &[Filter; FILTERS], windowed: &[f32; WINDOW]) -> ([f32; FILTERS], [f32; FILTERS]) {
    let coefficients = filters.map(|filter| filter.coefficient);
    let (mut one, mut two) = ([0.0; FILTERS], [0.0; FILTERS]);
    for &x in windowed {
        for n in 0..FILTERS {
            let now = x + coefficients[n] * one[n] - two[n];
            (two[n], one[n]) = (one[n], now);
        }
    }
    (one, two)
}

/// An angle between −π and π.
fn wrap(angle: f32) -> f32 {
    angle - TAU * (angle / TAU).round()
}

/// What a Hann window passes of a sine so far off the filter's frequency.
fn gain_at(off_hz: f32) -> f32 {
    let x = (off_hz * WINDOW as f32 / RATE_HZ as f32).clamp(-0.95, 0.95);
    let angle = x * TAU / 2.0;
    let sinc = if angle.abs() < 1e-3 {
        1.0
    } else {
        angle.sin() / angle
    };
    sinc / (1.0 - x * x)
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    /// Nothing, or so many hops of a digit.
    Idle { event: u8, hops: u8 },
    /// A digit was reported: its power, and hops without it.
    Down { event: u8, power: f32, quiet: u8 },
}

/// Hears digits in sound of any rate; allocates nothing.
#[derive(Debug, Clone)]
pub(crate) struct Detector {
    rate_hz: u32,
    /// Sum and count of the samples that become one at 8 kHz, and the remainder of the division.
    sum: i32,
    count: i32,
    due: u32,
    ring: [f32; WINDOW],
    at: usize,
    until_hop: usize,
    hann: [f32; WINDOW],
    /// Those of the low group, then those of the high one.
    filters: [Filter; FILTERS],
    state: State,
}

const IDLE: State = State::Idle { event: 0, hops: 0 };

impl Detector {
    pub(crate) fn new() -> Self {
        let hann = |n: usize| 0.5 - 0.5 * (TAU * (n as f32 + 0.5) / WINDOW as f32).cos();
        Self {
            rate_hz: RATE_HZ,
            sum: 0,
            count: 0,
            due: 0,
            ring: [0.0; WINDOW],
            at: 0,
            until_hop: HOP,
            hann: std::array::from_fn(hann),
            filters: std::array::from_fn(|n| Filter::new(TONES_HZ[n])),
            state: IDLE,
        }
    }

    /// Takes sound; returns the event code of a digit that has just begun. At most 50 ms at once,
    /// or a second one is lost.
    pub(crate) fn push(&mut self, sound: &[i16], rate_hz: u32) -> Option<u8> {
        if rate_hz != self.rate_hz {
            *self = Self::new();
            self.rate_hz = rate_hz.max(RATE_HZ);
        }
        let mut heard = None;
        for &sample in sound {
            self.sum += i32::from(sample);
            self.count += 1;
            self.due += RATE_HZ;
            if self.due < self.rate_hz {
                continue;
            }
            self.due -= self.rate_hz;
            // The mean of what a sample at 8 kHz stands for: enough of a low-pass for tones below
            // 1.7 kHz.
            self.ring[self.at] = self.sum as f32 / self.count as f32;
            (self.sum, self.count) = (0, 0);
            self.at = (self.at + 1) % WINDOW;
            self.until_hop -= 1;
            if self.until_hop == 0 {
                self.until_hop = HOP;
                heard = self.hop().or(heard);
            }
        }
        heard
    }

    fn hop(&mut self) -> Option<u8> {
        let mut windowed = [0.0; WINDOW];
        let ordered = self.ring[self.at..].iter().chain(&self.ring[..self.at]);
        let mut energy = 0.0;
        for ((out, &x), &weight) in windowed.iter_mut().zip(ordered).zip(&self.hann) {
            *out = x * weight;
            energy += *out * *out;
        }
        // Mean square of the sound itself: the window leaves 3/8 of it.
        let power = energy / (0.375 * WINDOW as f32);
        if power < WEAKEST {
            self.silence();
            return self.advance(None, 0.0);
        }
        let (one, two) = run(&self.filters, &windowed);
        for (n, filter) in self.filters.iter_mut().enumerate() {
            filter.take(one[n], two[n]);
        }
        let (found, tones) = self.find(power);
        self.advance(found, tones)
    }

    fn silence(&mut self) {
        for filter in &mut self.filters {
            (filter.before, filter.power) = (filter.power, 0.0);
        }
    }

    /// The digit that sounds in the last window, if any, and the power of its tones.
    fn find(&self, power: f32) -> (Option<u8>, f32) {
        let strongest = |filters: &[Filter]| {
            let mut best = 0;
            for (n, filter) in filters.iter().enumerate() {
                if filter.power > filters[best].power {
                    best = n;
                }
            }
            best
        };
        let (low, high) = self.filters.split_at(GROUP);
        let (row, column) = (strongest(low), strongest(high));
        let (low, high) = (&low[row], &high[column]);
        let tones = low.power + high.power;
        let twist_db = 10.0 * (high.power / low.power.max(1.0)).max(1e-6).log10();
        let is_digit = low.power > WEAKEST / 4.0
            && high.power > WEAKEST / 4.0
            && tones > SHARE * power
            && (TWIST_DB.0..=TWIST_DB.1).contains(&twist_db)
            && [low, high]
                .iter()
                .all(|filter| filter.is_in_tune() && filter.is_steady());
        (is_digit.then(|| EVENTS[row][column]), tones)
    }

    fn advance(&mut self, found: Option<u8>, tones: f32) -> Option<u8> {
        match (self.state, found) {
            (State::Idle { event, hops }, Some(found)) => {
                let hops = if found == event { hops + 1 } else { 1 };
                if hops >= HOPS {
                    self.state = State::Down {
                        event: found,
                        power: tones,
                        quiet: 0,
                    };
                    return Some(found);
                }
                self.state = State::Idle { event: found, hops };
            }
            (State::Idle { .. }, None) => self.state = IDLE,
            (State::Down { event, .. }, Some(found)) if found != event => {
                self.state = State::Idle {
                    event: found,
                    hops: 1,
                };
            }
            (
                State::Down {
                    event,
                    power,
                    quiet,
                },
                _,
            ) => {
                let quiet = if tones < power * QUIET { quiet + 1 } else { 0 };
                self.state = if quiet >= QUIET_HOPS {
                    IDLE
                } else {
                    State::Down {
                        event,
                        power: power.max(tones),
                        quiet,
                    }
                };
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
