//! How long packets should wait: a histogram of how late each was against the fastest of the last
//! seconds, with forgetting; the target is a quantile of it. Fast increase, slow decrease: a late
//! packet is learnt at once and forgotten over many seconds.

/// Buckets of 1 ms up to 200 ms, then of 10 ms up to 1.4 s.
const FINE: usize = 200;
const COARSE: usize = 120;
const COARSE_MS: f64 = 10.0;

/// Part of the packets that are to be in time.
const QUANTILE: f64 = 0.985;
/// Weight of the past after each packet, once learnt: half is forgotten in about five seconds of 20
/// ms packets.
const KEEP: f64 = 0.997;
/// Packets the first guess weighs.
const PRIOR: f64 = 1.5;

/// The histogram and its quantile.
pub(crate) struct Target {
    buckets: [f64; FINE + COARSE],
    /// Weight of the next packet: it grows instead of every bucket shrinking.
    weight: f64,
    total: f64,
    packets: u32,
    quantile_ms: f64,
}

impl Target {
    /// A target that starts at `guess_ms`.
    pub(crate) fn new(guess_ms: f64) -> Self {
        let mut target = Self {
            buckets: [0.0; FINE + COARSE],
            weight: 1.0,
            total: PRIOR,
            packets: 0,
            quantile_ms: guess_ms,
        };
        target.buckets[Self::bucket(guess_ms)] = PRIOR;
        target
    }

    fn bucket(ms: f64) -> usize {
        if ms < FINE as f64 {
            ms.max(0.0) as usize
        } else {
            (FINE + ((ms - FINE as f64) / COARSE_MS) as usize).min(FINE + COARSE - 1)
        }
    }

    fn upper_ms(bucket: usize) -> f64 {
        if bucket < FINE {
            bucket as f64 + 1.0
        } else {
            FINE as f64 + (bucket - FINE + 1) as f64 * COARSE_MS
        }
    }

    /// Takes how late a packet was, in ms.
    pub(crate) fn add(&mut self, late_ms: f64) {
        self.packets = self.packets.saturating_add(1);
        // Young, it forgets its guess quickly; old, it keeps.
        let keep = KEEP.min(1.0 - 1.0 / (f64::from(self.packets) + 2.0 * PRIOR));
        self.weight /= keep;
        self.buckets[Self::bucket(late_ms)] += self.weight;
        self.total += self.weight;
        if self.weight > 1e9 {
            let scale = 1.0 / self.weight;
            self.buckets.iter_mut().for_each(|b| *b *= scale);
            self.total *= scale;
            self.weight = 1.0;
        }
        let over = self.total * (1.0 - QUANTILE);
        let mut below = 0.0;
        self.quantile_ms = Self::upper_ms(FINE + COARSE - 1);
        for (i, b) in self.buckets.iter().enumerate() {
            below += b;
            if self.total - below <= over {
                self.quantile_ms = Self::upper_ms(i);
                break;
            }
        }
    }

    /// How late the latest packets that still count are, in ms.
    pub(crate) fn quantile_ms(&self) -> f64 {
        self.quantile_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_within_few_packets_and_falls_over_seconds() {
        let mut target = Target::new(10.0);
        for _ in 0..500 {
            target.add(0.3);
        }
        assert!(target.quantile_ms() <= 2.0, "{}", target.quantile_ms());
        let mut packets = 0;
        while target.quantile_ms() < 30.0 {
            target.add(if packets % 5 == 0 { 35.0 } else { 1.0 });
            packets += 1;
        }
        assert!(packets <= 60, "learnt after {packets} packets");
        for packet in 0..200 {
            target.add(if packet % 5 == 0 { 35.0 } else { 1.0 });
        }
        let mut packets = 0;
        while target.quantile_ms() > 5.0 {
            target.add(1.0);
            packets += 1;
        }
        assert!(
            (200..3000).contains(&packets),
            "forgotten after {packets} packets"
        );
    }

    #[test]
    fn a_day_of_packets_keeps_the_numbers_finite() {
        let mut target = Target::new(10.0);
        for i in 0..4_000_000u32 {
            target.add(f64::from(i % 20));
        }
        assert!(
            (19.0..=20.0).contains(&target.quantile_ms()),
            "{}",
            target.quantile_ms()
        );
        target.add(1e9);
        assert!(target.quantile_ms().is_finite());
    }
}
