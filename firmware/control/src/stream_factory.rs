//! What a new stream gets that no negotiation decides: its number, and random starts.

use std::time::{Duration, Instant};

use media::{SignallingHosts, StreamId};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

use crate::negotiate::{OpusSending, StreamIdentity};

/// Makes the identities of streams.
pub(crate) struct StreamFactory {
    rng: ChaCha20Rng,
    cname: String,
    next: u32,
    media_timeout: Duration,
    /// The card's rate in Hz and period in frames.
    pub(crate) card: (u32, usize),
    ntp: (Instant, u64),
    dtmf: media::dtmf::Timing,
}

impl StreamFactory {
    /// `ntp` is the wall-clock time of some instant as NTP 32.32.
    pub(crate) fn new(
        mut rng: ChaCha20Rng,
        media_timeout: Duration,
        card: (u32, usize),
        ntp: (Instant, u64),
        dtmf: media::dtmf::Timing,
    ) -> Self {
        // RFC 7022 section 4.2: a short-term persistent CNAME is 96 random bits.
        let cname = format!("{:08x}{:016x}", rng.next_u32(), rng.next_u64());
        Self {
            rng,
            cname,
            next: 1,
            media_timeout,
            card,
            ntp,
            dtmf,
        }
    }

    /// A number that no stream of this run had.
    pub(crate) fn next_id(&mut self) -> StreamId {
        let id = StreamId(self.next);
        self.next = self.next.wrapping_add(1);
        id
    }

    /// The identity of a stream that is about to be built.
    pub(crate) fn identity(
        &mut self,
        id: StreamId,
        signalling: SignallingHosts,
        opus: OpusSending,
    ) -> StreamIdentity {
        StreamIdentity {
            id,
            ssrc: self.rng.next_u32(),
            // RFC 3550 section 5.1 wants random starts; below 2^15 the sequence does not wrap at
            // once (RFC 3711 appendix).
            first_sequence: (self.rng.next_u32() & 0x7fff) as u16,
            first_timestamp: self.rng.next_u32(),
            cname: self.cname.clone(),
            media_timeout: self.media_timeout,
            signalling,
            card: self.card,
            ntp: self.ntp,
            opus,
            dtmf: self.dtmf,
        }
    }
}
