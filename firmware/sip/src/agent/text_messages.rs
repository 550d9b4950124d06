//! Text messages outside of calls, both ways.

use crate::action::{OutgoingRequest, Purpose};
use crate::api::{Event, MessageError};
use crate::identity::party;
use crate::ids::{AccountId, MessageId, RequestId};
use crate::message::{Request, SipUri, reason_phrase};
use crate::requests::Outcome;
use crate::shared::Shared;
use crate::text_message::{MAX_TEXT, SendError, TextMessage, text_of};

/// A text to a number or address, about to leave.
pub(super) fn outgoing(
    account: Option<usize>,
    target: &str,
    text: &str,
    shared: &mut Shared,
) -> Result<(RequestId, OutgoingRequest), SendError> {
    if text.is_empty() {
        return Err(SendError::Empty);
    }
    if text.len() > MAX_TEXT {
        return Err(SendError::TooLong(text.len()));
    }
    let target = shared.request_uri(account, target)?;
    let sips = target.as_sip().is_some_and(SipUri::is_secure);
    let route = shared.route(account, &target, false, sips, sips);
    let name = account
        .and_then(|account| shared.env.account(account))
        .map_or(Some(&shared.env.config.display_name), |account| {
            account.display_name.as_ref()
        });
    let name = name.cloned().unwrap_or_default();
    let message = TextMessage {
        target,
        from: shared.sender(account).with_display(&name),
        routes: &route.routes,
        text,
    };
    let request = message.build(&mut shared.env);
    let id = shared.env.request_id();
    let outgoing = OutgoingRequest {
        purpose: Purpose::Message(MessageId(id)),
        account,
        request,
        hop: route.hop,
        flow: None,
    };
    Ok((id, outgoing))
}

/// A message of ours got its final status.
pub(super) fn sent(message: MessageId, outcome: Outcome<'_>) -> Event {
    let code = outcome.code();
    let reason = match outcome {
        Outcome::Response(response) if !response.reason().is_empty() => response.reason(),
        Outcome::Response(_) => reason_phrase(code),
        Outcome::Failed(failure) => &failure.reason,
    };
    let reason = reason.to_owned();
    let result = if code < 300 {
        Ok(())
    } else {
        Err(MessageError { code, reason })
    };
    Event::MessageSent { message, result }
}

/// A message came in; none where it says nothing.
pub(super) fn received(account: Option<usize>, trusted: bool, request: &Request) -> Option<Event> {
    let from = request.headers.from().ok()?;
    let text = text_of(request).filter(|text| !text.is_empty())?;
    Some(Event::Message {
        account: account.map(AccountId),
        from: party(&request.headers, trusted, &from),
        address: from.uri.to_string(),
        text,
    })
}
