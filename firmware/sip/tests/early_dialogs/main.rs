//! Reliable provisional responses (RFC 3262) in both directions, and offers in early dialogs
//! (RFC 3311), each against a scripted peer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod glare;
mod prack_errors;
#[path = "../world/mod.rs"]
mod world;

use sip::message::{Method, Request, Response};
use sip::{CallHandle, EndedBy, Event};
use types::Direction;
use world::{Ask, PEER, World, ack, called, ends, inside, is_established, media, sdp, to_of};

const SDP: &str = "Content-Type: application/sdp\r\n";

/// Media of each Progress event.
fn progress(events: &[Event]) -> Vec<(u16, bool)> {
    let found = events.iter().filter_map(|event| match event {
        Event::Progress { code, media, .. } => Some((*code, media.is_some())),
        _ => None,
    });
    found.collect()
}

/// The peer calls alice with this header, and she rings.
fn ringing(world: &mut World, header: &str) -> CallHandle {
    let invite = Ask {
        extra: format!("{SDP}{header}\r\n"),
        ..Ask::invite()
    };
    world.send(PEER, 0, invite.text());
    world.response(100);
    let call = world.incoming(0);
    world.with(0, |alice, now| alice.ring(call, now));
    call
}

fn prack(response: &Response, cseq: u32, rack: &str, body: &str) -> Ask<'static> {
    let kind = if body.is_empty() { "" } else { SDP };
    Ask {
        extra: format!("RAck: {rack}\r\n{kind}"),
        body: body.into(),
        ..inside(response, "PRACK", cseq)
    }
}

fn rack_of(response: &Response) -> String {
    format!("{} 1 INVITE", response.headers.get("RSeq").unwrap())
}

/// A reliable response of the peer to alice's INVITE.
fn reliably(world: &mut World, invite: &Request, code: u16, tag: &str, rseq: u32, body: bool) {
    let (rseq, body) = (rseq.to_string(), body.then(|| sdp("192.0.2.9", "")));
    let extra = [("Require", "100rel"), ("RSeq", rseq.as_str())];
    world.answer(invite, code, Some(tag), PEER, &extra, body.as_deref());
}

// ── called ────────────────────────────────────────────────────────────────────────────────────

/// The 183 by which Alice gives the caller early media.
fn early_media(world: &mut World, call: CallHandle) -> Response {
    world.with(0, |alice, now| {
        alice.send_early_media(call, media(20_000), now);
    });
    world.response(183)
}

#[test]
fn required_100rel_rings_and_is_answered() {
    let mut world = World::alone();
    let call = ringing(&mut world, "Require: 100rel");
    let ringing = world.response(180);
    assert!(ringing.headers.has_token("Require", "100rel"));
    world.send(PEER, 0, prack(&ringing, 2, &rack_of(&ringing), "").text());
    world.response(200);
    world.run_ms(10_000);
    assert_eq!(world.sent("SIP/2.0 180"), 1, "acknowledged once for all");
    world.with(0, |alice, now| alice.answer(call, media(20_000), now));
    let answer = world.response(200);
    world.send(PEER, 0, ack(&answer));
    world.run_ms(50);
    assert!(is_established(&world.events(0)));
    world.with(0, |alice, now| alice.end(call, now));
    world.assert_empty();
}

#[test]
fn without_prack_180_is_repeated_then_refused() {
    let mut world = World::alone();
    ringing(&mut world, "Require: 100rel");
    world.run_ms(40_000);
    let times: Vec<f64> = world.times("SIP/2.0 180");
    let waits: Vec<f64> = times
        .iter()
        .map(|at| ((at - times[0]) * 10.0).round() / 10.0)
        .collect();
    assert_eq!(waits, [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]);
    assert!(world.sent("SIP/2.0 504") >= 1);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Failure, Some(504))]);
    world.assert_empty();
}

#[test]
fn wrong_rack_is_refused_and_the_180_goes_on() {
    let mut world = World::alone();
    ringing(&mut world, "Require: 100rel");
    let ringing = world.response(180);
    for (cseq, rack) in [(2, "1 1 INVITE".to_owned()), (3, rack_of(&ringing) + " x")] {
        world.send(PEER, 0, prack(&ringing, cseq, &rack, "").text());
        world.response(481);
    }
    world.run_ms(1000);
    assert!(world.sent("SIP/2.0 180") > 1);
    world.inbox.clear();
    world.send(PEER, 0, prack(&ringing, 4, &rack_of(&ringing), "").text());
    world.response(200);
    // A second PRACK for the same response has nothing to acknowledge.
    world.send(PEER, 0, prack(&ringing, 5, &rack_of(&ringing), "").text());
    world.response(481);
}

#[test]
fn answer_does_not_wait_for_the_prack_of_a_180() {
    let mut world = World::alone();
    let call = ringing(&mut world, "Require: 100rel");
    let ringing = world.response(180);
    world.with(0, |alice, now| alice.answer(call, media(20_000), now));
    let answer = world.response(200);
    world.send(PEER, 0, ack(&answer));
    world.send(PEER, 0, prack(&ringing, 2, &rack_of(&ringing), "").text());
    world.response(200);
    world.run_ms(10_000);
    assert_eq!(
        world.sent("SIP/2.0 180"),
        1,
        "a final response ends its repetition"
    );
    world.with(0, |alice, now| alice.end(call, now));
    world.assert_empty();
}

#[test]
fn cancel_ends_an_unacknowledged_183() {
    let mut world = World::alone();
    let call = ringing(&mut world, "Supported: 100rel");
    world.response(180);
    let early = early_media(&mut world, call);
    let cancel = Ask {
        method: "CANCEL",
        extra: String::new(),
        body: String::new(),
        ..Ask::invite()
    };
    world.send(PEER, 0, cancel.text());
    world.response(200);
    world.response(487);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Remote, Some(487))]);
    let before = world.sent("SIP/2.0 183");
    world.send(PEER, 0, prack(&early, 2, &rack_of(&early), "").text());
    world.response(481);
    assert_eq!(world.sent("SIP/2.0 183"), before);
    world.assert_empty();
}

#[test]
fn early_media_is_answered_reliably_and_once() {
    let mut world = World::alone();
    let call = ringing(&mut world, "Supported: 100rel");
    assert!(!world.response(180).headers.has_token("Require", "100rel"));
    let early = early_media(&mut world, call);
    assert!(String::from_utf8_lossy(&early.body).contains("m=audio 20000"));
    assert_eq!(progress(&world.events(0)), [(183, true)]);
    // The owner answers before the PRACK: the 200 waits for it (section 5).
    world.with(0, |alice, now| alice.answer(call, media(20_000), now));
    world.run_ms(300);
    assert_eq!(world.sent("SIP/2.0 200"), 0);
    world.send(PEER, 0, prack(&early, 2, &rack_of(&early), "").text());
    world.response(200);
    let answer = world.response(200);
    assert!(answer.body.is_empty(), "the offer is answered already");
    assert_eq!(answer.headers.cseq().unwrap().method, Method::Invite);
    world.send(PEER, 0, ack(&answer));
    world.run_ms(50);
    assert!(is_established(&world.events(0)));
    world.with(0, |alice, now| alice.end(call, now));
    world.assert_empty();
}

#[test]
fn early_media_without_100rel_repeats_its_answer() {
    let mut world = World::alone();
    let call = ringing(&mut world, "Supported: timer");
    world.response(180);
    let early = early_media(&mut world, call);
    assert!(early.headers.get("RSeq").is_none());
    // UPDATE in the early dialog: its offer is answered.
    let update = Ask {
        extra: SDP.into(),
        body: sdp("192.0.2.9", "a=sendonly\r\n"),
        ..inside(&early, "UPDATE", 2)
    };
    world.send(PEER, 0, update.text());
    let updated = world.response(200);
    assert!(String::from_utf8_lossy(&updated.body).contains("a=recvonly"));
    world.with(0, |alice, now| alice.answer(call, media(20_000), now));
    assert_eq!(world.response(200).body, early.body);
    world.with(0, |alice, now| alice.end(call, now));
    world.assert_quiet();
}

#[test]
fn offer_in_a_prack_is_answered_in_its_200() {
    let mut world = World::alone();
    let call = ringing(&mut world, "Supported: 100rel");
    world.response(180);
    let early = early_media(&mut world, call);
    let offer = sdp("192.0.2.9", "a=inactive\r\n");
    world.send(PEER, 0, prack(&early, 2, &rack_of(&early), &offer).text());
    let answer = world.response(200);
    assert!(String::from_utf8_lossy(&answer.body).contains("a=inactive"));
    let video = sdp("192.0.2.9", "").replace("PCMU/8000", "G729/8000");
    let update = Ask {
        extra: SDP.into(),
        body: video,
        ..inside(&early, "UPDATE", 3)
    };
    world.send(PEER, 0, update.text());
    world.response(488);
    world.with(0, |alice, now| alice.answer(call, media(20_000), now));
    let answer = world.response(200);
    world.send(PEER, 0, ack(&answer));
    world.run_ms(50);
    let events = world.events(0);
    assert!(
        events.iter().any(|event| matches!(
            event,
            Event::Established { media, .. } if media.direction == Direction::Inactive
        )),
        "{events:?}"
    );
    world.with(0, |alice, now| alice.end(call, now));
    world.assert_empty();
}

#[test]
fn offer_in_a_prack_that_cannot_be_taken_ends_the_call() {
    let mut world = World::alone();
    let call = ringing(&mut world, "Supported: 100rel");
    world.response(180);
    let early = early_media(&mut world, call);
    let novel = sdp("192.0.2.9", "").replace("RTP/AVP 0", "RTP/AVP 97");
    let novel = novel.replace("rtpmap:0 PCMU", "rtpmap:97 NOVEL");
    world.send(PEER, 0, prack(&early, 2, &rack_of(&early), &novel).text());
    let answer = world.response(200);
    assert_eq!(answer.headers.cseq().unwrap().method, Method::Prack);
    let refusal = world.response(488);
    assert_eq!(refusal.headers.cseq().unwrap().method, Method::Invite);
    assert!(refusal.headers.get("Warning").is_some());
    assert_eq!(ends(&world.events(0)), [(EndedBy::Failure, Some(488))]);
    world.run_ms(40_000);
    world.assert_empty();
}

#[test]
fn early_media_without_an_offer_only_rings() {
    let mut world = World::alone();
    let invite = Ask {
        extra: String::new(),
        body: String::new(),
        ..Ask::invite()
    };
    world.send(PEER, 0, invite.text());
    world.response(100);
    let call = world.incoming(0);
    world.with(0, |alice, now| {
        alice.send_early_media(call, media(20_000), now);
    });
    assert!(world.response(180).body.is_empty());
    world.with(0, |alice, now| alice.end(call, now));
    world.assert_quiet();
}

#[test]
fn prack_of_no_call_is_unknown() {
    let mut world = World::alone();
    let lost = Ask {
        method: "PRACK",
        to: "<sip:alice@192.0.2.1>;tag=gone".into(),
        extra: "RAck: 1 1 INVITE\r\n".into(),
        body: String::new(),
        ..Ask::invite()
    };
    world.send(PEER, 0, lost.text());
    world.response(481);
}

// ── calling ───────────────────────────────────────────────────────────────────────────────────

#[test]
fn reliable_responses_are_acknowledged_in_order() {
    let mut world = World::alone();
    let (call, invite) = called(&mut world);
    assert!(invite.headers.has_token("Supported", "100rel"));
    reliably(&mut world, &invite, 180, "p", 7, false);
    let first = world.request(&Method::Prack);
    assert_eq!(first.headers.get("RAck"), Some("7 1 INVITE"));
    assert_eq!(first.headers.to().unwrap().tag(), Some("p"));
    world.answer(&first, 200, None, PEER, &[], None);
    // Repeated: nothing. After a gap: nothing. The next one: PRACK.
    reliably(&mut world, &invite, 180, "p", 7, false);
    reliably(&mut world, &invite, 183, "p", 9, true);
    world.assert_silence();
    reliably(&mut world, &invite, 183, "p", 8, true);
    let second = world.request(&Method::Prack);
    assert_eq!(second.headers.get("RAck"), Some("8 1 INVITE"));
    assert_eq!(second.headers.cseq().unwrap().number, 3);
    world.answer(&second, 200, None, PEER, &[], None);
    assert_eq!(progress(&world.events(0)), [(180, false), (183, true)]);
    // What comes after a reliable answer is none (section 5), even where it says something else.
    let other = sdp("192.0.2.9", "a=inactive\r\n");
    world.answer(&invite, 200, Some("p"), PEER, &[], Some(&other));
    world.request(&Method::Ack);
    let events = world.events(0);
    assert!(
        matches!(&events[..], [Event::Established { media, .. }]
            if media.direction == Direction::SendRecv),
        "{events:?}"
    );
    world.with(0, |alice, now| alice.end(call, now));
    let bye = world.request(&Method::Bye);
    assert_eq!(bye.headers.cseq().unwrap().number, 4);
    world.answer(&bye, 200, None, PEER, &[], None);
    world.assert_empty();
}

#[test]
fn each_branch_counts_for_itself() {
    let mut world = World::alone();
    let (call, invite) = called(&mut world);
    for (tag, rseq) in [("one", 5), ("two", 900), ("one", 6), ("two", 901)] {
        reliably(&mut world, &invite, 183, tag, rseq, false);
        let prack = world.request(&Method::Prack);
        assert_eq!(
            prack.headers.get("RAck"),
            Some(format!("{rseq} 1 INVITE").as_str())
        );
        assert_eq!(prack.headers.to().unwrap().tag(), Some(tag));
        world.answer(&prack, 200, None, PEER, &[], None);
    }
    world.accept(&invite, Some("two"), PEER, &sdp("192.0.2.9", ""));
    world.request(&Method::Ack);
    world.with(0, |alice, now| alice.end(call, now));
    let bye = world.request(&Method::Bye);
    world.answer(&bye, 200, None, PEER, &[], None);
    world.assert_empty();
}

#[test]
fn lost_prack_is_repeated_and_given_up() {
    let mut world = World::alone();
    let (_, invite) = called(&mut world);
    reliably(&mut world, &invite, 180, "p", 1, false);
    world.run_ms(40_000);
    assert!(world.sent("PRACK") >= 10, "{:?}", world.log);
    // The call itself goes on: the far end decides what becomes of it.
    assert!(ends(&world.events(0)).is_empty());
    world.answer(&invite, 504, Some("p"), PEER, &[], None);
    world.run_ms(50);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Remote, Some(504))]);
    world.assert_empty();
}

#[test]
fn update_in_an_early_dialog_is_answered() {
    let mut world = World::alone();
    let (call, invite) = called(&mut world);
    let update = |to: &str, cseq, body: &str| Ask {
        method: "UPDATE",
        from_tag: "p",
        branch: format!("z9hG4bKupdate{cseq}").leak(),
        to: format!("<sip:alice@192.0.2.1>;tag={to}"),
        call_id: invite.headers.call_id().unwrap().to_owned().leak(),
        cseq,
        extra: SDP.into(),
        body: body.into(),
        ..Ask::invite()
    };
    let tag = invite.headers.from().unwrap().tag().unwrap().to_owned();
    reliably(&mut world, &invite, 180, "p", 1, false);
    let prack = world.request(&Method::Prack);
    world.answer(&prack, 200, None, PEER, &[], None);
    // Our offer in the INVITE waits for its answer (RFC 3311 section 5.2).
    world.send(PEER, 0, update(&tag, 11, &sdp("192.0.2.9", "")).text());
    world.response(491);
    reliably(&mut world, &invite, 183, "p", 2, true);
    let prack = world.request(&Method::Prack);
    world.answer(&prack, 200, None, PEER, &[], None);
    let held = sdp("192.0.2.9", "a=sendonly\r\n");
    world.send(PEER, 0, update(&tag, 12, &held).text());
    let updated = world.response(200);
    assert!(String::from_utf8_lossy(&updated.body).contains("a=recvonly"));
    assert_eq!(to_of(&updated), format!("<sip:alice@192.0.2.1>;tag={tag}"));
    assert_eq!(
        progress(&world.events(0)),
        [(180, false), (183, true), (183, true)]
    );
    world.answer(&invite, 200, Some("p"), PEER, &[], None);
    world.request(&Method::Ack);
    let events = world.events(0);
    assert!(
        matches!(&events[..], [Event::Established { media, .. }]
            if media.direction == Direction::RecvOnly),
        "{events:?}"
    );
    world.with(0, |alice, now| alice.end(call, now));
    world.assert_quiet();
}

#[test]
fn session_in_a_183_without_tag_counts() {
    let mut world = World::alone();
    let (_, invite) = called(&mut world);
    world.answer(&invite, 183, None, PEER, &[], Some(&sdp("192.0.2.9", "")));
    world.run_ms(50);
    assert_eq!(progress(&world.events(0)), [(183, true)]);
}

#[test]
fn cancelled_call_acknowledges_nothing_more() {
    let mut world = World::alone();
    let (call, invite) = called(&mut world);
    reliably(&mut world, &invite, 183, "p", 1, true);
    let prack = world.request(&Method::Prack);
    world.with(0, |alice, now| alice.end(call, now));
    let cancel = world.request(&Method::Cancel);
    world.answer(&cancel, 200, None, PEER, &[], None);
    world.answer(&prack, 200, None, PEER, &[], None);
    reliably(&mut world, &invite, 183, "p", 2, true);
    world.run_ms(100);
    assert_eq!(world.sent("PRACK"), 1);
    world.answer(&invite, 487, Some("p"), PEER, &[], None);
    world.run_ms(50);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Local, None)]);
    world.assert_empty();
}

#[test]
fn early_media_between_two_phones() {
    let mut world = World::pair();
    world.invite(0, "sip:bob@192.0.2.2");
    world.run_ms(50);
    let bob = world.incoming(1);
    world.with(1, |agent, now| agent.ring(bob, now));
    world.run_ms(50);
    world.with(1, |agent, now| {
        agent.send_early_media(bob, media(20_100), now);
    });
    world.run_ms(50);
    assert_eq!(world.sent("PRACK"), 1, "a 183 with media is acknowledged");
    world.with(1, |agent, now| agent.answer(bob, media(20_100), now));
    world.run_ms(100);
    assert!(is_established(&world.events(0)) && is_established(&world.events(1)));
    world.with(1, |agent, now| agent.end(bob, now));
    world.assert_empty();
}
