//! The table every other part is made from: each key of `offhook.toml` with its kind, default,
//! text and the field it fills.
//!
//! ```text
//!                      ┌─▶ load        (which keys there are, what they may hold)
//! SECTIONS, settings() ┼─▶ default     (each default is written here and nowhere else)
//!                      ├─▶ example     (offhook.example.toml)
//!                      └─▶ reference   (docs/provisioning.md)
//! ```
//!
//! The keys themselves are in the submodules, one for what a person looks for together.

use std::path::PathBuf;

use types::EncryptionPolicy;

use crate::schema::{Account, Config, Pin};
use crate::value::{Value, ValueKind};

mod account;
mod actions;
mod appliance;
mod audio;
mod board;
mod codes;
mod hardware;
mod mqtt;
mod network;
mod paging;
mod phone;
mod quality;
mod security;

/// A section of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Phone,
    Network,
    Account,
    Dial,
    Call,
    Codecs,
    Quality,
    Encryption,
    Tls,
    TlsPin,
    Security,
    Audio,
    Board,
    BoardAudio,
    Hardware,
    HardwareHook,
    HardwareFlash,
    HardwareKeypad,
    HardwareKeys,
    HardwareInput,
    HardwareRotary,
    HardwareRinger,
    HardwareLamps,
    HardwareDisplay,
    HardwareWatchdog,
    Control,
    Wifi,
    System,
    Provision,
    Update,
    Codes,
    Actions,
    Paging,
    Mqtt,
}

/// Every section in the order of the example, with its path and what it is about.
pub(crate) const SECTIONS: &[(Section, &str, &str)] = &[
    (Section::Phone, "phone", "Who and where this telephone is."),
    (Section::Network, "network", "Addresses and ports."),
    (
        Section::Account,
        "account",
        "One account at a registrar; repeat the section for each, at most 8. The first that can \
         place a call is used. No account is needed for calls between phones without a server.",
    ),
    (Section::Dial, "dial", "From keys to numbers."),
    (Section::Call, "call", "How calls behave."),
    (Section::Codecs, "codecs", "How sound is coded."),
    (
        Section::Quality,
        "quality",
        "What is measured of a call's sound, and who gets it. `offhook report` shows it, too.",
    ),
    (
        Section::Encryption,
        "encryption",
        "Encryption of the sound.",
    ),
    (
        Section::Tls,
        "tls",
        "Signalling over TLS: for accounts with `transport = \"tls\"` and for calls to `sips:` \
         addresses. Certificate and name of a server are checked against the SIP domain; there is \
         no way back to TCP or UDP.",
    ),
    (
        Section::TlsPin,
        "tls.pin",
        "A phone or server known by the fingerprint of its certificate, whatever else the \
         certificate says: this is how two phones call each other encrypted without a server. \
         Repeat the section for each, at most 32. `offhook fingerprint` prints a phone's own.",
    ),
    (Section::Security, "security", "Keys and passwords at rest."),
    (
        Section::Audio,
        "audio",
        "How loud the phone is, and which microphone it hears.",
    ),
    (Section::Board, "board", "The board."),
    (
        Section::BoardAudio,
        "board.audio",
        "The sound card, where it differs from the board's profile.",
    ),
    (
        Section::Hardware,
        "hardware",
        "What is wired otherwise than the board's profile says, key by key, so that no one builds \
         an image to move a wire. A line has one purpose; `offhook check` finds two. `offhook \
         selftest --wiring` finds out what is wired and writes these sections.",
    ),
    (Section::HardwareHook, "hardware.hook", "The hook switch."),
    (
        Section::HardwareFlash,
        "hardware.flash",
        "A flash key of its own.",
    ),
    (
        Section::HardwareKeypad,
        "hardware.keypad",
        "The keypad: a matrix of rows and columns.",
    ),
    (
        Section::HardwareKeys,
        "hardware.keys",
        "Keys beside the keypad, each on a line of its own.",
    ),
    (
        Section::HardwareInput,
        "hardware.input",
        "Keypads and handsets that the kernel drives.",
    ),
    (
        Section::HardwareRotary,
        "hardware.rotary",
        "The rotary dial.",
    ),
    (
        Section::HardwareRinger,
        "hardware.ringer",
        "The bell or buzzer.",
    ),
    (Section::HardwareLamps, "hardware.lamps", "The lamps."),
    (
        Section::HardwareDisplay,
        "hardware.display",
        "The display: a small OLED on an I2C bus, or a framebuffer of the kernel.",
    ),
    (
        Section::HardwareWatchdog,
        "hardware.watchdog",
        "The hardware watchdog.",
    ),
    (
        Section::Control,
        "control",
        "The local socket of `offhook ctl` and the phone's own files.",
    ),
    (
        Section::Wifi,
        "wifi",
        "Wi-Fi. Without `ssid` it stays off. The image applies these settings; another system \
         manages its own Wi-Fi.",
    ),
    (
        Section::System,
        "system",
        "Clock, log and remote access. The image applies these settings; another system manages \
         its own.",
    ),
    (
        Section::Provision,
        "provision",
        "A configuration fetched over the network. This file overrides what it sets. A change is \
         applied when the phone is idle, never during a call.",
    ),
    (
        Section::Update,
        "update",
        "Signed updates of the image; they are also taken from the card.",
    ),
    (
        Section::Codes,
        "codes",
        "Star codes: dialled after lifting the handset, they control the phone itself. An empty \
         text turns a code off.",
    ),
    (
        Section::Actions,
        "actions",
        "URLs that are requested (HTTP GET) when something happens, for home automation. Without \
         any the phone requests nothing. The answer is ignored.",
    ),
    (
        Section::Paging,
        "paging",
        "Announcements to many phones at once, by multicast RTP in clear: whoever is in the \
         network can speak to the room. Without a group the phone listens to none. A page never \
         opens the microphone.",
    ),
    (
        Section::Mqtt,
        "mqtt",
        "State to an MQTT broker, for home automation, and orders from there as far as `orders` \
         lists them. Off without a `broker`. The phone connects to it; it listens to no one.",
    ),
];

/// A name that an earlier release used and this one still reads, with a warning.
struct OldName {
    /// The section it is a key of; `None`: it is the name of a section.
    section: Option<Section>,
    old: &'static str,
    new: &'static str,
}

/// To be removed with release 0.2.
const OLD_NAMES: &[OldName] = &[
    OldName {
        section: None,
        old: "privacy",
        new: "encryption",
    },
    OldName {
        section: Some(Section::Account),
        old: "privacy",
        new: "encryption",
    },
];

/// What a key of `section` (`None`: a section) with this old name is called now.
pub(crate) fn new_name(section: Option<Section>, old: &str) -> Option<&'static str> {
    let mut names = OLD_NAMES.iter();
    let found = names.find(|name| name.section == section && name.old == old)?;
    Some(found.new)
}

/// What a key of `section` (`None`: a section) was called before.
pub(crate) fn old_name(section: Option<Section>, new: &str) -> Option<&'static str> {
    let mut names = OLD_NAMES.iter();
    let found = names.find(|name| name.section == section && name.new == new)?;
    Some(found.old)
}

/// Which field a checked value goes to.
#[derive(Clone, Copy)]
pub(crate) enum Set {
    Config(fn(&mut Config, Value)),
    Account(fn(&mut Account, Value)),
    Pin(fn(&mut Pin, Value)),
}

impl Section {
    /// A list of sections: `[[…]]`.
    pub(crate) fn is_list(self) -> bool {
        matches!(self, Self::Account | Self::TlsPin)
    }

    /// Its path in the file.
    pub(crate) fn path(self) -> &'static str {
        let found = SECTIONS.iter().find(|(section, ..)| *section == self);
        found.map_or("", |(_, path, _)| path)
    }
}

/// What holds when the key is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenUnset {
    /// This value, written as TOML.
    Default(&'static str),
    /// Nothing is set, which means this.
    Means(&'static str),
    /// The key must be there.
    Required,
}

/// One key.
pub(crate) struct Setting {
    pub(crate) section: Section,
    pub(crate) name: &'static str,
    pub(crate) kind: ValueKind,
    pub(crate) when_unset: WhenUnset,
    /// A valid value in TOML that differs from the default.
    pub(crate) example: &'static str,
    /// One or more sentences.
    pub(crate) doc: &'static str,
    pub(crate) set: Set,
}

impl Setting {
    /// Whether only a text on the phone itself may set it: files and devices of the machine, who
    /// may log in, how the network is trusted.
    pub(crate) fn is_local(&self) -> bool {
        let files = matches!(
            self.kind,
            ValueKind::Path
                | ValueKind::File
                | ValueKind::Device(_)
                | ValueKind::Folder
                | ValueKind::Wiring(_)
        );
        files
            || matches!(
                (self.section, self.name),
                (Section::System, "ssh_keys")
                    | (Section::Provision, "allow_http")
                    | (Section::Tls, "verify" | "listen")
                    | (Section::Mqtt, "tls")
                    | (Section::TlsPin | Section::Security, _)
            )
    }
}

/// Most accounts.
pub(crate) const MAX_ACCOUNTS: usize = 8;
/// Most pins.
pub(crate) const MAX_PINS: usize = 32;

/// How much encryption may be asked for.
const MODES: &[&str] = &[
    EncryptionPolicy::Off.as_str(),
    EncryptionPolicy::Preferred.as_str(),
    EncryptionPolicy::Required.as_str(),
];

fn path(value: Value) -> PathBuf {
    PathBuf::from(value.text())
}

/// A key of a section that is there once: the table reads better without field names on each line.
const fn setting(
    section: Section,
    name: &'static str,
    kind: ValueKind,
    when_unset: WhenUnset,
    example: &'static str,
    set: fn(&mut Config, Value),
    doc: &'static str,
) -> Setting {
    Setting {
        section,
        name,
        kind,
        when_unset,
        example,
        doc,
        set: Set::Config(set),
    }
}

/// Every key, by section, in the order of the example.
const TABLES: &[&[Setting]] = &[
    phone::SETTINGS,
    quality::SETTINGS,
    network::SETTINGS,
    account::SETTINGS,
    security::SETTINGS,
    audio::SETTINGS,
    board::SETTINGS,
    hardware::SETTINGS,
    appliance::SETTINGS,
    codes::SETTINGS,
    actions::SETTINGS,
    paging::SETTINGS,
    mqtt::SETTINGS,
];

/// Every key.
pub(crate) fn settings() -> impl Iterator<Item = &'static Setting> + Clone {
    TABLES.iter().copied().flatten()
}

/// The keys of one section, in the order of the example.
pub(crate) fn settings_of(section: Section) -> impl Iterator<Item = &'static Setting> + Clone {
    settings().filter(move |setting| setting.section == section)
}
