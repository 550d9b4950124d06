//! Calls: their table, and what each [`Call`] wants done.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::action::{Action, InviteIds, OutgoingRequest, Purpose, Reply, Turn};
use crate::api::{EndReason, Event, InviteError, InviteOptions, PeerCheck, TransferError};
use crate::call::{Call, ChangeRefused, Placement, Route};
use crate::client_request::ClientRequest;
use crate::dialog::Dialog;
use crate::env::{server_uri, with_transport};
use crate::flow::Transport;
use crate::ids::{CallHandle, RequestId};
use crate::locate::Hop;
use crate::message::{Method, NameAddr, Response, SipUri, Uri};
use crate::offer_answer::LocalMedia;
use crate::registration::RegisterOutcome;
use crate::transfer::{ReferOrder, ReferSubscription, Transfer};

use super::requests::Outcome;
use super::{UserAgent, Waiter};

/// Most calls at once: a desk phone has one handset, and a few callers wait.
pub(super) const MAX_CALLS: usize = 16;

/// How long a server may be silent to a call that can go another way.
const URGENT: Duration = Duration::from_millis(1500);

impl UserAgent {
    /// One turn of one call; nothing if it is over.
    pub(super) fn on_call(
        &mut self,
        handle: CallHandle,
        now: Instant,
        turn: impl FnOnce(&mut Call, &mut Turn<'_>),
    ) {
        let Some(call) = self.calls.get_mut(&handle) else {
            return;
        };
        let span = call.span().clone();
        let entered = span.enter();
        let mut todo = Turn::new(&mut self.env, now);
        turn(call, &mut todo);
        let actions = todo.into_actions();
        drop(entered);
        self.execute(handle, actions, now);
        self.after_turn(handle, now);
    }

    /// Does what a call wants done.
    fn execute(&mut self, handle: CallHandle, actions: Vec<Action>, now: Instant) {
        for action in actions {
            match action {
                Action::Send(id, request) => self.send_request(id, *request, now),
                Action::SendInvite {
                    call,
                    ids,
                    redirected,
                } => self.place_again(call, *ids, redirected, now),
                Action::Acknowledge { invite, dialog } => self.acknowledge(invite, &dialog, now),
                Action::Cancel(request) => self.cancel_request(request, now),
                Action::Respond(transaction, reply) => self.respond(transaction, &reply, now),
                Action::RepeatResponse(transaction) => self.repeat_response(transaction, now),
                Action::HangUp(call) => self.on_call(call, now, |c, turn| c.hang_up(None, turn)),
                Action::HurryTransfer(call) => {
                    self.on_call(call, now, |c, _| c.hurry_transfer(now));
                }
                Action::NotifyReferrer(code) => self.notify_referrer(handle, code, now),
                Action::Event(event) => self.events.push_back(*event),
            }
        }
    }

    /// Takes a call that is over out of the table; keeps the index in step with any other.
    fn after_turn(&mut self, handle: CallHandle, now: Instant) {
        let Some(call) = self.calls.get_mut(&handle) else {
            return;
        };
        let Some(over) = call.take_over() else {
            let deadline = call.deadline();
            return self.deadlines.set(Waiter::Call(handle), deadline);
        };
        self.calls.remove(&handle);
        self.urgent.remove(&handle);
        self.admission.handle_call_over(handle);
        self.deadlines.set(Waiter::Call(handle), None);
        let last = self
            .subscriptions
            .handle_call_over(handle, over.code, over.dialog.as_ref());
        if let Some(dialog) = &over.dialog {
            self.ended.push(dialog);
        }
        if let Some(code) = last {
            self.notify_referrer(handle, code, now);
        }
    }

    // ── placing ───────────────────────────────────────────────────────────────────────────────

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
            let nobody = server_uri("anonymous.invalid");
            let nobody = nobody.map_or(from, |uri| NameAddr::new(uri.with_user("anonymous")));
            (nobody, "Anonymous".to_owned())
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
        let silence = options.has_other_ways.then_some(URGENT);
        self.urgent.extend(silence.map(|limit| (handle, limit)));
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
    fn place_again(&mut self, handle: CallHandle, ids: InviteIds, redirected: bool, now: Instant) {
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
    fn route(
        &self,
        account: Option<usize>,
        target: &Uri,
        redirected: bool,
        secure: bool,
        sips: bool,
    ) -> Route {
        let found = account.and_then(|a| Some((self.registrations.get(a)?, self.env.account(a)?)));
        let (routes, hop) = match found {
            Some((registration, config)) => {
                let (routes, hop) = registration.route(config, true);
                // Without a proxy of its own the account's call goes where the contact says.
                if redirected && routes.is_empty() && config.registrar.is_none() {
                    (routes, Hop::of(target))
                } else {
                    (routes, hop)
                }
            }
            None => (Vec::new(), Hop::of(target)),
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
    fn request_uri(&self, account: Option<usize>, target: &str) -> Result<Uri, InviteError> {
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

    /// Asks the far end of an established call whether it still knows it.
    pub(super) fn send_peer_check(&mut self, handle: CallHandle, now: Instant) {
        let Some(call) = self.calls.get_mut(&handle) else {
            return;
        };
        let account = call.account();
        let Some(dialog) = call.dialog_mut() else {
            return;
        };
        let mut request = dialog.request(&Method::Options);
        let user_agent = &self.env.config.user_agent;
        request.headers.push("User-Agent", user_agent);
        let purpose = Purpose::CheckPeer(handle);
        let outgoing = OutgoingRequest::in_dialog(dialog, purpose, account, request);
        let id = self.env.request_id();
        self.send_request(id, outgoing, now);
    }

    /// Ends every call.
    pub(super) fn end_all(&mut self, now: Instant) {
        let calls: Vec<CallHandle> = self.calls.keys().copied().collect();
        for call in calls {
            self.hang_up(call, None, now);
        }
    }

    pub(super) fn hang_up(&mut self, call: CallHandle, reason: Option<EndReason>, now: Instant) {
        self.on_call(call, now, |call, turn| call.hang_up(reason, turn));
    }

    /// The phone has another address: calls use it from now on.
    pub(super) fn on_calls_moved(&mut self, now: Instant) {
        let calls: Vec<CallHandle> = self.calls.keys().copied().collect();
        for handle in calls {
            let Some(call) = self.calls.get(&handle) else {
                continue;
            };
            let (transport, sips) = call.contact_needs().unwrap_or((None, false));
            let contact = self.contact(call.account(), transport, sips);
            self.on_call(handle, now, |call, turn| {
                call.handle_local_address(contact, turn);
            });
        }
    }

    // ── outcomes ──────────────────────────────────────────────────────────────────────────────

    /// Brings a request's outcome to what it was for.
    pub(super) fn on_outcome(
        &mut self,
        purpose: Purpose,
        id: RequestId,
        outcome: Outcome<'_>,
        now: Instant,
    ) {
        let provisional = outcome.code() < 200;
        match (purpose, outcome) {
            (Purpose::Invite(call), Outcome::Response(response)) => {
                self.on_invite_response(call, id, response, now);
            }
            (Purpose::Invite(call), Outcome::Failed(code, reason)) => {
                self.on_call(call, now, |call, turn| {
                    call.handle_invite_failure(code, reason, turn);
                });
            }
            (_, _) if provisional => {}
            (Purpose::Register(account), Outcome::Response(response)) => {
                self.on_register_outcome(account, RegisterOutcome::Response(response), now);
            }
            (Purpose::Register(account), Outcome::Failed(code, reason)) => {
                self.on_register_outcome(account, RegisterOutcome::Failed(code, reason), now);
            }
            (Purpose::Reinvite(call), Outcome::Response(response)) if response.is_success() => {
                self.on_change_accepted(call, id, response, now);
            }
            (Purpose::Reinvite(call), _) => {
                let refusal = match outcome {
                    Outcome::Response(response) => ChangeRefused::of(response),
                    Outcome::Failed(code, _) => ChangeRefused::failed(code),
                };
                self.on_call(call, now, |call, turn| {
                    call.handle_change_refused(&refusal, turn);
                });
            }
            (Purpose::Refresh(call), Outcome::Response(response)) => {
                self.on_call(call, now, |call, turn| {
                    call.handle_refreshed(response, turn);
                });
            }
            (Purpose::InDialog(call) | Purpose::Refresh(call), _) => {
                self.on_call(call, now, |call, turn| {
                    call.handle_in_dialog_outcome(outcome.code(), turn);
                });
            }
            (Purpose::Refer(call), _) => self.on_call(call, now, |call, turn| {
                call.handle_refer_outcome(outcome.code(), turn);
            }),
            (Purpose::Notify(call), _) => {
                self.subscriptions
                    .handle_notify_outcome(call, outcome.code());
            }
            (Purpose::Keepalive(account), Outcome::Response(response)) => {
                self.on_keepalive_outcome(account, Some(response), now);
            }
            (Purpose::Keepalive(account), Outcome::Failed(..)) => {
                self.on_keepalive_outcome(account, None, now);
            }
            (Purpose::CheckPeer(call), _) => {
                // Section 12.2.1.2: these say that the dialog is gone.
                let result = match outcome.code() {
                    408 | 481 | 503 => PeerCheck::Gone,
                    _ => PeerCheck::Alive,
                };
                if self.calls.contains_key(&call) {
                    self.events.push_back(Event::PeerChecked { call, result });
                }
            }
            (Purpose::Probe(account), _) => self.on_probe_outcome(account, outcome.code(), now),
            (Purpose::Ack(_) | Purpose::Prack(_) | Purpose::None, _) => {}
        }
    }

    /// A request was sent again under a higher number.
    pub(super) fn on_renumbered(&mut self, purpose: Purpose, cseq: u32) {
        match purpose {
            Purpose::Register(account) => {
                if let Some(registration) = self.registrations.get_mut(account) {
                    registration.handle_renumbered(cseq);
                }
            }
            Purpose::Invite(call)
            | Purpose::Reinvite(call)
            | Purpose::Refresh(call)
            | Purpose::Prack(call)
            | Purpose::InDialog(call)
            | Purpose::CheckPeer(call)
            | Purpose::Refer(call) => {
                if let Some(call) = self.calls.get_mut(&call) {
                    call.handle_renumbered(cseq);
                }
            }
            Purpose::Notify(call) => {
                let referrer = self.subscriptions.referrer_of(call);
                match referrer.and_then(|referrer| self.calls.get_mut(&referrer)) {
                    Some(referrer) => referrer.handle_renumbered(cseq),
                    None => self.subscriptions.handle_renumbered(call, cseq),
                }
            }
            Purpose::Ack(_) | Purpose::Probe(_) | Purpose::Keepalive(_) | Purpose::None => {}
        }
    }

    fn on_invite_response(
        &mut self,
        handle: CallHandle,
        id: RequestId,
        response: &Response,
        now: Instant,
    ) {
        let dialog = self.dialog_of(id, response);
        if !response.is_success() {
            return self.on_call(handle, now, |call, turn| {
                call.handle_invite_response(response, dialog, turn);
            });
        }
        let Some(mut dialog) = dialog else { return };
        self.acknowledge(id, &dialog, now);
        if self.calls.get(&handle).is_some_and(Call::is_calling) {
            let trusted = dialog
                .far_host()
                .is_some_and(|host| self.is_trusted(handle, host));
            return self.on_call(handle, now, |call, turn| {
                call.handle_answer(response, dialog, trusted, turn);
            });
        }
        // Another branch answered as well, or the call is over (section 13.2.2.4).
        let account = self.requests.get(&id).and_then(ClientRequest::account);
        let mut turn = Turn::new(&mut self.env, now);
        turn.send_bye(&mut dialog, account, None);
        let actions = turn.into_actions();
        self.execute(handle, actions, now);
    }

    /// Whether this host is the server of the call's account: what it says of the far end counts.
    pub(super) fn is_trusted(&self, handle: CallHandle, host: IpAddr) -> bool {
        let account = self.calls.get(&handle).and_then(Call::account);
        let registration = account.and_then(|account| self.registrations.get(account));
        registration.is_some_and(|registration| registration.servers().has_address(host))
    }

    /// The dialog a response to a request of ours makes.
    fn dialog_of(&self, id: RequestId, response: &Response) -> Option<Dialog> {
        let request = self.requests.get(&id)?;
        Dialog::of_caller(request.request(), response, request.flow())
    }

    fn on_change_accepted(
        &mut self,
        handle: CallHandle,
        id: RequestId,
        response: &Response,
        now: Instant,
    ) {
        if self.calls.contains_key(&handle) {
            return self.on_call(handle, now, |call, turn| {
                call.handle_change_accepted(id, response, turn);
            });
        }
        // The call ended meanwhile: the ACK must follow all the same. Inside of a dialog the routes
        // are those of the request, whatever the response records.
        let routes = self
            .requests
            .get(&id)
            .and_then(|request| request.request().headers.routes().ok());
        if let Some(mut dialog) = self.dialog_of(id, response) {
            dialog.routes = routes.unwrap_or_default();
            self.acknowledge(id, &dialog, now);
        }
    }

    // ── transfers ─────────────────────────────────────────────────────────────────────────────

    /// Transfers the far end of `held` to the far end of `consulted`.
    pub(super) fn start_transfer(
        &mut self,
        held: CallHandle,
        consulted: CallHandle,
        now: Instant,
    ) -> Result<(), TransferError> {
        let (Some(from), Some(to)) = (self.calls.get(&held), self.calls.get(&consulted)) else {
            return Err(TransferError::NoCall);
        };
        if held == consulted {
            return Err(TransferError::NoCall);
        }
        let from_secure = from.transferable().ok_or(TransferError::NoCall)?;
        let target = to.transfer_target().ok_or(TransferError::NoCall)?;
        // The ids of the consulted call let whoever knows them take it over: they are not sent in
        // the clear. Nor is anybody led out of TLS.
        if target.secure && !from_secure {
            return Err(TransferError::Clear);
        }
        let name = to.peer().to_owned();
        if target.answered {
            let transfer = Transfer::consulted_call(&name, now);
            self.on_call(consulted, now, |call, turn| {
                call.start_transfer(transfer, None, turn);
            });
        } else {
            self.hang_up(consulted, None, now);
        }
        let transfer = Transfer::asking(target.answered.then_some(consulted), &name, now);
        self.on_call(held, now, |call, turn| {
            call.start_transfer(transfer, Some(&target.uri), turn);
        });
        Ok(())
    }

    /// Transfers the far end of `held` to a number or address.
    pub(super) fn start_blind_transfer(
        &mut self,
        held: CallHandle,
        target: &str,
        now: Instant,
    ) -> Result<(), TransferError> {
        let from = self.calls.get(&held).ok_or(TransferError::NoCall)?;
        let secure = from.transferable().ok_or(TransferError::NoCall)?;
        let uri = self
            .request_uri(from.account(), target)
            .map_err(|_| TransferError::BadTarget)?;
        let uri = match uri {
            // RFC 5630: a call over TLS is not led out of it.
            Uri::Sip(uri) if secure => Uri::Sip(uri.secured()),
            uri => uri,
        };
        let transfer = Transfer::asking(None, target, now);
        self.on_call(held, now, |call, turn| {
            call.start_transfer(transfer, Some(&uri), turn);
        });
        Ok(())
    }

    /// Sends a caller to another number or address; one that cannot be named is refused.
    pub(super) fn redirect_call(&mut self, handle: CallHandle, target: &str, now: Instant) {
        let Some(call) = self.calls.get(&handle) else {
            return;
        };
        let uri = self.request_uri(call.account(), target);
        self.on_call(handle, now, |call, turn| match uri {
            Ok(uri) => call.redirect(uri, turn),
            Err(_) => call.reject(480, turn),
        });
    }

    /// The owner wants the REFER in this call done.
    pub(super) fn follow_refer(
        &mut self,
        handle: CallHandle,
        media: LocalMedia,
        now: Instant,
    ) -> Result<CallHandle, InviteError> {
        let call = self.calls.get_mut(&handle).ok_or(InviteError::NotAsked)?;
        let refer = call.take_refer().ok_or(InviteError::NotAsked)?;
        let account = call.account();
        let target = refer.target().to_string();
        let placed = {
            let (order, options) = (refer.order().clone(), InviteOptions::default());
            self.place_call(account, &target, media, order, options, now)
        };
        let Ok(new) = placed else {
            self.respond(refer.transaction(), &Reply::not_allowed(603), now);
            return placed;
        };
        let dialog = self.calls.get(&handle).and_then(Call::dialog);
        if let Some(contact) = dialog.map(|dialog| dialog.contact.clone()) {
            let mut reply = Reply::new(202).with("Contact", NameAddr::new(contact));
            if refer.is_quiet() {
                reply = reply.with("Refer-Sub", "false");
            }
            self.respond(refer.transaction(), &reply, now);
        }
        if !refer.is_quiet() {
            let subscription = ReferSubscription::new(handle, account, refer.id());
            self.subscriptions.insert(new, subscription);
            self.notify_referrer(new, 100, now);
        }
        Ok(new)
    }

    /// The owner does not want it done.
    pub(super) fn decline_refer(&mut self, handle: CallHandle, now: Instant) {
        self.on_call(handle, now, |call, turn| {
            if let Some(refer) = call.take_refer() {
                turn.respond(refer.transaction(), Reply::not_allowed(603));
            }
        });
    }

    /// Tells whoever asked for a call how it goes on.
    fn notify_referrer(&mut self, call: CallHandle, code: u16, now: Instant) {
        let referrer = self.subscriptions.referrer_of(call);
        let dialog = referrer
            .and_then(|referrer| self.calls.get_mut(&referrer))
            .and_then(Call::dialog_mut);
        let user_agent = &self.env.config.user_agent;
        let notify = self.subscriptions.notify(call, code, dialog, user_agent);
        if let Some(notify) = notify {
            let id = self.env.request_id();
            self.send_request(id, notify, now);
        }
    }
}
