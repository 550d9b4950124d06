//! Registration: challenges of every kind, refresh, outage, wrong password, and calls through the
//! server.

use offhook_tests::world::{HEARD, PhoneId, Setup, World, ms, phone_ip, registrar_ip, secs};
use phone::{State, Tone};
use serde_json::Value;
use testkit::registrar::Algorithm;

fn line(world: &World, id: PhoneId) -> Value {
    world[id].status(world.now())["lines"][0].clone()
}

fn registered(world: &World, id: PhoneId) -> bool {
    line(world, id)["registered"] == true
}

fn one(
    name: &str,
    seed: u64,
    prepare: impl FnOnce(&mut testkit::registrar::Registrar),
) -> (World, PhoneId) {
    let mut world = World::new(name, seed);
    prepare(world.add_registrar(&[("101", "secret")]));
    let l = world.phone(Setup::default().account("101", "secret"));
    (world, l)
}

#[test]
fn every_digest_algorithm() {
    for (n, (offered, wanted)) in [
        (vec![Algorithm::Md5], Algorithm::Md5),
        (vec![Algorithm::Sha256], Algorithm::Sha256),
        // Several challenges: the first that is understood is answered (RFC 8760 section 2.4).
        (vec![Algorithm::Sha256, Algorithm::Md5], Algorithm::Sha256),
    ]
    .into_iter()
    .enumerate()
    {
        let names: Vec<&str> = offered.iter().map(|a| a.name()).collect();
        let (mut world, l) = one(
            &format!("register {}", names.join("+")),
            1 + n as u64,
            |registrar| {
                registrar.algorithms.clone_from(&offered);
            },
        );
        let begun = world.now();
        world.until("registered", secs(2), |world| registered(world, l));
        let took = world.now().saturating_sub(begun);
        assert!(took < ms(100), "{took:?}");
        let registrar = world.reg();
        assert_eq!(registrar.last_algorithm, Some(wanted));
        assert_eq!(
            (
                registrar.counters.challenges,
                registrar.counters.wrong,
                registrar.counters.granted
            ),
            (1, 0, 1)
        );
        assert!(
            registrar.bindings["101"].contact.contains("10.0.0.1"),
            "{:?}",
            registrar.bindings
        );
        world.lift(l);
        world.run(ms(300));
        assert_eq!(world[l].control.tone(), Some(Tone::Dial));
        world.quiet();
        world.report(&format!(
            "answered {} within {} ms",
            wanted.name(),
            took.as_millis()
        ));
    }
}

#[test]
fn a_registration_never_lapses() {
    for stale in [false, true] {
        let (mut world, l) = one(&format!("refresh, stale nonces {stale}"), 5, |registrar| {
            registrar.expires = secs(60);
            registrar.stale_by_turns = stale;
        });
        world.until("registered", secs(2), |world| registered(world, l));
        for second in 0..1_200 {
            world.run(secs(1));
            let now = world.now();
            assert!(world.reg().knows("101", now), "lapsed after {second} s");
            assert!(
                registered(&world, l),
                "the phone thinks it lapsed after {second} s"
            );
        }
        let counters = world.reg().counters;
        assert!((20..=60).contains(&counters.granted), "{counters:?}");
        assert_eq!(counters.wrong, 0);
        assert!(!stale || counters.stale >= 20, "{counters:?}");
        world.assert_drained();
        world.report(&format!(
            "20 minutes of 60 s registrations: {} granted, {} challenges, {} stale",
            counters.granted, counters.challenges, counters.stale
        ));
    }
}

#[test]
fn too_brief_is_lengthened() {
    let (mut world, l) = one("423", 6, |registrar| {
        registrar.min_expires = Some(secs(1_800));
    });
    world[l].lineless = false;
    world.reg().expires = secs(3_600);
    world.until("registered", secs(5), |world| registered(world, l));
    let left = line(&world, l)["expires_in_s"].as_u64().unwrap();
    assert!((1_700..=1_800).contains(&left), "{left}");
    world.assert_drained();
    world.report("423 Min-Expires obeyed");
}

#[test]
fn outage_and_recovery() {
    let (mut world, l) = one("registrar outage", 7, |registrar| {
        registrar.expires = secs(120);
    });
    world.until("registered", secs(2), |world| registered(world, l));
    world.run(secs(10));
    world.cut_off(registrar_ip(), secs(600));
    world.until("the phone sees that it is cut off", secs(200), |world| {
        !registered(world, l)
    });
    assert!(line(&world, l)["error"].is_string(), "{}", line(&world, l));
    world.lift(l);
    world.run(ms(300));
    assert_eq!(
        world[l].control.tone(),
        Some(Tone::Dial),
        "dial tone still: direct calls and emergency work"
    );
    world.hang_up(l);
    let end = secs(1) + secs(10) + secs(600);
    let left = end.saturating_sub(world.now());
    let before = world
        .network
        .capture
        .sip_between(phone_ip(l), registrar_ip())
        .count();
    world.run(left);
    let tried = world
        .network
        .capture
        .sip_between(phone_ip(l), registrar_ip())
        .count()
        - before;
    assert!(!registered(&world, l));
    world.until("registered again", secs(130), |world| registered(world, l));
    let took = world.now().saturating_sub(end);
    world.assert_drained();
    world.report(&format!(
        "{tried} packets during the outage, back {:.1} s after it",
        took.as_secs_f64()
    ));
}

#[test]
fn a_server_that_fails_and_forgets() {
    let (mut world, l) = one("registrar 503 and restart", 8, |registrar| {
        registrar.expires = secs(120);
        registrar.broken = true;
    });
    world.run(secs(20));
    assert!(!registered(&world, l));
    assert!(
        line(&world, l)["error"]
            .as_str()
            .is_some_and(|error| error.contains("503")),
        "{}",
        line(&world, l)
    );
    let tries = world.reg().register_times.len();
    assert!(
        (2..=12).contains(&tries),
        "{tries} tries in 20 s: neither asleep nor a flood"
    );
    world.reg().broken = false;
    world.until("registered", secs(60), |world| registered(world, l));
    world.reg().restart();
    world.run(secs(125));
    let now = world.now();
    assert!(
        world.reg().knows("101", now),
        "a server that forgot everything knows us again after one refresh"
    );
    world.assert_drained();
    world.report(&format!(
        "{tries} tries in 20 s of 503; known again after the server's restart"
    ));
}

#[test]
fn wrong_password() {
    let mut world = World::new("wrong password", 9);
    world.add_registrar(&[("101", "right")]);
    let l = world.phone(Setup::default().account("101", "wrong"));
    world.run(secs(300));
    assert!(!registered(&world, l));
    let error = line(&world, l)["error"].as_str().unwrap_or("").to_owned();
    assert!(
        error.contains("password"),
        "the error must name the password: {error:?}"
    );
    assert!(
        !error.contains("wrong\"") && !error.contains("right"),
        "no password in status"
    );
    let tries = world.reg().counters.registers;
    assert!((4..=80).contains(&tries), "{tries} REGISTERs in 5 minutes");
    world.lift(l);
    world.run(ms(300));
    assert_eq!(world[l].control.tone(), Some(Tone::Dial));
    world.press(l, "555");
    world.expect_state(l, State::Congestion, secs(3));
    world.quiet();
    // Corrected at the server: the phone finds out by itself.
    world
        .reg()
        .users
        .insert("101".to_owned(), "wrong".to_owned());
    let corrected = world.now();
    world.until("registered", secs(700), |world| registered(world, l));
    let took = world.now().saturating_sub(corrected);
    world.assert_drained();
    world.report(&format!(
        "{tries} tries in 5 minutes, {error:?}, back {:.0} s after the password was corrected",
        took.as_secs_f64()
    ));
}

#[test]
fn an_account_may_insist_on_sha_256() {
    let mut world = World::new("no MD5", 31);
    world.add_registrar(&[("101", "secret")]);
    let l = world.phone(Setup::default().account_with(
        "101",
        "secret",
        "10.0.0.100",
        "digest = \"sha-256\"",
    ));
    world.run(secs(120));
    let tries = world.reg().counters.registers;
    assert!((2..=20).contains(&tries), "{tries} tries in two minutes");
    let error = line(&world, l)["error"].as_str().unwrap_or("").to_owned();
    assert!(
        error.contains("MD5 only") && error.contains("digest = "),
        "{error:?}"
    );
    assert!(
        !error.contains("check user"),
        "nothing is wrong with the password: {error:?}"
    );
    let answers = |world: &World| {
        let answer = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("\r\nAuthorization:");
        world
            .network
            .capture
            .packets()
            .filter(|sent| answer(&sent.datagram.bytes))
            .count()
    };
    assert_eq!(answers(&world), 0, "nothing of the password, to no one");
    // The server learns SHA-256.
    world.reg().algorithms = vec![Algorithm::Md5, Algorithm::Sha256];
    world.until("registered", secs(700), |world| registered(world, l));
    assert_eq!(world.reg().last_algorithm, Some(Algorithm::Sha256));
    assert_eq!(line(&world, l)["error"], Value::Null);
    // Somebody on the way strikes it out of the challenges that follow: no second answer, and in
    // the end no registration.
    world.reg().algorithms = vec![Algorithm::Md5];
    world.reg().restart();
    world.run(secs(1));
    let before = world.reg().counters.granted;
    world.until("the registration lapses", secs(700), |world| {
        !registered(world, l)
    });
    assert_eq!(world.reg().counters.granted, before);
    assert_eq!(
        world.reg().last_algorithm,
        Some(Algorithm::Sha256),
        "no answer by MD5"
    );
    let error = line(&world, l)["error"].as_str().unwrap_or("").to_owned();
    world.quiet();
    world.report(&format!(
        "{tries} tries and no answer to MD5; by SHA-256 at once; struck out again: {error:?}"
    ));
}

#[test]
fn a_call_through_the_server() {
    for (n, algorithm) in [Algorithm::Md5, Algorithm::Sha256].into_iter().enumerate() {
        let mut world = World::new(&format!("proxied call {}", algorithm.name()), 20 + n as u64);
        let registrar = world.add_registrar(&[("401", "one"), ("402", "two")]);
        registrar.challenge_calls = true;
        registrar.algorithms = vec![algorithm];
        let l = world.phone(Setup::default().account("401", "one").toml("dial", ""));
        let r = world.phone(Setup::default().account("402", "two"));
        world.until("both registered", secs(3), |world| {
            registered(world, l) && registered(world, r)
        });
        world.call(l, "402");
        world.expect_state(r, State::Ringing, secs(5));
        world.run(secs(1));
        world.lift(r);
        world.until("both talk", secs(3), |world| {
            world.state(l) == State::Talking && world.state(r) == State::Talking
        });
        world.run(secs(4));
        world.assert_speech_both_ways(l, r, secs(3), HEARD);
        // Hold and resume inside the dialog, through the server's route.
        world.flash(r);
        world.run(secs(2));
        world.assert_silent(l, secs(1));
        world.flash(r);
        world.run(secs(4));
        world.assert_speech_both_ways(l, r, secs(2), HEARD);
        world.hang_up(r);
        world.expect_state(l, State::Congestion, secs(2));
        let direct = world
            .network
            .capture
            .sip_between(phone_ip(l), phone_ip(r))
            .count();
        assert_eq!(direct, 0, "every message takes the server's Record-Route");
        assert_eq!(world.reg().counters.wrong, 0);
        world.hang_up(l);
        world.assert_drained();
        // Somebody who is not there.
        world.call(l, "499");
        world.expect_state(l, State::Congestion, secs(5));
        world.quiet();
        world.report(&format!(
            "INVITE challenged ({}), routed, held, resumed, ended; 404 heard",
            algorithm.name()
        ));
    }
}

#[test]
fn the_registrar_dies_in_mid_call() {
    let mut world = World::new("registrar dies in call", 30);
    world
        .add_registrar(&[("401", "one"), ("402", "two")])
        .expires = secs(60);
    let l = world.phone(Setup::default().account("401", "one"));
    let r = world.phone(Setup::default().account("402", "two"));
    world.until("both registered", secs(3), |world| {
        registered(world, l) && registered(world, r)
    });
    world.call(l, "402");
    world.expect_state(r, State::Ringing, secs(5));
    world.lift(r);
    world.until("both talk", secs(3), |world| {
        world.state(l) == State::Talking && world.state(r) == State::Talking
    });
    world.run(secs(1));
    world.cut_off(registrar_ip(), secs(400));
    world.run(secs(180));
    assert_eq!(
        (world.state(l), world.state(r)),
        (State::Talking, State::Talking),
        "the call goes on without its server"
    );
    world.assert_speech_both_ways(l, r, secs(5), HEARD);
    world.hang_up(l);
    world.run(secs(35));
    world.hang_up(r);
    world.run(secs(5));
    world.lift(l);
    world.run(ms(300));
    assert_eq!(world[l].control.tone(), Some(Tone::Dial));
    world.press(l, "402");
    world.expect_state(l, State::Congestion, secs(40));
    world.hang_up(l);
    world.until("both registered again", secs(500), |world| {
        registered(world, l) && registered(world, r)
    });
    world.connect_by(l, r, "402");
    world.run(secs(3));
    world.assert_speech_both_ways(l, r, secs(2), HEARD);
    world.quiet();
    world.report("the call went on; after the server's return both register and call again");
}

trait ConnectBy {
    fn connect_by(&mut self, l: PhoneId, r: PhoneId, number: &str);
}
impl ConnectBy for World {
    fn connect_by(&mut self, l: PhoneId, r: PhoneId, number: &str) {
        self.call(l, number);
        self.expect_state(r, State::Ringing, secs(5));
        self.lift(r);
        self.until("both talk", secs(3), |world| {
            world.state(l) == State::Talking && world.state(r) == State::Talking
        });
    }
}

#[test]
fn an_orderly_end_takes_the_binding_away() {
    let (mut world, l) = one("unregister", 31, |_| {});
    world.until("registered", secs(2), |world| registered(world, l));
    world.shut_down(l);
    world.run(secs(2));
    assert!(
        world.reg().bindings.is_empty(),
        "{:?}",
        world.reg().bindings
    );
    assert_eq!(world.reg().counters.removed, 1);
    world.assert_drained();
    world.report("REGISTER with Expires 0");
}

#[test]
fn a_registrar_found_by_name_and_its_stand_in() {
    let mut world = World::new("registrar by name", 32);
    world.add_registrar(&[("101", "secret")]).expires = secs(120);
    let l = world.phone(Setup::default().account_with("101", "secret", "office.example", ""));
    // Best first: a server that is dead, then the one that lives (RFC 3263 section 4.3).
    world.set_zone(&[("office.example", &["10.0.0.99:5060", "10.0.0.100:5060"])]);
    world.until("registered with the second", secs(60), |world| {
        registered(world, l)
    });
    let took = world.now();
    world.run(secs(600));
    assert!(registered(&world, l));
    world.assert_drained();
    world.report(&format!(
        "first server dead: with the second after {:.1} s, and it stays",
        took.as_secs_f64() - 1.0
    ));
}

#[test]
fn a_name_that_does_not_exist() {
    let mut world = World::new("registrar without address", 33);
    world.add_registrar(&[("101", "secret")]);
    let l = world.phone(Setup::default().account_with("101", "secret", "offcie.example", ""));
    world.run(secs(60));
    let error = line(&world, l)["error"].as_str().unwrap_or("").to_owned();
    assert!(
        error.contains("offcie.example"),
        "the error names the name: {error:?}"
    );
    world.set_zone(&[("offcie.example", &["10.0.0.100:5060"])]);
    world.until("registered once the name exists", secs(300), |world| {
        registered(world, l)
    });
    world.assert_drained();
    world.report(&format!("{error:?}; registered once the name existed"));
}
