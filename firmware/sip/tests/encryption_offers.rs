//! Encryption that finds the way of the far end: the offers of one call, and what is remembered for
//! the next one.

mod world;

use sip::EndedBy;
use sip::media_security::{Fingerprint, HashName, MediaSecurity};
use sip::message::{Method, Request};
use types::{Codec, EncryptionPolicy, Keying, SrtpSuite};
use world::{PEER, World, config, ends, is_established, media, sdp};

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

#[test]
fn call_that_must_go_through_ends_in_clear() {
    let must = wanted(EncryptionPolicy::Required).or_clear();
    assert_eq!(must.policy, EncryptionPolicy::Preferred);
    assert_eq!(must.policy_over_clear, EncryptionPolicy::Preferred);
    let off = wanted(EncryptionPolicy::Off).or_clear();
    assert_eq!(off.policy, EncryptionPolicy::Off);
}
