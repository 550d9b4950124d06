//! Devices that are there and that this user may not open: membership of a group decides.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

/// Whether a device is there and this user may not open it.
pub(crate) fn is_locked_out(path: &Path) -> bool {
    File::open(path).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// Whether that holds for one in a folder, by the beginning of its name.
pub(crate) fn any_locked_out(folder: &Path, begins: &str) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let named = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(begins.as_bytes());
    let mut meant = entries.filter(|entry| named(&entry.file_name()));
    meant.any(|entry| is_locked_out(&entry.path()))
}

/// What to do: Debian's groups are those of every distribution for boards.
pub(crate) fn help(group: &str) -> String {
    format!(
        "this user has no right to open it; `sudo usermod -aG {group} $USER` gives it from the \
         next log-in on"
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use nix::unistd::{Uid, setfsuid};
    use testkit::process::TestDir;

    use super::*;

    #[test]
    fn a_device_of_others_differs_from_one_that_is_not_there() {
        let folder = TestDir::new("rights");
        let path = folder.join("controlC0");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o0)).unwrap();
        let seen = std::thread::scope(|scope| {
            let stranger = scope.spawn(|| {
                // Of this thread alone; for root it takes the right to open everything away.
                setfsuid(Uid::from_raw(65_534));
                (is_locked_out(&path), any_locked_out(&folder, "control"))
            });
            stranger.join().unwrap()
        });
        assert_eq!(seen, (true, true));
        assert!(!any_locked_out(&folder, "pcm"));
        assert!(!is_locked_out(&folder.join("controlC1")));
        assert!(!any_locked_out(&folder.join("none"), "control"));
    }
}
