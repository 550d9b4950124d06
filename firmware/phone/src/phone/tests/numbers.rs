//! Stories of numbers: keys, timers, emergency, hotline, DTMF.

use super::*;

#[test]
fn star_code_is_confirmed_and_handed_out() {
    let mut desk = Desk::new("");
    desk.lifts().presses("*94#");
    assert!(desk.noted("star code: bundle"), "{:?}", desk.said);
    assert_eq!(
        (desk.state(), desk.tone),
        (State::DialTone, Some(Tone::Confirmation))
    );
    desk.presses("1");
    assert_eq!(
        desk.state(),
        State::Collecting,
        "the phone is ready for the next number"
    );
    desk.puts_down().rests();
}

#[test]
fn without_an_account_numbers_get_congestion() {
    let mut desk = Desk::new(ONE_LINE);
    assert_eq!(desk.lifts().tone, Some(Tone::Dial));
    desk.presses("200#");
    assert_eq!(
        (desk.state(), desk.tone),
        (State::Congestion, Some(Tone::Congestion))
    );
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
            emergency: false,
            options: crate::output::CallOptions::default(),
            has_more: false,
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
    desk.does(Input::KeyDown(Key::Digit(3)))
        .does(Input::KeyDown(Key::Digit(4)));
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
            emergency: false,
            options: crate::output::CallOptions::default(),
            has_more: false,
        }
    );
    assert_eq!(desk.state(), State::Calling);
}

#[test]
fn short_timer_sends_and_long_timer_refuses() {
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
    let map = "digit_map = \"[2-8]xx|*31#xx\"";
    let mut desk = Desk::ready(&format!("[dial]\nservice_codes = false\n{map}"));
    assert_eq!(desk.lifts().presses("*31#12").placed().1.address, "*31#12");
    let mut desk = Desk::ready("[dial]\nservice_codes = false");
    desk.lifts().presses("#");
    assert_eq!(
        (desk.state(), desk.tone),
        (State::DialTone, Some(Tone::Dial))
    );
}

#[test]
fn comma_gives_dial_tone_and_barred_congestion() {
    let mut desk = Desk::ready("[dial]\ndigit_map = \"<9:>,xxx|0900x.!\"");
    desk.lifts().presses("9");
    assert_eq!(
        (desk.state(), desk.tone),
        (State::Collecting, Some(Tone::RecallDial))
    );
    desk.presses("1");
    assert_eq!(desk.tone, None);
    assert_eq!(desk.presses("23").placed().1.address, "123");
    let mut desk = Desk::ready("[dial]\ndigit_map = \"<9:>,xxx|0900x.!\"");
    assert!(desk.lifts().presses("0900").noted("barred"));
    assert_eq!(desk.tone, Some(Tone::Congestion));
}

#[test]
fn digits_in_a_call_are_sent_not_heard() {
    let (mut desk, call) = Desk::talking("");
    desk.does(Input::KeyDown(Key::Star));
    assert!(desk.said(&Output::Dtmf(call, Key::Star, true)));
    assert_eq!(desk.key_tone, None);
    assert!(
        desk.does(Input::KeyUp(Key::Star))
            .said(&Output::Dtmf(call, Key::Star, false))
    );
    // A key that is down when the call ends comes up before it does.
    desk.does(Input::KeyDown(Key::Letter(0)))
        .does(Input::HangUp);
    assert_eq!(
        desk.said[..2],
        [Output::Dtmf(call, Key::Letter(0), false), Output::End(call)]
    );
    let (mut desk, _) = Desk::talking("[call]\nkey_tones = true");
    assert_eq!(
        desk.does(Input::KeyDown(Key::Star)).key_tone,
        Some(Key::Star)
    );
}

#[test]
fn a_rotary_dial_dials_and_sends_digits() {
    let mut desk = Desk::ready("[dial]\ndigit_map = \"xxx\"");
    desk.lifts()
        .does(Input::Rotary(Key::Digit(2)))
        .does(Input::Rotary(Key::Digit(0)));
    assert_eq!((desk.state(), desk.key_tone), (State::Collecting, None));
    let (call, to) = desk.does(Input::Rotary(Key::Digit(3))).placed();
    assert_eq!(to.address, "203");
    desk.hears(call, CallUpdate::Answered)
        .does(Input::Rotary(Key::Digit(7)));
    assert!(desk.said(&Output::Dtmf(call, Key::Digit(7), true)));
    assert!(
        desk.waits_ms(100)
            .said(&Output::Dtmf(call, Key::Digit(7), false))
    );
}

#[test]
fn keys_on_hook_do_nothing() {
    let mut desk = Desk::ready("");
    assert_eq!(desk.presses("112").said, []);
    desk.rests();
}

#[test]
fn emergency_is_sent_at_once_by_any_route() {
    let to = |address: &str, account: Option<usize>, has_more: bool| Destination {
        address: address.to_owned(),
        account: account.map(AccountId),
        emergency: true,
        options: crate::output::CallOptions::default(),
        has_more,
    };
    // The line is registered.
    assert_eq!(
        Desk::ready("").lifts().presses("112").placed().1,
        to("112", Some(0), false)
    );
    // The second account is.
    let two = format!(
        "{ONE_LINE}[[account]]\nuser = \"2\"\ndomain = \"other\"\n[dial]\n\
         emergency_route = \"sip:112@gate\""
    );
    let mut desk = Desk::new(&two);
    desk.does(Input::AccountStatus {
        account: AccountId(1),
        usable: true,
    });
    let (call, to_first) = desk.lifts().presses("112").placed();
    assert_eq!(to_first, to("112", Some(1), true));
    // It fails: by the route; that fails, too: the tone and the reason.
    let (second, to_second) = desk.ended(call, Some(503)).placed();
    assert_eq!(
        (to_second, desk.state()),
        (to("sip:112@gate", None, true), State::Calling)
    );
    assert_ne!(call, second);
    // Last by the account that is not registered.
    let (third, to_third) = desk.ended(second, Some(408)).placed();
    assert_eq!(to_third, to("112", Some(0), false));
    desk.ended(third, Some(503));
    assert_eq!(desk.tone, Some(Tone::Congestion));
    // Neither is registered: by the route first.
    assert_eq!(
        Desk::new(&two).lifts().presses("110").placed().1,
        to("sip:112@gate", None, true)
    );
    // No route either: by the account all the same.
    assert_eq!(
        Desk::new(ONE_LINE).lifts().presses("112").placed().1,
        to("112", Some(0), false)
    );
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
                    "[phone]\ncountry = \"{}\"\n[[account]]\nuser = \"1\"\ndomain = \"p\"\n[dial]\n\
                     digit_map = \"{map}\"",
                    country.country.as_str()
                );
                let mut desk = Desk::new(&toml);
                desk.lifts();
                for key in number.chars() {
                    assert!(
                        matches!(desk.state(), State::DialTone | State::Collecting),
                        "{} {number} {map}",
                        country.country.as_str()
                    );
                    desk.does(Input::KeyDown(Key::from_char(key).unwrap()));
                }
                assert_eq!(
                    desk.placed().1,
                    Destination {
                        address: (*number).to_owned(),
                        account: Some(AccountId(0)),
                        emergency: true,
                        options: crate::output::CallOptions::default(),
                        has_more: false,
                    }
                );
            }
        }
    }
}

#[test]
fn emergency_call_is_never_given_up_or_held() {
    let mut desk = Desk::ready("");
    let (call, _) = desk.lifts().presses("112").placed();
    desk.hears(call, CallUpdate::Ringing).waits_ms(3_600_000);
    assert_eq!(desk.state(), State::Ringback);
    desk.hears(call, CallUpdate::Answered).does(Input::Flash);
    assert_eq!(&desk.connected[..], &[call][..]);
    let second = desk.rings("anna");
    assert!(desk.said(&Output::Reject(second, 486)));
    assert!(
        desk.puts_down().said(&Output::End(call)),
        "no flash window in an emergency call"
    );
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
    assert_eq!(
        desk.lifts()
            .waits_ms(4000)
            .presses("112")
            .placed()
            .1
            .address,
        "112"
    );
}
