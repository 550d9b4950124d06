//! The account's server uses the phone in place of a hand (`Event: talk`, `hold`), and text
//! messages come.

use super::*;

#[test]
fn talk_answers_a_ringing_call_aloud() {
    let mut desk = Desk::ready("");
    let call = desk.rings("anna");
    desk.does(Input::RemoteTalk(call));
    assert!(desk.said(&Output::Answer(call)), "{:?}", desk.said);
    desk.hears(call, CallUpdate::Answered);
    assert_eq!(
        (desk.state(), &desk.connected[..]),
        (State::Talking, &[call][..])
    );
    // Whoever is near hears that the phone is open: the bell, and nothing of the room goes out.
    assert!(desk.ring.is_some() && desk.muted);
    desk.waits_ms(1100);
    assert!(desk.ring.is_none() && desk.muted);
    desk.lifts();
    assert!(!desk.muted, "the handset is a hand's own consent");
    desk.puts_down().waits_ms(3000).rests();
}

#[test]
fn talk_answers_who_waits_and_holds_the_other() {
    let (mut desk, first) = Desk::talking("[call]\nflash = \"key\"");
    let second = desk.rings("berta");
    desk.does(Input::RemoteTalk(second));
    assert!(desk.said(&Output::Hold(first, true)) && desk.said(&Output::Answer(second)));
    assert_eq!(desk.phone.call_state(first), Some(CallState::OnHold));
    desk.hears(second, CallUpdate::Answered);
    assert_eq!(desk.connected, [second]);
    desk.does(Input::HangUp).rests();
}

#[test]
fn hold_and_talk_put_the_call_aside_and_bring_it_back() {
    let (mut desk, call) = Desk::talking("[call]\nflash = \"key\"");
    desk.does(Input::RemoteHold(call));
    assert!(desk.said(&Output::Hold(call, true)), "{:?}", desk.said);
    assert!(desk.said(&Output::Lamp(Lamp::InUse, LampState::Slow)));
    assert_eq!(
        (desk.state(), &desk.connected[..]),
        (State::OnHold, &[][..])
    );
    // A second one changes nothing.
    assert!(
        !desk
            .does(Input::RemoteHold(call))
            .said(&Output::Hold(call, true))
    );
    desk.does(Input::RemoteTalk(call));
    assert!(desk.said(&Output::Hold(call, false)), "{:?}", desk.said);
    assert_eq!(
        (desk.state(), &desk.connected[..]),
        (State::Talking, &[call][..])
    );
    // It talks already.
    desk.does(Input::RemoteTalk(call));
    assert!(desk.said.is_empty(), "{:?}", desk.said);
    desk.does(Input::HangUp).rests();
}

#[test]
fn talk_does_not_take_the_handset_from_who_dials() {
    let (mut desk, call) = Desk::talking("[call]\nflash = \"key\"");
    desk.does(Input::Flash);
    desk.presses("30");
    assert_eq!(desk.state(), State::Collecting);
    desk.does(Input::RemoteTalk(call));
    assert_eq!(
        (desk.state(), &desk.connected[..]),
        (State::Collecting, &[][..])
    );
    desk.does(Input::HangUp).rests();
}

#[test]
fn no_server_holds_an_emergency_call_or_a_conference() {
    let mut desk = Desk::ready("");
    let (call, to) = desk.lifts().presses("112").placed();
    assert!(to.emergency);
    desk.hears(call, CallUpdate::Answered);
    desk.does(Input::RemoteHold(call));
    assert_eq!(
        (desk.state(), &desk.connected[..]),
        (State::Talking, &[call][..])
    );
    desk.does(Input::HangUp).rests();
    let (mut desk, first) = Desk::talking("[call]\nflash = \"key\"");
    let second = desk.rings("berta");
    desk.does(Input::AnswerWaiting);
    desk.hears(second, CallUpdate::Answered);
    desk.does(Input::ConnectAll);
    assert_eq!(desk.connected, [first, second]);
    desk.does(Input::RemoteHold(second));
    assert_eq!(desk.connected, [first, second]);
    // Nor one that is over.
    desk.does(Input::HangUp).rests();
    desk.does(Input::RemoteHold(first))
        .does(Input::RemoteTalk(first))
        .rests();
}

#[test]
fn text_message_blinks_until_the_handset_is_lifted() {
    let mut desk = Desk::ready("");
    desk.does(Input::TextMessage);
    assert!(desk.said(&Output::Lamp(Lamp::Message, LampState::Slow)));
    assert!(
        desk.lifts()
            .said(&Output::Lamp(Lamp::Message, LampState::Off))
    );
    desk.puts_down().rests();
}
