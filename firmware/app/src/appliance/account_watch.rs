//! Which account has not been registered for a minute, so that its owner should learn why. Decides
//! only; the driver tries the account and gives the findings back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use control::AccountStatus;

use crate::account_check::Finding;

/// How long an account may be unregistered before it is tried.
const UNREGISTERED_FOR: Duration = Duration::from_secs(60);
/// Between two tries of one account: a server may count them.
const TRY_AGAIN: Duration = Duration::from_secs(3600);

#[derive(Debug)]
struct Account {
    since: Instant,
    tried: Option<Instant>,
    findings: Vec<Finding>,
}

/// The accounts that are not registered.
#[derive(Debug, Default)]
pub(crate) struct AccountWatch {
    accounts: BTreeMap<String, Account>,
    /// One try at a time.
    is_trying: bool,
}

impl AccountWatch {
    /// Looks at what each account does; the name of one that is to be tried now.
    pub(crate) fn handle_status(
        &mut self,
        accounts: &[AccountStatus],
        now: Instant,
    ) -> Option<String> {
        self.accounts
            .retain(|name, _| accounts.iter().any(|a| a.account == *name && !a.registered));
        let mut due = None;
        for status in accounts.iter().filter(|account| !account.registered) {
            let account = self
                .accounts
                .entry(status.account.clone())
                .or_insert(Account {
                    since: now,
                    tried: None,
                    findings: Vec::new(),
                });
            let is_due = now.saturating_duration_since(account.since) >= UNREGISTERED_FOR
                && account
                    .tried
                    .is_none_or(|at| now.saturating_duration_since(at) >= TRY_AGAIN);
            if is_due && !self.is_trying && due.is_none() {
                account.tried = Some(now);
                due = Some(status.account.clone());
            }
        }
        self.is_trying |= due.is_some();
        due
    }

    /// What a try came to.
    pub(crate) fn handle_tried(&mut self, name: &str, findings: Vec<Finding>) {
        self.is_trying = false;
        // It may have registered meanwhile.
        if let Some(account) = self.accounts.get_mut(name) {
            account.findings = findings;
        }
    }

    /// What is known of an account that is not registered.
    pub(crate) fn findings(&self, name: &str) -> &[Finding] {
        self.accounts
            .get(name)
            .map_or(&[], |account| account.findings.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(name: &str, registered: bool) -> AccountStatus {
        AccountStatus {
            account: name.to_owned(),
            uri: format!("sip:{name}"),
            registered,
            expires_in_s: None,
            error: None,
            server: None,
            silent_servers: Vec::new(),
            messages: None,
            attempts: Vec::new(),
        }
    }

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn tried_after_a_minute_and_then_each_hour() {
        let start = Instant::now();
        let mut watch = AccountWatch::default();
        let accounts = [status("a", false)];
        let mut tried = Vec::new();
        for second in 0..8000 {
            if let Some(name) = watch.handle_status(&accounts, at(start, second)) {
                watch.handle_tried(&name, vec![Finding::good("a", "x")]);
                tried.push(second);
            }
        }
        assert_eq!(tried, [60, 3660, 7260]);
        assert_eq!(watch.findings("a").len(), 1);
    }

    #[test]
    fn one_at_a_time_and_forgotten_once_registered() {
        let start = Instant::now();
        let mut watch = AccountWatch::default();
        let both = [status("a", false), status("b", false)];
        assert_eq!(watch.handle_status(&both, start), None);
        let first = watch.handle_status(&both, at(start, 60));
        assert_eq!(first.as_deref(), Some("a"));
        assert_eq!(
            watch.handle_status(&both, at(start, 61)),
            None,
            "a is being tried"
        );
        watch.handle_tried("a", vec![Finding::good("a", "x")]);
        let second = watch.handle_status(&both, at(start, 62));
        assert_eq!(second.as_deref(), Some("b"));
        watch.handle_status(&[status("a", true), status("b", true)], at(start, 63));
        watch.handle_tried("b", vec![Finding::good("b", "late")]);
        assert!(watch.findings("a").is_empty() && watch.findings("b").is_empty());
    }

    #[test]
    fn a_registered_account_is_never_tried() {
        let start = Instant::now();
        let mut watch = AccountWatch::default();
        for second in 0..4000 {
            let on = [status("a", second % 50 != 0)];
            assert_eq!(watch.handle_status(&on, at(start, second)), None);
        }
    }
}
