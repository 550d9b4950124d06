//! Updates: refused, applied, kept, rolled back; from the card and by network.

use std::sync::atomic::Ordering;
use std::time::Duration;

use testkit::process::TestDir;

use crate::boot::BOOT_LIMIT;
use crate::card::built;
use crate::machine::{Machine, Plugs};
use crate::network::{TestNetwork, serve};

/// The image's own word on its update, for `status.txt`.
fn wait_for_status(machine: &mut Machine, what: &str, limit: Duration) -> String {
    machine.wait(
        &format!("the word {what:?}"),
        "cat /run/offhook/image",
        limit,
        |text| text.contains(what),
    )
}

#[test]
fn signed_updates_are_applied_and_others_are_not() {
    let mut network = TestNetwork::new(3)
        .inspect_err(|why| {
            eprintln!("SKIPPED: an update by network: no tap device can be made here: {why}");
        })
        .ok();
    let dir = TestDir::new("image-update");
    let plugs = Plugs {
        tap: network.as_ref().map(|network| network.tap.clone()),
        ..Plugs::default()
    };
    let mut machine = Machine::new(&dir, "phone", plugs);

    // Signed by somebody else: refused, said, nothing changed.
    machine
        .card
        .drop_file(&built("foreign.raucb"), "update.raucb");
    assert_eq!(machine.power(), "a");
    machine.wait_state("idle", BOOT_LIMIT);
    let word = wait_for_status(&mut machine, "update: refused", Duration::from_secs(300));
    println!("{word}");
    assert!(
        machine
            .shell("offhook-slot")
            .contains("running a, kept a, next a")
    );
    assert_eq!(machine.shell("cat /etc/offhook/version").trim(), "1");
    machine.cut();

    // Half of a good one is no update either.
    let whole = std::fs::read(built("good.raucb")).unwrap();
    machine
        .card
        .write("update.raucb", &whole[..whole.len() / 2]);
    machine.power();
    machine.wait_state("idle", BOOT_LIMIT);
    wait_for_status(&mut machine, "update: refused", Duration::from_secs(300));
    machine.cut();

    // A good one: installed beside the running system, tried, and kept after its 60 s. By network
    // where there is one, and the power is cut between fetching and installing: the server has no
    // news at the next start, the phone has the file.
    let mut served = None;
    if let Some(network) = network.as_mut() {
        network.serve_dhcp(&dir, "");
        let (url, counts) = serve(&network.host, "update.raucb", whole);
        let text = format!(
            "[phone]\ncountry = \"de\"\n[provision]\nallow_http = true\n[update]\nurl = \"{url}\"\n"
        );
        machine.card.write("offhook.toml", text.as_bytes());
        machine.card.remove("update.raucb");
        machine.power();
        machine.wait_state("idle", BOOT_LIMIT);
        wait_for_status(
            &mut machine,
            "update: installing http",
            Duration::from_secs(300),
        );
        machine.shell("sync");
        machine.cut();
        served = Some(counts);
    } else {
        machine.card.write("update.raucb", &whole);
    }
    assert_eq!(machine.power(), "a");
    machine.wait_state("idle", BOOT_LIMIT);
    machine.wait_reset(Duration::from_secs(400));
    assert_eq!(machine.power(), "b", "the new slot is on trial");
    machine.wait_state("idle", BOOT_LIMIT);
    assert!(
        machine
            .shell("offhook-slot")
            .contains("running b, kept a, next a"),
        "not kept before it is good"
    );
    assert_eq!(machine.shell("cat /etc/offhook/version").trim(), "2");
    machine.wait(
        "the slot being kept",
        "offhook-slot",
        Duration::from_secs(200),
        |text| text.contains("running b, kept b, next b"),
    );
    wait_for_status(&mut machine, "is kept", Duration::from_secs(60));
    machine.wait(
        "the bundle's end",
        "ls /boot/offhook /data/update",
        Duration::from_secs(30),
        |text| !text.contains(".raucb\n"),
    );
    if let Some(counts) = served {
        let [given, known] = [0, 1].map(|index: usize| counts[index].load(Ordering::SeqCst));
        assert_eq!(
            given, 1,
            "it was fetched {given} times, and {known} times there was nothing new"
        );
        assert!(known >= 1, "no one asked again after the power cut");
    }
    machine.wait_card_closed();
    machine.cut();
    assert_eq!(machine.card.check_fat(dir.path()), "");
    machine
        .card
        .write("offhook.toml", b"[phone]\ncountry = \"de\"\n");

    // One that is signed and broken: tried, found wanting, rolled back, said.
    machine
        .card
        .drop_file(&built("broken.raucb"), "update.raucb");
    assert_eq!(machine.power(), "b", "kept");
    machine.wait_state("idle", BOOT_LIMIT);
    machine.wait_reset(Duration::from_secs(400));
    for attempt in 1..=2 {
        assert_eq!(machine.power(), "a", "trial {attempt} of the broken slot");
        machine.wait_reset(Duration::from_secs(400));
        assert_eq!(machine.power(), "b", "back after trial {attempt}");
        if attempt == 1 {
            // A power cut looks the same as a slot that does not work: tried once more, at once,
            // while no one is on the phone yet.
            machine.wait_reset(Duration::from_secs(300));
        } else {
            machine.wait_state("idle", BOOT_LIMIT);
        }
    }
    let word = wait_for_status(&mut machine, "rolled back", Duration::from_secs(60));
    println!("{word}");
    assert!(
        machine
            .shell("offhook-slot")
            .contains("running b, kept b, next b")
    );
    machine.cut();
    // And left alone from now on.
    assert_eq!(machine.power(), "b");
    machine.wait_state("idle", BOOT_LIMIT);
    wait_for_status(&mut machine, "not tried again", Duration::from_secs(60));
}
