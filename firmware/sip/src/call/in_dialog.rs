//! Requests of the far end inside of a call's dialogs (RFC 3261 sections 12.2, 14, 15), and what
//! becomes of ours.

use std::time::Duration;

use crate::action::{Action, Reply, Turn};
use crate::api::{EndedBy, Event, RemoteAction};
use crate::capabilities::ALLOW_EVENTS;
use crate::dialog::Dialog;
use crate::events::Package;
use crate::flow::Flow;
use crate::identity::{connected_party, party};
use crate::ids::{RequestId, TransactionId};
use crate::message::{Method, NameAddr, Request, Response, SipUri};
use crate::reason;
use crate::request_check::check_content;
use crate::session_body::session_body;
use crate::text_message::{CONTENT_TYPE, text_of};
use crate::transfer::ReferRequest;

use super::ack_wait::{AckStep, Sent};
use super::established::{ChangeRefused, ChangeStep, Exchange};
use super::ringing::RingStep;
use super::transfer::AtAck;
use super::{Call, SESSION_EXPIRED, State, UNUSABLE_ANSWER, cancel_change};

/// A request of the far end inside of one of a call's dialogs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InDialog<'a> {
    pub(crate) transaction: TransactionId,
    pub(crate) request: &'a Request,
    /// It belongs to a branch of a call that is not answered yet.
    pub(crate) early: bool,
    /// A call placed because of an earlier REFER in this one is still reported on.
    pub(crate) subscribed: bool,
    /// It came by the account's own server, whose word on who the far end is counts.
    pub(crate) trusted: bool,
}

impl Call {
    /// Whether the number of a request of theirs is in order, and whether it belongs to a branch;
    /// `from`: the way it came.
    pub(crate) fn check_order(&mut self, from: Flow, request: &Request) -> (bool, bool) {
        let cseq = request.headers.cseq().map(|c| c.number).unwrap_or_default();
        let early = !self.dialog().is_some_and(|dialog| dialog.owns(request));
        let dialog = if early {
            self.early_dialog_mut(request)
        } else {
            self.dialog_mut()
        };
        let in_order = dialog.is_some_and(|dialog| {
            // Section 12.2.2 refuses a lower number; some end a call under that of their PRACK.
            let ends_again = request.method == Method::Bye && dialog.remote_cseq == Some(cseq);
            let in_order = ends_again || dialog.in_order(cseq);
            if in_order {
                dialog.came_from(from, request);
            }
            in_order
        });
        (in_order, early)
    }

    fn early_dialog_mut(&mut self, request: &Request) -> Option<&mut Dialog> {
        let State::Calling(calling) = &mut self.state else {
            return None;
        };
        let mut dialogs = calling.legs.iter_mut().map(|leg| &mut leg.dialog);
        dialogs.find(|dialog| dialog.owns(request))
    }

    /// A request of the far end in one of the call's dialogs, in order and readable.
    pub(crate) fn handle_request(&mut self, asked: InDialog<'_>, turn: &mut Turn<'_>) {
        let (transaction, request) = (asked.transaction, asked.request);
        match &request.method {
            Method::Bye => self.handle_bye(asked, turn),
            Method::Invite | Method::Update => {
                // One that cannot be read is no request for an offer.
                if let Err(refusal) = check_content(request) {
                    return turn.respond(transaction, refusal);
                }
                let accepted = if request.method == Method::Invite {
                    self.handle_reinvite(asked, turn)
                } else {
                    self.handle_update(asked, turn)
                };
                // Section 12.2.2: what is refused changes nothing, nor what is shown.
                if accepted {
                    self.learn_peer(asked, turn);
                }
            }
            Method::Info => self.handle_info(asked, turn),
            Method::Options => turn.respond(transaction, Reply::new(200).with_capabilities()),
            Method::Notify => self.handle_notify(asked, turn),
            Method::Refer => self.handle_refer(asked, turn),
            Method::Prack => self.handle_prack(asked, turn),
            Method::Subscribe => {
                turn.respond(transaction, Reply::not_allowed(481));
            }
            Method::Message => self.handle_message(asked, turn),
            Method::Register | Method::Publish => {
                turn.respond(transaction, Reply::not_allowed(405));
            }
            Method::Other(_) => turn.respond(transaction, Reply::not_allowed(501)),
            // Neither opens a transaction of its own.
            Method::Ack | Method::Cancel => {}
        }
    }

    /// MESSAGE in a call (RFC 3428): shown like any other.
    fn handle_message(&mut self, asked: InDialog<'_>, turn: &mut Turn<'_>) {
        let text = text_of(asked.request);
        if text.is_none() && !asked.request.body.is_empty() {
            let reply = Reply::refusal(415).with("Accept", CONTENT_TYPE);
            return turn.respond(asked.transaction, reply);
        }
        turn.respond(asked.transaction, Reply::new(200));
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            let from = asked.request.headers.from();
            turn.event(Event::Message {
                account: self.account.map(crate::ids::AccountId),
                from: self.peer.clone(),
                address: from.map(|from| from.uri.to_string()).unwrap_or_default(),
                text,
            });
        }
    }

    /// Who the far end is now, after a transfer over there (RFC 4916, RFC 3325). A From that
    /// changes is believed of those whose first From was: the account's server, and the far end of
    /// a call without one.
    fn learn_peer(&mut self, asked: InDialog<'_>, turn: &mut Turn<'_>) {
        let headers = &asked.request.headers;
        let dialog = if asked.early {
            self.early_dialog_mut(asked.request)
        } else {
            self.dialog_mut()
        };
        let changed = dialog.is_some_and(|dialog| dialog.handle_from(headers));
        let believed = changed && (asked.trusted || self.account.is_none());
        let asserted = connected_party(headers).filter(|_| asked.trusted);
        let named = asserted.or_else(|| {
            let from = headers.from().ok().filter(|_| believed)?;
            Some(party(headers, false, &from))
        });
        if let Some(peer) = named.filter(|peer| *peer != self.peer) {
            self.peer.clone_from(&peer);
            turn.event(Event::PeerChanged {
                call: self.handle,
                peer,
            });
        }
    }

    /// BYE (section 15.1.2): the call is over; an INVITE of theirs still open is ended with it.
    fn handle_bye(&mut self, asked: InDialog<'_>, turn: &mut Turn<'_>) {
        turn.respond(asked.transaction, Reply::new(200));
        if asked.early {
            if let State::Calling(calling) = &mut self.state {
                calling.legs.retain(|leg| !leg.dialog.owns(asked.request));
            }
            return;
        }
        let reason = bye_reason(asked.request);
        match self.finish(EndedBy::Remote, None, &reason, turn) {
            State::Ringing(ringing) => turn.respond(ringing.server, Reply::new(487)),
            State::Up(established) | State::Transferring(established, _) => {
                cancel_change(&established, turn);
            }
            State::Calling(_) | State::Answered(..) | State::Leaving(..) | State::Over(_) => {}
        }
    }

    /// A re-INVITE of theirs (section 14.2); whether it is accepted.
    fn handle_reinvite(&mut self, asked: InDialog<'_>, turn: &mut Turn<'_>) -> bool {
        let transaction = asked.transaction;
        match &mut self.state {
            State::Up(established) | State::Transferring(established, _)
                if matches!(established.exchange, Exchange::Ours(..)) =>
            {
                turn.respond(transaction, Reply::not_allowed(491));
                false
            }
            // One that is being transferred goes on until that is done: a server that bridges it
            // says so by a re-INVITE, and ends it where that is refused.
            State::Up(established) | State::Transferring(established, _)
                if !asked.early && matches!(established.exchange, Exchange::Idle) =>
            {
                established.handle_reinvite(self.handle, transaction, asked.request, turn)
            }
            // RFC 5407 section 3.1.4: it came before the ACK of the 2xx before it.
            State::Up(_) | State::Answered(..) | State::Transferring(..) if !asked.early => {
                turn.respond(transaction, Reply::not_allowed(491));
                false
            }
            State::Up(_)
            | State::Calling(_)
            | State::Ringing(_)
            | State::Answered(..)
            | State::Leaving(..)
            | State::Transferring(..)
            | State::Over(_) => {
                try_later(transaction, turn);
                false
            }
        }
    }

    /// UPDATE (RFC 3311): an offer is answered at once; without one it only refreshes the target.
    /// Whether it is accepted.
    fn handle_update(&mut self, asked: InDialog<'_>, turn: &mut Turn<'_>) -> bool {
        let transaction = asked.transaction;
        let Some(offer) = session_body(asked.request) else {
            return self.handle_target_refresh(asked, turn);
        };
        let refuse = |turn: &mut Turn<'_>| {
            turn.respond(transaction, Reply::not_allowed(491));
            false
        };
        match &mut self.state {
            State::Up(established) | State::Transferring(established, _)
                if matches!(established.exchange, Exchange::Ours(..)) =>
            {
                refuse(turn)
            }
            // Section 5.2: while an offer of either side is unanswered no other can be taken.
            State::Up(established) | State::Transferring(established, _)
                if !asked.early && !established.is_offer_open() =>
            {
                established.handle_update(self.handle, transaction, asked.request, &offer, turn)
            }
            State::Answered(established, ack) if !asked.early && !ack.is_offer_open() => {
                established.handle_update(self.handle, transaction, asked.request, &offer, turn)
            }
            State::Up(_) | State::Answered(..) | State::Transferring(..) if !asked.early => {
                refuse(turn)
            }
            State::Calling(_) | State::Ringing(_) => self.handle_early_offer(asked, &offer, turn),
            State::Up(_)
            | State::Answered(..)
            | State::Leaving(..)
            | State::Transferring(..)
            | State::Over(_) => {
                try_later(transaction, turn);
                false
            }
        }
    }

    fn handle_target_refresh(&mut self, asked: InDialog<'_>, turn: &mut Turn<'_>) -> bool {
        if let State::Up(established)
        | State::Answered(established, _)
        | State::Transferring(established, _) = &mut self.state
            && !asked.early
        {
            return established.handle_refresh(asked.transaction, asked.request, turn);
        }
        let dialog = if asked.early {
            self.early_dialog_mut(asked.request)
        } else {
            self.dialog_mut()
        };
        let mut reply = Reply::new(200);
        if let Some(dialog) = dialog {
            dialog.refresh(&asked.request.headers);
            reply = reply.with("Contact", NameAddr::new(dialog.contact.clone()));
        }
        turn.respond(asked.transaction, reply.with_capabilities());
        true
    }

    /// REFER (RFC 3515): the owner decides whether this phone calls somebody else.
    fn handle_refer(&mut self, asked: InDialog<'_>, turn: &mut Turn<'_>) {
        let transaction = asked.transaction;
        let established = match &mut self.state {
            State::Up(established) if !asked.early => established,
            State::Answered(..) if !asked.early => return try_later(transaction, turn),
            State::Up(_)
            | State::Answered(..)
            | State::Calling(_)
            | State::Ringing(_)
            | State::Leaving(..)
            | State::Transferring(..)
            | State::Over(_) => return turn.respond(transaction, Reply::not_allowed(403)),
        };
        if established.refer.is_some() || asked.subscribed {
            return turn.respond(transaction, Reply::not_allowed(491));
        }
        let first = established.refers == 0;
        let read = ReferRequest::read(
            transaction,
            asked.request,
            &established.dialog,
            &self.order,
            first,
        );
        match read {
            Ok(refer) => {
                established.dialog.refresh(&asked.request.headers);
                established.refers = established.refers.saturating_add(1);
                turn.event(Event::Refer {
                    call: self.handle,
                    to: refer.target().to_string(),
                    user: refer.target().user().unwrap_or_default(),
                });
                established.refer = Some(refer);
            }
            Err(refusal) => {
                tracing::info!("asked to call somebody else, refused: {}", refusal.reason);
                turn.respond(transaction, Reply::not_allowed(refusal.code));
            }
        }
    }

    /// NOTIFY: how the transfer goes on, or something this phone did not ask for.
    fn handle_notify(&mut self, asked: InDialog<'_>, turn: &mut Turn<'_>) {
        let transaction = asked.transaction;
        match Package::of(&asked.request.headers) {
            None if asked.request.headers.get("Event").is_some() => {
                let reply = Reply::refusal(489).with("Allow-Events", ALLOW_EVENTS);
                return turn.respond(transaction, reply);
            }
            Some(Package::Talk) => return self.remote_control(asked, RemoteAction::Talk, turn),
            Some(Package::Hold) => return self.remote_control(asked, RemoteAction::Hold, turn),
            Some(_) | None => {}
        }
        let State::Transferring(_, transfer) = &mut self.state else {
            return turn.respond(transaction, Reply::not_allowed(481));
        };
        let (reply, step) = transfer.handle_notify(asked.request, turn.now);
        turn.respond(asked.transaction, reply);
        self.on_transfer_step(step, turn);
    }

    /// The account's server uses the phone in place of a hand, where the owner allows that.
    fn remote_control(&mut self, asked: InDialog<'_>, action: RemoteAction, turn: &mut Turn<'_>) {
        let allowed = self
            .account
            .and_then(|account| turn.env.account(account))
            .is_some_and(|account| account.events.remote_control);
        if !allowed || !asked.trusted || asked.early {
            return turn.respond(asked.transaction, Reply::refusal(403));
        }
        turn.respond(asked.transaction, Reply::new(200));
        turn.event(Event::RemoteControl {
            call: self.handle,
            action,
        });
    }

    /// The ACK of a 2xx of ours.
    pub(crate) fn handle_ack(&mut self, ack: &Request, turn: &mut Turn<'_>) {
        let number = ack.headers.cseq().map(|c| c.number).unwrap_or_default();
        match &mut self.state {
            State::Answered(_, wait) | State::Leaving(_, wait)
                if !wait.is_acknowledged_by(number) => {}
            State::Leaving(..) => {
                let before = self.finish(EndedBy::Local, None, "hung up", turn);
                self.send_last_bye(before, None, turn);
            }
            State::Answered(..) => self.handle_first_ack(ack, turn),
            State::Up(established) | State::Transferring(established, _) => {
                established.handle_ack(self.handle, ack, turn);
                self.send_change(turn);
            }
            State::Calling(_) | State::Ringing(_) | State::Over(_) => {}
        }
    }

    /// The ACK that confirms the call, and brings the answer if our 2xx carried the offer.
    fn handle_first_ack(&mut self, ack: &Request, turn: &mut Turn<'_>) {
        let State::Answered(mut established, wait) =
            std::mem::replace(&mut self.state, State::Over(Box::default()))
        else {
            return;
        };
        let answer = match wait.sent {
            Sent::Answer => None,
            Sent::FirstOffer | Sent::LaterOffer(_) => Some(established.accept_late(ack)),
        };
        self.state = State::Up(established);
        match answer {
            None => {}
            Some(Ok(media)) => self.report_established(media, turn),
            Some(Err(error)) => {
                let reason = format!("the far end's answer cannot be used: {error}");
                let before = self.finish(EndedBy::Failure, Some(488), &reason, turn);
                self.send_last_bye(before, Some(UNUSABLE_ANSWER), turn);
            }
        }
        match self.at_ack.take() {
            Some(AtAck::Transfer(transfer, target)) => {
                self.start_transfer(*transfer, target.as_ref(), turn);
            }
            Some(AtAck::Return) => self.handle_not_transferred(turn),
            None => self.send_change(turn),
        }
    }

    /// A request of ours in the dialog got its final status: some end the dialog with it (section
    /// 12.2.1.2).
    pub(crate) fn handle_in_dialog_outcome(&mut self, code: u16, turn: &mut Turn<'_>) {
        if matches!(code, 408 | 481) {
            self.handle_dialog_gone(code, turn);
        }
    }

    /// A 2xx to our re-INVITE.
    pub(crate) fn handle_change_accepted(
        &mut self,
        id: RequestId,
        response: &Response,
        turn: &mut Turn<'_>,
    ) {
        if let Some(established) = self.state.exchange_mut() {
            established.handle_change_accepted(self.handle, id, response, turn);
            self.send_change(turn);
        }
    }

    /// Our re-INVITE was refused, or nothing answered it.
    pub(crate) fn handle_change_refused(&mut self, refusal: &ChangeRefused, turn: &mut Turn<'_>) {
        if let Some(established) = self.state.exchange_mut() {
            match established.handle_change_refused(self.handle, refusal, turn) {
                ChangeStep::Stay => self.send_change(turn),
                ChangeStep::DialogGone(code) => self.handle_dialog_gone(code, turn),
            }
        }
    }

    /// The final response to the UPDATE that refreshes the session.
    pub(crate) fn handle_refreshed(&mut self, response: &Response, turn: &mut Turn<'_>) {
        self.handle_in_dialog_outcome(response.code(), turn);
        if let Some(established) = self.state.exchange_mut() {
            established.handle_refreshed(response, turn);
        }
    }

    /// No refresh came in time (RFC 4028 section 10).
    fn handle_session_expired(&mut self, turn: &mut Turn<'_>) {
        let reason = "the far end is gone: it did not refresh the session in time";
        let before = self.finish(EndedBy::Failure, Some(408), reason, turn);
        self.send_last_bye(before, Some(SESSION_EXPIRED), turn);
    }

    /// The far end no longer knows the dialog, or no longer answers.
    fn handle_dialog_gone(&mut self, code: u16, turn: &mut Turn<'_>) {
        let reason = if code == 481 {
            "the far end does not know this call any more"
        } else {
            "the far end does not answer any more"
        };
        let mut before = self.finish(EndedBy::Failure, Some(code), reason, turn);
        // Section 12.2.1.2: a BYE all the same; it costs nothing and may end what still exists
        // there.
        if let Some(dialog) = before.dialog_mut() {
            turn.send_bye(dialog, self.account, None);
        }
    }

    /// The phone's own address is another one, and this our new Contact.
    pub(crate) fn handle_local_address(&mut self, contact: SipUri, turn: &mut Turn<'_>) {
        match &mut self.state {
            State::Calling(calling) => {
                let addresses = &turn.env.addresses;
                calling.session.set_address(addresses.primary().ip());
                calling.session.set_addresses(addresses);
            }
            State::Ringing(ringing) => ringing.dialog.contact = contact,
            State::Answered(established, _) | State::Transferring(established, _) => {
                established.handle_local_address(contact, turn);
            }
            State::Up(established) => {
                if established.handle_local_address(contact, turn) {
                    established.refresh();
                    self.send_change(turn);
                }
            }
            State::Leaving(dialog, _) => dialog.contact = contact,
            State::Over(_) => {}
        }
    }

    /// A request was sent again with credentials under a higher number.
    pub(crate) fn handle_renumbered(&mut self, cseq: u32) {
        if let Some(dialog) = self.dialog_mut() {
            dialog.local_cseq = dialog.local_cseq.max(cseq);
        }
        if let State::Calling(calling) = &mut self.state {
            calling.handle_renumbered(cseq);
        }
    }

    /// Its time has come.
    pub(crate) fn handle_timeout(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        match &mut self.state {
            State::Ringing(ringing) => {
                let server = ringing.server;
                match ringing.handle_timeout(turn) {
                    RingStep::Wait => {}
                    RingStep::Repeat => turn.push(Action::RepeatResponse(server)),
                    RingStep::NotAcknowledged => self.handle_not_acknowledged(turn),
                    RingStep::Expired => {
                        let reason = "the caller's time ran out";
                        self.finish(EndedBy::Remote, Some(487), reason, turn);
                        turn.respond(server, Reply::new(487));
                    }
                }
            }
            State::Transferring(_, transfer) if transfer.deadline() <= now => {
                let step = transfer.handle_timeout(now);
                self.on_transfer_step(step, turn);
            }
            State::Answered(_, ack) | State::Leaving(_, ack) => {
                let (transaction, step) = (ack.transaction, ack.handle_timeout(now));
                self.on_ack_step(transaction, step, turn);
            }
            State::Up(established) if established.is_offered_in_vain(now) => {
                let reason = "no one took it back after its transfer failed";
                let before = self.finish(EndedBy::Failure, Some(480), reason, turn);
                self.send_last_bye(before, None, turn);
            }
            State::Up(established) | State::Transferring(established, _) => {
                if established.handle_session_timeout(self.handle, self.account, turn) {
                    return self.handle_session_expired(turn);
                }
                if let Exchange::Theirs(ack) = &mut established.exchange {
                    let (transaction, step) = (ack.transaction, ack.handle_timeout(now));
                    self.on_ack_step(transaction, step, turn);
                }
                self.send_change(turn);
            }
            State::Calling(_) | State::Over(_) => {}
        }
    }

    fn on_ack_step(&mut self, transaction: TransactionId, step: AckStep, turn: &mut Turn<'_>) {
        match step {
            AckStep::Wait => {}
            AckStep::Repeat => turn.push(Action::RepeatResponse(transaction)),
            AckStep::GiveUp => {
                let reason = "the far end never confirmed our answer";
                let before = self.finish(EndedBy::Failure, Some(408), reason, turn);
                self.send_last_bye(before, None, turn);
            }
        }
    }
}

/// 500 with a Retry-After of 0 to 10 s (section 14.2).
pub(super) fn try_later(transaction: TransactionId, turn: &mut Turn<'_>) {
    let wait = turn
        .env
        .tokens
        .between(Duration::ZERO, Duration::from_secs(10));
    let reply = Reply::refusal(500).with("Retry-After", wait.as_secs());
    turn.respond(transaction, reply);
}

/// Why the far end hung up, if it says so (RFC 3326).
fn bye_reason(request: &Request) -> String {
    reason::sentence(&request.headers).map_or_else(
        || "the far end hung up".to_owned(),
        |text| format!("the far end hung up: {text}"),
    )
}
