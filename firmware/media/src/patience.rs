//! How long a stream speaks to nobody: sound goes on for so long without a sign of life from where
//! it goes, and then no longer.
//!
//! ```text
//! RTP leaves ─▶ sent ─▶ over the limit? ─▶ nothing leaves any more, Event::Unheard
//! RTP or RTCP of the far host, authentic ─▶ heard: anew
//! ```
//!
//! RFC 3550 section 6.3.5 takes a participant for gone after five RTCP intervals without RTP or
//! RTCP, 25 s in a call of two. The limit is the owner's. Only the time in which we speak is
//! counted: nobody need answer a stream on hold, and a held one floods nobody.

use std::time::Duration;

/// The patience of one stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    limit_ms: f64,
    unheard_ms: f64,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit_ms: limit.as_secs_f64() * 1000.0,
            unheard_ms: 0.0,
        }
    }

    /// So much of our sound had somewhere to go.
    pub(crate) fn sent(&mut self, ms: f64) {
        if !self.is_over() {
            self.unheard_ms += ms;
        }
    }

    /// Somebody is there, or a person just took up the call: anew.
    pub(crate) fn heard(&mut self) {
        self.unheard_ms = 0.0;
    }

    /// Goes on where another was.
    pub(crate) fn continue_from(&mut self, old: &Patience) {
        self.unheard_ms = old.unheard_ms;
    }

    /// Nobody is there, as far as can be known.
    pub(crate) fn is_over(&self) -> bool {
        self.unheard_ms >= self.limit_ms
    }

    /// How long we have spoken since the last sign of life, in ms.
    pub(crate) fn unheard_ms(&self) -> f64 {
        self.unheard_ms
    }
}
