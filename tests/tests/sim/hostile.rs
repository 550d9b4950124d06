//! Ten thousand datagrams that no one should send, in the middle of a call: nothing but counters
//! changes, and the call goes on.

use std::net::SocketAddr;

use offhook_tests::world::{HEARD, Setup, World, ms, phone_ip, registrar_ip, secs};
use phone::State;
use testkit::Rng;

/// Changes a few places of a message: bytes, lengths, pieces doubled, cut or swapped.
fn mutate(rng: &mut Rng, bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=rng.below(6) {
        if out.is_empty() {
            return out;
        }
        let at = rng.below(out.len());
        match rng.below(7) {
            0 => out[at] = rng.next_u32() as u8,
            1 => out[at] ^= 1 << rng.below(8),
            2 => out.truncate(at),
            3 => {
                let end = (at + rng.below(60)).min(out.len());
                let piece = out[at..end].to_vec();
                out.splice(at..at, piece);
            }
            4 => {
                let end = (at + rng.below(40)).min(out.len());
                out.drain(at..end);
            }
            5 => {
                let odd: [&[u8]; 8] = [
                    b"\r\n\r\n",
                    b"\r\n ",
                    b"99999999999999999999",
                    b"\0",
                    b"\"",
                    b"<>",
                    b"%",
                    b";;;=,",
                ];
                let piece = odd[rng.below(odd.len())].to_vec();
                out.splice(at..at, piece);
            }
            _ => {
                let piece: Vec<u8> = (0..rng.below(30)).map(|_| rng.next_u32() as u8).collect();
                out.splice(at..at, piece);
            }
        }
    }
    out.truncate(3_000);
    out
}

#[test]
fn ten_thousand_datagrams_change_nothing_but_counters() {
    let mut world = World::new("10000 datagrams", 1);
    world.add_registrar(&[("101", "one")]);
    // A mutation may leave an INVITE what it was, a call: without call waiting it hears busy, and
    // changes nothing either.
    let l = world.phone(
        Setup::default()
            // No refresh falls into what is compared.
            .account_with("101", "one", "10.0.0.100", "expires_s = 3600")
            .toml("call", "waiting = false\ndirect = true"),
    );
    let r = world.phone(Setup::default());
    world.connect(l, r);
    // The call's own transactions are over before anything is compared.
    world.run(secs(40));
    let real_sip: Vec<Vec<u8>> = world
        .network
        .capture
        .packets()
        .filter(|sent| !sent.datagram.is_media())
        .map(|sent| sent.datagram.bytes.clone())
        .collect();
    let real_rtp: Vec<Vec<u8>> = world
        .network
        .capture
        .packets()
        .filter(|sent| sent.datagram.is_media())
        .map(|sent| sent.datagram.bytes.clone())
        .take(400)
        .collect();
    let before = (
        world.state(l),
        world[l].control.tables(),
        world[l].open_ports(),
        world[l].lamps.clone(),
    );
    let sent_before = world[l].stream_stats()[0].sent;
    let begun = world.now();
    let mut rng = Rng::for_purpose(world.seed(), "hostile");
    let mut counts = [0u32; 4];
    for n in 0..10_000 {
        let stranger: SocketAddr = format!(
            "10.0.{}.{}:{}",
            1 + rng.below(3),
            1 + rng.below(250),
            1_024 + rng.below(60_000)
        )
        .parse()
        .unwrap();
        let kind = rng.below(4);
        counts[kind] += 1;
        let ports = &before.2;
        let (to, bytes) = match kind {
            0 => (
                5_060,
                (0..rng.below(800)).map(|_| rng.next_u32() as u8).collect(),
            ),
            1 => {
                let real = real_sip[rng.below(real_sip.len())].clone();
                (5_060, mutate(&mut rng, &real))
            }
            2 => (
                ports[rng.below(ports.len())],
                (0..rng.below(400)).map(|_| rng.next_u32() as u8).collect(),
            ),
            _ => {
                let real = real_rtp[rng.below(real_rtp.len())].clone();
                (ports[rng.below(ports.len())], mutate(&mut rng, &real))
            }
        };
        world.send_from(stranger, SocketAddr::new(phone_ip(l), to), bytes);
        world.run(ms(if n % 2 == 0 { 1 } else { 2 }));
        let rung = world[l].ring.is_some();
        assert!(!rung, "datagram {n} rang the bell");
    }
    let length = world.now().saturating_sub(begun);
    assert_eq!(world.state(l), before.0);
    world.assert_speech_both_ways(l, r, secs(10), HEARD);
    let sent = world[l].stream_stats()[0].sent - sent_before;
    assert!(
        (sent as f64 - length.as_secs_f64() * 50.0).abs() < 5.0,
        "{sent} packets in {length:?}"
    );
    let strange = world
        .network
        .capture
        .packets()
        .filter(|sent| {
            sent.datagram.from.ip() == phone_ip(l)
                && sent.datagram.is_media()
                && sent.datagram.to.ip() != phone_ip(r)
        })
        .count();
    assert_eq!(strange, 0, "no sound to a stranger");
    // Transactions that answered something end by their own timers; then everything is as before.
    world.run(secs(70));
    assert_eq!(world[l].control.tables(), before.1);
    assert_eq!(world[l].open_ports(), before.2);
    assert_eq!(world[l].lamps, before.3);
    world.assert_speech_both_ways(l, r, secs(10), HEARD);
    let counters = world[l].status(world.now())["counters"].clone();
    assert!(
        counters["sip_malformed"].as_u64() > Some(1_500),
        "{counters}"
    );
    assert!(
        counters["rtp_rejected"].as_u64() > Some(3_000),
        "{counters}"
    );
    world.hang_up(l);
    world.expect_state(r, State::Congestion, secs(2));
    world.quiet();
    world.report(&format!(
        "{counts:?} (random SIP, mutated SIP, random RTP, mutated RTP): malformed {}, refused {}, \
         dropped {}, RTP rejected {}",
        counters["sip_malformed"],
        counters["sip_refused"],
        counters["sip_dropped"],
        counters["rtp_rejected"]
    ));
}

#[test]
fn forged_messages_do_not_end_a_call() {
    // Right source address, wrong dialog: a guess is not enough.
    let (mut world, l, r) = World::pair("forged dialog", 2, &Setup::default());
    world.connect(l, r);
    world.run(secs(2));
    let messages: Vec<Vec<u8>> = world
        .network
        .capture
        .sip_between(phone_ip(l), phone_ip(r))
        .map(|sent| sent.datagram.bytes.clone())
        .collect();
    let invite = String::from_utf8(
        messages
            .iter()
            .find(|bytes| bytes.starts_with(b"INVITE"))
            .unwrap()
            .clone(),
    )
    .unwrap();
    let message = testkit::peer::Message::parse(invite.as_bytes()).unwrap();
    for method in ["BYE", "CANCEL", "INFO", "UPDATE", "REFER", "NOTIFY"] {
        for n in 0..20 {
            let forged = message
                .same_transaction(method, Some("<sip:2@10.0.0.2>;tag=guess"))
                .set(
                    "Via",
                    format!("SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKforged{method}{n}"),
                )
                .set("CSeq", format!("{} {method}", message.cseq() + n));
            world.send_from(
                "10.0.0.1:5060".parse().unwrap(),
                "10.0.0.2:5060".parse().unwrap(),
                forged.text().into_bytes(),
            );
            world.run(ms(20));
        }
    }
    assert_eq!(
        (world.state(l), world.state(r)),
        (State::Talking, State::Talking)
    );
    world.run(secs(3));
    world.assert_speech_both_ways(l, r, secs(2), HEARD);
    world.quiet();
    world.report("120 forged requests with a guessed tag");
}

#[test]
fn a_flood_of_invites_is_bounded() {
    let mut world = World::new("INVITE flood", 3);
    let l = world.phone(Setup::default());
    let far = world.peer();
    let mut most = 0;
    for n in 0..3_000 {
        let invite = world[far]
            .request("INVITE", "sip:l@10.0.0.1", &format!("flood{n}"))
            .sdp(&testkit::peer::sdp(
                "10.0.0.9:4000".parse().unwrap(),
                1,
                "sendrecv",
            ));
        world.say(far, &invite);
        if n % 10 == 0 {
            world.run(ms(10));
        }
        let tables = world[l].control.tables();
        most = most.max(tables.sip.calls + tables.sip.dialogs + tables.sip.server_transactions);
    }
    assert!(most < 1_500, "tables grew to {most}");
    // The callers are gone: no CANCEL ever comes, so the phone must give up ringing by itself.
    world.until("the bell stops by itself", secs(400), |world| {
        world.state(l) == State::Idle
    });
    world.assert_drained();
    world.lift(l);
    world.run(ms(500));
    assert_eq!(world.state(l), State::DialTone);
    world.quiet();
    world.report(&format!(
        "3000 INVITEs, at most {most} entries, dial tone after"
    ));
}

#[test]
fn a_forged_registrar_changes_no_registration() {
    let mut world = World::new("forged registrar", 4);
    world.add_registrar(&[("101", "one")]);
    let l = world.phone(Setup::default().account("101", "one"));
    world.run(secs(3));
    for code in [401, 403, 404, 500, 200] {
        for n in 0..50 {
            let text = format!(
                "SIP/2.0 {code} No\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKguess{n}\r\n\
                 From: <sip:101@10.0.0.100>;tag=x\r\nTo: <sip:101@10.0.0.100>;tag=y\r\n\
                 Call-ID: guess\r\nCSeq: {n} REGISTER\r\nContent-Length: 0\r\n\r\n"
            );
            world.send_from(
                SocketAddr::new(registrar_ip(), 5060),
                "10.0.0.1:5060".parse().unwrap(),
                text.into_bytes(),
            );
            world.run(ms(5));
        }
    }
    assert_eq!(world[l].status(world.now())["lines"][0]["registered"], true);
    world.quiet();
    world.report("250 forged responses ignored");
}
