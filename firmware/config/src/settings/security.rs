//! Encryption of sound and signalling, and secrets at rest: `[encryption]`, `[tls]`,
//! `[[tls.pin]]`, `[security]`.

use types::{EncryptionPolicy, Keying, SrtpSuite};

use super::{MODES, Section, Set, Setting, WhenUnset, path, setting};
use crate::schema::{Listen, Pin};
use crate::value::{Value, ValueKind};

const SUITES: &[&str] = &[
    SrtpSuite::AeadAes256Gcm.as_str(),
    SrtpSuite::AeadAes128Gcm.as_str(),
    SrtpSuite::AesCm256HmacSha1_80.as_str(),
    SrtpSuite::AesCm128HmacSha1_80.as_str(),
];

/// A key of `[[tls.pin]]`.
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

/// These keys, by section, in the order of the example. A later key may build on an earlier one of
/// its section.
#[rustfmt::skip]
pub(super) const SETTINGS: &[Setting] = &[
    setting(Section::Encryption, "mode", ValueKind::Choice(MODES), WhenUnset::Means("`preferred` \
        where signalling is encrypted (TLS), `off` where it is not"), "\"required\"",
        |c, v| c.encryption.mode = EncryptionPolicy::from_name(&v.text()),
        "How much encryption calls use. `preferred`: encrypted where the far end supports it; \
         where it does not you hear three short tones and the lamp blinks. `required`: no packet \
         of sound ever leaves unencrypted; a call that cannot be encrypted is refused or not \
         placed. `off`: never, and encrypted offers are refused."),
    setting(Section::Encryption, "keying",
        ValueKind::Preference(&[Keying::Sdes.as_str(), Keying::Dtls.as_str()]),
        WhenUnset::Default("[\"sdes\", \"dtls\"]"), "[\"dtls\"]",
        |c, v| c.encryption.keying = v.texts().iter().filter_map(|name| Keying::from_name(name))
            .collect(),
        "How the two ends agree on keys, best first: `sdes` in the signalling, which must then run \
         over TLS (RFC 4568), `dtls` by a handshake between the two phones (RFC 5763)."),
    setting(Section::Encryption, "suites", ValueKind::Preference(SUITES),
        WhenUnset::Default(
            "[\"AEAD_AES_256_GCM\", \"AEAD_AES_128_GCM\", \"AES_256_CM_HMAC_SHA1_80\", \
             \"AES_CM_128_HMAC_SHA1_80\"]"),
        "[\"AES_CM_128_HMAC_SHA1_80\"]",
        |c, v| c.encryption.suites = v.texts().iter().filter_map(|name| SrtpSuite::from_name(name))
            .collect(),
        "Cipher suites offered and accepted with `sdes`, best first."),
    setting(Section::Encryption, "emergency_clear", ValueKind::Bool, WhenUnset::Default("true"),
        "false",
        |c, v| c.encryption.emergency_clear = v.bool(),
        "Emergency calls are encrypted where that is possible, and go in clear (you hear and see \
         it) where the far end takes nothing else, even with `mode = \"required\"`. `false`: they \
         follow `mode` like every other call."),
    setting(Section::Encryption, "hmac_32", ValueKind::Bool, WhenUnset::Default("false"), "true",
        |c, v| c.encryption.hmac_32 = v.bool(),
        "Cipher suites with a short authentication tag (`…_HMAC_SHA1_32`) are offered after all \
         others, and accepted where the far end has nothing else. Some phones choose them whenever \
         they are offered; a packet is easier to forge with them."),
    setting(Section::Encryption, "sdes_over_clear", ValueKind::Bool, WhenUnset::Default("false"),
        "true",
        |c, v| c.encryption.sdes_over_clear = v.bool(),
        "DANGEROUS: keys of `sdes` may be sent in unencrypted signalling, where everyone on the \
         path can read them and decrypt the call."),

    setting(Section::Tls, "ca", ValueKind::File, WhenUnset::Means("the system's certificate \
        authorities"), "\"ca.pem\"",
        |c, v| c.tls.ca = Some(path(v)),
        "Certificates to trust instead of the system's, as PEM: your own CA, or a PBX's own \
         certificate."),
    setting(Section::Tls, "certificate", ValueKind::File, WhenUnset::Means("the phone's own, made \
        at its first start"), "\"phone.pem\"",
        |c, v| c.tls.certificate = Some(path(v)),
        "This phone's certificate (and chain) as PEM, shown to servers that ask for one and to \
         those who call it. Needs `key`."),
    setting(Section::Tls, "key", ValueKind::File, WhenUnset::Means("the phone's \
        own"), "\"phone.key\"",
        |c, v| c.tls.key = Some(path(v)),
        "The private key of `certificate`, as PEM."),
    setting(Section::Tls, "verify", ValueKind::Bool, WhenUnset::Default("true"), "false",
        |c, v| c.tls.verify = v.bool(),
        "`false`: servers are NOT verified, and anyone on the path can listen in. For tests only; \
         log and status show a warning."),
    setting(Section::Tls, "sip_port_tls", ValueKind::Number(1, 65535), WhenUnset::Default("5061"),
        "5063",
        |c, v| c.tls.sip_port_tls = v.number() as u16,
        "SIP port for TLS."),
    setting(Section::Tls, "listen", ValueKind::Choice(&["pinned", "all", "off"]),
        WhenUnset::Default("\"pinned\""), "\"all\"",
        |c, v| c.tls.listen = match v.text().as_str() { "all" => Listen::All, "off" => Listen::Off,
            _ => Listen::Pinned },
        "Who may connect to that port: `pinned` those of `[[tls.pin]]` (without any, no one), \
         `all` everyone, `off` no one."),

    pin("name", ValueKind::Text(64, false), "\"kitchen\"", |p, v| p.name = v.text(),
        "Your name for it."),
    pin("address", ValueKind::Host, "\"192.168.1.21\"", |p, v| p.address = v.text(),
        "Its address. Dial it with a speed dial like `1 = \"sips:phone@192.168.1.21\"`."),
    pin("fingerprint", ValueKind::Fingerprint,
        "\"4A:1B:07:6C:5D:2E:8F:90:A1:B2:C3:D4:E5:F6:07:18:\
         29:3A:4B:5C:6D:7E:8F:90:A1:B2:C3:D4:E5:F6:07:18\"",
        |p, v| if let Value::Fingerprint(bytes) = v { p.fingerprint = bytes },
        "SHA-256 of its certificate, as `offhook fingerprint` prints it on that phone."),

    setting(Section::Security, "move_secrets", ValueKind::Bool, WhenUnset::Default("false"), "true",
        |c, v| c.security.move_secrets = v.bool(),
        "`true`: at the next start the passwords in this file are moved into the phone's own \
         directory, which only the phone can read, and replaced here by \"@moved\". To change a \
         password, write the new one over that. The private key that `tls.key` names moves with \
         them: its file is removed from the card, and a new file put in its place is used."),
];
