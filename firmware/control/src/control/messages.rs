//! Text messages (RFC 3428): sent by `ctl`; those that come are stored beside the calls, shown, and
//! reported by the lamp that reports missed calls.

use std::time::Instant;

use phone::Input;
use sip::agent::MessageError;

use super::sip_event::user_of;
use super::{Control, Output};
use crate::api::ActionError;
use crate::event::{CallDirection, Event};
use crate::history::{CallOutcome, HistoryEntry};
use crate::note::Note;
use crate::readable::displayable;
use crate::status::MessageStatus;
use crate::wall_clock::unix_time;

/// Most messages whose outcome is awaited.
const MAX_SENDING: usize = 16;

/// Messages on their way, and the one that came last.
#[derive(Debug, Default)]
pub(super) struct TextMessages {
    /// And whom each is for.
    sending: Vec<(sip::MessageId, String)>,
    last: Option<MessageStatus>,
}

impl TextMessages {
    /// The one that came last.
    pub(super) fn last(&self) -> Option<MessageStatus> {
        self.last.clone()
    }
}

impl Control {
    /// Sends a text to a number or address, as the dial plan would call it.
    pub(super) fn send_message(
        &mut self,
        to: &str,
        text: &str,
        now: Instant,
    ) -> Result<(), ActionError> {
        if self.messages.sending.len() >= MAX_SENDING {
            return Err(ActionError::TooManyMessages);
        }
        let route = self.phone.message_route(to)?;
        let account = route.account.map(|account| sip::AccountId(account.0));
        let sent = self
            .agent
            .send_message(account, &route.address, text, now)?;
        self.messages.sending.push((sent, to.to_owned()));
        Ok(())
    }

    pub(super) fn on_message_sent(
        &mut self,
        message: sip::MessageId,
        result: Result<(), MessageError>,
    ) {
        let mut sending = self.messages.sending.iter();
        let Some(index) = sending.position(|(sent, _)| *sent == message) else {
            return;
        };
        let (_, to) = self.messages.sending.remove(index);
        self.outbox.note(&match result {
            Ok(()) => Note::MessageSent { to },
            Err(why) => Note::MessageFailed {
                to,
                why: why.to_string(),
            },
        });
    }

    /// A text came: `from` is who the sender is as far as it can be believed, `address` as the
    /// sender says it.
    pub(super) fn on_message(
        &mut self,
        account: Option<sip::AccountId>,
        from: &str,
        address: &str,
        text: &str,
        now: Instant,
    ) {
        let (from, text) = (displayable(from), displayable(text));
        // A number or user of the account's domain.
        let number = match account {
            Some(_) => user_of(address),
            None => address.to_owned(),
        };
        self.history.add(HistoryEntry {
            time: unix_time(self.wall_clock, now),
            direction: CallDirection::In,
            outcome: CallOutcome::Message,
            number: displayable(&number),
            name: from.clone(),
            account: account.map(|account| account.0),
            duration_s: 0,
            mos: None,
            encryption: String::new(),
            reason: String::new(),
            text: Some(text.clone()),
        });
        self.keep_history();
        self.messages.last = Some(MessageStatus {
            from: from.clone(),
            text: text.clone(),
        });
        self.outbox.emit(Event::Message { from, text });
        self.phone.handle(Input::TextMessage, now);
    }

    /// Writes the history into the state directory.
    pub(super) fn keep_history(&mut self) {
        self.outbox.push(Output::Keep {
            file: crate::history::FILE,
            text: self.history.to_text(),
        });
    }
}
