//! Event packages (RFC 6665) against a scripted server, and between phones.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test program: what cannot be is a failed test"
)]

mod unasked;
#[path = "../world/mod.rs"]
mod world;

use std::time::Duration;

use sip::message::{Method, Request};
use sip::{AccountConfig, AccountEvents, AccountId, Event, MessageSummary, MessageWaiting};
use world::{Ask, PEER, World, account, config};

const SUMMARY: &str = "application/simple-message-summary";

/// Alice, whose account is at the peer and does not register.
fn at_server(events: AccountEvents) -> World {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.accounts.push(AccountConfig {
        register: false,
        events,
        ..account("alice", "192.0.2.9", "secret")
    });
    World::new(vec![config])
}

/// Alice subscribes to her mailbox.
fn subscribing() -> World {
    at_server(AccountEvents {
        messages: MessageWaiting::Subscribe,
        ..AccountEvents::default()
    })
}

/// The next SUBSCRIBE, which comes within these seconds.
fn subscribe(world: &mut World, within_s: u64) -> Request {
    world.inbox.clear();
    let before = world.sent("SUBSCRIBE");
    for _ in 0..within_s * 10 {
        world.run_ms(100);
        if world.sent("SUBSCRIBE") > before {
            break;
        }
    }
    world.request(&Method::Subscribe)
}

/// A NOTIFY in the dialog of a SUBSCRIBE.
struct Notify<'a> {
    subscribe: &'a Request,
    tag: &'a str,
    cseq: u32,
    state: &'a str,
    kind: &'a str,
    body: String,
}

impl Notify<'_> {
    fn text(&self) -> String {
        let headers = &self.subscribe.headers;
        let event = headers.get("Event").unwrap();
        let to = headers.from().unwrap().to_string();
        let kind = if self.body.is_empty() {
            String::new()
        } else {
            format!("Content-Type: {}\r\n", self.kind)
        };
        let tag = self.tag;
        Ask {
            method: "NOTIFY",
            branch: format!("z9hG4bKnotify{tag}{}", self.cseq).leak(),
            from_tag: tag,
            to,
            call_id: headers.call_id().unwrap(),
            cseq: self.cseq,
            extra: format!(
                "Event: {event}\r\nSubscription-State: {}\r\n{kind}",
                self.state
            ),
            body: self.body.clone(),
            ..Ask::invite()
        }
        .text()
    }
}

fn mailbox<'a>(subscribe: &'a Request, tag: &'a str, cseq: u32, new: u32) -> Notify<'a> {
    Notify {
        subscribe,
        tag,
        cseq,
        state: "active;expires=3600",
        kind: SUMMARY,
        body: format!(
            "Messages-Waiting: {}\r\nVoice-Message: {new}/4 (0/0)\r\n",
            if new > 0 { "yes" } else { "no" }
        ),
    }
}

fn messages(world: &mut World) -> Vec<MessageSummary> {
    let events = world.events(0);
    let found = events.into_iter().filter_map(|event| match event {
        Event::MessagesWaiting {
            account: AccountId(0),
            summary,
        } => Some(summary),
        _ => None,
    });
    found.collect()
}

fn new_messages(world: &mut World) -> Vec<u32> {
    messages(world).iter().map(|summary| summary.new).collect()
}

/// A subscription that stands; its SUBSCRIBE.
fn subscribed(world: &mut World) -> Request {
    let request = subscribe(world, 2);
    world.answer(&request, 200, Some("n"), PEER, &[("Expires", "3600")], None);
    world.send(PEER, 0, mailbox(&request, "n", 1, 2).text());
    world.response(200);
    assert_eq!(new_messages(world), [2]);
    request
}

#[test]
fn mailbox_is_subscribed_and_refreshed_in_its_dialog() {
    let mut world = subscribing();
    let first = subscribed(&mut world);
    assert_eq!(first.headers.get("Event"), Some("message-summary"));
    assert_eq!(first.headers.get("Accept"), Some(SUMMARY));
    assert_eq!(first.uri.to_string(), "sip:alice@192.0.2.9");
    world.send(PEER, 0, mailbox(&first, "n", 2, 0).text());
    world.response(200);
    assert_eq!(new_messages(&mut world), [0]);
    let refresh = subscribe(&mut world, 3600);
    let (before, after) = (&first.headers, &refresh.headers);
    assert_eq!(before.call_id().unwrap(), after.call_id().unwrap());
    assert_eq!(after.to().unwrap().tag(), Some("n"));
    assert!(after.cseq().unwrap().number > before.cseq().unwrap().number);
    // An hour less 40 s, and of that not less than 60 %.
    assert!(world.now - world.start > Duration::from_secs(2136));
    // Granted for less: refreshed sooner.
    let extra = [("Expires", "120")];
    world.answer(&refresh, 200, None, PEER, &extra, None);
    subscribe(&mut world, 120);
}

#[test]
fn notify_may_come_before_the_answer() {
    let mut world = subscribing();
    let request = subscribe(&mut world, 2);
    world.send(PEER, 0, mailbox(&request, "n", 1, 3).text());
    world.response(200);
    assert_eq!(new_messages(&mut world), [3]);
    world.answer(&request, 200, Some("n"), PEER, &[("Expires", "3600")], None);
    world.run(Duration::from_secs(600));
    assert_eq!(world.sent("SUBSCRIBE"), 1);
}

#[test]
fn repeated_and_older_notifies_change_nothing() {
    let mut world = subscribing();
    let request = subscribed(&mut world);
    world.send(PEER, 0, mailbox(&request, "n", 9, 5).text());
    world.response(200);
    world.send(PEER, 0, mailbox(&request, "n", 9, 5).text());
    world.response(200);
    world.send(PEER, 0, mailbox(&request, "n", 8, 1).text());
    world.response(500);
    assert_eq!(new_messages(&mut world), [5]);
}

#[test]
fn notify_may_come_in_parts() {
    let mut world = subscribing();
    let request = subscribed(&mut world);
    let part = |kind: &str, text: &str| format!("--b\r\nContent-Type: {kind}\r\n\r\n{text}\r\n");
    let summary = part(SUMMARY, "Messages-Waiting: yes\r\nVoice-Message: 7/0\r\n");
    let text = part("text/plain", "Not for machines.");
    let nested = part(
        "multipart/alternative; boundary=c",
        &summary.replace("--b\r\n", "--c\r\n"),
    );
    for (cseq, (body, code)) in [
        (format!("{text}{summary}--b--\r\n"), 200),
        // Without its last line.
        (summary.clone(), 200),
        (format!("{nested}--b--\r\n"), 200),
        (format!("{text}--b--\r\n"), 415),
        (
            part(
                "application/simple-message-summaryx",
                "Messages-Waiting: yes",
            ),
            415,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let notify = Notify {
            kind: "multipart/mixed;boundary=b",
            body,
            ..mailbox(&request, "n", 10 + cseq as u32, 0)
        };
        world.send(PEER, 0, notify.text());
        world.response(code);
        let news: &[u32] = if code == 200 { &[7] } else { &[] };
        assert_eq!(new_messages(&mut world), news, "{cseq}");
    }
}

#[test]
fn last_word_of_a_mailbox_counts() {
    for state in ["terminated;reason=timeout", "terminated;reason=giveup"] {
        let mut world = subscribing();
        let request = subscribe(&mut world, 2);
        world.answer(&request, 200, Some("n"), PEER, &[("Expires", "600")], None);
        let mut only = mailbox(&request, "n", 1, 4);
        only.state = state;
        world.send(PEER, 0, only.text());
        world.response(200);
        assert_eq!(new_messages(&mut world), [4], "{state}");
    }
}

#[test]
fn notifiers_of_a_forked_subscription_add_up() {
    let mut world = subscribing();
    let request = subscribed(&mut world);
    world.send(PEER, 0, mailbox(&request, "second", 1, 1).text());
    world.response(200);
    assert_eq!(new_messages(&mut world), [3]);
    let mut gone = mailbox(&request, "n", 2, 0);
    gone.state = "terminated;reason=noresource";
    gone.body = String::new();
    world.send(PEER, 0, gone.text());
    world.response(200);
    assert_eq!(new_messages(&mut world), [1]);
    // No more of them than are real.
    for (index, code) in [200, 200, 200, 481].into_iter().enumerate() {
        let tag = format!("more{index}");
        world.send(PEER, 0, mailbox(&request, &tag, 1, 0).text());
        world.response(code);
    }
}

#[test]
fn late_branch_of_a_subscription_is_refused() {
    let mut world = subscribing();
    let request = subscribed(&mut world);
    world.run(Duration::from_secs(120));
    world.send(PEER, 0, mailbox(&request, "late", 1, 9).text());
    world.response(481);
    assert!(messages(&mut world).is_empty());
}

#[test]
fn lifetime_is_what_the_notifier_wants() {
    let mut world = subscribing();
    let request = subscribe(&mut world, 2);
    let extra = [("Min-Expires", "7200")];
    world.answer(&request, 423, Some("n"), PEER, &extra, None);
    let request = world.request(&Method::Subscribe);
    assert_eq!(request.headers.expires(), Some(7200));
    // One that never has enough is not asked for ever.
    for least in ["8000", "9000", "9100"] {
        let extra = [("Min-Expires", least)];
        world.answer(&request, 423, Some("n"), PEER, &extra, None);
        world.run_ms(100);
    }
    assert!(world.sent("SUBSCRIBE") <= 4);
}

#[test]
fn unknown_package_is_asked_for_once_an_hour() {
    for code in [403, 404, 489, 501] {
        let mut world = subscribing();
        let request = subscribe(&mut world, 2);
        world.answer(&request, code, Some("n"), PEER, &[], None);
        world.run(Duration::from_secs(2900));
        assert_eq!(world.sent("SUBSCRIBE"), 1, "{code}");
        subscribe(&mut world, 1400);
    }
}

#[test]
fn busy_server_is_asked_again_when_it_says() {
    let mut world = subscribing();
    let request = subscribe(&mut world, 2);
    let extra = [("Retry-After", "300")];
    world.answer(&request, 503, Some("n"), PEER, &extra, None);
    world.run(Duration::from_secs(290));
    assert_eq!(world.sent("SUBSCRIBE"), 1);
    subscribe(&mut world, 30);
}

#[test]
fn silent_notifier_is_asked_again() {
    let mut world = subscribing();
    let request = subscribe(&mut world, 2);
    world.answer(&request, 200, Some("n"), PEER, &[("Expires", "3600")], None);
    let again = subscribe(&mut world, 60);
    let (before, after) = (&request.headers, &again.headers);
    assert_ne!(before.call_id().unwrap(), after.call_id().unwrap());
    assert!(world.now - world.start > Duration::from_secs(32));
}

#[test]
fn lost_subscription_begins_again_at_once() {
    let mut world = subscribing();
    let first = subscribed(&mut world);
    let refresh = subscribe(&mut world, 3600);
    world.answer(&refresh, 481, None, PEER, &[], None);
    let again = subscribe(&mut world, 3);
    let (before, after) = (&first.headers, &again.headers);
    assert_ne!(before.call_id().unwrap(), after.call_id().unwrap());
    assert_eq!(after.to().unwrap().tag(), None);
}

#[test]
fn failed_refresh_is_tried_again_while_the_subscription_holds() {
    let mut world = subscribing();
    let first = subscribed(&mut world);
    let refresh = subscribe(&mut world, 3600);
    world.answer(&refresh, 500, None, PEER, &[], None);
    let again = subscribe(&mut world, 10);
    let (before, after) = (&first.headers, &again.headers);
    assert_eq!(before.call_id().unwrap(), after.call_id().unwrap());
}

#[test]
fn each_reason_of_an_end_has_its_own_wait() {
    // Reason, and between how many seconds the next SUBSCRIBE comes; none: never.
    for (reason, window) in [
        ("deactivated", Some((0, 2))),
        ("timeout", Some((0, 2))),
        ("probation;retry-after=400", Some((400, 460))),
        ("probation", Some((0, 60))),
        ("giveup;retry-after=120", Some((120, 180))),
        ("rejected", None),
        ("noresource", None),
    ] {
        let mut world = subscribing();
        let request = subscribed(&mut world);
        world.run(Duration::from_secs(100));
        let state = format!("terminated;reason={reason}");
        let end = Notify {
            state: &state,
            ..mailbox(&request, "n", 2, 7)
        };
        world.send(PEER, 0, end.text());
        world.response(200);
        let ended = world.now;
        if let Some((from, to)) = window {
            subscribe(&mut world, to);
            let waited = (world.now - ended).as_secs();
            assert!((from..=to).contains(&waited), "{reason}: {waited} s");
        } else {
            world.run(Duration::from_secs(20_000));
            assert_eq!(world.sent("SUBSCRIBE"), 1, "{reason}");
        }
    }
}

#[test]
fn notifier_that_ends_everything_at_once_leads_to_no_loop() {
    let mut world = subscribing();
    let mut asked = 0;
    while world.now - world.start < Duration::from_secs(600) {
        world.run_ms(200);
        if world.sent("SUBSCRIBE") > asked {
            asked = world.sent("SUBSCRIBE");
            let request = world.request(&Method::Subscribe);
            world.answer(&request, 200, Some("n"), PEER, &[], None);
            let end = Notify {
                state: "terminated;reason=deactivated",
                ..mailbox(&request, "n", 1, 1)
            };
            world.send(PEER, 0, end.text());
        }
    }
    assert!((5..60).contains(&asked), "{asked} in ten minutes");
}

#[test]
fn unreadable_notify_is_refused_and_changes_nothing() {
    let mut world = subscribing();
    let request = subscribed(&mut world);
    for (cseq, (kind, body, code)) in [
        ("text/plain", "Messages-Waiting: yes", 415),
        (SUMMARY, "nothing of interest", 400),
    ]
    .into_iter()
    .enumerate()
    {
        let notify = Notify {
            kind,
            body: body.to_owned(),
            ..mailbox(&request, "n", 10 + cseq as u32, 0)
        };
        world.send(PEER, 0, notify.text());
        world.response(code);
    }
    let mut other = mailbox(&request, "n", 20, 9);
    other.state = "active";
    let text = other
        .text()
        .replace("Event: message-summary", "Event: presence");
    world.send(PEER, 0, text);
    let refused = world.response(489);
    assert!(
        refused
            .headers
            .get("Allow-Events")
            .unwrap()
            .contains("message-summary")
    );
    assert!(messages(&mut world).is_empty());
}

#[test]
fn phone_that_goes_takes_its_subscription_back() {
    let mut world = subscribing();
    subscribed(&mut world);
    world.inbox.clear();
    world.with(0, sip::UserAgent::shut_down);
    let last = world.request(&Method::Subscribe);
    assert_eq!(last.headers.expires(), Some(0));
    world.answer(&last, 200, None, PEER, &[], None);
    world.assert_quiet();
}

#[test]
fn binding_an_administrator_removed_is_made_again() {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.accounts.push(AccountConfig {
        events: AccountEvents {
            watch_registration: true,
            ..AccountEvents::default()
        },
        ..account("alice", "192.0.2.9", "secret")
    });
    let mut world = World::new(vec![config]);
    world.run_ms(1);
    let register = world.request(&Method::Register);
    let contact = register.headers.contacts().unwrap().pop().unwrap().uri;
    let binding = format!("<{contact}>;expires=600");
    let extra = [("Contact", binding.as_str())];
    world.answer(&register, 200, Some("r"), PEER, &extra, None);
    let subscribe = subscribe(&mut world, 3);
    assert_eq!(subscribe.headers.get("Event"), Some("reg"));
    world.answer(
        &subscribe,
        200,
        Some("n"),
        PEER,
        &[("Expires", "3600")],
        None,
    );
    let info = |cseq, contacts: &str| Notify {
        subscribe: &subscribe,
        tag: "n",
        cseq,
        state: "active;expires=3600",
        kind: "application/reginfo+xml",
        body: format!(
            "<reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" version=\"{cseq}\" state=\"full\">\
             <registration aor=\"sip:alice@192.0.2.9\" id=\"r\" state=\"active\">{contacts}\
             </registration></reginfo>"
        ),
    };
    let contact = |state: &str| format!("<contact id=\"1\" {state}><uri>{contact}</uri></contact>");
    // A registrar that names contacts otherwise is left alone.
    for (cseq, contacts, registers) in [
        (1, String::new(), false),
        (2, contact("state=\"active\" event=\"registered\""), false),
        (3, contact("state=\"terminated\" event=\"rejected\""), false),
        (
            4,
            contact("state=\"terminated\" event=\"deactivated\""),
            true,
        ),
    ] {
        world.send(PEER, 0, info(cseq, &contacts).text());
        world.response(200);
        world.run(Duration::from_secs(2));
        // Repeated, since nothing answers it.
        let again = world.sent("REGISTER") > 1;
        assert_eq!(again, registers, "{contacts}");
    }
}
