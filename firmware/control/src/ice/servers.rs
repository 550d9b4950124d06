//! The STUN and TURN servers of the configuration, and what their names resolve to.
//!
//! ```text
//! Config ─▶ names ─▶ Lookup … ─▶ handle_lookup ─▶ addresses (kept until the next answer) ─▶ of(account)
//!                 TCP, TLS: TurnLink ─▶ handle_link ─▶ the address of this machine that leads there ─┘
//! ```

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use config::Config;
use config::schema::{Account, Turn};
use sip::{Lookup, LookupId, Service, Target, Transport};

use super::turn::TurnServer;

/// Lookups here have these numbers; the user agent counts from 1.
const FIRST_LOOKUP: u64 = 1 << 48;
/// After an answer, and after none.
const AGAIN: Duration = Duration::from_secs(600);
const RETRY: Duration = Duration::from_secs(20);

/// A TURN server that is to be reached by TCP or TLS: whoever owns sockets binds one of UDP on this
/// machine, and passes on what media sockets send there, each by a connection of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnLink {
    /// Which server.
    pub id: usize,
    /// Its address.
    pub remote: SocketAddr,
    /// TLS: who its certificate must be for. `None`: TCP.
    pub name: Option<String>,
}

/// One server.
#[derive(Debug)]
struct Server {
    text: String,
    service: Service,
    transport: Transport,
    /// TCP and TLS: the server's address a link leads to, and the link's own.
    link: Option<(SocketAddr, Option<SocketAddr>)>,
    host: String,
    /// As configured; without one the name's SRV records say it.
    port: Option<u16>,
    addresses: Vec<SocketAddr>,
    /// When its name is looked up; `None`: it is an address.
    due: Option<Instant>,
}

/// All servers that the configuration names.
#[derive(Debug, Default)]
pub(crate) struct Servers(Vec<Server>);

impl Servers {
    pub(crate) fn new(config: &Config, now: Instant) -> Self {
        let turn = |turn: &Option<Turn>| {
            let turn = turn.as_ref()?;
            Some((turn.server.clone(), Service::Turn, turn.transport))
        };
        let stun = |stun: &Option<String>| Some((stun.clone()?, Service::Stun, Transport::Udp));
        let network = &config.network;
        let mut names = vec![stun(&network.stun), turn(&network.turn)];
        for account in &config.accounts {
            names.extend([stun(&account.stun), turn(&account.turn)]);
        }
        let mut servers: Vec<Server> = Vec::new();
        for (text, service, transport) in names.into_iter().flatten() {
            let known = |known: &Server| known.is(&text, service, transport);
            if !text.is_empty() && !servers.iter().any(known) {
                servers.push(Server::new(text, service, transport, now));
            }
        }
        Self(servers)
    }

    /// A link that is needed now, or one in place of the one there was.
    pub(crate) fn poll_link(&mut self) -> Option<TurnLink> {
        let mut servers = self.0.iter_mut().enumerate();
        servers.find_map(|(id, server)| {
            let remote = server.preferred()?;
            let linked = server.link.is_some_and(|(to, _)| to == remote);
            if server.transport == Transport::Udp || linked {
                return None;
            }
            server.link = Some((remote, None));
            let name = (server.transport == Transport::Tls).then(|| server.host.clone());
            Some(TurnLink { id, remote, name })
        })
    }

    /// The link has this address; `None`: it cannot be had.
    pub(crate) fn handle_link(&mut self, id: usize, local: Option<SocketAddr>) {
        if let Some((_, link)) = self.0.get_mut(id).and_then(|server| server.link.as_mut()) {
            *link = local;
        }
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
            port: server.port,
            transport: Some(server.transport),
            service: server.service,
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
        let server = name.and_then(|name| self.server(name, Service::Stun, Transport::Udp));
        server.map_or_else(Vec::new, |server| server.addresses.clone())
    }

    /// The TURN server for calls by an account.
    pub(crate) fn turn(&self, config: &Config, account: Option<&Account>) -> Option<TurnServer> {
        let own = account.and_then(|account| account.turn.as_ref());
        let turn = own.or(config.network.turn.as_ref())?;
        let server = self.server(&turn.server, Service::Turn, turn.transport)?;
        let by_stream = turn.transport != Transport::Udp;
        Some(TurnServer {
            address: if by_stream {
                server.link?.1?
            } else {
                server.preferred()?
            },
            by_stream,
            user: turn.user.clone(),
            password: turn.password.clone(),
        })
    }

    fn server(&self, name: &str, service: Service, transport: Transport) -> Option<&Server> {
        let mut servers = self.0.iter();
        servers.find(|server| server.is(name, service, transport))
    }
}

impl Server {
    fn new(text: String, service: Service, transport: Transport, now: Instant) -> Self {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
            _ => (text.as_str(), None),
        };
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let address: Option<IpAddr> = host.parse().ok();
        Self {
            addresses: address
                .map(|ip| SocketAddr::new(ip, port.unwrap_or(service.default_port(transport))))
                .into_iter()
                .collect(),
            due: address.is_none().then_some(now),
            text,
            service,
            transport,
            link: None,
            host,
            port,
        }
    }

    fn is(&self, text: &str, service: Service, transport: Transport) -> bool {
        (self.text.as_str(), self.service, self.transport) == (text, service, transport)
    }

    /// The address that is used where one is enough: of IPv4, where there is one.
    fn preferred(&self) -> Option<SocketAddr> {
        let mut addresses = self.addresses.iter();
        let v4 = addresses.find(|address| address.is_ipv4());
        v4.or(self.addresses.first()).copied()
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
    fn a_server_over_tls_is_behind_a_link() {
        let now = crate::test_origin();
        let text = "[network]\nturn = \"turn.example.net\"\nturn_transport = \"tls\"\n\
                    turn_user = \"u\"\nturn_password = \"p\"\n[[account]]\nuser = \"a\"\n\
                    domain = \"example.net\"\npassword = \"x\"\nturn = \"192.0.2.2\"\n\
                    turn_transport = \"tcp\"\n";
        let (config, mut servers) = servers(text, now);
        let by_tcp = TurnLink {
            id: 1,
            remote: address("192.0.2.2:3478"),
            name: None,
        };
        assert_eq!(servers.poll_link(), Some(by_tcp));
        assert_eq!(servers.poll_link(), None, "the other has no address yet");
        let lookup = servers.poll_lookup(now).unwrap();
        assert_eq!(
            (lookup.port, lookup.transport, lookup.service),
            (None, Some(Transport::Tls), Service::Turn)
        );
        let target = |text: &str| Target {
            transport: Transport::Tls,
            address: text.parse().unwrap(),
        };
        servers.handle_lookup(lookup.id, &[target("192.0.2.1:5349")], now);
        let link = servers.poll_link().unwrap();
        assert_eq!(link.name.as_deref(), Some("turn.example.net"));
        assert_eq!(servers.turn(&config, None), None, "no link yet");
        servers.handle_link(link.id, Some(address("127.0.0.1:40000")));
        let turn = servers.turn(&config, None).unwrap();
        assert_eq!(
            (turn.address, turn.by_stream),
            (address("127.0.0.1:40000"), true)
        );
        assert_eq!(servers.turn(&config, config.accounts.first()), None);
        // The same again is the same link; another address is another one.
        servers.handle_lookup(lookup.id, &[target("192.0.2.1:5349")], now);
        assert_eq!(servers.poll_link(), None);
        servers.handle_lookup(lookup.id, &[target("192.0.2.9:5349")], now);
        assert_eq!(
            servers.poll_link().unwrap().remote,
            address("192.0.2.9:5349")
        );
        assert_eq!(servers.turn(&config, None), None);
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
