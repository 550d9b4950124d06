//! The command line: words in, a command or one clear error out.
//!
//! ```text
//! arguments ─▶ words ─▶ Command ─▶ setup + driver (run, sim, echo) │ provision │ check, fingerprint │ ctl client (ctl, graph) │ tryout
//! ```
//!
//! Exit codes: 0 done, 1 it did not work, 2 the command line is wrong; of `run` also those of
//! [`crate::appliance::Ending`].

mod help;
mod words;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use crate::ctl::client::Client;
use crate::say::say;
use words::Command;

/// Runs what the arguments (without the program's own name) ask for.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let command = match words::parse(arguments) {
        Ok(command) => command,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::from(2);
        }
    };
    match obey(command) {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn obey(command: Command) -> Result<ExitCode, String> {
    match command {
        Command::Help(about) => say(&help::text(about)),
        Command::Version => say(&format!("offhook {}", env!("CARGO_PKG_VERSION"))),
        Command::Run { places } => {
            return crate::setup::run(&places).map(|ending| ExitCode::from(ending.code()));
        }
        Command::SelfTest { places } => {
            let well = crate::setup::selftest(&places)?;
            return Ok(if well {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
        Command::Fetch {
            places,
            most,
            url,
            file,
        } => {
            let new = crate::provision::fetch(&places, most, &url, &file)?;
            return Ok(if new {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(3)
            });
        }
        Command::Provision { places, emit } => crate::provision::provision(&places, &emit)?,
        Command::Sim { config, headless } => return crate::setup::sim(config, headless),
        Command::Echo(options) => crate::setup::echo(&options)?,
        Command::Check(file) => return check(&file),
        Command::Fingerprint(places) => say(&fingerprint(&places)?),
        Command::Ctl { socket, request } => ctl(socket, &request)?,
        Command::Graph { socket, svg } => {
            let mut client =
                Client::connect(&socket_path(socket)).map_err(|error| error.to_string())?;
            say(&crate::graph::draw(&mut client, svg).map_err(|error| error.to_string())?);
        }
        Command::Reboot { once } => {
            return Err(format!(
                "the board is not restarted: {}",
                crate::reboot::reboot(once)
            ));
        }
        Command::Tryout { speech, keep } => return crate::tryout::run(speech.as_deref(), keep),
    }
    Ok(ExitCode::SUCCESS)
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "offhook: {text}");
}

fn check(file: &PathBuf) -> Result<ExitCode, String> {
    let name = file.display().to_string();
    let bytes = std::fs::read(file)
        .map_err(|error| format!("{name}: {error}; name a file that can be read"))?;
    // On a phone, what was moved off the card is known; elsewhere its absence is an error like any
    // other.
    let state_dir = crate::provision::state_dir_of(file);
    let bytes = crate::secrets::restore(bytes, &state_dir);
    match config::load_bytes(&bytes, &name) {
        Ok(_) => {
            for warning in config::warnings(&bytes, &name) {
                let _ = writeln!(std::io::stderr().lock(), "{warning}");
            }
            let beside = file.parent().unwrap_or(Path::new("."));
            if let Some(missing) = crate::secrets::missing_files(&bytes, &name, beside, &state_dir)
            {
                let _ = writeln!(std::io::stderr().lock(), "{missing}");
                return Ok(ExitCode::FAILURE);
            }
            say(&format!("{name}: no errors"));
            Ok(ExitCode::SUCCESS)
        }
        Err(errors) => {
            // The errors are what was asked for: one a line, as compilers write them.
            let _ = writeln!(std::io::stderr().lock(), "{errors}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// What other phones pin.
fn fingerprint(places: &crate::provision::Places) -> Result<String, String> {
    let config = crate::provision::load(places, false)?.config;
    crate::net::tls::own_fingerprint(&config)
}

fn socket_path(given: Option<PathBuf>) -> PathBuf {
    given.unwrap_or_else(|| config::Config::default().control.socket)
}

fn ctl(socket: Option<PathBuf>, request: &words::CtlRequest) -> Result<(), String> {
    let mut client = Client::connect(&socket_path(socket)).map_err(|error| error.to_string())?;
    let asked = match request {
        words::CtlRequest::Plain(verb) => json!({"cmd": verb}),
        words::CtlRequest::Press(keys) => json!({"cmd": "press", "keys": keys}),
        words::CtlRequest::Rotary(digits) => json!({"cmd": "rotary", "digits": digits}),
        words::CtlRequest::Verify(call) => json!({"cmd": "verify", "call": call}),
        words::CtlRequest::Bundle(file) => json!({"cmd": "bundle", "file": file}),
    };
    match request {
        words::CtlRequest::Plain("events") => {
            client.tell(&asked).map_err(|error| error.to_string())?;
            while let Some(line) = client.line().map_err(|error| error.to_string())? {
                say(&line);
            }
        }
        words::CtlRequest::Plain("quit") => {
            say(&client
                .ask(&asked)
                .map_err(|error| error.to_string())?
                .to_string());
            // The phone closes the connection when it is gone.
            while matches!(client.line(), Ok(Some(_))) {}
        }
        words::CtlRequest::Plain(_)
        | words::CtlRequest::Press(_)
        | words::CtlRequest::Rotary(_)
        | words::CtlRequest::Verify(_)
        | words::CtlRequest::Bundle(_) => {
            say(&client
                .ask(&asked)
                .map_err(|error| error.to_string())?
                .to_string());
        }
    }
    Ok(())
}
