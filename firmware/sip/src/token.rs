//! Names that cannot be guessed: tags, branches, Call-IDs, contact users. All drawn from the one
//! seed the owner gave, so that a simulation repeats itself.

use std::time::Duration;

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// The source of randomness of one agent.
pub(crate) struct Tokens(ChaCha12Rng);

impl Tokens {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }

    /// Bytes for a key.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// A word of `length` characters, five bits each.
    pub(crate) fn word(&mut self, length: usize) -> String {
        let mut bytes = vec![0_u8; length];
        self.0.fill_bytes(&mut bytes);
        bytes
            .iter()
            .map(|b| char::from(ALPHABET[usize::from(b & 31)]))
            .collect()
    }

    /// A tag: 80 bits (RFC 3261 section 19.3 wants at least 32).
    pub(crate) fn tag(&mut self) -> String {
        self.word(16)
    }

    /// A branch with the magic cookie.
    pub(crate) fn branch(&mut self) -> String {
        format!("z9hG4bK{}", self.word(20))
    }

    /// A number for `o=`: 31 bits, since some readers use signed integers.
    pub(crate) fn session_id(&mut self) -> u64 {
        u64::from(self.0.next_u32() >> 1)
    }

    /// A duration between two, both included, in whole milliseconds.
    pub(crate) fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let span = high.saturating_sub(low).as_millis() as u64 + 1;
        low + Duration::from_millis(self.0.next_u64() % span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_repeat_with_the_seed() {
        let mut one = Tokens::new([7; 32]);
        let mut two = Tokens::new([7; 32]);
        let first = one.tag();
        assert_eq!(first, two.tag());
        assert_ne!(first, one.tag());
        assert_eq!(first.len(), 16);
        for _ in 0..1000 {
            let d = one.between(Duration::from_millis(2100), Duration::from_secs(4));
            assert!((2100..=4000).contains(&d.as_millis()));
        }
    }
}
