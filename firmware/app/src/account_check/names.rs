//! Finding an account's server by name, question by question, so that a name server that does not
//! answer and a name that does not exist are distinguished.
//!
//! ```text
//! account ─▶ ServerName ─┬ number, or in /etc/hosts ──────────────▶ targets
//!                        ├ name.local ─▶ this link ─▶ A, AAAA ────▶ targets
//!                        ├ with a port ─────────▶ A, AAAA ────────▶ targets
//!                        └ NAPTR (TLS) ─▶ SRV ──▶ A, AAAA ────────▶ targets   (no SRV: A, AAAA)
//! ```
//!
//! The questions are those of the phone (`net::dns::search`), and so are the search domains of a
//! name without a dot.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use config::schema::Account;
use sip::{Target, Transport};

use super::finding::Finding;
use crate::net::dns::ask::ask;
use crate::net::dns::question::{AskError, Kind, Question, Record};
use crate::net::dns::system::System;
use crate::net::dns::{is_link_local, sip_services};
use crate::net::mdns;

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

    /// At this address; without a port: the one that was given, or the transport's own.
    fn target(&self, ip: IpAddr, port: Option<u16>) -> Target {
        let port = port.or(self.port);
        let port = port.unwrap_or(self.transport.default_port());
        Target {
            transport: self.transport,
            address: SocketAddr::new(ip, port),
        }
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
    /// No device of this link answers to that name.
    NotOnLink,
    /// The name server answers with an error.
    Failed(String),
}

impl std::fmt::Display for NoRecords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Silent => f.write_str("no name server answers"),
            Self::None => f.write_str("there is no such host"),
            Self::NotOnLink => f.write_str("no device on this network answers to that name"),
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
            Err(NoRecords::None | NoRecords::NotOnLink) => "none".to_owned(),
            Err(NoRecords::Silent) => "no answer".to_owned(),
            Err(NoRecords::Failed(code)) => code.clone(),
        };
        self.asked.push(format!("{kind} {name}: {outcome}"));
        answer
    }

    async fn ask_in_turn(&mut self, name: &str, kind: Kind) -> Result<Vec<Record>, NoRecords> {
        let question = Question::new(name, kind);
        if is_link_local(&question.name) {
            let answer = mdns::ask(question).await;
            return answer
                .map(|answer| answer.records)
                .map_err(|_| NoRecords::NotOnLink);
        }
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

    /// The servers of one name: by its services where no port is given, else by its addresses.
    async fn servers(&mut self, host: &str, server: &ServerName) -> Result<Servers, NoRecords> {
        // A name on this link has no services (RFC 6762 knows addresses only).
        if server.port.is_none() && !is_link_local(host) {
            for service in self.services(host, server.transport).await {
                let mut targets = Vec::new();
                for (host, port) in self.hosts(&service).await {
                    let ips = self.addresses(&host).await.unwrap_or_default();
                    targets.extend(ips.into_iter().map(|ip| server.target(ip, Some(port))));
                }
                if !targets.is_empty() {
                    let how = format!(" by SRV {service}");
                    return Ok(Servers { targets, how });
                }
            }
        }
        let ips = self.addresses(host).await?;
        Ok(Servers {
            targets: ips.into_iter().map(|ip| server.target(ip, None)).collect(),
            how: String::new(),
        })
    }

    /// The names of a domain's SRV records: by NAPTR for TLS, as the phone asks (RFC 3263 section
    /// 4.1).
    async fn services(&mut self, host: &str, transport: Transport) -> Vec<String> {
        let mut naptr = Vec::new();
        if transport == Transport::Tls {
            let records = self.ask(host, Kind::Naptr).await.unwrap_or_default();
            naptr.extend(records.into_iter().filter_map(|record| match record {
                Record::Naptr(naptr) => Some(naptr),
                Record::Srv(_) | Record::Address(_) => None,
            }));
        }
        let services = sip_services(naptr, Some(transport), host);
        services.into_iter().map(|(_, service)| service).collect()
    }

    /// Hosts and ports of a service, by priority.
    async fn hosts(&mut self, service: &str) -> Vec<(String, u16)> {
        let mut records: Vec<(u16, String, u16)> = self
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
        records.sort_unstable();
        let in_order = records.into_iter().map(|(_, host, port)| (host, port));
        in_order.collect()
    }
}

/// Where a name leads.
#[derive(Debug)]
struct Servers {
    targets: Vec<Target>,
    /// By which record, where not by the name's own addresses.
    how: String,
}

/// A record in a line.
fn shown(record: &Record) -> String {
    match record {
        Record::Address(ip) => ip.to_string(),
        Record::Srv(srv) => format!("{}:{}", srv.target, srv.port),
        Record::Naptr(naptr) => naptr.replacement.clone(),
    }
}

/// The addresses of a server; what was asked and answered is a finding. `None`: there are none.
pub(super) async fn find(
    about: &str,
    server: &ServerName,
    system: &System,
    found: &mut dyn FnMut(Finding),
) -> Option<Vec<Target>> {
    if let Ok(ip) = server.host.parse() {
        return Some(vec![server.target(ip, None)]);
    }
    let mut resolver = Resolver::new(system);
    let mut outcome = Err(NoRecords::None);
    for host in system.names(&server.host) {
        outcome = resolver.servers(&host, server).await;
        if outcome.is_ok() {
            break;
        }
    }
    report_silence(about, &resolver, found);
    let Servers { targets, how } = match outcome {
        Ok(servers) => servers,
        Err(why) => {
            found(no_address(about, server, &resolver, &why));
            return None;
        }
    };
    let list: Vec<String> = targets.iter().map(|t| t.address.to_string()).collect();
    let asked = match resolver.answered {
        Some(server) => format!(", says name server {}", server.ip()),
        None if is_link_local(&server.host) && system.addresses(&server.host).is_empty() => {
            ", says the device itself".to_owned()
        }
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
        NoRecords::NotOnLink => Finding::fault(
            about,
            &format!("no device on this network answers to {host}"),
            &format!(
                "see that it is switched on and has that name, or write its address in `{}`",
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
}
