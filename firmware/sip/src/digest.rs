//! Digest authentication, the client's side (RFC 7616, RFC 8760): challenges read, the strongest
//! understood one answered.
//!
//! ```text
//! 401 / 407 ─▶ challenges ─▶ choose (one a realm) ─▶ DigestSession ─▶ authorize(credentials, request) ─▶ Authorization value
//!                                                      └ counts nc, keeps the first cnonce for -sess
//! ```

pub(crate) mod verifier;

use std::fmt::Write;

use md5::{Digest, Md5};
use sha2::{Sha256, Sha512_256};

use crate::message::scan;
use crate::message::{Headers, Method};

/// Most challenges looked at in one response.
const MAX_CHALLENGES: usize = 16;

/// Hash function; later ones are stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hash {
    /// MD5.
    Md5,
    /// SHA-256.
    Sha256,
    /// SHA-512/256.
    Sha512_256,
}

/// The `algorithm` of a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Algorithm {
    /// Which hash.
    pub hash: Hash,
    /// The `-sess` variant: nonce and first cnonce are hashed into the key.
    pub session: bool,
}

/// Quality of protection that is used in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qop {
    /// Method and URI are protected.
    Auth,
    /// The body too.
    AuthInt,
}

/// Who asks, and so which header answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// WWW-Authenticate, answered by Authorization.
    Server,
    /// Proxy-Authenticate, answered by Proxy-Authorization.
    Proxy,
}

/// A challenge this phone can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Who asks.
    pub asker: Asker,
    /// Protection space.
    pub realm: String,
    /// The server's nonce.
    pub nonce: String,
    /// To be given back unchanged.
    pub opaque: Option<String>,
    /// Hash function; MD5 where none is named.
    pub algorithm: Algorithm,
    /// Whether `algorithm` was there: it is repeated only then.
    algorithm_named: bool,
    /// What is used of the qop values offered; `None`: none was (RFC 2069).
    pub qop: Option<Qop>,
    /// The nonce was too old, the password is not at fault: try again without asking anybody.
    pub stale: bool,
}

/// User name and password.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// User name for the realm.
    pub user: &'a str,
    /// Password.
    pub password: &'a str,
}

/// What of a request goes into its answer.
#[derive(Debug, Clone, Copy)]
pub struct Protected<'a> {
    /// Method.
    pub method: &'a Method,
    /// Request-URI as it stands in the request.
    pub uri: &'a str,
    /// Body.
    pub body: &'a [u8],
}

impl Asker {
    /// The header the challenge stands in.
    pub fn challenge_header(self) -> &'static str {
        match self {
            Self::Server => "WWW-Authenticate",
            Self::Proxy => "Proxy-Authenticate",
        }
    }

    /// The header the answer stands in.
    pub fn answer_header(self) -> &'static str {
        match self {
            Self::Server => "Authorization",
            Self::Proxy => "Proxy-Authorization",
        }
    }
}

impl Hash {
    /// Hexadecimal digest of the parts in a row.
    fn hex(self, parts: &[&[u8]]) -> String {
        fn run<D: Digest>(parts: &[&[u8]]) -> String {
            let mut digest = D::new();
            for part in parts {
                digest.update(part);
            }
            digest
                .finalize()
                .iter()
                .fold(String::new(), |mut text, byte| {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "{byte:02x}");
                    text
                })
        }
        match self {
            Self::Md5 => run::<Md5>(parts),
            Self::Sha256 => run::<Sha256>(parts),
            Self::Sha512_256 => run::<Sha512_256>(parts),
        }
    }
}

impl Algorithm {
    /// Reads a name of the IANA registry, without regard to case; `None` for one not understood.
    pub fn parse(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        let (base, session) = lower
            .strip_suffix("-sess")
            .map_or((lower.as_str(), false), |base| (base, true));
        let hash = match base {
            "md5" => Hash::Md5,
            "sha-256" => Hash::Sha256,
            "sha-512-256" => Hash::Sha512_256,
            _ => return None,
        };
        Some(Self { hash, session })
    }

    /// The registered name.
    pub fn name(self) -> &'static str {
        match (self.hash, self.session) {
            (Hash::Md5, false) => "MD5",
            (Hash::Md5, true) => "MD5-sess",
            (Hash::Sha256, false) => "SHA-256",
            (Hash::Sha256, true) => "SHA-256-sess",
            (Hash::Sha512_256, false) => "SHA-512-256",
            (Hash::Sha512_256, true) => "SHA-512-256-sess",
        }
    }
}

/// Every challenge of a 401 or 407 that can be answered, in order. Other schemes, unknown
/// algorithms and unknown qop are left out.
pub fn challenges(headers: &Headers) -> Vec<Challenge> {
    [Asker::Server, Asker::Proxy]
        .into_iter()
        .flat_map(|asker| {
            headers
                .all(asker.challenge_header())
                .flat_map(move |value| read(asker, value))
        })
        .take(MAX_CHALLENGES)
        .collect()
}

/// The strongest challenge of each realm, the server's and the proxy's apart; of two equals the
/// first (RFC 8760 2.4).
pub fn choose(challenges: Vec<Challenge>) -> Vec<Challenge> {
    let mut best: Vec<Challenge> = Vec::new();
    for challenge in challenges.into_iter().take(MAX_CHALLENGES) {
        match best
            .iter_mut()
            .find(|b| b.realm == challenge.realm && b.asker == challenge.asker)
        {
            Some(known) if known.algorithm.hash >= challenge.algorithm.hash => {}
            Some(known) => *known = challenge,
            None => best.push(challenge),
        }
    }
    best
}

/// Reads one header line of challenges.
fn read(asker: Asker, value: &str) -> Vec<Challenge> {
    let all = digests(value).into_iter();
    all.filter_map(|fields| Challenge::from_fields(asker, &fields))
        .collect()
}

/// The fields of each Digest in one header line, which may hold several schemes: `Digest a=b,
/// c="d", Digest …, Basic …`.
fn digests(value: &str) -> Vec<Vec<(&str, &str)>> {
    let mut found = Vec::new();
    let mut current: Option<Vec<(&str, &str)>> = None;
    for part in scan::split_list(value) {
        // A part that opens a challenge is `scheme name=value` or a scheme alone; all others are
        // `name=value`.
        let word_end = part.find([' ', '\t', '=']).unwrap_or(part.len());
        let rest = scan::trim(&part[word_end..]);
        let field = if rest.starts_with('=') {
            part
        } else {
            found.extend(current.take());
            if part[..word_end].eq_ignore_ascii_case("Digest") {
                current = Some(Vec::new());
            }
            rest
        };
        if let (Some(fields), Some((name, value))) = (&mut current, field.split_once('=')) {
            fields.push((scan::trim(name), scan::trim(value)));
        }
    }
    found.extend(current);
    found
}

impl Challenge {
    fn from_fields(asker: Asker, fields: &[(&str, &str)]) -> Option<Self> {
        let raw = |name: &str| {
            fields
                .iter()
                .find(|(n, _)| n.eq_ignore_ascii_case(name))
                .map(|(_, v)| scan::unquote(v))
        };
        let algorithm = raw("algorithm");
        let qop = match raw("qop") {
            None => None,
            // Empty: the server means none, as RFC 2069 has it.
            Some(list) if scan::trim(&list).is_empty() => None,
            // Proxies and NAT helpers rewrite bodies, so auth-int is used only where it is all that
            // is offered.
            Some(list) => {
                let offers = |qop: &str| {
                    list.split(',')
                        .any(|q| scan::trim(q).eq_ignore_ascii_case(qop))
                };
                Some(if offers("auth") {
                    Qop::Auth
                } else if offers("auth-int") {
                    Qop::AuthInt
                } else {
                    return None;
                })
            }
        };
        Some(Self {
            asker,
            // Both are required, but registrars that leave an empty one out exist, and an answer
            // costs nothing.
            realm: raw("realm").unwrap_or_default().into_owned(),
            nonce: raw("nonce").unwrap_or_default().into_owned(),
            opaque: raw("opaque").map(std::borrow::Cow::into_owned),
            algorithm_named: algorithm.is_some(),
            algorithm: Algorithm::parse(algorithm.as_deref().unwrap_or("MD5"))?,
            qop,
            stale: raw("stale").is_some_and(|s| s.eq_ignore_ascii_case("true")),
        })
    }

    /// The `response` field: RFC 7616 3.4.1. `first_cnonce` is the one of the session's first
    /// request, for `-sess`.
    pub fn response(
        &self,
        who: Credentials<'_>,
        what: Protected<'_>,
        nc: u32,
        cnonce: &str,
        first_cnonce: &str,
    ) -> String {
        let hash = self.algorithm.hash;
        let joined = |parts: &[&str]| hash.hex(&[parts.join(":").as_bytes()]);
        let mut key = joined(&[who.user, &self.realm, who.password]);
        if self.algorithm.session {
            key = joined(&[&key, &self.nonce, first_cnonce]);
        }
        let method = what.method.as_str();
        let request = match self.qop {
            Some(Qop::AuthInt) => joined(&[method, what.uri, &hash.hex(&[what.body])]),
            Some(Qop::Auth) | None => joined(&[method, what.uri]),
        };
        match self.qop {
            Some(qop) => joined(&[
                &key,
                &self.nonce,
                &format!("{nc:08x}"),
                cnonce,
                qop.name(),
                &request,
            ]),
            None => joined(&[&key, &self.nonce, &request]),
        }
    }
}

impl Qop {
    fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthInt => "auth-int",
        }
    }
}

/// A nonce in use: counts the requests it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestSession {
    challenge: Challenge,
    /// How many requests were answered with this nonce.
    count: u32,
    first_cnonce: Option<String>,
}

impl DigestSession {
    /// Nothing answered yet.
    pub fn new(challenge: Challenge) -> Self {
        Self {
            challenge,
            count: 0,
            first_cnonce: None,
        }
    }

    /// The challenge it answers.
    pub fn challenge(&self) -> &Challenge {
        &self.challenge
    }

    /// Name of the header the value belongs into.
    pub fn header(&self) -> &'static str {
        self.challenge.asker.answer_header()
    }

    /// The value for one request; counts it. `cnonce` is fresh random text.
    pub fn authorize(&mut self, who: Credentials<'_>, what: Protected<'_>, cnonce: &str) -> String {
        self.count = self.count.saturating_add(1);
        let first_cnonce = self.first_cnonce.get_or_insert_with(|| cnonce.to_owned());
        let challenge = &self.challenge;
        let response = challenge.response(who, what, self.count, cnonce, first_cnonce);
        let quoted = scan::Quoted;
        let mut value = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\"",
            quoted(who.user),
            quoted(&challenge.realm),
            quoted(&challenge.nonce),
            quoted(what.uri),
        );
        let mut add = |text: std::fmt::Arguments<'_>| {
            // Writing to a String cannot fail.
            let _ = write!(value, ", {text}");
        };
        if challenge.algorithm_named {
            add(format_args!("algorithm={}", challenge.algorithm.name()));
        }
        if let Some(opaque) = &challenge.opaque {
            add(format_args!("opaque={}", quoted(opaque)));
        }
        match challenge.qop {
            Some(qop) => add(format_args!(
                "qop={}, cnonce={}, nc={:08x}",
                qop.name(),
                quoted(cnonce),
                self.count
            )),
            // RFC 7616 wants the cnonce of a -sess algorithm said even where no qop was offered.
            None if challenge.algorithm.session => add(format_args!("cnonce={}", quoted(cnonce))),
            None => {}
        }
        value
    }
}
