//! From the keys pressed to what is dialled.
//!
//! ```text
//! digits ─┬─▶ emergency numbers ── complete: at once, before all else
//!         ├─▶ star codes ───────── complete: a command to the phone; some are followed by a number
//!         ├─▶ speed dial ───────── complete: its target
//!         └─▶ digit map ────────── complete, could be longer, barred, no match
//!                 └─▶ Decision: dial now, wait for a timer, or refuse and say why
//! ```
//!
//! While the digits are the beginning of an emergency number no digit map sends or refuses them:
//! `911` can always be keyed to its end. A number after a star code is read by the same rules.

pub(crate) mod matching;
mod number;

use config::codes::{Argument, StarCode};
use config::digit_map::{self, DigitMap, Timer};
use types::Country;

use crate::input::AccountId;
use crate::note::{BarredNumber, DialError};
use matching::{Match, MatchResult, matches};
use number::{plain, ways_to_dial};

/// What complete keys mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dialled {
    /// A number or an address.
    Number(String),
    /// A star code, and the number after it (empty: it takes none).
    Code(StarCode, String),
}

/// What is to be done with the digits so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Dial this now.
    Dial(Dialled),
    /// Wait for more digits; when the timer runs out dial this, or refuse when there is nothing.
    Wait {
        timer: Timer,
        dialled: Option<Dialled>,
        second_dial_tone: bool,
    },
    /// Congestion tone, and why.
    Refuse(DialError),
}

impl Decision {
    /// The same for the star code before these digits.
    fn after(self, code: StarCode, prefix: &str) -> Self {
        let with = |dialled| match dialled {
            Dialled::Number(number) => Dialled::Code(code, format!("{prefix}{number}")),
            Dialled::Code(..) => dialled,
        };
        match self {
            Self::Dial(dialled) => Self::Dial(with(dialled)),
            Self::Wait {
                timer,
                dialled,
                second_dial_tone,
            } => Self::Wait {
                timer,
                dialled: dialled.map(with),
                second_dial_tone,
            },
            refused @ Self::Refuse(_) => refused,
        }
    }
}

/// Which numbers exist for an account.
#[derive(Debug, Clone)]
struct AccountMap {
    account: AccountId,
    /// Empty: only a key chooses it.
    prefix: String,
    map: DigitMap,
}

/// Everything the phone knows about numbers.
#[derive(Debug, Clone)]
pub(crate) struct DialPlan {
    map: Option<DigitMap>,
    /// Maps of accounts that have one of their own, with their prefixes.
    of_accounts: Vec<AccountMap>,
    /// Every account's prefix.
    prefixes: Vec<String>,
    /// The account that a key chose for the next number.
    chosen: Option<AccountId>,
    emergency: Vec<String>,
    speed_dial: Vec<(String, String)>,
    codes: Vec<(String, StarCode)>,
    /// Codes before a number that show or withhold the caller's identity for one call.
    identity_codes: &'static [&'static str],
    /// Codes of the network are dialled, whatever the digit map says of them.
    service_codes: bool,
    country: Country,
}

impl DialPlan {
    pub(crate) fn new(config: &config::Config) -> Self {
        let country = config.phone.country;
        let own = config::country::plan(country).emergency;
        Self {
            // A configuration that was loaded has a valid map; with one built by hand that has not,
            // only emergency and speed dial work.
            map: digit_map::parse(&config.dial.digit_map)
                .ok()
                .map(|map| with_service_codes(map, config)),
            of_accounts: account_maps(config),
            prefixes: config
                .accounts
                .iter()
                .filter_map(|account| account.prefix.clone())
                .filter(|prefix| !prefix.is_empty())
                .collect(),
            chosen: None,
            emergency: own
                .iter()
                .map(|&number| number.to_owned())
                .chain(config.dial.emergency.iter().cloned())
                .collect(),
            speed_dial: config.dial.speed_dial.clone(),
            codes: codes(config),
            identity_codes: config::country::identity_codes(country),
            service_codes: config.dial.service_codes,
            country,
        }
    }

    /// The next number goes by this account.
    pub(crate) fn choose(&mut self, account: Option<AccountId>) {
        self.chosen = account;
    }

    /// What the digit map that counts for these digits says of them; numbers are given back with
    /// the prefix they were keyed with.
    fn match_digits(&self, digits: &str) -> Option<MatchResult> {
        let chosen = self
            .chosen
            .and_then(|account| self.of_accounts.iter().find(|own| own.account == account));
        if let Some(own) = chosen {
            return Some(self.match_in(&own.map, digits));
        }
        let own = self.of_accounts.iter().filter(|own| !own.prefix.is_empty());
        let fitting = own.clone().filter(|own| digits.starts_with(&own.prefix));
        if let Some(own) = fitting.max_by_key(|own| own.prefix.len()) {
            let rest = &digits[own.prefix.len()..];
            if rest.is_empty() {
                return Some(MatchResult {
                    matched: Match::Partial,
                    second_dial_tone: false,
                });
            }
            let mut result = self.match_in(&own.map, rest);
            result.matched = result.matched.after(&own.prefix);
            return Some(result);
        }
        let result = self.map.as_ref().map(|map| self.match_in(map, digits));
        let mut beginning = own.filter(|own| own.prefix.starts_with(digits));
        let refused = result
            .as_ref()
            .is_none_or(|result| matches!(result.matched, Match::Impossible | Match::Barred));
        if refused && beginning.next().is_some() {
            return Some(MatchResult {
                matched: Match::Partial,
                second_dial_tone: false,
            });
        }
        result
    }

    /// What a digit map says of these digits. A number after a code that shows or withholds the
    /// caller's identity counts as it would without: it is barred, or complete with its last digit.
    fn match_in(&self, map: &DigitMap, digits: &str) -> MatchResult {
        let whole = matches(map, digits);
        let (code, number) = self.after_identity_code(digits);
        if code.is_empty() || number.is_empty() {
            return whole;
        }
        let alone = matches(map, number);
        match alone.matched {
            Match::Barred => alone,
            Match::Complete(_) | Match::CouldBeLonger { .. }
                if self.service_codes && whole.matched != Match::Barred =>
            {
                MatchResult {
                    matched: alone.matched.after(code),
                    ..alone
                }
            }
            Match::Complete(_)
            | Match::CouldBeLonger { .. }
            | Match::Partial
            | Match::Impossible => whole,
        }
    }

    /// The code for the caller's identity these digits begin with (empty: none), and the number
    /// after it.
    fn after_identity_code<'d>(&self, digits: &'d str) -> (&'d str, &'d str) {
        let codes = self.identity_codes.iter();
        let found = codes.filter(|code| digits.starts_with(**code));
        let length = found.map(|code| code.len()).max().unwrap_or(0);
        digits.split_at(length)
    }

    /// These digits, and what is left of them without a code for the caller's identity (some
    /// withhold theirs by habit), without an account's prefix (some dial for an outside line by
    /// habit), without both.
    fn without_prefixes<'d>(&'d self, digits: &'d str) -> impl Iterator<Item = &'d str> {
        let (_, number) = self.after_identity_code(digits);
        let each = move |number: &'d str| {
            let prefixes = self.prefixes.iter();
            let rests = prefixes.filter_map(move |prefix| number.strip_prefix(prefix.as_str()));
            [number].into_iter().chain(rests)
        };
        let all = [digits, number].into_iter().flat_map(each);
        all.filter(|rest| !rest.is_empty())
    }

    /// The emergency number these digits mean, whatever is before it.
    fn emergency_in<'d>(&'d self, digits: &'d str) -> Option<&'d str> {
        let mut all = self.without_prefixes(digits);
        all.find(|number| self.is_emergency(number))
    }

    /// Stores a speed dial number under these keys, or removes it.
    pub(crate) fn set_speed_dial(&mut self, keys: &str, target: Option<String>) {
        self.speed_dial.retain(|(keyed, _)| keyed != keys);
        if let Some(target) = target {
            self.speed_dial.push((keys.to_owned(), target));
        }
    }

    /// What a speed dial number stands for.
    pub(crate) fn speed_dial(&self, keys: &str) -> Option<&str> {
        let mut all = self.speed_dial.iter();
        let (_, target) = all.find(|(keyed, _)| keyed == keys)?;
        Some(target)
    }

    /// Whether these digits begin an emergency number.
    pub(crate) fn may_be_emergency(&self, digits: &str) -> bool {
        let mut numbers = self.emergency.iter();
        !digits.is_empty() && numbers.any(|number| number.starts_with(digits))
    }

    /// Whether this is an emergency number.
    pub(crate) fn is_emergency(&self, number: &str) -> bool {
        self.emergency.iter().any(|emergency| emergency == number)
    }

    /// Why this number may not be called at the request of a far end: emergency numbers are dialled
    /// by hand only, and what the digit map bars is barred.
    pub(crate) fn bars_request(&self, number: &str) -> Option<BarredNumber> {
        let plain = plain(number);
        let matched = self.match_digits(&plain).map(|result| result.matched);
        let made = match &matched {
            Some(Match::Complete(number) | Match::CouldBeLonger { number, .. }) => number.as_str(),
            Some(Match::Partial | Match::Barred | Match::Impossible) | None => "",
        };
        if self.emergency_in(&plain).is_some() || self.is_emergency(made) {
            return Some(BarredNumber::Emergency(plain));
        }
        self.bars(number)
    }

    /// Why this number may not be called at all, however it is dialled: the digit map bars it, as
    /// it is or in another way to write the same number.
    pub(crate) fn bars(&self, number: &str) -> Option<BarredNumber> {
        let plain = plain(number);
        if self.is_emergency(&plain) {
            return None;
        }
        if self
            .match_digits(&plain)
            .is_some_and(|result| result.matched == Match::Barred)
        {
            return Some(BarredNumber::DigitMap(plain));
        }
        let map = self.map.as_ref()?;
        let (_, number) = self.after_identity_code(&plain);
        let ways = ways_to_dial(number, self.country);
        let barred = |way: &String| matches(map, way).matched == Match::Barred;
        ways.iter()
            .any(barred)
            .then_some(BarredNumber::DigitMap(plain))
    }

    /// The star code these keys begin with, and the keys after it; an emergency number is none. The
    /// longest counts.
    fn star_code<'d>(&self, digits: &'d str) -> Option<(StarCode, &'d str)> {
        if self.is_emergency(digits) {
            return None;
        }
        let fits = |keys: &str, code: StarCode| match code.argument() {
            Argument::None => digits == keys,
            Argument::Digit | Argument::Number | Argument::SlotAndNumber | Argument::Address => {
                digits.starts_with(keys)
            }
        };
        let codes = self.codes.iter().filter(|(keys, code)| fits(keys, *code));
        let (keys, code) = codes.max_by_key(|(keys, _)| keys.len())?;
        Some((*code, digits.strip_prefix(keys.as_str())?))
    }

    /// The star code that a whole text is, with what follows it.
    pub(crate) fn whole_code(&self, text: &str) -> Option<(StarCode, String)> {
        let (code, rest) = self.star_code(text)?;
        let complete = match code.argument() {
            Argument::None => true,
            Argument::Digit => is_digit(rest),
            Argument::Number => !rest.is_empty(),
            Argument::SlotAndNumber => rest.len() > 1,
            Argument::Address => config::setup_code::server(rest.trim_end_matches('#')).is_some(),
        };
        complete.then(|| (code, rest.trim_end_matches('#').to_owned()))
    }

    /// Whether anything begins with these digits; decides if `#` is a digit or means "send now".
    pub(crate) fn accepts(&self, digits: &str) -> bool {
        if let Some((code, rest)) = self.star_code(digits)
            && !rest.is_empty()
        {
            return match code.argument() {
                Argument::Digit => is_digit(rest),
                Argument::None | Argument::Number => self.accepts(rest),
                Argument::SlotAndNumber => rest.len() > 1 && self.accepts(&rest[1..]),
                // No digit map knows addresses; `#` sends.
                Argument::Address => !rest.contains('#'),
            };
        }
        let speed = self
            .speed_dial
            .iter()
            .any(|(keyed, _)| keyed.starts_with(digits));
        let emergency = self
            .emergency
            .iter()
            .any(|number| number.starts_with(digits));
        let map = self
            .match_digits(digits)
            .is_some_and(|result| match result.matched {
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
        if let Some(number) = self.emergency_in(digits) {
            return Decision::Dial(Dialled::Number(number.to_owned()));
        }
        let longer = |number: &str| number.len() > digits.len() && number.starts_with(digits);
        let begins = |begun: &str| {
            let mut all = self.emergency.iter();
            all.any(|number| number.len() > begun.len() && number.starts_with(begun))
        };
        let hold = self.without_prefixes(digits).any(begins)
            || self.speed_dial.iter().any(|(keyed, _)| longer(keyed))
            || self.codes.iter().any(|(code, _)| longer(code));
        if let Some((code, rest)) = self.star_code(digits) {
            return self.decide_code(code, rest, hold);
        }
        let result = self.match_digits(digits);
        let second_dial_tone = result
            .as_ref()
            .is_some_and(|result| result.second_dial_tone);
        let matched = result.map_or(Match::Impossible, |result| result.matched);
        let wait = |timer, number: Option<String>| Decision::Wait {
            timer,
            dialled: number.map(Dialled::Number),
            second_dial_tone,
        };
        let dial = |number| Decision::Dial(Dialled::Number(number));
        if let Some((_, target)) = self.speed_dial.iter().find(|(keyed, _)| keyed == digits) {
            return match matched {
                Match::Partial | Match::CouldBeLonger { .. } => {
                    wait(Timer::Short, Some(target.clone()))
                }
                Match::Complete(_) | Match::Barred | Match::Impossible if hold => {
                    wait(Timer::Short, Some(target.clone()))
                }
                Match::Complete(_) | Match::Barred | Match::Impossible => dial(target.clone()),
            };
        }
        match matched {
            // The digit map makes an emergency number of them, as of `9911` for an outside line.
            Match::Complete(number) | Match::CouldBeLonger { number, .. }
                if self.is_emergency(&number) =>
            {
                dial(number)
            }
            Match::Complete(number) if hold => wait(Timer::Short, Some(number)),
            Match::Complete(number) => dial(number),
            Match::CouldBeLonger { number, timer } => wait(timer, Some(number)),
            Match::Partial => wait(Timer::Long, None),
            Match::Barred | Match::Impossible if hold => wait(Timer::Long, None),
            Match::Barred => Decision::Refuse(barred(digits)),
            Match::Impossible => Decision::Refuse(DialError::Unknown(digits.to_owned())),
        }
    }

    /// Decides on the keys after a star code. A digit map that could go on does not delay a code
    /// without argument; a longer code or number (`longer`) does.
    fn decide_code(&self, code: StarCode, rest: &str, longer: bool) -> Decision {
        let slot = match code.argument() {
            Argument::None if longer => {
                return Decision::Wait {
                    timer: Timer::Short,
                    dialled: Some(Dialled::Code(code, String::new())),
                    second_dial_tone: false,
                };
            }
            Argument::None => return Decision::Dial(Dialled::Code(code, String::new())),
            Argument::Digit if is_digit(rest) => {
                return Decision::Dial(Dialled::Code(code, rest.to_owned()));
            }
            Argument::Digit if !rest.is_empty() => {
                return Decision::Refuse(DialError::Unknown(rest.to_owned()));
            }
            // It may always go on: with a port.
            Argument::Address => {
                let complete = config::setup_code::server(rest).is_some();
                return Decision::Wait {
                    timer: Timer::Long,
                    dialled: complete.then(|| Dialled::Code(code, rest.to_owned())),
                    second_dial_tone: rest.is_empty(),
                };
            }
            Argument::Digit | Argument::Number => 0,
            Argument::SlotAndNumber => 1,
        };
        let Some(number) = rest.get(slot..).filter(|number| !number.is_empty()) else {
            return Decision::Wait {
                timer: Timer::Long,
                dialled: None,
                second_dial_tone: true,
            };
        };
        if !rest[..slot].bytes().all(|key| key.is_ascii_digit()) {
            return Decision::Refuse(DialError::Unknown(rest.to_owned()));
        }
        // A number, not one more code.
        if self.star_code(number).is_some() {
            return Decision::Refuse(DialError::Unknown(rest.to_owned()));
        }
        self.decide(number).after(code, &rest[..slot])
    }

    /// What `#` sends: the number if it is complete, else the digits as they are; never a barred
    /// one.
    pub(crate) fn send_now(&self, digits: &str) -> Decision {
        if let Some((code, rest)) = self.star_code(digits)
            && code.argument() != Argument::None
        {
            if code.argument() == Argument::Address {
                return Decision::Dial(Dialled::Code(code, rest.to_owned()));
            }
            let slot = usize::from(code.argument() == Argument::SlotAndNumber);
            return match rest.get(slot..).filter(|number| !number.is_empty()) {
                Some(number) => self.send_now(number).after(code, &rest[..slot]),
                None => Decision::Refuse(DialError::Incomplete(digits.to_owned())),
            };
        }
        match self.decide(digits) {
            Decision::Wait {
                dialled: Some(dialled),
                ..
            } => Decision::Dial(dialled),
            Decision::Wait { dialled: None, .. } => {
                let is_barred = self
                    .match_digits(digits)
                    .is_some_and(|result| result.matched == Match::Barred);
                if is_barred {
                    Decision::Refuse(barred(digits))
                } else {
                    Decision::Dial(Dialled::Number(digits.to_owned()))
                }
            }
            decided @ (Decision::Dial(_) | Decision::Refuse(_)) => decided,
        }
    }
}

/// One digit and nothing else.
fn is_digit(keys: &str) -> bool {
    keys.len() == 1 && keys.bytes().all(|key| key.is_ascii_digit())
}

fn account_maps(config: &config::Config) -> Vec<AccountMap> {
    let each = |(index, account): (usize, &config::schema::Account)| {
        let map = digit_map::parse(account.digit_map.as_deref()?).ok()?;
        Some(AccountMap {
            account: AccountId(index),
            prefix: account.prefix.clone().unwrap_or_default(),
            map: with_service_codes(map, config),
        })
    };
    config
        .accounts
        .iter()
        .enumerate()
        .filter_map(each)
        .collect()
}

/// The digit map, and what the country's networks understand besides.
fn with_service_codes(mut map: DigitMap, config: &config::Config) -> DigitMap {
    let codes = config::country::service_codes(config.phone.country);
    if let Some(codes) = codes.filter(|_| config.dial.service_codes)
        && let Ok(codes) = digit_map::parse(&codes)
    {
        map.alternatives.extend(codes.alternatives);
    }
    map
}

fn barred(digits: &str) -> DialError {
    BarredNumber::DigitMap(digits.to_owned()).into()
}

/// The codes that are on, and for which there is what they need.
fn codes(config: &config::Config) -> Vec<(String, StarCode)> {
    let (codes, dial) = (&config.codes, &config.dial);
    let possible = |code: StarCode| match code {
        StarCode::Voicemail => dial.voicemail.is_some(),
        StarCode::EchoTest => dial.echo_test.is_some(),
        StarCode::Paging => !config.paging.groups.is_empty(),
        StarCode::Park => dial.park.is_some(),
        StarCode::PickUp => dial.pick_up.is_some() || !dial.watch.is_empty(),
        // What the owner wrote down is not changed by whoever lifts the handset.
        StarCode::SetUpServer => config.provision.url.is_none(),
        _other => true,
    };
    let on = codes.iter().filter(|(code, _)| possible(*code));
    on.map(|(code, keys)| (keys.to_owned(), code)).collect()
}

#[cfg(test)]
mod tests;
