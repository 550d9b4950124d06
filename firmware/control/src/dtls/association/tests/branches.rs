//! Branches of a call that is not answered yet.

use super::*;

/// The role of the other end.
fn other(role: Setup) -> Setup {
    match role {
        Setup::Active => Setup::Passive,
        Setup::Passive => Setup::Active,
    }
}

/// What a branch announced before the call is established.
fn branch(role: Setup, end: &End) -> Agreement {
    Agreement {
        setup: role,
        fingerprints: vec![end.fingerprint()],
        announced: end.at,
        established: false,
    }
}

#[test]
fn each_branch_keeps_its_keys_until_the_answer() {
    use Setup::{Active, Passive};
    for one_certificate in [false, true] {
        for roles in [
            [Passive, Passive],
            [Active, Active],
            [Passive, Active],
            [Active, Passive],
        ] {
            let what = format!("{roles:?}, one certificate {one_certificate}");
            let (mut l, mut a, mut b) = (End::new(L), End::new(R), End::new("10.0.0.3:4000"));
            if one_certificate {
                let same = a.factory.credentials().clone();
                b.factory = HandshakeFactory::new(same).unwrap();
            }
            let now = crate::test_origin();
            a.agree(other(roles[0]), &l, now);
            b.agree(other(roles[1]), &l, now);
            let (first, second) = (branch(roles[0], &a), branch(roles[1], &b));
            l.association.agree(first.clone(), &l.factory, now);
            l.association.expect(&second, &l.factory, now);
            let few = Duration::from_secs(4);
            let now = run(&mut [&mut l, &mut a, &mut b], now, few, |_, _, _| true);
            both_secured(&l, &a);
            assert!(b.secured.is_some(), "{what}: the other one waits");
            // Whichever sends is heard at once, by keys of its own and without another handshake.
            for (agreed, end) in [(&second, &b), (&first, &a), (&second, &b)] {
                l.secured = None;
                l.association.agree(agreed.clone(), &l.factory, now);
                l.listen();
                both_secured(&l, end);
                assert!(l.says().is_empty(), "{what}");
            }
            // It is answered: the other one is over.
            l.agree(roles[1], &b, now);
            assert_eq!(l.association.secured().unwrap().peer, b.at, "{what}");
            assert_eq!(l.association.candidates.len(), 1, "{what}");
            l.agree(roles[0], &a, now);
            assert!(l.association.secured().is_none(), "{what}");
        }
    }
}

#[test]
fn strangers_displace_no_branch() {
    let (mut l, mut a, mut b) = (End::new(L), End::new(R), End::new("10.0.0.3:4000"));
    let mut attacker = End::new(STRANGER);
    let now = crate::test_origin();
    attacker.agree(Setup::Active, &l, now);
    let (_, hello) = attacker.says().pop().unwrap();
    a.agree(Setup::Active, &l, now);
    b.agree(Setup::Active, &l, now);
    l.association
        .agree(branch(Setup::Passive, &a), &l.factory, now);
    let second = branch(Setup::Passive, &b);
    l.association.expect(&second, &l.factory, now);
    let few = Duration::from_secs(2);
    let now = run(&mut [&mut l, &mut a, &mut b], now, few, |_, _, _| true);
    for n in 0..200_u16 {
        l.hears(SocketAddr::new(at(STRANGER).ip(), 1024 + n), &hello, now);
    }
    assert!(l.says().len() <= 16, "what strangers can cost is bounded");
    l.secured = None;
    l.association.agree(second, &l.factory, now);
    l.listen();
    both_secured(&l, &b);
}
