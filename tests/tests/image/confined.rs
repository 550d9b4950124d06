//! Whose the booted phone is: a user of its own that reaches its files and devices, also those that
//! are plugged in again, and nothing of root's.

use std::time::Duration;

use testkit::process::TestDir;

use crate::boot::BOOT_LIMIT;
use crate::machine::{Machine, Plugs};

const SOON: Duration = Duration::from_secs(40);

/// The process of this name that `offhook run` is.
const PROCESS: &str = "phone_of() { for p in /proc/[0-9]*; do [ \"$(cat $p/comm 2>/dev/null)\" = \
                       \"$1\" ] && tr '\\0' ' ' <$p/cmdline | grep -q 'offhook run' && echo $p; \
                       done; true; }; ";

#[test]
fn the_phone_is_not_root() {
    let dir = TestDir::new("image-user");
    let mut machine = Machine::new(&dir, "phone", Plugs::default());
    machine.card.write(
        "offhook.toml",
        b"[phone]\ncountry = \"fr\"\nname = \"first\"\n",
    );
    machine.power();
    machine.wait_state("idle", BOOT_LIMIT);
    let status = |machine: &mut Machine, name: &str| {
        machine.shell(&format!(
            "{PROCESS} grep -E '^(Uid|Groups|CapEff|NoNewPrivs):' $(phone_of {name})/status"
        ))
    };
    let phone = status(&mut machine, "offhook");
    println!("{phone}");
    assert!(phone.contains("Uid:\t990\t990\t990\t990"), "{phone}");
    assert!(phone.contains("CapEff:\t0000000000804400"), "{phone}");
    let broker = status(&mut machine, "offhook-card");
    assert!(broker.contains("Uid:\t0\t0\t0\t0"), "{broker}");
    assert!(broker.contains("CapEff:\t000000000020000b"), "{broker}");
    // What it keeps is its own, what it reads is its group's, and the rest is root's.
    machine.wait(
        "a kept configuration",
        "cat /var/lib/offhook/last-good.toml",
        SOON,
        |text| text.contains("first"),
    );
    for (file, owner) in [
        ("/data/offhook", "1770 0 990"),
        ("/data/offhook/last-good.toml", "600 990 990"),
        ("/boot/offhook/offhook.toml", "750 0 990"),
        ("/run/offhook", "755 0 0"),
        ("/run/offhook/ctl.sock", "600 0 0"),
        ("/data/update", "700 0 0"),
    ] {
        let found = machine.shell(&format!("stat -c '%a %u %g' {file}"));
        assert_eq!(found.trim(), owner, "{file}");
    }
    machine.wait("status.txt", "cat /boot/offhook/status.txt", SOON, |text| {
        text.contains("on ")
    });
    // It feeds the watchdog, and says after a minute that the slot is good.
    let good = "stat -c '%a %u' /run/offhook/slot-good";
    machine.wait("slot-good", good, Duration::from_secs(150), |text| {
        text.trim() == "644 0"
    });
    // A sound card that is unplugged and plugged in again is a new file of root's, until the broker
    // shares it.
    machine.shell(
        "for d in /sys/bus/pci/drivers/snd_hda_intel/0*; do echo ${d##*/} >/run/card; done; \
         echo $(cat /run/card) >/sys/bus/pci/drivers/snd_hda_intel/unbind",
    );
    machine.wait("the loss", "offhook ctl status", SOON, |text| {
        text.contains("\"device_losses\":1")
    });
    machine.shell("echo $(cat /run/card) >/sys/bus/pci/drivers/snd_hda_intel/bind");
    machine.wait("the card again", "offhook ctl status", SOON, |text| {
        text.contains("\"audio\":{") && text.contains("\"state\":\"idle\"")
    });
    let shared = machine.shell("stat -c '%a %g' /dev/snd/controlC0");
    assert_eq!(shared.trim(), "660 990");
}
