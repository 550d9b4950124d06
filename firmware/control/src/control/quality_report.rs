//! Reports of a call's quality to a collector (RFC 6035): at its end, and while it lasts where that
//! is wanted.

use std::time::{Duration, Instant};

use sip::EventState;

use super::{Control, call_span};
use crate::call::CallRecord;
use crate::event::CallDirection;
use crate::quality::vq_report::{CONTENT_TYPE, EVENT, Occasion, SoundDescription, VqReport};
use crate::wall_clock::WallClock;

impl CallRecord {
    /// The body of a report; `None`: there was nothing to report on.
    fn vq_report(&self, occasion: Occasion, clock: WallClock, now: Instant) -> Option<String> {
        let (dialog, media) = (self.dialog.as_ref()?, self.media.as_ref()?);
        let stats = &self.stats;
        if self.quality.seconds() == 0 {
            return None;
        }
        let stop = self.outcome.as_ref().map_or(now, |(_, at)| *at);
        let start = self.began + self.setup.unwrap_or(Duration::ZERO);
        let report = VqReport {
            occasion,
            dialog,
            is_caller: self.direction == CallDirection::Out,
            local: (self.sockets.as_ref()?.rtp, stats.ssrc),
            remote: (media.remote_rtp, stats.metrics.source),
            start: &clock.text(start.min(stop)),
            stop: &clock.text(stop),
            sound: SoundDescription {
                codec: media.codec,
                payload_type: media.recv_payload,
                packet_ms: media.ptime_ms.into(),
                silence_suppression: media.comfort_noise || media.opus.dtx,
            },
            metrics: &stats.metrics,
            jitter_ms: self.quality.jitter_ms(),
            far_metrics: stats.far_metrics.as_ref(),
        };
        Some(report.to_string())
    }
}

impl Control {
    /// A second of a call is over.
    pub(super) fn report_interval(&mut self, call: phone::CallId, now: Instant) {
        let Some(interval_s) = self.config.quality.interval_s else {
            return;
        };
        let clock = WallClock::new(self.wall_clock.0, self.wall_clock.1);
        let due = |record: &&mut CallRecord| {
            record.is_established()
                && record.outcome.is_none()
                && record
                    .quality
                    .seconds()
                    .is_multiple_of(u64::from(interval_s.max(1)))
        };
        let Some(record) = self.calls.get(call).filter(due) else {
            return;
        };
        let (account, body) = (
            record.account,
            record.vq_report(Occasion::Interval, clock, now),
        );
        self.publish_quality(call, account, body, now);
    }

    /// A call is over, and its last figures are known.
    pub(super) fn report_call_end(&mut self, record: &CallRecord, now: Instant) {
        let clock = WallClock::new(self.wall_clock.0, self.wall_clock.1);
        let body = record.vq_report(Occasion::CallEnd, clock, now);
        self.publish_quality(record.id, record.account, body, now);
    }

    fn publish_quality(
        &mut self,
        call: phone::CallId,
        account: Option<usize>,
        body: Option<String>,
        now: Instant,
    ) {
        let (Some(collector), Some(body)) = (&self.config.quality.collector, body) else {
            return;
        };
        let state = EventState {
            target: collector.clone(),
            event: EVENT,
            content_type: CONTENT_TYPE,
            body: body.into_bytes(),
        };
        if let Err(error) = self.agent.publish(account.map(sip::AccountId), state, now) {
            let _span = call_span(call);
            tracing::warn!("call {}: its quality is not reported: {error}", call.0);
        }
    }
}
