//! SIP's sockets and connections, the names they are looked up by, and the clock certificates are
//! judged by.
//!
//! ```text
//! network.bind, sip_port ─▶ UDP, TCP, TLS ports ─▶ datagrams, connections ─▶ Control
//! Control ─▶ send, connect, look_up                    └─▶ Trace (the last messages, for the support bundle)
//! ```

mod secured;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use config::schema::Listen;
use control::{Control, Credentials};
use sip::LocalAddresses;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use self::secured::{AwaitingAnchors, TlsConnect};
use super::{state_dir, wait};
use crate::bundle::trace::Trace;
use crate::net::address::canonical;
use crate::net::dns::{Dns, Machine, last_good};
use crate::net::fetch::Trust;
use crate::net::local::{FaultReport, Snapshot, address_change};
use crate::net::slots::Known;
use crate::net::tls::Tls;
use crate::net::tls::clock::Watch;
use crate::net::turn_link::TurnLink;
use crate::net::watch::{self, Change};
use crate::net::{NetworkEvent, mdns, mqtt, paging, tcp, tls, udp};
use crate::storage::Storage;

/// Tried where the configured port cannot be had: SIP's own, then any.
const OTHER_PORTS: [u16; 2] = [5060, 0];

/// A port that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "{transport} port {address}: {source}; stop the program that holds it, or set another \
     network.sip_port or network.bind"
)]
pub struct BindError {
    /// UDP, TCP or TLS.
    transport: &'static str,
    /// Which.
    address: SocketAddr,
    /// Why.
    source: io::Error,
}

/// The network as SIP sees it.
pub(super) struct Network {
    bind: IpAddr,
    /// `network.external_address`.
    external: Option<IpAddr>,
    sip_port: u16,
    sip_dscp: u8,
    rtp_dscp: u8,
    /// The TLS port, where the configuration opens it.
    tls_port: Option<u16>,
    udp: Option<UdpSocket>,
    /// What waits to be written on each connection.
    connections: HashMap<sip::ConnectionId, mpsc::Sender<Vec<u8>>>,
    /// Who is no stranger to the listeners.
    known: Known,
    tls: Tls,
    /// What waits for the certificates to trust, while those are read.
    awaiting_anchors: Option<Vec<AwaitingAnchors>>,
    /// The links to TURN servers, by their numbers.
    turn_links: HashMap<usize, TurnLink>,
    storage: Storage,
    dns: Dns,
    /// Says to the task of mDNS that the network is another one; none: it does not run.
    mdns: Option<tokio::sync::watch::Sender<()>>,
    /// What goes to the MQTT broker; none: no broker is named, or the phone ends.
    mqtt: Option<mqtt::Sender>,
    /// The file of the addresses DNS gave last.
    last_good: PathBuf,
    clock: Watch,
    /// Room for one datagram.
    /// Multicast groups that are not listened to yet.
    paging_groups: Vec<SocketAddr>,
    datagram: Vec<u8>,
    /// Where the tasks of connections and lookups report.
    events: mpsc::Sender<NetworkEvent>,
    /// Our addresses, as others were last given them.
    addresses: LocalAddresses,
    /// The network as it was last seen.
    seen: Snapshot,
    /// What is said of it.
    report: FaultReport,
    /// The kernel reports changes; where it does not, they are looked for.
    watched: bool,
    /// The last SIP messages, for the support bundle.
    trace: Trace,
    bind_warning: Option<String>,
    /// Another port is used where the configured one cannot be had: dial tone first.
    falls_back: bool,
    port_fault: Option<String>,
}

impl Network {
    /// No port is opened yet.
    pub(super) fn new(
        config: &config::Config,
        credentials: Option<Credentials>,
        events: mpsc::Sender<NetworkEvent>,
        storage: Storage,
        falls_back: bool,
        now: Instant,
    ) -> Self {
        let network = &config.network;
        let tls = Tls::new(tls::settings(config), credentials);
        let listens = match config.tls.listen {
            Listen::Pinned => !config.tls.pins.is_empty(),
            Listen::All => true,
            Listen::Off => false,
        };
        let (system, trust) = tls.clock().read();
        let seen = Snapshot::take(network.bind, network.sip_port, network.external_address);
        let watched = watch::start(&events);
        let last_good = config.control.state_dir.join(last_good::FILE);
        Self {
            bind: network.bind,
            external: network.external_address,
            sip_port: network.sip_port,
            sip_dscp: network.sip_dscp,
            rtp_dscp: network.rtp_dscp,
            tls_port: listens.then_some(config.tls.sip_port_tls),
            udp: None,
            connections: HashMap::new(),
            known: Known::default(),
            clock: Watch::new(now, system, trust),
            tls,
            awaiting_anchors: None,
            turn_links: HashMap::new(),
            storage,
            dns: Dns::start(
                Machine { bind: network.bind },
                state_dir::last_good(&last_good),
                events.clone(),
            ),
            last_good,
            mqtt: None,
            mdns: network.mdns.then(|| {
                let (sender, changed) = tokio::sync::watch::channel(());
                let seed = u64::from(getrandom::u32().unwrap_or(0));
                mdns::start(config.link.host_name.clone(), seed, changed);
                sender
            }),
            paging_groups: config
                .paging
                .groups
                .iter()
                .map(|(_, group)| *group)
                .collect(),
            datagram: vec![0; udp::MAX_DATAGRAM],
            events,
            addresses: seen.addresses.clone().unwrap_or_else(|| {
                // Nothing leaves the machine yet; what is bound is what it will be.
                let bound = (!network.bind.is_unspecified()).then_some(network.bind);
                bound.map_or(LocalAddresses::new(network.sip_port, []), |bind| {
                    SocketAddr::new(bind, network.sip_port).into()
                })
            }),
            watched,
            report: FaultReport::default(),
            seen,
            trace: Trace::default(),
            bind_warning: None,
            falls_back,
            port_fault: None,
        }
    }

    /// The addresses far ends are spoken to from.
    pub(super) fn addresses(&self) -> LocalAddresses {
        self.addresses.clone()
    }

    /// The last SIP messages as a capture file, without secrets.
    pub(super) fn pcap(&self) -> Vec<u8> {
        self.trace.pcap()
    }

    /// Binds the SIP ports, where they are not bound yet. An address that is not there yet (the
    /// network comes up later) is tried again by the next call. Where another program holds the
    /// port an appliance takes another one and reports that: dial tone and the next configuration
    /// must not depend on it.
    pub(super) fn bind(&mut self, control: &mut Control) -> Result<(), BindError> {
        if self.udp.is_some() {
            return Ok(());
        }
        paging::start(std::mem::take(&mut self.paging_groups), &self.events);
        let refused = match self.bind_port(self.sip_port) {
            Ok(()) => None,
            Err(error) if error.source.kind() == io::ErrorKind::AddrNotAvailable => {
                let warning = format!(
                    "network.bind = {}: this machine does not have that address (yet); trying \
                     again",
                    self.bind
                );
                if self.bind_warning.as_ref() != Some(&warning) {
                    tracing::warn!("{warning}");
                    self.bind_warning = Some(warning);
                }
                return Ok(());
            }
            Err(error) if self.falls_back => Some(error),
            Err(error) => return Err(error),
        };
        if let Some(error) = refused {
            let wanted = self.sip_port;
            let others = OTHER_PORTS.into_iter().filter(|port| *port != wanted);
            let found = others.map(|port| self.bind_port(port)).find(Result::is_ok);
            let fault = match found {
                Some(_) => format!("{error}; the phone uses port {} instead", self.sip_port),
                None => format!("{error}; no other port is free, trying again"),
            };
            if self.bind_warning.as_ref() != Some(&fault) {
                tracing::error!("{fault}");
                self.bind_warning = Some(fault.clone());
            }
            self.port_fault = Some(fault);
            if found.is_none() {
                return Ok(());
            }
            control.handle_local_addresses(self.addresses.clone(), Instant::now());
        }
        tracing::info!(
            "SIP on {}, known to others as {}",
            SocketAddr::new(self.bind, self.sip_port),
            self.addresses.primary()
        );
        match self.listen_for_tls() {
            Err(error) if self.falls_back => {
                tracing::error!("{error}");
                self.port_fault = Some(error.to_string());
            }
            listens => listens?,
        }
        control.handle_timeout(Instant::now());
        Ok(())
    }

    /// Binds UDP and TCP to one port, 0 for any.
    fn bind_port(&mut self, port: u16) -> Result<(), BindError> {
        let refused = |transport, port, source| BindError {
            transport,
            address: SocketAddr::new(self.bind, port),
            source,
        };
        let wrong = |source| refused("UDP", port, source);
        let socket = udp::bind(SocketAddr::new(self.bind, port), self.sip_dscp).map_err(wrong)?;
        let address = socket.local_addr().map_err(wrong)?;
        let port = address.port();
        tcp::listen(
            address,
            self.sip_dscp,
            self.known.clone(),
            self.events.clone(),
        )
        .map_err(|source| refused("TCP", port, source))?;
        self.udp = Some(socket);
        self.sip_port = port;
        self.addresses = self.addresses.clone().with_port(port);
        Ok(())
    }

    /// Whether the port that the configuration names is open.
    pub(super) fn is_bound(&self) -> bool {
        self.udp.is_some() && self.port_fault.is_none()
    }

    /// Why the phone uses another port than the configured one, or none.
    pub(super) fn port_fault(&self) -> Option<&str> {
        self.port_fault.as_deref()
    }

    /// Opens the TLS port. A phone whose certificate is damaged logs it and goes on without.
    fn listen_for_tls(&mut self) -> Result<(), BindError> {
        let Some(port) = self.tls_port else {
            return Ok(());
        };
        let address = SocketAddr::new(self.bind, port);
        match self.tls.server() {
            Ok(server) => {
                let (dscp, pins) = (self.sip_dscp, self.tls.pins().to_vec());
                tls::connection::listen(
                    address,
                    dscp,
                    server,
                    pins,
                    self.known.clone(),
                    self.events.clone(),
                )
                .map_err(|source| BindError {
                    transport: "TLS",
                    address,
                    source,
                })?;
                tracing::info!("SIP over TLS on {address}");
            }
            Err(why) => tracing::error!("no SIP over TLS on {address}: {why}"),
        }
        Ok(())
    }

    /// Waits until a datagram or an ICMP error is there; for ever while no port is bound.
    pub(super) async fn readable(&self) {
        wait::readable(self.udp.as_ref()).await;
    }

    /// Takes what is there, so much that a flood cannot starve keys and timers.
    pub(super) fn handle_readable(&mut self, control: &mut Control) {
        let Some(udp) = self.udp.as_ref() else { return };
        for _ in 0..udp::DATAGRAMS_A_TURN {
            match udp.try_recv_from(&mut self.datagram) {
                Ok((length, from)) => {
                    let (from, bytes) = (canonical(from), &self.datagram[..length]);
                    let here = self.addresses.toward(from.ip());
                    self.trace.keep(from, here, bytes, since_1970());
                    control.handle_datagram(from, bytes, Instant::now());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {}
            }
        }
        for remote in udp::unreachable(udp) {
            control.handle_unreachable(remote, Instant::now());
        }
    }

    /// A connection or a lookup has something to report.
    pub(super) fn handle_event(&mut self, event: NetworkEvent, control: &mut Control) {
        let now = Instant::now();
        match event {
            NetworkEvent::Connected {
                connection,
                remote,
                out,
                proved,
            } => {
                self.connections.insert(connection, out);
                self.trace.opened(connection, remote);
                match proved {
                    Some(names) => control.handle_accepted_tls(connection, remote, names, now),
                    None => control.handle_connected(connection, remote, now),
                }
            }
            NetworkEvent::Bytes { connection, bytes } => {
                if self.connections.contains_key(&connection) {
                    let here = self.addresses.primary();
                    self.trace
                        .keep_stream(connection, here, &bytes, since_1970());
                    control.handle_stream(connection, &bytes, now);
                }
            }
            NetworkEvent::Closed { connection, why } => {
                self.connections.remove(&connection);
                self.trace.closed(connection);
                match why {
                    Some(why) => control.handle_connect_failed(connection, &why, now),
                    None => control.handle_closed(connection, now),
                }
            }
            NetworkEvent::Page { group, from, bytes } => {
                control.handle_page(group, from, &bytes, now);
            }
            NetworkEvent::Mqtt(event) => control.handle_mqtt(event, now),
            NetworkEvent::Anchors(anchors) => self.handle_anchors(anchors, control),
            NetworkEvent::Found { id, targets, fault } => match fault {
                Some(fault) if targets.is_empty() => {
                    control.handle_lookup_failed(id, &fault.to_string(), now);
                }
                Some(_) | None => {
                    control.handle_lookup(id, &targets, now);
                    self.publish_known(control);
                }
            },
            NetworkEvent::Changed(change) => self.handle_change(change, control, now),
            NetworkEvent::LastGood(text) => self.keep_last_good(text),
        }
    }

    /// Connects with the MQTT broker, where one is named. `trust`: whom else its certificate is
    /// judged by.
    pub(super) fn start_mqtt(&mut self, config: &config::Config, trust: &Trust) {
        let settings = mqtt::Settings::of(config, trust);
        self.mqtt = settings.map(|settings| mqtt::start(settings, self.events.clone()));
    }

    /// Sends this to the MQTT broker, when it is there.
    pub(super) fn publish(&self, publication: control::Publication) {
        if let Some(mqtt) = &self.mqtt {
            mqtt.send(publication);
        }
    }

    /// Sends a SIP message.
    pub(super) fn send(&mut self, message: sip::Transmit, control: &mut Control) {
        let (sip::Flow::Udp { remote }
        | sip::Flow::Tcp { remote, .. }
        | sip::Flow::Tls { remote, .. }) = message.flow;
        let here = self.addresses.toward(remote.ip());
        self.trace.keep(here, remote, &message.bytes, since_1970());
        match message.flow {
            sip::Flow::Udp { remote } => {
                let Some(udp) = self.udp.as_ref() else { return };
                if let Err(error) = udp::send(udp, &message.bytes, remote) {
                    tracing::debug!("SIP to {remote}: {error}");
                    control.handle_unreachable(remote, Instant::now());
                }
            }
            sip::Flow::Tcp { connection, remote } | sip::Flow::Tls { connection, remote } => {
                let Some(out) = self.connections.get(&connection) else {
                    return;
                };
                if out.try_send(message.bytes).is_err() {
                    // It does not read, or is gone: dropping the sender ends its task, which
                    // reports.
                    tracing::debug!(
                        "{} to {remote}: the far end does not read",
                        message.flow.transport().via_name()
                    );
                    self.connections.remove(&connection);
                }
            }
        }
    }

    /// Opens a connection. One for TLS is opened by TLS or not at all.
    pub(super) fn connect(
        &mut self,
        connection: sip::ConnectionId,
        remote: SocketAddr,
        transport: sip::Transport,
        names: &[String],
        control: &mut Control,
    ) {
        match transport {
            sip::Transport::Udp => {}
            sip::Transport::Tcp => {
                tcp::connect(connection, remote, self.sip_dscp, self.events.clone());
            }
            sip::Transport::Tls => {
                let connect = TlsConnect {
                    connection,
                    remote,
                    names: names.to_vec(),
                };
                self.connect_tls(connect, control);
            }
        }
    }

    /// Closes a connection: its task ends when nothing can be sent any more.
    pub(super) fn disconnect(&mut self, connection: sip::ConnectionId) {
        self.connections.remove(&connection);
        if let Some(waiting) = &mut self.awaiting_anchors {
            waiting.retain(|waiting| match waiting {
                AwaitingAnchors::Connect(connect) => connect.connection != connection,
                AwaitingAnchors::TurnLink(_) => true,
            });
        }
    }

    /// Looks a name up; the answer comes as an event.
    pub(super) fn look_up(&self, lookup: sip::Lookup, control: &mut Control) {
        let id = lookup.id;
        if let Some(targets) = self.dns.look_up(lookup) {
            control.handle_lookup(id, &targets, Instant::now());
        }
    }

    /// Keeps the addresses DNS gave last, for the time it is gone.
    fn keep_last_good(&self, text: String) {
        let path = self.last_good.clone();
        let writing = self
            .storage
            .run(move |files| files.write_atomic(&path, text.as_bytes()));
        let path = self.last_good.clone();
        tokio::spawn(async move {
            if let Err(error) = writing.await {
                tracing::warn!(
                    "{}: {error}; without DNS a restart finds no server",
                    path.display()
                );
            }
        });
    }

    /// Informs the listeners who is no stranger.
    pub(super) fn publish_known(&self, control: &Control) {
        self.known.set(control.known_hosts());
    }

    /// The phone is about to end: its name on the link is given up, the MQTT broker informed.
    pub(super) fn shut_down(&mut self) {
        self.mdns = None;
        self.mqtt = None;
    }

    /// Whether the system's clock was set since the last call.
    pub(super) fn check_clock(&mut self, control: &mut Control, now: Instant) {
        let (system, trust) = self.tls.clock().read();
        if self.clock.look(now, system, trust) {
            tracing::info!("the clock was set");
            control.handle_clock_set(super::ntp_now(), now);
        }
    }

    /// The kernel reports a change.
    fn handle_change(&mut self, change: Change, control: &mut Control, now: Instant) {
        match change {
            Change::Link => self.look(control, now),
            Change::NameServers => {
                tracing::info!("the name servers changed");
                self.dns.network_changed();
                control.handle_network_change(now);
            }
        }
    }

    /// Looks at the network, where the kernel does not report its changes.
    pub(super) fn check_addresses(&mut self, control: &mut Control, now: Instant) {
        if !self.watched {
            self.look(control, now);
        }
        self.report_fault(control, now);
    }

    /// Says what is wrong with the network, when it is time to.
    pub(super) fn report_fault(&mut self, control: &mut Control, now: Instant) {
        if !self.report.handle_fault(self.seen.fault.as_ref(), now) {
            return;
        }
        let fault = self.report.said();
        if let Some(fault) = fault {
            tracing::warn!("{fault}");
        }
        control.set_network_fault(fault.map(ToString::to_string));
    }

    /// Looks at the network. While nothing leads out, the addresses stay what they were: a pulled
    /// cable must not make the loopback a Contact.
    fn look(&mut self, control: &mut Control, now: Instant) {
        let seen = Snapshot::take(self.bind, self.sip_port, self.external);
        if seen == self.seen {
            return;
        }
        let before = std::mem::replace(&mut self.seen, seen);
        self.report_fault(control, now);
        self.dns.network_changed();
        if let Some(mdns) = &self.mdns {
            mdns.send_replace(());
        }
        match self.seen.addresses.clone() {
            Some(addresses) if addresses != self.addresses => {
                if let Some(change) = address_change(&addresses, &self.addresses) {
                    tracing::info!("{change}");
                }
                self.addresses = addresses.clone();
                control.handle_local_addresses(addresses, now);
            }
            // The link is back: a server may have forgotten us, a router its mapping.
            Some(addresses) if before.fault.is_some() && self.seen.fault.is_none() => {
                control.handle_local_addresses(addresses, now);
            }
            Some(_) if self.seen.fault.is_none() => control.handle_network_change(now),
            None => {
                if let Some(fault) = &self.seen.fault {
                    // Not said aloud yet, it is no more than that there is no address.
                    let reason = match self.report.said() {
                        Some(fault) => fault.to_string(),
                        None => fault.while_waiting(),
                    };
                    control.handle_network_lost(&reason, now);
                }
            }
            Some(_) => {}
        }
    }
}

/// The wall clock since 1970.
fn since_1970() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
