//! One search for the servers of a SIP name (RFC 3263), without a clock or a socket. All questions
//! that may count are asked at once; what is not answered within [`BUDGET`] does not hold up what
//! is.
//!
//! ```text
//! port given ───────────────────────▶ A, AAAA ─────────▶ address, that port          (no SRV)
//! transport given ─▶ SRV of it ─────▶ A, AAAA ─────────▶ …   (none: A, AAAA with 5060, TLS 5061)
//! STUN, TURN ──────▶ SRV of it, as with a transport given                      (none: 3478, TLS 5349)
//! TLS, or none ─▶ NAPTR ─▶ SRV (none: SRV of UDP, TCP, TLS) ─▶ …
//! ```

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use sip::{Families, Lookup, Service, Target, Transport};

use super::cache::Known;
use super::order::{drawn, services, srv_name};
use super::question::{AskError, Kind, Naptr, Question, Record, Srv};
use super::system::System;

/// What is not answered by then counts as absent where there is an address to use.
pub(crate) const BUDGET: Duration = Duration::from_secs(1);
/// A whole search takes no longer; a phone without network plays the congestion tone, not nothing.
pub(crate) const LIMIT: Duration = Duration::from_secs(5);
/// Targets of one search.
pub(super) const MAX_TARGETS: usize = 16;

/// What a search came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SearchOutcome {
    /// In the order they are to be tried.
    pub(crate) targets: Vec<Target>,
    /// Why there are none, or which question was not answered nevertheless.
    pub(crate) fault: Option<SearchError>,
    /// They are what DNS gave before, because it does not answer.
    pub(crate) is_last_good: bool,
}

/// Why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SearchError {
    /// A question was not answered.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// All were, and there is no such name.
    #[error("DNS knows no address of {0}; check the name")]
    NoAddress(String),
    /// The same, where only one family could be of use.
    #[error(
        "DNS knows no {usable} address of {host}, and this phone has no {other}; check the name, \
         or the network"
    )]
    NoAddressOf {
        host: String,
        usable: &'static str,
        other: &'static str,
    },
}

/// A search under way.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) lookup: Lookup,
    /// The host, lower case, or one of its names with a search domain behind it.
    host: String,
    /// Names to be tried after `host`.
    other_hosts: Vec<String>,
    families: Families,
    /// Who is asked.
    name_servers: Vec<SocketAddr>,
    started: Instant,
    /// Questions whose answer is wanted, in the order they came up.
    wanted: Vec<Question>,
    /// How many of those were handed out.
    handed_out: usize,
    answers: HashMap<Question, Known>,
    /// The servers of each service, drawn once.
    servers: HashMap<Question, Vec<(String, u16)>>,
}

/// What is known so far of a part of the answer.
enum Part<T> {
    Known(T),
    Pending,
}

impl Search {
    pub(super) fn new(lookup: Lookup, system: &System, families: Families, now: Instant) -> Self {
        let mut hosts = system.names(&lookup.host);
        let host = hosts.remove(0);
        let mut search = Self {
            lookup,
            host,
            other_hosts: hosts,
            families,
            name_servers: system.servers.clone(),
            started: now,
            wanted: Vec::new(),
            handed_out: 0,
            answers: HashMap::new(),
            servers: HashMap::new(),
        };
        search.ask_at_once();
        search
    }

    /// Everything that may count, side by side.
    fn ask_at_once(&mut self) {
        let host = self.host.clone();
        self.want_addresses(&host);
        // A name on this link has no services (RFC 6762 knows addresses only).
        if self.lookup.port.is_some() || is_link_local(&host) {
            return;
        }
        let transports = match self.lookup.transport {
            Some(transport) => vec![transport],
            None => vec![Transport::Udp, Transport::Tcp, Transport::Tls],
        };
        if self.asks_naptr() {
            self.want(Question::new(&host, Kind::Naptr));
        }
        let service = self.lookup.service;
        for transport in transports {
            self.want(Question::new(
                &srv_name(service, transport, &host),
                Kind::Srv,
            ));
        }
    }

    /// RFC 3263 section 4.1: a transport that is given needs no NAPTR; TLS may be named by one.
    /// Servers of STUN and TURN have SRV records only here: their transport is configured.
    fn asks_naptr(&self) -> bool {
        self.lookup.service == Service::Sip
            && matches!(self.lookup.transport, None | Some(Transport::Tls))
    }

    fn want(&mut self, question: Question) {
        if !self.wanted.contains(&question) {
            self.wanted.push(question);
        }
    }

    fn want_addresses(&mut self, host: &str) {
        // Some write a number where an SRV record has a name.
        if host.parse::<IpAddr>().is_ok() {
            return;
        }
        for (usable, kind) in [(self.families.v4, Kind::A), (self.families.v6, Kind::Aaaa)] {
            if usable {
                self.want(Question::new(host, kind));
            }
        }
    }

    /// The next question to be asked.
    pub(super) fn poll_question(&mut self) -> Option<Question> {
        let question = self.wanted.get(self.handed_out)?.clone();
        self.handed_out += 1;
        Some(question)
    }

    /// Whether it waits for this one.
    pub(super) fn wants(&self, question: &Question) -> bool {
        self.wanted.contains(question) && !self.answers.contains_key(question)
    }

    /// An answer, or that there is none.
    pub(super) fn handle_answer(
        &mut self,
        question: &Question,
        known: &Known,
        chance: &mut dyn FnMut() -> u32,
    ) {
        if !self.wants(question) {
            return;
        }
        if question.kind == Kind::Srv {
            let records = known.as_deref().unwrap_or_default();
            let found = records.iter().filter_map(|record| match record {
                Record::Srv(srv) => Some(srv.clone()),
                Record::Address(_) | Record::Naptr(_) => None,
            });
            let servers = drawn(found.collect::<Vec<Srv>>(), chance);
            // All at once, whatever else is still open.
            for (server, _) in &servers {
                self.want_addresses(server);
            }
            self.servers.insert(question.clone(), servers);
        }
        self.answers.insert(question.clone(), known.clone());
    }

    /// When [`Search::outcome`] may change without an answer.
    pub(super) fn poll_timeout(&self, now: Instant) -> Instant {
        let soft = self.started + BUDGET;
        if now < soft {
            soft
        } else {
            self.started + LIMIT
        }
    }

    /// What it came to, once that is known. `last_good`: what DNS said before.
    pub(super) fn outcome(&mut self, last_good: &[Target], now: Instant) -> Option<SearchOutcome> {
        while let Part::Known(targets) = self.targets(false) {
            if !targets.is_empty() || !self.try_next_host() {
                return Some(self.end(targets, last_good));
            }
        }
        if now < self.started + BUDGET {
            return None;
        }
        let Part::Known(targets) = self.targets(true) else {
            return None;
        };
        let enough = !targets.is_empty() || !last_good.is_empty();
        (enough || now >= self.started + LIMIT).then(|| self.end(targets, last_good))
    }

    fn try_next_host(&mut self) -> bool {
        if self.other_hosts.is_empty() {
            return false;
        }
        self.host = self.other_hosts.remove(0);
        self.ask_at_once();
        true
    }

    fn end(&self, mut targets: Vec<Target>, last_good: &[Target]) -> SearchOutcome {
        let fault = self.fault(targets.is_empty());
        let unanswered = matches!(fault, Some(SearchError::Ask(_)));
        let is_last_good = targets.is_empty() && unanswered;
        if is_last_good {
            let usable = |target: &&Target| self.families.reach(target.address.ip());
            targets = last_good.iter().filter(usable).copied().collect();
        }
        targets.truncate(MAX_TARGETS);
        SearchOutcome {
            targets,
            fault,
            is_last_good,
        }
    }

    /// The first question that was not answered, addresses before services: those are what a
    /// reader can check. One that is still under way counts as not answered.
    fn fault(&self, nothing_found: bool) -> Option<SearchError> {
        let rank = |question: &&Question| match question.kind {
            Kind::A => 0,
            Kind::Aaaa => 1,
            Kind::Srv => 2,
            Kind::Naptr => 3,
        };
        let mut wanted: Vec<&Question> = self.wanted.iter().collect();
        wanted.sort_by_key(rank);
        let error = wanted.into_iter().find_map(|question| {
            match self.answers.get(question) {
                Some(Err(error)) => Some(error.clone()),
                // AAAA is never waited for.
                None if question.kind != Kind::Aaaa => Some(AskError::Silent {
                    question: question.clone(),
                    servers: self.name_servers.clone(),
                }),
                Some(Ok(_)) | None => None,
            }
        });
        match error {
            Some(error) => Some(error.into()),
            None if nothing_found => Some(self.no_address()),
            None => None,
        }
    }

    fn no_address(&self) -> SearchError {
        let host = self.lookup.host.clone();
        let of = |usable, other| SearchError::NoAddressOf {
            host: host.clone(),
            usable,
            other,
        };
        match (self.families.v4, self.families.v6) {
            (false, true) => of("IPv6", "IPv4"),
            (true | false, false) | (true, true) => SearchError::NoAddress(host),
        }
    }

    /// The targets as far as they are known. `late`: what has no answer yet counts as absent.
    fn targets(&mut self, late: bool) -> Part<Vec<Target>> {
        let host = self.host.clone();
        if let Some(port) = self.lookup.port {
            let transport = self.lookup.transport.unwrap_or(Transport::Udp);
            return self.addresses(&host, port, transport, late);
        }
        let mut targets = Vec::new();
        if !is_link_local(&host) {
            let Part::Known(services) = self.services(&host, late) else {
                return Part::Pending;
            };
            for (transport, name) in services {
                let question = Question::new(&name, Kind::Srv);
                self.want(question.clone());
                let Some(servers) = self.servers.get(&question).cloned() else {
                    if late {
                        continue;
                    }
                    return Part::Pending;
                };
                for (server, port) in servers {
                    match self.addresses(&server, port, transport, late) {
                        Part::Known(found) => targets.extend(found),
                        Part::Pending => return Part::Pending,
                    }
                    if targets.len() >= MAX_TARGETS {
                        return Part::Known(targets);
                    }
                }
            }
        }
        if targets.is_empty() {
            let transport = self.lookup.transport.unwrap_or(Transport::Udp);
            return self.addresses(
                &host,
                self.lookup.service.default_port(transport),
                transport,
                late,
            );
        }
        Part::Known(targets)
    }

    fn services(&mut self, host: &str, late: bool) -> Part<Vec<(Transport, String)>> {
        let (wanted, service) = (self.lookup.transport, self.lookup.service);
        if service != Service::Sip {
            let transport = wanted.unwrap_or(Transport::Udp);
            return Part::Known(vec![(transport, srv_name(service, transport, host))]);
        }
        if !self.asks_naptr() {
            return Part::Known(services(Vec::new(), wanted, host));
        }
        let records = match self.answers.get(&Question::new(host, Kind::Naptr)) {
            Some(known) => known.as_deref().unwrap_or_default(),
            None if late => &[],
            None => return Part::Pending,
        };
        let naptr = |record: &Record| match record {
            Record::Naptr(naptr) => Some(naptr.clone()),
            Record::Address(_) | Record::Srv(_) => None,
        };
        let records: Vec<Naptr> = records.iter().filter_map(naptr).collect();
        Part::Known(services(records, wanted, host))
    }

    /// IPv4 first. Once there is one, IPv6 is taken if it is there, and not waited for.
    fn addresses(
        &mut self,
        host: &str,
        port: u16,
        transport: Transport,
        late: bool,
    ) -> Part<Vec<Target>> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            let address = SocketAddr::new(ip, port);
            let usable = self.families.reach(ip) && is_host(ip);
            let target = usable.then_some(Target { transport, address });
            return Part::Known(target.into_iter().collect());
        }
        self.want_addresses(host);
        let mut found = Vec::new();
        for (usable, kind) in [(self.families.v4, Kind::A), (self.families.v6, Kind::Aaaa)] {
            if !usable {
                continue;
            }
            match self.answers.get(&Question::new(host, kind)) {
                Some(known) => {
                    let records = known.as_deref().unwrap_or_default();
                    found.extend(records.iter().filter_map(|record| match record {
                        Record::Address(ip) if is_host(*ip) => Some(Target {
                            transport,
                            address: SocketAddr::new(*ip, port),
                        }),
                        Record::Address(_) | Record::Srv(_) | Record::Naptr(_) => None,
                    }));
                }
                None if late || !found.is_empty() => {}
                None => return Part::Pending,
            }
        }
        Part::Known(found)
    }
}

/// Whether an address is one host's. Resolvers that block names answer with 0.0.0.0, which would be
/// this phone itself.
fn is_host(ip: IpAddr) -> bool {
    let broadcast = ip == IpAddr::V4(std::net::Ipv4Addr::BROADCAST);
    !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

/// Names of this link (RFC 6762).
pub(crate) fn is_link_local(host: &str) -> bool {
    host.rsplit('.').next() == Some("local")
}
