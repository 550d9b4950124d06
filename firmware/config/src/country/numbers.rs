//! The numbers of a country: how long they are, and the service codes of its networks.
//!
//! ```text
//! Country ─▶ FIXED (prefix, digits in all) ─▶ digit_map      a number of known length goes out with its last digit
//!         └▶ has_service_codes ─────────────▶ service_codes  `*31#…`, `#21#`, `*21*…#`, `*#06#`: whole, `#` included
//! ```
//!
//! Only lengths that the national numbering plan fixes are here; every other number, and a shorter
//! one of the same prefix (an extension of a PBX), is sent by the digit timer or `#`.

use std::collections::BTreeMap;
use std::fmt::Write;

use types::Country;

/// Prefixes of at most two symbols whose numbers all have this many digits, as they are dialled
/// inside the country.
pub(super) const fn fixed(country: Country) -> &'static [(&'static str, u8)] {
    match country {
        Country::Us => &[("1[2-9]", 11), ("[2-9]", 10)],
        Country::Au => &[("0[23478]", 10)],
        Country::Be => &[("04", 10)],
        Country::Ch => &[("0[2-7]", 10)],
        Country::Cl => &[("[2-9]", 9)],
        Country::Cn => &[("1[3-9]", 11)],
        Country::Dk | Country::Sg => &[("[3689]", 8)],
        Country::Es => &[("[6789]", 9)],
        Country::Fr => &[("0[1-9]", 10)],
        Country::Gr => &[("[26]", 10)],
        Country::Il => &[("05", 10), ("0[23489]", 9)],
        Country::In => &[("[6-9]", 10)],
        Country::Jp => &[("0[5789]", 11), ("0[346]", 10)],
        Country::Mx => &[("[2-9]", 10)],
        Country::Nl => &[("0[1-7]", 10)],
        Country::No => &[("[2-79]", 8)],
        Country::Ph => &[("09", 11)],
        Country::Cz | Country::Pl => &[("[2-7]", 9)],
        Country::Pt => &[("[29]", 9)],
        Country::Ru => &[("8[3-9]", 11)],
        Country::Th => &[("0[689]", 10), ("0[2-57]", 9)],
        Country::Tw => &[("09", 10)],
        Country::Uk => &[("0[237]", 11)],
        Country::Ve => &[("0[24]", 11)],
        Country::Za => &[("0[1-8]", 10)],
        // Lengths differ within every prefix.
        Country::At
        | Country::Bg
        | Country::Br
        | Country::De
        | Country::Ee
        | Country::Fi
        | Country::Hu
        | Country::Id
        | Country::It
        | Country::Lt
        | Country::My
        | Country::Nz
        | Country::Se => &[],
    }
}

/// Whether the country's networks have service codes that end in `#` (ETSI ETS 300 738, 3GPP TS
/// 22.030). North America's (`*67`) and Japan's (`184`) do not.
pub(super) const fn has_service_codes(country: Country) -> bool {
    !matches!(country, Country::Us | Country::Jp)
}

/// Prefixes after which a number follows whose caller identity is shown or withheld: those of ETSI,
/// and what the country's networks had before or have besides.
pub(super) const fn identity_codes(country: Country) -> &'static [&'static str] {
    match country {
        // The second form of each is for dials without a star.
        Country::Us => &["*67", "*82", "1167", "1182"],
        Country::Jp => &["184", "186"],
        Country::Au => &["*31#", "#31#", "1831", "1832"],
        Country::Dk | Country::Nl | Country::No => &["*31#", "#31#", "*31*"],
        Country::Es => &["*31#", "#31#", "067"],
        Country::Fr => &["*31#", "#31#", "3651"],
        Country::It => &["*31#", "#31#", "*67#"],
        Country::Nz => &["*31#", "#31#", "0197", "0196"],
        Country::Uk => &["*31#", "#31#", "141", "1470"],
        _ if has_service_codes(country) => &["*31#", "#31#"],
        _ => &[],
    }
}

/// The numbers of a country, as a digit map.
pub(super) fn digit_map(country: Country) -> String {
    let mut map = String::new();
    // First digits that are treated alike share their patterns.
    let mut alike: BTreeMap<Row, String> = BTreeMap::new();
    for first in '0'..='9' {
        let row = ('0'..='9').map(|second| length_of(country, first, second));
        alike.entry(row.collect()).or_default().push(first);
    }
    for (row, first) in alike {
        let mut by_length: BTreeMap<Option<u8>, String> = BTreeMap::new();
        for (second, length) in ('0'..='9').zip(row) {
            by_length.entry(length).or_default().push(second);
        }
        // The first digit alone.
        let _ = write!(map, "{}T|", class(&first));
        for (length, second) in by_length {
            let prefix = format!("{}{}", class(&first), class(&second));
            match length {
                None => {
                    let _ = write!(map, "{prefix}x.T|");
                }
                Some(length) => {
                    for digits in 2..=length {
                        let rest = "x".repeat(usize::from(digits) - 2);
                        let timer = if digits < length { "T" } else { "" };
                        let _ = write!(map, "{prefix}{rest}{timer}|");
                    }
                }
            }
        }
    }
    map.push_str("*[x*].T");
    map
}

/// The lengths after one first digit, by the second.
type Row = Vec<Option<u8>>;

/// How many digits a number that begins like this has, where that is fixed.
fn length_of(country: Country, first: char, second: char) -> Option<u8> {
    let fixed = fixed(country).iter();
    let mut found = fixed.filter(|(prefix, _)| {
        let mut classes = classes(prefix);
        let starts = |class: Option<String>, digit| class.is_none_or(|keys| keys.contains(digit));
        starts(classes.next(), first) && starts(classes.next(), second)
    });
    found.next().map(|(_, length)| *length)
}

/// The symbols of a prefix, each as all its digits.
fn classes(prefix: &str) -> impl Iterator<Item = String> + '_ {
    let mut symbols = prefix.chars();
    std::iter::from_fn(move || match symbols.next()? {
        '[' => {
            let inside: Vec<char> = symbols.by_ref().take_while(|c| *c != ']').collect();
            let digits = ('0'..='9').filter(|digit| {
                let range = |w: &[char]| w[1] == '-' && (w[0]..=w[2]).contains(digit);
                inside.contains(digit) || inside.windows(3).any(range)
            });
            Some(digits.collect())
        }
        digit => Some(digit.to_string()),
    })
}

/// Some digits as one symbol of a digit map.
fn class(digits: &str) -> String {
    match digits.len() {
        1 => digits.to_owned(),
        10 => "x".to_owned(),
        _ => format!("[{digits}]"),
    }
}

/// The service codes of a country's networks, as a digit map; `None`: it has none that end in `#`.
pub(super) fn service_codes(country: Country) -> Option<String> {
    if !has_service_codes(country) {
        return None;
    }
    let mut map = String::from("*#06#");
    // Activate, deactivate, ask, register, erase; then the service, and what it needs. 03 is the
    // change of the password for barring (3GPP TS 22.030 section 6.5.4).
    for operation in ["*", "#", "*#", "**", "##"] {
        for service in ["[2-7]x", "1xx", "3[03-6]x", "00x", "03"] {
            let _ = write!(map, "|{operation}{service}#|{operation}{service}*[x*].#");
        }
    }
    // For one call: the number follows.
    for code in identity_codes(country) {
        let _ = write!(map, "|{code}x.T");
    }
    Some(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_has_valid_digit_maps() {
        for country in Country::ALL {
            let map = digit_map(*country);
            assert!(crate::digit_map::parse(&map).is_ok(), "{country:?}: {map}");
            if let Some(map) = service_codes(*country) {
                assert!(crate::digit_map::parse(&map).is_ok(), "{country:?}: {map}");
            }
        }
    }

    #[test]
    fn a_prefix_is_read_symbol_by_symbol() {
        let read: Vec<String> = classes("1[2-4].").take(2).collect();
        assert_eq!(read, ["1", "234"]);
        assert_eq!(length_of(Country::Us, '1', '2'), Some(11));
        assert_eq!(length_of(Country::Us, '1', '1'), None);
        assert_eq!(length_of(Country::Us, '5', '0'), Some(10));
        assert_eq!(length_of(Country::De, '0', '3'), None);
    }
}
