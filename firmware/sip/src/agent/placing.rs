//! Placing calls: what was dialled as a Request-URI, the way its INVITE takes, and our Contact.

use std::time::{Duration, Instant};

use crate::action::{InviteIds, Turn};
use crate::api::{InviteError, InviteOptions};
use crate::call::{Call, Placement, Route};
use crate::env::{server_uri, with_transport};
use crate::flow::Transport;
use crate::ids::CallHandle;
use crate::locate::Hop;
use crate::message::{NameAddr, SipUri, Uri};
use crate::offer_answer::LocalMedia;
use crate::transfer::ReferOrder;

use super::UserAgent;
use super::calls::MAX_CALLS;

/// How long a server may be silent to a call that can go another way.
const URGENT: Duration = Duration::from_millis(1500);

/// How long the servers of an emergency call may be silent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Urgency {
    /// Each but the last.
    pub(super) each: Duration,
    /// The last one, where the call can go another way.
    pub(super) last: Option<Duration>,
}

impl UserAgent {
    /// Places a call, possibly because of a REFER.
    pub(super) fn place_call(
        &mut self,
        account: Option<usize>,
        target: &str,
        media: LocalMedia,
        order: ReferOrder,
        options: InviteOptions,
        now: Instant,
    ) -> Result<CallHandle, InviteError> {
        if self.calls.len() >= MAX_CALLS || self.shutting_down {
            return Err(InviteError::TooManyCalls);
        }
        let target = self.request_uri(account, target)?;
        // Section 26.2.2: a call to `sips:` uses TLS on every hop, the first one included.
        let sips = target.as_sip().is_some_and(SipUri::is_secure);
        let route = self.route(account, &target, false, sips || order.is_secure(), sips);
        let config = account.and_then(|a| self.env.account(a));
        let name = match config {
            Some(account) => account.display_name.clone().unwrap_or_default(),
            None => self.env.config.display_name.clone(),
        };
        let from = match account {
            Some(account) => self
                .env
                .address_of_record(account)
                .ok_or(InviteError::NoSuchAccount)?,
            None => NameAddr::new(
                SipUri::at(self.env.addresses.primary()).with_user(&self.env.config.user),
            ),
        };
        let tokens = &mut self.env.tokens;
        let (from, name) = if options.anonymous {
            // RFC 3323 section 4.1.1.3.
            let anonymous = server_uri("anonymous.invalid");
            let anonymous = anonymous.map_or(from, |uri| NameAddr::new(uri.with_user("anonymous")));
            (anonymous, "Anonymous".to_owned())
        } else {
            (from, name)
        };
        let ids = InviteIds {
            from: from
                .with_display(&name)
                .with_param("tag", Some(&tokens.tag())),
            to: NameAddr::new(target.clone()),
            call_id: tokens.word(24),
            cseq: 1,
        };
        let handle = self.next_call();
        if options.is_emergency || options.has_other_ways {
            let urgency = Urgency {
                each: URGENT,
                last: options.has_other_ways.then_some(URGENT),
            };
            self.urgent.insert(handle, urgency);
        }
        let mut turn = Turn::new(&mut self.env, now);
        let placement = Placement {
            target,
            ids,
            route,
            media,
            order,
            options,
        };
        let call = Call::place(handle, account, placement, &mut turn)
            .map_err(|error| InviteError::NoEncryption(error.to_string()))?;
        let actions = turn.into_actions();
        self.calls.insert(handle, call);
        self.execute(handle, actions, now);
        Ok(handle)
    }

    pub(super) fn next_call(&mut self) -> CallHandle {
        let handle = CallHandle(self.next_call);
        self.next_call += 1;
        handle
    }

    /// The INVITE of a call again, after a redirection or a refused offer.
    pub(super) fn place_again(
        &mut self,
        handle: CallHandle,
        ids: InviteIds,
        redirected: bool,
        now: Instant,
    ) {
        let Some(call) = self.calls.get(&handle) else {
            return;
        };
        let Some((target, secure, sips)) = call.route_needs() else {
            return;
        };
        let route = self.route(call.account(), &target, redirected, secure, sips);
        self.on_call(handle, now, |call, turn| call.place_again(ids, route, turn));
    }

    /// The way an INVITE takes, and our Contact for it. `redirected`: to an address the far end
    /// named; `secure`: over TLS from the first hop; `sips`: our Contact must be one, too.
    pub(super) fn route(
        &self,
        account: Option<usize>,
        target: &Uri,
        redirected: bool,
        secure: bool,
        sips: bool,
    ) -> Route {
        let found = account.and_then(|a| Some((self.registrations.get(a)?, self.env.account(a)?)));
        let (routes, hop, identity) = match found {
            Some((registration, config)) => {
                let (routes, hop) = registration.route(config, true);
                // Without a proxy of its own the account's call goes where the contact says.
                if redirected && routes.is_empty() && config.registrar.is_none() {
                    (routes, Hop::of(target), None)
                } else {
                    let own = account.and_then(|account| self.env.address_of_record(account));
                    (routes, hop, own)
                }
            }
            None => (Vec::new(), Hop::of(target), None),
        };
        let hop = if secure {
            hop.and_then(Hop::secured)
        } else {
            hop
        };
        let transport = hop.as_ref().ok().and_then(|hop| hop.transport);
        let contact = self.contact(account, transport, sips);
        Route {
            routes,
            hop,
            contact,
            identity,
        }
    }

    /// Our contact for an account, or for direct calls, where the dialog begins over this transport
    /// (`None`: not known yet). `sips`: the request's own address is one, and so must ours be
    /// (section 8.1.1.8).
    pub(super) fn contact(
        &self,
        account: Option<usize>,
        transport: Option<Transport>,
        sips: bool,
    ) -> SipUri {
        let found = account.and_then(|a| Some((self.registrations.get(a)?, self.env.account(a)?)));
        let uri = if let Some((registration, config)) = found {
            registration.call_contact(match transport {
                Some(transport @ (Transport::Tcp | Transport::Tls)) => transport,
                Some(Transport::Udp) | None => config.transport,
            })
        } else {
            let transport = transport.unwrap_or(Transport::Udp);
            let here = SipUri::at(self.env.address_for(transport));
            with_transport(here.with_user(&self.env.config.user), transport)
        };
        if sips { uri.secured() } else { uri }
    }

    /// What was dialled, as a Request-URI.
    pub(super) fn request_uri(
        &self,
        account: Option<usize>,
        target: &str,
    ) -> Result<Uri, InviteError> {
        let target = target.trim();
        let bad = || InviteError::BadTarget(target.to_owned());
        let config = match account {
            Some(account) => Some(
                self.env
                    .account(account)
                    .ok_or(InviteError::NoSuchAccount)?,
            ),
            None if self.env.config.direct_calls => None,
            None => return Err(InviteError::DirectCallsOff),
        };
        let parsed = match Uri::parse(target) {
            Ok(uri) => uri,
            Err(_) if target.contains('@') => {
                Uri::parse(&format!("sip:{target}")).map_err(|_| bad())?
            }
            Err(_) => {
                // A number or a user of the account's domain.
                let fits = |c: char| c.is_alphanumeric() || "+*#-._".contains(c);
                let domain = config.and_then(|a| server_uri(&a.domain)).ok_or_else(bad)?;
                if target.is_empty() || !target.chars().all(fits) {
                    return Err(bad());
                }
                domain.with_user(target).into()
            }
        };
        match (parsed, config) {
            (Uri::Sip(uri), _) => Ok(uri.for_request().into()),
            (Uri::Tel(tel), Some(account)) => {
                let domain = server_uri(&account.domain).ok_or_else(bad)?;
                Ok(domain
                    .with_user(&tel.digits())
                    .with_param("user", Some("phone"))
                    .into())
            }
            (Uri::Tel(_), None) | (Uri::Other(_), _) => Err(bad()),
        }
    }

    /// The account whose domain a SIP address is in.
    pub(super) fn account_in_domain(&self, target: &str) -> Option<usize> {
        let uri = Uri::parse(target.trim()).ok()?;
        let uri = uri.as_sip()?;
        let default = Transport::Udp.default_port();
        let port = |uri: &SipUri| uri.port().unwrap_or(default);
        let is_in = |domain: &str| {
            server_uri(domain).is_some_and(|own| {
                own.host().matches(uri.host()) && (uri.port().is_none() || port(&own) == port(uri))
            })
        };
        let mut accounts = self.env.config.accounts.iter();
        accounts.position(|account| is_in(&account.domain))
    }
}
