//! The engine: the only thing `app` sees of sound. One per phone, called once a card period.

use std::net::SocketAddr;
use std::time::Instant;

use crate::stream::{Direction, Stream, StreamStats};
use crate::tone::ToneSpec;

/// Streams an engine can hold at once.
pub const MAX_STREAMS: usize = 4;
/// Largest packet taken or made, in bytes.
pub const MAX_PACKET: usize = 1500;

/// A stream's number, given by the owner, never used twice in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u32);

/// What a datagram on a media socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketKind {
    /// RTP.
    Rtp,
    /// RTCP.
    Rtcp,
}

/// Fixed facts of the sound card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineConfig {
    /// Frames a second, 8000 to 48000. Capture and playback are mono i16.
    pub rate_hz: u32,
    /// Frames in one period, the length of `capture` and `playback` in [`Engine::process`].
    pub period_frames: usize,
    /// Sidetone in dB of capture into playback; `None`: none.
    pub sidetone_db: Option<i8>,
}

/// What the control thread asks for. Travels through a fixed queue; never allocates or frees on the audio thread.
pub enum Command {
    /// Start a stream. One with the same id is replaced, its jitter buffer kept where codec and source are the same.
    Start(Box<Stream>),
    /// Stop a stream; it comes back as [`Event::Retired`].
    Stop(StreamId),
    /// New far address or direction for a running stream.
    Redirect {
        /// Which stream.
        id: StreamId,
        /// Where RTP goes.
        remote_rtp: SocketAddr,
        /// Where RTCP goes.
        remote_rtcp: SocketAddr,
        /// Which way sound goes.
        direction: Direction,
    },
    /// Whether the handset hears and speaks to this stream. Two connected streams are mixed (conference).
    Connect {
        /// Which stream.
        id: StreamId,
        /// Connected or not.
        connected: bool,
    },
    /// Play a tone in the ear, `None` ends it.
    Tone(Option<ToneSpec>),
    /// Play a key tone over everything else, `None` ends it.
    KeyTone(Option<ToneSpec>),
    /// Press (true) or release (false) a DTMF event (RFC 4733 code 0–15) on a stream.
    Dtmf {
        /// Which stream.
        id: StreamId,
        /// Event code: 0–9, 10 `*`, 11 `#`, 12–15 A–D.
        event: u8,
        /// Pressed or released.
        down: bool,
    },
    /// Send silence instead of the microphone.
    Mute(bool),
}

/// What the audio thread tells. Fixed size, but for streams that go home to be freed.
pub enum Event {
    /// A stream was stopped or replaced; drop it on the control thread.
    Retired(Box<Stream>),
    /// The far end pressed a key (RFC 4733), reported once at its first packet.
    Digit {
        /// Which stream.
        id: StreamId,
        /// Event code.
        event: u8,
    },
    /// Figures of a stream, about once a second and at its end.
    Stats {
        /// Which stream.
        id: StreamId,
        /// The figures.
        stats: StreamStats,
    },
    /// Card levels over the last second.
    Levels {
        /// Microphone, dBm0.
        capture_dbm0: f32,
        /// Earpiece, dBm0.
        playback_dbm0: f32,
    },
    /// First packet of a stream was played.
    FirstSound(StreamId),
    /// The far end said goodbye by RTCP BYE.
    Bye(StreamId),
}

/// A packet that must leave, borrowed from the engine.
#[derive(Debug, Clone, Copy)]
pub struct Transmit<'a> {
    /// Whose socket.
    pub stream: StreamId,
    /// RTP or RTCP socket (with rtcp-mux the addresses are the same).
    pub kind: PacketKind,
    /// Where to.
    pub to: SocketAddr,
    /// The packet.
    pub bytes: &'a [u8],
}

/// The audio engine.
pub struct Engine {
    config: EngineConfig,
}

impl Engine {
    /// An engine with no stream and silence.
    pub fn new(config: EngineConfig, _now: Instant) -> Self {
        Self { config }
    }

    /// Its fixed facts.
    pub fn config(&self) -> EngineConfig {
        self.config
    }

    /// Takes a command.
    pub fn handle_command(&mut self, _command: Command, _now: Instant) {}

    /// A packet came in. `packet` may be changed in place (decryption).
    pub fn handle_packet(&mut self, _id: StreamId, _kind: PacketKind, _from: SocketAddr, _packet: &mut [u8], _arrival: Instant) {}

    /// One card period: takes what the microphone heard, fills what the ear shall hear. Both are mono, `period_frames` long.
    pub fn process(&mut self, _capture: &[i16], playback: &mut [i16], _now: Instant) {
        playback.fill(0);
    }

    /// The card lost or repeated sound (xrun, re-open) of about this many frames: jitter buffers re-align.
    pub fn handle_discontinuity(&mut self, _frames: i64, _now: Instant) {}

    /// A packet that must leave; call until `None` after each `process`.
    pub fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        None
    }

    /// Something the owner should know; call until `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// Live figures of a stream.
    pub fn stats(&self, _id: StreamId) -> Option<StreamStats> {
        None
    }

    /// Streams held now.
    pub fn streams(&self) -> usize {
        0
    }
}
