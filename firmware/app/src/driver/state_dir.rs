//! What the phone remembers from one start to the next: its certificate and the peers it has met.
//! Read before the loop begins; the storage thread writes changes back.

use std::io;
use std::path::Path;

use control::Credentials;
use control::known_peers::{self, KnownPeers};

use crate::identity::{IdentityError, load_or_make};
use crate::net::dns::last_good::{self, LastGood};

/// The phone's identity. Where it cannot be stored, the phone has one for this run; where the stored
/// one is damaged, it has none. Both are logged; neither costs dial tone.
pub(super) fn credentials(config: &config::Config) -> Option<Credentials> {
    match load_or_make(&config.control.state_dir) {
        Ok(credentials) => Some(credentials),
        Err(error @ IdentityError::File { .. }) => {
            tracing::warn!("{error}; this phone has another certificate after each start");
            Credentials::make().ok()
        }
        Err(error @ (IdentityError::Damaged { .. } | IdentityError::Make(_))) => {
            tracing::error!("no DTLS-SRTP and no calls over TLS without a server: {error}");
            None
        }
    }
}

/// The addresses DNS gave last. Without the file a phone without DNS finds no server.
pub(super) fn last_good(path: &Path) -> LastGood {
    let text = match board::files::read_in_time(path, last_good::MAX_BYTES) {
        Ok(text) => text,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!("{}: {error}; it is written again", path.display());
            }
            Vec::new()
        }
    };
    LastGood::parse(&String::from_utf8_lossy(&text))
}

/// The peers met before. A file that cannot be read costs their trust, and is logged.
pub(super) fn known_peers(config: &config::Config) -> KnownPeers {
    let path = config.control.state_dir.join(known_peers::FILE);
    let read = match board::files::read_in_time(&path, known_peers::MAX_BYTES as u64) {
        Ok(text) => KnownPeers::parse(&text).map_err(|error| error.to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(KnownPeers::default()),
        Err(error) => Err(error.to_string()),
    };
    read.unwrap_or_else(|error| {
        tracing::warn!(
            "{}: {error}; no phone is known any more: compare the authentication words again",
            path.display()
        );
        KnownPeers::default()
    })
}
