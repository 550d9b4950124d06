//! What a change of the network means for a registration.
//!
//! ```text
//! change after a minute of calm ─▶ REGISTER at once
//! the next ones ─────────────────▶ one REGISTER for all of them, 0.5, 1, 2, 4, 8, 8, … s after the last one
//! ```
//!
//! A link that comes up is used at once; one that flaps, or a neighbour that makes it flap, does
//! not have this phone flood its registrar.

use std::time::{Duration, Instant};

use super::{Registration, RegistrationAction};
use crate::env::Env;

/// A network that stood still for so long is followed at once.
const CALM: Duration = Duration::from_secs(60);
/// Between the first two changes that are followed.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait, while changes keep coming.
const LAST_WAIT: Duration = Duration::from_secs(8);

/// When changes of the network are followed.
#[derive(Debug, Default)]
pub(super) struct ChangePace {
    /// When the last one was followed, or will be.
    followed: Option<Instant>,
    /// How long after that the next one may be.
    wait: Duration,
}

impl ChangePace {
    /// The network changed. When that is to be followed; `None`: now.
    fn handle_change(&mut self, now: Instant) -> Option<Instant> {
        let Some(last) = self.followed.filter(|at| now < *at + CALM) else {
            self.followed = Some(now);
            self.wait = FIRST_WAIT;
            return None;
        };
        // One that waits already follows this one, too.
        if now < last {
            return Some(last);
        }
        let earliest = last + self.wait;
        self.wait = (self.wait * 2).min(LAST_WAIT);
        self.followed = Some(earliest.max(now));
        (now < earliest).then_some(earliest)
    }
}

impl Registration {
    /// There is a network again, or another one: what was agreed over the old one may be gone.
    pub(crate) fn handle_network_change(
        &mut self,
        env: &mut Env,
        now: Instant,
    ) -> Vec<RegistrationAction> {
        match self.changes.handle_change(now) {
            None => self.register(env),
            Some(_) if !self.wanted => Vec::new(),
            Some(at) => {
                self.forget_failures();
                self.next_at = Some(at);
                // What it says may not be so any more, and its answer would put off the next one.
                let abandon = self.request.take().map(RegistrationAction::Abandon);
                abandon.into_iter().collect()
            }
        }
    }

    /// The network is gone, and calls do not come in; why, in words a person can act on.
    pub(crate) fn handle_network_lost(&mut self, reason: &str) -> Vec<RegistrationAction> {
        if !self.wanted || self.flow_lost {
            return Vec::new();
        }
        self.flow_lost = true;
        vec![RegistrationAction::Report {
            until: None,
            error: Some(reason.to_owned()),
        }]
    }

    /// The phone's own address is another one: `env` has it already.
    pub(crate) fn handle_local_address(
        &mut self,
        changed: bool,
        env: &mut Env,
        now: Instant,
    ) -> Vec<RegistrationAction> {
        if changed {
            let transport = env.transport_of(self.account);
            let here = env.account_address(self.account, transport);
            self.contact.handle_local_address(here);
            self.flow.handle_other_network();
        }
        self.handle_network_change(env, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_flaps_is_followed_ever_more_slowly() {
        let start = crate::timer::epoch();
        let mut pace = ChangePace::default();
        let (mut followed, mut due) = (Vec::new(), None);
        // Ten changes a second for a minute.
        for tenth in 0..600 {
            let now = start + Duration::from_millis(100 * tenth);
            if due.is_some_and(|at| at <= now) {
                followed.extend(due.take());
            }
            match pace.handle_change(now) {
                None => followed.push(now),
                Some(at) => {
                    assert!(at > now && at <= now + LAST_WAIT, "{at:?}");
                    due = Some(at);
                }
            }
        }
        assert!((8..=14).contains(&followed.len()), "{}", followed.len());
        let apart = |pair: &[Instant]| pair[1] - pair[0];
        let shortest = followed.windows(2).map(apart).min();
        assert!(shortest >= Some(Duration::from_millis(400)), "{shortest:?}");
        // The last one of all is followed as well.
        assert!(due.is_some());
        // After a minute of calm at once again.
        let later = start + Duration::from_secs(60) + LAST_WAIT + CALM;
        assert_eq!(pace.handle_change(later), None);
    }
}
