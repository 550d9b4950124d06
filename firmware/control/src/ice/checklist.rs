//! The candidate pairs of a stream and the order in which they are checked (RFC 8445 section 6.1).
//!
//! One socket carries all of our addresses of a family, and the kernel's route decides which of
//! them a datagram leaves from. So the local half of a pair is only whether it goes directly or by
//! the TURN server, and pairs that differ in our address alone are one (section 6.1.2.4).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media::PacketKind;

use super::Via;
use crate::stun::TransactionId;

/// Most pairs; more would be a far end's way to have us send a lot (section 6.1.2.5 limits them to
/// 100 for all streams of a call).
const MAX_PAIRS: usize = 64;
/// First wait for an answer, which doubles (section 14.3).
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// How often a check is sent, and how many first waits the last answer has: 11.5 s in all.
const SENDS: u8 = 5;
const LAST_WAIT: u32 = 8;
/// Checks given up in favour of another of the same pair whose answers still count.
const CANCELLED: usize = 4;

/// Where a pair is (section 6.1.2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PairState {
    Frozen,
    Waiting,
    InProgress,
    Succeeded,
    Failed,
}

/// A check that waits for its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) id: TransactionId,
    pub(super) nominates: bool,
    pub(super) as_controlling: bool,
    sends: u8,
    next: Instant,
}

impl Attempt {
    pub(super) fn new(
        id: TransactionId,
        nominates: bool,
        as_controlling: bool,
        now: Instant,
    ) -> Self {
        Self {
            id,
            nominates,
            as_controlling,
            sends: 1,
            next: now + FIRST_WAIT,
        }
    }
}

/// One way from us to the far end.
#[derive(Debug, Clone)]
pub(in crate::ice) struct Pair {
    pub(super) component: PacketKind,
    pub(in crate::ice) via: Via,
    pub(in crate::ice) remote: SocketAddr,
    pub(super) local_priority: u32,
    pub(super) remote_priority: u32,
    /// Of both candidates.
    foundation: (String, String),
    pub(super) priority: u64,
    pub(super) state: PairState,
    /// A check succeeded: it may be used.
    pub(super) is_valid: bool,
    /// It is the one to use.
    pub(super) is_nominated: bool,
    /// It is to be the one in use, as soon as a check of ours succeeds.
    pub(super) to_nominate: bool,
    /// Our address as the far end saw the check.
    pub(in crate::ice) mapped: Option<SocketAddr>,
    pub(super) attempt: Option<Attempt>,
    cancelled: VecDeque<Attempt>,
}

impl Pair {
    pub(super) fn new(
        (component, via, remote): (PacketKind, Via, SocketAddr),
        (local_priority, remote_priority): (u32, u32),
        foundation: (String, String),
    ) -> Self {
        Self {
            component,
            via,
            remote,
            local_priority,
            remote_priority,
            foundation,
            priority: 0,
            state: PairState::Frozen,
            is_valid: false,
            is_nominated: false,
            to_nominate: false,
            mapped: None,
            attempt: None,
            cancelled: VecDeque::new(),
        }
    }

    fn leads(&self, to: (PacketKind, Via, SocketAddr)) -> bool {
        (self.component, self.via, self.remote) == to
    }

    /// Section 6.1.2.3.
    fn set_priority(&mut self, controlling: bool) {
        let (g, d) = if controlling {
            (self.local_priority, self.remote_priority)
        } else {
            (self.remote_priority, self.local_priority)
        };
        self.priority = (u64::from(g.min(d)) << 32) + 2 * u64::from(g.max(d)) + u64::from(g > d);
    }

    fn cancel(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            if self.cancelled.len() == CANCELLED {
                self.cancelled.pop_front();
            }
            self.cancelled.push_back(attempt);
        }
    }

    fn fail(&mut self) {
        self.state = PairState::Failed;
        self.attempt = None;
        (self.is_valid, self.to_nominate, self.is_nominated) = (false, false, false);
    }
}

/// The pairs.
#[derive(Debug, Default)]
pub(super) struct Checklist {
    pairs: Vec<Pair>,
    /// Pairs to be checked before all others (section 6.1.4.1).
    triggered: VecDeque<usize>,
}

impl Checklist {
    pub(super) fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Pair> {
        self.pairs.get_mut(index)
    }

    pub(super) fn find(&self, to: (PacketKind, Via, SocketAddr)) -> Option<usize> {
        self.pairs.iter().position(|pair| pair.leads(to))
    }

    /// Adds a pair, or raises the priority of the one that leads the same way. `None`: too many.
    pub(super) fn add(&mut self, mut pair: Pair, controlling: bool) -> Option<usize> {
        pair.set_priority(controlling);
        if let Some(index) = self.find((pair.component, pair.via, pair.remote)) {
            let known = self.pairs.get_mut(index)?;
            if pair.priority > known.priority {
                known.local_priority = pair.local_priority;
                known.remote_priority = pair.remote_priority;
                known.priority = pair.priority;
            }
            return Some(index);
        }
        if self.pairs.len() >= MAX_PAIRS {
            return None;
        }
        self.pairs.push(pair);
        Some(self.pairs.len() - 1)
    }

    /// The role changed, and with it every priority.
    pub(super) fn set_role(&mut self, controlling: bool) {
        for pair in &mut self.pairs {
            pair.set_priority(controlling);
            // What was to be nominated was so in the other role.
            pair.to_nominate = false;
        }
    }

    /// Of every foundation the best pair of RTP may be checked now (section 6.1.2.6).
    pub(super) fn unfreeze(&mut self) {
        for index in 0..self.pairs.len() {
            let pair = &self.pairs[index];
            let better = self.pairs.iter().any(|other| {
                other.foundation == pair.foundation
                    && rank(other) > rank(pair)
                    && other.state != PairState::Failed
            });
            if !better && pair.state == PairState::Frozen {
                self.pairs[index].state = PairState::Waiting;
            }
        }
    }

    /// Checks this pair before all others.
    pub(super) fn trigger(&mut self, index: usize) {
        let Some(pair) = self.pairs.get_mut(index) else {
            return;
        };
        pair.cancel();
        pair.state = PairState::Waiting;
        if !self.triggered.contains(&index) {
            self.triggered.push_back(index);
        }
    }

    /// The pair to be checked next.
    pub(super) fn next(&self) -> Option<usize> {
        let state = |index: &usize| self.pairs.get(*index).map(|pair| pair.state);
        let triggered = self.triggered.iter().copied();
        let mut triggered = triggered.filter(|index| state(index) == Some(PairState::Waiting));
        triggered
            .next()
            .or_else(|| self.best(|pair| pair.state == PairState::Waiting))
            .or_else(|| {
                // Section 6.1.4.2: nothing of this foundation is under way.
                let free = |pair: &Pair| {
                    !self.pairs.iter().any(|other| {
                        other.foundation == pair.foundation
                            && matches!(other.state, PairState::Waiting | PairState::InProgress)
                    })
                };
                self.best(|pair| pair.state == PairState::Frozen && free(pair))
            })
    }

    fn best(&self, fits: impl Fn(&Pair) -> bool) -> Option<usize> {
        let pairs = self.pairs.iter().enumerate();
        pairs
            .filter(|(_, pair)| fits(pair))
            .max_by_key(|(_, pair)| pair.priority)
            .map(|(index, _)| index)
    }

    /// A check of this pair is sent.
    pub(super) fn start(&mut self, index: usize, attempt: Attempt) {
        self.triggered.retain(|waiting| *waiting != index);
        if let Some(pair) = self.pairs.get_mut(index) {
            pair.state = PairState::InProgress;
            pair.attempt = Some(attempt);
        }
    }

    /// The pair one of whose checks this is, and whether that still runs.
    pub(super) fn of(&self, id: TransactionId) -> Option<(usize, Attempt, bool)> {
        self.pairs.iter().enumerate().find_map(|(index, pair)| {
            let running = pair.attempt.filter(|attempt| attempt.id == id);
            let mut cancelled = pair.cancelled.iter().copied();
            running
                .map(|attempt| (index, attempt, true))
                .or_else(|| Some((index, cancelled.find(|attempt| attempt.id == id)?, false)))
        })
    }

    /// The far end says from where a check came.
    pub(super) fn learn_mapped(&mut self, index: usize, mapped: Option<SocketAddr>) {
        if let Some(pair) = self.pairs.get_mut(index) {
            pair.mapped = mapped.or(pair.mapped);
        }
    }

    /// A check succeeded: those like it may be checked, too (section 7.2.5.3.3).
    pub(super) fn succeed(&mut self, index: usize) {
        let Some(pair) = self.pairs.get_mut(index) else {
            return;
        };
        pair.state = PairState::Succeeded;
        pair.attempt = None;
        pair.is_valid = true;
        let foundation = pair.foundation.clone();
        for other in &mut self.pairs {
            if other.foundation == foundation && other.state == PairState::Frozen {
                other.state = PairState::Waiting;
            }
        }
    }

    pub(super) fn fail(&mut self, index: usize) {
        if let Some(pair) = self.pairs.get_mut(index) {
            pair.fail();
        }
    }

    /// The end is found: what was not asked for is not checked any more (section 8.1.2).
    pub(super) fn stop(&mut self, component: PacketKind) {
        for pair in &mut self.pairs {
            let open = matches!(
                pair.state,
                PairState::Frozen | PairState::Waiting | PairState::InProgress
            );
            if pair.component == component && open && !pair.is_valid {
                pair.cancel();
                pair.state = PairState::Failed;
            }
        }
    }

    /// Checks to be sent again now; those that had their time fail.
    pub(super) fn take_repeats(&mut self, now: Instant) -> Vec<usize> {
        let mut repeats = Vec::new();
        for (index, pair) in self.pairs.iter_mut().enumerate() {
            let Some(attempt) = pair.attempt.as_mut().filter(|attempt| attempt.next <= now) else {
                continue;
            };
            if attempt.sends >= SENDS {
                pair.fail();
                continue;
            }
            attempt.sends += 1;
            let wait = if attempt.sends == SENDS {
                FIRST_WAIT * LAST_WAIT
            } else {
                FIRST_WAIT * (1 << (attempt.sends - 1))
            };
            attempt.next = now + wait;
            repeats.push(index);
        }
        repeats
    }

    /// The pair to be used for a component: the best nominated one, else the best valid one.
    pub(super) fn chosen(&self, component: PacketKind) -> Option<usize> {
        let pairs = self.pairs.iter().enumerate();
        pairs
            .filter(|(_, pair)| pair.component == component && pair.is_valid)
            .max_by_key(|(_, pair)| (pair.is_nominated, pair.priority))
            .map(|(index, _)| index)
    }

    /// Whether a better pair of this component may still turn out to be valid.
    pub(super) fn may_improve(&self, index: usize) -> bool {
        let Some(best) = self.pairs.get(index) else {
            return false;
        };
        self.pairs.iter().any(|pair| {
            pair.component == best.component
                && pair.priority > best.priority
                && !matches!(pair.state, PairState::Failed | PairState::Succeeded)
        })
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let attempts = self.pairs.iter().filter_map(|pair| pair.attempt);
        attempts.map(|attempt| attempt.next).min()
    }
}

fn rank(pair: &Pair) -> (bool, u64) {
    (pair.component == PacketKind::Rtp, pair.priority)
}
