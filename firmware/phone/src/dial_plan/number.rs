//! A number in the forms in which it may be written and dialled, so that bars find each.

use config::country::{international_prefix, trunk_prefix};
use types::Country;

/// The number in the user part of an address or in what somebody wrote: without escapes, parameters
/// and visual separators (RFC 3966 section 5.1.1).
pub(super) fn plain(number: &str) -> String {
    let number = number.trim();
    let scheme = |scheme: &str| {
        let begins = number.get(..scheme.len())?.eq_ignore_ascii_case(scheme);
        begins.then(|| &number[scheme.len()..])
    };
    let bare = ["sip:", "sips:", "tel:"].into_iter().find_map(scheme);
    let number = bare.unwrap_or(number);
    let user = number.split('@').next().unwrap_or(number);
    let user = user.split([';', ':']).next().unwrap_or(user);
    let bytes = user.as_bytes();
    let (mut plain, mut at) = (String::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let hex = |at: usize| user.get(at + 1..at + 3);
        let escaped = hex(at).filter(|_| *byte == b'%');
        if let Some(decoded) = escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            plain.push(char::from(decoded));
            at += 3;
        } else {
            plain.push(char::from(*byte));
            at += 1;
        }
    }
    plain.retain(|c| !matches!(c, '-' | '.' | '(' | ')' | ' '));
    plain
}

/// Digits of a national number without a trunk prefix, at least; what is shorter is an extension.
const NATIONAL: usize = 8;

/// The number as it is, and in every way in which it could be dialled in this country: national,
/// international, with another country's habits.
pub(super) fn ways_to_dial(plain: &str, country: Country) -> Vec<String> {
    let own = country.calling_code();
    let (trunk, exit) = (trunk_prefix(country), international_prefix(country));
    let national = |rest: &str| format!("{own}{rest}");
    let has_trunk = !trunk.is_empty() && plain.starts_with(trunk);
    let international = if let Some(rest) = plain.strip_prefix('+') {
        Some(rest.to_owned())
    } else if let Some(rest) = plain.strip_prefix(exit) {
        Some(rest.to_owned())
    } else if has_trunk {
        plain.strip_prefix(trunk).map(national)
    } else if (trunk.is_empty() || country == Country::Us) && plain.len() >= NATIONAL {
        Some(national(plain))
    } else {
        None
    };
    let mut ways = vec![plain.to_owned()];
    if let Some(digits) = international {
        if let Some(rest) = digits.strip_prefix(own) {
            ways.push(format!("{trunk}{rest}"));
        }
        ways.extend(["+", "00", "011", exit].map(|prefix| format!("{prefix}{digits}")));
        ways.push(digits);
    }
    ways
}
