//! A configuration from the network on trial. A text that is valid can still take the phone off the
//! network, by a wrong address, VLAN or server, or keep it from starting; no one would be there to
//! correct it. So it is kept only when the phone stays up with it and reaches a server again; else
//! the last good one comes back and the new one is refused.
//!
//! ```text
//! fetched ─▶ network.good ◀─ the text before;  network.trial: hash, starts;  network.toml: the new text ─▶ restart
//!   start ─▶ too many starts? ─▶ revert          60 s, port bound, a server answered ─▶ accept
//!                                                180 s without ─▶ revert ─▶ restart with the text before
//! ```
//!
//! Each file is replaced as a whole, and `network.trial` names the text it speaks of: whatever
//! write a power cut prevents, the next start knows which text is on trial.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use board::files;
use sha2::{Digest, Sha256};

use super::{MAX_BYTES, NETWORK};
use crate::storage::Files;

/// In the state directory: the accepted text before the one on trial.
pub(crate) const GOOD: &str = "network-good.toml";
/// In the state directory: which text is on trial, and how often it was started.
const TRIAL: &str = "network-trial";
/// In the state directory: which text was refused after its trial, how often, and why.
const REFUSED: &str = "network-refused";
/// In the state directory: where the fetched text is from, and its version.
pub(crate) const ORIGIN: &str = "network.etag";
/// Longest of the small files.
const MAX_NOTE: u64 = 1024;
/// Starts of a text on trial; one may end by a power cut.
const MAX_STARTS: u32 = 2;
/// Trials of one text; the first may have met a server that was down.
const MAX_TRIALS: u32 = 2;
/// A trial that goes well takes so long.
const PROVEN: Duration = Duration::from_secs(60);
/// A trial without success takes no longer.
const LIMIT: Duration = Duration::from_secs(180);

/// What the phone runs by, as far as the network says it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum TrialState {
    /// An accepted text, or none; `Some`: why another one was refused.
    #[default]
    Accepted,
    /// A text that has to prove itself.
    OnTrial,
    /// The text before, because a newer one was refused for this reason.
    Reverted(String),
}

/// Names a text.
fn id_of(text: &[u8]) -> String {
    let hash = Sha256::digest(text);
    hash.iter().take(16).fold(String::new(), |mut id, byte| {
        // Writing to a String cannot fail.
        let _ = write!(id, "{byte:02x}");
        id
    })
}

/// The texts of one state directory.
#[derive(Debug, Clone)]
pub(crate) struct Store(PathBuf);

impl Store {
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self(state_dir.to_owned())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn text(&self) -> Option<Vec<u8>> {
        files::read_in_time(&self.path(NETWORK), MAX_BYTES).ok()
    }

    fn note(&self, name: &str) -> Option<String> {
        let text = files::read_in_time(&self.path(name), MAX_NOTE).ok()?;
        String::from_utf8(text).ok()
    }

    /// The text on trial and its starts.
    fn trial(&self) -> Option<(String, u32)> {
        let note = self.note(TRIAL)?;
        let (id, starts) = note.trim().split_once(' ')?;
        Some((id.to_owned(), starts.parse().ok()?))
    }

    /// The text that was refused, how often, and why.
    fn refused(&self) -> Option<(String, u32, String)> {
        let note = self.note(REFUSED)?;
        let mut parts = note.trim().splitn(3, ' ');
        let id = parts.next()?.to_owned();
        let times = parts.next()?.parse().ok()?;
        Some((id, times, parts.next()?.to_owned()))
    }

    /// A phone starts: which text is it to run by? A text on trial that was started too often goes.
    pub(crate) fn begin(&self, disk: &dyn Files) -> io::Result<TrialState> {
        let text = self.text();
        let Some((id, starts)) = self.trial() else {
            return Ok(self.reverted());
        };
        if text.as_deref().map(id_of).as_ref() != Some(&id) {
            // The power went before the new text was written.
            self.remove(TRIAL)?;
            return Ok(self.reverted());
        }
        if starts >= MAX_STARTS {
            let why = format!("the phone did not stay up with it ({starts} starts)");
            self.revert(disk, &why)?;
            return Ok(TrialState::Reverted(why));
        }
        self.set_starts(disk, &id, starts + 1)?;
        Ok(TrialState::OnTrial)
    }

    /// Why the text in use is not the newest.
    fn reverted(&self) -> TrialState {
        match self.refused() {
            Some((.., why)) => TrialState::Reverted(why),
            None => TrialState::Accepted,
        }
    }

    fn set_starts(&self, disk: &dyn Files, id: &str, starts: u32) -> io::Result<()> {
        disk.write_atomic(&self.path(TRIAL), format!("{id} {starts}\n").as_bytes())
    }

    /// The phone ends in good order during a trial: this start does not count.
    pub(crate) fn forgive(&self, disk: &dyn Files) -> io::Result<()> {
        match self.trial() {
            Some((id, _)) => self.set_starts(disk, &id, 0),
            None => Ok(()),
        }
    }

    /// Why this text is not tried again; `None`: it may be tried.
    pub(crate) fn refusal(&self, text: &[u8]) -> Option<String> {
        let (id, times, why) = self.refused()?;
        (id == id_of(text) && times >= MAX_TRIALS).then_some(why)
    }

    /// A new text comes on trial. The version goes last: one without its text would never be asked
    /// for again.
    pub(crate) fn put_on_trial(
        &self,
        disk: &dyn Files,
        text: &[u8],
        origin: &str,
    ) -> io::Result<()> {
        let before = self.text();
        let tried = self.trial().map(|(id, _)| id);
        // A text that is still on trial is not good: the one before it stays the good one.
        if tried.is_none() || tried != before.as_deref().map(id_of) {
            match before {
                Some(before) => disk.write_atomic(&self.path(GOOD), &before)?,
                None => self.remove(GOOD)?,
            }
        }
        self.set_starts(disk, &id_of(text), 0)?;
        disk.write_atomic(&self.path(NETWORK), text)?;
        disk.write_atomic(&self.path(ORIGIN), origin.as_bytes())
    }

    /// The text on trial has proved itself.
    pub(crate) fn accept(&self) -> io::Result<()> {
        self.remove(REFUSED)?;
        self.remove(TRIAL)
    }

    /// The text before comes back, and the one on trial is refused.
    pub(crate) fn revert(&self, disk: &dyn Files, why: &str) -> io::Result<()> {
        let id = self.text().as_deref().map(id_of).unwrap_or_default();
        let times = match self.refused() {
            Some((before, times, _)) if before == id => times.saturating_add(1),
            Some(_) | None => 1,
        };
        let note = format!("{id} {times} {why}\n");
        disk.write_atomic(&self.path(REFUSED), note.as_bytes())?;
        // While its version is unknown here the server sends it again, for a second trial.
        if times < MAX_TRIALS {
            self.remove(ORIGIN)?;
        }
        match files::read_in_time(&self.path(GOOD), MAX_BYTES) {
            Ok(good) => disk.write_atomic(&self.path(NETWORK), &good)?,
            Err(_) => self.remove(NETWORK)?,
        }
        self.remove(TRIAL)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrialVerdict {
    /// It is kept.
    Good,
    /// It goes, for this reason.
    Bad(&'static str),
}

/// The trial of the text in use; no I/O, no clock.
#[derive(Debug)]
pub(crate) struct Trial {
    began: Instant,
    answered: bool,
}

impl Trial {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began: now,
            answered: false,
        }
    }

    /// A provisioning server answered this phone.
    pub(crate) fn handle_answer(&mut self) {
        self.answered = true;
    }

    /// Whether it is decided; `bound`: the SIP port that the configuration names is open.
    pub(crate) fn poll(&self, bound: bool, now: Instant) -> Option<TrialVerdict> {
        let ran = now.saturating_duration_since(self.began);
        match (self.answered, bound) {
            (true, true) if ran >= PROVEN => Some(TrialVerdict::Good),
            (_, false) if ran >= LIMIT => Some(TrialVerdict::Bad(
                "the SIP port or address it names could not be had",
            )),
            (false, true) if ran >= LIMIT => Some(TrialVerdict::Bad(
                "no provisioning server answered the phone with it",
            )),
            (..) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use testkit::process::TestDir;

    use super::*;
    use crate::storage::Disk;

    const OLD: &[u8] = b"[phone]\nname = \"old\"\n";
    const NEW: &[u8] = b"[phone]\nname = \"new\"\n";

    fn store(name: &str) -> (TestDir, Store) {
        let folder = TestDir::new(&format!("trial-{name}"));
        let store = Store::new(&folder);
        (folder, store)
    }

    fn accepted(store: &Store, text: &[u8]) {
        store.put_on_trial(&Disk, text, "url\n\"1\"\n").unwrap();
        assert_eq!(store.begin(&Disk).unwrap(), TrialState::OnTrial);
        store.accept().unwrap();
        assert_eq!(store.begin(&Disk).unwrap(), TrialState::Accepted);
    }

    #[test]
    fn a_text_that_ends_the_phone_goes_after_two_starts() {
        let (_folder, store) = store("starts");
        accepted(&store, OLD);
        store.put_on_trial(&Disk, NEW, "url\n\"2\"\n").unwrap();
        for _ in 0..2 {
            assert_eq!(store.begin(&Disk).unwrap(), TrialState::OnTrial);
            assert_eq!(store.text().as_deref(), Some(NEW));
        }
        let TrialState::Reverted(why) = store.begin(&Disk).unwrap() else {
            panic!("still on trial");
        };
        assert!(why.contains("2 starts"), "{why}");
        assert_eq!(store.text().as_deref(), Some(OLD));
        assert!(matches!(
            store.begin(&Disk).unwrap(),
            TrialState::Reverted(_)
        ));
        assert!(!store.path(ORIGIN).exists(), "it is asked for once more");
        assert_eq!(store.refusal(NEW), None);
        // The second time it is refused for good, and its version is kept.
        store.put_on_trial(&Disk, NEW, "url\n\"2\"\n").unwrap();
        store.revert(&Disk, "again").unwrap();
        assert_eq!(store.refusal(NEW).as_deref(), Some("again"));
        assert!(store.path(ORIGIN).exists());
        assert_eq!(store.refusal(b"another"), None);
        accepted(&store, b"another");
        assert_eq!(store.refusal(NEW), None, "a good one makes a new start");
    }

    #[test]
    fn the_first_text_ever_leaves_none_behind() {
        let (_folder, store) = store("first");
        store.put_on_trial(&Disk, NEW, "url\n\n").unwrap();
        store.revert(&Disk, "why").unwrap();
        assert_eq!(store.text(), None);
    }

    #[test]
    fn an_orderly_end_during_a_trial_is_no_failure() {
        let (_folder, store) = store("orderly");
        store.put_on_trial(&Disk, NEW, "url\n\n").unwrap();
        for _ in 0..10 {
            assert_eq!(store.begin(&Disk).unwrap(), TrialState::OnTrial);
            store.forgive(&Disk).unwrap();
        }
    }

    #[test]
    fn a_newer_text_during_a_trial_keeps_the_good_one() {
        let (_folder, store) = store("newer");
        accepted(&store, OLD);
        store.put_on_trial(&Disk, NEW, "url\n\n").unwrap();
        store.put_on_trial(&Disk, b"newer", "url\n\n").unwrap();
        store.revert(&Disk, "why").unwrap();
        assert_eq!(store.text().as_deref(), Some(OLD));
    }

    /// A disk on which the power goes before the write of a number.
    struct PowerCut {
        left: std::sync::atomic::AtomicUsize,
    }

    impl Files for PowerCut {
        fn write_atomic(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
            let order = std::sync::atomic::Ordering::Relaxed;
            if self
                .left
                .fetch_update(order, order, |n| n.checked_sub(1))
                .is_err()
            {
                return Err(io::Error::other("the power is gone"));
            }
            Disk.write_atomic(path, bytes)
        }
        fn write_card(&self, _: &Path, _: &str, _: &[u8]) -> io::Result<()> {
            Ok(())
        }
        fn factory_reset(&self, _: &Path, _: Option<&Path>) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_power_cut_at_any_write_leaves_a_whole_text_that_is_known() {
        for left in 0..5 {
            let (_folder, store) = store(&format!("cut-{left}"));
            accepted(&store, OLD);
            let disk = PowerCut { left: left.into() };
            let _ = store.put_on_trial(&disk, NEW, "url\n\n");
            let standing = store.begin(&Disk).unwrap();
            let text = store.text().unwrap();
            if text == NEW {
                assert_eq!(standing, TrialState::OnTrial, "{left}");
            } else {
                assert_eq!(
                    (text.as_slice(), standing),
                    (OLD, TrialState::Accepted),
                    "{left}"
                );
            }
            // Whatever there is, a failed trial leads back to the old text.
            if text == NEW {
                let disk = PowerCut { left: left.into() };
                let _ = store.revert(&disk, "why");
                while store.begin(&Disk).unwrap() == TrialState::OnTrial {}
                assert_eq!(store.text().as_deref(), Some(OLD), "{left}");
            }
        }
    }

    #[test]
    fn a_trial_needs_a_minute_a_port_and_an_answer() {
        let t0 = Instant::now();
        let at = |s: u64| t0 + Duration::from_secs(s);
        let mut trial = Trial::new(t0);
        assert_eq!(trial.poll(true, at(179)), None);
        assert!(matches!(
            trial.poll(true, at(180)),
            Some(TrialVerdict::Bad(why)) if why.contains("server")
        ));
        trial.handle_answer();
        assert_eq!(trial.poll(true, at(59)), None);
        assert_eq!(trial.poll(true, at(60)), Some(TrialVerdict::Good));
        assert_eq!(trial.poll(false, at(60)), None);
        assert!(matches!(
            trial.poll(false, at(180)),
            Some(TrialVerdict::Bad(why)) if why.contains("port")
        ));
    }
}
