//! A call that is transferred, or replaced by another.

use std::time::Instant;

use crate::action::{Action, OutgoingRequest, Purpose, Turn};
use crate::api::{EndedBy, Event};
use crate::dialog::Dialog;
use crate::ids::AccountId;
use crate::message::{SipUri, Uri};
use crate::transfer::{DialogIds, Transfer, TransferStep, refer};

use super::established::Established;
use super::{Call, State};

/// Where another call may be transferred to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TransferTarget {
    /// Whom to call, with the Replaces header of an answered call.
    pub(crate) uri: Uri,
    pub(crate) answered: bool,
    pub(crate) secure: bool,
}

/// What a call waits for its ACK with: before, the far end takes no request in the dialog that it
/// does not know yet.
#[derive(Debug)]
pub(super) enum AtAck {
    /// Its transfer, and whom to.
    Transfer(Box<Transfer>, Option<Uri>),
    /// It comes back to its owner: no transfer of it could be begun.
    Return,
}

impl Call {
    /// Whether its far end may be transferred now, or as soon as its ACK is here, and whether over
    /// TLS.
    pub(crate) fn transferable(&self) -> Option<bool> {
        let (State::Up(established) | State::Answered(established, _)) = &self.state else {
            return None;
        };
        let decided = established.refer.is_none();
        decided.then(|| established.dialog.is_secure())
    }

    /// Where another call may be transferred to by this one: the address to call, whether this call
    /// is answered (and will be replaced), and whether it uses TLS.
    pub(crate) fn transfer_target(&self) -> Option<TransferTarget> {
        match &self.state {
            State::Up(established) => {
                let dialog = &established.dialog;
                let uri = self.address_for_others(dialog)?;
                let replaces = DialogIds::of(dialog).replaces();
                let uri = uri.clone().for_request().with_header("Replaces", &replaces);
                Some(TransferTarget {
                    uri: Uri::Sip(uri),
                    answered: true,
                    secure: dialog.is_secure(),
                })
            }
            State::Calling(calling) => Some(TransferTarget {
                uri: calling.target.clone(),
                answered: false,
                secure: calling.secure,
            }),
            State::Ringing(_)
            | State::Answered(..)
            | State::Leaving(..)
            | State::Transferring(..)
            | State::Over(_) => None,
        }
    }

    /// The address by which another phone of this call's server reaches its far end. RFC 5589 has
    /// the Contact for that where it is one for the world (a GRUU); any other leads nowhere by a
    /// proxy that knows its users, and past translators. Replaces finds the right phone of those
    /// that answer to the address.
    fn address_for_others<'d>(&self, dialog: &'d Dialog) -> Option<&'d SipUri> {
        let contact = dialog.target.as_sip()?;
        let address = dialog.remote.uri.as_sip();
        let is_public = |address: &&SipUri| {
            let withheld = address.user().is_none() || address.has_anonymous_host();
            // A call by `sips:` is not led out of it.
            !withheld && (address.is_secure() || !contact.is_secure())
        };
        let known = self.account.is_some() && !contact.params().has("gr");
        let address = address.filter(|_| known).filter(is_public);
        Some(address.unwrap_or(contact))
    }

    /// For the owner it is over now; here it goes on until the transfer is done. With a target a
    /// REFER is sent in it; without, it waits to be replaced.
    pub(crate) fn start_transfer(
        &mut self,
        transfer: Transfer,
        target: Option<&Uri>,
        turn: &mut Turn<'_>,
    ) {
        match &self.state {
            State::Up(_) => {}
            State::Answered(..) => {
                self.at_ack = Some(AtAck::Transfer(Box::new(transfer), target.cloned()));
                return;
            }
            State::Calling(_)
            | State::Ringing(_)
            | State::Leaving(..)
            | State::Transferring(..)
            | State::Over(_) => return,
        }
        let reason = format!("transferred to {}", transfer.to());
        let State::Up(mut established) = self.finish(EndedBy::Local, None, &reason, turn) else {
            return;
        };
        established.release_owner();
        self.state = State::Transferring(established, transfer);
        if let Some(target) = target {
            self.send_refer(target, turn);
        }
    }

    fn send_refer(&mut self, target: &Uri, turn: &mut Turn<'_>) {
        let State::Transferring(established, _) = &mut self.state else {
            return;
        };
        let request = refer(&mut established.dialog, target, self.account, turn.env);
        turn.send(OutgoingRequest::in_dialog(
            &established.dialog,
            Purpose::Refer(self.handle),
            self.account,
            request,
        ));
    }

    /// The REFER of ours got its final status.
    pub(crate) fn handle_refer_outcome(&mut self, code: u16, turn: &mut Turn<'_>) {
        if let State::Transferring(_, transfer) = &mut self.state {
            let step = transfer.handle_refer_outcome(code, turn.now);
            // Section 12.2.1.2: there is no dialog any more to go back to.
            if matches!(code, 408 | 481) {
                transfer.give_up_return();
            }
            self.on_transfer_step(step, turn);
        }
    }

    /// The other call of its transfer is over.
    pub(crate) fn handle_transfer_over(&mut self, now: Instant) {
        if let State::Transferring(_, transfer) = &mut self.state {
            transfer.handle_other_over(now);
        }
    }

    /// It is over, and was in this state: a transfer of it, also one that waits for its ACK, is
    /// over for the other call, too.
    pub(super) fn report_transfer_over(&mut self, before: &State, turn: &mut Turn<'_>) {
        let waiting = self.at_ack.take();
        let transfer = match (before, &waiting) {
            (State::Transferring(_, transfer), _) => Some(transfer),
            (_, Some(AtAck::Transfer(transfer, _))) => Some(&**transfer),
            (_, Some(AtAck::Return) | None) => None,
        };
        if let Some(other) = transfer.and_then(Transfer::other) {
            turn.push(Action::TransferOver(other));
        }
    }

    /// Its far end was consulted, and is not replaced: the transfer failed.
    pub(crate) fn take_back_consulted(&mut self, turn: &mut Turn<'_>) {
        if let State::Transferring(_, transfer) = &self.state
            && transfer.is_consulted()
        {
            self.offer_back(turn);
        }
    }

    /// No transfer of it is begun: what is established comes back, as soon as its ACK is here; the
    /// rest ends.
    pub(crate) fn handle_not_transferred(&mut self, turn: &mut Turn<'_>) {
        match &self.state {
            State::Up(established) if !established.is_offered() => {}
            State::Calling(_) | State::Ringing(_) => return self.hang_up(None, turn),
            State::Answered(..) => {
                self.at_ack = Some(AtAck::Return);
                return;
            }
            State::Up(_) | State::Leaving(..) | State::Transferring(..) | State::Over(_) => return,
        }
        let State::Up(mut established) = self.finish(EndedBy::Local, None, "not transferred", turn)
        else {
            return;
        };
        established.release_owner();
        self.return_to_owner(established, turn);
    }

    /// Where the transfer is done, no call stays open here; where it failed, who is still there is
    /// offered to the owner again.
    pub(super) fn on_transfer_step(&mut self, step: TransferStep, turn: &mut Turn<'_>) {
        let State::Transferring(_, transfer) = &self.state else {
            return;
        };
        match step {
            TransferStep::Wait => {}
            TransferStep::Again(target) => self.send_refer(&target, turn),
            TransferStep::NotReplaced => self.offer_back(turn),
            TransferStep::Done(result) => {
                let consulted = transfer.consulted();
                let returns = result.is_err() && transfer.returns();
                let after = match result {
                    Ok(()) => Action::HangUp,
                    Err(_) => Action::TakeBack,
                };
                turn.event(Event::Transferred {
                    call: self.handle,
                    to: transfer.to().to_owned(),
                    result,
                });
                if returns {
                    self.offer_back(turn);
                } else {
                    self.hang_up(None, turn);
                }
                if let Some(consulted) = consulted {
                    turn.push(after(consulted));
                }
            }
        }
    }

    /// The far end is still there, and no one has it any more: it comes back like a caller.
    fn offer_back(&mut self, turn: &mut Turn<'_>) {
        match std::mem::replace(&mut self.state, State::Over(Box::default())) {
            State::Transferring(established, _) => self.return_to_owner(established, turn),
            other => self.state = other,
        }
    }

    fn return_to_owner(&mut self, mut established: Box<Established>, turn: &mut Turn<'_>) {
        established.offer_back(turn.now);
        let dialog = &established.dialog;
        turn.event(Event::Incoming {
            call: self.handle,
            account: self.account.map(AccountId),
            from: self.peer.clone(),
            address: dialog.remote.uri.to_string(),
            anonymous: false,
            to: String::new(),
            first_called: None,
            alert_info: None,
            answer_after_ms: None,
            offers_ice: false,
            call_id: dialog.call_id.clone(),
            replaces: None,
            returned: true,
        });
        self.state = State::Up(established);
    }

    /// Whether these ids name one of its dialogs.
    pub(crate) fn is_named_by(&self, ids: &DialogIds) -> bool {
        self.dialogs().any(|dialog| DialogIds::of(dialog) == *ids)
    }

    /// Whether an INVITE may take the place of the dialog these ids name; the status of the refusal
    /// otherwise.
    pub(crate) fn check_replaced(
        &self,
        ids: &DialogIds,
        account: Option<usize>,
        secure: bool,
        early_only: bool,
    ) -> Result<(), u16> {
        let named_secure = self
            .dialogs()
            .filter(|dialog| DialogIds::of(dialog) == *ids)
            .any(Dialog::is_secure);
        if self.account != account || (!secure && named_secure) {
            return Err(403);
        }
        match &self.state {
            State::Answered(..) | State::Up(_) if early_only => Err(486),
            State::Answered(..) | State::Up(_) | State::Calling(_) => Ok(()),
            // An early dialog that was not begun here.
            State::Ringing(_) => Err(481),
            State::Leaving(..) | State::Transferring(..) | State::Over(_) => Err(603),
        }
    }
}
