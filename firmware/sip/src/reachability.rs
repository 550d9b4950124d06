//! Which servers answer: what one request learnt of an address the next ones use, so that a dead
//! server costs its silence once and not with every call. RFC 3263 leaves this to local policy.
//!
//! ```text
//! silence, refused connection, 503 ─▶ avoided for a while ─▶ tried after all others
//! any response, another network ────▶ forgotten
//! ```
//!
//! An avoided address is never left out: where nothing else answers it is tried all the same.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::flow::{Target, Transport};

/// How long an address that was silent is tried after the others.
const SILENT: Duration = Duration::from_secs(600);
/// How long TCP is not tried for large requests where a connection did not open.
const NO_TCP: Duration = Duration::from_secs(3600);
/// How long a server that answered 503 is tried after the others, where it does not say itself.
const OVERLOADED: Duration = Duration::from_secs(60);
/// Longest Retry-After of a 503 that is believed here.
const OVERLOADED_AT_MOST: Duration = Duration::from_secs(300);
/// Most addresses remembered; the one whose time is up first makes room.
const MAX_AVOIDED: usize = 64;

/// The addresses that did not answer.
#[derive(Debug, Default)]
pub(crate) struct Reachability {
    avoided: Vec<(Target, Instant)>,
    /// Addresses where no TCP connection opens, though UDP may work.
    without_tcp: Vec<(SocketAddr, Instant)>,
}

impl Reachability {
    /// Nothing came back from this address, or no connection to it opens.
    pub(crate) fn handle_silence(&mut self, target: Target, now: Instant) {
        note(&mut self.avoided, target, now + SILENT);
    }

    /// It answered 503: it is overloaded or about to stop.
    pub(crate) fn handle_overload(&mut self, target: Target, retry: Option<u32>, now: Instant) {
        let asked = retry.map(|s| Duration::from_secs(u64::from(s)).min(OVERLOADED_AT_MOST));
        note(&mut self.avoided, target, now + asked.unwrap_or(OVERLOADED));
    }

    /// A large request could not be sent there by TCP.
    pub(crate) fn handle_no_tcp(&mut self, address: SocketAddr, now: Instant) {
        note(&mut self.without_tcp, address, now + NO_TCP);
    }

    /// It answered.
    pub(crate) fn handle_answer(&mut self, target: Target) {
        self.avoided.retain(|(known, _)| *known != target);
        if target.transport == Transport::Tcp {
            self.without_tcp
                .retain(|(known, _)| *known != target.address);
        }
    }

    /// The network is another one: what was silent there may answer here.
    pub(crate) fn forget(&mut self) {
        self.avoided.clear();
        self.without_tcp.clear();
    }

    /// Whether this address is tried after the others.
    pub(crate) fn is_avoided(&self, target: Target, now: Instant) -> bool {
        holds(&self.avoided, &target, now)
    }

    /// Whether TCP is known not to work there.
    pub(crate) fn is_without_tcp(&self, address: SocketAddr, now: Instant) -> bool {
        holds(&self.without_tcp, &address, now)
    }
}

fn note<K: PartialEq>(list: &mut Vec<(K, Instant)>, key: K, until: Instant) {
    list.retain(|(known, _)| *known != key);
    if list.len() >= MAX_AVOIDED
        && let Some(first) = (0..list.len()).min_by_key(|index| list[*index].1)
    {
        list.remove(first);
    }
    list.push((key, until));
}

fn holds<K: PartialEq>(list: &[(K, Instant)], key: &K, now: Instant) -> bool {
    list.iter()
        .any(|(known, until)| known == key && *until > now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(n: u16, transport: Transport) -> Target {
        let address = SocketAddr::new([192, 0, 2, 1].into(), n);
        Target { transport, address }
    }

    #[test]
    fn silence_counts_until_an_answer_or_its_time_is_up() {
        let now = crate::timer::epoch();
        let (one, other) = (target(1, Transport::Udp), target(1, Transport::Tcp));
        let mut servers = Reachability::default();
        servers.handle_silence(one, now);
        assert!(servers.is_avoided(one, now) && !servers.is_avoided(other, now));
        assert!(!servers.is_avoided(one, now + SILENT));
        servers.handle_answer(one);
        assert!(!servers.is_avoided(one, now));
        servers.handle_silence(one, now);
        servers.forget();
        assert!(!servers.is_avoided(one, now));
    }

    #[test]
    fn retry_after_is_followed_within_limits() {
        let now = crate::timer::epoch();
        let server = target(1, Transport::Udp);
        for (asked, holds) in [(None, 60), (Some(10), 10), (Some(1_000_000), 300)] {
            let mut servers = Reachability::default();
            servers.handle_overload(server, asked, now);
            let at = |s| now + Duration::from_secs(s);
            assert!(servers.is_avoided(server, at(holds - 1)), "{asked:?}");
            assert!(!servers.is_avoided(server, at(holds)), "{asked:?}");
        }
    }

    #[test]
    fn missing_tcp_is_remembered_for_an_hour() {
        let now = crate::timer::epoch();
        let server = target(1, Transport::Tcp);
        let mut servers = Reachability::default();
        servers.handle_no_tcp(server.address, now);
        let late = now + Duration::from_secs(3599);
        assert!(servers.is_without_tcp(server.address, late));
        servers.handle_answer(target(1, Transport::Udp));
        assert!(servers.is_without_tcp(server.address, late));
        servers.handle_answer(server);
        assert!(!servers.is_without_tcp(server.address, now));
    }

    #[test]
    fn the_memory_is_bounded() {
        let now = crate::timer::epoch();
        let mut servers = Reachability::default();
        for n in 0..10_000 {
            let at = now + Duration::from_millis(n.into());
            servers.handle_silence(target(n, Transport::Udp), at);
            servers.handle_no_tcp(target(n, Transport::Tcp).address, at);
        }
        assert_eq!(servers.avoided.len(), MAX_AVOIDED);
        assert_eq!(servers.without_tcp.len(), MAX_AVOIDED);
        assert!(servers.is_avoided(target(9_999, Transport::Udp), now));
    }
}
