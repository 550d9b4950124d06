//! A far end that asks us to call somebody in its place: REFER inside of a call (RFC 3515), and the
//! NOTIFYs it is owed (RFC 6665).
//!
//! ```text
//! REFER ─▶ one address, INVITE, not out of TLS, not the sixth in a row ─▶ Event::Refer ─┬ follow ──▶ 202, INVITE, NOTIFY 100
//!            └ 400, 403, 491, 603                                                       └ decline ─▶ 603
//! new call: 200, or whatever ended it ─▶ Owed ─▶ NOTIFY, last word          old call over before ─▶ its dialog lives on for that
//! ```
//!
//! The new call is an ordinary one: same account, same wish for encryption, same credentials and no
//! others. Nothing of the address asked for but its Replaces reaches the INVITE (RFC 3261 section
//! 19.1.5 warns of the headers one may hide there).

use std::time::Instant;

use crate::agent::UserAgent;
use crate::api::{Event, InviteError};
use crate::dialog::Dialog;
use crate::ids::{CallHandle, TransactionId};
use crate::message::{Method, NameAddr, Request, Uri, reason_phrase};
use crate::offer_answer::LocalMedia;
use crate::outgoing::{Errand, Outcome, Purpose};

use super::{CallState, Phase};

/// Most times a call is handed on, each by a REFER in the one before; as for redirections.
const MAX_REFERRALS: u8 = 5;
/// How long the far end may count on news, in seconds: longer than anything rings.
const NEWS_FOR: u32 = 300;
/// Room for the requests an ended call still sends in its dialog.
const NUMBERS_APART: u32 = 8;

/// What a REFER says of the INVITE it asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Order {
    /// Whom the new call takes the place of (RFC 3891).
    pub(super) replaces: Option<String>,
    /// On whose word (RFC 3892), as it was told.
    pub(super) referred_by: Option<String>,
    /// The call it came in goes by TLS, and so does this one.
    pub(super) secure: bool,
    /// How many REFERs led here.
    pub(super) times: u8,
}

impl Order {
    /// Puts it into the INVITE.
    pub(super) fn write(&self, request: &mut Request) {
        if let Some(replaces) = &self.replaces {
            request.headers.push("Replaces", replaces);
        }
        if let Some(by) = &self.referred_by {
            request.headers.push("Referred-By", by);
        }
    }
}

/// A REFER of theirs the owner has not decided on.
#[derive(Debug)]
pub(super) struct Asked {
    transaction: TransactionId,
    target: Uri,
    order: Order,
    /// They want no news (RFC 4488).
    quiet: bool,
    /// Which of several REFERs the news are of (RFC 3515 section 2.4.6).
    id: Option<u32>,
}

/// Who is owed news of a call placed on a REFER: the implicit subscription.
#[derive(Debug)]
pub(crate) struct Referral {
    /// The call the REFER came in.
    old: CallHandle,
    account: Option<usize>,
    id: Option<u32>,
    /// Its dialog, once that call is over.
    dialog: Option<Dialog>,
}

/// What is owed because a call went on, or is over.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owed {
    /// The last word on a call placed on a REFER.
    News(CallHandle, u16),
    /// An answer to a REFER whose call ended first.
    Refusal(TransactionId),
}

impl UserAgent {
    /// REFER inside of a call.
    pub(super) fn referred(
        &mut self,
        call: CallHandle,
        transaction: TransactionId,
        early_leg: bool,
        request: &Request,
        now: Instant,
    ) {
        let Some(state) = self.calls.get(&call) else {
            return;
        };
        match state.phase {
            Phase::Up if !early_leg => {}
            Phase::Answered if !early_leg => return self.try_later(transaction, now),
            Phase::Up
            | Phase::Answered
            | Phase::Calling
            | Phase::Ringing
            | Phase::Leaving
            | Phase::Handing => {
                return self.respond_refusal(transaction, 403, now);
            }
        }
        let pending =
            state.asked.is_some() || self.referrals.values().any(|referral| referral.old == call);
        if pending {
            return self.respond_refusal(transaction, 491, now);
        }
        let (target, order) = match Self::read_refer(state, request) {
            Ok(read) => read,
            Err((code, why)) => {
                self.events.push_back(Event::Note(format!(
                    "asked to call somebody else, refused: {why}"
                )));
                return self.respond_refusal(transaction, code, now);
            }
        };
        let Some(state) = self.calls.get_mut(&call) else {
            return;
        };
        if let Some(dialog) = state.dialog.as_mut() {
            dialog.refresh(&request.headers);
        }
        let number = request.headers.cseq().map(|cseq| cseq.number).ok();
        state.refers = state.refers.saturating_add(1);
        state.asked = Some(Asked {
            transaction,
            target: target.clone(),
            order,
            quiet: request
                .headers
                .get("Refer-Sub")
                .is_some_and(|v| v.trim().eq_ignore_ascii_case("false")),
            id: number.filter(|_| state.refers > 1),
        });
        self.events.push_back(Event::Refer {
            call,
            to: target.to_string(),
            user: target.user().unwrap_or_default(),
        });
    }

    /// Whom to call, and how; the status and the words of the refusal else.
    fn read_refer(
        state: &CallState,
        request: &Request,
    ) -> Result<(Uri, Order), (u16, &'static str)> {
        let mut all = request.headers.values("Refer-To");
        let (Some(text), None) = (all.next(), all.next()) else {
            return Err((400, "not exactly one Refer-To"));
        };
        let to = NameAddr::parse(text).map_err(|_| (400, "the Refer-To cannot be read"))?;
        let dialog = state.dialog.as_ref().ok_or((403, "no dialog"))?;
        let (target, replaces) = match to.uri {
            Uri::Sip(uri) => {
                let method = uri.params().get("method");
                if method.is_some_and(|method| !method.eq_ignore_ascii_case("INVITE")) {
                    return Err((603, "something else than a call is asked for"));
                }
                // RFC 5630 section 5.3, as for a redirection: who is called by `sips:` is not led
                // out of it.
                if dialog.contact.is_secure() && !uri.is_secure() {
                    return Err((603, "it leads out of TLS"));
                }
                let replaces = uri
                    .headers()
                    .filter(|(name, _)| name.eq_ignore_ascii_case("Replaces"));
                if replaces.count() > 1 {
                    return Err((400, "more than one Replaces"));
                }
                let replaces = uri.header("Replaces");
                (Uri::Sip(uri.for_request()), replaces)
            }
            Uri::Tel(uri) => (Uri::Tel(uri), None),
            Uri::Other(_) => return Err((400, "no SIP address and no number")),
        };
        let times = state.order.times + 1;
        if times > MAX_REFERRALS {
            return Err((603, "handed on too many times"));
        }
        let by = request.headers.address("Referred-By").ok().flatten();
        let order = Order {
            replaces,
            // As it was written: a signature may cover it.
            referred_by: by
                .and(request.headers.get("Referred-By"))
                .map(str::to_owned),
            secure: dialog.is_secure(),
            times,
        };
        Ok((target, order))
    }

    /// The owner wants it done.
    pub(crate) fn follow_refer(
        &mut self,
        call: CallHandle,
        media: LocalMedia,
        now: Instant,
    ) -> Result<CallHandle, InviteError> {
        let state = self.calls.get_mut(&call).ok_or(InviteError::NotAsked)?;
        let account = state.account;
        let asked = state.asked.take().ok_or(InviteError::NotAsked)?;
        let placed = self.place_as(account, &asked.target.to_string(), media, asked.order, now);
        let Ok(new) = placed else {
            self.respond_refusal(asked.transaction, 603, now);
            return placed;
        };
        let contact = self
            .calls
            .get(&call)
            .and_then(|state| state.dialog.as_ref())
            .map(|d| d.contact.clone());
        if let (Some(mut response), Some(contact)) =
            (self.response_for(asked.transaction, 202), contact)
        {
            response.headers.push("Contact", NameAddr::new(contact));
            if asked.quiet {
                response.headers.push("Refer-Sub", "false");
            }
            self.send_response(asked.transaction, &response, now);
        }
        if !asked.quiet {
            let referral = Referral {
                old: call,
                account,
                id: asked.id,
                dialog: None,
            };
            self.referrals.insert(new, referral);
            self.send_news(new, 100, now);
        }
        Ok(new)
    }

    /// The owner does not want it done.
    pub(crate) fn decline_refer(&mut self, call: CallHandle, now: Instant) {
        if let Some(asked) = self
            .calls
            .get_mut(&call)
            .and_then(|state| state.asked.take())
        {
            self.respond_refusal(asked.transaction, 603, now);
        }
    }

    /// How many referrals keep a dialog whose call is over.
    pub(crate) fn orphaned_referrals(&self) -> usize {
        self.referrals
            .values()
            .filter(|referral| referral.dialog.is_some())
            .count()
    }

    /// The dialog in which news of this call are told.
    pub(super) fn referrer(&mut self, new: CallHandle) -> Option<&mut Dialog> {
        let referral = self.referrals.get_mut(&new)?;
        match self.calls.get_mut(&referral.old) {
            Some(state) => state.dialog.as_mut(),
            None => referral.dialog.as_mut(),
        }
    }

    /// A call placed here was answered.
    pub(super) fn owe_answer(&mut self, call: CallHandle) {
        if self.referrals.contains_key(&call) {
            self.owed.push_back(Owed::News(call, 200));
        }
    }

    /// A call is over: what is owed because of that.
    pub(super) fn owe(&mut self, call: CallHandle, state: &CallState, code: Option<u16>) {
        if let Some(asked) = &state.asked {
            self.owed.push_back(Owed::Refusal(asked.transaction));
        }
        if self.referrals.contains_key(&call) {
            let code = code.filter(|code| *code >= 300).unwrap_or(487);
            self.owed.push_back(Owed::News(call, code));
        }
        // A dialog lives as long as anything in it does (RFC 5057 section 4.1): who asked is told,
        // although his call is over.
        for referral in self
            .referrals
            .values_mut()
            .filter(|referral| referral.old == call)
        {
            referral.dialog.clone_from(&state.dialog);
            if let Some(dialog) = referral.dialog.as_mut() {
                dialog.local_cseq = dialog.local_cseq.saturating_add(NUMBERS_APART);
            }
        }
    }

    pub(crate) fn pay(&mut self, owed: Owed, now: Instant) {
        match owed {
            Owed::News(call, code) => self.send_news(call, code, now),
            Owed::Refusal(transaction) => self.respond_refusal(transaction, 603, now),
        }
    }

    /// Tells whoever asked for a call how it gets on (RFC 3515 section 2.4.4); anything final is
    /// the last word.
    fn send_news(&mut self, new: CallHandle, code: u16, now: Instant) {
        let last = code >= 200;
        let Some(referral) = self.referrals.get(&new) else {
            return;
        };
        let (account, id) = (referral.account, referral.id);
        let purpose = if last {
            Purpose::Nobody
        } else {
            Purpose::Notify(new)
        };
        let Some(dialog) = self.referrer(new) else {
            self.referrals.remove(&new);
            return;
        };
        let mut request = dialog.request(&Method::Notify);
        let (hop, flow) = (dialog.hop(), dialog.flow);
        request.headers.push(
            "Event",
            match id {
                Some(id) => format!("refer;id={id}"),
                None => "refer".to_owned(),
            },
        );
        request.headers.push(
            "Subscription-State",
            if last {
                "terminated;reason=noresource".to_owned()
            } else {
                format!("active;expires={NEWS_FOR}")
            },
        );
        request.headers.push("User-Agent", &self.config.user_agent);
        request
            .headers
            .push("Content-Type", "message/sipfrag;version=2.0");
        request.body = format!("SIP/2.0 {code} {}\r\n", reason_phrase(code))
            .into_bytes()
            .into();
        if last {
            self.referrals.remove(&new);
        }
        self.dispatch(
            Errand {
                purpose,
                account,
                request,
                hop,
                flow,
            },
            now,
        );
    }

    /// Whether the news were wanted: a refusal ends the subscription, and nothing else (RFC 5057
    /// section 5.1).
    pub(super) fn notify_outcome(&mut self, new: CallHandle, outcome: &Outcome<'_>) {
        let refused = match outcome {
            Outcome::Response(response) => response.code() >= 300,
            Outcome::Failed(..) => true,
        };
        if refused {
            self.referrals.remove(&new);
        }
    }
}
