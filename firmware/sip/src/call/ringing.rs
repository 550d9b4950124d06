//! A call that came in, until it is answered (RFC 3261 section 13.3).
//!
//! ```text
//! INVITE ─▶ 100, Incoming ─▶ ring: 180 ─▶ answer: 200 (repeated until ACK) ─▶ Established
//!                               └ reject, CANCEL, Expires ─▶ refusal
//! ```

use std::time::{Duration, Instant};

use crate::action::{Reply, Turn};
use crate::dialog::Dialog;
use crate::ids::TransactionId;
use crate::message::Request;
use crate::offer_answer::{LocalMedia, Negotiated, Session};
use crate::sdp::SdpError;
use crate::session_body::session_body;
use crate::timer::earliest;

use super::ack_wait::{AckWait, Sent};

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
    /// When to repeat 180, so that no proxy takes us for dead (section 13.3.1.1).
    ring_again: Option<Instant>,
    /// When the caller gives up (Expires of its INVITE).
    ring_until: Instant,
}

/// What our 200 made of the call.
pub(super) struct Accepted {
    pub(super) session: Session,
    pub(super) media: Option<Negotiated>,
    pub(super) ack: AckWait,
}

/// What a timeout asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RingStep {
    Wait,
    /// The caller's time ran out.
    Expired,
}

impl Ringing {
    pub(super) fn new(
        server: TransactionId,
        dialog: Dialog,
        request: &Request,
        now: Instant,
    ) -> Self {
        // A caller that vanished sends no CANCEL: without a limit of ours it would ring for ever.
        let limit = request.headers.expires().map_or(RING_AT_MOST, |s| {
            Duration::from_secs(u64::from(s.clamp(1, MAX_EXPIRES_S)))
        });
        Self {
            server,
            dialog,
            cseq: request.headers.cseq().map(|c| c.number).unwrap_or_default(),
            offer: session_body(request),
            ring_again: None,
            ring_until: now + limit,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        earliest([self.ring_again, Some(self.ring_until)])
    }

    /// Sends 180.
    pub(super) fn ring(&mut self, turn: &mut Turn<'_>) {
        self.ring_again = Some(turn.now + RING_AGAIN);
        turn.respond(self.server, Reply::new(180).in_dialog(&self.dialog.contact));
    }

    /// Sends 200 with an answer, or with an offer where the INVITE had none.
    pub(super) fn answer(
        &self,
        media: LocalMedia,
        turn: &mut Turn<'_>,
    ) -> Result<Accepted, SdpError> {
        let env = &mut *turn.env;
        let mut session = Session::new(media, env.local.ip(), env.tokens.session_id());
        session.set_secure(self.dialog.is_secure());
        let (body, media) = match &self.offer {
            None => (session.offer(&mut env.tokens)?, None),
            Some(offer) => {
                let (body, agreed) = session.answer(offer, &mut env.tokens)?;
                (body, Some(agreed))
            }
        };
        let reply = Reply::new(200).in_dialog(&self.dialog.contact);
        turn.respond(self.server, reply.with_session(body));
        let sent = if media.is_some() {
            Sent::Answer
        } else {
            Sent::FirstOffer
        };
        Ok(Accepted {
            session,
            media,
            ack: AckWait::new(self.server, self.cseq, sent, turn.now),
        })
    }

    pub(super) fn handle_timeout(&mut self, turn: &mut Turn<'_>) -> RingStep {
        if self.ring_until <= turn.now {
            return RingStep::Expired;
        }
        if self.ring_again.is_some_and(|at| at <= turn.now) {
            self.ring(turn);
        }
        RingStep::Wait
    }
}
