//! SRTP: one direction's RTP packets under one master key.
//!
//! ```text
//! send:    header | payload ─▶ header | cipher text | [tag (GCM)] [MKI] [tag (CM)]
//! receive: MKI? ─▶ index (estimated) ─▶ new? ─▶ tag ─▶ decrypt ─▶ only now: window, ROC
//! ```

use heapless::Vec as Fixed;

use super::cipher::{GCM_TAG, SessionCipher, Transform};
use super::kdf::Channel;
use super::keys::{MAX_MKI, MasterKey};
use super::replay::{LAST_INDEX, MAX_SOURCES, Window, estimate};
use super::{Refusal, Spent};

/// So many packets of a known source in a row that are not authentic make other rollover counters
/// worth a try: after an outage of more than half a turn of the sequence the estimate is wrong for
/// ever.
const LOST_AFTER: u32 = 32;
/// How far ahead the rollover counter is looked for: two and a half hours of outage at 20 ms.
const LOST_ROLLOVERS: u32 = 8;

/// A master key identifier, as packets carry it.
pub(super) type Mki = Fixed<u8, MAX_MKI>;

pub(super) fn mki(master: &MasterKey) -> Mki {
    // A master key's is never longer.
    Fixed::from_slice(master.mki()).unwrap_or_default()
}

/// The fixed facts of an RTP header in clear.
struct Header {
    length: usize,
    sequence: u16,
    ssrc: u32,
}

impl Header {
    /// `None`: too short for what it says of itself.
    fn read(packet: &[u8]) -> Option<Self> {
        let &[first, _, s0, s1, _, _, _, _, r0, r1, r2, r3] = packet.first_chunk()?;
        let mut length = 12 + 4 * usize::from(first & 0x0F);
        if first & 0x10 != 0 {
            let &[_, _, high, low] = packet.get(length..)?.first_chunk()?;
            length += 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        }
        (length <= packet.len()).then_some(Self {
            length,
            sequence: u16::from_be_bytes([s0, s1]),
            ssrc: u32::from_be_bytes([r0, r1, r2, r3]),
        })
    }
}

/// A source of ours: its highest index.
#[derive(Debug, Clone, Copy)]
struct Sent {
    ssrc: u32,
    highest: u64,
}

/// What we send.
pub(super) struct Sender {
    session: SessionCipher,
    mki: Mki,
    sources: Fixed<Sent, MAX_SOURCES>,
}

impl Sender {
    pub(super) fn new(master: &MasterKey) -> Self {
        Self {
            session: SessionCipher::new(master, Channel::Rtp),
            mki: mki(master),
            sources: Fixed::new(),
        }
    }

    /// Bytes a packet grows by.
    pub(super) fn overhead(&self) -> usize {
        self.session.tag_len + self.mki.len()
    }

    /// The index of the next packet. Indices only rise: no key stream is ever used twice.
    fn number(&mut self, header: &Header) -> Result<u64, Spent> {
        if let Some(source) = self.sources.iter_mut().find(|s| s.ssrc == header.ssrc) {
            let index = estimate(source.highest, header.sequence)
                .filter(|&index| index > source.highest)
                .ok_or(Spent)?;
            source.highest = index;
            return Ok(index);
        }
        let highest = u64::from(header.sequence);
        self.sources
            .push(Sent {
                ssrc: header.ssrc,
                highest,
            })
            .map_err(|_| Spent)?;
        Ok(highest)
    }

    /// Protects the packet in `buffer[..length]`; its new length.
    ///
    /// # Errors
    /// [`Spent`]: the key may not protect this packet (48 bits of index used up, or a number used
    /// before), or there is no room.
    pub(super) fn protect(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, Spent> {
        let total = length + self.overhead();
        let header = buffer.get(..length).and_then(Header::read).ok_or(Spent)?;
        if total > buffer.len() {
            return Err(Spent);
        }
        let index = self.number(&header)?;
        let (packet, tail) = buffer.split_at_mut(length);
        let (tag_len, mki_len) = (self.session.tag_len, self.mki.len());
        match &self.session.transform {
            Transform::Cm(cm) => {
                cm.apply(
                    &self.session.cm_iv(header.ssrc, index),
                    &mut packet[header.length..],
                );
                let tag = cm.mac(packet, &roc(index));
                tail[..mki_len].copy_from_slice(&self.mki);
                tail[mki_len..mki_len + tag_len].copy_from_slice(&tag[..tag_len]);
            }
            Transform::Gcm(gcm) => {
                let (clear, payload) = packet.split_at_mut(header.length);
                let tag = gcm
                    .seal(self.session.gcm_iv(header.ssrc, index), clear, payload)
                    .ok_or(Spent)?;
                tail[..tag_len].copy_from_slice(&tag);
                tail[tag_len..tag_len + mki_len].copy_from_slice(&self.mki);
            }
        }
        Ok(total)
    }

    /// Puts a source's highest index where a test wants it.
    #[cfg(test)]
    pub(super) fn set_index(&mut self, ssrc: u32, highest: u64) {
        self.sources.retain(|s| s.ssrc != ssrc);
        self.sources.push(Sent { ssrc, highest }).unwrap();
    }
}

fn roc(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

/// A source of the far end.
#[derive(Debug, Clone, Copy)]
struct Source {
    ssrc: u32,
    window: Window,
    /// Packets in a row that were not authentic.
    failures: u32,
}

/// What the far end sends.
pub(super) struct Receiver {
    session: SessionCipher,
    mki: Mki,
    sources: Fixed<Source, MAX_SOURCES>,
    /// The rollover counter a new source may have kept from an earlier key (RFC 3711 section 3.3.1
    /// has it go on, most start it again).
    earlier_roc: u32,
}

impl Receiver {
    pub(super) fn new(master: &MasterKey) -> Self {
        Self {
            session: SessionCipher::new(master, Channel::Rtp),
            mki: mki(master),
            sources: Fixed::new(),
            earlier_roc: 0,
        }
    }

    /// The highest rollover counter in use.
    pub(super) fn rollovers(&self) -> u32 {
        self.sources
            .iter()
            .map(|s| (s.window.highest() >> 16) as u32)
            .max()
            .unwrap_or(0)
    }

    /// The rollover counter reached under the key before this one.
    pub(super) fn set_earlier(&mut self, roc: u32) {
        self.earlier_roc = roc;
    }

    /// Unprotects a packet in place; the length of the clear packet at its beginning.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was learnt from the packet then, and it is still as it came.
    pub(super) fn unprotect(&mut self, packet: &mut [u8]) -> Result<usize, Refusal> {
        let header = Header::read(packet).ok_or(Refusal::Malformed)?;
        let (tag_len, mki_len) = (self.session.tag_len, self.mki.len());
        let length = packet
            .len()
            .checked_sub(tag_len + mki_len)
            .filter(|&n| n >= header.length);
        let length = length.ok_or(Refusal::Malformed)?;
        let mki_at = match self.session.transform {
            Transform::Cm(_) => length,
            Transform::Gcm(_) => length + tag_len,
        };
        // Not secret: it is in every packet.
        if packet[mki_at..mki_at + mki_len] != self.mki[..] {
            return Err(Refusal::NotAuthentic);
        }
        match self.sources.iter().position(|s| s.ssrc == header.ssrc) {
            Some(known) => self.of_known(known, packet, &header, length),
            None => self.of_new(packet, &header, length),
        }
    }

    fn of_known(
        &mut self,
        known: usize,
        packet: &mut [u8],
        header: &Header,
        length: usize,
    ) -> Result<usize, Refusal> {
        let Source {
            window, failures, ..
        } = self.sources[known];
        let estimate = window.estimate(header.sequence);
        let new = estimate.filter(|&index| window.is_new(index));
        let mut found = new.filter(|&index| self.open(packet, header, length, index));
        if found.is_none() && failures >= LOST_AFTER {
            // One more try a packet, each time further ahead: no flood of forgeries costs more than
            // twice.
            let rollovers = 1 + failures % LOST_ROLLOVERS - u32::from(estimate.is_none());
            let later =
                estimate.unwrap_or(u64::from(header.sequence)) + (u64::from(rollovers) << 16);
            let later =
                Some(later).filter(|&later| later <= LAST_INDEX && later > window.highest());
            found = later.filter(|&later| self.open(packet, header, length, later));
        }
        let source = &mut self.sources[known];
        let Some(index) = found else {
            source.failures = failures.checked_add(1).unwrap_or(LOST_AFTER);
            return Err(if new.is_none() {
                Refusal::Replayed
            } else {
                Refusal::NotAuthentic
            });
        };
        source.failures = 0;
        source.window.accept(index);
        Ok(length)
    }

    /// The first packet of a source has most likely never rolled over; it may just have, or have
    /// gone on from an earlier key.
    fn of_new(
        &mut self,
        packet: &mut [u8],
        header: &Header,
        length: usize,
    ) -> Result<usize, Refusal> {
        if self.sources.is_full() {
            return Err(Refusal::TooManySources);
        }
        let earlier = self.earlier_roc;
        let candidates = [0, 1, earlier, earlier.saturating_add(1)];
        for (n, &roc) in candidates.iter().enumerate() {
            let index = u64::from(roc) << 16 | u64::from(header.sequence);
            if candidates[..n].contains(&roc) || !self.open(packet, header, length, index) {
                continue;
            }
            // There is room: looked at above.
            let _ = self.sources.push(Source {
                ssrc: header.ssrc,
                window: Window::new(index),
                failures: 0,
            });
            return Ok(length);
        }
        Err(Refusal::NotAuthentic)
    }

    /// Checks the tag, then decrypts. `false`: the packet is as it was.
    fn open(&self, packet: &mut [u8], header: &Header, length: usize, index: u64) -> bool {
        let (body, tail) = packet.split_at_mut(length);
        match &self.session.transform {
            Transform::Cm(cm) => {
                let tag = &tail[self.mki.len()..];
                if !cm.verify(body, &roc(index), tag) {
                    return false;
                }
                cm.apply(
                    &self.session.cm_iv(header.ssrc, index),
                    &mut body[header.length..],
                );
                true
            }
            Transform::Gcm(gcm) => {
                let Some(&tag) = tail.first_chunk::<GCM_TAG>() else {
                    return false;
                };
                let (clear, payload) = body.split_at_mut(header.length);
                gcm.open(self.session.gcm_iv(header.ssrc, index), clear, payload, tag)
            }
        }
    }
}

#[cfg(test)]
mod tests;
