//! What strangers send, and what a far end does that wants more than a call.

use super::network::{Nat, STREAM, World};
use super::*;
use crate::stun::{Attribute, Class, Method, TransactionId, Writer};

const STRANGER: &str = "192.0.2.66:6666";

fn check(username: &str, key: Option<&[u8]>) -> Vec<u8> {
    Writer::new(Method::Binding, Class::Request, TransactionId([3; 12]))
        .attribute(Attribute::Username, username.as_bytes())
        .attribute(Attribute::Priority, &u32::MAX.to_be_bytes())
        .attribute(Attribute::IceControlling, &u64::MAX.to_be_bytes())
        .attribute(Attribute::UseCandidate, &[])
        .finish(key)
}

fn connected() -> (World, IceCredentials, IceCredentials) {
    let mut world = World::new(Nat::None, Nat::None);
    world.gather(false);
    let [left, _] = world.agree(true);
    world.connect();
    world.run(ms(2000));
    (world, left.local, left.remote)
}

#[test]
fn a_stranger_moves_nothing() {
    let (mut world, ours, theirs) = connected();
    let (path, now) = (world.path(0), world.now);
    world.ends[0].events.clear();
    let name = format!("{}:{}", ours.ufrag, theirs.ufrag);
    let mut answers = Vec::new();
    for datagram in [
        check("x:y", None),
        check("x:y", Some(b"guess")),
        check(&name, None),
        check(&name, Some(b"guess")),
        check(&name, Some(theirs.password.as_bytes())),
        Writer::new(Method::Binding, Class::Success, TransactionId([3; 12]))
            .address(Attribute::XorMappedAddress, address(STRANGER))
            .finish(Some(theirs.password.as_bytes())),
        Writer::new(Method::Data, Class::Indication, TransactionId([3; 12]))
            .address(Attribute::XorPeerAddress, address(STRANGER))
            .attribute(
                Attribute::Data,
                &check(&name, Some(ours.password.as_bytes())),
            )
            .finish(None),
        vec![64, 0, 0, 4, 22, 254, 253, 0],
        vec![22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        let ice = &mut world.ends[0].ice;
        let from = address(STRANGER);
        assert_eq!(
            ice.handle_datagram(STREAM, PacketKind::Rtp, from, &datagram, now),
            None
        );
        while let Some(transmit) = ice.poll_transmit() {
            answers.push(transmit.bytes.len() <= datagram.len());
        }
    }
    assert_eq!(world.path(0), path);
    assert_eq!(world.ends[0].events, []);
    // Only who knows the user name gets a reason, and no longer one than was sent.
    assert_eq!(answers, [true, true, true]);
}

#[test]
fn a_far_end_cannot_fill_memory() {
    let (mut world, ours, theirs) = connected();
    let now = world.now;
    let name = format!("{}:{}", ours.ufrag, theirs.ufrag);
    let datagram = check(&name, Some(ours.password.as_bytes()));
    for port in 1..5000 {
        let from = SocketAddr::new(address(STRANGER).ip(), port);
        world.ends[0]
            .ice
            .handle_datagram(STREAM, PacketKind::Rtp, from, &datagram, now);
        while world.ends[0].ice.poll_transmit().is_some() {}
    }
    let agent = world.ends[0].ice.endpoints[0].agent.as_ref().unwrap();
    assert!(agent.pairs() <= 64, "{}", agent.pairs());
}

#[test]
fn a_nominated_address_is_asked_first() {
    let (mut world, ours, theirs) = connected();
    let (path, now) = (world.path(1), world.now);
    // The far end itself names another host: a check must succeed there first.
    let name = format!("{}:{}", theirs.ufrag, ours.ufrag);
    let datagram = check(&name, Some(theirs.password.as_bytes()));
    let ice = &mut world.ends[1].ice;
    ice.handle_datagram(STREAM, PacketKind::Rtp, address(STRANGER), &datagram, now);
    world.run(ms(20_000));
    assert_eq!(world.path(1), path);
}

#[test]
fn an_answer_from_elsewhere_is_no_way() {
    let mut world = World::new(Nat::None, Nat::None);
    world.gather(false);
    let both = world.agree(true);
    let now = world.now;
    // The first check of the left end, answered with the right password by somebody else.
    let sent = world.ends[0].ice.poll_transmit().unwrap();
    let request = Message::parse(&sent.bytes).unwrap();
    let answer = Writer::answer(&request, Class::Success)
        .address(Attribute::XorMappedAddress, address("203.0.113.1:4000"))
        .finish(Some(both[0].remote.password.as_bytes()));
    world.ends[0]
        .ice
        .handle_datagram(STREAM, PacketKind::Rtp, address(STRANGER), &answer, now);
    assert_eq!(world.path(0), Path::default());
}
