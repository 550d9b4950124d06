//! One build for every part: the test programs of the whole workspace with the same features, so
//! that nothing is compiled twice.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::run::run;

/// The features every build of this workspace is made with: other features would build everything
/// again.
pub(crate) const FEATURES: &str = "offhook-tests/peers,offhook-tests/guest,offhook-tests/image";

/// A test program.
#[derive(Debug, Clone)]
pub(crate) struct Binary {
    /// Package and target, such as `offhook-tests::sim`.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// The directory cargo would run it in.
    pub(crate) directory: PathBuf,
}

#[derive(Deserialize)]
struct Artifact {
    manifest_path: PathBuf,
    target: Target,
    profile: Profile,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Builds the workspace with its tests, once, and returns the test programs; or what the compiler
/// said.
pub(crate) fn test_binaries() -> Result<&'static [Binary], &'static str> {
    static BUILT: OnceLock<Result<Vec<Binary>, String>> = OnceLock::new();
    BUILT.get_or_init(build).as_deref().map_err(String::as_str)
}

fn build() -> Result<Vec<Binary>, String> {
    let mut tests = Command::new("cargo");
    tests.args([
        "test",
        "--workspace",
        "--features",
        FEATURES,
        "--no-run",
        "--message-format=json-render-diagnostics",
    ]);
    let built = run(&mut tests);
    if !built.success {
        return Err(built.stderr);
    }
    Ok(built.stdout.lines().filter_map(binary).collect())
}

/// The test program in a line of cargo's messages, if it names one.
fn binary(line: &str) -> Option<Binary> {
    let artifact: Artifact = serde_json::from_str(line).ok()?;
    let path = artifact.executable.filter(|_| artifact.profile.test)?;
    let directory = artifact.manifest_path.parent()?.to_owned();
    let package = directory.file_name()?.to_str()?;
    let target = &artifact.target;
    let is_lib = target.kind.iter().any(|kind| kind.ends_with("lib"));
    let name = if is_lib {
        format!("{package}::lib")
    } else {
        format!("{package}::{}", target.name)
    };
    Some(Binary {
        name,
        path,
        directory,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_are_found_among_cargos_messages() {
        let lib = r#"{"reason":"compiler-artifact","manifest_path":"/w/firmware/sip/Cargo.toml",
            "target":{"kind":["lib"],"name":"sip"},"profile":{"test":true},
            "executable":"/w/target/debug/deps/sip-1"}"#;
        let found = binary(lib).unwrap();
        assert_eq!(found.name, "sip::lib");
        assert_eq!(found.directory, PathBuf::from("/w/firmware/sip"));
        assert!(binary(&lib.replace("\"test\":true", "\"test\":false")).is_none());
        assert!(binary(r#"{"reason":"build-finished","success":true}"#).is_none());
    }
}
