//! A call as those who watch this phone see it (RFC 4235).

use crate::dialog::Dialog;
use crate::event_body::{CallSide, CallSummary, DialogStage};
use crate::identity::ANONYMOUS;

use super::{Call, State};

impl Call {
    /// What watchers learn; `None`: it is over for the owner.
    pub(crate) fn summary(&self) -> Option<CallSummary> {
        let (stage, side, dialog) = match &self.state {
            State::Calling(calling) => {
                let leg = calling.legs.last().map(|leg| &leg.dialog);
                let stage = match leg {
                    Some(_) => DialogStage::Early,
                    None => DialogStage::Trying,
                };
                (stage, Some(CallSide::Initiator), leg)
            }
            State::Ringing(ringing) => (
                DialogStage::Early,
                Some(CallSide::Recipient),
                Some(&ringing.dialog),
            ),
            State::Answered(established, _) | State::Up(established) => {
                (DialogStage::Confirmed, None, Some(&established.dialog))
            }
            State::Leaving(..) | State::Transferring(..) | State::Over(_) => return None,
        };
        let named = self.peer != ANONYMOUS;
        let remote = dialog.filter(|_| named).map(|dialog| {
            let mut remote = dialog.remote.clone();
            remote.params.remove("tag");
            remote
        });
        // Only a call that rings here can be taken; whoever knows its ids can take it.
        let rings = side == Some(CallSide::Recipient);
        let ids = dialog.filter(|_| rings).map(|dialog| {
            (
                dialog.call_id.clone(),
                dialog.local_tag().to_owned(),
                dialog.remote_tag().to_owned(),
            )
        });
        Some(CallSummary {
            id: self.handle.0,
            stage,
            side,
            ids,
            remote,
            target: dialog.map(|dialog| dialog.target.clone()),
            secure: dialog.is_some_and(Dialog::is_secure),
        })
    }
}
