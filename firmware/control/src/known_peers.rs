//! The peers this phone has talked to and the fingerprints of their certificates: trusted on first
//! use, verified by comparing short authentication strings.
//!
//! ```text
//! state_dir/known-phones.json ─▶ parse ─▶ KnownPeers ──check(peer, fingerprint)──▶ new · known · verified · changed
//!        ▲                                 │
//!        └── Output::Keep ◀── text ◀───────┴──verify(peer, fingerprint)
//! ```
//!
//! A changed fingerprint is reported and never accepted by itself: that takes another comparison.
//! What the file says of a peer can only make the phone more wary, so a damaged file costs
//! warnings, not security; it is reported.

use serde::{Deserialize, Serialize};

use crate::credentials::colons;

/// The file in the state directory.
pub const FILE: &str = "known-phones.json";
/// Peers remembered. The one not verified that was seen longest ago is dropped first, then the
/// oldest of all.
const MOST: usize = 256;
/// Longest name of a peer kept.
const LONGEST_NAME: usize = 128;
/// No file of ours is longer.
pub const MAX_BYTES: usize = 128 * 1024;

/// What is known of a peer's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Never seen before.
    New,
    /// The same as the last time.
    Known,
    /// The same as when the short authentication strings were compared.
    Verified,
    /// Another than before.
    Changed,
}

/// Why a text is not the list of known peers.
#[derive(Debug, thiserror::Error)]
pub enum KnownPeersError {
    /// Longer than any file of ours.
    #[error("{0} bytes are too many")]
    TooLong(usize),
    /// Not the JSON it should be.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// More peers than are remembered.
    #[error("{0} peers, at most {MOST} are remembered")]
    TooMany(usize),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownPeer {
    peer: String,
    sha256: String,
    verified: bool,
}

/// The peers, those seen last at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownPeers {
    entries: Vec<KnownPeer>,
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

impl KnownPeers {
    /// Reads the file's text.
    pub fn parse(text: &[u8]) -> Result<Self, KnownPeersError> {
        if text.len() > MAX_BYTES {
            return Err(KnownPeersError::TooLong(text.len()));
        }
        let entries: Vec<KnownPeer> = serde_json::from_slice(text)?;
        if entries.len() > MOST {
            return Err(KnownPeersError::TooMany(entries.len()));
        }
        Ok(Self { entries })
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        // Strings and a flag always serialize.
        serde_json::to_string_pretty(&self.entries).unwrap_or_default()
    }

    /// A peer proved to hold the certificate with this SHA-256. Returns what that is worth, and
    /// whether the file must be written.
    pub fn check(&mut self, address: &str, fingerprint: &[u8; 32]) -> (Trust, bool) {
        let (peer, sha256) = (name_of(address), colons(fingerprint));
        match self.entries.iter().find(|entry| entry.peer == peer) {
            Some(entry) if entry.sha256 != sha256 => (Trust::Changed, false),
            Some(entry) if entry.verified => (Trust::Verified, false),
            Some(_) => (Trust::Known, false),
            None => {
                self.put(KnownPeer {
                    peer,
                    sha256,
                    verified: false,
                });
                (Trust::New, true)
            }
        }
    }

    /// The short authentication strings were compared with this peer and are the same.
    pub fn verify(&mut self, address: &str, fingerprint: &[u8; 32]) {
        let peer = name_of(address);
        self.entries.retain(|entry| entry.peer != peer);
        self.put(KnownPeer {
            peer,
            sha256: colons(fingerprint),
            verified: true,
        });
    }

    fn put(&mut self, entry: KnownPeer) {
        while self.entries.len() >= MOST {
            let index = self
                .entries
                .iter()
                .position(|entry| !entry.verified)
                .unwrap_or(0);
            self.entries.remove(index);
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
    fn trust_goes_from_new_to_verified_to_changed() {
        let mut known = KnownPeers::default();
        let bob = "sip:bob@192.0.2.7:5060;transport=udp";
        assert_eq!(known.check(bob, &A), (Trust::New, true));
        assert_eq!(
            known.check("\"Bob\" <sip:bob@192.0.2.7>", &A),
            (Trust::Known, false)
        );
        known.verify(bob, &A);
        assert_eq!(known.check(bob, &A), (Trust::Verified, false));
        assert_eq!(known.check(bob, &B), (Trust::Changed, false));
        assert_eq!(
            known.check(bob, &B),
            (Trust::Changed, false),
            "reported again, never accepted"
        );
        assert_eq!(known.check(bob, &A), (Trust::Verified, false));
        known.verify(bob, &B);
        assert_eq!(known.check(bob, &B), (Trust::Verified, false));
        assert_eq!(known.check("sip:eve@192.0.2.7", &B), (Trust::New, true));
    }

    #[test]
    fn file_holds_every_peer() {
        let mut known = KnownPeers::default();
        known.check("sip:a@x", &A);
        known.verify("sip:b@y", &B);
        let read = KnownPeers::parse(known.text().as_bytes()).unwrap();
        assert_eq!(read, known);
        assert_eq!(KnownPeers::parse(b"[]").unwrap(), KnownPeers::default());
        for bad in [
            &b""[..],
            b"{}",
            b"[{\"peer\":1}]",
            b"[{\"peer\":\"a\",\"sha256\":\"A\",\"verified\":true,\"x\":1}]",
            &vec![b' '; MAX_BYTES + 1],
        ] {
            assert!(KnownPeers::parse(bad).is_err());
        }
    }

    #[test]
    fn list_is_bounded_and_keeps_verified_peers() {
        let mut known = KnownPeers::default();
        known.verify("sip:keep@x", &A);
        for n in 0..5000 {
            known.check(&format!("sip:{n}@{}", "x".repeat(500)), &B);
        }
        assert_eq!(known.entries.len(), MOST);
        assert_eq!(known.check("sip:keep@x", &A), (Trust::Verified, false));
        assert!(known.text().len() < MAX_BYTES);
        for n in 0..MOST {
            known.verify(&format!("sip:v{n}@x"), &B);
        }
        assert_eq!(known.entries.len(), MOST);
    }

    #[test]
    fn one_phone_has_one_name() {
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
