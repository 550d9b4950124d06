//! Whose packets are believed, and where ours go (symmetric RTP, RFC 4961; the cautions of RFC
//! 7362).
//!
//! ```text
//! from the negotiated address ─▶ believed, always; from now on nobody else is
//! from elsewhere ─▶ negotiated one heard already? ─▶ refused
//!                └─▶ two packets in a row, of one source ─▶ latched: believed from now on, ours go there
//! ```

use std::net::SocketAddr;

use crate::rtp::View;

/// The far addresses of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latch {
    rtp: SocketAddr,
    rtcp: SocketAddr,
    /// Strangers may be believed at all.
    learns: bool,
    heard_negotiated: bool,
    latched: Option<SocketAddr>,
    latched_rtcp: Option<SocketAddr>,
    /// A stranger's first packet: from, source, the sequence number that would confirm it.
    stranger: Option<(SocketAddr, u32, u16)>,
}

/// IPv4 in IPv6 clothes is IPv4.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

impl Latch {
    /// `learns`: packets from elsewhere may move it.
    pub(crate) fn new(rtp: SocketAddr, rtcp: SocketAddr, learns: bool) -> Self {
        Self {
            rtp,
            rtcp,
            learns,
            heard_negotiated: false,
            latched: None,
            latched_rtcp: None,
            stranger: None,
        }
    }

    /// Whether signalling agreed on the same for both.
    pub(crate) fn is_like(&self, other: &Latch) -> bool {
        (self.rtp, self.rtcp, self.learns) == (other.rtp, other.rtcp, other.learns)
    }

    /// Where RTP goes; `None`: nowhere (0.0.0.0, RFC 3264's old way to hold, or port 0).
    pub(crate) fn rtp(&self) -> Option<SocketAddr> {
        Some(self.latched.unwrap_or(self.rtp)).filter(|a| !a.ip().is_unspecified() && a.port() != 0)
    }

    /// Where RTCP goes.
    pub(crate) fn rtcp(&self) -> Option<SocketAddr> {
        let muxed = self.rtp == self.rtcp;
        let to = match self.latched {
            Some(latched) if muxed => latched,
            Some(_) | None => self.latched_rtcp.unwrap_or(self.rtcp),
        };
        Some(to).filter(|a| !a.ip().is_unspecified() && a.port() != 0)
    }

    /// Whether an acceptable RTP packet from there is believed.
    pub(crate) fn admit(&mut self, from: SocketAddr, view: &View) -> bool {
        if plain(from) == plain(self.rtp) {
            self.heard_negotiated = true;
            self.latched = None;
            self.latched_rtcp = None;
            return true;
        }
        if self.heard_negotiated || !self.learns {
            return false;
        }
        match self.latched {
            Some(latched) => latched == from,
            None if self.stranger == Some((from, view.ssrc, view.sequence)) => {
                self.latched = Some(from);
                true
            }
            None => {
                self.stranger = Some((from, view.ssrc, view.sequence.wrapping_add(1)));
                false
            }
        }
    }

    /// Whether who sends from there is where our RTP goes. RTCP may be agreed on with another host
    /// (RFC 3605): that one is believed, but tells nothing of him who gets the sound.
    pub(crate) fn is_far_host(&self, from: SocketAddr) -> bool {
        self.rtp()
            .is_some_and(|far| plain(far).ip() == plain(from).ip())
    }

    /// Whether RTCP from there is believed: from the negotiated address, or from the host RTP comes
    /// from.
    pub(crate) fn admits_rtcp(&mut self, from: SocketAddr) -> bool {
        let from = plain(from);
        if from == plain(self.rtcp) || from == plain(self.rtp) {
            return true;
        }
        match self.latched {
            Some(latched) if plain(latched).ip() == from.ip() => {
                self.latched_rtcp = Some(from);
                true
            }
            Some(_) | None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(sequence: u16) -> View {
        let mut packet = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 1];
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        View::parse(&packet).unwrap()
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn latch() -> Latch {
        Latch::new(at("10.0.0.1:4000"), at("10.0.0.1:4001"), true)
    }

    #[test]
    fn behind_a_nat_ours_go_where_theirs_come_from_and_stay_there() {
        let mut latch = latch();
        let nat = at("192.0.2.1:7000");
        assert!(!latch.admit(nat, &view(5)), "one packet is not enough");
        assert_eq!(latch.rtp(), Some(at("10.0.0.1:4000")));
        assert!(latch.admit(nat, &view(6)));
        assert_eq!(latch.rtp(), Some(nat));
        let other = at("203.0.113.5:9");
        assert!(!latch.admit(other, &view(7)) && !latch.admit(other, &view(8)));
        assert!(latch.admits_rtcp(at("192.0.2.1:7001")) && !latch.admits_rtcp(other));
        assert_eq!(latch.rtcp(), Some(at("192.0.2.1:7001")));
        assert_eq!(latch.rtp(), Some(nat));
    }

    #[test]
    fn once_the_negotiated_address_spoke_nobody_else_is_heard() {
        let mut latch = latch();
        assert!(latch.admit(at("[::ffff:10.0.0.1]:4000"), &view(1)));
        for s in 2..50 {
            assert!(!latch.admit(at("192.0.2.1:7000"), &view(s)));
        }
        assert_eq!(latch.rtp(), Some(at("10.0.0.1:4000")));
    }

    #[test]
    fn the_negotiated_address_wins_over_an_earlier_stranger() {
        let mut latch = latch();
        let stranger = at("192.0.2.1:7000");
        assert!(!latch.admit(stranger, &view(5)) && latch.admit(stranger, &view(6)));
        assert!(latch.admit(at("10.0.0.1:4000"), &view(1)));
        assert!(!latch.admit(stranger, &view(7)));
        assert_eq!(latch.rtp(), Some(at("10.0.0.1:4000")));
    }

    #[test]
    fn a_proven_address_is_never_left() {
        let mut latch = Latch::new(at("10.0.0.1:4000"), at("10.0.0.1:4001"), false);
        let stranger = at("192.0.2.1:7000");
        for sequence in 0..50 {
            assert!(!latch.admit(stranger, &view(sequence)));
        }
        assert!(!latch.admits_rtcp(stranger) && latch.admits_rtcp(at("10.0.0.1:4001")));
        assert_eq!(latch.rtp(), Some(at("10.0.0.1:4000")));
        assert!(latch.admit(at("10.0.0.1:4000"), &view(1)));
    }

    #[test]
    fn nothing_goes_nowhere() {
        let latch = Latch::new(at("0.0.0.0:4000"), at("0.0.0.0:4001"), true);
        assert_eq!((latch.rtp(), latch.rtcp()), (None, None));
    }
}
