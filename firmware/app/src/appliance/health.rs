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

/// What a tick decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HealthTick {
    /// Both threads are alive: feed the watchdog.
    pub(crate) feed: bool,
    /// This slot is good; reported once.
    pub(crate) good: bool,
}

/// Watches both threads.
#[derive(Debug)]
pub(crate) struct Health {
    /// The configuration was read without errors, or there is none.
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
    pub(crate) fn tick(&mut self, beat: u64, card: bool, inputs: bool, now: Instant) -> HealthTick {
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
        HealthTick { feed, good }
    }
}

#[cfg(test)]
mod tests {
    use board::watchdog::{SimulatedWatchdog, Watchdog};

    use super::*;

    const TICK: Duration = Duration::from_millis(500);

    /// A phone in virtual time: its health, its watchdog, and how long each of its threads runs.
    struct Scenario {
        t0: Instant,
        audio: Duration,
        control: Duration,
        card: std::ops::Range<Duration>,
        inputs: bool,
        parsed: bool,
    }

    impl Scenario {
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
        fn run(&self) -> (Option<Duration>, Option<Duration>) {
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
                        assert_eq!(good, None, "reported twice");
                        good = Some(at);
                    }
                }
                at += TICK;
            }
            (None, good)
        }
    }

    #[test]
    fn a_running_phone_is_fed_and_found_good_once() {
        assert_eq!(Scenario::new().run(), (None, Some(PROVEN)));
    }

    #[test]
    fn a_frozen_audio_thread_resets_the_board() {
        let scenario = Scenario {
            audio: Duration::from_secs(100),
            ..Scenario::new()
        };
        let (reset, _) = scenario.run();
        let after = reset.unwrap().saturating_sub(scenario.audio);
        assert!(
            after >= Duration::from_secs(15) && after <= Duration::from_secs(15) + AUDIO_ALIVE,
            "{after:?}"
        );
    }

    #[test]
    fn a_frozen_control_thread_resets_the_board() {
        let scenario = Scenario {
            control: Duration::from_secs(100),
            ..Scenario::new()
        };
        let after = scenario.run().0.unwrap().saturating_sub(scenario.control);
        assert!(after <= Duration::from_secs(15), "{after:?}");
    }

    #[test]
    fn a_slot_without_sound_or_configuration_is_never_good() {
        let second = Duration::from_secs(1);
        let no_sound = Scenario {
            card: Duration::ZERO..Duration::ZERO,
            ..Scenario::new()
        };
        assert_eq!(no_sound.run(), (None, None), "it runs, but is not good");
        let no_configuration = Scenario {
            parsed: false,
            ..Scenario::new()
        };
        assert_eq!(no_configuration.run(), (None, None));
        let no_inputs = Scenario {
            inputs: false,
            ..Scenario::new()
        };
        assert_eq!(no_inputs.run(), (None, None), "no one can lift the handset");
        let late = Scenario {
            card: 30 * second..4000 * second,
            ..Scenario::new()
        };
        assert_eq!(
            late.run(),
            (None, Some(90 * second)),
            "the minute is one with sound"
        );
    }
}
