//! Which of this phone's addresses a far end is spoken to from: the one the kernel would send from.
//! Via, Contact and `c=` name that one, so that the far end's answer finds its way back.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use zeroize::Zeroizing;

use crate::message::{Headers, NameAddr, Uri};

/// Networks that are distinguished; a desk phone has a handful.
const MAX_ROUTES: usize = 64;

/// Families of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Families {
    /// IPv4.
    pub v4: bool,
    /// IPv6.
    pub v6: bool,
}

impl Families {
    /// Whether an address is of one of them.
    pub fn reach(self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(_) => self.v4,
            IpAddr::V6(_) => self.v6,
        }
    }
}

/// A network and the address packets into it are sent from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The network.
    pub network: IpAddr,
    /// Its bits that count; 0: the default route of its family.
    pub prefix: u8,
    /// Our address there.
    pub source: IpAddr,
}

/// The phone's SIP addresses, as they are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAddresses {
    port: u16,
    routes: Vec<Route>,
    /// What the router makes of our address on its outer side (static NAT).
    external: Option<IpAddr>,
}

impl LocalAddresses {
    /// The SIP port and the networks the phone is in, in any order.
    pub fn new(port: u16, routes: impl IntoIterator<Item = Route>) -> Self {
        // Of a machine with very many addresses much is left out, but not the way to everyone else.
        let (mut kept, others): (Vec<Route>, Vec<Route>) =
            routes.into_iter().partition(|route| route.prefix == 0);
        kept.extend(others);
        kept.truncate(MAX_ROUTES);
        let mut routes = kept;
        // The first that matches is the most specific.
        routes.sort_by_key(|route| std::cmp::Reverse(route.prefix));
        Self {
            port,
            routes,
            external: None,
        }
    }

    /// With the address that far ends beyond a router are to use: it forwards the same ports to us.
    #[must_use]
    pub fn with_external(mut self, external: Option<IpAddr>) -> Self {
        self.external = external;
        self
    }

    /// With another SIP port.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Our address towards a host. Where no route leads there, one that leads elsewhere.
    pub fn toward(&self, remote: IpAddr) -> SocketAddr {
        let remote = remote.to_canonical();
        let leads_there = |route: &&Route| route.contains(remote);
        let source = self.routes.iter().find(leads_there);
        match (source, self.external) {
            (Some(route), Some(external))
                if route.prefix == 0
                    && external.is_ipv4() == remote.is_ipv4()
                    && is_public(remote) =>
            {
                SocketAddr::new(external, self.port)
            }
            (Some(route), _) => SocketAddr::new(route.source, self.port),
            (None, _) => self.primary(),
        }
    }

    /// The families some network is there for. The loopback is one only where there is no other.
    pub fn families(&self) -> Families {
        let any = |v4: bool| {
            let mut routes = self
                .routes
                .iter()
                .filter(|route| route.source.is_ipv4() == v4);
            routes.any(|route| !route.source.is_loopback())
        };
        let (v4, v6) = (any(true), any(false));
        if v4 || v6 {
            return Families { v4, v6 };
        }
        let mut sources = self.routes.iter().map(|route| route.source);
        Families {
            v4: sources.clone().any(|source| source.is_ipv4()),
            v6: sources.any(|source| source.is_ipv6()),
        }
    }

    /// Every address of ours that others may know, the one for whoever is not known first. The
    /// loopback is one only where there is no other.
    pub fn hosts(&self) -> Vec<IpAddr> {
        let mut hosts = vec![self.primary().ip()];
        let alone = hosts.iter().all(IpAddr::is_loopback);
        for source in self.routes.iter().map(|route| route.source) {
            let of_a_link = matches!(source, IpAddr::V6(v6) if v6.is_unicast_link_local());
            if !hosts.contains(&source) && !of_a_link && (alone || !source.is_loopback()) {
                hosts.push(source);
            }
        }
        hosts
    }

    /// What a router makes of our address, where that is configured.
    pub fn external(&self) -> Option<IpAddr> {
        self.external
    }

    /// Writes our address towards `remote` where a message names another one of ours: Contact and
    /// From, and the origin and connection of a session description.
    pub(crate) fn name(
        &self,
        headers: &mut Headers,
        body: &mut Zeroizing<Vec<u8>>,
        remote: IpAddr,
    ) {
        let here = self.toward(remote).ip();
        let first = self.routes.first().map(|route| route.source);
        let one = self.routes.iter().all(|route| Some(route.source) == first);
        if one && self.external.is_none() {
            return;
        }
        for name in ["Contact", "From"] {
            if let Ok(addresses) = headers.addresses(name) {
                let several = addresses.len() > 1;
                let renamed = |address: NameAddr| {
                    // One that another takes the place of is named as it was registered: by an
                    // address perhaps that we still have.
                    if several && address.params.get("expires") == Some("0") {
                        address
                    } else {
                        self.renamed(address, here)
                    }
                };
                let renamed: Vec<NameAddr> = addresses.into_iter().map(renamed).collect();
                replace(headers, name, &renamed);
            }
        }
        if let Some(text) = self.described(body, here) {
            *body = Zeroizing::new(text.into_bytes());
        }
    }

    fn is_ours(&self, address: IpAddr) -> bool {
        self.external == Some(address) || self.routes.iter().any(|route| route.source == address)
    }

    fn renamed(&self, mut address: NameAddr, here: IpAddr) -> NameAddr {
        if let Uri::Sip(uri) = &address.uri
            && uri.host().ip().is_some_and(|ip| self.is_ours(ip))
        {
            address.uri = Uri::Sip(uri.clone().with_host(here));
        }
        address
    }

    /// The description with our address towards the far end; none: nothing to be written.
    fn described(&self, body: &[u8], here: IpAddr) -> Option<String> {
        let text = std::str::from_utf8(body).ok()?;
        if !text.starts_with("v=0") {
            return None;
        }
        let family = if here.is_ipv4() { "IP4" } else { "IP6" };
        let mut described = String::with_capacity(text.len() + 64);
        let mut of_session = true;
        for line in text.split_inclusive("\r\n") {
            let content = line.trim_end_matches("\r\n");
            // What stands below an m-line was chosen for the far end's media, not its signalling.
            of_session &= !content.starts_with("m=");
            let ours = (of_session && (content.starts_with("o=") || content.starts_with("c=")))
                .then(|| content.rsplit_once(' '))
                .flatten()
                .filter(|(_, address)| address.parse().is_ok_and(|ip| self.is_ours(ip)))
                .and_then(|(before, _)| before.rsplit_once(' '));
            match ours {
                Some((before, _)) => {
                    let _ = write!(described, "{before} {family} {here}\r\n");
                }
                None => described.push_str(line),
            }
        }
        Some(described)
    }

    /// The address for whoever is not known yet: of a default route, IPv4 first; else of any
    /// network; else the loopback.
    pub fn primary(&self) -> SocketAddr {
        let rank = |route: &&Route| {
            let loopback = route.source.is_loopback();
            (loopback, route.prefix != 0, route.source.is_ipv6())
        };
        let source = self.routes.iter().min_by_key(rank);
        let source = source.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |route| route.source);
        SocketAddr::new(source, self.port)
    }
}

/// One address for every far end of its family.
impl From<SocketAddr> for LocalAddresses {
    fn from(local: SocketAddr) -> Self {
        let network = match local.ip() {
            IpAddr::V4(_) => IpAddr::from([0; 4]),
            IpAddr::V6(_) => IpAddr::from([0; 16]),
        };
        let route = Route {
            network,
            prefix: 0,
            source: local.ip(),
        };
        Self::new(local.port(), [route])
    }
}

/// Whether an address is beyond a router of ours: not of a private network (RFC 1918, RFC 4193).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_private() && !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_unique_local() && !v6.is_loopback(),
    }
}

fn replace(headers: &mut Headers, name: &'static str, addresses: &[NameAddr]) {
    let Some((first, others)) = addresses.split_first() else {
        return;
    };
    if others.is_empty() {
        headers.set(name, first);
        return;
    }
    headers.remove(name);
    for address in addresses {
        headers.push(name, address);
    }
}

impl Route {
    /// Whether an address is in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let same = |a: u128, b: u128, bits: u8| {
            let prefix = u32::from(self.prefix.min(bits));
            // A shift by all bits would be no shift.
            prefix == 0 || (a ^ b) >> (u32::from(bits) - prefix) == 0
        };
        match (self.network, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(u32::from(a).into(), u32::from(b).into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(u128::from(a), u128::from(b), 128),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(network: &str, prefix: u8, source: &str) -> Route {
        Route {
            network: network.parse().unwrap(),
            prefix,
            source: source.parse().unwrap(),
        }
    }

    fn toward(addresses: &LocalAddresses, remote: &str) -> String {
        addresses.toward(remote.parse().unwrap()).to_string()
    }

    #[test]
    fn the_most_specific_network_decides() {
        let addresses = LocalAddresses::new(
            5060,
            [
                route("0.0.0.0", 0, "192.168.1.20"),
                route("::", 0, "2001:db8::20"),
                route("10.0.0.0", 8, "10.1.2.3"),
                route("10.9.0.0", 16, "10.9.0.1"),
                route("127.0.0.0", 8, "127.0.0.1"),
                route("::1", 128, "::1"),
            ],
        );
        assert_eq!(toward(&addresses, "203.0.113.9"), "192.168.1.20:5060");
        assert_eq!(toward(&addresses, "10.200.0.1"), "10.1.2.3:5060");
        assert_eq!(toward(&addresses, "10.9.255.1"), "10.9.0.1:5060");
        assert_eq!(toward(&addresses, "2001:db8:1::1"), "[2001:db8::20]:5060");
        assert_eq!(toward(&addresses, "::ffff:10.9.1.1"), "10.9.0.1:5060");
        assert_eq!(toward(&addresses, "127.0.0.1"), "127.0.0.1:5060");
        assert_eq!(toward(&addresses, "::1"), "[::1]:5060");
        assert_eq!(addresses.primary().to_string(), "192.168.1.20:5060");
    }

    #[test]
    fn a_family_without_a_network_is_not_spoken() {
        let both = |v6: &[Route]| {
            let v4 = [route("0.0.0.0", 0, "192.168.1.20")];
            LocalAddresses::new(5060, v4.into_iter().chain(v6.iter().copied()))
        };
        let (v4, v6): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "::2".parse().unwrap());
        let one = both(&[]);
        assert!(one.families().reach(v4) && !one.families().reach(v6));
        assert_eq!(toward(&one, "2001:db8::1"), "192.168.1.20:5060");
        let two = both(&[route("::", 0, "2001:db8::20")]);
        assert!(two.families().reach(v4) && two.families().reach(v6));
    }

    #[test]
    fn a_message_names_the_address_its_flow_has() {
        let addresses = LocalAddresses::new(
            5060,
            [
                route("0.0.0.0", 0, "192.168.1.20"),
                route("::", 0, "2001:db8::20"),
            ],
        );
        let mut headers = Headers::default();
        headers.push("From", "\"Desk\" <sip:phone@192.168.1.20>;tag=1");
        headers.push("To", "<sip:phone@192.168.1.20>");
        headers.push(
            "Contact",
            "<sip:u@192.168.1.20:5060;transport=tcp>;expires=60",
        );
        headers.push("Contact", "<sip:u@203.0.113.7:1024>;expires=0");
        let text = "v=0\r\no=- 1 1 IN IP4 192.168.1.20\r\ns=-\r\nc=IN IP4 192.168.1.20\r\n\
                    t=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=rtcp:4009\r\n";
        let mut body = Zeroizing::new(text.as_bytes().to_vec());
        addresses.name(&mut headers, &mut body, "203.0.113.1".parse().unwrap());
        assert_eq!(std::str::from_utf8(&body).unwrap(), text);
        addresses.name(&mut headers, &mut body, "2001:db8:1::1".parse().unwrap());
        let contacts: Vec<_> = headers.values("Contact").collect();
        assert_eq!(
            contacts,
            [
                "<sip:u@[2001:db8::20]:5060;transport=tcp>;expires=60",
                "<sip:u@203.0.113.7:1024>;expires=0"
            ]
        );
        let from = headers.get("From").unwrap();
        assert!(from.contains("sip:phone@[2001:db8::20]>;tag=1"), "{from}");
        assert_eq!(headers.get("To"), Some("<sip:phone@192.168.1.20>"));
        assert_eq!(
            std::str::from_utf8(&body).unwrap(),
            text.replace("IP4 192.168.1.20", "IP6 2001:db8::20")
        );
    }

    #[test]
    fn a_contact_that_is_replaced_keeps_its_address() {
        let cable = route("0.0.0.0", 0, "10.1.0.20");
        let addresses = LocalAddresses::new(5060, [cable, route("10.2.0.20", 24, "10.2.0.20")]);
        let mut headers = Headers::default();
        headers.push("Contact", "<sip:u@10.2.0.20:5060>;expires=0");
        headers.push("Contact", "<sip:u@10.2.0.20:5060>;expires=60");
        let server = "192.0.2.1".parse().unwrap();
        addresses.name(&mut headers, &mut Zeroizing::default(), server);
        let contacts: Vec<_> = headers.values("Contact").collect();
        let expected = [
            "<sip:u@10.2.0.20:5060>;expires=0",
            "<sip:u@10.1.0.20:5060>;expires=60",
        ];
        assert_eq!(contacts, expected);
    }

    #[test]
    fn a_thousand_addresses_hide_no_default_route() {
        let many = (0..1000_u32).map(|n| {
            let source = IpAddr::from([10, 200, (n / 250) as u8, (n % 250) as u8 + 1]);
            Route {
                network: source,
                prefix: 32,
                source,
            }
        });
        let default = route("0.0.0.0", 0, "192.168.1.20");
        let addresses = LocalAddresses::new(5060, many.chain([default]));
        assert_eq!(toward(&addresses, "203.0.113.9"), "192.168.1.20:5060");
        assert_eq!(addresses.primary().to_string(), "192.168.1.20:5060");
        assert_eq!(addresses.routes.len(), MAX_ROUTES);
    }

    #[test]
    fn the_outer_address_is_for_those_outside() {
        let routes = [
            route("0.0.0.0", 0, "192.168.1.20"),
            route("192.168.1.20", 24, "192.168.1.20"),
            route("::", 0, "2001:db8::20"),
        ];
        let addresses =
            LocalAddresses::new(5060, routes).with_external(Some("203.0.113.20".parse().unwrap()));
        assert_eq!(toward(&addresses, "198.51.100.1"), "203.0.113.20:5060");
        assert_eq!(toward(&addresses, "192.168.1.9"), "192.168.1.20:5060");
        assert_eq!(toward(&addresses, "10.8.0.1"), "192.168.1.20:5060");
        assert_eq!(toward(&addresses, "2001:db8:9::1"), "[2001:db8::20]:5060");
        let mut headers = Headers::default();
        headers.push("Contact", "<sip:u@192.168.1.20:5060>");
        let mut body = Zeroizing::new(b"v=0\r\nc=IN IP4 192.168.1.20\r\n".to_vec());
        addresses.name(&mut headers, &mut body, "198.51.100.1".parse().unwrap());
        assert_eq!(headers.get("Contact"), Some("<sip:u@203.0.113.20:5060>"));
        assert_eq!(&body[..], b"v=0\r\nc=IN IP4 203.0.113.20\r\n");
    }

    #[test]
    fn one_address_is_for_all() {
        let one = LocalAddresses::from("192.0.2.1:5070".parse::<SocketAddr>().unwrap());
        assert_eq!(toward(&one, "203.0.113.9"), "192.0.2.1:5070");
        assert_eq!(one.primary().to_string(), "192.0.2.1:5070");
        assert_eq!(
            LocalAddresses::new(5060, []).primary().to_string(),
            "127.0.0.1:5060"
        );
    }
}
