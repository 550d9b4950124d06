//! A call placed here, until it is answered (RFC 3261 section 13.2).
//!
//! ```text
//! INVITE + offer ─┬ 1xx ─▶ leg by To tag ─▶ PRACK where reliable, Progress (early media)
//!                 ├ 2xx ─▶ Established     another 2xx ─▶ ACK, BYE
//!                 ├ 3xx ─▶ Redirect ─▶ INVITE to the contacts, by q, five at most
//!                 ├ 422 ─▶ INVITE with a longer session interval
//!                 ├ 488 ─▶ INVITE with the next offer planned
//!                 └ else ─▶ Ended
//! ```

use std::time::Instant;

use crate::action::{Action, InviteIds, OutgoingRequest, Purpose, Turn};
use crate::api::{Event, InviteOptions};
use crate::capabilities::add_capabilities;
use crate::dialog::Dialog;
use crate::ids::{CallHandle, RequestId};
use crate::initial_route::InitialRoute;
use crate::media_security::offer_memory::OfferMemory;
use crate::message::{CSeq, Method, NameAddr, Request, Response, SipUri, Uri};
use crate::offer_answer::{Negotiated, OfferAnswer};
use crate::requests::Failure;
use crate::sdp::SdpError;
use crate::session_body::session_body_of;
use crate::transfer::ReferOrder;

use super::reliable::ReceivedOrder;
use super::session_timer::SessionTimer;

/// Our answer to an offer of theirs, or why there is none.
type Answered = Result<(Vec<u8>, Negotiated), SdpError>;

/// Most branches of a forked call.
const MAX_LEGS: usize = 16;
/// Most addresses kept for later.
const MAX_ALTERNATIVES: usize = 8;
/// Most redirections followed in one call.
const MAX_REDIRECTS: usize = 5;

/// One branch of a call we placed: an early dialog by To tag.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) dialog: Dialog,
    session: OfferAnswer,
    media: Option<Negotiated>,
    order: ReceivedOrder,
    /// Its answer came in a reliable response: what comes later is no answer (RFC 3262 section 5).
    answered: bool,
    /// Its number among all branches of the call, counted from 1.
    number: u32,
}

/// Our INVITE is under way.
#[derive(Debug)]
pub(super) struct Calling {
    /// The INVITE sent last.
    pub(super) request: RequestId,
    pub(super) legs: Vec<Leg>,
    /// How many branches there were, those of earlier INVITEs counted.
    branches: u32,
    /// More than 100 came since: someone may have been rung.
    progressed: bool,
    pub(super) session: OfferAnswer,
    timer: SessionTimer,
    /// Who is called: the Request-URI of the INVITE.
    pub(super) target: Uri,
    /// The addresses that redirections led to, one after the other.
    redirected: Vec<SipUri>,
    /// Further addresses a redirection named, the best one last.
    alternatives: Vec<SipUri>,
    /// The INVITE to the next address, as soon as the owner allows it.
    redirection: Option<InviteIds>,
    /// Number of the INVITE sent last, and what goes into the next one.
    pub(super) ids: InviteIds,
    /// Called by `sips:`, and over TLS: neither is given up on the way.
    sips: bool,
    pub(super) secure: bool,
}

/// What a 2xx makes of the call.
#[derive(Debug)]
pub(super) struct Agreed {
    pub(super) dialog: Dialog,
    pub(super) session: OfferAnswer,
    pub(super) timer: SessionTimer,
    pub(super) media: Result<Negotiated, SdpError>,
    /// Other branches of the call saw our keys, too.
    pub(super) keys_shared: bool,
}

/// Why the call ends with a refusal.
#[derive(Debug)]
pub(super) struct Refused(pub(super) String);

/// One INVITE of a call.
pub(super) struct Invite<'a> {
    pub(super) call: CallHandle,
    pub(super) account: Option<usize>,
    pub(super) ids: InviteIds,
    pub(super) route: InitialRoute,
    pub(super) order: &'a ReferOrder,
    pub(super) options: InviteOptions,
}

impl Calling {
    /// Sends the first INVITE.
    pub(super) fn place(
        invite: Invite<'_>,
        target: Uri,
        mut session: OfferAnswer,
        turn: &mut Turn<'_>,
    ) -> Result<Self, SdpError> {
        let secure = invite.route.is_secure();
        let timer = SessionTimer::new(turn.env.config.session_intervals);
        let ids = invite.ids.clone();
        let request = invite.send(&target, &mut session, &timer, turn)?;
        Ok(Self {
            request,
            legs: Vec::new(),
            branches: 0,
            progressed: false,
            session,
            timer,
            sips: target.as_sip().is_some_and(SipUri::is_secure),
            target,
            redirected: Vec::new(),
            alternatives: Vec::new(),
            redirection: None,
            ids,
            secure,
        })
    }

    /// Sends the INVITE again, after a final answer to the one before.
    pub(super) fn place_again(
        &mut self,
        invite: Invite<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), SdpError> {
        self.secure = invite.route.is_secure();
        self.ids = invite.ids.clone();
        self.request = invite.send(&self.target, &mut self.session, &self.timer, turn)?;
        Ok(())
    }

    /// Whether the INVITE must use TLS on its first hop.
    pub(super) fn needs_tls(&self) -> bool {
        self.secure || self.sips
    }

    /// Whether it was called by `sips:`, so that our Contact must be one (section 8.1.1.8).
    pub(super) fn is_sips(&self) -> bool {
        self.sips
    }

    /// A 1xx: every To tag is a leg of its own.
    pub(super) fn handle_provisional(
        &mut self,
        (call, account): (CallHandle, Option<usize>),
        response: &Response,
        dialog: Option<Dialog>,
        turn: &mut Turn<'_>,
    ) {
        if response.code() == 100 {
            return;
        }
        self.progressed = true;
        let mut media = None;
        let rack = ReceivedOrder::rack(response);
        let mut leg = dialog
            .filter(|_| response.headers.to().is_ok_and(|to| to.tag().is_some()))
            .and_then(|dialog| self.leg(dialog));
        let untagged = response.headers.to().is_ok_and(|to| to.tag().is_none());
        let leg_is_missing = leg.is_none() && untagged;
        if let (Some(leg), Some((rseq, rack))) = (leg.as_mut(), &rack) {
            // Section 4: neither a repeated one nor one after a gap is looked at.
            if !leg.order.is_next(*rseq) {
                return;
            }
            leg.dialog.refresh(&response.headers);
            let mut prack = leg.dialog.request(&Method::Prack);
            prack.headers.push("RAck", rack);
            prack
                .headers
                .push("User-Agent", &turn.env.config.user_agent);
            turn.send(OutgoingRequest::in_dialog(
                &leg.dialog,
                Purpose::Prack(call),
                account,
                prack,
            ));
        }
        let branch = leg.as_ref().map_or(0, |leg| leg.number);
        if let Some(leg) = leg.filter(|leg| !leg.answered)
            && let Some(body) = session_body_of(response)
        {
            // An answer that makes no sense in a 183 is no reason to give the call up; the one in
            // the 200 is.
            media = leg.session.accept(&body).ok();
            leg.media.clone_from(&media);
            leg.answered = rack.is_some() && media.is_some();
        }
        // Without a To tag there is no dialog, but what it says of the media counts (RFC 3960).
        if leg_is_missing && let Some(body) = session_body_of(response) {
            media = self.session.clone().accept(&body).ok();
        }
        turn.event(Event::Progress {
            call,
            code: response.code(),
            branch,
            media,
        });
    }

    /// An offer of theirs in the early dialog of a branch; `None`: ours is not answered yet.
    pub(super) fn handle_offer(
        &mut self,
        request: &Request,
        offer: &[u8],
        turn: &mut Turn<'_>,
    ) -> Option<(Answered, SipUri)> {
        let mut legs = self.legs.iter_mut();
        let leg = legs.find(|leg| leg.dialog.owns(request))?;
        leg.media.as_ref()?;
        let answered = leg.session.answer(offer, &mut turn.env.tokens);
        if let Ok((_, agreed)) = &answered {
            leg.dialog.refresh(&request.headers);
            leg.media = Some(agreed.clone());
            // The answer in the 2xx is older than this.
            leg.answered = true;
        }
        Some((answered, leg.dialog.contact.clone()))
    }

    /// The number of the branch whose early dialog a request is for; 0: none.
    pub(super) fn branch_of(&self, request: &Request) -> u32 {
        let mut legs = self.legs.iter();
        legs.find(|leg| leg.dialog.owns(request))
            .map_or(0, |leg| leg.number)
    }

    fn leg(&mut self, dialog: Dialog) -> Option<&mut Leg> {
        let known = self
            .legs
            .iter()
            .position(|leg| leg.dialog.remote_tag() == dialog.remote_tag());
        if let Some(index) = known {
            return self.legs.get_mut(index);
        }
        if self.legs.len() >= MAX_LEGS {
            return None;
        }
        let mut session = self.session.clone();
        session.set_far_host(dialog.far_host());
        self.branches = self.branches.saturating_add(1);
        self.legs.push(Leg {
            dialog,
            session,
            media: None,
            order: ReceivedOrder::default(),
            answered: false,
            number: self.branches,
        });
        self.legs.last_mut()
    }

    /// The first 2xx makes the call.
    pub(super) fn handle_answer(
        &mut self,
        response: &Response,
        mut dialog: Dialog,
        now: Instant,
    ) -> Agreed {
        // Requests sent in the early dialog count on.
        let leg = self
            .legs
            .iter()
            .position(|leg| leg.dialog.remote_tag() == dialog.remote_tag())
            .map(|index| self.legs.swap_remove(index));
        let keys_shared = !self.legs.is_empty();
        let (mut session, early, answered) = match leg {
            Some(leg) => {
                dialog.local_cseq = dialog.local_cseq.max(leg.dialog.local_cseq);
                dialog.remote_cseq = leg.dialog.remote_cseq;
                (leg.session, leg.media, leg.answered)
            }
            None => (self.session.clone(), None, false),
        };
        session.set_far_host(dialog.far_host());
        let body = session_body_of(response).filter(|_| !answered);
        let media = match (body, early) {
            (Some(body), early) => session.accept(&body).or_else(|error| early.ok_or(error)),
            (None, Some(early)) => Ok(early),
            (None, None) => Err(SdpError::NoMedia),
        };
        let mut timer = self.timer.clone();
        timer.handle_accepted(response, now);
        Agreed {
            dialog,
            session,
            timer,
            media,
            keys_shared,
        }
    }

    /// An answer cannot be used: whether there is another offer to make. The next INVITE begins
    /// again, since the dialog of the one before ends.
    pub(super) fn ask_again(&mut self, error: &SdpError, turn: &mut Turn<'_>) -> bool {
        let next = self.session.next_attempt_after(error);
        if next {
            self.legs.clear();
            self.progressed = false;
            let tag = turn.env.tokens.tag();
            self.ids.from.params.set("tag", Some(&tag));
            self.ids.call_id = turn.env.tokens.word(24);
            self.ids.cseq = 1;
        }
        next
    }

    /// Whether a redirection led to the address that is called now.
    pub(super) fn is_redirected(&self) -> bool {
        !self.redirected.is_empty()
    }

    /// Any other final response: the call is tried again, or over.
    pub(super) fn handle_refusal(
        &mut self,
        call: CallHandle,
        peer: &str,
        response: &Response,
        turn: &mut Turn<'_>,
    ) -> Result<(), Refused> {
        let code = response.code();
        if let Some(ids) = original(response) {
            self.ids = ids;
        }
        match code {
            300..400 => {
                self.redirect(response)?;
                self.ask_for_redirection(call, turn);
                return Ok(());
            }
            // What is preferred is asked for in more than one way. Some refuse it by the status
            // that RFC 3261 has for other bodies.
            406 | 415 | 488 | 606 if self.session.next_attempt() => {
                tracing::info!(
                    "{peer} refused the offer ({code} {}): asking again with another kind of \
                     encryption, or none where none is required",
                    refusal(response)
                );
            }
            _ if may_mean_the_offer(code, self.progressed) && self.session.give_up_guess() => {
                tracing::info!(
                    "{peer}: {} ({code}); asking again in the usual order of offers",
                    refusal(response)
                );
            }
            422 if self.timer.handle_too_small(&response.headers) => {}
            // Section 8.1.3.4: the next address; a 6xx speaks for all of them.
            400..600 if self.next_alternative() => {
                tracing::info!(
                    "{peer}: {} ({code}); another address is tried",
                    refusal(response)
                );
                self.ask_for_redirection(call, turn);
                return Ok(());
            }
            _ => return Err(Refused(refusal(response))),
        }
        self.send_again(call, turn);
        Ok(())
    }

    fn send_again(&mut self, call: CallHandle, turn: &mut Turn<'_>) {
        self.legs.clear();
        self.progressed = false;
        turn.push(Action::SendInvite {
            call,
            ids: Box::new(self.ids.clone()),
            redirected: self.is_redirected(),
        });
    }

    /// No server takes it: whether it goes on. 503 of the last server comes here, too (RFC 3263
    /// section 4.3), and may mean the offer that was guessed; a server that was not reached means
    /// nothing of it. Else another address is tried.
    pub(super) fn handle_failure(
        &mut self,
        call: CallHandle,
        failure: &Failure,
        turn: &mut Turn<'_>,
    ) -> bool {
        if failure.refused && self.session.give_up_guess() {
            self.ids.cseq = self.ids.cseq.saturating_add(1);
            self.send_again(call, turn);
            return true;
        }
        let next = self.next_alternative();
        if next {
            self.ids.cseq = self.ids.cseq.saturating_add(1);
            self.ask_for_redirection(call, turn);
        }
        next
    }

    /// The INVITE was sent again under this number.
    pub(super) fn handle_renumbered(&mut self, cseq: u32) {
        self.ids.cseq = self.ids.cseq.max(cseq);
        // A PRACK: which branch it went to does not matter, numbers may leave gaps.
        for leg in &mut self.legs {
            leg.dialog.local_cseq = leg.dialog.local_cseq.max(cseq);
        }
    }

    /// Whom the far end wants called instead is the owner's to allow: an account's credentials go
    /// with it.
    fn ask_for_redirection(&mut self, call: CallHandle, turn: &mut Turn<'_>) {
        self.legs.clear();
        self.progressed = false;
        self.redirection = Some(self.ids.clone());
        turn.event(Event::Redirect {
            call,
            to: self.target.to_string(),
            user: self.target.user().unwrap_or_default(),
        });
    }

    /// The owner allows the redirection: its INVITE.
    pub(super) fn take_redirection(&mut self) -> Option<InviteIds> {
        self.redirection.take()
    }

    /// Somebody else is called now: with the offer that one took the last time, if there is one.
    pub(super) fn begin_offers(
        &mut self,
        offers: &OfferMemory,
        account: Option<usize>,
        is_emergency: bool,
    ) {
        let first = offers.of(account, &self.target, is_emergency);
        self.session.begin_with(first);
    }

    fn next_alternative(&mut self) -> bool {
        while self.redirected.len() < MAX_REDIRECTS {
            let Some(next) = self.alternatives.pop().map(SipUri::for_request) else {
                return false;
            };
            // Section 8.1.3.4: none is tried twice.
            if !self.redirected.contains(&next) {
                self.sips |= next.is_secure();
                self.redirected.push(next.clone());
                self.target = next.into();
                return true;
            }
        }
        false
    }

    /// A 3xx: its contacts are tried, the best first, with the same Call-ID and a higher number
    /// (section 8.1.3.4).
    fn redirect(&mut self, response: &Response) -> Result<(), Refused> {
        let refused = |why: &str| Refused(format!("{}: {why}", response.reason()));
        let quality = |contact: &NameAddr| {
            let q = contact.params.get("q").and_then(|q| q.parse::<f32>().ok());
            q.filter(|q| (0.0..=1.0).contains(q)).unwrap_or(1.0)
        };
        let mut contacts = response.headers.contacts().unwrap_or_default();
        contacts.retain(|contact| contact.uri.as_sip().is_some());
        let any = !contacts.is_empty();
        // A call that began secure is not led out of it (section 26.2.2, RFC 5630 section 5.3).
        let sips = self.sips;
        contacts.retain(|contact| {
            let secure = contact.uri.as_sip().is_some_and(SipUri::is_secure);
            secure || !sips
        });
        if contacts.is_empty() && any {
            return Err(refused("it leads out of TLS, which is not followed"));
        }
        // The best one last; of equal ones the first that was named.
        contacts.reverse();
        contacts.sort_by(|a, b| quality(a).total_cmp(&quality(b)));
        let named = contacts.iter().filter_map(|contact| contact.uri.as_sip());
        self.alternatives.extend(named.cloned());
        let surplus = self.alternatives.len().saturating_sub(MAX_ALTERNATIVES);
        self.alternatives.drain(..surplus);
        if self.next_alternative() {
            Ok(())
        } else {
            Err(refused("no other address to try"))
        }
    }
}

impl Invite<'_> {
    /// Sends it with an offer.
    fn send(
        self,
        target: &Uri,
        session: &mut OfferAnswer,
        timer: &SessionTimer,
        turn: &mut Turn<'_>,
    ) -> Result<RequestId, SdpError> {
        session.set_secure(self.route.is_secure());
        let body = session.offer(&mut turn.env.tokens)?;
        let mut request = Request::new(Method::Invite, target.clone());
        let headers = &mut request.headers;
        for route in &self.route.routes {
            headers.push("Route", route);
        }
        headers.push("Max-Forwards", 70);
        headers.push("From", self.ids.from);
        headers.push("To", self.ids.to);
        headers.push("Call-ID", self.ids.call_id);
        headers.push(
            "CSeq",
            CSeq {
                number: self.ids.cseq,
                method: Method::Invite,
            },
        );
        headers.push("Contact", NameAddr::new(self.route.contact));
        add_capabilities(headers);
        timer.write(headers);
        self.order.write(headers);
        if self.options.anonymous {
            headers.push("Privacy", "id");
            // RFC 3325 section 9.2: the server learns on whose behalf it keeps the caller secret.
            if let Some(identity) = self.route.identity {
                headers.push("P-Preferred-Identity", identity);
            }
        }
        if self.options.intercom {
            headers.push("Call-Info", format!("<{target}>;answer-after=0"));
            let alert = "<http://www.notused.com>;info=alert-autoanswer;delay=0";
            headers.push("Alert-Info", alert);
        }
        headers.push("User-Agent", &turn.env.config.user_agent);
        headers.push("Content-Type", "application/sdp");
        request.body = body.into();
        // A route of the account or, for an address elsewhere without any, that address itself.
        Ok(turn.send(OutgoingRequest {
            purpose: Purpose::Invite(self.call),
            account: self.account,
            request,
            hop: self.route.hop,
            flow: None,
        }))
    }
}

/// Whether a refusal by this status may be one of the offer, although RFC 3261 has others for
/// that: some gateways know none of them. `progressed`: someone may have been rung.
fn may_mean_the_offer(code: u16, progressed: bool) -> bool {
    match code {
        // It speaks of credentials (401, 402, 407, 428 to 438), of who is called (404, 410, 416,
        // 480, 484 to 487), of the way there (408, 482, 483) or of a header (420 to 425, 494).
        401 | 402 | 404 | 407 | 408 | 410 | 416 | 420..=425 | 428..=438 | 480 | 482..=487 | 494 => {
            false
        }
        400..600 => true,
        // Whoever was rung does not want the call.
        603 => !progressed,
        _ => false,
    }
}

/// From, To, Call-ID and the next number after the request a response answers.
fn original(response: &Response) -> Option<InviteIds> {
    let headers = &response.headers;
    let mut to = headers.to().ok()?;
    to.params.remove("tag");
    Some(InviteIds {
        from: headers.from().ok()?,
        to,
        call_id: headers.call_id().ok()?.to_owned(),
        cseq: headers.cseq().ok()?.number.saturating_add(1),
    })
}

/// A refusal in words, with what the far end says about it.
fn refusal(response: &Response) -> String {
    let reason = if response.reason().is_empty() {
        "refused"
    } else {
        response.reason()
    };
    let why = crate::reason::sentence(&response.headers);
    match (response.code(), response.headers.get("Warning")) {
        (401 | 407, _) => format!("{reason}: check user, auth_user and password of the account"),
        (_, Some(warning)) => format!("{reason} ({warning})"),
        (_, None) => match why {
            Some(why) => format!("{reason}: {why}"),
            None => reason.to_owned(),
        },
    }
}
