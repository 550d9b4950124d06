//! How many sockets accepted from others may be open at once, in total and per host.
//!
//! ```text
//! listener ─▶ take ───────────▶ Slot (given back when dropped) | None: close the socket at once
//! handshake ▶ take_or_displace ▶ Slot; the oldest one learns by `displaced` that it has to give up
//! ```
//!
//! This keeps sockets and handshakes bounded before the user agent hears of them; which of the
//! connections that it knows stay open is the user agent's decision.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The slots of one listener.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    total: usize,
    per_host: usize,
    /// The oldest first.
    held: Arc<Mutex<Vec<Held>>>,
}

#[derive(Debug)]
struct Held {
    host: IpAddr,
    give_up: Arc<Notify>,
}

/// One slot, held until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    held: Arc<Mutex<Vec<Held>>>,
    give_up: Arc<Notify>,
}

fn lock(held: &Mutex<Vec<Held>>) -> MutexGuard<'_, Vec<Held>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slots {
    /// At most `total`, and `per_host` for one host.
    pub(super) fn new(total: usize, per_host: usize) -> Self {
        Self {
            total,
            per_host,
            held: Arc::default(),
        }
    }

    /// A slot for a socket of this host; `None` when it, or all together, hold too many.
    pub(super) fn take(&self, remote: IpAddr) -> Option<Slot> {
        let host = sip::host_of(remote);
        let mut held = lock(&self.held);
        let of_host = held.iter().filter(|other| other.host == host).count();
        (held.len() < self.total && of_host < self.per_host).then(|| self.push(&mut held, host))
    }

    /// A slot for a socket of this host; where there are too many the oldest gives up: the host's
    /// own, if it has too many itself.
    pub(super) fn take_or_displace(&self, remote: IpAddr) -> Slot {
        let host = sip::host_of(remote);
        let mut held = lock(&self.held);
        let of_host = held.iter().filter(|other| other.host == host).count();
        let oldest = if of_host >= self.per_host {
            held.iter().position(|other| other.host == host)
        } else {
            (held.len() >= self.total).then_some(0)
        };
        if let Some(oldest) = oldest {
            held.remove(oldest).give_up.notify_one();
        }
        self.push(&mut held, host)
    }

    fn push(&self, held: &mut Vec<Held>, host: IpAddr) -> Slot {
        let give_up = Arc::new(Notify::new());
        held.push(Held {
            host,
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

    #[test]
    fn hosts_and_all_together_are_limited() {
        let slots = Slots::new(4, 2);
        let first = slots.take(ip("192.0.2.66"));
        let second = slots.take(ip("::ffff:192.0.2.66"));
        assert!(first.is_some() && second.is_some());
        assert!(slots.take(ip("192.0.2.66")).is_none());
        let _third = slots.take(ip("2001:db8::1")).unwrap();
        let _fourth = slots.take(ip("2001:db8::2")).unwrap();
        assert!(slots.take(ip("192.0.2.67")).is_none());
        drop(first);
        assert!(slots.take(ip("192.0.2.67")).is_some());
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
        let slots = Slots::new(3, 2);
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
