//! Changes of an established session, and who may ask for them.

use super::*;

/// A far end that does not take a digit by INFO is reported, one that is gone ends the call.
#[test]
fn a_refused_digit_is_reported() {
    let refuse = |mut desk: Desk, code| {
        desk.act(|call, turn| call.handle_digit_outcome(types::Key::Star, code, turn))
    };
    for code in [404, 405, 415, 488, 501, 603] {
        assert_eq!(refuse(Desk::up(), code), "DigitRefused", "{code}");
        assert_eq!(refuse(Desk::leaving(), code), "", "{code}");
    }
    assert_eq!(refuse(Desk::up(), 200), "");
    assert!(refuse(Desk::up(), 481).contains("Ended"));
}

#[test]
fn unacknowledged_answer_is_repeated_and_given_up() {
    let mut desk = Desk::answered();
    let start = desk.now;
    let mut repeats = Vec::new();
    loop {
        match desk.event(Do::Timeout).as_str() {
            "Repeat" => repeats.push((desk.now - start).as_secs_f32()),
            end => {
                assert_eq!(end, "Ended BYE → Over");
                break;
            }
        }
    }
    assert_eq!(repeats[..5], [0.5, 1.5, 3.5, 7.5, 11.5]);
    assert_eq!(desk.now - start, Duration::from_secs(32));
    let over = desk.call.take_over().unwrap();
    assert_eq!((over.code, over.dialog.is_some()), (Some(408), true));
}

#[test]
fn ack_of_another_number_confirms_nothing() {
    let mut desk = Desk::answered();
    let ack = theirs("ACK", 5, "");
    assert_eq!(desk.act(|call, turn| call.handle_ack(&ack, turn)), "");
    assert_eq!(desk.state(), "Answered");
}

#[test]
fn late_offer_is_answered_in_the_ack() {
    let mut desk = Desk::called("");
    assert_eq!(desk.event(Do::Answer), "200 → Answered");
    assert_eq!(desk.event(Do::UpdateOffer), "491", "our offer is open");
    let ack = theirs("ACK", 1, &sdp(""));
    let did = desk.act(|call, turn| call.handle_ack(&ack, turn));
    assert_eq!((did.as_str(), desk.state()), ("Established", "Up"));

    let mut desk = Desk::called("");
    desk.event(Do::Answer);
    assert_eq!(
        desk.event(Do::Ack),
        "Ended BYE → Over",
        "no answer, no call"
    );
}

#[test]
fn wish_before_the_ack_is_asked_for_after_it() {
    let mut desk = Desk::answered();
    desk.event(Do::Direction);
    assert_eq!(desk.event(Do::Ack), "INVITE → Up");
}

/// A refusal of our re-INVITE.
fn refusal(code: u16, retry_after: Option<u32>) -> ChangeRefused {
    let invite = theirs("INVITE", 1, "");
    let after = retry_after.unwrap_or_default().to_string();
    let headers: &[_] = match retry_after {
        Some(_) => &[("Retry-After", after.as_str())],
        None => &[],
    };
    ChangeRefused::of(&response(&invite, code, headers))
}

fn refused(code: u16, retry_after: Option<u32>) -> (Desk, String) {
    let mut desk = Desk::up();
    desk.event(Do::Direction);
    let did = desk.act(|call, turn| call.handle_change_refused(&refusal(code, retry_after), turn));
    (desk, did)
}

#[test]
fn refused_change_by_its_status() {
    for (code, retry_after, did, waits) in [
        (491, None, "", Some(0..=2000)),
        (500, Some(3), "", Some(3000..=3000)),
        (503, Some(0), "", Some(0..=0)),
        (500, Some(11), "HoldFailed", None),
        (500, None, "HoldFailed", None),
        (488, None, "HoldFailed", None),
        (408, None, "Ended BYE", None),
        (481, None, "Ended BYE", None),
    ] {
        let (desk, found) = refused(code, retry_after);
        // A wait of nothing is over at once.
        let at_once = waits == Some(0..=0);
        let expected = if at_once { "INVITE" } else { did };
        assert_eq!(found, expected, "{code}");
        let wait = desk.call.deadline().map(|at| (at - desk.now).as_millis());
        match waits.filter(|_| !at_once) {
            Some(range) => assert!(range.contains(&wait.unwrap_or(0)), "{code}: {wait:?}"),
            None => assert_eq!(wait, None, "{code}"),
        }
    }
}

#[test]
fn deferred_change_gives_up_the_fourth_time() {
    let (mut desk, _) = refused(500, Some(1));
    for expected in ["", "", "HoldFailed"] {
        assert_eq!(desk.event(Do::Timeout), "INVITE");
        let did = desk.act(|call, turn| call.handle_change_refused(&refusal(500, Some(1)), turn));
        assert_eq!(did, expected);
    }
}

#[test]
fn change_under_way_refuses_theirs() {
    let mut desk = Desk::up();
    desk.event(Do::Direction);
    assert_eq!(desk.event(Do::Reinvite), "491");
    assert_eq!(desk.event(Do::UpdateOffer), "491");
    assert_eq!(desk.event(Do::Update), "200");
    assert_eq!(desk.event(Do::HangUp), "Ended CANCEL BYE → Over");
}

#[test]
fn their_change_under_way_holds_ours_until_the_ack() {
    let mut desk = Desk::up();
    desk.event(Do::Reinvite);
    assert_eq!(desk.event(Do::Reinvite), "491");
    assert_eq!(desk.event(Do::Direction), "");
    let ack = theirs("ACK", 2, "");
    assert_eq!(desk.act(|call, turn| call.handle_ack(&ack, turn)), "INVITE");
}

#[test]
fn requests_out_of_order_are_noticed() {
    let mut desk = Desk::up();
    let remote = "192.0.2.10:5060".parse().unwrap();
    let mut check = |cseq| {
        let request = theirs("INFO", cseq, "");
        desk.call.check_order(Flow::Udp { remote }, &request)
    };
    assert_eq!(check(5), (true, false));
    assert_eq!(check(4), (false, false));
    let hosts: Vec<String> = desk
        .call
        .signalling_hosts()
        .map(|ip| ip.to_string())
        .collect();
    assert_eq!(hosts, ["192.0.2.10", "192.0.2.9", "192.0.2.9"]);
}
