//! The arguments of the command line, read by `lexopt` after a table of what each command takes.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use lexopt::{Arg, Parser, ValueExt};
use serde_json::{Value, json};

use super::help::{self, Page};
use crate::provision::ConfigPaths;
#[cfg(feature = "tools")]
use crate::setup::tools::EchoOptions;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Help(Option<&'static str>),
    Version,
    Run {
        paths: ConfigPaths,
        /// Give up every right that is not needed.
        confine: bool,
    },
    SelfTest {
        paths: ConfigPaths,
        wiring: bool,
    },
    Provision {
        paths: ConfigPaths,
        emit: PathBuf,
    },
    Fetch {
        paths: ConfigPaths,
        max_bytes: u64,
        url: String,
        file: PathBuf,
    },
    Lldp {
        interface: String,
        name: String,
        file: PathBuf,
    },
    Check {
        file: PathBuf,
        options: super::check::Options,
    },
    SetUp(super::set_up::Options),
    Fingerprint(ConfigPaths),
    Ctl {
        socket: Option<PathBuf>,
        verb: &'static str,
        request: Value,
    },
    Report {
        socket: Option<PathBuf>,
        call: Option<u32>,
        svg: bool,
    },
    Reboot {
        once: bool,
    },
    UpdateAgent(crate::update::Options),
    #[cfg(feature = "tools")]
    Sim {
        config: Option<PathBuf>,
        headless: bool,
    },
    #[cfg(feature = "tools")]
    Echo(EchoOptions),
    #[cfg(feature = "tools")]
    Graph {
        socket: Option<PathBuf>,
        svg: bool,
    },
    #[cfg(feature = "tools")]
    Demo {
        speech: Option<PathBuf>,
        keep: Option<PathBuf>,
    },
}

/// A command line that cannot be carried out, with a line that can.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsageError {
    #[error("{0}; `offhook help` lists the commands")]
    Command(String),
    #[error(
        "offhook {}: {error}; for example `{}` (`offhook {} --help` explains it)",
        page.name, page.example, page.name
    )]
    Arguments {
        page: &'static Page,
        error: lexopt::Error,
    },
}

/// Reads the arguments after the program's name.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut arguments = arguments.peekable();
    let Some(first) = arguments.next() else {
        return Err(UsageError::Command("no command is given".to_owned()));
    };
    match first.to_str() {
        Some("-h" | "--help") => return Ok(Command::Help(None)),
        Some("-V" | "--version") => return Ok(Command::Version),
        Some(_) | None => {}
    }
    let page = page_of(&first)?;
    let read = Given::read(page, Parser::from_args(arguments)).and_then(|given| match given {
        Some(given) => command(page.name, given),
        None => Ok(Command::Help(Some(page.name))),
    });
    read.map_err(|error| UsageError::Arguments { page, error })
}

fn page_of(name: &OsStr) -> Result<&'static Page, UsageError> {
    help::COMMANDS
        .iter()
        .find(|page| name == page.name)
        .ok_or_else(|| UsageError::Command(format!("`{}` is not a command", name.display())))
}

/// What was given to a command: nothing that its page does not list.
#[derive(Default)]
struct Given {
    values: Vec<(&'static str, OsString)>,
    flags: Vec<&'static str>,
    plain: std::collections::VecDeque<OsString>,
}

impl Given {
    /// `None`: `--help` is among the arguments.
    fn read(page: &Page, mut parser: Parser) -> Result<Option<Self>, lexopt::Error> {
        let mut given = Self::default();
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Long(name) => {
                    if let Some(known) = page.values.iter().find(|known| **known == name) {
                        let value = parser.value()?;
                        given.values.push((known, value));
                    } else if let Some(known) = page.flags.iter().find(|known| **known == name) {
                        given.flags.push(known);
                    } else {
                        return Err(arg.unexpected());
                    }
                }
                Arg::Value(value) if given.plain.len() < page.plain => {
                    given.plain.push_back(value);
                }
                Arg::Short(_) | Arg::Value(_) => return Err(arg.unexpected()),
            }
        }
        Ok(Some(given))
    }

    /// The last value of an option, as it is.
    fn value(&mut self, name: &str) -> Option<OsString> {
        let mut found = self.values.iter().rposition(|(known, _)| *known == name);
        found.take().map(|index| self.values.swap_remove(index).1)
    }

    fn path(&mut self, name: &str) -> Option<PathBuf> {
        self.value(name).map(PathBuf::from)
    }

    fn parsed<T>(&mut self, name: &str) -> Result<Option<T>, lexopt::Error>
    where
        T: FromStr<Err: Display + Send + Sync + std::error::Error + 'static>,
    {
        self.value(name)
            .map(|value| {
                value
                    .parse()
                    .map_err(|error| format!("--{name}: {error}").into())
            })
            .transpose()
    }

    /// Whether a flag is there.
    fn flag(&self, name: &str) -> bool {
        self.flags.contains(&name)
    }

    /// The next plain argument, which must be there.
    fn plain(&mut self, missing: &str) -> Result<OsString, lexopt::Error> {
        self.plain.pop_front().ok_or_else(|| missing.into())
    }

    /// `--config`, `--card` and `--board`.
    fn paths(&mut self) -> Result<ConfigPaths, lexopt::Error> {
        let paths = ConfigPaths {
            config: self.path("config"),
            card: self.path("card"),
            board: self.value("board").map(ValueExt::string).transpose()?,
        };
        if paths.config.is_some() && paths.card.is_some() {
            return Err("--config and --card both name the configuration; give one".into());
        }
        Ok(paths)
    }
}

fn command(name: &str, mut given: Given) -> Result<Command, lexopt::Error> {
    Ok(match name {
        "run" => Command::Run {
            confine: given.flag("confine"),
            paths: given.paths()?,
        },
        "selftest" => Command::SelfTest {
            wiring: given.flag("wiring"),
            paths: given.paths()?,
        },
        "provision" => Command::Provision {
            paths: given.paths()?,
            emit: given
                .path("emit")
                .ok_or("--emit is missing: the folder to write to")?,
        },
        "fetch" => Command::Fetch {
            paths: given.paths()?,
            max_bytes: given.parsed("most")?.unwrap_or(1024 * 1024),
            url: given.plain("the URL is missing")?.string()?,
            file: given.plain("the file to write is missing")?.into(),
        },
        "lldp" => {
            let mut text = |name: &str, missing: &'static str| {
                let value = given.value(name).ok_or(missing)?;
                value.string()
            };
            Command::Lldp {
                interface: text("interface", "--interface is missing: the cable to speak on")?,
                name: text("name", "--name is missing: the machine's name")?,
                file: given.plain("the file to write is missing")?.into(),
            }
        }
        "check" => Command::Check {
            file: given.plain("the file to check is missing")?.into(),
            options: super::check::Options {
                try_it: given.flag("try"),
                json: given.flag("json"),
                stun: given.value("stun").map(ValueExt::string).transpose()?,
            },
        },
        "setup" => Command::SetUp(set_up(given)?),
        "fingerprint" => Command::Fingerprint(given.paths()?),
        "ctl" => ctl(given)?,
        "report" => Command::Report {
            socket: given.path("socket"),
            call: (given.plain.pop_front())
                .map(|call| {
                    let call = call.string()?;
                    let number = call.parse::<u32>();
                    number.map_err(|_| format!("`{call}` is not the number of a call").into())
                })
                .transpose()
                .map_err(|error: lexopt::Error| error)?,
            svg: given.flag("svg"),
        },
        "reboot" => Command::Reboot {
            once: given.flag("once"),
        },
        "update-agent" => Command::UpdateAgent(update_agent(given)?),
        #[cfg(feature = "tools")]
        "sim" => Command::Sim {
            config: given.path("config"),
            headless: given.flag("headless"),
        },
        #[cfg(feature = "tools")]
        "echo" => Command::Echo(EchoOptions {
            config: given.path("config"),
            bind: given.parsed("bind")?,
            sip_port: given.parsed("sip-port")?,
            rtp_ports: given.value("rtp-ports").map(port_range).transpose()?,
            socket: given.path("socket"),
        }),
        #[cfg(feature = "tools")]
        "graph" => Command::Graph {
            socket: given.path("socket"),
            svg: given.flag("svg"),
        },
        #[cfg(feature = "tools")]
        "demo" => Command::Demo {
            speech: given.path("speech"),
            keep: given.path("keep"),
        },
        "version" => Command::Version,
        // "help", the only one left.
        _ => match given.plain.pop_front() {
            None => Command::Help(None),
            Some(about) => Command::Help(Some(
                page_of(&about).map_err(|error| error.to_string())?.name,
            )),
        },
    })
}

#[cfg(feature = "tools")]
fn port_range(value: OsString) -> Result<(u16, u16), lexopt::Error> {
    let text = value.string()?;
    text.split_once('-')
        .and_then(|(first, last)| Some((first.parse::<u16>().ok()?, last.parse::<u16>().ok()?)))
        .filter(|(first, last)| *first >= 1024 && last > first)
        .ok_or_else(|| {
            format!("--rtp-ports {text}: two ports from 1024 up are needed, as in 21000-21099")
                .into()
        })
}

fn set_up(mut given: Given) -> Result<super::set_up::Options, lexopt::Error> {
    let mut text = |name| given.value(name).map(ValueExt::string).transpose();
    Ok(super::set_up::Options {
        provider: text("provider")?,
        server: text("server")?,
        user: text("user")?,
        auth_user: text("auth-user")?,
        outbound_proxy: text("outbound-proxy")?,
        transport: text("transport")?,
        country: text("country")?,
        board: text("board")?,
        sound: text("sound")?,
        ringer: text("ringer")?,
        output: given.path("output"),
        password_file: given.path("password-file"),
        force: given.flag("force"),
        no_try: given.flag("no-try"),
    })
}

/// Where everything is, the image's own folders unless named.
fn update_agent(mut given: Given) -> Result<crate::update::Options, lexopt::Error> {
    let slot = given
        .value("slot")
        .ok_or("--slot is missing: the slot that runs")?
        .string()?;
    Ok(crate::update::Options {
        paths: given.paths()?,
        slot: crate::update::Slot::parse(&slot)
            .ok_or_else(|| format!("--slot {slot}: a slot is a or b"))?,
        max_bytes: given.parsed("most")?.unwrap_or(320 * 1024 * 1024),
        state: given.path("state").unwrap_or("/data/update".into()),
        run: given.path("run").unwrap_or("/run/offhook".into()),
        scripts: given.path("scripts").unwrap_or("/usr/lib/offhook".into()),
        keyring: given
            .path("keyring")
            .unwrap_or("/etc/offhook/update-keyring.pem".into()),
    })
}

/// A request to a running phone.
fn ctl(mut given: Given) -> Result<Command, lexopt::Error> {
    let socket = given.path("socket");
    let asked = given.plain("the verb is missing")?;
    let verb = help::ctl_verbs()
        .find(|verb| asked == *verb)
        .ok_or_else(|| {
            let verbs = help::ctl_verbs().collect::<Vec<_>>().join(", ");
            format!("`{}` is not a verb; the verbs are {verbs}", asked.display())
        })?;
    let request = match verb {
        "press" => {
            let keys = given.plain("press needs keys, as in `offhook ctl press 123#`")?;
            json!({"cmd": verb, "keys": keys.string()?})
        }
        "rotary" => {
            let digits = given.plain("rotary needs digits, as in `offhook ctl rotary 112`")?;
            json!({"cmd": verb, "digits": digits.string()?})
        }
        "dial" | "transfer" => {
            let to = given.plain("a number or address is missing, as in `offhook ctl dial 123`")?;
            json!({"cmd": verb, "to": to.string()?})
        }
        "key" => {
            let key = given.plain("key needs a name, as in `offhook ctl key mute`")?;
            json!({"cmd": verb, "key": key.string()?})
        }
        "mute" => {
            const MISSING: &str = "mute needs on or off, as in `offhook ctl mute on`";
            let on = match given.plain(MISSING)?.string()?.as_str() {
                "on" => true,
                "off" => false,
                _ => return Err(MISSING.into()),
            };
            json!({"cmd": verb, "on": on})
        }
        "volume" => {
            const MISSING: &str =
                "volume needs what and dB, as in `offhook ctl volume earpiece=-6`";
            let setting = given.plain(MISSING)?.string()?;
            let (of, db) = setting.split_once('=').ok_or(MISSING)?;
            json!({"cmd": verb, "of": of, "db": db.parse::<i8>().map_err(|_| MISSING)?})
        }
        "message" => {
            const MISSING: &str = "message needs a number or address, and a text, as in \
                                   `offhook ctl message 102 lunch?`";
            let to = given.plain(MISSING)?.string()?;
            let mut text = given.plain(MISSING)?.string()?;
            while let Some(more) = given.plain.pop_front() {
                text = format!("{text} {}", more.string()?);
            }
            json!({"cmd": verb, "to": to, "text": text})
        }
        "verify" => {
            const MISSING: &str = "verify needs the number of a call, as in `offhook ctl verify 1`";
            let call = given.plain(MISSING)?.string()?;
            json!({"cmd": verb, "call": call.parse::<u32>().map_err(|_| MISSING)?})
        }
        "bundle" => {
            let file = given.plain.pop_front();
            let file = file.unwrap_or_else(|| crate::bundle::FILE.into());
            json!({"cmd": verb, "file": std::path::absolute(file)
                .map_err(|error| error.to_string())?})
        }
        "capture" => {
            const MISSING: &str = "capture needs a file, and may have seconds, as in `offhook ctl \
                                   capture rtp.pcap 30`";
            let file = given.plain(MISSING)?;
            let mut request = json!({"cmd": verb, "file": std::path::absolute(file)
                .map_err(|error| error.to_string())?});
            if let Some(seconds) = given.plain.pop_front() {
                let seconds = seconds.string()?;
                request["seconds"] = seconds.parse::<u32>().map_err(|_| MISSING)?.into();
            }
            request
        }
        _ if given.flag("csv") && verb != "history" => {
            return Err("--csv belongs to history, as in `offhook ctl history --csv`".into());
        }
        "history" if given.flag("csv") => json!({"cmd": verb, "csv": true}),
        "idle" => json!({"cmd": "status"}),
        _ => json!({"cmd": verb}),
    };
    match given.plain.pop_front() {
        Some(more) => Err(Arg::Value(more).unexpected()),
        None => Ok(Command::Ctl {
            socket,
            verb,
            request,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Command, UsageError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn error(line: &str) -> String {
        read(line).unwrap_err().to_string()
    }

    #[test]
    fn every_example_in_the_help_is_a_command() {
        for page in help::COMMANDS {
            let arguments = page.example.strip_prefix("offhook ").unwrap();
            assert!(read(arguments).is_ok(), "{}", page.example);
            assert!(help::text(Some(page.name)).contains(page.example));
            let asked = read(&format!("{} --help", page.name)).unwrap();
            assert_eq!(asked, Command::Help(Some(page.name)));
        }
    }

    #[test]
    fn every_option_is_in_its_usage() {
        for page in help::COMMANDS {
            for option in page.values.iter().chain(page.flags) {
                assert!(page.usage.contains(&format!("--{option}")), "{option}");
            }
        }
    }

    #[test]
    fn options_reach_their_command() {
        assert_eq!(
            read("run --config=/a.toml --board rpi-zero2w").unwrap(),
            Command::Run {
                paths: ConfigPaths {
                    config: Some("/a.toml".into()),
                    card: None,
                    board: Some("rpi-zero2w".into())
                },
                confine: false
            }
        );
        assert_eq!(
            read("provision --card /boot/offhook --emit /run/system").unwrap(),
            Command::Provision {
                paths: ConfigPaths {
                    card: Some("/boot/offhook".into()),
                    ..ConfigPaths::default()
                },
                emit: "/run/system".into()
            }
        );
        assert!(error("provision --card /c").contains("--emit"));
        assert!(error("run --card /c --config /c/x.toml").contains("both"));
        assert_eq!(
            read("ctl --socket /s press 12,#").unwrap(),
            Command::Ctl {
                socket: Some("/s".into()),
                verb: "press",
                request: json!({"cmd": "press", "keys": "12,#"})
            }
        );
    }

    #[cfg(feature = "tools")]
    #[test]
    fn options_reach_the_tools() {
        assert_eq!(
            read("echo --bind 127.0.0.2 --sip-port 5072 --rtp-ports 21000-21099").unwrap(),
            Command::Echo(EchoOptions {
                bind: Some("127.0.0.2".parse().unwrap()),
                sip_port: Some(5072),
                rtp_ports: Some((21000, 21099)),
                ..EchoOptions::default()
            })
        );
        assert!(error("sim --headless=yes").contains("headless"));
        assert!(error("echo --rtp-ports 9-1").contains("9-1"));
        assert!(error("echo --sip-port 99999").contains("--sip-port"));
        for line in ["graph --png", "demo a"] {
            assert!(error(line).contains("; for example"), "{}", error(line));
        }
    }

    #[test]
    fn an_error_names_the_argument_and_an_example() {
        assert!(error("").contains("no command"));
        assert!(error("rnu").contains("`rnu`"));
        assert!(error("run --confg x").contains("--confg"));
        assert!(error("run --config").contains("missing argument for option '--config'"));
        assert!(error("reboot --once=yes").contains("once"));
        assert!(error("fetch --most x u f").contains("--most"));
        assert!(error("check").contains("file to check"));
        assert!(error("ctl dance").contains("dance"));
        assert!(error("ctl press").contains("keys"));
        assert!(error("ctl verify").contains("number of a call"));
        assert!(error("ctl verify x").contains("number of a call"));
        assert!(error("ctl lift 5").contains("unexpected argument \"5\""));
        assert!(error("run x").contains("for example `offhook run"));
        for line in ["run x", "check a b", "help nothing", "version now"] {
            assert!(error(line).contains("; "), "{line}: {}", error(line));
        }
    }
}
