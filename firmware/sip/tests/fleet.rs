//! Two hundred phones at one registrar that restarts and has forgotten them all.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test program: what cannot be is a failed test"
)]

mod agents;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use sip::{Flow, UserAgent};
use testkit::network::{Datagram, Link, Network, Time};
use testkit::registrar::Registrar;

const PHONES: u8 = 200;

fn address(phone: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 1, phone)), 5060)
}

fn agent(phone: u8, now: Instant) -> UserAgent {
    let user = format!("u{phone}");
    let account = agents::account(&user);
    let config = agents::agent(account, address(phone), phone);
    UserAgent::new(config, now)
}

struct Fleet {
    start: Instant,
    now: Time,
    phones: Vec<UserAgent>,
    registrar: Registrar,
    /// The registrar is being restarted.
    down: bool,
    network: Network<Datagram>,
    /// Messages at the registrar by second.
    load: BTreeMap<u64, usize>,
}

impl Fleet {
    #[expect(
        clippy::disallowed_methods,
        reason = "some instant to count from; what it says does not matter"
    )]
    fn new() -> Self {
        let start = Instant::now();
        let users: Vec<String> = (1..=PHONES).map(|phone| format!("u{phone}")).collect();
        let users: Vec<(&str, &str)> = users.iter().map(|user| (&**user, "secret")).collect();
        let mut registrar = Registrar::new("10.0.0.100:5060".parse().unwrap(), &users);
        registrar.expires = Duration::from_secs(3600);
        let mut network = Network::new(1);
        network.set_default(Link {
            delay: Duration::from_millis(5),
            ..Link::default()
        });
        Self {
            start,
            now: Time::ZERO,
            phones: (1..=PHONES).map(|phone| agent(phone, start)).collect(),
            registrar,
            down: false,
            network,
            load: BTreeMap::new(),
        }
    }

    fn drain(&mut self, index: usize) {
        let from = address(index as u8 + 1);
        let phone = &mut self.phones[index];
        while let Some(transmit) = phone.poll_transmit() {
            if let Flow::Udp { remote } = transmit.flow {
                let datagram = Datagram {
                    from,
                    to: remote,
                    bytes: transmit.bytes,
                };
                self.network.send(datagram, self.now);
            }
        }
        while phone.poll_event().is_some() {}
    }

    fn run(&mut self, length: Duration) {
        let end = self.now + length;
        loop {
            let timers = self.phones.iter().filter_map(UserAgent::poll_timeout);
            let timer = timers
                .min()
                .map(|at| at.saturating_duration_since(self.start));
            let next = timer.into_iter().chain(self.network.next_arrival()).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = next.max(self.now);
            let now = self.start + self.now;
            for index in 0..self.phones.len() {
                let due = self.phones[index].poll_timeout();
                if due.is_some_and(|at| at <= now) {
                    self.phones[index].handle_timeout(now);
                    self.drain(index);
                }
            }
            while let Some(datagram) = self.network.pop_due(self.now) {
                self.deliver(&datagram, now);
            }
        }
        self.now = end;
    }

    fn deliver(&mut self, datagram: &Datagram, now: Instant) {
        if datagram.to == self.registrar.at {
            *self.load.entry(self.now.as_secs()).or_default() += 1;
            if self.down {
                return;
            }
            for reply in self.registrar.handle(datagram, self.now) {
                self.network.send(reply, self.now);
            }
        } else if let IpAddr::V4(ip) = datagram.to.ip() {
            let index = usize::from(ip.octets()[3]) - 1;
            self.phones[index].handle_datagram(datagram.from, &datagram.bytes, now);
            self.drain(index);
        }
    }

    fn known(&self) -> usize {
        let known = |phone: &u8| self.registrar.knows(&format!("u{phone}"), self.now);
        (1..=PHONES).filter(known).count()
    }
}

#[test]
fn a_fleet_is_back_within_a_minute_and_does_not_storm() {
    for outage_s in [5, 40, 300] {
        let mut fleet = Fleet::new();
        fleet.run(Duration::from_secs(600));
        assert_eq!(fleet.known(), usize::from(PHONES));
        fleet.down = true;
        fleet.registrar.restart();
        fleet.run(Duration::from_secs(outage_s));
        fleet.down = false;
        fleet.load.clear();
        let back = fleet.now;
        while fleet.known() < usize::from(PHONES) {
            fleet.run(Duration::from_secs(1));
            let waited = fleet.now.saturating_sub(back).as_secs();
            let known = fleet.known();
            assert!(
                waited <= 60,
                "outage {outage_s} s: {known} after {waited} s"
            );
        }
        let took = fleet.now.saturating_sub(back).as_secs();
        // Two messages a phone: the question and the answer to the challenge.
        let peak = fleet.load.values().max().copied().unwrap_or_default();
        println!("outage {outage_s} s: all back after {took} s, at most {peak} messages a second");
        assert!(
            peak <= usize::from(PHONES),
            "outage {outage_s} s: {peak} messages in one second"
        );
    }
}
