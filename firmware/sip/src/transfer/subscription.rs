//! The implicit subscriptions of REFER (RFC 3515 section 2.4.4, RFC 6665): who learns by NOTIFY how
//! a call placed here goes on.
//!
//! ```text
//! new call: 200, or whatever ended it ─▶ NOTIFY, the last one      old call over before ─▶ its dialog lives on for that
//! ```

use std::collections::BTreeMap;

use crate::action::{OutgoingRequest, Purpose};
use crate::dialog::Dialog;
use crate::ids::CallHandle;
use crate::message::{Method, Request, reason_phrase};

/// How long the far end may count on a NOTIFY, in seconds: longer than anything rings.
const EXPIRES_S: u32 = 300;
/// `CSeq` numbers left free for the requests an ended call still sends in its dialog.
const CSEQ_GAP: u32 = 8;

/// One subscription: to a call placed because of a REFER.
#[derive(Debug)]
pub(crate) struct ReferSubscription {
    /// The call the REFER came in.
    referrer: CallHandle,
    account: Option<usize>,
    id: Option<u32>,
    /// The referrer's dialog, once that call is over.
    dialog: Option<Dialog>,
}

impl ReferSubscription {
    pub(crate) fn new(referrer: CallHandle, account: Option<usize>, id: Option<u32>) -> Self {
        Self {
            referrer,
            account,
            id,
            dialog: None,
        }
    }

    fn notify(&self, dialog: &mut Dialog, code: u16, user_agent: &str) -> Request {
        let mut request = dialog.request(&Method::Notify);
        let headers = &mut request.headers;
        headers.push(
            "Event",
            match self.id {
                Some(id) => format!("refer;id={id}"),
                None => "refer".to_owned(),
            },
        );
        headers.push(
            "Subscription-State",
            if is_last(code) {
                "terminated;reason=noresource".to_owned()
            } else {
                format!("active;expires={EXPIRES_S}")
            },
        );
        headers.push("User-Agent", user_agent);
        headers.push("Content-Type", "message/sipfrag;version=2.0");
        request.body = format!("SIP/2.0 {code} {}\r\n", reason_phrase(code))
            .into_bytes()
            .into();
        request
    }
}

/// All subscriptions, by the call they are to.
#[derive(Debug, Default)]
pub(crate) struct ReferSubscriptions(BTreeMap<CallHandle, ReferSubscription>);

impl ReferSubscriptions {
    pub(crate) fn insert(&mut self, call: CallHandle, subscription: ReferSubscription) {
        self.0.insert(call, subscription);
    }

    /// Whether a call placed because of a REFER in this one is still reported on.
    pub(crate) fn has_referrer(&self, referrer: CallHandle) -> bool {
        self.0.values().any(|s| s.referrer == referrer)
    }

    /// How many keep a dialog whose call is over.
    pub(crate) fn orphans(&self) -> usize {
        self.0.values().filter(|s| s.dialog.is_some()).count()
    }

    /// The call whose dialog a NOTIFY about this one is sent in, while it lasts.
    pub(crate) fn referrer_of(&self, call: CallHandle) -> Option<CallHandle> {
        self.0.get(&call).map(|s| s.referrer)
    }

    /// The NOTIFY about a call; `dialog`: that of the referrer, if its call is not over.
    pub(crate) fn notify(
        &mut self,
        call: CallHandle,
        code: u16,
        dialog: Option<&mut Dialog>,
        user_agent: &str,
    ) -> Option<OutgoingRequest> {
        let mut subscription = self.0.remove(&call)?;
        let mut orphan = subscription.dialog.take();
        // Without any dialog there is no way to inform it.
        let dialog = dialog.or(orphan.as_mut())?;
        let request = subscription.notify(dialog, code, user_agent);
        let purpose = if is_last(code) {
            Purpose::None
        } else {
            Purpose::Notify(call)
        };
        let outgoing = OutgoingRequest::in_dialog(dialog, purpose, subscription.account, request);
        if !is_last(code) {
            subscription.dialog = orphan;
            self.0.insert(call, subscription);
        }
        Some(outgoing)
    }

    /// The final status of a NOTIFY: a refusal ends the subscription, and nothing else (RFC 5057
    /// section 5.1).
    pub(crate) fn handle_notify_outcome(&mut self, call: CallHandle, code: u16) {
        if code >= 300 {
            self.0.remove(&call);
        }
    }

    /// A NOTIFY was sent again with credentials under a higher number.
    pub(crate) fn handle_renumbered(&mut self, call: CallHandle, cseq: u32) {
        if let Some(dialog) = self.0.get_mut(&call).and_then(|s| s.dialog.as_mut()) {
            dialog.local_cseq = dialog.local_cseq.max(cseq);
        }
    }

    /// A call is over, by this status, and this was its dialog. A dialog lives as long as anything
    /// in it does (RFC 5057 section 4.1): the referrer learns the outcome, although its call is
    /// over. Returns the last status for the subscriber to this call.
    pub(crate) fn handle_call_over(
        &mut self,
        call: CallHandle,
        code: Option<u16>,
        dialog: Option<&Dialog>,
    ) -> Option<u16> {
        for subscription in self.0.values_mut().filter(|s| s.referrer == call) {
            subscription.dialog = dialog.cloned();
            if let Some(dialog) = subscription.dialog.as_mut() {
                dialog.local_cseq = dialog.local_cseq.saturating_add(CSEQ_GAP);
            }
        }
        let code = code.filter(|code| *code >= 300).unwrap_or(487);
        self.0.contains_key(&call).then_some(code)
    }
}

/// Anything final is the last status reported.
fn is_last(code: u16) -> bool {
    code >= 200
}
