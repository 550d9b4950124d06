//! STUN messages (RFC 8489), as ICE, TURN and address discovery need them: a checked view of what
//! came, and a writer.
//!
//! ```text
//! datagram ─▶ Message::parse (lengths and FINGERPRINT checked once) ─▶ attribute(…), is_signed_by(key)
//! Writer::new ─▶ attribute … ─▶ finish(key): MESSAGE-INTEGRITY, FINGERPRINT ─▶ datagram
//! ```
//!
//! Only attributes before MESSAGE-INTEGRITY are seen (section 14.5): what follows it is not
//! authentic.

use std::net::{IpAddr, SocketAddr};

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;

/// Bytes of a header.
const HEADER: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
/// What FINGERPRINT is combined with (section 14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554E;
/// Longest message written or read; a media socket takes no longer datagram.
const MAX_MESSAGE: usize = 1500;
/// Most attributes looked at.
const MAX_ATTRIBUTES: usize = 64;

/// The attributes used here (section 18.3, RFC 8445 section 16.1, RFC 8656 section 18).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Attribute {
    MappedAddress = 0x0001,
    Username = 0x0006,
    MessageIntegrity = 0x0008,
    ErrorCode = 0x0009,
    UnknownAttributes = 0x000A,
    ChannelNumber = 0x000C,
    Lifetime = 0x000D,
    XorPeerAddress = 0x0012,
    Data = 0x0013,
    Realm = 0x0014,
    Nonce = 0x0015,
    XorRelayedAddress = 0x0016,
    RequestedTransport = 0x0019,
    MessageIntegritySha256 = 0x001C,
    XorMappedAddress = 0x0020,
    Priority = 0x0024,
    UseCandidate = 0x0025,
    AdditionalAddressFamily = 0x8000,
    Fingerprint = 0x8028,
    IceControlled = 0x8029,
    IceControlling = 0x802A,
}

/// The attributes below 0x8000 that this phone understands where they stand in a request.
const UNDERSTOOD: [Attribute; 7] = [
    Attribute::MappedAddress,
    Attribute::Username,
    Attribute::MessageIntegrity,
    Attribute::MessageIntegritySha256,
    Attribute::XorMappedAddress,
    Attribute::Priority,
    Attribute::UseCandidate,
];

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Binding,
    Allocate,
    Refresh,
    Send,
    Data,
    CreatePermission,
    ChannelBind,
}

impl Method {
    const ALL: [(Self, u16); 7] = [
        (Self::Binding, 0x001),
        (Self::Allocate, 0x003),
        (Self::Refresh, 0x004),
        (Self::Send, 0x006),
        (Self::Data, 0x007),
        (Self::CreatePermission, 0x008),
        (Self::ChannelBind, 0x009),
    ];

    fn number(self) -> u16 {
        let mut all = Self::ALL.into_iter();
        all.find(|(method, _)| *method == self)
            .map_or(0, |(_, number)| number)
    }
}

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Request,
    Indication,
    Success,
    Error,
}

/// What relates an answer to its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TransactionId(pub(crate) [u8; 12]);

/// A message that came, checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) method: Method,
    pub(crate) class: Class,
    pub(crate) id: TransactionId,
    bytes: &'a [u8],
    /// Where MESSAGE-INTEGRITY begins, or else the end of what may be believed.
    signed: usize,
    integrity: Option<&'a [u8]>,
}

impl<'a> Message<'a> {
    /// Reads a datagram; `None`: it is no STUN message, it is damaged, or its method is unknown.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let whole = header[0] < 4
            && header[4..8] == COOKIE
            && length % 4 == 0
            && bytes.len() == HEADER + length
            && bytes.len() <= MAX_MESSAGE;
        if !whole {
            return None;
        }
        let kind = u16::from_be_bytes([header[0], header[1]]);
        let number = kind & 0xF | (kind >> 1) & 0x70 | (kind >> 2) & 0xF80;
        let (method, _) = Method::ALL.into_iter().find(|(_, of)| *of == number)?;
        let class = match (kind & 0x100 != 0, kind & 0x10 != 0) {
            (false, false) => Class::Request,
            (false, true) => Class::Indication,
            (true, false) => Class::Success,
            (true, true) => Class::Error,
        };
        let mut id = [0; 12];
        id.copy_from_slice(&header[8..]);
        let mut message = Self {
            method,
            class,
            id: TransactionId(id),
            bytes,
            signed: bytes.len(),
            integrity: None,
        };
        message.check()?;
        Some(message)
    }

    /// Walks over all attributes: every length must fit, FINGERPRINT must be the last and right.
    fn check(&mut self) -> Option<()> {
        let mut at = HEADER;
        let mut count = 0;
        while at < self.bytes.len() {
            count += 1;
            let (kind, value, next) = attribute_at(self.bytes, at)?;
            if count > MAX_ATTRIBUTES {
                return None;
            }
            if kind == Attribute::Fingerprint as u16 {
                let wanted = crc32fast::hash(self.bytes.get(..at)?) ^ FINGERPRINT_XOR;
                let right = next == self.bytes.len() && value == wanted.to_be_bytes();
                return right.then_some(()).map(|()| {
                    self.signed = self.signed.min(at);
                });
            }
            if kind == Attribute::MessageIntegrity as u16 && self.integrity.is_none() {
                (value.len() == 20).then_some(())?;
                (self.signed, self.integrity) = (at, Some(value));
            }
            at = next;
        }
        Some(())
    }

    fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let (bytes, end) = (self.bytes, self.signed);
        let mut at = HEADER;
        std::iter::from_fn(move || {
            let (kind, value, next) = attribute_at(bytes, at).filter(|_| at < end)?;
            at = next;
            Some((kind, value))
        })
    }

    /// The first attribute of a kind.
    pub(crate) fn attribute(&self, kind: Attribute) -> Option<&'a [u8]> {
        let mut attributes = self.attributes();
        attributes
            .find(|(found, _)| *found == kind as u16)
            .map(|(_, value)| value)
    }

    /// An attribute of text.
    pub(crate) fn text(&self, kind: Attribute) -> Option<&'a str> {
        std::str::from_utf8(self.attribute(kind)?).ok()
    }

    /// An attribute of 32 bits.
    pub(crate) fn number(&self, kind: Attribute) -> Option<u32> {
        let value: [u8; 4] = self.attribute(kind)?.try_into().ok()?;
        Some(u32::from_be_bytes(value))
    }

    /// An attribute of 64 bits.
    pub(crate) fn long_number(&self, kind: Attribute) -> Option<u64> {
        let value: [u8; 8] = self.attribute(kind)?.try_into().ok()?;
        Some(u64::from_be_bytes(value))
    }

    /// An XOR-…-ADDRESS attribute (section 14.2).
    pub(crate) fn address(&self, kind: Attribute) -> Option<SocketAddr> {
        unmask(self.attribute(kind)?, self.id)
    }

    /// All XOR-…-ADDRESS attributes of a kind.
    pub(crate) fn addresses(&self, kind: Attribute) -> impl Iterator<Item = SocketAddr> {
        let id = self.id;
        let of_kind = self
            .attributes()
            .filter(move |(found, _)| *found == kind as u16);
        of_kind.filter_map(move |(_, value)| unmask(value, id))
    }

    /// Our address as the far end sees it: XOR-MAPPED-ADDRESS, or MAPPED-ADDRESS of an old server.
    pub(crate) fn mapped_address(&self) -> Option<SocketAddr> {
        self.address(Attribute::XorMappedAddress).or_else(|| {
            let value = self.attribute(Attribute::MappedAddress)?;
            read_address(value, [0; 16])
        })
    }

    /// The number of ERROR-CODE.
    pub(crate) fn error_code(&self) -> Option<u16> {
        let value = self.attribute(Attribute::ErrorCode)?;
        let (class, number) = (value.get(2)? & 7, *value.get(3)?);
        Some(u16::from(class) * 100 + u16::from(number))
    }

    /// Attributes that must be understood and are not (section 6.3.1).
    pub(crate) fn unknown_attributes(&self) -> Vec<u16> {
        self.attributes()
            .map(|(kind, _)| kind)
            .filter(|kind| *kind < 0x8000 && UNDERSTOOD.iter().all(|known| *known as u16 != *kind))
            .take(8)
            .collect()
    }

    /// Whether it carries MESSAGE-INTEGRITY at all.
    pub(crate) fn is_signed(&self) -> bool {
        self.integrity.is_some()
    }

    /// Whether MESSAGE-INTEGRITY was made with this key.
    pub(crate) fn is_signed_by(&self, key: &[u8]) -> bool {
        let (Some(integrity), Some(signed)) = (self.integrity, self.bytes.get(..self.signed))
        else {
            return false;
        };
        integrity_of(signed, key).is_some_and(|right| right.ct_eq(integrity).into())
    }
}

/// Kind, value and the place of the next one.
fn attribute_at(bytes: &[u8], at: usize) -> Option<(u16, &[u8], usize)> {
    let head: &[u8; 4] = bytes.get(at..)?.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let value = bytes.get(at + 4..at + 4 + length)?;
    let next = at + 4 + length.next_multiple_of(4);
    (next <= bytes.len()).then_some((u16::from_be_bytes([head[0], head[1]]), value, next))
}

/// MESSAGE-INTEGRITY over everything before it: the header's length counts it in.
fn integrity_of(signed: &[u8], key: &[u8]) -> Option<[u8; 20]> {
    let length = u16::try_from(signed.len() - HEADER + 24).ok()?;
    let mut mac = Hmac::<Sha1>::new_from_slice(key).ok()?;
    mac.update(signed.get(..2)?);
    mac.update(&length.to_be_bytes());
    mac.update(signed.get(4..)?);
    Some(mac.finalize().into_bytes().into())
}

/// What an address is combined with: the cookie, and for IPv6 the transaction, too.
fn mask(id: TransactionId) -> [u8; 16] {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&COOKIE);
    mask[4..].copy_from_slice(&id.0);
    mask
}

fn unmask(value: &[u8], id: TransactionId) -> Option<SocketAddr> {
    read_address(value, mask(id))
}

fn read_address(value: &[u8], mask: [u8; 16]) -> Option<SocketAddr> {
    let (head, address) = value.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes([head[2] ^ mask[0], head[3] ^ mask[1]]);
    let plain = |at: usize| address.get(at).map(|byte| byte ^ mask[at]);
    let ip: IpAddr = match (head[1], address.len()) {
        (1, 4) => {
            let mut ip = [0; 4];
            for (at, byte) in ip.iter_mut().enumerate() {
                *byte = plain(at)?;
            }
            ip.into()
        }
        (2, 16) => {
            let mut ip = [0; 16];
            for (at, byte) in ip.iter_mut().enumerate() {
                *byte = plain(at)?;
            }
            ip.into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip.to_canonical(), port))
}

/// A message that is written.
#[derive(Debug)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    id: TransactionId,
}

impl Writer {
    pub(crate) fn new(method: Method, class: Class, id: TransactionId) -> Self {
        let number = method.number();
        let class = match class {
            Class::Request => 0,
            Class::Indication => 0x010,
            Class::Success => 0x100,
            Class::Error => 0x110,
        };
        let kind = number & 0xF | (number & 0x70) << 1 | (number & 0xF80) << 2 | class;
        let mut bytes = Vec::with_capacity(160);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(COOKIE);
        bytes.extend(id.0);
        Self { bytes, id }
    }

    /// The answer to a request.
    pub(crate) fn answer(request: &Message<'_>, class: Class) -> Self {
        Self::new(request.method, class, request.id)
    }

    #[must_use]
    pub(crate) fn attribute(mut self, kind: Attribute, value: &[u8]) -> Self {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.bytes.extend((kind as u16).to_be_bytes());
        self.bytes.extend(length.to_be_bytes());
        self.bytes.extend(&value[..usize::from(length)]);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// An XOR-…-ADDRESS attribute.
    #[must_use]
    pub(crate) fn address(self, kind: Attribute, address: SocketAddr) -> Self {
        let mask = mask(self.id);
        let mut value = [0; 20];
        let ip: &[u8] = match address.ip() {
            IpAddr::V4(v4) => &v4.octets(),
            IpAddr::V6(v6) => &v6.octets(),
        };
        value[1] = if address.is_ipv4() { 1 } else { 2 };
        value[2..4].copy_from_slice(&address.port().to_be_bytes());
        value[2] ^= mask[0];
        value[3] ^= mask[1];
        for (at, byte) in ip.iter().enumerate() {
            value[4 + at] = byte ^ mask[at];
        }
        self.attribute(kind, &value[..4 + ip.len()])
    }

    /// ERROR-CODE.
    #[must_use]
    pub(crate) fn error(self, code: u16, reason: &str) -> Self {
        let mut value = vec![0, 0, (code / 100) as u8, (code % 100) as u8];
        value.extend(reason.as_bytes());
        self.attribute(Attribute::ErrorCode, &value)
    }

    /// The datagram, signed where there is a key.
    pub(crate) fn finish(mut self, key: Option<&[u8]>) -> Vec<u8> {
        if let Some(key) = key
            && let Some(integrity) = integrity_of(&self.bytes, key)
        {
            self = self.attribute(Attribute::MessageIntegrity, &integrity);
        }
        self.set_length(8);
        let crc = crc32fast::hash(&self.bytes) ^ FINGERPRINT_XOR;
        self = self.attribute(Attribute::Fingerprint, &crc.to_be_bytes());
        self.set_length(0);
        self.bytes
    }

    /// Writes the length, with so many bytes still to come.
    fn set_length(&mut self, more: usize) {
        let length = (self.bytes.len() - HEADER + more) as u16;
        self.bytes[2..4].copy_from_slice(&length.to_be_bytes());
    }
}

#[cfg(test)]
mod tests;
