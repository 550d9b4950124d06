//! What a person sees who mistyped something; and that nothing at all makes the loader stumble.

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

/// Wrong values of every kind: where, what, and the help.
#[test]
fn each_mistake_is_reported_with_span_and_help() {
    for (text, expected) in [
        (
            "[phone]\ncuontry = \"de\"",
            "f:2:1: there is no key `cuontry` in `phone`; did you mean `country`?",
        ),
        (
            "[network]\nturn_user = \"u\"",
            "f:2:13: there is a transport, user or password of a TURN server, but no `turn`; \
             add `turn = \"HOST\"` or remove this line",
        ),
        (
            "[[account]]\nuser = \"u\"\ndomain = \"d\"\nturn_password = \"p\"",
            "f:1:1: there is a transport, user or password of a TURN server, but no `turn`; \
             add `turn = \"HOST\"` or remove this line",
        ),
        (
            "[phone]\nbind = \"::\"",
            "f:2:1: there is no key `bind` in `phone`; did you mean `bind` under `[network]`?",
        ),
        (
            "[network]\naddress = \"192.168.1.20/24\"\ngateway = \"192.168.2.1\"",
            "f:3:11: `network.gateway` is not in the network of `network.address`; write the \
             router's address in that network, or correct the prefix length",
        ),
        (
            "[wifi]\nssid = \"Home\"",
            "f:2:8: the Wi-Fi network has no password; add `password = \"…\"`, or `security = \
             \"open\"` if the network has none",
        ),
        (
            "[wifi]\nssid = \"Home\"\npassword = \"hunter2\"",
            "f:3:12: `wifi.password`: the password has 7 characters; write 8 to 63 characters, or \
             a key of 64 hexadecimal digits, in quotes",
        ),
        (
            "[provision]\nurl = \"http://10.0.0.1/{mac}\"",
            "f:2:7: `provision.url` is not encrypted: anyone on the path can read the passwords \
             and configure the phone; write `https://`, or add `allow_http = true` under \
             `[provision]`",
        ),
        (
            "[system]\ntime_zone = \"Europe/Berln\"",
            "f:2:13: `system.time_zone`: there is no time zone `Europe/Berln`; did you mean \
             \"Europe/Berlin\"?",
        ),
        (
            "[system]\nntp = [\"a\", 7]",
            "f:2:13: `system.ntp`: this is a whole number, not a host; write a name or address in \
             quotes, like \"time.example.net\" or \"[2001:db8::1]\"",
        ),
        (
            "country = \"de\"",
            "f:1:1: `country` is outside of every section; did you mean `country` under `[phone]`?",
        ),
        (
            "[netwrok]",
            "f:1:2: there is no section `netwrok`; did you mean `[network]`?",
        ),
        (
            "[acount]",
            "f:1:2: there is no section `acount`; did you mean `[[account]]`?",
        ),
        (
            "[account]",
            "f:1:2: an account is one of a list; write `[[account]]` with two brackets",
        ),
        (
            "account = 1",
            "f:1:1: an account is a section, not a value; write `[[account]]` on a line of its own",
        ),
        (
            "[[phone]]",
            "f:1:3: `phone` is a section, not a value or a list; write `[phone]` on a line of its \
             own",
        ),
        (
            "[phone]\ncountry = \"germany\"",
            "f:2:11: `phone.country`: there is no country plan `germany`; did you mean \"de\" \
             (Germany)?",
        ),
        (
            "[phone]\nlog = \"loud\"",
            "f:2:7: `phone.log`: `loud` is not a log level; write `error`, `warn`,",
        ),
        (
            "[phone]\nname = \"\"",
            "f:2:8: `phone.name`: the text is empty; write 1 to 64 characters",
        ),
        (
            "[phone]\nname = \"a\\nb\"",
            "f:2:8: `phone.name`: there is a control character in the text; write one line",
        ),
        (
            "[phone]\nuser = 101",
            "f:2:8: `phone.user`: this is a whole number, not a SIP user name; write the part \
             before the `@`",
        ),
        (
            "[network]\nbind = \"10.0.0\"",
            "f:2:8: `network.bind`: `10.0.0` is not an IP address; write an IPv4 or IPv6 address \
             in quotes",
        ),
        (
            "[network]\nsip_port = 65536",
            "f:2:12: `network.sip_port`: `65536` is out of range; write a whole number from 1 to \
             65535",
        ),
        (
            "[network]\nsip_port = 99999999999999999999",
            "f:2:12: `network.sip_port`: `99999999999999999999` is out of range",
        ),
        (
            "[network]\nsip_port = \"5060\"",
            "f:2:12: `network.sip_port`: this is text, not a whole number",
        ),
        (
            "[network]\nrtp_ports = [20001, 20099]",
            "f:2:13: `network.rtp_ports`: the first port 20001 is odd",
        ),
        (
            "[network]\nrtp_ports = [20000, 20098]",
            "f:2:13: `network.rtp_ports`: the last port 20098 is even",
        ),
        (
            "[network]\nrtp_ports = [20100, 20099]",
            "f:2:13: `network.rtp_ports`: the first port 20100 is above the last 20099",
        ),
        (
            "[network]\nrtp_ports = [20000, 20003]",
            "f:2:13: `network.rtp_ports`: 4 ports are too few",
        ),
        (
            "[network]\nrtp_ports = [80, 20003]",
            "f:2:13: `network.rtp_ports`: a port is out of range",
        ),
        (
            "[network]\nrtp_ports = [20000]",
            "f:2:13: `network.rtp_ports`: this is a list, not a pair of ports",
        ),
        (
            "[network]\nsip_port = 20010",
            "f:2:12: `network.sip_port` 20010 is inside `network.rtp_ports` [20000, 20099]",
        ),
        (
            "[[account]]\nuser = \"1\"",
            "f:1:1: this account has no `domain`; add a line like `domain = \"pbx.example.net\"`",
        ),
        (
            "[[account]]\nuser = \"1\"\ndomain = \"p:0\"",
            "f:3:10: `account.domain`: `p:0` is not a host: the port is not a number",
        ),
        (
            "[[account]]\nuser = \"1\"\ndomain = \"p\"\nexpires_s = 10",
            "f:4:13: `account.expires_s`: `10` is out of range",
        ),
        (
            "[[account]]\nuser = \"1\"\ndomain = \"p\"\ntransport = \"tpc\"",
            "f:4:13: `account.transport`: `tpc` is not one of the words allowed; did you mean \
             `tcp`?",
        ),
        (
            "[[account]]\nuser = \"1\"\ndomain = \"p\"\n[[account]]\nuser = \"1\"\ndomain = \"p\"",
            "f:4:1: two accounts are named `1@p`; give each its own `name`",
        ),
        (
            "[dial]\ndigit_map = \"1|[9-1]\"",
            "f:2:13: `dial.digit_map`: the digit map is wrong at character 6; a range goes from",
        ),
        (
            "[dial]\nshort_timer_ms = 11000",
            "f:2:18: `dial.short_timer_ms` 11000 is longer than `dial.long_timer_ms` 10000; make \
             the short timer",
        ),
        (
            "[dial]\nlong_timer_ms = 1.5",
            "f:2:17: `dial.long_timer_ms`: this is a fraction, not a whole number",
        ),
        (
            "[dial]\nemergency = [\"1x\"]",
            "f:2:14: `dial.emergency`: `1x` cannot be dialled with the keys 0-9, * and #",
        ),
        (
            "[dial]\nemergency = [\"91\"]",
            "f:2:13: the emergency number `911` can never be reached: `91` is sent before it is \
             complete",
        ),
        (
            "[dial]\nemergency_route = \"112\"",
            "f:2:19: `dial.emergency_route`: `112` is not a SIP address: a SIP address begins with \
             `sip:`",
        ),
        (
            "[dial]\nhotline_after_ms = 1",
            "f:2:20: `dial.hotline_after_ms` is set, but there is no `dial.hotline`",
        ),
        (
            "[dial.speed]\nx = \"1\"",
            "f:2:1: `dial.speed`: `x` cannot be dialled with the keys 0-9, * and #; write keys 0-9",
        ),
        (
            "[dial.speed]\n1 = \"a b\"",
            "f:2:5: `dial.speed`: `a b` is neither a number nor a SIP address",
        ),
        (
            "[call]\nauto_answer = \"yes\"",
            "f:2:15: `call.auto_answer`: this is text, not true, false or milliseconds; write \
             `false`, `true` (at once)",
        ),
        (
            "[call]\nauto_answer_ms = 5",
            "f:2:1: there is no key `auto_answer_ms` in `call`; did you mean `auto_answer`?",
        ),
        (
            "[call]\nflash = \"hok\"",
            "f:2:9: `call.flash`: `hok` is not one of the words allowed; did you mean `hook`?",
        ),
        (
            "[codecs]\norder = [\"opsu\"]",
            "f:2:10: `codecs.order`: `opsu` is not known; did you mean \"opus\"?",
        ),
        (
            "[codecs]\norder = []",
            "f:2:9: `codecs.order`: the list is empty",
        ),
        (
            "[codecs]\nptime_ms = 25",
            "f:2:12: `codecs.ptime_ms`: 25 is not one of the values allowed; write one of 10, 20, \
             30, 40, 60",
        ),
        (
            "[board.audio]\ncapture = \"null\"",
            "f:2:11: `board.audio.capture`: `null` is for playback only; a silent microphone is \
             `silence`",
        ),
        (
            "[board.audio]\nplayback = \"wav:\"",
            "f:2:12: `board.audio.playback`: after `wav:` the file is missing",
        ),
        (
            "[board]\nprofile = \"../x\"",
            "f:2:11: `board.profile`: `../x` is not the name of a directory; write a name of \
             letters",
        ),
        (
            "[[account]]\nuser = \"1\"\ndomain = \"sip:p\"",
            "f:3:10: `account.domain`: `sip:p` is not a host: a host is written without `sip:`",
        ),
        (
            "[board]\naudio = 3",
            "f:2:1: `board.audio` is a section, not a value",
        ),
        (
            "[control]\nsocket = \"\"",
            "f:2:10: `control.socket`: the path is empty",
        ),
        (
            "[phone]\r\nname = \"ü\" x",
            "f:2:12: unexpected key or value; begin a new line here",
        ),
        (
            "[phone]\nname = x",
            "f:2:8: string values must be quoted; write the value in quotes",
        ),
        (
            "[phone]\nname = “x”",
            "f:2:8: string values must be quoted; write plain quotation marks: \"text\"",
        ),
        (
            "[phone]\nname = \"x",
            "f:2:10: invalid basic string; close the text with `\"`",
        ),
        (
            "[phone]\nname = \"x\"\nname = \"y\"",
            "f:3:1: duplicate key; keep one of them",
        ),
        ("[phone\n", "f:1:7: unclosed table; write `]` here"),
    ] {
        let reported = errors(text);
        assert!(
            reported.starts_with(expected),
            "{text}\n reported {reported}\n expected {expected}"
        );
        assert_eq!(reported.lines().count(), 1, "{reported}");
    }
}

#[test]
fn all_errors_are_reported_in_text_order() {
    let text = "[control]\nsocket = 1\n[phone]\nname = \n[network]\nsip_prot = 1\nbind = \"x\"\n\
                [[account]]\n[codecs]\nptime_ms = 21\norder = [\"x\", \"y\"]\n";
    let errors = load(text, "f").unwrap_err();
    let positions: Vec<_> = errors
        .0
        .iter()
        .map(|error| (error.line, error.column))
        .collect();
    // (The account's missing keys are not judged while the text itself is broken.)
    assert_eq!(
        positions,
        [
            (2, 10),
            (4, 8),
            (6, 1),
            (7, 8),
            (10, 12),
            (11, 10),
            (11, 15)
        ],
        "{errors}"
    );
}

#[test]
fn what_is_no_configuration_is_one_clear_error() {
    let one = |bytes: &[u8]| {
        let errors = load_bytes(bytes, "f").unwrap_err();
        assert_eq!(errors.0.len(), 1, "{errors}");
        errors.to_string()
    };
    assert!(one(&vec![b'#'; MAX_BYTES + 1]).starts_with("f:1:1: the file has 262145 bytes"));
    assert!(one(b"[phone]\nname = \"\0\"").starts_with("f:2:9: there is a zero byte"));
    assert!(one(b"[phone]\nname = \"\xff\"").starts_with("f:2:9: this character is not UTF-8"));
    assert!(one(b"\xff\xfe[\0p\0").starts_with("f:1:1: the file is UTF-16 text"));
    // Without its mark, in either order.
    for utf16 in [&b"[\0p\0h\0"[..], b"\0[\0p\0h"] {
        assert!(one(utf16).starts_with("f:1:1: the file is UTF-16 text; save it as UTF-8"));
    }
    assert!(one(b"\x7fELF\x02\x01\x01\0\0\0").contains("this is not a text file"));
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

fn from_network(text: &str) -> Result<Config, Errors> {
    load_layers(&[Layer {
        name: "network",
        bytes: text.as_bytes(),
        remote: true,
    }])
}

#[test]
fn the_network_may_not_set_local_keys() {
    let (mut refused, mut taken) = (0, 0);
    for setting in settings() {
        let (_, path, _) = SECTIONS
            .iter()
            .find(|(section, ..)| *section == setting.section)
            .unwrap();
        let open = match setting.section {
            Section::Account | Section::TlsPin => format!("[[{path}]]"),
            _ => format!("[{path}]"),
        };
        let errors = from_network(&format!("{open}\n{} = {}\n", setting.name, setting.example))
            .err()
            .map_or(String::new(), |errors| errors.to_string());
        let named = errors.contains(&format!(
            "network:2:1: `{path}.{}` is only allowed on the card; remove it here",
            setting.name
        ));
        assert_eq!(
            named,
            setting.is_local(),
            "{path}.{}: {errors}",
            setting.name
        );
        *(if named { &mut refused } else { &mut taken }) += 1;
    }
    assert!(
        refused > 10 && taken > 50,
        "{refused} refused, {taken} taken"
    );
}

#[test]
fn pins_of_a_layer_replace_those_below_it() {
    let pins = |name: &str| {
        format!(
            "[[tls.pin]]\nname = \"{name}\"\naddress = \"10.0.0.1\"\nfingerprint = \"{}\"\n",
            "ab".repeat(32)
        )
    };
    let (below, above) = (pins("below") + &pins("second"), pins("above"));
    let layer = |bytes| Layer {
        name: "card",
        bytes,
        remote: false,
    };
    let names = |layers: &[Layer<'_>]| {
        let config = load_layers(layers).unwrap();
        config
            .tls
            .pins
            .into_iter()
            .map(|pin| pin.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&[layer(below.as_bytes()), layer(above.as_bytes())]),
        ["above"]
    );
    assert_eq!(
        names(&[layer(below.as_bytes()), layer(b"")]),
        ["below", "second"]
    );
}
