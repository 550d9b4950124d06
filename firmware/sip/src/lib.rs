//! The SIP user agent: messages, transactions, dialogs, registration. Sans-IO: bytes and time come
//! in, bytes and events go out.
//!
//! ```text
//! datagram / stream bytes ─▶ message ─▶ transaction ─▶ Call, ClientRequest, Registration ─▶ Event
//!                  commands (invite, answer, end …) ─▶ Call ─▶ … ─▶ Transmit
//! ```
//!
//! The loop its owner runs, here with two agents and the network between them:
//!
//! ```
//! use std::net::SocketAddr;
//! use std::time::Instant;
//!
//! use sip::{AgentConfig, DirectCallers, Event, UserAgent};
//! use sip::offer_answer::LocalMedia;
//! use types::Codec;
//!
//! let config = |local: SocketAddr, seed| AgentConfig {
//!     user: "desk".into(),
//!     direct_calls: true,
//!     direct_callers: DirectCallers::Everyone,
//!     codecs: vec![Codec::Pcmu],
//!     ..AgentConfig::new(local.into(), [seed; 32])
//! };
//! let media = |port| LocalMedia {
//!     rtp: SocketAddr::new([0, 0, 0, 0].into(), port),
//!     rtcp: SocketAddr::new([0, 0, 0, 0].into(), port + 1),
//!     codecs: vec![Codec::Pcmu],
//!     ptime_ms: 20,
//!     dtmf: true,
//!     opus: Default::default(),
//!     comfort_noise: false,
//!     rtcp_xr: false,
//!     media_security: Default::default(),
//!     ice: None,
//!     owner_moves: false,
//! };
//! let addresses: [SocketAddr; 2] = [
//!     "192.0.2.1:5060".parse().unwrap(),
//!     "192.0.2.2:5060".parse().unwrap(),
//! ];
//! let mut now = Instant::now();
//! let mut agents = [1, 2].map(|n| UserAgent::new(config(addresses[n - 1], n as u8), now));
//! agents[0].invite(None, "sip:desk@192.0.2.2", media(20_000), now)?;
//!
//! let mut established = 0;
//! while established < 2 {
//!     for (this, other) in [(0, 1), (1, 0)] {
//!         // What must leave: by the socket that `transmit.flow` names.
//!         while let Some(transmit) = agents[this].poll_transmit() {
//!             agents[other].handle_datagram(addresses[this], &transmit.bytes, now);
//!         }
//!         // What the owner should know or do: also look names up, open and close connections.
//!         while let Some(event) = agents[this].poll_event() {
//!             match event {
//!                 Event::Incoming { call, .. } => agents[this].answer(call, media(30_000), now),
//!                 Event::Established { .. } => established += 1,
//!                 _ => {}
//!             }
//!         }
//!     }
//!     // Then sleep until a packet comes or the earliest deadline.
//!     if let Some(at) = agents.iter().filter_map(UserAgent::poll_timeout).min() {
//!         now = at;
//!     }
//!     for agent in &mut agents {
//!         agent.handle_timeout(now);
//!     }
//! }
//! # Ok::<(), sip::agent::InviteError>(())
//! ```

mod action;
mod admission;
pub mod agent;
mod api;
mod back_off;
mod call;
mod calls;
mod capabilities;
mod client_request;
mod connections;
mod dialog;
mod dialog_identity;
pub mod digest;
mod env;
mod event_body;
mod events;
mod fingerprint;
mod flow;
mod host;
pub mod ice;
mod identity;
mod ids;
mod initial_route;
mod keepalive;
mod known_hosts;
mod local_addresses;
mod locate;
pub mod media_security;
pub mod message;
pub mod offer_answer;
mod publication;
mod reachability;
mod reason;
mod registration;
mod registrations;
mod request_check;
mod requests;
pub mod sdes;
mod sdp;
mod server_transactions;
mod servers;
mod session_body;
mod session_intervals;
mod shared;
pub mod stream;
mod subscriptions;
mod text_message;
mod timer;
mod token;
mod transaction;
mod transfer;
mod transport;
mod udp_keepalive;
mod unsolicited;

pub use admission::{AllowedCaller, DirectCallers};
pub use agent::{
    AccountConfig, AccountEvents, AccountId, AgentConfig, CallHandle, ConnectionId, EndReason,
    EndedBy, Event, EventSettings, Flow, InviteOptions, Lookup, LookupId, MessageError, MessageId,
    MessageWaiting, PublicationId, RegistrationAttempt, RemoteAction, SendError, Target, Transmit,
    Transport, UserAgent, Watched,
};
pub use dialog_identity::DialogIdentity;
pub use event_body::{MessageSummary, WatchedState};
pub use host::host_of;
pub use known_hosts::{HostStanding, KnownHosts};
pub use local_addresses::{Families, LocalAddresses, Route, is_public};
pub use locate::Service;
pub use publication::{EventState, PublishError};
pub use session_intervals::SessionIntervals;
pub use udp_keepalive::KeepaliveMode;
