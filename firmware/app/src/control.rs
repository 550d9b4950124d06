//! The control loop's logic without its I/O: board events, SIP bytes, media events and timers in; everything to be done out.
//! The tokio driver and the virtual-time simulator both own one of these.

use std::net::SocketAddr;
use std::time::Instant;

/// What differs between two phones with the same configuration.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Seed of everything unguessable.
    pub seed: [u8; 32],
    /// Our SIP address (never unspecified).
    pub local: SocketAddr,
    /// The sound card's rate in Hz and period in frames.
    pub card: (u32, usize),
    /// Wall-clock time of `now` as NTP 32.32.
    pub ntp: u64,
}

/// What must be done by whoever owns sockets, the audio thread and the board.
pub enum Output {
    /// Send a SIP message.
    Sip(sip::Transmit),
    /// Open a TCP connection.
    Connect {
        /// The number it shall have.
        connection: sip::ConnectionId,
        /// Where to.
        remote: SocketAddr,
    },
    /// Close a TCP connection.
    Disconnect(sip::ConnectionId),
    /// Resolve a name.
    Lookup(sip::agent::Lookup),
    /// Hand a command to the audio engine.
    Media(media::Command),
    /// Ring with this cadence (ms on, off, …; repeats), or be silent.
    Ring(Option<Vec<u16>>),
    /// Set a lamp.
    Lamp(phone::Lamp, phone::LampState),
    /// An event for `ctl events`, without its time.
    Event(String),
}

/// Hands out and takes back pairs of media sockets; the simulator's are numbers only.
pub trait MediaPorts {
    /// Opens an RTP/RTCP pair for a stream that may have to reach this address; tells the local RTP and RTCP address.
    fn open(&mut self, stream: media::StreamId, toward: Option<SocketAddr>) -> std::io::Result<(SocketAddr, SocketAddr)>;
    /// The stream is over.
    fn close(&mut self, stream: media::StreamId);
}

/// The logic of a whole phone but for its sound.
pub struct Control;

impl Control {
    /// A phone on hook.
    pub fn new(_config: &config::Config, _identity: Identity, _now: Instant) -> Self {
        Self
    }

    /// The hardware saw something.
    pub fn handle_board(&mut self, _event: board::BoardEvent, _ports: &mut dyn MediaPorts, _now: Instant) {}

    /// One SIP datagram.
    pub fn handle_datagram(&mut self, _from: SocketAddr, _bytes: &[u8], _ports: &mut dyn MediaPorts, _now: Instant) {}

    /// News from the audio engine.
    pub fn handle_media(&mut self, _event: media::Event, _ports: &mut dyn MediaPorts, _now: Instant) {}

    /// Fires every timer that is due.
    pub fn handle_timeout(&mut self, _ports: &mut dyn MediaPorts, _now: Instant) {}

    /// What is to be done next; call until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }

    /// When to call [`Control::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}
