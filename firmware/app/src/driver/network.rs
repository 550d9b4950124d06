//! What comes from the network and the ports it comes by.
//!
//! ```text
//! network.bind, sip_port ─▶ UDP, TCP, TLS ports ─▶ datagrams, connections ─▶ Control
//!                                                          └─▶ Trace (the last messages, for the support bundle)
//! ```

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use super::{Driver, DriverError, since_1970};
use crate::net::{Heard, seen, tcp, tls, udp};

impl Driver {
    pub(super) fn hear(&mut self, heard: Heard) {
        let now = Instant::now();
        match heard {
            Heard::Connected {
                connection,
                local,
                remote,
                out,
                proved,
            } => {
                self.connections.insert(connection, out);
                self.trace.opened(connection, remote);
                match proved {
                    Some(names) => self
                        .control
                        .handle_accepted_tls(connection, remote, names, now),
                    None => self
                        .control
                        .handle_connected(connection, local, remote, now),
                }
            }
            Heard::Bytes { connection, bytes } => {
                if self.connections.contains_key(&connection) {
                    self.trace
                        .keep_stream(connection, self.local, &bytes, since_1970());
                    self.control.handle_stream(connection, &bytes, now);
                }
            }
            Heard::Closed { connection, why } => {
                self.connections.remove(&connection);
                self.trace.closed(connection);
                match why {
                    Some(why) => self.control.handle_connect_failed(connection, &why, now),
                    None => self.control.handle_closed(connection, now),
                }
            }
            Heard::Found { id, targets } => self.control.handle_lookup(id, &targets, now),
        }
    }

    pub(super) fn take_datagrams(&mut self) {
        let Some(udp) = self.udp.as_ref() else { return };
        for _ in 0..udp::DATAGRAMS_A_TURN {
            match udp.try_recv_from(&mut self.datagram) {
                Ok((length, from)) => {
                    self.trace.keep(
                        seen(from),
                        self.local,
                        &self.datagram[..length],
                        since_1970(),
                    );
                    self.control.handle_datagram(
                        seen(from),
                        &self.datagram[..length],
                        Instant::now(),
                    );
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {}
            }
        }
        for remote in udp::unreachable(udp) {
            self.control.handle_unreachable(remote, Instant::now());
        }
    }

    /// Binds the SIP port. An address that is not there yet (the network comes up later) is tried
    /// again by the tick.
    pub(super) fn bind_network(&mut self) -> Result<(), DriverError> {
        let network = &self.config.network;
        let address = SocketAddr::new(network.bind, network.sip_port);
        let refused = |transport, source| DriverError::Bind {
            transport,
            address,
            source,
        };
        match udp::bind(address, network.sip_dscp) {
            Ok(socket) => {
                tcp::listen(address, network.sip_dscp, self.heard.clone())
                    .map_err(|source| refused("TCP", source))?;
                tracing::info!("SIP on {address}, known to others as {}", self.local);
                self.listen_for_tls()?;
                self.udp = Some(socket);
                self.control.handle_timeout(Instant::now());
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                let complaint = format!(
                    "network.bind = {}: this machine does not have that address (yet); trying again",
                    network.bind
                );
                if self.bind_complaint.as_ref() != Some(&complaint) {
                    tracing::warn!("{complaint}");
                    self.bind_complaint = Some(complaint);
                }
                Ok(())
            }
            Err(error) => Err(refused("UDP", error)),
        }
    }

    /// Opens the TLS port to those who may come in. A phone whose certificate is damaged says so
    /// and goes on without.
    fn listen_for_tls(&mut self) -> Result<(), DriverError> {
        use config::schema::Listen;
        let open = match self.config.tls.listen {
            Listen::Pinned => !self.config.tls.pins.is_empty(),
            Listen::All => true,
            Listen::Off => false,
        };
        if !open {
            return Ok(());
        }
        let address = SocketAddr::new(self.config.network.bind, self.config.tls.sip_port_tls);
        match self.tls.server() {
            Ok(server) => {
                let (dscp, pins) = (self.config.network.sip_dscp, self.tls.pins().to_vec());
                tls::connection::listen(address, dscp, server, pins, self.heard.clone()).map_err(
                    |source| DriverError::Bind {
                        transport: "TLS",
                        address,
                        source,
                    },
                )?;
                tracing::info!("SIP over TLS on {address}");
            }
            Err(why) => tracing::error!("no SIP over TLS on {address}: {why}"),
        }
        Ok(())
    }
}
