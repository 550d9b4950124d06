//! One call as the control loop sees it: the phone's number, the agent's number and the engine's
//! number for the same thing.

use std::time::{Duration, Instant};

use media::{SignallingHosts, StreamId, StreamStats};
use phone::{CallId, Encryption};
use sip::offer_answer::Negotiated;
use sip::privacy::Protection;
use sip::sdes::SdesKey;

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

/// What a key that does not last for ever asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyWants {
    Nothing,
    /// A new one.
    Renewal,
    /// It may not be used any more.
    End,
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
    pub(crate) way: Way,
    pub(crate) stage: Stage,
    pub(crate) peer: String,
    /// What was agreed last.
    pub(crate) media: Option<Negotiated>,
    /// The hosts its signalling came from then.
    pub(crate) signalling: SignallingHosts,
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
    /// What the engine measured of the encryption of the stream it has now; `None`: nothing yet.
    pub(crate) measured: Option<media::Encryption>,
    /// The far end's key in use, packets received before it, and whether a new one was asked for.
    pub(crate) key: Option<(SdesKey, u64, bool)>,
    /// What was told of the encryption last.
    pub(crate) told_encryption: Option<(&'static str, Encryption)>,
    pub(crate) cause: Option<String>,
    /// What a DTLS handshake proved of the far end.
    pub(crate) proof: Option<Proof>,
    /// Why we end it, where that is more than a hand on the hook.
    pub(crate) why: Option<String>,
    /// An ended call whose sound does not come home is forgotten then.
    pub(crate) forget_at: Option<Instant>,
}

impl CallRecord {
    pub(crate) fn new(
        id: CallId,
        sip: sip::CallHandle,
        way: Way,
        peer: String,
        now: Instant,
    ) -> Self {
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
            signalling: SignallingHosts::default(),
            abroad: 0,
            connected: false,
            began: now,
            setup: None,
            hold_asked: None,
            held_by_peer: false,
            stats: StreamStats::default(),
            measured: None,
            key: None,
            told_encryption: None,
            cause: None,
            proof: None,
            why: None,
            forget_at: None,
        }
    }

    /// The word for the encryption in `status` and events: what the engine measured, whatever was
    /// agreed on.
    pub(crate) fn encryption_word(&self) -> &'static str {
        match self.measured {
            Some(measured) => measured.word(),
            None if self.wants_keys() => media::Encryption::Waiting.word(),
            None => media::Encryption::None.word(),
        }
    }

    /// Whether its media is to be encrypted, as far as signalling goes.
    fn wants_keys(&self) -> bool {
        self.media
            .as_ref()
            .is_some_and(|agreed| agreed.required || agreed.protection != Protection::Clear)
    }

    /// Takes note of the far end's key when its stream begins.
    pub(crate) fn key_begins(&mut self) {
        let Some(Protection::Sdes { receive, .. }) =
            self.media.as_ref().map(|agreed| &agreed.protection)
        else {
            self.key = None;
            return;
        };
        if self.key.as_ref().is_none_or(|(known, ..)| known != receive) {
            self.key = Some((receive.clone(), self.stats.srtp.protected_received, false));
        }
    }

    /// What the lifetime of the far end's key (RFC 4568 section 6.1) asks for now.
    pub(crate) fn key_wants(&mut self) -> KeyWants {
        let received = self.stats.srtp.protected_received;
        match self
            .key
            .as_mut()
            .map(|(key, before, asked)| (key.lifetime(), received.saturating_sub(*before), asked))
        {
            Some((Some(lifetime), used, _)) if used >= lifetime => KeyWants::End,
            // Early enough that a few refusals and retries do not hurt.
            Some((Some(lifetime), used, asked)) if used >= lifetime / 8 * 7 && !*asked => {
                *asked = true;
                KeyWants::Renewal
            }
            Some(_) | None => KeyWants::Nothing,
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
            _ if !self.wants_keys() => Encryption::Unwanted,
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
        let codec = self.media.as_ref().map_or("none", |m| m.codec.as_str());
        let encryption = self.encryption_word();
        format!(
            "call {} with {}: {}, codec {codec}, encryption {encryption}, sent {}, received {}, loss {loss:.1} %, late {}, concealed {} ms, jitter {:.1} ms, delay {:.0} ms, MOS {:.2}",
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
mod tests {
    use super::*;

    fn with_key(lifetime: Option<u64>, byte: u8) -> Negotiated {
        let key = |byte| {
            SdesKey::new(
                types::SrtpSuite::AesCm128HmacSha1_80,
                &[byte; 30],
                &[],
                lifetime,
            )
            .unwrap()
        };
        Negotiated {
            remote_rtp: "192.0.2.1:4000".parse().unwrap(),
            remote_rtcp: "192.0.2.1:4001".parse().unwrap(),
            rtcp_mux: false,
            codec: types::Codec::Pcmu,
            send_payload: 0,
            recv_payload: 0,
            recv_payloads: Vec::new(),
            send_dtmf: None,
            recv_dtmf: None,
            ptime_ms: 20,
            opus_fec: false,
            opus_dtx: false,
            direction: types::Direction::SendRecv,
            protection: Protection::Sdes {
                send: key(1),
                receive: key(byte),
            },
            required: true,
            missing: None,
        }
    }

    fn record() -> CallRecord {
        CallRecord::new(
            CallId(1),
            sip::CallHandle(1),
            Way::Out,
            "anna".into(),
            Instant::now(),
        )
    }

    #[test]
    fn a_key_is_renewed_before_its_end_and_not_used_after() {
        let mut call = record();
        call.stats.srtp.protected_received = 1000;
        call.media = Some(with_key(Some(1 << 19), 2));
        call.key_begins();
        let mut at = |packets: u64| {
            call.stats.srtp.protected_received = 1000 + packets;
            call.key_begins();
            call.key_wants()
        };
        assert_eq!(at((1 << 19) / 8 * 7 - 1), KeyWants::Nothing);
        assert_eq!(at((1 << 19) / 8 * 7), KeyWants::Renewal);
        assert_eq!(at((1 << 19) / 8 * 7 + 1), KeyWants::Nothing, "asked once");
        assert_eq!(at(1 << 19), KeyWants::End);
        // A new key begins anew; one without lifetime lasts.
        call.media = Some(with_key(Some(1 << 19), 3));
        call.key_begins();
        assert_eq!(call.key_wants(), KeyWants::Nothing);
        call.media = Some(with_key(None, 4));
        call.key_begins();
        call.stats.srtp.protected_received = u64::MAX;
        assert_eq!(call.key_wants(), KeyWants::Nothing);
    }

    #[test]
    fn what_is_said_of_encryption_is_what_was_measured() {
        use media::Encryption as Measured;
        let mut call = record();
        let proof = |trust| {
            Some(Proof {
                fingerprint: [0; 32],
                words: Words::derive(&[1], &[0; 32], &[0; 32]),
                trust,
            })
        };
        call.proof = proof(Trust::Changed);
        assert_eq!(
            call.encryption(),
            Encryption::Missing,
            "somebody else's certificate is told"
        );
        call.proof = proof(Trust::New);
        assert_eq!(
            (call.encryption_word(), call.encryption()),
            ("none", Encryption::Unwanted)
        );
        // Agreed on, and nothing measured yet: a wish.
        call.media = Some(with_key(None, 2));
        assert_eq!(
            (call.encryption_word(), call.encryption()),
            ("waiting", Encryption::Pending)
        );
        for (measured, word, shown) in [
            (Measured::Waiting, "waiting", Encryption::Pending),
            (Measured::Partial, "partial", Encryption::Pending),
            (
                Measured::Full(media::SrtpSuite::AeadAes256Gcm),
                "AEAD_AES_256_GCM",
                Encryption::Working,
            ),
            // Whatever signalling said: packets go in clear.
            (Measured::None, "none", Encryption::Missing),
        ] {
            call.measured = Some(measured);
            assert_eq!((call.encryption_word(), call.encryption()), (word, shown));
        }
        // Nothing agreed on, and it was to be: missing, also before anything is measured.
        call.media = Some(Negotiated {
            protection: Protection::Clear,
            required: false,
            missing: Some(sip::privacy::WhyClear::NotTaken),
            ..with_key(None, 2)
        });
        for measured in [None, Some(Measured::None)] {
            call.measured = measured;
            assert_eq!(
                (call.encryption_word(), call.encryption()),
                ("none", Encryption::Missing)
            );
        }
        call.media.as_mut().unwrap().missing = None;
        assert_eq!(call.encryption(), Encryption::Unwanted);
    }
}
