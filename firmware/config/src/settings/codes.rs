//! Star codes: `[codes]`.

use super::{Section, Setting, WhenUnset, setting};
use crate::value::{TextFormat, Value, ValueKind};

/// A star code's keys; none where the text is empty.
fn star_code(value: Value) -> Option<String> {
    Some(value.text()).filter(|keys| !keys.is_empty())
}

/// These keys, by section, in the order of the example. A later key may build on an earlier one of
/// its section.
#[rustfmt::skip]
pub(super) const SETTINGS: &[Setting] = &[
    setting(Section::Codes, "self_test", ValueKind::Formatted(TextFormat::Code), WhenUnset::Default("\"*98\""), "\"*980\"",
        |c, v| c.codes.self_test = star_code(v),
        "Self-test of speaker, microphone, keys, hook switch, lamps, bell and network; the result is heard."),
    setting(Section::Codes, "bundle", ValueKind::Formatted(TextFormat::Code), WhenUnset::Default("\"*97\""), "\"*970\"",
        |c, v| c.codes.bundle = star_code(v),
        "Support bundle: logs, status and settings without secrets, written to the card."),
    setting(Section::Codes, "reboot", ValueKind::Formatted(TextFormat::Code), WhenUnset::Default("\"*96#\""), "\"*960#\"",
        |c, v| c.codes.reboot = star_code(v),
        "Restarts the board."),
    setting(Section::Codes, "factory_reset", ValueKind::Formatted(TextFormat::Code), WhenUnset::Default("\"*99*7378#\""), "\"*99#\"",
        |c, v| c.codes.factory_reset = star_code(v),
        "Factory reset: erases every setting, password and history; `offhook.toml` becomes the empty example."),
];
