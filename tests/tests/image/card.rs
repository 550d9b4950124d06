//! The card in the test's hands: what a person does to its FAT partition on a computer, by mtools.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// One card: a copy of the built image.
pub(crate) struct Card {
    pub(crate) path: PathBuf,
}

/// Where `tests/image/build.sh` left the image and the bundles.
pub(crate) fn built(name: &str) -> PathBuf {
    let folder = std::env::var_os("OFFHOOK_IMAGE")
        .map_or_else(|| root().join("target/image"), PathBuf::from);
    let file = folder.join(name);
    assert!(
        file.exists(),
        "{} is missing: tests/image/build.sh {}",
        file.display(),
        folder.display()
    );
    file
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Byte at which partition `number` begins.
fn start_of(image: &Path, number: u32) -> u64 {
    let output = Command::new("sfdisk")
        .arg("-d")
        .arg(image)
        .output()
        .expect("sfdisk runs");
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = table
        .lines()
        .find(|line| {
            line.split(" : ")
                .next()
                .is_some_and(|device| device.ends_with(&format!("img{number}")))
        })
        .unwrap_or_else(|| panic!("no partition {number} in\n{table}"));
    let start = line
        .split("start=")
        .nth(1)
        .and_then(|rest| rest.split(',').next())
        .unwrap();
    start.trim().parse::<u64>().unwrap() * 512
}

impl Card {
    /// A fresh card in this folder.
    pub(crate) fn new(folder: &Path) -> Self {
        let path = folder.join("card.img");
        let done = Command::new("cp")
            .arg("--sparse=always")
            .arg(built("offhook.img"))
            .arg(&path)
            .status();
        assert!(done.expect("cp runs").success());
        Self { path }
    }

    fn mtools(&self, program: &str, arguments: &[&str], input: Option<&[u8]>) -> Output {
        use std::io::Write;
        let mut child = Command::new(program)
            .env("MTOOLS_SKIP_CHECK", "1")
            .arg("-i")
            .arg(format!(
                "{}@@{}",
                self.path.display(),
                start_of(&self.path, 1)
            ))
            .args(arguments)
            .stdin(if input.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        if let (Some(bytes), Some(mut to)) = (input, child.stdin.take()) {
            to.write_all(bytes).unwrap();
        }
        child.wait_with_output().unwrap()
    }

    /// Writes a file, as an editor on a computer would.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let done = self.mtools(
            "mcopy",
            &["-n", "-o", "-", &format!("::{name}")],
            Some(bytes),
        );
        assert!(
            done.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    /// Copies a file of this machine onto the card.
    pub(crate) fn drop_file(&self, from: &Path, name: &str) {
        let done = self.mtools(
            "mcopy",
            &[
                "-n",
                "-o",
                &from.display().to_string(),
                &format!("::{name}"),
            ],
            None,
        );
        assert!(
            done.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    /// Removes a file.
    pub(crate) fn remove(&self, name: &str) {
        let done = self.mtools("mdel", &[&format!("::{name}")], None);
        assert!(
            done.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    /// Reads a text file; `None` where there is none.
    pub(crate) fn read(&self, name: &str) -> Option<String> {
        let done = self.mtools("mtype", &[&format!("::{name}")], None);
        done.status
            .success()
            .then(|| String::from_utf8_lossy(&done.stdout).into_owned())
    }

    /// Reads any file; `None` where there is none.
    pub(crate) fn read_bytes(&self, name: &str) -> Option<Vec<u8>> {
        let done = self.mtools("mtype", &[&format!("::{name}")], None);
        done.status.success().then_some(done.stdout)
    }

    /// Names of the files on it.
    pub(crate) fn names(&self) -> Vec<String> {
        let done = self.mtools("mdir", &["-b", "::"], None);
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        text.lines()
            .map(|line| line.trim_start_matches("::/").to_owned())
            .collect()
    }

    /// Overwrites the first bytes of a partition.
    pub(crate) fn damage(&self, partition: u32, bytes: &[u8]) {
        use std::os::unix::fs::FileExt;
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(&self.path)
            .unwrap();
        file.write_all_at(bytes, start_of(&self.path, partition))
            .unwrap();
    }

    /// A copy of one partition, `to` the next one or the card's end.
    fn partition(&self, copy: &Path, number: u32, to: Option<u32>) {
        let from = start_of(&self.path, number) / (1 << 20);
        let to = to.map_or_else(
            || std::fs::metadata(&self.path).unwrap().len(),
            |next| start_of(&self.path, next),
        ) / (1 << 20);
        let done = Command::new("dd")
            .arg(format!("if={}", self.path.display()))
            .arg(format!("of={}", copy.display()))
            .args([
                "bs=1M",
                "conv=sparse",
                "status=none",
                &format!("skip={from}"),
                &format!("count={}", to - from),
            ])
            .status();
        assert!(done.unwrap().success());
    }

    /// A file of the data partition as the next start will find it, its journal played back; empty:
    /// there is none. Panics when the file system cannot be repaired without loss.
    pub(crate) fn data_file(&self, folder: &Path, name: &str) -> String {
        let copy = folder.join("p7.img");
        self.partition(&copy, 7, None);
        let checked = Command::new("/sbin/e2fsck")
            .arg("-p")
            .arg(&copy)
            .output()
            .expect("e2fsck runs");
        assert!(
            checked.status.code().is_some_and(|code| code <= 1),
            "the data partition is damaged: {}",
            String::from_utf8_lossy(&checked.stdout)
        );
        let read = Command::new("/sbin/debugfs")
            .args(["-R", &format!("cat {name}")])
            .arg(&copy)
            .output();
        std::fs::remove_file(&copy).ok();
        String::from_utf8_lossy(&read.expect("debugfs runs").stdout).into_owned()
    }

    /// What a checker of FAT finds wrong with p1; empty is good.
    pub(crate) fn check_fat(&self, folder: &Path) -> String {
        let copy = folder.join("p1.img");
        self.partition(&copy, 1, Some(2));
        let done = Command::new("/sbin/fsck.fat")
            .arg("-n")
            .arg(&copy)
            .output()
            .expect("fsck.fat runs");
        std::fs::remove_file(&copy).ok();
        if done.status.success() {
            String::new()
        } else {
            String::from_utf8_lossy(&done.stdout).into_owned()
        }
    }
}
