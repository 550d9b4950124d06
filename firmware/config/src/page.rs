//! The commented example and the reference page, written from the table of keys so that neither can
//! disagree with the parser.
//!
//! ```text
//! SECTIONS, settings() ─┬─▶ example   ─▶ firmware/config/offhook.example.toml   (`#key = default`, ready to be uncommented)
//!                 └─▶ reference ─▶ docs/provisioning.md
//! PLANS ───────────▶ countries ─▶ docs/countries.md
//! providers ───────▶ page      ─▶ docs/guide/src/providers.md
//! CODES ───────────▶ features  ─▶ docs/features.md
//! ```

use std::fmt::Write;

use crate::codes::Argument;
use crate::country::{self, PLANS};
use crate::settings::{SECTIONS, Setting, WhenUnset, settings_of};
use crate::value::ValueKind;

/// The example `offhook.toml`: every key explained, every default as a comment. As it stands it
/// changes nothing.
pub fn example() -> String {
    let mut page = String::from(
        "# offhook.toml: every setting of this phone.\n\
         #\n\
         # A line like `#key = value` shows a default or an example: remove the `#` to set it.\n\
         # Unknown names are errors; `offhook check FILE` reports where they are and suggests the \
         right name.\n",
    );
    for &(section, path, doc) in SECTIONS {
        page.push('\n');
        comment(&mut page, doc);
        let header = if section.is_list() {
            format!("#[[{path}]]")
        } else {
            format!("[{path}]")
        };
        let _ = writeln!(page, "{header}");
        for setting in settings_of(section) {
            page.push('\n');
            comment(&mut page, setting.doc);
            if let ValueKind::SpeedDial(_) = setting.kind {
                page.push_str(
                    "# Example:\n#[dial.speed]\n#1 = \"sip:echo@10.0.0.7\"\n#2 = \"0301234567\"\n",
                );
                continue;
            }
            match setting.when_unset {
                WhenUnset::Default(default) => {
                    comment(&mut page, &format!("{}.", limits(setting)));
                    let _ = writeln!(page, "#{} = {default}", setting.name);
                }
                WhenUnset::Means(meaning) => {
                    comment(
                        &mut page,
                        &format!("{}. When not set: {meaning}. Example:", limits(setting)),
                    );
                    let _ = writeln!(page, "#{} = {}", setting.name, setting.example);
                }
                WhenUnset::Required => {
                    comment(
                        &mut page,
                        &format!("{}. Must be given. Example:", limits(setting)),
                    );
                    let _ = writeln!(page, "#{} = {}", setting.name, setting.example);
                }
            }
        }
    }
    page
}

/// The reference page of `offhook.toml` in Markdown.
pub fn reference() -> String {
    let mut page = String::from(
        "# offhook.toml: the reference\n\n\
         This page is generated from the program's table of settings (`config::reference`), as are \
         the\n\
         parser, the defaults and `firmware/config/offhook.example.toml`. An empty file is a \
         valid\n\
         configuration. The countries have [a page of their own](countries.md).\n\n\
         - Check a file: `offhook check offhook.toml`. Each error names file, line and column, \
         what is\n  wrong and how to correct it; all errors are reported at once, and an unknown \
         name is an error.\n\
         - A file with errors never stops the phone: the last good configuration stays in use, and \
         `status`\n  shows the errors.\n\
         - The file is UTF-8 text in TOML syntax, at most 256 KiB; Windows line ends and a byte \
         order\n  mark are accepted.\n",
    );
    page.push_str(
        "\n## Where settings come from\n\nLater rows override earlier ones, key by key; a list \
         (accounts, speed dial) is replaced as a whole.\n\
         A layer with errors is left out, and its errors are reported.\n\n\
         | layer | where it is | what it may set |\n|---|---|---|\n",
    );
    for (layer, source, what) in crate::store::PRECEDENCE {
        let _ = writeln!(page, "| {layer} | {source} | {what} |");
    }
    for &(section, path, doc) in SECTIONS {
        let header = if section.is_list() {
            format!("[[{path}]]")
        } else {
            format!("[{path}]")
        };
        let _ = write!(
            page,
            "\n## `{header}`\n\n{doc}\n\n| key | value | default | what it does |\n\
             |---|---|---|---|\n"
        );
        for setting in settings_of(section) {
            let default = match setting.when_unset {
                WhenUnset::Default(default) => format!("`{}`", cell(default)),
                WhenUnset::Means(meaning) => format!("not set: {}", cell(meaning)),
                WhenUnset::Required => "must be given".to_owned(),
            };
            let what = format!("{} Example: `{}`", cell(setting.doc), cell(setting.example));
            let _ = writeln!(
                page,
                "| `{}` | {} | {default} | {what} |",
                setting.name,
                cell(&limits(setting)).replace("docs/countries.md", "[countries.md](countries.md)")
            );
        }
    }
    page
}

/// The page of countries in Markdown: what `phone.country` may be and what it sets.
pub fn countries() -> String {
    let mut page = String::from(
        "# Countries\n\n\
         The values of `country` under `[phone]`, and what each sets besides the call progress \
         tones. This page\n\
         is generated from the program's country data (`config::countries`).\n\n\
         | code | country | emergency numbers | flash, ms | ringing, ms on, off | numbers sent at \
         once | service codes |\n|---|---|---|---|---|---|---|\n",
    );
    for plan in PLANS {
        let ring: Vec<_> = plan
            .ring_cadence_ms
            .iter()
            .map(ToString::to_string)
            .collect();
        let (from, to) = plan.flash_window_ms;
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {from}–{to} | {} | {} | {} |",
            plan.country.as_str(),
            plan.country.name(),
            plan.emergency.join(", "),
            ring.join(", "),
            fixed(plan.country),
            if country::service_codes(plan.country).is_some() {
                "`*21*…#`, `#21#`"
            } else {
                "–"
            }
        );
    }
    page
}

/// The owner's page in Markdown: what the phone does in the hand, with its codes.
pub fn features() -> String {
    let mut page = String::from(FEATURES);
    page.push_str(
        "| code | in the United States | what it does | `[codes]` |\n|---|---|---|---|\n",
    );
    for entry in crate::codes::CODES {
        let argument = match entry.argument {
            Argument::None => "",
            Argument::Digit => " DIGIT",
            Argument::Number => " NUMBER",
            Argument::SlotAndNumber => " KEY NUMBER",
            Argument::Address => " ADDRESS `#`",
        };
        let _ = writeln!(
            page,
            "| `{}`{argument} | `{}`{argument} | {} | `{}` |",
            entry.elsewhere,
            entry.us,
            cell(entry.doc),
            entry.name
        );
    }
    page
}

const FEATURES: &str = "\
# What your phone can do

This page is generated from the program's table of star codes (`config::features`).

## In the hand

| you | the phone |
|---|---|
| lift the handset | dial tone; press a number. `#` sends it at once, otherwise the phone waits a \
moment for more digits |
| press an emergency number | it is called with its last digit, whatever else is set |
| dial a service code of your network, like `*31#0301234` or `#21#` | it reaches your provider as \
you keyed it |
| it rings, lift | you talk. `*` silences the bell, `#` refuses the call |
| flash in a call | the call goes on hold, and you hear a second dial tone: dial the other party |
| flash again | you swap. Within a second and a half a digit says more: `1` ends the call you \
heard before, `2` leaves it at the swap, `3` connects all three, `4` connects the other two and \
leaves you out |
| a second caller waits (short tones) | flash: answered after a second and a half. Flash and `0`: \
refused; `1`: your call ends and the caller is answered; `2`: your call waits |
| leave a call on hold and put the handset aside | the bell reminds you after a minute \
(`call.hold_reminder_s`) |
| hang up | every call of yours ends; a waiting caller rings |
| miss a call | the message lamp blinks slowly until you lift the handset |
| press a volume key | louder or softer: the bell while the handset lies, else what you \
hear; it stays so |
| press the mute key | your microphone is off, and its lamp lit; while it rings: silence |
| press the hands-free key | as if you had lifted; again: as if you had put the handset down. \
Lifting takes the call over |
| with a display: press `5` while the handset lies | the menu: `2` up, `8` down, `5` or `#` \
chooses, `*` back; calls, phone book, volume, ringing, network. Choose somebody, and lifting calls \
them |
| press a key of your own | what `dial.feature_keys` says: a number, a star code, an account, \
the numbers dialled before, the door, a conference |
| flash, then the code `*76` and a number | when it is answered, all three are connected |
| hear a beep and a voice while the handset lies | an announcement to a group of `[paging]`; the \
hands-free lamp blinks, and no one hears you. Lifting the handset ends it |

The phone remembers its last 200 calls over restarts and power cuts: `offhook ctl history` shows \
them,
and redial and call return go on with them. `call.block` keeps callers out, by number, address or \
name
with `*` and `?`; `call.ring` and the `ring` of an account give some of them a ring of their own; \
the
`prefix` of an account chooses it. Callers of `call.intercom` are answered without lifting: the bell
rings for a second, and they hear nothing until you lift, unless you want that. What the digit map \
bars
is barred however it is dialled.

Forwarded callers are sent on by your server. Where it refuses that (302), an account's
`forwarding = \"transfer\"` has the phone call the other number itself and connect the two.

Whom you connect with somebody else (`*85`, `4` after a flash, hanging up where
`call.transfer_on_hangup` is set) leaves your phone. If nothing comes of it, because the other one
is busy, refuses or cannot be reached, whoever is still there comes back: into the handset in your
hand, or the phone rings, also where do not disturb is set. After a consultation both come back: the
caller you had on hold first, and the one you asked waits behind (flash). Taken by no one, they are
ended after a minute; where you are in another call already, they wait or end as any caller would.

A phone that rings in its loudspeaker (`board.ringer = \"sound\"`, or no bell and no buzzer) rings
as `audio.ring_sound` says: a sound of its own, or a WAV or Opus file beside `offhook.toml`.
`audio.ring_sounds` gives each of the distinctive rings 1 to 5 another one: callers of `call.ring`,
accounts with a `ring`, and callers who ask for it (Alert-Info).

A flash is a short press of the hook switch, or the flash key. `call.flash_menu` chooses whether a \
digit
may follow it, as above, or it acts at once, as below.

## The flash in the United States

| you | the phone |
|---|---|
| flash again | in a call that you placed with another on hold: all three are connected. Else you \
swap |
| flash with all three connected | the call added last ends |
| a second caller waits (short tones) | flash: answered at once, your call waits. Flash again: you \
swap |

## Codes

Lift the handset and press the code. Confirmation tone: it is done. Congestion tone: it is not. A
voice says what is set, or why not. A number ends with `#`, or when it is complete. Each code can be
changed or turned off in
`offhook.toml`; no code begins with `*97` or `*98`, which many servers use for voicemail.

";

/// The prefixes whose numbers have a fixed length.
fn fixed(country: types::Country) -> String {
    let fixed = country::fixed_lengths(country).iter();
    let texts: Vec<String> = fixed
        .map(|(prefix, digits)| format!("`{prefix}`: {digits} digits"))
        .collect();
    if texts.is_empty() {
        "–".to_owned()
    } else {
        texts.join(", ")
    }
}

/// What the value may be, as the beginning of a sentence.
fn limits(setting: &Setting) -> String {
    let help = if setting.kind == ValueKind::Country {
        "a country code in quotes, see docs/countries.md".to_owned()
    } else {
        setting.kind.help()
    };
    let words = help.strip_prefix("write ").unwrap_or(&help);
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// Text as it may stand in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Writes text as comment lines of at most 100 characters.
pub(crate) fn comment(page: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > 100 {
            let _ = writeln!(page, "{line}");
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(page, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load;
    use crate::schema::Config;
    use crate::settings::settings;

    fn checked_in(path: &str, generated: &str) {
        let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("OFFHOOK_WRITE_PAGES").is_some() {
            std::fs::write(&path, generated).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == generated,
            "{path} is out of date: run `OFFHOOK_WRITE_PAGES=1 cargo test -p config` and commit it"
        );
    }

    #[test]
    fn the_example_is_the_one_checked_in() {
        checked_in("offhook.example.toml", &example());
    }

    #[test]
    fn the_sheet_of_codes_is_the_one_checked_in() {
        // The guide has the sheets to be printed beside it (tests/tests/docs/sheet.rs).
        let sheets = "To print and keep beside the phone, one page of A4: \
                      [codes](sheets/codes.svg),\nand for the \
                      [United States](sheets/codes-us.svg).\n\n";
        let heading = "## In the hand\n";
        let page = features().replace(heading, &format!("{sheets}{heading}"));
        checked_in("../../docs/guide/src/codes.md", &page);
    }

    #[test]
    fn the_providers_page_is_the_one_checked_in() {
        checked_in(
            "../../docs/guide/src/providers.md",
            &crate::providers::page(),
        );
    }

    #[test]
    fn the_reference_is_the_one_checked_in() {
        checked_in("../../docs/provisioning.md", &reference());
    }

    #[test]
    fn the_features_are_those_checked_in() {
        checked_in("../../docs/features.md", &features());
    }

    #[test]
    fn the_countries_are_those_checked_in() {
        checked_in("../../docs/countries.md", &countries());
    }

    #[test]
    fn the_unchanged_example_changes_nothing() {
        assert_eq!(load(&example(), "example").unwrap(), Config::default());
    }

    /// Takes the `#` from setting lines for which `wanted` says so.
    fn uncomment(wanted: impl Fn(&str) -> bool) -> String {
        let line = |line: &str| match line.strip_prefix('#') {
            Some(rest) if !rest.is_empty() && !rest.starts_with(' ') && wanted(rest) => {
                format!("{rest}\n")
            }
            Some(_) | None => format!("{line}\n"),
        };
        example().lines().map(line).collect()
    }

    #[test]
    fn every_example_line_is_valid() {
        let all = load(&uncomment(|_| true), "example").unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(all.accounts.len(), 1);
        assert_eq!(all.dial.speed_dial.len(), 2);
        assert!(all.dial.hotline.is_some() && all.board.audio.capture.is_some());
    }

    #[test]
    fn every_commented_default_is_the_true_default() {
        let mut section = crate::settings::Section::Phone;
        let defaults: Vec<String> = example()
            .lines()
            .filter_map(|line| {
                let bare = line.trim_start_matches(['#', '[']).trim_end_matches(']');
                if line.contains('[')
                    && let Some((found, ..)) = SECTIONS.iter().find(|(_, path, _)| *path == bare)
                {
                    section = *found;
                }
                let (name, value) = line.strip_prefix('#')?.split_once(" = ")?;
                let setting = settings()
                    .find(|setting| setting.section == section && setting.name == name)?;
                (!section.is_list()
                    && matches!(setting.when_unset,
                        WhenUnset::Default(default) if default == value))
                .then(|| line[1..].to_owned())
            })
            .collect();
        let expected = settings()
            .filter(|setting| {
                !setting.section.is_list() && matches!(setting.when_unset, WhenUnset::Default(_))
            })
            .count();
        // All but the speed dial table (which has an example) and the hotline's delay (which needs
        // a hotline) stand there.
        assert_eq!(defaults.len(), expected - 1);
        let text = uncomment(|line| {
            defaults
                .iter()
                .any(|default| default == line && !line.starts_with("hotline_after_ms"))
        });
        assert_eq!(load(&text, "example").unwrap(), Config::default());
    }
}
