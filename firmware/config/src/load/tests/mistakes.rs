//! What is wrong in a file, and how that is said.

use super::*;

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
            "[[account]]\nuser = \"1\"\ndomain = \"http://p\"",
            "f:3:10: `account.domain`: `http://p` is not a host: a host is written \
             without `http://`",
        ),
        (
            "[[account]]\nuser = \"1\"\ndomain = \"p\"\nregistrar = \"p \"",
            "f:4:13: `account.registrar`: `p ` is not a host: there is a space in it",
        ),
        (
            "[[account]]\nuser = \"müller\"\ndomain = \"p\"",
            "f:2:8: `account.user`: `müller` is not a SIP user name: `ü` is not allowed",
        ),
        (
            "[[account]]\nuser = \"1@p\"\ndomain = \"p\"",
            "f:2:8: `account.user`: `1@p` is not a SIP user name: `@` is not allowed in a SIP user \
             name; write the part before the `@`",
        ),
        (
            "[[account]]\nuser = \"1\"\ndomain = \"p\"\nport = 5070",
            "f:4:1: there is no key `port` in `account`; write the port behind the host: registrar",
        ),
        (
            "[[account]]\nuser = \"1\"\ndomain = \"p\"\nsecret = \"x\"",
            "f:4:1: there is no key `secret` in `account`; did you mean `password`?",
        ),
        (
            "[[account]]\nuser = \"1\"\ndomain = \"p\"\nSIP-Server = \"x\"",
            "f:4:1: there is no key `SIP-Server` in `account`; write `domain`; where DNS does not",
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
            "[[account]]\npassword = \"a\"b\"",
            "f:2:15: unexpected key or value; a quotation mark inside \"…\" is written \
             \\\", or put",
        ),
        (
            "[[account]]\npassword = 'a'b'",
            "f:2:15: unexpected key or value; put a text with an apostrophe between \"…\"",
        ),
        (
            "[[account]]\npassword = \"a\\d\"",
            "f:2:15: missing escaped value; a backslash is written twice between \"…\"",
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
