//! The servers of an account: which names and addresses count as its own.

use std::net::IpAddr;

use crate::api::AccountConfig;
use crate::env::{server_uri, with_transport};
use crate::flow::{Target, Transport};
use crate::locate::{Hop, HopError};
use crate::message::{Host, NameAddr, SipUri};

/// Most server addresses remembered per account.
const MAX_ADDRESSES: usize = 32;
/// Most servers remembered that an account was sent to.
const MAX_REDIRECTED: usize = 4;

/// The servers' names as configured, and every address they were found at.
#[derive(Debug)]
pub(crate) struct Servers {
    hosts: Vec<Host>,
    addresses: Vec<IpAddr>,
    /// Those that the account's own server sent it to and that registered it, and their names.
    redirected: Vec<(IpAddr, Host)>,
    /// The one that its own server sent it to now.
    redirects_to: Option<Host>,
    /// The realm of the account's password.
    realm: Option<String>,
}

/// A server, and the Route that leads a request by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerRoute {
    pub(crate) hop: Hop,
    /// Takes the place of the request's first Route.
    pub(crate) route: Option<NameAddr>,
}

/// The server that answered a request, among those it could have gone to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerChoice {
    pub(crate) target: Target,
    /// Which server of the account's list (0: the first).
    pub(crate) index: usize,
    /// The addresses that come before it; `None`: it was tried before any name was looked up.
    pub(crate) better: Option<Vec<Target>>,
    /// There are other addresses to go to.
    pub(crate) has_alternatives: bool,
}

/// What a server may be shown of an account's password (as digest).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PasswordTrust {
    /// Whatever it asks for: it is the account's own.
    Own,
    /// It in this realm: the account's own server led there.
    InRealm(String),
    No,
}

impl Servers {
    pub(crate) fn new(account: &AccountConfig) -> Self {
        let hosts: Vec<Host> = [
            Some(&account.domain),
            account.registrar.as_ref(),
            account.outbound_proxy.as_ref(),
        ]
        .into_iter()
        .flatten()
        .chain(&account.backup_servers)
        .filter_map(|text| server_uri(text).map(|uri| uri.host().clone()))
        .collect();
        let addresses = hosts.iter().filter_map(Host::ip).collect();
        Self {
            hosts,
            addresses,
            redirected: Vec::new(),
            redirects_to: None,
            realm: None,
        }
    }

    /// Whether this is an address of the account's servers.
    pub(crate) fn has_address(&self, ip: IpAddr) -> bool {
        self.addresses.contains(&ip.to_canonical()) || self.redirected_at(ip).is_some()
    }

    /// The name by which a server was found that the account's own led to.
    fn redirected_at(&self, ip: IpAddr) -> Option<&Host> {
        let ip = ip.to_canonical();
        let known = || self.redirected.iter().find(|(known, _)| *known == ip);
        (!self.addresses.contains(&ip))
            .then(known)?
            .map(|(_, host)| host)
    }

    /// The name a server must prove that the account's own led to.
    pub(crate) fn redirected_identity(&self, ip: IpAddr) -> Option<String> {
        self.redirected_at(ip).map(identity)
    }

    /// The account's own server leads to this one.
    pub(crate) fn allow_redirected(&mut self, host: Option<Host>) {
        self.redirects_to = host;
    }

    /// The server it led to has registered the account.
    pub(crate) fn learn_redirected(&mut self, ip: IpAddr, host: &Host) {
        let ip = ip.to_canonical();
        self.redirected.retain(|(known, _)| *known != ip);
        if self.redirected.len() >= MAX_REDIRECTED {
            self.redirected.remove(0);
        }
        self.redirected.push((ip, host.clone()));
    }

    /// The account's own server asked for the password in this realm.
    pub(crate) fn learn_realm(&mut self, realm: &str) {
        self.realm = Some(realm.to_owned());
    }

    /// Every address they were found at.
    pub(crate) fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// What a server may be shown of the account's password that was reached by this name at this
    /// address.
    pub(crate) fn password_trust(&self, host: &Host, ip: IpAddr) -> PasswordTrust {
        let leads_there = self
            .redirects_to
            .as_ref()
            .is_some_and(|other| other.matches(host));
        if self.redirected_at(ip).is_none() && (self.has_address(ip) || self.has_name(host)) {
            PasswordTrust::Own
        } else if leads_there || self.redirected_at(ip).is_some() {
            let domain = || self.hosts.first().map(Host::to_string).unwrap_or_default();
            PasswordTrust::InRealm(self.realm.clone().unwrap_or_else(domain))
        } else {
            PasswordTrust::No
        }
    }

    /// A name was resolved: if it is one of the account's, so are its addresses.
    pub(crate) fn learn(&mut self, host: &Host, targets: &[Target]) {
        if !self.has_name(host) {
            return;
        }
        for target in targets {
            let ip = target.address.ip().to_canonical();
            if !self.addresses.contains(&ip) {
                if self.addresses.len() >= MAX_ADDRESSES {
                    self.addresses.remove(0);
                }
                self.addresses.push(ip);
            }
        }
    }

    /// Whose certificate a server must show that was reached by this host, if it is one of the
    /// account's: the account's domain. An address counts because the account names it or its
    /// domain was found there; the certificate must be the domain's all the same.
    pub(crate) fn expected_identities(&self, host: &Host, ip: IpAddr) -> Vec<String> {
        let ours = self.has_name(host) || (host.ip().is_some() && self.has_address(ip));
        self.hosts
            .first()
            .filter(|_| ours)
            .map(identity)
            .into_iter()
            .collect()
    }

    fn has_name(&self, host: &Host) -> bool {
        self.hosts.iter().any(|known| known.matches(host))
    }
}

/// A host as a certificate names it: an IPv6 address without brackets, a name without the dot of
/// the root.
pub(crate) fn identity(host: &Host) -> String {
    match host.ip() {
        Some(ip) => ip.to_string(),
        None => host.to_string().trim_end_matches('.').to_ascii_lowercase(),
    }
}

/// Where requests of an account go that have no route of their own: the configured registrar,
/// otherwise the domain.
pub(crate) fn server_hop(account: &AccountConfig) -> Result<Hop, HopError> {
    if let Some(proxy) = account.outbound_proxy.as_deref().and_then(server_uri) {
        return hop_of(proxy, account.transport);
    }
    let text = account.registrar.as_ref().unwrap_or(&account.domain);
    hop_of(server_uri(text).ok_or(HopError::NoHost)?, account.transport)
}

/// The routes of a request outside of a dialog: what the registrar gave (RFC 3608), else the
/// outbound proxy; and the first hop they, or the account's server, make.
pub(crate) fn route(
    account: &AccountConfig,
    service_route: &[NameAddr],
) -> (Vec<NameAddr>, Result<Hop, HopError>) {
    let proxy = account.outbound_proxy.as_deref().and_then(server_uri);
    let routes = if service_route.is_empty() {
        let proxy = proxy.map(|proxy| proxy_route(proxy, account.transport));
        proxy.into_iter().collect()
    } else {
        service_route.to_vec()
    };
    let hop = match routes.first() {
        Some(route) => Hop::of(&route.uri).and_then(|hop| match account.transport {
            Transport::Udp | Transport::Tcp => Ok(hop),
            Transport::Tls => hop.secured(),
        }),
        None => server_hop(account),
    };
    (routes, hop)
}

/// A server of an account, by its transport.
fn hop_of(server: SipUri, transport: Transport) -> Result<Hop, HopError> {
    let mut hop = Hop::of(&server.into())?;
    match transport {
        Transport::Udp => Ok(hop),
        Transport::Tcp => {
            hop.transport = hop.transport.or(Some(Transport::Tcp));
            Ok(hop)
        }
        Transport::Tls => hop.secured(),
    }
}

/// An outbound proxy as a Route.
fn proxy_route(proxy: SipUri, transport: Transport) -> NameAddr {
    let proxy = if proxy.params().has("transport") {
        proxy
    } else {
        with_transport(proxy, transport)
    };
    NameAddr::new(proxy.with_param("lr", None))
}

/// The servers tried after the first: they stand in for the outbound proxy where there is one, for
/// the registrar otherwise.
pub(crate) fn backup_routes(account: &AccountConfig) -> Vec<ServerRoute> {
    let proxied = account.outbound_proxy.is_some();
    let way = |text: &String| {
        let server = server_uri(text)?;
        let route = proxied.then(|| proxy_route(server.clone(), account.transport));
        let hop = hop_of(server, account.transport).ok()?;
        Some(ServerRoute { hop, route })
    };
    account.backup_servers.iter().filter_map(way).collect()
}
