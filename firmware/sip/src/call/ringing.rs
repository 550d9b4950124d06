//! A call that came in, until it is answered (RFC 3261 section 13.3).
//!
//! ```text
//! INVITE ─▶ 100, Incoming ─▶ ring: 180 ─▶ answer: 200 (repeated until ACK) ─▶ Established
//!                               │ Require: 100rel ─▶ repeated until PRACK, or 504
//!                               └ reject, CANCEL, Expires ─▶ refusal
//! ```

use std::time::{Duration, Instant};

use crate::action::{Reply, Turn};
use crate::dialog::Dialog;
use crate::ids::TransactionId;
use crate::message::Request;
use crate::offer_answer::{LocalMedia, Negotiated, OfferAnswer};
use crate::sdp::SdpError;
use crate::session_body::session_body;
use crate::timer::earliest;

use super::ack_wait::{AckWait, Sent};
use super::reliable::{self, ReliableProvisional, ReliableStep};
use super::session_timer::{Answer, SessionTimer};

/// How often 180 is repeated (section 13.3.1.1).
const RING_AGAIN: Duration = Duration::from_secs(60);
/// How long a call rings whose INVITE names no Expires; a proxy's Timer C (section 16.6) is not
/// much longer than three minutes.
const RING_AT_MOST: Duration = Duration::from_secs(300);
/// Longest Expires that is believed, in seconds.
const MAX_EXPIRES_S: u32 = 7200;

/// Their INVITE waits for our answer.
#[derive(Debug)]
pub(super) struct Ringing {
    /// Their INVITE.
    pub(super) server: TransactionId,
    pub(super) dialog: Dialog,
    cseq: u32,
    /// The offer in the INVITE.
    offer: Option<Vec<u8>>,
    /// Where the caller takes reliable responses only, or they carry our answer.
    pub(super) reliable: Option<ReliableProvisional>,
    /// The caller takes reliable responses.
    takes_reliable: bool,
    /// The session of early media, once a 183 has answered the offer.
    early: Option<EarlySession>,
    /// The owner has answered; the 200 waits for the PRACK of that 183 (RFC 3262 section 5).
    pub(super) answer_waits: Option<LocalMedia>,
    pub(super) timer: SessionTimer,
    /// What our 200 says of the session timer.
    timer_answer: Answer,
    /// When to repeat 180, so that no proxy takes us for dead (section 13.3.1.1).
    ring_again: Option<Instant>,
    /// When the caller gives up (Expires of its INVITE).
    ring_until: Instant,
}

/// What a 183 agreed on.
#[derive(Debug)]
struct EarlySession {
    session: OfferAnswer,
    media: Negotiated,
    /// The answer, to be repeated in the 200; none where a reliable response carried it.
    body: Option<Vec<u8>>,
}

/// What our 200 made of the call.
pub(super) struct Accepted {
    pub(super) session: OfferAnswer,
    pub(super) media: Option<Negotiated>,
    pub(super) ack: AckWait,
}

/// What a timeout asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RingStep {
    Wait,
    /// The caller's time ran out.
    Expired,
    /// The 180 again: its PRACK did not come.
    Repeat,
    /// No PRACK came at all.
    NotAcknowledged,
}

impl Ringing {
    pub(super) fn new(
        server: TransactionId,
        dialog: Dialog,
        request: &Request,
        turn: &mut Turn<'_>,
    ) -> Self {
        // A caller that vanished sends no CANCEL: without a limit of ours it would ring for ever.
        let limit = request.headers.expires().map_or(RING_AT_MOST, |s| {
            Duration::from_secs(u64::from(s.clamp(1, MAX_EXPIRES_S)))
        });
        let cseq = request.headers.cseq().map(|c| c.number).unwrap_or_default();
        let mut timer = SessionTimer::new(turn.env.config.session_intervals);
        let timer_answer = timer.handle_request(request, turn.now);
        let seed = turn.env.tokens.session_id() as u32;
        Self {
            server,
            dialog,
            cseq,
            offer: session_body(request),
            reliable: reliable::is_required(request).then(|| ReliableProvisional::new(cseq, seed)),
            takes_reliable: reliable::is_supported(request),
            early: None,
            answer_waits: None,
            timer,
            timer_answer,
            ring_again: None,
            ring_until: turn.now + limit,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let reliable = self
            .reliable
            .as_ref()
            .and_then(ReliableProvisional::deadline);
        earliest([self.ring_again, Some(self.ring_until), reliable])
    }

    /// Sends 180.
    pub(super) fn ring(&mut self, turn: &mut Turn<'_>) {
        self.ring_again = Some(turn.now + RING_AGAIN);
        let mut reply = Reply::new(180).in_dialog(&self.dialog.contact);
        if let Some(reliable) = &mut self.reliable {
            // RFC 3262 section 5: without an offer in the INVITE the first reliable response would
            // have to carry ours, and its port is not open before the handset is lifted.
            if self.offer.is_none() {
                return;
            }
            let Some(rseq) = reliable.next(turn.now) else {
                return;
            };
            reply = reply.with("Require", "100rel").with("RSeq", rseq);
        }
        turn.respond(self.server, reply);
    }

    /// Sends 183 with an answer: the caller hears this phone before it is answered (RFC 3960). Only
    /// once, and only where the INVITE has an offer.
    pub(super) fn send_early_media(
        &mut self,
        media: LocalMedia,
        turn: &mut Turn<'_>,
    ) -> Result<Option<Negotiated>, SdpError> {
        let (Some(offer), None) = (&self.offer, &self.early) else {
            return Ok(None);
        };
        let mut session = self.new_session(media, turn);
        let (body, agreed) = session.answer(offer, &mut turn.env.tokens)?;
        let mut reply = Reply::new(183).in_dialog(&self.dialog.contact);
        if self.takes_reliable && self.reliable.is_none() {
            let seed = turn.env.tokens.session_id() as u32;
            self.reliable = Some(ReliableProvisional::new(self.cseq, seed));
        }
        let reliable = match &mut self.reliable {
            Some(reliable) => match reliable.next(turn.now) {
                Some(rseq) => {
                    reply = reply.with("Require", "100rel").with("RSeq", rseq);
                    true
                }
                // The 180 before it is not acknowledged yet.
                None => return Ok(None),
            },
            None => false,
        };
        turn.respond(self.server, reply.with_session(body.clone()));
        self.ring_again = Some(turn.now + RING_AGAIN);
        self.early = Some(EarlySession {
            session,
            media: agreed.clone(),
            body: (!reliable).then_some(body),
        });
        Ok(Some(agreed))
    }

    /// An offer of theirs in UPDATE or PRACK (RFC 3311, RFC 3262 section 5); `None`: the offer in
    /// the INVITE is not answered yet.
    pub(super) fn handle_offer(
        &mut self,
        offer: &[u8],
        turn: &mut Turn<'_>,
    ) -> Option<Result<(Vec<u8>, Negotiated), SdpError>> {
        let early = self.early.as_mut()?;
        let answered = early.session.answer(offer, &mut turn.env.tokens);
        if let Ok((_, agreed)) = &answered {
            early.media = agreed.clone();
        }
        Some(answered)
    }

    fn new_session(&self, media: LocalMedia, turn: &mut Turn<'_>) -> OfferAnswer {
        let env = &mut *turn.env;
        let here = env.addresses.primary().ip();
        let mut session = OfferAnswer::new(media, here, env.tokens.session_id());
        session.set_addresses(&env.addresses);
        session.set_secure(self.dialog.is_secure());
        session.set_far_host(self.dialog.far_host());
        session
    }

    /// Sends 200 with an answer, or with an offer where the INVITE had none. `None`: it waits for
    /// a PRACK.
    pub(super) fn answer(
        &mut self,
        media: LocalMedia,
        turn: &mut Turn<'_>,
    ) -> Result<Option<Accepted>, SdpError> {
        let unacknowledged = self
            .reliable
            .as_ref()
            .is_some_and(ReliableProvisional::waits);
        if self.early.is_some() && unacknowledged {
            self.answer_waits = Some(media);
            return Ok(None);
        }
        let (session, body, media) = match (self.early.take(), &self.offer) {
            (Some(early), _) => (early.session, early.body, Some(early.media)),
            (None, None) => {
                let mut session = self.new_session(media, turn);
                let body = session.offer(&mut turn.env.tokens)?;
                (session, Some(body), None)
            }
            (None, Some(offer)) => {
                let mut session = self.new_session(media, turn);
                let (body, agreed) = session.answer(offer, &mut turn.env.tokens)?;
                (session, Some(body), Some(agreed))
            }
        };
        if let Some(reliable) = &mut self.reliable {
            reliable.stop();
        }
        // The time to answer does not count.
        self.timer.restart(turn.now);
        let reply = Reply::new(200).in_dialog(&self.dialog.contact);
        let reply = self.timer_answer.write(reply);
        let reply = match body {
            Some(body) => reply.with_session(body),
            None => reply,
        };
        turn.respond(self.server, reply);
        let sent = if media.is_some() {
            Sent::Answer
        } else {
            Sent::FirstOffer
        };
        Ok(Some(Accepted {
            session,
            media,
            ack: AckWait::new(self.server, self.cseq, sent, turn.now),
        }))
    }

    pub(super) fn handle_timeout(&mut self, turn: &mut Turn<'_>) -> RingStep {
        if self.ring_until <= turn.now {
            return RingStep::Expired;
        }
        let step = match &mut self.reliable {
            Some(reliable) => reliable.handle_timeout(turn.now),
            None => ReliableStep::Wait,
        };
        match step {
            ReliableStep::GiveUp => return RingStep::NotAcknowledged,
            ReliableStep::Repeat => return RingStep::Repeat,
            ReliableStep::Wait => {}
        }
        if self.ring_again.is_some_and(|at| at <= turn.now) {
            self.ring(turn);
        }
        RingStep::Wait
    }
}
