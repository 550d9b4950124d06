//! What the owner wants of calls and messages.

use std::time::Instant;

use types::Direction;

use crate::action::Reply;
use crate::api::{EndReason, InviteError, InviteOptions, TransferError};
use crate::call::Call;
use crate::calls::Dialled;
use crate::ice::ChosenPath;
use crate::ids::{AccountId, CallHandle, MessageId, PublicationId};
use crate::message::Uri;
use crate::offer_answer::LocalMedia;
use crate::publication::{EventState, PublishError};
use crate::text_message::SendError;
use crate::transfer::{ReferOrder, Transfer};

use super::{UserAgent, text_messages};

impl UserAgent {
    /// Asks the far end of an established call whether it still knows the call;
    /// [`Event::PeerChecked`] follows.
    pub fn check_peer(&mut self, call: CallHandle, now: Instant) {
        let check = self.calls.peer_check(call, &self.shared.env);
        self.send_all(check, now);
        self.finish_turn(now);
    }

    /// The account whose domain an address is in.
    pub fn account_of_address(&self, target: &str) -> Option<AccountId> {
        self.shared.account_in_domain(target).map(AccountId)
    }

    /// Places a call. `target` is a number or a SIP/tel URI.
    pub fn invite(
        &mut self,
        account: Option<AccountId>,
        target: &str,
        media: LocalMedia,
        now: Instant,
    ) -> Result<CallHandle, InviteError> {
        self.invite_with(account, target, InviteOptions::default(), media, now)
    }

    /// [`invite`](Self::invite), with the identity withheld or a wish to be answered at once.
    pub fn invite_with(
        &mut self,
        account: Option<AccountId>,
        target: &str,
        options: InviteOptions,
        media: LocalMedia,
        now: Instant,
    ) -> Result<CallHandle, InviteError> {
        let dialled = Dialled {
            account: account.map(|a| a.0),
            target,
            media,
            order: ReferOrder::default(),
            options,
        };
        let call = self.place_call(dialled, now);
        self.finish_turn(now);
        call
    }

    /// Checks of an established call chose a way, and this end leads them: where that is another
    /// than was described, the far end gets an updated offer (RFC 8839 section 4.4).
    pub fn confirm_path(&mut self, call: CallHandle, path: ChosenPath, now: Instant) {
        self.on_call(call, now, |call, turn| call.confirm_path(path, turn));
        self.finish_turn(now);
    }

    /// Sends 180 for an incoming call.
    pub fn ring(&mut self, call: CallHandle, now: Instant) {
        self.on_call(call, now, Call::ring);
        self.finish_turn(now);
    }

    /// Sends 183 with an answer for an incoming call, or 180 where it has no offer: the caller
    /// hears this phone before it is answered. [`Event::Progress`] follows;
    /// [`UserAgent::answer`] goes on with the same media.
    pub fn send_early_media(&mut self, call: CallHandle, media: LocalMedia, now: Instant) {
        self.on_call(call, now, |call, turn| call.send_early_media(media, turn));
        self.finish_turn(now);
    }

    /// Answers an incoming call with 200.
    pub fn answer(&mut self, call: CallHandle, media: LocalMedia, now: Instant) {
        self.on_call(call, now, |call, turn| call.answer(media, turn));
        self.finish_turn(now);
    }

    /// Sends the caller of an incoming call to another number or address (302).
    pub fn redirect(&mut self, call: CallHandle, target: &str, now: Instant) {
        let account = self.calls.get(call).and_then(Call::account);
        let uri = self.shared.request_uri(account, target);
        self.on_call(call, now, |call, turn| match uri {
            Ok(uri) => call.redirect(uri, turn),
            // One that cannot be named.
            Err(_) => call.reject(480, turn),
        });
        self.finish_turn(now);
    }

    /// Refuses an incoming call.
    pub fn reject(&mut self, call: CallHandle, code: u16, now: Instant) {
        self.on_call(call, now, |call, turn| call.reject(code, turn));
        self.finish_turn(now);
    }

    /// Ends a call whatever its state needs: CANCEL, BYE, or a final response. [`Event::Ended`]
    /// follows.
    pub fn end(&mut self, call: CallHandle, now: Instant) {
        self.hang_up(call, None, now);
        self.finish_turn(now);
    }

    /// [`UserAgent::end`], and says to the far end why.
    pub fn end_because(&mut self, call: CallHandle, reason: EndReason, now: Instant) {
        self.hang_up(call, Some(reason), now);
        self.finish_turn(now);
    }

    /// Changes the direction of an established call by re-INVITE: hold is `SendOnly`/`Inactive`,
    /// resume `SendRecv`.
    pub fn set_direction(&mut self, call: CallHandle, direction: Direction, now: Instant) {
        self.on_call(call, now, |call, turn| call.set_direction(direction, turn));
        self.finish_turn(now);
    }

    /// Gives a call other addresses and candidates for its media, and the far end of an
    /// established call gets them by re-INVITE: the network changed, or checks must begin again (an
    /// ICE restart).
    pub fn move_media(&mut self, call: CallHandle, media: &LocalMedia, now: Instant) {
        self.on_call(call, now, |call, turn| call.move_media(media, turn));
        self.finish_turn(now);
    }

    /// Brings new keys into an established call by re-INVITE, where its keys stand in the session
    /// descriptions.
    pub fn rekey(&mut self, call: CallHandle, now: Instant) {
        self.on_call(call, now, Call::rekey);
        self.finish_turn(now);
    }

    /// Calls, or does not call, whom [`Event::Redirect`] names.
    pub fn decide_redirection(&mut self, call: CallHandle, allowed: bool, now: Instant) {
        self.on_call(call, now, |call, turn| {
            call.decide_redirection(allowed, turn);
        });
        self.finish_turn(now);
    }

    /// Does what [`Event::Refer`] asked for: calls that address, by the account and with the media
    /// given, and reports to the far end of `call`. The new call is an ordinary one; `call` goes
    /// on until it is ended.
    pub fn accept_refer(
        &mut self,
        call: CallHandle,
        media: LocalMedia,
        now: Instant,
    ) -> Result<CallHandle, InviteError> {
        let placed = self.follow_refer(call, media, now);
        self.finish_turn(now);
        placed
    }

    /// Refuses what [`Event::Refer`] asked for.
    pub fn reject_refer(&mut self, call: CallHandle, now: Instant) {
        self.on_call(call, now, |call, turn| {
            if let Some(refer) = call.take_refer() {
                turn.respond(refer.transaction(), Reply::not_allowed(603));
            }
        });
        self.finish_turn(now);
    }

    /// Transfers the far end of `held` to the far end of `consulted`, answered or not. For the
    /// owner both are over then ([`Event::Ended`] follows for each); [`Event::Transferred`] says
    /// what came of it. Where it fails, those that are still there come back as incoming calls.
    ///
    /// # Errors
    ///
    /// Nothing is asked of anybody; both are over for the owner all the same, and what was
    /// established comes back: at once, or when the ACK is here that it waits for.
    pub fn transfer(
        &mut self,
        held: CallHandle,
        consulted: CallHandle,
        now: Instant,
    ) -> Result<(), TransferError> {
        let plan = match self.calls.plan_transfer(held, consulted, now) {
            Ok(plan) => plan,
            Err(error) => {
                for call in [held, consulted] {
                    self.not_transferred(call, now);
                }
                return Err(error);
            }
        };
        match plan.consulted {
            Some(transfer) => self.on_call(consulted, now, |call, turn| {
                call.start_transfer(transfer, None, turn);
            }),
            None => self.hang_up(consulted, None, now),
        }
        self.on_call(held, now, |call, turn| {
            call.start_transfer(plan.held, Some(&plan.target), turn);
        });
        self.finish_turn(now);
        Ok(())
    }

    /// A transfer of this call is not to be had, the other one is over, say: for the owner it is
    /// over, too, and comes back where it was established, as after an error of
    /// [`transfer`](Self::transfer).
    pub fn not_transferred(&mut self, call: CallHandle, now: Instant) {
        self.on_call(call, now, Call::handle_not_transferred);
        self.finish_turn(now);
    }

    /// Transfers the far end of `held` to a number or address (RFC 5589 section 6); as
    /// [`transfer`](Self::transfer), where it fails, too.
    ///
    /// # Errors
    ///
    /// As for [`transfer`](Self::transfer).
    pub fn transfer_to(
        &mut self,
        held: CallHandle,
        target: &str,
        now: Instant,
    ) -> Result<(), TransferError> {
        let uri = match self.calls.blind_target(held, target, &self.shared) {
            Ok(uri) => uri,
            Err(error) => {
                self.not_transferred(held, now);
                return Err(error);
            }
        };
        let transfer = Transfer::asking(None, &uri, target, now);
        self.on_call(held, now, |call, turn| {
            call.start_transfer(transfer, Some(&uri), turn);
        });
        self.finish_turn(now);
        Ok(())
    }

    /// Publishes a report (RFC 3903), of call quality, say (RFC 6035);
    /// [`Event::Published`](crate::agent::Event::Published) says what came of it. It goes by the
    /// account's servers, and without an account where its target says.
    pub fn publish(
        &mut self,
        account: Option<AccountId>,
        state: EventState,
        now: Instant,
    ) -> Result<PublicationId, PublishError> {
        if self.shutting_down {
            return Err(PublishError::TooMany);
        }
        let (account, shared) = (account.map(|account| account.0), &mut self.shared);
        let id = self.publications.publish(account, state, shared, now);
        self.send_publications(now);
        self.finish_turn(now);
        id
    }

    /// Sends a flash by INFO (application/hook-flash), where telephone-event was not negotiated.
    pub fn send_info_flash(&mut self, call: CallHandle, now: Instant) {
        self.on_call(call, now, Call::send_flash);
        self.finish_turn(now);
    }

    /// Sends a digit by INFO (application/dtmf-relay), where telephone-event was not negotiated.
    /// `length_ms` is what it says of how long the key was down.
    pub fn send_info_digit(&mut self, call: CallHandle, digit: char, length_ms: u16, now: Instant) {
        self.on_call(call, now, |call, turn| {
            call.send_digit(digit, length_ms, turn);
        });
        self.finish_turn(now);
    }

    fn follow_refer(
        &mut self,
        handle: CallHandle,
        media: LocalMedia,
        now: Instant,
    ) -> Result<CallHandle, InviteError> {
        let (refer, account) = self.calls.take_refer(handle)?;
        let dialled = Dialled {
            account,
            target: &refer.target().to_string(),
            media,
            order: refer.order().clone(),
            options: InviteOptions::default(),
        };
        let placed = self.place_call(dialled, now);
        let Ok(new) = placed else {
            self.respond(refer.transaction(), &Reply::not_allowed(603), now);
            return placed;
        };
        if let Some(reply) = self.calls.accept_refer(handle, new, account, &refer) {
            self.respond(refer.transaction(), &reply, now);
        }
        self.notify_referrer(new, 100, now);
        Ok(new)
    }

    /// Takes the call that rings at a watched phone: `watch` is its place in
    /// [`EventSettings::watched`](crate::EventSettings::watched).
    pub fn pick_up(
        &mut self,
        watch: usize,
        media: LocalMedia,
        now: Instant,
    ) -> Result<CallHandle, InviteError> {
        let found = self.subscriptions.pick_up(watch)?;
        let dialled = Dialled {
            account: found.account,
            target: &Uri::Sip(found.ringing.target).to_string(),
            media,
            order: ReferOrder::replacing(found.ringing.replaces, found.secure),
            options: InviteOptions::default(),
        };
        let call = self.place_call(dialled, now);
        self.finish_turn(now);
        call
    }

    /// Whether a call that rings at a watched phone can be taken by [`UserAgent::pick_up`].
    pub fn can_pick_up(&self, watch: usize) -> bool {
        self.subscriptions.can_pick_up(watch)
    }

    /// Sends a text to a number or address (RFC 3428); [`Event::MessageSent`] says what came of it.
    /// It is protected on its way as the account's signalling is, and not from the servers.
    ///
    /// [`Event::MessageSent`]: crate::Event::MessageSent
    pub fn send_message(
        &mut self,
        account: Option<AccountId>,
        target: &str,
        text: &str,
        now: Instant,
    ) -> Result<MessageId, SendError> {
        let account = account.map(|account| account.0);
        let (id, request) = text_messages::outgoing(account, target, text, &mut self.shared)?;
        self.send_request(id, request, now);
        self.finish_turn(now);
        Ok(MessageId(id))
    }
}
