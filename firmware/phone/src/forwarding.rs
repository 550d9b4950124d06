//! Forwarding by this phone itself, for servers that take no 302: the phone calls the other number,
//! and when that is answered it answers the caller and connects the two with each other.
//!
//! ```text
//! begin ─▶ Placing ─answered▶ Answering (the caller's leg) ─answered▶ Connect: both legs leave the phone
//!             │ fails: Refuse            │ one of the two ends: End the other
//!             └ the caller gives up: End(placed)
//! ```
//!
//! Neither leg is a call of the handset: it is never heard here, no key and no hook reaches it.

use std::time::{Duration, Instant};

use crate::input::{CallId, CallUpdate};

/// How long the caller's leg may take to be established once it is answered.
const ANSWERING: Duration = Duration::from_secs(32);

const BUSY_HERE: u16 = 486;
const TEMPORARILY_UNAVAILABLE: u16 = 480;

/// What follows for the two legs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ForwardStep {
    /// The caller's leg is answered.
    Answer(CallId),
    /// Both are established: they are connected with each other.
    Connect { incoming: CallId, placed: CallId },
    /// The caller is refused with this status code.
    Refuse(CallId, u16),
    /// This leg ends.
    End(CallId),
    /// A leg asks for a transfer: declined.
    Decline(CallId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Placing,
    Answering,
}

/// A call that is on its way to another number.
#[derive(Debug)]
struct Forwarding {
    incoming: CallId,
    placed: CallId,
    /// Whom to, for the log.
    to: String,
    stage: Stage,
    /// When it is given up.
    until: Instant,
}

/// The forwarding under way: one at a time, for each needs two streams of sound.
#[derive(Debug, Default)]
pub(crate) struct Forwards {
    current: Option<Forwarding>,
}

impl Forwards {
    /// One more can begin.
    pub(crate) fn has_room(&self) -> bool {
        self.current.is_none()
    }

    /// The other number is called; `until`: when no answer counts as none.
    pub(crate) fn begin(&mut self, incoming: CallId, placed: CallId, to: &str, until: Instant) {
        debug_assert!(self.has_room());
        self.current = Some(Forwarding {
            incoming,
            placed,
            to: to.to_owned(),
            stage: Stage::Placing,
            until,
        });
    }

    /// Whom to.
    pub(crate) fn target(&self) -> Option<&str> {
        self.current.as_ref().map(|current| current.to.as_str())
    }

    /// Whether a call is a leg of one.
    pub(crate) fn has(&self, call: CallId) -> bool {
        let current = self.current.as_ref();
        current.is_some_and(|current| current.incoming == call || current.placed == call)
    }

    /// When to call [`Forwards::handle_timeout`].
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.current.as_ref().map(|current| current.until)
    }

    /// No answer in time.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Vec<ForwardStep> {
        match self.current.take_if(|current| current.until <= now) {
            Some(late) => late.give_up(TEMPORARILY_UNAVAILABLE),
            None => Vec::new(),
        }
    }

    /// Something happened to one of its legs.
    pub(crate) fn handle_update(
        &mut self,
        call: CallId,
        update: &CallUpdate,
        now: Instant,
    ) -> Option<ForwardStep> {
        let current = self.current.as_mut()?;
        let (incoming, placed) = (current.incoming, current.placed);
        let is_placed = call == placed;
        match update {
            CallUpdate::Answered => match current.stage {
                Stage::Placing if is_placed => {
                    current.stage = Stage::Answering;
                    current.until = now + ANSWERING;
                    Some(ForwardStep::Answer(incoming))
                }
                Stage::Answering if !is_placed => {
                    self.current = None;
                    Some(ForwardStep::Connect { incoming, placed })
                }
                Stage::Placing | Stage::Answering => None,
            },
            CallUpdate::Ended(cause) => {
                let stage = current.stage;
                self.current = None;
                Some(match stage {
                    _ if !is_placed => ForwardStep::End(placed),
                    Stage::Placing => {
                        let busy = matches!(cause.code, Some(486 | 600 | 603));
                        let code = if busy {
                            BUSY_HERE
                        } else {
                            TEMPORARILY_UNAVAILABLE
                        };
                        ForwardStep::Refuse(incoming, code)
                    }
                    Stage::Answering => ForwardStep::End(incoming),
                })
            }
            CallUpdate::Refer { .. } => Some(ForwardStep::Decline(call)),
            CallUpdate::Ringing
            | CallUpdate::EarlyMedia
            | CallUpdate::EarlySound(_)
            | CallUpdate::Held(_)
            | CallUpdate::HoldRefused
            | CallUpdate::Peer(_)
            | CallUpdate::HeldByPeer(_)
            | CallUpdate::Encryption(_) => None,
        }
    }

    /// The phone is needed for something else.
    pub(crate) fn cancel(&mut self) -> Vec<ForwardStep> {
        let current = self.current.take();
        current.map_or_else(Vec::new, |current| current.give_up(TEMPORARILY_UNAVAILABLE))
    }
}

impl Forwarding {
    fn give_up(&self, code: u16) -> Vec<ForwardStep> {
        let caller = match self.stage {
            Stage::Placing => ForwardStep::Refuse(self.incoming, code),
            Stage::Answering => ForwardStep::End(self.incoming),
        };
        vec![ForwardStep::End(self.placed), caller]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::EndCause;

    const CALLER: CallId = CallId(1);
    const PLACED: CallId = CallId(2);

    fn begun() -> (Forwards, Instant) {
        #[expect(clippy::disallowed_methods, reason = "some instant to count from")]
        let now = Instant::now();
        let mut forwards = Forwards::default();
        forwards.begin(CALLER, PLACED, "103", now + Duration::from_secs(60));
        (forwards, now)
    }

    fn ended(code: u16) -> CallUpdate {
        CallUpdate::Ended(EndCause {
            code: Some(code),
            reason: String::new(),
        })
    }

    #[test]
    fn both_legs_are_connected_when_both_are_answered() {
        let (mut forwards, now) = begun();
        assert!(forwards.has(CALLER) && forwards.has(PLACED) && !forwards.has(CallId(3)));
        let mut step = |call, update| forwards.handle_update(call, &update, now);
        assert_eq!(step(PLACED, CallUpdate::Ringing), None);
        let answered = step(PLACED, CallUpdate::Answered);
        assert_eq!(answered, Some(ForwardStep::Answer(CALLER)));
        let connect = ForwardStep::Connect {
            incoming: CALLER,
            placed: PLACED,
        };
        assert_eq!(step(CALLER, CallUpdate::Answered), Some(connect));
        assert!(forwards.has_room() && forwards.poll_timeout().is_none());
    }

    #[test]
    fn the_callers_end_and_a_failure_end_the_other_leg() {
        for (answered, call, code, expected) in [
            (false, PLACED, 486, ForwardStep::Refuse(CALLER, 486)),
            (false, PLACED, 404, ForwardStep::Refuse(CALLER, 480)),
            (false, CALLER, 487, ForwardStep::End(PLACED)),
            (true, PLACED, 200, ForwardStep::End(CALLER)),
            (true, CALLER, 200, ForwardStep::End(PLACED)),
        ] {
            let (mut forwards, now) = begun();
            if answered {
                forwards.handle_update(PLACED, &CallUpdate::Answered, now);
            }
            let step = forwards.handle_update(call, &ended(code), now);
            assert_eq!(step, Some(expected));
            assert!(forwards.has_room());
        }
    }

    #[test]
    fn no_answer_gives_up_both() {
        let (mut forwards, now) = begun();
        assert!(forwards.handle_timeout(now).is_empty());
        let at = forwards.poll_timeout().unwrap();
        let both = [ForwardStep::End(PLACED), ForwardStep::Refuse(CALLER, 480)];
        assert_eq!(forwards.handle_timeout(at), both);
        let (mut forwards, now) = begun();
        forwards.handle_update(PLACED, &CallUpdate::Answered, now);
        let both = [ForwardStep::End(PLACED), ForwardStep::End(CALLER)];
        assert_eq!(forwards.cancel(), both);
        assert!(forwards.cancel().is_empty());
    }
}
