//! SIP over TCP: reuse of connections, the 1300-byte rule with its way back, and what happens when
//! a connection breaks.

mod world;

use std::time::Duration;

use sip::agent::EndedBy;
use sip::{ConnectionId, Event, Transport};
use world::{World, account, config, media};

fn is_established(events: &[Event]) -> bool {
    events
        .iter()
        .any(|event| matches!(event, Event::Established { .. }))
}

fn answer(world: &mut World) -> sip::CallHandle {
    world.run_ms(200);
    let b = world.incoming(1);
    world.with(1, |bob, now| bob.answer(b, media(20_100), now));
    world.run_ms(200);
    b
}

#[test]
fn a_tcp_call_uses_one_connection() {
    let mut world = World::pair();
    let a = world.invite(0, "sip:bob@192.0.2.2:5060;transport=tcp");
    answer(&mut world);
    assert!(is_established(&world.events(0)));
    world.run(Duration::from_secs(10));
    world.with(0, |alice, now| alice.end(a, now));
    world.run_ms(200);
    let lines = world.first_words();
    assert_eq!(
        lines,
        [
            "INVITE",
            "SIP/2.0 100 Trying",
            "SIP/2.0 200 OK",
            "ACK",
            "BYE",
            "SIP/2.0 200 OK"
        ]
    );
    assert_eq!(world.connections(), 1);
    world.assert_empty();
}

#[test]
fn a_large_request_uses_tcp_then_udp() {
    for listens in [true, false] {
        let mut config_a = config("alice", "192.0.2.1:5060", 1);
        config_a.user_agent = "x".repeat(800);
        let mut world = World::new(vec![config_a, config("bob", "192.0.2.2:5060", 2)]);
        world.tcp = listens;
        let a = world.invite(0, "sip:bob@192.0.2.2");
        answer(&mut world);
        assert!(is_established(&world.events(0)), "listens: {listens}");
        assert_eq!(world.connections(), usize::from(listens));
        world.with(0, |alice, now| alice.end(a, now));
        world.run_ms(200);
        assert!(world.events(1).iter().any(|e| matches!(
            e,
            Event::Ended {
                by: EndedBy::Remote,
                ..
            }
        )));
        world.assert_empty();
    }
}

#[test]
fn a_small_request_opens_no_connection() {
    let mut world = World::pair();
    let a = world.invite(0, "sip:bob@192.0.2.2");
    answer(&mut world);
    world.with(0, |alice, now| alice.end(a, now));
    assert_eq!(world.connections(), 0);
    world.assert_empty();
}

#[test]
fn a_response_survives_a_broken_connection() {
    let mut world = World::pair();
    world.invite(0, "sip:bob@192.0.2.2;transport=tcp");
    world.run_ms(200);
    let b = world.incoming(1);
    world.break_connections();
    world.run_ms(100);
    // The caller's INVITE failed with its connection; the called phone still rings, and its refusal
    // finds no one who waits.
    assert!(world.events(0).iter().any(|e| matches!(
        e,
        Event::Ended {
            by: EndedBy::Failure,
            ..
        }
    )));
    world.with(1, |bob, now| bob.reject(b, 486, now));
    world.assert_empty();
}

#[test]
fn bye_reopens_a_broken_connection() {
    let mut world = World::pair();
    let a = world.invite(0, "sip:bob@192.0.2.2;transport=tcp");
    answer(&mut world);
    world.break_connections();
    world.run_ms(100);
    assert!(
        !world
            .events(0)
            .iter()
            .any(|e| matches!(e, Event::Ended { .. }))
    );
    world.with(0, |alice, now| alice.end(a, now));
    world.run_ms(200);
    assert!(world.events(1).iter().any(|e| matches!(
        e,
        Event::Ended {
            by: EndedBy::Remote,
            ..
        }
    )));
    world.assert_empty();
}

#[test]
fn a_refused_connection_fails_the_call() {
    let mut world = World::alone();
    world.invite(0, "sip:bob@192.0.2.7;transport=tcp");
    world.run_ms(100);
    assert!(matches!(
        &world.events(0)[..],
        [Event::Ended {
            by: EndedBy::Failure,
            code: Some(503),
            ..
        }]
    ));
    world.assert_empty();
}

#[test]
fn bytes_that_are_not_sip_close_the_connection() {
    let mut world = World::alone();
    let (connection, remote) = (ConnectionId(1 << 40), "192.0.2.9:4000".parse().unwrap());
    let now = world.now;
    let phone = &mut world.phones[0].agent;
    phone.handle_connected(connection, remote, now);
    phone.handle_stream(connection, b"\r\n\r\n", now);
    assert_eq!(phone.poll_transmit().unwrap().bytes, b"\r\n");
    phone.handle_stream(connection, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", now);
    assert_eq!(phone.poll_event(), Some(Event::Close(connection)));
    phone.handle_stream(connection, b"more", now);
    assert_eq!(phone.poll_event(), None);
    assert_eq!(phone.counters().malformed, 1);
}

#[test]
fn request_without_content_length_gets_400_and_the_end() {
    for (length, reason) in [
        ("", "Missing Content-Length"),
        ("Content-Length: x\r\n", "Bad"),
    ] {
        let mut world = World::alone();
        let (connection, remote) = (ConnectionId(1 << 40), "192.0.2.9:4000".parse().unwrap());
        let now = world.now;
        let phone = &mut world.phones[0].agent;
        phone.handle_connected(connection, remote, now);
        let text = world::Ask {
            method: "OPTIONS",
            extra: String::new(),
            body: String::new(),
            ..world::Ask::invite()
        }
        .text()
        .replace("Content-Length: 0\r\n", length);
        phone.handle_stream(connection, text.as_bytes(), now);
        let answer = String::from_utf8(phone.poll_transmit().unwrap().bytes).unwrap();
        assert!(
            answer.starts_with(&format!("SIP/2.0 400 {reason}")),
            "{answer}"
        );
        assert_eq!(phone.poll_event(), Some(Event::Close(connection)));
        // An ACK is never answered.
        let mut world = World::alone();
        let phone = &mut world.phones[0].agent;
        phone.handle_connected(connection, remote, now);
        phone.handle_stream(connection, text.replace("OPTIONS", "ACK").as_bytes(), now);
        assert!(phone.poll_transmit().is_none());
        assert_eq!(phone.poll_event(), Some(Event::Close(connection)));
    }
}

#[test]
fn a_tcp_account_registers_over_one_connection() {
    let mut config_a = config("alice", "192.0.2.1:5060", 1);
    config_a.accounts.push(sip::AccountConfig {
        transport: Transport::Tcp,
        ..account("101", "192.0.2.2", "secret")
    });
    let mut world = World::new(vec![config_a, config("bob", "192.0.2.2:5060", 2)]);
    world.run_ms(500);
    // Bob is no registrar and says so; what counts here is that both went over one connection.
    assert_eq!(
        (
            world.sent("REGISTER"),
            world.sent("SIP/2.0 405"),
            world.connections()
        ),
        (1, 1, 1)
    );
}
