//! The responder in virtual time, with others on its link.

use super::*;

const OURS: [IpAddr; 1] = [IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 1, 20))];

fn other() -> SocketAddr {
    "192.168.1.30:5353".parse().unwrap()
}

/// Runs until the name is ours; what was sent to the group, in order.
fn drained(responder: &mut Responder, now: &mut Instant) -> Vec<Message> {
    let mut sent = Vec::new();
    while let Some(at) = responder.poll_timeout() {
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
        let theirs = claim("kitchen.local.", [192, 168, 1, 30], MessageType::Response);
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

#[test]
fn of_two_that_probe_at_once_one_gives_way() {
    for (theirs, gives_way) in [([192, 168, 1, 30], true), ([192, 168, 1, 10], false)] {
        let now = Instant::now();
        let mut responder = Responder::new("kitchen", 0, now);
        let from = SocketAddr::from((theirs, 5353));
        let probe = claim("kitchen.local.", theirs, MessageType::Query);
        responder.handle_datagram(from, &probe, &OURS, now);
        assert_eq!(responder.label() != "kitchen", gives_way, "{theirs:?}");
    }
}
