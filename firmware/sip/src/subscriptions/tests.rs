//! Which subscriptions the settings ask for, and who may watch.

use super::*;
use crate::admission::AllowedCaller;
use crate::api::{AgentConfig, Watched};
use crate::env::tests::{account, request, with_accounts};
use crate::ids::AccountId;

fn config() -> AgentConfig {
    let mut first = account("101", "192.0.2.50", "secret");
    first.events.messages = MessageWaiting::Subscribe;
    first.events.watch_registration = true;
    let mut config = with_accounts(vec![first, account("102", "192.0.2.60", "secret")]);
    config.events.watched = vec![Watched {
        account: Some(AccountId(1)),
        target: "103".into(),
    }];
    config.events.watchers = vec![AllowedCaller {
        user: Some("desk".into()),
        network: "192.0.2.0".parse().unwrap(),
        prefix: 24,
    }];
    config
}

fn subscribe(event: &str, from: &str) -> Request {
    request(&format!(
        "SUBSCRIBE sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n\
         From: <sip:{from}@192.0.2.9>;tag=p\r\nTo: <sip:a@192.0.2.1>\r\nCall-ID: c\r\n\
         CSeq: 1 SUBSCRIBE\r\nContact: <sip:p@192.0.2.9>\r\nEvent: {event}\r\nExpires: 600\r\n\r\n"
    ))
}

fn flow(address: &str) -> Flow {
    Flow::Udp {
        remote: address.parse().unwrap(),
    }
}

#[test]
fn the_settings_ask_for_one_subscription_each() {
    let now = crate::timer::epoch();
    let mut shared = Shared::new(config(), now);
    let mut subscriptions = Subscriptions::new(&shared.env);
    let topics: Vec<Topic> = (0..subscriptions.len())
        .filter_map(|index| subscriptions.get(index))
        .map(Subscription::topic)
        .collect();
    let dialogs = Topic::Dialogs { watch: 0 };
    assert_eq!(topics, [Topic::Messages, Topic::Registration, dialogs]);
    assert_eq!(subscriptions.of_account(Some(0)), [0, 1]);
    assert_eq!(subscriptions.of_account(None), [0, 1, 2]);
    // Each waits for its account's registration.
    let before = shared.deadlines.len();
    subscriptions.start(&mut shared, now);
    assert_eq!(shared.deadlines.len(), before);
    subscriptions.handle_account(0, true, &mut shared, now);
    assert_eq!(shared.deadlines.len(), before + 2);
    // What it subscribes to and where its SUBSCRIBE goes.
    let sent = subscriptions.subscribe(0, &mut shared, now).unwrap();
    assert_eq!(sent.request.uri.to_string(), "sip:101@192.0.2.50");
    let watched = subscriptions.subscribe(2, &mut shared, now).unwrap();
    assert_eq!(watched.request.uri.to_string(), "sip:103@192.0.2.60");
    assert!(subscriptions.subscribe(3, &mut shared, now).is_none());
}

#[test]
fn nothing_rings_where_nothing_was_reported() {
    let shared = Shared::new(config(), crate::timer::epoch());
    let subscriptions = Subscriptions::new(&shared.env);
    assert!(!subscriptions.can_pick_up(0));
    for watch in [0, 1] {
        let found = subscriptions.pick_up(watch).map(|_| ());
        assert_eq!(found, Err(InviteError::NotRinging));
    }
}

#[test]
fn only_those_on_the_list_may_watch_and_their_subscription_is_found_again() {
    let now = crate::timer::epoch();
    let shared = Shared::new(config(), now);
    let mut subscriptions = Subscriptions::new(&shared.env);
    for (event, from, address, may) in [
        ("dialog", "desk", "192.0.2.9:5060", true),
        ("dialog", "desk", "198.51.100.9:5060", false),
        ("dialog", "other", "192.0.2.9:5060", false),
        ("presence", "desk", "192.0.2.9:5060", false),
    ] {
        let asked = subscribe(event, from);
        let found = may_watch(flow(address), &asked, &shared.env);
        assert_eq!(found, may, "{event} {from} {address}");
    }
    let (from, asked) = (flow("192.0.2.9:5060"), subscribe("dialog", "desk"));
    assert_eq!(subscriptions.find(&asked), None, "it begins one");
    let reply = subscriptions
        .handle_watcher(None, &asked, from, "ours", &shared, now)
        .unwrap();
    assert_eq!(reply.code, 200);
    assert!(subscriptions.is_watched());
    assert_eq!(subscriptions.dialog_count(), 1);
    let mut again = asked;
    let to = again.headers.to().unwrap().with_param("tag", Some("ours"));
    again.headers.set("To", to);
    assert!(matches!(
        subscriptions.find(&again),
        Some(EventDialog::Served(_))
    ));
}
