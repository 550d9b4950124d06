//! Thirty virtual days of two phones with two servers: outages, other addresses, twenty thousand
//! calls and a hostile neighbour.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test program: what cannot be is a failed test"
)]

mod agents;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sip::agent::Tables;
use sip::offer_answer::LocalMedia;
use sip::{AccountConfig, AccountId, AgentConfig, CallHandle, Event, Flow, UserAgent};
use testkit::Rng;
use testkit::heap::{self, CountingAllocator};
use testkit::network::{Datagram, Link, Network, Time};
use testkit::registrar::{Binding, Registrar};
use types::Codec;

#[global_allocator]
static HEAP: CountingAllocator = CountingAllocator;

const DAYS: u64 = 30;
const CALLS: u64 = 20_000;
/// How often is looked whether the phones can be reached.
const LOOK: Duration = Duration::from_secs(5);
/// What happens so close to a call may spoil it.
const CLOSE: Duration = Duration::from_secs(12);
/// What the phones may have more on the heap after a month than after an hour, in bytes: histories
/// have filled by then, and nothing grows with the traffic.
const MORE_HELD: isize = 64 * 1024;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn agent(user: &str, local: SocketAddr, seed: u8, now: Instant) -> UserAgent {
    let account = AccountConfig {
        backup_servers: vec!["10.0.0.101".into()],
        ..agents::account(user)
    };
    let config = AgentConfig {
        codecs: vec![Codec::Pcmu],
        ..agents::agent(account, local, seed)
    };
    UserAgent::new(config, now)
}

fn media(address: SocketAddr) -> LocalMedia {
    LocalMedia {
        rtp: SocketAddr::new(address.ip(), 20_000),
        rtcp: SocketAddr::new(address.ip(), 20_001),
        codecs: vec![Codec::Pcmu],
        ptime_ms: 20,
        dtmf: true,
        opus: types::OpusFormat::default(),
        comfort_noise: false,
        rtcp_xr: false,
        media_security: sip::media_security::MediaSecurity::default(),
        ice: None,
        owner_moves: false,
    }
}

struct Phone {
    agent: UserAgent,
    address: SocketAddr,
    user: &'static str,
    /// Calls that are established, and when they are ended.
    calls: Vec<(CallHandle, Time)>,
}

struct Month {
    start: Instant,
    now: Time,
    rng: Rng,
    phones: [Phone; 2],
    servers: [Registrar; 2],
    up: [bool; 2],
    /// The servers share what they know of their users.
    location: BTreeMap<String, Binding>,
    network: Network<Datagram>,
    /// When a server or an address changed last.
    changed: Time,
    established: u64,
    reachable: [u64; 2],
    looks: u64,
    /// Both servers are gone until then.
    dark_until: Time,
    /// What came between: hours without any server, servers that died, other addresses, packets
    /// of a neighbour.
    dark: u64,
    outages: u64,
    moves: u64,
    hostile: u64,
}

impl Month {
    #[expect(
        clippy::disallowed_methods,
        reason = "some instant to count from; what it says does not matter"
    )]
    fn new() -> Self {
        let start = Instant::now();
        let users = [("101", "secret"), ("102", "secret")];
        let mut network = Network::new(1);
        network.set_default(Link {
            delay: Duration::from_millis(5),
            ..Link::default()
        });
        let phone = |user: &'static str, address: &str, seed| Phone {
            agent: agent(user, at(address), seed, start),
            address: at(address),
            user,
            calls: Vec::new(),
        };
        Self {
            start,
            now: Time::ZERO,
            rng: Rng::for_purpose(1, "month"),
            phones: [
                phone("101", "10.0.1.1:5060", 1),
                phone("102", "10.0.2.1:5060", 2),
            ],
            servers: ["10.0.0.100:5060", "10.0.0.101:5060"]
                .map(|address| Registrar::new(at(address), &users)),
            up: [true, true],
            location: BTreeMap::new(),
            network,
            changed: Time::ZERO,
            established: 0,
            reachable: [0, 0],
            looks: 0,
            dark_until: Time::ZERO,
            dark: 0,
            outages: 0,
            moves: 0,
            hostile: 0,
        }
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.rng.unit() * limit as f64) as u64
    }

    fn drain(&mut self, index: usize) {
        let now = self.start + self.now;
        let phone = &mut self.phones[index];
        loop {
            if let Some(transmit) = phone.agent.poll_transmit() {
                if let Flow::Udp { remote } = transmit.flow {
                    let datagram = Datagram {
                        from: phone.address,
                        to: remote,
                        bytes: transmit.bytes,
                    };
                    self.network.send(datagram, self.now);
                }
                continue;
            }
            match phone.agent.poll_event() {
                Some(Event::Incoming { call, .. }) => {
                    let media = media(phone.address);
                    phone.agent.answer(call, media, now);
                }
                Some(Event::Established { call, .. }) if index == 0 => {
                    self.established += 1;
                    phone.calls.push((call, self.now + Duration::from_secs(5)));
                }
                Some(_) => {}
                None => return,
            }
        }
    }

    fn run_until(&mut self, end: Time) {
        loop {
            let timers = self.phones.iter().filter_map(|p| p.agent.poll_timeout());
            let timer = timers
                .min()
                .map(|at| at.saturating_duration_since(self.start));
            let calls = self.phones.iter().flat_map(|p| p.calls.iter().map(|c| c.1));
            let next = timer
                .into_iter()
                .chain(self.network.next_arrival())
                .chain(calls)
                .min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = next.max(self.now);
            let now = self.start + self.now;
            for index in 0..2 {
                let phone = &mut self.phones[index];
                phone.agent.handle_timeout(now);
                let over: Vec<CallHandle> = phone
                    .calls
                    .extract_if(.., |call| call.1 <= self.now)
                    .map(|call| call.0)
                    .collect();
                for call in over {
                    phone.agent.end(call, now);
                }
                self.drain(index);
            }
            while let Some(datagram) = self.network.pop_due(self.now) {
                self.deliver(&datagram, now);
            }
        }
        self.now = end;
    }

    fn deliver(&mut self, datagram: &Datagram, now: Instant) {
        if let Some(server) = self.servers.iter().position(|s| s.at == datagram.to) {
            if self.up[server] {
                let registrar = &mut self.servers[server];
                registrar.bindings.clone_from(&self.location);
                for reply in registrar.handle(datagram, self.now) {
                    self.network.send(reply, self.now);
                }
                self.location.clone_from(&self.servers[server].bindings);
            }
        } else if let Some(phone) = self.phones.iter().position(|p| p.address == datagram.to) {
            let agent = &mut self.phones[phone].agent;
            agent.handle_datagram(datagram.from, &datagram.bytes, now);
            self.drain(phone);
        }
    }

    /// Servers die and come back, phones get other addresses, a neighbour sends what it likes.
    fn disturb(&mut self) {
        // Every two days the whole house is without its servers for an hour.
        let is_dark = self.now < self.dark_until;
        if !is_dark && self.below(34_560) == 0 {
            self.dark_until = self.now + Duration::from_secs(3600);
            self.dark += 1;
            (self.up, self.changed) = ([false, false], self.now);
        } else if is_dark && self.now + LOOK >= self.dark_until {
            (self.up, self.changed) = ([true, true], self.now);
        }
        for server in 0..2 {
            if self.now < self.dark_until {
                break;
            }
            // Up for eight hours, down for eight minutes, on average.
            let ends = if self.up[server] { 5760 } else { 96 };
            if self.below(ends) == 0 {
                self.outages += u64::from(self.up[server]);
                self.up[server] = !self.up[server];
                self.changed = self.now;
            }
        }
        if self.below(4320) == 0 {
            let phone = self.below(2) as usize;
            let host = self.below(200) + 1;
            let address = at(&format!("10.0.{}.{host}:5060", phone + 1));
            self.phones[phone].address = address;
            self.moves += 1;
            let now = self.start + self.now;
            self.phones[phone]
                .agent
                .handle_local_addresses(address.into(), now);
            self.changed = self.now;
            self.drain(phone);
        }
        for _ in 0..self.below(4) {
            self.hostile += 1;
            let to = self.phones[self.below(2) as usize].address;
            let from = at(&format!("10.0.9.{}:5060", self.below(250) + 1));
            let serial = self.below(1 << 40);
            let method = ["INVITE", "BYE", "OPTIONS", "REGISTER", "X"][self.below(5) as usize];
            let text = format!(
                "{method} sip:101@{to} SIP/2.0\r\n\
                 Via: SIP/2.0/UDP {from};branch=z9hG4bK{serial}\r\n\
                 From: <sip:x@{from}>;tag={serial}\r\nTo: <sip:101@{to}>\r\nCall-ID: {serial}\r\n\
                 CSeq: 1 {method}\r\nContact: <sip:x@{from}>\r\nContent-Length: 0\r\n\r\n"
            );
            let mut bytes = text.into_bytes();
            if self.below(3) == 0 {
                let broken = self.below(bytes.len() as u64) as usize;
                bytes.truncate(broken);
            }
            self.network.send(Datagram { from, to, bytes }, self.now);
        }
    }

    /// Looks whether each phone can be reached, where any server is up.
    fn look(&mut self) {
        if !self.up.contains(&true) {
            return;
        }
        self.looks += 1;
        for index in 0..2 {
            self.reachable[index] += u64::from(self.is_reachable(index));
        }
    }

    /// Whether a call to a phone finds it.
    fn is_reachable(&self, index: usize) -> bool {
        let phone = &self.phones[index];
        let binding = self.location.get(phone.user);
        binding.is_some_and(|b| b.until > self.now && b.source == phone.address)
    }

    /// Both phones unregister and have nothing going on any more; the bytes on the heap that are
    /// theirs.
    fn end(mut self) -> isize {
        self.up = [true, true];
        for index in 0..2 {
            let now = self.start + self.now;
            self.phones[index].agent.shut_down(now);
            self.drain(index);
        }
        self.run_until(self.now + Duration::from_secs(120));
        for phone in &self.phones {
            assert_eq!(phone.agent.tables(), Tables::default(), "{}", phone.user);
        }
        let before = heap::bytes_of_this_thread();
        drop(self.phones);
        before - heap::bytes_of_this_thread()
    }
}

#[test]
fn thirty_days_of_calls_outages_and_hostile_traffic() {
    heap::arm();
    let mut hour = Month::new();
    hour.run_until(Duration::from_secs(3600));
    let held_after_an_hour = hour.end();
    let mut month = Month::new();
    let total = Duration::from_secs(DAYS * 86_400);
    let between = total / CALLS as u32;
    let (mut next_call, mut placed, mut could) = (between / 2, 0, 0);
    let mut pending: Option<(Time, u64)> = None;
    while month.now < total {
        let end = month.now + LOOK;
        month.run_until(end);
        month.disturb();
        month.look();
        // Whether the last call was made, once it is clear that nothing came between.
        if let Some((at, before)) = pending
            && month.now >= at + CLOSE
        {
            if month.changed < at {
                could += 1;
                assert_eq!(month.established, before + 1, "the call at {at:?}");
            }
            pending = None;
        }
        if month.now >= next_call {
            next_call += between;
            placed += 1;
            let now = month.start + month.now;
            let before = month.established;
            let caller = &mut month.phones[0];
            let media = media(caller.address);
            let called = caller.agent.invite(Some(AccountId(0)), "102", media, now);
            assert!(called.is_ok(), "{called:?} at {:?}", month.now);
            if month.up.contains(&true) && month.is_reachable(1) {
                pending = Some((month.now, before));
            }
            month.drain(0);
        }
        let full: usize = month.phones.iter().map(|p| p.agent.tables().calls).sum();
        assert!(full <= 8, "{full} calls at {:?}", month.now);
    }
    let looks = month.looks;
    let share = |reached: u64| reached as f64 / looks as f64;
    println!(
        "{placed} calls placed, {} established, {could} of those undisturbed; reachable {:.4} \
         {:.4}",
        month.established,
        share(month.reachable[0]),
        share(month.reachable[1])
    );
    assert!(placed >= CALLS && could > CALLS * 9 / 10);
    println!(
        "{} hours without a server, {} outages, {} other addresses, {} packets of a neighbour",
        month.dark, month.outages, month.moves, month.hostile
    );
    assert!(month.dark >= 8 && month.outages >= 100);
    assert!(month.moves >= 60 && month.hostile >= 500_000);
    for reached in month.reachable {
        assert!(share(reached) >= 0.999, "{}", share(reached));
    }
    let held = month.end();
    println!("{held_after_an_hour} bytes on the heap after an hour, {held} after a month");
    assert!(held <= held_after_an_hour + MORE_HELD, "{held} bytes held");
}
