//! Reliable provisional responses in a call (RFC 3262): the PRACK that acknowledges ours, and
//! offers in early dialogs (RFC 3311).

use crate::action::{Reply, Turn};
use crate::message::{Method, NameAddr};
use crate::session_body::session_body;

use super::reliable::ReliableProvisional;
use super::state::State;
use super::{Call, InDialog, refused_offer};

impl Call {
    /// PRACK: it may carry an offer once the one in the INVITE is answered.
    pub(super) fn handle_prack(&mut self, asked: InDialog<'_>, turn: &mut Turn<'_>) {
        let acknowledged = self
            .state
            .reliable_mut()
            .is_some_and(|reliable| reliable.acknowledge(asked.request));
        if !acknowledged {
            return turn.respond(asked.transaction, Reply::not_allowed(481));
        }
        match session_body(asked.request) {
            Some(offer) => {
                self.handle_early_offer(asked, &offer, turn);
            }
            None => turn.respond(asked.transaction, Reply::new(200)),
        }
        if let State::Ringing(ringing) = &mut self.state
            && let Some(media) = ringing.answer_waits.take()
        {
            self.answer(media, turn);
        }
    }

    /// An offer in UPDATE or PRACK, in a dialog whose INVITE has no final response yet; whether it
    /// is accepted.
    pub(super) fn handle_early_offer(
        &mut self,
        asked: InDialog<'_>,
        offer: &[u8],
        turn: &mut Turn<'_>,
    ) -> bool {
        let answered = match &mut self.state {
            State::Ringing(ringing) => ringing.handle_offer(offer, turn).map(|answered| {
                let contact = ringing.dialog.contact.clone();
                (answered, contact)
            }),
            State::Calling(calling) => calling.handle_offer(asked.request, offer, turn),
            State::Answered(..)
            | State::Up(_)
            | State::Leaving(..)
            | State::Transferring(..)
            | State::Over(_) => None,
        };
        let accepted = matches!(answered, Some((Ok(_), _)));
        match (answered, self.is_calling()) {
            // RFC 3311 section 5.2: our own offer waits for its answer, or theirs for ours.
            (None, true) => turn.respond(asked.transaction, Reply::not_allowed(491)),
            (None, false) => super::in_dialog::try_later(asked.transaction, turn),
            (Some((Ok((body, media)), contact)), _) => {
                let reply = Reply::new(200)
                    .with_session(body)
                    .with("Contact", NameAddr::new(contact))
                    .with_capabilities();
                turn.respond(asked.transaction, reply);
                let branch = match &self.state {
                    State::Calling(calling) => calling.branch_of(asked.request),
                    State::Ringing(_)
                    | State::Answered(..)
                    | State::Up(_)
                    | State::Leaving(..)
                    | State::Transferring(..)
                    | State::Over(_) => 0,
                };
                self.report_progress(183, branch, media, turn);
            }
            // RFC 3262 section 3: a PRACK that acknowledges a response gets a 2xx, whatever it
            // carries. The offer in it cannot be refused alone, so the INVITE is.
            (Some((Err(error), _)), _) if asked.request.method == Method::Prack => {
                turn.respond(asked.transaction, Reply::new(200));
                self.refuse_offer(&error, turn);
            }
            (Some((Err(error), _)), _) => {
                turn.respond(
                    asked.transaction,
                    refused_offer(&error, turn.env.addresses.primary()),
                );
            }
        }
        accepted
    }

    /// Our provisional response was not acknowledged in time: the INVITE is refused (section 3).
    pub(super) fn handle_not_acknowledged(&mut self, turn: &mut Turn<'_>) {
        let State::Ringing(ringing) = &self.state else {
            return;
        };
        let server = ringing.server;
        let reason = "the caller did not acknowledge that it rings here";
        self.finish(crate::api::EndedBy::Failure, Some(504), reason, turn);
        turn.respond(server, Reply::new(504));
    }
}

impl State {
    /// Our provisional responses, as long as a PRACK may come for one.
    fn reliable_mut(&mut self) -> Option<&mut ReliableProvisional> {
        match self {
            Self::Ringing(ringing) => ringing.reliable.as_mut(),
            Self::Answered(established, _)
            | Self::Up(established)
            | Self::Transferring(established, _) => established.reliable.as_mut(),
            Self::Calling(_) | Self::Leaving(..) | Self::Over(_) => None,
        }
    }
}
