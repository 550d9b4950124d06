//! Presses a row of keys for `ctl press` and dials one for `ctl rotary`, in the rhythm of a person.

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

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyStep {
    /// A key goes down.
    Down(Key),
    /// A key comes up.
    Up(Key),
    /// The dial has returned after this digit.
    Dialled(Key),
}

/// Why a row of keys is not pressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyScriptError {
    /// More than may wait.
    #[error("{0} keys are too many at once; at most {MAX_KEYS} may wait to be pressed")]
    TooManyKeys(usize),
    /// Not a key.
    #[error("{0:?} is no key; use 0-9, *, #, A-D, and ',' for a pause of 500 ms")]
    NotAKey(char),
    /// More than may wait.
    #[error("too many digits at once; at most {MAX_KEYS} may wait to be dialled")]
    TooManyDigits,
    /// Not a digit.
    #[error("{0:?} is not on the dial; use 0-9")]
    NotADigit(char),
}

/// The steps that are still to come.
#[derive(Debug, Default)]
pub(crate) struct KeyScript {
    waiting: VecDeque<(Instant, KeyStep)>,
    free_at: Option<Instant>,
}

impl KeyScript {
    /// Takes a row of keys; all or nothing. The error names what is wrong with it.
    pub(crate) fn press(&mut self, keys: &str, now: Instant) -> Result<(), KeyScriptError> {
        let wanted = keys.chars().count();
        if wanted + self.waiting.len() / 2 > MAX_KEYS {
            return Err(KeyScriptError::TooManyKeys(wanted));
        }
        if let Some(bad) = keys
            .chars()
            .find(|character| *character != ',' && Key::from_char(*character).is_none())
        {
            return Err(KeyScriptError::NotAKey(bad));
        }
        let mut at = self.free_at.map_or(now, |free| free.max(now));
        for character in keys.chars() {
            let Some(key) = Key::from_char(character) else {
                at += COMMA;
                continue;
            };
            self.waiting.push_back((at, KeyStep::Down(key)));
            self.waiting.push_back((at + DOWN, KeyStep::Up(key)));
            at += DOWN + UP;
        }
        self.free_at = Some(at);
        Ok(())
    }

    /// Dials a row of digits on a rotary dial (10 pulses a second); all or nothing.
    pub(crate) fn dial(&mut self, digits: &str, now: Instant) -> Result<(), KeyScriptError> {
        if digits.chars().count() + self.waiting.len() > MAX_KEYS {
            return Err(KeyScriptError::TooManyDigits);
        }
        if let Some(bad) = digits.chars().find(|digit| !digit.is_ascii_digit()) {
            return Err(KeyScriptError::NotADigit(bad));
        }
        let mut at = self.free_at.map_or(now, |free| free.max(now));
        for digit in digits.bytes().map(|digit| digit - b'0') {
            let pulses = if digit == 0 { 10 } else { u32::from(digit) };
            at += PULSE * pulses;
            self.waiting
                .push_back((at, KeyStep::Dialled(Key::Digit(digit))));
            at += BETWEEN_DIGITS;
        }
        self.free_at = Some(at);
        Ok(())
    }

    /// The next step that is due.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<KeyStep> {
        if self.waiting.front().is_some_and(|(at, _)| *at <= now) {
            return self.waiting.pop_front().map(|(_, step)| step);
        }
        None
    }

    /// When the next step is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.waiting.front().map(|(at, _)| *at)
    }

    /// How long it will take until the last step.
    pub(crate) fn busy(&self, now: Instant) -> Duration {
        self.waiting
            .back()
            .map_or(Duration::ZERO, |(at, _)| at.saturating_duration_since(now))
    }

    /// Steps still to come.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_pressed_in_rhythm() {
        let start = crate::test_origin();
        let mut key_script = KeyScript::default();
        key_script.press("1,2", start).unwrap();
        let mut seen = Vec::new();
        for ms in 0..2000 {
            while let Some(step) = key_script.poll(start + Duration::from_millis(ms)) {
                seen.push((ms, step));
            }
        }
        let (one, two) = (Key::Digit(1), Key::Digit(2));
        assert_eq!(
            seen,
            [
                (0, KeyStep::Down(one)),
                (100, KeyStep::Up(one)),
                (660, KeyStep::Down(two)),
                (760, KeyStep::Up(two))
            ]
        );
        assert_eq!((key_script.len(), key_script.due()), (0, None));
    }

    #[test]
    fn dial_takes_a_pulse_per_unit() {
        let start = crate::test_origin();
        let mut key_script = KeyScript::default();
        key_script.dial("30", start).unwrap();
        assert_eq!(key_script.poll(start + Duration::from_millis(299)), None);
        assert_eq!(
            key_script.poll(start + Duration::from_millis(300)),
            Some(KeyStep::Dialled(Key::Digit(3)))
        );
        assert_eq!(key_script.due(), Some(start + Duration::from_millis(1900)));
        assert_eq!(
            key_script.dial("4*", start),
            Err(KeyScriptError::NotADigit('*'))
        );
    }

    #[test]
    fn row_with_a_bad_key_is_refused_whole() {
        let now = crate::test_origin();
        let mut key_script = KeyScript::default();
        let error = key_script.press("12x", now).unwrap_err();
        assert!(error.to_string().contains("'x'"), "{error}");
        assert_eq!(key_script.len(), 0);
        assert!(
            key_script
                .press(&"1".repeat(MAX_KEYS + 1), now)
                .unwrap_err()
                .to_string()
                .contains("too many")
        );
        assert_eq!(key_script.len(), 0);
    }
}
