//! What the agent and its owner exchange: plain data, no behaviour.
//!
//! ```text
//! AgentConfig, Target, Flow ─▶ UserAgent ─▶ Event, Transmit, Counters, Tables
//! ```

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use types::{Codec, Transport};

use crate::admission::{AllowedCaller, DirectCallers};
use crate::digest::Hash;
use crate::event_body::{MessageSummary, WatchedState};
use crate::ids::{AccountId, CallHandle, ConnectionId, LookupId, MessageId, PublicationId};
use crate::local_addresses::LocalAddresses;
use crate::locate::Service;
use crate::media_security::MediaSecurity;
use crate::offer_answer::Negotiated;
use crate::session_intervals::SessionIntervals;
use crate::udp_keepalive::KeepaliveMode;

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
    /// Weakest hash a challenge may ask for: one in the middle who strikes the stronger ones out
    /// gets nothing.
    pub weakest_hash: Hash,
    /// Name shown to the called party.
    pub display_name: Option<String>,
    /// Transport to the registrar.
    pub transport: Transport,
    /// `host[:port]` of the registrar, where not found by `domain`.
    pub registrar: Option<String>,
    /// `host[:port]` every request goes through.
    pub outbound_proxy: Option<String>,
    /// `host[:port]` of the servers tried in this order where the first one does not answer: they
    /// stand in for `outbound_proxy` where there is one, for the registrar otherwise.
    pub backup_servers: Vec<String>,
    /// Keepalives over UDP.
    pub keepalive: KeepaliveMode,
    /// Use the address the registrar names this phone by to the world (RFC 5627) where it offers
    /// one.
    pub gruu: bool,
    /// Our address as its far ends are to use it (static NAT); `None`: the one packets leave from.
    pub external_address: Option<IpAddr>,
    /// Registration lifetime asked for, in seconds.
    pub expires_s: u32,
    /// Whether to register.
    pub register: bool,
    /// What is wanted of the encryption of its calls: an offer that breaks it is refused before
    /// anything rings.
    pub media_security: MediaSecurity,
    /// What its server may report to this phone, and is asked for.
    pub events: AccountEvents,
}

impl AccountConfig {
    /// An account as delivered: it registers over UDP for 90 s, and takes what challenge comes.
    pub fn new(user: &str, domain: &str, password: &str) -> Self {
        Self {
            user: user.into(),
            domain: domain.into(),
            auth_user: user.into(),
            password: password.into(),
            weakest_hash: Hash::Md5,
            display_name: None,
            transport: Transport::Udp,
            registrar: None,
            outbound_proxy: None,
            backup_servers: Vec::new(),
            keepalive: KeepaliveMode::Auto,
            gruu: false,
            external_address: None,
            expires_s: 90,
            register: true,
            media_security: MediaSecurity::default(),
            events: AccountEvents::default(),
        }
    }
}

/// What is done with news of a mailbox (RFC 3842).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MessageWaiting {
    /// Nothing: a NOTIFY of it is refused.
    Off,
    /// What the account's server reports unasked counts.
    #[default]
    Accept,
    /// The same, and the phone subscribes to it.
    Subscribe,
}

/// What an account's server may report to this phone, and is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AccountEvents {
    /// News of the mailbox.
    pub messages: MessageWaiting,
    /// Subscribe to the account's own registration (RFC 3680): what is removed is made again.
    pub watch_registration: bool,
    /// The server may have calls answered, resumed and put on hold (`Event: talk`, `hold`).
    pub remote_control: bool,
}

/// Another phone whose calls are watched (RFC 4235).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// By which account; `None`: directly.
    pub account: Option<AccountId>,
    /// Number or address.
    pub target: String,
}

/// Whom this phone watches, and who may watch it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventSettings {
    /// The phones it watches: their states are reported by their place in this list.
    pub watched: Vec<Watched>,
    /// Who may learn what this phone does, and take calls that ring here.
    pub watchers: Vec<AllowedCaller>,
}

/// The settings of an agent.
#[derive(Clone)]
pub struct AgentConfig {
    /// Lines.
    pub accounts: Vec<AccountConfig>,
    /// User part of the phone's direct address.
    pub user: String,
    /// Name shown in direct calls.
    pub display_name: String,
    /// User-Agent and Server headers; empty: none is sent.
    pub user_agent: String,
    /// The phone's own URN, the same after a restart (RFC 5626 section 4.1).
    pub instance: Option<String>,
    /// How long a call that comes in rings at most; the caller's Expires can only shorten it.
    pub ring_limit: Duration,
    /// Place calls without a server.
    pub direct_calls: bool,
    /// Whose calls without a server are accepted.
    pub direct_callers: DirectCallers,
    /// The list of direct callers; what strangers may do is limited, what these may do is not.
    pub direct_from: Vec<AllowedCaller>,
    /// The owner lets the phone answer by itself: callers by an account may ask for it. No other
    /// caller may, ever.
    pub auto_answer: bool,
    /// Codecs this phone is configured for: an offer without any of them is refused (488) before
    /// anything rings.
    pub codecs: Vec<Codec>,
    /// What is wanted of the encryption of direct calls.
    pub media_security: MediaSecurity,
    /// Session timers (RFC 4028).
    pub session_intervals: SessionIntervals,
    /// Whom this phone watches, and who may watch it.
    pub events: EventSettings,
    /// Our SIP addresses: what goes into Via and Contact until rport and the flow say better. They
    /// change by [`handle_local_addresses`](crate::UserAgent::handle_local_addresses).
    pub local: LocalAddresses,
    /// Our TLS port, as written into Via and Contact.
    pub tls_port: u16,
    /// Seed of every tag, branch and Call-ID; from the system's random source, or fixed in
    /// simulations.
    pub seed: [u8; 32],
}

impl AgentConfig {
    /// A phone without accounts that neither places nor takes calls without a server.
    pub fn new(local: LocalAddresses, seed: [u8; 32]) -> Self {
        Self {
            accounts: Vec::new(),
            user: "phone".into(),
            display_name: String::new(),
            user_agent: "Offhook".into(),
            instance: None,
            ring_limit: Duration::from_secs(120),
            direct_calls: false,
            direct_callers: DirectCallers::Listed,
            direct_from: Vec::new(),
            auto_answer: false,
            codecs: Vec::new(),
            media_security: MediaSecurity::default(),
            session_intervals: SessionIntervals::default(),
            events: EventSettings::default(),
            local,
            tls_port: 5061,
            seed,
        }
    }
}

/// How a call is placed, other than by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InviteOptions {
    /// The caller's identity is withheld: From and Privacy of RFC 3323 and 3325.
    pub anonymous: bool,
    /// The far end is asked to answer by itself (`answer-after=0`).
    pub intercom: bool,
    /// The call can go another way when this one fails, as an emergency call may: a silent server
    /// is not waited for.
    pub has_other_ways: bool,
    /// An emergency call: each of the account's servers is waited for less long, and any failure of
    /// one leads to the next.
    pub is_emergency: bool,
}

/// A name that must be resolved (RFC 3263); answered by
/// [`handle_lookup`](crate::UserAgent::handle_lookup).
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
    /// What its server is for.
    pub service: Service,
}

/// Who ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// This phone.
    Local,
    /// The far end (BYE, CANCEL, or a failure response).
    Remote,
    /// Neither: timeout, transport failure.
    Failure,
}

/// Why this phone ends a call, other than that the owner hung up; the far end learns it (RFC
/// 3326).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Nothing was heard of the far end for too long.
    MediaTimeout,
}

impl EndReason {
    /// Value of the Reason header.
    pub(crate) fn header(self) -> &'static str {
        match self {
            // Recovery on timer expiry (Q.850).
            Self::MediaTimeout => "Q.850;cause=102;text=\"media timeout\"",
        }
    }
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
    /// A router on the way to an account's server gave this phone another address. Calls by the
    /// account are re-invited; those whose media addresses the owner finds out wait for
    /// [`move_media`](crate::UserAgent::move_media).
    MappingChanged {
        /// Which account.
        account: AccountId,
    },
    /// Somebody calls; 100 is sent, the owner decides what next.
    Incoming {
        /// The new call.
        call: CallHandle,
        /// By which account it came; `None`: a direct call.
        account: Option<AccountId>,
        /// Caller: display name or address.
        from: String,
        /// The caller's address as the caller gives it.
        address: String,
        /// The caller withholds the identity (RFC 3323).
        anonymous: bool,
        /// Address that was called.
        to: String,
        /// Whom it was for before it was diverted here, as the account's server says.
        first_called: Option<String>,
        /// Alert-Info value.
        alert_info: Option<String>,
        /// The caller asks, and may, to be answered without a hand (RFC 5373 and older), in ms.
        answer_after_ms: Option<u32>,
        /// It has an offer with ICE (RFC 8839).
        offers_ice: bool,
        /// Call-Id header, for logs.
        call_id: String,
        /// It takes the place of this call (RFC 3891): it is answered at once, that one then ended.
        replaces: Option<CallHandle>,
        /// A call of before, which could not be transferred.
        returned: bool,
    },
    /// A provisional response: 180, 183 … `media` when it carried an SDP answer.
    Progress {
        /// Which call.
        call: CallHandle,
        /// Status code.
        code: u16,
        /// Which early dialog of a call we placed it came in: later ones have higher numbers; 0
        /// where it is in none.
        branch: u32,
        /// Early media, if any.
        media: Option<Negotiated>,
    },
    /// The call is established: 200 came (and ACK went), or our own 200 went. Only after an INVITE
    /// without an offer does it take the ACK, which brings the answer.
    Established {
        /// Which call.
        call: CallHandle,
        /// What was agreed.
        media: Negotiated,
        /// Far end: display name or address.
        peer: String,
    },
    /// The far end is somebody else now, as the account's server says: transferred over there.
    PeerChanged {
        /// Which call.
        call: CallHandle,
        /// Display name or number.
        peer: String,
    },
    /// A text message came (RFC 3428).
    Message {
        /// By which account; `None`: directly.
        account: Option<AccountId>,
        /// Sender: display name or address.
        from: String,
        /// The sender's address as the sender gives it.
        address: String,
        /// Its text.
        text: String,
    },
    /// What came of a text message of ours
    /// ([`send_message`](crate::UserAgent::send_message)).
    MessageSent {
        /// Which one.
        message: MessageId,
        /// It was taken, by its receiver or by a server for it; or the refusal.
        result: Result<(), MessageError>,
    },
    /// What came of what is published ([`publish`](crate::UserAgent::publish)).
    Published {
        /// Which one.
        publication: PublicationId,
        /// The server has it, or why not.
        result: Result<(), MessageError>,
    },
    /// What waits in the mailbox of an account.
    MessagesWaiting {
        /// Which account.
        account: AccountId,
        /// What its server says.
        summary: MessageSummary,
    },
    /// A watched phone does something else now.
    Watched {
        /// Which, as [`EventSettings::watched`] counts.
        watch: usize,
        /// What it does.
        state: WatchedState,
    },
    /// An account's server asks that the configuration be looked up again (`Event: check-sync`).
    CheckSync {
        /// Which account.
        account: AccountId,
        /// The phone is to restart.
        reboot: bool,
    },
    /// The account's server uses the phone as a hand would, where that is allowed.
    RemoteControl {
        /// Which call.
        call: CallHandle,
        /// What is to be done with it.
        action: RemoteAction,
    },
    /// A re-INVITE (ours or theirs) changed the media.
    MediaChanged {
        /// Which call.
        call: CallHandle,
        /// What is agreed now.
        media: Negotiated,
    },
    /// Our hold or resume failed; the media is as before.
    HoldFailed {
        /// Which call.
        call: CallHandle,
        /// Status code.
        code: u16,
    },
    /// A digit came by INFO.
    Digit {
        /// Which call.
        call: CallHandle,
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
    },
    /// The far end did not take a digit by INFO.
    DigitRefused {
        /// Which call.
        call: CallHandle,
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
    },
    /// The call is over; its media may be closed.
    Ended {
        /// Which call.
        call: CallHandle,
        /// Who ended it.
        by: EndedBy,
        /// Status code, where there was one.
        code: Option<u16>,
        /// Words for log, status and history.
        reason: String,
    },
    /// The far end of an established call asks this phone to call somebody else in its place
    /// (REFER, RFC 3515). Answered by [`accept_refer`](crate::UserAgent::accept_refer) or
    /// [`reject_refer`](crate::UserAgent::reject_refer).
    Refer {
        /// Which call.
        call: CallHandle,
        /// Whom to call: address or number.
        to: String,
        /// The user part or number in it: what a dial plan would look at.
        user: String,
    },
    /// The far end of a call we place wants somebody else called (3xx), or one it named before does
    /// not answer. Decided by [`decide_redirection`](crate::UserAgent::decide_redirection).
    Redirect {
        /// Which call.
        call: CallHandle,
        /// Whom to call.
        to: String,
        /// The user part in it: what a dial plan would look at.
        user: String,
    },
    /// A name must be resolved.
    Lookup(Lookup),
    /// A connection must be opened; answered by
    /// [`handle_connected`](crate::UserAgent::handle_connected),
    /// [`handle_connect_failed`](crate::UserAgent::handle_connect_failed) or
    /// [`handle_closed`](crate::UserAgent::handle_closed).
    Connect {
        /// The number it gets.
        connection: ConnectionId,
        /// Where to.
        remote: SocketAddr,
        /// TCP or TLS.
        transport: Transport,
        /// TLS: the certificate must be for one of these SIP domains (RFC 5922 section 7.2) or
        /// addresses; the first is the one asked for (SNI). Never a name that came out of DNS.
        names: Vec<String>,
    },
    /// A connection is no longer wanted.
    Close(ConnectionId),
    /// The answer to [`check_peer`](crate::UserAgent::check_peer).
    PeerChecked {
        /// Which call.
        call: CallHandle,
        /// What its far end answered.
        result: PeerCheck,
    },
    /// What came of a transfer ([`transfer`](crate::UserAgent::transfer)); both calls are over for
    /// the owner before.
    Transferred {
        /// The held call.
        call: CallHandle,
        /// Whom its far end was transferred to.
        to: String,
        /// Done, or the status that says why not.
        result: Result<(), u16>,
    },
}

/// What a server may do with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteAction {
    /// Answer it, or take it back from hold.
    Talk,
    /// Put it on hold.
    Hold,
}

/// Whether an established call's far end still knows the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerCheck {
    /// It answered in the dialog.
    Alive,
    /// It did not answer, or does not know the call.
    Gone,
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
    /// Dialogs alive (early ones and those of subscriptions included).
    pub dialogs: usize,
    /// Calls alive.
    pub calls: usize,
    /// Name lookups under way.
    pub lookups: usize,
}

/// Why a call cannot be transferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// One of the two is not in a state to be transferred.
    #[error("one of the calls is not established")]
    NoCall,
    /// Whom to transfer to is neither a number nor an address.
    #[error("there is neither a number nor a SIP address to transfer to")]
    BadTarget,
    /// The consulted call uses TLS and the other one does not.
    #[error("one call uses TLS, and its address would be sent to the other in the clear")]
    Clear,
}

/// Why a text message, or what is published, was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code} {reason}")]
pub struct MessageError {
    /// Status code, or the one that stands for silence.
    pub code: u16,
    /// What the far end says, or what failed on the way.
    pub reason: String,
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
    /// Encryption is required and cannot be had.
    #[error("{0}")]
    NoEncryption(String),
    /// Too many calls at once.
    #[error("too many calls at once")]
    TooManyCalls,
    /// Nothing rings there, or not enough is known of it.
    #[error("no call that could be taken rings there")]
    NotRinging,
    /// The call no longer asks for anybody to be called.
    #[error("the request to place this call is no longer open")]
    NotAsked,
}
