//! The card's FAT partition. The image mounts it read-only; it is writable only while a file is
//! replaced.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MsFlags, mount};
use nix::sys::statvfs::{FsFlags, statvfs};

/// How the image mounts the card, writable or not.
const CARD_FLAGS: MsFlags = MsFlags::MS_NOATIME
    .union(MsFlags::MS_NOSUID)
    .union(MsFlags::MS_NODEV)
    .union(MsFlags::MS_NOEXEC);
/// One writer at a time: the image's own scripts write the slot choice to the same partition.
const CARD_LOCK: &str = "/run/offhook/card.lock";

/// Replaces a file on the card, completely or not at all.
pub(crate) fn write_card(card: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    with_writable(card, || {
        let beside = card.join(format!("{name}.new"));
        let mut file = super::state_dir::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, card.join(name))?;
        File::open(card)?.sync_all()
    })
}

/// Removes a file from the card.
pub(crate) fn remove_from_card(card: &Path, name: &str) -> io::Result<()> {
    with_writable(card, || fs::remove_file(card.join(name)))
}

fn with_writable<T>(card: &Path, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    // Without that folder there is no image around us that could write at the same time.
    let _lock = match File::create(CARD_LOCK) {
        Ok(file) => Some(Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error)?),
        Err(_) => None,
    };
    let read_only = statvfs(card)?.flags().contains(FsFlags::ST_RDONLY);
    let remount = |flags: MsFlags| {
        mount(
            None::<&str>,
            card,
            None::<&str>,
            MsFlags::MS_REMOUNT | flags,
            None::<&str>,
        )
    };
    if read_only {
        remount(CARD_FLAGS)?;
    }
    let done = work();
    if read_only {
        remount(MsFlags::MS_RDONLY | CARD_FLAGS)?;
    }
    done
}

#[cfg(test)]
mod tests {
    use testkit::process::TestDir;

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let card = TestDir::new("card");
        write_card(&card, "status.txt", b"one").unwrap();
        write_card(&card, "status.txt", b"two").unwrap();
        assert_eq!(fs::read(card.join("status.txt")).unwrap(), b"two");
        assert!(!card.join("status.txt.new").exists());
        remove_from_card(&card, "status.txt").unwrap();
        assert!(!card.join("status.txt").exists());
    }
}
