//! What the control loop wants done.

use std::net::SocketAddr;

use media::StreamId;
use types::{Lamp, LampState};

use crate::event::Event;
use crate::transmit::Transmit;

/// What must be done by whoever owns sockets, the audio thread and the board.
#[expect(
    clippy::large_enum_variant,
    reason = "each lives for one turn of the loop; a box for every command would only cost"
)]
pub enum Output {
    /// Send a SIP message.
    Sip(sip::Transmit),
    /// Open a connection.
    Connect {
        /// The number it gets.
        connection: sip::ConnectionId,
        /// Where to.
        remote: SocketAddr,
        /// TCP or TLS.
        transport: sip::Transport,
        /// TLS: one of these the certificate must be for.
        names: Vec<String>,
    },
    /// Close a connection.
    Disconnect(sip::ConnectionId),
    /// Resolve a name.
    Lookup(sip::agent::Lookup),
    /// Make, or replace, the link to a TURN server;
    /// [`Control::handle_turn_link`](super::Control::handle_turn_link) wants to know its address.
    TurnLink(crate::TurnLink),
    /// Open the RTP and the RTCP socket of a stream;
    /// [`Control::handle_media_sockets`](super::Control::handle_media_sockets) wants to know their
    /// addresses.
    OpenMedia(StreamId),
    /// Open a socket that hears this multicast group, for a stream;
    /// [`Control::handle_group_socket`](super::Control::handle_group_socket) wants to know how it
    /// went.
    OpenGroup {
        /// Whose.
        stream: StreamId,
        /// Address and port.
        group: SocketAddr,
    },
    /// Close the sockets of a stream.
    CloseMedia(StreamId),
    /// Hand a command to the audio engine.
    Media(media::Command),
    /// Send a datagram that is no media from a stream's socket: DTLS, STUN, TURN.
    Datagram(Transmit),
    /// Keep this text in a file of the state directory, whole or not at all.
    Keep {
        /// The file's name.
        file: &'static str,
        /// Its whole text.
        text: String,
    },
    /// Ring with this cadence (ms on, off, …; repeats), or be silent.
    Ring(Option<Vec<u16>>),
    /// Set a lamp.
    Lamp(Lamp, LampState),
    /// Write this text as the phone's settings, which has none yet;
    /// [`super::Control::handle_settings_written`] wants to know how it went.
    WriteSettings(String),
    /// Carry out what keys ask of the appliance.
    Maintenance(phone::Maintenance),
    /// Look up the configuration again: an account's server asks for it, and nothing goes on.
    LookUpConfiguration,
    /// Fetch this address (HTTP GET) and throw the answer away.
    Fetch(String),
    /// An event for whoever listens.
    Event(Event),
}
