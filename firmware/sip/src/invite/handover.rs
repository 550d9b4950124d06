//! Handing a call over: its far end is asked to call somebody else instead (REFER, RFC 3515 and
//! 5589), and who asked is out of it.
//!
//! ```text
//! transfer(held, consulted) ─┬ consulted stands ─▶ REFER, Refer-To with Replaces ─┬ 2xx ─▶ NOTIFY: 100 … last word ─▶ BYE, both
//!                            └ it only rings ─▶ CANCEL, REFER without             └ refused, silence, 32 s ──────────▶ BYE, both
//! ```
//!
//! For their owner both calls are over at once: the handset is down, and nothing that may still go
//! wrong keeps anything open longer than [`HAND_OVER`].

use std::time::{Duration, Instant};

use crate::agent::UserAgent;
use crate::api::{EndedBy, Event, TransferError};
use crate::dialog::Dialog;
use crate::ids::{CallHandle, TransactionId};
use crate::message::{Method, NameAddr, Request, Uri};
use crate::outgoing::{Errand, Outcome, Purpose};
use crate::timer::T1_64;

use super::Phase;

/// How long the far end may take to do what it was asked for.
const HAND_OVER: Duration = T1_64;
/// How long the consulted call waits to be replaced once the far end of the other hung up.
const LAST_CHANCE: Duration = Duration::from_secs(5);

/// What a call that is being handed over waits for.
#[derive(Debug)]
pub(super) struct Handover {
    /// Held call: the consulted one, which ends with it. None in the consulted call itself, or
    /// where that was given up.
    consulted: Option<CallHandle>,
    /// The REFER went out in this call.
    asks: bool,
    /// Whom to, for the log.
    to: String,
    pub(super) until: Instant,
}

impl UserAgent {
    /// Hands the far end of `held` over to the far end of `consulted`.
    pub(crate) fn hand_over(
        &mut self,
        held: CallHandle,
        consulted: CallHandle,
        now: Instant,
    ) -> Result<(), TransferError> {
        let (Some(from), Some(to)) = (self.calls.get(&held), self.calls.get(&consulted)) else {
            return Err(TransferError::NoCall);
        };
        if from.phase != Phase::Up || from.asked.is_some() || held == consulted {
            return Err(TransferError::NoCall);
        }
        let from_secure = from.dialog.as_ref().is_some_and(Dialog::is_secure);
        let stands = match to.phase {
            Phase::Up => true,
            Phase::Calling => false,
            Phase::Ringing | Phase::Answered | Phase::Leaving | Phase::Handing => {
                return Err(TransferError::NoCall);
            }
        };
        let to_secure = to.secure || to.dialog.as_ref().is_some_and(Dialog::is_secure);
        // What names the consulted call lets its holder take it over: it is not told in the clear.
        // Nor is anybody sent out of TLS.
        if to_secure && !from_secure {
            return Err(TransferError::Clear);
        }
        let name = to.peer.clone();
        let target = match &to.dialog {
            Some(dialog) if stands => match &dialog.target {
                Uri::Sip(uri) => {
                    // Seen from its far end: our tag is the remote one.
                    let replaces = format!(
                        "{};to-tag={};from-tag={}",
                        dialog.call_id,
                        dialog.remote_tag(),
                        dialog.local_tag()
                    );
                    Some(Uri::Sip(
                        uri.clone().for_request().with_header("Replaces", &replaces),
                    ))
                }
                Uri::Tel(_) | Uri::Other(_) => None,
            },
            Some(_) | None => to.target.clone(),
        };
        let target = target.ok_or(TransferError::NoCall)?;
        let handover = |consulted, asks| Handover {
            consulted,
            asks,
            to: name.clone(),
            until: now + HAND_OVER,
        };
        if stands {
            self.leave_owner(consulted, handover(None, false));
        } else {
            self.hang_up(consulted, None, now);
        }
        self.leave_owner(held, handover(stands.then_some(consulted), true));
        self.send_refer(held, &target, now);
        Ok(())
    }

    /// The owner is told that the call is over; here it goes on.
    fn leave_owner(&mut self, call: CallHandle, handover: Handover) {
        let Some(state) = self.calls.get_mut(&call) else {
            return;
        };
        state.phase = Phase::Handing;
        state.wanted = None;
        self.events.push_back(Event::Ended {
            call,
            by: EndedBy::Local,
            code: None,
            reason: format!("handed over to {}", handover.to),
        });
        if let Some(state) = self.calls.get_mut(&call) {
            state.handover = Some(handover);
        }
        self.schedule_call(call);
    }

    fn send_refer(&mut self, call: CallHandle, target: &Uri, now: Instant) {
        let account = self.calls.get(&call).and_then(|state| state.account);
        let by = account.and_then(|line| self.address_of_record(line));
        let Some(dialog) = self
            .calls
            .get_mut(&call)
            .and_then(|state| state.dialog.as_mut())
        else {
            return;
        };
        let mut request = dialog.request(&Method::Refer);
        request
            .headers
            .push("Refer-To", NameAddr::new(target.clone()));
        let mut own = dialog.local.clone();
        own.params.remove("tag");
        request
            .headers
            .push("Referred-By", NameAddr::new(by.unwrap_or(own).uri));
        request.headers.push("User-Agent", &self.config.user_agent);
        let (hop, flow) = (dialog.hop(), dialog.flow);
        self.dispatch(
            Errand {
                purpose: Purpose::Refer(call),
                account,
                request,
                hop,
                flow,
            },
            now,
        );
    }

    /// What became of our REFER: taken, the news follow; refused, it is over.
    pub(super) fn refer_outcome(&mut self, call: CallHandle, outcome: &Outcome<'_>, now: Instant) {
        match outcome {
            Outcome::Response(response) if response.code() < 300 => {}
            Outcome::Response(response) => self.handed_over(call, Err(response.code()), now),
            Outcome::Failed(code, _) => self.handed_over(call, Err(*code), now),
        }
    }

    /// NOTIFY inside of a call: news of our REFER, or of nothing this phone asked for.
    pub(super) fn notified(
        &mut self,
        call: CallHandle,
        transaction: TransactionId,
        request: &Request,
        now: Instant,
    ) {
        let asks = self.calls.get(&call).is_some_and(|state| {
            state
                .handover
                .as_ref()
                .is_some_and(|handover| handover.asks)
        });
        let event = request
            .headers
            .get("Event")
            .and_then(|event| event.split(';').next());
        if !asks || !event.is_some_and(|event| event.trim().eq_ignore_ascii_case("refer")) {
            return self.respond_refusal(transaction, 481, now);
        }
        let kind = request.headers.content_type().ok().flatten();
        if !request.body.is_empty() && kind.is_none_or(|kind| kind.name != "message/sipfrag") {
            return self.respond_refusal(transaction, 415, now);
        }
        self.respond(transaction, 200, now);
        let over = request
            .headers
            .get("Subscription-State")
            .is_some_and(|state| {
                state
                    .split(';')
                    .next()
                    .is_some_and(|state| state.trim().eq_ignore_ascii_case("terminated"))
            });
        match status_in(&request.body) {
            Some(code) if (200..300).contains(&code) => self.handed_over(call, Ok(()), now),
            Some(code) if code >= 300 => self.handed_over(call, Err(code), now),
            Some(_) | None if over => self.handed_over(call, Err(487), now),
            Some(_) | None => {}
        }
    }

    /// The last word on a call handed over: whatever it is, nothing stays open here.
    fn handed_over(&mut self, call: CallHandle, result: Result<(), u16>, now: Instant) {
        let Some(handover) = self
            .calls
            .get_mut(&call)
            .and_then(|state| state.handover.take())
        else {
            return;
        };
        self.events.push_back(Event::Note(match result {
            Ok(()) => format!("call handed over to {}", handover.to),
            Err(code) => format!(
                "call not handed over to {}: {code} {}; both calls end",
                handover.to,
                crate::message::reason_phrase(code)
            ),
        }));
        self.hang_up(call, None, now);
        if let Some(consulted) = handover.consulted {
            self.hang_up(consulted, None, now);
        }
    }

    /// The far end of a call being handed over hung up without a last word: the consulted one is
    /// given a moment to be replaced.
    pub(super) fn left_handover(&mut self, handover: Option<&Handover>, now: Instant) {
        let Some(consulted) = handover.and_then(|handover| handover.consulted) else {
            return;
        };
        if let Some(waiting) = self
            .calls
            .get_mut(&consulted)
            .and_then(|state| state.handover.as_mut())
        {
            waiting.until = waiting.until.min(now + LAST_CHANCE);
            self.schedule_call(consulted);
        }
    }

    pub(super) fn is_handover_due(&self, call: CallHandle, now: Instant) -> bool {
        let handover = self
            .calls
            .get(&call)
            .and_then(|state| state.handover.as_ref());
        handover.is_some_and(|handover| handover.until <= now)
    }

    /// The time for it is over.
    pub(super) fn handover_timeout(&mut self, call: CallHandle, now: Instant) {
        let Some(handover) = self
            .calls
            .get(&call)
            .and_then(|state| state.handover.as_ref())
        else {
            return;
        };
        if handover.asks {
            self.handed_over(call, Err(408), now);
        } else {
            self.hang_up(call, None, now);
        }
    }
}

/// The status in a message/sipfrag body (RFC 3420).
fn status_in(body: &[u8]) -> Option<u16> {
    let line = body.split(|byte| *byte == b'\n').next()?;
    let rest = std::str::from_utf8(line).ok()?.strip_prefix("SIP/2.0 ")?;
    let code = rest.get(..3)?.parse().ok()?;
    (100..700).contains(&code).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_is_read_from_a_fragment() {
        for (body, code) in [
            (&b"SIP/2.0 200 OK\r\n"[..], Some(200)),
            (b"SIP/2.0 100", Some(100)),
            (b"SIP/2.0 486 Busy\r\nContact: <sip:a@b>\r\n", Some(486)),
            (b"SIP/2.0 99 x", None),
            (b"SIP/2.0 +20 x", None),
            (b"SIP/2.0 20", None),
            (b"HTTP/1.1 200 OK", None),
            (b"\xff", None),
            (b"", None),
        ] {
            assert_eq!(status_in(body), code, "{body:?}");
        }
    }
}
