//! Our own session descriptions, written line by line.

use std::fmt::Write as _;

use types::{Codec, Direction, OpusFormat, RtcpXr};
use zeroize::Zeroizing;

use super::{COMFORT_NOISE, OfferAnswer};

/// An m-line of the session, as it stands in our descriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Slot {
    /// The one audio line this phone uses, with its protocol as first written.
    Ours { proto: String },
    /// A line refused for good (or until offered again): port 0, its own formats.
    Refused {
        media: String,
        proto: String,
        fmt: String,
    },
}

impl Slot {
    pub(super) fn ours(&mut self) -> Option<&mut String> {
        match self {
            Self::Ours { proto } => Some(proto),
            Self::Refused { .. } => None,
        }
    }
}

impl OfferAnswer {
    pub(super) fn describe(
        &mut self,
        codecs: &[(u8, Codec)],
        events: &[(u8, u32)],
        direction: Direction,
        ptime: u8,
        mux: bool,
    ) -> Vec<u8> {
        let ip = self.default_destinations().0.ip();
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        let mut body = Zeroizing::new(String::with_capacity(2048));
        let _ = write!(body, "s=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n");
        // RFC 5888 section 9.2: the group of the offer, less the lines that are refused.
        if let Some(mid) = &self.alternative {
            let _ = write!(body, "a=group:ANAT {mid}\r\n");
        }
        self.describe_ice_session(&mut body);
        for slot in &self.slots {
            // Writing to a String cannot fail.
            let _ = match slot {
                Slot::Refused { media, proto, fmt } => {
                    write!(body, "m={media} 0 {proto} {fmt}\r\n")
                }
                Slot::Ours { proto } => {
                    self.describe_audio(&mut body, proto, codecs, events, direction, ptime, mux)
                }
            };
        }
        if self.last.as_ref().is_some_and(|last| *last != body) {
            self.version += 1;
        }
        let whole = format!(
            "v=0\r\no=- {} {} IN {family} {ip}\r\n{}",
            self.id, self.version, *body
        );
        self.last = Some(body);
        whole.into_bytes()
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one m-line, written in one place"
    )]
    fn describe_audio(
        &self,
        body: &mut String,
        proto: &str,
        codecs: &[(u8, Codec)],
        events: &[(u8, u32)],
        direction: Direction,
        ptime: u8,
        mux: bool,
    ) -> std::fmt::Result {
        let port = self.default_destinations().0.port();
        write!(body, "m=audio {port} {proto}")?;
        let noise = self.noise
            && codecs
                .iter()
                .any(|(pt, codec)| codec.rtp_clock_hz() == 8_000 && *pt != COMFORT_NOISE);
        for pt in codecs
            .iter()
            .map(|(pt, _)| pt)
            .chain(noise.then_some(&COMFORT_NOISE))
            .chain(events.iter().map(|(pt, _)| pt))
        {
            write!(body, " {pt}")?;
        }
        body.push_str("\r\n");
        // RFC 4091 section 3: media of one family goes to an address of the same.
        if let Some(source) = self.chosen_host().or_else(|| self.media_source()) {
            let family = if source.is_ipv4() { "IP4" } else { "IP6" };
            write!(body, "c=IN {family} {source}\r\n")?;
        }
        if let Some(mid) = &self.alternative {
            write!(body, "a=mid:{mid}\r\n")?;
        }
        for (pt, codec) in codecs {
            write!(body, "a=rtpmap:{pt} {}\r\n", codec.rtpmap())?;
            if *codec == Codec::Opus && self.local.opus != OpusFormat::default() {
                write!(body, "a=fmtp:{pt} {}\r\n", self.local.opus)?;
            }
        }
        if noise {
            write!(body, "a=rtpmap:{COMFORT_NOISE} CN/8000\r\n")?;
        }
        for (pt, clock) in events {
            write!(
                body,
                "a=rtpmap:{pt} telephone-event/{clock}\r\na=fmtp:{pt} 0-16\r\n"
            )?;
        }
        write!(body, "a=ptime:{ptime}\r\na=maxptime:60\r\n")?;
        if mux {
            body.push_str("a=rtcp-mux\r\n");
        }
        if !mux || self.writes_ice() && !self.mux {
            self.describe_rtcp(body)?;
        }
        if self.extended {
            write!(body, "a=rtcp-xr:{}\r\n", RtcpXr::ALL)?;
        }
        self.describe_keys(body);
        self.describe_ice(body)?;
        write!(body, "a={}\r\n", direction.as_str())
    }

    /// The port of RTCP, where it is not the one after RTP's (RFC 3605).
    fn describe_rtcp(&self, body: &mut String) -> std::fmt::Result {
        let (rtp, rtcp) = self.default_destinations();
        if rtcp.ip() != rtp.ip() {
            let family = if rtcp.is_ipv4() { "IP4" } else { "IP6" };
            write!(body, "a=rtcp:{} IN {family} {}\r\n", rtcp.port(), rtcp.ip())
        } else if rtcp.port() != rtp.port().wrapping_add(1) {
            write!(body, "a=rtcp:{}\r\n", rtcp.port())
        } else {
            Ok(())
        }
    }
}
