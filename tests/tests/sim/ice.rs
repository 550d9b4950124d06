//! Phones behind NAT: addresses from a STUN server, and ways found by ICE (RFC 8445) in place of
//! the announced ones.
//!
//! ```text
//! l (10.0.0.1) ─▶ NAT (203.0.113.1) ═══ media ═══ NAT (203.0.113.2) ◀─ r (10.0.0.2)      signalling goes directly
//!                         └──────── STUN server (198.51.100.1:3478) ────┘
//! ```

use std::net::{IpAddr, SocketAddr};

use offhook_tests::world::{HEARD, PhoneId, Setup, World, ms, phone_ip, secs};
use phone::State;
use testkit::network::{Datagram, RuleAction};
use testkit::stun::is_stun;

const STUN: &str = "198.51.100.1:3478";
/// Media ports of a phone, and what the NAT adds to one.
const PORTS: std::ops::Range<u16> = 20_000..20_020;
const SHIFT: u16 = 10_000;

fn outer(id: PhoneId) -> IpAddr {
    IpAddr::from([203, 0, 113, 1 + u8::from(phone_ip(id) == phone_ip_of(1))])
}

fn phone_ip_of(index: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, 1 + index])
}

fn with_ice() -> Setup {
    Setup::default().toml("network", &format!("stun = \"{STUN}\"\nice = true"))
}

/// One NAT: the phone behind it, and who was sent to from which port.
struct Nat {
    inside: IpAddr,
    outside: IpAddr,
    sent_to: Vec<(u16, SocketAddr)>,
}

/// Puts the media ports of each of these phones behind a NAT of its own, which lets in only who was
/// sent to.
fn behind_nats(world: &mut World, phones: &[PhoneId]) {
    behind_nats_with(world, phones, SHIFT);
}

/// The same, where the NAT adds this to a port.
fn behind_nats_with(world: &mut World, phones: &[PhoneId], shift: u16) {
    let nat = |id: &PhoneId| Nat {
        inside: phone_ip(*id),
        outside: outer(*id),
        sent_to: Vec::new(),
    };
    let mut nats: Vec<Nat> = phones.iter().map(nat).collect();
    world
        .network
        .add_rule("NAT", move |packet: &mut Datagram, _| {
            for nat in &mut nats {
                if packet.from.ip() == nat.inside && PORTS.contains(&packet.from.port()) {
                    let port = packet.from.port() + shift;
                    nat.sent_to.push((port, packet.to));
                    packet.from = SocketAddr::new(nat.outside, port);
                }
            }
            for nat in &nats {
                // Its private address leads nowhere.
                let private = packet.to.ip() == nat.inside && PORTS.contains(&packet.to.port());
                let known = || nat.sent_to.contains(&(packet.to.port(), packet.from));
                if private || packet.to.ip() == nat.outside && !known() {
                    return RuleAction::Drop;
                }
                if packet.to.ip() == nat.outside {
                    packet.to = SocketAddr::new(nat.inside, packet.to.port() - shift);
                    break;
                }
            }
            RuleAction::Pass
        });
}

fn stun_messages(world: &World) -> usize {
    let packets = world.network.capture.packets();
    packets.filter(|sent| is_stun(&sent.datagram.bytes)).count()
}

/// Media of a phone since some time, and where it went.
fn media_of(world: &World, from: IpAddr, since: f64) -> Vec<SocketAddr> {
    let packets = world.network.capture.packets();
    packets
        .filter(|sent| sent.at.as_secs_f64() >= since && sent.datagram.from.ip() == from)
        .filter(|sent| sent.datagram.is_media())
        .map(|sent| sent.datagram.to)
        .collect()
}

fn descriptions(world: &World) -> Vec<String> {
    let packets = world.network.capture.packets();
    packets
        .map(|sent| String::from_utf8_lossy(&sent.datagram.bytes).into_owned())
        .filter(|text| text.contains("\r\nv=0\r\n") || text.contains("\r\n\r\nv=0"))
        .collect()
}

fn notes(world: &World, id: PhoneId, kind: &str) -> usize {
    let notes = world[id].events_named("note");
    notes
        .iter()
        .filter(|(_, note)| note["kind"] == kind)
        .count()
}

fn talk(world: &mut World, l: PhoneId, r: PhoneId) {
    world.run(secs(3));
    for (from, to) in [(l, r), (r, l)] {
        let heard = world.compare(from, to, secs(2)).correlation;
        assert!(heard >= HEARD, "{heard}");
    }
}

#[test]
fn two_phones_on_a_lan_go_directly() {
    let (mut world, l, r) = World::pair("ice on a LAN", 1, &with_ice());
    world.connect(l, r);
    talk(&mut world, l, r);
    let described = descriptions(&world);
    assert_eq!(described.len(), 2, "offer and answer");
    for text in &described {
        for line in [
            "a=ice-ufrag:",
            "a=ice-pwd:",
            "a=candidate:",
            "a=ice-options:ice2",
            "a=rtcp-mux",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
    assert!(stun_messages(&world) > 8);
    // Hold and resume keep the way that was found.
    world.flash(l);
    world.run(secs(1));
    world.flash(l);
    world.expect_state(l, State::Talking, secs(2));
    talk(&mut world, l, r);
    assert_eq!(notes(&world, l, "no_path") + notes(&world, r, "no_path"), 0);
    world.quiet();
}

#[test]
fn two_phones_behind_nats_hear_each_other() {
    let mut world = World::new("ice through NATs", 2);
    world.add_stun_server(STUN.parse().unwrap());
    let l = world.phone(with_ice());
    let r = world.phone(with_ice());
    behind_nats(&mut world, &[l, r]);
    world.connect(l, r);
    talk(&mut world, l, r);
    let since = world.now().as_secs_f64() - 1.0;
    for (from, to) in [(l, r), (r, l)] {
        let sent = media_of(&world, outer(from), since);
        assert!(sent.len() >= 49, "{}", sent.len());
        assert!(sent.iter().all(|at| at.ip() == phone_ip(to)), "{sent:?}");
    }
    let seen = descriptions(&world);
    assert!(
        seen.iter().all(|text| text.contains("typ srflx raddr")),
        "{seen:?}"
    );
    world.quiet();
}

#[test]
fn the_way_that_was_chosen_is_offered_once() {
    let mut world = World::new("ice updated offer", 2);
    world.add_stun_server(STUN.parse().unwrap());
    let l = world.phone(with_ice());
    let r = world.phone(with_ice());
    behind_nats(&mut world, &[l, r]);
    world.connect(l, r);
    talk(&mut world, l, r);
    // Neither end is to be reached by the address its first description names (RFC 8839 section
    // 4.4.1.2.2): the one that leads says which ones are used, and whose.
    let seen = descriptions(&world);
    assert_eq!(seen.len(), 4, "an updated offer and its answer: {seen:?}");
    for (text, line) in [
        (&seen[2], "c=IN IP4 203.0.113.1\r\n"),
        (&seen[2], "a=remote-candidates:1 203.0.113.2 "),
        (&seen[3], "c=IN IP4 203.0.113.2\r\n"),
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let count = |text: &str| text.matches("a=candidate:").count();
    assert_eq!((count(&seen[2]), count(&seen[3])), (1, 1), "{seen:?}");
    let ufrag = |text: &str| {
        let mut lines = text.lines().filter(|line| line.starts_with("a=ice-ufrag"));
        lines.next().map(str::to_owned)
    };
    assert_eq!(ufrag(&seen[0]), ufrag(&seen[2]), "no restart");
    // Hold and resume go on with it.
    world.flash(l);
    world.run(secs(1));
    world.flash(l);
    world.expect_state(l, State::Talking, secs(2));
    talk(&mut world, l, r);
    let seen = descriptions(&world);
    assert!(
        seen.last().unwrap().contains("c=IN IP4 203.0.113.2\r\n"),
        "{seen:?}"
    );
    world.quiet();
}

#[test]
fn an_offer_with_ice_is_answered_with_it() {
    let mut world = World::new("ice answered", 3);
    let l = world.phone(with_ice());
    let r = world.phone(Setup::default());
    world.connect(l, r);
    talk(&mut world, l, r);
    let described = descriptions(&world);
    assert!(described[1].contains("a=ice-ufrag:"), "{}", described[1]);
    world.hang_up(l);
    world.hang_up(r);
    world.run(secs(2));
    // But not offered.
    world.connect(r, l);
    talk(&mut world, l, r);
    assert!(!descriptions(&world)[2].contains("ice-ufrag"));
    world.quiet();
}

#[test]
fn a_far_end_without_ice_is_called_as_ever() {
    let mut world = World::new("ice refused", 4);
    let l = world.phone(with_ice());
    let r = world.phone(Setup::default().toml("network", "ice = false"));
    world.connect(l, r);
    talk(&mut world, l, r);
    assert!(!descriptions(&world)[1].contains("ice-"));
    world.quiet();
}

#[test]
fn addresses_changed_on_the_way_make_a_plain_call() {
    let (mut world, l, r) = World::pair("ice mismatch", 5, &with_ice());
    // A middlebox that knows nothing of ICE: it moves the media and leaves the candidates.
    world
        .network
        .add_rule("middlebox", |packet: &mut Datagram, _| {
            let text = String::from_utf8_lossy(&packet.bytes).into_owned();
            if packet.is_sip("INVITE") {
                let changed = text.replace("c=IN IP4 10.0.0.1", "c=IN IP4 10.0.0.7");
                packet.bytes = changed.into_bytes();
            }
            if packet.to.ip() == phone_ip_of(6) {
                packet.to.set_ip(phone_ip_of(0));
            }
            RuleAction::Pass
        });
    world.connect(l, r);
    talk(&mut world, l, r);
    let described = descriptions(&world);
    assert!(described[1].contains("a=ice-mismatch"), "{}", described[1]);
    assert!(!described[1].contains("a=candidate"), "{}", described[1]);
    world.quiet();
}

#[test]
fn lost_consent_silences_and_a_restart_heals() {
    let (mut world, l, r) = World::pair("ice consent", 6, &with_ice());
    world.connect(l, r);
    talk(&mut world, l, r);
    // Whatever goes to r's media ports is lost; what r sends arrives, so that l hears it all along.
    world
        .network
        .add_rule("one way", move |packet: &mut Datagram, _| {
            let lost = packet.to.ip() == phone_ip_of(1) && PORTS.contains(&packet.to.port());
            if lost {
                RuleAction::Drop
            } else {
                RuleAction::Pass
            }
        });
    world.run(secs(24));
    let since = world.now().as_secs_f64();
    world.run(secs(1));
    assert!(
        media_of(&world, phone_ip(l), since).len() >= 49,
        "consent holds for 30 s"
    );
    world.run(secs(12));
    assert_eq!(notes(&world, l, "consent_lost"), 1);
    let since = world.now().as_secs_f64();
    world.run(secs(3));
    let sent = media_of(&world, phone_ip(l), since);
    assert!(sent.is_empty(), "{sent:?}");
    // The way is back before the call is given up.
    world.network.remove_rule("one way");
    world.run(secs(8));
    talk(&mut world, l, r);
    world.quiet();
}

#[test]
fn a_call_with_no_way_left_ends() {
    let (mut world, l, r) = World::pair("ice no way", 7, &with_ice());
    world.connect(l, r);
    world.run(secs(2));
    world
        .network
        .add_rule("no media", move |packet: &mut Datagram, _| {
            let media = PORTS.contains(&packet.to.port());
            if media {
                RuleAction::Drop
            } else {
                RuleAction::Pass
            }
        });
    world.until("the call is over", secs(90), |world| {
        world.state(l) != State::Talking && world.state(r) != State::Talking
    });
    world.quiet();
}

#[test]
fn another_address_restarts_the_checks() {
    let (mut world, l, r) = World::pair("ice restart", 8, &with_ice());
    world.connect(l, r);
    talk(&mut world, l, r);
    let ufrag = |text: &str| {
        let at = text.find("a=ice-ufrag:").unwrap();
        text[at..].lines().next().unwrap().to_owned()
    };
    let before = ufrag(&descriptions(&world)[0]);
    let route = |network: [u8; 4], prefix| sip::Route {
        network: network.into(),
        prefix,
        source: phone_ip_of(0),
    };
    let local = sip::LocalAddresses::new(5060, [route([0; 4], 0), route([10, 0, 0, 0], 8)]);
    world.change_addresses(l, local);
    world.run(secs(2));
    let described = descriptions(&world);
    assert_eq!(described.len(), 4, "a second offer and answer");
    assert_ne!(ufrag(&described[2]), before);
    assert_ne!(ufrag(&described[3]), ufrag(&described[1]));
    talk(&mut world, l, r);
    world.quiet();
}

#[test]
fn keys_are_agreed_on_by_the_way_that_was_found() {
    let mut world = World::new("ice and DTLS", 9);
    world.add_stun_server(STUN.parse().unwrap());
    let private = || with_ice().toml("encryption", "mode = \"required\"\nkeying = [\"dtls\"]");
    let l = world.phone(private());
    let r = world.phone(private());
    behind_nats(&mut world, &[l, r]);
    world.connect(l, r);
    talk(&mut world, l, r);
    for id in [l, r] {
        let status = world[id].status(world.now());
        assert_eq!(status["calls"][0]["identity"]["trust"], "new", "{status:#}");
    }
    world.quiet();
}

/// A phone with STUN behind a NAT, which talks to one outside.
fn calls_out_of_a_nat(world: &mut World) -> (PhoneId, PhoneId) {
    world.add_stun_server(STUN.parse().unwrap());
    let setup = Setup::default()
        .toml("network", &format!("stun = \"{STUN}\""))
        .toml("dial.speed", "401 = \"sip:2@far.example.net\"");
    let l = world.phone(setup);
    let r = world.phone(Setup::default());
    world.set_zone(&[("far.example.net", &["10.0.0.2:5060"])]);
    behind_nats(world, &[l]);
    world.call(l, "401");
    world.expect_state(r, State::Ringing, secs(5));
    world.lift(r);
    world.expect_state(l, State::Talking, secs(5));
    talk(world, l, r);
    (l, r)
}

#[test]
fn the_mapped_address_is_named_to_far_ends_outside() {
    let mut world = World::new("stun without ice", 10);
    let (l, r) = calls_out_of_a_nat(&mut world);
    let offer = descriptions(&world).remove(0);
    assert!(offer.contains("c=IN IP4 203.0.113.1\r\n"), "{offer}");
    assert!(offer.contains("m=audio 30000 "), "{offer}");
    world.hang_up(l);
    world.hang_up(r);
    world.run(secs(2));
    // Inside it is the phone's own.
    world.network.remove_rule("NAT");
    world.connect(l, r);
    let offers = descriptions(&world);
    let inside = offers.iter().rev().find(|text| text.starts_with("INVITE"));
    assert!(
        inside.unwrap().contains("c=IN IP4 10.0.0.1\r\n"),
        "{inside:?}"
    );
    world.quiet();
}

#[test]
fn a_silent_stun_server_delays_a_call_by_half_a_second() {
    let (mut world, l, r) = World::pair("silent stun", 11, &with_ice());
    world.lift(l);
    world.run(ms(300));
    world.press(l, "202");
    let dialled = world.now();
    world.expect_state(r, State::Ringing, secs(5));
    let waited = world.now().saturating_sub(dialled);
    assert!(waited < ms(600), "{waited:?}");
    world.lift(r);
    world.expect_state(l, State::Talking, secs(2));
    talk(&mut world, l, r);
    world.quiet();
}

/// Two phones at the registrar, the called one with a STUN server that is silent.
fn at_a_registrar(seed: u64) -> (World, PhoneId, PhoneId) {
    let mut world = World::new("stun while it rings", seed);
    world.add_registrar(&[("401", "one"), ("402", "two")]);
    let l = world.phone(Setup::default().account("401", "one"));
    let stun = format!("stun = \"{STUN}\"");
    let r = world.phone(
        Setup::default()
            .account("402", "two")
            .toml("network", &stun),
    );
    world.run(secs(3));
    (world, l, r)
}

/// How long after that time this phone answered a call.
fn answered_after(world: &World, id: PhoneId, since: std::time::Duration) -> std::time::Duration {
    let is_answer = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        text.starts_with("SIP/2.0 200") && text.contains(" INVITE\r\n")
    };
    let mut packets = world.network.capture.packets();
    let answer = packets.find(|sent| {
        sent.at >= since
            && sent.datagram.from.ip() == phone_ip(id)
            && is_answer(&sent.datagram.bytes)
    });
    let answered = answer.map(|sent| sent.at.saturating_sub(since));
    answered.unwrap_or_else(|| panic!("it did not answer"))
}

#[test]
fn answering_waits_for_no_server() {
    let (mut world, l, r) = at_a_registrar(12);
    for rings in [secs(2), ms(200)] {
        world.call(l, "402");
        world.expect_state(r, State::Ringing, secs(5));
        world.run(rings);
        let lifted = world.now();
        world.lift(r);
        world.expect_state(l, State::Talking, secs(2));
        // Half a second is what a silent server costs, and it began with the ringing.
        let waited = answered_after(&world, r, lifted);
        let most = ms(500).saturating_sub(rings) + ms(50);
        assert!(waited <= most, "{rings:?}: {waited:?}");
        talk(&mut world, l, r);
        world.hang_up(l);
        world.hang_up(r);
        world.run(secs(2));
    }
    // A call that is not answered leaves no socket open.
    world.call(l, "402");
    world.expect_state(r, State::Ringing, secs(5));
    world.run(secs(1));
    world.hang_up(l);
    world.run(secs(2));
    world.quiet();
}

#[test]
fn a_strangers_call_makes_no_server_be_asked() {
    let mut world = World::new("stun and a stranger", 13);
    let l = world.phone(Setup::default());
    let stun = format!("stun = \"{STUN}\"");
    let r = world.phone(Setup::default().toml("network", &stun));
    world.call(l, "202");
    world.expect_state(r, State::Ringing, secs(5));
    world.run(secs(2));
    assert_eq!(stun_messages(&world), 0);
    world.hang_up(l);
    world.run(secs(2));
    world.quiet();
}

#[test]
fn a_router_that_restarts_in_a_call_is_noticed() {
    let mut world = World::new("stun and a restart", 14);
    let (l, r) = calls_out_of_a_nat(&mut world);
    let before = descriptions(&world).len();
    world.run(secs(40));
    assert_eq!(descriptions(&world).len(), before, "nothing changed");
    world.network.remove_rule("NAT");
    behind_nats_with(&mut world, &[l], SHIFT + 1000);
    world.run(secs(17));
    let described = descriptions(&world);
    assert_eq!(described.len(), before + 2, "one offer and its answer");
    let offer = &described[before];
    assert!(offer.starts_with("INVITE"), "{offer}");
    assert!(offer.contains("m=audio 31000 "), "{offer}");
    talk(&mut world, l, r);
    world.quiet();
}

#[test]
fn an_accounts_address_outside_stands_in_its_calls_alone() {
    let mut world = World::new("an external address", 15);
    world.add_registrar(&[("401", "one"), ("402", "two")]);
    let outside = "external_address = \"203.0.113.77\"";
    let l = world.phone(Setup::default().account_with("401", "one", "10.0.0.100", outside));
    let open = Setup::default().account("402", "two");
    let r = world.phone(open.toml("call", "direct = true"));
    world.run(secs(3));
    world.call(l, "402");
    world.expect_state(r, State::Ringing, secs(5));
    let offer = descriptions(&world).remove(0);
    for line in ["c=IN IP4 203.0.113.77\r\n", "@203.0.113.77:5060>"] {
        assert!(offer.contains(line), "{line}: {offer}");
    }
    world.hang_up(l);
    world.run(secs(2));
    // A call without the account has the phone's own.
    world.call(l, "202");
    world.expect_state(r, State::Ringing, secs(5));
    let offers = descriptions(&world);
    let direct = offers
        .iter()
        .rev()
        .find(|text| text.starts_with("INVITE"))
        .unwrap();
    assert!(direct.contains("c=IN IP4 10.0.0.1\r\n"), "{direct}");
    assert!(!direct.contains("203.0.113.77"), "{direct}");
    world.hang_up(l);
    world.run(secs(2));
    world.quiet();
}
