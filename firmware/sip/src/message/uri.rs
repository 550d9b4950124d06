//! Addresses: `sip:`, `sips:` and `tel:` taken apart, any other scheme kept as it is.
//!
//! A URI read from a message is written again as it was (escapes, order and case of parameters),
//! because the far end compares it with its own; only IP addresses take their canonical form. Every
//! URI is built through this file, so none can hold CR or LF.
//!
//! ```text
//! sip : user : password @ host : port ;params ?headers ─▶ SipUri ─▶ matches (RFC 3261 19.1.4) / Display
//! tel : +1-201 ;params ─▶ TelUri                      other:… ─▶ OtherUri
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::params::{ParamError, Params};
use super::scan::{self, percent_normal};

/// Why text is no URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// No `scheme:` in front.
    #[error("no scheme; an address begins with sip:, sips: or tel:")]
    Scheme,
    /// A blank, control character, quote or angle bracket inside.
    #[error("a blank, quote or bracket inside the address; write it as % escape")]
    Character,
    /// A `%` without two hexadecimal digits.
    #[error("a % without two hexadecimal digits")]
    Escape,
    /// The user part is empty.
    #[error("nothing before the @")]
    User,
    /// The host is missing or is neither name nor IP address.
    #[error("no host name or IP address")]
    Host,
    /// The port is no number from 0 to 65535.
    #[error("the port is no number up to 65535")]
    Port,
    /// A parameter is broken.
    #[error("{0}")]
    Parameter(#[from] ParamError),
    /// A `?header=value` is broken.
    #[error("a header in the address is not name=value")]
    Header,
    /// No digit in a telephone number, or something that belongs in none.
    #[error("no telephone number after tel:")]
    Number,
}

/// An address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uri {
    /// `sip:` or `sips:`.
    Sip(SipUri),
    /// `tel:` (RFC 3966).
    Tel(TelUri),
    /// Any other scheme, kept as it was.
    Other(OtherUri),
}

/// Host of a URI or Via: a name, or an IP address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host(HostForm);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum HostForm {
    Name(String),
    Address(IpAddr),
}

/// A `sip:` or `sips:` address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SipUri {
    secure: bool,
    user: Option<String>,
    password: Option<String>,
    host: Host,
    port: Option<u16>,
    params: Params,
    headers: Vec<(String, String)>,
}

/// A `tel:` address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelUri {
    number: String,
    params: Params,
}

/// An address of a scheme this phone does not speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherUri {
    scheme: String,
    rest: String,
}

impl Host {
    /// Reads a name, an IPv4 address or an IPv6 address in brackets.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        if let Some(inner) = text.strip_prefix('[') {
            let address: Ipv6Addr = inner
                .strip_suffix(']')
                .and_then(|a| a.parse().ok())
                .ok_or(UriError::Host)?;
            return Ok(Self(HostForm::Address(address.into())));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Self(HostForm::Address(address.into())));
        }
        // The underscore is no host name's, but Windows and container networks are full of it.
        let good = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        if text.is_empty() || text.starts_with(['.', '-']) || !text.bytes().all(good) {
            return Err(UriError::Host);
        }
        Ok(Self(HostForm::Name(text.to_owned())))
    }

    /// Reads `host[:port]` with blanks allowed around the colon, as in a Via.
    pub(crate) fn parse_with_port(text: &str) -> Result<(Self, Option<u16>), UriError> {
        let colon = match text.strip_prefix('[') {
            Some(_) => text
                .find(']')
                .and_then(|end| text[end..].find(':').map(|c| end + c)),
            None => text.find(':'),
        };
        let Some(colon) = colon else {
            return Ok((Self::parse(text)?, None));
        };
        let port = scan::exact(scan::trim(&text[colon + 1..])).ok_or(UriError::Port)?;
        Ok((Self::parse(scan::trim(&text[..colon]))?, Some(port)))
    }

    /// The IP address, if it is none that must be looked up.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.0 {
            HostForm::Name(_) => None,
            HostForm::Address(ip) => Some(ip),
        }
    }

    /// Same host: names compare without case, addresses by value.
    pub fn matches(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (HostForm::Name(a), HostForm::Name(b)) => a.eq_ignore_ascii_case(b),
            (HostForm::Address(a), HostForm::Address(b)) => a == b,
            (HostForm::Name(_), HostForm::Address(_))
            | (HostForm::Address(_), HostForm::Name(_)) => false,
        }
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        Self(HostForm::Address(ip))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            HostForm::Name(name) => f.write_str(name),
            HostForm::Address(IpAddr::V4(ip)) => write!(f, "{ip}"),
            HostForm::Address(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

impl Uri {
    /// Reads a whole URI; nothing may stand before or after it.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        let (scheme, rest) = text.split_once(':').ok_or(UriError::Scheme)?;
        let mut letters = scheme.bytes();
        if !letters.next().is_some_and(|b| b.is_ascii_alphabetic())
            || !letters.all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        {
            return Err(UriError::Scheme);
        }
        if rest.contains(|c: char| c.is_whitespace() || c.is_control() || "\"<>".contains(c)) {
            return Err(UriError::Character);
        }
        if scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips") {
            SipUri::read(scheme.len() == 4, rest).map(Self::Sip)
        } else if scheme.eq_ignore_ascii_case("tel") {
            TelUri::read(rest).map(Self::Tel)
        } else if rest.is_empty() {
            Err(UriError::Character)
        } else {
            Ok(Self::Other(OtherUri {
                scheme: scheme.to_owned(),
                rest: rest.to_owned(),
            }))
        }
    }

    /// The `sip:` or `sips:` form, if it is one.
    pub fn as_sip(&self) -> Option<&SipUri> {
        match self {
            Self::Sip(uri) => Some(uri),
            Self::Tel(_) | Self::Other(_) => None,
        }
    }

    /// The scheme in lower case.
    pub fn scheme(&self) -> String {
        match self {
            Self::Sip(uri) if uri.secure => "sips".to_owned(),
            Self::Sip(_) => "sip".to_owned(),
            Self::Tel(_) => "tel".to_owned(),
            Self::Other(uri) => uri.scheme.to_ascii_lowercase(),
        }
    }

    /// The user part or telephone number, its escapes resolved: what a person would be shown.
    pub fn user(&self) -> Option<String> {
        match self {
            Self::Sip(uri) => uri.user(),
            Self::Tel(uri) => Some(uri.digits()),
            Self::Other(_) => None,
        }
    }

    /// The same address (RFC 3261 19.1.4, RFC 3966 section 4); `==` compares the text's parts
    /// instead.
    pub fn matches(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sip(a), Self::Sip(b)) => a.matches(b),
            (Self::Tel(a), Self::Tel(b)) => a.matches(b),
            (Self::Other(a), Self::Other(b)) => {
                a.scheme.eq_ignore_ascii_case(&b.scheme) && a.rest == b.rest
            }
            (Self::Sip(_) | Self::Tel(_) | Self::Other(_), _) => false,
        }
    }
}

impl From<SipUri> for Uri {
    fn from(uri: SipUri) -> Self {
        Self::Sip(uri)
    }
}

impl SipUri {
    /// `sip:host`.
    pub fn new(host: Host) -> Self {
        Self {
            secure: false,
            user: None,
            password: None,
            host,
            port: None,
            params: Params::default(),
            headers: Vec::new(),
        }
    }

    /// `sip:ip:port`.
    pub fn at(address: SocketAddr) -> Self {
        Self::new(address.ip().into()).with_port(Some(address.port()))
    }

    /// With this host.
    #[must_use]
    pub(crate) fn with_host(mut self, host: IpAddr) -> Self {
        self.host = host.into();
        self
    }

    /// `sips:` instead of `sip:`.
    #[must_use]
    pub fn secured(mut self) -> Self {
        self.secure = true;
        self
    }

    /// With this user part, escaped as needed; empty text leaves none.
    #[must_use]
    pub fn with_user(mut self, user: &str) -> Self {
        self.user = (!user.is_empty()).then(|| scan::percent_encode(user, b"&=+$,;?/"));
        self
    }

    /// With this port.
    #[must_use]
    pub fn with_port(mut self, port: Option<u16>) -> Self {
        self.port = port;
        self
    }

    /// With this parameter, escaped as needed.
    #[must_use]
    pub fn with_param(mut self, name: &str, value: Option<&str>) -> Self {
        self.params.set_uri(name, value);
        self
    }

    /// With this `?name=value` header, escaped as needed.
    #[must_use]
    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((
            scan::percent_encode(name, b""),
            scan::percent_encode(value, b""),
        ));
        self
    }

    /// Whether its host is the one that stands for no host (RFC 3323 section 4.1.1.3), or is below
    /// it.
    pub(crate) fn has_anonymous_host(&self) -> bool {
        let host = self.host().to_string().to_ascii_lowercase();
        host == "anonymous.invalid" || host.ends_with(".anonymous.invalid")
    }

    /// As it may stand in a Request-URI: no headers, no `method` parameter (RFC 3261 19.1.1, table
    /// 1).
    #[must_use]
    pub fn for_request(mut self) -> Self {
        self.headers.clear();
        self.params.remove("method");
        self
    }

    fn read(secure: bool, text: &str) -> Result<Self, UriError> {
        // The grammar allows no bare @ but this one, so the first is the right one even where later
        // parts are sloppy.
        let (user, password, rest) = match text.split_once('@') {
            Some((userinfo, rest)) => {
                let (user, password) = match userinfo.split_once(':') {
                    Some((user, password)) => (user, Some(password.to_owned())),
                    None => (userinfo, None),
                };
                if user.is_empty() {
                    return Err(UriError::User);
                }
                if !scan::escapes_are_whole(userinfo) {
                    return Err(UriError::Escape);
                }
                (Some(user.to_owned()), password, rest)
            }
            None => (None, None, text),
        };
        let (rest, headers) = match rest.split_once('?') {
            Some((rest, headers)) => (rest, Self::read_headers(headers)?),
            None => (rest, Vec::new()),
        };
        let cut = rest.find(';').unwrap_or(rest.len());
        let (host, port) = Host::parse_with_port(&rest[..cut])?;
        let params = Params::parse_uri(&rest[cut..])?;
        Ok(Self {
            secure,
            user,
            password,
            host,
            port,
            params,
            headers,
        })
    }

    fn read_headers(text: &str) -> Result<Vec<(String, String)>, UriError> {
        let mut headers = Vec::new();
        for header in text.split('&') {
            let (name, value) = header.split_once('=').ok_or(UriError::Header)?;
            if name.is_empty() || !scan::escapes_are_whole(header) {
                return Err(UriError::Header);
            }
            headers.push((name.to_owned(), value.to_owned()));
        }
        Ok(headers)
    }

    /// `sips:`.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The user part, its escapes resolved; control characters hidden in them are spaces.
    pub fn user(&self) -> Option<String> {
        self.user.as_deref().map(scan::percent_decode)
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, where one is given.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The `?name=value` headers as written, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// One `?name=value` header, its escapes resolved: `Replaces` of a Refer-To, say.
    pub fn header(&self, name: &str) -> Option<String> {
        let found = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        Some(scan::percent_decode(&found.1))
    }

    /// The same address by RFC 3261 19.1.4.
    pub fn matches(&self, other: &Self) -> bool {
        let same =
            |a: Option<&str>, b: Option<&str>| a.map(percent_normal) == b.map(percent_normal);
        self.secure == other.secure
            && same(self.user.as_deref(), other.user.as_deref())
            && same(self.password.as_deref(), other.password.as_deref())
            && self.host.matches(&other.host)
            && self.port == other.port
            && params_match(&self.params, &other.params)
            && self.headers_match(other)
    }

    fn headers_match(&self, other: &Self) -> bool {
        let normal = |uri: &Self| {
            let mut all: Vec<_> = uri
                .headers
                .iter()
                .map(|(n, v)| (percent_normal(n).to_ascii_lowercase(), percent_normal(v)))
                .collect();
            // Sorted, so that many headers cost no more than sorting them.
            all.sort_unstable();
            all
        };
        self.headers.len() == other.headers.len() && normal(self) == normal(other)
    }
}

/// Parameters in both must agree; of those in one only, these forbid a match. The text of 19.1.4
/// does not name `transport`, its examples do ("can resolve to different transports").
fn params_match(a: &Params, b: &Params) -> bool {
    let normal = |params: &Params| {
        let mut all: Vec<_> = params
            .iter()
            .map(|(n, v)| {
                (
                    percent_normal(n).to_ascii_lowercase(),
                    v.map(|v| percent_normal(v).to_ascii_lowercase()),
                )
            })
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let (a, b) = (normal(a), normal(b));
    let binding =
        |name: &[u8]| [&b"user"[..], b"ttl", b"method", b"maddr", b"transport"].contains(&name);
    let agrees = |one: &[(Vec<u8>, Option<Vec<u8>>)], two: &[(Vec<u8>, Option<Vec<u8>>)]| {
        one.iter().all(
            |(name, value)| match two.binary_search_by(|(n, _)| n.cmp(name)) {
                Ok(_) => two
                    .binary_search_by(|(n, v)| (n, v).cmp(&(name, value)))
                    .is_ok(),
                Err(_) => !binding(name),
            },
        )
    };
    agrees(&a, &b) && agrees(&b, &a)
}

impl TelUri {
    fn read(text: &str) -> Result<Self, UriError> {
        let cut = text.find(';').unwrap_or(text.len());
        let number = &text[..cut];
        let good = |b: u8| b.is_ascii_hexdigit() || b"-.()*#+".contains(&b);
        if !number.bytes().all(good)
            || !number
                .bytes()
                .any(|b| b.is_ascii_hexdigit() || b"*#".contains(&b))
        {
            return Err(UriError::Number);
        }
        let params = Params::parse_uri(&text[cut..])?;
        Ok(Self {
            number: number.to_owned(),
            params,
        })
    }

    /// The number without visual separators: `+12015550123`.
    pub fn digits(&self) -> String {
        self.number
            .chars()
            .filter(|c| !"-.()".contains(*c))
            .collect()
    }

    /// The parameters: `phone-context`, `ext` …
    pub fn params(&self) -> &Params {
        &self.params
    }

    fn matches(&self, other: &Self) -> bool {
        let normal = |params: &Params| {
            let mut all: Vec<_> = params
                .iter()
                .map(|(n, v)| {
                    (
                        n.to_ascii_lowercase(),
                        v.map(|v| percent_normal(v).to_ascii_lowercase()),
                    )
                })
                .collect();
            all.sort_unstable();
            all
        };
        self.digits().eq_ignore_ascii_case(&other.digits())
            && normal(&self.params) == normal(&other.params)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sip(uri) => uri.fmt(f),
            Self::Tel(uri) => write!(f, "tel:{}{}", uri.number, uri.params),
            Self::Other(uri) => write!(f, "{}:{}", uri.scheme, uri.rest),
        }
    }
}

impl fmt::Display for SipUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secure { "sips:" } else { "sip:" })?;
        if let Some(user) = &self.user {
            f.write_str(user)?;
            if let Some(password) = &self.password {
                write!(f, ":{password}")?;
            }
            f.write_str("@")?;
        }
        write!(f, "{}", self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)?;
        for (at, (name, value)) in self.headers.iter().enumerate() {
            write!(f, "{}{name}={value}", if at == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

impl std::str::FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        Self::parse(text)
    }
}
