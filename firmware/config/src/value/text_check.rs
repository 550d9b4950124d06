//! Texts with a grammar of their own: targets, sound devices and log filters.

use crate::address::{self, AddressError};
use crate::error::quote;

/// What is wrong with a text; the texts are quoted already.
#[derive(Debug, thiserror::Error)]
pub(super) enum TextError {
    #[error("{0} is not a SIP address: {1}")]
    SipUri(String, AddressError),
    #[error("{0} is neither a number nor a SIP address")]
    Target(String),
    #[error("the device is empty")]
    NoDevice,
    #[error("after `wav:` the file is missing")]
    NoWavFile,
    #[error("`null` is for playback only; a silent microphone is `silence`")]
    NullCapture,
    #[error("`silence` is for capture only; a silent playback is `null`")]
    SilencePlayback,
    #[error("{0} is not a part of the program")]
    LogTarget(String),
    #[error("{0} is not a log level")]
    LogLevel(String),
}

/// A number of the keys, or a SIP address.
pub(super) fn check_target(text: &str) -> Result<(), TextError> {
    let begins = |scheme: &str| {
        text.get(..scheme.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    };
    if begins("sip:") || begins("sips:") {
        address::sip_uri(text).map_err(|why| TextError::SipUri(quote(text), why))
    } else if address::is_number(text) && text.len() <= 32 {
        Ok(())
    } else {
        Err(TextError::Target(quote(text)))
    }
}

/// An ALSA device, or what stands in for one; `capture`: it is spoken into.
pub(super) fn check_device(text: &str, capture: bool) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::NoDevice);
    }
    if let Some(file) = text.strip_prefix("wav:") {
        return if file.is_empty() {
            Err(TextError::NoWavFile)
        } else {
            Ok(())
        };
    }
    match (text, capture) {
        ("null", true) => Err(TextError::NullCapture),
        ("silence", false) => Err(TextError::SilencePlayback),
        _other => Ok(()),
    }
}

/// A list of levels, alone or for a part of the program.
pub(super) fn check_log_filter(text: &str) -> Result<(), TextError> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    for part in text.split(',') {
        let level = match part.split_once('=') {
            Some((target, level)) => {
                if target.is_empty()
                    || !target
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
                {
                    return Err(TextError::LogTarget(quote(target)));
                }
                level
            }
            None => part,
        };
        if !LEVELS.contains(&level) {
            return Err(TextError::LogLevel(quote(level)));
        }
    }
    Ok(())
}
