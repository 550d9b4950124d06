//! Where LLDP is sent and received: a packet socket of one interface, and the file of the policy.
#![expect(
    unsafe_code,
    reason = "the address of a packet socket, which socket2 and nix cannot make"
)]

use std::fs;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::frame::{ETHERTYPE, NEAREST_BRIDGE};
use super::{Agent, MacAddress, VoicePolicy};

/// Longest frame that is read.
const MAX_FRAME: usize = 1600;
/// Longest file of an earlier run.
const MAX_FILE: u64 = 256;
/// Longest wait for a frame: an interface that is gone is noticed.
const NAP: Duration = Duration::from_secs(5);

/// Why LLDP is not spoken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// There is no such interface, or it is none of Ethernet.
    #[error("{interface}: {source}; name an Ethernet interface that is up")]
    Interface {
        interface: String,
        source: io::Error,
    },
    /// The file of the policy cannot be written.
    #[error("{path}: {source}; name a file in a folder that can be written")]
    File { path: PathBuf, source: io::Error },
}

/// Speaks LLDP until the voice VLAN is another one than `file` says; then the file is written and
/// this returns. The file counts as what an earlier run heard.
///
/// # Errors
/// There is no such interface, it went away, or the file cannot be written.
pub(crate) fn run(interface: &str, name: &str, file: &Path) -> Result<(), LinkError> {
    let wrong = |source| LinkError::Interface {
        interface: interface.to_owned(),
        source,
    };
    let before = board::files::read(file, MAX_FILE).unwrap_or_default();
    let known = VoicePolicy::read(&String::from_utf8_lossy(&before));
    let mac = hardware_address(interface).map_err(wrong)?;
    let mut socket = open(interface).map_err(wrong)?;
    let version = env!("CARGO_PKG_VERSION");
    let mut agent = Agent::new(mac, (name, version), known, Instant::now());
    let mut frame = [0; MAX_FRAME];
    while agent.policy() == known {
        let now = Instant::now();
        if let Some(bytes) = agent.poll_transmit(now) {
            match socket.send(bytes) {
                Ok(_) => {}
                // The cable is out: it is said again later.
                Err(error) if error.kind() == io::ErrorKind::NetworkDown => {}
                Err(error) => return Err(wrong(error)),
            }
        }
        let wait = agent.poll_timeout().saturating_duration_since(now);
        let wait = wait.clamp(Duration::from_millis(1), NAP);
        socket.set_read_timeout(Some(wait)).map_err(wrong)?;
        match socket.read(&mut frame) {
            Ok(length) => agent.handle_frame(&frame[..length], Instant::now()),
            Err(error) if waits_on(&error) => {}
            Err(error) => return Err(wrong(error)),
        }
        agent.handle_timeout(Instant::now());
    }
    let beside = file.with_extension("new");
    fs::write(&beside, VoicePolicy::text(agent.policy()))
        .and_then(|()| fs::rename(&beside, file))
        .map_err(|source| LinkError::File {
            path: file.to_owned(),
            source,
        })
}

/// Nothing came in time, or the cable is out.
fn waits_on(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock
            | io::ErrorKind::TimedOut
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NetworkDown
    )
}

fn hardware_address(interface: &str) -> io::Result<MacAddress> {
    let found = nix::ifaddrs::getifaddrs()?
        .filter(|found| found.interface_name == interface)
        .find_map(|found| found.address?.as_link_addr()?.addr());
    found.ok_or_else(|| io::Error::other("there is none with a hardware address"))
}

fn open(interface: &str) -> io::Result<Socket> {
    let index = nix::net::if_::if_nametoindex(interface)?;
    let protocol = ETHERTYPE.to_be();
    let socket = Socket::new(
        Domain::PACKET,
        Type::RAW,
        Some(Protocol::from(i32::from(protocol))),
    )?;
    socket.bind(&link_address(index, protocol)?)?;
    join(&socket, index)?;
    Ok(socket)
}

/// The address of everything of this `EtherType` on an interface (packet(7)).
fn link_address(index: u32, protocol: u16) -> io::Result<SockAddr> {
    // SAFETY: the storage is zeroed, large enough for every family, and a sockaddr_ll is what is
    // written into it, with its length.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, length| {
            let link = storage.cast::<libc::sockaddr_ll>();
            (*link).sll_family = libc::AF_PACKET as u16;
            (*link).sll_protocol = protocol;
            (*link).sll_ifindex = index as i32;
            *length = size_of::<libc::sockaddr_ll>() as u32;
            Ok(())
        })
    }?;
    Ok(address)
}

/// Has the interface take frames to the group of LLDP.
fn join(socket: &Socket, index: u32) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: a packet_mreq holds numbers and bytes only.
    let mut group: libc::packet_mreq = unsafe { MaybeUninit::zeroed().assume_init() };
    group.mr_ifindex = index as i32;
    group.mr_type = libc::PACKET_MR_MULTICAST as u16;
    group.mr_alen = NEAREST_BRIDGE.len() as u16;
    group.mr_address[..NEAREST_BRIDGE.len()].copy_from_slice(&NEAREST_BRIDGE);
    // SAFETY: the option's value is a packet_mreq of this size, which outlives the call.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            (&raw const group).cast(),
            size_of::<libc::packet_mreq>() as u32,
        )
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
