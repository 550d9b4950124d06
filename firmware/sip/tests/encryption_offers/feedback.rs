//! RTP/AVPF (RFC 4585) in clear, which some far ends insist on.

use sip::EndedBy;
use sip::message::Method;
use types::EncryptionPolicy;

use crate::world::{Ask, PEER, ends};
use crate::{
    alone, answer_in, at_an_exchange, by_account_with, call, dial, dial_with, profile,
    refuse_until, take,
};

/// RFC 4585 in clear: the last of all offers, where one in clear is made at all.
#[test]
fn feedback_in_clear_is_offered_where_the_plain_profile_was_refused() {
    use EncryptionPolicy::{Off, Preferred, Required};
    const AVPF: &str = "RTP/AVPF";
    let encrypted = ["RTP/AVP", "RTP/SAVP", "UDP/TLS/RTP/SAVP", "RTP/SAVPF"];
    let all = [&encrypted[..], &["UDP/TLS/RTP/SAVPF", "RTP/AVP"]].concat();
    // What the next call begins with: encryption is asked for first, whatever was taken before.
    for (policy, before, first) in [
        (Off, &["RTP/AVP"][..], AVPF),
        (Preferred, &all[..], "RTP/AVP"),
    ] {
        for code in [406, 415, 488, 606] {
            let mut world = alone();
            let mut invite = call(&mut world, policy);
            for profile_before in before {
                assert_eq!(profile(&invite), *profile_before, "{policy:?}");
                world.answer(&invite, code, Some("p"), PEER, &[], None);
                invite = world.request(&Method::Invite);
            }
            assert_eq!(profile(&invite), AVPF, "{policy:?} {code}");
            let body = String::from_utf8_lossy(&invite.body).into_owned();
            assert!(!body.contains("a=crypto") && !body.contains("a=fingerprint"));
            take(&mut world, &invite);
            let again = call(&mut world, policy);
            assert_eq!(profile(&again), first, "{policy:?}");
            let has_keys = String::from_utf8_lossy(&again.body).contains("a=crypto");
            assert_eq!(has_keys, policy == Preferred);
            // It changed: the others are offered, each once.
            let (_, refused) = refuse_until(&mut world, again, "RTP/AVP");
            assert_eq!(refused.len(), usize::from(policy == Off));
        }
        // Neither policy leads the other one into the clear.
        let mut world = alone();
        let invite = call(&mut world, policy);
        let (invite, _) = refuse_until(&mut world, invite, AVPF);
        take(&mut world, &invite);
        assert_eq!(profile(&call(&mut world, Required)), "RTP/SAVP");
        assert_eq!(profile(&call(&mut world, Preferred)), "RTP/AVP");
    }
}

#[test]
fn feedback_in_clear_ends_where_it_is_refused_too() {
    let mut world = alone();
    let invite = call(&mut world, EncryptionPolicy::Off);
    let (last, _) = refuse_until(&mut world, invite, "RTP/AVPF");
    world.answer(&last, 488, Some("p"), PEER, &[], None);
    world.request(&Method::Ack);
    world.assert_silence();
    assert_eq!(ends(&world.events(0)), [(EndedBy::Remote, Some(488))]);
}

#[test]
fn answer_in_clear_is_followed_by_feedback_only_where_it_refuses_the_line() {
    let refused = answer_in("RTP/AVP", "").replace("m=audio 4000", "m=audio 0");
    let other = answer_in("RTP/AVP 18", "").replace(" 18 0", " 18");
    for (body, asks_again) in [
        (Some(refused), true),
        // Formats, keys or no word at all: the profile changes nothing about them.
        (Some(other), false),
        (Some(answer_in("RTP/SAVP", "")), false),
        (None, false),
    ] {
        let mut world = alone();
        let invite = call(&mut world, EncryptionPolicy::Off);
        world.answer(&invite, 200, Some("p"), PEER, &[], body.as_deref());
        world.request(&Method::Ack);
        let bye = world.request(&Method::Bye);
        world.answer(&bye, 200, None, PEER, &[], None);
        world.run_ms(100);
        assert_eq!(
            world.sent("INVITE"),
            1 + usize::from(asks_again),
            "{body:?}"
        );
        let ended = ends(&world.events(0));
        assert_eq!(ended.is_empty(), asks_again, "{body:?}");
        if asks_again {
            assert_eq!(profile(&world.request(&Method::Invite)), "RTP/AVPF");
        }
    }
}

#[test]
fn call_with_feedback_that_came_in_says_how_its_account_is_called() {
    let (mut world, contact) = at_an_exchange();
    let off = || by_account_with(EncryptionPolicy::Off);
    let invite = Ask {
        body: answer_in("RTP/AVPF", ""),
        ..Ask::invite()
    };
    let text = invite.text().replacen("sip:alice@192.0.2.1", &contact, 1);
    world.send(PEER, 0, text);
    world.response(100);
    let ringing = world.incoming(0);
    world.with(0, |alice, now| alice.answer(ringing, off(), now));
    world.run_ms(50);
    world.inbox.clear();
    assert_eq!(
        profile(&dial_with(&mut world, "205", off(), false)),
        "RTP/AVPF"
    );
    // Who wants encryption asks for it first.
    assert_eq!(profile(&dial(&mut world, "206")), "RTP/AVP");
}
