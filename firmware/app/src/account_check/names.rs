//! Finding an account's server by name, question by question, so that a name server that does not
//! answer and a name that does not exist are distinguished.
//!
//! ```text
//! account ─▶ ServerName ─┬ number, or in /etc/hosts ──────────────▶ targets
//!                        ├ with a port ─────────▶ A, AAAA ────────▶ targets
//!                        └ NAPTR (TLS) ─▶ SRV ──▶ A, AAAA ────────▶ targets   (no SRV: A, AAAA)
//! ```

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use config::schema::Account;
use sip::{Target, Transport};

use super::finding::Finding;
use crate::net::dns::ask::ask;
use crate::net::dns::question::{AskError, Kind, Question, Record};
use crate::net::dns::system::System;

/// How long a name server may take.
const ANSWER_TIME: Duration = Duration::from_secs(2);

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
pub(super) fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let uri = sip::message::Uri::parse(&format!("sip:{text}")).ok()?;
    let uri = uri.as_sip()?;
    let host = match uri.host().ip() {
        Some(ip) => ip.to_string(),
        None => uri.host().to_string(),
    };
    Some((host.trim_end_matches('.').to_ascii_lowercase(), uri.port()))
}

/// Why a question has no records for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoRecords {
    /// None of the name servers answers.
    Silent,
    /// There is no such name, or it has no such record.
    None,
    /// The name server answers with an error.
    Failed(String),
}

impl std::fmt::Display for NoRecords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Silent => f.write_str("no name server answers"),
            Self::None => f.write_str("there is no such host"),
            Self::Failed(code) => write!(f, "the name server answers {code}"),
        }
    }
}

/// The addresses of a host, as the phone looks it up.
pub(super) async fn addresses(host: &str, system: &System) -> Result<Vec<IpAddr>, NoRecords> {
    let mut resolver = Resolver::new(system);
    resolver.addresses(host).await
}

/// Questions to the name servers of this system, one after the other, so that each that is silent
/// is known.
struct Resolver<'a> {
    system: &'a System,
    /// Which did not answer.
    silent: Vec<SocketAddr>,
    /// Which answered last.
    answered: Option<SocketAddr>,
    /// The questions, and what came of each.
    asked: Vec<String>,
}

impl<'a> Resolver<'a> {
    fn new(system: &'a System) -> Self {
        Self {
            system,
            silent: Vec::new(),
            answered: None,
            asked: Vec::new(),
        }
    }

    /// Asks, and keeps what a reader wants to know of it.
    async fn ask(&mut self, name: &str, kind: Kind) -> Result<Vec<Record>, NoRecords> {
        let answer = self.ask_in_turn(name, kind).await;
        let outcome = match &answer {
            Ok(records) => {
                let list: Vec<String> = records.iter().map(shown).collect();
                list.join(", ")
            }
            Err(NoRecords::None) => "none".to_owned(),
            Err(NoRecords::Silent) => "no answer".to_owned(),
            Err(NoRecords::Failed(code)) => code.clone(),
        };
        self.asked.push(format!("{kind} {name}: {outcome}"));
        answer
    }

    async fn ask_in_turn(&mut self, name: &str, kind: Kind) -> Result<Vec<Record>, NoRecords> {
        let question = Question::new(name, kind);
        for server in &self.system.servers {
            if self.silent.contains(server) {
                continue;
            }
            let asked = ask(question.clone(), vec![*server]);
            match tokio::time::timeout(ANSWER_TIME, asked).await {
                Ok(Ok(answer)) if answer.records.is_empty() => {
                    self.answered = Some(*server);
                    return Err(NoRecords::None);
                }
                Ok(Ok(answer)) => {
                    self.answered = Some(*server);
                    return Ok(answer.records);
                }
                Ok(Err(AskError::Refused { code, .. })) => {
                    self.answered = Some(*server);
                    return Err(NoRecords::Failed(code));
                }
                Ok(Err(AskError::BadName(_))) => return Err(NoRecords::None),
                Ok(Err(_)) | Err(_) => self.silent.push(*server),
            }
        }
        Err(NoRecords::Silent)
    }

    /// What was asked and answered, in brackets.
    fn questions(&self) -> String {
        if self.asked.is_empty() {
            return String::new();
        }
        format!(" ({})", self.asked.join("; "))
    }

    async fn addresses(&mut self, host: &str) -> Result<Vec<IpAddr>, NoRecords> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![ip]);
        }
        let listed = self.system.addresses(host);
        if !listed.is_empty() {
            return Ok(listed);
        }
        let v4 = self.ask(host, Kind::A).await;
        let v6 = self.ask(host, Kind::Aaaa).await;
        let addresses = [&v4, &v6].into_iter().flatten().flatten();
        let ips: Vec<IpAddr> = addresses
            .filter_map(|record| match record {
                Record::Address(ip) => Some(*ip),
                Record::Srv(_) | Record::Naptr(_) => None,
            })
            .collect();
        if ips.is_empty() {
            return Err(v4.err().unwrap_or(NoRecords::None));
        }
        Ok(ips)
    }
}

/// A record in a line.
fn shown(record: &Record) -> String {
    match record {
        Record::Address(ip) => ip.to_string(),
        Record::Srv(srv) => format!("{}:{}", srv.target, srv.port),
        Record::Naptr(naptr) => naptr.replacement.clone(),
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
    system: &System,
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
    let mut resolver = Resolver::new(system);
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
    let questions = resolver.questions();
    found(Finding::good(
        about,
        &format!(
            "{} is {}{how}{asked}{questions}",
            server.host,
            list.join(", ")
        ),
    ));
    Some(targets)
}

/// Hosts and ports of a service, by priority.
async fn services(resolver: &mut Resolver<'_>, service: &str) -> Vec<(String, u16)> {
    let mut records: Vec<(u16, String, u16)> = resolver
        .ask(service, Kind::Srv)
        .await
        .unwrap_or_default()
        .into_iter()
        .filter_map(|record| match record {
            // A dot alone: this service is not offered (RFC 2782).
            Record::Srv(srv) if srv.target != "." && !srv.target.is_empty() => {
                let host = srv.target.trim_end_matches('.').to_owned();
                Some((srv.priority, host, srv.port))
            }
            Record::Srv(_) | Record::Naptr(_) | Record::Address(_) => None,
        })
        .collect();
    records.sort();
    let in_order = records.into_iter().map(|(_, host, port)| (host, port));
    in_order.collect()
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
        NoRecords::Silent if resolver.system.servers.is_empty() => Finding::fault(
            about,
            &format!("{host} cannot be looked up: this system knows no name server"),
            "check cable, Wi-Fi and DHCP, or set [network] dns",
        ),
        NoRecords::Silent => Finding::fault(
            about,
            &format!(
                "{host} cannot be looked up: no name server answers (asked {})",
                list(&resolver.system.servers)
            ),
            "check cable, Wi-Fi and router, or set [network] dns",
        ),
        NoRecords::None => Finding::fault(
            about,
            &format!(
                "there is no host {host}, or it has no address, says name server {}{}",
                list(&Vec::from_iter(resolver.answered)),
                resolver.questions()
            ),
            &format!("correct `{}` of this account", server.setting),
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
}
