//! Two associations and what may happen between them, in virtual time.

mod branches;

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng};

use super::*;
use crate::credentials::{Credentials, colons};

const L: &str = "10.0.0.1:4000";
const R: &str = "10.0.0.2:4000";
const STRANGER: &str = "10.0.0.66:6666";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// One end: its identity, its association, its clock-driven half of a wire.
struct End {
    at: SocketAddr,
    factory: HandshakeFactory,
    association: Association,
    secured: Option<Secured>,
    failed: Option<Failure>,
}

impl End {
    fn new(address: &str) -> Self {
        Self {
            at: at(address),
            factory: HandshakeFactory::new(Credentials::make().unwrap()).unwrap(),
            association: Association::new(),
            secured: None,
            failed: None,
        }
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint {
            hash: HashName::Sha256,
            bytes: self.factory.credentials().fingerprint().to_vec(),
        }
    }

    fn agree(&mut self, setup: Setup, peer: &End, now: Instant) {
        self.agree_on(setup, vec![peer.fingerprint()], peer.at, true, now);
    }

    fn agree_on(
        &mut self,
        setup: Setup,
        fingerprints: Vec<Fingerprint>,
        announced: SocketAddr,
        established: bool,
        now: Instant,
    ) {
        let agreed = Agreement {
            setup,
            fingerprints,
            announced,
            established,
        };
        self.association.agree(agreed, &self.factory, now);
        self.listen();
    }

    fn hears(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        self.association
            .handle_datagram(from, bytes, &self.factory, now);
        self.listen();
    }

    fn wakes(&mut self, now: Instant) {
        self.association.handle_timeout(&self.factory, now);
        self.listen();
    }

    fn says(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        std::iter::from_fn(|| self.association.poll_transmit()).collect()
    }

    fn listen(&mut self) {
        while let Some(event) = self.association.poll_event() {
            match event {
                AssociationEvent::Secured => self.secured = self.association.secured().cloned(),
                AssociationEvent::Failed(failure) => self.failed = Some(failure),
            }
        }
    }
}

/// Carries datagrams between these ends until all is quiet or the time is over; `pass` may swallow
/// any.
fn run(
    ends: &mut [&mut End],
    mut now: Instant,
    length: Duration,
    mut pass: impl FnMut(SocketAddr, SocketAddr, &[u8]) -> bool,
) -> Instant {
    let limit = now + length;
    loop {
        let mut wire = Vec::new();
        for end in ends.iter_mut() {
            let from = end.at;
            wire.extend(end.says().into_iter().map(|(to, bytes)| (from, to, bytes)));
        }
        if wire.is_empty() {
            let Some(due) = ends
                .iter()
                .filter_map(|end| end.association.poll_timeout())
                .min()
                .filter(|due| *due <= limit)
            else {
                return limit;
            };
            now = now.max(due);
            for end in ends.iter_mut() {
                end.wakes(now);
            }
        }
        for (from, to, bytes) in wire {
            if pass(from, to, &bytes)
                && let Some(end) = ends.iter_mut().find(|end| end.at == to)
            {
                end.hears(from, &bytes, now);
            }
        }
    }
}

fn both_secured(l: &End, r: &End) {
    let (a, b) = (l.secured.as_ref().unwrap(), r.secured.as_ref().unwrap());
    assert_eq!((a.peer, b.peer), (r.at, l.at));
    assert_eq!(
        (&a.secrets.send, &a.secrets.receive),
        (&b.secrets.receive, &b.secrets.send)
    );
    assert_eq!(a.secrets.sas, b.secrets.sas);
    assert_eq!(a.fingerprint, r.factory.credentials().fingerprint());
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn both_ends_get_keys_then_no_timer_runs() {
    let (mut l, mut r) = (End::new(L), End::new(R));
    let now = crate::test_origin();
    l.agree(Setup::Passive, &r, now);
    r.agree(Setup::Active, &l, now);
    run(&mut [&mut l, &mut r], now, LONG, |_, _, _| true);
    both_secured(&l, &r);
    assert_eq!(
        (l.association.poll_timeout(), r.association.poll_timeout()),
        (None, None)
    );
}

#[test]
fn early_hello_proves_nothing_before_the_answer() {
    let (mut l, mut r) = (End::new(L), End::new(R));
    let now = crate::test_origin();
    r.agree(Setup::Active, &l, now);
    let now = run(
        &mut [&mut l, &mut r],
        now,
        Duration::from_secs(3),
        |_, _, _| true,
    );
    assert!(
        l.secured.is_none() && l.failed.is_none(),
        "no answer, no trust"
    );
    l.agree(Setup::Passive, &r, now);
    both_secured(&l, &r);
}

#[test]
fn loss_is_repaired_and_silence_is_reported() {
    for lost in 0..14 {
        let (mut l, mut r) = (End::new(L), End::new(R));
        let now = crate::test_origin();
        l.agree(Setup::Passive, &r, now);
        r.agree(Setup::Active, &l, now);
        let mut count = 0;
        run(&mut [&mut l, &mut r], now, LONG, |_, _, _| {
            count += 1;
            count != lost + 1
        });
        both_secured(&l, &r);
    }
    let (mut l, mut r) = (End::new(L), End::new(R));
    let now = crate::test_origin();
    l.agree(Setup::Passive, &r, now);
    r.agree(Setup::Active, &l, now);
    run(&mut [&mut l, &mut r], now, LONG, |_, _, _| false);
    assert_eq!(l.failed, Some(Failure::Silence { announced: at(R) }));
    assert_eq!(r.failed, Some(Failure::Silence { announced: at(L) }));
}

/// A server that stands still, as one on a busy machine does, and then reads all that came
/// meanwhile: it answers the first `ClientHello`, so the others must be the same.
#[test]
fn a_server_that_was_slow_is_not_given_up() {
    for silent_s in [1, 5, 8, 12] {
        let (mut l, mut r) = (End::new(L), End::new(R));
        let now = crate::test_origin();
        l.agree(Setup::Active, &r, now);
        r.agree(Setup::Passive, &l, now);
        let mut waiting = Vec::new();
        let silence = Duration::from_secs(silent_s);
        let now = run(&mut [&mut l], now, silence, |_, _, bytes| {
            waiting.push(bytes.to_vec());
            false
        });
        assert_eq!(waiting.len() as u64, 1 + 2 * silent_s, "{silent_s} s");
        // As OpenSSL does: a `ClientHello` that is one more of the same changes nothing.
        let random = |hello: &[u8]| hello[13 + 12 + 2..][..32].to_vec();
        let first = random(&waiting[0]);
        assert!(
            waiting.iter().all(|hello| random(hello) == first),
            "{silent_s} s"
        );
        for hello in &waiting {
            r.hears(l.at, hello, now);
        }
        run(&mut [&mut l, &mut r], now, LONG, |_, _, _| true);
        both_secured(&l, &r);
    }
}

/// A link that loses a tenth of the datagrams in each direction, delays each by 45 to 75 ms, and
/// one in twenty by 80 ms more; returns when both have keys, or `None` after the longest handshake.
fn over_a_bad_link(l: &mut End, r: &mut End, seed: u64, start: Instant) -> Option<Duration> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut below = move |n: u64| rng.next_u64() % n;
    let mut under_way: Vec<(Instant, SocketAddr, SocketAddr, Vec<u8>)> = Vec::new();
    let mut now = start;
    while l.secured.is_none() || r.secured.is_none() {
        for end in [&mut *l, &mut *r] {
            for (to, bytes) in end.says() {
                if below(10) > 0 {
                    let held_back = if below(20) == 0 { 80 } else { 0 };
                    let delay = Duration::from_millis(45 + below(30) + held_back);
                    under_way.push((now + delay, end.at, to, bytes));
                }
            }
        }
        let arrivals = under_way.iter().map(|(at, ..)| *at);
        let timers = [&*l, &*r].map(|end| end.association.poll_timeout());
        now = arrivals.chain(timers.into_iter().flatten()).min()?;
        if now > start + Duration::from_secs(14) {
            return None;
        }
        for end in [&mut *l, &mut *r] {
            end.wakes(now);
            while let Some(index) = under_way
                .iter()
                .position(|(at, _, to, _)| *at <= now && *to == end.at)
            {
                let (_, from, _, bytes) = under_way.swap_remove(index);
                end.hears(from, &bytes, now);
            }
        }
    }
    Some(now - start)
}

#[test]
fn loss_and_reordering_never_stall_a_handshake() {
    let now = crate::test_origin();
    let stalled: Vec<u64> = (0..300)
        .filter(|&seed| {
            let (mut l, mut r) = (End::new(L), End::new(R));
            l.agree(Setup::Passive, &r, now);
            r.agree(Setup::Active, &l, now);
            over_a_bad_link(&mut l, &mut r, seed, now).is_none()
        })
        .collect();
    assert!(stalled.is_empty(), "stalled with the seeds {stalled:?}");
}

#[test]
fn wrong_certificate_at_announced_address_fails() {
    for active in [true, false] {
        let (mut l, r) = (End::new(L), End::new(R));
        let mut mallory = End::new(R);
        let now = crate::test_origin();
        let (mine, his) = if active {
            (Setup::Active, Setup::Passive)
        } else {
            (Setup::Passive, Setup::Active)
        };
        l.agree(mine, &r, now);
        mallory.agree_on(his, vec![l.fingerprint()], at(L), true, now);
        run(&mut [&mut l, &mut mallory], now, LONG, |_, _, _| true);
        assert!(l.secured.is_none());
        let shown = colons(&mallory.factory.credentials().fingerprint());
        assert_eq!(
            l.failed,
            Some(Failure::WrongCertificate { from: at(R), shown })
        );
    }
}

#[test]
fn unknown_peer_gets_nothing_and_blocks_no_one() {
    let (mut l, mut r) = (End::new(L), End::new(R));
    let mut stranger = End::new(STRANGER);
    let now = crate::test_origin();
    l.agree(Setup::Passive, &r, now);
    stranger.agree(Setup::Active, &l, now);
    let now = run(
        &mut [&mut l, &mut stranger],
        now,
        Duration::from_secs(5),
        |_, _, _| true,
    );
    assert!(l.secured.is_none() && l.failed.is_none());
    r.agree(Setup::Active, &l, now);
    run(
        &mut [&mut l, &mut r, &mut stranger],
        now,
        LONG,
        |_, _, _| true,
    );
    both_secured(&l, &r);
}

#[test]
fn right_certificate_from_behind_nat_is_accepted() {
    let (mut l, mut r) = (End::new(L), End::new(R));
    let now = crate::test_origin();
    l.agree_on(
        Setup::Passive,
        vec![r.fingerprint()],
        at("192.168.7.7:9"),
        true,
        now,
    );
    r.agree(Setup::Active, &l, now);
    run(&mut [&mut l, &mut r], now, LONG, |_, _, _| true);
    both_secured(&l, &r);
}

#[test]
fn early_handshake_of_a_fork_is_used_later() {
    let (mut l, mut r) = (End::new(L), End::new(R));
    let mut fork = End::new("10.0.0.3:4000");
    let now = crate::test_origin();
    l.agree_on(
        Setup::Passive,
        vec![fork.fingerprint()],
        fork.at,
        false,
        now,
    );
    fork.agree(Setup::Active, &l, now);
    r.agree(Setup::Active, &l, now);
    let now = run(
        &mut [&mut l, &mut r, &mut fork],
        now,
        Duration::from_secs(4),
        |_, _, _| true,
    );
    assert_eq!(
        l.secured.take().unwrap().peer,
        fork.at,
        "early media of one fork"
    );
    l.agree(Setup::Passive, &r, now);
    both_secured(&l, &r);
}

#[test]
fn only_a_different_agreement_starts_over() {
    let (mut l, mut r) = (End::new(L), End::new(R));
    let now = crate::test_origin();
    l.agree(Setup::Passive, &r, now);
    r.agree(Setup::Active, &l, now);
    let now = run(
        &mut [&mut l, &mut r],
        now,
        Duration::from_secs(2),
        |_, _, _| true,
    );
    let first = l.association.secured().unwrap().secrets.send.clone();
    // Again, in the other role, and on hold: still the same keys, and neither sends anything.
    l.agree(Setup::Active, &r, now);
    l.agree_on(
        Setup::Active,
        vec![r.fingerprint()],
        at("0.0.0.0:4000"),
        true,
        now,
    );
    assert_eq!(l.association.secured().unwrap().secrets.send, first);
    assert!(l.says().is_empty());
    // Another certificate at the same address.
    let mut r2 = End::new(R);
    l.agree(Setup::Active, &r2, now);
    assert!(
        l.association.secured().is_none(),
        "old keys are not used for a new peer"
    );
    l.secured = None;
    r2.agree(Setup::Passive, &l, now);
    let now = run(&mut [&mut l, &mut r2], now, LONG, |_, _, _| true);
    both_secured(&l, &r2);
    // The same certificate at another address, and at yet another in the same roles.
    let mut now = now;
    for moved in ["10.0.0.4:4000", "10.0.0.5:4000"] {
        r2.at = at(moved);
        r2.association = Association::new();
        l.agree(Setup::Passive, &r2, now);
        assert!(l.association.secured().is_none());
        r2.agree(Setup::Active, &l, now);
        now = run(&mut [&mut l, &mut r2], now, LONG, |_, _, _| true);
        both_secured(&l, &r2);
    }
}

#[test]
fn early_failure_is_retried_once_established() {
    let (mut l, mut r) = (End::new(L), End::new(R));
    let now = crate::test_origin();
    l.agree_on(Setup::Active, vec![r.fingerprint()], r.at, false, now);
    // The far end has no ears before it answers.
    let now = run(&mut [&mut l], now, LONG, |_, _, _| false);
    assert!(l.failed.is_none(), "not final");
    l.agree(Setup::Active, &r, now);
    r.agree(Setup::Passive, &l, now);
    run(&mut [&mut l, &mut r], now, LONG, |_, _, _| true);
    both_secured(&l, &r);
}

#[test]
fn wrong_early_certificate_fails_once_established() {
    let (mut l, r) = (End::new(L), End::new(R));
    let mut mallory = End::new(R);
    let now = crate::test_origin();
    l.agree_on(Setup::Passive, vec![r.fingerprint()], r.at, false, now);
    mallory.agree_on(Setup::Active, vec![l.fingerprint()], at(L), true, now);
    let now = run(
        &mut [&mut l, &mut mallory],
        now,
        Duration::from_secs(3),
        |_, _, _| true,
    );
    assert!(l.failed.is_none() && l.secured.is_none());
    l.agree(Setup::Passive, &r, now);
    assert!(
        matches!(l.failed, Some(Failure::WrongCertificate { .. })),
        "{:?}",
        l.failed
    );
}

#[test]
fn flood_of_hellos_starts_few_handshakes() {
    let (mut l, mut r) = (End::new(L), End::new(R));
    let mut attacker = End::new(STRANGER);
    let now = crate::test_origin();
    l.agree(Setup::Passive, &r, now);
    attacker.agree(Setup::Active, &l, now);
    let (_, hello) = attacker.says().pop().unwrap();
    for n in 0..2000_u16 {
        l.hears(SocketAddr::new(at(STRANGER).ip(), 1024 + n), &hello, now);
    }
    let answers = l.says();
    assert!(answers.len() <= 16, "{} answers", answers.len());
    let bytes: usize = answers.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(bytes <= 16 * hello.len(), "no amplification: {bytes}");
    // Rubbish, and fragments of a hello, begin nothing.
    let mut fresh = End::new(L);
    for end in 0..hello.len().min(58) {
        fresh.hears(at(STRANGER), &hello[..end], now);
    }
    fresh.hears(at(STRANGER), &[22; 1400], now);
    assert!(fresh.says().is_empty() && fresh.association.poll_timeout().is_none());
    // The announced peer still gets through.
    r.agree(Setup::Active, &l, now);
    run(&mut [&mut l, &mut r], now, LONG, |_, _, _| true);
    assert!(l.secured.is_some(), "{:?}", l.failed);
}

#[test]
fn forged_alert_does_not_end_a_handshake() {
    let (mut l, mut r) = (End::new(L), End::new(R));
    let now = crate::test_origin();
    l.agree(Setup::Passive, &r, now);
    r.agree(Setup::Active, &l, now);
    // A fatal alert in clear, as anybody can write who knows the two ports.
    let alert = [21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 2, 40];
    r.hears(at(L), &alert, now);
    // Time passes before anything else comes.
    let now = now + Duration::from_millis(300);
    r.wakes(now);
    assert!(r.failed.is_none());
    run(&mut [&mut l, &mut r], now, LONG, |_, _, _| true);
    both_secured(&l, &r);
    // One that is true ends it soon, and is named.
    let (l, mut r) = (End::new(L), End::new(R));
    r.agree(Setup::Active, &l, now);
    r.hears(at(L), &alert, now);
    run(&mut [&mut r], now, Duration::from_secs(3), |_, _, _| true);
    assert!(
        r.failed.as_ref().unwrap().to_string().contains("alert 40"),
        "{:?}",
        r.failed
    );
}

#[test]
fn every_hash_of_the_peer_must_match() {
    use sha2::{Digest, Sha256, Sha512};
    let certificate = b"certificate";
    let of = |hash, bytes: &[u8]| Fingerprint {
        hash,
        bytes: bytes.to_vec(),
    };
    let good = of(HashName::Sha256, &Sha256::digest(certificate));
    let strong = of(HashName::Sha512, &Sha512::digest(certificate));
    let bad = of(HashName::Sha256, &[7; 32]);
    let bad_strong = of(HashName::Sha512, &[7; 64]);
    let short = of(HashName::Sha256, &good.bytes[..16]);
    for (fingerprints, fits) in [
        (vec![], false),
        (vec![good.clone()], true),
        (vec![bad.clone(), good.clone()], true),
        (vec![good.clone(), strong.clone()], true),
        (vec![good.clone(), bad_strong.clone()], false),
        (vec![bad.clone(), strong], false),
        (vec![bad], false),
        (vec![short], false),
    ] {
        assert_eq!(
            matches(certificate, &fingerprints),
            fits,
            "{fingerprints:?}"
        );
    }
}
