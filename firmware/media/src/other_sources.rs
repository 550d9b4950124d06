//! Addresses that a stream does not listen to, and whether they send: the other branches of a
//! forked call, of which only one is heard at a time.
//!
//! ```text
//! datagram ─▶ from a watched address? ─▶ Event::OtherSource (twice a second at most) ─▶ owner redirects the stream
//! ```
//!
//! Nothing of such a packet is believed but that it came: it may be encrypted with keys of its own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Most addresses watched.
const MAX_SOURCES: usize = 8;
/// How often a source is reported while it sends.
const REPORT: Duration = Duration::from_millis(500);

/// Addresses to be watched, each once; at most eight are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OtherSources([Option<SocketAddr>; MAX_SOURCES]);

impl FromIterator<SocketAddr> for OtherSources {
    fn from_iter<T: IntoIterator<Item = SocketAddr>>(addresses: T) -> Self {
        let mut kept = Self::default();
        for address in addresses {
            let address = canonical(address);
            let known = kept.0.contains(&Some(address));
            if let Some(free) = kept.0.iter_mut().find(|slot| slot.is_none() && !known) {
                *free = Some(address);
            }
        }
        kept
    }
}

/// IPv4 mapped into IPv6 is IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A packet of a watched address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched {
    /// It was reported only just now that this one sends.
    Known,
    /// It is to be reported.
    Due(SocketAddr),
}

/// The watch over them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SourceWatch {
    sources: OtherSources,
    reported: [Option<Instant>; MAX_SOURCES],
}

impl SourceWatch {
    /// A watch over these.
    pub(crate) fn new(sources: OtherSources) -> Self {
        Self {
            sources,
            reported: [None; MAX_SOURCES],
        }
    }

    /// A packet of sound came from there: whether it is a watched address, and then whether it is
    /// due to be reported.
    pub(crate) fn handle(&mut self, from: SocketAddr, now: Instant) -> Option<Watched> {
        let from = canonical(from);
        let index = self.sources.0.iter().position(|s| *s == Some(from))?;
        let last = self.reported.get_mut(index)?;
        if last.is_some_and(|last| now.saturating_duration_since(last) < REPORT) {
            return Some(Watched::Known);
        }
        *last = Some(now);
        Some(Watched::Due(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watched_source_is_reported_twice_a_second() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (one, two) = (address("192.0.2.1:4000"), address("192.0.2.1:4002"));
        let mut watch = SourceWatch::new([one, one].into_iter().collect());
        let start = crate::time::test_origin();
        let reports = (0..100u64).filter(|n| {
            let now = start + Duration::from_millis(20 * n);
            let from = address("[::ffff:192.0.2.1]:4000");
            watch.handle(from, now) == Some(Watched::Due(one))
        });
        assert_eq!(reports.count(), 4, "in two seconds");
        assert_eq!(watch.handle(two, start), None);
    }
}
