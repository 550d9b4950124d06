//! Transfers: which calls they are about, and who is informed (RFC 3515, 5589).

use std::time::Instant;

use crate::action::{OutgoingRequest, Reply};
use crate::api::{InviteError, TransferError};
use crate::call::Call;
use crate::env::Env;
use crate::ids::CallHandle;
use crate::message::{NameAddr, Uri};
use crate::shared::Shared;
use crate::transfer::{ReferRequest, ReferSubscription, Transfer};

use super::Calls;

/// What a transfer to another call begins with.
pub(crate) struct TransferPlan {
    /// Of the held call.
    pub(crate) held: Transfer,
    /// Whom its far end is to call.
    pub(crate) target: Uri,
    /// Of the consulted call; one that only rings has none, and ends.
    pub(crate) consulted: Option<Transfer>,
}

impl Calls {
    /// How the far end of `held` is transferred to the far end of `consulted`.
    pub(crate) fn plan_transfer(
        &self,
        held: CallHandle,
        consulted: CallHandle,
        now: Instant,
    ) -> Result<TransferPlan, TransferError> {
        let (Some(from), Some(to)) = (self.get(held), self.get(consulted)) else {
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
        let name = to.peer();
        let answered = target.answered;
        Ok(TransferPlan {
            held: Transfer::asking(answered.then_some(consulted), &target.uri, name, now),
            target: target.uri,
            consulted: answered.then(|| Transfer::consulted_call(held, name, now)),
        })
    }

    /// Whom the far end of `held` is to call for a number or address.
    pub(crate) fn blind_target(
        &self,
        held: CallHandle,
        target: &str,
        shared: &Shared,
    ) -> Result<Uri, TransferError> {
        let from = self.get(held).ok_or(TransferError::NoCall)?;
        let secure = from.transferable().ok_or(TransferError::NoCall)?;
        let uri = shared
            .request_uri(from.account(), target)
            .map_err(|_| TransferError::BadTarget)?;
        Ok(match uri {
            // RFC 5630: a call over TLS is not led out of it.
            Uri::Sip(uri) if secure => Uri::Sip(uri.secured()),
            uri => uri,
        })
    }

    /// The REFER in a call that the owner is about to follow, and the account of its call.
    pub(crate) fn take_refer(
        &mut self,
        handle: CallHandle,
    ) -> Result<(ReferRequest, Option<usize>), InviteError> {
        let call = self
            .by_handle
            .get_mut(&handle)
            .ok_or(InviteError::NotAsked)?;
        let refer = call.take_refer().ok_or(InviteError::NotAsked)?;
        Ok((refer, call.account()))
    }

    /// The call a REFER asked for is placed: the answer to it, where its call still has a dialog.
    pub(crate) fn accept_refer(
        &mut self,
        handle: CallHandle,
        new: CallHandle,
        account: Option<usize>,
        refer: &ReferRequest,
    ) -> Option<Reply> {
        if !refer.is_quiet() {
            let subscription = ReferSubscription::new(handle, account, refer.id());
            self.referrers.insert(new, subscription);
        }
        let contact = self.get(handle).and_then(Call::dialog)?.contact.clone();
        let mut reply = Reply::new(202).with("Contact", NameAddr::new(contact));
        if refer.is_quiet() {
            reply = reply.with("Refer-Sub", "false");
        }
        Some(reply)
    }

    /// Whether a call placed because of a REFER in this one is still reported on.
    pub(crate) fn is_referrer(&self, handle: CallHandle) -> bool {
        self.referrers.has_referrer(handle)
    }

    /// The NOTIFY to whoever asked for a call by REFER, about how it goes on.
    pub(crate) fn notify_referrer(
        &mut self,
        call: CallHandle,
        code: u16,
        env: &Env,
    ) -> Option<OutgoingRequest> {
        let referrer = self.referrers.referrer_of(call);
        let dialog = referrer
            .and_then(|referrer| self.by_handle.get_mut(&referrer))
            .and_then(Call::dialog_mut);
        let user_agent = &env.config.user_agent;
        self.referrers.notify(call, code, dialog, user_agent)
    }

    /// The final status of such a NOTIFY.
    pub(crate) fn handle_notify_outcome(&mut self, call: CallHandle, code: u16) {
        self.referrers.handle_notify_outcome(call, code);
    }

    /// Such a NOTIFY was sent again under a higher number.
    pub(crate) fn handle_notify_renumbered(&mut self, call: CallHandle, cseq: u32) {
        let referrer = self.referrers.referrer_of(call);
        match referrer.and_then(|referrer| self.by_handle.get_mut(&referrer)) {
            Some(referrer) => referrer.handle_renumbered(cseq),
            None => self.referrers.handle_renumbered(call, cseq),
        }
    }
}
