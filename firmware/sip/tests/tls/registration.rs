//! Registrations by TLS, and the connection they keep alive.

use std::time::Duration;

use sip::{AccountId, Event, UserAgent};

use crate::Phone;

#[test]
fn a_failing_tls_registration_reports_and_backs_off() {
    let mut alice = Phone::with_line();
    assert_eq!(
        alice.asked[0].3,
        ["example.org", "192.0.2.9"],
        "the domain first, never a name out of DNS"
    );
    for _ in 0..9 {
        let before = alice.asked.len();
        alice.refuse("the certificate of example.org expired");
        for _ in 0..200 {
            alice.run(Duration::from_secs(1));
            if alice.asked.len() > before {
                break;
            }
        }
    }
    let seen = alice.events.iter().any(|event| {
        matches!(event, Event::Registration { account: AccountId(0), until: None,
            error: Some(error) } if error.contains("expired"))
    });
    assert!(seen, "{:?}", alice.events);
    assert_eq!(alice.sent, [], "nothing goes another way");
    let waits: Vec<f64> = alice
        .asked
        .windows(2)
        .map(|two| two[1].0 - two[0].0)
        .collect();
    assert!(
        waits[0] <= 2.1 && waits.iter().all(|wait| *wait <= 46.0),
        "all phones are back within a minute after an outage: {waits:?}"
    );
    let later = &waits[5..];
    assert!(
        later.iter().all(|wait| *wait > 20.0),
        "the wait grows: {waits:?}"
    );
    let whole = waits
        .iter()
        .all(|wait| (wait.log2() - wait.log2().round()).abs() < 0.01);
    assert!(
        !whole,
        "the wait is drawn, so that not all phones come at once: {waits:?}"
    );
    // The clock was set: the same once more, at once.
    alice.refuse("not valid yet");
    let before = alice.asked.len();
    alice.act(UserAgent::retry_registrations);
    assert_eq!(alice.asked.len(), before + 1);
}

#[test]
fn a_broken_tls_connection_is_registered_again() {
    let mut alice = Phone::with_line();
    let connection = alice.register();
    // A registrar cannot open a connection through a firewall; the contact is where this one comes
    // from.
    let contact = alice.contact(connection).to_string();
    assert!(
        contact.ends_with("@203.0.113.7:40000;transport=tls"),
        "{contact}"
    );
    let asked = alice.asked.len();
    alice.act(|agent, now| agent.handle_closed(connection, now));
    alice.run(Duration::from_secs(3));
    assert_eq!(
        alice.asked.len(),
        asked + 1,
        "a new connection within seconds"
    );
    assert!(alice.open() != connection);
}

#[test]
fn an_unanswered_keepalive_closes_the_connection() {
    for answers in [true, false] {
        let mut alice = Phone::with_line();
        let connection = alice.register();
        let pings = |phone: &Phone| {
            phone
                .sent
                .iter()
                .filter(|(_, text)| text == "\r\n\r\n")
                .count()
        };
        alice.run(Duration::from_secs(94));
        assert_eq!(pings(&alice), 0);
        alice.run(Duration::from_secs(27));
        assert_eq!(pings(&alice), 1);
        if answers {
            alice.hear(connection, "\r\n");
        }
        let closed = |phone: &Phone| phone.events.contains(&Event::Close(connection));
        alice.run(Duration::from_secs(131));
        assert_eq!(pings(&alice), 2);
        assert_eq!(
            closed(&alice),
            answers,
            "the silence of one that never answered proves nothing"
        );
    }
}
