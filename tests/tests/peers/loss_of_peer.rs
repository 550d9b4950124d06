//! The far end dies in mid-call: the phone notices or not, but the next lift gives dial tone.

use std::time::Duration;

use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::null_sink::NullSink;
use offhook_tests::speech::{Speaker, speech};
use testkit::process::TestDir;

use crate::baresip::Baresip;

#[test]
fn the_peer_is_killed_in_mid_call() {
    let dir = TestDir::new("killed-peer");
    let sound = NullSink::start(&dir);
    let bob = speech(&dir, Speaker::Bob, 8000, 1);
    let mut baresip = Baresip::start(&dir, "PCMU/8000/1", &bob, &sound);
    let desk = DeskPhone::start(
        &dir,
        "desk",
        Setup {
            speed: baresip.speed_dial(),
            ..Setup::default()
        },
    );
    baresip.establish(&desk, false);
    std::thread::sleep(Duration::from_secs(1));
    baresip.kill();
    std::thread::sleep(Duration::from_secs(1));
    desk.hang_up();
    desk.wait_state("idle");
    desk.assert_usable();
    // and calling the dead peer gives a tone, not silence
    desk.lift();
    desk.wait_state("dial_tone");
    desk.press("1#");
    desk.wait("congestion tone", Duration::from_secs(40), |status| {
        status["state"] == "congestion" && status["tone"] == "congestion"
    });
    desk.assert_usable();
}
