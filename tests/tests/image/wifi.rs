//! The radio: two simulated ones (the kernel's `mac80211_hwsim`), an
//! access point at the other end.
//!
//! ```text
//! [wifi] ─▶ wpa_supplicant.conf ─▶ wlan0 ~ ~ radio ~ ~ wlan1 ◀─ hostapd, udhcpd (tests/image/access_point, in a network of its own)
//! ```

use std::time::Duration;

use testkit::process::TestDir;

use crate::boot::BOOT_LIMIT;
use crate::machine::{Machine, Plugs};

/// The radio's own pauses between two tries are up to twenty seconds long, and ciphers are
/// emulated, too.
const JOINED: Duration = Duration::from_secs(120);

/// What the phone says of its radio once it is right.
fn radio(machine: &mut Machine, what: &str, right: impl Fn(&str) -> bool) -> String {
    machine.wait(what, "wpa_cli -i wlan0 status", JOINED, right)
}

/// Switches the phone on with this `[wifi]` section, and the access point.
fn power(machine: &mut Machine, wifi: &str) {
    machine.card.write(
        "offhook.toml",
        format!("[phone]\ncountry = \"de\"\n[wifi]\n{wifi}\n").as_bytes(),
    );
    machine.power();
    machine.wait_state("idle", BOOT_LIMIT);
    machine.shell(
        "mkdir /run/wifi && mount -t squashfs -o ro /dev/vdb /run/wifi && /run/wifi/access_point \
         radios",
    );
}

#[test]
fn joins_wpa2_and_wpa3_and_reports_failures() {
    let dir = TestDir::new("image-wifi");
    let plugs = Plugs {
        wifi: true,
        ..Plugs::default()
    };
    let mut machine = Machine::new(&dir, "phone", plugs);
    power(
        &mut machine,
        "ssid = \"Caf\u{e9} \\\"1\\\"\"\npassword = \"not the password\"",
    );
    // No one there; then somebody who wants another password.
    let wait_for_status = |machine: &mut Machine, what: &str| {
        machine.wait(what, "cat /boot/offhook/status.txt", JOINED, |text| {
            text.contains(what)
        });
    };
    wait_for_status(&mut machine, "no network of this name is in range");
    machine.shell("/run/wifi/access_point point 'Caf\u{e9} \"1\"' 'correct horse' 2");
    wait_for_status(&mut machine, "refuses the phone");
    machine.cut();

    power(
        &mut machine,
        "ssid = \"Caf\u{e9} \\\"1\\\"\"\npassword = \"correct horse\"",
    );
    machine.shell("/run/wifi/access_point point 'Caf\u{e9} \"1\"' 'correct horse' 2");
    let joined = radio(&mut machine, "joined by WPA2", |text| {
        text.contains("wpa_state=COMPLETED")
    });
    assert!(
        joined.contains("key_mgmt=WPA2-PSK") && joined.contains("pairwise_cipher=CCMP"),
        "{joined}"
    );
    machine.wait(
        "an address over the air",
        "ip -4 addr show dev wlan0",
        JOINED,
        |text| text.contains("10.9.0.20"),
    );
    machine
        .ask("ping -c 2 -W 2 10.9.0.1", Duration::from_secs(20))
        .unwrap();
    let nap = machine.shell("cat /run/power-save; iw dev wlan0 get power_save");
    let said: Vec<&str> = nap
        .lines()
        .filter_map(|line| line.rsplit(' ').next())
        .collect();
    assert_eq!(
        said,
        ["on", "off"],
        "it came napping, and was to be woken: {nap}"
    );

    // The same network with WPA3: the phone comes back by itself, and takes the better protection.
    machine.shell("/run/wifi/access_point point 'Caf\u{e9} \"1\"' 'correct horse' 3");
    let joined = radio(&mut machine, "joined by WPA3", |text| {
        text.contains("wpa_state=COMPLETED") && text.contains("key_mgmt=SAE")
    });
    assert!(
        joined.contains("pmf=1") || joined.contains("pmf=2"),
        "management frames are not protected: {joined}"
    );
    machine
        .ask("ping -c 2 -W 2 10.9.0.1", Duration::from_secs(20))
        .unwrap();
    machine.wait(
        "no complaint",
        "cat /boot/offhook/status.txt",
        JOINED,
        |text| !text.contains("wifi:"),
    );

    // Out of reach, that is reported; the phone lives on.
    machine.shell("/run/wifi/access_point off");
    wait_for_status(&mut machine, "no network of this name is in range");
    machine.wait_state("idle", BOOT_LIMIT);
}
