//! Stories: what a person does, and what the phone does, in virtual time.

use std::time::{Duration, Instant};

use super::*;
use crate::input::{AccountId, Alert, CallUpdate, EndCause};
use crate::output::{Destination, Lamp, LampState, RingStyle};

mod random;

/// A phone, its clock, and everything it said since it was last asked.
struct Desk {
    phone: Phone,
    now: Instant,
    said: Vec<Output>,
    /// What is so now, by what was said.
    tone: Option<Tone>,
    key_tone: Option<Key>,
    ring: Option<RingStyle>,
    connected: Vec<CallId>,
}

const ONE_LINE: &str = "[phone]\ncountry = \"de\"\n[[account]]\nuser = \"101\"\ndomain = \"pbx\"\n";

impl Desk {
    fn new(toml: &str) -> Self {
        let config = config::load(toml, "test").unwrap_or_else(|errors| panic!("{errors}"));
        let now = Instant::now_for_tests();
        let mut desk = Self {
            phone: Phone::new(&config, now),
            now,
            said: Vec::new(),
            tone: None,
            key_tone: None,
            ring: None,
            connected: Vec::new(),
        };
        desk.listen();
        desk
    }

    /// With one registered line.
    fn ready(toml: &str) -> Self {
        let mut desk = Self::new(&format!("{ONE_LINE}{toml}"));
        desk.does(Input::Line {
            account: AccountId(0),
            usable: true,
        });
        desk
    }

    fn listen(&mut self) {
        let before = self.said.len();
        while let Some(output) = self.phone.poll_output() {
            match &output {
                Output::Tone(tone) => self.tone = *tone,
                Output::KeyTone(key) => self.key_tone = *key,
                Output::Ring(ring) => self.ring = *ring,
                Output::Connect(calls) => self.connected.clone_from(calls),
                Output::Lamp(..)
                | Output::Place { .. }
                | Output::Ringing(_)
                | Output::Answer(_)
                | Output::Reject(..)
                | Output::End(_)
                | Output::Hold(..)
                | Output::Dtmf(..)
                | Output::Note(_) => {}
            }
            self.said.push(output);
            assert!(self.said.len() - before < 50, "the phone does not stop talking: {:?}", self.said);
        }
    }

    fn does(&mut self, input: Input) -> &mut Self {
        self.said.clear();
        self.phone.handle(input, self.now);
        self.listen();
        self
    }

    /// Lets time pass, every timer at its own moment.
    fn waits(&mut self, time: Duration) -> &mut Self {
        self.said.clear();
        let end = self.now + time;
        let mut rounds = 0;
        while let Some(at) = self.phone.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.phone.handle_timeout(self.now);
            self.listen();
            rounds += 1;
            assert!(rounds < 50, "timers do not come to rest");
        }
        self.now = end;
        self
    }

    fn waits_ms(&mut self, ms: u64) -> &mut Self {
        self.waits(Duration::from_millis(ms))
    }

    fn lifts(&mut self) -> &mut Self {
        self.does(Input::Hook(true))
    }

    fn puts_down(&mut self) -> &mut Self {
        self.does(Input::Hook(false))
    }

    /// Presses keys 100 ms each; what was said is collected over all of them.
    fn presses(&mut self, keys: &str) -> &mut Self {
        let mut all = Vec::new();
        for key in keys.chars() {
            let key = Key::from_char(key).unwrap();
            all.append(&mut self.does(Input::KeyDown(key)).said);
            all.append(&mut self.waits_ms(50).said);
            all.append(&mut self.does(Input::KeyUp(key)).said);
            all.append(&mut self.waits_ms(50).said);
        }
        self.said = all;
        self
    }

    fn hears(&mut self, call: CallId, update: CallUpdate) -> &mut Self {
        self.does(Input::Call(call, update))
    }

    fn ended(&mut self, call: CallId, code: Option<u16>) -> &mut Self {
        self.hears(
            call,
            CallUpdate::Ended(EndCause {
                code,
                reason: "Reason".to_owned(),
            }),
        )
    }

    fn rings(&mut self, from: &str) -> CallId {
        let call = self.phone.new_call();
        self.does(Input::Incoming {
            call,
            from: from.to_owned(),
            alert: Alert::Normal,
            auto_answer: false,
        });
        call
    }

    /// The one call placed since last asked.
    fn placed(&self) -> (CallId, Destination) {
        let placed: Vec<_> = self
            .said
            .iter()
            .filter_map(|output| {
                if let Output::Place { call, to } = output {
                    Some((*call, to.clone()))
                } else {
                    None
                }
            })
            .collect();
        assert_eq!(placed.len(), 1, "{:?}", self.said);
        placed[0].clone()
    }

    fn said(&self, output: &Output) -> bool {
        self.said.contains(output)
    }

    fn noted(&self, words: &str) -> bool {
        self.said
            .iter()
            .any(|output| matches!(output, Output::Note(text) if text.contains(words)))
    }

    /// A call that stands.
    fn talking(toml: &str) -> (Self, CallId) {
        let mut desk = Self::ready(toml);
        let (call, _) = desk.lifts().presses("200#").placed();
        desk.hears(call, CallUpdate::Answered);
        assert_eq!((desk.state(), &desk.connected[..]), (State::Talking, &[call][..]));
        (desk, call)
    }

    fn state(&self) -> State {
        self.phone.state()
    }

    /// At rest: nothing is heard, no timer runs.
    fn rests(&self) {
        assert_eq!(self.state(), State::Idle);
        assert_eq!(
            (self.tone, self.key_tone, self.ring, &self.connected[..]),
            (None, None, None, &[][..])
        );
        assert_eq!(self.phone.poll_timeout(), None);
        assert_eq!(self.phone.calls.iter().count(), 0);
    }
}

/// The tests' own clock: any instant will do, it is never read again.
trait AnyInstant {
    fn now_for_tests() -> Instant;
}

impl AnyInstant for Instant {
    #[allow(
        clippy::disallowed_methods,
        reason = "a test must begin somewhere; every later time is this plus a virtual duration"
    )]
    fn now_for_tests() -> Instant {
        Instant::now()
    }
}

#[test]
fn lift_gives_the_dial_tone_and_putting_down_ends_it() {
    let mut desk = Desk::ready("");
    assert!(desk.lifts().said(&Output::Tone(Some(Tone::Dial))));
    assert!(desk.said(&Output::Lamp(Lamp::InUse, LampState::On)));
    assert_eq!(desk.state(), State::DialTone);
    desk.puts_down().rests();
    assert!(desk.said(&Output::Lamp(Lamp::InUse, LampState::Off)));
}

#[test]
fn messages_make_it_stutter() {
    let mut desk = Desk::ready("");
    assert!(
        desk.does(Input::MessagesWaiting(true))
            .said(&Output::Lamp(Lamp::Message, LampState::On))
    );
    assert_eq!(desk.lifts().tone, Some(Tone::StutterDial));
}

#[test]
fn without_a_line_there_is_dial_tone_but_numbers_get_congestion_and_a_reason() {
    let mut desk = Desk::new(ONE_LINE);
    assert_eq!(desk.lifts().tone, Some(Tone::Dial));
    desk.presses("200#");
    assert_eq!((desk.state(), desk.tone), (State::Congestion, Some(Tone::Congestion)));
    assert!(desk.noted("101@pbx is not registered"), "{:?}", desk.said);
}

#[test]
fn without_a_line_direct_calls_go_out() {
    let mut desk = Desk::new("[dial.speed]\n1 = \"sip:echo@127.0.0.1:5072\"");
    let (_, to) = desk.lifts().presses("1#").placed();
    assert_eq!(
        to,
        Destination {
            address: "sip:echo@127.0.0.1:5072".to_owned(),
            account: None,
            emergency: false
        }
    );
    desk.puts_down().rests();
}

#[test]
fn keys_are_heard_and_the_first_ends_the_dial_tone() {
    let mut desk = Desk::ready("");
    desk.lifts().does(Input::KeyDown(Key::Digit(2)));
    assert_eq!(
        (desk.state(), desk.tone, desk.key_tone),
        (State::Collecting, None, Some(Key::Digit(2)))
    );
    assert_eq!(desk.phone.digits(), "2");
    desk.does(Input::KeyUp(Key::Digit(2)));
    assert_eq!(desk.key_tone, None);
    // A second key before the first is up: the first ends.
    desk.does(Input::KeyDown(Key::Digit(3))).does(Input::KeyDown(Key::Digit(4)));
    assert_eq!(desk.key_tone, Some(Key::Digit(4)));
    desk.does(Input::KeyUp(Key::Digit(3)));
    assert_eq!(desk.key_tone, Some(Key::Digit(4)));
}

#[test]
fn a_complete_number_goes_at_once() {
    let mut desk = Desk::ready("[dial]\ndigit_map = \"[2-8]xx|0x.T\"");
    let (_, to) = desk.lifts().presses("234").placed();
    assert_eq!(
        to,
        Destination {
            address: "234".to_owned(),
            account: Some(AccountId(0)),
            emergency: false
        }
    );
    assert_eq!(desk.state(), State::Calling);
}

#[test]
fn the_short_timer_sends_what_is_complete_and_the_long_one_refuses_what_is_not() {
    let mut desk = Desk::ready("[dial]\ndigit_map = \"0x.T|[2-8]xx\"");
    desk.lifts().presses("04").waits_ms(2890);
    assert_eq!(desk.state(), State::Collecting);
    assert_eq!(desk.waits_ms(20).placed().1.address, "04");
    let mut desk = Desk::ready("[dial]\ndigit_map = \"0x.T|[2-8]xx\"");
    desk.lifts().presses("23").waits_ms(9890);
    assert_eq!(desk.state(), State::Collecting);
    assert!(desk.waits_ms(20).noted("23 is not complete"));
    assert_eq!(desk.state(), State::Congestion);
}

#[test]
fn hash_sends_now_unless_the_map_has_it() {
    let mut desk = Desk::ready("[dial]\ndigit_map = \"[2-8]xx|*31#xx\"");
    assert_eq!(desk.lifts().presses("23#").placed().1.address, "23");
    let mut desk = Desk::ready("[dial]\ndigit_map = \"[2-8]xx|*31#xx\"");
    assert_eq!(desk.lifts().presses("*31#12").placed().1.address, "*31#12");
    let mut desk = Desk::ready("");
    desk.lifts().presses("#");
    assert_eq!((desk.state(), desk.tone), (State::DialTone, Some(Tone::Dial)));
}

#[test]
fn a_comma_gives_a_second_dial_tone_and_a_barred_number_congestion() {
    let mut desk = Desk::ready("[dial]\ndigit_map = \"<9:>,xxx|0900x.!\"");
    desk.lifts().presses("9");
    assert_eq!((desk.state(), desk.tone), (State::Collecting, Some(Tone::RecallDial)));
    desk.presses("1");
    assert_eq!(desk.tone, None);
    assert_eq!(desk.presses("23").placed().1.address, "123");
    let mut desk = Desk::ready("[dial]\ndigit_map = \"<9:>,xxx|0900x.!\"");
    assert!(desk.lifts().presses("0900").noted("barred"));
    assert_eq!(desk.tone, Some(Tone::Congestion));
}

#[test]
fn ringback_early_media_answer_and_hang_up() {
    let mut desk = Desk::ready("[call]\nflash = \"key\"");
    let (call, _) = desk.lifts().presses("200#").placed();
    assert_eq!((desk.state(), desk.tone), (State::Calling, None));
    desk.hears(call, CallUpdate::Ringing);
    assert_eq!((desk.state(), desk.tone), (State::Ringback, Some(Tone::Ringback)));
    desk.hears(call, CallUpdate::EarlyMedia);
    assert_eq!(
        (desk.state(), desk.tone, &desk.connected[..]),
        (State::EarlyMedia, None, &[call][..])
    );
    // The far end keeps being heard when a 180 follows.
    desk.hears(call, CallUpdate::Ringing);
    assert_eq!((desk.state(), desk.tone), (State::EarlyMedia, None));
    desk.hears(call, CallUpdate::Answered);
    assert_eq!(
        (desk.state(), desk.phone.call_state(call)),
        (State::Talking, Some(CallState::Talking))
    );
    assert!(desk.puts_down().said(&Output::End(call)));
    desk.rests();
    // What is told of it later is told in vain.
    desk.ended(call, None).rests();
}

#[test]
fn busy_tone_for_busy_and_congestion_for_the_rest() {
    for (code, tone) in [
        (486, Tone::Busy),
        (600, Tone::Busy),
        (603, Tone::Busy),
        (404, Tone::Congestion),
        (503, Tone::Congestion),
        (488, Tone::Congestion),
    ] {
        let mut desk = Desk::ready("");
        let (call, _) = desk.lifts().presses("200#").placed();
        desk.hears(call, CallUpdate::Ringing).ended(call, Some(code));
        assert_eq!(desk.tone, Some(tone), "{code}");
        assert!(desk.noted(&format!("call to 200 failed: {code} Reason")), "{:?}", desk.said);
        desk.puts_down().rests();
    }
}

#[test]
fn an_unanswered_call_is_given_up() {
    let mut desk = Desk::ready("[call]\nno_answer_s = 60");
    let (call, _) = desk.lifts().presses("200#").placed();
    desk.waits_ms(30_000).hears(call, CallUpdate::Ringing).waits_ms(59_990);
    assert_eq!(desk.state(), State::Ringback);
    assert!(desk.waits_ms(20).said(&Output::End(call)));
    assert_eq!(desk.state(), State::Congestion);
}

#[test]
fn left_off_hook_congestion_howler_silence() {
    let (mut desk, call) = Desk::talking("[call]\nhowler_after_s = 20\nhowler_s = 30");
    desk.ended(call, None);
    assert_eq!(
        (desk.state(), desk.tone, &desk.connected[..]),
        (State::Congestion, Some(Tone::Congestion), &[][..])
    );
    desk.waits_ms(20_001);
    assert_eq!((desk.state(), desk.tone), (State::Howler, Some(Tone::Howler)));
    desk.waits_ms(30_000);
    assert_eq!((desk.state(), desk.tone), (State::Silent, None));
    assert_eq!(desk.phone.poll_timeout(), None);
    desk.puts_down().rests();
    // Without a howler silence follows at once.
    let (mut desk, call) = Desk::talking("[call]\nhowler_after_s = 20\nhowler_s = 0");
    desk.ended(call, None).waits_ms(20_001);
    assert_eq!(desk.state(), State::Silent);
}

#[test]
fn dial_tone_does_not_last_for_ever() {
    let mut desk = Desk::ready("");
    desk.lifts().waits_ms(30_000);
    assert_eq!(desk.state(), State::Congestion);
    assert_eq!(desk.waits_ms(90_000).state(), State::Silent);
}

#[test]
fn it_rings_and_lifting_answers() {
    let mut desk = Desk::ready("");
    let call = desk.rings("anna");
    assert!(desk.said(&Output::Ringing(call)));
    assert_eq!(
        (desk.state(), desk.ring),
        (State::Ringing, Some(RingStyle { alert: Alert::Normal }))
    );
    desk.lifts();
    assert!(desk.said(&Output::Answer(call)));
    assert_eq!((desk.state(), desk.ring, &desk.connected[..]), (State::Talking, None, &[call][..]));
    desk.hears(call, CallUpdate::Answered);
    assert_eq!(desk.state(), State::Talking);
}

#[test]
fn the_caller_gives_up() {
    let mut desk = Desk::ready("");
    let call = desk.rings("anna");
    assert!(desk.ended(call, None).noted("missed"));
    desk.rests();
}

#[test]
fn an_incoming_call_while_dialling_is_refused_as_busy() {
    let mut desk = Desk::ready("");
    desk.lifts();
    let call = desk.rings("anna");
    assert!(desk.said(&Output::Reject(call, 486)));
    assert_eq!((desk.state(), desk.phone.call_state(call)), (State::DialTone, None));
    desk.presses("2");
    let call = desk.rings("anna");
    assert!(desk.said(&Output::Reject(call, 486)));
}

#[test]
fn call_waiting_flash_answers_and_swaps() {
    let (mut desk, first) = Desk::talking("");
    let second = desk.rings("berta");
    assert!(desk.said(&Output::Ringing(second)));
    assert_eq!((desk.state(), desk.tone), (State::Talking, Some(Tone::CallWaiting)));
    desk.does(Input::Flash);
    assert!(desk.said(&Output::Hold(first, true)) && desk.said(&Output::Answer(second)));
    assert_eq!((desk.tone, &desk.connected[..]), (None, &[second][..]));
    desk.does(Input::Flash);
    assert!(desk.said(&Output::Hold(second, true)) && desk.said(&Output::Hold(first, false)));
    assert_eq!(&desk.connected[..], &[first][..]);
    // Two calls and one that waits are the most.
    let third = desk.rings("carla");
    assert_eq!(desk.phone.call_state(third), Some(CallState::Waiting));
    let fourth = desk.rings("dora");
    assert!(desk.said(&Output::Reject(fourth, 486)));
    desk.does(Input::HangUp);
    assert!(desk.said(&Output::End(first)) && desk.said(&Output::End(second)) && !desk.said(&Output::End(third)));
    // Who waited rings now.
    assert_eq!((desk.state(), desk.ring.is_some()), (State::Ringing, true));
    desk.ended(third, None).rests();
}

#[test]
fn without_call_waiting_the_second_caller_hears_busy() {
    let (mut desk, _) = Desk::talking("[call]\nwaiting = false");
    let second = desk.rings("berta");
    assert!(desk.said(&Output::Reject(second, 486)));
    assert_eq!(desk.tone, None);
}

#[test]
fn flash_gives_a_second_dial_tone_for_a_consultation() {
    let (mut desk, first) = Desk::talking("");
    assert!(desk.does(Input::Flash).said(&Output::Hold(first, true)));
    assert_eq!(
        (desk.state(), desk.tone, &desk.connected[..]),
        (State::DialTone, Some(Tone::RecallDial), &[][..])
    );
    let (second, _) = desk.presses("300#").placed();
    assert_ne!(first, second);
    desk.hears(second, CallUpdate::Answered);
    assert_eq!(
        (desk.phone.call_state(first), desk.phone.call_state(second)),
        (Some(CallState::OnHold), Some(CallState::Talking))
    );
    desk.does(Input::Flash);
    assert_eq!(&desk.connected[..], &[first][..]);
    desk.does(Input::HangUp);
    assert!(desk.said(&Output::End(first)) && desk.said(&Output::End(second)));
    desk.rests();
}

#[test]
fn a_consultation_that_fails_leads_back() {
    let (mut desk, first) = Desk::talking("");
    let (second, _) = desk.does(Input::Flash).presses("300#").placed();
    desk.ended(second, Some(486));
    assert_eq!(desk.tone, Some(Tone::Busy));
    // Left alone the first call stays on hold, without a howler.
    desk.waits_ms(30_001);
    assert_eq!((desk.state(), desk.tone), (State::OnHold, None));
    assert!(desk.does(Input::Flash).said(&Output::Hold(first, false)));
    assert_eq!((desk.state(), &desk.connected[..]), (State::Talking, &[first][..]));
    // A flash while the second call is being placed gives it up.
    let (third, _) = desk.does(Input::Flash).presses("300#").placed();
    assert!(desk.does(Input::Flash).said(&Output::End(third)));
    assert_eq!(&desk.connected[..], &[first][..]);
}

#[test]
fn the_held_party_hangs_up() {
    let (mut desk, first) = Desk::talking("");
    desk.does(Input::Flash).waits_ms(60_000);
    assert_eq!(desk.state(), State::OnHold);
    desk.ended(first, None);
    assert_eq!(desk.state(), State::Congestion);
}

#[test]
fn a_short_press_of_the_hook_is_a_flash_in_the_country_s_window() {
    // Germany: 170 to 500 ms.
    let (mut desk, call) = Desk::talking("");
    desk.puts_down();
    assert_eq!(&desk.connected[..], &[][..], "the sound is cut at once");
    desk.waits_ms(100).lifts();
    assert_eq!(
        (desk.state(), &desk.connected[..]),
        (State::Talking, &[call][..]),
        "a knock changes nothing"
    );
    desk.puts_down().waits_ms(300).lifts();
    assert_eq!((desk.state(), desk.tone), (State::DialTone, Some(Tone::RecallDial)));
    desk.puts_down().waits_ms(300).lifts();
    assert_eq!(desk.state(), State::Talking);
    desk.puts_down().waits_ms(499);
    assert_eq!(desk.phone.call_state(call), Some(CallState::Talking));
    assert!(desk.waits_ms(1).said(&Output::End(call)));
    desk.rests();
    assert_eq!(desk.lifts().tone, Some(Tone::Dial));
}

#[test]
fn the_far_end_hangs_up_while_the_hook_is_down() {
    let (mut desk, call) = Desk::talking("");
    desk.puts_down().waits_ms(50).ended(call, None).rests();
    assert_eq!(desk.waits_ms(50).lifts().tone, Some(Tone::Dial));
}

#[test]
fn where_a_flash_means_nothing_putting_down_is_final() {
    for toml in ["[call]\nflash = \"key\"", "[call]\nflash = \"off\""] {
        let (mut desk, call) = Desk::talking(toml);
        assert!(desk.puts_down().said(&Output::End(call)), "{toml}");
        desk.rests();
    }
    let mut desk = Desk::ready("");
    let (call, _) = desk.lifts().presses("200#").placed();
    desk.hears(call, CallUpdate::Ringing);
    assert!(desk.puts_down().said(&Output::End(call)));
    desk.rests();
    // `off` takes no flash key either.
    let (mut desk, call) = Desk::talking("[call]\nflash = \"off\"");
    desk.does(Input::Flash);
    assert_eq!(&desk.connected[..], &[call][..]);
}

#[test]
fn digits_in_a_call_are_sent_not_heard() {
    let (mut desk, call) = Desk::talking("");
    desk.does(Input::KeyDown(Key::Star));
    assert!(desk.said(&Output::Dtmf(call, Key::Star, true)));
    assert_eq!(desk.key_tone, None);
    assert!(desk.does(Input::KeyUp(Key::Star)).said(&Output::Dtmf(call, Key::Star, false)));
    // A key that is down when the call ends comes up before it does.
    desk.does(Input::KeyDown(Key::Letter(0))).does(Input::HangUp);
    assert_eq!(desk.said[..2], [Output::Dtmf(call, Key::Letter(0), false), Output::End(call)]);
    let (mut desk, _) = Desk::talking("[call]\nkey_tones = true");
    assert_eq!(desk.does(Input::KeyDown(Key::Star)).key_tone, Some(Key::Star));
}

#[test]
fn a_rotary_dial_dials_and_sends_digits() {
    let mut desk = Desk::ready("[dial]\ndigit_map = \"xxx\"");
    desk.lifts().does(Input::Rotary(Key::Digit(2))).does(Input::Rotary(Key::Digit(0)));
    assert_eq!((desk.state(), desk.key_tone), (State::Collecting, None));
    let (call, to) = desk.does(Input::Rotary(Key::Digit(3))).placed();
    assert_eq!(to.address, "203");
    desk.hears(call, CallUpdate::Answered).does(Input::Rotary(Key::Digit(7)));
    assert!(desk.said(&Output::Dtmf(call, Key::Digit(7), true)));
    assert!(desk.waits_ms(100).said(&Output::Dtmf(call, Key::Digit(7), false)));
}

#[test]
fn keys_on_hook_do_nothing() {
    let mut desk = Desk::ready("");
    assert_eq!(desk.presses("112").said, []);
    desk.rests();
}

#[test]
fn emergency_goes_at_once_by_whatever_way_there_is() {
    let to = |address: &str, account: Option<usize>| Destination {
        address: address.to_owned(),
        account: account.map(AccountId),
        emergency: true,
    };
    // The line is registered.
    assert_eq!(Desk::ready("").lifts().presses("112").placed().1, to("112", Some(0)));
    // The second account is.
    let two = format!("{ONE_LINE}[[account]]\nuser = \"2\"\ndomain = \"other\"\n[dial]\nemergency_route = \"sip:112@gate\"");
    let mut desk = Desk::new(&two);
    desk.does(Input::Line {
        account: AccountId(1),
        usable: true,
    });
    let (call, way) = desk.lifts().presses("112").placed();
    assert_eq!(way, to("112", Some(1)));
    // It fails: by the route; that fails, too: the tone and the reason.
    let (second, way) = desk.ended(call, Some(503)).placed();
    assert_eq!((way, desk.state()), (to("sip:112@gate", None), State::Calling));
    assert_ne!(call, second);
    desk.ended(second, Some(503));
    assert_eq!(desk.tone, Some(Tone::Congestion));
    // Neither is registered: by the route.
    assert_eq!(Desk::new(&two).lifts().presses("110").placed().1, to("sip:112@gate", None));
    // No route either: by the account all the same.
    assert_eq!(Desk::new(ONE_LINE).lifts().presses("112").placed().1, to("112", Some(0)));
    // Nothing at all.
    assert!(
        Desk::new("")
            .lifts()
            .presses("911")
            .noted("neither an account nor an emergency route")
    );
}

#[test]
fn every_emergency_number_dials_at_its_last_key() {
    for country in config::country::PLANS {
        for map in ["x", "xx.T", "1!|9!|0!", "[2-8]xx"] {
            for number in country.emergency {
                let toml = format!(
                    "[phone]\ncountry = \"{}\"\n[[account]]\nuser = \"1\"\ndomain = \"p\"\n[dial]\ndigit_map = \"{map}\"",
                    country.code
                );
                let mut desk = Desk::new(&toml);
                desk.lifts();
                for key in number.chars() {
                    assert!(
                        matches!(desk.state(), State::DialTone | State::Collecting),
                        "{} {number} {map}",
                        country.code
                    );
                    desk.does(Input::KeyDown(Key::from_char(key).unwrap()));
                }
                assert_eq!(
                    desk.placed().1,
                    Destination {
                        address: (*number).to_owned(),
                        account: Some(AccountId(0)),
                        emergency: true
                    }
                );
            }
        }
    }
}

#[test]
fn an_emergency_call_is_neither_given_up_nor_parked_nor_disturbed() {
    let mut desk = Desk::ready("");
    let (call, _) = desk.lifts().presses("112").placed();
    desk.hears(call, CallUpdate::Ringing).waits_ms(3_600_000);
    assert_eq!(desk.state(), State::Ringback);
    desk.hears(call, CallUpdate::Answered).does(Input::Flash);
    assert_eq!(&desk.connected[..], &[call][..]);
    let second = desk.rings("anna");
    assert!(desk.said(&Output::Reject(second, 486)));
    assert!(desk.puts_down().said(&Output::End(call)), "no flash window in an emergency call");
    desk.rests();
}

#[test]
fn the_hotline_dials_by_itself() {
    let mut desk = Desk::ready("[dial]\nhotline = \"101\"");
    assert_eq!(desk.lifts().placed().1.address, "101");
    assert_eq!(desk.tone, None);
    let mut desk = Desk::ready("[dial]\nhotline = \"sip:door@10.0.0.9\"\nhotline_after_ms = 5000");
    assert_eq!(desk.lifts().tone, Some(Tone::Dial));
    assert_eq!(desk.waits_ms(5000).placed().1.address, "sip:door@10.0.0.9");
    // A key in time dials as usual.
    let mut desk = Desk::ready("[dial]\nhotline = \"101\"\nhotline_after_ms = 5000");
    assert_eq!(desk.lifts().waits_ms(4000).presses("112").placed().1.address, "112");
}

#[test]
fn auto_answer_needs_no_handset() {
    let mut desk = Desk::ready("[call]\nauto_answer = 500");
    let call = desk.rings("anna");
    assert_eq!(desk.state(), State::Ringing);
    assert!(desk.waits_ms(500).said(&Output::Answer(call)));
    assert_eq!((desk.state(), desk.ring, &desk.connected[..]), (State::Talking, None, &[call][..]));
    assert!(!desk.phone.off_hook());
    // The next caller hears busy: nobody is there to flash.
    let second = desk.rings("berta");
    assert!(desk.said(&Output::Reject(second, 486)));
    // Lifting takes the call over; otherwise its end is the end.
    desk.lifts();
    assert_eq!((desk.state(), &desk.connected[..]), (State::Talking, &[call][..]));
    assert!(desk.does(Input::HangUp).said(&Output::End(call)));
    let call = desk.rings("anna");
    desk.waits_ms(500).ended(call, None).rests();
    // `ctl hang-up` ends a call nobody lifted for.
    let call = desk.rings("anna");
    assert!(desk.waits_ms(500).puts_down().said(&Output::End(call)));
    desk.rests();
}

#[test]
fn auto_answer_at_once_does_not_ring() {
    let mut desk = Desk::ready("[call]\nauto_answer = true");
    let call = desk.rings("anna");
    assert!(
        desk.said(&Output::Answer(call))
            && !desk
                .said
                .iter()
                .any(|output| matches!(output, Output::Ring(_) | Output::Ringing(_)))
    );
    assert_eq!(desk.state(), State::Talking);
    let mut desk = Desk::ready("");
    let call = desk.phone.new_call();
    desk.does(Input::Incoming {
        call,
        from: "door".to_owned(),
        alert: Alert::Normal,
        auto_answer: true,
    });
    assert!(desk.said(&Output::Answer(call)));
}

#[test]
fn two_callers_at_once() {
    let mut desk = Desk::ready("");
    let first = desk.rings("anna");
    let second = desk.rings("berta");
    assert!(desk.said(&Output::Ringing(second)));
    let third = desk.rings("carla");
    assert!(desk.said(&Output::Reject(third, 486)));
    // The first gives up: the second still rings. Lifted, it is answered.
    desk.ended(first, None);
    assert_eq!(desk.state(), State::Ringing);
    let fourth = desk.rings("dora");
    desk.lifts();
    assert_eq!((&desk.connected[..], desk.tone), (&[second][..], Some(Tone::CallWaiting)));
    assert_eq!(desk.phone.call_state(fourth), Some(CallState::Waiting));
}

#[test]
fn the_line_lamp_follows_the_lines() {
    let mut desk = Desk::new(ONE_LINE);
    assert!(
        desk.does(Input::Line {
            account: AccountId(0),
            usable: true
        })
        .said(&Output::Lamp(Lamp::Line, LampState::On))
    );
    assert!(
        desk.does(Input::Line {
            account: AccountId(7),
            usable: true
        })
        .said
        .is_empty()
    );
    assert!(
        desk.does(Input::Line {
            account: AccountId(0),
            usable: false
        })
        .said(&Output::Lamp(Lamp::Line, LampState::Off))
    );
}
