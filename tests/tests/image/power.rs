//! The power goes at any moment: in the middle of an update, and in the middle of a configuration being written. Twenty times each; then
//! the phone must start, by a whole configuration, from a slot that works, with nothing lost that it had.
//!
//! ```text
//!   power ─▶ the act begins ─▶ cut after a random while ─▶ power: does it start? is everything there? ─▶ and again, on the same card
//! ```

use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::card::built;
use crate::machine::{Machine, Plugs};
use crate::place::Place;
use crate::start::START;

const CUTS: u32 = 20;

/// Moments are drawn from one seed a run; `OFFHOOK_SEED` repeats it.
fn dice(what: &str) -> ChaCha8Rng {
    let given = std::env::var("OFFHOOK_SEED").ok().and_then(|text| text.parse().ok());
    let seed =
        given.unwrap_or_else(|| u64::from(std::process::id()) << 16 | u64::from(std::time::UNIX_EPOCH.elapsed().unwrap().subsec_micros()));
    println!("{what}: OFFHOOK_SEED={seed}");
    ChaCha8Rng::seed_from_u64(seed)
}

fn up_to(dice: &mut ChaCha8Rng, most: Duration) -> Duration {
    most.mul_f64(f64::from(dice.next_u32()) / f64::from(u32::MAX))
}

#[test]
fn twenty_power_cuts_during_an_update() {
    let place = Place::new("image-cut-update");
    let mut dice = dice("power cuts during an update");
    let mut machine = Machine::new(&place, "phone", Plugs::default());
    let config = "[phone]\ncountry = \"fr\"\nname = \"kept through it all\"\n";
    machine.card.write("offhook.toml", config.as_bytes());
    let (mut cuts, mut resets, mut kept, mut from_b) = (0, 0, 0, 0);
    let end = Instant::now() + Duration::from_secs(1500);
    // Measured as it goes: how long an update takes from the moment the phone is good to the slot that is kept.
    let mut installing = Duration::from_secs(10);
    while cuts < CUTS {
        assert!(Instant::now() < end, "only {cuts} cuts in 25 minutes");
        let choice = machine.card.read("autoboot.txt");
        assert!(
            choice.as_ref().is_some_and(|text| text.len() == 64),
            "autoboot.txt is torn: {choice:?}"
        );
        let slot = machine.power();
        from_b += u32::from(slot == "b");
        machine.wait_state("idle", START);
        // Whole: the person's file, the last good copy, the slots, the version that belongs to the slot.
        let seen = machine.shell("cat /boot/offhook/offhook.toml /var/lib/offhook/last-good.toml; offhook-slot; cat /run/offhook/image");
        assert_eq!(seen.matches("kept through it all").count(), 2, "{seen}");
        assert!(!seen.contains("has been formatted") && !seen.contains("cannot be"), "{seen}");
        assert!(seen.contains(&format!("running {slot},")), "{seen}");
        if machine.ask("[ -e /boot/offhook/update.raucb ] && [ \"$(cat /data/update/ledger 2>/dev/null | grep -c -E ' (good|bad|refused)')\" = 0 ]", Duration::from_secs(20)).unwrap().1 != 0 {
            // The last one is through, one way or the other: put down another.
            kept += 1;
            machine.shell("rm -f /data/update/ledger; sync");
            machine.cut();
            machine.card.drop_file(&built("good.raucb"), "update.raucb");
            continue;
        }
        // The sixty seconds are another test's; here they are over at once.
        machine.shell("touch /run/offhook/slot-good");
        let began = Instant::now();
        let trial = machine.ask("[ -e /run/offhook/trial ]", Duration::from_secs(20)).unwrap().1 == 0;
        let while_s = up_to(
            &mut dice,
            if trial {
                Duration::from_secs(3)
            } else {
                installing + Duration::from_secs(2)
            },
        );
        loop {
            if machine.has_reset() {
                // It went through its install in time, and restarts to try.
                installing = began.elapsed().min(Duration::from_secs(40));
                resets += 1;
                break;
            }
            if began.elapsed() >= while_s {
                machine.cut();
                cuts += 1;
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    println!("{cuts} cuts; {resets} restarts into a trial; {kept} bundles put down; {from_b} starts from slot b");
    assert!(
        resets > 0,
        "no update ever got as far as a trial: the cuts were all at its beginning"
    );
    assert_eq!(
        machine
            .card
            .check_fat(place.path())
            .lines()
            .filter(|line| line.contains("lost") || line.contains("Bad"))
            .count(),
        0
    );
    machine.power();
    machine.wait_state("idle", START);
}

#[test]
fn twenty_power_cuts_during_a_configuration_write() {
    let place = Place::new("image-cut-config");
    let mut dice = dice("power cuts during a configuration write");
    let mut machine = Machine::new(&place, "phone", Plugs::default());
    let text = |serial: u32| {
        format!(
            "[phone]\ncountry = \"fr\"\nname = \"number {serial}\"\n# {}\n[[account]]\nuser = \"1\"\ndomain = \"127.0.0.1\"\npassword = \"p{serial}\"\n",
            "x".repeat(3000)
        )
    };
    let mut kept = 0;
    let end = Instant::now() + Duration::from_secs(1200);
    // How long a start takes here and now.
    machine.card.write("offhook.toml", text(0).as_bytes());
    machine.power();
    machine.wait_up(START);
    let mut up = machine.since().elapsed();
    machine.cut();
    for serial in 1..=CUTS {
        assert!(Instant::now() < end, "only {serial} cuts in 20 minutes");
        // A person writes another file; the phone reads it, keeps it as the last good one, and writes its status onto the card.
        machine.card.write("offhook.toml", text(serial).as_bytes());
        machine.power();
        // Cut around the moment the phone starts: two seconds before and after init has started everything.
        std::thread::sleep(up.saturating_sub(Duration::from_secs(2)) + up_to(&mut dice, Duration::from_secs(4)));
        machine.cut();
        // The card as a computer sees it: the person's file is as it was written.
        assert_eq!(
            machine.card.read("offhook.toml").as_deref(),
            Some(text(serial).as_str()),
            "cut {serial}"
        );
        if serial % 4 == 0 {
            machine.power();
            machine.wait_up(START);
            up = machine.since().elapsed();
            machine.wait_state("idle", START);
            let seen = machine.shell("cat /var/lib/offhook/last-good.toml; cat /run/offhook/image; ls -la /data/offhook");
            assert!(seen.contains(&format!("number {serial}")), "{seen}");
            assert!(!seen.contains("formatted") && !seen.contains("cannot be"), "{seen}");
            let status = machine.wait("status.txt", "cat /boot/offhook/status.txt", Duration::from_secs(60), |text| {
                text.contains("Configuration:")
            });
            assert!(!status.contains("Errors:"), "{status}");
            machine.cut();
            kept += 1;
        }
    }
    assert_eq!(kept, CUTS / 4);
}
