//! What the objects of the agent want done: they decide, the agent does it.
//!
//! ```text
//! Call, Transfer … ── handle_*(&mut Turn) ─▶ Action … ─▶ UserAgent ─▶ transactions, transport, Event
//! ```

use std::time::Instant;

use types::Key;

use crate::api::Event;
use crate::capabilities::{ALLOW, ALLOW_EVENTS, add_capabilities};
use crate::dialog::Dialog;
use crate::env::Env;
use crate::flow::Flow;
use crate::ids::{CallHandle, MessageId, PublicationId, RequestId, ServedId, TransactionId};
use crate::locate::{Hop, HopError};
use crate::message::{Headers, Method, NameAddr, Request, Response, SipUri};

/// What a request is for: who learns its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// REGISTER of an account.
    Register(usize),
    /// The INVITE of a call.
    Invite(CallHandle),
    /// A later INVITE in a call.
    Reinvite(CallHandle),
    /// The UPDATE that refreshes the session of a call.
    Refresh(CallHandle),
    /// The PRACK of an early dialog of a call.
    Prack(CallHandle),
    /// Any other request in a call.
    InDialog(CallHandle),
    /// The INFO that carries a digit of a call.
    Digit(CallHandle, Key),
    /// The REFER that transfers a call.
    Refer(CallHandle),
    /// The NOTIFY about the call placed because of a REFER.
    Notify(CallHandle),
    /// The ACK of a 2xx; kept with its INVITE for repetition.
    Ack(RequestId),
    /// OPTIONS in an established call, to see whether the far end still knows it.
    CheckPeer(CallHandle),
    /// OPTIONS to a server of an account, to see whether it answers again.
    Probe(usize),
    /// OPTIONS to the server an account is registered at, to see whether it answers and where it
    /// sees the phone.
    Keepalive(usize),
    /// A text message outside of calls.
    Message(MessageId),
    /// What this phone publishes.
    Publish(PublicationId),
    /// SUBSCRIBE of a subscription: which, and in the dialog of which notifier (0: in none yet).
    Subscribe(usize, u32),
    /// The NOTIFY to a watcher.
    Served(ServedId),
    /// The outcome does not matter: the BYE of a call that is already over for its owner.
    None,
}

impl Purpose {
    /// Whether it begins something: without a network it fails at once. What goes on with something
    /// or ends it is sent all the same: the network may be back before it gives up.
    pub(crate) fn begins(self) -> bool {
        matches!(
            self,
            Self::Register(_)
                | Self::Invite(_)
                | Self::Probe(_)
                | Self::Keepalive(_)
                | Self::Message(_)
                | Self::Publish(_)
                | Self::Subscribe(_, 0)
        )
    }

    /// Whether it may go to another server of its account than the first.
    pub(crate) fn may_go_elsewhere(self) -> bool {
        matches!(
            self,
            Self::Register(_)
                | Self::Invite(_)
                | Self::Message(_)
                | Self::Publish(_)
                | Self::Subscribe(_, 0)
        )
    }

    /// Whether it asks if a server, or a far end, is there: it is not waited for long.
    pub(crate) fn asks_presence(self) -> bool {
        matches!(
            self,
            Self::Probe(_) | Self::Keepalive(_) | Self::CheckPeer(_)
        )
    }

    /// Whether it asks if a server is there.
    pub(crate) fn asks_server(self) -> bool {
        matches!(self, Self::Probe(_) | Self::Keepalive(_))
    }
}

/// A request about to leave.
#[derive(Debug)]
pub(crate) struct OutgoingRequest {
    pub(crate) purpose: Purpose,
    /// Whose credentials it may use.
    pub(crate) account: Option<usize>,
    /// Without Via.
    pub(crate) request: Request,
    pub(crate) hop: Result<Hop, HopError>,
    /// A connection to be used if it leads to the same host.
    pub(crate) flow: Option<Flow>,
}

impl OutgoingRequest {
    /// A question to a server of an account.
    pub(crate) fn to_server(account: usize, purpose: Purpose, request: Request, hop: Hop) -> Self {
        Self {
            purpose,
            account: Some(account),
            request,
            hop: Ok(hop),
            flow: None,
        }
    }

    /// A request that takes its dialog's route.
    pub(crate) fn in_dialog(
        dialog: &Dialog,
        purpose: Purpose,
        account: Option<usize>,
        request: Request,
    ) -> Self {
        Self {
            purpose,
            account,
            request,
            hop: dialog.hop(),
            flow: dialog.flow,
        }
    }
}

/// A response, before the transaction adds what it knows (Via, tags, Call-ID, `CSeq`).
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) reason: Option<&'static str>,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    /// It makes or confirms the dialog: Record-Route is repeated (section 12.1.1).
    pub(crate) record_route: bool,
    /// It counts as a refusal.
    pub(crate) refusal: bool,
}

impl Reply {
    /// A bare status.
    pub(crate) fn new(code: u16) -> Self {
        Self {
            code,
            reason: None,
            headers: Headers::default(),
            body: Vec::new(),
            record_route: false,
            refusal: false,
        }
    }

    /// A status that is counted as a refusal.
    pub(crate) fn refusal(code: u16) -> Self {
        Self {
            refusal: true,
            ..Self::new(code)
        }
    }

    /// A refusal that says what this phone would allow.
    pub(crate) fn not_allowed(code: u16) -> Self {
        Self::refusal(code).with("Allow", ALLOW)
    }

    /// The answer to OPTIONS outside of any dialog (section 11.2).
    pub(crate) fn to_options() -> Self {
        Self::new(200)
            .with("Accept", "application/sdp, application/dtmf-relay")
            .with("Accept-Encoding", "identity")
            .with("Accept-Language", "en")
            .with("Allow-Events", ALLOW_EVENTS)
            .with_capabilities()
    }

    /// With this header.
    pub(crate) fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.headers.push(name, value);
        self
    }

    /// With the reason phrase.
    pub(crate) fn with_reason(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// With what this phone can do.
    pub(crate) fn with_capabilities(mut self) -> Self {
        add_capabilities(&mut self.headers);
        self
    }

    /// With our Contact and what this phone can do: a response to an INVITE.
    pub(crate) fn in_dialog(mut self, contact: &SipUri) -> Self {
        self.record_route = true;
        self.with("Contact", NameAddr::new(contact.clone()))
            .with_capabilities()
    }

    /// With a session description.
    pub(crate) fn with_session(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self.with("Content-Type", "application/sdp")
    }

    /// The whole response to a request.
    pub(crate) fn to(&self, request: &Request, to_tag: &str, server: &str) -> Response {
        let tag = (self.code > 100).then_some(to_tag);
        let mut response = Response::reply(request, self.code, tag);
        if let Some(reason) = self.reason {
            response = response.with_reason(reason);
        }
        if !server.is_empty() {
            response.headers.push("Server", server);
        }
        if self.record_route {
            response.headers.copy(&request.headers, "Record-Route");
        }
        for (name, value) in self.headers.iter() {
            response.headers.push(name, value);
        }
        response.body = self.body.clone().into();
        response
    }
}

/// From, To, Call-ID and number of an INVITE: those of the next one after a refusal or a
/// redirection (section 8.1.3.4).
#[derive(Debug, Clone)]
pub(crate) struct InviteIds {
    pub(crate) from: NameAddr,
    pub(crate) to: NameAddr,
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
}

/// What should happen.
#[derive(Debug)]
pub(crate) enum Action {
    /// Send a request under this number.
    Send(RequestId, Box<OutgoingRequest>),
    /// Place the INVITE of a call again; `redirected`: to an address the far end named.
    SendInvite {
        call: CallHandle,
        ids: Box<InviteIds>,
        redirected: bool,
    },
    /// Acknowledge the 2xx of an INVITE in the dialog it made.
    Acknowledge {
        invite: RequestId,
        dialog: Box<Dialog>,
    },
    /// No outcome of this INVITE is wanted any more: CANCEL.
    Cancel(RequestId),
    /// Answer a request of the far end.
    Respond(TransactionId, Box<Reply>),
    /// The 2xx of this transaction again: no ACK came (section 13.3.1.4).
    RepeatResponse(TransactionId),
    /// Hang up another call: the one a transfer was for.
    HangUp(CallHandle),
    /// Take another call back: the one a transfer was for, which failed.
    TakeBack(CallHandle),
    /// A call of a transfer is over; this is the other one.
    TransferOver(CallHandle),
    /// A call placed here was answered: inform whoever asked for it.
    NotifyReferrer(u16),
    /// Inform the owner.
    Event(Box<Event>),
}

/// One turn of one object: the time, what all objects share, and what it wants done.
pub(crate) struct Turn<'a> {
    pub(crate) env: &'a mut Env,
    pub(crate) now: Instant,
    actions: Vec<Action>,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(env: &'a mut Env, now: Instant) -> Self {
        Self {
            env,
            now,
            actions: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, action: Action) {
        self.actions.push(action);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.actions.push(Action::Event(Box::new(event)));
    }

    pub(crate) fn respond(&mut self, transaction: TransactionId, reply: Reply) {
        self.actions
            .push(Action::Respond(transaction, Box::new(reply)));
    }

    /// Sends a request; its number.
    pub(crate) fn send(&mut self, request: OutgoingRequest) -> RequestId {
        let id = self.env.request_id();
        self.actions.push(Action::Send(id, Box::new(request)));
        id
    }

    /// Sends the BYE of a dialog; its outcome does not matter.
    pub(crate) fn send_bye(
        &mut self,
        dialog: &mut Dialog,
        account: Option<usize>,
        reason: Option<&str>,
    ) {
        let mut request = dialog.request(&Method::Bye);
        if let Some(reason) = reason {
            request.headers.push("Reason", reason);
        }
        request
            .headers
            .push("User-Agent", &self.env.config.user_agent);
        self.send(OutgoingRequest::in_dialog(
            dialog,
            Purpose::None,
            account,
            request,
        ));
    }

    /// The requests to send, where nothing else is wanted.
    pub(crate) fn into_requests(self) -> Vec<(RequestId, OutgoingRequest)> {
        let requests = self.actions.into_iter().filter_map(|action| match action {
            Action::Send(id, request) => Some((id, *request)),
            _other => None,
        });
        requests.collect()
    }

    /// What the object wants done.
    pub(crate) fn into_actions(self) -> Vec<Action> {
        self.actions
    }
}
