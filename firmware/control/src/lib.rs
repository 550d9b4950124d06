//! The phone's control logic without its I/O: what joins [`phone`], [`sip`] and [`media`], and all
//! that a running phone says of itself. The tokio driver and the simulator each own a [`Control`].
//!
//! The owner feeds every input with the time it came, then carries out every [`Output`] and asks
//! when to call again:
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use control::api::UserAction;
//! use control::{Control, Identity, KnownPeers, MediaAddresses, Output};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = config::load("[network]\nbind = \"192.0.2.1\"\n", "offhook.toml")?;
//! let mut now = Instant::now();
//! let identity = Identity {
//!     seed: [7; 32],
//!     local: "192.0.2.1:5060".parse::<std::net::SocketAddr>()?.into(),
//!     card: (48_000, 240),
//!     ntp: 0,
//!     credentials: None,
//!     known: KnownPeers::default(),
//!     features: Default::default(),
//!     history: Default::default(),
//! };
//! let mut control = Control::new(&config, identity, now);
//!
//! control.handle_action(&UserAction::Lift, now)?;
//! control.handle_action(&UserAction::Press("100#".into()), now)?;
//! let end = now + Duration::from_secs(5);
//! loop {
//!     while let Some(output) = control.poll_output() {
//!         match output {
//!             // Bind an RTP and an RTCP socket, and report their addresses.
//!             Output::OpenMedia(stream) => {
//!                 let (rtp, rtcp) = ("192.0.2.1:4000".parse()?, "192.0.2.1:4001".parse()?);
//!                 let opened = Ok(MediaAddresses { rtp, rtcp });
//!                 control.handle_media_sockets(stream, opened, now);
//!             }
//!             Output::Sip(message) => println!("send {} bytes", message.bytes.len()),
//!             Output::Event(event) => println!("{event:?}"),
//!             // Connections, names, commands for the engine, lamps, ringer, files.
//!             _ => {}
//!         }
//!     }
//!     // A driver waits here for sockets, board, engine, and this time.
//!     match control.poll_timeout().filter(|at| *at <= end) {
//!         Some(at) => now = now.max(at),
//!         None => break,
//!     }
//!     control.handle_timeout(now);
//! }
//! // No account and no direct call to a number: congestion tone, and a note says why.
//! assert_eq!(control.state(), phone::State::Congestion);
//! # Ok(())
//! # }
//! ```

mod accounts;
mod agent_config;
pub mod api;
mod automation;
mod call;
mod calls;
mod control;
pub mod credentials;
mod display;
pub mod dtls;
mod early_branches;
mod event;
pub mod features;
pub mod history;
pub mod ice;
pub mod key_script;
pub mod known_peers;
mod media_addresses;
pub mod negotiate;
mod note;
mod outbox;
mod output;
mod paging;
pub mod phone_book;
mod quality;
pub mod readable;
mod ring_sounds;
pub mod speech;
mod status;
mod stream_factory;
mod stun;
#[cfg(test)]
mod test_media;
pub mod tones;
mod transmit;
mod wall_clock;

pub use crate::automation::mqtt::{self, MqttEvent, MqttTopics, Publication};
pub use crate::display::{Brightness, DisplaySettings};
pub use control::{Control, Identity, Output, Tables};
pub use credentials::Credentials;
pub use event::{CallDirection, CallProgress, DigitTransport, Event, TimedEvent};
pub use ice::TurnLink;
pub use known_peers::KnownPeers;
pub use media_addresses::MediaAddresses;
pub use quality::{QualityReport, QualitySecond, QualitySummary};
pub use status::{
    AccountStatus, AttemptStatus, AudioStatus, CallStats, CallStatus, CardStatus, CountersStatus,
    EchoStatus, IoCounters, MailboxStatus, MessageStatus, MetricsStatus, MqttStatus, PeerStatus,
    RtpStatus, SoundStatus, Stats, Status, TableStats, UNVERIFIED_TLS, WatchedStatus,
};
pub use transmit::Transmit;
pub use types::BoardEvent;

/// The start of time in this crate's unit tests.
#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the unit tests read the clock"
)]
pub(crate) fn test_origin() -> std::time::Instant {
    std::time::Instant::now()
}
