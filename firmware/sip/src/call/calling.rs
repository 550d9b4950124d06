//! A call placed here, until it is answered (RFC 3261 section 13.2).
//!
//! ```text
//! INVITE + offer ─┬ 1xx ─▶ leg by To tag ─▶ Progress (early media)
//!                 ├ 2xx ─▶ Established     another 2xx ─▶ ACK, BYE
//!                 ├ 3xx ─▶ INVITE to the contact, five times at most
//!                 ├ 488 ─▶ INVITE with the next offer planned
//!                 └ else ─▶ Ended
//! ```

use crate::action::{Action, InviteIds, OutgoingRequest, Purpose, Turn};
use crate::api::{Event, InviteOptions};
use crate::capabilities::add_capabilities;
use crate::dialog::Dialog;
use crate::ids::{CallHandle, RequestId};
use crate::locate::{Hop, HopError};
use crate::message::{CSeq, Method, NameAddr, Request, Response, SipUri, Uri};
use crate::offer_answer::{Negotiated, Session};
use crate::sdp::SdpError;
use crate::session_body::session_body_of;
use crate::transfer::ReferOrder;

/// Most branches of a forked call.
const MAX_LEGS: usize = 16;
/// Most redirections followed in one call.
const MAX_REDIRECTS: u8 = 5;

/// The way the INVITE of a call takes.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) routes: Vec<NameAddr>,
    pub(crate) hop: Result<Hop, HopError>,
    /// Our Contact for it.
    pub(crate) contact: SipUri,
}

impl Route {
    fn is_secure(&self) -> bool {
        self.hop.as_ref().is_ok_and(Hop::is_secure)
    }
}

/// One branch of a call we placed: an early dialog by To tag.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) dialog: Dialog,
    session: Session,
    media: Option<Negotiated>,
}

/// Our INVITE is under way.
#[derive(Debug)]
pub(super) struct Calling {
    /// The INVITE sent last.
    pub(super) request: RequestId,
    pub(super) legs: Vec<Leg>,
    pub(super) session: Session,
    /// Who is called: the Request-URI of the INVITE.
    pub(super) target: Uri,
    redirected: u8,
    /// Called by `sips:`, and over TLS: neither is given up on the way.
    sips: bool,
    pub(super) secure: bool,
}

/// What a 2xx makes of the call.
#[derive(Debug)]
pub(super) struct Agreed {
    pub(super) dialog: Dialog,
    pub(super) session: Session,
    pub(super) media: Result<Negotiated, SdpError>,
    /// Other branches of the call saw our keys, too.
    pub(super) keys_shared: bool,
}

/// Why the call ends with a refusal.
#[derive(Debug)]
pub(super) struct Refused(pub(super) String);

/// One INVITE of a call.
pub(super) struct Invite<'a> {
    pub(super) call: CallHandle,
    pub(super) account: Option<usize>,
    pub(super) ids: InviteIds,
    pub(super) route: Route,
    pub(super) order: &'a ReferOrder,
    pub(super) options: InviteOptions,
}

impl Calling {
    /// Sends the first INVITE.
    pub(super) fn place(
        invite: Invite<'_>,
        target: Uri,
        mut session: Session,
        turn: &mut Turn<'_>,
    ) -> Result<Self, SdpError> {
        let secure = invite.route.is_secure();
        let request = invite.send(&target, &mut session, turn)?;
        Ok(Self {
            request,
            legs: Vec::new(),
            session,
            sips: target.as_sip().is_some_and(SipUri::is_secure),
            target,
            redirected: 0,
            secure,
        })
    }

    /// Sends the INVITE again, after a final answer to the one before.
    pub(super) fn place_again(
        &mut self,
        invite: Invite<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), SdpError> {
        self.secure = invite.route.is_secure();
        self.request = invite.send(&self.target, &mut self.session, turn)?;
        Ok(())
    }

    /// Whether the INVITE must use TLS on its first hop.
    pub(super) fn needs_tls(&self) -> bool {
        self.secure || self.sips
    }

    /// Whether it was called by `sips:`, so that our Contact must be one (section 8.1.1.8).
    pub(super) fn is_sips(&self) -> bool {
        self.sips
    }

    /// A 1xx: every To tag is a leg of its own.
    pub(super) fn handle_provisional(
        &mut self,
        call: CallHandle,
        response: &Response,
        dialog: Option<Dialog>,
        turn: &mut Turn<'_>,
    ) {
        if response.code() == 100 {
            return;
        }
        let mut media = None;
        let leg = dialog
            .filter(|_| response.headers.to().is_ok_and(|to| to.tag().is_some()))
            .and_then(|dialog| self.leg(dialog));
        if let Some(leg) = leg
            && let Some(body) = session_body_of(response)
        {
            // An answer that makes no sense in a 183 is no reason to give the call up; the one in
            // the 200 is.
            media = leg.session.accept(&body).ok();
            leg.media.clone_from(&media);
        }
        turn.event(Event::Progress {
            call,
            code: response.code(),
            media,
        });
    }

    fn leg(&mut self, dialog: Dialog) -> Option<&mut Leg> {
        let known = self
            .legs
            .iter()
            .position(|leg| leg.dialog.remote_tag() == dialog.remote_tag());
        if let Some(index) = known {
            return self.legs.get_mut(index);
        }
        if self.legs.len() >= MAX_LEGS {
            return None;
        }
        self.legs.push(Leg {
            dialog,
            session: self.session.clone(),
            media: None,
        });
        self.legs.last_mut()
    }

    /// The first 2xx makes the call.
    pub(super) fn handle_answer(&mut self, response: &Response, mut dialog: Dialog) -> Agreed {
        // Requests sent in the early dialog count on.
        let leg = self
            .legs
            .iter()
            .position(|leg| leg.dialog.remote_tag() == dialog.remote_tag())
            .map(|index| self.legs.swap_remove(index));
        let keys_shared = !self.legs.is_empty();
        let (mut session, early) = match leg {
            Some(leg) => {
                dialog.local_cseq = dialog.local_cseq.max(leg.dialog.local_cseq);
                dialog.remote_cseq = leg.dialog.remote_cseq;
                (leg.session, leg.media)
            }
            None => (self.session.clone(), None),
        };
        let media = match (session_body_of(response), early) {
            (Some(body), early) => session.accept(&body).or_else(|error| early.ok_or(error)),
            (None, Some(early)) => Ok(early),
            (None, None) => Err(SdpError::NoMedia),
        };
        Agreed {
            dialog,
            session,
            media,
            keys_shared,
        }
    }

    /// Any other final response: the call is tried again, or over.
    pub(super) fn handle_refusal(
        &mut self,
        call: CallHandle,
        peer: &str,
        response: &Response,
        turn: &mut Turn<'_>,
    ) -> Result<(), Refused> {
        let code = response.code();
        let redirected = match code {
            300..400 => {
                self.redirect(response, turn)?;
                true
            }
            // What is preferred is asked for in more than one way.
            488 | 606 if self.session.next_attempt() => {
                tracing::info!(
                    "{peer} refused the offer ({code} {}): asking again with another kind of \
                     encryption, or none where none is required",
                    refusal(response)
                );
                self.redirected > 0
            }
            _ => return Err(Refused(refusal(response))),
        };
        let ids = original(response).ok_or_else(|| Refused(refusal(response)))?;
        self.legs.clear();
        turn.push(Action::SendInvite {
            call,
            ids: Box::new(ids),
            redirected,
        });
        Ok(())
    }

    /// A 3xx: the best contact is tried, with the same Call-ID and a higher number (section
    /// 8.1.3.4).
    fn redirect(&mut self, response: &Response, turn: &Turn<'_>) -> Result<(), Refused> {
        let refused = |why: &str| Refused(format!("{}: {why}", response.reason()));
        let quality = |contact: &NameAddr| {
            let q = contact.params.get("q").and_then(|q| q.parse::<f32>().ok());
            q.unwrap_or(1.0)
        };
        let mut contacts = response.headers.contacts().unwrap_or_default();
        contacts.retain(|contact| contact.uri.as_sip().is_some());
        // What the dial plan bars is barred for the far end, too.
        let barred = &turn.env.config.barred;
        let named = contacts.len();
        contacts.retain(|contact| {
            let user = contact.uri.as_sip().and_then(SipUri::user);
            !user.is_some_and(|user| barred.contains(&user))
        });
        if contacts.is_empty() && named > 0 {
            return Err(refused("it leads to a number that the digit map bars"));
        }
        let any = !contacts.is_empty();
        // A call that began secure is not led out of it (section 26.2.2, RFC 5630 section 5.3).
        let sips = self.sips;
        contacts.retain(|contact| {
            let secure = contact.uri.as_sip().is_some_and(SipUri::is_secure);
            secure || !sips
        });
        if contacts.is_empty() && any {
            return Err(refused("it leads out of TLS, which is not followed"));
        }
        contacts.sort_by(|a, b| quality(b).total_cmp(&quality(a)));
        let next = contacts
            .first()
            .and_then(|contact| contact.uri.as_sip())
            .filter(|_| self.redirected < MAX_REDIRECTS)
            .ok_or_else(|| refused("no other address to try"))?;
        self.redirected += 1;
        self.sips |= next.is_secure();
        self.target = next.clone().for_request().into();
        Ok(())
    }
}

impl Invite<'_> {
    /// Sends it with an offer.
    fn send(
        self,
        target: &Uri,
        session: &mut Session,
        turn: &mut Turn<'_>,
    ) -> Result<RequestId, SdpError> {
        session.set_secure(self.route.is_secure());
        let body = session.offer(&mut turn.env.tokens)?;
        let mut request = Request::new(Method::Invite, target.clone());
        let headers = &mut request.headers;
        for route in &self.route.routes {
            headers.push("Route", route);
        }
        headers.push("Max-Forwards", 70);
        headers.push("From", self.ids.from);
        headers.push("To", self.ids.to);
        headers.push("Call-ID", self.ids.call_id);
        headers.push(
            "CSeq",
            CSeq {
                number: self.ids.cseq,
                method: Method::Invite,
            },
        );
        headers.push("Contact", NameAddr::new(self.route.contact));
        add_capabilities(headers);
        self.order.write(headers);
        if self.options.anonymous {
            headers.push("Privacy", "id");
        }
        if self.options.intercom {
            headers.push("Call-Info", format!("<{target}>;answer-after=0"));
            let alert = "<http://www.notused.com>;info=alert-autoanswer;delay=0";
            headers.push("Alert-Info", alert);
        }
        headers.push("User-Agent", &turn.env.config.user_agent);
        headers.push("Content-Type", "application/sdp");
        request.body = body.into();
        // A route of the account or, for an address elsewhere without any, that address itself.
        Ok(turn.send(OutgoingRequest {
            purpose: Purpose::Invite(self.call),
            account: self.account,
            request,
            hop: self.route.hop,
            flow: None,
        }))
    }
}

/// From, To, Call-ID and the next number after the request a response answers.
fn original(response: &Response) -> Option<InviteIds> {
    let headers = &response.headers;
    let mut to = headers.to().ok()?;
    to.params.remove("tag");
    Some(InviteIds {
        from: headers.from().ok()?,
        to,
        call_id: headers.call_id().ok()?.to_owned(),
        cseq: headers.cseq().ok()?.number.saturating_add(1),
    })
}

/// A refusal in words, with what the far end says about it.
fn refusal(response: &Response) -> String {
    let reason = if response.reason().is_empty() {
        "refused"
    } else {
        response.reason()
    };
    match (response.code(), response.headers.get("Warning")) {
        (401 | 407, _) => format!("{reason}: check user, auth_user and password of the account"),
        (_, Some(warning)) => format!("{reason} ({warning})"),
        (_, None) => reason.to_owned(),
    }
}
