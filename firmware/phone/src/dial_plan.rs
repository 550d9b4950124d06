//! From the keys pressed to the number that is called.
//!
//! ```text
//! digits ─┬─▶ emergency numbers ── complete: at once, before all else
//!         ├─▶ codes ────────────── complete: a command to the phone itself
//!         ├─▶ speed dial ───────── complete: its target
//!         └─▶ digit map ────────── complete, could be longer, barred, no match
//!                 └─▶ Decision: dial now, wait for a timer, or refuse and say why
//! ```
//!
//! While the digits are the beginning of an emergency number no digit map sends or refuses them:
//! `911` can always be keyed to its end.

pub(crate) mod matching;

use config::digit_map::{self, DigitMap, Timer};

use crate::note::{BarredNumber, DialError};
use crate::output::StarCode;
use matching::{Match, matches};

/// What is to be done with the digits so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Call this number or address now.
    Dial(String),
    /// Wait for more digits; when the timer runs out call `number`, or refuse when there is none.
    Wait {
        timer: Timer,
        number: Option<String>,
        second_dial_tone: bool,
    },
    /// Congestion tone, and why.
    Refuse(DialError),
}

/// Everything the phone knows about numbers.
#[derive(Debug)]
pub(crate) struct DialPlan {
    map: Option<DigitMap>,
    emergency: Vec<String>,
    speed_dial: Vec<(String, String)>,
    codes: Vec<(String, StarCode)>,
}

impl DialPlan {
    pub(crate) fn new(config: &config::Config) -> Self {
        let own = config::country::plan(config.phone.country).emergency;
        Self {
            // A configuration that was loaded has a valid map; with one built by hand that has not,
            // only emergency and speed dial work.
            map: digit_map::parse(&config.dial.digit_map).ok(),
            emergency: own
                .iter()
                .map(|&number| number.to_owned())
                .chain(config.dial.emergency.iter().cloned())
                .collect(),
            speed_dial: config.dial.speed_dial.clone(),
            codes: codes(&config.codes),
        }
    }

    /// Whether this is an emergency number.
    pub(crate) fn is_emergency(&self, number: &str) -> bool {
        self.emergency.iter().any(|emergency| emergency == number)
    }

    /// Why this number may not be called at the request of a far end: emergency numbers are dialled by
    /// hand only, and what the digit map bars is barred.
    pub(crate) fn bars(&self, number: &str) -> Option<BarredNumber> {
        if self.is_emergency(number) {
            return Some(BarredNumber::Emergency(number.to_owned()));
        }
        let map = self.map.as_ref()?;
        (matches(map, number).matched == Match::Barred)
            .then(|| BarredNumber::DigitMap(number.to_owned()))
    }

    /// The star code these keys are; an emergency number is none.
    pub(crate) fn star_code(&self, digits: &str) -> Option<StarCode> {
        let code = self.codes.iter().find(|(code, _)| code == digits);
        code.map(|(_, code)| *code)
            .filter(|_| !self.is_emergency(digits))
    }

    /// Whether anything begins with these digits; decides if `#` is a digit or means "send now".
    pub(crate) fn accepts(&self, digits: &str) -> bool {
        let speed = self
            .speed_dial
            .iter()
            .any(|(keyed, _)| keyed.starts_with(digits));
        let emergency = self
            .emergency
            .iter()
            .any(|number| number.starts_with(digits));
        let map = self
            .map
            .as_ref()
            .is_some_and(|map| match matches(map, digits).matched {
                Match::Partial
                | Match::CouldBeLonger { .. }
                | Match::Complete(_)
                | Match::Barred => true,
                Match::Impossible => false,
            });
        let code = self.codes.iter().any(|(code, _)| code.starts_with(digits));
        speed || emergency || code || map
    }

    /// Decides on digits (at least one).
    pub(crate) fn decide(&self, digits: &str) -> Decision {
        if self.is_emergency(digits) {
            return Decision::Dial(digits.to_owned());
        }
        let longer = |number: &str| number.len() > digits.len() && number.starts_with(digits);
        let hold = self.emergency.iter().any(|number| longer(number))
            || self.speed_dial.iter().any(|(keyed, _)| longer(keyed))
            || self.codes.iter().any(|(code, _)| longer(code));
        let result = self.map.as_ref().map(|map| matches(map, digits));
        let second_dial_tone = result
            .as_ref()
            .is_some_and(|result| result.second_dial_tone);
        let matched = result.map_or(Match::Impossible, |result| result.matched);
        let wait = |timer, number| Decision::Wait {
            timer,
            number,
            second_dial_tone,
        };
        if self.star_code(digits).is_some() {
            // A digit map that could go on does not delay a star code; a longer code or number does.
            return if hold {
                wait(Timer::Short, Some(digits.to_owned()))
            } else {
                Decision::Dial(digits.to_owned())
            };
        }
        if let Some((_, target)) = self.speed_dial.iter().find(|(keyed, _)| keyed == digits) {
            return match matched {
                Match::Partial | Match::CouldBeLonger { .. } => {
                    wait(Timer::Short, Some(target.clone()))
                }
                Match::Complete(_) | Match::Barred | Match::Impossible if hold => {
                    wait(Timer::Short, Some(target.clone()))
                }
                Match::Complete(_) | Match::Barred | Match::Impossible => {
                    Decision::Dial(target.clone())
                }
            };
        }
        match matched {
            Match::Complete(number) if hold => wait(Timer::Short, Some(number)),
            Match::Complete(number) => Decision::Dial(number),
            Match::CouldBeLonger { number, timer } => wait(timer, Some(number)),
            Match::Partial => wait(Timer::Long, None),
            Match::Barred | Match::Impossible if hold => wait(Timer::Long, None),
            Match::Barred => Decision::Refuse(barred(digits)),
            Match::Impossible => Decision::Refuse(DialError::Unknown(digits.to_owned())),
        }
    }

    /// What `#` sends: the number if it is complete, else the digits as they are; never a barred
    /// one.
    pub(crate) fn send_now(&self, digits: &str) -> Decision {
        match self.decide(digits) {
            Decision::Wait {
                number: Some(number),
                ..
            } => Decision::Dial(number),
            Decision::Wait { number: None, .. } => {
                let is_barred = self
                    .map
                    .as_ref()
                    .is_some_and(|map| matches(map, digits).matched == Match::Barred);
                if is_barred {
                    Decision::Refuse(barred(digits))
                } else {
                    Decision::Dial(digits.to_owned())
                }
            }
            decided @ (Decision::Dial(_) | Decision::Refuse(_)) => decided,
        }
    }
}

fn barred(digits: &str) -> DialError {
    BarredNumber::DigitMap(digits.to_owned()).into()
}

/// The codes that are there.
fn codes(codes: &config::schema::Codes) -> Vec<(String, StarCode)> {
    [
        (&codes.self_test, StarCode::SelfTest),
        (&codes.bundle, StarCode::Bundle),
        (&codes.reboot, StarCode::Reboot),
        (&codes.factory_reset, StarCode::FactoryReset),
    ]
    .into_iter()
    .filter_map(|(keys, code)| Some((keys.clone()?, code)))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(toml: &str) -> DialPlan {
        DialPlan::new(&config::load(toml, "test").unwrap_or_else(|errors| panic!("{errors}")))
    }

    fn dial(number: &str) -> Decision {
        Decision::Dial(number.to_owned())
    }

    #[test]
    fn every_emergency_number_passes_any_digit_map() {
        let mut tried = 0;
        for country in config::country::PLANS {
            for map in [
                "x",
                "xx",
                "1!",
                "x.!",
                "xxxxxxxxxx",
                "#",
                "[2-8]xx",
                "9,xxx",
                "<1:2>x.T",
                "0T|9!",
            ] {
                let plan = plan(&format!(
                    "[phone]\ncountry = \"{}\"\n[dial]\ndigit_map = \"{map}\"\n[dial.speed]\n9 = \"101\"\n1 = \"102\"",
                    country.country.as_str()
                ));
                for number in country.emergency {
                    for keyed in 1..number.len() {
                        let decision = plan.decide(&number[..keyed]);
                        assert!(
                            matches!(decision, Decision::Wait { .. }),
                            "{} {number} {map}: {decision:?} after {keyed} keys",
                            country.country.as_str()
                        );
                    }
                    assert_eq!(
                        plan.decide(number),
                        dial(number),
                        "{} {map}",
                        country.country.as_str()
                    );
                    tried += 1;
                }
            }
        }
        assert!(tried > 500, "{tried}");
    }

    #[test]
    fn emergency_numbers_of_the_configuration_count_too() {
        let plan = plan("[dial]\ndigit_map = \"x\"\nemergency = [\"55\"]");
        assert!(matches!(plan.decide("5"), Decision::Wait { .. }));
        assert_eq!(plan.decide("55"), dial("55"));
        assert_eq!(plan.decide("4"), dial("4"));
    }

    #[test]
    fn unambiguous_speed_dial_is_sent_at_once() {
        let plan = plan(
            "[dial]\ndigit_map = \"[2-8]xx\"\n[dial.speed]\n1 = \"sip:a@b\"\n2 = \"0815\"\n55 = \"1\"\n558 = \"2\"",
        );
        assert_eq!(plan.decide("1"), dial("sip:a@b"));
        let Decision::Wait {
            timer: Timer::Short,
            number,
            ..
        } = plan.decide("2")
        else {
            panic!()
        };
        assert_eq!(number.as_deref(), Some("0815"));
        assert_eq!(plan.send_now("2"), dial("0815"));
        assert_eq!(plan.decide("234"), dial("234"));
        let Decision::Wait { number, .. } = plan.decide("55") else {
            panic!()
        };
        assert_eq!(number.as_deref(), Some("1"));
        assert_eq!(plan.decide("558"), dial("2"));
    }

    #[test]
    fn star_codes_do_not_wait_for_the_digit_map() {
        let standard = plan("");
        assert_eq!(standard.star_code("*97"), Some(StarCode::Bundle));
        assert_eq!(standard.decide("*97"), dial("*97"));
        assert!(
            matches!(standard.decide("*99"), Decision::Wait { .. }),
            "the reset is longer"
        );
        assert_eq!(
            standard.star_code("*99*7378#"),
            Some(StarCode::FactoryReset)
        );
        assert!(standard.accepts("*96#"), "here # is a digit");
        let own = plan("[dial]\ndigit_map = \"[2-8]xx\"\n[codes]\nbundle = \"\"\nreboot = \"55\"");
        assert_eq!(
            (own.star_code("*97"), own.star_code("55")),
            (None, Some(StarCode::Reboot))
        );
        assert_eq!(own.decide("55"), dial("55"));
        // An emergency number stays one.
        let plan = plan("[phone]\ncountry = \"de\"\n[codes]\nreboot = \"112\"");
        assert_eq!(plan.star_code("112"), None);
    }

    #[test]
    fn what_fits_nothing_is_refused_with_a_reason() {
        let plan = plan("[dial]\ndigit_map = \"[2-8]xx|1900x.!\"");
        assert_eq!(
            plan.decide("0"),
            Decision::Refuse(DialError::Unknown("0".to_owned()))
        );
        assert_eq!(plan.decide("19001"), Decision::Refuse(barred("19001")));
        assert_eq!(plan.send_now("23"), dial("23"));
    }
}
