//! The state directory: private files, each replaced as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Replaces a file, completely or not at all, through power cuts: written beside, synced, renamed,
/// the folder synced. The file may hold passwords, so only its owner can read it (mode 0600).
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    if !folder.exists() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let beside = path.with_extension("new");
    let mut file = create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(folder)?.sync_all()
}

/// A new file (mode 0600). What lies there from a write that was cut short goes first, whatever it
/// is: a FIFO would hold the writer for ever.
pub(super) fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use testkit::process::TestDir;

    use super::*;

    #[test]
    fn a_fifo_left_beside_or_in_place_holds_no_writer() {
        let folder = TestDir::new("atomic");
        for name in ["last-good.new", "last-good.toml"] {
            let mode = nix::sys::stat::Mode::S_IRWXU;
            nix::unistd::mkfifo(&folder.join(name), mode).unwrap();
        }
        let path = folder.join("last-good.toml");
        write_atomic(&path, b"text").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"text");
        super::super::write_card(&folder, "last-good.toml", b"more").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"more");
    }
}
