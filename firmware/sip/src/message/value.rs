//! Header values with a structure of their own: addresses, Via, `CSeq`, media types.
//!
//! ```text
//! "Alice" <sip:a@b>;tag=1 ─▶ NameAddr        SIP/2.0/UDP host:5060;branch=z9… ─▶ Via
//! 314159 INVITE ─▶ CSeq                      application/sdp;charset=x ─▶ MediaType
//! ```

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::Method;
use super::params::{ParamError, Params};
use super::scan::{self, is_token, trim};
use super::uri::{Host, SipUri, Uri, UriError};

/// Why a header's value cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The address in it is broken.
    #[error("{0}")]
    Uri(#[from] UriError),
    /// Its parameters are.
    #[error("{0}")]
    Parameter(#[from] ParamError),
    /// Something else in it is.
    #[error("{0}")]
    Text(&'static str),
}

/// From, To, Contact, Route …: a display name, an address, parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameAddr {
    /// Display name, without its quotes and escapes, as it came: whoever shows it sees to what is
    /// no text.
    pub display: Option<String>,
    /// The address.
    pub uri: Uri,
    /// The header's own parameters (`tag`, `expires`, `q` …).
    pub params: Params,
}

impl NameAddr {
    /// An address without name and parameters.
    pub fn new(uri: impl Into<Uri>) -> Self {
        Self {
            display: None,
            uri: uri.into(),
            params: Params::default(),
        }
    }

    /// With this display name; empty text leaves none.
    #[must_use]
    pub fn with_display(mut self, display: &str) -> Self {
        self.display = Some(scan::clean(display).into_owned()).filter(|d| !d.is_empty());
        self
    }

    /// With this parameter.
    #[must_use]
    pub fn with_param(mut self, name: &str, value: Option<&str>) -> Self {
        self.params.set(name, value);
        self
    }

    /// The `tag` parameter; an empty one is none.
    pub fn tag(&self) -> Option<&str> {
        self.params.get("tag").filter(|tag| !tag.is_empty())
    }

    /// Reads one value; of a list, one element.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let text = trim(text);
        let (display, rest) = if let Some(end) = scan::quoted_end(text) {
            (
                Some(scan::unquote(&text[..end]).into_owned()),
                trim(&text[end..]),
            )
        } else if text.starts_with('"') {
            return Err(ValueError::Text("a display name whose quote does not end"));
        } else if let Some(open) = text.find('<') {
            // Names with letters beyond a token's (umlauts, brackets) are common and harmless;
            // those that could hide a second value are not.
            let name = trim(&text[..open]);
            if name.contains(['"', ',', ';', '>', ':']) {
                return Err(ValueError::Text("a display name that needs quotes"));
            }
            (Some(name.to_owned()), &text[open..])
        } else {
            return Self::parse_bare(text);
        };
        let Some((uri, params)) = rest.strip_prefix('<').and_then(|r| r.split_once('>')) else {
            return Err(ValueError::Text("no address in angle brackets"));
        };
        let params = Params::parse(params)?;
        let params = params.keep_last("tag");
        Ok(Self {
            display: display.filter(|d| !d.is_empty()),
            uri: Uri::parse(uri)?,
            params,
        })
    }

    /// Without angle brackets everything behind the first `;` belongs to the header. A `?` or `,`
    /// may not be there (RFC 3261 20); in a web or mail address, which no call will ever go to, it
    /// does no harm.
    fn parse_bare(text: &str) -> Result<Self, ValueError> {
        let cut = text.find(';').unwrap_or(text.len());
        let uri = Uri::parse(trim(&text[..cut]))?;
        if text[..cut].contains(['?', ',']) && uri.as_sip().is_some() {
            return Err(ValueError::Text(
                "an address with ? or , outside of angle brackets",
            ));
        }
        let params = Params::parse(&text[cut..])?;
        let params = params.keep_last("tag");
        Ok(Self {
            display: None,
            uri,
            params,
        })
    }
}

impl From<SipUri> for NameAddr {
    fn from(uri: SipUri) -> Self {
        Self::new(uri)
    }
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            write!(f, "{} ", scan::Quoted(display))?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

/// One Via value (RFC 3261 20.42, RFC 3581).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    transport: String,
    host: Host,
    port: Option<u16>,
    params: Params,
}

impl Via {
    /// A Via of our own: asks for `rport`, carries `branch`.
    pub fn new(transport: &str, sent_by: SocketAddr, branch: &str) -> Self {
        let mut params = Params::default();
        params.set("rport", None);
        params.set("branch", Some(branch));
        Self {
            transport: scan::clean_token(transport),
            host: sent_by.ip().into(),
            port: Some(sent_by.port()),
            params,
        }
    }

    /// With `alias`: requests for our sent-by may come back by the same connection (RFC 5923
    /// section 5).
    #[must_use]
    pub(crate) fn with_alias(mut self) -> Self {
        self.params.set("alias", None);
        self
    }

    /// Reads one value of a Via list.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let (via, params) = Self::read_sent_by(text, |version| version == "2.0")?;
        let params = Params::parse(params)?;
        Ok(Self {
            params: params.keep_last("received").keep_last("rport"),
            ..via
        })
    }

    /// Reads only what an answer to a broken request needs: any version, and parameters as far as
    /// they make sense.
    pub(crate) fn salvage(text: &str) -> Option<Self> {
        let (via, params) = Self::read_sent_by(text, |_| true).ok()?;
        Some(Self {
            params: Params::parse(params).unwrap_or_default(),
            ..via
        })
    }

    fn read_sent_by(
        text: &str,
        version_is_good: impl Fn(&str) -> bool,
    ) -> Result<(Self, &str), ValueError> {
        let mut parts = text.splitn(3, '/');
        let (name, version, rest) = (parts.next(), parts.next(), parts.next());
        let (Some(name), Some(version), Some(rest)) = (name, version, rest) else {
            return Err(ValueError::Text("no SIP/2.0/transport"));
        };
        if !trim(name).eq_ignore_ascii_case("SIP") || !version_is_good(trim(version)) {
            return Err(ValueError::Text("a protocol other than SIP/2.0"));
        }
        let Some((transport, rest)) = trim(rest).split_once([' ', '\t']) else {
            return Err(ValueError::Text("no host"));
        };
        if !is_token(transport) {
            return Err(ValueError::Text("a transport that is no token"));
        }
        let cut = rest.find(';').unwrap_or(rest.len());
        let (host, port) = Host::parse_with_port(trim(&rest[..cut]))?;
        Ok((
            Self {
                transport: transport.to_ascii_uppercase(),
                host,
                port,
                params: Params::default(),
            },
            &rest[cut..],
        ))
    }

    /// Transport in capitals: `UDP`, `TCP` …
    pub fn transport(&self) -> &str {
        &self.transport
    }

    /// Host of the sent-by part.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Port of the sent-by part, where given.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The `branch` parameter.
    pub fn branch(&self) -> Option<&str> {
        self.params.get("branch")
    }

    /// The branch where it identifies its transaction: it begins with the RFC 3261 cookie and goes
    /// on.
    pub fn cookie_branch(&self) -> Option<&str> {
        self.branch().filter(|b| {
            b.len() > 7
                && b.get(..7)
                    .is_some_and(|c| c.eq_ignore_ascii_case("z9hG4bK"))
        })
    }

    /// The `received` parameter. IPv6 with and without brackets is read (RFC 5118 4.5).
    pub fn received(&self) -> Option<IpAddr> {
        self.params
            .get("received")?
            .trim_matches(['[', ']'])
            .parse()
            .ok()
    }

    /// The `rport` parameter's value.
    pub fn rport(&self) -> Option<u16> {
        scan::exact(self.params.get("rport")?)
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Where a request came from, written into its Via as RFC 3261 18.2.1 and RFC 3581 section 4
    /// say: `received` where it differs from the host or `rport` is asked for, `rport` where it is
    /// asked for.
    pub fn stamp(&mut self, source: SocketAddr) {
        let ip = source.ip().to_canonical();
        let asked = self.params.has("rport");
        if asked {
            self.params.set("rport", Some(&source.port().to_string()));
        }
        if asked || self.host.ip().map(|h| h.to_canonical()) != Some(ip) {
            self.params.set("received", Some(&ip.to_string()));
        } else {
            // A `received` of the sender's own invention must not steer our answers.
            self.params.remove("received");
        }
    }

    /// Where an answer over UDP goes (RFC 3261 18.2.2, RFC 3581): to `received` and `rport` as
    /// stamped, else to the sent-by port (5060 by default). `None` when the Via is not stamped and
    /// names a host, or names port 0. `maddr` is not followed: it would let a stranger aim our
    /// answers at anyone.
    pub fn reply_address(&self) -> Option<SocketAddr> {
        let ip = self.received().or_else(|| self.host.ip())?;
        let port = self.rport().or(self.port).unwrap_or(5060);
        (port != 0).then(|| SocketAddr::new(ip, port))
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)
    }
}

/// `CSeq`: a number and the method it counts for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CSeq {
    /// Sequence number.
    pub number: u32,
    /// Method.
    pub method: Method,
}

impl CSeq {
    /// Reads a value.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let (number, method) = trim(text)
            .split_once([' ', '\t'])
            .ok_or(ValueError::Text("not number and method"))?;
        Ok(Self {
            number: scan::exact(number).ok_or(ValueError::Text("the number is none below 2^32"))?,
            method: Method::parse(trim(method))
                .ok_or(ValueError::Text("the method is no token"))?,
        })
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

/// Content-Type and Accept values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType {
    /// `type/subtype` in lower case.
    pub name: String,
    /// Parameters (`charset`, `boundary` …).
    pub params: Params,
}

impl MediaType {
    /// Reads a value.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let text = trim(text);
        let cut = text.find(';').unwrap_or(text.len());
        let (kind, sub) = text[..cut]
            .split_once('/')
            .ok_or(ValueError::Text("not type/subtype"))?;
        let (kind, sub) = (trim(kind), trim(sub));
        if !is_token(kind) || !is_token(sub) {
            return Err(ValueError::Text("not type/subtype"));
        }
        Ok(Self {
            name: format!("{kind}/{sub}").to_ascii_lowercase(),
            params: Params::parse(&text[cut..])?,
        })
    }
}
