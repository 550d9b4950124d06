//! What is known of one call.

use super::*;

fn with_key(lifetime: Option<u64>, byte: u8) -> Negotiated {
    let key = |byte| {
        SdesKey::new(
            types::SrtpSuite::AesCm128HmacSha1_80,
            &[byte; 30],
            &[],
            lifetime,
        )
        .unwrap()
    };
    let protection = Protection::Sdes {
        send: key(1),
        receive: key(byte),
    };
    crate::test_media::agreed(protection, true)
}

fn record() -> CallRecord {
    CallRecord::new(
        CallId(1),
        sip::CallHandle(1),
        CallDirection::Out,
        "anna".into(),
        crate::test_origin(),
    )
}

#[test]
fn sdes_key_is_renewed_before_its_lifetime_ends() {
    let mut call = record();
    call.stats.srtp.protected_received = 1000;
    call.media = Some(with_key(Some(1 << 19), 2));
    call.note_sdes_key();
    let mut at = |packets: u64| {
        call.stats.srtp.protected_received = 1000 + packets;
        call.note_sdes_key();
        call.sdes_key_action()
    };
    assert_eq!(at((1 << 19) / 8 * 7 - 1), SdesKeyAction::Nothing);
    assert_eq!(at((1 << 19) / 8 * 7), SdesKeyAction::Renew);
    assert_eq!(
        at((1 << 19) / 8 * 7 + 1),
        SdesKeyAction::Nothing,
        "asked once"
    );
    assert_eq!(at(1 << 19), SdesKeyAction::End);
    // A new key has its whole lifetime; one without lifetime lasts.
    call.media = Some(with_key(Some(1 << 19), 3));
    call.note_sdes_key();
    assert_eq!(call.sdes_key_action(), SdesKeyAction::Nothing);
    call.media = Some(with_key(None, 4));
    call.note_sdes_key();
    call.stats.srtp.protected_received = u64::MAX;
    assert_eq!(call.sdes_key_action(), SdesKeyAction::Nothing);
}

#[test]
fn encryption_is_reported_as_measured() {
    use media::Encryption as Measured;
    let mut call = record();
    let proof = |trust| {
        Some(Proof {
            fingerprint: [0; 32],
            sas: Sas::derive(&[1], &[0; 32], &[0; 32]),
            trust,
        })
    };
    call.proof = proof(Trust::Changed);
    assert_eq!(
        call.encryption(),
        Encryption::Missing,
        "a changed certificate is reported"
    );
    call.proof = proof(Trust::New);
    assert_eq!(
        (call.encryption_name(), call.encryption()),
        ("none", Encryption::Unwanted)
    );
    // Agreed on, and nothing measured yet: a wish.
    call.media = Some(with_key(None, 2));
    assert_eq!(
        (call.encryption_name(), call.encryption()),
        ("waiting", Encryption::Pending)
    );
    for (measured, word, shown) in [
        (Measured::Waiting, "waiting", Encryption::Pending),
        (Measured::Partial, "partial", Encryption::Pending),
        (
            Measured::Full(media::SrtpSuite::AeadAes256Gcm),
            "AEAD_AES_256_GCM",
            Encryption::Working,
        ),
        // Whatever signalling said: packets go in clear.
        (Measured::None, "none", Encryption::Missing),
    ] {
        call.measured = Some(measured);
        assert_eq!((call.encryption_name(), call.encryption()), (word, shown));
    }
    // Nothing agreed on, and it was to be: missing, also before anything is measured.
    call.media = Some(Negotiated {
        protection: Protection::Clear,
        required: false,
        missing: Some(sip::media_security::WhyClear::NotTaken),
        ..with_key(None, 2)
    });
    for measured in [None, Some(Measured::None)] {
        call.measured = measured;
        assert_eq!(
            (call.encryption_name(), call.encryption()),
            ("none", Encryption::Missing)
        );
    }
    call.media.as_mut().unwrap().missing = None;
    assert_eq!(call.encryption(), Encryption::Unwanted);
}

#[test]
fn early_sound_begins_and_stops() {
    let mut early = EarlySound::default();
    assert_eq!([early.on_figures(0), early.on_figures(0)], [None; 2]);
    assert_eq!(early.on_first(), Some(true));
    assert_eq!([early.on_figures(50), early.on_figures(50)], [None; 2]);
    assert_eq!(
        early.on_figures(50),
        Some(false),
        "two seconds without a packet"
    );
    assert_eq!(early.on_figures(50), None);
    assert_eq!(early.on_figures(51), Some(true), "and it comes again");
}

#[test]
fn hold_is_answered_by_the_direction_asked_for() {
    let mut hold = Hold::default();
    assert!(!hold.request(false), "nothing to take back");
    assert!(hold.request(true));
    assert_eq!(hold.on_media(true), None, "their offer crossed ours");
    assert_eq!(hold.on_media(false), Some(true));
    assert_eq!((hold, hold.on_media(false)), (Hold::On, None));
    assert!(hold.request(false));
    assert_eq!(hold.on_media(false), Some(false), "they hold us now");
    assert_eq!(hold, Hold::Off);
    assert!(hold.request(true) && !hold.refused());
    assert_eq!(hold, Hold::Off);
}
