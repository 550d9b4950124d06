//! The session of an answered call: changes in either direction (RFC 3261 section 14; UPDATE of
//! RFC 3311).
//!
//! ```text
//! set_direction, rekey ─▶ re-INVITE ─┬ 2xx ─▶ ACK, MediaChanged      491 ─▶ again after the wait of section 14.1
//!                                    └ else ─▶ session as before, HoldFailed      408, 481 ─▶ the call is over
//! their re-INVITE, UPDATE ─▶ answer | 491 (ours is under way) | 500 (theirs is) | 488 (not possible) ─▶ MediaChanged
//! ```

mod owner;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use types::Direction;

use crate::action::{Action, OutgoingRequest, Purpose, Reply, Turn};
use crate::api::Event;
use crate::capabilities::add_capabilities;
use crate::dialog::Dialog;
use crate::ice::ChosenPath;
use crate::ids::{CallHandle, RequestId, TransactionId};
use crate::media_security::Protection;
use crate::message::{Headers, Method, NameAddr, Request, Response};
use crate::offer_answer::{LocalMedia, Negotiated, OfferAnswer};
use crate::sdp::SdpError;
use crate::session_body::{session_body, session_body_of};
use crate::timer::earliest;
use crate::transfer::ReferRequest;

use super::ack_wait::{AckWait, Sent};
use super::reliable::ReliableProvisional;
use super::session_timer::{SessionStep, SessionTimer, check_interval};
use owner::Owner;

/// Longest Retry-After, in seconds, after which a change of the session is tried again by itself,
/// and how often.
const MAX_DEFERRAL_S: u32 = 10;
const MAX_DEFERRALS: u8 = 3;

/// The re-INVITE under way, if any: there is never more than one.
#[derive(Debug)]
pub(super) enum Exchange {
    Idle,
    /// Ours; the session as it was, in case it is refused.
    Ours(RequestId, Box<OfferAnswer>),
    /// Theirs: our 2xx waits for its ACK.
    Theirs(AckWait),
}

/// What a refused change means for the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChangeStep {
    Stay,
    /// The far end no longer knows the dialog, or no longer answers: this status says which.
    DialogGone(u16),
}

/// Dialog and session of an answered call.
#[derive(Debug)]
pub(super) struct Established {
    pub(super) dialog: Dialog,
    session: OfferAnswer,
    media: Option<Negotiated>,
    /// We placed it: the Call-ID is ours, and so is the longer wait at glare.
    caller: bool,
    pub(super) exchange: Exchange,
    /// A direction to be asked for as soon as the session allows.
    wanted: Option<Direction>,
    /// The next change brings new keys.
    rekey: bool,
    /// When to try again after 491 (section 14.1).
    retry_at: Option<Instant>,
    /// How often the far end deferred our change.
    deferrals: u8,
    /// A REFER of theirs the owner has not decided on, and how many there were.
    pub(super) refer: Option<ReferRequest>,
    pub(super) refers: u8,
    /// Our provisional responses, where a PRACK may still come.
    pub(super) reliable: Option<ReliableProvisional>,
    timer: SessionTimer,
    owner: Owner,
    /// The change that is wanted or under way only refreshes the session.
    refreshing: bool,
}

/// Why a change of ours was refused.
#[derive(Debug)]
pub(crate) struct ChangeRefused {
    pub(crate) code: u16,
    retry_after: Option<u32>,
    /// Headers of the response, where there was one.
    headers: Headers,
}

impl ChangeRefused {
    /// By this response.
    pub(crate) fn of(response: &Response) -> Self {
        Self {
            code: response.code(),
            retry_after: response.headers.number("Retry-After"),
            headers: response.headers.clone(),
        }
    }

    /// Without a response; the status that stands for it.
    pub(crate) fn failed(code: u16) -> Self {
        Self {
            code,
            retry_after: None,
            headers: Headers::default(),
        }
    }
}

impl Established {
    pub(super) fn new(
        dialog: Dialog,
        session: OfferAnswer,
        media: Option<Negotiated>,
        timer: SessionTimer,
        caller: bool,
    ) -> Self {
        Self {
            dialog,
            session,
            media,
            caller,
            exchange: Exchange::Idle,
            wanted: None,
            rekey: false,
            retry_at: None,
            deferrals: 0,
            refer: None,
            refers: 0,
            reliable: None,
            timer,
            owner: Owner::Has,
            refreshing: false,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let ack = match &self.exchange {
            Exchange::Idle | Exchange::Ours(..) => None,
            Exchange::Theirs(ack) => Some(ack.deadline()),
        };
        let offered = self.owner.deadline();
        earliest([ack, self.retry_at, self.timer.deadline(), offered])
    }

    // ── our changes ───────────────────────────────────────────────────────────────────────────

    /// Asks for this direction at the next [`Established::send_change`].
    pub(super) fn set_direction(&mut self, direction: Direction) {
        self.wanted = Some(direction);
        self.refreshing = false;
    }

    /// Asks for the direction in force again: our address changed.
    pub(super) fn refresh(&mut self) {
        self.wanted = self.wanted.or(Some(self.session.wish()));
    }

    /// Asks for the direction in force again, with these addresses.
    pub(super) fn move_media(&mut self, media: &LocalMedia) {
        self.session.move_to(media);
        self.refresh();
    }

    /// Checks chose another way than was described: the far end is offered it.
    pub(super) fn confirm_path(&mut self, path: ChosenPath) {
        if self.session.choose_path(path) {
            self.refresh();
        }
    }

    /// Asks for new keys, where the session descriptions carry them; a DTLS handshake makes keys of
    /// its own.
    pub(super) fn rekey(&mut self) {
        let sdes = self
            .media
            .as_ref()
            .is_some_and(|media| match media.protection {
                Protection::Sdes { .. } => true,
                Protection::Dtls { .. } | Protection::Clear => false,
            });
        if sdes {
            self.rekey = true;
            self.refresh();
        }
    }

    fn is_idle(&self) -> bool {
        match self.exchange {
            Exchange::Idle => true,
            Exchange::Ours(..) | Exchange::Theirs(_) => false,
        }
    }

    /// Sends the re-INVITE that is wanted, if nothing prevents it.
    pub(super) fn send_change(
        &mut self,
        call: CallHandle,
        account: Option<usize>,
        turn: &mut Turn<'_>,
    ) {
        if !self.is_idle() || self.retry_at.is_some_and(|at| at > turn.now) {
            return;
        }
        self.retry_at = None;
        let Some(direction) = self.wanted.take() else {
            return;
        };
        let before = self.session.clone();
        self.session.set_wish(direction);
        let tokens = &mut turn.env.tokens;
        let offer = if std::mem::take(&mut self.rekey) {
            self.session.fresh_offer(tokens)
        } else {
            self.session.offer(tokens)
        };
        let Ok(offer) = offer else {
            // Only where the network changed during the call: the session stays as it is.
            self.session = before;
            return;
        };
        let mut request = self.dialog.request(&Method::Invite);
        add_capabilities(&mut request.headers);
        self.timer.write(&mut request.headers);
        request
            .headers
            .push("User-Agent", &turn.env.config.user_agent);
        request.headers.push("Content-Type", "application/sdp");
        request.body = offer.into();
        let purpose = Purpose::Reinvite(call);
        let id = turn.send(OutgoingRequest::in_dialog(
            &self.dialog,
            purpose,
            account,
            request,
        ));
        self.exchange = Exchange::Ours(id, Box::new(before));
    }

    /// A 2xx to our re-INVITE (section 14.1).
    pub(super) fn handle_change_accepted(
        &mut self,
        call: CallHandle,
        id: RequestId,
        response: &Response,
        turn: &mut Turn<'_>,
    ) {
        self.dialog.refresh(&response.headers);
        let agreed = session_body_of(response).and_then(|body| self.session.accept(&body).ok());
        self.deferrals = 0;
        self.timer.handle_accepted(response, turn.now);
        let refreshing = std::mem::take(&mut self.refreshing);
        match (agreed, self.take_ours()) {
            (Some(media), Some(_)) => {
                self.agree(call, media, turn);
            }
            // No answer in the 2xx: nothing was agreed, the session goes on as it was.
            (None, Some(before)) => {
                self.session = before;
                if !refreshing && self.owner == Owner::Has {
                    turn.event(Event::HoldFailed { call, code: 488 });
                }
            }
            (_, None) => {}
        }
        turn.push(Action::Acknowledge {
            invite: id,
            dialog: Box::new(self.dialog.clone()),
        });
    }

    /// Our re-INVITE was refused, or nothing answered it.
    pub(super) fn handle_change_refused(
        &mut self,
        call: CallHandle,
        refusal: &ChangeRefused,
        turn: &mut Turn<'_>,
    ) -> ChangeStep {
        let code = refusal.code;
        let Exchange::Ours(..) = self.exchange else {
            return ChangeStep::Stay;
        };
        if matches!(code, 408 | 481) {
            return ChangeStep::DialogGone(code);
        }
        let Some(before) = self.take_ours() else {
            return ChangeStep::Stay;
        };
        let asked = self.session.wish();
        self.session = before;
        // 500 with a short Retry-After: theirs was not finished (section 14.2).
        let deferral = refusal.retry_after.filter(|after| {
            matches!(code, 500 | 503) && *after <= MAX_DEFERRAL_S && self.deferrals < MAX_DEFERRALS
        });
        // Glare: the owner of the Call-ID waits longer, so that the two do not meet again; steps of
        // 10 ms.
        let (low, high) = if self.caller { (210, 400) } else { (0, 200) };
        let glare_wait = turn
            .env
            .tokens
            .between(Duration::from_millis(low), Duration::from_millis(high))
            * 10;
        let wait = match deferral {
            Some(after) => {
                self.deferrals += 1;
                Some(Duration::from_secs(u64::from(after)))
            }
            None => (code == 491).then_some(glare_wait),
        };
        let longer = code == 422 && self.timer.handle_too_small(&refusal.headers);
        let wait = wait.or(longer.then_some(Duration::ZERO));
        if let Some(wait) = wait {
            self.wanted = self.wanted.or(Some(asked));
            self.retry_at = Some(turn.now + wait);
        } else if std::mem::take(&mut self.refreshing) {
            self.timer.handle_refused(code, turn.now);
        } else {
            match self.owner {
                Owner::Has => turn.event(Event::HoldFailed { call, code }),
                // It cannot be taken back.
                Owner::Returns => return ChangeStep::DialogGone(code),
                Owner::Left | Owner::Offered(_) => {}
            }
        }
        ChangeStep::Stay
    }

    fn take_ours(&mut self) -> Option<OfferAnswer> {
        match std::mem::replace(&mut self.exchange, Exchange::Idle) {
            Exchange::Ours(_, before) => Some(*before),
            theirs @ (Exchange::Idle | Exchange::Theirs(_)) => {
                self.exchange = theirs;
                None
            }
        }
    }

    // ── their changes ─────────────────────────────────────────────────────────────────────────

    /// Whether an offer of ours is unanswered in a 2xx.
    pub(super) fn is_offer_open(&self) -> bool {
        match &self.exchange {
            Exchange::Idle | Exchange::Ours(..) => false,
            Exchange::Theirs(ack) => ack.is_offer_open(),
        }
    }

    /// A re-INVITE of theirs (section 14.2); the caller has checked that it may be answered.
    /// Whether it is accepted: one that is not changes nothing (section 12.2.2).
    pub(super) fn handle_reinvite(
        &mut self,
        call: CallHandle,
        transaction: TransactionId,
        request: &Request,
        turn: &mut Turn<'_>,
    ) -> bool {
        if let Err(reply) = check_interval(turn.env.config.session_intervals, request) {
            turn.respond(transaction, reply);
            return false;
        }
        let before = self.session.clone();
        let tokens = &mut turn.env.tokens;
        // A far end that asks for an offer may pass it to another phone (section 14.2 wants it as
        // for a new call): that one gets keys of its own.
        let answer = match session_body(request) {
            None => self.session.fresh_offer(tokens).map(|body| (body, None)),
            Some(offer) => self
                .session
                .answer(&offer, tokens)
                .map(|(body, agreed)| (body, Some(agreed))),
        };
        let (body, agreed) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let refusal = refused_offer(&error, turn.env.addresses.primary());
                turn.respond(transaction, refusal);
                return false;
            }
        };
        self.dialog.refresh(&request.headers);
        let reply = Reply::new(200).in_dialog(&self.dialog.contact);
        let reply = self.timer.handle_request(request, turn.now).write(reply);
        turn.respond(transaction, reply.with_session(body));
        let cseq = request.headers.cseq().map(|c| c.number).unwrap_or_default();
        let sent = match agreed {
            None => Sent::LaterOffer(Box::new(before)),
            Some(media) => {
                self.agree(call, media, turn);
                Sent::Answer
            }
        };
        self.exchange = Exchange::Theirs(AckWait::new(transaction, cseq, sent, turn.now));
        true
    }

    /// UPDATE with an offer (RFC 3311); the caller has checked that it may be answered. Whether it
    /// is accepted.
    pub(super) fn handle_update(
        &mut self,
        call: CallHandle,
        transaction: TransactionId,
        request: &Request,
        offer: &[u8],
        turn: &mut Turn<'_>,
    ) -> bool {
        if let Err(reply) = check_interval(turn.env.config.session_intervals, request) {
            turn.respond(transaction, reply);
            return false;
        }
        match self.session.answer(offer, &mut turn.env.tokens) {
            Ok((body, media)) => {
                self.dialog.refresh(&request.headers);
                let reply = Reply::new(200)
                    .with_session(body)
                    .with("Contact", NameAddr::new(self.dialog.contact.clone()))
                    .with_capabilities();
                let reply = self.timer.handle_request(request, turn.now).write(reply);
                turn.respond(transaction, reply);
                self.agree(call, media, turn);
                true
            }
            Err(error) => {
                let refusal = refused_offer(&error, turn.env.addresses.primary());
                turn.respond(transaction, refusal);
                false
            }
        }
    }

    /// The ACK of our 2xx to a re-INVITE: it brings the answer where that carried an offer.
    pub(super) fn handle_ack(&mut self, call: CallHandle, ack: &Request, turn: &mut Turn<'_>) {
        let number = ack.headers.cseq().map(|c| c.number).unwrap_or_default();
        match &self.exchange {
            Exchange::Theirs(wait) if wait.is_acknowledged_by(number) => {}
            Exchange::Theirs(_) | Exchange::Idle | Exchange::Ours(..) => return,
        }
        let Exchange::Theirs(wait) = std::mem::replace(&mut self.exchange, Exchange::Idle) else {
            return;
        };
        match wait.sent {
            Sent::Answer => {}
            Sent::FirstOffer | Sent::LaterOffer(_) => match (self.accept_late(ack), wait.sent) {
                (Ok(media), _) => self.agree(call, media, turn),
                // An established session goes on as it was.
                (Err(_), Sent::LaterOffer(before)) => self.session = *before,
                (Err(_), Sent::FirstOffer | Sent::Answer) => {}
            },
        }
    }

    /// The answer to an offer in our 2xx.
    pub(super) fn accept_late(&mut self, ack: &Request) -> Result<Negotiated, SdpError> {
        let body = session_body(ack).ok_or(SdpError::NoMedia)?;
        let media = self.session.accept(&body)?;
        self.media = Some(media.clone());
        Ok(media)
    }

    // ── session timer ─────────────────────────────────────────────────────────────────────────

    /// An UPDATE of theirs without an offer: it refreshes target and session. Whether it is
    /// accepted.
    pub(super) fn handle_refresh(
        &mut self,
        transaction: TransactionId,
        request: &Request,
        turn: &mut Turn<'_>,
    ) -> bool {
        if let Err(reply) = check_interval(turn.env.config.session_intervals, request) {
            turn.respond(transaction, reply);
            return false;
        }
        self.dialog.refresh(&request.headers);
        let reply = Reply::new(200)
            .with("Contact", NameAddr::new(self.dialog.contact.clone()))
            .with_capabilities();
        let reply = self.timer.handle_request(request, turn.now).write(reply);
        turn.respond(transaction, reply);
        true
    }

    /// The final response to our refresh by UPDATE.
    pub(super) fn handle_refreshed(&mut self, response: &Response, turn: &mut Turn<'_>) {
        if response.is_success() {
            self.dialog.refresh(&response.headers);
            self.timer.handle_accepted(response, turn.now);
            return;
        }
        let code = response.code();
        if code == 422 && self.timer.handle_too_small(&response.headers) {
            self.timer.refresh_again(turn.now);
        } else {
            self.timer.handle_refused(code, turn.now);
        }
    }

    /// Sends what the session timer asks for; whether the session is over.
    pub(super) fn handle_session_timeout(
        &mut self,
        call: CallHandle,
        account: Option<usize>,
        turn: &mut Turn<'_>,
    ) -> bool {
        match self.timer.handle_timeout(turn.now) {
            SessionStep::Wait => false,
            SessionStep::Expired => true,
            SessionStep::Refresh { update: false } => {
                // A change under way, or about to be sent again, is a refresh itself.
                if self.is_idle() && self.wanted.is_none() {
                    self.refreshing = true;
                    self.refresh();
                } else {
                    self.timer.postpone(turn.now);
                }
                false
            }
            SessionStep::Refresh { update: true } => {
                let mut request = self.dialog.request(&Method::Update);
                add_capabilities(&mut request.headers);
                self.timer.write(&mut request.headers);
                request
                    .headers
                    .push("User-Agent", &turn.env.config.user_agent);
                let purpose = Purpose::Refresh(call);
                turn.send(OutgoingRequest::in_dialog(
                    &self.dialog,
                    purpose,
                    account,
                    request,
                ));
                false
            }
        }
    }

    /// The phone's own address is another one, and this our new Contact. Whether the far end
    /// learns it from here; otherwise the owner sends other addresses for media.
    pub(super) fn handle_local_address(
        &mut self,
        contact: crate::message::SipUri,
        turn: &mut Turn<'_>,
    ) -> bool {
        self.session.set_address(turn.env.addresses.primary().ip());
        self.session.set_addresses(&turn.env.addresses);
        self.dialog.contact = contact;
        !self.session.owner_moves()
    }
}

/// An offer that cannot be taken: status and Warning header (section 20.43).
pub(crate) fn refused_offer(error: &SdpError, agent: SocketAddr) -> Reply {
    let text = error.to_string().replace(['"', '\\'], "'");
    let warning = format!("{} {agent} \"{text}\"", error.warning());
    Reply::refusal(error.status()).with("Warning", warning)
}
