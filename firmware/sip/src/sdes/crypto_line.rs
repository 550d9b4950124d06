//! One `a=crypto` line: tag, suite, key and what goes with it, by the letter of RFC 4568 section 9.
//!
//! ```text
//! "1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^31|1:4 WSH=128" ─▶ read ─┬▶ Usable(Crypto)
//!                                                                  ├▶ Unsupported: well written, not for us (section 5.1.2: passed over)
//!                                                                  └▶ CryptoLineError: not RFC 4568 at all (the offer is refused)
//! ```

use std::fmt::Write as _;

use base64ct::{Base64Unpadded, Encoding};
use types::SrtpSuite;
use zeroize::Zeroizing;

use super::SdesKey;

/// Most lines read in one m-line.
const MAX_LINES: usize = 32;
/// Longest line read; a real one has about a hundred bytes.
const MAX_LENGTH: usize = 1024;
/// Longest master key identifier, in bytes (section 9.2).
const MAX_MKI: usize = 128;
/// Fewest packets a key must be good for: three hours at 20 ms. Whoever wants a new key more often
/// can say so by re-INVITE only after its own clock, and a call must not stop for that.
const MIN_LIFETIME: u64 = 1 << 19;
/// Most packets one key may protect (RFC 3711 section 9.2).
const MAX_LIFETIME: u64 = 1 << 48;

/// A line that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Crypto {
    /// Its number in the offer; the answer repeats it.
    pub(crate) tag: u32,
    /// The suite as it is written: the answer repeats that, too.
    pub(crate) name: String,
    pub(crate) key: SdesKey,
}

/// What a well written line is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It can be used.
    Usable(Crypto),
    /// It asks for something this phone does not do; another line may do.
    Unsupported(Unsupported),
}

/// Why a well written line is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsupported {
    #[error("an unknown suite")]
    Suite,
    #[error("a key method other than inline")]
    Method,
    #[error("several keys")]
    SeveralKeys,
    #[error("a key that does not last")]
    Lifetime,
    #[error("a key derivation rate")]
    Rate,
    #[error("a stream that is not encrypted or not authenticated")]
    Unprotected,
    #[error("a key for forward error correction")]
    FecKey,
    #[error("an unknown session parameter")]
    Parameter,
}

/// Why a line is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CryptoLineError {
    #[error("more than {MAX_LINES} a=crypto lines, or one longer than {MAX_LENGTH} bytes")]
    TooMuch,
    #[error("an a=crypto line whose tag is not a number of 1 to 9 digits without leading zeros")]
    Tag,
    #[error("two a=crypto lines with the same tag")]
    SameTag,
    #[error("an a=crypto line without suite or key")]
    Short,
    #[error("an a=crypto line whose key is not base64 of the suite's length")]
    Key,
    #[error("an a=crypto line whose lifetime cannot be read")]
    Lifetime,
    #[error("an a=crypto line whose master key identifier cannot be read")]
    Mki,
    #[error("an a=crypto line whose session parameters cannot be read")]
    Parameter,
}

impl Reading {
    /// The line, if it can be used.
    pub(crate) fn usable(&self) -> Option<&Crypto> {
        match self {
            Self::Usable(line) => Some(line),
            Self::Unsupported(_) => None,
        }
    }
}

impl Crypto {
    /// A line of ours.
    pub(crate) fn new(tag: u32, key: SdesKey) -> Self {
        let name = key.suite().as_str().to_owned();
        Self { tag, name, key }
    }

    /// Writes it as an attribute, line end included.
    pub(crate) fn write(&self, body: &mut String) {
        let mut base64 = [0_u8; 64];
        let text = base64ct::Base64::encode(&self.key.secret, &mut base64).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = write!(
            body,
            "a=crypto:{} {} inline:{text}\r\n",
            self.tag, self.name
        );
        zeroize::Zeroize::zeroize(&mut base64);
    }
}

/// Reads all values of `a=crypto` of one m-line.
pub(crate) fn read_all<'a>(
    values: impl Iterator<Item = &'a str>,
) -> Result<Vec<Reading>, CryptoLineError> {
    let mut lines = Vec::new();
    let mut tags = Vec::new();
    for value in values {
        if lines.len() == MAX_LINES {
            return Err(CryptoLineError::TooMuch);
        }
        let (tag, reading) = read(value)?;
        if tags.contains(&tag) {
            return Err(CryptoLineError::SameTag);
        }
        tags.push(tag);
        lines.push(reading);
    }
    Ok(lines)
}

/// Reads the value of one attribute.
pub(super) fn read(value: &str) -> Result<(u32, Reading), CryptoLineError> {
    if value.len() > MAX_LENGTH {
        return Err(CryptoLineError::TooMuch);
    }
    let mut words = value.split_ascii_whitespace();
    let tag = tag(words.next().ok_or(CryptoLineError::Tag)?)?;
    let (Some(name), Some(keys)) = (words.next(), words.next()) else {
        return Err(CryptoLineError::Short);
    };
    let suite = SrtpSuite::from_name(name);
    let mut unsupported = suite.is_none().then_some(Unsupported::Suite);
    // What is written must be readable even where it is not used: no one knows what else a broken
    // line broke.
    for word in words {
        unsupported = unsupported.or(parameter(word)?);
    }
    let mut keys = keys.split(';');
    let (Some(key), more) = (keys.next(), keys.next().is_some()) else {
        return Err(CryptoLineError::Short);
    };
    let (method, info) = key.split_once(':').ok_or(CryptoLineError::Short)?;
    if info.is_empty() {
        return Err(CryptoLineError::Short);
    }
    if !method.eq_ignore_ascii_case("inline") {
        return Ok((
            tag,
            Reading::Unsupported(unsupported.unwrap_or(Unsupported::Method)),
        ));
    }
    let Some(suite) = suite else {
        return Ok((tag, Reading::Unsupported(Unsupported::Suite)));
    };
    let key = inline(suite, info)?;
    if more {
        unsupported = unsupported.or(Some(Unsupported::SeveralKeys));
    }
    let reading = match (unsupported, key) {
        (Some(unsupported), _) | (None, Err(unsupported)) => Reading::Unsupported(unsupported),
        (None, Ok(key)) => Reading::Usable(Crypto {
            tag,
            name: name.to_owned(),
            key,
        }),
    };
    Ok((tag, reading))
}

/// 1 to 9 digits; leading zeros are forbidden (section 4.1).
fn tag(word: &str) -> Result<u32, CryptoLineError> {
    let digits = !word.is_empty() && word.len() <= 9 && word.bytes().all(|b| b.is_ascii_digit());
    if !digits || (word.len() > 1 && word.starts_with('0')) {
        return Err(CryptoLineError::Tag);
    }
    word.parse().map_err(|_| CryptoLineError::Tag)
}

/// `key||salt["|"lifetime]["|"MKI":"length]`
fn inline(suite: SrtpSuite, info: &str) -> Result<Result<SdesKey, Unsupported>, CryptoLineError> {
    let mut parts = info.split('|');
    let text = parts.next().unwrap_or_default();
    let wanted = suite.key_len() + suite.salt_len();
    let padding = text.len() - text.trim_end_matches('=').len();
    let mut buffer = Zeroizing::new([0_u8; 64]);
    let secret = Base64Unpadded::decode(text.trim_end_matches('='), buffer.as_mut())
        .map_err(|_| CryptoLineError::Key)?;
    // Padding may be left out, but what is there must fit.
    if secret.len() != wanted || (padding != 0 && padding != (3 - wanted % 3) % 3) {
        return Err(CryptoLineError::Key);
    }
    let (mut lifetime, mut mki) = (None, None);
    for part in parts {
        match part.split_once(':') {
            Some((number, length)) if mki.is_none() => mki = Some(identifier(number, length)?),
            None if lifetime.is_none() && mki.is_none() => lifetime = Some(packets(part)?),
            Some(_) => return Err(CryptoLineError::Mki),
            None => return Err(CryptoLineError::Lifetime),
        }
    }
    if lifetime.is_some_and(|packets| !(MIN_LIFETIME..=MAX_LIFETIME).contains(&packets)) {
        return Ok(Err(Unsupported::Lifetime));
    }
    SdesKey::new(suite, secret, &mki.unwrap_or_default(), lifetime)
        .ok_or(CryptoLineError::Key)
        .map(Ok)
}

/// `2^20` or `1048576`; zero is none.
fn packets(part: &str) -> Result<u64, CryptoLineError> {
    let number = |text: &str| -> Result<u64, CryptoLineError> {
        let fits = !text.is_empty() && text.len() <= 19 && text.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| text.parse().ok())
            .flatten()
            .ok_or(CryptoLineError::Lifetime)
    };
    let packets = match part.strip_prefix("2^") {
        Some(power) => 1_u64
            .checked_shl(u32::try_from(number(power)?).unwrap_or(u32::MAX))
            .unwrap_or(u64::MAX),
        None => number(part)?,
    };
    if packets == 0 {
        Err(CryptoLineError::Lifetime)
    } else {
        Ok(packets)
    }
}

/// The number of a master key in as many bytes as packets carry it (section 6.1): 1 to 128 of them,
/// and it must fit.
fn identifier(number: &str, length: &str) -> Result<Vec<u8>, CryptoLineError> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(number) || !digits(length) || length.len() > 3 {
        return Err(CryptoLineError::Mki);
    }
    let length: usize = length.parse().map_err(|_| CryptoLineError::Mki)?;
    let value: u128 = number.parse().map_err(|_| CryptoLineError::Mki)?;
    let bytes = value.to_be_bytes();
    let (high, low) = bytes.split_at(bytes.len().saturating_sub(length));
    if !(1..=MAX_MKI).contains(&length) || high.iter().any(|byte| *byte != 0) {
        return Err(CryptoLineError::Mki);
    }
    let mut mki = vec![0; length - low.len()];
    mki.extend_from_slice(low);
    Ok(mki)
}

/// A session parameter (section 6.3): harmless, or a reason to pass the line over.
fn parameter(word: &str) -> Result<Option<Unsupported>, CryptoLineError> {
    let (word, optional) = match word.strip_prefix('-') {
        Some(rest) => (rest, true),
        None => (word, false),
    };
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    };
    let number = |text: Option<&str>| -> Result<u64, CryptoLineError> {
        let text = text
            .filter(|t| t.len() <= 10 && !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit()));
        text.and_then(|t| t.parse().ok())
            .ok_or(CryptoLineError::Parameter)
    };
    let known = match name.to_ascii_uppercase().as_str() {
        // A rate of 2^n packets; ours is 0: the session keys are derived once (RFC 3711 section
        // 4.3.1).
        "KDR" => match number(value)? {
            0..=24 => Some(Some(Unsupported::Rate)),
            _ => return Err(CryptoLineError::Parameter),
        },
        // At least 64 (section 6.3.6); ours is no smaller than any peer needs and a hint binds
        // no one.
        "WSH" => match number(value)? {
            64.. => Some(None),
            _ => return Err(CryptoLineError::Parameter),
        },
        "UNENCRYPTED_SRTP" | "UNENCRYPTED_SRTCP" | "UNAUTHENTICATED_SRTP" => {
            Some(Some(Unsupported::Unprotected))
        }
        // No forward error correction is ever agreed here: its order says nothing, a key for it is
        // one that are never used.
        "FEC_ORDER" => match value {
            Some("FEC_SRTP" | "SRTP_FEC") => Some(None),
            Some(_) | None => return Err(CryptoLineError::Parameter),
        },
        "FEC_KEY" => match value {
            Some(value) if !value.is_empty() => Some(Some(Unsupported::FecKey)),
            Some(_) | None => return Err(CryptoLineError::Parameter),
        },
        _ => None,
    };
    Ok(match known {
        Some(unsupported) => unsupported,
        // Marked with `-` it may be ignored (section 6.3.7), else not.
        None if optional => None,
        None => Some(Unsupported::Parameter),
    })
}
