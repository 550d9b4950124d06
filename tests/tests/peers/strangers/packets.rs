//! Media packets of strangers, and what they get for them.
//!
//! Wall clock: the phone is a process of its own.

use std::net::UdpSocket;
use std::time::Duration;

use offhook_tests::desk_phone::{DeskPhone, Setup};
use testkit::process::TestDir;

use super::scanner::ELSEWHERE;

/// One packet of 20 ms µ-law.
fn rtp(ssrc: u8, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend([ssrc; 4]);
    packet.extend([0x9C; 160]);
    packet
}

/// RTP packets of sound that came to this socket.
fn sound_at(socket: &UdpSocket) -> usize {
    let mut buffer = [0; 2048];
    std::iter::from_fn(|| socket.recv_from(&mut buffer).ok())
        .filter(|(length, _)| *length > 100)
        .count()
}

/// The caller announces an address that leads nowhere and sends from its own, as behind a NAT;
/// before it somebody else sends two packets to every port, and goes on to send.
#[test]
fn blind_packets_get_no_sound_and_keep_no_one_out() {
    let dir = TestDir::new("blind-rtp");
    let desk = DeskPhone::start(&dir, "desk", Setup::default());
    let bound = |ip: &str| {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    };
    let (caller, announced) = (bound("127.0.0.2"), bound("127.0.0.3"));
    let (media, blind) = (bound("127.0.0.2"), bound(ELSEWHERE));
    let port = |socket: &UdpSocket| socket.local_addr().unwrap().port();
    let offer = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.3\r\ns=-\r\nc=IN IP4 127.0.0.3\r\nt=0 0\r\n\
         m=audio {} RTP/AVP 0\r\n",
        port(&announced)
    );
    let head = |method: &str, to_tag: &str, branch: &str| {
        format!(
            "{method} sip:phone@127.0.0.1:{phone} SIP/2.0\r\n\
             Via: SIP/2.0/UDP 127.0.0.2:{port};branch=z9hG4bK-{branch};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:nat@127.0.0.2>;tag=t\r\n\
             To: <sip:phone@127.0.0.1>{to_tag}\r\nCall-ID: blind\r\nCSeq: 1 {method}\r\n\
             Contact: <sip:nat@127.0.0.2:{port}>\r\n",
            phone = desk.sip_port,
            port = port(&caller),
        )
    };
    let send = |text: String| {
        caller
            .send_to(text.as_bytes(), ("127.0.0.1", desk.sip_port))
            .unwrap();
    };
    send(format!(
        "{}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{offer}",
        head("INVITE", "", "i"),
        offer.len()
    ));
    desk.wait_state("ringing");
    desk.lift();
    desk.wait_state("talking");
    let mut buffer = [0; 4096];
    let ok = std::iter::from_fn(|| caller.recv_from(&mut buffer).ok().map(|(n, _)| n))
        .last()
        .map(|n| String::from_utf8_lossy(&buffer[..n]).into_owned())
        .unwrap();
    assert!(ok.starts_with("SIP/2.0 200 "), "{ok}");
    let tag = ok.split("\r\nTo: ").nth(1).unwrap();
    let tag = tag
        .split("\r\n")
        .next()
        .unwrap()
        .split(";tag=")
        .nth(1)
        .unwrap();
    send(format!(
        "{}Content-Length: 0\r\n\r\n",
        head("ACK", &format!(";tag={tag}"), "a")
    ));
    let audio: u16 = ok
        .split("m=audio ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let spray = |n: u16| {
        for port in desk.rtp_ports.0..=desk.rtp_ports.1 {
            blind.send_to(&rtp(6, n), ("127.0.0.1", port)).ok();
            blind.send_to(&rtp(6, n + 1), ("127.0.0.1", port)).ok();
        }
    };
    spray(1);
    std::thread::sleep(Duration::from_millis(500));
    assert!(
        sound_at(&announced) > 10,
        "the announced address gets the sound until others send"
    );
    for n in 1..100 {
        spray(2 * n);
        media.send_to(&rtp(9, n), ("127.0.0.1", audio)).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(sound_at(&blind), 0, "not one packet");
    let heard = sound_at(&media);
    assert!(
        heard > 50,
        "the caller behind the NAT gets the sound: {heard}"
    );
    // The figures in status are renewed once a second.
    std::thread::sleep(Duration::from_millis(1500));
    let received = desk.status()["calls"][0]["rtp"]["received"].as_u64();
    assert!(received > Some(80), "and is heard: {received:?}");
    desk.hang_up();
    desk.assert_usable();
}
