//! Who gets the sound, and who is believed, packet by packet.

use super::*;
use crate::time::test_origin;

/// What SDP announced, the host signalling came from, and one that has no claim.
const ANNOUNCED: &str = "10.0.0.1:4000";
const SIGNALLING: &str = "192.0.2.1";
const STRANGER: &str = "203.0.113.5:9";

struct Far {
    latch: Latch,
    now: Instant,
    sequence: u16,
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn hosts(list: &[&str]) -> SignallingHosts {
    list.iter()
        .map(|ip| ip.parse::<IpAddr>().unwrap())
        .collect()
}

impl Far {
    fn new() -> Self {
        let latch = Latch::new(
            at(ANNOUNCED),
            at("10.0.0.1:4001"),
            true,
            hosts(&[SIGNALLING]),
        );
        Self {
            latch,
            now: test_origin(),
            sequence: 0,
        }
    }

    fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    fn packet(&mut self, from: &str, sequence: u16, authentic: bool) -> bool {
        let mut packet = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 1];
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        let view = View::parse(&packet).unwrap();
        self.latch.admits_rtp(at(from), &view, authentic, self.now)
    }

    /// So many packets in a row, 20 ms apart; whether the last was believed.
    fn sends(&mut self, from: &str, packets: u16, authentic: bool) -> bool {
        let mut believed = false;
        for _ in 0..packets {
            self.wait(20);
            self.sequence = self.sequence.wrapping_add(1);
            believed = self.packet(from, self.sequence, authentic);
        }
        believed
    }

    fn goes_to(&self) -> String {
        self.latch
            .rtp()
            .map_or_else(String::new, |to| to.to_string())
    }
}

#[test]
fn an_arbitrary_address_is_never_trusted() {
    for heard_before in [false, true] {
        let mut far = Far::new();
        assert!(!heard_before || far.sends(ANNOUNCED, 1, false));
        assert!(!far.sends(STRANGER, 500, false));
        assert!(!far.latch.admits_rtcp(at(STRANGER), false));
        assert_eq!(far.goes_to(), ANNOUNCED);
        assert_eq!(far.latch.rtcp(), Some(at("10.0.0.1:4001")));
        // And it kept no one out, who came after it.
        assert!(heard_before || far.sends("192.0.2.1:7000", 2, false));
    }
}

#[test]
fn behind_a_nat_ours_go_where_theirs_come_from() {
    let mut far = Far::new();
    let nat = "192.0.2.1:7000";
    assert!(!far.sends(nat, 1, false), "one packet is not enough");
    assert_eq!(far.goes_to(), ANNOUNCED);
    assert!(far.sends(nat, 1, false));
    assert_eq!(far.goes_to(), nat);
    assert!(!far.sends(STRANGER, 2, false));
    assert!(far.latch.admits_rtcp(at("192.0.2.1:7001"), false));
    assert!(!far.latch.admits_rtcp(at(STRANGER), false));
    assert_eq!(far.latch.rtcp(), Some(at("192.0.2.1:7001")));
    assert_eq!(far.goes_to(), nat);
}

#[test]
fn the_announced_host_may_use_any_port() {
    let mut far = Far::new();
    assert!(far.sends("10.0.0.1:4777", 2, false));
    assert_eq!(far.goes_to(), "10.0.0.1:4777");
    assert!(far.latch.admits_rtcp(at("[::ffff:10.0.0.1]:4778"), false));
    assert_eq!(far.latch.rtcp(), Some(at("10.0.0.1:4778")));
}

#[test]
fn once_the_negotiated_address_sent_it_stays() {
    let mut far = Far::new();
    assert!(far.sends("[::ffff:10.0.0.1]:4000", 1, false));
    for from in ["192.0.2.1:7000", "10.0.0.1:4777", STRANGER] {
        far.wait(5000);
        assert!(!far.sends(from, 50, false), "{from}");
    }
    assert_eq!(far.goes_to(), ANNOUNCED);
    assert!(!far.latch.admits_rtcp(at("192.0.2.1:7001"), false));
}

#[test]
fn the_negotiated_address_wins_over_an_earlier_source() {
    for earlier in ["192.0.2.1:7000", "10.0.0.1:4777"] {
        let mut far = Far::new();
        assert!(far.sends(earlier, 2, false));
        assert!(far.sends(ANNOUNCED, 1, false));
        assert!(!far.sends(earlier, 2, false));
        assert_eq!(far.goes_to(), ANNOUNCED);
    }
}

#[test]
fn a_better_claim_wins_over_an_earlier_source() {
    let mut far = Far::new();
    assert!(far.sends("192.0.2.1:7000", 2, false));
    assert!(far.sends("10.0.0.1:4777", 2, false), "the announced host");
    assert!(!far.sends("192.0.2.1:7000", 10, false));
    assert!(far.sends(STRANGER, 2, true), "who holds the keys");
    assert!(!far.sends("10.0.0.1:4777", 10, false) && far.goes_to() == STRANGER);
}

#[test]
fn an_earlier_sender_keeps_no_one_out() {
    // Both behind the same NAT: one that sends two packets, or two now and then.
    let (blind, genuine) = ("192.0.2.1:9", "192.0.2.1:7000");
    let mut far = Far::new();
    assert!(far.sends(blind, 2, false));
    assert!(far.sends(genuine, 20, false));
    assert_eq!(far.goes_to(), genuine);
    let mut far = Far::new();
    let mut numbers = (0, 0);
    let mut believed = 0;
    for n in 0..500_u32 {
        far.wait(20);
        if n % 25 < 2 {
            numbers.0 += 1;
            far.packet(blind, numbers.0, false);
        }
        numbers.1 += 1;
        believed += u32::from(far.packet(genuine, numbers.1, false));
    }
    assert!(believed > 450, "{believed} of 500");
    // One that speaks all the time is not interrupted.
    assert!(!far.packet(blind, 1000, false) && !far.packet(blind, 1001, false));
}

#[test]
fn candidates_do_not_displace_each_other() {
    let mut far = Far::new();
    for n in 0..2 {
        far.wait(20);
        // Whatever comes between, from hosts with a claim and without.
        for port in 1..4 {
            assert!(!far.packet(&format!("192.0.2.1:{port}"), 7 * port + 100 * n, false));
            assert!(!far.packet(&format!("203.0.113.5:{port}"), n, false));
        }
        assert_eq!(far.packet("192.0.2.1:7000", n, false), n == 1);
    }
    let mut far = Far::new();
    for n in 0..2 {
        for port in 1..100 {
            assert!(!far.packet(&format!("192.0.2.1:{port}"), 7 * port + 100 * n, false));
        }
        assert_eq!(
            far.packet("10.0.0.1:4777", n, false),
            n == 1,
            "a better claim"
        );
    }
}

#[test]
fn authentic_packets_may_come_from_anywhere() {
    let mut far = Far::new();
    assert!(!far.sends(STRANGER, 1, true) && far.sends(STRANGER, 1, true));
    assert_eq!(far.goes_to(), STRANGER);
    assert!(far.latch.admits_rtcp(at("203.0.113.5:10"), true));
    // A new mapping is followed at once, and the negotiated address above all.
    assert!(far.sends("198.51.100.7:8", 2, true));
    assert!(far.sends(ANNOUNCED, 1, true));
    assert!(!far.sends(STRANGER, 20, true), "as long as that one sends");
    far.wait(1000);
    assert!(far.sends(STRANGER, 2, true), "a NAT lost its mapping");
    assert_eq!(far.goes_to(), STRANGER);
}

#[test]
fn a_proven_address_is_never_left() {
    let mut far = Far::new();
    far.latch = Latch::new(
        at(ANNOUNCED),
        at("10.0.0.1:4001"),
        false,
        hosts(&[SIGNALLING]),
    );
    for (from, authentic) in [
        (STRANGER, true),
        ("192.0.2.1:7000", false),
        ("10.0.0.1:9", false),
    ] {
        assert!(!far.sends(from, 50, authentic));
        assert!(!far.latch.admits_rtcp(at(from), authentic));
    }
    assert!(far.latch.admits_rtcp(at("10.0.0.1:4001"), false));
    assert_eq!(far.goes_to(), ANNOUNCED);
    assert!(far.sends(ANNOUNCED, 1, false));
}

#[test]
fn rtcp_follows_the_same_rules() {
    let rtcp = |far: &Far| far.latch.rtcp().unwrap().to_string();
    let mut far = Far::new();
    assert!(
        far.latch.admits_rtcp(at("192.0.2.1:7001"), false),
        "signalling"
    );
    assert!(far.latch.admits_rtcp(at("10.0.0.1:5"), false), "announced");
    assert_eq!(rtcp(&far), "10.0.0.1:5", "the newest counts");
    assert!(far.latch.admits_rtcp(at("192.0.2.1:7001"), false));
    assert!(far.sends("10.0.0.1:4777", 2, false));
    assert_eq!(
        rtcp(&far),
        "10.0.0.1:4001",
        "not to a host the sound does not come from"
    );
    assert!(!far.latch.admits_rtcp(at("192.0.2.1:7001"), false));
    // From where it was agreed on, and then from nowhere else, unless it is authentic.
    assert!(far.latch.admits_rtcp(at("10.0.0.1:4001"), false));
    assert!(!far.latch.admits_rtcp(at("10.0.0.1:5"), false));
    assert!(far.latch.admits_rtcp(at(STRANGER), true));
    assert_eq!(rtcp(&far), "10.0.0.1:4001");
    // An attribute of its own (RFC 3605) makes its host a negotiated one.
    far.latch = Latch::new(at(ANNOUNCED), at("198.51.100.9:4001"), true, hosts(&[]));
    assert!(far.latch.admits_rtcp(at("198.51.100.9:7"), false));
    assert!(
        !far.sends("198.51.100.9:7", 9, false),
        "for reports, not for sound"
    );
    // One port for both (RFC 5761).
    far.latch = Latch::new(at(ANNOUNCED), at(ANNOUNCED), true, hosts(&[SIGNALLING]));
    assert!(far.sends("192.0.2.1:7000", 2, false));
    assert_eq!(rtcp(&far), "192.0.2.1:7000");
}

#[test]
fn a_new_agreement_keeps_what_is_still_allowed() {
    let nat = "192.0.2.1:7000";
    let mut far = Far::new();
    assert!(far.sends(nat, 2, false));
    let (rtp, rtcp) = (at(ANNOUNCED), at("10.0.0.1:4001"));
    far.latch
        .redirect(rtp, rtcp, hosts(&["198.51.100.1", SIGNALLING]));
    assert_eq!(far.goes_to(), nat);
    let mut next = Latch::new(rtp, rtcp, true, hosts(&[SIGNALLING]));
    next.continue_from(&far.latch);
    assert_eq!(next.rtp(), Some(at(nat)));
    far.latch.redirect(rtp, rtcp, hosts(&["198.51.100.1"]));
    assert_eq!(far.goes_to(), ANNOUNCED, "signalling moved");
    assert!(!far.sends(nat, 9, false) && far.sends("198.51.100.1:6", 2, false));
    // To another address everything begins again.
    far.latch
        .redirect(at("10.0.0.7:1"), at("10.0.0.7:2"), hosts(&[SIGNALLING]));
    assert_eq!(far.goes_to(), "10.0.0.7:1");
    assert!(!far.sends("10.0.0.1:4777", 9, false) && far.sends(nat, 2, false));
}

#[test]
fn nothing_is_sent_to_no_address() {
    let mut far = Far::new();
    for (rtp, rtcp) in [
        ("0.0.0.0:4000", "0.0.0.0:4001"),
        ("10.0.0.1:0", "10.0.0.1:0"),
    ] {
        far.latch = Latch::new(at(rtp), at(rtcp), true, hosts(&[SIGNALLING]));
        far.sends("192.0.2.1:7000", 2, false);
        assert_eq!((far.latch.rtp(), far.latch.rtcp()), (None, None));
    }
    assert_eq!(hosts(&["0.0.0.0", "224.0.0.1", "::"]), hosts(&[]));
    assert_eq!(
        hosts(&["::ffff:192.0.2.1", SIGNALLING]),
        hosts(&[SIGNALLING])
    );
}
