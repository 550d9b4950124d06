//! wip
pub(crate) fn run(_c: Option<std::path::PathBuf>, _k: Option<std::path::PathBuf>) -> Result<std::process::ExitCode, String> {
    Err("wip".into())
}
