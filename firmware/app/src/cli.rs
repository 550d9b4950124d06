//! The command line: arguments in, a command or one clear error out.
//!
//! ```text
//! arguments ─▶ args::parse ─▶ Command ─▶ setup + driver (run) │ provision │ check, fingerprint │ ctl client │ tools (sim, echo, graph, demo)
//! ```
//!
//! Exit codes: 0 done, 1 failed, 2 the command line is wrong; of `run` also those of
//! [`crate::appliance::Ending`].

mod args;
mod check;
mod help;
mod set_up;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::confine::broker::Broker;
use crate::ctl::client::{Client, ClientError};
use crate::net::tls::OwnCertificateError;
use crate::output::print;
use crate::provision::{ConfigPaths, ProvisionError};
use crate::setup_error::SetupError;
use args::Command;

/// Exit code of `fetch`: there is nothing new.
const NOTHING_NEW: u8 = 3;
/// Exit code of `ctl idle`: somebody is on the phone.
const IN_USE: u8 = 3;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Setup(Box<SetupError>),
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    #[error(transparent)]
    Certificate(#[from] OwnCertificateError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{path}: {source}; name a file that can be read")]
    Read { path: PathBuf, source: io::Error },
    #[error(transparent)]
    SetUp(#[from] set_up::SetupFileError),
    #[error(transparent)]
    Try(#[from] crate::account_check::SystemError),
    #[error(transparent)]
    Update(#[from] crate::update::UpdateError),
    #[error("the board is not restarted: {0}")]
    Reboot(io::Error),
    #[cfg(feature = "tools")]
    #[error(transparent)]
    Panel(#[from] crate::panel::PanelError),
    #[cfg(feature = "tools")]
    #[error(transparent)]
    Demo(#[from] crate::demo::DemoError),
}

impl From<SetupError> for CommandError {
    fn from(error: SetupError) -> Self {
        Self::Setup(Box::new(error))
    }
}

/// Runs what the arguments (without the program's own name) ask for.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let command = match args::parse(arguments) {
        Ok(command) => command,
        Err(error) => {
            print_error(&error);
            return ExitCode::from(2);
        }
    };
    execute(command).unwrap_or_else(|error| {
        print_error(&error);
        ExitCode::FAILURE
    })
}

fn print_error(error: &dyn std::error::Error) {
    let _ = writeln!(io::stderr().lock(), "offhook: {error}");
}

fn execute(command: Command) -> Result<ExitCode, CommandError> {
    match command {
        Command::Help(about) => print(&help::text(about)),
        Command::Version => print(&format!("offhook {}", version())),
        Command::Run { paths, confine } => {
            let broker = confine.then(|| Broker::start(&paths)).transpose();
            let broker = broker.unwrap_or_else(|error| {
                // Less safe, but a phone.
                let text = format!("offhook: not confined: no writer of the card: {error}");
                let _ = writeln!(io::stderr(), "{text}");
                None
            });
            return Ok(ExitCode::from(crate::setup::run(&paths, broker)?.code()));
        }
        Command::SelfTest { paths, wiring } => {
            return Ok(exit_code(crate::setup::selftest(&paths, wiring)?));
        }
        Command::Fetch {
            paths,
            max_bytes,
            url,
            file,
        } => {
            if !crate::provision::download(&paths, max_bytes, &url, &file)? {
                return Ok(ExitCode::from(NOTHING_NEW));
            }
        }
        Command::Provision { paths, emit } => crate::provision::provision(&paths, &emit)?,
        Command::Check { file, options } => {
            return Ok(exit_code(check::check(&file, &options)?));
        }
        Command::SetUp(options) => return Ok(exit_code(set_up::set_up(&options)?)),
        Command::Fingerprint(paths) => print(&fingerprint(&paths)?),
        Command::Ctl {
            socket,
            verb: "idle",
            ..
        } => {
            if !Client::connect(&socket_path(socket))?.is_idle()? {
                return Ok(ExitCode::from(IN_USE));
            }
        }
        Command::Ctl {
            socket,
            verb,
            request,
        } => ctl(socket, verb, &request)?,
        Command::Report { socket, call, svg } => {
            let mut client = Client::connect(&socket_path(socket))?;
            print(&crate::report::draw(&mut client, call, svg)?);
        }
        Command::UpdateAgent(options) => crate::update::run(&options)?,
        Command::Reboot { once } => return Err(CommandError::Reboot(crate::reboot::reboot(once))),
        #[cfg(feature = "tools")]
        Command::Sim { config, headless } => crate::setup::tools::sim(config, headless)?,
        #[cfg(feature = "tools")]
        Command::Echo(options) => crate::setup::tools::echo(&options)?,
        #[cfg(feature = "tools")]
        Command::Graph { socket, svg } => {
            let mut client = Client::connect(&socket_path(socket))?;
            print(&crate::graph::draw(&mut client, svg)?);
        }
        #[cfg(feature = "tools")]
        Command::Demo { speech, keep } => return Ok(crate::demo::run(speech.as_deref(), keep)?),
    }
    Ok(ExitCode::SUCCESS)
}

/// The version, and the commit where the build was given one.
fn version() -> String {
    let (version, commit) = (env!("CARGO_PKG_VERSION"), env!("OFFHOOK_COMMIT"));
    if commit.is_empty() {
        version.to_owned()
    } else {
        format!("{version} ({commit})")
    }
}

fn exit_code(passed: bool) -> ExitCode {
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The fingerprint that other phones pin.
fn fingerprint(paths: &ConfigPaths) -> Result<String, CommandError> {
    let config = crate::provision::load(paths, false)?.config;
    Ok(crate::net::tls::own_fingerprint(&config)?)
}

fn socket_path(given: Option<PathBuf>) -> PathBuf {
    given.unwrap_or_else(|| config::Config::default().control.socket)
}

fn ctl(
    socket: Option<PathBuf>,
    verb: &str,
    request: &serde_json::Value,
) -> Result<(), ClientError> {
    let mut client = Client::connect(&socket_path(socket))?;
    if verb == "events" {
        client.send(request)?;
        while let Some(line) = client.line()? {
            print(&line);
        }
        return Ok(());
    }
    let reply = client.ask(request)?;
    match reply["csv"].as_str() {
        // A table as it is, for a file.
        Some(table) => print(table.trim_end()),
        None => print(&reply.to_string()),
    }
    if verb == "quit" {
        // The phone closes the connection when it is gone.
        while matches!(client.line(), Ok(Some(_))) {}
    }
    Ok(())
}
