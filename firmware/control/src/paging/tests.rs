//! What begins a page, and what does not.

use super::*;

fn paging(more: &str) -> Paging {
    let toml = format!(
        "[paging]\n{more}\n[paging.groups]\n1 = \"239.1.1.1:5004\"\n2 = \"239.1.1.2:5004\"\n\
         3 = \"239.1.1.3:5004\"\n"
    );
    let config = config::load(&toml, "f").unwrap_or_else(|errors| panic!("{errors}"));
    Paging::new(&config)
}

fn group(number: u8) -> SocketAddr {
    format!("239.1.1.{number}:5004").parse().unwrap()
}

fn from(host: u8) -> SocketAddr {
    format!("10.0.0.{host}:4000").parse().unwrap()
}

fn rtp(payload_type: u8, sequence: u16, ssrc: u32) -> Vec<u8> {
    let mut bytes = vec![0x80, payload_type];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(ssrc.to_be_bytes());
    bytes.extend([0xFF; 160]);
    bytes
}

/// One packet, and the page begun where it begins one.
fn hear(paging: &mut Paging, number: u8, host: u8, bytes: &[u8], now: Instant) -> bool {
    let Some(begin) = paging.handle_packet(group(number), from(host), bytes, now) else {
        return false;
    };
    assert_eq!((begin.number, begin.group), (number, group(number)));
    paging.begin(begin, StreamId(u32::from(host)), bytes, now);
    true
}

#[expect(clippy::disallowed_methods, reason = "some instant to count from")]
fn start() -> Instant {
    Instant::now()
}

#[test]
fn two_packets_in_a_row_begin_a_page_and_a_second_of_silence_ends_it() {
    let mut paging = paging("");
    let t0 = start();
    let ms = Duration::from_millis;
    assert!(!hear(&mut paging, 2, 7, &rtp(9, 65_535, 5), t0));
    assert!(hear(&mut paging, 2, 7, &rtp(9, 0, 5), t0 + ms(20)));
    assert_eq!(paging.heard(), Some(2));
    let config = paging.play(StreamId(7)).unwrap();
    assert_eq!(
        (config.direction, config.ear_only),
        (Direction::RecvOnly, true)
    );
    assert!(!config.latching && config.remote_rtp == from(7));
    assert!(!hear(&mut paging, 2, 7, &rtp(9, 1, 5), t0 + ms(500)));
    assert!(!paging.is_over(t0 + ms(1400)));
    assert!(paging.is_over(t0 + ms(1500)));
    assert_eq!(paging.stop(), Some((StreamId(7), true)));
    assert!(paging.len() == 0 && paging.poll_timeout().is_none());
    // However long somebody speaks, it ends.
    let mut now = t0;
    for sequence in 0..40_000u16 {
        hear(&mut paging, 1, 8, &rtp(0, sequence, 6), now);
        if paging.is_over(now) {
            break;
        }
        now += ms(20);
    }
    assert!(
        now - t0 <= LONGEST + ms(40) && now - t0 >= LONGEST,
        "{:?}",
        now - t0
    );
}

#[test]
fn garbage_begins_nothing_and_is_counted() {
    let mut paging = paging("");
    let now = start();
    for bytes in [
        &b""[..],
        b"INVITE sip:x SIP/2.0\r\n\r\n",
        &[0x80; 12],
        &rtp(13, 1, 5)[..],
        &rtp(0, 1, 5)[..12],
        &[0x16, 0xfe, 0xff, 0, 0],
    ] {
        for _ in 0..3 {
            assert!(!hear(&mut paging, 1, 7, bytes, now));
        }
    }
    assert_eq!(paging.rejected(), 18);
    // A thousand spoofed sources, each with one packet, keep out no one.
    for n in 0..1000u32 {
        assert!(!hear(
            &mut paging,
            1,
            (n % 250) as u8,
            &rtp(0, n as u16 * 7, n),
            now
        ));
    }
    assert!(!hear(&mut paging, 1, 7, &rtp(0, 10, 77), now));
    assert!(hear(&mut paging, 1, 7, &rtp(0, 11, 77), now));
    let other = "239.1.1.9:5004".parse().unwrap();
    assert_eq!(
        paging.handle_packet(other, from(7), &rtp(0, 1, 5), now),
        None
    );
}

#[test]
fn a_more_important_page_cuts_off_another() {
    let mut paging = paging("");
    let now = start();
    let both = |paging: &mut Paging, number, host, ssrc| {
        let first = hear(paging, number, host, &rtp(0, 1, ssrc), now);
        first || hear(paging, number, host, &rtp(0, 2, ssrc), now)
    };
    assert!(both(&mut paging, 2, 7, 70));
    assert!(!both(&mut paging, 3, 8, 80), "less important");
    assert!(
        !both(&mut paging, 2, 9, 90),
        "a second voice in the same group"
    );
    assert!(both(&mut paging, 1, 8, 81));
    assert_eq!(paging.heard(), Some(1));
}

#[test]
fn calls_and_do_not_disturb_have_their_limits() {
    let paging = paging("over_calls = 1\nover_dnd = 2");
    let heard = |number, in_use, undisturbed| paging.is_heard(number, in_use, undisturbed);
    assert!(heard(3, false, false) && heard(1, true, false) && heard(2, false, true));
    assert!(!heard(2, true, false) && !heard(3, false, true) && !heard(2, true, true));
    assert!(heard(1, true, true));
}

#[test]
fn its_own_page_is_not_heard() {
    let mut paging = paging("");
    let now = start();
    paging.begin_own(CallId(4), 2, StreamId(9));
    assert_eq!(paging.own_call(StreamId(9)), Some(CallId(4)));
    assert_eq!(
        paging.connect(&[CallId(4)]),
        None,
        "its stream is not built yet"
    );
    let config = paging.send(StreamId(9), 1234).unwrap();
    assert_eq!(
        (config.codec, config.direction),
        (Codec::G722, Direction::SendOnly)
    );
    assert_eq!(config.remote_rtp, group(2));
    assert_eq!(paging.connect(&[CallId(4)]), Some((StreamId(9), true)));
    assert_eq!(paging.connect(&[CallId(4)]), None);
    assert_eq!(paging.connect(&[]), Some((StreamId(9), false)), "on hold");
    for sequence in 1..9 {
        assert!(!hear(&mut paging, 2, 1, &rtp(9, sequence, 1234), now));
    }
    assert_eq!(paging.stop_own(), Some((StreamId(9), true)));
}
