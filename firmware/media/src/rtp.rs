//! RTP (RFC 3550): headers written into the caller's buffer, packets read as small copyable views,
//! sequence numbers judged.
//!
//! ```text
//! packet ─▶ kind (RTP or RTCP?) ─▶ View::parse (rtp-rs checks every length) ─▶ Sequence::update ─▶ jitter buffer
//! encoder ─▶ Sender::write_header ─▶ packet
//! ```

use crate::packet::PacketKind;

/// Comfort noise (RFC 3389), the static payload type.
pub(crate) const COMFORT_NOISE: u8 = 13;
/// Bytes of the header we write: no CSRC, no extension.
pub const HEADER_LEN: usize = 12;

/// Why a datagram is not RTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RtpError {
    /// Shorter than its header, extension or padding says.
    #[error("RTP packet of {0} bytes is truncated")]
    Truncated(usize),
    /// Version other than 2.
    #[error("RTP version {0}, must be 2")]
    Version(u8),
    /// The padding length is zero or larger than what follows the header.
    #[error("RTP padding of {0} bytes is impossible")]
    Padding(u8),
    /// The buffer to write to is shorter than a header.
    #[error("no room for an RTP header in {0} bytes")]
    NoRoom(usize),
}

/// How much of a packet is header and not sound: of RTP the fixed part, sources and extension
/// (RFC 3550 section 5.1), of RTCP header and SSRC, which SRTCP leaves in clear, too. At most the
/// packet's length; `None`: it is neither.
pub fn header_length(packet: &[u8]) -> Option<usize> {
    let length = match PacketKind::of(packet)? {
        PacketKind::Rtcp => 8,
        PacketKind::Rtp => {
            let sources = HEADER_LEN + 4 * usize::from(packet.first()? & 0x0F);
            match packet.get(sources + 2..sources + 4) {
                Some(&[high, low]) if packet.first()? & 0x10 != 0 => {
                    sources + 4 + 4 * usize::from(u16::from_be_bytes([high, low]))
                }
                Some(_) | None => sources,
            }
        }
    };
    Some(length.min(packet.len()))
}

/// What a packet's header says, and where its payload lies. Small and copyable: it outlives the
/// borrow of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Payload type, 0–127.
    pub payload_type: u8,
    /// Marker bit: first packet after silence, or of an event.
    pub marker: bool,
    /// Sequence number as sent.
    pub sequence: u16,
    /// Timestamp in ticks of the RTP clock.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    start: u16,
    end: u16,
}

impl View {
    /// Reads a packet: CSRCs, extension and padding are checked and stepped over.
    ///
    /// # Errors
    /// [`RtpError`], never a panic, on any bytes.
    pub fn parse(packet: &[u8]) -> Result<Self, RtpError> {
        use rtp_rs::RtpReaderError as E;
        // No datagram is longer; the places fit 16 bits.
        if packet.len() > usize::from(u16::MAX) {
            return Err(RtpError::Truncated(packet.len()));
        }
        let reader = rtp_rs::RtpReader::new(packet).map_err(|error| match error {
            E::BufferTooShort(_) | E::HeadersTruncated { .. } => RtpError::Truncated(packet.len()),
            E::UnsupportedVersion(version) => RtpError::Version(version),
            E::PaddingLengthInvalid(length) => RtpError::Padding(length),
        })?;
        let start = reader.payload_offset();
        let end = start + reader.payload().len();
        Ok(Self {
            payload_type: reader.payload_type(),
            marker: reader.mark(),
            sequence: reader.sequence_number().into(),
            timestamp: reader.timestamp(),
            ssrc: reader.ssrc(),
            start: start as u16,
            end: end as u16,
        })
    }

    /// The payload within the packet this view was parsed from (empty on any shorter one).
    pub fn payload<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        packet
            .get(usize::from(self.start)..usize::from(self.end))
            .unwrap_or(&[])
    }

    /// Payload length in bytes.
    pub fn payload_len(&self) -> usize {
        usize::from(self.end - self.start)
    }
}

/// Our side of a stream: numbers the packets and counts them for sender reports.
#[derive(Debug, Clone, Copy)]
pub struct Sender {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    packets: u32,
    octets: u32,
    last: Option<u32>,
}

impl Sender {
    /// Starts at the numbers given; they should be random (RFC 3550 §5.1).
    pub fn new(ssrc: u32, first_sequence: u16, first_timestamp: u32) -> Self {
        Self {
            ssrc,
            sequence: first_sequence,
            timestamp: first_timestamp,
            packets: 0,
            octets: 0,
            last: None,
        }
    }

    /// Our SSRC.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The timestamp of the sound that is captured next.
    pub fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// Time passed: also called for frames that are not sent (DTX, mute by direction), so that
    /// silence keeps its length.
    pub fn advance(&mut self, ticks: u32) {
        self.timestamp = self.timestamp.wrapping_add(ticks);
    }

    /// Writes the header of the next packet with this timestamp (of the sound, or of a telephone
    /// event's start) and counts it. The payload belongs at `out[HEADER_LEN..]`.
    ///
    /// # Errors
    /// [`RtpError::NoRoom`].
    pub fn write_header(
        &mut self,
        out: &mut [u8],
        payload_type: u8,
        marker: bool,
        timestamp: u32,
        payload_len: usize,
    ) -> Result<usize, RtpError> {
        let length = out.len();
        let header = out
            .first_chunk_mut::<HEADER_LEN>()
            .ok_or(RtpError::NoRoom(length))?;
        header[0] = 0x80;
        header[1] = (u8::from(marker) << 7) | (payload_type & 0x7F);
        header[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        header[4..8].copy_from_slice(&timestamp.to_be_bytes());
        header[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload_len as u32);
        self.last = Some(timestamp);
        Ok(HEADER_LEN)
    }

    /// Packets sent (RFC 3550 §6.4.1).
    pub fn packets(&self) -> u32 {
        self.packets
    }

    /// Payload octets sent.
    pub fn octets(&self) -> u32 {
        self.octets
    }

    /// Timestamp of the packet sent last.
    #[cfg(test)]
    pub(crate) fn last_timestamp(&self) -> Option<u32> {
        self.last
    }
}

/// Largest step forward that is still the same stream (RFC 3550 A.1).
const MAX_DROPOUT: u16 = 3000;
/// Largest step back that is still reordering.
const MAX_MISORDER: u16 = 100;

/// What a sequence number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SequenceVerdict {
    /// Take it; the number extended by the wraps so far. May lie behind earlier ones (reordering).
    Take(u32),
    /// Seen already.
    Duplicate,
    /// A jump too large to believe; two in a row that follow each other will be.
    Suspect,
    /// The far end started again: forget what is buffered. The extended number counts from here.
    Restart(u32),
}

/// Sequence bookkeeping of one source (RFC 3550 A.1, A.3), with duplicates known within the last
/// 128 packets.
///
/// Without probation: A.1 wants two packets in sequence before a source counts, against stray
/// packets. Here the source was agreed by signalling and the address is checked, and the first word
/// of a call must not be lost, so the first packet counts. A.1's rule of two still guards a running
/// stream against a jump.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sequence {
    started: bool,
    highest: u16,
    cycles: u32,
    base: u32,
    /// Bit n: the packet n before the highest came.
    seen: u128,
    /// The number that would confirm a jump.
    suspect: Option<u16>,
    received: u64,
    /// Expected and received in streams before a restart.
    expected_before: u64,
    expected_prior: u64,
    received_prior: u64,
}

impl Sequence {
    /// Nothing received.
    pub fn new() -> Self {
        Self::default()
    }

    fn restart(&mut self, sequence: u16) -> u32 {
        if self.started {
            self.expected_before += self.expected_here();
        }
        self.started = true;
        // One wrap ahead, so that a packet from before the first still has a number above zero.
        self.cycles = 1 << 16;
        self.highest = sequence;
        self.base = self.cycles | u32::from(sequence);
        self.seen = 1;
        self.suspect = None;
        self.received += 1;
        self.base
    }

    /// Judges a number and counts it.
    pub fn update(&mut self, sequence: u16) -> SequenceVerdict {
        if !self.started {
            return SequenceVerdict::Take(self.restart(sequence));
        }
        let ahead = sequence.wrapping_sub(self.highest);
        if ahead == 0 {
            return SequenceVerdict::Duplicate;
        }
        if ahead < MAX_DROPOUT {
            if sequence < self.highest {
                self.cycles = self.cycles.wrapping_add(1 << 16);
            }
            self.highest = sequence;
            self.seen = self.seen.checked_shl(u32::from(ahead)).unwrap_or(0) | 1;
        } else {
            let behind = self.highest.wrapping_sub(sequence);
            if behind > MAX_MISORDER {
                if self.suspect == Some(sequence) {
                    return SequenceVerdict::Restart(self.restart(sequence));
                }
                self.suspect = Some(sequence.wrapping_add(1));
                return SequenceVerdict::Suspect;
            }
            let bit = 1u128 << behind;
            if self.seen & bit != 0 {
                return SequenceVerdict::Duplicate;
            }
            self.seen |= bit;
            let extended = self.highest_extended().wrapping_sub(u32::from(behind));
            // A packet from before the first one makes the stream begin there.
            self.base = self.base.min(extended);
            self.suspect = None;
            self.received += 1;
            return SequenceVerdict::Take(extended);
        }
        self.suspect = None;
        self.received += 1;
        SequenceVerdict::Take(self.highest_extended())
    }

    /// Highest number received, extended by wraps.
    pub fn highest_extended(&self) -> u32 {
        self.cycles | u32::from(self.highest)
    }

    /// The highest number as receiver reports carry it (RFC 3550 §6.4.1): wraps counted from zero.
    pub fn highest_reported(&self) -> u32 {
        self.highest_extended().wrapping_sub(1 << 16)
    }

    /// Packets received, duplicates not counted.
    pub fn received(&self) -> u64 {
        self.received
    }

    fn expected_here(&self) -> u64 {
        if self.started {
            u64::from(self.highest_extended().wrapping_sub(self.base)) + 1
        } else {
            0
        }
    }

    /// Packets the far end has sent, as far as its numbers show.
    pub fn expected(&self) -> u64 {
        self.expected_before + self.expected_here()
    }

    /// Packets lost so far.
    pub fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }

    /// Loss since the last call, in 1/256 (RFC 3550 A.3). For receiver reports only: it closes the
    /// interval.
    pub fn fraction_lost(&mut self) -> u8 {
        let expected = self.expected() - self.expected_prior;
        let received = self.received - self.received_prior;
        self.expected_prior = self.expected();
        self.received_prior = self.received;
        if expected == 0 || received >= expected {
            return 0;
        }
        (((expected - received) << 8) / expected).min(255) as u8
    }
}

#[cfg(test)]
mod tests;
