//! The table of calls: what it refuses, and what concerns two of them.

use std::time::Duration;

use super::*;
use crate::action::Reply;
use crate::api::{InviteError, InviteOptions, TransferError};
use crate::env::tests::{account, media, request, with_accounts};
use crate::transfer::ReferOrder;

fn shared() -> Shared {
    let accounts = vec![account("101", "192.0.2.50", "secret")];
    Shared::new(with_accounts(accounts), crate::timer::epoch())
}

fn dial(calls: &mut Calls, shared: &mut Shared, options: InviteOptions) -> CallHandle {
    let now = crate::timer::epoch();
    calls.place(dialled("bob", options), shared, now).unwrap().0
}

fn dialled(target: &str, options: InviteOptions) -> Dialled<'_> {
    Dialled {
        account: Some(0),
        target,
        media: media(),
        order: ReferOrder::default(),
        options,
    }
}

fn invite(extra: &str) -> Request {
    request(&format!(
        "INVITE sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n\
         From: <sip:p@192.0.2.9>;tag=p\r\nTo: <sip:a@192.0.2.1>\r\nCall-ID: c\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:p@192.0.2.9>\r\n{extra}\r\n"
    ))
}

fn far() -> Flow {
    Flow::Udp {
        remote: "192.0.2.9:5060".parse().unwrap(),
    }
}

#[test]
fn the_table_is_bounded_both_ways() {
    let (mut calls, mut shared) = (Calls::new(), shared());
    for _ in 0..MAX_CALLS {
        dial(&mut calls, &mut shared, InviteOptions::default());
    }
    assert_eq!(calls.len(), MAX_CALLS);
    let now = crate::timer::epoch();
    let more = calls.place(dialled("bob", InviteOptions::default()), &mut shared, now);
    assert_eq!(more.map(|_| ()), Err(InviteError::TooManyCalls));
    let refused = calls.check_invite(None, &invite(""), far(), &shared);
    assert_eq!(refused.map_err(|reply| reply.code), Err(486));
}

#[test]
fn an_invite_that_replaces_no_call_is_refused() {
    let (calls, shared) = (Calls::new(), shared());
    let check = |extra: &str| {
        let checked = calls.check_invite(None, &invite(extra), far(), &shared);
        checked.map_err(|reply: Reply| reply.code)
    };
    assert_eq!(check(""), Ok(None));
    let replaces = "Replaces: nothing;to-tag=1;from-tag=2\r\n";
    assert_eq!(check(replaces), Err(481));
}

#[test]
fn only_an_emergency_call_hurries_its_servers() {
    let (mut calls, mut shared) = (Calls::new(), shared());
    let plain = dial(&mut calls, &mut shared, InviteOptions::default());
    let emergency = InviteOptions {
        is_emergency: true,
        has_other_ways: true,
        ..InviteOptions::default()
    };
    let urgent = dial(&mut calls, &mut shared, emergency);
    assert!(calls.urgency(Purpose::Invite(plain)).is_none());
    let urgency = calls.urgency(Purpose::Invite(urgent)).unwrap();
    assert_eq!(urgency.each, Duration::from_millis(1500));
    assert_eq!(urgency.last, Some(Duration::from_millis(1500)));
    // Only its INVITE.
    assert!(calls.urgency(Purpose::InDialog(urgent)).is_none());
}

#[test]
fn a_call_that_is_over_leaves_the_table_and_its_deadline() {
    let (mut calls, mut shared) = (Calls::new(), shared());
    let before = shared.deadlines.len();
    let call = dial(&mut calls, &mut shared, InviteOptions::default());
    let now = crate::timer::epoch();
    let nothing = calls.turn(call, &mut shared.env, now, |_, _| {});
    assert_eq!(nothing.map(|actions| actions.len()), Some(0));
    assert_eq!(calls.after_turn(call, &mut shared), AfterTurn::GoesOn);
    let failed = calls.turn(call, &mut shared.env, now, |call, turn| {
        let failure = crate::requests::Failure {
            purpose: Purpose::None,
            code: 486,
            reason: "busy".into(),
            refused: false,
        };
        call.handle_invite_failure(&failure, turn);
    });
    assert!(failed.is_some());
    let over = AfterTurn::Over { last: None };
    assert_eq!(calls.after_turn(call, &mut shared), over);
    assert_eq!((calls.len(), calls.dialog_count()), (0, 0));
    assert_eq!(shared.deadlines.len(), before);
    // Nothing happens to it any more.
    assert!(calls.turn(call, &mut shared.env, now, |_, _| {}).is_none());
    assert_eq!(calls.after_turn(call, &mut shared), AfterTurn::GoesOn);
    assert_eq!(calls.peer_checked(call, 200), None);
}

#[test]
fn a_transfer_needs_two_calls_and_an_established_one() {
    let (mut calls, mut shared) = (Calls::new(), shared());
    let (one, two) = (
        dial(&mut calls, &mut shared, InviteOptions::default()),
        dial(&mut calls, &mut shared, InviteOptions::default()),
    );
    let now = crate::timer::epoch();
    for (held, consulted) in [(one, one), (one, two), (one, CallHandle(99))] {
        let plan = calls.plan_transfer(held, consulted, now);
        assert_eq!(plan.map(|_| ()), Err(TransferError::NoCall));
    }
    let blind = calls.blind_target(one, "bob", &shared);
    assert_eq!(blind, Err(TransferError::NoCall));
    let refer = calls.take_refer(one).map(|_| ());
    assert_eq!(refer, Err(InviteError::NotAsked));
}

#[test]
fn the_contact_changes_for_the_calls_of_the_account_alone() {
    let (mut calls, mut shared) = (Calls::new(), shared());
    let by_account = dial(&mut calls, &mut shared, InviteOptions::default());
    let direct = Dialled {
        account: None,
        ..dialled("sip:bob@192.0.2.9", InviteOptions::default())
    };
    let now = crate::timer::epoch();
    let (direct, _) = calls.place(direct, &mut shared, now).unwrap();
    let moved = |by| -> Vec<CallHandle> {
        let moved = calls.moved(by, &shared);
        moved.into_iter().map(|(handle, _)| handle).collect()
    };
    assert_eq!(moved(Some(0)), [by_account]);
    assert_eq!(moved(None), [by_account, direct]);
}
