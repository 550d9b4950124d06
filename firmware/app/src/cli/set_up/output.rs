//! Where `offhook setup` writes its file.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::unistd::{AccessFlags, access};

use super::SetupFileError;

fn wrong(path: &Path, source: io::Error) -> SetupFileError {
    SetupFileError::Output {
        path: path.to_owned(),
        source,
    }
}

/// Whether a file can be written there: said before anything is asked, so that no answer is lost.
pub(super) fn check_place(path: &Path) -> Result<(), SetupFileError> {
    let place = if path.exists() {
        path
    } else {
        match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            Some(_) | None => Path::new("."),
        }
    };
    access(place, AccessFlags::W_OK).map_err(|errno| wrong(path, errno.into()))
}

/// Only its owner may read it: the password is in it.
pub(super) fn write(path: &Path, text: &str, force: bool) -> Result<(), SetupFileError> {
    let mut open = OpenOptions::new();
    open.write(true).mode(0o600).truncate(true);
    let file = if force {
        open.create(true).open(path)
    } else {
        open.create_new(true).open(path)
    };
    let written = file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|source| wrong(path, source))
}
