//! The one table: what is offered, what is accepted, and what is refused, for every policy,
//! profile, keying and transport.
//!
//! ```text
//! MediaSecurity, secure? ─▶ EncryptionRules ─┬─▶ offers ─▶ which offers, in which order
//!                                            ├─▶ evaluate_offer ─▶ Agreement ─▶ answer, or 488
//!                                            └─▶ evaluate_answer ─▶ Agreement ─▶ media, or BYE
//! ```
//!
//! | offer's profile and keying          | off    | preferred             | required         |
//! |-------------------------------------|--------|-----------------------|------------------|
//! | RTP/AVP(F), no keys                 | clear  | clear, reported       | 488              |
//! | RTP/AVP(F), usable keys (RFC 8643)  | clear  | encrypted             | 488: not its profile |
//! | RTP/AVP(F), keys of no use          | clear  | clear, reported       | 488              |
//! | RTP/SAVP(F), usable keys            | 488    | encrypted             | encrypted        |
//! | RTP/SAVP(F), no keys or of no use   | 488    | 488                   | 488              |
//! | UDP/TLS/RTP/SAVP(F), fingerprint    | 488    | encrypted             | encrypted        |
//! | UDP/TLS/RTP/SAVP(F), none or weak   | 488    | 488                   | 488              |
//! | unreadable a=crypto, AVP or SAVP    | clear, 488 | 406               | 406              |
//!
//! Keys that came by signalling in clear are of no use, unless `sdes_over_clear` says otherwise; a
//! fingerprint is. Once a call is encrypted, every line of the table that says "clear" says 488.

use types::{EncryptionPolicy, Keying};

use super::{MediaSecurity, WhyClear};
use crate::sdes;

/// How an m-line carries its media; the F of RFC 4585 changes nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// RTP/AVP, RTP/AVPF.
    Plain,
    /// RTP/SAVP, RTP/SAVPF.
    Secure,
    /// UDP/TLS/RTP/SAVP, UDP/TLS/RTP/SAVPF.
    Dtls,
    /// Not RTP over UDP.
    Other,
}

impl Profile {
    /// The profile of an m-line's protocol.
    pub(crate) fn of(proto: &str) -> Self {
        match proto.to_ascii_uppercase().as_str() {
            "RTP/AVP" | "RTP/AVPF" => Self::Plain,
            "RTP/SAVP" | "RTP/SAVPF" => Self::Secure,
            "UDP/TLS/RTP/SAVP" | "UDP/TLS/RTP/SAVPF" => Self::Dtls,
            _ => Self::Other,
        }
    }
}

/// Whether an m-line can be keyed one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyingState {
    /// Nothing of it is there.
    Absent,
    /// It is there, but this phone supports nothing of it.
    Unsupported,
    /// It can be used.
    Usable,
}

/// How an m-line can be keyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MediaKeying {
    pub(crate) profile: Profile,
    /// `a=crypto`; `None`: a line that cannot be read.
    pub(crate) sdes: Option<KeyingState>,
    /// `a=fingerprint`.
    pub(crate) dtls: KeyingState,
}

/// What can be agreed on a leg: the policy, and the keying that its signalling allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EncryptionRules {
    pub(crate) policy: EncryptionPolicy,
    /// What can be agreed here, best first.
    pub(crate) keying: Vec<Keying>,
    /// Keys in session descriptions cannot be read on the way, or may be.
    pub(crate) keys_are_safe: bool,
    /// The call is encrypted already.
    pub(crate) locked: bool,
}

/// What is agreed for an m-line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// No encryption; why not, where it was wanted.
    Clear(Option<WhyClear>),
    /// Keys in the descriptions.
    Sdes,
    /// Keys by handshake.
    Dtls,
}

/// Why a description is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the protocol is not RTP over UDP")]
    Protocol,
    #[error(
        "RTP/SAVP and the like are not accepted: encryption is switched off here; offer RTP/AVP"
    )]
    Off,
    #[error("encryption is required: offer RTP/SAVP or UDP/TLS/RTP/SAVP")]
    Required,
    #[error("keys came by signalling in clear, where anyone can read them: use TLS")]
    KeysInClear,
    #[error("RTP/SAVP needs a=crypto, UDP/TLS/RTP/SAVP a=fingerprint")]
    NoKeys,
    #[error("no suite, key or fingerprint of these can be used here")]
    NothingInCommon,
    #[error("{0}")]
    Unreadable(sdes::CryptoLineError),
    #[error("this call is encrypted and stays so")]
    Downgrade,
    #[error("the answer does not fit the encryption offered")]
    BadAnswer,
    #[error(
        "encryption is required, and there is no way to agree on keys: SDES needs signalling by \
         TLS, DTLS a certificate"
    )]
    Impossible,
}

impl Refusal {
    /// The warn-code of RFC 3261 section 20.43.
    pub(crate) fn warning(self) -> u16 {
        match self {
            // Incompatible media format; attribute not understood; miscellaneous.
            Self::Protocol | Self::Off => 305,
            Self::NoKeys | Self::NothingInCommon | Self::Unreadable(_) | Self::BadAnswer => 306,
            Self::Required | Self::KeysInClear | Self::Downgrade | Self::Impossible => 399,
        }
    }
}

/// One offer of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OfferShape {
    pub(crate) profile: Profile,
    /// In the variant of the profile with the F of RFC 4585, which some far ends insist on.
    pub(crate) feedback: bool,
    pub(crate) sdes: bool,
    pub(crate) dtls: bool,
    /// What is reported if this one is answered in clear.
    pub(crate) missing: Option<WhyClear>,
}

impl OfferShape {
    /// An offer without encryption.
    pub(crate) fn plain(missing: Option<WhyClear>) -> Self {
        Self {
            profile: Profile::Plain,
            feedback: false,
            sdes: false,
            dtls: false,
            missing,
        }
    }

    /// The offers without encryption: a far end that insists on the F of RFC 4585 refuses the
    /// first one.
    fn each_plain(missing: Option<WhyClear>) -> [Self; 2] {
        [false, true].map(|feedback| Self {
            feedback,
            ..Self::plain(missing)
        })
    }

    /// An offer of one keying, and nothing but encrypted.
    pub(crate) fn secure(keying: Keying) -> Self {
        let (profile, sdes) = match keying {
            Keying::Sdes => (Profile::Secure, true),
            Keying::Dtls => (Profile::Dtls, false),
        };
        Self {
            profile,
            feedback: false,
            sdes,
            dtls: !sdes,
            missing: None,
        }
    }

    /// Whether it offers the same, whatever is reported of it.
    pub(crate) fn is_like(self, other: Self) -> bool {
        let Self {
            profile,
            feedback,
            sdes,
            dtls,
            missing: _,
        } = self;
        (profile, feedback, sdes, dtls) == (other.profile, other.feedback, other.sdes, other.dtls)
    }

    /// Whether it offers no encryption.
    pub(crate) fn is_clear(self) -> bool {
        !self.sdes && !self.dtls
    }

    /// The protocol of its m-line.
    pub(crate) fn proto(self) -> &'static str {
        match (self.profile, self.feedback) {
            (Profile::Plain | Profile::Other, false) => "RTP/AVP",
            (Profile::Plain | Profile::Other, true) => "RTP/AVPF",
            (Profile::Secure, false) => "RTP/SAVP",
            (Profile::Secure, true) => "RTP/SAVPF",
            (Profile::Dtls, false) => "UDP/TLS/RTP/SAVP",
            (Profile::Dtls, true) => "UDP/TLS/RTP/SAVPF",
        }
    }

    /// Whether an answer to it that can be used is encrypted for sure.
    pub(crate) fn is_secure(self) -> bool {
        match self.profile {
            Profile::Secure | Profile::Dtls => true,
            Profile::Plain | Profile::Other => false,
        }
    }
}

impl EncryptionRules {
    /// What holds on a leg whose signalling is secure or not, and whose media is encrypted already
    /// or not.
    pub(crate) fn of(media_security: &MediaSecurity, secure: bool, locked: bool) -> Self {
        let keys_are_safe = secure || media_security.sdes_over_clear;
        let can = |keying: &Keying| match keying {
            Keying::Sdes => keys_are_safe && !media_security.acceptable_suites().is_empty(),
            Keying::Dtls => media_security.fingerprint.is_some(),
        };
        Self {
            policy: media_security.policy_on(secure),
            keying: media_security.keying.iter().copied().filter(can).collect(),
            keys_are_safe,
            locked,
        }
    }

    /// The offers of a new call in the order they are made: the next one where the one before is
    /// refused, by 406, 415, 488 or 606, or by an answer that cannot be used. Empty: the call
    /// cannot be made at all.
    pub(crate) fn offers(&self) -> Vec<OfferShape> {
        match (self.policy, self.keying.first()) {
            (EncryptionPolicy::Off, _) => OfferShape::each_plain(None).into(),
            (EncryptionPolicy::Preferred, None) => {
                OfferShape::each_plain(Some(WhyClear::NoKeying)).into()
            }
            // RFC 8643: everything at once in RTP/AVP. Who insists on encryption refuses that, who
            // knows none of it may, too.
            (EncryptionPolicy::Preferred, Some(_)) => {
                let everything = OfferShape {
                    profile: Profile::Plain,
                    feedback: false,
                    sdes: self.keying.contains(&Keying::Sdes),
                    dtls: self.keying.contains(&Keying::Dtls),
                    missing: Some(WhyClear::NotTaken),
                };
                let clear = OfferShape::each_plain(Some(WhyClear::Refused));
                let secure = self.secure_offers();
                [everything]
                    .into_iter()
                    .chain(secure)
                    .chain(clear)
                    .collect()
            }
            (EncryptionPolicy::Required, _) => self.secure_offers().collect(),
        }
    }

    /// One offer for each kind of keying, then the same with the F of RFC 4585: a far end that
    /// knows one profile only refuses the others.
    fn secure_offers(&self) -> impl Iterator<Item = OfferShape> {
        let with = |feedback| {
            self.keying.iter().map(move |keying| OfferShape {
                feedback,
                ..OfferShape::secure(*keying)
            })
        };
        with(false).chain(with(true))
    }

    /// What becomes of an offered m-line.
    pub(crate) fn evaluate_offer(
        &self,
        offer: MediaKeying,
        unreadable: Option<sdes::CryptoLineError>,
    ) -> Result<Agreement, Refusal> {
        let keyed = self.keyed(offer);
        let agreement = match (self.policy, offer.profile) {
            (_, Profile::Other) => return Err(Refusal::Protocol),
            (EncryptionPolicy::Off, Profile::Plain) => Agreement::Clear(None),
            (EncryptionPolicy::Off, Profile::Secure | Profile::Dtls) => return Err(Refusal::Off),
            (
                EncryptionPolicy::Preferred | EncryptionPolicy::Required,
                Profile::Plain | Profile::Secure,
            ) if unreadable.is_some() => {
                return Err(unreadable.map_or(Refusal::NoKeys, Refusal::Unreadable));
            }
            // A profile that lets media go in clear is not what is required, whatever attributes
            // stand below it.
            (EncryptionPolicy::Required, Profile::Plain) if self.locked => {
                return Err(Refusal::Downgrade);
            }
            (EncryptionPolicy::Required, Profile::Plain) => return Err(Refusal::Required),
            (EncryptionPolicy::Preferred, Profile::Plain) => {
                keyed.unwrap_or(Agreement::Clear(Some(self.why_clear(offer))))
            }
            (
                EncryptionPolicy::Preferred | EncryptionPolicy::Required,
                Profile::Secure | Profile::Dtls,
            ) => match keyed {
                Some(agreement) => agreement,
                None => return Err(self.why_refused(offer)),
            },
        };
        self.enforce_policy(agreement)
    }

    /// What becomes of the answer to an offer of ours.
    pub(crate) fn evaluate_answer(
        &self,
        shape: OfferShape,
        answer: MediaKeying,
    ) -> Result<Agreement, Refusal> {
        if answer.profile != shape.profile {
            return Err(if shape.profile == Profile::Plain {
                Refusal::Protocol
            } else {
                Refusal::Downgrade
            });
        }
        let offered = MediaKeying {
            profile: answer.profile,
            sdes: if shape.sdes {
                answer.sdes
            } else {
                Some(KeyingState::Absent)
            },
            dtls: if shape.dtls {
                answer.dtls
            } else {
                KeyingState::Absent
            },
        };
        let agreement = match (self.keyed(offered), offered.sdes, offered.dtls) {
            (Some(agreement), ..) => agreement,
            // Nothing at all was taken up; where the profile allows that.
            (None, Some(KeyingState::Absent), KeyingState::Absent)
                if shape.profile == Profile::Plain =>
            {
                Agreement::Clear(shape.missing)
            }
            (None, Some(KeyingState::Absent), KeyingState::Absent) => {
                return Err(Refusal::Downgrade);
            }
            // Something was, and wrongly: what follows would be noise.
            (None, ..) => return Err(Refusal::BadAnswer),
        };
        self.enforce_policy(agreement)
    }

    /// The last check, for offers and answers alike: required encryption is never given up, and
    /// encryption in force is never taken away.
    fn enforce_policy(&self, agreement: Agreement) -> Result<Agreement, Refusal> {
        match agreement {
            Agreement::Clear(_) if self.locked => Err(Refusal::Downgrade),
            Agreement::Clear(_) if self.policy == EncryptionPolicy::Required => {
                Err(Refusal::Required)
            }
            Agreement::Sdes | Agreement::Dtls | Agreement::Clear(_) => Ok(agreement),
        }
    }

    /// The best keying both ends have in this m-line.
    fn keyed(&self, media: MediaKeying) -> Option<Agreement> {
        self.keying.iter().find_map(|keying| match keying {
            // RFC 5763 leaves no room for keys in a description whose profile is DTLS.
            Keying::Sdes => (media.sdes == Some(KeyingState::Usable)
                && media.profile != Profile::Dtls)
                .then_some(Agreement::Sdes),
            Keying::Dtls => (media.dtls == KeyingState::Usable).then_some(Agreement::Dtls),
        })
    }

    fn why_clear(&self, offer: MediaKeying) -> WhyClear {
        match (offer.sdes, offer.dtls) {
            (Some(KeyingState::Absent), KeyingState::Absent) => WhyClear::NotOffered,
            (Some(KeyingState::Usable | KeyingState::Unsupported), _) if !self.keys_are_safe => {
                WhyClear::KeysInClear
            }
            (Some(_) | None, _) => WhyClear::NothingInCommon,
        }
    }

    fn why_refused(&self, offer: MediaKeying) -> Refusal {
        let sdes = match offer.profile {
            Profile::Dtls => Some(KeyingState::Absent),
            Profile::Plain | Profile::Secure | Profile::Other => offer.sdes,
        };
        match (sdes, offer.dtls) {
            (Some(KeyingState::Absent), KeyingState::Absent) => Refusal::NoKeys,
            (Some(KeyingState::Usable | KeyingState::Unsupported), _) if !self.keys_are_safe => {
                Refusal::KeysInClear
            }
            (Some(_) | None, _) => Refusal::NothingInCommon,
        }
    }
}

#[cfg(test)]
mod tests;
