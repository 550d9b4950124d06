//! Calls that come in: whether one may ring, and what the owner learns of it.

use std::time::Instant;

use crate::action::{Reply, Turn};
use crate::api::Event;
use crate::call::{Call, check_interval, refused_offer};
use crate::dialog::Dialog;
use crate::flow::Flow;
use crate::identity::{first_called, party, shown};
use crate::ids::{AccountId, CallHandle, TransactionId};
use crate::message::{Headers, Request};
use crate::offer_answer::{LocalMedia, OfferAnswer};
use crate::request_check::{answer_after_ms, requires_auto_answer, wants_sips};
use crate::sdp::Description;
use crate::session_body::session_body;
use crate::shared::{Shared, Waiter};
use crate::transfer::Replaces;

use super::{Calls, MAX_CALLS};

/// An INVITE that may ring, in a transaction of its own.
pub(crate) struct NewCall {
    pub(crate) handle: CallHandle,
    pub(crate) account: Option<usize>,
    pub(crate) transaction: TransactionId,
    /// Our tag.
    pub(crate) tag: String,
    pub(crate) reply_to: Flow,
    /// The call it takes the place of.
    pub(crate) replaces: Option<CallHandle>,
}

impl Calls {
    /// The number of a call that comes in.
    pub(crate) fn next_incoming(&mut self) -> CallHandle {
        self.next_handle()
    }

    /// Whether an INVITE may ring: the call it replaces, or the refusal.
    pub(crate) fn check_invite(
        &self,
        account: Option<usize>,
        request: &Request,
        flow: Flow,
        shared: &Shared,
    ) -> Result<Option<CallHandle>, Reply> {
        if self.by_handle.len() >= MAX_CALLS {
            return Err(Reply::refusal(486));
        }
        let replaces = self
            .replaced(account, request, flow.is_secure())
            .map_err(Reply::refusal)?;
        if !may_auto_answer(account, shared) && requires_auto_answer(request) {
            return Err(Reply::refusal(403).with_reason("Automatic Answer Forbidden"));
        }
        check_interval(shared.env.config.session_intervals, request)?;
        if let Some(offer) = session_body(request) {
            check_offer(account, &offer, flow, shared)?;
        }
        Ok(replaces)
    }

    /// The call an INVITE takes the place of; none: it is an ordinary one. The status of the
    /// refusal otherwise.
    fn replaced(
        &self,
        account: Option<usize>,
        request: &Request,
        secure: bool,
    ) -> Result<Option<CallHandle>, u16> {
        let Some(replaces) = Replaces::of(&request.headers)? else {
            return Ok(None);
        };
        let named = |call: &Call| call.is_named_by(&replaces.dialog);
        match self.by_handle.iter().find(|(_, call)| named(call)) {
            Some((handle, call)) => {
                call.check_replaced(&replaces.dialog, account, secure, replaces.early_only)?;
                Ok(Some(*handle))
            }
            None if self.ended.contains(&replaces.dialog) => Err(603),
            None => Err(481),
        }
    }

    /// The dialog an INVITE makes, or the refusal.
    pub(crate) fn dialog(
        new: &NewCall,
        request: &Request,
        shared: &Shared,
    ) -> Result<Dialog, Reply> {
        let transport = Some(new.reply_to.transport());
        let contact = shared.contact(new.account, transport, wants_sips(request));
        Dialog::of_callee(request, &new.tag, contact, Some(new.reply_to))
            .ok_or_else(|| Reply::refusal(400).with_reason("Missing Contact header"))
    }

    /// A call comes in: it is in the table, and the owner is to learn of it.
    pub(crate) fn handle_invite(
        &mut self,
        new: &NewCall,
        dialog: Dialog,
        mut request: Request,
        shared: &mut Shared,
        now: Instant,
    ) -> Event {
        let NewCall {
            handle,
            account,
            transaction,
            ..
        } = *new;
        // It rings no longer than a call from here would, whatever the caller asks for.
        let limit = shared.env.config.ring_limit.as_secs();
        let asked = request.headers.expires().map_or(limit, u64::from);
        request.headers.set("Expires", asked.min(limit));
        let mut turn = Turn::new(&mut shared.env, now);
        let mut call = Call::incoming(handle, account, transaction, dialog, &request, &mut turn);
        let headers = &request.headers;
        let trusted = shared.is_trusted(account, new.reply_to.remote().ip());
        if let Ok(from) = headers.from() {
            call.set_peer(party(headers, trusted, &from));
        }
        let answer_after_ms =
            answer_after_ms(&request).filter(|_| may_auto_answer(account, shared));
        let event = Event::Incoming {
            call: handle,
            account: account.map(AccountId),
            from: call.peer().to_owned(),
            address: headers
                .from()
                .map(|from| from.uri.to_string())
                .unwrap_or_default(),
            anonymous: is_anonymous(headers),
            to: headers.to().map(|to| shown(&to)).unwrap_or_default(),
            first_called: first_called(headers).filter(|_| trusted),
            alert_info: headers.get("Alert-Info").map(str::to_owned),
            answer_after_ms,
            offers_ice: offers_ice(&request),
            call_id: headers.call_id().unwrap_or_default().to_owned(),
            replaces: new.replaces,
            returned: false,
        };
        shared.deadlines.set(Waiter::Call(handle), call.deadline());
        self.by_handle.insert(handle, call);
        event
    }
}

/// Whether a caller's wish to be answered automatically counts: the owner allows it at all, and the
/// call came by an account, whose server answers for the caller. A direct caller may be anybody who
/// wants to listen to the room.
fn may_auto_answer(account: Option<usize>, shared: &Shared) -> bool {
    shared.env.config.auto_answer && account.is_some()
}

/// An offer this phone, as it is configured, could not take is refused before anything rings.
fn check_offer(
    account: Option<usize>,
    offer: &[u8],
    flow: Flow,
    shared: &Shared,
) -> Result<(), Reply> {
    let (config, local) = (&shared.env.config, shared.env.addresses.primary());
    let account = account.and_then(|account| shared.env.account(account));
    let all = LocalMedia {
        rtp: local,
        rtcp: local,
        codecs: config.codecs.clone(),
        ptime_ms: 20,
        dtmf: true,
        opus: types::OpusFormat::default(),
        comfort_noise: false,
        rtcp_xr: false,
        media_security: account
            .map_or(&config.media_security, |account| &account.media_security)
            .clone(),
        ice: None,
        owner_moves: false,
    };
    let mut session = OfferAnswer::new(all, local.ip(), 0);
    session.set_addresses(&shared.env.addresses);
    session.set_secure(flow.is_secure());
    session.set_far_host(Some(flow.remote().ip()));
    session
        .evaluate(offer)
        .map_err(|error| refused_offer(&error, local))
}

/// Whether the caller withholds the identity (RFC 3323 section 4.1.1.3).
fn is_anonymous(headers: &Headers) -> bool {
    let by_address = headers.from().ok().and_then(|from| {
        let uri = from.uri.as_sip()?;
        Some(uri.has_anonymous_host() || uri.user().as_deref() == Some("anonymous"))
    });
    let privacy = headers.values("Privacy").any(|value| {
        let mut kinds = value.split([';', ',']).map(str::trim);
        kinds.any(|kind| kind.eq_ignore_ascii_case("id") || kind.eq_ignore_ascii_case("user"))
    });
    by_address.unwrap_or(false) || privacy
}

/// Whether there is an offer with ICE.
fn offers_ice(request: &Request) -> bool {
    session_body(request).is_some_and(|offer| {
        Description::parse(&offer)
            .is_ok_and(|description| description.lines.iter().any(|line| line.ice.is_some()))
    })
}
