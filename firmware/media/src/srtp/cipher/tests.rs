//! The transforms against the RFCs' own figures, with session keys given, not derived.

use super::*;
use crate::srtp::test_vectors::{hex, rfc7714, vector};

/// A session with these very keys.
fn session(suite: SrtpSuite, key: &[u8], salt: &[u8]) -> SessionCipher {
    let mut keys = SessionKeys {
        cipher: [0; 32],
        auth: [0; 20],
        salt: [0; MAX_SALT],
    };
    keys.cipher[..key.len()].copy_from_slice(key);
    keys.salt[..salt.len()].copy_from_slice(salt);
    SessionCipher::keyed(suite, Channel::Rtp, &keys)
}

fn cm(session: &SessionCipher) -> &Cm {
    match &session.transform {
        Transform::Cm(cm) => cm,
        Transform::Gcm(_) => panic!("no counter mode"),
    }
}

fn gcm(session: &SessionCipher) -> &Gcm {
    match &session.transform {
        Transform::Gcm(gcm) => gcm,
        Transform::Cm(_) => panic!("no GCM"),
    }
}

#[test]
fn rfc_3711_appendix_b_2() {
    let test = "cipher::rfc_3711_appendix_b_2";
    let Some(v) = vector(test, "rfc3711-B.2-aes-cm-keystream") else {
        return;
    };
    let bytes = |name: &str| hex(v[name].as_str().unwrap());
    let session = session(
        SrtpSuite::AesCm128HmacSha1_80,
        &bytes("key"),
        &bytes("salt"),
    );
    let mut stream = vec![0; 0xFF02 * 16];
    cm(&session).apply(&session.cm_iv(0, 0), &mut stream);
    for (block, wanted) in v["blocks"].as_object().unwrap() {
        let at = usize::from_str_radix(block, 16).unwrap() * 16;
        assert_eq!(
            stream[at..at + 16],
            hex(wanted.as_str().unwrap()),
            "block {block}"
        );
    }
}

#[test]
fn both_key_lengths_encrypt_as_published() {
    for (id, suite) in [
        ("rfc3711-B.2-as-in-libsrtp", SrtpSuite::AesCm128HmacSha1_32),
        ("rfc6188-7-aes256-cm", SrtpSuite::AesCm256HmacSha1_80),
    ] {
        let Some(v) = vector("cipher::both_key_lengths_encrypt_as_published", id) else {
            return;
        };
        let bytes = |name: &str| hex(v[name].as_str().unwrap());
        let session = session(suite, &bytes("key"), &bytes("salt"));
        let mut data = bytes("plain");
        cm(&session).apply(&session.cm_iv(0, 0), &mut data);
        assert_eq!(data, bytes("cipher"), "{id}");
        cm(&session).apply(&session.cm_iv(0, 0), &mut data);
        assert_eq!(data, bytes("plain"), "{id}: back again");
    }
}

#[test]
fn rfc_7714_section_16() {
    let sealed = rfc7714(
        "cipher::rfc_7714_section_16",
        "Encrypted and tagged packet:",
    );
    let tagged = rfc7714("cipher::rfc_7714_section_16", "Tagged packet:");
    if sealed.is_empty() {
        return;
    }
    assert_eq!((sealed.len(), tagged.len()), (2, 2));
    let clear = hex(
        "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 \
         61727465 73207472 6573",
    );
    let key: Vec<u8> = (0..32).collect();
    for (n, suite) in [SrtpSuite::AeadAes128Gcm, SrtpSuite::AeadAes256Gcm]
        .into_iter()
        .enumerate()
    {
        let session = session(suite, &key[..suite.key_len()], b"Quid pro quo");
        let nonce = session.gcm_iv(0x5501_a0b2, 0xf17b);
        assert_eq!(nonce[..], hex("51753c6580c2726f20718414"));
        let (header, mut payload) = (&clear[..12], clear[12..].to_vec());
        let tag = gcm(&session).seal(nonce, header, &mut payload).unwrap();
        assert_eq!([header, &payload, &tag].concat(), sealed[n], "{suite:?}");
        let mut wrong = tag;
        wrong[15] ^= 1;
        let before = payload.clone();
        assert!(
            !gcm(&session).open(nonce, header, &mut payload, wrong) && payload == before,
            "left as it was"
        );
        assert!(gcm(&session).open(nonce, header, &mut payload, tag) && payload == clear[12..]);
        // Authentication alone: everything is associated data.
        let tag = gcm(&session).seal(nonce, &clear, &mut []).unwrap();
        assert_eq!([&clear[..], &tag].concat(), tagged[n], "{suite:?}");
    }
}

/// RFC 2202 section 3, cases 1 and 2 and the cut of case 5.
#[test]
fn hmac_sha1_as_published() {
    let keyed = |key: &[u8]| {
        let mut keys = SessionKeys {
            cipher: [0; 32],
            auth: [0; 20],
            salt: [0; MAX_SALT],
        };
        keys.auth[..key.len()].copy_from_slice(key);
        SessionCipher::keyed(SrtpSuite::AesCm128HmacSha1_80, Channel::Rtp, &keys)
    };
    for (key, data, mac) in [
        (
            &[0x0b; 20][..],
            &b"Hi There"[..],
            "b617318655057264e28bc0b6fb378c8ef146be00",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
        ),
        (
            &[0x0c; 20],
            b"Test With Truncation",
            "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04",
        ),
    ] {
        let session = keyed(key);
        let cm = cm(&session);
        let mac = hex(mac);
        for cut in 0..data.len() {
            assert_eq!(cm.mac(&data[..cut], &data[cut..])[..], mac, "{cut}");
        }
        for length in 1..=20 {
            assert!(cm.verify(data, &[], &mac[..length]));
            let mut wrong = mac[..length].to_vec();
            wrong[length - 1] ^= 0x80;
            assert!(!cm.verify(data, &[], &wrong));
        }
        assert!(!cm.verify(data, &[], &[]), "an empty tag proves nothing");
        assert!(!cm.verify(data, &[], &[0; 21]));
    }
}
