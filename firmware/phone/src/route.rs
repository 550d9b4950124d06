//! From a number to the routes it can be called, best first.
//!
//! ```text
//! number or sip: address + which lines are usable ─▶ [Destination, …]     (a second route only for emergency calls)
//!                                                └─▶ Err(why there is none)
//! ```

use crate::input::AccountId;
use crate::note::RouteError;
use crate::output::{CallOptions, Destination};

/// What routing needs to know of the configuration, and which lines are usable now.
#[derive(Debug)]
pub(crate) struct Lines {
    /// An account's name and whether calls can be placed by it.
    accounts: Vec<(String, bool)>,
    /// What is keyed before a number that uses an account.
    prefixes: Vec<Option<String>>,
    /// The domain of each account.
    domains: Vec<String>,
    /// The accounts whose number is withheld.
    anonymous: Vec<bool>,
    /// The accounts whose server takes no 302: calls are forwarded by transfer.
    transfers: Vec<bool>,
    /// The account that a key chose for the next number.
    chosen: Option<AccountId>,
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
            prefixes: config
                .accounts
                .iter()
                .map(|account| account.prefix.clone())
                .collect(),
            domains: config
                .accounts
                .iter()
                .map(|account| account.domain.clone())
                .collect(),
            anonymous: config
                .accounts
                .iter()
                .map(|account| account.anonymous)
                .collect(),
            transfers: config
                .accounts
                .iter()
                .map(|account| account.forward_by_transfer)
                .collect(),
            chosen: None,
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

    /// The account whose domain an address is in: it is called by that account, whatever direct
    /// calls are.
    fn of_own_domain(&self, address: &str) -> Option<AccountId> {
        if !is_address(address) {
            return None;
        }
        let (host, port) = host_and_port(address.rsplit_once('@')?.1);
        let same = |(_, domain): &(usize, &String)| {
            let (own, own_port) = host_and_port(domain);
            let default = |port: Option<&str>| port.unwrap_or(DEFAULT_PORT).to_owned();
            host.eq_ignore_ascii_case(own) && (port.is_none() || default(port) == default(own_port))
        };
        let found = self.domains.iter().enumerate().find(same)?;
        Some(AccountId(found.0))
    }

    /// The account of this name.
    pub(crate) fn named(&self, name: &str) -> Option<AccountId> {
        let index = self.accounts.iter().position(|(known, _)| known == name)?;
        Some(AccountId(index))
    }

    /// The next number goes by this account; `None`: by whichever can.
    pub(crate) fn choose(&mut self, account: Option<AccountId>) {
        self.chosen = account;
    }

    /// The account that a key chose.
    #[cfg(test)]
    pub(crate) fn chosen(&self) -> Option<AccountId> {
        self.chosen
    }

    /// The account that a number goes by unless it says otherwise.
    pub(crate) fn next_account(&self) -> Option<AccountId> {
        let chosen = self.chosen.filter(|chosen| self.by(*chosen, "").is_ok());
        chosen.or_else(|| self.usable().next())
    }

    /// Calls by this account withhold its number.
    pub(crate) fn withholds(&self, account: Option<AccountId>) -> bool {
        account.is_some_and(|account| self.anonymous.get(account.0) == Some(&true))
    }

    /// Calls of this account are forwarded by transfer.
    pub(crate) fn transfers(&self, account: AccountId) -> bool {
        self.transfers.get(account.0) == Some(&true)
    }

    /// The account whose prefix a number begins with, and the number after it. The longest counts.
    pub(crate) fn by_prefix<'n>(&self, number: &'n str) -> Option<(AccountId, &'n str)> {
        let fits = |(index, prefix): (usize, &Option<String>)| {
            let prefix = prefix.as_deref()?;
            let rest = number.strip_prefix(prefix)?;
            (!rest.is_empty()).then_some((AccountId(index), rest))
        };
        let all = self.prefixes.iter().enumerate().filter_map(fits);
        all.min_by_key(|(_, rest)| rest.len())
    }

    /// The account by which these digits would go if no more came.
    pub(crate) fn likely(&self, digits: &str) -> Option<AccountId> {
        let by_prefix = || self.by_prefix(digits).map(|(account, _)| account);
        self.chosen.or_else(by_prefix).or(self.usable().next())
    }

    /// The route by this account, if it is usable.
    pub(crate) fn by(&self, account: AccountId, address: &str) -> Result<Destination, RouteError> {
        match self.accounts.get(account.0) {
            Some((_, true)) => Ok(Destination {
                address: address.to_owned(),
                account: Some(account),
                emergency: false,
                options: CallOptions::default(),
                has_more: false,
            }),
            Some((name, false)) => Err(RouteError::NotRegistered(name.clone())),
            None => Err(RouteError::NoAccount),
        }
    }

    /// The route to call a number or address, or why there is none.
    pub(crate) fn route(&self, address: &str) -> Result<Destination, RouteError> {
        let to = |account| Destination {
            address: address.to_owned(),
            account,
            emergency: false,
            options: CallOptions::default(),
            has_more: false,
        };
        if let Some(account) = self.of_own_domain(address) {
            return self.by(account, address);
        }
        if let Some(account) = self.chosen.filter(|_| !is_address(address)) {
            return self.by(account, address);
        }
        if let Some((account, number)) = self.by_prefix(address) {
            return self.by(account, number);
        }
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

    /// Every route to call an emergency number: the usable accounts, the emergency route, and the
    /// accounts that are not registered, for many servers take an emergency call all the same.
    pub(crate) fn emergency_routes(&self, number: &str) -> Vec<Destination> {
        let to = |address: &str, account| Destination {
            address: address.to_owned(),
            account,
            emergency: true,
            options: CallOptions::default(),
            has_more: false,
        };
        let mut routes: Vec<Destination> = self
            .usable()
            .map(|account| to(number, Some(account)))
            .collect();
        routes.extend(self.emergency_route.iter().map(|route| to(route, None)));
        let unusable = self.accounts.iter().enumerate();
        let unusable = unusable.filter(|(_, (_, usable))| !*usable);
        routes.extend(unusable.map(|(index, _)| to(number, Some(AccountId(index)))));
        routes
    }
}

/// Port of SIP where none is said.
const DEFAULT_PORT: &str = "5060";

/// Host, without the dot of the root, and port of what follows the `@` of an address.
fn host_and_port(text: &str) -> (&str, Option<&str>) {
    let text = &text[..text.find([';', '?', '>']).unwrap_or(text.len())];
    let end = text.find(']').unwrap_or_default();
    let (host, port) = match text[end..].split_once(':') {
        Some((_, port)) => (&text[..text.len() - port.len() - 1], Some(port)),
        None => (text, None),
    };
    (host.trim_end_matches('.'), port)
}

/// A SIP address rather than a number.
fn is_address(text: &str) -> bool {
    let begins = |scheme: &str| {
        text.get(..scheme.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    };
    begins("sip:") || begins("sips:")
}
