//! What the engine is asked for and what it reports: values that travel through the queues between
//! control thread and audio thread.

use std::net::SocketAddr;
use std::sync::Arc;

use types::Direction;

use crate::echo::EchoStats;
use crate::latch::SignallingHosts;
use crate::other_sources::OtherSources;
use crate::packet::{Relays, StreamId};
use crate::speech::Clip;
use crate::stats::StreamStats;
use crate::stream::Stream;
use crate::tone::ToneSpec;

/// Digital gains, where the card has no mixer or somebody turned the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gains {
    /// Of the microphone, in dB.
    pub microphone_db: i8,
    /// Of everything that is heard but the bell, in dB.
    pub ear_db: i8,
    /// Of the bell in the loudspeaker, in dB.
    pub ringer_db: i8,
    /// One talks without the handset: by the loudspeaker's card, where there is one, and without
    /// hearing oneself ([`crate::EngineConfig::sidetone_db`]).
    pub hands_free: bool,
}

/// A bell that is played.
#[derive(Debug, Clone, PartialEq)]
pub struct RingTone {
    /// What is heard.
    pub sound: RingSound,
    /// It begins softly and gets louder.
    pub rising: bool,
}

/// What is heard of a bell.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "the engine takes it over without freeing anything"
)]
pub enum RingSound {
    /// A tone with its cadence.
    Tone(ToneSpec),
    /// A recording, again and again. Whoever sends it keeps one of its own until the engine has
    /// let go of this one ([`Arc::strong_count`]): the engine frees nothing.
    Clip(Arc<RingClip>),
}

/// A recording to ring with, at the card's rate.
#[derive(Debug, PartialEq, Eq)]
pub struct RingClip {
    rate_hz: u32,
    samples: Box<[i16]>,
}

impl RingClip {
    /// These samples, mono.
    pub fn new(samples: Vec<i16>, rate_hz: u32) -> Self {
        Self {
            rate_hz,
            samples: samples.into_boxed_slice(),
        }
    }

    /// Frames a second.
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// The sound.
    pub fn samples(&self) -> &[i16] {
        &self.samples
    }
}

/// What the control thread asks for. Travels through a fixed queue; never allocates or frees on the
/// audio thread.
pub enum Command {
    /// Start a stream. One with the same id is replaced, its jitter buffer kept where codec and
    /// source are the same.
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
        /// TURN channels that lead there.
        relays: Relays,
        /// The hosts the far end's signalling came from.
        signalling: SignallingHosts,
        /// Which way sound goes.
        direction: Direction,
    },
    /// Other addresses that the far end of a stream may send from, as other branches of a forked
    /// call do: they are not heard, but [`Event::OtherSource`] says that they send.
    WatchSources {
        /// Which stream.
        id: StreamId,
        /// The addresses; those of before are forgotten.
        sources: OtherSources,
    },
    /// Whether the handset is connected to this stream. Two connected streams are mixed
    /// (conference). Repeated for a connected one (the call was answered), the media timeout
    /// starts again.
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
    /// Play this in the ear, in place of what is spoken now; it comes back as [`Event::Spoken`].
    Speak(Box<Clip>),
    /// Say no more.
    StopSpeaking,
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
    /// How loud microphone, ear and bell are.
    Gains(Gains),
    /// Ring in the loudspeaker, `None` ends it.
    Ring(Option<RingTone>),
}

/// What the engine reports. Fixed size, but for streams that are returned to be freed.
#[expect(
    clippy::large_enum_variant,
    reason = "the audio thread may not allocate a box for its figures"
)]
pub enum Event {
    /// A stream was stopped or replaced; drop it on the control thread.
    Retired(Box<Stream>),
    /// A clip was played or cut short; drop it on the control thread.
    Spoken(Box<Clip>),
    /// The far end pressed a key, reported once: at its first packet (RFC 4733), or when its tone
    /// is clear.
    Digit {
        /// Which stream.
        id: StreamId,
        /// Event code.
        event: u8,
        /// It came as a tone, from a far end without telephone-event.
        inband: bool,
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
    /// What the echo canceller does, about once a second in a call.
    Echo(EchoStats),
    /// First packet of a stream was played.
    FirstSound(StreamId),
    /// One of the addresses of [`Command::WatchSources`] sends sound: its first packet, and about
    /// twice a second as long as it goes on.
    OtherSource {
        /// Which stream.
        id: StreamId,
        /// The address.
        from: SocketAddr,
    },
    /// The far end ended the stream by RTCP BYE.
    Bye(StreamId),
    /// Nothing came from the far end for [`crate::StreamConfig::media_timeout`]: nothing is sent
    /// any more. Repeated every second while it lasts.
    MediaTimeout(StreamId),
}

impl Event {
    /// It holds something that the control thread must free.
    pub fn owns_memory(&self) -> bool {
        match self {
            Self::Retired(_) | Self::Spoken(_) => true,
            Self::Digit { .. }
            | Self::Stats { .. }
            | Self::Levels { .. }
            | Self::Echo(_)
            | Self::FirstSound(_)
            | Self::OtherSource { .. }
            | Self::Bye(_)
            | Self::MediaTimeout(_) => false,
        }
    }
}
