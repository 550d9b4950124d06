//! Arguments, read: strict, every error names the word and a line that works.

use std::ffi::OsString;
use std::path::PathBuf;

use super::help;
use crate::provision::Places;
use crate::setup::EchoOptions;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Help(Option<&'static str>),
    Version,
    Run {
        places: Places,
    },
    SelfTest {
        places: Places,
    },
    Provision {
        places: Places,
        emit: PathBuf,
    },
    Fetch {
        places: Places,
        most: u64,
        url: String,
        file: PathBuf,
    },
    Sim {
        config: Option<PathBuf>,
        headless: bool,
    },
    Echo(EchoOptions),
    Check(PathBuf),
    Fingerprint(Places),
    Ctl {
        socket: Option<PathBuf>,
        request: CtlRequest,
    },
    Graph {
        socket: Option<PathBuf>,
        svg: bool,
    },
    Reboot {
        once: bool,
    },
    Tryout {
        speech: Option<PathBuf>,
        keep: Option<PathBuf>,
    },
}

/// What `ctl` sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CtlRequest {
    Plain(&'static str),
    Press(String),
    Rotary(String),
    Verify(u32),
    Bundle(PathBuf),
}

/// A command line that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {mend}")]
pub(crate) struct UsageError {
    what: String,
    mend: String,
}

impl UsageError {
    fn new(what: impl Into<String>, command: Option<&'static str>) -> Self {
        let mend = match command {
            Some(command) => format!(
                "for example `{}` (`offhook help {command}` tells more)",
                help::example(command)
            ),
            None => "`offhook help` tells what there is".to_owned(),
        };
        Self {
            what: what.into(),
            mend,
        }
    }
}

/// The words of one command, taken one by one.
struct Words {
    command: &'static str,
    left: std::vec::IntoIter<OsString>,
    /// The value of `--option=value`.
    glued: Option<String>,
}

/// One word of a command.
enum Word {
    Option(String),
    Plain(OsString),
}

impl Words {
    fn next(&mut self) -> Result<Option<Word>, UsageError> {
        if let Some(value) = self.glued.take() {
            return Err(self.wrong(format!(
                "`={value}` belongs to an option that takes no value"
            )));
        }
        let Some(word) = self.left.next() else {
            return Ok(None);
        };
        match word.to_str() {
            Some(text) if text.starts_with("--") && text.len() > 2 => {
                let name = match text.split_once('=') {
                    Some((name, value)) => {
                        self.glued = Some(value.to_owned());
                        name
                    }
                    None => text,
                };
                Ok(Some(Word::Option(name.to_owned())))
            }
            Some(text) if text.starts_with('-') && text.len() > 1 => {
                Ok(Some(Word::Option(text.to_owned())))
            }
            Some(_) | None => Ok(Some(Word::Plain(word))),
        }
    }

    fn value(&mut self, option: &str) -> Result<OsString, UsageError> {
        if let Some(value) = self.glued.take() {
            return Ok(value.into());
        }
        self.left
            .next()
            .ok_or_else(|| self.wrong(format!("{option} needs a value")))
    }

    fn text(&mut self, option: &str) -> Result<String, UsageError> {
        self.value(option)?
            .into_string()
            .map_err(|word| self.wrong(format!("{option} {}: not UTF-8", word.display())))
    }

    fn parsed<T: std::str::FromStr>(&mut self, option: &str, kind: &str) -> Result<T, UsageError> {
        let text = self.text(option)?;
        text.parse()
            .map_err(|_| self.wrong(format!("{option} {text}: not {kind}")))
    }

    fn wrong(&self, what: impl Into<String>) -> UsageError {
        UsageError::new(what, Some(self.command))
    }

    fn unknown(&self, word: &Word) -> UsageError {
        match word {
            Word::Option(name) => {
                self.wrong(format!("`offhook {}` has no option {name}", self.command))
            }
            Word::Plain(word) => self.wrong(format!(
                "`offhook {}` does not expect `{}`",
                self.command,
                word.display()
            )),
        }
    }
}

/// Reads the arguments after the program's name.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut arguments = arguments.collect::<Vec<_>>().into_iter();
    let Some(first) = arguments.next() else {
        return Err(UsageError::new("no command", None));
    };
    let Some(first) = first.to_str() else {
        return Err(UsageError::new(
            format!("`{}` is no command", first.display()),
            None,
        ));
    };
    let command = match first {
        "-h" | "--help" => return Ok(Command::Help(None)),
        "-V" | "--version" => return Ok(Command::Version),
        _ => help::COMMANDS
            .iter()
            .map(|command| command.name)
            .find(|name| *name == first)
            .ok_or_else(|| UsageError::new(format!("`{first}` is no command"), None))?,
    };
    let mut words = Words {
        command,
        left: arguments,
        glued: None,
    };
    if words
        .left
        .as_slice()
        .iter()
        .any(|word| word == "--help" || word == "-h")
    {
        return Ok(Command::Help(Some(command)));
    }
    match command {
        "run" => Ok(Command::Run {
            places: places_only(&mut words)?,
        }),
        "selftest" => Ok(Command::SelfTest {
            places: places_only(&mut words)?,
        }),
        "provision" => provision(&mut words),
        "fetch" => fetch(&mut words),
        "sim" => sim(&mut words),
        "echo" => echo(&mut words),
        "check" => check(&mut words),
        "fingerprint" => fingerprint(&mut words),
        "ctl" => ctl(&mut words),
        "graph" => graph(&mut words),
        "tryout" => tryout(&mut words),
        "reboot" => reboot(&mut words),
        "version" => nothing_more(words, Command::Version),
        _ => about(&mut words),
    }
}

fn nothing_more(mut words: Words, command: Command) -> Result<Command, UsageError> {
    match words.next()? {
        Some(word) => Err(words.unknown(&word)),
        None => Ok(command),
    }
}

fn about(words: &mut Words) -> Result<Command, UsageError> {
    let Some(word) = words.next()? else {
        return Ok(Command::Help(None));
    };
    let Word::Plain(asked) = &word else {
        return Err(words.unknown(&word));
    };
    let known = help::COMMANDS.iter().find(|command| asked == command.name);
    known
        .map(|command| Command::Help(Some(command.name)))
        .ok_or_else(|| UsageError::new(format!("`{}` is no command", asked.display()), None))
}

/// `--config`, `--card` and `--board`, which several commands share. `false`: the option is none of
/// them.
fn place(words: &mut Words, name: &str, places: &mut Places) -> Result<bool, UsageError> {
    match name {
        "--config" => places.config = Some(words.value(name)?.into()),
        "--card" => places.card = Some(words.value(name)?.into()),
        "--board" => places.board = Some(words.text(name)?),
        _ => return Ok(false),
    }
    if places.config.is_some() && places.card.is_some() {
        return Err(words.wrong("--config and --card both name the configuration"));
    }
    Ok(true)
}

/// `run` and `selftest`: places, and nothing else.
fn places_only(words: &mut Words) -> Result<Places, UsageError> {
    let mut places = Places::default();
    while let Some(word) = words.next()? {
        match &word {
            Word::Option(name) if place(words, name, &mut places)? => {}
            Word::Option(_) | Word::Plain(_) => return Err(words.unknown(&word)),
        }
    }
    Ok(places)
}

fn provision(words: &mut Words) -> Result<Command, UsageError> {
    let (mut places, mut emit) = (Places::default(), None);
    while let Some(word) = words.next()? {
        match &word {
            Word::Option(name) if name == "--emit" => {
                emit = Some(PathBuf::from(words.value(name)?))
            }
            Word::Option(name) if place(words, name, &mut places)? => {}
            Word::Option(_) | Word::Plain(_) => return Err(words.unknown(&word)),
        }
    }
    match emit {
        Some(emit) => Ok(Command::Provision { places, emit }),
        None => Err(words.wrong("--emit is missing: into which folder?")),
    }
}

fn fetch(words: &mut Words) -> Result<Command, UsageError> {
    let (mut places, mut most, mut url, mut file) = (Places::default(), 1024 * 1024, None, None);
    while let Some(word) = words.next()? {
        match word {
            Word::Option(name) if name == "--most" => {
                most = words.parsed(&name, "a number of bytes")?
            }
            Word::Option(ref name) if place(words, name, &mut places)? => {}
            Word::Plain(word) if url.is_none() => {
                url = Some(
                    word.into_string()
                        .map_err(|_| words.wrong("the URL is not UTF-8"))?,
                );
            }
            Word::Plain(word) if file.is_none() => file = Some(PathBuf::from(word)),
            Word::Option(_) | Word::Plain(_) => return Err(words.unknown(&word)),
        }
    }
    match (url, file) {
        (Some(url), Some(file)) => Ok(Command::Fetch {
            places,
            most,
            url,
            file,
        }),
        (_, _) => Err(words.wrong("what is to be fetched, and into which file?")),
    }
}

fn sim(words: &mut Words) -> Result<Command, UsageError> {
    let (mut config, mut headless) = (None, false);
    while let Some(word) = words.next()? {
        match &word {
            Word::Option(name) if name == "--config" => config = Some(words.value(name)?.into()),
            Word::Option(name) if name == "--headless" => headless = true,
            Word::Option(_) | Word::Plain(_) => return Err(words.unknown(&word)),
        }
    }
    Ok(Command::Sim { config, headless })
}

fn echo(words: &mut Words) -> Result<Command, UsageError> {
    let mut options = EchoOptions::default();
    while let Some(word) = words.next()? {
        match &word {
            Word::Option(name) if name == "--config" => {
                options.config = Some(words.value(name)?.into())
            }
            Word::Option(name) if name == "--bind" => {
                options.bind = Some(words.parsed(name, "an IP address")?)
            }
            Word::Option(name) if name == "--sip-port" => {
                options.sip_port = Some(words.parsed(name, "a port, 0 to 65535")?)
            }
            Word::Option(name) if name == "--rtp-ports" => {
                options.rtp_ports = Some(range(words, name)?)
            }
            Word::Option(name) if name == "--socket" => {
                options.socket = Some(words.value(name)?.into())
            }
            Word::Option(_) | Word::Plain(_) => return Err(words.unknown(&word)),
        }
    }
    Ok(Command::Echo(options))
}

fn range(words: &mut Words, option: &str) -> Result<(u16, u16), UsageError> {
    let text = words.text(option)?;
    text.split_once('-')
        .and_then(|(first, last)| Some((first.parse::<u16>().ok()?, last.parse::<u16>().ok()?)))
        .filter(|(first, last)| *first >= 1024 && last > first)
        .ok_or_else(|| {
            words.wrong(format!(
                "{option} {text}: not two ports from 1024 up, as in 21000-21099"
            ))
        })
}

fn check(words: &mut Words) -> Result<Command, UsageError> {
    let mut file = None;
    while let Some(word) = words.next()? {
        match word {
            Word::Plain(path) if file.is_none() => file = Some(PathBuf::from(path)),
            Word::Plain(_) | Word::Option(_) => return Err(words.unknown(&word)),
        }
    }
    file.map(Command::Check)
        .ok_or_else(|| words.wrong("which file?"))
}

fn fingerprint(words: &mut Words) -> Result<Command, UsageError> {
    let mut places = Places::default();
    while let Some(word) = words.next()? {
        match &word {
            Word::Option(name) if place(words, name, &mut places)? => {}
            Word::Option(_) | Word::Plain(_) => return Err(words.unknown(&word)),
        }
    }
    Ok(Command::Fingerprint(places))
}

fn ctl(words: &mut Words) -> Result<Command, UsageError> {
    let (mut socket, mut verb, mut said) = (None, None, None);
    while let Some(word) = words.next()? {
        match word {
            Word::Option(name) if name == "--socket" => socket = Some(words.value(&name)?.into()),
            Word::Plain(word) if verb.is_none() => verb = Some(word),
            Word::Plain(word) if said.is_none() => said = Some(word),
            Word::Option(_) | Word::Plain(_) => return Err(words.unknown(&word)),
        }
    }
    let verb = verb.ok_or_else(|| words.wrong("what shall the phone do?"))?;
    let spoken = verb.to_string_lossy().into_owned();
    let said = match said {
        None => None,
        Some(said) => Some(
            said.into_string()
                .map_err(|_| words.wrong(format!("{spoken}: not UTF-8")))?,
        ),
    };
    let request = match (help::CTL_VERBS.iter().find(|known| **known == spoken), said) {
        (Some(&"press"), Some(keys)) => CtlRequest::Press(keys),
        (Some(&"rotary"), Some(digits)) => CtlRequest::Rotary(digits),
        (Some(&"verify"), call) => {
            let call = call.and_then(|call| call.parse().ok());
            CtlRequest::Verify(call.ok_or_else(|| {
                words.wrong("verify needs the number of a call, as in `offhook ctl verify 1`")
            })?)
        }
        (Some(&"bundle"), file) => {
            let file = file.unwrap_or_else(|| crate::bundle::FILE.to_owned());
            CtlRequest::Bundle(
                std::path::absolute(&file)
                    .map_err(|error| words.wrong(format!("{file}: {error}")))?,
            )
        }
        (Some(&"press"), None) => {
            return Err(words.wrong("press needs keys, as in `offhook ctl press 123#`"));
        }
        (Some(&"rotary"), None) => {
            return Err(words.wrong("rotary needs digits, as in `offhook ctl rotary 112`"));
        }
        (Some(verb), None) => CtlRequest::Plain(verb),
        (Some(verb), Some(more)) => {
            return Err(words.wrong(format!("{verb} does not expect `{more}`")));
        }
        (None, _) => {
            return Err(words.wrong(format!(
                "a phone cannot `{spoken}`; it knows {}",
                help::CTL_VERBS.join(", ")
            )));
        }
    };
    Ok(Command::Ctl { socket, request })
}

fn graph(words: &mut Words) -> Result<Command, UsageError> {
    let (mut socket, mut svg) = (None, false);
    while let Some(word) = words.next()? {
        match &word {
            Word::Option(name) if name == "--socket" => socket = Some(words.value(name)?.into()),
            Word::Option(name) if name == "--svg" => svg = true,
            Word::Option(_) | Word::Plain(_) => return Err(words.unknown(&word)),
        }
    }
    Ok(Command::Graph { socket, svg })
}

fn reboot(words: &mut Words) -> Result<Command, UsageError> {
    let mut once = false;
    while let Some(word) = words.next()? {
        match &word {
            Word::Option(name) if name == "--once" => once = true,
            Word::Option(_) | Word::Plain(_) => return Err(words.unknown(&word)),
        }
    }
    Ok(Command::Reboot { once })
}

fn tryout(words: &mut Words) -> Result<Command, UsageError> {
    let (mut speech, mut keep) = (None, None);
    while let Some(word) = words.next()? {
        match &word {
            Word::Option(name) if name == "--speech" => speech = Some(words.value(name)?.into()),
            Word::Option(name) if name == "--keep" => keep = Some(words.value(name)?.into()),
            Word::Option(_) | Word::Plain(_) => return Err(words.unknown(&word)),
        }
    }
    Ok(Command::Tryout { speech, keep })
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
        for command in help::COMMANDS {
            let words = command.example.strip_prefix("offhook ").unwrap();
            assert!(read(words).is_ok(), "{}", command.example);
            assert!(help::text(Some(command.name)).contains(command.example));
        }
    }

    #[test]
    fn options_reach_their_command() {
        assert_eq!(
            read("run --config=/a.toml --board rpi-zero2w").unwrap(),
            Command::Run {
                places: Places {
                    config: Some("/a.toml".into()),
                    card: None,
                    board: Some("rpi-zero2w".into())
                }
            }
        );
        assert_eq!(
            read("provision --card /boot/offhook --emit /run/system").unwrap(),
            Command::Provision {
                places: Places {
                    card: Some("/boot/offhook".into()),
                    ..Places::default()
                },
                emit: "/run/system".into()
            }
        );
        assert!(
            read("provision --card /c")
                .unwrap_err()
                .to_string()
                .contains("--emit")
        );
        assert!(
            read("run --card /c --config /c/x.toml")
                .unwrap_err()
                .to_string()
                .contains("both")
        );
        assert_eq!(
            read("echo --bind 127.0.0.2 --sip-port 5072 --rtp-ports 21000-21099").unwrap(),
            Command::Echo(EchoOptions {
                bind: Some("127.0.0.2".parse().unwrap()),
                sip_port: Some(5072),
                rtp_ports: Some((21000, 21099)),
                ..EchoOptions::default()
            })
        );
        assert_eq!(
            read("ctl --socket /s press 12,#").unwrap(),
            Command::Ctl {
                socket: Some("/s".into()),
                request: CtlRequest::Press("12,#".into())
            }
        );
        assert_eq!(read("run --help").unwrap(), Command::Help(Some("run")));
    }

    #[test]
    fn a_wrong_line_is_told_with_a_right_one() {
        assert!(error("").contains("no command"));
        assert!(error("rnu").contains("`rnu`"));
        assert!(error("run --confg x").contains("--confg"));
        assert!(error("run --config").contains("needs a value"));
        assert!(error("sim --headless=yes").contains("no value"));
        assert!(error("echo --rtp-ports 9-1").contains("9-1"));
        assert!(error("echo --sip-port 99999").contains("99999"));
        assert!(error("check").contains("which file"));
        assert!(error("ctl dance").contains("dance"));
        assert!(error("ctl press").contains("keys"));
        assert!(error("ctl verify").contains("number of a call"));
        assert!(error("ctl verify x").contains("number of a call"));
        assert!(error("ctl lift 5").contains("does not expect `5`"));
        for line in [
            "run x",
            "check a b",
            "graph --png",
            "tryout a",
            "help nothing",
            "version now",
        ] {
            assert!(error(line).contains("; "), "{line}: {}", error(line));
        }
    }
}
