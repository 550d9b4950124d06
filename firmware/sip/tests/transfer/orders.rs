//! Attended transfers by a server that connects the two itself: what it sends last comes in any
//! order, and the phone is out of it in each.

use sip::agent::{Event, Tables};
use sip::message::{Method, Request};
use sip::{CallHandle, EndedBy};

use crate::CAROL;
use crate::sent::notify;
use crate::world::{PEER, World, calling, ends, is_established, media, sdp};

/// Alice has transferred the peer to carol, who answered just now: the INVITEs of both calls, the
/// held call, and the REFER.
pub(crate) fn transferred(world: &mut World) -> (CallHandle, [Request; 2], Request) {
    let (held, first) = calling(world);
    let consulted = world.invite(0, &format!("sip:carol@{CAROL}"));
    let second = world.request(&Method::Invite);
    world.accept(&second, Some("c"), CAROL, &sdp("192.0.2.8", ""));
    world.run_ms(20);
    // The handset goes down in the moment in which it was answered.
    world
        .with(0, |alice, now| alice.transfer(held, consulted, now))
        .unwrap();
    assert_eq!(ends(&world.events(0)), [(EndedBy::Local, None); 2]);
    let refer = world.request(&Method::Refer);
    (held, [first, second], refer)
}

/// A request of one far end in the dialog this INVITE of alice's made.
pub(crate) fn ask(
    invite: &Request,
    tag: &str,
    at: &str,
    method: &str,
    cseq: u32,
    body: &str,
) -> String {
    let kind = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!(
        "{method} sip:alice@192.0.2.1 SIP/2.0\r\n\
         Via: SIP/2.0/UDP {at};rport;branch=z9hG4bK{tag}{method}{cseq}\r\nMax-Forwards: 70\r\n\
         From: {};tag={tag}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
         Contact: <sip:{tag}@{at}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        invite.headers.get("To").unwrap(),
        invite.headers.get("From").unwrap(),
        invite.headers.call_id().unwrap(),
        body.len(),
    )
}

pub(crate) fn news(invite: &Request, cseq: u32, status: &str) -> String {
    let over = "Event: refer\r\nSubscription-State: terminated;reason=noresource\r\n\
                Content-Type: message/sipfrag\r\n";
    notify(invite, cseq, over, &format!("SIP/2.0 {status}\r\n"))
}

/// What came of the transfer.
pub(crate) fn result(world: &mut World, held: CallHandle) -> Result<(), u16> {
    world.run_ms(50);
    let found = world.events(0).into_iter().find_map(|event| match event {
        Event::Transferred { call, result, .. } if call == held => Some(result),
        _ => None,
    });
    found.unwrap()
}

pub(crate) fn nothing_is_left(world: &mut World) {
    world.run_ms(70_000);
    assert_eq!(world.phones[0].agent.tables(), Tables::default());
    world.assert_empty();
}

#[test]
fn last_word_may_come_before_the_202() {
    let mut world = World::alone();
    let (held, [first, _], refer) = transferred(&mut world);
    world.send(PEER, 0, news(&first, 60, "200 OK"));
    assert_eq!(result(&mut world, held), Ok(()));
    assert_eq!(world.sent("BYE"), 2, "each call is ended once");
    world.answer(&refer, 202, None, PEER, &[], None);
    nothing_is_left(&mut world);
}

#[test]
fn replaced_call_may_be_ended_before_the_202_and_before_the_last_word() {
    for early in [true, false] {
        let mut world = World::alone();
        let (held, [first, second], refer) = transferred(&mut world);
        if !early {
            world.answer(&refer, 202, None, PEER, &[], None);
        }
        // Carol's phone ends what was replaced.
        world.send(CAROL, 0, ask(&second, "c", CAROL, "BYE", 9, ""));
        world.response(200);
        if early {
            world.answer(&refer, 202, None, PEER, &[], None);
        }
        world.send(PEER, 0, news(&first, 60, "200 OK"));
        assert_eq!(result(&mut world, held), Ok(()), "{early}");
        assert_eq!(world.sent("BYE"), 1, "only the call that is left");
        nothing_is_left(&mut world);
    }
}

#[test]
fn far_end_may_hang_up_before_the_202_and_without_a_last_word() {
    for code in [None, Some(202), Some(481)] {
        let mut world = World::alone();
        let (_, [first, second], refer) = transferred(&mut world);
        world.send(PEER, 0, ask(&first, "p", PEER, "BYE", 9, ""));
        world.response(200);
        if let Some(code) = code {
            world.answer(&refer, code, None, PEER, &[], None);
        }
        // The other call is about to be replaced: it gets a moment for that.
        world.run_ms(3_000);
        assert_eq!(world.sent("BYE"), 0, "{code:?}");
        world.send(CAROL, 0, ask(&second, "c", CAROL, "BYE", 9, ""));
        world.response(200);
        nothing_is_left(&mut world);
        assert_eq!(world.sent("BYE"), 0, "{code:?}: both were ended there");
    }
}

#[test]
fn server_that_connects_them_changes_calls_that_are_being_transferred() {
    for (method, tag, at) in [
        ("INVITE", "c", CAROL),
        ("UPDATE", "c", CAROL),
        ("INVITE", "p", PEER),
        ("UPDATE", "p", PEER),
    ] {
        let mut world = World::alone();
        let (held, [first, second], refer) = transferred(&mut world);
        let invite = if tag == "c" { &second } else { &first };
        let host = at.split_once(':').unwrap().0;
        world.send(at, 0, ask(invite, tag, at, method, 9, &sdp(host, "")));
        let answer = world.response(200);
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(body.contains("a=inactive"), "{method} {tag}: {body}");
        if method == "INVITE" {
            world.send(at, 0, ask(invite, tag, at, "ACK", 9, ""));
        }
        world.run_ms(50);
        assert!(
            world.events(0).is_empty(),
            "the owner has nothing to do with it"
        );
        world.answer(&refer, 202, None, PEER, &[], None);
        world.send(PEER, 0, news(&first, 60, "200 OK"));
        assert_eq!(result(&mut world, held), Ok(()), "{method} {tag}");
        nothing_is_left(&mut world);
    }
}

#[test]
fn server_that_cannot_take_it_over_yet_is_asked_again() {
    for refused_at_once in [true, false] {
        let mut world = World::alone();
        let (held, [first, _], refer) = transferred(&mut world);
        if refused_at_once {
            world.answer(&refer, 500, None, PEER, &[], None);
        } else {
            world.answer(&refer, 202, None, PEER, &[], None);
            world.send(PEER, 0, news(&first, 60, "500 Server Internal Error"));
        }
        world.run_ms(500);
        assert_eq!((world.sent("REFER"), world.sent("BYE")), (1, 0));
        world.run_ms(600);
        let again = world.request(&Method::Refer);
        assert_eq!(again.headers.get("Refer-To"), refer.headers.get("Refer-To"));
        world.answer(&again, 202, None, PEER, &[], None);
        world.send(PEER, 0, news(&first, 61, "200 OK"));
        assert_eq!(result(&mut world, held), Ok(()));
        nothing_is_left(&mut world);
    }
}

/// Alice sends the peer to carol's number; her INVITE to the peer, and the REFER.
fn sent_to_a_number(world: &mut World) -> (CallHandle, Request, Request) {
    let (held, invite) = calling(world);
    world
        .with(0, |alice, now| {
            alice.transfer_to(held, &format!("sip:carol@{CAROL}"), now)
        })
        .unwrap();
    assert_eq!(ends(&world.events(0)), [(EndedBy::Local, None)]);
    (held, invite, world.request(&Method::Refer))
}

/// Whether the call is offered to its owner again.
pub(crate) fn comes_back(world: &mut World, held: CallHandle) -> bool {
    world.run_ms(50);
    world
        .events(0)
        .iter()
        .any(|event| matches!(event, Event::Incoming { call, returned: true, .. } if *call == held))
}

/// Alice takes the call back; the re-INVITE of that.
pub(crate) fn taken_back(world: &mut World, held: CallHandle) -> Request {
    world.with(0, |alice, now| alice.answer(held, media(21_000), now));
    let change = world.request(&Method::Invite);
    assert!(String::from_utf8_lossy(&change.body).contains("m=audio 21000 "));
    change
}

#[test]
fn call_that_cannot_go_to_a_number_comes_back() {
    for refused in [true, false] {
        let mut world = World::alone();
        let (held, invite, refer) = sent_to_a_number(&mut world);
        if refused {
            world.answer(&refer, 603, None, PEER, &[], None);
        } else {
            world.answer(&refer, 202, None, PEER, &[], None);
            world.send(PEER, 0, news(&invite, 60, "486 Busy Here"));
        }
        assert!(comes_back(&mut world, held), "{refused}");
        assert_eq!(world.sent("BYE"), 0, "{refused}");
        let change = taken_back(&mut world, held);
        assert!(
            !is_established(&world.events(0)),
            "not before the far end says so"
        );
        world.accept(&change, None, PEER, &sdp("192.0.2.9", ""));
        world.request(&Method::Ack);
        assert!(is_established(&world.events(0)));
        // It is a call like any other: it is held, transferred again, and ended.
        world.with(0, |alice, now| alice.end(held, now));
        let bye = world.request(&Method::Bye);
        world.answer(&bye, 200, None, PEER, &[], None);
        nothing_is_left(&mut world);
    }
}

#[test]
fn far_end_that_is_changing_the_call_is_asked_again_once() {
    for (first, second, back) in [(491, 202, false), (400, 202, false), (491, 491, true)] {
        let mut world = World::alone();
        let (held, invite, refer) = sent_to_a_number(&mut world);
        world.answer(&refer, first, None, PEER, &[], None);
        world.run_ms(900);
        assert_eq!(world.sent("REFER"), 1);
        world.run_ms(200);
        let refer = world.request(&Method::Refer);
        world.answer(&refer, second, None, PEER, &[], None);
        assert_eq!(comes_back(&mut world, held), back, "{second}");
        if back {
            world.with(0, |alice, now| alice.reject(held, 486, now));
        } else {
            world.send(PEER, 0, news(&invite, 60, "200 OK"));
        }
        world.run_ms(50);
        assert_eq!(world.sent("BYE"), 1, "{second}");
        nothing_is_left(&mut world);
    }
}

#[test]
fn call_that_came_back_may_be_refused_missed_or_gone() {
    for how in [
        "rejected",
        "missed",
        "hung up there",
        "not taken there",
        "transferred again",
    ] {
        let mut world = World::alone();
        let (held, invite, refer) = sent_to_a_number(&mut world);
        world.answer(&refer, 603, None, PEER, &[], None);
        assert!(comes_back(&mut world, held), "{how}");
        match how {
            "rejected" => world.with(0, |alice, now| alice.reject(held, 486, now)),
            "missed" => world.run_ms(60_100),
            "hung up there" => {
                world.send(PEER, 0, ask(&invite, "p", PEER, "BYE", 90, ""));
                world.response(200);
            }
            "not taken there" => {
                let change = taken_back(&mut world, held);
                world.answer(&change, 488, None, PEER, &[], None);
            }
            _ => {
                let change = taken_back(&mut world, held);
                world.accept(&change, None, PEER, &sdp("192.0.2.9", ""));
                world.request(&Method::Ack);
                world.events(0);
                world
                    .with(0, |alice, now| {
                        alice.transfer_to(held, "sip:x@192.0.2.8", now)
                    })
                    .unwrap();
                let refer = world.request(&Method::Refer);
                world.answer(&refer, 202, None, PEER, &[], None);
                world.send(PEER, 0, news(&invite, 95, "200 OK"));
            }
        }
        world.run_ms(100);
        assert_eq!(ends(&world.events(0)).len(), 1, "{how}");
        assert_eq!(
            world.sent("BYE"),
            usize::from(how != "hung up there"),
            "{how}"
        );
        nothing_is_left(&mut world);
    }
}

#[test]
fn call_whose_far_end_is_gone_or_went_on_does_not_come_back() {
    for (code, news_of) in [(481, None), (202, Some("200 OK")), (202, None)] {
        let mut world = World::alone();
        let (held, invite, refer) = sent_to_a_number(&mut world);
        world.answer(&refer, code, None, PEER, &[], None);
        if let Some(status) = news_of {
            world.send(PEER, 0, news(&invite, 60, status));
        }
        assert!(!comes_back(&mut world, held), "{code} {news_of:?}");
        world.run_ms(40_000);
        assert!(!comes_back(&mut world, held), "{code} {news_of:?}");
        nothing_is_left(&mut world);
    }
}

#[test]
fn refresh_of_the_session_crosses_a_transfer() {
    for (refused, update) in [(false, true), (true, true), (false, false)] {
        let mut world = World::alone();
        let held = world.invite(0, &format!("sip:peer@{PEER}"));
        let invite = world.request(&Method::Invite);
        let allow = if update {
            "INVITE, ACK, BYE, NOTIFY, UPDATE"
        } else {
            "INVITE, ACK, BYE, NOTIFY"
        };
        let timer = [
            ("Session-Expires", "90;refresher=uac"),
            ("Require", "timer"),
            ("Allow", allow),
        ];
        let body = sdp("192.0.2.9", "");
        world.answer(&invite, 200, Some("p"), PEER, &timer, Some(&body));
        world.request(&Method::Ack);
        world.run_ms(40_000);
        world.events(0);
        world
            .with(0, |alice, now| {
                alice.transfer_to(held, &format!("sip:carol@{CAROL}"), now)
            })
            .unwrap();
        world.events(0);
        let refer = world.request(&Method::Refer);
        world.answer(&refer, 202, None, PEER, &[], None);
        // Half of the interval is over while the far end calls: the session is kept.
        world.run_ms(5_100);
        let method = if update {
            Method::Update
        } else {
            Method::Invite
        };
        let refresh = world.request(&method);
        if refused {
            world.answer(&refresh, 491, None, PEER, &[], None);
            world.run_ms(8_000);
        } else if update {
            world.answer(&refresh, 200, None, PEER, &timer, None);
            // It counts: without it the session would be over by now.
            world.run_ms(25_000);
        } else {
            world.answer(&refresh, 200, None, PEER, &timer, Some(&body));
            world.request(&Method::Ack);
        }
        world.send(PEER, 0, news(&invite, 60, "486 Busy Here"));
        assert!(comes_back(&mut world, held), "{refused} {update}");
        assert_eq!(world.sent("BYE"), 0, "{refused} {update}");
        world.with(0, |alice, now| alice.end(held, now));
        let bye = world.request(&Method::Bye);
        world.answer(&bye, 200, None, PEER, &[], None);
        world.run_ms(70_000);
        assert_eq!(world.phones[0].agent.tables().calls, 0);
    }
}
