//! All searches, the cache and the addresses DNS gave last, without a clock or a socket.
//!
//! ```text
//! handle_lookup ─▶ Search ─▶ cache, else poll_ask ─▶ (a name server) ─▶ handle_answer ─▶ poll_found
//!                                                                            └─▶ LastGood ─▶ poll_text
//! ```

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use sip::{Families, Lookup, LookupId, Service};

use super::cache::{Cache, Known};
use super::last_good::LastGood;
use super::question::{Answer, AskError, Kind, Question, Record};
use super::search::{Search, SearchOutcome, is_link_local};
use super::system::System;

/// Searches at once; the user agent has fewer.
const MAX_SEARCHES: usize = 64;
/// A question that was not answered while one asked with it or after it was is not asked again for
/// so long: that server ignores it (many home routers do so with SRV, NAPTR and AAAA).
const IGNORED: Duration = Duration::from_secs(300);
/// Where nothing was answered any more, and for addresses, the next search asks again soon: an
/// outage is over at some time.
const SILENT: Duration = Duration::from_secs(5);
/// A server that refuses a question is asked again after that (RFC 2308 section 7.1).
const REFUSED: Duration = Duration::from_secs(30);

/// The resolver.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    cache: Cache,
    searches: Vec<Search>,
    /// Questions a name server has, and since when.
    asking: HashMap<Question, Instant>,
    to_ask: VecDeque<Question>,
    found: VecDeque<(LookupId, SearchOutcome)>,
    last_good: LastGood,
    /// The last good addresses changed.
    unsaved: bool,
    /// When a name server answered something last in this network.
    answered_at: Option<Instant>,
}

impl Resolver {
    pub(crate) fn new(last_good: LastGood) -> Self {
        Self {
            last_good,
            ..Self::default()
        }
    }

    /// A name is to be looked up.
    pub(crate) fn handle_lookup(
        &mut self,
        lookup: Lookup,
        system: &System,
        families: Families,
        now: Instant,
    ) {
        if self.searches.len() >= MAX_SEARCHES {
            self.searches.remove(0);
        }
        self.begin(lookup, system, families, now);
        self.drive(now);
    }

    fn begin(&mut self, lookup: Lookup, system: &System, families: Families, now: Instant) {
        for (records, question) in from_files(&lookup, system) {
            let ttl = Duration::from_secs(1);
            self.cache.keep(question, &Answer { records, ttl }, now);
        }
        self.searches
            .push(Search::new(lookup, system, families, now));
    }

    /// The next question for a name server.
    pub(crate) fn poll_ask(&mut self) -> Option<Question> {
        self.to_ask.pop_front()
    }

    /// What came of one.
    pub(crate) fn handle_answer(
        &mut self,
        question: &Question,
        answer: Result<Answer, AskError>,
        now: Instant,
    ) {
        let asked_at = self.asking.remove(question);
        let known: Known = match answer {
            Ok(answer) => {
                if !is_link_local(&question.name) {
                    self.answered_at = Some(now);
                }
                self.cache.keep(question.clone(), &answer, now);
                Ok(answer.records)
            }
            Err(error) => {
                let is_ignored = question.kind != Kind::A
                    && asked_at.is_some_and(|asked_at| self.answered_at >= Some(asked_at));
                let holds = match (error.is_silence(), is_ignored) {
                    (true, true) => IGNORED,
                    (true, false) => SILENT,
                    (false, _) => REFUSED,
                };
                let holds = if matches!(error, AskError::Refused { .. }) || error.is_silence() {
                    holds
                } else {
                    Duration::ZERO
                };
                self.cache
                    .keep_failure(question.clone(), error.clone(), holds, now);
                Err(error)
            }
        };
        for search in &mut self.searches {
            search.handle_answer(question, &known, &mut chance);
        }
        self.drive(now);
    }

    /// The network or its name servers changed: what was known may not hold here, and whoever was
    /// asked may be gone. Every search under way asks those that are here now; the owner forgets
    /// the questions it has.
    pub(crate) fn handle_network_change(
        &mut self,
        system: &System,
        families: Families,
        now: Instant,
    ) {
        self.cache.clear();
        self.answered_at = None;
        self.asking.clear();
        self.to_ask.clear();
        for search in std::mem::take(&mut self.searches) {
            self.begin(search.lookup, system, families, now);
        }
        self.drive(now);
    }

    /// A deadline passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.drive(now);
    }

    /// When [`Resolver::handle_timeout`] wants to be called.
    pub(crate) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let timeouts = self.searches.iter().map(|search| search.poll_timeout(now));
        timeouts.min()
    }

    /// The next search that is over.
    pub(crate) fn poll_found(&mut self) -> Option<(LookupId, SearchOutcome)> {
        self.found.pop_front()
    }

    /// The new text of [`last_good::FILE`](super::last_good::FILE), once for each change.
    pub(crate) fn poll_text(&mut self) -> Option<String> {
        std::mem::take(&mut self.unsaved).then(|| self.last_good.text())
    }

    /// Carries answers out of the cache into the searches, until none gets further.
    fn drive(&mut self, now: Instant) {
        let searches = std::mem::take(&mut self.searches);
        for mut search in searches {
            if let Some(outcome) = self.drive_one(&mut search, now) {
                self.end(&search, outcome);
            } else {
                self.searches.push(search);
            }
        }
    }

    fn drive_one(&mut self, search: &mut Search, now: Instant) -> Option<SearchOutcome> {
        let key = key(&search.lookup);
        loop {
            let last_good = self.last_good.get(&key).unwrap_or_default();
            let outcome = search.outcome(last_good, now);
            let mut from_cache = false;
            while let Some(question) = search.poll_question() {
                if let Some(known) = self.cache.get(&question, now) {
                    search.handle_answer(&question, known, &mut chance);
                    from_cache = true;
                } else if !self.asking.contains_key(&question) {
                    self.asking.insert(question.clone(), now);
                    self.to_ask.push_back(question);
                }
            }
            if outcome.is_some() || !from_cache {
                return outcome;
            }
        }
    }

    fn end(&mut self, search: &Search, outcome: SearchOutcome) {
        let lookup = &search.lookup;
        match (&outcome.fault, outcome.targets.is_empty()) {
            (Some(fault), false) => tracing::info!("{}: {fault}", lookup.host),
            (Some(fault), true) => tracing::warn!("{} does not resolve: {fault}", lookup.host),
            (None, _) => {}
        }
        tracing::debug!("{} is {:?}", lookup.host, outcome.targets);
        // Names of this link are asked for each time.
        let asked = !is_link_local(&lookup.host.to_ascii_lowercase());
        // A question that was ignored takes nothing from the addresses that were answered.
        if !outcome.is_last_good && !outcome.targets.is_empty() && asked {
            self.unsaved |= self.last_good.keep(&key(lookup), &outcome.targets);
        }
        self.found.push_back((lookup.id, outcome));
    }
}

fn key(lookup: &Lookup) -> super::last_good::Key {
    let host = lookup.host.trim_end_matches('.').to_ascii_lowercase();
    let host = match lookup.service {
        Service::Sip => host,
        Service::Stun => format!("stun:{host}"),
        Service::Turn => format!("turn:{host}"),
    };
    (host, lookup.port, lookup.transport)
}

/// What `/etc/hosts` says; a name that is in it is not asked for.
fn from_files(lookup: &Lookup, system: &System) -> Vec<(Vec<Record>, Question)> {
    use super::order::srv_name;
    use super::question::Kind;

    let host = lookup.host.trim_end_matches('.').to_ascii_lowercase();
    let found = system.addresses(&host);
    if found.is_empty() {
        return Vec::new();
    }
    let of = |v4: bool| {
        let found = found.iter().filter(|ip| ip.is_ipv4() == v4);
        found.map(|ip| Record::Address(*ip)).collect()
    };
    let none = |name: &str, kind| (Vec::new(), Question::new(name, kind));
    vec![
        (of(true), Question::new(&host, Kind::A)),
        (of(false), Question::new(&host, Kind::Aaaa)),
        none(&host, Kind::Naptr),
        none(
            &srv_name(lookup.service, sip::Transport::Udp, &host),
            Kind::Srv,
        ),
        none(
            &srv_name(lookup.service, sip::Transport::Tcp, &host),
            Kind::Srv,
        ),
        none(
            &srv_name(lookup.service, sip::Transport::Tls, &host),
            Kind::Srv,
        ),
    ]
}

fn chance() -> u32 {
    getrandom::u32().unwrap_or(0)
}

#[cfg(test)]
mod tests;
