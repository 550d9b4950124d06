//! Keys and rotary digits: collected to a number before a call, sent as DTMF in it; and the number
//! becomes a call.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use config::digit_map::Timer;
use types::Key;

use super::{DIAL_TONE, KeyDown, Phone, ROTARY_DTMF};
use crate::call::{Call, CallState};
use crate::dial_plan::Decision;
use crate::input::Alert;
use crate::note::{DialError, Note, RouteError};
use crate::output::{Destination, Output, StarCode, Tone};
use crate::state::{Phase, State};

/// What a key does in a state.
enum KeyMeans {
    Digit,
    Dtmf,
    Nothing,
}

impl Phone {
    fn key_means(&self) -> KeyMeans {
        if self.flash_from.is_some() {
            return KeyMeans::Nothing;
        }
        match self.state.phase() {
            Phase::Dialling => KeyMeans::Digit,
            Phase::Connected => KeyMeans::Dtmf,
            Phase::OnHook | Phase::Placing | Phase::Failed | Phase::Held => KeyMeans::Nothing,
        }
    }

    pub(super) fn key_down(&mut self, key: Key, now: Instant) {
        self.release_key();
        match self.key_means() {
            KeyMeans::Digit => {
                self.key = Some(KeyDown {
                    key,
                    dtmf: None,
                    heard: true,
                    until: None,
                });
                self.digit(key, now);
            }
            KeyMeans::Dtmf => self.dtmf(key, self.call.key_tones, None),
            KeyMeans::Nothing => {}
        }
    }

    pub(super) fn key_up(&mut self, key: Key) {
        if self.key.is_some_and(|down| down.key == key) {
            self.release_key();
        }
    }

    /// A rotary dial gives whole digits, without a key tone: one hears the dial run back.
    pub(super) fn rotary(&mut self, key: Key, now: Instant) {
        match self.key_means() {
            KeyMeans::Digit => self.digit(key, now),
            KeyMeans::Dtmf => {
                self.release_key();
                self.dtmf(key, false, Some(now + ROTARY_DTMF));
            }
            KeyMeans::Nothing => {}
        }
    }

    fn dtmf(&mut self, key: Key, heard: bool, until: Option<Instant>) {
        if let Some(call) = self.active {
            self.out.push_back(Output::Dtmf(call, key, true));
            self.key = Some(KeyDown {
                key,
                dtmf: Some(call),
                heard,
                until,
            });
        }
    }

    /// The key that is down comes up, whether it was released or its purpose is over.
    pub(super) fn release_key(&mut self) {
        if let Some(KeyDown {
            key,
            dtmf: Some(call),
            ..
        }) = self.key.take()
            && self.calls.get(call).is_some()
        {
            self.out.push_back(Output::Dtmf(call, key, false));
        }
    }

    fn digit(&mut self, key: Key, now: Instant) {
        if key == Key::Hash && !self.plan.accepts(&format!("{}#", self.digits)) {
            // Here `#` is no digit but "send now"; with nothing keyed there is nothing to send.
            if !self.digits.is_empty() {
                let decision = self.plan.send_now(&self.digits);
                self.decided(decision, now);
            }
            return;
        }
        self.digits.push(key.as_char());
        let decision = self.plan.decide(&self.digits);
        self.decided(decision, now);
    }

    fn decided(&mut self, decision: Decision, now: Instant) {
        match decision {
            Decision::Dial(number) => self.dial(&number, now),
            Decision::Wait {
                timer,
                number,
                second_dial_tone,
            } => {
                let timer = match timer {
                    Timer::Short => self.short_timer,
                    Timer::Long => self.long_timer,
                };
                self.enter(State::Collecting, Some(now + timer));
                self.pending = number;
                self.second_dial_tone = second_dial_tone;
            }
            Decision::Refuse(why) => self.not_dialled(why, now),
        }
    }

    /// Calls a number or an address, or carries out a star code.
    pub(super) fn dial(&mut self, number: &str, now: Instant) {
        if let Some(code) = self.plan.star_code(number) {
            return self.star_code(code, now);
        }
        let routes = if self.plan.is_emergency(number) {
            let routes = self.lines.emergency_routes(number);
            if routes.is_empty() {
                Err(RouteError::NoEmergencyRoute)
            } else {
                Ok(routes)
            }
        } else {
            self.lines.route(number).map(|route| vec![route])
        };
        match routes {
            Ok(routes) => self.place_call(routes.into(), now),
            Err(why) => {
                let number = number.to_owned();
                self.not_dialled(DialError::NoRoute { number, why }, now);
            }
        }
    }

    /// A star code: the owner carries it out.
    fn star_code(&mut self, code: StarCode, now: Instant) {
        self.note(Note::StarCode(code));
        self.out.push_back(Output::StarCode(code));
        self.digits.clear();
        self.pending = None;
        self.enter(State::DialTone, Some(now + DIAL_TONE));
        self.second_dial_tone = false;
        self.confirmed = true;
    }

    /// Places a call by the first of these routes; the others are tried when it fails.
    pub(super) fn place_call(&mut self, mut routes: VecDeque<Destination>, now: Instant) {
        let Some(to) = routes.pop_front() else { return };
        if self.calls.full() {
            return self.not_dialled(DialError::TooManyCalls(to.address), now);
        }
        let id = self.calls.new_id();
        let (peer, emergency) = (to.address.clone(), to.emergency);
        self.note(Note::Placed {
            to: peer.clone(),
            emergency,
        });
        self.calls.push(Call {
            id,
            state: CallState::Calling,
            peer,
            emergency,
            routes,
            alert: Alert::Normal,
            encryption: crate::input::Encryption::default(),
            warned: false,
            instead_of: None,
            consults: self.calls.first(CallState::OnHold),
        });
        self.out.push_back(Output::PlaceCall { call: id, to });
        self.enter(State::Calling, self.give_up(emergency, now));
        self.active = Some(id);
    }

    /// What was dialled is not called: congestion tone.
    pub(super) fn not_dialled(&mut self, why: DialError, now: Instant) {
        self.fail(Tone::Congestion, Note::NotDialled(why), now);
    }

    /// When an outgoing call is given up; an emergency call never is.
    pub(super) fn give_up(&self, emergency: bool, now: Instant) -> Option<Instant> {
        (!emergency).then(|| now + Duration::from_secs(self.call.no_answer_s.into()))
    }

    /// The active call rang too long.
    pub(super) fn no_answer(&mut self, now: Instant) {
        let Some(call) = self.active else { return };
        let peer = self
            .calls
            .get(call)
            .map(|call| call.peer.clone())
            .unwrap_or_default();
        self.release_key();
        let replaced = self.calls.take_replaced(call);
        self.end(call);
        let note = Note::NoAnswer { to: peer };
        match replaced {
            Some(old) => {
                self.note(note);
                self.switch_to(old);
            }
            None => self.fail(Tone::Congestion, note, now),
        }
    }
}
