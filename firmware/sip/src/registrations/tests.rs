//! Which account a request is for, and what its server says of it.

use super::*;
use crate::env::tests::{account, request, with_accounts};
use crate::event_body::RegInfo;
use crate::shared::Shared;

const SERVERS: [&str; 2] = ["192.0.2.50", "192.0.2.60"];

/// Two accounts, the second one by TLS.
fn two() -> Shared {
    let mut tls = account("102", SERVERS[1], "secret");
    tls.transport = Transport::Tls;
    let accounts = vec![account("101", SERVERS[0], "secret"), tls];
    let mut shared = Shared::new(with_accounts(accounts), crate::timer::epoch());
    for (account, server) in SERVERS.iter().enumerate() {
        let address = format!("{server}:5060").parse().unwrap();
        let found = Target {
            transport: Transport::Udp,
            address,
        };
        let host = Host::from(address.ip());
        shared
            .registrations
            .handle_targets(account, &host, &[found]);
    }
    shared
}

fn udp(ip: &str) -> Flow {
    Flow::Udp {
        remote: format!("{ip}:5060").parse().unwrap(),
    }
}

fn tls(ip: &str) -> Flow {
    Flow::Tls {
        remote: format!("{ip}:5061").parse().unwrap(),
        connection: ConnectionId(1),
    }
}

fn invite(uri: &str, to: &str) -> Request {
    request(&format!(
        "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n\
         From: <sip:p@192.0.2.9>;tag=p\r\nTo: <sip:{to}@192.0.2.1>\r\n\
         Call-ID: c\r\nCSeq: 1 INVITE\r\n\r\n"
    ))
}

#[test]
fn a_request_is_for_the_account_of_its_contact_its_server_or_none() {
    let shared = two();
    let contact = |account: usize| {
        let registration = shared.registrations.get(account).unwrap();
        format!("sip:{}@192.0.2.1", registration.contact_user())
    };
    let other = "sip:x@192.0.2.1";
    for (flow, uri, to, direct, expected) in [
        // The contact that no one can guess, wherever the request comes from.
        (udp("192.0.2.9"), contact(0), "x", false, ByAccount::Yes(0)),
        (tls("192.0.2.9"), contact(1), "x", false, ByAccount::Yes(1)),
        (
            udp("192.0.2.9"),
            contact(1),
            "x",
            false,
            ByAccount::Insecure,
        ),
        // An account's server; by TLS only where the account uses it.
        (udp(SERVERS[0]), other.into(), "x", false, ByAccount::Yes(0)),
        (tls(SERVERS[1]), other.into(), "x", false, ByAccount::Yes(1)),
        (udp(SERVERS[1]), other.into(), "x", false, ByAccount::No),
        // Where anyone may call, a server's host may as well, and names no account then.
        (
            udp(SERVERS[0]),
            other.into(),
            "x",
            true,
            ByAccount::FromServer,
        ),
        (
            udp(SERVERS[0]),
            other.into(),
            "101",
            true,
            ByAccount::Yes(0),
        ),
        (udp("192.0.2.9"), other.into(), "101", true, ByAccount::No),
    ] {
        let config = &shared.env.config;
        let found = shared
            .registrations
            .by_account(flow, &invite(&uri, to), config, direct);
        assert_eq!(found, expected, "{flow:?} {uri} {to} {direct}");
    }
}

#[test]
fn hosts_are_servers_of_an_account_or_of_none() {
    let shared = two();
    let ip = |text: &str| text.parse().unwrap();
    assert!(shared.registrations.has_server(ip(SERVERS[1])));
    assert!(!shared.registrations.has_server(ip("192.0.2.9")));
    assert!(shared.is_trusted(Some(0), ip(SERVERS[0])));
    assert!(!shared.is_trusted(Some(0), ip(SERVERS[1])));
    assert!(!shared.is_trusted(None, ip(SERVERS[0])));
    assert!(!shared.is_trusted(Some(7), ip(SERVERS[0])));
}

#[test]
fn only_the_end_of_this_phones_own_binding_counts() {
    let mut shared = two();
    let own = shared
        .registrations
        .get(0)
        .unwrap()
        .contact_user()
        .to_owned();
    let info = |user: &str, state: &str, full: bool| {
        let full = if full { "full" } else { "partial" };
        let body = format!(
            "<?xml version=\"1.0\"?><reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" \
             version=\"0\" state=\"{full}\"><registration aor=\"sip:101@x\" id=\"a\" \
             state=\"active\"><contact id=\"1\" {state}><uri>sip:{user}@192.0.2.1</uri>\
             </contact></registration></reginfo>"
        );
        RegInfo::parse(body.as_bytes()).unwrap()
    };
    let gone = "state=\"terminated\" event=\"unregistered\"";
    let active = "state=\"active\" event=\"registered\"";
    let removed = |named| Binding::Removed { after_s: 0, named };
    for (user, state, full, expected) in [
        (own.as_str(), gone, false, removed(true)),
        (own.as_str(), active, true, Binding::Unchanged),
        ("other", gone, false, Binding::Unchanged),
        // A full list without it says so, too.
        ("other", active, true, removed(false)),
    ] {
        let found = shared
            .registrations
            .handle_info(0, &info(user, state, full));
        assert_eq!(found, expected, "{user} {state} {full}");
    }
}
