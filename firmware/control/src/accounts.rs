//! What is known of the registration of each account.

use std::time::Instant;

use crate::event::Event;
use crate::readable::displayable;
use crate::status::AccountStatus;

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

    pub(crate) fn status(&self, now: Instant) -> Vec<AccountStatus> {
        let status = |account: &Account| {
            let until = account.until.filter(|until| *until > now);
            AccountStatus {
                account: account.name.clone(),
                uri: account.uri.clone(),
                registered: until.is_some(),
                expires_in_s: until.map(|until| until.saturating_duration_since(now).as_secs()),
                error: account.error.clone(),
            }
        };
        self.list.iter().map(status).collect()
    }
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
        let (id, later) = (sip::AccountId(0), now + Duration::from_secs(60));
        let event = accounts.on_registration(id, Some(later), None);
        let registered = Event::Registration {
            account: "office".into(),
            registered: true,
            error: None,
        };
        assert_eq!(event, Some(registered));
        let status = accounts.status(now);
        assert_eq!(
            (status[0].registered, status[0].expires_in_s),
            (true, Some(60))
        );
        assert!(!accounts.status(later)[0].registered);
        accounts.on_registration(id, None, Some("403 \u{1b}Forbidden"));
        let error = accounts.status(now)[0].error.clone();
        assert_eq!(error.as_deref(), Some("403 \u{fffd}Forbidden"));
        assert_eq!(
            accounts.on_registration(sip::AccountId(1), None, None),
            None
        );
    }
}
