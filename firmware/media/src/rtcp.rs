//! RTCP (RFC 3550): reports written into the caller's buffer, reports of the far end read, and when
//! to send the next.
//!
//! ```text
//! RTP packet ─▶ Jitter ─┐
//!               Sequence ┴─▶ RtcpSession::poll ─▶ SR or RR + SDES CNAME + XR ─▶ packet
//! RTCP packet ─▶ RtcpSession::handle ─▶ round trip, loss and metrics the far end sees, BYE
//! ```
//!
//! Reading is rtcp-types'; writing is ours, because its builders allocate.

use std::time::{Duration, Instant};

use types::RtcpXr;

use crate::rtp::Sequence;

pub mod xr;

use xr::VoipMetrics;

/// Enough for what [`RtcpSession`] writes: SR with one block (52), SDES with the longest CNAME
/// (76), XR (72), BYE (8).
pub const MAX_WRITTEN: usize = 160 + xr::MOST_WRITTEN;
/// Longest CNAME used, in bytes.
pub const MAX_CNAME: usize = 63;
/// Shortest mean interval (RFC 3550 §6.2).
const MIN_INTERVAL: f64 = 5.0;
/// RTCP's share of a session at 64 kbit/s in bytes a second: 5 % (RFC 3550 §6.2).
const BANDWIDTH: f64 = 400.0;
/// UDP and IPv4 headers, counted in the average packet size (RFC 3550 §6.2).
const UNDERNEATH: f64 = 28.0;

/// Why RTCP was refused or could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RtcpError {
    /// Not RTCP, or cut short, or padded where it must not be.
    #[error("RTCP packet of {0} bytes is malformed")]
    Malformed(usize),
    /// The buffer is too short.
    #[error("no room for RTCP in {0} bytes, {MAX_WRITTEN} always do")]
    NoRoom(usize),
}

/// Interarrival jitter (RFC 3550 §6.4.1, A.8).
#[derive(Debug, Clone, Copy, Default)]
pub struct Jitter {
    start: Option<Instant>,
    transit: u32,
    /// Sixteen times the estimate, in RTP ticks.
    scaled: u32,
}

impl Jitter {
    /// Takes a packet: its timestamp, its arrival, the RTP clock.
    pub fn update(&mut self, timestamp: u32, arrival: Instant, clock_hz: u32) {
        let first = self.start.is_none();
        let start = *self.start.get_or_insert(arrival);
        // Ticks since the first packet; a packet stamped by the kernel may lie before it.
        let ticks =
            |time: Duration| (time.as_nanos() * u128::from(clock_hz) / 1_000_000_000) as u32;
        let arrival = match arrival.checked_duration_since(start) {
            Some(after) => ticks(after),
            None => ticks(start.duration_since(arrival)).wrapping_neg(),
        };
        let transit = arrival.wrapping_sub(timestamp);
        if !first {
            let difference = (transit.wrapping_sub(self.transit) as i32).unsigned_abs();
            self.scaled = self
                .scaled
                .saturating_add(difference)
                .saturating_sub((self.scaled.saturating_add(8)) >> 4);
        }
        self.transit = transit;
    }

    /// The far end started again, or paused: the next packet is not compared with the last. The
    /// estimate stays.
    pub fn restart(&mut self) {
        self.start = None;
    }

    /// The estimate in RTP ticks.
    pub fn ticks(&self) -> u32 {
        self.scaled >> 4
    }

    /// The estimate in ms.
    pub fn ms(&self, clock_hz: u32) -> f32 {
        self.scaled as f32 / 16.0 * 1000.0 / clock_hz.max(1) as f32
    }
}

/// What we send, for a sender report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderInfo {
    /// RTP timestamp of the sound captured at the report's time.
    pub timestamp: u32,
    /// Packets sent.
    pub packets: u32,
    /// Payload octets sent.
    pub octets: u32,
}

/// What the far end's packet reports.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FarReport {
    /// Round trip, from LSR and DLSR of a block about us.
    pub round_trip: Option<Duration>,
    /// Share of our packets lost lately, 0 to 1.
    pub remote_loss: Option<f32>,
    /// Jitter of our packets at the far end, in ticks of our RTP clock.
    pub remote_jitter: Option<u32>,
    /// It sent a sender report.
    pub sender_report: bool,
    /// It sent BYE.
    pub bye: bool,
    /// How it receives us (RFC 3611 section 4.7).
    pub metrics: Option<VoipMetrics>,
}

/// The last sender report heard, for LSR and DLSR; or the last receiver's clock, for LRR and DLRR.
#[derive(Debug, Clone, Copy)]
struct LastReport {
    ssrc: u32,
    middle: u32,
    arrival: Instant,
}

/// One stream's RTCP.
#[derive(Debug, Clone)]
pub struct RtcpSession {
    ssrc: u32,
    cname: [u8; MAX_CNAME],
    cname_len: u8,
    ntp: (Instant, u64),
    random: u64,
    last_report: Option<LastReport>,
    previous: Instant,
    next: Instant,
    initial: bool,
    average: f64,
    /// Packets we had sent at the last two reports: we are a sender if the count moved since the
    /// older (RFC 3550 §6.3.8).
    sent_before: [u32; 2],
    far_heard: bool,
    xr: RtcpXr,
    /// What the next report says of the sound received.
    metrics: Option<VoipMetrics>,
    /// The far end's last receiver reference time.
    last_reference: Option<LastReport>,
}

impl RtcpSession {
    /// Starts; the first report is due after half an interval. `ntp` ties an `Instant` to
    /// wall-clock time (NTP 32.32); `seed` spreads the intervals.
    pub fn new(ssrc: u32, cname: &str, ntp: (Instant, u64), seed: u64, now: Instant) -> Self {
        // Cut at a character, not within one.
        let mut length = cname.len().min(MAX_CNAME);
        while !cname.is_char_boundary(length) {
            length -= 1;
        }
        let mut bytes = [0; MAX_CNAME];
        bytes[..length].copy_from_slice(&cname.as_bytes()[..length]);
        let mut session = Self {
            ssrc,
            cname: bytes,
            cname_len: length as u8,
            ntp,
            random: seed ^ (u64::from(ssrc) << 32) ^ 0x9E37_79B9_7F4A_7C15,
            last_report: None,
            previous: now,
            next: now,
            initial: true,
            average: 100.0 + UNDERNEATH,
            sent_before: [0; 2],
            far_heard: false,
            xr: RtcpXr::default(),
            metrics: None,
            last_reference: None,
        };
        session.next = now + session.interval(true);
        session
    }

    /// The extended reports (RFC 3611) the far end asked for; none are sent unless it did.
    pub fn set_extended(&mut self, wanted: RtcpXr) {
        self.xr = wanted;
    }

    /// Whether the far end asked for VoIP metrics.
    pub fn wants_metrics(&self) -> bool {
        self.xr.voip_metrics
    }

    /// What the next reports say of how the far end's sound is received.
    pub fn set_metrics(&mut self, metrics: VoipMetrics) {
        self.metrics = Some(metrics);
    }

    /// NTP time (32.32 fixed point) of an instant.
    pub fn ntp_at(&self, now: Instant) -> u64 {
        let fixed = |time: Duration| {
            (time.as_secs() << 32) + ((u64::from(time.subsec_nanos()) << 32) / 1_000_000_000)
        };
        match now.checked_duration_since(self.ntp.0) {
            Some(after) => self.ntp.1.wrapping_add(fixed(after)),
            None => self
                .ntp
                .1
                .wrapping_sub(fixed(self.ntp.0.duration_since(now))),
        }
    }

    /// When [`RtcpSession::poll`] next has something to say.
    pub fn due(&self) -> Instant {
        self.next
    }

    /// xorshift64*: enough to keep a thousand phones from reporting at once.
    fn unit(&mut self) -> f64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        if self.random == 0 {
            self.random = 1;
        }
        (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn interval(&mut self, we_sent: bool) -> Duration {
        let members = if self.far_heard { 2 } else { 1 };
        let senders = u32::from(we_sent) + u32::from(self.last_report.is_some());
        let random = self.unit();
        interval(
            members,
            senders,
            we_sent,
            self.average,
            self.initial,
            random,
        )
    }

    /// Writes a report into `out` if one is due: `Some(length)`. `sent`: `None` if nothing is sent
    /// at all; `source`: the far end's SSRC with its bookkeeping, `None` before its first packet.
    pub fn poll(
        &mut self,
        now: Instant,
        sent: Option<SenderInfo>,
        source: Option<(u32, &mut Sequence, &Jitter)>,
        out: &mut [u8],
    ) -> Option<usize> {
        if now < self.next {
            return None;
        }
        let packets = sent.map_or(0, |sent| sent.packets);
        let we_sent = packets != self.sent_before[0];
        // Timer reconsideration (§6.3.6): what was drawn then may be too early for what is known
        // now.
        let interval = self.interval(we_sent);
        if self.previous + interval > now {
            self.next = self.previous + interval;
            return None;
        }
        let length = self
            .write(now, sent.filter(|_| we_sent), source, false, out)
            .ok()?;
        self.sent_before = [self.sent_before[1], packets];
        self.previous = now;
        self.initial = false;
        let interval = self.interval(we_sent);
        self.next = now + interval;
        Some(length)
    }

    /// Writes the last report, with BYE. Nothing is due after it.
    ///
    /// # Errors
    /// [`RtcpError::NoRoom`].
    pub fn bye(
        &mut self,
        now: Instant,
        sent: Option<SenderInfo>,
        source: Option<(u32, &mut Sequence, &Jitter)>,
        out: &mut [u8],
    ) -> Result<usize, RtcpError> {
        let sent = sent.filter(|sent| sent.packets != self.sent_before[0]);
        self.write(now, sent, source, true, out)
    }

    fn write(
        &mut self,
        now: Instant,
        sent: Option<SenderInfo>,
        source: Option<(u32, &mut Sequence, &Jitter)>,
        bye: bool,
        out: &mut [u8],
    ) -> Result<usize, RtcpError> {
        let mut writer = Writer { length: 0, out };
        let blocks = u8::from(source.is_some());
        if let Some(sent) = sent {
            let ntp = self.ntp_at(now);
            writer.header(blocks, 200, 6 + 6 * u16::from(blocks))?;
            writer.u32(self.ssrc)?;
            writer.u32((ntp >> 32) as u32)?;
            writer.u32(ntp as u32)?;
            writer.u32(sent.timestamp)?;
            writer.u32(sent.packets)?;
            writer.u32(sent.octets)?;
        } else {
            writer.header(blocks, 201, 1 + 6 * u16::from(blocks))?;
            writer.u32(self.ssrc)?;
        }
        let far = source.as_ref().map(|(ssrc, ..)| *ssrc);
        if let Some((ssrc, sequence, jitter)) = source {
            let fraction = sequence.fraction_lost();
            // 24 bits, signed; duplicates are not counted, so it is never negative here.
            let lost = sequence.lost().min(0x7F_FFFF) as u32;
            writer.u32(ssrc)?;
            writer.u32((u32::from(fraction) << 24) | lost)?;
            writer.u32(sequence.highest_reported())?;
            writer.u32(jitter.ticks())?;
            let (middle, delay) = match self.last_report {
                Some(report) if report.ssrc == ssrc => (
                    report.middle,
                    short(now.saturating_duration_since(report.arrival)),
                ),
                Some(_) | None => (0, 0),
            };
            writer.u32(middle)?;
            writer.u32(delay)?;
        }
        // SDES: one chunk, one CNAME item, one to four zero bytes to end it on a word.
        let name = &self.cname[..usize::from(self.cname_len)];
        let padded = (2 + name.len() + 1).next_multiple_of(4);
        writer.header(1, 202, 1 + (padded / 4) as u16)?;
        writer.u32(self.ssrc)?;
        writer.bytes(&[1, self.cname_len])?;
        writer.bytes(name)?;
        writer.bytes(&[0; 4][..padded - 2 - name.len()])?;
        self.extended_report(now, sent.is_some(), far)
            .write(self.ssrc, &mut writer)?;
        if bye {
            writer.header(1, 203, 1)?;
            writer.u32(self.ssrc)?;
        }
        let length = writer.length;
        self.average += (length as f64 + UNDERNEATH - self.average) / 16.0;
        Ok(length)
    }

    fn extended_report(&self, now: Instant, is_sender: bool, far: Option<u32>) -> xr::Report<'_> {
        let reference = self.last_reference.filter(|last| far == Some(last.ssrc));
        xr::Report {
            // Who sends sender reports learns the round trip from what answers them.
            reference_time: (self.xr.round_trip && !is_sender).then(|| self.ntp_at(now)),
            dlrr: reference.map(|last| xr::Dlrr {
                ssrc: last.ssrc,
                last: last.middle,
                delay: short(now.saturating_duration_since(last.arrival)),
            }),
            metrics: self
                .metrics
                .as_ref()
                .filter(|metrics| self.xr.voip_metrics && far == Some(metrics.source)),
        }
    }

    /// Reads a compound packet of the far end. Packets of unknown kind are stepped over.
    ///
    /// # Errors
    /// [`RtcpError::Malformed`], never a panic, on any bytes; nothing is taken from such a packet.
    pub fn handle(&mut self, packet: &[u8], arrival: Instant) -> Result<FarReport, RtcpError> {
        let malformed = RtcpError::Malformed(packet.len());
        let mut heard = FarReport::default();
        let (mut report, mut reference) = (None, None);
        if packet.is_empty() {
            return Err(malformed);
        }
        for part in CompoundPackets::new(packet) {
            let (kind, bytes) = part.ok_or(malformed)?;
            match kind {
                200 => {
                    let sender =
                        <rtcp_types::SenderReport as rtcp_types::RtcpPacketParser>::parse(bytes)
                            .map_err(|_| malformed)?;
                    heard.sender_report = true;
                    report = Some(LastReport {
                        ssrc: sender.ssrc(),
                        middle: (sender.ntp_timestamp() >> 16) as u32,
                        arrival,
                    });
                    for block in sender.report_blocks() {
                        self.block(&block, arrival, &mut heard);
                    }
                }
                201 => {
                    let receiver =
                        <rtcp_types::ReceiverReport as rtcp_types::RtcpPacketParser>::parse(bytes)
                            .map_err(|_| malformed)?;
                    for block in receiver.report_blocks() {
                        self.block(&block, arrival, &mut heard);
                    }
                }
                203 => {
                    <rtcp_types::Bye as rtcp_types::RtcpPacketParser>::parse(bytes)
                        .map_err(|_| malformed)?;
                    heard.bye = true;
                }
                xr::PACKET_TYPE => {
                    reference = self.extended(bytes, arrival, &mut heard).or(reference);
                }
                // SDES has a name we do not show; feedback is for video.
                _ => {}
            }
        }
        self.far_heard = true;
        if report.is_some() {
            self.last_report = report;
        }
        if reference.is_some() {
            self.last_reference = reference;
        }
        self.average += (packet.len() as f64 + UNDERNEATH - self.average) / 16.0;
        Ok(heard)
    }

    /// Reads an extended report; returns the far end's clock, if it is in there. What is malformed
    /// in it ends the reading, and takes nothing else with it (RFC 3611 section 3).
    fn extended(
        &self,
        packet: &[u8],
        arrival: Instant,
        heard: &mut FarReport,
    ) -> Option<LastReport> {
        let (ssrc, blocks) = xr::Blocks::new(packet)?;
        let mut reference = None;
        for block in blocks.map_while(|block| block) {
            match block {
                xr::Block::ReferenceTime(ntp) => {
                    let middle = (ntp >> 16) as u32;
                    reference = Some(LastReport {
                        ssrc,
                        middle,
                        arrival,
                    });
                }
                xr::Block::Dlrr(content) => {
                    let ours = |sub: &xr::Dlrr| sub.ssrc == self.ssrc;
                    if let Some(sub) = xr::sub_blocks(content).find(ours) {
                        let known = self.round_trip(sub.last, sub.delay, arrival);
                        heard.round_trip = known.or(heard.round_trip);
                    }
                }
                xr::Block::Metrics(metrics) if metrics.source == self.ssrc => {
                    heard.metrics = Some(metrics);
                }
                xr::Block::Metrics(_) | xr::Block::Other => {}
            }
        }
        reference
    }

    fn block(&self, block: &rtcp_types::ReportBlock<'_>, arrival: Instant, heard: &mut FarReport) {
        if block.ssrc() != self.ssrc {
            return;
        }
        heard.remote_loss = Some(f32::from(block.fraction_lost()) / 256.0);
        heard.remote_jitter = Some(block.interarrival_jitter());
        let (sent, delay) = (
            block.last_sender_report_timestamp(),
            block.delay_since_last_sender_report_timestamp(),
        );
        heard.round_trip = self.round_trip(sent, delay, arrival).or(heard.round_trip);
    }

    /// From when something of ours was sent (0: nothing), and how long the far end kept it, both
    /// in 16.16 fixed point.
    fn round_trip(&self, sent: u32, kept: u32, arrival: Instant) -> Option<Duration> {
        let now = (self.ntp_at(arrival) >> 16) as u32;
        let away = now.wrapping_sub(sent).wrapping_sub(kept);
        // A far end that lies about its delay makes this negative, or absurd: no figure then.
        (sent != 0 && away < 30 << 16)
            .then(|| Duration::from_nanos((u64::from(away) * 1_000_000_000) >> 16))
    }
}

/// Seconds in 16.16 fixed point, saturating.
fn short(time: Duration) -> u32 {
    u32::try_from((time.as_nanos() << 16) / 1_000_000_000).unwrap_or(u32::MAX)
}

/// The interval to the next report (RFC 3550 §6.3.1, A.7). `average`: mean RTCP packet with what
/// lies underneath, in bytes; `random`: 0 to 1.
fn interval(
    members: u32,
    senders: u32,
    we_sent: bool,
    average: f64,
    initial: bool,
    random: f64,
) -> Duration {
    let minimum = if initial {
        MIN_INTERVAL / 2.0
    } else {
        MIN_INTERVAL
    };
    let (mut bandwidth, mut counted) = (BANDWIDTH, members);
    // Few senders share a quarter of the bandwidth, the rest what is left.
    if f64::from(senders) <= f64::from(members) * 0.25 {
        if we_sent {
            bandwidth *= 0.25;
            counted = senders;
        } else {
            bandwidth *= 0.75;
            counted -= senders;
        }
    }
    let mean = (average * f64::from(counted) / bandwidth).max(minimum);
    // Reconsideration shortens what is drawn; e − 3/2 makes up for it.
    Duration::from_secs_f64(mean * (random + 0.5) / (std::f64::consts::E - 1.5))
}

/// Whether these bytes are a compound RTCP packet from end to end, as no protected one is.
pub(crate) fn is_whole(packet: &[u8]) -> bool {
    !packet.is_empty() && CompoundPackets::new(packet).all(|part| part.is_some())
}

/// The packets of a compound one, each with its type; `None` for one that is cut short or of
/// another version.
struct CompoundPackets<'a>(&'a [u8]);

impl<'a> CompoundPackets<'a> {
    fn new(packet: &'a [u8]) -> Self {
        Self(packet)
    }
}

impl<'a> Iterator for CompoundPackets<'a> {
    type Item = Option<(u8, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let whole = std::mem::take(&mut self.0);
        let Some(&[first, kind, high, low]) = whole.first_chunk::<4>() else {
            return Some(None);
        };
        let length = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
        // The types that RFC 5761 §4 leaves to RTCP; anything else is a media packet gone astray.
        if first >> 6 != 2 || length > whole.len() || !(192..=223).contains(&kind) {
            return Some(None);
        }
        let (part, rest) = whole.split_at(length);
        self.0 = rest;
        Some(Some((kind, part)))
    }
}

struct Writer<'a> {
    out: &'a mut [u8],
    length: usize,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), RtcpError> {
        let room = self.out.len();
        self.out
            .get_mut(self.length..self.length + bytes.len())
            .ok_or(RtcpError::NoRoom(room))?
            .copy_from_slice(bytes);
        self.length += bytes.len();
        Ok(())
    }

    fn u16(&mut self, value: u16) -> Result<(), RtcpError> {
        self.bytes(&value.to_be_bytes())
    }

    fn u32(&mut self, value: u32) -> Result<(), RtcpError> {
        self.bytes(&value.to_be_bytes())
    }

    /// `words`: 32-bit words after this one.
    fn header(&mut self, count: u8, kind: u8, words: u16) -> Result<(), RtcpError> {
        let [high, low] = words.to_be_bytes();
        self.bytes(&[0x80 | count, kind, high, low])
    }
}

#[cfg(test)]
mod tests;
