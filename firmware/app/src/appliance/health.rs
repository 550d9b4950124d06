//! Alive or not: the audio thread by its heart beat, the control thread by asking at all. Feeds the
//! watchdog, and reports once that a slot is good.
//!
//! ```text
//! tick(beat, card, inputs, now) ─▶ feed: the beat moved within AUDIO_ALIVE
//!                       └▶ good: once, after 60 s in which every tick fed, the card was open and the
//!                          inputs were there
//! ```
//!
//! There is no timer in here: a control thread that hangs does not tick, so nothing is fed.

use std::time::{Duration, Instant};

/// The audio thread is alive while its heart beat within this time.
pub(crate) const AUDIO_ALIVE: Duration = Duration::from_secs(2);
/// A phone that ran so long without a fault will go on running.
pub(crate) const PROVEN: Duration = Duration::from_secs(60);

/// What a tick says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Both threads are alive: feed the watchdog.
    pub(crate) feed: bool,
    /// This slot is good; said once.
    pub(crate) good: bool,
}

/// Watches both threads.
#[derive(Debug)]
pub(crate) struct Health {
    /// A configuration was read that somebody wrote without errors, or none was there.
    parsed: bool,
    beat: (u64, Instant),
    /// Since when nothing was wrong.
    well_since: Option<Instant>,
    reported: bool,
}

impl Health {
    pub(crate) fn new(parsed: bool, now: Instant) -> Self {
        Self {
            parsed,
            beat: (0, now),
            well_since: None,
            reported: false,
        }
    }

    /// The control thread is here; `beat` is the audio thread's counter, `card` whether a sound
    /// card is open, `inputs` whether hook and keys are there as they were in the slot before.
    pub(crate) fn tick(&mut self, beat: u64, card: bool, inputs: bool, now: Instant) -> Verdict {
        if beat != self.beat.0 {
            self.beat = (beat, now);
        }
        let feed = now.saturating_duration_since(self.beat.1) < AUDIO_ALIVE;
        if feed && card && inputs {
            self.well_since.get_or_insert(now);
        } else {
            self.well_since = None;
        }
        let proven = self
            .well_since
            .is_some_and(|since| now.saturating_duration_since(since) >= PROVEN);
        let good = proven && self.parsed && !self.reported;
        self.reported |= good;
        Verdict { feed, good }
    }
}

#[cfg(test)]
mod tests {
    use board::watchdog::{SimulatedWatchdog, Watchdog};

    use super::*;

    const TICK: Duration = Duration::from_millis(250);

    /// A phone in virtual time: its health, its watchdog, and how long each of its threads lives.
    struct Life {
        t0: Instant,
        audio: Duration,
        control: Duration,
        card: std::ops::Range<Duration>,
        inputs: bool,
        parsed: bool,
    }

    impl Life {
        fn new() -> Self {
            let day = Duration::from_secs(86_400);
            Self {
                t0: Instant::now(),
                audio: day,
                control: day,
                card: Duration::ZERO..day,
                inputs: true,
                parsed: true,
            }
        }

        /// Until the watchdog resets the board, or an hour is over; and when the slot was found
        /// good.
        fn live(&self) -> (Option<Duration>, Option<Duration>) {
            let mut dog = SimulatedWatchdog::new(Duration::from_secs(15), self.t0);
            let mut health = Health::new(self.parsed, self.t0);
            let (mut beat, mut good) = (0, None);
            let mut at = Duration::ZERO;
            while at < Duration::from_secs(3600) {
                let now = self.t0 + at;
                if dog.expires_at().is_some_and(|at| at <= now) {
                    return (Some(at), good);
                }
                if at < self.audio {
                    beat += 50;
                }
                if at < self.control {
                    let verdict = health.tick(beat, self.card.contains(&at), self.inputs, now);
                    if verdict.feed {
                        dog.feed(now).unwrap();
                    }
                    if verdict.good {
                        assert_eq!(good, None, "said twice");
                        good = Some(at);
                    }
                }
                at += TICK;
            }
            (None, good)
        }
    }

    #[test]
    fn a_phone_that_lives_is_fed_and_found_good_once() {
        assert_eq!(Life::new().live(), (None, Some(PROVEN)));
    }

    #[test]
    fn a_frozen_audio_thread_resets_the_board() {
        let life = Life {
            audio: Duration::from_secs(100),
            ..Life::new()
        };
        let (reset, _) = life.live();
        let after = reset.unwrap().saturating_sub(life.audio);
        assert!(
            after >= Duration::from_secs(15) && after <= Duration::from_secs(15) + AUDIO_ALIVE,
            "{after:?}"
        );
    }

    #[test]
    fn a_frozen_control_thread_resets_the_board() {
        let life = Life {
            control: Duration::from_secs(100),
            ..Life::new()
        };
        let after = life.live().0.unwrap().saturating_sub(life.control);
        assert!(after <= Duration::from_secs(15), "{after:?}");
    }

    #[test]
    fn a_slot_without_sound_or_configuration_is_never_good() {
        let second = Duration::from_secs(1);
        let deaf = Life {
            card: Duration::ZERO..Duration::ZERO,
            ..Life::new()
        };
        assert_eq!(deaf.live(), (None, None), "it lives, but is not good");
        let illiterate = Life {
            parsed: false,
            ..Life::new()
        };
        assert_eq!(illiterate.live(), (None, None));
        let mute = Life {
            inputs: false,
            ..Life::new()
        };
        assert_eq!(mute.live(), (None, None), "no one can lift the handset");
        let late = Life {
            card: 30 * second..4000 * second,
            ..Life::new()
        };
        assert_eq!(
            late.live(),
            (None, Some(90 * second)),
            "the minute is one with sound"
        );
    }
}
