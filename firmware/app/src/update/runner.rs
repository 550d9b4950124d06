//! Carries out what [`Agent`] decides: files, RAUC, the image's own scripts.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::Options;
use super::agent::{Agent, FoundBundle, Step};
use super::ledger::{BundleId, Origin};
use super::rauc::{self, ALLOW_DOWNGRADE, Check, Install, Output, Wanted};
use crate::ctl::client::Client;
use crate::net::fetch::shown;
use crate::run_dir::SLOT_GOOD;
use crate::storage::{remove_from_card, write_atomic};

/// The bundle on the card.
const ON_CARD: &str = "update.raucb";
/// The version of the image that runs.
const VERSION: &str = "/etc/offhook/version";
/// Longest ledger.
const MAX_LEDGER: u64 = 64 * 1024;
/// Beside it: the running slot is on trial.
const TRIAL: &str = "trial";
/// Longer than the phone's own 60 s and a slow start; the watchdog ends what cannot even wait.
const TRIAL_TIME: Duration = Duration::from_secs(150);
/// Dial tone and network come up in peace before a bundle is looked at.
const PEACE: Duration = Duration::from_secs(20);
/// Between two looks at the phone, and at the configuration.
const IDLE_EVERY: Duration = Duration::from_secs(5);
const CONFIG_EVERY: Duration = Duration::from_secs(20);
/// Between two downloads: a day after one that worked, otherwise a pause that grows.
const DAY: Duration = Duration::from_secs(86_400);
const PAUSE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));

/// Why the agent gives up; init starts it again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpdateError {
    /// What became of a bundle cannot be written down.
    #[error("{path}: {source}; the data partition must be writable")]
    Ledger {
        /// The ledger.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A script of the image failed.
    #[error("{name}: {status}")]
    Script {
        /// Which.
        name: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// A script of the image cannot be started.
    #[error("{name}: {source}")]
    Start {
        /// Which.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The restart that was asked for did not come.
    #[error("the board did not restart")]
    StillRunning,
}

/// Runs until the board restarts.
pub(crate) fn run(options: &Options) -> Result<(), UpdateError> {
    let runner = Runner { options };
    runner.judge_trial()?;
    let ledger = board::files::read(&runner.ledger(), MAX_LEDGER).unwrap_or_default();
    let ledger = String::from_utf8_lossy(&ledger).into_owned();
    let mut agent = Agent::new(options.slot, &ledger);
    let steps = agent.started();
    runner.carry_out(&mut agent, None, steps)?;
    wait_for(&options.run.join(SLOT_GOOD), PEACE);
    if let Some(card) = &options.paths.card {
        let file = card.join(ON_CARD);
        runner.look_at(&mut agent, &file, Origin::Card, ON_CARD)?;
    }
    runner.watch_network(&mut agent)
}

struct Runner<'a> {
    options: &'a Options,
}

impl Runner<'_> {
    fn ledger(&self) -> PathBuf {
        self.options.state.join("ledger")
    }

    fn download(&self) -> PathBuf {
        self.options.state.join("incoming.raucb")
    }

    /// A slot on trial is kept when the phone says that it is good, and given up when it does not.
    fn judge_trial(&self) -> Result<(), UpdateError> {
        if !self.options.run.join(TRIAL).exists() {
            return Ok(());
        }
        if wait_for(&self.options.run.join(SLOT_GOOD), TRIAL_TIME) {
            return script(Command::new("offhook-slot").arg("keep"));
        }
        say(&format!(
            "slot {} did not become good in {} s; back to the other",
            self.options.slot,
            TRIAL_TIME.as_secs()
        ));
        script(&mut Command::new(self.options.scripts.join("restart")))?;
        forever()
    }

    /// Whatever lies at `file`, by the agent's rules.
    fn look_at(
        &self,
        agent: &mut Agent,
        file: &Path,
        origin: Origin,
        name: &str,
    ) -> Result<(), UpdateError> {
        let id = match identify(file) {
            Ok(id) => id,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // A folder, a FIFO, a damaged card: whoever put it there waits for an update.
            Err(error) => {
                self.report("update", &format!("not read: {name}: {error}"));
                return Ok(());
            }
        };
        let bundle = FoundBundle {
            id,
            origin,
            name: name.to_owned(),
        };
        let steps = agent.found(&bundle);
        self.carry_out(agent, Some((&bundle, file)), steps)
    }

    fn carry_out(
        &self,
        agent: &mut Agent,
        bundle: Option<(&FoundBundle, &Path)>,
        steps: Vec<Step>,
    ) -> Result<(), UpdateError> {
        for step in steps {
            match (step, bundle) {
                (Step::Record(text), _) => {
                    write_atomic(&self.ledger(), text.as_bytes()).map_err(|source| {
                        UpdateError::Ledger {
                            path: self.ledger(),
                            source,
                        }
                    })?;
                }
                (Step::Report(text), _) => self.report("update", &text),
                (Step::WaitUntilIdle, _) => {
                    while !phone_is_idle(&self.options.run) {
                        std::thread::sleep(IDLE_EVERY);
                    }
                }
                (Step::Arm, _) => script(Command::new("offhook-slot").arg("arm"))?,
                (Step::RestartOnce, _) => {
                    script(Command::new(self.options.scripts.join("restart")).arg("--once"))?;
                    return forever();
                }
                (Step::RemoveFromCard(id), _) => self.remove_from_card(&id),
                (Step::RemoveDownload, _) => {
                    let _ = fs::remove_file(self.download());
                }
                (Step::Check, Some((found, file))) => {
                    let check = self.check(file);
                    let steps = agent.checked(found, check);
                    self.carry_out(agent, bundle, steps)?;
                }
                (Step::Install, Some((found, file))) => {
                    let outcome = install(file);
                    let steps = agent.installed(found, outcome);
                    self.carry_out(agent, bundle, steps)?;
                }
                (Step::Check | Step::Install, None) => {}
            }
        }
        Ok(())
    }

    fn check(&self, file: &Path) -> Check {
        let mut keyring = std::ffi::OsString::from("--keyring=");
        keyring.push(&self.options.keyring);
        let info = output(
            Command::new("rauc")
                .arg(keyring)
                .args(["info", "--output-format=shell"])
                .arg(file),
        );
        let board = self.options.paths.board.as_deref().unwrap_or_default();
        match info {
            Ok(info) => {
                let running = board::files::read_start(Path::new(VERSION), 64).unwrap_or_default();
                let running = String::from_utf8_lossy(&running);
                let wanted = Wanted {
                    board,
                    running: running.trim(),
                    downgrade: self.may_downgrade(),
                };
                rauc::check(&info, wanted, identify(file).is_ok())
            }
            Err(error) => Check::Unknown(format!("rauc: {error}")),
        }
    }

    /// Whether the card asks for an older version.
    fn may_downgrade(&self) -> bool {
        let card = self.options.paths.card.as_ref();
        card.is_some_and(|card| card.join(ALLOW_DOWNGRADE).exists())
    }

    /// A line of status.txt; the image's script puts all of them together.
    fn report(&self, name: &str, text: &str) {
        let note = self.options.scripts.join("note");
        if let Err(error) = script(Command::new(note).args([name, text])) {
            say(&error.to_string());
        }
    }

    fn remove_from_card(&self, id: &BundleId) {
        let Some(card) = &self.options.paths.card else {
            return;
        };
        if identify(&card.join(ON_CARD)).is_ok_and(|found| found == *id)
            && let Err(error) = remove_from_card(card, ON_CARD)
        {
            say(&format!("{ON_CARD} could not be removed: {error}"));
        }
    }

    /// Downloads at the start, once a day, and where the configuration names another place; soon
    /// again when it cannot be reached.
    fn watch_network(&self, agent: &mut Agent) -> Result<(), UpdateError> {
        let mut schedule = Schedule::default();
        loop {
            let url = crate::provision::load(&self.options.paths, false)
                .ok()
                .and_then(|provisioned| crate::provision::update_url(&provisioned.config));
            if let Some(url) = url
                && schedule.is_due(&url, Instant::now())
            {
                self.fetch(agent, &mut schedule, &url)?;
            }
            std::thread::sleep(CONFIG_EVERY);
        }
    }

    /// A power cut may have come between the download and the installation: what lies there is
    /// looked at whether the server has news or not.
    fn fetch(
        &self,
        agent: &mut Agent,
        schedule: &mut Schedule,
        url: &str,
    ) -> Result<(), UpdateError> {
        let file = self.download();
        let Options {
            paths, max_bytes, ..
        } = self.options;
        let fetched = crate::provision::download(paths, *max_bytes, url, &file);
        schedule.fetched(url, fetched.is_ok(), Instant::now());
        match &fetched {
            Ok(_) => self.report("update-by-network", ""),
            Err(error) => {
                say(&error.to_string());
                let text = format!("not fetched: {} (see the log); tried again", shown(url));
                self.report("update-by-network", &text);
            }
        }
        if file.exists() {
            self.look_at(agent, &file, Origin::Network, &shown(url))
        } else if fetched.is_ok() {
            let steps = agent.nothing_downloaded(&shown(url));
            self.carry_out(agent, None, steps)
        } else {
            Ok(())
        }
    }
}

fn install(file: &Path) -> Install {
    match output(Command::new("offhook-slot").arg("install").arg(file)) {
        Ok(output) => {
            for line in output.stdout.lines().chain(output.stderr.lines()) {
                say(line);
            }
            rauc::install(&output)
        }
        Err(error) => Install::NotBegun(format!("offhook-slot: {error}")),
    }
}

/// When the next download is due.
#[derive(Debug, Default)]
struct Schedule {
    url: String,
    due: Option<Instant>,
    pause: Duration,
}

impl Schedule {
    fn is_due(&self, url: &str, now: Instant) -> bool {
        self.url != url || self.due.is_none_or(|due| now >= due)
    }

    fn fetched(&mut self, url: &str, well: bool, now: Instant) {
        if self.url != url {
            url.clone_into(&mut self.url);
            self.pause = Duration::ZERO;
        }
        self.pause = if well {
            Duration::ZERO
        } else {
            (self.pause * 2).clamp(PAUSE.0, PAUSE.1)
        };
        self.due = Some(now + if well { DAY } else { self.pause });
    }
}

/// Reads all of a file.
fn identify(file: &Path) -> io::Result<BundleId> {
    let mut file = board::files::open(file, u64::MAX)?;
    let mut hash = Sha256::new();
    let mut part = vec![0; 64 * 1024];
    loop {
        match file.read(&mut part)? {
            0 => return Ok(BundleId::from_sha256(&hash.finalize())),
            length => hash.update(&part[..length]),
        }
    }
}

/// The handset is down and no one is talking, or there is no phone to ask.
fn phone_is_idle(run_dir: &Path) -> bool {
    let Ok(mut client) = Client::connect(&run_dir.join("ctl.sock")) else {
        return true;
    };
    // One that does not answer is in some trouble of its own: asked again.
    client.is_idle().unwrap_or(false)
}

/// Whether `file` appeared in time.
fn wait_for(file: &Path, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    while !file.exists() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    true
}

fn output(command: &mut Command) -> io::Result<Output> {
    let output = command.stdin(Stdio::null()).output()?;
    Ok(Output {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn script(command: &mut Command) -> Result<(), UpdateError> {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(UpdateError::Script { name, status }),
        Err(source) => Err(UpdateError::Start { name, source }),
    }
}

/// The board restarts: nothing more is to be done.
fn forever() -> Result<(), UpdateError> {
    std::thread::sleep(Duration::from_secs(600));
    Err(UpdateError::StillRunning)
}

/// Into the log.
fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(io::stderr().lock(), "update-agent: {text}");
}

#[cfg(test)]
mod tests {
    use testkit::process::TestDir;

    use super::*;

    #[test]
    fn a_download_that_fails_is_tried_again_later_and_later() {
        let (mut schedule, mut now) = (Schedule::default(), Instant::now());
        assert!(schedule.is_due("a", now));
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            schedule.fetched("a", false, now);
            now += Duration::from_secs(minutes * 60 - 1);
            assert!(!schedule.is_due("a", now), "{minutes}");
            assert!(schedule.is_due("b", now), "another place");
            now += Duration::from_secs(1);
            assert!(schedule.is_due("a", now), "{minutes}");
        }
        schedule.fetched("b", true, now);
        assert!(!schedule.is_due("b", now + DAY / 2));
        assert!(schedule.is_due("b", now + DAY));
        schedule.fetched("b", false, now);
        assert!(schedule.is_due("b", now + PAUSE.0), "the pause began again");
    }

    #[test]
    fn a_bundle_is_known_by_all_of_its_bytes() {
        let folder = TestDir::new("update");
        let file = folder.join("bundle");
        let mut bytes = vec![7; 200_000];
        fs::write(&file, &bytes).unwrap();
        let one = identify(&file).unwrap();
        assert_eq!(identify(&file).unwrap(), one);
        bytes[5] = 8;
        fs::write(&file, &bytes).unwrap();
        assert_ne!(identify(&file).unwrap(), one);
        assert!(identify(&folder).is_err());
        assert!(identify(&folder.join("none")).is_err());
    }
}
