//! The power goes at any moment: in the middle of an update, and in the middle of a configuration
//! being written. Twenty times each; then the phone must start, by a whole configuration, from a
//! slot that works, with nothing lost that it had.
//!
//! ```text
//!   power ─▶ the act begins ─▶ cut after a random while ─▶ power: does it start? is everything there? ─▶ and again, on the same card
//! ```

use std::time::{Duration, Instant};

use testkit::Rng;
use testkit::process::TestDir;

use crate::boot::BOOT_LIMIT;
use crate::card::built;
use crate::machine::{Machine, Plugs};

const CUTS: u32 = 20;

/// Moments are drawn from one seed a run; `OFFHOOK_SEED` repeats it.
fn dice(what: &str) -> Rng {
    let given = std::env::var("OFFHOOK_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| {
        u64::from(std::process::id()) << 16
            | u64::from(std::time::UNIX_EPOCH.elapsed().unwrap().subsec_micros())
    });
    println!("{what}: OFFHOOK_SEED={seed}");
    Rng::new(seed)
}

fn up_to(dice: &mut Rng, most: Duration) -> Duration {
    most.mul_f64(f64::from(dice.next_u32()) / f64::from(u32::MAX))
}

#[test]
fn twenty_power_cuts_during_an_update() {
    let dir = TestDir::new("image-cut-update");
    let mut dice = dice("power cuts during an update");
    let mut machine = Machine::new(&dir, "phone", Plugs::default());
    let config = "[phone]\ncountry = \"fr\"\nname = \"kept through it all\"\n";
    machine.card.write("offhook.toml", config.as_bytes());
    let (mut cuts, mut resets, mut again, mut kept, mut from_b, mut in_trial) = (0, 0, 0, 0, 0, 0);
    let end = Instant::now() + Duration::from_secs(2700);
    // How long it takes here and now from the moment the phone is good to the restart into the new
    // slot: the first one is not cut.
    let mut installing: Option<Duration> = None;
    while cuts < CUTS {
        assert!(Instant::now() < end, "only {cuts} cuts in 45 minutes");
        let choice = machine.card.read("autoboot.txt");
        assert!(
            choice.as_ref().is_some_and(|text| text.len() == 64),
            "autoboot.txt is torn: {choice:?}"
        );
        let slot = machine.power();
        from_b += u32::from(slot == "b");
        // A start that follows a trial which did not stay may end at once: the trial is tried once
        // more.
        if !machine.idle_or_reset(BOOT_LIMIT) {
            again += 1;
            continue;
        }
        // Whole: the person's file, the last good copy, the slots, the version that belongs to the
        // slot.
        let seen = "cat /boot/offhook/offhook.toml /var/lib/offhook/last-good.toml; offhook-slot; \
                    cat /run/offhook/image; \
                    [ ! -e /run/offhook/trial ] || echo on trial; \
                    [ -e /boot/offhook/update.raucb ] && [ \"$(grep -c -E ' (good|bad|refused)' \
                    /data/update/ledger 2>/dev/null)\" != 1 ] || echo over";
        let Some(seen) = machine.shell_or_reset(seen) else {
            again += 1;
            continue;
        };
        assert_eq!(seen.matches("kept through it all").count(), 2, "{seen}");
        assert!(
            !seen.contains("has been formatted") && !seen.contains("cannot be"),
            "{seen}"
        );
        assert!(
            !seen.contains("refused"),
            "a whole bundle was refused: {seen}"
        );
        assert!(seen.contains(&format!("running {slot},")), "{seen}");
        if seen.lines().any(|line| line == "over") {
            // The last one is through: put down another.
            kept += 1;
            machine.shell("rm -f /data/update/ledger; sync");
            machine.cut();
            machine.card.drop_file(&built("good.raucb"), "update.raucb");
            continue;
        }
        // The sixty seconds are another test's; here they are over at once.
        let began = Instant::now();
        if machine
            .shell_or_reset("touch /run/offhook/slot-good")
            .is_none()
        {
            again += 1;
            continue;
        }
        let trial = seen.lines().any(|line| line == "on trial");
        // A twentieth of that time each, and a bit beyond, so that no part is left out; where in it
        // is left to the dice.
        let while_s = match installing {
            _ if trial => up_to(&mut dice, Duration::from_secs(3)),
            Some(installing) => {
                (installing / CUTS * cuts + up_to(&mut dice, installing / CUTS)).mul_f64(1.2)
            }
            None => Duration::from_secs(400),
        };
        loop {
            if machine.has_reset() {
                // It went through its install in time, and restarts to try.
                if !trial {
                    // Longest of all: a second trial of the same slot comes without an install.
                    installing = installing.max(Some(began.elapsed()));
                    resets += 1;
                }
                break;
            }
            if began.elapsed() >= while_s {
                assert!(
                    installing.is_some(),
                    "nothing was installed in {while_s:?}: {}",
                    machine.console()
                );
                machine.cut();
                cuts += 1;
                in_trial += u32::from(trial);
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    println!(
        "{cuts} cuts, {in_trial} of them in a trial; {resets} restarts into a trial, {again} at \
         once; {kept} bundles put down; {from_b} starts from slot b"
    );
    assert!(
        in_trial > 0 && in_trial < cuts,
        "the cuts were all of one kind"
    );
    assert_eq!(fat_damage(&machine, &dir), "");
    // The last cut may have been in a trial: then the next start only tries it once more.
    let mut starts = 1;
    machine.power();
    while !machine.idle_or_reset(BOOT_LIMIT) {
        assert!(starts < 4, "{starts} starts, and no phone");
        starts += 1;
        machine.power();
    }
}

/// Lines a checker of FAT has about files, not about the mark that somebody was writing.
fn fat_damage(machine: &Machine, dir: &TestDir) -> String {
    let report = machine.card.check_fat(dir.path());
    let matters = |line: &&str| {
        line.contains("lost")
            || line.contains("Bad")
            || line.contains("differ in")
            || line.contains("crosslink")
    };
    report
        .lines()
        .filter(matters)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Two kinds of writes in turn: a good file is kept on the data partition as the last good one, a
/// wrong one is reported in `status.txt` on the card. After each cut the card is read as a computer
/// reads it: the person's file to the letter, the last good one old or new and never torn,
/// `status.txt` whole or not there.
#[test]
fn twenty_power_cuts_during_a_configuration_write() {
    let dir = TestDir::new("image-cut-config");
    let mut dice = dice("power cuts during a configuration write");
    let mut machine = Machine::new(&dir, "phone", Plugs::default());
    let text = |serial: u32| {
        let wrong = if serial % 2 == 1 { "volume = 11\n" } else { "" };
        format!(
            "[phone]\ncountry = \"fr\"\nname = \"number {serial}\"\n{wrong}# {}\n[[account]]\n\
             user = \"1\"\ndomain = \"127.0.0.1\"\npassword = \"p{serial}\"\n",
            "x".repeat(3000)
        )
    };
    let end = Instant::now() + Duration::from_secs(2400);
    // How long it takes here and now until the first good file is kept.
    machine.card.write("offhook.toml", text(0).as_bytes());
    machine.power();
    let keeps = |machine: &mut Machine, serial: u32| {
        machine.wait(
            "the kept file",
            "cat /data/offhook/last-good.toml",
            BOOT_LIMIT,
            |seen| seen.contains(&format!("number {serial}\"")),
        );
        machine.since().elapsed()
    };
    let mut up = keeps(&mut machine, 0);
    machine.shell("sync");
    machine.cut();
    let mut good = 0;
    let (mut before, mut after, mut report) = (0, 0, 0);
    for serial in 1..=CUTS {
        assert!(Instant::now() < end, "only {serial} cuts in 40 minutes");
        machine.card.write("offhook.toml", text(serial).as_bytes());
        machine.power();
        // Four seconds around that moment, a twentieth of them each time, so that no part is left
        // out; where in it is left to the dice.
        let part = Duration::from_secs(4) / CUTS;
        std::thread::sleep(
            up.saturating_sub(Duration::from_secs(3))
                + part * (serial - 1)
                + up_to(&mut dice, part),
        );
        machine.cut();
        assert_eq!(
            machine.card.read("offhook.toml").as_deref(),
            Some(text(serial).as_str()),
            "cut {serial}"
        );
        assert_eq!(fat_damage(&machine, &dir), "", "cut {serial}");
        let kept = machine
            .card
            .data_file(dir.path(), "/offhook/last-good.toml");
        if serial % 2 == 0 && kept == text(serial) {
            (good, after) = (serial, after + 1);
        } else {
            assert_eq!(
                kept,
                text(good),
                "cut {serial}: the last good file is neither the old nor the new one"
            );
            before += u32::from(serial % 2 == 0);
        }
        if let Some(status) = machine.card.read("status.txt") {
            assert!(
                status.starts_with("Offhook ") && status.contains("\nSound card: "),
                "cut {serial}: {status:?}"
            );
            report += u32::from(status.contains("Errors:"));
        }
        if serial % 4 == 0 {
            // It starts, by this file, with nothing to correct.
            machine.power();
            up = keeps(&mut machine, serial);
            machine.wait_state("idle", BOOT_LIMIT);
            good = serial;
            let seen = machine.shell("cat /run/offhook/image; ls -la /data/offhook");
            assert!(
                !seen.contains("formatted") && !seen.contains("cannot be"),
                "{seen}"
            );
            machine.shell("sync");
            machine.cut();
        }
    }
    println!(
        "{CUTS} cuts: {before} before a new file was kept, {after} after; {report} after errors \
         were report"
    );
    assert!(
        before + after == CUTS / 2 && after < CUTS / 2,
        "no cut came before the write"
    );
}
