//! TURN over TCP and TLS (RFC 8656 section 3.1): media sockets know datagrams, so the server is
//! behind a UDP socket on this machine.
//!
//! ```text
//! media socket ─▶ 127.0.0.1: link ─┬─ one connection a media socket ─▶ TURN server
//!      ▲                           │     STUN messages and channel data, padded to four bytes
//!      └───────────────────────────┴──◀─ cut at their lengths, without the padding
//! ```
//!
//! An allocation belongs to a connection: when that ends, so does the allocation, and the checks of
//! the call find another way. What cannot leave is lost, as on any network.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsConnector;

use super::tcp;
use super::tls::ClientSide;

/// Media sockets at once; a phone has a few calls with two each.
const MAX_CLIENTS: usize = 64;
/// Datagrams that wait for one connection: a second of sound.
const MAX_WAITING: usize = 64;
/// How long a connection may take to open, with its handshake.
const OPENING: Duration = Duration::from_secs(5);
/// How long a write may take.
const WRITING: Duration = Duration::from_secs(5);
/// A media socket that was silent for so long is closed: allocations are refreshed in half of that.
const SILENCE: Duration = Duration::from_secs(1000);
/// Longest message of a server, as of a datagram.
const MAX_MESSAGE: usize = 65_535;
/// Bytes of a STUN header, and of the one of channel data.
const STUN_HEADER: usize = 20;
const CHANNEL_HEADER: usize = 4;

/// The server behind a link.
pub(crate) struct TurnServer {
    pub(crate) remote: SocketAddr,
    /// `None`: TCP without TLS.
    pub(crate) tls: Option<ClientSide>,
    pub(crate) dscp: u8,
}

/// A link; it ends when dropped.
#[derive(Debug)]
pub(crate) struct TurnLink {
    local: SocketAddr,
    task: AbortHandle,
}

impl TurnLink {
    /// Binds the socket and serves it in the background. `bind`: what media sockets are bound to.
    pub(crate) fn start(bind: IpAddr, server: TurnServer) -> io::Result<Self> {
        let host = match bind {
            IpAddr::V6(v6) if !v6.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            IpAddr::V4(_) | IpAddr::V6(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let socket = super::address::udp(SocketAddr::new(host, 0))?;
        let local = socket.local_addr()?;
        let socket = UdpSocket::from_std(socket)?;
        let task = tokio::spawn(serve(Arc::new(socket), Arc::new(server)));
        Ok(Self {
            local,
            task: task.abort_handle(),
        })
    }

    /// Where media sockets send what is for the server.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for TurnLink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: Arc<UdpSocket>, server: Arc<TurnServer>) {
    let mut clients: HashMap<SocketAddr, mpsc::Sender<Vec<u8>>> = HashMap::new();
    let mut connections = JoinSet::new();
    let mut datagram = vec![0; MAX_MESSAGE];
    loop {
        tokio::select! {
            received = socket.recv_from(&mut datagram) => {
                let Ok((length, client)) = received else {
                    // Of a media socket that is closed.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    continue;
                };
                let Some(message) = padded(&datagram[..length]) else { continue };
                if !clients.contains_key(&client) {
                    if clients.len() >= MAX_CLIENTS {
                        continue;
                    }
                    let (out, waiting) = mpsc::channel(MAX_WAITING);
                    clients.insert(client, out);
                    let (server, socket) = (Arc::clone(&server), Arc::clone(&socket));
                    connections.spawn(async move {
                        if let Err(error) = connect(&server, client, &socket, waiting).await {
                            let remote = server.remote;
                            let why = server.tls.as_ref().map(|tls| tls.about.complaint(&error));
                            let why = why.unwrap_or_else(|| error.to_string());
                            tracing::info!("connection to TURN server {remote}: {why}");
                        }
                        client
                    });
                }
                if let Some(out) = clients.get(&client) {
                    let _ = out.try_send(message);
                }
            }
            Some(done) = connections.join_next() => match done {
                Ok(client) => {
                    clients.remove(&client);
                }
                // One panicked: whose it was is found out by its closed queue.
                Err(_) => clients.retain(|_, out| !out.is_closed()),
            }
        }
    }
}

async fn connect(
    server: &TurnServer,
    client: SocketAddr,
    socket: &UdpSocket,
    waiting: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    let late = || io::Error::from(io::ErrorKind::TimedOut);
    let opening = async {
        let stream = tcp::open(server.remote, server.dscp).await?;
        stream.set_nodelay(true)?;
        Ok::<_, io::Error>(stream)
    };
    let opened = tokio::time::timeout(OPENING, opening).await;
    let stream = opened.map_err(|_| late())??;
    let Some(side) = &server.tls else {
        return carry(stream, client, socket, waiting).await;
    };
    let connector = TlsConnector::from(Arc::clone(&side.config));
    let handshake = connector.connect(side.server.clone(), stream);
    let opened = tokio::time::timeout(OPENING, handshake).await;
    carry(opened.map_err(|_| late())??, client, socket, waiting).await
}

/// Passes on what comes from either side, until one of them ends.
async fn carry<S: AsyncRead + AsyncWrite>(
    stream: S,
    client: SocketAddr,
    socket: &UdpSocket,
    mut waiting: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (mut chunk, mut buffer) = (vec![0; 4096], Vec::new());
    loop {
        tokio::select! {
            read = reader.read(&mut chunk) => {
                let length = read?;
                if length == 0 {
                    return Ok(());
                }
                buffer.extend_from_slice(&chunk[..length]);
                while let Some((whole, content)) = message_at(&buffer)? {
                    // A media socket that is full or gone loses it.
                    let _ = socket.send_to(&buffer[..content], client).await;
                    buffer.drain(..whole);
                }
            }
            message = tokio::time::timeout(SILENCE, waiting.recv()) => {
                let Ok(Some(message)) = message else { return Ok(()) };
                let writing = async {
                    writer.write_all(&message).await?;
                    writer.flush().await
                };
                match tokio::time::timeout(WRITING, writing).await {
                    Ok(written) => written?,
                    Err(_) => return Err(io::ErrorKind::TimedOut.into()),
                }
            }
        }
    }
}

/// How long the message at the beginning is: on the wire, and without padding (section 12.5).
/// `None`: it is not whole yet.
fn message_at(bytes: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let Some(head) = bytes.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let content = match head[0] {
        0..=3 => STUN_HEADER + length,
        64..=79 => CHANNEL_HEADER + length,
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    let whole = content.next_multiple_of(4);
    Ok((bytes.len() >= whole).then_some((whole, content)))
}

/// A datagram as it goes over a stream; `None`: the server could not know where it ends.
fn padded(datagram: &[u8]) -> Option<Vec<u8>> {
    let head = datagram.first_chunk::<4>()?;
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let fits = match head[0] {
        0..=3 => datagram.len() == STUN_HEADER + length,
        64..=79 => datagram.len() == CHANNEL_HEADER + length,
        _ => false,
    };
    let mut message = datagram.to_vec();
    message.resize(datagram.len().next_multiple_of(4), 0);
    fits.then_some(message)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn channel(number: u16, content: &[u8]) -> Vec<u8> {
        let length = content.len() as u16;
        [&number.to_be_bytes()[..], &length.to_be_bytes(), content].concat()
    }

    fn stun(kind: u8, content: &[u8]) -> Vec<u8> {
        let length = (content.len() as u16).to_be_bytes();
        [&[0, kind, length[0], length[1]][..], &[7; 16], content].concat()
    }

    #[test]
    fn messages_are_cut_however_the_bytes_arrive() {
        let all = [
            channel(0x4001, &[1, 2, 3, 4, 5]),
            stun(1, &[9; 8]),
            channel(0x4FFF, &[]),
        ];
        let wire: Vec<u8> = all.iter().flat_map(|m| padded(m).unwrap()).collect();
        assert_eq!(wire.len() % 4, 0);
        for step in 1..=wire.len() {
            let (mut buffer, mut found) = (Vec::new(), Vec::new());
            for part in wire.chunks(step) {
                buffer.extend_from_slice(part);
                while let Some((whole, content)) = message_at(&buffer).unwrap() {
                    found.push(buffer[..content].to_vec());
                    buffer.drain(..whole);
                }
            }
            assert_eq!(found, all, "{step}");
            assert_eq!(buffer, [] as [u8; 0]);
        }
        assert!(message_at(&[0x80, 0, 0, 0]).is_err());
        for not_whole in [&[0x40, 1, 0, 9, 1][..], &[0, 1, 0, 0], &[22, 254, 253], &[]] {
            assert_eq!(padded(not_whole), None, "{not_whole:?}");
        }
    }

    /// Wall clock: real sockets.
    #[tokio::test]
    async fn each_media_socket_has_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = TurnServer {
            remote: listener.local_addr().unwrap(),
            tls: None,
            dscp: 0,
        };
        let link = TurnLink::start(IpAddr::from([0, 0, 0, 0]), server).unwrap();
        let mut ends = Vec::new();
        for n in 0..2_u8 {
            let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let message = channel(0x4000, &[n; 5]);
            client.send_to(&message, link.local()).await.unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut wire = [0; 12];
            stream.read_exact(&mut wire).await.unwrap();
            assert_eq!(wire[..9], message);
            ends.push((client, stream));
        }
        for (n, (client, stream)) in ends.iter_mut().enumerate() {
            let message = channel(0x4000, &[n as u8; 3]);
            stream.write_all(&padded(&message).unwrap()).await.unwrap();
            let mut datagram = [0; 100];
            let length = client.recv(&mut datagram).await.unwrap();
            assert_eq!(datagram[..length], message);
        }
        // The server closes one: the next datagram opens another.
        let (client, stream) = ends.remove(0);
        drop(stream);
        let again = async {
            loop {
                client.send_to(&stun(1, &[]), link.local()).await.unwrap();
                let accepted = tokio::time::timeout(Duration::from_millis(50), listener.accept());
                if let Ok(accepted) = accepted.await {
                    return accepted.unwrap();
                }
            }
        };
        let (mut stream, _) = tokio::time::timeout(Duration::from_secs(5), again)
            .await
            .unwrap();
        // The link is over: so are its connections.
        drop(link);
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest));
        ended.await.unwrap().unwrap();
    }
}
