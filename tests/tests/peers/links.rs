//! The phone and its network: cables pulled and plugged, addresses that change, two families, names
//! of the link, name servers that ignore questions. Each test lays its own cables between network
//! namespaces.
//!
//! Wall clock: processes on real sockets; the limits are what an owner would accept.

mod names;
mod storms;

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use offhook_tests::desk_phone::{DeskPhone, Setup, binary};
use testkit::namespace::Namespace;
use testkit::process::TestDir;

/// A REGISTER as it came: when, from where, with which Contact and Via.
#[derive(Debug, Clone)]
struct Register {
    at: Instant,
    from: SocketAddr,
    contact: String,
    /// A contact it takes away.
    stale: Option<String>,
    via: String,
}

/// A registrar that accepts everything, in a namespace of its own.
struct Registrar {
    seen: Arc<Mutex<Vec<Register>>>,
}

fn header<'a>(message: &'a str, name: &str) -> Vec<&'a str> {
    message
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .collect()
}

impl Registrar {
    fn start(namespace: &Namespace, bind: &str) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let registrar = Self {
            seen: Arc::clone(&seen),
        };
        let bind: SocketAddr = bind.parse().unwrap();
        std::thread::scope(|scope| {
            let opened = scope.spawn(|| {
                namespace.enter();
                UdpSocket::bind(bind).unwrap()
            });
            let socket = opened.join().unwrap();
            std::thread::spawn(move || serve(&socket, &seen));
        });
        registrar
    }

    fn seen(&self) -> Vec<Register> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits for a REGISTER that came after `since` and satisfies `wanted`.
    fn wait(
        &self,
        what: &str,
        since: Instant,
        limit: Duration,
        wanted: impl Fn(&Register) -> bool,
    ) -> Register {
        let end = Instant::now() + limit;
        loop {
            let seen = self.seen();
            let found = seen
                .iter()
                .find(|register| register.at > since && wanted(register));
            if let Some(found) = found {
                return found.clone();
            }
            assert!(Instant::now() < end, "{what}: {seen:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn serve(socket: &UdpSocket, seen: &Mutex<Vec<Register>>) {
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let Ok(text) = std::str::from_utf8(&buffer[..length]) else {
            continue;
        };
        if !text.starts_with("REGISTER ") {
            continue;
        }
        let one = |name| {
            header(text, name)
                .first()
                .copied()
                .unwrap_or_default()
                .to_owned()
        };
        let mut contacts = header(text, "Contact");
        let contact = contacts.pop().unwrap_or_default().to_owned();
        let (via, stale) = (one("Via"), contacts.pop().map(str::to_owned));
        seen.lock().unwrap().push(Register {
            at: Instant::now(),
            from,
            contact: contact.clone(),
            stale,
            via: via.clone(),
        });
        let via = via.replace(";rport", &format!(";rport={}", from.port()));
        let reply = format!(
            "SIP/2.0 200 OK\r\nVia: {via};received={}\r\nFrom: {}\r\nTo: {};tag=r\r\n\
             Call-ID: {}\r\nCSeq: {}\r\n\
             Contact: {contact}\r\nContent-Length: 0\r\n\r\n",
            from.ip(),
            one("From"),
            one("To"),
            one("Call-ID"),
            one("CSeq"),
        );
        socket.send_to(reply.as_bytes(), from).ok();
    }
}

fn account(domain: &str) -> String {
    format!(
        "[[account]]\nuser = \"101\"\ndomain = \"{domain}\"\npassword = \"x\"\nexpires_s = 60\n"
    )
}

fn phone(dir: &TestDir, name: &str, namespace: &Namespace, more: String) -> DeskPhone {
    DeskPhone::start(
        dir,
        name,
        Setup {
            bind: "::".into(),
            command: Some(namespace.command(binary())),
            more,
            ..Setup::default()
        },
    )
}

/// Two namespaces; skipped where the machine allows none.
fn two(test: &str) -> Option<(Namespace, Namespace)> {
    let pair = Namespace::new().zip(Namespace::new());
    if pair.is_none() {
        testkit::skipped(test, "no network namespaces here");
    }
    pair
}

fn registered(phone: &DeskPhone) {
    phone.wait("registered", Duration::from_secs(10), |status| {
        status["lines"][0]["registered"] == true
    });
}

#[test]
fn a_pulled_cable_is_said_and_plugging_it_registers_at_once() {
    let Some((desk, lan)) = two("a_pulled_cable_is_said_and_plugging_it_registers_at_once") else {
        return;
    };
    desk.cable("eth0", &lan, "lan0");
    desk.ip("addr add 10.1.0.20/24 dev eth0");
    lan.ip("addr add 10.1.0.1/24 dev lan0");
    let registrar = Registrar::start(&lan, "10.1.0.1:5060");
    let dir = TestDir::new("pulled-cable");
    let phone = phone(&dir, "desk", &desk, account("10.1.0.1"));
    registered(&phone);

    lan.ip("link set lan0 down");
    // The kernel itself reports the loss of a carrier up to a second late (its link watch).
    let status = phone.wait("the cable is out", Duration::from_secs(2), |status| {
        status["network"].is_string()
    });
    let network = status["network"].as_str().unwrap();
    assert!(
        network.contains("the cable is out") && network.contains("eth0"),
        "{network}"
    );
    phone.lift();
    phone.wait_state("dial_tone");
    phone.hang_up();
    std::thread::sleep(Duration::from_secs(3));

    let plugged = Instant::now();
    lan.ip("link set lan0 up");
    let limit = Duration::from_secs(3);
    registrar.wait("REGISTER after link-up", plugged, limit, |_| true);
    phone.wait("the network is back", limit, |status| {
        status["network"].is_null() && status["lines"][0]["registered"] == true
    });
    for register in registrar.seen() {
        assert!(
            register.contact.contains("@10.1.0.20:") && !register.contact.contains("127.0.0.1"),
            "{register:?}"
        );
    }
}

#[test]
fn a_new_address_is_registered_and_the_old_one_is_not_kept() {
    let Some((desk, lan)) = two("a_new_address_is_registered_and_the_old_one_is_not_kept") else {
        return;
    };
    desk.cable("eth0", &lan, "lan0");
    desk.ip("addr add 10.1.0.20/24 dev eth0");
    lan.ip("addr add 10.1.0.1/24 dev lan0");
    let registrar = Registrar::start(&lan, "10.1.0.1:5060");
    let dir = TestDir::new("new-address");
    let phone = phone(&dir, "desk", &desk, account("10.1.0.1"));
    registered(&phone);
    let changed = Instant::now();
    desk.ip("addr add 10.1.0.77/24 dev eth0");
    desk.ip("addr del 10.1.0.20/24 dev eth0");
    // The kernel removes secondary addresses of the network with the first one.
    desk.command("ip")
        .args(["addr", "add", "10.1.0.77/24", "dev", "eth0"])
        .status()
        .unwrap();
    let limit = Duration::from_secs(3);
    let register = registrar.wait("REGISTER of the new address", changed, limit, |register| {
        register.contact.contains("@10.1.0.77:")
    });
    assert!(register.via.contains("10.1.0.77"), "{register:?}");
    phone.assert_usable();
}

/// A desk with a cable and Wi-Fi, both up, and a registrar that both lead to.
fn two_ways(test: &str) -> Option<(Namespace, Namespace, Registrar)> {
    let (desk, lan) = two(test)?;
    desk.cable("eth0", &lan, "lan0");
    desk.cable("wlan0", &lan, "air0");
    desk.ip("addr add 10.1.0.20/24 dev eth0");
    desk.ip("addr add 10.2.0.20/24 dev wlan0");
    lan.ip("addr add 10.1.0.1/24 dev lan0");
    lan.ip("addr add 10.2.0.1/24 dev air0");
    lan.ip("addr add 10.9.0.1/32 dev lo");
    desk.ip("route add default via 10.1.0.1 metric 10");
    desk.ip("route add default via 10.2.0.1 metric 20");
    let registrar = Registrar::start(&lan, "10.9.0.1:5060");
    Some((desk, lan, registrar))
}

#[test]
fn the_phone_roams_from_one_network_to_another() {
    let Some((desk, _lan, registrar)) = two_ways("the_phone_roams_from_one_network_to_another")
    else {
        return;
    };
    let dir = TestDir::new("roaming");
    let phone = phone(&dir, "desk", &desk, account("10.9.0.1"));
    registered(&phone);
    assert!(registrar.seen()[0].contact.contains("@10.1.0.20:"));
    let pulled = Instant::now();
    desk.ip("link set eth0 down");
    let limit = Duration::from_secs(3);
    registrar.wait("REGISTER by the other network", pulled, limit, |register| {
        register.contact.contains("@10.2.0.20:") && register.from.ip().to_string() == "10.2.0.20"
    });
    let status = phone.status();
    assert!(status["network"].is_null(), "{status:#}");
}

/// Sends a request to the phone out of a namespace and returns its final response.
fn ask(namespace: &Namespace, from: &str, to: SocketAddr, request: &str) -> String {
    let from: SocketAddr = from.parse().unwrap();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            namespace.enter();
            let socket = UdpSocket::bind(from).unwrap();
            let limit = Duration::from_secs(5);
            socket.set_read_timeout(Some(limit)).unwrap();
            let here = socket.local_addr().unwrap();
            let request = request.replace("HERE", &here.to_string());
            socket.send_to(request.as_bytes(), to).unwrap();
            let mut buffer = [0; 4096];
            loop {
                let (length, _) = socket.recv_from(&mut buffer).unwrap();
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if !text.starts_with("SIP/2.0 1") {
                    return text;
                }
            }
        });
        asking.join().unwrap()
    })
}

fn invite(to: SocketAddr, connection: &str) -> String {
    let sdp = format!(
        "v=0\r\no=- 1 1 IN {connection}\r\ns=-\r\nc=IN {connection}\r\nt=0 0\r\n\
         m=audio 40000 RTP/AVP 0\r\n"
    );
    format!(
        "INVITE sip:desk@{to} SIP/2.0\r\nVia: SIP/2.0/UDP HERE;branch=z9hG4bK{}\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:peer@HERE>;tag=1\r\nTo: <sip:desk@{to}>\r\nCall-ID: {}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:peer@HERE>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n\
         {sdp}",
        sdp.len(),
        connection.replace(' ', ""),
        sdp.len()
    )
}

#[test]
fn one_phone_speaks_both_families_each_with_its_address() {
    let Some((desk, lan)) = two("one_phone_speaks_both_families_each_with_its_address") else {
        return;
    };
    desk.cable("eth0", &lan, "lan0");
    desk.ip("addr add 10.1.0.20/24 dev eth0");
    desk.ip("addr add fd00:1::20/64 dev eth0 nodad");
    lan.ip("addr add 10.1.0.1/24 dev lan0");
    lan.ip("addr add fd00:1::1/64 dev lan0 nodad");
    let registrar = Registrar::start(&lan, "[fd00:1::1]:5060");
    let dir = TestDir::new("both-families");
    let phone = DeskPhone::start(
        &dir,
        "desk",
        Setup {
            bind: "::".into(),
            auto_answer: false,
            call: "no_answer_s = 5\n",
            command: Some(desk.command(binary())),
            more: account("[fd00:1::1]"),
            ..Setup::default()
        },
    );
    let now = Instant::now();
    let since = now.checked_sub(Duration::from_secs(60)).unwrap_or(now);
    let register = registrar.wait("REGISTER", since, Duration::from_secs(5), |_| true);
    assert!(
        register.contact.contains("@[fd00:1::20]:") && register.via.contains("[fd00:1::20]"),
        "{register:?}"
    );
    for (from, to, connection, wanted) in [
        (
            "10.1.0.1:0",
            "10.1.0.20",
            "IP4 10.1.0.1",
            "IN IP4 10.1.0.20",
        ),
        (
            "[fd00:1::1]:0",
            "[fd00:1::20]",
            "IP6 fd00:1::1",
            "IN IP6 fd00:1::20",
        ),
    ] {
        let to: SocketAddr = format!("{to}:{}", phone.sip_port).parse().unwrap();
        std::thread::scope(|scope| {
            let answering = scope.spawn(|| {
                phone.wait("it rings", Duration::from_secs(5), |status| {
                    status["state"] == "ringing"
                });
                phone.lift();
            });
            let answer = ask(&lan, from, to, &invite(to, connection));
            answering.join().unwrap();
            assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
            assert!(answer.contains(&format!("c={wanted}")), "{answer}");
            let contact = header(&answer, "Contact")[0].to_owned();
            assert!(contact.contains(&format!("@{to}")), "{contact}");
        });
        phone.hang_up();
        phone.wait_state("idle");
    }
}

#[test]
fn an_offer_of_a_family_that_is_not_there_is_refused() {
    let Some((desk, lan)) = two("an_offer_of_a_family_that_is_not_there_is_refused") else {
        return;
    };
    desk.cable("eth0", &lan, "lan0");
    desk.sysctl("net/ipv6/conf/all/disable_ipv6", "1");
    desk.ip("addr add 10.1.0.20/24 dev eth0");
    lan.ip("addr add 10.1.0.1/24 dev lan0");
    let dir = TestDir::new("one-family");
    let phone = phone(&dir, "desk", &desk, String::new());
    let to: SocketAddr = format!("10.1.0.20:{}", phone.sip_port).parse().unwrap();
    let answer = ask(&lan, "10.1.0.1:0", to, &invite(to, "IP6 fd00:1::1"));
    assert!(answer.starts_with("SIP/2.0 488"), "{answer}");
    let warning = header(&answer, "Warning")[0];
    assert!(warning.starts_with("301 "), "{warning}");
    assert_eq!(phone.state(), "idle");
}
