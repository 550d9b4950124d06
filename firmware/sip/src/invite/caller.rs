//! Calls placed here (RFC 3261 section 13.2).
//!
//! ```text
//! place ─▶ INVITE + offer ─┬ 1xx ─▶ leg by To tag ─▶ Progress (early media)
//!                          ├ 2xx ─▶ ACK ─▶ Established     another 2xx ─▶ ACK, BYE
//!                          ├ 3xx ─▶ INVITE to the contact, five times at most
//!                          └ else ─▶ Ended
//! ```

use std::time::Instant;

use crate::agent::UserAgent;
use crate::api::{EndedBy, Event, InviteError};
use crate::dialog::Dialog;
use crate::ids::{CallHandle, RequestId};
use crate::incoming::{ALLOW, SUPPORTED, session_body_of};
use crate::locate::Hop;
use crate::message::{CSeq, Method, NameAddr, Request, Response, SipUri, Uri};
use crate::offer_answer::{LocalMedia, Session};
use crate::outgoing::{Errand, Outcome, Purpose};
use crate::registration::server_uri;

use super::refer::Order;
use super::{CallState, Leg, MAX_CALLS, MAX_LEGS, Phase, shown};

/// Most redirections followed in one call.
const MAX_REDIRECTS: u8 = 5;

impl UserAgent {
    /// Places a call.
    pub(crate) fn place(
        &mut self,
        account: Option<usize>,
        target: &str,
        media: LocalMedia,
        now: Instant,
    ) -> Result<CallHandle, InviteError> {
        self.place_as(account, target, media, Order::default(), now)
    }

    /// Places a call, as a REFER ordered it.
    pub(super) fn place_as(
        &mut self,
        account: Option<usize>,
        target: &str,
        media: LocalMedia,
        order: Order,
        now: Instant,
    ) -> Result<CallHandle, InviteError> {
        if self.calls.len() >= MAX_CALLS || self.leaving {
            return Err(InviteError::TooManyCalls);
        }
        let uri = self.target(account, target)?;
        let (from, (routes, hop)) = match account {
            Some(line) => (
                self.address_of_record(line)
                    .ok_or(InviteError::NoSuchAccount)?,
                self.account_way(line, true),
            ),
            None => (
                NameAddr::new(SipUri::at(self.wire.local).with_user(&self.config.user)),
                (Vec::new(), Hop::of(&uri)),
            ),
        };
        // Section 26.2.2: who is called by `sips:` is called by TLS on every hop, the first one
        // included.
        let sips = uri.as_sip().is_some_and(SipUri::is_secure);
        let hop = if sips || order.secure {
            hop.and_then(Hop::secured)
        } else {
            hop
        };
        let name = match account.and_then(|a| self.config.accounts.get(a)) {
            Some(account) => account.display_name.clone().unwrap_or_default(),
            None => self.config.display_name.clone(),
        };
        let call = CallHandle(self.next_call);
        self.next_call += 1;
        let mut session = Session::new(media, self.wire.local.ip(), self.tokens.session_id());
        session.set_secure(hop.as_ref().is_ok_and(Hop::is_secure));
        let mut request = Request::new(Method::Invite, uri.clone());
        for route in &routes {
            request.headers.push("Route", route);
        }
        request.headers.push("Max-Forwards", 70);
        request.headers.push(
            "From",
            from.with_display(&name)
                .with_param("tag", Some(&self.tokens.tag())),
        );
        request.headers.push("To", NameAddr::new(uri.clone()));
        request.headers.push("Call-ID", self.tokens.word(24));
        request.headers.push(
            "CSeq",
            CSeq {
                number: 1,
                method: Method::Invite,
            },
        );
        let transport = hop.as_ref().ok().and_then(|hop| hop.transport);
        request.headers.push(
            "Contact",
            NameAddr::new(self.contact(account, transport, sips)),
        );
        request.headers.push("Allow", ALLOW);
        if !SUPPORTED.is_empty() {
            request.headers.push("Supported", SUPPORTED.join(", "));
        }
        order.write(&mut request);
        request.headers.push("User-Agent", &self.config.user_agent);
        request.headers.push("Content-Type", "application/sdp");
        request.body = session
            .offer(&mut self.tokens)
            .map_err(|error| InviteError::NoEncryption(error.to_string()))?
            .into();
        let mut state = CallState::new(account, Phase::Calling, shown(&NameAddr::new(uri.clone())));
        state.target = Some(uri);
        state.sips = sips;
        state.session = Some(session);
        state.order = order;
        state.secure = hop.as_ref().is_ok_and(Hop::is_secure);
        self.calls.insert(call, state);
        // A route of the account or, for an address elsewhere without any, that address itself.
        let outgoing = self.dispatch(
            Errand {
                purpose: Purpose::Invite(call),
                account,
                request,
                hop,
                flow: None,
            },
            now,
        );
        if let Some(state) = self.calls.get_mut(&call) {
            state.outgoing = Some(outgoing);
        }
        Ok(call)
    }

    /// What was dialled, as a Request-URI.
    fn target(&self, account: Option<usize>, target: &str) -> Result<Uri, InviteError> {
        let target = target.trim();
        let bad = || InviteError::BadTarget(target.to_owned());
        let config = match account {
            Some(line) => Some(
                self.config
                    .accounts
                    .get(line)
                    .ok_or(InviteError::NoSuchAccount)?,
            ),
            None => None,
        };
        if config.is_none() && !self.config.direct_calls {
            return Err(InviteError::DirectCallsOff);
        }
        let parsed = match Uri::parse(target) {
            Ok(uri) => uri,
            Err(_) if target.contains('@') => {
                Uri::parse(&format!("sip:{target}")).map_err(|_| bad())?
            }
            Err(_) => {
                // A number or a user of the account's domain.
                let fits = |c: char| c.is_alphanumeric() || "+*#-._".contains(c);
                let domain = config.and_then(|a| server_uri(&a.domain)).ok_or_else(bad)?;
                if target.is_empty() || !target.chars().all(fits) {
                    return Err(bad());
                }
                domain.with_user(target).into()
            }
        };
        match (parsed, config) {
            (Uri::Sip(uri), _) => Ok(uri.for_request().into()),
            (Uri::Tel(tel), Some(account)) => {
                let domain = server_uri(&account.domain).ok_or_else(bad)?;
                Ok(domain
                    .with_user(&tel.digits())
                    .with_param("user", Some("phone"))
                    .into())
            }
            (Uri::Tel(_), None) | (Uri::Other(_), _) => Err(bad()),
        }
    }

    /// What became of our INVITE.
    pub(crate) fn invite_outcome(
        &mut self,
        call: CallHandle,
        id: RequestId,
        outcome: &Outcome<'_>,
        now: Instant,
    ) {
        match outcome {
            Outcome::Response(response) if response.is_provisional() => {
                self.progress(call, id, response)
            }
            Outcome::Response(response) if response.is_success() => {
                self.answered_by(call, id, response, now)
            }
            Outcome::Response(response) if (300..400).contains(&response.code()) => {
                self.redirect(call, response, now)
            }
            Outcome::Response(response)
                if matches!(response.code(), 488 | 606) && self.has_other_offer(call, response) =>
            {
                self.offer_again(call, response, now);
            }
            Outcome::Response(response) => {
                let reason = refusal(response);
                self.finish(call, EndedBy::Remote, Some(response.code()), &reason);
            }
            Outcome::Failed(code, reason) => {
                self.finish(call, EndedBy::Failure, Some(*code), reason);
            }
        }
    }

    /// A 1xx: every To tag is a leg of its own.
    fn progress(&mut self, call: CallHandle, id: RequestId, response: &Response) {
        if response.code() == 100 {
            return;
        }
        let leg = self.leg(call, id, response);
        let Some(state) = self.calls.get_mut(&call) else {
            return;
        };
        if state.phase != Phase::Calling {
            return;
        }
        let mut media = None;
        if let Some(leg) = leg.and_then(|index| state.legs.get_mut(index))
            && let Some(body) = session_body_of(response)
        {
            // An answer that makes no sense in a 183 is no reason to give the call up; the one in
            // the 200 is.
            media = leg.session.accept(&body).ok();
            leg.media.clone_from(&media);
        }
        self.events.push_back(Event::Progress {
            call,
            code: response.code(),
            media,
        });
    }

    /// The leg a response belongs to; a new To tag makes a new one.
    fn leg(&mut self, call: CallHandle, id: RequestId, response: &Response) -> Option<usize> {
        let tag = response.headers.to().ok()?.tag()?.to_owned();
        let outgoing = self.outgoing.get(&id)?;
        let state = self.calls.get_mut(&call)?;
        if let Some(index) = state
            .legs
            .iter()
            .position(|leg| leg.dialog.remote_tag() == tag)
        {
            return Some(index);
        }
        if state.legs.len() >= MAX_LEGS {
            return None;
        }
        let dialog = Dialog::of_caller(&outgoing.request, response, outgoing.flow())?;
        state.legs.push(Leg {
            dialog,
            session: state.session.clone()?,
            media: None,
        });
        Some(state.legs.len() - 1)
    }

    /// A 2xx: the first one makes the call, every other one is acknowledged and ended.
    fn answered_by(&mut self, call: CallHandle, id: RequestId, response: &Response, now: Instant) {
        let Some(outgoing) = self.outgoing.get(&id) else {
            return;
        };
        let Some(mut dialog) = Dialog::of_caller(&outgoing.request, response, outgoing.flow())
        else {
            return;
        };
        let account = outgoing.account();
        self.acknowledge(id, &dialog, account, None, now);
        let waiting = self
            .calls
            .get_mut(&call)
            .filter(|state| state.phase == Phase::Calling);
        let Some(state) = waiting else {
            self.say_bye(&mut dialog, account, None, now);
            return;
        };
        // Requests sent in the early dialog count on.
        let leg = state
            .legs
            .iter()
            .position(|leg| leg.dialog.remote_tag() == dialog.remote_tag());
        let leg = leg.map(|index| state.legs.swap_remove(index));
        if let Some(leg) = &leg {
            dialog.local_cseq = dialog.local_cseq.max(leg.dialog.local_cseq);
            dialog.remote_cseq = leg.dialog.remote_cseq;
        }
        // Every other branch was told our keys, too.
        let shared = !state.legs.is_empty();
        let early = leg.as_ref().and_then(|leg| leg.media.clone());
        let Some(mut session) = leg.map(|leg| leg.session).or_else(|| state.session.clone()) else {
            return;
        };
        let agreed = match (session_body_of(response), early) {
            (Some(body), early) => session.accept(&body).or_else(|error| early.ok_or(error)),
            (None, Some(early)) => Ok(early),
            (None, None) => Err(crate::sdp::SdpError::NoMedia),
        };
        match agreed {
            Ok(media) => {
                state.phase = Phase::Up;
                state.legs.clear();
                state.outgoing = None;
                if let Some(name) = dialog
                    .remote
                    .display
                    .clone()
                    .filter(|name| !name.trim().is_empty())
                {
                    state.peer = name;
                }
                state.dialog = Some(dialog);
                state.session = Some(session);
                state.media = Some(media.clone());
                let peer = state.peer.clone();
                self.events
                    .push_back(Event::Established { call, media, peer });
                self.owe_answer(call);
                if shared {
                    self.want_keys(call, now);
                }
            }
            Err(error) => {
                let reason = format!("the far end's answer cannot be used: {error}");
                self.finish(call, EndedBy::Failure, Some(488), &reason);
                self.say_bye(
                    &mut dialog,
                    account,
                    Some("SIP;cause=488;text=\"Not Acceptable Here\""),
                    now,
                );
            }
        }
    }

    /// A 3xx: the best contact is tried, with the same Call-ID and a higher number (section
    /// 8.1.3.4).
    fn redirect(&mut self, call: CallHandle, response: &Response, now: Instant) {
        let contacts = response.headers.contacts().unwrap_or_default();
        let quality = |contact: &NameAddr| {
            contact
                .params
                .get("q")
                .and_then(|q| q.parse::<f32>().ok())
                .unwrap_or(1.0)
        };
        let Some(state) = self.calls.get_mut(&call) else {
            return;
        };
        let sips = state.sips;
        // A call that began secure is not led out of it (section 26.2.2, RFC 5630 section 5.3).
        let keeps = |contact: &NameAddr| {
            contact
                .uri
                .as_sip()
                .is_some_and(|uri| !sips || uri.is_secure())
        };
        let (mut usable, refused): (Vec<NameAddr>, Vec<NameAddr>) =
            contacts.into_iter().partition(keeps);
        if usable.is_empty() && refused.iter().any(|contact| contact.uri.as_sip().is_some()) {
            let reason = format!(
                "{}: it leads out of TLS, which is not followed",
                response.reason()
            );
            self.finish(call, EndedBy::Remote, Some(response.code()), &reason);
            return;
        }
        usable.sort_by(|a, b| quality(b).total_cmp(&quality(a)));
        let next = usable
            .into_iter()
            .next()
            .and_then(|contact| contact.uri.as_sip().cloned());
        let (Some(uri), true) = (
            next.filter(|_| state.redirected < MAX_REDIRECTS),
            state.session.is_some(),
        ) else {
            self.finish(
                call,
                EndedBy::Remote,
                Some(response.code()),
                &format!("{}: nowhere else to go", response.reason()),
            );
            return;
        };
        state.redirected += 1;
        state.legs.clear();
        state.sips |= uri.is_secure();
        state.target = Some(uri.for_request().into());
        self.call_again(call, response, true, now);
    }

    /// Whether the offer just refused was not the last one planned (what is preferred is asked for
    /// in more than one way). The next one is due then.
    fn has_other_offer(&mut self, call: CallHandle, response: &Response) -> bool {
        let Some(state) = self.calls.get_mut(&call) else {
            return false;
        };
        let more = state.phase == Phase::Calling
            && state.session.as_mut().is_some_and(Session::next_attempt);
        if more {
            let (peer, reason) = (state.peer.clone(), refusal(response));
            self.events.push_back(Event::Note(format!(
                "{peer} refused the offer ({} {reason}): asking again with another kind of encryption, or none where none is required",
                response.code()
            )));
        }
        more
    }

    /// The same call with the next offer.
    fn offer_again(&mut self, call: CallHandle, response: &Response, now: Instant) {
        if let Some(state) = self.calls.get_mut(&call) {
            state.legs.clear();
            let redirected = state.redirected > 0;
            self.call_again(call, response, redirected, now);
        }
    }

    /// The INVITE of a call again, after a final answer to the one before: same Call-ID, higher
    /// number.
    fn call_again(
        &mut self,
        call: CallHandle,
        response: &Response,
        redirected: bool,
        now: Instant,
    ) {
        let Some((from, call_id, number)) = original(response) else {
            return;
        };
        let Some(state) = self.calls.get(&call) else {
            return;
        };
        let (secure, sips, account) = (state.secure, state.sips, state.account);
        let Some(uri) = state.target.clone() else {
            return;
        };
        let (routes, hop) = match account {
            Some(line) => {
                let (routes, hop) = self.account_way(line, true);
                // Without a proxy of its own the account's call goes where the contact says.
                if redirected
                    && routes.is_empty()
                    && self
                        .config
                        .accounts
                        .get(line)
                        .is_none_or(|a| a.registrar.is_none())
                {
                    (routes, Hop::of(&uri))
                } else {
                    (routes, hop)
                }
            }
            None => (Vec::new(), Hop::of(&uri)),
        };
        let hop = if secure || sips {
            hop.and_then(Hop::secured)
        } else {
            hop
        };
        let Some(state) = self.calls.get_mut(&call) else {
            return;
        };
        state.secure = hop.as_ref().is_ok_and(Hop::is_secure);
        let Some(session) = state.session.as_mut() else {
            return;
        };
        session.set_secure(state.secure);
        let body = match session.offer(&mut self.tokens) {
            Ok(body) => body,
            Err(error) => {
                self.finish(call, EndedBy::Failure, Some(488), &error.to_string());
                return;
            }
        };
        let mut to = match response.headers.to() {
            Ok(to) => to,
            Err(_) => NameAddr::new(uri.clone()),
        };
        to.params.remove("tag");
        let mut request = Request::new(Method::Invite, uri);
        for route in &routes {
            request.headers.push("Route", route);
        }
        request.headers.push("Max-Forwards", 70);
        request.headers.push("From", from);
        request.headers.push("To", to);
        request.headers.push("Call-ID", call_id);
        request.headers.push(
            "CSeq",
            CSeq {
                number: number.saturating_add(1),
                method: Method::Invite,
            },
        );
        let transport = hop.as_ref().ok().and_then(|hop| hop.transport);
        request.headers.push(
            "Contact",
            NameAddr::new(self.contact(account, transport, sips)),
        );
        request.headers.push("Allow", ALLOW);
        if let Some(state) = self.calls.get(&call) {
            state.order.write(&mut request);
        }
        request.headers.push("User-Agent", &self.config.user_agent);
        request.headers.push("Content-Type", "application/sdp");
        request.body = body.into();
        let outgoing = self.dispatch(
            Errand {
                purpose: Purpose::Invite(call),
                account,
                request,
                hop,
                flow: None,
            },
            now,
        );
        if let Some(state) = self.calls.get_mut(&call) {
            state.outgoing = Some(outgoing);
        }
    }
}

/// From, Call-ID and number of the request a response answers.
fn original(response: &Response) -> Option<(NameAddr, String, u32)> {
    let headers = &response.headers;
    Some((
        headers.from().ok()?,
        headers.call_id().ok()?.to_owned(),
        headers.cseq().ok()?.number,
    ))
}

/// A refusal in words, with what the far end says about it.
fn refusal(response: &Response) -> String {
    let reason = if response.reason().is_empty() {
        "refused"
    } else {
        response.reason()
    };
    match (response.code(), response.headers.get("Warning")) {
        (401 | 407, _) => format!("{reason}: check user, auth_user and password of the account"),
        (_, Some(warning)) => format!("{reason} ({warning})"),
        (_, None) => reason.to_owned(),
    }
}
