//! RFC 4568 by its letter, and keys that are new when they must be.

use types::SrtpSuite;

use super::crypto_line::{Unsupported, read};
use super::*;
use crate::media_security::MediaSecurity;

const K128: &str = "WnD7c1ksDGs+dIefCEo8omPg4uO8DYIinNGL5yxQ";
const K256: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLQ==";

fn media_security() -> MediaSecurity {
    MediaSecurity::default()
}

fn tokens() -> Tokens {
    Tokens::new([9; 32])
}

fn usable(value: &str) -> Crypto {
    match read(value) {
        Ok((_, Reading::Usable(line))) => line,
        other => panic!("{value}: {other:?}"),
    }
}

fn unsupported(value: &str) -> Unsupported {
    match read(value) {
        Ok((_, Reading::Unsupported(unsupported))) => unsupported,
        other => panic!("{value}: {other:?}"),
    }
}

fn error(value: &str) -> CryptoLineError {
    read(value).unwrap_err()
}

#[test]
fn suites_have_their_rfc_names_and_lengths() {
    for (name, suite, secret) in [
        (
            "AES_CM_128_HMAC_SHA1_80",
            SrtpSuite::AesCm128HmacSha1_80,
            30,
        ),
        (
            "AES_CM_128_HMAC_SHA1_32",
            SrtpSuite::AesCm128HmacSha1_32,
            30,
        ),
        (
            "AES_256_CM_HMAC_SHA1_80",
            SrtpSuite::AesCm256HmacSha1_80,
            46,
        ),
        (
            "AES_256_CM_HMAC_SHA1_32",
            SrtpSuite::AesCm256HmacSha1_32,
            46,
        ),
        (
            "AES_CM_256_HMAC_SHA1_80",
            SrtpSuite::AesCm256HmacSha1_80,
            46,
        ),
        (
            "aes_Cm_256_hmac_SHA1_32",
            SrtpSuite::AesCm256HmacSha1_32,
            46,
        ),
        ("AEAD_AES_128_GCM", SrtpSuite::AeadAes128Gcm, 28),
        ("AEAD_AES_256_GCM", SrtpSuite::AeadAes256Gcm, 44),
    ] {
        let key = |length: usize| {
            use base64ct::{Base64, Encoding};
            Base64::encode_string(&vec![0x5A; length])
        };
        let line = usable(&format!("7 {name} inline:{}", key(secret)));
        assert_eq!(
            (line.tag, line.name.as_str(), line.key.suite()),
            (7, name, suite)
        );
        assert_eq!(line.key.key().len() + line.key.salt().len(), secret);
        for wrong in [secret - 1, secret + 1, 0, 20, 64] {
            let error = read(&format!("7 {name} inline:{}", key(wrong)));
            assert!(
                matches!(error, Err(CryptoLineError::Key | CryptoLineError::Short)),
                "{name} {wrong}"
            );
        }
        let mut body = String::new();
        line.write(&mut body);
        assert_eq!(usable(body.trim().trim_start_matches("a=crypto:")), line);
    }
    assert_eq!(
        unsupported(&format!("1 AES_CM_192_HMAC_SHA1_80 inline:{K128}")),
        Unsupported::Suite
    );
    assert_eq!(
        unsupported("1 F8_128_HMAC_SHA1_80 inline:x"),
        Unsupported::Suite
    );
}

#[test]
fn key_and_salt_are_where_they_belong() {
    let line = usable("1 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd");
    assert_eq!(line.key.key(), (0..16).collect::<Vec<u8>>());
    assert_eq!(line.key.salt(), (16..30).collect::<Vec<u8>>());
    // Padding may be left out; it may not be invented.
    let full = usable(&format!("1 AES_256_CM_HMAC_SHA1_80 inline:{K256}"));
    assert_eq!(
        usable(&format!(
            "1 AES_256_CM_HMAC_SHA1_80 inline:{}",
            K256.trim_end_matches('=')
        )),
        full
    );
    for bad in [
        format!("{K256}="),
        format!("{}=", K256.trim_end_matches('=')),
        format!("{K128}=="),
        K128.replace('W', "_"),
    ] {
        let suite = if bad.len() > 50 {
            "AES_256_CM"
        } else {
            "AES_CM_128"
        };
        assert_eq!(
            error(&format!("1 {suite}_HMAC_SHA1_80 inline:{bad}")),
            CryptoLineError::Key,
            "{bad}"
        );
    }
}

#[test]
fn tags_are_numbers_without_leading_zeros() {
    let line = |tag: &str| {
        read(&format!("{tag} AES_CM_128_HMAC_SHA1_80 inline:{K128}")).map(|(tag, _)| tag)
    };
    assert_eq!(
        (line("0"), line("1"), line("999999999")),
        (Ok(0), Ok(1), Ok(999_999_999))
    );
    for bad in ["01", "00", "x", "1a", "-1", "+1", "1000000000", "²"] {
        assert_eq!(line(bad), Err(CryptoLineError::Tag), "{bad}");
    }
    assert_eq!(error(""), CryptoLineError::Tag);
    for bad in [
        "1",
        "1 AES_CM_128_HMAC_SHA1_80",
        "1 AES_CM_128_HMAC_SHA1_80 inline:",
        "1 AES_CM_128_HMAC_SHA1_80 inline",
    ] {
        assert_eq!(error(bad), CryptoLineError::Short, "{bad}");
    }
    let line = format!("3 AES_CM_128_HMAC_SHA1_80 inline:{K128}");
    assert_eq!(
        read_all([line.as_str(), line.as_str()].into_iter()),
        Err(CryptoLineError::SameTag)
    );
    let many: Vec<String> = (0..33)
        .map(|tag| format!("{tag} AES_CM_128_HMAC_SHA1_80 inline:{K128}"))
        .collect();
    assert_eq!(
        read_all(many.iter().map(String::as_str)),
        Err(CryptoLineError::TooMuch)
    );
    assert_eq!(
        read_all(many.iter().take(32).map(String::as_str))
            .unwrap()
            .len(),
        32
    );
    assert_eq!(
        error(&format!(
            "1 AES_CM_128_HMAC_SHA1_80 inline:{}",
            "A".repeat(1100)
        )),
        CryptoLineError::TooMuch
    );
}

#[test]
fn lifetimes_and_identifiers_are_kept_or_refused() {
    let line = |rest: &str| format!("1 AES_CM_128_HMAC_SHA1_80 inline:{K128}{rest}");
    for (rest, lifetime, mki) in [
        ("", None, &[][..]),
        ("|2^20", Some(1 << 20), &[]),
        ("|1048576", Some(1 << 20), &[]),
        ("|2^48", Some(1 << 48), &[]),
        ("|2^31|1:4", Some(1 << 31), &[0, 0, 0, 1]),
        ("|1:1", None, &[1]),
        ("|2^20|65535:2", Some(1 << 20), &[255, 255]),
        ("|258:3", None, &[0, 1, 2]),
    ] {
        let key = usable(&line(rest)).key;
        assert_eq!((key.lifetime(), key.mki()), (lifetime, mki), "{rest}");
    }
    let long = usable(&line("|2^20|1:128"));
    assert_eq!((long.key.mki().len(), long.key.mki()[127]), (128, 1));
    // A key that does not last for a call, or longer than SRTP allows.
    for short in [
        "|2^10",
        "|1000",
        "|2^49",
        "|2^63",
        "|2^64",
        "|2^9999999999",
        "|9999999999999999999",
    ] {
        assert_eq!(unsupported(&line(short)), Unsupported::Lifetime, "{short}");
    }
    for bad in [
        "|",
        "|2^",
        "|0",
        "|2^x",
        "|x",
        "|-1",
        "|2^20|2^21",
        "|2^20|",
        "|1:4|2^20",
    ] {
        assert_eq!(error(&line(bad)), CryptoLineError::Lifetime, "{bad}");
    }
    for bad in [
        "|1:0", "|1:129", "|256:1", "|:1", "|1:", "|x:1", "|1:1|2:1", "|1:1000", "|-1:2",
    ] {
        assert_eq!(error(&line(bad)), CryptoLineError::Mki, "{bad}");
    }
    let two = format!("1 AES_CM_128_HMAC_SHA1_80 inline:{K128}|2^20|1:4;inline:{K128}|2^20|2:4");
    assert_eq!(unsupported(&two), Unsupported::SeveralKeys);
    assert_eq!(
        unsupported(&format!("1 AES_CM_128_HMAC_SHA1_80 uri:{K128}")),
        Unsupported::Method
    );
}

#[test]
fn unsupported_session_parameters_skip_the_line() {
    let line = |rest: &str| format!("1 AES_CM_128_HMAC_SHA1_80 inline:{K128} {rest}");
    for fine in [
        "WSH=64",
        "WSH=128",
        "FEC_ORDER=FEC_SRTP",
        "FEC_ORDER=SRTP_FEC",
        "-NEW=1",
        "-NEW",
        "WSH=1000 -X",
    ] {
        usable(&line(fine));
    }
    for (bad, why) in [
        ("UNENCRYPTED_SRTP", Unsupported::Unprotected),
        ("UNENCRYPTED_SRTCP", Unsupported::Unprotected),
        ("UNAUTHENTICATED_SRTP", Unsupported::Unprotected),
        ("unauthenticated_srtp", Unsupported::Unprotected),
        // Not even marked as optional: whoever sends it may do it.
        ("-UNENCRYPTED_SRTP", Unsupported::Unprotected),
        ("KDR=0", Unsupported::Rate),
        ("KDR=24", Unsupported::Rate),
        ("FEC_KEY=inline:abc", Unsupported::FecKey),
        ("NEW=1", Unsupported::Parameter),
        ("WSH=64 NEW", Unsupported::Parameter),
        ("WSH=64 UNENCRYPTED_SRTCP", Unsupported::Unprotected),
    ] {
        assert_eq!(unsupported(&line(bad)), why, "{bad}");
    }
    for bad in [
        "KDR",
        "KDR=25",
        "KDR=x",
        "KDR=-1",
        "WSH",
        "WSH=63",
        "WSH=",
        "FEC_ORDER",
        "FEC_ORDER=X",
        "FEC_KEY",
        "FEC_KEY=",
    ] {
        assert_eq!(error(&line(bad)), CryptoLineError::Parameter, "{bad}");
    }
}

fn offer_of(
    exchange: &mut Exchange,
    media_security: &MediaSecurity,
    fresh: bool,
    tokens: &mut Tokens,
) -> Vec<Reading> {
    exchange
        .offer(&media_security.acceptable_suites(), fresh, tokens)
        .iter()
        .cloned()
        .map(Reading::Usable)
        .collect()
}

#[test]
fn our_order_decides_and_short_tags_come_last() {
    let offered: Vec<Reading> = ["AES_CM_128_HMAC_SHA1_32", "AES_CM_128_HMAC_SHA1_80"]
        .iter()
        .zip(1..)
        .map(|(name, tag)| Reading::Usable(usable(&format!("{tag} {name} inline:{K128}"))))
        .collect();
    let allowed = MediaSecurity {
        hmac_32: true,
        ..media_security()
    };
    for media_security in [media_security(), allowed.clone()] {
        assert_eq!(
            Exchange::choose(&media_security.acceptable_suites(), &offered)
                .unwrap()
                .tag,
            2
        );
    }
    // Where a peer offers nothing else, and the policy allows it.
    assert_eq!(
        Exchange::choose(&media_security().acceptable_suites(), &offered[..1]),
        None
    );
    assert_eq!(
        Exchange::choose(&allowed.acceptable_suites(), &offered[..1])
            .unwrap()
            .tag,
        1
    );
    // A short tag among the configured suites needs that leave as well.
    let sly = MediaSecurity {
        suites: vec![SrtpSuite::AesCm128HmacSha1_32],
        ..media_security()
    };
    assert_eq!(sly.acceptable_suites(), []);
    let mut tokens = tokens();
    let mut exchange = Exchange::default();
    let names = |lines: &[Crypto]| {
        lines
            .iter()
            .map(|l| format!("{} {}", l.tag, l.name))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(exchange.offer(&media_security().acceptable_suites(), false, &mut tokens)),
        [
            "1 AEAD_AES_256_GCM",
            "2 AEAD_AES_128_GCM",
            "3 AES_256_CM_HMAC_SHA1_80",
            "4 AES_CM_128_HMAC_SHA1_80"
        ]
    );
    let lines = Exchange::default()
        .offer(&allowed.acceptable_suites(), false, &mut tokens)
        .to_vec();
    assert_eq!(
        names(&lines[4..]),
        ["5 AES_CM_128_HMAC_SHA1_32", "6 AES_256_CM_HMAC_SHA1_32"]
    );
}

#[test]
fn both_ends_come_to_the_same_two_keys() {
    let (mut a, mut b) = (Exchange::default(), Exchange::default());
    let (mut ta, mut tb) = (Tokens::new([1; 32]), Tokens::new([2; 32]));
    let offer = offer_of(&mut a, &media_security(), false, &mut ta);
    let at_b = b.answer(
        Exchange::choose(&media_security().acceptable_suites(), &offer).unwrap(),
        &mut tb,
    );
    let answer: Vec<Reading> = b
        .offered_lines()
        .iter()
        .cloned()
        .map(Reading::Usable)
        .collect();
    let at_a = a.accept(&answer).unwrap();
    assert_eq!((&at_a.send, &at_a.receive), (&at_b.receive, &at_b.send));
    assert_ne!(at_a.send, at_a.receive);
    assert_eq!(a.accept(&answer).unwrap(), at_a, "183 and 200 say the same");

    // A refresh without change repeats the keys in both directions.
    let again = offer_of(&mut a, &media_security(), false, &mut ta);
    assert_eq!(again[0].usable().unwrap().key, at_a.send);
    let refreshed = b.answer(
        Exchange::choose(&media_security().acceptable_suites(), &again).unwrap(),
        &mut tb,
    );
    assert_eq!(refreshed, at_b);
    // So does one that begins at the other end.
    let back = offer_of(&mut b, &media_security(), false, &mut tb);
    assert_eq!(back[0].usable().unwrap().key, at_b.send);
    assert_eq!(
        a.answer(
            Exchange::choose(&media_security().acceptable_suites(), &back).unwrap(),
            &mut ta
        ),
        at_a
    );
    // New keys of theirs get a new one of ours.
    let fresh = offer_of(&mut b, &media_security(), true, &mut tb);
    let changed = a.answer(
        Exchange::choose(&media_security().acceptable_suites(), &fresh).unwrap(),
        &mut ta,
    );
    assert_ne!(changed.receive, at_a.receive);
    assert_ne!(changed.send, at_a.send);
    for line in fresh.iter().filter_map(Reading::usable) {
        assert!(
            back.iter()
                .filter_map(Reading::usable)
                .all(|old| old.key != line.key)
        );
    }
}

#[test]
fn an_answer_names_one_line_of_the_offer() {
    let mut tokens = tokens();
    let mut exchange = Exchange::default();
    let said = exchange
        .offer(&media_security().acceptable_suites(), false, &mut tokens)
        .to_vec();
    let theirs = |tag: u32, suite: SrtpSuite| {
        Reading::Usable(Crypto::new(
            tag,
            SdesKey::fresh(suite, &mut Tokens::new([5; 32])),
        ))
    };
    let good = theirs(2, SrtpSuite::AeadAes128Gcm);
    for (answer, why) in [
        (vec![], "none"),
        (
            vec![good.clone(), theirs(1, SrtpSuite::AeadAes256Gcm)],
            "two",
        ),
        (
            vec![theirs(5, SrtpSuite::AeadAes128Gcm)],
            "a tag never offered",
        ),
        (
            vec![theirs(1, SrtpSuite::AeadAes128Gcm)],
            "a tag of another suite",
        ),
        (
            vec![Reading::Unsupported(Unsupported::Suite)],
            "unsupported",
        ),
        (vec![Reading::Usable(said[1].clone())], "our own key"),
    ] {
        assert_eq!(exchange.accept(&answer), None, "{why}");
    }
    assert_eq!(exchange.accept(&[good]).unwrap().send, said[1].key);
}

#[test]
fn every_key_is_new_and_none_is_shown() {
    let mut tokens = tokens();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..50 {
        for line in
            Exchange::default().offer(&media_security().acceptable_suites(), false, &mut tokens)
        {
            assert!(seen.insert(line.key.secret.to_vec()));
            assert!(line.key.secret.iter().any(|b| *b != line.key.secret[0]));
        }
    }
    let mut exchange = Exchange::default();
    exchange.offer(&media_security().acceptable_suites(), false, &mut tokens);
    let secret = exchange.offered_lines()[0].key.clone();
    let debug = format!("{exchange:?} {secret:?} {:#?}", exchange.offered_lines());
    assert!(debug.contains("SdesKey(AeadAes256Gcm)"));
    let mut body = String::new();
    exchange.offered_lines()[0].write(&mut body);
    let base64 = body.split("inline:").nth(1).unwrap().trim();
    assert!(!debug.contains(base64) && !debug.contains(&base64[..8]));
    for window in secret.secret.windows(4) {
        let shown = format!("{}, {}, {}, {}", window[0], window[1], window[2], window[3]);
        assert!(!debug.contains(&shown), "{debug}");
    }
}

proptest::proptest! {
    #[test]
    fn nothing_written_into_a_line_panics(text in "\\PC{0,200}") {
        let _ = read(&text);
        let _ = read(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{text}"));
        let _ = read(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{K128}|{text}"));
        let _ = read(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{K128} {text}"));
    }
}
