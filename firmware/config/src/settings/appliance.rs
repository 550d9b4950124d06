//! What the image applies: `[wifi]`, `[system]`, `[provision]`, `[update]`.

use super::{Section, Setting, WhenUnset, path, setting};
use crate::schema::{Secret, WifiSecurity};
use crate::value::{TextFormat, ValueKind};

/// These keys, by section, in the order of the example. A later key may build on an earlier one of
/// its section.
#[rustfmt::skip]
pub(super) const SETTINGS: &[Setting] = &[
    setting(Section::Wifi, "ssid", ValueKind::Formatted(TextFormat::Ssid),
        WhenUnset::Means("no Wi-Fi"), "\"Home\"",
        |c, v| c.wifi.ssid = Some(v.text()),
        "Name of the network."),
    setting(Section::Wifi, "password", ValueKind::Formatted(TextFormat::WifiPassword),
        WhenUnset::Means("none"), "\"correct horse battery\"",
        |c, v| c.wifi.password = Secret(v.text()),
        "Its password. Never shown in log or status."),
    setting(Section::Wifi, "security", ValueKind::Choice(&["any", "wpa2", "wpa3", "open"]),
        WhenUnset::Default("\"any\""), "\"wpa3\"",
        |c, v| c.wifi.security = match v.text()
            .as_str() { "wpa2" => WifiSecurity::Wpa2, "wpa3" => WifiSecurity::Wpa3,
            "open" => WifiSecurity::Open, _other => WifiSecurity::Any },
        "`any` uses WPA3 or WPA2, whichever the network supports; `open` is unprotected."),
    setting(Section::Wifi, "country", ValueKind::Formatted(TextFormat::Region),
        WhenUnset::Means("that of `[phone] country`"), "\"DE\"",
        |c, v| c.wifi.region = Some(v.text()),
        "Country whose radio regulations apply."),
    setting(Section::Wifi, "hidden", ValueKind::Bool, WhenUnset::Default("false"), "true",
        |c, v| c.wifi.hidden = v.bool(),
        "The network does not broadcast its name."),

    setting(Section::System, "time_zone", ValueKind::Formatted(TextFormat::TimeZone),
        WhenUnset::Means("that of `[phone] country`"), "\"Europe/Berlin\"",
        |c, v| c.system.time_zone = v.text(),
        "Local time, by the zone's name or as a POSIX rule."),
    setting(Section::System, "ntp", ValueKind::FormattedList(TextFormat::Server, 4),
        WhenUnset::Default("[\"pool.ntp.org\"]"), "[\"192.168.1.1\"]",
        |c, v| c.system.ntp = v.texts(),
        "Time servers; `[]` asks none."),
    setting(Section::System, "syslog", ValueKind::Formatted(TextFormat::Host),
        WhenUnset::Means("none"), "\"10.0.0.5:514\"",
        |c, v| c.system.syslog = Some(v.text()),
        "Syslog server that also receives the log, by UDP."),
    setting(Section::System, "ssh_keys", ValueKind::FormattedList(TextFormat::SshKey, 8),
        WhenUnset::Default("[]"),
        "[\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJz2b6Y9exampleexampleexample anna\"]",
        |c, v| c.system.ssh_keys = v.texts(),
        "Public keys that may log in. Without one there is no SSH server; there is no password in \
         any case."),

    setting(Section::Provision, "url", ValueKind::Formatted(TextFormat::Url),
        WhenUnset::Means("by DHCP, where `dhcp` allows"),
        "\"https://pbx.example.net/phones/{mac}.toml\"",
        |c, v| c.provision.url = Some(v.text()),
        "Address from which the configuration is fetched. `{mac}` stands for the phone's hardware \
         address: twelve lower-case hexadecimal digits."),
    setting(Section::Provision, "dhcp", ValueKind::Bool, WhenUnset::Default("true"), "false",
        |c, v| c.provision.dhcp = v.bool(),
        "Without `url`, take it from DHCP options 160, 66 and 43."),
    setting(Section::Provision, "mdns", ValueKind::Bool, WhenUnset::Default("true"), "false",
        |c, v| c.provision.mdns = v.bool(),
        "Without `url`, and where DHCP names none, a server that answers for `_offhook._tcp` in \
         this network (DNS-SD) is asked, if `ca` vouches for it."),
    setting(Section::Provision, "allow_http", ValueKind::Bool, WhenUnset::Default("false"), "true",
        |c, v| c.provision.allow_http = v.bool(),
        "Allow unencrypted `http`: anyone on the path can then read the passwords and configure \
         the phone."),
    setting(Section::Provision, "every_h", ValueKind::Number(0, 720), WhenUnset::Default("24"), "1",
        |c, v| c.provision.every_h = v.number() as u32,
        "Hours between two checks; 0: only at start."),
    setting(Section::Provision, "ca", ValueKind::Path, WhenUnset::Means("those of `[tls]`, or the \
        system's"), "\"ca.pem\"",
        |c, v| c.provision.ca = Some(path(v)),
        "File with the certificates (PEM) that are trusted for this server; a relative path starts \
         at the directory of this file."),

    setting(Section::Update, "url", ValueKind::Formatted(TextFormat::Url),
        WhenUnset::Means("only from the card"),
        "\"https://updates.example.net/offhook/{board}.raucb\"",
        |c, v| c.update.url = Some(v.text()),
        "Address at which the phone looks for signed updates. `{board}` stands for the board's \
         name."),
];
