//! Which packets are believed, and where ours go: symmetric RTP (RFC 4961) under the cautions of
//! RFC 7362 section 5.
//!
//! ```text
//! from the negotiated address ─▶ believed at once; then no unauthenticated packet from elsewhere is
//! authentic (SRTP) ─┐
//! negotiated host   ├─▶ two packets in a row ─▶ latched: believed, and ours go there
//! signalling host  ─┘      (in this order; one that is not better takes over only after silence)
//! any other address ─▶ refused, whatever it sends
//! ```
//!
//! The order matters: whoever comes first must not keep out one with a better claim, and a blind
//! sender that stops, or that cannot keep up with speech, keeps out no one.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::rtp::View;

/// Hosts kept of those that signalling came from.
const MAX_HOSTS: usize = 4;
/// Sources of which the last packet is remembered while they are not believed.
const CANDIDATES: usize = 4;
/// Two packets in a row come within this time.
const PROBATION: Duration = Duration::from_secs(1);
/// A source without packets for so long gives way to any other allowed one: far more than jitter,
/// less than a sentence.
const QUIET: Duration = Duration::from_millis(300);
/// The negotiated address without packets for so long gives way to authentic packets from elsewhere
/// (a NAT that lost its mapping).
const NEGOTIATED_QUIET: Duration = Duration::from_secs(1);

/// The hosts the far end's signalling came from: besides the negotiated host the only ones whose
/// unauthenticated media may be believed, from any port. At most four are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SignallingHosts([Option<IpAddr>; MAX_HOSTS]);

impl SignallingHosts {
    fn contains(&self, ip: IpAddr) -> bool {
        self.0.contains(&Some(ip))
    }
}

impl FromIterator<IpAddr> for SignallingHosts {
    fn from_iter<T: IntoIterator<Item = IpAddr>>(hosts: T) -> Self {
        let mut kept = Self::default();
        let usable = |ip: &IpAddr| !ip.is_unspecified() && !ip.is_multicast();
        for ip in hosts.into_iter().map(|ip| ip.to_canonical()).filter(usable) {
            if !kept.contains(ip)
                && let Some(free) = kept.0.iter_mut().find(|slot| slot.is_none())
            {
                *free = Some(ip);
            }
        }
        kept
    }
}

/// Why a source other than the negotiated address may be believed; the greater wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    /// It is a host that signalling came from.
    Signalling,
    /// It is the negotiated host, at another port.
    Negotiated,
    /// It holds the keys.
    Authentic,
}

/// A source that is believed.
#[derive(Debug, Clone, Copy)]
struct Latched {
    at: SocketAddr,
    claim: Claim,
    last: Instant,
}

/// The last packet of a source that is not believed yet.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    from: SocketAddr,
    claim: Claim,
    ssrc: u32,
    /// The sequence number that would confirm it.
    expected: u16,
    at: Instant,
}

/// The far addresses of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latch {
    rtp: SocketAddr,
    rtcp: SocketAddr,
    /// Sources other than the negotiated addresses may be believed at all.
    symmetric: bool,
    signalling: SignallingHosts,
    /// When the negotiated addresses last sent RTP, and whether they ever sent RTCP.
    negotiated_at: Option<Instant>,
    negotiated_rtcp: bool,
    latched: Option<Latched>,
    latched_rtcp: Option<SocketAddr>,
    candidates: [Option<Candidate>; CANDIDATES],
}

/// IPv4 mapped into IPv6 is IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether packets can be sent there: not to 0.0.0.0, RFC 3264's old way to hold, nor to port 0.
fn is_usable(address: &SocketAddr) -> bool {
    !address.ip().is_unspecified() && address.port() != 0
}

impl Latch {
    /// `symmetric`: packets from elsewhere may move it, from `signalling` even unauthenticated
    /// ones.
    pub(crate) fn new(
        rtp: SocketAddr,
        rtcp: SocketAddr,
        symmetric: bool,
        signalling: SignallingHosts,
    ) -> Self {
        Self {
            rtp: canonical(rtp),
            rtcp: canonical(rtcp),
            symmetric,
            signalling,
            negotiated_at: None,
            negotiated_rtcp: false,
            latched: None,
            latched_rtcp: None,
            candidates: [None; CANDIDATES],
        }
    }

    /// Goes on where another was, if signalling agreed on the same addresses for both.
    pub(crate) fn continue_from(&mut self, old: &Latch) {
        if (self.rtp, self.rtcp, self.symmetric) == (old.rtp, old.rtcp, old.symmetric) {
            let signalling = self.signalling;
            *self = *old;
            self.redirect(old.rtp, old.rtcp, signalling);
        }
    }

    /// A new agreement. What was learnt of the same addresses stays, as far as it is still allowed.
    pub(crate) fn redirect(
        &mut self,
        rtp: SocketAddr,
        rtcp: SocketAddr,
        signalling: SignallingHosts,
    ) {
        if (canonical(rtp), canonical(rtcp)) != (self.rtp, self.rtcp) {
            *self = Self::new(rtp, rtcp, self.symmetric, signalling);
            return;
        }
        self.signalling = signalling;
        let withdrawn =
            |at: SocketAddr, claim| claim == Claim::Signalling && !signalling.contains(at.ip());
        self.latched.take_if(|l| withdrawn(l.at, l.claim));
        for slot in &mut self.candidates {
            slot.take_if(|c| withdrawn(c.from, c.claim));
        }
    }

    /// Whether RTP goes anywhere.
    pub(crate) fn has_rtp(&self) -> bool {
        is_usable(&self.rtp)
    }

    /// Where RTP goes; `None`: nowhere.
    pub(crate) fn rtp(&self) -> Option<SocketAddr> {
        self.has_rtp()
            .then(|| self.latched.map_or(self.rtp, |latched| latched.at))
    }

    /// Where RTCP goes.
    pub(crate) fn rtcp(&self) -> Option<SocketAddr> {
        if self.rtp == self.rtcp {
            return self.rtp();
        }
        is_usable(&self.rtcp).then(|| self.latched_rtcp.unwrap_or(self.rtcp))
    }

    /// Whether an acceptable RTP packet from there is believed. `authentic`: SRTP, opened with the
    /// stream's keys.
    pub(crate) fn admits_rtp(
        &mut self,
        from: SocketAddr,
        view: &View,
        authentic: bool,
        now: Instant,
    ) -> bool {
        let from = canonical(from);
        if from == self.rtp {
            self.negotiated_at = Some(now);
            self.latched = None;
            self.latched_rtcp = None;
            return true;
        }
        let Some(claim) = self.claim(from.ip(), authentic) else {
            return false;
        };
        let quiet = |since: Instant, limit| now.saturating_duration_since(since) >= limit;
        // The path to the negotiated address is proven: only who holds the keys may be elsewhere.
        if let Some(heard) = self.negotiated_at
            && !(claim == Claim::Authentic && quiet(heard, NEGOTIATED_QUIET))
        {
            return false;
        }
        if let Some(latched) = &mut self.latched
            && latched.at == from
        {
            latched.last = now;
            latched.claim = latched.claim.max(claim);
            return true;
        }
        let takes_over = self.latched.is_none_or(|latched| {
            // Among authentic sources the newest packets count, as replays are refused before.
            claim > latched.claim || claim == Claim::Authentic || quiet(latched.last, QUIET)
        });
        if !self.is_confirmed(from, claim, view, now) || !takes_over {
            return false;
        }
        self.latched = Some(Latched {
            at: from,
            claim,
            last: now,
        });
        self.latched_rtcp.take_if(|rtcp| rtcp.ip() != from.ip());
        true
    }

    fn claim(&self, host: IpAddr, authentic: bool) -> Option<Claim> {
        if !self.symmetric {
            None
        } else if authentic {
            Some(Claim::Authentic)
        } else if host == self.rtp.ip() {
            Some(Claim::Negotiated)
        } else {
            self.signalling.contains(host).then_some(Claim::Signalling)
        }
    }

    /// Whether this packet follows the last one of the same source; remembers it for the next.
    fn is_confirmed(&mut self, from: SocketAddr, claim: Claim, view: &View, now: Instant) -> bool {
        let next = Candidate {
            from,
            claim,
            ssrc: view.ssrc,
            expected: view.sequence.wrapping_add(1),
            at: now,
        };
        let fresh = |c: &Candidate| now.saturating_duration_since(c.at) < PROBATION;
        let known = self
            .candidates
            .iter_mut()
            .flatten()
            .find(|c| c.from == from);
        if let Some(known) = known {
            let confirmed =
                fresh(known) && (known.ssrc, known.expected) == (view.ssrc, view.sequence);
            *known = next;
            return confirmed;
        }
        // A free place, or that of the weakest claim and of those of the oldest; never a better
        // one.
        let weakest = self
            .candidates
            .iter_mut()
            .min_by_key(|slot| slot.filter(fresh).map(|c| (c.claim, c.at)));
        if let Some(slot) = weakest
            && slot.filter(fresh).is_none_or(|c| c.claim <= claim)
        {
            *slot = Some(next);
        }
        false
    }

    /// Whether who sends from there is where our RTP goes. RTCP may be agreed on with another host
    /// (RFC 3605): that one is believed, but says nothing about the one who gets the sound.
    pub(crate) fn is_far_host(&self, from: SocketAddr) -> bool {
        self.rtp()
            .is_some_and(|far| far.ip() == from.ip().to_canonical())
    }

    /// Whether RTCP from there is believed, and ours goes there: by the same claims as RTP, from
    /// the host RTP comes from where that is known. Reports are too rare to wait for a second one;
    /// as the newest counts, no one is kept out.
    pub(crate) fn admits_rtcp(&mut self, from: SocketAddr, authentic: bool) -> bool {
        let from = canonical(from);
        if from == self.rtcp {
            self.negotiated_rtcp = true;
            self.latched_rtcp = None;
            return true;
        }
        if from == self.rtp {
            return true;
        }
        let Some(claim) = self.claim(from.ip(), authentic).or_else(|| {
            (self.symmetric && from.ip() == self.rtcp.ip()).then_some(Claim::Negotiated)
        }) else {
            return false;
        };
        let believed = claim == Claim::Authentic
            || !self.negotiated_rtcp
                && match self.latched {
                    Some(latched) => latched.at.ip() == from.ip(),
                    None => claim == Claim::Negotiated || self.negotiated_at.is_none(),
                };
        if believed && !self.negotiated_rtcp {
            self.latched_rtcp = Some(from);
        }
        believed
    }
}

#[cfg(test)]
mod tests;
