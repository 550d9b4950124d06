//! Calls by TLS do not leave it.

use std::net::SocketAddr;

use sip::message::{Request, Response};
use sip::{CallHandle, ConnectionId, Event, UserAgent};

use crate::world::{self, media, sdp};
use crate::{Phone, ok_with_sdp};

/// Alice's sips call to a phone at 192.0.2.9 is established; its connection and her INVITE.
pub(crate) fn call_that_stands(alice: &mut Phone) -> (CallHandle, ConnectionId, Request) {
    let call = alice
        .act(|agent, now| agent.invite(None, "sips:bob@192.0.2.9", media(20_000), now))
        .unwrap();
    let connection = alice.open();
    let invite = alice.request(connection);
    alice.hear(
        connection,
        ok_with_sdp(&invite, "<sip:bob@192.0.2.9:5060;transport=udp>"),
    );
    assert!(world::is_established(&alice.events));
    (call, connection, invite)
}

#[test]
fn a_tls_call_ignores_a_contact_without_tls() {
    let mut alice = Phone::direct();
    let (call, connection, _) = call_that_stands(&mut alice);
    alice.act(|agent, now| agent.end(call, now));
    let bye = alice.request(connection);
    assert_eq!(bye.method.to_string(), "BYE");
    assert!(
        alice.sent.iter().all(|(flow, _)| flow.is_secure()),
        "{:?}",
        alice.sent
    );
}

#[test]
fn clear_messages_do_not_touch_a_tls_call() {
    let mut alice = Phone::direct();
    alice
        .act(|agent, now| agent.invite(None, "sips:bob@192.0.2.9", media(20_000), now))
        .unwrap();
    let connection = alice.open();
    let invite = alice.request(connection);
    let ok = ok_with_sdp(&invite, "<sip:bob@192.0.2.9:5060>");
    let from: SocketAddr = "192.0.2.9:5060".parse().unwrap();
    alice.act(|agent, now| agent.handle_datagram(from, &ok, now));
    assert!(
        !world::is_established(&alice.events),
        "an answer in the clear was believed"
    );
    alice.hear(connection, &ok);
    assert!(world::is_established(&alice.events));
    let (to, from_header) = (
        invite.headers.get("From").unwrap(),
        invite.headers.get("To").unwrap(),
    );
    let bye = |branch: &str| {
        format!(
            "BYE sip:alice@192.0.2.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK{branch}\r\nFrom: {from_header};tag=far\r\n\
             To: {to}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
            invite.headers.call_id().unwrap()
        )
    };
    alice.act(|agent, now| agent.handle_datagram(from, bye("clear").as_bytes(), now));
    assert_eq!(alice.ended(), None, "a BYE in the clear ended the call");
    assert!(
        alice.sent.last().unwrap().1.starts_with("SIP/2.0 403"),
        "{:?}",
        alice.sent.last()
    );
    alice.hear(connection, bye("secure"));
    assert!(alice.ended().is_some());
}

#[test]
fn a_redirection_does_not_leave_tls() {
    for contact in ["<sip:bob@192.0.2.8>", "<sip:bob@192.0.2.8;transport=udp>"] {
        let mut alice = Phone::direct();
        alice
            .act(|agent, now| agent.invite(None, "sips:bob@192.0.2.9", media(20_000), now))
            .unwrap();
        let connection = alice.open();
        let mut moved = Response::reply(&alice.request(connection), 302, Some("far"));
        moved.headers.push("Contact", contact);
        alice.hear(connection, moved.to_bytes());
        assert!(
            alice.ended().unwrap().contains("out of TLS"),
            "{:?}",
            alice.ended()
        );
        assert_eq!(alice.asked.len(), 1);
    }
    // Not by sips:, but over TLS: what follows uses TLS, or is no way at all.
    for (contact, followed) in [
        ("<sip:bob@192.0.2.8>", true),
        ("<sip:bob@192.0.2.8;transport=tcp>", false),
    ] {
        let mut alice = Phone::direct();
        let call = |agent: &mut UserAgent, now| {
            agent.invite(None, "sip:bob@192.0.2.9;transport=tls", media(20_000), now)
        };
        alice.act(call).unwrap();
        let connection = alice.open();
        let mut moved = Response::reply(&alice.request(connection), 302, Some("far"));
        moved.headers.push("Contact", contact);
        alice.hear(connection, moved.to_bytes());
        assert_eq!(alice.asked.len() == 2, followed, "{:?}", alice.ended());
        assert!(alice.sent.iter().all(|(flow, _)| flow.is_secure()));
    }
}

#[test]
fn a_tls_account_does_not_ring_for_clear_requests() {
    let mut alice = Phone::with_line();
    let connection = alice.register();
    let contact = alice.contact(connection);
    let invite = |branch: &str, via: &str| {
        let body = sdp("192.0.2.9", "");
        format!(
            "INVITE {contact} SIP/2.0\r\nVia: SIP/2.0/{via} 192.0.2.9;branch=z9hG4bK{branch}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:bob@example.org>;tag=b\r\n\
             To: <sip:101@example.org>\r\nCall-ID: {branch}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:bob@192.0.2.9>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let rings = |phone: &Phone| {
        phone
            .events
            .iter()
            .filter(|event| matches!(event, Event::Incoming { .. }))
            .count()
    };
    let sent = alice.sent.len();
    let from: SocketAddr = "192.0.2.9:5061".parse().unwrap();
    alice.act(|agent, now| agent.handle_datagram(from, invite("clear", "UDP").as_bytes(), now));
    assert_eq!(
        (rings(&alice), alice.sent.len()),
        (0, sent),
        "not even an answer"
    );
    alice.hear(connection, invite("secure", "TLS"));
    assert_eq!(rings(&alice), 1);
}
