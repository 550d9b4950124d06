//! What a server may say unasked, and what it may not.

use super::*;
use crate::env::tests::{account, request, with_accounts};
use crate::flow::{Target, Transport};
use crate::message::Host;
use crate::shared::Shared;

const SERVER: &str = "192.0.2.50:5060";
const STRANGER: &str = "192.0.2.66:5060";

fn desk() -> (Unsolicited, Shared) {
    let now = crate::timer::epoch();
    let accounts = vec![account("101", "192.0.2.50", "secret")];
    let mut shared = Shared::new(with_accounts(accounts), now);
    let address: std::net::SocketAddr = SERVER.parse().unwrap();
    let found = Target {
        transport: Transport::Udp,
        address,
    };
    let host = Host::from(address.ip());
    shared.registrations.handle_targets(0, &host, &[found]);
    (Unsolicited::new(Verifier::new("k".repeat(32), now)), shared)
}

fn notify(user: &str, event: &str, kind: &str, body: &str) -> Request {
    let kind = match kind {
        "" => String::new(),
        kind => format!("Content-Type: {kind}\r\n"),
    };
    request(&format!(
        "NOTIFY sip:{user}@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.50;branch=z9hG4bK1\r\n\
         From: <sip:x@192.0.2.50>;tag=p\r\nTo: <sip:a@192.0.2.1>\r\nCall-ID: c\r\n\
         CSeq: 1 NOTIFY\r\nEvent: {event}\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

#[test]
fn a_mailbox_is_believed_to_the_accounts_server_alone() {
    let (mut unsolicited, shared) = desk();
    let (kind, body) = (
        "application/simple-message-summary",
        "Messages-Waiting: yes\r\nVoice-Message: 2/1\r\n",
    );
    let event = "message-summary";
    for (account, from, kind, body, code, learns) in [
        (Some(0), SERVER, kind, body, 200, true),
        (Some(0), SERVER, "", "", 200, false),
        (Some(0), STRANGER, kind, body, 481, false),
        (None, SERVER, kind, body, 481, false),
        (Some(0), SERVER, "text/plain", body, 415, false),
        (Some(0), SERVER, kind, "no summary", 400, false),
    ] {
        let flow = Flow::Udp {
            remote: from.parse().unwrap(),
        };
        let asked = notify("a", event, kind, body);
        let parts = (&shared.registrations, &shared.env);
        let now = crate::timer::epoch();
        let (reply, learned) = unsolicited.handle_notify(account, flow, &asked, parts, now);
        assert_eq!(
            (reply.code, learned.is_some()),
            (code, learns),
            "{from} {body}"
        );
    }
}

#[test]
fn check_sync_needs_the_registrars_way_or_the_password() {
    let (mut unsolicited, shared) = desk();
    let own = shared.registrations.get(0).unwrap().contact_user();
    for (account, from, user, code, reboot) in [
        (Some(0), SERVER, own, 200, Some(true)),
        // A datagram of the server's address proves nothing without our contact.
        (Some(0), SERVER, "guessed", 401, None),
        (Some(0), STRANGER, own, 401, None),
        (None, SERVER, own, 403, None),
    ] {
        let flow = Flow::Udp {
            remote: from.parse().unwrap(),
        };
        let asked = notify(user, "check-sync;reboot=true", "", "");
        let parts = (&shared.registrations, &shared.env);
        let now = crate::timer::epoch();
        let (reply, learned) = unsolicited.handle_notify(account, flow, &asked, parts, now);
        let learned = learned.map(|event| match event {
            Event::CheckSync { reboot, .. } => reboot,
            _other => panic!("another event"),
        });
        assert_eq!((reply.code, learned), (code, reboot), "{from} {user}");
    }
}

/// A connection proves where it leads to: the one the account registered along is the registrar's,
/// and any other may be anybody's.
#[test]
fn check_sync_along_a_connection_needs_that_of_the_registration() {
    use crate::flow::Transport::{Tcp, Tls};
    let (mut unsolicited, shared) = desk();
    let own = shared.registrations.get(0).unwrap().contact_user();
    for transport in [Tcp, Tls] {
        for from in [SERVER, STRANGER] {
            let remote = from.parse().unwrap();
            let flow = Flow::of(transport, crate::ids::ConnectionId(7), remote);
            let asked = notify(own, "check-sync", "", "");
            let parts = (&shared.registrations, &shared.env);
            let now = crate::timer::epoch();
            let (reply, learned) = unsolicited.handle_notify(Some(0), flow, &asked, parts, now);
            assert_eq!((reply.code, learned), (401, None), "{transport:?} {from}");
        }
    }
}

#[test]
fn packages_that_need_a_subscription_are_refused_without() {
    let (mut unsolicited, shared) = desk();
    for (event, code) in [
        ("keep-alive", 200),
        ("dialog", 481),
        ("reg", 481),
        ("refer", 481),
        ("presence", 489),
    ] {
        let flow = Flow::Udp {
            remote: SERVER.parse().unwrap(),
        };
        let asked = notify("a", event, "", "");
        let parts = (&shared.registrations, &shared.env);
        let now = crate::timer::epoch();
        let (reply, learned) = unsolicited.handle_notify(Some(0), flow, &asked, parts, now);
        assert_eq!((reply.code, learned.is_some()), (code, false), "{event}");
    }
}
