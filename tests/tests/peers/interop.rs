//! What phones of other makers do with the extensions that calls do without: transfer, hold,
//! session timers. By `make test-long`: timers take their time.
//!
//! Wall clock: the peers are real programs, and a session timer's shortest interval is 90 s.

mod baresip;
mod gnome;
mod linphone;

use std::time::Duration;

use offhook_tests::desk_phone::DeskPhone;

/// Lines of `[call]` of a phone that wants each call refreshed as soon as RFC 4028 allows.
const TIMER: &str = "session_timer = \"always\"\nsession_timer_s = 90\n\
                     transfer_on_hangup = true\n";

/// Long enough for a refresh, at 45 s, and for the end of a session of 90 s without one: after
/// 60 s, by RFC 4028 section 10.
const SESSION: Duration = Duration::from_secs(72);

/// These phones talk for a session and longer; sound comes to each of them at the end.
fn talk_on(phones: &[&DeskPhone]) {
    let end = std::time::Instant::now() + SESSION;
    while std::time::Instant::now() < end {
        for phone in phones {
            assert_eq!(phone.state(), "talking", "{}", phone.log());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    for phone in phones {
        phone.hears(Duration::from_secs(8));
    }
}

/// A call that rings at a phone is answered there.
fn answer(phone: &DeskPhone) {
    phone.wait_state("ringing");
    phone.lift();
    phone.wait_state("talking");
}

/// The one call of a phone has another far end than before.
fn talks_with(phone: &DeskPhone, far: &str) {
    phone.wait(
        &format!("a call with {far}"),
        Duration::from_secs(8),
        |status| {
            let calls = status["calls"].as_array();
            status["calls"][0]["peer"] == *far && calls.map(Vec::len) == Some(1)
        },
    );
    phone.hears(Duration::from_secs(8));
}
