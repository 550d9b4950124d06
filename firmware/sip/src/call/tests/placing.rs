//! A call that is placed: its branches, refusals and redirections; and the calls it may become.

use super::*;

#[test]
fn open_refer_is_refused_when_the_call_ends() {
    let mut desk = Desk::up();
    desk.event(Do::Refer);
    assert_eq!(desk.event(Do::Refer), "491");
    assert_eq!(desk.event(Do::Bye), "200 Ended 603 → Over");
    assert!(desk.call.take_refer().is_none());
}

#[test]
fn forked_call_keeps_the_branch_that_answers() {
    let mut desk = Desk::calling();
    assert_eq!(desk.invite_response(183, "one", &sdp("")), "Progress");
    assert_eq!(desk.invite_response(180, "two", ""), "Progress");
    assert_eq!(desk.call.dialog_count(), 2);
    let did = desk.invite_response(200, "two", &sdp(""));
    assert_eq!(did, "Established Notify(200)");
    assert_eq!((desk.state(), desk.call.dialog_count()), ("Up", 1));
    assert_eq!(desk.call.dialog().unwrap().remote_tag(), "two");
}

#[test]
fn early_answer_serves_where_the_200_has_none() {
    let mut desk = Desk::calling();
    desk.invite_response(183, "one", &sdp(""));
    assert_eq!(
        desk.invite_response(200, "one", ""),
        "Established Notify(200)"
    );
    let mut desk = Desk::calling();
    desk.invite_response(180, "one", "");
    assert_eq!(desk.invite_response(200, "one", ""), "Ended BYE");
}

#[test]
fn refused_invite_by_its_status() {
    for (code, did) in [
        (486, "Ended"),
        (603, "Ended"),
        (404, "Ended"),
        (302, "Redirect"),
    ] {
        let mut desk = Desk::calling();
        assert_eq!(desk.invite_response(code, "one", ""), did, "{code}");
    }
}

#[test]
fn redirection_to_the_same_address_is_followed_once() {
    let mut desk = Desk::calling();
    assert_eq!(desk.invite_response(302, "one", ""), "Redirect");
    let did = desk.act(|call, turn| call.decide_redirection(true, turn));
    assert_eq!(did, "Again(true)");
    assert_eq!(desk.invite_response(302, "one", ""), "Ended");
}

#[test]
fn transfer_target_depends_on_the_state() {
    let target = |desk: Desk| {
        let target = desk.call.transfer_target();
        target.map(|target| (target.uri.to_string().contains("Replaces"), target.answered))
    };
    assert_eq!(target(Desk::calling()), Some((false, false)));
    assert_eq!(target(Desk::ringing()), None);
    assert_eq!(target(Desk::answered()), None);
    assert_eq!(target(Desk::up()), Some((true, true)));
    assert_eq!(target(Desk::leaving()), None);
    assert_eq!(target(Desk::transferring()), None);
}

#[test]
fn replacing_depends_on_the_state() {
    let check = |mut desk: Desk, early_only| {
        if desk.call.is_calling() {
            desk.invite_response(180, "one", "");
        }
        let ids = DialogIds::of(desk.call.dialogs().next().unwrap());
        assert!(desk.call.is_named_by(&ids));
        assert_eq!(
            desk.call.check_replaced(&ids, Some(3), false, early_only),
            Err(403),
            "by another account"
        );
        desk.call.check_replaced(&ids, None, false, early_only)
    };
    assert_eq!(check(Desk::calling(), true), Ok(()));
    assert_eq!(check(Desk::ringing(), false), Err(481));
    assert_eq!(check(Desk::answered(), false), Ok(()));
    assert_eq!(check(Desk::up(), false), Ok(()));
    assert_eq!(check(Desk::up(), true), Err(486));
    assert_eq!(check(Desk::leaving(), false), Err(603));
    assert_eq!(check(Desk::transferring(), false), Err(603));
}
