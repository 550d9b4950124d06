//! One mechanical contact, debounced: edges with timestamps in, stable levels out. Hook, dial and
//! flash key are made of it.
//!
//! ```text
//! edge(level, at) ─▶ [ quiet for `quiet`? ] ─▶ level re-read ─▶ changed? ─▶ Some(level)
//! ```
//!
//! Edges can get lost (the kernel's queue is 16 deep, a bounce is faster than an interrupt), so the
//! last edge is never believed alone: when the burst is over the owner reads the line once more and
//! passes the level to [`Debouncer::handle_level`]. Before that, an edge that comes after a long
//! enough quiet proves that the level in between was real; so a train read late counts the same.

use std::time::{Duration, Instant};

use crate::{BoardError, Edge, EdgeLine};

/// What a line had to say, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It changed.
    Edge(Edge),
    /// The burst is over, or the quiet time is: what it reads now.
    Level(bool),
}

/// Reads a line to its end: all edges and, when there were some or `due`, the level. An edge that
/// comes while the level is being read counts by its own time: the level alone would make it one
/// that was lost, and the level before it would never be reported.
pub(crate) fn drain(
    line: &mut impl EdgeLine,
    due: bool,
    mut on_reading: impl FnMut(Reading),
) -> Result<(), BoardError> {
    let mut moved = due;
    let mut next = line.next_edge()?;
    loop {
        while let Some(edge) = next {
            moved = true;
            on_reading(Reading::Edge(edge));
            next = line.next_edge()?;
        }
        if !moved {
            return Ok(());
        }
        let level = line.level()?;
        next = line.next_edge()?;
        if next.is_none() {
            on_reading(Reading::Level(level));
            return Ok(());
        }
    }
}

/// A driver may report an edge so much later than the level shows it.
const LATE: Duration = Duration::from_millis(15);

/// A debounced contact.
#[derive(Debug, Clone)]
pub struct Debouncer {
    quiet: Duration,
    /// Level after the last edge.
    raw: bool,
    /// Level last reported; `None` until the first is.
    stable: Option<bool>,
    /// When the burst counts as over.
    due: Option<Instant>,
    /// First edge of the burst.
    began: Instant,
    /// The level showed a change whose edge had not come, and when; it may be late.
    recovered: Option<Instant>,
    doubt: Option<Doubt>,
}

/// Why a count of changes may be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// An edge came to the level that the line had had for long: one before it was lost, and what
    /// was between them with it.
    Lost,
    /// The level left for so long, and came back, without ever being quiet.
    Restless(Duration),
}

/// A debounced change: the new level, and when the contact took it (the first quiet moment, not the
/// report).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The level.
    pub level: bool,
    /// Since when.
    pub since: Instant,
    /// The first edge of the burst that ended in it.
    pub began: Instant,
}

impl Debouncer {
    /// A contact that reads `level` now; it is reported as a change after the first quiet `quiet`.
    pub fn new(quiet: Duration, level: bool, now: Instant) -> Self {
        Self {
            quiet,
            raw: level,
            stable: None,
            due: Some(now + quiet),
            began: now,
            recovered: None,
            doubt: None,
        }
    }

    /// The line changed to `level` at `at`. Reports the level before, if that had been quiet long
    /// enough.
    pub fn handle_edge(&mut self, level: bool, at: Instant) -> Option<Change> {
        let before = self.handle_time(at);
        let is_late = |read: Instant| at.saturating_duration_since(read) <= LATE;
        if level == self.raw && self.recovered.take().is_some_and(is_late) {
            // The edge of a change that was read already.
            self.began = self.began.min(at);
            return before;
        }
        if self.due.is_none() {
            self.begin(at);
            if level == self.raw && self.stable.is_some() {
                self.doubt = Some(Doubt::Lost);
            }
        }
        self.raw = level;
        self.due = Some(at + self.quiet);
        before
    }

    /// It is this late, and no edge came since the last: reports the level, if it has been quiet
    /// long enough.
    pub fn handle_time(&mut self, now: Instant) -> Option<Change> {
        if self.due.is_some_and(|due| due <= now) {
            self.commit()
        } else {
            None
        }
    }

    /// Why a count of changes may be wrong, once.
    pub fn poll_doubt(&mut self) -> Option<Doubt> {
        self.doubt.take()
    }

    fn begin(&mut self, at: Instant) {
        self.began = at;
        self.recovered = None;
    }

    /// When to read the line and call [`Debouncer::handle_level`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// The line reads `level` now. Call at [`Debouncer::poll_timeout`]; earlier calls only catch a
    /// lost edge.
    pub fn handle_level(&mut self, level: bool, now: Instant) -> Option<Change> {
        if level != self.raw {
            // An edge was lost: the quiet begins now.
            if self.due.is_none() {
                self.begin(now);
            }
            self.recovered = Some(now);
            self.raw = level;
            self.due = Some(now + self.quiet);
            // With no time to debounce (the kernel has debounced already) there is nothing to wait
            // for.
            return if self.quiet.is_zero() {
                self.commit()
            } else {
                None
            };
        }
        self.handle_time(now)
    }

    /// The level last reported.
    pub fn stable(&self) -> Option<bool> {
        self.stable
    }

    fn commit(&mut self) -> Option<Change> {
        let due = self.due.take()?;
        let since = due.checked_sub(self.quiet).unwrap_or(due);
        if self.stable == Some(self.raw) {
            self.doubt = Some(if self.recovered.is_some() {
                Doubt::Lost
            } else {
                Doubt::Restless(since.saturating_duration_since(self.began))
            });
            return None;
        }
        self.stable = Some(self.raw);
        Some(Change {
            level: self.raw,
            since,
            began: self.began,
        })
    }
}
