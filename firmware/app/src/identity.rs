//! The phone's own key and certificate: who it is for DTLS-SRTP and for direct calls over TLS. Made
//! once, at the first start; its fingerprint is what others pin.
//!
//! ```text
//! state_dir/identity.pem (0600) ─▶ read ─▶ Credentials ─▶ dtls (handshakes), net::tls (server side, client certificate)
//!        ▲                          │ not there, or damaged
//!        └── written whole or not ◀─┴─ make (ECDSA P-256, self-signed)
//! ```
//!
//! The certificate carries no name of a person and is valid for ever: a phone without a clock must
//! be able to use it, and whoever trusts it trusts the fingerprint, not a date (RFC 5763 section
//! 5).

use std::io;
use std::path::{Path, PathBuf};

use control::Credentials;
use control::credentials::CredentialsError;
use zeroize::Zeroizing;

/// The file in the state directory.
pub const FILE: &str = "identity.pem";
/// No identity of ours is longer.
const MAX_BYTES: u64 = 16 * 1024;

/// Why there is no identity, or why it is another than before.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read or written.
    #[error("{path}: {source}; set control.state_dir to a folder this user may write")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is there and is no identity.
    #[error(
        "{path}: {what}; restore it, or delete it and give the new fingerprint to those who pinned \
         the old one"
    )]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: Damage,
    },
    /// No key could be made.
    #[error("no key could be made: {0}; has this system a source of random numbers?")]
    Make(#[from] rcgen::Error),
}

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// Longer than any identity.
    #[error("{0}, too many for an identity")]
    TooLong(String),
    /// Read, and no identity.
    #[error(transparent)]
    Content(#[from] CredentialsError),
}

/// The identity kept in this folder; made and kept there if there is none. A damaged one is an
/// error: another fingerprint would lock out everybody who pinned the old one, so no one but
/// the owner decides that.
pub fn load_or_make(folder: &Path) -> Result<Credentials, IdentityError> {
    let path = folder.join(FILE);
    let wrong = |source| IdentityError::File {
        path: path.clone(),
        source,
    };
    match board::files::read_in_time(&path, MAX_BYTES).map(Zeroizing::new) {
        Ok(text) => Credentials::parse(&text).map_err(|error| IdentityError::Damaged {
            path,
            what: Damage::Content(error),
        }),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(IdentityError::Damaged {
            path,
            what: Damage::TooLong(error.to_string()),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made = Credentials::make()?;
            crate::storage::write_atomic(&path, made.pem().as_bytes()).map_err(wrong)?;
            tracing::info!(
                "made this phone's certificate, fingerprint {}",
                made.fingerprint_text()
            );
            Ok(made)
        }
        Err(error) => Err(wrong(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use testkit::process::TestDir;

    use super::*;

    #[test]
    fn made_once_and_the_same_ever_after() {
        let folder = TestDir::new("identity-once");
        // Made with what is in it.
        let folder = folder.join("state");
        let made = load_or_make(&folder).unwrap();
        let path = folder.join(FILE);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let read = load_or_make(&folder).unwrap();
        assert_eq!(
            (read.certificate(), read.private_key()),
            (made.certificate(), made.private_key())
        );
        assert_eq!(read.fingerprint_text().len(), 32 * 3 - 1);
        assert_ne!(
            Credentials::make().unwrap().fingerprint(),
            made.fingerprint()
        );
        let shown = format!("{made:?}");
        assert_eq!(shown, format!("Credentials({})", made.fingerprint_text()));
    }

    #[test]
    fn a_damaged_one_is_not_replaced_silently() {
        let folder = TestDir::new("identity-damaged");
        let made = load_or_make(&folder).unwrap();
        let path = folder.join(FILE);
        let good = fs::read_to_string(&path).unwrap();
        let other = Credentials::make().unwrap();
        let certificate_end = good.find("-----BEGIN PRIVATE").unwrap();
        let mixed = format!(
            "{}{}",
            &other.pem()[..other.pem().find("-----BEGIN PRIVATE").unwrap()],
            &good[certificate_end..]
        );
        for (bad, wanted) in [
            (mixed.as_str(), "do not belong together"),
            (&good[..certificate_end], "no private key"),
            (&good[certificate_end..], "no certificate"),
            ("", "no certificate"),
            (&"x".repeat(20_000), "too many"),
        ] {
            fs::write(&path, bad).unwrap();
            let error = load_or_make(&folder).unwrap_err().to_string();
            assert!(
                error.contains(wanted) && error.contains("identity.pem") && error.contains("; "),
                "{error}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), bad, "left as it was");
        }
        fs::write(&path, &good).unwrap();
        assert_eq!(
            load_or_make(&folder).unwrap().fingerprint(),
            made.fingerprint()
        );
    }
}
