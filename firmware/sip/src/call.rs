//! Calls: what an INVITE begins. A call owns its state, and says what should happen.
//!
//! ```text
//! place ──▶ Calling ──────── 2xx, ACK ─────────▶ Up ─▶ BYE ─▶ Over
//!             └ CANCEL, refusal ─▶ Over           ▲ └─ transfer ─▶ Transferring ─ outcome or 32 s ─▶ BYE ─▶ Over
//! INVITE ─▶ Ringing ─ answer ─▶ Answered ─ ACK ───┘
//!             └ CANCEL, reject ─▶ Over   └─ hung up ─▶ Leaving ─ ACK or 32 s ─▶ BYE ─▶ Over
//! ```
//!
//! `calling` knows the calls placed here, `ringing` those that come in, `established` the session
//! of an answered one, `in_dialog` the requests in it. A call leaves the table the moment it is
//! over for the network's dialog; what transactions still have to do about it is their own affair.
//! Subscriptions and session timers belong beside `Established`, in the states that have a dialog.

mod ack_wait;
mod answer;
mod calling;
mod digits;
mod established;
mod in_dialog;
mod prack;
mod reliable;
mod ringing;
mod session_timer;
mod state;
mod summary;
#[cfg(test)]
mod tests;
mod transfer;

pub(crate) use established::{ChangeRefused, refused_offer};
pub(crate) use in_dialog::InDialog;
pub(crate) use session_timer::check_interval;

use std::net::IpAddr;
use std::time::Instant;

use types::Direction;

use crate::action::{Action, InviteIds, Reply, Turn};
use crate::api::{EndReason, EndedBy, Event, InviteOptions};
use crate::dialog::Dialog;
use crate::flow::{Flow, Transport};
use crate::ice::ChosenPath;
use crate::identity::shown;
use crate::ids::{CallHandle, TransactionId};
use crate::initial_route::InitialRoute;
use crate::message::{Headers, NameAddr, Request, Response, Uri, reason_phrase};
use crate::offer_answer::{LocalMedia, Negotiated, OfferAnswer};
use crate::reason::is_answered_elsewhere;
use crate::requests::Failure;
use crate::sdp::SdpError;
use crate::transfer::{ReferOrder, ReferRequest};

use calling::{Calling, Invite, Refused};
use established::{Established, Exchange};
use ringing::Ringing;
use state::State;
use transfer::AtAck;

pub(crate) use state::Over;

/// Reason header of a BYE where no refresh came in time (RFC 4028 section 10).
const SESSION_EXPIRED: &str = "SIP;cause=408;text=\"Session timer expired\"";
/// Reason header of a BYE after an answer that cannot be used (RFC 3326).
const UNUSABLE_ANSWER: &str = "SIP;cause=488;text=\"Not Acceptable Here\"";

/// How a call is placed.
pub(crate) struct Placement {
    pub(crate) target: Uri,
    pub(crate) ids: InviteIds,
    pub(crate) route: InitialRoute,
    pub(crate) media: LocalMedia,
    pub(crate) order: ReferOrder,
    pub(crate) options: InviteOptions,
}

/// One call.
#[derive(Debug)]
pub(crate) struct Call {
    handle: CallHandle,
    account: Option<usize>,
    /// The far end, for the owner.
    peer: String,
    /// What the REFER said because of which we placed this call.
    order: ReferOrder,
    /// How we placed it.
    options: InviteOptions,
    state: State,
    /// What begins when the ACK of our 2xx is here.
    at_ack: Option<AtAck>,
    span: tracing::Span,
}

impl Call {
    fn new(
        handle: CallHandle,
        account: Option<usize>,
        peer: String,
        order: ReferOrder,
        state: State,
    ) -> Self {
        let span = tracing::info_span!("call", id = handle.0);
        Self {
            handle,
            account,
            peer,
            order,
            options: InviteOptions::default(),
            state,
            at_ack: None,
            span,
        }
    }

    /// Places a call: sends its INVITE.
    pub(crate) fn place(
        handle: CallHandle,
        account: Option<usize>,
        placement: Placement,
        turn: &mut Turn<'_>,
    ) -> Result<Self, SdpError> {
        let env = &mut *turn.env;
        let here = env.addresses.primary().ip();
        let mut session = OfferAnswer::new(placement.media, here, env.tokens.session_id());
        session.set_addresses(&env.addresses);
        let is_emergency = placement.options.is_emergency;
        session.begin_with(env.offers.of(account, &placement.target, is_emergency));
        let peer = shown(&NameAddr::new(placement.target.clone()));
        let invite = Invite {
            call: handle,
            account,
            ids: placement.ids,
            route: placement.route,
            order: &placement.order,
            options: placement.options,
        };
        let calling = Calling::place(invite, placement.target, session, turn)?;
        let state = State::Calling(Box::new(calling));
        let mut call = Self::new(handle, account, peer, placement.order, state);
        call.options = placement.options;
        Ok(call)
    }

    /// Who the far end is, as the account's own server says.
    pub(crate) fn set_peer(&mut self, peer: String) {
        self.peer = peer;
    }

    /// A call that came in, by an INVITE that passed all checks.
    pub(crate) fn incoming(
        handle: CallHandle,
        account: Option<usize>,
        server: TransactionId,
        dialog: Dialog,
        request: &Request,
        turn: &mut Turn<'_>,
    ) -> Self {
        let peer = shown(&dialog.remote);
        let state = State::Ringing(Box::new(Ringing::new(server, dialog, request, turn)));
        Self::new(handle, account, peer, ReferOrder::default(), state)
    }

    // ── what others may ask ───────────────────────────────────────────────────────────────────

    /// The account it uses.
    pub(crate) fn account(&self) -> Option<usize> {
        self.account
    }

    /// The far end: display name or address.
    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    /// For log messages about it.
    pub(crate) fn span(&self) -> &tracing::Span {
        &self.span
    }

    /// Whether it is placed and not answered.
    pub(crate) fn is_calling(&self) -> bool {
        matches!(self.state, State::Calling(_))
    }

    /// Whether it came in and is not answered.
    pub(crate) fn is_ringing(&self) -> bool {
        matches!(self.state, State::Ringing(_))
    }

    /// What is left of it, once it is over.
    pub(crate) fn take_over(&mut self) -> Option<Over> {
        if let State::Over(over) = &mut self.state {
            Some(std::mem::take(&mut **over))
        } else {
            None
        }
    }

    /// Its own dialog; not that of a branch.
    pub(crate) fn dialog(&self) -> Option<&Dialog> {
        self.state.dialog()
    }

    /// The same, to send a request in it.
    pub(crate) fn dialog_mut(&mut self) -> Option<&mut Dialog> {
        self.state.dialog_mut()
    }

    fn dialogs(&self) -> impl Iterator<Item = &Dialog> {
        self.dialog().into_iter().chain(self.state.early_dialogs())
    }

    /// How many dialogs it holds.
    pub(crate) fn dialog_count(&self) -> usize {
        self.dialogs().count()
    }

    /// Whether a request of the far end belongs to one of its dialogs.
    pub(crate) fn owns(&self, request: &Request) -> bool {
        self.dialogs().any(|dialog| dialog.owns(request))
    }

    /// The hosts its signalling comes from, of whichever branch.
    pub(crate) fn signalling_hosts(&self) -> impl Iterator<Item = IpAddr> {
        self.dialogs().flat_map(Dialog::signalling_hosts)
    }

    /// Whether the dialog a request is for began over TLS.
    pub(crate) fn is_secure(&self, request: &Request) -> bool {
        self.dialogs()
            .filter(|dialog| dialog.owns(request))
            .any(Dialog::is_secure)
    }

    /// When to call [`Call::handle_timeout`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.state.deadline()
    }

    /// What its next Contact depends on: the transport of its dialog, and whether it is `sips:`.
    pub(crate) fn contact_needs(&self) -> Option<(Option<Transport>, bool)> {
        let dialog = self.dialog()?;
        Some((dialog.flow.map(Flow::transport), dialog.contact.is_secure()))
    }

    /// Who is called, and whether by TLS, while the call is placed.
    pub(crate) fn route_needs(&self) -> Option<(Uri, bool, bool)> {
        let calling = self.state.calling()?;
        Some((
            calling.target.clone(),
            calling.needs_tls(),
            calling.is_sips(),
        ))
    }

    // ── what the owner wants ──────────────────────────────────────────────────────────────────

    /// Sends 180.
    pub(crate) fn ring(&mut self, turn: &mut Turn<'_>) {
        if let State::Ringing(ringing) = &mut self.state {
            ringing.ring(turn);
        }
    }

    /// Sends 183 with an answer, so that the caller hears this phone already; 180 where there is
    /// nothing to answer.
    pub(crate) fn send_early_media(&mut self, media: LocalMedia, turn: &mut Turn<'_>) {
        let State::Ringing(ringing) = &mut self.state else {
            return;
        };
        match ringing.send_early_media(media, turn) {
            Ok(Some(media)) => self.report_progress(183, 0, media, turn),
            // There is no offer, or one that is refused when the call is answered.
            Ok(None) | Err(_) => ringing.ring(turn),
        }
    }

    /// Sends 200 with an answer, or with an offer where the INVITE had none.
    pub(crate) fn answer(&mut self, media: LocalMedia, turn: &mut Turn<'_>) {
        if let State::Up(established) = &mut self.state
            && established.is_offered()
        {
            established.take_back(&media);
            return self.send_change(turn);
        }
        let State::Ringing(ringing) = &mut self.state else {
            return;
        };
        let accepted = match ringing.answer(media, turn) {
            Ok(Some(accepted)) => accepted,
            Ok(None) => return,
            Err(error) => return self.refuse_offer(&error, turn),
        };
        let media = accepted.media.clone();
        if media.is_some() {
            let theirs = accepted.session.offer_like_theirs();
            turn.env.offers.learn_of_account(self.account, theirs);
        }
        let mut established = Established::new(
            ringing.dialog.clone(),
            accepted.session,
            accepted.media,
            ringing.timer.clone(),
            false,
        );
        established.reliable = ringing.reliable.take();
        self.state = State::Answered(Box::new(established), accepted.ack);
        // The caller may talk from here on; the media must not wait for the ACK.
        if let Some(media) = media {
            self.report_established(media, turn);
        }
    }

    /// Refuses a call that rings because its offer cannot be taken.
    fn refuse_offer(&mut self, error: &SdpError, turn: &mut Turn<'_>) {
        if let State::Ringing(ringing) = &self.state {
            let reply = refused_offer(error, turn.env.addresses.primary());
            turn.respond(ringing.server, reply);
            let code = Some(error.status());
            self.finish(EndedBy::Failure, code, &error.to_string(), turn);
        }
    }

    /// Refuses a call that rings.
    pub(crate) fn reject(&mut self, code: u16, turn: &mut Turn<'_>) {
        let State::Ringing(ringing) = &self.state else {
            if matches!(&self.state, State::Up(established) if established.is_offered()) {
                self.hang_up(None, turn);
            }
            return;
        };
        let server = ringing.server;
        let code = if (400..700).contains(&code) {
            code
        } else {
            480
        };
        self.finish(EndedBy::Local, Some(code), reason_phrase(code), turn);
        turn.respond(server, Reply::new(code));
    }

    /// Sends the caller elsewhere (section 8.3).
    pub(crate) fn redirect(&mut self, target: Uri, turn: &mut Turn<'_>) {
        let State::Ringing(ringing) = &self.state else {
            return;
        };
        let server = ringing.server;
        self.finish(EndedBy::Local, Some(302), "forwarded", turn);
        turn.respond(
            server,
            Reply::new(302).with("Contact", NameAddr::new(target)),
        );
    }

    /// Ends the call for its owner, whatever its state needs. `reason` goes with the BYE.
    pub(crate) fn hang_up(&mut self, reason: Option<EndReason>, turn: &mut Turn<'_>) {
        match &self.state {
            State::Calling(calling) => {
                let request = calling.request;
                self.finish(EndedBy::Local, None, "hung up", turn);
                turn.push(Action::Cancel(request));
            }
            State::Ringing(_) => self.reject(480, turn),
            State::Answered(..) => {
                // Section 15: no BYE before the ACK.
                if let State::Answered(established, ack) =
                    self.finish(EndedBy::Local, None, "hung up", turn)
                {
                    self.state = State::Leaving(Box::new(established.dialog), ack);
                }
            }
            State::Up(_) | State::Transferring(..) => {
                let before = self.finish(EndedBy::Local, None, "hung up", turn);
                self.send_last_bye(before, reason.map(EndReason::header), turn);
            }
            State::Leaving(..) | State::Over(_) => {}
        }
    }

    /// Ends without its ACK a call that was hung up and still waits for it.
    pub(crate) fn give_up(&mut self, turn: &mut Turn<'_>) {
        if matches!(self.state, State::Leaving(..)) {
            let before = self.finish(EndedBy::Local, None, "hung up", turn);
            self.send_last_bye(before, None, turn);
        }
    }

    /// Asks for another direction, now or as soon as the session allows.
    pub(crate) fn set_direction(&mut self, direction: Direction, turn: &mut Turn<'_>) {
        if let Some(established) = self.state.changeable_mut() {
            established.set_direction(direction);
            self.send_change(turn);
        }
    }

    /// Other addresses for its media, sent now or as soon as the session allows.
    pub(crate) fn move_media(&mut self, media: &LocalMedia, turn: &mut Turn<'_>) {
        if let State::Calling(calling) = &mut self.state {
            calling.session.move_to(media);
        } else if let Some(established) = self.state.changeable_mut() {
            established.move_media(media);
            self.send_change(turn);
        }
    }

    /// Checks chose a way for its media, which the far end is offered where its description names
    /// another.
    pub(crate) fn confirm_path(&mut self, path: ChosenPath, turn: &mut Turn<'_>) {
        if let Some(established) = self.state.changeable_mut() {
            established.confirm_path(path);
            self.send_change(turn);
        }
    }

    /// Asks for new keys, now or as soon as the session allows.
    pub(crate) fn rekey(&mut self, turn: &mut Turn<'_>) {
        if let Some(established) = self.state.changeable_mut() {
            established.rekey();
            self.send_change(turn);
        }
    }

    /// The REFER of theirs that waits for a decision.
    pub(crate) fn take_refer(&mut self) -> Option<ReferRequest> {
        self.state.up_mut()?.refer.take()
    }

    // ── being placed ──────────────────────────────────────────────────────────────────────────

    /// Sends the INVITE again by this route, after a redirection or a refused offer.
    pub(crate) fn place_again(&mut self, ids: InviteIds, route: InitialRoute, turn: &mut Turn<'_>) {
        let State::Calling(calling) = &mut self.state else {
            return;
        };
        let invite = Invite {
            call: self.handle,
            account: self.account,
            ids,
            route,
            order: &self.order,
            options: self.options,
        };
        let placed = calling.place_again(invite, turn);
        if let Err(error) = placed {
            self.finish(EndedBy::Failure, Some(488), &error.to_string(), turn);
        }
    }

    /// The owner allows, or not, that whom a redirection names is called.
    pub(crate) fn decide_redirection(&mut self, allowed: bool, turn: &mut Turn<'_>) {
        let State::Calling(calling) = &mut self.state else {
            return;
        };
        let Some(ids) = calling.take_redirection() else {
            return;
        };
        if allowed {
            let is_emergency = self.options.is_emergency;
            calling.begin_offers(&turn.env.offers, self.account, is_emergency);
            turn.push(Action::SendInvite {
                call: self.handle,
                ids: Box::new(ids),
                redirected: true,
            });
        } else {
            let reason = format!("redirected to {}, which may not be called", calling.target);
            self.finish(EndedBy::Failure, Some(403), &reason, turn);
        }
    }

    /// A response to our INVITE that is no 2xx; `dialog`: the early dialog it makes.
    pub(crate) fn handle_invite_response(
        &mut self,
        response: &Response,
        dialog: Option<Dialog>,
        turn: &mut Turn<'_>,
    ) {
        let State::Calling(calling) = &mut self.state else {
            return;
        };
        if response.is_provisional() {
            let call = (self.handle, self.account);
            return calling.handle_provisional(call, response, dialog, turn);
        }
        if let Err(Refused(reason)) =
            calling.handle_refusal(self.handle, &self.peer, response, turn)
        {
            self.finish(EndedBy::Remote, Some(response.code()), &reason, turn);
        }
    }

    /// Our INVITE was taken by no server.
    pub(crate) fn handle_invite_failure(&mut self, failure: &Failure, turn: &mut Turn<'_>) {
        let State::Calling(calling) = &mut self.state else {
            return;
        };
        if !calling.handle_failure(self.handle, failure, turn) {
            let code = Some(failure.code);
            self.finish(EndedBy::Failure, code, &failure.reason, turn);
        }
    }

    /// The caller gave up; `cancel`: the headers of its CANCEL.
    pub(crate) fn handle_cancel(
        &mut self,
        server: TransactionId,
        cancel: &Headers,
        turn: &mut Turn<'_>,
    ) {
        if matches!(self.state, State::Ringing(_)) {
            // RFC 3326: whoever looks at the list of missed calls wants to know that another phone
            // took this one.
            let (code, text) = if is_answered_elsewhere(cancel) {
                (200, "answered elsewhere")
            } else {
                (487, "the caller hung up")
            };
            self.finish(EndedBy::Remote, Some(code), text, turn);
        }
        turn.respond(server, Reply::new(487));
    }

    // ── transitions ───────────────────────────────────────────────────────────────────────────

    /// Also in one that is being transferred: its session is refreshed until that is done (RFC
    /// 4028).
    fn send_change(&mut self, turn: &mut Turn<'_>) {
        if let Some(established) = self.state.exchange_mut() {
            established.send_change(self.handle, self.account, turn);
        }
    }

    fn report_progress(&self, code: u16, branch: u32, media: Negotiated, turn: &mut Turn<'_>) {
        turn.event(Event::Progress {
            call: self.handle,
            code,
            branch,
            media: Some(media),
        });
    }

    fn report_established(&self, media: Negotiated, turn: &mut Turn<'_>) {
        turn.event(Event::Established {
            call: self.handle,
            media,
            peer: self.peer.clone(),
        });
    }

    /// The call is over; informs the owner, unless it knows. Returns the state it was in.
    fn finish(
        &mut self,
        by: EndedBy,
        code: Option<u16>,
        reason: &str,
        turn: &mut Turn<'_>,
    ) -> State {
        let over = Over {
            code,
            dialog: self.dialog().cloned(),
        };
        let mut before = std::mem::replace(&mut self.state, State::Over(Box::new(over)));
        match &before {
            State::Calling(_) | State::Ringing(_) | State::Answered(..) | State::Up(_) => {
                turn.event(Event::Ended {
                    call: self.handle,
                    by,
                    code,
                    reason: reason.to_owned(),
                });
            }
            State::Transferring(..) | State::Leaving(..) | State::Over(_) => {}
        }
        self.report_transfer_over(&before, turn);
        if let State::Up(established) = &mut before
            && let Some(refer) = established.refer.take()
        {
            turn.respond(refer.transaction(), Reply::not_allowed(603));
        }
        before
    }

    /// The BYE of a call that is over, after its own re-INVITE is given up.
    fn send_last_bye(&self, mut before: State, reason: Option<&str>, turn: &mut Turn<'_>) {
        if let State::Up(established) | State::Transferring(established, _) = &before {
            cancel_change(established, turn);
        }
        if let Some(dialog) = before.dialog_mut() {
            turn.send_bye(dialog, self.account, reason);
        }
    }
}

/// Gives up a re-INVITE of ours.
fn cancel_change(established: &Established, turn: &mut Turn<'_>) {
    if let Exchange::Ours(request, _) = &established.exchange {
        turn.push(Action::Cancel(*request));
    }
}
