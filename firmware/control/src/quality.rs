//! How a call sounded: a line for each of its last sixty seconds, and the whole of it in a few
//! figures.
//!
//! ```text
//! media figures, once a second ─▶ Quality::add ─▶ 60 seconds, sums ─▶ ctl quality, offhook report
//! ```

use std::collections::VecDeque;

use media::StreamStats;
use serde::Serialize;

use crate::status::{MetricsStatus, round};

pub(crate) mod vq_report;

/// Seconds kept.
const SECONDS: usize = 60;

/// One second of a call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QualitySecond {
    /// Seconds since the first of the call's sound.
    pub s: u64,
    /// Packets received, lost and come too late in it.
    pub received: u64,
    /// See `received`.
    pub lost: u64,
    /// See `received`.
    pub late: u64,
    /// Milliseconds of sound made up in it.
    pub concealed_ms: u64,
    /// Jitter of arrivals (RFC 3550) in ms.
    pub jitter_ms: f64,
    /// Playout delay of the jitter buffer in ms.
    pub delay_ms: f64,
    /// Delay the jitter buffer aims at in ms.
    pub buffer_ms: f64,
    /// Round trip by RTCP in ms; 0: not known.
    pub round_trip_ms: f64,
    /// Level sent, dBm0.
    pub sent_level_db: f64,
    /// Level received, dBm0.
    pub received_level_db: f64,
    /// Estimated conversational quality of this second, 1 to 4.5.
    pub mos: f64,
}

/// The whole call in a few figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct QualitySummary {
    /// Seconds of sound.
    pub seconds: u64,
    /// Packets received.
    pub received: u64,
    /// Packets lost.
    pub lost: u64,
    /// Packets that came too late.
    pub late: u64,
    /// Milliseconds of sound made up.
    pub concealed_ms: u64,
    /// Greatest jitter in ms.
    pub most_jitter_ms: f64,
    /// Mean and greatest playout delay in ms.
    pub mean_delay_ms: f64,
    /// See `mean_delay_ms`.
    pub most_delay_ms: f64,
    /// Mean of all seconds' quality, and the worst second's.
    pub mean_mos: f64,
    /// See `mean_mos`.
    pub worst_mos: f64,
}

/// The quality of one call, as it is given out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QualityReport {
    /// The call's number.
    pub call: u32,
    /// Who the far end is.
    pub peer: String,
    /// The codec; empty: none was agreed on.
    pub codec: &'static str,
    /// The whole call.
    pub summary: QualitySummary,
    /// How this end receives the far end.
    pub metrics: MetricsStatus,
    /// How the far end says it receives this one; none where it does not (RTCP XR).
    pub far_metrics: Option<MetricsStatus>,
    /// Its last seconds, the oldest first.
    pub seconds: Vec<QualitySecond>,
}

/// What is kept of a call.
#[derive(Debug, Default)]
pub(crate) struct Quality {
    seconds: VecDeque<QualitySecond>,
    last: StreamStats,
    count: u64,
    delay_sum: f64,
    most_delay: f64,
    most_jitter: f64,
    mos_sum: f64,
    worst_mos: f64,
}

impl Quality {
    /// A second is over, and these are the figures of the call so far.
    pub(crate) fn add(&mut self, stats: &StreamStats) {
        // Before any sound there is nothing to judge.
        if stats.received == 0 {
            return;
        }
        let last = std::mem::replace(&mut self.last, *stats);
        let second = QualitySecond {
            s: self.count,
            received: stats.received.saturating_sub(last.received),
            lost: stats.lost.saturating_sub(last.lost),
            late: stats.late.saturating_sub(last.late),
            concealed_ms: stats.concealed_ms.saturating_sub(last.concealed_ms),
            jitter_ms: round(stats.jitter_ms, 100.0),
            delay_ms: round(stats.delay_ms, 10.0),
            buffer_ms: f64::from(stats.metrics.buffer_nominal_ms),
            round_trip_ms: stats.round_trip_ms.map_or(0.0, |ms| round(ms, 100.0)),
            sent_level_db: round(stats.sent_level_dbm0, 10.0),
            received_level_db: round(stats.received_level_dbm0, 10.0),
            mos: round(stats.mos_now, 100.0),
        };
        self.count += 1;
        self.delay_sum += f64::from(stats.delay_ms);
        self.most_delay = self.most_delay.max(f64::from(stats.delay_ms));
        self.most_jitter = self.most_jitter.max(f64::from(stats.jitter_ms));
        let mos = f64::from(stats.mos_now);
        self.mos_sum += mos;
        self.worst_mos = if self.count == 1 {
            mos
        } else {
            self.worst_mos.min(mos)
        };
        if self.seconds.len() == SECONDS {
            self.seconds.pop_front();
        }
        self.seconds.push_back(second);
    }

    /// Seconds of sound so far.
    pub(crate) fn seconds(&self) -> u64 {
        self.count
    }

    /// Interarrival jitter in ms: now, and the most there was.
    pub(crate) fn jitter_ms(&self) -> (f64, f64) {
        (f64::from(self.last.jitter_ms), self.most_jitter)
    }

    /// As it is given out; `None`: nothing was heard yet.
    pub(crate) fn report(
        &self,
        call: u32,
        peer: &str,
        codec: Option<&'static str>,
    ) -> Option<QualityReport> {
        if self.count == 0 {
            return None;
        }
        let mean = |sum: f64| sum / self.count as f64;
        Some(QualityReport {
            call,
            peer: peer.to_owned(),
            codec: codec.unwrap_or_default(),
            summary: QualitySummary {
                seconds: self.count,
                received: self.last.received,
                lost: self.last.lost,
                late: self.last.late,
                concealed_ms: self.last.concealed_ms,
                most_jitter_ms: round(self.most_jitter as f32, 100.0),
                mean_delay_ms: round(mean(self.delay_sum) as f32, 10.0),
                most_delay_ms: round(self.most_delay as f32, 10.0),
                mean_mos: round(mean(self.mos_sum) as f32, 100.0),
                worst_mos: round(self.worst_mos as f32, 100.0),
            },
            metrics: (&self.last.metrics).into(),
            far_metrics: self.last.far_metrics.as_ref().map(Into::into),
            seconds: self.seconds.iter().cloned().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_kept_and_the_whole_call_counted() {
        let mut quality = Quality::default();
        assert_eq!(quality.report(1, "anna", None), None);
        for second in 1..=100_u64 {
            quality.add(&StreamStats {
                received: 50 * second,
                lost: 2 * second,
                delay_ms: if second == 30 { 80.0 } else { 20.0 },
                mos_now: if second == 31 { 1.5 } else { 4.3 },
                ..StreamStats::default()
            });
        }
        let report = quality.report(1, "anna", Some("opus")).unwrap();
        assert_eq!(report.seconds.len(), 60);
        assert_eq!((report.seconds[0].s, report.seconds[59].s), (40, 99));
        assert!(
            report
                .seconds
                .iter()
                .all(|s| (s.received, s.lost) == (50, 2))
        );
        let whole = report.summary;
        assert_eq!(
            (whole.seconds, whole.received, whole.lost),
            (100, 5000, 200)
        );
        assert!((whole.mean_delay_ms - 20.6).abs() < 0.01 && whole.most_delay_ms > 79.0);
        assert!((whole.worst_mos - 1.5).abs() < 0.01 && whole.mean_mos > 4.2);
    }
}
