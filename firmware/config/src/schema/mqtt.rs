//! `[mqtt]`: state to a broker of the owner's, and orders from there.

use std::path::PathBuf;

use super::Secret;

/// `[mqtt]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mqtt {
    /// Host, with or without port; `None`: MQTT is off.
    pub broker: Option<String>,
    /// The connection is encrypted.
    pub tls: bool,
    /// Certificates to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// SHA-256 of the broker's certificate: this one, whoever signed it.
    pub fingerprint: Option<[u8; 32]>,
    /// Empty: no one logs in.
    pub user: String,
    /// And the password.
    pub password: Secret,
    /// What every topic of this phone begins with.
    pub topic: String,
    /// The phone's own part of its topics; `None`: `network.host_name`.
    pub name: Option<String>,
    /// Home Assistant is shown what there is.
    pub discovery: bool,
    /// Numbers and names of far ends are published.
    pub callers: bool,
    /// What the broker's users may order.
    pub orders: Vec<MqttOrder>,
}

/// What may be ordered over MQTT, where the owner allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MqttOrder {
    /// The bell rings for a moment.
    Ring,
    /// The bell rings, and who lifts the handset is connected with a number.
    Dial,
    /// Do not disturb.
    Dnd,
    /// How loud bell, handset and loudspeaker are.
    Volume,
}

impl MqttOrder {
    /// Their names, as `mqtt.orders` lists them.
    pub(crate) const NAMES: &[&str] = &[
        Self::Ring.as_str(),
        Self::Dial.as_str(),
        Self::Dnd.as_str(),
        Self::Volume.as_str(),
    ];

    /// Its name in `mqtt.orders`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::Dial => "dial",
            Self::Dnd => "dnd",
            Self::Volume => "volume",
        }
    }

    /// The one of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Ring, Self::Dial, Self::Dnd, Self::Volume];
        all.into_iter().find(|order| order.as_str() == name)
    }
}

impl Mqtt {
    /// With nothing in it yet.
    pub(crate) const fn blank() -> Self {
        Self {
            broker: None,
            tls: true,
            ca: None,
            fingerprint: None,
            user: String::new(),
            password: Secret(String::new()),
            topic: String::new(),
            name: None,
            discovery: true,
            callers: false,
            orders: Vec::new(),
        }
    }

    /// The owner allows this.
    pub fn allows(&self, order: MqttOrder) -> bool {
        self.orders.contains(&order)
    }

    /// Whether a text may be the name of a topic, or the part of one before a `/`: no wildcard, no
    /// `$`, which begins the broker's own topics (MQTT 5.0 section 4.7), no empty level.
    pub(crate) fn is_topic(text: &str) -> bool {
        let level = |level: &str| {
            let plain = |c: char| !c.is_control() && !"+#$".contains(c);
            !level.trim().is_empty() && level.chars().all(plain)
        };
        text.len() <= 64 && text.split('/').all(level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_no_wildcards() {
        for right in ["offhook", "house/phones", "Büro 2"] {
            assert!(Mqtt::is_topic(right), "{right}");
        }
        for wrong in ["", "/", "a//b", "a/", "a/+", "#", "$SYS", "a\nb", " "] {
            assert!(!Mqtt::is_topic(wrong), "{wrong}");
        }
        assert!(!Mqtt::is_topic(&"a".repeat(65)));
    }

    #[test]
    fn orders_are_known_by_their_names() {
        for name in MqttOrder::NAMES {
            assert_eq!(
                MqttOrder::from_name(name).map(MqttOrder::as_str),
                Some(*name)
            );
        }
        assert_eq!(MqttOrder::from_name("answer"), None);
    }
}
