//! The registrations of all accounts: which server is whose, and which requests of others are for
//! which account.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::action::{OutgoingRequest, Purpose};
use crate::admission::ByAccount;
use crate::api::AgentConfig;
use crate::client_request::{Account, Delivery};
use crate::env::Env;
use crate::event_body::{ContactState, RegInfo};
use crate::flow::{Flow, Target, Transport};
use crate::ids::ConnectionId;
use crate::locate::Hop;
use crate::message::{Host, Request, Response};
use crate::registration::Registration;
use crate::servers::{ServerChoice, Servers, identity, server_hop};

#[cfg(test)]
mod tests;

/// What a server says of the account's bindings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binding {
    /// Nothing that needs an answer.
    Unchanged,
    /// This phone's is gone; `named`: the server said so of this very contact.
    Removed { after_s: u32, named: bool },
}

/// One registration an account, in the order of the settings.
pub(crate) struct Registrations {
    all: Vec<Registration>,
}

impl Registrations {
    pub(crate) fn new(env: &mut Env, now: Instant) -> Self {
        let accounts = env.config.accounts.clone();
        let new = |(account, config)| Registration::new(account, config, env, now);
        Self {
            all: accounts.iter().enumerate().map(new).collect(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn get(&self, account: usize) -> Option<&Registration> {
        self.all.get(account)
    }

    pub(crate) fn get_mut(&mut self, account: usize) -> Option<&mut Registration> {
        self.all.get_mut(account)
    }

    /// An account's servers.
    pub(crate) fn servers(&self, account: usize) -> Option<&Servers> {
        self.get(account).map(Registration::servers)
    }

    /// Whether a host is a server of any account.
    pub(crate) fn has_server(&self, ip: IpAddr) -> bool {
        let mut all = self.all.iter();
        all.any(|registration| registration.servers().has_address(ip))
    }

    /// Whether this is a REGISTER that its server led elsewhere.
    pub(crate) fn redirects(&self, purpose: Purpose) -> bool {
        let Purpose::Register(account) = purpose else {
            return false;
        };
        self.get(account).is_some_and(Registration::is_redirected)
    }

    /// The addresses of all accounts' servers.
    pub(crate) fn server_addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let all = self.all.iter();
        all.flat_map(|registration| registration.servers().addresses().iter().copied())
    }

    /// Whether any registration needs this connection.
    pub(crate) fn needs(&self, connection: ConnectionId) -> bool {
        let mut all = self.all.iter();
        all.any(|registration| registration.connection() == Some(connection))
    }

    /// Whose credentials a request of an account may use.
    pub(crate) fn credentials<'a>(
        &'a self,
        account: usize,
        config: &'a AgentConfig,
    ) -> Option<Account<'a>> {
        let registration = self.get(account)?;
        Some(Account {
            config: config.accounts.get(account)?,
            servers: registration.servers(),
            proven: registration.is_proven(),
        })
    }

    /// What a far end that a Via names may prove to be.
    pub(crate) fn expected_identities(&self, host: &Host, ip: IpAddr) -> Vec<String> {
        let of_servers = self
            .all
            .iter()
            .flat_map(|registration| registration.servers().expected_identities(host, ip));
        let mut names: Vec<String> = of_servers.chain([identity(host)]).collect();
        names.dedup();
        names
    }

    /// How an account has to do with a request outside of a dialog. `direct`: strangers may call,
    /// so that a server's host may call directly, too.
    pub(crate) fn by_account(
        &self,
        flow: Flow,
        request: &Request,
        config: &AgentConfig,
        direct: bool,
    ) -> ByAccount {
        let user = request.uri.user().unwrap_or_default();
        let config_of = |account: usize| config.accounts.get(account);
        // An account that uses TLS accepts nothing else: the address of a datagram proves nothing.
        let fits = |account: usize| {
            flow.is_secure() || config_of(account).is_none_or(|a| a.transport != Transport::Tls)
        };
        let by_contact = |registration: &Registration| registration.contact_user() == user;
        if let Some(account) = self.all.iter().position(by_contact) {
            return if fits(account) {
                ByAccount::Yes(account)
            } else {
                ByAccount::Insecure
            };
        }
        let ip = flow.remote().ip();
        let called = |account: &usize| {
            let to = request.headers.to().ok().and_then(|to| to.uri.user());
            config_of(*account).is_some_and(|a| a.user == user || Some(&a.user) == to.as_ref())
        };
        let accounts = || {
            let all = self.all.iter().enumerate();
            all.filter(|(_, registration)| registration.servers().has_address(ip))
                .map(|(account, _)| account)
                .filter(|account| fits(*account))
        };
        match accounts().find(called).or_else(|| accounts().next()) {
            // Direct calls from the server's own host name neither account.
            Some(account) if direct && !called(&account) => ByAccount::FromServer,
            Some(account) => ByAccount::Yes(account),
            None => ByAccount::No,
        }
    }

    /// The account a request of ours went by, as its From says.
    pub(crate) fn by_sender(&self, request: &Request, env: &Env) -> Option<usize> {
        let from = request.headers.from().ok()?;
        let from = from.uri.as_sip()?;
        let is_from = |account: &usize| {
            let own = env.address_of_record(*account);
            own.and_then(|own| own.uri.as_sip().cloned())
                .is_some_and(|own| own.user() == from.user() && own.host().matches(from.host()))
        };
        (0..self.all.len()).find(is_from)
    }

    /// The accounts registered at a server that lately did not answer.
    pub(crate) fn at_silent_servers(&self, env: &Env, now: Instant) -> Vec<usize> {
        let silent = |registration: &Registration| {
            let server = registration.server();
            server.is_some_and(|(target, _)| env.reachability.is_avoided(target, now))
        };
        let all = self.all.iter().enumerate();
        all.filter(|(_, registration)| silent(registration))
            .map(|(account, _)| account)
            .collect()
    }

    /// Where else than to its first hop a request may go.
    pub(crate) fn delivery(
        &self,
        outgoing: &OutgoingRequest,
        hop: &Hop,
        config: &AgentConfig,
    ) -> Delivery {
        let account = match outgoing.purpose {
            Purpose::Register(account) => Some(account),
            purpose if purpose.may_go_elsewhere() => outgoing.account,
            _other => None,
        };
        let found = account.and_then(|a| Some((self.get(a)?, config.accounts.get(a)?)));
        let Some((registration, config)) = found else {
            return Delivery::default();
        };
        // What a far end or a Service-Route leads elsewhere goes there and nowhere else.
        if server_hop(config).as_ref() != Ok(hop) {
            return Delivery::default();
        }
        let confirms = matches!(outgoing.purpose, Purpose::Register(_));
        Delivery {
            registered: if confirms {
                registration.suspected_server()
            } else {
                registration.server()
            },
            confirms,
            backups: registration.backups().to_vec(),
            ..Delivery::default()
        }
    }

    /// The addresses of a host were looked up, for a request of the account.
    pub(crate) fn handle_targets(&mut self, account: usize, host: &Host, found: &[Target]) {
        if let Some(registration) = self.get_mut(account) {
            registration.servers_mut().learn(host, found);
        }
    }

    /// A server answered a REGISTER: the account's calls go where its registration went.
    pub(crate) fn handle_registrar_answer(
        &mut self,
        account: usize,
        response: &Response,
        server: ServerChoice,
        env: &mut Env,
        now: Instant,
    ) {
        if response.code() == 503 {
            let retry_after = response.headers.number("Retry-After");
            let known = &mut env.reachability;
            known.handle_overload(server.target, retry_after, now);
        }
        if let Some(registration) = self.get_mut(account) {
            if matches!(response.code(), 401 | 407) {
                registration.handle_challenge(response);
            }
            registration.handle_answer_of(server);
        }
    }

    /// What the registrar says of an account's contacts.
    pub(crate) fn handle_info(&mut self, account: usize, info: &RegInfo) -> Binding {
        let Some(registration) = self.get_mut(account) else {
            return Binding::Unchanged;
        };
        let own = registration.contact_user();
        let mut contacts = info.contacts.iter();
        let found = contacts.find(|contact| contact.user.as_deref() == Some(own));
        match found.map(|contact| contact.state) {
            Some(ContactState::Gone { retry_after_s }) => Binding::Removed {
                after_s: retry_after_s.unwrap_or(0),
                named: true,
            },
            None if info.full => Binding::Removed {
                after_s: 0,
                named: false,
            },
            Some(ContactState::Active) => {
                registration.handle_binding_seen();
                Binding::Unchanged
            }
            Some(ContactState::Rejected) | None => Binding::Unchanged,
        }
    }

    /// The accounts registered at this address by UDP, where the kernel says that no one listens.
    pub(crate) fn at_udp_server(&self, address: SocketAddr) -> Vec<usize> {
        let transport = Transport::Udp;
        let unreachable = Target { transport, address };
        let is_there = |registration: &Registration| {
            let server = registration.server();
            server.is_some_and(|(target, _)| target == unreachable)
        };
        let all = self.all.iter().enumerate();
        all.filter(|(_, registration)| is_there(registration))
            .map(|(account, _)| account)
            .collect()
    }
}
