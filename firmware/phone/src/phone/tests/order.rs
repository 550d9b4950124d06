//! The bell rung by an order: what it is for, what ends it, and what is never done.

use super::*;
use crate::note::RingOrderError;
use crate::{FunctionKey, StarCode};

impl Desk {
    fn ordered(&mut self, number: Option<&str>) -> &mut Self {
        self.does(Input::RingOrder(number.map(str::to_owned)))
    }

    fn bell(&self) -> bool {
        self.ring.is_some()
    }
}

#[test]
fn it_rings_for_a_while_and_the_phone_stays_idle() {
    let mut desk = Desk::ready("");
    desk.ordered(None);
    assert!(desk.bell());
    assert_eq!(desk.state(), State::Idle);
    desk.waits_ms(4900);
    assert!(desk.bell());
    desk.waits_ms(200);
    assert!(!desk.bell());
    desk.rests();
}

#[test]
fn lifting_to_a_ring_alone_gives_dial_tone() {
    let mut desk = Desk::ready("");
    desk.ordered(None).lifts();
    assert!(!desk.bell());
    assert_eq!(desk.tone, Some(Tone::Dial));
    desk.puts_down();
    desk.rests();
}

#[test]
fn whoever_lifts_is_connected_with_the_number_even_beside_a_hotline() {
    for toml in ["", "[dial]\nhotline = \"100\"\nhotline_after_ms = 0\n"] {
        let mut desk = Desk::ready(toml);
        desk.ordered(Some("200")).waits_ms(29_000);
        assert!(desk.bell());
        assert_eq!(desk.lifts().placed().1.address, "200", "{toml}");
        assert!(!desk.bell());
        desk.does(Input::HangUp);
        desk.rests();
        // The order is done.
        desk.lifts();
        let placed = desk.state() == State::Calling;
        assert_eq!(placed, !toml.is_empty(), "{toml}");
    }
}

#[test]
fn no_one_lifts_and_nothing_is_dialled_later() {
    let mut desk = Desk::ready("");
    desk.ordered(Some("200")).waits(Duration::from_secs(31));
    assert!(!desk.bell());
    desk.lifts();
    assert_eq!(desk.state(), State::DialTone);
}

#[test]
fn a_call_takes_the_place_of_an_order() {
    let mut desk = Desk::ready("");
    desk.ordered(Some("200"));
    let call = desk.rings("anna");
    desk.lifts();
    assert!(desk.said(&Output::Answer(call)));
    desk.does(Input::HangUp);
    desk.lifts();
    assert_eq!(desk.state(), State::DialTone);
}

#[test]
fn mute_key_and_do_not_disturb_silence_it() {
    let mut desk = Desk::ready("");
    desk.ordered(Some("200"))
        .does(Input::Function(FunctionKey::Mute));
    assert!(!desk.bell());
    desk.lifts();
    assert_eq!(desk.state(), State::DialTone);
    desk.does(Input::HangUp);
    for silence in [Input::Setting(StarCode::DndOn), Input::QuietHours(true)] {
        let mut desk = Desk::ready("");
        desk.ordered(Some("200")).does(silence);
        assert!(!desk.bell());
        desk.lifts();
        assert_eq!(desk.state(), State::DialTone);
    }
}

#[test]
fn do_not_disturb_by_order_is_kept_once_it_rests() {
    let mut desk = Desk::ready("");
    let kept = |desk: &Desk| {
        let mut said = desk.said.iter();
        said.any(|output| matches!(output, Output::Remember(features) if features.dnd))
    };
    for _ in 0..100 {
        desk.does(Input::Dnd(false)).does(Input::Dnd(true));
        assert!(!kept(&desk));
        desk.waits_ms(500);
        assert!(!kept(&desk));
    }
    assert!(desk.phone.features().dnd);
    desk.waits_ms(3000);
    assert!(kept(&desk));
    desk.rests();
}

#[test]
fn what_may_not_be_ordered_is_refused_with_a_reason() {
    let toml = "[codes]\nreboot = \"1234\"\n[dial]\ndigit_map = \"0900x.!|x.T\"\n";
    let mut desk = Desk::ready(toml);
    let long = "1".repeat(33);
    let check = |desk: &Desk, number| desk.phone.check_ring_order(Some(number));
    for no_number in ["", "+", "*98", "#", "sip:a@b", "12a", long.as_str()] {
        assert_eq!(check(&desk, no_number), Err(RingOrderError::NoNumber));
    }
    assert!(matches!(
        check(&desk, "112"),
        Err(RingOrderError::Barred(_))
    ));
    assert!(matches!(
        check(&desk, "0900123"),
        Err(RingOrderError::Barred(_))
    ));
    assert!(matches!(
        check(&desk, "1234"),
        Err(RingOrderError::StarCode(_))
    ));
    assert_eq!(check(&desk, "+4930123"), Ok(()));
    for refused in ["112", "0900123", "1234", "*98"] {
        desk.ordered(Some(refused));
        assert!(!desk.bell(), "{refused}");
        assert_eq!(desk.lifts().state(), State::DialTone, "{refused}");
        assert_eq!(check(&desk, "200"), Err(RingOrderError::InUse));
        // The handset in the hand is not taken over by an order.
        desk.ordered(Some("200"));
        assert_eq!(desk.state(), State::DialTone);
        desk.does(Input::HangUp);
    }
    desk.does(Input::Setting(StarCode::DndOn)).ordered(None);
    assert!(!desk.bell());
    assert_eq!(
        desk.phone.check_ring_order(None),
        Err(RingOrderError::DoNotDisturb)
    );
}

#[test]
fn an_emergency_number_behind_an_outside_line_digit_is_not_ordered() {
    let mut desk = Desk::ready("[dial]\ndigit_map = \"[2-8]xx|<9:>x.T\"\n");
    for number in ["112", "9112"] {
        let refused = desk.phone.check_ring_order(Some(number));
        assert!(
            matches!(refused, Err(RingOrderError::Barred(_))),
            "{number}"
        );
        desk.ordered(Some(number));
        assert!(!desk.bell(), "{number}");
    }
    assert_eq!(desk.phone.check_ring_order(Some("200")), Ok(()));
}
