//! A forked call whose branches are keyed by DTLS-SRTP: the newest that sends is heard, and an
//! older one again, each by keys of its own (RFC 3960 section 3.2, RFC 5763 section 6.2).

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;

use offhook_tests::world::{
    HEARD, PeerId, PhoneId, Setup, World, ms, number_of_peer, phone_ip, secs,
};
use phone::State;
use testkit::network::RuleAction;
use testkit::peer::Message;

/// A phone that makes encrypted calls only, agrees on keys by DTLS, and is heard while it rings.
fn private() -> Setup {
    Setup::default()
        .toml("encryption", "mode = \"required\"\nkeying = [\"dtls\"]")
        .toml("call", "early_media = true")
}

/// The next message a peer gets that is no 100.
fn next(world: &mut World, far: PeerId, what: &str) -> Message {
    world.until(what, secs(5), |world| {
        world[far]
            .mailbox
            .iter()
            .any(|(_, _, m)| m.code() != Some(100))
    });
    world[far].mailbox.retain(|(_, _, m)| m.code() != Some(100));
    world.expect(far, what)
}

/// The peer is a proxy: it brings a response back to the caller.
fn bring_back(world: &mut World, far: PeerId, mut response: Message) {
    response.headers.remove(0);
    world.say(far, &response);
}

/// It sends the INVITE on to a phone, and brings back the 183. Returns what it sent on.
fn fork(world: &mut World, far: PeerId, invite: &Message, to: PhoneId) -> Message {
    let mut copy = invite.clone();
    copy.start = format!("INVITE sip:{}@{} SIP/2.0", to.0 + 1, phone_ip(to));
    let via = format!("SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bK-fork-{}", to.0);
    copy.headers.insert(0, ("Via".to_owned(), via));
    world.say(far, &copy);
    let early = next(world, far, "183 INVITE");
    bring_back(world, far, early);
    copy
}

/// Who is heard, by its certificate; no one while the ringing tone sounds.
fn heard(world: &World, l: PhoneId) -> String {
    let status = world[l].status(world.now());
    assert_eq!(world[l].control.tone(), None, "the ringing tone: {status}");
    status["calls"][0]["identity"]["sha256"]
        .as_str()
        .unwrap_or_else(|| panic!("no keys: {status}"))
        .to_owned()
}

#[test]
fn older_branch_is_heard_again_by_its_dtls_keys() {
    let mut world = World::new("early media with dtls", 8);
    let [l, a, b] = [(); 3].map(|()| world.phone(private()));
    let far = world.peer();
    let silent: Rc<Cell<Option<IpAddr>>> = Rc::new(Cell::new(Some(phone_ip(b))));
    let is_silent = Rc::clone(&silent);
    world.network.add_rule("silent", move |packet, _| {
        if packet.is_media() && Some(packet.from.ip()) == is_silent.get() {
            return RuleAction::Drop;
        }
        RuleAction::Pass
    });
    world.call(l, &number_of_peer(far));
    let invite = world.expect(far, "INVITE");
    // Both answer, and so send; the proxy keeps their answers back.
    fork(&mut world, far, &invite, a);
    world.expect_state(l, State::EarlyMedia, secs(1));
    world.lift(a);
    let first_answer = next(&mut world, far, "200 INVITE");
    world.run(secs(2));
    let first = heard(&world, l);
    // The second is described, and says nothing: the first goes on.
    fork(&mut world, far, &invite, b);
    world.lift(b);
    let second_answer = next(&mut world, far, "200 INVITE");
    world.run(secs(3));
    assert_eq!(heard(&world, l), first, "the second is silent");
    silent.set(None);
    world.run(secs(2));
    let second = heard(&world, l);
    assert_ne!(second, first, "the second is newer, and sends");
    silent.set(Some(phone_ip(b)));
    world.run(secs(5));
    assert_eq!(heard(&world, l), first, "the first again");
    silent.set(None);
    world.run(secs(2));
    assert_eq!(heard(&world, l), second, "the second again");
    // The answer of the first comes through; that of the second is too late.
    bring_back(&mut world, far, first_answer);
    world.expect_state(l, State::Talking, secs(1));
    bring_back(&mut world, far, second_answer);
    world.run(secs(3));
    world.assert_speech_both_ways(l, a, secs(2), HEARD);
    assert_eq!(heard(&world, l), first, "whoever answered");
    assert_eq!(world.state(b), State::Congestion, "it was ended");
    for id in [l, a, b] {
        world.hang_up(id);
        world.run(ms(500));
    }
    world.quiet();
    world.report("first, first, second, first, second; the first answers");
}
