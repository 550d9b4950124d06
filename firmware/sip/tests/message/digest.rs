//! Digest answers against vectors from outside.

use sip::digest::{self, Credentials, DigestSession, Protected};
use sip::message::{Headers, Method};

use testkit::data;

/// The value of one field of an Authorization value.
fn field<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let fields = value.strip_prefix("Digest ").unwrap();
    let found = fields
        .split(", ")
        .find_map(|f| f.strip_prefix(name)?.strip_prefix('='))?;
    Some(found.trim_matches('"'))
}

/// Answers a challenge as the phone does.
fn authorize(challenge: &str, who: Credentials<'_>, what: Protected<'_>, cnonce: &str) -> String {
    let mut headers = Headers::default();
    headers.push("WWW-Authenticate", challenge);
    let mut chosen = digest::choose(digest::challenges(&headers));
    assert_eq!(chosen.len(), 1, "{challenge}");
    DigestSession::new(chosen.remove(0)).authorize(who, what, cnonce)
}

#[test]
fn vectors() {
    let Some(file) = data::find("digest::vectors", "digest/vectors.json") else {
        return;
    };
    let all: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let vectors = all["vectors"].as_array().unwrap();
    assert!(vectors.len() >= 9, "only {} vectors", vectors.len());
    for vector in vectors {
        let text = |name: &str| vector[name].as_str().unwrap_or_default();
        let qop = if text("qop").is_empty() {
            String::new()
        } else {
            format!(", qop=\"{}\"", text("qop"))
        };
        let challenge = format!(
            "Digest realm=\"{}\", nonce=\"{}\", algorithm={}{qop}",
            text("realm"),
            text("nonce"),
            text("alg")
        );
        let method = Method::parse(text("method")).unwrap();
        let who = Credentials {
            user: text("user"),
            password: text("password"),
        };
        let what = Protected {
            method: &method,
            uri: text("uri"),
            body: text("body").as_bytes(),
        };
        let value = authorize(&challenge, who, what, text("cnonce"));
        assert_eq!(
            field(&value, "response"),
            Some(text("response")),
            "{}",
            text("id")
        );
        assert_eq!(
            field(&value, "nc").unwrap_or_default(),
            text("nc"),
            "{}",
            text("id")
        );
    }
}

const WHO: Credentials<'_> = Credentials {
    user: "bob",
    password: "zanzibar",
};
const WHAT: Protected<'_> = Protected {
    method: &Method::Invite,
    uri: "sip:bob@biloxi.com",
    body: b"v=0\r\n",
};

/// The second answer to one nonce, for every algorithm and qop; expected values computed by an
/// independent implementation.
#[test]
fn every_algorithm_and_qop() {
    for (algorithm, qop, response) in [
        ("MD5", "", "d7d69711a7266a62fa3c17256a06b1a6"),
        ("MD5", "auth", "1dd3301aa77f7f263b4991ce92248ddc"),
        ("MD5", "auth-int", "a1106fe1043316ebc84cb009dc55faf3"),
        ("MD5-sess", "", "eca7203b588c2fc1f973e22dc7ad2aca"),
        ("MD5-sess", "auth", "71ab6aa06ca8c05339750dd8afa2c481"),
        ("MD5-sess", "auth-int", "b0d5cd18468f8bdb901135052710d5f8"),
        (
            "SHA-256",
            "",
            "73c68a75070cb734ca9929b25b5d0a7cf8bcb3e877d13430eccd38dad9c3b227",
        ),
        (
            "SHA-256",
            "auth",
            "35adc299aaf829814308d0c6b6600c9bb469550f62b2bcbcb07e679d926d9a37",
        ),
        (
            "SHA-256",
            "auth-int",
            "1efab7ea0c0aa55d2c03e6e1ad7fd85b4f821abdf5533c58d0afc322ed74952c",
        ),
        (
            "SHA-256-sess",
            "",
            "66b4ff569395b6e7760c1682a1ccc60c223b04fd8a75e5f5f612af0eb2925749",
        ),
        (
            "SHA-256-sess",
            "auth",
            "f3e077cfc27f1b3865a5b434a6a0acb4593f7c7ed79d6450495987327936753f",
        ),
        (
            "SHA-256-sess",
            "auth-int",
            "e67c19b182dd5c98efe58b0c1000f558c290eafd965551fbdc8ae5d7a1631656",
        ),
        (
            "SHA-512-256",
            "",
            "343d1d0d1d2ddb6b3ac50c23b90109d38d7146d78031880240a7c836f9911f3e",
        ),
        (
            "SHA-512-256",
            "auth",
            "ad42837e6049886f39eee2f69a2394945ca706eb563fc26949ed51ca59f9bded",
        ),
        (
            "SHA-512-256",
            "auth-int",
            "2950d6d5ea09daba89d8255aa74857b7fcf60cf3f8b23957909bedd321f4dbe4",
        ),
        (
            "SHA-512-256-sess",
            "",
            "e3ed3e0e8d5a5752e8e52ce8954f120bb40b16deb9bbdfeb8e67b16cb7bfa186",
        ),
        (
            "SHA-512-256-sess",
            "auth",
            "d1a513f56e4622e21a33fbb46c93ca723ef35bf940d1579730f0c6106cefc980",
        ),
        (
            "SHA-512-256-sess",
            "auth-int",
            "5e2481729db12189b4fa4d72d16116ae7963561603bd5bff2254769981024872",
        ),
    ] {
        let qop_field = if qop.is_empty() {
            String::new()
        } else {
            format!(", qop=\"{qop}\"")
        };
        let mut headers = Headers::default();
        headers.push(
            "Proxy-Authenticate",
            format_args!(
                "digest Realm=\"biloxi.com\",NONCE=\"dcd98b7102dd2f0e\", \
                 algorithm=\"{algorithm}\"{qop_field}, opaque=\"o\\\"p\""
            ),
        );
        let mut session = DigestSession::new(digest::challenges(&headers).remove(0));
        assert_eq!(session.header(), "Proxy-Authorization");
        let first = session.authorize(WHO, WHAT, "first");
        let second = session.authorize(WHO, WHAT, "0a4f113b");
        assert_eq!(
            field(&second, "response"),
            Some(response),
            "{algorithm} {qop}"
        );
        assert_eq!(field(&second, "algorithm"), Some(algorithm));
        assert!(second.contains("opaque=\"o\\\"p\""), "{second}");
        if qop.is_empty() {
            assert_eq!(field(&second, "nc"), None);
        } else {
            assert_eq!(
                (field(&first, "nc"), field(&second, "nc")),
                (Some("00000001"), Some("00000002"))
            );
            assert_eq!(
                (field(&second, "qop"), field(&second, "cnonce")),
                (Some(qop), Some("0a4f113b"))
            );
        }
    }
}

fn challenges(values: &[&str]) -> Vec<digest::Challenge> {
    let mut headers = Headers::default();
    for value in values {
        headers.push("WWW-Authenticate", value);
    }
    digest::challenges(&headers)
}

#[test]
fn the_strongest_challenge_of_each_realm_is_chosen() {
    let all = challenges(&[
        "Digest realm=\"a\", nonce=\"1\", algorithm=MD5, qop=\"auth\"",
        "Bearer authz_server=\"https://x/\", Digest realm=\"a\", nonce=\"2\", algorithm=SHA-256, \
         qop=\"auth,auth-int\", Digest realm=\"b\",nonce=\"3\"",
        "Digest realm=\"a\", nonce=\"4\", algorithm=SHA-1024",
        "Digest realm=\"a\", nonce=\"5\", algorithm=SHA-512-256, qop=\"token\"",
        "Basic realm=\"a\"",
        "NTLM",
        "Digest realm=\"a\", nonce=\"6\", algorithm=sha-256",
    ]);
    let nonces: Vec<_> = all.iter().map(|c| c.nonce.as_str()).collect();
    assert_eq!(nonces, ["1", "2", "3", "6"]);
    let chosen: Vec<_> = digest::choose(all)
        .into_iter()
        .map(|c| (c.realm, c.nonce))
        .collect();
    assert_eq!(
        chosen,
        [
            ("a".to_owned(), "2".to_owned()),
            ("b".to_owned(), "3".to_owned())
        ]
    );
}

#[test]
fn challenges_as_servers_write_them() {
    let one = |value: &str| challenges(&[value]).pop();
    let stale = one("Digest realm=\"x\",nonce=\"n\",stale=TRUE").unwrap();
    assert!(stale.stale && stale.qop.is_none());
    assert!(
        !one("Digest realm=\"x\", nonce=\"n\", stale=false")
            .unwrap()
            .stale
    );
    assert_eq!(
        one("Digest realm=\"a, \\\"b\\\", Digest c\", nonce=\"n\"")
            .unwrap()
            .realm,
        "a, \"b\", Digest c"
    );
    assert_eq!(one("Digest").unwrap().realm, "");
    assert_eq!(
        one("Digest realm = \"x\" , nonce = \"n=,=\"")
            .unwrap()
            .nonce,
        "n=,="
    );
    assert_eq!(one("Negotiate"), None);
    assert_eq!(one(""), None);
    assert_eq!(
        challenges(&["Digest realm=\"x\", nonce=\"n\""; 500]).len(),
        16
    );
}

/// A name with quotes cannot end its own field.
#[test]
fn the_value_is_well_formed_whatever_is_in_it() {
    let who = Credentials {
        user: "a\"b\\\r\nX: y",
        password: "p",
    };
    let value = authorize("Digest realm=\"r\", nonce=\"n\"", who, WHAT, "c");
    assert!(
        value.starts_with(
            "Digest username=\"a\\\"b\\\\  X: y\", realm=\"r\", nonce=\"n\", \
             uri=\"sip:bob@biloxi.com\", response=\""
        ),
        "{value}"
    );
    assert!(
        !value.contains("algorithm"),
        "repeated though the challenge named none: {value}"
    );
}
