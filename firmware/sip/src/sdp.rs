//! SDP as this phone reads it: `sdp-types` knows the lines, this module knows the attributes that
//! matter to one audio stream.
//!
//! ```text
//! body bytes ─▶ sdp_types::Session ─▶ Description { lines: [SdpLine { formats, direction, address … }] } ─▶ offer_answer
//! ```
//!
//! Everything unknown is ignored; what is needed and unreadable is a typed error, so that the
//! answer can name it (RFC 8866, 4566).

use std::net::{IpAddr, SocketAddr};

use types::{Codec, Direction, OpusFormat, RtcpXr};

use crate::fingerprint::{self, SetupAttribute};
use crate::ice::LineIce;
use crate::media_security::Fingerprint;
use crate::media_security::table::{Profile, Refusal};
use crate::sdes;

/// Longest body read; a real one has 300 to 3000 bytes.
const MAX_BYTES: usize = 32 * 1024;
/// Most m-lines read; a rejected line costs a line in the answer.
const MAX_LINES: usize = 32;
/// Most formats read in one m-line.
const MAX_FORMATS: usize = 64;

/// Why a session description cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SdpError {
    /// It is no SDP.
    #[error("bad session description: {0}")]
    Syntax(String),
    /// It has no m-line.
    #[error("session description has no m= line")]
    NoMedia,
    /// No audio line is left that this phone could use.
    #[error("no common codec: {0}")]
    NotAcceptable(String),
    /// The audio line of an answer has port 0 or is of another kind: the far end wants none of what
    /// was offered.
    #[error("the answer refuses the audio line")]
    LineRefused,
    /// An address that is none, or of a kind that cannot be reached from here.
    #[error(
        "bad connection address {0:?}: IN IP4 or IN IP6 with a numeric unicast address is needed"
    )]
    Address(String),
    /// An address of a kind there is none of (RFC 8866 section 5.7).
    #[error("{0:?} is no kind of address: IN IP4 or IN IP6 is needed")]
    AddressType(String),
    /// A host name for an address: it is looked up by no one here.
    #[error("the connection address is the name {0}: a numeric address is needed")]
    HostName(String),
    /// An address of a family this phone has no network of.
    #[error("this phone has no network to the media address {0}; offer one of the other family")]
    Family(IpAddr),
    /// Its encryption, or the lack of it, is not what this phone takes.
    #[error("{0}")]
    MediaSecurity(#[from] Refusal),
}

impl SdpError {
    /// Whether it refuses what was offered, so that another offer may be taken.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::NotAcceptable(_) | Self::LineRefused | Self::MediaSecurity(_) => true,
            Self::Syntax(_)
            | Self::NoMedia
            | Self::Address(_)
            | Self::AddressType(_)
            | Self::HostName(_)
            | Self::Family(_) => false,
        }
    }

    /// The status an offer with this mistake gets: 400 for what cannot be read, 406 for keys that
    /// cannot be read (as other phones say), 488 for what cannot be done.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Syntax(_) | Self::NoMedia | Self::AddressType(_) => 400,
            Self::MediaSecurity(Refusal::Unreadable(_)) => 406,
            Self::NotAcceptable(_)
            | Self::LineRefused
            | Self::Address(_)
            | Self::HostName(_)
            | Self::Family(_)
            | Self::MediaSecurity(_) => 488,
        }
    }

    /// The warn-code of RFC 3261 section 20.43 that goes with it.
    pub(crate) fn warning(&self) -> u16 {
        match self {
            Self::Syntax(_) | Self::NoMedia => 399,
            Self::NotAcceptable(_) | Self::LineRefused => 305,
            Self::Address(_) | Self::AddressType(_) | Self::HostName(_) | Self::Family(_) => 301,
            Self::MediaSecurity(refusal) => refusal.warning(),
        }
    }
}

/// What a payload number means in one m-line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// A codec this phone has.
    Codec(Codec),
    /// telephone-event with its clock in Hz (RFC 4733).
    Event(u32),
    /// Comfort noise at a clock of 8 kHz.
    ComfortNoise,
    /// Anything else.
    Unknown,
}

/// One m-line with what belongs to it, session-level defaults already applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SdpLine {
    /// `audio`, `video` …
    pub(crate) media: String,
    /// 0: refused or disabled.
    pub(crate) port: u16,
    /// The protocol as written.
    pub(crate) proto: String,
    /// The formats as written, for the m-line of a refusal.
    pub(crate) fmt: String,
    /// Payload number and meaning, in the order of the m-line.
    pub(crate) formats: Vec<(u8, Format)>,
    /// Where media goes, if it can be read.
    pub(crate) address: Result<IpAddr, SdpError>,
    /// As the sender of this description sees it.
    pub(crate) direction: Direction,
    /// `a=ptime`.
    pub(crate) ptime: Option<u32>,
    /// `a=maxptime`.
    pub(crate) maxptime: Option<u32>,
    /// `a=rtcp`, RFC 3605.
    pub(crate) rtcp: Option<(u16, Option<IpAddr>)>,
    /// `a=rtcp-mux`, RFC 5761.
    pub(crate) rtcp_mux: bool,
    /// `a=rtcp-xr`, RFC 3611.
    pub(crate) rtcp_xr: RtcpXr,
    /// The parameters of the first Opus format.
    pub(crate) opus: OpusFormat,
    /// The `a=crypto` lines (RFC 4568); they stand below their m-line only.
    pub(crate) crypto: Result<Vec<sdes::Reading>, sdes::CryptoLineError>,
    /// The strong ones of the `a=fingerprint` lines; `None`: there is none of any kind.
    pub(crate) fingerprints: Option<Vec<Fingerprint>>,
    /// `a=setup`; an unknown value counts as none.
    pub(crate) setup: Option<SetupAttribute>,
    /// Its `a=mid`, where the line is one of alternatives by address (`a=group:ANAT`, RFC 4091).
    pub(crate) alternative: Option<String>,
    /// ICE credentials and candidates (RFC 8839).
    pub(crate) ice: Option<LineIce>,
}

/// A session description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Description {
    /// The m-lines in order.
    pub(crate) lines: Vec<SdpLine>,
}

impl Description {
    /// Reads a body that came from this host: what names a host instead of an address means it.
    pub(crate) fn parse_from(body: &[u8], from: Option<IpAddr>) -> Result<Self, SdpError> {
        let mut description = Self::parse(body)?;
        for line in &mut description.lines {
            if let (Err(SdpError::HostName(_)), Some(from)) = (&line.address, from) {
                line.address = Ok(from);
            }
        }
        Ok(description)
    }

    /// Reads a body.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, SdpError> {
        if body.len() > MAX_BYTES {
            return Err(SdpError::Syntax(format!(
                "{} bytes, more than {MAX_BYTES}",
                body.len()
            )));
        }
        // Session names in Latin-1 exist; nothing this phone needs is outside ASCII.
        let text = String::from_utf8_lossy(body);
        let session = sdp_types::Session::parse(readable(&text).as_bytes())
            .map_err(|e| SdpError::Syntax(e.to_string()))?;
        if session.medias.is_empty() {
            return Err(SdpError::NoMedia);
        }
        if session.medias.len() > MAX_LINES {
            return Err(SdpError::Syntax(format!(
                "{} m= lines, more than {MAX_LINES}",
                session.medias.len()
            )));
        }
        let lines = session
            .medias
            .iter()
            .map(|media| SdpLine::read(&session, media))
            .collect();
        Ok(Self { lines })
    }
}

/// A body in the form the grammar has, where it is plain what is meant: NULs behind the end, tabs
/// for spaces, an unused line (port 0) without formats, and whatever stands in lines that this
/// phone does not look at.
fn readable(text: &str) -> String {
    let text = text.trim_start().trim_end_matches(['\0', ' ', '\t']);
    let mut out = String::with_capacity(text.len() + 2);
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end_matches(['\r', '\n']);
        match bare.get(..2) {
            Some("o=") => out.push_str("o=- 0 0 IN IP4 0.0.0.0"),
            Some("t=") => out.push_str("t=0 0"),
            Some("i=" | "u=" | "e=" | "p=" | "b=" | "r=" | "z=" | "k=") => continue,
            Some("v=") => out.push_str(bare.trim_end()),
            Some("m=" | "c=") => {
                let mut words = bare.split([' ', '\t']).filter(|word| !word.is_empty());
                let words: Vec<&str> = words.by_ref().take(MAX_FORMATS + 3).collect();
                out.push_str(&words.join(" "));
                if bare.starts_with("m=") && words.len() == 3 && words.get(1) == Some(&"0") {
                    out.push_str(" 0");
                }
            }
            Some(_) | None => out.push_str(bare),
        }
        out.push_str("\r\n");
    }
    out
}

impl SdpLine {
    fn read(session: &sdp_types::Session, media: &sdp_types::Media) -> Self {
        let attributes = &media.attributes;
        let address = match media.connections.first().or(session.connection.as_ref()) {
            Some(connection) => unicast(connection),
            None => Err(SdpError::Address("no c= line".into())),
        };
        let direction = direction(attributes)
            .or_else(|| direction(&session.attributes))
            .unwrap_or_default();
        let formats = formats(&media.fmt, attributes);
        let opus = formats
            .iter()
            .find(|(_, f)| *f == Format::Codec(Codec::Opus))
            .map(|(pt, _)| *pt);
        let opus = opus.map_or(OpusFormat::default(), |pt| {
            let number = |name| parameter(attributes, pt, name)?.parse().ok();
            OpusFormat {
                fec: number("useinbandfec") == Some(1),
                dtx: number("usedtx") == Some(1),
                max_average_bitrate: number("maxaveragebitrate").filter(|&rate| rate > 0),
                max_playback_rate: number("maxplaybackrate").filter(|&rate| rate > 0),
            }
        });
        Self {
            media: media.media.clone(),
            port: media.port,
            proto: media.proto.clone(),
            fmt: media.fmt.clone(),
            address,
            direction,
            ptime: number(attributes, "ptime").or_else(|| number(&session.attributes, "ptime")),
            maxptime: number(attributes, "maxptime")
                .or_else(|| number(&session.attributes, "maxptime")),
            rtcp: rtcp(attributes),
            rtcp_mux: value(attributes, "rtcp-mux").is_some(),
            rtcp_xr: value(attributes, "rtcp-xr")
                .or_else(|| value(&session.attributes, "rtcp-xr"))
                .map_or(RtcpXr::default(), RtcpXr::from_attribute),
            opus,
            crypto: sdes::read_all(values(attributes, "crypto")),
            fingerprints: fingerprint::read_all(values(attributes, "fingerprint"))
                .or_else(|| fingerprint::read_all(values(&session.attributes, "fingerprint"))),
            setup: value(attributes, "setup")
                .or_else(|| value(&session.attributes, "setup"))
                .and_then(SetupAttribute::read),
            alternative: value(attributes, "mid")
                .filter(|mid| is_alternative(&session.attributes, mid))
                .map(str::to_owned),
            ice: LineIce::read(
                |name| value(attributes, name).or_else(|| value(&session.attributes, name)),
                values(attributes, "candidate"),
            ),
            formats,
        }
    }

    /// How the media of this line is carried.
    pub(crate) fn profile(&self) -> Profile {
        Profile::of(&self.proto)
    }

    /// Whether this is an audio line that is not switched off.
    pub(crate) fn is_live_audio(&self) -> bool {
        self.port != 0 && self.media.eq_ignore_ascii_case("audio")
    }

    /// Whether comfort noise is among its formats, under its static number.
    pub(crate) fn has_comfort_noise(&self) -> bool {
        self.formats
            .iter()
            .any(|(pt, format)| *pt == 13 && *format == Format::ComfortNoise)
    }

    /// RTP and RTCP address of the far end.
    pub(crate) fn remote(&self) -> Result<(SocketAddr, SocketAddr), SdpError> {
        let ip = self.address.clone()?;
        let rtp = SocketAddr::new(ip, self.port);
        let rtcp = if self.rtcp_mux {
            rtp
        } else {
            match self.rtcp {
                Some((port, address)) => SocketAddr::new(address.unwrap_or(ip), port),
                None => SocketAddr::new(ip, self.port.saturating_add(1)),
            }
        };
        Ok((rtp, rtcp))
    }

    /// The direction the sender means, with the old way of holding (`c=0.0.0.0`, RFC 3264 section
    /// 8.4) understood.
    pub(crate) fn meant_direction(&self) -> Direction {
        // With ICE and port 9 it is a far end that knows no address yet (RFC 8840 section 4.1.3).
        let trickles = self.ice.is_some() && self.port == 9;
        let dead = matches!(&self.address, Ok(ip) if ip.is_unspecified()) && !trickles;
        match (dead, self.direction) {
            (true, Direction::SendRecv | Direction::SendOnly) => Direction::SendOnly,
            (true, Direction::RecvOnly | Direction::Inactive) => Direction::Inactive,
            (false, direction) => direction,
        }
    }
}

/// The payload numbers of an m-line and what they mean: by rtpmap, else by RFC 3551's static table.
fn formats(fmt: &str, attributes: &[sdp_types::Attribute]) -> Vec<(u8, Format)> {
    let mut out: Vec<(u8, Format)> = Vec::new();
    for word in fmt.split_ascii_whitespace().take(MAX_FORMATS) {
        let Ok(pt) = word.parse::<u8>() else { continue };
        if pt > 127 || out.iter().any(|(known, _)| *known == pt) {
            continue;
        }
        out.push((pt, meaning(pt, rtpmap(attributes, pt))));
    }
    out
}

fn meaning(pt: u8, rtpmap: Option<&str>) -> Format {
    let Some(rtpmap) = rtpmap else {
        return match pt {
            0 => Format::Codec(Codec::Pcmu),
            8 => Format::Codec(Codec::Pcma),
            9 => Format::Codec(Codec::G722),
            13 => Format::ComfortNoise,
            _ => Format::Unknown,
        };
    };
    let mut parts = rtpmap.trim().split('/');
    let name = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let clock = parts.next().and_then(|c| c.trim().parse::<u32>().ok());
    let channels = parts.next().map(str::trim);
    let mono = matches!(channels, None | Some("" | "1"));
    match (name.as_str(), clock) {
        // RFC 7587: always 48000/2, whatever is sent; some forget the 2.
        ("opus", Some(48_000)) if mono || channels == Some("2") => Format::Codec(Codec::Opus),
        // RFC 3551 section 4.5.2: G.722 says 8000 by an old mistake; some say 16000.
        ("g722", Some(8_000 | 16_000)) if mono => Format::Codec(Codec::G722),
        ("pcmu", Some(8_000)) if mono => Format::Codec(Codec::Pcmu),
        ("pcma", Some(8_000)) if mono => Format::Codec(Codec::Pcma),
        ("telephone-event", Some(clock)) if clock > 0 => Format::Event(clock),
        ("cn", Some(8_000)) if mono => Format::ComfortNoise,
        _ => Format::Unknown,
    }
}

fn rtpmap(attributes: &[sdp_types::Attribute], pt: u8) -> Option<&str> {
    per_format(attributes, "rtpmap", pt)
}

/// One `name=value` of a format's fmtp line.
fn parameter<'a>(attributes: &'a [sdp_types::Attribute], pt: u8, name: &str) -> Option<&'a str> {
    per_format(attributes, "fmtp", pt)?
        .split(';')
        .find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
}

fn per_format<'a>(attributes: &'a [sdp_types::Attribute], name: &str, pt: u8) -> Option<&'a str> {
    attributes
        .iter()
        .filter(|a| a.attribute.eq_ignore_ascii_case(name))
        .find_map(|a| {
            let (number, rest) = a.value.as_deref()?.trim().split_once(char::is_whitespace)?;
            (number.parse::<u8>() == Ok(pt)).then(|| rest.trim())
        })
}

/// `Some("")` for an attribute without value.
fn value<'a>(attributes: &'a [sdp_types::Attribute], name: &str) -> Option<&'a str> {
    attributes
        .iter()
        .find(|a| a.attribute.eq_ignore_ascii_case(name))
        .map(|a| a.value.as_deref().unwrap_or_default().trim())
}

/// Every value of an attribute that may stand more than once.
fn values<'a>(
    attributes: &'a [sdp_types::Attribute],
    name: &'a str,
) -> impl Iterator<Item = &'a str> {
    attributes
        .iter()
        .filter(move |a| a.attribute.eq_ignore_ascii_case(name))
        .map(|a| a.value.as_deref().unwrap_or_default().trim())
}

fn number(attributes: &[sdp_types::Attribute], name: &str) -> Option<u32> {
    // RFC 8866 allows fractions for ptime; some write `20.0`.
    value(attributes, name)?.split('.').next()?.parse().ok()
}

/// Whether a line of this mid is in a group of alternatives by address.
fn is_alternative(attributes: &[sdp_types::Attribute], mid: &str) -> bool {
    values(attributes, "group").any(|group| {
        let mut words = group.split_ascii_whitespace();
        words.next() == Some("ANAT") && words.any(|word| word == mid)
    })
}

fn direction(attributes: &[sdp_types::Attribute]) -> Option<Direction> {
    attributes
        .iter()
        .find_map(|a| match a.attribute.to_ascii_lowercase().as_str() {
            "sendrecv" => Some(Direction::SendRecv),
            "sendonly" => Some(Direction::SendOnly),
            "recvonly" => Some(Direction::RecvOnly),
            "inactive" => Some(Direction::Inactive),
            _ => None,
        })
}

/// `a=rtcp:port [IN IP4 address]`
fn rtcp(attributes: &[sdp_types::Attribute]) -> Option<(u16, Option<IpAddr>)> {
    let mut words = value(attributes, "rtcp")?.split_ascii_whitespace();
    let port = words.next()?.parse().ok().filter(|port| *port != 0)?;
    let address = words.nth(2).and_then(|a| a.parse().ok());
    Some((port, address))
}

fn unicast(connection: &sdp_types::Connection) -> Result<IpAddr, SdpError> {
    let refuse = || {
        SdpError::Address(format!(
            "{} {}",
            connection.addrtype, connection.connection_address
        ))
    };
    let is_internet = matches!(connection.nettype, sdp_types::NetType::In);
    if !is_internet
        || !matches!(
            connection.addrtype,
            sdp_types::AddrType::Ip4 | sdp_types::AddrType::Ip6
        )
    {
        return Err(SdpError::AddressType(format!(
            "{} {}",
            connection.nettype, connection.addrtype
        )));
    }
    // A TTL belongs to multicast only, but means nothing else beside a unicast address.
    let address = &connection.connection_address;
    let host = address.split('/').next().unwrap_or_default();
    let Ok(ip) = host.parse::<IpAddr>() else {
        let is_name = host.contains(|c: char| c.is_ascii_alphabetic())
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
        return Err(if is_name {
            SdpError::HostName(host.to_owned())
        } else {
            refuse()
        });
    };
    let right_kind = match &connection.addrtype {
        sdp_types::AddrType::Ip4 => ip.is_ipv4(),
        sdp_types::AddrType::Ip6 => ip.is_ipv6(),
        sdp_types::AddrType::Other(_) => false,
    };
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    if !right_kind || ip.is_multicast() || broadcast {
        return Err(refuse());
    }
    Ok(ip)
}

#[cfg(test)]
mod tests;
