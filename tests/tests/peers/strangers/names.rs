//! Names that strangers choose.

use std::time::Duration;

use offhook_tests::desk_phone::{DeskPhone, Setup};
use testkit::process::TestDir;

use super::scanner::{ELSEWHERE, Stranger, offer};

/// Text no log and no terminal should take for its own. Each is a whole `From` line; `true`:
/// refused before anything is read of it.
fn hostile_names() -> Vec<(&'static str, Vec<u8>, bool)> {
    let line = |name: &[u8]| {
        [
            &b"From: \""[..],
            name,
            &b"\" <sip:%1b%5b2J@1.1.1.1>;tag=t\r\n"[..],
        ]
        .concat()
    };
    vec![
        ("escape", line(b"\x1b[2J\x1b]0;owned\x07"), true),
        ("NUL", line(b"a\0b"), true),
        // RFC 3261 section 25.1: a quoted-pair may hold a control character; it is not shown.
        ("quoted escape", line(b"a\\\x1b[31m"), false),
        (
            "folded",
            b"From: \"Anna\r\n 2026-01-01T00:00:00Z ERROR root logged in\" \
              <sip:a@1.1.1.1>;tag=t\r\n"
                .to_vec(),
            false,
        ),
        ("format", line(b"%s%n%s%n%x %1$s {} {0}"), false),
        (
            "C1 in UTF-8",
            line("x\u{9b}31mred\u{85}next".as_bytes()),
            false,
        ),
        ("bidi", line("\u{202e}gpj.exe\u{2066}".as_bytes()), false),
        (
            "separator",
            line("a\u{2028}2026-01-01 ERROR b".as_bytes()),
            false,
        ),
        ("four bytes", line("😀 電話".as_bytes()), false),
        ("no UTF-8", line(b"\xff\xfe\x9b31m\xc3("), false),
        ("long", line(&[b'y'; 4000]), false),
    ]
}

#[test]
fn names_of_strangers_write_neither_log_nor_terminal() {
    let dir = TestDir::new("names");
    let desk = DeskPhone::start(&dir, "desk", Setup::default());
    let mut stranger = Stranger::new(desk.sip_port);
    let no_text =
        |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    for (what, from, refused) in hostile_names() {
        stranger.sent += 1;
        let (n, port, body) = (
            stranger.sent,
            stranger.socket.local_addr().unwrap().port(),
            offer(9),
        );
        let head = format!(
            "INVITE sip:phone@127.0.0.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP {ELSEWHERE}:{port};branch=z9hG4bK-{n};rport\r\n\
             To: <sip:phone@127.0.0.1>\r\n\
             CSeq: 1 INVITE\r\nContact: <sip:x@{ELSEWHERE}:{port}>\r\nExpires: 1\r\n\
             Content-Type: application/sdp\r\n\
             Content-Length: {}\r\n",
            body.len()
        );
        let mut message = head.into_bytes();
        message.extend(&from);
        // The same in headers no one shows, and in one that is logged.
        let name: Vec<u8> = from[5..]
            .split(|b| *b == b'<')
            .next()
            .unwrap_or_default()
            .iter()
            .copied()
            .filter(|b| !b"\r\n".contains(b))
            .collect();
        for header in ["Subject: ", "User-Agent: "] {
            message.extend(header.as_bytes());
            message.extend(&name);
            message.extend(b"\r\n");
        }
        // A Call-ID has no place for more than ASCII, in a message that is read at all.
        let word: Vec<u8> = name
            .iter()
            .copied()
            .filter(|b| b.is_ascii_graphic() && *b != b'"')
            .take(200)
            .collect();
        message.extend(format!("Call-ID: {n}").as_bytes());
        message.extend(&word);
        message.extend(b"\r\n\r\n");
        message.extend(body.as_bytes());
        stranger.send(&message);
        if refused {
            assert!(stranger.answer_to(n).starts_with("SIP/2.0 400 "), "{what}");
            assert_eq!(desk.state(), "idle", "{what}");
            continue;
        }
        let status = desk.wait("a call", Duration::from_secs(5), |status| {
            status["state"] == "ringing"
        });
        let peer = status["calls"][0]["peer"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(
            !peer.is_empty() && !peer.contains(no_text),
            "{what}: {peer:?}"
        );
        assert!(!status.to_string().contains(no_text), "{what}");
        match what {
            "format" => assert_eq!(peer, "%s%n%s%n%x %1$s {} {0}"),
            "four bytes" => assert_eq!(peer, "😀 電話"),
            "C1 in UTF-8" => assert_eq!(peer, "x\u{fffd}31mred\u{fffd}next"),
            "bidi" => assert_eq!(peer, "\u{fffd}gpj.exe\u{fffd}"),
            _ => {}
        }
        let status = desk.wait("its end", Duration::from_secs(5), |status| {
            status["state"] == "idle"
        });
        assert!(!status.to_string().contains(no_text), "{what}");
    }
    desk.assert_usable();
    let log = std::fs::read(dir.join("desk").join("log")).unwrap();
    let log = String::from_utf8(log).expect("the log is UTF-8");
    let bundle = dir.join("bundle.tar.gz");
    let reply = desk.ctl(&serde_json::json!({"cmd": "bundle", "file": bundle}));
    assert_eq!(reply["ok"], true, "{reply}");
    for line in log.lines() {
        assert!(!line.contains(no_text), "{line:?}");
        // Each line is one event's, of this program.
        let levels = [" ERROR ", "  WARN ", "  INFO ", " DEBUG "];
        assert!(
            line.get(..4)
                .is_some_and(|year| year.parse::<u16>().is_ok())
                && levels.iter().any(|level| line[..40].contains(level)),
            "{line:?}"
        );
    }
    for shown in [
        "\\u{9b}31m",
        "\\u{202e}",
        "\\u{2028}",
        "%s%n%s%n%x %1$s {} {0}",
        "😀",
    ] {
        assert!(log.contains(shown), "no {shown} in\n{log}");
    }
}
