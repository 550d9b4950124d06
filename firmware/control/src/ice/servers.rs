//! The STUN and TURN servers of the configuration, and what their names resolve to.
//!
//! ```text
//! Config ─▶ names ─▶ Lookup … ─▶ handle_lookup ─▶ addresses (kept until the next answer) ─▶ of(account)
//! ```

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use config::Config;
use config::schema::{Account, Turn};
use sip::{Lookup, LookupId, Target, Transport};

use super::turn::TurnServer;

/// Port of both protocols (RFC 8489 section 18.6, RFC 8656 section 18).
const PORT: u16 = 3478;
/// Lookups here have these numbers; the user agent counts from 1.
const FIRST_LOOKUP: u64 = 1 << 48;
/// After an answer, and after none.
const AGAIN: Duration = Duration::from_secs(600);
const RETRY: Duration = Duration::from_secs(20);

/// One server.
#[derive(Debug)]
struct Server {
    text: String,
    host: String,
    port: u16,
    addresses: Vec<SocketAddr>,
    /// When its name is looked up; `None`: it is an address.
    due: Option<Instant>,
}

/// All servers that the configuration names.
#[derive(Debug, Default)]
pub(crate) struct Servers(Vec<Server>);

impl Servers {
    pub(crate) fn new(config: &Config, now: Instant) -> Self {
        let turn = |turn: &Option<Turn>| turn.as_ref().map(|turn| turn.server.clone());
        let network = &config.network;
        let mut names = vec![network.stun.clone(), turn(&network.turn)];
        for account in &config.accounts {
            names.extend([account.stun.clone(), turn(&account.turn)]);
        }
        let mut servers: Vec<Server> = Vec::new();
        for text in names.into_iter().flatten().filter(|text| !text.is_empty()) {
            if !servers.iter().any(|known| known.text == text) {
                servers.push(Server::new(text, now));
            }
        }
        Self(servers)
    }

    /// Names to be looked up now.
    pub(crate) fn poll_lookup(&mut self, now: Instant) -> Option<Lookup> {
        let mut servers = self.0.iter_mut().enumerate();
        let (index, server) = servers.find(|(_, server)| server.due.is_some_and(|at| at <= now))?;
        // Until an answer says otherwise.
        server.due = Some(now + RETRY);
        Some(Lookup {
            id: LookupId(FIRST_LOOKUP + index as u64),
            host: server.host.clone(),
            port: Some(server.port),
            transport: Some(Transport::Udp),
        })
    }

    /// The answer; empty: the name does not resolve. Whether it was asked for here.
    pub(crate) fn handle_lookup(&mut self, id: LookupId, targets: &[Target], now: Instant) -> bool {
        let Some(index) = id.0.checked_sub(FIRST_LOOKUP) else {
            return false;
        };
        if let Some(server) = self.0.get_mut(index as usize)
            && !targets.is_empty()
        {
            server.due = Some(now + AGAIN);
            server.addresses.clear();
            for address in targets.iter().map(|target| target.address) {
                let known = |known: &SocketAddr| known.is_ipv4() == address.is_ipv4();
                if !server.addresses.iter().any(known) {
                    server.addresses.push(address);
                }
            }
        }
        true
    }

    /// Another network: names may mean something else there.
    pub(crate) fn handle_network_change(&mut self, now: Instant) {
        for server in &mut self.0 {
            server.due = server.due.map(|_| now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.0.iter().filter_map(|server| server.due).min()
    }

    /// Addresses of the STUN server for calls by an account, at most one of each family.
    pub(crate) fn stun(&self, config: &Config, account: Option<&Account>) -> Vec<SocketAddr> {
        let own = account.and_then(|account| account.stun.as_ref());
        let name = own.or(config.network.stun.as_ref());
        name.map(|name| self.addresses(name).to_vec())
            .unwrap_or_default()
    }

    /// The TURN server for calls by an account.
    pub(crate) fn turn(&self, config: &Config, account: Option<&Account>) -> Option<TurnServer> {
        let own = account.and_then(|account| account.turn.as_ref());
        let turn = own.or(config.network.turn.as_ref())?;
        let addresses = self.addresses(&turn.server);
        Some(TurnServer {
            address: *addresses
                .iter()
                .find(|a| a.is_ipv4())
                .or(addresses.first())?,
            user: turn.user.clone(),
            password: turn.password.clone(),
        })
    }

    fn addresses(&self, name: &str) -> &[SocketAddr] {
        let mut servers = self.0.iter();
        let found = servers.find(|server| server.text == name);
        found.map_or(&[], |server| &server.addresses)
    }
}

impl Server {
    fn new(text: String, now: Instant) -> Self {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().unwrap_or(PORT)),
            _ => (text.as_str(), PORT),
        };
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let address: Option<IpAddr> = host.parse().ok();
        Self {
            addresses: address
                .map(|ip| SocketAddr::new(ip, port))
                .into_iter()
                .collect(),
            due: address.is_none().then_some(now),
            text,
            host,
            port,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn servers(text: &str, now: Instant) -> (Config, Servers) {
        let config = config::load(text, "t.toml").unwrap();
        let servers = Servers::new(&config, now);
        (config, servers)
    }

    #[test]
    fn addresses_need_no_lookup() {
        let now = crate::test_origin();
        let text = "[network]\nstun = \"192.0.2.1\"\nturn = \"[2001:db8::1]:9\"\n\
                    turn_user = \"u\"\n\
                    turn_password = \"p\"\n[[account]]\nuser = \"a\"\ndomain = \"example.net\"\n\
                    password = \"x\"\nstun = \"192.0.2.2:5\"\n";
        let (config, mut servers) = servers(text, now);
        assert_eq!(servers.poll_lookup(now), None);
        assert_eq!(servers.poll_timeout(), None);
        let of = |account| servers.stun(&config, account);
        assert_eq!(of(None), [address("192.0.2.1:3478")]);
        assert_eq!(of(config.accounts.first()), [address("192.0.2.2:5")]);
        let turn = servers.turn(&config, config.accounts.first()).unwrap();
        assert_eq!(turn.address, address("[2001:db8::1]:9"));
        assert_eq!((turn.user.as_str(), turn.password.0.as_str()), ("u", "p"));
    }

    #[test]
    fn names_are_looked_up_and_kept() {
        let now = crate::test_origin();
        let (config, mut servers) = servers("[network]\nstun = \"stun.example.net:19302\"\n", now);
        let lookup = servers.poll_lookup(now).unwrap();
        assert_eq!(
            (lookup.host.as_str(), lookup.port),
            ("stun.example.net", Some(19302))
        );
        assert_eq!(servers.poll_lookup(now), None);
        let target = |text: &str| Target {
            transport: Transport::Udp,
            address: text.parse().unwrap(),
        };
        let all = [
            target("192.0.2.1:19302"),
            target("192.0.2.2:19302"),
            target("[::2]:19302"),
        ];
        assert!(servers.handle_lookup(lookup.id, &all, now));
        let found = [address("192.0.2.1:19302"), address("[::2]:19302")];
        assert_eq!(servers.stun(&config, None), found);
        // An empty answer changes nothing.
        assert!(servers.handle_lookup(lookup.id, &[], now));
        assert_eq!(servers.stun(&config, None), found);
        assert!(!servers.handle_lookup(LookupId(1), &all, now));
        assert!(servers.poll_lookup(now + AGAIN).is_some());
    }
}
