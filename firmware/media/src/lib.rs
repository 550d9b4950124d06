//! The audio engine: codecs, RTP, RTCP, SRTP, jitter buffer, concealment, tones, mixer. Sans-IO;
//! nothing allocates after start.
//!
//! ```text
//! capture ─▶ level ─▶ resample ─▶ encode ─▶ RTP ─▶ SRTP ─▶ Transmit
//! packet ─▶ SRTP ─▶ RTP ─▶ jitter buffer ─▶ decode / conceal / stretch ─▶ resample ─▶ mixer (tones, second call, sidetone) ─▶ playback
//! ```

pub mod codec;
mod conceal;
mod demux;
mod drift;
pub mod dtmf;
pub mod engine;
mod jitter;
mod latch;
pub mod level;
mod mixer;
mod outbox;
mod patience;
mod playout;
mod receive;
pub mod resample;
mod ring;
pub mod rtcp;
pub mod rtp;
mod send;
pub mod srtp;
mod stats;
pub mod stream;
mod stretch;
pub mod tone;

#[cfg(test)]
mod test_data;

pub use demux::{Foreign, Protocol};
pub use engine::{Command, Engine, EngineConfig, Event, PacketKind, StreamId, Transmit};
pub use latch::SignallingHosts;
pub use srtp::{Encryption, KeyError, MasterKey, Protection, SrtpStats};
pub use stream::{Stream, StreamConfig, StreamError, StreamStats};
pub use tone::{Mix, ToneSegment, ToneSpec};
pub use types::{Codec, Direction, SrtpSuite};
