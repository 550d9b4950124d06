//! The HTTP requests of `[actions]`: one beside the other, a few at most; the answer is ignored.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::net::fetch::{self, FetchRequest, Trust};

/// Fetches at once; what is too much is left out.
const AT_ONCE: usize = 4;
/// An answer takes no longer.
const DEADLINE: Duration = Duration::from_secs(10);
/// Most bytes of an answer.
const MAX_BYTES: u64 = 64 * 1024;

/// The requests under way.
pub(super) struct ActionRequests {
    trust: Trust,
    permits: Arc<Semaphore>,
}

impl ActionRequests {
    pub(super) fn new(trust: Trust) -> Self {
        Self {
            trust,
            permits: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Fetches an address. Nothing waits for it.
    pub(super) fn fetch(&self, url: String) {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            tracing::warn!("an action is left out: {AT_ONCE} others are not answered yet");
            return;
        };
        let trust = self.trust.clone();
        tokio::spawn(async move {
            let request = FetchRequest {
                url,
                // The owner wrote the address, and it leads to a device of the owner's.
                allow_http: true,
                etag: None,
                max_bytes: MAX_BYTES,
            };
            let mut thrown_away = |_: &[u8]| Ok(());
            let fetched = fetch::fetch(&request, &trust, &mut thrown_away);
            match tokio::time::timeout(DEADLINE, fetched).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!("action: {error}"),
                Err(_) => tracing::warn!("action: no answer within {DEADLINE:?}"),
            }
            drop(permit);
        });
    }
}

#[cfg(test)]
mod tests;
