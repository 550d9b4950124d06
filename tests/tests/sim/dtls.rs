//! Calls keyed by DTLS-SRTP (RFC 5763, 5764): keys agreed on through loss and delay, and every way
//! they may fail to be.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use control::api::UserAction;
use media::{Encryption, SrtpSuite};
use offhook_tests::world::{HEARD, PhoneId, Setup, World, ms, phone_ip, secs};
use phone::State;
use serde_json::Value;
use testkit::network::{Datagram, Jitter, Link, Loss, RuleAction};

use crate::content_length::with_content_length;

/// A phone that makes encrypted calls only, and agrees on keys by DTLS.
fn private() -> Setup {
    Setup::default().toml("encryption", "mode = \"required\"\nkeying = [\"dtls\"]")
}

fn is_dtls(datagram: &Datagram) -> bool {
    matches!(datagram.bytes.first(), Some(20..=63))
}

fn is_rtp(datagram: &Datagram) -> bool {
    datagram.is_media()
}

/// RTP and RTCP seen so far, and how many of them were whole packets of PCMU in clear: 20 ms and a
/// header, nothing after.
fn media_seen(world: &World) -> (usize, usize) {
    let packets: Vec<_> = world
        .network
        .capture
        .packets()
        .filter(|sent| is_rtp(&sent.datagram))
        .collect();
    let clear = packets
        .iter()
        .filter(|sent| sent.datagram.bytes.len() == 12 + 160)
        .count();
    (packets.len(), clear)
}

/// DTLS datagrams seen so far.
fn dtls_seen(world: &World) -> usize {
    world
        .network
        .capture
        .packets()
        .filter(|sent| is_dtls(&sent.datagram))
        .count()
}

fn call_status(world: &World, id: PhoneId) -> Value {
    world[id].status(world.now())["calls"][0].clone()
}

fn last_call(world: &World, id: PhoneId) -> Value {
    world[id].status(world.now())["last_call"].clone()
}

fn encryption(world: &World, id: PhoneId) -> Encryption {
    world[id].stream_stats()[0].encryption
}

/// Both hear each other, encrypted; both show the same key words.
fn assert_private(world: &World, l: PhoneId, r: PhoneId) {
    world.assert_speech_both_ways(l, r, secs(2), HEARD);
    for id in [l, r] {
        assert_eq!(
            encryption(world, id),
            Encryption::Full(SrtpSuite::AeadAes256Gcm)
        );
    }
    let (a, b) = (call_status(world, l), call_status(world, r));
    assert_eq!(a["identity"]["words"], b["identity"]["words"], "{a} {b}");
    assert_eq!(a["identity"]["digits"], b["identity"]["digits"]);
    assert_ne!(
        a["identity"]["sha256"], b["identity"]["sha256"],
        "each shows the other's certificate"
    );
    let (packets, clear) = media_seen(world);
    assert!(packets > 100 && clear == 0, "{clear} of {packets} in clear");
}

/// Changes one digit of every fingerprint in SIP from one phone, as somebody on the way may who has
/// a certificate of his own.
fn change_fingerprint(world: &mut World, from: PhoneId, when: impl Fn(&str) -> bool + 'static) {
    let from = phone_ip(from);
    world
        .network
        .add_rule("another fingerprint", move |packet, _| {
            let text = String::from_utf8_lossy(&packet.bytes).into_owned();
            let Some(at) = text
                .find("a=fingerprint:")
                .filter(|_| packet.from.ip() == from && when(&text))
            else {
                return RuleAction::Pass;
            };
            let hex = at + text[at..].find("256 ").unwrap() + 4;
            let mut bytes = text.into_bytes();
            bytes[hex] = if bytes[hex] == b'0' { b'1' } else { b'0' };
            packet.bytes = bytes;
            RuleAction::Pass
        });
}

/// The call ends by itself on the phone that saw what was wrong, which says what, and no one heard
/// or sent a thing.
fn assert_refused(world: &mut World, witness: PhoneId, within: Duration, why: &str) {
    world.until("the call is over", within, |world| {
        world[witness].status(world.now())["calls"]
            .as_array()
            .is_some_and(Vec::is_empty)
    });
    let cause = last_call(world, witness)["cause"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(cause.contains(why), "{cause}");
    world.run(ms(500));
    assert!(
        world[witness].control.tone().is_some(),
        "the ear hears it, too"
    );
}

#[test]
fn keys_are_agreed_on_a_good_line() {
    let (mut world, l, r) = World::pair("dtls", 1, &private());
    world.connect(l, r);
    let up = world.now();
    world.until("both protected", ms(200), |world| {
        [l, r]
            .into_iter()
            .all(|id| world[id].events_named("secured").len() == 1)
    });
    let took = world.now().saturating_sub(up);
    world.run(secs(4));
    assert_private(&world, l, r);
    assert_eq!(world[l].events_named("secured")[0].1["trust"], "new");
    assert_eq!(
        world[l].counters.to_closed_port + world[r].counters.to_closed_port,
        0
    );
    world.quiet();
    world.report(&format!(
        "keys {:.1} ms after the answer, {} DTLS datagrams",
        took.as_secs_f64() * 1e3,
        dtls_seen(&world)
    ));
}

#[test]
fn keys_are_agreed_through_loss_delay_and_reordering() {
    let mut slowest = Duration::ZERO;
    for seed in 1..=6 {
        let (mut world, l, r) = World::pair("dtls through loss", seed, &private());
        world.network.set_default(Link {
            delay: ms(60),
            jitter: Jitter::Normal { sd: ms(15) },
            keep_order: false,
            loss: Loss::Random(0.1),
            hold_back: (0.05, ms(80)),
            ..Link::default()
        });
        world.connect(l, r);
        let up = world.now();
        world.until("both protected", secs(12), |world| {
            [l, r]
                .into_iter()
                .all(|id| world[id].events_named("secured").len() == 1)
        });
        slowest = slowest.max(world.now().saturating_sub(up));
        world.run(secs(5));
        world.assert_speech_both_ways(l, r, secs(2), 0.6);
        let (packets, clear) = media_seen(&world);
        assert!(packets > 100 && clear == 0, "{clear} of {packets} in clear");
        world.quiet();
        world.report(&format!("slowest so far {slowest:?}"));
    }
}

#[test]
fn hello_comes_before_the_answer() {
    let (mut world, l, r) = World::pair("early hello", 3, &private());
    // The answer is lost once; the one who gave it has begun to shake hands.
    world.lose_first(phone_ip(r), "SIP/2.0 200 INVITE", 1);
    world.call(l, "202");
    world.expect_state(r, State::Ringing, secs(5));
    world.run(ms(700));
    world.lift(r);
    world.run(ms(300));
    assert!(
        dtls_seen(&world) > 4 && world[l].events_named("secured").is_empty(),
        "handshake done, nothing trusted"
    );
    assert_eq!(
        world
            .network
            .capture
            .media_between(phone_ip(l), phone_ip(r))
            .filter(|sent| is_rtp(&sent.datagram))
            .count(),
        0
    );
    world.expect_state(l, State::Talking, secs(2));
    world.run(ms(50));
    assert_eq!(
        world[l].events_named("secured").len(),
        1,
        "at once, when the answer is there"
    );
    world.run(secs(4));
    assert_private(&world, l, r);
    world.quiet();
}

#[test]
fn another_fingerprint_in_the_answer_ends_the_call() {
    let (mut world, l, r) = World::pair("fingerprint of the answer", 4, &private());
    change_fingerprint(&mut world, r, |_| true);
    world.connect(l, r);
    assert_refused(&mut world, l, secs(3), "not the one its signalling named");
    assert_eq!(
        world
            .network
            .capture
            .packets()
            .filter(|sent| is_rtp(&sent.datagram) && sent.datagram.from.ip() == phone_ip(l))
            .count(),
        0
    );
    world.quiet();
}

#[test]
fn another_fingerprint_in_the_offer_ends_the_call() {
    let (mut world, l, r) = World::pair("fingerprint of the offer", 5, &private());
    change_fingerprint(&mut world, l, |_| true);
    world.connect(l, r);
    assert_refused(&mut world, r, secs(3), "not the one its signalling named");
    assert_eq!(
        world
            .network
            .capture
            .packets()
            .filter(|sent| is_rtp(&sent.datagram) && sent.datagram.from.ip() == phone_ip(r))
            .count(),
        0
    );
    world.quiet();
}

#[test]
fn no_handshake_is_no_call_and_no_sound() {
    let (mut world, l, r) = World::pair("dtls blocked", 6, &private());
    world.network.add_rule("no DTLS", |packet, _| {
        if is_dtls(packet) {
            RuleAction::Drop
        } else {
            RuleAction::Pass
        }
    });
    world.connect(l, r);
    world.run(secs(5));
    assert_eq!(
        world.state(l),
        State::Talking,
        "the alert is not believed at once"
    );
    assert_eq!(encryption(&world, l), Encryption::Waiting);
    world.until("somebody gives up", secs(13), |world| {
        [l, r].into_iter().any(|id| !last_call(world, id).is_null())
    });
    let causes: Vec<String> = [l, r]
        .into_iter()
        .map(|id| last_call(&world, id)["cause"].to_string())
        .collect();
    assert!(
        causes.iter().any(|cause| cause.contains("DTLS handshake")),
        "{causes:?}"
    );
    assert_eq!(media_seen(&world), (0, 0), "not one packet of sound");
    world.quiet();
}

#[test]
fn hold_and_back_keeps_the_keys() {
    let (mut world, l, r) = World::pair("dtls hold", 7, &private());
    world.connect(l, r);
    world.run(secs(4));
    assert_private(&world, l, r);
    let (words, datagrams) = (
        call_status(&world, l)["identity"]["words"].clone(),
        dtls_seen(&world),
    );
    for who in [l, r] {
        world.flash(who);
        world.run(secs(3));
        world.assert_silent(if who == l { r } else { l }, secs(1));
        world.flash(who);
        world.run(secs(4));
        assert_private(&world, l, r);
    }
    assert_eq!(call_status(&world, l)["identity"]["words"], words);
    assert_eq!(dtls_seen(&world), datagrams, "the same association goes on");
    world.quiet();
}

#[test]
fn another_fingerprint_in_a_reinvite_ends_the_call() {
    let (mut world, l, r) = World::pair("fingerprint of a re-INVITE", 8, &private());
    world.connect(l, r);
    world.run(secs(4));
    assert_private(&world, l, r);
    change_fingerprint(&mut world, r, |text| text.starts_with("INVITE"));
    world.flash(r);
    world.until("the call is over", secs(20), |world| {
        !last_call(world, l).is_null()
    });
    let cause = last_call(&world, l)["cause"].to_string();
    assert!(
        cause.contains("certificate") || cause.contains("DTLS"),
        "{cause}"
    );
    assert_eq!(media_seen(&world).1, 0);
    world.quiet();
}

#[test]
fn a_strangers_handshake_harms_no_call() {
    let (mut world, l, r) = World::pair("strangers say hello", 9, &private());
    // The first hello of the call is said again by a hundred strangers.
    let hello: Rc<Cell<Option<Datagram>>> = Rc::default();
    let seen = Rc::clone(&hello);
    world.network.add_rule("listen", move |packet, _| {
        if is_dtls(packet) {
            let first = seen.take().unwrap_or_else(|| packet.clone());
            seen.set(Some(first));
            // The peer's own comes late.
            return RuleAction::Delay(ms(100));
        }
        RuleAction::Pass
    });
    world.call(l, "202");
    world.expect_state(r, State::Ringing, secs(5));
    world.lift(r);
    world.until("a hello", secs(3), |world| dtls_seen(world) > 0);
    let hello = hello.take().unwrap();
    for port in 0..100 {
        let from = format!("10.9.9.{}:{}", port % 7 + 1, 5_000 + port)
            .parse()
            .unwrap();
        world.send_from(from, hello.to, hello.bytes.clone());
    }
    world.run(secs(6));
    let answers = world
        .network
        .capture
        .packets()
        .filter(|sent| sent.datagram.to.ip().to_string().starts_with("10.9.9."))
        .count();
    assert!(answers <= 16 * 8, "{answers} answers to 100 strangers");
    assert_private(&world, l, r);
    world.quiet();
}

#[test]
fn who_compared_key_words_is_remembered() {
    let (mut world, l, r) = World::pair("key words", 10, &private());
    world.connect(l, r);
    world.run(secs(2));
    assert_eq!(call_status(&world, l)["identity"]["trust"], "new");
    let error = world.request(l, &UserAction::Verify(99)).unwrap_err();
    assert!(error.to_string().contains("no call 99"), "{error}");
    let id = call_status(&world, l)["id"].as_u64().unwrap() as u32;
    world.request(l, &UserAction::Verify(id)).unwrap();
    assert_eq!(call_status(&world, l)["identity"]["trust"], "verified");
    let kept: Value = serde_json::from_str(&world[l].files["known-phones.json"]).unwrap();
    assert_eq!(
        kept[0]["sha256"],
        call_status(&world, l)["identity"]["sha256"]
    );
    assert_eq!(kept[0]["verified"], true);
    let words = call_status(&world, l)["identity"]["words"].clone();
    world.quiet();
    world.connect(l, r);
    world.run(secs(2));
    let again = call_status(&world, l);
    assert_eq!(again["identity"]["trust"], "verified");
    assert_ne!(again["identity"]["words"], words, "new in every call");
    assert_eq!(call_status(&world, r)["identity"]["trust"], "known");
    world.quiet();
}

/// Packets of sound sent to this host so far.
fn sent_to(world: &World, host: &str) -> usize {
    let to = |sent: &Datagram| is_rtp(sent) && sent.to.ip().to_string() == host;
    world
        .network
        .capture
        .packets()
        .filter(|sent| to(&sent.datagram))
        .count()
}

#[test]
fn media_goes_where_the_handshake_ran() {
    let (mut world, l, r) = World::pair("dtls behind a NAT", 11, &private());
    let there = phone_ip(r).to_string();
    // The answer names an address no one is at; the handshake comes from where the phone is.
    world.network.set_middlebox(move |packet: &mut Datagram| {
        if packet.is_sip("SIP/2.0 200") && packet.from.ip().to_string() == there {
            let text = String::from_utf8_lossy(&packet.bytes)
                .replace(&format!("c=IN IP4 {there}"), "c=IN IP4 10.0.9.9");
            packet.bytes = with_content_length(&text);
        }
    });
    world.connect(l, r);
    world.run(secs(4));
    assert_private(&world, l, r);
    assert_eq!(sent_to(&world, "10.0.9.9"), 0);
    world.quiet();
}

#[test]
fn authentic_sound_from_elsewhere_is_not_heard() {
    let (mut world, l, r) = World::pair("dtls sound from elsewhere", 12, &private());
    let from = phone_ip(r);
    // Somebody on the way takes r's packets and sends them on in his own name, from the first one.
    world.network.set_middlebox(move |packet: &mut Datagram| {
        if is_rtp(packet) && packet.from.ip() == from {
            packet.from = "10.0.9.9:4000".parse().unwrap();
        }
    });
    world.connect(l, r);
    world.run(secs(4));
    world.assert_silent(l, secs(2));
    assert_eq!(sent_to(&world, "10.0.9.9"), 0, "nothing goes to him");
    assert!(
        sent_to(&world, &from.to_string()) > 100,
        "all of it goes to whom the hand belongs"
    );
    world.assert_speech(l, r, secs(2), HEARD);
    world.quiet();
}

#[test]
fn a_new_address_gets_no_sound_without_a_handshake() {
    let (mut world, l, r) = World::pair("dtls moved", 13, &private());
    world.connect(l, r);
    world.run(secs(3));
    assert_private(&world, l, r);
    let there = phone_ip(r).to_string();
    world.network.set_middlebox(move |packet: &mut Datagram| {
        if packet.is_sip("INVITE") && packet.from.ip().to_string() == there {
            let text = String::from_utf8_lossy(&packet.bytes)
                .replace(&format!("c=IN IP4 {there}"), "c=IN IP4 10.0.9.9");
            packet.bytes = with_content_length(&text);
        }
    });
    // Held and taken back: the same certificate, and another address.
    for _ in 0..2 {
        world.flash(r);
        world.run(secs(2));
    }
    world.run(secs(2));
    assert_eq!(
        sent_to(&world, "10.0.9.9"),
        0,
        "keys agreed on with one address are not used with another"
    );
    world.until("the call is over", secs(20), |world| {
        !last_call(world, l).is_null()
    });
    assert_eq!((sent_to(&world, "10.0.9.9"), media_seen(&world).1), (0, 0));
    world.quiet();
}

#[test]
fn with_rtcp_on_a_port_of_its_own_there_is_none() {
    let (mut world, l, r) = World::pair("dtls without mux", 14, &private());
    world.network.set_middlebox(|packet: &mut Datagram| {
        let text = String::from_utf8_lossy(&packet.bytes).into_owned();
        if !packet.is_media() && text.contains("a=rtcp-mux\r\n") {
            packet.bytes = with_content_length(&text.replace("a=rtcp-mux\r\n", ""));
        }
    });
    world.connect(l, r);
    world.run(secs(12));
    assert_private(&world, l, r);
    let is_rtcp = |sent: &Datagram| is_rtp(sent) && matches!(sent.bytes.get(1), Some(192..=223));
    let reports = world
        .network
        .capture
        .packets()
        .filter(|sent| is_rtcp(&sent.datagram))
        .count();
    assert_eq!(reports, 0, "its keys would be of a second handshake");
    world.quiet();
}
