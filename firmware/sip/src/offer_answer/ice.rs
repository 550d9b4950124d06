//! ICE of one leg (RFC 8839): what its descriptions say of it, and what comes of theirs.
//!
//! ```text
//! LocalIce ─▶ our offer (a=ice-ufrag, a=candidate …) ─▶ their answer ─┬─▶ AgreedIce, or none: a plain call
//! their offer ─▶ the same credentials? addresses unchanged? ─▶ our answer ┘
//! ```

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::OfferAnswer;
use crate::ice::{AgreedIce, Candidate, ChosenPath, IceCredentials, LineIce};
use crate::sdp::SdpLine;
use crate::token::Tokens;

/// Letters of our credentials: five bits each, so that 26 have the 128 bits RFC 8445 section 5.3
/// wants.
const UFRAG: usize = 8;
const PASSWORD: usize = 26;

/// What a leg knows of its ICE.
#[derive(Debug, Clone, Default)]
pub(super) struct LegIce {
    /// What stands in our next description.
    writes: Writes,
    /// Whether ICE is in use; `None`: nothing was agreed on yet.
    in_use: Option<bool>,
    /// Their offer has no candidates for RTCP: ours would have none to be paired with (RFC 8445
    /// section 6.1.2.2).
    rtp_only: bool,
    /// Theirs, in force.
    remote: Option<IceCredentials>,
    /// Our addresses that checks chose, as the end that leads says: from then on our descriptions
    /// name these and no others (RFC 8839 section 4.4.1.2.2).
    chosen: Option<(SocketAddr, SocketAddr)>,
    /// Where they lead to, where this end leads: our offers say so (`a=remote-candidates`).
    leads_to: Option<(SocketAddr, SocketAddr)>,
    /// The next description is an offer.
    is_offer: bool,
}

/// What our description says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Writes {
    #[default]
    Nothing,
    /// Credentials and candidates.
    Ice,
    /// `a=ice-mismatch`: their addresses were changed on the way.
    Mismatch,
}

impl OfferAnswer {
    /// Whether this description carries our candidates.
    pub(super) fn writes_ice(&self) -> bool {
        self.ice.writes == Writes::Ice
    }

    /// An offer is about to be written.
    pub(super) fn prepare_ice_offer(&mut self) {
        let offered = self.local.ice.as_ref().is_some_and(|ice| ice.offered);
        let wanted = self.local.ice.is_some() && self.ice.in_use.unwrap_or(offered);
        self.ice.writes = if wanted { Writes::Ice } else { Writes::Nothing };
        self.ice.is_offer = true;
    }

    /// Where RTP and RTCP are to be sent to, as our descriptions say.
    pub(super) fn default_destinations(&self) -> (SocketAddr, SocketAddr) {
        let chosen = self.ice.chosen.filter(|_| self.writes_ice());
        chosen.unwrap_or((self.local.rtp, self.local.rtcp))
    }

    /// The host of those, where checks chose it: it stays, whatever leads to the signalling.
    pub(super) fn chosen_host(&self) -> Option<std::net::IpAddr> {
        let chosen = self.ice.chosen.filter(|_| self.writes_ice());
        chosen.map(|(rtp, _)| rtp.ip())
    }

    /// Our addresses and candidates are others.
    pub(super) fn forget_chosen(&mut self) {
        (self.ice.chosen, self.ice.leads_to) = (None, None);
    }

    /// Checks chose a way, and this end leads. Whether the far end is to be offered it: it is
    /// another than our last description names (RFC 8839 section 4.4.1.2.2).
    pub(crate) fn choose_path(&mut self, path: ChosenPath) -> bool {
        let before = self.default_destinations();
        let same = before.0 == path.local.0 && (self.mux || before.1 == path.local.1);
        let Some(ice) = self.local.ice.as_mut().filter(|_| !same) else {
            return false;
        };
        for (component, address) in [(1, path.local.0), (2, path.local.1)] {
            let known = |c: &Candidate| c.component == component && c.address == address;
            if !ice.candidates.iter().any(known) {
                // Only checks brought it to light (RFC 8445 section 7.2.5.3.1).
                let foundation = format!("p{component}");
                ice.candidates
                    .push(Candidate::peer_reflexive(foundation, component, address));
            }
        }
        self.ice.chosen = Some(path.local);
        self.ice.leads_to = Some(path.remote);
        true
    }

    /// The addresses of ours that an offer says were chosen, if they are ours.
    fn chosen_of(&self, theirs: &LineIce) -> Option<(SocketAddr, SocketAddr)> {
        let ours = &self.local.ice.as_ref()?.candidates;
        let of = |component: u8| {
            let mut chosen = theirs.chosen.iter();
            let (_, address) = chosen.find(|(of, _)| *of == component)?;
            let known = |ours: &Candidate| ours.component == component && ours.address == *address;
            ours.iter().any(known).then_some(*address)
        };
        let rtp = of(1)?;
        let rtcp = if self.mux {
            Some(self.local.rtcp)
        } else {
            of(2)
        };
        Some((rtp, rtcp?))
    }

    /// The answer to our offer.
    pub(super) fn accept_ice(&mut self, line: &SdpLine) -> Option<AgreedIce> {
        let agreed = usable(line).filter(|_| self.writes_ice());
        self.ice.in_use = Some(agreed.is_some());
        let agreed = agreed.and_then(|theirs| self.agreed_ice(theirs, true));
        self.ice.remote = agreed.as_ref().map(|agreed| agreed.remote.clone());
        agreed
    }

    /// Their offer, about to be answered.
    pub(super) fn answer_ice(&mut self, line: &SdpLine, tokens: &mut Tokens) -> Option<AgreedIce> {
        let theirs = usable(line).filter(|_| self.local.ice.is_some());
        self.ice.in_use = Some(theirs.is_some());
        let Some(theirs) = theirs else {
            let mismatched = line.ice.is_some() && self.local.ice.is_some();
            self.ice.writes = if mismatched {
                Writes::Mismatch
            } else {
                Writes::Nothing
            };
            self.ice.remote = None;
            return None;
        };
        self.ice.writes = Writes::Ice;
        self.ice.is_offer = false;
        let chosen = self.chosen_of(&theirs);
        self.ice.chosen = chosen.or(self.ice.chosen);
        self.ice.rtp_only = theirs.candidates.iter().all(|own| own.component == 1);
        // Other credentials are a restart (section 4.4.1.1.1): it wants other ones of ours.
        let restarted = self.ice.remote.replace(theirs.credentials.clone());
        if restarted.is_some_and(|before| before != theirs.credentials)
            && let Some(ice) = &mut self.local.ice
        {
            (self.ice.chosen, self.ice.leads_to) = (None, None);
            ice.credentials = IceCredentials {
                ufrag: tokens.word(UFRAG),
                password: tokens.word(PASSWORD),
            };
        }
        self.agreed_ice(theirs, false)
    }

    fn agreed_ice(&self, theirs: LineIce, offered_by_us: bool) -> Option<AgreedIce> {
        let ours = self.local.ice.as_ref()?;
        Some(AgreedIce {
            local: ours.credentials.clone(),
            remote: theirs.credentials,
            candidates: theirs.candidates,
            lite: theirs.lite,
            offered_by_us,
        })
    }

    /// Writes what there is to say at the session level.
    pub(super) fn describe_ice_session(&self, body: &mut String) {
        if self.writes_ice() {
            body.push_str("a=ice-options:ice2\r\n");
        }
    }

    /// Writes what there is to say below the audio line.
    pub(super) fn describe_ice(&self, body: &mut String) -> std::fmt::Result {
        match (self.ice.writes, &self.local.ice) {
            (Writes::Nothing, _) | (Writes::Ice, None) => Ok(()),
            (Writes::Mismatch, _) => write!(body, "a=ice-mismatch\r\n"),
            (Writes::Ice, Some(ice)) => {
                let IceCredentials { ufrag, password } = &ice.credentials;
                write!(body, "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n")?;
                let chosen = self.ice.chosen;
                for candidate in &ice.candidates {
                    let is_chosen = chosen.is_none_or(|(rtp, rtcp)| {
                        candidate.address == if candidate.component == 1 { rtp } else { rtcp }
                    });
                    if is_chosen && (candidate.component == 1 || !(self.mux || self.ice.rtp_only)) {
                        write!(body, "a=candidate:{candidate}\r\n")?;
                    }
                }
                if let Some((rtp, rtcp)) = self.ice.leads_to.filter(|_| self.ice.is_offer) {
                    write!(body, "a=remote-candidates:1 {} {}", rtp.ip(), rtp.port())?;
                    if !self.mux {
                        write!(body, " 2 {} {}", rtcp.ip(), rtcp.port())?;
                    }
                    body.push_str("\r\n");
                }
                write!(body, "a=end-of-candidates\r\n")
            }
        }
    }
}

/// What a line says of ICE, where its addresses are still those its sender wrote.
fn usable(line: &SdpLine) -> Option<LineIce> {
    let theirs = line.ice.clone()?;
    let (rtp, rtcp) = line.remote().ok()?;
    let has_rtcp = theirs.candidates.iter().any(|own| own.component == 2);
    // One that names an address for RTCP has a candidate for it (RFC 8839 section 4.2.5).
    let rtcp = (!line.rtcp_mux && (has_rtcp || line.rtcp.is_some())).then_some(rtcp);
    (!theirs.is_mismatched(rtp, rtcp)).then_some(theirs)
}
