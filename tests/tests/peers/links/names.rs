//! Names of the link: two phones that find each other, two that have the same name, and one that
//! leaves.
//!
//! Wall clock: processes on real sockets; a name is probed for by the clock.

use std::net::Ipv4Addr;

use super::*;

#[test]
fn two_phones_call_each_other_by_name() {
    let Some((desk, kitchen)) = two("two_phones_call_each_other_by_name") else {
        return;
    };
    desk.cable("eth0", &kitchen, "eth0");
    desk.ip("addr add 10.1.0.20/24 dev eth0");
    kitchen.ip("addr add 10.1.0.30/24 dev eth0");
    let dir = TestDir::new("mdns");
    let start = |name: &str, namespace: &Namespace, network, speed| {
        DeskPhone::start(
            &dir,
            name,
            Setup {
                bind: "::".into(),
                auto_answer: false,
                command: Some(namespace.command(binary())),
                network,
                speed,
                ..Setup::default()
            },
        )
    };
    let there = start("kitchen", &kitchen, "host_name = \"kitchen\"\n", vec![]);
    let speed = vec![(
        "1".to_owned(),
        format!("sip:kitchen.local:{}", there.sip_port),
    )];
    let here = start("hall", &desk, "host_name = \"hall\"\n", speed);
    // The name is probed for in the first second.
    std::thread::sleep(Duration::from_secs(2));
    here.lift();
    here.wait_state("dial_tone");
    here.press("1#");
    there.wait_state("ringing");
    there.lift();
    here.wait_state("talking");
    here.hang_up();
    there.wait_state("congestion");
    there.hang_up();

    // A name no one has is said as such.
    let unknown = start(
        "lost",
        &desk,
        "host_name = \"lost\"\n",
        vec![("1".to_owned(), "sip:attic.local".to_owned())],
    );
    unknown.lift();
    unknown.wait_state("dial_tone");
    unknown.press("1#");
    unknown.wait_state("congestion");
    let status = unknown.status();
    let cause = status["last_call"]["cause"].as_str().unwrap_or_default();
    assert!(
        cause.contains("attic.local") && cause.contains("mDNS"),
        "{status:#}"
    );
}

/// A socket on a link that hears what is said to its group.
struct Ear(UdpSocket);

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);

impl Ear {
    fn open(namespace: &Namespace, own: Ipv4Addr) -> Self {
        std::thread::scope(|scope| {
            let opened = scope.spawn(|| {
                namespace.enter();
                let socket = UdpSocket::bind("0.0.0.0:5353").unwrap();
                socket.join_multicast_v4(&GROUP, &own).unwrap();
                socket.set_multicast_loop_v4(false).unwrap();
                socket
                    .set_read_timeout(Some(Duration::from_millis(100)))
                    .unwrap();
                Self(socket)
            });
            opened.join().unwrap()
        })
    }

    /// Says that a name is this address's.
    fn claim(&self, name: &str, address: [u8; 4]) {
        let mut response = vec![0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        response.extend(encoded(name));
        // A, IN, 120 s, four octets.
        response.extend([0, 1, 0, 1, 0, 0, 0, 120, 0, 4]);
        response.extend(address);
        self.0.send_to(&response, (GROUP, 5353)).unwrap();
    }

    /// Who answers to a name within two seconds, and with which lifetimes.
    fn ask(&self, name: &str) -> Vec<(SocketAddr, u32)> {
        let mut query = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend(encoded(name));
        // A, IN.
        query.extend([0, 1, 0, 1]);
        self.0.send_to(&query, (GROUP, 5353)).unwrap();
        self.hear(name, Duration::from_secs(2))
    }

    /// Who says something about a name.
    fn hear(&self, name: &str, time: Duration) -> Vec<(SocketAddr, u32)> {
        let end = Instant::now() + time;
        let mut heard = Vec::new();
        let mut datagram = [0; 9000];
        let wanted = encoded(name);
        while Instant::now() < end {
            let Ok((length, from)) = self.0.recv_from(&mut datagram) else {
                continue;
            };
            let message = &datagram[..length];
            // A response whose first answer has this name: type, class, lifetime follow.
            let is_response = message.get(2).is_some_and(|flags| flags & 0x80 != 0);
            if is_response && message.get(12..12 + wanted.len()) == Some(&wanted[..]) {
                let at = 12 + wanted.len() + 4;
                let lifetime = message[at..at + 4].try_into().unwrap();
                heard.push((from, u32::from_be_bytes(lifetime)));
            }
        }
        heard
    }
}

/// A name as DNS writes it.
fn encoded(name: &str) -> Vec<u8> {
    let mut encoded = Vec::new();
    for label in name.split('.') {
        encoded.push(label.len() as u8);
        encoded.extend(label.as_bytes());
    }
    encoded.push(0);
    encoded
}

#[test]
fn two_phones_of_one_name_get_two_names_and_say_goodbye() {
    let test = "two_phones_of_one_name_get_two_names_and_say_goodbye";
    let Some((desk, kitchen)) = two(test) else {
        return;
    };
    let Some(lan) = Namespace::new() else { return };
    lan.ip("link add br0 type bridge");
    lan.ip("link set br0 up");
    for (phone, port, address) in [(&desk, "p0", 20), (&kitchen, "p1", 30)] {
        phone.cable("eth0", &lan, port);
        lan.ip(&format!("link set {port} master br0"));
        phone.ip(&format!("addr add 10.1.0.{address}/24 dev eth0"));
        phone.ip("route add default via 10.1.0.1");
    }
    lan.ip("addr add 10.1.0.1/24 dev br0");
    lan.ip("route add 224.0.0.0/4 dev br0");
    let dir = TestDir::new("mdns-conflict");
    let start = |name: &str, namespace: &Namespace| {
        DeskPhone::start(
            &dir,
            name,
            Setup {
                bind: "::".into(),
                command: Some(namespace.command(binary())),
                network: "host_name = \"phone\"\n",
                ..Setup::default()
            },
        )
    };
    let ear = Ear::open(&lan, Ipv4Addr::new(10, 1, 0, 1));
    let phones = [start("one", &desk), start("two", &kitchen)];
    // Both probe within the first second; whoever has to give way tries again a second later.
    std::thread::sleep(Duration::from_secs(5));
    let mut owners = Vec::new();
    for name in ["phone.local", "phone-2.local"] {
        let heard = ear.ask(name);
        let mut from: Vec<_> = heard
            .iter()
            .map(|(from, _)| from.ip().to_string())
            .collect();
        from.dedup();
        assert_eq!(from.len(), 1, "{name}: {heard:?}");
        assert!(
            heard.iter().all(|(_, lifetime)| *lifetime == 120),
            "{heard:?}"
        );
        owners.extend(from);
    }
    let mut both = owners.clone();
    both.sort();
    assert_eq!(both, ["10.1.0.20", "10.1.0.30"]);
    assert_eq!(ear.ask("phone-3.local"), []);
    // A neighbour claims the name once: it is probed for again and kept, for no one has it.
    for (name, owner) in ["phone.local", "phone-2.local"].into_iter().zip(&owners) {
        ear.claim(name, [10, 1, 0, 99]);
        std::thread::sleep(Duration::from_secs(3));
        let heard = ear.ask(name);
        assert!(
            heard
                .iter()
                .all(|(from, _)| from.ip().to_string() == *owner)
        );
        assert!(!heard.is_empty(), "{name} is lost");
    }
    // The phone that is stopped says so.
    let [mut first, second] = phones;
    let leaves = "10.1.0.20";
    let name = ["phone.local", "phone-2.local"][usize::from(owners[0] != leaves)];
    let code = first.terminate();
    let heard = ear.hear(name, Duration::from_secs(1));
    let goodbye =
        |(from, lifetime): &(SocketAddr, u32)| from.ip().to_string() == leaves && *lifetime == 0;
    assert!(heard.iter().any(goodbye), "{code:?} {heard:?}");
    assert_eq!(ear.ask(name), []);
    second.assert_usable();
}
