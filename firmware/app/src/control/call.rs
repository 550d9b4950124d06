//! One call as the control loop sees it: the phone's number, the agent's number and the engine's number for the same thing.

use std::time::{Duration, Instant};

use media::{StreamId, StreamStats};
use phone::CallId;
use sip::offer_answer::Negotiated;

use crate::dtls::Words;
use crate::trust::Trust;

/// How far a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// INVITE is out.
    Calling,
    /// The far end rings.
    Ringback,
    /// The far end is heard before it answers.
    EarlyMedia,
    /// It rings here.
    Ringing,
    /// We said yes; the call does not stand yet.
    Answering,
    /// The call stands.
    Talking,
    /// The call stands, on hold by us.
    OnHold,
    /// The call is over; its sound is on the way home.
    Ended,
}

impl Stage {
    /// As `status` and events tell it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Stage::Calling => "calling",
            Stage::Ringback => "ringback",
            Stage::EarlyMedia => "early_media",
            Stage::Ringing => "ringing",
            Stage::Answering => "answering",
            Stage::Talking => "talking",
            Stage::OnHold => "on_hold",
            Stage::Ended => "ended",
        }
    }
}

/// Who called whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// They called us.
    In,
    /// We called them.
    Out,
}

impl Way {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Way::In => "in",
            Way::Out => "out",
        }
    }
}

/// What a DTLS handshake proved of the far end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proof {
    /// SHA-256 of its certificate.
    pub(crate) fingerprint: [u8; 32],
    /// What both ends can read to each other.
    pub(crate) words: Words,
    /// Whether it is who it was before.
    pub(crate) trust: Trust,
}

/// One call.
#[derive(Debug)]
pub(crate) struct CallRecord {
    /// The phone's number for it.
    pub(crate) id: CallId,
    /// The agent's number for it.
    pub(crate) sip: sip::Call,
    /// By which account it came in; `None`: directly, or it went out.
    pub(crate) account: Option<usize>,
    /// The engine's number for its sound, and the owner of its sockets.
    pub(crate) stream: Option<StreamId>,
    pub(crate) way: Way,
    pub(crate) stage: Stage,
    pub(crate) peer: String,
    /// What was agreed last.
    pub(crate) media: Option<Negotiated>,
    /// Streams handed to the engine that have not come home yet.
    pub(crate) abroad: u32,
    /// The handset is connected to it, as the engine was told last.
    pub(crate) connected: bool,
    pub(crate) began: Instant,
    pub(crate) setup: Option<Duration>,
    /// We asked for hold (true) or resume (false) and wait for the answer.
    pub(crate) hold_asked: Option<bool>,
    pub(crate) held_by_peer: bool,
    pub(crate) stats: StreamStats,
    pub(crate) cause: Option<String>,
    /// What a DTLS handshake proved of the far end.
    pub(crate) proof: Option<Proof>,
    /// Why we end it, where that is more than a hand on the hook.
    pub(crate) why: Option<String>,
    /// An ended call whose sound does not come home is forgotten then.
    pub(crate) forget_at: Option<Instant>,
}

impl CallRecord {
    pub(crate) fn new(id: CallId, sip: sip::Call, way: Way, peer: String, now: Instant) -> Self {
        Self {
            id,
            sip,
            account: None,
            stream: None,
            way,
            stage: match way {
                Way::In => Stage::Ringing,
                Way::Out => Stage::Calling,
            },
            peer,
            media: None,
            abroad: 0,
            connected: false,
            began: now,
            setup: None,
            hold_asked: None,
            held_by_peer: false,
            stats: StreamStats::default(),
            cause: None,
            proof: None,
            why: None,
            forget_at: None,
        }
    }

    /// The line written when its figures are complete: what a person wants to know of a call that went badly.
    pub(crate) fn quality_line(&self) -> String {
        let s = &self.stats;
        let expected = s.received + s.lost;
        let loss = if expected == 0 {
            0.0
        } else {
            100.0 * s.lost as f64 / expected as f64
        };
        let codec = self.media.as_ref().map_or("none", |m| crate::negotiate::codec_word(m.codec));
        format!(
            "call {} with {}: {}, codec {codec}, sent {}, received {}, loss {loss:.1} %, late {}, concealed {} ms, jitter {:.1} ms, delay {:.0} ms, MOS {:.2}",
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
