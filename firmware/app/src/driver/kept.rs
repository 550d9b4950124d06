//! What the phone keeps from one start to the next, in its state directory: its certificate, the
//! peers it has met.
//!
//! ```text
//! state_dir ─▶ credentials, known ─▶ Control     Control ─▶ writer (a task: file after file) ─▶ state_dir
//! ```

use std::io::{self, Read as _};
use std::path::PathBuf;

use tokio::sync::mpsc;

use control::Credentials;
use control::trust::{self, Known};

use crate::identity::{IdentityError, load_or_make};

/// The phone's identity. Where it cannot be kept the phone has one for this run; where the kept one
/// is damaged it has none. Either is told, neither costs dial tone.
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

/// Writes files of the state directory, in the order they were given.
pub(super) fn writer() -> mpsc::Sender<(PathBuf, String)> {
    let (keep, mut kept) = mpsc::channel::<(PathBuf, String)>(8);
    tokio::spawn(async move {
        while let Some((path, text)) = kept.recv().await {
            // The task ends early only with the runtime.
            let _ = tokio::task::spawn_blocking(move || {
                if let Err(error) = crate::setup::keep_safely(&path, text.as_bytes()) {
                    tracing::warn!(
                        "{}: {error}; it is forgotten at the next start",
                        path.display()
                    );
                }
            })
            .await;
        }
    });
    keep
}

/// The peers met before. A file that cannot be read costs their trust, and is told.
pub(super) fn known(config: &config::Config) -> Known {
    let path = config.control.state_dir.join(trust::FILE);
    let read = match std::fs::File::open(&path) {
        Ok(file) => {
            let mut text = Vec::new();
            file.take(trust::MAX_BYTES as u64 + 1)
                .read_to_end(&mut text)
                .map_err(|error| error.to_string())
                .and_then(|_| Known::parse(&text))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Known::default()),
        Err(error) => Err(error.to_string()),
    };
    read.unwrap_or_else(|error| {
        tracing::warn!(
            "{}: {error}; every phone is new again, compare key words",
            path.display()
        );
        Known::default()
    })
}
