//! What tests ask of a phone of the simulation.

use media::StreamId;
use phone::{Lamp, LampState};
use serde_json::Value;
use testkit::network::Time;

use super::SimPhone;

impl SimPhone {
    /// Ports open now: RTP and RTCP of every stream.
    pub fn open_ports(&self) -> Vec<u16> {
        self.ports.open.keys().copied().collect()
    }

    /// What is not empty; `None` when nothing at all goes on.
    pub fn unrest(&self) -> Option<String> {
        let tables = self.control.tables();
        let mut what = Vec::new();
        if !tables.is_empty() {
            what.push(format!("{tables:?}"));
        }
        if self.engine.streams() > 0 {
            what.push(format!("{} streams in the engine", self.engine.streams()));
        }
        if !self.ports.open.is_empty() {
            what.push(format!("ports {:?} open", self.open_ports()));
        }
        if self.control.state() != phone::State::Idle {
            what.push(format!("state {:?}", self.control.state()));
        }
        if let Some(tone) = self.control.tone() {
            what.push(format!("tone {tone:?}"));
        }
        if self.ring.is_some() {
            what.push("still ringing".to_owned());
        }
        if self
            .lamps
            .get(&Lamp::InUse)
            .is_some_and(|lamp| *lamp != LampState::Off)
        {
            what.push("in-use lamp lit".to_owned());
        }
        if let Some(at) = self.timeout.filter(|_| self.lineless) {
            what.push(format!("a timer at {:.3} s", at.as_secs_f64()));
        }
        (!what.is_empty()).then(|| format!("{}: {}", self.name, what.join(", ")))
    }

    /// The status object, as `ctl status` prints it.
    pub fn status(&self, now: Time) -> Value {
        serde_json::to_value(self.control.status(self.base + now)).unwrap_or(Value::Null)
    }

    /// Figures of every stream in the engine.
    pub fn stream_stats(&self) -> Vec<media::StreamStats> {
        let mut ids: Vec<StreamId> = self
            .ports
            .open
            .values()
            .map(|(stream, _)| *stream)
            .collect();
        ids.dedup();
        ids.into_iter()
            .filter_map(|id| self.engine.stats(id))
            .collect()
    }

    /// Events with this name, with their times.
    pub fn events_named(&self, name: &str) -> Vec<(Time, Value)> {
        self.events
            .iter()
            .filter(|(_, event)| event["event"] == name)
            .cloned()
            .collect()
    }
}
