//! Digest authentication, the server's side (RFC 7616): whoever wants something of the phone that
//! not everyone may ask for proves to know an account's password.
//!
//! ```text
//! request ─▶ Verifier::verify ─┬ no answer, or to an old nonce ─▶ 401 with a challenge of each hash allowed
//!                              ├ right, its nonce never used before ─▶ Proven
//!                              └ wrong too often, or no password ─▶ 403
//! ```
//!
//! A nonce carries its time and a keyed hash of it, so that asking fills no table; only those that
//! were answered right are remembered, until they would be too old.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Algorithm, Asker, Challenge, Credentials, Hash, Protected, Qop, digests};
use crate::message::{Request, Uri, scan};

/// How long a nonce can be answered.
const LIFETIME: Duration = Duration::from_secs(30);
/// Most nonces answered right within their lifetime.
const MAX_USED: usize = 32;
/// Most wrong answers within a minute, whoever gives them.
const MAX_WRONG: usize = 5;
const WRONG_WINDOW: Duration = Duration::from_secs(60);

/// Who may prove something, and how.
#[derive(Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) who: Credentials<'a>,
    /// The account's domain.
    pub(crate) realm: &'a str,
    /// The weakest hash that proves anything.
    pub(crate) weakest: Hash,
    /// The account's own address: a proxy on the way may have put our contact in its place.
    pub(crate) own: Option<&'a Uri>,
}

/// What a request has proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verification {
    /// Its sender knows the password.
    Proven,
    /// Nothing yet: values of WWW-Authenticate, the strongest hash first.
    Challenge(Vec<String>),
    /// Nothing, and it is not asked again.
    Refused,
}

/// Challenges, and judges what comes back.
#[derive(Debug)]
pub(crate) struct Verifier {
    secret: String,
    start: Instant,
    used: VecDeque<(String, Instant)>,
    wrong: VecDeque<Instant>,
}

impl Verifier {
    /// `secret`: unguessable, and no one else's.
    pub(crate) fn new(secret: String, now: Instant) -> Self {
        Self {
            secret,
            start: now,
            used: VecDeque::new(),
            wrong: VecDeque::new(),
        }
    }

    /// What this request proves.
    pub(crate) fn verify(
        &mut self,
        request: &Request,
        expected: Expected<'_>,
        now: Instant,
    ) -> Verification {
        self.used.retain(|(_, until)| *until > now);
        self.wrong.retain(|at| *at + WRONG_WINDOW > now);
        // An empty password proves nothing.
        if expected.who.password.is_empty() || self.wrong.len() >= MAX_WRONG {
            return Verification::Refused;
        }
        let answers = request.headers.all("Authorization").flat_map(digests);
        let answer = answers
            .filter_map(|fields| Answer::read(&fields))
            .find(|answer| answer.challenge.realm == expected.realm);
        let Some(answer) = answer else {
            return self.challenge(expected, false, now);
        };
        if !self.is_fresh(&answer.challenge.nonce, expected.realm, now) {
            return self.challenge(expected, true, now);
        }
        if !answer.is_right(request, expected) {
            self.wrong.push_back(now);
            return self.challenge(expected, false, now);
        }
        self.used
            .push_back((answer.challenge.nonce, now + LIFETIME));
        Verification::Proven
    }

    fn challenge(&self, expected: Expected<'_>, stale: bool, now: Instant) -> Verification {
        let nonce = self.nonce(now, expected.realm);
        let hashes = [Hash::Sha512_256, Hash::Sha256, Hash::Md5];
        let allowed = hashes.into_iter().filter(|hash| *hash >= expected.weakest);
        let value = |hash| {
            let session = false;
            format!(
                "Digest realm={}, nonce=\"{nonce}\", algorithm={}, qop=\"auth\"{}",
                scan::Quoted(expected.realm),
                Algorithm { hash, session }.name(),
                if stale { ", stale=true" } else { "" },
            )
        };
        Verification::Challenge(allowed.map(value).collect())
    }

    /// A nonce of now.
    fn nonce(&self, now: Instant, realm: &str) -> String {
        let at = now.saturating_duration_since(self.start).as_millis();
        let at = u64::try_from(at).unwrap_or(u64::MAX);
        format!("{at:x}.{}", self.mark(at, realm))
    }

    fn mark(&self, at: u64, realm: &str) -> String {
        Hash::Sha256.hex(&[format!("{}:{at}:{realm}", self.secret).as_bytes()])
    }

    /// Whether this is a nonce of ours, not too old and never answered before.
    fn is_fresh(&self, nonce: &str, realm: &str, now: Instant) -> bool {
        let ours = nonce.split_once('.').and_then(|(at, mark)| {
            let at = u64::from_str_radix(at, 16).ok()?;
            same(&self.mark(at, realm), mark).then_some(at)
        });
        let age = |at| {
            let made = Duration::from_millis(at);
            now.saturating_duration_since(self.start)
                .saturating_sub(made)
        };
        let used = self.used.iter().any(|(used, _)| used == nonce);
        ours.is_some_and(|at| age(at) < LIFETIME) && !used && self.used.len() < MAX_USED
    }
}

/// The answer to a challenge of ours.
struct Answer {
    challenge: Challenge,
    user: String,
    uri: String,
    count: u32,
    cnonce: String,
    response: String,
}

impl Answer {
    /// With everything that is needed to judge it, and protected against repetition.
    fn read(fields: &[(&str, &str)]) -> Option<Self> {
        let field = |name: &str| {
            let mut found = fields.iter();
            let (_, value) = found.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
            Some(scan::unquote(value).into_owned())
        };
        let challenge = Challenge::from_fields(Asker::Server, fields)?;
        let cnonce = field("cnonce").filter(|cnonce| !cnonce.is_empty())?;
        (challenge.qop == Some(Qop::Auth) && !challenge.algorithm.session).then_some(())?;
        Some(Self {
            challenge,
            user: field("username")?,
            uri: field("uri")?,
            count: u32::from_str_radix(&field("nc")?, 16).ok()?,
            cnonce,
            response: field("response")?.to_ascii_lowercase(),
        })
    }

    fn is_right(&self, request: &Request, expected: Expected<'_>) -> bool {
        let uri = Uri::parse(&self.uri).ok();
        let named =
            uri.as_ref() == Some(&request.uri) || (uri.is_some() && uri.as_ref() == expected.own);
        let what = Protected {
            method: &request.method,
            uri: &self.uri,
            body: &request.body,
        };
        let (count, cnonce) = (self.count, &self.cnonce);
        let right = self
            .challenge
            .response(expected.who, what, count, cnonce, cnonce);
        named
            && self.user == expected.who.user
            && self.challenge.algorithm.hash >= expected.weakest
            && same(&right, &self.response)
    }
}

/// Whether two texts are the same, in a time that does not say where they differ.
fn same(a: &str, b: &str) -> bool {
    let differing = a
        .bytes()
        .zip(b.bytes())
        .fold(0, |all, (a, b)| all | (a ^ b));
    a.len() == b.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{DigestSession, challenges, choose};
    use crate::env::tests::request;
    use crate::message::Headers;

    const URI: &str = "sip:alice@192.0.2.1";

    fn notify(authorization: &[String]) -> Request {
        let mut request = request(&format!(
            "NOTIFY {URI} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n\
             From: <sip:pbx@x>;tag=p\r\nTo: <{URI}>\r\nCall-ID: c\r\nCSeq: 8 NOTIFY\r\n\r\n"
        ));
        for value in authorization {
            request.headers.push("Authorization", value);
        }
        request
    }

    fn expected(weakest: Hash) -> Expected<'static> {
        Expected {
            who: who("secret"),
            realm: "x",
            weakest,
            own: None,
        }
    }

    fn who(password: &'static str) -> Credentials<'static> {
        let user = "alice";
        Credentials { user, password }
    }

    /// The answers of one who takes this challenge, by the client's own side.
    fn answers(verdict: Verification, password: &'static str, uri: &str) -> Vec<String> {
        let Verification::Challenge(values) = verdict else {
            panic!("{verdict:?} is no challenge");
        };
        let mut headers = Headers::default();
        for value in &values {
            headers.push("WWW-Authenticate", value);
        }
        let what = Protected {
            method: &crate::message::Method::Notify,
            uri,
            body: b"",
        };
        let chosen = choose(challenges(&headers)).into_iter();
        chosen
            .map(|found| DigestSession::new(found).authorize(who(password), what, "c1"))
            .collect()
    }

    #[test]
    fn who_knows_the_password_proves_it_once() {
        for weakest in [Hash::Md5, Hash::Sha256, Hash::Sha512_256] {
            let now = crate::timer::epoch();
            let mut verifier = Verifier::new("salt".into(), now);
            let expected = expected(weakest);
            let first = verifier.verify(&notify(&[]), expected, now);
            let answered = notify(&answers(first, "secret", URI));
            assert_eq!(
                verifier.verify(&answered, expected, now),
                Verification::Proven
            );
            // The same bytes again, as one who read them would send them.
            let Verification::Challenge(again) = verifier.verify(&answered, expected, now) else {
                panic!("a repeated answer proves something");
            };
            assert!(again.iter().all(|value| value.ends_with("stale=true")));
        }
    }

    #[test]
    fn wrong_answers_prove_nothing() {
        let start = crate::timer::epoch();
        let mut verifier = Verifier::new("salt".into(), start);
        let md5 = expected(Hash::Md5);
        let mut ask = |password, uri, later| {
            let first = verifier.verify(&notify(&[]), md5, start);
            let answer = notify(&answers(first, password, uri));
            verifier.verify(&answer, md5, start + Duration::from_secs(later))
        };
        for (password, uri, later) in [
            ("wrong", URI, 0),
            ("secret", "sip:bob@192.0.2.1", 0),
            ("secret", URI, 31),
        ] {
            let verdict = ask(password, uri, later);
            assert!(
                matches!(verdict, Verification::Challenge(_)),
                "{password} {uri}"
            );
        }
        // Somebody else's nonce, and a hash the owner does not take.
        let mut other = Verifier::new("pepper".into(), start);
        let foreign = other.verify(&notify(&[]), md5, start);
        let answer = notify(&answers(foreign, "secret", URI));
        assert_ne!(verifier.verify(&answer, md5, start), Verification::Proven);
        let Verification::Challenge(mut weak) = verifier.verify(&notify(&[]), md5, start) else {
            panic!("no challenge");
        };
        weak.retain(|value| value.contains("algorithm=MD5"));
        let answer = notify(&answers(Verification::Challenge(weak), "secret", URI));
        let strict = expected(Hash::Sha256);
        assert_ne!(
            verifier.verify(&answer, strict, start),
            Verification::Proven
        );
    }

    #[test]
    fn guessing_is_ended() {
        let start = crate::timer::epoch();
        let mut verifier = Verifier::new("salt".into(), start);
        let md5 = expected(Hash::Md5);
        for _ in 0..MAX_WRONG {
            let first = verifier.verify(&notify(&[]), md5, start);
            verifier.verify(&notify(&answers(first, "guess", URI)), md5, start);
        }
        assert_eq!(
            verifier.verify(&notify(&[]), md5, start),
            Verification::Refused
        );
        let later = start + WRONG_WINDOW;
        let first = verifier.verify(&notify(&[]), md5, later);
        let answered = notify(&answers(first, "secret", URI));
        assert_eq!(verifier.verify(&answered, md5, later), Verification::Proven);
        let none = Expected {
            who: who(""),
            ..md5
        };
        assert_eq!(
            verifier.verify(&notify(&[]), none, later),
            Verification::Refused
        );
    }

    #[test]
    fn the_accounts_own_address_may_stand_for_its_contact() {
        let now = crate::timer::epoch();
        let mut verifier = Verifier::new("salt".into(), now);
        let own = Uri::parse("sip:alice@x").unwrap();
        let expected = Expected {
            own: Some(&own),
            ..expected(Hash::Md5)
        };
        let first = verifier.verify(&notify(&[]), expected, now);
        let answered = notify(&answers(first, "secret", "sip:alice@x"));
        assert_eq!(
            verifier.verify(&answered, expected, now),
            Verification::Proven
        );
    }
}
