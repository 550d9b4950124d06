//! When to register, subscribe or publish again: after a failure later each time, after a success
//! before it runs out.

use std::time::Duration;

use crate::token::Tokens;

/// Back-off after a failure: first and longest. A phone is back within a minute of its server,
/// however long that was gone.
pub(crate) const FIRST_RETRY: Duration = Duration::from_secs(2);
pub(crate) const LAST_RETRY: Duration = Duration::from_secs(50);
/// The longest after a refusal of the password.
const LAST_DENIED_RETRY: Duration = Duration::from_secs(120);
/// Back-off after a refusal of the password: long enough not to lock the account, short enough that
/// a corrected one works soon.
pub(crate) const DENIED_RETRY: Duration = Duration::from_secs(30);
/// Longest Retry-After that is believed, in seconds.
const MAX_RETRY_AFTER_S: u32 = 3600;
/// Soonest a binding is refreshed, whatever little the registrar grants.
const FIRST_REFRESH: Duration = Duration::from_secs(2);

/// The waits between failed tries: doubled each time, never the same in all phones of a network.
#[derive(Debug, Default)]
pub(crate) struct BackOff {
    pub(crate) failures: u32,
}

impl BackOff {
    pub(crate) fn next(
        &mut self,
        denied: bool,
        retry_after: Option<u32>,
        tokens: &mut Tokens,
    ) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let doubled = FIRST_RETRY * 2_u32.pow(self.failures.min(10) - 1);
        let (low, high) = if denied {
            let wait = doubled.max(DENIED_RETRY).min(LAST_DENIED_RETRY);
            (wait, wait * 3 / 2)
        } else {
            let wait = doubled.min(LAST_RETRY);
            (wait / 2, wait)
        };
        let wait = tokens.between(low, high);
        let asked = retry_after.map(|s| Duration::from_secs(u64::from(s.min(MAX_RETRY_AFTER_S))));
        asked.map_or(wait, |asked| wait.max(asked))
    }
}

/// How long after a success to register again: before the binding runs out, with room for one whole
/// failed try where the lifetime allows that.
pub(crate) fn refresh_after(lifetime: Duration, tokens: &mut Tokens) -> Duration {
    let margin = (lifetime / 2)
        .min(Duration::from_secs(40))
        .max(lifetime / 10);
    // Phones that registered together, after a power cut or a restart of their server, drift apart.
    let jitter = tokens
        .between(Duration::from_millis(600), Duration::from_secs(1))
        .as_millis() as u32;
    (lifetime.saturating_sub(margin) * jitter / 1000).max(FIRST_REFRESH)
}
