//! Factory reset: the phone forgets every setting, password and history.
//!
//! ```text
//! file on the card, key at power-up, star code ─▶ factory_reset ─┬▶ state directory emptied, and written over where it held secrets
//!                                                                └▶ offhook.toml on the card becomes the empty example
//! ```
//!
//! The order makes a power cut harmless: what asked for the reset goes last, so that one cut short
//! begins again.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::{CONFIG_FILE, remove_from_card, write_card};

/// How often a folder is emptied into which others write.
const MOST_ROUNDS: usize = 1000;
/// Any of these on the card asks for it; Windows likes to add the ending.
const ASKED_BY: [&str; 2] = ["factory-reset", "factory-reset.txt"];

/// Whether the card asks for it.
pub(crate) fn is_asked(card: &Path) -> bool {
    ASKED_BY.iter().any(|name| card.join(name).exists())
}

/// Forgets everything. A board without a card keeps its configuration file, which somebody else
/// looks after.
pub(crate) fn factory_reset(state_dir: &Path, card: Option<&Path>) -> io::Result<()> {
    empty(state_dir)?;
    let Some(card) = card else { return Ok(()) };
    write_card(card, CONFIG_FILE, config::example().as_bytes())?;
    for name in ASKED_BY {
        if card.join(name).exists() {
            remove_from_card(card, name)?;
        }
    }
    Ok(())
}

/// Removes what is in a folder, but not the folder, which may be a mount point. Others write there,
/// too (the image copies crash logs, a file is replaced by a new one): what went meanwhile is gone,
/// and what came meanwhile goes as well.
fn empty(folder: &Path) -> io::Result<()> {
    for _ in 0..MOST_ROUNDS {
        match empty_once(folder) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            Err(error) => return Err(error),
            Ok(()) => {
                let is_empty =
                    fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
                // On disk only now: while a slow card writes that down, new files would come.
                if is_empty {
                    return or_gone(fs::File::open(folder).and_then(|folder| folder.sync_all()));
                }
            }
        }
    }
    Err(io::ErrorKind::DirectoryNotEmpty.into())
}

/// What is gone is as it should be.
fn or_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn empty_once(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        // No symbolic link is followed: only what lies here is ours.
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            empty_once(&entry.path())?;
            or_gone(fs::remove_dir(entry.path()))?;
        } else {
            if kind.is_file() {
                or_gone(overwrite(&entry.path()))?;
            }
            or_gone(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

/// Zeros over a file. On flash the old cells may live on; a reader of the file system finds
/// nothing.
fn overwrite(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let zeros = [0; 4096];
    let mut left = file.metadata()?.len();
    while left > 0 {
        let part = left.min(zeros.len() as u64);
        file.write_all(&zeros[..part as usize])?;
        left -= part;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use testkit::process::TestDir;

    use super::*;

    #[test]
    fn files_that_come_and_go_meanwhile_do_not_stop_it() {
        use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
        let folder = TestDir::new("busy");
        fs::create_dir_all(folder.join("crash")).unwrap();
        let (done, written) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // As a file is replaced, and as crash logs are copied. Wall clock: the other thread
                // is real; without pauses the folder would never be empty.
                for number in 0_u64.. {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    for name in ["last-good.toml", "crash/log"] {
                        let (new, file) = (folder.join(format!("{name}.new")), folder.join(name));
                        if fs::write(&new, "hunter2").is_ok() {
                            let _ = fs::rename(&new, &file);
                        }
                    }
                    written.store(number, Ordering::Relaxed);
                    std::thread::sleep(std::time::Duration::from_millis(1 + number % 4));
                }
            });
            while written.load(Ordering::Relaxed) < 300 {
                let _ = fs::create_dir_all(folder.join("crash"));
                let result = factory_reset(&folder, None);
                if result.is_err() {
                    done.store(true, Ordering::Relaxed);
                }
                let at = written.load(Ordering::Relaxed);
                result.unwrap_or_else(|error| panic!("after {at} files: {error}"));
            }
            done.store(true, Ordering::Relaxed);
        });
        factory_reset(&folder, None).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn nothing_is_left_and_nothing_else_is_touched() {
        let folder = TestDir::new("reset");
        let (state, card) = (folder.join("state"), folder.join("card"));
        fs::create_dir_all(state.join("crash")).unwrap();
        fs::create_dir_all(&card).unwrap();
        fs::write(state.join("last-good.toml"), "password = \"hunter2\"").unwrap();
        fs::write(state.join("crash/1"), "boom").unwrap();
        fs::write(folder.join("elsewhere"), "stays").unwrap();
        std::os::unix::fs::symlink(folder.join("elsewhere"), state.join("link")).unwrap();
        fs::write(card.join(CONFIG_FILE), "password = \"hunter2\"").unwrap();
        assert!(!is_asked(&card));
        fs::write(card.join("factory-reset.txt"), "").unwrap();
        assert!(is_asked(&card));

        factory_reset(&state, Some(&card)).unwrap();
        assert!(state.exists() && fs::read_dir(&state).unwrap().next().is_none());
        assert_eq!(
            fs::read_to_string(folder.join("elsewhere")).unwrap(),
            "stays"
        );
        assert_eq!(
            fs::read_to_string(card.join(CONFIG_FILE)).unwrap(),
            config::example()
        );
        assert!(!is_asked(&card));
        factory_reset(&folder.join("never-was"), None).unwrap();
    }
}
