//! What a person sees who mistyped something; and that nothing at all makes the loader stumble.

mod layers;
mod mistakes;

use proptest::prelude::*;
use types::{Codec, EncryptionPolicy, Transport};

use super::*;
use crate::schema::Flash;

/// Every error of a text, one a line.
fn errors(text: &str) -> String {
    load(text, "f").expect_err(text).to_string()
}

#[test]
fn a_whole_file_fills_the_configuration() {
    let config = load(
        r#"
[network]
bind = "127.0.0.1"
sip_port = 5062
rtp_ports = [20000, 20099]
[control]
socket = "/tmp/x/ctl.sock"
state_dir = "/tmp/x/state"
[board]
profile = "sim"
[board.audio]
capture = "wav:/tmp/x/mic.wav"
playback = "wav:/tmp/x/ear.wav"
[[account]]
user = "101"
domain = "127.0.0.1:5070"
password = "secret"
[[account]]
user = "102"
domain = "[::1]"
transport = "tcp"
name = "second"
[dial.speed]
2 = "0301234567"
1 = "sip:echo@127.0.0.1:5072"
[dial]
hotline = "1"
[codecs]
order = ["pcmu", "opus"]
[call]
auto_answer = 250
flash = "key"
"#,
        "f",
    )
    .unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.network.bind.to_string(), "127.0.0.1");
    assert_eq!(
        (config.network.sip_port, config.network.rtp_ports),
        (5062, (20000, 20099))
    );
    assert_eq!(config.accounts[0].name, "101@127.0.0.1:5070");
    assert_eq!(config.accounts[0].password.0, "secret");
    assert!(config.accounts[0].register && config.accounts[0].transport == Transport::Udp);
    assert_eq!(
        (
            config.accounts[1].name.as_str(),
            config.accounts[1].transport
        ),
        ("second", Transport::Tcp)
    );
    let speed = [("2", "0301234567"), ("1", "sip:echo@127.0.0.1:5072")]
        .map(|(keyed, target)| (keyed.to_owned(), target.to_owned()));
    assert_eq!(config.dial.speed_dial, speed);
    assert_eq!(config.dial.hotline, Some(("1".to_owned(), 0)));
    assert_eq!(config.codecs.order, [Codec::Pcmu, Codec::Opus]);
    assert_eq!(
        (config.call.auto_answer_ms, config.call.flash),
        (Some(250), Flash::Key)
    );
    assert_eq!(
        config.board.audio.capture.as_deref(),
        Some("wav:/tmp/x/mic.wav")
    );
}

#[test]
fn an_empty_file_is_the_default() {
    for text in [
        "",
        "\n",
        "# nothing\n",
        "\u{feff}",
        "[phone]\r\n[network]\r\n",
    ] {
        assert_eq!(load(text, "f").unwrap(), Config::default(), "{text:?}");
    }
    let config = Config::default();
    assert_eq!(
        (
            config.phone.country.as_str(),
            config.network.sip_port,
            config.codecs.ptime_ms
        ),
        ("us", 5060, 20)
    );
    assert_eq!(
        (
            config.call.auto_answer_ms,
            config.call.flash,
            config.call.waiting
        ),
        (None, Flash::Hook, true)
    );
    assert_eq!(
        config.codecs.order,
        [Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma]
    );
}

#[test]
fn old_names_are_read_with_a_warning() {
    let old = "[privacy]\nmode = \"required\"\n[[account]]\nuser = \"a\"\ndomain = \"b\"\n\
               password = \"x\"\nprivacy = \"off\"\n";
    let new = old.replace("privacy", "encryption");
    let config = load(old, "f").unwrap();
    assert_eq!(config, load(&new, "f").unwrap());
    assert_eq!(config.encryption.mode, Some(EncryptionPolicy::Required));
    assert_eq!(config.accounts[0].encryption, Some(EncryptionPolicy::Off));
    let warnings: Vec<String> = warnings(old.as_bytes(), "f")
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        warnings,
        [
            "f:1:2: `[privacy]` is the old name of `[encryption]`; write `[encryption]`: release \
             0.2 no longer reads the old name",
            "f:7:1: `account.privacy` is the old name of `account.encryption`; write \
             `account.encryption`: release 0.2 no longer reads the old name",
        ]
    );
    assert_eq!(super::warnings(new.as_bytes(), "f"), []);
}

#[test]
fn an_empty_password_is_a_password_with_a_warning() {
    let account = "[[account]]\nuser = \"1\"\ndomain = \"p\"\n";
    let warned = |more: &str| {
        let text = format!("{account}{more}");
        load(&text, "f").unwrap();
        let found = warnings(text.as_bytes(), "f");
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let text = "the password of this account is empty; the phone answers with an empty one; write \
                `password = \"…\"` if the provider gave you one";
    assert_eq!(warned(""), [format!("f:1:1: {text}")]);
    assert_eq!(warned("password = \"\"\n"), [format!("f:4:12: {text}")]);
    assert_eq!(warned("password = \"x\"\n"), [""; 0]);
    assert_eq!(warned("register = false\n"), [""; 0]);
}

#[test]
fn old_and_new_name_together_are_an_error() {
    assert_eq!(
        errors("[privacy]\n[encryption]\nmode = \"off\"\n"),
        "f:1:2: `[encryption]` is here under its old name, too; keep `[encryption]` and remove \
         `[privacy]`"
    );
    let account =
        "[[account]]\nuser = \"a\"\ndomain = \"b\"\nprivacy = \"off\"\nencryption = \"off\"\n";
    assert!(errors(account).starts_with("f:4:1: `account.encryption` is here"));
    // What is wrong in a section of the old name is reported under the new one.
    assert!(errors("[privacy]\nmode = \"on\"\n").starts_with("f:2:8: `encryption.mode`: "));
}

/// Each key of the table fills a field: its example gives another configuration than its default.
#[test]
fn every_key_is_effective() {
    for setting in settings() {
        let (_, path, _) = SECTIONS
            .iter()
            .find(|(section, ..)| *section == setting.section)
            .unwrap();
        let with = |line: &str| match (setting.section, setting.name) {
            (Section::Account, "user") => format!("[[account]]\n{line}\ndomain = \"d\"\n"),
            (Section::Account, "domain") => format!("[[account]]\n{line}\nuser = \"u\"\n"),
            (Section::Account, name) if name.starts_with("turn_") && !line.is_empty() => {
                format!("[[account]]\nuser = \"u\"\ndomain = \"d\"\nturn = \"t\"\n{line}\n")
            }
            (Section::Network, name) if name.starts_with("turn_") && !line.is_empty() => {
                format!("[network]\nturn = \"t\"\n{line}\n")
            }
            (Section::Account, _) => format!("[[account]]\nuser = \"u\"\ndomain = \"d\"\n{line}\n"),
            (Section::TlsPin, name) => {
                let others = [
                    "name = \"n\"",
                    "address = \"a\"",
                    &format!("fingerprint = \"{}\"", "00".repeat(32)),
                ]
                .into_iter()
                .filter(|other| !other.starts_with(name))
                .fold(String::new(), |all, other| all + other + "\n");
                format!("[[tls.pin]]\n{others}{line}\n")
            }
            (Section::Tls, "certificate") if !line.is_empty() => {
                format!("[tls]\nkey = \"k\"\n{line}\n")
            }
            (Section::Tls, "key") if !line.is_empty() => {
                format!("[tls]\ncertificate = \"c\"\n{line}\n")
            }
            (Section::Network, "eap") if !line.is_empty() => {
                format!(
                    "[network]\neap_ca = \"c\"\neap_user = \"u\"\neap_password = \"p\"\n{line}\n"
                )
            }
            (Section::Network, "eap_user" | "eap_password" | "eap_ca") if !line.is_empty() => {
                let others = ["eap_ca", "eap_user", "eap_password"]
                    .into_iter()
                    .filter(|name| *name != setting.name)
                    .fold(String::new(), |all, name| all + name + " = \"x\"\n");
                format!("[network]\neap = \"peap\"\n{others}{line}\n")
            }
            (Section::Network, "eap_certificate" | "eap_key") if !line.is_empty() => {
                let other = match setting.name {
                    "eap_key" => "eap_certificate",
                    _ => "eap_key",
                };
                format!("[network]\neap = \"tls\"\neap_ca = \"c\"\n{other} = \"x\"\n{line}\n")
            }
            (_, "hotline_after_ms") => format!("[dial]\nhotline = \"1\"\n{line}\n"),
            (Section::Wifi, "ssid") => format!("[wifi]\npassword = \"12345678\"\n{line}\n"),
            (Section::Wifi, "security") => format!("[wifi]\n{line}\n"),
            (_, _) => format!("[{path}]\n{line}\n"),
        };
        let set = load(
            &with(&format!("{} = {}", setting.name, setting.example)),
            "f",
        )
        .unwrap_or_else(|errors| panic!("{errors}"));
        match setting.when_unset {
            WhenUnset::Default(default) => {
                assert!(
                    default_value(setting.kind, default).is_some(),
                    "the default of {path}.{} is not valid",
                    setting.name
                );
                let unset = load(&with(""), "f").unwrap();
                assert_ne!(set, unset, "{path}.{} changes nothing", setting.name);
                assert_eq!(
                    load(&with(&format!("{} = {default}", setting.name)), "f").unwrap(),
                    unset,
                    "{path}.{}: the default",
                    setting.name
                );
            }
            WhenUnset::Means(_) => assert_ne!(
                set,
                load(&with(""), "f").unwrap(),
                "{path}.{} changes nothing",
                setting.name
            ),
            WhenUnset::Required => {
                let whose = if setting.section == Section::TlsPin {
                    "pin"
                } else {
                    "account"
                };
                assert!(
                    errors(&with("")).contains(&format!("this {whose} has no `{}`", setting.name))
                );
            }
        }
    }
}

#[test]
fn secrets_are_in_no_error_and_no_debug() {
    let text = "[[account]]\nuser = \"1\"\ndomain = \"p\"\npassword = \"hunter2\"\n";
    assert!(!format!("{:?}", load(text, "f").unwrap()).contains("hunter2"));
    let long = "hunter2".repeat(30);
    for value in [
        format!("\"{long}\""),
        "[\"hunter2\"]".to_owned(),
        "\"hunter2\\u0007\"".to_owned(),
        "\"hunter2".to_owned(),
        "hunter2".to_owned(),
    ] {
        let reported = errors(&text.replace("\"hunter2\"", &value));
        assert!(!reported.contains("hunter2"), "{reported}");
    }
    assert!(!errors(&text.replace("password", "pasword")).contains("hunter2"));
}

#[test]
fn hostile_texts_end_soon_with_few_errors() {
    let many = |line: fn(usize) -> String| (0..10_000).map(line).collect::<String>();
    for text in [
        format!("a = {}", "[".repeat(100_000)),
        format!("{}a = 1", "a.".repeat(100_000)),
        format!("[phone]\nname = {}", "=".repeat(100_000)),
        format!("[phone]\n{}", many(|n| format!("k{n} = 1\n"))),
        many(|n| format!("[s{n}]\n")),
        many(|_| "[phone]\n".to_owned()),
        many(|_| "[[account]]\n".to_owned()),
        format!("[dial.speed]\n{}", many(|n| format!("{n} = \"1\"\n"))),
        format!("[dial]\nemergency = [{}]", "\"1\",".repeat(50_000)),
        format!("[codecs]\norder = [{}]", "\"x\",".repeat(50_000)),
        format!("[phone]\nname = \"{}\"", "x".repeat(200_000)),
        format!("[phone]\n{} = 1", "x".repeat(200_000)),
    ] {
        let errors = load(&text, "f").unwrap_err();
        assert!(
            errors.0.len() <= MAX_ERRORS && errors.to_string().len() < 60_000,
            "{}",
            text.len()
        );
        assert!(
            errors
                .0
                .iter()
                .all(|error| !error.what.is_empty() && !error.help.is_empty())
        );
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = load_bytes(&bytes, "f");
    }

    /// The example with some of it cut, doubled or replaced: errors lie inside the text and always
    /// say something.
    #[test]
    fn a_damaged_example_is_reported_with_its_place(
        cuts in prop::collection::vec(
            (0usize..9000, 0usize..40, "[\\[\\]=\"'#{},.\n a-z0-9]{0,6}"), 1..5)) {
        let mut text: String = crate::example().lines()
            .map(|line| {
                let setting = line.strip_prefix('#').filter(|rest| !rest.starts_with(' '));
                setting.unwrap_or(line).to_owned() + "\n"
            })
            .collect();
        for (at, length, other) in cuts {
            let floor = |mut at: usize| { while !text.is_char_boundary(at) { at -= 1; } at };
            let (from, to) = (floor(at.min(text.len())), floor((at + length).min(text.len())));
            text.replace_range(from..to, &other);
        }
        if let Err(errors) = load(&text, "f") {
            prop_assert!(!errors.0.is_empty());
            let lines: Vec<&str> = text.split('\n').collect();
            for error in errors.0 {
                prop_assert!((1..=lines.len()).contains(&error.line), "{}", error);
                prop_assert!(error.column >= 1
                    && error.column <= lines[error.line - 1].chars().count() + 1, "{}", error);
                prop_assert!(!error.what.is_empty() && !error.help.is_empty());
            }
        }
    }
}
