//! A binding that the registrar took away (RFC 3680): it is made again, and no registrar can have
//! this phone register over and over.

use std::time::{Duration, Instant};

use super::{Registration, RegistrationAction};
use crate::env::Env;

/// How often a binding that the registrar removed is made again at most.
const PACE: Duration = Duration::from_secs(60);
/// Longest wait a registrar can ask for, in seconds.
const MAX_WAIT_S: u32 = 3600;

/// What the registrar said of this phone's contact.
#[derive(Debug, Default)]
pub(super) struct Restoration {
    /// It named it among those it has.
    seen: bool,
    /// When the binding was made again last.
    at: Option<Instant>,
}

impl Registration {
    /// The registrar reports the account's contacts, and this phone's is among them.
    pub(crate) fn handle_binding_seen(&mut self) {
        self.restoration.seen = true;
    }

    /// The registrar says that it has no binding of this phone any more. `after_s`: how many
    /// seconds it wants this phone to wait; `named`: it names the one that is gone.
    pub(crate) fn handle_binding_removed(
        &mut self,
        after_s: u32,
        named: bool,
        env: &mut Env,
        now: Instant,
    ) -> Vec<RegistrationAction> {
        let bound = self.wanted && self.request.is_none() && self.bound_until.is_some();
        // A registrar that hides contacts, or names them otherwise, must not lead to a loop.
        let often = self.restoration.at.is_some_and(|at| now < at + PACE);
        let counts = named || self.restoration.seen;
        if !bound || often || !counts {
            return Vec::new();
        }
        tracing::warn!("the registrar has removed this phone; registering again");
        self.restoration = Restoration {
            seen: false,
            at: Some(now),
        };
        let (low, high) = (Duration::from_millis(100), Duration::from_secs(1));
        let jitter = env.tokens.between(low, high);
        let wait = Duration::from_secs(u64::from(after_s.min(MAX_WAIT_S)));
        self.next_at = Some(now + wait + jitter);
        Vec::new()
    }
}
