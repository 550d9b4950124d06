//! What a stream is built from, and why it could not be.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use types::{Codec, Direction, OpusBand, RtcpXr};

use crate::codec::CodecError;
use crate::dtmf::Timing;
use crate::latch::SignallingHosts;
use crate::packet::{Relays, StreamId};
use crate::srtp::Protection;

/// What a stream needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamConfig {
    /// Its number, given by the owner.
    pub id: StreamId,
    /// The codec we send.
    pub codec: Codec,
    /// Payload type we send.
    pub send_payload: u8,
    /// Payload types we accept, each with its codec; the far end may switch among them.
    pub recv_payloads: Vec<(u8, Codec)>,
    /// telephone-event payload type we send, and its RTP clock in Hz.
    pub send_dtmf: Option<(u8, u32)>,
    /// telephone-event payload type we receive.
    pub recv_dtmf: Option<u8>,
    /// How long digits last and lie apart.
    pub dtmf: Timing,
    /// Packet length we send, in ms.
    pub ptime_ms: u8,
    /// Opus in-band FEC.
    pub opus_fec: bool,
    /// Opus DTX.
    pub opus_dtx: bool,
    /// Opus: bits a second; `None`: what suits band and redundancy.
    pub opus_bitrate: Option<u32>,
    /// Opus: the widest band sent.
    pub opus_band: OpusBand,
    /// In silence comfort noise is sent (RFC 3389, payload type 13) in place of sound; Opus has its
    /// own way.
    pub comfort_noise: bool,
    /// The extended RTCP reports (RFC 3611) the far end asked for.
    pub rtcp_xr: RtcpXr,
    /// Where RTP goes.
    pub remote_rtp: SocketAddr,
    /// Where RTCP goes (the same as `remote_rtp` with rtcp-mux).
    pub remote_rtcp: SocketAddr,
    /// TURN channels that lead to these addresses.
    pub relays: Relays,
    /// Whether packets may come from, and then go to, another address than `remote_rtp` (symmetric
    /// RTP behind a NAT): any port of the same host, `signalling`, and whoever holds the keys.
    /// `false` where the far address was proven, as by a DTLS handshake.
    pub latching: bool,
    /// The hosts the far end's signalling came from.
    pub signalling: SignallingHosts,
    /// How long sound is sent without any authentic RTP or RTCP from where it goes; then nothing
    /// leaves, and [`crate::Event::MediaTimeout`] says so.
    pub media_timeout: Duration,
    /// How packets are protected.
    pub protection: Protection,
    /// Which way sound goes.
    pub direction: Direction,
    /// Only the ear hears it: it is not sent on to the other far ends of a conference.
    pub ear_only: bool,
    /// Our SSRC.
    pub ssrc: u32,
    /// First sequence number.
    pub first_sequence: u16,
    /// First RTP timestamp.
    pub first_timestamp: u32,
    /// RTCP CNAME (RFC 7022 short-term persistent), at most 63 bytes are used.
    pub cname: String,
    /// Card rate in Hz: what the engine's capture and playback run at.
    pub card_rate_hz: u32,
    /// Card period in frames.
    pub period_frames: usize,
    /// The wall-clock time of some `Instant`, for the NTP field of sender reports: (instant, NTP
    /// 32.32). `None`: reports count from the stream's begin (RFC 3550 section 6.4.1).
    pub ntp: Option<(Instant, u64)>,
}

impl StreamConfig {
    /// A stream of this codec both ways, in clear, with a far end at `remote` for RTP and RTCP. It
    /// has the codec's static payload type (111 for Opus), packets of 20 ms, no telephone-event, no
    /// FEC, no DTX and no comfort noise, gives up after 60 s without a sign of life, and runs with
    /// a card of 48 kHz and 5 ms.
    ///
    /// RFC 3550 section 5.1 wants SSRC, sequence number and timestamp to begin at random, which is
    /// the owner's to do: they are 1 here.
    pub fn new(id: StreamId, codec: Codec, remote: SocketAddr) -> Self {
        let payload = match codec {
            Codec::Opus => 111,
            Codec::G722 => 9,
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
        };
        Self {
            id,
            codec,
            send_payload: payload,
            recv_payloads: vec![(payload, codec)],
            send_dtmf: None,
            recv_dtmf: None,
            dtmf: Timing::default(),
            ptime_ms: 20,
            opus_fec: false,
            opus_dtx: false,
            opus_bitrate: None,
            opus_band: OpusBand::Wide,
            comfort_noise: false,
            rtcp_xr: RtcpXr::default(),
            remote_rtp: remote,
            remote_rtcp: remote,
            relays: Relays::default(),
            latching: true,
            signalling: SignallingHosts::default(),
            media_timeout: Duration::from_secs(60),
            protection: Protection::Clear,
            direction: Direction::SendRecv,
            ear_only: false,
            ssrc: 1,
            first_sequence: 1,
            first_timestamp: 1,
            cname: "phone".to_owned(),
            card_rate_hz: 48_000,
            period_frames: 240,
            ntp: None,
        }
    }
}

/// Why a stream could not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The codec could not be built.
    #[error("{} could not be set up: {error}", .codec.as_str())]
    Codec {
        /// Which codec.
        codec: Codec,
        /// Why not.
        error: CodecError,
    },
    /// A number outside what the engine can do.
    #[error("{what} is {value}, must be {allowed}")]
    OutOfRange {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: u64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Two suites in one stream: no negotiation ends so (RFC 4568 section 5.1.2).
    #[error("a stream sends by {send} and receives by {receive}: both directions have one suite")]
    Suites {
        /// The suite to send by.
        send: &'static str,
        /// The suite to receive by.
        receive: &'static str,
    },
}
