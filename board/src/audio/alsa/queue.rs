//! The sound queued for playback: what it usually is, whether it wanders off, and what one period
//! may do about it.
//!
//! ```text
//! frames queued before a write ─▶ observe ─▶ Slip: write it whole | a frame less | a frame more | not at all
//! ```
//!
//! On a card, capture and playback run on two clocks at worst (a USB microphone, an I²S speaker):
//! the level is smoothed, the usual one is learnt after a start, and what wanders off it is taken
//! back a frame a period.
//!
//! A sound server fetches lumps when it likes and begins to play when it likes, long after the
//! microphone already gave sound. What it left lying then would be delay for ever, and a full queue
//! that drops sound at the first lump. So there the *least* that was queued over a quarter of a
//! second counts: what is never needed is left out, at once where it is much.
//!
//! (`PULSE_LATENCY_MSEC` in the environment spoils this: the server's buffer is then another than
//! alsa-lib counts with. Without it the plugin asks for the latency of our periods.)

/// Periods over which a card's usual queue is learnt after a start.
const LEARN: u32 = 64;
/// Time over which a server's least queue is sought, in ms: some lumps of 40 ms each.
const WINDOW_MS: usize = 250;
/// A server's surplus in periods from which on whole periods are left out.
const MUCH: usize = 4;

/// What to do with one period of playback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slip {
    /// Write it.
    None,
    /// A frame less.
    Drop,
    /// A frame more.
    Repeat,
    /// Leave it out.
    Skip,
}

/// What the playback queue holds, and whether it wanders off.
#[derive(Debug, Clone, Copy)]
pub(super) enum Queue {
    Card(CardQueue),
    Server(ServerQueue),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct CardQueue {
    /// Frames queued before a write, smoothed.
    level: f32,
    /// Where it should stay; learnt in the first periods.
    target: f32,
    /// How far off is worth a slip.
    tolerance: f32,
    periods: u32,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct ServerQueue {
    /// Where the least should be.
    target: usize,
    /// Frames of one period.
    period: usize,
    /// Periods of a window.
    window: usize,
    /// Periods seen of this window, and the least queued in them.
    seen: usize,
    least: usize,
    /// Frames too many when the last window ended.
    surplus: usize,
    /// Frames queued at the last look.
    last: usize,
    /// It has begun to play.
    plays: bool,
}

impl Queue {
    /// A card's queue; `expected` frames lie in it before a write.
    pub(super) fn card(expected: usize, tolerance: usize) -> Self {
        Self::Card(CardQueue {
            level: expected as f32,
            target: expected as f32,
            tolerance: tolerance as f32,
            periods: 0,
        })
    }

    /// A sound server's queue: never less than `target` frames are wanted in it before a write.
    pub(super) fn server(target: usize, period: usize, rate_hz: u32) -> Self {
        let period = period.max(1);
        Self::Server(ServerQueue {
            target,
            period,
            window: (rate_hz as usize * WINDOW_MS / 1000 / period).max(1),
            seen: 0,
            least: usize::MAX,
            surplus: 0,
            last: 0,
            plays: false,
        })
    }

    /// Starts over, with so many frames queued before a write.
    pub(super) fn restart(&mut self, expected: usize) {
        match self {
            Self::Card(card) => *self = Self::card(expected, card.tolerance as usize),
            Self::Server(server) => {
                (server.plays, server.last, server.surplus) = (false, 0, 0);
                *server = server.with_new_window();
            }
        }
    }

    /// A server that has not begun to play yet: frames that find no room are not an error.
    pub(super) fn is_before_playback(&self) -> bool {
        match self {
            Self::Card(_) => false,
            Self::Server(server) => !server.plays,
        }
    }

    /// Nothing is left to play: the card, or the server, is ahead of us. A server's plugin keeps a
    /// frame back, or its ring would look empty where it is full.
    pub(super) fn is_empty(&self, queued: usize) -> bool {
        match self {
            Self::Card(_) => queued == 0,
            Self::Server(_) => queued <= 1,
        }
    }

    /// Takes the frames queued before a write; returns what to do with the period.
    pub(super) fn observe(&mut self, queued: usize) -> Slip {
        match self {
            Self::Card(card) => card.observe(queued),
            Self::Server(server) => server.observe(queued),
        }
    }
}

impl CardQueue {
    fn observe(&mut self, queued: usize) -> Slip {
        self.level += (queued as f32 - self.level) / 32.0;
        if self.periods < LEARN {
            self.periods += 1;
            self.target = self.level;
            return Slip::None;
        }
        let off = self.level - self.target;
        if off > self.tolerance {
            Slip::Drop
        } else if off < -self.tolerance {
            Slip::Repeat
        } else {
            Slip::None
        }
    }
}

impl ServerQueue {
    /// With a window that begins now.
    fn with_new_window(self) -> Self {
        Self {
            seen: 0,
            least: usize::MAX,
            ..self
        }
    }

    fn observe(&mut self, queued: usize) -> Slip {
        self.plays |= queued < self.last;
        self.last = queued;
        if !self.plays {
            return Slip::None;
        }
        self.least = self.least.min(queued);
        self.seen += 1;
        if self.seen >= self.window {
            self.surplus = self.least.saturating_sub(self.target + self.period);
            *self = self.with_new_window();
            if self.surplus < MUCH * self.period {
                // Little: a frame a period, and only as many as this window supports.
                self.surplus = self.surplus.min(self.window);
            }
        }
        if self.surplus >= self.period {
            self.surplus -= self.period;
            // The window's minimum is no longer valid after a skip: start a new window.
            *self = self.with_new_window();
            Slip::Skip
        } else if self.surplus > 0 {
            self.surplus -= 1;
            Slip::Drop
        } else {
            Slip::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_hold_two_clocks_together() {
        for ppm in [-200.0, 200.0] {
            let mut queued = 240.0;
            let mut queue = Queue::card(240, 120);
            let mut far = 0.0f64;
            // An hour of 5 ms periods: without slips 200 ppm make 0.72 s.
            for _ in 0..720_000 {
                queued -= 240.0 * (1.0 + ppm * 1e-6);
                let written = match queue.observe((queued + 240.0) as usize) {
                    Slip::None => 240.0,
                    Slip::Drop => 239.0,
                    Slip::Repeat => 241.0,
                    Slip::Skip => panic!("a card's sound is never left out"),
                };
                queued += written;
                far = far.max((queued - 240.0f64).abs());
            }
            assert!(far < 240.0, "{ppm} ppm: the queue wandered {far} frames");
        }
    }

    #[test]
    fn a_steady_queue_with_jitter_is_not_slipped() {
        let mut queue = Queue::card(240, 120);
        for i in 0..10_000usize {
            let queued = 240 + (i * 7919 % 97) - 48;
            assert_eq!(queue.observe(queued), Slip::None);
        }
    }

    /// A server that begins `late` periods after the microphone and fetches `lump` periods at a
    /// time, on a clock `ppm` slower: the periods left out, the frames slipped, and the least and
    /// most queued in the last second.
    fn serve(late: usize, lump: usize, ppm: f64, seconds: usize) -> (usize, usize, usize, usize) {
        const PERIOD: usize = 240;
        let (mut queued, mut skipped, mut slipped) = (16.0 * PERIOD as f64, 0, 0);
        let (mut least, mut most) = (usize::MAX, 0);
        let mut queue = Queue::server(15 * PERIOD, PERIOD, 48_000);
        for n in 0..200 * seconds {
            if n >= late && n % lump == 0 {
                queued -= (lump * PERIOD) as f64 * (1.0 - ppm * 1e-6);
            }
            queued = queued.min(32.0 * PERIOD as f64);
            let before = queued.max(0.0) as usize;
            if n + 200 >= 200 * seconds {
                (least, most) = (least.min(before), most.max(before));
            }
            match queue.observe(before) {
                Slip::None => queued += PERIOD as f64,
                Slip::Drop => {
                    queued += PERIOD as f64 - 1.0;
                    slipped += 1;
                }
                Slip::Repeat => queued += PERIOD as f64 + 1.0,
                Slip::Skip => skipped += 1,
            }
        }
        (skipped, slipped, least, most)
    }

    #[test]
    fn a_late_servers_backlog_is_skipped_once() {
        let (skipped, slipped, least, most) = serve(32, 8, 0.0, 20);
        assert!((4..=12).contains(&skipped), "{skipped} periods left out");
        assert!(slipped < 1000, "{slipped} frames slipped");
        assert!(
            (14 * 240..=18 * 240).contains(&least) && most <= 26 * 240,
            "{least} to {most} frames queued"
        );
    }

    #[test]
    fn a_slow_server_is_followed_by_slips_not_skips() {
        assert_eq!(serve(0, 8, 0.0, 60).0, 0, "lumps were taken for a surplus");
        let (skipped, slipped, least, _) = serve(0, 8, 200.0, 600);
        assert_eq!(skipped, 0, "sound was left out for a mere drift");
        // 200 ppm of 48 kHz are 9.6 frames a second; what lay below the target at first was taken
        // up.
        assert!((3000..6000).contains(&slipped), "{slipped} frames slipped");
        assert!(least <= 17 * 240, "the queue grew to {least} at least");
    }
}
