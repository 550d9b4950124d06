//! TLS connections: ours to servers and phones, theirs to our port. The handshake is done here;
//! what comes after is `tcp::run`'s, as for any other connection.
//!
//! ```text
//! connect ─▶ TCP ─▶ handshake (verify) ─▶ run      listen ─▶ accept ─▶ handshake (verify) ─▶ run
//!             └───────┴─▶ NetworkEvent::Closed with a reason              └─▶ counted out, logged
//! ```

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{ClientSide, Pin, fingerprint};
use crate::net::address::canonical;
use crate::net::slots::{Known, Slots};
use crate::net::{NetworkEvent, tcp};

/// How long TCP may take to open, and then the handshake; both end before the agent tries the next
/// address.
const OPENING: Duration = Duration::from_secs(5);
const HANDSHAKE: Duration = Duration::from_secs(4);
/// Handshakes of strangers at once, in total and per host: they cost us more than them. The oldest
/// gives up for a newer one, so that silent sockets lock no one out; those of the accounts' servers
/// are counted by themselves.
const MAX_HANDSHAKES: usize = 8;
const MAX_HANDSHAKES_PER_HOST: usize = 3;
/// Bytes rustls may hold back for one connection, each way.
const MAX_BUFFER: usize = 128 * 1024;

/// Opens a connection in the background; the outcome comes as an event.
pub(crate) fn connect(
    connection: sip::ConnectionId,
    side: ClientSide,
    dscp: u8,
    events: mpsc::Sender<NetworkEvent>,
) {
    tokio::spawn(async move {
        let about = side.about.clone();
        let opened = async {
            let stream = within(OPENING, tcp::open(about.remote, dscp)).await?;
            let remote = far_end(&stream)?;
            let connector = TlsConnector::from(side.config);
            let tls = within(
                HANDSHAKE,
                connector.connect_with(side.server, stream, |session| {
                    session.set_buffer_limit(Some(MAX_BUFFER));
                }),
            )
            .await?;
            Ok::<_, io::Error>((tls, remote))
        };
        match opened.await {
            Ok((tls, remote)) => {
                let (_, session) = tls.get_ref();
                tracing::debug!(
                    "TLS with {}: {:?}, {:?}",
                    remote,
                    session.protocol_version(),
                    session.handshake_kind()
                );
                let connected = |out| NetworkEvent::Connected {
                    connection,
                    remote,
                    out,
                    proved: None,
                };
                // A server that does not like our certificate says so only now (TLS 1.3).
                tcp::run(tls, connection, connected, events, |error| {
                    Some(about.complaint(error))
                })
                .await;
            }
            Err(error) => {
                let why = about.complaint(&error);
                tracing::debug!("{why}");
                let _ = events
                    .send(NetworkEvent::Closed {
                        connection,
                        why: Some(why),
                    })
                    .await;
            }
        }
    });
}

async fn within<T>(time: Duration, doing: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(time, doing).await {
        Ok(done) => done,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

fn far_end(stream: &TcpStream) -> io::Result<SocketAddr> {
    // SIP messages are whole when they are written; holding them back for more helps no one.
    let _ = stream.set_nodelay(true);
    Ok(canonical(stream.peer_addr()?))
}

/// Binds and serves the TLS port in the background.
pub(crate) fn listen(
    address: SocketAddr,
    dscp: u8,
    config: Arc<ServerConfig>,
    pins: Vec<Pin>,
    known: Known,
    events: mpsc::Sender<NetworkEvent>,
) -> io::Result<()> {
    let listener = tcp::bind(address, dscp)?;
    tokio::spawn(accept(listener, config, Arc::new(pins), known, events));
    Ok(())
}

async fn accept(
    listener: TcpListener,
    config: Arc<ServerConfig>,
    pins: Arc<Vec<Pin>>,
    hosts: Known,
    events: mpsc::Sender<NetworkEvent>,
) {
    let slots = Slots::new(tcp::MAX_ACCEPTED, tcp::MAX_PER_HOST, hosts.clone());
    let handshakes = Slots::new(MAX_HANDSHAKES, MAX_HANDSHAKES_PER_HOST, hosts);
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                // One too many is closed at once: waiting would block those behind it.
                let Some(slot) = slots.take(remote.ip(), Instant::now()) else {
                    continue;
                };
                let handshake = handshakes.take_or_displace(remote.ip());
                let (acceptor, pins, events) = (
                    TlsAcceptor::from(Arc::clone(&config)),
                    Arc::clone(&pins),
                    events.clone(),
                );
                tokio::spawn(async move {
                    let opened = async {
                        let remote = far_end(&stream)?;
                        let bounded = |session: &mut rustls::ServerConnection| {
                            session.set_buffer_limit(Some(MAX_BUFFER));
                        };
                        let accepted = tokio::select! {
                            accepted = within(HANDSHAKE, acceptor.accept_with(stream, bounded)) =>
                                accepted?,
                            () = handshake.displaced() =>
                                return Err(io::ErrorKind::TimedOut.into()),
                        };
                        Ok::<_, io::Error>((accepted, remote))
                    };
                    let opened = opened.await;
                    drop(handshake);
                    match opened {
                        Ok((tls, remote)) => {
                            let proved = known(&tls, &pins);
                            let connection = tcp::next_accepted();
                            let connected = |out| NetworkEvent::Connected {
                                connection,
                                remote,
                                out,
                                proved: Some(proved),
                            };
                            tcp::run(tls, connection, connected, events, |_| None).await;
                        }
                        Err(error) => tracing::debug!("a TLS handshake with us failed: {error}"),
                    }
                    drop(slot);
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Who the far end has proved to be: what its pin says.
fn known(tls: &tokio_rustls::server::TlsStream<TcpStream>, pins: &[Pin]) -> Vec<String> {
    let (_, session) = tls.get_ref();
    let shown = session
        .peer_certificates()
        .and_then(<[_]>::first)
        .map(fingerprint);
    let pin = shown.and_then(|shown| pins.iter().find(|pin| pin.fingerprint == shown));
    pin.map(Pin::names).unwrap_or_default()
}
