//! The bell of a phone that has none: a tone in the loudspeaker, at a volume of its own.
//!
//! ```text
//! Command::Ring ─▶ ToneGenerator, or a recording ─▶ rising gain ─▶ ringer's gain ─▶ over what else is played, or a card of its own
//! ```

use std::sync::Arc;

use crate::command::{RingClip, RingSound, RingTone};
use crate::gain::Gain;
use crate::tone::ToneGenerator;

/// How softly a rising bell begins: 24 dB below its full volume.
const SOFT: f32 = 0.063;
/// How long it takes to be as loud as it gets, within 1 dB.
const RISE_MS: f32 = 15_000.0;
/// Silence between a recording's end and its next beginning.
const PAUSE_MS: u32 = 1500;
/// Fade of a recording that is cut short, long enough not to click.
const FADE_MS: u32 = 5;

/// The bell.
#[derive(Debug)]
pub(crate) struct Bell {
    rate_hz: u32,
    generator: ToneGenerator,
    clip: Option<Playing>,
    volume: Gain,
    rise: Gain,
    /// How much of the way up is left after each period.
    slowness: f32,
    sound: Box<[i16]>,
    /// It rang in the last period.
    sounds: bool,
}

/// A recording that is played.
#[derive(Debug)]
struct Playing {
    clip: Arc<RingClip>,
    /// The next sample; past the end it is the pause.
    position: usize,
    /// Samples left of the fade, once it was stopped.
    fading: Option<usize>,
}

impl Playing {
    /// Fills a period; whether there is more.
    fn render(&mut self, out: &mut [i16], rate_hz: u32) -> bool {
        let samples = self.clip.samples();
        let whole = samples.len() + (rate_hz * PAUSE_MS / 1000) as usize;
        let fade = (rate_hz * FADE_MS / 1000).max(1) as usize;
        for sample in out {
            *sample = samples.get(self.position).copied().unwrap_or(0);
            if let Some(left) = &mut self.fading {
                *sample = (i64::from(*sample) * *left as i64 / fade as i64) as i16;
                *left = left.saturating_sub(1);
            }
            self.position = (self.position + 1) % whole.max(1);
        }
        self.fading != Some(0)
    }
}

impl Bell {
    pub(crate) fn new(rate_hz: u32, period_frames: usize) -> Self {
        let period_ms = period_frames as f32 * 1000.0 / rate_hz.max(1) as f32;
        Self {
            rate_hz,
            generator: ToneGenerator::new(rate_hz),
            clip: None,
            volume: Gain::new(),
            rise: Gain::new(),
            // A tenth of the way is left after the rise.
            slowness: 0.1f32.powf(period_ms / RISE_MS),
            sound: vec![0; period_frames].into_boxed_slice(),
            sounds: false,
        }
    }

    pub(crate) fn set_db(&mut self, db: i8) {
        self.volume.set_db(db);
    }

    /// Rings from now on. A recording made for another card is not played.
    pub(crate) fn ring(&mut self, ring: Option<RingTone>) {
        let Some(RingTone { sound, rising }) = ring else {
            self.generator.stop();
            if let Some(playing) = &mut self.clip {
                let fade = (self.rate_hz * FADE_MS / 1000).max(1) as usize;
                playing.fading.get_or_insert(fade);
            }
            return;
        };
        self.rise.begin_at(if rising { SOFT } else { 1.0 });
        match sound {
            RingSound::Tone(tone) => {
                self.clip = None;
                self.generator.start(tone);
            }
            RingSound::Clip(clip) => {
                self.generator.stop();
                let fits = clip.rate_hz() == self.rate_hz && !clip.samples().is_empty();
                self.clip = fits.then_some(Playing {
                    clip,
                    position: 0,
                    fading: None,
                });
            }
        }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.generator.is_active() || self.clip.is_some()
    }

    /// The bell's next period, if it rings.
    pub(crate) fn render(&mut self) -> Option<&[i16]> {
        self.sounds = self.is_active();
        if !self.sounds {
            return None;
        }
        if let Some(playing) = &mut self.clip {
            if !playing.render(&mut self.sound, self.rate_hz) {
                self.clip = None;
            }
        } else {
            self.generator.render(&mut self.sound);
        }
        self.rise.apply_gliding(&mut self.sound, self.slowness);
        self.volume.apply(&mut self.sound);
        Some(&self.sound)
    }

    /// The period rendered last, if it rang.
    pub(crate) fn sounding(&self) -> Option<&[i16]> {
        self.sounds.then_some(&*self.sound)
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
        let sound = RingSound::Tone(tone);
        RingTone { sound, rising }
    }

    /// Its loudest sample in each second.
    fn peaks(bell: &mut Bell, seconds: usize) -> Vec<i16> {
        let loudest = |bell: &mut Bell| {
            let sound = bell.render().unwrap_or_default();
            sound.iter().copied().max().unwrap_or(0)
        };
        let second = |bell: &mut Bell| (0..100).map(|_| loudest(bell)).max().unwrap();
        (0..seconds).map(|_| second(bell)).collect()
    }

    #[test]
    fn a_rising_bell_gets_as_loud_as_the_other() {
        let mut bell = Bell::new(8000, 80);
        bell.ring(Some(ring(false)));
        let loud = peaks(&mut bell, 2);
        assert!(loud[0] == loud[1] && loud[0] > 5000, "{loud:?}");
        bell.ring(Some(ring(true)));
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

    #[test]
    fn a_recording_repeats_after_a_pause_and_is_given_back() {
        let samples: Vec<i16> = (0..8000)
            .map(|n| if n % 2 == 0 { 900 } else { -900 })
            .collect();
        let clip = Arc::new(RingClip::new(samples.clone(), 8000));
        let recording = |clip: &Arc<RingClip>| RingTone {
            sound: RingSound::Clip(Arc::clone(clip)),
            rising: false,
        };
        let mut bell = Bell::new(8000, 80);
        let play = |bell: &mut Bell, periods: usize| {
            let mut heard: Vec<i16> = Vec::new();
            for _ in 0..periods {
                heard.extend(bell.render().unwrap_or(&[0; 80]));
            }
            heard
        };
        bell.ring(Some(recording(&clip)));
        let heard = play(&mut bell, 300);
        assert_eq!(heard[..8000], samples);
        assert!(
            heard[8000..20_000].iter().all(|sample| *sample == 0),
            "the pause"
        );
        assert_eq!(heard[20_000..24_000], samples[..4000]);
        bell.ring(None);
        let heard = play(&mut bell, 2);
        assert!(
            heard[0] != 0 && heard[40..].iter().all(|sample| *sample == 0),
            "it fades"
        );
        assert!(!bell.is_active() && Arc::strong_count(&clip) == 1);
        // One for another card's rate is not played.
        let other = Arc::new(RingClip::new(samples, 16_000));
        bell.ring(Some(recording(&other)));
        assert!(!bell.is_active() && Arc::strong_count(&other) == 1);
    }
}
