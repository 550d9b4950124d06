//! The way that checks chose, where this end leads them: what an updated offer says (RFC 8839
//! section 4.4.1.2.2).

use std::net::SocketAddr;

use media::PacketKind;
use sip::ice::ChosenPath;

use super::Via;
use super::endpoint::Endpoint;

impl Endpoint {
    /// The nominated way of each component, once all have one.
    pub(super) fn chosen(&self) -> Option<ChosenPath> {
        let rtp = self.chosen_of(PacketKind::Rtp)?;
        let rtcp = if self.muxed {
            rtp
        } else {
            self.chosen_of(PacketKind::Rtcp)?
        };
        Some(ChosenPath {
            local: (rtp.0, rtcp.0),
            remote: (rtp.1, rtcp.1),
        })
    }

    /// Our address and the far end's.
    fn chosen_of(&self, component: PacketKind) -> Option<(SocketAddr, SocketAddr)> {
        let pair = self.agent.as_ref()?.nominated(component)?;
        let turn = match component {
            PacketKind::Rtp => self.gatherer.turn[0].as_ref(),
            PacketKind::Rtcp => self.gatherer.turn[1].as_ref(),
        };
        let same_family = |address: &SocketAddr| address.is_ipv4() == pair.remote.is_ipv4();
        let local = match pair.via {
            Via::Direct => pair.mapped?,
            Via::Relay => turn?.relayed().find(same_family)?,
        };
        Some((local, pair.remote))
    }
}
