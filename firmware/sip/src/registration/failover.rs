//! Which of its servers an account is registered at, and the way back to a better one.
//!
//! ```text
//! REGISTER answered by the second server ─▶ every 30 s: OPTIONS to the first ─▶ it answers: register there
//! ```
//!
//! Better is what comes first: in the account's list, in DNS.

use std::time::{Duration, Instant};

use crate::client_request::ServerChoice;
use crate::flow::Target;
use crate::timer::fire;
use crate::token::Tokens;

/// Between two probes of a better server.
const SHORTEST: Duration = Duration::from_secs(24);
const LONGEST: Duration = Duration::from_secs(36);

/// Where an account is registered.
#[derive(Debug, Default)]
pub(crate) struct Failover {
    registered: Option<(Target, usize)>,
    better: Vec<Target>,
    /// Which of the better ones is probed next.
    turn: usize,
    probe_at: Option<Instant>,
    /// The one that is being probed.
    probed: Option<Target>,
}

impl Failover {
    /// The address it is registered at, and which server of the account's list that is.
    pub(crate) fn registered(&self) -> Option<(Target, usize)> {
        self.registered
    }

    /// The addresses that would be better and did not answer.
    pub(crate) fn better(&self) -> &[Target] {
        &self.better
    }

    /// The one that is being probed.
    pub(crate) fn probed(&self) -> Option<Target> {
        self.probed
    }

    /// When to call [`Failover::poll_probe`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.probe_at
    }

    /// A server granted the registration; those that come before it did not.
    pub(crate) fn handle_registered(
        &mut self,
        server: ServerChoice,
        tokens: &mut Tokens,
        now: Instant,
    ) {
        self.registered = Some((server.target, server.index));
        self.better = server.better;
        self.probed = None;
        self.schedule(tokens, now);
    }

    /// The server it was registered at does not answer any more.
    pub(crate) fn handle_lost(&mut self) {
        *self = Self::default();
    }

    /// The address to be probed now.
    pub(crate) fn poll_probe(&mut self, tokens: &mut Tokens, now: Instant) -> Option<Target> {
        if !fire(&mut self.probe_at, now) {
            return None;
        }
        self.schedule(tokens, now);
        let count = self.better.len().max(1);
        self.probed = self.better.get(self.turn % count).copied();
        self.turn = self.turn.wrapping_add(1);
        self.probed
    }

    fn schedule(&mut self, tokens: &mut Tokens, now: Instant) {
        let wait = tokens.between(SHORTEST, LONGEST);
        self.probe_at = (!self.better.is_empty()).then(|| now + wait);
    }
}

/// Whether the status an OPTIONS got says that the server works: one that refuses it does.
pub(crate) fn proves_alive(code: u16) -> bool {
    match code {
        408 => false,
        501 | 505 => true,
        _ => code < 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Transport;

    fn target(n: u8) -> Target {
        Target {
            transport: Transport::Udp,
            address: ([192, 0, 2, n], 5060).into(),
        }
    }

    #[test]
    fn better_servers_are_probed_in_turn_until_one_is_back() {
        let start = crate::timer::epoch();
        let mut tokens = Tokens::new([1; 32]);
        let mut failover = Failover::default();
        let choice = |n, better: Vec<Target>| ServerChoice {
            target: target(n),
            index: 0,
            better,
            has_alternatives: true,
        };
        let third = choice(3, vec![target(1), target(2)]);
        failover.handle_registered(third, &mut tokens, start);
        let mut probed = Vec::new();
        for _ in 0..4 {
            let at = failover.deadline().unwrap();
            probed.push(failover.poll_probe(&mut tokens, at).unwrap());
            let wait = failover.deadline().unwrap() - at;
            assert!((SHORTEST..=LONGEST).contains(&wait), "{wait:?}");
        }
        assert_eq!(probed, [target(1), target(2), target(1), target(2)]);
        failover.handle_registered(choice(1, Vec::new()), &mut tokens, start);
        assert_eq!(failover.deadline(), None);
    }

    #[test]
    fn a_refusal_proves_a_server_alive_and_503_does_not() {
        for (code, alive) in [
            (200, true),
            (401, true),
            (405, true),
            (501, true),
            (408, false),
            (500, false),
            (503, false),
        ] {
            assert_eq!(proves_alive(code), alive, "{code}");
        }
    }
}
