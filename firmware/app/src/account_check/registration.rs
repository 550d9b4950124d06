//! REGISTER, and REGISTER with expiry 0 (RFC 3261 section 10.2), as the phone sends them; and what
//! the answers say about a NAT between.

use std::net::SocketAddr;
use std::time::Duration;

use config::schema::{Account, DigestPolicy};
use sip::Transport;
use sip::digest::{self, Credentials, DigestSession, Hash, Protected};
use sip::message::{CSeq, Method, NameAddr, Request, Response, SipUri, Uri, Via};

use super::answers::{Sent, refusal};
use super::exchange::{Exchange, OpenError};
use super::finding::Finding;
use super::names::ServerName;
use super::{Scope, echo_call, transport_name, unreachable};

/// Requests of one registration at most: challenges, a longer lifetime, a stale nonce.
const MAX_REQUESTS: u32 = 6;
/// From more registered phones on than these, the report says so.
const MANY_CONTACTS: usize = 5;

/// How a server was tried.
pub(super) enum Outcome {
    /// It answered; the findings say what.
    Answered,
    /// It did not: the next one is tried.
    Silent(Box<Finding>),
}

/// What makes the requests of one registration: one Call-ID, rising numbers.
pub(super) struct Requests<'a> {
    pub(super) account: &'a Account,
    /// A route through the outbound proxy, where the account has one.
    route: Option<NameAddr>,
    call_id: String,
    tag: String,
    cseq: u32,
    contact: NameAddr,
    /// The Via of the last request.
    via: Option<Via>,
    sessions: Vec<DigestSession>,
}

/// What a request is about.
pub(super) struct Subject<'s> {
    pub(super) method: &'s Method,
    /// The Request-URI.
    pub(super) uri: SipUri,
    /// The To.
    pub(super) to: NameAddr,
    /// Its body with its Content-Type, where it has one.
    pub(super) body: Option<(&'s str, &'s [u8])>,
}

/// Random letters for tags, branches and nonces.
pub(super) fn token() -> String {
    format!("{:016x}", getrandom::u64().unwrap_or(0))
}

/// The URI of a host, with or without a port, as the configuration has it.
pub(super) fn server_uri(host: &str) -> Option<SipUri> {
    Uri::parse(&format!("sip:{host}")).ok()?.as_sip().cloned()
}

impl<'a> Requests<'a> {
    pub(super) fn new(account: &'a Account, server: &ServerName, exchange: &Exchange) -> Self {
        let transport = exchange.target.transport;
        let mut contact = SipUri::at(exchange.local).with_user(&account.user);
        if transport != Transport::Udp {
            let name = transport_name(transport).to_lowercase();
            contact = contact.with_param("transport", Some(&name));
        }
        let route = account.outbound_proxy.as_ref().and_then(|proxy| {
            let mut uri = server_uri(proxy)?.with_param("lr", None);
            if server.transport == Transport::Tcp {
                uri = uri.with_param("transport", Some("tcp"));
            } else if server.transport == Transport::Tls {
                uri = uri.with_param("transport", Some("tls"));
            }
            Some(NameAddr::new(uri))
        });
        Self {
            account,
            route,
            call_id: token(),
            tag: token(),
            cseq: 0,
            contact: NameAddr::new(contact),
            via: None,
            sessions: Vec::new(),
        }
    }

    /// A request to the registrar, about the account itself.
    fn build(&mut self, method: &Method, exchange: &Exchange, expires: Option<u32>) -> Request {
        let account = self.account;
        let server = server_uri(&account.domain);
        let server = server.unwrap_or_else(|| SipUri::at(exchange.target.address));
        let aor = NameAddr::new(server.clone().with_user(&account.user));
        let subject = Subject {
            method,
            uri: server,
            to: aor,
            body: None,
        };
        self.build_about(&subject, exchange, expires)
    }

    /// A request about anything, with the account's credentials where they were asked for.
    pub(super) fn build_about(
        &mut self,
        subject: &Subject<'_>,
        exchange: &Exchange,
        expires: Option<u32>,
    ) -> Request {
        self.cseq += 1;
        let account = self.account;
        let own = server_uri(&account.domain);
        let own = own.unwrap_or_else(|| SipUri::at(exchange.target.address));
        let aor = NameAddr::new(own.with_user(&account.user));
        let method = subject.method;
        let mut request = Request::new(method.clone(), subject.uri.clone());
        let headers = &mut request.headers;
        let name = transport_name(exchange.target.transport);
        let via = Via::new(name, exchange.local, &format!("z9hG4bK{}", token()));
        headers.push("Via", via.to_string());
        self.via = Some(via);
        if let Some(route) = &self.route {
            headers.push("Route", route);
        }
        headers.push("Max-Forwards", 70);
        headers.push("From", aor.with_param("tag", Some(&self.tag)));
        headers.push("To", &subject.to);
        headers.push("Call-ID", &self.call_id);
        headers.push(
            "CSeq",
            CSeq {
                number: self.cseq,
                method: method.clone(),
            },
        );
        if let Some(expires) = expires {
            let expires = expires.to_string();
            let contact = self.contact.clone().with_param("expires", Some(&expires));
            headers.push("Contact", contact);
            headers.push("Expires", expires);
        } else if *method == Method::Invite {
            headers.push("Contact", &self.contact);
        }
        headers.push(
            "User-Agent",
            concat!("Offhook/", env!("CARGO_PKG_VERSION"), " (check)"),
        );
        let body = subject.body.map_or(&[][..], |(_, body)| body);
        if let Some((kind, body)) = subject.body {
            headers.push("Content-Type", kind);
            request.body = body.to_vec().into();
        }
        let uri = request.uri.to_string();
        let user = account.auth_user.as_deref().unwrap_or(&account.user);
        for session in &mut self.sessions {
            let value = session.authorize(
                Credentials {
                    user,
                    password: &account.password.0,
                },
                Protected {
                    method,
                    uri: &uri,
                    body,
                },
                &token(),
            );
            request.headers.push(session.header(), value);
        }
        request
    }

    /// Takes the challenges of a response; false: there is none this account may answer.
    pub(super) fn take_challenges(&mut self, response: &Response) -> bool {
        let mut challenges = digest::challenges(&response.headers);
        if self.account.digest == DigestPolicy::Sha256 {
            challenges.retain(|challenge| challenge.algorithm.hash >= Hash::Sha256);
        }
        let sessions = digest::choose(challenges)
            .into_iter()
            .map(DigestSession::new);
        self.sessions = sessions.collect();
        !self.sessions.is_empty()
    }
}

/// Registers, removes that again, and reports.
pub(super) async fn check(
    exchange: &mut Exchange,
    account: &Account,
    server: &ServerName,
    scope: Scope<'_>,
    found: &mut dyn FnMut(Finding),
) -> Outcome {
    let about = account.name.as_str();
    let silent = |exchange: &Exchange, error: &OpenError| {
        Outcome::Silent(Box::new(unreachable(about, exchange.target, error)))
    };
    let mut requests = Requests::new(account, server, exchange);
    if !account.register {
        let options = requests.build(&Method::Options, exchange, None);
        return match exchange.request(&options).await {
            Ok(response) => {
                let text = format!(
                    "{} answers OPTIONS with {} (register = false: not registered)",
                    exchange.target.address,
                    response.code()
                );
                found(Finding::good(about, &text));
                Outcome::Answered
            }
            Err(error) => silent(exchange, &error),
        };
    }
    let response = match register(exchange, &mut requests).await {
        Ok(Ok(response)) => response,
        Ok(Err(finding)) => {
            found(*finding);
            return Outcome::Answered;
        }
        Err(error) => return silent(exchange, &error),
    };
    found(registered(account, exchange, &requests, &response));
    if let Some(finding) = rewritten(&requests, &response) {
        found(finding);
    }
    if let Some(number) = scope.echo_test {
        echo_call::check(exchange, &mut requests, number, found).await;
    }
    // Not a failure of the account: the binding ends by itself.
    let remove = requests.build(&Method::Register, exchange, Some(0));
    let _ = exchange.request(&remove).await;
    report_nat(exchange, &mut requests, &response, scope, found).await;
    Outcome::Answered
}

/// Whether SIP is spoken at the far end: it answers OPTIONS, whatever the answer.
pub(super) async fn is_sip(exchange: &mut Exchange) -> bool {
    let uri = SipUri::at(exchange.target.address);
    let us = NameAddr::new(SipUri::at(exchange.local).with_user("check"));
    let mut request = Request::new(Method::Options, uri.clone());
    let headers = &mut request.headers;
    let name = transport_name(exchange.target.transport);
    let via = Via::new(name, exchange.local, &format!("z9hG4bK{}", token()));
    headers.push("Via", via.to_string());
    headers.push("Max-Forwards", 70);
    headers.push("From", us.with_param("tag", Some(&token())));
    headers.push("To", NameAddr::new(uri));
    headers.push("Call-ID", token());
    headers.push(
        "CSeq",
        CSeq {
            number: 1,
            method: Method::Options,
        },
    );
    exchange.request(&request).await.is_ok()
}

/// Until the registrar accepts or refuses; the inner error is its refusal in words.
async fn register(
    exchange: &mut Exchange,
    requests: &mut Requests<'_>,
) -> Result<Result<Response, Box<Finding>>, OpenError> {
    let account = requests.account;
    let mut expires = account.expires_s;
    let mut sent = Sent::Plain;
    let mut response = None;
    for _ in 0..MAX_REQUESTS {
        let request = requests.build(&Method::Register, exchange, Some(expires));
        let answer = exchange.request(&request).await?;
        let code = answer.code();
        if answer.is_success() {
            return Ok(Ok(answer));
        }
        if code == 423
            && let Some(least) = answer.headers.number("Min-Expires")
            && least > expires
        {
            expires = least;
            continue;
        }
        let stale = digest::challenges(&answer.headers).iter().any(|c| c.stale);
        if matches!(code, 401 | 407) && (sent == Sent::Plain || stale) {
            if !requests.take_challenges(&answer) {
                return Ok(Err(Box::new(no_challenge(account, &answer))));
            }
            sent = Sent::Credentials;
            response = Some(answer);
            continue;
        }
        let realm = realm(requests);
        return Ok(Err(Box::new(refusal(
            account,
            &answer,
            sent,
            realm.as_deref(),
        ))));
    }
    let realm = realm(requests);
    match response {
        Some(last) => Ok(Err(Box::new(refusal(
            account,
            &last,
            sent,
            realm.as_deref(),
        )))),
        None => Err(OpenError::Silent),
    }
}

fn realm(requests: &Requests<'_>) -> Option<String> {
    let session = requests.sessions.first()?;
    Some(session.challenge().realm.clone())
}

/// The server challenges in no way this account may answer.
fn no_challenge(account: &Account, response: &Response) -> Finding {
    let offers_md5 = !digest::challenges(&response.headers).is_empty();
    if offers_md5 && account.digest == DigestPolicy::Sha256 {
        return Finding::fault(
            &account.name,
            "the server authenticates by MD5 only, and digest = \"sha-256\" refuses that",
            "have the server offer SHA-256 (RFC 8760), or write digest = \"any\"",
        );
    }
    Finding::fault(
        &account.name,
        "the server asks for a kind of authentication that this phone does not know",
        "its operator must offer Digest with MD5, SHA-256 or SHA-512-256",
    )
}

fn registered(
    account: &Account,
    exchange: &Exchange,
    requests: &Requests<'_>,
    response: &Response,
) -> Finding {
    let about = account.name.as_str();
    let contacts = response.headers.contacts().unwrap_or_default();
    let ours = contacts
        .iter()
        .find(|one| one.uri.matches(&requests.contact.uri));
    let seconds = ours
        .and_then(|contact| contact.params.get("expires")?.parse().ok())
        .or_else(|| response.headers.expires())
        .unwrap_or(account.expires_s);
    let by = match requests.sessions.first() {
        Some(session) => format!(", digest {}", session.challenge().algorithm.name()),
        None => ", without a password being asked for".to_owned(),
    };
    let text = format!(
        "registered at {} for {seconds} s by {}{by}, and removed again",
        exchange.target.address,
        transport_name(exchange.target.transport),
    );
    let others = contacts.len().saturating_sub(1);
    let text = match others {
        0 => text,
        1 => format!("{text}; 1 other device is registered with this account and rings, too"),
        2..=MANY_CONTACTS => {
            format!("{text}; {others} other devices are registered with this account and ring, too")
        }
        _ => format!("{text}; {others} other phones are registered with this account"),
    };
    if others > MANY_CONTACTS {
        return Finding::warning(
            about,
            &text,
            "old registrations may be left over; look at the account at the server",
        );
    }
    Finding::good(about, &text)
}

/// Whether something between changed what a server has to copy (RFC 3261 section 8.2.6.2).
fn rewritten(requests: &Requests<'_>, response: &Response) -> Option<Finding> {
    let sent = requests.via.as_ref()?;
    let copied = response.headers.top_via().ok()?;
    let port = |via: &Via| via.port().unwrap_or(Transport::Udp.default_port());
    let is_same = copied.host().matches(sent.host())
        && port(&copied) == port(sent)
        && copied.branch() == sent.branch();
    if is_same {
        return None;
    }
    let shown = |via: &Via| format!("{}:{}", via.host(), port(via));
    let (before, after) = (shown(sent), shown(&copied));
    let change = if before == after {
        "the branch of its Via came back changed".to_owned()
    } else {
        format!("its Via had {before} and came back with {after}")
    };
    Some(Finding::warning(
        &requests.account.name,
        &format!("something between changes SIP messages, as a router's \"SIP ALG\": {change}"),
        "switch it off in the router, or write transport = \"tls\", which it cannot read",
    ))
}

/// Where the server saw the request come from.
fn seen_from(response: &Response, local: SocketAddr) -> Option<SocketAddr> {
    let via = response.headers.top_via().ok()?;
    let ip = via.received().unwrap_or(local.ip());
    Some(SocketAddr::new(ip, via.rport().unwrap_or(local.port())))
}

/// A NAT between, and whether it keeps its mapping as long as the phone is silent.
async fn report_nat(
    exchange: &mut Exchange,
    requests: &mut Requests<'_>,
    response: &Response,
    scope: Scope<'_>,
    found: &mut dyn FnMut(Finding),
) {
    let about = requests.account.name.as_str();
    let local = exchange.local;
    let Some(seen) = seen_from(response, local) else {
        return;
    };
    if seen.ip().to_canonical() == local.ip().to_canonical() {
        found(Finding::good(
            about,
            "no NAT between this phone and the server",
        ));
        return;
    }
    let text = format!("a NAT stands between: {local} here is {seen} at the server");
    if exchange.target.transport != Transport::Udp {
        let text = format!("{text}; the connection stays open, so calls come in");
        return found(Finding::good(about, &text));
    }
    let Some(silence) = scope.nat_silence else {
        return found(Finding::good(about, &text));
    };
    found(Finding::good(
        about,
        &format!("{text}; watching it for {} s", silence.as_secs()),
    ));
    tokio::time::sleep(silence).await;
    let options = requests.build(&Method::Options, exchange, None);
    let later = exchange.request(&options).await.ok();
    let later = later.and_then(|response| seen_from(&response, local));
    found(mapping(about, seen, later, silence));
}

/// What became of a mapping while nothing was sent.
fn mapping(
    about: &str,
    before: SocketAddr,
    after: Option<SocketAddr>,
    silence: Duration,
) -> Finding {
    let seconds = silence.as_secs();
    match after {
        Some(after) if after == before => Finding::good(
            about,
            &format!("the NAT keeps its mapping over {seconds} s of silence"),
        ),
        Some(after) => Finding::warning(
            about,
            &format!("the NAT changed its mapping within {seconds} s, from {before} to {after}"),
            "calls may not come in over UDP; write transport = \"tcp\" or \"tls\"",
        ),
        None => Finding::warning(
            about,
            &format!("after {seconds} s of silence the server does not answer OPTIONS"),
            "if calls do not come in, write transport = \"tcp\" or \"tls\"",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account_check::Mark;

    #[test]
    fn a_mapping_that_moves_is_a_warning() {
        let [a, b]: [SocketAddr; 2] =
            ["203.0.113.5:1024", "203.0.113.5:1025"].map(|text| text.parse().unwrap());
        let mark = |after| mapping("a", a, after, Duration::from_secs(30)).mark;
        assert_eq!(mark(Some(a)), Mark::Good);
        assert_eq!(mark(Some(b)), Mark::Warning);
        assert_eq!(mark(None), Mark::Warning);
    }
}
