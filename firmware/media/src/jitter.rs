//! The jitter buffer: when each packet came, how long the next shall wait, and where it waits.
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

use crate::drift::{Floor, Skew};
use target::Target;

/// The fastest packet of this long counts, in ms.
const FLOOR_MS: f64 = 4000.0;
/// The first guess of lateness before anything was measured, in ms.
const FIRST_GUESS_MS: f64 = 10.0;
/// However smooth or wild the network: the target stays within these, in ms.
const LEAST_TARGET_MS: f64 = 1.0;
const MOST_TARGET_MS: f64 = 800.0;

/// What the arrivals tell.
pub(crate) struct Delay {
    floor: Floor,
    skew: Skew,
    target: Target,
    /// A packet's sound is wanted up to one card period before its first sample is heard.
    period_ms: f64,
    /// Arrival and media time of the last packet.
    last: (f64, f64),
}

impl Delay {
    pub(crate) fn new(period_ms: f64) -> Self {
        Self {
            floor: Floor::new(FLOOR_MS),
            skew: Skew::new(),
            target: Target::new(FIRST_GUESS_MS),
            period_ms,
            last: (f64::NEG_INFINITY, f64::INFINITY),
        }
    }

    /// A packet whose first sample stands at `media_ms` of the far clock came at `arrival_ms`. How
    /// late it is against the fastest.
    pub(crate) fn arrived(&mut self, media_ms: f64, arrival_ms: f64) -> f64 {
        let transit = arrival_ms - media_ms;
        self.floor.add(transit, arrival_ms);
        self.skew.add(transit, arrival_ms);
        let late = transit - self.floor.get().unwrap_or(transit);
        // After a stall everything comes at once, each packet a little less late than the one
        // before: that is one event, not ten.
        let (last_arrival, last_media) = std::mem::replace(&mut self.last, (arrival_ms, media_ms));
        let follows =
            media_ms > last_media && arrival_ms - last_arrival < (media_ms - last_media) / 2.0;
        if !follows {
            self.target.add(late);
        }
        late
    }

    /// The transit of the fastest packet, in ms of no meaning but in comparison.
    #[cfg(test)]
    pub(crate) fn floor_ms(&self) -> f64 {
        self.floor.get().unwrap_or(0.0)
    }

    /// How late a packet would be that came now, without learning from it.
    pub(crate) fn lateness(&self, media_ms: f64, arrival_ms: f64) -> Option<f64> {
        self.floor.get().map(|floor| arrival_ms - media_ms - floor)
    }

    /// The playout delay of a sample at `media_ms` heard at `at_ms`.
    pub(crate) fn of(&self, media_ms: f64, at_ms: f64) -> f64 {
        self.floor
            .get()
            .map_or(0.0, |floor| at_ms - media_ms - floor)
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

    /// The far timeline begins again; what was learnt about the network stays.
    pub(crate) fn restart(&mut self) {
        self.floor.reset();
        self.skew.jumped();
    }
}
