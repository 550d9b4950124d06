//! Where the test data lie.

use std::path::PathBuf;

/// The folder or file `name` among the test data; `None`, and a line that says so, where it is
/// absent.
pub(crate) fn find(test: &str, name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("OFFHOOK_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!(
        "SKIPPED: {test}: {name} is not in {} (set OFFHOOK_DATA)",
        root.display()
    );
    None
}

/// Every file under a folder, in order of their paths.
pub(crate) fn files(folder: &PathBuf) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Text with CRLF line ends, whatever it had.
pub(crate) fn crlf(text: &str) -> Vec<u8> {
    text.replace("\r\n", "\n")
        .replace('\n', "\r\n")
        .into_bytes()
}
