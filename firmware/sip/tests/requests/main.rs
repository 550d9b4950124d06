//! What the phone answers to single requests: the rules of RFC 3261 section 8.2, and in `corpus`
//! the cases of the shared data.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what cannot be is a failed test"
)]

mod corpus;
mod single;
#[path = "../world/mod.rs"]
mod world;

use sip::Event;
use sip::agent::Tables;
use sip::message::{Message, Response};
use world::{Ask, World, config, media, sdp};

const PEER: &str = "192.0.2.9:5060";

/// Sends one request; answers the call it may begin; the final response, if one comes.
fn judge(world: &mut World, from: &str, bytes: &[u8]) -> (Vec<u16>, Option<Response>, bool) {
    let before = world.log.len();
    world.send(from, 0, bytes.to_vec());
    world.run_ms(50);
    let mut rang = false;
    for event in world.events(0) {
        if let Event::Incoming { call, .. } = event {
            rang = true;
            world.with(0, |alice, now| alice.ring(call, now));
            world.with(0, |alice, now| alice.answer(call, media(20_000), now));
        }
    }
    world.run_ms(50);
    // The codes are taken from the log: an answer that echoes a broken header cannot be read back.
    let code = |line: &String| line.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok();
    let codes = world.log[before..]
        .iter()
        .filter_map(|(_, line)| code(line))
        .collect();
    let mut last = None;
    for (_, _, message) in world.inbox.drain(..) {
        if let Message::Response(response) = message
            && response.code() >= 200
        {
            last = Some(response);
        }
    }
    (codes, last, rang)
}

fn ask(method: &'static str, extra: &str) -> String {
    Ask {
        method,
        extra: extra.into(),
        body: String::new(),
        ..Ask::invite()
    }
    .text()
}

/// One request to a fresh phone; the response's code and the response.
fn one(text: &str) -> Response {
    let mut world = World::alone();
    let (codes, last, _) = judge(&mut world, PEER, text.as_bytes());
    last.unwrap_or_else(|| panic!("no answer but {codes:?} to {text}"))
}

#[test]
fn methods_outside_of_a_dialog() {
    for (method, code) in [
        ("OPTIONS", 200),
        ("REGISTER", 405),
        ("MESSAGE", 200),
        ("REFER", 403),
        ("PUBLISH", 405),
        ("PRACK", 481),
        ("SUBSCRIBE", 489),
        ("NOTIFY", 489),
        ("BYE", 481),
        ("INFO", 481),
        ("UPDATE", 481),
        ("CANCEL", 481),
        ("NEWFANGLED", 501),
    ] {
        let response = one(&ask(method, ""));
        assert_eq!(response.code(), code, "{method}");
        if matches!(code, 200 | 405 | 501) {
            assert!(response.headers.has_token("Allow", "INVITE"), "{method}");
        }
        assert!(response.headers.to().unwrap().tag().is_some(), "{method}");
    }
    let mut world = World::alone();
    world.send(PEER, 0, ask("ACK", ""));
    world.assert_silence();
}

#[test]
fn options_says_what_the_phone_can_do() {
    let response = one(&ask("OPTIONS", ""));
    assert!(
        response
            .headers
            .get("Accept")
            .unwrap()
            .contains("application/sdp")
    );
    for method in [
        "INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "INFO", "UPDATE", "REFER", "NOTIFY",
    ] {
        assert!(response.headers.has_token("Allow", method));
    }
}

#[test]
fn a_repeated_options_gets_the_same_response() {
    let mut world = World::alone();
    let text = ask("OPTIONS", "");
    world.send(PEER, 0, text.clone());
    let first = world.response(200);
    world.send(PEER, 0, text);
    assert_eq!(world.response(200), first);
    assert_eq!(world.phones[0].agent.tables(), Tables::default());
}

#[test]
fn what_is_required_and_unknown_is_listed() {
    let extra = "Require: xxx-one, 100rel\r\nRequire: xxx-two\r\nContent-Type: application/sdp\r\n";
    let response = one(&Ask {
        extra: extra.into(),
        ..Ask::invite()
    }
    .text());
    assert_eq!(response.code(), 420);
    let unsupported: Vec<&str> = response.headers.tokens("Unsupported").collect();
    assert!(
        unsupported.contains(&"xxx-one") && unsupported.contains(&"xxx-two"),
        "{unsupported:?}"
    );
}

#[test]
fn bodies_that_cannot_be_read() {
    let invite = |extra: &str, body: &str| {
        one(&Ask {
            extra: extra.into(),
            body: body.into(),
            ..Ask::invite()
        }
        .text())
    };
    let refused = invite("Content-Type: text/plain\r\n", "hello");
    assert_eq!(refused.code(), 415);
    assert!(refused.headers.has_token("Accept", "application/sdp"));
    assert_eq!(
        invite(
            "Content-Type: application/sdp\r\nContent-Encoding: gzip\r\n",
            "x"
        )
        .code(),
        415
    );
    assert_eq!(invite("", "v=0\r\n").code(), 400);
    let broken = invite("Content-Type: application/sdp\r\n", "v=0\r\no=-\r\n");
    assert_eq!(broken.code(), 400);
    assert!(broken.headers.get("Warning").is_some());
    let optional = invite(
        "Content-Type: text/plain\r\nContent-Disposition: render;handling=optional\r\n",
        "hello",
    );
    assert_eq!(optional.code(), 200);
    // The SDP among other parts.
    let body = format!(
        "--x\r\nContent-Type: text/plain\r\n\r\nhi\r\n--x\r\nContent-Type: application/sdp\r\n\r\n\
         {}\r\n--x--\r\n",
        sdp("192.0.2.9", "")
    );
    let mixed = invite("Content-Type: multipart/mixed;boundary=x\r\n", &body);
    assert_eq!(mixed.code(), 200);
    assert!(
        String::from_utf8(mixed.body.to_vec())
            .unwrap()
            .contains("RTP/AVP 0\r\n")
    );
}

#[test]
fn an_unusable_offer_does_not_ring() {
    let mut world = World::alone();
    for (media, code) in [
        ("RTP/AVP 18", 488),
        ("RTP/SAVP 0", 488),
        ("UDP/TLS/RTP/SAVPF 0", 488),
    ] {
        let body = sdp("192.0.2.9", "").replace("RTP/AVP 0", media);
        let branch = format!("z9hG4bK{}", media.len()).leak();
        let text = Ask {
            body,
            branch,
            call_id: branch,
            ..Ask::invite()
        }
        .text();
        let (codes, last, rang) = judge(&mut world, PEER, text.as_bytes());
        assert_eq!(last.map(|r| r.code()), Some(code), "{media}: {codes:?}");
        assert!(!rang);
    }
    world.assert_empty();
}

#[test]
fn addresses_and_headers_that_cannot_be() {
    assert_eq!(
        one(&ask("OPTIONS", "").replace("OPTIONS sip:alice@192.0.2.1", "OPTIONS unknown:alice"))
            .code(),
        416
    );
    assert_eq!(
        one(&ask("OPTIONS", "").replace(" SIP/2.0\r\n", " SIP/7.0\r\n")).code(),
        505
    );
    assert_eq!(
        one(&ask("OPTIONS", "").replace("1 OPTIONS", "1 INVITE")).code(),
        400
    );
    assert_eq!(
        one(&ask("INVITE", "").replace("Contact: <sip:peer@192.0.2.9:5060>\r\n", "")).code(),
        400
    );
    assert_eq!(
        one(&ask(
            "INVITE",
            "Replaces: a;from-tag=1;to-tag=2\r\nReplaces: b;from-tag=1;to-tag=2\r\n"
        ))
        .code(),
        400
    );
    assert_eq!(
        one(&ask("INVITE", "").replace(
            "To: <sip:alice@192.0.2.1>",
            "To: <sip:alice@192.0.2.1>;tag=gone"
        ))
        .code(),
        481
    );
    // The last hop may be used up: the phone forwards nothing.
    assert_eq!(
        one(&ask("OPTIONS", "").replace("Max-Forwards: 70", "Max-Forwards: 0")).code(),
        200
    );
    assert_eq!(
        one(&ask("INVITE", "").replace("INVITE sip:alice@192.0.2.1", "INVITE tel:+2065551212"))
            .code(),
        200
    );
}

#[test]
fn answers_go_where_via_and_rport_say() {
    for (via, to) in [
        (
            "SIP/2.0/UDP 192.0.2.9:5099;rport;branch=z9hG4bKa",
            "192.0.2.66:4321",
        ),
        (
            "SIP/2.0/UDP 192.0.2.9:5099;branch=z9hG4bKa",
            "192.0.2.66:5099",
        ),
        (
            "SIP/2.0/UDP host.example;branch=z9hG4bKa",
            "192.0.2.66:5060",
        ),
    ] {
        let mut world = World::alone();
        let text =
            ask("OPTIONS", "").replace("SIP/2.0/UDP 192.0.2.9:5060;rport;branch=z9hG4bKfirst", via);
        world.send("192.0.2.66:4321", 0, text);
        world.run_ms(50);
        let (_, at, message) = world.inbox.pop_front().unwrap();
        assert_eq!(at, to.parse().unwrap(), "{via}");
        assert_eq!(
            message.headers().top_via().unwrap().received(),
            Some("192.0.2.66".parse().unwrap())
        );
    }
}

#[test]
fn strangers_get_no_response() {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.direct_calls = false;
    config.direct_callers = sip::DirectCallers::Listed;
    let mut world = World::new(vec![config]);
    let mut sent = 0;
    for method in [
        "INVITE",
        "OPTIONS",
        "REGISTER",
        "BYE",
        "CANCEL",
        "SUBSCRIBE",
        "NOTIFY",
        "NEWFANGLED",
    ] {
        world.send(PEER, 0, ask(method, ""));
        world.send(PEER, 0, ask(method, "").replace("1 ", "x "));
        sent += 2;
    }
    world.send(PEER, 0, "nonsense");
    world.assert_silence();
    assert!(world.events(0).is_empty());
    let counters = world.counters(0);
    assert_eq!((counters.sent, counters.dropped), (0, sent + 1));
    world.assert_empty();
}

#[test]
fn a_call_flood_is_bounded_and_bye_gets_through() {
    let mut world = World::with_listed_peer();
    world.latency = std::time::Duration::from_millis(1);
    let mut calls = Vec::new();
    for n in 0..2000 {
        let branch = format!("z9hG4bKflood{n}").leak();
        world.send(
            PEER,
            0,
            Ask {
                branch,
                call_id: branch,
                from_tag: branch,
                ..Ask::invite()
            }
            .text(),
        );
        world.run_ms(2);
        calls.extend(world.events(0).into_iter().filter_map(|e| {
            if let Event::Incoming { call, .. } = e {
                Some(call)
            } else {
                None
            }
        }));
        let tables = world.phones[0].agent.tables();
        assert!(
            tables.calls <= 16 && tables.server_transactions <= 512,
            "{tables:?}"
        );
    }
    assert_eq!(calls.len(), 16);
    assert!(
        world.sent("SIP/2.0 503") > 1000,
        "{}",
        world.sent("SIP/2.0 503")
    );
    world.inbox.clear();
    world.with(0, |alice, now| alice.answer(calls[0], media(20_000), now));
    let ok = world.response(200);
    let to = world::to_of(&ok);
    let bye = Ask {
        method: "BYE",
        branch: "z9hG4bKbye",
        call_id: "z9hG4bKflood0",
        from_tag: "z9hG4bKflood0",
        cseq: 2,
        to,
        extra: String::new(),
        body: String::new(),
        ..Ask::invite()
    };
    world.send(PEER, 0, bye.text());
    world.run_ms(50);
    assert!(
        world
            .events(0)
            .iter()
            .any(|e| matches!(e, Event::Ended { .. }))
    );
    world.with(0, sip::UserAgent::shut_down);
    world.inbox.clear();
    world.assert_empty();
}

/// RFC 3261 section 8.2.1 looks at the method before anything else, whatever else is wrong with the
/// request.
#[test]
fn an_unknown_method_is_refused_before_other_faults() {
    let faulty = |method: &'static str| {
        ask(method, "Content-Length: 900\r\n").replacen("CSeq: 1 ", "CSeq: 1 X", 1)
    };
    for (method, code) in [
        ("NEWMETHOD", 501),
        ("PUBLISH", 405),
        ("REGISTER", 405),
        ("OPTIONS", 400),
    ] {
        let mut world = World::alone();
        let (codes, response, _) = judge(&mut world, PEER, faulty(method).as_bytes());
        assert_eq!(codes, [code], "{method}");
        let response = response.unwrap();
        let allow = response.headers.get("Allow").unwrap_or_default().to_owned();
        assert_eq!(
            allow.contains("INVITE"),
            code != 400,
            "{method}: Allow is {allow:?}"
        );
    }
}

#[test]
fn stateless_tags_are_unguessable_and_stable() {
    let mut world = World::alone();
    let bad = |call: &str| {
        ask("OPTIONS", "Content-Length: 900\r\n").replacen(
            "Call-ID: ",
            &format!("Call-ID: {call}"),
            1,
        )
    };
    let mut tag = |text: String| {
        let (codes, response, _) = judge(&mut world, PEER, text.as_bytes());
        assert_eq!(codes, [400]);
        response
            .unwrap()
            .headers
            .to()
            .unwrap()
            .tag()
            .unwrap()
            .to_owned()
    };
    let (first, again, other) = (tag(bad("one")), tag(bad("one")), tag(bad("two")));
    assert!(first.len() >= 16, "{first}");
    assert_eq!(first, again);
    assert_ne!(first, other);
}

#[test]
fn mutated_datagrams_change_only_counters() {
    let mut world = World::alone();
    world.loses = Box::new(|_| true);
    let seeds = [
        ask("OPTIONS", "Require: a\r\n"),
        Ask::invite().text(),
        ask("BYE", "").replace("<sip:alice@192.0.2.1>", "<sip:alice@192.0.2.1>;tag=1"),
        ask("CANCEL", ""),
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n\
         To: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n"
            .into(),
    ];
    let mut rng = testkit::Rng::new(1);
    let mut random = move |below: usize| rng.below(below);
    let from = PEER.parse().unwrap();
    let now = world.now;
    let mut rang = 0;
    for round in 0..10_000 {
        let bytes: Vec<u8> = if round % 3 == 0 {
            (0..random(400)).map(|_| random(256) as u8).collect()
        } else {
            let mut bytes = seeds[random(seeds.len())].clone().into_bytes();
            for _ in 0..=random(8) {
                let at = random(bytes.len());
                match random(4) {
                    0 => bytes[at] = random(256) as u8,
                    1 => bytes.truncate(at.max(1)),
                    2 => {
                        bytes.remove(at);
                    }
                    _ => bytes.insert(at, b"\r\n;,<>\":@ \0="[random(12)]),
                }
                if bytes.is_empty() {
                    break;
                }
            }
            bytes
        };
        world.phones[0].agent.handle_datagram(from, &bytes, now);
        world.drain();
        for event in world.events(0) {
            // A mutation that leaves a whole INVITE behind may ring, as that INVITE would have.
            if let Event::Incoming { call, .. } = event {
                assert!(
                    bytes.starts_with(b"INVITE "),
                    "{}",
                    String::from_utf8_lossy(&bytes)
                );
                rang += 1;
                world.with(0, |alice, now| alice.reject(call, 486, now));
                world.events(0);
            }
        }
    }
    assert!(rang < 3000);
    let counters = world.counters(0);
    assert!(counters.malformed > 5000, "{counters:?}");
    world.loses = Box::new(|_| false);
    world.assert_empty();
    // And the phone still takes a call.
    let mut good = world;
    good.inbox.clear();
    good.send(
        PEER,
        0,
        Ask {
            branch: "z9hG4bKgood",
            call_id: "good",
            ..Ask::invite()
        }
        .text(),
    );
    good.response(100);
    good.incoming(0);
}

#[test]
fn a_route_and_a_utf8_name_are_accepted() {
    let mut world = World::alone();
    let text = Ask::invite()
        .text()
        .replace("\"Peer\"", "\"Jürgen 東京\"")
        .replace("Max-Forwards", "Route: <sip:192.0.2.1;lr>\r\nMax-Forwards");
    world.send(PEER, 0, text);
    world.response(100);
    assert!(
        matches!(&world.events(0)[..], [Event::Incoming { from, .. }] if from == "Jürgen 東京")
    );
}
