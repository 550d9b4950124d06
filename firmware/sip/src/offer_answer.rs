//! SDP offer/answer (RFC 3264): codecs matched by rtpmap, not by number.
//!
//! ```text
//! LocalMedia ─▶ OfferAnswer::offer() ─▶ bytes ─▶ … far end … ─▶ bytes ─▶ OfferAnswer::accept() ─▶ Negotiated
//! far end's offer ─▶ OfferAnswer::answer() ─▶ (bytes, Negotiated)
//! ```
//!
//! One [`OfferAnswer`] per leg: it remembers the m-lines (their number never shrinks), the payload
//! numbers given away (they never change their meaning), our version in `o=`, and the direction
//! this phone wants.

mod description;
mod encryption;
mod formats;
mod ice;
mod media;

use std::net::IpAddr;

use types::{Codec, Direction, OpusFormat, RtcpXr};
use zeroize::Zeroizing;

use crate::local_addresses::LocalAddresses;
use crate::media_security::Protection;
use crate::media_security::table::Agreement;
use crate::sdp::{Description, Format, SdpError, SdpLine};
use crate::token::Tokens;
use description::Slot;
use encryption::LegEncryption;
use formats::{pick_event, ptime};
use ice::LegIce;

pub use media::{LocalMedia, Negotiated};

/// First number tried for Opus, and those for telephone-event at 8000 and 48000 Hz. Asterisk, which
/// gives Opus the number 107, keeps it between two far ends that send to each other directly.
const OPUS: u8 = 107;
const EVENT_8K: u8 = 101;
const EVENT_48K: u8 = 102;
/// Comfort noise (RFC 3389 section 4) for the codecs with a clock of 8 kHz.
const COMFORT_NOISE: u8 = 13;

/// The line of an offer that is taken.
#[derive(Debug, Clone, Copy)]
struct Chosen {
    index: usize,
    payload: u8,
    codec: Codec,
    agreement: Agreement,
}

/// Offer/answer state of one leg of one call.
#[derive(Debug, Clone)]
pub(crate) struct OfferAnswer {
    local: LocalMedia,
    /// The signalling of this leg runs over TLS: keys may stand in its descriptions.
    secure: bool,
    /// Where the signalling of the far end comes from.
    far_host: Option<IpAddr>,
    /// Session id in `o=`.
    id: u64,
    /// Version in `o=`; rises with every change.
    version: u64,
    /// What this phone wants, whatever the far end does.
    wish: Direction,
    slots: Vec<Slot>,
    /// Payload numbers in use, ours and theirs alike.
    codecs: Vec<(u8, Codec)>,
    events: Vec<(u8, u32)>,
    /// Whether the answer in force shares one port for RTP and RTCP.
    mux: bool,
    /// Our last description without its `o=` version, to see whether the next one differs.
    last: Option<Zeroizing<String>>,
    encryption: LegEncryption,
    ice: LegIce,
    /// Our addresses: which of the far end's media can be sent to, and from which of ours.
    addresses: Option<LocalAddresses>,
    /// Where the media agreed on last goes.
    far_media: Option<IpAddr>,
    /// Whether the description that is being written has comfort noise among its formats.
    noise: bool,
    /// Whether it asks for extended RTCP reports.
    extended: bool,
    /// The mid of our line, where the offer that is being answered had it as one of alternatives.
    alternative: Option<String>,
}

impl OfferAnswer {
    /// A session that nothing has been said about yet. An unspecified address in `local` is
    /// replaced by `address`.
    pub(crate) fn new(mut local: LocalMedia, address: IpAddr, id: u64) -> Self {
        if local.rtp.ip().is_unspecified() {
            local.rtp.set_ip(address);
        }
        if local.rtcp.ip().is_unspecified() {
            local.rtcp.set_ip(address);
        }
        Self {
            local,
            secure: false,
            far_host: None,
            id,
            version: id,
            wish: Direction::SendRecv,
            slots: Vec::new(),
            codecs: Vec::new(),
            events: Vec::new(),
            mux: false,
            last: None,
            encryption: LegEncryption::default(),
            ice: LegIce::default(),
            addresses: None,
            far_media: None,
            noise: false,
            extended: false,
            alternative: None,
        }
    }

    /// Says whether the signalling of this leg is secure; until then it is not.
    pub(crate) fn set_secure(&mut self, secure: bool) {
        self.secure = secure;
    }

    /// Says where the far end's signalling comes from.
    pub(crate) fn set_far_host(&mut self, host: Option<IpAddr>) {
        self.far_host = host;
    }

    /// Sets what this phone wants from the next description on.
    pub(crate) fn set_wish(&mut self, wish: Direction) {
        self.wish = wish;
    }

    /// What this phone wants.
    pub(crate) fn wish(&self) -> Direction {
        self.wish
    }

    /// Moves the media to another of our addresses from the next description on.
    pub(crate) fn set_address(&mut self, address: IpAddr) {
        if self.local.owner_moves {
            return;
        }
        self.local.rtp.set_ip(address);
        self.local.rtcp.set_ip(address);
    }

    /// Says which addresses this phone has; until then media can be sent to all.
    pub(crate) fn set_addresses(&mut self, addresses: &LocalAddresses) {
        self.addresses = Some(addresses.clone());
    }

    /// Our address towards the far end's media, where that is another than towards its signalling:
    /// of the other family, or in another network.
    fn media_source(&self) -> Option<IpAddr> {
        let (addresses, far_media) = (self.addresses.as_ref()?, self.far_media?);
        let toward = |remote| addresses.toward(remote).ip();
        let source = toward(far_media);
        (source != toward(self.far_host?)).then_some(source)
    }

    /// Replaces our addresses and candidates from the next description on.
    pub(crate) fn move_to(&mut self, media: &LocalMedia) {
        self.local.rtp = media.rtp;
        self.local.rtcp = media.rtcp;
        self.local.ice.clone_from(&media.ice);
        self.local.owner_moves = media.owner_moves;
        self.forget_chosen();
    }

    /// Whether the owner gives our addresses after a change of network.
    pub(crate) fn owner_moves(&self) -> bool {
        self.local.owner_moves
    }

    /// Where media of a line would be sent to; an error where no route leads there.
    fn reach(&self, line: &SdpLine) -> Result<(), SdpError> {
        let (rtp, _) = line.remote()?;
        // RFC 3264 section 8.4: the unspecified address holds the call, whatever its family.
        let reaches = |addresses: &LocalAddresses| addresses.families().reach(rtp.ip());
        if rtp.ip().is_unspecified() || self.addresses.as_ref().is_none_or(reaches) {
            Ok(())
        } else {
            Err(SdpError::Family(rtp.ip()))
        }
    }

    /// An offer with all our codecs, and the keys in force, if there are any. It cannot be made
    /// where encryption is required and there is no way to it.
    pub(crate) fn offer(&mut self, tokens: &mut Tokens) -> Result<Vec<u8>, SdpError> {
        self.offer_with(false, tokens)
    }

    /// An offer with keys that were never shown before.
    pub(crate) fn fresh_offer(&mut self, tokens: &mut Tokens) -> Result<Vec<u8>, SdpError> {
        self.offer_with(true, tokens)
    }

    fn offer_with(&mut self, fresh: bool, tokens: &mut Tokens) -> Result<Vec<u8>, SdpError> {
        let shape = self.prepare_offer(fresh, tokens)?;
        self.prepare_ice_offer();
        for codec in self.local.codecs.clone() {
            if !self.codecs.iter().any(|(_, known)| *known == codec) {
                let pt = codec
                    .static_payload()
                    .filter(|pt| self.free(*pt))
                    .unwrap_or_else(|| self.number(OPUS));
                self.codecs.push((pt, codec));
            }
        }
        if self.local.dtmf {
            let mut clocks: Vec<(u32, u8)> = Vec::new();
            if self.local.codecs.iter().any(|c| c.rtp_clock_hz() == 8_000) {
                clocks.push((8_000, EVENT_8K));
            }
            if self.local.codecs.iter().any(|c| c.rtp_clock_hz() == 48_000) {
                clocks.push((48_000, EVENT_48K));
            }
            for (clock, first) in clocks {
                if !self.events.iter().any(|(_, known)| *known == clock) {
                    let pt = self.number(first);
                    self.events.push((pt, clock));
                }
            }
        }
        let codecs: Vec<(u8, Codec)> = self
            .local
            .codecs
            .iter()
            .filter_map(|codec| {
                self.codecs
                    .iter()
                    .find(|(_, known)| known == codec)
                    .copied()
            })
            .collect();
        let events = if self.local.dtmf {
            self.events.clone()
        } else {
            Vec::new()
        };
        let direction = self.wish;
        self.noise = self.local.comfort_noise;
        self.extended = self.local.rtcp_xr;
        // A DTLS handshake keys one port, and checks find one way sooner than two; without either
        // RTP and RTCP keep their own, as every peer can. Until it is answered both are offered.
        let mux = shape.dtls || self.writes_ice();
        Ok(self.describe(&codecs, &events, direction, self.local.ptime_ms, mux))
    }

    /// Reads the answer to our last offer. May be called again for the same offer: 183 and then
    /// 200.
    pub(crate) fn accept(&mut self, body: &[u8]) -> Result<Negotiated, SdpError> {
        let description = Description::parse_from(body, self.far_host)?;
        // RFC 3264 section 6: an answer has as many m-lines as its offer.
        if description.lines.len() > self.slots.len() {
            return Err(SdpError::NotAcceptable(
                "the answer has more m= lines than the offer".into(),
            ));
        }
        let ours = self
            .slots
            .iter()
            .position(|slot| matches!(slot, Slot::Ours { .. }))
            .unwrap_or(0);
        let line = description.lines.get(ours).ok_or_else(|| {
            SdpError::NotAcceptable("the answer has fewer m= lines than the offer".into())
        })?;
        if !line.is_live_audio() {
            return Err(SdpError::LineRefused);
        }
        let offered = |codec: Codec| {
            self.codecs
                .iter()
                .find(|(_, known)| *known == codec)
                .map(|(pt, _)| *pt)
        };
        let (send_payload, codec) = line
            .formats
            .iter()
            .find_map(|(pt, format)| match format {
                Format::Codec(codec)
                    if self.local.codecs.contains(codec) && offered(*codec).is_some() =>
                {
                    Some((*pt, *codec))
                }
                Format::Codec(_) | Format::Event(_) | Format::ComfortNoise | Format::Unknown => {
                    None
                }
            })
            .ok_or_else(|| {
                SdpError::NotAcceptable(format!("the answer's formats are {:?}", line.fmt))
            })?;
        let recv_payload = offered(codec).unwrap_or(send_payload);
        let recv_payloads = self
            .codecs
            .iter()
            .filter(|(_, codec)| self.local.codecs.contains(codec))
            .copied()
            .collect();
        let events = self.events.clone();
        self.reach(line)?;
        let (agreement, protection) = self.accept_keying(line)?;
        let payloads = (send_payload, recv_payload, recv_payloads);
        let ice = self.accept_ice(line);
        let agreed = self.agree(line, codec, payloads, &events, (agreement, protection))?;
        Ok(Negotiated { ice, ..agreed })
    }

    /// Whether an offer could be answered; nothing is changed by asking.
    pub(crate) fn evaluate(&self, body: &[u8]) -> Result<(), SdpError> {
        self.choose(&Description::parse_from(body, self.far_host)?)
            .map(|_| ())
    }

    /// The line of an offer to be taken: the first one that is encrypted, else the first that can
    /// be used.
    fn choose(&self, description: &Description) -> Result<Chosen, SdpError> {
        let mut reason = SdpError::NotAcceptable("no audio line".into());
        let mut chosen: Option<Chosen> = None;
        for (index, line) in description.lines.iter().enumerate() {
            match self.usable(line) {
                Ok((payload, codec, agreement)) => {
                    let clear = matches!(agreement, Agreement::Clear(_));
                    if chosen.is_none() || !clear {
                        chosen = Some(Chosen {
                            index,
                            payload,
                            codec,
                            agreement,
                        });
                    }
                    if !clear {
                        break;
                    }
                }
                // What is wrong with the first audio line is what the caller wants to hear.
                Err(error)
                    if line.is_live_audio()
                        && matches!(&reason,
                            SdpError::NotAcceptable(text) if text == "no audio line") =>
                {
                    reason = error;
                }
                Err(_) => {}
            }
        }
        chosen.ok_or(reason)
    }

    /// Reads an offer and writes the answer to it. An offer that is refused changes nothing.
    pub(crate) fn answer(
        &mut self,
        body: &[u8],
        tokens: &mut Tokens,
    ) -> Result<(Vec<u8>, Negotiated), SdpError> {
        let description = Description::parse_from(body, self.far_host)?;
        let Chosen {
            index,
            payload,
            codec,
            agreement,
        } = self.choose(&description)?;
        let line = description.lines.get(index).ok_or(SdpError::NoMedia)?;
        let protection = self.answer_keying(agreement, line, tokens)?;
        self.slots = description
            .lines
            .iter()
            .enumerate()
            .map(|(i, other)| {
                if i == index {
                    Slot::Ours {
                        proto: other.proto.clone(),
                    }
                } else {
                    Slot::Refused {
                        media: other.media.clone(),
                        proto: other.proto.clone(),
                        fmt: other.fmt.clone(),
                    }
                }
            })
            .collect();
        self.adopt(line);
        let event = pick_event(line, codec).filter(|_| self.local.dtmf);
        let events: Vec<(u8, u32)> = event.into_iter().collect();
        let payloads = (payload, payload, vec![(payload, codec)]);
        let ice = self.answer_ice(line, tokens);
        let agreed = self.agree(line, codec, payloads, &events, (agreement, protection))?;
        let negotiated = Negotiated { ice, ..agreed };
        self.alternative.clone_from(&line.alternative);
        self.noise = negotiated.comfort_noise;
        // Who does not ask for reports is not asked for any.
        self.extended = !negotiated.rtcp_xr.is_none();
        let body = self.describe(
            &[(payload, codec)],
            &events,
            negotiated.direction,
            negotiated.ptime_ms,
            negotiated.rtcp_mux,
        );
        self.alternative = None;
        Ok((body, negotiated))
    }

    /// The first of the offer's formats that this phone has, if the line can be used at all.
    fn usable(&self, line: &SdpLine) -> Result<(u8, Codec, Agreement), SdpError> {
        if !line.is_live_audio() {
            return Err(SdpError::NotAcceptable("no audio line".into()));
        }
        let agreement = self.evaluate_keying(line)?;
        self.reach(line)?;
        line.formats
            .iter()
            .find_map(|(pt, format)| match format {
                Format::Codec(codec) if self.local.codecs.contains(codec) => {
                    Some((*pt, *codec, agreement))
                }
                Format::Codec(_) | Format::Event(_) | Format::ComfortNoise | Format::Unknown => {
                    None
                }
            })
            .ok_or_else(|| {
                let mine: Vec<&str> = self.local.codecs.iter().map(|c| c.rtpmap()).collect();
                SdpError::NotAcceptable(format!(
                    "offered formats {:?}, this phone has {}",
                    line.fmt,
                    mine.join(", ")
                ))
            })
    }

    /// Takes over the far end's payload numbers: what it calls 97 we call 97 for the rest of the
    /// session.
    fn adopt(&mut self, line: &SdpLine) {
        for (pt, format) in &line.formats {
            self.codecs.retain(|(known, _)| known != pt);
            self.events.retain(|(known, _)| known != pt);
            match format {
                Format::Codec(codec) if self.local.codecs.contains(codec) => {
                    // The first number of a codec counts: a second rtpmap for it is another
                    // flavour.
                    if line
                        .formats
                        .iter()
                        .find(|(_, f)| f == format)
                        .is_some_and(|(first, _)| first == pt)
                    {
                        self.codecs.retain(|(_, known)| known != codec);
                        self.codecs.push((*pt, *codec));
                    }
                }
                Format::Event(clock) => {
                    self.events.retain(|(_, known)| known != clock);
                    self.events.push((*pt, *clock));
                }
                Format::Codec(_) | Format::ComfortNoise | Format::Unknown => {}
            }
        }
        self.events
            .retain(|(_, clock)| matches!(clock, 8_000 | 48_000));
    }

    fn agree(
        &mut self,
        line: &SdpLine,
        codec: Codec,
        (send_payload, recv_payload, recv_payloads): (u8, u8, Vec<(u8, Codec)>),
        events: &[(u8, u32)],
        (agreement, protection): (Agreement, Protection),
    ) -> Result<Negotiated, SdpError> {
        let (remote_rtp, remote_rtcp) = line.remote()?;
        // A call put on hold the old way keeps the address of before.
        let far_media = Some(remote_rtp.ip()).filter(|ip| !ip.is_unspecified());
        self.far_media = far_media.or(self.far_media);
        let send_dtmf = pick_event(line, codec).filter(|_| self.local.dtmf);
        let recv_dtmf = send_dtmf.and_then(|(_, clock)| {
            events
                .iter()
                .find(|(_, known)| *known == clock)
                .map(|(pt, _)| *pt)
        });
        let wish = line
            .ptime
            .unwrap_or(u32::from(self.local.ptime_ms))
            .min(line.maxptime.unwrap_or(u32::MAX));
        self.mux = line.rtcp_mux;
        let missing = self.commit_encryption(agreement, &protection);
        Ok(Negotiated {
            remote_rtp,
            remote_rtcp,
            rtcp_mux: line.rtcp_mux,
            codec,
            send_payload,
            recv_payload,
            recv_payloads,
            // Only what both know may be sent.
            send_dtmf: send_dtmf.filter(|_| recv_dtmf.is_some()),
            recv_dtmf,
            ptime_ms: ptime(codec, wish),
            opus: if codec == Codec::Opus {
                line.opus
            } else {
                OpusFormat::default()
            },
            comfort_noise: self.local.comfort_noise
                && codec.rtp_clock_hz() == 8_000
                && line.has_comfort_noise(),
            rtcp_xr: if self.local.rtcp_xr {
                line.rtcp_xr
            } else {
                RtcpXr::default()
            },
            direction: line.meant_direction().reversed().and(self.wish),
            protection,
            required: self.required(),
            missing,
            ice: None,
        })
    }

    fn free(&self, pt: u8) -> bool {
        !self.codecs.iter().any(|(known, _)| *known == pt)
            && !self.events.iter().any(|(known, _)| *known == pt)
    }

    /// A dynamic number not yet given away, `first` if possible.
    fn number(&self, first: u8) -> u8 {
        std::iter::once(first)
            .chain(96..=127)
            .find(|pt| {
                self.free(*pt) && (*pt == first || ![OPUS, EVENT_8K, EVENT_48K].contains(pt))
            })
            .unwrap_or(first)
    }
}

#[cfg(test)]
mod tests;
