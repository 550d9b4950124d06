//! Which of the challenges a server may send is answered, and by what: one in the middle must not
//! choose the hash (RFC 8760).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use sip::Event;
use sip::digest::Hash;
use sip::message::Method;
use world::{PEER, World, account, config, ends, media};

/// One INVITE by an account, challenged with these: the algorithm of the answer (empty: none is
/// named), or the words of the refusal.
fn answered(weakest_hash: Hash, challenges: &[&str]) -> Result<Vec<String>, String> {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.accounts.push(sip::AccountConfig {
        register: false,
        weakest_hash,
        ..account("alice", "192.0.2.9", "secret")
    });
    let mut world = World::new(vec![config]);
    world.with(0, |alice, now| {
        alice
            .invite(Some(sip::AccountId(0)), "200", media(20_000), now)
            .unwrap();
    });
    let first = world.request(&Method::Invite);
    let headers: Vec<_> = challenges
        .iter()
        .map(|value| ("Proxy-Authenticate", *value))
        .collect();
    world.answer(&first, 407, Some("x"), PEER, &headers, None);
    world.request(&Method::Ack);
    let events = world.events(0);
    let outcome = if let [(_, code)] = ends(&events)[..] {
        assert_eq!(code, Some(407));
        let reason = events.iter().find_map(|event| match event {
            Event::Ended { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        assert_eq!(world.sent("INVITE"), 1);
        Err(reason.unwrap())
    } else {
        let second = world.request(&Method::Invite);
        world.answer(&second, 486, Some("y"), PEER, &[], None);
        world.request(&Method::Ack);
        Ok(second
            .headers
            .all("Proxy-Authorization")
            .map(|value| {
                let field = |name: &str| {
                    value
                        .split(", ")
                        .find_map(|part| part.strip_prefix(name))
                        .map(str::to_owned)
                };
                assert_eq!(field("qop=").is_some(), value.contains("nc="), "{value}");
                field("algorithm=").unwrap_or_default()
            })
            .collect())
    };
    world.assert_empty();
    outcome
}

const NO_NAME: &str = "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"";
const NO_QOP: &str = "Digest realm=\"r\", nonce=\"n\", algorithm=MD5";
const MD5: &str = "Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=MD5";
const MD5_SESS: &str = "Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=MD5-sess";
const SHA_256: &str = "Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256";
const SHA_256_NO_QOP: &str = "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-256";
const SHA_512: &str = "Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=SHA-512-256";
const UNKNOWN: &str = "Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=SHA-1024";
const MD5_ELSEWHERE: &str = "Digest realm=\"other\", nonce=\"n\", qop=\"auth\", algorithm=MD5";

#[test]
fn the_strongest_known_hash_is_answered() {
    for (challenges, wanted) in [
        (&[MD5][..], "MD5"),
        (&[NO_NAME], ""),
        (&[NO_QOP], "MD5"),
        (&[MD5_SESS], "MD5-sess"),
        (&[SHA_256, MD5], "SHA-256"),
        (&[MD5, SHA_256], "SHA-256"),
        (&[MD5_SESS, SHA_256_NO_QOP], "SHA-256"),
        (&[UNKNOWN, MD5], "MD5"),
        (&[UNKNOWN, SHA_256, SHA_512], "SHA-512-256"),
    ] {
        assert_eq!(
            answered(Hash::Md5, challenges),
            Ok(vec![wanted.to_owned()]),
            "{challenges:?}"
        );
    }
    let refused = answered(Hash::Md5, &[UNKNOWN]).unwrap_err();
    assert!(!refused.contains("MD5"), "{refused}");
}

#[test]
fn md5_alone_is_refused_where_sha_256_is_required() {
    for challenges in [
        &[MD5][..],
        &[NO_NAME],
        &[NO_QOP],
        &[MD5_SESS],
        &[UNKNOWN, MD5],
        &[MD5, MD5_ELSEWHERE],
    ] {
        let refused = answered(Hash::Sha256, challenges).unwrap_err();
        assert!(
            refused.contains("MD5 only") && refused.contains("digest ="),
            "{challenges:?}: {refused}"
        );
    }
    for (challenges, wanted) in [
        (&[SHA_256][..], "SHA-256"),
        (&[MD5, SHA_256], "SHA-256"),
        (&[SHA_256_NO_QOP], "SHA-256"),
        (&[MD5_ELSEWHERE, SHA_512], "SHA-512-256"),
    ] {
        assert_eq!(
            answered(Hash::Sha256, challenges),
            Ok(vec![wanted.to_owned()]),
            "{challenges:?}"
        );
    }
}
