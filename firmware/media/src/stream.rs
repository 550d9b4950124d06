//! One call's two directions. Built on the control thread (which may allocate), used on the audio thread (which may not).

use std::net::SocketAddr;
use std::time::Instant;

use crate::engine::StreamId;

/// An audio codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Opus, mono, 48 kHz RTP clock.
    Opus,
    /// G.722 at 64 kbit/s: 16 kHz sound, 8 kHz RTP clock.
    G722,
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
}

/// Which way sound goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Direction {
    /// We send.
    pub send: bool,
    /// We play what comes.
    pub receive: bool,
}

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
    /// Packet length we send, in ms.
    pub ptime_ms: u8,
    /// Opus in-band FEC.
    pub opus_fec: bool,
    /// Opus DTX.
    pub opus_dtx: bool,
    /// Where RTP goes.
    pub remote_rtp: SocketAddr,
    /// Where RTCP goes (the same as `remote_rtp` with rtcp-mux).
    pub remote_rtcp: SocketAddr,
    /// Which way sound goes.
    pub direction: Direction,
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
    /// The wall-clock time of some `Instant`, for the NTP field of sender reports: (instant, NTP 32.32).
    pub ntp: (Instant, u64),
}

/// Why a stream could not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// libopus refused.
    #[error("Opus could not be set up: {0}")]
    Opus(String),
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
}

/// What a stream measured since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StreamStats {
    /// RTP packets sent.
    pub sent: u64,
    /// RTP packets received (duplicates not counted).
    pub received: u64,
    /// Packets of the far sequence that never came in time to exist (RFC 3550 expected − received).
    pub lost: u64,
    /// Packets that came after their playout time.
    pub late: u64,
    /// Duplicates dropped.
    pub duplicate: u64,
    /// Packets dropped: malformed, unknown payload type, wrong source.
    pub rejected: u64,
    /// Milliseconds of sound made up by concealment.
    pub concealed_ms: u64,
    /// Concealed frames (counted in packets).
    pub concealed: u64,
    /// Interarrival jitter (RFC 3550) in ms.
    pub jitter_ms: f32,
    /// Present playout delay of the jitter buffer in ms: from arrival to the mixer.
    pub delay_ms: f32,
    /// Far clock against ours, in ppm, as measured.
    pub drift_ppm: f32,
    /// Round trip by RTCP in ms, once known.
    pub round_trip_ms: Option<f32>,
    /// Loss the far end reports, 0 to 1.
    pub remote_loss: Option<f32>,
    /// Estimated listening quality (E-model, G.107 R mapped to MOS), 1 to 4.5.
    pub mos: f32,
    /// Level of what was sent last, dBm0.
    pub sent_level_dbm0: f32,
    /// Level of what was received last, dBm0.
    pub received_level_dbm0: f32,
}

/// One call's media.
pub struct Stream {
    config: StreamConfig,
}

impl Stream {
    /// Builds a stream; everything it will ever need is allocated here.
    pub fn new(config: StreamConfig) -> Result<Box<Self>, StreamError> {
        Ok(Box::new(Self { config }))
    }

    /// What it was built from.
    pub fn config(&self) -> &StreamConfig {
        &self.config
    }
}
