//! Two kamailios, one of which dies and comes back: where the phones are registered, where their
//! calls go, and how long that takes.
//!
//! Wall clock: real servers on real sockets; the limits are what an owner would accept.

use std::time::{Duration, Instant};

use serde_json::Value;

use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::kamailio::{Kamailio, KamailioSetup};
use testkit::process::TestDir;

const FIRST: &str = "127.0.0.11";
const SECOND: &str = "127.0.0.12";

struct Servers {
    first: Kamailio,
    second: Kamailio,
}

impl Servers {
    fn start(dir: &TestDir) -> Self {
        let start = |name: &str, address: &str| {
            let setup = KamailioSetup {
                name,
                address,
                // Keepalives close together, so that the test is short.
                flow_timer_s: Some(5),
                ..KamailioSetup::default()
            };
            Kamailio::start_as(dir, &setup)
        };
        Self {
            first: start("first", FIRST),
            second: start("second", SECOND),
        }
    }

    fn phone(&self, dir: &TestDir, user: &str, transport: &str) -> DeskPhone {
        let account = self
            .first
            .account(user, &format!("secret{user}"), transport);
        let more = format!(
            "{account}backup_servers = [\"{}\"]\nkeepalive = \"always\"\n",
            self.second.at()
        );
        let setup = Setup {
            bind: "127.0.0.1".into(),
            direct: Some(false),
            more,
            ..Setup::default()
        };
        DeskPhone::start(dir, user, setup)
    }
}

fn is_registered_at(status: &Value, server: &str) -> bool {
    let line = &status["lines"][0];
    let at = line["server"].as_str().unwrap_or_default();
    line["registered"] == true && at.contains(server)
}

/// Waits until a phone is registered at a server; how long that took.
fn registered_at(phone: &DeskPhone, server: &str, limit: Duration, since: Instant) -> Duration {
    let what = format!("registered at {server}");
    let left = limit.saturating_sub(since.elapsed());
    phone.wait(&what, left, |status| is_registered_at(status, server));
    since.elapsed()
}

/// One call, heard and ended; how long it took to ring.
fn call(caller: &DeskPhone, number: &str, called: &DeskPhone) -> Duration {
    caller.lift();
    caller.wait_state("dial_tone");
    caller.press(number);
    let dialled = Instant::now();
    called.wait_state("ringing");
    let rang = dialled.elapsed();
    called.lift();
    caller.wait_state("talking");
    caller.hang_up();
    caller.wait_state("idle");
    called.wait_state("congestion");
    called.hang_up();
    called.wait_state("idle");
    rang
}

#[test]
fn a_server_dies_and_its_phones_go_to_the_other_and_back() {
    let dir = TestDir::new("failover");
    let mut servers = Servers::start(&dir);
    let udp = servers.phone(&dir, "101", "udp");
    let tcp = servers.phone(&dir, "102", "tcp");
    let begun = Instant::now();
    for phone in [&udp, &tcp] {
        registered_at(phone, FIRST, Duration::from_secs(5), begun);
    }
    assert!(call(&udp, "102#", &tcp) < Duration::from_secs(1));

    // A connection says at once that its server is gone; over UDP the next question does.
    servers.first.stop();
    let died = Instant::now();
    let by_tcp = registered_at(&tcp, SECOND, Duration::from_secs(5), died);
    let by_udp = registered_at(&udp, SECOND, Duration::from_secs(20), died);
    println!("registered at the second server after {by_tcp:?} by TCP, {by_udp:?} by UDP");
    // Calls go where the registrations went, both ways, as if nothing had happened.
    for (from, number, to) in [(&udp, "102#", &tcp), (&tcp, "101#", &udp)] {
        let rang = call(from, number, to);
        assert!(
            rang < Duration::from_secs(1),
            "{number} rang after {rang:?}"
        );
    }

    servers.first.restart();
    let back = Instant::now();
    for phone in [&udp, &tcp] {
        let took = registered_at(phone, FIRST, Duration::from_secs(45), back);
        println!("registered at the first server again after {took:?}");
    }
    assert!(call(&tcp, "101#", &udp) < Duration::from_secs(1));
    for phone in [&udp, &tcp] {
        phone.assert_usable();
    }
}

#[test]
fn a_call_moves_the_registration_when_its_server_is_dead() {
    let dir = TestDir::new("failover-call");
    let mut servers = Servers::start(&dir);
    let (caller, called) = (
        servers.phone(&dir, "101", "udp"),
        servers.phone(&dir, "102", "tcp"),
    );
    let begun = Instant::now();
    registered_at(&caller, FIRST, Duration::from_secs(5), begun);
    registered_at(&called, FIRST, Duration::from_secs(5), begun);
    servers.first.stop();
    let died = Instant::now();
    registered_at(&called, SECOND, Duration::from_secs(5), died);
    // The caller has not noticed anything; its call must not wait until it has.
    let rang = call(&caller, "102#", &called);
    println!("the call rang after {rang:?}");
    assert!(rang < Duration::from_secs(5), "{rang:?}");
    registered_at(&caller, SECOND, Duration::from_secs(5), Instant::now());
}
