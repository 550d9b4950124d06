//! Transfers this phone asks for: REFER out, NOTIFYs in.

use sip::EndedBy;
use sip::agent::Event;
use sip::message::{Method, Request};

use crate::CAROL;
use crate::failed::sent_to_who_rings;
use crate::world::{PEER, World, calling, ends, sdp};

/// A NOTIFY of the peer's in the dialog of alice's call to it.
pub(crate) fn notify(invite: &Request, cseq: u32, headers: &str, body: &str) -> String {
    format!(
        "NOTIFY sip:alice@192.0.2.1 SIP/2.0\r\n\
         Via: SIP/2.0/UDP {PEER};rport;branch=z9hG4bKnotify{cseq}\r\nMax-Forwards: 70\r\n\
         From: {};tag=p\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} NOTIFY\r\n\
         Contact: <sip:peer@{PEER}>\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        invite.headers.get("To").unwrap(),
        invite.headers.get("From").unwrap(),
        invite.headers.call_id().unwrap(),
        body.len(),
    )
}

#[test]
fn a_transfer_follows_the_notifies() {
    let mut world = World::alone();
    let (held, first) = calling(&mut world);
    let consulted = world.invite(0, &format!("sip:carol@{CAROL}"));
    let second = world.request(&Method::Invite);
    world.accept(&second, Some("c"), CAROL, &sdp("192.0.2.8", ""));
    world.run_ms(50);
    world.events(0);
    world.inbox.clear();
    // News of nothing that was asked for.
    let fragment = "Content-Type: message/sipfrag\r\n";
    let active = format!("Event: refer\r\nSubscription-State: active;expires=60\r\n{fragment}");
    world.send(PEER, 0, notify(&first, 60, &active, "SIP/2.0 200 OK\r\n"));
    world.response(481);
    world
        .with(0, |alice, now| alice.transfer(held, consulted, now))
        .unwrap();
    assert_eq!(
        ends(&world.events(0)),
        [(EndedBy::Local, None), (EndedBy::Local, None)],
        "for the owner both are over"
    );
    assert!(
        world
            .with(0, |alice, now| alice.transfer(held, consulted, now))
            .is_err(),
        "once"
    );
    let (at, refer) = world.request_at(&Method::Refer);
    assert_eq!(at, PEER.parse().unwrap());
    let tag = |request: &Request| request.headers.from().unwrap().tag().unwrap().to_owned();
    let to = refer.headers.address("Refer-To").unwrap().unwrap();
    let uri = to.uri.as_sip().unwrap();
    assert_eq!(
        uri.clone().for_request().to_string(),
        format!("sip:peer@{CAROL}"),
        "the contact of whom was consulted"
    );
    assert_eq!(
        uri.header("Replaces").unwrap(),
        format!(
            "{};to-tag=c;from-tag={}",
            second.headers.call_id().unwrap(),
            tag(&second)
        )
    );
    assert!(
        refer.headers.sip_contact().is_ok()
            && refer
                .headers
                .address("Referred-By")
                .unwrap()
                .unwrap()
                .tag()
                .is_none()
    );
    world.answer(&refer, 202, None, PEER, &[], None);
    for (cseq, headers, body, code) in [
        (61, active.as_str(), "SIP/2.0 100 Trying\r\n", 200),
        (62, active.as_str(), "SIP/2.0 180 Ringing\r\n", 200),
        (63, "Event: dialog\r\n", "", 481),
        (
            64,
            "Event: refer\r\nContent-Type: text/plain\r\n",
            "hello",
            415,
        ),
        (65, active.as_str(), "no status", 200),
    ] {
        world.send(PEER, 0, notify(&first, cseq, headers, body));
        world.response(code);
        assert_eq!(world.sent("BYE"), 0, "{body}");
    }
    let last =
        format!("Event: refer\r\nSubscription-State: terminated;reason=noresource\r\n{fragment}");
    world.send(PEER, 0, notify(&first, 66, &last, "SIP/2.0 200 OK\r\n"));
    world.run_ms(50);
    assert_eq!(world.sent("BYE"), 2);
    assert!(
        matches!(&world.events(0)[..], [Event::Transferred { call, result: Ok(()), .. }]
            if *call == held)
    );
    assert_eq!(world.phones[0].agent.tables().calls, 0);
    world.run_ms(40_000);
    world.assert_empty();
}

#[test]
fn a_ringing_call_is_cancelled_and_placed_again() {
    let mut world = World::alone();
    let (_, _, refer) = sent_to_who_rings(&mut world);
    world.run_ms(50);
    assert_eq!((world.sent("CANCEL"), world.sent("REFER")), (1, 1));
    let to = refer.headers.address("Refer-To").unwrap().unwrap();
    assert_eq!(
        to.uri.to_string(),
        format!("sip:carol@{CAROL}"),
        "without Replaces"
    );
    // Refused: whom it was meant for comes back, and no one takes it.
    world.answer(&refer, 405, None, PEER, &[], None);
    world.run_ms(60_100);
    world.request(&Method::Bye);
    world.run_ms(70_000);
    world.assert_empty();
}

#[test]
fn shutting_down_ends_what_is_being_handed_over() {
    let mut world = World::alone();
    let (held, _) = calling(&mut world);
    let consulted = world.invite(0, &format!("sip:carol@{CAROL}"));
    let second = world.request(&Method::Invite);
    world.accept(&second, Some("c"), CAROL, &sdp("192.0.2.8", ""));
    world.run_ms(50);
    world
        .with(0, |alice, now| alice.transfer(held, consulted, now))
        .unwrap();
    world.with(0, sip::UserAgent::shut_down);
    assert_eq!(world.sent("BYE"), 2);
    world.run_ms(70_000);
    world.assert_empty();
}
