//! Formats of the texts in the appliance's sections: names, addresses, keys, codes. Each reports
//! what is wrong with a text and how to correct it.
//!
//! ```text
//! text + TextFormat ─▶ check ─▶ fine, or (what, help)
//! ```

use super::is_keyed;
use crate::error::{nearest, quote};
use crate::schema::{DirectCaller, Hours, Ipv4Config, Ipv6Config, Mqtt, Paging, RingSound};
use crate::{address, time_zone};

/// A text with a grammar of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextFormat {
    /// Name of the machine.
    HostName,
    /// Name of a network interface, or `auto`.
    Interface,
    /// `dhcp`, `off` or an address with its prefix.
    Ipv4Config,
    /// `auto`, `off` or an address with its prefix.
    Ipv6Config,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// An address of either kind.
    Ip,
    /// A host, with or without port.
    Host,
    /// A host without a port.
    Server,
    /// Name of a Wi-Fi network.
    Ssid,
    /// Password of a Wi-Fi network.
    WifiPassword,
    /// Two letters of a country.
    Region,
    /// Time zone by name or POSIX rule.
    TimeZone,
    /// `https://…` or `http://…`.
    Url,
    /// Keys of a star code; empty: none.
    Code,
    /// One public key of SSH.
    SshKey,
    /// Who may call without a server.
    DirectCaller,
    /// A pattern of callers.
    Caller,
    /// A number or a SIP address.
    Target,
    /// From when to when every day.
    Hours,
    /// A built-in sound, or a file of the card.
    RingSound,
    /// A multicast address with its port.
    PagingGroup,
    /// The beginning of MQTT topics.
    Topic,
}

/// What is wrong, and the help where it is better than the format's own.
type Wrong = (String, Option<String>);

impl TextFormat {
    pub(crate) fn check(self, text: &str) -> Result<(), Wrong> {
        let shown = quote(text);
        let or = |fine: bool, what: String| if fine { Ok(()) } else { Err((what, None)) };
        match self {
            Self::HostName => {
                let label = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
                let fine = (1..=63).contains(&text.len())
                    && text.bytes().all(label)
                    && !text.starts_with('-')
                    && !text.ends_with('-');
                or(fine, format!("{shown} is not a host name"))
            }
            Self::Interface => {
                let name = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
                or(
                    (1..=15).contains(&text.len()) && text.bytes().all(name),
                    format!("{shown} is not the name of a network interface"),
                )
            }
            Self::Ipv4Config => or(
                Ipv4Config::from_text(text).is_some(),
                format!("{shown} is not an address setting"),
            ),
            Self::Ipv6Config => or(
                Ipv6Config::from_text(text).is_some(),
                format!("{shown} is not an address setting"),
            ),
            Self::Ipv4 => or(
                text.parse::<std::net::Ipv4Addr>().is_ok(),
                format!("{shown} is not an IPv4 address"),
            ),
            Self::Ipv6 => or(
                text.parse::<std::net::Ipv6Addr>().is_ok(),
                format!("{shown} is not an IPv6 address"),
            ),
            Self::Ip => or(
                text.parse::<std::net::IpAddr>().is_ok(),
                format!("{shown} is not an IP address"),
            ),
            Self::Host => address::host_port(text)
                .map_err(|why| (format!("{shown} is not a host: {why}"), None)),
            Self::Server => match address::host_port(text) {
                Ok(())
                    if text
                        .rsplit(']')
                        .next()
                        .is_some_and(|rest| rest.contains(':')) =>
                {
                    Err((
                        format!("{shown} has a port, and time servers have none"),
                        None,
                    ))
                }
                Ok(()) => Ok(()),
                Err(why) => Err((format!("{shown} is not a host: {why}"), None)),
            },
            Self::Ssid => or(
                (1..=32).contains(&text.len()),
                format!("the name has {} bytes", text.len()),
            ),
            Self::WifiPassword => {
                let hex = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
                let phrase = (8..=63).contains(&text.len())
                    && text.bytes().all(|b| (b' '..=b'~').contains(&b));
                // The text itself is never shown.
                let what = if text.is_ascii() {
                    format!("the password has {} characters", text.len())
                } else {
                    "the password has characters that are not ASCII".to_owned()
                };
                or(hex || phrase, what)
            }
            Self::Region => or(
                text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase()),
                format!("{shown} is not a country code of the radio regulations"),
            ),
            Self::TimeZone => {
                if time_zone::rule(text).is_some() {
                    return Ok(());
                }
                let near = nearest(text, time_zone::names())
                    .map(|name| format!("did you mean \"{name}\"?"));
                Err((format!("there is no time zone {shown}"), near))
            }
            Self::Url => {
                // Not shown: a token may stand in it.
                address::url(text).map_err(|why| (format!("this is not a URL: {why}"), None))
            }
            Self::Code => or(
                text.is_empty() || is_keyed(text),
                format!("{shown} cannot be dialled with the keys 0-9, * and #"),
            ),
            Self::SshKey => check_ssh_key(text),
            Self::Caller => or(
                !text.trim().is_empty() && text.chars().count() <= 64,
                format!("{shown} is not a pattern of callers"),
            ),
            Self::Hours => or(
                Hours::from_text(text).is_some(),
                format!("{shown} does not say from when to when"),
            ),
            Self::RingSound => {
                if RingSound::from_text(text).is_some() {
                    return Ok(());
                }
                let names = RingSound::BUILT_IN;
                let near = nearest(text, names.iter().map(RingSound::as_str))
                    .map(|name| format!("did you mean \"{name}\"?"));
                Err((format!("{shown} is no sound"), near))
            }
            Self::PagingGroup => or(
                Paging::group(text).is_some(),
                format!("{shown} is not a multicast address with an even port"),
            ),
            Self::Topic => or(
                Mqtt::is_topic(text),
                format!("{shown} cannot be the beginning of a topic"),
            ),
            Self::Target => super::check_target(text).map_err(|what| (what.to_string(), None)),
            Self::DirectCaller => or(
                DirectCaller::from_text(text).is_some(),
                format!("{shown} is neither an address, a network, nor a SIP address of one"),
            ),
        }
    }

    /// For "this is not …".
    pub(crate) fn shape(self) -> &'static str {
        match self {
            Self::HostName => "the name of a machine",
            Self::Interface => "the name of an interface",
            Self::Ipv4Config
            | Self::Ipv6Config
            | Self::Ipv4
            | Self::Ipv6
            | Self::Ip
            | Self::DirectCaller => "an address in quotes",
            Self::Host | Self::Server => "a host",
            Self::Target => "a number or SIP address",
            Self::Hours => "hours in quotes",
            Self::RingSound => "a sound in quotes",
            Self::PagingGroup => "a multicast address in quotes",
            Self::Topic => "a topic in quotes",
            Self::Ssid => "the name of a network",
            Self::WifiPassword => "text",
            Self::Region => "two letters",
            Self::TimeZone => "a time zone",
            Self::Url => "a URL",
            Self::Code => "keys in quotes",
            Self::Caller => "a pattern in quotes",
            Self::SshKey => "a public key",
        }
    }

    /// What would be right; begins with "write".
    pub(crate) fn help(self) -> &'static str {
        match self {
            Self::HostName => {
                "write letters, digits and hyphens in quotes, at most 63, like \"kitchen-phone\""
            }
            Self::Interface => {
                "write \"auto\" or the kernel's name of the interface in quotes, like \"eth0\""
            }
            Self::Ipv4Config => {
                "write \"dhcp\", \"off\", or an address with the length of its prefix, like \
                 \"192.168.1.20/24\""
            }
            Self::Ipv6Config => {
                "write \"auto\", \"off\", or an address with the length of its prefix, like \
                 \"2001:db8::20/64\""
            }
            Self::Ipv4 => "write an IPv4 address in quotes, like \"192.168.1.1\"",
            Self::Ipv6 => "write an IPv6 address in quotes, like \"fe80::1\"",
            Self::Ip => "write an IPv4 or IPv6 address in quotes, like \"192.168.1.1\"",
            Self::Host => {
                "write a name or address in quotes, with or without port, like \"log.example.net\" \
                 or \"10.0.0.1:514\""
            }
            Self::Server => {
                "write a name or address in quotes, like \"time.example.net\" or \"[2001:db8::1]\""
            }
            Self::Ssid => "write the name of the Wi-Fi network in quotes, 1 to 32 bytes",
            Self::WifiPassword => {
                "write 8 to 63 characters, or a key of 64 hexadecimal digits, in quotes"
            }
            Self::Region => "write the two capital letters of the country in quotes, like \"DE\"",
            Self::TimeZone => {
                "write a name like \"Europe/Berlin\", or a POSIX rule like \
                 \"CET-1CEST,M3.5.0,M10.5.0/3\", in quotes"
            }
            Self::Url => {
                "write an address in quotes, like \"https://example.net/phones/{mac}.toml\""
            }
            Self::Code => {
                "write keys 0-9, * and # in quotes, at most 16, like \"*78\", or \"\" for none"
            }
            Self::Caller => {
                "write a number, address or name in quotes, at most 64 characters, `*` for any \
                 characters, like \"0900*\""
            }
            Self::PagingGroup => {
                "write a multicast address (224.0.0.0/4 or ff00::/8) and an even port from 1024 on \
                 in quotes, like \"239.1.1.1:5004\""
            }
            Self::RingSound => {
                "write `bell`, `low`, `high` or `chord`, or the name of a file beside offhook.toml \
                 (.wav, .opus), in quotes"
            }
            Self::Topic => {
                "write names with `/` between them in quotes, at most 64 bytes, without `+`, `#` \
                 and `$`, like \"house/phones\""
            }
            Self::Hours => "write two times of 24 hours in quotes, like \"22:00-07:00\"",
            Self::Target => {
                "write a number of the keys 0-9, * and #, or a SIP address, in quotes, like \
                 \"205\" or \"sip:anna@10.0.0.7\""
            }
            Self::SshKey => {
                "write a line of an SSH public key file in quotes, like \"ssh-ed25519 AAAA… anna\""
            }
            Self::DirectCaller => {
                "write an IP address, a network like \"192.168.1.0/24\", or a user at an address \
                 like \"sip:bob@192.168.1.20\""
            }
        }
    }
}

fn check_ssh_key(text: &str) -> Result<(), Wrong> {
    const KINDS: [&str; 5] = [
        "ssh-ed25519",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
    ];
    if text.contains("PRIVATE KEY") {
        return Err((
            "this is a private key, which must stay with its owner".to_owned(),
            Some("copy the line of the `.pub` file beside it".to_owned()),
        ));
    }
    let mut parts = text.split(' ');
    let (kind, key) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    if !KINDS.contains(&kind) {
        return Err((format!("{} is not a type of public key", quote(kind)), None));
    }
    let base64 = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/' || b == b'=';
    if key.len() < 32 || !key.bytes().all(base64) {
        return Err(("the key is incomplete".to_owned(), None));
    }
    if text.len() > 4096 {
        return Err(("the key is longer than 4096 characters".to_owned(), None));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_texts_pass_and_wrong_ones_say_why() {
        let table: &[(TextFormat, &[&str], &[&str])] = &[
            (
                TextFormat::HostName,
                &["phone", "k-1"],
                &["", "-a", "a_b", "a.b", "a b"],
            ),
            (
                TextFormat::Interface,
                &["auto", "eth0", "wlan0"],
                &["", "eth0; reboot", "sixteen-letters0"],
            ),
            (
                TextFormat::Ipv4Config,
                &["dhcp", "off", "10.0.0.2/8"],
                &["10.0.0.2", "static"],
            ),
            (
                TextFormat::Ipv6Config,
                &["auto", "off", "fd00::2/64"],
                &["dhcp", "fd00::2"],
            ),
            (
                TextFormat::Host,
                &["log.example.net", "10.0.0.1:514"],
                &["a b", "10.0.0"],
            ),
            (
                TextFormat::Server,
                &["time.example.net", "[2001:db8::1]", "10.0.0.1"],
                &["a:123", "[::1]:123", "::1"],
            ),
            (
                TextFormat::Ssid,
                &["Café", "x"],
                &["", "123456789012345678901234567890123"],
            ),
            (
                TextFormat::WifiPassword,
                &["12345678", "with spaces too"],
                &["short", "pässword1"],
            ),
            (TextFormat::Region, &["DE"], &["de", "DEU"]),
            (
                TextFormat::TimeZone,
                &["Europe/Berlin", "UTC", "CET-1CEST,M3.5.0,M10.5.0/3"],
                &["Europe/Berln", "", "CET"],
            ),
            (
                TextFormat::Url,
                &["https://a.example/{mac}.cfg", "http://10.0.0.1:8080/x"],
                &["ftp://a/x", "a.example/x", "https://"],
            ),
            (
                TextFormat::Hours,
                &["22:00-07:00", "00:00-23:59"],
                &["22-7", "22:00", "24:00-07:00", "7:00-8:00", "07:00-07:00"],
            ),
            (TextFormat::Code, &["*78", ""], &["*9x", "abc"]),
            (TextFormat::Topic, &["offhook", "a/b"], &["", "a/#", "/a"]),
            (
                TextFormat::SshKey,
                &["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJz2b6Y9 anna@desk"],
                &[
                    "ssh-ed25519",
                    "-----BEGIN OPENSSH PRIVATE KEY-----",
                    "dsa AAAAC3NzaC1lZDI1NTE5AAAAIJz2b6Y9",
                ],
            ),
        ];
        for (word, right, wrong) in table {
            for text in *right {
                assert_eq!(word.check(text), Ok(()), "{word:?} {text}");
            }
            for text in *wrong {
                assert!(word.check(text).is_err(), "{word:?} {text}");
            }
            assert!(word.help().starts_with("write "), "{word:?}");
        }
    }

    #[test]
    fn a_password_is_not_repeated() {
        let (what, _) = TextFormat::WifiPassword.check("hunter2").unwrap_err();
        assert!(!what.contains("hunter2"), "{what}");
    }

    #[test]
    fn the_nearest_zone_is_suggested() {
        assert_eq!(
            TextFormat::TimeZone
                .check("Europe/Berln")
                .unwrap_err()
                .1
                .as_deref(),
            Some("did you mean \"Europe/Berlin\"?")
        );
    }
}
