//! What comes without a subscription: the mailbox, check-sync, unknown packages.

use sip::message::Method;
use sip::{AccountEvents, Event, MessageWaiting, RemoteAction};

use crate::world::{Ask, PEER, World, account, ack, config, inside, media};
use crate::{SUMMARY, at_server, messages, new_messages};

#[test]
fn unsolicited_messages_count_from_the_own_server_only() {
    let notify = |from: &'static str, extra: &str| Ask {
        method: "NOTIFY",
        from,
        extra: format!(
            "Event: message-summary\r\nSubscription-State: active\r\n\
             Content-Type: {SUMMARY}\r\n{extra}"
        ),
        body: "Messages-Waiting: yes\r\nVoice-Message: 4/0\r\n".into(),
        ..Ask::invite()
    };
    let mut world = at_server(AccountEvents::default());
    world.send(PEER, 0, notify(PEER, "").text());
    world.response(200);
    assert_eq!(new_messages(&mut world), [4]);
    // Anybody else's, or with the setting off.
    let stranger = "192.0.2.66:5060";
    let ask = Ask {
        branch: "z9hG4bKother",
        ..notify(stranger, "")
    };
    world.send(stranger, 0, ask.text());
    world.response(481);
    let mut off = at_server(AccountEvents {
        messages: MessageWaiting::Off,
        ..AccountEvents::default()
    });
    off.send(PEER, 0, notify(PEER, "").text());
    off.response(481);
    assert!(messages(&mut world).is_empty() && messages(&mut off).is_empty());
    world.assert_quiet();
}

#[test]
fn unknown_package_is_refused_with_what_there_is() {
    for (method, event, code) in [
        ("NOTIFY", "Event: presence\r\n", 489),
        ("NOTIFY", "", 489),
        ("NOTIFY", "Event: keep-alive\r\n", 200),
        ("NOTIFY", "Event: dialog\r\n", 481),
        ("SUBSCRIBE", "Event: presence\r\n", 489),
        ("SUBSCRIBE", "Event: dialog\r\n", 403),
        ("SUBSCRIBE", "Event: message-summary\r\n", 489),
    ] {
        let mut world = at_server(AccountEvents::default());
        let ask = Ask {
            method,
            extra: format!("{event}Subscription-State: active\r\n"),
            body: String::new(),
            ..Ask::invite()
        };
        world.send(PEER, 0, ask.text());
        let response = world.response(code);
        if code == 489 {
            let allowed = response.headers.get("Allow-Events").unwrap();
            assert!(allowed.starts_with("dialog, message-summary"), "{allowed}");
        }
        world.assert_quiet();
    }
}

/// A NOTIFY of check-sync to this address; `extra`: whole header lines, and what follows `Event`.
fn check_sync(uri: &str, from: &'static str, extra: &str) -> String {
    let ask = Ask {
        method: "NOTIFY",
        branch: format!("z9hG4bK{}{from}{}", uri.len(), extra.len()).leak(),
        from,
        extra: format!("Event: check-sync{extra}\r\nSubscription-State: terminated\r\n"),
        body: String::new(),
        ..Ask::invite()
    };
    ask.text().replacen("sip:alice@192.0.2.1", uri, 1)
}

/// Alice, who registers at the peer; the contact she gives.
fn registering() -> (World, String) {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config
        .accounts
        .push(account("alice", "192.0.2.9", "secret"));
    let mut world = World::new(vec![config]);
    world.run_ms(1);
    let register = world.request(&Method::Register);
    let contact = register.headers.contacts().unwrap().pop().unwrap().uri;
    (world, contact.to_string())
}

/// How often the configuration is to be looked up; true: with a restart.
fn checks(world: &mut World) -> Vec<bool> {
    let events = world.events(0);
    let check = |event: &Event| match event {
        Event::CheckSync { reboot, .. } => Some(*reboot),
        _ => None,
    };
    events.iter().filter_map(check).collect()
}

#[test]
fn configuration_is_looked_up_for_who_knows_the_contact() {
    let (mut world, contact) = registering();
    for (uri, from, event, code) in [
        (contact.as_str(), PEER, "", 200),
        (&contact, PEER, ";Reboot=TRUE", 200),
        ("sip:alice@192.0.2.1", PEER, "", 401),
        (&contact, "192.0.2.66:5060", "", 401),
    ] {
        world.send(from, 0, check_sync(uri, from, event));
        world.response(code);
    }
    assert_eq!(checks(&mut world), [false, true]);
}

#[test]
fn configuration_is_looked_up_for_who_knows_the_password() {
    use sip::digest::{Credentials, DigestSession, Protected, challenges, choose};
    const URI: &str = "sip:alice@192.0.2.1";
    let (mut world, _) = registering();
    for (password, code, found) in [("wrong", 401, vec![]), ("secret", 200, vec![false])] {
        let event = if found.is_empty() {
            ""
        } else {
            ";reboot=false"
        };
        world.send(PEER, 0, check_sync(URI, PEER, event));
        let challenge = world.response(401);
        let mut chosen = choose(challenges(&challenge.headers));
        let mut session = DigestSession::new(chosen.pop().unwrap());
        let user = "alice";
        let what = Protected {
            method: &Method::Notify,
            uri: URI,
            body: b"",
        };
        let answer = session.authorize(Credentials { user, password }, what, "c");
        let extra = format!("{event}\r\nAuthorization: {answer}");
        world.send(PEER, 0, check_sync(URI, PEER, &extra));
        world.response(code);
        assert_eq!(checks(&mut world), found, "{password}");
        // The same answer in another request: it was good for one.
        world.send(PEER, 0, check_sync(URI, PEER, &format!("{extra}\r\nX: 1")));
        world.response(401);
        assert_eq!(checks(&mut world), [false; 0]);
    }
}

#[test]
fn server_uses_the_phone_where_that_is_allowed() {
    for (allowed, code) in [(true, 200), (false, 403)] {
        let mut world = at_server(AccountEvents {
            remote_control: allowed,
            ..AccountEvents::default()
        });
        world.send(PEER, 0, Ask::invite().text());
        world.response(100);
        let call = world.incoming(0);
        world.with(0, |alice, now| alice.ring(call, now));
        let ringing = world.response(180);
        let mut asked = Vec::new();
        let mut ask = |world: &mut World, event: &str, response, cseq| {
            let ask = Ask {
                extra: format!("Event: {event}\r\nSubscription-State: active\r\n"),
                ..inside(response, "NOTIFY", cseq)
            };
            world.send(PEER, 0, ask.text());
            world.response(code);
            asked.extend(world.events(0).into_iter().filter_map(|event| match event {
                Event::RemoteControl { call: of, action } if of == call => Some(action),
                _ => None,
            }));
        };
        ask(&mut world, "talk", &ringing, 2);
        world.with(0, |alice, now| alice.answer(call, media(20_000), now));
        let answer = world.response(200);
        world.send(PEER, 0, ack(&answer));
        ask(&mut world, "hold", &answer, 3);
        let expected: &[RemoteAction] = if allowed {
            &[RemoteAction::Talk, RemoteAction::Hold]
        } else {
            &[]
        };
        assert_eq!(asked, expected);
    }
}

/// What a NOTIFY of `talk` gets, and whether the phone is used by it.
fn talk(world: &mut World, ask: Ask<'_>, code: u16) -> bool {
    let ask = Ask {
        extra: "Event: talk\r\nSubscription-State: active\r\n".into(),
        ..ask
    };
    world.send(ask.from, 0, ask.text());
    world.response(code);
    let events = world.events(0);
    let used = |event: &Event| matches!(event, Event::RemoteControl { .. });
    events.iter().any(used)
}

/// The account's server may use the phone, and no one else: not the far end of a call it brought,
/// nor that of a direct call, nor whoever is called before the answer.
#[test]
fn only_the_accounts_server_uses_the_phone() {
    let allowed = || AccountEvents {
        remote_control: true,
        ..AccountEvents::default()
    };
    // The server brings a call, and stays out of its dialog.
    let server = "192.0.2.50:5060";
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.accounts.push(sip::AccountConfig {
        register: false,
        events: allowed(),
        ..account("alice", "192.0.2.50", "secret")
    });
    let mut world = World::new(vec![config]);
    let contact = |from: &str| format!("Contact: <sip:peer@{from}>");
    let invite = Ask {
        from: server,
        ..Ask::invite()
    };
    let text = invite.text().replace(&contact(server), &contact(PEER));
    world.send(server, 0, text);
    world.response(100);
    let call = world.incoming(0);
    world.with(0, |alice, now| alice.answer(call, media(20_000), now));
    let answer = world.response(200);
    world.send(PEER, 0, ack(&answer));
    world.run_ms(50);
    world.events(0);
    assert!(!talk(&mut world, inside(&answer, "NOTIFY", 2), 403));
    let by_server = Ask {
        from: server,
        ..inside(&answer, "NOTIFY", 3)
    };
    assert!(talk(&mut world, by_server, 200), "the server may");
    // A direct call, although an account would allow it.
    let mut world = at_server(allowed());
    let stranger = "192.0.2.66:5060";
    let invite = Ask {
        from: stranger,
        ..Ask::invite()
    };
    world.send(stranger, 0, invite.text());
    world.response(100);
    let call = world.incoming(0);
    world.with(0, |alice, now| alice.ring(call, now));
    let ringing = world.response(180);
    let asked = Ask {
        from: stranger,
        ..inside(&ringing, "NOTIFY", 2)
    };
    assert!(!talk(&mut world, asked, 403));
    // Whom this phone calls, as long as it only rings there.
    let mut world = at_server(allowed());
    let account = Some(sip::AccountId(0));
    let invited = world.with(0, |alice, now| {
        alice.invite(account, "200", media(20_000), now)
    });
    assert!(invited.is_ok());
    let invite = world.request(&Method::Invite);
    world.answer(&invite, 180, Some("p"), PEER, &[], None);
    world.run_ms(50);
    let from = invite.headers.from().unwrap().to_string();
    let early = Ask {
        method: "NOTIFY",
        branch: "z9hG4bKearly",
        from_tag: "p",
        to: from,
        call_id: invite.headers.call_id().unwrap().to_owned().leak(),
        cseq: 1,
        body: String::new(),
        ..Ask::invite()
    };
    assert!(!talk(&mut world, early, 403));
}
