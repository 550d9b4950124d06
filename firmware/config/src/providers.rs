//! Recipes for PBXs and providers: facts with their source, used by `offhook setup` and the guide.
//!
//! ```text
//! providers/*.toml ─▶ all ─┬▶ look_up ─▶ `offhook setup` (setup_file)
//! unsupported.toml ────────┴▶ page ─▶ docs/guide/src/providers.md
//! ```
//!
//! A recipe holds facts only, each from the public page it names. `tried` is what a test of this
//! repository registers at. What people ask for and has no recipe is named with the reason.

mod page;
mod unsupported;

pub use page::page;
pub use unsupported::Unsupported;

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
    ("mynetfone", include_str!("providers/mynetfone.toml")),
    ("opensips", include_str!("providers/opensips.toml")),
    ("orange-es", include_str!("providers/orange-es.toml")),
    ("ovh", include_str!("providers/ovh.toml")),
    ("sipgate", include_str!("providers/sipgate.toml")),
    ("swisscom-cb", include_str!("providers/swisscom-cb.toml")),
    ("telekom", include_str!("providers/telekom.toml")),
    ("telnyx", include_str!("providers/telnyx.toml")),
    ("twilio", include_str!("providers/twilio.toml")),
    ("ucm", include_str!("providers/ucm.toml")),
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
    /// Whether there are accounts whose password is empty.
    #[serde(default)]
    pub password_may_be_empty: bool,
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

/// Those that people ask for and that have no recipe, by name.
pub fn without_recipe() -> Vec<Unsupported> {
    unsupported::all()
}

/// What a name stands for that somebody gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookUp {
    /// This one.
    Recipe(Box<Recipe>),
    /// One that has no recipe, and why.
    Unsupported(Unsupported),
    /// One of several: their identifiers.
    Several(Vec<String>),
    /// None.
    Unknown,
}

/// Letters and digits of a name, in lower case: `FRITZ!Box` and `fritzbox` are the same.
fn folded(name: &str) -> String {
    let letters = name.chars().filter(|c| c.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

/// Finds a recipe by its identifier, or by a part of its name that no other has.
pub fn look_up(given: &str) -> LookUp {
    let (recipes, unsupported) = (all(), unsupported::all());
    if let Some(recipe) = recipes.iter().find(|recipe| recipe.id == given) {
        return LookUp::Recipe(Box::new(recipe.clone()));
    }
    if let Some(found) = unsupported.iter().find(|one| one.id == given) {
        return LookUp::Unsupported(found.clone());
    }
    let given = folded(given);
    if given.is_empty() {
        return LookUp::Unknown;
    }
    let is_meant = |id: &str, name: &str| folded(id) == given || folded(name).contains(&given);
    let recipes: Vec<_> = recipes
        .into_iter()
        .filter(|recipe| is_meant(&recipe.id, &recipe.name))
        .collect();
    let unsupported: Vec<_> = unsupported
        .into_iter()
        .filter(|one| is_meant(&one.id, &one.name))
        .collect();
    match (recipes.as_slice(), unsupported.as_slice()) {
        ([], []) => LookUp::Unknown,
        ([recipe], []) => LookUp::Recipe(Box::new(recipe.clone())),
        ([], [one]) => LookUp::Unsupported(one.clone()),
        _ => {
            let ids = recipes.iter().map(|recipe| recipe.id.clone());
            LookUp::Several(
                ids.chain(unsupported.into_iter().map(|one| one.id))
                    .collect(),
            )
        }
    }
}

/// How the phone gets into its network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NetworkSettings {
    /// By cable, with an address from DHCP: nothing is written.
    #[default]
    Automatic,
    /// By a wireless network; an empty password: it has none.
    Wifi {
        /// Its name.
        ssid: String,
        /// Its password.
        password: String,
    },
    /// With an address of its own.
    Fixed {
        /// Address and prefix length.
        address: String,
        /// Router, which answers for names, too.
        router: String,
    },
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
    /// How it gets into its network; the keypad asks for that.
    pub network: NetworkSettings,
    /// What rings; none: what the board's profile says.
    pub ringer: Option<RingerChoice>,
}

/// A text in TOML's quotes.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A file's name as a shell takes it, on one line.
fn shell_word(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,@".contains(c);
    if !name.is_empty() && name.chars().all(is_plain) {
        return name.to_owned();
    }
    let shown: String = name.chars().filter(|c| !c.is_control()).collect();
    format!("'{}'", shown.replace('\'', "'\\''"))
}

/// The text of an `offhook.toml` with a comment for each line; `file` is the name it gets.
pub fn setup_file(answers: &Answers, file: &str) -> String {
    let mut out = format!(
        "# Written by `offhook setup`. After a change: offhook check {} --try\n\
         # Every other setting: docs/provisioning.md\n\n[phone]\n\
         # Tones, ringing cadence and emergency numbers of this country.\n",
        shell_word(file)
    );
    // Writing to a String cannot fail.
    let mut key = |name: &str, value: String| {
        let _ = writeln!(out, "{name} = {value}");
    };
    key("country", quoted(&answers.country));
    if let Some(language) = answers.language {
        key("language", quoted(language.as_str()));
    }
    network(&mut out, &answers.network);
    account(&mut out, answers);
    dial(&mut out, answers);
    board(&mut out, answers);
    out
}

fn account(out: &mut String, answers: &Answers) {
    let recipe = answers.recipe.as_ref();
    out.push('\n');
    if let Some(recipe) = recipe {
        // A test of this repository says nothing to the owner of a phone: what it tried is in the
        // notes.
        if recipe.evidence == Evidence::Tried {
            comment(
                out,
                &format!("{}, last tried {}:", recipe.name, recipe.read),
            );
        } else {
            let evidence = recipe.evidence.as_str();
            comment(
                out,
                &format!("{}, {evidence}, read {}:", recipe.name, recipe.read),
            );
            comment(out, &recipe.source);
        }
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

fn network(out: &mut String, network: &NetworkSettings) {
    // Writing to a String cannot fail.
    let _ = match network {
        NetworkSettings::Automatic => Ok(()),
        NetworkSettings::Wifi { ssid, password } if password.is_empty() => writeln!(
            out,
            "\n[wifi]\n# The wireless network, which has no password.\nssid = {}\n\
             security = \"open\"",
            quoted(ssid)
        ),
        NetworkSettings::Wifi { ssid, password } => writeln!(
            out,
            "\n[wifi]\n# The wireless network.\nssid = {}\n# Its password.\npassword = {}",
            quoted(ssid),
            quoted(password)
        ),
        NetworkSettings::Fixed { address, router } => writeln!(
            out,
            "\n[network]\n# The phone's own address; \"dhcp\": the network gives it one.\n\
             address = {}\n# The router.\ngateway = {1}\n# Who answers for names.\n\
             dns = [{1}]",
            quoted(address),
            quoted(router)
        ),
    };
}

fn dial(out: &mut String, answers: &Answers) {
    let recipe = answers.recipe.as_ref();
    if let Some(voicemail) = recipe.and_then(|recipe| recipe.voicemail.as_ref()) {
        let _ = writeln!(
            out,
            "\n[dial]\n# The mailbox, called by the star code *86.\nvoicemail = {}",
            quoted(voicemail)
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

/// Whether a codec of a recipe is one of this phone's.
#[cfg(test)]
fn is_known(codec: &str) -> bool {
    Codec::ALL.iter().any(|known| known.as_str() == codec)
}

#[cfg(test)]
mod tests;
