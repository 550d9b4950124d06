//! Encryption that finds the way of the far end: the offers of one call, and what is remembered for
//! the next one.

mod feedback;
#[path = "../world/mod.rs"]
mod world;

use sip::EndedBy;
use sip::media_security::{Fingerprint, HashName, MediaSecurity};
use sip::message::{Method, Request};
use sip::offer_answer::LocalMedia;
use types::{Codec, EncryptionPolicy, Keying, SrtpSuite};
use world::{Ask, PEER, World, account, config, ends, is_established, media, sdp};

/// What this phone wants; the keys of SDES may be read on the way.
fn wanted(policy: EncryptionPolicy) -> MediaSecurity {
    MediaSecurity {
        policy,
        policy_over_clear: policy,
        keying: vec![Keying::Sdes, Keying::Dtls],
        // One suite and one codec: each INVITE fits a datagram.
        suites: vec![SrtpSuite::AesCm128HmacSha1_80],
        sdes_over_clear: true,
        fingerprint: Some(Fingerprint {
            hash: HashName::Sha256,
            bytes: vec![0x11; 32],
        }),
        ..MediaSecurity::default()
    }
}

/// Alice, whose owner lets keys travel in the clear: nothing else would leave with them.
fn alone() -> World {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.media_security.sdes_over_clear = true;
    World::new(vec![config])
}

/// Alice calls the peer; her first INVITE.
fn call(world: &mut World, policy: EncryptionPolicy) -> Request {
    let mut media = media(20_000);
    media.codecs = vec![Codec::Pcmu];
    media.media_security = wanted(policy);
    let target = format!("sip:peer@{PEER}");
    let placed = world.with(0, |alice, now| alice.invite(None, &target, media, now));
    assert!(placed.is_ok(), "{placed:?}");
    world.request(&Method::Invite)
}

/// The protocol of an offer's audio line.
fn profile(invite: &Request) -> String {
    let body = String::from_utf8_lossy(&invite.body).into_owned();
    let line = body.lines().find(|line| line.starts_with("m=audio"));
    let proto = line.and_then(|line| line.split(' ').nth(2));
    proto.unwrap_or_default().to_owned()
}

fn answer_in(profile: &str, extra: &str) -> String {
    sdp("192.0.2.9", extra).replace("RTP/AVP", profile)
}

/// An answer by DTLS.
fn by_dtls(profile: &str) -> String {
    let print = ["5A"; 32].join(":");
    let extra = format!("a=fingerprint:sha-256 {print}\r\na=setup:active\r\na=rtcp-mux\r\n");
    answer_in(profile, &extra)
}

/// Refuses INVITEs until one of this profile comes; those refused.
fn refuse_until(world: &mut World, mut invite: Request, wanted: &str) -> (Request, Vec<String>) {
    let mut refused = Vec::new();
    while profile(&invite) != wanted {
        refused.push(profile(&invite));
        assert!(refused.len() < 8, "{refused:?}");
        world.answer(&invite, 488, Some("p"), PEER, &[], None);
        invite = world.request(&Method::Invite);
    }
    (invite, refused)
}

#[test]
fn far_end_that_takes_only_dtls_is_reached_and_remembered() {
    for (policy, way, before) in [
        (
            EncryptionPolicy::Preferred,
            "UDP/TLS/RTP/SAVP",
            &["RTP/AVP", "RTP/SAVP"][..],
        ),
        (
            EncryptionPolicy::Required,
            "UDP/TLS/RTP/SAVP",
            &["RTP/SAVP"],
        ),
        (
            EncryptionPolicy::Required,
            "UDP/TLS/RTP/SAVPF",
            &["RTP/SAVP", "UDP/TLS/RTP/SAVP", "RTP/SAVPF"],
        ),
    ] {
        let mut world = alone();
        let invite = call(&mut world, policy);
        let (invite, refused) = refuse_until(&mut world, invite, way);
        assert_eq!(refused, before, "{policy:?} {way}");
        let body = by_dtls(way);
        world.answer(&invite, 200, Some("p"), PEER, &[], Some(&body));
        world.request(&Method::Ack);
        assert!(is_established(&world.events(0)), "{policy:?} {way}");
        // The next call begins with that, and goes on with the others where it is refused now.
        let again = call(&mut world, policy);
        assert_eq!(profile(&again), way);
        world.answer(&again, 488, Some("q"), PEER, &[], None);
        let next = world.request(&Method::Invite);
        assert_eq!(profile(&next), before[0], "{policy:?} {way}");
    }
}

#[test]
fn answer_that_refuses_the_line_is_followed_by_the_next_offer() {
    let mut world = alone();
    let invite = call(&mut world, EncryptionPolicy::Required);
    let (invite, _) = refuse_until(&mut world, invite, "RTP/SAVP");
    let refused = answer_in("RTP/SAVP", "").replace("m=audio 4000", "m=audio 0");
    world.answer(&invite, 200, Some("p"), PEER, &[], Some(&refused));
    world.request(&Method::Ack);
    let bye = world.request(&Method::Bye);
    world.answer(&bye, 200, None, PEER, &[], None);
    let next = world.request(&Method::Invite);
    assert_eq!(profile(&next), "UDP/TLS/RTP/SAVP");
    let (before, after) = (&invite.headers, &next.headers);
    assert_ne!(before.call_id(), after.call_id());
    assert_eq!(
        after.to().ok().and_then(|to| to.tag().map(str::to_owned)),
        None
    );
    assert!(world.events(0).is_empty(), "nothing is heard of it");
    let body = by_dtls("UDP/TLS/RTP/SAVP");
    world.answer(&next, 200, Some("p"), PEER, &[], Some(&body));
    world.request(&Method::Ack);
    assert!(is_established(&world.events(0)));
}

#[test]
fn answer_without_keys_is_followed_by_dtls() {
    for policy in [EncryptionPolicy::Preferred, EncryptionPolicy::Required] {
        let mut world = alone();
        let invite = call(&mut world, policy);
        let (invite, _) = refuse_until(&mut world, invite, "RTP/SAVP");
        let keyless = answer_in("RTP/SAVP", "");
        world.answer(&invite, 200, Some("p"), PEER, &[], Some(&keyless));
        world.request(&Method::Ack);
        world.request(&Method::Bye);
        let next = world.request(&Method::Invite);
        assert_eq!(profile(&next), "UDP/TLS/RTP/SAVP", "{policy:?}");
    }
}

#[test]
fn far_end_that_takes_nothing_gets_no_clear_offer_where_that_is_required() {
    let mut world = alone();
    let invite = call(&mut world, EncryptionPolicy::Required);
    let (last, refused) = refuse_until(&mut world, invite, "UDP/TLS/RTP/SAVPF");
    assert_eq!(refused, ["RTP/SAVP", "UDP/TLS/RTP/SAVP", "RTP/SAVPF"]);
    world.answer(&last, 488, Some("p"), PEER, &[], None);
    world.request(&Method::Ack);
    world.assert_silence();
    assert_eq!(ends(&world.events(0)), [(EndedBy::Remote, Some(488))]);
}

/// Sends the INVITE elsewhere.
fn redirect(world: &mut World, invite: &Request, to: &str) -> Request {
    let contact = [("Contact", to)];
    world.answer(invite, 302, Some("r"), PEER, &contact, None);
    world.request(&Method::Invite)
}

#[test]
fn whom_a_redirection_names_is_offered_everything_and_remembered() {
    let mut world = alone();
    let invite = call(&mut world, EncryptionPolicy::Required);
    // What the first one refused may be what the second one takes.
    let (invite, _) = refuse_until(&mut world, invite, "RTP/SAVPF");
    let invite = redirect(&mut world, &invite, "<sip:other@192.0.2.9>");
    assert_eq!(profile(&invite), "RTP/SAVP");
    let (invite, refused) = refuse_until(&mut world, invite, "UDP/TLS/RTP/SAVP");
    assert_eq!(refused, ["RTP/SAVP"]);
    let body = by_dtls("UDP/TLS/RTP/SAVP");
    world.answer(&invite, 200, Some("p"), PEER, &[], Some(&body));
    world.request(&Method::Ack);
    assert!(is_established(&world.events(0)));
    // The next time: nothing is known of the first one, and of the second one what it took.
    let invite = call(&mut world, EncryptionPolicy::Required);
    assert_eq!(profile(&invite), "RTP/SAVP");
    let invite = redirect(&mut world, &invite, "<sip:other@192.0.2.9>");
    assert_eq!(profile(&invite), "UDP/TLS/RTP/SAVP");
}

/// Answers an INVITE so that it is a call.
fn take(world: &mut World, invite: &Request) {
    let profile = profile(invite);
    let body = if profile.starts_with("UDP/TLS") {
        by_dtls(&profile)
    } else if profile.starts_with("RTP/SAVP") {
        const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
        let line = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n");
        answer_in(&profile, &line)
    } else {
        answer_in(&profile, "")
    };
    world.answer(invite, 200, Some("p"), PEER, &[], Some(&body));
    world.request(&Method::Ack);
    assert!(is_established(&world.events(0)), "{profile}");
}

/// Every cell of what is remembered: the policy, what the far end took, and what the next call
/// begins with.
#[test]
fn every_cell_of_what_is_remembered() {
    use EncryptionPolicy::{Preferred, Required};
    const AVP: &str = "RTP/AVP";
    const SAVP: &str = "RTP/SAVP";
    const SAVPF: &str = "RTP/SAVPF";
    const DTLS: &str = "UDP/TLS/RTP/SAVP";
    const DTLSF: &str = "UDP/TLS/RTP/SAVPF";
    for (policy, took, first) in [
        // In clear, or by the first offer: nothing is worth remembering.
        (Preferred, AVP, AVP),
        (Preferred, SAVP, SAVP),
        (Preferred, DTLS, DTLS),
        (Preferred, SAVPF, SAVPF),
        (Preferred, DTLSF, DTLSF),
        (Required, SAVP, SAVP),
        (Required, DTLS, DTLS),
        (Required, SAVPF, SAVPF),
        (Required, DTLSF, DTLSF),
    ] {
        let mut world = alone();
        let invite = call(&mut world, policy);
        let (invite, _) = refuse_until(&mut world, invite, took);
        take(&mut world, &invite);
        let again = call(&mut world, policy);
        assert_eq!(profile(&again), first, "{policy:?} {took}");
        // It changed: it refuses that, and takes another one, which is remembered in its place.
        let (usual, other) = match policy {
            Required => (SAVP, if took == DTLSF { SAVPF } else { DTLSF }),
            _ => (AVP, if took == DTLSF { SAVPF } else { DTLSF }),
        };
        let (again, refused) = refuse_until(&mut world, again, other);
        let next = if first == usual { SAVP } else { usual };
        if policy == Preferred || first != usual {
            assert_eq!(
                refused.get(1).map(String::as_str),
                Some(next),
                "{policy:?} {took}"
            );
        }
        let once: std::collections::BTreeSet<&String> = refused.iter().collect();
        assert_eq!(
            once.len(),
            refused.len(),
            "none is offered twice: {refused:?}"
        );
        take(&mut world, &again);
        let third = call(&mut world, policy);
        assert_eq!(profile(&third), other, "{policy:?} {took}");
    }
}

#[test]
fn what_is_remembered_holds_within_the_policy_only() {
    use EncryptionPolicy::{Off, Preferred, Required};
    let mut world = alone();
    let invite = call(&mut world, Required);
    let (invite, _) = refuse_until(&mut world, invite, "RTP/SAVPF");
    take(&mut world, &invite);
    // Who wants none offers none, whatever was taken before; and what is known stays known.
    for (policy, first) in [
        (Preferred, "RTP/SAVPF"),
        (Off, "RTP/AVP"),
        (Required, "RTP/SAVPF"),
    ] {
        let invite = call(&mut world, policy);
        assert_eq!(profile(&invite), first, "{policy:?}");
        assert_eq!(
            String::from_utf8_lossy(&invite.body).contains("a=crypto"),
            policy != Off
        );
        world.answer(&invite, 486, Some("p"), PEER, &[], None);
        world.request(&Method::Ack);
    }
    // In clear the next time: it is asked for encryption in the usual order again.
    let invite = call(&mut world, Preferred);
    let (invite, _) = refuse_until(&mut world, invite, "RTP/AVP");
    take(&mut world, &invite);
    assert_eq!(profile(&call(&mut world, Preferred)), "RTP/AVP");
    assert_eq!(profile(&call(&mut world, Required)), "RTP/SAVP");
}

/// Alice is 101 of an exchange, registered; the contact she is registered with.
fn at_an_exchange() -> (World, String) {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.accounts = vec![sip::AccountConfig {
        media_security: wanted(EncryptionPolicy::Preferred),
        ..account("101", "192.0.2.9", "secret")
    }];
    let mut world = World::new(vec![config]);
    world.run_ms(1);
    let register = world.request(&Method::Register);
    let contact = register
        .headers
        .get("Contact")
        .unwrap_or_default()
        .to_owned();
    let bound = [("Contact", contact.as_str())];
    world.answer(&register, 200, Some("r"), PEER, &bound, None);
    world.run_ms(50);
    world.events(0);
    let uri = contact.split(['<', '>']).nth(1).unwrap_or_default();
    (world, uri.to_owned())
}

/// What she wants of a call by her account.
fn by_account() -> LocalMedia {
    by_account_with(EncryptionPolicy::Preferred)
}

fn by_account_with(policy: EncryptionPolicy) -> LocalMedia {
    let mut media = media(20_000);
    media.codecs = vec![Codec::Pcmu];
    media.media_security = wanted(policy);
    media
}

/// She calls this number; her INVITE.
fn dial(world: &mut World, number: &str) -> Request {
    dial_with(world, number, by_account(), false)
}

fn dial_with(world: &mut World, number: &str, media: LocalMedia, is_emergency: bool) -> Request {
    let by = Some(sip::AccountId(0));
    let options = sip::InviteOptions {
        is_emergency,
        ..sip::InviteOptions::default()
    };
    let placed = world.with(0, |alice, now| {
        alice.invite_with(by, number, options, media, now)
    });
    assert!(placed.is_ok(), "{placed:?}");
    world.request(&Method::Invite)
}

#[test]
fn who_was_never_called_begins_like_the_account() {
    let (mut world, _) = at_an_exchange();
    let invite = dial(&mut world, "205");
    let (invite, refused) = refuse_until(&mut world, invite, "UDP/TLS/RTP/SAVP");
    assert_eq!(refused, ["RTP/AVP", "RTP/SAVP"]);
    take(&mut world, &invite);
    // The exchange took it, whoever is behind it; and is offered the rest where it does not.
    let invite = dial(&mut world, "206");
    assert_eq!(profile(&invite), "UDP/TLS/RTP/SAVP");
    let (invite, _) = refuse_until(&mut world, invite, "RTP/AVP");
    take(&mut world, &invite);
    // That call found its way in the usual order.
    assert_eq!(profile(&dial(&mut world, "207")), "RTP/AVP");
    assert_eq!(profile(&dial(&mut world, "205")), "UDP/TLS/RTP/SAVP");
    // A call by no account has nothing to do with it.
    let direct = call(&mut world, EncryptionPolicy::Preferred);
    assert_eq!(profile(&direct), "RTP/AVP");
}

/// Alice at an exchange whose last call agreed on DTLS.
fn at_an_exchange_of_dtls(policy: EncryptionPolicy) -> World {
    let (mut world, _) = at_an_exchange();
    let invite = dial_with(&mut world, "205", by_account_with(policy), false);
    let (invite, _) = refuse_until(&mut world, invite, "UDP/TLS/RTP/SAVP");
    take(&mut world, &invite);
    world
}

#[test]
fn emergency_call_begins_in_the_usual_order() {
    let mut world = at_an_exchange_of_dtls(EncryptionPolicy::Preferred);
    let invite = dial_with(&mut world, "112", by_account(), true);
    assert_eq!(profile(&invite), "RTP/AVP");
    // What the far end itself took is known.
    let invite = dial_with(&mut world, "205", by_account(), true);
    assert_eq!(profile(&invite), "UDP/TLS/RTP/SAVP");
    // No other call is less safe for that.
    assert_eq!(profile(&dial(&mut world, "206")), "UDP/TLS/RTP/SAVP");
}

#[test]
fn emergency_call_that_is_redirected_begins_in_the_usual_order() {
    let mut world = at_an_exchange_of_dtls(EncryptionPolicy::Preferred);
    let invite = dial_with(&mut world, "112", by_account(), true);
    let to = [("Contact", "<sip:police@192.0.2.9>")];
    world.answer(&invite, 302, Some("r"), PEER, &to, None);
    assert_eq!(profile(&world.request(&Method::Invite)), "RTP/AVP");
}

#[test]
fn what_was_guessed_of_a_far_end_is_given_up_once() {
    for (policy, usual) in [
        (EncryptionPolicy::Preferred, "RTP/AVP"),
        (EncryptionPolicy::Required, "RTP/SAVP"),
    ] {
        for code in [400, 403, 405, 500, 501, 503, 603] {
            let mut world = at_an_exchange_of_dtls(policy);
            let invite = dial_with(&mut world, "206", by_account_with(policy), false);
            assert_eq!(profile(&invite), "UDP/TLS/RTP/SAVP");
            world.answer(&invite, code, Some("p"), PEER, &[], None);
            let next = world.request(&Method::Invite);
            assert_eq!(profile(&next), usual, "{policy:?} {code}");
            // That one was no guess: its refusal is the end.
            world.answer(&next, code, Some("p"), PEER, &[], None);
            world.request(&Method::Ack);
            world.assert_silence();
            // No other server is left after 503.
            let by = if code == 503 {
                EndedBy::Failure
            } else {
                EndedBy::Remote
            };
            assert_eq!(ends(&world.events(0)), [(by, Some(code))], "{policy:?}");
        }
    }
}

#[test]
fn refusal_that_speaks_of_no_offer_is_the_end_of_a_guess_too() {
    for (code, number, rings) in [
        (404, "206", false),
        (410, "206", false),
        (480, "206", false),
        (484, "206", false),
        (486, "206", false),
        (600, "206", false),
        // Someone was rung, and does not want the call.
        (603, "206", true),
        // That far end took it before.
        (403, "205", false),
    ] {
        let mut world = at_an_exchange_of_dtls(EncryptionPolicy::Preferred);
        let invite = dial(&mut world, number);
        assert_eq!(profile(&invite), "UDP/TLS/RTP/SAVP");
        if rings {
            world.answer(&invite, 180, Some("p"), PEER, &[], None);
        }
        world.answer(&invite, code, Some("p"), PEER, &[], None);
        world.request(&Method::Ack);
        world.assert_silence();
        let ended = ends(&world.events(0));
        assert_eq!(ended, [(EndedBy::Remote, Some(code))], "{number}");
    }
}

#[test]
fn call_that_came_in_says_how_its_account_is_called() {
    const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
    let (mut world, contact) = at_an_exchange();
    let line = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n");
    let invite = Ask {
        body: answer_in("RTP/SAVPF", &line),
        ..Ask::invite()
    };
    let text = invite.text().replacen("sip:alice@192.0.2.1", &contact, 1);
    world.send(PEER, 0, text);
    world.response(100);
    let ringing = world.incoming(0);
    assert_eq!(profile(&dial(&mut world, "205")), "RTP/AVP");
    world.with(0, |alice, now| alice.answer(ringing, by_account(), now));
    assert_eq!(profile(&dial(&mut world, "205")), "RTP/SAVPF");
}

#[test]
fn server_that_is_not_reached_says_nothing_of_a_guess() {
    // The INVITEs of one transaction, where they leave at all.
    for (gone, sent) in [("no cable", 0), ("no one listens", 1), ("no answer", 4)] {
        let mut world = at_an_exchange_of_dtls(EncryptionPolicy::Preferred);
        let before = world.sent("INVITE");
        world.loses = Box::new(|_| true);
        if gone == "no cable" {
            world.with(0, |alice, now| alice.handle_network_lost(gone, now));
        }
        let (by, options) = (Some(sip::AccountId(0)), sip::InviteOptions::default());
        let media = by_account();
        let placed = world.with(0, |alice, now| {
            alice.invite_with(by, "206", options, media, now)
        });
        assert!(placed.is_ok(), "{placed:?}");
        world.run_ms(10);
        if gone == "no one listens" {
            let there = PEER.parse().unwrap();
            world.with(0, |alice, now| alice.handle_unreachable(there, now));
        }
        world.run_ms(70_000);
        assert_eq!(world.sent("INVITE") - before, sent, "{gone}");
        let ended = ends(&world.events(0));
        assert_eq!(ended.len(), 1, "{gone}: {ended:?}");
    }
}

#[test]
fn call_that_must_go_through_ends_in_clear() {
    let must = wanted(EncryptionPolicy::Required).or_clear();
    assert_eq!(must.policy, EncryptionPolicy::Preferred);
    assert_eq!(must.policy_over_clear, EncryptionPolicy::Preferred);
    let off = wanted(EncryptionPolicy::Off).or_clear();
    assert_eq!(off.policy, EncryptionPolicy::Off);
}

#[test]
fn next_offer_follows_by_whichever_status_one_is_refused() {
    for code in [406, 415, 488, 606] {
        let mut world = alone();
        let invite = call(&mut world, EncryptionPolicy::Required);
        world.answer(&invite, code, Some("p"), PEER, &[], None);
        let next = world.request(&Method::Invite);
        assert_eq!(profile(&next), "UDP/TLS/RTP/SAVP", "{code}");
    }
    // Any other refusal is the end.
    for code in [400, 403, 486, 500, 603] {
        let mut world = alone();
        let invite = call(&mut world, EncryptionPolicy::Required);
        world.answer(&invite, code, Some("p"), PEER, &[], None);
        world.request(&Method::Ack);
        world.assert_silence();
        assert_eq!(
            ends(&world.events(0)),
            [(EndedBy::Remote, Some(code))],
            "{code}"
        );
    }
}
