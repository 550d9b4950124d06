//! The layer seen whole.

use super::*;

fn request(text: &str) -> Request {
    match Message::parse(text.as_bytes()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

const INVITE: &str = "INVITE sip:bob@[2001:db8::1]:5070;transport=tcp SIP/2.0\r\n\
v: SIP/2.0/UDP 192.0.2.1:5061;branch=z9hG4bKa;rport, SIP/2.0/TCP host;branch=z9hG4bKb\r\n\
f: \"A, \\\"B\\\"\"\r\n <sip:a@example.com>;tag=1\r\n\
t: tel:+1-201-555-0123\r\n\
i: x@y\r\n\
CSeq: 1 INVITE\r\n\
X-Odd: kept\r\n\
l: 4\r\n\r\n\0\r\nz";

#[test]
fn an_invite_in_compact_form() {
    let invite = request(INVITE);
    assert_eq!(invite.method, Method::Invite);
    assert_eq!(invite.headers.from().unwrap().display.as_deref(), Some("A, \"B\""));
    assert_eq!(invite.headers.vias().unwrap().len(), 2);
    assert_eq!(invite.headers.get("x-odd"), Some("kept"));
    assert_eq!(invite.body.len(), 4);
    let again = Message::parse(&invite.to_bytes()).unwrap();
    assert_eq!(again, Message::Request(invite));
}
