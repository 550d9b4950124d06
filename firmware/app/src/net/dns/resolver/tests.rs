//! Searches in virtual time, with name servers that leave out what the test says.

use std::collections::HashMap;

use sip::{Target, Transport};

use super::super::question::{Kind, Srv};
use super::super::search::{BUDGET, LIMIT};
use super::*;

const BOTH: Families = Families { v4: true, v6: true };
const V4: Families = Families {
    v4: true,
    v6: false,
};

/// What a name server does with a question.
#[derive(Clone)]
enum Does {
    Answers(Vec<Record>),
    IsSilent,
    Fails,
}

/// A resolver, the name server it asks, and the time.
struct World {
    resolver: Resolver,
    server: HashMap<Question, Does>,
    system: System,
    families: Families,
    start: Instant,
    now: Instant,
    /// Questions the server has not answered, and when each came.
    open: Vec<(Question, Instant)>,
    asked: Vec<String>,
    latency: Duration,
    /// Of each answer with records.
    ttl: Duration,
}

impl World {
    fn new(families: Families) -> Self {
        let now = Instant::now();
        Self {
            resolver: Resolver::default(),
            server: HashMap::new(),
            system: System {
                servers: vec!["192.0.2.53:53".parse().unwrap()],
                ..System::default()
            },
            families,
            start: now,
            now,
            open: Vec::new(),
            asked: Vec::new(),
            latency: Duration::from_millis(20),
            ttl: Duration::from_secs(100),
        }
    }

    fn server(mut self, kind: Kind, name: &str, does: Does) -> Self {
        self.server.insert(Question::new(name, kind), does);
        self
    }

    fn silent(self, kind: Kind, name: &str) -> Self {
        self.server(kind, name, Does::IsSilent)
    }

    fn a(self, name: &str, address: &str) -> Self {
        let records = vec![Record::Address(address.parse().unwrap())];
        self.server(Kind::A, name, Does::Answers(records))
    }

    fn srv(self, name: &str, target: &str, port: u16) -> Self {
        let record = Record::Srv(Srv {
            priority: 1,
            weight: 1,
            target: target.into(),
            port,
        });
        self.server(Kind::Srv, name, Does::Answers(vec![record]))
    }

    /// Looks up and returns what came, and after how long.
    fn look_up(&mut self, lookup: Lookup) -> (SearchOutcome, Duration) {
        let started = self.now;
        let (system, families) = (self.system.clone(), self.families);
        self.resolver
            .handle_lookup(lookup, &system, families, self.now);
        for _ in 0..1000 {
            while let Some(question) = self.resolver.poll_ask() {
                self.asked.push(question.to_string());
                self.open.push((question, self.now));
            }
            if let Some((_, outcome)) = self.resolver.poll_found() {
                return (outcome, self.now - started);
            }
            let answered = |does: Option<&Does>| !matches!(does, Some(Does::IsSilent));
            let position = self
                .open
                .iter()
                .position(|(question, _)| answered(self.server.get(question)));
            if let Some(position) = position {
                let (question, asked_at) = self.open.remove(position);
                self.now = self.now.max(asked_at + self.latency);
                let answer = self.answer(&question);
                self.resolver.handle_answer(&question, answer, self.now);
                continue;
            }
            self.now = self.resolver.poll_timeout(self.now).unwrap();
            self.resolver.handle_timeout(self.now);
        }
        panic!("it never ended");
    }

    fn answer(&self, question: &Question) -> Result<Answer, AskError> {
        match self.server.get(question) {
            Some(Does::Answers(records)) => Ok(Answer {
                records: records.clone(),
                ttl: self.ttl,
            }),
            Some(Does::Fails) => Err(AskError::Refused {
                question: question.clone(),
                server: self.system.servers[0],
                code: "SERVFAIL".into(),
            }),
            Some(Does::IsSilent) | None => Ok(Answer {
                records: Vec::new(),
                ttl: Duration::from_secs(100),
            }),
        }
    }

    /// The questions still open end without an answer, [`LIMIT`] after the first.
    fn give_up(&mut self) {
        self.now = self.now.max(self.start + LIMIT);
        for (question, _) in std::mem::take(&mut self.open) {
            let servers = self.system.servers.clone();
            let silent = AskError::Silent {
                question: question.clone(),
                servers,
            };
            self.resolver
                .handle_answer(&question, Err(silent), self.now);
        }
    }
}

fn name(host: &str, port: Option<u16>, transport: Option<Transport>) -> Lookup {
    Lookup {
        id: LookupId(1),
        host: host.into(),
        port,
        transport,
        service: Service::Sip,
    }
}

fn udp(address: &str) -> Target {
    Target {
        transport: Transport::Udp,
        address: address.parse().unwrap(),
    }
}

#[test]
fn silence_about_services_costs_a_second_and_then_nothing() {
    for silent in [
        vec![(Kind::Srv, "_sip._udp.pbx.example")],
        vec![(Kind::Naptr, "pbx.example")],
        vec![
            (Kind::Srv, "_sip._udp.pbx.example"),
            (Kind::Srv, "_sip._tcp.pbx.example"),
            (Kind::Srv, "_sips._tcp.pbx.example"),
            (Kind::Naptr, "pbx.example"),
            (Kind::Aaaa, "pbx.example"),
        ],
    ] {
        let mut world = World::new(BOTH).a("pbx.example", "192.0.2.1");
        for (kind, name) in &silent {
            world = world.silent(*kind, name);
        }
        let (outcome, took) = world.look_up(name("pbx.example", None, None));
        assert_eq!(outcome.targets, [udp("192.0.2.1:5060")], "{silent:?}");
        assert!(took <= BUDGET, "{silent:?}: {took:?}");
        let fault = outcome.fault.unwrap().to_string();
        assert!(
            fault.contains("192.0.2.53") && fault.contains(silent[0].1),
            "{fault}"
        );
        world.give_up();
        let (outcome, took) = world.look_up(name("pbx.example", None, None));
        assert_eq!(outcome.targets.len(), 1);
        assert_eq!(took, Duration::ZERO, "{silent:?}: known to be ignored");
    }
}

#[test]
fn an_ipv6_question_is_never_waited_for() {
    let mut world = World::new(BOTH)
        .a("pbx.example", "192.0.2.1")
        .silent(Kind::Aaaa, "pbx.example");
    let (outcome, took) = world.look_up(name("pbx.example", Some(5070), None));
    assert_eq!(outcome.targets, [udp("192.0.2.1:5070")]);
    assert_eq!((outcome.fault, took), (None, world.latency));
}

#[test]
fn no_ipv6_route_no_ipv6_question() {
    let mut world = World::new(V4).a("pbx.example", "192.0.2.1");
    world.look_up(name("pbx.example", None, None));
    assert!(
        !world.asked.iter().any(|asked| asked.contains("AAAA")),
        "{:?}",
        world.asked
    );
}

#[test]
fn a_port_needs_no_service() {
    let mut world = World::new(V4).a("pbx.example", "192.0.2.1");
    let (outcome, _) = world.look_up(name("pbx.example", Some(5062), Some(Transport::Tcp)));
    assert_eq!(outcome.targets[0].address.port(), 5062);
    assert_eq!(world.asked, ["A record of pbx.example"]);
}

#[test]
fn services_lead_to_their_servers() {
    let mut world = World::new(V4)
        .srv("_sip._udp.pbx.example", "a.example", 5080)
        .srv("_sip._tcp.pbx.example", "b.example", 5081)
        .a("a.example", "192.0.2.2")
        .a("b.example", "192.0.2.3")
        .a("pbx.example", "192.0.2.1");
    let (outcome, took) = world.look_up(name("PBX.example", None, None));
    let tcp = Target {
        transport: Transport::Tcp,
        address: "192.0.2.3:5081".parse().unwrap(),
    };
    assert_eq!(outcome.targets, [udp("192.0.2.2:5080"), tcp]);
    assert_eq!(took, 2 * world.latency, "services, then their servers");
}

#[test]
fn a_slow_service_is_waited_for_where_nothing_else_is_known() {
    let mut world = World::new(V4)
        .srv("_sip._udp.pbx.example", "a.example", 5080)
        .a("a.example", "192.0.2.2")
        .silent(Kind::Naptr, "pbx.example");
    let (outcome, took) = world.look_up(name("pbx.example", None, None));
    assert_eq!(outcome.targets, [udp("192.0.2.2:5080")]);
    assert!(took <= BUDGET, "{took:?}");
}

#[test]
fn records_hold_for_their_ttl() {
    let mut world = World::new(V4).a("pbx.example", "192.0.2.1");
    world.look_up(name("pbx.example", Some(5060), None));
    world.look_up(name("pbx.example", Some(5060), None));
    assert_eq!(world.asked.len(), 1, "from the cache");
    world = world.a("pbx.example", "192.0.2.9");
    world.now += Duration::from_secs(101);
    let (outcome, _) = world.look_up(name("pbx.example", Some(5060), None));
    assert_eq!(outcome.targets, [udp("192.0.2.9:5060")]);
    assert_eq!(world.asked.len(), 2);
    let system = world.system.clone();
    world.resolver.handle_network_change(&system, V4, world.now);
    world.look_up(name("pbx.example", Some(5060), None));
    assert_eq!(world.asked.len(), 3, "another network");
}

#[test]
fn a_search_under_way_asks_the_new_name_servers() {
    let mut world = World::new(V4).a("pbx.example", "192.0.2.1");
    let old = world.system.clone();
    let lookup = name("pbx.example", Some(5060), None);
    world.resolver.handle_lookup(lookup, &old, V4, world.now);
    let question = world.resolver.poll_ask().unwrap();
    // The old server says nothing; a new one takes its place.
    world.now += Duration::from_millis(300);
    let new = System {
        servers: vec!["192.0.2.54:53".parse().unwrap()],
        hosts: vec![("gate".into(), "192.0.2.8".parse().unwrap())],
        ..System::default()
    };
    world.resolver.handle_network_change(&new, V4, world.now);
    assert_eq!(world.resolver.poll_ask(), Some(question.clone()));
    let answer = Answer {
        records: vec![Record::Address("192.0.2.1".parse().unwrap())],
        ttl: Duration::from_secs(60),
    };
    world
        .resolver
        .handle_answer(&question, Ok(answer), world.now);
    let (_, outcome) = world.resolver.poll_found().unwrap();
    assert_eq!(outcome.targets, [udp("192.0.2.1:5060")]);
    assert_eq!(outcome.fault, None);
}

#[test]
fn absence_is_remembered_and_named() {
    let mut world = World::new(V4);
    let (outcome, _) = world.look_up(name("nowhere.example", None, None));
    assert_eq!(outcome.targets, []);
    let fault = outcome.fault.unwrap().to_string();
    assert!(fault.contains("no address of nowhere.example"), "{fault}");
    let asked = world.asked.len();
    world.look_up(name("nowhere.example", None, None));
    assert_eq!(world.asked.len(), asked);
}

#[test]
fn the_last_good_addresses_serve_while_dns_is_gone() {
    let mut world = World::new(V4).a("pbx.example", "192.0.2.1");
    world.look_up(name("pbx.example", None, None));
    let text = world.resolver.poll_text().unwrap();
    assert_eq!(world.resolver.poll_text(), None, "written once");
    for gone in [Does::IsSilent, Does::Fails] {
        let mut world = World::new(V4);
        world.resolver = Resolver::new(LastGood::parse(&text));
        for (kind, name) in [
            (Kind::A, "pbx.example"),
            (Kind::Naptr, "pbx.example"),
            (Kind::Srv, "_sip._udp.pbx.example"),
            (Kind::Srv, "_sip._tcp.pbx.example"),
            (Kind::Srv, "_sips._tcp.pbx.example"),
        ] {
            world = world.server(kind, name, gone.clone());
        }
        let (outcome, took) = world.look_up(name("pbx.example", None, None));
        assert_eq!(outcome.targets, [udp("192.0.2.1:5060")]);
        assert!(took <= BUDGET, "{took:?}");
        // Another account's name is not invented.
        let (outcome, took) = {
            let world = &mut world;
            world
                .server
                .insert(Question::new("x.example", Kind::A), gone);
            world.look_up(name("x.example", Some(5060), None))
        };
        assert_eq!(outcome.targets, []);
        assert!(took <= LIMIT);
        let fault = outcome.fault.unwrap().to_string();
        assert!(
            fault.contains("192.0.2.53") && fault.contains("A record of x.example"),
            "{fault}"
        );
    }
}

#[test]
fn odd_records_lead_to_what_is_meant() {
    // A number where an SRV record has a name.
    let mut world = World::new(V4).srv("_sip._udp.example", "192.0.2.7", 5070);
    let found = world.look_up(name("example", None, None)).0;
    assert_eq!(
        (found.targets, found.fault),
        (vec![udp("192.0.2.7:5070")], None)
    );
    // No service by UDP; the other ways count.
    let mut world = World::new(V4)
        .srv("_sip._udp.example", "", 0)
        .srv("_sip._tcp.example", "pbx.example", 5060)
        .a("pbx.example", "192.0.2.8");
    let found = world.look_up(name("example", None, None)).0.targets;
    let tcp = Target {
        transport: Transport::Tcp,
        ..udp("192.0.2.8:5060")
    };
    assert_eq!(found, [tcp]);
    // A resolver that blocks a name: packets to 0.0.0.0 would come back to this phone.
    for blocked in ["0.0.0.0", "255.255.255.255", "224.0.1.75"] {
        let mut world = World::new(V4).a("example", blocked);
        let (found, _) = world.look_up(name("example", Some(5060), None));
        assert_eq!(found.targets, [], "{blocked}");
        let fault = found.fault.map(|fault| fault.to_string());
        assert!(fault.is_some_and(|f| f.contains("no address")), "{blocked}");
    }
}

#[test]
fn hosts_and_search_domains_count() {
    let mut world = World::new(V4).a("pbx.home.example", "192.0.2.7");
    world.system.search = vec!["lan".into(), "home.example".into()];
    world.system.hosts = vec![("gate".into(), "192.0.2.8".parse().unwrap())];
    let (outcome, _) = world.look_up(name("pbx", None, None));
    assert_eq!(outcome.targets, [udp("192.0.2.7:5060")]);
    let asked = world.asked.len();
    let (outcome, took) = world.look_up(name("gate", None, None));
    assert_eq!(outcome.targets, [udp("192.0.2.8:5060")]);
    assert_eq!((world.asked.len(), took), (asked, Duration::ZERO));
}

#[test]
fn tables_are_bounded() {
    let mut world = World::new(V4);
    for index in 0..1000 {
        let lookup = name(&format!("host{index}.example"), Some(5060), None);
        let (system, families) = (world.system.clone(), world.families);
        world
            .resolver
            .handle_lookup(lookup, &system, families, world.now);
        while world.resolver.poll_ask().is_some() {}
    }
    assert!(world.resolver.searches.len() <= MAX_SEARCHES);
}

#[test]
fn a_short_outage_is_not_taken_for_a_server_that_ignores_questions() {
    let families = Families {
        v4: true,
        v6: false,
    };
    let mut world = World::new(families).a("pbx.example", "192.0.2.1");
    let lookup = || name("pbx.example", Some(5060), Some(Transport::Udp));
    assert_eq!(world.look_up(lookup()).0.targets, [udp("192.0.2.1:5060")]);
    // The answer has run out when no name server answers any more.
    world.now += Duration::from_secs(101);
    world.start = world.now;
    world = world.silent(Kind::A, "pbx.example");
    world.look_up(lookup());
    world.give_up();
    world.now += Duration::from_secs(6);
    world = world.a("pbx.example", "192.0.2.2");
    assert_eq!(world.look_up(lookup()).0.targets, [udp("192.0.2.2:5060")]);
}

#[test]
fn addresses_are_kept_where_services_are_ignored() {
    let families = Families {
        v4: true,
        v6: false,
    };
    let mut world = World::new(families)
        .a("pbx.example", "192.0.2.1")
        .silent(Kind::Naptr, "pbx.example")
        .silent(Kind::Srv, "_sip._udp.pbx.example");
    world.look_up(name("pbx.example", None, Some(Transport::Udp)));
    let text = world.resolver.poll_text().unwrap_or_default();
    assert!(text.contains("192.0.2.1"), "{text:?}");
}

#[test]
fn servers_of_stun_and_turn_are_found_by_their_own_services() {
    let of = |service, transport, port| Lookup {
        service,
        ..name("example.net", port, Some(transport))
    };
    let target = |transport, address: &str| Target {
        transport,
        address: address.parse().unwrap(),
    };
    for (service, transport, record, default) in [
        (Service::Stun, Transport::Udp, "_stun._udp", 3478),
        (Service::Turn, Transport::Udp, "_turn._udp", 3478),
        (Service::Turn, Transport::Tcp, "_turn._tcp", 3478),
        (Service::Turn, Transport::Tls, "_turns._tcp", 5349),
    ] {
        let found = |port| vec![target(transport, &format!("192.0.2.1:{port}"))];
        let mut world = World::new(BOTH)
            .srv(&format!("{record}.example.net"), "relay.example.net", 7000)
            .srv("_sip._udp.example.net", "pbx.example.net", 5060)
            .a("relay.example.net", "192.0.2.7")
            .a("example.net", "192.0.2.1");
        let (outcome, _) = world.look_up(of(service, transport, None));
        assert_eq!(outcome.targets, [target(transport, "192.0.2.7:7000")]);
        assert!(!world.asked.iter().any(|asked| asked.contains("_sip")));
        // A port that is configured needs no such record.
        let (outcome, _) = world.look_up(of(service, transport, Some(9)));
        assert_eq!(outcome.targets, found(9));
        // Neither does a name that has none: the standard port counts.
        let mut world = World::new(BOTH).a("example.net", "192.0.2.1");
        let (outcome, _) = world.look_up(of(service, transport, None));
        assert_eq!(outcome.targets, found(default));
        // Nor one whose name server ignores the question.
        let mut world = World::new(BOTH)
            .silent(Kind::Srv, &format!("{record}.example.net"))
            .a("example.net", "192.0.2.1");
        let (outcome, took) = world.look_up(of(service, transport, None));
        assert_eq!(outcome.targets, found(default));
        assert!(took <= BUDGET, "{took:?}");
    }
}

#[test]
fn what_dns_gave_last_is_kept_for_each_service() {
    let lookup = |service| Lookup {
        service,
        ..name("example.net", None, Some(Transport::Udp))
    };
    let mut world = World::new(V4)
        .srv("_stun._udp.example.net", "stun.example.net", 3479)
        .a("stun.example.net", "192.0.2.8")
        .a("example.net", "192.0.2.1");
    let (stun, _) = world.look_up(lookup(Service::Stun));
    let (sip, _) = world.look_up(lookup(Service::Sip));
    assert_eq!(stun.targets, [udp("192.0.2.8:3479")]);
    assert_eq!(sip.targets, [udp("192.0.2.1:5060")]);
    let kept = |service| {
        world
            .resolver
            .last_good
            .get(&key(&lookup(service)))
            .unwrap()
    };
    assert_eq!(kept(Service::Stun), [udp("192.0.2.8:3479")]);
    assert_eq!(kept(Service::Sip), [udp("192.0.2.1:5060")]);
}

#[test]
fn a_server_of_the_other_family_is_named_as_that() {
    let v6 = Families {
        v4: false,
        v6: true,
    };
    let mut world = World::new(v6).a("pbx.example", "192.0.2.1");
    let (outcome, took) = world.look_up(name("pbx.example", Some(5060), None));
    assert_eq!(outcome.targets, []);
    assert!(took < BUDGET, "{took:?}");
    let fault = outcome.fault.unwrap().to_string();
    let expected = "DNS knows no IPv6 address of pbx.example, and this phone has no IPv4; check \
                    the name, or the network";
    assert_eq!(fault, expected);
    assert!(
        world
            .asked
            .iter()
            .all(|asked| !asked.starts_with("A record"))
    );
}

#[test]
fn records_without_a_lifetime_serve_the_search_that_asked() {
    let mut world = World::new(BOTH)
        .srv("_sip._udp.pbx.example", "one.example", 5070)
        .a("one.example", "192.0.2.1");
    world.ttl = Duration::ZERO;
    for round in 1..=3 {
        let (outcome, took) = world.look_up(name("pbx.example", None, Some(Transport::Udp)));
        assert_eq!(outcome.targets, [udp("192.0.2.1:5070")], "round {round}");
        assert!(took < BUDGET, "{took:?}");
        world.now += Duration::from_secs(1);
    }
    let asked = |what: &str| {
        world
            .asked
            .iter()
            .filter(|asked| asked.contains(what))
            .count()
    };
    assert_eq!(
        asked("SRV record of _sip._udp.pbx.example"),
        3,
        "asked each time"
    );
}
