//! Several sounds into one ear: sums in 32 bits, and bends what is too loud instead of clipping it.
//!
//! ```text
//! streams, sidetone, tone ─▶ add ─▶ i32 ─▶ duck under the key tone ─▶ soft limit ─▶ i16
//! ```

/// Sound up to here passes as it is; louder is bent into what is left (−2.7 dB below full scale).
const KNEE: i32 = 24_000;
const FULL: i32 = 32_767;
/// How much everything else is turned down under a key tone.
const DUCK: f32 = 0.25;

/// One period's sum.
pub(crate) struct Mixer {
    /// Of no meaning while there is no source.
    sum: Box<[i32]>,
    sources: usize,
}

impl Mixer {
    pub(crate) fn new(period_frames: usize) -> Self {
        Self {
            sum: vec![0; period_frames].into_boxed_slice(),
            sources: 0,
        }
    }

    /// Begins a new period.
    pub(crate) fn clear(&mut self) {
        self.sources = 0;
    }

    pub(crate) fn add(&mut self, sound: &[i16]) {
        self.sources += 1;
        if self.sources == 1 {
            for (sum, &x) in self.sum.iter_mut().zip(sound) {
                *sum = i32::from(x);
            }
        } else {
            for (sum, &x) in self.sum.iter_mut().zip(sound) {
                *sum += i32::from(x);
            }
        }
    }

    /// Adds at a gain (1.0 is as it is); what that makes too loud is clipped here, so that each
    /// source by itself fits 16 bits.
    pub(crate) fn add_scaled(&mut self, sound: &[i16], gain: f32) {
        if self.sources == 0 {
            self.sum.fill(0);
        }
        self.sources += 1;
        for (sum, &x) in self.sum.iter_mut().zip(sound) {
            *sum += i32::from((f32::from(x) * gain) as i16);
        }
    }

    /// Turns down what was added so far: something more important comes.
    pub(crate) fn duck(&mut self) {
        if self.sources == 0 {
            return;
        }
        for sum in &mut self.sum {
            *sum = (*sum as f32 * DUCK) as i32;
        }
    }

    /// The sum. A single source passes bit by bit.
    pub(crate) fn finish(&self, out: &mut [i16]) {
        match self.sources {
            0 => out.fill(0),
            1 => out
                .iter_mut()
                .zip(&self.sum)
                .for_each(|(y, &x)| *y = x as i16),
            _ => out
                .iter_mut()
                .zip(&self.sum)
                .for_each(|(y, &x)| *y = soft(x)),
        }
    }
}

/// Linear up to the knee, then an even curve that reaches full scale only at infinity, with no
/// corner between them.
pub(crate) fn soft(x: i32) -> i16 {
    let loud = x.abs();
    if loud <= KNEE {
        return x as i16;
    }
    let room = (FULL - KNEE) as f32;
    let over = (loud - KNEE) as f32;
    let bent = KNEE + (room * over / (over + room)) as i32;
    (bent.min(FULL) * x.signum()) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_is_untouched_and_two_are_summed() {
        let mut mixer = Mixer::new(4);
        let mut out = [0; 4];
        mixer.add(&[1, -32_768, 32_767, 30_000]);
        mixer.finish(&mut out);
        assert_eq!(out, [1, -32_768, 32_767, 30_000]);
        mixer.add(&[5, 0, 0, -10_000]);
        mixer.finish(&mut out);
        assert_eq!([out[0], out[3]], [6, 20_000]);
        mixer.clear();
        mixer.finish(&mut out);
        assert_eq!(out, [0; 4]);
    }

    #[test]
    fn the_limiter_rises_all_the_way_and_never_wraps() {
        let mut last = i16::MIN;
        for x in (-140_000..140_000).step_by(7) {
            let y = soft(x);
            assert!(y >= last, "{x}");
            assert!(i32::from(y).abs() <= x.abs());
            last = y;
        }
        assert!(last > 31_000);
    }
}
