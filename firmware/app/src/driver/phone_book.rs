//! Contacts from the card and from a server.
//!
//! ```text
//! contacts.vcf on the card ─▶ at the start ──────────▶ Control::add_phone_book
//! dial.phone_book ─▶ fetch, again every few hours ───▶ DriverEvent::PhoneBook ─▶ Control::set_remote_phone_book
//! ```

use std::path::Path;
use std::time::Duration;

use control::phone_book::MAX_BYTES;
use tokio::sync::mpsc;

use super::event::DriverEvent;
use crate::net::fetch::{self, FetchRequest, Fetched, Trust};

/// The file on the card.
pub(super) const FILE: &str = "contacts.vcf";
/// How often the server's phone book is fetched.
const EVERY: Duration = Duration::from_secs(6 * 3600);
/// How soon after a failure.
const RETRY: Duration = Duration::from_secs(600);

/// The contacts of the card; nothing where there is no such file.
pub(super) fn on_card(card: &Path) -> Option<Vec<u8>> {
    let path = card.join(FILE);
    if !path.is_file() {
        return None;
    }
    match board::files::read(&path, MAX_BYTES as u64) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            tracing::error!("{}: {error}", path.display());
            None
        }
    }
}

/// Fetches the phone book now and every few hours, as long as the phone runs.
pub(super) fn start(
    url: String,
    allow_http: bool,
    trust: Trust,
    events: mpsc::Sender<DriverEvent>,
) {
    tokio::spawn(async move {
        let mut etag = None;
        loop {
            let request = FetchRequest {
                url: url.clone(),
                allow_http,
                etag: etag.clone(),
                max_bytes: MAX_BYTES as u64,
            };
            let mut bytes = Vec::new();
            let fetched = fetch::fetch(&request, &trust, &mut |part| {
                bytes.extend_from_slice(part);
                Ok(())
            })
            .await;
            let pause = match fetched {
                Ok(Fetched::New { etag: new }) => {
                    etag = new;
                    if events.send(DriverEvent::PhoneBook(bytes)).await.is_err() {
                        return;
                    }
                    EVERY
                }
                Ok(Fetched::NotModified) => EVERY,
                Err(error) => {
                    tracing::warn!("phone book: {error}");
                    RETRY
                }
            };
            tokio::time::sleep(pause).await;
        }
    });
}

#[cfg(test)]
mod tests;
