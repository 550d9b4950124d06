//! The figures of a stream, and how good a call sounds, estimated: the E-model (ITU-T G.107) cut
//! down to what a receiver knows.
//!
//! ```text
//! codec, loss, one-way delay ─▶ R = 93.2 − Id(delay) − Ie,eff(codec, loss) ─▶ MOS (G.107 Annex B)
//! ```

use types::Codec;

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
    /// Estimated listening quality (E-model, G.107 R mapped to MOS), 1 to 4.5.
    pub mos: f32,
    /// The same for the last second alone.
    pub mos_now: f32,
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

/// R with no impairment at all (G.107 defaults).
const R_BEST: f32 = 93.2;
/// Delay the phones and their cards add at both ends, in ms, to what is measured between them.
const APPARATUS_MS: f32 = 10.0;

/// Equipment impairment without loss, and robustness against random loss in per cent (G.113
/// Appendix I: G.711 with concealment; the others are set by what concealment and FEC leave of
/// their sound, on the same narrow-band scale).
fn impairment(codec: Codec, fec: bool) -> (f32, f32) {
    match codec {
        Codec::Pcmu | Codec::Pcma => (0.0, 25.1),
        Codec::G722 => (0.0, 18.0),
        Codec::Opus => (0.0, if fec { 30.0 } else { 20.0 }),
    }
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

/// What the estimate is made from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reception {
    /// What is received.
    pub(crate) codec: Codec,
    /// It carries in-band FEC.
    pub(crate) fec: bool,
    /// Share of the sound that was concealed, 0 to 1.
    pub(crate) concealed_share: f32,
    /// Packetisation, network and jitter buffer, in ms.
    pub(crate) delay_ms: f32,
}

/// Mean opinion score, 1 to 4.5.
pub(crate) fn mos(received: Reception) -> f32 {
    let delay = received.delay_ms.max(0.0) + APPARATUS_MS;
    // Delay impairment, the usual two-line fit of G.107's Idd (Cole and Rosenbluth 2001).
    let delay_impairment = 0.024 * delay + 0.11 * (delay - 177.3).max(0.0);
    let (equipment, robustness) = impairment(received.codec, received.fec);
    let loss = received.concealed_share.clamp(0.0, 1.0) * 100.0;
    let effective = equipment + (95.0 - equipment) * loss / (loss + robustness);
    let r = (R_BEST - delay_impairment - effective).clamp(0.0, 100.0);
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).clamp(1.0, 4.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(codec: Codec, concealed_share: f32, delay_ms: f32) -> f32 {
        mos(Reception {
            codec,
            fec: false,
            concealed_share,
            delay_ms,
        })
    }

    #[test]
    fn known_points() {
        assert!((of(Codec::Pcmu, 0.0, 0.0) - 4.4).abs() < 0.03);
        // Ie,eff = 95 · 5 / (5 + 25.1) = 15.8: R = 77, MOS 3.9.
        assert!((of(Codec::Pcmu, 0.05, 0.0) - 3.9).abs() < 0.06);
        assert!(of(Codec::Pcmu, 1.0, 0.0) < 1.3);
        assert!(of(Codec::Pcmu, 0.0, 400.0) < 3.5);
    }

    #[test]
    fn worse_is_never_better() {
        for codec in [Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma] {
            for step in 0..100u8 {
                let x = f32::from(step);
                assert!(of(codec, x / 100.0, 50.0) >= of(codec, (x + 1.0) / 100.0, 50.0) - 1e-4);
                assert!(of(codec, 0.02, x * 10.0) >= of(codec, 0.02, (x + 1.0) * 10.0) - 1e-4);
            }
        }
    }
}
