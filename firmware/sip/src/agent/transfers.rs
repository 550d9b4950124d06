//! Transfers and redirections: which calls they are about, and who is informed (RFC 3515, 5589).

use std::time::Instant;

use crate::action::Reply;
use crate::api::{InviteError, InviteOptions, TransferError};
use crate::call::Call;
use crate::ids::CallHandle;
use crate::message::{NameAddr, Uri};
use crate::offer_answer::LocalMedia;
use crate::transfer::{ReferSubscription, Transfer};

use super::UserAgent;

impl UserAgent {
    /// Transfers the far end of `held` to the far end of `consulted`.
    pub(super) fn start_transfer(
        &mut self,
        held: CallHandle,
        consulted: CallHandle,
        now: Instant,
    ) -> Result<(), TransferError> {
        let (Some(from), Some(to)) = (self.calls.get(&held), self.calls.get(&consulted)) else {
            return Err(TransferError::NoCall);
        };
        if held == consulted {
            return Err(TransferError::NoCall);
        }
        let from_secure = from.transferable().ok_or(TransferError::NoCall)?;
        let target = to.transfer_target().ok_or(TransferError::NoCall)?;
        // The ids of the consulted call let whoever knows them take it over: they are not sent in
        // the clear. Nor is anybody led out of TLS.
        if target.secure && !from_secure {
            return Err(TransferError::Clear);
        }
        let name = to.peer().to_owned();
        if target.answered {
            let transfer = Transfer::consulted_call(&name, now);
            self.on_call(consulted, now, |call, turn| {
                call.start_transfer(transfer, None, turn);
            });
        } else {
            self.hang_up(consulted, None, now);
        }
        let replaced = target.answered.then_some(consulted);
        let transfer = Transfer::asking(replaced, &target.uri, &name, now);
        self.on_call(held, now, |call, turn| {
            call.start_transfer(transfer, Some(&target.uri), turn);
        });
        Ok(())
    }

    /// Transfers the far end of `held` to a number or address.
    pub(super) fn start_blind_transfer(
        &mut self,
        held: CallHandle,
        target: &str,
        now: Instant,
    ) -> Result<(), TransferError> {
        let from = self.calls.get(&held).ok_or(TransferError::NoCall)?;
        let secure = from.transferable().ok_or(TransferError::NoCall)?;
        let uri = self
            .request_uri(from.account(), target)
            .map_err(|_| TransferError::BadTarget)?;
        let uri = match uri {
            // RFC 5630: a call over TLS is not led out of it.
            Uri::Sip(uri) if secure => Uri::Sip(uri.secured()),
            uri => uri,
        };
        let transfer = Transfer::asking(None, &uri, target, now);
        self.on_call(held, now, |call, turn| {
            call.start_transfer(transfer, Some(&uri), turn);
        });
        Ok(())
    }

    /// Sends a caller to another number or address; one that cannot be named is refused.
    pub(super) fn redirect_call(&mut self, handle: CallHandle, target: &str, now: Instant) {
        let Some(call) = self.calls.get(&handle) else {
            return;
        };
        let uri = self.request_uri(call.account(), target);
        self.on_call(handle, now, |call, turn| match uri {
            Ok(uri) => call.redirect(uri, turn),
            Err(_) => call.reject(480, turn),
        });
    }

    /// The owner wants the REFER in this call done.
    pub(super) fn follow_refer(
        &mut self,
        handle: CallHandle,
        media: LocalMedia,
        now: Instant,
    ) -> Result<CallHandle, InviteError> {
        let call = self.calls.get_mut(&handle).ok_or(InviteError::NotAsked)?;
        let refer = call.take_refer().ok_or(InviteError::NotAsked)?;
        let account = call.account();
        let target = refer.target().to_string();
        let placed = {
            let (order, options) = (refer.order().clone(), InviteOptions::default());
            self.place_call(account, &target, media, order, options, now)
        };
        let Ok(new) = placed else {
            self.respond(refer.transaction(), &Reply::not_allowed(603), now);
            return placed;
        };
        let dialog = self.calls.get(&handle).and_then(Call::dialog);
        if let Some(contact) = dialog.map(|dialog| dialog.contact.clone()) {
            let mut reply = Reply::new(202).with("Contact", NameAddr::new(contact));
            if refer.is_quiet() {
                reply = reply.with("Refer-Sub", "false");
            }
            self.respond(refer.transaction(), &reply, now);
        }
        if !refer.is_quiet() {
            let subscription = ReferSubscription::new(handle, account, refer.id());
            self.subscriptions.insert(new, subscription);
            self.notify_referrer(new, 100, now);
        }
        Ok(new)
    }

    /// The owner does not want it done.
    pub(super) fn decline_refer(&mut self, handle: CallHandle, now: Instant) {
        self.on_call(handle, now, |call, turn| {
            if let Some(refer) = call.take_refer() {
                turn.respond(refer.transaction(), Reply::not_allowed(603));
            }
        });
    }

    /// Informs whoever asked for a call how it goes on.
    pub(super) fn notify_referrer(&mut self, call: CallHandle, code: u16, now: Instant) {
        let referrer = self.subscriptions.referrer_of(call);
        let dialog = referrer
            .and_then(|referrer| self.calls.get_mut(&referrer))
            .and_then(Call::dialog_mut);
        let user_agent = &self.env.config.user_agent;
        let notify = self.subscriptions.notify(call, code, dialog, user_agent);
        if let Some(notify) = notify {
            let id = self.env.request_id();
            self.send_request(id, notify, now);
        }
    }
}
