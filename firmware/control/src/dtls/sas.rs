//! The short authentication string of a call: both ends derive it, and two people read it to each
//! other. The same words mean the same key: no one is in between.
//!
//! ```text
//! exported key material ─┐
//! client's fingerprint ──┼─▶ SHA-256, 4096 times over ─▶ 40 bits ─▶ five words of 256   (on the panel, in status)
//! server's fingerprint ──┘                          └─▶ 40 bits ─▶ twelve digits         (the same said by a phone without a display)
//! ```
//!
//! **Why not the fingerprints alone.** They are known beforehand and last for years: somebody in
//! the middle could make certificates in advance until a pair of them gives the words of both
//! sides; against n bits that takes about 2^(n/2) certificates, a second's work for 40 bits. The
//! exported key material is new in every handshake and neither side knows it before the other has
//! spoken, so the search can only begin when the handshake has, and must be over before it is given
//! up ([`super::handshake::LONGEST`], 15 s).
//!
//! **What is left to him.** As client he may see the server's flight and then try out messages of
//! his own, each a few hashes; the 4096 rounds make each try as dear as 4096. To hit 40 bits he
//! needs about 2^40 tries, 2^52 hashes, within 15 s: 3·10^14 a second. One blind guess works once
//! in 10^12. Somebody who can copy the voices of two people and answer for both needs none of this.

use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// Rounds; about 1 ms on a slow board.
const ROUNDS: u32 = 4096;
/// Words of the string.
const COUNT: usize = 5;
/// Digits of the string.
const DIGITS: usize = 12;

/// The short authentication string of one handshake, as words and as digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sas {
    words: [u8; COUNT],
    digits: u64,
}

/// They are no secret, but belong in a log only where somebody wants them.
impl fmt::Debug for Sas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sas(..)")
    }
}

/// Five words with spaces between them.
impl fmt::Display for Sas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.words.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{}", LIST[usize::from(*word)])?;
        }
        Ok(())
    }
}

impl Sas {
    /// Of the key material a handshake exported, and the SHA-256 fingerprints of both certificates.
    pub(crate) fn derive(material: &[u8], client: &[u8; 32], server: &[u8; 32]) -> Self {
        let mut first = Sha256::new();
        // A label keeps this hash apart from every other use of the key material.
        first.update(b"offhook key words 1\0");
        first.update(client);
        first.update(server);
        first.update(material);
        let mut hash: [u8; 32] = first.finalize().into();
        for round in 0..ROUNDS {
            hash = Sha256::new()
                .chain_update(hash)
                .chain_update(round.to_be_bytes())
                .finalize()
                .into();
        }
        let mut words = [0; COUNT];
        words.copy_from_slice(&hash[..COUNT]);
        let mut number = [0; 8];
        number.copy_from_slice(&hash[8..16]);
        let digits = u64::from_be_bytes(number) % 10_u64.pow(DIGITS as u32);
        hash.zeroize();
        Self { words, digits }
    }

    /// Twelve digits in three groups, worth as much as the words: `4711 0815 1234`.
    pub fn digits(&self) -> String {
        let all = format!("{:0DIGITS$}", self.digits);
        format!("{} {} {}", &all[..4], &all[4..8], &all[8..])
    }
}

/// 256 plain words of at most four syllables, none a number, few that begin alike.
#[rustfmt::skip]
const LIST: [&str; 256] = [
    "acorn", "album", "amber", "anchor", "anvil", "apple", "apron", "arrow", "atlas", "autumn",
    "bacon", "badge", "bagel", "balcony", "bamboo", "banjo",
    "barrel", "basket", "beacon", "beetle", "bicycle", "biscuit", "blanket", "blossom", "bonfire",
    "bottle", "bracelet", "brick", "bridge", "bronze", "bucket", "butter",
    "cabin", "cactus", "camel", "candle", "canyon", "carbon", "carpet", "castle", "cellar",
    "chalk", "cherry", "chimney", "cinema", "circus", "clover", "cobra",
    "coffee", "comet", "compass", "copper", "coral", "cotton", "cradle", "crystal", "cushion",
    "cymbal", "dagger", "daisy", "dancer", "desert", "diamond", "dolphin",
    "domino", "donkey", "dragon", "drummer", "eagle", "easel", "echo", "elbow", "ember", "emerald",
    "engine", "envelope", "falcon", "feather", "fender", "ferry",
    "fiddle", "flamingo", "flannel", "flute", "forest", "fossil", "fountain", "fridge", "galaxy",
    "garden", "garlic", "gazelle", "geyser", "ginger", "giraffe", "glacier",
    "goblet", "gopher", "gospel", "granite", "grape", "guitar", "hammer", "hammock", "harbour",
    "harvest", "hazel", "helmet", "heron", "hockey", "honey", "hornet",
    "hydrant", "iceberg", "igloo", "indigo", "insect", "iris", "island", "ivory", "jacket",
    "jaguar", "jasmine", "jelly", "jigsaw", "jockey", "journal", "juniper",
    "kayak", "kernel", "kettle", "kimono", "kitten", "koala", "ladder", "lagoon", "lantern",
    "laser", "lavender", "lemon", "leopard", "lizard", "lobster", "locket",
    "lotus", "lumber", "magnet", "mango", "maple", "marble", "market", "meadow", "melon",
    "mercury", "meteor", "mirror", "mitten", "monsoon", "mosaic", "muffin",
    "muscle", "mustard", "napkin", "nectar", "needle", "nickel", "noodle", "nutmeg", "oasis",
    "ocean", "octopus", "olive", "onion", "opal", "orbit", "orchid",
    "otter", "oyster", "paddle", "palace", "panther", "parrot", "pasta", "pebble", "pelican",
    "pencil", "pepper", "piano", "pigeon", "pilot", "piston", "planet",
    "plaza", "pocket", "polar", "pony", "poppy", "powder", "pretzel", "puma", "pumpkin", "puzzle",
    "pyramid", "quartz", "quiver", "rabbit", "radar", "radish",
    "raven", "ribbon", "river", "robin", "rocket", "rubber", "ruby", "saddle", "saffron", "salmon",
    "sandal", "satin", "scarlet", "scooter", "shadow", "shovel",
    "silver", "siren", "sketch", "sparrow", "spider", "spinach", "squirrel", "stable", "summit",
    "sunset", "syrup", "tango", "teapot", "temple", "tiger", "timber",
    "toffee", "tomato", "torch", "trumpet", "tulip", "tunnel", "turban", "turtle", "umbrella",
    "urchin", "valley", "vanilla", "velvet", "violin", "volcano", "voyage",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn list_has_256_different_words() {
        let set: BTreeSet<&str> = LIST.into_iter().collect();
        assert_eq!(set.len(), 256);
        for word in LIST {
            assert!(
                (4..=9).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_lowercase()),
                "{word}"
            );
        }
        let starts: BTreeSet<&str> = LIST.into_iter().map(|word| &word[..4]).collect();
        assert!(starts.len() > 235, "{} different beginnings", starts.len());
    }

    #[test]
    fn every_input_bit_changes_the_string() {
        let material = [7; 60];
        let (client, server) = ([1; 32], [2; 32]);
        let sas = Sas::derive(&material, &client, &server);
        assert_eq!(sas, Sas::derive(&material, &client, &server));
        assert_ne!(
            sas,
            Sas::derive(&material, &server, &client),
            "who is who is part of it"
        );
        for bit in 0..8 {
            let mut other = material;
            other[59] ^= 1 << bit;
            assert_ne!(sas, Sas::derive(&other, &client, &server));
            let mut other = client;
            other[31] ^= 1 << bit;
            assert_ne!(sas, Sas::derive(&material, &other, &server));
            assert_ne!(
                sas.digits(),
                Sas::derive(&material, &client, &other).digits()
            );
        }
    }

    #[test]
    fn words_and_digits_are_spaced() {
        let sas = Sas {
            words: [0, 255, 17, 17, 128],
            digits: 815_001_234,
        };
        assert_eq!(sas.to_string(), "acorn voyage basket basket kayak");
        assert_eq!(sas.digits(), "0008 1500 1234");
        assert_eq!(format!("{sas:?}"), "Sas(..)");
    }

    #[test]
    fn whole_list_is_used() {
        let mut seen = BTreeSet::new();
        for n in 0..150_u8 {
            let sas = Sas::derive(&[n; 56], &[0; 32], &[0; 32]);
            seen.extend(sas.words);
        }
        assert!(seen.len() > 220, "{} of 256 words in 750 draws", seen.len());
    }
}
