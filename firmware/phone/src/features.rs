//! What a person sets from the handset by star codes: forwarding, do not disturb, anonymity, speed
//! dial. Plain data and rules; the owner keeps it over restarts.
//!
//! ```text
//! Setting + number ─▶ Features::apply ─▶ true: it holds now      false: the number is too short
//! incoming call ─────▶ Features::screen ─▶ Ring | Reject(code) | Forward(number)
//! ```

use config::codes::Setting;

use crate::volume::Volumes;

/// Most speed dial numbers set from the handset: one a digit.
const MAX_SPEED_DIAL: usize = 10;

/// The settings made from the handset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Features {
    /// The phone does not ring.
    pub dnd: bool,
    /// Every call goes to this number.
    pub forward_always: Option<String>,
    /// Calls that come while the phone is in use go to this number.
    pub forward_busy: Option<String>,
    /// Calls that are not answered go to this number.
    pub forward_no_answer: Option<String>,
    /// One's own number is withheld in every call.
    pub anonymous: bool,
    /// Callers who withhold theirs are refused.
    pub reject_anonymous: bool,
    /// Keys and the number they stand for.
    pub speed_dial: Vec<(String, String)>,
    /// What the volume keys add.
    pub volumes: Volumes,
}

/// What becomes of a call that comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Screening {
    /// It may ring.
    Ring,
    /// It is refused with this status code.
    Reject(u16),
    /// It goes to this number.
    Forward(String),
}

/// RFC 5079: the caller's identity is withheld, and that is not accepted.
const ANONYMITY_DISALLOWED: u16 = 433;
const BUSY_HERE: u16 = 486;

impl Features {
    /// Makes a setting; `number`: what was keyed after it. Returns whether that was enough.
    pub(crate) fn apply(&mut self, setting: Setting, number: &str) -> bool {
        let when = |on: bool| on.then(|| number.to_owned());
        match setting {
            Setting::Dnd(on) => self.dnd = on,
            Setting::ForwardAlways(on) => self.forward_always = when(on),
            Setting::ForwardBusy(on) => self.forward_busy = when(on),
            Setting::ForwardNoAnswer(on) => self.forward_no_answer = when(on),
            Setting::Anonymous(on) => self.anonymous = on,
            Setting::RejectAnonymous(on) => self.reject_anonymous = on,
            Setting::SpeedDial => {
                let Some((slot, number)) = number.split_at_checked(1) else {
                    return false;
                };
                self.speed_dial.retain(|(keys, _)| keys != slot);
                self.speed_dial.push((slot.to_owned(), number.to_owned()));
                self.speed_dial.truncate(MAX_SPEED_DIAL);
            }
        }
        true
    }

    /// What becomes of a call. `busy`: there is no place for it on this phone.
    pub(crate) fn screen(&self, anonymous: bool, busy: bool) -> Screening {
        if anonymous && self.reject_anonymous {
            return Screening::Reject(ANONYMITY_DISALLOWED);
        }
        if let Some(number) = &self.forward_always {
            return Screening::Forward(number.clone());
        }
        if self.dnd {
            return Screening::Reject(BUSY_HERE);
        }
        match &self.forward_busy {
            Some(number) if busy => Screening::Forward(number.clone()),
            Some(_) | None if busy => Screening::Reject(BUSY_HERE),
            Some(_) | None => Screening::Ring,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_made_and_taken_back() {
        let mut features = Features::default();
        let both = [
            Setting::Dnd,
            Setting::ForwardAlways,
            Setting::ForwardBusy,
            Setting::ForwardNoAnswer,
            Setting::Anonymous,
            Setting::RejectAnonymous,
        ];
        for setting in both {
            assert!(features.apply(setting(true), "200"));
            assert_ne!(features, Features::default(), "{:?}", setting(true));
            assert!(features.apply(setting(false), ""));
            assert_eq!(features, Features::default(), "{:?}", setting(false));
        }
        assert!(!features.apply(Setting::SpeedDial, ""));
    }

    #[test]
    fn a_speed_dial_number_replaces_the_one_before() {
        let mut features = Features::default();
        for number in ["3200", "4300", "3400"] {
            assert!(features.apply(Setting::SpeedDial, number));
        }
        let pair = |keys: &str, number: &str| (keys.to_owned(), number.to_owned());
        assert_eq!(features.speed_dial, [pair("4", "300"), pair("3", "400")]);
    }

    #[test]
    fn screening_has_one_order() {
        let mut features = Features::default();
        assert_eq!(features.screen(true, false), Screening::Ring);
        assert_eq!(features.screen(false, true), Screening::Reject(486));
        features.apply(Setting::ForwardBusy(true), "300");
        assert_eq!(features.screen(false, false), Screening::Ring);
        assert_eq!(
            features.screen(false, true),
            Screening::Forward("300".to_owned())
        );
        features.apply(Setting::Dnd(true), "");
        assert_eq!(features.screen(false, false), Screening::Reject(486));
        features.apply(Setting::ForwardAlways(true), "200");
        assert_eq!(
            features.screen(false, false),
            Screening::Forward("200".to_owned())
        );
        features.apply(Setting::RejectAnonymous(true), "");
        assert_eq!(features.screen(true, false), Screening::Reject(433));
    }
}
