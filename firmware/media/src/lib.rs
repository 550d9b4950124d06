//! The audio engine: codecs, RTP, RTCP, SRTP, jitter buffer, concealment, tones, mixer. Sans-IO;
//! nothing allocates after start.
//!
//! ```text
//! capture ─▶ echo, noise, gain ─▶ resample ─▶ encode ─▶ RTP ─▶ SRTP ─▶ Transmit
//! packet ─▶ SRTP ─▶ RTP ─▶ jitter buffer ─▶ decode / conceal / stretch ─▶ resample ─▶ mixer (tones, second call, sidetone) ─▶ playback
//! ```
//!
//! The owner has the clock, the sockets and the card. Here are two engines that talk to each other
//! in virtual time, with the whole loop of an owner:
//!
//! ```
//! use std::net::SocketAddr;
//! use std::time::{Duration, Instant};
//!
//! use media::{Codec, Command, Engine, EngineConfig, Event, Stream, StreamConfig, StreamId};
//!
//! const PERIOD: Duration = Duration::from_millis(5);
//!
//! let id = StreamId(1);
//! let addresses: [SocketAddr; 2] = [([192, 0, 2, 1], 4000).into(), ([192, 0, 2, 2], 4000).into()];
//! # #[expect(clippy::disallowed_methods, reason = "an owner has a clock")]
//! let mut now = Instant::now();
//! let mut engines = Vec::new();
//! for remote in [addresses[1], addresses[0]] {
//!     let card = EngineConfig {
//!         rate_hz: 48_000,
//!         period_frames: 240,
//!         sidetone_db: None,
//!     };
//!     let mut engine = Engine::new(card, now);
//!     // Built where it may allocate; `handle_command` and all below do not.
//!     let stream = Stream::new(StreamConfig::new(id, Codec::G722, remote))?;
//!     engine.handle_command(Command::Start(stream), now);
//!     let connected = true;
//!     engine.handle_command(Command::Connect { id, connected }, now);
//!     engines.push(engine);
//! }
//! let mut first_sound = 0;
//! for n in 0..200_i32 {
//!     // A card's period is over: 5 ms of sound from the microphone, 5 ms for the ear.
//!     let microphone = std::array::from_fn::<i16, 240, _>(|i| (n * 240 + i as i32) as i16);
//!     for side in 0..2 {
//!         let mut ear = [0; 240];
//!         engines[side].process(&microphone, &mut ear, now);
//!         // What must leave, until there is nothing more.
//!         let mut sent = Vec::new();
//!         while let Some(transmit) = engines[side].poll_transmit() {
//!             sent.push((transmit.kind, transmit.bytes.to_vec()));
//!         }
//!         // The network, which is perfect here.
//!         for (kind, mut bytes) in sent {
//!             engines[1 - side].handle_packet(id, kind, addresses[side], &mut bytes, now);
//!         }
//!         while let Some(event) = engines[side].poll_event() {
//!             first_sound += usize::from(matches!(event, Event::FirstSound(_)));
//!         }
//!     }
//!     now += PERIOD;
//! }
//! assert_eq!(first_sound, 2, "each heard the other");
//! # Ok::<(), media::StreamError>(())
//! ```

mod asrc;
pub mod codec;
mod command;
mod conceal;
mod drift;
pub mod dtmf;
mod e_model;
mod echo;
pub mod engine;
mod gain;
mod inactivity;
mod interpolate;
mod jitter;
mod latch;
pub mod level;
mod microphone;
mod mixer;
mod other_sources;
mod outbox;
mod overlap_add;
mod packet;
mod playout;
mod receive;
pub mod resample;
mod ring;
mod ringing;
pub mod rtcp;
pub mod rtp;
mod send;
mod silence;
mod spectrum;
pub mod speech;
pub mod srtp;
mod stats;
pub mod stream;
mod stream_config;
mod stretch;
mod time;
pub mod tone;
mod voice;

#[cfg(test)]
mod test_data;
#[cfg(test)]
mod test_stoi;

pub use asrc::{CaptureAsrc, CardFormat, PlaybackAsrc};
pub use echo::{EchoCanceller, EchoMode, EchoStats};
pub use engine::{
    Command, Engine, EngineConfig, Event, Gains, MAX_STREAMS, RingClip, RingSound, RingTone,
};
pub use latch::SignallingHosts;
pub use other_sources::OtherSources;
pub use packet::{MAX_PACKET, NonMedia, PacketKind, Protocol, Relay, Relays, StreamId, Transmit};
pub use srtp::{Encryption, KeyError, MasterKey, Protection, SrtpStats};
pub use stats::StreamStats;
pub use stream::{Stream, StreamConfig, StreamError};
pub use tone::{Mix, ToneSegment, ToneSpec};
pub use types::{Codec, Direction, OpusBand, SrtpSuite};
pub use voice::{VoiceOptions, VoiceProcessor};
