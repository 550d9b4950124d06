//! Says words one after the other: each is decoded when the one before it is heard.

use std::collections::VecDeque;

use media::Command;
use media::speech::{Clip, decode};
use types::Language;

use super::vocabulary;
use super::words::Word;

/// Pause after each word, in ms: digits run together without it.
const PAUSE_MS: u32 = 60;

/// What follows a clip that came back.
pub(crate) enum Next {
    /// The next word.
    Word(Box<Clip>),
    /// Everything was said.
    Finished,
    /// The clip belongs to something that is not said any more.
    Nothing,
}

/// The words that are still to be said.
#[derive(Debug)]
pub(crate) struct Speaker {
    rate_hz: u32,
    queue: VecDeque<(Language, Word)>,
    /// The clip that is heard now.
    playing: Option<u32>,
    last_id: u32,
}

impl Speaker {
    /// For a card of this rate.
    pub(crate) fn new(rate_hz: u32) -> Self {
        Self {
            rate_hz,
            queue: VecDeque::new(),
            playing: None,
            last_id: 0,
        }
    }

    /// Says these words instead of what is said now. `None`: there are none.
    pub(crate) fn say(&mut self, words: Vec<(Language, Word)>) -> Option<Box<Clip>> {
        self.queue = words.into();
        self.playing = None;
        self.next()
    }

    /// Says no more.
    pub(crate) fn stop(&mut self) -> Command {
        self.queue.clear();
        self.playing = None;
        Command::StopSpeaking
    }

    /// A clip came back from the engine.
    pub(crate) fn handle_spoken(&mut self, clip: &Clip) -> Next {
        if self.playing != Some(clip.id()) || !clip.is_finished() {
            return Next::Nothing;
        }
        self.playing = None;
        self.next().map_or(Next::Finished, Next::Word)
    }

    fn next(&mut self) -> Option<Box<Clip>> {
        loop {
            let (language, word) = self.queue.pop_front()?;
            let Some(sound) = self.sound(language, word) else {
                tracing::warn!("the word {} cannot be spoken", word.name());
                continue;
            };
            self.last_id = self.last_id.wrapping_add(1);
            self.playing = Some(self.last_id);
            return Some(Clip::new(self.last_id, sound));
        }
    }

    fn sound(&self, language: Language, word: Word) -> Option<Vec<i16>> {
        let packets = vocabulary::packets(language, word)?;
        let mut sound = decode(packets.into_iter(), self.rate_hz).ok()?;
        let pause = (self.rate_hz * PAUSE_MS / 1000) as usize;
        sound.resize(sound.len() + pause, 0);
        Some(sound)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use media::{Engine, EngineConfig, Event};

    use super::*;

    /// Everything heard until the speaker has finished, and in how many clips.
    fn heard(speaker: &mut Speaker, first: Box<Clip>, now: Instant) -> (Vec<i16>, usize) {
        let config = EngineConfig {
            rate_hz: 16_000,
            period_frames: 160,
            sidetone_db: None,
        };
        let mut engine = Engine::new(config, now);
        engine.handle_command(Command::Speak(first), now);
        let (mut sound, mut clips) = (Vec::new(), 0);
        for period in 0..3000 {
            let now = now + Duration::from_millis(10) * period;
            let mut out = [0; 160];
            engine.process(&[0; 160], &mut out, now);
            sound.extend(out);
            while let Some(event) = engine.poll_event() {
                let Event::Spoken(clip) = event else { continue };
                clips += 1;
                match speaker.handle_spoken(&clip) {
                    Next::Word(clip) => engine.handle_command(Command::Speak(clip), now),
                    Next::Finished => return (sound, clips),
                    Next::Nothing => {}
                }
            }
        }
        panic!("it is never finished");
    }

    #[test]
    fn words_are_said_in_order_and_whole() {
        let mut speaker = Speaker::new(16_000);
        let words = [Word::One, Word::Point, Word::Two];
        let first = speaker.say(words.map(|word| (Language::German, word)).to_vec());
        let (sound, clips) = heard(&mut speaker, first.unwrap(), crate::test_origin());
        assert_eq!(clips, 3);
        let expected: usize = words
            .iter()
            .map(|word| speaker.sound(Language::German, *word).unwrap().len())
            .sum();
        assert!(
            (expected..expected + 3 * 320).contains(&sound.len()),
            "{} of {expected} samples",
            sound.len()
        );
    }

    #[test]
    fn a_clip_of_something_stopped_changes_nothing() {
        let mut speaker = Speaker::new(16_000);
        let both = || {
            vec![
                (Language::English, Word::Zero),
                (Language::English, Word::One),
            ]
        };
        let old = speaker.say(both()).unwrap();
        assert!(matches!(speaker.stop(), Command::StopSpeaking));
        assert!(speaker.say(both()).is_some());
        assert!(matches!(speaker.handle_spoken(&old), Next::Nothing));
        assert!(speaker.say(Vec::new()).is_none());
    }
}
