//! Many calls with random people, random networks and random moments; after each, everything is
//! empty. And the proof that a seed is a whole day: the same seed gives the same packets, byte by
//! byte and nanosecond by nanosecond.

use std::time::Duration;

use control::api::UserAction;
use control::{BoardEvent, Brightness};
use display::Body;
use offhook_tests::world::{PhoneId, Setup, World, ms, secs};
use phone::{State, VolumeOf};
use testkit::Rng;
use testkit::network::{Jitter, Link, Loss};
use types::FunctionKey;

/// One user does one thing: mostly what a person would do now, sometimes anything.
fn act(world: &mut World, rng: &mut Rng, phones: usize) {
    let who = PhoneId(rng.below(phones));
    if rng.unit() < 0.25 {
        return anything(world, rng, who, phones);
    }
    match world.state(who) {
        // Looks something up, and may lift in the middle of it.
        State::Idle if rng.unit() < 0.3 => menu(world, rng, who),
        State::Idle => {
            world.lift(who);
            world.run(ms(rng.below(900) as u64));
            dial(world, rng, who, phones);
        }
        State::DialTone | State::Collecting => dial(world, rng, who, phones),
        State::Ringing => {
            world.run(ms(rng.below(4_000) as u64));
            world.lift(who);
        }
        State::Calling | State::Ringback | State::EarlyMedia => {
            world.run(ms(rng.below(8_000) as u64));
            if rng.unit() < 0.3 {
                world.hang_up(who);
            }
        }
        State::Talking | State::OnHold => match rng.below(6) {
            0 | 1 => world.flash(who),
            2 => world.hang_up(who),
            3 => {
                let key = char::from(b"0123456789*#"[rng.below(12)]);
                world.board_event(who, Duration::ZERO, BoardEvent::KeyDown(key));
                world.board_event(who, ms(10 + rng.below(300) as u64), BoardEvent::KeyUp(key));
            }
            _ => world.run(ms(rng.below(6_000) as u64)),
        },
        State::Busy | State::Congestion | State::Howler | State::Silent | State::SetUp => {
            world.hang_up(who);
        }
    }
}

/// Keys of a phone that lies on the hook are the menu's.
fn menu(world: &mut World, rng: &mut Rng, who: PhoneId) {
    for n in 0..=(rng.below(12) as u64) {
        let key = char::from(b"5555888226640*#13A"[rng.below(18)]);
        world.board_event(who, ms(n * 140), BoardEvent::KeyDown(key));
        world.board_event(who, ms(n * 140 + 80), BoardEvent::KeyUp(key));
    }
    world.run(ms(rng.below(2_000) as u64));
    if rng.unit() < 0.3 {
        let emergency = rng.unit() < 0.5;
        world.lift(who);
        // Who was chosen is called; else there is dial tone.
        let state = world.state(who);
        assert!(state != State::Idle, "lifted, and nothing happens");
        if emergency && state == State::DialTone {
            world.press(who, "112");
        }
    }
}

/// Whatever was keyed, a display shows what goes on, and no menu where something does.
fn look(world: &mut World, who: PhoneId) {
    let state = world.state(who);
    let (screen, brightness) = world.screen(who);
    let is_list = matches!(
        screen.body,
        Body::List { .. } | Body::Level { .. } | Body::Page { .. }
    );
    assert!(
        state == State::Idle || !is_list,
        "a menu in {state:?}: {screen:?}"
    );
    assert!(
        state == State::Idle || state.has_failed() || brightness == Brightness::Full,
        "dark in {state:?}"
    );
    assert!(!screen.lines().is_empty(), "nothing is shown in {state:?}");
    for (width, height) in [(128, 64), (320, 240)] {
        assert!(display::render(&screen, width, height).lit() > 0);
    }
}

fn dial(world: &mut World, rng: &mut Rng, who: PhoneId, phones: usize) {
    let number = format!("20{}", 1 + rng.below(phones));
    for (n, key) in number.chars().enumerate() {
        world.board_event(who, ms(n as u64 * 140), BoardEvent::KeyDown(key));
        world.board_event(who, ms(n as u64 * 140 + 80), BoardEvent::KeyUp(key));
    }
    world.run(ms(500));
}

fn anything(world: &mut World, rng: &mut Rng, who: PhoneId, phones: usize) {
    match rng.below(9) {
        7 => menu(world, rng, who),
        8 => {
            let all: Vec<FunctionKey> = FunctionKey::all().collect();
            world.press_function(who, all[rng.below(all.len())]);
        }
        0 => world.lift(who),
        1 => world.hang_up(who),
        2 => world.flash(who),
        3 => dial(world, rng, who, phones),
        4 => {
            // A nervous hand on the hook.
            for n in 0..=rng.below(4) as u64 {
                world.board_event(who, ms(n * 90), BoardEvent::Hook(false));
                world.board_event(who, ms(n * 90 + 45), BoardEvent::Hook(true));
            }
        }
        5 => {
            let now = world.now();
            world[who].card.stall(now, ms(rng.below(150) as u64));
        }
        _ => {
            let now = world.now();
            let lost = rng.unit() < 0.5;
            world[who].card.set_lost(lost, now);
        }
    }
}

fn random_link(rng: &mut Rng) -> Link {
    Link {
        delay: ms(rng.below(120) as u64),
        jitter: if rng.unit() < 0.5 {
            Jitter::Normal {
                sd: ms(rng.below(20) as u64),
            }
        } else {
            Jitter::None
        },
        keep_order: rng.unit() < 0.7,
        loss: if rng.unit() < 0.5 {
            Loss::Random(0.15 * rng.unit())
        } else {
            Loss::None
        },
        duplicate: if rng.unit() < 0.3 { 0.1 } else { 0.0 },
        hold_back: if rng.unit() < 0.3 {
            (0.05, ms(60))
        } else {
            (0.0, Duration::ZERO)
        },
        outages: Vec::new(),
    }
}

fn day(name: &str, seed: u64, rounds: usize) -> World {
    let mut world = World::new(name, seed);
    world.network.capture.keep_sip_only();
    let seed = world.seed();
    let mut rng = Rng::for_purpose(seed, "monkey");
    for n in 0..3 {
        let flash = if n == 0 { "hook" } else { "key" };
        let mut setup = Setup::default()
            .codecs("\"pcmu\", \"pcma\", \"g722\"")
            .toml("call", &format!("flash = \"{flash}\"\nno_answer_s = 20"));
        setup.card.keep = secs(4);
        let id = world.phone(setup);
        world.add_display(id);
    }
    for round in 0..rounds {
        let link = random_link(&mut rng);
        world.network.set_default(link);
        for _ in 0..5 + rng.below(25) {
            act(&mut world, &mut rng, 3);
            for n in 0..3 {
                look(&mut world, PhoneId(n));
            }
            world.run(ms(rng.below(1_500) as u64));
        }
        for n in 0..3 {
            let now = world.now();
            world[PhoneId(n)].card.set_lost(false, now);
            // Who talks without the handset hangs up by the key.
            if world[PhoneId(n)].status(now)["sound"]["hands_free"] == true {
                world.press_function(PhoneId(n), FunctionKey::HandsFree);
            }
            let loud = UserAction::Volume(VolumeOf::Earpiece, 0);
            assert_eq!(world.request(PhoneId(n), &loud), Ok(()));
        }
        world.run(secs(2));
        world.quiet();
        for n in 0..3 {
            // Somebody may be chosen in the menu; lifting would call them.
            world.press(PhoneId(n), "****");
            world.lift(PhoneId(n));
            world.run(ms(300));
            assert_eq!(
                world.state(PhoneId(n)),
                State::DialTone,
                "round {round}: ready for the next lift"
            );
            assert!(
                world.heard(PhoneId(n), ms(100)).level_dbfs() > -40.0,
                "round {round}: dial tone is heard"
            );
            // Set by the menu, it would keep every caller out from now on.
            world.press(PhoneId(n), "*79");
            world.run(ms(300));
            world.hang_up(PhoneId(n));
        }
        world.run(secs(2));
    }
    world.quiet();
    world
}

#[test]
fn a_day_of_random_users() {
    let mut calls = 0;
    let mut hours = 0.0;
    // `OFFHOOK_SIM_DAYS=500` looks at more days than twelve.
    let days = std::env::var("OFFHOOK_SIM_DAYS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(12);
    for seed in 1..=days {
        let world = day("monkey", seed, 15);
        for n in 0..3 {
            calls += world[PhoneId(n)]
                .events_named("call")
                .iter()
                .filter(|(_, event)| event["state"] == "talking")
                .count();
        }
        hours += world.now().as_secs_f64() / 3_600.0;
    }
    assert!(calls > 300, "only {calls} calls stood");
    println!(
        "sim monkey: {days} seeds, {hours:.1} h, {calls} times talking; after each of {} rounds \
         everything was empty",
        days * 15
    );
}

#[test]
fn the_same_seed_gives_the_same_day() {
    let prints: Vec<(u64, u64)> = [77, 77, 78]
        .map(|seed| day("determinism", seed, 4))
        .iter()
        .map(|world| {
            (
                world.network.capture.count(),
                world.network.capture.fingerprint(),
            )
        })
        .collect();
    assert_eq!(prints[0], prints[1], "two runs of one seed differ");
    assert_ne!(prints[0], prints[2]);
    println!(
        "sim determinism: {} packets alike in time and every byte",
        prints[0].0
    );
}
