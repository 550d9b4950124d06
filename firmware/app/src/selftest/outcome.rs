//! What a step of the self-test found, with the text a person reads.

use std::fmt;
use std::io;
use std::net::IpAddr;

/// A step that passed, as far as the phone can know.
#[derive(Debug)]
pub(crate) enum Passed {
    /// Speaker.
    TonePlayed,
    /// Microphone; the level in dB of full scale.
    Recorded { decibel: f64 },
    /// Keypad.
    EveryKey,
    /// Hook switch.
    HookMoved,
    /// Lamps.
    LampsLit,
    /// Ringer.
    BellRang,
    /// Network: the address the configuration names.
    BoundAddress(IpAddr),
    /// Network: each interface with its address.
    Addresses(Vec<String>),
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TonePlayed => f.write_str("a tone of two seconds was played: was it heard?"),
            Self::Recorded { decibel } => write!(
                f,
                "heard {decibel:.0} dB of full scale, and played it back: was it clear?"
            ),
            Self::EveryKey => f.write_str("every key was pressed"),
            Self::HookMoved => f.write_str("lifted and put down"),
            Self::LampsLit => {
                f.write_str("line, in use and messages were lit, a second each: were they seen?")
            }
            Self::BellRang => f.write_str("it rang twice: was it heard?"),
            Self::BoundAddress(address) => {
                write!(f, "the address is {address}, as the configuration says")
            }
            Self::Addresses(addresses) => f.write_str(&addresses.join(", ")),
        }
    }
}

/// A step that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// Microphone; the level in dB of full scale.
    #[error(
        "nothing was heard ({decibel:.0} dB); is it wired, and its gain set ([audio] mixer in \
         hardware.toml)?"
    )]
    Silence { decibel: f64 },
    /// Keypad: these keys.
    #[error(
        "never pressed, or not connected: {}; see [keypad] in hardware.toml",
        spaced(missing)
    )]
    Keys { missing: Vec<char> },
    /// Hook switch.
    #[error("{}; see [hook] in hardware.toml", hook_text(*lifted, *put_down))]
    Hook { lifted: bool, put_down: bool },
    /// Network: the address the configuration names is not there.
    #[error("{bind} is no address of this board ({source}); see [network] bind in offhook.toml")]
    NotBound { bind: IpAddr, source: io::Error },
    /// Network: there is none.
    #[error(
        "no address: no cable, no Wi-Fi, or no DHCP server; see [network] and [wifi] in \
         offhook.toml"
    )]
    NoAddress,
}

fn spaced(keys: &[char]) -> String {
    let keys: Vec<String> = keys.iter().map(char::to_string).collect();
    keys.join(" ")
}

fn hook_text(lifted: bool, put_down: bool) -> &'static str {
    match (lifted, put_down) {
        (false, false) => "it did not move",
        (true, _) => "it was lifted, but never put down",
        (false, true) => "it was put down, but never lifted",
    }
}
