//! The memory of loss: whether it pays to wait for the copies that packets carry of the one before
//! them (Opus FEC).

/// Weight of one packet: about five seconds of 20 ms packets are remembered.
const WEIGHT: f64 = 0.004;
/// Loss from which on it pays to wait for copies, and below which it does not any more.
const ON: f64 = 0.012;
const OFF: f64 = 0.005;

/// Packets lost lately, and whether there are copies.
pub(super) struct LossMemory {
    share: f64,
    copies: bool,
    waits: bool,
}

impl LossMemory {
    pub(super) fn new() -> Self {
        Self {
            share: 0.0,
            copies: false,
            waits: false,
        }
    }

    /// Whether to play one packet later, so that a lost one can be rebuilt from its successor.
    pub(super) fn waits_for_copies(&self) -> bool {
        self.waits
    }

    /// Whether the packet in turn carries a copy. While copies are waited for, one packet without
    /// does not end that.
    pub(super) fn saw_copy(&mut self, copy: bool) {
        self.copies = copy || (self.copies && self.waits);
    }

    /// A packet came, and `lost` before it did not.
    pub(super) fn packet(&mut self, lost: i64) {
        for _ in 0..lost.clamp(0, 10) {
            self.share += (1.0 - self.share) * WEIGHT;
        }
        self.share -= self.share * WEIGHT;
        let limit = if self.waits { OFF } else { ON };
        self.waits = self.copies && self.share > limit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_only_for_copies_that_exist() {
        for copies in [false, true] {
            let mut loss = LossMemory::new();
            for n in 0..1000 {
                loss.saw_copy(copies);
                loss.packet(i64::from(n % 50 == 0));
            }
            assert_eq!(loss.waits_for_copies(), copies, "at 2 % loss");
            for _ in 0..1000 {
                loss.saw_copy(copies);
                loss.packet(0);
            }
            assert!(!loss.waits_for_copies(), "the loss is over");
        }
    }
}
