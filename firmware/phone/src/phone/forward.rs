//! Callers who go to another number: by a 302 where the server does the rest, else placed by this
//! phone and transferred.

use std::time::{Duration, Instant};

use super::Phone;
use crate::call::{CallState, one_line};
use crate::forwarding::ForwardStep;
use crate::input::{AccountId, CallId, CallUpdate, EndCause};
use crate::note::Note;
use crate::output::Output;

/// No place for one more on its way.
const BUSY_HERE: u16 = 486;
const TEMPORARILY_UNAVAILABLE: u16 = 480;

impl Phone {
    /// Sends a caller to another number.
    pub(super) fn forward(
        &mut self,
        call: CallId,
        from: String,
        account: Option<AccountId>,
        to: String,
        now: Instant,
    ) {
        if let Some(account) = account.filter(|account| self.lines.transfers(*account)) {
            return self.forward_by_transfer(call, from, account, &to, now);
        }
        self.note(Note::Forwarded {
            from,
            to: to.clone(),
        });
        self.out.push_back(Output::Forward { call, to });
    }

    /// Calls the number in the caller's place. What is barred by hand is barred here, too.
    fn forward_by_transfer(
        &mut self,
        call: CallId,
        from: String,
        account: AccountId,
        to: &str,
        now: Instant,
    ) {
        let barred = self.plan.bars_request(to).map(Into::into);
        let route = barred.map_or_else(
            || {
                let number = to.to_owned();
                let route = self.lines.by(account, to);
                route.map_err(|why| crate::note::DialError::NoRoute { number, why })
            },
            Err,
        );
        let destination = match route {
            Ok(destination) if self.forwards.has_room() => destination,
            Ok(_) => return self.out.push_back(Output::Reject(call, BUSY_HERE)),
            Err(why) => {
                self.note(Note::NotDialled(why));
                let code = TEMPORARILY_UNAVAILABLE;
                return self.out.push_back(Output::Reject(call, code));
            }
        };
        let placed = self.calls.new_id();
        let until = now + Duration::from_secs(self.call.no_answer_s.into());
        self.forwards.begin(call, placed, to, until);
        self.note(Note::Forwarded {
            from,
            to: to.to_owned(),
        });
        self.out.push_back(Output::Ringing(call));
        self.out.push_back(Output::PlaceCall {
            call: placed,
            to: destination,
        });
    }

    /// Something happened to a leg of a call that is on its way to another number.
    pub(super) fn on_forward_update(&mut self, call: CallId, update: &CallUpdate, now: Instant) {
        let to = self.forwards.target().unwrap_or_default().to_owned();
        let step = self.forwards.handle_update(call, update, now);
        if let (CallUpdate::Ended(cause), Some(ForwardStep::Refuse(..))) = (update, step) {
            let cause = EndCause {
                code: cause.code,
                reason: one_line(&cause.reason),
            };
            self.note(Note::Failed { to, cause });
        }
        self.take_forward_steps(step);
    }

    /// The phone is needed for something else, or time is over.
    pub(super) fn take_forward_steps(&mut self, steps: impl IntoIterator<Item = ForwardStep>) {
        for step in steps {
            self.out.push_back(match step {
                ForwardStep::Answer(call) => Output::Answer(call),
                ForwardStep::Connect { incoming, placed } => Output::Transfer {
                    held: incoming,
                    consulted: placed,
                },
                ForwardStep::Refuse(call, code) => Output::Reject(call, code),
                ForwardStep::End(call) => Output::End(call),
                ForwardStep::Decline(call) => Output::Decline(call),
            });
        }
    }

    /// The call that is forwarded next because no one answers, and when.
    pub(super) fn next_forward(&self) -> Option<(Instant, CallId)> {
        let unanswered = self.calls.iter().filter(|call| !call.state.of_handset());
        unanswered
            .filter_map(|call| Some((call.forward_at?, call.id)))
            .min()
    }

    /// No one answered this call.
    pub(super) fn forward_unanswered(&mut self, call: CallId, now: Instant) {
        let to = self.features.forward_no_answer.clone();
        let Some(found) = self.calls.remove(call) else {
            return;
        };
        match to {
            Some(to) => self.forward(call, found.peer, found.account, to, now),
            None => self.out.push_back(Output::Reject(call, 480)),
        }
        if found.state == CallState::Ringing {
            self.rings_no_more(call, now);
        }
    }
}
