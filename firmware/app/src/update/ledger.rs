//! What became of each bundle: the only thing about updates that survives a restart. One line a
//! bundle, the oldest first:
//!
//! ```text
//! 5f3c… card trying b 1
//! 91ab… network refused signature verification failed
//! ```

use std::fmt::{self, Write as _};

/// Most bundles remembered.
const MOST_ENTRIES: usize = 16;
/// Most characters of a reason.
const MOST_REASON: usize = 160;

/// One of the two systems on the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Partitions 2 and 5.
    A,
    /// Partitions 3 and 6.
    B,
}

impl Slot {
    /// `a` or `b`, as on the kernel's command line.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "a" => Some(Self::A),
            "b" => Some(Self::B),
            _ => None,
        }
    }

    /// The one that does not run.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "a",
            Self::B => "b",
        })
    }
}

/// How a bundle came here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `update.raucb` on the card.
    Card,
    /// Downloaded from `update.url`.
    Network,
}

impl Origin {
    fn name(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Network => "network",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Card, Self::Network]
            .into_iter()
            .find(|origin| origin.name() == text)
    }
}

/// A bundle, known by the hash of all of it: a damaged copy is another one than the good one that
/// may follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BundleId(String);

impl BundleId {
    /// The first 128 bits of its SHA-256.
    pub(crate) fn from_sha256(hash: &[u8]) -> Self {
        Self(hash.iter().take(16).fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        }))
    }

    #[cfg(test)]
    pub(crate) fn named(name: &str) -> Self {
        Self(name.to_owned())
    }
}

/// How far a bundle is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It is signed, and its installation failed this many times.
    Failed { times: u8, reason: String },
    /// It is in that slot, which has not been started.
    Installed { slot: Slot },
    /// That slot is being started for the `attempt`-th time.
    Trying { slot: Slot, attempt: u8 },
    /// Its slot worked and is kept.
    Good,
    /// Its slot did not work.
    RolledBack,
    /// It is not for this phone, or damaged.
    Refused { reason: String },
}

impl Progress {
    fn parse(text: &str) -> Option<Self> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        match word {
            "failed" => {
                let (times, reason) = rest.split_once(' ').unwrap_or((rest, ""));
                Some(Self::Failed {
                    times: times.parse().ok()?,
                    reason: reason.to_owned(),
                })
            }
            "installed" => Some(Self::Installed {
                slot: Slot::parse(rest)?,
            }),
            "trying" => {
                let (to, attempt) = rest.split_once(' ')?;
                Some(Self::Trying {
                    slot: Slot::parse(to)?,
                    attempt: attempt.parse().ok()?,
                })
            }
            "good" => Some(Self::Good),
            "bad" => Some(Self::RolledBack),
            "refused" => Some(Self::Refused {
                reason: rest.to_owned(),
            }),
            _ => None,
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { times, reason } => write!(f, "failed {times} {reason}"),
            Self::Installed { slot } => write!(f, "installed {slot}"),
            Self::Trying { slot, attempt } => write!(f, "trying {slot} {attempt}"),
            Self::Good => f.write_str("good"),
            Self::RolledBack => f.write_str("bad"),
            Self::Refused { reason } => write!(f, "refused {reason}"),
        }
    }
}

/// One bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: BundleId,
    pub(crate) origin: Origin,
    pub(crate) progress: Progress,
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let (id, rest) = line.split_once(' ')?;
        let (origin, progress) = rest.split_once(' ')?;
        Some(Self {
            id: BundleId(id.to_owned()),
            origin: Origin::parse(origin)?,
            progress: Progress::parse(progress)?,
        })
    }
}

/// All bundles that are remembered, the one that changed last at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ledger(Vec<Entry>);

impl Ledger {
    /// Reads the file. A line that makes no sense is left out: its bundle is then new again.
    pub(crate) fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(Entry::parse).collect())
    }

    /// What is known of a bundle.
    pub(crate) fn progress(&self, id: &BundleId) -> Option<&Progress> {
        let entry = self.0.iter().rev().find(|entry| entry.id == *id)?;
        Some(&entry.progress)
    }

    /// The entry that changed last.
    pub(crate) fn newest(&self) -> Option<&Entry> {
        self.0.last()
    }

    /// The bundle on its way into use, if there is one.
    pub(crate) fn pending(&self) -> Option<&Entry> {
        self.0.iter().rev().find(|entry| {
            matches!(
                entry.progress,
                Progress::Installed { .. } | Progress::Trying { .. }
            )
        })
    }

    /// Replaces what is known of a bundle.
    pub(crate) fn set(&mut self, id: &BundleId, origin: Origin, progress: Progress) {
        self.0.retain(|entry| entry.id != *id);
        if self.0.len() >= MOST_ENTRIES {
            self.0.remove(0);
        }
        self.0.push(Entry {
            id: id.clone(),
            origin,
            progress,
        });
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Entry {
            id: BundleId(id),
            origin,
            progress,
        } in &self.0
        {
            writeln!(f, "{id} {} {progress}", origin.name())?;
        }
        Ok(())
    }
}

/// A reason as it may stand in the ledger and in status.txt: one line of printable ASCII.
pub(crate) fn printable(reason: &str) -> String {
    reason
        .chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .take(MOST_REASON)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(reason: &str) -> Progress {
        Progress::Refused {
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn every_progress_is_read_as_it_was_written() {
        let all = [
            Progress::Failed {
                times: 2,
                reason: "no space left".to_owned(),
            },
            Progress::Installed { slot: Slot::B },
            Progress::Trying {
                slot: Slot::A,
                attempt: 2,
            },
            Progress::Good,
            Progress::RolledBack,
            refused("signature verification failed"),
            refused(""),
        ];
        let mut ledger = Ledger::default();
        for (n, progress) in all.iter().enumerate() {
            let origin = if n % 2 == 0 {
                Origin::Card
            } else {
                Origin::Network
            };
            ledger.set(&BundleId::named(&n.to_string()), origin, progress.clone());
        }
        assert_eq!(Ledger::parse(&ledger.to_string()), ledger);
    }

    #[test]
    fn a_damaged_line_is_left_out() {
        let text = "1 card good\n\n2 card trying c 1\nnonsense\n3 moon good\n4 network bad\n\
                    5 card failed x y\n";
        let ledger = Ledger::parse(text);
        assert_eq!(ledger.to_string(), "1 card good\n4 network bad\n");
    }

    #[test]
    fn a_bundle_has_one_line_and_the_oldest_is_forgotten() {
        let mut ledger = Ledger::default();
        let id = |n: usize| BundleId::named(&n.to_string());
        for n in 0..20 {
            ledger.set(&id(n), Origin::Card, Progress::Good);
        }
        ledger.set(&id(7), Origin::Card, refused("x"));
        assert_eq!(ledger.to_string().lines().count(), MOST_ENTRIES);
        assert_eq!(ledger.progress(&id(3)), None);
        assert_eq!(ledger.progress(&id(7)), Some(&refused("x")));
        assert_eq!(ledger.newest().map(|entry| &entry.id), Some(&id(7)));
    }

    #[test]
    fn a_reason_is_one_printable_line() {
        assert_eq!(printable("a\nb\u{1b}[31mü c"), "ab[31m c");
        assert_eq!(printable(&"x".repeat(500)).len(), MOST_REASON);
    }
}
