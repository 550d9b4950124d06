//! The encryption of one leg: what its descriptions say of it, and what comes of theirs.
//!
//! ```text
//! table ─▶ shape ─▶ our offer (a=crypto, a=fingerprint) ─▶ their answer ─┬─▶ Protection, WhyClear
//! their offer ─▶ keying ─▶ table ─▶ our answer ──────────────────────────┘
//! ```
//!
//! All decisions are the table's; here they are only carried out. Nothing of a leg changes before
//! its description is accepted.

use types::{EncryptionPolicy, Keying};

use super::OfferAnswer;
use super::description::Slot;
use crate::fingerprint::{self, SetupAttribute, role_answered, role_in_force, role_offered};
use crate::media_security::offer_memory::FirstOffer;
use crate::media_security::table::{
    Agreement, EncryptionRules, KeyingState, MediaKeying, OfferShape, Profile, Refusal,
};
use crate::media_security::{Protection, WhyClear};
use crate::sdes::{Exchange, Reading};
use crate::sdp::{SdpError, SdpLine};
use crate::token::Tokens;

/// Whether anything was agreed on yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agreed {
    /// Nothing.
    NotYet,
    /// A description was accepted; why in clear, if that is reported.
    Yes(Option<WhyClear>),
}

/// What a leg knows of its encryption.
#[derive(Debug, Clone)]
pub(super) struct LegEncryption {
    /// Lines and keys of RFC 4568.
    sdes: Exchange,
    /// What is in force.
    pub(super) protection: Protection,
    agreed: Agreed,
    /// Which of the offers planned is due.
    attempt: usize,
    /// What is offered first.
    first: Option<FirstOffer>,
    /// Our last offer.
    shape: OfferShape,
    /// What stands in our next description: `a=crypto`, and `a=fingerprint` with this `a=setup`.
    sends_crypto: bool,
    sends_setup: Option<SetupAttribute>,
}

impl Default for LegEncryption {
    fn default() -> Self {
        Self {
            sdes: Exchange::default(),
            protection: Protection::Clear,
            agreed: Agreed::NotYet,
            attempt: 0,
            first: None,
            shape: OfferShape::plain(None),
            sends_crypto: false,
            sends_setup: None,
        }
    }
}

impl OfferAnswer {
    /// What holds on this leg.
    pub(super) fn encryption_rules(&self) -> EncryptionRules {
        let locked = self.encryption.protection != Protection::Clear;
        EncryptionRules::of(&self.local.media_security, self.secure, locked)
    }

    /// Whether encryption is a condition of this call.
    pub(super) fn required(&self) -> bool {
        self.local.media_security.policy_on(self.secure) == EncryptionPolicy::Required
    }

    /// Moves on to the next offer planned, if there is one and nothing was agreed yet.
    pub(crate) fn next_attempt(&mut self) -> bool {
        let more = self.encryption.agreed == Agreed::NotYet
            && self.encryption.attempt + 1 < self.planned_offers().len();
        self.encryption.attempt += usize::from(more);
        more
    }

    /// The same where an answer cannot be used for this reason: the variant with the F of RFC 4585
    /// of an offer in clear changes nothing about formats or keys.
    pub(crate) fn next_attempt_after(&mut self, error: &SdpError) -> bool {
        let offers = self.planned_offers();
        let next = offers.get(self.encryption.attempt + 1);
        let is_variant = next.is_some_and(|next| next.is_clear() && next.feedback);
        let helps = match error {
            SdpError::LineRefused => true,
            error => error.is_refusal() && !is_variant,
        };
        helps && self.next_attempt()
    }

    /// The far end refused what was guessed that it takes, and the guess may be why: goes on with
    /// the usual order, without what it refused. Not where the usual order begins like the guess.
    pub(crate) fn give_up_guess(&mut self) -> bool {
        let guessed = match self.encryption.first {
            Some(FirstOffer::Guessed(shape)) => {
                let usual = self.encryption_rules().offers();
                usual.iter().position(|offer| offer.is_like(shape)) > Some(0)
            }
            Some(FirstOffer::Known(_)) | None => false,
        };
        guessed && self.encryption.attempt == 0 && self.next_attempt()
    }

    /// A far end is called: begins with this offer, where it is one of those planned; without one
    /// in the usual order. What another one refused is tried again.
    pub(crate) fn begin_with(&mut self, first: Option<FirstOffer>) {
        self.encryption.first = first;
        self.encryption.attempt = 0;
    }

    /// The offer that was answered, to begin with the next time; `None`: the usual order found its
    /// way by itself, or that offer may not come first.
    pub(crate) fn offer_that_worked(&self) -> Option<OfferShape> {
        let shape = self.encryption.shape;
        let found = match self.encryption.protection {
            Protection::Clear => shape.feedback,
            Protection::Sdes { .. } | Protection::Dtls { .. } => shape.is_secure(),
        };
        (found && self.may_begin_with(shape)).then_some(shape)
    }

    /// Whether a call may begin with this offer. One in clear may where every offer is: a far end
    /// that once refused encryption is asked for it again.
    fn may_begin_with(&self, shape: OfferShape) -> bool {
        let offers = self.encryption_rules().offers();
        !shape.is_clear() || offers.into_iter().all(OfferShape::is_clear)
    }

    /// The offer of ours that is like the one of theirs that was answered; `None`: the usual order
    /// begins like it, or there is none like it.
    pub(crate) fn offer_like_theirs(&self) -> Option<OfferShape> {
        let proto = self.slots.iter().find_map(|slot| match slot {
            Slot::Ours { proto } => Some(proto),
            Slot::Refused { .. } => None,
        })?;
        let feedback = proto.ends_with(['F', 'f']);
        let like = match (&self.encryption.protection, self.encryption.agreed) {
            (Protection::Sdes { .. }, _) => OfferShape::secure(Keying::Sdes),
            (Protection::Dtls { .. }, _) => OfferShape::secure(Keying::Dtls),
            (Protection::Clear, Agreed::Yes(missing)) if feedback => OfferShape::plain(missing),
            (Protection::Clear, Agreed::Yes(_) | Agreed::NotYet) => return None,
        };
        let shape = OfferShape { feedback, ..like };
        (Profile::of(proto) == shape.profile && self.may_begin_with(shape)).then_some(shape)
    }

    /// The offers of a new call, in their order.
    fn planned_offers(&self) -> Vec<OfferShape> {
        let mut offers = self.encryption_rules().offers();
        if let Some(first) = self.encryption.first
            && self.may_begin_with(first.shape())
            && let Some(at) = offers.iter().position(|offer| offer.is_like(first.shape()))
        {
            offers[..=at].rotate_right(1);
        }
        offers
    }

    /// What the offer that is due asks for.
    fn next_offer(&self) -> Result<OfferShape, Refusal> {
        let secure = |sdes: bool| OfferShape {
            profile: self.our_profile(),
            feedback: false,
            sdes,
            dtls: !sdes,
            missing: None,
        };
        match (&self.encryption.protection, self.encryption.agreed) {
            (Protection::Sdes { .. }, _) => Ok(secure(true)),
            (Protection::Dtls { .. }, _) => Ok(secure(false)),
            // A call established in clear goes on in clear, unless the far end offers more.
            (Protection::Clear, Agreed::Yes(missing)) => Ok(OfferShape::plain(missing)),
            (Protection::Clear, Agreed::NotYet) => {
                let offers = self.planned_offers();
                offers
                    .get(self.encryption.attempt)
                    .or(offers.last())
                    .copied()
                    .ok_or(Refusal::Impossible)
            }
        }
    }

    /// Prepares an offer: the profile of our line, and the keys below it. `fresh`: no key of before
    /// is shown again.
    pub(super) fn prepare_offer(
        &mut self,
        fresh: bool,
        tokens: &mut Tokens,
    ) -> Result<OfferShape, Refusal> {
        let shape = self.next_offer()?;
        let wanted = shape.proto();
        // Once it is agreed on, the line keeps its protocol as it was written.
        let agreed = self.encryption.agreed != Agreed::NotYet;
        match self.slots.iter_mut().find_map(Slot::ours) {
            Some(proto) if agreed && Profile::of(proto) == shape.profile => {}
            Some(proto) => wanted.clone_into(proto),
            None => self.slots.insert(
                0,
                Slot::Ours {
                    proto: wanted.into(),
                },
            ),
        }
        if shape.sdes {
            self.encryption.sdes.offer(
                &self.local.media_security.acceptable_suites(),
                fresh,
                tokens,
            );
        }
        self.encryption.sends_crypto = shape.sdes;
        self.encryption.sends_setup = shape.dtls.then_some(SetupAttribute::Actpass);
        self.encryption.shape = shape;
        Ok(shape)
    }

    fn our_profile(&self) -> Profile {
        let ours = self.slots.iter().find_map(|slot| match slot {
            Slot::Ours { proto } => Some(Profile::of(proto)),
            Slot::Refused { .. } => None,
        });
        ours.unwrap_or(Profile::Plain)
    }

    /// What becomes of an m-line offered to us.
    pub(super) fn evaluate_keying(&self, line: &SdpLine) -> Result<Agreement, Refusal> {
        let usable = |lines: &Vec<Reading>| {
            Exchange::choose(&self.local.media_security.acceptable_suites(), lines).is_some()
        };
        let keying = MediaKeying {
            profile: line.profile(),
            sdes: line
                .crypto
                .as_ref()
                .ok()
                .map(|lines| keying_state(lines, usable)),
            dtls: line
                .fingerprints
                .as_ref()
                .map_or(KeyingState::Absent, |theirs| {
                    let now = role_in_force(&self.encryption.protection, theirs);
                    match role_offered(line.setup, now) {
                        Some(_) if !theirs.is_empty() => KeyingState::Usable,
                        Some(_) | None => KeyingState::Unsupported,
                    }
                }),
        };
        self.encryption_rules()
            .evaluate_offer(keying, line.crypto.as_ref().err().copied())
    }

    /// Gives our keys for an m-line that was judged.
    pub(super) fn answer_keying(
        &mut self,
        agreement: Agreement,
        line: &SdpLine,
        tokens: &mut Tokens,
    ) -> Result<Protection, Refusal> {
        self.encryption.sends_crypto = false;
        self.encryption.sends_setup = None;
        match agreement {
            Agreement::Clear(_) => Ok(Protection::Clear),
            Agreement::Sdes => {
                let lines = line
                    .crypto
                    .as_deref()
                    .map_err(|error| Refusal::Unreadable(*error))?;
                let theirs =
                    Exchange::choose(&self.local.media_security.acceptable_suites(), lines)
                        .ok_or(Refusal::NothingInCommon)?;
                let keys = self.encryption.sdes.answer(theirs, tokens);
                self.encryption.sends_crypto = true;
                Ok(Protection::Sdes {
                    send: keys.send,
                    receive: keys.receive,
                })
            }
            Agreement::Dtls => {
                let fingerprints = line.fingerprints.clone().unwrap_or_default();
                let now = role_in_force(&self.encryption.protection, &fingerprints);
                let (setup, word) =
                    role_offered(line.setup, now).ok_or(Refusal::NothingInCommon)?;
                self.encryption.sends_setup = Some(word);
                Ok(Protection::Dtls {
                    setup,
                    fingerprints,
                })
            }
        }
    }

    /// What an answer to our last offer makes of it. Nothing is changed if it is refused.
    pub(super) fn accept_keying(
        &mut self,
        line: &SdpLine,
    ) -> Result<(Agreement, Protection), Refusal> {
        let mut sdes = self.encryption.sdes.clone();
        let keys = line
            .crypto
            .as_ref()
            .ok()
            .and_then(|lines| sdes.accept(lines));
        let theirs = line.fingerprints.clone().unwrap_or_default();
        let role = role_answered(
            line.setup,
            role_in_force(&self.encryption.protection, &theirs),
        )
        .filter(|_| !theirs.is_empty());
        let keying = MediaKeying {
            profile: line.profile(),
            sdes: line
                .crypto
                .as_ref()
                .ok()
                .map(|lines| keying_state(lines, |_| keys.is_some())),
            dtls: match (&line.fingerprints, role) {
                (None, _) => KeyingState::Absent,
                (Some(_), Some(_)) => KeyingState::Usable,
                (Some(_), None) => KeyingState::Unsupported,
            },
        };
        let agreement = self
            .encryption_rules()
            .evaluate_answer(self.encryption.shape, keying)?;
        let protection = match (agreement, keys, role) {
            (Agreement::Clear(_), ..) => Protection::Clear,
            (Agreement::Sdes, Some(keys), _) => {
                self.encryption.sdes = sdes;
                Protection::Sdes {
                    send: keys.send,
                    receive: keys.receive,
                }
            }
            (Agreement::Dtls, _, Some(setup)) => Protection::Dtls {
                setup,
                fingerprints: theirs,
            },
            (Agreement::Sdes, None, _) | (Agreement::Dtls, _, None) => {
                return Err(Refusal::BadAnswer);
            }
        };
        Ok((agreement, protection))
    }

    /// A description was accepted: this is what holds from now on.
    pub(super) fn commit_encryption(
        &mut self,
        agreement: Agreement,
        protection: &Protection,
    ) -> Option<WhyClear> {
        let missing = match agreement {
            Agreement::Clear(missing) => missing,
            Agreement::Sdes | Agreement::Dtls => None,
        };
        self.encryption.protection.clone_from(protection);
        self.encryption.agreed = Agreed::Yes(missing);
        missing
    }

    /// Writes the keys that belong to our line.
    pub(super) fn describe_keys(&self, body: &mut String) {
        if self.encryption.sends_crypto {
            for line in self.encryption.sdes.offered_lines() {
                line.write(body);
            }
        }
        if let (Some(word), Some(ours)) = (
            self.encryption.sends_setup,
            &self.local.media_security.fingerprint,
        ) {
            fingerprint::write(ours, body);
            body.push_str("a=setup:");
            body.push_str(word.as_str());
            body.push_str("\r\n");
        }
    }
}

fn keying_state(lines: &Vec<Reading>, usable: impl Fn(&Vec<Reading>) -> bool) -> KeyingState {
    if lines.is_empty() {
        KeyingState::Absent
    } else if usable(lines) {
        KeyingState::Usable
    } else {
        KeyingState::Unsupported
    }
}
