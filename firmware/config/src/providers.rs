//! Recipes for PBXs and providers: facts with their source, used by `offhook setup` and the guide.
//!
//! ```text
//! providers/*.toml ─▶ all ─┬▶ `offhook setup` (setup_file)
//!                          └▶ page ─▶ docs/guide/src/providers.md
//! ```
//!
//! A recipe holds facts only, each from the public page it names. `tried` is what a test of this
//! repository registers at.

use std::fmt::Write as _;

use serde::Deserialize;
#[cfg(test)]
use types::Codec;
use types::{Language, Transport};

use crate::page::comment;
use crate::schema::RingerChoice;

/// The recipes by their identifiers.
const FILES: &[(&str, &str)] = &[
    ("1und1", include_str!("providers/1und1.toml")),
    ("3cx", include_str!("providers/3cx.toml")),
    ("a1", include_str!("providers/a1.toml")),
    ("aaisp", include_str!("providers/aaisp.toml")),
    ("asterisk", include_str!("providers/asterisk.toml")),
    ("callcentric", include_str!("providers/callcentric.toml")),
    ("cucm", include_str!("providers/cucm.toml")),
    ("dusnet", include_str!("providers/dusnet.toml")),
    ("easybell", include_str!("providers/easybell.toml")),
    ("flowroute", include_str!("providers/flowroute.toml")),
    ("freepbx", include_str!("providers/freepbx.toml")),
    ("freeswitch", include_str!("providers/freeswitch.toml")),
    ("fritzbox", include_str!("providers/fritzbox.toml")),
    ("kamailio", include_str!("providers/kamailio.toml")),
    ("localphone", include_str!("providers/localphone.toml")),
    ("ovh", include_str!("providers/ovh.toml")),
    ("sipgate", include_str!("providers/sipgate.toml")),
    ("swisscom-cb", include_str!("providers/swisscom-cb.toml")),
    ("telekom", include_str!("providers/telekom.toml")),
    ("telnyx", include_str!("providers/telnyx.toml")),
    ("twilio", include_str!("providers/twilio.toml")),
    ("vodafone-de", include_str!("providers/vodafone-de.toml")),
    ("vodafone-it", include_str!("providers/vodafone-it.toml")),
    ("voip-ms", include_str!("providers/voip-ms.toml")),
    ("yeastar", include_str!("providers/yeastar.toml")),
];

/// Whether it stands in the owner's house or is a company's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A PBX: its address is the owner's.
    Pbx,
    /// A provider with an address of its own.
    Provider,
}

/// How well a recipe is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// A test of this repository registers and calls by it.
    Tried,
    /// From a page of its maker or provider.
    Provider,
    /// From another public page.
    Public,
}

impl Evidence {
    /// For a table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tried => "tried",
            Self::Provider => "from the provider's page",
            Self::Public => "from another public page",
        }
    }
}

/// What is known of one PBX or provider.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Its file's name without the ending; what `--provider` takes.
    #[serde(skip)]
    pub id: String,
    /// For people.
    pub name: String,
    /// PBX or provider.
    pub kind: Kind,
    /// How well it is known.
    pub evidence: Evidence,
    /// The page the facts are from; of what is tried, the test.
    pub source: String,
    /// The date of that page, where it has one (YYYY-MM-DD).
    pub source_date: Option<String>,
    /// When the page was read (YYYY-MM-DD).
    pub read: String,
    /// The country whose tones its customers expect.
    pub country: Option<String>,
    /// The SIP domain; none: the owner's own. Words in capitals are to be replaced.
    pub domain: Option<String>,
    /// What to replace in the domain.
    pub domain_help: Option<String>,
    /// The registrar, where it is not found by the domain.
    pub registrar: Option<String>,
    /// What to write as `outbound_proxy`, where one is needed.
    pub outbound_proxy_help: Option<String>,
    /// The transport, where its own choice matters.
    pub transport: Option<String>,
    /// Registration lifetime in seconds.
    pub expires_s: Option<u32>,
    /// What the user name is.
    pub user: String,
    /// What the name to log in with is, where that differs.
    pub auth_user: Option<String>,
    /// What the password is, where that is not plain.
    pub password: Option<String>,
    /// Codecs it takes, best first; empty: not known.
    #[serde(default)]
    pub codecs: Vec<String>,
    /// The number of its voicemail.
    pub voicemail: Option<String>,
    /// Peculiarities, a sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// All recipes, by name.
pub fn all() -> Vec<Recipe> {
    let mut recipes: Vec<Recipe> = FILES
        .iter()
        .filter_map(|(id, text)| {
            // Every file is read by a test: none is left out here.
            let mut recipe: Recipe = toml::from_str(text).ok()?;
            (*id).clone_into(&mut recipe.id);
            Some(recipe)
        })
        .collect();
    recipes.sort_by_key(|recipe| (recipe.kind == Kind::Provider, recipe.name.to_lowercase()));
    recipes
}

/// What `offhook setup` asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answers {
    /// Country code of the tones.
    pub country: String,
    /// What the phone speaks; none: what the country does.
    pub language: Option<Language>,
    /// The recipe used; none: another PBX.
    pub recipe: Option<Recipe>,
    /// The SIP domain, or the PBX's address with or without a port.
    pub server: String,
    /// User name.
    pub user: String,
    /// Name to log in with, where it differs.
    pub auth_user: Option<String>,
    /// Password.
    pub password: String,
    /// Outbound proxy.
    pub outbound_proxy: Option<String>,
    /// Transport; none: the recipe's.
    pub transport: Option<Transport>,
    /// Board profile.
    pub board: Option<String>,
    /// ALSA device for microphone and earpiece.
    pub sound: Option<String>,
    /// What rings; none: what the board's profile says.
    pub ringer: Option<RingerChoice>,
}

/// A text in TOML's quotes.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// An `offhook.toml` with a comment for each line.
pub fn setup_file(answers: &Answers) -> String {
    let mut out = String::from(
        "# Written by `offhook setup`. After a change: offhook check offhook.toml --try\n\
         # Every other setting: docs/provisioning.md\n\n[phone]\n\
         # Tones, ringing cadence and emergency numbers of this country.\n",
    );
    // Writing to a String cannot fail.
    let mut key = |name: &str, value: String| {
        let _ = writeln!(out, "{name} = {value}");
    };
    key("country", quoted(&answers.country));
    if let Some(language) = answers.language {
        key("language", quoted(language.as_str()));
    }
    account(&mut out, answers);
    board(&mut out, answers);
    out
}

fn account(out: &mut String, answers: &Answers) {
    let recipe = answers.recipe.as_ref();
    out.push('\n');
    if let Some(recipe) = recipe {
        let evidence = recipe.evidence.as_str();
        comment(
            out,
            &format!("{}, {evidence}, read {}:", recipe.name, recipe.read),
        );
        comment(out, &recipe.source);
        for note in &recipe.notes {
            comment(out, note);
        }
    }
    out.push_str("[[account]]\n");
    let user = recipe.map_or(
        "the name or number the server knows this phone by",
        |recipe| recipe.user.as_str(),
    );
    comment(out, &format!("User: {user}."));
    let _ = writeln!(out, "user = {}", quoted(&answers.user));
    if let Some(auth_user) = &answers.auth_user {
        let _ = writeln!(
            out,
            "# The name to log in with, where it is another.\nauth_user = {}",
            quoted(auth_user)
        );
    }
    out.push_str(
        "# Keep it secret: [security] move_secrets = true has the phone move it off the card.\n",
    );
    let _ = writeln!(out, "password = {}", quoted(&answers.password));
    // A domain has no port: with one, the server is named beside it.
    let (domain, port) = match answers.server.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() && !host.ends_with(':') => {
            (host, Some(port))
        }
        _ => (answers.server.as_str(), None),
    };
    let _ = writeln!(
        out,
        "# What stands behind the @ of this phone's address.\ndomain = {}",
        quoted(domain)
    );
    let registrar = recipe.and_then(|recipe| recipe.registrar.clone());
    let registrar = registrar.or_else(|| port.map(|port| format!("{domain}:{port}")));
    if let Some(registrar) = registrar {
        let _ = writeln!(
            out,
            "# The server, where DNS does not lead from the domain to it.\nregistrar = {}",
            quoted(&registrar)
        );
        if port.is_some() && answers.outbound_proxy.is_none() {
            let _ = writeln!(
                out,
                "# Calls go there, too.\noutbound_proxy = {}",
                quoted(&registrar)
            );
        }
    }
    if let Some(proxy) = &answers.outbound_proxy {
        let _ = writeln!(
            out,
            "# Everything goes through this server.\noutbound_proxy = {}",
            quoted(proxy)
        );
    }
    let own = recipe.and_then(|recipe| recipe.transport.clone());
    let transport = answers.transport.map(|t| t.as_str().to_owned()).or(own);
    if let Some(transport) = transport {
        let _ = writeln!(
            out,
            "# \"tls\" encrypts what is dialled and who calls, where the server has it.\n\
             transport = {}",
            quoted(&transport)
        );
    }
    if let Some(expires) = recipe.and_then(|recipe| recipe.expires_s) {
        let _ = writeln!(out, "expires_s = {expires}");
    }
    let codecs = recipe.map_or(&[][..], |recipe| recipe.codecs.as_slice());
    if !codecs.is_empty() {
        let list: Vec<String> = codecs.iter().map(|codec| quoted(codec)).collect();
        let _ = writeln!(
            out,
            "\n[codecs]\n# What this server takes, best first.\norder = [{}]",
            list.join(", ")
        );
    }
}

fn board(out: &mut String, answers: &Answers) {
    if answers.board.is_some() || answers.ringer.is_some() {
        out.push_str("\n[board]\n");
    }
    if let Some(board) = &answers.board {
        let _ = writeln!(
            out,
            "# Which GPIO lines and sound card there are.\nprofile = {}",
            quoted(board)
        );
    }
    if let Some(ringer) = answers.ringer {
        let _ = writeln!(
            out,
            "# What is wired to the ringer's lines.\nringer = {}",
            quoted(ringer.as_str())
        );
    }
    if let Some(sound) = &answers.sound {
        let _ = writeln!(
            out,
            "\n[board.audio]\n# Microphone and earpiece: another sound card than the board's own.\n\
             capture = {0}\nplayback = {0}",
            quoted(sound)
        );
    }
}

/// The page of recipes in Markdown.
pub fn page() -> String {
    let mut page = String::from(
        "# PBXs and providers\n\n\
         `offhook setup --provider ID` writes these settings; this page is generated from\n\
         `firmware/config/src/providers`. Each recipe names the public page its facts are from and \
         when\n\
         that page was read. *Tried* means that a test of this repository registers and calls by \
         it.\n\
         What your provider says counts more than any of these. A provider that is not here: \
         choose\n\
         *another PBX or provider* and give its SIP domain.\n",
    );
    for (kind, title) in [(Kind::Pbx, "PBXs"), (Kind::Provider, "Providers")] {
        let _ = writeln!(page, "\n## {title}");
        for recipe in all().iter().filter(|recipe| recipe.kind == kind) {
            section(&mut page, recipe);
        }
    }
    page
}

fn section(page: &mut String, recipe: &Recipe) {
    let _ = writeln!(page, "\n### {}\n\n| | |\n|---|---|", recipe.name);
    let mut row = |what: &str, value: &str| {
        let _ = writeln!(page, "| {what} | {value} |");
    };
    let code = |text: &str| format!("`{text}`");
    row("id", &code(&recipe.id));
    match &recipe.domain {
        Some(domain) => {
            let help = recipe.domain_help.as_deref();
            row("domain", &with_help(&code(domain), help));
        }
        None => row("domain", "the PBX's own domain or address"),
    }
    if let Some(registrar) = &recipe.registrar {
        row("registrar", &code(registrar));
    }
    if let Some(help) = &recipe.outbound_proxy_help {
        row("outbound_proxy", help);
    }
    if let Some(transport) = &recipe.transport {
        row("transport", &code(transport));
    }
    if let Some(expires) = recipe.expires_s {
        row("expires_s", &expires.to_string());
    }
    row("user", &recipe.user);
    if let Some(auth_user) = &recipe.auth_user {
        row("auth_user", auth_user);
    }
    if let Some(password) = &recipe.password {
        row("password", password);
    }
    if !recipe.codecs.is_empty() {
        row("codecs", &recipe.codecs.join(", "));
    }
    if let Some(voicemail) = &recipe.voicemail {
        row("voicemail", &code(voicemail));
    }
    for note in &recipe.notes {
        row("note", note);
    }
    let dated = recipe.source_date.as_ref();
    let dated = dated.map_or_else(String::new, |date| format!(", of {date}"));
    let source = match recipe.evidence {
        Evidence::Tried => format!("`{}`", recipe.source),
        Evidence::Provider | Evidence::Public => format!("<{}>", recipe.source),
    };
    let evidence = recipe.evidence.as_str();
    let source = format!("{evidence}: {source}{dated}, read {}", recipe.read);
    row("source", &source);
}

fn with_help(value: &str, help: Option<&str>) -> String {
    help.map_or_else(|| value.to_owned(), |help| format!("{value} ({help})"))
}

/// Whether a codec of a recipe is one of this phone's.
#[cfg(test)]
fn is_known(codec: &str) -> bool {
    Codec::ALL.iter().any(|known| known.as_str() == codec)
}

#[cfg(test)]
mod tests;
