//! A TURN client (RFC 8656): one allocation, from one media socket, of an address of each
//! family where the server has both. A server over TCP or TLS is behind an address of this machine,
//! whose owner passes everything on (`app::net::turn_link`).
//!
//! ```text
//! Allocate ─▶ 401: realm, nonce ─▶ Allocate, signed ─▶ relayed address ─▶ Refresh …    438 ─▶ again with the new nonce
//! permit(ip) ─▶ CreatePermission (4 min)    bind(peer) ─▶ ChannelBind (9 min) ─▶ channel
//! wrap(peer, bytes) ─▶ channel data, or a Send indication     channel data, Data indication ─▶ unwrap
//! ```

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use md5::{Digest, Md5};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use zeroize::Zeroizing;

use crate::stun::{Attribute, Class, Message, Method, TransactionId, Writer};

/// Protocol number of UDP, in REQUESTED-TRANSPORT.
const UDP: [u8; 4] = [17, 0, 0, 0];
/// The family of IPv6, in ADDITIONAL-ADDRESS-FAMILY: without that a server gives an IPv4 address.
const IPV6: [u8; 4] = [2, 0, 0, 0];
/// Lifetime asked for, and the shortest that is believed.
const LIFETIME: Duration = Duration::from_secs(600);
const SHORTEST: Duration = Duration::from_secs(60);
/// A permission lives five minutes (section 9), a channel ten (section 12).
const PERMISSION: Duration = Duration::from_secs(240);
const CHANNEL: Duration = Duration::from_secs(540);
/// First wait for an answer, which doubles; how often a request is sent.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const SENDS: u32 = 6;
/// Challenges answered in a row.
const CHALLENGES: u8 = 3;
/// Permissions and channels; a far end has few addresses.
const MOST: usize = 32;
/// Numbers a channel may have (section 12).
const FIRST_CHANNEL: u16 = 0x4000;

/// Where the server is, and who we are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TurnServer {
    /// Where datagrams for it go.
    pub(crate) address: SocketAddr,
    /// From there they go by TCP or TLS: nothing is lost, and it does not see our socket.
    pub(crate) by_stream: bool,
    pub(crate) user: String,
    pub(crate) password: config::schema::Secret,
}

/// What is asked of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Allocate,
    Refresh,
    /// The end of the allocation.
    Release,
    Permit(IpAddr),
    Bind(SocketAddr, u16),
}

/// A request that waits for its answer.
#[derive(Debug)]
struct Transaction {
    request: Request,
    id: TransactionId,
    bytes: Vec<u8>,
    sends: u32,
    next: Instant,
    challenges: u8,
}

/// Something that is renewed before it runs out.
#[derive(Debug)]
struct Grant<T> {
    what: T,
    /// The server said yes.
    is_given: bool,
    renew: Instant,
}

/// The allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Asking,
    Allocated {
        /// Of IPv4 and IPv6, at least one.
        relayed: [Option<SocketAddr>; 2],
        renew: Instant,
    },
    /// There is none, or none any more.
    Over,
}

/// The answer to a challenge.
#[derive(Debug, Default)]
struct Authentication {
    realm: Vec<u8>,
    nonce: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

/// One allocation.
#[derive(Debug)]
pub(super) struct TurnClient {
    server: TurnServer,
    authentication: Option<Authentication>,
    state: State,
    mapped: Option<SocketAddr>,
    /// The server is asked for an IPv6 address besides.
    asks_ipv6: bool,
    open: Vec<Transaction>,
    permissions: Vec<Grant<IpAddr>>,
    channels: Vec<Grant<(SocketAddr, u16)>>,
    outgoing: VecDeque<Vec<u8>>,
    rng: ChaCha20Rng,
}

impl TurnClient {
    /// Asks for an allocation.
    pub(super) fn new(server: TurnServer, rng: ChaCha20Rng, now: Instant) -> Self {
        let mut client = Self {
            server,
            authentication: None,
            state: State::Asking,
            mapped: None,
            asks_ipv6: true,
            open: Vec::new(),
            permissions: Vec::new(),
            channels: Vec::new(),
            outgoing: VecDeque::new(),
            rng,
        };
        client.ask(Request::Allocate, 0, now);
        client
    }

    pub(super) fn server(&self) -> SocketAddr {
        self.server.address
    }

    /// The addresses of the server that stand for us, at most one of each family.
    pub(super) fn relayed(&self) -> impl Iterator<Item = SocketAddr> {
        let relayed = match self.state {
            State::Allocated { relayed, .. } => relayed,
            State::Asking | State::Over => [None, None],
        };
        relayed.into_iter().flatten()
    }

    /// Whether one of them can send to this host (RFC 8656 section 11: 443 otherwise).
    fn reaches(&self, host: IpAddr) -> bool {
        self.relayed()
            .any(|relayed| relayed.is_ipv4() == host.is_ipv4())
    }

    /// Our socket's address as the server sees it.
    pub(super) fn mapped(&self) -> Option<SocketAddr> {
        self.mapped.filter(|_| !self.server.by_stream)
    }

    /// Whether the answer to the first request is still to come.
    pub(super) fn is_asking(&self) -> bool {
        self.state == State::Asking
    }

    /// Lets a host send to us by the server.
    pub(super) fn permit(&mut self, host: IpAddr, now: Instant) {
        let known = self.permissions.iter().any(|given| given.what == host);
        if !known && self.permissions.len() < MOST && self.reaches(host) {
            self.permissions.push(Grant {
                what: host,
                is_given: false,
                renew: now + PERMISSION,
            });
            self.ask(Request::Permit(host), 0, now);
        }
    }

    /// Asks for a channel to a far end, for its media.
    pub(super) fn bind(&mut self, peer: SocketAddr, now: Instant) {
        let known = self.channels.iter().any(|channel| channel.what.0 == peer);
        if !known && self.channels.len() < MOST && self.reaches(peer.ip()) {
            let number = FIRST_CHANNEL + self.channels.len() as u16;
            self.channels.push(Grant {
                what: (peer, number),
                is_given: false,
                renew: now + CHANNEL,
            });
            self.ask(Request::Bind(peer, number), 0, now);
        }
    }

    /// The channel to a far end, once the server has it.
    pub(super) fn channel(&self, peer: SocketAddr) -> Option<u16> {
        let mut channels = self.channels.iter().filter(|channel| channel.is_given);
        channels
            .find(|channel| channel.what.0 == peer)
            .map(|channel| channel.what.1)
    }

    /// What must be sent to the server so that a far end gets this.
    pub(super) fn wrap(&mut self, peer: SocketAddr, bytes: &[u8]) -> Vec<u8> {
        if let (Some(channel), Ok(length)) = (self.channel(peer), u16::try_from(bytes.len())) {
            return [&channel.to_be_bytes()[..], &length.to_be_bytes(), bytes].concat();
        }
        let id = self.new_id();
        Writer::new(Method::Send, Class::Indication, id)
            .address(Attribute::XorPeerAddress, peer)
            .attribute(Attribute::Data, bytes)
            .finish(None)
    }

    /// What a far end sent by a channel; `None`: no one we know.
    pub(super) fn unwrap_channel<'a>(&self, bytes: &'a [u8]) -> Option<(SocketAddr, &'a [u8])> {
        let (head, content) = bytes.split_first_chunk::<4>()?;
        let number = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let mut channels = self.channels.iter();
        let channel = channels.find(|channel| channel.what.1 == number)?;
        Some((channel.what.0, content.get(..length)?))
    }

    /// A message of the server. What a far end sent, if that is in it.
    pub(super) fn handle_message<'a>(
        &mut self,
        message: &Message<'a>,
        now: Instant,
    ) -> Option<(SocketAddr, &'a [u8])> {
        match message.class {
            Class::Indication if message.method == Method::Data => Some((
                message.address(Attribute::XorPeerAddress)?,
                message.attribute(Attribute::Data)?,
            )),
            Class::Success | Class::Error => {
                let mut open = self.open.iter();
                let index = open.position(|transaction| transaction.id == message.id)?;
                self.handle_answer(index, message, now);
                None
            }
            Class::Request | Class::Indication => None,
        }
    }

    fn handle_answer(&mut self, index: usize, message: &Message<'_>, now: Instant) {
        let challenged = matches!(message.error_code(), Some(401 | 438));
        // A challenge cannot be signed; everything else must be, once there is a key.
        if let Some(authentication) = self.authentication.as_ref().filter(|_| !challenged)
            && !message.is_signed_by(&authentication.key)
        {
            return;
        }
        let transaction = self.open.swap_remove(index);
        let request = transaction.request;
        if message.class == Class::Success {
            return self.granted(request, message, now);
        }
        if challenged && transaction.challenges < CHALLENGES && self.authenticate(message).is_some()
        {
            return self.ask(request, transaction.challenges + 1, now);
        }
        let code = message.error_code().unwrap_or_default();
        // A server of one family may mind being asked for the other.
        if request == Request::Allocate
            && matches!(code, 400 | 420 | 440 | 508)
            && std::mem::take(&mut self.asks_ipv6)
        {
            return self.ask(request, transaction.challenges, now);
        }
        tracing::info!(
            "the TURN server {} refuses {request:?}: {code}",
            self.server()
        );
        self.refused(request);
    }

    /// Section 9.2 of RFC 8489. The realm is not the server's to change once it was answered with a
    /// password.
    fn authenticate(&mut self, challenge: &Message<'_>) -> Option<()> {
        let realm = challenge.attribute(Attribute::Realm)?;
        let nonce = challenge.attribute(Attribute::Nonce)?;
        let TurnServer { user, password, .. } = &self.server;
        let known = self
            .authentication
            .as_ref()
            .filter(|known| known.realm == realm);
        if challenge.error_code() == Some(401) && known.is_some_and(|known| known.nonce == nonce) {
            // The same challenge again: the password is wrong.
            return None;
        }
        let mut hash = Md5::new();
        hash.update(user.as_bytes());
        hash.update(b":");
        hash.update(realm);
        hash.update(b":");
        hash.update(password.0.as_bytes());
        self.authentication = Some(Authentication {
            realm: realm.to_vec(),
            nonce: nonce.to_vec(),
            key: Zeroizing::new(hash.finalize().to_vec()),
        });
        Some(())
    }

    fn granted(&mut self, request: Request, message: &Message<'_>, now: Instant) {
        let lifetime = message.number(Attribute::Lifetime).map_or(LIFETIME, |s| {
            Duration::from_secs(s.into()).clamp(SHORTEST, LIFETIME)
        });
        let renew = now + lifetime * 4 / 5;
        match request {
            Request::Allocate => {
                self.mapped = message.mapped_address();
                let all: Vec<_> = message.addresses(Attribute::XorRelayedAddress).collect();
                let of = |v4: bool| all.iter().copied().find(|a| a.is_ipv4() == v4);
                self.state = match [of(true), of(false)] {
                    [None, None] => State::Over,
                    relayed => State::Allocated { relayed, renew },
                };
            }
            Request::Refresh => {
                if let State::Allocated { renew: at, .. } = &mut self.state {
                    *at = renew;
                }
            }
            Request::Release => {}
            Request::Permit(host) => {
                let mut given = self.permissions.iter_mut();
                if let Some(given) = given.find(|given| given.what == host) {
                    given.is_given = true;
                }
            }
            Request::Bind(peer, _) => {
                let mut channels = self.channels.iter_mut();
                if let Some(channel) = channels.find(|channel| channel.what.0 == peer) {
                    channel.is_given = true;
                }
            }
        }
    }

    fn refused(&mut self, request: Request) {
        match request {
            Request::Allocate | Request::Refresh => self.state = State::Over,
            Request::Release => {}
            Request::Permit(host) => self.permissions.retain(|given| given.what != host),
            // The number stays taken; media goes by Send indications no more than before.
            Request::Bind(peer, _) => {
                let mut channels = self.channels.iter_mut();
                if let Some(channel) = channels.find(|channel| channel.what.0 == peer) {
                    channel.is_given = false;
                }
            }
        }
    }

    /// Gives the allocation back; the datagram for that, which no one waits for.
    pub(super) fn close(mut self, now: Instant) -> Option<Vec<u8>> {
        self.relayed().next()?;
        self.outgoing.clear();
        self.ask(Request::Release, 0, now);
        self.outgoing.pop_back()
    }

    fn ask(&mut self, request: Request, challenges: u8, now: Instant) {
        let id = self.new_id();
        let writer = |method| Writer::new(method, Class::Request, id);
        let lifetime = |duration: Duration| (duration.as_secs() as u32).to_be_bytes();
        let mut writer = match request {
            Request::Allocate => {
                let writer = writer(Method::Allocate)
                    .attribute(Attribute::RequestedTransport, &UDP)
                    .attribute(Attribute::Lifetime, &lifetime(LIFETIME));
                if self.asks_ipv6 {
                    writer.attribute(Attribute::AdditionalAddressFamily, &IPV6)
                } else {
                    writer
                }
            }
            Request::Refresh => {
                writer(Method::Refresh).attribute(Attribute::Lifetime, &lifetime(LIFETIME))
            }
            Request::Release => {
                writer(Method::Refresh).attribute(Attribute::Lifetime, &lifetime(Duration::ZERO))
            }
            Request::Permit(host) => writer(Method::CreatePermission)
                .address(Attribute::XorPeerAddress, SocketAddr::new(host, 0)),
            Request::Bind(peer, number) => writer(Method::ChannelBind)
                .attribute(
                    Attribute::ChannelNumber,
                    &(u32::from(number) << 16).to_be_bytes(),
                )
                .address(Attribute::XorPeerAddress, peer),
        };
        let mut key = None;
        if let Some(authentication) = &self.authentication {
            writer = writer
                .attribute(Attribute::Username, self.server.user.as_bytes())
                .attribute(Attribute::Realm, &authentication.realm)
                .attribute(Attribute::Nonce, &authentication.nonce);
            key = Some(authentication.key.as_slice());
        }
        let bytes = writer.finish(key);
        self.outgoing.push_back(bytes.clone());
        self.open.push(Transaction {
            request,
            id,
            bytes,
            sends: 1,
            next: now + FIRST_WAIT,
            challenges,
        });
    }

    fn new_id(&mut self) -> TransactionId {
        let mut id = [0; 12];
        self.rng.fill_bytes(&mut id);
        TransactionId(id)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let mut unanswered = Vec::new();
        for transaction in self.open.iter_mut().filter(|open| open.next <= now) {
            if transaction.sends >= SENDS {
                unanswered.push(transaction.id);
                continue;
            }
            transaction.next = now + FIRST_WAIT * (1 << transaction.sends);
            transaction.sends += 1;
            if !self.server.by_stream {
                self.outgoing.push_back(transaction.bytes.clone());
            }
        }
        for id in unanswered {
            if let Some(index) = self.open.iter().position(|open| open.id == id) {
                let request = self.open.swap_remove(index).request;
                self.refused(request);
            }
        }
        let mut due = Vec::new();
        if let State::Allocated { renew, .. } = &mut self.state
            && *renew <= now
        {
            *renew = now + LIFETIME;
            due.push(Request::Refresh);
        }
        for given in self
            .permissions
            .iter_mut()
            .filter(|given| given.renew <= now)
        {
            given.renew = now + PERMISSION;
            due.push(Request::Permit(given.what));
        }
        for channel in self
            .channels
            .iter_mut()
            .filter(|channel| channel.renew <= now)
        {
            channel.renew = now + CHANNEL;
            due.push(Request::Bind(channel.what.0, channel.what.1));
        }
        if self.state != State::Over {
            for request in due {
                self.ask(request, 0, now);
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let open = self.open.iter().map(|transaction| transaction.next);
        let State::Allocated { renew, .. } = self.state else {
            return open.min();
        };
        let permissions = self.permissions.iter().map(|given| given.renew);
        let channels = self.channels.iter().map(|channel| channel.renew);
        open.chain([renew]).chain(permissions).chain(channels).min()
    }

    /// What must be sent to the server.
    pub(super) fn poll_outgoing(&mut self) -> Option<Vec<u8>> {
        self.outgoing.pop_front()
    }
}
