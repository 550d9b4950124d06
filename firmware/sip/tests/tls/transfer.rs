//! Transfers of calls by TLS: who is asked for, and who asked (RFC 3892), go by TLS or not at all.

use sip::agent::InviteError;
use sip::message::Request;
use sip::{CallHandle, ConnectionId, Event};

use crate::Phone;
use crate::downgrade::call_that_stands;
use crate::world::media;

const BY: &str = "<sips:bob@example.org>;cid=\"2UWQFN309shb3@x\"";

/// The far end of alice's call asks for somebody else; what she is asked, if anything.
fn asked(
    alice: &mut Phone,
    (connection, invite): (ConnectionId, &Request),
    to: &str,
) -> Option<CallHandle> {
    let refer = format!(
        "REFER sip:alice@192.0.2.1 SIP/2.0\r\n\
         Via: SIP/2.0/TLS 192.0.2.9;branch=z9hG4bKrefer\r\nFrom: {};tag=far\r\nTo: {}\r\n\
         Call-ID: {}\r\nCSeq: 1 REFER\r\nContact: <sip:bob@192.0.2.9;transport=tls>\r\n\
         Refer-To: <{to}>\r\nReferred-By: {BY}\r\nContent-Length: 0\r\n\r\n",
        invite.headers.get("To").unwrap(),
        invite.headers.get("From").unwrap(),
        invite.headers.call_id().unwrap(),
    );
    alice.hear(connection, refer);
    alice.events.iter().find_map(|event| match event {
        Event::Refer { call, .. } => Some(*call),
        _ => None,
    })
}

fn follow(alice: &mut Phone, call: CallHandle) -> Result<CallHandle, InviteError> {
    alice.act(|agent, now| agent.accept_refer(call, media(20_100), now))
}

fn all_secure(alice: &Phone) {
    let mut sent = alice.sent.iter();
    assert!(sent.all(|(flow, _)| flow.is_secure()), "{:?}", alice.sent);
}

#[test]
fn who_asked_is_named_to_whom_is_called_by_tls() {
    let mut alice = Phone::direct();
    let (_, connection, invite) = call_that_stands(&mut alice);
    let call = asked(&mut alice, (connection, &invite), "sips:carol@192.0.2.8");
    follow(&mut alice, call.unwrap()).unwrap();
    assert_eq!(
        alice.asked.len(),
        2,
        "carol is called by TLS: {:?}",
        alice.asked
    );
    let carol = alice.open();
    let sent = alice.sent.iter().rev();
    let invites = sent.filter(|(_, text)| text.starts_with("INVITE sips:carol@192.0.2.8 "));
    let (flow, text) = invites.clone().next().unwrap();
    assert_eq!(flow.connection(), Some(carol));
    assert!(
        text.contains(&format!("\r\nReferred-By: {BY}\r\n")),
        "{text}"
    );
    all_secure(&alice);
}

#[test]
fn where_tls_does_not_lead_no_one_is_named() {
    let mut alice = Phone::direct();
    let (_, connection, invite) = call_that_stands(&mut alice);
    // RFC 5630 section 5.3: a call to `sips:` is not led out of it.
    let call = asked(&mut alice, (connection, &invite), "sip:carol@192.0.2.8");
    assert_eq!(call, None);
    let last = alice.sent.last().unwrap();
    assert!(last.1.starts_with("SIP/2.0 603"), "{}", last.1);
    let mut alice = Phone::direct();
    let (_, connection, invite) = call_that_stands(&mut alice);
    let call = asked(&mut alice, (connection, &invite), "sips:carol@192.0.2.8").unwrap();
    let new = follow(&mut alice, call).unwrap();
    alice.refuse("the certificate is for somebody else");
    let ended = alice.events.iter();
    let ended = ended.filter(|event| matches!(event, Event::Ended { call, .. } if *call == new));
    assert_eq!(ended.count(), 1);
    let mut sent = alice.sent.iter();
    assert!(sent.all(|(_, text)| !text.contains("Referred-By")));
    all_secure(&alice);
}

#[test]
fn refer_of_ours_by_tls_says_who_asks() {
    let mut alice = Phone::direct();
    let (call, connection, _) = call_that_stands(&mut alice);
    let placed = alice.act(|agent, now| agent.transfer_to(call, "sips:carol@192.0.2.8", now));
    assert_eq!(placed, Ok(()));
    let refer = alice.request(connection);
    assert_eq!(refer.method.as_str(), "REFER");
    assert_eq!(
        refer.headers.get("Refer-To"),
        Some("<sips:carol@192.0.2.8>")
    );
    let by = refer.headers.address("Referred-By").unwrap().unwrap();
    let own = alice.sent.first().map(|(_, invite)| invite.clone());
    assert!(own.unwrap().contains(&format!("From: <{}>;tag=", by.uri)));
    all_secure(&alice);
}
