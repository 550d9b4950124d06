//! What the phone remembers from one start to the next: its certificate and the peers it has met.
//! Read before the loop begins; the storage thread writes changes back.

use std::io;
use std::path::Path;

use control::known_peers::{self, KnownPeers};
use control::{Credentials, features, history};

use crate::identity::{IdentityError, load_or_make};
use crate::net::dns::last_good::{self, LastGood};
use crate::storage::DiskAtStart;

/// The phone's identity. Where it cannot be stored, the phone has one for this run; where the
/// stored one is damaged, it has none. Both are logged; neither costs dial tone.
pub(super) fn credentials(config: &config::Config) -> Option<Credentials> {
    match load_or_make(&config.control.state_dir, &DiskAtStart) {
        Ok(credentials) => Some(credentials),
        Err(IdentityError::NotStored { made, path, source }) => {
            tracing::warn!(
                "{}: {source}; this phone may have another certificate after its next start",
                path.display()
            );
            Some(*made)
        }
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
    let (file, most) = (known_peers::FILE, known_peers::MAX_BYTES);
    let lost = "no phone is known any more: compare the authentication words again";
    read(config, file, most, lost, KnownPeers::parse)
}

/// What was set from the handset before. A file that cannot be read costs those settings, and is
/// logged.
pub(super) fn features(config: &config::Config) -> phone::Features {
    let (file, most) = (features::FILE, features::MAX_BYTES);
    let lost = "forwarding, do not disturb and speed dial are as after a factory reset";
    read(config, file, most, lost, features::from_json)
}

/// The calls of earlier runs. A file that cannot be read costs them, and is logged.
pub(super) fn history(config: &config::Config) -> history::History {
    let (file, most) = (history::FILE, history::MAX_BYTES);
    let lost = "the history of calls begins again";
    read(config, file, most, lost, history::History::parse)
}

/// A file of the state directory, and what it means; the default where there is none or it cannot
/// be read.
fn read<T: Default, E: std::fmt::Display>(
    config: &config::Config,
    file: &str,
    most: usize,
    lost: &str,
    parse: impl FnOnce(&[u8]) -> Result<T, E>,
) -> T {
    let path = config.control.state_dir.join(file);
    let read = match board::files::read_in_time(&path, most as u64) {
        Ok(text) => parse(&text).map_err(|error| error.to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(error.to_string()),
    };
    read.unwrap_or_else(|error| {
        tracing::warn!("{}: {error}; {lost}", path.display());
        T::default()
    })
}
