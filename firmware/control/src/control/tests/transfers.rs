//! Transfers that cannot be asked for.

use super::*;

#[test]
fn who_is_still_there_comes_back_where_the_other_call_is_over() {
    for held_is_over in [false, true] {
        let mut pair = Pair::new("", "");
        pair.talk();
        let call = pair.left.control.calls.iter().next().unwrap().id;
        let over = CallId(99);
        let (held, consulted) = if held_is_over {
            (over, call)
        } else {
            (call, over)
        };
        let now = pair.now;
        pair.left.control.transfer(held, consulted, now);
        pair.left.control.handle_timeout(now);
        pair.ms(200);
        let says = |event: &Value| {
            event["text"]
                .as_str()
                .is_some_and(|t| t.contains("comes back"))
        };
        assert!(pair.left.events.iter().any(says), "{held_is_over}");
        let status = pair.left.control.status(pair.now);
        assert_eq!(status.calls.len(), 1, "{held_is_over}");
        assert_eq!(
            status.calls[0].direction,
            crate::CallDirection::In,
            "it comes back like a caller"
        );
        assert_eq!(
            pair.right.control.state(),
            phone::State::Talking,
            "no one hung up on it: {held_is_over}"
        );
        pair.ask(true, &UserAction::HangUp);
        pair.ask(false, &UserAction::HangUp);
        pair.assert_quiet();
    }
}
