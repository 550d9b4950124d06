//! The responder in virtual time, with others on its link.

use super::*;

const OURS: [IpAddr; 1] = [IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 1, 20))];

fn other() -> SocketAddr {
    "192.168.1.30:5353".parse().unwrap()
}

/// Runs until the name is ours; what was sent to the group, in order.
fn drained(responder: &mut Responder, now: &mut Instant) -> Vec<Message> {
    let mut sent = Vec::new();
    while let Some(at) = responder.poll_timeout()
        && !matches!(responder.state, State::Running(_))
    {
        *now = at;
        responder.handle_timeout(*now);
        while let Some((destination, bytes)) = responder.poll_transmit(&OURS) {
            assert_eq!(destination, Destination::Group);
            sent.push(Message::from_vec(&bytes).unwrap());
        }
    }
    sent
}

fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn claim(name: &str, address: [u8; 4], kind: MessageType) -> Vec<u8> {
    let mut message = Message::new(0, kind, OpCode::Query);
    let name = Name::from_ascii(name).unwrap();
    let record = Record::from_rdata(name.clone(), 120, RData::A(A(address.into())));
    match kind {
        MessageType::Response => message.add_answer(record),
        MessageType::Query => {
            message.add_query(Query::query(name, RecordType::ANY));
            message.add_authority(record)
        }
    };
    message.to_vec().unwrap()
}

#[test]
fn a_name_is_probed_for_then_announced() {
    let mut now = Instant::now();
    let start = now;
    let mut responder = Responder::new("Kitchen", 100, now);
    let sent = drained(&mut responder, &mut now);
    let kinds: Vec<_> = sent
        .iter()
        .map(|message| message.metadata.message_type)
        .collect();
    let (query, response) = (MessageType::Query, MessageType::Response);
    assert_eq!(kinds, [query, query, query, response, response]);
    assert_eq!(sent[0].queries[0].name.to_ascii(), "kitchen.local.");
    assert_eq!(sent[0].authorities.len(), 1);
    assert!(sent[3].answers[0].mdns_cache_flush);
    assert!(now - start < Duration::from_secs(4), "{:?}", now - start);
}

#[test]
fn questions_are_answered_to_whoever_asks() {
    let mut now = Instant::now();
    let mut responder = Responder::new("kitchen", 0, now);
    drained(&mut responder, &mut now);
    now += Duration::from_secs(60);
    let ask = |responder: &mut Responder, message: &Message, from: SocketAddr, now| {
        let bytes = message.to_vec().unwrap();
        responder.handle_datagram(from, &bytes, &OURS, now);
        let sent = responder.poll_transmit(&OURS);
        sent.map(|(to, bytes)| (to, Message::from_vec(&bytes).unwrap()))
    };
    // A resolver that knows nothing of mDNS asks from a port of its own.
    let asker: SocketAddr = "192.168.1.30:40000".parse().unwrap();
    let plain = query("KITCHEN.local.", RecordType::A);
    let (to, answer) = ask(&mut responder, &plain, asker, now).unwrap();
    assert_eq!(to, Destination::Unicast(asker));
    assert_eq!(
        (answer.metadata.id, answer.answers[0].ttl),
        (7, LEGACY_TTL_S)
    );
    assert!(!answer.answers[0].mdns_cache_flush && answer.queries.len() == 1);
    // Another responder asks the group; a second question within a second is not answered again.
    let (to, _) = ask(&mut responder, &plain, other(), now).unwrap();
    assert_eq!(to, Destination::Group);
    assert_eq!(ask(&mut responder, &plain, other(), now), None);
    now += MIN_MULTICAST_INTERVAL;
    assert!(ask(&mut responder, &plain, other(), now).is_some());
    let mut direct = plain.clone();
    direct.queries[0].set_mdns_unicast_response(true);
    let (to, _) = ask(&mut responder, &direct, other(), now).unwrap();
    assert_eq!(to, Destination::Unicast(other()));
    // What does not concern us.
    for message in [
        query("hall.local.", RecordType::A),
        query("kitchen.local.", RecordType::SRV),
    ] {
        assert_eq!(ask(&mut responder, &message, asker, now), None);
    }
    responder.handle_datagram(asker, &[0xff; 100], &OURS, now);
    assert_eq!(responder.poll_transmit(&OURS), None);
}

#[test]
fn a_name_of_somebody_else_is_left_to_it() {
    for running in [false, true] {
        let mut now = Instant::now();
        let mut responder = Responder::new("kitchen", 0, now);
        if running {
            drained(&mut responder, &mut now);
        }
        let theirs = claim("KITCHEN.local.", [192, 168, 1, 30], MessageType::Response);
        if running {
            // Section 9: it is probed for again, however often it is claimed before.
            for _ in 0..3 {
                responder.handle_datagram(other(), &theirs, &OURS, now);
            }
            now = responder.poll_timeout().unwrap();
        }
        assert_eq!(responder.label(), "kitchen");
        responder.handle_timeout(now);
        let (_, probe) = responder.poll_transmit(&OURS).unwrap();
        let probe = Message::from_vec(&probe).unwrap();
        assert_eq!(probe.queries[0].name.to_ascii(), "kitchen.local.");
        // The other one answers.
        responder.handle_datagram(other(), &theirs, &OURS, now);
        let sent = drained(&mut responder, &mut now);
        assert_eq!(responder.label(), "kitchen-2", "running: {running}");
        assert_eq!(sent[0].queries[0].name.to_ascii(), "kitchen-2.local.");
        // Our own announcement is no conflict.
        let ours = claim("kitchen-2.local.", [192, 168, 1, 20], MessageType::Response);
        responder.handle_datagram("192.168.1.20:5353".parse().unwrap(), &ours, &OURS, now);
        assert_eq!(responder.label(), "kitchen-2");
    }
}

/// Several responders on one link, each with its address; everything sent is heard by all.
struct Wire {
    now: Instant,
    phones: Vec<(Responder, IpAddr)>,
    sent: usize,
}

impl Wire {
    /// Phones of one name that are switched on together.
    fn of(names: &[(&str, [u8; 4])], apart: Duration) -> Self {
        let now = Instant::now();
        let phone = |(index, (name, address)): (usize, &(&str, [u8; 4]))| {
            let start = now + apart * index as u32;
            (Responder::new(name, 100, start), IpAddr::from(*address))
        };
        Self {
            now,
            phones: names.iter().enumerate().map(phone).collect(),
            sent: 0,
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let mut heard = Vec::new();
            for (responder, address) in &mut self.phones {
                responder.handle_timeout(self.now);
                while let Some((to, bytes)) = responder.poll_transmit(&[*address]) {
                    heard.push((*address, to, bytes));
                }
            }
            self.sent += heard.len();
            let quiet = heard.is_empty();
            for (from, to, bytes) in heard {
                let from = SocketAddr::new(from, PORT);
                for (responder, address) in &mut self.phones {
                    let reaches = match to {
                        Destination::Group => true,
                        Destination::Unicast(to) => to.ip() == *address,
                    };
                    if reaches {
                        responder.handle_datagram(from, &bytes, &[*address], self.now);
                    }
                }
            }
            if !quiet {
                continue;
            }
            let due = self
                .phones
                .iter()
                .filter_map(|(r, _)| r.poll_timeout())
                .min();
            let Some(due) = due.filter(|due| *due <= end) else {
                break;
            };
            self.now = due.max(self.now);
        }
        self.now = end;
    }

    fn labels(&self) -> Vec<String> {
        let mut labels: Vec<_> = self.phones.iter().map(|(r, _)| r.label()).collect();
        labels.sort();
        labels
    }
}

#[test]
fn of_two_that_probe_at_once_one_gives_way() {
    // Section 8.2: the one whose records come later in order goes on; the other probes again after
    // a second, and takes another name because the first one answers.
    for (theirs, gives_way) in [([192, 168, 1, 30], true), ([192, 168, 1, 10], false)] {
        let now = Instant::now();
        let mut responder = Responder::new("kitchen", 0, now);
        responder.handle_timeout(now);
        let from = SocketAddr::from((theirs, 5353));
        let probe = claim("Kitchen.local.", theirs, MessageType::Query);
        responder.handle_datagram(from, &probe, &OURS, now);
        let waits = responder.poll_timeout().unwrap() - now;
        let again = if gives_way { LOST_TIE } else { PROBE };
        assert_eq!(waits, again, "{theirs:?}");
        assert_eq!(responder.label(), "kitchen");
    }
    for apart in [0, 1, 200, 400, 700, 2000] {
        let names = [
            ("phone", [192, 168, 1, 20]),
            ("Phone", [192, 168, 1, 30]),
            ("PHONE", [192, 168, 1, 10]),
        ];
        let mut wire = Wire::of(&names, Duration::from_millis(apart));
        wire.run(Duration::from_secs(20));
        assert_eq!(wire.labels(), ["phone", "phone-2", "phone-3"], "{apart}");
        assert!(wire.sent <= 60, "{} messages", wire.sent);
        // And so it stays.
        let sent = wire.sent;
        wire.run(Duration::from_secs(86_400));
        assert_eq!((wire.sent, wire.labels().len()), (sent, 3));
    }
}

#[test]
fn two_networks_that_become_one_have_two_names() {
    let address = |last: u8| [192, 168, 1, last];
    let mut wire = Wire::of(&[("phone", address(20))], Duration::ZERO);
    wire.run(Duration::from_secs(10));
    let mut other = Wire::of(&[("phone", address(30))], Duration::ZERO);
    other.run(Duration::from_secs(10));
    let (mut joined, ip) = other.phones.pop().unwrap();
    // A switch joins them: the first word of one of them is a claim to the other.
    joined.announce(0, wire.now);
    wire.phones.push((joined, ip));
    wire.run(Duration::from_secs(20));
    assert_eq!(wire.labels(), ["phone", "phone-2"]);
}

#[test]
fn a_goodbye_claims_nothing_and_is_said_by_whoever_leaves() {
    let mut now = Instant::now();
    let mut responder = Responder::new("kitchen", 0, now);
    responder.say_goodbye();
    assert_eq!(responder.poll_transmit(&OURS), None, "it has no name yet");
    drained(&mut responder, &mut now);
    let mut theirs = claim("kitchen.local.", [192, 168, 1, 30], MessageType::Response);
    // The lifetime: four octets before the length and the address.
    let end = theirs.len();
    theirs[end - 10..end - 6].fill(0);
    responder.handle_datagram(other(), &theirs, &OURS, now);
    assert_eq!(responder.poll_timeout(), None, "still ours");
    responder.say_goodbye();
    let (to, bytes) = responder.poll_transmit(&OURS).unwrap();
    let goodbye = Message::from_vec(&bytes).unwrap();
    assert_eq!((to, goodbye.answers[0].ttl), (Destination::Group, 0));
    assert_eq!(goodbye.answers[0].name.to_ascii(), "kitchen.local.");
    assert_eq!(responder.poll_transmit(&OURS), None);
}

#[test]
fn an_answer_that_is_known_is_not_repeated() {
    let mut now = Instant::now();
    let mut responder = Responder::new("kitchen", 0, now);
    drained(&mut responder, &mut now);
    now += Duration::from_secs(60);
    for (address, ttl, answered) in [
        ([192, 168, 1, 20], 120, false),
        ([192, 168, 1, 20], 59, true),
        ([192, 168, 1, 21], 120, true),
    ] {
        now += MIN_MULTICAST_INTERVAL;
        let mut ask = query("kitchen.local.", RecordType::A);
        let name = ask.queries[0].name.clone();
        ask.add_answer(Record::from_rdata(name, ttl, RData::A(A(address.into()))));
        responder.handle_datagram(other(), &ask.to_vec().unwrap(), &OURS, now);
        let sent = responder.poll_transmit(&OURS).is_some();
        assert_eq!(sent, answered, "{address:?} {ttl}");
    }
}

/// A hostile neighbour that claims whatever name the phone has or tries, for ten minutes.
#[test]
fn whoever_claims_every_name_costs_little_and_the_name_comes_back() {
    let mut now = Instant::now();
    let start = now;
    let mut responder = Responder::new("kitchen", 0, now);
    drained(&mut responder, &mut now);
    let mut sent = 0;
    let hostile = Duration::from_secs(600);
    while now - start < hostile {
        for kind in [MessageType::Response, MessageType::Query] {
            let name = format!("{}.local.", responder.label());
            let bytes = claim(&name, [192, 168, 1, 250], kind);
            responder.handle_datagram(other(), &bytes, &OURS, now);
        }
        responder.handle_timeout(now);
        while responder.poll_transmit(&OURS).is_some() {
            sent += 1;
        }
        now += Duration::from_millis(10);
    }
    // Sixteen names at once, then one in five seconds.
    assert!(responder.conflicts <= 16 + 120, "{}", responder.conflicts);
    assert!(sent <= 1000, "{sent} messages in ten minutes");
    // It is gone: the phone has a name within seconds, and its own again after a while.
    let left = now;
    drained(&mut responder, &mut now);
    assert!(now - left < Duration::from_secs(15), "{:?}", now - left);
    assert_ne!(responder.label(), "kitchen");
    now = responder.poll_timeout().unwrap();
    responder.handle_timeout(now);
    drained(&mut responder, &mut now);
    assert_eq!(responder.label(), "kitchen");
    assert!(now - left <= REGAIN + Duration::from_secs(20));
    assert_eq!(responder.poll_timeout(), None);
}

#[test]
fn a_flood_of_questions_gets_few_answers() {
    let mut now = Instant::now();
    let mut responder = Responder::new("kitchen", 0, now);
    drained(&mut responder, &mut now);
    let plain = query("kitchen.local.", RecordType::ANY);
    let mut direct = plain.clone();
    direct.queries[0].set_mdns_unicast_response(true);
    let probe = claim("kitchen.local.", [192, 168, 1, 30], MessageType::Query);
    let (mut group, mut single) = (0, 0);
    for n in 0..10_000_u16 {
        now += Duration::from_millis(1);
        let legacy: SocketAddr = ([192, 168, 1, 30], 10_000 + n).into();
        for (from, bytes) in [
            (other(), plain.to_vec().unwrap()),
            (other(), direct.to_vec().unwrap()),
            (other(), probe.clone()),
            (legacy, plain.to_vec().unwrap()),
        ] {
            responder.handle_datagram(from, &bytes, &OURS, now);
        }
        while let Some((to, _)) = responder.poll_transmit(&OURS) {
            match to {
                Destination::Group => group += 1,
                Destination::Unicast(_) => single += 1,
            }
        }
    }
    // Ten seconds.
    assert!((10..=42).contains(&group), "{group} to the group");
    assert!((400..=550).contains(&single), "{single} to single askers");
}

#[test]
fn oversized_and_broken_messages_change_nothing() {
    let mut now = Instant::now();
    let mut responder = Responder::new(&"k".repeat(63), 0, now);
    drained(&mut responder, &mut now);
    let name = format!("{}.local.", responder.label());
    // As many questions as a datagram holds: one answer, with one question.
    let mut many = query(&name, RecordType::A);
    for _ in 0..100 {
        many.add_query(many.queries[0].clone());
    }
    let legacy: SocketAddr = "192.168.1.30:40000".parse().unwrap();
    responder.handle_datagram(legacy, &many.to_vec().unwrap(), &OURS, now);
    let (_, bytes) = responder.poll_transmit(&OURS).unwrap();
    let answer = Message::from_vec(&bytes).unwrap();
    assert_eq!((answer.queries.len(), answer.answers.len()), (1, 1));
    assert!(bytes.len() < 200, "{}", bytes.len());
    // Every way to cut or to spoil a claim, and pointers that lead round.
    let whole = claim(&name, [192, 168, 1, 30], MessageType::Response);
    for at in 0..whole.len() {
        responder.handle_datagram(other(), &whole[..at], &OURS, now);
        let mut spoilt = query("hall.local.", RecordType::A).to_vec().unwrap();
        let place = at % spoilt.len();
        spoilt[place] = 0xC0;
        responder.handle_datagram(other(), &spoilt, &OURS, now);
    }
    responder.handle_datagram(other(), &[0xC0; 9000], &OURS, now);
    assert_eq!(responder.label().len(), 63);
    assert_eq!(responder.poll_timeout(), None, "still ours");
    // The longest label has room for a number, too.
    responder.handle_datagram(other(), &whole, &OURS, now);
    now = responder.poll_timeout().unwrap();
    responder.handle_timeout(now);
    responder.handle_datagram(other(), &whole, &OURS, now);
    assert!(responder.label().len() == 63 && responder.label().ends_with("k-2"));
    drained(&mut responder, &mut now);
    assert!(matches!(responder.state, State::Running(None)));
}

#[test]
fn a_machine_with_a_thousand_addresses_announces_a_few() {
    let ours: Vec<IpAddr> = (0..1000_u16)
        .map(|n| IpAddr::from([10, 0, (n / 250) as u8, (n % 250) as u8 + 1]))
        .collect();
    let now = Instant::now();
    let mut responder = Responder::new("kitchen", 0, now);
    responder.handle_timeout(now);
    let (_, bytes) = responder.poll_transmit(&ours).unwrap();
    assert!(bytes.len() < 1200, "{}", bytes.len());
}
