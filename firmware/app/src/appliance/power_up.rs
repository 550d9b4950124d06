//! A key held at power-up: `#` for three seconds the self-test, `0` for three the search for what
//! is wired, `*` for ten the factory reset.
//!
//! ```text
//! KeyDown within the first seconds ─▶ held ─┬─ 3 s `#` ─▶ SelfTest        KeyUp, another key: nothing
//!                                           ├─ 3 s `0` ─▶ Wiring
//!                                           └─ 10 s `*` ─▶ FactoryReset
//! ```

use std::time::{Duration, Instant};

use board::BoardEvent;

/// A key counts that was down when the phone first looked at its keys; so long may the keypad take
/// to say so.
const FIRST: Duration = Duration::from_secs(2);

/// What a held key orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeldKey {
    /// Walk through speaker, microphone, keys, hook, lamps, bell and network.
    SelfTest,
    /// Find out which line is what.
    Wiring,
    /// Erase every setting, password and history.
    FactoryReset,
}

/// What hangs on a held key.
#[derive(Debug, Default)]
pub(crate) struct PowerUp {
    /// Counted from the first look, not from the start: opening a slow sound card comes in between.
    until: Option<Instant>,
    held: Option<(char, Instant)>,
    over: bool,
}

impl PowerUp {
    /// The board saw something.
    pub(crate) fn handle_board(&mut self, event: BoardEvent, now: Instant) {
        let until = *self.until.get_or_insert(now + FIRST);
        match event {
            BoardEvent::KeyDown(key) if self.held.is_none() && now <= until => {
                self.held = Some((key, now));
            }
            // A second key, or a key let go: the user is doing something else.
            BoardEvent::KeyDown(_) | BoardEvent::KeyUp(_) => self.over = true,
            BoardEvent::Hook(_)
            | BoardEvent::FlashKey
            | BoardEvent::Rotary(_)
            | BoardEvent::Function(_) => {}
        }
    }

    /// Whether it was held long enough; said once.
    pub(crate) fn tick(&mut self, now: Instant) -> Option<HeldKey> {
        self.until.get_or_insert(now + FIRST);
        if self.over {
            return None;
        }
        let (key, since) = self.held?;
        let held = now.saturating_duration_since(since);
        let order = match key {
            '#' if held >= Duration::from_secs(3) => HeldKey::SelfTest,
            '0' if held >= Duration::from_secs(3) => HeldKey::Wiring,
            '*' if held >= Duration::from_secs(10) => HeldKey::FactoryReset,
            _ => return None,
        };
        self.over = true;
        Some(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key events at milliseconds, and what was ordered when.
    fn story(events: &[(u64, BoardEvent)]) -> Option<(u64, HeldKey)> {
        story_from(0, events)
    }

    /// The same for a phone that first looks at its keys so many milliseconds after its start.
    fn story_from(from: u64, events: &[(u64, BoardEvent)]) -> Option<(u64, HeldKey)> {
        let t0 = Instant::now();
        let at = |ms: u64| t0 + Duration::from_millis(ms);
        let mut power_up = PowerUp::default();
        let mut ordered = None;
        for ms in (from..20_000).step_by(50) {
            for (_, event) in events.iter().filter(|(when, _)| *when == ms) {
                power_up.handle_board(*event, at(ms));
            }
            if let Some(order) = power_up.tick(at(ms)) {
                assert_eq!(ordered, None, "said twice");
                ordered = Some((ms, order));
            }
        }
        ordered
    }

    #[test]
    fn held_long_enough_it_is_an_order() {
        assert_eq!(
            story(&[(100, BoardEvent::KeyDown('#'))]),
            Some((3100, HeldKey::SelfTest))
        );
        assert_eq!(
            story(&[(100, BoardEvent::KeyDown('0'))]),
            Some((3100, HeldKey::Wiring))
        );
        assert_eq!(
            story(&[(50, BoardEvent::KeyDown('*'))]),
            Some((10_050, HeldKey::FactoryReset))
        );
    }

    #[test]
    fn a_slow_start_misses_no_key() {
        assert_eq!(
            story_from(5000, &[(5100, BoardEvent::KeyDown('*'))]),
            Some((15_100, HeldKey::FactoryReset))
        );
        assert_eq!(story_from(5000, &[(7500, BoardEvent::KeyDown('*'))]), None);
    }

    #[test]
    fn anything_else_is_not() {
        assert_eq!(story(&[]), None);
        assert_eq!(
            story(&[
                (100, BoardEvent::KeyDown('*')),
                (9900, BoardEvent::KeyUp('*'))
            ]),
            None
        );
        assert_eq!(
            story(&[
                (100, BoardEvent::KeyDown('*')),
                (5000, BoardEvent::KeyDown('1'))
            ]),
            None
        );
        assert_eq!(
            story(&[(2500, BoardEvent::KeyDown('*'))]),
            None,
            "pressed later, it is a key like any other"
        );
        assert_eq!(story(&[(100, BoardEvent::KeyDown('5'))]), None);
    }
}
