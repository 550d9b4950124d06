//! What servers say to this phone without having been asked: NOTIFY without a subscription, of the
//! packages that allow it (RFC 3842 section 3.3.2, and `check-sync` as PBXs send it).

use std::time::Instant;

use crate::action::Reply;
use crate::api::{Event, MessageWaiting};
use crate::capabilities::ALLOW_EVENTS;
use crate::digest::Credentials;
use crate::digest::verifier::{Expected, Verification, Verifier};
use crate::env::Env;
use crate::event_body::MessageSummary;
use crate::events::Package;
use crate::flow::Flow;
use crate::ids::AccountId;
use crate::message::{Headers, Request};
use crate::registration::Registration;
use crate::registrations::Registrations;
use crate::session_body::body_of;

#[cfg(test)]
mod tests;

/// The answer, and what the owner learns.
type Handled = (Reply, Option<Event>);

/// Who may say something unasked.
pub(crate) struct Unsolicited {
    /// Who proves that the configuration may be looked up again at their wish.
    check_sync: Verifier,
}

impl Unsolicited {
    pub(crate) fn new(check_sync: Verifier) -> Self {
        Self { check_sync }
    }

    /// A NOTIFY no one subscribed to, for an account or none.
    pub(crate) fn handle_notify(
        &mut self,
        account: Option<usize>,
        flow: Flow,
        request: &Request,
        (registrations, env): (&Registrations, &Env),
        now: Instant,
    ) -> Handled {
        let Some(package) = Package::of(&request.headers) else {
            let refusal = Reply::refusal(489).with("Allow-Events", ALLOW_EVENTS);
            return (refusal, None);
        };
        let found = account.and_then(|account| Some((account, registrations.get(account)?)));
        match (package, found) {
            (Package::MessageSummary, Some((account, registration))) => {
                handle_message_summary(account, registration, flow, request, env)
            }
            (Package::CheckSync, Some((account, registration))) => {
                self.handle_check_sync(account, registration, flow, request, env, now)
            }
            (Package::KeepAlive, _) => (Reply::new(200), None),
            (Package::CheckSync, None) => (Reply::refusal(403), None),
            (
                Package::MessageSummary
                | Package::Dialog
                | Package::Reg
                | Package::Refer
                | Package::Talk
                | Package::Hold,
                _,
            ) => (Reply::not_allowed(481), None),
        }
    }

    /// The configuration is to be looked up again: where this comes the way the account is
    /// registered, or its sender proves to know the account's password.
    fn handle_check_sync(
        &mut self,
        account: usize,
        registration: &Registration,
        flow: Flow,
        request: &Request,
        env: &Env,
        now: Instant,
    ) -> Handled {
        let by_flow = match flow {
            // The source of a datagram proves little. Only the registrar, and those who can read
            // what it sends, know the user part of our contact.
            Flow::Udp { remote } => {
                registration.servers().has_address(remote.ip())
                    && request.uri.user().as_deref() == Some(registration.contact_user())
            }
            Flow::Tcp { connection, .. } | Flow::Tls { connection, .. } => {
                registration.connection() == Some(connection)
            }
        };
        if !by_flow {
            match self.verify(account, request, env, now) {
                Verification::Proven => {}
                Verification::Refused => return (Reply::refusal(403), None),
                Verification::Challenge(values) => {
                    let challenge = |reply: Reply, value| reply.with("WWW-Authenticate", value);
                    let refusal = values.into_iter().fold(Reply::refusal(401), challenge);
                    return (refusal, None);
                }
            }
        }
        let event = Event::CheckSync {
            account: AccountId(account),
            reboot: wants_reboot(&request.headers),
        };
        (Reply::new(200), Some(event))
    }

    fn verify(
        &mut self,
        account: usize,
        request: &Request,
        env: &Env,
        now: Instant,
    ) -> Verification {
        let own = env.address_of_record(account).map(|own| own.uri);
        let Some(config) = env.account(account) else {
            return Verification::Refused;
        };
        let expected = Expected {
            who: Credentials {
                user: &config.auth_user,
                password: &config.password,
            },
            realm: &config.domain,
            weakest: config.weakest_hash,
            own: own.as_ref(),
        };
        self.check_sync.verify(request, expected, now)
    }
}

/// What the account's server says of its mailbox.
fn handle_message_summary(
    account: usize,
    registration: &Registration,
    flow: Flow,
    request: &Request,
    env: &Env,
) -> Handled {
    let config = env.account(account);
    let wanted = config.is_some_and(|config| config.events.messages != MessageWaiting::Off);
    if !wanted || !registration.servers().has_address(flow.remote().ip()) {
        return (Reply::not_allowed(481), None);
    }
    if request.body.is_empty() {
        return (Reply::new(200), None);
    }
    let kind = Package::MessageSummary.content_type();
    let Some(body) = body_of(kind, request) else {
        return (Reply::refusal(415).with("Accept", kind), None);
    };
    let Some(summary) = MessageSummary::parse(&body) else {
        let refusal = Reply::refusal(400).with_reason("Malformed Body");
        return (refusal, None);
    };
    let account = AccountId(account);
    let event = Event::MessagesWaiting { account, summary };
    (Reply::new(200), Some(event))
}

/// `Event: check-sync;reboot=true`, as the PBXs write it.
fn wants_reboot(headers: &Headers) -> bool {
    let value = headers.get("Event").unwrap_or_default();
    value
        .split(';')
        .skip(1)
        .filter_map(|part| part.split_once('='))
        .any(|(name, value)| {
            name.trim().eq_ignore_ascii_case("reboot") && value.trim().eq_ignore_ascii_case("true")
        })
}
