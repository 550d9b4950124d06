//! The provisioning server that was keyed on the phone (`codes.setup_server`), and the certificate
//! it is known by. No I/O but reading its file.
//!
//! ```text
//! keyed URL ─▶ first fetch: the certificate it shows ─▶ kept beside the URL ─▶ every later fetch: that one, or nothing
//! ```
//!
//! Where `provision.ca` names an authority, that one judges the server and no certificate is kept.

use std::path::Path;

use control::credentials::colons;

use crate::net::tls::Fingerprint;

/// In the state directory.
pub(crate) const FILE: &str = "setup-server";
/// Longest such file.
const MAX_BYTES: u64 = 1024;

/// A server that was keyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyedServer {
    url: String,
    known: Option<Fingerprint>,
}

impl KeyedServer {
    /// Keyed just now: the next certificate it shows is its own.
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            known: None,
        }
    }

    /// Reads the file; `None`: none was keyed.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let text = board::files::read_in_time(path, MAX_BYTES).ok()?;
        Self::parse(&String::from_utf8(text).ok()?)
    }

    /// Reads the text: two lines, URL and fingerprint; the second may be empty, never wrong.
    fn parse(text: &str) -> Option<Self> {
        let (url, known) = text.split_once('\n')?;
        let known = match known.trim() {
            "" => None,
            known => Some(parse_fingerprint(known)?),
        };
        url.starts_with("https://").then(|| Self {
            url: url.to_owned(),
            known,
        })
    }

    /// What the file says.
    pub(crate) fn text(&self) -> String {
        let known = self.known.map_or(String::new(), |known| colons(&known));
        format!("{}\n{known}\n", self.url)
    }

    /// The URL of its first folder.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// SHA-256 of the certificate it is known by.
    pub(crate) fn known(&self) -> Option<Fingerprint> {
        self.known
    }

    /// It has shown this certificate, and a configuration; whether that is news.
    pub(crate) fn handle_seen(&mut self, seen: Option<Fingerprint>) -> bool {
        let is_first = self.known.is_none() && seen.is_some();
        if is_first {
            self.known = seen;
        }
        is_first
    }

    /// For `status`: what a person compares with the server's own.
    pub(crate) fn note(&self) -> Option<String> {
        let known = colons(&self.known?);
        Some(format!(
            "its certificate was taken at first use; compare its SHA-256: {known}"
        ))
    }
}

/// What [`colons`] made of it.
fn parse_fingerprint(text: &str) -> Option<Fingerprint> {
    let bytes: Option<Vec<u8>> = text
        .split(':')
        .map(|digits| u8::from_str_radix(digits, 16).ok())
        .collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_certificate_is_kept() {
        let mut server = KeyedServer::new("https://10.0.0.5/");
        assert_eq!(server.text(), "https://10.0.0.5/\n\n");
        assert!(!server.handle_seen(None), "a server that showed none");
        assert!(server.handle_seen(Some([7; 32])));
        assert!(!server.handle_seen(Some([8; 32])), "only the first");
        assert_eq!(server.known(), Some([7; 32]));
        assert_eq!(KeyedServer::parse(&server.text()), Some(server.clone()));
        assert!(server.note().is_some_and(|note| note.contains("07:07:07")));
    }

    #[test]
    fn a_damaged_file_trusts_no_one_again() {
        for text in [
            "",
            "https://10.0.0.5/",
            "http://10.0.0.5/\n\n",
            "https://10.0.0.5/\n07:07\n",
            "https://10.0.0.5/\nxx\n",
        ] {
            assert_eq!(KeyedServer::parse(text), None, "{text:?}");
        }
        let new = KeyedServer::new("https://10.0.0.5/");
        assert_eq!(KeyedServer::parse(&new.text()), Some(new));
    }
}
