//! Media sockets: bound on the control thread, read and written on the audio thread without
//! allocating.
//!
//! A packet's arrival is the kernel's own time stamp (`SO_TIMESTAMPNS`), so that the 5 ms between
//! two turns of the loop do not look like jitter.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use media::MAX_PACKET;
use media::{PacketKind, StreamId};
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
};

/// An arrival further back than this is a clock set by hand, not a late packet.
const OLDEST_ARRIVAL: Duration = Duration::from_secs(1);
/// Linux's queueing priority for interactive traffic.
const SO_PRIORITY_VOICE: i32 = 6;
/// A socket's receive buffer: half a second of 10 ms packets and some.
const RECEIVE_BUFFER: usize = 128 * 1024;

/// One stream's two sockets.
#[derive(Debug)]
pub struct SocketPair {
    /// Whose.
    pub stream: StreamId,
    /// RTP.
    pub rtp: UdpSocket,
    /// RTCP.
    pub rtcp: UdpSocket,
    /// They are IPv6 sockets.
    v6: bool,
    /// Where RTP and RTCP are received.
    local: (SocketAddr, SocketAddr),
}

impl SocketPair {
    fn new(stream: StreamId, rtp: UdpSocket, rtcp: UdpSocket) -> io::Result<Self> {
        let local = (rtp.local_addr()?, rtcp.local_addr()?);
        Ok(Self {
            stream,
            rtp,
            rtcp,
            v6: local.0.is_ipv6(),
            local,
        })
    }

    /// Sends one packet.
    pub(crate) fn send(&self, kind: PacketKind, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.socket(kind)
            .send_to(bytes, super::address::for_socket(to, self.v6))
    }

    /// Its own address.
    pub(crate) fn local(&self, kind: PacketKind) -> SocketAddr {
        match kind {
            PacketKind::Rtp => self.local.0,
            PacketKind::Rtcp => self.local.1,
        }
    }

    pub(crate) fn socket(&self, kind: PacketKind) -> &UdpSocket {
        match kind {
            PacketKind::Rtp => &self.rtp,
            PacketKind::Rtcp => &self.rtcp,
        }
    }
}

/// Binds a pair on this address and even port; RTCP takes the next one.
pub fn bind_pair(stream: StreamId, address: IpAddr, port: u16, dscp: u8) -> io::Result<SocketPair> {
    let rtp = bind(SocketAddr::new(address, port), dscp)?;
    let rtcp = bind(SocketAddr::new(address, port + 1), dscp)?;
    SocketPair::new(stream, rtp, rtcp)
}

/// A pair of a socket that only receives; nothing comes to its RTCP side, and nothing leaves by it.
pub fn receiving_pair(stream: StreamId, rtp: UdpSocket) -> io::Result<SocketPair> {
    setsockopt(&rtp, sockopt::ReceiveTimestampns, &true)?;
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let rtcp = super::address::udp(loopback)?;
    SocketPair::new(stream, rtp, rtcp)
}

fn bind(address: SocketAddr, dscp: u8) -> io::Result<UdpSocket> {
    let socket = super::address::udp(address)?;
    let address = socket.local_addr()?;
    mark(&socket, address, dscp);
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    // Best effort: the default would do.
    let _ = setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER);
    Ok(socket)
}

/// DSCP and queueing priority. Best effort: a network that ignores them, or a kernel that refuses,
/// costs no call.
pub(crate) fn mark(socket: &impl std::os::fd::AsFd, address: SocketAddr, dscp: u8) {
    let tos = i32::from(dscp) << 2;
    // An IPv6 socket may carry IPv4 as well; a kernel that marks one of the two is enough.
    let v4 = setsockopt(socket, sockopt::Ipv4Tos, &tos);
    let v6 = match address {
        SocketAddr::V4(_) => v4,
        SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6TClass, &tos),
    };
    if v4.is_err() && v6.is_err() {
        tracing::debug!("DSCP {dscp} could not be set on {address}");
    }
    let _ = setsockopt(socket, sockopt::Priority, &SO_PRIORITY_VOICE);
}

/// What the loop needs to receive: two buffers that live as long as it does.
pub(crate) struct Inbox {
    packet: [u8; MAX_PACKET],
    control: Controls,
}

/// Room for the time stamp, aligned as the kernel's headers want it.
#[repr(align(16))]
struct Controls([u8; 128]);

/// One received packet.
pub(crate) struct Packet<'a> {
    pub(crate) bytes: &'a mut [u8],
    pub(crate) from: SocketAddr,
    /// When it came, and the same by the wall clock, since 1970.
    pub(crate) arrival: Instant,
    pub(crate) at: Duration,
}

/// What a try to receive came to.
pub(crate) enum Received<'a> {
    /// A packet.
    Packet(Packet<'a>),
    /// Something that is no packet for us (too long, no address, an ICMP error): look again.
    Nothing,
    /// The socket is empty.
    Empty,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self {
            packet: [0; MAX_PACKET],
            control: Controls([0; 128]),
        }
    }

    /// Takes one packet off a socket. The clocks are read only where there is one: most tries find
    /// the socket empty.
    pub(crate) fn receive(&mut self, socket: &UdpSocket) -> Received<'_> {
        let Self { packet, control } = self;
        let (length, from, stamp) = {
            let mut parts = [IoSliceMut::new(packet)];
            let message = match recvmsg::<SockaddrStorage>(
                socket.as_raw_fd(),
                &mut parts,
                Some(&mut control.0),
                MsgFlags::MSG_DONTWAIT,
            ) {
                Ok(message) => message,
                Err(Errno::EAGAIN) => return Received::Empty,
                // ICMP errors of packets we sent come out here; the signalling notices a peer that
                // is gone.
                Err(_) => return Received::Nothing,
            };
            if message.flags.contains(MsgFlags::MSG_TRUNC) {
                return Received::Nothing;
            }
            let mut stamp = None;
            if let Ok(controls) = message.cmsgs() {
                for control in controls {
                    if let ControlMessageOwned::ScmTimestampns(time) = control {
                        stamp = Some(Duration::from(time));
                    }
                }
            }
            (
                message.bytes,
                message.address.and_then(socket_address),
                stamp,
            )
        };
        let Some(from) = from else {
            return Received::Nothing;
        };
        let (now, wall) = (Instant::now(), wall_clock());
        let age = stamp
            .map(|stamp| wall.saturating_sub(stamp))
            .filter(|age| *age < OLDEST_ARRIVAL)
            .unwrap_or_default();
        Received::Packet(Packet {
            bytes: &mut packet[..length],
            from: super::address::canonical(from),
            arrival: now.checked_sub(age).unwrap_or(now),
            at: wall.saturating_sub(age),
        })
    }
}

/// The wall clock, as the kernel stamps packets with.
pub(crate) fn wall_clock() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

fn socket_address(address: SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::from((v4.ip(), v4.port())));
    }
    address
        .as_sockaddr_in6()
        .map(|v6| SocketAddr::from((v6.ip(), v6.port())))
}
