//! Where sound goes and whose is heard when it comes from another address than announced: NATs,
//! relays and proxies on one side, blind senders on the other.
//!
//! ```text
//! peer (10.0.0.9: signalling) announces ANNOUNCED; its sound comes from 10.0.0.9:NAT_PORT, or not
//! stranger (203.0.113.5) ─▶ RTP and RTCP to every port of the phone, before and during the call
//! ```

use std::net::{IpAddr, SocketAddr};

use offhook_tests::world::{PeerId, PhoneId, Setup, World, ms, number_of_peer, phone_ip, secs};
use phone::State;
use testkit::peer::{Dialog, sdp};

/// A private address that leads nowhere.
const ANNOUNCED: &str = "192.168.178.20:4000";
/// Where the peer's packets come from: the public address of its NAT, which is also where its
/// signalling comes from.
const NAT: &str = "10.0.0.9:31000";
/// A host that neither SDP nor signalling named.
const STRANGER: &str = "203.0.113.5:9000";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// One sender of RTP.
struct Sender {
    from: SocketAddr,
    sequence: u16,
}

impl Sender {
    fn new(from: &str) -> Self {
        Self {
            from: at(from),
            sequence: 0,
        }
    }

    /// One packet of 20 ms µ-law to this port of the phone.
    fn packet(&mut self, world: &mut World, l: PhoneId, port: u16) {
        self.sequence += 1;
        let mut packet = vec![0x80, 0];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend((u32::from(self.sequence) * 160).to_be_bytes());
        packet.extend(self.from.port().to_be_bytes());
        packet.extend([9, 9]);
        packet.extend([0x9C; 160]);
        world.send_from(self.from, SocketAddr::new(phone_ip(l), port), packet);
    }
}

/// Two packets to each port the phone has open, as one who is blind sends them.
fn spray(world: &mut World, l: PhoneId, from: &str) {
    for port in world[l].open_ports() {
        let mut blind = Sender::new(from);
        blind.packet(world, l, port);
        blind.packet(world, l, port);
    }
    world.run(ms(5));
}

/// Packets of sound that were believed so far; the figures are a second's.
fn received(world: &mut World, l: PhoneId) -> u64 {
    world.run(secs(1));
    world[l].status(world.now())["calls"][0]["rtp"]["received"]
        .as_u64()
        .unwrap_or(0)
}

/// RTP and RTCP packets the phone sent to this host so far.
fn sent_to(world: &World, l: PhoneId, ip: IpAddr) -> usize {
    world.network.capture.media_between(phone_ip(l), ip).count()
}

/// Where the phone's last packet of sound went.
fn goes_to(world: &World, l: PhoneId) -> SocketAddr {
    world
        .network
        .capture
        .packets()
        .filter(|sent| sent.datagram.from.ip() == phone_ip(l) && sent.datagram.is_media())
        .filter(|sent| sent.datagram.bytes.len() > 100)
        .last()
        .unwrap()
        .datagram
        .to
}

/// The phone calls the peer, which answers with this address.
fn call(world: &mut World, l: PhoneId, far: PeerId, announced: &str) -> Dialog {
    world.call(l, &number_of_peer(far));
    let invite = world.expect(far, "INVITE");
    let contact = world[far].contact();
    let ok =
        invite
            .reply(200, "far")
            .with("Contact", contact)
            .sdp(&sdp(at(announced), 1, "sendrecv"));
    world.say(far, &ok);
    world.expect(far, "ACK");
    world.expect_state(l, State::Talking, secs(1));
    world[far].callee_dialog(&invite, &ok)
}

/// One second of sound from there, to the port the phone announced.
fn talk(world: &mut World, l: PhoneId, sender: &mut Sender) {
    let port = *world[l].open_ports().first().unwrap();
    for _ in 0..50 {
        sender.packet(world, l, port);
        world.run(ms(20));
    }
}

fn end(world: &mut World, l: PhoneId, far: PeerId) {
    world.hang_up(l);
    let bye = world.expect(far, "BYE");
    let ok = bye.reply(200, "x");
    world.say(far, &ok);
    world.quiet();
}

#[test]
fn a_blind_sender_gets_no_sound() {
    let mut world = World::new("blind packets", 1);
    let l = world.phone(Setup::default());
    let far = world.peer();
    call(&mut world, l, far, ANNOUNCED);
    for _ in 0..20 {
        spray(&mut world, l, STRANGER);
        world.run(ms(50));
    }
    let mut flood = Sender::new(STRANGER);
    talk(&mut world, l, &mut flood);
    assert_eq!(sent_to(&world, l, at(STRANGER).ip()), 0);
    assert_eq!(goes_to(&world, l), at(ANNOUNCED));
    assert_eq!(received(&mut world, l), 0);
    // The peer behind its NAT, which comes last, is heard and gets the sound.
    let mut peer = Sender::new(NAT);
    talk(&mut world, l, &mut peer);
    assert_eq!(goes_to(&world, l), at(NAT));
    let heard = received(&mut world, l);
    assert!(heard >= 49, "{heard}");
    spray(&mut world, l, STRANGER);
    talk(&mut world, l, &mut peer);
    assert_eq!(goes_to(&world, l), at(NAT));
    assert_eq!(sent_to(&world, l, at(STRANGER).ip()), 0);
    end(&mut world, l, far);
}

#[test]
fn a_sender_behind_the_same_nat_keeps_no_one_out() {
    let mut world = World::new("two behind one NAT", 2);
    let l = world.phone(Setup::default());
    let far = world.peer();
    call(&mut world, l, far, ANNOUNCED);
    spray(&mut world, l, "10.0.0.9:666");
    world.run(ms(100));
    let mut peer = Sender::new(NAT);
    talk(&mut world, l, &mut peer);
    assert_eq!(goes_to(&world, l), at(NAT));
    let heard = received(&mut world, l);
    assert!(heard >= 30, "{heard}");
    // And the announced address above all, should it have been reachable after all.
    let mut announced = Sender::new(ANNOUNCED);
    talk(&mut world, l, &mut announced);
    assert_eq!(goes_to(&world, l), at(ANNOUNCED));
    end(&mut world, l, far);
}

#[test]
fn a_caller_behind_a_nat_and_a_proxy_is_heard() {
    let mut world = World::new("NAT behind a proxy", 3);
    let l = world.phone(Setup::default());
    let proxy = world.peer();
    // The proxy saw the call come from the caller's NAT; SDP and Contact have its private address.
    let nat = "198.51.100.20:31000";
    let mut invite = world[proxy]
        .request("INVITE", "sip:l@10.0.0.1", "proxied")
        .set("Contact", "<sip:caller@192.168.178.20:5060>")
        .sdp(&sdp(at(ANNOUNCED), 1, "sendrecv"));
    let top = invite
        .headers
        .iter()
        .position(|(name, _)| name == "Via")
        .unwrap();
    let caller =
        "SIP/2.0/UDP 192.168.178.20:5060;branch=z9hG4bK-c;received=198.51.100.20;rport=5060";
    invite
        .headers
        .insert(top + 1, ("Via".to_owned(), caller.to_owned()));
    invite
        .headers
        .push(("Record-Route".to_owned(), "<sip:10.0.0.9;lr>".to_owned()));
    world.say(proxy, &invite);
    world.expect(proxy, "100 INVITE");
    world.expect(proxy, "180 INVITE");
    world.lift(l);
    let ok = world.expect(proxy, "200 INVITE");
    let mut dialog = world[proxy].caller_dialog(&invite, &ok);
    dialog.route.clear();
    let ack = world[proxy].in_dialog(&mut dialog, "ACK");
    world.say(proxy, &ack);
    world.expect_state(l, State::Talking, secs(1));
    spray(&mut world, l, STRANGER);
    let mut peer = Sender::new(nat);
    talk(&mut world, l, &mut peer);
    assert_eq!(goes_to(&world, l), at(nat));
    assert_eq!(sent_to(&world, l, at(STRANGER).ip()), 0);
    world.hang_up(l);
    let bye = world.expect(proxy, "BYE");
    let ok = bye.reply(200, "x");
    world.say(proxy, &ok);
    world.quiet();
}

#[test]
fn a_relay_behind_a_proxy_may_use_any_port() {
    let mut world = World::new("relay", 4);
    let l = world.phone(Setup::default());
    let far = world.peer();
    call(&mut world, l, far, "198.51.100.40:30000");
    spray(&mut world, l, STRANGER);
    let mut relay = Sender::new("198.51.100.40:30002");
    talk(&mut world, l, &mut relay);
    assert_eq!(goes_to(&world, l), relay.from);
    assert!(received(&mut world, l) >= 49);
    end(&mut world, l, far);
}

#[test]
fn a_new_address_by_reinvite_is_followed() {
    let mut world = World::new("new address", 5);
    let l = world.phone(Setup::default());
    let far = world.peer();
    let mut dialog = call(&mut world, l, far, ANNOUNCED);
    let mut peer = Sender::new(NAT);
    talk(&mut world, l, &mut peer);
    assert_eq!(goes_to(&world, l), at(NAT));
    // The peer roams: signalling and sound come from another NAT now, SDP has another address.
    let (roamed, sound) = (at("10.0.0.77:5060"), "10.0.0.77:40000");
    let reinvite = world[far].in_dialog(&mut dialog, "INVITE").sdp(&sdp(
        at("192.168.1.5:4000"),
        2,
        "sendrecv",
    ));
    let phone = SocketAddr::new(phone_ip(l), 5060);
    world.send_from(roamed, phone, reinvite.text().into_bytes());
    world.run(ms(100));
    let ack = world[far].in_dialog(&mut dialog, "ACK");
    world.send_from(roamed, phone, ack.text().into_bytes());
    world.run(ms(100));
    spray(&mut world, l, STRANGER);
    spray(&mut world, l, "198.51.100.1:4000");
    assert_eq!(goes_to(&world, l), at("192.168.1.5:4000"));
    let mut peer = Sender::new(sound);
    talk(&mut world, l, &mut peer);
    assert_eq!(goes_to(&world, l), at(sound));
    assert_eq!(sent_to(&world, l, at(STRANGER).ip()), 0);
    end(&mut world, l, far);
}

#[test]
fn authentic_sound_may_come_from_anywhere() {
    let mut world = World::new("authentic from elsewhere", 6);
    let setup = Setup::default().toml(
        "encryption",
        "mode = \"required\"\nkeying = [\"sdes\"]\nsdes_over_clear = true",
    );
    let (l, r) = (world.phone(setup.clone()), world.phone(setup));
    world.connect(l, r);
    world.run(secs(1));
    spray(&mut world, l, STRANGER);
    world.run(secs(1));
    assert_eq!(sent_to(&world, l, at(STRANGER).ip()), 0);
    assert_eq!(goes_to(&world, l).ip(), phone_ip(r));
    // A NAT gives the other phone another address: its own packets say so.
    let moved = at("198.51.100.70:7000");
    world.cut_off(phone_ip(r), secs(60));
    world.run(ms(1500));
    let genuine: Vec<Vec<u8>> = world
        .network
        .capture
        .media_between(phone_ip(r), phone_ip(l))
        .filter(|sent| sent.arrived.is_none() && sent.datagram.bytes[1] < 192)
        .map(|sent| sent.datagram.bytes.clone())
        .collect();
    assert!(genuine.len() > 50, "{}", genuine.len());
    let port = *world[l].open_ports().first().unwrap();
    for packet in genuine {
        world.send_from(moved, SocketAddr::new(phone_ip(l), port), packet);
        world.run(ms(1));
    }
    world.run(ms(40));
    assert_eq!(goes_to(&world, l), moved);
}
