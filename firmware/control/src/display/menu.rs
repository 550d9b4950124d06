//! The menu: for a keypad of twelve keys, while the handset lies.
//!
//! ```text
//! 5 or # opens it ─▶ calls, phone book, volume, ringing, network, about
//!     2 up   4 less, page up     5 # choose    1 3 the letter before, after (phone book)
//!     8 down 6 more, page down   0 * back
//! a call or a contact, # ─▶ its page, # ─▶ "lift to call" ─▶ lifting calls it
//! ```

use std::time::{Duration, Instant};

use config::codes::StarCode;
use display::{Body, Icon, Item, Screen};
use phone::{Features, VolumeOf, Volumes};
use types::{Key, Language};

use super::words::Word;
use crate::event::CallDirection;
use crate::history::{CallOutcome, HistoryEntry};
use crate::phone_book::Contact;

/// A menu that no one uses closes after so long.
const OPEN: Duration = Duration::from_secs(30);
/// Rows that the keys for pages skip.
const PAGE: usize = 5;
/// One press of a key for a volume, in dB.
const STEP_DB: i8 = 3;
/// Ends of a volume in dB, as the volume keys have them.
const LEVELS_DB: (i8, i8) = (-30, 12);

/// What the menu shows.
pub(crate) trait MenuFacts {
    /// What it is written in.
    fn language(&self) -> Language;
    /// The calls, the newest first.
    fn history(&self) -> Vec<HistoryEntry>;
    /// The contacts, in any order.
    fn contacts(&self) -> Vec<Contact>;
    /// What the volume keys have added.
    fn volumes(&self) -> Volumes;
    /// What is set from the handset.
    fn features(&self) -> Features;
    /// Lines about accounts, addresses and faults.
    fn network(&self) -> Vec<String>;
    /// Lines about this phone.
    fn about(&self) -> Vec<String>;
    /// A moment as day and time of day.
    fn moment(&self, unix_s: u64) -> String;
}

/// What a key of the menu orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MenuAction {
    /// Set a volume to so many dB.
    Volume(VolumeOf, i8),
    /// Set what a star code sets.
    Setting(StarCode),
}

/// Who can be called.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Party {
    name: String,
    number: String,
}

/// One picture of the menu.
#[derive(Debug)]
enum Page {
    Top(usize),
    History {
        entries: Vec<HistoryEntry>,
        selected: usize,
    },
    Contacts {
        contacts: Vec<Contact>,
        selected: usize,
    },
    Volumes(usize),
    Volume(VolumeOf),
    Ringing(usize),
    /// Text of a title; some party may be called from it.
    Text {
        title: Word,
        lines: Vec<String>,
        first: usize,
        party: Option<Party>,
    },
    /// Lifting calls it.
    Lift(Party),
}

/// The first page's choices.
const TOP: [Word; 6] = [
    Word::History,
    Word::PhoneBook,
    Word::Volume,
    Word::Ringing,
    Word::Network,
    Word::About,
];
/// What has a volume.
const VOLUMES: [(VolumeOf, Word); 4] = [
    (VolumeOf::Earpiece, Word::Earpiece),
    (VolumeOf::Speaker, Word::Speaker),
    (VolumeOf::Ringer, Word::Ringer),
    (VolumeOf::Microphone, Word::Microphone),
];
/// What can be set of the ringing.
const RINGING: [Word; 6] = [
    Word::Ringer,
    Word::DoNotDisturb,
    Word::ForwardAll,
    Word::ForwardBusy,
    Word::ForwardNoAnswer,
    Word::HideNumber,
];

/// An open menu.
#[derive(Debug)]
pub(crate) struct Menu {
    /// The pages on the way to the one that is seen; empty: it is closed.
    pages: Vec<Page>,
    touched: Instant,
}

impl Menu {
    /// Opens it by the first key, if that key does.
    pub(crate) fn open(key: Key, facts: &dyn MenuFacts, now: Instant) -> Option<Self> {
        let page = match key {
            Key::Digit(5) | Key::Hash => Page::Top(0),
            // The history is one key away.
            Key::Digit(2 | 8) => history(facts),
            Key::Digit(_) | Key::Star | Key::Letter(_) => return None,
        };
        Some(Self {
            pages: vec![page],
            touched: now,
        })
    }

    /// Its last page was left.
    pub(crate) fn is_closed(&self) -> bool {
        self.pages.is_empty()
    }

    /// No one has used it for long.
    pub(crate) fn is_stale(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.touched) >= OPEN
    }

    /// The history is what is seen.
    pub(crate) fn shows_history(&self) -> bool {
        matches!(self.pages.last(), Some(Page::History { .. }))
    }

    /// Whom lifting calls.
    pub(crate) fn number_to_call(self) -> Option<String> {
        match self.pages.into_iter().next_back() {
            Some(Page::Lift(party)) => Some(party.number),
            Some(_) | None => None,
        }
    }

    /// A key. Returns what it orders.
    pub(crate) fn handle_key(
        &mut self,
        key: Key,
        facts: &dyn MenuFacts,
        now: Instant,
    ) -> Option<MenuAction> {
        self.touched = now;
        match key {
            Key::Star | Key::Digit(0) => {
                self.pages.pop();
                None
            }
            Key::Digit(5) | Key::Hash => self.choose(facts),
            Key::Digit(2) => self.walk(-1, facts),
            Key::Digit(8) => self.walk(1, facts),
            Key::Digit(4) => self.walk(-(PAGE as isize), facts),
            Key::Digit(6) => self.walk(PAGE as isize, facts),
            Key::Digit(1) => self.walk_letter(false),
            Key::Digit(3) => self.walk_letter(true),
            Key::Digit(_) | Key::Letter(_) => None,
        }
    }

    fn walk(&mut self, steps: isize, facts: &dyn MenuFacts) -> Option<MenuAction> {
        let (selected, count) = match self.pages.last_mut()? {
            Page::Top(selected) => (selected, TOP.len()),
            Page::History { entries, selected } => (selected, entries.len()),
            Page::Contacts { contacts, selected } => (selected, contacts.len()),
            Page::Volumes(selected) => (selected, VOLUMES.len()),
            Page::Ringing(selected) => (selected, RINGING.len()),
            Page::Volume(of) => {
                // Up and right are louder.
                let louder = matches!(steps, -1 | 2..);
                let step = if louder { STEP_DB } else { -STEP_DB };
                let db = facts.volumes().of(*of).saturating_add(step);
                let db = db.clamp(LEVELS_DB.0, LEVELS_DB.1);
                return Some(MenuAction::Volume(*of, db));
            }
            Page::Text { lines, first, .. } => (first, lines.len() * 4),
            Page::Lift(_) => return None,
        };
        *selected = selected
            .saturating_add_signed(steps)
            .min(count.saturating_sub(1));
        None
    }

    /// To the first contact of the next letter, or of this one or the one before.
    fn walk_letter(&mut self, forward: bool) -> Option<MenuAction> {
        let Page::Contacts { contacts, selected } = self.pages.last_mut()? else {
            return None;
        };
        let letter = |index: usize| contacts.get(index).map(|c| initial(&c.name));
        let here = letter(*selected);
        if forward {
            let next = (*selected..contacts.len()).find(|index| letter(*index) != here);
            *selected = next.unwrap_or(contacts.len().saturating_sub(1));
        } else {
            let before = letter(selected.saturating_sub(1));
            let first = (0..*selected).find(|index| letter(*index) == before);
            *selected = first.unwrap_or(0);
        }
        None
    }

    fn choose(&mut self, facts: &dyn MenuFacts) -> Option<MenuAction> {
        let next = match self.pages.last()? {
            Page::Top(selected) => match TOP.get(*selected)? {
                Word::History => history(facts),
                Word::PhoneBook => {
                    let mut contacts = facts.contacts();
                    contacts.sort_by_cached_key(|contact| display::sort_key(&contact.name));
                    Page::Contacts {
                        contacts,
                        selected: 0,
                    }
                }
                Word::Volume => Page::Volumes(0),
                Word::Ringing => Page::Ringing(0),
                Word::Network => text(Word::Network, facts.network()),
                _ => text(Word::About, facts.about()),
            },
            Page::History { entries, selected } => call_page(entries.get(*selected)?, facts),
            Page::Contacts { contacts, selected } => {
                let contact = contacts.get(*selected)?;
                Page::Lift(Party {
                    name: contact.name.clone(),
                    number: contact.number.clone(),
                })
            }
            Page::Volumes(selected) => Page::Volume(VOLUMES.get(*selected)?.0),
            Page::Ringing(selected) => match RINGING.get(*selected)? {
                Word::Ringer => Page::Volume(VolumeOf::Ringer),
                setting => return toggled(*setting, &facts.features()),
            },
            Page::Text {
                party: Some(party), ..
            } => Page::Lift(party.clone()),
            Page::Text { party: None, .. } | Page::Volume(_) | Page::Lift(_) => {
                self.pages.pop();
                return None;
            }
        };
        self.pages.push(next);
        None
    }

    /// The page that is seen. `icons`: what the status bar shows anyway.
    pub(crate) fn screen(&self, facts: &dyn MenuFacts, icons: Vec<Icon>) -> Screen {
        let language = facts.language();
        let word = |word: Word| word.text(language).to_owned();
        let on_off = |on: bool| word(if on { Word::On } else { Word::Off });
        let list = |items: Vec<Item>, selected: usize| {
            if items.is_empty() {
                return Body::Page {
                    lines: vec![word(Word::Empty)],
                    first: 0,
                };
            }
            Body::List { items, selected }
        };
        let (title, body) = match self.pages.last() {
            None => (Word::Menu, list(Vec::new(), 0)),
            Some(Page::Top(selected)) => {
                let items = TOP.iter().map(|item| Item::new(word(*item)));
                (Word::Menu, list(items.collect(), *selected))
            }
            Some(Page::History { entries, selected }) => {
                let items = entries.iter().map(|entry| {
                    let who = if entry.name.is_empty() {
                        word(Word::Unknown)
                    } else {
                        entry.name.clone()
                    };
                    Item::new(format!("{} {who}", sign(entry)))
                });
                (Word::History, list(items.collect(), *selected))
            }
            Some(Page::Contacts { contacts, selected }) => {
                let items = contacts.iter().map(|contact| Item::new(&contact.name));
                (Word::PhoneBook, list(items.collect(), *selected))
            }
            Some(Page::Volumes(selected)) => {
                let level = |of| format!("{:+} dB", facts.volumes().of(of));
                let items = VOLUMES.map(|(of, name)| Item::with_value(word(name), level(of)));
                (Word::Volume, list(items.to_vec(), *selected))
            }
            Some(Page::Volume(of)) => {
                let named = VOLUMES.iter().find(|(known, _)| known == of);
                let db = facts.volumes().of(*of);
                let (least, most) = (i32::from(LEVELS_DB.0), i32::from(LEVELS_DB.1));
                let percent = (i32::from(db) - least) * 100 / (most - least);
                let body = Body::Level {
                    value: format!("{db:+} dB"),
                    percent: percent.clamp(0, 100) as u8,
                    hint: word(Word::LessMore),
                };
                (named.map_or(Word::Volume, |(_, name)| *name), body)
            }
            Some(Page::Ringing(selected)) => {
                let features = facts.features();
                let target = |to: &Option<String>| to.clone().unwrap_or_else(|| on_off(false));
                let items = RINGING.map(|item| {
                    let value = match item {
                        Word::DoNotDisturb => on_off(features.dnd),
                        Word::ForwardAll => target(&features.forward_always),
                        Word::ForwardBusy => target(&features.forward_busy),
                        Word::ForwardNoAnswer => target(&features.forward_no_answer),
                        Word::HideNumber => on_off(features.anonymous),
                        _ => format!("{:+} dB", facts.volumes().ringer_db),
                    };
                    Item::with_value(word(item), value)
                });
                (Word::Ringing, list(items.to_vec(), *selected))
            }
            Some(Page::Text {
                title,
                lines,
                first,
                ..
            }) => {
                let (lines, first) = (lines.clone(), *first);
                (*title, Body::Page { lines, first })
            }
            Some(Page::Lift(party)) => {
                let (heading, number) = (party.name.clone(), party.number.clone());
                let lines = vec![number, word(Word::LiftToCall)];
                (Word::Dial, Body::Notice { heading, lines })
            }
        };
        Screen {
            title: word(title),
            icons,
            body,
        }
    }
}

fn history(facts: &dyn MenuFacts) -> Page {
    Page::History {
        entries: facts.history(),
        selected: 0,
    }
}

fn text(title: Word, lines: Vec<String>) -> Page {
    Page::Text {
        title,
        lines,
        first: 0,
        party: None,
    }
}

/// What a key makes of a setting: on or off, and a forwarding off (it needs a number to be on).
fn toggled(setting: Word, features: &Features) -> Option<MenuAction> {
    let code = match setting {
        Word::DoNotDisturb if features.dnd => StarCode::DndOff,
        Word::DoNotDisturb => StarCode::DndOn,
        Word::HideNumber if features.anonymous => StarCode::AnonymousOff,
        Word::HideNumber => StarCode::AnonymousOn,
        Word::ForwardAll if features.forward_always.is_some() => StarCode::ForwardAlwaysOff,
        Word::ForwardBusy if features.forward_busy.is_some() => StarCode::ForwardBusyOff,
        Word::ForwardNoAnswer if features.forward_no_answer.is_some() => {
            StarCode::ForwardNoAnswerOff
        }
        _ => return None,
    };
    Some(MenuAction::Setting(code))
}

/// Everything that is known of one call.
fn call_page(entry: &HistoryEntry, facts: &dyn MenuFacts) -> Page {
    let language = facts.language();
    let word = |word: Word| word.text(language);
    let outcome = match (entry.outcome, entry.direction) {
        (CallOutcome::Answered, CallDirection::Out) => Word::Dialled,
        (CallOutcome::Answered, CallDirection::In) => Word::Received,
        (CallOutcome::Missed, _) => Word::Missed,
        (CallOutcome::AnsweredElsewhere, _) => Word::Elsewhere,
        (CallOutcome::Refused, _) => Word::Refused,
        (CallOutcome::Failed, _) => Word::NotReached,
        (CallOutcome::Message, _) => Word::Message,
    };
    let mut lines = vec![entry.name.clone()];
    if entry.number != entry.name {
        lines.push(entry.number.clone());
    }
    let party = (!entry.number.is_empty()).then(|| Party {
        name: entry.name.clone(),
        number: entry.number.clone(),
    });
    lines.extend(party.as_ref().map(|_| word(Word::Call).to_owned()));
    lines.push(facts.moment(entry.time));
    lines.extend(entry.text.clone());
    if entry.duration_s > 0 {
        lines.push(format!(
            "{} {}",
            word(Word::Duration),
            clock(entry.duration_s)
        ));
    }
    if let Some(mos) = entry.mos {
        lines.push(format!("{} {mos:.1}", word(Word::Quality)));
    }
    if !matches!(entry.encryption.as_str(), "" | "none" | "waiting") {
        lines.push(format!("{}: {}", word(Word::Encrypted), entry.encryption));
    }
    if !entry.reason.is_empty() {
        lines.push(entry.reason.clone());
    }
    lines.retain(|line| !line.is_empty());
    Page::Text {
        title: outcome,
        lines,
        first: 0,
        party,
    }
}

/// A length of time as people read it: 0:05, 1:02:03.
pub(crate) fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// What became of a call, as one sign before its name.
fn sign(entry: &HistoryEntry) -> char {
    match (entry.outcome, entry.direction) {
        (CallOutcome::Missed, _) => '!',
        (CallOutcome::Message, _) => '@',
        (CallOutcome::Failed, _) => '\u{d7}',
        (_, CallDirection::Out) => '\u{bb}',
        (_, CallDirection::In) => '\u{ab}',
    }
}

fn initial(name: &str) -> Option<char> {
    display::sort_key(name).chars().next()
}

#[cfg(test)]
mod tests;
