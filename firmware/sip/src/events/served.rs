//! What this phone reports to those who watch it (RFC 6665 section 4.2, RFC 4235).
//!
//! ```text
//! SUBSCRIBE from a watcher on the list ─▶ 200, NOTIFY now, one whenever a call changes, at most one a second
//!      └ refresh, Expires: 0 ─▶ 200, NOTIFY     runs out ─▶ NOTIFY terminated;reason=timeout
//! NOTIFY refused, or not answered ─▶ forgotten
//! ```

use std::time::{Duration, Instant};

use super::Package;
use crate::action::{OutgoingRequest, Purpose, Reply};
use crate::capabilities::ALLOW_EVENTS;
use crate::dialog::Dialog;
use crate::env::Env;
use crate::event_body::{CallSummary, document};
use crate::ids::ServedId;
use crate::message::{Headers, Method, NameAddr, Request};

/// Most watchers at once.
const MAX_WATCHERS: usize = 16;
/// Retry-After, in seconds, where there are that many.
const FULL_RETRY_S: u32 = 300;
/// Shortest, longest and default lifetime, in seconds.
const MIN_EXPIRES_S: u32 = 60;
const MAX_EXPIRES_S: u32 = 3600;
/// A watcher learns of no more than one change in this time (RFC 4235 section 3.10).
const PACE: Duration = Duration::from_secs(1);

/// What a SUBSCRIBE asks for, or the refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SubscribeRequest {
    /// Lifetime in seconds; 0: one NOTIFY, and no more.
    expires_s: u32,
}

impl SubscribeRequest {
    /// Reads a SUBSCRIBE.
    pub(crate) fn read(headers: &Headers) -> Result<Self, Reply> {
        if Package::of(headers) != Some(Package::Dialog) {
            return Err(Reply::refusal(489).with("Allow-Events", ALLOW_EVENTS));
        }
        let kind = Package::Dialog.content_type();
        let mut accepted = headers.tokens("Accept").peekable();
        let takes = |value: &str| {
            let name = value.split(';').next().unwrap_or_default().trim();
            name.eq_ignore_ascii_case(kind) || matches!(name, "application/*" | "*/*")
        };
        if accepted.peek().is_some() && !accepted.any(takes) {
            return Err(Reply::refusal(406).with("Accept", kind));
        }
        let expires_s = headers.expires().unwrap_or(MAX_EXPIRES_S);
        if (1..MIN_EXPIRES_S).contains(&expires_s) {
            return Err(Reply::refusal(423).with("Min-Expires", MIN_EXPIRES_S));
        }
        Ok(Self {
            expires_s: expires_s.min(MAX_EXPIRES_S),
        })
    }

    /// The 200.
    pub(crate) fn reply(self, contact: &NameAddr) -> Reply {
        let mut reply = Reply::new(200)
            .with("Expires", self.expires_s)
            .with("Contact", contact);
        reply.record_route = true;
        reply
    }
}

/// Whom one watcher is, and what it learnt.
#[derive(Debug)]
struct Served {
    id: ServedId,
    dialog: Dialog,
    account: Option<usize>,
    /// Its Event header.
    event: String,
    /// Whom it asked about.
    entity: String,
    until: Instant,
    version: u32,
    /// It does not know the present state.
    behind: bool,
    /// Not before.
    next_at: Instant,
    /// It ends with the next NOTIFY.
    last: bool,
}

impl Served {
    fn notify(&mut self, calls: &[CallSummary], env: &Env, now: Instant) -> OutgoingRequest {
        self.behind = false;
        self.next_at = now + PACE;
        let mut request = self.dialog.request(&Method::Notify);
        let left = self.until.saturating_duration_since(now).as_secs();
        let state = if self.last {
            "terminated;reason=timeout".to_owned()
        } else {
            format!("active;expires={left}")
        };
        let headers = &mut request.headers;
        headers.push("Event", &self.event);
        headers.push("Subscription-State", state);
        headers.push("Allow-Events", ALLOW_EVENTS);
        headers.push("User-Agent", &env.config.user_agent);
        headers.push("Content-Type", Package::Dialog.content_type());
        let secure = self.dialog.is_secure();
        let body = document(self.version, &self.entity, calls, secure);
        self.version = self.version.saturating_add(1);
        request.body = body.into_bytes().into();
        let purpose = if self.last {
            Purpose::None
        } else {
            Purpose::Served(self.id)
        };
        OutgoingRequest::in_dialog(&self.dialog, purpose, self.account, request)
    }
}

/// All watchers.
#[derive(Debug, Default)]
pub(crate) struct ServedSubscriptions {
    list: Vec<Served>,
    next: ServedId,
    /// The calls as they were reported last.
    calls: Vec<CallSummary>,
}

impl ServedSubscriptions {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether no one watches.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// When to call [`ServedSubscriptions::handle_timeout`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let each = self.list.iter().map(|served| {
            let next = served.next_at;
            if served.behind {
                served.until.min(next)
            } else {
                served.until
            }
        });
        each.min()
    }

    /// A new watcher; the refusal where there are too many.
    pub(crate) fn subscribe(
        &mut self,
        asked: SubscribeRequest,
        dialog: Dialog,
        account: Option<usize>,
        request: &Request,
        now: Instant,
    ) -> Result<(), Reply> {
        if self.list.len() >= MAX_WATCHERS {
            return Err(Reply::refusal(503).with("Retry-After", FULL_RETRY_S));
        }
        self.next += 1;
        self.list.push(Served {
            id: self.next,
            dialog,
            account,
            event: request.headers.get("Event").unwrap_or_default().to_owned(),
            entity: request.uri.to_string(),
            until: now + Duration::from_secs(u64::from(asked.expires_s)),
            version: 0,
            behind: true,
            next_at: now,
            last: asked.expires_s == 0,
        });
        Ok(())
    }

    /// The watcher a SUBSCRIBE belongs to.
    pub(crate) fn find(&self, request: &Request) -> Option<ServedId> {
        let mut list = self.list.iter();
        let found = list.find(|served| served.dialog.owns(request));
        found.map(|served| served.id)
    }

    /// Whether its subscription began over TLS.
    pub(crate) fn is_secure(&self, id: ServedId) -> bool {
        let mut list = self.list.iter();
        list.any(|served| served.id == id && served.dialog.is_secure())
    }

    /// A SUBSCRIBE of a watcher in its dialog; the refusal, or what to answer.
    pub(crate) fn refresh(
        &mut self,
        id: ServedId,
        request: &Request,
        now: Instant,
    ) -> Result<Reply, Reply> {
        let gone = || Reply::not_allowed(481);
        let served = self.list.iter_mut().find(|served| served.id == id);
        let served = served.ok_or_else(gone)?;
        let cseq = request.headers.cseq().map(|c| c.number).unwrap_or_default();
        if !served.dialog.in_order(cseq) {
            return Err(Reply::refusal(500));
        }
        let asked = SubscribeRequest::read(&request.headers)?;
        served.dialog.refresh(&request.headers);
        served.until = now + Duration::from_secs(u64::from(asked.expires_s));
        served.last = asked.expires_s == 0;
        // Section 4.2.1.2: each SUBSCRIBE is followed by a NOTIFY.
        served.behind = true;
        served.next_at = now;
        Ok(asked.reply(&NameAddr::new(served.dialog.contact.clone())))
    }

    /// A NOTIFY of ours got its final status (section 4.2.2).
    pub(crate) fn handle_notify_outcome(&mut self, id: ServedId, code: u16) {
        if code >= 300 {
            self.list.retain(|served| served.id != id);
        }
    }

    /// A NOTIFY was sent again with credentials.
    pub(crate) fn handle_renumbered(&mut self, id: ServedId, cseq: u32) {
        let mut list = self.list.iter_mut();
        if let Some(served) = list.find(|served| served.id == id) {
            served.dialog.local_cseq = served.dialog.local_cseq.max(cseq);
        }
    }

    /// The calls as they are now, and what time it is: every NOTIFY that is due.
    pub(crate) fn publish(
        &mut self,
        calls: Vec<CallSummary>,
        env: &Env,
        now: Instant,
    ) -> Vec<OutgoingRequest> {
        if self.calls != calls {
            for served in &mut self.list {
                served.behind = true;
            }
            self.calls = calls;
        }
        let mut due = Vec::new();
        for served in &mut self.list {
            let runs_out = served.until <= now;
            served.last |= runs_out;
            if runs_out || (served.behind && served.next_at <= now) {
                due.push(served.notify(&self.calls, env, now));
            }
        }
        self.list.retain(|served| !served.last);
        due
    }

    /// The phone goes: every watcher is informed.
    pub(crate) fn end_all(&mut self, env: &Env, now: Instant) -> Vec<OutgoingRequest> {
        for served in &mut self.list {
            served.last = true;
            served.behind = true;
            served.next_at = now;
        }
        self.publish(Vec::new(), env, now)
    }
}
