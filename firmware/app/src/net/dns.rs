//! Finding the servers of a SIP name: what to ask is decided without I/O, the task here asks.
//!
//! ```text
//! sip::Lookup ─▶ Dns (channel) ─▶ task: Resolver ─▶ ask, one task a question ─▶ NetworkEvent::Found
//!   search     RFC 3263: which questions, what their answers come to, until when     │
//!   cache      answers and their absence, by TTL          last_good ─▶ NetworkEvent::LastGood ─▶ storage
//!   ask        one question over UDP and TCP              message   what an answer says
//!   system     /etc/resolv.conf, /etc/hosts
//! ```
//!
//! Why not a whole resolver library: docs/decisions/0015.

pub(crate) mod ask;
mod cache;
pub(crate) mod last_good;
mod message;
mod order;
pub(crate) mod question;
mod resolver;
mod search;
pub(crate) mod system;

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use sip::{Families, Lookup, Target, Transport};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::NetworkEvent;
use super::{local, mdns};
use last_good::LastGood;
pub(crate) use order::services as sip_services;
use resolver::Resolver;
pub(crate) use search::{SearchError, is_link_local};
use system::System;

/// Requests that may wait for the task; the user agent asks for a few names at a time.
const MAX_WAITING: usize = 64;

/// What the task is asked to do.
enum DnsRequest {
    LookUp(Lookup),
    NetworkChanged,
}

/// The handle of the task that finds servers; the task ends with it.
#[derive(Debug)]
pub(crate) struct Dns {
    requests: mpsc::Sender<DnsRequest>,
}

/// What the task asks its machine; a test replaces it.
pub(crate) trait World: Send + 'static {
    /// The name servers and names of this machine.
    fn system(&self) -> impl Future<Output = System> + Send;
    /// The families packets can be sent by.
    fn families(&self) -> Families;
}

/// This machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    /// `network.bind`.
    pub(crate) bind: IpAddr,
}

impl World for Machine {
    async fn system(&self) -> System {
        // Two files, read where they block no one.
        let read = tokio::task::spawn_blocking(System::read);
        read.await.unwrap_or_default()
    }

    fn families(&self) -> Families {
        local::families(self.bind)
    }
}

impl Dns {
    /// Starts the task; answers come as events.
    pub(crate) fn start(
        world: impl World,
        last_good: LastGood,
        events: mpsc::Sender<NetworkEvent>,
    ) -> Self {
        let (requests, waiting) = mpsc::channel(MAX_WAITING);
        tokio::spawn(run(world, Resolver::new(last_good), waiting, events));
        Self { requests }
    }

    /// Looks a name up. Returns the answer at once where none is needed: a number is its own.
    pub(crate) fn look_up(&self, lookup: Lookup) -> Option<Vec<Target>> {
        if let Some(target) = literal(&lookup) {
            return Some(vec![target]);
        }
        let host = lookup.host.clone();
        if self.requests.try_send(DnsRequest::LookUp(lookup)).is_err() {
            tracing::warn!("{host}: too many names are looked up at once");
            return Some(Vec::new());
        }
        None
    }

    /// Another network, or other name servers.
    pub(crate) fn network_changed(&self) {
        // A full queue has a newer lookup in it, which reads the files again anyway.
        let _ = self.requests.try_send(DnsRequest::NetworkChanged);
    }
}

/// The target of an address that is no name.
fn literal(lookup: &Lookup) -> Option<Target> {
    let host = lookup.host.trim_start_matches('[').trim_end_matches(']');
    let ip = host.parse::<IpAddr>().ok()?;
    let transport = lookup.transport.unwrap_or(Transport::Udp);
    let address = SocketAddr::new(
        ip,
        lookup
            .port
            .unwrap_or(lookup.service.default_port(transport)),
    );
    Some(Target { transport, address })
}

async fn run(
    world: impl World,
    mut resolver: Resolver,
    mut requests: mpsc::Receiver<DnsRequest>,
    events: mpsc::Sender<NetworkEvent>,
) {
    let mut system = System::default();
    let mut asking = JoinSet::new();
    loop {
        let due = resolver.poll_timeout(Instant::now());
        tokio::select! {
            request = requests.recv() => match request {
                Some(DnsRequest::LookUp(lookup)) => {
                    system = world.system().await;
                    let now = Instant::now();
                    resolver.handle_lookup(lookup, &system, world.families(), now);
                }
                Some(DnsRequest::NetworkChanged) => {
                    // Whoever was asked is not waited for.
                    asking = JoinSet::new();
                    system = world.system().await;
                    resolver.handle_network_change(&system, world.families(), Instant::now());
                }
                None => return,
            },
            Some(done) = asking.join_next() => {
                // A task that panicked leaves its question unanswered.
                if let Ok((question, answer)) = done {
                    resolver.handle_answer(&question, answer, Instant::now());
                }
            }
            () = until(due) => resolver.handle_timeout(Instant::now()),
        }
        while let Some(question) = resolver.poll_ask() {
            let servers = system.servers.clone();
            asking.spawn(async move {
                let answer = if is_link_local(&question.name) {
                    mdns::ask(question.clone()).await
                } else {
                    ask::ask(question.clone(), servers).await
                };
                (question, answer)
            });
        }
        while let Some((id, outcome)) = resolver.poll_found() {
            let event = NetworkEvent::Found {
                id,
                targets: outcome.targets,
                fault: outcome.fault,
            };
            if events.send(event).await.is_err() {
                return;
            }
        }
        if let Some(text) = resolver.poll_text()
            && events.send(NetworkEvent::LastGood(text)).await.is_err()
        {
            return;
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
