//! Random numbers of the tests: the same for the same seed on every machine.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng};

/// A generator of random numbers.
#[derive(Debug, Clone)]
pub struct Rng(ChaCha8Rng);

impl Rng {
    /// A generator for this seed.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A generator of its own for one purpose under this seed, so that what one part of a
    /// simulation draws does not change what another part draws.
    pub fn for_purpose(seed: u64, purpose: &str) -> Self {
        // FNV-1a of the purpose.
        let hash = purpose
            .bytes()
            .fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
            });
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&hash.to_le_bytes());
        Self(ChaCha8Rng::from_seed(key))
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Uniform from 0 up to, but not including, 1.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform from −1 to 1.
    pub fn symmetric(&mut self) -> f64 {
        2.0 * self.unit() - 1.0
    }

    /// Uniform from 0 up to, but not including, `n`; 0 for 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n.saturating_sub(1))
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() < probability
    }

    /// Standard normal: mean 0, deviation 1 (Box–Muller).
    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().max(1e-12).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Random bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.fill_bytes(&mut bytes);
        bytes
    }

    /// Fills with random bytes.
    pub fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_their_distribution() {
        let mut rng = Rng::new(1);
        let count = 100_000;
        let units: Vec<f64> = (0..count).map(|_| rng.unit()).collect();
        let mean = units.iter().sum::<f64>() / f64::from(count);
        assert!((0.495..0.505).contains(&mean), "mean {mean}");
        assert!(units.iter().all(|x| (0.0..1.0).contains(x)));
        let normals: Vec<f64> = (0..count).map(|_| rng.normal()).collect();
        let variance = normals.iter().map(|x| x * x).sum::<f64>() / f64::from(count);
        assert!((0.98..1.02).contains(&variance), "variance {variance}");
        assert!((0..1000).all(|_| rng.below(3) < 3));
        assert_eq!(rng.below(0), 0);
    }

    #[test]
    fn purposes_and_seeds_differ_and_repeat() {
        let draw = |seed, purpose| Rng::for_purpose(seed, purpose).next_u64();
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
        assert_ne!(draw(0, "a"), draw(0, "b"));
    }
}
