//! How the bell sounds where the card plays it: a tone of the phone's own in a cadence, or a
//! recording of its owner's.
//!
//! ```text
//! files of the card ─▶ (decoded by whoever owns them) ─▶ RingSounds::set ─┐
//! Alert, cadence ─────────────────────────────────────▶ RingSounds::tone ─▶ media::RingTone
//! ```

use std::sync::Arc;

use config::schema::RingSound;
use media::{RingClip, RingTone};
use phone::Alert;

use crate::tones;

/// The sounds, and the recordings that were decoded.
#[derive(Debug)]
pub(crate) struct RingSounds {
    sound: RingSound,
    /// Those of the distinctive rings.
    each: Vec<(u8, RingSound)>,
    rising: bool,
    clips: Vec<(String, Arc<RingClip>)>,
    /// Recordings that were replaced while the engine played them: it frees nothing, so they stay
    /// until it has let go.
    replaced: Vec<Arc<RingClip>>,
}

impl RingSounds {
    /// Whether the configuration has a sound for a bell: it says so, or names a card for it.
    pub(crate) fn are_wanted(config: &config::Config) -> bool {
        match config.board.ringer {
            Some(ringer) => ringer == config::schema::RingerChoice::Sound,
            None => config.audio.ringer_card.is_some(),
        }
    }

    pub(crate) fn new(config: &config::Config) -> Self {
        Self {
            sound: config.audio.ring_sound.clone(),
            each: config.audio.ring_sounds.clone(),
            rising: config.audio.ring_rising,
            clips: Vec::new(),
            replaced: Vec::new(),
        }
    }

    /// The recordings, by the names of their files, at the card's rate.
    pub(crate) fn set(&mut self, clips: Vec<(String, Arc<RingClip>)>) {
        self.replaced.retain(|clip| Arc::strong_count(clip) > 1);
        let before = std::mem::replace(&mut self.clips, clips);
        self.replaced
            .extend(before.into_iter().map(|(_, clip)| clip));
    }

    /// The bell for a call. A recording that is not there, or not for this card, gives way to the
    /// bell of the phone's own.
    pub(crate) fn tone(&self, alert: Alert, cadence_ms: &[u16], rate_hz: u32) -> RingTone {
        let own = match alert {
            Alert::Distinctive(number) => self.each.iter().find(|(ring, _)| *ring == number),
            Alert::Normal | Alert::Silent => None,
        };
        let sound = own.map_or(&self.sound, |(_, sound)| sound);
        let clip = sound.file().and_then(|name| self.clip(name, rate_hz));
        RingTone {
            sound: match clip {
                Some(clip) => media::RingSound::Clip(Arc::clone(clip)),
                None => media::RingSound::Tone(tones::ring_tone(sound, cadence_ms)),
            },
            rising: self.rising,
        }
    }

    fn clip(&self, file: &str, rate_hz: u32) -> Option<&Arc<RingClip>> {
        let mut clips = self.clips.iter();
        let found = clips.find(|(name, clip)| name == file && clip.rate_hz() == rate_hz);
        found.map(|(_, clip)| clip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sounds(toml: &str) -> RingSounds {
        let config = config::load(toml, "f").unwrap_or_else(|errors| panic!("{errors}"));
        RingSounds::new(&config)
    }

    fn clip(rate_hz: u32) -> Arc<RingClip> {
        Arc::new(RingClip::new(vec![1, 2, 3], rate_hz))
    }

    #[test]
    fn each_ring_has_its_sound_and_a_missing_file_rings_all_the_same() {
        let toml = "[audio]\nring_sound = \"a.wav\"\n[audio.ring_sounds]\n2 = \"chord\"\n\
                    3 = \"b.opus\"\n";
        let mut sounds = sounds(toml);
        let cadence = [400, 200];
        let tone = |sounds: &RingSounds, alert| sounds.tone(alert, &cadence, 8000).sound;
        let built_in =
            |sound: &RingSound| media::RingSound::Tone(tones::ring_tone(sound, &cadence));
        assert_eq!(tone(&sounds, Alert::Normal), built_in(&RingSound::Bell));
        let (a, b) = (clip(8000), clip(8000));
        sounds.set(vec![
            ("a.wav".to_owned(), Arc::clone(&a)),
            ("b.opus".to_owned(), Arc::clone(&b)),
        ]);
        let recorded = |clip: &Arc<RingClip>| media::RingSound::Clip(Arc::clone(clip));
        assert_eq!(tone(&sounds, Alert::Normal), recorded(&a));
        assert_eq!(tone(&sounds, Alert::Distinctive(1)), recorded(&a));
        let chord = built_in(&RingSound::Chord);
        assert_eq!(tone(&sounds, Alert::Distinctive(2)), chord);
        assert_eq!(tone(&sounds, Alert::Distinctive(3)), recorded(&b));
        // For another card the files are to be decoded again.
        let bell = built_in(&RingSound::Bell);
        assert_eq!(sounds.tone(Alert::Normal, &cadence, 16_000).sound, bell);
    }

    #[test]
    fn a_recording_that_is_played_outlives_its_replacement() {
        let mut sounds = sounds("[audio]\nring_sound = \"a.wav\"\n");
        let first = clip(8000);
        let kept = Arc::downgrade(&first);
        sounds.set(vec![("a.wav".to_owned(), first)]);
        let played = sounds.tone(Alert::Normal, &[], 8000);
        sounds.set(Vec::new());
        assert_eq!(kept.strong_count(), 2, "the engine's, the keeper's");
        sounds.set(Vec::new());
        assert_eq!(kept.strong_count(), 2);
        drop(played);
        sounds.set(Vec::new());
        assert_eq!(kept.strong_count(), 0);
    }
}
