//! The addresses of a call's sockets are asked for while its number is dialled: no server that is
//! slow or silent makes a call wait.
//!
//! ```text
//! lift ─▶ sockets ─▶ STUN, TURN asked ─ digits ─ last key ─▶ INVITE
//! ```

use offhook_tests::world::{PhoneId, Setup, World, ms, number_of, secs};

/// Servers that no one hears of again.
const SILENT_STUN: &str = "stun = \"198.51.100.1\"\nice = true";
const SILENT_TURN_BY_TCP: &str = "stun = \"198.51.100.1\"\nice = true\n\
    turn = \"198.51.100.2\"\nturn_transport = \"tcp\"\nturn_user = \"u\"\n\
    turn_password = \"p\"";

/// Seconds from a moment to the first INVITE of this phone after it.
fn invite_after(world: &World, id: PhoneId, since: f64) -> Option<f64> {
    let packets = world.network.capture.packets();
    let ip = offhook_tests::world::phone_ip(id);
    let mut invites = packets.filter(|sent| {
        sent.datagram.from.ip() == ip
            && sent.datagram.is_sip("INVITE")
            && sent.at.as_secs_f64() >= since
    });
    invites.next().map(|sent| sent.at.as_secs_f64() - since)
}

#[test]
fn invite_leaves_with_the_last_key_whatever_servers_do() {
    for (index, servers) in [SILENT_STUN, SILENT_TURN_BY_TCP].into_iter().enumerate() {
        let mut world = World::new("gathered while dialling", 31 + index as u64);
        let l = world.phone(Setup::default().toml("network", servers));
        let r = world.phone(Setup::default());
        world.lift(l);
        world.run(ms(1700));
        let number = number_of(r);
        let (first, last) = number.split_at(number.len() - 1);
        world.press(l, first);
        let pressed = world.now().as_secs_f64();
        world.press(l, last);
        world.run(secs(1));
        let waited = invite_after(&world, l, pressed).unwrap();
        assert!(waited <= 0.2, "{servers}: {waited} s");
        world.quiet();
    }
}

#[test]
fn a_call_that_no_one_dialled_waits_for_servers_and_no_longer() {
    for (number, limit) in [("sip:desk@10.0.0.9", 1.6), ("112", 0.6)] {
        let mut world = World::new("gathered without dialling", 33);
        let gate = world.peer();
        let setup = Setup::default()
            .toml("network", SILENT_TURN_BY_TCP)
            .toml("dial", "emergency_route = \"sip:112@10.0.0.9\"");
        let l = world.phone(setup);
        let since = world.now().as_secs_f64();
        let dial = control::api::UserAction::Dial(number.into());
        world.request(l, &dial).unwrap();
        let invite = world.expect_within(gate, "INVITE", secs(3));
        let waited = invite_after(&world, l, since).unwrap();
        assert!(waited <= limit, "{number}: {waited} s");
        let busy = invite.reply(486, "gate");
        world.say(gate, &busy);
        world.quiet();
    }
}

#[test]
fn what_was_asked_for_no_call_is_given_back() {
    let mut world = World::new("gathered for nothing", 34);
    let l = world.phone(Setup::default().toml("network", SILENT_TURN_BY_TCP));
    world.lift(l);
    world.run(ms(100));
    world.hang_up(l);
    world.run(secs(1));
    // The next call begins again.
    world.lift(l);
    world.run(secs(40));
    world.quiet();
}
