//! Presses a whole row of keys for `ctl press`, and dials one for `ctl dial`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use types::Key;

/// How long a key pressed by `ctl press` stays down.
const DOWN: Duration = Duration::from_millis(100);
/// The pause between two such keys.
const UP: Duration = Duration::from_millis(60);
/// The pause a `,` makes.
const COMMA: Duration = Duration::from_millis(500);
/// How long the dial needs for one pulse, and between two digits.
const PULSE: Duration = Duration::from_millis(100);
const BETWEEN_DIGITS: Duration = Duration::from_millis(600);
/// Most keys waiting to be pressed.
pub(crate) const MAX_KEYS: usize = 256;

/// One movement of the finger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Touch {
    /// A key goes down.
    Down(Key),
    /// A key comes up.
    Up(Key),
    /// The dial has run home after this digit.
    Dialled(Key),
}

/// Presses a row of keys in a person's rhythm.
#[derive(Debug, Default)]
pub(crate) struct Finger {
    waiting: VecDeque<(Instant, Touch)>,
    free_at: Option<Instant>,
}

impl Finger {
    /// Takes a row of keys; all or nothing. The error names what is wrong with it.
    pub(crate) fn press(&mut self, keys: &str, now: Instant) -> Result<(), String> {
        let wanted = keys.chars().count();
        if wanted + self.waiting.len() / 2 > MAX_KEYS {
            return Err(format!(
                "{wanted} keys are too many at once; at most {MAX_KEYS} may wait to be pressed"
            ));
        }
        if let Some(bad) = keys
            .chars()
            .find(|cap| *cap != ',' && Key::from_char(*cap).is_none())
        {
            return Err(format!(
                "{bad:?} is no key; use 0-9, *, #, A-D, and ',' for a pause of 500 ms"
            ));
        }
        let mut at = self.free_at.map_or(now, |free| free.max(now));
        for cap in keys.chars() {
            let Some(key) = Key::from_char(cap) else {
                at += COMMA;
                continue;
            };
            self.waiting.push_back((at, Touch::Down(key)));
            self.waiting.push_back((at + DOWN, Touch::Up(key)));
            at += DOWN + UP;
        }
        self.free_at = Some(at);
        Ok(())
    }

    /// Dials a row of digits on a rotary dial (10 pulses a second); all or nothing.
    pub(crate) fn dial(&mut self, digits: &str, now: Instant) -> Result<(), String> {
        if digits.chars().count() + self.waiting.len() > MAX_KEYS {
            return Err(format!(
                "too many digits at once; at most {MAX_KEYS} may wait to be dialled"
            ));
        }
        if let Some(bad) = digits.chars().find(|digit| !digit.is_ascii_digit()) {
            return Err(format!("{bad:?} is not on the dial; use 0-9"));
        }
        let mut at = self.free_at.map_or(now, |free| free.max(now));
        for digit in digits.bytes().map(|digit| digit - b'0') {
            let pulses = if digit == 0 { 10 } else { u32::from(digit) };
            at += PULSE * pulses;
            self.waiting
                .push_back((at, Touch::Dialled(Key::Digit(digit))));
            at += BETWEEN_DIGITS;
        }
        self.free_at = Some(at);
        Ok(())
    }

    /// The next movement that is due.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Touch> {
        if self.waiting.front().is_some_and(|(at, _)| *at <= now) {
            return self.waiting.pop_front().map(|(_, touch)| touch);
        }
        None
    }

    /// When the next movement is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.waiting.front().map(|(at, _)| *at)
    }

    /// How long it will take until the last movement.
    pub(crate) fn busy(&self, now: Instant) -> Duration {
        self.waiting
            .back()
            .map_or(Duration::ZERO, |(at, _)| at.saturating_duration_since(now))
    }

    /// Movements still to come.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finger_keeps_its_rhythm() {
        let start = Instant::now();
        let mut finger = Finger::default();
        finger.press("1,2", start).unwrap();
        let mut seen = Vec::new();
        for ms in 0..2000 {
            while let Some(touch) = finger.poll(start + Duration::from_millis(ms)) {
                seen.push((ms, touch));
            }
        }
        let (one, two) = (Key::Digit(1), Key::Digit(2));
        assert_eq!(
            seen,
            [
                (0, Touch::Down(one)),
                (100, Touch::Up(one)),
                (660, Touch::Down(two)),
                (760, Touch::Up(two))
            ]
        );
        assert_eq!((finger.len(), finger.due()), (0, None));
    }

    #[test]
    fn a_dial_takes_its_time_for_each_digit() {
        let start = Instant::now();
        let mut finger = Finger::default();
        finger.dial("30", start).unwrap();
        assert_eq!(finger.poll(start + Duration::from_millis(299)), None);
        assert_eq!(
            finger.poll(start + Duration::from_millis(300)),
            Some(Touch::Dialled(Key::Digit(3)))
        );
        assert_eq!(finger.due(), Some(start + Duration::from_millis(1900)));
        assert!(finger.dial("4*", start).unwrap_err().contains("'*'"));
    }

    #[test]
    fn a_row_with_a_stranger_in_it_is_refused_whole() {
        let now = Instant::now();
        let mut finger = Finger::default();
        assert!(finger.press("12x", now).unwrap_err().contains("'x'"));
        assert_eq!(finger.len(), 0);
        assert!(
            finger
                .press(&"1".repeat(MAX_KEYS + 1), now)
                .unwrap_err()
                .contains("too many")
        );
        assert_eq!(finger.len(), 0);
    }
}
