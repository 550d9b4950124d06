//! Announcements by multicast RTP: which packets begin one, which of several is heard, and when it
//! is over. No packet can do more than be heard: nothing is answered, and no microphone opens.
//!
//! ```text
//! datagram of a group ─▶ RTP that the phone understands? ─▶ two in a row from one source ─▶ Begin (unless a more important one is heard)
//!                                 └─ no: counted                                             └─▶ 1 s without a packet, or 10 minutes: over
//! ```
//!
//! Anyone in the network can send such packets, so everything that is kept is of a fixed size.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use config::schema;
use media::rtp::View;
use media::{Codec, Direction, StreamConfig, StreamId};
use phone::CallId;

/// Two packets in a row come within this time.
const PROBATION: Duration = Duration::from_secs(1);
/// A page is over after so long without a packet.
const SILENCE: Duration = Duration::from_secs(1);
/// No page is longer: a sender that was forgotten does not keep the loudspeaker.
const LONGEST: Duration = Duration::from_secs(600);
/// Sources remembered that have sent one packet only.
const CANDIDATES: usize = 4;
/// Longer than any page of this phone's own.
const NO_TIMEOUT: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A source that has sent one packet.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    source: Source,
    /// The sequence number that would confirm it.
    expected: u16,
    at: Instant,
}

/// Who speaks, and to which group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Source {
    number: u8,
    from: SocketAddr,
    ssrc: u32,
}

/// A page that is heard.
#[derive(Debug, Clone, Copy)]
struct Page {
    source: Source,
    payload_type: u8,
    stream: StreamId,
    began: Instant,
    last: Instant,
    /// Its stream is in the engine.
    playing: bool,
}

/// A page of this phone's own.
#[derive(Debug, Clone, Copy)]
struct OwnPage {
    call: CallId,
    number: u8,
    stream: StreamId,
    /// Known once it is sent.
    ssrc: Option<u32>,
    /// The handset is connected with it, as the engine was instructed last.
    connected: bool,
}

/// A page that begins: its socket is to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begin {
    pub(crate) number: u8,
    pub(crate) from: SocketAddr,
    /// The group's address.
    pub(crate) group: SocketAddr,
}

/// Everything about pages.
#[derive(Debug)]
pub(crate) struct Paging {
    settings: schema::Paging,
    candidates: [Option<Candidate>; CANDIDATES],
    page: Option<Page>,
    own: Option<OwnPage>,
    /// Datagrams that were no RTP the phone understands.
    rejected: u64,
}

impl Paging {
    pub(crate) fn new(config: &config::Config) -> Self {
        Self {
            settings: config.paging.clone(),
            candidates: [None; CANDIDATES],
            page: None,
            own: None,
            rejected: 0,
        }
    }

    /// Whether a page of this group is heard: `in_use` by a call or a number being dialled,
    /// `undisturbed` by its owner's wish.
    pub(crate) fn is_heard(&self, number: u8, in_use: bool, undisturbed: bool) -> bool {
        (!in_use || number <= self.settings.over_calls)
            && (!undisturbed || number <= self.settings.over_dnd)
    }

    /// The group whose page is heard.
    pub(crate) fn heard(&self) -> Option<u8> {
        self.page.map(|page| page.source.number)
    }

    /// How many datagrams were no RTP the phone understands.
    pub(crate) fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Streams that are open.
    pub(crate) fn len(&self) -> usize {
        usize::from(self.page.is_some()) + usize::from(self.own.is_some())
    }

    /// A datagram to a group. Returns the page that begins; one that is heard now is to be stopped
    /// before ([`Paging::stop`]).
    pub(crate) fn handle_packet(
        &mut self,
        group: SocketAddr,
        from: SocketAddr,
        bytes: &[u8],
        now: Instant,
    ) -> Option<Begin> {
        let mut groups = self.settings.groups.iter();
        let (number, _) = *groups.find(|(_, known)| *known == group)?;
        let view = View::parse(bytes).ok();
        let known = view.filter(|view| is_understood(view.payload_type) && view.payload_len() > 0);
        let Some(view) = known else {
            self.rejected += 1;
            return None;
        };
        // What this phone sends itself comes back.
        if self.own.is_some_and(|own| own.ssrc == Some(view.ssrc)) {
            return None;
        }
        let ssrc = view.ssrc;
        let source = Source { number, from, ssrc };
        if let Some(page) = &mut self.page {
            if page.source == source {
                page.last = now;
                return None;
            }
            if page.source.number <= number {
                return None;
            }
        }
        if !self.is_confirmed(source, view.sequence, now) {
            return None;
        }
        self.candidates = [None; CANDIDATES];
        Some(Begin {
            number,
            from,
            group,
        })
    }

    /// Whether this is the second packet in a row.
    fn is_confirmed(&mut self, source: Source, sequence: u16, now: Instant) -> bool {
        let expected = sequence.wrapping_add(1);
        let candidate = Candidate {
            source,
            expected,
            at: now,
        };
        let known = self.candidates.iter_mut().flatten();
        if let Some(known) = known.into_iter().find(|known| known.source == source) {
            let fresh = now.saturating_duration_since(known.at) < PROBATION;
            let confirmed = fresh && known.expected == sequence;
            *known = candidate;
            return confirmed;
        }
        // The one that waited longest gives way.
        let oldest = self
            .candidates
            .iter_mut()
            .min_by_key(|slot| slot.map(|c| c.at));
        if let Some(oldest) = oldest {
            *oldest = Some(candidate);
        }
        false
    }

    /// The page has this stream from now on; `bytes` is the packet it began with.
    pub(crate) fn begin(&mut self, begin: Begin, stream: StreamId, bytes: &[u8], now: Instant) {
        let Ok(view) = View::parse(bytes) else { return };
        self.page = Some(Page {
            source: Source {
                number: begin.number,
                from: begin.from,
                ssrc: view.ssrc,
            },
            payload_type: view.payload_type,
            stream,
            began: now,
            last: now,
            playing: false,
        });
    }

    /// The sockets of a page's stream are open. Returns how it is to be built; `None`: it is over.
    pub(crate) fn play(&mut self, stream: StreamId) -> Option<StreamConfig> {
        let page = self.page.as_mut().filter(|page| page.stream == stream)?;
        page.playing = true;
        let from = page.source.from;
        let mut config = StreamConfig::new(stream, Codec::Pcmu, from);
        let opus = if page.payload_type < 96 {
            111
        } else {
            page.payload_type
        };
        config.recv_payloads = vec![
            (0, Codec::Pcmu),
            (8, Codec::Pcma),
            (9, Codec::G722),
            (opus, Codec::Opus),
        ];
        // No port: no report goes to whoever sends.
        config.remote_rtcp = SocketAddr::new(from.ip(), 0);
        config.latching = false;
        config.direction = Direction::RecvOnly;
        config.media_timeout = NO_TIMEOUT;
        config.ear_only = true;
        Some(config)
    }

    /// The page that is heard is over. Its stream, and whether that is in the engine.
    pub(crate) fn stop(&mut self) -> Option<(StreamId, bool)> {
        let page = self.page.take()?;
        Some((page.stream, page.playing))
    }

    /// Whether the page that is heard is over by now.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.poll_timeout().is_some_and(|at| at <= now)
    }

    /// When to look whether it is.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let page = self.page?;
        Some((page.last + SILENCE).min(page.began + LONGEST))
    }

    // ── this phone's own ────────────────────────────────────────────────────────────────────────

    /// A group is spoken to; its stream's sockets are to be opened.
    pub(crate) fn begin_own(&mut self, call: CallId, number: u8, stream: StreamId) {
        self.own = Some(OwnPage {
            call,
            number,
            stream,
            ssrc: None,
            connected: false,
        });
    }

    /// The call that waits for these sockets.
    pub(crate) fn own_call(&self, stream: StreamId) -> Option<CallId> {
        let own = self.own.filter(|own| own.stream == stream)?;
        Some(own.call)
    }

    /// How the stream is built, by its identity; `None`: it is over.
    pub(crate) fn send(&mut self, stream: StreamId, ssrc: u32) -> Option<StreamConfig> {
        let own = self.own.as_mut().filter(|own| own.stream == stream)?;
        let group = self.settings.address(own.number)?;
        own.ssrc = Some(ssrc);
        let mut config = StreamConfig::new(stream, self.settings.codec, group);
        config.ssrc = ssrc;
        config.remote_rtcp = SocketAddr::new(group.ip(), 0);
        config.latching = false;
        config.direction = Direction::SendOnly;
        config.media_timeout = NO_TIMEOUT;
        Some(config)
    }

    /// Which calls the handset is connected with; returns what changed for the page.
    pub(crate) fn connect(&mut self, calls: &[CallId]) -> Option<(StreamId, bool)> {
        let own = self.own.as_mut().filter(|own| own.ssrc.is_some())?;
        let connected = calls.contains(&own.call);
        let changed = std::mem::replace(&mut own.connected, connected) != connected;
        changed.then_some((own.stream, connected))
    }

    /// The call of the page of this phone's own, while there is one.
    pub(crate) fn own(&self) -> Option<CallId> {
        self.own.map(|own| own.call)
    }

    /// It is over. Its stream, and whether that is in the engine.
    pub(crate) fn stop_own(&mut self) -> Option<(StreamId, bool)> {
        let own = self.own.take()?;
        Some((own.stream, own.ssrc.is_some()))
    }
}

/// G.711, G.722, or what was agreed on for Opus.
fn is_understood(payload_type: u8) -> bool {
    matches!(payload_type, 0 | 8 | 9 | 96..=127)
}

#[cfg(test)]
mod tests;
