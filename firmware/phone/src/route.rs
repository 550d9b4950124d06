//! From a number to the routes it can be called, best first.
//!
//! ```text
//! number or sip: address + which lines are usable ─▶ [Destination, …]     (a second route only for emergency calls)
//!                                                └─▶ Err(why there is none)
//! ```

use crate::input::AccountId;
use crate::note::RouteError;
use crate::output::Destination;

/// What routing needs to know of the configuration, and which lines are usable now.
#[derive(Debug)]
pub(crate) struct Lines {
    /// An account's name and whether calls can be placed by it.
    accounts: Vec<(String, bool)>,
    direct: bool,
    emergency_route: Option<String>,
}

impl Lines {
    pub(crate) fn new(config: &config::Config) -> Self {
        Self {
            accounts: config
                .accounts
                .iter()
                .map(|account| (account.name.clone(), false))
                .collect(),
            direct: config.call.direct.unwrap_or(true),
            emergency_route: config.dial.emergency_route.clone(),
        }
    }

    /// An account became usable or unusable; one that is not configured changes nothing.
    pub(crate) fn set(&mut self, account: AccountId, usable: bool) {
        if let Some(line) = self.accounts.get_mut(account.0) {
            line.1 = usable;
        }
    }

    /// A call could be placed now.
    pub(crate) fn ready(&self) -> bool {
        self.accounts.iter().any(|(_, usable)| *usable) || (self.accounts.is_empty() && self.direct)
    }

    fn usable(&self) -> impl Iterator<Item = AccountId> {
        self.accounts
            .iter()
            .enumerate()
            .filter(|(_, (_, usable))| *usable)
            .map(|(index, _)| AccountId(index))
    }

    /// The route to call a number or address, or why there is none.
    pub(crate) fn route(&self, address: &str) -> Result<Destination, RouteError> {
        let to = |account| Destination {
            address: address.to_owned(),
            account,
            emergency: false,
        };
        if is_address(address) && self.direct {
            return Ok(to(None));
        }
        match self.usable().next() {
            Some(account) => Ok(to(Some(account))),
            None => match self.accounts.first() {
                Some((name, _)) => Err(RouteError::NotRegistered(name.clone())),
                None if is_address(address) => Err(RouteError::DirectOff),
                None => Err(RouteError::NoAccount),
            },
        }
    }

    /// Every route to call an emergency number: the usable accounts, the emergency route, and when
    /// there is neither even an account that is not registered, for many servers take an emergency
    /// call all the same.
    pub(crate) fn emergency_routes(&self, number: &str) -> Vec<Destination> {
        let to = |address: &str, account| Destination {
            address: address.to_owned(),
            account,
            emergency: true,
        };
        let mut routes: Vec<Destination> = self
            .usable()
            .map(|account| to(number, Some(account)))
            .collect();
        routes.extend(self.emergency_route.iter().map(|route| to(route, None)));
        if routes.is_empty() {
            routes.extend((0..self.accounts.len()).map(|index| to(number, Some(AccountId(index)))));
        }
        routes
    }
}

/// A SIP address rather than a number.
fn is_address(text: &str) -> bool {
    let begins = |scheme: &str| {
        text.get(..scheme.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    };
    begins("sip:") || begins("sips:")
}
