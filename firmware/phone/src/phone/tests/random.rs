//! Whatever happens, in any order: putting the handset down silences the phone and
//! ends its calls.

mod steps;

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use types::FunctionKey;

use super::*;
use steps::{Step, Update, configuration, step, update};

/// The calls the phone must have ended, by its inputs and outputs.
#[derive(Default)]
struct Ledger {
    open: BTreeSet<CallId>,
    ever: BTreeSet<CallId>,
    ringing: BTreeSet<CallId>,
}

impl Ledger {
    fn follow(&mut self, said: &[Output]) {
        for output in said {
            match output {
                Output::PlaceCall { call, .. } => {
                    assert!(self.ever.insert(*call), "the id {call:?} was used before");
                    self.open.insert(*call);
                }
                Output::Answer(call) => {
                    assert!(self.ringing.remove(call), "{call:?} does not ring");
                    self.open.insert(*call);
                }
                Output::Follow { old, call, .. } => {
                    assert!(self.open.contains(old), "{output:?}");
                    assert!(self.ever.insert(*call), "the id {call:?} was used before");
                    self.open.insert(*call);
                }
                Output::Transfer { held, consulted } => {
                    assert!(
                        self.open.remove(held) && self.open.remove(consulted),
                        "{output:?}"
                    );
                }
                Output::BlindTransfer { held, to } => {
                    assert!(to != "911", "{output:?}");
                    assert!(self.open.remove(held), "{output:?}");
                }
                Output::FlashToNetwork(call) => assert!(self.open.contains(call), "{output:?}"),
                Output::Decline(call) => assert!(
                    self.open.contains(call) || self.ringing.contains(call),
                    "{output:?}"
                ),
                Output::Forward { call, .. } | Output::Reject(call, _) => {
                    assert!(self.ringing.remove(call), "{call:?} does not ring");
                }
                Output::End(call) => assert!(self.open.remove(call), "{call:?} is no open call"),
                Output::Hold(call, _) | Output::Dtmf(call, ..) => {
                    assert!(self.open.contains(call), "{output:?}");
                }
                Output::Connect(calls) => assert!(
                    calls.iter().all(|call| self.open.contains(call)),
                    "{output:?}"
                ),
                Output::Ringing(call) => assert!(self.ringing.contains(call)),
                Output::Tone(_)
                | Output::Ring(_)
                | Output::Lamp(..)
                | Output::KeyTone(_)
                | Output::Mute(_)
                | Output::Levels(_)
                | Output::OpenDoor
                | Output::Maintenance(_)
                | Output::SetUpServer(_)
                | Output::Remember(_)
                | Output::Speak(_)
                | Output::SetUp(_)
                | Output::Note(_) => {}
            }
        }
    }

    fn over(&mut self, call: CallId) {
        self.open.remove(&call);
        self.ringing.remove(&call);
    }
}

fn walk(desk: &mut Desk, ledger: &mut Ledger, steps: &[Step], seen: &mut BTreeSet<&'static str>) {
    for step in steps {
        let changed = |id: u32, what: Update| Input::Call(CallId(id), update(what));
        let next = desk.phone.calls.new_id().0;
        let input = match step {
            Step::Hook(off) => Input::Hook(*off),
            Step::HangUp => Input::HangUp,
            Step::Key(key) => Input::KeyDown(Key::from_char(*key).unwrap()),
            Step::KeyUp(key) => Input::KeyUp(Key::from_char(*key).unwrap()),
            Step::Rotary(digit) => Input::Rotary(Key::Digit(*digit)),
            Step::Flash => Input::Flash,
            Step::Function(key) => Input::Function(*key),
            Step::Line(account, usable) => Input::AccountStatus {
                account: AccountId(*account),
                usable: *usable,
            },
            Step::Messages(waiting) => Input::MessagesWaiting(*waiting),
            Step::Incoming {
                alert,
                auto_answer,
                from,
            } => {
                let call = desk.phone.new_call();
                assert!(ledger.ever.insert(call));
                ledger.ringing.insert(call);
                let alert = match alert {
                    0 => Alert::Normal,
                    1 => Alert::Silent,
                    _ => Alert::Distinctive(2),
                };
                Input::Incoming {
                    call,
                    from: crate::Caller {
                        name: "somebody".to_owned(),
                        number: (*from).to_owned(),
                        account: None,
                        anonymous: call.0.is_multiple_of(5),
                    },
                    alert,
                    auto_answer: *auto_answer,
                }
            }
            Step::Replacing { age } => {
                let known: Vec<CallId> =
                    ledger.open.iter().chain(&ledger.ringing).copied().collect();
                let call = desk.phone.new_call();
                assert!(ledger.ever.insert(call));
                ledger.ringing.insert(call);
                Input::Replacing {
                    call,
                    old: known
                        .iter()
                        .rev()
                        .nth(*age as usize)
                        .copied()
                        .unwrap_or(CallId(next)),
                    from: "somebody".to_owned(),
                }
            }
            Step::Returned => {
                let call = desk.phone.new_call();
                assert!(ledger.ever.insert(call));
                ledger.ringing.insert(call);
                Input::Returned {
                    call,
                    from: "somebody".to_owned(),
                    account: None,
                }
            }
            Step::Update { age, what } => {
                let known: Vec<CallId> =
                    ledger.open.iter().chain(&ledger.ringing).copied().collect();
                changed(
                    known
                        .iter()
                        .rev()
                        .nth(*age as usize)
                        .map_or(next, |call| call.0),
                    *what,
                )
            }
            Step::Unknown { id, what } => changed(
                if ledger.ever.contains(&CallId(*id)) {
                    next
                } else {
                    *id
                },
                *what,
            ),
            Step::Setting(code) => Input::Setting(*code),
            Step::Quiet(quiet) => Input::QuietHours(*quiet),
            Step::Text => Input::TextMessage,
            Step::PickUp(offered) => Input::PickUpOffered(offered.then(|| PickUp {
                watch: 0,
                target: "205".to_owned(),
            })),
            Step::Remote { age, talk } => {
                let known = ledger.open.iter().chain(&ledger.ringing);
                let known: Vec<CallId> = known.copied().collect();
                let call = known.iter().rev().nth(*age as usize).copied();
                let call = call.unwrap_or(CallId(next));
                if *talk {
                    Input::RemoteTalk(call)
                } else {
                    Input::RemoteHold(call)
                }
            }
            Step::Dial(number) => Input::Dial((*number).to_owned()),
            Step::Dnd(on) => Input::Dnd(*on),
            Step::RingOrder(number) => Input::RingOrder(number.map(str::to_owned)),
            Step::Spoken => Input::Spoken,
            Step::Written(written) => Input::SetUpWritten(*written),
            Step::Ctl(0) => Input::Refuse,
            Step::Ctl(1) => Input::AnswerWaiting,
            Step::Ctl(2) => Input::ConnectAll,
            Step::Ctl(3) => Input::TransferTo("911".to_owned()),
            Step::Ctl(4) => Input::Mute(true),
            Step::Ctl(5) => Input::Mute(false),
            Step::Ctl(6) => Input::Volume(crate::VolumeOf::Earpiece, 3),
            Step::Ctl(_) => Input::TransferTo("300".to_owned()),
            Step::Code(keys) => {
                let mut all = desk.lifts().said.clone();
                // A flash lets a number follow; anywhere else the keys mean what they mean there.
                let dials = desk.state() == State::DialTone && desk.phone.digits.is_empty();
                all.append(&mut desk.presses(keys).said);
                if dials && keys.ends_with("911") {
                    let full = desk.phone.calls.iter().count() >= 3;
                    let routes = desk.phone.lines.emergency_routes("911");
                    let placed = all.iter().any(|said| {
                        matches!(said, Output::PlaceCall { to, .. }
                            if to.emergency && !to.options.anonymous)
                    });
                    assert!(
                        placed || full || routes.is_empty(),
                        "emergency does not go out: {all:?}"
                    );
                    assert!(
                        !placed || !desk.phone.mute,
                        "an emergency call that is not heard"
                    );
                }
                ledger.follow(&all);
                check(desk, seen);
                continue;
            }
            Step::Wait(ms) => {
                desk.waits_ms(*ms);
                ledger.follow(&desk.said);
                check(desk, seen);
                continue;
            }
        };
        if let Input::Call(call, CallUpdate::Ended(_)) = &input {
            // Timers that are due fire first and may still end it themselves.
            desk.waits_ms(0);
            ledger.follow(&desk.said);
            ledger.over(*call);
        }
        desk.does(input);
        ledger.follow(&desk.said);
        check(desk, seen);
    }
}

/// What holds after every step.
fn check(desk: &Desk, seen: &mut BTreeSet<&'static str>) {
    let phone = &desk.phone;
    let state = phone.state();
    seen.insert(state.as_str());
    assert!(phone.calls.iter().count() <= 3);
    assert!(phone.digits.len() <= crate::dial_plan::matching::MAX_DIGITS + 1);
    let active = phone.active.map(|call| phone.call_state(call));
    assert!(
        desk.spoken.is_none() || (desk.tone.is_none() && !state.is_on_hook()),
        "a voice over {:?} in {state:?}",
        desk.tone
    );
    assert!(
        !desk.muted || phone.mute || (state.has_call() && !phone.in_hand()),
        "a dead microphone in somebody's hand"
    );
    // A microphone is open only with the handset lifted, the hands-free lamp lit, or where the
    // owner has every call answered at once.
    let lit = |lamp: Lamp| {
        desk.lamps
            .get(&lamp)
            .is_some_and(|state| *state == LampState::On)
    };
    assert!(
        desk.connected.is_empty() || desk.muted || phone.off_hook || lit(Lamp::HandsFree),
        "an open microphone that no one sees"
    );
    assert_eq!(lit(Lamp::Muted), desk.muted, "the mute lamp");
    assert!(
        !state.is_on_hook() || (desk.connected.is_empty() && !desk.muted && !phone.speaker),
        "on hook is silent"
    );
    match state {
        State::Idle if phone.ordered.is_some() => assert!(
            desk.ring.is_some() && phone.poll_timeout().is_some() && desk.tone.is_none(),
            "an order rings for a while"
        ),
        State::Idle => desk.rests(),
        State::Ringing => assert!(
            (desk.ring.is_some() || phone.silenced)
                && !phone.in_hand()
                && active.is_none()
                && desk.tone.is_none()
        ),
        State::Calling => assert_eq!(active, Some(Some(CallState::Calling))),
        State::Ringback => assert_eq!(active, Some(Some(CallState::Ringback))),
        State::EarlyMedia => assert_eq!(active, Some(Some(CallState::EarlyMedia))),
        State::Talking => {
            assert_eq!(active, Some(Some(CallState::Talking)));
            let mut heard = desk.connected.iter();
            let hook_down = phone.flash_from.is_some();
            assert!(heard.all(|call| phone.call_state(*call) == Some(CallState::Talking)));
            assert!(hook_down || !desk.connected.is_empty());
        }
        State::DialTone | State::Collecting | State::Busy | State::Congestion | State::Howler => {
            assert!(
                active.is_none() && phone.poll_timeout().is_some(),
                "{state:?} would last for ever"
            );
        }
        State::SetUp => assert!(
            active.is_none() && desk.tone.is_none() && phone.poll_timeout().is_some(),
            "questions without end"
        ),
        State::Silent => assert!(active.is_none() && desk.tone.is_none()),
        State::OnHold => {
            assert!(active.is_none() && phone.calls.first(CallState::OnHold).is_some());
        }
    }
    // Besides a call that rings, only one that answered itself because its caller asked rings the
    // bell.
    let reminds = state == State::OnHold || phone.ordered.is_some();
    assert!(state == State::Ringing || desk.ring.is_none() || desk.muted || reminds);
    assert!(
        phone.ordered.is_none() || state == State::Idle,
        "an order in use"
    );
}

/// Puts the handset down, waits for the flash window to pass, and looks.
fn put_down_and_look(desk: &mut Desk, ledger: &mut Ledger, by_hook: bool) {
    if desk.phone.speaker {
        // The loudspeaker is switched off first.
        if !desk.phone.off_hook {
            desk.does(Input::HangUp);
            ledger.follow(&desk.said);
        } else if desk.phone.flash_from.is_none() {
            desk.does(Input::Function(FunctionKey::HandsFree));
            ledger.follow(&desk.said);
        }
    }
    desk.does(if by_hook {
        Input::Hook(false)
    } else {
        Input::HangUp
    });
    ledger.follow(&desk.said);
    assert_eq!(
        (desk.tone, desk.key_tone, &desk.connected[..]),
        (None, None, &[][..]),
        "silent at once"
    );
    if by_hook {
        // Exactly the flash window: an unanswered caller that waited rings now and may be answered
        // by itself later.
        let window = desk
            .phone
            .flash_ends()
            .map_or(Duration::ZERO, |ends| ends - desk.now);
        desk.waits(window);
        ledger.follow(&desk.said);
    }
    assert!(
        ledger.open.is_empty() || desk.phone.hands_free,
        "still open: {:?}",
        ledger.open
    );
}

#[test]
fn hanging_up_ends_every_call_from_any_state() {
    let mut seen = BTreeSet::new();
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        // Half of 60 steps each: more than 100 000.
        .unwrap_or(3_500);
    // A fixed seed: the coverage asserted below must not depend on luck.
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let rng = proptest::test_runner::TestRng::deterministic_rng(
        proptest::test_runner::RngAlgorithm::ChaCha,
    );
    let mut runner = TestRunner::new_with_rng(config, rng);
    let seen_cell = std::cell::RefCell::new(&mut seen);
    let walks = (
        configuration(),
        prop::collection::vec(step(), 0..60),
        any::<bool>(),
    );
    let result = runner.run(&walks, |(toml, steps, by_hook)| {
        let mut desk = Desk::new(&toml);
        desk.phone.offer_set_up(steps.len() % 2 == 0);
        desk.phone.set_fault((steps.len() % 3 == 0).then_some(2));
        desk.does(Input::AccountStatus {
            account: AccountId(0),
            usable: true,
        });
        let mut ledger = Ledger::default();
        walk(&mut desk, &mut ledger, &steps, &mut seen_cell.borrow_mut());
        if by_hook
            && !desk.phone.off_hook
            && !desk.phone.hands_free
            && !desk.phone.speaker
            && desk.phone.flash_from.is_none()
        {
            // The hook is down already; then nothing may be open.
            prop_assert!(ledger.open.is_empty());
        }
        put_down_and_look(&mut desk, &mut ledger, by_hook);
        // Whoever still rings gives up; then all is at rest and the next lift gives dial tone (or
        // the hotline's call).
        let left: Vec<CallId> = ledger.ringing.iter().chain(&ledger.open).copied().collect();
        for call in left {
            desk.ended(call, None);
        }
        if desk.phone.ordered.is_some() {
            desk.does(Input::Function(FunctionKey::Mute));
        }
        desk.rests();
        desk.lifts();
        let hotline = toml.contains("hotline = ") && !toml.contains("hotline_after_ms");
        prop_assert!(
            hotline || (desk.state() == State::DialTone && desk.tone.is_some()),
            "{:?}",
            desk.state()
        );
        Ok(())
    });
    result.unwrap();
    let missed: Vec<&str> = State::ALL
        .iter()
        .map(|state| state.as_str())
        .filter(|name| !seen.contains(name))
        .collect();
    assert!(missed.is_empty(), "the walks never came to {missed:?}");
}
