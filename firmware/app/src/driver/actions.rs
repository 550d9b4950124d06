//! Addresses the house is asked at: fetched one beside the other, a few at most, the answer thrown
//! away.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::net::fetch::{self, FetchRequest, Trust};

/// Fetches at once; what is too much is left out.
const AT_ONCE: usize = 4;
/// An answer takes no longer.
const PATIENT: Duration = Duration::from_secs(10);
/// Most bytes of an answer.
const MAX_BYTES: u64 = 64 * 1024;

/// What is being fetched.
pub(super) struct HouseActions {
    trust: Arc<Trust>,
    places: Arc<Semaphore>,
}

impl HouseActions {
    pub(super) fn new(trust: Trust) -> Self {
        Self {
            trust: Arc::new(trust),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Fetches an address. Nothing waits for it.
    pub(super) fn fetch(&self, url: String) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            tracing::warn!("an action is left out: {AT_ONCE} others are not answered yet");
            return;
        };
        let trust = Arc::clone(&self.trust);
        tokio::spawn(async move {
            let request = FetchRequest {
                url,
                // The owner wrote the address, and it leads to the owner's house.
                allow_http: true,
                etag: None,
                max_bytes: MAX_BYTES,
            };
            let mut thrown_away = |_: &[u8]| Ok(());
            let fetched = fetch::fetch(&request, &trust, &mut thrown_away);
            match tokio::time::timeout(PATIENT, fetched).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!("action: {error}"),
                Err(_) => tracing::warn!("action: no answer within {PATIENT:?}"),
            }
            drop(place);
        });
    }
}
