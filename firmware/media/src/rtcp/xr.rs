//! Extended reports (RFC 3611): VoIP metrics, receiver reference time and DLRR, written and read.
//!
//! ```text
//! figures of the stream ─▶ VoipMetrics::write ─▶ block 7 ─▶ Blocks ─▶ VoipMetrics::read ─▶ figures the far end sees
//! receiver without SR   ─▶ block 4 (its clock) ─▶ far end ─▶ block 5 (DLRR) ─▶ round trip
//! ```

use super::{RtcpError, Writer};

/// RTCP packet type of an extended report.
pub(super) const PACKET_TYPE: u8 = 207;
/// A receiver's clock (section 4.4).
const REFERENCE_TIME: u8 = 4;
/// What a sender answers to it (section 4.5).
const DLRR: u8 = 5;
/// VoIP metrics (section 4.7).
const VOIP_METRICS: u8 = 7;
/// "Not available" in the fields that have such a value (section 4.7.4 and following).
const UNAVAILABLE: u8 = 127;
/// Bytes of a VoIP metrics block behind its header.
const VOIP_METRICS_LEN: usize = 32;
/// Bytes of header and SSRC, and of the three blocks: the most that is ever written.
pub(super) const MOST_WRITTEN: usize = 8 + 12 + 16 + 4 + VOIP_METRICS_LEN;

/// How lost packets are made up for (section 4.7.6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Concealment {
    /// Not said.
    #[default]
    Unspecified,
    /// None: silence.
    Disabled,
    /// Goes on over several packets.
    Enhanced,
    /// Repeats or interpolates.
    Standard,
}

/// How one end receives the other's sound (section 4.7).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct VoipMetrics {
    /// SSRC of the sound that is described.
    pub source: u32,
    /// Share of packets lost in the network since the begin, 0 to 1.
    pub loss: f32,
    /// Share of packets that came and were not played: late, early, or too many, 0 to 1.
    pub discarded: f32,
    /// Share of packets lost or discarded within bursts, 0 to 1.
    pub burst_density: f32,
    /// The same between bursts, 0 to 1.
    pub gap_density: f32,
    /// Mean length of a burst in ms; 0: there was none.
    pub burst_ms: u16,
    /// Mean length of what lies between bursts, in ms.
    pub gap_ms: u16,
    /// Latest round trip in ms; 0: not known.
    pub round_trip_ms: u16,
    /// Delay within this end, both ways, in ms: packing, jitter buffer, playing.
    pub end_system_ms: u16,
    /// Level of the speech received, dBm0.
    pub signal_dbm0: Option<i8>,
    /// Level of the noise between, dBm0.
    pub noise_dbm0: Option<i8>,
    /// Residual echo return loss in dB.
    pub echo_return_loss_db: Option<u8>,
    /// So many packets received in a row end a burst.
    pub gmin: u8,
    /// Transmission rating of this part of the call, 0 to 100 (G.107).
    pub r: Option<u8>,
    /// Rating of a network behind this end, 0 to 100.
    pub external_r: Option<u8>,
    /// Listening quality, 1 to 5: delay is left out.
    pub mos_lq: Option<f32>,
    /// Conversational quality, 1 to 5: with delay.
    pub mos_cq: Option<f32>,
    /// What is done about lost packets.
    pub concealment: Concealment,
    /// The jitter buffer adapts its delay; `None`: not said.
    pub adaptive: Option<bool>,
    /// How fast it adapts, 0 to 15 (section 4.7.6).
    pub adjustment_rate: u8,
    /// Present nominal delay of the jitter buffer in ms.
    pub buffer_nominal_ms: u16,
    /// Its present longest delay in ms.
    pub buffer_most_ms: u16,
    /// The longest delay it can ever have, in ms.
    pub buffer_absolute_ms: u16,
}

impl VoipMetrics {
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), RtcpError> {
        let share = |share: f32| (share.clamp(0.0, 1.0) * 256.0).min(255.0) as u8;
        let rating = |r: Option<u8>| r.map_or(UNAVAILABLE, |r| r.min(100));
        let mos = |mos: Option<f32>| mos.map_or(UNAVAILABLE, tenths);
        let level = |dbm0: Option<i8>| dbm0.map_or(UNAVAILABLE, i8::cast_unsigned);
        writer.bytes(&[VOIP_METRICS, 0, 0, (VOIP_METRICS_LEN / 4) as u8])?;
        writer.u32(self.source)?;
        writer.bytes(&[
            share(self.loss),
            share(self.discarded),
            share(self.burst_density),
            share(self.gap_density),
        ])?;
        writer.u16(self.burst_ms)?;
        writer.u16(self.gap_ms)?;
        writer.u16(self.round_trip_ms)?;
        writer.u16(self.end_system_ms)?;
        writer.bytes(&[
            level(self.signal_dbm0),
            level(self.noise_dbm0),
            self.echo_return_loss_db
                .map_or(UNAVAILABLE, |db| db.min(UNAVAILABLE - 1)),
            self.gmin,
        ])?;
        writer.bytes(&[
            rating(self.r),
            rating(self.external_r),
            mos(self.mos_lq),
            mos(self.mos_cq),
        ])?;
        let concealment = match self.concealment {
            Concealment::Unspecified => 0,
            Concealment::Disabled => 1,
            Concealment::Enhanced => 2,
            Concealment::Standard => 3,
        };
        let adaptive = match self.adaptive {
            None => 0,
            Some(false) => 2,
            Some(true) => 3,
        };
        writer.bytes(&[
            concealment << 6 | adaptive << 4 | self.adjustment_rate.min(15),
            0,
        ])?;
        writer.u16(self.buffer_nominal_ms)?;
        writer.u16(self.buffer_most_ms)?;
        writer.u16(self.buffer_absolute_ms)
    }

    fn read(block: &[u8; VOIP_METRICS_LEN]) -> Self {
        let share = |at: usize| f32::from(block[at]) / 256.0;
        let word = |at: usize| u16::from_be_bytes([block[at], block[at + 1]]);
        let rating = |at: usize| Some(block[at]).filter(|&r| r <= 100);
        let mos = |at: usize| {
            let given = Some(block[at]).filter(|mos| (10..=50).contains(mos));
            given.map(|mos| f32::from(mos) / 10.0)
        };
        let level = |at: usize| {
            let given = Some(block[at]).filter(|&level| level != UNAVAILABLE);
            given.map(u8::cast_signed)
        };
        Self {
            source: u32::from_be_bytes([block[0], block[1], block[2], block[3]]),
            loss: share(4),
            discarded: share(5),
            burst_density: share(6),
            gap_density: share(7),
            burst_ms: word(8),
            gap_ms: word(10),
            round_trip_ms: word(12),
            end_system_ms: word(14),
            signal_dbm0: level(16),
            noise_dbm0: level(17),
            echo_return_loss_db: Some(block[18]).filter(|&db| db != UNAVAILABLE),
            gmin: block[19],
            r: rating(20),
            external_r: rating(21),
            mos_lq: mos(22),
            mos_cq: mos(23),
            concealment: match block[24] >> 6 {
                1 => Concealment::Disabled,
                2 => Concealment::Enhanced,
                3 => Concealment::Standard,
                _ => Concealment::Unspecified,
            },
            adaptive: match block[24] >> 4 & 3 {
                2 => Some(false),
                3 => Some(true),
                _ => None,
            },
            adjustment_rate: block[24] & 15,
            buffer_nominal_ms: word(26),
            buffer_most_ms: word(28),
            buffer_absolute_ms: word(30),
        }
    }
}

/// A mean opinion score in tenths, 10 to 50.
fn tenths(mos: f32) -> u8 {
    (mos * 10.0).round().clamp(10.0, 50.0) as u8
}

/// The answer to a receiver's clock: of whom, the middle of the NTP time it gave, and how long ago
/// that was, in 1/65536 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dlrr {
    pub(super) ssrc: u32,
    pub(super) last: u32,
    pub(super) delay: u32,
}

/// What an extended report of ours holds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Report<'a> {
    /// NTP time now, of one who sends no sender report.
    pub(super) reference_time: Option<u64>,
    pub(super) dlrr: Option<Dlrr>,
    pub(super) metrics: Option<&'a VoipMetrics>,
}

impl Report<'_> {
    /// Writes the packet; nothing where it would be empty.
    pub(super) fn write(&self, ssrc: u32, writer: &mut Writer<'_>) -> Result<(), RtcpError> {
        let words = |there: bool, words: u16| if there { words } else { 0 };
        let content = words(self.reference_time.is_some(), 3)
            + words(self.dlrr.is_some(), 4)
            + words(self.metrics.is_some(), 1 + VOIP_METRICS_LEN as u16 / 4);
        if content == 0 {
            return Ok(());
        }
        writer.header(0, PACKET_TYPE, 1 + content)?;
        writer.u32(ssrc)?;
        if let Some(ntp) = self.reference_time {
            writer.bytes(&[REFERENCE_TIME, 0, 0, 2])?;
            writer.u32((ntp >> 32) as u32)?;
            writer.u32(ntp as u32)?;
        }
        if let Some(dlrr) = self.dlrr {
            writer.bytes(&[DLRR, 0, 0, 3])?;
            writer.u32(dlrr.ssrc)?;
            writer.u32(dlrr.last)?;
            writer.u32(dlrr.delay)?;
        }
        self.metrics.map_or(Ok(()), |metrics| metrics.write(writer))
    }
}

/// A block of the far end's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Block<'a> {
    /// Its clock, NTP.
    ReferenceTime(u64),
    /// Sub-blocks of 12 bytes each.
    Dlrr(&'a [u8]),
    Metrics(VoipMetrics),
    /// One this phone makes no use of.
    Other,
}

/// The sub-blocks of a DLRR block.
pub(super) fn sub_blocks(content: &[u8]) -> impl Iterator<Item = Dlrr> {
    content.as_chunks::<12>().0.iter().map(|sub| {
        let word = |at: usize| u32::from_be_bytes([sub[at], sub[at + 1], sub[at + 2], sub[at + 3]]);
        Dlrr {
            ssrc: word(0),
            last: word(4),
            delay: word(8),
        }
    })
}

/// The blocks of an extended report, whole packet given; `None` for one that is cut short or has
/// another length than its type says (section 3: such a block is to be ignored, and what follows
/// it cannot be found).
pub(super) struct Blocks<'a>(&'a [u8]);

impl<'a> Blocks<'a> {
    /// The sender's SSRC, and the blocks; `None`: there is not even an SSRC.
    pub(super) fn new(packet: &'a [u8]) -> Option<(u32, Self)> {
        let ssrc = packet.get(4..)?.first_chunk::<4>()?;
        Some((u32::from_be_bytes(*ssrc), Self(&packet[8..])))
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Option<Block<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let whole = std::mem::take(&mut self.0);
        let Some((&[kind, _, high, low], rest)) = whole.split_first_chunk::<4>() else {
            return Some(None);
        };
        let length = 4 * usize::from(u16::from_be_bytes([high, low]));
        let Some((content, rest)) = rest.split_at_checked(length) else {
            return Some(None);
        };
        self.0 = rest;
        Some(match kind {
            REFERENCE_TIME => <[u8; 8]>::try_from(content)
                .ok()
                .map(|ntp| Block::ReferenceTime(u64::from_be_bytes(ntp))),
            DLRR => content
                .len()
                .is_multiple_of(12)
                .then_some(Block::Dlrr(content)),
            VOIP_METRICS => <[u8; VOIP_METRICS_LEN]>::try_from(content)
                .ok()
                .map(|block| Block::Metrics(VoipMetrics::read(&block))),
            _ => Some(Block::Other),
        })
    }
}

#[cfg(test)]
mod tests;
