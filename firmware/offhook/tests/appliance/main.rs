//! The phone as an appliance, from outside: the card it reads, the status it writes back, the
//! system's files, the watchdog, the reset, the provisioning server.
//!
//! Wall clock: the phone is a process of its own, with real sockets and files.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of a test program: what cannot be is a failed test"
)]

mod confined;
mod display;
mod files;
mod fleet;
mod frozen;
mod machine;
mod orders;
mod provisioning;
mod robust;
mod server;

use std::fs;
use std::process::Command;

use machine::{Machine, until, words};

#[test]
fn a_bad_card_is_reported_on_the_card_and_the_last_good_one_is_in_use() {
    let machine = Machine::new("bad-card");
    machine.card("[phone]\nuser = \"good\"\n");
    let mut phone = machine.start();
    assert!(phone.ask(r#"{"cmd":"status"}"#).get("config").is_none());
    phone.ask(r#"{"cmd":"quit"}"#);
    assert_eq!(phone.exit_code(), 0);

    machine.card(
        "[phone]\nusr = \"bad\"\n[[account]]\nuser = \"101\"\ndomain = \"pbx\"\n\
         password = \"hunter2\"\n",
    );
    let phone = machine.start();
    let config = phone.ask(r#"{"cmd":"status"}"#)["config"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        config.contains("last good") && config.contains("offhook.toml:10:1: "),
        "{config}"
    );
    until("status.txt", || machine.status_file().contains("Errors:"));
    let text = machine.status_file();
    assert!(
        text.contains("offhook.toml, line 10, column 1: there is no key `usr` in `phone`"),
        "{text}"
    );
    assert!(
        text.contains("help: did you mean `user`?") && !text.contains("hunter2"),
        "{text}"
    );
    assert!(
        text.starts_with(concat!("Offhook ", env!("CARGO_PKG_VERSION"), " on box\n")),
        "{text}"
    );
}

#[test]
fn a_missing_device_is_reported_and_the_phone_goes_on() {
    let machine = Machine::new("missing");
    machine.hardware_of(
        "hw:NoSuchCard",
        "hw:NoSuchCard",
        "[gpio]\nchip = \"no-such-chip\"\n[hook]\nline = 1\n[keypad]\nrows = [2]\ncolumns = [3]\n\
         keys = [\"1\"]\n\
         [ringer]\nkind = \"bell\"\nlines = [4, 6]\n[lamps]\nline = 5\n\
         [watchdog]\ndevice = \"/dev/no-such-watchdog\"\ntimeout_s = 15\n",
    );
    machine.card("");
    let mut phone = machine.start();
    let status = phone.ask(r#"{"cmd":"status"}"#);
    let faults: Vec<_> = status["hardware"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault.as_str().unwrap())
        .collect();
    let devices = [
        "[hook]",
        "[keypad]",
        "[ringer]",
        "[lamps]",
        "watchdog /dev/no-such-watchdog",
    ];
    assert_eq!(faults.len(), devices.len(), "{faults:#?}");
    for device in devices {
        assert!(
            faults.iter().any(|fault| fault.starts_with(device)),
            "{device}: {faults:#?}"
        );
    }
    let card = status["audio"]["device"].as_str().unwrap();
    assert!(
        card.starts_with("none (") && card.contains("NoSuchCard"),
        "{card}"
    );
    until("status.txt", || {
        let text = machine.status_file();
        text.contains("Hardware that is not in use:") && text.contains("Sound card: none (")
    });
    let text = machine.status_file();
    assert!(devices.iter().all(|device| text.contains(device)), "{text}");
    phone.ask(r#"{"cmd":"lift"}"#);
    assert_eq!(phone.ask(r#"{"cmd":"status"}"#)["hook"], "off");
    phone.ask(r#"{"cmd":"quit"}"#);
    assert_eq!(phone.exit_code(), 0);
}

/// Beeps of 1400 Hz at the head of what the ear heard, then the dial tone.
fn beeps(ear: &std::path::Path) -> (usize, bool) {
    let bytes = fs::read(ear).unwrap();
    let rate = f64::from(u32::from_le_bytes(bytes[24..28].try_into().unwrap()));
    let samples: Vec<f64> = bytes[44..]
        .chunks_exact(2)
        .map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]])))
        .collect();
    // 50 ms each: which of the two is it?
    let amplitude = |part: &[f64], hz: f64| {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in part.iter().enumerate() {
            let phase = std::f64::consts::TAU * hz * n as f64 / rate;
            (re, im) = (re + sample * phase.cos(), im + sample * phase.sin());
        }
        2.0 * f64::hypot(re, im) / part.len() as f64
    };
    let (mut count, mut beeping, mut dial) = (0, false, false);
    for part in samples.chunks_exact((rate / 20.0) as usize) {
        let (beep, tone) = (
            amplitude(part, 1400.0) > 200.0,
            amplitude(part, 425.0) > 200.0,
        );
        count += usize::from(beep && !beeping);
        assert!(!(beep && dial), "a beep in the middle of the dial tone");
        (beeping, dial) = (beep, dial || tone);
    }
    (count, dial)
}

#[test]
fn a_bad_card_is_heard_before_the_dial_tone() {
    let machine = Machine::new("heard");
    let ear = machine.path("run/ear.wav");
    machine.hardware_of("silence", &format!("wav:{}", ear.display()), "");
    // All is well; then the last good one is in use, which is one beep.
    for (card, code) in [
        // Without words, which would be heard over the tone that is looked for.
        ("[phone]\ncountry = \"de\"\nspeech = false\n", 0),
        ("[phone]\nusr = \"bad\"\n", 1),
    ] {
        let _ = fs::remove_file(&ear);
        machine.card(card);
        let mut phone = machine.start();
        phone.ask(r#"{"cmd":"lift"}"#);
        std::thread::sleep(std::time::Duration::from_secs(4));
        phone.ask(r#"{"cmd":"quit"}"#);
        assert_eq!(phone.exit_code(), 0);
        assert_eq!(beeps(&ear), (code, true), "{card}");
    }
}

#[test]
fn the_systems_files_come_from_the_same_decision() {
    let machine = Machine::new("emit");
    machine
        .card("host_name = \"kitchen\"\n[wifi]\nssid = \"Home\"\npassword = \"hunter2hunter2\"\n");
    let emit = machine.path("run/system");
    let run = || {
        machine
            .command(&["provision", "--emit", emit.to_str().unwrap()])
            .output()
            .unwrap()
    };
    let output = run();
    assert!(
        output.status.success() && words(&output).is_empty(),
        "{}",
        words(&output)
    );
    assert_eq!(
        fs::read_to_string(emit.join("hostname")).unwrap(),
        "kitchen\n"
    );
    assert!(
        fs::read_to_string(emit.join("wpa_supplicant.conf"))
            .unwrap()
            .contains("hunter2hunter2")
    );
    assert!(
        !machine.path("state/last-good.toml").exists(),
        "only the phone keeps"
    );
    // What a shell makes of it.
    let sourced = Command::new("sh")
        .args([
            "-c",
            ". ./network.env; printf %s \"$HOST_NAME $INTERFACE $IPV4\"",
        ])
        .current_dir(&emit)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&sourced.stdout),
        "kitchen wlan0 dhcp"
    );
    machine.card("host_nam = \"kitchen\"\n");
    let output = run();
    assert!(
        output.status.success() && words(&output).contains("offhook.toml:9:1: "),
        "{}",
        words(&output)
    );
    assert_eq!(
        fs::read_to_string(emit.join("hostname")).unwrap(),
        "offhook\n"
    );
}

#[test]
fn a_file_on_the_card_makes_the_phone_forget_and_ask_for_a_reboot() {
    let machine = Machine::new("reset");
    machine.card("[[account]]\nuser = \"101\"\ndomain = \"pbx\"\npassword = \"hunter2\"\n");
    fs::write(
        machine.path("state/last-good.toml"),
        "password = \"hunter2\"",
    )
    .unwrap();
    fs::write(machine.path("card/factory-reset.txt"), "").unwrap();
    let output = machine.command(&["run"]).output().unwrap();
    assert_eq!(output.status.code(), Some(11), "{}", words(&output));
    assert!(
        fs::read_dir(machine.path("state"))
            .unwrap()
            .next()
            .is_none()
    );
    let card = fs::read_to_string(machine.path("card/offhook.toml")).unwrap();
    assert!(!card.contains("hunter2") && card.contains("#[[account]]"));
    assert!(!machine.path("card/factory-reset.txt").exists());
}

#[test]
fn the_watchdog_is_fed_while_the_phone_runs_and_disarmed_when_it_quits() {
    let machine = Machine::new("watchdog");
    let device = machine.path("run/dog");
    fs::write(&device, "").unwrap();
    machine.hardware(&format!("[watchdog]\ndevice = \"{}\"\n", device.display()));
    machine.card("");
    let fed = || fs::read(&device).unwrap();
    let mut phone = machine.start();
    until("meals", || fed().len() > 4);
    assert!(fed().iter().all(|byte| *byte == 0));
    phone.ask(r#"{"cmd":"quit"}"#);
    assert_eq!(phone.exit_code(), 0);
    assert_eq!(fed().last(), Some(&b'V'), "the magic close");
    // Killed, it leaves the dog hungry and armed.
    fs::write(&device, "").unwrap();
    let mut phone = machine.start();
    until("meals", || fed().len() > 4);
    phone.child.kill().unwrap();
    phone.child.wait().unwrap();
    assert!(fed().iter().all(|byte| *byte == 0));
}
