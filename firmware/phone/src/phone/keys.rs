//! Keys and rotary digits: collected to a number before a call, sent as DTMF in it; and the number
//! becomes a call.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use config::digit_map::Timer;
use types::Key;

use super::{KeyDown, Phone, ROTARY_DTMF};
use crate::call::{Call, CallState};
use crate::dial_plan::{Decision, Dialled};
use crate::note::{BarredNumber, DialError, Note, Refusal, RouteError};
use crate::output::{CallOptions, Destination, Output, Tone};
use crate::state::{Phase, State};

/// What a key does in a state.
enum KeyMeans {
    Digit,
    Dtmf,
    Answer,
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
            Phase::SettingUp => KeyMeans::Answer,
            Phase::OnHook | Phase::Placing | Phase::Failed | Phase::Held => KeyMeans::Nothing,
        }
    }

    pub(super) fn key_down(&mut self, key: Key, now: Instant) {
        self.release_key();
        if self.menu_key(key, now) || self.ringing_key(key, now) {
            return;
        }
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
            KeyMeans::Answer => {
                self.key = Some(KeyDown {
                    key,
                    dtmf: None,
                    heard: true,
                    until: None,
                });
                self.set_up_key(key, now);
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
        if self.menu_key(key, now) {
            return;
        }
        match self.key_means() {
            KeyMeans::Digit => self.digit(key, now),
            KeyMeans::Answer => self.set_up_key(key, now),
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
            self.watch_door_code(key);
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
            Decision::Dial(dialled) => self.dial(dialled, now),
            Decision::Wait {
                timer,
                dialled,
                second_dial_tone,
            } => {
                let timer = match timer {
                    Timer::Short => self.short_timer,
                    Timer::Long => self.long_timer,
                };
                self.enter(State::Collecting, Some(now + timer));
                self.pending = dialled;
                self.second_dial_tone = second_dial_tone;
            }
            Decision::Refuse(why) => self.not_dialled(why, now),
        }
    }

    /// A key of a phone that rings on hook: `*` silences the bell, `#` refuses the call.
    fn ringing_key(&mut self, key: Key, now: Instant) -> bool {
        if self.state != State::Ringing {
            return false;
        }
        match key {
            Key::Star => self.silenced = true,
            Key::Hash => self.refuse_ringing(now),
            Key::Digit(_) | Key::Letter(_) => return false,
        }
        true
    }

    /// Refuses the call that rings.
    pub(super) fn refuse_ringing(&mut self, now: Instant) {
        let Some(ringing) = self.calls.first(CallState::Ringing) else {
            return;
        };
        self.out.push_back(Output::Reject(ringing, 486));
        if let Some(call) = self.calls.remove(ringing) {
            let why = Refusal::ByHand;
            self.note(Note::Refused {
                from: call.peer,
                why,
            });
        }
        self.rings_no_more(ringing, now);
    }

    /// Dials a number or address given as a whole.
    pub(super) fn dial_now(&mut self, number: &str, now: Instant) {
        if self.state.takes_digits() && self.flash_from.is_none() {
            self.dial(Dialled::Number(number.to_owned()), now);
        }
    }

    /// Calls a number or an address, or carries out a star code. A target of a speed dial or
    /// hotline may be a star code, too.
    pub(super) fn dial(&mut self, dialled: Dialled, now: Instant) {
        match dialled {
            Dialled::Code(code, number) => self.star_code(code, &number, now),
            Dialled::Number(number) => match self.plan.whole_code(&number) {
                Some((code, argument)) => self.star_code(code, &argument, now),
                None => self.place_number(&number, CallOptions::default(), now),
            },
        }
    }

    /// How a text message to a number, a speed dial or an address goes: as a call would.
    pub fn message_route(&self, to: &str) -> Result<Destination, DialError> {
        let number = self.plan.speed_dial(to).unwrap_or(to);
        self.check_barred(number)?;
        self.lines.route(number).map_err(|why| DialError::NoRoute {
            number: number.to_owned(),
            why,
        })
    }

    /// What the digit map bars is barred behind an account's prefix, too.
    pub(super) fn check_barred(&self, number: &str) -> Result<(), BarredNumber> {
        let after_prefix = self.lines.by_prefix(number).map(|(_, rest)| rest);
        let mut numbers = [Some(number), after_prefix].into_iter().flatten();
        match numbers.find_map(|number| self.plan.bars(number)) {
            Some(why) => Err(why),
            None => Ok(()),
        }
    }

    /// Calls a number or an address. An emergency call shows who calls, whatever was asked for.
    pub(super) fn place_number(&mut self, number: &str, options: CallOptions, now: Instant) {
        if let Err(why) = self.check_barred(number) {
            return self.not_dialled(why.into(), now);
        }
        let emergency = self.plan.is_emergency(number);
        let routes = if emergency {
            // Whoever calls for help is heard.
            self.mute = false;
            let steps = self.forwards.cancel();
            self.take_forward_steps(steps);
            let routes = self.lines.emergency_routes(number);
            if routes.is_empty() {
                Err(RouteError::NoEmergencyRoute)
            } else {
                Ok(routes)
            }
        } else {
            let withheld = options.anonymous || self.features.anonymous;
            let with = |route: Destination| {
                let anonymous = withheld || self.lines.withholds(route.account);
                let options = CallOptions {
                    anonymous,
                    ..options
                };
                Destination { options, ..route }
            };
            self.lines.route(number).map(|route| vec![with(route)])
        };
        match routes {
            Ok(routes) => {
                if !emergency {
                    self.remember_dialled(number);
                }
                self.place_call(routes.into(), now);
            }
            Err(why) => {
                let number = number.to_owned();
                self.not_dialled(DialError::NoRoute { number, why }, now);
            }
        }
    }

    /// Places a call by the first of these routes; the others are tried when it fails.
    pub(super) fn place_call(&mut self, mut routes: VecDeque<Destination>, now: Instant) {
        let Some(mut to) = routes.pop_front() else {
            return;
        };
        to.has_more = !routes.is_empty();
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
            account: to.account,
            emergency,
            routes,
            consults: self.calls.first(CallState::OnHold),
            ..Call::new(id, CallState::Calling, peer)
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
