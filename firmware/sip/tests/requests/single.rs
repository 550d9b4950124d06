//! Single requests, each to a phone set up for it: session descriptions with lines it does not
//! take, broken ones, encryption, timers, bodies in parts.
//!
//! Where other phones answer otherwise and RFCs leave the choice, `docs/conformance.md` says what
//! this one does.

use sip::media_security::{Fingerprint, HashName, MediaSecurity};
use sip::message::Response;
use sip::{Event, SessionIntervals};
use types::EncryptionPolicy;

use crate::world::{Ask, World, config, media};

const KEY: &str = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
const OFF: EncryptionPolicy = EncryptionPolicy::Off;
const PREFERRED: EncryptionPolicy = EncryptionPolicy::Preferred;
const REQUIRED: EncryptionPolicy = EncryptionPolicy::Required;

/// A phone that encrypts as this says, by SDES over clear signalling, too.
fn security(policy: EncryptionPolicy) -> MediaSecurity {
    MediaSecurity {
        policy,
        policy_over_clear: policy,
        sdes_over_clear: true,
        fingerprint: Some(Fingerprint {
            hash: HashName::Sha256,
            bytes: vec![0x11; 32],
        }),
        ..MediaSecurity::default()
    }
}

/// The final response to this request, and whether the phone rang.
fn judge(security: &MediaSecurity, timers: SessionIntervals, request: &str) -> (Response, bool) {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.media_security = security.clone();
    config.session_intervals = timers;
    let mut world = World::new(vec![config]);
    world.send(crate::PEER, 0, request);
    world.run_ms(50);
    let mut rang = false;
    for event in world.events(0) {
        if let Event::Incoming { call, .. } = event {
            rang = true;
            let mut media = media(20_000);
            media.media_security = security.clone();
            world.with(0, |alice, now| alice.answer(call, media, now));
        }
    }
    world.inbox.retain(|(.., message)| match message {
        sip::message::Message::Response(response) => response.code() >= 200,
        sip::message::Message::Request(_) => false,
    });
    world.run_ms(50);
    let (.., answer) = world.inbox.pop_back().unwrap();
    match answer {
        sip::message::Message::Response(response) => (response, rang),
        sip::message::Message::Request(request) => panic!("{request:?}"),
    }
}

/// An INVITE with these lines from `m=` on.
fn offer(lines: &[&str]) -> Ask<'static> {
    let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n";
    let lines = lines.join("\r\n");
    Ask {
        body: format!("{head}{lines}\r\n"),
        ..Ask::invite()
    }
}

/// The code, and the `m=` lines of the answer without their formats, with what of `a=crypto` and
/// direction follows each.
fn outcome(policy: EncryptionPolicy, invite: &Ask<'_>) -> (u16, Vec<String>) {
    let timers = SessionIntervals::default();
    let (response, rang) = judge(&security(policy), timers, &invite.text());
    assert_eq!(
        rang,
        response.code() == 200,
        "what is refused rings nowhere"
    );
    let body = String::from_utf8(response.body.to_vec()).unwrap();
    let mut lines: Vec<String> = Vec::new();
    for line in body.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match (&words[..], lines.last_mut()) {
            ([media, "0", profile, ..], _) if media.starts_with("m=") => {
                lines.push(format!("{media} off {profile}"));
            }
            ([media, _, profile, ..], _) if media.starts_with("m=") => {
                lines.push(format!("{media} {profile}"));
            }
            ([crypto, ..], Some(last)) if crypto.starts_with("a=crypto:") => {
                *last += " key ";
                *last += &crypto["a=crypto:".len()..];
            }
            (["a=sendonly" | "a=recvonly" | "a=inactive"], Some(last)) => {
                *last += " ";
                *last += &line[2..];
            }
            _ => {}
        }
    }
    (response.code(), lines)
}

fn taken(lines: &[&str]) -> (u16, Vec<String>) {
    (200, lines.iter().map(|line| (*line).to_owned()).collect())
}

#[test]
fn lines_that_are_not_taken_keep_their_place() {
    // RFC 3264 section 6: one answer to each line, in its order; port 0 where it is not taken.
    let (audio, video) = ("m=audio 5000 RTP/AVP 0", "m=video 4000 RTP/AVP 99");
    for (lines, answer) in [
        (
            vec![audio, video, "a=rtpmap:99 H264/90000"],
            &["m=audio RTP/AVP", "m=video off RTP/AVP"],
        ),
        (
            vec![video, "a=rtpmap:99 H264/90000", audio],
            &["m=video off RTP/AVP", "m=audio RTP/AVP"],
        ),
        (
            vec![audio, "m=video 4000 RTP/AVP 34"],
            &["m=audio RTP/AVP", "m=video off RTP/AVP"],
        ),
        (
            vec!["m=video 4000 RTP/AVP 34", audio],
            &["m=video off RTP/AVP", "m=audio RTP/AVP"],
        ),
        (
            vec!["m=video 0 RTP/AVP 99", audio],
            &["m=video off RTP/AVP", "m=audio RTP/AVP"],
        ),
        (
            vec!["m=news 4000 RTP/AVP 55", audio],
            &["m=news off RTP/AVP", "m=audio RTP/AVP"],
        ),
        (
            vec![audio, "m=news 4000 ODD/AVP 55"],
            &["m=audio RTP/AVP", "m=news off ODD/AVP"],
        ),
        (
            vec![audio, "m=audio 4000 ODD 0"],
            &["m=audio RTP/AVP", "m=audio off ODD"],
        ),
        (
            vec!["m=audio 4000 ODD 0", audio],
            &["m=audio off ODD", "m=audio RTP/AVP"],
        ),
        (
            vec!["m=audio 6000 RTP/AVP 80", audio],
            &["m=audio off RTP/AVP", "m=audio RTP/AVP"],
        ),
        (
            vec!["m=audio 6000 RTP/AVP 97", "a=rtpmap:97 odd/8000", audio],
            &["m=audio off RTP/AVP", "m=audio RTP/AVP"],
        ),
        // Two that could be: the first.
        (
            vec![audio, "m=audio 6000 RTP/AVP 0"],
            &["m=audio RTP/AVP", "m=audio off RTP/AVP"],
        ),
    ] {
        assert_eq!(outcome(OFF, &offer(&lines)), taken(answer), "{lines:?}");
    }
}

#[test]
fn direction_of_the_session_holds_unless_the_line_has_its_own() {
    let audio = "m=audio 5000 RTP/AVP 0";
    for (lines, answer) in [
        (vec!["a=sendonly", audio], "m=audio RTP/AVP recvonly"),
        (
            vec!["a=inactive", audio, "a=sendonly"],
            "m=audio RTP/AVP recvonly",
        ),
        (vec!["a=sendonly", audio, "a=sendrecv"], "m=audio RTP/AVP"),
        (vec!["a=inactive", audio], "m=audio RTP/AVP inactive"),
    ] {
        assert_eq!(outcome(OFF, &offer(&lines)), taken(&[answer]), "{lines:?}");
    }
}

#[test]
fn descriptions_that_cannot_be_taken_are_refused() {
    for (lines, code) in [
        (vec!["m=video 4000 RTP/AVP 34"], 488),
        (vec!["m=audio 4000 RTP/AVP 97", "a=rtpmap:97 odd/8000"], 488),
        (vec!["m=audio 4000 RTP/XAVP 0"], 488),
        (vec!["m=audio 0 RTP/AVP 0"], 488),
        (vec![], 400),
    ] {
        assert_eq!(
            outcome(OFF, &offer(&lines)),
            (code, Vec::new()),
            "{lines:?}"
        );
    }
    let good = offer(&["m=audio 4000 RTP/AVP 0"]).body;
    for (from, to, code) in [
        ("c=IN IP4", "c=IN IP7", 400),
        ("c=IN IP4", "c=ATM IP4", 400),
        ("v=0", "v=", 400),
        ("m=audio 4000", "m=audio four", 400),
    ] {
        let body = good.replace(from, to);
        assert_ne!(body, good);
        let invite = Ask {
            body,
            ..Ask::invite()
        };
        let (response, rang) = judge(&security(OFF), SessionIntervals::default(), &invite.text());
        assert_eq!((response.code(), rang), (code, false), "{to}");
        // RFC 3261 section 20.43: it says what is wrong with it.
        let warning = response.headers.get("Warning").unwrap_or_default();
        assert!(warning.starts_with('3'), "{to}: {warning:?}");
    }
}

#[test]
fn keys_are_taken_or_refused_by_policy() {
    let suite = |tag: &str, suite: &str, key: &str| format!("a=crypto:{tag} {suite} {key}");
    let good = suite("1", "AES_CM_128_HMAC_SHA1_80", KEY);
    let odd = suite("1", "ODD_SUITE", KEY);
    let (avp, savp) = ("m=audio 5000 RTP/AVP 0", "m=audio 5000 RTP/SAVP 0");
    let (clear, keyed) = (&["m=audio RTP/AVP"], &["m=audio RTP/SAVP key 1"]);
    let refused = (488, Vec::new());
    // Keys that cannot be read.
    let unreadable = (406, Vec::new());
    let second = suite("1", "AES_CM_128_HMAC_SHA1_32", KEY);
    let lower = good.replace("AES_CM", "aes_Cm").replace("SHA1", "Sha1");
    let long = suite(
        "1",
        "AES_CM_128_HMAC_SHA1_80",
        &format!("{KEY}{}", &KEY[7..]),
    );
    let bare = |rest: &str| format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80{rest}");
    for (policy, lines, wanted) in [
        // RFC 4568 section 9.1: names of suites in any case.
        (REQUIRED, vec![savp, &lower], taken(keyed)),
        (REQUIRED, vec![savp, &good], taken(keyed)),
        (PREFERRED, vec![savp, &good], taken(keyed)),
        (OFF, vec![savp, &good], refused.clone()),
        (OFF, vec![avp, &good], taken(clear)),
        (PREFERRED, vec![avp], taken(clear)),
        (
            PREFERRED,
            vec![avp, &good],
            taken(&["m=audio RTP/AVP key 1"]),
        ),
        (PREFERRED, vec![avp, &odd], taken(clear)),
        (PREFERRED, vec![savp, &odd], refused.clone()),
        (REQUIRED, vec![savp, &odd], refused.clone()),
        (REQUIRED, vec![savp], refused.clone()),
        (REQUIRED, vec![avp], refused.clone()),
        (REQUIRED, vec![savp, &long], unreadable.clone()),
        (PREFERRED, vec![avp, &good, &second], unreadable.clone()),
        (PREFERRED, vec![avp, &bare("")], unreadable.clone()),
        (PREFERRED, vec![avp, &bare(" inline")], unreadable.clone()),
        (PREFERRED, vec![avp, &bare(" inline:")], unreadable.clone()),
        (
            PREFERRED,
            vec![avp, &good.replace(":1 ", ":x ")],
            unreadable.clone(),
        ),
        // RFC 4568 section 9.1 begins tags at 1; 0 is plain enough.
        (
            PREFERRED,
            vec![avp, &good.replace(":1 ", ":0 ")],
            taken(&["m=audio RTP/AVP key 0"]),
        ),
        // The encrypted one of two lines where encryption is wanted, the clear one where it is off.
        (
            PREFERRED,
            vec![avp, savp, &good],
            taken(&["m=audio off RTP/AVP", "m=audio RTP/SAVP key 1"]),
        ),
        (
            OFF,
            vec![savp, &good, avp],
            taken(&["m=audio off RTP/SAVP", "m=audio RTP/AVP"]),
        ),
        (
            PREFERRED,
            vec!["m=news 4000 RTP/AVP 55", avp, &good],
            taken(&["m=news off RTP/AVP", "m=audio RTP/AVP key 1"]),
        ),
        (
            PREFERRED,
            vec![avp, &good, "m=audio 6000 ODD 0"],
            taken(&["m=audio RTP/AVP key 1", "m=audio off ODD"]),
        ),
    ] {
        assert_eq!(
            outcome(policy, &offer(&lines)),
            wanted,
            "{policy:?} {lines:?}"
        );
    }
}

#[test]
fn session_timers_are_kept_begun_and_refused() {
    let begun = SessionIntervals {
        wanted_s: Some(1800),
        of_callers: true,
        min_s: 90,
    };
    let (own, timer) = (SessionIntervals::default(), "Supported: timer\r\n");
    let strict = SessionIntervals { min_s: 2000, ..own };
    for (timers, extra, code, expires) in [
        (
            own,
            "Require: timer\r\nSession-Expires: 1800\r\n",
            200,
            Some("1800;refresher=uac"),
        ),
        (
            own,
            "Supported: timer\r\nx: 600;refresher=uas\r\n",
            200,
            Some("600;refresher=uas"),
        ),
        (
            own,
            "Supported: timer\r\nx: 600;refresher=uac\r\n",
            200,
            Some("600;refresher=uac"),
        ),
        (own, timer, 200, None),
        (begun, timer, 200, Some("1800;refresher=uas")),
        (begun, "", 200, Some("1800;refresher=uas")),
        (
            own,
            "Supported: timer\r\nSession-Expires: 89\r\n",
            422,
            None,
        ),
        (
            strict,
            "Supported: timer\r\nSession-Expires: 1800\r\n",
            422,
            None,
        ),
        (
            strict,
            "Supported: timer\r\nSession-Expires: 2000\r\n",
            200,
            Some("2000;refresher=uac"),
        ),
    ] {
        let invite = Ask {
            extra: format!("Content-Type: application/sdp\r\n{extra}"),
            ..Ask::invite()
        };
        let (response, _) = judge(&security(OFF), timers, &invite.text());
        assert_eq!(response.code(), code, "{extra}");
        assert_eq!(response.headers.get("Session-Expires"), expires, "{extra}");
        let least = response.headers.number("Min-SE");
        assert_eq!(least, (code == 422).then_some(timers.min_s), "{extra}");
    }
}

/// The text of a MESSAGE that is taken, and the code.
fn message(kind: &str, body: &str) -> (u16, Option<String>) {
    let mut world = World::alone();
    let ask = Ask {
        method: "MESSAGE",
        extra: format!("Content-Type: {kind}\r\n"),
        body: body.into(),
        ..Ask::invite()
    };
    world.send(crate::PEER, 0, ask.text());
    world.run_ms(50);
    let text = world.events(0).into_iter().find_map(|event| match event {
        Event::Message { text, .. } => Some(text),
        _ => None,
    });
    let (.., answer) = world.inbox.pop_back().unwrap();
    match answer {
        sip::message::Message::Response(response) => (response.code(), text),
        sip::message::Message::Request(request) => panic!("{request:?}"),
    }
}

#[test]
fn text_is_found_in_a_body_of_parts() {
    let parts = |first: &str| {
        format!(
            "--7a\r\nContent-Type: {first}\r\n\r\nlunch?\r\n--7a\r\nContent-Type: \
             application/octet-stream\r\n\r\n\u{1}\u{2}\r\n--7a--\r\n"
        )
    };
    let mixed = "multipart/mixed;boundary=7a";
    let text = Some("lunch?".to_owned());
    assert_eq!(message(mixed, &parts("text/plain")), (200, text.clone()));
    assert_eq!(message(mixed, &parts("text/html")), (415, None));
    assert_eq!(message("text/plain", "lunch?"), (200, text));
    assert_eq!(message("text/plain", ""), (200, None));
}

/// RFC 3261 section 18.3 lets a request with less body than it announced be refused. Testers and
/// small devices announce one and send none, which is plain where none is needed.
#[test]
fn body_that_is_announced_and_missing_is_none_where_none_is_needed() {
    let timers = SessionIntervals::default();
    let code = |method: &'static str, body: &str| {
        let to = "<sip:alice@192.0.2.1>";
        let request = Ask {
            method,
            to: to.into(),
            extra: "Content-Type: text/plain\r\nContent-Length: 50\r\n".into(),
            body: String::new(),
            ..Ask::invite()
        };
        let text = request.text().replace("Content-Length: 0\r\n", "");
        assert_eq!(text.matches("Content-Length").count(), 1, "{text}");
        judge(&security(OFF), timers, &format!("{text}{body}"))
            .0
            .code()
    };
    for (method, whole) in [
        ("MESSAGE", 200),
        ("OPTIONS", 200),
        ("BYE", 481),
        ("CANCEL", 481),
        ("REFER", 403),
        ("SUBSCRIBE", 489),
        ("REGISTER", 405),
        // What is said in it is what counts.
        ("INVITE", 400),
        ("UPDATE", 400),
        ("PRACK", 400),
        ("INFO", 400),
        ("NOTIFY", 400),
    ] {
        assert_eq!(code(method, ""), whole, "{method}");
        // A part of it is a cut.
        let cut = if whole == 405 { 405 } else { 400 };
        assert_eq!(code(method, "see you"), cut, "{method}");
    }
}

/// What is plainly meant is taken, and what is not gets 400, or 488 where only this phone cannot.
#[test]
fn odd_lines_of_a_description() {
    let good = offer(&["m=audio 4000 RTP/AVP 0", "a=rtpmap:0 PCMU/8000"]).body;
    for (from, to, code) in [
        ("v=0", "v=0 ", 200),
        ("o=- 1 1 IN IP4 192.0.2.9", "o=", 200),
        ("o=- 1 1 IN IP4 192.0.2.9\r\n", "", 200),
        ("o=- 1 1 IN IP4", "o=- - - IN IP4", 200),
        ("o=- 1 1", "o=a b c 99999999999999999999 1", 200),
        ("s=-", "s=", 200),
        ("s=-\r\n", "", 200),
        ("t=0 0", "t=", 200),
        ("t=0 0\r\n", "", 200),
        (
            "t=0 0",
            "t=0 0\r\nr=7d 1h 0 25h\r\nz=0 0\r\nk=clear:x\r\nq=odd",
            200,
        ),
        ("c=IN IP4", "b=AS:x\r\nc=IN IP4", 200),
        ("c=IN IP4 192.0.2.9", "c=IN IP4 192.0.2.9/127", 200),
        ("c=IN IP4 192.0.2.9", "c=IN IP4  192.0.2.9 ", 200),
        ("c=IN IP4", "c=in ip4", 200),
        ("c=IN IP4 192.0.2.9", "c=IN IP4 far.example", 200),
        ("RTP/AVP 0", "RTP/AVP\t0", 200),
        ("RTP/AVP 0", "RTP/AVP 0 ", 200),
        ("RTP/AVP 0", "rtp/avp 0", 200),
        ("RTP/AVP 0", "RTP/AVP 0 0 0", 200),
        ("RTP/AVP 0", "RTP/AVP 0 128 x 999", 200),
        ("m=audio 4000 ", "m=audio 4000/1 ", 200),
        ("m=audio 4000", "m=AUDIO 4000", 200),
        ("a=rtpmap:0 PCMU/8000", "a=rtpmap:0 pcmu/8000/1", 200),
        ("a=rtpmap:0 PCMU/8000", "a=rtpmap: 0 PCMU/8000", 200),
        ("a=rtpmap:0 PCMU/8000", "a=rtpmap:x", 200),
        ("a=rtpmap:0 PCMU/8000", "a=", 200),
        (
            "a=rtpmap:0 PCMU/8000",
            "a=ptime:x\r\na=maxptime:-1\r\na=fmtp:0",
            200,
        ),
        ("a=rtpmap:0 PCMU/8000\r\n", "a=rtpmap:0 PCMU/8000", 200),
        (
            "a=rtpmap:0 PCMU/8000\r\n",
            "a=rtpmap:0 PCMU/8000\r\n\r\n\0",
            200,
        ),
        ("a=rtpmap:0 PCMU/8000\r\n", "m=audio 0 RTP/AVP\r\n", 200),
        ("\r\n", "\n", 200),
        ("m=audio 4000 RTP/AVP 0", "m=audio 4000 RTP/AVP", 400),
        ("m=audio 4000 RTP/AVP 0", "m=audio", 400),
        ("m=audio 4000", "m=audio -1", 400),
        ("m=audio 4000", "m=audio 65536", 400),
        // Neither a line nor an answer to one can be made of these.
        ("a=rtpmap:0 PCMU/8000", "a", 400),
        ("a=rtpmap:0 PCMU/8000\r\n", "m=video 0\r\n", 400),
        ("c=IN IP4 192.0.2.9\r\n", "", 488),
        ("c=IN IP4 192.0.2.9", "c=IN IP4", 400),
        ("c=IN IP4 192.0.2.9", "c=IN IP4 192.0.2.999", 488),
        ("c=IN IP4 192.0.2.9", "c=IN IP4 224.2.1.1/127", 488),
        ("c=IN IP4 192.0.2.9", "c=IN IP6 192.0.2.9", 488),
    ] {
        let body = good.replace(from, to);
        assert_ne!(body, good, "{from:?}");
        let invite = Ask {
            body,
            ..Ask::invite()
        };
        let (response, rang) = judge(&security(OFF), SessionIntervals::default(), &invite.text());
        assert_eq!((response.code(), rang), (code, code == 200), "{to:?}");
    }
}

/// RFC 5118 section 4.2: an address without its brackets makes a request line no one can read.
#[test]
fn request_line_that_cannot_be_read_is_refused_for_that() {
    let timers = SessionIntervals::default();
    for uri in [
        "sip:2001:db8::10",
        "sip:2001:db8::9:1",
        "sip:",
        "sip:a b@x",
        "sip:[::1",
    ] {
        for method in ["REGISTER", "OPTIONS", "PUBLISH", "NEWFANGLED"] {
            let request = Ask {
                method,
                extra: String::new(),
                body: String::new(),
                ..Ask::invite()
            };
            let text = request.text().replacen("sip:alice@192.0.2.1", uri, 1);
            let (response, _) = judge(&security(OFF), timers, &text);
            assert_eq!(response.code(), 400, "{method} {uri}");
        }
    }
}

#[test]
fn lines_that_lost_their_carriage_returns_are_read() {
    // Something on the way turned CRLF into LF: the body is shorter than it was counted.
    let invite = Ask::invite().text();
    let (head, body) = invite.split_once("\r\n\r\n").unwrap();
    let plain = |body: &str| format!("{head}\r\n\r\n{body}");
    let timers = SessionIntervals::default();
    let short = plain(&body.replace("\r\n", "\n"));
    assert_eq!(judge(&security(OFF), timers, &short).0.code(), 200);
    let long = "a=x-1:y\r\n".repeat(30);
    let long = Ask {
        body: format!("{body}{long}"),
        ..Ask::invite()
    };
    let long = long.text();
    let (head, body) = long.split_once("\r\n\r\n").unwrap();
    let bare = body.replace("\r\n", "\n");
    let code = |body: &str| {
        let text = format!("{head}\r\n\r\n{body}");
        judge(&security(OFF), timers, &text).0.code()
    };
    assert_eq!(code(&bare), 200);
    // A real cut is one (RFC 3261 section 18.3).
    assert_eq!(code(&bare[..bare.len() - 17]), 400);
    assert_eq!(code(&body[..body.len() - 17]), 400);
}

#[test]
fn info_of_a_package_is_refused_with_what_is_taken() {
    // RFC 6086 section 4.2.2; without a package it is one of the kinds that are older.
    let mut world = World::with_listed_peer();
    let (_, ok) = crate::world::answered(&mut world);
    world.send(crate::PEER, 0, crate::world::ack(&ok));
    let digit = "Content-Type: application/dtmf-relay\r\n";
    for (number, extra, code) in [
        (2, "Info-Package: conference\r\n".to_owned(), 469),
        (3, format!("Info-Package: dtmf\r\n{digit}"), 469),
        (4, digit.to_owned(), 200),
        (
            5,
            "Content-Type: application/media_control+xml\r\n".to_owned(),
            415,
        ),
    ] {
        let mut info = crate::world::inside(&ok, "INFO", number);
        info.body = "Signal=5\r\n".into();
        info.extra.clone_from(&extra);
        world.send(crate::PEER, 0, info.text());
        let response = world.response(code);
        let taken = response.headers.get("Recv-Info");
        assert_eq!(taken, (code == 469).then_some(""), "{extra}");
    }
    let digits = world.events(0).into_iter().filter_map(|event| match event {
        Event::Digit { digit, .. } => Some(digit),
        _ => None,
    });
    assert_eq!(digits.collect::<String>(), "5");
}
