//! The headers of a message: ordered, names as they were written, compared without case and with
//! their compact forms.
//!
//! ```text
//! parse ─▶ Headers ─▶ get / all / values (text) ─▶ typed getters: via, from, contacts, expires …
//! push, set (any text, cleaned) ─▶ Headers ─▶ write
//! ```

use std::fmt;

use super::Method;
use super::error::HeaderError;
use super::scan::{self, split_list};
use super::value::{CSeq, MediaType, NameAddr, ValueError, Via};

/// One header line: the name as written, the value unfolded and without blanks around it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Header {
    name: String,
    value: String,
}

/// Ordered headers. Values never hold control characters but HTAB (see [`super`] for the rule);
/// Content-Length is not among them, the body's length says it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Headers(Vec<Header>);

/// The long form of a header name (RFC 3261 7.3.3 and the IANA registry of compact forms).
fn long_form(name: &str) -> &str {
    let &[letter] = name.as_bytes() else {
        return name;
    };
    match letter.to_ascii_lowercase() {
        b'a' => "Accept-Contact",
        b'b' => "Referred-By",
        b'c' => "Content-Type",
        b'd' => "Request-Disposition",
        b'e' => "Content-Encoding",
        b'f' => "From",
        b'i' => "Call-ID",
        b'j' => "Reject-Contact",
        b'k' => "Supported",
        b'l' => "Content-Length",
        b'm' => "Contact",
        b'n' => "Identity-Info",
        b'o' => "Event",
        b'r' => "Refer-To",
        b's' => "Subject",
        b't' => "To",
        b'u' => "Allow-Events",
        b'v' => "Via",
        b'x' => "Session-Expires",
        b'y' => "Identity",
        _ => name,
    }
}

/// Same header: `v` and `VIA` are `Via`.
pub(crate) fn same_name(a: &str, b: &str) -> bool {
    scan::work(1);
    long_form(a).eq_ignore_ascii_case(long_form(b))
}

impl Headers {
    /// Every header: name as written, value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|h| (h.name.as_str(), h.value.as_str()))
    }

    /// How many header lines.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// No header at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of the first header of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The values of all headers of this name, a line each.
    pub fn all<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h str> {
        self.0
            .iter()
            .filter(move |h| same_name(&h.name, name))
            .map(|h| h.value.as_str())
    }

    /// The elements of all headers of this name, split at commas outside of quotes and angle
    /// brackets.
    pub fn values<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h str> {
        self.all(name).flat_map(split_list)
    }

    /// Whether a list header (`Require`, `Supported`, `Allow` …) holds this token; compared without
    /// case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.values(name).any(|v| v.eq_ignore_ascii_case(token))
    }

    // ── mutators ─────────────────────────────────────────────────────────────────────────────────

    /// Adds a header at the end. Control characters in the value become spaces; a name that holds
    /// no token character adds nothing.
    pub fn push(&mut self, name: &str, value: impl fmt::Display) {
        self.0.extend(Header::new(name, &value));
    }

    /// Adds a header before all others: a Via, say.
    pub fn push_front(&mut self, name: &str, value: impl fmt::Display) {
        if let Some(header) = Header::new(name, &value) {
            self.0.insert(0, header);
        }
    }

    /// Makes this the only header of its name: in the place of the first one, at the end if there
    /// is none.
    pub fn set(&mut self, name: &str, value: impl fmt::Display) {
        let Some(header) = Header::new(name, &value) else {
            return;
        };
        let at = self
            .0
            .iter()
            .position(|h| same_name(&h.name, &header.name))
            .unwrap_or(self.0.len());
        self.remove(name);
        self.0.insert(at, header);
    }

    /// Takes every header of this name away.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|h| !same_name(&h.name, name));
    }

    /// Puts this Via in the place of the top one.
    pub fn set_top_via(&mut self, via: &Via) {
        match self.0.iter_mut().find(|h| same_name(&h.name, "Via")) {
            Some(header) => {
                let mut parts = split_list(&header.value);
                parts.next();
                let rest: String = parts.flat_map(|part| [", ", part]).collect();
                header.value = scan::clean(&format!("{via}{rest}")).into_owned();
            }
            None => self.push_front("Via", via),
        }
    }

    /// Takes the headers of this name from another message, in order, as they are.
    pub fn copy(&mut self, from: &Self, name: &str) {
        self.0
            .extend(from.0.iter().filter(|h| same_name(&h.name, name)).cloned());
    }

    /// What a response takes from its request (RFC 3261 8.2.6.2).
    pub(crate) fn copy_reply_headers(&mut self, request: &Self, to_tag: Option<&str>) {
        self.copy(request, "Via");
        self.copy(request, "From");
        match (request.get("To"), request.to(), to_tag) {
            (Some(text), Ok(to), Some(tag)) if to.tag().is_none() => {
                self.push("To", format_args!("{text};tag={}", scan::clean_token(tag)));
            }
            _ => self.copy(request, "To"),
        }
        self.copy(request, "Call-ID");
        self.copy(request, "CSeq");
    }

    /// Adds a header as read: the parser has checked it.
    pub(super) fn push_parsed(&mut self, name: String, value: String) {
        self.0.push(Header { name, value });
    }

    // ── typed getters ────────────────────────────────────────────────────────────────────────────

    /// Call-ID.
    pub fn call_id(&self) -> Result<&str, HeaderError> {
        let text = self.single("Call-ID")?;
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(bad(
                "Call-ID",
                ValueError::Text("empty, or with blanks or letters beyond ASCII"),
            ));
        }
        Ok(text)
    }

    /// `CSeq`.
    pub fn cseq(&self) -> Result<CSeq, HeaderError> {
        CSeq::parse(self.single("CSeq")?).map_err(|why| bad("CSeq", why))
    }

    /// From.
    pub fn from(&self) -> Result<NameAddr, HeaderError> {
        NameAddr::parse(self.single("From")?).map_err(|why| bad("From", why))
    }

    /// To.
    pub fn to(&self) -> Result<NameAddr, HeaderError> {
        NameAddr::parse(self.single("To")?).map_err(|why| bad("To", why))
    }

    /// The first Via.
    pub fn top_via(&self) -> Result<Via, HeaderError> {
        let text = self
            .values("Via")
            .next()
            .ok_or(HeaderError::Missing("Via"))?;
        Via::parse(text).map_err(|why| bad("Via", why))
    }

    /// All Via values.
    pub fn vias(&self) -> Result<Vec<Via>, HeaderError> {
        self.values("Via")
            .map(|v| Via::parse(v).map_err(|why| bad("Via", why)))
            .collect()
    }

    /// How many Via values there are; in a response to us there is one (RFC 3261 18.1.2).
    pub fn via_count(&self) -> usize {
        self.values("Via").count()
    }

    /// All Contact values. `*` is no address: see [`Headers::contact_is_star`].
    pub fn contacts(&self) -> Result<Vec<NameAddr>, HeaderError> {
        self.addresses("Contact")
    }

    /// The first Contact that is a SIP address: where the dialog's requests go. Others (`mailto:`,
    /// `tel:`) may stand before it.
    pub fn sip_contact(&self) -> Result<NameAddr, HeaderError> {
        let mut why = None;
        for value in self.values("Contact") {
            match NameAddr::parse(value) {
                Ok(contact) if contact.uri.as_sip().is_some() => return Ok(contact),
                Ok(_) => {}
                Err(fault) => why = why.or(Some(fault)),
            }
        }
        Err(match (why, self.get("Contact")) {
            (Some(why), _) => bad("Contact", why),
            (None, Some(_)) => bad("Contact", ValueError::Text("no SIP address in it")),
            (None, None) => HeaderError::Missing("Contact"),
        })
    }

    /// Record-Route values, top first.
    pub fn record_routes(&self) -> Result<Vec<NameAddr>, HeaderError> {
        self.addresses("Record-Route")
    }

    /// Route values, top first.
    pub fn routes(&self) -> Result<Vec<NameAddr>, HeaderError> {
        self.addresses("Route")
    }

    /// Address list of any header: `Service-Route`, `Path`, `P-Asserted-Identity` …
    pub fn addresses(&self, name: &'static str) -> Result<Vec<NameAddr>, HeaderError> {
        self.values(name)
            .map(|v| NameAddr::parse(v).map_err(|why| bad(name, why)))
            .collect()
    }

    /// One address: `Refer-To`, `Referred-By` … `Ok(None)` when absent.
    pub fn address(&self, name: &'static str) -> Result<Option<NameAddr>, HeaderError> {
        self.get(name)
            .map(|v| NameAddr::parse(v).map_err(|why| bad(name, why)))
            .transpose()
    }

    /// Expires, in seconds; too large a number is the largest, anything malformed 3600 (RFC 3261
    /// 20.19).
    pub fn expires(&self) -> Option<u32> {
        self.get("Expires")
            .map(|text| scan::saturating_u32(text).unwrap_or(3600))
    }

    /// The number a header begins with, in its unit: `Min-Expires`, `Retry-After` (seconds),
    /// `Min-SE`, `Session-Expires`, `RSeq`. `None` when absent or malformed.
    pub fn number(&self, name: &str) -> Option<u32> {
        let text = self.get(name)?;
        let cut = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let rest = scan::trim(&text[cut..]);
        (rest.is_empty() || rest.starts_with([';', '(']))
            .then(|| scan::saturating_u32(&text[..cut]))?
    }

    /// Content-Type; `Ok(None)` when absent.
    pub fn content_type(&self) -> Result<Option<MediaType>, HeaderError> {
        self.get("Content-Type")
            .map(|v| MediaType::parse(v).map_err(|why| bad("Content-Type", why)))
            .transpose()
    }

    /// Option tags of Require.
    pub fn require(&self) -> impl Iterator<Item = &str> {
        self.tokens("Require")
    }

    /// Option tags of Supported.
    pub fn supported(&self) -> impl Iterator<Item = &str> {
        self.tokens("Supported")
    }

    /// Methods of Allow; what is no token is left out.
    pub fn allow(&self) -> impl Iterator<Item = Method> {
        self.tokens("Allow").filter_map(Method::parse)
    }

    /// The non-empty elements of a list header.
    pub fn tokens<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h str> {
        self.values(name).filter(|v| !v.is_empty())
    }

    fn single(&self, name: &'static str) -> Result<&str, HeaderError> {
        let mut all = self.all(name);
        let first = all.next().ok_or(HeaderError::Missing(name))?;
        if all.next().is_some() {
            Err(HeaderError::Duplicate(name))
        } else {
            Ok(first)
        }
    }
}

fn bad(name: &'static str, why: ValueError) -> HeaderError {
    HeaderError::Value { name, why }
}

impl Header {
    fn new(name: &str, value: &impl fmt::Display) -> Option<Self> {
        let name = scan::clean_token(name);
        if name.is_empty() || same_name(&name, "Content-Length") {
            return None;
        }
        Some(Self {
            name,
            value: scan::clean(&value.to_string()).into_owned(),
        })
    }
}
