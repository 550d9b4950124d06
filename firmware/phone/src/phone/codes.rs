//! Carries out star codes: settings are kept, some place a call, the rest is for the owner.
//!
//! ```text
//! StarCode + number ─┬─▶ features      ─▶ Output::Remember, confirmation tone
//!                    ├─▶ place_number   (redial, call return, voicemail, anonymous once, intercom …)
//!                    ├─▶ BlindTransfer  (transfer, park), when a call is on hold
//!                    └─▶ Output::Maintenance (self-test, bundle, reboot, factory reset)
//! ```
//!
//! What cannot be done is answered by congestion tone, and the log says why.

use std::time::Instant;

use config::codes::StarCode;

use super::feature_keys::MOST_DIALLED;
use super::{DIAL_TONE, Phone};
use crate::announcement::Announcement;
use crate::call::CallState;
use crate::features::Features;
use crate::input::AccountId;
use crate::maintenance::Maintenance;
use crate::note::{BarredNumber, DialError, Note};
use crate::output::{CallOptions, Destination, Output};
use crate::state::State;

/// Who called last, as call return needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastCaller {
    /// A number, or an address of a caller without a server.
    pub number: String,
    /// The account by which the call came.
    pub account: Option<AccountId>,
}

impl Phone {
    /// What was set from the handset in earlier runs.
    pub fn restore(&mut self, features: Features) {
        for (keys, number) in &features.speed_dial {
            self.plan.set_speed_dial(keys, Some(number.clone()));
        }
        self.features = features;
        self.present();
    }

    /// A call was missed, or a text came, since the handset was lifted last.
    pub fn has_missed(&self) -> bool {
        self.missed
    }

    /// What is set from the handset.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// The numbers dialled last, the newest first, and who called last, from the history of earlier
    /// runs.
    pub fn set_recent(
        &mut self,
        dialled: impl IntoIterator<Item = String>,
        caller: Option<LastCaller>,
    ) {
        let newest: Vec<String> = dialled.into_iter().take(MOST_DIALLED).collect();
        for number in newest.iter().rev() {
            self.remember_dialled(number);
        }
        self.last_caller = caller;
    }

    /// Carries out a star code.
    pub(super) fn star_code(&mut self, code: StarCode, number: &str, now: Instant) {
        self.note(Note::StarCode(code));
        let target = |text: &Option<String>| text.clone().unwrap_or_default();
        match code {
            StarCode::Redial => match self.dialled.last().cloned() {
                Some(number) => self.place_number(&number, CallOptions::default(), now),
                None => self.not_dialled(DialError::NothingToRedial, now),
            },
            StarCode::CallReturn => match self.last_caller.clone() {
                Some(caller) => self.call_back(&caller, now),
                None => self.not_dialled(DialError::NoOneCalled, now),
            },
            StarCode::AnonymousOnce => {
                let options = CallOptions {
                    anonymous: true,
                    ..CallOptions::default()
                };
                self.place_number(number, options, now);
            }
            StarCode::Intercom => {
                let options = CallOptions {
                    intercom: true,
                    ..CallOptions::default()
                };
                self.place_number(number, options, now);
            }
            StarCode::Paging => self.page(number, now),
            StarCode::Voicemail => self.place_plain(&target(&self.targets.voicemail), now),
            StarCode::EchoTest => self.place_plain(&target(&self.targets.echo_test), now),
            StarCode::PickUp => {
                if !self.pick_up_watched(now) {
                    self.place_plain(&target(&self.targets.pick_up), now);
                }
            }
            StarCode::Conference => self.conference_with(number, now),
            StarCode::Transfer => self.blind_transfer(number, now),
            StarCode::Park => self.blind_transfer(&target(&self.targets.park), now),
            StarCode::ForwardAlways | StarCode::ForwardBusy | StarCode::ForwardNoAnswer
                if self.plan.is_emergency(number) =>
            {
                let why = BarredNumber::Emergency(number.to_owned());
                self.not_dialled(why.into(), now);
            }
            StarCode::DndOn
            | StarCode::DndOff
            | StarCode::ForwardAlways
            | StarCode::ForwardAlwaysOff
            | StarCode::ForwardBusy
            | StarCode::ForwardBusyOff
            | StarCode::ForwardNoAnswer
            | StarCode::ForwardNoAnswerOff
            | StarCode::AnonymousOn
            | StarCode::AnonymousOff
            | StarCode::RejectAnonymousOn
            | StarCode::RejectAnonymousOff
            | StarCode::SpeedDialSet => self.set_feature(code, number, now),
            StarCode::OwnNumber => self.announce_at_once(Announcement::OwnNumber, now),
            StarCode::OwnAddress => self.announce_at_once(Announcement::OwnAddress, now),
            StarCode::LastQuality => self.announce_at_once(Announcement::LastQuality, now),
            StarCode::SelfTest => self.maintain(Maintenance::SelfTest, now),
            StarCode::Bundle => self.maintain(Maintenance::Bundle, now),
            StarCode::HistoryToCard => self.maintain(Maintenance::HistoryToCard, now),
            StarCode::Reboot => self.maintain(Maintenance::Reboot, now),
            StarCode::FactoryReset => self.maintain(Maintenance::FactoryReset, now),
            StarCode::SetUpServer => match config::setup_code::server(number) {
                Some(url) => {
                    self.out.push_back(Output::SetUpServer(url));
                    self.confirm(now);
                    self.explain(Announcement::Set(code, number.to_owned()), now);
                }
                None => self.not_dialled(DialError::Incomplete(number.to_owned()), now),
            },
        }
    }

    fn set_feature(&mut self, code: StarCode, number: &str, now: Instant) {
        let made = |setting| self.features.apply(setting, number);
        if !code.setting().is_some_and(made) {
            return self.not_dialled(DialError::Incomplete(number.to_owned()), now);
        }
        if let Some((keys, number)) = self.features.speed_dial.last()
            && code == StarCode::SpeedDialSet
        {
            self.plan.set_speed_dial(keys, Some(number.clone()));
        }
        self.out
            .push_back(Output::Remember(Box::new(self.features.clone())));
        self.confirm(now);
        self.explain(Announcement::Set(code, number.to_owned()), now);
    }

    /// A setting that needs no number.
    pub(super) fn set_by_menu(&mut self, code: StarCode) {
        // Others need a number, or are no setting.
        let Some(setting) = code.setting().filter(|setting| !setting.takes_number()) else {
            return;
        };
        if self.features.apply(setting, "") {
            self.note(Note::StarCode(code));
            let features = Box::new(self.features.clone());
            self.out.push_back(Output::Remember(features));
        }
    }

    fn maintain(&mut self, what: Maintenance, now: Instant) {
        self.out.push_back(Output::Maintenance(what));
        self.confirm(now);
        self.explain(Announcement::Maintenance(what), now);
    }

    /// Confirmation tone; the next key dials.
    pub(super) fn confirm(&mut self, now: Instant) {
        self.digits.clear();
        self.pending = None;
        self.enter(State::DialTone, Some(now + DIAL_TONE));
        self.second_dial_tone = false;
        self.confirmed = true;
    }

    /// Calls a number or address of the configuration.
    fn place_plain(&mut self, number: &str, now: Instant) {
        self.place_number(number, CallOptions::default(), now);
    }

    /// Speaks to a paging group: for the phone a call that is answered at once.
    fn page(&mut self, group: &str, now: Instant) {
        let known = |number: &u8| self.paging.address(*number).is_some();
        let Some(page) = group.parse().ok().filter(known) else {
            return self.not_dialled(DialError::Unknown(group.to_owned()), now);
        };
        let to = Destination {
            address: format!("paging group {page}"),
            account: None,
            emergency: false,
            has_more: false,
            options: CallOptions {
                page: Some(page),
                ..CallOptions::default()
            },
        };
        self.place_call([to].into(), now);
    }

    /// Calls who called last, by the account the call came by.
    fn call_back(&mut self, caller: &LastCaller, now: Instant) {
        let Some(account) = caller.account else {
            return self.place_plain(&caller.number, now);
        };
        if let Some(why) = self.plan.bars(&caller.number) {
            return self.not_dialled(why.into(), now);
        }
        match self.lines.by(account, &caller.number) {
            Ok(to) => self.place_call([to].into(), now),
            Err(why) => {
                let number = caller.number.clone();
                self.not_dialled(DialError::NoRoute { number, why }, now);
            }
        }
    }

    /// The same for the call in the hand, where it is not on hold yet.
    pub(super) fn transfer_active(&mut self, number: &str, now: Instant) {
        if self.state == State::Talking
            && !self.in_conference()
            && let Some(active) = self.active
            && self.calls.get(active).is_some_and(|call| !call.emergency)
            && self.plan.bars_request(number).is_none()
        {
            self.release_key();
            self.active = None;
            self.out.push_back(Output::Hold(active, true));
            self.calls.set(active, CallState::OnHold);
            // The longest untouched is taken: any other on hold is touched after it.
            while let Some(first) = self.calls.first(CallState::OnHold).filter(|c| *c != active) {
                self.calls.set(first, CallState::OnHold);
            }
            self.blind_transfer(number, now);
        } else if self.state.takes_digits() {
            self.blind_transfer(number, now);
        } else {
            self.note(Note::NotDialled(DialError::NothingToTransfer));
        }
    }

    /// Connects the call on hold with a number, and is out of it.
    fn blind_transfer(&mut self, number: &str, now: Instant) {
        let Some(held) = self.calls.first(CallState::OnHold) else {
            return self.not_dialled(DialError::NothingToTransfer, now);
        };
        if let Some(why) = self.plan.bars_request(number) {
            return self.not_dialled(why.into(), now);
        }
        let Some(call) = self.calls.get(held).filter(|call| !call.emergency) else {
            return self.not_dialled(DialError::NothingToTransfer, now);
        };
        let from = call.peer.clone();
        let to = number.to_owned();
        self.note(Note::Transferred {
            from,
            to: to.clone(),
        });
        self.out.push_back(Output::BlindTransfer { held, to });
        self.calls.remove(held);
        self.confirm(now);
    }
}
