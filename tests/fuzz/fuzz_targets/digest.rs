//! Digest challenges of a registrar or proxy (RFC 7616, RFC 8760).
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip::digest;
use sip::message::Message;

fuzz_target!(|data: &[u8]| {
    let mut response =
        b"SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\n\
        From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n\
        WWW-Authenticate: "
            .to_vec();
    response.extend(data.iter().filter(|byte| !matches!(byte, b'\r' | b'\n')));
    response.extend(b"\r\nContent-Length: 0\r\n\r\n");
    if let Ok(Message::Response(response)) = Message::parse(&response) {
        let challenges = digest::challenges(&response.headers);
        let count = challenges.len();
        assert!(digest::choose(challenges).len() <= count);
    }
});
