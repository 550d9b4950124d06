//! Two hundred phones at Debian's kamailio, which restarts and has forgotten them all.
//!
//! Wall clock: a real server. It takes a minute, as long as the phones have to come back, and runs
//! by `make test-long`; the same in virtual time is in the tests of `sip`.

use std::time::{Duration, Instant};

use offhook_tests::fleet::Fleet;
use offhook_tests::kamailio::Kamailio;
use testkit::process::TestDir;

const PHONES: usize = 200;

#[test]
fn two_hundred_phones_are_back_a_minute_after_a_restart() {
    let dir = TestDir::new("fleet");
    let mut kamailio = Kamailio::start(&dir, "MD5");
    let begun = Instant::now();
    let mut fleet = Fleet::new(PHONES, &kamailio.at());
    assert!(
        fleet.run_until_registered(begun, Duration::from_secs(20)),
        "{} of {PHONES} registered",
        fleet.registered_since(begun)
    );
    println!("all registered after {:?}", begun.elapsed());
    kamailio.stop();
    fleet.run(Duration::from_secs(10));
    kamailio.restart();
    let back = fleet.come_back(Duration::from_secs(60));
    println!("{back:?}");
    let back = back.expect("all are back within a minute");
    // Two messages a phone, the question and the answer to the challenge; not all in one second.
    assert!(back.peak_per_second <= PHONES / 2, "{back:?}");
}
