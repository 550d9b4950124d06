//! What goes wrong with a PRACK (RFC 3262): it is refused or challenged, crosses the answer, or
//! another response comes before it is through.

use sip::EndedBy;
use sip::message::{Method, Request};

use crate::world::{PEER, World, account, ack, called, config, ends, is_established, media, sdp};
use crate::{early_media, prack, rack_of, reliably, ringing};

/// The call to the peer is hung up: its BYE carries this number.
fn hang_up(world: &mut World, call: sip::CallHandle, cseq: u32) {
    world.with(0, |alice, now| alice.end(call, now));
    let bye = world.request(&Method::Bye);
    assert_eq!(bye.headers.cseq().unwrap().number, cseq);
    world.answer(&bye, 200, None, PEER, &[], None);
    world.assert_empty();
}

fn number(request: &Request) -> u32 {
    request.headers.cseq().unwrap().number
}

/// Whether the call comes to anything is the INVITE's to say, which is still open: no refusal of a
/// PRACK ends it.
#[test]
fn refused_prack_ends_no_call() {
    for code in [400, 403, 404, 408, 481, 488, 500, 501, 503, 504, 603] {
        for answered_first in [false, true] {
            let mut world = World::alone();
            let (call, invite) = called(&mut world);
            reliably(&mut world, &invite, 183, "p", 1, true);
            let refused = world.request(&Method::Prack);
            if !answered_first {
                world.answer(&refused, code, None, PEER, &[], None);
                world.run_ms(50);
                assert!(ends(&world.events(0)).is_empty(), "{code}");
                // Another reliable response of this branch is acknowledged all the same.
                reliably(&mut world, &invite, 180, "p", 2, false);
                let prack = world.request(&Method::Prack);
                assert_eq!(prack.headers.get("RAck"), Some("2 1 INVITE"), "{code}");
                world.answer(&prack, 200, None, PEER, &[], None);
            }
            world.answer(&invite, 200, Some("p"), PEER, &[], None);
            assert_eq!(number(&world.request(&Method::Ack)), 1, "{code}");
            if answered_first {
                world.answer(&refused, code, None, PEER, &[], None);
            }
            world.run_ms(50);
            let events = world.events(0);
            assert!(is_established(&events), "{code}: {events:?}");
            assert!(ends(&events).is_empty(), "{code}: {events:?}");
            hang_up(&mut world, call, if answered_first { 3 } else { 4 });
        }
    }
}

/// A proxy that challenges each request gets the password for the PRACK, too; it acknowledges the
/// same response under a number of its own.
#[test]
fn challenged_prack_is_sent_again_with_the_password() {
    let mut alice = config("alice", "192.0.2.1:5060", 1);
    alice.accounts.push(sip::AccountConfig {
        register: false,
        ..account("alice", "192.0.2.9", "secret")
    });
    let mut world = World::new(vec![alice]);
    let call = world.with(0, |alice, now| {
        let account = Some(sip::AccountId(0));
        alice.invite(account, "200", media(20_000), now).unwrap()
    });
    let invite = world.request(&Method::Invite);
    reliably(&mut world, &invite, 183, "p", 1, true);
    let first = world.request(&Method::Prack);
    let challenge = [(
        "Proxy-Authenticate",
        "Digest realm=\"r\", nonce=\"n1\", algorithm=SHA-256, qop=\"auth\"",
    )];
    world.answer(&first, 407, None, PEER, &challenge, None);
    let again = world.request(&Method::Prack);
    assert!(again.headers.get("Proxy-Authorization").is_some());
    assert_eq!(again.headers.get("RAck"), Some("1 1 INVITE"));
    assert_eq!((number(&first), number(&again)), (2, 3));
    world.answer(&again, 200, None, PEER, &[], None);
    reliably(&mut world, &invite, 180, "p", 2, false);
    let second = world.request(&Method::Prack);
    assert_eq!(number(&second), 4, "numbers go on");
    world.answer(&second, 200, None, PEER, &[], None);
    world.answer(&invite, 200, Some("p"), PEER, &[], None);
    assert_eq!(number(&world.request(&Method::Ack)), 1);
    assert!(is_established(&world.events(0)));
    hang_up(&mut world, call, 5);
}

/// Who has no account there has no password to give: the PRACK is not sent for ever.
#[test]
fn challenged_prack_of_a_direct_call_ends_there() {
    let mut world = World::alone();
    let (call, invite) = called(&mut world);
    reliably(&mut world, &invite, 183, "p", 1, true);
    let first = world.request(&Method::Prack);
    let challenge = [("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n1\"")];
    world.answer(&first, 401, None, PEER, &challenge, None);
    world.run_ms(40_000);
    assert_eq!(world.sent("PRACK"), 1);
    assert!(ends(&world.events(0)).is_empty());
    world.answer(&invite, 200, Some("p"), PEER, &[], None);
    world.request(&Method::Ack);
    hang_up(&mut world, call, 3);
}

/// Section 3 forbids it, some do it: two reliable responses before either is acknowledged.
#[test]
fn responses_that_do_not_wait_for_the_prack_are_each_acknowledged() {
    let mut world = World::alone();
    let (call, invite) = called(&mut world);
    reliably(&mut world, &invite, 180, "p", 1, false);
    reliably(&mut world, &invite, 183, "p", 2, true);
    let pracks = [(); 2].map(|()| world.request(&Method::Prack));
    let said = pracks
        .each_ref()
        .map(|prack| (number(prack), prack.headers.get("RAck").unwrap()));
    assert_eq!(said, [(2, "1 1 INVITE"), (3, "2 1 INVITE")]);
    // They may be answered in any order.
    for prack in pracks.iter().rev() {
        world.answer(prack, 200, None, PEER, &[], None);
    }
    world.answer(&invite, 200, Some("p"), PEER, &[], None);
    world.request(&Method::Ack);
    assert!(is_established(&world.events(0)));
    hang_up(&mut world, call, 4);
}

/// Section 3: no second reliable response before the first is acknowledged, and section 5: the
/// answer of such a one is in force, so that a 200 without it would have none.
#[test]
fn no_second_response_of_ours_before_the_prack() {
    for acknowledged in [false, true] {
        let mut world = World::alone();
        let call = ringing(&mut world, "Require: 100rel");
        let first = world.response(180);
        world.with(0, |alice, now| {
            alice.send_early_media(call, media(20_000), now);
        });
        world.run_ms(300);
        assert_eq!(world.sent("SIP/2.0 183"), 0);
        if acknowledged {
            world.send(PEER, 0, prack(&first, 2, &rack_of(&first), "").text());
            world.response(200);
            let early = early_media(&mut world, call);
            assert!(!early.body.is_empty());
            world.send(PEER, 0, prack(&early, 3, &rack_of(&early), "").text());
            world.response(200);
        }
        world.with(0, |alice, now| alice.answer(call, media(20_000), now));
        let answer = world.response(200);
        assert_eq!(answer.headers.cseq().unwrap().method, Method::Invite);
        assert_eq!(answer.body.is_empty(), acknowledged, "one answer, once");
        world.send(PEER, 0, ack(&answer));
        world.run_ms(50);
        assert!(is_established(&world.events(0)));
        world.with(0, |alice, now| alice.end(call, now));
        world.assert_empty();
    }
}

/// A PRACK that acknowledges nothing changes nothing, whatever it carries: the offer in it is not
/// taken.
#[test]
fn offer_in_a_prack_with_a_wrong_rack_is_not_taken() {
    let mut world = World::alone();
    let call = ringing(&mut world, "Supported: 100rel");
    world.response(180);
    let early = early_media(&mut world, call);
    let offer = sdp("192.0.2.9", "a=inactive\r\n");
    world.send(PEER, 0, prack(&early, 2, "1 1 INVITE", &offer).text());
    assert!(world.response(481).body.is_empty());
    world.send(PEER, 0, prack(&early, 3, &rack_of(&early), "").text());
    world.response(200);
    world.with(0, |alice, now| alice.answer(call, media(20_000), now));
    let answer = world.response(200);
    world.send(PEER, 0, ack(&answer));
    world.run_ms(50);
    let events = world.events(0);
    assert!(
        events.iter().any(|event| matches!(
            event,
            sip::Event::Established { media, .. }
                if media.direction == types::Direction::SendRecv
        )),
        "{events:?}"
    );
    world.with(0, |alice, now| alice.end(call, now));
    let ended = ends(&world.events(0));
    assert!(ended.iter().all(|(by, _)| *by == EndedBy::Local));
    world.assert_empty();
}
