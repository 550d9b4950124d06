//! Whom a redirection names, and in which order they are called (RFC 3261 section 8.1.3.4).

mod world;

use sip::EndedBy;
use sip::message::Method;
use world::{PEER, World, called, ends};

/// The users called because of these Contact headers, each of whom is busy.
fn called_in_turn(contacts: &[&str]) -> Vec<String> {
    let mut world = World::alone();
    let (_, invite) = called(&mut world);
    let headers: Vec<(&str, &str)> = contacts.iter().map(|text| ("Contact", *text)).collect();
    world.answer(&invite, 302, Some("x"), PEER, &headers, None);
    world.run_ms(50);
    let mut users = Vec::new();
    for _ in 0..16 {
        let sent = world.sent("INVITE");
        if sent == users.len() + 1 {
            break;
        }
        let next = world.request(&Method::Invite);
        users.push(next.uri.user().unwrap_or_default());
        world.answer(&next, 486, Some("y"), PEER, &[], None);
        world.run_ms(50);
    }
    let ended = ends(&world.events(0));
    assert!(matches!(ended[..], [(EndedBy::Remote, _)]), "{ended:?}");
    world.run_ms(40_000);
    world.assert_empty();
    users
}

#[test]
fn contacts_are_called_by_q_and_then_as_named() {
    let at = |user: &str, q: &str| format!("<sip:{user}@192.0.2.9>{q}");
    for (contacts, users) in [
        (
            &[("a", ";q=0.5"), ("b", ";q=0.5"), ("c", ";q=0.5")][..],
            "abc",
        ),
        (&[("a", ""), ("b", ""), ("c", "")], "abc"),
        (&[("a", ";q=0.9"), ("b", ""), ("c", ";q=1.0")], "bca"),
        (&[("a", ";q=0"), ("b", ";q=0.001"), ("c", ";q=0.1")], "cba"),
        (
            &[("a", ";q=.2"), ("b", ";Q=0.3"), ("c", ";expires=60;q=0.4")],
            "cba",
        ),
        // What is no q counts as none.
        (
            &[
                ("a", ";q=0.1"),
                ("b", ";q=high"),
                ("c", ";q=7"),
                ("d", ";q"),
            ],
            "bcda",
        ),
        // None is called twice.
        (&[("a", ""), ("a", ";q=0.5"), ("b", ""), ("a", "")], "ab"),
    ] {
        let texts: Vec<String> = contacts.iter().map(|(user, q)| at(user, q)).collect();
        let each: Vec<&str> = texts.iter().map(String::as_str).collect();
        let in_one = texts.join(", ");
        assert_eq!(called_in_turn(&each).concat(), users, "{contacts:?}");
        assert_eq!(called_in_turn(&[&in_one]).concat(), users, "{in_one}");
    }
}

#[test]
fn contact_that_no_call_can_go_to_is_passed_over() {
    for contact in [
        "<mailto:x@192.0.2.9>",
        "<http://192.0.2.9/>",
        "<tel:+431>;x",
        "*",
    ] {
        let with_good = ["<sip:good@192.0.2.9>;q=0.1", contact];
        let users = called_in_turn(&with_good);
        assert!(
            matches!(users.concat().as_str(), "good" | ""),
            "{contact}: {users:?}"
        );
        assert!(called_in_turn(&[contact]).is_empty(), "{contact}");
    }
    assert!(called_in_turn(&[]).is_empty());
}

#[test]
fn redirection_to_itself_is_followed_once() {
    let mut world = World::alone();
    let (_, mut invite) = called(&mut world);
    let own = format!("<{}>", invite.uri);
    for _ in 0..2 {
        world.answer(&invite, 302, Some("x"), PEER, &[("Contact", &own)], None);
        world.request(&Method::Ack);
        if world.sent("INVITE") == 2 && invite.headers.cseq().is_ok_and(|cseq| cseq.number > 1) {
            break;
        }
        invite = world.request(&Method::Invite);
    }
    world.assert_silence();
    assert_eq!(world.sent("INVITE"), 2);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Remote, Some(302))]);
}
