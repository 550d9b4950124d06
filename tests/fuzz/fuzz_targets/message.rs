//! SIP messages: reading never panics, and what we write of a message we read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip::message::Message;

fuzz_target!(|data: &[u8]| {
    let Ok(message) = Message::parse(data) else {
        return;
    };
    let written = message.to_bytes();
    let again = Message::parse(&written).expect("what we write can be read");
    assert_eq!(again.to_bytes(), written, "writing is stable");
});
