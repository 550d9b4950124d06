//! A push button besides the keypad: flash, volume, mute, hands-free, feature keys.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use crate::contact::{self, Debouncer, Reading};
use crate::{BoardError, BoardEvent, EdgeLine, Input};

/// A button on a line; active is pressed. One already down at start is no press.
pub struct Button<L> {
    line: L,
    /// What a press is reported as.
    press: BoardEvent,
    debounce: Debouncer,
}

impl<L: EdgeLine> Button<L> {
    /// Reads the line.
    pub fn new(
        mut line: L,
        press: BoardEvent,
        debounce: Duration,
        now: Instant,
    ) -> Result<Self, BoardError> {
        let level = line.level()?;
        Ok(Self {
            line,
            press,
            debounce: Debouncer::new(debounce, level, now),
        })
    }
}

impl<L: EdgeLine> Input for Button<L> {
    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.line.fd().into_iter().collect()
    }

    fn handle_ready(
        &mut self,
        now: Instant,
        out: &mut dyn FnMut(BoardEvent),
    ) -> Result<(), BoardError> {
        let mut known = self.debounce.stable().is_some();
        let due = self.debounce.poll_timeout().is_some_and(|due| due <= now);
        let (debounce, press) = (&mut self.debounce, self.press);
        contact::drain(&mut self.line, due, |reading| {
            let change = match reading {
                Reading::Edge(edge) => debounce.handle_edge(edge.level, edge.at),
                Reading::Level(pressed) => debounce.handle_level(pressed, now),
            };
            if let Some(change) = change {
                if change.level && known {
                    out(press);
                }
                known = true;
            }
        })
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
            let mut key = Button::new(line.clone(), BoardEvent::FlashKey, ms(10), t0).unwrap();
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

    #[test]
    fn an_edge_during_the_level_read_loses_no_press() {
        let ms = Duration::from_millis;
        let t0 = Instant::now();
        let line = SimulatedLine::default();
        let mut key = Button::new(line.clone(), BoardEvent::FlashKey, ms(10), t0).unwrap();
        let mut seen = Vec::new();
        let mut ready = |at: u64| {
            key.handle_ready(t0 + ms(at), &mut |event| seen.push(event))
                .unwrap();
        };
        ready(10);
        line.set(true, t0 + ms(100));
        ready(100);
        // Read late: the key comes up while the level is being read.
        line.set_at_next_read(false, t0 + ms(150));
        ready(151);
        ready(200);
        assert_eq!(seen, [BoardEvent::FlashKey]);
    }
}
