//! Which texts a phone runs by, decided without touching a file: the layers, and the last good one
//! where the new one is bad.
//!
//! ```text
//! country data        (the plan of [phone] country, in this crate)            weakest
//! board               (offhook.toml in the directory of the board's profile)
//! network             (fetched from [provision] url, kept on the phone)
//! card                (offhook.toml on the card; where it is bad: the last good one)   strongest
//!        └─▶ decide ─▶ config to run by, where it is from, what is wrong with the rest, text to keep as the last good one
//! ```
//!
//! The owner reads and writes the files; kept texts hold passwords and belong in files only the
//! phone can read.

use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::load::{Layer, load_layers, warnings};
use crate::schema::Secret;
use crate::{Config, Error, Errors, MAX_ERRORS};

/// The table of precedence, weakest first: layer, where it is, what it may set. Printed in
/// `docs/provisioning.md`.
pub const PRECEDENCE: [(&str, &str, &str); 4] = [
    (
        "country data",
        "in the program, by `[phone] country`",
        "tones, ringing, flash window, emergency numbers, time zone",
    ),
    (
        "board",
        "`offhook.toml` in the directory of the board's profile",
        "every key",
    ),
    (
        "network",
        "fetched from `[provision] url` or the address DHCP provides, kept on the data partition",
        "every key but files, devices, SSH keys and `allow_http`",
    ),
    ("card", "`offhook.toml` on the card", "every key"),
];

/// The texts there are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Texts<'a> {
    /// What the board's folder says.
    pub board: Option<Layer<'a>>,
    /// What was fetched.
    pub network: Option<Layer<'a>>,
    /// The file a person writes.
    pub card: Option<Layer<'a>>,
    /// The last text of that file that was good.
    pub last_good: Option<&'a [u8]>,
}

/// Where the configuration in use comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The file as it is now.
    File,
    /// The last text that had no errors.
    LastGood,
    /// Neither could be used: the defaults, and whatever board and network say.
    Defaults,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The configuration to run by.
    pub config: Config,
    /// Where it comes from.
    pub source: Source,
    /// What the network said is part of it.
    pub network: bool,
    /// What is wrong, for log, `status` and `status.txt`; `None` when all is fine or absent.
    pub errors: Option<Errors>,
    /// What should be written differently in the texts in use, see [`crate::warnings`].
    pub warnings: Vec<Error>,
    /// One line that says which configuration is in use and why.
    pub report: String,
    /// Write these bytes as the new last good configuration. Never shown: they hold passwords.
    pub keep: Option<Secret>,
}

/// The state directory that a text names, which may have errors elsewhere; else the default. It is
/// needed before the text can be used: its secrets may lie there.
pub fn state_dir(bytes: &[u8]) -> PathBuf {
    let default = || Config::default().control.state_dir;
    let Ok(text) = std::str::from_utf8(bytes) else {
        return default();
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > crate::MAX_BYTES {
        return default();
    }
    let (document, _) = DeTable::parse_recoverable(text);
    let control = document.get_ref().get("control").map(Spanned::get_ref);
    let Some(DeValue::Table(control)) = control else {
        return default();
    };
    match control.get("state_dir").map(Spanned::get_ref) {
        Some(DeValue::String(path)) if !path.is_empty() => PathBuf::from(path.as_ref()),
        Some(_) | None => default(),
    }
}

/// Decides. A layer that cannot be used is left out and reported; the card's own text is replaced
/// by the last good one.
pub fn decide(texts: Texts<'_>) -> Decision {
    let mut errors = Vec::new();
    if let Some(card) = texts.card {
        match fit(texts, Some(card), &mut errors) {
            Some((config, network)) => {
                let new = texts.last_good != Some(card.bytes);
                return Decision {
                    config,
                    source: Source::File,
                    warnings: warnings_of(texts, Some(card)),
                    network,
                    report: if errors.is_empty() {
                        format!("{} is in use", card.name)
                    } else {
                        format!(
                            "{} is in use, but a layer below it has errors and is not",
                            card.name
                        )
                    },
                    errors: non_empty(errors),
                    keep: new.then(|| Secret(String::from_utf8_lossy(card.bytes).into_owned())),
                };
            }
            None => keep_most_useful(&mut errors, card),
        }
    }
    let name = texts.card.map_or("offhook.toml", |card| card.name);
    let why = match errors.len() {
        0 => format!("there is no {name}"),
        1 => format!("{name} has an error"),
        some => format!("{name} has {some} errors"),
    };
    let last_good = texts.last_good.map(|bytes| Layer {
        name: "last good configuration",
        bytes,
        remote: false,
    });
    let mut more = Vec::new();
    if let Some(last_good) = last_good
        && let Some((config, network)) = fit(texts, Some(last_good), &mut more)
    {
        errors.extend(more);
        return Decision {
            config,
            source: Source::LastGood,
            warnings: warnings_of(texts, Some(last_good)),
            network,
            errors: non_empty(errors),
            report: format!("{why}: the last good configuration stays in use; correct the file"),
            keep: None,
        };
    }
    let mut more = Vec::new();
    let (config, network) =
        fit(texts, None, &mut more).unwrap_or_else(|| (Config::default(), false));
    errors.extend(more);
    Decision {
        config,
        source: Source::Defaults,
        warnings: warnings_of(texts, None),
        network,
        errors: non_empty(errors),
        report: format!(
            "{why} and no good one was kept: the defaults are in use; write the file again"
        ),
        keep: None,
    }
}

fn warnings_of(texts: Texts<'_>, top: Option<Layer<'_>>) -> Vec<Error> {
    let layers = [texts.board, texts.network, top].into_iter().flatten();
    layers
        .flat_map(|layer| warnings(layer.bytes, layer.name))
        .collect()
}

/// The first of these stacks that holds: all of it, without the network, without the board, the top
/// alone. What kept the whole from holding is reported. `None`: the top itself is bad.
fn fit(
    texts: Texts<'_>,
    top: Option<Layer<'_>>,
    errors: &mut Vec<Error>,
) -> Option<(Config, bool)> {
    let stacks = [
        (texts.board, texts.network),
        (texts.board, None),
        (None, texts.network),
        (None, None),
    ];
    for (tried, (board, network)) in stacks.into_iter().enumerate() {
        let layers: Vec<Layer<'_>> = [board, network, top].into_iter().flatten().collect();
        match load_layers(&layers) {
            Ok(config) => return Some((config, network.is_some())),
            Err(wrong) if tried == 0 => errors.extend(wrong.0),
            Err(_) => {}
        }
    }
    None
}

/// Of a card that is bad by itself only its own errors are reported: they are what its owner can
/// correct.
fn keep_most_useful(errors: &mut Vec<Error>, card: Layer<'_>) {
    errors.retain(|error| error.file == card.name);
}

fn non_empty(mut errors: Vec<Error>) -> Option<Errors> {
    errors.truncate(MAX_ERRORS);
    (!errors.is_empty()).then_some(Errors(errors))
}

#[cfg(test)]
mod tests;
