//! MQTT as values: what the phone publishes to the broker, and what may be ordered from there. No
//! socket and no packet; the owner of the connection sends and receives.
//!
//! ```text
//! Situation ─▶ Mqtt::observe ─▶ Publication (what changed)         connected ─▶ all of it again
//! topic, payload ─▶ Mqtt::order ─▶ MqttCommand | OrderError (not listed, retained, too many, no number …)
//!
//! offhook/kitchen-phone/availability   "online" | "offline" (last will), retained
//!                      /ringing        "ON" | "OFF", retained; and so on for each entity
//!                      /event          {"event_type":"ringing"}, not retained
//!                      /ring/set       orders, where the owner lists them
//! homeassistant/binary_sensor/offhook_kitchen-phone/ringing/config   discovery, retained
//! ```

mod discovery;
mod order;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Instant;

use super::{FarEnd, Moment, Situation};
use crate::readable::displayable;
use crate::status::MqttStatus;
use discovery::Entity;
use order::OrderLimit;
pub(crate) use order::{MqttCommand, OrderError};

/// Longest text of a state, in characters: Home Assistant takes 255.
const MOST_TEXT: usize = 128;

/// What this phone's topics are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttTopics {
    /// The phone's name at the broker, the client identifier.
    pub client: String,
    /// What every topic begins with, without a `/` at its end.
    root: String,
}

impl MqttTopics {
    /// Of this configuration.
    pub fn of(config: &config::Config) -> Self {
        let name = config.mqtt.name.as_ref().unwrap_or(&config.link.host_name);
        Self {
            client: format!("offhook_{name}"),
            root: format!("{}/{name}", config.mqtt.topic),
        }
    }

    /// Where the broker says that the phone is gone: its last will.
    pub fn availability(&self) -> String {
        self.of_entity("availability")
    }

    /// Where orders come; one level of any name.
    pub fn orders(&self) -> String {
        format!("{}/+/set", self.root)
    }

    fn of_entity(&self, entity: &str) -> String {
        format!("{}/{entity}", self.root)
    }

    fn order_of(&self, entity: &str) -> String {
        format!("{}/{entity}/set", self.root)
    }

    /// The entity that a topic is an order to.
    fn ordered<'t>(&self, topic: &'t str) -> Option<&'t str> {
        let entity = topic.strip_prefix(self.root.as_str())?.strip_prefix('/')?;
        entity.strip_suffix("/set")
    }
}

/// What [`MqttTopics::availability`] says while the phone is there.
pub const ONLINE: &str = "online";
/// And when it is not.
pub const OFFLINE: &str = "offline";

/// A message for the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Its topic.
    pub topic: String,
    /// What it says; empty and retained: what the broker keeps of this topic is deleted.
    pub payload: String,
    /// The broker keeps it for those who ask later.
    pub retain: bool,
}

/// What the connection to the broker reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MqttEvent {
    /// It is there, new.
    Connected,
    /// It is gone, or could not be made, and why, for people.
    Disconnected(String),
    /// Somebody orders something.
    Message {
        /// By this topic.
        topic: String,
        /// This.
        payload: Vec<u8>,
        /// The broker kept it from before: not meant for now.
        retained: bool,
    },
}

/// The phone's side of MQTT.
#[derive(Debug)]
pub(crate) struct Mqtt {
    config: config::schema::Mqtt,
    topics: MqttTopics,
    device: discovery::Device,
    connected: bool,
    error: Option<String>,
    /// What the broker was sent last, by entity.
    sent: BTreeMap<&'static str, String>,
    limit: OrderLimit,
}

impl Mqtt {
    /// Not connected yet; none: no broker is named.
    pub(super) fn new(config: &config::Config) -> Option<Self> {
        config.mqtt.broker.as_ref()?;
        Some(Self {
            config: config.mqtt.clone(),
            topics: MqttTopics::of(config),
            device: discovery::Device::of(config),
            connected: false,
            error: None,
            sent: BTreeMap::new(),
            limit: OrderLimit::default(),
        })
    }

    /// What status says of it.
    pub(crate) fn status(&self) -> MqttStatus {
        MqttStatus {
            broker: self.config.broker.clone().unwrap_or_default(),
            connected: self.connected,
            error: self.error.clone(),
        }
    }

    /// A new connection: whatever the broker knew is sent again. What describes the phone comes
    /// first, then what it is like, and last that it is there.
    pub(crate) fn on_connected(&mut self) -> Vec<Publication> {
        self.connected = true;
        self.error = None;
        self.sent.clear();
        if self.config.discovery {
            discovery::publications(&self.config, &self.topics, &self.device)
        } else {
            Vec::new()
        }
    }

    /// The connection is gone. Returns whether that is news.
    pub(crate) fn on_disconnected(&mut self, why: &str) -> bool {
        let why = displayable(why);
        let news = self.connected || self.error.as_ref() != Some(&why);
        self.connected = false;
        self.error = Some(why);
        news
    }

    /// What the broker is to be sent because of what changed.
    pub(super) fn observe(
        &mut self,
        now: Situation,
        moments: &[Moment],
        far_end: FarEnd<'_>,
    ) -> Vec<Publication> {
        if !self.connected {
            return Vec::new();
        }
        let far_end = if self.config.callers {
            far_end
        } else {
            FarEnd::default()
        };
        let mut publications = Vec::new();
        let states = Entity::ALL
            .iter()
            .filter(|entity| entity.is_shown(&self.config));
        for entity in states {
            let Some(value) = entity.value(now, far_end) else {
                continue;
            };
            if self.sent.get(entity.id) != Some(&value) {
                publications.push(Publication {
                    topic: self.topics.of_entity(entity.id),
                    payload: value.clone(),
                    retain: true,
                });
                self.sent.insert(entity.id, value);
            }
        }
        if self
            .sent
            .insert("availability", ONLINE.to_owned())
            .is_none()
        {
            publications.push(Publication {
                topic: self.topics.availability(),
                payload: ONLINE.to_owned(),
                retain: true,
            });
        }
        let events = moments.iter().filter_map(|moment| event_type(*moment));
        publications.extend(events.map(|event| Publication {
            topic: self.topics.of_entity("event"),
            payload: event_payload(event, far_end),
            retain: false,
        }));
        publications
    }

    /// What a message orders.
    pub(crate) fn order(
        &mut self,
        topic: &str,
        payload: &[u8],
        retained: bool,
        now: Instant,
    ) -> Result<MqttCommand, OrderError> {
        self.limit.take(now)?;
        if retained {
            return Err(OrderError::Retained);
        }
        let entity = self.topics.ordered(topic).ok_or(OrderError::Unknown)?;
        let order = MqttCommand::read(entity, payload)?;
        if self.config.allows(order.kind()) {
            Ok(order)
        } else {
            Err(OrderError::NotListed(order.kind()))
        }
    }
}

/// A text that others chose.
fn displayed(text: &str) -> String {
    displayable(text).chars().take(MOST_TEXT).collect()
}

/// The moments of the entity `event`, and their names there; the others are states.
const EVENTS: [(Moment, &str); 4] = [
    (Moment::Ringing, "ringing"),
    (Moment::Answered, "answered"),
    (Moment::HungUp, "hung_up"),
    (Moment::Missed, "missed"),
];

fn event_type(moment: Moment) -> Option<&'static str> {
    let found = EVENTS.iter().find(|(known, _)| *known == moment);
    found.map(|(_, name)| *name)
}

fn event_payload(event: &str, far_end: FarEnd<'_>) -> String {
    let mut payload = serde_json::json!({ "event_type": event });
    if far_end != FarEnd::default() {
        payload["caller"] = displayed(far_end.name).into();
        payload["number"] = displayed(far_end.number).into();
    }
    payload.to_string()
}
