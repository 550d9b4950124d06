//! Phones that watch each other (RFC 4235), without a server, and who may watch.

mod world;

use std::time::Duration;

use sip::message::{Message, Method, Request};
use sip::{AgentConfig, AllowedCaller, Event, Watched, WatchedState};
use world::{Ask, PEER, World, config, media, to_of};

const DIALOG_INFO: &str = "application/dialog-info+xml";

fn anyone_of(network: [u8; 4]) -> AllowedCaller {
    AllowedCaller {
        user: None,
        network: network.into(),
        prefix: 24,
    }
}

/// Phones on one network, each of which watches the next one; the third is not watched.
fn office() -> World {
    let phone = |user: &str, last: u8, watches: &str| {
        let mut config = config(user, &format!("192.0.2.{last}:5060"), last);
        config.events.watchers = vec![anyone_of([192, 0, 2, 0])];
        config.events.watched = vec![Watched {
            account: None,
            target: watches.to_owned(),
        }];
        config
    };
    World::new(vec![
        phone("alice", 1, "sip:bob@192.0.2.2"),
        phone("bob", 2, "sip:alice@192.0.2.1"),
        phone("carol", 3, "sip:bob@192.0.2.2"),
    ])
}

fn watched(world: &mut World, phone: usize) -> Vec<WatchedState> {
    let events = world.events(phone);
    let found = events.into_iter().filter_map(|event| match event {
        Event::Watched { watch: 0, state } => Some(state),
        _ => None,
    });
    found.collect()
}

#[test]
fn two_phones_light_each_others_lamps() {
    use WatchedState::{Busy, Idle, Ringing};
    let mut world = office();
    world.run_ms(3000);
    assert_eq!(watched(&mut world, 0), [Idle]);
    assert_eq!(watched(&mut world, 1), [Idle]);
    let a = world.invite(0, "sip:bob@192.0.2.2");
    world.run_ms(100);
    // She is busy for bob from the first moment.
    let events = world.events(1);
    let b = events
        .iter()
        .find_map(|event| match event {
            Event::Incoming { call, .. } => Some(*call),
            _ => None,
        })
        .unwrap();
    let busy = Event::Watched {
        watch: 0,
        state: Busy,
    };
    assert!(events.contains(&busy), "{events:?}");
    world.with(1, |bob, now| bob.ring(b, now));
    world.run_ms(3000);
    assert_eq!(watched(&mut world, 2), [Idle, Ringing]);
    world.with(1, |bob, now| bob.answer(b, media(20_100), now));
    world.run_ms(3000);
    assert_eq!(watched(&mut world, 2), [Busy]);
    world.with(0, |alice, now| alice.end(a, now));
    world.run_ms(3000);
    assert_eq!(watched(&mut world, 2), [Idle]);
    assert_eq!(watched(&mut world, 1), [Idle]);
    // Day and night.
    world.run(Duration::from_secs(86_400));
    world.events(2);
    world.invite(1, "sip:dave@192.0.2.77");
    world.run_ms(3000);
    assert_eq!(watched(&mut world, 2), [Busy]);
}

#[test]
fn watched_call_is_picked_up_and_rings_no_more() {
    let mut world = office();
    world.run_ms(3000);
    world.invite(0, "sip:bob@192.0.2.2");
    world.run_ms(100);
    let b = world.incoming(1);
    world.with(1, |bob, now| bob.ring(b, now));
    world.run_ms(2000);
    world.events(0);
    assert!(world.phones[2].agent.can_pick_up(0));
    world
        .with(2, |carol, now| carol.pick_up(0, media(20_200), now))
        .unwrap();
    world.run_ms(100);
    // The caller's phone is asked to take carol in bob's place.
    let events = world.events(0);
    let (call, replaces) = events
        .iter()
        .find_map(|event| match event {
            Event::Incoming { call, replaces, .. } => Some((*call, *replaces)),
            _ => None,
        })
        .unwrap_or_else(|| panic!("{events:?}"));
    let old = replaces.unwrap();
    world.with(0, |alice, now| {
        alice.answer(call, media(20_000), now);
        alice.end(old, now);
    });
    world.run_ms(500);
    let ended = |events: &[Event]| {
        events
            .iter()
            .any(|e| matches!(e, Event::Ended { call, .. } if *call == b))
    };
    assert!(ended(&world.events(1)), "bob's phone rings on");
    assert!(world::is_established(&world.events(2)));
    let later = world.with(2, |carol, now| carol.pick_up(0, media(20_300), now));
    assert!(later.is_err(), "nothing rings there any more");
}

#[test]
fn caller_who_withholds_who_it_is_is_not_shown_to_watchers() {
    let mut world = office();
    world.run_ms(3000);
    let options = sip::InviteOptions {
        anonymous: true,
        ..sip::InviteOptions::default()
    };
    let target = "sip:bob@192.0.2.2";
    world
        .with(0, |alice, now| {
            alice.invite_with(None, target, options, media(20_000), now)
        })
        .unwrap();
    world.run_ms(100);
    let b = world.incoming(1);
    world.with(1, |bob, now| bob.ring(b, now));
    world.run_ms(2000);
    assert_eq!(watched(&mut world, 2).last(), Some(&WatchedState::Ringing));
    assert!(!world.phones[2].agent.can_pick_up(0));
}

/// A SUBSCRIBE of the scripted peer.
fn watcher(event: &str, cseq: u32, to: &str, extra: &str) -> String {
    Ask {
        method: "SUBSCRIBE",
        branch: format!("z9hG4bKwatch{cseq}{}", extra.len()).leak(),
        cseq,
        to: to.to_owned(),
        extra: format!("Event: {event}\r\nAccept: {DIALOG_INFO}\r\n{extra}"),
        body: String::new(),
        ..Ask::invite()
    }
    .text()
}

fn watchable() -> World {
    let mut config: AgentConfig = config("alice", "192.0.2.1:5060", 1);
    config.events.watchers = vec![anyone_of([192, 0, 2, 0])];
    World::new(vec![config])
}

const ALICE: &str = "<sip:alice@192.0.2.1>";

#[test]
fn watcher_is_served_until_it_leaves_or_runs_out() {
    for leaves in [true, false] {
        let mut world = watchable();
        world.send(
            PEER,
            0,
            watcher("dialog;id=7", 1, ALICE, "Expires: 600\r\n"),
        );
        let response = world.response(200);
        assert_eq!(response.headers.expires(), Some(600));
        world.send(
            PEER,
            0,
            watcher("dialog;id=7", 2, &to_of(&response), "Expires: 300\r\n"),
        );
        world.run_ms(50);
        let mut states = Vec::new();
        let mut bodies = Vec::new();
        let mut last = 0;
        let mut drive = |world: &mut World, time: Duration| {
            let until = world.now + time;
            while world.now < until {
                world.run(Duration::from_millis(500));
                while let Some((_, _, message)) = world.inbox.pop_front() {
                    let Message::Request(notify) = message else {
                        continue;
                    };
                    // A repeated one was not answered in time.
                    let number = notify.headers.cseq().map_or(0, |cseq| cseq.number);
                    if notify.method != Method::Notify || number <= last {
                        continue;
                    }
                    last = number;
                    assert_eq!(notify.headers.get("Event"), Some("dialog;id=7"));
                    world.answer(&notify, 200, None, PEER, &[], None);
                    states.push(notify.headers.get("Subscription-State").unwrap().to_owned());
                    bodies.push(String::from_utf8_lossy(&notify.body).into_owned());
                }
            }
        };
        drive(&mut world, Duration::from_secs(5));
        let call = world.invite(0, "sip:carol@192.0.2.78");
        drive(&mut world, Duration::from_secs(5));
        world.with(0, |alice, now| alice.end(call, now));
        drive(&mut world, Duration::from_secs(60));
        if leaves {
            world.send(
                PEER,
                0,
                watcher("dialog;id=7", 3, &to_of(&response), "Expires: 0\r\n"),
            );
        }
        drive(&mut world, Duration::from_secs(300));
        assert_eq!(
            states.last().map(String::as_str),
            Some("terminated;reason=timeout")
        );
        assert_eq!(
            states
                .iter()
                .filter(|state| state.starts_with("active"))
                .count(),
            4
        );
        assert!(
            bodies
                .iter()
                .any(|body| body.contains("<state>trying</state>"))
        );
        world.assert_quiet();
    }
}

#[test]
fn watcher_that_is_gone_is_forgotten() {
    for refusal in [Some(481), None] {
        let mut world = watchable();
        world.send(PEER, 0, watcher("dialog", 1, ALICE, ""));
        let response = world.response(200);
        let notify = world.request(&Method::Notify);
        if let Some(code) = refusal {
            world.answer(&notify, code, None, PEER, &[], None);
        }
        world.run(Duration::from_secs(40));
        let before = world.sent("NOTIFY");
        world.invite(0, "sip:carol@192.0.2.78");
        world.run_ms(3000);
        assert_eq!(world.sent("NOTIFY"), before);
        world.inbox.clear();
        world.send(PEER, 0, watcher("dialog", 2, &to_of(&response), ""));
        world.response(481);
    }
}

#[test]
fn watcher_is_checked() {
    for (event, extra, code) in [
        ("dialog", "Expires: 10\r\n", 423),
        ("dialog", "Require: eventlist\r\n", 420),
        ("presence", "", 489),
    ] {
        let mut world = watchable();
        world.send(PEER, 0, watcher(event, 1, ALICE, extra));
        world.response(code);
        world.assert_quiet();
    }
    let mut world = watchable();
    let other = watcher("dialog", 1, ALICE, "").replace(DIALOG_INFO, "application/pidf+xml");
    world.send(PEER, 0, other);
    assert_eq!(world.response(406).headers.get("Accept"), Some(DIALOG_INFO));
    // No one is on the list.
    let mut world = World::alone();
    world.send(PEER, 0, watcher("dialog", 1, ALICE, ""));
    world.response(403);
}

#[test]
fn number_of_watchers_is_limited() {
    let mut world = watchable();
    let mut codes = Vec::new();
    for index in 0..20 {
        let text = watcher("dialog", 1, ALICE, "")
            .replace("call-1", &format!("call-{index}"))
            .replace("z9hG4bK", &format!("z9hG4bK{index}x"));
        world.send(PEER, 0, text);
        world.run_ms(50);
        while let Some((_, _, message)) = world.inbox.pop_front() {
            match message {
                Message::Response(response) => codes.push(response.code()),
                Message::Request(notify) => {
                    world.answer(&notify, 200, None, PEER, &[], None);
                }
            }
        }
    }
    assert_eq!(codes.iter().filter(|code| **code == 200).count(), 16);
    assert_eq!(codes.iter().filter(|code| **code == 503).count(), 4);
}

/// Alice watches a phone whose server is the scripted peer; her SUBSCRIBE, answered.
fn watching() -> (World, Request) {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.events.watched = vec![Watched {
        account: None,
        target: format!("sip:205@{PEER}"),
    }];
    let mut world = World::new(vec![config]);
    world.run(Duration::from_secs(2));
    let request = world.request(&Method::Subscribe);
    world.answer(&request, 200, Some("n"), PEER, &[("Expires", "3600")], None);
    (world, request)
}

/// A NOTIFY of the watched phone: version and state of the document, stage of its one call.
fn document(subscribe: &Request, cseq: u32, (version, state): (u32, &str), stage: &str) -> String {
    let headers = &subscribe.headers;
    let body = format!(
        "<?xml version=\"1.0\"?>\r\n<dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" \
         version=\"{version}\" state=\"{state}\" entity=\"sip:205@192.0.2.9\">\
         <dialog id=\"d\" direction=\"recipient\"><state>{stage}</state></dialog></dialog-info>"
    );
    let extra =
        format!("Event: dialog\r\nSubscription-State: active\r\nContent-Type: {DIALOG_INFO}\r\n");
    Ask {
        method: "NOTIFY",
        branch: format!("z9hG4bKn{cseq}").leak(),
        from_tag: "n",
        to: headers
            .from()
            .map(|from| from.to_string())
            .unwrap_or_default(),
        call_id: headers.call_id().unwrap_or_default(),
        cseq,
        extra,
        body,
        ..Ask::invite()
    }
    .text()
}

#[test]
fn notifier_that_never_says_all_is_followed_and_not_asked_for_ever() {
    use WatchedState::{Busy, Idle, Ringing};
    let (mut world, request) = watching();
    // What came before is unknown: all of it is asked for.
    world.send(PEER, 0, document(&request, 1, (7, "partial"), "early"));
    world.response(200);
    let refresh = world.request(&Method::Subscribe);
    world.answer(&refresh, 200, None, PEER, &[("Expires", "3600")], None);
    // It answers with no more than it said before, in numbers of its own.
    for (cseq, version, stage, state) in [
        (2, 9, "early", Ringing),
        (3, 12, "confirmed", Busy),
        (4, 20, "terminated", Idle),
    ] {
        world.send(
            PEER,
            0,
            document(&request, cseq, (version, "partial"), stage),
        );
        world.response(200);
        assert_eq!(watched(&mut world, 0).last(), Some(&state), "{version}");
    }
    world.run(Duration::from_secs(20));
    assert_eq!(world.sent("SUBSCRIBE sip:peer"), 1, "one refresh");
}

#[test]
fn notifier_that_loses_count_is_asked_once_a_minute() {
    let (mut world, request) = watching();
    // Each time it is asked it says all, and then something with a gap.
    let start = world.now;
    let mut cseq = 0;
    let mut answered = 1;
    while world.now - start < Duration::from_secs(130) {
        if world.sent("SUBSCRIBE") > answered || cseq == 0 {
            answered = world.sent("SUBSCRIBE").max(1);
            for document_of in [(10 * cseq, "full"), (10 * cseq + 5, "partial")] {
                cseq += 1;
                world.send(PEER, 0, document(&request, cseq, document_of, "confirmed"));
            }
        }
        let pending: Vec<_> = world.inbox.drain(..).collect();
        for (_, _, message) in pending {
            if let Message::Request(refresh) = message {
                world.answer(&refresh, 200, None, PEER, &[("Expires", "3600")], None);
            }
        }
        world.run_ms(200);
    }
    let asked = world.sent("SUBSCRIBE sip:peer");
    assert_eq!(asked, 3, "at once, and after one and two minutes");
}

#[test]
fn storm_of_watchers_is_bounded_and_answered() {
    let mut config: AgentConfig = config("alice", "192.0.2.1:5060", 1);
    config.events.watchers = vec![anyone_of([192, 0, 2, 0])];
    // No rate holds for those who may call, so that all of them reach the list.
    config.direct_from = vec![anyone_of([192, 0, 2, 0]), anyone_of([198, 51, 100, 0])];
    let mut world = World::new(vec![config]);
    let mut codes = std::collections::BTreeMap::<(bool, u16), usize>::new();
    for index in 0..1000 {
        // Every other one is not on the list.
        let listed = index % 2 == 0;
        let from = if listed { PEER } else { "198.51.100.9:5060" };
        let text = Ask {
            method: "SUBSCRIBE",
            branch: format!("z9hG4bKstorm{index}").leak(),
            from_tag: format!("watcher{index}").leak(),
            call_id: format!("storm-{index}").leak(),
            from,
            extra: format!("Event: dialog\r\nAccept: {DIALOG_INFO}\r\n"),
            body: String::new(),
            ..Ask::invite()
        };
        world.send(from, 0, text.text());
        world.run_ms(20);
        while let Some((_, _, message)) = world.inbox.pop_front() {
            match message {
                Message::Response(response) => {
                    let code = response.code();
                    if code == 503 {
                        let wait = response.headers.number("Retry-After");
                        assert!(wait.is_some_and(|wait| wait > 0), "when to come again");
                    }
                    *codes.entry((listed, code)).or_default() += 1;
                }
                Message::Request(notify) => {
                    world.answer(&notify, 200, None, PEER, &[], None);
                }
            }
        }
        let tables = world.phones[0].agent.tables();
        assert!(tables.dialogs <= 16, "{tables:?}");
    }
    let all = [((false, 403), 500), ((true, 200), 16), ((true, 503), 484)];
    assert_eq!(codes, all.into());
    // What those requests left is over soon, and the phone rings.
    world.run(Duration::from_secs(40));
    world.send(
        "192.0.2.77:5060",
        0,
        Ask::invite().text().replace(PEER, "192.0.2.77:5060"),
    );
    world.run_ms(50);
    world.incoming(0);
}
