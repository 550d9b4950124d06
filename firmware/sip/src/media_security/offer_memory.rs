//! Which offer each far end took the last time, so that the next call begins with it. One in clear
//! is begun with only where no other is made: elsewhere a far end that answered in clear is asked
//! for encryption again.
//!
//! A far end that was never called begins with what the account's last call agreed on: behind an
//! exchange that stands between all calls they are alike, and some of those refuse an offer only
//! when it is answered, after the far end was rung.

use std::collections::VecDeque;

use super::table::OfferShape;
use crate::message::Uri;

/// Most far ends remembered; the longest unused is forgotten.
const MOST: usize = 64;

/// The memory of one agent.
#[derive(Debug, Default)]
pub(crate) struct OfferMemory {
    far_ends: VecDeque<(Key, OfferShape)>,
    /// Of the last call of each account, where there is something to remember.
    accounts: Vec<(usize, OfferShape)>,
}

/// By which account (`None`: directly), and who was called.
type Key = (Option<usize>, String);

/// An offer to begin a call with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstOffer {
    /// The far end took it the last time.
    Known(OfferShape),
    /// The account's last call agreed on it: nothing is known of this far end.
    Guessed(OfferShape),
}

impl FirstOffer {
    /// The offer.
    pub(crate) fn shape(self) -> OfferShape {
        match self {
            Self::Known(shape) | Self::Guessed(shape) => shape,
        }
    }
}

impl OfferMemory {
    /// What this far end took the last time, or else the last one of this account. An emergency
    /// call makes no guess: its number is hardly ever called, and leads to another gateway.
    pub(crate) fn of(
        &self,
        account: Option<usize>,
        target: &Uri,
        is_emergency: bool,
    ) -> Option<FirstOffer> {
        let wanted = key(account, target);
        let mut far_ends = self.far_ends.iter();
        if let Some((_, shape)) = far_ends.find(|(known, _)| *known == wanted) {
            return Some(FirstOffer::Known(*shape));
        }
        let mut accounts = self.accounts.iter().filter(|_| !is_emergency);
        let (_, shape) = accounts.find(|(known, _)| Some(*known) == account)?;
        Some(FirstOffer::Guessed(*shape))
    }

    /// What this far end took now; `None`: nothing that is worth remembering.
    pub(crate) fn learn(
        &mut self,
        account: Option<usize>,
        target: &Uri,
        shape: Option<OfferShape>,
    ) {
        let key = key(account, target);
        self.far_ends.retain(|(known, _)| *known != key);
        if let Some(shape) = shape {
            self.far_ends.push_back((key, shape));
            if self.far_ends.len() > MOST {
                self.far_ends.pop_front();
            }
        }
        self.learn_of_account(account, shape);
    }

    /// What a call of this account agreed on, whoever was the far end. Calls without an account
    /// have nothing between them.
    pub(crate) fn learn_of_account(&mut self, account: Option<usize>, shape: Option<OfferShape>) {
        let Some(account) = account else { return };
        self.accounts.retain(|(known, _)| *known != account);
        self.accounts.extend(shape.map(|shape| (account, shape)));
    }
}

fn key(account: Option<usize>, target: &Uri) -> Key {
    let who = match target.as_sip() {
        Some(uri) => format!("{}@{}", uri.user().unwrap_or_default(), uri.host()),
        None => target.to_string(),
    };
    (account, who.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use types::Keying;

    use super::*;

    #[test]
    fn each_far_end_is_remembered_by_account() {
        let mut memory = OfferMemory::default();
        let uri = |text: &str| Uri::parse(text).unwrap();
        let (sdes, dtls) = (
            OfferShape::secure(Keying::Sdes),
            OfferShape::secure(Keying::Dtls),
        );
        memory.learn(Some(0), &uri("sip:205@PBX.example;user=phone"), Some(sdes));
        memory.learn(None, &uri("sip:205@pbx.example"), Some(dtls));
        assert_eq!(
            memory.of(Some(0), &uri("sip:205@pbx.example:5070"), false),
            Some(FirstOffer::Known(sdes))
        );
        assert_eq!(
            memory.of(None, &uri("sip:205@pbx.example"), false),
            Some(FirstOffer::Known(dtls))
        );
        assert_eq!(memory.of(None, &uri("sip:206@pbx.example"), false), None);
        assert_eq!(memory.of(Some(1), &uri("sip:205@pbx.example"), false), None);
        memory.learn(Some(0), &uri("sip:205@pbx.example"), None);
        assert_eq!(memory.of(Some(0), &uri("sip:205@pbx.example"), false), None);
    }

    #[test]
    fn who_was_never_called_begins_like_the_account() {
        let mut memory = OfferMemory::default();
        let uri = |text: &str| Uri::parse(text).unwrap();
        let (sdes, dtls) = (
            OfferShape::secure(Keying::Sdes),
            OfferShape::secure(Keying::Dtls),
        );
        let (known, new) = (uri("sip:205@pbx.example"), uri("sip:206@pbx.example"));
        memory.learn(Some(0), &known, Some(sdes));
        assert_eq!(
            memory.of(Some(0), &new, false),
            Some(FirstOffer::Guessed(sdes))
        );
        assert_eq!(memory.of(Some(1), &new, false), None, "another account");
        assert_eq!(memory.of(None, &new, false), None, "no account");
        assert_eq!(memory.of(Some(0), &new, true), None, "an emergency call");
        let sure = Some(FirstOffer::Known(sdes));
        assert_eq!(memory.of(Some(0), &known, true), sure);
        // A call that came in says it, too; who is known stays as it is.
        memory.learn_of_account(Some(0), Some(dtls));
        assert_eq!(
            memory.of(Some(0), &new, false),
            Some(FirstOffer::Guessed(dtls))
        );
        assert_eq!(
            memory.of(Some(0), &known, false),
            Some(FirstOffer::Known(sdes))
        );
        // The last one took the usual order.
        memory.learn(Some(0), &uri("sip:207@pbx.example"), None);
        assert_eq!(memory.of(Some(0), &new, false), None);
        assert_eq!(
            memory.of(Some(0), &known, false),
            Some(FirstOffer::Known(sdes))
        );
    }

    #[test]
    fn number_of_far_ends_is_limited() {
        let mut memory = OfferMemory::default();
        let uri = |user: usize| Uri::parse(&format!("sip:{user}@x")).unwrap();
        let shape = OfferShape::secure(Keying::Sdes);
        for user in 0..100 {
            memory.learn(None, &uri(user), Some(shape));
        }
        assert_eq!(memory.of(None, &uri(0), false), None);
        assert_eq!(
            memory.of(None, &uri(99), false),
            Some(FirstOffer::Known(shape))
        );
        assert_eq!(memory.far_ends.len(), MOST);
    }
}
