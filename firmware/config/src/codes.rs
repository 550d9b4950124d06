//! Star codes: which there are, what follows each, and the keys of each by default.
//!
//! ```text
//! CODES ─┬─▶ settings (`[codes]`), load: keys by country where the file says none
//!        ├─▶ phone::dial_plan, which recognises them
//!        └─▶ docs/features.md
//! ```
//!
//! No default begins with `*97` or `*98`, which PBXs use for voicemail, and none is a service code
//! of the country's networks ([`crate::country::service_codes`]).

use std::collections::BTreeMap;

use types::Country;

/// What a star code asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StarCode {
    /// Call the number dialled last.
    Redial,
    /// Call who called last.
    CallReturn,
    /// Do not ring.
    DndOn,
    /// Ring again.
    DndOff,
    /// Forward every call.
    ForwardAlways,
    /// No more.
    ForwardAlwaysOff,
    /// Forward while the phone is in use.
    ForwardBusy,
    /// No more.
    ForwardBusyOff,
    /// Forward what is not answered.
    ForwardNoAnswer,
    /// No more.
    ForwardNoAnswerOff,
    /// This call without one's own number.
    AnonymousOnce,
    /// Every call without one's own number.
    AnonymousOn,
    /// With it again.
    AnonymousOff,
    /// Refuse callers who withhold their number.
    RejectAnonymousOn,
    /// Take their calls again.
    RejectAnonymousOff,
    /// Call the mailbox.
    Voicemail,
    /// Store a number under a speed dial key.
    SpeedDialSet,
    /// Connect the call on hold with a number.
    Transfer,
    /// Call a number, and connect it and the call on hold.
    Conference,
    /// Put the call on hold into the PBX's parking place.
    Park,
    /// Take a parked call, or one that rings elsewhere.
    PickUp,
    /// Call a phone that answers by itself.
    Intercom,
    /// Speak to a paging group.
    Paging,
    /// Call a service that sends one's own voice back.
    EchoTest,
    /// Hear one's own number.
    OwnNumber,
    /// Hear the phone's IP address.
    OwnAddress,
    /// Hear how well the last call was heard.
    LastQuality,
    /// Walk through speaker, microphone, keys, hook switch, lamps, bell and network.
    SelfTest,
    /// Write the support bundle.
    Bundle,
    /// Write the history of calls to the card.
    HistoryToCard,
    /// Restart the board.
    Reboot,
    /// Erase every setting, password and history.
    FactoryReset,
    /// Fetch the configuration from a server.
    SetUpServer,
}

/// What a star code sets, until another one sets it otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// Do not ring.
    Dnd(bool),
    /// Forward every call.
    ForwardAlways(bool),
    /// Forward while the phone is in use.
    ForwardBusy(bool),
    /// Forward what is not answered.
    ForwardNoAnswer(bool),
    /// Every call without one's own number.
    Anonymous(bool),
    /// Refuse callers who withhold their number.
    RejectAnonymous(bool),
    /// A number under a speed dial key.
    SpeedDial,
}

impl StarCode {
    /// What it sets; `None`: it asks for something to be done.
    pub fn setting(self) -> Option<Setting> {
        match self {
            Self::DndOn => Some(Setting::Dnd(true)),
            Self::DndOff => Some(Setting::Dnd(false)),
            Self::ForwardAlways => Some(Setting::ForwardAlways(true)),
            Self::ForwardAlwaysOff => Some(Setting::ForwardAlways(false)),
            Self::ForwardBusy => Some(Setting::ForwardBusy(true)),
            Self::ForwardBusyOff => Some(Setting::ForwardBusy(false)),
            Self::ForwardNoAnswer => Some(Setting::ForwardNoAnswer(true)),
            Self::ForwardNoAnswerOff => Some(Setting::ForwardNoAnswer(false)),
            Self::AnonymousOn => Some(Setting::Anonymous(true)),
            Self::AnonymousOff => Some(Setting::Anonymous(false)),
            Self::RejectAnonymousOn => Some(Setting::RejectAnonymous(true)),
            Self::RejectAnonymousOff => Some(Setting::RejectAnonymous(false)),
            Self::SpeedDialSet => Some(Setting::SpeedDial),
            Self::Redial
            | Self::CallReturn
            | Self::AnonymousOnce
            | Self::Voicemail
            | Self::Transfer
            | Self::Conference
            | Self::Park
            | Self::PickUp
            | Self::Intercom
            | Self::Paging
            | Self::EchoTest
            | Self::OwnNumber
            | Self::OwnAddress
            | Self::LastQuality
            | Self::SelfTest
            | Self::Bundle
            | Self::HistoryToCard
            | Self::Reboot
            | Self::FactoryReset
            | Self::SetUpServer => None,
        }
    }
}

impl Setting {
    /// Whether it is made with a number.
    pub fn takes_number(self) -> bool {
        match self {
            Self::ForwardAlways(on) | Self::ForwardBusy(on) | Self::ForwardNoAnswer(on) => on,
            Self::SpeedDial => true,
            Self::Dnd(_) | Self::Anonymous(_) | Self::RejectAnonymous(_) => false,
        }
    }
}

/// What is keyed after a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// Nothing.
    None,
    /// One digit.
    Digit,
    /// A number.
    Number,
    /// One digit, then a number.
    SlotAndNumber,
    /// An IPv4 address with stars for its dots, and perhaps a port after one more; `#` ends it.
    Address,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct CodeEntry {
    /// What it asks for.
    pub code: StarCode,
    /// Its key under `[codes]`.
    pub name: &'static str,
    /// What is keyed after it.
    pub argument: Argument,
    /// Its keys in North America.
    pub us: &'static str,
    /// Its keys everywhere else.
    pub elsewhere: &'static str,
    /// What it does, for people.
    pub doc: &'static str,
}

const fn entry(
    code: StarCode,
    name: &'static str,
    argument: Argument,
    (us, elsewhere): (&'static str, &'static str),
    doc: &'static str,
) -> CodeEntry {
    CodeEntry {
        code,
        name,
        argument,
        us,
        elsewhere,
        doc,
    }
}

const fn same(keys: &'static str) -> (&'static str, &'static str) {
    (keys, keys)
}

/// Every star code.
#[rustfmt::skip] // a table
pub const CODES: &[CodeEntry] = &[
    entry(StarCode::Redial, "redial", Argument::None, ("*66", "*88"),
        "Redial: calls the number dialled last."),
    entry(StarCode::CallReturn, "call_return", Argument::None, ("*69", "*89"),
        "Call return: calls who called last."),
    entry(StarCode::DndOn, "dnd_on", Argument::None, same("*78"),
        "Do not disturb: callers hear busy, the phone does not ring."),
    entry(StarCode::DndOff, "dnd_off", Argument::None, same("*79"),
        "Ends do not disturb."),
    entry(StarCode::ForwardAlways, "forward_always", Argument::Number, same("*72"),
        "Forwards every call to the number keyed after it."),
    entry(StarCode::ForwardAlwaysOff, "forward_always_off", Argument::None, same("*73"),
        "Ends it."),
    entry(StarCode::ForwardBusy, "forward_busy", Argument::Number, same("*90"),
        "Forwards calls that come while the phone is in use."),
    entry(StarCode::ForwardBusyOff, "forward_busy_off", Argument::None, same("*91"),
        "Ends it."),
    entry(StarCode::ForwardNoAnswer, "forward_no_answer", Argument::Number, same("*92"),
        "Forwards calls that are not answered within `call.forward_after_s`."),
    entry(StarCode::ForwardNoAnswerOff, "forward_no_answer_off", Argument::None, same("*93"),
        "Ends it."),
    entry(StarCode::AnonymousOnce, "anonymous_once", Argument::Number, ("*67", "*87"),
        "Calls the number keyed after it without showing one's own. An emergency call always shows \
         it."),
    entry(StarCode::AnonymousOn, "anonymous_on", Argument::None, same("*81"),
        "Withholds one's own number in every call."),
    entry(StarCode::AnonymousOff, "anonymous_off", Argument::None, ("*68", "*82"),
        "Shows it again."),
    entry(StarCode::RejectAnonymousOn, "reject_anonymous_on", Argument::None, ("*77", "*83"),
        "Refuses callers who withhold their number."),
    entry(StarCode::RejectAnonymousOff, "reject_anonymous_off", Argument::None, ("*87", "*84"),
        "Takes their calls again."),
    entry(StarCode::Voicemail, "voicemail", Argument::None, same("*86"),
        "Calls the mailbox, `dial.voicemail`; without that key the code is dialled as a number."),
    entry(StarCode::SpeedDialSet, "speed_dial_set", Argument::SlotAndNumber, same("*74"),
        "Stores a number under a speed dial key: the key (one digit), then the number."),
    entry(StarCode::Transfer, "transfer", Argument::Number, same("*85"),
        "Blind transfer: after a flash, connects the call on hold with the number keyed after it."),
    entry(StarCode::Conference, "conference", Argument::Number, same("*76"),
        "Conference: after a flash, calls the number keyed after it, and connects all three when \
         it is answered."),
    entry(StarCode::Park, "park", Argument::None, same("*75"),
        "After a flash, transfers the call on hold to `dial.park`; without that key the code is \
         dialled as a number."),
    entry(StarCode::PickUp, "pick_up", Argument::None, same("*71"),
        "Takes the call that rings at a phone of `dial.watch`, else calls `dial.pick_up`, which \
         takes a parked or ringing call; without either key the code is dialled as a number."),
    entry(StarCode::Intercom, "intercom", Argument::Number, same("*80"),
        "Calls a phone and asks it to answer by itself."),
    entry(StarCode::Paging, "paging", Argument::Digit, same("*58"),
        "Speaks to every phone of a group of `[paging]`, whose number is keyed after it; without \
         groups the code is dialled as a number."),
    entry(StarCode::EchoTest, "echo_test", Argument::None, same("*99#"),
        "Calls `dial.echo_test`, where one hears oneself; without that key the code is dialled as \
         a number."),
    entry(StarCode::OwnNumber, "own_number", Argument::None, same("*55#"),
        "Speaks one's own number and whether the account is registered."),
    entry(StarCode::OwnAddress, "own_address", Argument::None, same("*56#"),
        "Speaks the phone's IP address."),
    entry(StarCode::LastQuality, "last_quality", Argument::None, same("*57#"),
        "Speaks how well the last call was heard."),
    entry(StarCode::SelfTest, "self_test", Argument::None, same("*95#"),
        "Self-test of speaker, microphone, keys, hook switch, lamps, bell and network; the result \
         is heard."),
    entry(StarCode::Bundle, "bundle", Argument::None, same("*94#"),
        "Support bundle: logs, status and settings without secrets, written to the card."),
    entry(StarCode::HistoryToCard, "history_to_card", Argument::None, same("*59#"),
        "Writes the calls and messages the phone remembers to the card, as a table for a \
         spreadsheet."),
    entry(StarCode::Reboot, "reboot", Argument::None, same("*96#"),
        "Restarts the board."),
    entry(StarCode::FactoryReset, "factory_reset", Argument::None, same("*99*7378#"),
        "Factory reset: erases every setting, password and history; `offhook.toml` becomes the \
         empty example."),
    entry(StarCode::SetUpServer, "setup_server", Argument::Address, same("**73887*"),
        "Takes the settings from the server at an address, as in `**73887*192*168*1*5#`."),
];

impl StarCode {
    /// Its row.
    pub fn entry(self) -> &'static CodeEntry {
        let found = CODES.iter().find(|entry| entry.code == self);
        // Each has one; a test sees to that.
        found.unwrap_or(&CODES[0])
    }

    /// Its name under `[codes]`, in log and events.
    pub fn as_str(self) -> &'static str {
        self.entry().name
    }

    /// What is keyed after it.
    pub fn argument(self) -> Argument {
        self.entry().argument
    }
}

impl CodeEntry {
    /// Its keys in a country where the configuration says none.
    pub const fn keys_in(&self, country: Country) -> &'static str {
        match country {
            Country::Us => self.us,
            _ => self.elsewhere,
        }
    }
}

/// `[codes]`: the keys of each star code; one that is not here is off.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Codes {
    keys: BTreeMap<StarCode, String>,
}

impl Codes {
    /// The keys of a code; `None`: it is off.
    pub fn keys(&self, code: StarCode) -> Option<&str> {
        self.keys
            .get(&code)
            .map(String::as_str)
            .filter(|keys| !keys.is_empty())
    }

    /// Every code that is on, with its keys.
    pub fn iter(&self) -> impl Iterator<Item = (StarCode, &str)> {
        let all = self.keys.iter().map(|(code, keys)| (*code, keys.as_str()));
        all.filter(|(_, keys)| !keys.is_empty())
    }

    /// Gives a code its keys; an empty text turns it off.
    pub(crate) fn set(&mut self, code: StarCode, keys: String) {
        self.keys.insert(code, keys);
    }

    /// The country's keys for every code of which nothing was said.
    pub(crate) fn complete(&mut self, country: Country) {
        for entry in CODES {
            let keys = || entry.keys_in(country).to_owned();
            self.keys.entry(entry.code).or_insert_with(keys);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_row_and_keys_of_its_own() {
        for country in Country::ALL {
            for (index, entry) in CODES.iter().enumerate() {
                assert_eq!(entry.code.entry().name, entry.name);
                let keys = entry.keys_in(*country);
                for other in &CODES[index + 1..] {
                    assert_ne!(
                        keys,
                        other.keys_in(*country),
                        "{} {}",
                        entry.name,
                        other.name
                    );
                }
            }
        }
    }

    #[test]
    fn no_default_is_a_voicemail_or_service_code() {
        for country in Country::ALL {
            let identity = crate::country::identity_codes(*country);
            for entry in CODES {
                let keys = entry.keys_in(*country);
                assert!(
                    !keys.starts_with("*97") && !keys.starts_with("*98"),
                    "{keys}"
                );
                assert!(
                    !"*97".starts_with(keys) && !"*98".starts_with(keys),
                    "{keys}"
                );
                let own = entry.code == StarCode::AnonymousOnce;
                assert!(
                    own || !identity.contains(&keys),
                    "{country:?} {}",
                    entry.name
                );
            }
        }
    }
}
