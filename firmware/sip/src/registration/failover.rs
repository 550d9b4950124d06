//! Which of its servers an account is registered at, and the way back to a better one.
//!
//! ```text
//! REGISTER answered by the second server ─▶ every 30 s: OPTIONS to the first ─▶ it answers: register there
//! something not answered by its server ────▶ suspected: REGISTER there ─┬ answered: it stays
//!                                                                       └ silence: the next server
//! ```
//!
//! Better is what comes first: in the account's list, in DNS.

use std::time::{Duration, Instant};

use crate::flow::Target;
use crate::servers::ServerChoice;
use crate::timer::fire;
use crate::token::Tokens;

/// Between two probes of a better server.
const SHORTEST: Duration = Duration::from_secs(24);
const LONGEST: Duration = Duration::from_secs(36);

/// How often a server is suspected at the most.
const SUSPICIONS_APART: Duration = Duration::from_secs(5);

/// Where an account is registered.
#[derive(Debug, Default)]
pub(crate) struct Failover {
    registered: Option<(Target, usize)>,
    /// That server did not answer something; whether it is gone is being found out.
    suspected: bool,
    /// When that was last found out.
    suspected_at: Option<Instant>,
    better: Vec<Target>,
    /// There are other addresses to go to.
    has_alternatives: bool,
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

    /// The same, where it is being found out whether it is gone.
    pub(crate) fn suspected(&self) -> Option<(Target, usize)> {
        self.registered.filter(|_| self.suspected)
    }

    /// The addresses that would be better and did not answer.
    pub(crate) fn better(&self) -> &[Target] {
        &self.better
    }

    /// Whether there are other servers to go to.
    pub(crate) fn has_alternatives(&self) -> bool {
        self.has_alternatives
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
        let same = self.registered.map(|(target, _)| target) == Some(server.target);
        self.registered = Some((server.target, server.index));
        self.suspected = false;
        match server.better {
            Some(better) => {
                self.better = better;
                self.has_alternatives = server.has_alternatives;
            }
            // It was asked whether it is still there, and nothing else was.
            None if same => {}
            None => {
                self.better.clear();
                self.has_alternatives = server.has_alternatives;
            }
        }
        self.probed = None;
        // A refresh, which may come more often than a probe, does not put it off.
        if self.better.is_empty() || self.probe_at.is_none() {
            self.schedule(tokens, now);
        }
    }

    /// The server it is registered at did not answer something. Whether it is to be found out if it
    /// is gone: not with every forged ICMP error.
    pub(crate) fn handle_suspicion(&mut self, now: Instant) -> bool {
        let lately = self
            .suspected_at
            .is_some_and(|at| now < at + SUSPICIONS_APART);
        if self.registered.is_none() || self.suspected || lately {
            return false;
        }
        self.suspected = true;
        self.suspected_at = Some(now);
        true
    }

    /// A REGISTER was answered, if only by a refusal, or by no server at all.
    pub(crate) fn handle_outcome(&mut self, answered: bool) {
        if std::mem::take(&mut self.suspected) && !answered {
            *self = Self::default();
        }
    }

    /// A REGISTER was not answered by this server.
    pub(crate) fn handle_silence(&mut self, server: Target) {
        if self.registered.is_some_and(|(target, _)| target == server) {
            *self = Self::default();
        }
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
            better: Some(better),
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
        let due = failover.deadline().unwrap();
        let refreshed = choice(3, vec![target(1), target(2)]);
        failover.handle_registered(refreshed, &mut tokens, start + Duration::from_secs(1));
        assert_eq!(
            failover.deadline(),
            Some(due),
            "a refresh puts off no probe"
        );
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
