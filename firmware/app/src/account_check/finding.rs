//! What a check found: one line for a person, one object for a program.

use std::fmt;

use control::readable::displayable;
use serde::Serialize;

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mark {
    /// It works.
    Good,
    /// It works, or may; something should be known or changed.
    Warning,
    /// It does not work.
    Fault,
}

impl Mark {
    fn symbol(self) -> char {
        match self {
            Self::Good => '✓',
            Self::Warning => '!',
            Self::Fault => '✗',
        }
    }
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// An account's name, or a device.
    pub(crate) about: String,
    pub(crate) mark: Mark,
    /// What was found.
    pub(crate) text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) help: Option<String>,
}

impl Finding {
    pub(crate) fn good(about: &str, text: &str) -> Self {
        Self::new(about, Mark::Good, text, None)
    }

    pub(crate) fn warning(about: &str, text: &str, help: &str) -> Self {
        Self::new(about, Mark::Warning, text, Some(help))
    }

    pub(crate) fn fault(about: &str, text: &str, help: &str) -> Self {
        Self::new(about, Mark::Fault, text, Some(help))
    }

    /// A fault whose message says behind a semicolon what to do.
    pub(crate) fn fault_in_one(about: &str, message: &str) -> Self {
        match message.split_once("; ") {
            Some((text, help)) => Self::fault(about, text, help),
            None => Self::new(about, Mark::Fault, message, None),
        }
    }

    /// What servers wrote may be in it: no control characters get to a terminal.
    fn new(about: &str, mark: Mark, text: &str, help: Option<&str>) -> Self {
        Self {
            about: displayable(about),
            mark,
            text: displayable(text),
            help: help.map(displayable),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.mark.symbol(), self.about, self.text)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}
