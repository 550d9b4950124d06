//! One call takes the place of another.

use super::*;

fn refer(to: &str, user: &str) -> CallUpdate {
    CallUpdate::Refer {
        to: to.to_owned(),
        user: user.to_owned(),
    }
}

impl Desk {
    /// The far end of this call asked to call somebody else: the new call.
    fn followed(&mut self, old: CallId) -> CallId {
        self.hears(old, refer("sip:carol@pbx", "carol"));
        let new = self.said.iter().find_map(|output| match output {
            Output::Follow {
                old: asked,
                call,
                to,
            } if *asked == old && to == "sip:carol@pbx" => Some(*call),
            _ => None,
        });
        new.unwrap_or_else(|| panic!("not followed: {:?}", self.said))
    }
}

#[test]
fn refer_ends_the_old_call_with_the_answer() {
    let (mut desk, old) = Desk::talking("");
    let new = desk.followed(old);
    assert_eq!(
        (desk.state(), &desk.connected[..]),
        (State::Calling, &[][..])
    );
    assert!(!desk.said(&Output::End(old)), "not before the answer");
    desk.hears(new, CallUpdate::Ringing);
    assert_eq!(desk.tone, Some(Tone::Ringback));
    desk.hears(new, CallUpdate::Answered);
    assert!(desk.said(&Output::End(old)));
    assert_eq!(
        (desk.state(), &desk.connected[..]),
        (State::Talking, &[new][..])
    );
    // In clear where it should not be: reported as in any other call.
    desk.hears(new, CallUpdate::Encryption(Encryption::Missing));
    assert_eq!(desk.tone, Some(Tone::Unprotected));
    desk.does(Input::HangUp);
    assert!(desk.said(&Output::End(new)));
    desk.rests();
}

#[test]
fn a_failed_refer_resumes_the_old_call() {
    for ring in [false, true] {
        let (mut desk, old) = Desk::talking("");
        let new = desk.followed(old);
        if ring {
            desk.hears(new, CallUpdate::Ringing);
        }
        desk.ended(new, Some(488));
        assert_eq!(
            (desk.state(), &desk.connected[..], desk.tone),
            (State::Talking, &[old][..], None)
        );
        assert!(desk.noted("488"));
        // And may be handed on again.
        desk.followed(old);
    }
    // No one answers; a flash wants the old one back.
    let (mut desk, old) = Desk::talking("[call]\nno_answer_s = 60");
    let new = desk.followed(old);
    assert!(desk.waits_ms(60_001).said(&Output::End(new)));
    assert_eq!(desk.connected, [old]);
    let new = desk.followed(old);
    assert!(desk.does(Input::Flash).said(&Output::End(new)));
    assert_eq!(
        (desk.state(), &desk.connected[..]),
        (State::Talking, &[old][..])
    );
}

#[test]
fn who_asked_may_be_gone_before_it_is_done() {
    let (mut desk, old) = Desk::talking("");
    let new = desk.followed(old);
    desk.ended(old, None);
    assert_eq!(desk.state(), State::Calling, "the new call goes on");
    desk.hears(new, CallUpdate::Answered);
    assert_eq!(
        (desk.state(), &desk.connected[..]),
        (State::Talking, &[new][..])
    );
    let (mut desk, old) = Desk::talking("");
    let new = desk.followed(old);
    desk.ended(old, None).ended(new, Some(404));
    assert_eq!(
        (desk.state(), desk.tone),
        (State::Congestion, Some(Tone::Congestion))
    );
    desk.does(Input::HangUp).rests();
}

#[test]
fn hanging_up_ends_both() {
    let (mut desk, old) = Desk::talking("");
    let new = desk.followed(old);
    desk.does(Input::HangUp);
    assert!(desk.said(&Output::End(old)) && desk.said(&Output::End(new)));
    desk.rests();
}

#[test]
fn refer_is_declined_where_it_cannot_be_followed() {
    let declined = |desk: &mut Desk, call: CallId, to: &str, user: &str| {
        desk.hears(call, refer(to, user));
        assert!(desk.said(&Output::Decline(call)), "{:?}", desk.said);
        assert!(
            !desk
                .said
                .iter()
                .any(|output| matches!(output, Output::Follow { .. }))
        );
    };
    let (mut desk, call) = Desk::talking("[dial]\ndigit_map = \"xxx|0900!\"");
    declined(&mut desk, call, "tel:112", "112");
    declined(&mut desk, call, "tel:0900", "0900");
    assert_eq!(
        (desk.state(), &desk.connected[..]),
        (State::Talking, &[call][..])
    );
    // On hold: another call may have the handset, or no one listens.
    desk.does(Input::Flash);
    declined(&mut desk, call, "sip:carol@pbx", "carol");
    // Answered by itself: what is barred stays barred.
    let mut desk = Desk::ready("[call]\nauto_answer = true\n[dial]\ndigit_map = \"xxx|0900!\"");
    let call = desk.rings("door");
    assert_eq!(desk.state(), State::Talking);
    declined(&mut desk, call, "tel:112", "112");
    declined(&mut desk, call, "tel:0900", "0900");
}

#[test]
fn refer_of_a_call_that_answered_itself_is_followed() {
    let lies = || {
        let mut desk = Desk::ready("[call]\nauto_answer = true");
        let old = desk.rings("door");
        assert_eq!(desk.connected, [old]);
        (desk, old)
    };
    let (mut desk, old) = lies();
    let new = desk.followed(old);
    assert_eq!(desk.state(), State::Calling);
    desk.hears(new, CallUpdate::Ringing);
    desk.hears(new, CallUpdate::Answered);
    assert!(desk.said(&Output::End(old)));
    assert_eq!(
        (desk.state(), &desk.connected[..]),
        (State::Talking, &[new][..])
    );
    desk.ended(new, None).rests();
    // It fails: the old call goes on. Without one no tone waits for somebody to put down.
    let (mut desk, old) = lies();
    let new = desk.followed(old);
    desk.ended(new, Some(486));
    assert_eq!(
        (desk.state(), &desk.connected[..]),
        (State::Talking, &[old][..])
    );
    let new = desk.followed(old);
    desk.ended(old, None).ended(new, Some(486)).rests();
    // Lifting takes the new call over.
    let (mut desk, old) = lies();
    let new = desk.followed(old);
    desk.hears(new, CallUpdate::Answered).lifts();
    assert_eq!(desk.connected, [new]);
    desk.ended(new, None);
    assert_eq!(desk.tone, Some(Tone::Congestion), "somebody is there");
    desk.does(Input::HangUp).rests();
}

#[test]
fn a_replacing_call_is_answered_at_once() {
    let replacing = |desk: &mut Desk, old: CallId| {
        let call = desk.phone.new_call();
        let from = "carol".to_owned();
        desk.does(Input::Replacing { call, old, from });
        call
    };
    let (mut desk, old) = Desk::talking("");
    let new = replacing(&mut desk, old);
    assert!(desk.said(&Output::Answer(new)) && !desk.said(&Output::End(old)));
    assert_eq!(
        (desk.state(), &desk.connected[..], desk.ring),
        (State::Talking, &[new][..], None)
    );
    desk.hears(new, CallUpdate::Answered);
    assert!(desk.said(&Output::End(old)));
    desk.does(Input::HangUp).rests();
    // It comes to nothing: the old one is still there.
    let (mut desk, old) = Desk::talking("");
    let new = replacing(&mut desk, old);
    desk.ended(new, Some(488));
    assert_eq!(
        (desk.state(), &desk.connected[..]),
        (State::Talking, &[old][..])
    );
    // One that is still being placed is given up.
    let mut desk = Desk::ready("");
    let (old, _) = desk.lifts().presses("200#").placed();
    desk.hears(old, CallUpdate::Ringing);
    let new = replacing(&mut desk, old);
    assert!(desk.said(&Output::Answer(new)) && desk.said(&Output::End(old)));
    assert_eq!(
        (desk.state(), &desk.connected[..], desk.tone),
        (State::Talking, &[new][..], None)
    );
    // One on hold stays on hold.
    let (mut desk, old) = Desk::talking("");
    desk.does(Input::Flash);
    let new = replacing(&mut desk, old);
    desk.hears(new, CallUpdate::Answered);
    assert!(desk.said(&Output::End(old)));
    assert_eq!(
        (desk.state(), desk.phone.call_state(new)),
        (State::DialTone, Some(CallState::OnHold))
    );
    desk.does(Input::Flash);
    assert_eq!(
        (desk.state(), &desk.connected[..]),
        (State::Talking, &[new][..])
    );
    // Flashed back to the old one before the new one was established: who takes its place takes the
    // handset with it.
    let (mut desk, old) = Desk::talking("");
    let new = replacing(&mut desk, old);
    desk.does(Input::Flash);
    assert_eq!(desk.connected, [old]);
    desk.hears(new, CallUpdate::Answered);
    assert_eq!(
        (desk.state(), &desk.connected[..]),
        (State::Talking, &[new][..])
    );
    // No call takes the place of one that was not answered.
    let mut desk = Desk::ready("");
    let old = desk.rings("anna");
    let new = replacing(&mut desk, old);
    assert!(desk.said(&Output::Reject(new, 486)));
    assert_eq!(desk.state(), State::Ringing);
}

/// A call on hold and its consultation, in this state.
fn consulting(toml: &str, update: Option<CallUpdate>) -> (Desk, CallId, CallId) {
    let (mut desk, held) = Desk::talking(&format!("[call]\nflash = \"key\"\n{toml}"));
    let (consulted, _) = desk.does(Input::Flash).presses("201#").placed();
    if let Some(update) = update {
        desk.hears(consulted, update);
    }
    (desk, held, consulted)
}

#[test]
fn hanging_up_transfers_where_configured() {
    let on = "transfer_on_hangup = true";
    for (toml, update, hands_over) in [
        (on, Some(CallUpdate::Answered), true),
        (on, Some(CallUpdate::Ringing), true),
        (on, Some(CallUpdate::EarlyMedia), true),
        (on, None, false),
        ("", Some(CallUpdate::Answered), false),
        ("", Some(CallUpdate::Ringing), false),
    ] {
        let (mut desk, held, consulted) = consulting(toml, update.clone());
        desk.puts_down();
        assert_eq!(
            desk.said(&Output::Transfer { held, consulted }),
            hands_over,
            "{toml} {update:?}"
        );
        assert_eq!(
            desk.said(&Output::End(held)),
            !hands_over,
            "{toml} {update:?}"
        );
        assert_eq!(
            desk.said(&Output::End(consulted)),
            !hands_over,
            "{toml} {update:?}"
        );
        desk.rests();
    }
    // Gone back to the first one: the two are connected all the same.
    let (mut desk, held, consulted) = consulting(on, Some(CallUpdate::Answered));
    desk.does(Input::Flash);
    assert_eq!(desk.connected, [held]);
    desk.puts_down();
    assert!(
        desk.said(&Output::Transfer {
            held: consulted,
            consulted: held
        }),
        "{:?}",
        desk.said
    );
    desk.rests();
}

#[test]
fn only_a_consultation_is_transferred() {
    let (mut desk, first) = Desk::talking("[call]\nflash = \"key\"\ntransfer_on_hangup = true");
    let second = desk.rings("anna");
    desk.does(Input::Flash).waits_ms(1500);
    desk.hears(second, CallUpdate::Answered);
    assert_eq!(desk.connected, [second]);
    desk.puts_down();
    assert!(
        desk.said(&Output::End(first)) && desk.said(&Output::End(second)),
        "{:?}",
        desk.said
    );
    desk.rests();
    // A call alone ends.
    let (mut desk, call) = Desk::talking("[call]\nflash = \"key\"\ntransfer_on_hangup = true");
    assert!(desk.puts_down().said(&Output::End(call)));
    desk.rests();
}

impl Desk {
    /// A call that could not be transferred comes back.
    fn gets_back(&mut self) -> CallId {
        let (call, from) = (self.phone.new_call(), "anna".to_owned());
        let account = None;
        self.does(Input::Returned {
            call,
            from,
            account,
        });
        call
    }
}

#[test]
fn call_comes_back_to_the_hand_or_rings() {
    // No setting for callers keeps it out, nor sends it elsewhere.
    for undisturbed in [false, true] {
        let mut desk = Desk::ready("");
        if undisturbed {
            desk.sets("*78");
        }
        let call = desk.gets_back();
        assert_eq!(desk.state(), State::Ringing);
        desk.lifts();
        assert!(desk.said(&Output::Answer(call)));
        assert_eq!(desk.connected, [call]);
        desk.does(Input::HangUp);
        desk.rests();
        // The handset is lifted and has nothing: it is there at once, whatever was keyed but the
        // beginning of an emergency number.
        for keys in ["", "2"] {
            desk.lifts();
            desk.presses(keys);
            let call = desk.gets_back();
            assert!(desk.said(&Output::Answer(call)), "{keys}");
            assert_eq!(
                (desk.state(), &desk.connected[..]),
                (State::Talking, &[call][..])
            );
            assert_eq!(desk.tone, None);
            desk.does(Input::HangUp);
            desk.rests();
        }
    }
    // In a call it waits; where it may not, its far end learns that.
    let (mut desk, first) = Desk::talking("");
    let call = desk.gets_back();
    assert_eq!(
        (desk.state(), &desk.connected[..]),
        (State::Talking, &[first][..])
    );
    desk.does(Input::Flash).waits_ms(1500);
    assert!(desk.said(&Output::Answer(call)));
    let (mut desk, _) = Desk::talking("[call]\nwaiting = false\n");
    let call = desk.gets_back();
    assert!(desk.said(&Output::Reject(call, 486)));
}

#[test]
fn emergency_number_is_keyed_on_when_a_call_comes_back() {
    let mut desk = Desk::ready("");
    desk.lifts().presses("11");
    let call = desk.gets_back();
    assert!(desk.said(&Output::Reject(call, 486)));
    desk.presses("2");
    assert_eq!(desk.state(), State::Calling);
}

#[test]
fn both_calls_of_a_failed_transfer_come_back() {
    // Whether callers may wait or not: both were here before.
    for toml in ["", "[call]\nwaiting = false\n"] {
        // On the hook both ring; lifting takes the first, and the second waits behind it.
        let mut desk = Desk::ready(toml);
        let (held, consulted) = (desk.gets_back(), desk.gets_back());
        assert!(!desk.said(&Output::Reject(consulted, 486)), "{toml}");
        assert_eq!(desk.state(), State::Ringing, "{toml}");
        desk.lifts();
        assert!(desk.said(&Output::Answer(held)), "{toml}");
        desk.hears(held, CallUpdate::Answered);
        desk.does(Input::Flash).waits_ms(1500);
        assert!(desk.said(&Output::Answer(consulted)), "{toml}");
        desk.hears(consulted, CallUpdate::Answered);
        assert_eq!(desk.connected, [consulted], "{toml}");
        // In the hand the first is there at once.
        let mut desk = Desk::ready(toml);
        desk.lifts();
        let held = desk.gets_back();
        assert!(desk.said(&Output::Answer(held)), "{toml}");
        let consulted = desk.gets_back();
        assert!(!desk.said(&Output::Reject(consulted, 486)), "{toml}");
        desk.hears(held, CallUpdate::Answered);
        desk.does(Input::Flash).waits_ms(1500);
        assert!(desk.said(&Output::Answer(consulted)), "{toml}");
    }
    // Behind anybody else's call the setting holds.
    let (mut desk, _) = Desk::talking("[call]\nwaiting = false\n");
    for _ in ["held", "consulted"] {
        let call = desk.gets_back();
        assert!(desk.said(&Output::Reject(call, 486)));
    }
}
