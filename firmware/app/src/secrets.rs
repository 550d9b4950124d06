//! Keys and passwords at rest: readable by the phone only, and on request moved off the card, which
//! anyone can take out.
//!
//! ```text
//! card/offhook.toml ─▶ restore (state_dir/secrets.toml) ─▶ the text the phone runs by
//! security.move_secrets ─▶ move_off: secrets.toml first, then the card's file: whole, each of them, through a power cut
//!                        └▶ move_key: the file of tls.key into state_dir, then off the card; resolve finds it in either place
//! guard: files with secrets that others could read are closed, and that is reported
//! missing_files: what the configuration names and is not there, with its line and column
//! ```
//!
//! Moving does not erase: what a flash card once held can be read from its memory chips.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use board::files;
use config::secrets::{self, StoredSecrets};
use config::{Error, Errors};
use zeroize::Zeroizing;

use crate::storage::{AT_START, CONFIG_FILE, Files, LAST_GOOD, NETWORK, remove_from_card};

/// The file in the state directory.
pub(crate) const FILE: &str = "secrets.toml";
/// Longest such file.
const MAX_BYTES: u64 = 64 * 1024;
/// Longest file that a configuration may name.
const MAX_NAMED: u64 = 1024 * 1024;

/// What was moved here before.
fn kept(state_dir: &Path) -> StoredSecrets {
    let text = files::read_in_time(&state_dir.join(FILE), MAX_BYTES).map(Zeroizing::new);
    text.ok()
        .and_then(|text| Some(StoredSecrets::parse(std::str::from_utf8(&text).ok()?)))
        .unwrap_or_default()
}

/// The text with its secrets where they were.
pub(crate) fn restore(bytes: Vec<u8>, state_dir: &Path) -> Vec<u8> {
    let kept = kept(state_dir);
    match std::str::from_utf8(&bytes) {
        Ok(text) if !kept.is_empty() => secrets::restore(text, &kept).0.into_bytes(),
        Ok(_) | Err(_) => bytes,
    }
}

/// Moves the secrets of a good file into the state directory; whether there was anything to move.
/// At each step of it both files are whole, and together they hold everything: done again after a
/// power cut, it ends the same.
pub(crate) fn move_off(file: &Path, state_dir: &Path, disk: &dyn Files) -> io::Result<bool> {
    let text = files::read_in_time(file, config::MAX_BYTES as u64)?;
    let text = String::from_utf8(text).map_err(io::Error::other)?;
    let Some(moved) = secrets::move_out(&text, &kept(state_dir)) else {
        return Ok(false);
    };
    disk.write_atomic(&state_dir.join(FILE), moved.stored.text().0.as_bytes())?;
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or(CONFIG_FILE);
    disk.write_card(folder, name, moved.text.as_bytes())?;
    Ok(true)
}

/// Where a key that lay at this path is kept when it was moved off the card.
fn moved(path: &Path, state_dir: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    state_dir.join(format!("moved-{name}"))
}

/// Moves the private key `tls.key` names into the state directory; whether there was one to move.
/// Only what lies beside the configuration is moved: what the owner put elsewhere is no card's. It
/// is whole in its new place before it goes from the old one: a power cut between the two leaves it
/// in both, and the next start does it again.
pub(crate) fn move_key(
    tls: &mut config::schema::Tls,
    beside: &Path,
    state_dir: &Path,
    disk: &dyn Files,
) -> io::Result<bool> {
    let Some(key) = tls.key.clone() else {
        return Ok(false);
    };
    let Ok(name) = key.strip_prefix(beside) else {
        return Ok(false);
    };
    let there = moved(&key, state_dir);
    if key == there {
        return Ok(false);
    }
    let content = Zeroizing::new(files::read_in_time(&key, MAX_BYTES)?);
    disk.write_atomic(&there, &content)?;
    let folder = if beside.as_os_str().is_empty() {
        Path::new(".")
    } else {
        beside
    };
    let (folder, name) = (folder.to_owned(), name.to_string_lossy().into_owned());
    files::write_in_time(AT_START, move || remove_from_card(&folder, &name))?;
    // Certificate and key may lie in one file.
    if tls.certificate.as_ref() == Some(&key) {
        tls.certificate = Some(there.clone());
    }
    tls.key = Some(there);
    Ok(true)
}

/// Closes the files of secrets that others could read, and says which those were. What cannot be
/// closed is reported, too.
pub(crate) fn guard(state_dir: &Path, more: &[PathBuf]) -> Vec<String> {
    let own = [FILE, LAST_GOOD, NETWORK, crate::identity::FILE].map(|name| state_dir.join(name));
    own.iter()
        .chain(more)
        .filter_map(|path| close(path))
        .collect()
}

fn close(path: &Path) -> Option<String> {
    let about = fs::metadata(path).ok()?;
    let mode = about.permissions().mode();
    // The owner of our own process's folder is who we are.
    let me = fs::metadata("/proc/self").ok()?.uid();
    let shown = path.display();
    if about.uid() != me && me != 0 {
        return Some(format!(
            "{shown} holds secrets and belongs to user {}: give it to the phone's user",
            about.uid()
        ));
    }
    if is_closed(mode) {
        return None;
    }
    let closed = fs::set_permissions(path, Permissions::from_mode(0o600)).is_ok()
        && fs::metadata(path).is_ok_and(|about| is_closed(about.permissions().mode()));
    Some(if closed {
        format!(
            "{shown} holds secrets and could be read by others (mode {:o}): closed it",
            mode & 0o777
        )
    } else {
        format!(
            "{shown} holds secrets, others can read it, and its file system cannot close it: move \
             it into control.state_dir"
        )
    })
}

/// No one but the owner may do anything.
fn is_closed(mode: u32) -> bool {
    mode.trailing_zeros() >= 6
}

/// The files a configuration names that are not there or cannot be read, as errors with their
/// positions.
pub(crate) fn missing_files(
    bytes: &[u8],
    name: &str,
    beside: &Path,
    state_dir: &Path,
) -> Option<Errors> {
    let text = std::str::from_utf8(bytes).ok()?;
    let missing = secrets::files(text).into_iter().filter_map(|named| {
        let path = beside.join(&named.path);
        let lies = in_either(&named.key, path.clone(), state_dir);
        let problem = files::open_in_time(&lies, MAX_NAMED).err()?;
        Some(Error {
            file: name.to_owned(),
            line: named.line,
            column: named.column,
            what: format!("`{}`: {}: {problem}", named.key, path.display()),
            help: "put the file there, or correct the path".to_owned(),
        })
    });
    let missing: Vec<Error> = missing.collect();
    (!missing.is_empty()).then_some(Errors(missing))
}

/// A file of this key where it was put, or where it was moved to. One that was put there again
/// counts.
fn in_either(key: &str, path: PathBuf, state_dir: &Path) -> PathBuf {
    let there = moved(&path, state_dir);
    if matches!(key, "tls.certificate" | "tls.key") && !path.exists() && there.exists() {
        there
    } else {
        path
    }
}

/// Paths that are not absolute lie beside the file that names them, unless they were moved off the
/// card.
pub(crate) fn resolve(config: &mut config::Config, beside: &Path, state_dir: &Path) {
    let tls = &mut config.tls;
    for (key, path) in [
        ("tls.ca", &mut tls.ca),
        ("tls.certificate", &mut tls.certificate),
        ("tls.key", &mut tls.key),
    ] {
        if let Some(path) = path {
            *path = in_either(key, beside.join(&*path), state_dir);
        }
    }
    let eap = &mut config.link.eap;
    let named = [&mut eap.ca, &mut eap.certificate, &mut eap.key];
    for path in named.into_iter().flatten() {
        *path = beside.join(&*path);
    }
}

#[cfg(test)]
mod tests {
    use testkit::process::TestDir;

    use super::*;
    use crate::storage::Disk;

    const TEXT: &str = "[security]\nmove_secrets = true\n[[account]]\nuser = \"101\"\n\
                        domain = \"pbx\"\npassword = \"hunter2\"\n";

    /// A folder that goes with its test, the configuration on the card in it, and the state
    /// directory.
    fn folders(name: &str) -> (TestDir, PathBuf, PathBuf) {
        let folder = TestDir::new(&format!("secrets-{name}"));
        let (card, state) = (folder.join("card"), folder.join("state"));
        fs::create_dir_all(&card).unwrap();
        fs::create_dir_all(&state).unwrap();
        (folder, card.join("offhook.toml"), state)
    }

    fn password(file: &Path, state: &Path) -> String {
        let text = restore(fs::read(file).unwrap(), state);
        config::load_bytes(&text, "f").unwrap().accounts[0]
            .password
            .0
            .clone()
    }

    #[test]
    fn secrets_leave_the_card_once_and_the_phone_has_them() {
        let (_folder, file, state) = folders("move");
        fs::write(&file, TEXT).unwrap();
        assert!(move_off(&file, &state, &Disk).unwrap());
        let card = fs::read_to_string(&file).unwrap();
        assert!(
            !card.contains("hunter2") && card.contains("\"@moved\""),
            "{card}"
        );
        assert_eq!(
            fs::metadata(state.join(FILE)).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(password(&file, &state), "hunter2");
        assert!(!move_off(&file, &state, &Disk).unwrap(), "once is enough");
        assert_eq!(fs::read_to_string(&file).unwrap(), card);
        let beside: Vec<_> = fs::read_dir(file.parent().unwrap()).unwrap().collect();
        assert_eq!(beside.len(), 1, "nothing is left beside the file");
    }

    #[test]
    fn a_power_cut_between_the_two_writes_loses_nothing() {
        let (_folder, file, state) = folders("cut");
        fs::write(&file, TEXT).unwrap();
        // The card refuses the write, as if the power had gone: a folder stands where the new file
        // would be written.
        fs::create_dir(file.parent().unwrap().join("offhook.toml.new")).unwrap();
        assert!(move_off(&file, &state, &Disk).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), TEXT);
        assert_eq!(password(&file, &state), "hunter2");
        fs::remove_dir(file.parent().unwrap().join("offhook.toml.new")).unwrap();
        assert!(move_off(&file, &state, &Disk).unwrap());
        assert_eq!(password(&file, &state), "hunter2");
        // And where the secrets cannot be kept, the card keeps them.
        let (_folder, file, state) = folders("full");
        fs::write(&file, TEXT).unwrap();
        fs::create_dir(state.join("secrets.new")).unwrap();
        assert!(move_off(&file, &state, &Disk).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), TEXT);
    }

    #[test]
    fn the_key_file_leaves_the_card_and_is_found_where_it_went() {
        let (_folder, file, state) = folders("key");
        let card = file.parent().unwrap();
        let text = "[tls]\ncertificate = \"phone.pem\"\nkey = \"phone.key\"\n";
        let load = |text: &str| {
            let mut config = config::load(text, "f").unwrap();
            resolve(&mut config, card, &state);
            config.tls
        };
        let missing = |text: &str| {
            missing_files(text.as_bytes(), "f", card, &state).map(|errors| errors.to_string())
        };
        fs::write(card.join("phone.pem"), "certificate").unwrap();
        fs::write(card.join("phone.key"), "first").unwrap();
        let mut tls = load(text);
        assert!(move_key(&mut tls, card, &state, &Disk).unwrap());
        let there = state.join("moved-phone.key");
        assert_eq!(
            (tls.key.as_ref(), tls.certificate.as_ref()),
            (Some(&there), Some(&card.join("phone.pem")))
        );
        assert_eq!(
            fs::metadata(&there).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(
            !card.join("phone.key").exists() && card.join("phone.pem").exists(),
            "only the key is secret"
        );
        // The next start: the file still says where it was, and that is no error.
        let mut tls = load(text);
        assert_eq!((tls.key.as_ref(), missing(text)), (Some(&there), None));
        assert!(
            !move_key(&mut tls, card, &state, &Disk).unwrap(),
            "once is enough"
        );
        // A new key on the card takes the old one's place; so does one that a power cut left in
        // both.
        fs::write(card.join("phone.key"), "second").unwrap();
        let mut tls = load(text);
        assert_eq!(tls.key, Some(card.join("phone.key")));
        assert!(move_key(&mut tls, card, &state, &Disk).unwrap());
        assert_eq!(fs::read_to_string(&there).unwrap(), "second");
        // Where it cannot be kept it stays, and works from there.
        fs::create_dir(state.join("moved-third.new")).unwrap();
        fs::write(card.join("third.key"), "third").unwrap();
        let third = text.replace("phone.key", "third.key");
        assert!(move_key(&mut load(&third), card, &state, &Disk).is_err());
        assert_eq!(load(&third).key, Some(card.join("third.key")));
        // One file for both; and one that is nowhere.
        fs::write(card.join("both.pem"), "both").unwrap();
        let mut tls = load("[tls]\ncertificate = \"both.pem\"\nkey = \"both.pem\"\n");
        assert!(move_key(&mut tls, card, &state, &Disk).unwrap());
        assert_eq!(
            (&tls.certificate, &tls.key),
            (
                &Some(state.join("moved-both.pem")),
                &Some(state.join("moved-both.pem"))
            )
        );
        assert!(
            missing(&text.replace("phone.key", "none.key"))
                .unwrap()
                .contains("none.key")
        );
        // What lies elsewhere is no card's.
        let elsewhere = state.join("elsewhere.key");
        fs::write(&elsewhere, "elsewhere").unwrap();
        let mut tls = load(&format!(
            "[tls]\ncertificate = \"phone.pem\"\nkey = {elsewhere:?}\n"
        ));
        assert!(!move_key(&mut tls, card, &state, &Disk).unwrap() && elsewhere.exists());
    }

    #[test]
    fn open_files_are_closed_and_reported() {
        let (_folder, file, state) = folders("modes");
        let path = state.join(FILE);
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let warnings = guard(&state, std::slice::from_ref(&file));
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(
            warnings[0].contains("secrets.toml") && warnings[0].contains("644"),
            "{warnings:?}"
        );
        for path in [path, file] {
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        assert_eq!(guard(&state, &[]), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error_with_its_place() {
        let (_folder, file, state) = folders("missing");
        let beside = file.parent().unwrap();
        let text = "[tls]\nca = \"ca.pem\"\n";
        let errors = missing_files(text.as_bytes(), "offhook.toml", beside, &state)
            .unwrap()
            .to_string();
        assert!(
            errors.starts_with("offhook.toml:2:6: `tls.ca`: ")
                && errors.contains("; put the file there"),
            "{errors}"
        );
        fs::write(beside.join("ca.pem"), "").unwrap();
        assert_eq!(
            missing_files(text.as_bytes(), "offhook.toml", beside, &state),
            None
        );
        let mut config = config::load(text, "f").unwrap();
        resolve(&mut config, beside, &state);
        assert_eq!(config.tls.ca, Some(beside.join("ca.pem")));
    }
}
