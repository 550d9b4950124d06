//! What a hand can order of the booted image: the support bundle by a star code, and the factory
//! reset all three ways, by a file on the card, by a star code on the keypad and by a key held
//! while the power comes on.

use std::process::Command;
use std::time::Duration;

use testkit::process::TestDir;

use crate::boot::BOOT_LIMIT;
use crate::machine::{Machine, Plugs};

const SOON: Duration = Duration::from_secs(40);
/// Somebody's settings, with a registrar that answers no one.
const SETTINGS: &str = "[phone]\ncountry = \"fr\"\n[[account]]\nuser = \"101\"\n\
                        domain = \"127.0.0.1:5999\"\npassword = \"hunter2hunter2\"\n";

/// Lifts, presses the keys, and leaves the handset off.
fn dial(machine: &mut Machine, keys: &str) {
    machine.hook(true);
    machine.wait_state("dial_tone", SOON);
    for key in keys.chars() {
        machine.press(key);
    }
}

#[test]
fn a_star_code_writes_the_support_bundle_to_the_card() {
    let dir = TestDir::new("image-bundle");
    let mut machine = Machine::new(&dir, "phone", Plugs::default());
    machine.card.write("offhook.toml", SETTINGS.as_bytes());
    machine.power();
    machine.wait_state("idle", BOOT_LIMIT);
    dial(&mut machine, "*94#");
    machine.wait("the bundle on the card", "ls /boot/offhook", SOON, |text| {
        text.lines().any(|name| name == "offhook-support.tar.gz")
    });
    machine.hook(false);
    // The same by hand.
    machine.shell(
        "offhook ctl bundle /tmp/by-hand.tar.gz && tar -tzf /tmp/by-hand.tar.gz | grep -q sip.pcap",
    );
    machine.wait_card_closed();
    machine.cut();
    assert_eq!(machine.card.check_fat(dir.path()), "");

    let packed = dir.join("bundle.tar.gz");
    let bytes = machine
        .card
        .read_bytes("offhook-support.tar.gz")
        .expect("it is on the card");
    std::fs::write(&packed, bytes).unwrap();
    let tar = |words: &[&str]| {
        let output = Command::new("tar")
            .args(words)
            .arg("-f")
            .arg(&packed)
            .output()
            .expect("tar runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let names = tar(&["-tz"]);
    for name in [
        "log.txt",
        "status.json",
        "stats.json",
        "settings.txt",
        "sip.pcap",
        "image.txt",
        "system.txt",
    ] {
        assert!(
            names.contains(&format!("offhook-support/{name}\n")),
            "no {name} among {names}"
        );
    }
    let all = tar(&["-xzO"]);
    assert!(
        all.contains("REGISTER sip:127.0.0.1:5999") && all.contains("slot: a"),
        "{all}"
    );
    assert!(!all.contains("hunter2"), "a password is in it");
}

/// After a reset the card holds the empty example and the data partition nothing.
fn assert_forgotten(machine: &mut Machine, dir: &TestDir, how: &str) {
    let settings = machine
        .card
        .read("offhook.toml")
        .expect("there is a file to edit");
    assert!(
        settings.contains("#[[account]]") && !settings.contains("hunter2"),
        "{how}: {settings}"
    );
    let names = machine.card.names();
    assert!(
        !names.iter().any(|name| name.starts_with("factory-reset")),
        "{how}: {names:?}"
    );
    assert_eq!(
        machine
            .card
            .data_file(dir.path(), "/offhook/last-good.toml"),
        "",
        "{how}"
    );
    assert_eq!(machine.card.check_fat(dir.path()), "", "{how}");
}

#[test]
fn a_factory_reset_by_file_by_keys_and_at_power_up() {
    let dir = TestDir::new("image-reset");
    let mut machine = Machine::new(&dir, "phone", Plugs::default());
    let in_use = |machine: &mut Machine| {
        machine.card.write("offhook.toml", SETTINGS.as_bytes());
        machine.power();
        machine.wait_state("idle", BOOT_LIMIT);
        machine.wait(
            "the kept file",
            "cat /data/offhook/last-good.toml",
            SOON,
            |text| text.contains("hunter2"),
        );
        machine.shell("sync");
    };

    in_use(&mut machine);
    machine.cut();
    machine.card.write("factory-reset.txt", b"");
    machine.power();
    machine.wait_reset(BOOT_LIMIT);
    assert_forgotten(&mut machine, &dir, "by file");

    in_use(&mut machine);
    dial(&mut machine, "*99*7378#");
    machine.wait_reset(SOON);
    assert_forgotten(&mut machine, &dir, "by star code");

    in_use(&mut machine);
    machine.cut();
    machine.hold('*');
    machine.power();
    machine.wait_reset(BOOT_LIMIT);
    assert_forgotten(&mut machine, &dir, "by the key held at power-up");

    // And it is a phone again.
    machine.let_go();
    machine.power();
    machine.wait_state("idle", BOOT_LIMIT);
}
