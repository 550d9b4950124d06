//! ICE as session descriptions carry it (RFC 8839): candidates and credentials. What is done with
//! them is the owner's.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Most candidates read of one line; RFC 8445 section 6.1.2.5 limits pairs to 100.
pub const MAX_CANDIDATES: usize = 32;
/// Lengths of `ice-ufrag` and `ice-pwd` that may be read (RFC 8839 section 5.4).
const UFRAG: std::ops::RangeInclusive<usize> = 4..=256;
const PASSWORD: std::ops::RangeInclusive<usize> = 22..=256;

/// What one end proves by that it takes part in the call's signalling.
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// `a=ice-ufrag`.
    pub ufrag: String,
    /// `a=ice-pwd`: the key of every check.
    pub password: String,
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IceCredentials({}, …)", self.ufrag)
    }
}

/// Where a candidate comes from (RFC 8445 section 5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CandidateKind {
    /// An address of a TURN server.
    Relayed,
    /// Our address as a STUN server sees it.
    ServerReflexive,
    /// An address seen in a check.
    PeerReflexive,
    /// An address of an interface.
    Host,
}

impl CandidateKind {
    /// The name in `typ`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relayed => "relay",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        let all = [
            Self::Host,
            Self::ServerReflexive,
            Self::PeerReflexive,
            Self::Relayed,
        ];
        all.into_iter()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(name))
    }
}

/// An address at which an end may be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The same for candidates that are likely to work alike.
    pub foundation: String,
    /// 1: RTP, 2: RTCP.
    pub component: u8,
    /// The greater is tried first.
    pub priority: u32,
    /// The address, over UDP.
    pub address: SocketAddr,
    /// Where it comes from.
    pub kind: CandidateKind,
    /// What it was made from, for diagnosis.
    pub related: Option<SocketAddr>,
}

impl Candidate {
    /// Reads the value of `a=candidate`; `None`: not of use here (TCP, a name for an address, a
    /// component that is neither RTP nor RTCP).
    pub(crate) fn read(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let foundation = words.next().filter(|word| word.len() <= 32)?;
        let component: u8 = words.next()?.parse().ok()?;
        let transport = words.next()?;
        let priority: u32 = words.next()?.parse().ok()?;
        let ip: IpAddr = words.next()?.parse().ok()?;
        let port: u16 = words.next()?.parse().ok()?;
        words.next().filter(|word| *word == "typ")?;
        let kind = CandidateKind::from_name(words.next()?)?;
        let usable = (1..=2).contains(&component)
            && transport.eq_ignore_ascii_case("udp")
            && port != 0
            && !ip.is_unspecified()
            && !ip.is_multicast();
        usable.then(|| Self {
            foundation: foundation.to_owned(),
            component,
            priority,
            address: SocketAddr::new(ip.to_canonical(), port),
            kind,
            related: None,
        })
    }
}

impl Candidate {
    /// One that only checks brought to light (RFC 8445 section 7.2.5.3.1).
    pub(crate) fn peer_reflexive(foundation: String, component: u8, address: SocketAddr) -> Self {
        Self {
            foundation,
            component,
            // Section 5.1.2.1, with the type preference of its kind.
            priority: (110 << 24) + (65_535 << 8) + (256 - u32::from(component)),
            address,
            kind: CandidateKind::PeerReflexive,
            related: None,
        }
    }
}

impl fmt::Display for Candidate {
    /// As the value of `a=candidate`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} UDP {} {} {} typ {}",
            self.foundation,
            self.component,
            self.priority,
            self.address.ip(),
            self.address.port(),
            self.kind.as_str()
        )?;
        match self.related {
            Some(related) => write!(f, " raddr {} rport {}", related.ip(), related.port()),
            None => Ok(()),
        }
    }
}

/// What this phone says of ICE in its descriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalIce {
    /// Ours, until a restart.
    pub credentials: IceCredentials,
    /// Where this phone may be reached.
    pub candidates: Vec<Candidate>,
    /// Our own offers have it, too, not only answers to offers that have it.
    pub offered: bool,
}

/// ICE that both ends agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgreedIce {
    /// Ours: a restart of theirs makes new ones.
    pub local: IceCredentials,
    /// Theirs.
    pub remote: IceCredentials,
    /// Where they may be reached.
    pub candidates: Vec<Candidate>,
    /// They only answer checks (RFC 8445 section 2.5).
    pub lite: bool,
    /// The offer was ours.
    pub offered_by_us: bool,
}

/// The way that checks chose (RFC 8445 section 8.1.1), each for RTP and RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChosenPath {
    /// Our addresses, as the far end sees them.
    pub local: (SocketAddr, SocketAddr),
    /// Its addresses.
    pub remote: (SocketAddr, SocketAddr),
}

/// ICE in a line of a description that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineIce {
    pub(crate) credentials: IceCredentials,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) lite: bool,
    /// Their answer says that our addresses were changed on the way (RFC 8839 section 4.2.5).
    pub(crate) mismatch: bool,
    /// Which of our addresses checks chose, by component (section 5.2).
    pub(crate) chosen: Vec<(u8, SocketAddr)>,
}

/// Reads the value of `a=remote-candidates`; empty where it is none.
fn read_chosen(value: &str) -> Vec<(u8, SocketAddr)> {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    let one = |words: &[&str]| {
        let [component, ip, port] = words else {
            return None;
        };
        let ip: IpAddr = ip.parse().ok()?;
        let address = SocketAddr::new(ip.to_canonical(), port.parse().ok()?);
        Some((component.parse().ok()?, address))
    };
    let all: Option<Vec<_>> = words.chunks(3).take(2).map(one).collect();
    all.unwrap_or_default()
}

impl LineIce {
    /// `attribute`: the value of an attribute of the line, else of the session.
    pub(crate) fn read<'a>(
        attribute: impl Fn(&str) -> Option<&'a str>,
        candidates: impl Iterator<Item = &'a str>,
    ) -> Option<Self> {
        // Some write more than ice-chars; what counts is that the text can stand in USERNAME.
        let readable = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        let ufrag = attribute("ice-ufrag").filter(|text| UFRAG.contains(&text.len()))?;
        let password = attribute("ice-pwd").filter(|text| PASSWORD.contains(&text.len()))?;
        (readable(ufrag) && readable(password)).then(|| Self {
            credentials: IceCredentials {
                ufrag: ufrag.to_owned(),
                password: password.to_owned(),
            },
            candidates: candidates
                .filter_map(Candidate::read)
                .take(MAX_CANDIDATES)
                .collect(),
            lite: attribute("ice-lite").is_some(),
            mismatch: attribute("ice-mismatch").is_some(),
            chosen: attribute("remote-candidates").map_or_else(Vec::new, read_chosen),
        })
    }

    /// Whether somebody on the way changed the addresses: the default destination is none of the
    /// candidates (RFC 8839 section 4.2.5). That of a far end that trickles is no address. `rtcp`:
    /// where RTCP goes by another port.
    pub(crate) fn is_mismatched(&self, rtp: SocketAddr, rtcp: Option<SocketAddr>) -> bool {
        let known = |component: u8, address: SocketAddr| {
            let mut of = self.candidates.iter().filter(|c| c.component == component);
            of.any(|candidate| candidate.address == address)
        };
        if rtp.ip().is_unspecified() && rtp.port() == 9 {
            return false;
        }
        self.mismatch || !known(1, rtp) || rtcp.is_some_and(|rtcp| !known(2, rtcp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_read_and_written() {
        let text = "1 1 UDP 2130706431 192.0.2.1 4000 typ host";
        let host = Candidate::read(text).unwrap();
        assert_eq!(host.to_string(), text);
        let reflexive = Candidate {
            kind: CandidateKind::ServerReflexive,
            related: Some("[2001:db8::1]:9".parse().unwrap()),
            ..host
        };
        assert!(
            reflexive
                .to_string()
                .ends_with("typ srflx raddr 2001:db8::1 rport 9")
        );
        let read = Candidate::read(&format!("{reflexive} generation 0 network-id 3")).unwrap();
        assert_eq!(
            (read.kind, read.address),
            (reflexive.kind, reflexive.address)
        );
    }

    #[test]
    fn what_cannot_be_used_is_left_out() {
        for bad in [
            "",
            "1 1 UDP 1 192.0.2.1 4000",
            "1 1 TCP 1 192.0.2.1 9 typ host tcptype active",
            "1 3 UDP 1 192.0.2.1 4000 typ host",
            "1 0 UDP 1 192.0.2.1 4000 typ host",
            "1 1 UDP 1 8f2c.local 4000 typ host",
            "1 1 UDP 1 224.0.0.1 4000 typ host",
            "1 1 UDP 1 0.0.0.0 4000 typ host",
            "1 1 UDP 1 192.0.2.1 0 typ host",
            "1 1 UDP 99999999999 192.0.2.1 4000 typ host",
            "1 1 UDP 1 192.0.2.1 4000 typ other",
            "123456789012345678901234567890123 1 UDP 1 192.0.2.1 4000 typ host",
        ] {
            assert_eq!(Candidate::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn chosen_candidates_are_read_whole_or_not() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(
            read_chosen("1 192.0.2.1 4000 2 2001:db8::1 4001 3 192.0.2.1 9"),
            [
                (1, address("192.0.2.1:4000")),
                (2, address("[2001:db8::1]:4001"))
            ]
        );
        for bad in [
            "",
            "1",
            "1 192.0.2.1",
            "1 host 4000",
            "1 192.0.2.1 4000 2",
            "x 1.2.3.4 5",
        ] {
            assert_eq!(read_chosen(bad), [], "{bad}");
        }
    }

    #[test]
    fn a_password_does_not_show() {
        let credentials = IceCredentials {
            ufrag: "abcd".into(),
            password: "0123456789012345678901".into(),
        };
        assert_eq!(format!("{credentials:?}"), "IceCredentials(abcd, …)");
    }
}
