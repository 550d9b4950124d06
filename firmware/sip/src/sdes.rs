//! Keys in session descriptions (RFC 4568, suites also of RFC 6188 and 7714): what an `a=crypto`
//! line says, which one is taken, and when a key is a new one.
//!
//! ```text
//!                  offer ─▶ a=crypto:1 …, a=crypto:2 … ─▶ far end ─▶ a=crypto:2 … ─▶ accept ─▶ Keys { send, receive }
//! far end's lines ─▶ read ─▶ choose ─▶ answer ─▶ a=crypto:TAG … (our own key) ─▶ Keys { send, receive }
//! ```
//!
//! An [`Exchange`] is one leg's memory: a description that changes nothing repeats the key in force
//! (a session refresh must not restart the cipher), everything else gets a key that was never used.
//! Keys are wiped when dropped and never shown.

mod crypto_line;
#[cfg(test)]
mod tests;

pub(crate) use crypto_line::{Crypto, CryptoLineError, Reading, read_all};

use types::SrtpSuite;
use zeroize::Zeroizing;

use crate::token::Tokens;

/// A master key and salt as one `a=crypto` line carries them.
#[derive(Clone, PartialEq, Eq)]
pub struct SdesKey {
    suite: SrtpSuite,
    /// Key, then salt.
    secret: Zeroizing<Vec<u8>>,
    mki: Vec<u8>,
    lifetime: Option<u64>,
}

impl SdesKey {
    /// A key; `None` where its length is not the suite's.
    pub fn new(suite: SrtpSuite, secret: &[u8], mki: &[u8], lifetime: Option<u64>) -> Option<Self> {
        (secret.len() == suite.key_len() + suite.salt_len()).then(|| Self {
            suite,
            secret: Zeroizing::new(secret.to_vec()),
            mki: mki.to_vec(),
            lifetime,
        })
    }

    /// What it is for.
    pub fn suite(&self) -> SrtpSuite {
        self.suite
    }

    /// The master key.
    pub fn key(&self) -> &[u8] {
        &self.secret[..self.suite.key_len()]
    }

    /// The master salt.
    pub fn salt(&self) -> &[u8] {
        &self.secret[self.suite.key_len()..]
    }

    /// Master key identifier put on every packet; empty: none.
    pub fn mki(&self) -> &[u8] {
        &self.mki
    }

    /// Packets it may protect, where that is said: the far end must bring a new key before.
    pub fn lifetime(&self) -> Option<u64> {
        self.lifetime
    }

    /// A key that were never shown before.
    fn fresh(suite: SrtpSuite, tokens: &mut Tokens) -> Self {
        let mut secret = Zeroizing::new(vec![0; suite.key_len() + suite.salt_len()]);
        tokens.fill(&mut secret);
        Self {
            suite,
            secret,
            mki: Vec::new(),
            lifetime: None,
        }
    }
}

impl std::fmt::Debug for SdesKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SdesKey({:?})", self.suite)
    }
}

/// The two keys of a leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) send: SdesKey,
    pub(crate) receive: SdesKey,
}

/// One leg's lines and keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exchange {
    /// Our lines of the last description.
    said: Vec<Crypto>,
    /// What is in force.
    agreed: Option<Keys>,
}

impl Exchange {
    /// The lines of an offer of these suites, best first; `fresh`: nothing of before is repeated.
    pub(crate) fn offer(
        &mut self,
        acceptable: &[SrtpSuite],
        fresh: bool,
        tokens: &mut Tokens,
    ) -> &[Crypto] {
        let mut old = if fresh {
            Vec::new()
        } else {
            std::mem::take(&mut self.said)
        };
        if let (Some(keys), false) = (&self.agreed, fresh) {
            // The key in force goes first, whoever keying it up.
            old.retain(|line| line.key.suite() != keys.send.suite());
            old.insert(0, Crypto::new(0, keys.send.clone()));
        }
        let in_force = self
            .agreed
            .as_ref()
            .filter(|_| !fresh)
            .map(|keys| keys.send.suite());
        let others = acceptable
            .iter()
            .copied()
            .filter(|suite| Some(*suite) != in_force);
        self.said = in_force
            .into_iter()
            .chain(others)
            .zip(1..)
            .map(|(suite, tag)| {
                let known = old
                    .iter()
                    .find(|line| line.key.suite() == suite)
                    .map(|line| line.key.clone());
                Crypto::new(tag, known.unwrap_or_else(|| SdesKey::fresh(suite, tokens)))
            })
            .collect();
        &self.said
    }

    /// The line of an offer this phone takes: the best of its own list of suites. `None`: not one.
    pub(crate) fn choose<'a>(
        acceptable: &[SrtpSuite],
        offered: &'a [Reading],
    ) -> Option<&'a Crypto> {
        let usable = || offered.iter().filter_map(Reading::usable);
        acceptable
            .iter()
            .find_map(|suite| usable().find(|line| line.key.suite() == *suite))
    }

    /// Our answer to a line of theirs.
    pub(crate) fn answer(&mut self, theirs: &Crypto, tokens: &mut Tokens) -> Keys {
        let same = self
            .agreed
            .as_ref()
            .filter(|keys| keys.receive == theirs.key);
        let send = match same {
            Some(keys) => keys.send.clone(),
            None => SdesKey::fresh(theirs.key.suite(), tokens),
        };
        let keys = Keys {
            send: send.clone(),
            receive: theirs.key.clone(),
        };
        self.said = vec![Crypto {
            tag: theirs.tag,
            name: theirs.name.clone(),
            key: send,
        }];
        self.agreed = Some(keys.clone());
        keys
    }

    /// The line to write into an answer.
    pub(crate) fn offered_lines(&self) -> &[Crypto] {
        &self.said
    }

    /// Reads their answer to our last offer: exactly one line, with a tag of ours and the suite
    /// that goes with it (section 5.1.3).
    pub(crate) fn accept(&mut self, answered: &[Reading]) -> Option<Keys> {
        let [Reading::Usable(line)] = answered else {
            return None;
        };
        let ours = self.said.iter().find(|ours| ours.tag == line.tag)?;
        // A key of ours that comes back is no key of theirs: both directions under one key undo the
        // cipher.
        let echoed = self
            .said
            .iter()
            .any(|ours| ours.key.secret == line.key.secret);
        if ours.key.suite() != line.key.suite() || echoed {
            return None;
        }
        let keys = Keys {
            send: ours.key.clone(),
            receive: line.key.clone(),
        };
        self.agreed = Some(keys.clone());
        Some(keys)
    }
}
