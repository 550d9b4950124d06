//! Placing calls.

use std::time::{Duration, Instant};

use crate::action::{Action, InviteIds, Turn};
use crate::api::{InviteError, InviteOptions};
use crate::call::{Call, Placement};
use crate::env::server_uri;
use crate::ids::CallHandle;
use crate::initial_route::InitialRoute;
use crate::message::{NameAddr, SipUri};
use crate::offer_answer::LocalMedia;
use crate::requests::Urgency;
use crate::shared::Shared;
use crate::transfer::ReferOrder;

use super::{Calls, MAX_CALLS};

/// How long a server may be silent to a call that can go another way.
const URGENT: Duration = Duration::from_millis(1500);

/// A call about to be placed.
pub(crate) struct Dialled<'a> {
    pub(crate) account: Option<usize>,
    /// A number or address.
    pub(crate) target: &'a str,
    pub(crate) media: LocalMedia,
    /// What a REFER, or a call to be picked up, asks of the INVITE.
    pub(crate) order: ReferOrder,
    pub(crate) options: InviteOptions,
}

impl Calls {
    /// Places a call, possibly because of a REFER.
    pub(crate) fn place(
        &mut self,
        dialled: Dialled<'_>,
        shared: &mut Shared,
        now: Instant,
    ) -> Result<(CallHandle, Vec<Action>), InviteError> {
        if self.by_handle.len() >= MAX_CALLS {
            return Err(InviteError::TooManyCalls);
        }
        let Dialled {
            account,
            target,
            media,
            order,
            options,
        } = dialled;
        let target = shared.request_uri(account, target)?;
        // Section 26.2.2: a call to `sips:` uses TLS on every hop, the first one included.
        let sips = target.as_sip().is_some_and(SipUri::is_secure);
        let route = shared.route(account, &target, false, sips || order.is_secure(), sips);
        let env = &mut shared.env;
        let (from, name) = match account {
            Some(account) => {
                let own = env.address_of_record(account);
                let config = env.account(account);
                let name = config.and_then(|config| config.display_name.clone());
                let own = own.ok_or(InviteError::NoSuchAccount)?;
                (own, name.unwrap_or_default())
            }
            None => (env.direct_address(), env.config.display_name.clone()),
        };
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
                .with_param("tag", Some(&env.tokens.tag())),
            to: NameAddr::new(target.clone()),
            call_id: env.tokens.word(24),
            cseq: 1,
        };
        let handle = self.next_handle();
        if options.is_emergency || options.has_other_ways {
            let urgency = Urgency {
                each: URGENT,
                last: options.has_other_ways.then_some(URGENT),
            };
            self.urgent.insert(handle, urgency);
        }
        let mut turn = Turn::new(env, now);
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
        self.by_handle.insert(handle, call);
        Ok((handle, actions))
    }

    pub(super) fn next_handle(&mut self) -> CallHandle {
        let handle = CallHandle(self.next);
        self.next += 1;
        handle
    }

    /// The way the INVITE of a call takes again, after a redirection or a refused offer.
    pub(crate) fn route_again(
        &self,
        handle: CallHandle,
        redirected: bool,
        shared: &Shared,
    ) -> Option<InitialRoute> {
        let call = self.get(handle)?;
        let (target, secure, sips) = call.route_needs()?;
        Some(shared.route(call.account(), &target, redirected, secure, sips))
    }
}
