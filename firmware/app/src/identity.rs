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

use crate::storage::Files;

/// The file in the state directory.
pub const FILE: &str = "identity.pem";
/// No identity of ours is longer.
const MAX_BYTES: u64 = 16 * 1024;

/// Why there is no identity, or why it is another than before.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read.
    #[error("{path}: {source}; set control.state_dir to a folder this user may read")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// One was made, and the file cannot be written, or not in time.
    #[error("{path}: {source}; set control.state_dir to a folder this user may write")]
    NotStored {
        /// What was made: good for this run.
        made: Box<Credentials>,
        /// Where it was to be kept.
        path: PathBuf,
        /// Why it is not.
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
pub(crate) fn load_or_make(folder: &Path, disk: &dyn Files) -> Result<Credentials, IdentityError> {
    let path = folder.join(FILE);
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
            if let Err(source) = disk.write_atomic(&path, made.pem().as_bytes()) {
                let made = Box::new(made);
                return Err(IdentityError::NotStored { made, path, source });
            }
            tracing::info!(
                "made this phone's certificate, fingerprint {}",
                made.fingerprint_text()
            );
            Ok(made)
        }
        Err(source) => Err(IdentityError::File { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use testkit::process::TestDir;

    use super::*;
    use crate::storage::Disk;

    #[test]
    fn made_once_and_the_same_ever_after() {
        let folder = TestDir::new("identity-once");
        // Made with what is in it.
        let folder = folder.join("state");
        let made = load_or_make(&folder, &Disk).unwrap();
        let path = folder.join(FILE);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let read = load_or_make(&folder, &Disk).unwrap();
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
        let made = load_or_make(&folder, &Disk).unwrap();
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
            let error = load_or_make(&folder, &Disk).unwrap_err().to_string();
            assert!(
                error.contains(wanted) && error.contains("identity.pem") && error.contains("; "),
                "{error}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), bad, "left as it was");
        }
        fs::write(&path, &good).unwrap();
        assert_eq!(
            load_or_make(&folder, &Disk).unwrap().fingerprint(),
            made.fingerprint()
        );
    }
    /// A card that fills its folder late, or never.
    struct LateDisk;

    impl Files for LateDisk {
        fn write_atomic(&self, _: &Path, _: &[u8]) -> io::Result<()> {
            Err(io::ErrorKind::TimedOut.into())
        }

        fn write_card(&self, _: &Path, _: &str, _: &[u8]) -> io::Result<()> {
            Err(io::ErrorKind::TimedOut.into())
        }

        fn factory_reset(&self, _: &Path, _: Option<&Path>) -> io::Result<()> {
            Err(io::ErrorKind::TimedOut.into())
        }
    }

    /// What was made is used, and not another: the late write may still store it.
    #[test]
    fn one_that_is_not_stored_in_time_is_used_for_this_run() {
        let folder = TestDir::new("identity-late");
        let error = load_or_make(&folder, &LateDisk).unwrap_err();
        let IdentityError::NotStored { made, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(made.fingerprint_text().len(), 32 * 3 - 1);
        assert!(!folder.join(FILE).exists());
    }
}
