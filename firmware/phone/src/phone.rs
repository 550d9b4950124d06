//! The phone itself: one exhaustive state machine.
//!
//! ```text
//!                    ┌─ hook.rs   lift, put down, answer
//!                    ├─ flash.rs  two calls, the digit after a flash, three at once
//! Input ─▶ handle ───┼─ keys.rs   keys, rotary digits, the number, placing
//!                    ├─ codes.rs  star codes
//!                    └─ updates.rs   calls coming in, updates of calls, one call replacing another
//!             │           └─▶ state, active call, calls, one timer a purpose
//!             └─▶ present.rs: what is heard, rung and lit follows from the state alone; differences become Output
//!
//!   Idle ─lift▶ DialTone ─key▶ Collecting ─number▶ Calling ─180▶ Ringback ─183▶ EarlyMedia ─200▶ Talking
//!   Idle ─INVITE▶ Ringing ─lift▶ Talking ─flash▶ DialTone (recall) … flash ▶ Talking;  no answer to it ▶ OnHold
//!   any failure ▶ Busy | Congestion ─time▶ Howler ─time▶ Silent;   every state ─put down▶ Idle (or Ringing, if a caller waits)
//! ```
//!
//! Because sound, ringer and lamps are derived (`present`), no path through the machine can forget
//! to stop a tone.
//!
//! The hook as flash (`call.flash = "hook"`): where a flash means something (in a call, or with one
//! on hold) putting the handset down cuts the sound at once and starts the country's window. Lifted
//! again before the window's begin it was a knock and the call goes on; inside it, a flash; when it
//! has passed, the handset is down for good and every call ends. Everywhere else it is down at
//! once.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use types::{Country, Key};

use crate::call::{CallState, Calls};
use crate::dial_plan::{DialPlan, Dialled};
use crate::features::Features;
use crate::forwarding::Forwards;
use crate::input::{AccountId, CallId, Input, PickUp};
use crate::note::{BarredNumber, DialError, Note};
use crate::output::{Output, Tone};
use crate::route::Lines;
use crate::screening::{BlockList, Intercom, Quiet, RingRules};
use crate::state::State;

mod codes;
mod feature_keys;
mod flash;
mod forward;
mod hook;
mod keys;
mod order;
mod present;
mod remote;
mod sound;
mod speech;
mod updates;

pub use codes::LastCaller;

/// How long dial tone waits for the first digit before it becomes congestion tone.
const DIAL_TONE: Duration = Duration::from_secs(30);

/// A contact comes to rest within this time after the handset was lifted.
const COMES_TO_REST: Duration = Duration::from_secs(1);

/// And until then it is never open longer than this.
const BOUNCE: Duration = Duration::from_millis(350);

/// How long the phone rings because a call answered itself at its caller's request.
const ANNOUNCEMENT: Duration = Duration::from_secs(1);

/// How long the bell reminds of a call on hold.
const REMINDER: Duration = Duration::from_secs(2);

/// How long the tone for a missing encryption is: three short beeps.
const WARNING: Duration = Duration::from_millis(500);

/// How long a rotary digit sounds as DTMF in a call.
const ROTARY_DTMF: Duration = Duration::from_millis(100);

/// A key that is down.
#[derive(Debug, Clone, Copy)]
struct KeyDown {
    key: Key,
    /// The call it is sent into.
    dtmf: Option<CallId>,
    /// It is heard in the handset.
    heard: bool,
    /// When it comes up by itself (a rotary digit).
    until: Option<Instant>,
}

/// The telephone.
#[derive(Debug)]
pub struct Phone {
    // What never changes.
    call: config::schema::Call,
    long_timer: Duration,
    short_timer: Duration,
    hotline: Option<(String, Duration)>,
    flash_window: (Duration, Duration),
    plan: DialPlan,
    /// Who does not get through.
    block: BlockList,
    /// Whom the bell is silent for.
    quiet: Quiet,
    /// Who is answered at once.
    intercom: Intercom,
    /// Who rings how.
    rings: RingRules,
    /// Numbers that star codes call.
    targets: config::schema::Dial,
    /// Groups that are spoken to.
    paging: config::schema::Paging,
    /// A digit may follow a flash.
    has_menu: bool,
    /// Words say what tones mean.
    speaks: bool,
    /// How loud everything is without the volume keys.
    levels: config::schema::AudioSettings,

    /// Keys that open the door in a call.
    door_code: Option<String>,

    // What it is doing.
    state: State,
    off_hook: bool,
    /// On hook, but a call that answered itself is established.
    hands_free: bool,
    /// The hands-free key did what lifting does; or, with the handset lifted, it stays on the
    /// loudspeaker when that is put down.
    speaker: bool,
    /// An announcement is heard in the loudspeaker.
    paged: bool,
    /// The microphone is off by its user's wish.
    mute: bool,
    calls: Calls,
    /// Callers on their way to another number.
    forwards: Forwards,
    /// The call of the handset; always one that is in `calls` and not on hold. `Some` in `Calling`,
    /// `Ringback`, `EarlyMedia` and `Talking` only.
    active: Option<CallId>,
    digits: String,
    /// What the digit timer dials when it runs out.
    pending: Option<Dialled>,
    /// A second dial tone: after a flash (`DialTone`) or a `,` of the digit map (`Collecting`).
    second_dial_tone: bool,
    /// The far end is heard (`EarlyMedia`).
    early_sound: bool,
    /// A star code was accepted: confirmation tone until something else happens (`DialTone`).
    confirmed: bool,
    /// A digit may say what the last flash means.
    menu: Option<flash::FlashMenu>,
    /// What is said with a voice.
    speech: speech::Speech,
    /// What is set from the handset.
    features: Features,
    /// The numbers dialled last, the newest at the end, each once.
    dialled: Vec<String>,
    /// Where in it the key of the redial list is.
    redial_at: Option<usize>,
    /// The keys pressed last in this call, as many as the door's code has.
    door_keys: String,
    last_caller: Option<LastCaller>,
    /// A call was missed, or a text came, since the handset was lifted last.
    missed: bool,
    /// The bell is silenced until the next call.
    silenced: bool,
    key: Option<KeyDown>,
    lines: Lines,
    messages: bool,
    /// A call that rings at a watched phone.
    pick_up: Option<PickUp>,

    // Timers.
    /// The state's own timer, set and cleared by `enter`.
    step: Option<Instant>,
    /// When the hook went down, while that may still be a flash.
    flash_from: Option<Instant>,
    /// When lifting the handset made a call: until its contact has come to rest a hook that goes
    /// down is no flash.
    taken_up: Option<Instant>,
    /// Until when a tone warns that the call's encryption is missing.
    warning: Option<Instant>,
    /// When a ringing call is answered by itself.
    auto_answer: Option<(Instant, CallId)>,
    /// Until when the phone rings because a call answered itself at its caller's request.
    announced: Option<Instant>,
    /// Until when the bell reminds of a call on hold.
    reminder: Option<Instant>,
    /// The bell rings because it is ordered to. `Some` in `Idle` only.
    ordered: Option<order::RingOrder>,
    /// When a changed volume is kept.
    remember_at: Option<Instant>,
    /// The far end of such a call hears nothing until the handset is lifted.
    muted: bool,

    // What was emitted.
    emitted: present::Presentation,
    out: VecDeque<Output>,
}

impl Phone {
    /// A phone on hook with no usable line.
    pub fn new(config: &config::Config) -> Self {
        let (from, to) = config::country::plan(config.phone.country).flash_window_ms;
        let ms = |ms: u32| Duration::from_millis(ms.into());
        let mut phone = Self {
            call: config.call.clone(),
            long_timer: ms(config.dial.long_timer_ms),
            short_timer: ms(config.dial.short_timer_ms),
            hotline: config
                .dial
                .hotline
                .as_ref()
                .map(|(number, delay)| (number.clone(), ms(*delay))),
            flash_window: (ms(from.into()), ms(to.into())),
            plan: DialPlan::new(config),
            block: BlockList::new(config),
            quiet: Quiet::new(config),
            intercom: Intercom::new(config),
            rings: RingRules::new(config),
            targets: config.dial.clone(),
            paging: config.paging.clone(),
            paged: false,
            has_menu: config
                .call
                .flash_menu
                .unwrap_or(config.phone.country != Country::Us),
            menu: None,
            speaks: config.phone.speech,
            levels: config.audio.clone(),
            speech: speech::Speech::default(),
            features: Features::default(),
            dialled: Vec::new(),
            redial_at: None,
            door_code: config.actions.door_code.clone(),
            door_keys: String::new(),
            last_caller: None,
            missed: false,
            silenced: false,
            reminder: None,
            ordered: None,
            remember_at: None,
            state: State::Idle,
            off_hook: false,
            hands_free: false,
            speaker: false,
            mute: false,
            calls: Calls::default(),
            forwards: Forwards::default(),
            active: None,
            digits: String::new(),
            pending: None,
            second_dial_tone: false,
            early_sound: false,
            confirmed: false,
            key: None,
            lines: Lines::new(config),
            messages: false,
            pick_up: None,
            step: None,
            flash_from: None,
            taken_up: None,
            warning: None,
            auto_answer: None,
            announced: None,
            muted: false,
            emitted: present::Presentation::default(),
            out: VecDeque::new(),
        };
        phone.present();
        phone
    }

    /// What the phone is doing.
    pub fn state(&self) -> State {
        self.state
    }

    /// The account that the next number goes by, unless the number says otherwise.
    pub fn next_account(&self) -> Option<AccountId> {
        self.lines.next_account()
    }

    /// The handset is lifted.
    pub fn off_hook(&self) -> bool {
        self.off_hook
    }

    /// What one call is doing; `None` when it is over or never was.
    pub fn call_state(&self, call: CallId) -> Option<CallState> {
        self.calls.get(call).map(|call| call.state)
    }

    /// An emergency call is placed or established.
    pub fn in_emergency_call(&self) -> bool {
        self.calls.iter().any(|call| call.emergency)
    }

    /// The tone in the ear.
    pub fn tone(&self) -> Option<Tone> {
        self.emitted.tone
    }

    /// The digits keyed so far.
    pub fn digits(&self) -> &str {
        &self.digits
    }

    /// The account by which what is keyed now would be called, as far as that is known; `None`: by
    /// none.
    pub fn dialling_account(&self) -> Option<AccountId> {
        self.lines.likely(&self.digits)
    }

    /// Why a call is not led to this number by its far end; `None`: it is. An emergency call goes
    /// wherever its server says, any other one to no emergency number: those are dialled by hand.
    pub fn bars_redirection(&self, call: CallId, number: &str) -> Option<BarredNumber> {
        if self.calls.get(call).is_some_and(|call| call.emergency) {
            return self.plan.bars(number);
        }
        self.plan.bars_request(number)
    }

    /// The next unused call id, for an incoming call.
    pub fn new_call(&mut self) -> CallId {
        self.calls.new_id()
    }

    /// Something happened. Timers that are due fire first.
    pub fn handle(&mut self, input: Input, now: Instant) {
        self.fire(now);
        match input {
            Input::Hook(true) => self.lift(now),
            Input::Hook(false) => self.put_down(now),
            Input::HangUp => {
                self.off_hook = false;
                self.hang_up(now);
            }
            Input::Function(key) => self.function_key(key, now),
            Input::Volume(of, db) => self.set_volume(of, db, now),
            Input::Mute(mute) => self.set_mute(mute),
            Input::Setting(code) => self.set_by_menu(code),
            Input::KeyDown(key) => self.key_down(key, now),
            Input::KeyUp(key) => self.key_up(key),
            Input::Rotary(key) => self.rotary(key, now),
            Input::Flash => self.flash(now),
            Input::Dial(number) => self.dial_now(&number, now),
            Input::Dnd(on) => self.order_dnd(on, now),
            Input::RingOrder(number) => self.ring_order(number, now),
            Input::Refuse if self.state == State::Ringing => self.refuse_ringing(now),
            Input::Refuse => self.refuse_waiting(),
            Input::AnswerWaiting => self.answer_waiting(),
            Input::TransferTo(number) => self.transfer_active(&number, now),
            Input::ConnectAll => self.connect_held(),
            Input::AccountStatus { account, usable } => self.lines.set(account, usable),
            Input::Spoken => self.on_spoken(),
            Input::SetUpWritten(written) => self.on_set_up_written(written, now),
            Input::MessagesWaiting(messages) => self.messages = messages,
            Input::TextMessage => self.missed = true,
            Input::Paged(paged) => self.paged = paged,
            Input::QuietHours(quiet) => self.quiet.now = quiet,
            Input::PickUpOffered(offered) => self.pick_up = offered,
            Input::RemoteTalk(call) => self.remote_talk(call, now),
            Input::RemoteHold(call) => self.remote_hold(call, now),
            Input::Incoming {
                call,
                from,
                alert,
                auto_answer,
            } => self.on_incoming(call, &from, alert, auto_answer, now),
            Input::Replacing { call, old, from } => self.on_replacing(call, old, &from),
            Input::Returned {
                call,
                from,
                account,
            } => self.on_returned(call, &from, account, now),
            Input::Call(call, update) => self.on_call_update(call, update, now),
        }
        self.drop_silenced_order();
        self.warn(now);
        self.present();
    }

    /// Fires every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.fire(now);
        self.warn(now);
        self.present();
    }

    /// What is to be done next; call until `None` after each `handle`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When to call [`Phone::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        [
            self.step,
            self.flash_ends(),
            self.auto_answer.map(|(at, _)| at),
            self.warning,
            self.announced,
            self.reminder,
            self.ordered.as_ref().map(|order| order.until),
            self.remember_at,
            self.menu.map(flash::FlashMenu::until),
            self.next_forward().map(|(at, _)| at),
            self.forwards.poll_timeout(),
            self.key.and_then(|key| key.until),
            self.speech.next(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn fire(&mut self, now: Instant) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        // Each timer is cleared before it acts. One that acts may set another that is due, too (a
        // howler of no length), but only along Congestion → Howler → Silent: a few rounds are
        // enough.
        for _ in 0..4 {
            if due(self.flash_ends()) {
                self.hang_up(now);
            } else if due(self.key.and_then(|key| key.until)) {
                self.release_key();
            } else if let Some((at, call)) = self.auto_answer
                && at <= now
            {
                self.auto_answer = None;
                self.answer_by_itself(call);
            } else if due(self.warning) {
                self.warning = None;
            } else if due(self.announced) {
                self.announced = None;
            } else if due(self.reminder) {
                self.reminder = None;
            } else if due(self.ordered.as_ref().map(|order| order.until)) {
                self.ordered = None;
            } else if due(self.remember_at) {
                self.remember();
            } else if due(self.menu.map(flash::FlashMenu::until)) {
                self.menu_over();
            } else if let Some((_, call)) = self.next_forward().filter(|(at, _)| *at <= now) {
                self.forward_unanswered(call, now);
            } else if due(self.forwards.poll_timeout()) {
                let steps = self.forwards.handle_timeout(now);
                self.take_forward_steps(steps);
            } else if self.speech_timeout(now) {
                // It has done what was due.
            } else if due(self.step) {
                self.step = None;
                self.step_over(now);
            } else {
                return;
            }
        }
    }

    /// Before speaking in a call whose encryption is missing, its user hears a warning.
    fn warn(&mut self, now: Instant) {
        let listening = self.state.is_connected() && self.flash_from.is_none();
        match self.active.filter(|_| listening) {
            Some(call) if self.calls.take_warning(call) => self.warning = Some(now + WARNING),
            Some(_) => {}
            None => self.warning = None,
        }
    }

    /// The state's own timer ran out.
    fn step_over(&mut self, now: Instant) {
        match self.state {
            State::DialTone => match self.hotline.clone() {
                Some((number, _)) if !self.second_dial_tone && !self.confirmed => {
                    self.dial(Dialled::Number(number), now);
                }
                Some(_) | None => {
                    self.not_dialled(DialError::Nothing, now);
                }
            },
            State::Collecting => {
                if let Some(dialled) = self.pending.take() {
                    self.dial(dialled, now);
                } else {
                    self.not_dialled(DialError::Incomplete(self.digits.clone()), now);
                }
            }
            State::Calling | State::Ringback | State::EarlyMedia => self.no_answer(now),
            State::Busy | State::Congestion => {
                if self.calls.first(CallState::OnHold).is_some() {
                    // A call is on hold: its user may only have put the handset aside, so no
                    // howler.
                    self.enter(State::OnHold, self.next_reminder(now));
                } else if self.on_speaker() {
                    // No one has anything to put down.
                    self.hang_up(now);
                } else {
                    self.enter(
                        State::Howler,
                        Some(now + Duration::from_secs(self.call.howler_s.into())),
                    );
                }
            }
            State::Howler => self.enter(State::Silent, None),
            State::SetUp => self.set_up_waits(now),
            State::OnHold => {
                self.reminder = Some(now + REMINDER);
                self.step = self.next_reminder(now);
            }
            // These set no timer.
            State::Idle | State::Ringing | State::Talking | State::Silent => {}
        }
    }

    /// The one place where the state changes; its timer changes with it.
    fn enter(&mut self, state: State, step: Option<Instant>) {
        self.state = state;
        self.step = step;
        self.confirmed = false;
        self.redial_at = None;
        self.door_keys.clear();
        self.menu = None;
        self.reminder = None;
        self.ordered = None;
        self.speech.clear();
        if !state.has_call() {
            self.active = None;
            self.unmute();
        }
        if !state.takes_digits() {
            self.lines.choose(None);
            self.plan.choose(None);
            self.digits.clear();
            self.pending = None;
            self.second_dial_tone = false;
        }
    }

    /// When a hook that went down is down for good.
    fn flash_ends(&self) -> Option<Instant> {
        let from = self.flash_from?;
        let window = if self.may_bounce(from) {
            self.flash_window.1.max(BOUNCE)
        } else {
            self.flash_window.1
        };
        Some(from + window)
    }

    /// When the bell is to remind of a call on hold.
    fn next_reminder(&self, now: Instant) -> Option<Instant> {
        let after = Duration::from_secs(self.call.hold_reminder_s.into());
        (!after.is_zero()).then(|| now + after)
    }

    fn note(&mut self, note: Note) {
        self.out.push_back(Output::Note(note));
    }
}

#[cfg(test)]
mod tests;
