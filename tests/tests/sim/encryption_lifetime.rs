//! Keys that come to their end in a call (RFC 4568 section 6.1): renewed in time, never used beyond
//! it.

use offhook_tests::world::{PeerId, PhoneId, World, ms, number_of_peer, secs};
use phone::State;
use testkit::peer::Message;

use crate::encryption::{ONE, TWO, all_protected, described, key_in, reply, required, take};

/// What a key may protect: the least that is taken.
const LIFETIME: u64 = 1 << 19;

fn with_lifetime(line: &str) -> String {
    line.replace("\r\n", "|2^19\r\n")
}

fn answer(world: &mut World, far: PeerId, invite: &Message, version: u32, key: &str) -> Message {
    let body = described(
        version,
        "sendrecv",
        "RTP/SAVP",
        &with_lifetime(&take(invite, key)),
    );
    let ok = reply(world, far, invite, 200, "b", &body);
    world.say(far, &ok);
    world.expect(far, "ACK");
    world.run(secs(1));
    ok
}

/// A call whose far end gave a key with a lifetime; and our own key.
fn talk(name: &str) -> (World, PhoneId, PeerId, String) {
    let mut world = World::new(name, 31);
    let l = world.phone(required());
    let far = world.tls_peer();
    world.call(l, &number_of_peer(far));
    let invite = world.expect(far, "INVITE");
    answer(&mut world, far, &invite, 1, ONE);
    assert_eq!(world.state(l), State::Talking);
    let ours = key_in(&invite);
    (world, l, far, ours)
}

#[test]
fn a_key_near_its_end_is_renewed_on_the_wire() {
    let (mut world, l, far, ours) = talk("encryption renewal");
    world.pretend_received(l, LIFETIME / 8 * 7 - 1);
    world.expect_nothing(far, ms(500));
    world.pretend_received(l, LIFETIME / 8 * 7);
    let again = world.expect(far, "INVITE");
    assert_ne!(key_in(&again), ours, "both keys are renewed");
    answer(&mut world, far, &again, 2, TWO);
    world.run(secs(1));
    let found = world.recorded(l);
    assert_eq!(found.by_key.len(), 2);
    assert!(
        found.by_key.iter().all(|packets| *packets > 30),
        "{:?}",
        found.by_key
    );
    all_protected(&world, l, 80);
    world.hang_up(l);
    let bye = world.expect(far, "BYE");
    world.say(far, &bye.reply(200, "b"));
    world.quiet();
    world.report("a key with 1/8 of its lifetime left is renewed by re-INVITE; all authentic");
}

#[test]
fn a_key_at_its_end_ends_the_call() {
    let (mut world, l, far, _) = talk("encryption key ends");
    world.pretend_received(l, LIFETIME / 8 * 7);
    let again = world.expect(far, "INVITE");
    world.say(far, &again.reply(488, "b"));
    world.expect(far, "ACK");
    world.run(secs(1));
    assert_eq!(
        world.state(l),
        State::Talking,
        "refused, the old key is good for a while"
    );
    world.pretend_received(l, LIFETIME);
    let bye = world.expect(far, "BYE");
    world.say(far, &bye.reply(200, "b"));
    world.run(secs(1));
    let cause = world[l].status(world.now())["last_call"]["cause"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(cause.contains("key came to its end"), "{cause}");
    all_protected(&world, l, 60);
    world.quiet();
    world.report("no new key came: the call ends with the old one");
}
