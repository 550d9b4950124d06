//! Keys and rotary digits: collected to a number before a call, sent as DTMF in it; and the number
//! becomes a call.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use config::digit_map::Timer;
use types::Key;

use super::{DIAL_TONE, KeyDown, Phone, ROTARY_DTMF};
use crate::call::{Call, CallState};
use crate::dialling::Decision;
use crate::input::Alert;
use crate::output::{Destination, Order, Output, State, Tone};

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
        match self.state {
            State::DialTone | State::Collecting => KeyMeans::Digit,
            State::EarlyMedia | State::Talking => KeyMeans::Dtmf,
            State::Idle
            | State::Ringing
            | State::Calling
            | State::Ringback
            | State::Busy
            | State::Congestion
            | State::Howler
            | State::Silent
            | State::OnHold => KeyMeans::Nothing,
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

    /// The key that is down comes up, whether the finger left it or what it was for is over.
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
            Decision::Refuse(why) => self.fail(Tone::Congestion, why, now),
        }
    }

    /// Calls a number or an address.
    pub(super) fn dial(&mut self, number: &str, now: Instant) {
        if let Some(order) = self.plan.order(number) {
            return self.order(order, now);
        }
        let ways = if self.plan.is_emergency(number) {
            let ways = self.lines.emergency_ways(number);
            if ways.is_empty() {
                Err("no line: there is neither an account nor an emergency route".to_owned())
            } else {
                Ok(ways)
            }
        } else {
            self.lines.way(number).map(|way| vec![way])
        };
        match ways {
            Ok(ways) => self.place(ways.into(), now),
            Err(why) => self.fail(
                Tone::Congestion,
                format!("{number} cannot be called: {why}"),
                now,
            ),
        }
    }

    /// Keys that are an order: the owner carries it out.
    fn order(&mut self, order: Order, now: Instant) {
        self.note(format!("ordered by keys: {order:?}"));
        self.out.push_back(Output::Order(order));
        self.digits.clear();
        self.pending = None;
        self.enter(State::DialTone, Some(now + DIAL_TONE));
        self.second_dial_tone = false;
        self.confirmed = true;
    }

    /// Places a call by the first of these ways; the others are for when it fails.
    pub(super) fn place(&mut self, mut ways: VecDeque<Destination>, now: Instant) {
        let Some(to) = ways.pop_front() else { return };
        if self.calls.full() {
            self.fail(
                Tone::Congestion,
                format!("{} cannot be called: too many calls", to.address),
                now,
            );
            return;
        }
        let id = self.calls.new_id();
        let (peer, emergency) = (to.address.clone(), to.emergency);
        self.note(if emergency {
            format!("emergency call to {peer}")
        } else {
            format!("call to {peer}")
        });
        self.calls.push(Call {
            id,
            state: CallState::Calling,
            peer,
            emergency,
            ways,
            alert: Alert::Normal,
            encryption: crate::input::Encryption::default(),
            warned: false,
            instead_of: None,
            consults: self.calls.first(CallState::OnHold),
        });
        self.out.push_back(Output::Place { call: id, to });
        self.enter(State::Calling, self.give_up(emergency, now));
        self.active = Some(id);
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
        let text = format!("call to {peer} given up: no answer");
        match replaced {
            Some(old) => {
                self.note(text);
                self.switch_to(old);
            }
            None => self.fail(Tone::Congestion, text, now),
        }
    }
}
