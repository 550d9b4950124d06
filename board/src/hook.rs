//! The hook switch: is the handset lifted?
//!
//! ```text
//! gpiocdev edges ─▶ HookDecoder (debounce, normally open / closed) ─▶ BoardEvent::Hook
//!        ▲ level re-read when a burst is over, and at start: the phone may boot off hook
//! ```

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::contact::{self, Debouncer, Reading};
use crate::{BoardError, BoardEvent, EdgeLine, Input};

/// What the contact does while the handset rests on the hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contact {
    /// Open at rest, closes when the handset is lifted.
    #[default]
    NormallyOpen,
    /// Closed at rest, opens when the handset is lifted.
    NormallyClosed,
}

/// From contact levels to `Hook(lifted)`; pure.
#[derive(Debug, Clone)]
pub struct HookDecoder {
    contact: Contact,
    debounce: Debouncer,
}

impl HookDecoder {
    /// `closed`: the contact's level now. The first event comes one quiet `debounce` later,
    /// whatever the level.
    pub fn new(contact: Contact, debounce: Duration, closed: bool, now: Instant) -> Self {
        Self {
            contact,
            debounce: Debouncer::new(debounce, closed, now),
        }
    }

    /// The contact closed or opened at `at`.
    pub fn handle_edge(&mut self, closed: bool, at: Instant) -> Option<BoardEvent> {
        self.debounce
            .handle_edge(closed, at)
            .map(|change| self.event(change.level))
    }

    /// The contact reads `closed` now.
    pub fn handle_level(&mut self, closed: bool, now: Instant) -> Option<BoardEvent> {
        self.debounce
            .handle_level(closed, now)
            .map(|change| self.event(change.level))
    }

    /// When to read the contact and call [`HookDecoder::handle_level`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.debounce.poll_timeout()
    }

    fn event(&self, closed: bool) -> BoardEvent {
        BoardEvent::Hook(match self.contact {
            Contact::NormallyOpen => closed,
            Contact::NormallyClosed => !closed,
        })
    }
}

/// A hook switch on a line.
pub struct HookSwitch<L> {
    line: L,
    decoder: HookDecoder,
}

impl<L: EdgeLine> HookSwitch<L> {
    /// Reads the line; its level is reported after the first quiet `debounce`.
    pub fn new(
        mut line: L,
        contact: Contact,
        debounce: Duration,
        now: Instant,
    ) -> Result<Self, BoardError> {
        let closed = line.level()?;
        Ok(Self {
            line,
            decoder: HookDecoder::new(contact, debounce, closed, now),
        })
    }
}

impl<L: EdgeLine> Input for HookSwitch<L> {
    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.line.fd().into_iter().collect()
    }

    fn handle_ready(
        &mut self,
        now: Instant,
        out: &mut dyn FnMut(BoardEvent),
    ) -> Result<(), BoardError> {
        let due = self.decoder.poll_timeout().is_some_and(|due| due <= now);
        let decoder = &mut self.decoder;
        contact::drain(&mut self.line, due, |reading| {
            match reading {
                Reading::Edge(edge) => decoder.handle_edge(edge.level, edge.at),
                Reading::Level(closed) => decoder.handle_level(closed, now),
            }
            .into_iter()
            .for_each(&mut *out);
        })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.decoder.poll_timeout()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pins::SimulatedLine;
    use proptest::prelude::*;

    const DEBOUNCE: Duration = Duration::from_millis(20);

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Plays a trace of (ms, closed) edges; the line is re-read at each due time. Edges in `lost`
    /// change the line but are not delivered.
    fn run(
        contact: Contact,
        closed_at_start: bool,
        trace: &[(u64, bool)],
        lost: &[usize],
    ) -> Vec<(u64, bool)> {
        let t0 = Instant::now();
        let mut hook = HookDecoder::new(contact, DEBOUNCE, closed_at_start, t0);
        let mut seen = Vec::new();
        let mut level = closed_at_start;
        let mut next = 0;
        for t in 0..=trace.last().map_or(0, |e| e.0) + 1000 {
            let now = t0 + ms(t);
            let mut note = |event: Option<BoardEvent>| match event {
                Some(BoardEvent::Hook(off)) => seen.push((t, off)),
                Some(other) => panic!("{other:?} from a hook"),
                None => {}
            };
            while next < trace.len() && trace[next].0 == t {
                level = trace[next].1;
                if !lost.contains(&next) {
                    note(hook.handle_edge(level, now));
                }
                next += 1;
            }
            if hook.poll_timeout().is_some_and(|due| due <= now) {
                note(hook.handle_level(level, now));
            }
        }
        seen
    }

    #[test]
    fn the_level_is_reported_at_start() {
        assert_eq!(run(Contact::NormallyOpen, false, &[], &[]), [(20, false)]);
        assert_eq!(
            run(Contact::NormallyOpen, true, &[], &[]),
            [(20, true)],
            "booted off hook"
        );
        assert_eq!(run(Contact::NormallyClosed, true, &[], &[]), [(20, false)]);
        assert_eq!(
            run(Contact::NormallyClosed, false, &[], &[]),
            [(20, true)],
            "booted off hook"
        );
    }

    #[test]
    fn a_bouncing_contact_is_one_lift() {
        let lift = [
            (100, true),
            (101, false),
            (103, true),
            (104, false),
            (109, true),
            (400, false),
            (402, true),
            (405, false),
        ];
        assert_eq!(
            run(Contact::NormallyOpen, false, &lift, &[]),
            [(20, false), (129, true), (425, false)]
        );
    }

    #[test]
    fn a_change_shorter_than_the_debounce_is_ignored() {
        assert_eq!(
            run(
                Contact::NormallyOpen,
                false,
                &[(100, true), (112, false)],
                &[]
            ),
            [(20, false)]
        );
    }

    #[test]
    fn the_level_wins_over_the_edges() {
        // The last edge of the burst is lost: the line is closed though the last edge delivered was
        // "open".
        let lift = [(100, true), (103, false), (104, true)];
        assert_eq!(
            run(Contact::NormallyOpen, false, &lift, &[2]),
            [(20, false), (143, true)]
        );
    }

    #[test]
    fn a_flash_keeps_its_length() {
        let flash = [(100, true), (500, false), (700, true)];
        let seen = run(Contact::NormallyOpen, false, &flash, &[]);
        assert_eq!(seen[2].0.abs_diff(seen[3].0), 200, "{seen:?}");
    }

    proptest! {
        /// However it bounces, and whatever edges get lost: once quiet, the last event is the
        /// level, and no two events in a row are the same.
        #[test]
        fn the_last_report_is_the_level(
            closed in any::<bool>(),
            normally_closed in any::<bool>(),
            gaps in prop::collection::vec(0u64..60, 0..60),
            lost in prop::collection::vec(0usize..60, 0..20),
        ) {
            let contact =
                if normally_closed { Contact::NormallyClosed } else { Contact::NormallyOpen };
            let (mut t, mut level, mut trace) = (0, closed, Vec::new());
            for gap in gaps {
                t += gap;
                level = !level;
                trace.push((t, level));
            }
            // An edge lost at the very end with none after it cannot be detected: the last
            // two are always delivered.
            let lost: Vec<_> = lost.into_iter().filter(|&i| i + 2 < trace.len()).collect();
            let seen = run(contact, closed, &trace, &lost);
            prop_assert_eq!(seen.last().map(|s| s.1), Some(level != normally_closed));
            prop_assert!(seen.windows(2).all(|w| w[0].1 != w[1].1), "reported twice: {:?}", seen);
        }
    }

    #[test]
    fn an_edge_during_the_level_read_loses_no_change() {
        let t0 = Instant::now();
        let line = SimulatedLine::default();
        let mut hook = HookSwitch::new(line.clone(), Contact::NormallyOpen, DEBOUNCE, t0).unwrap();
        let mut seen = Vec::new();
        let mut ready = |at: u64| {
            hook.handle_ready(t0 + ms(at), &mut |event| seen.push(event))
                .unwrap();
        };
        ready(20);
        line.set(true, t0 + ms(100));
        ready(100);
        // Read late: the handset is put back while the level is being read.
        line.set_at_next_read(false, t0 + ms(300));
        ready(301);
        ready(330);
        assert_eq!(seen, [false, true, false].map(BoardEvent::Hook));
    }
}
