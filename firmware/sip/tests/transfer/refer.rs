//! REFER inside of a call, and the NOTIFYs that report on it.

use sip::agent::{Event, InviteError};
use sip::message::{Method, Request, Response};
use sip::{CallHandle, EndedBy};

use crate::CAROL;
use crate::world::{
    Ask, PEER, World, account, ack, answered, calling, config, ends, inside, is_established, media,
    sdp,
};

fn refer(ok: &Response, cseq: u32, extra: &str) -> String {
    Ask {
        extra: extra.to_owned(),
        ..inside(ok, "REFER", cseq)
    }
    .text()
}

/// The peer's call is established; it sends this REFER. What alice learns of it.
fn asked(world: &mut World, extra: &str) -> (CallHandle, Response) {
    let (call, ok) = answered(world);
    world.send(PEER, 0, ack(&ok));
    world.run_ms(50);
    world.events(0);
    world.send(PEER, 0, refer(&ok, 2, extra));
    world.run_ms(50);
    (call, ok)
}

fn referred(world: &mut World) -> Option<(CallHandle, String, String)> {
    world.events(0).into_iter().find_map(|event| match event {
        Event::Refer { call, to, user } => Some((call, to, user)),
        _ => None,
    })
}

fn follow(world: &mut World, call: CallHandle) -> Result<CallHandle, InviteError> {
    world.with(0, |alice, now| alice.accept_refer(call, media(20_100), now))
}

/// The next NOTIFY: its state and the status line in it.
fn news(world: &mut World) -> (Request, String, String) {
    let notify = world.request(&Method::Notify);
    let state = notify.headers.get("Subscription-State").unwrap().to_owned();
    assert!(notify.headers.get("Event").unwrap().starts_with("refer"));
    assert!(
        notify
            .headers
            .get("Content-Type")
            .unwrap()
            .starts_with("message/sipfrag")
    );
    assert!(notify.headers.sip_contact().is_ok());
    let body = String::from_utf8(notify.body.to_vec()).unwrap();
    world.answer(&notify, 200, None, PEER, &[], None);
    (notify, state, body)
}

#[test]
fn a_refer_is_followed_and_reported() {
    let mut world = World::alone();
    let (call, ok) = asked(
        &mut world,
        "Refer-To: <sip:carol@192.0.2.8?Replaces=abc%40x%3Bto-tag%3D7%3Bfrom-tag%3D6\
         &Subject=premium&Route=%3Csip%3Aevil%3E>\r\n\
         Referred-By: <sip:peer@192.0.2.9>;cid=\"2UWQFN309shb3@x\"\r\n",
    );
    assert_eq!(
        referred(&mut world),
        Some((call, "sip:carol@192.0.2.8".into(), "carol".into())),
        "headers in the address are ignored"
    );
    let new = follow(&mut world, call).unwrap();
    let (at, invite) = world.request_at(&Method::Invite);
    assert_eq!(
        (at, invite.uri.to_string().as_str()),
        (CAROL.parse().unwrap(), "sip:carol@192.0.2.8")
    );
    assert_eq!(
        invite.headers.get("Replaces"),
        Some("abc@x;to-tag=7;from-tag=6")
    );
    assert_eq!(
        invite.headers.get("Referred-By"),
        Some("<sip:peer@192.0.2.9>;cid=\"2UWQFN309shb3@x\"")
    );
    assert!(invite.headers.get("Subject").is_none() && invite.headers.get("Route").is_none());
    let accepted = world.sent("SIP/2.0 202");
    assert_eq!(accepted, 1);
    world.answer(&invite, 180, Some("c"), CAROL, &[], None);
    world.run_ms(50);
    world.accept(&invite, Some("c"), CAROL, &sdp("192.0.2.8", ""));
    world.run_ms(50);
    assert!(is_established(&world.events(0)));
    world.run_ms(50);
    assert_eq!(
        world.sent("NOTIFY"),
        2,
        "100 and the last word: {:?}",
        world.log
    );
    // The old call goes on until somebody ends it; the news came in its dialog, in order.
    world.with(0, |alice, now| alice.end(call, now));
    world.run_ms(50);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Local, None)]);
    world.with(0, |alice, now| alice.end(new, now));
    drop(ok);
    world.assert_empty();
}

#[test]
fn notify_brings_100_first_and_the_outcome_last() {
    for (code, reported) in [
        (200, "SIP/2.0 200 OK\r\n"),
        (486, "SIP/2.0 486 Busy Here\r\n"),
    ] {
        let mut world = World::alone();
        let (call, ok) = asked(&mut world, "Refer-To: sip:carol@192.0.2.8\r\n");
        world.events(0);
        follow(&mut world, call).unwrap();
        let (first, state, body) = news(&mut world);
        assert_eq!(body, "SIP/2.0 100 Trying\r\n");
        assert!(state.starts_with("active;expires="), "{state}");
        assert_eq!(first.headers.to().unwrap().tag(), Some("peer"));
        assert_eq!(
            first.headers.from().unwrap().tag(),
            ok.headers.to().unwrap().tag()
        );
        // Another REFER while this one is under way waits.
        world.send(PEER, 0, refer(&ok, 3, "Refer-To: sip:dave@192.0.2.7\r\n"));
        world.response(491);
        let invite = world
            .log
            .iter()
            .filter(|(_, line)| line.starts_with("INVITE sip:carol"))
            .count();
        assert_eq!(invite, 1);
        world.events(0);
        // The INVITE was thrown away by the waiting above; it comes again by its timer.
        world.run_ms(600);
        let (_, invite) = world.request_at(&Method::Invite);
        let body = sdp("192.0.2.8", "");
        world.answer(
            &invite,
            code,
            Some("c"),
            CAROL,
            &[],
            (code == 200).then_some(body.as_str()),
        );
        let (last, state, body) = news(&mut world);
        assert_eq!(body, reported);
        assert_eq!(state, "terminated;reason=noresource");
        assert!(last.headers.cseq().unwrap().number > first.headers.cseq().unwrap().number);
        if code == 486 {
            assert_eq!(
                ends(&world.events(0)),
                [(EndedBy::Remote, Some(486))],
                "the old call goes on"
            );
            // The next REFER's news say which they are of.
            world.send(PEER, 0, refer(&ok, 4, "Refer-To: sip:carol@192.0.2.8\r\n"));
            world.run_ms(50);
            follow(&mut world, call).unwrap();
            let (again, ..) = news(&mut world);
            assert_eq!(again.headers.get("Event"), Some("refer;id=4"));
        }
        world.with(0, sip::UserAgent::shut_down);
        world.assert_empty();
    }
}

#[test]
fn what_is_no_address_to_call_is_refused() {
    for (extra, code) in [
        ("", 400),
        (
            "Refer-To: sip:a@192.0.2.8\r\nRefer-To: sip:b@192.0.2.8\r\n",
            400,
        ),
        ("Refer-To: <sip:a@192.0.2.8>, <sip:b@192.0.2.8>\r\n", 400),
        ("Refer-To: <mailto:carol@example.com>\r\n", 400),
        ("Refer-To: <http://192.0.2.8/>\r\n", 400),
        ("Refer-To: carol\r\n", 400),
        (
            "Refer-To: <sip:a@192.0.2.8?Replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2&Replaces=b>\r\n",
            400,
        ),
        ("Refer-To: <sip:a@192.0.2.8;method=BYE>\r\n", 603),
        ("Refer-To: <sip:a@192.0.2.8;method=MESSAGE>\r\n", 603),
        (
            "Refer-To: sip:a@192.0.2.8\r\nRequire: multiple-refer\r\n",
            420,
        ),
    ] {
        let mut world = World::alone();
        let (call, _) = asked(&mut world, extra);
        assert_eq!(referred(&mut world), None, "{extra}");
        let refused = format!("SIP/2.0 {code}");
        assert_eq!(world.sent(&refused), 1, "{extra}: {:?}", world.log);
        assert_eq!(follow(&mut world, call), Err(InviteError::NotAsked));
        assert_eq!(
            (
                world.sent("INVITE"),
                world.sent("NOTIFY"),
                world.sent("SIP/2.0 202")
            ),
            (0, 0, 0)
        );
        world.with(0, |alice, now| alice.end(call, now));
        world.assert_empty();
    }
}

#[test]
fn a_refer_not_wanted_or_not_possible_is_declined() {
    let mut world = World::alone();
    let (call, ok) = asked(&mut world, "Refer-To: sip:carol@192.0.2.8\r\n");
    world.with(0, |alice, now| alice.reject_refer(call, now));
    world.response(603);
    // A number, and no account to call it by.
    world.send(PEER, 0, refer(&ok, 3, "Refer-To: <tel:+4930123456>\r\n"));
    world.run_ms(50);
    assert!(matches!(
        follow(&mut world, call),
        Err(InviteError::BadTarget(_))
    ));
    world.response(603);
    // The call ends before the owner has decided.
    world.send(PEER, 0, refer(&ok, 4, "Refer-To: sip:carol@192.0.2.8\r\n"));
    world.run_ms(50);
    world.with(0, |alice, now| alice.end(call, now));
    world.response(603);
    assert_eq!(follow(&mut world, call), Err(InviteError::NotAsked));
    assert_eq!((world.sent("INVITE"), world.sent("NOTIFY")), (0, 0));
    world.assert_empty();
}

#[test]
fn a_stranger_may_not_refer() {
    // Outside of any dialog, and in one that was guessed.
    let mut world = World::alone();
    let refer_to = "Refer-To: sip:premium@192.0.2.8\r\n";
    let ask = |to: &str, branch| Ask {
        method: "REFER",
        branch,
        to: to.into(),
        extra: refer_to.into(),
        body: String::new(),
        ..Ask::invite()
    };
    world.send(PEER, 0, ask("<sip:alice@192.0.2.1>", "z9hG4bKr1").text());
    world.response(403);
    world.send(
        PEER,
        0,
        ask("<sip:alice@192.0.2.1>;tag=guess", "z9hG4bKr2").text(),
    );
    world.response(481);
    // In a call that only rings.
    world.send(PEER, 0, Ask::invite().text());
    world.response(100);
    let call = world.incoming(0);
    world.with(0, |alice, now| alice.ring(call, now));
    let ringing = world.response(180);
    world.send(PEER, 0, refer(&ringing, 2, refer_to));
    world.response(403);
    world.with(0, |alice, now| alice.reject(call, 486, now));
    world.run_ms(50);
    assert_eq!(referred(&mut world), None);
    assert_eq!((world.sent("INVITE"), world.sent("NOTIFY")), (0, 0));
    world.run_ms(40_000);
    world.assert_empty();
}

#[test]
fn the_referrer_learns_the_end_after_his_call() {
    let mut world = World::alone();
    let (call, ok) = asked(&mut world, "Refer-To: sip:carol@192.0.2.8\r\n");
    let new = follow(&mut world, call).unwrap();
    let (first, ..) = news(&mut world);
    world.send(PEER, 0, inside(&ok, "BYE", 3).text());
    world.run_ms(50);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Remote, None)]);
    assert_eq!(
        world.phones[0].agent.tables().dialogs,
        1,
        "the old dialog, for the news"
    );
    world.with(0, |alice, now| alice.end(new, now));
    let (last, _, body) = news(&mut world);
    assert_eq!(body, "SIP/2.0 487 Request Terminated\r\n");
    assert!(last.headers.cseq().unwrap().number > first.headers.cseq().unwrap().number);
    assert_eq!(last.headers.call_id().unwrap(), "call-1");
    world.run_ms(100);
    world.assert_quiet();
}

#[test]
fn a_refused_notify_ends_the_subscription() {
    // RFC 4488: none from the beginning.
    let mut world = World::alone();
    let (call, _) = asked(
        &mut world,
        "Refer-To: sip:carol@192.0.2.8\r\nRefer-Sub: false\r\nRequire: norefersub\r\n",
    );
    follow(&mut world, call).unwrap();
    let accepted = world.response(202);
    assert_eq!(accepted.headers.get("Refer-Sub"), Some("false"));
    assert!(accepted.headers.sip_contact().is_ok());
    world.with(0, sip::UserAgent::shut_down);
    assert_eq!(world.sent("NOTIFY"), 0);
    world.assert_quiet();
    // The first is refused: no second, and the call in which it was asked goes on.
    let mut world = World::alone();
    let (call, _) = asked(&mut world, "Refer-To: sip:carol@192.0.2.8\r\n");
    let new = follow(&mut world, call).unwrap();
    let notify = world.request(&Method::Notify);
    world.answer(&notify, 481, None, PEER, &[], None);
    world.run_ms(50);
    world.events(0);
    world.with(0, |alice, now| alice.end(new, now));
    world.run_ms(50);
    assert_eq!(world.sent("NOTIFY"), 1);
    assert_eq!(
        ends(&world.events(0)),
        [(EndedBy::Local, None)],
        "only the new one"
    );
    world.with(0, |alice, now| alice.end(call, now));
    world.assert_quiet();
}

#[test]
fn a_chain_of_refers_ends() {
    let mut world = World::alone();
    let (mut call, mut invite) = calling(&mut world);
    for round in 0..6 {
        let tag = if round == 0 { "p" } else { "c" };
        // The far end of the call placed last asks in its dialog.
        let from = if round == 0 { PEER } else { CAROL };
        let text = format!(
            "REFER sip:alice@192.0.2.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP {from};rport;branch=z9hG4bKround{round}\r\nMax-Forwards: 70\r\n\
             From: {};tag={tag}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 50 REFER\r\n\
             Contact: <sip:peer@{from}>\r\n\
             Refer-To: <sip:carol{round}@{CAROL}>\r\nContent-Length: 0\r\n\r\n",
            invite.headers.get("To").unwrap(),
            invite.headers.get("From").unwrap(),
            invite.headers.call_id().unwrap(),
        );
        world.send(from, 0, text);
        world.run_ms(50);
        if round == 5 {
            assert_eq!(referred(&mut world), None, "five times is enough");
            assert_eq!(world.sent("SIP/2.0 603"), 1);
            break;
        }
        assert!(
            referred(&mut world).is_some(),
            "round {round}: {:?}",
            world.log
        );
        let new = follow(&mut world, call).unwrap();
        let (_, next) = world.request_at(&Method::Invite);
        world.accept(&next, Some("c"), CAROL, &sdp("192.0.2.8", ""));
        world.run_ms(50);
        world.with(0, |alice, now| alice.end(call, now));
        world.run_ms(50);
        world.events(0);
        (call, invite) = (new, next);
    }
    world.with(0, sip::UserAgent::shut_down);
    world.assert_quiet();
}

#[test]
fn a_refer_uses_the_calls_account_and_no_other() {
    let mut world = World::new(vec![sip::AgentConfig {
        accounts: vec![sip::AccountConfig {
            register: false,
            ..account("alice", "192.0.2.9", "secret")
        }],
        ..config("alice", "192.0.2.1:5060", 1)
    }]);
    let call = world.with(0, |alice, now| {
        alice
            .invite(Some(sip::AccountId(0)), "100", media(20_000), now)
            .unwrap()
    });
    let invite = world.request(&Method::Invite);
    world.accept(&invite, Some("p"), PEER, &sdp("192.0.2.9", ""));
    world.request(&Method::Ack);
    let text = format!(
        "REFER sip:alice@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {PEER};rport;branch=z9hG4bKacc\r\n\
         Max-Forwards: 70\r\nFrom: {};tag=p\r\n\
         To: {}\r\nCall-ID: {}\r\nCSeq: 50 REFER\r\nContact: <sip:peer@{PEER}>\r\n\
         Refer-To: <tel:+49-30-1234>\r\nContent-Length: 0\r\n\r\n",
        invite.headers.get("To").unwrap(),
        invite.headers.get("From").unwrap(),
        invite.headers.call_id().unwrap(),
    );
    world.send(PEER, 0, text);
    world.run_ms(50);
    assert_eq!(
        referred(&mut world).map(|(_, _, user)| user),
        Some("+49301234".into())
    );
    follow(&mut world, call).unwrap();
    let (at, invite) = world.request_at(&Method::Invite);
    assert_eq!(at, PEER.parse().unwrap(), "by the account's server");
    assert_eq!(invite.uri.to_string(), "sip:+49301234@192.0.2.9;user=phone");
    assert_eq!(
        invite.headers.from().unwrap().uri.to_string(),
        "sip:alice@192.0.2.9"
    );
    world.with(0, sip::UserAgent::shut_down);
    world.run_ms(40_000);
    // A direct call has no account, and so no password, whoever asks for one (S02).
    let mut world = World::new(vec![sip::AgentConfig {
        accounts: vec![sip::AccountConfig {
            register: false,
            ..account("alice", "192.0.2.100", "secret")
        }],
        ..config("alice", "192.0.2.1:5060", 1)
    }]);
    let (call, _) = asked(&mut world, "Refer-To: sip:thief@192.0.2.8\r\n");
    follow(&mut world, call).unwrap();
    let (_, invite) = world.request_at(&Method::Invite);
    let challenge = "Digest realm=\"192.0.2.100\", nonce=\"n\", qop=\"auth\"";
    world.challenge(&invite, Some("t"), CAROL, challenge);
    world.run_ms(50);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Remote, Some(401))]);
    assert_eq!(world.sent("INVITE"), 1);
    world.with(0, sip::UserAgent::shut_down);
    world.assert_quiet();
}
