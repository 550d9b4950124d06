//! Event packages as the person at the phone meets them: messages that wait, the lamps of other
//! phones, a call picked up, a server that has the configuration looked up or uses the phone.

use offhook_tests::world::{PhoneId, Setup, World, phone_ip, secs};
use phone::{Lamp, LampState, State};

/// What a lamp shows.
fn lamp(world: &World, id: PhoneId, lamp: Lamp) -> LampState {
    world[id].lamps.get(&lamp).copied().unwrap_or_default()
}

/// Three phones on one network. Each watches the next one, and lets all of them watch it.
fn office(name: &str, seed: u64) -> (World, [PhoneId; 3]) {
    let mut world = World::new(name, seed);
    let mut phones = Vec::new();
    for watched in [1, 2, 1] {
        let watched = phone_ip(PhoneId(watched));
        let setup = Setup::default()
            .toml("dial", &format!("watch = [\"sip:phone@{watched}\"]"))
            .toml("call", "watched_by = [\"10.0.0.0/8\"]");
        phones.push(world.phone(setup));
    }
    world.run(secs(3));
    (world, [phones[0], phones[1], phones[2]])
}

#[test]
fn key_of_a_watched_phone_takes_its_call() {
    let mut world = World::new("pick-up key", 32);
    let watched = phone_ip(PhoneId(1));
    let setup = Setup::default()
        .toml("dial", &format!("watch = [\"sip:phone@{watched}\"]"))
        .toml("dial.feature_keys", &format!("1 = \"sip:phone@{watched}\""));
    let a = world.phone(setup);
    let b = world.phone(Setup::default().toml("call", "watched_by = [\"10.0.0.0/8\"]"));
    let c = world.phone(Setup::default());
    world.run(secs(3));
    let number = offhook_tests::world::number_of(b);
    world.call(c, &number);
    world.expect_state(b, State::Ringing, secs(2));
    world.run(secs(2));
    assert_eq!(lamp(&world, a, Lamp::Watched(0)), LampState::Fast);
    world.press_function(a, types::FunctionKey::Feature(0));
    world.expect_state(a, State::Talking, secs(3));
    world.expect_state(c, State::Talking, secs(3));
    assert_eq!(world[b].control.state(), State::Idle);
    assert_eq!(lamp(&world, a, Lamp::HandsFree), LampState::On);
}

#[test]
fn lamp_of_a_watched_phone_follows_its_call() {
    let (mut world, [a, b, c]) = office("busy lamps", 31);
    assert_eq!(lamp(&world, a, Lamp::Watched(0)), LampState::Off);
    let number = offhook_tests::world::number_of(b);
    world.call(c, &number);
    world.expect_state(b, State::Ringing, secs(2));
    world.run(secs(2));
    assert_eq!(lamp(&world, a, Lamp::Watched(0)), LampState::Fast);
    world.lift(b);
    world.expect_state(c, State::Talking, secs(2));
    world.run(secs(2));
    assert_eq!(lamp(&world, a, Lamp::Watched(0)), LampState::On);
    assert_eq!(
        lamp(&world, b, Lamp::Watched(0)),
        LampState::On,
        "they watch each other"
    );
    world.hang_up(b);
    world.hang_up(c);
    world.run(secs(2));
    assert_eq!(lamp(&world, a, Lamp::Watched(0)), LampState::Off);
    assert_eq!(lamp(&world, b, Lamp::Watched(0)), LampState::Off);
    world.report("lamps: idle, ringing, busy, idle, without a server");
}

#[test]
fn call_that_rings_elsewhere_is_picked_up() {
    let (mut world, [a, b, c]) = office("pick-up", 32);
    let number = offhook_tests::world::number_of(b);
    world.call(c, &number);
    world.expect_state(b, State::Ringing, secs(2));
    world.run(secs(2));
    world.lift(a);
    world.expect_state(a, State::DialTone, secs(1));
    world.press(a, "*71#");
    world.expect_state(a, State::Talking, secs(3));
    world.expect_state(c, State::Talking, secs(1));
    world.expect_state(b, State::Idle, secs(1));
    world.run(secs(3));
    world.hang_up(a);
    world.hang_up(c);
    world.run(secs(2));
    assert_eq!(world.state(b), State::Idle);
    world.report("*71: the call that rang at b is a's");
}

/// An account at the registrar; its phone.
fn at_registrar(world: &mut World, lines: &str) -> PhoneId {
    world.add_registrar(&[("101", "secret")]);
    let setup = Setup::default().account_with("101", "secret", &registrar().to_string(), lines);
    let phone = world.phone(setup);
    world.run(secs(3));
    phone
}

fn registrar() -> std::net::IpAddr {
    offhook_tests::world::registrar_ip()
}

/// The registrar's NOTIFY of an event package, to the contact of the account.
fn notify(world: &mut World, to: PhoneId, event: &str, kind: &str, body: &str) {
    let contact = world.reg().bindings.get("101").map_or_else(
        || panic!("not registered"),
        |binding| binding.contact.clone(),
    );
    let from = std::net::SocketAddr::new(registrar(), 5060);
    let branch = world.now().as_nanos();
    let kind = if body.is_empty() {
        String::new()
    } else {
        format!("Content-Type: {kind}\r\n")
    };
    let text = format!(
        "NOTIFY {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{branch}\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:101@{from}>;tag=pbx{branch}\r\nTo: <sip:101@{from}>\r\nCall-ID: n{branch}\r\n\
         CSeq: 1 NOTIFY\r\nContact: <sip:pbx@{from}>\r\nEvent: {event}\r\n\
         Subscription-State: active\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let to = std::net::SocketAddr::new(phone_ip(to), 5060);
    world.send_from(from, to, text.into_bytes());
    world.run(secs(1));
}

#[test]
fn messages_light_the_lamp_and_make_dial_tone_stutter() {
    let mut world = World::new("messages wait", 33);
    let l = at_registrar(&mut world, "");
    let summary = "application/simple-message-summary";
    let waiting = "Messages-Waiting: yes\r\nVoice-Message: 2/1 (1/0)\r\n";
    notify(&mut world, l, "message-summary", summary, waiting);
    assert_eq!(lamp(&world, l, Lamp::Message), LampState::On);
    let now = world.now();
    let messages = world[l].status(now)["lines"][0]["messages"].clone();
    let wanted = serde_json::json!({"waiting": true, "new": 2, "old": 1, "urgent": 1});
    assert_eq!(messages, wanted);
    assert_eq!(world[l].events_named("messages").len(), 1);
    world.lift(l);
    world.expect_state(l, State::DialTone, secs(1));
    assert_eq!(world[l].control.tone(), Some(phone::Tone::StutterDial));
    world.hang_up(l);
    let heard = "Messages-Waiting: no\r\nVoice-Message: 0/3\r\n";
    notify(&mut world, l, "message-summary", summary, heard);
    assert_eq!(lamp(&world, l, Lamp::Message), LampState::Off);
    world.report("2 new messages: lamp, stutter dial tone, status, event; then none");
}

#[test]
fn configuration_is_looked_up_once_the_call_is_over() {
    let mut world = World::new("check-sync", 34);
    let l = at_registrar(&mut world, "");
    notify(&mut world, l, "check-sync", "", "");
    assert_eq!(world[l].look_ups, 1);
    world.lift(l);
    notify(&mut world, l, "check-sync;reboot=true", "", "");
    world.run(secs(5));
    assert_eq!(world[l].restarts, 0, "the handset is lifted");
    world.hang_up(l);
    world.run(secs(1));
    assert_eq!((world[l].look_ups, world[l].restarts), (1, 1));
    world.report("check-sync: looked up at once, restarted after the handset is down");
}
