//! Test data beside the repository: recordings, vectors and captures that are not ours to publish.

use std::path::{Path, PathBuf};

use crate::skip::skipped;

/// The directory of test data: `OFFHOOK_DATA`, or `shared/data` beside the repository.
pub fn directory() -> PathBuf {
    std::env::var_os("OFFHOOK_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    )
}

/// The file or directory `name` of the test data, if it is there.
pub fn path(name: &str) -> Option<PathBuf> {
    let path = directory().join(name);
    path.exists().then_some(path)
}

/// The file or directory `name` of the test data; where it is missing, reports `test` as skipped.
pub fn find(test: &str, name: &str) -> Option<PathBuf> {
    let found = path(name);
    if found.is_none() {
        let directory = directory();
        let why = format!(
            "{name} is not in {} (set OFFHOOK_DATA)",
            directory.display()
        );
        skipped(test, &why);
    }
    found
}

/// The content of a file of the test data; where it is missing, reports `test` as skipped.
pub fn read(test: &str, name: &str) -> Option<Vec<u8>> {
    let path = find(test, name)?;
    match std::fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

/// The content of a text file of the test data; where it is missing, reports `test` as skipped.
pub fn read_text(test: &str, name: &str) -> Option<String> {
    read(test, name).map(|bytes| String::from_utf8(bytes).unwrap())
}

/// Every file in and below a directory of the test data with its content, in the order of their
/// paths; where there are none, reports `test` as skipped.
pub fn read_all(test: &str, name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let Some(root) = find(test, name) else {
        return Vec::new();
    };
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).unwrap();
        (path, bytes)
    };
    files(&root).into_iter().map(read).collect()
}

/// Every file in and below a directory, in the order of their paths.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
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

/// The samples of a mono WAV file of the test data; where it is missing, reports `test` as skipped.
pub fn read_wav(test: &str, name: &str) -> Option<Vec<i16>> {
    let reader = hound::WavReader::open(find(test, name)?).unwrap();
    Some(reader.into_samples::<i16>().map(Result::unwrap).collect())
}

/// Text with CRLF line ends, whichever it had.
pub fn crlf(text: &str) -> Vec<u8> {
    text.replace("\r\n", "\n")
        .replace('\n', "\r\n")
        .into_bytes()
}
