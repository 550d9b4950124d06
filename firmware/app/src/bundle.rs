//! The support bundle: what a helper elsewhere needs to find a fault, without passwords, keys and
//! anything else that would let someone register as this phone.
//!
//! ```text
//! log ring ─┐
//! SIP ring ─┼─ (redacted when they go in) ─▶ BundleParts ─▶ tar.gz ─▶ file (0600), or the card
//! status, stats, settings ─┘
//! ```
//!
//! Secrets never enter: SIP messages are redacted before they are kept, settings are printed by
//! types that print no secret, and the log never had one.

mod kernel_log;
pub(crate) mod log;
pub(crate) mod redact;
pub(crate) mod trace;

use std::io::{self, Write};
use std::path::Path;

use board::files;
use flate2::Compression;
use flate2::write::GzEncoder;

/// The bundle's name on the card.
pub(crate) const FILE: &str = "offhook-support.tar.gz";
/// Most bytes of one crash log.
const MAX_CRASH_LOG: u64 = 64 * 1024;
/// Most crash logs; the newest ones are taken.
const MAX_CRASH_LOGS: usize = 8;
/// Most bytes of one of the kernel's files.
const MOST_SYSTEM: u64 = 64 * 1024;
/// What the system says of itself.
const SYSTEM: [&str; 6] = [
    "/proc/version",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/asound/cards",
    "/proc/net/dev",
];

/// Names and contents.
pub(crate) struct BundleParts(Vec<(String, Vec<u8>)>);

impl BundleParts {
    pub(crate) fn new() -> Self {
        let readme = concat!(
            "Support bundle of Offhook ",
            env!("CARGO_PKG_VERSION"),
            ".\nlog.txt: the last log lines. status.json, stats.json: the phone at the moment of \
             the bundle. settings.txt: the settings in use.\n\
             sip.pcap: the last SIP messages, for Wireshark (those over TCP and TLS as if they \
             were UDP). system.txt: the machine. kernel.txt: the\n\
             kernel's log. crash/: what was kept of crashes. Passwords, keys and the answers to \
             challenges are redacted.\n"
        );
        Self(vec![("README.txt".to_owned(), readme.as_bytes().to_vec())])
    }

    pub(crate) fn add(&mut self, name: &str, content: impl Into<Vec<u8>>) {
        self.0.push((name.to_owned(), content.into()));
    }

    /// What lies on the machine: crash logs of the state directory, and what the kernel says.
    fn add_machine(&mut self, state_dir: &Path) {
        let mut system = String::new();
        for path in SYSTEM {
            let text = files::read_start(Path::new(path), MOST_SYSTEM).unwrap_or_default();
            system.extend(["== ", path, "\n", &String::from_utf8_lossy(&text), "\n"]);
        }
        self.add("system.txt", system);
        self.add(
            "kernel.txt",
            kernel_log::read(Path::new(kernel_log::DEVICE)),
        );
        let folder = state_dir.join("crash");
        // The medium may hang: that must not keep the rest.
        match files::in_time(files::DEADLINE, move || Ok(crash_logs(&folder))) {
            Ok(logs) => self.0.extend(logs),
            Err(error) => self.add("crash.txt", format!("{error}\n")),
        }
    }

    /// All of it, and what lies on the machine, as a gzipped tar archive. Reads files: a job for
    /// the storage thread.
    pub(crate) fn pack(mut self, state_dir: &Path) -> io::Result<Vec<u8>> {
        self.add_machine(state_dir);
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        let time = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        for (name, content) in &self.0 {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(time.as_secs());
            archive.append_data(
                &mut header,
                format!("offhook-support/{name}"),
                content.as_slice(),
            )?;
        }
        let mut gzip = archive.into_inner()?;
        gzip.flush()?;
        gzip.finish()
    }
}

/// The newest crash logs of a folder, each with its name.
fn crash_logs(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    let newest = names.iter().rev().take(MAX_CRASH_LOGS);
    let log = |name: &String| {
        let text = files::read_start(&folder.join(name), MAX_CRASH_LOG).unwrap_or_default();
        (format!("crash/{name}"), text)
    };
    newest.map(log).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn bundle_is_a_gzipped_tar_archive() {
        let mut parts = BundleParts::new();
        parts.add("log.txt", "line\n");
        let packed = parts.pack(Path::new("/nowhere")).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed.as_slice()));
        let found: Vec<(String, String)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                (entry.path().unwrap().display().to_string(), text)
            })
            .collect();
        assert_eq!(
            found[1],
            ("offhook-support/log.txt".to_owned(), "line\n".to_owned())
        );
        assert!(found[0].1.contains(env!("CARGO_PKG_VERSION")));
    }
}
