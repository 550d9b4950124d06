//! A far end that asks us to call somebody in its place: REFER inside of a call (RFC 3515).
//!
//! ```text
//! REFER ─▶ one address, INVITE, not out of TLS, not the sixth in a row ─▶ Event::Refer ─┬ accept_refer ─▶ 202, INVITE, NOTIFY 100
//!            └ 400, 403, 491, 603                                                       └ reject_refer ─▶ 603
//! ```
//!
//! The new call is an ordinary one: same account, same encryption policy, same credentials and no
//! others. Nothing of the address asked for but its Replaces reaches the INVITE (RFC 3261 section
//! 19.1.5 warns of the headers one may hide there).

use crate::dialog::Dialog;
use crate::ids::TransactionId;
use crate::message::{Headers, NameAddr, Request, Uri};

/// Most times a call is passed on, each by a REFER in the one before; as for redirections.
const MAX_REFERRALS: u8 = 5;

/// What a REFER says of the INVITE it asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReferOrder {
    /// Whom the new call takes the place of (RFC 3891).
    replaces: Option<String>,
    /// Who asked (RFC 3892), as it was written.
    referred_by: Option<String>,
    /// The call it came in uses TLS, and so does this one.
    secure: bool,
    /// How many REFERs led here.
    times: u8,
}

impl ReferOrder {
    /// A call that takes the place of one that rings elsewhere (RFC 3891). `secure`: what is known
    /// of that one came over TLS.
    pub(crate) fn replacing(replaces: String, secure: bool) -> Self {
        Self {
            replaces: Some(replaces),
            secure,
            ..Self::default()
        }
    }

    /// Whether the new call must use TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.secure
    }

    /// Puts it into the INVITE.
    pub(crate) fn write(&self, headers: &mut Headers) {
        if let Some(replaces) = &self.replaces {
            headers.push("Replaces", replaces);
        }
        if let Some(by) = &self.referred_by {
            headers.push("Referred-By", by);
        }
    }
}

/// Why a REFER is refused at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
}

const fn refusal(code: u16, reason: &'static str) -> Refusal {
    Refusal { code, reason }
}

/// A REFER of theirs the owner has not decided on.
#[derive(Debug)]
pub(crate) struct ReferRequest {
    transaction: TransactionId,
    target: Uri,
    order: ReferOrder,
    /// They want no NOTIFY (RFC 4488).
    quiet: bool,
    /// Which of several REFERs a NOTIFY is about (RFC 3515 section 2.4.6).
    id: Option<u32>,
}

impl ReferRequest {
    /// Reads a REFER that came in this dialog. `before`: what led to the call it came in; `first`:
    /// it is the first in this call.
    pub(crate) fn read(
        transaction: TransactionId,
        request: &Request,
        dialog: &Dialog,
        before: &ReferOrder,
        first: bool,
    ) -> Result<Self, Refusal> {
        let headers = &request.headers;
        let mut all = headers.values("Refer-To");
        let (Some(text), None) = (all.next(), all.next()) else {
            return Err(refusal(400, "not exactly one Refer-To"));
        };
        let to = NameAddr::parse(text).map_err(|_| refusal(400, "the Refer-To is malformed"))?;
        let (target, replaces) = read_target(to.uri, dialog)?;
        let times = before.times + 1;
        if times > MAX_REFERRALS {
            return Err(refusal(603, "passed on too many times"));
        }
        let by = headers.address("Referred-By").ok().flatten();
        let order = ReferOrder {
            replaces,
            // As it was written: a signature may cover it.
            referred_by: by.and(headers.get("Referred-By")).map(str::to_owned),
            secure: dialog.is_secure(),
            times,
        };
        let number = headers.cseq().map(|cseq| cseq.number).ok();
        Ok(Self {
            transaction,
            target,
            order,
            quiet: headers
                .get("Refer-Sub")
                .is_some_and(|v| v.trim().eq_ignore_ascii_case("false")),
            id: number.filter(|_| !first),
        })
    }

    pub(crate) fn transaction(&self) -> TransactionId {
        self.transaction
    }

    /// Whom to call.
    pub(crate) fn target(&self) -> &Uri {
        &self.target
    }

    /// What goes into the INVITE.
    pub(crate) fn order(&self) -> &ReferOrder {
        &self.order
    }

    /// Whether no NOTIFY is wanted.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// The id of its implicit subscription.
    pub(crate) fn id(&self) -> Option<u32> {
        self.id
    }
}

/// Whom to call, and whose place to take.
fn read_target(uri: Uri, dialog: &Dialog) -> Result<(Uri, Option<String>), Refusal> {
    match uri {
        Uri::Sip(uri) => {
            let method = uri.params().get("method");
            if method.is_some_and(|method| !method.eq_ignore_ascii_case("INVITE")) {
                return Err(refusal(603, "something other than a call is asked for"));
            }
            // RFC 5630 section 5.3, as for a redirection: a call to `sips:` is not led out of it.
            if dialog.contact.is_secure() && !uri.is_secure() {
                return Err(refusal(603, "it leads out of TLS"));
            }
            let replaces = uri
                .headers()
                .filter(|(name, _)| name.eq_ignore_ascii_case("Replaces"));
            if replaces.count() > 1 {
                return Err(refusal(400, "more than one Replaces"));
            }
            let replaces = uri.header("Replaces");
            Ok((Uri::Sip(uri.for_request()), replaces))
        }
        Uri::Tel(uri) => Ok((Uri::Tel(uri), None)),
        Uri::Other(_) => Err(refusal(400, "neither a SIP address nor a number")),
    }
}
