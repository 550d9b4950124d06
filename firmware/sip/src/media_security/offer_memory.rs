//! Which encrypted offer each far end took the last time, so that the next call begins with it.
//! Only encrypted ones are remembered: a far end that answered in clear is asked for encryption
//! again.

use std::collections::VecDeque;

use super::table::OfferShape;
use crate::message::Uri;

/// Most far ends remembered; the longest unused is forgotten.
const MOST: usize = 64;

/// The memory of one agent.
#[derive(Debug, Default)]
pub(crate) struct OfferMemory(VecDeque<(Key, OfferShape)>);

/// By which account (`None`: directly), and who was called.
type Key = (Option<usize>, String);

impl OfferMemory {
    /// What this far end took the last time.
    pub(crate) fn of(&self, account: Option<usize>, target: &Uri) -> Option<OfferShape> {
        let wanted = key(account, target);
        let mut all = self.0.iter();
        all.find(|(known, _)| *known == wanted)
            .map(|(_, shape)| *shape)
    }

    /// What this far end took now; `None`: nothing that is worth remembering.
    pub(crate) fn learn(
        &mut self,
        account: Option<usize>,
        target: &Uri,
        shape: Option<OfferShape>,
    ) {
        let key = key(account, target);
        self.0.retain(|(known, _)| *known != key);
        if let Some(shape) = shape {
            self.0.push_back((key, shape));
            if self.0.len() > MOST {
                self.0.pop_front();
            }
        }
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
            memory.of(Some(0), &uri("sip:205@pbx.example:5070")),
            Some(sdes)
        );
        assert_eq!(memory.of(None, &uri("sip:205@pbx.example")), Some(dtls));
        assert_eq!(memory.of(Some(1), &uri("sip:205@pbx.example")), None);
        memory.learn(Some(0), &uri("sip:205@pbx.example"), None);
        assert_eq!(memory.of(Some(0), &uri("sip:205@pbx.example")), None);
    }

    #[test]
    fn number_of_far_ends_is_limited() {
        let mut memory = OfferMemory::default();
        let uri = |user: usize| Uri::parse(&format!("sip:{user}@x")).unwrap();
        let shape = OfferShape::secure(Keying::Sdes);
        for user in 0..100 {
            memory.learn(None, &uri(user), Some(shape));
        }
        assert_eq!(memory.of(None, &uri(0)), None);
        assert_eq!(memory.of(None, &uri(99)), Some(shape));
        assert_eq!(memory.0.len(), MOST);
    }
}
