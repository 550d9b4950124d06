//! State and orders over MQTT: `[mqtt]`.

use super::{Section, Setting, WhenUnset, path, setting};
use crate::schema::{MqttOrder, Secret};
use crate::value::{TextFormat, Value, ValueKind};

/// These keys, in the order of the example.
#[rustfmt::skip]
pub(super) const SETTINGS: &[Setting] = &[
    setting(Section::Mqtt, "broker", ValueKind::Host, WhenUnset::Means("MQTT is off"),
        "\"192.168.1.5\"",
        |c, v| c.mqtt.broker = Some(v.text()),
        "The broker's name or address, with or without a port; without one it is 8883, or 1883 \
         with `tls = false`. It must speak MQTT 5.0 (Mosquitto does since release 1.6)."),
    setting(Section::Mqtt, "tls", ValueKind::Bool, WhenUnset::Default("true"), "false",
        |c, v| c.mqtt.tls = v.bool(),
        "`false`: the connection is NOT encrypted, and everyone on the path can read the password \
         and give orders."),
    setting(Section::Mqtt, "ca", ValueKind::File, WhenUnset::Means("the system's certificate \
        authorities"), "\"broker-ca.pem\"",
        |c, v| c.mqtt.ca = Some(path(v)),
        "Certificates to trust instead of the system's, as PEM: the CA that signed the broker's."),
    setting(Section::Mqtt, "fingerprint", ValueKind::Fingerprint,
        WhenUnset::Means("a CA must have signed it"),
        "\"4A:1B:07:6C:5D:2E:8F:90:A1:B2:C3:D4:E5:F6:07:18:\
         29:3A:4B:5C:6D:7E:8F:90:A1:B2:C3:D4:E5:F6:07:18\"",
        |c, v| if let Value::Fingerprint(bytes) = v { c.mqtt.fingerprint = Some(bytes) },
        "SHA-256 of the broker's certificate: this one and no other, whoever signed it. For a \
         broker whose certificate is signed by itself."),
    setting(Section::Mqtt, "user", ValueKind::Text(128, false), WhenUnset::Means("no one logs in"),
        "\"kitchen-phone\"",
        |c, v| c.mqtt.user = v.text(),
        "Who logs in at the broker."),
    setting(Section::Mqtt, "password", ValueKind::Secret, WhenUnset::Means("none"),
        "\"correct horse\"",
        |c, v| c.mqtt.password = Secret(v.text()),
        "And the password. Never shown in log or status."),
    setting(Section::Mqtt, "topic", ValueKind::Formatted(TextFormat::Topic),
        WhenUnset::Default("\"offhook\""), "\"house/phones\"",
        |c, v| c.mqtt.topic = v.text(),
        "What every topic of this phone begins with: `offhook/kitchen-phone/ringing`."),
    setting(Section::Mqtt, "name", ValueKind::Formatted(TextFormat::HostName),
        WhenUnset::Means("`network.host_name`"), "\"kitchen-phone\"",
        |c, v| c.mqtt.name = Some(v.text()),
        "This phone's own part of its topics, and its name at the broker: no two phones of one \
         broker may have the same."),
    setting(Section::Mqtt, "discovery", ValueKind::Bool, WhenUnset::Default("true"), "false",
        |c, v| c.mqtt.discovery = v.bool(),
        "Home Assistant finds the phone and everything it shows by itself (MQTT discovery, below \
         `homeassistant/`)."),
    setting(Section::Mqtt, "callers", ValueKind::Bool, WhenUnset::Default("false"), "true",
        |c, v| c.mqtt.callers = v.bool(),
        "Who calls and who is called, by number and name, is published, too. `false`: only that \
         somebody is."),
    setting(Section::Mqtt, "orders", ValueKind::Subset(MqttOrder::NAMES),
        WhenUnset::Default("[]"), "[\"ring\", \"dnd\"]",
        |c, v| c.mqtt.orders = v.texts().iter().filter_map(|name| MqttOrder::from_name(name))
            .collect(),
        "What may be ordered over MQTT; everything else is refused. `ring`: the bell rings for 5 \
         s. `dial`: the bell rings for 30 s, and whoever lifts the handset is connected with the \
         number ordered, which is never an emergency number or a star code. `dnd`: do not \
         disturb. `volume`: of bell, handset and loudspeaker. No order opens the microphone."),
];
