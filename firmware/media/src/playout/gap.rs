//! Gaps: what is played where no packet is, and what it is counted as once the reason is known.
//!
//! ```text
//! nothing waits ─▶ conceal, the far clock stands ─┬─ the packet comes late ─▶ played, the delay has grown
//!                                                 ├─ a later one comes ─────▶ lost: what was concealed stands for it
//!                                                 └─ nothing for 400 ms ────▶ a pause, or a stall: the next packet shows which
//! a later packet waits ─▶ rebuild from its copy (Opus FEC), else conceal until it is due
//! ```

use std::time::Instant;

use super::Playout;
use crate::codec::Decoder;
use crate::codec::g722::QMF_DELAY;
use crate::jitter::store::{Head, Kind};
use crate::stretch::samples;
use crate::time::after_ms;

use super::steer::LOW_MS;

/// Nothing came for this long: the next packet begins a new spurt, in ms.
const UNDERRUN_MS: f64 = 400.0;

impl Playout {
    /// The delay to steer to. Where packets get lost and their successors carry copies of them
    /// (Opus FEC), it pays to wait for one.
    pub(crate) fn target_ms(&self) -> f64 {
        self.delay.target_ms()
            + if self.loss.waits_for_copies() {
                self.frame_ms
            } else {
                0.0
            }
    }

    /// Conceals without moving the far clock.
    pub(super) fn conceal(&mut self, decoders: &mut [Decoder], len: usize) -> usize {
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
    pub(super) fn underrun(&mut self, decoders: &mut [Decoder], missing: usize) {
        if self.pausing {
            self.enter_pause();
            return;
        }
        self.unaccounted += self.conceal(decoders, missing);
        if self.ms(self.unaccounted) > UNDERRUN_MS {
            // Whether this was a pause of talk or the network's doing, the next packet shows.
            self.underrun_before = Some((self.unaccounted, self.counts.skipped));
            self.wait();
        }
    }

    /// Sound of `gap` samples is lost, and what comes after it is here.
    pub(super) fn bridge(
        &mut self,
        decoders: &mut [Decoder],
        head: Head,
        gap: usize,
        missing: usize,
        at: Instant,
    ) {
        let left = gap - self.unaccounted;
        if self.unaccounted == 0 {
            // The packet before `head` may be inside it: conceal up to it, then rebuild it.
            let frame = samples(self.frame_ms, self.line.rate());
            let has_copy = match (head.kind, decoders.get(usize::from(self.decoder))) {
                (Kind::Sound(n), Some(decoder)) => {
                    n == self.decoder && decoder.has_fec(self.store.payload())
                }
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
                let made = self.conceal(decoders, (left - frame).min(missing.max(1)));
                self.next_timestamp += self.samples_to_ticks(made.min(left));
                self.counts.concealed_ms += self.ms(made);
                return;
            }
        }
        // Too much delay is best worked off where sound is concealed anyway.
        let excess = self
            .delay
            .of(self.media_ms(head.timestamp), after_ms(at, self.ms(left)))
            - self.target_ms();
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
        self.unaccounted += self.conceal(decoders, left.min(missing));
    }

    /// Concealment of `gap` samples stood for lost packets; what is more is delay.
    pub(super) fn account_loss(&mut self, gap: usize) {
        let frame = samples(self.frame_ms, self.line.rate()).max(1);
        self.counts.concealed_ms += self.ms(self.unaccounted);
        self.counts.concealed += (gap.max(1)).div_ceil(frame) as u64;
        self.unaccounted = 0;
    }

    /// Concealment stood for a packet that came after all.
    pub(super) fn account_late(&mut self) {
        if self.unaccounted > 0 {
            let frame = samples(self.frame_ms, self.line.rate()).max(1);
            self.counts.concealed_ms += self.ms(self.unaccounted);
            self.counts.concealed += self.unaccounted.div_ceil(frame) as u64;
            self.unaccounted = 0;
        }
    }
}
