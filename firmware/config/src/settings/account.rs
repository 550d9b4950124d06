//! Accounts at registrars: `[[account]]`.

use types::{DtmfMethod, EncryptionPolicy, OpusBand, Transport};

use super::phone::{DTMF_METHODS, OPUS_BANDS};
use super::{MODES, Section, Set, Setting, WhenUnset};
use crate::schema::{Account, DigestPolicy, KeepaliveMode, MessageWaiting, Secret};
use crate::value::{TextFormat, Value, ValueKind};

pub(super) const TRANSPORTS: &[&str] = &[
    Transport::Udp.as_str(),
    Transport::Tcp.as_str(),
    Transport::Tls.as_str(),
];

/// A key of `[[account]]`.
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

/// These keys, by section, in the order of the example. A later key may build on an earlier one of
/// its section.
#[rustfmt::skip]
pub(super) const SETTINGS: &[Setting] = &[
    account("user", ValueKind::SipUser, WhenUnset::Required, "\"101\"", |a, v| a.user = v.text(),
        "User part of the address at the registrar: `101` of `sip:101@pbx.example.net`."),
    account("domain", ValueKind::Host, WhenUnset::Required, "\"pbx.example.net\"", |a,
        v| a.domain = v.text(),
        "SIP domain: the part after the `@`, with a port where it is not 5060."),
    account("name", ValueKind::Text(64, false), WhenUnset::Means("`user@domain`"), "\"office\"",
        |a, v| a.name = v.text(),
        "Short name used in status and log; no two accounts have the same."),
    account("auth_user", ValueKind::Text(128, false), WhenUnset::Means("the same as \
        `user`"), "\"u-83110\"", |a, v| a.auth_user = Some(v.text()),
        "User name for the password, where it differs from `user`."),
    account("password", ValueKind::Secret, WhenUnset::Default("\"\""), "\"correct horse\"", |a,
        v| a.password = Secret(v.text()),
        "Password (digest authentication). Never shown in log or status."),
    account("digest", ValueKind::Choice(&["any", "sha-256"]), WhenUnset::Default("\"any\""),
        "\"sha-256\"",
        |a, v| a.digest = match v.text().as_str() { "sha-256" => DigestPolicy::Sha256,
            _other => DigestPolicy::Any },
        "Digest algorithm (RFC 8760). `any`: the strongest the server offers, MD5 where it offers \
         nothing else. `sha-256`: never MD5, so that no one on the path can make the server seem \
         to offer nothing better."),
    account("display_name", ValueKind::Text(64, false), WhenUnset::Means("none"), "\"Anna Berg\"",
        |a, v| a.display_name = Some(v.text()),
        "Name shown to the called party."),
    account("transport", ValueKind::Choice(TRANSPORTS), WhenUnset::Default("\"udp\""), "\"tls\"",
        |a, v| a.transport = Transport::from_name(&v.text()).unwrap_or(Transport::Udp),
        "Transport to the registrar. `udp` changes to TCP by itself for messages above 1300 bytes; \
         `tls` never falls back to anything else."),
    account("registrar", ValueKind::Host, WhenUnset::Means("found by `domain`"),
        "\"10.0.0.2:5060\"", |a, v| a.registrar = Some(v.text()),
        "Where the registrar is, when it is not found by `domain`."),
    account("outbound_proxy", ValueKind::Host, WhenUnset::Means("none"), "\"sbc.example.net\"", |a,
        v| a.outbound_proxy = Some(v.text()),
        "Host through which every request is sent."),
    account("backup_servers", ValueKind::FormattedList(TextFormat::Host, 4),
        WhenUnset::Default("[]"), "[\"pbx2.example.net\", \"10.0.0.3:5070\"]",
        |a, v| a.backup_servers = v.texts(),
        "Servers tried in this order when the first one does not answer, for providers without SRV \
         records. They stand in for `outbound_proxy` where there is one, for the registrar \
         otherwise. The phone returns to the first one when it answers again."),
    account("keepalive", ValueKind::Choice(&["auto", "always", "off"]),
        WhenUnset::Default("\"auto\""), "\"always\"",
        |a, v| a.keepalive = match v.text().as_str() { "always" => KeepaliveMode::Always,
            "off" => KeepaliveMode::Off, _other => KeepaliveMode::Auto },
        "Keepalives over UDP, every 25 seconds, so that calls still arrive behind a router that \
         forgets the way back. `auto`: where the server sees the phone at another address than its \
         own; `always`: also otherwise; `off`: never."),
    account("gruu", ValueKind::Bool, WhenUnset::Default("false"), "true", |a, v| a.gruu = v.bool(),
        "`true`: in calls the phone gives the address that the registrar made for it (GRUU, RFC \
         5627), where the registrar offers one. Only for servers that route requests inside of \
         calls to such addresses; many do not."),
    account("external_address", ValueKind::Ip,
        WhenUnset::Means("as `network.external_address` says"), "\"203.0.113.20\"",
        |a, v| if let Value::Ip(ip) = v { a.external_address = Some(ip) },
        "Address that all far ends of this account are given (static NAT)."),
    account("stun", ValueKind::Host, WhenUnset::Means("as `network.stun` says"),
        "\"stun.example.net\"", |a, v| a.stun = Some(v.text()),
        "STUN server for calls by this account."),
    account("turn", ValueKind::Host, WhenUnset::Means("as `network.turn` says"),
        "\"turn.example.net\"",
        |a, v| a.turn.get_or_insert_default().server = v.text(),
        "TURN server for calls by this account."),
    account("turn_transport", ValueKind::Choice(TRANSPORTS), WhenUnset::Means("`udp`"),
        "\"tls\"",
        |a, v| a.turn.get_or_insert_default().transport =
            Transport::from_name(&v.text()).unwrap_or_default(),
        "How the phone speaks to that server."),
    account("turn_user", ValueKind::Text(128, false), WhenUnset::Means("none"), "\"u-83110\"",
        |a, v| a.turn.get_or_insert_default().user = v.text(),
        "User name at that server."),
    account("turn_password", ValueKind::Secret, WhenUnset::Means("none"), "\"correct horse\"",
        |a, v| a.turn.get_or_insert_default().password = Secret(v.text()),
        "Password at that server. Never shown in log or status."),
    account("ice", ValueKind::Bool, WhenUnset::Means("as `network.ice` says"), "true",
        |a, v| a.ice = Some(v.bool()),
        "ICE in calls by this account."),
    account("expires_s", ValueKind::Number(60, 86400), WhenUnset::Default("90"), "3600", |a,
        v| a.expires_s = v.number() as u32,
        "Lifetime of the registration asked for, in seconds; it is refreshed in time. With the \
         default a server that was restarted and has forgotten its phones knows this one again \
         within a minute."),
    account("register", ValueKind::Bool, WhenUnset::Default("true"), "false", |a,
        v| a.register = v.bool(),
        "`false`: calls go out by this account, but it never registers."),
    account("messages", ValueKind::Choice(&["accept", "subscribe", "off"]),
        WhenUnset::Default("\"accept\""), "\"subscribe\"",
        |a, v| a.messages = match v.text().as_str() {
            "subscribe" => MessageWaiting::Subscribe,
            "off" => MessageWaiting::Off,
            _other => MessageWaiting::Accept,
        },
        "Messages in the mailbox light the message lamp and make the dial tone stutter. `accept`: \
         as far as the server reports them by itself; `subscribe`: the phone asks for it (RFC \
         3842), which some servers need; `off`: never."),
    account("watch_registration", ValueKind::Bool, WhenUnset::Default("false"), "true",
        |a, v| a.watch_registration = v.bool(),
        "`true`: the phone subscribes to its own registration (RFC 3680), and registers again at \
         once where an administrator has removed it. Only for servers that know the event package \
         `reg`."),
    account("remote_control", ValueKind::Bool, WhenUnset::Default("false"), "true",
        |a, v| a.remote_control = v.bool(),
        "`true`: the server may answer a call that rings here, put it on hold and take it back \
         (`Event: talk` and `hold`), for programs that operate the phone from a screen. An \
         answered call is heard by whoever is in the room."),
    account("prefix", ValueKind::Formatted(TextFormat::Code), WhenUnset::Means("none"), "\"9\"",
        |a, v| a.prefix = Some(v.text()).filter(|keys| !keys.is_empty()),
        "Keys that choose this account when they stand before a number; they are not dialled. Let \
         the digit map accept them, or give the account a `digit_map`."),
    account("ring", ValueKind::Number(1, 5), WhenUnset::Means("as the caller or the country \
        says"), "2",
        |a, v| a.ring = Some(v.number() as u8),
        "How calls by this account ring: the distinctive cadences 1 to 5 (Bellcore-dr1 to -dr5)."),
    account("anonymous", ValueKind::Bool, WhenUnset::Default("false"), "true",
        |a, v| a.anonymous = v.bool(),
        "`true`: calls by this account withhold its number."),
    account("forwarding", ValueKind::Choice(&["redirect", "transfer"]),
        WhenUnset::Default("\"redirect\""), "\"transfer\"",
        |a, v| a.forward_by_transfer = v.text() == "transfer",
        "How calls by this account are forwarded. `redirect`: the server learns the other number \
         (302) and does the rest. `transfer`: for servers that refuse that, the phone calls the \
         other number itself, and when it is answered connects the caller with it (REFER). One \
         call at a time; the number called sees this phone's number."),
    account("digit_map", ValueKind::DigitMap, WhenUnset::Means("as `dial.digit_map` says"),
        "\"[1-8]xx\"",
        |a, v| a.digit_map = Some(v.text()),
        "Which numbers exist for this account: what is keyed after its `prefix`, or after its key \
         (`dial.feature_keys`)."),
    account("encryption", ValueKind::Choice(MODES), WhenUnset::Means("as `encryption.mode` \
        says"), "\"required\"", |a, v| a.encryption = EncryptionPolicy::from_name(&v.text()),
        "How much encryption calls by this account use, where that differs from `[encryption]`."),
    account("dtmf", ValueKind::Choice(DTMF_METHODS), WhenUnset::Means("as `call.dtmf` says"),
        "\"info\"", |a, v| a.dtmf = DtmfMethod::from_name(&v.text()),
        "How the digits of calls by this account are sent."),
    account("opus_bitrate", ValueKind::Number(6_000, 128_000),
        WhenUnset::Means("as `codecs.opus_bitrate` says"), "20000",
        |a, v| a.opus_bitrate = Some(v.number() as u32),
        "Bits a second of Opus in calls by this account."),
    account("opus_band", ValueKind::Choice(OPUS_BANDS),
        WhenUnset::Means("as `codecs.opus_band` says"), "\"narrow\"",
        |a, v| a.opus_band = OpusBand::from_name(&v.text()),
        "The widest band of Opus in calls by this account."),
    account("dtx", ValueKind::Bool, WhenUnset::Means("as `codecs.dtx` says"), "true",
        |a, v| a.dtx = Some(v.bool()),
        "Whether next to nothing is sent in the silence of calls by this account."),
];
