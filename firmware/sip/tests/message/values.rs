//! Addresses, Via, `CSeq`, headers: values taken apart, compared and put together.

use sip::message::{
    CSeq, Headers, Host, MediaType, Message, Method, NameAddr, Response, SipUri, Uri, UriError,
    Via, reason_phrase,
};

fn uri(text: &str) -> Uri {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// RFC 3261 19.1.4, its examples and rules.
#[test]
fn addresses_that_match() {
    for (a, b) in [
        (
            "sip:%61lice@atlanta.com;transport=TCP",
            "sip:alice@AtLanTa.CoM;Transport=tcp",
        ),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        (
            "sip:carol@chicago.com;newparam=5",
            "sip:carol@chicago.com;security=on",
        ),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:a@[2001:db8::1]", "sip:a@[2001:DB8:0::1]"),
        ("SIP:a@b", "sip:a@b"),
        ("sip:a%3bb@c", "sip:a%3Bb@c"),
        ("sip:a@b;lr", "sip:a@b"),
        ("tel:+1-201-555-0123", "tel:+1(201)5550123"),
        ("tel:123;phone-context=a.b", "tel:123;phone-context=A.B"),
        ("HTTP://x/y", "http://x/y"),
    ] {
        assert!(
            uri(a).matches(&uri(b)) && uri(b).matches(&uri(a)),
            "{a} and {b}"
        );
    }
    for (a, b) in [
        (
            "SIP:ALICE@AtLanTa.CoM;Transport=udp",
            "sip:alice@AtLanTa.CoM;Transport=UDP",
        ),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        (
            "sip:bob@biloxi.com",
            "sip:bob@biloxi.com:6000;transport=tcp",
        ),
        (
            "sip:carol@chicago.com",
            "sip:carol@chicago.com?Subject=next%20meeting",
        ),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        (
            "sip:carol@chicago.com;security=on",
            "sip:carol@chicago.com;security=off",
        ),
        ("sip:a@b", "sips:a@b"),
        ("sip:a@b", "sip:b"),
        ("sip:a@b", "sip:a:pw@b"),
        ("sip:a@b", "sip:a@b;user=phone"),
        ("sip:a@b", "sip:a@b;maddr=c"),
        ("sip:a@b", "sip:a@b;ttl=1"),
        ("sip:a@b", "sip:a@b;method=INVITE"),
        ("sip:a%3Bb@c", "sip:a;b@c"),
        ("tel:123", "tel:124"),
        ("tel:123", "tel:123;ext=4"),
        ("tel:123", "sip:123@h"),
        ("http://x/y", "http://x/Y"),
    ] {
        assert!(
            !uri(a).matches(&uri(b)) && !uri(b).matches(&uri(a)),
            "{a} and {b}"
        );
    }
}

#[test]
fn addresses_are_written_as_they_were_read() {
    for text in [
        "sip:alice:secret@example.com:5061;transport=TLS;LR;x=%41?Replaces=a%40b&X=",
        "sips:%61@[2001:db8::1]:5061",
        "sip:*97@10.0.0.1",
        "sip:#31#0123@host_with_underscore",
        "tel:+1-201-555-0123;phone-context=example.com",
        "urn:service:sos",
    ] {
        assert_eq!(uri(text).to_string(), text);
    }
    assert_eq!(uri("tel:+1-(201).555").user().as_deref(), Some("+1201555"));
    assert_eq!(uri("urn:service:sos").scheme(), "urn");
}

#[test]
fn what_is_no_address_says_why() {
    for (text, why) in [
        ("alice", UriError::Scheme),
        (":x", UriError::Scheme),
        ("1sip:x", UriError::Scheme),
        ("sip:", UriError::Host),
        ("sip:a@", UriError::Host),
        ("sip:a@b@c", UriError::Host),
        ("sip:a@b_c!", UriError::Host),
        ("sip:[::1", UriError::Host),
        ("sip:[1.2.3.4]", UriError::Host),
        ("sip:2001:db8::1", UriError::Port),
        ("sip:-a", UriError::Host),
        ("sip:@b", UriError::User),
        ("sip:a@b:", UriError::Port),
        ("sip:a@b:65536", UriError::Port),
        ("sip:a@b:+5", UriError::Port),
        ("sip:a%4@b", UriError::Escape),
        ("sip:a b@c", UriError::Character),
        ("sip:a@b\r\nX: y", UriError::Character),
        ("sip:a@b;c=\"d\"", UriError::Character),
        ("sip:a@b?c", UriError::Header),
        ("sip:a@b?=c", UriError::Header),
        ("tel:", UriError::Number),
        ("tel:+", UriError::Number),
        ("tel:alice", UriError::Number),
    ] {
        assert_eq!(Uri::parse(text), Err(why), "{text}");
    }
    assert!(matches!(
        Uri::parse("sip:a@b;;"),
        Err(UriError::Parameter(_))
    ));
}

#[test]
fn built_addresses_escape_what_they_hold() {
    let built = SipUri::new(Host::parse("example.com").unwrap())
        .with_user("a b@\r\n#1")
        .with_port(Some(5070))
        .with_param("x y", Some("1;2"));
    let text = built.to_string();
    assert_eq!(text, "sip:a%20b%40%0D%0A%231@example.com:5070;xy=1%3B2");
    assert_eq!(uri(&text).user().as_deref(), Some("a b@\u{fffd}\u{fffd}#1"));
    assert_eq!(
        SipUri::at("[::1]:5060".parse().unwrap()).to_string(),
        "sip:[::1]:5060"
    );
    let refer = uri("sip:a@b;method=INVITE;x?Replaces=c%3Bto-tag%3Dd");
    let refer = refer.as_sip().unwrap();
    assert_eq!(refer.header("replaces").as_deref(), Some("c;to-tag=d"));
    assert_eq!(refer.clone().for_request().to_string(), "sip:a@b;x");
}

/// RFC 3261 18.2.1 and 18.2.2, RFC 3581 section 4.
#[test]
fn answers_go_where_the_request_came_from() {
    let reply = |via: &str, source: &str| {
        let mut via = Via::parse(via).unwrap();
        via.stamp(source.parse().unwrap());
        (
            via.reply_address().map(|a| a.to_string()),
            via.params().to_string(),
        )
    };
    let some = |address: &str, params: &str| (Some(address.to_owned()), params.to_owned());
    let v = "SIP/2.0/UDP ";
    assert_eq!(
        reply(&format!("{v}192.0.2.1:5070"), "192.0.2.1:9"),
        some("192.0.2.1:5070", "")
    );
    assert_eq!(
        reply(&format!("{v}192.0.2.1"), "192.0.2.2:9"),
        some("192.0.2.2:5060", ";received=192.0.2.2")
    );
    assert_eq!(
        reply(&format!("{v}host.example"), "192.0.2.2:9"),
        some("192.0.2.2:5060", ";received=192.0.2.2")
    );
    assert_eq!(
        reply(&format!("{v}192.0.2.1;rport"), "192.0.2.1:9"),
        some("192.0.2.1:9", ";rport=9;received=192.0.2.1")
    );
    assert_eq!(
        reply(&format!("{v}192.0.2.1;rport=4"), "192.0.2.1:9"),
        some("192.0.2.1:9", ";rport=9;received=192.0.2.1")
    );
    assert_eq!(
        reply(&format!("{v}[2001:db8::1];rport"), "[2001:db8::2]:9"),
        some("[2001:db8::2]:9", ";rport=9;received=2001:db8::2")
    );
    assert_eq!(
        reply(&format!("{v}192.0.2.1"), "[::ffff:192.0.2.1]:9"),
        some("192.0.2.1:5060", "")
    );
    // Nothing a stranger writes turns our answers on a third party.
    assert_eq!(
        reply(
            &format!("{v}192.0.2.1;received=198.51.100.1"),
            "192.0.2.1:9"
        ),
        some("192.0.2.1:5060", "")
    );
    assert_eq!(
        reply(
            &format!("{v}198.51.100.1;maddr=198.51.100.2"),
            "192.0.2.1:9"
        )
        .0
        .as_deref(),
        Some("192.0.2.1:5060")
    );
    assert_eq!(reply(&format!("{v}192.0.2.1:0"), "192.0.2.1:9").0, None);
    assert_eq!(
        Via::parse("SIP/2.0/UDP host").unwrap().reply_address(),
        None
    );
}

#[test]
fn a_via_of_our_own() {
    let via = Via::new("UDP", "[2001:db8::1]:5060".parse().unwrap(), "z9hG4bKabc");
    assert_eq!(
        via.to_string(),
        "SIP/2.0/UDP [2001:db8::1]:5060;rport;branch=z9hG4bKabc"
    );
    assert_eq!(Via::parse(&via.to_string()).as_ref(), Ok(&via));
    assert_eq!(via.cookie_branch(), Some("z9hG4bKabc"));
    assert_eq!(
        Via::parse("SIP/2.0/udp a;branch=Z9HG4BKx")
            .unwrap()
            .cookie_branch(),
        Some("Z9HG4BKx")
    );
    assert_eq!(
        Via::parse("SIP/2.0/UDP a;branch=z9hG4bK")
            .unwrap()
            .cookie_branch(),
        None
    );
}

#[test]
fn names_and_addresses() {
    let read = |text: &str| NameAddr::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!(
        read("\"a\\\\\\\"b\" <sip:x>").display.as_deref(),
        Some("a\\\"b")
    );
    assert_eq!(
        read("A. B-C <sip:x>;tag=1").display.as_deref(),
        Some("A. B-C")
    );
    assert_eq!(read("\"\"<sip:x>").display, None);
    assert_eq!(read("<sip:x;tag=no>;tag=yes").tag(), Some("yes"));
    assert_eq!(read("sip:x;tag=yes").tag(), Some("yes"));
    assert_eq!(read("sip:x;tag=").tag(), None);
    assert_eq!(read("http://x/y?z").uri.scheme(), "http");
    for bad in [
        "",
        "<>",
        "<sip:x",
        "\"a <sip:x>",
        "a, b <sip:x>",
        "sip:x?y=z",
        "<sip:x> y",
        "\"a\" sip:x",
        "\"a\"b <sip:x>",
    ] {
        assert!(NameAddr::parse(bad).is_err(), "{bad:?}");
    }
    let built = NameAddr::new(uri("sip:x"))
        .with_display("Bell, \"A\"\r\n")
        .with_param("tag", Some("1"));
    assert_eq!(built.to_string(), "\"Bell, \\\"A\\\"\" <sip:x>;tag=1");
}

#[test]
fn headers_by_any_name_and_in_order() {
    let mut headers = Headers::default();
    headers.push("v", "SIP/2.0/UDP a, SIP/2.0/UDP b");
    headers.push("SUPPORTED", "100rel,timer , ");
    headers.push("k", "replaces");
    headers.push_front("Via", "SIP/2.0/UDP c");
    headers.push("Content-Length", 7);
    headers.push("", "lost");
    assert_eq!(headers.len(), 4);
    assert_eq!(
        headers.supported().collect::<Vec<_>>(),
        ["100rel", "timer", "replaces"]
    );
    assert!(headers.has_token("supported", "TIMER") && !headers.has_token("supported", "100"));
    let mut via = headers.top_via().unwrap();
    via.stamp("192.0.2.1:1".parse().unwrap());
    headers.set_top_via(&via);
    let vias: Vec<_> = headers.vias().unwrap().iter().map(Via::to_string).collect();
    assert_eq!(
        vias,
        [
            "SIP/2.0/UDP c;received=192.0.2.1",
            "SIP/2.0/UDP a",
            "SIP/2.0/UDP b"
        ]
    );
    headers.set("x", "1800;refresher=uac");
    headers.set("session-expires", "90;refresher=uas");
    headers.set("VIA", "SIP/2.0/UDP d");
    let all: Vec<_> = headers.iter().collect();
    assert_eq!(
        all,
        [
            ("VIA", "SIP/2.0/UDP d"),
            ("SUPPORTED", "100rel,timer ,"),
            ("k", "replaces"),
            ("session-expires", "90;refresher=uas")
        ]
    );
    assert_eq!(headers.number("Session-Expires"), Some(90));
    headers.remove("Supported");
    assert_eq!((headers.len(), headers.is_empty()), (2, false));
}

#[test]
fn numbers_and_types() {
    let one = |name: &str, value: &str| {
        let mut headers = Headers::default();
        headers.push(name, value);
        headers
    };
    assert_eq!(
        one("Expires", "10000000000000000").expires(),
        Some(u32::MAX)
    );
    assert_eq!(one("Expires", "Thu, 01 Dec").expires(), Some(3600));
    assert_eq!(one("a", "b").expires(), None);
    let max_forwards = |text: &str| one("Max-Forwards", text).number("Max-Forwards");
    assert_eq!(max_forwards("0068"), Some(68));
    assert_eq!(max_forwards("-1"), None);
    assert_eq!(
        one("Retry-After", "120 (in a meeting)").number("Retry-After"),
        Some(120)
    );
    assert_eq!(one("Retry-After", "12x").number("Retry-After"), None);
    assert_eq!(one("Retry-After", "").number("Retry-After"), None);
    let media = one("c", "Application / SDP ;charset=\"x\"")
        .content_type()
        .unwrap()
        .unwrap();
    assert_eq!(
        (
            media.name.as_str(),
            media.params.text("charset").unwrap().as_ref()
        ),
        ("application/sdp", "x")
    );
    assert!(MediaType::parse("text").is_err() && MediaType::parse("a b/c").is_err());
    assert_eq!(
        CSeq::parse("0009 INVITE"),
        Ok(CSeq {
            number: 9,
            method: Method::Invite
        })
    );
    assert!(
        CSeq::parse("4294967296 INVITE").is_err()
            && CSeq::parse("1 A B").is_err()
            && CSeq::parse("INVITE").is_err()
    );
    assert_eq!(
        one("Allow", "INVITE, ACK,, F OO, FOO")
            .allow()
            .map(|m| m.to_string())
            .collect::<Vec<_>>(),
        ["INVITE", "ACK", "FOO"]
    );
    assert!(one("Contact", "*").get("Contact") == Some("*") && one("m", "*").contacts().is_err());
    assert_eq!(
        one("m", "mailto:a@b, <sip:c>;x").sip_contact().unwrap().uri,
        uri("sip:c")
    );
    assert!(one("m", "mailto:a@b").sip_contact().is_err());
}

#[test]
fn replies_and_phrases() {
    let text = "BYE sip:a SIP/2.0\r\nv: SIP/2.0/UDP a;branch=b\r\nv: SIP/2.0/UDP c\r\n\
                f: sip:x;tag=1\r\nt: sip:y\r\ni: 7\r\nCSeq: 2 BYE\r\nX: y\r\n\r\n";
    let Ok(Message::Request(request)) = Message::parse(text.as_bytes()) else {
        panic!("not read")
    };
    let reply = Response::reply(&request, 481, Some("t\r\n;x")).to_bytes();
    let expected = "SIP/2.0 481 Call/Transaction Does Not Exist\r\nv: SIP/2.0/UDP a;branch=b\r\n\
                    v: SIP/2.0/UDP c\r\nf: sip:x;tag=1\r\n\
                    To: sip:y;tag=tx\r\ni: 7\r\nCSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(String::from_utf8(reply).unwrap(), expected);
    let trying = Response::reply(&request, 100, None);
    assert_eq!(
        (
            trying.headers.to().unwrap().tag(),
            trying.is_provisional(),
            trying.is_success()
        ),
        (None, true, false)
    );
    assert_eq!(
        (
            Response::new(42, "x").code(),
            Response::new(299, "").reason()
        ),
        (500, "Success")
    );
    assert_eq!(
        (reason_phrase(486), reason_phrase(699)),
        ("Busy Here", "Global Failure")
    );
    assert_eq!(Response::new(200, "a\r\nb").reason(), "a  b");
}

#[test]
fn of_a_parameter_written_twice_the_last_one_counts() {
    let to = NameAddr::parse("<sip:a@b>;tag=one;x=1;TAG=two;x=2").unwrap();
    assert_eq!(to.tag(), Some("two"));
    assert_eq!(to.to_string(), "<sip:a@b>;x=1;TAG=two;x=2");
    assert_eq!(
        NameAddr::parse("sip:a@b;tag=one;tag=two").unwrap().tag(),
        Some("two")
    );
    let via =
        Via::parse("SIP/2.0/UDP 192.0.2.1;rport;branch=z;received=192.0.2.2;rport=9").unwrap();
    assert_eq!((via.rport(), via.branch()), (Some(9), Some("z")));
}
