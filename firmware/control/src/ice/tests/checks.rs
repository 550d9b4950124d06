//! Ways that are found, and what becomes of them.

use sip::ice::CandidateKind;

use super::network::{Nat, STREAM, World, end};
use super::*;

fn connected(left: Nat, right: Nat, with_turn: bool, muxed: bool) -> World {
    let mut world = World::new(left, right);
    world.gather(with_turn);
    world.agree(muxed);
    world.connect();
    world.run(ms(3000));
    for side in [0, 1] {
        assert!(
            world.media_flows(side),
            "{left:?} {right:?}: media of {side}"
        );
    }
    world
}

fn is_relayed(world: &World) -> bool {
    (0..2).any(|side| world.path(side).relays.rtp.is_some())
}

#[test]
fn every_nat_is_passed() {
    use Nat::{FullCone, None, PortRestricted, Symmetric};
    for left in [None, FullCone, PortRestricted, Symmetric] {
        for right in [None, FullCone, PortRestricted, Symmetric] {
            for muxed in [true, false] {
                let world = connected(left, right, true, muxed);
                // Two of these cannot find each other by themselves (RFC 5128 section 3).
                let hard = |nat| matches!(nat, Symmetric | PortRestricted);
                let needs_relay =
                    left == Symmetric && hard(right) || right == Symmetric && hard(left);
                assert_eq!(
                    is_relayed(&world),
                    needs_relay,
                    "{left:?} {right:?} {muxed}"
                );
                let paths = [world.path(0), world.path(1)];
                for path in paths {
                    assert_eq!(path.rtcp == path.rtp, muxed, "{left:?} {right:?} {path:?}");
                    assert!(path.rtcp.is_some());
                }
            }
        }
    }
}

#[test]
fn without_a_relay_the_hard_ones_fail_and_say_so() {
    let mut world = World::new(Nat::Symmetric, Nat::Symmetric);
    world.gather(false);
    world.agree(true);
    world.run(ms(16_000));
    for end in &world.ends {
        assert!(
            end.events.contains(&Event::Failed(STREAM)),
            "{:?}",
            end.events
        );
    }
    // And then nothing is sent any more.
    let sent: Vec<_> = world.ends.iter().map(|end| end.sent).collect();
    world.run(ms(60_000));
    let later: Vec<_> = world.ends.iter().map(|end| end.sent).collect();
    assert_eq!(sent, later);
}

#[test]
fn candidates_are_what_was_found() {
    let mut world = World::new(Nat::PortRestricted, Nat::None);
    world.gather(true);
    let now = world.now;
    let local = world.ends[0].ice.local(STREAM, false, now).unwrap();
    let of = |kind, component| {
        let mut of = local.candidates.iter();
        of.find(|c| c.kind == kind && c.component == component)
            .cloned()
    };
    for (component, port) in [(1, 4000), (2, 4001)] {
        let host = of(CandidateKind::Host, component).unwrap();
        let own = SocketAddr::new(world.ends[0].host, port);
        assert_eq!((host.address, host.related), (own, None));
        let reflexive = of(CandidateKind::ServerReflexive, component).unwrap();
        assert_eq!(reflexive.related, Some(own));
        let relayed = of(CandidateKind::Relayed, component).unwrap();
        assert_eq!(relayed.address.ip(), address(network::TURN).ip());
        assert!(host.priority > reflexive.priority && reflexive.priority > relayed.priority);
    }
    // RFC 8445 section 5.1.2.1.
    assert_eq!(of(CandidateKind::Host, 1).unwrap().priority, 2_130_706_431);
    // A phone that is not behind NAT has no second address.
    let other = world.ends[1].ice.local(STREAM, false, now).unwrap();
    let kinds: Vec<_> = other.candidates.iter().map(|c| c.kind).collect();
    assert!(
        !kinds.contains(&CandidateKind::ServerReflexive),
        "{kinds:?}"
    );
    let (rtp, rtcp) = world.ends[0].ice.default_addresses(STREAM, true).unwrap();
    let mapped = |component| {
        of(CandidateKind::ServerReflexive, component)
            .unwrap()
            .address
    };
    assert_eq!((rtp, rtcp), (mapped(1), mapped(2)));
    let inside = world.ends[0].ice.default_addresses(STREAM, false).unwrap();
    assert_eq!(inside.0, SocketAddr::new(world.ends[0].host, 4000));
}

#[test]
fn ipv6_is_a_way_where_ipv4_has_none() {
    // No relay, and routers that show another port to everyone.
    let mut world = World::of([
        end(1, Nat::Symmetric).with_ipv6("2001:db8::1"),
        end(2, Nat::Symmetric).with_ipv6("2001:db8::2"),
    ]);
    world.gather(false);
    world.agree(false);
    world.connect();
    world.run(ms(3000));
    for side in [0, 1] {
        let path = world.path(side);
        let far = if side == 0 {
            "[2001:db8::2]"
        } else {
            "[2001:db8::1]"
        };
        assert_eq!(path.rtp, Some(address(&format!("{far}:4000"))));
        assert_eq!(path.rtcp, Some(address(&format!("{far}:4001"))));
        assert!(world.media_flows(side));
    }
}

#[test]
fn a_relay_joins_the_families() {
    for muxed in [true, false] {
        let mut world = World::of([
            end(1, Nat::PortRestricted),
            end(2, Nat::None).only_ipv6("2001:db8::2"),
        ]);
        world.gather(true);
        world.agree(muxed);
        world.connect();
        world.run(ms(3000));
        let path = world.path(0);
        assert_eq!(path.rtp, Some(address("[2001:db8::2]:4000")));
        assert!(path.relays.rtp.is_some());
        let relay: std::net::IpAddr = network::TURN_IPV6.parse().unwrap();
        assert_eq!(world.path(1).rtp.map(|to| to.ip()), Some(relay));
        assert!(world.media_flows(0) && world.media_flows(1));
        world.run(ms(1_300_000));
        assert!(world.media_flows(0) && world.media_flows(1));
    }
}

#[test]
fn a_server_that_minds_being_asked_for_ipv6_serves_ipv4() {
    let mut world = World::new(Nat::Symmetric, Nat::Symmetric);
    world.refuses_ipv6 = true;
    world.gather(true);
    world.agree(true);
    world.connect();
    assert!(world.media_flows(0) && world.media_flows(1));
}

#[test]
fn mappings_are_kept_open_and_a_new_one_is_noticed() {
    let mut world = World::new(Nat::PortRestricted, Nat::None);
    world.gather(false);
    let default = |world: &World| world.ends[0].ice.default_addresses(STREAM, true).unwrap();
    let (before, asked) = (default(&world), world.ends[0].asked);
    world.ends[0].events.clear();
    // A call rings, or goes on without checks: both sockets ask at least every fifteen seconds.
    world.run(ms(90_000));
    assert_eq!(world.ends[0].asked - asked, 12);
    assert_eq!(default(&world), before);
    // Lost answers are no news.
    world.servers_dead = true;
    world.run(ms(60_000));
    world.servers_dead = false;
    assert_eq!(world.ends[0].events, []);
    world.ends[0].forget();
    world.run(ms(16_000));
    assert_eq!(world.ends[0].events, [Event::Remapped(STREAM)]);
    let after = default(&world);
    assert!(
        after.0 != before.0 && after.1 != before.1,
        "{before:?} {after:?}"
    );
    world.run(ms(60_000));
    assert_eq!(world.ends[0].events.len(), 1, "once");
}

#[test]
fn a_way_in_use_needs_no_server() {
    let mut world = connected(Nat::PortRestricted, Nat::FullCone, false, true);
    let asked = world.ends[0].asked;
    world.run(ms(100_000));
    assert_eq!(world.ends[0].asked, asked);
}

#[test]
fn silent_servers_cost_half_a_second() {
    let mut world = World::new(Nat::PortRestricted, Nat::None);
    world.servers_dead = true;
    let sockets = [4000, 4001].map(|port| SocketAddr::new(world.ends[0].host, port));
    let (wanted, now) = (world.ends[0].wanted(true), world.now);
    assert!(!world.ends[0].ice.open(STREAM, sockets, wanted, now));
    world.run(ms(499));
    assert!(world.ends[0].events.is_empty());
    world.run(ms(1));
    assert_eq!(world.ends[0].events, [Event::Gathered(STREAM)]);
    let now = world.now;
    let local = world.ends[0].ice.local(STREAM, true, now).unwrap();
    assert_eq!(local.candidates.len(), 2, "host candidates");
}

#[test]
fn both_in_one_role_are_sorted_out() {
    for controlling in [true, false] {
        let mut world = World::new(Nat::None, Nat::FullCone);
        world.gather(false);
        let now = world.now;
        let locals = [0, 1].map(|side| world.ends[side].ice.local(STREAM, false, now).unwrap());
        for side in [0, 1] {
            let agreed = AgreedIce {
                local: locals[side].credentials.clone(),
                remote: locals[1 - side].credentials.clone(),
                candidates: locals[1 - side].candidates.clone(),
                lite: false,
                offered_by_us: controlling,
            };
            world.ends[side].ice.agree(STREAM, Some(&agreed), true, now);
        }
        world.connect();
        world.run(ms(3000));
        let roles = [0, 1].map(|side| {
            let agent = world.ends[side].ice.endpoints[0].agent.as_ref().unwrap();
            assert!(agent.is_settled(), "{side} has nominated");
            agent.is_controlling()
        });
        assert_ne!(roles[0], roles[1]);
        assert!(world.media_flows(0) && world.media_flows(1));
    }
}

#[test]
fn checks_before_the_answer_are_not_lost() {
    let mut world = World::new(Nat::None, Nat::None);
    world.gather(false);
    // `agree` lets the answerer check for 60 ms before the offerer has its answer.
    world.agree(true);
    world.run(ms(45));
    assert!(world.path(0).rtp.is_some() && world.path(1).rtp.is_some());
}

#[test]
fn lost_consent_stops_media_and_says_so() {
    let mut world = connected(Nat::PortRestricted, Nat::FullCone, false, true);
    // As long as answers come, it goes on for ever.
    world.run(ms(120_000));
    assert!(world.path(0).rtp.is_some());
    world.ends[0].events.clear();
    world.cut = true;
    world.run(ms(24_000));
    assert!(world.path(0).rtp.is_some(), "consent holds for 30 s");
    world.run(ms(12_000));
    for side in [0, 1] {
        assert_eq!(world.path(side), Path::default());
        let reported = &world.ends[side].events;
        assert!(
            reported.contains(&Event::ConsentLost(STREAM)),
            "{reported:?}"
        );
        assert!(!world.media_flows(side));
    }
    world.run(ms(31_000));
    assert!(world.ends[0].events.contains(&Event::Gone(STREAM)));
}

#[test]
fn consent_is_asked_for_every_five_seconds() {
    let mut world = connected(Nat::None, Nat::None, false, true);
    let before = world.ends[0].sent;
    world.run(ms(100_000));
    // Questions of ours, and answers to theirs.
    let asked = (world.ends[0].sent - before) / 2;
    assert!((16..=25).contains(&asked), "{asked} in 100 s");
}

#[test]
fn a_restart_finds_another_way() {
    let mut world = connected(Nat::PortRestricted, Nat::FullCone, false, true);
    let before = world.path(1).rtp;
    // The left end gets another address.
    world.ends[0].host = "192.168.9.9".parse().unwrap();
    let (wanted, now) = (world.ends[0].wanted(false), world.now);
    world.ends[0].ice.endpoints[0].gatherer.sockets =
        [4000, 4001].map(|port| SocketAddr::new(world.ends[0].host, port));
    assert!(!world.ends[0].ice.reopen(STREAM, wanted, now));
    world.run(ms(200));
    let now = world.now;
    let [left, right] = &mut world.ends;
    let ours = left.ice.local(STREAM, true, now).unwrap();
    let theirs = right.ice.local(STREAM, false, now).unwrap();
    // The answer to a restart has other credentials, too.
    let fresh = IceCredentials {
        ufrag: "fresh".into(),
        password: "0123456789012345678901".into(),
    };
    let agreed = |local: &IceCredentials,
                  remote: &IceCredentials,
                  candidates: &LocalIce,
                  offered| AgreedIce {
        local: local.clone(),
        remote: remote.clone(),
        candidates: candidates.candidates.clone(),
        lite: false,
        offered_by_us: offered,
    };
    let at_right = agreed(&fresh, &ours.credentials, &ours, false);
    let at_left = agreed(&ours.credentials, &fresh, &theirs, true);
    right.ice.agree(STREAM, Some(&at_right), true, now);
    assert_eq!(right.ice.path(STREAM).rtp, before, "until there is another");
    left.ice.agree(STREAM, Some(&at_left), true, now);
    world.run(ms(3000));
    assert!(world.path(1).rtp.is_some() && world.path(1).rtp != before);
    assert!(world.media_flows(0) && world.media_flows(1));
}

#[test]
fn a_lite_far_end_is_led() {
    let mut world = World::new(Nat::PortRestricted, Nat::None);
    world.gather(false);
    let now = world.now;
    let ours = world.ends[0].ice.local(STREAM, false, now).unwrap();
    let theirs = world.ends[1].ice.local(STREAM, true, now).unwrap();
    let mut agreed = AgreedIce {
        local: ours.credentials.clone(),
        remote: theirs.credentials.clone(),
        candidates: theirs.candidates.clone(),
        lite: true,
        // The offer was theirs, and yet they cannot lead.
        offered_by_us: false,
    };
    // The right end only answers: it never learns our candidates, and believes to be controlled.
    world.ends[1].ice.endpoints[0].agent = None;
    let passive = AgreedIce {
        local: theirs.credentials,
        remote: ours.credentials,
        candidates: Vec::new(),
        lite: false,
        offered_by_us: false,
    };
    world.ends[1].ice.agree(STREAM, Some(&passive), true, now);
    agreed.candidates.retain(|c| c.kind == CandidateKind::Host);
    world.ends[0].ice.agree(STREAM, Some(&agreed), true, now);
    world.run(ms(2000));
    let agent = world.ends[0].ice.endpoints[0].agent.as_ref().unwrap();
    assert!(agent.is_controlling() && agent.is_settled());
    assert!(world.media_flows(0));
}

#[test]
fn allocations_are_kept_and_given_back() {
    let mut world = World::new(Nat::Symmetric, Nat::Symmetric);
    world.gather(true);
    world.agree(false);
    world.connect();
    assert_eq!(world.allocations(), 4);
    world.stale_nonce = true;
    // Longer than allocations, permissions and channels live by themselves.
    world.run(ms(1_300_000));
    assert!(world.path(0).rtp.is_some() && world.media_flows(0) && world.media_flows(1));
    let now = world.now;
    for end in &mut world.ends {
        end.ice.close(STREAM, now);
    }
    world.run(ms(100));
    assert_eq!(world.allocations(), 0);
    assert_eq!(world.ends[0].ice.len(), 0);
    assert_eq!(world.ends[0].ice.poll_timeout(), None);
}
