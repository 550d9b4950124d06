//! Event packages over TLS: a subscription that began there is kept there, and the connection of
//! the registration proves who asks for a new configuration.

use std::net::SocketAddr;
use std::time::Duration;

use sip::message::{Request, Response};
use sip::{Event, Watched, WatchedState};

use crate::Phone;
use crate::world::config;

/// A NOTIFY of the dialog that this SUBSCRIBE began: whom it watches is in a call.
fn busy(subscribe: &Request, via: &str, cseq: u32) -> String {
    let headers = &subscribe.headers;
    let body = "<?xml version=\"1.0\"?><dialog-info \
        xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"0\" state=\"full\" \
        entity=\"sips:bob@192.0.2.9\"><dialog id=\"d\"><state>confirmed</state></dialog>\
        </dialog-info>";
    let (to, from) = (headers.get("From").unwrap(), headers.get("To").unwrap());
    let call_id = headers.call_id().unwrap();
    let lines = [
        "NOTIFY sip:alice@192.0.2.1 SIP/2.0".to_owned(),
        format!("Via: SIP/2.0/{via} 192.0.2.9;branch=z9hG4bK{cseq}"),
        "Max-Forwards: 70".to_owned(),
        format!("From: {from};tag=far"),
        format!("To: {to}"),
        format!("Call-ID: {call_id}"),
        format!("CSeq: {cseq} NOTIFY"),
        "Contact: <sips:bob@192.0.2.9>".to_owned(),
        "Event: dialog".to_owned(),
        "Subscription-State: active".to_owned(),
        "Content-Type: application/dialog-info+xml".to_owned(),
        format!("Content-Length: {}", body.len()),
    ];
    format!("{}\r\n\r\n{body}", lines.join("\r\n"))
}

/// What was reported of watched phones.
fn states(alice: &mut Phone) -> Vec<WatchedState> {
    let state = |event: Event| match event {
        Event::Watched { state, .. } => Some(state),
        _ => None,
    };
    alice.events.drain(..).filter_map(state).collect()
}

#[test]
fn clear_notify_does_not_touch_a_subscription_over_tls() {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.events.watched = vec![Watched {
        account: None,
        target: "sips:bob@192.0.2.9".to_owned(),
    }];
    let mut alice = Phone::new(config);
    alice.run(Duration::from_secs(5));
    let connection = alice.open();
    let subscribe = alice.request(connection);
    assert_eq!(subscribe.method.to_string(), "SUBSCRIBE");
    let mut ok = Response::reply(&subscribe, 200, Some("far"));
    ok.headers.push("Contact", "<sips:bob@192.0.2.9>");
    ok.headers.push("Expires", "600");
    alice.hear(connection, ok.to_bytes());
    let from: SocketAddr = "192.0.2.9:5060".parse().unwrap();
    let clear = busy(&subscribe, "UDP", 1);
    alice.act(|agent, now| agent.handle_datagram(from, clear.as_bytes(), now));
    let answer = &alice.sent.last().unwrap().1;
    assert!(answer.starts_with("SIP/2.0 403"), "{answer}");
    assert_eq!(states(&mut alice), [], "a NOTIFY in the clear was believed");
    alice.hear(connection, busy(&subscribe, "TLS", 2));
    assert_eq!(states(&mut alice), [WatchedState::Busy]);
}

#[test]
fn configuration_is_looked_up_along_the_connection_of_the_registration() {
    let mut alice = Phone::with_line();
    let connection = alice.register();
    let notify = "NOTIFY sip:101@192.0.2.1 SIP/2.0\r\n\
        Via: SIP/2.0/TLS 192.0.2.9;branch=z9hG4bKsync\r\nMax-Forwards: 70\r\n\
        From: <sip:pbx@example.org>;tag=pbx\r\nTo: <sip:101@example.org>\r\nCall-ID: sync\r\n\
        CSeq: 1 NOTIFY\r\nContact: <sip:192.0.2.9>\r\nEvent: check-sync\r\n\
        Subscription-State: terminated\r\nContent-Length: 0\r\n\r\n";
    alice.hear(connection, notify);
    let answer = &alice.sent.last().unwrap().1;
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    let asked = alice.events.iter();
    let asked = asked.filter(|event| matches!(event, Event::CheckSync { reboot: false, .. }));
    assert_eq!(asked.count(), 1);
}
