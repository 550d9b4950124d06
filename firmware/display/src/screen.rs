//! What there is to show.

use crate::icon::Icon;

/// One whole picture, as values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screen {
    /// Left in the status bar: an account, what a list is about.
    pub title: String,
    /// Right in it, the most important one first; those without room are left out.
    pub icons: Vec<Icon>,
    /// Below it.
    pub body: Body,
}

impl Screen {
    /// The texts below the status bar, from the top; a chosen one begins with `> `.
    pub fn lines(&self) -> Vec<String> {
        let all = |first: &[&String], more: &[String]| -> Vec<String> {
            let all = first.iter().copied().chain(more).cloned();
            all.filter(|line| !line.is_empty()).collect()
        };
        match &self.body {
            Body::Clock {
                time,
                date,
                notices,
            } => all(&[time, date], notices),
            Body::Number { digits, hint } => all(&[digits, hint], &[]),
            Body::Call {
                name,
                number,
                time,
                lines,
            } => all(&[name, number, time], lines),
            Body::List { items, selected } => {
                let line = |(index, item): (usize, &Item)| {
                    let mark = if index == *selected { "> " } else { "" };
                    format!("{mark}{} {}", item.text, item.value)
                        .trim_end()
                        .to_owned()
                };
                items.iter().enumerate().map(line).collect()
            }
            Body::Page { lines, .. } => lines.clone(),
            Body::Level { value, hint, .. } => all(&[value, hint], &[]),
            Body::Notice { heading, lines } => all(&[heading], lines),
        }
    }
}

/// What is below the status bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Nothing goes on.
    Clock {
        /// Time of day.
        time: String,
        /// The day.
        date: String,
        /// What is to be known, the most important line first.
        notices: Vec<String>,
    },
    /// A number that is being dialled.
    Number {
        /// The digits so far; of too many the last ones are shown.
        digits: String,
        /// What they mean, or what to do.
        hint: String,
    },
    /// A call.
    Call {
        /// Who: the largest letters that have room.
        name: String,
        /// The number; empty where the name is it.
        number: String,
        /// How long it has lasted.
        time: String,
        /// More of it, the most important line first.
        lines: Vec<String>,
    },
    /// Something to choose from.
    List {
        /// The choices.
        items: Vec<Item>,
        /// Which one is chosen.
        selected: usize,
    },
    /// Text that may be longer than the screen.
    Page {
        /// Its lines; long ones are folded.
        lines: Vec<String>,
        /// The first row shown; one behind the end shows the last rows.
        first: usize,
    },
    /// A level between two ends.
    Level {
        /// What it is now, in words.
        value: String,
        /// How much of it there is, in percent.
        percent: u8,
        /// What to do.
        hint: String,
    },
    /// Something happened, or something is to be done.
    Notice {
        /// What, in few words.
        heading: String,
        /// More of it.
        lines: Vec<String>,
    },
}

/// One choice of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Item {
    /// What it is.
    pub text: String,
    /// What it is set to; at the right.
    pub value: String,
}

impl Item {
    /// A choice that has no value.
    pub fn new(text: impl Into<String>) -> Self {
        Self::with_value(text, "")
    }

    /// A choice that is set to something.
    pub fn with_value(text: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            value: value.into(),
        }
    }
}
