//! Encryption in offers and answers: what recorded peers write, and what a leg makes of it.

use types::{EncryptionPolicy, Keying, SrtpSuite};

use super::*;
use crate::media_security::WhyClear;
use crate::media_security::{Fingerprint, HashName, Setup};

const KEY: &str = "WnD7c1ksDGs+dIefCEo8omPg4uO8DYIinNGL5yxQ";
const OTHER: &str = "t0r0/apkukU7JjjfR0mY8GEimBq4OiPEm9eKSFOx";
const CRYPTO: &str =
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WnD7c1ksDGs+dIefCEo8omPg4uO8DYIinNGL5yxQ\r\n";

fn print() -> String {
    format!("a=fingerprint:sha-256 {}\r\n", vec!["5A"; 32].join(":"))
}

fn guarded(policy: EncryptionPolicy) -> LocalMedia {
    let mut media = local(&ALL);
    media.media_security = MediaSecurity {
        policy,
        policy_over_clear: policy,
        fingerprint: Some(Fingerprint {
            hash: HashName::Sha256,
            bytes: vec![0x11; 32],
        }),
        ..MediaSecurity::default()
    };
    media
}

/// A leg over TLS.
fn leg(policy: EncryptionPolicy) -> OfferAnswer {
    let mut session = OfferAnswer::new(guarded(policy), "192.0.2.9".parse().unwrap(), 7);
    session.set_secure(true);
    session
}

fn line(profile: &str, attributes: &str) -> Vec<u8> {
    sdp(&format!("m=audio 4000 {profile} 0\r\n{attributes}"))
}

fn suite_of(protection: &Protection) -> Option<SrtpSuite> {
    match protection {
        Protection::Sdes { send, receive } => {
            assert_eq!(send.suite(), receive.suite());
            Some(send.suite())
        }
        Protection::Clear | Protection::Dtls { .. } => None,
    }
}

fn keys_of(body: &[u8]) -> Vec<String> {
    let keys = text(body)
        .lines()
        .filter_map(|l| l.strip_prefix("a=crypto:")?.split("inline:").nth(1));
    keys.map(str::to_owned).collect()
}

#[test]
fn two_legs_agree_in_every_way() {
    for (a_wants, b_wants, first) in [
        (
            EncryptionPolicy::Preferred,
            EncryptionPolicy::Preferred,
            "m=audio 20000 RTP/AVP ",
        ),
        (
            EncryptionPolicy::Required,
            EncryptionPolicy::Required,
            "m=audio 20000 RTP/SAVP ",
        ),
        (
            EncryptionPolicy::Required,
            EncryptionPolicy::Preferred,
            "m=audio 20000 RTP/SAVP ",
        ),
    ] {
        let (mut a, mut b) = (leg(a_wants), leg(b_wants));
        let (mut ta, mut tb) = (Tokens::new([1; 32]), Tokens::new([2; 32]));
        let offer = a.offer(&mut ta).unwrap();
        assert!(text(&offer).contains(first), "{}", text(&offer));
        let (answer, at_b) = b.answer(&offer, &mut tb).unwrap();
        let at_a = a.accept(&answer).unwrap();
        let (
            Protection::Sdes { send, receive },
            Protection::Sdes {
                send: sent,
                receive: received,
            },
        ) = (&at_a.protection, &at_b.protection)
        else {
            panic!("{at_a:?} {at_b:?}");
        };
        assert_eq!((send, receive), (received, sent));
        assert_eq!(suite_of(&at_a.protection), Some(SrtpSuite::AeadAes256Gcm));
        assert_eq!((at_a.missing, at_b.missing), (None, None));
        assert_eq!(
            (at_a.required, at_b.required),
            (
                a_wants == EncryptionPolicy::Required,
                b_wants == EncryptionPolicy::Required
            )
        );
        // A refresh in either direction changes nothing.
        let again = a.offer(&mut ta).unwrap();
        assert_eq!(
            b.answer(&again, &mut tb).unwrap().1.protection,
            at_b.protection
        );
        let back = b.offer(&mut tb).unwrap();
        let (answer, at_a_again) = a.answer(&back, &mut ta).unwrap();
        assert_eq!(at_a_again.protection, at_a.protection);
        assert_eq!(b.accept(&answer).unwrap().protection, at_b.protection);
        // A fresh offer has no key in it that was seen before.
        let fresh = a.fresh_offer(&mut ta).unwrap();
        for key in keys_of(&fresh) {
            assert!(!text(&offer).contains(&key) && !text(&again).contains(&key));
        }
        let (_, renewed) = b.answer(&fresh, &mut tb).unwrap();
        assert_ne!(renewed.protection, at_b.protection);
    }
}

#[test]
fn the_second_offer_meets_a_required_policy() {
    let (mut a, mut b) = (
        leg(EncryptionPolicy::Preferred),
        leg(EncryptionPolicy::Required),
    );
    let error = b
        .answer(&a.offer(&mut tokens()).unwrap(), &mut tokens())
        .unwrap_err();
    assert_eq!((error.status(), error.warning()), (488, 399));
    assert!(a.next_attempt());
    let (answer, at_b) = b
        .answer(&a.offer(&mut tokens()).unwrap(), &mut Tokens::new([8; 32]))
        .unwrap();
    assert!(suite_of(&at_b.protection).is_some());
    assert!(suite_of(&a.accept(&answer).unwrap().protection).is_some());
    // Agreed is agreed: there is no next attempt.
    assert!(!a.next_attempt());
    let mut never = leg(EncryptionPolicy::Required);
    never.local.media_security.keying = vec![Keying::Sdes];
    let offer = never.offer(&mut tokens()).unwrap();
    assert!(text(&offer).contains(" RTP/SAVP "));
    assert!(never.next_attempt());
    let offer = never.offer(&mut tokens()).unwrap();
    assert!(text(&offer).contains(" RTP/SAVPF "));
    assert!(
        !never.next_attempt(),
        "what is required has no clear offer to fall back to"
    );
}

#[test]
fn dtls_is_agreed_in_both_profiles_and_roles() {
    for (profile, setup, role, word) in [
        (
            "UDP/TLS/RTP/SAVP",
            "a=setup:actpass\r\n",
            Setup::Active,
            "active",
        ),
        (
            "UDP/TLS/RTP/SAVPF",
            "a=setup:active\r\n",
            Setup::Passive,
            "passive",
        ),
        ("RTP/SAVPF", "a=setup:passive\r\n", Setup::Active, "active"),
        ("RTP/AVP", "", Setup::Passive, "passive"),
    ] {
        let mut phone = leg(EncryptionPolicy::Preferred);
        let extra = format!(
            "{}{setup}a=rtcp-mux\r\na=rtcp-fb:* nack\r\n\
             a=tls-id:91bbf309c0990a6bec11e38ba2933cee\r\n",
            print()
        );
        let (answer, agreed) = phone.answer(&line(profile, &extra), &mut tokens()).unwrap();
        let wanted = Protection::Dtls {
            setup: role,
            fingerprints: vec![Fingerprint {
                hash: HashName::Sha256,
                bytes: vec![0x5A; 32],
            }],
        };
        assert_eq!(agreed.protection, wanted, "{profile}");
        assert!(agreed.rtcp_mux);
        let answer = text(&answer);
        assert!(
            answer.contains(&format!("m=audio 20000 {profile} 0\r\n")),
            "{answer}"
        );
        assert!(
            answer.contains(&format!("a=setup:{word}\r\n"))
                && answer.contains("a=fingerprint:sha-256 11:11:"),
            "{answer}"
        );
        assert!(!answer.contains("crypto"));
    }
    // Session-level attributes count for every line (RFC 8122 section 5).
    let body = text(&line("UDP/TLS/RTP/SAVP", ""))
        .replace("m=audio", &format!("{}a=setup:active\r\nm=audio", print()));
    let (_, agreed) = leg(EncryptionPolicy::Required)
        .answer(body.as_bytes(), &mut tokens())
        .unwrap();
    assert!(matches!(
        agreed.protection,
        Protection::Dtls {
            setup: Setup::Passive,
            ..
        }
    ));
    for bad in ["a=setup:holdconn\r\n", "a=fingerprint:sha-1 AA\r\n"] {
        let extra = if bad.contains("setup") {
            format!("{}{bad}", print())
        } else {
            format!("{bad}a=setup:actpass\r\n")
        };
        let error = leg(EncryptionPolicy::Required)
            .answer(&line("UDP/TLS/RTP/SAVP", &extra), &mut tokens())
            .unwrap_err();
        assert_eq!(error.status(), 488, "{bad}");
    }
}

#[test]
fn a_dtls_offer_is_answered_and_kept() {
    let mut media = guarded(EncryptionPolicy::Required);
    media.media_security.keying = vec![Keying::Dtls];
    let mut phone = OfferAnswer::new(media, "192.0.2.9".parse().unwrap(), 7);
    let offer = phone.offer(&mut tokens()).unwrap();
    let offer = text(&offer);
    for wanted in [
        "m=audio 20000 UDP/TLS/RTP/SAVP ",
        "a=setup:actpass\r\n",
        "a=rtcp-mux\r\n",
        "a=fingerprint:sha-256 11:",
    ] {
        assert!(offer.contains(wanted), "{wanted} in {offer}");
    }
    let answer = |setup: &str| {
        line(
            "UDP/TLS/RTP/SAVP",
            &format!("{}{setup}a=rtcp-mux\r\n", print()),
        )
    };
    let role = |phone: &mut OfferAnswer, setup: &str| match phone
        .accept(&answer(setup))
        .unwrap()
        .protection
    {
        Protection::Dtls { setup, .. } => setup,
        other => panic!("{other:?}"),
    };
    assert!(
        phone.accept(&answer("a=setup:actpass\r\n")).is_err(),
        "an answer must decide"
    );
    assert!(phone.accept(&answer("a=setup:holdconn\r\n")).is_err());
    assert_eq!(role(&mut phone, "a=setup:active\r\n"), Setup::Passive);
    // The handshake is done: a re-offer keeps its roles, and may say that nothing is to be
    // connected.
    let reoffer = line(
        "UDP/TLS/RTP/SAVP",
        &format!("{}a=setup:actpass\r\na=rtcp-mux\r\n", print()),
    );
    let (body, kept) = phone.answer(&reoffer, &mut tokens()).unwrap();
    assert!(matches!(
        kept.protection,
        Protection::Dtls {
            setup: Setup::Passive,
            ..
        }
    ));
    assert!(text(&body).contains("a=setup:passive\r\n"));
    assert_eq!(role(&mut phone, "a=setup:holdconn\r\n"), Setup::Passive);
    // Another certificate is another handshake, whose roles are free.
    let other = line(
        "UDP/TLS/RTP/SAVP",
        &format!("{}a=setup:actpass\r\n", print().replace("5A", "5B")),
    );
    let (_, again) = phone.answer(&other, &mut tokens()).unwrap();
    assert!(matches!(
        again.protection,
        Protection::Dtls {
            setup: Setup::Active,
            ..
        }
    ));
    // Without a fingerprint it is refused, and the agreement stays.
    assert_eq!(
        phone
            .answer(&line("UDP/TLS/RTP/SAVP", ""), &mut tokens())
            .unwrap_err()
            .status(),
        488
    );
    assert!(text(&phone.offer(&mut tokens()).unwrap()).contains("UDP/TLS/RTP/SAVP "));
}

#[test]
fn an_encrypted_leg_stays_encrypted() {
    for policy in [EncryptionPolicy::Preferred, EncryptionPolicy::Required] {
        let mut phone = leg(policy);
        let (_, agreed) = phone
            .answer(&line("RTP/SAVP", CRYPTO), &mut tokens())
            .unwrap();
        for (bad, status) in [
            (line("RTP/SAVP", ""), 488),
            (line("RTP/AVP", ""), 488),
            (line("RTP/AVP", "c=IN IP4 0.0.0.0\r\n"), 488),
            (line("RTP/AVP", "a=inactive\r\n"), 488),
            (line("RTP/SAVP", &CRYPTO.replace("_80 ", "_99 ")), 488),
            (
                line(
                    "RTP/SAVP",
                    &format!("{} UNENCRYPTED_SRTP\r\n", CRYPTO.trim_end()),
                ),
                488,
            ),
            (
                line(
                    "RTP/SAVP",
                    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:short\r\n",
                ),
                406,
            ),
        ] {
            assert_eq!(
                phone.answer(&bad, &mut tokens()).unwrap_err().status(),
                status,
                "{}",
                text(&bad)
            );
        }
        // Nothing of that left a trace: a refresh finds everything as it was.
        let (_, still) = phone
            .answer(&line("RTP/SAVP", CRYPTO), &mut tokens())
            .unwrap();
        assert_eq!(still.protection, agreed.protection);
        // Our own offer, answered without keys: the answer is refused.
        let offer = phone.offer(&mut tokens()).unwrap();
        assert_eq!(keys_of(&offer).len(), 4);
        for bad in [
            line("RTP/SAVP", ""),
            line("RTP/AVP", ""),
            line("RTP/AVP", CRYPTO),
        ] {
            assert!(
                matches!(phone.accept(&bad), Err(SdpError::MediaSecurity(_))),
                "{}",
                text(&bad)
            );
        }
        assert_eq!(phone.encryption.protection, agreed.protection);
        // Held the old way, with its keys: that is fine.
        let (_, held) = phone
            .answer(
                &line("RTP/SAVP", &format!("c=IN IP4 0.0.0.0\r\n{CRYPTO}")),
                &mut tokens(),
            )
            .unwrap();
        assert_eq!(
            (held.direction, &held.protection),
            (Direction::RecvOnly, &agreed.protection)
        );
    }
}

#[test]
fn clear_signalling_carries_no_keys() {
    for policy in [EncryptionPolicy::Preferred, EncryptionPolicy::Required] {
        let mut phone = OfferAnswer::new(guarded(policy), "192.0.2.9".parse().unwrap(), 7);
        let offer = phone.offer(&mut tokens()).unwrap();
        assert_eq!(keys_of(&offer), Vec::<String>::new(), "{policy:?}");
        let answered = OfferAnswer::new(guarded(policy), "192.0.2.9".parse().unwrap(), 7)
            .answer(&line("RTP/AVP", CRYPTO), &mut tokens());
        match policy {
            EncryptionPolicy::Required => assert_eq!(answered.unwrap_err().status(), 488),
            EncryptionPolicy::Off | EncryptionPolicy::Preferred => {
                let (answer, agreed) = answered.unwrap();
                assert_eq!(
                    (agreed.protection, agreed.missing),
                    (Protection::Clear, Some(WhyClear::KeysInClear))
                );
                assert_eq!(keys_of(&answer), Vec::<String>::new());
            }
        }
        let error = OfferAnswer::new(guarded(policy), "192.0.2.9".parse().unwrap(), 7)
            .answer(&line("RTP/SAVP", CRYPTO), &mut tokens())
            .unwrap_err();
        assert_eq!((error.status(), error.warning()), (488, 399));
        assert!(error.to_string().contains("TLS"), "{error}");
    }
    // And where there is no other way, required is no call.
    let mut media = guarded(EncryptionPolicy::Required);
    media.media_security.keying = vec![Keying::Sdes];
    let error = OfferAnswer::new(media, "192.0.2.9".parse().unwrap(), 7)
        .offer(&mut tokens())
        .unwrap_err();
    assert!(error.to_string().contains("required"), "{error}");
}

#[test]
fn a_short_tag_is_a_last_resort() {
    let short = CRYPTO.replace("_80", "_32");
    let both = format!(
        "{}{}",
        short,
        CRYPTO.replace("crypto:1", "crypto:2").replace(KEY, OTHER)
    );
    let mut allowed = guarded(EncryptionPolicy::Required);
    allowed.media_security.hmac_32 = true;
    let with = |body: &str| {
        let mut phone = OfferAnswer::new(allowed.clone(), "192.0.2.9".parse().unwrap(), 7);
        phone.set_secure(true);
        phone
            .answer(&line("RTP/SAVP", body), &mut tokens())
            .map(|(body, agreed)| (text(&body).to_owned(), agreed))
    };
    let (answer, agreed) = with(&short).unwrap();
    assert_eq!(
        suite_of(&agreed.protection),
        Some(SrtpSuite::AesCm128HmacSha1_32)
    );
    assert!(
        answer.contains("a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:"),
        "{answer}"
    );
    let (answer, agreed) = with(&both).unwrap();
    assert_eq!(
        suite_of(&agreed.protection),
        Some(SrtpSuite::AesCm128HmacSha1_80)
    );
    assert!(answer.contains("a=crypto:2 "), "{answer}");
    assert_eq!(
        leg(EncryptionPolicy::Required)
            .answer(&line("RTP/SAVP", &short), &mut tokens())
            .unwrap_err()
            .status(),
        488
    );
    assert!(
        !text(
            &leg(EncryptionPolicy::Required)
                .offer(&mut tokens())
                .unwrap()
        )
        .contains("_32")
    );
}

#[test]
fn no_key_is_shown_by_a_leg() {
    let mut phone = leg(EncryptionPolicy::Required);
    let offer = phone.offer(&mut tokens()).unwrap();
    let (_, agreed) = phone
        .answer(&line("RTP/SAVP", CRYPTO), &mut tokens())
        .unwrap();
    let shown = format!(
        "{phone:?} {agreed:?} {:?}",
        Description::parse(&offer).unwrap()
    );
    for key in keys_of(&offer).iter().map(String::as_str).chain([KEY]) {
        assert!(!shown.contains(key), "{shown}");
    }
}

/// pjsip's cases for one who answers, with the options they name: 0 off, 1 optional, 2 mandatory.
/// Keys may travel in clear there.
#[test]
fn recorded_cases_with_keys_get_their_codes() {
    let Some(file) = testkit::data::find(
        "recorded_cases_with_keys_get_their_codes",
        "sip-cases/uas-request-cases.json",
    ) else {
        return;
    };
    let cases: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let mut judged = 0;
    for case in cases["cases"].as_array().unwrap() {
        let body = case["sdp"]
            .as_str()
            .unwrap_or_default()
            .trim_start()
            .replace('\n', "\r\n");
        if !body.contains("crypto") && !body.contains("SAVP") {
            continue;
        }
        let hint = case["phone_config_hint"].as_str().unwrap();
        let policy = if hint.contains("--use-srtp 2") {
            EncryptionPolicy::Required
        } else if hint.contains("--use-srtp 1") {
            EncryptionPolicy::Preferred
        } else {
            EncryptionPolicy::Off
        };
        let mut media = guarded(policy);
        media.media_security.sdes_over_clear = true;
        let answered = OfferAnswer::new(media, "192.0.2.9".parse().unwrap(), 7)
            .answer(body.as_bytes(), &mut tokens());
        let code = answered.as_ref().map_or_else(SdpError::status, |_| 200);
        let accepted = case["accept_codes"].as_array().unwrap();
        assert!(
            accepted.iter().any(|c| c.as_u64() == Some(u64::from(code))),
            "{}: {code}",
            case["id"]
        );
        let answer = answered
            .map(|(body, _)| text(&body).to_ascii_lowercase())
            .unwrap_or_default();
        // Their patterns in the order of their plain parts.
        for (patterns, wanted) in [("must_match", true), ("must_not_match", false)] {
            for pattern in case[patterns].as_array().unwrap() {
                let pattern = pattern.as_str().unwrap().to_ascii_lowercase();
                let mut rest = answer.as_str();
                let parts = pattern
                    .split("[\\s\\s]+")
                    .filter(|part| !part.starts_with("content-type"));
                let found = parts.clone().all(|part| {
                    let (start, end) = part
                        .split_once("\\d+")
                        .or(part.split_once("[1-9]+[0-9]*"))
                        .unwrap_or((part, ""));
                    match rest.find(start) {
                        Some(at) => {
                            rest = &rest[at + start.len()..];
                            let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
                            after.starts_with(end)
                        }
                        None => false,
                    }
                });
                assert_eq!(found, wanted, "{}: {pattern} in {answer}", case["id"]);
            }
        }
        judged += 1;
    }
    assert_eq!(judged, 12);
}

#[test]
fn recorded_key_lines_are_judged() {
    let Some(folder) =
        testkit::data::find("recorded_key_lines_are_judged", "sdp-corpus/pjsip-sdes")
    else {
        return;
    };
    // Their keys are all of a wrong length: what is recorded is refused, and with keys of the right
    // one it is the rest that decides.
    for (name, taken) in [
        ("aes256", true),
        ("multiple-tags", true),
        ("lifetime-mki", true),
        ("session-params", true),
        ("invalid-base64", false),
        ("leading-zero-tag", false),
        ("non-decimal-tag", false),
        ("unsupported-suite", false),
    ] {
        let body = std::fs::read_to_string(folder.join(format!("seed-crypto-{name}.sdp"))).unwrap();
        // They lack a c= line, which is none of this test's business.
        let body = body
            .replace("t=0 0", "c=IN IP4 127.0.0.1\nt=0 0")
            .replace("\r\n", "\n")
            .replace('\n', "\r\n");
        let error = leg(EncryptionPolicy::Required)
            .answer(body.as_bytes(), &mut tokens())
            .unwrap_err();
        let status = if name == "unsupported-suite" {
            488
        } else {
            406
        };
        assert_eq!(error.status(), status, "{name}: {error}");
        let corrected = body
            .replace(
                "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4=",
                &format!("{}==", "A".repeat(62)),
            )
            .replace("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw==", KEY);
        let answered = leg(EncryptionPolicy::Required).answer(corrected.as_bytes(), &mut tokens());
        assert_eq!(answered.is_ok(), taken, "{name}: {answered:?}");
    }
}
