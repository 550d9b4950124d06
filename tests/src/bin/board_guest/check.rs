//! `offhook check --try` on the guest's devices: what the card offers, and whether each line is
//! free.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use board::Board;
use serde_json::Value;

use crate::chip::Chip;
use crate::devices::profile;
use crate::phone::binary;

/// Whether all is well, and the findings.
fn tried(file: &Path) -> (bool, Vec<Value>) {
    let mut command = Command::new(binary());
    command.arg("check").arg(file).args(["--try", "--json"]);
    let done = command.output().unwrap();
    let said = String::from_utf8(done.stdout).unwrap();
    println!("{said}");
    let report: Value = serde_json::from_str(&said).unwrap();
    (
        done.status.success(),
        report["findings"].as_array().unwrap().clone(),
    )
}

/// The text of the finding about a device, with this mark.
fn text<'f>(findings: &'f [Value], about: &str, mark: &str) -> &'f str {
    let is_meant = |one: &&Value| one["about"] == about && one["mark"] == mark;
    let found = findings.iter().find(is_meant);
    let found = found.unwrap_or_else(|| panic!("nothing about {about}: {findings:?}"));
    found["text"].as_str().unwrap()
}

pub(crate) fn devices(_chip: &Chip) {
    let dir = Path::new("/tmp/check");
    std::fs::create_dir_all(dir).unwrap();
    let root = std::env::var("OFFHOOK_ROOT").unwrap();
    let file = dir.join("offhook.toml");
    let write = |capture: &str| {
        let text = format!(
            "[control]\nsocket = \"{dir}/ctl.sock\"\nstate_dir = \"{dir}/state\"\n\
             [board]\nprofile = \"gpio-sim\"\nprofile_dir = \"{root}/board/profiles\"\n\
             [board.audio]\ncapture = \"{capture}\"\n",
            dir = dir.display()
        );
        std::fs::write(&file, text).unwrap();
    };
    write("hw:Loopback,0,0");
    let (good, findings) = tried(&file);
    assert!(good, "{findings:?}");
    let card = text(&findings, "sound card", "good");
    assert!(
        card.contains("hw:Loopback,0,0: 48000 Hz, periods of 10.0 ms; microphone offers "),
        "{card}"
    );
    // Rates and channels of both directions, as snd-aloop has them.
    let offers = card.split("offers ").nth(1).unwrap();
    for offer in offers.split("; earpiece ") {
        assert!(offer.starts_with("8000 Hz, 16000 Hz") || offer.starts_with("8000, 16000, "));
        assert!(offer.ends_with(" channels"), "{offer}");
    }
    let lines = text(&findings, "board", "good");
    assert!(lines.contains("every line of its profile is there and free"));
    // Another program has the lines: each is named, and who holds it.
    let held = Board::open(&profile(), Instant::now()).unwrap();
    let (good, findings) = tried(&file);
    assert!(!good, "{findings:?}");
    let line = text(&findings, "board", "fault");
    assert!(
        line.contains("GPIO line 0 of chip `offhook-test`: is held by"),
        "{line}"
    );
    drop(held);
    // A card that is not there.
    write("hw:NoSuchCard");
    let (good, findings) = tried(&file);
    let card = text(&findings, "sound card", "fault");
    assert!(!good && card.contains("hw:NoSuchCard"), "{card}");
}
