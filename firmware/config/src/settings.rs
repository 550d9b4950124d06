//! The table every other part is made from: each key of `offhook.toml` with its kind, default,
//! text and the field it fills.
//!
//! ```text
//!                  ┌─▶ load        (which keys there are, what they may hold)
//! SECTIONS, SETTINGS ──┼─▶ default     (each default is written here and nowhere else)
//!                  ├─▶ example     (offhook.example.toml)
//!                  └─▶ reference   (docs/provisioning.md)
//! ```

use std::path::PathBuf;

use types::{Codec, EncryptionPolicy, Keying, SrtpSuite, Transport};

use crate::schema::{
    Account, Config, DigestPolicy, DirectCaller, Flash, Ipv4Config, Ipv6Config, Listen, Pin,
    Secret, WifiSecurity,
};
use crate::value::{TextFormat, Value, ValueKind};

/// A section of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Phone,
    Network,
    Account,
    Dial,
    Call,
    Codecs,
    Encryption,
    Tls,
    TlsPin,
    Security,
    Board,
    BoardAudio,
    Control,
    Wifi,
    System,
    Provision,
    Update,
    Codes,
}

/// Every section in the order of the example, with its path and what it is about.
pub(crate) const SECTIONS: &[(Section, &str, &str)] = &[
    (Section::Phone, "phone", "Who and where this telephone is."),
    (Section::Network, "network", "Addresses and ports."),
    (
        Section::Account,
        "account",
        "One account at a registrar; repeat the section for each, at most 8. The first that can place a call is used. \
         No account is needed for calls between phones without a server.",
    ),
    (Section::Dial, "dial", "From keys to numbers."),
    (Section::Call, "call", "How calls behave."),
    (Section::Codecs, "codecs", "How sound is coded."),
    (
        Section::Encryption,
        "encryption",
        "Encryption of the sound.",
    ),
    (
        Section::Tls,
        "tls",
        "Signalling over TLS: for accounts with `transport = \"tls\"` and for calls to `sips:` addresses. Certificate and name of a server \
         are checked against the SIP domain; there is no way back to TCP or UDP.",
    ),
    (
        Section::TlsPin,
        "tls.pin",
        "A phone or server known by the fingerprint of its certificate, whatever else the certificate says: this \
         is how two phones call each other encrypted without a server. Repeat the section for each, at most 32. \
         `offhook fingerprint` prints a phone's own.",
    ),
    (Section::Security, "security", "Keys and passwords at rest."),
    (Section::Board, "board", "The board."),
    (
        Section::BoardAudio,
        "board.audio",
        "The sound card, where it differs from the board's profile.",
    ),
    (
        Section::Control,
        "control",
        "The local socket of `offhook ctl` and the phone's own files.",
    ),
    (
        Section::Wifi,
        "wifi",
        "Wi-Fi. Without `ssid` it stays off. The image applies these settings; another system manages its own Wi-Fi.",
    ),
    (
        Section::System,
        "system",
        "Clock, log and remote access. The image applies these settings; another system manages its own.",
    ),
    (
        Section::Provision,
        "provision",
        "A configuration fetched over the network. This file overrides what it sets. A change is applied when the phone is idle, \
         never during a call.",
    ),
    (
        Section::Update,
        "update",
        "Signed updates of the image; they are also taken from the card.",
    ),
    (
        Section::Codes,
        "codes",
        "Star codes: dialled after lifting the handset, they control the phone itself. An empty text turns a code off.",
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
            ValueKind::Path | ValueKind::File | ValueKind::Device(_) | ValueKind::Folder
        );
        files
            || matches!(
                (self.section, self.name),
                (Section::System, "ssh_keys")
                    | (Section::Provision, "allow_http")
                    | (Section::Tls, "verify" | "listen")
                    | (Section::TlsPin | Section::Security, _)
            )
    }
}

/// Most accounts.
pub(crate) const MAX_ACCOUNTS: usize = 8;
/// Most pins.
pub(crate) const MAX_PINS: usize = 32;

const CODECS: &[&str] = &[
    Codec::Opus.as_str(),
    Codec::G722.as_str(),
    Codec::Pcmu.as_str(),
    Codec::Pcma.as_str(),
];

const TRANSPORTS: &[&str] = &[
    Transport::Udp.as_str(),
    Transport::Tcp.as_str(),
    Transport::Tls.as_str(),
];

const MODES: &[&str] = &[
    EncryptionPolicy::Off.as_str(),
    EncryptionPolicy::Preferred.as_str(),
    EncryptionPolicy::Required.as_str(),
];

const SUITES: &[&str] = &[
    SrtpSuite::AeadAes256Gcm.as_str(),
    SrtpSuite::AeadAes128Gcm.as_str(),
    SrtpSuite::AesCm256HmacSha1_80.as_str(),
    SrtpSuite::AesCm128HmacSha1_80.as_str(),
];

fn path(value: Value) -> PathBuf {
    PathBuf::from(value.text())
}

/// An order's keys; none where the text is empty.
fn star_code(value: Value) -> Option<String> {
    Some(value.text()).filter(|keys| !keys.is_empty())
}

/// Shorthand: the table reads better without the struct's field names on each line.
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

const fn account(
    name: &'static str,
    kind: ValueKind,
    when_unset: WhenUnset,
    example: &'static str,
    set: fn(&mut Account, Value),
    doc: &'static str,
) -> Setting {
    Setting {
        section: Section::Account,
        name,
        kind,
        when_unset,
        example,
        doc,
        set: Set::Account(set),
    }
}

const fn pin(
    name: &'static str,
    kind: ValueKind,
    example: &'static str,
    set: fn(&mut Pin, Value),
    doc: &'static str,
) -> Setting {
    Setting {
        section: Section::TlsPin,
        name,
        kind,
        when_unset: WhenUnset::Required,
        example,
        doc,
        set: Set::Pin(set),
    }
}

/// Every key, by section, in the order of the example. A later key may build on an earlier one of
/// its section.
#[rustfmt::skip]
pub(crate) const SETTINGS: &[Setting] = &[
    setting(Section::Phone, "country", ValueKind::Country, WhenUnset::Default("\"us\""), "\"de\"",
        |c, v| c.phone.country = v.text(),
        "Country whose tones, ringing cadence, flash window and emergency numbers the phone uses (`gb` is `uk`)."),
    setting(Section::Phone, "name", ValueKind::Text(64, false), WhenUnset::Default("\"Offhook\""), "\"Kitchen\"",
        |c, v| c.phone.name = v.text(),
        "Name shown to others in calls without a server."),
    setting(Section::Phone, "user", ValueKind::SipUser, WhenUnset::Default("\"phone\""), "\"kitchen\"",
        |c, v| c.phone.user = v.text(),
        "User part of the phone's own address in calls without a server: `sip:USER@address`."),
    setting(Section::Phone, "log", ValueKind::LogFilter, WhenUnset::Default("\"info\""), "\"info,offhook=debug\"",
        |c, v| c.phone.log = v.text(),
        "What is logged: error, warn, info, debug or trace, also for single parts of the program."),

    setting(Section::Network, "bind", ValueKind::Ip, WhenUnset::Default("\"0.0.0.0\""), "\"192.168.1.20\"",
        |c, v| if let Value::Ip(ip) = v { c.network.bind = ip },
        "Address the SIP and RTP sockets are bound to; `0.0.0.0` or `::` for all."),
    setting(Section::Network, "sip_port", ValueKind::Number(1, 65535), WhenUnset::Default("5060"), "5062",
        |c, v| c.network.sip_port = v.number() as u16,
        "SIP port, for UDP and TCP."),
    setting(Section::Network, "rtp_ports", ValueKind::PortRange, WhenUnset::Default("[20000, 20099]"), "[30000, 30019]",
        |c, v| if let Value::Ports(first, last) = v { c.network.rtp_ports = (first, last) },
        "First and last port for sound. Each call takes two: RTP the even one, RTCP the odd one above it."),
    setting(Section::Network, "rtp_dscp", ValueKind::Number(0, 63), WhenUnset::Default("46"), "34",
        |c, v| c.network.rtp_dscp = v.number() as u8,
        "DSCP mark of sound packets (RFC 2474); 46 is expedited forwarding."),
    setting(Section::Network, "sip_dscp", ValueKind::Number(0, 63), WhenUnset::Default("24"), "26",
        |c, v| c.network.sip_dscp = v.number() as u8,
        "DSCP mark of SIP packets; 24 is class selector 3."),
    setting(Section::Network, "host_name", ValueKind::Formatted(TextFormat::HostName), WhenUnset::Default("\"offhook\""), "\"kitchen-phone\"",
        |c, v| c.link.host_name = v.text(),
        "Name of the machine, sent to the DHCP server. The image applies this key and those below."),
    setting(Section::Network, "interface", ValueKind::Formatted(TextFormat::Interface), WhenUnset::Default("\"auto\""), "\"eth0\"",
        |c, v| c.link.interface = v.text(),
        "Network interface: `auto` is Wi-Fi where `[wifi]` has an `ssid` and no `vlan` is set, else the first cable."),
    setting(Section::Network, "address", ValueKind::Formatted(TextFormat::Ipv4Config), WhenUnset::Default("\"dhcp\""), "\"192.168.1.20/24\"",
        |c, v| if let Some(way) = Ipv4Config::from_text(&v.text()) { c.link.ipv4 = way },
        "IPv4: from DHCP, a fixed address, or off."),
    setting(Section::Network, "gateway", ValueKind::Formatted(TextFormat::Ipv4), WhenUnset::Means("the one DHCP provides"), "\"192.168.1.1\"",
        |c, v| c.link.gateway = v.text().parse().ok(),
        "IPv4 router."),
    setting(Section::Network, "dns", ValueKind::FormattedList(TextFormat::Ip, 3), WhenUnset::Default("[]"), "[\"192.168.1.1\", \"2001:db8::53\"]",
        |c, v| c.link.dns = v.texts().iter().filter_map(|ip| ip.parse().ok()).collect(),
        "Name servers; with none, those DHCP provides."),
    setting(Section::Network, "ipv6", ValueKind::Formatted(TextFormat::Ipv6Config), WhenUnset::Default("\"auto\""), "\"2001:db8::20/64\"",
        |c, v| if let Some(way) = Ipv6Config::from_text(&v.text()) { c.link.ipv6 = way },
        "IPv6: from router advertisements, a fixed address, or off."),
    setting(Section::Network, "ipv6_gateway", ValueKind::Formatted(TextFormat::Ipv6), WhenUnset::Means("the one advertised"), "\"fe80::1\"",
        |c, v| c.link.ipv6_gateway = v.text().parse().ok(),
        "IPv6 router."),
    setting(Section::Network, "vlan", ValueKind::Number(1, 4094), WhenUnset::Means("none"), "20",
        |c, v| c.link.vlan = Some(v.number() as u16),
        "VLAN (IEEE 802.1Q) on which everything is sent and received."),
    setting(Section::Network, "vlan_priority", ValueKind::Number(0, 7), WhenUnset::Default("5"), "6",
        |c, v| c.link.vlan_priority = v.number() as u8,
        "Priority (IEEE 802.1p) on that VLAN; 5 is voice."),

    account("user", ValueKind::SipUser, WhenUnset::Required, "\"101\"", |a, v| a.user = v.text(),
        "User part of the address at the registrar: `101` of `sip:101@pbx.example.net`."),
    account("domain", ValueKind::Host, WhenUnset::Required, "\"pbx.example.net\"", |a, v| a.domain = v.text(),
        "SIP domain: the part after the `@`, with a port where it is not 5060."),
    account("name", ValueKind::Text(64, false), WhenUnset::Means("`user@domain`"), "\"office\"", |a, v| a.name = v.text(),
        "Short name used in status and log; no two accounts have the same."),
    account("auth_user", ValueKind::Text(128, false), WhenUnset::Means("the same as `user`"), "\"u-83110\"", |a, v| a.auth_user = Some(v.text()),
        "User name for the password, where it differs from `user`."),
    account("password", ValueKind::Secret, WhenUnset::Default("\"\""), "\"correct horse\"", |a, v| a.password = Secret(v.text()),
        "Password (digest authentication). Never shown in log or status."),
    account("digest", ValueKind::Choice(&["any", "sha-256"]), WhenUnset::Default("\"any\""), "\"sha-256\"",
        |a, v| a.digest = match v.text().as_str() { "sha-256" => DigestPolicy::Sha256, _other => DigestPolicy::Any },
        "Digest algorithm (RFC 8760). `any`: the strongest the server offers, MD5 where it offers nothing else. `sha-256`: never MD5, \
         so that no one on the path can make the server seem to offer nothing better."),
    account("display_name", ValueKind::Text(64, false), WhenUnset::Means("none"), "\"Anna Berg\"", |a, v| a.display_name = Some(v.text()),
        "Name shown to the called party."),
    account("transport", ValueKind::Choice(TRANSPORTS), WhenUnset::Default("\"udp\""), "\"tls\"",
        |a, v| a.transport = Transport::from_name(&v.text()).unwrap_or(Transport::Udp),
        "Transport to the registrar. `udp` changes to TCP by itself for messages above 1300 bytes; `tls` never falls back to \
         anything else."),
    account("registrar", ValueKind::Host, WhenUnset::Means("found by `domain`"), "\"10.0.0.2:5060\"", |a, v| a.registrar = Some(v.text()),
        "Where the registrar is, when it is not found by `domain`."),
    account("outbound_proxy", ValueKind::Host, WhenUnset::Means("none"), "\"sbc.example.net\"", |a, v| a.outbound_proxy = Some(v.text()),
        "Host through which every request is sent."),
    account("expires_s", ValueKind::Number(60, 86400), WhenUnset::Default("300"), "3600", |a, v| a.expires_s = v.number() as u32,
        "Lifetime of the registration asked for, in seconds; it is refreshed in time."),
    account("register", ValueKind::Bool, WhenUnset::Default("true"), "false", |a, v| a.register = v.bool(),
        "`false`: calls go out by this account, but it never registers."),
    account("encryption", ValueKind::Choice(MODES), WhenUnset::Means("as `encryption.mode` says"), "\"required\"", |a, v| a.encryption = EncryptionPolicy::from_name(&v.text()),
        "How much encryption calls by this account use, where that differs from `[encryption]`."),

    setting(Section::Dial, "digit_map", ValueKind::DigitMap, WhenUnset::Default("\"xx.T|*[x*].T\""), "\"<00:+>x.T|0x.T|[1-8]xx|1900x.!\"",
        |c, v| c.dial.digit_map = v.text(),
        "Which numbers exist (RFC 3435 digit map): `x` any digit, `[1-3]` one of these, `.` none or more of it, `|` or, a final `T` \
         \"until the digit timer\". Besides, `<a:b>` dials b for a, `,` gives a second dial tone, a final `!` bars. \
         A complete number is sent at once, one that could be longer after the short timer, and `#` sends at once."),
    setting(Section::Dial, "long_timer_ms", ValueKind::Number(1000, 60000), WhenUnset::Default("10000"), "15000",
        |c, v| c.dial.long_timer_ms = v.number() as u32,
        "Digit timer in ms while the number is not complete."),
    setting(Section::Dial, "short_timer_ms", ValueKind::Number(500, 30000), WhenUnset::Default("3000"), "4000",
        |c, v| c.dial.short_timer_ms = v.number() as u32,
        "Digit timer in ms while the number is complete but could be longer."),
    setting(Section::Dial, "emergency", ValueKind::Numbers(16), WhenUnset::Default("[]"), "[\"117\"]",
        |c, v| c.dial.emergency = v.texts(),
        "Emergency numbers in addition to those of the country: matched first, sent at once, never blocked."),
    setting(Section::Dial, "emergency_route", ValueKind::SipUri, WhenUnset::Means("none"), "\"sip:112@10.0.0.2\"",
        |c, v| c.dial.emergency_route = Some(v.text()),
        "Address that is called for an emergency number when no account is registered."),
    setting(Section::Dial, "hotline", ValueKind::Target, WhenUnset::Means("none"), "\"101\"",
        |c, v| c.dial.hotline = Some((v.text(), 0)),
        "Number or SIP address that is dialled automatically after lifting the handset."),
    setting(Section::Dial, "hotline_after_ms", ValueKind::Number(0, 60000), WhenUnset::Default("0"), "5000",
        |c, v| if let Some(hotline) = &mut c.dial.hotline { hotline.1 = v.number() as u32 },
        "How long after lifting `hotline` is dialled; a key pressed before that dials as usual."),
    setting(Section::Dial, "speed", ValueKind::SpeedDial(100), WhenUnset::Default("{}"), "{ 1 = \"sip:echo@10.0.0.7\", 2 = \"0301234567\" }",
        |c, v| c.dial.speed_dial = v.pairs(),
        "Speed dial: the keys pressed and the number or SIP address they stand for."),

    setting(Section::Call, "auto_answer", ValueKind::AfterMs(60000), WhenUnset::Default("false"), "true",
        |c, v| c.call.auto_answer_ms = match v { Value::Bool(true) => Some(0), Value::Number(ms) => Some(ms as u32),
            Value::Bool(false) | Value::Text(_) | Value::Ip(_) | Value::Texts(_) | Value::Ports(..) | Value::Pairs(_) | Value::Fingerprint(_) => None },
        "Answer every incoming call automatically: `false` never, `true` at once, or after this many milliseconds. The handset need not be lifted, \
         and the microphone is on. Only with this key set may a caller by an account ask to be answered at once; the phone rings then, and that \
         caller hears nothing until the handset is lifted."),
    setting(Section::Call, "direct", ValueKind::Bool, WhenUnset::Means("placed; accepted from everyone where there is no account"), "false",
        |c, v| c.call.direct = Some(v.bool()),
        "Calls between phones without a server. `true`: they are placed, and accepted from everyone; `false`: neither. Without this key they \
         are placed, and accepted from everyone only where no account is configured: whoever reaches the SIP port could ring the phone. \
         Callers on `direct_from` and, unless this key is `false`, phones known by their certificate (`[[tls.pin]]`) are accepted all the same."),
    setting(Section::Call, "direct_from", ValueKind::FormattedList(TextFormat::DirectCaller, 64), WhenUnset::Default("[]"), "[\"192.168.1.0/24\", \"sip:bob@10.0.0.7\"]",
        |c, v| c.call.direct_from = v.texts().iter().filter_map(|text| DirectCaller::from_text(text)).collect(),
        "Whose calls without a server are accepted, whatever `direct` says: addresses, networks, or a user at an address. With this list no \
         one else's are, except of phones known by their certificate. Without it a host may call only now and then, and its call gives way to \
         a call of an account that comes before it is answered."),
    setting(Section::Call, "no_answer_s", ValueKind::Number(5, 3600), WhenUnset::Default("120"), "60",
        |c, v| c.call.no_answer_s = v.number() as u32,
        "Seconds an outgoing call may ring before it is given up (never an emergency call)."),
    setting(Section::Call, "media_timeout_s", ValueKind::Number(10, 3600), WhenUnset::Default("60"), "300",
        |c, v| c.call.media_timeout_s = v.number() as u32,
        "Seconds the phone sends sound to an address from which nothing at all arrives, neither RTP nor RTCP; then it stops sending and ends \
         the call. Time on hold does not count. Raise it only for a far end that is silent by design and sends no reports."),
    setting(Section::Call, "flash", ValueKind::Choice(&["hook", "key", "off"]), WhenUnset::Default("\"hook\""), "\"key\"",
        |c, v| c.call.flash = match v.text().as_str() { "key" => Flash::Setting, "off" => Flash::Off, _other => Flash::Hook },
        "What makes a flash (hold, second call, swap): a short press of the hook switch within the country's window, only the flash key, \
         or nothing. With `hook`, putting the handset down in a call silences it at once and ends the call when the window has passed; \
         with `key` and `off` it ends the call at once."),
    setting(Section::Call, "waiting", ValueKind::Bool, WhenUnset::Default("true"), "false",
        |c, v| c.call.waiting = v.bool(),
        "Call waiting: during a call a second caller hears ringing and you a short tone. `false`: the second caller hears busy."),
    setting(Section::Call, "transfer_on_hangup", ValueKind::Bool, WhenUnset::Default("false"), "true",
        |c, v| c.call.transfer_on_hangup = v.bool(),
        "Attended transfer: with one call on hold and a second one that you placed ringing or talking, putting the handset down connects the \
         two and leaves you out. `false`: both calls end."),
    setting(Section::Call, "key_tones", ValueKind::Bool, WhenUnset::Default("false"), "true",
        |c, v| c.call.key_tones = v.bool(),
        "During a call you hear your own key tones in the handset. While dialling you always do."),
    setting(Section::Call, "howler_after_s", ValueKind::Number(1, 600), WhenUnset::Default("30"), "20",
        |c, v| c.call.howler_after_s = v.number() as u32,
        "Seconds of busy or congestion tone, with the handset still lifted, before the howler."),
    setting(Section::Call, "howler_s", ValueKind::Number(0, 600), WhenUnset::Default("60"), "30",
        |c, v| c.call.howler_s = v.number() as u32,
        "Seconds of howler before the phone falls silent."),

    setting(Section::Codecs, "order", ValueKind::Preference(CODECS), WhenUnset::Default("[\"opus\", \"g722\", \"pcmu\", \"pcma\"]"), "[\"pcma\", \"opus\"]",
        |c, v| c.codecs.order = v.texts().iter().filter_map(|name| Codec::from_name(name)).collect(),
        "Codecs that are offered and accepted, best first."),
    setting(Section::Codecs, "ptime_ms", ValueKind::OneNumber(&[10, 20, 30, 40, 60]), WhenUnset::Default("20"), "30",
        |c, v| c.codecs.ptime_ms = v.number() as u8,
        "Milliseconds of sound in a packet."),

    setting(Section::Encryption, "mode", ValueKind::Choice(MODES), WhenUnset::Means("`preferred` where signalling is encrypted (TLS), `off` where it is not"), "\"required\"",
        |c, v| c.encryption.mode = EncryptionPolicy::from_name(&v.text()),
        "How much encryption calls use. `preferred`: encrypted where the far end supports it; where it does not you hear three short tones \
         and the lamp blinks. `required`: no packet of sound ever leaves unencrypted; a call that cannot be encrypted is refused or not \
         placed. `off`: never, and encrypted offers are refused."),
    setting(Section::Encryption, "keying", ValueKind::Preference(&[Keying::Sdes.as_str(), Keying::Dtls.as_str()]), WhenUnset::Default("[\"sdes\", \"dtls\"]"), "[\"dtls\"]",
        |c, v| c.encryption.keying = v.texts().iter().filter_map(|name| Keying::from_name(name)).collect(),
        "How the two ends agree on keys, best first: `sdes` in the signalling, which must then run over TLS (RFC 4568), `dtls` by a handshake \
         between the two phones (RFC 5763)."),
    setting(Section::Encryption, "suites", ValueKind::Preference(SUITES), WhenUnset::Default("[\"AEAD_AES_256_GCM\", \"AEAD_AES_128_GCM\", \"AES_256_CM_HMAC_SHA1_80\", \"AES_CM_128_HMAC_SHA1_80\"]"), "[\"AES_CM_128_HMAC_SHA1_80\"]",
        |c, v| c.encryption.suites = v.texts().iter().filter_map(|name| SrtpSuite::from_name(name)).collect(),
        "Cipher suites offered and accepted with `sdes`, best first."),
    setting(Section::Encryption, "hmac_32", ValueKind::Bool, WhenUnset::Default("false"), "true",
        |c, v| c.encryption.hmac_32 = v.bool(),
        "Cipher suites with a short authentication tag (`…_HMAC_SHA1_32`) are offered after all others, and accepted where the far end has \
         nothing else. Some phones choose them whenever they are offered; a packet is easier to forge with them."),
    setting(Section::Encryption, "sdes_over_clear", ValueKind::Bool, WhenUnset::Default("false"), "true",
        |c, v| c.encryption.sdes_over_clear = v.bool(),
        "DANGEROUS: keys of `sdes` may be sent in unencrypted signalling, where everyone on the path can read them and decrypt the call."),

    setting(Section::Tls, "ca", ValueKind::File, WhenUnset::Means("the system's certificate authorities"), "\"ca.pem\"",
        |c, v| c.tls.ca = Some(path(v)),
        "Certificates to trust instead of the system's, as PEM: your own CA, or a PBX's own certificate."),
    setting(Section::Tls, "certificate", ValueKind::File, WhenUnset::Means("the phone's own, made at its first start"), "\"phone.pem\"",
        |c, v| c.tls.certificate = Some(path(v)),
        "This phone's certificate (and chain) as PEM, shown to servers that ask for one and to those who call it. Needs `key`."),
    setting(Section::Tls, "key", ValueKind::File, WhenUnset::Means("the phone's own"), "\"phone.key\"",
        |c, v| c.tls.key = Some(path(v)),
        "The private key of `certificate`, as PEM."),
    setting(Section::Tls, "verify", ValueKind::Bool, WhenUnset::Default("true"), "false",
        |c, v| c.tls.verify = v.bool(),
        "`false`: servers are NOT verified, and anyone on the path can listen in. For tests only; log and status show a warning."),
    setting(Section::Tls, "sip_port_tls", ValueKind::Number(1, 65535), WhenUnset::Default("5061"), "5063",
        |c, v| c.tls.sip_port_tls = v.number() as u16,
        "SIP port for TLS."),
    setting(Section::Tls, "listen", ValueKind::Choice(&["pinned", "all", "off"]), WhenUnset::Default("\"pinned\""), "\"all\"",
        |c, v| c.tls.listen = match v.text().as_str() { "all" => Listen::All, "off" => Listen::Off, _ => Listen::Pinned },
        "Who may connect to that port: `pinned` those of `[[tls.pin]]` (without any, no one), `all` everyone, `off` no one."),

    pin("name", ValueKind::Text(64, false), "\"kitchen\"", |p, v| p.name = v.text(),
        "Your name for it."),
    pin("address", ValueKind::Host, "\"192.168.1.21\"", |p, v| p.address = v.text(),
        "Its address. Dial it with a speed dial like `1 = \"sips:phone@192.168.1.21\"`."),
    pin("fingerprint", ValueKind::Fingerprint,
        "\"4A:1B:07:6C:5D:2E:8F:90:A1:B2:C3:D4:E5:F6:07:18:29:3A:4B:5C:6D:7E:8F:90:A1:B2:C3:D4:E5:F6:07:18\"",
        |p, v| if let Value::Fingerprint(bytes) = v { p.fingerprint = bytes },
        "SHA-256 of its certificate, as `offhook fingerprint` prints it on that phone."),

    setting(Section::Security, "move_secrets", ValueKind::Bool, WhenUnset::Default("false"), "true",
        |c, v| c.security.move_secrets = v.bool(),
        "`true`: at the next start the passwords in this file are moved into the phone's own directory, which only the phone can read, and \
         replaced here by \"@moved\". To change a password, write the new one over that. The private key that `tls.key` names moves with them: \
         its file is removed from the card, and a new file put in its place is used."),

    setting(Section::Board, "profile", ValueKind::Folder, WhenUnset::Default("\"sim\""), "\"rpi-zero2w\"",
        |c, v| c.board.profile = v.text(),
        "Name of the board's profile, or `sim` for a simulated board."),
    setting(Section::Board, "profile_dir", ValueKind::Path, WhenUnset::Default("\"/usr/share/offhook/profiles\""), "\"board/profiles\"",
        |c, v| c.board.profile_dir = path(v),
        "Directory that holds the board profiles."),

    setting(Section::BoardAudio, "capture", ValueKind::Device(true), WhenUnset::Means("as the board's profile says"), "\"hw:0\"",
        |c, v| c.board.audio.capture = Some(v.text()),
        "Microphone: an ALSA device, `wav:FILE` to play a file into the phone, or `silence`."),
    setting(Section::BoardAudio, "playback", ValueKind::Device(false), WhenUnset::Means("as the board's profile says"), "\"wav:/tmp/ear.wav\"",
        |c, v| c.board.audio.playback = Some(v.text()),
        "Earpiece: an ALSA device, `wav:FILE` to record what is heard, or `null`."),
    setting(Section::BoardAudio, "rate_hz", ValueKind::Number(8000, 192_000), WhenUnset::Means("as the board's profile says"), "48000",
        |c, v| c.board.audio.rate_hz = Some(v.number() as u32),
        "Sample rate in Hz; the nearest the sound card supports is used."),
    setting(Section::BoardAudio, "period_ms", ValueKind::Number(2, 20), WhenUnset::Means("as the board's profile says"), "10",
        |c, v| c.board.audio.period_ms = Some(v.number() as u32),
        "Length of the card's period in milliseconds."),
    setting(Section::BoardAudio, "tone_level_dbm0", ValueKind::Number(-30, -3), WhenUnset::Means("the phone's own"), "-13",
        |c, v| c.board.audio.tone_level_dbm0 = Some(v.number() as i8),
        "Level of key tones and call progress tones in dBm0."),
    setting(Section::BoardAudio, "sidetone_db", ValueKind::Number(-40, -6), WhenUnset::Means("none from the phone"), "-20",
        |c, v| c.board.audio.sidetone_db = Some(v.number() as i8),
        "How much of your own voice you hear, in dB."),

    setting(Section::Control, "socket", ValueKind::Path, WhenUnset::Default("\"/run/offhook/ctl.sock\""), "\"/tmp/ctl.sock\"",
        |c, v| c.control.socket = path(v),
        "Path of the socket that `offhook ctl` connects to."),
    setting(Section::Control, "state_dir", ValueKind::Path, WhenUnset::Default("\"/var/lib/offhook\""), "\"/tmp/offhook\"",
        |c, v| c.control.state_dir = path(v),
        "Directory for the last good configuration and other state."),

    setting(Section::Wifi, "ssid", ValueKind::Formatted(TextFormat::Ssid), WhenUnset::Means("no Wi-Fi"), "\"Home\"",
        |c, v| c.wifi.ssid = Some(v.text()),
        "Name of the network."),
    setting(Section::Wifi, "password", ValueKind::Formatted(TextFormat::WifiPassword), WhenUnset::Means("none"), "\"correct horse battery\"",
        |c, v| c.wifi.password = Secret(v.text()),
        "Its password. Never shown in log or status."),
    setting(Section::Wifi, "security", ValueKind::Choice(&["any", "wpa2", "wpa3", "open"]), WhenUnset::Default("\"any\""), "\"wpa3\"",
        |c, v| c.wifi.security = match v.text().as_str() { "wpa2" => WifiSecurity::Wpa2, "wpa3" => WifiSecurity::Wpa3,
            "open" => WifiSecurity::Open, _other => WifiSecurity::Any },
        "`any` uses WPA3 or WPA2, whichever the network supports; `open` is unprotected."),
    setting(Section::Wifi, "country", ValueKind::Formatted(TextFormat::Region), WhenUnset::Means("that of `[phone] country`"), "\"DE\"",
        |c, v| c.wifi.region = Some(v.text()),
        "Country whose radio regulations apply."),
    setting(Section::Wifi, "hidden", ValueKind::Bool, WhenUnset::Default("false"), "true",
        |c, v| c.wifi.hidden = v.bool(),
        "The network does not broadcast its name."),

    setting(Section::System, "time_zone", ValueKind::Formatted(TextFormat::TimeZone), WhenUnset::Means("that of `[phone] country`"), "\"Europe/Berlin\"",
        |c, v| c.system.time_zone = v.text(),
        "Local time, by the zone's name or as a POSIX rule."),
    setting(Section::System, "ntp", ValueKind::FormattedList(TextFormat::Server, 4), WhenUnset::Default("[\"pool.ntp.org\"]"), "[\"192.168.1.1\"]",
        |c, v| c.system.ntp = v.texts(),
        "Time servers; `[]` asks none."),
    setting(Section::System, "syslog", ValueKind::Formatted(TextFormat::Host), WhenUnset::Means("none"), "\"10.0.0.5:514\"",
        |c, v| c.system.syslog = Some(v.text()),
        "Syslog server that also receives the log, by UDP."),
    setting(Section::System, "ssh_keys", ValueKind::FormattedList(TextFormat::SshKey, 8), WhenUnset::Default("[]"),
        "[\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJz2b6Y9exampleexampleexample anna\"]",
        |c, v| c.system.ssh_keys = v.texts(),
        "Public keys that may log in. Without one there is no SSH server; there is no password in any case."),

    setting(Section::Provision, "url", ValueKind::Formatted(TextFormat::Url), WhenUnset::Means("by DHCP, where `dhcp` allows"), "\"https://pbx.example.net/phones/{mac}.toml\"",
        |c, v| c.provision.url = Some(v.text()),
        "Address from which the configuration is fetched. `{mac}` stands for the phone's hardware address: twelve lower-case hexadecimal digits."),
    setting(Section::Provision, "dhcp", ValueKind::Bool, WhenUnset::Default("true"), "false",
        |c, v| c.provision.dhcp = v.bool(),
        "Without `url`, take it from DHCP options 160 and 66."),
    setting(Section::Provision, "allow_http", ValueKind::Bool, WhenUnset::Default("false"), "true",
        |c, v| c.provision.allow_http = v.bool(),
        "Allow unencrypted `http`: anyone on the path can then read the passwords and configure the phone."),
    setting(Section::Provision, "every_h", ValueKind::Number(0, 720), WhenUnset::Default("24"), "1",
        |c, v| c.provision.every_h = v.number() as u32,
        "Hours between two checks; 0: only at start."),
    setting(Section::Provision, "ca", ValueKind::Path, WhenUnset::Means("those of `[tls]`, or the system's"), "\"ca.pem\"",
        |c, v| c.provision.ca = Some(path(v)),
        "File with the certificates (PEM) that are trusted for this server; a relative path starts at the directory of this file."),

    setting(Section::Update, "url", ValueKind::Formatted(TextFormat::Url), WhenUnset::Means("only from the card"), "\"https://updates.example.net/offhook/{board}.raucb\"",
        |c, v| c.update.url = Some(v.text()),
        "Address at which the phone looks for signed updates. `{board}` stands for the board's name."),

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
