//! A registrar and stateless proxy that reads SIP as text and checks digests by its own arithmetic
//! (RFC 3261, 7616, 8760), so that an error in the phone's digest cannot agree with itself.
//!
//! ```text
//! REGISTER ─▶ no or bad credentials? ─▶ 401 with one challenge an algorithm      nonce worn out? ─▶ 401 stale=true
//!                 └─ good ─▶ binding ─▶ 200
//! INVITE … ─▶ (407) ─▶ binding ─▶ forward with Via and Record-Route            response ─▶ own Via off ─▶ forward
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};

use crate::network::{Datagram, Time};
use crate::peer::{Message, bare, long};

/// A digest algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `MD5`
    Md5,
    /// `SHA-256`
    Sha256,
    /// `SHA-512-256`
    Sha512,
}

impl Algorithm {
    /// As it stands in a challenge.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha512 => "SHA-512-256",
        }
    }

    fn hash(self, text: &str) -> String {
        match self {
            Algorithm::Md5 => hex(&Md5::digest(text)),
            Algorithm::Sha256 => hex(&Sha256::digest(text)),
            Algorithm::Sha512 => hex(&Sha512_256::digest(text)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What the registrar counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RegistrarCounters {
    /// REGISTERs that came.
    pub registers: u64,
    /// Challenges sent.
    pub challenges: u64,
    /// Challenges sent because the nonce was worn out.
    pub stale: u64,
    /// Good credentials whose answer was wrong.
    pub wrong: u64,
    /// Registrations granted.
    pub granted: u64,
    /// Bindings removed on request.
    pub removed: u64,
    /// Requests forwarded.
    pub forwarded: u64,
}

/// A binding of an address of record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Contact URI.
    pub contact: String,
    /// Where it came from.
    pub source: SocketAddr,
    /// Until when.
    pub until: Time,
}

/// The server.
#[derive(Debug)]
pub struct Registrar {
    /// Its address.
    pub at: SocketAddr,
    /// Realm of its challenges.
    pub realm: String,
    /// User and password.
    pub users: BTreeMap<String, String>,
    /// One challenge each, best first.
    pub algorithms: Vec<Algorithm>,
    /// Longest registration granted.
    pub expires: Duration,
    /// Shorter ones get 423.
    pub min_expires: Option<Duration>,
    /// How often a nonce may be used before it is stale.
    pub nonce_uses: u32,
    /// Every second good answer is called stale once, whatever its nonce (a server whose nonces run
    /// out at any time).
    pub stale_by_turns: bool,
    /// INVITEs must carry credentials, too.
    pub challenge_calls: bool,
    /// Callers get 403 in place of a redirection (302) by the called phone.
    pub refuses_redirections: bool,
    /// Answers everything with 503.
    pub broken: bool,
    /// Who is where.
    pub bindings: BTreeMap<String, Binding>,
    /// What was counted.
    pub counters: RegistrarCounters,
    /// Algorithm of the last good answer.
    pub last_algorithm: Option<Algorithm>,
    /// When each REGISTER came.
    pub register_times: Vec<Time>,
    nonces: BTreeMap<String, (u32, u32)>,
    serial: u64,
    turn: bool,
}

enum Verdict {
    Good,
    Stale,
    Missing,
    Wrong,
}

impl Registrar {
    /// A registrar that knows these users.
    pub fn new(at: SocketAddr, users: &[(&str, &str)]) -> Self {
        Self {
            at,
            realm: "office".to_owned(),
            users: users
                .iter()
                .map(|(user, password)| ((*user).to_owned(), (*password).to_owned()))
                .collect(),
            algorithms: vec![Algorithm::Md5],
            expires: Duration::from_secs(600),
            min_expires: None,
            nonce_uses: 100,
            stale_by_turns: false,
            challenge_calls: false,
            refuses_redirections: false,
            broken: false,
            bindings: BTreeMap::new(),
            counters: RegistrarCounters::default(),
            last_algorithm: None,
            register_times: Vec::new(),
            nonces: BTreeMap::new(),
            serial: 0,
            turn: false,
        }
    }

    /// Whether this user is registered now.
    pub fn knows(&self, user: &str, now: Time) -> bool {
        self.bindings
            .get(user)
            .is_some_and(|binding| binding.until > now)
    }

    /// Forgets everything, as a restarted server does.
    pub fn restart(&mut self) {
        self.bindings.clear();
        self.nonces.clear();
    }

    /// Answers or forwards one datagram.
    pub fn handle(&mut self, datagram: &Datagram, now: Time) -> Vec<Datagram> {
        let Some(message) =
            Message::parse(&datagram.bytes).filter(|message| !message.all("via").is_empty())
        else {
            return Vec::new();
        };
        if message.code().is_some() {
            return self.forward_response(message).into_iter().collect();
        }
        if message.method() == "REGISTER" {
            let reply = self.register(&message, datagram.from, now);
            return vec![self.to(datagram.from, &reply)];
        }
        self.forward_request(message, datagram.from, now)
            .into_iter()
            .collect()
    }

    fn to(&self, to: SocketAddr, message: &Message) -> Datagram {
        Datagram {
            from: self.at,
            to,
            bytes: message.text().into_bytes(),
        }
    }

    fn register(&mut self, request: &Message, source: SocketAddr, now: Time) -> Message {
        self.counters.registers += 1;
        self.register_times.push(now);
        if self.broken {
            return request.reply(503, "reg");
        }
        let user = user_of(bare(request.header("to"))).to_owned();
        match self.check(request, "authorization") {
            Verdict::Good => {}
            Verdict::Stale => return self.challenge(request, 401, true),
            Verdict::Missing => return self.challenge(request, 401, false),
            Verdict::Wrong => {
                self.counters.wrong += 1;
                return request.reply(403, "reg");
            }
        }
        // RFC 3261 section 10.3: each contact is a binding of its own. One user has one here, the
        // last that is not taken away.
        let lifetime = |contact: &str| {
            Message::parameter(contact, "expires")
                .or_else(|| request.all("expires").first().copied())
                .and_then(|s| s.parse().ok())
                .map_or(self.expires, Duration::from_secs)
        };
        let contacts: Vec<(&str, Duration)> = request
            .all("contact")
            .into_iter()
            .map(|contact| (contact, lifetime(contact)))
            .collect();
        let wanted = contacts.iter().rfind(|(_, asked)| !asked.is_zero());
        let Some((contact, asked)) =
            wanted.map(|(contact, asked)| (bare(contact).to_owned(), *asked))
        else {
            self.bindings.remove(&user);
            self.counters.removed += 1;
            return request.reply(200, "reg");
        };
        if let Some(least) = self.min_expires.filter(|least| asked < *least) {
            return request
                .reply(423, "reg")
                .with("Min-Expires", least.as_secs().to_string());
        }
        let granted = asked.min(self.expires);
        self.bindings.insert(
            user,
            Binding {
                contact: contact.clone(),
                source,
                until: now + granted,
            },
        );
        self.counters.granted += 1;
        request.reply(200, "reg").with(
            "Contact",
            format!("<{contact}>;expires={}", granted.as_secs()),
        )
    }

    fn challenge(&mut self, request: &Message, code: u16, stale: bool) -> Message {
        self.counters.challenges += 1;
        self.counters.stale += u64::from(stale);
        self.serial += 1;
        let nonce = hex(&Sha256::digest(format!(
            "nonce {} {}",
            self.serial,
            request.header("call-id")
        )))[..24]
            .to_owned();
        // A real server forgets old nonces, too.
        if self.nonces.len() > 1_000 {
            self.nonces.clear();
        }
        self.nonces.insert(nonce.clone(), (0, 0));
        let header = if code == 401 {
            "WWW-Authenticate"
        } else {
            "Proxy-Authenticate"
        };
        let mut reply = request.reply(code, "reg");
        for algorithm in &self.algorithms {
            let stale = if stale { ", stale=true" } else { "" };
            let value = format!(
                r#"Digest realm="{}", nonce="{nonce}", opaque="o{}", qop="auth", algorithm={}{stale}"#,
                self.realm,
                self.serial,
                algorithm.name()
            );
            reply = reply.with(header, value);
        }
        reply
    }

    fn check(&mut self, request: &Message, header: &str) -> Verdict {
        for value in request.all(header) {
            let Some(rest) = value.strip_prefix("Digest ") else {
                continue;
            };
            let given = parameters(rest);
            let get = |name: &str| given.get(name).map_or("", String::as_str);
            if get("realm") != self.realm {
                continue;
            }
            let algorithm = match get("algorithm") {
                "SHA-256" => Algorithm::Sha256,
                "SHA-512-256" => Algorithm::Sha512,
                "MD5" | "" => Algorithm::Md5,
                _ => return Verdict::Wrong,
            };
            let Some((uses, last)) = self.nonces.get_mut(get("nonce")) else {
                return Verdict::Stale;
            };
            let Some(password) = self
                .users
                .get(get("username"))
                .filter(|_| self.algorithms.contains(&algorithm))
            else {
                return Verdict::Wrong;
            };
            let count = u32::from_str_radix(get("nc"), 16).unwrap_or(0);
            if get("qop") != "auth"
                || get("nc").len() != 8
                || get("cnonce").is_empty()
                || get("uri") != request.uri()
            {
                return Verdict::Wrong;
            }
            let one = algorithm.hash(&format!("{}:{}:{password}", get("username"), self.realm));
            let two = algorithm.hash(&format!("{}:{}", request.method(), get("uri")));
            let wanted = algorithm.hash(&format!(
                "{one}:{}:{}:{}:auth:{two}",
                get("nonce"),
                get("nc"),
                get("cnonce")
            ));
            if get("response") != wanted {
                return Verdict::Wrong;
            }
            if count <= *last || *uses >= self.nonce_uses {
                return Verdict::Stale;
            }
            self.turn = !self.turn;
            if self.stale_by_turns && self.turn {
                return Verdict::Stale;
            }
            (*uses, *last) = (*uses + 1, count);
            self.last_algorithm = Some(algorithm);
            return Verdict::Good;
        }
        Verdict::Missing
    }

    fn forward_request(
        &mut self,
        request: Message,
        source: SocketAddr,
        now: Time,
    ) -> Option<Datagram> {
        if self.broken {
            return (request.method() != "ACK")
                .then(|| self.to(source, &request.reply(503, "proxy")));
        }
        let mut routes: Vec<String> = request
            .all("route")
            .iter()
            .flat_map(|value| value.split(','))
            .map(|r| r.trim().to_owned())
            .collect();
        let for_us = routes
            .first()
            .is_some_and(|route| bare(route).contains(&self.at.to_string()));
        if for_us {
            routes.remove(0);
        }
        let inside = request.tag("to").is_some();
        let mut target = request.uri().to_owned();
        let mut hop = address_of(&target);
        if !inside || hop == Some(self.at) {
            if request.tag("to") == Some("proxy") || request.tag("to") == Some("reg") {
                return None;
            }
            if self.challenge_calls && request.method() == "INVITE" {
                let refusal = match self.check(&request, "proxy-authorization") {
                    Verdict::Good => None,
                    Verdict::Stale => Some(self.challenge(&request, 407, true)),
                    Verdict::Missing => Some(self.challenge(&request, 407, false)),
                    Verdict::Wrong => Some(request.reply(403, "proxy")),
                };
                if let Some(refusal) = refusal {
                    return Some(self.to(source, &refusal));
                }
            }
            match self
                .bindings
                .get(user_of(&target))
                .filter(|binding| binding.until > now)
            {
                Some(binding) => (target, hop) = (binding.contact.clone(), Some(binding.source)),
                None if request.method() == "ACK" => return None,
                None => return Some(self.to(source, &request.reply(404, "proxy"))),
            }
        }
        let hop = routes
            .first()
            .and_then(|route| address_of(bare(route)))
            .or(hop)?;
        let hops: u32 = request
            .all("max-forwards")
            .first()
            .and_then(|n| n.parse().ok())
            .unwrap_or(70);
        if hops == 0 {
            return Some(self.to(source, &request.reply(483, "proxy")));
        }
        self.counters.forwarded += 1;
        let top = request.header("via").to_owned();
        let branch = hex(&Sha256::digest(format!(
            "{}{target}",
            Message::parameter(&top, "branch").unwrap_or(&top)
        )))[..20]
            .to_owned();
        let mut headers = vec![(
            "Via".to_owned(),
            format!("SIP/2.0/UDP {};branch=z9hG4bK{branch}", self.at),
        )];
        if request.method() == "INVITE" && !inside {
            headers.push(("Record-Route".to_owned(), format!("<sip:{};lr>", self.at)));
        }
        let mut first = true;
        for (name, value) in &request.headers {
            match long(name).as_str() {
                "via" if first => {
                    first = false;
                    let value = value.replace(
                        ";rport",
                        &format!(";received={};rport={}", source.ip(), source.port()),
                    );
                    headers.push((name.clone(), value));
                }
                "route" | "proxy-authorization" => {}
                "max-forwards" => headers.push((name.clone(), (hops - 1).to_string())),
                _ => headers.push((name.clone(), value.clone())),
            }
        }
        headers.extend(routes.into_iter().map(|route| ("Route".to_owned(), route)));
        let forwarded = Message {
            start: format!("{} {target} SIP/2.0", request.method()),
            headers,
            body: request.body,
        };
        Some(self.to(hop, &forwarded))
    }

    fn forward_response(&self, mut response: Message) -> Option<Datagram> {
        let own = response
            .headers
            .iter()
            .position(|(name, _)| long(name) == "via")?;
        if !response.headers[own].1.contains(&self.at.to_string()) {
            return None;
        }
        response.headers.remove(own);
        if self.refuses_redirections && response.code() == Some(302) {
            response.start = String::from("SIP/2.0 403 Redirections are not allowed");
            response.headers.retain(|(name, _)| long(name) != "contact");
        }
        let to = via_address(response.all("via").first()?)?;
        Some(self.to(to, &response))
    }
}

/// Where a response to this Via goes (RFC 3261 section 18.2.2, RFC 3581).
pub fn via_address(via: &str) -> Option<SocketAddr> {
    let sent_by = via.split_whitespace().nth(1)?.split(';').next()?;
    let by: SocketAddr = sent_by
        .parse()
        .ok()
        .or_else(|| Some(SocketAddr::new(sent_by.parse().ok()?, 5060)))?;
    let ip = Message::parameter(via, "received")
        .and_then(|ip| ip.parse().ok())
        .unwrap_or(by.ip());
    let port = Message::parameter(via, "rport")
        .and_then(|port| port.parse().ok())
        .unwrap_or(by.port());
    Some(SocketAddr::new(ip, port))
}

/// User part of a SIP URI.
pub fn user_of(uri: &str) -> &str {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    rest.split_once('@').map_or("", |(user, _)| user)
}

/// Address and port of a SIP URI whose host is an address.
pub fn address_of(uri: &str) -> Option<SocketAddr> {
    let rest = uri.split_once(':')?.1;
    let host = rest
        .rsplit_once('@')
        .map_or(rest, |(_, host)| host)
        .split([';', '?', '>'])
        .next()?;
    host.parse().ok().or_else(|| {
        Some(SocketAddr::new(
            host.trim_matches(['[', ']']).parse().ok()?,
            5060,
        ))
    })
}

/// `name=value, name="value"` with quoted commas respected.
fn parameters(text: &str) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let (mut quoted, mut start) = (false, 0);
    let mut parts = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    for part in parts {
        if let Some((name, value)) = part.split_once('=') {
            out.insert(
                name.trim().to_ascii_lowercase(),
                value.trim().trim_matches('"').to_owned(),
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_agrees_with_rfc_7616_section_3_9_1() {
        for (algorithm, wanted) in [
            (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
            (
                Algorithm::Sha256,
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
        ] {
            let one = algorithm.hash("Mufasa:http-auth@example.org:Circle of Life");
            let two = algorithm.hash("GET:/dir/index.html");
            let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
            let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
            assert_eq!(
                algorithm.hash(&format!("{one}:{nonce}:00000001:{cnonce}:auth:{two}")),
                wanted
            );
        }
    }

    #[test]
    fn addresses_are_read() {
        assert_eq!(
            via_address("SIP/2.0/UDP 10.0.0.1:5070;branch=x;received=10.0.0.7;rport=99"),
            "10.0.0.7:99".parse().ok()
        );
        assert_eq!(
            via_address("SIP/2.0/UDP 10.0.0.1;branch=x"),
            "10.0.0.1:5060".parse().ok()
        );
        assert_eq!(
            (user_of("sip:101@h:5"), address_of("sip:101@10.0.0.1:5;x=y")),
            ("101", "10.0.0.1:5".parse().ok())
        );
        assert_eq!(
            parameters(r#"a="1,2", B=c"#),
            [("a".into(), "1,2".into()), ("b".into(), "c".into())].into()
        );
    }
}
