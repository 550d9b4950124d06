//! Home automation gets what changed, and its orders are carried out as a person's would be.

use std::time::Instant;

use phone::Input;

use super::{Control, Output};
use crate::automation::mqtt::{MqttCommand, MqttEvent, OrderError};
use crate::automation::{Automation, FarEnd, Report, Situation};
use crate::note::Note;
use crate::readable::displayable;

/// What the configuration names, from now on.
pub(super) fn new(config: &config::Config, phone: &phone::Phone) -> Automation {
    Automation::new(config, situation(phone, false, 0))
}

fn situation(phone: &phone::Phone, registered: bool, messages: u32) -> Situation {
    let features = phone.features();
    Situation {
        state: phone.state(),
        registered,
        dnd: features.dnd,
        missed: phone.has_missed(),
        muted: phone.is_muted(),
        messages,
        volumes: features.volumes,
    }
}

impl Control {
    /// Sends what belongs to what changed.
    pub(super) fn run_automation(&mut self) {
        if self.automation.is_off() {
            return;
        }
        let mut accounts = 0..self.config.accounts.len();
        let registered = accounts
            .clone()
            .any(|account| self.accounts.is_ready(account));
        // A server may say that there are messages and not how many.
        let waiting = |account| {
            let mailbox = self.packages.mailbox(account)?;
            Some(mailbox.new.max(u32::from(mailbox.waiting)))
        };
        let messages = accounts
            .by_ref()
            .filter_map(waiting)
            .fold(0, u32::saturating_add);
        let situation = situation(&self.phone, registered, messages);
        let (number, name) = self.far_end();
        let far_end = FarEnd {
            number: &number,
            name: &name,
        };
        for report in self.automation.observe(situation, far_end) {
            self.outbox.push(match report {
                Report::Fetch(url) => Output::Fetch(url),
                Report::Publish(publication) => Output::Publish(publication),
            });
        }
    }

    /// The door is to be opened.
    pub(super) fn open_door(&mut self) {
        let (number, name) = self.far_end();
        let far_end = FarEnd {
            number: &number,
            name: &name,
        };
        if let Some(url) = self.automation.door(far_end) {
            self.outbox.push(Output::Fetch(url));
        }
    }

    /// Number and name of the call there is.
    fn far_end(&self) -> (String, String) {
        let call = self.calls.iter().find(|call| !call.is_ended());
        call.map_or_else(Default::default, |call| {
            (call.number.clone(), call.peer.clone())
        })
    }

    /// Something came of the connection with the MQTT broker.
    pub fn handle_mqtt(&mut self, event: MqttEvent, now: Instant) {
        let Some(mqtt) = self.automation.mqtt_mut() else {
            return;
        };
        match event {
            MqttEvent::Connected => {
                let publications = mqtt.on_connected();
                let broker = mqtt.status().broker;
                for publication in publications {
                    self.outbox.push(Output::Publish(publication));
                }
                self.outbox.note(&Note::MqttConnected { broker });
            }
            MqttEvent::Disconnected(why) => {
                if mqtt.on_disconnected(&why) {
                    self.outbox.note(&Note::MqttLost { why });
                }
            }
            MqttEvent::Message {
                topic,
                payload,
                retained,
            } => {
                let order = mqtt.order(&topic, &payload, retained, now);
                let carried_out = order.and_then(|order| self.carry_out(order, now));
                self.note_order(&topic, carried_out);
            }
        }
        self.drain(now);
    }

    /// Does what is ordered. Returns what it was.
    fn carry_out(&mut self, order: MqttCommand, now: Instant) -> Result<String, OrderError> {
        match order {
            MqttCommand::Ring => {
                self.phone.check_ring_order(None)?;
                self.phone.handle(Input::RingOrder(None), now);
                Ok("ring".to_owned())
            }
            MqttCommand::Dial(number) => {
                self.phone.check_ring_order(Some(&number))?;
                self.phone
                    .handle(Input::RingOrder(Some(number.clone())), now);
                Ok(format!("ring to dial {number}"))
            }
            MqttCommand::Dnd(on) => {
                self.phone.handle(Input::Dnd(on), now);
                let word = if on { "on" } else { "off" };
                Ok(format!("do not disturb {word}"))
            }
            MqttCommand::Volume(of, db) => {
                self.phone.handle(Input::Volume(of, db), now);
                Ok(format!("volume of the {} {db} dB", of.as_str()))
            }
        }
    }

    fn note_order(&mut self, topic: &str, carried_out: Result<String, OrderError>) {
        match carried_out {
            Ok(what) => self.outbox.note(&Note::MqttOrder { what }),
            Err(OrderError::TooMany { first: false }) => {}
            Err(why) => self.outbox.note(&Note::MqttRefused {
                topic: displayable(topic),
                why: why.to_string(),
            }),
        }
    }
}
