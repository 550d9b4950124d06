//! `offhook check`: is a configuration right, and with `--try`: does what it says work?

use std::io::{self, Write};
use std::path::Path;

use config::{Config, Errors};
use serde_json::json;

use super::CommandError;
use crate::account_check::{self, Finding, Mark, Scope};
use crate::output::print;

/// The flags.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Options {
    /// What the file says is tried, too.
    pub(crate) try_it: bool,
    /// One object instead of lines.
    pub(crate) json: bool,
    /// The STUN server that says what the internet sees of this machine.
    pub(crate) stun: Option<String>,
}

/// Prints every error of a configuration, and what a try came to; whether all is well.
pub(super) fn check(file: &Path, options: &Options) -> Result<bool, CommandError> {
    let json = options.json;
    let name = file.display().to_string();
    let config = match read(file, &name, json)? {
        Ok(config) => config,
        Err(errors) => {
            if json {
                print(&json!({"errors": error_list(&errors), "findings": []}).to_string());
            } else {
                // One a line, as compilers write them.
                let _ = writeln!(io::stderr().lock(), "{errors}");
            }
            return Ok(false);
        }
    };
    if !options.try_it {
        if json {
            print(&json!({"errors": [], "findings": []}).to_string());
        } else {
            print(&format!("{name}: no errors"));
        }
        return Ok(true);
    }
    let mut findings = Vec::new();
    let scope = Scope::all(&config, options.stun.as_deref());
    account_check::run(&config, scope, &mut |finding: Finding| {
        if !json {
            print(&finding.to_string());
        }
        findings.push(finding);
    })?;
    if json {
        print(&json!({"errors": [], "findings": findings}).to_string());
    }
    Ok(findings.iter().all(|finding| finding.mark != Mark::Fault))
}

/// The configuration, or its errors; warnings are printed.
fn read(file: &Path, name: &str, json: bool) -> Result<Result<Config, Errors>, CommandError> {
    let most = config::MAX_BYTES as u64;
    let bytes = board::files::read(file, most).map_err(|source| CommandError::Read {
        path: file.to_owned(),
        source,
    })?;
    // On a phone, what was moved off the card is known; elsewhere its absence is an error like any
    // other.
    let state_dir = config::store::state_dir(&bytes);
    let bytes = crate::secrets::restore(bytes, &state_dir);
    let beside = file.parent().unwrap_or(Path::new("."));
    if !json {
        for warning in config::warnings(&bytes, name) {
            let _ = writeln!(io::stderr().lock(), "{warning}");
        }
    }
    let mut config = match config::load_bytes(&bytes, name) {
        Ok(config) => config,
        Err(errors) => return Ok(Err(errors)),
    };
    if let Some(missing) = crate::secrets::missing_files(&bytes, name, beside, &state_dir) {
        return Ok(Err(missing));
    }
    crate::secrets::resolve(&mut config, beside, &state_dir);
    config.control.state_dir = state_dir;
    Ok(Ok(config))
}

fn error_list(errors: &Errors) -> Vec<serde_json::Value> {
    let object = |error: &config::Error| {
        json!({
            "file": error.file, "line": error.line, "column": error.column,
            "text": error.what, "help": error.help,
        })
    };
    errors.0.iter().map(object).collect()
}
