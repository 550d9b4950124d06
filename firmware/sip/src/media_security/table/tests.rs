//! Every cell of the table, written down by hand: what becomes of an offer, what is offered, and
//! what an answer may make of it.

use super::*;
use crate::media_security::{Fingerprint, HashName};

fn media_security(policy: EncryptionPolicy, keying: &[Keying]) -> MediaSecurity {
    MediaSecurity {
        policy,
        policy_over_clear: policy,
        keying: keying.to_vec(),
        fingerprint: Some(Fingerprint {
            hash: HashName::Sha256,
            bytes: vec![7; 32],
        }),
        ..MediaSecurity::default()
    }
}

const BOTH: [Keying; 2] = [Keying::Sdes, Keying::Dtls];

/// A cell's word: `C` clear, `cN` clear and reported (not offered), `cK` (keys in clear), `cX`
/// (nothing in common), `S`, `D`, and `r…` refused.
fn word(agreement: Result<Agreement, Refusal>) -> &'static str {
    match agreement {
        Ok(Agreement::Sdes) => "S",
        Ok(Agreement::Dtls) => "D",
        Ok(Agreement::Clear(None)) => "C",
        Ok(Agreement::Clear(Some(why))) => match why {
            WhyClear::NotOffered => "cN",
            WhyClear::NotTaken => "cT",
            WhyClear::KeysInClear => "cK",
            WhyClear::NothingInCommon => "cX",
            WhyClear::Refused => "cR",
            WhyClear::NoKeying => "cI",
        },
        Err(refusal) => match refusal {
            Refusal::Protocol => "rP",
            Refusal::Off => "rO",
            Refusal::Required => "rR",
            Refusal::KeysInClear => "rK",
            Refusal::NoKeys => "rN",
            Refusal::NothingInCommon => "rX",
            Refusal::Unreadable(_) => "rU",
            Refusal::Downgrade => "rD",
            Refusal::BadAnswer => "rB",
            Refusal::Impossible => "rI",
        },
    }
}

/// `-` absent, `x` useless, `+` usable, `?` unreadable.
fn brought(profile: &str, sdes: char, dtls: char) -> (MediaKeying, Option<sdes::CryptoLineError>) {
    let keys = |c| match c {
        '-' => KeyingState::Absent,
        'x' => KeyingState::Unsupported,
        _ => KeyingState::Usable,
    };
    let keying = MediaKeying {
        profile: Profile::of(profile),
        sdes: (sdes != '?').then(|| keys(sdes)),
        dtls: keys(dtls),
    };
    (keying, (sdes == '?').then_some(sdes::CryptoLineError::Tag))
}

/// Profile, `a=crypto`, `a=fingerprint`; then off, preferred, required with secure signalling;
/// preferred, required without.
const CELLS: &[(&str, char, char, [&str; 5])] = &[
    ("RTP/AVP", '-', '-', ["C", "cN", "rR", "cN", "rR"]),
    ("RTP/AVP", '-', 'x', ["C", "cX", "rR", "cX", "rR"]),
    ("RTP/AVP", '-', '+', ["C", "D", "rR", "D", "rR"]),
    ("RTP/AVP", 'x', '-', ["C", "cX", "rR", "cK", "rR"]),
    ("RTP/AVP", 'x', 'x', ["C", "cX", "rR", "cK", "rR"]),
    ("RTP/AVP", 'x', '+', ["C", "D", "rR", "D", "rR"]),
    ("RTP/AVP", '+', '-', ["C", "S", "rR", "cK", "rR"]),
    ("RTP/AVP", '+', 'x', ["C", "S", "rR", "cK", "rR"]),
    ("RTP/AVP", '+', '+', ["C", "S", "rR", "D", "rR"]),
    ("RTP/AVP", '?', '-', ["C", "rU", "rU", "rU", "rU"]),
    ("RTP/AVP", '?', 'x', ["C", "rU", "rU", "rU", "rU"]),
    ("RTP/AVP", '?', '+', ["C", "rU", "rU", "rU", "rU"]),
    ("RTP/SAVP", '-', '-', ["rO", "rN", "rN", "rN", "rN"]),
    ("RTP/SAVP", '-', 'x', ["rO", "rX", "rX", "rX", "rX"]),
    ("RTP/SAVP", '-', '+', ["rO", "D", "D", "D", "D"]),
    ("RTP/SAVP", 'x', '-', ["rO", "rX", "rX", "rK", "rK"]),
    ("RTP/SAVP", 'x', 'x', ["rO", "rX", "rX", "rK", "rK"]),
    ("RTP/SAVP", 'x', '+', ["rO", "D", "D", "D", "D"]),
    ("RTP/SAVP", '+', '-', ["rO", "S", "S", "rK", "rK"]),
    ("RTP/SAVP", '+', 'x', ["rO", "S", "S", "rK", "rK"]),
    ("RTP/SAVP", '+', '+', ["rO", "S", "S", "D", "D"]),
    ("RTP/SAVP", '?', '-', ["rO", "rU", "rU", "rU", "rU"]),
    ("RTP/SAVP", '?', 'x', ["rO", "rU", "rU", "rU", "rU"]),
    ("RTP/SAVP", '?', '+', ["rO", "rU", "rU", "rU", "rU"]),
    ("UDP/TLS/RTP/SAVP", '-', '-', ["rO", "rN", "rN", "rN", "rN"]),
    ("UDP/TLS/RTP/SAVP", '-', 'x', ["rO", "rX", "rX", "rX", "rX"]),
    ("UDP/TLS/RTP/SAVP", '-', '+', ["rO", "D", "D", "D", "D"]),
    ("UDP/TLS/RTP/SAVP", 'x', '-', ["rO", "rN", "rN", "rN", "rN"]),
    ("UDP/TLS/RTP/SAVP", 'x', 'x', ["rO", "rX", "rX", "rX", "rX"]),
    ("UDP/TLS/RTP/SAVP", 'x', '+', ["rO", "D", "D", "D", "D"]),
    ("UDP/TLS/RTP/SAVP", '+', '-', ["rO", "rN", "rN", "rN", "rN"]),
    ("UDP/TLS/RTP/SAVP", '+', 'x', ["rO", "rX", "rX", "rX", "rX"]),
    ("UDP/TLS/RTP/SAVP", '+', '+', ["rO", "D", "D", "D", "D"]),
    ("UDP/TLS/RTP/SAVP", '?', '-', ["rO", "rN", "rN", "rN", "rN"]),
    ("UDP/TLS/RTP/SAVP", '?', 'x', ["rO", "rX", "rX", "rX", "rX"]),
    ("UDP/TLS/RTP/SAVP", '?', '+', ["rO", "D", "D", "D", "D"]),
];

fn judged(
    media_security: &MediaSecurity,
    secure: bool,
    locked: bool,
    cell: (&str, char, char),
) -> &'static str {
    let (offer, unreadable) = brought(cell.0, cell.1, cell.2);
    word(EncryptionRules::of(media_security, secure, locked).evaluate_offer(offer, unreadable))
}

#[test]
fn every_cell_of_an_offer() {
    for (profile, sdes, dtls, wanted) in CELLS {
        let cell = (*profile, *sdes, *dtls);
        let found = [
            judged(
                &media_security(EncryptionPolicy::Off, &BOTH),
                true,
                false,
                cell,
            ),
            judged(
                &media_security(EncryptionPolicy::Preferred, &BOTH),
                true,
                false,
                cell,
            ),
            judged(
                &media_security(EncryptionPolicy::Required, &BOTH),
                true,
                false,
                cell,
            ),
            judged(
                &media_security(EncryptionPolicy::Preferred, &BOTH),
                false,
                false,
                cell,
            ),
            judged(
                &media_security(EncryptionPolicy::Required, &BOTH),
                false,
                false,
                cell,
            ),
        ];
        assert_eq!(found, *wanted, "{cell:?}");
        assert_eq!(
            judged(
                &media_security(EncryptionPolicy::Off, &BOTH),
                false,
                false,
                cell
            ),
            wanted[0],
            "{cell:?}"
        );
        // The profile with feedback (RFC 4585, 5124) is the same to this table.
        let feedback = format!("{profile}F").to_ascii_lowercase();
        let cell_f = (feedback.as_str(), *sdes, *dtls);
        assert_eq!(
            judged(
                &media_security(EncryptionPolicy::Preferred, &BOTH),
                true,
                false,
                cell_f
            ),
            wanted[1],
            "{cell_f:?}"
        );
        // Who lets keys travel in clear gets what TLS gets.
        let loud = MediaSecurity {
            sdes_over_clear: true,
            ..media_security(EncryptionPolicy::Required, &BOTH)
        };
        assert_eq!(judged(&loud, false, false, cell), wanted[2], "{cell:?}");
        // A call that is encrypted never goes on in clear.
        for policy in [EncryptionPolicy::Preferred, EncryptionPolicy::Required] {
            let before = judged(&media_security(policy, &BOTH), true, false, cell);
            let now = judged(&media_security(policy, &BOTH), true, true, cell);
            if before.starts_with('c') || before == "rR" {
                assert_eq!(now, "rD", "{cell:?}");
            } else {
                assert_eq!(now, before, "{cell:?}");
            }
        }
    }
    for policy in [
        EncryptionPolicy::Off,
        EncryptionPolicy::Preferred,
        EncryptionPolicy::Required,
    ] {
        for other in ["udp", "TCP/TLS/RTP/SAVP", "RTP/SAVPX", "udptl", ""] {
            assert_eq!(
                judged(
                    &media_security(policy, &BOTH),
                    true,
                    false,
                    (other, '+', '+')
                ),
                "rP"
            );
        }
    }
}

#[test]
fn a_keying_that_is_not_configured_does_not_count() {
    for (keying, cell, secure, wanted) in [
        (&[Keying::Sdes][..], ("RTP/AVP", '-', '+'), true, "cX"),
        (&[Keying::Sdes], ("RTP/SAVP", '+', '+'), true, "S"),
        (&[Keying::Sdes], ("RTP/SAVP", '+', '+'), false, "rK"),
        (&[Keying::Sdes], ("UDP/TLS/RTP/SAVP", '-', '+'), true, "rX"),
        (&[Keying::Dtls], ("RTP/SAVP", '+', '-'), true, "rX"),
        (&[Keying::Dtls], ("RTP/AVP", '+', '+'), true, "D"),
        (
            &[Keying::Dtls, Keying::Sdes],
            ("RTP/SAVP", '+', '+'),
            true,
            "D",
        ),
        (
            &[Keying::Dtls, Keying::Sdes],
            ("RTP/AVP", '+', '-'),
            true,
            "S",
        ),
    ] {
        assert_eq!(
            judged(
                &media_security(EncryptionPolicy::Preferred, keying),
                secure,
                false,
                cell
            ),
            wanted,
            "{keying:?} {cell:?}"
        );
    }
    // Without a certificate there is no DTLS, without a suite no SDES.
    let bare = MediaSecurity {
        fingerprint: None,
        ..media_security(EncryptionPolicy::Required, &BOTH)
    };
    assert_eq!(
        judged(&bare, true, false, ("UDP/TLS/RTP/SAVP", '-', '+')),
        "rX"
    );
    let none = MediaSecurity {
        suites: Vec::new(),
        ..media_security(EncryptionPolicy::Required, &BOTH)
    };
    assert_eq!(judged(&none, true, false, ("RTP/SAVP", '+', '-')), "rX");
}

/// Profile, SDES, DTLS, what is reported when it is answered in clear.
fn planned(
    media_security: &MediaSecurity,
    secure: bool,
) -> Vec<(&'static str, bool, bool, Option<WhyClear>)> {
    let offers = EncryptionRules::of(media_security, secure, false).offers();
    offers
        .iter()
        .map(|s| (s.proto(), s.sdes, s.dtls, s.missing))
        .collect()
}

#[test]
fn every_plan_of_offers() {
    use WhyClear::{NoKeying, NotTaken, Refused};
    const SAVP: (&str, bool, bool, Option<WhyClear>) = ("RTP/SAVP", true, false, None);
    const SAVPF: (&str, bool, bool, Option<WhyClear>) = ("RTP/SAVPF", true, false, None);
    const DTLS: (&str, bool, bool, Option<WhyClear>) = ("UDP/TLS/RTP/SAVP", false, true, None);
    const DTLSF: (&str, bool, bool, Option<WhyClear>) = ("UDP/TLS/RTP/SAVPF", false, true, None);
    let plan = |policy, keying: &[Keying], secure| planned(&media_security(policy, keying), secure);
    let avp = |sdes, dtls, missing| ("RTP/AVP", sdes, dtls, missing);
    let avpf = |missing| ("RTP/AVPF", false, false, missing);
    for secure in [true, false] {
        assert_eq!(
            plan(EncryptionPolicy::Off, &BOTH, secure),
            [avp(false, false, None), avpf(None)]
        );
    }
    // Each kind of keying alone, in each variant of its profile, before anything in clear.
    assert_eq!(
        plan(EncryptionPolicy::Preferred, &BOTH, true),
        [
            avp(true, true, Some(NotTaken)),
            SAVP,
            DTLS,
            SAVPF,
            DTLSF,
            avp(false, false, Some(Refused)),
            avpf(Some(Refused))
        ]
    );
    assert_eq!(
        plan(EncryptionPolicy::Preferred, &[Keying::Sdes], true),
        [
            avp(true, false, Some(NotTaken)),
            SAVP,
            SAVPF,
            avp(false, false, Some(Refused)),
            avpf(Some(Refused))
        ]
    );
    // Keys never stand in an offer that goes in clear.
    assert_eq!(
        plan(EncryptionPolicy::Preferred, &BOTH, false),
        [
            avp(false, true, Some(NotTaken)),
            DTLS,
            DTLSF,
            avp(false, false, Some(Refused)),
            avpf(Some(Refused))
        ]
    );
    assert_eq!(
        plan(EncryptionPolicy::Preferred, &[Keying::Sdes], false),
        [avp(false, false, Some(NoKeying)), avpf(Some(NoKeying))]
    );
    // What is required is never asked for in a profile that could be answered in clear, and there
    // is no last resort.
    assert_eq!(
        plan(EncryptionPolicy::Required, &BOTH, true),
        [SAVP, DTLS, SAVPF, DTLSF]
    );
    let turned = [Keying::Dtls, Keying::Sdes];
    assert_eq!(
        plan(EncryptionPolicy::Required, &turned, true),
        [DTLS, SAVP, DTLSF, SAVPF]
    );
    assert_eq!(
        plan(EncryptionPolicy::Required, &BOTH, false),
        [DTLS, DTLSF]
    );
    assert_eq!(plan(EncryptionPolicy::Required, &[Keying::Sdes], false), []);
    let loud = MediaSecurity {
        sdes_over_clear: true,
        ..media_security(EncryptionPolicy::Required, &[Keying::Sdes])
    };
    assert_eq!(planned(&loud, false), [SAVP, SAVPF]);
}

#[test]
fn every_cell_of_an_answer() {
    let both = OfferShape {
        profile: Profile::Plain,
        feedback: false,
        sdes: true,
        dtls: true,
        missing: Some(WhyClear::NotTaken),
    };
    let plain = OfferShape::plain(Some(WhyClear::Refused));
    let plain_f = OfferShape {
        feedback: true,
        ..plain
    };
    let (sdes, dtls) = (
        OfferShape::secure(Keying::Sdes),
        OfferShape::secure(Keying::Dtls),
    );
    // Offer; answer's profile, crypto, fingerprint; preferred, and the same within an encrypted
    // call; required.
    let cells: &[(OfferShape, &str, char, char, [&str; 3])] = &[
        (both, "RTP/AVP", '+', '-', ["S", "S", "S"]),
        (both, "RTP/AVP", '-', '+', ["D", "D", "D"]),
        (both, "RTP/AVP", '+', '+', ["S", "S", "S"]),
        (both, "RTP/AVP", '-', '-', ["cT", "rD", "rR"]),
        (both, "RTP/AVP", 'x', '-', ["rB", "rB", "rB"]),
        (both, "RTP/AVP", '-', 'x', ["rB", "rB", "rB"]),
        (both, "RTP/AVP", '?', '-', ["rB", "rB", "rB"]),
        (both, "RTP/SAVP", '+', '-', ["rP", "rP", "rP"]),
        (plain, "RTP/AVP", '-', '-', ["cR", "rD", "rR"]),
        (plain, "RTP/AVPF", '-', '-', ["cR", "rD", "rR"]),
        (plain_f, "RTP/AVPF", '-', '-', ["cR", "rD", "rR"]),
        (plain_f, "RTP/AVP", '-', '-', ["cR", "rD", "rR"]),
        (plain_f, "RTP/SAVPF", '+', '-', ["rP", "rP", "rP"]),
        // Nothing was offered: what the answer says of keys is noise.
        (plain, "RTP/AVP", '+', '+', ["cR", "rD", "rR"]),
        (sdes, "RTP/SAVP", '+', '-', ["S", "S", "S"]),
        (sdes, "RTP/SAVPF", '+', '-', ["S", "S", "S"]),
        (sdes, "RTP/SAVP", '-', '-', ["rD", "rD", "rD"]),
        (sdes, "RTP/SAVP", 'x', '-', ["rB", "rB", "rB"]),
        (sdes, "RTP/SAVP", '-', '+', ["rD", "rD", "rD"]),
        // Somebody on the way takes the profile down.
        (sdes, "RTP/AVP", '+', '-', ["rD", "rD", "rD"]),
        (sdes, "RTP/AVP", '-', '-', ["rD", "rD", "rD"]),
        (dtls, "UDP/TLS/RTP/SAVP", '-', '+', ["D", "D", "D"]),
        (dtls, "UDP/TLS/RTP/SAVPF", '-', '+', ["D", "D", "D"]),
        (dtls, "UDP/TLS/RTP/SAVP", '+', '-', ["rD", "rD", "rD"]),
        (dtls, "UDP/TLS/RTP/SAVP", '-', 'x', ["rB", "rB", "rB"]),
        (dtls, "RTP/AVP", '-', '+', ["rD", "rD", "rD"]),
        (dtls, "RTP/SAVP", '-', '+', ["rD", "rD", "rD"]),
    ];
    for (shape, profile, crypto, fingerprint, wanted) in cells {
        let answer = brought(profile, *crypto, *fingerprint).0;
        let judged = |policy, locked| {
            word(
                EncryptionRules::of(&media_security(policy, &BOTH), true, locked)
                    .evaluate_answer(*shape, answer),
            )
        };
        let found = [
            judged(EncryptionPolicy::Preferred, false),
            judged(EncryptionPolicy::Preferred, true),
            judged(EncryptionPolicy::Required, false),
        ];
        assert_eq!(found, *wanted, "{shape:?} {profile} {crypto}{fingerprint}");
    }
}

#[test]
fn where_nothing_is_said_only_tls_makes_a_wish() {
    let default = MediaSecurity::default();
    assert_eq!(
        (default.policy_on(true), default.policy_on(false)),
        (EncryptionPolicy::Preferred, EncryptionPolicy::Off)
    );
    assert!(!default.sdes_over_clear && !default.hmac_32);
}
