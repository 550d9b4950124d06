//! What home automation gets of the phone and may order: HTTP requests and MQTT, both from one look
//! at what changed.
//!
//! ```text
//! Situation ─▶ moments (what began) ─┬─▶ Actions ─▶ Report::Fetch     (HTTP, `[actions]`)
//!                                    └─▶ Mqtt ────▶ Report::Publish   (`[mqtt]`)
//! ```

pub(crate) mod actions;
pub mod mqtt;

use phone::{State, Volumes};

use actions::Actions;
use mqtt::{Mqtt, Publication};

/// Something to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Report {
    /// This address is fetched.
    Fetch(String),
    /// The broker gets this.
    Publish(Publication),
}

/// What the phone is like, as far as home automation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Situation {
    pub(crate) state: State,
    pub(crate) registered: bool,
    pub(crate) dnd: bool,
    /// A call was missed, or a text came, since the handset was lifted last.
    pub(crate) missed: bool,
    pub(crate) muted: bool,
    /// Voice messages not heard yet, in all mailboxes.
    pub(crate) messages: u32,
    pub(crate) volumes: Volumes,
}

/// Something that began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// A call rings.
    Ringing,
    /// A call is established.
    Answered,
    /// The phone rests again.
    HungUp,
    /// A call was missed, or a text came.
    Missed,
    /// Calls can be placed, where none could before.
    Registered,
    /// None can any more.
    Unregistered,
    /// Do not disturb was switched on.
    DndOn,
    /// It was switched off.
    DndOff,
}

impl Situation {
    /// What began since then.
    fn moments(self, before: Self) -> Vec<Moment> {
        let began = |state: State| self.state == state && before.state != state;
        let all = [
            (began(State::Ringing), Moment::Ringing),
            // A call taken back from hold was answered before.
            (
                began(State::Talking) && before.state != State::OnHold,
                Moment::Answered,
            ),
            (began(State::Idle), Moment::HungUp),
            (self.missed && !before.missed, Moment::Missed),
            (self.registered && !before.registered, Moment::Registered),
            (!self.registered && before.registered, Moment::Unregistered),
            (self.dnd && !before.dnd, Moment::DndOn),
            (!self.dnd && before.dnd, Moment::DndOff),
        ];
        let began = all.into_iter().filter(|(began, _)| *began);
        began.map(|(_, moment)| moment).collect()
    }
}

/// The far end of the call there is; both empty: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FarEnd<'a> {
    pub(crate) number: &'a str,
    pub(crate) name: &'a str,
}

/// Both ways, and what the phone was like before.
#[derive(Debug)]
pub(crate) struct Automation {
    before: Situation,
    actions: Actions,
    mqtt: Option<Mqtt>,
}

impl Automation {
    pub(crate) fn new(config: &config::Config, now: Situation) -> Self {
        Self {
            before: now,
            actions: Actions::new(config),
            mqtt: Mqtt::new(config),
        }
    }

    /// Nothing is ever reported.
    pub(crate) fn is_off(&self) -> bool {
        self.actions.is_off() && self.mqtt.is_none()
    }

    pub(crate) fn mqtt(&self) -> Option<&Mqtt> {
        self.mqtt.as_ref()
    }

    pub(crate) fn mqtt_mut(&mut self) -> Option<&mut Mqtt> {
        self.mqtt.as_mut()
    }

    /// What is to be sent because of what changed.
    pub(crate) fn observe(&mut self, now: Situation, far_end: FarEnd<'_>) -> Vec<Report> {
        let before = std::mem::replace(&mut self.before, now);
        let moments = now.moments(before);
        let urls = self.actions.urls(&moments, far_end);
        let mut reports: Vec<Report> = urls.into_iter().map(Report::Fetch).collect();
        if let Some(mqtt) = &mut self.mqtt {
            let publications = mqtt.observe(now, &moments, far_end);
            reports.extend(publications.into_iter().map(Report::Publish));
        }
        reports
    }

    /// The address that opens the door.
    pub(crate) fn door(&self, far_end: FarEnd<'_>) -> Option<String> {
        self.actions.door(far_end)
    }
}

/// A phone at rest, for the tests.
#[cfg(test)]
const REST: Situation = Situation {
    state: State::Idle,
    registered: false,
    dnd: false,
    missed: false,
    muted: false,
    messages: 0,
    volumes: Volumes {
        earpiece_db: 0,
        speaker_db: 0,
        ringer_db: 0,
        microphone_db: 0,
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_is_a_moment_once() {
        let rings = Situation {
            state: State::Ringing,
            ..REST
        };
        let talks = Situation {
            state: State::Talking,
            ..REST
        };
        let holds = Situation {
            state: State::OnHold,
            ..REST
        };
        assert_eq!(rings.moments(REST), [Moment::Ringing]);
        assert_eq!(rings.moments(rings), []);
        assert_eq!(talks.moments(rings), [Moment::Answered]);
        assert_eq!(talks.moments(holds), [], "taken back from hold");
        let missed = Situation {
            missed: true,
            ..REST
        };
        assert_eq!(missed.moments(rings), [Moment::HungUp, Moment::Missed]);
        assert_eq!(REST.moments(missed), []);
    }
}
