//! `offhook check`: is a configuration right, and with `--try`: does what it says work?

use std::io::{self, Write};
use std::path::Path;

use board::Profile;
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
    if let Some(fault) = wiring_fault(&config, &text_of(file)) {
        print_fault(&fault, &name, json);
        return Ok(false);
    }
    let folder = file.parent().unwrap_or(Path::new("."));
    if let Some(fault) = ring_fault(&config, folder, &text_of(file)) {
        print_fault(&fault, &name, json);
        return Ok(false);
    }
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

/// Prints what is wrong beyond the text itself.
fn print_fault(fault: &Fault, name: &str, json: bool) {
    let Fault { line, what, help } = fault;
    if json {
        let error = json!({"file": name, "line": line, "column": 1, "text": what, "help": help});
        print(&json!({"errors": [error], "findings": []}).to_string());
    } else {
        let _ = writeln!(io::stderr().lock(), "{name}:{line}:1: {what}; {help}");
    }
}

/// The first file to ring with that cannot be used.
fn ring_fault(config: &Config, folder: &Path, text: &str) -> Option<Fault> {
    /// Any card's: only whether they can be decoded is asked.
    const RATE_HZ: u32 = 16_000;
    crate::driver::ring_files::names(config)
        .into_iter()
        .find_map(|name| {
            let error = crate::driver::ring_files::load(&folder.join(&name), RATE_HZ).err()?;
            let line = text.lines().position(|line| line.contains(&name));
            Some(Fault {
                line: line.map_or(1, |index| index + 1),
                what: format!("the ring sound {name} cannot be played: {error}"),
                help: "the phone's own bell rings in its place".to_owned(),
            })
        })
}

/// What is wrong with what the text names, and where it is said.
struct Fault {
    line: usize,
    what: String,
    help: String,
}

/// Looks whether what the owner says of the hardware fits the board's profile.
fn wiring_fault(config: &Config, text: &str) -> Option<Fault> {
    let overrides = crate::hardware::overrides(config);
    let (dir, board) = (&config.board.profile_dir, &config.board.profile);
    if overrides.is_empty() {
        return None;
    }
    if Profile::load(dir, board).is_err() {
        let note = format!(
            "the profile of the board `{board}` is not in {}: what is said under [hardware] is \
             not compared with it",
            dir.display()
        );
        let _ = writeln!(io::stderr().lock(), "{note}");
        return None;
    }
    let error = Profile::load_over(dir, board, &overrides).err()?;
    if board == "sim" {
        let note = "[board] profile names no board with lines: what is said under [hardware] is \
                    not compared with one";
        let _ = writeln!(io::stderr().lock(), "{note}");
        return None;
    }
    let key = error.problem.split('`').nth(1).unwrap_or("");
    Some(Fault {
        line: line_of(text, error.at.trim(), key),
        what: format!("{} {}", error.at.trim(), error.problem),
        help: error.help,
    })
}

/// The line of a key below a section's header, or the header's; the first line where it is written
/// in another way.
fn line_of(text: &str, header: &str, key: &str) -> usize {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let Some(start) = lines.iter().position(|line| line.starts_with(header)) else {
        return 1;
    };
    let section = lines[start + 1..]
        .iter()
        .take_while(|line| !line.starts_with('['));
    let is_key = |line: &&str| {
        let rest = line.strip_prefix(key);
        rest.is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let found = section.clone().position(is_key);
    found.map_or(start + 1, |at| start + 2 + at)
}

fn text_of(file: &Path) -> String {
    let bytes = board::files::read(file, config::MAX_BYTES as u64).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
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
