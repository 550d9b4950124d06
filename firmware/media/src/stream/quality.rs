//! How a stream is received, in the terms of the E-model and of RFC 3611.
//!
//! ```text
//! counts of playout and sequence ─▶ Missing ─▶ Rating ─▶ MOS ─┐
//! bursts, delay, level, round trip ───────────────────────────┴─▶ VoipMetrics ─▶ RTCP XR, stats
//! ```

use super::Stream;
use crate::e_model::{Rating, Reception};
use crate::jitter::MOST_TARGET_MS;
use crate::playout::bursts::GMIN;
use crate::rtcp::RtcpSession;
use crate::rtcp::xr::{Concealment, VoipMetrics};
use crate::stats::Missing;

/// A second quieter than this has no speech in it, dBm0: speech is at −20, and its pauses leave a
/// second 10 dB below that.
const SPEECH_DBM0: f32 = -45.0;

/// Mean power over the seconds with speech in them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SpeechLevel {
    power: f64,
    seconds: u32,
}

impl SpeechLevel {
    pub(super) fn second(&mut self, dbm0: f32) {
        if dbm0 > SPEECH_DBM0 {
            self.power += 10f64.powf(f64::from(dbm0) / 10.0);
            self.seconds += 1;
        }
    }

    /// In dBm0; `None`: there was no speech yet.
    fn dbm0(&self) -> Option<i8> {
        let mean = self.power / f64::from(self.seconds);
        (self.seconds > 0).then(|| (10.0 * mean.log10()).round() as i8)
    }
}

impl Stream {
    /// What of the far end's sound was not heard as it was said.
    pub(super) fn missing(&self) -> Missing {
        let (totals, counts) = (self.receive.totals(), self.receive.counts());
        Missing {
            played_ms: self.played.as_secs_f64() * 1000.0,
            concealed_ms: counts.concealed_ms,
            expected: totals.received + totals.lost,
            unheard: totals.lost.saturating_sub(counts.recovered) + totals.late + counts.skipped,
        }
    }

    /// The quality with this share of the sound missing: in conversation, where delay counts, or to
    /// listen to.
    pub(super) fn rating(&self, missing_share: f32, conversation: bool) -> Rating {
        Rating::of(Reception {
            codec: self.receive.codec(),
            missing_share,
            burst_ratio: self.receive.bursts().ratio(),
            delay_ms: conversation.then(|| {
                self.receive.delay_ms()
                    + self.receive.frame_ms() as f32
                    + self.round_trip_ms.unwrap_or(0.0) / 2.0
            }),
        })
    }

    /// Gives the reports to come what they say of the sound received.
    pub(super) fn describe_reception(&mut self) {
        if self.rtcp.as_ref().is_some_and(RtcpSession::wants_metrics) {
            let metrics = self.voip_metrics();
            if let Some(rtcp) = &mut self.rtcp {
                rtcp.set_metrics(metrics);
            }
        }
    }

    /// RFC 3611 section 4.7: cumulative since the begin of the call.
    pub(super) fn voip_metrics(&self) -> VoipMetrics {
        let (totals, counts) = (self.receive.totals(), self.receive.counts());
        let expected = (totals.received + totals.lost).max(1) as f32;
        let means = self.receive.bursts().means();
        let share = self.missing().share();
        let known = self.receive.played_first();
        let (talking, listening) = (self.rating(share, true), self.rating(share, false));
        let (delay_ms, target_ms) = (self.receive.delay_ms(), self.receive.target_ms() as f32);
        VoipMetrics {
            source: self.receive.ssrc().unwrap_or(0),
            loss: totals.lost as f32 / expected,
            discarded: (totals.late + counts.skipped) as f32 / expected,
            burst_density: means.burst_density,
            gap_density: means.gap_density,
            burst_ms: means.burst_ms as u16,
            gap_ms: means.gap_ms as u16,
            round_trip_ms: self.round_trip_ms.unwrap_or(0.0) as u16,
            // A packet of ours is collected, one of theirs waits and is played.
            end_system_ms: (f32::from(self.config.ptime_ms)
                + delay_ms
                + self.receive.frame_ms() as f32) as u16,
            signal_dbm0: self.speech_level.dbm0(),
            // Neither noise nor echo is measured per stream.
            noise_dbm0: None,
            echo_return_loss_db: None,
            gmin: GMIN as u8,
            r: known.then(|| talking.r()),
            external_r: None,
            mos_lq: known.then(|| listening.mos()),
            mos_cq: known.then(|| talking.mos()),
            concealment: Concealment::Enhanced,
            adaptive: Some(true),
            adjustment_rate: 0,
            buffer_nominal_ms: target_ms as u16,
            buffer_most_ms: target_ms.max(delay_ms) as u16,
            buffer_absolute_ms: MOST_TARGET_MS as u16,
        }
    }
}
