//! Several accounts in one phone: each with its own server, transport, identity and policy, and
//! every call with its account.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod world;

use sip::media_security::MediaSecurity;
use sip::message::{Method, Request};
use sip::{AccountConfig, AccountId, Event, Transport};
use world::{Ask, World, account, config, media};

/// Where the servers of the two accounts are.
const SERVERS: [&str; 2] = ["192.0.2.9:5060", "192.0.2.10:5060"];
const SDP: &str = "Content-Type: application/sdp\r\n";

/// Alice is 101 at the one and 202 at the other, which takes encrypted calls only; the contacts
/// she is registered with.
fn registered() -> (World, [String; 2]) {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.direct_calls = false;
    config.direct_callers = sip::DirectCallers::Listed;
    config.accounts = vec![
        account("101", "192.0.2.9", "secret101"),
        AccountConfig {
            media_security: MediaSecurity {
                policy_over_clear: types::EncryptionPolicy::Required,
                ..MediaSecurity::default()
            },
            ..account("202", "192.0.2.10", "secret202")
        },
    ];
    let mut world = World::new(vec![config]);
    let mut contacts = [String::new(), String::new()];
    world.run_ms(1);
    for _ in SERVERS {
        let (to, request) = world.request_at(&Method::Register);
        let server = of_server(&to.to_string());
        let contact = request.headers.get("Contact").unwrap().to_owned();
        let address = SERVERS[server];
        world.answer(
            &request,
            200,
            Some("r"),
            address,
            &[("Contact", &contact)],
            None,
        );
        let uri = contact
            .split_once('<')
            .and_then(|(_, rest)| rest.split_once('>'));
        uri.unwrap().0.clone_into(&mut contacts[server]);
    }
    world.run_ms(50);
    let bound = |event: &Event| match event {
        Event::Registration {
            account,
            until: Some(_),
            ..
        } => Some(account.0),
        _ => None,
    };
    let mut accounts: Vec<usize> = world.events(0).iter().filter_map(bound).collect();
    accounts.sort_unstable();
    assert_eq!(accounts, [0, 1]);
    (world, contacts)
}

fn of_server(address: &str) -> usize {
    let mut servers = SERVERS.iter();
    let found = servers.position(|server| *server == address);
    found.unwrap_or_else(|| panic!("{address} is no server"))
}

/// The INVITE of a call by this account, and where it went.
fn placed(world: &mut World, account: usize) -> (usize, Request) {
    world.inbox.clear();
    let by = Some(AccountId(account));
    let call = world.with(0, |alice, now| alice.invite(by, "300", media(20_000), now));
    let (to, invite) = world.request_at(&Method::Invite);
    world.with(0, |alice, now| alice.end(call.unwrap(), now));
    (of_server(&to.to_string()), invite)
}

#[test]
fn each_account_calls_by_its_own_server_and_name() {
    let (mut world, contacts) = registered();
    for (account, user) in [(0, "101"), (1, "202")] {
        let (server, invite) = placed(&mut world, account);
        assert_eq!(server, account);
        let from = invite.headers.from().unwrap().uri.user();
        assert_eq!(from.as_deref(), Some(user));
        let contact = invite.headers.get("Contact").unwrap();
        assert!(contact.contains(&contacts[account]), "{contact}");
    }
}

#[test]
fn incoming_call_carries_its_account() {
    let (mut world, contacts) = registered();
    for (account, contact) in contacts.iter().enumerate() {
        let invite = Ask {
            branch: ["z9hG4bKa", "z9hG4bKb"][account],
            call_id: ["call-a", "call-b"][account],
            from: SERVERS[account],
            extra: SDP.into(),
            ..Ask::invite()
        };
        let text = invite.text().replacen("sip:alice@192.0.2.1", contact, 1);
        // Its own policy, too: the second account takes no call in the clear.
        world.send(SERVERS[account], 0, text);
        world.response(if account == 0 { 100 } else { 488 });
        let events = world.events(0);
        let by: Vec<Option<AccountId>> = events
            .iter()
            .filter_map(|event| match event {
                Event::Incoming { account, .. } => Some(*account),
                _ => None,
            })
            .collect();
        let wanted = [Some(AccountId(0))];
        assert_eq!(by, wanted[..1 - account], "account {account}");
    }
}

#[test]
fn challenge_is_answered_by_the_accounts_own_password() {
    let (mut world, _) = registered();
    let challenge = "Digest realm=\"r\", nonce=\"n\"";
    for (account, user) in [(0, "101"), (1, "202")] {
        world.inbox.clear();
        let by = Some(AccountId(account));
        world
            .with(0, |alice, now| alice.send_message(by, "300", "x", now))
            .unwrap();
        let message = world.request(&Method::Message);
        let asked = [("WWW-Authenticate", challenge)];
        world.answer(&message, 401, Some("r"), SERVERS[account], &asked, None);
        let again = world.request(&Method::Message);
        let authorization = again.headers.get("Authorization").unwrap();
        assert!(authorization.contains(&format!("username=\"{user}\"")));
        world.answer(&again, 200, Some("r"), SERVERS[account], &[], None);
    }
}

#[test]
fn each_account_uses_its_own_transport() {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.accounts = vec![
        account("101", "192.0.2.9", "secret"),
        AccountConfig {
            transport: Transport::Tcp,
            ..account("202", "192.0.2.2", "secret")
        },
    ];
    // Bob listens for TCP; what he makes of a REGISTER does not matter here.
    let mut world = World::new(vec![config, world::config("bob", "192.0.2.2:5060", 2)]);
    world.run_ms(100);
    assert_eq!(world.connections(), 1);
    let (to, register) = world.request_at(&Method::Register);
    assert_eq!(to.to_string(), SERVERS[0]);
    let via = register.headers.get("Via").unwrap();
    assert!(via.starts_with("SIP/2.0/UDP"), "{via}");
    assert_eq!(world.sent("REGISTER"), 2);
}

/// A call of the account to this number, answered from this contact; its INVITE.
fn established(world: &mut World, number: &str, contact: &str) -> sip::CallHandle {
    world.inbox.clear();
    let by = Some(AccountId(0));
    let call = world.with(0, |alice, now| alice.invite(by, number, media(20_000), now));
    let invite = world.request(&Method::Invite);
    let (extra, body) = ([("Contact", contact)], world::sdp("192.0.2.9", ""));
    let mut answer = sip::message::Response::reply(&invite, 200, Some(number));
    for (name, value) in extra {
        answer.headers.push(name, value);
    }
    answer.headers.push("Content-Type", "application/sdp");
    answer.body = body.into_bytes().into();
    world.send(SERVERS[0], 0, answer.to_bytes());
    world.request(&Method::Ack);
    call.unwrap()
}

#[test]
fn transfer_names_an_address_the_server_knows() {
    for (contact, named) in [
        ("<sip:r4nd0m@10.1.2.3:5062>", "sip:301@192.0.2.9?"),
        (
            "<sip:301@192.0.2.9;gr=urn:uuid:1>",
            "sip:301@192.0.2.9;gr=urn:uuid:1?",
        ),
    ] {
        let (mut world, _) = registered();
        let held = established(&mut world, "300", "<sip:300@10.1.2.4>");
        let consulted = established(&mut world, "301", contact);
        world
            .with(0, |alice, now| alice.transfer(held, consulted, now))
            .unwrap();
        let refer = world.request(&Method::Refer);
        let to = refer.headers.get("Refer-To").unwrap();
        assert!(to.starts_with(&format!("<{named}Replaces=")), "{to}");
    }
}
