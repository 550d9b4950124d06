//! What is heard in a story: words, recordings, how loud, and one's own voice.

use std::sync::Arc;
use std::time::Duration;

use control::speech::vocabulary;
use control::speech::words::Word;
use media::RingClip;
use offhook_tests::tones::DBM0_ABOVE_DBFS;
use offhook_tests::world::PhoneId;
use testkit::measure::level_dbfs;
use testkit::signal::{Source, resample};
use types::Language;

use super::{NAMES, Story, ms, secs};

/// What comes back of the loudspeaker's amplitude in a room that echoes.
pub(super) const ECHO: f64 = 0.5;
/// Who hears itself this much lower does not notice.
const UNNOTICED_DB: f64 = -25.0;

impl Story {
    /// The phone's voice says these words, from now on, in this order: each is found in what the
    /// ear hears where the one before it ends.
    pub(super) fn says(&mut self, id: PhoneId, words: &[&str], line: &str) {
        let clips: Vec<Vec<i16>> = words.iter().map(|word| spoken(word)).collect();
        let samples: usize = clips.iter().map(Vec::len).sum();
        let length = ms(samples as u64 * 1000 / u64::from(VOICE_HZ))
            + ms(100) * words.len() as u32
            + TONE_FIRST;
        self.world.run(length);
        // A key speaks when it goes down, which was a moment ago.
        let heard = self.world.heard(id, length + KEY_DOWN);
        let heard = resample(&heard.samples, heard.rate_hz, VOICE_HZ);
        // The first may come after a tone; each of the others follows at once.
        let first = (TONE_FIRST + KEY_DOWN).as_millis() as usize;
        let (mut from, mut within) = (0, first * VOICE_HZ as usize / 1000);
        for (word, clip) in words.iter().zip(&clips) {
            let (at, likeness) = find(&heard, clip, from, within);
            println!(
                "    {word}: {likeness:.2} after {} ms",
                at * 1000 / VOICE_HZ as usize
            );
            assert!(likeness > 0.7, "{line}: {word} is not heard: {likeness:.2}");
            from = at + clip.len();
            within = VOICE_HZ as usize / 5;
        }
    }

    /// How loud it is in the ear, over the last half second.
    pub(super) fn loudness(&mut self, id: PhoneId, wanted_dbm0: f64, line: &str) {
        self.world.run(ms(700));
        let heard = self.world.heard(id, ms(500));
        let found = level_dbfs(&heard.samples) + DBM0_ABOVE_DBFS;
        println!("    {found:.1} dBm0");
        assert!((found - wanted_dbm0).abs() < 1.0, "{line}: {found:.1} dBm0");
    }

    /// A recording lies on the card.
    pub(super) fn add_recording(&mut self, id: PhoneId, file: &str) {
        let rate_hz = self.world[id].card.setup().rate_hz;
        let clip = Arc::new(RingClip::new(recording(file, rate_hz), rate_hz));
        let clips = vec![(file.to_owned(), clip)];
        self.world[id].control.set_ring_clips(clips);
    }

    /// The whole recording is heard, from some time within five seconds on.
    pub(super) fn hears_recording(&mut self, id: PhoneId, file: &str) {
        let rate_hz = self.world[id].card.setup().rate_hz;
        let clip = resample(&recording(file, rate_hz), rate_hz, VOICE_HZ);
        let length = secs(5) + RECORDING;
        self.world.run(length);
        let heard = self.world.heard(id, length);
        let heard = resample(&heard.samples, heard.rate_hz, VOICE_HZ);
        let (at, likeness) = find(&heard, &clip, 0, heard.len() - clip.len());
        let name = NAMES[id.0];
        println!(
            "    {file}: {likeness:.2} after {} ms",
            at * 1000 / VOICE_HZ as usize
        );
        assert!(likeness > 0.9, "{name} does not hear {file}: {likeness:.2}");
    }

    /// How loud its ringer card was, from 0.2 to 0.7 s from now.
    pub(super) fn ringer_card(&mut self, id: PhoneId, how: &[&str], line: &str) {
        self.world.run(ms(700));
        let rate_hz = self.world[id].card.setup().rate_hz as usize;
        let played = self.world[id].ringer_card.iter().flatten().copied();
        let played: Vec<i16> = played.collect();
        assert!(played.len() >= rate_hz / 2, "{line}: it does not run");
        let found = level_dbfs(&played[played.len() - rate_hz / 2..]) + DBM0_ABOVE_DBFS;
        println!("    {found:.1} dBm0");
        match how {
            ["is", "silent"] => assert!(found < -54.0, "{line}: {found:.1} dBm0"),
            ["has", wanted, "dBm0"] => {
                let wanted: f64 = wanted.parse().unwrap_or_else(|_| panic!("{line}"));
                assert!((found - wanted).abs() < 1.0, "{line}: {found:.1} dBm0");
            }
            _ => panic!("not understood: {line}"),
        }
    }

    /// What it says comes back from the far end's room.
    pub(super) fn hears_itself(&mut self, id: PhoneId, wanted: bool, line: &str) {
        self.world.run(secs(4));
        let found = self.world.compare(id, id, secs(2));
        println!("    {found:?}");
        let is_heard = found.correlation > 0.5 && found.gain_db > UNNOTICED_DB;
        assert_eq!(is_heard, wanted, "{line}: {found:?}");
    }
}

/// How long a recording of a story is.
const RECORDING: Duration = Duration::from_millis(1500);

/// What is in a file of this name: a voice of its own.
fn recording(file: &str, rate_hz: u32) -> Vec<i16> {
    let seed = file.bytes().map(u64::from).sum();
    let mut samples = vec![0; rate_hz as usize * RECORDING.as_millis() as usize / 1000];
    Source::voice(seed, rate_hz).read(0, &mut samples);
    samples
}

/// Rate at which words are compared: low, so that it is quick.
const VOICE_HZ: u32 = 4000;
/// How long a key that is pressed is down, and then not.
const KEY_DOWN: Duration = Duration::from_millis(300);
/// Longest time before the first word.
const TONE_FIRST: Duration = Duration::from_millis(2500);

/// A word of the phone's voice, `NAME` in English or `LANGUAGE:NAME`.
fn spoken(word: &str) -> Vec<i16> {
    let (language, name) = match word.split_once(':') {
        Some((language, name)) => (Language::from_name(language), name),
        None => (Some(Language::English), word),
    };
    let language = language.unwrap_or_else(|| panic!("no language: {word}"));
    let found = Word::ALL.iter().find(|known| known.name() == name);
    let found = found.unwrap_or_else(|| panic!("no such word: {word}"));
    let packets = vocabulary::packets(language, *found);
    let packets = packets.unwrap_or_else(|| panic!("not in the file: {word}"));
    let sound = media::speech::decode(packets.into_iter(), 48_000);
    let sound = sound.unwrap_or_else(|error| panic!("{word}: {error}"));
    resample(&sound, 48_000, VOICE_HZ)
}

/// Where `clip` lies in `heard`, from `from` on within `within` samples, and how alike it is there.
fn find(heard: &[i16], clip: &[i16], from: usize, within: usize) -> (usize, f64) {
    let energy = |sound: &[i16]| -> f64 { sound.iter().map(|x| f64::from(*x).powi(2)).sum() };
    let own = energy(clip).max(1.0);
    let mut best = (from, 0.0);
    for at in from..from + within {
        let Some(part) = heard.get(at..at + clip.len()) else {
            break;
        };
        let product: f64 = part
            .iter()
            .zip(clip)
            .map(|(l, r)| f64::from(*l) * f64::from(*r))
            .sum();
        let likeness = product / (own * energy(part).max(1.0)).sqrt();
        if likeness > best.1 {
            best = (at, likeness);
        }
    }
    best
}
