//! The table of TCP and TLS connections: who may hold one open, how many, and for how long.
//!
//! ```text
//! dial ────▶ Own (an account's server): opening ─▶ open; ends when one side closes it
//!      └───▶ Dialled (an address the far end of a call named, or the user): as Own, but idle ones
//!            make room for newer ones of their kind
//! accepted ▶ Unproven ─ a request was accepted ─▶ Admitted | Listed
//!         └▶ Known (an account's server, a proven name)
//!              └ closed: first message late, idle, never accepted, or displaced by a newer one
//! ```
//!
//! Whoever reaches the port can open connections, so what strangers hold is capped in total and
//! per host, and only what they sent whole and what was accepted keeps a connection open. A full
//! table displaces the oldest unproven connection: a newcomer always gets a few seconds to ask.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::flow::{Flow, Transport};
use crate::host::host_of;
use crate::ids::ConnectionId;
use crate::keepalive::Keepalive;
use crate::known_hosts::HostStanding;
use crate::stream::{Frame, StreamError, StreamReader};

/// Most connections that this phone dialled to its accounts' servers.
pub(crate) const MAX_OWN: usize = 32;
/// Most connections that it dialled to others: a far end says where requests for it go, so these
/// take nothing from the servers.
pub(crate) const MAX_DIALLED: usize = 32;
/// Most connections accepted from others.
pub(crate) const MAX_ACCEPTED: usize = 32;
/// Most connections accepted from one host, and most dialled to one; an account's servers are not
/// counted.
pub(crate) const MAX_PER_HOST: usize = 8;
/// How long an accepted connection may take to deliver its first whole message.
const FIRST_MESSAGE: Duration = Duration::from_secs(8);
/// How long a connection may be idle of which no request was accepted yet.
const UNPROVEN_IDLE: Duration = Duration::from_secs(10);
/// How long a connection lives all in all of which no request is accepted.
const UNPROVEN_AT_MOST: Duration = Duration::from_secs(30);
/// How long a message may take from its first byte to its last.
const WHOLE_MESSAGE: Duration = Duration::from_secs(30);
/// A stranger's connection that was idle for so long makes room for a newcomer.
const ADMITTED_IDLE: Duration = Duration::from_secs(30);
/// Most messages that wait for one connection to open.
const MAX_WAITING: usize = 16;

/// What a connection has earned; the lower ones make room for the higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// Accepted, or dialled to deliver a response; no request of its far end was accepted yet.
    Unproven,
    /// A request of its far end was accepted.
    Admitted,
    /// The same, of one who is known, at another address than a server's.
    Listed,
    /// Its far end is an account's server or has proved its name.
    Known,
    /// This phone dialled it for a request of its own, to no server of an account.
    Dialled,
    /// This phone dialled it to a server of an account.
    Own,
}

/// Why a connection is closed by this phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Expiry {
    /// No whole message came in time.
    #[error("no whole message came within {} s", FIRST_MESSAGE.as_secs())]
    FirstMessage,
    /// A message began and did not end.
    #[error("a message was not whole after {} s", WHOLE_MESSAGE.as_secs())]
    Unfinished,
    /// It was idle, or nothing it asked for was accepted.
    #[error("no request on it was accepted")]
    Unproven,
}

/// A connection to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dial {
    /// One that is open or being opened.
    Existing(Flow),
    /// A new one, which the owner must open; `displaced` must be closed in its favour.
    New {
        flow: Flow,
        displaced: Option<ConnectionId>,
    },
}

/// What became of bytes for a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Send {
    /// They may leave now.
    Now(Vec<u8>),
    /// They wait for the connection to open.
    Waits,
    /// The connection is gone, or too much waits for it.
    Lost,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    remote: SocketAddr,
    transport: Transport,
    /// TLS: who the far end must be (dialled), or has proved to be (accepted).
    names: Vec<String>,
    dialled: bool,
    standing: Standing,
    /// Where its far end listens, as it said in a request of its own (RFC 5923): requests for that
    /// address take this connection.
    alias: Option<SocketAddr>,
    open: bool,
    waiting: Vec<Vec<u8>>,
    reader: StreamReader,
    since: Instant,
    /// The last whole message, either way. Line ends (keepalives) do not count.
    used: Instant,
    received_any: bool,
    /// When the message began that is not whole yet.
    unfinished_since: Option<Instant>,
    pub(crate) keepalive: Keepalive,
}

impl Connection {
    /// One that is open, by its far end's wish.
    fn new(
        remote: SocketAddr,
        transport: Transport,
        names: Vec<String>,
        standing: Standing,
        now: Instant,
    ) -> Self {
        Self {
            remote,
            transport,
            names,
            dialled: false,
            standing,
            alias: None,
            open: true,
            waiting: Vec::new(),
            reader: StreamReader::default(),
            since: now,
            used: now,
            received_any: false,
            unfinished_since: None,
            keepalive: Keepalive::default(),
        }
    }

    /// The flow along it.
    pub(crate) fn flow(&self, id: ConnectionId) -> Flow {
        Flow::of(self.transport, id, self.remote)
    }

    /// Whether a request for this address may take it. Over TLS the address is not enough: what was
    /// proved when it was opened must be what this request needs, or a server of one domain would
    /// get what is meant for another on the same machine.
    fn serves(&self, remote: SocketAddr, transport: Transport, names: &[String]) -> bool {
        let address = self.remote == remote || self.alias == Some(remote);
        let proved = if self.dialled {
            self.names == names
        } else {
            names.iter().any(|name| {
                self.names
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(name))
            })
        };
        address && self.transport == transport && (transport != Transport::Tls || proved)
    }

    fn expiry(&self) -> Option<(Instant, Expiry)> {
        let unfinished = self
            .unfinished_since
            .map(|since| (since + WHOLE_MESSAGE, Expiry::Unfinished));
        let unproven = if self.received_any {
            let at = (self.used + UNPROVEN_IDLE).min(self.since + UNPROVEN_AT_MOST);
            (at, Expiry::Unproven)
        } else {
            (self.since + FIRST_MESSAGE, Expiry::FirstMessage)
        };
        match self.standing {
            Standing::Own | Standing::Dialled => None,
            Standing::Known | Standing::Listed | Standing::Admitted => unfinished,
            Standing::Unproven => [Some(unproven), unfinished]
                .into_iter()
                .flatten()
                .min_by_key(|(at, _)| *at),
        }
    }
}

/// Every connection, by its number.
#[derive(Debug)]
pub(crate) struct Connections {
    table: BTreeMap<ConnectionId, Connection>,
    next: u64,
}

impl Connections {
    pub(crate) fn new() -> Self {
        Self {
            table: BTreeMap::new(),
            next: 1,
        }
    }

    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.table.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.table.get_mut(&id)
    }

    /// Whether it can carry something at once.
    pub(crate) fn is_open(&self, id: ConnectionId) -> bool {
        self.table.get(&id).is_some_and(|found| found.open)
    }

    /// Whether the far end that opened it has proved a name.
    pub(crate) fn has_proved_name(&self, id: ConnectionId) -> bool {
        self.table
            .get(&id)
            .is_some_and(|found| !found.dialled && !found.names.is_empty())
    }

    /// The connection to an address for a request of this phone's: one that is open or being
    /// opened, else a new one. `None` where there are too many. With TLS the far end must prove to
    /// be one of `names`. `server`: the address is one of an account's servers.
    pub(crate) fn dial(
        &mut self,
        remote: SocketAddr,
        transport: Transport,
        names: &[String],
        server: bool,
        now: Instant,
    ) -> Option<Dial> {
        let (standing, most) = if server {
            (Standing::Own, MAX_OWN)
        } else {
            (Standing::Dialled, MAX_DIALLED)
        };
        let is_full = self.count(|c| c.standing == standing) >= most;
        if let Some((id, found)) = self
            .table
            .iter_mut()
            .find(|(_, c)| c.serves(remote, transport, names))
        {
            let earned = if found.dialled && !is_full {
                standing
            } else {
                Standing::Admitted
            };
            found.standing = found.standing.max(earned);
            return Some(Dial::Existing(found.flow(*id)));
        }
        let displaced = match (server, is_full) {
            // Servers whose addresses change leave connections that no one uses.
            (true, true) => Some(self.idlest_own()?),
            (true, false) => None,
            (false, _) => self
                .displaced_by_dial(host_of(remote.ip()), is_full, now)
                .ok()?,
        };
        let flow = self.insert_dialled(remote, transport, names, standing, now);
        Some(Dial::New { flow, displaced })
    }

    /// The connection to a server of ours that was used longest ago. One that an account is
    /// registered over carries keepalives, so it is not this one.
    fn idlest_own(&self) -> Option<ConnectionId> {
        let own = self
            .table
            .iter()
            .filter(|(_, c)| c.standing == Standing::Own && c.open);
        own.min_by_key(|(_, c)| c.used).map(|(id, _)| *id)
    }

    /// The connection that makes room for another to this host, where one has to.
    fn displaced_by_dial(
        &self,
        host: IpAddr,
        is_full: bool,
        now: Instant,
    ) -> Result<Option<ConnectionId>, Full> {
        let dialled = |c: &Connection| c.standing == Standing::Dialled;
        let of_host = |c: &Connection| dialled(c) && host_of(c.remote.ip()) == host;
        let host_is_full = self.count(of_host) >= MAX_PER_HOST;
        if !host_is_full && !is_full {
            return Ok(None);
        }
        let idle = self.table.iter().filter(|(_, c)| {
            dialled(c) && (!host_is_full || of_host(c)) && c.used + ADMITTED_IDLE <= now
        });
        let oldest = idle.min_by_key(|(_, c)| c.used);
        oldest.map(|(id, _)| Some(*id)).ok_or(Full)
    }

    /// The connection to an address for a response whose own connection is gone (RFC 3261 section
    /// 18.2.2). The far end named that address, so it has no better standing than one it opened.
    pub(crate) fn dial_for_response(
        &mut self,
        remote: SocketAddr,
        transport: Transport,
        names: &[String],
        now: Instant,
    ) -> Option<Dial> {
        if let Some((id, found)) = self
            .table
            .iter()
            .find(|(_, c)| c.serves(remote, transport, names))
        {
            return Some(Dial::Existing(found.flow(*id)));
        }
        let host = host_of(remote.ip());
        if self.count(|c| c.standing < Standing::Dialled) >= MAX_ACCEPTED
            || self.count_of_host(host) >= MAX_PER_HOST
        {
            return None;
        }
        let flow = self.insert_dialled(remote, transport, names, Standing::Unproven, now);
        let displaced = None;
        Some(Dial::New { flow, displaced })
    }

    fn insert_dialled(
        &mut self,
        remote: SocketAddr,
        transport: Transport,
        names: &[String],
        standing: Standing,
        now: Instant,
    ) -> Flow {
        let id = ConnectionId(self.next);
        self.next += 1;
        let mut connection = Connection::new(remote, transport, names.to_vec(), standing, now);
        (connection.dialled, connection.open) = (true, false);
        let flow = connection.flow(id);
        self.table.insert(id, connection);
        flow
    }

    /// A connection that was dialled is open: what waited for it. `None`: it was never dialled.
    pub(crate) fn handle_connected(
        &mut self,
        id: ConnectionId,
        remote: SocketAddr,
    ) -> Option<Vec<Vec<u8>>> {
        let found = self.table.get_mut(&id)?;
        found.open = true;
        found.remote = remote;
        Some(std::mem::take(&mut found.waiting))
    }

    /// Another host opened a connection. `names`: who its far end has proved to be; `host`: what
    /// its address says of it. `Err`: there are too many, close it; `Ok` names the
    /// connection that must be closed in its favour, if any.
    pub(crate) fn handle_accepted(
        &mut self,
        id: ConnectionId,
        remote: SocketAddr,
        transport: Transport,
        names: Vec<String>,
        standing: HostStanding,
        now: Instant,
    ) -> Result<Option<ConnectionId>, Full> {
        let standing = if names.is_empty() {
            standing
        } else {
            HostStanding::Server
        };
        let known = standing == HostStanding::Server;
        let host = host_of(remote.ip());
        let full = self.count(|c| c.standing < Standing::Dialled) >= MAX_ACCEPTED;
        let displaced = if !known && self.count_of_host(host) >= MAX_PER_HOST {
            // Its own make room, whoever it is.
            let of_host = |c: &Connection| host_of(c.remote.ip()) == host;
            Some(self.least_useful(now, HostStanding::Stranger, of_host)?)
        } else if full {
            Some(self.least_useful(now, standing, |_| true)?)
        } else {
            None
        };
        let standing = if known {
            Standing::Known
        } else {
            Standing::Unproven
        };
        let connection = Connection::new(remote, transport, names, standing, now);
        self.table.insert(id, connection);
        Ok(displaced)
    }

    /// The connection that makes room for a newcomer: the oldest unproven one, else one that was
    /// idle for long. One that is listed displaces a stranger's that was not, and a server anyone's
    /// but another server's.
    fn least_useful(
        &self,
        now: Instant,
        newcomer: HostStanding,
        eligible: impl Fn(&Connection) -> bool,
    ) -> Result<ConnectionId, Full> {
        self.table
            .iter()
            .filter(|(_, c)| eligible(c))
            .filter(|(_, c)| match c.standing {
                Standing::Unproven => true,
                Standing::Admitted => {
                    newcomer > HostStanding::Stranger || c.used + ADMITTED_IDLE <= now
                }
                Standing::Listed => {
                    newcomer > HostStanding::Listed || c.used + ADMITTED_IDLE <= now
                }
                Standing::Known | Standing::Dialled | Standing::Own => false,
            })
            .min_by_key(|(_, c)| {
                (
                    c.standing,
                    if c.standing == Standing::Unproven {
                        c.since
                    } else {
                        c.used
                    },
                )
            })
            .map(|(id, _)| *id)
            .ok_or(Full)
    }

    /// A request that came along it was accepted; `known`: as an account's, or from a caller the
    /// owner listed.
    pub(crate) fn handle_request_accepted(&mut self, id: ConnectionId, known: bool) {
        if let Some(found) = self.table.get_mut(&id) {
            let earned = if known {
                Standing::Listed
            } else {
                Standing::Admitted
            };
            found.standing = found.standing.max(earned);
        }
    }

    /// Bytes came in. Call [`Connections::poll_frame`] until `None` afterwards.
    pub(crate) fn handle_stream(&mut self, id: ConnectionId, bytes: &[u8], now: Instant) {
        if let Some(found) = self.table.get_mut(&id) {
            found.reader.push(bytes);
            found.unfinished_since = found.unfinished_since.or(Some(now));
        }
    }

    /// The next frame that came in on a connection.
    pub(crate) fn poll_frame(
        &mut self,
        id: ConnectionId,
        now: Instant,
    ) -> Option<Result<Frame, StreamError>> {
        let found = self.table.get_mut(&id)?;
        let frame = found.reader.poll();
        match &frame {
            Some(Ok(Frame::Message(_))) => {
                found.used = now;
                found.received_any = true;
                found.unfinished_since = Some(now);
            }
            Some(Ok(Frame::Ping | Frame::Pong)) => found.unfinished_since = Some(now),
            None if found.reader.waiting() == 0 => found.unfinished_since = None,
            Some(Err(_)) | None => {}
        }
        frame
    }

    /// The head of the message at which a connection's framing was lost.
    pub(crate) fn take_lost(&mut self, id: ConnectionId) -> Option<Vec<u8>> {
        self.table.get_mut(&id)?.reader.take_lost()
    }

    /// A message for a connection.
    pub(crate) fn send(&mut self, id: ConnectionId, bytes: Vec<u8>, now: Instant) -> Send {
        match self.table.get_mut(&id) {
            Some(found) if found.open => {
                // A keepalive keeps the far end's firewall open; it makes no use of the connection.
                if !bytes.iter().all(|byte| b"\r\n".contains(byte)) {
                    found.used = now;
                }
                Send::Now(bytes)
            }
            Some(found) if found.waiting.len() < MAX_WAITING => {
                found.waiting.push(bytes);
                Send::Waits
            }
            Some(_) | None => Send::Lost,
        }
    }

    /// A message that waits for this connection to open is not to be sent any more.
    pub(crate) fn abandon(&mut self, id: ConnectionId, bytes: &[u8]) {
        if let Some(found) = self.table.get_mut(&id) {
            found.waiting.retain(|waiting| waiting != bytes);
        }
    }

    /// The far end of a connection says where it listens (RFC 5923 section 5). Believed only of who
    /// proved a name: else anyone could have calls for another's address sent to himself.
    pub(crate) fn learn_alias(&mut self, id: ConnectionId, port: u16) {
        if let Some(found) = self.table.get_mut(&id)
            && found.transport == Transport::Tls
            && !found.dialled
            && !found.names.is_empty()
        {
            found.alias = Some(SocketAddr::new(found.remote.ip(), port));
        }
    }

    /// A connection is gone.
    pub(crate) fn handle_closed(&mut self, id: ConnectionId) {
        self.table.remove(&id);
    }

    /// When to call [`Connections::poll_expired`].
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.table
            .values()
            .filter_map(Connection::expiry)
            .map(|(at, _)| at)
            .min()
    }

    /// A connection whose time is up, and why; the caller closes it.
    pub(crate) fn poll_expired(&self, now: Instant) -> Option<(ConnectionId, Expiry)> {
        self.table.iter().find_map(|(id, c)| {
            let (at, why) = c.expiry()?;
            (at <= now).then_some((*id, why))
        })
    }

    fn count(&self, which: impl Fn(&Connection) -> bool) -> usize {
        self.table.values().filter(|c| which(c)).count()
    }

    /// Connections of strangers at one host.
    fn count_of_host(&self, host: IpAddr) -> usize {
        self.count(|c| c.standing <= Standing::Listed && host_of(c.remote.ip()) == host)
    }

    /// Hosts that opened a connection of which a request was accepted.
    pub(crate) fn accepted_hosts(&self) -> Vec<IpAddr> {
        let accepted = self
            .table
            .values()
            .filter(|c| !c.dialled && (Standing::Admitted..=Standing::Known).contains(&c.standing));
        let mut hosts: Vec<IpAddr> = accepted.map(|c| host_of(c.remote.ip())).collect();
        hosts.dedup();
        hosts
    }
}

/// There are too many connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

#[cfg(test)]
mod tests;
