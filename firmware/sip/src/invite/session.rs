//! What happens inside of a call: requests in its dialogs, and changes of its session in either
//! direction (RFC 3261 sections 12.2, 14, 15; UPDATE of RFC 3311; DTMF by INFO).
//!
//! ```text
//! want_direction ─▶ re-INVITE ─┬ 2xx ─▶ ACK, MediaChanged      491 ─▶ again after the wait of section 14.1
//!                              └ else ─▶ session as before, HoldFailed      408, 481 ─▶ the call is over
//! their re-INVITE, UPDATE ─▶ answer | 491 (ours is under way) | 500 (theirs is) | 488 (no way) ─▶ MediaChanged
//! ```

use std::time::{Duration, Instant};

use types::Direction;

use crate::agent::UserAgent;
use crate::api::{EndedBy, Event};
use crate::flow::Flow;
use crate::ids::{CallHandle, RequestId, TransactionId};
use crate::incoming::{ALLOW, session_body, session_body_of};
use crate::message::{Method, NameAddr, Request};
use crate::outgoing::{Errand, Outcome, Purpose};
use crate::privacy::Protection;

use super::{Change, Phase};

/// Longest Retry-After, in seconds, after which a change of the session is tried again by itself,
/// and how often.
const MAX_PUT_OFF: u32 = 10;
const MAX_PUT_OFFS: u8 = 3;

impl UserAgent {
    /// A request of the far end in one of a call's dialogs.
    pub(crate) fn handle_in_dialog(
        &mut self,
        call: CallHandle,
        reply: Flow,
        key: &str,
        request: &Request,
        now: Instant,
    ) {
        let cseq = request.headers.cseq().map(|c| c.number).unwrap_or_default();
        let Some(state) = self.calls.get_mut(&call) else {
            return;
        };
        let confirmed = state.dialog.as_mut().filter(|dialog| dialog.owns(request));
        let dialog = match confirmed {
            Some(dialog) => Some(dialog),
            None => state
                .legs
                .iter_mut()
                .map(|leg| &mut leg.dialog)
                .find(|dialog| dialog.owns(request)),
        };
        let in_order = dialog.is_some_and(|dialog| {
            let in_order = dialog.in_order(cseq);
            if in_order {
                dialog.came_from(reply, request);
            }
            in_order
        });
        let early_leg = state
            .dialog
            .as_ref()
            .is_none_or(|dialog| !dialog.owns(request));
        let room = self.admission.has_room_in_dialog(call, self.servers.len());
        let opened = room.then(|| self.open(reply, key, request.clone()));
        let Some(transaction) = opened.flatten() else {
            self.wire.counters.dropped += 1;
            return;
        };
        if let Some(entry) = self.servers.get_mut(transaction) {
            entry.call = Some(call);
        }
        if !in_order {
            self.wire.counters.refused += 1;
            self.respond(transaction, 500, now);
            return;
        }
        if let Err(mut response) = self.check_require(request) {
            self.wire.counters.refused += 1;
            response.headers.push("Allow", ALLOW);
            self.send_response(transaction, &response, now);
            return;
        }
        match &request.method {
            Method::Bye => self.bye(call, transaction, early_leg, request, now),
            Method::Invite => self.reinvited(call, transaction, early_leg, request, now),
            Method::Update => self.updated(call, transaction, early_leg, request, now),
            Method::Info => self.info(call, transaction, request, now),
            Method::Options => {
                if let Some(mut response) = self.response_for(transaction, 200) {
                    Self::say_abilities(&mut response);
                    self.send_response(transaction, &response, now);
                }
            }
            Method::Notify => self.notified(call, transaction, request, now),
            Method::Prack | Method::Subscribe => self.respond_refusal(transaction, 481, now),
            Method::Refer => self.referred(call, transaction, early_leg, request, now),
            Method::Register | Method::Message | Method::Publish => {
                self.respond_refusal(transaction, 405, now)
            }
            Method::Other(_) => self.respond_refusal(transaction, 501, now),
            // Both never come here: they open no transaction of their own.
            Method::Ack | Method::Cancel => {}
        }
    }

    pub(super) fn respond_refusal(&mut self, transaction: TransactionId, code: u16, now: Instant) {
        self.wire.counters.refused += 1;
        if let Some(mut response) = self.response_for(transaction, code) {
            response.headers.push("Allow", ALLOW);
            self.send_response(transaction, &response, now);
        }
    }

    /// BYE (section 15.1.2): the call is over; an INVITE of theirs still open is ended with it.
    fn bye(
        &mut self,
        call: CallHandle,
        transaction: TransactionId,
        early_leg: bool,
        request: &Request,
        now: Instant,
    ) {
        self.respond(transaction, 200, now);
        let Some(state) = self.calls.get_mut(&call) else {
            return;
        };
        if early_leg {
            state.legs.retain(|leg| !leg.dialog.owns(request));
            return;
        }
        let (server, reason) = (state.server, said(request));
        if let Some(state) = self.finish(call, EndedBy::Remote, None, &reason) {
            self.drop_change(state.change.as_ref(), now);
            self.left_handover(state.handover.as_ref(), now);
        }
        if let Some(server) = server {
            self.respond(server, 487, now);
        }
    }

    /// A re-INVITE of theirs (section 14.2).
    fn reinvited(
        &mut self,
        call: CallHandle,
        transaction: TransactionId,
        early_leg: bool,
        request: &Request,
        now: Instant,
    ) {
        let Some(state) = self.calls.get_mut(&call) else {
            return;
        };
        let busy = early_leg || state.ack_wait.is_some() || state.server.is_some();
        if state.change.is_some() {
            return self.respond_refusal(transaction, 491, now);
        }
        let ready = match state.phase {
            Phase::Up => !busy,
            Phase::Calling | Phase::Ringing | Phase::Answered | Phase::Leaving | Phase::Handing => {
                false
            }
        };
        if !ready {
            return self.try_later(transaction, now);
        }
        let (Some(session), Some(dialog)) = (state.session.as_mut(), state.dialog.as_mut()) else {
            return;
        };
        dialog.refresh(&request.headers);
        let contact = dialog.contact.clone();
        let before = session.clone();
        // Who asks for an offer may hand it to somebody else (section 14.2 wants it as for a new
        // call): he gets keys of his own.
        let said = match session_body(request) {
            None => session
                .fresh_offer(&mut self.tokens)
                .map(|body| (body, None)),
            Some(offer) => session
                .answer(&offer, &mut self.tokens)
                .map(|(body, agreed)| (body, Some(agreed))),
        };
        let (body, agreed) = match said {
            Ok(said) => said,
            Err(error) => {
                self.wire.counters.refused += 1;
                if let Some(mut response) = self.response_for(transaction, error.status()) {
                    self.say_why(&mut response, &error);
                    self.send_response(transaction, &response, now);
                }
                return;
            }
        };
        if let Some(media) = &agreed {
            state.media = Some(media.clone());
        }
        let Some(mut response) = self.response_for(transaction, 200) else {
            return;
        };
        response.headers.copy(&request.headers, "Record-Route");
        response.headers.push("Contact", NameAddr::new(contact));
        Self::say_abilities(&mut response);
        response.headers.push("Content-Type", "application/sdp");
        response.body = body.into();
        self.send_response(transaction, &response, now);
        self.await_ack(call, transaction, agreed.is_none(), Some(before), now);
        if let Some(media) = agreed {
            self.events.push_back(Event::MediaChanged { call, media });
        }
    }

    /// UPDATE (RFC 3311): an offer is answered at once; without one it only refreshes the target.
    fn updated(
        &mut self,
        call: CallHandle,
        transaction: TransactionId,
        early_leg: bool,
        request: &Request,
        now: Instant,
    ) {
        let offer = session_body(request);
        let Some(state) = self.calls.get_mut(&call) else {
            return;
        };
        if offer.is_some() && state.change.is_some() {
            return self.respond_refusal(transaction, 491, now);
        }
        // Section 5.2: while an offer of either side is unanswered no other can be taken.
        let open_offer = state.ack_wait.as_ref().is_some_and(|wait| wait.offered);
        let ready = match state.phase {
            Phase::Up | Phase::Answered => !early_leg && !open_offer,
            Phase::Calling | Phase::Ringing | Phase::Leaving | Phase::Handing => false,
        };
        if offer.is_some() && !ready {
            return self.try_later(transaction, now);
        }
        let early = state
            .legs
            .iter_mut()
            .map(|leg| &mut leg.dialog)
            .find(|dialog| dialog.owns(request));
        let dialog = if early_leg {
            early
        } else {
            state.dialog.as_mut()
        };
        let contact = dialog.map(|dialog| {
            dialog.refresh(&request.headers);
            dialog.contact.clone()
        });
        let answer = match (offer, state.session.as_mut()) {
            (Some(offer), Some(session)) => Some(session.answer(&offer, &mut self.tokens)),
            (Some(_), None) | (None, _) => None,
        };
        let Some(mut response) = self.response_for(transaction, 200) else {
            return;
        };
        match answer {
            None => {}
            Some(Ok((body, media))) => {
                response.headers.push("Content-Type", "application/sdp");
                response.body = body.into();
                if let Some(state) = self.calls.get_mut(&call) {
                    state.media = Some(media.clone());
                }
                self.events.push_back(Event::MediaChanged { call, media });
            }
            Some(Err(error)) => {
                self.wire.counters.refused += 1;
                if let Some(mut response) = self.response_for(transaction, error.status()) {
                    self.say_why(&mut response, &error);
                    self.send_response(transaction, &response, now);
                }
                return;
            }
        }
        if let Some(contact) = contact {
            response.headers.push("Contact", NameAddr::new(contact));
        }
        Self::say_abilities(&mut response);
        self.send_response(transaction, &response, now);
    }

    /// 500 with a Retry-After of 0 to 10 s (section 14.2).
    pub(super) fn try_later(&mut self, transaction: TransactionId, now: Instant) {
        self.wire.counters.refused += 1;
        let wait = self
            .tokens
            .between(Duration::ZERO, Duration::from_secs(10))
            .as_secs();
        if let Some(mut response) = self.response_for(transaction, 500) {
            response.headers.push("Retry-After", wait);
            self.send_response(transaction, &response, now);
        }
    }

    /// INFO: digits, or nothing to do.
    fn info(
        &mut self,
        call: CallHandle,
        transaction: TransactionId,
        request: &Request,
        now: Instant,
    ) {
        if request.body.is_empty() {
            return self.respond(transaction, 200, now);
        }
        let kind = request
            .headers
            .content_type()
            .ok()
            .flatten()
            .map(|kind| kind.name)
            .unwrap_or_default();
        let text = String::from_utf8_lossy(&request.body);
        let digit = match kind.as_str() {
            "application/dtmf-relay" => text.lines().find_map(|line| {
                let (name, value) = line.split_once('=')?;
                name.trim()
                    .eq_ignore_ascii_case("signal")
                    .then(|| digit_of(value))?
            }),
            "application/dtmf" => digit_of(&text),
            _ => {
                self.wire.counters.refused += 1;
                if let Some(mut response) = self.response_for(transaction, 415) {
                    response
                        .headers
                        .push("Accept", "application/dtmf-relay, application/dtmf");
                    self.send_response(transaction, &response, now);
                }
                return;
            }
        };
        match digit {
            Some(digit) => {
                self.respond(transaction, 200, now);
                self.events.push_back(Event::Digit { call, digit });
            }
            None => self.respond_refusal(transaction, 400, now),
        }
    }

    /// Sends a digit by INFO.
    pub(crate) fn send_digit(&mut self, call: CallHandle, digit: char, now: Instant) {
        let digit = digit.to_ascii_uppercase();
        if !matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D') {
            return;
        }
        let Some(state) = self
            .calls
            .get_mut(&call)
            .filter(|state| state.phase == Phase::Up)
        else {
            return;
        };
        let Some(dialog) = state.dialog.as_mut() else {
            return;
        };
        let mut request = dialog.request(&Method::Info);
        request
            .headers
            .push("Content-Type", "application/dtmf-relay");
        request.body = format!("Signal={digit}\r\nDuration=160\r\n")
            .into_bytes()
            .into();
        let (hop, flow, account) = (dialog.hop(), dialog.flow, state.account);
        self.dispatch(
            Errand {
                purpose: Purpose::InDialog(call),
                account,
                request,
                hop,
                flow,
            },
            now,
        );
    }

    /// How a request in a dialog ended: some answers end the dialog with it (section 12.2.1.2).
    pub(crate) fn in_dialog_outcome(
        &mut self,
        call: CallHandle,
        outcome: &Outcome<'_>,
        now: Instant,
    ) {
        let code = match outcome {
            Outcome::Response(response) => response.code(),
            Outcome::Failed(code, _) => *code,
        };
        if matches!(code, 408 | 481) {
            self.dialog_gone(call, code, now);
        }
    }

    /// The far end no longer knows the dialog, or no longer answers.
    fn dialog_gone(&mut self, call: CallHandle, code: u16, now: Instant) {
        let reason = if code == 481 {
            "the far end does not know this call any more"
        } else {
            "the far end does not answer any more"
        };
        if let Some(mut state) = self.finish(call, EndedBy::Failure, Some(code), reason) {
            // Section 12.2.1.2: a BYE all the same; it costs nothing and may end what hangs on
            // there.
            if let Some(dialog) = state.dialog.as_mut() {
                self.say_bye(dialog, state.account, None, now);
            }
        }
    }

    /// Asks for another direction, now or as soon as the session allows.
    pub(crate) fn want_direction(&mut self, call: CallHandle, direction: Direction, now: Instant) {
        let Some(state) = self.calls.get_mut(&call) else {
            return;
        };
        match state.phase {
            Phase::Up | Phase::Answered => {
                state.wanted = Some(direction);
                self.retry_change(call, now);
                self.schedule_call(call);
            }
            Phase::Calling | Phase::Ringing | Phase::Leaving | Phase::Handing => {}
        }
    }

    /// Asks for new keys, now or as soon as the session allows.
    pub(crate) fn want_keys(&mut self, call: CallHandle, now: Instant) {
        let Some(state) = self.calls.get_mut(&call) else {
            return;
        };
        let encrypted = |media: &crate::offer_answer::Negotiated| match media.protection {
            Protection::Sdes { .. } => true,
            // A handshake makes keys of its own.
            Protection::Dtls { .. } | Protection::Clear => false,
        };
        if let (Some(session), true) = (&state.session, state.media.as_ref().is_some_and(encrypted))
        {
            state.rekey = true;
            state.wanted = state.wanted.or(Some(session.wish()));
            self.retry_change(call, now);
            self.schedule_call(call);
        }
    }

    /// Sends the re-INVITE that is wanted, if nothing stands in its way.
    pub(crate) fn retry_change(&mut self, call: CallHandle, now: Instant) {
        let Some(state) = self.calls.get_mut(&call) else {
            return;
        };
        let free = state.phase == Phase::Up && state.change.is_none() && state.ack_wait.is_none();
        let waiting = state.retry_at.is_some_and(|at| at > now);
        if !free || waiting {
            return;
        }
        state.retry_at = None;
        let Some(direction) = state.wanted.take() else {
            return;
        };
        let (Some(session), Some(dialog)) = (state.session.as_mut(), state.dialog.as_mut()) else {
            return;
        };
        let before = session.clone();
        session.set_wish(direction);
        let offer = if std::mem::take(&mut state.rekey) {
            session.fresh_offer(&mut self.tokens)
        } else {
            session.offer(&mut self.tokens)
        };
        let Ok(offer) = offer else {
            // Only where the network changed under the call's feet: it stays as it is.
            *session = before;
            return;
        };
        let mut request = dialog.request(&Method::Invite);
        request.headers.push("Allow", ALLOW);
        request.headers.push("User-Agent", &self.config.user_agent);
        request.headers.push("Content-Type", "application/sdp");
        request.body = offer.into();
        let (hop, flow, account) = (dialog.hop(), dialog.flow, state.account);
        let outgoing = self.dispatch(
            Errand {
                purpose: Purpose::Reinvite(call),
                account,
                request,
                hop,
                flow,
            },
            now,
        );
        if let Some(state) = self.calls.get_mut(&call) {
            state.change = Some(Change { outgoing, before });
        }
    }

    /// What became of our re-INVITE (section 14.1).
    pub(crate) fn reinvite_outcome(
        &mut self,
        call: CallHandle,
        id: RequestId,
        outcome: &Outcome<'_>,
        now: Instant,
    ) {
        let ours = self
            .calls
            .get(&call)
            .is_some_and(|state| state.change.is_some());
        match outcome {
            Outcome::Response(response) if response.is_provisional() => {}
            Outcome::Response(response) if response.is_success() => {
                let Some(state) = self.calls.get_mut(&call) else {
                    // The call ended meanwhile: the ACK is owed all the same.
                    self.acknowledge_only(id, response, now);
                    return;
                };
                let (Some(dialog), account) = (state.dialog.as_mut(), state.account) else {
                    return;
                };
                dialog.refresh(&response.headers);
                let dialog = dialog.clone();
                let Some(session) = state.session.as_mut() else {
                    return;
                };
                let agreed = session_body_of(response).and_then(|body| session.accept(&body).ok());
                state.put_off = 0;
                match (&agreed, state.change.take()) {
                    (Some(media), Some(_)) => {
                        state.media = Some(media.clone());
                        self.events.push_back(Event::MediaChanged {
                            call,
                            media: media.clone(),
                        });
                    }
                    // No answer in the 2xx: nothing was agreed, the session goes on as it was.
                    (None, Some(change)) => {
                        state.session = Some(change.before);
                        self.events.push_back(Event::HoldFailed { call, code: 488 });
                    }
                    (_, None) => {}
                }
                self.acknowledge(id, &dialog, account, None, now);
                self.retry_change(call, now);
            }
            Outcome::Response(response) if ours => {
                self.change_refused(
                    call,
                    response.code(),
                    response.headers.number("Retry-After"),
                    now,
                );
            }
            Outcome::Failed(code, _) if ours => self.change_refused(call, *code, None, now),
            Outcome::Response(_) | Outcome::Failed(..) => {}
        }
        self.schedule_call(call);
    }

    fn change_refused(
        &mut self,
        call: CallHandle,
        code: u16,
        retry_after: Option<u32>,
        now: Instant,
    ) {
        if matches!(code, 408 | 481) {
            return self.dialog_gone(call, code, now);
        }
        // The owner of the Call-ID waits longer, so that the two do not meet again.
        let (low, high) = if self.calls.get(&call).is_some_and(|state| state.caller) {
            (2100, 4000)
        } else {
            (0, 2000)
        };
        let wait = self.tokens.between(
            Duration::from_millis(low / 10),
            Duration::from_millis(high / 10),
        ) * 10;
        let Some(state) = self.calls.get_mut(&call) else {
            return;
        };
        let Some(change) = state.change.take() else {
            return;
        };
        let asked = state
            .session
            .as_ref()
            .map(crate::offer_answer::Session::wish);
        state.session = Some(change.before);
        // 500 with a short Retry-After: theirs was not finished (section 14.2).
        let put_off = retry_after.filter(|after| {
            matches!(code, 500 | 503) && *after <= MAX_PUT_OFF && state.put_off < MAX_PUT_OFFS
        });
        if code == 491 || put_off.is_some() {
            state.put_off += u8::from(put_off.is_some());
            state.wanted = state.wanted.or(asked);
            state.retry_at =
                Some(now + put_off.map_or(wait, |after| Duration::from_secs(u64::from(after))));
        } else {
            self.events.push_back(Event::HoldFailed { call, code });
            self.retry_change(call, now);
        }
    }

    /// The ACK of a 2xx to a re-INVITE whose call is over.
    fn acknowledge_only(
        &mut self,
        id: RequestId,
        response: &crate::message::Response,
        now: Instant,
    ) {
        let Some(outgoing) = self.outgoing.get(&id) else {
            return;
        };
        let account = outgoing.account();
        let Some(mut dialog) =
            crate::dialog::Dialog::of_caller(&outgoing.request, response, outgoing.flow())
        else {
            return;
        };
        // Inside of a dialog the routes are those of the request, whatever the response records.
        dialog.routes = outgoing.request.headers.routes().unwrap_or_default();
        self.acknowledge(id, &dialog, account, None, now);
    }

    /// The phone has another address: standing calls are told by re-INVITE.
    pub(crate) fn calls_moved(&mut self, now: Instant) {
        let local = self.wire.local.ip();
        let calls: Vec<CallHandle> = self.calls.keys().copied().collect();
        for call in calls {
            let dialog = self
                .calls
                .get(&call)
                .and_then(|state| state.dialog.as_ref());
            let transport = dialog.and_then(|dialog| dialog.flow).map(Flow::transport);
            let sips = dialog.is_some_and(|dialog| dialog.contact.is_secure());
            let contact = self.contact(
                self.calls.get(&call).and_then(|state| state.account),
                transport,
                sips,
            );
            let Some(state) = self.calls.get_mut(&call) else {
                continue;
            };
            if let Some(session) = state.session.as_mut() {
                session.set_address(local);
            }
            if let Some(dialog) = state.dialog.as_mut() {
                dialog.contact = contact;
            }
            let wish = state
                .session
                .as_ref()
                .map(crate::offer_answer::Session::wish);
            if state.phase == Phase::Up
                && let Some(wish) = wish
            {
                state.wanted = state.wanted.or(Some(wish));
                self.retry_change(call, now);
            }
            self.schedule_call(call);
        }
    }
}

fn digit_of(text: &str) -> Option<char> {
    let text = text.trim();
    match text {
        "10" => return Some('*'),
        "11" => return Some('#'),
        _ => {}
    }
    let mut chars = text.chars();
    let digit = chars.next()?.to_ascii_uppercase();
    (chars.next().is_none() && matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D')).then_some(digit)
}

/// Why the far end hung up, if it says so (RFC 3326).
fn said(request: &Request) -> String {
    let text = request.headers.get("Reason").and_then(|reason| {
        reason.split(';').find_map(|part| {
            part.trim()
                .strip_prefix("text=")
                .map(|t| t.trim_matches('"').to_owned())
        })
    });
    text.filter(|t| !t.is_empty()).map_or_else(
        || "the far end hung up".to_owned(),
        |t| format!("the far end hung up: {t}"),
    )
}
