//! Wiring: `[hardware]` and the sections below it, key by key over the board's `hardware.toml`.

use super::{Section, Setting, WhenUnset, setting};
use crate::value::{ValueKind, Wiring};

const PROFILE: WhenUnset = WhenUnset::Means("as the board's profile says");
const LEVEL: Wiring = Wiring::Word(&["low", "high"]);
const BIAS: Wiring = Wiring::Word(&["pull-up", "pull-down", "off"]);
const DEBOUNCE: Wiring = Wiring::Number(0, 400);

/// One key: its section, the table of `hardware.toml` and the key there.
macro_rules! wire {
    (
        $section:ident, $table:literal, $key:literal, $wiring:expr, $example:literal,
        $doc:literal
    ) => {
        setting(
            Section::$section,
            $key,
            ValueKind::Wiring($wiring),
            PROFILE,
            $example,
            |c, v| c.hardware.set($table, $key, v.text()),
            $doc,
        )
    };
}

/// `false`: the board has no such device.
macro_rules! fitted {
    ($section:ident, $table:literal, $doc:literal) => {
        wire!($section, $table, "fitted", Wiring::Bool, "false", $doc)
    };
}

/// These keys, by section, in the order of the example.
#[rustfmt::skip]
pub(super) const SETTINGS: &[Setting] = &[
    setting(Section::Hardware, "chip", ValueKind::Wiring(Wiring::Text), PROFILE,
        "\"pinctrl-bcm2835\"",
        |c, v| c.hardware.set("gpio", "chip", v.text()),
        "The GPIO chip all lines are on: path, name or label."),

    fitted!(HardwareHook, "hook", "`false`: there is no hook switch."),
    wire!(HardwareHook, "hook", "line", Wiring::Line, "23", "Line of the hook switch."),
    wire!(HardwareHook, "hook", "contact", Wiring::Word(&["normally-open", "normally-closed"]),
        "\"normally-closed\"",
        "What the contact does while the handset lies: `normally-open` closes when it is lifted."),
    wire!(HardwareHook, "hook", "closed", LEVEL, "\"high\"", "Level of the closed contact."),
    wire!(HardwareHook, "hook", "bias", BIAS, "\"pull-up\"", "Pull resistor of the line."),
    wire!(HardwareHook, "hook", "debounce_ms", DEBOUNCE, "80",
        "How long the contact must be quiet. `offhook selftest --wiring` measures how long it \
         bounces."),

    fitted!(HardwareFlash, "flash", "`false`: there is no flash key."),
    wire!(HardwareFlash, "flash", "line", Wiring::Line, "4", "Line of a flash key of its own."),
    wire!(HardwareFlash, "flash", "pressed", LEVEL, "\"low\"", "Level of the pressed key."),
    wire!(HardwareFlash, "flash", "bias", BIAS, "\"pull-up\"", "Pull resistor of the line."),
    wire!(HardwareFlash, "flash", "debounce_ms", DEBOUNCE, "20",
        "How long the contact must be quiet."),

    fitted!(HardwareKeypad, "keypad", "`false`: there is no keypad matrix."),
    wire!(HardwareKeypad, "keypad", "rows", Wiring::Lines(4), "[5, 6, 12, 13]",
        "Lines of the rows, top first."),
    wire!(HardwareKeypad, "keypad", "columns", Wiring::Lines(4), "[16, 26, 27]",
        "Lines of the columns, left first."),
    wire!(HardwareKeypad, "keypad", "keys", Wiring::Texts(4),
        "[\"123\", \"456\", \"789\", \"*0#\"]",
        "What is printed on the keys, a text a row: `0`-`9`, `*`, `#`, `A`-`D`, `F` flash, `+` and \
         `-` volume, `M` mute, `H` hands-free, `a`-`h` the keys of `dial.feature_keys`, `.` no \
         key."),
    wire!(HardwareKeypad, "keypad", "drive", Wiring::Word(&["open-drain", "push-pull"]),
        "\"push-pull\"",
        "How rows are driven; `push-pull` only where each key has a diode."),
    wire!(HardwareKeypad, "keypad", "bias", BIAS, "\"pull-up\"", "Pull resistor of the columns."),
    wire!(HardwareKeypad, "keypad", "step_ms", Wiring::Number(1, 20), "4",
        "How long a row is driven before it is read."),
    wire!(HardwareKeypad, "keypad", "debounce_ms", Wiring::Number(0, 200), "30",
        "How long a key must be quiet."),

    fitted!(HardwareKeys, "keys", "`false`: there are no keys of their own."),
    wire!(HardwareKeys, "keys", "volume_up", Wiring::Line, "10", "Line of the key for louder."),
    wire!(HardwareKeys, "keys", "volume_down", Wiring::Line, "11",
        "Line of the key for softer."),
    wire!(HardwareKeys, "keys", "mute", Wiring::Line, "14", "Line of the mute key."),
    wire!(HardwareKeys, "keys", "hands_free", Wiring::Line, "15", "Line of the hands-free key."),
    wire!(HardwareKeys, "keys", "feature", Wiring::Lines(8), "[24, 25]",
        "Lines of the keys of `dial.feature_keys`, the first one first."),
    wire!(HardwareKeys, "keys", "pressed", LEVEL, "\"low\"", "Level of a pressed key."),
    wire!(HardwareKeys, "keys", "bias", BIAS, "\"pull-up\"", "Pull resistor of the lines."),
    wire!(HardwareKeys, "keys", "debounce_ms", DEBOUNCE, "20",
        "How long a key must be quiet."),

    fitted!(HardwareInput, "input", "`false`: no input devices of the kernel are used."),
    wire!(HardwareInput, "input", "devices", Wiring::Texts(8), "[\"USB Phone\"]",
        "USB keypads and handsets, `gpio-keys`: names as in `/proc/bus/input/devices`, or paths."),
    wire!(HardwareInput, "input", "grab", Wiring::Bool, "false",
        "`true`: no other program gets their keys."),
    wire!(HardwareInput, "input", "map", Wiring::KeyMap, "{ KEY_KPDOT = \"#\" }",
        "Key codes of Linux and what they mean: a key, `F`, `hook`, `lift`, `hang-up`, \
         `volume-up`, `volume-down`, `mute`, `hands-free`, `feature-1` to `feature-8`, `none`."),

    fitted!(HardwareRotary, "rotary", "`false`: there is no rotary dial."),
    wire!(HardwareRotary, "rotary", "pulse", Wiring::Line, "24",
        "Line of the contact that opens once a pulse."),
    wire!(HardwareRotary, "rotary", "pulse_closed", LEVEL, "\"high\"",
        "Level of that contact while it is closed."),
    wire!(HardwareRotary, "rotary", "off_normal", Wiring::Line, "25",
        "Line of the contact that is active while the dial is away from rest."),
    wire!(HardwareRotary, "rotary", "off_normal_away", LEVEL, "\"high\"",
        "Level of that contact while the dial is away."),
    wire!(HardwareRotary, "rotary", "bias", BIAS, "\"pull-up\"", "Pull resistor of both."),
    wire!(HardwareRotary, "rotary", "numbering",
        Wiring::Word(&["standard", "sweden", "new-zealand"]), "\"sweden\"",
        "What the pulses mean."),

    fitted!(HardwareRinger, "ringer", "`false`: there is no bell and no buzzer."),
    wire!(HardwareRinger, "ringer", "kind", Wiring::Word(&["bell", "buzzer"]), "\"buzzer\"",
        "A bell between two lines, or a buzzer on one."),
    wire!(HardwareRinger, "ringer", "lines", Wiring::Lines(2), "[22]",
        "Two lines for a bell, one for a buzzer."),
    wire!(HardwareRinger, "ringer", "frequency_hz", Wiring::Number(10, 50), "20",
        "How fast a bell's clapper moves."),

    fitted!(HardwareLamps, "lamps", "`false`: there are no lamps."),
    wire!(HardwareLamps, "lamps", "line", Wiring::Line, "7",
        "Lit while calls can be placed; flashes the number of an error."),
    wire!(HardwareLamps, "lamps", "in_use", Wiring::Line, "8",
        "Lit while the phone is in use, slow with a call on hold, fast while it rings."),
    wire!(HardwareLamps, "lamps", "message", Wiring::Line, "9",
        "Lit while messages wait, slow after a missed call."),
    wire!(HardwareLamps, "lamps", "encrypted", Wiring::Line, "10",
        "Lit while the call is encrypted, fast where that was expected and is not so."),
    wire!(HardwareLamps, "lamps", "muted", Wiring::Line, "11", "Lit while the microphone is off."),
    wire!(HardwareLamps, "lamps", "hands_free", Wiring::Line, "15",
        "Lit while the room may be heard; also what switches a loudspeaker's amplifier on."),
    wire!(HardwareLamps, "lamps", "ringing", Wiring::Line, "14",
        "Flashes fast while the phone rings, and never else: a lamp instead of a bell."),
    wire!(HardwareLamps, "lamps", "watched", Wiring::Lines(8), "[24, 25]",
        "A lamp for each phone of `dial.watch`, in its order."),
    wire!(HardwareLamps, "lamps", "lit", LEVEL, "\"low\"", "Level of a lit lamp."),

    fitted!(HardwareDisplay, "display", "`false`: there is no display."),
    wire!(HardwareDisplay, "display", "controller",
        Wiring::Word(&["ssd1306", "sh1106", "framebuffer"]), "\"ssd1306\"",
        "What drives it. OLEDs of 0.96 inches across have an SSD1306, those of 1.3 inches an \
         SH1106; with the wrong one, two columns of noise are seen at an edge."),
    wire!(HardwareDisplay, "display", "device", Wiring::Text, "\"/dev/i2c-0\"",
        "The bus (`/dev/i2c-1` unless said otherwise) or framebuffer (`/dev/fb0`)."),
    wire!(HardwareDisplay, "display", "address", Wiring::Number(8, 0x77), "61",
        "Its address on the bus, most often 60 (0x3c) or 61 (0x3d)."),
    wire!(HardwareDisplay, "display", "rotation", Wiring::Number(0, 270), "180",
        "How it is mounted, in degrees: 0 or 180; a framebuffer also 90 or 270."),
    wire!(HardwareDisplay, "display", "contrast", Wiring::Number(0, 255), "80",
        "How bright an OLED is."),
    wire!(HardwareDisplay, "display", "dim_after_s", Wiring::Number(0, 86_400), "60",
        "It is dim after so long without use; 0: never."),
    wire!(HardwareDisplay, "display", "off_after_s", Wiring::Number(0, 86_400), "0",
        "It is dark after so long without use, until a key is pressed or it rings; 0: never. An \
         OLED that is always lit wears out in a year or two."),

    fitted!(HardwareWatchdog, "watchdog", "`false`: no hardware watchdog is used."),
    wire!(HardwareWatchdog, "watchdog", "device", Wiring::Text, "\"/dev/watchdog1\"",
        "Its device."),
    wire!(HardwareWatchdog, "watchdog", "timeout_s", Wiring::Number(2, 600), "30",
        "Unfed for so long it restarts the board."),
];
