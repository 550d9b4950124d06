//! The checks of one stream (RFC 8445 section 7), full agent with regular nomination. A message
//! that is not signed with a password of this call changes nothing.
//!
//! ```text
//! far end's candidates ─▶ Checklist ─▶ checks ─▶ their answers ─▶ valid pairs ─▶ nomination ─▶ path ─▶ Consent
//! far end's checks ─▶ answers, triggered checks, its nomination ──────┘
//! ```

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media::PacketKind;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use sip::ice::{AgreedIce, Candidate, IceCredentials};

use super::check::{self, CheckVerdict};
use super::checklist::{Attempt, Checklist, Pair, PairState};
use super::consent::Consent;
use super::{Base, Outgoing, Via};
use crate::stun::{Class, Message, Method, TransactionId};

/// Between the first sends of two checks (section 14.2).
const PACE: Duration = Duration::from_millis(50);
/// How long a valid pair waits for a better one before it is nominated.
const NOMINATE_AFTER: Duration = Duration::from_millis(500);
/// How long a path is looked for.
const GIVE_UP: Duration = Duration::from_secs(15);
/// Checks of a far end whose answer is not here yet.
const MAX_EARLY: usize = 16;

/// What has become of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AgentEvent {
    /// Another path is in use, or one more: see [`Agent::path`].
    Moved,
    /// No way to the far end was found.
    Failed,
    /// The far end no longer says that it wants our media (RFC 7675): nothing may be sent.
    ConsentLost,
}

/// A check that came before the far end's credentials.
#[derive(Debug, Clone, Copy)]
struct EarlyCheck {
    component: PacketKind,
    via: Via,
    from: SocketAddr,
    priority: u32,
    nominates: bool,
}

/// A way that is in use.
#[derive(Debug)]
struct Path {
    pair: usize,
    consent: Consent,
}

/// The far end.
#[derive(Debug)]
struct Remote {
    credentials: IceCredentials,
    muxed: bool,
    since: Instant,
}

/// The checks of one stream, between two restarts.
#[derive(Debug)]
pub(super) struct Agent {
    controlling: bool,
    tie_breaker: u64,
    local: IceCredentials,
    bases: Vec<Base>,
    remote: Option<Remote>,
    list: Checklist,
    early: Vec<EarlyCheck>,
    /// Of RTP and RTCP.
    paths: [Option<Path>; 2],
    /// When the first pair of each became valid.
    valid_since: [Option<Instant>; 2],
    next_check: Instant,
    /// Nothing is sent any more: consent was lost.
    is_over: bool,
    gave_up: bool,
    outgoing: VecDeque<Outgoing>,
    events: VecDeque<AgentEvent>,
    rng: ChaCha20Rng,
}

const fn index_of(component: PacketKind) -> usize {
    match component {
        PacketKind::Rtp => 0,
        PacketKind::Rtcp => 1,
    }
}

impl Agent {
    /// Answers checks until it may begin its own; until then it counts as the one who leads: only
    /// who made an offer is checked before.
    pub(super) fn new(
        local: IceCredentials,
        bases: Vec<Base>,
        mut rng: ChaCha20Rng,
        now: Instant,
    ) -> Self {
        Self {
            controlling: true,
            tie_breaker: rng.next_u64(),
            local,
            bases,
            remote: None,
            list: Checklist::default(),
            early: Vec::new(),
            paths: [None, None],
            valid_since: [None, None],
            next_check: now,
            is_over: false,
            gave_up: false,
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
            rng,
        }
    }

    /// The role once checks began, which a restart keeps.
    pub(super) fn role(&self) -> Option<bool> {
        self.remote.as_ref().map(|_| self.controlling)
    }

    /// Whether checks go on for this far end.
    pub(super) fn is_for(&self, agreed: &AgreedIce) -> bool {
        let same = |remote: &Remote| remote.credentials == agreed.remote;
        self.local == agreed.local && self.remote.as_ref().is_none_or(same)
    }

    /// Where a component's packets go.
    pub(super) fn path(&self, component: PacketKind) -> Option<(Via, SocketAddr)> {
        let path = self.paths[index_of(component)].as_ref()?;
        let pair = self.list.pairs().get(path.pair)?;
        Some((pair.via, pair.remote))
    }

    /// Whether checks go, or came, this way.
    pub(super) fn knows(&self, way: (PacketKind, Via, SocketAddr)) -> bool {
        self.list.find(way).is_some()
    }

    /// The far end's credentials and candidates: checks begin. `muxed`: RTCP has no own port.
    pub(super) fn begin(
        &mut self,
        agreed: &AgreedIce,
        controlling: bool,
        muxed: bool,
        now: Instant,
    ) {
        if self.remote.is_some() {
            return;
        }
        // Section 6.1.1: whoever made the offer leads, but a lite far end cannot.
        self.controlling = controlling || agreed.lite;
        self.remote = Some(Remote {
            credentials: agreed.remote.clone(),
            muxed,
            since: now,
        });
        self.next_check = now;
        for candidate in &agreed.candidates {
            self.pair_with(candidate);
        }
        self.list.unfreeze();
        for early in std::mem::take(&mut self.early) {
            self.checked_by(early, now);
        }
        self.handle_timeout(now);
    }

    fn pair_with(&mut self, candidate: &Candidate) {
        let component = match candidate.component {
            1 => PacketKind::Rtp,
            _ => PacketKind::Rtcp,
        };
        let remote = candidate.address;
        let known = (candidate.priority, candidate.foundation.as_str());
        for base in self.bases.clone() {
            self.add_pair(&base, component, remote, known);
        }
    }

    fn add_pair(
        &mut self,
        base: &Base,
        component: PacketKind,
        remote: SocketAddr,
        (priority, foundation): (u32, &str),
    ) -> Option<usize> {
        let muxed = self.remote.as_ref().is_some_and(|remote| remote.muxed);
        let fits = base.component == component
            && base.v4 == remote.is_ipv4()
            && !(muxed && component == PacketKind::Rtcp);
        fits.then_some(())?;
        let foundation = (base.foundation.clone(), foundation.to_owned());
        let way = (component, base.via, remote);
        let pair = Pair::new(way, (base.priority, priority), foundation);
        self.list.add(pair, self.controlling)
    }

    // ── what comes ────────────────────────────────────────────────────────────────────────────

    /// A STUN message that is no server's.
    pub(super) fn handle_message(
        &mut self,
        message: &Message<'_>,
        way: (PacketKind, Via, SocketAddr),
        now: Instant,
    ) {
        if message.method != Method::Binding {
            return;
        }
        match message.class {
            Class::Request => self.handle_request(message, way, now),
            Class::Success | Class::Error => self.handle_answer(message, way, now),
            // A keepalive (section 11).
            Class::Indication => {}
        }
    }

    /// A check of the far end (section 7.3).
    fn handle_request(
        &mut self,
        message: &Message<'_>,
        (component, via, from): (PacketKind, Via, SocketAddr),
        now: Instant,
    ) {
        let role = (self.controlling, self.tie_breaker);
        let mut accepted = None;
        let bytes = match check::evaluate(message, &self.local, role, from) {
            // Whoever does not know our user name gets no answer at all.
            CheckVerdict::Stranger => return,
            CheckVerdict::Refused(answer) => answer,
            CheckVerdict::Accepted {
                answer,
                yields,
                priority,
                nominates,
            } => {
                accepted = Some((yields, priority, nominates));
                answer
            }
        };
        self.outgoing.push_back(Outgoing {
            component,
            via,
            to: from,
            bytes,
        });
        let Some((yields, priority, nominates)) = accepted else {
            return;
        };
        if yields {
            self.set_role(!self.controlling);
        }
        let check = EarlyCheck {
            component,
            via,
            from,
            priority,
            nominates,
        };
        if self.remote.is_some() {
            self.checked_by(check, now);
            self.handle_timeout(now);
        } else if self.early.len() < MAX_EARLY {
            self.early.push(check);
        }
    }

    /// An authentic check: the far end is where it came from (sections 7.3.1.3 to 7.3.1.5).
    fn checked_by(&mut self, check: EarlyCheck, now: Instant) {
        let way = (check.component, check.via, check.from);
        let known = self.list.find(way).or_else(|| {
            let fits = |base: &&Base| {
                base.component == check.component
                    && base.via == check.via
                    && base.v4 == check.from.is_ipv4()
            };
            let base = self.bases.iter().find(fits)?.clone();
            // A foundation of its own, different from those of all others.
            let foundation = format!("prflx{}", check.from);
            self.add_pair(
                &base,
                check.component,
                check.from,
                (check.priority, &foundation),
            )
        });
        let Some(index) = known else { return };
        let controlled = !self.controlling;
        let Some(pair) = self.list.get_mut(index) else {
            return;
        };
        let nominates = controlled && check.nominates;
        if pair.state == PairState::Succeeded {
            if nominates && !pair.is_nominated {
                pair.is_nominated = true;
                self.choose(check.component, now);
            }
            return;
        }
        pair.to_nominate |= nominates;
        if !self.is_over {
            self.list.trigger(index);
        }
    }

    /// An answer to a check of ours (section 7.2.5).
    fn handle_answer(
        &mut self,
        message: &Message<'_>,
        way: (PacketKind, Via, SocketAddr),
        now: Instant,
    ) {
        let Some(remote) = &self.remote else {
            return;
        };
        let asked = self.list.of(message.id);
        let mut consents = self.paths.iter().flatten();
        let consent = consents.any(|path| path.consent.is_about(message.id));
        if (asked.is_none() && !consent)
            || !message.is_signed_by(remote.credentials.password.as_bytes())
        {
            return;
        }
        match (message.class, asked) {
            (Class::Success, None) => self.consented(message.id, now),
            (_, None) => {
                // RFC 7675 section 5.2: the far end revokes it.
                if message.error_code() == Some(403) {
                    self.lose_consent();
                }
            }
            (Class::Success, Some((index, attempt, _))) => {
                self.list.learn_mapped(index, message.mapped_address());
                self.succeeded(index, attempt, way, now);
            }
            (_, Some((index, attempt, true))) => {
                if message.error_code() == Some(487) {
                    // Only a conflict of the role we have now is news (section 7.2.5.1).
                    if attempt.as_controlling == self.controlling {
                        self.set_role(!self.controlling);
                    }
                    self.list.trigger(index);
                } else {
                    self.fail(index, now);
                }
            }
            // Another check of this pair took its place.
            (_, Some((_, _, false))) => {}
        }
        self.handle_timeout(now);
    }

    fn succeeded(
        &mut self,
        index: usize,
        attempt: Attempt,
        way: (PacketKind, Via, SocketAddr),
        now: Instant,
    ) {
        let Some(pair) = self.list.get_mut(index) else {
            return;
        };
        let component = pair.component;
        // Section 7.2.5.2.1: it must come from where the check went to.
        if (pair.component, pair.via, pair.remote) != way {
            return self.fail(index, now);
        }
        let (by_us, by_them) = (
            self.controlling && attempt.as_controlling && attempt.nominates,
            !self.controlling && pair.to_nominate,
        );
        pair.is_nominated |= by_us || by_them;
        if by_us || by_them {
            pair.to_nominate = false;
        }
        let still = pair.to_nominate;
        self.list.succeed(index);
        if still {
            // What succeeded is an older check, which did not say so.
            self.list.trigger(index);
        }
        self.valid_since[index_of(component)].get_or_insert(now);
        self.choose(component, now);
    }

    fn fail(&mut self, index: usize, now: Instant) {
        self.list.fail(index);
        if let Some(component) = self.list.pairs().get(index).map(|pair| pair.component) {
            self.choose(component, now);
        }
    }

    fn set_role(&mut self, controlling: bool) {
        self.controlling = controlling;
        self.list.set_role(controlling);
    }

    /// Takes the best pair there is into use.
    fn choose(&mut self, component: PacketKind, now: Instant) {
        let slot = index_of(component);
        let chosen = self.list.chosen(component).filter(|_| !self.is_over);
        let current = self.paths[slot].as_ref().map(|path| path.pair);
        if chosen != current {
            self.paths[slot] = chosen.map(|pair| Path {
                pair,
                consent: Consent::new(now, &mut self.rng),
            });
            self.events.push_back(AgentEvent::Moved);
        }
        let done = chosen.and_then(|index| self.list.pairs().get(index));
        if done.is_some_and(|pair| pair.is_nominated) {
            self.list.stop(component);
        }
    }

    fn consented(&mut self, id: TransactionId, now: Instant) {
        for path in self.paths.iter_mut().flatten() {
            if path.consent.is_about(id) {
                path.consent.give(now);
            }
        }
    }

    fn lose_consent(&mut self) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.paths = [None, None];
            self.events.push_back(AgentEvent::ConsentLost);
        }
    }

    // ── time ──────────────────────────────────────────────────────────────────────────────────

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let Some(since) = self.remote.as_ref().map(|remote| remote.since) else {
            return;
        };
        if self.is_over {
            return;
        }
        for index in self.list.take_repeats(now) {
            self.send_check(index);
        }
        // One of those may have had its time.
        for component in [PacketKind::Rtp, PacketKind::Rtcp] {
            self.choose(component, now);
            self.nominate(component, now);
        }
        if self.next_check <= now
            && let Some(index) = self.list.next()
        {
            self.check(index, now);
            self.next_check = now + PACE;
        }
        self.ask_consent(now);
        let lost = self.paths[0].as_ref();
        if lost.is_some_and(|path| path.consent.is_over(now)) {
            self.lose_consent();
        }
        if self.paths[0].is_none() && !self.is_over && !self.gave_up && since + GIVE_UP <= now {
            self.gave_up = true;
            self.events.push_back(AgentEvent::Failed);
        }
    }

    /// Section 8.1.1: the controlling end says which pair is used, once.
    fn nominate(&mut self, component: PacketKind, now: Instant) {
        let pairs = self.list.pairs();
        let decided = pairs
            .iter()
            .any(|pair| pair.component == component && (pair.is_nominated || pair.to_nominate));
        let (Some(index), Some(since)) = (
            self.list.chosen(component),
            self.valid_since[index_of(component)],
        ) else {
            return;
        };
        let waits = self.list.may_improve(index) && now < since + NOMINATE_AFTER;
        if !self.controlling || decided || waits {
            return;
        }
        if let Some(pair) = self.list.get_mut(index) {
            pair.to_nominate = true;
        }
        self.list.trigger(index);
    }

    fn ask_consent(&mut self, now: Instant) {
        for slot in 0..self.paths.len() {
            let Some(path) = self.paths[slot]
                .as_ref()
                .filter(|path| path.consent.is_due(now))
            else {
                continue;
            };
            // A component of less weight just stops.
            if slot > 0 && path.consent.is_over(now) {
                let pair = path.pair;
                self.list.fail(pair);
                self.paths[slot] = None;
                self.events.push_back(AgentEvent::Moved);
                continue;
            }
            let (pair, id) = (path.pair, self.new_id());
            self.send_request(pair, id, false);
            if let Some(path) = &mut self.paths[slot] {
                path.consent.asked(id, now, &mut self.rng);
            }
        }
    }

    fn new_id(&mut self) -> TransactionId {
        let mut id = [0; 12];
        self.rng.fill_bytes(&mut id);
        TransactionId(id)
    }

    fn check(&mut self, index: usize, now: Instant) {
        let (id, controlling) = (self.new_id(), self.controlling);
        let Some(pair) = self.list.pairs().get(index) else {
            return;
        };
        let nominates = controlling && pair.to_nominate;
        let attempt = Attempt::new(id, nominates, controlling, now);
        self.list.start(index, attempt);
        self.send_check(index);
    }

    fn send_check(&mut self, index: usize) {
        let attempt = self.list.pairs().get(index).and_then(|pair| pair.attempt);
        if let Some(attempt) = attempt {
            self.send_request(index, attempt.id, attempt.nominates);
        }
    }

    fn send_request(&mut self, index: usize, id: TransactionId, nominates: bool) {
        let (Some(pair), Some(remote)) = (self.list.pairs().get(index), &self.remote) else {
            return;
        };
        let bytes = check::write(
            id,
            (&self.local, &remote.credentials),
            (self.controlling, self.tie_breaker),
            pair.local_priority,
            nominates,
        );
        self.outgoing.push_back(Outgoing {
            component: pair.component,
            via: pair.via,
            to: pair.remote,
            bytes,
        });
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let since = self.remote.as_ref().map(|remote| remote.since)?;
        if self.is_over {
            return None;
        }
        let next = self.list.next().map(|_| self.next_check);
        let paths = self.paths.iter().flatten();
        let consent = paths.map(|path| path.consent.deadline()).min();
        let give_up = (self.paths[0].is_none() && !self.gave_up).then_some(since + GIVE_UP);
        let nominate = [PacketKind::Rtp, PacketKind::Rtcp].map(|component| {
            let undecided = self.controlling
                && !self.list.pairs().iter().any(|pair| {
                    pair.component == component && (pair.is_nominated || pair.to_nominate)
                });
            let since = self.valid_since[index_of(component)].filter(|_| undecided)?;
            self.list.chosen(component).map(|_| since + NOMINATE_AFTER)
        });
        [next, consent, give_up, self.list.deadline()]
            .into_iter()
            .chain(nominate)
            .flatten()
            .min()
    }

    pub(super) fn poll_outgoing(&mut self) -> Option<Outgoing> {
        self.outgoing.pop_front()
    }

    pub(super) fn poll_event(&mut self) -> Option<AgentEvent> {
        self.events.pop_front()
    }
}
mod nominated;
#[cfg(test)]
mod tests;
