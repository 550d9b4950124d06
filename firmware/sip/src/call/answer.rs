//! The answer to a call placed here: it stands, is asked for again with another offer, or is over.

use crate::action::{Action, Turn};
use crate::api::EndedBy;
use crate::dialog::Dialog;
use crate::identity::connected_party;
use crate::message::Response;

use super::established::Established;
use super::{Call, State, UNUSABLE_ANSWER};

impl Call {
    /// The first 2xx to our INVITE, and the dialog it makes; its ACK is sent.
    pub(crate) fn handle_answer(
        &mut self,
        response: &Response,
        dialog: Dialog,
        trusted: bool,
        turn: &mut Turn<'_>,
    ) {
        let State::Calling(calling) = &mut self.state else {
            return;
        };
        let agreed = calling.handle_answer(response, dialog, turn.now);
        let mut dialog = agreed.dialog;
        match agreed.media {
            Ok(media) => {
                let worked = agreed.session.offer_that_worked();
                turn.env.offers.learn(self.account, &calling.target, worked);
                let asserted = connected_party(&response.headers).filter(|_| trusted);
                let name = dialog.remote.display.clone();
                let name = asserted.or(name.filter(|name| !name.trim().is_empty()));
                if let Some(name) = name {
                    self.peer = name;
                }
                let established = Established::new(
                    dialog,
                    agreed.session,
                    Some(media.clone()),
                    agreed.timer,
                    true,
                );
                self.state = State::Up(Box::new(established));
                self.report_established(media, turn);
                turn.push(Action::NotifyReferrer(200));
                if agreed.keys_shared {
                    self.rekey(turn);
                }
            }
            Err(error) => {
                let reason = format!("the far end's answer cannot be used: {error}");
                // An answer that refuses the line, or its encryption, is a refusal like 488.
                if calling.ask_again(&error, turn) {
                    tracing::info!("{}: {reason}; asking again with another offer", self.peer);
                    turn.send_bye(&mut dialog, self.account, Some(UNUSABLE_ANSWER));
                    let ids = Box::new(calling.ids.clone());
                    let redirected = calling.is_redirected();
                    return turn.push(Action::SendInvite {
                        call: self.handle,
                        ids,
                        redirected,
                    });
                }
                self.finish(EndedBy::Failure, Some(488), &reason, turn);
                turn.send_bye(&mut dialog, self.account, Some(UNUSABLE_ANSWER));
            }
        }
    }
}
