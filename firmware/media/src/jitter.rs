//! The jitter buffer: when each packet came, how long the next is to wait, and where it waits.
//!
//! ```text
//! packet ─▶ Store (sorted ring of slots)
//!    └─ arrival − timestamp ─▶ Floor (fastest of the last 4 s) ─▶ lateness ─▶ Target (histogram, quantile) ─▶ target delay
//!                          └─▶ Skew (ppm)
//! ```
//!
//! Delay is counted from the fastest packet: a sample whose playout delay is D is heard D ms after
//! it would have come had it travelled as fast as the fastest. A packet is in time if it is less
//! than D late. [`crate::playout`] steers D to the target.

pub(crate) mod store;
pub(crate) mod target;

use std::time::{Duration, Instant};

use crate::drift::{Floor, Skew};
use crate::time::ms_between;
use target::Target;

/// The fastest packet of this long counts.
const FLOOR: Duration = Duration::from_secs(4);
/// The first guess of lateness before anything was measured, in ms.
const FIRST_GUESS_MS: f64 = 10.0;
/// Packets that stop, and go on later by at least so much, may do so for ever: the far clock stood
/// still, or the way became longer. In ms.
const STEP_MS: f64 = 60.0;
/// So long after a step no packet was faster: it stays.
const STEP_TRIAL: Duration = Duration::from_secs(1);

/// However smooth or wild the network: the target stays within these, in ms.
const LEAST_TARGET_MS: f64 = 1.0;
pub(crate) const MOST_TARGET_MS: f64 = 800.0;

/// What is learnt from the arrivals.
pub(crate) struct Delay {
    floor: Floor,
    skew: Skew,
    target: Target,
    /// A packet's sound is wanted up to one card period before its first sample is heard.
    period_ms: f64,
    /// The first packet's arrival, from which ours is counted.
    origin: Option<Instant>,
    /// Arrival and media time of the last packet.
    last: Option<(Instant, f64)>,
    /// A step that may turn out to be a mere stall.
    step: Option<Step>,
}

/// Packets stopped, and then went on later than before. The floor is that of the packets since; the
/// one before is kept until it is clear that none of them catches up.
struct Step {
    floor_before: Floor,
    /// How late the first packet after it was, against the floor before.
    late_ms: f64,
    since: Instant,
}

impl Delay {
    pub(crate) fn new(period_ms: f64) -> Self {
        Self {
            floor: Floor::new(FLOOR),
            skew: Skew::new(),
            target: Target::new(FIRST_GUESS_MS),
            period_ms,
            origin: None,
            last: None,
            step: None,
        }
    }

    /// A packet whose first sample stands at `media_ms` of the far clock came at `arrival`. How
    /// late it is against the fastest.
    pub(crate) fn arrived(&mut self, media_ms: f64, arrival: Instant) -> f64 {
        let origin = *self.origin.get_or_insert(arrival);
        let transit = ms_between(origin, arrival) - media_ms;
        self.watch_step(transit, media_ms, arrival);
        self.floor.add(transit, arrival);
        self.skew.add(transit, arrival);
        let late = transit - self.floor.get().unwrap_or(transit);
        // After a stall everything comes at once, each packet a little less late than the one
        // before: that is one event, not ten.
        let follows =
            self.last
                .replace((arrival, media_ms))
                .is_some_and(|(last, last_media_ms)| {
                    media_ms > last_media_ms
                        && ms_between(last, arrival) < (media_ms - last_media_ms) / 2.0
                });
        if !follows {
            self.target.add(late);
        }
        late
    }

    /// Whether packets went on later after a pause, or caught up with one.
    ///
    /// Constant lateness is no jitter: were it learnt as such, the delay would be too long by as
    /// much for as long as the histogram remembers. So the floor begins again at once; after a
    /// stall the packets that catch up lower it, and show that it was one.
    fn watch_step(&mut self, transit: f64, media_ms: f64, arrival: Instant) {
        if let Some(step) = &self.step {
            let before = step.floor_before.get().unwrap_or(transit);
            if transit < before + step.late_ms / 2.0 {
                // The first packet's lateness is learnt now, once.
                self.target.add(step.late_ms);
                if let Some(step) = self.step.take() {
                    self.floor = step.floor_before;
                }
            } else if arrival.saturating_duration_since(step.since) > STEP_TRIAL {
                self.step = None;
            }
        }
        let (Some((last, last_media_ms)), Some(floor)) = (self.last, self.floor.get()) else {
            return;
        };
        let media_step = media_ms - last_media_ms;
        if media_step < 0.0 || ms_between(last, arrival) - media_step < STEP_MS {
            return;
        }
        // What is waited for anyway needs no step.
        let late_ms = transit - floor;
        if late_ms < STEP_MS.max(self.target.quantile_ms()) {
            return;
        }
        let floor_before = std::mem::replace(&mut self.floor, Floor::new(FLOOR));
        let (floor_before, late_ms) = match self.step.take() {
            Some(step) => {
                let before = step.floor_before.get().unwrap_or(floor);
                (step.floor_before, transit - before)
            }
            None => (floor_before, late_ms),
        };
        self.step = Some(Step {
            floor_before,
            late_ms,
            since: arrival,
        });
    }

    /// The transit of the fastest packet, in ms, our clock counted from `start`.
    #[cfg(test)]
    pub(crate) fn floor_ms(&self, start: Instant) -> f64 {
        self.floor.get().unwrap_or(0.0) + self.origin.map_or(0.0, |at| ms_between(start, at))
    }

    /// How late a packet would be that came at `arrival`, without learning from it; `None` before
    /// there was any.
    pub(crate) fn lateness(&self, media_ms: f64, arrival: Instant) -> Option<f64> {
        let (origin, floor) = (self.origin?, self.floor.get()?);
        Some(ms_between(origin, arrival) - media_ms - floor)
    }

    /// How late it would be against the fastest before a step, where that may still be a stall.
    pub(crate) fn lateness_before_step(&self, media_ms: f64, arrival: Instant) -> Option<f64> {
        let floor = match &self.step {
            Some(step) => step.floor_before.get()?,
            None => self.floor.get()?,
        };
        Some(ms_between(self.origin?, arrival) - media_ms - floor)
    }

    /// The playout delay of a sample at `media_ms` heard at `at`.
    pub(crate) fn of(&self, media_ms: f64, at: Instant) -> f64 {
        self.lateness(media_ms, at).unwrap_or(0.0)
    }

    /// The delay to steer to.
    pub(crate) fn target_ms(&self) -> f64 {
        (self
            .target
            .quantile_ms()
            .clamp(LEAST_TARGET_MS, MOST_TARGET_MS))
            + self.period_ms
    }

    /// How much slower the far clock runs than ours, in ppm.
    pub(crate) fn ppm(&self) -> f64 {
        self.skew.ppm()
    }

    /// The far timeline starts again; what was learnt about the network stays.
    pub(crate) fn restart(&mut self) {
        self.floor.reset();
        self.skew.jumped();
        self.step = None;
    }
}
