//! Silence: whether a frame is worth sending, and what is said of the noise instead (RFC 3389).
//!
//! ```text
//! level of a frame ─▶ noise floor (the least of 1 to 2 s) ─▶ well above it, or loud ─▶ Talk
//!                                                              └─▶ else, after the hangover ─▶ Noise: its level now and then
//! ```
//!
//! A level and nothing else decides, so that music and tones, which no detector of speech would
//! know, are never cut: whatever is louder than the loudest noise taken for one is sent.

use crate::level::{FULL_SCALE_DBM0, dbm0};

/// So far above the floor a frame is talk, in dB.
const ABOVE_FLOOR_DB: f32 = 6.0;
/// Louder than this is never noise, quieter than that never talk, in dBm0.
const LOUDEST_NOISE_DBM0: f32 = -46.0;
const QUIETEST_TALK_DBM0: f32 = -68.0;
/// Half of the time whose least level is the floor, in ms: no one talks for longer without a gap
/// between two sounds.
const WINDOW_MS: u32 = 1_000;
/// Sound goes on for so long after the last talk, in ms: the ends of words are soft.
const HANGOVER_MS: u32 = 260;
/// The noise is described again after so long, or when its level has changed by so much, in dB, but
/// not sooner than that.
const REPEAT_MS: u32 = 1_000;
const CHANGE_DB: f32 = 2.0;
const SOONEST_MS: u32 = 160;
/// Smoothing of the noise's level from frame to frame.
const SMOOTHING: f32 = 0.3;
/// What 0 dBov is in dBm0: a square wave of full scale is 3.01 dB above the sine.
const OVERLOAD_DBM0: f32 = FULL_SCALE_DBM0 + 3.01;

/// What is to be done with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VoiceActivity {
    /// It is sent.
    Talk,
    /// It is left out, and the noise is described by this payload.
    Describe(u8),
    /// It is left out.
    Silence,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Talk, or the time after it.
    Talk { hangover_ms: u32 },
    /// Silence; how long ago the noise was described, and as what.
    Silence { since_ms: u32, said_dbm0: f32 },
}

/// The detector of one stream.
#[derive(Debug)]
pub(crate) struct SilenceDetector {
    /// Least level of the last window, and of this one.
    least_dbm0: [f32; 2],
    window_ms: u32,
    noise_dbm0: f32,
    state: State,
}

impl SilenceDetector {
    pub(crate) fn new() -> Self {
        Self {
            least_dbm0: [LOUDEST_NOISE_DBM0; 2],
            window_ms: 0,
            noise_dbm0: LOUDEST_NOISE_DBM0,
            state: State::Talk {
                hangover_ms: HANGOVER_MS,
            },
        }
    }

    /// Something that is no microphone is sent: silence begins again after it.
    pub(crate) fn restart(&mut self) {
        self.state = State::Talk {
            hangover_ms: HANGOVER_MS,
        };
    }

    /// A frame of so many ms.
    pub(crate) fn frame(&mut self, frame: &[i16], ms: u32) -> VoiceActivity {
        let level = dbm0(frame);
        self.window_ms += ms;
        if self.window_ms >= WINDOW_MS {
            self.window_ms = 0;
            self.least_dbm0 = [self.least_dbm0[1], LOUDEST_NOISE_DBM0];
        }
        self.least_dbm0[1] = self.least_dbm0[1].min(level);
        let floor = self.least_dbm0[0].min(self.least_dbm0[1]);
        let talk =
            level > LOUDEST_NOISE_DBM0 || level > (floor + ABOVE_FLOOR_DB).max(QUIETEST_TALK_DBM0);
        if talk {
            self.restart();
            return VoiceActivity::Talk;
        }
        match &mut self.state {
            State::Talk { hangover_ms } if *hangover_ms > ms => {
                *hangover_ms -= ms;
                // The level of the room is that of its last frames.
                self.noise_dbm0 = level;
                VoiceActivity::Talk
            }
            State::Talk { .. } => self.describe(),
            State::Silence {
                since_ms,
                said_dbm0,
            } => {
                *since_ms += ms;
                self.noise_dbm0 += (level - self.noise_dbm0) * SMOOTHING;
                let changed = (self.noise_dbm0 - *said_dbm0).abs() >= CHANGE_DB;
                if *since_ms >= REPEAT_MS || changed && *since_ms >= SOONEST_MS {
                    self.describe()
                } else {
                    VoiceActivity::Silence
                }
            }
        }
    }

    fn describe(&mut self) -> VoiceActivity {
        self.state = State::Silence {
            since_ms: 0,
            said_dbm0: self.noise_dbm0,
        };
        // RFC 3389 section 3.1: from 0 to −127 dBov.
        VoiceActivity::Describe((OVERLOAD_DBM0 - self.noise_dbm0).round().clamp(0.0, 127.0) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::amplitude_of;
    use crate::test_data::Rng;

    /// A frame of 20 ms of noise at this level.
    fn noise(random: &mut Rng, dbm0: f32) -> Vec<i16> {
        let rms = f64::from(amplitude_of(dbm0)) / 2f64.sqrt();
        (0..160).map(|_| (random.normal() * rms) as i16).collect()
    }

    fn sine(hz: f64, dbm0: f32, from: usize) -> Vec<i16> {
        let amplitude = f64::from(amplitude_of(dbm0));
        (from..from + 160)
            .map(|n| (amplitude * (n as f64 * hz / 8000.0 * std::f64::consts::TAU).sin()) as i16)
            .collect()
    }

    #[test]
    fn a_quiet_room_is_described_once_a_second_at_its_level() {
        let (mut random, mut detector) = (Rng::new(1), SilenceDetector::new());
        let verdicts: Vec<VoiceActivity> = (0..500)
            .map(|_| detector.frame(&noise(&mut random, -58.0), 20))
            .collect();
        let talk = verdicts
            .iter()
            .filter(|v| **v == VoiceActivity::Talk)
            .count();
        assert!(talk <= 25, "{talk} frames of noise are sent");
        let described: Vec<u8> = verdicts
            .iter()
            .filter_map(|v| match v {
                VoiceActivity::Describe(level) => Some(*level),
                VoiceActivity::Talk | VoiceActivity::Silence => None,
            })
            .collect();
        assert!((8..=20).contains(&described.len()), "{described:?}");
        // −58 dBm0 is −64.15 dBov.
        assert!(
            described.iter().all(|level| level.abs_diff(64) <= 2),
            "{described:?}"
        );
    }

    #[test]
    fn words_are_sent_whole_and_the_room_between_them_is_not() {
        let (mut random, mut detector) = (Rng::new(2), SilenceDetector::new());
        let mut sent = [0; 2];
        for frame in 0..1500 {
            let word = frame % 100 < 30;
            let level = if word { -25.0 } else { -60.0 };
            let verdict = detector.frame(&noise(&mut random, level), 20);
            sent[usize::from(word)] += u32::from(verdict == VoiceActivity::Talk);
        }
        assert_eq!(sent[1], 450, "all of the words");
        // 260 ms after each of 15 words.
        assert!(sent[0] <= 15 * 13 + 30, "{} frames between them", sent[0]);
    }

    #[test]
    fn a_room_that_grows_louder_is_described_and_not_sent() {
        let (mut random, mut detector) = (Rng::new(3), SilenceDetector::new());
        let mut late = 0;
        for frame in 0..3000 {
            let level = if frame < 500 { -65.0 } else { -52.0 };
            let verdict = detector.frame(&noise(&mut random, level), 20);
            late += u32::from(frame > 1000 && verdict == VoiceActivity::Talk);
        }
        assert!(late < 20, "{late} frames");
    }

    #[test]
    fn music_and_tones_are_never_cut() {
        for level in [-10.0, -30.0, -40.0] {
            let mut detector = SilenceDetector::new();
            for frame in 0..6000 {
                let verdict = detector.frame(&sine(440.0, level, frame * 160), 20);
                assert_eq!(verdict, VoiceActivity::Talk, "{level} dBm0, frame {frame}");
            }
        }
    }
}
