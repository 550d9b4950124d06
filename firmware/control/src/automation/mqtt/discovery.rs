//! What Home Assistant is shown of the phone (MQTT discovery): one retained message an entity, that
//! says where its state is and where orders to it go.
//!
//! What the owner does not list in `mqtt.orders` is shown, and cannot be switched.

use config::schema::MqttOrder;
use phone::{State, VolumeOf, Volumes};
use serde_json::{Value, json};

use super::{EVENTS, FarEnd, MqttTopics, OFFLINE, ONLINE, Publication, Situation, displayed};

/// What every topic of discovery begins with.
const PREFIX: &str = "homeassistant";

/// What an entity is to Home Assistant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// On or off.
    Binary,
    /// A text.
    Text,
    /// A number.
    Count,
    /// One of the phone's states.
    PhoneState,
    /// On or off, and ordered where that is listed.
    Switch(MqttOrder),
    /// dB, and ordered where that is listed.
    Volume(MqttOrder),
    /// Only an order.
    Button(MqttOrder),
    /// An order of a number.
    Number(MqttOrder),
    /// What happens.
    Event,
}

/// Something that is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entity {
    /// Its part of the topics.
    pub(super) id: &'static str,
    name: &'static str,
    kind: Kind,
    /// How it looks: a class of Home Assistant, or an icon.
    class: Option<&'static str>,
    icon: &'static str,
    value: ShownValue,
}

/// What an entity shows; `None`: it is no state.
type ShownValue = Option<fn(Situation, FarEnd<'_>) -> String>;

const fn entity(
    id: &'static str,
    name: &'static str,
    kind: Kind,
    icon: &'static str,
    value: ShownValue,
) -> Entity {
    Entity {
        id,
        name,
        kind,
        class: None,
        icon,
        value,
    }
}

fn on(on: bool) -> String {
    if on { "ON" } else { "OFF" }.to_owned()
}

fn db(now: Situation, of: VolumeOf) -> String {
    now.volumes.of(of).to_string()
}

impl Entity {
    /// All of them.
    pub(super) const ALL: &[Self] = &[
        Self {
            class: Some("connectivity"),
            ..entity(
                "registered",
                "Registered",
                Kind::Binary,
                "mdi:phone-check",
                Some(|now, _| on(now.registered)),
            )
        },
        entity(
            "ringing",
            "Ringing",
            Kind::Binary,
            "mdi:phone-ring",
            Some(|now, _| on(now.state == State::Ringing)),
        ),
        entity(
            "in_use",
            "In use",
            Kind::Binary,
            "mdi:phone-in-talk",
            Some(|now, _| on(!now.state.is_on_hook())),
        ),
        entity(
            "state",
            "State",
            Kind::PhoneState,
            "mdi:phone",
            Some(|now, _| now.state.as_str().to_owned()),
        ),
        entity(
            "caller",
            "Caller",
            Kind::Text,
            "mdi:account",
            Some(|_, far_end| displayed(far_end.name)),
        ),
        entity(
            "number",
            "Number",
            Kind::Text,
            "mdi:dialpad",
            Some(|_, far_end| displayed(far_end.number)),
        ),
        entity(
            "missed",
            "Missed call",
            Kind::Binary,
            "mdi:phone-missed",
            Some(|now, _| on(now.missed)),
        ),
        entity(
            "messages",
            "Voice messages",
            Kind::Count,
            "mdi:voicemail",
            Some(|now, _| now.messages.to_string()),
        ),
        entity(
            "muted",
            "Muted",
            Kind::Binary,
            "mdi:microphone-off",
            Some(|now, _| on(now.muted)),
        ),
        entity(
            "dnd",
            "Do not disturb",
            Kind::Switch(MqttOrder::Dnd),
            "mdi:minus-circle",
            Some(|now, _| on(now.dnd)),
        ),
        entity(
            "ringer_volume",
            "Bell volume",
            Kind::Volume(MqttOrder::Volume),
            "mdi:bell",
            Some(|now, _| db(now, VolumeOf::Ringer)),
        ),
        entity(
            "earpiece_volume",
            "Handset volume",
            Kind::Volume(MqttOrder::Volume),
            "mdi:phone",
            Some(|now, _| db(now, VolumeOf::Earpiece)),
        ),
        entity(
            "speaker_volume",
            "Loudspeaker volume",
            Kind::Volume(MqttOrder::Volume),
            "mdi:volume-high",
            Some(|now, _| db(now, VolumeOf::Speaker)),
        ),
        entity(
            "ring",
            "Ring",
            Kind::Button(MqttOrder::Ring),
            "mdi:bell-ring",
            None,
        ),
        entity(
            "dial",
            "Ring to dial",
            Kind::Number(MqttOrder::Dial),
            "mdi:phone-dial",
            None,
        ),
        entity("event", "Call", Kind::Event, "mdi:phone-log", None),
    ];

    /// What it shows now; `None`: it is no state.
    pub(super) fn value(&self, now: Situation, far_end: FarEnd<'_>) -> Option<String> {
        self.value.map(|value| value(now, far_end))
    }

    /// Whether the owner lets it be seen.
    pub(super) fn is_shown(&self, config: &config::schema::Mqtt) -> bool {
        match self.kind {
            Kind::Text => config.callers,
            Kind::Button(order) | Kind::Number(order) => config.allows(order),
            Kind::Binary
            | Kind::Count
            | Kind::PhoneState
            | Kind::Switch(_)
            | Kind::Volume(_)
            | Kind::Event => true,
        }
    }

    /// What it may be to Home Assistant: shown only, and with orders.
    fn components(&self) -> (Option<&'static str>, Option<&'static str>) {
        match self.kind {
            Kind::Binary => (Some("binary_sensor"), None),
            Kind::Text | Kind::Count | Kind::PhoneState => (Some("sensor"), None),
            Kind::Event => (Some("event"), None),
            Kind::Switch(_) => (Some("binary_sensor"), Some("switch")),
            Kind::Volume(_) => (Some("sensor"), Some("number")),
            Kind::Button(_) => (None, Some("button")),
            Kind::Number(_) => (None, Some("text")),
        }
    }

    /// The order it takes.
    fn order(&self) -> Option<MqttOrder> {
        match self.kind {
            Kind::Switch(order)
            | Kind::Volume(order)
            | Kind::Button(order)
            | Kind::Number(order) => Some(order),
            Kind::Binary | Kind::Text | Kind::Count | Kind::PhoneState | Kind::Event => None,
        }
    }

    /// What is special to its kind.
    fn details(&self, ordered: bool, payload: &mut Value) {
        let (least, most, step) = Volumes::LIMITS_DB;
        match self.kind {
            Kind::PhoneState => {
                let states = State::ALL.map(State::as_str);
                payload["device_class"] = "enum".into();
                payload["options"] = json!(states);
            }
            Kind::Volume(_) => {
                payload["unit_of_measurement"] = "dB".into();
                if ordered {
                    payload["min"] = least.into();
                    payload["max"] = most.into();
                    payload["step"] = step.into();
                }
            }
            Kind::Number(_) => {
                payload["max"] = 32.into();
                payload["pattern"] = "\\+?[0-9]+".into();
            }
            Kind::Event => {
                payload["event_types"] = json!(EVENTS.map(|(_, name)| name));
            }
            Kind::Binary | Kind::Text | Kind::Count | Kind::Switch(_) | Kind::Button(_) => {}
        }
    }
}

/// What all entities belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device {
    name: String,
    model: String,
}

impl Device {
    pub(super) fn of(config: &config::Config) -> Self {
        Self {
            name: config.phone.name.clone(),
            model: config.board.profile.clone(),
        }
    }

    fn payload(&self, client: &str) -> Value {
        json!({
            "identifiers": [client],
            "name": self.name,
            "manufacturer": "Offhook",
            "model": self.model,
            "sw_version": env!("CARGO_PKG_VERSION"),
        })
    }
}

/// Every entity, and an empty message for what an entity was before the owner changed his mind.
pub(super) fn publications(
    config: &config::schema::Mqtt,
    topics: &MqttTopics,
    device: &Device,
) -> Vec<Publication> {
    let mut publications = Vec::new();
    for entity in Entity::ALL {
        let ordered = entity.order().is_some_and(|order| config.allows(order));
        let (shown, switched) = entity.components();
        let wanted = if ordered { switched } else { shown };
        let wanted = wanted.filter(|_| entity.is_shown(config));
        for component in [shown, switched].into_iter().flatten() {
            let payload = if Some(component) == wanted {
                payload(entity, ordered, topics, device).to_string()
            } else {
                String::new()
            };
            publications.push(Publication {
                topic: format!(
                    "{PREFIX}/{component}/{}/{}/config",
                    topics.client, entity.id
                ),
                payload,
                retain: true,
            });
        }
    }
    publications
}

fn payload(entity: &Entity, ordered: bool, topics: &MqttTopics, device: &Device) -> Value {
    let mut payload = json!({
        "name": entity.name,
        "unique_id": format!("{}_{}", topics.client, entity.id),
        "object_id": format!("{}_{}", topics.client, entity.id),
        "availability_topic": topics.availability(),
        "payload_available": ONLINE,
        "payload_not_available": OFFLINE,
        "icon": entity.icon,
        "device": device.payload(&topics.client),
    });
    let only_ordered = matches!(entity.kind, Kind::Button(_) | Kind::Number(_));
    if !only_ordered {
        payload["state_topic"] = topics.of_entity(entity.id).into();
    }
    if ordered {
        payload["command_topic"] = topics.order_of(entity.id).into();
    }
    if let Some(class) = entity.class {
        payload["device_class"] = class.into();
    }
    entity.details(ordered, &mut payload);
    payload
}
