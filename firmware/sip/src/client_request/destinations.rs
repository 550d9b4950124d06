//! Where one request goes: its servers in turn, and the addresses each of them was found at.
//!
//! ```text
//! registered address ─▶ first server: lookup ─▶ addresses ─▶ backup servers: lookup ─▶ … ─▶ those known to be silent
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::flow::{Target, Transport};
use crate::locate::Hop;
use crate::message::NameAddr;
use crate::reachability::Reachability;
use crate::servers::{ServerChoice, ServerRoute};

/// Most addresses tried.
const MAX_TARGETS: usize = 8;
/// How long an address may be silent before the next is tried. Over UDP the request was sent three
/// times by then.
pub(super) const SILENCE: Duration = Duration::from_millis(3500);

/// How long an address may say no more than 100 Trying to an INVITE before the next is tried as
/// well: an international call rings within 11 s in 19 of 20 cases (ITU-T E.721).
const TRYING: Duration = Duration::from_secs(12);
/// The same for an emergency call: it stays in its country.
const TRYING_URGENT: Duration = Duration::from_secs(4);

/// Where else than to its first hop a request may go.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    /// Where the account is registered, and by which server of its list (0: the first): tried
    /// before any name is looked up.
    pub(crate) registered: Option<(Target, usize)>,
    /// That address is tried though it was silent lately: this request finds out whether it is.
    pub(crate) confirms: bool,
    /// Further servers, tried in turn.
    pub(crate) backups: Vec<ServerRoute>,
    /// How long any address may be silent, the last one too. `None`: the last one is waited for as
    /// long as its transaction.
    pub(crate) silence: Option<Duration>,
    /// An emergency call: a silent address is overtaken by the next one after so long, and any
    /// failure of a server leads to the next one.
    pub(crate) urgent: Option<Duration>,
}

/// One address to be tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) target: Target,
    /// Over UDP whatever its size: TCP was tried.
    pub(super) force_udp: bool,
    /// By which server.
    way: usize,
}

/// What is left to be tried.
#[derive(Debug)]
pub(super) struct Destinations {
    first: ServerRoute,
    backups: Vec<ServerRoute>,
    silence: Option<Duration>,
    urgent: Option<Duration>,
    /// Servers whose names were looked up.
    looked_up: usize,
    /// The server that is looked up or tried now.
    way: usize,
    attempts: VecDeque<Attempt>,
    /// Addresses that were silent lately.
    avoided: VecDeque<Attempt>,
    /// Every address found, best first.
    ranked: Vec<Target>,
    registered: Option<Target>,
}

impl Destinations {
    pub(super) fn new(hop: Hop, delivery: Delivery, known: &Reachability, now: Instant) -> Self {
        let secure = hop.is_secure();
        let registered = delivery
            .registered
            .filter(|(target, _)| !secure || target.transport == Transport::Tls)
            .filter(|(target, _)| delivery.confirms || !known.is_avoided(*target, now));
        let attempt = |(target, way)| Attempt {
            target,
            force_udp: false,
            way,
        };
        Self {
            first: ServerRoute { hop, route: None },
            backups: delivery.backups,
            silence: delivery.silence,
            urgent: delivery.urgent,
            looked_up: 0,
            way: 0,
            attempts: registered.into_iter().map(attempt).collect(),
            avoided: VecDeque::new(),
            ranked: Vec::new(),
            registered: registered.map(|(target, _)| target),
        }
    }

    /// The server that is looked up or tried now.
    pub(super) fn hop(&self) -> &Hop {
        &self.server(self.way).hop
    }

    /// The Route that takes the place of the request's own, for an attempt.
    pub(super) fn route(&self, attempt: Attempt) -> Option<&NameAddr> {
        self.server(attempt.way).route.as_ref()
    }

    fn server(&self, index: usize) -> &ServerRoute {
        index
            .checked_sub(1)
            .and_then(|index| self.backups.get(index))
            .unwrap_or(&self.first)
    }

    /// The next server whose addresses must be found out.
    pub(super) fn next_lookup(&mut self) -> Option<&Hop> {
        if self.looked_up > self.backups.len() {
            return None;
        }
        self.way = self.looked_up;
        self.looked_up += 1;
        Some(self.hop())
    }

    /// The addresses of the server that was looked up. Whether there is one among them that may be
    /// used: what must use TLS goes nowhere else, whatever an answer out of DNS says.
    pub(super) fn handle_targets(
        &mut self,
        targets: &[Target],
        known: &Reachability,
        now: Instant,
    ) -> bool {
        let (secure, way) = (self.hop().is_secure(), self.way);
        let fits = |target: &Target| !secure || target.transport == Transport::Tls;
        let found = targets.iter().copied().filter(fits).take(MAX_TARGETS);
        for target in found {
            if self.ranked.len() >= MAX_TARGETS || self.ranked.contains(&target) {
                continue;
            }
            self.ranked.push(target);
            // That one was tried before any name was looked up.
            if self.registered == Some(target) {
                continue;
            }
            let attempt = Attempt {
                target,
                force_udp: false,
                way,
            };
            if known.is_avoided(target, now) {
                self.avoided.push_back(attempt);
            } else {
                self.attempts.push_back(attempt);
            }
        }
        targets.iter().any(fits)
    }

    /// The next address; `None`: another server must be looked up first, or none is left.
    pub(super) fn next(&mut self) -> Option<Attempt> {
        let all_looked_up = self.looked_up > self.backups.len();
        let attempt = match self.attempts.pop_front() {
            None if all_looked_up => self.avoided.pop_front()?,
            attempt => attempt?,
        };
        self.select(attempt);
        Some(attempt)
    }

    /// This attempt is the one under way now.
    pub(super) fn select(&mut self, attempt: Attempt) {
        self.way = attempt.way;
    }

    /// The same address is tried once more, by UDP, when this attempt fails.
    pub(super) fn then_by_udp(&mut self, attempt: Attempt) {
        self.attempts.push_front(Attempt {
            force_udp: true,
            ..attempt
        });
    }

    /// Whether anything is left to be tried.
    pub(super) fn has_more(&self) -> bool {
        self.looked_up <= self.backups.len() || self.has_addresses()
    }

    fn has_addresses(&self) -> bool {
        !self.attempts.is_empty() || !self.avoided.is_empty()
    }

    /// Whether a refusal with this code leads to the next address: RFC 3263 section 4.3, and for
    /// emergency calls whatever a server has for trouble of its own.
    pub(super) fn leads_on(&self, code: u16) -> bool {
        let fails = code == 503 || self.urgent.is_some() && (500..600).contains(&code);
        fails && self.has_more()
    }

    /// How long the address under way may be silent; `None`: as long as its transaction waits.
    pub(super) fn silence(&self) -> Option<Duration> {
        let wait = self.urgent.unwrap_or(SILENCE);
        let wait = self.has_more().then_some(wait);
        match (wait, self.silence) {
            (Some(wait), Some(limit)) => Some(wait.min(limit)),
            (wait, limit) => wait.or(limit),
        }
    }

    /// How long the address under way may say no more than 100 Trying; `None`: as long as it likes.
    pub(super) fn trying(&self) -> Option<Duration> {
        let wait = if self.urgent.is_some() {
            TRYING_URGENT
        } else {
            TRYING
        };
        (self.has_more() || !self.waits_for_last()).then_some(wait)
    }

    /// Whether it is an emergency call's.
    pub(super) fn is_urgent(&self) -> bool {
        self.urgent.is_some()
    }

    /// Whether the last address is waited for as long as its transaction.
    pub(super) fn waits_for_last(&self) -> bool {
        self.silence.is_none()
    }

    /// What an answer of this address means to an account.
    pub(super) fn choice(&self, target: Target) -> ServerChoice {
        let better = self.ranked.iter().take_while(|known| **known != target);
        ServerChoice {
            target,
            index: self.way,
            better: (self.looked_up > 0).then(|| better.copied().collect()),
            has_alternatives: self.ranked.len() > 1 || !self.backups.is_empty(),
        }
    }
}
