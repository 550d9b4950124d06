//! What changes in an encrypted call, or comes late: new keys, hold, somebody else at the other
//! end. The recorder on the wire looks at each datagram.

use offhook_tests::world::{World, ms, secs};
use phone::State;
use testkit::peer::sdp;

use crate::encryption::{
    ONE, SUITE, TWO, all_protected, described, end, key_in, media_at, preferred, reply, required,
    take, talk,
};

#[test]
fn new_keys_in_the_middle_of_a_call() {
    let mut world = World::new("encryption rekey", 7);
    let l = world.phone(required());
    let far = world.tls_peer();
    let (mut dialog, invite) = talk(&mut world, l, far, "RTP/SAVP");
    let ours = key_in(&invite);
    let mut offer = |world: &mut World, version: u32, key: &str| {
        let body = described(
            version,
            "sendrecv",
            "RTP/SAVP",
            &format!("a=crypto:1 {SUITE} inline:{key}\r\n"),
        );
        let change = world[far].in_dialog(&mut dialog, "INVITE").sdp(&body);
        world.say(far, &change);
        let ok = world.expect(far, "200 INVITE");
        dialog.cseq = change.cseq();
        let ack = world[far].in_dialog(&mut dialog, "ACK");
        world.say(far, &ack);
        world.run(secs(1));
        key_in(&ok)
    };
    // A refresh that changes nothing keeps the key and the cipher's place.
    assert_eq!(offer(&mut world, 2, ONE), ours);
    assert_eq!(world[l].keys.len(), 1);
    // A new key of theirs is answered with a new one of ours.
    let renewed = offer(&mut world, 3, TWO);
    assert_ne!(renewed, ours);
    let found = world.recorded(l);
    assert_eq!(found.by_key.len(), 2);
    assert!(
        found.by_key.iter().all(|packets| *packets > 30),
        "{:?}",
        found.by_key
    );
    all_protected(&world, l, 100);
    end(&mut world, l, far);
    world.report("refresh keeps the keys, changed keys are answered with new ones");
}

#[test]
fn hold_with_a_zero_address_and_back() {
    let mut world = World::new("encryption hold", 8);
    let l = world.phone(required());
    let far = world.tls_peer();
    let (mut dialog, _) = talk(&mut world, l, far, "RTP/SAVP");
    let keys = format!("a=crypto:1 {SUITE} inline:{ONE}\r\n");
    for (version, zero) in [(2, true), (3, false)] {
        let mut body = described(version, "sendrecv", "RTP/SAVP", &keys);
        if zero {
            body = body.replace("c=IN IP4 10.0.0.9", "c=IN IP4 0.0.0.0");
        }
        let change = world[far].in_dialog(&mut dialog, "INVITE").sdp(&body);
        world.say(far, &change);
        let ok = world.expect(far, "200 INVITE");
        assert!(
            ok.body
                .contains(if zero { "a=recvonly" } else { "a=sendrecv" }),
            "{}",
            ok.body
        );
        dialog.cseq = change.cseq();
        let ack = world[far].in_dialog(&mut dialog, "ACK");
        world.say(far, &ack);
        world.run(secs(2));
    }
    assert_eq!(world[l].keys.len(), 1, "the same keys all along");
    // Our own hold and resume, too.
    world.flash(l);
    for wanted in ["a=sendonly", "a=sendrecv"] {
        let change = world.expect(far, "INVITE");
        assert!(
            change.body.contains(wanted) && change.body.contains("RTP/SAVP 0"),
            "{}",
            change.body
        );
        let back = if wanted == "a=sendonly" {
            "recvonly"
        } else {
            "sendrecv"
        };
        let ok = reply(
            &world,
            far,
            &change,
            200,
            "b",
            &described(9, back, "RTP/SAVP", &take(&change, ONE)),
        );
        world.say(far, &ok);
        world.expect(far, "ACK");
        world.run(secs(1));
        if wanted == "a=sendonly" {
            world.flash(l);
        }
    }
    all_protected(&world, l, 150);
    end(&mut world, l, far);
    world.report("held by 0.0.0.0 and by us, resumed: authentic throughout");
}

#[test]
fn an_encrypted_call_is_not_taken_out_of_it() {
    for (name, setup, profile) in [
        ("required", required(), "RTP/SAVP"),
        ("preferred", preferred(), "RTP/AVP"),
    ] {
        let mut world = World::new(&format!("encryption transfer {name}"), 11);
        let l = world.phone(setup);
        let far = world.tls_peer();
        let (mut dialog, _) = talk(&mut world, l, far, profile);
        let bodies = [
            // The server connects the call with somebody else, who speaks in clear.
            sdp("10.0.0.9:4100".parse().unwrap(), 2, "sendrecv"),
            described(2, "sendrecv", profile, ""),
            described(2, "inactive", profile, ""),
            described(
                2,
                "sendrecv",
                profile,
                &format!("a=crypto:1 {SUITE} inline:{TWO} UNENCRYPTED_SRTP\r\n"),
            ),
            described(
                2,
                "sendrecv",
                profile,
                &format!("a=crypto:x {SUITE} inline:{TWO}\r\n"),
            ),
        ];
        // The last cannot be read at all (RFC 4568 section 7.1.2).
        let codes = [488, 488, 488, 488, 406];
        for (body, code) in bodies.iter().zip(codes) {
            for method in ["INVITE", "UPDATE"] {
                let change = world[far].in_dialog(&mut dialog, method).sdp(body);
                world.say(far, &change);
                let no = world.expect(far, &format!("{code} {method}"));
                assert!(!no.header("warning").is_empty());
                if method == "INVITE" {
                    world.say(far, &change.same_transaction("ACK", Some(no.header("to"))));
                }
                world.run(ms(500));
                assert_eq!(world.state(l), State::Talking, "the call goes on");
            }
        }
        assert_eq!(world[l].keys.len(), 1);
        let found = world.recorded(l);
        assert!(
            found.clear.is_empty() && found.protected > 200,
            "{:?}",
            found.clear
        );
        assert_eq!(
            world
                .network
                .capture
                .packets()
                .filter(|p| p.datagram.to.port() == 4100)
                .count(),
            0
        );
        end(&mut world, l, far);
        world.report("re-INVITE and UPDATE without keys: 488, and the call goes on encrypted");
    }
}

#[test]
fn a_late_offer_is_encrypted_or_nothing() {
    let mut world = World::new("encryption late offer", 14);
    let r = world.phone(required());
    let far = world.tls_peer();
    for (at, answer_keys) in [(1, true), (2, false)] {
        let invite = world[far].request(
            "INVITE",
            "sip:l@10.0.0.1:5061;transport=tls",
            &format!("late-{at}"),
        );
        world.say(far, &invite);
        world.expect(far, "100 INVITE");
        world.expect(far, "180 INVITE");
        world.lift(r);
        let ok = world.expect(far, "200 INVITE");
        assert!(ok.body.contains(" RTP/SAVP 0"), "{}", ok.body);
        let mut dialog = world[far].caller_dialog(&invite, &ok);
        let body = if answer_keys {
            described(1, "sendrecv", "RTP/SAVP", &take(&ok, ONE))
        } else {
            sdp(media_at(), 1, "sendrecv")
        };
        let ack = world[far].in_dialog(&mut dialog, "ACK").sdp(&body);
        world.say(far, &ack);
        if answer_keys {
            world.run(secs(2));
            all_protected(&world, r, 60);
            world.hang_up(r);
        }
        let bye = world.expect(far, "BYE");
        world.say(far, &bye.reply(200, "x"));
        world.hang_up(r);
        world.run(secs(3));
    }
    world.quiet();
    world.report("an INVITE without offer gets RTP/SAVP; a clear answer in the ACK ends the call");
}
