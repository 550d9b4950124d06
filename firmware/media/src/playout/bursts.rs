//! Bursts of loss, and the gaps between them (RFC 3611 section 4.7.2).
//!
//! ```text
//! packets in turn:  . . . . x . x x . . . . . . . . . . . . . . . . . x . . .
//!                   ── gap ─┴─burst─┴──────────── gap: ≥ Gmin ────────┴ one alone: gap
//! ```

/// So many packets received in a row end a burst: the value the RFC recommends.
pub(crate) const GMIN: u64 = 16;

/// Packets counted, with how much sound they stand for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Stretch {
    packets: u64,
    unheard: u64,
    ms: f64,
}

impl Stretch {
    fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.unheard += other.unheard;
        self.ms += other.ms;
    }

    fn density(&self) -> f32 {
        self.unheard as f32 / self.packets.max(1) as f32
    }
}

/// Where packets were missing, in their order.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Bursts {
    /// What lies in bursts that are over, and how many they were.
    over: Stretch,
    number: u64,
    /// What lies in gaps for certain.
    gaps: Stretch,
    /// From the first of the packets missing lately to the last.
    open: Stretch,
    /// Packets received since.
    since: Stretch,
    /// Runs of missing packets, of whatever length.
    runs: u64,
}

/// Means over the call.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct BurstMeans {
    pub(crate) burst_density: f32,
    pub(crate) gap_density: f32,
    pub(crate) burst_ms: f64,
    pub(crate) gap_ms: f64,
}

impl Bursts {
    /// A packet of `ms` is played, and `missing` before it were not.
    pub(crate) fn packet(&mut self, missing: u64, ms: f64) {
        if missing > 0 {
            // What precedes the first of all is a gap, however short.
            if self.since.packets >= GMIN || self.open.packets == 0 {
                self.close();
            } else {
                self.open.add(&std::mem::take(&mut self.since));
            }
            self.open.add(&Stretch {
                packets: missing,
                unheard: missing,
                ms: ms * missing as f64,
            });
            self.runs += 1;
        }
        self.since.add(&Stretch {
            packets: 1,
            unheard: 0,
            ms,
        });
    }

    /// What was open is over; what was received since belongs to the gap after it.
    fn close(&mut self) {
        let (open, since) = (
            std::mem::take(&mut self.open),
            std::mem::take(&mut self.since),
        );
        // One packet alone, with enough received on either side, is part of the gap.
        if open.unheard > 1 {
            self.over.add(&open);
            self.number += 1;
        } else {
            self.gaps.add(&open);
        }
        self.gaps.add(&since);
    }

    /// The means, as if the call ended here.
    pub(crate) fn means(&self) -> BurstMeans {
        let mut whole = *self;
        whole.close();
        let number = whole.number as f64;
        BurstMeans {
            burst_density: whole.over.density(),
            gap_density: whole.gaps.density(),
            burst_ms: whole.over.ms / number.max(1.0),
            // The call begins and ends with a gap, however short.
            gap_ms: whole.gaps.ms / (number + 1.0),
        }
    }

    /// The burst ratio of G.107: mean length of a run of missing packets, against what it would be
    /// if each were missing by chance alone. 1 where nothing was.
    pub(crate) fn ratio(&self) -> f32 {
        let missing = self.over.unheard + self.gaps.unheard + self.open.unheard;
        let all = self.over.packets + self.gaps.packets + self.open.packets + self.since.packets;
        if self.runs == 0 || missing >= all {
            return 1.0;
        }
        let share = missing as f32 / all as f32;
        // Shorter runs than by chance are no better than chance: G.107 has no values below 1.
        (missing as f32 / self.runs as f32 * (1.0 - share)).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `x`: missing.
    fn of(packets: &str) -> Bursts {
        let (mut bursts, mut missing) = (Bursts::default(), 0);
        for packet in packets.chars() {
            if packet == 'x' {
                missing += 1;
            } else {
                bursts.packet(missing, 20.0);
                missing = 0;
            }
        }
        bursts
    }

    #[test]
    fn the_picture_of_the_rfc() {
        // A burst of 5 packets with 4 missing, then 20 received, one missing alone, 20 received.
        let means = of(&format!(
            "{}xx.xx{}x{}",
            ".".repeat(10),
            ".".repeat(20),
            ".".repeat(20)
        ));
        let means = means.means();
        assert!((means.burst_density - 0.8).abs() < 1e-6, "{means:?}");
        assert!((means.burst_ms - 100.0).abs() < 1e-6, "{means:?}");
        assert!((means.gap_density - 1.0 / 51.0).abs() < 1e-6, "{means:?}");
        assert!((means.gap_ms - 51.0 * 20.0 / 2.0).abs() < 1e-6, "{means:?}");
    }

    #[test]
    fn fifteen_received_do_not_end_a_burst_and_sixteen_do() {
        let burst = |between: usize| {
            let text = format!(".xx{}xx{}", ".".repeat(between), ".".repeat(30));
            of(&text).means().burst_ms
        };
        assert!((burst(15) - 19.0 * 20.0).abs() < 1e-6, "one burst");
        assert!((burst(16) - 2.0 * 20.0).abs() < 1e-6, "two");
    }

    #[test]
    fn a_call_without_loss_is_one_gap() {
        let means = of(&".".repeat(50)).means();
        assert!((means.gap_ms - 1000.0).abs() < 1e-6 && means.burst_ms == 0.0);
        assert!(means.gap_density == 0.0 && means.burst_density == 0.0);
        assert!((of(&".".repeat(50)).ratio() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn burst_ratio_of_runs_and_of_chance() {
        // Every tenth alone: runs of 1, by chance they would be 1 / 0.9.
        assert!((of(&"x.........".repeat(50)).ratio() - 1.0).abs() < 0.01);
        // Runs of 5 at the same loss.
        let runs = format!("xxxxx{}", ".".repeat(45)).repeat(20);
        assert!(
            (of(&runs).ratio() - 4.5).abs() < 0.02,
            "{}",
            of(&runs).ratio()
        );
    }
}
