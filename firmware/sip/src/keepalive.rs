//! Keeping connections alive, and learning when they are not (RFC 5626 sections 3.5.1 and 4.4.1): a
//! registration is worth nothing over a connection that a firewall forgot.
//!
//! ```text
//! an account registers over a connection ─▶ every 95 to 120 s: CRLF CRLF ─┬ CRLF comes back: it is alive, and answers pings
//!                                                                         └ silence of one that used to answer: closed
//! ```
//!
//! A server that never answered a ping may not know them; its silence proves nothing.

use std::time::{Duration, Instant};

use crate::timer::{earliest, fire};
use crate::token::Tokens;

/// Between two pings: section 4.4.1 draws from 80 to 100 % of 120 s.
const SHORTEST: Duration = Duration::from_secs(95);
const LONGEST: Duration = Duration::from_secs(120);
/// How long a pong may take.
const PONG_TIMEOUT: Duration = Duration::from_secs(10);

/// What to do when time has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeepaliveStep {
    Wait,
    /// Send CRLF CRLF.
    Ping,
    /// It used to answer and does not any more.
    Dead,
}

/// The keepalive of one connection; off until a registration needs it.
#[derive(Debug, Default)]
pub(crate) struct Keepalive {
    ping_at: Option<Instant>,
    pong_by: Option<Instant>,
    /// It answered a ping once.
    answers: bool,
}

impl Keepalive {
    /// An account registered over this connection: from now on it is kept alive.
    pub(crate) fn start(&mut self, tokens: &mut Tokens, now: Instant) {
        let wait = tokens.between(SHORTEST, LONGEST);
        self.ping_at = self.ping_at.or(Some(now + wait));
    }

    /// A pong came in. A line end of no meaning is one only where a ping went before.
    pub(crate) fn handle_pong(&mut self) {
        self.answers |= self.ping_at.is_some();
        self.pong_by = None;
    }

    /// Its time has come; `needed`: a registration still uses the connection.
    pub(crate) fn handle_timeout(
        &mut self,
        needed: bool,
        tokens: &mut Tokens,
        now: Instant,
    ) -> KeepaliveStep {
        if fire(&mut self.pong_by, now) {
            return KeepaliveStep::Dead;
        }
        if fire(&mut self.ping_at, now) && needed {
            self.start(tokens, now);
            self.pong_by = self.answers.then(|| now + PONG_TIMEOUT);
            return KeepaliveStep::Ping;
        }
        KeepaliveStep::Wait
    }

    /// When to call [`Keepalive::handle_timeout`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        earliest([self.ping_at, self.pong_by])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_only_after_an_answer() {
        let start = crate::timer::epoch();
        let mut tokens = Tokens::new([1; 32]);
        let mut keepalive = Keepalive::default();
        keepalive.handle_pong();
        assert_eq!(keepalive.deadline(), None);
        keepalive.start(&mut tokens, start);
        let first = keepalive.deadline().unwrap();
        assert!((SHORTEST..=LONGEST).contains(&(first - start)));
        assert_eq!(
            keepalive.handle_timeout(true, &mut tokens, first),
            KeepaliveStep::Ping
        );
        // The far end never answered: the next deadline is the next ping.
        let second = keepalive.deadline().unwrap();
        assert!(second - first >= SHORTEST);
        keepalive.handle_pong();
        assert_eq!(
            keepalive.handle_timeout(true, &mut tokens, second),
            KeepaliveStep::Ping
        );
        assert_eq!(keepalive.deadline(), Some(second + PONG_TIMEOUT));
        assert_eq!(
            keepalive.handle_timeout(true, &mut tokens, second + PONG_TIMEOUT),
            KeepaliveStep::Dead
        );
    }

    #[test]
    fn a_connection_without_registration_is_left_alone() {
        let start = crate::timer::epoch();
        let mut tokens = Tokens::new([1; 32]);
        let mut keepalive = Keepalive::default();
        keepalive.start(&mut tokens, start);
        let first = keepalive.deadline().unwrap();
        assert_eq!(
            keepalive.handle_timeout(false, &mut tokens, first),
            KeepaliveStep::Wait
        );
        assert_eq!(keepalive.deadline(), None);
    }
}
