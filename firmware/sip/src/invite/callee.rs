//! Calls that come in (RFC 3261 section 13.3).
//!
//! ```text
//! INVITE ─▶ offer readable? room? ─▶ 100, Incoming ─▶ ring: 180 ─▶ answer: 200 (repeated until ACK) ─▶ Established
//!                                                       └ reject, CANCEL, Expires ─▶ refusal
//! ```

use std::time::{Duration, Instant};

use crate::admission::Origin;
use crate::agent::UserAgent;
use crate::api::{EndedBy, Event};
use crate::dialog::Dialog;
use crate::flow::Flow;
use crate::ids::{AccountId, CallHandle, TransactionId};
use crate::incoming::session_body;
use crate::message::{NameAddr, Request, Response, Uri};
use crate::offer_answer::{LocalMedia, Session};
use crate::sdp::SdpError;

use super::{CallState, MAX_CALLS, Phase, shown};

/// How often 180 is repeated (section 13.3.1.1).
const RING_AGAIN: Duration = Duration::from_secs(60);
/// How long a call rings whose INVITE names no Expires; a proxy's Timer C (section 16.6) is not
/// much longer than three minutes.
const RING_AT_MOST: Duration = Duration::from_secs(300);

impl UserAgent {
    /// A new INVITE that passed all checks.
    pub(crate) fn handle_invite(
        &mut self,
        origin: Origin,
        reply: Flow,
        key: &str,
        request: Request,
        now: Instant,
    ) {
        let account = origin.account();
        if origin.is_known() {
            self.make_room_for_known(now);
        }
        let full = !self.has_room(origin);
        let replaced = self.replaced(account, &request, reply.is_secure());
        let refusal = if full || self.leaving {
            Some(self.stateless(&request, 503))
        } else if self.calls.len() >= MAX_CALLS {
            Some(self.stateless(&request, 486))
        } else if let Err(code) = replaced {
            Some(self.stateless(&request, code))
        } else if self.may_not_ask(account, &request) {
            Some(
                self.stateless(&request, 403)
                    .with_reason("Automatic Answer Forbidden"),
            )
        } else {
            session_body(&request)
                .and_then(|body| self.offer_refusal(account, &request, &body, reply.is_secure()))
        };
        if let Some(mut response) = refusal {
            self.wire.counters.refused += 1;
            if full {
                response.headers.push("Retry-After", 10);
                self.reply(reply, &response, now);
            } else if let Some(transaction) = self.open(reply, key, request) {
                self.send_response(transaction, &response, now);
            }
            return;
        }
        let Some(transaction) = self.open(reply, key, request.clone()) else {
            return;
        };
        let tag = self
            .servers
            .get(transaction)
            .map(|entry| entry.to_tag.clone())
            .unwrap_or_default();
        let contact = self.contact(account, Some(reply.transport()), wants_sips(&request));
        let Some(dialog) = Dialog::of_callee(&request, &tag, contact, Some(reply)) else {
            self.wire.counters.refused += 1;
            if let Some(response) = self.response_for(transaction, 400) {
                self.send_response(
                    transaction,
                    &response.with_reason("Missing Contact header"),
                    now,
                );
            }
            return;
        };
        let call = CallHandle(self.next_call);
        self.next_call += 1;
        let mut trying = Response::reply(&request, 100, None);
        trying.headers.copy(&request.headers, "Timestamp");
        self.send_response(transaction, &trying, now);
        let mut state = CallState::new(account, Phase::Ringing, shown(&dialog.remote));
        state.server = Some(transaction);
        // A caller that vanished sends no CANCEL: without a limit of ours the bell would ring for
        // ever.
        let patience = request.headers.expires().map_or(RING_AT_MOST, |s| {
            Duration::from_secs(u64::from(s.clamp(1, 7200)))
        });
        state.ring_until = Some(now + patience);
        let from = state.peer.clone();
        state.dialog = Some(dialog);
        self.calls.insert(call, state);
        self.request_accepted(reply, origin.is_known());
        if !origin.is_known() {
            self.admission.handle_stranger_call(call);
        }
        if let Some(entry) = self.servers.get_mut(transaction) {
            entry.call = Some(call);
        }
        self.schedule_call(call);
        self.events.push_back(Event::Incoming {
            call,
            account: account.map(AccountId),
            from,
            to: request
                .headers
                .to()
                .map(|to| shown(&to))
                .unwrap_or_default(),
            alert_info: request.headers.get("Alert-Info").map(str::to_owned),
            answer_after_ms: answer_after(&request).filter(|_| self.answers_for(account)),
            call_id: request.headers.call_id().unwrap_or_default().to_owned(),
            replaces: replaced.ok().flatten(),
        });
    }

    /// Whether a caller's wish to be answered without a hand counts: the owner allows it at all,
    /// and the call came by an account, whose server answers for the caller. A direct caller is
    /// anybody who wants to listen to the room.
    fn answers_for(&self, account: Option<usize>) -> bool {
        self.config.auto_answer && account.is_some()
    }

    /// A caller that takes no other answer than an automatic one, and may not have it (RFC 5373).
    fn may_not_ask(&self, account: Option<usize>, request: &Request) -> bool {
        let insists = |name: &str| {
            request.headers.get(name).is_some_and(|value| {
                let mut parts = value.split(';').map(str::trim);
                parts
                    .next()
                    .is_some_and(|mode| mode.eq_ignore_ascii_case("auto"))
                    && parts.any(|p| p.eq_ignore_ascii_case("require"))
            })
        };
        !self.answers_for(account) && (insists("Answer-Mode") || insists("Priv-Answer-Mode"))
    }

    /// An offer this phone, as it is configured, could not take is refused before anything rings.
    fn offer_refusal(
        &self,
        account: Option<usize>,
        request: &Request,
        body: &[u8],
        secure: bool,
    ) -> Option<Response> {
        let account = account.and_then(|account| self.config.accounts.get(account));
        let all = LocalMedia {
            rtp: self.wire.local,
            rtcp: self.wire.local,
            codecs: self.config.codecs.clone(),
            ptime_ms: 20,
            dtmf: true,
            privacy: account
                .map_or(&self.config.privacy, |account| &account.privacy)
                .clone(),
        };
        let mut session = Session::new(all, self.wire.local.ip(), 0);
        session.set_secure(secure);
        let error = session.weigh(body).err()?;
        let mut response = self.stateless(request, error.status());
        self.say_why(&mut response, &error);
        Some(response)
    }

    /// A Warning header (section 20.43).
    pub(crate) fn say_why(&self, response: &mut Response, error: &SdpError) {
        let agent = self.wire.local;
        let text = error.to_string().replace(['"', '\\'], "'");
        response.headers.push(
            "Warning",
            format_args!("{} {agent} \"{text}\"", error.warning()),
        );
    }

    /// A response that makes or confirms the dialog.
    fn dialog_response(
        &self,
        transaction: TransactionId,
        code: u16,
        contact: &crate::message::SipUri,
    ) -> Option<Response> {
        let mut response = self.response_for(transaction, code)?;
        let request = &self.servers.get(transaction)?.request;
        response.headers.copy(&request.headers, "Record-Route");
        response
            .headers
            .push("Contact", NameAddr::new(contact.clone()));
        Self::say_abilities(&mut response);
        Some(response)
    }

    /// Sends 180.
    pub(crate) fn ring_back(&mut self, call: CallHandle, now: Instant) {
        let Some(state) = self
            .calls
            .get_mut(&call)
            .filter(|state| state.phase == Phase::Ringing)
        else {
            return;
        };
        state.ring_again = Some(now + RING_AGAIN);
        let (Some(server), Some(dialog)) = (state.server, state.dialog.as_ref()) else {
            return;
        };
        let contact = dialog.contact.clone();
        if let Some(response) = self.dialog_response(server, 180, &contact) {
            self.send_response(server, &response, now);
        }
        self.schedule_call(call);
    }

    /// Sends 200 with an answer, or with an offer where the INVITE had none.
    pub(crate) fn accept_call(&mut self, call: CallHandle, media: LocalMedia, now: Instant) {
        let Some(state) = self
            .calls
            .get(&call)
            .filter(|state| state.phase == Phase::Ringing)
        else {
            return;
        };
        let (Some(server), Some(dialog)) = (state.server, state.dialog.as_ref()) else {
            return;
        };
        let contact = dialog.contact.clone();
        let Some(entry) = self.servers.get(server) else {
            return;
        };
        let mut session = Session::new(media, self.wire.local.ip(), self.tokens.session_id());
        session.set_secure(dialog.is_secure());
        let said = match session_body(&entry.request) {
            None => session.offer(&mut self.tokens).map(|body| (body, None)),
            Some(offer) => session
                .answer(&offer, &mut self.tokens)
                .map(|(body, agreed)| (body, Some(agreed))),
        };
        let (body, agreed) = match said {
            Ok(said) => said,
            Err(error) => {
                if let Some(mut response) = self.response_for(server, error.status()) {
                    self.say_why(&mut response, &error);
                    self.send_response(server, &response, now);
                }
                self.finish(
                    call,
                    EndedBy::Failure,
                    Some(error.status()),
                    &error.to_string(),
                );
                return;
            }
        };
        let Some(mut response) = self.dialog_response(server, 200, &contact) else {
            return;
        };
        response.headers.push("Content-Type", "application/sdp");
        response.body = body.into();
        self.send_response(server, &response, now);
        let Some(state) = self.calls.get_mut(&call) else {
            return;
        };
        state.phase = Phase::Answered;
        state.ring_again = None;
        state.ring_until = None;
        state.server = None;
        state.session = Some(session);
        state.media.clone_from(&agreed);
        let peer = state.peer.clone();
        self.await_ack(call, server, agreed.is_none(), None, now);
        // The caller may talk from here on; the media must not wait for the ACK.
        if let Some(media) = agreed {
            self.events
                .push_back(Event::Established { call, media, peer });
        }
    }

    /// Refuses a call.
    pub(crate) fn refuse_call(&mut self, call: CallHandle, code: u16, now: Instant) {
        let Some(state) = self
            .calls
            .get(&call)
            .filter(|state| state.phase == Phase::Ringing)
        else {
            return;
        };
        let code = if (400..700).contains(&code) {
            code
        } else {
            480
        };
        let server = state.server;
        self.finish(
            call,
            EndedBy::Local,
            Some(code),
            crate::message::reason_phrase(code),
        );
        if let Some(server) = server {
            self.respond(server, code, now);
        }
    }

    /// The caller gave up.
    pub(crate) fn cancelled(
        &mut self,
        call: CallHandle,
        server: TransactionId,
        reason: Option<&str>,
        now: Instant,
    ) {
        if self
            .calls
            .get(&call)
            .is_some_and(|state| state.phase == Phase::Ringing)
        {
            // RFC 3326: who shows the caller's phone list wants to know that another phone took the
            // call.
            let elsewhere = reason.is_some_and(|r| r.contains("cause=200"));
            let text = if elsewhere {
                "answered elsewhere"
            } else {
                "the caller hung up"
            };
            self.finish(call, EndedBy::Remote, Some(487), text);
        }
        self.respond(server, 487, now);
    }

    /// The ACK of a 2xx of ours.
    pub(crate) fn acked(&mut self, call: CallHandle, ack: &Request, now: Instant) {
        let Some(state) = self.calls.get_mut(&call) else {
            return;
        };
        let number = ack.headers.cseq().map(|c| c.number).unwrap_or_default();
        let Some(wait) = state.ack_wait.take_if(|wait| wait.cseq == number) else {
            return;
        };
        match state.phase {
            Phase::Leaving => {
                if let Some(mut state) = self.finish(call, EndedBy::Local, None, "hung up")
                    && let Some(dialog) = state.dialog.as_mut()
                {
                    self.say_bye(dialog, state.account, None, now);
                }
            }
            Phase::Answered => {
                state.phase = Phase::Up;
                if wait.offered {
                    self.late_answer(call, ack, None, now);
                }
            }
            Phase::Up if wait.offered => self.late_answer(call, ack, wait.before, now),
            Phase::Up | Phase::Calling | Phase::Ringing | Phase::Handing => {}
        }
        self.retry_change(call, now);
        self.schedule_call(call);
    }

    /// The answer to an offer that stood in our 2xx.
    fn late_answer(
        &mut self,
        call: CallHandle,
        ack: &Request,
        before: Option<Session>,
        now: Instant,
    ) {
        let first = before.is_none();
        let Some(state) = self.calls.get_mut(&call) else {
            return;
        };
        let Some(session) = state.session.as_mut() else {
            return;
        };
        let agreed = session_body(ack)
            .ok_or(SdpError::NoMedia)
            .and_then(|body| session.accept(&body));
        match agreed {
            Ok(media) => {
                state.media = Some(media.clone());
                let peer = state.peer.clone();
                self.events.push_back(if first {
                    Event::Established { call, media, peer }
                } else {
                    Event::MediaChanged { call, media }
                });
            }
            // An established session goes on as it was; without any the call is worth nothing.
            Err(_) if !first => state.session = before,
            Err(error) => {
                let reason = format!("the far end's answer cannot be used: {error}");
                if let Some(mut state) = self.finish(call, EndedBy::Failure, Some(488), &reason)
                    && let Some(dialog) = state.dialog.as_mut()
                {
                    self.say_bye(
                        dialog,
                        state.account,
                        Some("SIP;cause=488;text=\"Not Acceptable Here\""),
                        now,
                    );
                }
            }
        }
    }
}

/// Section 12.1.1: our Contact must be `sips:` where the request's address is, or the nearest
/// proxy's.
fn wants_sips(request: &Request) -> bool {
    let is_sips = |uri: &Uri| uri.as_sip().is_some_and(crate::message::SipUri::is_secure);
    let nearest = request
        .headers
        .record_routes()
        .unwrap_or_default()
        .into_iter()
        .next();
    is_sips(&request.uri) || nearest.is_some_and(|route| is_sips(&route.uri))
}

/// Whether, and after how many ms, the caller wishes to be answered without a hand: Call-Info and
/// Alert-Info as phones write them, Answer-Mode of RFC 5373.
fn answer_after(request: &Request) -> Option<u32> {
    let headers = &request.headers;
    for value in headers
        .values("Call-Info")
        .chain(headers.values("Alert-Info"))
    {
        let lower = value.to_ascii_lowercase().replace(' ', "");
        if let Some((_, rest)) = lower.split_once("answer-after=") {
            let digits: String = rest
                .chars()
                .take_while(char::is_ascii_digit)
                .take(4)
                .collect();
            return Some(digits.parse::<u32>().unwrap_or(0).saturating_mul(1000));
        }
        if lower.contains("info=alert-autoanswer")
            || lower.contains("auto-answer")
            || lower.contains("autoanswer")
        {
            return Some(0);
        }
    }
    let auto = |name: &str| {
        headers.get(name).is_some_and(|v| {
            v.split(';')
                .next()
                .is_some_and(|m| m.trim().eq_ignore_ascii_case("auto"))
        })
    };
    (auto("Answer-Mode") || auto("Priv-Answer-Mode")).then_some(0)
}
