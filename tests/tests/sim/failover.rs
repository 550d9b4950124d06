//! A dead server, seen by the one who lifts the handset: the second server of the account,
//! emergency calls, and addresses of the account's own domain.

use offhook_tests::world::{HEARD, PhoneId, Setup, World, ms, phone_ip, registrar_ip, secs};
use phone::State;
use serde_json::Value;
use testkit::registrar::user_of;

const USERS: [(&str, &str); 2] = [("401", "one"), ("402", "two")];
const FOREVER: u64 = 100_000;

fn line(world: &World, id: PhoneId) -> Value {
    world[id].status(world.now())["lines"][0].clone()
}

fn registered(world: &World, id: PhoneId) -> bool {
    line(world, id)["registered"] == true
}

/// Two phones whose second server is 10.0.0.101.
fn with_two_servers(name: &str, seed: u64) -> (World, PhoneId, PhoneId) {
    let mut world = World::new(name, seed);
    world.add_registrar(&USERS);
    world.add_backup_registrar(&USERS);
    let phone = |user, password| {
        let second = "backup_servers = [\"10.0.0.101\"]";
        Setup::default().account_with(user, password, "10.0.0.100", second)
    };
    let l = world.phone(phone("401", "one"));
    let r = world.phone(phone("402", "two"));
    (world, l, r)
}

/// When the first INVITE of this phone went to that address.
fn invited_at(world: &World, id: PhoneId, ip: std::net::IpAddr, after: f64) -> Option<f64> {
    let sent = world.network.capture.sip_between(phone_ip(id), ip);
    let invites = sent.filter(|sent| sent.datagram.bytes.starts_with(b"INVITE "));
    let mut times = invites.map(|sent| sent.at.as_secs_f64());
    times.find(|at| *at >= after)
}

#[test]
fn a_dead_first_server_is_hardly_noticed() {
    let (mut world, l, r) = with_two_servers("dead first server", 1);
    let begun = world.now();
    world.cut_off(registrar_ip(), secs(120));
    world.until("both registered", secs(5), |world| {
        registered(world, l) && registered(world, r)
    });
    let registration = world.now().saturating_sub(begun);
    let status = line(&world, l);
    assert_eq!(status["server"], "udp 10.0.0.101:5060");
    assert_eq!(status["silent_servers"][0], "udp 10.0.0.100:5060");
    let attempts = status["attempts"].as_array().map_or(0, Vec::len);
    assert_eq!(attempts, 2, "{status}");
    assert!(
        status["attempts"][0]["result"]
            .as_str()
            .is_some_and(|result| result.contains("no answer")),
        "{status}"
    );
    // The call goes where the registration went.
    world.lift(l);
    world.run(ms(300));
    world.press(l, "402#");
    let dialled = world.now().as_secs_f64();
    world.expect_state(r, State::Ringing, ms(500));
    assert_eq!(invited_at(&world, l, registrar_ip(), 0.0), None);
    world.run(secs(1));
    world.lift(r);
    world.expect_state(l, State::Talking, secs(2));
    world.run(secs(4));
    world.assert_speech_both_ways(l, r, secs(2), HEARD);
    world.hang_up(l);
    world.hang_up(r);
    // The first server is back, and is used again.
    world.until("back at the first", secs(170), |world| {
        line(world, l)["server"] == "udp 10.0.0.100:5060"
            && line(world, r)["server"] == "udp 10.0.0.100:5060"
    });
    assert_eq!(line(&world, l)["silent_servers"], Value::Array(Vec::new()));
    world.quiet();
    world.report(&format!(
        "registered after {:.1} s, called at {dialled:.1} s without waiting; back at the first \
         server",
        registration.as_secs_f64()
    ));
}

#[test]
fn a_server_that_dies_between_two_refreshes_costs_one_call_four_seconds() {
    let (mut world, l, r) = with_two_servers("server dies", 2);
    world.until("both registered", secs(5), |world| {
        registered(world, l) && registered(world, r)
    });
    world.run(secs(1));
    world.cut_off(registrar_ip(), secs(FOREVER));
    // The called phone watches its server, and moves by itself.
    world.until("r has moved", secs(75), |world| {
        line(world, r)["server"] == "udp 10.0.0.101:5060"
    });
    let moved = world.now();
    world.lift(l);
    world.run(ms(300));
    world.press(l, "402#");
    let dialled = world.now();
    world.expect_state(r, State::Ringing, secs(4));
    let waited = world.now().saturating_sub(dialled);
    world.hang_up(l);
    world.quiet();
    world.report(&format!(
        "the idle phone moved {:.0} s after the server died; the call rang after {:.1} s",
        moved.as_secs_f64() - 2.0,
        waited.as_secs_f64()
    ));
}

#[test]
fn an_emergency_call_goes_every_way_within_seconds() {
    let mut world = World::new("emergency and dead servers", 3);
    world.add_registrar(&USERS);
    world.add_backup_registrar(&[("112", "x")]);
    let gate = world.peer();
    let l = world.phone(
        Setup::default()
            .account("401", "one")
            .toml("dial", "emergency_route = \"sip:112@10.0.0.9\""),
    );
    world.until("registered", secs(3), |world| registered(world, l));
    // Its server dies; no one has noticed yet.
    world.cut_off(registrar_ip(), secs(FOREVER));
    world.lift(l);
    world.run(ms(300));
    world.press(l, "112");
    let dialled = world.now();
    let invite = world.expect_within(gate, "INVITE", secs(3));
    let waited = world.now().saturating_sub(dialled);
    assert!(waited <= secs(2), "{waited:?}");
    assert_eq!(user_of(invite.uri()), "112");
    let busy = invite.reply(486, "gate");
    world.say(gate, &busy);
    world.quiet();
    world.report(&format!(
        "112 by the second way after {:.1} s",
        waited.as_secs_f64()
    ));
}

#[test]
fn an_address_of_the_own_domain_goes_by_the_account() {
    let mut world = World::new("own domain", 4);
    world.add_registrar(&USERS).challenge_calls = true;
    let l = world.phone(
        Setup::default()
            .account("401", "one")
            .toml("call", "direct = true")
            .toml("dial.speed", "7 = \"sip:402@10.0.0.100\""),
    );
    let r = world.phone(Setup::default().account("402", "two"));
    world.until("both registered", secs(3), |world| {
        registered(world, l) && registered(world, r)
    });
    world.call(l, "7");
    world.expect_state(r, State::Ringing, secs(15));
    let status = world[r].status(world.now());
    let caller = status["calls"][0]["peer"].as_str().unwrap_or("");
    assert!(caller.contains("401"), "{caller}");
    world.quiet();
    world.report("a speed dial at the account's domain uses the account");
}
