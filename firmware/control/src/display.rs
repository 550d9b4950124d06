//! What the display needs to remember: the menu, when somebody used the phone last, what failed.
//!
//! ```text
//! keys on hook ─▶ Menu ─▶ MenuAction        state, calls, history, menu ─▶ Control::screen ─▶ display::Screen, Light
//! ```
//!
//! The menu is there while the handset lies and nothing goes on. A call that comes in closes it at
//! once and rings as ever; lifting closes it and gives dial tone. Off the hook keys are digits and
//! nothing else. So no menu stands between a person and a call, and none before an emergency call:
//! only one who chose "call" in the menu, and sees whom, calls by lifting.

mod menu;
mod reasons;
mod words;

use std::time::{Duration, Instant};

use types::Key;

pub(crate) use menu::{Menu, MenuAction, MenuFacts, clock};
pub(crate) use reasons::Failure;
pub(crate) use words::{Word, date};

/// Keys meant for a menu that a call has just closed mean nothing for so long: `#` would refuse the
/// call.
const NO_LONGER_MENU: Duration = Duration::from_secs(1);

/// When the display is dim and dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DisplaySettings {
    /// How long without use until it is dim, if ever.
    pub dim_after: Option<Duration>,
    /// How long without use until it is dark, if ever.
    pub off_after: Option<Duration>,
}

/// How bright the display is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Brightness {
    /// Somebody uses the phone.
    Full,
    /// No one has used it for a while.
    Dim,
    /// No one is there.
    Dark,
}

impl Brightness {
    /// Its name on the control socket.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Dim => "dim",
            Self::Dark => "dark",
        }
    }
}

/// What is remembered for the display.
#[derive(Debug)]
pub(crate) struct DisplayState {
    settings: DisplaySettings,
    menu: Option<Menu>,
    used: Instant,
    /// A call closed the menu at this moment.
    closed_by_call: Option<Instant>,
    /// Calls missed since the handset was lifted last, or the history was looked at.
    pub(crate) missed: u32,
    /// Why the last thing dialled came to nothing.
    pub(crate) failure: Option<Failure>,
}

impl DisplayState {
    pub(crate) fn new(settings: DisplaySettings, now: Instant) -> Self {
        Self {
            settings,
            menu: None,
            used: now,
            closed_by_call: None,
            missed: 0,
            failure: None,
        }
    }

    /// Somebody does something, or something goes on.
    pub(crate) fn on_use(&mut self, now: Instant) {
        self.used = now;
    }

    /// The menu, while it is open.
    pub(crate) fn menu(&self) -> Option<&Menu> {
        self.menu.as_ref()
    }

    /// A key of a phone that lies on the hook with nothing going on. Returns what it orders.
    pub(crate) fn handle_key(
        &mut self,
        key: Key,
        facts: &dyn MenuFacts,
        now: Instant,
    ) -> Option<MenuAction> {
        self.expire(now);
        let Some(menu) = &mut self.menu else {
            self.menu = Menu::open(key, facts, now);
            return None;
        };
        let action = menu.handle_key(key, facts, now);
        if menu.is_closed() {
            self.menu = None;
        } else if menu.shows_history() {
            self.missed = 0;
        }
        action
    }

    /// Whether a key is to be left alone: the menu it was meant for was closed by a call.
    pub(crate) fn swallows_key(&self, now: Instant) -> bool {
        let closed = self.closed_by_call;
        closed.is_some_and(|at| now.saturating_duration_since(at) < NO_LONGER_MENU)
    }

    /// Something goes on: the menu closes. `rings`: a call comes in.
    pub(crate) fn close_menu(&mut self, rings: bool, now: Instant) {
        if self.menu.take().is_some() && rings {
            self.closed_by_call = Some(now);
        }
    }

    /// The handset was lifted. Returns the number to be called, where the menu was asked for that.
    pub(crate) fn on_lift(&mut self, now: Instant) -> Option<String> {
        self.expire(now);
        self.missed = 0;
        self.failure = None;
        let menu = self.menu.take()?;
        menu.number_to_call()
    }

    /// Closes a menu that no one uses.
    pub(crate) fn expire(&mut self, now: Instant) {
        if self.menu.as_ref().is_some_and(|menu| menu.is_stale(now)) {
            self.menu = None;
        }
    }

    /// How bright it is to be.
    pub(crate) fn brightness(&self, now: Instant) -> Brightness {
        let unused = now.saturating_duration_since(self.used);
        let since = |limit: Option<Duration>| limit.is_some_and(|limit| unused >= limit);
        if since(self.settings.off_after) {
            Brightness::Dark
        } else if since(self.settings.dim_after) {
            Brightness::Dim
        } else {
            Brightness::Full
        }
    }
}
