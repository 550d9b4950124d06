//! One call as the control loop sees it: the phone's number, the agent's number and the engine's
//! number for the same thing. What the call is doing is the phone's to say
//! ([`phone::Phone::call_state`]); here is what signalling, encryption and sound add to it.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use media::{OtherSources, SignallingHosts, StreamId, StreamStats};
use phone::{CallId, Encryption};
use sip::media_security::Protection;
use sip::offer_answer::{LocalMedia, Negotiated};
use sip::sdes::SdesKey;

use crate::dtls::Sas;
use crate::early_branches::EarlyBranches;
use crate::event::CallDirection;
use crate::history::{CallOutcome, HistoryEntry};
use crate::known_peers::Trust;
use crate::media_addresses::MediaAddresses;
use crate::wall_clock::unix_time;

/// What a DTLS handshake proved of the far end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proof {
    /// SHA-256 of its certificate.
    pub(crate) fingerprint: [u8; 32],
    /// What both ends can read to each other.
    pub(crate) sas: Sas,
    /// Whether it is who it was before.
    pub(crate) trust: Trust,
}

/// What the lifetime of an SDES key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SdesKeyAction {
    Nothing,
    /// A new key.
    Renew,
    /// It may not be used any more.
    End,
}

/// Our hold as signalled to the far end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Hold {
    #[default]
    Off,
    On,
    /// An offer with the other direction is out.
    Requested {
        hold: bool,
        /// What was in force before.
        before: bool,
    },
}

impl Hold {
    fn in_force(self) -> bool {
        match self {
            Self::Off => false,
            Self::On => true,
            Self::Requested { before, .. } => before,
        }
    }

    /// Whether hold was asked for, and is not answered yet.
    pub(crate) fn is_wanted(self) -> bool {
        matches!(self, Self::Requested { hold: true, .. })
    }

    /// Asks for hold or resume. Returns whether an offer is to be sent.
    pub(crate) fn request(&mut self, hold: bool) -> bool {
        // Put aside for another call without a word on the wire: there is nothing to take back.
        if *self == Self::Off && !hold {
            return false;
        }
        let before = self.in_force();
        *self = Self::Requested { hold, before };
        true
    }

    /// New media is in force, in which the far end may send to us (`receives`) or not. An offer of
    /// theirs may cross ours: ours is answered only when the direction says what we asked for.
    /// Returns what was asked for, if it was.
    pub(crate) fn on_media(&mut self, receives: bool) -> Option<bool> {
        let Self::Requested { hold, before } = *self else {
            return None;
        };
        let answered = if hold { !receives } else { receives || before };
        if !answered {
            return None;
        }
        *self = if hold { Self::On } else { Self::Off };
        Some(hold)
    }

    /// The offer was refused. Returns whether hold is in force.
    pub(crate) fn refused(&mut self) -> bool {
        let held = self.in_force();
        *self = if held { Self::On } else { Self::Off };
        held
    }
}

/// The far end's SDES key in use.
#[derive(Debug)]
struct SdesKeyUse {
    key: SdesKey,
    /// Packets received before it.
    before: u64,
    /// A new one was asked for.
    renewing: bool,
}

/// Whether the far end of a call we place is heard before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct EarlySound {
    heard: bool,
    /// Packets received when the figures came last.
    received: u64,
    /// How many figures came since without any.
    quiet: u8,
}

impl EarlySound {
    /// Figures after which silence is silence: they come about once a second.
    const MOST_QUIET: u8 = 2;

    /// Whether it is heard now.
    pub(crate) fn is_heard(self) -> bool {
        self.heard
    }

    /// Its first sound came. Returns what changed.
    pub(crate) fn on_first(&mut self) -> Option<bool> {
        self.quiet = 0;
        (!std::mem::replace(&mut self.heard, true)).then_some(true)
    }

    /// Figures came. Returns what changed.
    pub(crate) fn on_figures(&mut self, received: u64) -> Option<bool> {
        let more = received > std::mem::replace(&mut self.received, received);
        if more {
            return self.on_first();
        }
        self.quiet = self.quiet.saturating_add(1);
        let over = self.heard && self.quiet >= Self::MOST_QUIET;
        if over {
            self.heard = false;
        }
        over.then_some(false)
    }
}

/// One call.
#[derive(Debug)]
pub(crate) struct CallRecord {
    /// The phone's number for it.
    pub(crate) id: CallId,
    /// The agent's number for it.
    pub(crate) sip: sip::CallHandle,
    /// By which account it goes; `None`: directly.
    pub(crate) account: Option<usize>,
    /// The engine's number for its sound, and the owner of its sockets.
    pub(crate) stream: Option<StreamId>,
    pub(crate) direction: CallDirection,
    pub(crate) peer: String,
    /// The addresses of its sockets.
    pub(crate) sockets: Option<MediaAddresses>,
    /// A call we placed: whether its far end, or its server, is beyond our router.
    pub(crate) goes_outside: Option<bool>,
    /// The far end's offer has ICE.
    pub(crate) offers_ice: bool,
    /// Checks found no way: its packets go where its description says.
    pub(crate) ice_failed: bool,
    /// What is heard before it is answered, and of which branch.
    pub(crate) early_sound: EarlySound,
    pub(crate) early_branches: EarlyBranches,
    /// The other branches as the engine knows them.
    pub(crate) watched: OtherSources,
    /// The far end has refused a digit by INFO: they go as tones.
    pub(crate) refuses_info: bool,
    /// What a ringing call's early media was offered with.
    pub(crate) early_media: Option<LocalMedia>,
    /// The number or address of the far end, as it can be dialled; empty: withheld.
    pub(crate) number: String,
    /// What was agreed last.
    pub(crate) media: Option<Negotiated>,
    /// The hosts its signalling came from then.
    pub(crate) signalling: SignallingHosts,
    /// Streams handed to the engine and not returned yet.
    pub(crate) in_engine: u32,
    /// The handset is connected to it, as the engine was instructed last.
    pub(crate) connected: bool,
    pub(crate) began: Instant,
    /// From INVITE to answer; some once the call is established.
    pub(crate) setup: Option<Duration>,
    pub(crate) hold: Hold,
    pub(crate) held_by_peer: bool,
    pub(crate) stats: StreamStats,
    /// How it sounds, second by second.
    pub(crate) quality: crate::quality::Quality,
    /// What the engine measured of the encryption of the stream it has now; `None`: nothing yet.
    pub(crate) measured: Option<media::Encryption>,
    sdes_key: Option<SdesKeyUse>,
    /// What a DTLS handshake proved of the far end.
    pub(crate) proof: Option<Proof>,
    /// State and codec as listeners know them.
    pub(crate) last_emitted: Option<(phone::CallState, Option<&'static str>)>,
    /// Encryption as listeners and phone know it.
    pub(crate) last_encryption: Option<(&'static str, Encryption)>,
    /// Who talks to whom, as signalling names it; some once the call is established.
    pub(crate) dialog: Option<sip::DialogIdentity>,
    /// Why we end it, where that is more than a handset put down.
    pub(crate) end_reason: Option<String>,
    /// What became of it, and when; some once signalling is over.
    pub(crate) outcome: Option<(CallOutcome, Instant)>,
    /// Why it ended; some once signalling is over.
    pub(crate) cause: Option<String>,
    /// When an ended call is dropped although the engine has not returned its stream.
    pub(crate) drop_at: Option<Instant>,
}

impl CallRecord {
    pub(crate) fn new(
        id: CallId,
        sip: sip::CallHandle,
        direction: CallDirection,
        peer: String,
        now: Instant,
    ) -> Self {
        Self {
            id,
            sip,
            account: None,
            stream: None,
            direction,
            number: peer.clone(),
            peer,
            sockets: None,
            goes_outside: None,
            offers_ice: false,
            ice_failed: false,
            early_sound: EarlySound::default(),
            early_branches: EarlyBranches::default(),
            watched: OtherSources::default(),
            refuses_info: false,
            early_media: None,
            media: None,
            signalling: SignallingHosts::default(),
            in_engine: 0,
            connected: false,
            began: now,
            setup: None,
            hold: Hold::default(),
            held_by_peer: false,
            stats: StreamStats::default(),
            quality: crate::quality::Quality::default(),
            measured: None,
            sdes_key: None,
            proof: None,
            last_emitted: None,
            last_encryption: None,
            dialog: None,
            end_reason: None,
            outcome: None,
            cause: None,
            drop_at: None,
        }
    }

    /// Whether sound may go on to a far end of which nothing is heard, as long as it answers by
    /// SIP. A caller that named somebody else's address could have any amount of sound sent there:
    /// that address must have sent something, or be the host its requests come from (`last_hop`;
    /// RFC 7362).
    pub(crate) fn may_be_silent(&self, last_hop: Option<IpAddr>) -> bool {
        let placed = self.direction == CallDirection::Out;
        let heard = self.stats.received > 0;
        let media = self.media.as_ref().map(|media| media.remote_rtp.ip());
        placed || heard || (media.is_some() && media == last_hop)
    }

    /// Signalling is over; the engine may still have its stream.
    pub(crate) fn is_ended(&self) -> bool {
        self.cause.is_some()
    }

    /// We placed it, it may be heard, and it is not answered.
    pub(crate) fn has_early_media(&self) -> bool {
        self.direction == CallDirection::Out
            && self.media.is_some()
            && self.setup.is_none()
            && !self.is_ended()
    }

    /// We placed it and it is not answered: until then it may get another answer, from another
    /// branch.
    pub(crate) fn may_be_forked(&self) -> bool {
        self.direction == CallDirection::Out && self.setup.is_none()
    }

    /// It was answered and is not over.
    pub(crate) fn is_established(&self) -> bool {
        self.setup.is_some() && !self.is_ended()
    }

    /// What the history keeps of it once it is over. `wall_clock`: the time of some instant as NTP
    /// 32.32.
    pub(crate) fn history_entry(&self, wall_clock: (Instant, u64)) -> Option<HistoryEntry> {
        let (outcome, ended) = self.outcome?;
        let established = self.setup.map(|setup| self.began + setup);
        let lasted = established.map(|from| ended.saturating_duration_since(from));
        let heard = self.stats.received > 0;
        Some(HistoryEntry {
            time: unix_time(wall_clock, self.began),
            direction: self.direction,
            outcome,
            number: self.number.clone(),
            name: self.peer.clone(),
            account: self.account,
            duration_s: lasted.unwrap_or_default().as_secs(),
            mos: heard.then(|| crate::status::round(self.stats.mos, 100.0)),
            encryption: self.encryption_name().to_owned(),
            reason: self.cause.clone().unwrap_or_default(),
            text: None,
        })
    }

    pub(crate) fn codec(&self) -> Option<&'static str> {
        self.media.as_ref().map(|media| media.codec.as_str())
    }

    /// The encryption as `status` and events name it: what the engine measured, whatever was agreed
    /// on.
    pub(crate) fn encryption_name(&self) -> &'static str {
        match self.measured {
            Some(measured) => measured.as_str(),
            None if self.wants_encryption() => media::Encryption::Waiting.as_str(),
            None => media::Encryption::None.as_str(),
        }
    }

    /// Whether its media is to be encrypted, as far as signalling goes.
    fn wants_encryption(&self) -> bool {
        self.media
            .as_ref()
            .is_some_and(|agreed| agreed.required || agreed.protection != Protection::Clear)
    }

    /// Takes note of the far end's key when its stream begins.
    pub(crate) fn note_sdes_key(&mut self) {
        let Some(Protection::Sdes { receive, .. }) =
            self.media.as_ref().map(|agreed| &agreed.protection)
        else {
            self.sdes_key = None;
            return;
        };
        if self
            .sdes_key
            .as_ref()
            .is_none_or(|used| used.key != *receive)
        {
            self.sdes_key = Some(SdesKeyUse {
                key: receive.clone(),
                before: self.stats.srtp.protected_received,
                renewing: false,
            });
        }
    }

    /// What the lifetime of the far end's key (RFC 4568 section 6.1) asks for now.
    pub(crate) fn sdes_key_action(&mut self) -> SdesKeyAction {
        let Some(used) = self.sdes_key.as_mut() else {
            return SdesKeyAction::Nothing;
        };
        let Some(lifetime) = used.key.lifetime() else {
            return SdesKeyAction::Nothing;
        };
        let packets = self.stats.srtp.protected_received;
        let packets = packets.saturating_sub(used.before);
        if packets >= lifetime {
            SdesKeyAction::End
        } else if packets >= lifetime / 8 * 7 && !std::mem::replace(&mut used.renewing, true) {
            // Early enough that a few refusals and retries do not hurt.
            SdesKeyAction::Renew
        } else {
            SdesKeyAction::Nothing
        }
    }

    /// What a person must hear or see of the encryption.
    pub(crate) fn encryption(&self) -> Encryption {
        let missing = self
            .media
            .as_ref()
            .is_some_and(|agreed| agreed.missing.is_some());
        // Encrypted for somebody else than before is not what was expected either.
        let changed = self
            .proof
            .as_ref()
            .is_some_and(|proof| proof.trust == Trust::Changed);
        match self.measured {
            _ if missing || changed => Encryption::Missing,
            _ if !self.wants_encryption() => Encryption::Unwanted,
            Some(media::Encryption::Full(_)) => Encryption::Working,
            // It was agreed on, and packets go in clear: the worst that can be.
            Some(media::Encryption::None) => Encryption::Missing,
            Some(media::Encryption::Waiting | media::Encryption::Partial) | None => {
                Encryption::Pending
            }
        }
    }

    /// The line written when its figures are complete: what a person wants to know of a call that
    /// went badly.
    pub(crate) fn quality_line(&self) -> String {
        let s = &self.stats;
        let expected = s.received + s.lost;
        let loss = if expected == 0 {
            0.0
        } else {
            100.0 * s.lost as f64 / expected as f64
        };
        let codec = self.codec().unwrap_or("none");
        let encryption = self.encryption_name();
        format!(
            "call {} with {}: {}, codec {codec}, encryption {encryption}, sent {}, received {}, \
             loss {loss:.1} %, late {}, concealed {} ms, jitter {:.1} ms, delay {:.0} ms, MOS \
             {:.2}",
            self.id.0,
            self.peer,
            self.cause.as_deref().unwrap_or("ended"),
            s.sent,
            s.received,
            s.late,
            s.concealed_ms,
            s.jitter_ms,
            s.delay_ms,
            s.mos,
        )
    }
}

#[cfg(test)]
mod tests;
