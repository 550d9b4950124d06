//! What `hardware.toml` may say, and the errors when it says something else.

use std::path::Path;

use testkit::process::TestDir;

use super::*;
use crate::input_device::KeyMapping;

fn error(text: &str) -> String {
    Profile::parse(Path::new("hardware.toml"), text)
        .unwrap_err()
        .to_string()
}

#[test]
fn every_shipped_profile_is_valid() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
    let mut count = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let profile = Profile::load(&dir, &name).unwrap_or_else(|e| panic!("{e}"));
        assert!(!profile.name.is_empty());
        assert!(
            profile.hook.is_some() || name == "sim" || name == "virt",
            "{name} has no hook switch"
        );
        count += 1;
    }
    assert!(count >= 5, "only {count} profiles");
}

/// A computer that checks a phone's configuration has no folder of profiles.
#[test]
fn every_board_is_known_without_its_folder() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
    let mut shipped = Profile::known(&dir);
    // For tests only.
    shipped.retain(|name| name != "gpio-sim");
    let nowhere = Path::new("/nowhere");
    assert_eq!(Profile::known(nowhere), shipped);
    for name in shipped {
        let built_in = Profile::load(nowhere, &name).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(built_in.name, Profile::load(&dir, &name).unwrap().name);
    }
}

#[test]
fn a_computer_is_no_raspberry_pi() {
    let elsewhere = Profile::is_of_another_machine;
    assert!(elsewhere("rpi4", None) && elsewhere("rpi3", Some("linux,dummy-virt")));
    assert!(!elsewhere("rpi4", Some("Raspberry Pi 4 Model B Rev 1.4")));
    // No one but its owner knows where that is.
    assert!(!elsewhere("rpi-of-mine", None) && !elsewhere("sim", None));
}

/// What lamps show is seen on every board: a line for each that has a pattern of its own.
#[test]
fn every_shipped_profile_has_a_line_for_each_lamp() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
    for name in ["rpi-zero2w", "rpi3", "rpi4", "virt", "gpio-sim"] {
        let profile = Profile::load(&dir, name).unwrap_or_else(|e| panic!("{e}"));
        let wired: Vec<&str> = profile
            .lamps
            .wired()
            .map(|(lamp, _)| lamp.as_str())
            .collect();
        for lamp in ["line", "in_use", "message", "encrypted", "muted"] {
            assert!(wired.contains(&lamp), "{name} has no lamp `{lamp}`");
        }
    }
}

/// What a person copies out of the page about sound cards is read as it stands.
#[test]
fn tables_in_the_sound_card_page_are_valid() {
    let page = include_str!("../../../docs/hardware/sound-cards.md");
    let tables: Vec<&str> = page
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        // Others are of offhook.toml; the tests of the pages load them.
        .filter(|table| table.starts_with("name = "))
        .collect();
    assert!(tables.len() >= 2);
    for table in tables {
        let profile =
            Profile::parse(Path::new("sound-cards.md"), table).unwrap_or_else(|e| panic!("{e}"));
        assert!(profile.audio.capture.contains("CARD=") && !profile.audio.mixer.is_empty());
        for setting in &profile.audio.mixer {
            let said =
                setting.volume.is_some() || setting.switch.is_some() || setting.choice.is_some();
            assert!(said, "{} sets nothing", setting.control);
        }
    }
}

#[test]
fn the_simulated_board_needs_no_folder() {
    let profile = Profile::load(Path::new("/nowhere"), "sim").unwrap();
    assert_eq!(
        (profile.audio.capture.as_str(), profile.hook),
        ("silence", None)
    );
}

#[test]
fn an_unknown_board_names_the_known_ones() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
    let text = Profile::load(&dir, "rpi5").unwrap_err().to_string();
    assert!(
        text.contains("no board profile `rpi5`") && text.contains("rpi4, sim, virt"),
        "{text}"
    );
}

#[test]
fn input_devices_have_names_and_key_maps() {
    let text = "name = \"x\"\n[input]\ndevices = [\"USB Keypad\"]\n\
                map = { KEY_KPDOT = \"F\", KEY_PHONE = \"hook\" }\n";
    let input = Profile::parse(Path::new("hardware.toml"), text)
        .unwrap()
        .input
        .unwrap();
    assert!(input.grab);
    let mut mappings = input.mappings();
    mappings.sort_by_key(|(code, _)| *code);
    assert_eq!(
        mappings,
        [
            (evdev::KeyCode::KEY_KPDOT, KeyMapping::Flash),
            (evdev::KeyCode::KEY_PHONE, KeyMapping::Hook)
        ]
    );
    for (map, want) in [
        (
            "KEY_KPDOTT = \"F\"",
            "hardware.toml:4:9: `KEY_KPDOTT` is no key code of Linux; ",
        ),
        (
            "KEY_KPDOT = \"Z\"",
            "hardware.toml:4:21: `Z` is nothing a telephone has; 0-9, *, #",
        ),
    ] {
        let text = error(&format!(
            "name = \"x\"\n[input]\ndevices = [\"USB Keypad\"]\nmap = {{ {map} }}\n"
        ));
        assert!(text.starts_with(want), "{text}");
    }
}

#[test]
fn errors_name_position_and_help() {
    let keypad = "name = \"x\"\n[keypad]\nrows = [1, 2]\ncolumns = [3, 4]\n";
    for (text, want) in [
        (
            "name = \"x\"\n[hook]\nlnie = 4\n",
            "hardware.toml:3:1: unknown field `lnie`; expected one of `line`, `contact`",
        ),
        (
            "name = \"x\"\n[hook]\nline = true\n",
            "hardware.toml:3:8: invalid type: boolean `true`; expected a line number (17) or",
        ),
        (
            "name = \"x\"\n[hook]\nline = -1\n",
            "hardware.toml:3:8: invalid value: integer `-1`; expected a line number",
        ),
        (
            "name = \"x\"\n[hook]\nline = 1\ncontact = \"nc\"\n",
            "hardware.toml:4:11: unknown variant `nc`; expected `normally-open` or",
        ),
        (
            "name = \"x\"\n[hook]\n",
            "hardware.toml:2:1: missing field `line`; board/README.md",
        ),
        ("name = \"x\n", "hardware.toml:1:"),
        (
            &format!("{keypad}keys = [\"12\"]\n"),
            "hardware.toml:5:8: `keys` has 1 strings for 2 rows; one string a row",
        ),
        (
            &format!("{keypad}keys = [\"12\", \"345\"]\n"),
            "hardware.toml:5:8: `keys` row \"345\" has 3 keys for 2 columns; one",
        ),
        (
            &format!("{keypad}keys = [\"12\", \"3x\"]\n"),
            "hardware.toml:5:8: `x` is no telephone key; keys are",
        ),
        (
            "name = \"x\"\n[hook]\nline = 4\n[flash]\nline = 4\n",
            "hardware.toml:5:8: line 4 of [flash] is used by [hook] already; each",
        ),
        (
            "name = \"x\"\n[ringer]\nkind = \"bell\"\nlines = [4]\n",
            "hardware.toml:4:10: 1 ringer lines; a bell has two",
        ),
        (
            "name = \"x\"\n[audio]\nperiod_ms = 500\n",
            "hardware.toml: [audio] period_ms = 500; it is 2 to 20",
        ),
    ] {
        let got = error(text);
        assert!(got.starts_with(want), "{text}\n{got}");
    }
}

const USABLE: &str = r#"name = "x"
[audio]
capture = "hw:0"
playback = "hw:0"
[gpio]
chip = "chip"
[hook]
line = 1
[lamps]
line = 2
"#;

fn usable(text: &str) -> (Profile, Vec<String>) {
    let folder = TestDir::new(&format!("usable-{:?}", std::thread::current().id()));
    std::fs::create_dir_all(folder.join("b")).unwrap();
    std::fs::write(folder.join("b/hardware.toml"), text).unwrap();
    let (profile, errors) = Profile::load_usable(&folder, "b");
    (profile, errors.iter().map(ToString::to_string).collect())
}

#[test]
fn a_mistake_costs_its_section_only() {
    assert_eq!(usable(USABLE).1, [""; 0]);
    for (good, bad, table) in [
        ("line = 2", "lien = 2", ":10:1"),
        ("line = 2", "line = = 2", ":10:"),
        ("line = 2", "line = 1", ":10:"),
        ("[lamps]", "[lamps", ":9:"),
        ("[lamps]", "[lampen]", ":9:"),
    ] {
        let (profile, errors) = usable(&USABLE.replace(good, bad));
        assert!(errors[0].contains(table), "{bad}: {errors:?}");
        assert_eq!(profile.lamps, Lamps::default(), "{bad}");
        assert!(profile.hook.is_some(), "{bad}: {errors:?}");
        assert_eq!(profile.audio.capture, "hw:0", "{bad}");
    }
}

#[test]
fn a_mistake_in_the_sound_card_leaves_the_first_card() {
    let (profile, errors) = usable(&USABLE.replace("[audio]", "[audio]\nrate_hz = 1"));
    assert!(errors[0].contains("rate_hz"), "{errors:?}");
    assert!(profile.hook.is_some());
    assert_eq!(profile.audio.capture, "default");
}

#[test]
fn lines_of_an_unknown_chip_are_not_driven() {
    let (profile, errors) = usable(&USABLE.replace("chip = \"chip\"", "chip = 7"));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!((profile.hook, profile.lamps), (None, Lamps::default()));
    assert_eq!(profile.audio.capture, "hw:0");
}

#[test]
fn what_is_no_profile_at_all_leaves_a_phone_with_a_card() {
    for text in [
        "",
        "\0\0\0",
        "[[[[",
        "x = [1,",
        "name = 1",
        "name = \"\"\"\n",
    ] {
        let (profile, errors) = usable(text);
        assert!(!errors.is_empty(), "{text:?}");
        assert_eq!(profile.audio.capture, "default", "{text:?}");
    }
    let (profile, errors) = Profile::load_usable(Path::new("/nowhere"), "none");
    assert_eq!(
        (profile.audio.capture.as_str(), errors.len()),
        ("default", 1)
    );
    for length in 0..USABLE.len() {
        usable(&USABLE[..length]);
    }
}

#[test]
fn another_ringer_takes_the_lines_there_are() {
    let text = "name = \"x\"\n[ringer]\nkind = \"bell\"\nlines = [1, 2]\n";
    let bell = || Profile::parse(Path::new("hardware.toml"), text).unwrap();
    let lines = |profile: &Profile| profile.ringer.as_ref().map(|r| (r.kind, r.lines.len()));
    let mut profile = bell();
    profile.set_ringer(Some(RingerKind::Buzzer)).unwrap();
    assert_eq!(lines(&profile), Some((RingerKind::Buzzer, 1)));
    assert_eq!(
        profile.set_ringer(Some(RingerKind::Bell)),
        Err(RingerError::OneLine)
    );
    profile.set_ringer(None).unwrap();
    assert_eq!(lines(&profile), None);
    assert_eq!(
        profile.set_ringer(Some(RingerKind::Bell)),
        Err(RingerError::NoLines)
    );
}
