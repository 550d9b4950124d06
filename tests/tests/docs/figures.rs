//! The figures of the guide are those of the program: each time and count in its prose is compared
//! with the constant it comes from.
//!
//! ```text
//! docs/guide/src/*.md ─▶ "after four seconds a voice begins" ─▶ CLAIMS ─▶ const … from_secs(4) in the source?
//!                      └▶ every "NUMBER UNIT" ─▶ in a claim, or none of the program's?
//! ```
//!
//! Prices, resistors and supply voltages are facts of parts, and are compared with nothing.

use crate::guide::pages;
use crate::repository;

/// A sentence of a page, and the line of the source that makes it true.
struct Claim {
    page: &'static str,
    says: &'static str,
    file: &'static str,
    line: &'static str,
}

const fn claim(
    page: &'static str,
    says: &'static str,
    file: &'static str,
    line: &'static str,
) -> Claim {
    Claim {
        page,
        says,
        file,
        line,
    }
}

const POWER_UP: &str = "firmware/app/src/appliance/power_up.rs";

const CLAIMS: [Claim; 25] = [
    claim(
        "automation.md",
        "the bell rings for 5 s,",
        "firmware/phone/src/phone/order.rs",
        "const RING: Duration = Duration::from_secs(5);",
    ),
    claim(
        "automation.md",
        "the bell rings for up to 30 s,",
        "firmware/phone/src/phone/order.rs",
        "const RING_TO_DIAL: Duration = Duration::from_secs(30);",
    ),
    claim(
        "codes.md",
        "Within a second and a half a digit says more",
        "firmware/phone/src/phone/flash.rs",
        "const MENU: Duration = Duration::from_millis(1500);",
    ),
    claim(
        "codes.md",
        "answered after a second and a half",
        "firmware/phone/src/phone/flash.rs",
        "const MENU: Duration = Duration::from_millis(1500);",
    ),
    claim(
        "codes.md",
        "the bell reminds you after a minute",
        "firmware/config/src/settings/phone.rs",
        "\"hold_reminder_s\", ValueKind::Number(0, 600), WhenUnset::Default(\"60\")",
    ),
    claim(
        "codes.md",
        "its last 200 calls",
        "firmware/control/src/history.rs",
        "pub const MAX_ENTRIES: usize = 200;",
    ),
    claim(
        "codes.md",
        "rings for a second",
        "firmware/phone/src/phone.rs",
        "const ANNOUNCEMENT: Duration = Duration::from_secs(1);",
    ),
    claim(
        "display.md",
        "dim after half a minute",
        "board/src/profile/display.rs",
        "fn dim_after() -> u32 { 30 }",
    ),
    claim(
        "display.md",
        "dark after ten;",
        "board/src/profile/display.rs",
        "fn off_after() -> u32 { 600 }",
    ),
    claim(
        "display.md",
        "After half a minute without a key the menu closes",
        "firmware/control/src/display/menu.rs",
        "const OPEN: Duration = Duration::from_secs(30);",
    ),
    claim(
        "encryption.md",
        "both phones show five words",
        "firmware/control/src/dtls/sas.rs",
        "const COUNT: usize = 5;",
    ),
    claim(
        "encryption.md",
        "three beeps",
        "firmware/phone/src/phone.rs",
        "a missing encryption is: three short beeps.",
    ),
    claim(
        "first-call.md",
        "does not register within a minute",
        "firmware/app/src/appliance/account_watch.rs",
        "const UNREGISTERED_FOR: Duration = Duration::from_secs(60);",
    ),
    claim(
        "privacy.md",
        "hold `*` for ten seconds",
        POWER_UP,
        "'*' if held >= Duration::from_secs(10) => HeldKey::FactoryReset",
    ),
    claim(
        "troubleshooting.md",
        "hold `#` for three seconds",
        POWER_UP,
        "'#' if held >= Duration::from_secs(3) => HeldKey::SelfTest",
    ),
    claim(
        "troubleshooting.md",
        "watches it for 30 s",
        "firmware/app/src/account_check.rs",
        "const NAT_SILENCE: Duration = Duration::from_secs(30);",
    ),
    claim(
        "troubleshooting.md",
        "bad for fifteen seconds",
        "tests/tests/docs/plot.rs",
        "const BAD: (f64, f64) = (10.0, 25.0);",
    ),
    claim(
        "voice.md",
        "After four seconds a voice begins",
        "firmware/phone/src/phone/speech.rs",
        "const BEFORE_SET_UP: Duration = Duration::from_secs(4);",
    ),
    claim(
        "wiring.md",
        "hold `0` for three seconds",
        POWER_UP,
        "'0' if held >= Duration::from_secs(3) => HeldKey::Wiring",
    ),
    claim(
        "wiring.md",
        "hold `#` for three seconds",
        POWER_UP,
        "'#' if held >= Duration::from_secs(3) => HeldKey::SelfTest",
    ),
    claim(
        "wiring.md",
        "no bounce for longer than 7 ms",
        "board/src/rotary.rs",
        "const LONGEST_BOUNCE: Duration = Duration::from_millis(7);",
    ),
    claim(
        "wiring.md",
        "one beep (and the display, where there is one)",
        "firmware/app/src/selftest/wiring.rs",
        "Instruction::Rest => 1,",
    ),
    claim(
        "wiring.md",
        "two beeps \"lift it\"",
        "firmware/app/src/selftest/wiring.rs",
        "Instruction::Rest => 1, Instruction::Lift => 2, Instruction::PutDown => 3,",
    ),
    claim(
        "updating.md",
        "two slots",
        "firmware/app/src/update/ledger.rs",
        "enum Slot { /// Partitions 2 and 5. A, /// Partitions 3 and 6. B, }",
    ),
    claim(
        "many-phones.md",
        "`{mac}` is the phone's own address, twelve digits in lower case",
        "firmware/app/src/provision/schedule.rs",
        "the hardware address, twelve small hexadecimal digits",
    ),
];

/// What a figure of the program is counted in.
const UNITS: [&str; 17] = [
    "s", "ms", "second", "seconds", "minute", "minutes", "hour", "hours", "day", "days", "calls",
    "beep", "beeps", "words", "digits", "slots", "times",
];

const NUMBERS: [&str; 17] = [
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "fifteen", "twenty", "thirty", "sixty", "half",
];

/// A page on one line, its blocks of code left out.
fn prose(text: &str) -> String {
    let parts = text.split("```").step_by(2);
    let words: Vec<&str> = parts.flat_map(str::split_whitespace).collect();
    words.join(" ")
}

/// Each number that a unit follows, with it.
fn figures(prose: &str) -> Vec<String> {
    let words: Vec<&str> = prose.split(' ').collect();
    let pairs = words.windows(2);
    let is_figure = |number: &str, unit: &str| {
        let number = number.trim_start_matches(['(', '"', '`', '*']);
        let is_number = number.starts_with(|c: char| c.is_ascii_digit())
            && number.ends_with(|c: char| c.is_ascii_digit());
        let unit = unit.trim_matches(|c: char| !c.is_alphanumeric());
        let is_number = is_number || NUMBERS.contains(&number.to_lowercase().as_str());
        is_number && UNITS.contains(&unit)
    };
    pairs
        .filter(|pair| is_figure(pair[0], pair[1]))
        .map(|pair| pair.join(" "))
        .collect()
}

#[test]
fn every_figure_in_the_guide_is_the_programs() {
    let pages = pages();
    let text_of = |name: &str| {
        let page = pages.iter().find(|(path, _)| path.ends_with(name));
        prose(&page.unwrap_or_else(|| panic!("{name}")).1)
    };
    for Claim {
        page,
        says,
        file,
        line,
    } in CLAIMS
    {
        assert!(text_of(page).contains(says), "{page} does not say {says:?}");
        let source = std::fs::read_to_string(repository().join(file));
        let source = source.unwrap_or_else(|error| panic!("{file}: {error}"));
        let source: Vec<&str> = source.split_whitespace().collect();
        let is_true = source.join(" ").contains(line);
        assert!(is_true, "{page} says {says:?}, and {file} does not: {line}");
    }
    let mut count = 0;
    for (path, text) in &pages {
        let page = path.file_name().unwrap().to_str().unwrap();
        // Generated from the recipes, whose figures are their providers'.
        if page == "providers.md" {
            continue;
        }
        for figure in figures(&prose(text)) {
            let of_page = CLAIMS.iter().filter(|claim| path.ends_with(claim.page));
            let is_claimed = of_page.clone().any(|claim| {
                claim
                    .says
                    .contains(figure.trim_end_matches(['.', ',', ':', ';']))
            });
            assert!(is_claimed, "{page}: where does {figure:?} come from?");
            count += 1;
        }
    }
    assert!(count >= 12, "{count}");
}
