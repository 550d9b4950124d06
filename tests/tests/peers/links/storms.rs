//! Networks that never rest: floods of changes, of neighbours and of packets on the link.
//!
//! Wall clock: processes, and a kernel that changes under them; the limits are what an owner would
//! accept.

use super::*;

#[test]
fn default_routes_whose_metric_changes_are_followed() {
    let test = "default_routes_whose_metric_changes_are_followed";
    let Some((desk, _lan, registrar)) = two_ways(test) else {
        return;
    };
    let dir = TestDir::new("metrics");
    let phone = phone(&dir, "desk", &desk, account("10.9.0.1"));
    registered(&phone);
    let limit = Duration::from_secs(3);
    for (metric, address, before) in [
        (5, "10.2.0.20", "10.1.0.20"),
        (30, "10.1.0.20", "10.2.0.20"),
        (7, "10.2.0.20", "10.1.0.20"),
    ] {
        let changed = Instant::now();
        // As a network manager does it: the new one is there before the old one goes.
        desk.ip(&format!("route add default via 10.2.0.1 metric {metric}"));
        let old = match metric {
            5 => 20,
            30 => 5,
            _ => 30,
        };
        desk.ip(&format!("route del default via 10.2.0.1 metric {old}"));
        let register = registrar.wait("the other way", changed, limit, |register| {
            register.from.ip().to_string() == address
        });
        assert!(
            register.contact.contains(&format!("@{address}:")),
            "{register:?}"
        );
        // The server learns that the old way is none.
        let stale = register.stale.unwrap_or_default();
        assert!(
            stale.contains(&format!("@{before}:")) && stale.contains("expires=0"),
            "{stale}"
        );
        registered(&phone);
        std::thread::sleep(Duration::from_secs(2));
        let registers = registrar.seen();
        let since = registers.iter().filter(|register| register.at > changed);
        assert!(since.count() <= 4, "{registers:#?}");
    }
    phone.assert_usable();
}

/// A thousand addresses that come and go, default routes that flap, neighbours by the hundred.
const STORM: &str = "
end=$((SECONDS + 10))
host() { echo 10.200.$(($1 / 250)).$(($1 % 250 + 1))/32 dev eth0; }
for n in $(seq 0 999); do echo addr add $(host $n); done > $0.add
for n in $(seq 0 999); do echo addr del $(host $n); done > $0.del
for n in $(seq 30 250); do
  echo neigh replace 10.1.0.$n lladdr 02:00:00:00:01:$(printf %02x $n) dev eth0
done > $0.neigh
while [ $SECONDS -lt $end ]; do
  ip -batch $0.add
  ip -batch $0.neigh
  for n in 1 2 3 4 5; do
    ip route del default via 10.1.0.1 metric 10
    sleep 0.05
    ip route add default via 10.1.0.1 metric 10
    sleep 0.05
  done
  ip -batch $0.del
done
";

#[test]
fn a_storm_of_network_changes_costs_little_and_floods_no_registrar() {
    let test = "a_storm_of_network_changes_costs_little_and_floods_no_registrar";
    let Some((desk, _lan, registrar)) = two_ways(test) else {
        return;
    };
    let dir = TestDir::new("storm");
    let phone = phone(&dir, "desk", &desk, account("10.9.0.1"));
    registered(&phone);
    std::thread::sleep(Duration::from_secs(1));
    let (began, used) = (Instant::now(), phone.cpu_time());
    let mut storm = desk.command("bash");
    storm.args(["-c", STORM]).arg(dir.join("batch"));
    let mut storm = testkit::process::ChildProcess::start(&mut storm, &dir.join("storm.log"));
    let mut slowest = Duration::ZERO;
    while !storm.has_ended() {
        let asked = Instant::now();
        phone.status();
        slowest = slowest.max(asked.elapsed());
        std::thread::sleep(Duration::from_millis(50));
    }
    let lasted = began.elapsed();
    let used = phone.cpu_time().saturating_sub(used);
    let registers = registrar.seen();
    let during = registers
        .iter()
        .filter(|register| register.at > began)
        .count();
    println!(
        "{during} REGISTERs and {used:?} of processor in {lasted:?}; slowest answer {slowest:?}"
    );
    assert!(during <= 12, "{during} REGISTERs in {lasted:?}");
    // Its sound card alone takes some of a debug build.
    assert!(used < lasted / 3, "{used:?} of {lasted:?}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    // When it is over the phone is where it belongs, within the longest pause.
    let over = Instant::now();
    desk.ip("route replace default via 10.1.0.1 metric 10");
    phone.wait(
        "registered by the cable",
        Duration::from_secs(12),
        |status| {
            let last = registrar.seen().pop().map(|register| register.contact);
            let by_cable = last.is_some_and(|contact| contact.contains("@10.1.0.20:"));
            by_cable && status["lines"][0]["registered"] == true
        },
    );
    println!(
        "registered by the cable {:?} after the storm",
        over.elapsed()
    );
    phone.assert_usable();
}

#[test]
fn a_flood_on_the_link_starves_nothing() {
    let Some((desk, lan, registrar)) = two_ways("a_flood_on_the_link_starves_nothing") else {
        return;
    };
    let dir = TestDir::new("link-flood");
    let phone = phone(&dir, "desk", &desk, account("10.9.0.1"));
    registered(&phone);
    let before = registrar.seen().len();
    // Multicast questions, claims and rubbish to the port of mDNS, as fast as one thread sends.
    let flooded = Instant::now();
    let (mut sent, mut slowest) = (0_u64, Duration::ZERO);
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            lan.enter();
            let socket = UdpSocket::bind("10.1.0.1:0").unwrap();
            let name = b"\x04desk\x05local\x00";
            let mut sent = 0_u64;
            while flooded.elapsed() < Duration::from_secs(6) {
                let kind = sent % 3;
                let mut packet = match kind {
                    0 => vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
                    1 => vec![0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0],
                    _ => vec![0xFF; 200],
                };
                packet.extend(name);
                packet.extend([0, 1, 0, 1, 0, 0, 0, 120, 0, 4, 10, 1, 0, (sent % 250) as u8]);
                socket.send_to(&packet, "224.0.0.251:5353").ok();
                sent += 1;
                if sent.is_multiple_of(50) {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            sent
        });
        while !flood.is_finished() {
            let asked = Instant::now();
            phone.status();
            slowest = slowest.max(asked.elapsed());
            std::thread::sleep(Duration::from_millis(50));
        }
        sent = flood.join().unwrap();
    });
    println!("{sent} packets, slowest answer {slowest:?}");
    assert!(
        sent > 10_000 && slowest < Duration::from_millis(500),
        "{sent} {slowest:?}"
    );
    assert!(
        registrar.seen().len() <= before + 1,
        "{:#?}",
        registrar.seen()
    );
    registered(&phone);
    phone.assert_usable();
}
