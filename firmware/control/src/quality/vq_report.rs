//! A call's figures as a collector wants them (`application/vq-rtcpxr`, RFC 6035 section 4.6).
//!
//! ```text
//! who, where, when │ figures of this end │ figures of the far end (RTCP XR) ─▶ VqReport ─▶ body of a PUBLISH
//! ```

use std::fmt::{self, Write};
use std::net::SocketAddr;

use media::rtcp::xr::{Concealment, VoipMetrics};
use sip::DialogIdentity;
use types::Codec;

/// Event package and type of the body (sections 4.1 and 4.3).
pub(crate) const EVENT: &str = "vq-rtcpxr";
pub(crate) const CONTENT_TYPE: &str = "application/vq-rtcpxr";

/// Which report (section 4.6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// While the call goes on.
    Interval,
    /// The call is over.
    CallEnd,
}

/// What both ends' figures are of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SoundDescription {
    pub(crate) codec: Codec,
    pub(crate) payload_type: u8,
    /// Milliseconds in a packet.
    pub(crate) packet_ms: u32,
    /// Nothing but comfort noise is sent in silence.
    pub(crate) silence_suppression: bool,
}

/// One report.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VqReport<'a> {
    pub(crate) occasion: Occasion,
    pub(crate) dialog: &'a DialogIdentity,
    /// This end began the call.
    pub(crate) is_caller: bool,
    /// Where RTP is received, and the SSRC it is sent with.
    pub(crate) local: (SocketAddr, u32),
    pub(crate) remote: (SocketAddr, u32),
    /// UTC (RFC 3339).
    pub(crate) start: &'a str,
    pub(crate) stop: &'a str,
    pub(crate) sound: SoundDescription,
    /// How this end receives the far one.
    pub(crate) metrics: &'a VoipMetrics,
    /// Interarrival jitter in ms: now, and the most there was.
    pub(crate) jitter_ms: (f64, f64),
    /// How the far end says it receives this one.
    pub(crate) far_metrics: Option<&'a VoipMetrics>,
}

impl fmt::Display for VqReport<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dialog = self.dialog;
        let report = match self.occasion {
            Occasion::Interval => "VQIntervalReport",
            Occasion::CallEnd => "VQSessionReport: CallTerm",
        };
        let orig = if self.is_caller {
            &dialog.local
        } else {
            &dialog.remote
        };
        line(out, format_args!("{report}"))?;
        line(out, format_args!("CallID: {}", dialog.call_id))?;
        line(out, format_args!("LocalID: {}", dialog.local))?;
        line(out, format_args!("RemoteID: {}", dialog.remote))?;
        line(out, format_args!("OrigID: {orig}"))?;
        line(out, format_args!("LocalGroup: {}", dialog.local_domain))?;
        line(out, format_args!("RemoteGroup: {}", dialog.remote_domain))?;
        line(out, format_args!("LocalAddr: {}", Address(self.local)))?;
        line(out, format_args!("RemoteAddr: {}", Address(self.remote)))?;
        line(out, format_args!("LocalMetrics:"))?;
        self.metrics(out, self.metrics, Some(self.jitter_ms))?;
        if let Some(far) = self.far_metrics {
            line(out, format_args!("RemoteMetrics:"))?;
            self.metrics(out, far, None)?;
        }
        line(
            out,
            format_args!(
                "DialogID: {};to-tag={};from-tag={}",
                dialog.call_id,
                if self.is_caller {
                    &dialog.remote_tag
                } else {
                    &dialog.local_tag
                },
                if self.is_caller {
                    &dialog.local_tag
                } else {
                    &dialog.remote_tag
                },
            ),
        )
    }
}

impl VqReport<'_> {
    fn metrics(
        &self,
        out: &mut fmt::Formatter<'_>,
        metrics: &VoipMetrics,
        jitter_ms: Option<(f64, f64)>,
    ) -> fmt::Result {
        line(
            out,
            format_args!("Timestamps: START={} STOP={}", self.start, self.stop),
        )?;
        self.session_description(out, metrics)?;
        let adaptive = match metrics.adaptive {
            None => 0,
            Some(false) => 2,
            Some(true) => 3,
        };
        line(
            out,
            format_args!(
                "JitterBuffer: JBA={adaptive} JBR={} JBN={} JBM={} JBX={}",
                metrics.adjustment_rate,
                metrics.buffer_nominal_ms,
                metrics.buffer_most_ms,
                metrics.buffer_absolute_ms,
            ),
        )?;
        line(
            out,
            format_args!(
                "PacketLoss: NLR={} JDR={}",
                Percent(metrics.loss),
                Percent(metrics.discarded)
            ),
        )?;
        line(
            out,
            format_args!(
                "BurstGapLoss: BLD={} BD={} GLD={} GD={} GMIN={}",
                Percent(metrics.burst_density),
                metrics.burst_ms,
                Percent(metrics.gap_density),
                metrics.gap_ms,
                metrics.gmin,
            ),
        )?;
        let mut delay = Fields::new("Delay");
        if metrics.round_trip_ms > 0 {
            delay.add("RTD", metrics.round_trip_ms)?;
        }
        delay.add("ESD", metrics.end_system_ms)?;
        if let (Some(far), true) = (self.far_metrics, self.metrics.round_trip_ms > 0) {
            // Section 4.6.2.6: half of the round trip, and of what both ends add to it.
            let both = u32::from(self.metrics.end_system_ms) + u32::from(far.end_system_ms);
            delay.add(
                "SOWD",
                u32::midpoint(u32::from(self.metrics.round_trip_ms), both),
            )?;
        }
        if let Some((now, most)) = jitter_ms {
            delay.add("IAJ", now.round())?;
            delay.add("MAJ", most.round())?;
        }
        delay.write(out)?;
        let mut signal = Fields::new("Signal");
        if let Some(level) = metrics.signal_dbm0 {
            signal.add("SL", level)?;
        }
        if let Some(level) = metrics.noise_dbm0 {
            signal.add("NL", level)?;
        }
        if let Some(loss) = metrics.echo_return_loss_db {
            signal.add("RERL", loss)?;
        }
        signal.write(out)?;
        let mut quality = Fields::new("QualityEst");
        if let Some(r) = metrics.r {
            quality.add("RCQ", r)?;
        }
        if let Some(r) = metrics.external_r {
            quality.add("EXTRI", r)?;
        }
        if let Some(mos) = metrics.mos_lq {
            quality.add("MOSLQ", format_args!("{mos:.1}"))?;
        }
        if let Some(mos) = metrics.mos_cq {
            quality.add("MOSCQ", format_args!("{mos:.1}"))?;
        }
        if jitter_ms.is_some() && !quality.is_empty() {
            quality.add("QoEEstAlg", self.algorithm())?;
        }
        quality.write(out)
    }

    fn session_description(
        &self,
        out: &mut fmt::Formatter<'_>,
        metrics: &VoipMetrics,
    ) -> fmt::Result {
        let sound = &self.sound;
        let name = sound.codec.rtpmap().split('/').next().unwrap_or_default();
        let mut description = Fields::new("SessionDesc");
        description.add("PT", sound.payload_type)?;
        description.add("PD", name)?;
        description.add("SR", sound.codec.rtp_clock_hz())?;
        description.add("FD", sound.packet_ms)?;
        description.add("FPP", 1)?;
        description.add("PPS", 1000 / sound.packet_ms.max(1))?;
        let concealment = match metrics.concealment {
            Concealment::Unspecified => 0,
            Concealment::Disabled => 1,
            Concealment::Enhanced => 2,
            Concealment::Standard => 3,
        };
        description.add("PLC", concealment)?;
        let suppression = if sound.silence_suppression {
            "on"
        } else {
            "off"
        };
        description.add("SSUP", suppression)?;
        description.write(out)
    }

    /// What the estimate is made by.
    fn algorithm(&self) -> &'static str {
        match self.sound.codec {
            Codec::Pcmu | Codec::Pcma => "G.107",
            Codec::G722 | Codec::Opus => "G.107.1",
        }
    }
}

fn line(out: &mut fmt::Formatter<'_>, content: fmt::Arguments<'_>) -> fmt::Result {
    write!(out, "{content}\r\n")
}

/// One line of `NAME=value` fields; left out where it has none.
struct Fields {
    text: String,
    name_len: usize,
}

impl Fields {
    fn new(name: &str) -> Self {
        Self {
            text: format!("{name}:"),
            name_len: name.len() + 1,
        }
    }

    fn add(&mut self, name: &str, value: impl fmt::Display) -> fmt::Result {
        write!(self.text, " {name}={value}")
    }

    fn is_empty(&self) -> bool {
        self.text.len() == self.name_len
    }

    fn write(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return Ok(());
        }
        line(out, format_args!("{}", self.text))
    }
}

/// `IP=192.0.2.1 PORT=4000 SSRC=0x1a2b3c4d`
struct Address((SocketAddr, u32));

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, ssrc) = self.0;
        let ip = address.ip().to_canonical();
        write!(f, "IP={ip} PORT={} SSRC=0x{ssrc:08x}", address.port())
    }
}

/// A share as a percentage with one or two digits behind the point.
struct Percent(f32);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = if self.0.is_finite() {
            self.0.clamp(0.0, 1.0) * 100.0
        } else {
            0.0
        };
        write!(f, "{percent:.2}")
    }
}

#[cfg(test)]
mod tests;
