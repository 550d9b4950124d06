//! SDP offer/answer (RFC 3264): codecs matched by rtpmap, not by number.

use std::net::SocketAddr;

/// An audio codec as SDP names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CodecName {
    /// `opus/48000/2`
    Opus,
    /// `G722/8000`
    G722,
    /// `PCMU/8000`
    Pcmu,
    /// `PCMA/8000`
    Pcma,
}

/// Direction of media as seen from this phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendRecv,
    /// We send only.
    SendOnly,
    /// We receive only.
    RecvOnly,
    /// Neither.
    Inactive,
}

/// What this phone can do, for an offer or an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalMedia {
    /// Where we receive RTP. An unspecified address is replaced by the agent's own for that peer.
    pub rtp: SocketAddr,
    /// Where we receive RTCP.
    pub rtcp: SocketAddr,
    /// Codecs, best first.
    pub codecs: Vec<CodecName>,
    /// Packet length in ms we send and ask for.
    pub ptime_ms: u8,
    /// telephone-event (RFC 4733) is offered.
    pub dtmf: bool,
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
    pub codec: CodecName,
    /// Payload type we put on what we send.
    pub send_payload: u8,
    /// Payload type the far end puts on what we receive.
    pub recv_payload: u8,
    /// Every payload type we must be ready to receive, with its codec (the answerer may switch).
    pub recv_payloads: Vec<(u8, CodecName)>,
    /// telephone-event payload type we send, with its RTP clock in Hz.
    pub send_dtmf: Option<(u8, u32)>,
    /// telephone-event payload type we receive.
    pub recv_dtmf: Option<u8>,
    /// Packet length we send, in ms.
    pub ptime_ms: u8,
    /// Opus: the far end asked for in-band FEC (`useinbandfec=1`).
    pub opus_fec: bool,
    /// Opus: the far end asked for DTX (`usedtx=1`).
    pub opus_dtx: bool,
    /// Which way sound may go, as seen from this phone.
    pub direction: Direction,
}
