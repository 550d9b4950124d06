//! Comfort noise: what is heard where the far end is silent on purpose (RFC 3389).

/// Uniform noise of the level the far end asked for.
pub(super) struct ComfortNoise {
    /// RMS of i16; 0: silence.
    level: f32,
    seed: u32,
}

impl ComfortNoise {
    pub(super) fn new() -> Self {
        Self {
            level: 0.0,
            seed: 0x2545_F491,
        }
    }

    /// RMS of i16; 0: silence.
    pub(super) fn set_level(&mut self, level: f32) {
        self.level = level;
    }

    pub(super) fn is_on(&self) -> bool {
        self.level > 0.0
    }

    /// Fills with noise, or silence.
    pub(super) fn fill(&mut self, out: &mut [i16]) {
        if !self.is_on() {
            out.fill(0);
            return;
        }
        // Uniform noise of RMS r spans ±r·√3.
        let span = self.level * 1.732;
        for y in out {
            self.seed = self
                .seed
                .wrapping_mul(1_664_525)
                .wrapping_add(1_013_904_223);
            *y = ((self.seed >> 16) as f32 / 32_768.0 - 1.0).mul_add(span, 0.0) as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stretch::rms;

    #[test]
    fn has_the_level_asked_for() {
        let mut noise = ComfortNoise::new();
        let mut out = [1; 8000];
        noise.fill(&mut out);
        assert_eq!(out, [0; 8000]);
        for level in [30.0, 650.0] {
            noise.set_level(level);
            noise.fill(&mut out);
            assert!(
                (rms(&out) / level - 1.0).abs() < 0.05,
                "{level}: {}",
                rms(&out)
            );
        }
    }
}
