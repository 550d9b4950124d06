//! Stories of encryption: seen at the lamp, and heard where it is missing.

use super::*;

fn lamp(desk: &Desk) -> Vec<LampState> {
    desk.said
        .iter()
        .filter_map(|output| match output {
            Output::Lamp(Lamp::Encrypted, state) => Some(*state),
            _ => None,
        })
        .collect()
}

#[test]
fn the_lamp_follows_what_is_known() {
    let (mut desk, call) = Desk::talking("");
    assert_eq!(lamp(&desk), []);
    for (encryption, shown) in [
        (Encryption::Pending, LampState::Slow),
        (Encryption::Working, LampState::On),
        (Encryption::Missing, LampState::Fast),
        (Encryption::Unwanted, LampState::Off),
    ] {
        desk.hears(call, CallUpdate::Encryption(encryption));
        assert_eq!(lamp(&desk), [shown], "{encryption:?}");
    }
    desk.hears(call, CallUpdate::Encryption(Encryption::Working))
        .puts_down()
        .waits_ms(2000);
    assert_eq!(lamp(&desk), [LampState::Off]);
}

#[test]
fn missing_encryption_is_heard_once_and_noted() {
    let (mut desk, call) = Desk::talking("");
    desk.hears(call, CallUpdate::Encryption(Encryption::Missing));
    assert!(desk.noted("not encrypted"));
    assert_eq!(desk.tone, Some(Tone::Unprotected));
    assert_eq!(desk.connected, [call], "the call goes on under the tone");
    desk.waits_ms(WARNING.as_millis() as u64);
    assert_eq!(desk.tone, None);
    // The same again changes nothing.
    desk.hears(call, CallUpdate::Encryption(Encryption::Missing))
        .waits_ms(10);
    assert_eq!(desk.tone, None);
    // Gone again after it was there: it is.
    desk.hears(call, CallUpdate::Encryption(Encryption::Working));
    desk.hears(call, CallUpdate::Encryption(Encryption::Missing));
    assert_eq!(desk.tone, Some(Tone::Unprotected));
    desk.puts_down().waits_ms(2000);
    desk.rests();
}

#[test]
fn the_warning_is_heard_before_speaking() {
    let mut desk = Desk::ready("");
    let (call, _) = desk.lifts().presses("200#").placed();
    // No one is connected yet: the tone waits for the call.
    desk.hears(call, CallUpdate::Encryption(Encryption::Missing));
    assert_eq!(desk.tone, None);
    desk.hears(call, CallUpdate::Ringing);
    assert_eq!(desk.tone, Some(Tone::Ringback));
    desk.hears(call, CallUpdate::Answered);
    assert_eq!(desk.tone, Some(Tone::Unprotected));
    desk.waits_ms(600);
    assert_eq!(desk.tone, None);
    // A second call, clear too, says so for itself; the first does not say it again.
    let second = desk.rings("berta");
    desk.does(Input::Flash).waits_ms(1500);
    desk.hears(second, CallUpdate::Encryption(Encryption::Missing));
    assert_eq!(desk.tone, Some(Tone::Unprotected));
    desk.waits_ms(600).does(Input::Flash);
    assert_eq!(desk.tone, None);
}
