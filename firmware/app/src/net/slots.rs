//! How many sockets accepted from others may be open at once, in total and per host, and how often
//! a host may open one.
//!
//! ```text
//! listener ─▶ take ───────────▶ Slot (given back when dropped) | None: close the socket at once
//! handshake ▶ take_or_displace ▶ Slot; the oldest one learns by `displaced` that it has to give up
//! Control::known_hosts ─▶ Known ─▶ strangers, those listed and servers have slots of their own each
//! ```
//!
//! This keeps sockets and handshakes bounded before the user agent hears of them; which of the
//! connections that it knows stay open is the user agent's decision.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sip::{HostStanding, KnownHosts};
use tokio::sync::Notify;

/// Most hosts whose rate is remembered.
const MAX_HOSTS: usize = 256;
/// A host that is no server may open as many sockets at once as it may hold, and then one each:
const OPENS_EVERY: Duration = Duration::from_millis(500);

/// The hosts that are no strangers, as the user agent said last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known(Arc<Mutex<KnownHosts>>);

impl Known {
    /// The user agent says who is known.
    pub(crate) fn set(&self, hosts: KnownHosts) {
        *lock(&self.0) = hosts;
    }

    fn standing(&self, ip: IpAddr) -> HostStanding {
        lock(&self.0).standing(ip)
    }
}

/// The slots of one listener.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    /// For each standing.
    total: usize,
    /// Servers of an account are not limited by this.
    per_host: usize,
    known: Known,
    /// The oldest first.
    held: Arc<Mutex<Vec<Held>>>,
    /// When each host may have opened its full number of sockets again.
    rates: Arc<Mutex<BTreeMap<IpAddr, Instant>>>,
}

#[derive(Debug)]
struct Held {
    host: IpAddr,
    standing: HostStanding,
    give_up: Arc<Notify>,
}

/// One slot, held until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    held: Arc<Mutex<Vec<Held>>>,
    give_up: Arc<Notify>,
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slots {
    /// At most `total`, and `per_host` for one host.
    pub(super) fn new(total: usize, per_host: usize, known: Known) -> Self {
        Self {
            total,
            per_host,
            known,
            held: Arc::default(),
            rates: Arc::default(),
        }
    }

    /// A slot for a socket of this host; `None` when it, or all of its standing together, hold too
    /// many, or it opens them too fast.
    pub(super) fn take(&self, remote: IpAddr, now: Instant) -> Option<Slot> {
        let (host, standing) = (sip::host_of(remote), self.known.standing(remote));
        let is_server = standing == HostStanding::Server;
        if !is_server && !self.may_open(host, now) {
            return None;
        }
        let mut held = lock(&self.held);
        let of_host = held.iter().filter(|other| other.host == host).count();
        let of_standing = held.iter().filter(|other| other.standing == standing);
        let has_room = of_standing.count() < self.total && (is_server || of_host < self.per_host);
        has_room.then(|| self.push(&mut held, host, standing))
    }

    /// Whether a host may open one more socket now; counts it.
    fn may_open(&self, host: IpAddr, now: Instant) -> bool {
        let mut rates = lock(&self.rates);
        let burst = OPENS_EVERY * u32::try_from(self.per_host).unwrap_or(u32::MAX);
        let full_at = rates.get(&host).map_or(now, |at| (*at).max(now));
        if full_at + OPENS_EVERY > now + burst {
            return false;
        }
        if !rates.contains_key(&host) && rates.len() >= MAX_HOSTS {
            rates.retain(|_, at| *at > now);
            // Who used least is forgotten first.
            let least = rates.iter().min_by_key(|(_, at)| **at);
            if let Some(least) = least.map(|(host, _)| *host)
                && rates.len() >= MAX_HOSTS
            {
                rates.remove(&least);
            }
        }
        rates.insert(host, full_at + OPENS_EVERY);
        true
    }

    /// A slot for a socket of this host; where there are too many the oldest of its standing gives
    /// up: the host's own, if it has too many itself.
    pub(super) fn take_or_displace(&self, remote: IpAddr) -> Slot {
        let (host, standing) = (sip::host_of(remote), self.known.standing(remote));
        let mut held = lock(&self.held);
        let of_host = held.iter().filter(|other| other.host == host).count();
        let is_peer = |other: &Held| other.standing == standing;
        let oldest = if standing != HostStanding::Server && of_host >= self.per_host {
            held.iter().position(|other| other.host == host)
        } else if held.iter().filter(|other| is_peer(other)).count() >= self.total {
            held.iter().position(is_peer)
        } else {
            None
        };
        if let Some(oldest) = oldest {
            held.remove(oldest).give_up.notify_one();
        }
        self.push(&mut held, host, standing)
    }

    fn push(&self, held: &mut Vec<Held>, host: IpAddr, standing: HostStanding) -> Slot {
        let give_up = Arc::new(Notify::new());
        held.push(Held {
            host,
            standing,
            give_up: Arc::clone(&give_up),
        });
        Slot {
            held: Arc::clone(&self.held),
            give_up,
        }
    }
}

impl Slot {
    /// Returns when a newer socket has taken this slot.
    pub(super) async fn displaced(&self) {
        self.give_up.notified().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.held).retain(|other| !Arc::ptr_eq(&other.give_up, &self.give_up));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// The clock stands: no rate gives anything back.
    fn start() -> Instant {
        Instant::now()
    }

    /// A server at 192.0.2.50.
    fn known() -> Known {
        let account = sip::AccountConfig::new("101", "192.0.2.50", "secret");
        let local = "192.0.2.1:5060".parse::<std::net::SocketAddr>().unwrap();
        let mut config = sip::AgentConfig::new(local.into(), [1; 32]);
        config.accounts.push(account);
        config.direct_from.push(sip::AllowedCaller {
            user: None,
            network: ip("192.0.2.128"),
            prefix: 25,
        });
        let known = Known::default();
        known.set(sip::UserAgent::new(config, start()).known_hosts());
        known
    }

    #[test]
    fn strangers_leave_servers_and_those_listed_their_slots() {
        let (slots, now) = (Slots::new(4, 2, known()), start());
        let mut held: Vec<Slot> = (1..=64)
            .filter_map(|n| slots.take(ip(&format!("198.51.100.{n}")), now))
            .collect();
        assert_eq!(held.len(), 4, "strangers");
        held.extend((128..192).filter_map(|n| slots.take(ip(&format!("192.0.2.{n}")), now)));
        assert_eq!(held.len(), 8, "a listed network of strangers");
        held.extend((0..4).filter_map(|_| slots.take(ip("192.0.2.50"), now)));
        assert_eq!(held.len(), 12, "the server, more often than another host");
        assert!(slots.take(ip("192.0.2.50"), now).is_none());
    }

    #[test]
    fn sockets_reopened_fast_are_refused() {
        let (slots, start) = (Slots::new(48, 12, known()), start());
        let opened = |host: &str, every_ms: u64| {
            let at = |n: u64| start + Duration::from_millis(n * every_ms);
            let times = 0..10_000 / every_ms;
            times
                .filter(|n| slots.take(ip(host), at(*n)).is_some())
                .count()
        };
        // Twelve at once, and two a second after that.
        assert_eq!(opened("198.51.100.1", 100), 12 + 19);
        assert_eq!(opened("192.0.2.200", 100), 12 + 19);
        assert_eq!(opened("192.0.2.50", 100), 100);
        for n in 0..10_000_u32 {
            let host = IpAddr::from([10, 0, (n / 256) as u8, n as u8]);
            slots.take(host, start);
        }
        assert!(lock(&slots.rates).len() <= MAX_HOSTS);
    }

    #[test]
    fn hosts_and_all_together_are_limited() {
        let now = start();
        let slots = Slots::new(4, 2, Known::default());
        let first = slots.take(ip("192.0.2.66"), now);
        let second = slots.take(ip("::ffff:192.0.2.66"), now);
        assert!(first.is_some() && second.is_some());
        assert!(slots.take(ip("192.0.2.66"), now).is_none());
        let _third = slots.take(ip("2001:db8::1"), now).unwrap();
        let _fourth = slots.take(ip("2001:db8::2"), now).unwrap();
        assert!(slots.take(ip("192.0.2.67"), now).is_none());
        drop(first);
        assert!(slots.take(ip("192.0.2.67"), now).is_some());
    }

    #[tokio::test]
    async fn the_oldest_is_displaced() {
        let now = |slot: &Slot| {
            let displaced = Arc::clone(&slot.give_up);
            async move {
                tokio::select! {
                    biased;
                    () = displaced.notified() => true,
                    () = std::future::ready(()) => false,
                }
            }
        };
        let slots = Slots::new(3, 2, Known::default());
        let [first, second, third] =
            ["192.0.2.1", "192.0.2.66", "192.0.2.66"].map(|host| slots.take_or_displace(ip(host)));
        let fourth = slots.take_or_displace(ip("192.0.2.66"));
        assert!(now(&second).await && !now(&first).await);
        let fifth = slots.take_or_displace(ip("192.0.2.2"));
        assert!(now(&first).await);
        for slot in [&third, &fourth, &fifth] {
            assert!(!now(slot).await);
        }
        drop((second, first));
        assert_eq!(lock(&slots.held).len(), 3);
    }
}
