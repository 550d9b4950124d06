//! The figures of a stream.

use crate::rtcp::xr::VoipMetrics;
use crate::srtp::{Encryption, SrtpStats};

/// What a stream measured since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StreamStats {
    /// RTP packets sent.
    pub sent: u64,
    /// RTP packets received (duplicates not counted).
    pub received: u64,
    /// Packets of the far sequence that never came in time to exist (RFC 3550 expected − received).
    pub lost: u64,
    /// Packets that came after their playout time.
    pub late: u64,
    /// Duplicates dropped.
    pub duplicate: u64,
    /// Packets dropped: malformed, unknown payload type, wrong source.
    pub rejected: u64,
    /// Milliseconds of sound made up by concealment.
    pub concealed_ms: u64,
    /// Concealed frames (counted in packets).
    pub concealed: u64,
    /// Interarrival jitter (RFC 3550) in ms.
    pub jitter_ms: f32,
    /// Present playout delay of the jitter buffer in ms: from arrival to the mixer.
    pub delay_ms: f32,
    /// Far clock against ours, in ppm, as measured.
    pub drift_ppm: f32,
    /// Round trip by RTCP in ms, once known.
    pub round_trip_ms: Option<f32>,
    /// Loss the far end reports, 0 to 1.
    pub remote_loss: Option<f32>,
    /// Estimated conversational quality, 1 to 4.5: by G.107 for G.711, by G.107.1 for wideband
    /// codecs, each on the scale of its band.
    pub mos: f32,
    /// The same for the last second alone.
    pub mos_now: f32,
    /// SSRC of what is sent.
    pub ssrc: u32,
    /// How this end receives, as extended reports say it (RFC 3611 section 4.7).
    pub metrics: VoipMetrics,
    /// How the far end receives us, where it says so.
    pub far_metrics: Option<VoipMetrics>,
    /// Level of what was sent last, dBm0.
    pub sent_level_dbm0: f32,
    /// Level of what was received last, dBm0.
    pub received_level_dbm0: f32,
    /// Milliseconds of sound sent since the far end's last RTP or RTCP packet.
    pub inactive_ms: u64,
    /// What protection counted.
    pub srtp: SrtpStats,
    /// What was measured of the encryption.
    pub encryption: Encryption,
}

/// What was missing of the sound up to some moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Missing {
    /// Sound played and made up, in ms.
    pub(crate) played_ms: f64,
    pub(crate) concealed_ms: f64,
    /// Packets that there were, and that were not heard.
    pub(crate) expected: u64,
    pub(crate) unheard: u64,
}

impl Missing {
    /// What was missing since that moment.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            played_ms: self.played_ms - earlier.played_ms,
            concealed_ms: self.concealed_ms - earlier.concealed_ms,
            expected: self.expected.saturating_sub(earlier.expected),
            unheard: self.unheard.saturating_sub(earlier.unheard),
        }
    }

    /// The share of the sound, 0 to 1. Where most packets are lost, little is made up for them:
    /// what is missing counts, however it sounds.
    pub(crate) fn share(&self) -> f32 {
        let made_up = if self.played_ms > 0.0 {
            (self.concealed_ms / self.played_ms) as f32
        } else {
            0.0
        };
        let unheard = self.unheard as f32 / self.expected.max(1) as f32;
        made_up.max(unheard).clamp(0.0, 1.0)
    }
}
