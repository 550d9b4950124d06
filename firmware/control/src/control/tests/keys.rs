//! Keys in a call: digits that are sent, and flash.

use super::*;

#[test]
fn keys_in_a_call_are_sent_as_rfc4733_events() {
    let mut pair = Pair::new("", "");
    pair.talk();
    pair.left.commands.clear();
    pair.ask(true, &UserAction::Press("5#".into()));
    pair.ms(500);
    assert_eq!(
        pair.left.commands,
        [
            "dtmf 5 true",
            "dtmf 5 false",
            "dtmf 11 true",
            "dtmf 11 false"
        ]
    );
    let id = *pair.right.streams.keys().next().unwrap();
    let now = pair.now;
    pair.right.control.handle_media(
        Event::Digit {
            id,
            event: 11,
            inband: false,
        },
        now,
    );
    pair.ms(1);
    let digit = pair.right.last_event("digit");
    assert_eq!(
        (&digit["digit"], &digit["via"]),
        (&"#".into(), &"rfc4733".into())
    );
    pair.ask(true, &UserAction::HangUp);
    pair.ask(false, &UserAction::HangUp);
    pair.assert_quiet();
}

#[test]
fn keys_go_as_the_configuration_says() {
    let tones = ["dtmf 5 true", "dtmf 5 false"];
    for (settings, as_tones) in [
        ("[call]\ndtmf = \"inband\"\n", true),
        ("[call]\ndtmf = \"info\"\n", false),
    ] {
        let mut pair = Pair::new(settings, "");
        pair.talk();
        pair.left.commands.clear();
        pair.ask(true, &UserAction::Press("5".into()));
        pair.ms(500);
        let digit = pair
            .right
            .events
            .iter()
            .find(|event| event["event"] == "digit");
        if as_tones {
            assert_eq!(pair.left.commands, tones, "{settings}");
            assert_eq!(digit, None, "{settings}");
        } else {
            assert_eq!(pair.left.commands, [""; 0], "{settings}");
            let digit = digit.expect("a digit by INFO");
            assert_eq!(
                (&digit["digit"], &digit["via"]),
                (&"5".into(), &"info".into())
            );
            // A far end that refuses INFO gets it as a tone, and the next ones at once.
            let call = pair.left.control.calls.iter().next().unwrap().sip;
            pair.left.control.on_digit_refused(call, '5');
            pair.ask(true, &UserAction::Press("5".into()));
            pair.ms(500);
            assert_eq!(pair.left.commands, [tones, tones].concat(), "{settings}");
        }
        pair.ask(true, &UserAction::HangUp);
        pair.ask(false, &UserAction::HangUp);
        pair.assert_quiet();
    }
}

#[test]
fn flash_holds_and_the_next_resumes() {
    let mut pair = Pair::new("", "");
    pair.talk();
    pair.left.commands.clear();
    pair.right.commands.clear();
    pair.ask(true, &UserAction::Flash);
    pair.ms(300);
    assert_eq!(
        pair.right.commands,
        ["redirect send=false receive=true"],
        "the held side got no redirect"
    );
    assert_eq!(pair.left.commands, ["redirect send=true receive=false"]);
    assert_eq!(
        pair.left.control.status(pair.now).calls[0].state.as_str(),
        "on_hold"
    );
    assert_eq!(
        pair.left.connected.values().collect::<Vec<_>>(),
        [&false],
        "a held call is still heard"
    );
    let held = |desk: &Desk| {
        desk.events.iter().any(|event| {
            event["text"]
                .as_str()
                .is_some_and(|text| text.contains("on hold"))
        })
    };
    assert!(
        held(&pair.right),
        "the held phone has no note: {:?}",
        pair.right.events
    );
    pair.ask(true, &UserAction::Flash);
    pair.ms(300);
    assert_eq!(
        pair.left.control.status(pair.now).calls[0].state.as_str(),
        "talking"
    );
    assert_eq!(
        pair.right.commands.last().unwrap(),
        "redirect send=true receive=true"
    );
    assert_eq!(pair.left.connected.values().collect::<Vec<_>>(), [&true]);
    pair.ask(true, &UserAction::HangUp);
    pair.ask(false, &UserAction::HangUp);
    pair.ms(2000);
    pair.assert_quiet();
}
