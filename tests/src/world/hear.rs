//! What was said in a world against what was heard in it.

use std::time::Duration;

use testkit::measure::{Clip, Match, align, align_parts, holes, median};
use testkit::signal::resample;

use super::{PhoneId, World};

/// Likeness from which speech counts as heard while a jitter buffer may still be moving its delay,
/// a sample now and then.
pub const HEARD: f64 = 0.85;

/// Longest delay looked for when speech is compared.
const LONGEST_DELAY: Duration = Duration::from_millis(400);

impl World {
    /// What was said at `from` in the last `length`, against what was heard at `to`: the middle of
    /// parts of 200 ms.
    pub fn compare(&self, from: PhoneId, to: PhoneId, length: Duration) -> Match {
        let parts = self.compare_parts(from, to, length);
        assert!(
            !parts.is_empty(),
            "{} said nothing in the last {length:?}",
            self[from].name
        );
        Match {
            delay_s: median(parts.iter().map(|part| part.delay_s)),
            correlation: median(parts.iter().map(|part| part.correlation)),
            gain_db: median(parts.iter().map(|part| part.gain_db)),
        }
    }

    /// [`World::compare`], each part.
    pub fn compare_parts(&self, from: PhoneId, to: PhoneId, length: Duration) -> Vec<Match> {
        let (said, heard) = self.both(from, to, length);
        align_parts(&said, &heard, 0.2, LONGEST_DELAY.as_secs_f64())
    }

    /// One alignment of the whole of the last `length`: for delays to a fraction of a millisecond.
    pub fn delay(&self, from: PhoneId, to: PhoneId, length: Duration) -> Match {
        let (said, heard) = self.both(from, to, length);
        align(&said, &heard, LONGEST_DELAY.as_secs_f64())
    }

    /// Both on the world's time line, at the lower of the two cards' rates; above 8 kHz there is no
    /// speech to compare.
    fn both(&self, from: PhoneId, to: PhoneId, length: Duration) -> (Clip, Clip) {
        let start = self.now.saturating_sub(length + LONGEST_DELAY);
        let said = self[from].card.said.clip(start, length + LONGEST_DELAY);
        let heard = self[to].card.heard.clip(start, length + LONGEST_DELAY);
        let rate_hz = said.rate_hz.min(heard.rate_hz).min(16_000);
        let bring = |clip: Clip| Clip {
            rate_hz,
            samples: resample(&clip.samples, clip.rate_hz, rate_hz),
        };
        (bring(said), bring(heard))
    }

    /// Speech goes both ways, each side hears the other and not itself, at the level it was said
    /// (±3 dB).
    pub fn assert_speech_both_ways(
        &self,
        l: PhoneId,
        r: PhoneId,
        length: Duration,
        at_least: f64,
    ) -> (Match, Match) {
        let one = self.assert_speech(l, r, length, at_least);
        let other = self.assert_speech(r, l, length, at_least);
        let own = self.compare(l, l, length);
        assert!(
            own.correlation < 0.6,
            "{} hears itself: {own:?}",
            self[l].name
        );
        (one, other)
    }

    /// Speech goes from one to the other.
    pub fn assert_speech(
        &self,
        from: PhoneId,
        to: PhoneId,
        length: Duration,
        at_least: f64,
    ) -> Match {
        let found = self.compare(from, to, length);
        let way = format!("{} to {}", self[from].name, self[to].name);
        let parts = || {
            let parts = self.compare_parts(from, to, length);
            parts
                .iter()
                .map(|part| format!("{:.1}/{:.2}", part.delay_s * 1e3, part.correlation))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert!(
            found.correlation >= at_least,
            "speech from {way}: {found:?}, wanted {at_least}; ms/likeness of each part: {}",
            parts()
        );
        assert!(found.gain_db.abs() < 3.0, "level from {way}: {found:?}");
        found
    }

    /// Share of the loud 10 ms frames said at `from` that are holes in what `to` heard, in the last
    /// `length`.
    pub fn holes(&self, from: PhoneId, to: PhoneId, length: Duration) -> f64 {
        let (said, heard) = self.both(from, to, length);
        holes(&said, &heard, self.compare(from, to, length).delay_s)
    }

    /// What a phone's ear heard in the last `length`.
    pub fn heard(&self, id: PhoneId, length: Duration) -> Clip {
        // What is written to the card now is heard a little later: look at what is surely out.
        let queue = self[id].card.setup();
        let late =
            Duration::from_secs_f64((queue.queue * queue.period) as f64 / f64::from(queue.rate_hz));
        self[id]
            .card
            .heard
            .clip(self.now.saturating_sub(length + late), length)
    }

    /// Nothing is heard in a phone's ear.
    pub fn assert_silent(&self, id: PhoneId, length: Duration) {
        let level = self.heard(id, length).level_dbfs();
        assert!(
            level < -60.0,
            "{} hears something: {level:.1} dBFS",
            self[id].name
        );
    }

    // ---------------------------------------------------------------- the end
}
