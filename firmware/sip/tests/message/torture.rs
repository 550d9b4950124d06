//! RFC 4475 and RFC 5118: the messages at hand by their manifest, and the RFC's other defects in
//! messages of our own.

use sip::message::{Fault, HeaderError, Message, Method};
use testkit::data;

use crate::reader::exercise;

/// Every case does what its verdict says, as far as a parser can know: what is valid is read; what
/// is refused is answered with a code the manifest accepts, and answered at all where silence would
/// be wrong.
#[test]
fn manifest() {
    let Some(folder) = data::find("torture::manifest", "sip-torture") else {
        return;
    };
    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let cases = manifest["cases"].as_array().unwrap();
    assert!(cases.len() >= 30, "only {} cases", cases.len());
    let mut refused = Vec::new();
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let bytes = std::fs::read(folder.join(case["file"].as_str().unwrap())).unwrap();
        let list = |key: &str| -> Vec<&str> {
            case[key]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|v| v.as_str())
                .collect()
        };
        let (accept, fail) = (list("phone_accept"), list("phone_fail"));
        match exercise(&bytes) {
            Ok(message) => {
                assert_ne!(case["category"], "invalid", "{name} was read");
                match &message {
                    Message::Request(request) => {
                        assert_eq!(case["method"], request.method.as_str(), "{name}");
                    }
                    Message::Response(_) => assert!(case["method"].is_null(), "{name}"),
                }
            }
            Err(error) => {
                refused.push(name);
                assert_ne!(case["category"], "valid", "{name}: {error}");
                match error.answer("127.0.0.1:5060".parse().unwrap(), "t", None) {
                    Some(answer) => assert!(
                        accept.contains(&answer.code().to_string().as_str()),
                        "{name}: {} {error}",
                        answer.code()
                    ),
                    None => assert!(
                        accept.contains(&"drop") && !fail.contains(&"no-response"),
                        "{name}: no answer to {error}"
                    ),
                }
            }
        }
    }
    for name in [
        "badinv01",
        "clerr",
        "scalar02",
        "ltgtruri",
        "trws",
        "badaspec",
        "badvers",
        "mismatch01",
        "multi01",
    ] {
        assert!(refused.contains(&name), "{name} was read");
    }
}

/// The details the RFC points out in its valid messages.
#[test]
fn valid_messages_are_read_right() {
    let Some(folder) = data::find("torture::valid_messages_are_read_right", "sip-torture") else {
        return;
    };
    let read = |name: &str| match Message::parse(&std::fs::read(folder.join(name)).unwrap()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{name}: {other:?}"),
    };
    let wsinv = read("rfc4475/wsinv.dat");
    assert_eq!(
        wsinv.headers.from().unwrap().display.as_deref(),
        Some(r#"J Rosenberg \""#)
    );
    assert_eq!(wsinv.headers.to().unwrap().tag(), Some("1918181833n"));
    assert_eq!(wsinv.headers.number("Max-Forwards"), Some(68));
    assert_eq!(wsinv.headers.cseq().unwrap().to_string(), "9 INVITE");
    let vias = wsinv.headers.vias().unwrap();
    assert_eq!(
        vias.iter()
            .map(sip::message::Via::transport)
            .collect::<Vec<_>>(),
        ["UDP", "TCP", "UDP"]
    );
    assert_eq!(
        vias.iter().filter_map(|v| v.branch()).collect::<Vec<_>>(),
        ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"]
    );
    assert_eq!(vias[0].cookie_branch(), None);
    assert_eq!(
        wsinv.headers.get("NewFangledHeader"),
        Some("newfangled value continued newfangled value")
    );
    assert_eq!(wsinv.headers.get("Subject"), Some(""));
    let contact = wsinv.headers.sip_contact().unwrap();
    assert_eq!(
        (contact.display.as_deref(), contact.params.get("q")),
        (Some("Quoted string \"\""), Some("0.33"))
    );
    assert_eq!(wsinv.body.len(), 150);

    let esc01 = read("rfc4475/esc01.dat");
    assert_eq!(esc01.uri.user().as_deref(), Some("sips:user@example.com"));
    let contact = esc01.headers.sip_contact().unwrap();
    let params = contact.uri.as_sip().unwrap().params().to_string();
    assert_eq!(params, ";%6C%72;n%61me=v%61lue%25%34%31");

    let dblreq = read("rfc4475/dblreq.dat");
    assert_eq!((dblreq.method, dblreq.body.len()), (Method::Register, 0));

    let badbranch = read("rfc4475/badbranch.dat");
    assert_eq!(badbranch.headers.top_via().unwrap().cookie_branch(), None);

    let port = read("rfc5118-wire/port-unambiguous.dat");
    let uri = port.uri.as_sip().unwrap();
    assert_eq!(
        (uri.host().ip(), uri.port()),
        (Some("2001:db8::10".parse().unwrap()), Some(5070))
    );
    let received = read("rfc5118-wire/via-received-param-no-delim.dat")
        .headers
        .top_via()
        .unwrap()
        .received();
    assert_eq!(received, Some("2001:db8::9:255".parse().unwrap()));
}

/// A good request with some lines exchanged: `(start of the line, its replacement)`; an empty
/// replacement takes the line out.
fn request(changes: &[(&str, &str)]) -> Vec<u8> {
    let good = [
        "OPTIONS sip:user@example.com SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKx",
        "Max-Forwards: 70",
        "From: <sip:a@example.net>;tag=1",
        "To: <sip:user@example.com>",
        "Call-ID: c@192.0.2.9",
        "CSeq: 1 OPTIONS",
        "Content-Length: 0",
    ];
    let mut lines: Vec<&str> = good.to_vec();
    for (from, to) in changes {
        match lines.iter_mut().find(|l| l.starts_with(from)) {
            Some(line) => *line = to,
            None => panic!("no line begins with {from}"),
        }
    }
    let mut text: String = lines
        .iter()
        .filter(|l| !l.is_empty())
        .flat_map(|l| [l, "\r\n"])
        .collect();
    text.push_str("\r\n");
    text.into_bytes()
}

/// What the parser finds, and the code it is answered with (0: dropped).
fn fault(bytes: &[u8]) -> (Fault, u16) {
    let error = exercise(bytes).expect_err(&String::from_utf8_lossy(bytes));
    let code = error
        .answer("192.0.2.9:5060".parse().unwrap(), "t", None)
        .map_or(0, |a| a.code());
    (error.fault, code)
}

#[test]
fn the_good_request_is_good() {
    exercise(&request(&[])).unwrap();
}

#[test]
fn strange_but_valid() {
    for changes in [
        // 3.1.1.2: every token character in the method, every unreserved one in the user.
        &[
            (
                "OPTIONS",
                "!my-Odd.Method_*+`%'~ \
                 sip:1_a.b~(c!d)&e'f+g$/h?,/;;*:&i+j=1,k!*pas$wo~d_too.(x'y)@example.com SIP/2.0",
            ),
            ("CSeq", "CSeq: 1 !my-Odd.Method_*+`%'~"),
        ][..],
        // 3.1.1.4, 3.1.1.5: NUL by escape; percent signs that are no escapes in a method and a
        // name.
        &[("From", "From: <sip:null-%00-null@example.com>;tag=1")],
        &[
            ("OPTIONS", "O%50TIONS sip:example.com SIP/2.0"),
            ("CSeq", "CSeq: 1 O%50TIONS"),
            ("From", "From: \"%Z%45\" <sip:x@y>;tag=1"),
        ],
        // 3.1.1.9: a semicolon in the user.
        &[(
            "OPTIONS",
            "OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0",
        )],
        // 3.3.3, 3.3.4: schemes no one knows; 416 is the agent's to say.
        &[("OPTIONS", "OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0")],
        &[("Max-Forwards", "Max-Forwards: 0")],
        &[("Max-Forwards", "")],
        // No tag in From, no Content-Length: RFC 2543.
        &[
            ("From", "From: <sip:a@example.net>"),
            ("Content-Length", ""),
        ],
        &[(
            "From",
            "From: J\u{fc}rgen [B\u{fc}ro] <sip:a@example.net>;tag=1",
        )],
        &[("Call-ID", "Call-ID: ()<>:\\\"/[]?{}")],
        &[("To", "To: tel:+1-201-555-0123;phone-context=x")],
        &[(
            "Via",
            "Via: SIP/2.0/UDP [2001:db8::9]:6050;branch=z9hG4bKx;received=[2001:db8::1];rport",
        )],
        &[("Max-Forwards", "Contact: *")],
    ] {
        let bytes = request(changes);
        if let Err(error) = exercise(&bytes) {
            panic!("{changes:?}: {error}");
        }
    }
}

#[test]
fn odd_uris_come_apart_right() {
    let Ok(Message::Request(request)) = Message::parse(&request(&[(
        "OPTIONS",
        "OPTIONS sip:1_a.b~(c!d)&e'f+g$/h?,/;;*:&i+j=1,k!*pas$wo~d_too.(x'y)@example.com;lr \
         SIP/2.0",
    )])) else {
        panic!("not read");
    };
    let uri = request.uri.as_sip().unwrap();
    assert_eq!(uri.user().as_deref(), Some("1_a.b~(c!d)&e'f+g$/h?,/;;*"));
    let written = uri.to_string();
    assert!(written.contains(";;*:&i+j=1,k!*pas$wo~d_too.(x'y)@example.com"));
    assert_eq!(
        (uri.host().to_string().as_str(), uri.params().has("lr")),
        ("example.com", true)
    );
}

#[test]
fn each_defect_has_its_fault_and_status() {
    use HeaderError::{Duplicate, Missing};
    let is_value = |found: &Fault, header: &str| {
        matches!(found,
            Fault::Header(HeaderError::Value { name, .. }) if *name == header)
    };

    // 3.3.1 and each essential header alone.
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        let (found, code) = fault(&request(&[(name, "")]));
        let answered = if name == "Via" || name == "CSeq" {
            0
        } else {
            400
        };
        assert_eq!((found, code), (Fault::Header(Missing(name)), answered));
    }
    // 3.3.8 and 3.3.9: doubled single headers.
    for (name, again) in [
        ("From", "f: <sip:b@c>"),
        ("To", "t: <sip:b@c>"),
        ("Call-ID", "I: 2"),
        ("CSeq", "cseq: 2 OPTIONS"),
        ("Content-Length", "l: 0"),
    ] {
        let (found, code) = fault(&request(&[("Max-Forwards", again)]));
        assert_eq!((found, code), (Fault::Header(Duplicate(name)), 400));
    }
    // 3.1.2.3, 3.1.2.4, 3.1.2.6, 3.1.2.15, bad Via and Call-ID.
    for (name, line) in [
        ("Content-Length", "Content-Length: -999"),
        ("Content-Length", "Content-Length: 99999999999999999999999"),
        ("CSeq", "CSeq: 36893488147419103232 OPTIONS"),
        ("CSeq", "CSeq: OPTIONS"),
        ("To", "To: \"Mr. J. User <sip:j.user@example.com>"),
        (
            "From",
            "From: Bell, Alexander <sip:a.g.bell@example.com>;tag=43",
        ),
        ("To", "To: \"Watson\" < sip:t.watson@example.org >"),
        ("From", "From: <sip:a@b>;tag=1;;"),
        ("From", "From: sip:a@b?x=y;tag=1"),
        ("From", "From: <sip:a@b:99999>;tag=1"),
        ("From", "From: <sip:a@b:+1>;tag=1"),
        ("From", "From: <sip:a%zz@b>;tag=1"),
        ("From", "From: <sip:@b>;tag=1"),
        ("Call-ID", "Call-ID:"),
        ("Call-ID", "Call-ID: a b"),
        ("Via", "Via: SIP/2.0/UDP 192.0.2.15;;,;,,"),
        ("Via", "Via: SIP/2.0/UDP 192.0.2.15;=x"),
    ] {
        let (found, code) = fault(&request(&[(name, line)]));
        assert!(is_value(&found, name), "{line}: {found}");
        assert_eq!(code, 400, "{line}");
    }
    // A Via that names no host leads no answer anywhere.
    for via in [
        "Via: SIP/2.0/UDP",
        "Via: ,",
        "Via: SIP/2.0/UDP ;branch=z9hG4bKx",
        "Via: HTTP/1.1/TCP a",
        "Via: SIP/2.0/UDP [::1",
    ] {
        assert_eq!(fault(&request(&[("Via", via)])).1, 0, "{via}");
    }
    // 3.1.2.7 to 3.1.2.11: the Request-URI.
    for line in [
        "OPTIONS <sip:user@example.com> SIP/2.0",
        "OPTIONS sip:user@example.com; lr SIP/2.0",
        "OPTIONS  sip:user@example.com  SIP/2.0",
        "OPTIONS sip: SIP/2.0",
        "OPTIONS user SIP/2.0",
        "OPTIONS sip:a@[2001:db8::10 SIP/2.0",
        "OPTIONS tel: SIP/2.0",
    ] {
        let (found, code) = fault(&request(&[("OPTIONS", line)]));
        assert!(matches!(found, Fault::RequestUri(_)), "{line}: {found}");
        assert_eq!(code, 400, "{line}");
    }
    let at_start = |line: &str| fault(&request(&[("OPTIONS", line)]));
    assert_eq!(
        at_start("OPTIONS sip:a@b?Route=%3Csip:c%3E SIP/2.0"),
        (Fault::RequestUriHeaders, 400)
    );
    assert_eq!(
        at_start("OPTIONS sip:a@b SIP/2.0  "),
        (Fault::StartLine, 400)
    );
    assert_eq!(
        at_start("OPTIONS sip:a@b\r\n  SIP/2.0"),
        (Fault::StartLine, 400)
    );
    assert_eq!(at_start("OPTIONS sip:a@b SIP/3.0"), (Fault::Version, 505));
    assert_eq!(at_start("GET / HTTP/1.1"), (Fault::NotSip, 0));
    // 3.1.2.17, 3.1.2.18.
    assert_eq!(
        fault(&request(&[("CSeq", "CSeq: 1 INVITE")])),
        (Fault::CSeqMethod, 400)
    );
    assert_eq!(
        at_start("NEWMETHOD sip:a@b SIP/2.0"),
        (Fault::CSeqMethod, 400)
    );
    assert_eq!(
        at_start("options sip:a@b SIP/2.0"),
        (Fault::CSeqMethod, 400)
    );
    // 3.1.2.2.
    assert_eq!(
        fault(&request(&[
            ("OPTIONS", "INVITE sip:user@example.com SIP/2.0"),
            ("CSeq", "CSeq: 1 INVITE"),
            ("Content-Length", "l: 9999"),
        ])),
        (
            Fault::Truncated {
                announced: 9999,
                present: 0
            },
            400
        )
    );
    let with_body = |announced: usize, body: &str| {
        [
            request(&[("Content-Length", &format!("l: {announced}"))]),
            body.into(),
        ]
        .concat()
    };
    let Ok(Message::Request(short)) = Message::parse(&with_body(21, "v=0\r\n")) else {
        panic!("a rewritten body is refused")
    };
    assert_eq!(*short.body, b"v=0\r\n");
    assert_eq!(
        fault(&with_body(22, "v=0\r\n")),
        (
            Fault::Truncated {
                announced: 22,
                present: 5
            },
            400
        )
    );
    // A datagram cut within a line, and one that only lacks the empty line.
    let whole = request(&[]);
    assert_eq!(fault(&whole[..whole.len() - 4]), (Fault::NoEnd, 400));
    exercise(&whole[..whole.len() - 2]).unwrap();
    // An ACK is never answered, whatever is wrong with it.
    assert_eq!(
        fault(&request(&[("OPTIONS", "ACK sip:a@b SIP/2.0")])),
        (Fault::CSeqMethod, 0)
    );
    // Lines.
    assert_eq!(
        fault(&request(&[("Max-Forwards", "no header")])),
        (Fault::HeaderLine { line: 3 }, 400)
    );
    assert_eq!(
        fault(&request(&[("Max-Forwards", "a b: c")])),
        (Fault::HeaderLine { line: 3 }, 400)
    );
    assert_eq!(
        fault(&request(&[("Max-Forwards", "A: b\rEvil: c")])),
        (Fault::Control { line: 3 }, 400)
    );
    assert_eq!(
        fault(&request(&[("Max-Forwards", "A: \0")])),
        (Fault::Control { line: 3 }, 400)
    );
}

#[test]
fn bounds() {
    use sip::message::{MAX_HEADERS, MAX_LINE, MAX_MESSAGE};
    let line = |length: usize| format!("A: {}", "x".repeat(length - 1));
    exercise(&request(&[("Max-Forwards", &line(MAX_LINE))])).unwrap();
    assert_eq!(
        fault(&request(&[("Max-Forwards", &line(MAX_LINE + 1))])),
        (Fault::LineTooLong { line: 3 }, 400)
    );
    let many = |count: usize| vec!["A: b"; count].join("\r\n");
    exercise(&request(&[("Max-Forwards", &many(MAX_HEADERS - 5))])).unwrap();
    assert_eq!(
        fault(&request(&[("Max-Forwards", &many(MAX_HEADERS + 1))])).0,
        Fault::TooManyHeaders
    );
    let with_body = |length: usize| {
        let mut bytes = request(&[("Content-Length", "")]);
        bytes.resize(length, b'x');
        bytes
    };
    exercise(&with_body(MAX_MESSAGE)).unwrap();
    assert_eq!(fault(&with_body(MAX_MESSAGE + 1)), (Fault::TooLong, 0));
    assert_eq!(fault(b"\r\n\r\n"), (Fault::Empty, 0));
    assert_eq!(fault(b""), (Fault::Empty, 0));
}

#[test]
fn responses() {
    let response = |line: &str| {
        let bytes = request(&[("OPTIONS", line)]);
        exercise(&bytes).map(|m| match m {
            Message::Response(r) => (r.code(), r.reason().to_owned()),
            Message::Request(_) => panic!("{line} is no request"),
        })
    };
    assert_eq!(response("SIP/2.0 100 "), Ok((100, String::new())));
    assert_eq!(response("SIP/2.0 486"), Ok((486, String::new())));
    assert_eq!(
        response("sip/2.0 200 = 2**3 * 5**2 но"),
        Ok((200, "= 2**3 * 5**2 но".to_owned()))
    );
    for bad in [
        "SIP/2.0 4294967301 better not",
        "SIP/2.0 99 x",
        "SIP/2.0 700 x",
        "SIP/2.0 2x0 x",
        "SIP/2.0  200 OK",
        "SIP/7.0 200 OK",
    ] {
        let error = response(bad).expect_err(bad);
        assert!(error.salvage.is_none(), "{bad} would be answered");
    }
    // 3.1.2.5: an overflowing CSeq in a response.
    let bytes = request(&[
        ("OPTIONS", "SIP/2.0 503 x"),
        ("CSeq", "CSeq: 9292394834772304023312 OPTIONS"),
    ]);
    assert_eq!(fault(&bytes).1, 0);
}

/// An answer to a bad request carries the request's own headers, the Via stamped, the To with our
/// tag.
#[test]
fn responses_to_bad_requests_are_addressed() {
    let bytes = request(&[
        (
            "Via",
            "Via: SIP/2.0/UDP host.invalid;rport;branch=z9hG4bKx, SIP/2.0/TCP b",
        ),
        ("CSeq", "CSeq: 1 INVITE"),
    ]);
    let answer = Message::parse(&bytes)
        .unwrap_err()
        .answer("192.0.2.77:4444".parse().unwrap(), "ours", None)
        .unwrap();
    assert_eq!(
        (answer.code(), answer.reason()),
        (400, "CSeq method does not match the request")
    );
    let via = answer.headers.top_via().unwrap();
    assert_eq!(
        via.reply_address(),
        Some("192.0.2.77:4444".parse().unwrap())
    );
    assert_eq!(answer.headers.via_count(), 2);
    assert_eq!(answer.headers.to().unwrap().tag(), Some("ours"));
    assert_eq!(answer.headers.get("CSeq"), Some("1 INVITE"));
    assert_eq!(answer.headers.call_id(), Ok("c@192.0.2.9"));
}
