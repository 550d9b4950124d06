//! The layer seen whole: nothing in it costs more than its share of the message.

use std::hint::black_box;

use super::*;
use crate::stream::StreamReader;

/// What a message or stream is filled with, and how to make about so many bytes of it.
type Filling = (&'static str, fn(usize) -> Vec<u8>);

/// Work done by `run`, in bytes looked at.
fn work(run: impl FnOnce()) -> usize {
    let before = scan::WORK.get();
    run();
    scan::WORK.get() - before
}

/// Reads a message and all that can be asked of it.
fn read(bytes: &[u8]) {
    let message = match Message::parse(bytes) {
        Ok(message) => message,
        Err(error) => {
            black_box(error.answer(([192, 0, 2, 1], 5060).into(), "t", None));
            return;
        }
    };
    let headers = message.headers();
    for name in ["Contact", "Route", "Record-Route"] {
        for address in headers.addresses(name).unwrap_or_default() {
            black_box((
                address.tag(),
                address.uri.matches(&address.uri),
                address.to_string(),
            ));
        }
    }
    for via in headers.vias().unwrap_or_default() {
        black_box((via.branch(), via.received(), via.rport(), via.to_string()));
    }
    black_box((
        headers.sip_contact().is_ok(),
        headers.from().is_ok(),
        headers.to().is_ok(),
        headers.cseq().is_ok(),
    ));
    black_box((
        headers.expires(),
        headers.number("Max-Forwards"),
        headers.content_type().is_ok(),
        headers.allow().count(),
    ));
    black_box(crate::digest::choose(crate::digest::challenges(headers)));
    if let Message::Request(request) = &message {
        black_box(Response::reply(request, 200, Some("t")).to_bytes());
    }
    black_box(message.to_bytes());
}

/// A good request with `line` among its headers and `body` behind them.
fn with(line: &str, body: &str) -> Vec<u8> {
    format!(
        "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;branch=z9hG4bKd\r\nFrom: <sip:e@f>;tag=g\r\n\
         To: <sip:h@i>\r\nCall-ID: j\r\n\
         CSeq: 1 INVITE\r\n{line}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Twice the message, at most twice the work, whatever it is filled with.
#[test]
fn work_grows_with_size_and_no_faster() {
    let fillings: &[Filling] = &[
        ("one long value", |n| {
            with(&format!("A: {}", "x".repeat(n)), "")
        }),
        ("many headers", |n| with(&"a: b\r\n".repeat(n / 64), "")),
        ("many Via", |n| {
            with(&"v: SIP/2.0/UDP a;branch=b\r\n".repeat(n / 64), "")
        }),
        ("folds", |n| {
            with(&format!("A: b{}", "\r\n c".repeat(n / 4)), "")
        }),
        ("empty folds", |n| {
            with(&format!("A: b{}", "\r\n ".repeat(n / 3)), "")
        }),
        ("commas", |n| with(&format!("m: {}", ",".repeat(n)), "")),
        ("contacts", |n| {
            with(&format!("m: {}", "<sip:a@b>;c,".repeat(n / 12)), "")
        }),
        ("parameters", |n| {
            with(&format!("m: <sip:a@b>{}", ";c=d".repeat(n / 4)), "")
        }),
        ("semicolons", |n| {
            with(&format!("m: <sip:a@b>{}", ";".repeat(n)), "")
        }),
        ("parameters of an address", |n| {
            with(&format!("m: <sip:a@b{}>", ";c=d".repeat(n / 4)), "")
        }),
        ("headers of an address", |n| {
            with(&format!("m: <sip:a@b?{}>", "c=d&".repeat(n / 4)), "")
        }),
        ("quotes", |n| with(&format!("m: {}", "\"".repeat(n)), "")),
        ("escapes", |n| {
            with(&format!("m: \"{}\" <sip:a@b>", "\\\"".repeat(n / 2)), "")
        }),
        ("open brackets", |n| {
            with(&format!("m: {}", "<".repeat(n)), "")
        }),
        ("percent escapes", |n| {
            with(&format!("m: <sip:{}@b>", "%41".repeat(n / 3)), "")
        }),
        ("slashes", |n| with(&format!("v: {}", "/".repeat(n)), "")),
        ("challenges", |n| {
            with(
                &format!(
                    "WWW-Authenticate: {}",
                    "Digest realm=\"a\", ".repeat(n / 18)
                ),
                "",
            )
        }),
        ("fields of a challenge", |n| {
            with(
                &format!("WWW-Authenticate: Digest {}", "a=b, ".repeat(n / 5)),
                "",
            )
        }),
        ("methods", |n| {
            with(&format!("Allow: {}", "A,".repeat(n / 2)), "")
        }),
        ("Latin-1", |n| [with("A: ", ""), vec![0xfc; n]].concat()),
        ("a body", |n| with("A: b", &"x".repeat(n))),
        ("line ends", |n| "\r\n".repeat(n / 2).into_bytes()),
        ("colons without a name", |n| {
            with(&":\r\n".repeat(n / 3), "")
        }),
    ];
    for (name, filling) in fillings {
        let (small, large) = (filling(3500), filling(7000));
        let (few, many) = (work(|| read(&small)), work(|| read(&large)));
        assert!(
            many <= few * 2 + few / 8 + 2000,
            "{name}: {few} bytes looked at for {}, {many} for {}",
            small.len(),
            large.len()
        );
        assert!(
            many <= large.len() * 64,
            "{name}: {many} bytes looked at for {}",
            large.len()
        );
    }
}

/// A stream that comes byte by byte is not searched from its beginning each time.
#[test]
fn escaped_control_characters_are_quoted_pairs() {
    let message = |name: &str| {
        format!(
            "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;branch=z9hG4bKd\r\n\
             From: {name} <sip:e@f>;tag=g\r\nTo: <sip:h@i>\r\nCall-ID: j\r\nCSeq: 1 OPTIONS\r\n\r\n"
        )
    };
    for (name, good) in [
        ("\"a\\\u{7}b\"", true),
        ("\"a\\\0b\"", true),
        ("\"\\\"\\\u{1}\"", true),
        ("\"a\u{7}b\"", false),
        ("\"a\\\\\u{7}b\"", false),
        ("a\\\u{7}b", false),
        ("\"a\\\rb\"", false),
    ] {
        let parsed = Message::parse(message(name).as_bytes());
        assert_eq!(parsed.is_ok(), good, "{name:?}");
        // Reflected in a response it opens no line of its own.
        if let Ok(Message::Request(request)) = parsed {
            let response = Response::reply(&request, 200, None);
            let bytes = response.to_bytes();
            let lines = bytes.split(|byte| *byte == b'\n').count();
            assert_eq!(lines, response.headers.len() + 4);
        }
    }
}

#[test]
fn streams_cost_their_length() {
    let streams: &[Filling] = &[
        ("a head without end", |n| {
            with(&"A: b\r\n".repeat(n / 6), "")[..n].to_vec()
        }),
        ("a first line without end", |n| {
            format!("INVITE sip:{}", "a".repeat(n)).into_bytes()
        }),
        ("a long body", |n| with(&format!("l: {n}"), &"x".repeat(n))),
        ("many messages", |n| with("l: 0", "").repeat(n / 100)),
        ("keepalives", |n| "\r\n\r\n".repeat(n / 4).into_bytes()),
    ];
    for (name, stream) in streams {
        let cost = |bytes: &[u8]| {
            work(|| {
                let mut reader = StreamReader::default();
                for byte in bytes {
                    reader.push(&[*byte]);
                    while reader.poll().is_some_and(|frame| frame.is_ok()) {}
                }
            })
        };
        let (small, large) = (stream(4000), stream(8000));
        let (few, many) = (cost(&small), cost(&large));
        assert!(
            many <= few * 2 + few / 8 + 2000,
            "{name}: {few} bytes looked at for {}, {many} for {}",
            small.len(),
            large.len()
        );
        assert!(
            many <= large.len() * 16,
            "{name}: {many} bytes looked at for {}",
            large.len()
        );
    }
}

/// An owner that takes one frame a push, though many wait, does not make the rest be moved each
/// time.
#[test]
fn waiting_frames_are_not_moved_again_and_again() {
    let cost = |messages: usize| {
        work(|| {
            let mut reader = StreamReader::default();
            reader.push(&with("l: 0", "").repeat(messages));
            for _ in 0..messages {
                assert!(matches!(reader.poll(), Some(Ok(_))));
                reader.push(b"");
            }
            assert_eq!(reader.waiting(), 0);
        })
    };
    let (few, many) = (cost(200), cost(400));
    assert!(
        many <= few * 2 + few / 8,
        "{few} bytes moved or looked at for 200 messages, {many} for 400"
    );
}
