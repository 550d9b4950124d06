//! What `Control` wants done, done.

use std::net::SocketAddr;
use std::sync::Arc;

use types::{Lamp, LampState};

use super::Driver;
use crate::audio_thread::{Datagram, Order, Report};
use crate::net::{lookup, tcp, tls, udp};
use control::Output;
use control::dtls::Transmit;

impl Driver {
    /// Carries out everything that waits.
    pub(super) fn act(&mut self) {
        while let Some(output) = self.control.poll_output() {
            match output {
                Output::Sip(message) => self.send_sip(message),
                Output::Connect {
                    connection,
                    remote,
                    transport,
                    names,
                } => self.connect(connection, remote, transport, &names),
                Output::Disconnect(connection) => drop(self.connections.remove(&connection)),
                Output::Lookup(lookup) => {
                    lookup::start(lookup, self.config.network.bind, self.heard.clone())
                }
                Output::OpenMedia(stream) => self.open_media(stream),
                Output::CloseMedia(stream) => self.link.send(Order::CloseSockets(stream)),
                Output::Media(command) => self.link.send(Order::Media(command)),
                Output::Dtls(datagram) => self.send_dtls(&datagram),
                Output::Keep { file, text } => self.store(file, text),
                Output::StarCode(order) => self.obey_order(order),
                Output::Ring(cadence) => {
                    if let Some(board) = self.board.as_mut() {
                        board.ring(cadence.as_deref(), std::time::Instant::now());
                    }
                }
                Output::Lamp(lamp, state) => self.light(lamp, state),
                Output::Event(event) => self.publish(&event),
            }
        }
    }

    /// Opens a connection. One for TLS is opened by TLS or not at all.
    fn connect(
        &mut self,
        connection: sip::ConnectionId,
        remote: SocketAddr,
        transport: sip::Transport,
        names: &[String],
    ) {
        let dscp = self.config.network.sip_dscp;
        match transport {
            sip::Transport::Udp => {}
            sip::Transport::Tcp => tcp::connect(connection, remote, dscp, self.heard.clone()),
            sip::Transport::Tls => match self.tls.client(names, remote) {
                Ok(side) => tls::connection::connect(connection, side, dscp, self.heard.clone()),
                Err(why) => {
                    let now = std::time::Instant::now();
                    self.control.handle_connect_failed(connection, &why, now);
                }
            },
        }
    }

    /// Binds a stream's sockets; the audio thread has them before anything of the stream.
    fn open_media(&mut self, stream: media::StreamId) {
        let opened = self.ports.open(stream).map(|(pair, addresses)| {
            self.link.send(Order::Sockets(Box::new(pair)));
            addresses
        });
        self.control
            .handle_media_sockets(stream, opened, std::time::Instant::now());
    }

    fn send_sip(&mut self, message: sip::Transmit) {
        let (sip::Flow::Udp { remote }
        | sip::Flow::Tcp { remote, .. }
        | sip::Flow::Tls { remote, .. }) = message.flow;
        self.trace
            .keep(self.local, remote, &message.bytes, super::since_1970());
        match message.flow {
            sip::Flow::Udp { remote } => {
                let Some(udp) = self.udp.as_ref() else { return };
                if let Err(error) = udp::send(udp, &message.bytes, remote) {
                    tracing::debug!("SIP to {remote}: {error}");
                    self.control
                        .handle_unreachable(remote, std::time::Instant::now());
                }
            }
            sip::Flow::Tcp { connection, remote } | sip::Flow::Tls { connection, remote } => {
                let Some(out) = self.connections.get(&connection) else {
                    return;
                };
                if out.try_send(message.bytes).is_err() {
                    // It does not read, or is gone: dropping the sender ends its task, which tells.
                    tracing::debug!(
                        "{} to {remote}: the far end does not read",
                        message.flow.transport().via_name()
                    );
                    self.connections.remove(&connection);
                }
            }
        }
    }

    /// DTLS leaves by the audio thread, which owns the media sockets. What is too much is lost, as
    /// on any network: it is sent again.
    fn send_dtls(&mut self, datagram: &Transmit) {
        let Ok(bytes) = heapless::Vec::from_slice(&datagram.bytes) else {
            tracing::warn!(
                "a DTLS datagram of {} bytes is too long",
                datagram.bytes.len()
            );
            return;
        };
        let datagram = Datagram {
            stream: datagram.stream,
            socket: datagram.socket,
            peer: datagram.to,
            bytes,
        };
        if !self.link.send_datagram(datagram) {
            tracing::debug!("the audio thread does not send: a DTLS datagram is lost");
        }
    }

    /// Has a file of the state directory written by the storage thread.
    fn store(&self, file: &'static str, text: String) {
        let path = self.config.control.state_dir.join(file);
        let written = self
            .storage
            .run(move |files| files.write_atomic(&path, text.as_bytes()));
        tokio::spawn(async move {
            if let Err(error) = written.await {
                tracing::warn!("{file}: {error}; the last change is lost at the next start");
            }
        });
    }

    fn light(&mut self, lamp: Lamp, state: LampState) {
        self.tell_panel(lamp, state);
        if let Some(board) = self.board.as_mut() {
            board.lamp(lamp, state, std::time::Instant::now());
        }
    }

    /// Lamps of a phone without a board are seen by whoever listens.
    fn tell_panel(&mut self, lamp: Lamp, state: LampState) {
        let event = control::Event::Lamp { lamp, state };
        self.publish(&event);
    }

    /// News from the audio thread, and what it sends home.
    pub(super) fn hear_audio(&mut self) {
        let now = std::time::Instant::now();
        self.link.acknowledge();
        while let Some(report) = self.link.receive() {
            match report {
                Report::Media(event) => self.control.handle_media(event, now),
                Report::SocketsHome(pair) => drop(pair),
                Report::EngineHome(engine) => drop(engine),
                Report::CardHome(device, reason) => self.lost_card(device, reason, now),
            }
        }
        while let Some(datagram) = self.link.receive_datagram() {
            // STUN has nobody to hear it yet.
            if matches!(datagram.bytes.first(), Some(20..=63)) {
                let Datagram {
                    stream,
                    socket,
                    peer,
                    bytes,
                } = datagram;
                self.control.handle_dtls(stream, socket, peer, &bytes, now);
            }
        }
        self.link.flush();
    }

    /// Sends an event to every listener, with its time; who is too far behind is dropped.
    pub(super) fn publish(&mut self, event: &control::Event) {
        if self.listeners.is_empty() {
            return;
        }
        let t = (monotonic_seconds() * 1e6).round() / 1e6;
        let Ok(line) = serde_json::to_string(&control::TimedEvent { t, event }) else {
            return;
        };
        let line: Arc<str> = line.into();
        self.listeners
            .retain(|listener| listener.try_send(Arc::clone(&line)).is_ok());
    }
}

/// `CLOCK_MONOTONIC` in seconds: comparable with what any other program on this machine reads.
fn monotonic_seconds() -> f64 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .map(|time| time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9)
        .unwrap_or_default()
}
