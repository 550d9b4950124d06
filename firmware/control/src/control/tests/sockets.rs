//! The sockets of a call: opened while it is dialled, waited for, refused, or not needed.

use types::BoardEvent;

use super::*;

/// What one key makes the phone want, without carrying any of it out.
fn wants(desk: &mut Desk, key: char, now: Instant) -> Vec<Output> {
    desk.control.handle_board(BoardEvent::KeyDown(key), now);
    std::iter::from_fn(|| desk.control.poll_output()).collect()
}

fn opens(output: &Output) -> bool {
    matches!(output, Output::OpenMedia(_))
}

#[test]
fn invite_leaves_with_the_last_key() {
    let mut pair = Pair::new("", "");
    pair.ask(true, &UserAction::Lift);
    assert_eq!(
        pair.left.ports.open.len(),
        1,
        "opened while dial tone is heard"
    );
    pair.ask(true, &UserAction::Press("1".into()));
    pair.ms(300);
    let now = pair.now;
    let wanted = wants(&mut pair.left, '#', now);
    let is_invite = |output: &Output| match output {
        Output::Sip(message) => message.bytes.starts_with(b"INVITE "),
        _ => false,
    };
    assert!(wanted.iter().any(is_invite));
    assert!(!wanted.iter().any(opens));
    assert_eq!(pair.left.ports.open.len(), 1);
}

#[test]
fn a_second_call_has_sockets_of_its_own() {
    let mut pair = Pair::new("", "");
    pair.talk();
    assert_eq!(pair.left.ports.open.len(), 1);
    pair.ask(true, &UserAction::Flash);
    assert_eq!(
        pair.left.ports.open.len(),
        2,
        "for the number that may follow"
    );
    pair.ask(true, &UserAction::Flash);
    pair.ms(200);
    assert_eq!(pair.left.control.state(), phone::State::Talking);
    assert_eq!(pair.left.ports.open.len(), 1, "none followed");
    pair.ask(true, &UserAction::HangUp);
    pair.ask(false, &UserAction::HangUp);
    pair.assert_quiet();
}

#[test]
fn sockets_of_no_call_are_closed() {
    let mut pair = Pair::new("", "");
    pair.ask(true, &UserAction::Lift);
    pair.ask(true, &UserAction::HangUp);
    assert!(pair.left.ports.open.is_empty());
    pair.ask(true, &UserAction::Lift);
    assert_eq!(pair.left.ports.open.len(), 1);
    // Dial tone becomes congestion tone.
    pair.ms(31_000);
    assert!(pair.left.ports.open.is_empty());
    pair.ask(true, &UserAction::HangUp);
    pair.assert_quiet();
}

#[test]
fn sockets_refused_at_dial_tone_are_asked_for_again() {
    let mut pair = Pair::new("", "");
    pair.left.ports.refuse = true;
    pair.ask(true, &UserAction::Lift);
    let now = pair.now;
    let wanted = wants(&mut pair.left, '1', now);
    assert!(!wanted.iter().any(opens), "once is enough");
    pair.left.ports.refuse = false;
    pair.ask(true, &UserAction::Press("#".into()));
    pair.ms(400);
    assert_eq!(pair.right.control.state(), phone::State::Ringing);
    pair.ask(true, &UserAction::HangUp);
    pair.assert_quiet();
}

#[test]
fn missing_port_gives_congestion_and_a_reason() {
    let mut pair = Pair::new("", "");
    pair.left.ports.refuse = true;
    pair.ask(true, &UserAction::Lift);
    pair.ask(true, &UserAction::Press("1#".into()));
    pair.ms(400);
    assert_eq!(pair.left.control.tone(), Some(phone::Tone::Congestion));
    let notes: Vec<_> = pair
        .left
        .events
        .iter()
        .filter(|event| event["event"] == "note")
        .collect();
    assert!(
        notes
            .iter()
            .any(|note| note["text"].as_str().unwrap().contains("network.rtp_ports")),
        "{notes:?}"
    );
    pair.ask(true, &UserAction::HangUp);

    pair.right.ports.refuse = true;
    pair.left.ports.refuse = false;
    pair.ask(true, &UserAction::Lift);
    pair.ask(true, &UserAction::Press("1#".into()));
    pair.ms(400);
    pair.ask(false, &UserAction::Lift);
    pair.ms(400);
    assert_eq!(
        pair.left.control.tone(),
        Some(phone::Tone::Congestion),
        "the caller waits for ever"
    );
    pair.ask(true, &UserAction::HangUp);
    pair.ask(false, &UserAction::HangUp);
    pair.assert_quiet();
}

#[test]
fn sockets_of_an_abandoned_call_are_closed() {
    let mut pair = Pair::new("", "");
    pair.left.ports.late = Some(Vec::new());
    pair.ask(true, &UserAction::Lift);
    pair.ask(true, &UserAction::Press("1#".into()));
    pair.ms(400);
    assert_eq!(pair.left.control.tables().awaiting_sockets, 1);
    assert_eq!(pair.right.control.state(), phone::State::Idle);
    pair.ask(true, &UserAction::HangUp);
    assert_eq!(pair.left.control.tables().awaiting_sockets, 0);
    let late = pair.left.ports.late.take().unwrap();
    for stream in late {
        let opened = pair.left.ports.open(stream);
        pair.left
            .control
            .handle_media_sockets(stream, opened, pair.now);
    }
    pair.assert_quiet();
    assert!(
        pair.right
            .events
            .iter()
            .all(|event| event["event"] != "call")
    );
}
