use super::*;
use crate::timer::epoch;

const SPOOFED: u32 = 5000;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn open(now: Instant) -> Admission {
    Admission::new(DirectCallers::Everyone, Vec::new(), now)
}

fn caller(user: Option<&str>, network: &str, prefix: u8) -> AllowedCaller {
    AllowedCaller {
        user: user.map(str::to_owned),
        network: ip(network),
        prefix,
    }
}

/// How many of these decisions admit, refuse with 503 and drop.
fn count(decisions: impl Iterator<Item = Decision>) -> (usize, usize, usize) {
    decisions.fold((0, 0, 0), |(admit, retry, drop), decision| match decision {
        Decision::Admit(_) => (admit + 1, retry, drop),
        Decision::RetryAfter(_) => (admit, retry + 1, drop),
        Decision::Drop => (admit, retry, drop + 1),
    })
}

#[test]
fn one_stranger_has_a_rate() {
    let start = epoch();
    let mut admission = open(start);
    let flood = (0..1200_u32).map(|n| {
        let now = start + Duration::from_millis(50) * n;
        admission.decide(ip("192.0.2.66"), None, false, true, now)
    });
    let (admitted, refused, dropped) = count(flood);
    assert!((60..=70).contains(&admitted), "{admitted}");
    assert_eq!((admitted + refused, dropped), (1200, 0));
    // Its neighbour is not held to account for it.
    let now = start + Duration::from_secs(60);
    let other = admission.decide(ip("192.0.2.67"), None, false, true, now);
    assert_eq!(other, Decision::Admit(Origin::Stranger));
}

#[test]
fn a_refusal_says_when_to_try_again() {
    let start = epoch();
    let mut admission = open(start);
    let ask =
        |admission: &mut Admission, now| admission.decide(ip("192.0.2.66"), None, false, true, now);
    for _ in 0..10 {
        assert_eq!(
            ask(&mut admission, start),
            Decision::Admit(Origin::Stranger)
        );
    }
    let Decision::RetryAfter(seconds) = ask(&mut admission, start) else {
        panic!("not refused");
    };
    assert!((1..=2).contains(&seconds));
    let later = start + Duration::from_secs(seconds.into());
    assert_eq!(
        ask(&mut admission, later),
        Decision::Admit(Origin::Stranger)
    );
}

#[test]
fn forged_sources_share_one_rate_and_bounded_memory() {
    let start = epoch();
    let mut admission = open(start);
    let flood = (0..SPOOFED).map(|n| {
        let now = start + Duration::from_millis(2) * n;
        let source = IpAddr::from((0xC633_0000 + n).to_be_bytes());
        admission.decide(source, None, false, true, now)
    });
    let (admitted, _, dropped) = count(flood);
    // 10 s of it: 20 at once and 4 a second.
    assert!((55..=65).contains(&admitted), "{admitted}");
    assert!(dropped > 2500, "{dropped}");
    assert!(admission.hosts.len() <= MAX_HOSTS);
}

#[test]
fn ipv6_hosts_are_counted_by_subnet() {
    let start = epoch();
    let mut admission = open(start);
    let flood = (0..100_u16).map(|n| {
        let source = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n]);
        admission.decide(source, None, false, true, start)
    });
    assert_eq!(count(flood).0, 10);
    assert_eq!(admission.hosts.len(), 1);
    let mapped = (0..20).map(|n| {
        let source = if n % 2 == 0 {
            "192.0.2.66"
        } else {
            "::ffff:192.0.2.66"
        };
        admission.decide(ip(source), None, false, true, start)
    });
    assert_eq!(count(mapped).0, 10);
}

#[test]
fn other_requests_are_answered_at_a_rate() {
    let start = epoch();
    let mut admission = open(start);
    let flood = (0..5000_u32).map(|n| {
        let now = start + Duration::from_millis(2) * n;
        admission.decide(ip("192.0.2.66"), None, false, false, now)
    });
    let (admitted, refused, dropped) = count(flood);
    assert!((240..=260).contains(&admitted), "{admitted}");
    assert_eq!((refused, admitted + dropped), (0, 5000));
}

#[test]
fn listed_callers_have_no_rate() {
    let start = epoch();
    let listed = vec![
        caller(None, "192.168.1.0", 24),
        caller(Some("bob"), "203.0.113.7", 32),
        caller(None, "2001:db8:1::", 48),
    ];
    for callers in [DirectCallers::Listed, DirectCallers::Proven] {
        let mut admission = Admission::new(callers, listed.clone(), start);
        let mut ask = |source: &str, user| admission.decide(ip(source), user, false, true, start);
        for _ in 0..100 {
            for (source, user) in [
                ("192.168.1.77", None),
                ("::ffff:192.168.1.1", Some("x")),
                ("203.0.113.7", Some("bob")),
                ("2001:db8:1:2::3", None),
            ] {
                assert_eq!(
                    ask(source, user),
                    Decision::Admit(Origin::Known),
                    "{source}"
                );
            }
            for (source, user) in [
                ("192.168.2.77", None),
                ("203.0.113.7", Some("eve")),
                ("203.0.113.7", None),
                ("203.0.113.8", Some("bob")),
                ("2001:db8:2::3", None),
                ("c0a8:101::", None),
            ] {
                assert_eq!(ask(source, user), Decision::Drop, "{source}");
            }
        }
    }
}

#[test]
fn a_prefix_of_nothing_is_a_whole_family() {
    let all = caller(None, "0.0.0.0", 0);
    assert!(all.matches(ip("203.0.113.9"), None));
    assert!(!all.matches(ip("2001:db8::1"), None));
}

#[test]
fn a_proven_name_counts_where_direct_calls_do() {
    let start = epoch();
    for (callers, expected) in [
        (DirectCallers::Listed, Decision::Drop),
        (DirectCallers::Proven, Decision::Admit(Origin::Known)),
        (DirectCallers::Everyone, Decision::Admit(Origin::Known)),
    ] {
        let mut admission = Admission::new(callers, Vec::new(), start);
        let decision = admission.decide(ip("192.0.2.66"), None, true, true, start);
        assert_eq!(decision, expected);
    }
}

#[test]
fn strangers_calls_leave_slots_free() {
    let mut admission = open(epoch());
    assert!(admission.has_room_for_stranger(0));
    assert!(!admission.has_room_for_stranger(STRANGER_TRANSACTIONS));
    for n in 0..STRANGER_CALLS {
        admission.handle_stranger_call(CallHandle(n as u64));
    }
    assert!(!admission.has_room_for_stranger(0));
    assert!(!admission.has_room_in_dialog(CallHandle(1), STRANGER_TRANSACTIONS_IN_DIALOG));
    assert!(admission.has_room_in_dialog(CallHandle(99), STRANGER_TRANSACTIONS_IN_DIALOG));
    admission.handle_call_over(CallHandle(1));
    assert!(admission.has_room_for_stranger(0));
}
