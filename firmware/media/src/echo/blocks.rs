//! Between the card's periods and the canceller's blocks, which are of another rate and, where a
//! period is no whole number of its samples, of another length.
//!
//! ```text
//! period ─▶ Push ─▶ what waits ─▶ a block, or none yet
//! period ◀─ Pull ◀─ what waits ◀─ a block            (in step: ◀─ Push ◀─ a block)
//! ```
//!
//! A period never makes more than a block. Periods and blocks that are in step need nothing to
//! wait; the others are a block later.

use crate::resample::{Pull, Push};

/// Block lengths it can work with, in samples.
const HOPS: std::ops::RangeInclusive<usize> = 16..=320;
/// A block that is not a period's is a power of two, or three or five times one: the lengths whose
/// transforms are quick.
const QUICK: usize = 5;
/// The converters to the blocks' rate and back differ in how many samples they make of a period, or
/// need for it, by so many at most.
const ROUNDING: usize = 2;

/// The length of a block for periods of so many frames: the period itself where that is a whole
/// number of samples, else the next length that is quick. `None`: it is too short or too long.
pub(super) fn block(card_rate_hz: u32, rate_hz: u32, period_frames: usize) -> Option<usize> {
    let (card_hz, hz) = (card_rate_hz as usize, rate_hz as usize);
    let samples = period_frames * hz;
    let is_quick = |hop: &usize| hop >> hop.trailing_zeros() <= QUICK;
    if samples.is_multiple_of(card_hz) {
        Some(samples / card_hz).filter(|hop| HOPS.contains(hop))
    } else {
        (samples.div_ceil(card_hz)..=*HOPS.end())
            .find(is_quick)
            .filter(|hop| HOPS.contains(hop))
    }
}

/// From periods to blocks.
pub(super) struct Intake {
    push: Push,
    converted: Box<[i16]>,
    waiting: Box<[f32]>,
    filled: usize,
    hop: usize,
    /// The block at the front was given.
    given: bool,
}

impl Intake {
    pub(super) fn new(card_hz: u32, hz: u32, period_frames: usize, hop: usize) -> Option<Self> {
        let push = Push::new(card_hz, hz, period_frames).ok()?;
        let most = push.output_max(period_frames);
        Some(Self {
            push,
            converted: vec![0; most].into(),
            waiting: vec![0.0; hop + most].into(),
            filled: 0,
            hop,
            given: false,
        })
    }

    /// Takes a period; the block that it completes, if it does.
    pub(super) fn take(&mut self, sound: &[i16]) -> Option<&[f32]> {
        if self.given {
            self.waiting.copy_within(self.hop..self.filled, 0);
            self.filled -= self.hop;
        }
        let made = self.push.process(sound, &mut self.converted);
        let room = &mut self.waiting[self.filled..];
        for (to, &from) in room.iter_mut().zip(&self.converted[..made]) {
            *to = f32::from(from);
        }
        self.filled = (self.filled + made).min(self.waiting.len());
        self.given = self.filled >= self.hop;
        self.given.then(|| &self.waiting[..self.hop])
    }
}

/// From blocks to periods.
pub(super) enum Output {
    /// Each period is a block.
    InStep { push: Push, block: Box<[i16]> },
    /// Blocks come when they come.
    Waiting {
        pull: Pull,
        waiting: Box<[i16]>,
        filled: usize,
        /// How much waits to begin with, so that there is always enough: less than a block has been
        /// taken and not given.
        ahead: usize,
    },
}

impl Output {
    pub(super) fn new(card_hz: u32, hz: u32, period_frames: usize, hop: usize) -> Option<Self> {
        if hop as u64 * u64::from(card_hz) == period_frames as u64 * u64::from(hz) {
            return Some(Self::InStep {
                push: Push::new(hz, card_hz, hop).ok()?,
                block: vec![0; hop].into(),
            });
        }
        let pull = Pull::new(hz, card_hz, period_frames).ok()?;
        let room = 3 * hop + pull.needed_max(period_frames);
        let mut output = Self::Waiting {
            pull,
            waiting: vec![0; room].into(),
            filled: 0,
            ahead: hop + ROUNDING,
        };
        output.restart();
        Some(output)
    }

    /// Nothing has been given for a while.
    pub(super) fn restart(&mut self) {
        if let Self::Waiting {
            waiting,
            filled,
            ahead,
            ..
        } = self
        {
            waiting.fill(0);
            *filled = *ahead;
        }
    }

    /// Each period is a block.
    pub(super) fn is_in_step(&self) -> bool {
        matches!(self, Self::InStep { .. })
    }

    /// Takes a block.
    pub(super) fn put(&mut self, sound: &[f32]) {
        let room = match self {
            Self::InStep { block, .. } => &mut block[..],
            Self::Waiting {
                waiting, filled, ..
            } => {
                let from = (*filled).min(waiting.len());
                *filled = (from + sound.len()).min(waiting.len());
                &mut waiting[from..]
            }
        };
        for (to, from) in room.iter_mut().zip(sound) {
            // `as` saturates.
            *to = from.round() as i16;
        }
    }

    /// Gives a period.
    pub(super) fn give(&mut self, period: &mut [i16]) {
        match self {
            Self::InStep { push, block } => {
                push.process(block, period);
            }
            Self::Waiting {
                pull,
                waiting,
                filled,
                ..
            } => {
                let used = pull.needed(period.len()).min(*filled);
                pull.process(&waiting[..used], period);
                waiting.copy_within(used..*filled, 0);
                *filled -= used;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_a_period_or_the_next_length_that_is_quick() {
        for (card, rate, frames, hop) in [
            (48_000, 16_000, 240, Some(80)),
            (16_000, 16_000, 112, Some(112)),
            (8_000, 8_000, 80, Some(80)),
            (44_100, 16_000, 441, Some(160)),
            (44_100, 16_000, 220, Some(80)),
            (44_100, 16_000, 512, Some(192)),
            (48_000, 16_000, 1024, None),
            (48_000, 16_000, 36, None),
        ] {
            assert_eq!(block(card, rate, frames), hop, "{card} Hz, {frames} frames");
        }
    }
}
