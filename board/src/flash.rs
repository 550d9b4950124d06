//! The flash key: a push button of its own.

use crate::contact::Debouncer;
use crate::{BoardError, BoardEvent, EdgeLine, Input};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// A flash key on a line; active is pressed. A key already down at start is no press.
pub struct FlashKey<L> {
    line: L,
    debounce: Debouncer,
}

impl<L: EdgeLine> FlashKey<L> {
    /// Reads the line.
    pub fn new(mut line: L, debounce: Duration, now: Instant) -> Result<Self, BoardError> {
        let level = line.level()?;
        Ok(Self {
            line,
            debounce: Debouncer::new(debounce, level, now),
        })
    }
}

impl<L: EdgeLine> Input for FlashKey<L> {
    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.line.fd().into_iter().collect()
    }

    fn handle_ready(
        &mut self,
        now: Instant,
        out: &mut dyn FnMut(BoardEvent),
    ) -> Result<(), BoardError> {
        let mut known = self.debounce.stable().is_some();
        let mut press = |change: Option<crate::contact::Change>| {
            if let Some(change) = change {
                if change.level && known {
                    out(BoardEvent::FlashKey);
                }
                known = true;
            }
        };
        let mut moved = false;
        while let Some(edge) = self.line.next_edge()? {
            moved = true;
            press(self.debounce.handle_edge(edge.level, edge.at));
        }
        if moved || self.debounce.poll_timeout().is_some_and(|due| due <= now) {
            let level = self.line.level()?;
            press(self.debounce.handle_level(level, now));
        }
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.debounce.poll_timeout()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pins::SimulatedLine;

    #[test]
    fn a_press_is_one_flash_a_key_held_at_start_none() {
        let ms = Duration::from_millis;
        for held in [false, true] {
            let t0 = Instant::now();
            let line = SimulatedLine::default();
            line.set(held, t0);
            let mut key = FlashKey::new(line.clone(), ms(10), t0).unwrap();
            let mut seen = Vec::new();
            for (t, level) in [
                (50, false),
                (100, true),
                (102, false),
                (104, true),
                (300, false),
                (500, true),
            ] {
                key.handle_ready(t0 + ms(t - 1), &mut |event| seen.push(event))
                    .unwrap();
                line.set(level, t0 + ms(t));
                key.handle_ready(t0 + ms(t), &mut |event| seen.push(event))
                    .unwrap();
            }
            key.handle_ready(t0 + ms(510), &mut |event| seen.push(event))
                .unwrap();
            assert_eq!(seen, [BoardEvent::FlashKey; 2], "held at start: {held}");
        }
    }
}
