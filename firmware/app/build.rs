//! Gives the program the time it was built (no clock of a phone that runs it can rightly say an
//! earlier one) and, in an image, the commit it is built from.
//!
//! ```text
//! SOURCE_DATE_EPOCH (Buildroot, Debian: reproducible builds) ─▶ else the commit's time ─▶ else now ─▶ OFFHOOK_BUILT, in seconds
//! ```

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rerun-if-changed=build.rs");
    let given = std::env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|text| text.trim().parse::<u64>().ok());
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| time.as_secs())
    };
    let built = given.or_else(commit_time).unwrap_or_else(now);
    println!("cargo::rustc-env=OFFHOOK_BUILT={built}");
    println!("cargo::rerun-if-env-changed=OFFHOOK_COMMIT");
    let commit = std::env::var("OFFHOOK_COMMIT").ok();
    let commit = commit.filter(|commit| commit.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    println!(
        "cargo::rustc-env=OFFHOOK_COMMIT={}",
        commit.unwrap_or_default()
    );
}

/// The time of the commit that is checked out: the same for everybody who builds it.
fn commit_time() -> Option<u64> {
    let output = Command::new("git")
        .args(["log", "-1", "--format=%ct"])
        .output()
        .ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
