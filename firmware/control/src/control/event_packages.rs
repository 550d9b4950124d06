//! What event packages (RFC 6665) bring: messages that wait, phones that are watched, and servers
//! that have the configuration looked up or use the phone.
//!
//! ```text
//! sip::Event ─┬ MessagesWaiting ─▶ mailbox of the account ─▶ message lamp, stutter dial tone, status, event
//!             ├ Watched ─▶ lamp of the watched phone, pick-up, status, event
//!             ├ CheckSync ─▶ when nothing goes on: Output::LookUpConfiguration, or a restart
//!             └ RemoteControl ─▶ phone
//! ```

use std::time::Instant;

use phone::{Input, Maintenance, PickUp};
use sip::{MessageSummary, RemoteAction, WatchedState};
use types::{Lamp, LampState};

use super::{Control, Output};
use crate::event::Event;
use crate::note::Note;
use crate::readable::displayable;
use crate::status::{MailboxStatus, WatchedStatus};

/// What is known of mailboxes and watched phones.
#[derive(Debug)]
pub(super) struct EventPackages {
    /// By account.
    mailboxes: Vec<Option<MessageSummary>>,
    /// By the order of `dial.watch`.
    watched: Vec<WatchedState>,
    /// The configuration is to be looked up once nothing goes on; `true`: the phone restarts.
    look_up: Option<bool>,
}

impl EventPackages {
    pub(super) fn new(config: &config::Config) -> Self {
        Self {
            mailboxes: vec![None; config.accounts.len()],
            watched: vec![WatchedState::Unknown; config.dial.watch.len()],
            look_up: None,
        }
    }

    fn waiting(&self) -> bool {
        let known = self.mailboxes.iter().flatten();
        known.into_iter().any(|summary| summary.waiting)
    }

    /// The mailbox of an account, as status shows it.
    pub(super) fn mailbox(&self, account: usize) -> Option<MailboxStatus> {
        let summary = self.mailboxes.get(account)?.as_ref()?;
        Some(MailboxStatus {
            waiting: summary.waiting,
            new: summary.new,
            old: summary.old,
            urgent: summary.urgent_new,
        })
    }

    /// The watched phones, as status shows them.
    pub(super) fn watched(&self, config: &config::Config) -> Vec<WatchedStatus> {
        let both = config.dial.watch.iter().zip(&self.watched);
        let status = |(target, state): (&String, &WatchedState)| WatchedStatus {
            target: target.clone(),
            state: state_name(*state),
        };
        both.map(status).collect()
    }
}

/// As status and events name it.
fn state_name(state: WatchedState) -> &'static str {
    match state {
        WatchedState::Unknown => "unknown",
        WatchedState::Idle => "idle",
        WatchedState::Ringing => "ringing",
        WatchedState::Busy => "busy",
    }
}

impl Control {
    pub(super) fn on_messages_waiting(
        &mut self,
        account: sip::AccountId,
        summary: &MessageSummary,
        now: Instant,
    ) {
        let Some(mailbox) = self.packages.mailboxes.get_mut(account.0) else {
            return;
        };
        let news = mailbox.as_ref() != Some(summary);
        *mailbox = Some(summary.clone());
        let waiting = self.packages.waiting();
        if news {
            let name = self.config.accounts.get(account.0);
            self.outbox.emit(Event::Messages {
                account: name.map(|account| account.name.clone()).unwrap_or_default(),
                waiting: summary.waiting,
                new: summary.new,
                old: summary.old,
                urgent: summary.urgent_new,
                mailbox: summary.account.as_deref().map(displayable),
            });
        }
        self.phone.handle(Input::MessagesWaiting(waiting), now);
    }

    pub(super) fn on_watched(&mut self, watch: usize, state: WatchedState, now: Instant) {
        let Some(known) = self.packages.watched.get_mut(watch) else {
            return;
        };
        *known = state;
        let target = self.config.dial.watch.get(watch).cloned();
        self.outbox.emit(Event::Watched {
            target: target.unwrap_or_default(),
            state: state_name(state),
        });
        if let Ok(lamp) = u8::try_from(watch)
            && lamp < Lamp::MOST_WATCHED
        {
            let shown = match state {
                WatchedState::Unknown | WatchedState::Idle => LampState::Off,
                WatchedState::Ringing => LampState::Fast,
                WatchedState::Busy => LampState::On,
            };
            self.outbox.lamp(Lamp::Watched(lamp), shown);
        }
        let mut all = self.config.dial.watch.iter().enumerate();
        let offered =
            all.find(|(watch, _)| self.agent.can_pick_up(*watch))
                .map(|(watch, target)| PickUp {
                    watch,
                    target: target.clone(),
                });
        self.phone.handle(Input::PickUpOffered(offered), now);
    }

    pub(super) fn on_check_sync(&mut self, account: sip::AccountId, reboot: bool) {
        let name = self.config.accounts.get(account.0);
        self.outbox.note(&Note::CheckSync {
            account: name.map(|account| account.name.clone()).unwrap_or_default(),
            reboot,
        });
        self.packages.look_up = Some(self.packages.look_up == Some(true) || reboot);
    }

    /// Does what a server asked for once no one uses the phone.
    pub(super) fn look_up_when_idle(&mut self) {
        if self.closing || !self.is_idle() {
            return;
        }
        match self.packages.look_up.take() {
            Some(true) => self.outbox.push(Output::Maintenance(Maintenance::Reboot)),
            Some(false) => self.outbox.push(Output::LookUpConfiguration),
            None => {}
        }
    }

    pub(super) fn on_remote_control(
        &mut self,
        call: sip::CallHandle,
        action: RemoteAction,
        now: Instant,
    ) {
        let Some(record) = self.calls.by_sip(call) else {
            return;
        };
        let id = record.id;
        let input = match action {
            RemoteAction::Talk => Input::RemoteTalk(id),
            RemoteAction::Hold => Input::RemoteHold(id),
        };
        self.phone.handle(input, now);
    }
}
