//! Whom this phone has met: peers and the fingerprints of their certificates, trusted on first use,
//! verified by key words.
//!
//! ```text
//! state_dir/known-phones.json ─▶ read ─▶ Known ──meet(peer, fingerprint)──▶ new · known · verified · changed
//!        ▲                                 │
//!        └── Output::Keep ◀── text ◀───────┴──verify(peer, fingerprint)
//! ```
//!
//! A changed fingerprint is told and never taken over by itself: only who compared the key words
//! anew may do that. What the file says of a peer can only make the phone more wary, so a damaged
//! file costs warnings, not security; it is told.

use serde::{Deserialize, Serialize};

use crate::credentials::colons;

/// The file in the state directory.
pub const FILE: &str = "known-phones.json";
/// Peers remembered. The one not verified that was met longest ago makes room, then the oldest of
/// all.
const MOST: usize = 256;
/// Longest name of a peer kept.
const LONGEST_NAME: usize = 128;
/// No file of ours is longer.
pub const MAX_BYTES: usize = 128 * 1024;

/// What is known of a peer's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Never met before.
    New,
    /// The same as the last time.
    Known,
    /// The same as when key words were compared.
    Verified,
    /// Another than before.
    Changed,
}

impl Trust {
    /// As `status` and events tell it.
    pub fn word(self) -> &'static str {
        match self {
            Trust::New => "new",
            Trust::Known => "known",
            Trust::Verified => "verified",
            Trust::Changed => "changed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    peer: String,
    sha256: String,
    verified: bool,
}

/// The peers, those met last at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    entries: Vec<Entry>,
}

/// The part of an address that names a phone: user and host, without scheme, port, parameters and
/// display name.
fn name_of(address: &str) -> String {
    let address = match (address.find('<'), address.find('>')) {
        (Some(start), Some(end)) if start < end => &address[start + 1..end],
        _ => address,
    };
    let address = address.trim();
    let address = ["sips:", "sip:"]
        .iter()
        .find_map(|scheme| {
            let start = address.get(..scheme.len())?;
            start
                .eq_ignore_ascii_case(scheme)
                .then(|| &address[scheme.len()..])
        })
        .unwrap_or(address);
    let address = &address[..address.find([';', '?']).unwrap_or(address.len())];
    let (user, host) = address
        .split_once('@')
        .map_or(("", address), |(user, host)| (user, host));
    let host = match host.rfind(':') {
        // An IPv6 address keeps its colons.
        Some(colon)
            if !host[colon..].contains(']')
                && (host.starts_with('[') || host.matches(':').count() == 1) =>
        {
            &host[..colon]
        }
        Some(_) | None => host,
    };
    let name = format!("{user}@{}", host.to_ascii_lowercase());
    name.chars().take(LONGEST_NAME).collect()
}

impl Known {
    /// Reads the file's text.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("{} bytes are too many", text.len()));
        }
        let entries: Vec<Entry> =
            serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if entries.len() > MOST {
            return Err(format!(
                "{} peers, at most {MOST} are remembered",
                entries.len()
            ));
        }
        Ok(Self { entries })
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        // Strings and a flag always serialize.
        serde_json::to_string_pretty(&self.entries).unwrap_or_default()
    }

    /// A peer proved to hold the certificate with this SHA-256. Tells what that is worth, and
    /// whether the file must be written.
    pub fn meet(&mut self, address: &str, fingerprint: &[u8; 32]) -> (Trust, bool) {
        let (peer, sha256) = (name_of(address), colons(fingerprint));
        match self.entries.iter().find(|entry| entry.peer == peer) {
            Some(entry) if entry.sha256 != sha256 => (Trust::Changed, false),
            Some(entry) if entry.verified => (Trust::Verified, false),
            Some(_) => (Trust::Known, false),
            None => {
                self.put(Entry {
                    peer,
                    sha256,
                    verified: false,
                });
                (Trust::New, true)
            }
        }
    }

    /// Somebody compared key words with this peer and they were the same.
    pub fn verify(&mut self, address: &str, fingerprint: &[u8; 32]) {
        let peer = name_of(address);
        self.entries.retain(|entry| entry.peer != peer);
        self.put(Entry {
            peer,
            sha256: colons(fingerprint),
            verified: true,
        });
    }

    fn put(&mut self, entry: Entry) {
        while self.entries.len() >= MOST {
            let place = self
                .entries
                .iter()
                .position(|entry| !entry.verified)
                .unwrap_or(0);
            self.entries.remove(place);
        }
        self.entries.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [u8; 32] = [1; 32];
    const B: [u8; 32] = [2; 32];

    #[test]
    fn first_use_then_known_then_verified_then_changed() {
        let mut known = Known::default();
        let bob = "sip:bob@192.0.2.7:5060;transport=udp";
        assert_eq!(known.meet(bob, &A), (Trust::New, true));
        assert_eq!(
            known.meet("\"Bob\" <sip:bob@192.0.2.7>", &A),
            (Trust::Known, false)
        );
        known.verify(bob, &A);
        assert_eq!(known.meet(bob, &A), (Trust::Verified, false));
        assert_eq!(known.meet(bob, &B), (Trust::Changed, false));
        assert_eq!(
            known.meet(bob, &B),
            (Trust::Changed, false),
            "told again, never taken over"
        );
        assert_eq!(known.meet(bob, &A), (Trust::Verified, false));
        known.verify(bob, &B);
        assert_eq!(known.meet(bob, &B), (Trust::Verified, false));
        assert_eq!(known.meet("sip:eve@192.0.2.7", &B), (Trust::New, true));
    }

    #[test]
    fn it_survives_in_its_file() {
        let mut known = Known::default();
        known.meet("sip:a@x", &A);
        known.verify("sip:b@y", &B);
        let read = Known::parse(known.text().as_bytes()).unwrap();
        assert_eq!(read, known);
        assert_eq!(Known::parse(b"[]").unwrap(), Known::default());
        for bad in [
            &b""[..],
            b"{}",
            b"[{\"peer\":1}]",
            b"[{\"peer\":\"a\",\"sha256\":\"A\",\"verified\":true,\"x\":1}]",
            &vec![b' '; MAX_BYTES + 1],
        ] {
            assert!(Known::parse(bad).is_err());
        }
    }

    #[test]
    fn it_stays_small_and_keeps_what_was_verified() {
        let mut known = Known::default();
        known.verify("sip:keep@x", &A);
        for n in 0..5000 {
            known.meet(&format!("sip:{n}@{}", "x".repeat(500)), &B);
        }
        assert_eq!(known.entries.len(), MOST);
        assert_eq!(known.meet("sip:keep@x", &A), (Trust::Verified, false));
        assert!(known.text().len() < MAX_BYTES);
        for n in 0..MOST {
            known.verify(&format!("sip:v{n}@x"), &B);
        }
        assert_eq!(known.entries.len(), MOST);
    }

    #[test]
    fn a_phone_has_one_name_however_it_is_written() {
        for (written, name) in [
            (
                "sip:bob@Example.ORG:5061;transport=tcp?x=y",
                "bob@example.org",
            ),
            ("SIPS:bob@example.org", "bob@example.org"),
            ("<sip:Bob@example.org>;tag=1", "Bob@example.org"),
            ("sip:192.0.2.1:5080", "@192.0.2.1"),
            ("sip:bob@[2001:db8::1]:5060", "bob@[2001:db8::1]"),
            ("sip:bob@[2001:db8::1]", "bob@[2001:db8::1]"),
            ("bob", "@bob"),
            ("><", "@><"),
        ] {
            assert_eq!(name_of(written), name, "{written}");
        }
    }
}
