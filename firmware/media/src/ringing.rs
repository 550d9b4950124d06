//! The bell of a phone that has none: a tone in the loudspeaker, at a volume of its own.
//!
//! ```text
//! Command::Ring ─▶ ToneGenerator ─▶ rising gain ─▶ ringer's gain ─▶ over what else is played
//! ```

use crate::command::RingTone;
use crate::gain::Gain;
use crate::mixer::Mixer;
use crate::tone::ToneGenerator;

/// How softly a rising bell begins: 24 dB below its full volume.
const SOFT: f32 = 0.063;
/// How long it takes to be as loud as it gets, within 1 dB.
const RISE_MS: f32 = 15_000.0;

/// The bell.
#[derive(Debug)]
pub(crate) struct Bell {
    generator: ToneGenerator,
    volume: Gain,
    rise: Gain,
    /// How much of the way up is left after each period.
    slowness: f32,
    sound: Box<[i16]>,
}

impl Bell {
    pub(crate) fn new(rate_hz: u32, period_frames: usize) -> Self {
        let period_ms = period_frames as f32 * 1000.0 / rate_hz.max(1) as f32;
        Self {
            generator: ToneGenerator::new(rate_hz),
            volume: Gain::new(),
            rise: Gain::new(),
            // A tenth of the way is left after the rise.
            slowness: 0.1f32.powf(period_ms / RISE_MS),
            sound: vec![0; period_frames].into_boxed_slice(),
        }
    }

    pub(crate) fn set_db(&mut self, db: i8) {
        self.volume.set_db(db);
    }

    pub(crate) fn ring(&mut self, ring: Option<&RingTone>) {
        match ring {
            Some(ring) => {
                self.rise.begin_at(if ring.rising { SOFT } else { 1.0 });
                self.generator.start(ring.tone);
            }
            None => self.generator.stop(),
        }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.generator.is_active()
    }

    /// Adds the bell to what is played.
    pub(crate) fn mix(&mut self, mixer: &mut Mixer, playback: &mut [i16]) {
        if !self.generator.is_active() {
            return;
        }
        self.generator.render(&mut self.sound);
        self.rise.apply_gliding(&mut self.sound, self.slowness);
        self.volume.apply(&mut self.sound);
        mixer.clear();
        mixer.add(playback);
        mixer.add(&self.sound);
        mixer.finish(playback);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::{MAX_SEGMENTS, ToneSegment, ToneSpec};

    fn ring(rising: bool) -> RingTone {
        let mut segments = [ToneSegment::default(); MAX_SEGMENTS];
        segments[0].frequencies_hz[0] = 1000;
        let tone = ToneSpec {
            segments,
            len: 1,
            level_dbm0: -10.0,
        };
        RingTone { tone, rising }
    }

    /// Its loudest sample in each second.
    fn peaks(bell: &mut Bell, seconds: usize) -> Vec<i16> {
        let mut mixer = Mixer::new(80);
        let second = |bell: &mut Bell, mixer: &mut Mixer| {
            let periods = (0..100).map(|_| {
                let mut playback = [0; 80];
                bell.mix(mixer, &mut playback);
                playback.into_iter().max().unwrap()
            });
            periods.max().unwrap()
        };
        (0..seconds).map(|_| second(bell, &mut mixer)).collect()
    }

    #[test]
    fn a_rising_bell_gets_as_loud_as_the_other() {
        let mut bell = Bell::new(8000, 80);
        bell.ring(Some(&ring(false)));
        let loud = peaks(&mut bell, 2);
        assert!(loud[0] == loud[1] && loud[0] > 5000, "{loud:?}");
        bell.ring(Some(&ring(true)));
        let rising = peaks(&mut bell, 20);
        assert!(rising[0] < loud[0] / 4, "{rising:?}");
        assert!(
            rising.windows(2).all(|pair| pair[0] <= pair[1]),
            "{rising:?}"
        );
        assert!(rising[19] > loud[0] / 10 * 9, "{rising:?}");
        bell.ring(None);
        assert_eq!(peaks(&mut bell, 2)[1], 0);
        assert!(!bell.is_active());
    }
}
