//! A configuration from the network: asked for when `Schedule` says, judged with everything else
//! there is, kept, and put in use when nobody uses the phone.
//!
//! ```text
//! tick ─▶ Schedule::ask ─▶ fetch (a task) ─▶ Heard::Configuration ─▶ provision::judge ─┬─ fits ─▶ network.toml ─▶ idle? ─▶ Ending::Restart
//!                                                                                      └─ does not ─▶ told; what is in use stays
//! ```

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Driver;
use crate::appliance::Ending;
use crate::net::Heard;
use crate::net::fetch::{Asked, Fetched, fetch};
use crate::provision::schedule::Schedule;
use crate::provision::{self, NETWORK};

/// Most bytes of a configuration.
const MOST: u64 = 1024 * 1024;
/// In the state directory: where the kept one is from, and its version (`ETag`).
const ORIGIN: &str = "network.etag";
/// In the run directory: what DHCP told.
const DHCP: &str = "dhcp";
/// The handset lies this long before the phone starts anew: nobody is about to lift it again.
const LAID_DOWN: Duration = Duration::from_secs(2);

/// Something new, with its version; `None`: what is kept is the newest.
type Found = Option<(Vec<u8>, Option<String>)>;

/// What a look for a configuration came to.
#[derive(Debug)]
pub(crate) struct News {
    url: String,
    found: Result<Found, String>,
}

/// The state of provisioning.
pub(super) struct Provisioning {
    schedule: Schedule,
    /// For `status.txt`.
    pub(super) word: Option<String>,
    /// A new configuration waits for the handset to lie.
    waiting: bool,
    idle_since: Option<Instant>,
}

impl Provisioning {
    pub(super) fn new(config: &config::Config, in_use: bool, now: Instant) -> Self {
        Self {
            schedule: Schedule::new(config.provision.clone(), now),
            word: in_use.then(|| "a configuration fetched before is in use".to_owned()),
            waiting: false,
            idle_since: None,
        }
    }
}

impl Driver {
    /// Somebody (`ctl refresh`, a new lease) wants everything looked at again.
    pub(super) fn refresh(&mut self, now: Instant) {
        self.house.look();
        self.hear_dhcp(now);
        self.provisioning.schedule.refresh(now);
        self.house.hurry();
    }

    /// What DHCP told, where it differs.
    pub(super) fn hear_dhcp(&mut self, now: Instant) {
        let told = std::fs::read_to_string(self.house.run_dir().join(DHCP))
            .ok()
            .filter(|text| text.len() <= 4096);
        self.provisioning.schedule.told_by_dhcp(told, now);
    }

    /// Once a tick: asks when it is time, and starts anew when it may.
    pub(super) fn provision(&mut self, now: Instant) {
        let Some(appliance) = self.house.appliance.as_ref() else {
            return;
        };
        match self
            .provisioning
            .schedule
            .ask(|| mac(&self.config.link.interface), now)
        {
            None => {}
            Some(Err(why)) => {
                tracing::warn!("{why}");
                self.provisioning.word = Some(why);
            }
            Some(Ok(url)) => {
                let asked = Asked {
                    etag: read_origin(&self.config.control.state_dir.join(ORIGIN), &url),
                    ca: authority(&self.config, &appliance.places),
                    allow_http: self.config.provision.allow_http,
                    most: MOST,
                    url,
                };
                let heard = self.heard.clone();
                tokio::spawn(async move {
                    let mut text = Vec::new();
                    let found = fetch(&asked, &mut |part| {
                        text.extend_from_slice(part);
                        Ok(())
                    })
                    .await;
                    let found = match found {
                        Ok(Fetched::New { etag }) => Ok(Some((text, etag))),
                        Ok(Fetched::NotModified) => Ok(None),
                        Err(error) => Err(error.to_string()),
                    };
                    // The driver is gone only when the phone is.
                    let _ = heard
                        .send(Heard::Configuration(Box::new(News {
                            url: asked.url,
                            found,
                        })))
                        .await;
                });
            }
        }
        let idle = self.control.is_idle();
        if !idle {
            self.provisioning.idle_since = None;
        } else if self.provisioning.idle_since.is_none() {
            self.provisioning.idle_since = Some(now);
        }
        let laid_down = self
            .provisioning
            .idle_since
            .is_some_and(|since| now.saturating_duration_since(since) >= LAID_DOWN);
        if self.provisioning.waiting && laid_down && self.farewell.is_none() {
            tracing::info!("a new configuration from the network: starting anew");
            self.ending = Ending::Restart;
            self.say_farewell();
        }
    }

    /// A look came to an end.
    pub(super) fn heard_configuration(&mut self, news: News) {
        let now = Instant::now();
        let shown = news.url.split('?').next().unwrap_or("").to_owned();
        self.provisioning.schedule.answered(news.found.is_ok(), now);
        let word = match news.found {
            Ok(None) => format!("in use, from {shown}"),
            Ok(Some((text, etag))) => self.judge(&news.url, &shown, &text, etag.as_deref()),
            Err(why) => format!("not fetched: {why}"),
        };
        if self.provisioning.word.as_ref() != Some(&word) {
            tracing::info!("configuration from the network: {word}");
            self.provisioning.word = Some(word);
        }
    }

    fn judge(&mut self, url: &str, shown: &str, text: &[u8], etag: Option<&str>) -> String {
        let Some(appliance) = self.house.appliance.as_ref() else {
            return String::new();
        };
        let config = match provision::judge(&appliance.places, text) {
            Ok(config) => config,
            Err(errors) => {
                self.house.hurry();
                return format!("not taken, what was in use stays: {errors}");
            }
        };
        let kept = self.config.control.state_dir.join(NETWORK);
        let origin = format!("{url}\n{}\n", etag.unwrap_or(""));
        // The text first: an ETag without its text would never be asked for again.
        let done = crate::setup::keep_safely(&kept, text).and_then(|()| {
            crate::setup::keep_safely(
                &self.config.control.state_dir.join(ORIGIN),
                origin.as_bytes(),
            )
        });
        if let Err(error) = done {
            return format!("not kept: {}: {error}", kept.display());
        }
        if config != self.config {
            self.provisioning.waiting = true;
        }
        format!("in use, from {shown}")
    }
}

/// The version (`ETag`) of what is kept, where it is from this place.
pub(crate) fn read_origin(path: &Path, url: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let (from, etag) = text.split_once('\n')?;
    let etag = etag.trim();
    (from == url && !etag.is_empty()).then(|| etag.to_owned())
}

/// The file of those who vouch for a provisioning server, wherever it is said to lie.
pub(crate) fn authority(config: &config::Config, places: &provision::Places) -> Option<PathBuf> {
    let file = config
        .provision
        .ca
        .clone()
        .or_else(|| config.tls.ca.clone())?;
    Some(places.folder().join(file))
}

/// The hardware address of the interface, twelve small hexadecimal digits; of the first there is
/// for `auto`.
fn mac(interface: &str) -> String {
    let address = |name: &str| {
        let text = std::fs::read_to_string(format!("/sys/class/net/{name}/address")).ok()?;
        let digits: String = text
            .trim()
            .chars()
            .filter(char::is_ascii_hexdigit)
            .collect();
        (digits.len() == 12 && digits.bytes().any(|digit| digit != b'0'))
            .then(|| digits.to_ascii_lowercase())
    };
    if interface != "auto" {
        return address(interface).unwrap_or_default();
    }
    let mut names: Vec<String> = std::fs::read_dir("/sys/class/net")
        .map(|entries| {
            entries
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .collect()
        })
        .unwrap_or_default();
    names.sort();
    names
        .iter()
        .find_map(|name| address(name))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_counts_only_for_the_place_it_is_from() {
        let path = std::env::temp_dir().join(format!("offhook-origin-{}", std::process::id()));
        std::fs::write(&path, "https://a.example/x\n\"v1\"\n").unwrap();
        assert_eq!(
            read_origin(&path, "https://a.example/x").as_deref(),
            Some("\"v1\"")
        );
        assert_eq!(read_origin(&path, "https://b.example/x"), None);
        std::fs::write(&path, "https://a.example/x\n\n").unwrap();
        assert_eq!(read_origin(&path, "https://a.example/x"), None);
        std::fs::remove_file(&path).unwrap();
    }
}
