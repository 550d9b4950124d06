//! Stories of the phone's voice.

use config::codes::StarCode;

use super::*;
use crate::note::DialError;
use crate::set_up::Question;

impl Desk {
    fn says(&self) -> Option<&Announcement> {
        self.spoken.as_ref()
    }

    fn question(&self) -> Option<&Question> {
        match self.says() {
            Some(Announcement::SetUp(prompt)) => Some(&prompt.question),
            Some(_) | None => None,
        }
    }
}

#[test]
fn a_tone_comes_first_and_words_once() {
    let mut desk = Desk::ready("[dial]\ndigit_map = \"2xx\"\n");
    desk.lifts().presses("9");
    assert_eq!((desk.tone, desk.says()), (Some(Tone::Congestion), None));
    desk.waits_ms(1500);
    let unknown = Announcement::NotDialled(DialError::Unknown("9".into()));
    assert_eq!((desk.tone, desk.says()), (None, Some(&unknown)));
    desk.does(Input::Spoken);
    assert_eq!((desk.tone, desk.says()), (Some(Tone::Congestion), None));
    desk.waits_ms(5000);
    assert_eq!(desk.says(), None, "said once");
    desk.does(Input::HangUp).rests();
}

#[test]
fn hanging_up_ends_the_words() {
    let mut desk = Desk::ready("");
    desk.lifts().presses("*55#");
    assert_eq!(desk.says(), Some(&Announcement::OwnNumber));
    assert_eq!(desk.tone, None);
    desk.does(Input::Hook(false)).rests();
    // What comes back late changes nothing.
    desk.does(Input::Spoken).rests();
}

#[test]
fn words_that_are_never_said_do_not_keep_the_phone_silent() {
    let mut desk = Desk::ready("[dial]\ndigit_map = \"2xx\"\n");
    desk.lifts().presses("9").waits_ms(1500);
    assert!(desk.says().is_some() && desk.tone.is_none());
    desk.waits_ms(40_000);
    assert_eq!(desk.says(), None);
    assert!(desk.tone.is_some(), "{:?}", desk.state());
}

#[test]
fn a_setting_is_confirmed_in_words() {
    let mut desk = Desk::ready("");
    desk.lifts().presses("*72200#").waits_ms(1500);
    let set = Announcement::Set(StarCode::ForwardAlways, "200".into());
    assert_eq!(desk.says(), Some(&set));
    desk.does(Input::Spoken);
    assert_eq!(desk.tone, Some(Tone::Dial));
}

#[test]
fn a_fault_is_said_after_its_beeps_once_a_lift() {
    let mut desk = Desk::ready("");
    desk.phone.set_fault(Some(2));
    for _ in 0..2 {
        desk.lifts();
        assert_eq!(desk.tone, Some(Tone::Dial));
        assert!(!desk.phone.fault_is_said());
        desk.waits_ms(1399);
        assert_eq!(desk.says(), None);
        desk.waits_ms(1);
        assert_eq!(desk.says(), Some(&Announcement::Fault(2)));
        desk.does(Input::Spoken);
        assert_eq!(desk.tone, Some(Tone::Dial));
        assert!(desk.phone.fault_is_said());
        desk.waits_ms(5000);
        assert_eq!(desk.says(), None);
        desk.does(Input::HangUp).rests();
    }
}

#[test]
fn a_phone_without_settings_dials_first_and_asks_then() {
    let mut desk = Desk::ready("[dial]\ndigit_map = \"2xx\"\n");
    desk.phone.offer_set_up(true);
    desk.lifts().waits_ms(3900);
    assert_eq!(
        (desk.state(), desk.tone),
        (State::DialTone, Some(Tone::Dial))
    );
    desk.presses("200");
    assert_eq!(desk.state(), State::Calling);
    desk.does(Input::HangUp);
    desk.lifts().waits_ms(4000);
    assert_eq!(desk.state(), State::SetUp);
    assert_eq!(desk.question(), Some(&Question::Language));
    for (keys, question) in [
        ("1", Question::Country),
        ("49#", Question::Address),
        ("10*0*0*2#", Question::User),
        ("101#", Question::Password),
    ] {
        desk.presses(keys);
        assert_eq!(desk.question(), Some(&question), "{keys}");
    }
    desk.presses("4711#").presses("1");
    let saved = desk.said.iter().find_map(|output| match output {
        Output::SetUp(answers) => Some(answers.clone()),
        _ => None,
    });
    let saved = saved.expect("the answers are to be written");
    assert_eq!(
        (saved.user.as_str(), saved.password.as_str()),
        ("101", "4711")
    );
    assert_eq!(desk.question(), Some(&Question::Saving));
    // The card is full; it is tried again, and then it is done.
    desk.does(Input::SetUpWritten(false));
    assert_eq!(desk.question(), Some(&Question::CardFails));
    desk.presses("1").does(Input::SetUpWritten(true));
    desk.does(Input::HangUp).rests();
    desk.lifts().waits_ms(10_000);
    assert_eq!(desk.state(), State::DialTone, "it is set up");
}

#[test]
fn a_phone_without_a_network_is_asked_for_one() {
    let mut desk = Desk::ready("");
    desk.phone.offer_set_up(true);
    desk.phone.set_network(false);
    desk.lifts().waits_ms(4000).presses("1").presses("49#");
    assert_eq!(desk.question(), Some(&Question::Network));
    desk.presses("1").presses("21");
    assert_eq!(desk.question(), Some(&Question::Spelled('a')));
    // An unanswered question is asked again from its beginning.
    desk.does(Input::Spoken).waits_ms(60_000);
    assert_eq!(desk.question(), Some(&Question::WifiName));
    desk.does(Input::HangUp).rests();
}

#[test]
fn an_emergency_call_goes_out_before_the_questions() {
    let mut desk = Desk::ready("");
    desk.phone.offer_set_up(true);
    desk.lifts().presses("112");
    assert_eq!(desk.state(), State::Calling);
}

#[test]
fn questions_without_an_answer_end() {
    let mut desk = Desk::ready("");
    desk.phone.offer_set_up(true);
    desk.lifts().waits_ms(4000);
    for _ in 0..3 {
        desk.does(Input::Spoken);
        assert_eq!(desk.state(), State::SetUp);
        desk.waits_ms(60_000);
    }
    assert_eq!(desk.state(), State::Congestion);
    desk.does(Input::HangUp).rests();
}
