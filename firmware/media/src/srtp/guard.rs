//! A stream's protection: the one way its packets get out and in.
//!
//! ```text
//! Outbox::push ─▶ seal ─▶ clear: as it is · waiting: nothing · SRTP: protected, or nothing
//! datagram ─▶ open ─▶ clear: as it is · waiting: dropped · SRTP: authentic and new, or dropped
//! ```

use std::time::{Duration, Instant};

use types::SrtpSuite;

use super::keys::{Encryption, MasterKey, Protection, SrtpStats};
use super::{Refusal, rtcp, rtp};
use crate::packet::PacketKind;

/// What was seen within this time is the present state: two RTCP reports fit in, so that a held
/// call is measured too.
const FRESH: Duration = Duration::from_secs(15);

struct Send {
    rtp: rtp::Sender,
    rtcp: rtcp::Sender,
}

struct Receive {
    rtp: rtp::Receiver,
    rtcp: rtcp::Receiver,
}

/// Both directions under their keys.
struct Keyed {
    suite: SrtpSuite,
    send: Send,
    receive: Receive,
}

enum State {
    Clear,
    Waiting,
    /// Boxed on the control thread; the audio thread only ever swaps what is inside.
    Keyed(Box<Keyed>),
}

/// The protection of one stream.
pub(crate) struct Guard {
    state: State,
    stats: SrtpStats,
    /// The present, as the stream was given it last.
    now: Option<Instant>,
    protected_at: Option<Instant>,
    authentic_at: Option<Instant>,
    /// Counts at the last look at the clock.
    seen: (u64, u64),
}

impl Guard {
    /// All keys are expanded here, off the audio thread.
    pub(crate) fn new(protection: &Protection) -> Self {
        let state = match protection {
            Protection::Clear => State::Clear,
            Protection::Waiting => State::Waiting,
            Protection::Srtp { send, receive } => State::Keyed(Box::new(Keyed {
                suite: receive.suite(),
                send: Send {
                    rtp: rtp::Sender::new(send),
                    rtcp: rtcp::Sender::new(send),
                },
                receive: Receive {
                    rtp: rtp::Receiver::new(receive),
                    rtcp: rtcp::Receiver::new(receive),
                },
            })),
        };
        Self {
            state,
            stats: SrtpStats::default(),
            now: None,
            protected_at: None,
            authentic_at: None,
            seen: (0, 0),
        }
    }

    /// Follows the stream this one replaces: a key that stays keeps its numbers, a new key starts
    /// again. `ours` and `before` are what the two guards were made of.
    pub(crate) fn continue_from(
        &mut self,
        ours: &Protection,
        old: &mut Guard,
        before: &Protection,
    ) {
        self.stats = old.stats;
        self.seen = (self.stats.protected_sent, self.stats.protected_received);
        self.now = old.now;
        let (State::Keyed(new), State::Keyed(old_keyed)) = (&mut self.state, &mut old.state) else {
            return;
        };
        let (
            Protection::Srtp { send, receive },
            Protection::Srtp {
                send: sent,
                receive: received,
            },
        ) = (ours, before)
        else {
            return;
        };
        if same(send, sent) {
            std::mem::swap(&mut new.send, &mut old_keyed.send);
            self.protected_at = old.protected_at;
        }
        if same(receive, received) {
            std::mem::swap(&mut new.receive, &mut old_keyed.receive);
            self.authentic_at = old.authentic_at;
        } else {
            new.receive
                .rtp
                .set_earlier(old_keyed.receive.rtp.rollovers());
        }
    }

    /// Whether nothing at all may leave.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self.state, State::Waiting)
    }

    /// Whether what [`Guard::open`] lets in was sent by one who holds the keys.
    pub(crate) fn authenticates(&self) -> bool {
        matches!(self.state, State::Keyed(_))
    }

    /// Bytes a packet may grow by: what is written must leave this room.
    pub(crate) fn overhead(&self, kind: PacketKind) -> usize {
        match (&self.state, kind) {
            (State::Clear | State::Waiting, _) => 0,
            (State::Keyed(keyed), PacketKind::Rtp) => keyed.send.rtp.overhead(),
            (State::Keyed(keyed), PacketKind::Rtcp) => keyed.send.rtcp.overhead(),
        }
    }

    /// Makes the packet in `buffer[..length]` what may leave; its length then. `None`: nothing may.
    pub(crate) fn seal(
        &mut self,
        kind: PacketKind,
        buffer: &mut [u8],
        length: usize,
    ) -> Option<usize> {
        let keyed = match &mut self.state {
            State::Clear => return Some(length),
            State::Waiting => return None,
            State::Keyed(keyed) => keyed,
        };
        let sealed = match kind {
            PacketKind::Rtp => keyed.send.rtp.protect(buffer, length),
            PacketKind::Rtcp => keyed.send.rtcp.protect(buffer, length),
        };
        if sealed.is_ok() {
            self.stats.protected_sent += 1;
        } else {
            self.stats.key_exhausted += 1;
        }
        sealed.ok()
    }

    /// Makes a datagram of the far end the clear packet it carries; its length then.
    ///
    /// # Errors
    /// [`Refusal`], counted; the owner calls [`Guard::was_clear`] where a packet that is not
    /// authentic is a whole clear one.
    pub(crate) fn open(&mut self, kind: PacketKind, packet: &mut [u8]) -> Result<usize, Refusal> {
        let opened = match &mut self.state {
            State::Clear => return Ok(packet.len()),
            State::Waiting => Err(Refusal::Clear),
            State::Keyed(keyed) => match kind {
                PacketKind::Rtp => keyed.receive.rtp.unprotect(packet),
                PacketKind::Rtcp => keyed.receive.rtcp.unprotect(packet),
            },
        };
        let stats = &mut self.stats;
        match opened {
            Ok(_) => stats.protected_received += 1,
            Err(Refusal::Malformed | Refusal::NotAuthentic | Refusal::TooManySources) => {
                stats.auth_failed += 1;
            }
            Err(Refusal::Replayed) => stats.replayed += 1,
            Err(Refusal::Clear) => stats.clear_dropped += 1,
        }
        opened
    }

    /// The packet just refused as not authentic was a clear one by its form.
    pub(crate) fn was_clear(&mut self) {
        self.stats.auth_failed -= 1;
        self.stats.clear_dropped += 1;
    }

    /// Looks at the clock: what was counted since the last look happened now.
    pub(crate) fn tick(&mut self, now: Instant) {
        let counts = (self.stats.protected_sent, self.stats.protected_received);
        if counts.0 != self.seen.0 {
            self.protected_at = Some(now);
        }
        if counts.1 != self.seen.1 {
            self.authentic_at = Some(now);
        }
        self.seen = counts;
        self.now = Some(now);
    }

    pub(crate) fn stats(&self) -> SrtpStats {
        self.stats
    }

    /// What was measured.
    pub(crate) fn encryption(&self) -> Encryption {
        let keyed = match &self.state {
            State::Clear => return Encryption::None,
            State::Waiting => return Encryption::Waiting,
            State::Keyed(keyed) => keyed,
        };
        let fresh = |at: Option<Instant>| {
            at.zip(self.now)
                .is_some_and(|(at, now)| now.saturating_duration_since(at) < FRESH)
        };
        if fresh(self.protected_at) && fresh(self.authentic_at) {
            Encryption::Full(keyed.suite)
        } else {
            Encryption::Partial
        }
    }
}

/// The same key, so that numbers must go on.
fn same(one: &MasterKey, other: &MasterKey) -> bool {
    one == other
}

#[cfg(test)]
mod tests;
