//! What a session description says about a DTLS handshake: `a=fingerprint` (RFC 8122), `a=setup`
//! (RFC 4145, 5763).
//!
//! ```text
//! a=fingerprint:sha-256 AB:CD:… ─▶ read_all ─▶ [Fingerprint]       (strong ones only)
//! a=setup:actpass               ─▶ SetupAttribute ─▶ role ─▶ Setup      (who sends the ClientHello)
//! ```

use std::fmt::Write as _;

use crate::media_security::{Fingerprint, HashName, Protection, Setup};

/// Most fingerprints read in one m-line.
const MAX_FINGERPRINTS: usize = 16;

/// A value of `a=setup`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetupAttribute {
    Active,
    Passive,
    Actpass,
    Holdconn,
}

impl SetupAttribute {
    /// As written; unknown words are none.
    pub(crate) fn read(value: &str) -> Option<Self> {
        match value.trim().to_ascii_lowercase().as_str() {
            "active" => Some(Self::Active),
            "passive" => Some(Self::Passive),
            "actpass" => Some(Self::Actpass),
            "holdconn" => Some(Self::Holdconn),
            _ => None,
        }
    }

    /// As SDP writes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::Actpass => "actpass",
            Self::Holdconn => "holdconn",
        }
    }
}

impl From<Setup> for SetupAttribute {
    fn from(setup: Setup) -> Self {
        match setup {
            Setup::Active => Self::Active,
            Setup::Passive => Self::Passive,
        }
    }
}

/// Our role after their offer, and the word that says so. `now`: the handshake in force with the
/// same certificate, if there is one.
pub(crate) fn role_offered(
    word: Option<SetupAttribute>,
    now: Option<Setup>,
) -> Option<(Setup, SetupAttribute)> {
    let role = match (word, now) {
        // Who may be either stays what it was; else the answerer goes first, so that the handshake
        // begins before the 200 arrives.
        (Some(SetupAttribute::Actpass), now) => now.unwrap_or(Setup::Active),
        // RFC 4145 section 4.1: without the word the offerer is active.
        (Some(SetupAttribute::Active) | None, _) => Setup::Passive,
        (Some(SetupAttribute::Passive), _) => Setup::Active,
        // No connection now: only where one is open already does that leave anything to talk over.
        (Some(SetupAttribute::Holdconn), now) => {
            return now.map(|role| (role, SetupAttribute::Holdconn));
        }
    };
    Some((role, role.into()))
}

/// Our role after their answer to our `actpass`.
pub(crate) fn role_answered(word: Option<SetupAttribute>, now: Option<Setup>) -> Option<Setup> {
    match word {
        Some(SetupAttribute::Active) => Some(Setup::Passive),
        Some(SetupAttribute::Passive) | None => Some(Setup::Active),
        // An answer must decide (RFC 5763 section 5).
        Some(SetupAttribute::Actpass) => None,
        Some(SetupAttribute::Holdconn) => now,
    }
}

/// Our role in the handshake in force, if the far end's certificate is still the same.
pub(crate) fn role_in_force(now: &Protection, theirs: &[Fingerprint]) -> Option<Setup> {
    match now {
        Protection::Dtls {
            setup,
            fingerprints,
        } if fingerprints == theirs => Some(*setup),
        Protection::Dtls { .. } | Protection::Sdes { .. } | Protection::Clear => None,
    }
}

/// The strong fingerprints of an m-line. `None`: there are none of any kind; empty: all are weak or
/// unreadable.
pub(crate) fn read_all<'a>(values: impl Iterator<Item = &'a str>) -> Option<Vec<Fingerprint>> {
    let mut any = false;
    let mut strong = Vec::new();
    for value in values.take(MAX_FINGERPRINTS) {
        any = true;
        if let Some(fingerprint) = read(value)
            && !strong.contains(&fingerprint)
        {
            strong.push(fingerprint);
        }
    }
    any.then_some(strong)
}

fn read(value: &str) -> Option<Fingerprint> {
    let (name, hex) = value.trim().split_once(char::is_whitespace)?;
    let hash = HashName::from_name(name)?;
    let hex = hex.trim();
    if hex.len() != hash.len() * 3 - 1 {
        return None;
    }
    let byte = |pair: &str| {
        (pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit()))
            .then(|| u8::from_str_radix(pair, 16).ok())
            .flatten()
    };
    let bytes: Option<Vec<u8>> = hex.split(':').map(byte).collect();
    bytes
        .filter(|b| b.len() == hash.len())
        .map(|bytes| Fingerprint { hash, bytes })
}

/// Writes it as an attribute, line end included.
pub(crate) fn write(fingerprint: &Fingerprint, body: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(body, "a=fingerprint:{fingerprint}\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(hash: &str, bytes: usize) -> String {
        format!("{hash} {}", vec!["aB"; bytes].join(":"))
    }

    #[test]
    fn strong_hashes_of_the_right_length_are_read() {
        for (name, hash, length) in [
            ("sha-256", HashName::Sha256, 32),
            ("SHA-384", HashName::Sha384, 48),
            ("Sha-512", HashName::Sha512, 64),
        ] {
            let found = read_all([of(name, length).as_str()].into_iter()).unwrap();
            assert_eq!(
                found,
                [Fingerprint {
                    hash,
                    bytes: vec![0xAB; length]
                }]
            );
            let mut body = String::new();
            write(&found[0], &mut body);
            assert_eq!(
                read(body.trim_start_matches("a=fingerprint:")),
                Some(found[0].clone())
            );
        }
    }

    #[test]
    fn weak_and_broken_ones_are_refused() {
        assert_eq!(read_all(std::iter::empty()), None);
        let long = of("sha-256", 33);
        let nasty = format!("sha-256 {}é", &of("", 31)[1..]);
        for bad in [
            &of("sha-1", 20),
            &of("md5", 16),
            &of("sha-224", 28),
            &of("sha-256", 20),
            &long,
            "sha-256",
            "sha-256 ",
            &of("sha-256", 32).replace(':', "-"),
            &of("sha-256", 32).replace("aB", "+B"),
            &nasty,
            "",
        ] {
            assert_eq!(read_all([bad].into_iter()), Some(Vec::new()), "{bad}");
        }
        // A weak one beside a strong one does not count.
        let both = [of("sha-1", 20), of("sha-256", 32)];
        assert_eq!(read_all(both.iter().map(String::as_str)).unwrap().len(), 1);
    }

    #[test]
    fn setup_attribute_decides_the_role() {
        use SetupAttribute::{Active, Actpass, Holdconn, Passive};
        for (word, now, wanted) in [
            (Some(Actpass), None, Some((Setup::Active, Active))),
            (
                Some(Actpass),
                Some(Setup::Passive),
                Some((Setup::Passive, Passive)),
            ),
            (Some(Active), None, Some((Setup::Passive, Passive))),
            (None, None, Some((Setup::Passive, Passive))),
            (Some(Passive), None, Some((Setup::Active, Active))),
            (Some(Holdconn), None, None),
            (
                Some(Holdconn),
                Some(Setup::Active),
                Some((Setup::Active, Holdconn)),
            ),
        ] {
            assert_eq!(role_offered(word, now), wanted, "{word:?} {now:?}");
        }
        for (word, now, wanted) in [
            (Some(Active), None, Some(Setup::Passive)),
            (Some(Passive), None, Some(Setup::Active)),
            (None, None, Some(Setup::Active)),
            (Some(Actpass), None, None),
            (Some(Holdconn), None, None),
            (Some(Holdconn), Some(Setup::Passive), Some(Setup::Passive)),
        ] {
            assert_eq!(role_answered(word, now), wanted, "{word:?} {now:?}");
        }
        for word in [Active, Actpass, Holdconn, Passive] {
            assert_eq!(
                SetupAttribute::read(&word.as_str().to_uppercase()),
                Some(word)
            );
        }
        assert_eq!(SetupAttribute::read("both"), None);
    }
}
