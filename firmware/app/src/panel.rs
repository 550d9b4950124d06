//! wip
pub(crate) fn run(_c: config::Config, _n: Option<String>, _l: &std::path::Path) -> Result<std::process::ExitCode, String> {
    Err("wip".into())
}
