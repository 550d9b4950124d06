//! Server transactions: RFC 3261 section 17.2 with RFC 6026 (state Accepted, timer L), as pure
//! state machines.
//!
//! ```text
//! INVITE:  Proceeding ─2xx─▶ Accepted ─L─▶ Done                          others: Trying ─1xx─▶ Proceeding ─final─▶ Completed ─J─▶ Done
//!             └─3xx–6xx─▶ Completed (G repeats) ─ACK─▶ Confirmed ─I─▶ Done
//!                               └─H─▶ Done, no ACK
//! ```

use std::time::Instant;

use super::timers::{OnTimeout, Timers};
use crate::timer::{T1, T1_64, T2, T4};

/// Where a server transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing or only provisional responses sent.
    Proceeding,
    /// A final response (for INVITE: not 2xx) sent.
    Completed,
    /// INVITE only: the refusal was acknowledged; late repetitions are absorbed.
    Confirmed,
    /// INVITE only: a 2xx sent; its repetition is the user's affair.
    Accepted,
    /// Over; to be forgotten.
    Done,
}

/// One server transaction.
#[derive(Debug)]
pub(crate) struct Server {
    invite: bool,
    reliable: bool,
    state: State,
    timers: Timers,
}

impl Server {
    /// A transaction whose request just came.
    pub(crate) fn new(invite: bool, reliable: bool) -> Self {
        Self {
            invite,
            reliable,
            state: State::Proceeding,
            timers: Timers::new(),
        }
    }

    /// Where it is.
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Whether the user may (still) send this response; then it leaves now.
    pub(crate) fn respond(&mut self, code: u16, now: Instant) -> bool {
        match (self.state, code) {
            // RFC 6026 section 7.1: the user repeats its 2xx through the transaction.
            (State::Proceeding, 100..=199) | (State::Accepted, 200..=299) => true,
            (State::Proceeding, 200..=299) if self.invite => {
                self.state = State::Accepted;
                self.timers.linger = Some(now + T1_64);
                true
            }
            (State::Proceeding, _) if self.invite => {
                self.state = State::Completed;
                self.timers.retransmit = (!self.reliable).then(|| now + T1);
                self.timers.give_up = Some(now + T1_64);
                true
            }
            (State::Proceeding, _) => {
                if self.reliable {
                    self.state = State::Done;
                } else {
                    self.state = State::Completed;
                    self.timers.linger = Some(now + T1_64);
                }
                true
            }
            (State::Completed | State::Confirmed | State::Accepted | State::Done, _) => false,
        }
    }

    /// The request came again: whether to repeat the last response. RFC 6026 has an INVITE absorbed
    /// once a 2xx was sent; its sender would not ask again if it had that, and sends another ACK at
    /// most.
    pub(crate) fn repeated(&self) -> bool {
        match self.state {
            State::Proceeding | State::Completed | State::Accepted => true,
            State::Confirmed | State::Done => false,
        }
    }

    /// An ACK that belongs to this transaction: whether the refusal is now confirmed.
    pub(crate) fn ack(&mut self, now: Instant) -> bool {
        match self.state {
            State::Completed if self.invite => {
                self.timers.stop_all();
                if self.reliable {
                    self.state = State::Done;
                } else {
                    self.state = State::Confirmed;
                    self.timers.linger = Some(now + T4);
                }
                true
            }
            State::Proceeding
            | State::Completed
            | State::Confirmed
            | State::Accepted
            | State::Done => false,
        }
    }

    /// Time has passed.
    pub(crate) fn timeout(&mut self, now: Instant) -> OnTimeout {
        let (todo, over) = self
            .timers
            .handle_timeout(|interval| (interval * 2).min(T2), now);
        if over {
            self.state = State::Done;
        }
        todo
    }

    /// When to call [`Server::timeout`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.timers.deadline()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_retransmitted_until_ack() {
        let start = crate::timer::epoch();
        let mut server = Server::new(true, false);
        assert!(server.respond(180, start));
        assert!(server.respond(486, start));
        let mut sent = Vec::new();
        let mut no_ack = false;
        while let Some(at) = server.deadline() {
            let todo = server.timeout(at);
            if todo.retransmit {
                sent.push((at - start).as_secs_f32());
            }
            no_ack |= todo.timed_out;
        }
        assert_eq!(
            sent,
            [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
        );
        assert!(no_ack);
        assert_eq!(server.state(), State::Done);
    }

    #[test]
    fn ack_stops_retransmission() {
        let start = crate::timer::epoch();
        let mut server = Server::new(true, false);
        server.respond(486, start);
        assert!(server.ack(start));
        assert!(!server.ack(start));
        assert!(!server.repeated());
        assert_eq!(server.deadline(), Some(start + T4));
        assert!(!server.respond(200, start));
    }

    #[test]
    fn repeated_invites_get_their_2xx_for_timer_l() {
        let start = crate::timer::epoch();
        let mut server = Server::new(true, false);
        server.respond(200, start);
        assert!(server.repeated());
        assert!(server.respond(200, start));
        assert!(!server.respond(486, start));
        assert!(!server.ack(start));
        assert_eq!(server.deadline(), Some(start + T1_64));
        server.timeout(start + T1_64);
        assert_eq!(server.state(), State::Done);
    }

    #[test]
    fn repeated_requests_are_answered_for_timer_j() {
        let start = crate::timer::epoch();
        let mut server = Server::new(false, false);
        server.respond(200, start);
        assert!(server.repeated());
        assert!(!server.respond(200, start));
        assert_eq!(server.deadline(), Some(start + T1_64));
        let mut server = Server::new(false, true);
        server.respond(200, start);
        assert_eq!(server.state(), State::Done);
        assert_eq!(server.deadline(), None);
    }
}
