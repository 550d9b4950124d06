//! Session timers (RFC 4028) in both roles, against a scripted peer and between two phones.

mod world;

use sip::message::{Headers, Method, Request, Response};
use sip::{CallHandle, EndedBy, Event};
use types::Direction;
use world::{Ask, PEER, World, ack, config, ends, inside, is_established, media, sdp};

const SDP: &str = "Content-Type: application/sdp\r\n";

fn expires(headers: &Headers) -> &str {
    headers.get("Session-Expires").unwrap_or_default()
}

/// Alice, who asks for this interval.
fn alice(session_expires_s: Option<u32>) -> World {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.session_intervals.wanted_s = session_expires_s;
    World::new(vec![config])
}

/// Her call to the peer, answered with these headers; her INVITE.
fn calling(world: &mut World, extra: &[(&str, &str)]) -> (CallHandle, Request) {
    let (call, invite) = world::called(world);
    let body = sdp("192.0.2.9", "");
    world.answer(&invite, 200, Some("p"), PEER, extra, Some(&body));
    world.request(&Method::Ack);
    assert!(is_established(&world.events(0)));
    (call, invite)
}

/// The peer's call to her with these headers, answered and acknowledged; her 200.
fn answered(world: &mut World, headers: &str) -> (CallHandle, Response) {
    let invite = Ask {
        extra: format!("{SDP}{headers}"),
        ..Ask::invite()
    };
    world.send(PEER, 0, invite.text());
    world.response(100);
    let call = world.incoming(0);
    world.with(0, |alice, now| alice.answer(call, media(20_000), now));
    let answer = world.response(200);
    world.send(PEER, 0, ack(&answer));
    world.run_ms(50);
    (call, answer)
}

/// When a request of this method left last, in whole seconds after the call was established.
fn second_of(world: &World, method: &str) -> u64 {
    world.times(method).last().copied().unwrap_or_default() as u64
}

#[test]
fn too_small_an_interval_gets_422() {
    for value in ["30", "89;refresher=uac"] {
        let mut world = World::alone();
        let invite = Ask {
            extra: format!("{SDP}Supported: timer\r\nSession-Expires: {value}\r\n"),
            ..Ask::invite()
        };
        world.send(PEER, 0, invite.text());
        let refusal = world.response(422);
        assert_eq!(refusal.headers.number("Min-SE"), Some(90));
        assert!(world.events(0).is_empty(), "nothing rings");
    }
}

#[test]
fn required_timer_is_taken_and_an_expired_call_ends() {
    let mut world = World::alone();
    let headers = "Require: timer\r\nSupported: timer\r\nSession-Expires: 90\r\n";
    let (_, answer) = answered(&mut world, headers);
    assert_eq!(expires(&answer.headers), "90;refresher=uac");
    assert!(answer.headers.has_token("Require", "timer"));
    world.run_ms(59_000);
    assert_eq!(world.sent("BYE"), 0);
    world.run_ms(2_000);
    let bye = world.request(&Method::Bye);
    assert!(
        bye.headers
            .get("Reason")
            .unwrap()
            .contains("Session timer expired")
    );
    assert_eq!(ends(&world.events(0)), [(EndedBy::Failure, Some(408))]);
    world.answer(&bye, 200, None, PEER, &[], None);
    world.assert_empty();
}

#[test]
fn refresh_of_theirs_prolongs_the_call() {
    let mut world = World::alone();
    let timer = "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n";
    let (_, answer) = answered(&mut world, timer);
    for cseq in 2..6 {
        world.run_ms(45_000);
        let refresh = Ask {
            extra: timer.into(),
            ..inside(&answer, "UPDATE", cseq)
        };
        world.send(PEER, 0, refresh.text());
        let refreshed = world.response(200);
        assert_eq!(expires(&refreshed.headers), "90;refresher=uac");
        assert!(refreshed.body.is_empty());
    }
    let small = Ask {
        extra: "Supported: timer\r\nSession-Expires: 60\r\n".into(),
        ..inside(&answer, "UPDATE", 6)
    };
    world.send(PEER, 0, small.text());
    world.response(422);
    assert!(ends(&world.events(0)).is_empty());
    world.run_ms(61_000);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Failure, Some(408))]);
}

#[test]
fn we_refresh_by_update_where_it_is_allowed() {
    let mut world = alice(Some(90));
    let allow = [
        ("Allow", "INVITE, ACK, BYE, UPDATE"),
        ("Session-Expires", "90;refresher=uac"),
    ];
    let (call, invite) = calling(&mut world, &allow);
    assert_eq!(expires(&invite.headers), "90");
    assert!(invite.headers.has_token("Supported", "timer"));
    for round in 1..4 {
        world.run_ms(45_000);
        let update = world.request(&Method::Update);
        assert_eq!(expires(&update.headers), "90;refresher=uac");
        assert!(update.body.is_empty() && update.headers.sip_contact().is_ok());
        assert!(second_of(&world, "UPDATE") <= 46 * round);
        world.answer(&update, 200, None, PEER, &allow, None);
    }
    assert!(
        world.events(0).is_empty(),
        "the owner has nothing to do with it"
    );
    world.with(0, |alice, now| alice.end(call, now));
    let bye = world.request(&Method::Bye);
    world.answer(&bye, 200, None, PEER, &[], None);
    world.assert_empty();
}

#[test]
fn we_refresh_by_reinvite_where_update_is_not_known() {
    let mut world = alice(Some(90));
    // It knows neither timers nor UPDATE: the timer is ours alone.
    let (_, invite) = calling(&mut world, &[("Allow", "INVITE, ACK, BYE")]);
    let before = String::from_utf8(invite.body.to_vec()).unwrap();
    world.run_ms(45_000);
    let refresh = world.request(&Method::Invite);
    let body = String::from_utf8(refresh.body.to_vec()).unwrap();
    assert!(body.contains("m=audio 20000") && before.contains("m=audio 20000"));
    assert_eq!(expires(&refresh.headers), "90;refresher=uac");
    // Whatever it answers it is there, and nothing runs out at its end: the next is due as always.
    let mut refresh = refresh;
    for code in [500, 488, 403] {
        world.answer(&refresh, code, None, PEER, &[], None);
        world.request(&Method::Ack);
        world.run_ms(44_000);
        assert!(
            world.events(0).is_empty() && world.inbox.is_empty(),
            "{code}"
        );
        world.run_ms(1_000);
        refresh = world.request(&Method::Invite);
    }
}

#[test]
fn refused_refresh_is_tried_again_until_the_session_expires() {
    let mut world = alice(Some(90));
    let timer = [
        ("Allow", "INVITE, ACK, BYE"),
        ("Session-Expires", "90;refresher=uac"),
    ];
    calling(&mut world, &timer);
    world.run_ms(45_000);
    let refresh = world.request(&Method::Invite);
    // A refresh that is refused is no failed hold.
    world.answer(&refresh, 500, None, PEER, &[], None);
    world.run_ms(5_000);
    assert!(world.events(0).is_empty());
    let again = world.request(&Method::Invite);
    world.answer(&again, 500, None, PEER, &[], None);
    world.run_ms(20_000);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Failure, Some(408))]);
}

#[test]
fn update_that_is_refused_becomes_a_reinvite() {
    let mut world = alice(Some(90));
    calling(&mut world, &[("Allow", "INVITE, UPDATE")]);
    world.run_ms(45_000);
    let update = world.request(&Method::Update);
    world.answer(&update, 501, None, PEER, &[], None);
    let reinvite = world.request(&Method::Invite);
    let body = sdp("192.0.2.9", "");
    world.answer(&reinvite, 200, None, PEER, &[], Some(&body));
    world.request(&Method::Ack);
    world.run_ms(30_000);
    assert!(ends(&world.events(0)).is_empty());
}

#[test]
fn unanswered_refresh_ends_the_call() {
    let mut world = alice(Some(90));
    let allow = [("Allow", "INVITE, UPDATE")];
    calling(&mut world, &allow);
    world.run_ms(62_000);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Failure, Some(408))]);
    world.assert_quiet();
}

#[test]
fn interval_too_small_for_the_far_end_is_raised() {
    let mut world = alice(Some(90));
    let (call, invite) = world::called(&mut world);
    world.answer(&invite, 422, Some("p"), PEER, &[("Min-SE", "300")], None);
    let again = world.request(&Method::Invite);
    assert_eq!(expires(&again.headers), "300");
    assert_eq!(again.headers.number("Min-SE"), Some(300));
    assert_eq!(again.headers.call_id(), invite.headers.call_id());
    assert_eq!(again.headers.cseq().unwrap().number, 2);
    assert!(world.events(0).is_empty());
    // Not without end.
    for min in ["301", "302"] {
        let last = world.inbox.is_empty();
        assert!(last);
        let request = if min == "301" {
            again.clone()
        } else {
            world.request(&Method::Invite)
        };
        world.answer(&request, 422, Some("p"), PEER, &[("Min-SE", min)], None);
    }
    let fourth = world.request(&Method::Invite);
    world.answer(&fourth, 422, Some("p"), PEER, &[("Min-SE", "303")], None);
    world.run_ms(50);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Remote, Some(422))]);
    let _ = call;
}

/// Alice calls, and gets 422 with each of these; how many INVITEs she sends in all.
fn invites_for(answers: &[Option<&str>]) -> usize {
    let mut world = alice(Some(90));
    let (_, mut invite) = world::called(&mut world);
    for (n, min) in answers.iter().enumerate() {
        let headers: Vec<(&str, &str)> = min.iter().map(|min| ("Min-SE", *min)).collect();
        world.answer(&invite, 422, Some("p"), PEER, &headers, None);
        world.run_ms(50);
        let sent = world.sent("INVITE");
        if sent == n + 1 {
            assert_eq!(ends(&world.events(0)), [(EndedBy::Remote, Some(422))]);
            world.run_ms(70_000);
            world.assert_empty();
            return sent;
        }
        assert_eq!(sent, n + 2, "one at a time");
        invite = world.request(&Method::Invite);
    }
    world.sent("INVITE")
}

#[test]
fn far_end_whom_no_interval_suits_is_not_asked_for_ever() {
    let rising: Vec<String> = (1..30).map(|n| (100 * n).to_string()).collect();
    let rising: Vec<Option<&str>> = rising.iter().map(|min| Some(min.as_str())).collect();
    assert_eq!(invites_for(&rising), 4);
    // What was asked for already, or less, is not asked for again.
    assert_eq!(invites_for(&[Some("300"); 30]), 2);
    assert_eq!(invites_for(&[Some("300"), Some("200"), Some("200")]), 2);
    assert_eq!(invites_for(&[Some("90"); 30]), 1);
    // Without a number, with none that can be kept to, or with none at all.
    for min in [None, Some("soon"), Some("4294967296"), Some("99999999")] {
        assert_eq!(invites_for(&[min; 30]), 1, "{min:?}");
    }
}

#[test]
fn refresh_that_no_interval_suits_is_not_sent_for_ever() {
    let refresher = ("Session-Expires", "90;refresher=uac");
    for (allow, method) in [
        ("INVITE", Method::Invite),
        ("INVITE, UPDATE", Method::Update),
    ] {
        for more in [&[][..], &[refresher, ("Require", "timer")]] {
            let mut world = alice(Some(90));
            let headers = [&[("Allow", allow)][..], more].concat();
            calling(&mut world, &headers);
            let name = method.as_str();
            let before = world.sent(name);
            world.run_ms(45_200);
            let mut sent = 0;
            while world.sent(name) > before + sent {
                sent += 1;
                assert!(sent < 12, "{name} without end");
                let refresh = world.request(&method);
                world.answer(&refresh, 422, None, PEER, &[("Min-SE", "600")], None);
                world.run_ms(100);
            }
            assert_eq!(sent, 2, "{name} {more:?}: once as agreed, once for longer");
            assert!(ends(&world.events(0)).is_empty());
        }
    }
}

#[test]
fn far_end_may_take_the_refreshing_over() {
    let mut world = alice(Some(90));
    let theirs = [
        ("Session-Expires", "120;refresher=uas"),
        ("Require", "timer"),
    ];
    calling(&mut world, &theirs);
    world.run_ms(87_000);
    assert_eq!((world.sent("UPDATE"), world.sent("BYE")), (0, 0));
    world.run_ms(2_000);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Failure, Some(408))]);
}

#[test]
fn hold_and_refresh_cross_without_harm() {
    let mut world = alice(Some(90));
    let (call, _) = calling(&mut world, &[("Allow", "INVITE")]);
    world.run_ms(44_000);
    world.with(0, |alice, now| {
        alice.set_direction(call, Direction::SendOnly, now);
    });
    let hold = world.request(&Method::Invite);
    assert_eq!(expires(&hold.headers), "90;refresher=uac");
    // The refresh is due while the hold is under way, and is not needed after it.
    world.run_ms(2_000);
    world.answer(&hold, 491, None, PEER, &[], None);
    let again = world.request(&Method::Ack);
    assert_eq!(again.headers.cseq().unwrap().method, Method::Ack);
    world.run_ms(4_200);
    let hold = world.request(&Method::Invite);
    assert!(String::from_utf8_lossy(&hold.body).contains("a=sendonly"));
    let held = sdp("192.0.2.9", "a=recvonly\r\n");
    world.answer(&hold, 200, None, PEER, &[], Some(&held));
    world.request(&Method::Ack);
    let events = world.events(0);
    assert!(
        matches!(&events[..], [Event::MediaChanged { .. }]),
        "{events:?}"
    );
    let invites = world.sent("INVITE");
    world.run_ms(44_000);
    assert_eq!(world.sent("INVITE"), invites, "the hold was a refresh");
    world.run_ms(1_000);
    let refresh = world.request(&Method::Invite);
    assert!(String::from_utf8_lossy(&refresh.body).contains("a=sendonly"));
}

#[test]
fn two_phones_keep_each_other_in_the_call() {
    let mut configs = [
        config("alice", "192.0.2.1:5060", 1),
        config("bob", "192.0.2.2:5060", 2),
    ];
    configs[0].session_intervals.wanted_s = Some(90);
    let mut world = World::new(configs.to_vec());
    let call = world.invite(0, "sip:bob@192.0.2.2");
    world.run_ms(50);
    let bob = world.incoming(1);
    world.with(1, |agent, now| agent.answer(bob, media(20_100), now));
    world.run_ms(600_000);
    assert!(ends(&world.events(0)).is_empty() && ends(&world.events(1)).is_empty());
    assert!(
        (10..=14).contains(&world.sent("UPDATE")),
        "{}",
        world.sent("UPDATE")
    );
    // Bob vanishes: alice ends the call.
    world.phones[1].address = "192.0.2.99:5060".parse().unwrap();
    world.run_ms(90_000);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Failure, Some(408))]);
    let _ = call;
}
