//! `offhook setup`: asks what a first `offhook.toml` needs, writes it with a comment for each line,
//! and tries it.
//!
//! ```text
//! flags ─▶ Given ─┬▶ Answers ─▶ config::providers::setup_file ─▶ offhook.toml ─▶ check --try
//! terminal ─▶ Ask ┘   (what no flag says is asked; without a terminal it is an error)
//! ```

mod output;

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use config::providers::{self, Answers, Kind, LookUp, NetworkSettings, Recipe, Unsupported};
use config::schema::RingerChoice;
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use types::{Country, Transport};

use super::CommandError;
use crate::output::print;

/// What an empty answer means.
const BOARD_UNSAID: &str = "none yet, this computer stands in for it";
const CARD_UNSAID: &str = "the board's own";
const RINGER_UNSAID: &str = "what the board has";
/// Longest file with a password, in bytes.
const MAX_PASSWORD: u64 = 4096;

/// The flags.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Options {
    pub(crate) output: Option<PathBuf>,
    pub(crate) provider: Option<String>,
    pub(crate) server: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) auth_user: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) outbound_proxy: Option<String>,
    pub(crate) transport: Option<String>,
    pub(crate) country: Option<String>,
    pub(crate) board: Option<String>,
    pub(crate) sound: Option<String>,
    pub(crate) ringer: Option<String>,
    /// Overwrite a file that is there.
    pub(crate) force: bool,
    /// Do not try what was written.
    pub(crate) no_try: bool,
}

/// Why no file is written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupFileError {
    /// There is no terminal to ask at, and no flag says it.
    #[error("--{flag} is missing: {what}; give it, or call `offhook setup` at a terminal")]
    Missing { flag: &'static str, what: String },
    /// A flag or an answer that is none.
    #[error("{what} `{given}` is not known; there are: {known}")]
    Unknown {
        what: &'static str,
        given: String,
        known: String,
    },
    /// No recipe has this name.
    #[error(
        "provider `{given}` is not known; docs/guide/src/providers.md describes these: {known}; \
         any other needs its SIP domain only (--server)"
    )]
    UnknownProvider { given: String, known: String },
    /// A provider whose customers' accounts a telephone cannot use, or that is not known.
    #[error("{}: {}", .0.name, .0.sentence())]
    Unsupported(Box<Unsupported>),
    /// Several providers have that in their names.
    #[error("`{given}` stands for several providers; say which one: {ids}")]
    Several { given: String, ids: String },
    /// The file is there.
    #[error("{0} is already there; give --output another name, or --force to replace it")]
    Exists(PathBuf),
    /// The file of the password cannot be used.
    #[error("{path}: {source}; name a file with the password on one line")]
    Password { path: PathBuf, source: io::Error },
    /// The settings cannot be written.
    #[error("{path}: {source}; name a file in a folder that is there and can be written: --output")]
    Output { path: PathBuf, source: io::Error },
    /// What was written is no valid configuration.
    #[error("these answers make no valid configuration:\n{0}")]
    Invalid(config::Errors),
    /// The terminal was closed.
    #[error("no answer to `{0}`; nothing was written")]
    NoAnswer(String),
}

/// Who answers what no flag says.
trait Ask {
    /// One line; `hidden`: a secret, not to be shown while it is typed.
    fn ask(&mut self, question: &str, hidden: bool) -> Option<String>;
    /// Shows something.
    fn show(&mut self, text: &str);
}

struct Terminal;

impl Ask for Terminal {
    fn ask(&mut self, question: &str, hidden: bool) -> Option<String> {
        let mut out = io::stdout().lock();
        let _ = write!(out, "{question}: ").and_then(|()| out.flush());
        let stdin = io::stdin();
        let before = hidden.then(|| tcgetattr(&stdin).ok()).flatten();
        if let Some(before) = &before {
            let mut quiet = before.clone();
            quiet.local_flags.remove(LocalFlags::ECHO);
            let _ = tcsetattr(&stdin, SetArg::TCSANOW, &quiet);
        }
        let mut line = String::new();
        let read = stdin.lock().read_line(&mut line);
        if let Some(before) = &before {
            let _ = tcsetattr(&stdin, SetArg::TCSANOW, before);
            let _ = writeln!(out);
        }
        (read.ok()? > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn show(&mut self, text: &str) {
        print(text);
    }
}

/// Writes the file and tries it; whether all is well.
pub(super) fn set_up(options: &Options) -> Result<bool, CommandError> {
    let output = options.output.clone().unwrap_or("offhook.toml".into());
    if output.exists() && !options.force {
        return Err(SetupFileError::Exists(output).into());
    }
    output::check_place(&output)?;
    let mut terminal = Terminal;
    let asker: Option<&mut dyn Ask> = if io::stdin().is_terminal() {
        Some(&mut terminal)
    } else {
        None
    };
    let by_recipe = asker.is_none() && options.country.is_none();
    let answers = answers(options, &Machine::here(), asker)?;
    if by_recipe {
        let country = &answers.country;
        print(&format!(
            "country {country}, where this provider is; --country names another"
        ));
    }
    let text = providers::setup_file(&answers, &output.display().to_string());
    if let Err(errors) = config::load(&text, &output.display().to_string()) {
        return Err(SetupFileError::Invalid(errors).into());
    }
    output::write(&output, &text, options.force)?;
    print(&format!("{} is written", output.display()));
    if options.no_try {
        return Ok(true);
    }
    let options = super::check::Options {
        try_it: true,
        ..super::check::Options::default()
    };
    super::check::check(&output, &options)
}

/// What this machine has.
#[derive(Debug, Default)]
struct Machine {
    boards: Vec<String>,
    /// ALSA names of its sound cards.
    cards: Vec<String>,
}

impl Machine {
    fn here() -> Self {
        let folder = config::Config::default().board.profile_dir;
        let cards = std::fs::read_to_string("/proc/asound/cards").unwrap_or_default();
        Self {
            boards: board::Profile::known(&folder),
            cards: cards.lines().filter_map(card_of_line).collect(),
        }
    }
}

/// `hw:CARD=Device` of a line ` 1 [Device         ]: USB-Audio - …`.
fn card_of_line(line: &str) -> Option<String> {
    let name = line.split_once('[')?.1.split_once(']')?.0.trim();
    Some(format!("hw:CARD={name}"))
}

/// What no flag says is asked.
fn answers(
    options: &Options,
    machine: &Machine,
    mut asker: Option<&mut dyn Ask>,
) -> Result<Answers, SetupFileError> {
    let recipe = recipe(options, &mut asker)?;
    let suggested = recipe.as_ref().and_then(|recipe| recipe.country.clone());
    let country = country(options, suggested, &mut asker)?;
    let server = server(options, recipe.as_ref(), &mut asker)?;
    let user_is = recipe.as_ref().map_or_else(
        || "user name, often the extension".to_owned(),
        |recipe| format!("user name ({})", recipe.user),
    );
    let user = match &options.user {
        Some(given) => given.clone(),
        None => required(
            "user",
            "the user name of the account",
            &user_is,
            &mut asker,
            valid_user,
        )?,
    };
    let login = recipe.as_ref().and_then(|recipe| recipe.auth_user.as_ref());
    let auth_user = match (&options.auth_user, login) {
        (None, Some(login)) => optional(
            &format!("name to log in with, empty if it is the same ({login})"),
            &mut asker,
        )?,
        (given, _) => given.clone(),
    };
    let password = match &options.password_file {
        Some(path) => password_of(path)?,
        None => password(recipe.as_ref(), &mut asker)?,
    };
    let proxy = recipe
        .as_ref()
        .and_then(|recipe| recipe.outbound_proxy_help.as_ref());
    let outbound_proxy = match (&options.outbound_proxy, proxy) {
        (None, Some(help)) => optional(&format!("outbound proxy ({help})"), &mut asker)?,
        (given, _) => given.clone(),
    };
    let transport = match &options.transport {
        Some(name) => Some(transport(name)?),
        None => None,
    };
    let board = match (&options.board, machine.boards.is_empty()) {
        (None, false) => choice("board", BOARD_UNSAID, &machine.boards, &mut asker)?,
        (given, _) => given.clone(),
    };
    let sound = match (&options.sound, machine.cards.is_empty()) {
        (None, false) => choice("sound card", CARD_UNSAID, &machine.cards, &mut asker)?,
        (given, _) => given.clone(),
    };
    let ringer = ringer(options, &mut asker)?;
    Ok(Answers {
        country,
        language: None,
        recipe,
        server,
        user,
        auth_user,
        password,
        outbound_proxy,
        transport,
        network: NetworkSettings::Automatic,
        board,
        sound,
        ringer,
    })
}

/// The first line of a file, or of a pipe such as `<(pass show pbx)`. What is no password is not
/// read to its end.
fn password_of(path: &Path) -> Result<String, SetupFileError> {
    let wrong = |source| SetupFileError::Password {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let file = File::open(path).map_err(wrong)?;
    let read = file.take(MAX_PASSWORD + 1).read_to_string(&mut text);
    let length = read.map_err(wrong)? as u64;
    let line = text.lines().next().unwrap_or_default();
    if length > MAX_PASSWORD || text.trim_end_matches(['\r', '\n']) != line {
        let what = "it holds more than one line of a password";
        return Err(wrong(io::Error::new(io::ErrorKind::InvalidData, what)));
    }
    Ok(line.to_owned())
}

/// The recipe of this name.
fn named(given: &str) -> Result<Recipe, SetupFileError> {
    let joined = |ids: Vec<String>| ids.join(", ");
    match providers::look_up(given) {
        LookUp::Recipe(recipe) => Ok(*recipe),
        LookUp::Unsupported(one) => Err(SetupFileError::Unsupported(Box::new(one))),
        LookUp::Several(ids) => Err(SetupFileError::Several {
            given: given.to_owned(),
            ids: joined(ids),
        }),
        LookUp::Unknown => Err(SetupFileError::UnknownProvider {
            given: given.to_owned(),
            known: joined(providers::all().into_iter().map(|r| r.id).collect()),
        }),
    }
}

fn recipe(
    options: &Options,
    asker: &mut Option<&mut dyn Ask>,
) -> Result<Option<Recipe>, SetupFileError> {
    if let Some(given) = &options.provider {
        return named(given).map(Some);
    }
    let Some(asker) = asker.as_deref_mut() else {
        return Ok(None);
    };
    if options.server.is_some() {
        return Ok(None);
    }
    let all = providers::all();
    asker.show("Where is your account?");
    for (number, recipe) in all.iter().enumerate() {
        let kind = match recipe.kind {
            Kind::Pbx => "PBX",
            Kind::Provider => "provider",
        };
        asker.show(&format!("  {:>2}  {} ({kind})", number + 1, recipe.name));
    }
    asker.show("   0  another PBX or provider");
    let without: Vec<String> = providers::without_recipe()
        .into_iter()
        .map(|one| one.id)
        .collect();
    asker.show(&format!(
        "      {}: there is no recipe; give that name to read why",
        without.join(", ")
    ));
    asked(asker, "number or name", false, |answer| {
        match answer.parse::<usize>() {
            Ok(0) => Ok(None),
            Ok(number) => match all.get(number - 1) {
                Some(recipe) => Ok(Some(recipe.clone())),
                None => Err(AnswerError::NoSuchNumber(all.len())),
            },
            Err(_) if answer.is_empty() => Err(AnswerError::NothingChosen),
            Err(_) => Ok(named(answer).map(Some)?),
        }
    })
}

/// Why an answer cannot be used.
#[derive(Debug, thiserror::Error)]
enum AnswerError {
    /// A number that no line of the list has.
    #[error("there are the numbers 0 to {0}")]
    NoSuchNumber(usize),
    /// Nothing was chosen.
    #[error("give a number of the list, or a name")]
    NothingChosen,
    /// No country was named, and none is suggested.
    #[error("give a country; there are: {0}")]
    NoCountry(String),
    /// Nothing was typed.
    #[error("an answer is needed")]
    Empty,
    /// No password was typed.
    #[error("the password is empty; it is not shown while you type it")]
    EmptyPassword,
    /// The file would not load with it: what is wrong, and what to do.
    #[error("{0}")]
    Refused(String),
    /// A flag would not be taken either.
    #[error(transparent)]
    Setup(#[from] SetupFileError),
}

/// Asks until the answer can be used, and says each time why it cannot.
fn asked<T>(
    asker: &mut dyn Ask,
    question: &str,
    hidden: bool,
    read: impl Fn(&str) -> Result<T, AnswerError>,
) -> Result<T, SetupFileError> {
    loop {
        let Some(answer) = asker.ask(question, hidden) else {
            return Err(SetupFileError::NoAnswer(question.to_owned()));
        };
        // A password may begin or end with a space.
        let answer = if hidden { &answer } else { answer.trim() };
        match read(answer) {
            Ok(value) => return Ok(value),
            Err(wrong) => asker.show(&wrong.to_string()),
        }
    }
}

fn country(
    options: &Options,
    suggested: Option<String>,
    asker: &mut Option<&mut dyn Ask>,
) -> Result<String, SetupFileError> {
    let known: Vec<&str> = Country::ALL
        .iter()
        .map(|country| country.as_str())
        .collect();
    let known = known.join(", ");
    let read = |given: &str| match Country::from_name(given) {
        Some(_) => Ok(given.to_lowercase()),
        None => Err(SetupFileError::Unknown {
            what: "country",
            given: given.to_owned(),
            known: known.clone(),
        }),
    };
    match (&options.country, suggested, asker.as_deref_mut()) {
        (Some(given), _, _) => read(given),
        (None, suggested, Some(asker)) => {
            let default = suggested.as_ref();
            let default = default.map_or_else(String::new, |country| format!(" [{country}]"));
            let question = format!("country, for tones and emergency numbers{default}");
            asked(asker, &question, false, |answer| match &suggested {
                Some(suggested) if answer.is_empty() => Ok(suggested.clone()),
                None if answer.is_empty() => Err(AnswerError::NoCountry(known.clone())),
                _ => Ok(read(answer)?),
            })
        }
        (None, Some(suggested), None) => Ok(suggested),
        (None, None, None) => Err(SetupFileError::Missing {
            flag: "country",
            what: format!("the country of the tones and emergency numbers, one of {known}"),
        }),
    }
}

fn server(
    options: &Options,
    recipe: Option<&Recipe>,
    asker: &mut Option<&mut dyn Ask>,
) -> Result<String, SetupFileError> {
    let own = recipe.and_then(|recipe| recipe.domain.clone());
    let help = recipe.and_then(|recipe| recipe.domain_help.clone());
    let question = match (&options.server, own, help) {
        (Some(given), _, _) => return Ok(given.clone()),
        (None, Some(domain), None) => return Ok(domain),
        (None, Some(domain), Some(help)) => format!("server {domain}: {help}"),
        (None, None, Some(help)) => help,
        (None, None, None) => "address or SIP domain of the server".to_owned(),
    };
    required("server", &question, &question, asker, valid_server)
}

/// A value that must be there and that no flag gives.
fn required(
    flag: &'static str,
    what: &str,
    question: &str,
    asker: &mut Option<&mut dyn Ask>,
    valid: fn(&str) -> Result<(), AnswerError>,
) -> Result<String, SetupFileError> {
    let Some(asker) = asker.as_deref_mut() else {
        let what = what.to_owned();
        return Err(SetupFileError::Missing { flag, what });
    };
    asked(asker, question, false, |answer| {
        if answer.is_empty() {
            return Err(AnswerError::Empty);
        }
        valid(answer).map(|()| answer.to_owned())
    })
}

fn valid_server(server: &str) -> Result<(), AnswerError> {
    valid(Answers {
        server: server.to_owned(),
        user: "101".to_owned(),
        ..Answers::default()
    })
}

fn valid_user(user: &str) -> Result<(), AnswerError> {
    valid(Answers {
        server: "pbx.example.org".to_owned(),
        user: user.to_owned(),
        ..Answers::default()
    })
}

/// Whether a file with these answers loads; what is not asked yet is made up.
fn valid(answers: Answers) -> Result<(), AnswerError> {
    let answers = Answers {
        country: "de".to_owned(),
        password: "x".to_owned(),
        ..answers
    };
    let text = providers::setup_file(&answers, "offhook.toml");
    let Err(errors) = config::load(&text, "offhook.toml") else {
        return Ok(());
    };
    let said = errors.0.iter().map(|e| format!("{}; {}", e.what, e.help));
    Err(AnswerError::Refused(said.collect::<Vec<_>>().join("\n")))
}

/// The password, not shown while it is typed.
fn password(
    recipe: Option<&Recipe>,
    asker: &mut Option<&mut dyn Ask>,
) -> Result<String, SetupFileError> {
    let Some(asker) = asker.as_deref_mut() else {
        return Err(SetupFileError::Missing {
            flag: "password-file",
            what: "a file with the account's password".to_owned(),
        });
    };
    let help = recipe.and_then(|recipe| recipe.password.as_ref());
    let question = help.map_or_else(
        || "password".to_owned(),
        |help| format!("password ({help})"),
    );
    let may_be_empty = recipe.is_some_and(|recipe| recipe.password_may_be_empty);
    asked(asker, &question, true, |answer| {
        if answer.is_empty() && !may_be_empty {
            return Err(AnswerError::EmptyPassword);
        }
        Ok(answer.to_owned())
    })
}

fn optional(
    question: &str,
    asker: &mut Option<&mut dyn Ask>,
) -> Result<Option<String>, SetupFileError> {
    let Some(asker) = asker.as_deref_mut() else {
        return Ok(None);
    };
    asked(asker, question, false, |answer| {
        Ok(Some(answer.to_owned()).filter(|answer| !answer.is_empty()))
    })
}

/// One of a list, or none of it: then it is as `unsaid` says.
fn choice(
    what: &'static str,
    unsaid: &str,
    list: &[String],
    asker: &mut Option<&mut dyn Ask>,
) -> Result<Option<String>, SetupFileError> {
    let Some(asker) = asker.as_deref_mut() else {
        return Ok(None);
    };
    for (number, name) in list.iter().enumerate() {
        asker.show(&format!("  {:>2}  {name}", number + 1));
    }
    let question = format!("{what}, empty: {unsaid}");
    asked(asker, &question, false, |answer| {
        if answer.is_empty() {
            return Ok(None);
        }
        let by_number = answer.parse::<usize>().ok();
        let by_number = by_number.and_then(|number| list.get(number.checked_sub(1)?));
        let found = by_number.or_else(|| list.iter().find(|name| *name == answer));
        let unknown = || SetupFileError::Unknown {
            what,
            given: answer.to_owned(),
            known: list.join(", "),
        };
        found.cloned().map(Some).ok_or_else(|| unknown().into())
    })
}

/// What is wired to the ringer's lines; empty: what the board's profile says.
fn ringer(
    options: &Options,
    asker: &mut Option<&mut dyn Ask>,
) -> Result<Option<RingerChoice>, SetupFileError> {
    let names = RingerChoice::ALL.map(|choice| choice.as_str().to_owned());
    let name = match &options.ringer {
        Some(given) => Some(given.clone()),
        None => choice("ringer", RINGER_UNSAID, &names, asker)?,
    };
    let Some(name) = name else { return Ok(None) };
    let unknown = || SetupFileError::Unknown {
        what: "ringer",
        given: name.clone(),
        known: names.join(", "),
    };
    RingerChoice::from_name(&name).map(Some).ok_or_else(unknown)
}

fn transport(name: &str) -> Result<Transport, SetupFileError> {
    const ALL: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];
    ALL.into_iter()
        .find(|transport| transport.as_str() == name)
        .ok_or_else(|| SetupFileError::Unknown {
            what: "transport",
            given: name.to_owned(),
            known: ALL.map(Transport::as_str).join(", "),
        })
}

#[cfg(test)]
mod tests;
