//! SRTCP: one direction's RTCP packets under one master key.
//!
//! ```text
//! CM:  header (8) | cipher text | E, index (4) | MKI | tag
//! GCM: header (8) | cipher text | tag | E, index (4) | MKI
//! ```
//!
//! The index is in the packet, so nothing is guessed. We always encrypt, and take no packet that is
//! not (RFC 3711 section 3.4 leaves that to the keying: nothing we negotiate allows it).

use heapless::Vec as Fixed;

use super::cipher::{GCM_TAG, SessionCipher, Transform};
use super::kdf::Channel;
use super::keys::MasterKey;
use super::replay::{MAX_SOURCES, Window};
use super::rtp::{Mki, mki};
use super::{Refusal, Spent};

/// What stays in clear: the first packet's header and SSRC.
const HEADER: usize = 8;
/// E-bit and index.
const INDEX: usize = 4;
/// The packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;
/// The last index of a key (RFC 3711 section 9.2).
const LAST: u32 = (1 << 31) - 1;

fn ssrc(packet: &[u8]) -> Option<u32> {
    packet
        .get(4..HEADER)?
        .first_chunk()
        .map(|b| u32::from_be_bytes(*b))
}

/// Associated data of GCM: the header, E-bit and index (RFC 7714 section 9.2).
fn associated(header: &[u8], word: [u8; INDEX]) -> [u8; HEADER + INDEX] {
    let mut data = [0; HEADER + INDEX];
    data[..HEADER].copy_from_slice(&header[..HEADER]);
    data[HEADER..].copy_from_slice(&word);
    data
}

/// What we send.
pub(super) struct Sender {
    session: SessionCipher,
    mki: Mki,
    /// The index sent last; 0: none. One count for all our sources, so that it is the key's too.
    last: u32,
}

impl Sender {
    pub(super) fn new(master: &MasterKey) -> Self {
        Self {
            session: SessionCipher::new(master, Channel::Rtcp),
            mki: mki(master),
            last: 0,
        }
    }

    /// Bytes a packet grows by.
    pub(super) fn overhead(&self) -> usize {
        INDEX + self.session.tag_len + self.mki.len()
    }

    /// Protects the packet in `buffer[..length]`; its new length.
    ///
    /// # Errors
    /// [`Spent`]: 2^31 packets were protected with this key, or there is no room.
    pub(super) fn protect(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, Spent> {
        let total = length + self.overhead();
        if length < HEADER || total > buffer.len() || self.last == LAST {
            return Err(Spent);
        }
        self.last += 1;
        let word = (ENCRYPTED | self.last).to_be_bytes();
        let (packet, tail) = buffer.split_at_mut(length);
        let (source, index) = (ssrc(packet).ok_or(Spent)?, u64::from(self.last));
        let (tag_len, mki_len) = (self.session.tag_len, self.mki.len());
        match &self.session.transform {
            Transform::Cm(cm) => {
                cm.apply(&self.session.cm_iv(source, index), &mut packet[HEADER..]);
                let tag = cm.mac(packet, &word);
                tail[..INDEX].copy_from_slice(&word);
                tail[INDEX..INDEX + mki_len].copy_from_slice(&self.mki);
                tail[INDEX + mki_len..INDEX + mki_len + tag_len].copy_from_slice(&tag[..tag_len]);
            }
            Transform::Gcm(gcm) => {
                let data = associated(packet, word);
                let tag = gcm
                    .seal(
                        self.session.gcm_iv(source, index),
                        &data,
                        &mut packet[HEADER..],
                    )
                    .ok_or(Spent)?;
                tail[..tag_len].copy_from_slice(&tag);
                tail[tag_len..tag_len + INDEX].copy_from_slice(&word);
                tail[tag_len + INDEX..tag_len + INDEX + mki_len].copy_from_slice(&self.mki);
            }
        }
        Ok(total)
    }

    /// Puts the index where a test wants it.
    #[cfg(test)]
    pub(super) fn set_index(&mut self, last: u32) {
        self.last = last;
    }
}

/// A source of the far end.
#[derive(Debug, Clone, Copy)]
struct Source {
    ssrc: u32,
    window: Window,
}

/// What the far end sends.
pub(super) struct Receiver {
    session: SessionCipher,
    mki: Mki,
    sources: Fixed<Source, MAX_SOURCES>,
}

impl Receiver {
    pub(super) fn new(master: &MasterKey) -> Self {
        Self {
            session: SessionCipher::new(master, Channel::Rtcp),
            mki: mki(master),
            sources: Fixed::new(),
        }
    }

    /// Unprotects a packet in place; the length of the clear packet at its beginning.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was learnt from the packet then, and it is still as it came.
    pub(super) fn unprotect(&mut self, packet: &mut [u8]) -> Result<usize, Refusal> {
        let (tag_len, mki_len) = (self.session.tag_len, self.mki.len());
        let length = packet
            .len()
            .checked_sub(INDEX + tag_len + mki_len)
            .filter(|&n| n >= HEADER);
        let length = length.ok_or(Refusal::Malformed)?;
        let (word_at, mki_at) = match self.session.transform {
            Transform::Cm(_) => (length, length + INDEX),
            Transform::Gcm(_) => (length + tag_len, length + tag_len + INDEX),
        };
        if packet[mki_at..mki_at + mki_len] != self.mki[..] {
            return Err(Refusal::NotAuthentic);
        }
        let word: [u8; INDEX] = *packet[word_at..].first_chunk().ok_or(Refusal::Malformed)?;
        let (encrypted, index) = (
            u32::from_be_bytes(word) & ENCRYPTED != 0,
            u32::from_be_bytes(word) & LAST,
        );
        let source = ssrc(packet).ok_or(Refusal::Malformed)?;
        let known = self.sources.iter().position(|s| s.ssrc == source);
        match known {
            Some(known) if !self.sources[known].window.is_new(u64::from(index)) => {
                return Err(Refusal::Replayed);
            }
            None if self.sources.is_full() => return Err(Refusal::TooManySources),
            Some(_) | None => {}
        }
        self.open(packet, length, source, word, encrypted)?;
        match known {
            Some(known) => self.sources[known].window.accept(u64::from(index)),
            None => {
                // There is room: looked at above.
                let _ = self.sources.push(Source {
                    ssrc: source,
                    window: Window::new(u64::from(index)),
                });
            }
        }
        Ok(length)
    }

    fn open(
        &self,
        packet: &mut [u8],
        length: usize,
        source: u32,
        word: [u8; INDEX],
        encrypted: bool,
    ) -> Result<(), Refusal> {
        let index = u64::from(u32::from_be_bytes(word) & LAST);
        let (body, tail) = packet.split_at_mut(length);
        let authentic = match &self.session.transform {
            Transform::Cm(cm) => cm.verify(body, &word, &tail[INDEX + self.mki.len()..]),
            Transform::Gcm(gcm) => {
                let tag: [u8; GCM_TAG] = *tail.first_chunk().ok_or(Refusal::Malformed)?;
                let nonce = self.session.gcm_iv(source, index);
                let data = associated(body, word);
                // Not encrypted: the whole packet would be associated data; such a packet is
                // refused in any case.
                encrypted && gcm.open(nonce, &data, &mut body[HEADER..], tag)
            }
        };
        match (&self.session.transform, authentic, encrypted) {
            (_, false, _) => Err(Refusal::NotAuthentic),
            (_, true, false) => Err(Refusal::Clear),
            (Transform::Gcm(_), true, true) => Ok(()),
            (Transform::Cm(cm), true, true) => {
                cm.apply(&self.session.cm_iv(source, index), &mut body[HEADER..]);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
