//! What is known of the registration of each account.

use std::time::Instant;

use crate::event::Event;
use crate::readable::displayable;
use crate::status::{AccountStatus, AttemptStatus};
use crate::wall_clock::WallClock;

/// One account.
#[derive(Debug)]
struct Account {
    name: String,
    uri: String,
    until: Option<Instant>,
    error: Option<String>,
}

/// The accounts of the configuration, in its order.
#[derive(Debug)]
pub(crate) struct Accounts {
    list: Vec<Account>,
}

impl Accounts {
    /// None of them registered.
    pub(crate) fn new(config: &config::Config) -> Self {
        let list = config.accounts.iter().map(|account| Account {
            name: account.name.clone(),
            uri: format!("sip:{}@{}", account.user, account.domain),
            until: None,
            error: None,
        });
        Self {
            list: list.collect(),
        }
    }

    /// The agent's registration changed. Returns the event for listeners.
    pub(crate) fn on_registration(
        &mut self,
        id: sip::AccountId,
        until: Option<Instant>,
        error: Option<&str>,
    ) -> Option<Event> {
        let account = self.list.get_mut(id.0)?;
        let name = &account.name;
        let error = error.map(displayable);
        if account.error != error
            && let Some(error) = &error
        {
            tracing::warn!("account {name}: {error}");
        }
        if account.until.is_none() && until.is_some() {
            tracing::info!("account {name}: registered");
        }
        account.until = until;
        account.error.clone_from(&error);
        Some(Event::Registration {
            account: name.clone(),
            registered: until.is_some(),
            error,
        })
    }

    /// Whether this account is registered.
    pub(crate) fn is_ready(&self, index: usize) -> bool {
        self.list
            .get(index)
            .is_some_and(|account| account.until.is_some())
    }

    /// The first account that is not registered, and why.
    pub(crate) fn first_error(&self) -> Option<(&str, &str)> {
        let failed = |account: &&Account| account.until.is_none() && account.error.is_some();
        let account = self.list.iter().find(failed)?;
        Some((&account.name, account.error.as_deref()?))
    }

    /// What `agent` and the events say of each account.
    pub(crate) fn status(
        &self,
        agent: &sip::UserAgent,
        clock: WallClock,
        now: Instant,
    ) -> Vec<AccountStatus> {
        let attempt = |attempt: &sip::RegistrationAttempt| AttemptStatus {
            at: clock.text(attempt.at),
            server: attempt.server.map(server_name),
            result: displayable(&attempt.result),
            next: attempt.next.map(|next| clock.text(next)),
        };
        let status = |(index, account): (usize, &Account)| {
            let id = sip::AccountId(index);
            let (server, silent) = agent.account_servers(id);
            let until = account.until.filter(|until| *until > now);
            AccountStatus {
                account: account.name.clone(),
                uri: account.uri.clone(),
                registered: until.is_some(),
                expires_in_s: until.map(|until| until.saturating_duration_since(now).as_secs()),
                error: account.error.clone(),
                server: server.filter(|_| until.is_some()).map(server_name),
                silent_servers: silent.iter().copied().map(server_name).collect(),
                messages: None,
                attempts: agent.registration_history(id).map(attempt).collect(),
            }
        };
        self.list.iter().enumerate().map(status).collect()
    }
}

/// A server as status shows it.
fn server_name(server: sip::Target) -> String {
    format!("{} {}", server.transport.as_str(), server.address)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn registration_expires_by_the_clock() {
        let toml = "[[account]]\nname = \"office\"\nuser = \"101\"\ndomain = \"pbx.example\"\n\
                    password = \"x\"\n";
        let config = config::load(toml, "f").unwrap_or_else(|errors| panic!("{errors}"));
        let mut accounts = Accounts::new(&config);
        let now = crate::test_origin();
        let local: std::net::SocketAddr = "192.0.2.1:5060".parse().unwrap();
        let settings = crate::agent_config::agent_config(&config, local.into(), None, [1; 32]);
        let agent = sip::UserAgent::new(settings, now);
        let clock = WallClock::new(now, 0);
        let (id, later) = (sip::AccountId(0), now + Duration::from_secs(60));
        let event = accounts.on_registration(id, Some(later), None);
        let registered = Event::Registration {
            account: "office".into(),
            registered: true,
            error: None,
        };
        assert_eq!(event, Some(registered));
        let status = |accounts: &Accounts, now| accounts.status(&agent, clock, now);
        let first = status(&accounts, now);
        assert_eq!(
            (first[0].registered, first[0].expires_in_s),
            (true, Some(60))
        );
        assert!(!status(&accounts, later)[0].registered);
        accounts.on_registration(id, None, Some("403 \u{1b}Forbidden"));
        let error = status(&accounts, now)[0].error.clone();
        assert_eq!(error.as_deref(), Some("403 \u{fffd}Forbidden"));
        assert_eq!(
            accounts.on_registration(sip::AccountId(1), None, None),
            None
        );
    }
}
