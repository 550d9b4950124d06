//! What the privileged process does besides writing the card: it writes three small files of the
//! run directory, and lets the phone open devices. On a thread of its own, so that a card that
//! hangs delays none of it.
//!
//! ```text
//! phone: run directory, once ─┐                          ┌─▶ three small files in the run directory, which is root's
//!        Files::write_atomic ─┴─ socket pair ─▶ serve ───┤
//! /dev/snd, /dev/input: inotify ─────────────────────────┴─▶ devices that are plugged in later: readable by the phone's group
//! ```
//!
//! The image's scripts, which are root's, trust what lies in the run directory; a phone that was
//! taken over must not write there.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::user::User;
use crate::provision::pace;
use crate::run_dir::{SELF_TEST, SLOT_GOOD};

/// The files that a phone may have written into the run directory.
const NAMES: [&str; 3] = [SLOT_GOOD, SELF_TEST, pace::FILE];
/// Most bytes of one of them, and of the run directory's name.
const MAX_BYTES: u32 = 4096;
/// The first byte of a request: the first request of a phone names the run directory, all others
/// write a file of [`NAMES`], whose index is the second byte.
const RUN_DIR: u8 = b'D';
const MARK: u8 = b'M';
/// Where devices appear that are plugged in while the phone runs.
const FOLDERS: [&str; 2] = ["/dev/snd", "/dev/input"];
/// Devices that are there from the start; a phone that restarts opens them again.
const WATCHDOGS: [&str; 2] = ["/dev/watchdog", "/dev/watchdog0"];

/// Names the run directory. Only the first such request is accepted.
pub(super) fn name_run_dir(socket: &mut UnixStream, run_dir: &Path) -> io::Result<()> {
    ask(socket, RUN_DIR, 0, run_dir.as_os_str().as_encoded_bytes())
}

/// Has a file of the run directory written.
pub(super) fn write(socket: &mut UnixStream, name: &str, bytes: &[u8]) -> io::Result<()> {
    let index = NAMES.iter().position(|known| *known == name);
    let index = index.ok_or_else(|| io::Error::other(format!("{name} is not written")))?;
    ask(socket, MARK, index as u8, bytes)
}

fn ask(socket: &mut UnixStream, request: u8, index: u8, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    socket.write_all(&[request, index])?;
    socket.write_all(&length.to_be_bytes())?;
    socket.write_all(bytes)?;
    let mut errno = [0; 4];
    socket.read_exact(&mut errno)?;
    match i32::from_be_bytes(errno) {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// Serves one phone until it is gone, and shares devices with its user meanwhile.
pub(super) fn serve(mut socket: UnixStream, user: Option<User>) -> io::Result<()> {
    let hotplug = user.and_then(|user| Some((user, watch()?)));
    if let Some(user) = user {
        share(user);
    }
    let mut run_dir = None;
    loop {
        let mut ready = vec![PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        if let Some((_, inotify)) = &hotplug {
            ready.push(PollFd::new(inotify.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut ready, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => continue,
            polled => polled?,
        };
        let asked = ready[0].any().unwrap_or(true);
        let plugged = ready.get(1).is_some_and(|fd| fd.any().unwrap_or(true));
        if let Some((user, inotify)) = &hotplug
            && plugged
        {
            // Which device it is does not matter: `share` looks at all of them.
            let _ = inotify.read_events();
            share(*user);
        }
        if asked && !answer(&mut socket, &mut run_dir)? {
            return Ok(());
        }
    }
}

fn watch() -> Option<Inotify> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok()?;
    for folder in FOLDERS {
        // A folder that is not there has no devices.
        let _ = inotify.add_watch(folder, AddWatchFlags::IN_CREATE | AddWatchFlags::IN_ATTRIB);
    }
    Some(inotify)
}

/// Sound cards, keypads and the watchdog, for the phone's group.
fn share(user: User) {
    let devices = FOLDERS.into_iter().filter_map(|folder| {
        let entries = std::fs::read_dir(folder).ok()?.flatten();
        Some(entries.map(|entry| entry.path()).collect::<Vec<_>>())
    });
    let watchdogs = WATCHDOGS.map(PathBuf::from);
    for device in devices.flatten().chain(watchdogs) {
        // It may be gone again.
        let _ = user.share_device(&device);
    }
}

/// One request; false: the phone is gone.
fn answer(socket: &mut UnixStream, run_dir: &mut Option<PathBuf>) -> io::Result<bool> {
    let mut request = [0; 2];
    match socket.read_exact(&mut request) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        read => read?,
    }
    let bytes = super::broker::read_bytes(socket, MAX_BYTES)?;
    let done = match (request[0], &run_dir) {
        (RUN_DIR, None) => {
            use std::os::unix::ffi::OsStringExt;
            *run_dir = Some(PathBuf::from(std::ffi::OsString::from_vec(bytes)));
            Ok(())
        }
        (MARK, Some(run_dir)) => match NAMES.get(usize::from(request[1])) {
            Some(name) => replace(&run_dir.join(name), &bytes),
            None => return Err(io::ErrorKind::InvalidData.into()),
        },
        // The phone sends nothing else: whoever speaks has taken it over.
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    let errno = done.map_or_else(|error| error.raw_os_error().unwrap_or(libc::EIO), |()| 0);
    socket.write_all(&errno.to_be_bytes())?;
    Ok(true)
}

/// Readable by the phone, which is no longer root.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    crate::storage::write_atomic(path, bytes)?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o644))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use testkit::process::TestDir;

    use super::*;

    #[test]
    fn three_files_are_written_into_the_first_folder_named() {
        let folder = TestDir::new("marks");
        for part in ["run", "other"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let serving = std::thread::spawn(|| serve(theirs, None));
        name_run_dir(&mut ours, &folder.join("run")).unwrap();
        write(&mut ours, SLOT_GOOD, b"").unwrap();
        write(&mut ours, pace::FILE, b"text").unwrap();
        assert_eq!(fs::read(folder.join("run/slot-good")).unwrap(), b"");
        assert_eq!(
            fs::read(folder.join("run").join(pace::FILE)).unwrap(),
            b"text"
        );
        let image = write(&mut ours, "image", b"slot: b");
        assert!(image.is_err(), "the image's own file");
        // A phone that was taken over names another folder: no one listens to it any more.
        assert!(name_run_dir(&mut ours, &folder.join("other")).is_err());
        assert!(serving.join().unwrap().is_err());
        assert!(write(&mut ours, SELF_TEST, b"").is_err());
        assert_eq!(fs::read_dir(folder.join("other")).unwrap().count(), 0);
    }

    #[test]
    fn a_device_is_shared_and_nothing_else() {
        if !nix::unistd::geteuid().is_root() {
            println!("SKIPPED: a device of another user: only root shares devices");
            return;
        }
        let folder = TestDir::new("share");
        fs::write(folder.join("file"), "x").unwrap();
        fs::set_permissions(folder.join("file"), PermissionsExt::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink("/dev/null", folder.join("link")).unwrap();
        let user = User {
            uid: 61_234,
            gid: 61_235,
        };
        for name in ["file", "link"] {
            user.share_device(&folder.join(name)).unwrap();
            let about = fs::symlink_metadata(folder.join(name)).unwrap();
            assert_eq!(about.gid(), 0, "{name}");
        }
        assert_eq!(fs::metadata("/dev/null").unwrap().gid(), 0);
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
        let null = nix::sys::stat::makedev(1, 3);
        let device = folder.join("device");
        if nix::sys::stat::mknod(&device, nix::sys::stat::SFlag::S_IFCHR, mode, null).is_ok() {
            user.share_device(&device).unwrap();
            let about = fs::metadata(&device).unwrap();
            assert_eq!((about.gid(), about.mode() & 0o777), (61_235, 0o660));
        }
    }
}
