//! Finding an account's server by name, question by question, so that a name server that does not
//! answer and a name that does not exist are told apart.
//!
//! ```text
//! account ─▶ ServerName ─┬ number, or in /etc/hosts ──────────────▶ targets
//!                        ├ with a port ─────────▶ A, AAAA ────────▶ targets
//!                        └ NAPTR (TLS) ─▶ SRV ──▶ A, AAAA ────────▶ targets   (no SRV: A, AAAA)
//! ```

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use config::schema::Account;
use hickory_resolver::proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use sip::{Target, Transport};
use tokio::net::UdpSocket;

use super::finding::Finding;

/// How long a name server may take.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// Name servers asked, as the system's resolver does.
const MAX_NAME_SERVERS: usize = 3;
/// Most records of one answer that are looked at.
const MAX_RECORDS: usize = 16;

/// Where an account's server is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerName {
    /// A name, or an address without brackets.
    pub(super) host: String,
    pub(super) port: Option<u16>,
    pub(super) transport: Transport,
    /// The setting it came from, for messages.
    pub(super) setting: &'static str,
}

impl ServerName {
    /// The outbound proxy where there is one, else the registrar, else the domain.
    pub(super) fn of(account: &Account) -> Result<Self, Box<Finding>> {
        let (setting, text) = match (&account.outbound_proxy, &account.registrar) {
            (Some(proxy), _) => ("outbound_proxy", proxy),
            (None, Some(registrar)) => ("registrar", registrar),
            (None, None) => ("domain", &account.domain),
        };
        let Some((host, port)) = host_and_port(text) else {
            let text = format!("`{setting}` is no host name: {text}");
            let help = "write it as \"pbx.example.org\" or \"192.0.2.1:5060\"";
            return Err(Box::new(Finding::fault(&account.name, &text, help)));
        };
        Ok(Self {
            host,
            port,
            transport: account.transport,
            setting,
        })
    }

    /// The names its certificate may be for: the SIP domain (RFC 5922), then the host itself.
    pub(super) fn identities(&self, account: &Account) -> Vec<String> {
        let domain = host_and_port(&account.domain).map_or_else(String::new, |(host, _)| host);
        let mut names = vec![domain];
        if !names.contains(&self.host) {
            names.push(self.host.clone());
        }
        names
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`; the host in lower case, without brackets.
fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let uri = sip::message::Uri::parse(&format!("sip:{text}")).ok()?;
    let uri = uri.as_sip()?;
    let host = match uri.host().ip() {
        Some(ip) => ip.to_string(),
        None => uri.host().to_string(),
    };
    Some((host.trim_end_matches('.').to_ascii_lowercase(), uri.port()))
}

/// The name servers of this system.
#[derive(Debug, Clone)]
pub(super) struct NameServers(Vec<SocketAddr>);

impl NameServers {
    /// As `/etc/resolv.conf` lists them.
    pub(super) fn of_system() -> Self {
        Self::of_text(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default())
    }

    fn of_text(text: &str) -> Self {
        let servers = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("nameserver")).then(|| words.next()?.parse::<IpAddr>().ok())?
        });
        let servers = servers.take(MAX_NAME_SERVERS);
        Self(servers.map(|ip| SocketAddr::new(ip, 53)).collect())
    }

    #[cfg(test)]
    pub(super) fn at(servers: &[SocketAddr]) -> Self {
        Self(servers.to_vec())
    }
}

/// Addresses that `/etc/hosts` gives a name.
fn in_hosts_file(host: &str) -> Vec<IpAddr> {
    let text = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or("").split_whitespace();
        let Some(Ok(ip)) = words.next().map(str::parse) else {
            continue;
        };
        if words.any(|name| name.eq_ignore_ascii_case(host)) {
            found.push(ip);
        }
    }
    found
}

/// Why a question has no records for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum NoRecords {
    /// None of the name servers answers.
    Silent,
    /// There is no such name.
    NoName,
    /// The name exists, such a record does not.
    NoneOfType,
    /// The name server answers with an error.
    Failed(ResponseCode),
}

/// Questions to the name servers of this system, the working one first.
struct Resolver<'a> {
    servers: &'a [SocketAddr],
    /// Which did not answer.
    silent: Vec<SocketAddr>,
    /// Which answered last.
    answered: Option<SocketAddr>,
}

impl Resolver<'_> {
    async fn ask(&mut self, name: &str, kind: RecordType) -> Result<Vec<RData>, NoRecords> {
        for server in self.servers {
            if self.silent.contains(server) {
                continue;
            }
            match tokio::time::timeout(ANSWER_TIME, ask_one(*server, name, kind)).await {
                Ok(Some(answer)) => {
                    self.answered = Some(*server);
                    return answer;
                }
                Ok(None) | Err(_) => self.silent.push(*server),
            }
        }
        Err(NoRecords::Silent)
    }

    async fn addresses(&mut self, host: &str) -> Result<Vec<IpAddr>, NoRecords> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![ip]);
        }
        let listed = in_hosts_file(host);
        if !listed.is_empty() {
            return Ok(listed);
        }
        let v4 = self.ask(host, RecordType::A).await;
        let v6 = self.ask(host, RecordType::AAAA).await;
        let ips: Vec<IpAddr> = [&v4, &v6]
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|data| match data {
                RData::A(a) => Some(IpAddr::V4(a.0)),
                RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
                _ => None,
            })
            .collect();
        if ips.is_empty() {
            return Err(v4.err().unwrap_or(NoRecords::NoneOfType));
        }
        Ok(ips)
    }
}

/// One question to one name server; `None`: it does not answer it.
async fn ask_one(
    server: SocketAddr,
    name: &str,
    kind: RecordType,
) -> Option<Result<Vec<RData>, NoRecords>> {
    let local: SocketAddr = if server.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0_u16; 8], 0).into()
    };
    let Ok(mut name) = Name::from_str(name) else {
        return Some(Err(NoRecords::NoName));
    };
    name.set_fqdn(true);
    let socket = UdpSocket::bind(local).await.ok()?;
    socket.connect(server).await.ok()?;
    let id = getrandom::u32().unwrap_or(0) as u16;
    let mut question = Message::new(id, MessageType::Query, OpCode::Query);
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(name, kind));
    socket.send(&question.to_vec().ok()?).await.ok()?;
    let mut bytes = vec![0; 4096];
    loop {
        let length = socket.recv(&mut bytes).await.ok()?;
        let Ok(answer) = Message::from_vec(&bytes[..length]) else {
            continue;
        };
        if answer.metadata.id != id || answer.metadata.message_type != MessageType::Response {
            continue;
        }
        let records: Vec<RData> = answer
            .answers
            .iter()
            .filter(|record| record.data.record_type() == kind)
            .take(MAX_RECORDS)
            .map(|record| record.data.clone())
            .collect();
        return Some(match answer.metadata.response_code {
            ResponseCode::NoError if records.is_empty() => Err(NoRecords::NoneOfType),
            ResponseCode::NoError => Ok(records),
            ResponseCode::NXDomain => Err(NoRecords::NoName),
            code => Err(NoRecords::Failed(code)),
        });
    }
}

fn srv_name(transport: Transport, host: &str) -> String {
    match transport {
        Transport::Udp => format!("_sip._udp.{host}"),
        Transport::Tcp => format!("_sip._tcp.{host}"),
        Transport::Tls => format!("_sips._tcp.{host}"),
    }
}

/// The addresses of a server; what was asked and answered is a finding. `None`: there are none.
pub(super) async fn find(
    about: &str,
    server: &ServerName,
    name_servers: &NameServers,
    found: &mut dyn FnMut(Finding),
) -> Option<Vec<Target>> {
    let transport = server.transport;
    let target = |ip, port| Target {
        transport,
        address: SocketAddr::new(ip, port),
    };
    let default = server.port.unwrap_or(transport.default_port());
    if let Ok(ip) = server.host.parse() {
        return Some(vec![target(ip, default)]);
    }
    let mut resolver = Resolver {
        servers: &name_servers.0,
        silent: Vec::new(),
        answered: None,
    };
    let mut targets = Vec::new();
    let mut how = String::new();
    if server.port.is_none() {
        let service = srv_name(transport, &server.host);
        for (host, port) in services(&mut resolver, &service).await {
            let ips = resolver.addresses(&host).await.unwrap_or_default();
            targets.extend(ips.into_iter().map(|ip| target(ip, port)));
        }
        if !targets.is_empty() {
            how = format!(" by SRV {service}");
        }
    }
    let mut problem = None;
    if targets.is_empty() {
        match resolver.addresses(&server.host).await {
            Ok(ips) => targets.extend(ips.into_iter().map(|ip| target(ip, default))),
            Err(why) => problem = Some(why),
        }
    }
    report_silence(about, &resolver, found);
    if let Some(why) = problem {
        found(no_address(about, server, &resolver, &why));
        return None;
    }
    let list: Vec<String> = targets.iter().map(|t| t.address.to_string()).collect();
    let asked = match resolver.answered {
        Some(server) => format!(", says name server {}", server.ip()),
        None => ", says /etc/hosts".to_owned(),
    };
    found(Finding::good(
        about,
        &format!("{} is {}{how}{asked}", server.host, list.join(", ")),
    ));
    Some(targets)
}

/// Hosts and ports of a service, by priority.
async fn services(resolver: &mut Resolver<'_>, service: &str) -> Vec<(String, u16)> {
    let mut records: Vec<(u16, String, u16)> = resolver
        .ask(service, RecordType::SRV)
        .await
        .unwrap_or_default()
        .into_iter()
        .filter_map(|data| match data {
            RData::SRV(srv) if !srv.target.is_root() => {
                let host = srv.target.to_utf8();
                Some((
                    srv.priority,
                    host.trim_end_matches('.').to_owned(),
                    srv.port,
                ))
            }
            _ => None,
        })
        .collect();
    records.sort();
    records
        .into_iter()
        .map(|(_, host, port)| (host, port))
        .collect()
}

/// Name servers that did not answer while another did: every look-up is slow.
fn report_silence(about: &str, resolver: &Resolver<'_>, found: &mut dyn FnMut(Finding)) {
    if resolver.answered.is_none() {
        return;
    }
    for server in &resolver.silent {
        found(Finding::warning(
            about,
            &format!("name server {} does not answer", server.ip()),
            "every name is found late; correct the DHCP server or [network] dns",
        ));
    }
}

fn no_address(
    about: &str,
    server: &ServerName,
    resolver: &Resolver<'_>,
    why: &NoRecords,
) -> Finding {
    let host = &server.host;
    let list = |servers: &[SocketAddr]| {
        let list: Vec<String> = servers
            .iter()
            .map(|server| server.ip().to_string())
            .collect();
        list.join(", ")
    };
    match why {
        NoRecords::Silent if resolver.servers.is_empty() => Finding::fault(
            about,
            &format!("{host} cannot be looked up: this system knows no name server"),
            "check cable, Wi-Fi and DHCP, or set [network] dns",
        ),
        NoRecords::Silent => Finding::fault(
            about,
            &format!(
                "{host} cannot be looked up: no name server answers (asked {})",
                list(resolver.servers)
            ),
            "check cable, Wi-Fi and router, or set [network] dns",
        ),
        NoRecords::NoName => Finding::fault(
            about,
            &format!(
                "there is no host {host}, says name server {}",
                list(&Vec::from_iter(resolver.answered))
            ),
            &format!("correct `{}` of this account", server.setting),
        ),
        NoRecords::NoneOfType => Finding::fault(
            about,
            &format!("{host} has no address and no SRV record for this transport"),
            &format!(
                "correct `{}`, or name the server's host in `registrar`",
                server.setting
            ),
        ),
        NoRecords::Failed(code) => Finding::fault(
            about,
            &format!("the name server answers {code} when asked for {host}"),
            "try again later, or use another name server ([network] dns)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_with_and_without_port() {
        let read = |text| host_and_port(text);
        assert_eq!(
            read("PBX.example.org."),
            Some(("pbx.example.org".into(), None))
        );
        assert_eq!(
            read("[2001:db8::1]:5070"),
            Some(("2001:db8::1".into(), Some(5070)))
        );
        assert_eq!(
            read("192.0.2.1:5062"),
            Some(("192.0.2.1".into(), Some(5062)))
        );
        assert_eq!(read("two words"), None);
    }

    #[test]
    fn name_servers_are_those_of_resolv_conf() {
        let text = "# none\nnameserver 192.0.2.53\nsearch lan\nnameserver 2001:db8::53\n";
        let found = NameServers::of_text(text);
        let wanted: [SocketAddr; 2] = [
            "192.0.2.53:53".parse().unwrap(),
            "[2001:db8::53]:53".parse().unwrap(),
        ];
        assert_eq!(found.0, wanted);
    }
}
