//! Which packet it is, and whether it came before (RFC 3711 sections 3.3.1 and 3.3.2).
//!
//! ```text
//! sequence number ─▶ estimate: the index nearest to the highest authentic one ─▶ check: new? ─▶ (authentic) ─▶ accept
//! ```
//!
//! Nothing here changes before a packet is authentic.

/// Packets back from the highest that are still distinguished; older ones count as seen. 10 s at 20
/// ms: beyond any jitter buffer.
pub(super) const WINDOW: u64 = 512;
const WORDS: usize = WINDOW as usize / 64;
/// SSRCs known per key and channel. A source that is known is never forgotten, or its packets could
/// be replayed.
pub(super) const MAX_SOURCES: usize = 64;
/// The index of a packet has 48 bits.
pub(super) const LAST_INDEX: u64 = (1 << 48) - 1;

/// The indices of one source that were accepted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    highest: u64,
    /// Bit n of the whole: index `highest − n` was accepted.
    seen: [u64; WORDS],
}

impl Window {
    /// A source begins with this index.
    pub(super) fn new(first: u64) -> Self {
        let mut seen = [0; WORDS];
        seen[0] = 1;
        Self {
            highest: first,
            seen,
        }
    }

    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    /// Whether the index was not accepted before and is not too old to be known.
    pub(super) fn is_new(&self, index: u64) -> bool {
        match self.highest.checked_sub(index) {
            None => true,
            Some(behind) if behind >= WINDOW => false,
            Some(behind) => self.seen[behind as usize / 64] >> (behind % 64) & 1 == 0,
        }
    }

    /// The packet with this new index was authentic.
    pub(super) fn accept(&mut self, index: u64) {
        if let Some(behind) = self.highest.checked_sub(index) {
            if behind < WINDOW {
                self.seen[behind as usize / 64] |= 1 << (behind % 64);
            }
            return;
        }
        self.shift(index - self.highest);
        self.seen[0] |= 1;
        self.highest = index;
    }

    fn shift(&mut self, by: u64) {
        if by >= WINDOW {
            self.seen = [0; WORDS];
            return;
        }
        let (words, bits) = (by as usize / 64, by % 64);
        for n in (0..WORDS).rev() {
            let here = n.checked_sub(words).map_or(0, |from| self.seen[from]);
            let below = n.checked_sub(words + 1).map_or(0, |from| self.seen[from]);
            self.seen[n] = here << bits | below.checked_shr(64 - bits as u32).unwrap_or(0);
        }
    }

    /// The index a sequence number most likely means: the one nearest to the highest. `None`: it
    /// would lie before the first packet or beyond the last of all.
    pub(super) fn estimate(&self, sequence: u16) -> Option<u64> {
        estimate(self.highest, sequence)
    }
}

/// RFC 3711 section 3.3.1 and appendix A, word by word: `reference` is the highest index so far.
pub(super) fn estimate(reference: u64, sequence: u16) -> Option<u64> {
    let (roc, last) = (reference >> 16, reference as u16);
    let guess = if last < 0x8000 {
        if sequence.saturating_sub(last) > 0x8000 {
            roc.checked_sub(1)?
        } else {
            roc
        }
    } else if last - 0x8000 > sequence {
        roc + 1
    } else {
        roc
    };
    Some(guess << 16 | u64::from(sequence)).filter(|&index| index <= LAST_INDEX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_nearest_index_around_the_wrap() {
        let table = [
            (0x0_0000, 0x0001, Some(0x0_0001)),
            (0x0_0005, 0xFFFE, None),
            (0x1_0005, 0xFFFE, Some(0x0_FFFE)),
            (0x0_FFFE, 0x0005, Some(0x1_0005)),
            (0x1_FFFE, 0x0005, Some(0x2_0005)),
            (0x1_7FFF, 0xFFFF, Some(0x1_FFFF)),
            (0x1_7FFE, 0xFFFF, Some(0x0_FFFF)),
            (0x1_8000, 0x0000, Some(0x1_0000)),
            (0x1_8001, 0x0000, Some(0x2_0000)),
            (LAST_INDEX, 0x0000, None),
            (LAST_INDEX, 0xFFF0, Some(LAST_INDEX - 15)),
        ];
        for (reference, sequence, index) in table {
            assert_eq!(
                estimate(reference, sequence),
                index,
                "{reference:x} {sequence:x}"
            );
        }
    }

    #[test]
    fn what_was_accepted_is_not_new_and_what_is_too_old_neither() {
        let mut window = Window::new(10_000);
        assert!(!window.is_new(10_000) && window.is_new(9_999) && window.is_new(10_001));
        window.accept(9_700);
        window.accept(10_100);
        for (index, new) in [
            (10_000, false),
            (9_700, false),
            (10_100, false),
            (9_999, true),
            (10_100 - WINDOW, false),
            (10_101 - WINDOW, true),
            (0, false),
        ] {
            assert_eq!(window.is_new(index), new, "{index}");
        }
    }

    proptest! {
        /// Against a set that forgets nothing.
        #[test]
        fn the_window_is_a_set(steps in prop::collection::vec((0u8..4, 0u64..1200), 1..400),
            first in 0u64..2000) {
            let (mut window, mut all, mut highest) =
                (Window::new(first), BTreeSet::from([first]), first);
            for (way, by) in steps {
                let index = match way {
                    0 => highest + by / 8,
                    1 => highest + by,
                    _ => highest.saturating_sub(by),
                };
                let new = !all.contains(&index) && index + WINDOW > highest;
                prop_assert_eq!(window.is_new(index), new, "{} of {}", index, highest);
                if new {
                    window.accept(index);
                    all.insert(index);
                    highest = highest.max(index);
                    prop_assert_eq!(window.highest(), highest);
                }
            }
        }

        #[test]
        fn an_estimate_is_within_half_a_turn(reference in 0u64..1 << 40, sequence: u16) {
            match estimate(reference, sequence) {
                Some(index) => {
                    prop_assert_eq!(index as u16, sequence);
                    prop_assert!(index.abs_diff(reference) <= 0x8000);
                }
                None => prop_assert!(reference < 0x8000
                    && u64::from(sequence) > reference + 0x8000),
            }
        }
    }
}
