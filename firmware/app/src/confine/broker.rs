//! The privileged side: what a confined phone cannot do itself is to write on the card, which is
//! mounted read-only, and into the run directory, which is root's. A process that was forked off
//! before the phone read its first byte does it, by few requests.
//!
//! ```text
//! phone: Files::write_card, factory_reset ── socket pair: request, name, bytes ──▶ broker ─▶ remount, write, remount
//!                                          ◀── done, or why not ──
//!        Files::write_atomic, run directory ── another pair ──▶ its second thread (`marks`)
//! ```
//!
//! The card and the state directory are the broker's own knowledge; the phone says which of four
//! names is written and what is in it, nothing else. `offhook.toml` is written only where it sets
//! nothing yet, and only with what keys can make ([`keypad`]).

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::ForkResult;

use super::filter::{self, Role};
use super::user::User;
use super::{capabilities, marks};
use crate::bundle;
use crate::provision::{self, ConfigPaths, keypad};
use crate::storage::{CONFIG_FILE, Disk, Files};

/// The names that may be written.
const NAMES: [&str; 4] = [
    "status.txt",
    bundle::FILE,
    CONFIG_FILE,
    control::history::CSV_FILE,
];
/// Most bytes of a file.
const MAX_BYTES: u32 = 8 * 1024 * 1024;
/// Most bytes of a reason.
const MAX_REASON: u32 = 1024;
/// Requests: the first byte. Of a write the next says which name.
const WRITE: u8 = 1;
const RESET: u8 = 2;
/// Of the thread beside the card's, in bytes.
const STACK: usize = 128 * 1024;

/// The phone's end.
#[derive(Debug)]
pub(crate) struct Broker {
    card: Mutex<UnixStream>,
    marks: Mutex<UnixStream>,
    run_dir: OnceLock<PathBuf>,
    user: Option<User>,
}

impl Broker {
    /// Forks the broker off. To be called while this process has one thread.
    pub(crate) fn start(paths: &ConfigPaths) -> io::Result<Self> {
        let (card, card_end) = UnixStream::pair()?;
        let (marks, marks_end) = UnixStream::pair()?;
        let user = User::find();
        // SAFETY: this process has one thread, so that the child's copy of it is whole.
        #[expect(unsafe_code, reason = "see SAFETY above")]
        match unsafe { nix::unistd::fork() }? {
            ForkResult::Parent { .. } => Ok(Self {
                card: Mutex::new(card),
                marks: Mutex::new(marks),
                run_dir: OnceLock::new(),
                user,
            }),
            ForkResult::Child => {
                drop((card, marks));
                // It ends with the phone, after the write that is under way.
                for ending in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
                    // SAFETY: no handler of ours runs.
                    #[expect(unsafe_code, reason = "see SAFETY above")]
                    let _ = unsafe { signal(ending, SigHandler::SigIgn) };
                }
                let _ = nix::sys::prctl::set_name(c"offhook-card");
                let served = confine_broker().and_then(|()| {
                    std::thread::Builder::new()
                        .name("offhook-marks".into())
                        .stack_size(STACK)
                        .spawn(move || marks::serve(marks_end, user))?;
                    serve(card_end, paths)
                });
                std::process::exit(i32::from(served.is_err()));
            }
        }
    }

    /// Whose rights the phone keeps, once it is confined; `None`: those of this process.
    pub(crate) fn user(&self) -> Option<User> {
        self.user
    }

    /// Says once, before the phone is confined, where phone and image meet.
    pub(crate) fn name_run_dir(&self, run_dir: &Path) -> io::Result<()> {
        marks::name_run_dir(&mut locked(&self.marks), run_dir)?;
        let _ = self.run_dir.set(run_dir.to_owned());
        Ok(())
    }

    fn ask(&self, request: &[u8], bytes: &[u8]) -> io::Result<()> {
        let mut socket = locked(&self.card);
        socket.write_all(request)?;
        if request[0] == WRITE {
            let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
            socket.write_all(&length.to_be_bytes())?;
            socket.write_all(bytes)?;
        }
        let reason = read_bytes(&mut socket, MAX_REASON)?;
        if reason.is_empty() {
            return Ok(());
        }
        Err(io::Error::other(
            String::from_utf8_lossy(&reason).into_owned(),
        ))
    }
}

impl Files for Broker {
    fn write_atomic(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let name = path.file_name().and_then(|name| name.to_str());
        match (path.parent(), self.run_dir.get(), name) {
            (Some(folder), Some(run_dir), Some(name)) if folder == run_dir => {
                marks::write(&mut locked(&self.marks), name, bytes)
            }
            _ => Disk.write_atomic(path, bytes),
        }
    }

    fn write_card(&self, _card: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
        let index = NAMES.iter().position(|known| *known == name);
        let index = index.ok_or_else(|| io::Error::other(format!("{name} is not written")))?;
        if bytes.len() > MAX_BYTES as usize {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.ask(&[WRITE, index as u8], bytes)
    }

    fn factory_reset(&self, _state_dir: &Path, _card: Option<&Path>) -> io::Result<()> {
        self.ask(&[RESET], &[])
    }
}

fn locked(socket: &Mutex<UnixStream>) -> MutexGuard<'_, UnixStream> {
    socket.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This process, before it has a second thread.
fn confine_broker() -> io::Result<()> {
    capabilities::keep_of_broker()?;
    filter::apply(Role::Broker).map_err(io::Error::other)
}

/// Serves one phone until it is gone.
fn serve(mut socket: UnixStream, paths: &ConfigPaths) -> io::Result<()> {
    let mut request = [0; 1];
    loop {
        match socket.read_exact(&mut request) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        let done = match request[0] {
            WRITE => {
                let mut index = [0; 1];
                socket.read_exact(&mut index)?;
                let bytes = read_bytes(&mut socket, MAX_BYTES)?;
                write(paths, index[0], &bytes)
            }
            RESET => reset(paths),
            // Whoever says something else is not the phone that was started.
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        let mut reason = done
            .err()
            .map_or_else(String::new, |error| error.to_string());
        let most = (0..=reason.len().min(MAX_REASON as usize)).rev();
        let end = most.into_iter().find(|end| reason.is_char_boundary(*end));
        reason.truncate(end.unwrap_or_default());
        socket.write_all(&(reason.len() as u32).to_be_bytes())?;
        socket.write_all(reason.as_bytes())?;
    }
}

fn write(paths: &ConfigPaths, index: u8, bytes: &[u8]) -> io::Result<()> {
    let name = NAMES
        .get(usize::from(index))
        .ok_or(io::ErrorKind::InvalidData)?;
    let card: PathBuf = paths.card.clone().ok_or(io::ErrorKind::NotFound)?;
    if *name == CONFIG_FILE {
        let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
        if !keypad::may_write(text) || !keypad::is_wanted(&card) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
    }
    Disk.write_card(&card, name, bytes)
}

fn reset(paths: &ConfigPaths) -> io::Result<()> {
    let state_dir = provision::state_dir(paths).map_err(io::Error::other)?;
    Disk.factory_reset(&state_dir, paths.card.as_deref())
}

pub(super) fn read_bytes(socket: &mut UnixStream, most: u32) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > most {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length as usize];
    socket.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use testkit::process::TestDir;

    use super::*;

    const SETTINGS: &str = "[phone]\ncountry = \"de\"\n[[account]]\nuser = \"101\"\n\
                            domain = \"10.0.0.2\"\npassword = \"4711\"\n";

    #[test]
    fn settings_are_written_once_and_only_what_keys_make() {
        let card = TestDir::new("broker");
        let paths = ConfigPaths {
            card: Some(card.to_path_buf()),
            ..ConfigPaths::default()
        };
        let index = NAMES.iter().position(|name| *name == CONFIG_FILE);
        let index = index.unwrap() as u8;
        let more = format!("{SETTINGS}[system]\nssh_keys = [\"ssh-ed25519 AAAA\"]\n");
        assert!(write(&paths, index, more.as_bytes()).is_err());
        assert!(!card.join(CONFIG_FILE).exists());
        write(&paths, index, SETTINGS.as_bytes()).unwrap();
        // Now they are somebody's.
        let other = SETTINGS.replace("10.0.0.2", "10.0.0.3");
        assert!(write(&paths, index, other.as_bytes()).is_err());
        let kept = std::fs::read_to_string(card.join(CONFIG_FILE)).unwrap();
        assert_eq!(kept, SETTINGS);
        assert!(write(&paths, NAMES.len() as u8, b"x").is_err());
    }
}
