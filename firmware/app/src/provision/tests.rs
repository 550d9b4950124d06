use std::fs;

use testkit::process::TestDir;

use super::*;
use crate::storage::{Disk, Files as _};

#[test]
fn the_update_url_has_the_boards_name() {
    let text =
        "[board]\nprofile = \"rpi3\"\n[update]\nurl = \"https://u.example.net/{board}.raucb\"\n";
    let config = config::load_bytes(text.as_bytes(), "x").unwrap();
    let url = update_url(&config);
    assert_eq!(url.as_deref(), Some("https://u.example.net/rpi3.raucb"));
    assert_eq!(update_url(&Config::default()), None);
}

/// A card, a state directory and a profile directory of one test.
struct Layers(TestDir);

impl Layers {
    fn new(name: &str) -> Self {
        let folder = TestDir::new(&format!("provision-{name}"));
        for part in ["card", "state", "profiles/box"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        Self(folder)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.0.join(path), text).unwrap();
    }

    fn card(&self, text: &str) {
        let head = format!(
            "[control]\nstate_dir = \"{0}/state\"\n[board]\nprofile_dir = \"{0}/profiles\"\n",
            self.0.display()
        );
        self.write("card/offhook.toml", &format!("{head}{text}"));
    }

    fn load(&self) -> Provisioned {
        let paths = ConfigPaths {
            card: Some(self.0.join("card")),
            board: Some("box".to_owned()),
            config: None,
        };
        let provisioned = load(&paths, true).unwrap();
        if let Some(text) = &provisioned.keep {
            let kept = self.0.join("state").join(LAST_GOOD);
            Disk.write_atomic(&kept, text.0.as_bytes()).unwrap();
        }
        provisioned
    }
}

#[test]
fn every_layer_is_found() {
    let paths = Layers::new("layers");
    paths.write(
        "profiles/box/offhook.toml",
        "[phone]\nname = \"Board\"\nuser = \"board\"\ncountry = \"fr\"\n",
    );
    paths.write(
        "state/network.toml",
        "[phone]\nname = \"Net\"\nuser = \"net\"\n",
    );
    paths.card("[phone]\nname = \"Card\"\n");
    let provisioned = paths.load();
    let phone = &provisioned.config.phone;
    assert_eq!(
        (
            phone.name.as_str(),
            phone.user.as_str(),
            phone.country.as_str()
        ),
        ("Card", "net", "fr")
    );
    assert!(
        provisioned.network && provisioned.note().is_none() && provisioned.config_fault().is_none()
    );
    assert_eq!(provisioned.config.board.profile, "box");
}

#[test]
fn a_good_card_is_to_be_kept_when_it_is_new() {
    let paths = Layers::new("kept");
    paths.card("[phone]\nuser = \"good\"\n");
    let card = fs::read_to_string(paths.0.join("card/offhook.toml")).unwrap();
    let keep = |provisioned: Provisioned| provisioned.keep.map(|text| text.0);
    assert_eq!(keep(paths.load()), Some(card), "it is new");
    assert_eq!(keep(paths.load()), None, "it is kept already");
    paths.card("[phone]\nusr = \"bad\"\n");
    assert_eq!(keep(paths.load()), None, "it is bad");
}

#[test]
fn a_bad_card_is_named_as_a_person_knows_it() {
    let paths = Layers::new("bad");
    paths.card("[phone]\nuser = \"good\"\n");
    assert_eq!(paths.load().config.phone.user, "good");
    paths.card("[phone]\nusr = \"bad\"\n");
    let provisioned = paths.load();
    assert_eq!(
        (
            provisioned.config.phone.user.as_str(),
            provisioned.config_fault()
        ),
        ("good", Some(1))
    );
    let note = provisioned.note().unwrap();
    assert!(
        note.contains("\noffhook.toml:6:1: ") && note.contains("did you mean `user`?"),
        "{note}"
    );
}

#[test]
fn who_logs_in_is_taken_from_the_card_alone() {
    let paths = Layers::new("keys");
    let key = "[system]\nssh_keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJz2b6Y9 anna\"]\n";
    paths.card(&format!("{key}[phone]\nuser = \"anna\"\n"));
    assert_eq!(paths.load().config.system.ssh_keys.len(), 1);
    paths.card("[phone]\nusr = \"bad\"\n");
    let provisioned = paths.load();
    assert_eq!(provisioned.source, Source::LastGood);
    assert_eq!(provisioned.config.phone.user, "anna");
    assert!(provisioned.config.system.ssh_keys.is_empty());
    let note = provisioned.note().unwrap();
    assert!(note.contains("SSH keys count on the card alone"), "{note}");
}

#[test]
fn the_network_may_not_say_where_files_lie_or_who_logs_in() {
    let paths = Layers::new("remote");
    paths.card("");
    for text in [
        "[control]\nstate_dir = \"/etc\"\n",
        "[board.audio]\nplayback = \"wav:/etc/passwd\"\n",
        "[system]\nssh_keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJz2b6Y9 mallory\"]\n",
        "[provision]\nallow_http = true\n",
    ] {
        paths.write("state/network.toml", text);
        let provisioned = paths.load();
        assert_eq!(
            (provisioned.network, provisioned.config_fault()),
            (false, Some(3)),
            "{text}"
        );
        assert!(
            provisioned
                .note()
                .unwrap()
                .contains("only allowed on the card"),
            "{text}"
        );
    }
}

#[test]
fn a_fetched_text_is_judged_with_what_the_card_says() {
    let paths = Layers::new("fits");
    paths.card("[network]\nsip_port = 5060\n");
    let named = ConfigPaths {
        card: Some(paths.0.join("card")),
        board: None,
        config: None,
    };
    assert!(evaluate(&named, b"[phone]\nname = \"Net\"\n").is_ok());
    assert!(evaluate(&named, b"[network]\nrtp_ports = [5000, 5099]\n").is_err());
    assert!(evaluate(&named, b"[phone]\nnam").is_err());
}
