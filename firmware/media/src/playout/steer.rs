//! Steering: brings the playout delay to its target without anyone noticing.
//!
//! ```text
//! delay − target:  < 1 ms ─▶ nothing, sound passes bit by bit (but for drift)
//!                  < 6 ms ─▶ single samples slip, 0.1 % at most
//!                  more   ─▶ in talk one pitch period goes or comes (WSOLA); in silence anything does
//! ```

use std::time::{Duration, Instant};

use super::Playout;
use crate::stretch::{rms, samples};

/// Delay may be off its target by this much before sound is stretched; within it, single samples
/// slip. In ms.
const HIGH_MS: f64 = 6.0;
pub(super) const LOW_MS: f64 = 3.0;
/// Off by less than this nothing is done at all: sound passes bit by bit. In ms.
const SLACK_MS: f64 = 1.0;
/// Slips made for each ms off target, in ppm, and their most. A tenth of a per cent is far below
/// what an ear notices.
const SLIP_PPM_PER_MS: f64 = 250.0;
const SLIP_MOST_PPM: f64 = 1000.0;
/// Least time between two stretches, unless the delay is far too long.
const STRETCH_EVERY: Duration = Duration::from_millis(60);
/// Excess from here on is worked off as fast as it goes, in ms.
const FAR_MS: f64 = 40.0;
/// How alike two pitch periods must be for one of them to go.
const ALIKE: f32 = 0.85;
const ALIKE_IF_FAR: f32 = 0.5;
/// Below this level (RMS of i16) anything may be cut or repeated.
const QUIET: f32 = 60.0;

impl Playout {
    /// How long sound would last if no further packet came.
    pub(super) fn at_hand_ms(&self) -> f64 {
        let waiting = self.store.last().map_or(0.0, |last| {
            self.media_ms(last.timestamp - self.next_timestamp) + self.frame_ms
        });
        self.ms(self.line.unplayed()) + waiting.max(0.0)
    }

    fn stretched_within(&self, length: Duration, now: Instant) -> bool {
        self.last_stretch
            .is_some_and(|last| now.saturating_duration_since(last) < length)
    }

    /// Brings the delay towards its target within the `n` samples just appended.
    pub(super) fn adapt(&mut self, n: usize, now: Instant, card_ppm: f64) {
        let rate = self.line.rate();
        let excess = self.delay_at(now) - self.target_ms();
        // Steady drift and small errors: slips of one sample.
        let off = excess - excess.clamp(-SLACK_MS, SLACK_MS);
        let ppm = card_ppm - self.delay.ppm()
            + (off * SLIP_PPM_PER_MS).clamp(-SLIP_MOST_PPM, SLIP_MOST_PPM);
        let due = self.slip.advance(n, ppm);
        if due != 0 && self.line.slip(&self.slip, n.min(self.line.unplayed()), due) {
            self.slip.applied(due);
        }
        let tail = self.line.unplayed().min(n + samples(20.0, rate));
        let fade = samples(2.5, rate);
        if excess > HIGH_MS {
            let far = excess > FAR_MS;
            let at_hand = self.at_hand_ms();
            let spare = if at_hand > self.target_ms() + self.frame_ms + 10.0 {
                at_hand - self.target_ms()
            } else {
                self.slack.least_ms().min(at_hand)
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
            if !far && self.stretched_within(STRETCH_EVERY, now) {
                return;
            }
            let lookahead = tail / 2;
            if let Some(p) = self.line.pitch_at(lookahead) {
                // The period found lies before the place; the sound from there on is one period
                // further.
                let at = lookahead + p.lag;
                let alike = p.correlation >= if far { ALIKE_IF_FAR } else { ALIKE };
                if alike
                    && p.lag <= most.max(samples(HIGH_MS, rate))
                    && p.lag <= lookahead
                    && at <= tail
                    && self.line.remove(at, p.lag, p.lag)
                {
                    self.last_stretch = Some(now);
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
            if self.stretched_within(STRETCH_EVERY / 2, now) {
                return;
            }
            if let Some(p) = self.line.pitch_at(tail)
                && p.correlation >= ALIKE_IF_FAR
                && p.lag <= tail
                && p.lag <= least + samples(HIGH_MS, rate)
                && self.line.insert(tail, p.lag, p.lag)
            {
                self.last_stretch = Some(now);
                self.counts.lengthened += 1;
            }
        }
    }
}
