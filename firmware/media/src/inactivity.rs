//! How long sound goes to an address from which nothing comes: until the media timeout, and then no
//! longer.
//!
//! ```text
//! RTP leaves ─▶ sent ─▶ over the limit? ─▶ nothing leaves any more, Event::MediaTimeout
//! RTP or RTCP of the far host, authentic ─▶ restart
//! ```
//!
//! RFC 3550 section 6.3.5 considers a participant gone after five RTCP intervals without RTP or
//! RTCP, 25 s in a call of two. The limit is the owner's. Only the time in which sound leaves
//! counts: a stream on hold need not be answered, and floods no one.

use std::time::Duration;

/// The inactivity of one stream's far end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inactivity {
    limit: Duration,
    since_heard: Duration,
}

impl Inactivity {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            since_heard: Duration::ZERO,
        }
    }

    /// So much of our sound left.
    pub(crate) fn sent(&mut self, sound: Duration) {
        if !self.is_over() {
            self.since_heard += sound;
        }
    }

    /// The far end sent something, or a person just took up the call.
    pub(crate) fn restart(&mut self) {
        self.since_heard = Duration::ZERO;
    }

    /// Goes on where another was.
    pub(crate) fn continue_from(&mut self, old: &Inactivity) {
        self.since_heard = old.since_heard;
    }

    /// The far end is gone, as far as can be known.
    pub(crate) fn is_over(&self) -> bool {
        self.since_heard >= self.limit
    }

    /// How much sound was sent since the far end's last packet.
    pub(crate) fn since_heard(&self) -> Duration {
        self.since_heard
    }
}
