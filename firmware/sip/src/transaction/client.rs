//! Client transactions: RFC 3261 section 17.1 with RFC 6026 (state Accepted, timer M), as pure
//! state machines over status codes.
//!
//! ```text
//! INVITE:  Calling ─1xx─▶ Proceeding ─2xx─▶ Accepted ─M─▶ Done        others: Trying ─1xx─▶ Proceeding ─final─▶ Completed ─K─▶ Done
//!             └──────┴──3xx–6xx─▶ Completed (ACK) ─D─▶ Done               E, F run in both
//!             A, B run in Calling only
//! ```

use std::time::{Duration, Instant};

use super::timers::{OnTimeout, Timers};
use crate::timer::{T1, T1_64, T2, T4, TIMER_D};

/// Where a client transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Sent, nothing heard (Calling for INVITE, Trying for others).
    Calling,
    /// A provisional response came.
    Proceeding,
    /// A final response came (for INVITE: not 2xx); repeated ones are absorbed.
    Completed,
    /// INVITE only: a 2xx came; more may follow from other branches.
    Accepted,
    /// Over; to be forgotten.
    Done,
}

/// What to do with a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct OnResponse {
    /// Hand it to the transaction user.
    pub(crate) deliver: bool,
    /// Send the ACK of section 17.1.1.3.
    pub(crate) ack: bool,
}

/// One client transaction.
#[derive(Debug)]
pub(crate) struct Client {
    invite: bool,
    reliable: bool,
    state: State,
    timers: Timers,
    /// Its CANCEL was sent.
    cancelled: bool,
}

impl Client {
    /// A transaction whose request leaves now.
    pub(crate) fn new(invite: bool, reliable: bool, now: Instant) -> Self {
        let mut timers = Timers::new();
        timers.retransmit = (!reliable).then(|| now + T1);
        timers.give_up = Some(now + T1_64);
        Self {
            invite,
            reliable,
            state: State::Calling,
            timers,
            cancelled: false,
        }
    }

    /// Where it is.
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// A response with this status came in.
    pub(crate) fn response(&mut self, code: u16, now: Instant) -> OnResponse {
        let deliver = OnResponse {
            deliver: true,
            ack: false,
        };
        match (self.state, code) {
            (State::Calling | State::Proceeding, 100..=199) => {
                if self.invite {
                    self.timers.retransmit = None;
                    self.timers.give_up = self.timers.give_up.filter(|_| self.cancelled);
                }
                self.state = State::Proceeding;
                deliver
            }
            (State::Calling | State::Proceeding, 200..=299) if self.invite => {
                self.finish(State::Accepted, T1_64, now);
                deliver
            }
            (State::Calling | State::Proceeding, _) => {
                let linger = match (self.reliable, self.invite) {
                    (true, _) => Duration::ZERO,
                    (false, true) => TIMER_D,
                    (false, false) => T4,
                };
                self.finish(State::Completed, linger, now);
                OnResponse {
                    deliver: true,
                    ack: self.invite,
                }
            }
            (State::Completed, 300..) if self.invite => OnResponse {
                deliver: false,
                ack: true,
            },
            (State::Accepted, 200..=299) => deliver,
            (State::Completed | State::Accepted | State::Done, _) => OnResponse::default(),
        }
    }

    /// Time has passed.
    pub(crate) fn timeout(&mut self, now: Instant) -> OnTimeout {
        let (invite, state) = (self.invite, self.state);
        let (todo, over) = self.timers.handle_timeout(
            |interval| match (invite, state) {
                (true, _) => interval * 2,
                (false, State::Proceeding) => T2,
                (false, _) => (interval * 2).min(T2),
            },
            now,
        );
        if over {
            self.state = State::Done;
        }
        todo
    }

    /// When to call [`Client::timeout`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.timers.deadline()
    }

    /// It is not sent again; whoever has it may still answer.
    pub(crate) fn stop_retransmitting(&mut self) {
        self.timers.retransmit = None;
    }

    /// Its CANCEL is being sent: it is over after 64 T1 without a final response (section 9.1).
    /// Whether this is the first one.
    pub(crate) fn cancel(&mut self, now: Instant) -> bool {
        if !self.cancelled && matches!(self.state, State::Calling | State::Proceeding) {
            self.timers.give_up.get_or_insert(now + T1_64);
        }
        !std::mem::replace(&mut self.cancelled, true)
    }

    /// The user no longer wants it: an INVITE whose CANCEL was not answered (section 9.1).
    pub(crate) fn abandon(&mut self) {
        self.state = State::Done;
        self.timers.stop_all();
    }

    fn finish(&mut self, state: State, linger: Duration, now: Instant) {
        self.timers.stop_all();
        if linger.is_zero() {
            self.state = State::Done;
        } else {
            self.state = state;
            self.timers.linger = Some(now + linger);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds after the start at which the request goes out again, until the transaction is over.
    fn run(client: &mut Client, start: Instant) -> (Vec<f32>, bool) {
        let mut sent = Vec::new();
        let mut timed_out = false;
        while let Some(at) = client.deadline() {
            let todo = client.timeout(at);
            if todo.retransmit {
                sent.push((at - start).as_secs_f32());
            }
            timed_out |= todo.timed_out;
        }
        (sent, timed_out)
    }

    #[test]
    fn unanswered_invite_doubles_its_interval() {
        let start = crate::timer::epoch();
        let mut client = Client::new(true, false, start);
        assert_eq!(
            run(&mut client, start),
            (vec![0.5, 1.5, 3.5, 7.5, 15.5, 31.5], true)
        );
        assert_eq!(client.state(), State::Done);
    }

    #[test]
    fn other_requests_never_wait_longer_than_t2() {
        let start = crate::timer::epoch();
        let mut client = Client::new(false, false, start);
        let (sent, timed_out) = run(&mut client, start);
        assert_eq!(
            sent,
            [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
        );
        assert!(timed_out);
        let mut client = Client::new(false, false, start);
        client.response(100, start + Duration::from_millis(100));
        assert_eq!(
            run(&mut client, start).0,
            [0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5]
        );
    }

    #[test]
    fn a_reliable_transport_repeats_nothing() {
        let start = crate::timer::epoch();
        for invite in [true, false] {
            let mut client = Client::new(invite, true, start);
            assert_eq!(run(&mut client, start), (vec![], true));
            let mut client = Client::new(invite, true, start);
            assert_eq!(
                client.response(404, start),
                OnResponse {
                    deliver: true,
                    ack: invite
                }
            );
            assert_eq!(client.state(), State::Done);
            assert_eq!(client.deadline(), None);
        }
    }

    #[test]
    fn a_provisional_response_stops_timers_a_and_b() {
        let start = crate::timer::epoch();
        let mut client = Client::new(true, false, start);
        client.response(180, start);
        assert_eq!(client.deadline(), None);
        assert_eq!(client.state(), State::Proceeding);
    }

    #[test]
    fn a_cancelled_invite_ends_without_any_final_response() {
        let start = crate::timer::epoch();
        let mut client = Client::new(true, false, start);
        client.response(100, start);
        assert!(client.cancel(start) && !client.cancel(start));
        client.response(180, start);
        assert_eq!(client.deadline(), Some(start + T1_64));
        assert!(client.timeout(start + T1_64).timed_out);
        assert_eq!(client.state(), State::Done);
    }

    #[test]
    fn repeated_refusals_are_acked_and_delivered_once() {
        let start = crate::timer::epoch();
        let mut client = Client::new(true, false, start);
        assert_eq!(
            client.response(486, start),
            OnResponse {
                deliver: true,
                ack: true
            }
        );
        assert_eq!(
            client.response(486, start),
            OnResponse {
                deliver: false,
                ack: true
            }
        );
        assert_eq!(client.response(200, start), OnResponse::default());
        assert_eq!(client.deadline(), Some(start + TIMER_D));
    }

    #[test]
    fn every_2xx_reaches_the_user_until_timer_m() {
        let start = crate::timer::epoch();
        let mut client = Client::new(true, false, start);
        assert!(client.response(200, start).deliver);
        assert!(client.response(200, start).deliver);
        assert_eq!(client.response(486, start), OnResponse::default());
        assert_eq!(client.deadline(), Some(start + T1_64));
        client.timeout(start + T1_64);
        assert_eq!(client.response(200, start), OnResponse::default());
    }

    #[test]
    fn a_completed_request_lingers_t4() {
        let start = crate::timer::epoch();
        let mut client = Client::new(false, false, start);
        assert!(client.response(200, start).deliver);
        assert!(!client.response(200, start).deliver);
        assert_eq!(client.deadline(), Some(start + T4));
    }
}
