//! Registrars that send a REGISTER elsewhere (RFC 3261 sections 8.1.3.4 and 10.3).
//!
//! ```text
//! 3xx ─▶ contacts, best first ─┬ 2xx ────▶ registered there; the next refresh asks the first again
//!                              ├ else ───▶ the next contact; after the last one the registration has failed
//!                              └ 3xx ────▶ its contacts come first, five redirections at most, no contact twice
//! silence, 5xx of the own server ─▶ the registrar it sent the phone to last, where that granted it
//! ```
//!
//! So a server that only distributes its phones may be gone for as long as it likes: they stay
//! where it sent them. What it said is kept until it says otherwise or the phone restarts.
//!
//! A contact that leads an account of TLS to another transport is left out. Whom the password is
//! shown there is decided by [`Servers`](super::Servers).

use std::time::Instant;

use super::{RegisterOutcome, Registration, RegistrationAttempt};
use crate::env::Env;
use crate::flow::{Target, Transport};
use crate::locate::Hop;
use crate::message::{NameAddr, Response, SipUri};

/// Most redirections one after another.
const MAX_REDIRECTIONS: u8 = 5;
/// Most contacts that wait to be tried.
const MAX_WAITING: usize = 8;

/// Where a REGISTER is sent instead of to the account's own server.
#[derive(Debug, Default)]
pub(super) struct Redirection {
    current: Option<Redirected>,
    /// The best one last.
    waiting: Vec<Redirected>,
    tried: Vec<Hop>,
    followed: u8,
    /// The registrar that the own server sent this phone to last and that registered it.
    granted: Option<Redirected>,
}

/// One registrar that another named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redirected {
    /// The Request-URI: no user, no parameters (section 10.2).
    pub(super) uri: SipUri,
    pub(super) hop: Hop,
}

impl Redirection {
    /// The registrar that is asked now, if it is not the account's own.
    pub(super) fn current(&self) -> Option<&Redirected> {
        self.current.as_ref()
    }

    /// The account's own server is asked again.
    pub(super) fn clear(&mut self) {
        *self = Self {
            granted: self.granted.take(),
            ..Self::default()
        };
    }

    /// The registrar that is asked has registered the phone.
    fn handle_granted(&mut self) {
        self.granted.clone_from(&self.current);
    }

    /// Whether another registrar may be asked where the account's own does not answer.
    fn has_stand_in(&self) -> bool {
        self.current.is_none() && self.granted.is_some()
    }

    /// The account's own server does not answer. Whether another is to be asked.
    fn stand_in(&mut self) -> bool {
        let last = self.granted.clone();
        self.current = last.filter(|last| !self.tried.contains(&last.hop));
        self.tried
            .extend(self.current.as_ref().map(|current| current.hop.clone()));
        self.current.is_some()
    }

    /// A registrar answered with 3xx. Whether another is to be asked.
    pub(super) fn handle(&mut self, response: &Response, transport: Transport) -> bool {
        if self.followed >= MAX_REDIRECTIONS {
            return false;
        }
        self.followed += 1;
        let quality = |contact: &NameAddr| {
            let q = contact.params.get("q").and_then(|q| q.parse::<f32>().ok());
            q.filter(|q| q.is_finite()).unwrap_or(1.0)
        };
        let mut contacts = response.headers.contacts().unwrap_or_default();
        // The best one last; of equal ones the first that was named.
        contacts.reverse();
        contacts.sort_by(|a, b| quality(a).total_cmp(&quality(b)));
        let named = contacts
            .iter()
            .filter_map(|contact| redirected(contact.uri.as_sip()?, transport));
        self.waiting.extend(named);
        let surplus = self.waiting.len().saturating_sub(MAX_WAITING);
        self.waiting.drain(..surplus);
        self.next()
    }

    /// The registrar that is asked failed. Whether another is to be asked.
    pub(super) fn next(&mut self) -> bool {
        self.current = None;
        while let Some(next) = self.waiting.pop() {
            if !self.tried.contains(&next.hop) {
                self.tried.push(next.hop.clone());
                self.current = Some(next);
                return true;
            }
        }
        false
    }
}

impl Registration {
    /// Whether the REGISTER under way goes where another registrar sent it.
    pub(crate) fn is_redirected(&self) -> bool {
        self.redirection.current().is_some()
    }

    /// Whether another registrar stands in where the account's own does not answer.
    pub(crate) fn has_stand_in(&self) -> bool {
        self.redirection.has_stand_in()
    }

    /// The account's own server asks for the password: the realm it is given in elsewhere, too.
    pub(crate) fn handle_challenge(&mut self, response: &Response) {
        if !self.is_redirected()
            && let Some(challenge) = crate::digest::challenges(&response.headers).first()
        {
            self.servers.learn_realm(&challenge.realm);
        }
    }

    /// What a REGISTER's outcome leads to: whether it is to be sent to another registrar.
    pub(super) fn follow_redirection(
        &mut self,
        outcome: RegisterOutcome<'_>,
        env: &Env,
        now: Instant,
    ) -> bool {
        let transport = env.transport_of(self.account);
        let (follows, result) = match outcome {
            RegisterOutcome::Response(response) => match response.code() {
                300..=399 => (
                    self.redirection.handle(response, transport),
                    format!("{} {}", response.code(), response.reason()),
                ),
                // Refused for its password: others would refuse it as well, and lock the account.
                200..=299 | 401 | 403 | 407 | 423 | 439 => return false,
                code if self.is_redirected() => (
                    self.redirection.next(),
                    format!("{code} {}", response.reason()),
                ),
                code @ 500..=599 => (
                    self.redirection.stand_in(),
                    format!("{code} {}", response.reason()),
                ),
                _ => return false,
            },
            RegisterOutcome::Failed(code, reason) => {
                let follows = if self.is_redirected() {
                    self.redirection.next()
                } else {
                    self.redirection.stand_in()
                };
                (follows, format!("{code} {reason}"))
            }
        };
        let Some(next) = self.redirection.current().filter(|_| follows) else {
            return false;
        };
        self.servers.allow_redirected(Some(next.hop.host.clone()));
        let server = self.answered.take().map(|answered| answered.target);
        self.history.push(RegistrationAttempt {
            at: now,
            server,
            result: format!("{result}; {} is asked", next.uri),
            next: None,
        });
        true
    }

    /// It was granted at this server: whether that is one it was sent to.
    pub(super) fn learn_redirected(&mut self, server: Target) -> bool {
        let host = self
            .redirection
            .current()
            .map(|other| other.hop.host.clone());
        if let Some(host) = &host {
            self.servers.learn_redirected(server.address.ip(), host);
        }
        self.redirection.handle_granted();
        host.is_some()
    }

    /// The next REGISTER goes to the account's own server.
    pub(super) fn end_redirection(&mut self) {
        self.redirection.clear();
        self.servers.allow_redirected(None);
    }
}

/// The registrar a contact names, for an account that uses this transport.
fn redirected(contact: &SipUri, transport: Transport) -> Option<Redirected> {
    let mut hop = Hop::of(&contact.clone().into()).ok()?;
    match transport {
        Transport::Udp => {}
        Transport::Tcp => hop.transport = hop.transport.or(Some(Transport::Tcp)),
        Transport::Tls => hop = hop.secured().ok()?,
    }
    let uri = SipUri::new(contact.host().clone()).with_port(contact.port());
    let uri = if contact.is_secure() {
        uri.secured()
    } else {
        uri
    };
    Some(Redirected { uri, hop })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::tests::{request, response};

    fn moved(contacts: &[&str]) -> Response {
        let register = request(
            "REGISTER sip:example.com SIP/2.0\r\nMax-Forwards: 70\r\n\
             From: <sip:101@example.com>;tag=a\r\nTo: <sip:101@example.com>\r\nCall-ID: c\r\n\
             CSeq: 1 REGISTER\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK0\r\n\r\n",
        );
        let contacts: Vec<_> = contacts.iter().map(|value| ("Contact", *value)).collect();
        response(&register, 302, &contacts)
    }

    /// The registrars tried, one after another.
    fn tried(contacts: &[&str], transport: Transport) -> Vec<String> {
        let mut redirection = Redirection::default();
        let mut goes_on = redirection.handle(&moved(contacts), transport);
        let mut tried = Vec::new();
        while goes_on {
            tried.push(redirection.current().unwrap().uri.to_string());
            goes_on = redirection.next();
        }
        tried
    }

    #[test]
    fn contacts_are_tried_best_first_and_once() {
        let contacts = [
            "<sip:101@192.0.2.3;x=y?z=1>;q=0.2",
            "<sip:192.0.2.1>;q=0.9",
            "<sip:192.0.2.2:5070>;q=0.9",
            "<sip:192.0.2.1>;q=0.1",
            "<tel:112>",
            "<sip:192.0.2.4>;q=nan",
        ];
        assert_eq!(
            tried(&contacts, Transport::Udp),
            [
                "sip:192.0.2.4",
                "sip:192.0.2.1",
                "sip:192.0.2.2:5070",
                "sip:192.0.2.3"
            ]
        );
    }

    #[test]
    fn tls_is_not_left() {
        let contacts = [
            "<sip:a.example;transport=udp>",
            "<sip:b.example;transport=tcp>",
            "<sips:c.example>;q=0.5",
            "<sip:d.example>;q=0.4",
            "<sip:e.example;transport=tls>;q=0.3",
        ];
        let expected = ["sips:c.example", "sip:d.example", "sip:e.example"];
        assert_eq!(tried(&contacts, Transport::Tls), expected);
    }

    #[test]
    fn rounds_end() {
        let mut redirection = Redirection::default();
        let mut count = 0;
        let mut contact = format!("<sip:192.0.2.{count}>");
        while redirection.handle(&moved(&[&contact]), Transport::Udp) {
            count += 1;
            contact = format!("<sip:192.0.2.{count}>");
        }
        assert_eq!(count, usize::from(MAX_REDIRECTIONS));
        let mut redirection = Redirection::default();
        assert!(redirection.handle(&moved(&["<sip:192.0.2.1>"]), Transport::Udp));
        assert!(!redirection.handle(&moved(&["<sip:192.0.2.1>"]), Transport::Udp));
    }
}
