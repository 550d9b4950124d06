//! HTTP requests to home automation when something happens: `[actions]`.

use super::{Section, Setting, WhenUnset, setting};
use crate::value::{TextFormat, ValueKind};

/// One address.
macro_rules! action {
    ($name:ident, $doc:literal) => {
        setting(
            Section::Actions,
            stringify!($name),
            ValueKind::Formatted(TextFormat::Url),
            WhenUnset::Means("nothing is fetched"),
            "\"http://192.168.1.5/phone?from={number}\"",
            |c, v| c.actions.$name = Some(v.text()),
            $doc,
        )
    };
}

/// These keys, in the order of the example.
#[rustfmt::skip]
pub(super) const SETTINGS: &[Setting] = &[
    action!(ringing, "Fetched when a call rings. `{number}` and `{name}` are the caller's."),
    action!(answered, "Fetched when a call is established."),
    action!(hung_up, "Fetched when the phone rests again."),
    action!(registered, "Fetched when calls can be placed, where none could before."),
    action!(unregistered, "Fetched when none can any more."),
    action!(dnd_on, "Fetched when do not disturb is switched on."),
    action!(dnd_off, "Fetched when it is switched off."),
    action!(door, "Fetched by the keys of `door_code` in a call, and by a key of \
        `dial.feature_keys` that is `door`: a door's relay."),
    setting(Section::Actions, "door_code", ValueKind::Formatted(TextFormat::Code),
        WhenUnset::Means("none"), "\"*9\"",
        |c, v| c.actions.door_code = Some(v.text()).filter(|keys| !keys.is_empty()),
        "Keys that, pressed one after the other in a call, fetch `door`. The far end hears them, \
         too."),
];
