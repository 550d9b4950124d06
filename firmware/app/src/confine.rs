//! What the phone may still do while it runs. Whoever takes it over, by a fault in a parser, finds
//! a process that reads its own files, writes its state directory, talks UDP and TCP, and can do
//! nothing else.
//!
//! ```text
//! offhook run --confine
//!   ├─ fork ─▶ broker: replaces four files on the card, resets, shares devices; no network      (root, four capabilities)
//!   └─ configuration, log, board, control socket ─▶ enter: user, capabilities, Landlock, seccomp ─▶ driver and its threads
//! ```
//!
//! Entered before the phone has a second thread, so that every later one inherits it. On a kernel
//! without Landlock the rest still holds, and the log says so.

pub(crate) mod broker;
mod capabilities;
mod filter;
mod marks;
pub(crate) mod user;

use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use crate::provision::ConfigPaths;
use user::User;

/// What a phone reads of the system: libraries, sound configuration, names, certificates, the
/// kernel's figures. Of `/etc` only what is listed: keys of other programs lie there, too.
const SYSTEM: [&str; 21] = [
    "/usr",
    "/lib",
    "/lib64",
    "/proc",
    "/sys",
    "/etc/resolv.conf",
    // Where the image writes name servers, once it knows them.
    "/run",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/passwd",
    "/etc/group",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/TZ",
    "/etc/ssl/certs",
    "/etc/alsa",
    "/etc/asound.conf",
];
/// Devices that may come back after they were unplugged, and those that everybody has.
const DEVICES: [&str; 10] = [
    "/dev/snd",
    "/dev/input",
    "/dev/null",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
    "/dev/kmsg",
    "/dev/watchdog",
    "/dev/watchdog0",
    "/dev/shm",
];
/// The newest rules the phone knows; an older kernel applies those it has.
const RULES: ABI = ABI::V6;

/// Why the phone is not confined as it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfineError {
    /// The rights that are not needed cannot be given up.
    #[error("user and capabilities: {0}; start the phone as root, or without --confine")]
    Capabilities(std::io::Error),
    /// The rules for files cannot be made.
    #[error("Landlock: {0}; start the phone without --confine")]
    Rules(#[from] RulesetError),
    /// The filter of system calls cannot be set.
    #[error("seccomp: {0}; the kernel needs CONFIG_SECCOMP_FILTER")]
    Filter(#[from] filter::FilterError),
}

/// The files a phone reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Read only.
    pub(crate) read: Vec<PathBuf>,
    /// Read, written, made and removed; the phone's own.
    pub(crate) state_dir: PathBuf,
    /// The same, and everybody's.
    pub(crate) scratch: PathBuf,
}

impl Reach {
    /// What this configuration needs.
    pub(crate) fn of(paths: &ConfigPaths, config: &config::Config) -> Self {
        let tls = &config.tls;
        let named = [&tls.ca, &tls.certificate, &tls.key, &config.mqtt.ca];
        let named = named.into_iter().flatten().cloned();
        let read = [paths.folder(), config.board.profile_dir.clone()];
        Self {
            read: read
                .into_iter()
                .chain(named)
                .chain(paths.authority(config))
                .collect(),
            state_dir: config.control.state_dir.clone(),
            scratch: PathBuf::from("/tmp"),
        }
    }
}

/// Gives up everything else, for this thread and all that it starts. Whether the rules for files
/// hold: a kernel may have none.
pub(crate) fn enter(reach: &Reach, user: Option<User>) -> Result<bool, ConfineError> {
    // It would keep its rights, and read files with them.
    board::files::end_idle_worker();
    // A rule is about a folder that is there. One that cannot be made is reported by its user.
    let _ = std::fs::create_dir_all(&reach.state_dir);
    if let Some(user) = user
        && let Err(error) = user.own_folder(&reach.state_dir)
    {
        let folder = reach.state_dir.display();
        tracing::error!("{folder}: {error}: nothing can be stored there");
    }
    capabilities::keep_of_phone(user).map_err(ConfineError::Capabilities)?;
    let ruled = restrict_files(reach)?;
    filter::apply(filter::Role::Phone)?;
    Ok(ruled)
}

fn restrict_files(reach: &Reach) -> Result<bool, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let device = AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::WriteFile | AccessFs::IoctlDev;
    // Nothing is executed, no device is made.
    let never: BitFlags<AccessFs> = AccessFs::Execute
        | AccessFs::MakeChar
        | AccessFs::MakeBlock
        | AccessFs::MakeFifo
        | AccessFs::MakeSym
        | AccessFs::IoctlDev;
    let write = AccessFs::from_all(RULES) & !never;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RULES))?
        .scope(Scope::from_all(RULES))?
        .create()?
        .add_rules(path_beneath_rules(SYSTEM, read))?
        .add_rules(path_beneath_rules(&reach.read, read))?
        .add_rules(path_beneath_rules(DEVICES, device))?
        .add_rules(path_beneath_rules(
            [&reach.state_dir, &reach.scratch],
            write,
        ))?
        .restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

#[cfg(test)]
mod tests;
