//! The way a request of ours takes: what was dialled as a Request-URI, the account's route and our
//! Contact.

use crate::api::InviteError;
use crate::env::{server_uri, with_transport};
use crate::flow::Transport;
use crate::initial_route::InitialRoute;
use crate::locate::Hop;
use crate::message::{NameAddr, SipUri, Uri};

use super::Shared;

impl Shared {
    /// The way an INVITE takes, and our Contact for it. `redirected`: to an address the far end
    /// named; `secure`: over TLS from the first hop; `sips`: our Contact must be one, too.
    pub(crate) fn route(
        &self,
        account: Option<usize>,
        target: &Uri,
        redirected: bool,
        secure: bool,
        sips: bool,
    ) -> InitialRoute {
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
        InitialRoute {
            routes,
            hop,
            contact,
            identity,
        }
    }

    /// Who sends a request outside of any dialog: the account's address of record, or without one
    /// the user of direct calls here.
    pub(crate) fn sender(&self, account: Option<usize>) -> NameAddr {
        account
            .and_then(|account| self.env.address_of_record(account))
            .unwrap_or_else(|| self.env.direct_address())
    }

    /// Our contact for an account, or for direct calls, where the dialog begins over this transport
    /// (`None`: not known yet). `sips`: the request's own address is one, and so must ours be
    /// (section 8.1.1.8).
    pub(crate) fn contact(
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
    pub(crate) fn request_uri(
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
    pub(crate) fn account_in_domain(&self, target: &str) -> Option<usize> {
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
