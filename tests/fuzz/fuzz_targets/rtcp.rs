//! RTCP of the far end (RFC 3550), extended reports (RFC 3611) among it: what is read is finite.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media::rtcp::RtcpSession;

fuzz_target!(|data: &[u8]| {
    let now = testkit::start_instant();
    let mut session = RtcpSession::new(7, "fuzz", (now, 0xE000_0000_0000_0000), 1, now);
    session.set_extended(types::RtcpXr::ALL);
    // Lengths of compound packets: each piece is a datagram of its own.
    for (number, packet) in data.split(|&byte| byte == 0xFF).enumerate() {
        let arrival = now + std::time::Duration::from_millis(number as u64 * 10);
        let _ = session.handle(packet, arrival);
    }
    let _ = session.handle(data, now);
});
