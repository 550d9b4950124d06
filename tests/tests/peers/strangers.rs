//! What reaches a phone from people no one asked: scanners, floods, and names made to write into a
//! log or a terminal.
//!
//! ```text
//! Stranger (127.0.0.66, raw datagrams) ─▶ offhook ─▶ answers, or none; ringing, or not; log, status; the call that goes on beside
//! ```

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::kamailio::Kamailio;
use offhook_tests::speech::{Speaker, assert_heard, speech};
use testkit::process::TestDir;

mod scanner;

use scanner::{Ask, ELSEWHERE, Stranger, offer};

/// Two phones of one server; what each is set up with besides.
fn pair(
    dir: &TestDir,
    direct: bool,
    call: &'static str,
    microphone: PathBuf,
) -> (Kamailio, DeskPhone, DeskPhone) {
    let kamailio = Kamailio::start(dir, "MD5");
    let phone = |name: &str, user: &str, microphone: Option<PathBuf>| {
        DeskPhone::start(
            dir,
            name,
            Setup {
                microphone,
                direct: Some(direct),
                call,
                more: kamailio.account(user, &format!("secret{user}"), "udp"),
                ..Setup::default()
            },
        )
    };
    let (l, r) = (phone("l", "101", Some(microphone)), phone("r", "102", None));
    for desk in [&l, &r] {
        desk.wait("registration", Duration::from_secs(8), |status| {
            status["lines"][0]["registered"] == true
        });
    }
    (kamailio, l, r)
}

/// Methods and users as scanners try them: those that are here, and those that are not.
const METHODS: [&str; 3] = ["OPTIONS", "INVITE", "REGISTER"];
const USERS: [&str; 8] = [
    "102", "phone", "100", "101", "1000", "admin", "test", "not-here",
];

#[test]
fn a_scanner_learns_nothing_and_calls_still_come() {
    let dir = TestDir::new("scanner");
    let alice = speech(&dir, Speaker::Alice, 8000, 1);
    let (_kamailio, l, r) = pair(&dir, false, "", alice.clone());
    let before = r.status();
    let mut stranger = Stranger::new(r.sip_port);
    let scan = |stranger: &mut Stranger, length: Duration| {
        let end = Instant::now() + length;
        while Instant::now() < end {
            for method in METHODS {
                for user in USERS {
                    let body = if method == "INVITE" {
                        offer(9)
                    } else {
                        String::new()
                    };
                    stranger.ask(&Ask {
                        method,
                        user,
                        more: "User-Agent: friendly-scanner\r\n",
                        body: &body,
                    });
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            assert_ne!(r.state(), "ringing", "a scanner rings");
        }
    };
    scan(&mut stranger, Duration::from_secs(5));
    assert_eq!(
        stranger.answers(),
        [""; 0],
        "known or unknown: not one answer"
    );
    // A call of a friend's, in the midst of it.
    let (sent, during) = std::thread::scope(|threads| {
        let scanning = threads.spawn(move || {
            let mut stranger = stranger;
            let end = Instant::now() + Duration::from_secs(8);
            while Instant::now() < end {
                for user in USERS {
                    let body = offer(9);
                    stranger.ask(&Ask {
                        method: "INVITE",
                        user,
                        more: "",
                        body: &body,
                    });
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            (stranger.sent, stranger.answers())
        });
        l.lift();
        l.press("102#");
        r.wait_state("ringing");
        r.lift();
        l.wait_state("talking");
        scanning.join().unwrap()
    });
    assert_eq!(during, [""; 0]);
    let after = r.status();
    assert_eq!(
        after["calls"].as_array().map(Vec::len),
        Some(1),
        "{after:#}"
    );
    let counted = |status: &Value| status["counters"]["sip_dropped"].as_u64().unwrap_or(0);
    assert_eq!(
        counted(&after) - counted(&before),
        u64::from(sent),
        "each was dropped and counted"
    );
    let ear = r.ear_now();
    l.hang_up();
    r.wait_state("congestion");
    r.assert_usable();
    assert_heard(&dir, "the friend, during the scan", &alice, &ear);
}

#[test]
fn direct_calls_do_not_reveal_users() {
    let dir = TestDir::new("scanner-direct");
    let desk = DeskPhone::start(&dir, "desk", Setup::default());
    let mut stranger = Stranger::new(desk.sip_port);
    for method in ["OPTIONS", "REGISTER", "SUBSCRIBE", "MESSAGE"] {
        let mut answers = BTreeSet::new();
        for user in USERS {
            let n = stranger.ask(&Ask {
                method,
                user,
                more: "",
                body: "",
            });
            answers.insert(stranger.answer_to(n));
        }
        assert_eq!(answers.len(), 1, "{method}: {answers:?}");
        let answer = answers.first().unwrap();
        assert!(
            !answer.contains(" 401 ") && !answer.contains(" 407 "),
            "{method}: no password is asked for: {answer}"
        );
        println!("{method}: {answer} to every user");
    }
    // Whoever is called, the one telephone rings: no one is distinguished by that either.
    for user in USERS {
        let body = offer(9);
        stranger.ask(&Ask {
            method: "INVITE",
            user,
            more: "Expires: 1\r\n",
            body: &body,
        });
        desk.wait_state("ringing");
        desk.wait_state("idle");
    }
    let codes: BTreeSet<String> = stranger
        .answers()
        .iter()
        .filter_map(|text| text.lines().next().map(str::to_owned))
        .collect();
    assert_eq!(
        codes.iter().map(String::as_str).collect::<Vec<_>>(),
        [
            "SIP/2.0 100 Trying",
            "SIP/2.0 180 Ringing",
            "SIP/2.0 487 Request Terminated"
        ]
    );
    desk.assert_usable();
}

/// Frames made up and packets received by the phone's one call.
fn concealed(desk: &DeskPhone) -> (u64, u64) {
    let status = desk.status();
    let rtp = &status["calls"][0]["rtp"];
    (
        rtp["concealed"].as_u64().unwrap_or(0),
        rtp["received"].as_u64().unwrap_or(0),
    )
}

/// 20 calls a second of a stranger's, who never ends one, and meanwhile calls of the account's own
/// server.
#[test]
fn a_flood_of_calls_stops_no_call_of_the_server() {
    let dir = TestDir::new("call-flood");
    let silence = speech(&dir, Speaker::Alice, 8000, 1);
    let (_kamailio, l, r) = pair(&dir, true, "waiting = false\n", silence);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let mut stranger = Stranger::new(r.sip_port);
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let body = offer(9);
                stranger.ask(&Ask {
                    method: "INVITE",
                    user: "102",
                    more: "",
                    body: &body,
                });
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        for _ in 0..3 {
            std::thread::sleep(Duration::from_secs(9));
            l.lift();
            l.press("102#");
            l.wait_state("ringback");
            l.hang_up();
            l.wait_state("idle");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    r.assert_usable();
}

/// With an account and no word of `direct`, strangers neither ring nor learn anything.
#[test]
fn with_an_account_direct_calls_are_off_by_default() {
    let dir = TestDir::new("direct-default");
    let kamailio = Kamailio::start(&dir, "MD5");
    let desk = DeskPhone::start(
        &dir,
        "desk",
        Setup {
            direct: None,
            more: kamailio.account("102", "secret102", "udp"),
            ..Setup::default()
        },
    );
    let mut stranger = Stranger::new(desk.sip_port);
    for method in METHODS {
        let body = if method == "INVITE" {
            offer(9)
        } else {
            String::new()
        };
        stranger.ask(&Ask {
            method,
            user: "102",
            more: "",
            body: &body,
        });
    }
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(
        (stranger.answers(), desk.state().as_str()),
        (vec![], "idle")
    );
    desk.assert_usable();
}

/// 500 OPTIONS and 50 INVITEs a second for half a minute, at a phone that answers each of them, in
/// the middle of a call.
#[test]
fn a_flood_of_requests_is_not_heard_in_a_call() {
    const LENGTH: Duration = Duration::from_secs(30);
    let dir = TestDir::new("flood");
    let alice = speech(&dir, Speaker::Alice, 8000, 1);
    // On the list, so that no rate spares the phone the work.
    let call = "waiting = false\ndirect_from = [\"127.0.0.66\"]\n";
    let (_kamailio, l, r) = pair(&dir, true, call, alice.clone());
    l.lift();
    l.press("102#");
    r.wait_state("ringing");
    r.lift();
    l.wait_state("talking");
    std::thread::sleep(Duration::from_secs(2));
    // What this machine does by itself, without a flood.
    let quiet = [concealed(&r), {
        std::thread::sleep(Duration::from_secs(10));
        concealed(&r)
    }];
    let mut stranger = Stranger::new(r.sip_port);
    let (flooded, slowest, sent, answered) = std::thread::scope(|threads| {
        let flooding = threads.spawn(move || {
            let (begun, mut answered) = (Instant::now(), 0);
            for n in 0_u32.. {
                let due = begun + Duration::from_millis(20) * n;
                if due.saturating_duration_since(begun) >= LENGTH {
                    break;
                }
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                for _ in 0..10 {
                    stranger.ask(&Ask {
                        method: "OPTIONS",
                        user: "102",
                        more: "",
                        body: "",
                    });
                }
                let body = offer(9);
                stranger.ask(&Ask {
                    method: "INVITE",
                    user: "102",
                    more: "",
                    body: &body,
                });
                answered += stranger.answers().len();
            }
            (stranger.sent, answered)
        });
        let from = concealed(&r);
        let mut slowest = Duration::ZERO;
        while !flooding.is_finished() {
            let asked = Instant::now();
            r.status();
            slowest = slowest.max(asked.elapsed());
            std::thread::sleep(Duration::from_millis(200));
        }
        let to = concealed(&r);
        let (sent, answered) = flooding.join().unwrap();
        ([from, to], slowest, sent, answered)
    });
    let share =
        |[from, to]: [(u64, u64); 2]| (to.0 - from.0) as f64 / (to.1 - from.1).max(1) as f64;
    println!(
        "{sent} requests, {answered} answers; concealed {:.2} % before, {:.2} % during; status \
         took {slowest:?} at most",
        100.0 * share(quiet),
        100.0 * share(flooded)
    );
    assert!(
        answered > sent as usize / 2,
        "it answers strangers here: {answered} of {sent}"
    );
    assert!(
        flooded[1].1 - flooded[0].1 > 1200,
        "sound came all the time: {flooded:?}"
    );
    assert!(
        share(flooded) - share(quiet) < 0.01,
        "concealed: {quiet:?} before, {flooded:?} during the flood"
    );
    assert!(
        slowest < Duration::from_secs(2),
        "the phone is busy: {slowest:?}"
    );
    let ear = r.ear_now();
    let over = Instant::now();
    l.hang_up();
    r.wait_state("congestion");
    r.hang_up();
    r.lift();
    r.wait_state("dial_tone");
    assert!(
        over.elapsed() < Duration::from_secs(5),
        "{:?}",
        over.elapsed()
    );
    r.hang_up();
    r.assert_usable();
    assert_heard(&dir, "speech during the flood", &alice, &ear);
}

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

/// One packet of 20 ms µ-law.
fn rtp(ssrc: u8, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend([ssrc; 4]);
    packet.extend([0x9C; 160]);
    packet
}

/// RTP packets of sound that came to this socket.
fn sound_at(socket: &UdpSocket) -> usize {
    let mut buffer = [0; 2048];
    std::iter::from_fn(|| socket.recv_from(&mut buffer).ok())
        .filter(|(length, _)| *length > 100)
        .count()
}

/// The caller announces an address that leads nowhere and sends from its own, as behind a NAT;
/// before it somebody else sends two packets to every port, and goes on to send.
#[test]
fn blind_packets_get_no_sound_and_keep_no_one_out() {
    let dir = TestDir::new("blind-rtp");
    let desk = DeskPhone::start(&dir, "desk", Setup::default());
    let bound = |ip: &str| {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    };
    let (caller, announced) = (bound("127.0.0.2"), bound("127.0.0.3"));
    let (media, blind) = (bound("127.0.0.2"), bound(ELSEWHERE));
    let port = |socket: &UdpSocket| socket.local_addr().unwrap().port();
    let offer = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.3\r\ns=-\r\nc=IN IP4 127.0.0.3\r\nt=0 0\r\n\
         m=audio {} RTP/AVP 0\r\n",
        port(&announced)
    );
    let head = |method: &str, to_tag: &str, branch: &str| {
        format!(
            "{method} sip:phone@127.0.0.1:{phone} SIP/2.0\r\n\
             Via: SIP/2.0/UDP 127.0.0.2:{port};branch=z9hG4bK-{branch};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:nat@127.0.0.2>;tag=t\r\n\
             To: <sip:phone@127.0.0.1>{to_tag}\r\nCall-ID: blind\r\nCSeq: 1 {method}\r\n\
             Contact: <sip:nat@127.0.0.2:{port}>\r\n",
            phone = desk.sip_port,
            port = port(&caller),
        )
    };
    let send = |text: String| {
        caller
            .send_to(text.as_bytes(), ("127.0.0.1", desk.sip_port))
            .unwrap();
    };
    send(format!(
        "{}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{offer}",
        head("INVITE", "", "i"),
        offer.len()
    ));
    desk.wait_state("ringing");
    desk.lift();
    desk.wait_state("talking");
    let mut buffer = [0; 4096];
    let ok = std::iter::from_fn(|| caller.recv_from(&mut buffer).ok().map(|(n, _)| n))
        .last()
        .map(|n| String::from_utf8_lossy(&buffer[..n]).into_owned())
        .unwrap();
    assert!(ok.starts_with("SIP/2.0 200 "), "{ok}");
    let tag = ok.split("\r\nTo: ").nth(1).unwrap();
    let tag = tag
        .split("\r\n")
        .next()
        .unwrap()
        .split(";tag=")
        .nth(1)
        .unwrap();
    send(format!(
        "{}Content-Length: 0\r\n\r\n",
        head("ACK", &format!(";tag={tag}"), "a")
    ));
    let audio: u16 = ok
        .split("m=audio ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let spray = |n: u16| {
        for port in desk.rtp_ports.0..=desk.rtp_ports.1 {
            blind.send_to(&rtp(6, n), ("127.0.0.1", port)).ok();
            blind.send_to(&rtp(6, n + 1), ("127.0.0.1", port)).ok();
        }
    };
    spray(1);
    std::thread::sleep(Duration::from_millis(500));
    assert!(
        sound_at(&announced) > 10,
        "the announced address gets the sound until others send"
    );
    for n in 1..100 {
        spray(2 * n);
        media.send_to(&rtp(9, n), ("127.0.0.1", audio)).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(sound_at(&blind), 0, "not one packet");
    let heard = sound_at(&media);
    assert!(
        heard > 50,
        "the caller behind the NAT gets the sound: {heard}"
    );
    // The figures in status are renewed once a second.
    std::thread::sleep(Duration::from_millis(1500));
    let received = desk.status()["calls"][0]["rtp"]["received"].as_u64();
    assert!(received > Some(80), "and is heard: {received:?}");
    desk.hang_up();
    desk.assert_usable();
}
