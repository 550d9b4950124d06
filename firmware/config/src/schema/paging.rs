//! `[paging]`: announcements to many phones at once, by multicast RTP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use types::Codec;

/// `[paging]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paging {
    /// Number and address of each group: the lower the number, the more important.
    pub groups: Vec<(u8, SocketAddr)>,
    /// Groups up to this number are heard in a call, too; 0: none.
    pub over_calls: u8,
    /// Groups up to this number are heard in spite of do not disturb; 0: none.
    pub over_dnd: u8,
    /// What is sent.
    pub codec: Codec,
}

/// Groups that routers and every host of the link listen to (RFC 5771 section 4): no page goes
/// there.
const LOCAL_CONTROL: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 0);

impl Paging {
    /// With nothing in it yet.
    pub(crate) const fn blank() -> Self {
        Self {
            groups: Vec::new(),
            over_calls: 0,
            over_dnd: 0,
            codec: Codec::G722,
        }
    }

    /// Most groups: one a digit from 1.
    pub(crate) const MOST_GROUPS: u8 = 9;

    /// `239.1.1.1:5004` or `[ff15::1]:5004`: a multicast address for applications, and an even
    /// port, as RTP has it.
    pub fn group(text: &str) -> Option<SocketAddr> {
        let group: SocketAddr = text.parse().ok()?;
        let usable = match group.ip() {
            IpAddr::V4(ip) => ip.is_multicast() && ip.octets()[..3] != LOCAL_CONTROL.octets()[..3],
            // RFC 4291 section 2.7: scope 1 never leaves the machine, 0 is reserved.
            IpAddr::V6(ip) => ip.is_multicast() && ip.octets()[1] & 0x0F > 1,
        };
        (usable && group.port() >= 1024 && group.port().is_multiple_of(2)).then_some(group)
    }

    /// The address of a group.
    pub fn address(&self, number: u8) -> Option<SocketAddr> {
        let found = self.groups.iter().find(|(known, _)| *known == number)?;
        Some(found.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_multicast_addresses_are_groups() {
        for fine in [
            "239.1.1.1:5004",
            "224.0.1.75:10000",
            "[ff15::1]:5004",
            "[ff02::99]:6000",
        ] {
            assert!(Paging::group(fine).is_some(), "{fine}");
        }
        for wrong in [
            "192.168.1.5:5004",
            "255.255.255.255:5004",
            "224.0.0.1:5004",
            "240.0.0.1:5004",
            "[2001:db8::1]:5004",
            "[ff01::1]:5004",
            "239.1.1.1:5005",
            "239.1.1.1:80",
            "239.1.1.1",
            "all.example:5004",
            "",
        ] {
            assert!(Paging::group(wrong).is_none(), "{wrong}");
        }
    }
}
