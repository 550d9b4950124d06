//! Phones behind a router that translates addresses and forgets the way back, at Debian's kamailio.
//!
//! ```text
//! home: phones 101, 102 ─ eth0 ══ lan0 ─ router ─ wan0 ══ eth0 ─ outside: kamailio, phone 103
//!                                  (masquerade)
//! ```
//!
//! Each mapping has a random port (`--random-fully`), and nothing comes in that no mapping is there
//! for: the router of most homes.
//!
//! Wall clock: the router forgets by the kernel's clock. `make test` has mappings of a few seconds,
//! and kamailio asks for keepalives to match (Flow-Timer); `make test-long` has those of thirty
//! seconds that routers have, with the phone's own keepalives.

use std::time::{Duration, Instant};

use offhook_tests::desk_phone::{DeskPhone, Setup, binary};
use offhook_tests::kamailio::{Kamailio, KamailioSetup};
use offhook_tests::speech::{Speaker, assert_heard, speech};
use testkit::namespace::Namespace;
use testkit::process::TestDir;

/// The router's outer address.
const ROUTER: &str = "203.0.113.1";
const SERVER: &str = "203.0.113.9";
const CALLER: &str = "203.0.113.30";

/// How long the router remembers, and what follows from it.
struct Pace {
    mapping_s: u32,
    flow_timer_s: Option<u32>,
    /// Until the phone has noticed that the router forgot everything.
    repaired: Duration,
}

impl Pace {
    fn get() -> Self {
        if std::env::var_os("OFFHOOK_REAL_NAT").is_some() {
            // Every third keepalive, of 27 s at most, asks for an answer.
            return Self {
                mapping_s: 30,
                flow_timer_s: None,
                repaired: Duration::from_secs(90),
            };
        }
        Self {
            mapping_s: 7,
            flow_timer_s: Some(5),
            repaired: Duration::from_secs(20),
        }
    }
}

struct Networks {
    home: Namespace,
    router: Namespace,
    outside: Namespace,
}

impl Networks {
    /// None, and said so, where the machine allows none.
    fn lay(test: &str, mapping_s: u32) -> Option<Self> {
        let skip = |why: &str| testkit::skipped(test, why);
        let all = (Namespace::new(), Namespace::new(), Namespace::new());
        let (Some(home), Some(router), Some(outside)) = all else {
            skip("no network namespaces here");
            return None;
        };
        home.cable("eth0", &router, "lan0");
        outside.cable("eth0", &router, "wan0");
        home.ip("addr add 10.1.0.20/24 dev eth0");
        router.ip("addr add 10.1.0.1/24 dev lan0");
        router.ip(&format!("addr add {ROUTER}/24 dev wan0"));
        outside.ip(&format!("addr add {SERVER}/24 dev eth0"));
        outside.ip(&format!("addr add {CALLER}/24 dev eth0"));
        home.ip("route add default via 10.1.0.1");
        router.sysctl("net/ipv4/ip_forward", "1");
        let networks = Self {
            home,
            router,
            outside,
        };
        let rules = [
            "-t nat -A POSTROUTING -o wan0 -j MASQUERADE --random-fully",
            "-A INPUT -i wan0 -j DROP",
            "-A FORWARD -i wan0 -m conntrack ! --ctstate ESTABLISHED,RELATED -j DROP",
        ];
        for rule in rules {
            let rule = rule.split_ascii_whitespace();
            let done = networks.router.command("iptables").args(rule).output();
            if let Some(why) = failure(&done) {
                skip(&format!("this kernel translates no addresses: {why}"));
                return None;
            }
        }
        for timeout in [
            "nf_conntrack_udp_timeout",
            "nf_conntrack_udp_timeout_stream",
        ] {
            let name = format!("net/netfilter/{timeout}");
            networks.router.sysctl(&name, &mapping_s.to_string());
        }
        Some(networks)
    }

    /// The router restarts: every mapping is gone.
    fn forget(&self) {
        let mut conntrack = self.router.command("conntrack");
        let done = conntrack.arg("-F").output();
        assert_eq!(failure(&done), None);
    }

    fn phone(&self, dir: &TestDir, name: &str, setup: Setup) -> DeskPhone {
        let namespace = match name {
            "caller" => &self.outside,
            _ => &self.home,
        };
        DeskPhone::start(
            dir,
            name,
            Setup {
                command: Some(namespace.command(binary())),
                direct: Some(false),
                ..setup
            },
        )
    }
}

/// Why a program did not do what it should.
fn failure(done: &std::io::Result<std::process::Output>) -> Option<String> {
    match done {
        Ok(done) if done.status.success() => None,
        Ok(done) => Some(String::from_utf8_lossy(&done.stderr).into_owned()),
        Err(error) => Some(error.to_string()),
    }
}

fn account(kamailio: &Kamailio, user: &str, more: &str) -> String {
    let account = kamailio.account(user, &format!("secret{user}"), "udp");
    format!(
        "{}{more}",
        account.replace("expires_s = 60", "expires_s = 600")
    )
}

fn registered(phone: &DeskPhone) {
    phone.wait("registered", Duration::from_secs(10), |status| {
        status["lines"][0]["registered"] == true
    });
}

/// Whether a call from outside makes a phone ring within two seconds. The call is left ringing.
fn rings(caller: &DeskPhone, number: &str, phone: &DeskPhone) -> bool {
    caller.lift();
    caller.wait_state("dial_tone");
    caller.press(number);
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        if phone.state() == "ringing" {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

#[test]
fn calls_arrive_through_a_router_that_forgets() {
    let pace = Pace::get();
    let test = "calls_arrive_through_a_router_that_forgets";
    let Some(networks) = Networks::lay(test, pace.mapping_s) else {
        return;
    };
    let dir = TestDir::new("nat");
    let setup = KamailioSetup {
        address: SERVER,
        namespace: Some(&networks.outside),
        max_expires_s: 600,
        flow_timer_s: pace.flow_timer_s,
        ..KamailioSetup::default()
    };
    let kamailio = Kamailio::start_as(&dir, &setup);
    let alice = speech(&dir, Speaker::Alice, 16000, 1);
    let bob = speech(&dir, Speaker::Bob, 16000, 1);
    let desk = networks.phone(
        &dir,
        "desk",
        Setup {
            bind: "::".into(),
            microphone: Some(alice.clone()),
            more: account(&kamailio, "101", ""),
            ..Setup::default()
        },
    );
    let control = networks.phone(
        &dir,
        "control",
        Setup {
            bind: "::".into(),
            more: account(&kamailio, "102", "keepalive = \"off\"\n"),
            ..Setup::default()
        },
    );
    let caller = networks.phone(
        &dir,
        "caller",
        Setup {
            bind: CALLER.into(),
            microphone: Some(bob.clone()),
            more: account(&kamailio, "103", ""),
            ..Setup::default()
        },
    );
    for phone in [&desk, &control, &caller] {
        registered(phone);
    }
    std::thread::sleep(Duration::from_secs(u64::from(pace.mapping_s) + 2));

    // Both say they are registered; only the one that keeps the way open can be called.
    registered(&control);
    assert!(
        !rings(&caller, "102#", &control),
        "without keepalives the router should have forgotten the way: this test shows nothing"
    );
    caller.hang_up();
    caller.wait_state("idle");
    assert!(rings(&caller, "101#", &desk), "{:#}", desk.status());
    desk.lift();
    desk.wait_state("talking");
    caller.wait_state("talking");
    std::thread::sleep(Duration::from_secs(5));
    let (ear_of_desk, ear_of_caller) = (desk.ear_now(), caller.ear_now());
    caller.hang_up();
    desk.wait_state("congestion");
    desk.hang_up();
    desk.wait_state("idle");
    assert_heard(&dir, "from behind the router", &alice, &ear_of_caller);
    assert_heard(&dir, "to behind the router", &bob, &ear_of_desk);

    // The router restarts. The phone notices by itself, and is registered by its new way.
    networks.forget();
    let forgotten = Instant::now();
    assert!(!rings(&caller, "101#", &desk), "the router kept the way");
    caller.hang_up();
    caller.wait_state("idle");
    loop {
        let is_ringing = rings(&caller, "101#", &desk);
        if is_ringing {
            break;
        }
        let waited = forgotten.elapsed();
        assert!(
            waited < pace.repaired,
            "the new way was not noticed within {waited:?}: {:#}",
            desk.status()
        );
        caller.hang_up();
        caller.wait_state("idle");
    }
    println!("the new way was noticed after {:?}", forgotten.elapsed());
    caller.hang_up();
    desk.wait_state("idle");
    desk.assert_usable();
}
