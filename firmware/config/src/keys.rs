//! The table every other part is made from: each key of `offhook.toml` with its kind, default,
//! words and the field it fills.
//!
//! ```text
//!                  ┌─▶ load        (which keys there are, what they may hold)
//! SECTIONS, KEYS ──┼─▶ default     (each default is written here and nowhere else)
//!                  ├─▶ example     (offhook.example.toml)
//!                  └─▶ reference   (docs/provisioning.md)
//! ```

use std::path::PathBuf;

use types::{Codec, EncryptionPolicy, Keying, SrtpSuite, Transport};

use crate::kind::{Kind, Value, Word};
use crate::schema::{
    Account, Config, DigestPolicy, Flash, Ipv4Way, Ipv6Way, Listen, Pin, Secret, WifiSecurity,
};

/// A section of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Phone,
    Network,
    Account,
    Dial,
    Call,
    Codecs,
    Privacy,
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
        "One line at a registrar; repeat the section for each, at most 8. The first that can place a call is the one used. \
         None at all is fine: calls between phones need no server.",
    ),
    (Section::Dial, "dial", "From keys to numbers."),
    (Section::Call, "call", "How calls behave."),
    (Section::Codecs, "codecs", "How sound is coded."),
    (
        Section::Privacy,
        "privacy",
        "Who else may listen: encryption of the sound.",
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
        "A phone or server known by the fingerprint of its certificate, whatever else the certificate says: how two phones call each \
         other in confidence without a server. Repeat the section for each, at most 32. `offhook fingerprint` tells a phone's own.",
    ),
    (Section::Security, "security", "Keys and passwords at rest."),
    (Section::Board, "board", "Which board this is."),
    (
        Section::BoardAudio,
        "board.audio",
        "The sound card, where it differs from the board's own description.",
    ),
    (
        Section::Control,
        "control",
        "The local socket of `offhook ctl` and the phone's own files.",
    ),
    (
        Section::Wifi,
        "wifi",
        "The radio. Without `ssid` it stays off. For the image; elsewhere the system looks after it.",
    ),
    (
        Section::System,
        "system",
        "Clock, log and remote access. For the image; elsewhere the system looks after it.",
    ),
    (
        Section::Provision,
        "provision",
        "A configuration fetched over the network. What it says holds unless this file says otherwise. A change is applied when nobody \
         uses the phone, never during a call.",
    ),
    (
        Section::Update,
        "update",
        "Signed updates of the image; they are also taken from the card.",
    ),
    (
        Section::Codes,
        "codes",
        "Keys that are orders to the phone itself, pressed after lifting. An empty text turns an order off.",
    ),
];

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
pub(crate) enum Absent {
    /// This value, written as TOML.
    Default(&'static str),
    /// Nothing is set, which means this.
    Unset(&'static str),
    /// The key must be there.
    Required,
}

/// One key.
pub(crate) struct Key {
    pub(crate) section: Section,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) absent: Absent,
    /// A valid value in TOML that differs from the default.
    pub(crate) example: &'static str,
    /// One or more sentences.
    pub(crate) doc: &'static str,
    pub(crate) set: Set,
}

impl Key {
    /// Whether only a text on the phone itself may set it: files and devices of the machine, who
    /// may log in, how the network is trusted.
    pub(crate) fn is_local(&self) -> bool {
        let files = matches!(
            self.kind,
            Kind::Path | Kind::File | Kind::Device(_) | Kind::Folder
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
pub(crate) const MOST_ACCOUNTS: usize = 8;
/// Most pins.
pub(crate) const MOST_PINS: usize = 32;

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
fn order(value: Value) -> Option<String> {
    Some(value.text()).filter(|keys| !keys.is_empty())
}

/// Shorthand: the table reads better without the struct's field names on each line.
const fn key(
    section: Section,
    name: &'static str,
    kind: Kind,
    absent: Absent,
    example: &'static str,
    set: fn(&mut Config, Value),
    doc: &'static str,
) -> Key {
    Key {
        section,
        name,
        kind,
        absent,
        example,
        doc,
        set: Set::Config(set),
    }
}

const fn account(
    name: &'static str,
    kind: Kind,
    absent: Absent,
    example: &'static str,
    set: fn(&mut Account, Value),
    doc: &'static str,
) -> Key {
    Key {
        section: Section::Account,
        name,
        kind,
        absent,
        example,
        doc,
        set: Set::Account(set),
    }
}

const fn pin(
    name: &'static str,
    kind: Kind,
    example: &'static str,
    set: fn(&mut Pin, Value),
    doc: &'static str,
) -> Key {
    Key {
        section: Section::TlsPin,
        name,
        kind,
        absent: Absent::Required,
        example,
        doc,
        set: Set::Pin(set),
    }
}

/// Every key, by section, in the order of the example. A later key may build on an earlier one of
/// its section.
#[rustfmt::skip]
pub(crate) const KEYS: &[Key] = &[
    key(Section::Phone, "country", Kind::Country, Absent::Default("\"us\""), "\"de\"",
        |c, v| c.phone.country = v.text(),
        "Country whose tones, ringing cadence, flash window and emergency numbers the phone uses (`gb` is `uk`)."),
    key(Section::Phone, "name", Kind::Text(64, false), Absent::Default("\"Offhook\""), "\"Kitchen\"",
        |c, v| c.phone.name = v.text(),
        "Name shown to others in calls without a server."),
    key(Section::Phone, "user", Kind::SipUser, Absent::Default("\"phone\""), "\"kitchen\"",
        |c, v| c.phone.user = v.text(),
        "User part of the phone's own address in calls without a server: `sip:USER@address`."),
    key(Section::Phone, "log", Kind::LogFilter, Absent::Default("\"info\""), "\"info,offhook=debug\"",
        |c, v| c.phone.log = v.text(),
        "What is logged: error, warn, info, debug or trace, also for single parts of the program."),

    key(Section::Network, "bind", Kind::Ip, Absent::Default("\"0.0.0.0\""), "\"192.168.1.20\"",
        |c, v| if let Value::Ip(ip) = v { c.network.bind = ip },
        "Address the SIP and RTP sockets are bound to; `0.0.0.0` or `::` for all."),
    key(Section::Network, "sip_port", Kind::Number(1, 65535), Absent::Default("5060"), "5062",
        |c, v| c.network.sip_port = v.number() as u16,
        "SIP port, for UDP and TCP."),
    key(Section::Network, "rtp_ports", Kind::PortRange, Absent::Default("[20000, 20099]"), "[30000, 30019]",
        |c, v| if let Value::Ports(first, last) = v { c.network.rtp_ports = (first, last) },
        "First and last port for sound. Each call takes two: RTP the even one, RTCP the odd one above it."),
    key(Section::Network, "rtp_dscp", Kind::Number(0, 63), Absent::Default("46"), "34",
        |c, v| c.network.rtp_dscp = v.number() as u8,
        "DSCP mark of sound packets (RFC 2474); 46 is expedited forwarding."),
    key(Section::Network, "sip_dscp", Kind::Number(0, 63), Absent::Default("24"), "26",
        |c, v| c.network.sip_dscp = v.number() as u8,
        "DSCP mark of SIP packets; 24 is class selector 3."),
    key(Section::Network, "host_name", Kind::Word(Word::HostName), Absent::Default("\"offhook\""), "\"kitchen-phone\"",
        |c, v| c.link.host_name = v.text(),
        "Name of the machine, told to the DHCP server. This key and those below are for the image."),
    key(Section::Network, "interface", Kind::Word(Word::Interface), Absent::Default("\"auto\""), "\"eth0\"",
        |c, v| c.link.interface = v.text(),
        "Which interface: `auto` is Wi-Fi where `[wifi]` has an `ssid` and no `vlan` is set, else the first cable."),
    key(Section::Network, "address", Kind::Word(Word::Ipv4Way), Absent::Default("\"dhcp\""), "\"192.168.1.20/24\"",
        |c, v| if let Some(way) = Ipv4Way::from_text(&v.text()) { c.link.ipv4 = way },
        "IPv4: from DHCP, a fixed address, or off."),
    key(Section::Network, "gateway", Kind::Word(Word::Ipv4), Absent::Unset("the one DHCP tells"), "\"192.168.1.1\"",
        |c, v| c.link.gateway = v.text().parse().ok(),
        "IPv4 router."),
    key(Section::Network, "dns", Kind::Words(Word::Ip, 3), Absent::Default("[]"), "[\"192.168.1.1\", \"2001:db8::53\"]",
        |c, v| c.link.dns = v.texts().iter().filter_map(|ip| ip.parse().ok()).collect(),
        "Name servers; with none, those DHCP tells."),
    key(Section::Network, "ipv6", Kind::Word(Word::Ipv6Way), Absent::Default("\"auto\""), "\"2001:db8::20/64\"",
        |c, v| if let Some(way) = Ipv6Way::from_text(&v.text()) { c.link.ipv6 = way },
        "IPv6: from router advertisements, a fixed address, or off."),
    key(Section::Network, "ipv6_gateway", Kind::Word(Word::Ipv6), Absent::Unset("the one advertised"), "\"fe80::1\"",
        |c, v| c.link.ipv6_gateway = v.text().parse().ok(),
        "IPv6 router."),
    key(Section::Network, "vlan", Kind::Number(1, 4094), Absent::Unset("none"), "20",
        |c, v| c.link.vlan = Some(v.number() as u16),
        "VLAN (IEEE 802.1Q) everything is sent and received on."),
    key(Section::Network, "vlan_priority", Kind::Number(0, 7), Absent::Default("5"), "6",
        |c, v| c.link.vlan_priority = v.number() as u8,
        "Priority (IEEE 802.1p) on that VLAN; 5 is voice."),

    account("user", Kind::SipUser, Absent::Required, "\"101\"", |a, v| a.user = v.text(),
        "User part of the address at the registrar: `101` of `sip:101@pbx.example.net`."),
    account("domain", Kind::Host, Absent::Required, "\"pbx.example.net\"", |a, v| a.domain = v.text(),
        "SIP domain: the part after the `@`, with a port where it is not 5060."),
    account("name", Kind::Text(64, false), Absent::Unset("`user@domain`"), "\"office\"", |a, v| a.name = v.text(),
        "Short name used in status and log; no two accounts have the same."),
    account("auth_user", Kind::Text(128, false), Absent::Unset("the same as `user`"), "\"u-83110\"", |a, v| a.auth_user = Some(v.text()),
        "User name for the password, where it differs from `user`."),
    account("password", Kind::Secret, Absent::Default("\"\""), "\"correct horse\"", |a, v| a.password = Secret(v.text()),
        "Password (digest authentication). Never shown in log or status."),
    account("digest", Kind::Choice(&["any", "sha-256"]), Absent::Default("\"any\""), "\"sha-256\"",
        |a, v| a.digest = match v.text().as_str() { "sha-256" => DigestPolicy::Sha256, _other => DigestPolicy::Any },
        "How the password is proved (RFC 8760). `any`: by the strongest way the server offers, MD5 where it offers nothing else. `sha-256`: \
         never by MD5, so that nobody on the way can make the server seem to offer nothing better."),
    account("display_name", Kind::Text(64, false), Absent::Unset("none"), "\"Anna Berg\"", |a, v| a.display_name = Some(v.text()),
        "Name shown to the called party."),
    account("transport", Kind::Choice(TRANSPORTS), Absent::Default("\"udp\""), "\"tls\"",
        |a, v| a.transport = Transport::from_name(&v.text()).unwrap_or(Transport::Udp),
        "How SIP travels to the registrar. `udp` changes to TCP by itself for messages above 1300 bytes; `tls` changes to nothing else, \
         ever."),
    account("registrar", Kind::Host, Absent::Unset("found by `domain`"), "\"10.0.0.2:5060\"", |a, v| a.registrar = Some(v.text()),
        "Where the registrar is, when it is not found by `domain`."),
    account("outbound_proxy", Kind::Host, Absent::Unset("none"), "\"sbc.example.net\"", |a, v| a.outbound_proxy = Some(v.text()),
        "Host every request is sent through."),
    account("expires_s", Kind::Number(60, 86400), Absent::Default("300"), "3600", |a, v| a.expires_s = v.number() as u32,
        "Lifetime of the registration asked for, in seconds; it is refreshed in time."),
    account("register", Kind::Bool, Absent::Default("true"), "false", |a, v| a.register = v.bool(),
        "`false`: calls go out by this account, but it never registers."),
    account("privacy", Kind::Choice(MODES), Absent::Unset("as `privacy.mode` says"), "\"required\"", |a, v| a.privacy = EncryptionPolicy::from_name(&v.text()),
        "How much encryption calls by this account want, where that differs from `[privacy]`."),

    key(Section::Dial, "digit_map", Kind::DigitMap, Absent::Default("\"xx.T|*[x*].T\""), "\"<00:+>x.T|0x.T|[1-8]xx|1900x.!\"",
        |c, v| c.dial.digit_map = v.text(),
        "Which numbers there are (RFC 3435 digit map): `x` any digit, `[1-3]` one of these, `.` none or more of it, `|` or, a final `T` \
         \"until the digit timer\". Besides, `<a:b>` dials b for a, `,` gives a second dial tone, a final `!` bars. \
         A complete number goes at once, one that could be longer after the short timer, `#` sends now."),
    key(Section::Dial, "long_timer_ms", Kind::Number(1000, 60000), Absent::Default("10000"), "15000",
        |c, v| c.dial.long_timer_ms = v.number() as u32,
        "Digit timer in ms while the number is not complete."),
    key(Section::Dial, "short_timer_ms", Kind::Number(500, 30000), Absent::Default("3000"), "4000",
        |c, v| c.dial.short_timer_ms = v.number() as u32,
        "Digit timer in ms while the number is complete but could be longer."),
    key(Section::Dial, "emergency", Kind::Numbers(16), Absent::Default("[]"), "[\"117\"]",
        |c, v| c.dial.emergency = v.texts(),
        "Emergency numbers besides the country's own: matched first, sent at once, never blocked."),
    key(Section::Dial, "emergency_route", Kind::SipUri, Absent::Unset("none"), "\"sip:112@10.0.0.2\"",
        |c, v| c.dial.emergency_route = Some(v.text()),
        "Address called for an emergency number when no account is registered."),
    key(Section::Dial, "hotline", Kind::Target, Absent::Unset("none"), "\"101\"",
        |c, v| c.dial.hotline = Some((v.text(), 0)),
        "Number or SIP address dialled by itself after lifting."),
    key(Section::Dial, "hotline_after_ms", Kind::Number(0, 60000), Absent::Default("0"), "5000",
        |c, v| if let Some(hotline) = &mut c.dial.hotline { hotline.1 = v.number() as u32 },
        "How long after lifting `hotline` is dialled; a key pressed before that dials as usual."),
    key(Section::Dial, "speed", Kind::SpeedDial(100), Absent::Default("{}"), "{ 1 = \"sip:echo@10.0.0.7\", 2 = \"0301234567\" }",
        |c, v| c.dial.speed_dial = v.pairs(),
        "Speed dial: the keys pressed and the number or SIP address they stand for."),

    key(Section::Call, "auto_answer", Kind::AfterMs(60000), Absent::Default("false"), "true",
        |c, v| c.call.auto_answer_ms = match v { Value::Bool(true) => Some(0), Value::Number(ms) => Some(ms as u32),
            Value::Bool(false) | Value::Text(_) | Value::Ip(_) | Value::Texts(_) | Value::Ports(..) | Value::Pairs(_) | Value::Fingerprint(_) => None },
        "Answer every incoming call by itself: `false` never, `true` at once, or after this many milliseconds. Nobody needs to lift the handset, and the \
         microphone is alive. Only with this key set, a caller by an account may ask to be answered at once; the bell tells, and that caller hears \
         nothing until somebody lifts."),
    key(Section::Call, "direct", Kind::Bool, Absent::Default("true"), "false",
        |c, v| c.call.direct = v.bool(),
        "Calls between phones without a server are placed and accepted."),
    key(Section::Call, "no_answer_s", Kind::Number(5, 3600), Absent::Default("120"), "60",
        |c, v| c.call.no_answer_s = v.number() as u32,
        "Seconds an outgoing call may ring before it is given up (never an emergency call)."),
    key(Section::Call, "media_timeout_s", Kind::Number(10, 3600), Absent::Default("60"), "300",
        |c, v| c.call.media_timeout_s = v.number() as u32,
        "Seconds the phone speaks to an address of which it hears nothing at all, neither sound nor reports (RTCP): then it sends nothing \
         more and ends the call. Hold does not count. More is needed only for a far end that is silent by design and sends no reports."),
    key(Section::Call, "flash", Kind::Choice(&["hook", "key", "off"]), Absent::Default("\"hook\""), "\"key\"",
        |c, v| c.call.flash = match v.text().as_str() { "key" => Flash::Key, "off" => Flash::Off, _other => Flash::Hook },
        "How a flash (hold, second call, swap) is given: by a short press of the hook in the country's window, or only by the flash key, \
         or not at all. With `hook`, putting the handset down in a call silences it at once and ends the call when the window has passed; \
         with `key` and `off` it ends the call at once."),
    key(Section::Call, "waiting", Kind::Bool, Absent::Default("true"), "false",
        |c, v| c.call.waiting = v.bool(),
        "Call waiting: during a call a second caller hears ringing and you a short tone. `false`: the second caller hears busy."),
    key(Section::Call, "transfer_on_hangup", Kind::Bool, Absent::Default("false"), "true",
        |c, v| c.call.transfer_on_hangup = v.bool(),
        "Attended transfer: with one call on hold and a second one that you placed ringing or talking, putting the handset down connects the \
         two and leaves you out. `false`: both calls end."),
    key(Section::Call, "key_tones", Kind::Bool, Absent::Default("false"), "true",
        |c, v| c.call.key_tones = v.bool(),
        "During a call your own keys are heard in the handset, too. They always are while dialling."),
    key(Section::Call, "howler_after_s", Kind::Number(1, 600), Absent::Default("30"), "20",
        |c, v| c.call.howler_after_s = v.number() as u32,
        "Seconds of busy or congestion tone, with the handset still lifted, before the howler."),
    key(Section::Call, "howler_s", Kind::Number(0, 600), Absent::Default("60"), "30",
        |c, v| c.call.howler_s = v.number() as u32,
        "Seconds of howler before the phone gives up and is silent."),

    key(Section::Codecs, "order", Kind::Order(CODECS), Absent::Default("[\"opus\", \"g722\", \"pcmu\", \"pcma\"]"), "[\"pcma\", \"opus\"]",
        |c, v| c.codecs.order = v.texts().iter().filter_map(|name| Codec::from_name(name)).collect(),
        "Codecs that are offered and accepted, best first."),
    key(Section::Codecs, "ptime_ms", Kind::OneNumber(&[10, 20, 30, 40, 60]), Absent::Default("20"), "30",
        |c, v| c.codecs.ptime_ms = v.number() as u8,
        "Milliseconds of sound in a packet."),

    key(Section::Privacy, "mode", Kind::Choice(MODES), Absent::Unset("`preferred` where signalling is encrypted (TLS), `off` where it is not"), "\"required\"",
        |c, v| c.privacy.mode = EncryptionPolicy::from_name(&v.text()),
        "How much encryption calls want. `preferred`: encrypted where the far end can; where it cannot you hear three short tones and the \
         lamp says so. `required`: not one packet of sound ever leaves in clear; a call that cannot be encrypted is refused or not made. \
         `off`: never, and encrypted offers are refused."),
    key(Section::Privacy, "keying", Kind::Order(&[Keying::Sdes.as_str(), Keying::Dtls.as_str()]), Absent::Default("[\"sdes\", \"dtls\"]"), "[\"dtls\"]",
        |c, v| c.privacy.keying = v.texts().iter().filter_map(|name| Keying::from_name(name)).collect(),
        "How keys are agreed on, best first: `sdes` in the signalling, which must run over TLS for that (RFC 4568), `dtls` by a handshake \
         between the two phones (RFC 5763)."),
    key(Section::Privacy, "suites", Kind::Order(SUITES), Absent::Default("[\"AEAD_AES_256_GCM\", \"AEAD_AES_128_GCM\", \"AES_256_CM_HMAC_SHA1_80\", \"AES_CM_128_HMAC_SHA1_80\"]"), "[\"AES_CM_128_HMAC_SHA1_80\"]",
        |c, v| c.privacy.suites = v.texts().iter().filter_map(|name| SrtpSuite::from_name(name)).collect(),
        "Ciphers offered and taken with `sdes`, best first."),
    key(Section::Privacy, "hmac_32", Kind::Bool, Absent::Default("false"), "true",
        |c, v| c.privacy.hmac_32 = v.bool(),
        "The ciphers with a short authentication tag (`…_HMAC_SHA1_32`) are offered after all others, and taken where the far end has \
         nothing else. Some phones choose them as soon as they are offered; forging a packet is easier with them."),
    key(Section::Privacy, "sdes_over_clear", Kind::Bool, Absent::Default("false"), "true",
        |c, v| c.privacy.sdes_over_clear = v.bool(),
        "DANGEROUS: keys of `sdes` may travel by signalling in clear, where everybody on the way can read them and decrypt the call."),

    key(Section::Tls, "ca", Kind::File, Absent::Unset("the system's certificate authorities"), "\"ca.pem\"",
        |c, v| c.tls.ca = Some(path(v)),
        "Certificates to trust instead of the system's, as PEM: your own CA, or a PBX's own certificate."),
    key(Section::Tls, "certificate", Kind::File, Absent::Unset("the phone's own, made at its first start"), "\"phone.pem\"",
        |c, v| c.tls.certificate = Some(path(v)),
        "This phone's certificate (and chain) as PEM, shown to servers that ask for one and to those who call it. Needs `key`."),
    key(Section::Tls, "key", Kind::File, Absent::Unset("the phone's own"), "\"phone.key\"",
        |c, v| c.tls.key = Some(path(v)),
        "The private key of `certificate`, as PEM."),
    key(Section::Tls, "verify", Kind::Bool, Absent::Default("true"), "false",
        |c, v| c.tls.verify = v.bool(),
        "`false`: servers are NOT verified, and whoever stands between can listen in. For tests; log and status say so all the time."),
    key(Section::Tls, "sip_port_tls", Kind::Number(1, 65535), Absent::Default("5061"), "5063",
        |c, v| c.tls.sip_port_tls = v.number() as u16,
        "SIP port for TLS."),
    key(Section::Tls, "listen", Kind::Choice(&["pinned", "all", "off"]), Absent::Default("\"pinned\""), "\"all\"",
        |c, v| c.tls.listen = match v.text().as_str() { "all" => Listen::All, "off" => Listen::Off, _ => Listen::Pinned },
        "Who may connect to that port: those of `[[tls.pin]]` (without any, nobody), everybody, or nobody."),

    pin("name", Kind::Text(64, false), "\"kitchen\"", |p, v| p.name = v.text(),
        "What you call it."),
    pin("address", Kind::Host, "\"192.168.1.21\"", |p, v| p.address = v.text(),
        "Where it is. Dial it with a speed dial like `1 = \"sips:phone@192.168.1.21\"`."),
    pin("fingerprint", Kind::Fingerprint,
        "\"4A:1B:07:6C:5D:2E:8F:90:A1:B2:C3:D4:E5:F6:07:18:29:3A:4B:5C:6D:7E:8F:90:A1:B2:C3:D4:E5:F6:07:18\"",
        |p, v| if let Value::Fingerprint(bytes) = v { p.fingerprint = bytes },
        "SHA-256 of its certificate, as `offhook fingerprint` prints it on that phone."),

    key(Section::Security, "move_secrets", Kind::Bool, Absent::Default("false"), "true",
        |c, v| c.security.move_secrets = v.bool(),
        "`true`: at the next start the passwords in this file are moved into the phone's own folder, where only the phone reads them, and \
         stand here as \"@moved\". Write a new password over that to change it. The private key `tls.key` names moves with them: its file \
         goes from the card, and a new one put in its place is taken."),

    key(Section::Board, "profile", Kind::Folder, Absent::Default("\"sim\""), "\"rpi-zero2w\"",
        |c, v| c.board.profile = v.text(),
        "Name of the board's folder, or `sim` for a board on the screen."),
    key(Section::Board, "profile_dir", Kind::Path, Absent::Default("\"/usr/share/offhook/profiles\""), "\"board/profiles\"",
        |c, v| c.board.profile_dir = path(v),
        "Where the boards' folders lie."),

    key(Section::BoardAudio, "capture", Kind::Device(true), Absent::Unset("the board's own"), "\"hw:0\"",
        |c, v| c.board.audio.capture = Some(v.text()),
        "Microphone: an ALSA device, `wav:FILE` to play a file into the phone, or `silence`."),
    key(Section::BoardAudio, "playback", Kind::Device(false), Absent::Unset("the board's own"), "\"wav:/tmp/ear.wav\"",
        |c, v| c.board.audio.playback = Some(v.text()),
        "Earpiece: an ALSA device, `wav:FILE` to record what is heard, or `null`."),
    key(Section::BoardAudio, "rate_hz", Kind::Number(8000, 192_000), Absent::Unset("the board's own"), "48000",
        |c, v| c.board.audio.rate_hz = Some(v.number() as u32),
        "Sample rate asked for; the nearest the card can do is taken."),
    key(Section::BoardAudio, "period_ms", Kind::Number(2, 20), Absent::Unset("the board's own"), "10",
        |c, v| c.board.audio.period_ms = Some(v.number() as u32),
        "Length of the card's period in milliseconds."),
    key(Section::BoardAudio, "tone_level_dbm0", Kind::Number(-30, -3), Absent::Unset("the phone's own"), "-13",
        |c, v| c.board.audio.tone_level_dbm0 = Some(v.number() as i8),
        "Level of key tones and call progress tones in dBm0."),
    key(Section::BoardAudio, "sidetone_db", Kind::Number(-40, -6), Absent::Unset("none from the phone"), "-20",
        |c, v| c.board.audio.sidetone_db = Some(v.number() as i8),
        "How much of your own voice you hear, in dB."),

    key(Section::Control, "socket", Kind::Path, Absent::Default("\"/run/offhook/ctl.sock\""), "\"/tmp/ctl.sock\"",
        |c, v| c.control.socket = path(v),
        "Path of the socket `offhook ctl` speaks to."),
    key(Section::Control, "state_dir", Kind::Path, Absent::Default("\"/var/lib/offhook\""), "\"/tmp/offhook\"",
        |c, v| c.control.state_dir = path(v),
        "Directory for the last good configuration and the history of calls."),

    key(Section::Wifi, "ssid", Kind::Word(Word::Ssid), Absent::Unset("no Wi-Fi"), "\"Home\"",
        |c, v| c.wifi.ssid = Some(v.text()),
        "Name of the network."),
    key(Section::Wifi, "password", Kind::Word(Word::WifiPassword), Absent::Unset("none"), "\"correct horse battery\"",
        |c, v| c.wifi.password = Secret(v.text()),
        "Its password. Never shown in log or status."),
    key(Section::Wifi, "security", Kind::Choice(&["any", "wpa2", "wpa3", "open"]), Absent::Default("\"any\""), "\"wpa3\"",
        |c, v| c.wifi.security = match v.text().as_str() { "wpa2" => WifiSecurity::Wpa2, "wpa3" => WifiSecurity::Wpa3,
            "open" => WifiSecurity::Open, _other => WifiSecurity::Any },
        "`any` takes WPA3 or WPA2, whichever the network can; `open` is no protection at all."),
    key(Section::Wifi, "country", Kind::Word(Word::Region), Absent::Unset("that of `[phone] country`"), "\"DE\"",
        |c, v| c.wifi.region = Some(v.text()),
        "Country whose rules the radio obeys."),
    key(Section::Wifi, "hidden", Kind::Bool, Absent::Default("false"), "true",
        |c, v| c.wifi.hidden = v.bool(),
        "The network does not tell its name."),

    key(Section::System, "time_zone", Kind::Word(Word::TimeZone), Absent::Unset("that of `[phone] country`"), "\"Europe/Berlin\"",
        |c, v| c.system.time_zone = v.text(),
        "Local time, by the zone's name or as a POSIX rule."),
    key(Section::System, "ntp", Kind::Words(Word::Server, 4), Absent::Default("[\"pool.ntp.org\"]"), "[\"192.168.1.1\"]",
        |c, v| c.system.ntp = v.texts(),
        "Time servers; `[]` asks none."),
    key(Section::System, "syslog", Kind::Word(Word::Host), Absent::Unset("nowhere"), "\"10.0.0.5:514\"",
        |c, v| c.system.syslog = Some(v.text()),
        "Where log lines are sent, too (UDP)."),
    key(Section::System, "ssh_keys", Kind::Words(Word::SshKey, 8), Absent::Default("[]"),
        "[\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJz2b6Y9exampleexampleexample anna\"]",
        |c, v| c.system.ssh_keys = v.texts(),
        "Public keys that may log in. Without one there is no SSH server; there is no password in any case."),

    key(Section::Provision, "url", Kind::Word(Word::Url), Absent::Unset("by DHCP, where `dhcp` allows"), "\"https://pbx.example.net/phones/{mac}.toml\"",
        |c, v| c.provision.url = Some(v.text()),
        "Where the configuration is fetched from. `{mac}` stands for the phone's hardware address: twelve small hexadecimal digits."),
    key(Section::Provision, "dhcp", Kind::Bool, Absent::Default("true"), "false",
        |c, v| c.provision.dhcp = v.bool(),
        "Without `url`, take it from DHCP options 160 and 66."),
    key(Section::Provision, "allow_http", Kind::Bool, Absent::Default("false"), "true",
        |c, v| c.provision.allow_http = v.bool(),
        "Allow `http` without encryption: whoever is on the way can then read the passwords and configure the phone."),
    key(Section::Provision, "every_h", Kind::Number(0, 720), Absent::Default("24"), "1",
        |c, v| c.provision.every_h = v.number() as u32,
        "Hours between two looks; 0: only at start."),
    key(Section::Provision, "ca", Kind::Path, Absent::Unset("those of `[tls]`, or the system's"), "\"ca.pem\"",
        |c, v| c.provision.ca = Some(path(v)),
        "File with the certificates (PEM) the server is judged by, beside this file on the card or with a whole path."),

    key(Section::Update, "url", Kind::Word(Word::Url), Absent::Unset("only from the card"), "\"https://updates.example.net/offhook/{board}.raucb\"",
        |c, v| c.update.url = Some(v.text()),
        "Where signed updates are looked for. `{board}` stands for the board's name."),

    key(Section::Codes, "self_test", Kind::Word(Word::Code), Absent::Default("\"*98\""), "\"*980\"",
        |c, v| c.codes.self_test = order(v),
        "Self-test: speaker, microphone, keys, hook, lamps, bell and network, by ear."),
    key(Section::Codes, "bundle", Kind::Word(Word::Code), Absent::Default("\"*97\""), "\"*970\"",
        |c, v| c.codes.bundle = order(v),
        "Support bundle: logs, status and settings without secrets, written to the card."),
    key(Section::Codes, "reboot", Kind::Word(Word::Code), Absent::Default("\"*96#\""), "\"*960#\"",
        |c, v| c.codes.reboot = order(v),
        "Starts the board anew."),
    key(Section::Codes, "factory_reset", Kind::Word(Word::Code), Absent::Default("\"*99*7378#\""), "\"*99#\"",
        |c, v| c.codes.factory_reset = order(v),
        "Factory reset: every setting, password and history is gone, `offhook.toml` becomes the empty example."),
];
