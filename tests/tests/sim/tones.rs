//! Every country's tones as the ear hears them, against facts from outside: frequency, cadence,
//! level, and how soon.

use offhook_tests::tones::{countries, judge, onset_s, plan};
use offhook_tests::world::{Setup, World, ms, number_of_peer, secs};
use phone::State;

/// The countries the phone knows and the facts know, too.
fn both() -> Option<Vec<String>> {
    let known: Vec<String> = countries()?
        .into_iter()
        .filter(|code| types::Country::from_name(code).is_some())
        .collect();
    assert!(known.len() >= 15, "{known:?}");
    for required in [
        "us", "uk", "de", "fr", "nl", "it", "es", "jp", "au", "in", "ch", "at", "se",
    ] {
        assert!(
            known.iter().any(|code| code == required),
            "{required} is missing"
        );
    }
    Some(known)
}

fn skipped(test: &str) {
    testkit::skipped(test, "tones.json is not there (set OFFHOOK_DATA)");
}

#[test]
fn dial_tone_of_every_country_within_100_ms() {
    let Some(known) = both() else {
        return skipped("dial_tone_of_every_country_within_100_ms");
    };
    let mut latest = 0f64;
    for code in &known {
        let mut world = World::new(&format!("dial tone {code}"), 1);
        let l = world.phone(Setup::default().country(code).card(8_000, 10));
        world.run(secs(1));
        world.lift(l);
        let lifted = world.now();
        world.run(secs(4));
        let clip = world[l]
            .card
            .heard
            .clip(lifted.saturating_sub(ms(50)), secs(4));
        let onset = onset_s(&clip).unwrap_or_else(|| panic!("{code}: no dial tone")) - 0.05;
        assert!(
            (0.0..0.1).contains(&onset),
            "{code}: after {:.0} ms",
            onset * 1e3
        );
        latest = latest.max(onset);
        judge(&clip, &plan(code, "dial").unwrap())
            .unwrap_or_else(|error| panic!("{code} dial tone: {error}"));
        world.hang_up(l);
        world.run(ms(1_200));
        world.assert_silent(l, ms(200));
        world.quiet();
    }
    println!(
        "sim dial tone: {} countries, latest {:.0} ms after the lift",
        known.len(),
        latest * 1e3
    );
}

/// What the caller hears when the far end says this.
fn heard_after(tone: &str, code: u16, state: State) {
    let Some(known) = both() else {
        return skipped(tone);
    };
    for country in &known {
        let mut world = World::new(&format!("{tone} {country}"), 2);
        // The tone alone: a spoken reason takes its place in between.
        let setup = Setup::default().country(country).card(8_000, 10);
        let l = world.phone(setup.toml("phone", "speech = false"));
        let far = world.peer();
        world.call(l, &number_of_peer(far));
        let invite = world.expect(far, "INVITE");
        world.run(ms(400));
        let before = world.now();
        world.say(far, &invite.reply(code, "t"));
        world.expect_state(l, state, secs(1));
        let length = secs(11);
        world.run(length);
        let clip = world[l].card.heard.clip(before, length);
        let onset = onset_s(&clip).unwrap_or_else(|| panic!("{country}: no {tone} tone"));
        assert!(onset < 0.1, "{country}: {tone} after {:.0} ms", onset * 1e3);
        judge(&clip, &plan(country, tone).unwrap())
            .unwrap_or_else(|error| panic!("{country} {tone}: {error}"));
        world.hang_up(l);
        world.run(ms(1_000));
        if code < 200 {
            let cancel = world.expect(far, "CANCEL");
            world.say(far, &cancel.reply(200, "t"));
            world.say(far, &invite.reply(487, "t"));
        }
        world.expect(far, "ACK");
        world.assert_silent(l, ms(200));
        world.quiet();
    }
    println!(
        "sim {tone} tone: {} countries by frequency and cadence",
        known.len()
    );
}

#[test]
fn ringback_of_every_country() {
    heard_after("ringback", 180, State::Ringback);
}

#[test]
fn busy_of_every_country() {
    heard_after("busy", 486, State::Busy);
}

#[test]
fn congestion_of_every_country() {
    heard_after("congestion", 503, State::Congestion);
}

#[test]
fn the_bell_rings_in_the_countrys_cadence() {
    let Some(known) = both() else {
        return skipped("the_bell_rings_in_the_countrys_cadence");
    };
    let facts: serde_json::Value = serde_json::from_str(
        &std::fs::read_to_string(testkit::data::path("tones.json").unwrap()).unwrap(),
    )
    .unwrap();
    for code in &known {
        let (mut world, l, r) =
            World::pair(&format!("bell {code}"), 3, &Setup::default().country(code));
        world.call(l, "202");
        world.expect_state(r, State::Ringing, secs(3));
        let wanted: Vec<u64> = facts["zones"][code]["ring_cadence_ms"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(serde_json::Value::as_u64)
            .collect();
        let rung: Vec<u64> = world[r]
            .ring
            .iter()
            .flatten()
            .map(|&ms| u64::from(ms))
            .collect();
        assert!(
            wanted.is_empty() || rung == wanted,
            "{code}: {rung:?}, wanted {wanted:?}"
        );
        assert!(!rung.is_empty());
        world.quiet();
    }
    println!("sim bell: {} countries", known.len());
}

#[test]
fn off_hook_for_too_long() {
    let mut world = World::new("howler", 4);
    let l = world.phone(Setup::default().toml("call", "howler_after_s = 10\nhowler_s = 5"));
    let far = world.peer();
    world.call(l, &number_of_peer(far));
    let invite = world.expect(far, "INVITE");
    world.say(far, &invite.reply(486, "x"));
    world.expect(far, "ACK");
    world.expect_state(l, State::Howler, secs(12));
    world.run(secs(2));
    let level = world.heard(l, secs(1)).level_dbfs();
    assert!(
        (-30.0..-6.0).contains(&level),
        "limited in level: {level:.1} dBFS"
    );
    world.run(secs(5));
    world.assert_silent(l, secs(1));
    world.run(secs(30));
    world.assert_silent(l, secs(10));
    world.quiet();
    world.report(&format!("howler at {level:.1} dBFS, then silence"));
}
