//! Matching keyed digits against a digit map (RFC 3435 section 2.1.5; the grammar is
//! [`config::digit_map`]).
//!
//! ```text
//! "0301" + DigitMap ─▶ walk every pattern at once ─┬─▶ Partial          keep collecting, long timer
//!                      (a set of positions a pattern, ├─▶ CouldBeLonger    number + timer that completes it
//!                       one step a key)            ├─▶ Complete         number, dial at once
//!                                                  ├─▶ Barred
//!                                                  └─▶ Impossible
//! ```
//!
//! Each key moves a set of positions through the pattern, so the work is (keys × symbols of the
//! map) whatever the map says: at most 64 × 4096 steps, never exponential.
//!
//! Where RFC 3435 dials at the first match, this phone waits the short timer if another pattern
//! could still go on (`1|1xx`): its user may still be dialling.

use config::digit_map::{Alternative, DigitMap, Element, Timer};

/// Most digits that are collected; a longer number matches nothing.
pub(crate) const MAX_DIGITS: usize = 64;

/// What a digit map makes of the digits so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Match {
    /// Nothing is complete, but more digits may make it so.
    Partial,
    /// Complete when this timer runs out; more digits may be added before.
    CouldBeLonger {
        /// What is dialled, substitutions made.
        number: String,
        /// The timer to wait for.
        timer: Timer,
    },
    /// Complete, and no digit can be added.
    Complete(String),
    /// Complete by a pattern that ends in `!`. That counts before any other pattern.
    Barred,
    /// No pattern begins like this.
    Impossible,
}

impl Match {
    /// The same with these keys before the number.
    pub(crate) fn after(self, prefix: &str) -> Self {
        match self {
            Self::Complete(number) => Self::Complete(format!("{prefix}{number}")),
            Self::CouldBeLonger { number, timer } => Self::CouldBeLonger {
                number: format!("{prefix}{number}"),
                timer,
            },
            Self::Partial | Self::Barred | Self::Impossible => self,
        }
    }
}

/// The match of the digits so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MatchResult {
    /// Complete or not.
    pub(crate) matched: Match,
    /// A `,` follows here: sound the second dial tone until the next key.
    pub(crate) second_dial_tone: bool,
}

/// Matches digits (`0`–`9`, `*`, `#`, `A`–`D`).
pub(crate) fn matches(map: &DigitMap, digits: &str) -> MatchResult {
    let digits: Vec<char> = digits.chars().take(MAX_DIGITS + 1).collect();
    if digits.len() > MAX_DIGITS {
        return MatchResult {
            matched: Match::Impossible,
            second_dial_tone: false,
        };
    }
    let mut second_dial_tone = false;
    let mut goes_on = false;
    let mut barred = false;
    let mut complete: Vec<&Alternative> = Vec::new();
    for alternative in &map.alternatives {
        let end = walk(&alternative.elements, &digits);
        second_dial_tone |= end.second_dial_tone;
        goes_on |= end.goes_on;
        if end.complete {
            barred |= alternative.barred;
            complete.push(alternative);
        }
    }
    let at_once = complete
        .iter()
        .find(|alternative| alternative.timer.is_none() && !goes_on);
    let matched = if barred {
        Match::Barred
    } else if let Some(alternative) = at_once {
        Match::Complete(dialled(&alternative.elements, &digits))
    } else if let Some(alternative) = complete.first() {
        Match::CouldBeLonger {
            number: dialled(&alternative.elements, &digits),
            timer: alternative.timer.unwrap_or(Timer::Short),
        }
    } else if goes_on {
        Match::Partial
    } else {
        Match::Impossible
    };
    MatchResult {
        matched,
        second_dial_tone,
    }
}

/// State of a pattern after all digits.
struct End {
    complete: bool,
    goes_on: bool,
    second_dial_tone: bool,
}

/// Walks one pattern: the set of positions it can be at, one step a digit.
fn walk(elements: &[Element], digits: &[char]) -> End {
    let mut positions = vec![false; elements.len() + 1];
    positions[0] = true;
    skip_optional(elements, &mut positions);
    for &digit in digits {
        let mut next = vec![false; elements.len() + 1];
        for (at, element) in elements.iter().enumerate() {
            if positions[at]
                && let Element::Keys { keys, repeat, .. } = element
                && keys.contains(digit)
            {
                next[if *repeat { at } else { at + 1 }] = true;
            }
        }
        skip_optional(elements, &mut next);
        positions = next;
    }
    let here = |at: usize| positions[at];
    let at = |wanted: fn(&Element) -> bool| {
        elements
            .iter()
            .enumerate()
            .any(|(at, element)| here(at) && wanted(element))
    };
    End {
        complete: here(elements.len()),
        goes_on: at(|element| matches!(element, Element::Keys { .. })),
        second_dial_tone: at(|element| matches!(element, Element::SecondDialTone)),
    }
}

/// Adds the positions reached without a key. One pass is enough: such steps only lead forward by
/// one.
fn skip_optional(elements: &[Element], positions: &mut [bool]) {
    for (at, element) in elements.iter().enumerate() {
        let free = match element {
            Element::Keys { repeat, .. } => *repeat,
            Element::Insert(_) | Element::SecondDialTone => true,
        };
        if positions[at] && free {
            positions[at + 1] = true;
        }
    }
}

/// What a complete pattern dials for these digits. Where several readings fit, a repeated symbol
/// takes as much as it can.
fn dialled(elements: &[Element], digits: &[char]) -> String {
    let width = elements.len() + 1;
    // fits[i * width + j]: the digits from i on can be read by the symbols from j on.
    let mut fits = vec![false; (digits.len() + 1) * width];
    for i in (0..=digits.len()).rev() {
        fits[i * width + elements.len()] = i == digits.len();
        for (j, element) in elements.iter().enumerate().rev() {
            let next = fits[i * width + j + 1];
            fits[i * width + j] = match element {
                Element::Insert(_) | Element::SecondDialTone => next,
                Element::Keys { keys, repeat, .. } => {
                    let taken = digits.get(i).is_some_and(|&digit| keys.contains(digit));
                    if *repeat {
                        next || (taken && fits[(i + 1) * width + j])
                    } else {
                        taken && fits[(i + 1) * width + j + 1]
                    }
                }
            };
        }
    }
    let mut number = String::new();
    let (mut i, mut j) = (0, 0);
    while let Some(element) = elements.get(j) {
        match element {
            Element::Insert(text) => number.push_str(text),
            Element::SecondDialTone => {}
            Element::Keys {
                keys,
                repeat,
                dialled,
            } => {
                let digit = digits.get(i).copied().filter(|&digit| keys.contains(digit));
                let stays = if *repeat { j } else { j + 1 };
                if let Some(digit) = digit
                    && fits[(i + 1) * width + stays]
                {
                    if *dialled {
                        number.push(digit);
                    }
                    i += 1;
                    j = stays;
                    continue;
                }
            }
        }
        j += 1;
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(map: &str, digits: &str) -> MatchResult {
        matches(&config::digit_map::parse(map).unwrap(), digits)
    }

    fn matched(map: &str, digits: &str) -> Match {
        result(map, digits).matched
    }

    fn complete(number: &str) -> Match {
        Match::Complete(number.to_owned())
    }

    fn could(number: &str) -> Match {
        Match::CouldBeLonger {
            number: number.to_owned(),
            timer: Timer::Short,
        }
    }

    #[test]
    fn the_example_of_rfc_3435() {
        let map = "(0T|00T|[1-7]xxx|8xxxxxxx|#xxxxxxx|*xx|91xxxxxxxxxx|9011x.T)";
        assert_eq!(matched(map, ""), Match::Partial);
        assert_eq!(matched(map, "0"), could("0"));
        assert_eq!(matched(map, "00"), could("00"));
        assert_eq!(matched(map, "000"), Match::Impossible);
        assert_eq!(matched(map, "123"), Match::Partial);
        assert_eq!(matched(map, "1234"), complete("1234"));
        assert_eq!(matched(map, "*69"), complete("*69"));
        assert_eq!(matched(map, "#1234567"), complete("#1234567"));
        assert_eq!(matched(map, "9112125551212"), Match::Impossible);
        assert_eq!(matched(map, "912125551212"), complete("912125551212"));
        assert_eq!(matched(map, "9011"), could("9011"));
        assert_eq!(matched(map, "9011331234"), could("9011331234"));
    }

    #[test]
    fn a_number_that_could_be_longer_waits() {
        assert_eq!(matched("1|1xx", "1"), could("1"));
        assert_eq!(matched("1|1xx", "12"), Match::Partial);
        assert_eq!(matched("1|1xx", "123"), complete("123"));
        assert_eq!(
            matched("xL", "1"),
            Match::CouldBeLonger {
                number: "1".to_owned(),
                timer: Timer::Long
            }
        );
        assert_eq!(matched("x.", "12"), could("12"));
        assert_eq!(matched("0[12].", "0"), could("0"));
        assert_eq!(matched("0[12].", "0121"), could("0121"));
        assert_eq!(matched("0[12].", "0123"), Match::Impossible);
    }

    #[test]
    fn substitutions() {
        assert_eq!(matched("9<1:0044>xx", "9123"), complete("9004423"));
        assert_eq!(matched("<:030>xxx", "123"), complete("030123"));
        assert_eq!(matched("<9:>xxx", "9123"), complete("123"));
        assert_eq!(matched("xxx<:#>", "123"), complete("123#"));
        assert_eq!(matched("<00:+>x.T", "0049"), could("+49"));
        // The repeated symbol takes what it can, and still leaves what the rest needs.
        assert_eq!(matched("x.<9:>x", "1299"), could("129"));
    }

    #[test]
    fn second_dial_tone_sounds_once() {
        assert!(!result("9,xxx", "").second_dial_tone);
        assert!(result("9,xxx", "9").second_dial_tone);
        assert!(!result("9,xxx", "91").second_dial_tone);
        assert_eq!(matched("9,xxx", "9123"), complete("9123"));
        assert!(result("<9:>,xxx|[1-8]xx", "9").second_dial_tone);
    }

    #[test]
    fn barred_counts_before_all() {
        assert_eq!(matched("xx.T|1900!", "1900"), Match::Barred);
        assert_eq!(matched("1900x.!|xx.T", "1900123"), Match::Barred);
        assert_eq!(matched("1900x.!|xx.T", "190"), could("190"));
    }

    #[test]
    fn hostile_maps_are_answered_at_once() {
        let map = "x.".repeat(2000);
        assert_eq!(
            matched(&map, &"1".repeat(MAX_DIGITS)),
            could(&"1".repeat(MAX_DIGITS))
        );
        assert_eq!(
            matched(&map, &"1".repeat(MAX_DIGITS + 1)),
            Match::Impossible
        );
        assert_eq!(matched(&map, &"1".repeat(1_000_000)), Match::Impossible);
    }

    /// The plainest possible matcher: all routes by recursion, for short inputs only.
    fn reads(elements: &[Element], digits: &[char]) -> bool {
        match elements {
            [] => digits.is_empty(),
            [Element::Insert(_) | Element::SecondDialTone, rest @ ..] => reads(rest, digits),
            [Element::Keys { keys, repeat, .. }, rest @ ..] => {
                let taken = digits.first().is_some_and(|&digit| keys.contains(digit));
                if *repeat {
                    reads(rest, digits) || (taken && reads(elements, &digits[1..]))
                } else {
                    taken && reads(rest, &digits[1..])
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_trying_all_ways(
            map in "[12x](\\.)?([12x](\\.)?|<1:2>){0,4}(\\|[12x](\\.)?[12x]{0,3}){0,2}",
            digits in "[123]{0,6}") {
            let map = config::digit_map::parse(&map).unwrap();
            let keyed: Vec<char> = digits.chars().collect();
            let expected = map.alternatives.iter()
                .any(|alternative| reads(&alternative.elements, &keyed));
            let found = match matches(&map, &digits).matched {
                Match::CouldBeLonger { .. } | Match::Complete(_) => true,
                Match::Partial | Match::Impossible | Match::Barred => false,
            };
            proptest::prop_assert_eq!(found, expected);
        }
    }
}
