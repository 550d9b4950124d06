//! What this phone can do, and what both sides agreed on.

use std::net::SocketAddr;

use types::{Codec, Direction, OpusFormat, RtcpXr};

use crate::ice::{AgreedIce, LocalIce};
use crate::media_security::{MediaSecurity, Protection, WhyClear};

/// What this phone can do, for an offer or an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalMedia {
    /// Where we receive RTP. An unspecified address is replaced by the agent's own for that peer.
    pub rtp: SocketAddr,
    /// Where we receive RTCP.
    pub rtcp: SocketAddr,
    /// Codecs, best first.
    pub codecs: Vec<Codec>,
    /// Packet length in ms we send and ask for.
    pub ptime_ms: u8,
    /// telephone-event (RFC 4733) is offered.
    pub dtmf: bool,
    /// What is said of the Opus that is received.
    pub opus: OpusFormat,
    /// Comfort noise (RFC 3389) is offered.
    pub comfort_noise: bool,
    /// Extended RTCP reports (RFC 3611) are asked for.
    pub rtcp_xr: bool,
    /// What is wanted of the encryption.
    pub media_security: MediaSecurity,
    /// Candidates for ICE; `None`: offers with ICE are answered without.
    pub ice: Option<LocalIce>,
    /// After a change of network the owner gives other addresses
    /// ([`UserAgent::move_media`](crate::UserAgent::move_media)); otherwise the agent does.
    pub owner_moves: bool,
}

/// What both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// Where to send RTP.
    pub remote_rtp: SocketAddr,
    /// Where to send RTCP.
    pub remote_rtcp: SocketAddr,
    /// RTP and RTCP share one port (RFC 5761).
    pub rtcp_mux: bool,
    /// The codec both sides use.
    pub codec: Codec,
    /// Payload type we put on what we send.
    pub send_payload: u8,
    /// Payload type the far end puts on what we receive.
    pub recv_payload: u8,
    /// Every payload type we must be ready to receive, with its codec (the answerer may switch).
    pub recv_payloads: Vec<(u8, Codec)>,
    /// telephone-event payload type we send, with its RTP clock in Hz.
    pub send_dtmf: Option<(u8, u32)>,
    /// telephone-event payload type we receive.
    pub recv_dtmf: Option<u8>,
    /// Packet length we send, in ms.
    pub ptime_ms: u8,
    /// Opus: what the far end said of what it receives.
    pub opus: OpusFormat,
    /// Both know comfort noise (RFC 3389, payload type 13) beside the codec agreed on.
    pub comfort_noise: bool,
    /// The extended RTCP reports the far end asks for.
    pub rtcp_xr: RtcpXr,
    /// Which way sound may go, as seen from this phone.
    pub direction: Direction,
    /// How the media is protected.
    pub protection: Protection,
    /// Encryption is a condition of this call: media that cannot be protected must not flow at all.
    pub required: bool,
    /// Encryption was expected and is not there: the owner of the phone must hear of it.
    pub missing: Option<WhyClear>,
    /// Checks (RFC 8445) find the far address, in place of `remote_rtp` and `remote_rtcp`.
    pub ice: Option<AgreedIce>,
}
