//! Stories of two calls in the hand, and of three at once.

use super::*;

/// The flash key; the hook only hangs up.
pub(super) const KEY: &str = "[call]\nflash = \"key\"\n";

impl Desk {
    /// Two calls: the first on hold, the second established and in the hand.
    fn with_two(toml: &str) -> (Self, CallId, CallId) {
        let (mut desk, first) = Self::talking(toml);
        let (second, _) = desk.does(Input::Flash).presses("201#").placed();
        desk.hears(second, CallUpdate::Answered);
        assert_eq!(desk.connected, [second]);
        (desk, first, second)
    }
}

#[test]
fn a_digit_after_the_flash_drops_swaps_or_connects() {
    // 1: the call heard before the flash ends.
    let (mut desk, first, second) = Desk::with_two(KEY);
    desk.does(Input::Flash);
    assert_eq!(desk.connected, [first], "swapped at once");
    assert!(desk.presses("1").said(&Output::End(second)));
    assert_eq!(desk.connected, [first]);
    // 2: swapped, no more; the next digit is DTMF.
    let (mut desk, first, _) = Desk::with_two(KEY);
    desk.does(Input::Flash).presses("2");
    assert_eq!(desk.connected, [first]);
    let dtmf = Output::Dtmf(first, Key::Digit(1), true);
    assert!(!desk.said(&Output::Dtmf(first, Key::Digit(2), true)));
    assert!(desk.presses("1").said(&dtmf));
    // Too late for a digit: it is DTMF.
    let (mut desk, first, _) = Desk::with_two(KEY);
    desk.does(Input::Flash).waits_ms(1600);
    assert!(
        desk.presses("1")
            .said(&Output::Dtmf(first, Key::Digit(1), true))
    );
    // 4: the two are connected with each other.
    let (mut desk, first, second) = Desk::with_two(KEY);
    desk.does(Input::Flash).presses("4");
    let handed = Output::Transfer {
        held: second,
        consulted: first,
    };
    assert!(desk.said(&handed), "{:?}", desk.said);
    assert_eq!(desk.tone, Some(Tone::Confirmation));
    desk.does(Input::HangUp).rests();
}

#[test]
fn three_talk_until_one_hangs_up() {
    for gone in [0, 1] {
        let (mut desk, first, second) = Desk::with_two(KEY);
        desk.does(Input::Flash).presses("3");
        assert_eq!(desk.connected, [first, second]);
        assert!(desk.said(&Output::Hold(second, false)));
        let (leaves, stays) = if gone == 0 {
            (first, second)
        } else {
            (second, first)
        };
        desk.ended(leaves, None);
        assert_eq!(
            (desk.state(), &desk.connected[..]),
            (State::Talking, &[stays][..])
        );
        assert_eq!(desk.tone, None);
        desk.ended(stays, None);
        assert_eq!(desk.state(), State::Congestion);
    }
    // Putting the handset down ends both.
    let (mut desk, first, second) = Desk::with_two(KEY);
    desk.does(Input::Flash).presses("3");
    desk.does(Input::HangUp);
    assert!(desk.said(&Output::End(first)) && desk.said(&Output::End(second)));
    desk.rests();
    // A flash makes two calls of them again.
    let (mut desk, first, second) = Desk::with_two(KEY);
    desk.does(Input::Flash).presses("3").does(Input::Flash);
    assert_eq!(desk.connected.len(), 1);
    let held = [first, second].map(|call| desk.phone.call_state(call) == Some(CallState::OnHold));
    assert_ne!(held[0], held[1]);
}

#[test]
fn without_the_menu_a_flash_connects_three_and_drops_the_last() {
    let us = "flash_menu = false\n";
    let (mut desk, first, second) = Desk::with_two(&format!("{KEY}{us}"));
    desk.does(Input::Flash);
    assert_eq!(desk.connected, [first, second]);
    desk.does(Input::Flash);
    assert!(desk.said(&Output::End(second)));
    assert_eq!(desk.connected, [first]);
    // A caller who waited is no consultation: swapped.
    let (mut desk, first) = Desk::talking(&format!("{KEY}{us}"));
    let second = desk.rings("anna");
    desk.does(Input::Flash);
    assert_eq!(desk.connected, [second], "answered at once");
    desk.does(Input::Flash);
    assert_eq!(desk.connected, [first]);
}

#[test]
fn a_waiting_caller_is_refused_or_answered() {
    let waiting = || {
        let (mut desk, first) = Desk::talking(KEY);
        let second = desk.rings("anna");
        assert_eq!(desk.tone, Some(Tone::CallWaiting));
        desk.does(Input::Flash);
        assert_eq!(desk.connected, [first], "not before the digit");
        (desk, first, second)
    };
    let (mut desk, first, second) = waiting();
    assert!(desk.presses("0").said(&Output::Reject(second, 486)));
    assert_eq!((desk.tone, &desk.connected[..]), (None, &[first][..]));
    let (mut desk, first, second) = waiting();
    assert!(desk.presses("1").said(&Output::End(first)));
    assert_eq!(desk.connected, [second]);
    let (mut desk, first, second) = waiting();
    assert!(desk.presses("2").said(&Output::Hold(first, true)));
    assert_eq!(desk.connected, [second]);
    let (mut desk, first, second) = waiting();
    desk.waits_ms(1510);
    assert_eq!(desk.connected, [second], "answered without a digit");
    assert_eq!(desk.phone.call_state(first), Some(CallState::OnHold));
    // Gone before the digit.
    let (mut desk, first, second) = waiting();
    desk.ended(second, None).waits_ms(2000);
    assert_eq!(desk.connected, [first]);
}
