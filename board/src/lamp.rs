//! Lamps: a pattern becomes a light.
//!
//! ```text
//! LampState ─▶ LampSequencer ─▶ lit or dark at this moment ─▶ LampDriver ─▶ OutputPin
//! ```

use std::time::{Duration, Instant};

use embedded_hal::digital::OutputPin;
use types::LampState;

use crate::BoardError;

/// Lit or dark, and until when; pure.
#[derive(Debug, Clone, Copy)]
pub struct LampSequencer {
    state: LampState,
    since: Instant,
}

impl LampSequencer {
    /// Begins the pattern at `now`.
    pub fn new(state: LampState, now: Instant) -> Self {
        Self { state, since: now }
    }

    /// Lit or dark at `now`, and when that changes (`None`: never).
    pub fn at(&self, now: Instant) -> (bool, Option<Instant>) {
        let run = now.saturating_duration_since(self.since);
        let blink = |half_ms: u64| {
            let half = Duration::from_millis(half_ms);
            let nth = run.as_nanos() / half.as_nanos();
            let within = Duration::from_nanos((run.as_nanos() % half.as_nanos()) as u64);
            (
                nth.is_multiple_of(2),
                Some(now + half.saturating_sub(within)),
            )
        };
        match self.state {
            LampState::Off | LampState::Code(0) => (false, None),
            LampState::On => (true, None),
            LampState::Slow => blink(500),
            LampState::Fast => blink(100),
            LampState::Code(flashes) => {
                let group = 400 * u64::from(flashes) + 800;
                let within = (run.as_millis() % u128::from(group)) as u64;
                if within >= 400 * u64::from(flashes) {
                    return (false, Some(now + Duration::from_millis(group - within)));
                }
                blink_from(within, now)
            }
        }
    }
}

/// One of the 200 ms flashes of a code, `within` ms into the group.
fn blink_from(within: u64, now: Instant) -> (bool, Option<Instant>) {
    (
        (within / 200).is_multiple_of(2),
        Some(now + Duration::from_millis(200 - within % 200)),
    )
}

/// A lamp on a pin; high is lit.
pub struct LampDriver<P: OutputPin> {
    pin: P,
    sequencer: LampSequencer,
    lit: bool,
    next: Option<Instant>,
}

impl<P: OutputPin> LampDriver<P> {
    /// Takes the pin and makes it dark.
    pub fn new(mut pin: P, now: Instant) -> Result<Self, BoardError> {
        pin.set_low().map_err(|e| BoardError::pin("lamp", 0, &e))?;
        Ok(Self {
            pin,
            sequencer: LampSequencer::new(LampState::Off, now),
            lit: false,
            next: None,
        })
    }

    /// Shows a pattern, from its beginning; the one already shown goes on undisturbed.
    pub fn show(&mut self, state: LampState, now: Instant) -> Result<(), BoardError> {
        if self.sequencer.state != state {
            self.sequencer = LampSequencer::new(state, now);
        }
        self.handle_timeout(now)
    }

    /// Brings the pin up to date.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), BoardError> {
        let (lit, next) = self.sequencer.at(now);
        self.next = next;
        if lit != self.lit {
            let set = if lit {
                self.pin.set_high()
            } else {
                self.pin.set_low()
            };
            set.map_err(|e| BoardError::pin("lamp", 0, &e))?;
            self.lit = lit;
        }
        Ok(())
    }

    /// When to call [`LampDriver::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pins::SimulatedPin;

    /// Moments (ms) at which the lamp changes within two seconds, driven by its own timeouts.
    fn changes(state: LampState) -> Vec<(u128, bool)> {
        let t0 = Instant::now();
        let pin = SimulatedPin::default();
        let mut lamp = LampDriver::new(pin.clone(), t0).unwrap();
        lamp.show(state, t0).unwrap();
        let mut seen = vec![(0, pin.is_high())];
        while let Some(next) = lamp
            .poll_timeout()
            .filter(|&next| next < t0 + Duration::from_secs(2))
        {
            lamp.handle_timeout(next).unwrap();
            assert!(
                lamp.poll_timeout().is_none_or(|after| after > next),
                "stuck"
            );
            if pin.is_high() != seen[seen.len() - 1].1 {
                seen.push(((next - t0).as_millis(), pin.is_high()));
            }
        }
        seen
    }

    #[test]
    fn patterns_differ_from_each_other() {
        assert_eq!(changes(LampState::Off), [(0, false)]);
        assert_eq!(changes(LampState::On), [(0, true)]);
        assert_eq!(
            changes(LampState::Slow),
            [(0, true), (500, false), (1000, true), (1500, false)]
        );
        let fast = changes(LampState::Fast);
        assert_eq!(
            (fast.len(), fast[1], fast[19]),
            (20, (100, false), (1900, false))
        );
        assert_eq!(
            changes(LampState::Code(2)),
            [
                (0, true),
                (200, false),
                (400, true),
                (600, false),
                (1600, true),
                (1800, false)
            ]
        );
        assert_eq!(changes(LampState::Code(0)), [(0, false)]);
    }

    #[test]
    fn setting_the_same_pattern_does_not_restart_it() {
        let t0 = Instant::now();
        let pin = SimulatedPin::default();
        let mut lamp = LampDriver::new(pin.clone(), t0).unwrap();
        lamp.show(LampState::Slow, t0).unwrap();
        lamp.show(LampState::Slow, t0 + Duration::from_millis(600))
            .unwrap();
        assert!(!pin.is_high());
    }
}
