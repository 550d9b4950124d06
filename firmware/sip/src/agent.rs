//! The user agent: the only thing `app` sees of SIP.

use std::net::SocketAddr;
use std::time::Instant;

use crate::offer_answer::{Direction, LocalMedia, Negotiated};

/// Index of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(pub usize);

/// A call as the agent knows it; never used twice in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Call(pub u64);

/// A TCP connection, numbered by whoever opens sockets; never used twice in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// A name lookup under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LookupId(pub u64);

/// Transport protocol of a SIP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

/// The way a message came or goes: where replies must be sent back along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flow {
    /// A datagram from or to this address, by the phone's one UDP socket.
    Udp {
        /// The far address.
        remote: SocketAddr,
    },
    /// An open TCP connection.
    Tcp {
        /// Which one.
        connection: ConnectionId,
        /// The far address.
        remote: SocketAddr,
    },
}

/// One account, as `app` takes it from the configuration.
#[derive(Clone)]
pub struct AccountConfig {
    /// User part of the address of record.
    pub user: String,
    /// SIP domain.
    pub domain: String,
    /// Digest user name.
    pub auth_user: String,
    /// Digest password.
    pub password: String,
    /// Name shown to the called party.
    pub display_name: Option<String>,
    /// Transport to the registrar.
    pub transport: Transport,
    /// `host[:port]` of the registrar, where not found by `domain`.
    pub registrar: Option<String>,
    /// `host[:port]` every request goes through.
    pub outbound_proxy: Option<String>,
    /// Registration lifetime asked for, in seconds.
    pub expires_s: u32,
    /// Whether to register.
    pub register: bool,
}

/// What the agent is told at its start.
#[derive(Clone)]
pub struct AgentConfig {
    /// Lines.
    pub accounts: Vec<AccountConfig>,
    /// User part of the phone's direct address.
    pub user: String,
    /// Name shown in direct calls.
    pub display_name: String,
    /// User-Agent header.
    pub user_agent: String,
    /// Accept and place calls without a server.
    pub direct_calls: bool,
    /// Our SIP address: what goes into Via and Contact until rport and the flow tell better. Never unspecified: `app` resolves
    /// `0.0.0.0` to an interface address (see [`UserAgent::handle_local_address`]).
    pub local: SocketAddr,
    /// Seed of every tag, branch and Call-ID; from the system's random source, or fixed in simulations.
    pub seed: [u8; 32],
}

/// A message that must leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Which way.
    pub flow: Flow,
    /// The bytes of one whole message.
    pub bytes: Vec<u8>,
}

/// A name that must be resolved (RFC 3263); answered by [`UserAgent::handle_lookup`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The question's number.
    pub id: LookupId,
    /// Host name.
    pub host: String,
    /// Port, if one was given: then only A/AAAA count.
    pub port: Option<u16>,
    /// Transport, if one was given: then NAPTR is skipped.
    pub transport: Option<Transport>,
}

/// One place a name resolves to, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Transport.
    pub transport: Transport,
    /// Address and port.
    pub address: SocketAddr,
}

/// Who ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// This phone.
    Local,
    /// The far end (BYE, CANCEL, or a failure response).
    Remote,
    /// Nobody: timeout, transport failure.
    Failure,
}

/// What the owner should know or do.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An account registered, or lost its registration.
    Registration {
        /// Which account.
        account: AccountId,
        /// When the registration runs out; `None`: not registered.
        until: Option<Instant>,
        /// Why not, in words a person can act on.
        error: Option<String>,
    },
    /// Somebody calls; 100 is sent, the owner decides what next.
    Incoming {
        /// The new call.
        call: Call,
        /// By which account it came; `None`: a direct call.
        account: Option<AccountId>,
        /// Caller: display name or address.
        from: String,
        /// Address that was called.
        to: String,
        /// Alert-Info value.
        alert_info: Option<String>,
        /// The caller asks to be answered at once (Call-Info answer-after, Alert-Info, RFC 5373), in ms.
        answer_after_ms: Option<u32>,
        /// Call-Id header, for logs.
        call_id: String,
    },
    /// A provisional response: 180, 183 … `media` when it carried an SDP answer.
    Progress {
        /// Which call.
        call: Call,
        /// Status code.
        code: u16,
        /// Early media, if any.
        media: Option<Negotiated>,
    },
    /// The call stands (200 and ACK seen, or sent).
    Established {
        /// Which call.
        call: Call,
        /// What was agreed.
        media: Negotiated,
        /// Far end: display name or address.
        peer: String,
    },
    /// A re-INVITE (ours or theirs) changed the media.
    MediaChanged {
        /// Which call.
        call: Call,
        /// What is agreed now.
        media: Negotiated,
    },
    /// Our hold or resume failed; the media is as before.
    HoldFailed {
        /// Which call.
        call: Call,
        /// Status code.
        code: u16,
    },
    /// A digit came by INFO.
    Digit {
        /// Which call.
        call: Call,
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
    },
    /// The call is over; its media may be closed.
    Ended {
        /// Which call.
        call: Call,
        /// Who ended it.
        by: EndedBy,
        /// Status code, where there was one.
        code: Option<u16>,
        /// Words for log, status and history.
        reason: String,
    },
    /// A name must be resolved.
    Lookup(Lookup),
    /// A TCP connection must be opened; answered by [`UserAgent::handle_connected`] or [`UserAgent::handle_closed`].
    Connect {
        /// The number it shall have.
        connection: ConnectionId,
        /// Where to.
        remote: SocketAddr,
    },
    /// A TCP connection is no longer wanted.
    Close(ConnectionId),
    /// A message for the log: something was refused or dropped, counted in [`Counters`].
    Note(String),
}

/// What was seen, kept and dropped since the start; bounded numbers, never lists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages parsed.
    pub received: u64,
    /// Messages sent, retransmissions included.
    pub sent: u64,
    /// Datagrams that were no SIP message.
    pub malformed: u64,
    /// Requests refused by rule (unknown dialog, unsupported, stranger).
    pub refused: u64,
    /// Messages dropped without answer.
    pub dropped: u64,
    /// Retransmissions sent.
    pub retransmitted: u64,
}

/// How full the agent's tables are; all zero when nothing goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tables {
    /// Client transactions alive.
    pub client_transactions: usize,
    /// Server transactions alive.
    pub server_transactions: usize,
    /// Dialogs alive (early ones included).
    pub dialogs: usize,
    /// Calls alive.
    pub calls: usize,
    /// Name lookups under way.
    pub lookups: usize,
}

/// The SIP user agent.
pub struct UserAgent {
    counters: Counters,
}

impl UserAgent {
    /// An agent with nothing going on; registrations start at the first `handle_timeout`.
    pub fn new(_config: AgentConfig, _now: Instant) -> Self {
        Self {
            counters: Counters::default(),
        }
    }

    /// One UDP datagram came in.
    pub fn handle_datagram(&mut self, _from: SocketAddr, _bytes: &[u8], _now: Instant) {}

    /// Bytes came in on a TCP connection.
    pub fn handle_stream(&mut self, _connection: ConnectionId, _bytes: &[u8], _now: Instant) {}

    /// A TCP connection stands: one asked for by [`Event::Connect`], or one accepted (with a number from `app`'s own, high, range).
    pub fn handle_connected(&mut self, _connection: ConnectionId, _local: SocketAddr, _remote: SocketAddr, _now: Instant) {}

    /// A TCP connection failed to open, broke or was closed.
    pub fn handle_closed(&mut self, _connection: ConnectionId, _now: Instant) {}

    /// A UDP datagram to this address could not be sent (ICMP unreachable).
    pub fn handle_unreachable(&mut self, _remote: SocketAddr, _now: Instant) {}

    /// A lookup's answer; empty: the name does not resolve.
    pub fn handle_lookup(&mut self, _id: LookupId, _targets: &[Target], _now: Instant) {}

    /// The phone's own address changed (link up, DHCP): re-register, later calls use it.
    pub fn handle_local_address(&mut self, _local: SocketAddr, _now: Instant) {}

    /// Places a call. `target` is a number or a SIP/tel URI.
    pub fn invite(&mut self, _account: Option<AccountId>, _target: &str, _media: LocalMedia, _now: Instant) -> Result<Call, InviteError> {
        Err(InviteError::NoSuchAccount)
    }

    /// Sends 180 for an incoming call.
    pub fn ring(&mut self, _call: Call, _now: Instant) {}

    /// Answers an incoming call with 200.
    pub fn answer(&mut self, _call: Call, _media: LocalMedia, _now: Instant) {}

    /// Refuses an incoming call.
    pub fn reject(&mut self, _call: Call, _code: u16, _now: Instant) {}

    /// Ends a call whatever its state needs: CANCEL, BYE, or a final response. [`Event::Ended`] follows.
    pub fn end(&mut self, _call: Call, _now: Instant) {}

    /// Changes the direction of a standing call by re-INVITE: hold is `SendOnly`/`Inactive`, resume `SendRecv`.
    pub fn set_direction(&mut self, _call: Call, _direction: Direction, _now: Instant) {}

    /// Sends a digit by INFO (application/dtmf-relay), where telephone-event was not negotiated.
    pub fn send_info_digit(&mut self, _call: Call, _digit: char, _now: Instant) {}

    /// Registers all accounts anew, now (link up, `ctl register`).
    pub fn register(&mut self, _now: Instant) {}

    /// Ends all calls and registrations; tables are empty when their transactions are done.
    pub fn shut_down(&mut self, _now: Instant) {}

    /// Fires every timer that is due.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// A message that must leave; call until `None`.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        None
    }

    /// Something the owner should know; call until `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// When to call [`UserAgent::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// What was seen and dropped.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How full the tables are.
    pub fn tables(&self) -> Tables {
        Tables::default()
    }
}

/// Why a call cannot even be tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// The account's number is not configured.
    #[error("no such account")]
    NoSuchAccount,
    /// Neither a number nor an address.
    #[error("{0:?} is neither a number nor a SIP address")]
    BadTarget(String),
    /// Direct calls are off and no account was named.
    #[error("direct calls are off: set call.direct = true, or configure an account")]
    DirectCallsOff,
    /// Too many calls at once.
    #[error("too many calls at once")]
    TooManyCalls,
}
