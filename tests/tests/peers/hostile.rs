//! 10 000 random and mutated datagrams to the SIP and RTP ports in the middle of a call change
//! nothing but counters.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::time::Duration;

use testkit::Rng;

use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::kamailio::Kamailio;
use offhook_tests::speech::{Speaker, assert_heard, speech};
use testkit::process::TestDir;

const INVITE: &str = "INVITE sip:phone@127.0.0.1 SIP/2.0\r\n\
                      Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK77\r\nMax-Forwards: 70\r\n\
                      From: <sip:x@127.0.0.1>;tag=1\r\n\
To: <sip:phone@127.0.0.1>\r\nCall-ID: hostile\r\nCSeq: 1 INVITE\r\nContact: <sip:x@127.0.0.1:9>\r\n\
Content-Type: application/sdp\r\nContent-Length: 100\r\n\r\n\
v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
m=audio 9 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";

/// Half of them noise, half of them a valid packet with up to eight bytes changed and perhaps cut
/// short.
fn bad(valid: &[u8], rng: &mut Rng) -> Vec<u8> {
    let pick = |rng: &mut Rng, n: usize| (rng.next_u32() as usize) % n.max(1);
    if rng.next_u32().is_multiple_of(2) {
        return (0..pick(rng, 1200)).map(|_| rng.next_u32() as u8).collect();
    }
    let mut bytes = valid.to_vec();
    for _ in 0..=pick(rng, 8) {
        let at = pick(rng, bytes.len());
        bytes[at] = rng.next_u32() as u8;
    }
    if rng.next_u32().is_multiple_of(4) {
        bytes.truncate(pick(rng, bytes.len()));
    }
    bytes
}

#[test]
fn ten_thousand_bad_datagrams_change_only_counters() {
    let dir = TestDir::new("hostile");
    let alice = speech(&dir, Speaker::Alice, 8000, 1);
    // No direct calls: a mutated INVITE that is still well-formed comes from no one's flow and must
    // not ring.
    let kamailio = Kamailio::start(&dir, "MD5");
    let phone = |name: &str, user: &str, microphone: Option<PathBuf>| {
        DeskPhone::start(
            &dir,
            name,
            Setup {
                microphone,
                direct: Some(false),
                more: kamailio.account(user, &format!("secret{user}"), "udp"),
                ..Setup::default()
            },
        )
    };
    let (l, r) = (
        phone("l", "101", Some(alice.clone())),
        phone("r", "102", None),
    );
    for desk in [&l, &r] {
        desk.wait("registration", Duration::from_secs(8), |status| {
            status["lines"][0]["registered"] == true
        });
    }
    l.lift();
    l.press("102#");
    r.wait_state("ringing");
    r.lift();
    l.wait_state("talking");
    let before = r.status();
    let mut rng = Rng::new(2026);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let rtp: Vec<u8> = [0x80, 0, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4]
        .into_iter()
        .chain([0xff; 160])
        .collect();
    let rtcp: Vec<u8> = [0x80, 201, 0, 1, 1, 2, 3, 4].to_vec();
    for n in 0..10_000_u32 {
        let (port, valid): (u16, &[u8]) = match n % 3 {
            0 => (r.sip_port, INVITE.as_bytes()),
            1 => (r.rtp_ports.0 + (n / 3 % 8) as u16 * 2, &rtp),
            _ => (r.rtp_ports.0 + (n / 3 % 8) as u16 * 2 + 1, &rtcp),
        };
        socket
            .send_to(&bad(valid, &mut rng), ("127.0.0.1", port))
            .ok();
        if n % 10 == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    std::thread::sleep(Duration::from_secs(3));
    let after = r.status();
    assert_eq!(after["lines"][0]["registered"], true);
    for field in ["hook", "state", "tone"] {
        assert_eq!(before[field], after[field], "{field} changed");
    }
    assert_eq!(
        after["calls"].as_array().unwrap().len(),
        1,
        "a bad datagram made a call, or ended one: {after:#}"
    );
    assert_eq!(before["calls"][0]["id"], after["calls"][0]["id"]);
    assert!(
        after["counters"]["sip_malformed"].as_u64() > before["counters"]["sip_malformed"].as_u64(),
        "nothing was counted: {after:#}"
    );
    let ear = r.ear_now();
    l.hang_up();
    l.assert_usable();
    r.hang_up();
    r.wait("the call's end", Duration::from_secs(5), |status| {
        status["calls"].as_array().is_some_and(Vec::is_empty)
    });
    r.assert_usable();
    assert_heard(&dir, "speech during the flood", &alice, &ear);
}
