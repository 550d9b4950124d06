//! How good a call sounds, estimated: the E-model (ITU-T G.107 for narrowband, G.107.1 for
//! wideband) cut down to what a receiver knows.
//!
//! ```text
//! codec, loss, its burstiness ─▶ Ie,eff ─┐
//! one-way delay ─▶ Id ───────────────────┴▶ R = Ro − Id − Ie,eff ─▶ R, or R / 1.29 ─▶ MOS
//! ```
//!
//! Each codec is rated on the scale of its own band, as desk phones and collectors do: 4.4 is the
//! best a narrowband call can be, 4.5 that of a wideband one, and the two are not to be compared.
//!
//! | codec | scale | Ie | Bpl | from |
//! |---|---|---|---|---|
//! | PCMU, PCMA | G.107 | 0 | 25.1 | G.113 table I.1 and I.2, with concealment |
//! | G.722 at 64 kbit/s | G.107.1 | 13 | 11.3 | G.113 table IV.1; Bpl: see below |
//! | Opus, wideband | G.107.1 | 20 | 11.3 | see below |
//!
//! Neither G.113 nor any of its amendments has values for Opus. Al-Ahmadi, Počta and Melvin
//! ("Instrumental estimation of E-model equipment impairment factor parameters for super-wideband
//! Opus codec", ISSC 2019, and their table of 2021) publish them from P.863: Ie 20.0 for wideband
//! VBR at 13 kbit/s, the highest rate they have for that band, and Bpl 11.28 for random loss at
//! 25 kbit/s, which is about what this phone sends. PESQ-WB measured with this phone's own Opus at
//! 24 and 32 kbit/s (4.24, 4.18) gives Ie 20 to 23 on the same scale. More bits are rated no
//! better. Frames that FEC restores are not counted as lost, so Bpl has nothing to say of it.
//!
//! For G.722 under loss nothing is published: the Bpl of the other wideband codec stands in.

use types::Codec;

/// R with no impairment at all, by the defaults of G.107 and of G.107.1.
const BEST_NARROW: f32 = 93.2;
const BEST_WIDE: f32 = 129.0;
/// From the wideband scale of R to that of the MOS curve (G.107.1 annex A).
const WIDE_TO_NARROW: f32 = 1.29;
/// Delay the phones and their cards add at both ends, in ms, to what is measured between them.
const APPARATUS_MS: f32 = 10.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Narrow,
    Wide,
}

/// Equipment impairment without loss, and robustness against random loss in per cent.
fn impairment(codec: Codec) -> (Scale, f32, f32) {
    match codec {
        Codec::Pcmu | Codec::Pcma => (Scale::Narrow, 0.0, 25.1),
        Codec::G722 => (Scale::Wide, 13.0, 11.3),
        Codec::Opus => (Scale::Wide, 20.0, 11.3),
    }
}

/// What the estimate is made from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reception {
    /// What is received.
    pub(crate) codec: Codec,
    /// Share of the sound that was not heard as it was said, 0 to 1.
    pub(crate) missing_share: f32,
    /// How much longer runs of missing packets are than by chance; 1: as by chance (G.107 BurstR).
    pub(crate) burst_ratio: f32,
    /// Packetisation, network and jitter buffer, in ms; `None`: delay is left out, as for listening
    /// quality.
    pub(crate) delay_ms: Option<f32>,
}

/// A transmission rating, 0 to 100 whatever the band.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rating(f32);

impl Rating {
    /// The rating of what was received.
    pub(crate) fn of(received: Reception) -> Self {
        let delay_impairment = received.delay_ms.map_or(0.0, |delay_ms| {
            let delay = delay_ms.max(0.0) + APPARATUS_MS;
            // The usual two-line fit of G.107's Id (Cole and Rosenbluth 2001).
            0.024 * delay + 0.11 * (delay - 177.3).max(0.0)
        });
        let (scale, equipment, robustness) = impairment(received.codec);
        let loss = received.missing_share.clamp(0.0, 1.0) * 100.0;
        // G.107 (7-29), G.107.1 (7-15): 95 on both scales.
        let effective = equipment
            + (95.0 - equipment) * loss / (loss / received.burst_ratio.max(1.0) + robustness);
        // Where runs are long, the term above passes its own limit.
        let impaired = delay_impairment + effective.min(95.0);
        Self(
            match scale {
                Scale::Narrow => BEST_NARROW - impaired,
                Scale::Wide => (BEST_WIDE - impaired) / WIDE_TO_NARROW,
            }
            .clamp(0.0, 100.0),
        )
    }

    /// R as it is reported, whole.
    pub(crate) fn r(self) -> u8 {
        self.0.round() as u8
    }

    /// Mean opinion score, 1 to 4.5 (G.107 annex B).
    pub(crate) fn mos(self) -> f32 {
        let r = self.0;
        (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).clamp(1.0, 4.5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(codec: Codec, missing_share: f32, delay_ms: f32) -> f32 {
        let received = Reception {
            codec,
            missing_share,
            burst_ratio: 1.0,
            delay_ms: Some(delay_ms),
        };
        Rating::of(received).mos()
    }

    fn listening(codec: Codec, missing_share: f32, burst_ratio: f32) -> Rating {
        Rating::of(Reception {
            codec,
            missing_share,
            burst_ratio,
            delay_ms: None,
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
    fn points_of_the_recommendations() {
        for (codec, share, ratio, r, mos) in [
            // G.107 table 1: the defaults give R = 93.2, MOS 4.41.
            (Codec::Pcmu, 0.0, 1.0, 93, 4.409),
            // 95 · 2 / 27.1 = 7.01: R = 86.2.
            (Codec::Pcma, 0.02, 1.0, 86, 4.235),
            // The same in runs twice as long: 95 · 2 / (1 + 25.1) = 7.28.
            (Codec::Pcma, 0.02, 2.0, 86, 4.227),
            // G.107.1: 129 − 13 = 116, / 1.29 = 89.9, MOS 4.337.
            (Codec::G722, 0.0, 1.0, 90, 4.337),
            // 129 − 20 = 109, / 1.29 = 84.5.
            (Codec::Opus, 0.0, 1.0, 84, 4.182),
            // 20 + 75 · 5 / 16.3 = 43.0: 86.0 / 1.29 = 66.7.
            (Codec::Opus, 0.05, 1.0, 67, 3.437),
        ] {
            let rating = listening(codec, share, ratio);
            assert_eq!(rating.r(), r, "{codec:?} {share}");
            assert!(
                (rating.mos() - mos).abs() < 0.005,
                "{codec:?} {share}: {} against {mos}",
                rating.mos()
            );
        }
    }

    /// What `ctl` once said of a call in which three of four packets were missing: 4.37.
    #[test]
    fn nothing_heard_is_never_good() {
        for codec in Codec::ALL {
            assert!(of(codec, 0.74, 60.0) < 1.8, "{codec:?}");
        }
    }

    #[test]
    fn worse_is_never_better() {
        for codec in [Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma] {
            for step in 0..100u8 {
                let x = f32::from(step);
                assert!(of(codec, x / 100.0, 50.0) >= of(codec, (x + 1.0) / 100.0, 50.0) - 1e-4);
                assert!(of(codec, 0.02, x * 10.0) >= of(codec, 0.02, (x + 1.0) * 10.0) - 1e-4);
                let runs = |ratio| listening(codec, x / 100.0, ratio).mos();
                assert!(runs(1.0) >= runs(3.0) - 1e-4, "{codec:?} {x}");
            }
        }
    }
}
