//! The encryption of one leg: what its descriptions say of it, and what comes of theirs.
//!
//! ```text
//! privacy::table ─▶ shape ─▶ our offer (a=crypto, a=fingerprint) ─▶ far end ─▶ taken ─┐
//! far end's offer ─▶ brought ─▶ privacy::table ─▶ given ─▶ our answer ─────────────────┴─▶ Protection, WhyClear
//! ```
//!
//! All decisions are the table's; here they are only carried out. Nothing of a leg changes before
//! its description is accepted.

use types::EncryptionPolicy;

use super::{Session, Slot};
use crate::fingerprint::{self, SetupWord, role_answered, role_in_force, role_offered};
use crate::privacy::table::{Brought, Keys, Profile, Refusal, Shape, Terms, Verdict};
use crate::privacy::{Protection, WhyClear};
use crate::sdes::{Exchange, Reading};
use crate::sdp::Line;
use crate::token::Tokens;

/// Whether anything was agreed on yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    /// Nothing.
    Not,
    /// A description was accepted; why in clear, if that is told.
    Agreed(Option<WhyClear>),
}

/// What a leg knows of its encryption.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    /// Lines and keys of RFC 4568.
    sdes: Exchange,
    /// What is in force.
    pub(super) protection: Protection,
    settled: Settled,
    /// Which of the offers planned is due.
    attempt: usize,
    /// Our last offer.
    shape: Shape,
    /// What stands in our next description: `a=crypto`, and `a=fingerprint` with this `a=setup`.
    says_sdes: bool,
    says_dtls: Option<SetupWord>,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            sdes: Exchange::default(),
            protection: Protection::Clear,
            settled: Settled::Not,
            attempt: 0,
            shape: Shape::plain(None),
            says_sdes: false,
            says_dtls: None,
        }
    }
}

impl Session {
    /// What holds on this leg.
    pub(super) fn terms(&self) -> Terms {
        let locked = self.guard.protection != Protection::Clear;
        Terms::of(&self.local.privacy, self.secure, locked)
    }

    /// Whether encryption is a condition of this call.
    pub(super) fn required(&self) -> bool {
        self.local.privacy.policy_on(self.secure) == EncryptionPolicy::Required
    }

    /// Moves on to the next offer planned, if there is one and nothing was agreed yet.
    pub(crate) fn next_attempt(&mut self) -> bool {
        let more = self.guard.settled == Settled::Not
            && self.guard.attempt + 1 < self.terms().plan().len();
        self.guard.attempt += usize::from(more);
        more
    }

    /// What the offer that is due asks for.
    fn due(&self) -> Result<Shape, Refusal> {
        let secure = |sdes: bool| Shape {
            profile: self.our_profile(),
            sdes,
            dtls: !sdes,
            missing: None,
        };
        match (&self.guard.protection, self.guard.settled) {
            (Protection::Sdes { .. }, _) => Ok(secure(true)),
            (Protection::Dtls { .. }, _) => Ok(secure(false)),
            // A call that stands in clear goes on in clear, unless the far end offers more.
            (Protection::Clear, Settled::Agreed(missing)) => Ok(Shape::plain(missing)),
            (Protection::Clear, Settled::Not) => {
                let plan = self.terms().plan();
                plan.get(self.guard.attempt)
                    .or(plan.last())
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
    ) -> Result<Shape, Refusal> {
        let shape = self.due()?;
        let wanted = match shape.profile {
            Profile::Plain | Profile::Other => "RTP/AVP",
            Profile::Secure => "RTP/SAVP",
            Profile::Dtls => "UDP/TLS/RTP/SAVP",
        };
        match self.slots.iter_mut().find_map(Slot::ours) {
            Some(proto) if Profile::of(proto) == shape.profile => {}
            Some(proto) => wanted.clone_into(proto),
            None => self.slots.insert(
                0,
                Slot::Ours {
                    proto: wanted.into(),
                },
            ),
        }
        if shape.sdes {
            self.guard.sdes.offer(&self.local.privacy, fresh, tokens);
        }
        self.guard.says_sdes = shape.sdes;
        self.guard.says_dtls = shape.dtls.then_some(SetupWord::Actpass);
        self.guard.shape = shape;
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
    pub(super) fn judge(&self, line: &Line) -> Result<Verdict, Refusal> {
        let usable = |lines: &Vec<Reading>| Exchange::choose(&self.local.privacy, lines).is_some();
        let brought = Brought {
            profile: line.profile(),
            sdes: line.crypto.as_ref().ok().map(|lines| worth(lines, usable)),
            dtls: line.fingerprints.as_ref().map_or(Keys::Absent, |theirs| {
                let now = role_in_force(&self.guard.protection, theirs);
                match role_offered(line.setup, now) {
                    Some(_) if !theirs.is_empty() => Keys::Usable,
                    Some(_) | None => Keys::Useless,
                }
            }),
        };
        self.terms()
            .judge_offer(brought, line.crypto.as_ref().err().copied())
    }

    /// Gives our keys for an m-line that was judged.
    pub(super) fn give(
        &mut self,
        verdict: Verdict,
        line: &Line,
        tokens: &mut Tokens,
    ) -> Result<Protection, Refusal> {
        self.guard.says_sdes = false;
        self.guard.says_dtls = None;
        match verdict {
            Verdict::Clear(_) => Ok(Protection::Clear),
            Verdict::Sdes => {
                let lines = line
                    .crypto
                    .as_deref()
                    .map_err(|error| Refusal::Unreadable(*error))?;
                let theirs =
                    Exchange::choose(&self.local.privacy, lines).ok_or(Refusal::NothingInCommon)?;
                let keys = self.guard.sdes.answer(theirs, tokens);
                self.guard.says_sdes = true;
                Ok(Protection::Sdes {
                    send: keys.send,
                    receive: keys.receive,
                })
            }
            Verdict::Dtls => {
                let fingerprints = line.fingerprints.clone().unwrap_or_default();
                let now = role_in_force(&self.guard.protection, &fingerprints);
                let (setup, word) =
                    role_offered(line.setup, now).ok_or(Refusal::NothingInCommon)?;
                self.guard.says_dtls = Some(word);
                Ok(Protection::Dtls {
                    setup,
                    fingerprints,
                })
            }
        }
    }

    /// What an answer to our last offer makes of it. Nothing is changed if it is refused.
    pub(super) fn take(&mut self, line: &Line) -> Result<(Verdict, Protection), Refusal> {
        let mut sdes = self.guard.sdes.clone();
        let keys = line
            .crypto
            .as_ref()
            .ok()
            .and_then(|lines| sdes.accept(lines));
        let theirs = line.fingerprints.clone().unwrap_or_default();
        let role = role_answered(line.setup, role_in_force(&self.guard.protection, &theirs))
            .filter(|_| !theirs.is_empty());
        let brought = Brought {
            profile: line.profile(),
            sdes: line
                .crypto
                .as_ref()
                .ok()
                .map(|lines| worth(lines, |_| keys.is_some())),
            dtls: match (&line.fingerprints, role) {
                (None, _) => Keys::Absent,
                (Some(_), Some(_)) => Keys::Usable,
                (Some(_), None) => Keys::Useless,
            },
        };
        let verdict = self.terms().judge_answer(self.guard.shape, brought)?;
        let protection = match (verdict, keys, role) {
            (Verdict::Clear(_), ..) => Protection::Clear,
            (Verdict::Sdes, Some(keys), _) => {
                self.guard.sdes = sdes;
                Protection::Sdes {
                    send: keys.send,
                    receive: keys.receive,
                }
            }
            (Verdict::Dtls, _, Some(setup)) => Protection::Dtls {
                setup,
                fingerprints: theirs,
            },
            (Verdict::Sdes, None, _) | (Verdict::Dtls, _, None) => return Err(Refusal::BadAnswer),
        };
        Ok((verdict, protection))
    }

    /// A description was accepted: this is what holds from now on.
    pub(super) fn settle(&mut self, verdict: Verdict, protection: &Protection) -> Option<WhyClear> {
        let missing = match verdict {
            Verdict::Clear(missing) => missing,
            Verdict::Sdes | Verdict::Dtls => None,
        };
        self.guard.protection.clone_from(protection);
        self.guard.settled = Settled::Agreed(missing);
        missing
    }

    /// Writes the keys that belong to our line.
    pub(super) fn describe_keys(&self, body: &mut String) {
        if self.guard.says_sdes {
            for line in self.guard.sdes.said() {
                line.write(body);
            }
        }
        if let (Some(word), Some(ours)) = (self.guard.says_dtls, &self.local.privacy.fingerprint) {
            fingerprint::write(ours, body);
            body.push_str("a=setup:");
            body.push_str(word.word());
            body.push_str("\r\n");
        }
    }
}

impl Slot {
    fn ours(&mut self) -> Option<&mut String> {
        match self {
            Self::Ours { proto } => Some(proto),
            Self::Refused { .. } => None,
        }
    }
}

fn worth(lines: &Vec<Reading>, usable: impl Fn(&Vec<Reading>) -> bool) -> Keys {
    if lines.is_empty() {
        Keys::Absent
    } else if usable(lines) {
        Keys::Usable
    } else {
        Keys::Useless
    }
}
