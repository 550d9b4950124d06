//! Whose rights the phone has while it runs: not root's, but those of a user of its own, so that
//! what belongs to root is closed to it on a kernel without Landlock, too.
//!
//! ```text
//! /etc/passwd: offhook ─▶ User ─▶ own_entries: what a phone needs of root's   (state directory, sound, input)
//!                              └▶ become: this thread is that user
//! ```

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// The name in `/etc/passwd`.
const NAME: &str = "offhook";
/// In the state directory: written by root alone, read by the phone's group.
const CRASH: &str = "crash";
/// Deeper folders are not the phone's.
const MAX_DEPTH: u32 = 4;

/// The user and the group of the phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl User {
    /// The phone's own user, where the system has one and this process is root.
    pub(crate) fn find() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            return None;
        }
        let user = nix::unistd::User::from_name(NAME).ok()??;
        Some(Self {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
        })
    }

    /// Makes a folder that root wrote into the phone's. The folder stays root's, with the sticky
    /// bit: the phone makes, replaces and removes its own files there, and cannot put anything in
    /// the place of [`CRASH`].
    pub(crate) fn own_folder(self, folder: &Path) -> io::Result<()> {
        self.own_entries(folder, MAX_DEPTH)?;
        std::os::unix::fs::chown(folder, Some(0), Some(self.gid))?;
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o1770))
    }

    fn own_entries(self, folder: &Path, depth: u32) -> io::Result<()> {
        for entry in std::fs::read_dir(folder)?.flatten() {
            let path = entry.path();
            if depth == MAX_DEPTH && entry.file_name() == OsStr::new(CRASH) {
                continue;
            }
            // Opened without following a link, and judged by what was opened: the phone that ran
            // before may have left anything here.
            let Ok(file) = open_path(&path) else {
                continue;
            };
            let about = file.metadata()?;
            if about.is_dir() && depth > 0 {
                let opened = format!("/proc/self/fd/{}", file.as_raw_fd());
                self.own_entries(Path::new(&opened), depth - 1)?;
            } else if !about.is_file() || about.nlink() != 1 {
                continue;
            }
            self.own(&file)?;
        }
        Ok(())
    }

    fn own(self, file: &File) -> io::Result<()> {
        // SAFETY: the descriptor is open, the path is empty and ends with a zero.
        #[expect(unsafe_code, reason = "see SAFETY above")]
        let done = unsafe {
            libc::fchownat(
                file.as_raw_fd(),
                c"".as_ptr(),
                self.uid,
                self.gid,
                libc::AT_EMPTY_PATH,
            )
        };
        done_or_error(done)
    }

    /// A device that the phone's group may read and write.
    pub(crate) fn share_device(self, path: &Path) -> io::Result<()> {
        use std::os::unix::fs::FileTypeExt;
        if !std::fs::symlink_metadata(path)?
            .file_type()
            .is_char_device()
        {
            return Ok(());
        }
        std::os::unix::fs::lchown(path, Some(0), Some(self.gid))?;
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o660))
    }

    /// This thread, and all that it starts from now on, is that user. Capabilities stay what they
    /// were until [`super::capabilities`] sets them.
    pub(super) fn become_user(self) -> io::Result<()> {
        // The C library's own calls would change every thread of the process; a phone has one here.
        // SAFETY: prctl(2) and calls with numbers only; no group is passed.
        #[expect(unsafe_code, reason = "see SAFETY above")]
        let results = unsafe {
            [
                i64::from(libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0)),
                libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<u32>()),
                libc::syscall(libc::SYS_setresgid, self.gid, self.gid, self.gid),
                libc::syscall(libc::SYS_setresuid, self.uid, self.uid, self.uid),
            ]
        };
        if results.iter().all(|result| *result == 0) {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

fn open_path(path: &Path) -> io::Result<File> {
    std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_NOFOLLOW)
        .open(path)
}

fn done_or_error(done: i32) -> io::Result<()> {
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use testkit::process::TestDir;

    use super::*;

    #[test]
    fn root_gives_away_files_and_neither_links_nor_crash_logs() {
        if !nix::unistd::geteuid().is_root() {
            println!("SKIPPED: files of another user: only root gives files away");
            return;
        }
        let folder = TestDir::new("own");
        for part in ["state/crash", "state/tls", "elsewhere"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        let files = [
            "state/last-good.toml",
            "state/tls/key",
            "state/crash/1",
            "elsewhere/key",
        ];
        for file in files {
            fs::write(folder.join(file), "x").unwrap();
        }
        let elsewhere = folder.join("elsewhere/key");
        std::os::unix::fs::symlink(&elsewhere, folder.join("state/link")).unwrap();
        fs::write(folder.join("elsewhere/two"), "x").unwrap();
        fs::hard_link(folder.join("elsewhere/two"), folder.join("state/hard")).unwrap();
        let user = User {
            uid: 61_234,
            gid: 61_235,
        };
        user.own_folder(&folder.join("state")).unwrap();
        let owner = |file: &str| {
            let about = fs::symlink_metadata(folder.join(file)).unwrap();
            (about.uid(), about.gid(), about.mode() & 0o7777)
        };
        assert_eq!(owner("state"), (0, 61_235, 0o1770));
        for file in ["state/last-good.toml", "state/tls", "state/tls/key"] {
            assert_eq!((owner(file).0, owner(file).1), (61_234, 61_235), "{file}");
        }
        let others = [
            "state/crash",
            "state/crash/1",
            "elsewhere/key",
            "elsewhere/two",
        ];
        for file in others {
            assert_eq!(owner(file).0, 0, "{file}");
        }
    }
}
