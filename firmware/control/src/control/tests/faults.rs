//! A card, a stream or a configuration that is not there.

use super::*;

#[test]
fn unreturned_stream_is_dropped() {
    let mut pair = Pair::new("", "");
    pair.talk();
    pair.left.deaf = true;
    pair.ask(true, &UserAction::HangUp);
    pair.ms(500);
    assert_eq!(
        pair.left.control.tables().calls,
        1,
        "it waits for its figures"
    );
    pair.ms(1000);
    assert_eq!(
        (pair.left.control.tables().calls, pair.left.ports.open.len()),
        (0, 0)
    );
    pair.ask(false, &UserAction::HangUp);
    pair.assert_quiet();
}

#[test]
fn new_card_restarts_streams() {
    let mut pair = Pair::new("", "");
    pair.talk();
    let now = pair.now;
    pair.left.control.handle_card(16_000, 160, now);
    pair.ms(10);
    assert_eq!(pair.left.commands, ["start 48000", "start 16000"]);
    assert_eq!(
        pair.left.control.tables().streams,
        1,
        "the replaced stream was returned"
    );
    assert_eq!(pair.left.connected.values().collect::<Vec<_>>(), [&true]);
    pair.ask(true, &UserAction::HangUp);
    pair.ask(false, &UserAction::HangUp);
    pair.assert_quiet();
}

#[test]
fn config_fault_flashes_and_beeps_until_fixed() {
    let now = crate::test_origin();
    let mut desk = Desk::new("127.0.0.1", "", now);
    desk.drain(now);
    for config_fault in [Some(2), None] {
        desk.control.set_config_fault(config_fault);
        for request in [UserAction::Lift, UserAction::HangUp] {
            desk.control.handle_action(&request, now).unwrap();
        }
        let (mut lamps, mut beeps) = (Vec::new(), None);
        while let Some(output) = desk.control.poll_output() {
            match output {
                Output::Lamp(Lamp::Line, state) => lamps.push(state),
                Output::Media(Command::Tone(Some(tone))) => {
                    beeps = Some(
                        tone.segments
                            .iter()
                            .filter(|segment| segment.frequencies_hz[0] == 1400)
                            .count(),
                    );
                }
                _ => {}
            }
        }
        assert_eq!(
            lamps.first() == Some(&LampState::Code(2)),
            config_fault.is_some(),
            "{lamps:?}"
        );
        assert_eq!(beeps, Some(usize::from(config_fault.unwrap_or(0))));
    }
}
