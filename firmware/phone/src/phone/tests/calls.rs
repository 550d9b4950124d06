//! Stories of calls: ringing, waiting, holding, flashing, answering by itself.

use super::*;

#[test]
fn it_rings_and_lifting_answers() {
    let mut desk = Desk::ready("");
    let call = desk.rings("anna");
    assert!(desk.said(&Output::Ringing(call)));
    assert_eq!(
        (desk.state(), desk.ring),
        (
            State::Ringing,
            Some(RingStyle {
                alert: Alert::Normal
            })
        )
    );
    desk.lifts();
    assert!(desk.said(&Output::Answer(call)));
    assert_eq!(
        (desk.state(), desk.ring, &desk.connected[..]),
        (State::Talking, None, &[call][..])
    );
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
    assert_eq!(
        (desk.state(), desk.phone.call_state(call)),
        (State::DialTone, None)
    );
    desk.presses("2");
    let call = desk.rings("anna");
    assert!(desk.said(&Output::Reject(call, 486)));
}

#[test]
fn call_waiting_flash_answers_and_swaps() {
    let (mut desk, first) = Desk::talking("");
    let second = desk.rings("berta");
    assert!(desk.said(&Output::Ringing(second)));
    assert_eq!(
        (desk.state(), desk.tone),
        (State::Talking, Some(Tone::CallWaiting))
    );
    desk.does(Input::Flash).waits_ms(1500);
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
    assert!(
        desk.said(&Output::End(first))
            && desk.said(&Output::End(second))
            && !desk.said(&Output::End(third))
    );
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
fn refused_hold_gives_the_call_back() {
    let (mut desk, call) = Desk::talking("");
    desk.does(Input::Flash);
    assert_eq!(desk.tone, Some(Tone::RecallDial));
    assert!(
        desk.hears(call, CallUpdate::HoldRefused)
            .noted("refused to be put on hold")
    );
    assert_eq!(
        (desk.state(), desk.tone, &desk.connected[..]),
        (State::Talking, None, &[call][..])
    );
    // Where another call is under way the handset stays with that one.
    let (second, _) = desk.does(Input::Flash).presses("300#").placed();
    assert!(
        desk.hears(call, CallUpdate::HoldRefused)
            .noted("refused to be put on hold")
    );
    assert_eq!(desk.state(), State::Calling);
    desk.hears(second, CallUpdate::Answered);
    assert_eq!(&desk.connected[..], &[second][..]);
}

#[test]
fn call_answered_elsewhere_is_not_missed() {
    let mut desk = Desk::ready("");
    let call = desk.rings("anna");
    desk.ended(call, Some(200));
    assert!(desk.noted("answered elsewhere") && !desk.noted("missed"));
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
    assert_eq!(
        (desk.state(), &desk.connected[..]),
        (State::Talking, &[first][..])
    );
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
fn hook_press_within_the_window_is_a_flash() {
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
    assert_eq!(
        (desk.state(), desk.tone),
        (State::DialTone, Some(Tone::RecallDial))
    );
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
fn putting_down_is_final_without_a_flash() {
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
fn auto_answer_needs_no_handset() {
    let mut desk = Desk::ready("[call]\nauto_answer = 500");
    let call = desk.rings("anna");
    assert_eq!(desk.state(), State::Ringing);
    assert!(desk.waits_ms(500).said(&Output::Answer(call)));
    assert_eq!(
        (desk.state(), desk.ring, &desk.connected[..]),
        (State::Talking, None, &[call][..])
    );
    assert!(!desk.phone.off_hook());
    // The next caller hears busy: no one is there to flash.
    let second = desk.rings("berta");
    assert!(desk.said(&Output::Reject(second, 486)));
    // Lifting takes the call over; otherwise its end is the end.
    desk.lifts();
    assert_eq!(
        (desk.state(), &desk.connected[..]),
        (State::Talking, &[call][..])
    );
    assert!(desk.does(Input::HangUp).said(&Output::End(call)));
    let call = desk.rings("anna");
    desk.waits_ms(500).ended(call, None).rests();
    // `ctl hang-up` ends a call for which the handset was not lifted.
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
        from: "door".into(),
        alert: Alert::Normal,
        auto_answer: true,
    });
    assert!(desk.said(&Output::Answer(call)));
}

#[test]
fn answer_on_request_rings_and_is_muted_until_lift() {
    let mut desk = Desk::ready("[call]\nauto_answer = 20000");
    let asks = |desk: &mut Desk| {
        let call = desk.phone.new_call();
        desk.does(Input::Incoming {
            call,
            from: "door".into(),
            // Asking for no bell is of no use.
            alert: Alert::Silent,
            auto_answer: true,
        });
        call
    };
    let bell = Some(RingStyle {
        alert: Alert::Normal,
    });
    let call = asks(&mut desk);
    assert!(desk.said(&Output::Answer(call)) && desk.said(&Output::Mute(true)));
    assert_eq!(
        (desk.state(), desk.ring, &desk.connected[..]),
        (State::Talking, bell, &[call][..])
    );
    assert!(!desk.waits_ms(999).said(&Output::Mute(false)));
    assert_eq!(desk.ring, bell);
    desk.waits_ms(1);
    assert_eq!(desk.ring, None);
    assert!(
        !desk.waits_ms(60_000).said(&Output::Mute(false)),
        "time alone opens no microphone"
    );
    assert!(desk.lifts().said(&Output::Mute(false)));
    assert_eq!(
        (desk.state(), &desk.connected[..]),
        (State::Talking, &[call][..])
    );
    desk.puts_down().waits_ms(2000).rests();
    // Its end, too, leaves a phone whose microphone works; and lifted within the second, the bell
    // is silent.
    let call = asks(&mut desk);
    assert!(desk.ended(call, None).said(&Output::Mute(false)));
    desk.rests();
    asks(&mut desk);
    desk.waits_ms(300).lifts();
    assert_eq!(desk.ring, None);
    assert!(desk.said(&Output::Mute(false)));
    // Who does not ask is answered in the owner's time, and heard.
    desk.puts_down().waits_ms(2000).rests();
    let call = desk.rings("anna");
    assert!(!desk.waits_ms(19_999).said(&Output::Answer(call)));
    desk.waits_ms(1);
    assert!(desk.said(&Output::Answer(call)) && !desk.said(&Output::Mute(true)));
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
    assert_eq!(
        (&desk.connected[..], desk.tone),
        (&[second][..], Some(Tone::CallWaiting))
    );
    assert_eq!(desk.phone.call_state(fourth), Some(CallState::Waiting));
}

#[test]
fn a_flash_after_the_howler_gives_dial_tone() {
    let mut desk = Desk::ready("");
    desk.lifts().waits(Duration::from_secs(300));
    assert_eq!((desk.phone.state(), desk.tone), (State::Silent, None));
    desk.does(Input::Flash);
    assert_eq!(
        (desk.phone.state(), desk.tone),
        (State::DialTone, Some(Tone::Dial))
    );
}
