//! Decides what is done next with a bundle. Sans-IO: events in, steps out; the runner carries the
//! steps out in their order, and the power may go between any two of them.
//!
//! ```text
//! found ─▶ Check ─▶ checked ─▶ Install ─▶ installed ─▶ [record installed] [wait until idle] [record trying] [arm] [restart]
//!                                                                                                             │
//!            good: removed, reported ◀─ started in the new slot, which was kept ◀────────────────────────────┘
//!            tried once more, then rolled back ◀─ started in the old slot
//! ```
//!
//! The ledger is written before the step it speaks of. A power cut during a trial looks the same as
//! a slot that does not work, so a trial is repeated once.

use super::ledger::{BundleId, Ledger, Origin, Progress, Slot, printable};
use super::rauc::{Check, Install};

/// Installations of a signed bundle that may fail, each at another start, before it is refused: its
/// content may be damaged, or this machine's memory, medium or kernel.
const MOST_FAILURES: u8 = 3;
/// Trials of one slot.
const MOST_TRIALS: u8 = 2;

/// What the runner does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Write this ledger, whole or not at all, through to the medium.
    Record(String),
    /// What status.txt says about updates.
    Report(String),
    /// Ask RAUC about the bundle, then [`Agent::checked`].
    Check,
    /// Let RAUC write it into the other slot, then [`Agent::installed`].
    Install,
    /// Wait until no one is on the phone.
    WaitUntilIdle,
    /// The next start takes the other slot, once.
    Arm,
    /// Restart the board, into the other slot.
    RestartOnce,
    /// Remove `update.raucb` from the card if it is this bundle.
    RemoveFromCard(BundleId),
    /// Remove the downloaded bundle.
    RemoveDownload,
}

/// A bundle that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundBundle {
    pub(crate) id: BundleId,
    pub(crate) origin: Origin,
    /// Its name for a person: the file's, or the URL.
    pub(crate) name: String,
}

/// The ledger, and what follows from it.
#[derive(Debug)]
pub(crate) struct Agent {
    running: Slot,
    ledger: Ledger,
}

impl Agent {
    /// With the slot that runs and the ledger as it was read.
    pub(crate) fn new(running: Slot, ledger: &str) -> Self {
        Self {
            running,
            ledger: Ledger::parse(ledger),
        }
    }

    /// The phone has started, and the running slot is kept. What became of a bundle on its way?
    pub(crate) fn started(&mut self) -> Vec<Step> {
        let Some(pending) = self.ledger.pending().cloned() else {
            return Vec::new();
        };
        let (id, origin) = (pending.id, pending.origin);
        match pending.progress {
            Progress::Installed { slot } | Progress::Trying { slot, .. }
                if slot == self.running =>
            {
                let slot = self.running;
                vec![
                    self.record(&id, origin, Progress::Good),
                    Step::Report(format!("slot {slot} runs the update and is kept")),
                    Step::RemoveFromCard(id),
                    Step::RemoveDownload,
                ]
            }
            Progress::Installed { .. } => self.try_slot(&id, origin, 1),
            Progress::Trying { attempt, .. } if attempt < MOST_TRIALS => {
                self.try_slot(&id, origin, attempt + 1)
            }
            Progress::Trying { slot, .. } => {
                let kept = self.running;
                vec![
                    self.record(&id, origin, Progress::RolledBack),
                    Step::Report(format!(
                        "rolled back: the new image in slot {slot} did not work (twice); slot \
                         {kept} goes on"
                    )),
                ]
            }
            Progress::Failed { .. }
            | Progress::Good
            | Progress::RolledBack
            | Progress::Refused { .. } => Vec::new(),
        }
    }

    /// A bundle lies on the card or was downloaded.
    pub(crate) fn found(&self, bundle: &FoundBundle) -> Vec<Step> {
        let name = &bundle.name;
        match self.ledger.progress(&bundle.id) {
            None
            | Some(
                Progress::Failed { .. } | Progress::Installed { .. } | Progress::Trying { .. },
            ) => vec![Step::Check],
            // The power went before it could be removed.
            Some(Progress::Good) => match bundle.origin {
                Origin::Card => vec![Step::RemoveFromCard(bundle.id.clone())],
                Origin::Network => vec![Step::RemoveDownload],
            },
            Some(Progress::Refused { reason }) => finished(
                bundle,
                vec![Step::Report(format!("refused: {name}: {reason}"))],
            ),
            Some(Progress::RolledBack) => finished(
                bundle,
                vec![Step::Report(format!(
                    "rolled back: the image of {name} did not work and is not tried again"
                ))],
            ),
        }
    }

    /// RAUC looked at it.
    pub(crate) fn checked(&mut self, bundle: &FoundBundle, check: Check) -> Vec<Step> {
        match check {
            Check::Fine => vec![
                Step::Report(format!("installing {}", bundle.name)),
                Step::Install,
            ],
            Check::Refused(reason) => self.refuse(bundle, reason),
            Check::Unknown(reason) => vec![Step::Report(format!(
                "not checked yet: {}: {reason}; tried again at the next start",
                bundle.name
            ))],
        }
    }

    /// RAUC wrote it, or tried to.
    pub(crate) fn installed(&mut self, bundle: &FoundBundle, install: Install) -> Vec<Step> {
        let name = &bundle.name;
        match install {
            Install::Done => {
                let slot = self.running.other();
                let mut steps = vec![
                    self.record(&bundle.id, bundle.origin, Progress::Installed { slot }),
                    Step::Report(format!("installed {name}; restarts into it")),
                ];
                steps.extend(self.try_slot(&bundle.id, bundle.origin, 1));
                steps
            }
            Install::Failed(reason) => {
                let before = match self.ledger.progress(&bundle.id) {
                    Some(Progress::Failed { times, .. }) => *times,
                    _ => 0,
                };
                let times = before.saturating_add(1);
                if times >= MOST_FAILURES {
                    return self.refuse(bundle, reason);
                }
                let failed = Progress::Failed {
                    times,
                    reason: reason.clone(),
                };
                vec![
                    self.record(&bundle.id, bundle.origin, failed),
                    not_installed(name, &reason),
                ]
            }
            Install::NotBegun(reason) => vec![not_installed(name, &reason)],
        }
    }

    /// Nothing new lies there: what is still to be said of the last download, whose file is gone.
    pub(crate) fn nothing_downloaded(&self, url: &str) -> Vec<Step> {
        let last = self
            .ledger
            .newest()
            .filter(|entry| entry.origin == Origin::Network);
        match last.map(|entry| &entry.progress) {
            Some(Progress::Refused { reason }) => {
                vec![Step::Report(format!("refused: {url}: {reason}"))]
            }
            Some(Progress::RolledBack) => vec![Step::Report(format!(
                "rolled back: the image of {url} did not work and is not tried again"
            ))],
            _ => Vec::new(),
        }
    }

    fn refuse(&mut self, bundle: &FoundBundle, reason: String) -> Vec<Step> {
        let report = Step::Report(format!("refused: {}: {reason}", bundle.name));
        let record = self.record(&bundle.id, bundle.origin, Progress::Refused { reason });
        finished(bundle, vec![record, report])
    }

    /// Starts the other slot once no one is on the phone. An attempt counts from the moment the
    /// next start would take that slot, not while a call is waited for.
    fn try_slot(&mut self, id: &BundleId, origin: Origin, attempt: u8) -> Vec<Step> {
        let slot = self.running.other();
        vec![
            Step::WaitUntilIdle,
            self.record(id, origin, Progress::Trying { slot, attempt }),
            Step::Arm,
            Step::RestartOnce,
        ]
    }

    fn record(&mut self, id: &BundleId, origin: Origin, progress: Progress) -> Step {
        self.ledger.set(id, origin, progress);
        Step::Record(self.ledger.to_string())
    }
}

/// A download that is judged goes; what a person put on the card stays for the person.
fn finished(bundle: &FoundBundle, mut steps: Vec<Step>) -> Vec<Step> {
    if bundle.origin == Origin::Network {
        steps.push(Step::RemoveDownload);
    }
    steps
}

fn not_installed(name: &str, reason: &str) -> Step {
    Step::Report(format!(
        "not installed: {name}: {}; tried again at the next start",
        printable(reason)
    ))
}

#[cfg(test)]
mod tests;
