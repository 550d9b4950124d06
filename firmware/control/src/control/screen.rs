//! What the display shows: composed of what the phone does, its calls, and the menu.

use std::time::Instant;

use ::display::{Body, Icon, Screen};
use phone::{CallState, Encryption, Features, Input, State, Volumes};
use types::{Key, Language};

use super::Control;
use crate::call::CallRecord;
use crate::display::{
    Brightness, DisplaySettings, DisplayState, Failure, MenuAction, MenuFacts, Word, clock, date,
};
use crate::history::{CallOutcome, HistoryEntry};
use crate::known_peers::Trust;
use crate::phone_book::Contact;

/// What the menu shows, at one moment.
struct View<'a> {
    control: &'a Control,
    now: Instant,
}

impl MenuFacts for View<'_> {
    fn language(&self) -> Language {
        self.control.voice.language()
    }

    fn history(&self) -> Vec<HistoryEntry> {
        let named = |entry: &HistoryEntry| {
            let mut entry = entry.clone();
            entry.name = self.control.name_of(&entry.name, &entry.number);
            entry
        };
        self.control.history.newest_first().map(named).collect()
    }

    fn contacts(&self) -> Vec<Contact> {
        self.control.contacts.all().cloned().collect()
    }

    fn volumes(&self) -> Volumes {
        self.control.phone.features().volumes
    }

    fn features(&self) -> Features {
        self.control.phone.features().clone()
    }

    fn network(&self) -> Vec<String> {
        let (control, word) = (self.control, |word: Word| word.text(self.language()));
        let mut lines = Vec::new();
        if let Some(address) = control.voice.address() {
            lines.push(format!("{} {address}", word(Word::Address)));
        }
        if let Some(fault) = &control.network_fault {
            lines.push(format!("{}: {fault}", word(Word::NoNetwork)));
        }
        for account in control
            .accounts
            .status(&control.agent, control.clock, self.now)
        {
            let state = match (account.registered, account.error) {
                (true, _) => word(Word::Registered).to_owned(),
                (false, Some(error)) => format!("{}: {error}", word(Word::NotRegistered)),
                (false, None) => word(Word::NotRegistered).to_owned(),
            };
            lines.push(format!("{}: {state}", account.account));
            lines.extend(account.server);
        }
        let faults = control.hardware_faults.iter();
        lines.extend(faults.map(|fault| format!("{}: {fault}", word(Word::Fault))));
        lines
    }

    fn about(&self) -> Vec<String> {
        let (control, word) = (self.control, |word: Word| word.text(self.language()));
        let mut lines = vec![format!(
            "Offhook {} {}",
            word(Word::Version),
            env!("CARGO_PKG_VERSION")
        )];
        for account in &control.config.accounts {
            let (user, domain) = (&account.user, &account.domain);
            lines.push(format!("{} {user}@{domain}", word(Word::Account)));
        }
        lines.extend(control.config_note.clone());
        if let Some(fingerprint) = &control.fingerprint {
            lines.push(format!("{} {fingerprint}", word(Word::Fingerprint)));
        }
        lines
    }

    fn moment(&self, unix_s: u64) -> String {
        let time = config::local_time(&self.control.config.system.time_zone, unix_s);
        let day = date(time, self.language());
        format!("{day} {:02}:{:02}", time.hour, time.minute)
    }
}

impl Control {
    /// There is a display; keys of a phone on the hook are its menu's.
    pub fn set_display(&mut self, settings: DisplaySettings, now: Instant) {
        self.display = Some(DisplayState::new(settings, now));
    }

    /// What the display shows and how bright it is; `None`: there is none.
    pub fn screen(&mut self, now: Instant) -> Option<(Screen, Brightness)> {
        self.display.as_mut()?.expire(now);
        let display = self.display.as_ref()?;
        let screen = self.compose(display, now);
        let state = self.phone.state();
        // A call is seen as long as it lasts; a handset beside the phone wears nothing out.
        let brightness = if state == State::Idle || state.has_failed() {
            display.brightness(now)
        } else {
            Brightness::Full
        };
        Some((screen, brightness))
    }

    /// A key of a phone with a display. Whether it was the display's.
    pub(super) fn display_key(&mut self, key: Key, now: Instant) -> bool {
        let Some(mut display) = self.display.take() else {
            return false;
        };
        display.on_use(now);
        let action = if self.phone.state() == State::Idle {
            display.handle_key(key, &View { control: self, now }, now)
        } else {
            None
        };
        let taken = match self.phone.state() {
            State::Idle => true,
            State::Ringing => display.swallows_key(now),
            _ => false,
        };
        self.display = Some(display);
        match action {
            Some(MenuAction::Volume(of, db)) => self.phone.handle(Input::Volume(of, db), now),
            Some(MenuAction::Setting(code)) => self.phone.handle(Input::Setting(code), now),
            None => {}
        }
        taken
    }

    /// The handset was lifted, or what does the same: the menu closes. Returns whom to call, where
    /// somebody chose that in the menu.
    pub(super) fn display_lifted(&mut self, now: Instant) -> Option<String> {
        let display = self.display.as_mut()?;
        display.on_use(now);
        display.on_lift(now)
    }

    /// Somebody uses the phone.
    pub(super) fn display_used(&mut self, now: Instant) {
        if let Some(display) = &mut self.display {
            display.on_use(now);
        }
    }

    /// The phone's state may have changed.
    pub(super) fn display_state(&mut self, now: Instant) {
        let state = self.phone.state();
        if let Some(display) = &mut self.display
            && state != State::Idle
        {
            display.on_use(now);
            display.close_menu(state == State::Ringing, now);
        }
    }

    /// Something is noted in the history.
    pub(super) fn display_history(&mut self, outcome: CallOutcome) {
        if let Some(display) = &mut self.display
            && outcome == CallOutcome::Missed
        {
            display.missed = display.missed.saturating_add(1);
        }
    }

    /// Something happened.
    pub(super) fn display_note(&mut self, note: &phone::Note) {
        let failure = match note {
            phone::Note::Failed { cause, .. } => Failure::Call(cause.clone()),
            phone::Note::NotDialled(why) => Failure::Dialled(why.clone()),
            _ => return,
        };
        if let Some(display) = &mut self.display {
            display.failure = Some(failure);
        }
    }

    fn word(&self, word: Word) -> String {
        word.text(self.voice.language()).to_owned()
    }

    fn compose(&self, display: &DisplayState, now: Instant) -> Screen {
        let language = self.voice.language();
        let failure = || {
            let failed = display.failure.iter();
            failed.map(|why| why.text(language)).collect()
        };
        let titled = |title: String, body| Screen {
            title,
            icons: self.icons(display, now),
            body,
        };
        let notice = |heading: Word, lines| Body::Notice {
            heading: self.word(heading),
            lines,
        };
        match self.phone.state() {
            State::Idle => match display.menu() {
                Some(menu) => menu.screen(&View { control: self, now }, self.icons(display, now)),
                None => titled(self.line_name(), self.clock_body(display, now)),
            },
            State::DialTone | State::Collecting => {
                let account = self.phone.dialling_account();
                let name = account.and_then(|id| self.config.accounts.get(id.0));
                let name = match name {
                    Some(account) => account.name.clone(),
                    None if self.config.accounts.is_empty() => self.word(Word::DirectOnly),
                    None => self.word(Word::NoLine),
                };
                titled(name, self.number_body())
            }
            State::Ringing => titled(
                self.word(Word::IncomingCall),
                self.call_body(CallState::Ringing, now),
            ),
            State::Calling => titled(
                self.word(Word::Calling),
                self.call_body(CallState::Calling, now),
            ),
            State::Ringback => titled(
                self.word(Word::RingsThere),
                self.call_body(CallState::Ringback, now),
            ),
            State::EarlyMedia => titled(
                self.word(Word::Calling),
                self.call_body(CallState::EarlyMedia, now),
            ),
            State::Talking => titled(self.talk_title(), self.call_body(CallState::Talking, now)),
            State::OnHold => titled(
                self.word(Word::OnHold),
                self.call_body(CallState::OnHold, now),
            ),
            State::Busy => titled(self.line_name(), notice(Word::Busy, failure())),
            State::Congestion => titled(self.line_name(), notice(Word::Failed, failure())),
            State::Howler | State::Silent => {
                titled(self.line_name(), notice(Word::HangUp, failure()))
            }
            State::SetUp => {
                let lines = vec![self.word(Word::FollowVoice)];
                titled(String::new(), notice(Word::SetUp, lines))
            }
        }
    }

    /// Whose line this is: the account that can be used.
    fn line_name(&self) -> String {
        let accounts = &self.config.accounts;
        let ready = (0..accounts.len()).find(|account| self.accounts.is_ready(*account));
        match ready
            .and_then(|index| accounts.get(index))
            .or(accounts.first())
        {
            Some(account) => account.name.clone(),
            None => self.word(Word::DirectOnly),
        }
    }

    fn icons(&self, display: &DisplayState, now: Instant) -> Vec<Icon> {
        let features = self.phone.features();
        let call = self.call_in_hand();
        let accounts = 0..self.config.accounts.len();
        let needs_line = self.config.accounts.iter().any(|account| account.register);
        let has_line = accounts
            .clone()
            .any(|account| self.accounts.is_ready(account));
        let forwards = [
            &features.forward_always,
            &features.forward_busy,
            &features.forward_no_answer,
        ];
        let mut waiting = accounts.filter_map(|account| self.packages.mailbox(account));
        let encryption = match call.map(CallRecord::encryption) {
            Some(Encryption::Working) => Some(Icon::Encrypted),
            Some(Encryption::Missing) => Some(Icon::NotEncrypted),
            Some(Encryption::Pending | Encryption::Unwanted) | None => None,
        };
        let quality = call.and_then(quality_bars).map(Icon::Quality);
        let shown = [
            encryption,
            self.phone.is_muted().then_some(Icon::Muted),
            self.phone.is_hands_free().then_some(Icon::HandsFree),
            quality,
            (needs_line && !has_line).then_some(Icon::NoLine),
            waiting
                .any(|mailbox| mailbox.waiting)
                .then_some(Icon::Message),
            (display.missed > 0).then_some(Icon::Missed),
            (features.dnd || self.is_quiet(now)).then_some(Icon::Silent),
            forwards
                .iter()
                .any(|to| to.is_some())
                .then_some(Icon::Forwarded),
        ];
        shown.into_iter().flatten().collect()
    }

    fn clock_body(&self, display: &DisplayState, now: Instant) -> Body {
        let (time, day) = match self.local_time(now) {
            Some(time) => (
                format!("{:02}:{:02}", time.hour, time.minute),
                date(time, self.voice.language()),
            ),
            None => ("--:--".to_owned(), String::new()),
        };
        Body::Clock {
            time,
            date: day,
            notices: self.notices(display),
        }
    }

    /// What is to be known while nothing goes on, the most important first.
    fn notices(&self, display: &DisplayState) -> Vec<String> {
        let mut notices = Vec::new();
        if let Some(code) = self.line_lamp.fault {
            notices.push(format!("{} {code}", self.word(Word::SettingsError)));
        }
        if self.network_fault.is_some() {
            notices.push(self.word(Word::NoNetwork));
        } else {
            let account = self.accounts.first_error();
            notices.extend(account.map(|(name, error)| match self.voice.language() {
                Language::English => format!("{name}: {error}"),
                // The error is the server's, or at length: `status` has it.
                Language::German => format!("{name}: {}", self.word(Word::NotRegistered)),
            }));
        }
        match display.missed {
            0 => {}
            1 => notices.push(format!("1 {}", self.word(Word::MissedOne))),
            more => notices.push(format!("{more} {}", self.word(Word::MissedMany))),
        }
        let mailboxes = (0..self.config.accounts.len()).filter_map(|n| self.packages.mailbox(n));
        let waiting: Vec<_> = mailboxes.filter(|mailbox| mailbox.waiting).collect();
        match waiting.iter().map(|mailbox| mailbox.new).sum::<u32>() {
            0 if waiting.is_empty() => {}
            0 => notices.push(self.word(Word::Messages)),
            1 => notices.push(format!("1 {}", self.word(Word::NewMessage))),
            new => notices.push(format!("{new} {}", self.word(Word::NewMessages))),
        }
        let features = self.phone.features();
        if features.dnd {
            notices.push(self.word(Word::DoNotDisturb));
        }
        if let Some(to) = &features.forward_always {
            notices.push(format!("{} {to}", self.word(Word::ForwardedTo)));
        }
        notices
    }

    fn number_body(&self) -> Body {
        let digits = self.phone.digits().to_owned();
        let held = self.call_of(CallState::OnHold);
        let known = self.contacts.name_of(&digits);
        let hint = match (known, held) {
            (Some(name), _) => name,
            (None, Some(held)) => format!("{} {}", self.word(Word::HeldCall), self.party(held)),
            (None, None) => self.word(Word::Dial),
        };
        Body::Number { digits, hint }
    }

    fn talk_title(&self) -> String {
        let held = self.call_in_hand().is_some_and(|call| call.held_by_peer);
        if self.connected.len() > 1 {
            self.word(Word::Conference)
        } else if held {
            self.word(Word::HeldByPeer)
        } else {
            self.line_name()
        }
    }

    /// A name as it came, or what the contacts call the number where none came.
    fn name_of(&self, name: &str, number: &str) -> String {
        if !name.is_empty() && name != number {
            return name.to_owned();
        }
        let known = self.contacts.name_of(number);
        known.unwrap_or_else(|| name.to_owned())
    }

    /// The far end of a call.
    fn party(&self, call: &CallRecord) -> String {
        let name = self.name_of(&call.peer, &call.number);
        if name.is_empty() {
            self.word(Word::Unknown)
        } else {
            name
        }
    }

    fn call_of(&self, state: CallState) -> Option<&CallRecord> {
        let mut calls = self.calls.iter();
        calls.find(|call| self.phone.call_state(call.id) == Some(state))
    }

    /// The call that is heard.
    fn call_in_hand(&self) -> Option<&CallRecord> {
        let talking = [CallState::Talking, CallState::EarlyMedia];
        talking.into_iter().find_map(|state| self.call_of(state))
    }

    fn call_body(&self, state: CallState, now: Instant) -> Body {
        let Some(call) = self.call_of(state) else {
            // Its sockets are still being opened.
            return Body::Number {
                digits: self.phone.digits().to_owned(),
                hint: self.word(Word::Calling),
            };
        };
        let name = self.party(call);
        let number = call.number.clone();
        let number = if number == name {
            String::new()
        } else {
            number
        };
        let since = call.setup.map(|setup| call.began + setup);
        let time = since.map(|since| clock(now.saturating_duration_since(since).as_secs()));
        let mut lines = Vec::new();
        if state == CallState::Ringing {
            let account = call
                .account
                .and_then(|index| self.config.accounts.get(index));
            if self.config.accounts.len() > 1 {
                lines.extend(account.map(|account| account.name.clone()));
            }
            lines.push(self.word(Word::SilenceRefuse));
        }
        if let Some(waiting) = self.call_of(CallState::Waiting) {
            lines.push(format!(
                "{} {}",
                self.word(Word::WaitingCall),
                self.party(waiting)
            ));
        }
        if state == CallState::Talking {
            let others = self.calls.iter().filter(|other| other.id != call.id);
            let others = others.filter(|other| self.connected.contains(&other.id));
            lines.extend(others.map(|other| self.party(other)));
            if let Some(held) = self.call_of(CallState::OnHold) {
                lines.push(format!(
                    "{} {}",
                    self.word(Word::HeldCall),
                    self.party(held)
                ));
            }
            self.encryption_lines(call, &mut lines);
            if call.stats.received > 0 {
                let codec = call.codec().unwrap_or_default();
                let (word, mos) = (self.word(Word::Quality), call.stats.mos);
                lines.push(format!("{word} {mos:.1} {codec}"));
            }
        }
        Body::Call {
            name,
            number,
            time: time.unwrap_or_default(),
            lines,
        }
    }

    /// The words two people compare, once; later that it is encrypted, or is not.
    fn encryption_lines(&self, call: &CallRecord, lines: &mut Vec<String>) {
        let proof = call.proof.as_ref();
        match call.encryption() {
            Encryption::Working => match proof {
                Some(proof) if proof.trust != Trust::Verified => lines.push(proof.sas.to_string()),
                Some(_) | None => lines.push(self.word(Word::Encrypted)),
            },
            Encryption::Missing => {
                lines.push(self.word(Word::NotEncrypted));
                lines.extend(proof.map(|proof| proof.sas.to_string()));
            }
            Encryption::Pending | Encryption::Unwanted => {}
        }
    }
}

/// How many bars of four an estimated listening quality is (ITU-T G.107 annex B: 4.0 and more
/// satisfies, below 2.6 nearly no one is).
fn quality_bars(call: &CallRecord) -> Option<u8> {
    let mos = call.stats.mos;
    (call.stats.received > 0)
        .then(|| [2.6, 3.1, 3.6, 4.0].iter().filter(|to| mos >= **to).count() as u8)
}
